/* request_count.bpf.h - connections that carry requests, and what is counted of them: slots of
 * services and operations, requests in flight, latencies, outcomes. For every way of seeing
 * requests.
 *
 * A connection remembers when each of its requests began, in order: one stamp for all that a call
 * brought, one entry for each run of one operation among them. What is not remembered (more than
 * REQUEST_STAMPS calls or REQUEST_ENTRIES runs in flight) is counted all the same, not timed.
 */
#ifndef TRIMTAB_REQUEST_COUNT_BPF_H
#define TRIMTAB_REQUEST_COUNT_BPF_H

#include <bpf/bpf_endian.h>
#include "cgroup.bpf.h"
#include "listened.bpf.h"
#include "request.h"

/* How the functions here get at the connection c and the work w. Inlined ones take REQUEST_PARAMS
 * and are called with REQUEST_BOTH. Those that the verifier looks at alone take REQUEST_C_PARAM or
 * REQUEST_W_PARAM or both, are called with REQUEST_C and REQUEST_W, and begin with REQUEST_FIND_C
 * and REQUEST_FIND_W: 5.10 lets them have no pointers, so an includer may say by what else they
 * find both. */
#ifndef REQUEST_PARAMS
#define REQUEST_PARAMS struct request_connection *c, struct request_work *w
#define REQUEST_BOTH c, w
#define REQUEST_C_PARAM struct request_connection *c
#define REQUEST_C c
#define REQUEST_FIND_C(failed)                                                                     \
	if (!c)                                                                                    \
		return failed;
#define REQUEST_W_PARAM struct request_work *w
#define REQUEST_W w
#define REQUEST_FIND_W(failed)                                                                     \
	if (!w)                                                                                    \
		return failed;
#endif

#define REQUEST_STAMPS 16  /* calls with requests in flight on one connection, a power of 2 */
#define REQUEST_ENTRIES 32 /* runs of one operation in flight on one connection, a power of 2 */

#define OPERATION_UNNAMED (REQUEST_OPERATIONS - 1) /* the answer will name it; never leased */

/* an entry: operation, whether it is not timed, whether it is the first of the next stamp, how many
 * more follow */
#define ENTRY_OPERATION 0x1ff
#define ENTRY_UNTIMED 0x200
#define ENTRY_STAMP 0x400
#define ENTRY_MORE_SHIFT 11
#define ENTRY_MORE_MAX 31

/* a stamp: the start in units of 16 ns, 40 bits (4.9 hours), time in the queue before, sync */
#define STAMP_UNIT_SHIFT 4
#define STAMP_MASK ((1ULL << 40) - 1)
#define STAMP_QUEUE_SHIFT 40
#define STAMP_SYNC_SHIFT 56
#define QUEUE_UNKNOWN 0xffff
#define QUEUE_FINE 0x8000 /* from there on ms are added to it, below it is us */
#define ARRIVAL_UNKNOWN (~0ULL)

/* From FOLLOW_TLS on in the order of enum request_unseen. */
enum request_following {
	FOLLOW_UNKNOWN,
	FOLLOW_REQUESTS,
	FOLLOW_NOTHING,
	FOLLOW_TLS,
	FOLLOW_HTTP2,
	FOLLOW_IO_URING,
	FOLLOW_COMPAT
};
enum request_flow { FLOW_REQUESTS, FLOW_RESPONSES };

/* 440 bytes and what the kernel adds make 512. What every call needs comes first: it shares the
 * first cache line with the kernel's 8 bytes. */
struct request_connection {
	__u8 following; /* enum request_following */
	__u8 protocol, direction;
	__u8 synced; /* the sync of the last answered request */
	__u8 stamp_head, stamp_tail, entry_head, entry_tail; /* free-running */
	/* free-running counts, the first of each pair written where requests are seen, the second
	 * where answers are: requests, and those of them that found no entry, all after those that
	 * did */
	__u16 begun, done;
	__u16 untracked, untracked_done;
	__u16 service;
	__u16 operation; /* the last one */
	__u16 named;	 /* the operation that REQUEST_NAMED gave; OPERATION_UNNAMED: none */
	__u16 pad;
	__u64 hash;			 /* of the last operation */
	struct request_parser parser[2]; /* by enum request_flow */
	union {
		/* of the task that read the last requests, then: waited for a CPU, ran, slept for
		 * a disk */
		struct {
			__u64 run_delay_ns, cpu_ns, disk_ns;
		};
		/* packets: the sequence number that each direction goes on with, by enum
		 * request_flow; whether the service knows who it is */
		struct {
			__u32 next[2];
			__u32 introduced;
		};
	};
	__u32 pid;
	__u32 request_bytes;
	union {
		struct {
			__u64 stamp[REQUEST_STAMPS];
			__u16 entry[REQUEST_ENTRIES];
		};
		__u64 keyed[24]; /* AMQP */
	};
	__u64 held[2][REQUEST_HELD / 8];
};

_Static_assert(sizeof(struct request_connection) <= 440, "takes more than 512 bytes");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct request_connection);
} request_connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, REQUEST_SERVICES);
	__type(key, __u32);
	__type(value, struct request_service);
} request_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, REQUEST_OPERATIONS);
	__type(key, __u32);
	__type(value, struct request_operation);
} request_operations SEC(".maps");

/* The next three have a copy for each shard: [slot * shards + shard]. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, REQUEST_SERVICES); /* times the shards, set before loading */
	__type(key, __u32);
	__type(value, struct request_service_counts);
} request_service_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, REQUEST_OPERATIONS);
	__type(key, __u32);
	__type(value, struct request_operation_counts);
} request_operation_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct request_totals);
} request_totals SEC(".maps");

/* Keys to slots and slots to keys, of services and operations: see slot_of_key(). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUEST_SERVICES);
	__type(key, struct request_key);
	__type(value, __u32);
} request_service_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUEST_SERVICES);
	__type(key, __u32);
	__type(value, struct request_key);
} request_service_owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUEST_OPERATIONS);
	__type(key, __u64); /* hash of the name and the service */
	__type(value, __u32);
} request_operation_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUEST_OPERATIONS);
	__type(key, __u32);
	__type(value, __u64);
} request_operation_owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} request_slow SEC(".maps");

const volatile __u32 request_shards = 1; /* a power of 2, set before loading */
const volatile __u32 request_limit = 65536;
const volatile bool request_outbound = true;

/* in a section of its own, as all objects that count requests share it */
struct request_control request_control SEC(".data.request");

const volatile bool request_exclusive; /* no two CPUs have the same shard */

/* Adds to a counter of this CPU's shard. Nothing interrupts these programs that would run them. */
static __always_inline void request_add(__u64 *counter, __u64 n)
{
	if (request_exclusive)
		*counter += n;
	else
		__sync_fetch_and_add(counter, n);
}

static __always_inline __u32 request_shard(void)
{
	return bpf_get_smp_processor_id() & (request_shards - 1);
}

static __always_inline struct request_totals *request_totals_here(void)
{
	__u32 shard = request_shard();

	return bpf_map_lookup_elem(&request_totals, &shard);
}

static __always_inline void request_lose(enum request_lost reason, __u64 n)
{
	struct request_totals *t = request_totals_here();

	if (t && (__u32)reason < REQUEST_LOST_REASONS)
		request_add(&t->lost[reason], n);
}

static __always_inline void request_unseen(enum request_unseen reason, __u64 bytes)
{
	struct request_totals *t = request_totals_here();

	if (t && (__u32)reason < REQUEST_UNSEEN_REASONS)
		request_add(&t->unseen_bytes[reason], bytes);
}

/* What is kept of a connection, made if need be: it is one more then. The kernel may have no memory
 * just when it is asked for, and some a moment later. */
#define REQUEST_CONNECTION_TRIES 3

static __always_inline struct request_connection *request_connect(void *sk)
{
	struct request_connection *c = NULL;

	if (request_control.connections >= request_limit) {
		request_lose(REQUEST_LOST_CONNECTIONS, 1);
		return NULL;
	}
	for (int i = 0; i < REQUEST_CONNECTION_TRIES && !c; i++)
		c = bpf_sk_storage_get(&request_connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c) {
		request_lose(REQUEST_LOST_NO_MEMORY, 1);
		return NULL;
	}
	__sync_fetch_and_add(&request_control.connections, 1);
	c->named = OPERATION_UNNAMED;
	return c;
}

/* Gives a key a slot of its own, on first use; `other` if all are taken. *next is where a free one
 * is looked for; user space takes a slot back by deleting both entries, and turns *next back to it.
 */
#define REQUEST_SLOT_TRIES 16

static __always_inline __u32 request_slot(void *ids, void *owners, const void *key, __u32 *next,
					  __u32 slots, __u32 other)
{
	__u32 *known = bpf_map_lookup_elem(ids, key), slot;

	if (known)
		return *known < slots ? *known : other;
	for (int i = 0; i < REQUEST_SLOT_TRIES; i++) {
		slot = *next;
		if (slot < REQUEST_OTHERS)
			slot = REQUEST_OTHERS;
		if (slot >= slots)
			return other;
		*next = slot + 1;
		if (bpf_map_update_elem(owners, &slot, key, BPF_NOEXIST))
			continue;
		if (!bpf_map_update_elem(ids, key, &slot, BPF_NOEXIST))
			return slot;
		bpf_map_delete_elem(owners, &slot); /* another CPU was first with this key */
		known = bpf_map_lookup_elem(ids, key);
		return known && *known < slots ? *known : other;
	}
	return other;
}

static __always_inline __u32 request_other(__u32 protocol, __u32 direction)
{
	return (((protocol - 1) & 3) * TCP_DIRECTIONS) | (direction & 1);
}

#ifndef REQUEST_INTRODUCE
/* A service has its first connection, which the current task uses. */
static __always_inline void request_introduce(struct request_service *s,
					      const struct request_key *key)
{
	bpf_get_current_comm(s->comm, sizeof(s->comm));
	s->key = *key;
}
#endif

static __always_inline __u32 request_service_of(const struct request_key *key)
{
	__u32 other = request_other(key->protocol, key->direction);
	__u32 slot = request_slot(&request_service_ids, &request_service_owners, key,
				  &request_control.next_service, REQUEST_SERVICES, other);
	struct request_service *s = bpf_map_lookup_elem(&request_services, &slot);

	if (s && slot >= REQUEST_OTHERS && !s->key.protocol)
		request_introduce(s, key);
	return slot;
}

/* A new operation: a slot of its own, unless the service has enough of them. */
__noinline __u32 request_new_operation(REQUEST_C_PARAM, REQUEST_W_PARAM, __u64 key)
{
	struct request_operation *o;
	struct request_service *s;
	__u32 service, slot;

	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	service = c->service;
	slot = request_other(c->protocol, c->direction);
	s = bpf_map_lookup_elem(&request_services, &service);
	if (!s || service < REQUEST_OTHERS)
		return slot;
	if (s->operations >= REQUEST_OPERATIONS_EACH) {
		set_name(w, NAME8('o', 't', 'h', 'e', 'r', 0, 0, 0), 0);
		key = hash_word(w->hash, service);
	}
	slot = request_slot(&request_operation_ids, &request_operation_owners, &key,
			    &request_control.next_operation, OPERATION_UNNAMED, slot);
	o = bpf_map_lookup_elem(&request_operations, &slot);
	if (o && slot >= REQUEST_OTHERS && !o->used) {
		o->service = service;
		__builtin_memcpy(o->name, w->name.text, sizeof(o->name));
		o->name[sizeof(o->name) - 1] = 0;
		o->used = 1;
		__sync_fetch_and_add(&s->operations, 1);
	}
	return slot;
}

/* The slot of the operation that work->name and work->hash tell. */
static __always_inline __u32 request_operation_of(REQUEST_PARAMS)
{
	__u64 key;
	__u32 *known;

	if (likely(w->hash == c->hash && w->hash))
		return c->operation;
	if (!w->hash)
		return OPERATION_UNNAMED;
	key = hash_word(w->hash, c->service);
	known = bpf_map_lookup_elem(&request_operation_ids, &key);
	c->operation = known ? *known : request_new_operation(REQUEST_C, REQUEST_W, key);
	c->hash = w->hash;
	return c->operation;
}

/* The slot of what has no name: "other" of its service. */
__noinline __u32 request_other_operation(REQUEST_C_PARAM, REQUEST_W_PARAM)
{
	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	set_name(w, NAME8('o', 't', 'h', 'e', 'r', 0, 0, 0), 0);
	return request_operation_of(REQUEST_BOTH);
}

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
