/* probes_request.c - the two ways of seeing requests, of which one is opened: in the calls on
 * sockets, or in the packets at the root of cgroup2; and the programs for requests inside TLS.
 *
 * Inputs: the configuration, /proc/self/mounts. Cost: nothing once it is loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "maps.h"
#include "probe_reason.h"
#include "probes_private.h"
/* the skeletons need maps.h */
#include "request.skel.h"
#include "request_packet.skel.h"
#include "request_tls.skel.h"

#define CGROUP_ROOT_INODE 1

/* What the programs are told before they are loaded: their sections have the same names. */
#define TELL(p, skeleton)                                                                          \
	do {                                                                                       \
		(skeleton)->rodata->request_shards = (p)->maps.request_shards;                     \
		(skeleton)->rodata->request_limit = (p)->config->request.connections;              \
		(skeleton)->rodata->request_outbound = (p)->config->request.outbound;              \
	} while (0)

static int open_socket(struct probes *p)
{
	struct request_bpf *skeleton = request_bpf__open();

	if (!skeleton)
		return -errno;
	p->request_socket = skeleton;
	p->probe[REQUEST].skeleton = skeleton->skeleton;
	TELL(p, skeleton);
	skeleton->rodata->request_exclusive = p->cpus <= p->maps.request_shards;
	return 0;
}

/* A softirq interrupts the programs: request_exclusive stays off. */
static int open_packet(struct probes *p)
{
	struct request_packet_bpf *skeleton = request_packet_bpf__open();

	if (!skeleton)
		return -errno;
	p->request_packet = skeleton;
	p->probe[REQUEST].skeleton = skeleton->skeleton;
	TELL(p, skeleton);
	return 0;
}

int probes_open_request(struct probes *p, bool packet)
{
	p->maps.request_shards = probes_request_shards(p->cpus);
	return packet ? open_packet(p) : open_socket(p);
}

/* Others run in between on the same CPU: request_exclusive stays off. */
int probes_open_tls(struct probes *p)
{
	struct request_tls_bpf *skeleton;

	if (!p->probe[REQUEST].loaded) {
		probe_reason_say("the request probe is not loaded");
		return -ENOTSUP;
	}
	request_tls_bpf__destroy(p->request_tls); /* of a try that failed */
	p->request_tls = NULL;
	skeleton = request_tls_bpf__open();
	if (!skeleton)
		return -errno;
	p->request_tls = skeleton;
	p->probe[TLS].skeleton = skeleton->skeleton;
	TELL(p, skeleton);
	bpf_program__set_autoload(skeleton->progs.request_connections_seen, false);
	return 0;
}

void probes_free_request(struct probes *p)
{
	request_bpf__destroy(p->request_socket);
	request_packet_bpf__destroy(p->request_packet);
	request_tls_bpf__destroy(p->request_tls);
	p->request_socket = NULL;
	p->request_tls = NULL;
	p->request_packet = NULL;
}

struct request_control *probes_request_control(struct probes *p)
{
	if (!p->probe[REQUEST].loaded)
		return NULL;
	return p->request_packet ? &p->request_packet->data_request->request_control
				 : &p->request_socket->data_request->request_control;
}

struct request_control *probes_requests(struct probes *p, uint32_t *ret_shards)
{
	*ret_shards = p->maps.request_shards;
	return probes_request_control(p);
}

/* Opens a mounted cgroup2; -1 if it is none, or in a container only a part of it. */
static int open_if_root(const struct mntent *mount)
{
	struct stat st;
	int fd;

	if (strcmp(mount->mnt_type, "cgroup2") != 0)
		return -1;
	fd = open(mount->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) || st.st_ino != CGROUP_ROOT_INODE)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int open_cgroup_root(void)
{
	struct mntent *mount;
	int fd = -1;
	FILE *f = setmntent("/proc/self/mounts", "re");

	if (!f)
		return -errno;
	while (fd < 0 && (mount = getmntent(f)))
		fd = open_if_root(mount);
	endmntent(f);
	return fd < 0 ? -ENOENT : fd;
}

struct bpf_link *probes_attach_to_root(const struct bpf_program *program)
{
	struct bpf_link *link;
	int fd = open_cgroup_root(), err;

	if (fd < 0) {
		probe_reason_say("the root of cgroup2 is not mounted here: mount -t cgroup2 none "
				 "/sys/fs/cgroup/unified, or the node's into the container");
		errno = -fd;
		return NULL;
	}
	link = bpf_program__attach_cgroup(program, fd);
	err = errno;
	close(fd);
	errno = err;
	return link;
}
