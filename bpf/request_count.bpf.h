/* request_count.bpf.h - what is counted of connections that carry requests: requests in flight,
 * latencies, outcomes. For every way of seeing requests.
 *
 * A connection remembers when each of its requests began, in order: one stamp for all that a call
 * brought, one entry for each run of one operation among them. What is not remembered (more than
 * REQUEST_STAMPS calls or REQUEST_ENTRIES runs in flight) is counted all the same, not timed.
 */
#ifndef TRIMTAB_REQUEST_COUNT_BPF_H
#define TRIMTAB_REQUEST_COUNT_BPF_H

#include "request_slots.bpf.h"
/* after the helpers' own __always_inline */
#include "request_amqp_flight.h"

/* --- requests in flight */

static __always_inline __u64 stamp_make(__u64 start_ns, __u64 queue_us, __u8 sync)
{
	__u64 queue = queue_us;

	if (queue == ARRIVAL_UNKNOWN)
		queue = QUEUE_UNKNOWN;
	else if (queue >= QUEUE_FINE)
		queue = QUEUE_FINE + queue / 1000;
	if (queue > QUEUE_UNKNOWN)
		queue = QUEUE_UNKNOWN - 1;
	return (start_ns >> STAMP_UNIT_SHIFT & STAMP_MASK) | queue << STAMP_QUEUE_SHIFT |
	       (__u64)sync << STAMP_SYNC_SHIFT;
}

static __always_inline __u64 stamp_age_ns(__u64 stamp, __u64 now)
{
	return (((now >> STAMP_UNIT_SHIFT) - stamp) & STAMP_MASK) << STAMP_UNIT_SHIFT;
}

/* ARRIVAL_UNKNOWN if it was not seen */
static __always_inline __u64 stamp_queue_ns(__u64 stamp)
{
	__u64 queue = stamp >> STAMP_QUEUE_SHIFT & 0xffff;

	if (queue == QUEUE_UNKNOWN)
		return ARRIVAL_UNKNOWN;
	return queue < QUEUE_FINE ? queue * 1000 : (queue - QUEUE_FINE) * 1000000;
}

/* Whether the last stamp can stand for this call too. */
static __always_inline bool stamp_is_last(const struct request_connection *c, __u64 stamp)
{
	return c->entry_tail != c->entry_head &&
	       c->stamp[(c->stamp_tail - 1) & (REQUEST_STAMPS - 1)] == stamp;
}

static __always_inline __u32 request_in_flight(const struct request_connection *c)
{
	return (__u16)(c->begun - c->done);
}

/* Remembers n requests of one operation that began with `stamp`. */
__noinline int request_push(REQUEST_C_PARAM, __u32 entry, __u32 n, __u64 stamp)
{
	__u32 more, first;

	REQUEST_FIND_C(0)
	c->begun += n;
	for (int i = 0; i < REQUEST_ENTRIES && n; i++) {
		first = stamp_is_last(c, stamp) ? 0 : ENTRY_STAMP;
		if (c->untracked != c->untracked_done ||
		    (__u8)(c->entry_tail - c->entry_head) >= REQUEST_ENTRIES ||
		    (first && (__u8)(c->stamp_tail - c->stamp_head) >= REQUEST_STAMPS - 1))
			break;
		if (first) {
			c->stamp[c->stamp_tail & (REQUEST_STAMPS - 1)] = stamp;
			c->stamp_tail++;
		}
		more = n - 1 < ENTRY_MORE_MAX ? n - 1 : ENTRY_MORE_MAX;
		c->entry[c->entry_tail & (REQUEST_ENTRIES - 1)] =
		    (entry & (ENTRY_OPERATION | ENTRY_UNTIMED)) | first | more << ENTRY_MORE_SHIFT;
		c->entry_tail++;
		n -= more + 1;
	}
	c->untracked += n;
	if (n)
		request_lose(REQUEST_LOST_DEPTH, n);
	return 0;
}

/* The same; mostly there is room, and one entry will do. */
static __always_inline void request_push_run(REQUEST_PARAMS, __u32 entry, __u32 n, __u64 stamp)
{
	__u32 first = stamp_is_last(c, stamp) ? 0 : ENTRY_STAMP;

	if (unlikely(n - 1 > ENTRY_MORE_MAX || c->untracked != c->untracked_done ||
		     (__u8)(c->entry_tail - c->entry_head) >= REQUEST_ENTRIES ||
		     (__u8)(c->stamp_tail - c->stamp_head) >= REQUEST_STAMPS - 1)) {
		request_push(REQUEST_C, entry, n, stamp);
		return;
	}
	c->begun += n;
	if (first) {
		c->stamp[c->stamp_tail & (REQUEST_STAMPS - 1)] = stamp;
		c->stamp_tail++;
	}
	c->entry[c->entry_tail & (REQUEST_ENTRIES - 1)] =
	    (entry & (ENTRY_OPERATION | ENTRY_UNTIMED)) | first | (n - 1) << ENTRY_MORE_SHIFT;
	c->entry_tail++;
}

/* --- what is counted */

#define REQUEST_SAMPLE_MS 20	/* between the samples of a service */
#define REQUEST_LONG_NS 1000000 /* shorter ones are no samples */

static __always_inline void hist_add_many(struct hist *h, __u64 ns, __u64 n)
{
	__u32 slot = hist_slot(ns);

	if (slot >= HIST_SLOTS)
		return;
	request_add(&h->count[slot], n);
	request_add(&h->sum_ns, ns * n);
}

static __always_inline struct request_service_counts *
request_service_counts_of(const struct request_connection *c)
{
	__u32 at = c->service * request_shards + request_shard();

	return bpf_map_lookup_elem(&request_service_counts, &at);
}

/* Remembers it as a sample if it was slower than its service's bound. */
__noinline int request_long(REQUEST_C_PARAM, REQUEST_W_PARAM, __u32 operation, __u64 duration,
			    __u64 stamp)
{
	struct request_service *s;
	__u32 service, now_ms;

	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	service = c->service;
	s = bpf_map_lookup_elem(&request_services, &service);
	if (!s || !s->slow_ns || duration < s->slow_ns || duration <= w->slow_ns)
		return 0;
	now_ms = w->now_ns / 1000000;
	if (!w->slow_ns && now_ms - s->sampled_ms < REQUEST_SAMPLE_MS)
		return 0;
	s->sampled_ms = now_ms;
	w->slow_ns = duration;
	w->slow_queue_ns = stamp_queue_ns(stamp);
	w->slow_operation = operation;
	w->slow_outcome = w->outcome;
	return 0;
}

static __always_inline void request_time(REQUEST_PARAMS, struct request_operation_counts *counts,
					 __u32 operation, __u64 n, __u64 stamp)
{
	__u64 duration = stamp_age_ns(stamp, w->now_ns), queue = stamp_queue_ns(stamp);
	struct request_service_counts *s;
	struct request_operation *o;

	o = bpf_map_lookup_elem(&request_operations, &operation);
	if (o && o->flags & REQUEST_UNTIMED)
		return;
	if (duration > REQUEST_LONG_NS)
		request_long(REQUEST_C, REQUEST_W, operation, duration, stamp);
	hist_add_many(&counts->duration, duration, n);
	if (c->direction != TCP_INBOUND)
		return;
	s = request_service_counts_of(c);
	if (!s)
		return;
	if (queue != ARRIVAL_UNKNOWN) {
		hist_add_many(&s->queue, queue, n);
		duration += queue;
	}
	hist_add_many(&s->response, duration, n);
}

/* n answers to requests of one operation; stamp 0: when they began is not known, or of no interest.
 */
__noinline int request_count(REQUEST_C_PARAM, REQUEST_W_PARAM, __u32 operation, __u32 n,
			     __u64 stamp)
{
	struct request_operation_counts *counts;
	struct request_service_counts *s;
	__u32 at;

	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	at = operation * request_shards + request_shard();
	counts = bpf_map_lookup_elem(&request_operation_counts, &at);
	if (!counts)
		return 0;
	request_add(&counts->outcome[w->outcome & 1], n);
	if (stamp)
		request_time(REQUEST_BOTH, counts, operation, n, stamp);
	if (c->protocol != REQUEST_HTTP)
		return 0;
	s = request_service_counts_of(c);
	at = w->class;
	if (s && at < REQUEST_CLASSES)
		request_add(&s->class[at], n);
	return 0;
}

/* Outcome and class in one. */
static __always_inline __u32 request_result(const struct request_work *w)
{
	return w->outcome | (__u32)w->class << 8;
}

/* The oldest n requests were answered, with the same result. */
__noinline int request_pop(REQUEST_C_PARAM, REQUEST_W_PARAM, __u32 n, __u32 result)
{
	__u32 entry, k, operation;
	__u64 stamp;

	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	w->outcome = result & 0xff;
	w->class = result >> 8;
	for (int i = 0; i < REQUEST_ENTRIES && n; i++) {
		if (c->entry_head == c->entry_tail)
			break;
		entry = c->entry[c->entry_head & (REQUEST_ENTRIES - 1)];
		if (entry & ENTRY_STAMP)
			c->stamp_head++;
		stamp = c->stamp[(c->stamp_head - 1) & (REQUEST_STAMPS - 1)];
		k = entry >> ENTRY_MORE_SHIFT;
		if (k + 1 <= n) {
			k++;
			c->entry_head++;
		} else {
			c->entry[c->entry_head & (REQUEST_ENTRIES - 1)] =
			    (entry & ~ENTRY_STAMP) - (n << ENTRY_MORE_SHIFT);
			k = n;
		}
		operation = entry & ENTRY_OPERATION;
		if (c->named != OPERATION_UNNAMED)
			operation = c->named;
		if (operation == OPERATION_UNNAMED)
			operation = request_other_operation(REQUEST_C, REQUEST_W);
		c->synced = stamp >> STAMP_SYNC_SHIFT;
		c->done += k;
		n -= k;
		request_count(REQUEST_C, REQUEST_W, operation, k,
			      entry & ENTRY_UNTIMED ? 0 : stamp);
	}
	k = (__u16)(c->untracked - c->untracked_done);
	if (k > n)
		k = n;
	if (k) {
		c->untracked_done += k;
		c->done += k;
		operation = c->named;
		if (operation == OPERATION_UNNAMED)
			operation = request_other_operation(REQUEST_C, REQUEST_W);
		request_count(REQUEST_C, REQUEST_W, operation, k, 0);
	}
	c->named = OPERATION_UNNAMED;
	return 0;
}

/* The same; mostly they are just the oldest entry. */
static __always_inline void request_pop_run(REQUEST_PARAMS, __u32 n, __u32 result)
{
	__u32 entry = c->entry[c->entry_head & (REQUEST_ENTRIES - 1)];
	__u64 stamp;

	if (unlikely(c->entry_head == c->entry_tail || (entry >> ENTRY_MORE_SHIFT) + 1 != n ||
		     c->named != OPERATION_UNNAMED ||
		     (entry & ENTRY_OPERATION) == OPERATION_UNNAMED)) {
		request_pop(REQUEST_C, REQUEST_W, n, result);
		return;
	}
	w->outcome = result & 0xff;
	w->class = result >> 8;
	if (entry & ENTRY_STAMP)
		c->stamp_head++;
	c->entry_head++;
	stamp = c->stamp[(c->stamp_head - 1) & (REQUEST_STAMPS - 1)];
	c->synced = stamp >> STAMP_SYNC_SHIFT;
	c->done += n;
	request_count(REQUEST_C, REQUEST_W, entry & ENTRY_OPERATION, n,
		      entry & ENTRY_UNTIMED ? 0 : stamp);
}

/* Whether the oldest request is of the same sync as the one answered last. */
static __always_inline bool request_is_synced(const struct request_connection *c)
{
	__u32 entry = c->entry[c->entry_head & (REQUEST_ENTRIES - 1)], at = c->stamp_head;

	if (c->entry_head == c->entry_tail)
		return false;
	if (!(entry & ENTRY_STAMP))
		at--;
	return (__u8)(c->stamp[at & (REQUEST_STAMPS - 1)] >> STAMP_SYNC_SHIFT) == c->synced;
}

/* Forgets the oldest entry if it is of that sync. */
__noinline int request_drop_one(REQUEST_C_PARAM)
{
	__u32 entry;

	REQUEST_FIND_C(0)
	if (!request_is_synced(c))
		return 0;
	entry = c->entry[c->entry_head & (REQUEST_ENTRIES - 1)];
	if (entry & ENTRY_STAMP)
		c->stamp_head++;
	c->done += (entry >> ENTRY_MORE_SHIFT) + 1;
	c->entry_head++;
	return 1;
}

/* Forgets the requests that will not be answered: those of the last answered one's sync. */
static __always_inline void request_drop_synced(REQUEST_PARAMS)
{
	for (int i = 0; i < REQUEST_ENTRIES && request_drop_one(REQUEST_C); i++)
		;
}

/* The connection ends: what it still asks for gets no answer. In a softirq, mostly: not by
 * request_add(). */
static __always_inline void request_end(struct request_connection *c)
{
	struct request_service_counts *s;
	__u32 n;

	if (c->following != FOLLOW_REQUESTS)
		return;
	n = c->protocol == REQUEST_AMQP ? amqp_in_flight((struct request_amqp *)c->keyed)
					: request_in_flight(c);
	s = n ? request_service_counts_of(c) : NULL;
	if (s)
		__sync_fetch_and_add(&s->unanswered, n);
	c->following = FOLLOW_NOTHING;
}

static __always_inline void request_seen(const struct request_connection *c)
{
	__u32 service = c->service;

	if (service < REQUEST_SERVICES && c->following == FOLLOW_REQUESTS)
		request_control.seen_of[service]++;
}

/* Counts the connections there are: the keeper runs it over the storage of all sockets. */
SEC("iter/bpf_sk_storage_map")
int request_connections_seen(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct request_connection *c = ctx->value;

	if (!c)
		return 0;
	request_control.seen++;
	request_seen(c);
	return 0;
}

#endif
