/* probes_iterate.c - programs that walk the kernel's tables: all sockets of TCP, all connections
 * that carry requests.
 *
 * Cost: 0.1 us a connection; the caller says when.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "maps.h"
#include "probes_private.h"

/* What the kernel takes for each followed connection: 440 bytes and its own, rounded up. */
#define REQUEST_CONNECTION_BYTES 512

/* Runs an attached iterator to its end. */
static int run_iterator(struct program *prog)
{
	int fd = bpf_iter_create(bpf_link__fd(prog->link)), err;
	char discard[256];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = read(fd, discard, sizeof(discard));
	while (n > 0 || (n < 0 && errno == EAGAIN));
	err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

int probes_sweep_tcp(struct probes *p)
{
	struct program *prog = probes_find_program(p, "tcp_sweep");
	int err;

	if (!prog)
		return -ENOENT;
	err = probes_attach(p, "tcp_sweep", true);
	return err ? err : run_iterator(prog);
}

/* Runs an iterator over the elements of a map. */
static int run_over(struct probes *p, struct program *prog, const char *map)
{
	union bpf_iter_link_info info = {.map.map_fd = probes_map_fd(p, map)};
	LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &info,
		    .link_info_len = sizeof(info));

	if (!prog->link) {
		prog->link = bpf_program__attach_iter(prog->bpf, &options);
		if (!prog->link)
			return -errno;
		p->shared->prog[prog->shared].attached = true;
	}
	return run_iterator(prog);
}

int probes_count_requests(struct probes *p)
{
	struct program *sockets = probes_find_program(p, "request_connections_seen");
	struct program *tls = probes_find_program(p, "request_tls_seen");
	struct request_control *control = probes_request_control(p);
	int err;

	if (!sockets || !control)
		return -ENOENT;
	control->seen = 0;
	memset(control->seen_of, 0, sizeof(control->seen_of));
	err = run_over(p, sockets, "request_connections");
	if (err)
		return err;
	__atomic_store_n(&control->connections, control->seen, __ATOMIC_RELAXED);
	probes_note_bytes(p, "request_connections", REQUEST_CONNECTION_BYTES * control->seen);
	return tls ? run_over(p, tls, "request_tls_connections") : 0;
}
