/* host_fuzz.c - libFuzzer target: any bytes as the content of a file of /proc.
 *
 * The first byte says which one ('A' is the first of enum host_file), the rest is its content. Each
 * figure that comes of it must be a number, within the bounds of series, with labels that the store
 * took; mountinfo is read for cgroup hierarchies too.
 */
/* objects: agent/sense/host.c agent/sense/host_cpu.c agent/sense/host_disk.c */
/* objects: agent/sense/host_file.c agent/sense/host_filesystem.c agent/sense/host_ignore.c */
/* objects: agent/sense/host_kernel.c agent/sense/host_memory.c agent/sense/host_netstat.c */
/* objects: agent/sense/host_network.c agent/sense/host_node.c agent/sense/host_order.c */
/* objects: agent/sense/host_pressure.c agent/sense/host_sensor.c agent/sense/host_text.c */
/* objects: agent/sense/cgroup_walk.c agent/sense/probe_series.c agent/store/store.c */
/* objects: agent/store/store_places.c */
/* objects: agent/store/labels.c */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "core/agent.h"
#include "sense/cgroup_walk.h"
#include "sense/host.h"

#define SECOND 1000000000ULL
#define SERIES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* the modules' reasons are not what is tested here */
void agent_reason(struct agent *a, const char *format, ...)
{
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

static int false_statvfs(const char *path, struct statvfs *ret)
{
	*ret = (struct statvfs){.f_frsize = 1, .f_blocks = strlen(path)};
	return 0;
}

static void check(struct store *store, uint64_t now_ns)
{
	const struct series *s;
	size_t cursor = 0, n = 0;

	for (; (s = store_next(store, now_ns, &cursor)); n++) {
		must(isfinite(s->value));
		must(strnlen(s->labels, STORE_LABELS_MAX) < STORE_LABELS_MAX);
	}
	must(n < SERIES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct host_paths paths = {.proc = "/nowhere", .sys = "/nowhere", .root = ""};
	static const struct host_options options = {
	    .ignore_mounts = "^/(dev|proc|sys)($|/)",
	    .ignore_devices = "^(loop|ram)[0-9]+$",
	    .period_ns = 2 * SECOND,
	};
	static uint64_t now_ns = SECOND;
	struct cgroup_mounts mounts;
	size_t bytes = store_size(SERIES, 1);
	char path[64];
	struct store *store;
	struct host *h;
	void *mem;
	int fd;

	if (size == 0)
		return 0;
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(mem != MAP_FAILED);
	store = store_open(mem, bytes, SERIES, 1);
	h = host_new(store, &paths);
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	must(h && fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)size - 1);
	h->statvfs = false_statvfs;
	h->fd[(data[0] + HOST_FILES * 3 - 'A') % HOST_FILES] = fd;
	for (unsigned i = 0; i < 3; i++) { /* slow, then with what was learned, then slow again */
		now_ns += i == 2 ? HOST_SLOW_NS : 2 * SECOND;
		host_tick(h, &options, now_ns);
		check(store, now_ns);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (cgroup_walk_mounts(path, &mounts) == 0)
		for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
			must(strnlen(mounts.at[i], CGROUP_MOUNT_MAX) < CGROUP_MOUNT_MAX);
	host_free(h); /* closes fd */
	munmap(mem, bytes);
	return 0;
}
