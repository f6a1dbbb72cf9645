/* request_ring.c - the samples of PostgreSQL's statements, from their ring to what is served.
 *
 * Source: a ring buffer of the request probe, emptied at each tick without a system call; only the
 * programs at the sockets fill it. Where it cannot be read there are no statements. Bounds:
 * TAKEN_MAX a tick, the rest waits in the ring, and what finds no room there the programs count.
 * Cost: 1 us a sample, of which a busy service gives 30 to 130 a tick.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include "request_private.h"

#define TAKEN_MAX 4096

struct request_ring {
	struct statements *statements;
	struct ring_buffer *ring;
	unsigned taken; /* by this tick */
};

/* A negative answer ends the reading after this sample. */
static int take(void *context, void *data, size_t bytes)
{
	struct request_ring *r = context;

	statements_take(r->statements, data, bytes);
	return ++r->taken < TAKEN_MAX ? 0 : -EAGAIN;
}

int request_ring_open(struct request_source *s)
{
	int fd = s->agent->maps->request_statements_fd, err = 0;
	struct request_ring *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	s->statements = r;
	r->statements = statements_new();
	if (!r->statements)
		err = -ENOMEM;
	else if (fd >= 0 && !(r->ring = ring_buffer__new(fd, take, r, NULL)))
		err = -errno;
	if (err)
		request_ring_close(s);
	return err;
}

void request_ring_close(struct request_source *s)
{
	if (!s->statements)
		return;
	ring_buffer__free(s->statements->ring);
	statements_free(s->statements->statements);
	free(s->statements);
	s->statements = NULL;
}

void request_ring_tick(struct request_source *s)
{
	struct request_ring *r = s->statements;

	if (!r)
		return;
	statements_turn(r->statements, s->now_ns);
	r->taken = 0;
	if (r->ring)
		ring_buffer__consume(r->ring);
}

void request_ring_take(struct request_source *s, const void *data, size_t bytes)
{
	if (s->statements)
		statements_take(s->statements->statements, data, bytes);
}

void request_ring_forget(struct request_source *s, uint32_t slot)
{
	if (s->statements)
		statements_forget(s->statements->statements, slot);
}

size_t request_statements(const struct request_source *s, uint32_t service,
			  struct statement_view ret[STATEMENTS_BUSIEST])
{
	bool mine[REQUEST_SERVICES];

	if (!s->statements)
		return 0;
	for (uint32_t slot = 0; slot < REQUEST_SERVICES; slot++)
		mine[slot] = s->service[slot].chain.leader == service;
	return statements_busiest(s->statements->statements, mine, ret);
}

double request_statements_seconds(const struct request_source *s, uint64_t now_ns)
{
	return s->statements ? statements_window_seconds(s->statements->statements, now_ns) : 0;
}
