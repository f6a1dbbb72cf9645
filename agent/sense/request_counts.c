/* request_counts.c - what the request probe counted: sums over its shards, and snapshots of them.
 *
 * Source: the BPF arrays of counters, written by any CPU meanwhile; each number is read whole,
 * those of one request may be caught one before the other. A slot's "print" is the sum of its cheap
 * numbers, none of which ever falls: it is the same only if nothing was counted, so that a tick
 * reads 4,096 bytes of histogram only where something was. Cost: 30 ns a look, 0.6 us a sum of four
 * shards.
 */
#include <string.h>
#include "request_private.h"

#define WORDS(type) (sizeof(type) / sizeof(uint64_t))

static uint64_t load(const __u64 *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void add_shards(const void *counts, size_t words, uint32_t shards, void *sum)
{
	const __u64 *from = counts;
	uint64_t *to = sum;

	for (uint32_t shard = 0; shard < shards; shard++, from += words)
		for (size_t i = 0; i < words; i++)
			to[i] += load(&from[i]);
}

void request_add_operation(const struct probe_maps *m, uint32_t slot,
			   struct request_operation_counts *sum)
{
	add_shards(&m->request_operation_counts[slot * m->request_shards], WORDS(*sum),
		   m->request_shards, sum);
}

void request_add_service(const struct probe_maps *m, uint32_t slot,
			 struct request_service_counts *sum)
{
	add_shards(&m->request_service_counts[slot * m->request_shards], WORDS(*sum),
		   m->request_shards, sum);
}

void request_look_operation(const struct probe_maps *m, uint32_t slot,
			    struct request_operation_look *ret)
{
	const struct request_operation_counts *c =
	    &m->request_operation_counts[slot * m->request_shards];
	struct request_operation_look look = {0};

	for (uint32_t shard = 0; shard < m->request_shards; shard++, c++) {
		look.duration_ns += load(&c->duration.sum_ns);
		for (int i = 0; i < REQUEST_OUTCOMES; i++)
			look.outcome[i] += load(&c->outcome[i]);
	}
	look.print = look.duration_ns;
	for (int i = 0; i < REQUEST_OUTCOMES; i++)
		look.print += look.outcome[i];
	*ret = look;
}

void request_look_service(const struct probe_maps *m, uint32_t slot,
			  struct request_service_look *ret)
{
	const struct request_service_counts *c =
	    &m->request_service_counts[slot * m->request_shards];
	struct request_service_look look = {0};

	for (uint32_t shard = 0; shard < m->request_shards; shard++, c++) {
		look.response_ns += load(&c->response.sum_ns);
		look.queue_ns += load(&c->queue.sum_ns);
		look.unanswered += load(&c->unanswered);
		for (int i = 0; i < REQUEST_CLASSES; i++)
			look.class[i] += load(&c->class[i]);
	}
	look.print = look.response_ns + look.queue_ns + look.unanswered;
	for (int i = 0; i < REQUEST_CLASSES; i++)
		look.print += look.class[i];
	*ret = look;
}

/* --- the window */

static void snap(struct request_window *w, const struct probe_maps *m, unsigned at, uint64_t now_ns)
{
	struct request_operation_look operation;
	struct request_service_look service;

	for (uint32_t slot = 0; slot < REQUEST_OPERATIONS; slot++) {
		request_look_operation(m, slot, &operation);
		if (operation.print == w->operation_print[slot][at])
			continue;
		w->operation_print[slot][at] = operation.print;
		memset(&w->operation[slot][at], 0, sizeof(w->operation[slot][at]));
		request_add_operation(m, slot, &w->operation[slot][at]);
	}
	for (uint32_t slot = 0; slot < REQUEST_SERVICES; slot++) {
		request_look_service(m, slot, &service);
		if (service.print == w->service_print[slot][at])
			continue;
		w->service_print[slot][at] = service.print;
		memset(&w->service[slot][at], 0, sizeof(w->service[slot][at]));
		request_add_service(m, slot, &w->service[slot][at]);
	}
	w->at_ns[at] = now_ns;
}

void request_window_turn(struct request_window *w, const struct probe_maps *m, uint64_t now_ns)
{
	if (!w->at_ns[w->older])
		snap(w, m, w->older, now_ns);
	if (!w->at_ns[!w->older])
		snap(w, m, !w->older, now_ns);
	if (now_ns - w->at_ns[!w->older] < REQUEST_WINDOW_NS)
		return;
	snap(w, m, w->older, now_ns);
	w->older = !w->older;
}

/* Adds to sum what now has and then has not; counters of a slot that was emptied give nothing. */
static void add_rise(const void *now, const void *then, size_t words, void *sum)
{
	const uint64_t *a = now, *b = then;
	uint64_t *to = sum;

	for (size_t i = 0; i < words; i++)
		to[i] += a[i] > b[i] ? a[i] - b[i] : 0;
}

void request_window_add_operation(const struct request_window *w, const struct probe_maps *m,
				  uint32_t slot, struct request_operation_counts *sum)
{
	struct request_operation_counts now = {0};

	request_add_operation(m, slot, &now);
	add_rise(&now, &w->operation[slot][w->older], WORDS(now), sum);
}

void request_window_add_service(const struct request_window *w, const struct probe_maps *m,
				uint32_t slot, struct request_service_counts *sum)
{
	struct request_service_counts now = {0};

	request_add_service(m, slot, &now);
	add_rise(&now, &w->service[slot][w->older], WORDS(now), sum);
}

/* Moves words from one place to the other; empty ones stay untouched. */
static void move(void *from, void *to, size_t words)
{
	uint64_t *a = from, *b = to;

	for (size_t i = 0; i < words; i++) {
		if (!a[i])
			continue;
		b[i] += a[i];
		a[i] = 0;
	}
}

/* What it counted before is no news in `other`, though it is new there. */
void request_window_fold_operation(struct request_window *w, uint32_t slot, uint32_t other)
{
	move(w->operation[slot], w->operation[other], 2 * WORDS(w->operation[slot][0]));
	move(w->operation_print[slot], w->operation_print[other], 2);
}

void request_window_fold_service(struct request_window *w, uint32_t slot, uint32_t other)
{
	move(w->service[slot], w->service[other], 2 * WORDS(w->service[slot][0]));
	move(w->service_print[slot], w->service_print[other], 2);
}
