/* request_connection.bpf.h - what is kept of connections that carry requests, where they are
 * counted, and what the programs are told before they are loaded. For every way of seeing requests.
 */
#ifndef TRIMTAB_REQUEST_CONNECTION_BPF_H
#define TRIMTAB_REQUEST_CONNECTION_BPF_H

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

#endif
