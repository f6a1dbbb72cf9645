/* maps.h - the layout of the BPF maps that user space reads, shared by both halves.
 *
 * All of them are BPF_F_MMAPABLE arrays: the keeper maps them once, the roles inherit the mapping
 * and read it without a system call. Everything is a counter that never falls. What is kept per CPU
 * has one element a CPU, written by that CPU alone, so that no program needs an atomic operation.
 */
#ifndef TRIMTAB_MAPS_H
#define TRIMTAB_MAPS_H

#include "hist.h"

/* --- syscall numbers to slots, leased in the order of first use, by each CPU for itself
 * ----------- */

#define SYSCALL_NRS 512	  /* a key is the number + 1; 0 is "other": 32-bit programs, unknown ones */
#define SYSCALL_SLOTS 160 /* different syscalls told apart on one CPU; the rest is "other" */
#define SYSCALL_NR_FUTEX 202
#define SYSCALL_NR_FUTEX_WAIT 455 /* futex(2) with a waiting operation is filed under it */

struct syscall_leases {
	__u32 used;		    /* slots in use; slot 0 is "other" */
	__u16 slot_of[SYSCALL_NRS]; /* by key; 0: none */
	__u16 key_of[SYSCALL_SLOTS];
};

/* --- syscall.bpf.c ------------------------------------------------------------------------------
 */

#define SYSCALL_ERRNOS 134 /* errno 1 .. 133; 0 holds the kernel's internal ones (restarts) */

struct syscall_slot {
	struct hist duration; /* calls whose entry and return fell into one window */
	__u64 late;	      /* other returns: the call began before the window or the start */
	__u64 errors[SYSCALL_ERRNOS];
};

struct syscall_cpu {
	struct syscall_leases leases;
	__u64 no_room; /* calls whose start found no place: counted nowhere else */
	struct syscall_slot slot[SYSCALL_SLOTS];
};

struct syscall_control {
	__u64 open_since_ns; /* observe calls that begin from then on; 0: do not */
};

/* --- sched.bpf.c --------------------------------------------------------------------------------
 */

struct sched_cpu {
	struct syscall_leases leases;
	__u64 voluntary;   /* context switches away from a task that blocked */
	__u64 involuntary; /* ... from one that could have run on */
	__u64
	    unmatched; /* switches to a task whose wake-up was not seen (begun before the start) */
	__u64 no_room; /* stamps that found no place */
	struct hist wait;		    /* runnable to running */
	struct hist uninterruptible;	    /* blocked in D state, until the wake-up */
	struct hist blocked[SYSCALL_SLOTS]; /* blocked inside a syscall, until the wake-up */
};

/* --- disk.bpf.c: written by any CPU, with atomic additions
 * ---------------------------------------- */

#define DISK_DEVICES 64 /* slot 0 is "other" */

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_PASSTHROUGH, DISK_OPS };

struct disk_op_stats {
	struct hist queue;  /* from the request's allocation to its issue to the driver */
	struct hist device; /* from the issue to the completion */
	__u64 bytes;
	__u64 errors;
};

struct disk_device {
	__u32 dev; /* major << 20 | minor; 0 in slot 0 */
	__u32 pad;
	__u64 no_issue_time; /* completions whose issue was not seen: device time unknown */
	__u64 no_start_time; /* completions of a device whose iostats are off: queue time unknown */
	struct disk_op_stats op[DISK_OPS];
};

/* --- tcp.bpf.c: written by any CPU, with atomic additions
 * ----------------------------------------- */

#define TCP_PORTS 128 /* slots 0 and 1 are "other" of each direction */
#define TCP_STATES 13 /* as include/net/tcp_states.h numbers them */
#define TCP_ERRNOS 134
#define TCP_DROP_REASONS 192

enum tcp_direction { TCP_INBOUND, TCP_OUTBOUND, TCP_DIRECTIONS };

/* A service port: the local one of connections made to this node (inbound), the remote one of those
 * made by it (outbound). */
struct tcp_port {
	__u32 port;
	__u32 direction; /* enum tcp_direction */
	struct hist rtt; /* smoothed RTT: of each open connection once a sweep, and at its end */
	struct hist connect; /* outbound: SYN to ESTABLISHED */
	struct hist
	    accept; /* inbound: ESTABLISHED to the return of accept(), as syscalls are observed */
	__u64 opened;
	__u64 retransmits;
	__u64 resets[TCP_DIRECTIONS]; /* segments received, sent */
	__u64 failed[TCP_ERRNOS];     /* outbound: connects that ended in this errno; 0: given up */
	__u64 listen_drops;	      /* inbound: connection requests dropped by the listener */
	/* inbound, of the last sweep: connections waiting for accept(), and room for them */
	__u32 queue_sweep, queue, queue_max, pad;
};

struct tcp_totals {
	__u64
	    bytes[TCP_DIRECTIONS]; /* received, sent and acknowledged, by connections seen so far */
	__u64 drops[TCP_DROP_REASONS]; /* by enum skb_drop_reason; the last one holds all higher */
	__u64 untracked; /* connections that found no room: counted only when they end */
	/* Connections by state: sweep number `sweep` counts into states[sweep & 1]; readers use
	 * states[swept & 1], of the last sweep that is complete. Both are written by the keeper. */
	__u32 sweep, swept;
	__u32 states[2][TCP_STATES + 3];
};

/* --- request.bpf.c, request_packet.bpf.c: written by any CPU, with atomic additions --------------
 */

#define REQUEST_SERVICES 128   /* services told apart, inbound and outbound */
#define REQUEST_OPERATIONS 512 /* operations of all services told apart */
#define REQUEST_SHARDS 4  /* copies of what is counted, so that CPUs do not share lines; at most */
#define REQUEST_NAME 48	  /* longest name of an operation, with its NUL */
#define REQUEST_CLASSES 6 /* HTTP status classes: [1] .. [5]; [0]: none of them */

enum request_protocol {
	REQUEST_NONE, /* not recognised yet, or none of these */
	REQUEST_HTTP,
	REQUEST_REDIS,
	REQUEST_POSTGRESQL,
	REQUEST_AMQP,
	REQUEST_PROTOCOLS
};

/* Slots 0 .. REQUEST_OTHERS - 1, of services and of operations, are "other": of what found no slot,
 * by (protocol - 1) * TCP_DIRECTIONS + direction. */
#define REQUEST_OTHERS ((REQUEST_PROTOCOLS - 1) * TCP_DIRECTIONS)

enum request_outcome { REQUEST_OK, REQUEST_ERROR, REQUEST_OUTCOMES };

/* Why a request, or what may have been one, was not counted or not timed. */
enum request_lost {
	REQUEST_LOST_CONNECTIONS, /* a connection was not followed: request.connections are */
	REQUEST_LOST_SYNC,	  /* a connection is no longer followed: bytes that make no sense */
	REQUEST_LOST_LONG,	  /* ... more elements in one call than are looked at */
	REQUEST_LOST_MEMORY,	  /* ... the bytes could not be read from the caller's memory */
	REQUEST_LOST_DEPTH,	  /* counted, but not timed: more in flight than are remembered */
	REQUEST_LOST_GAP,	  /* packets only: a segment was missed or came out of order */
	REQUEST_LOST_SLOW,	  /* slow samples that found no room in the ring */
	REQUEST_LOST_NO_MEMORY,	  /* ... the kernel had none just then for a connection */
	REQUEST_LOST_STATEMENT,	  /* texts of statements that found no room in their ring */
	REQUEST_LOST_REASONS
};

/* Bytes on connections that carry requests which cannot be seen. */
enum request_unseen {
	REQUEST_UNSEEN_TLS,
	REQUEST_UNSEEN_HTTP2,
	REQUEST_UNSEEN_IO_URING,
	REQUEST_UNSEEN_COMPAT,
	REQUEST_UNSEEN_REASONS
};

/* Who a slot belongs to: what a service is known by until user space names it. */
struct request_key {
	__u64 cgroup;	/* inode of the directory: of the server if inbound, of the caller if not */
	__u16 port;	/* of the server, host order; 0: a unix socket */
	__u8 protocol;	/* enum request_protocol */
	__u8 direction; /* enum tcp_direction */
	__u32 inside;	/* 1: seen in OpenSSL, and the port, if it has one, is not known */
};

/* The slot of "other" of services like this one, and of what they do. */
static inline __u32 request_other_of(const struct request_key *key)
{
	return (key->protocol - 1) * TCP_DIRECTIONS + key->direction;
}

struct request_service {
	struct request_key key;
	__u32 operations; /* slots it took, at most REQUEST_OPERATIONS_EACH */
	__u32 sampled_ms; /* when its last slow request was */
	char comm[16];	  /* of the task that was met first: a name if the cgroup gives none */
	__u64 slow_ns;	  /* written by the agent: slower requests are sampled; 0: none */
	/* PostgreSQL, see request_statement.bpf.h: the second, what was sent in it, and that one of
	 * 2^shift is a sample */
	__u32 statement_period;
	__u16 statements_named;
	__u8 statements_sent, statement_shift;
};

#define REQUEST_OPERATIONS_EACH 64 /* operations of one service told apart; the rest is "other" */

#define REQUEST_UNTIMED 1 /* flag of an operation: it waits by design, so its time says nothing */

struct request_operation {
	__u16 service;		 /* slot */
	__u16 flags;		 /* REQUEST_UNTIMED; the agent may set it too */
	__u32 used;		 /* 0: free */
	char name[REQUEST_NAME]; /* "GET /api/users/{id}", "GET", "SELECT", "publish" */
};

/* [slot * shards + CPU % shards], shards: see struct probe_maps */
struct request_service_counts {
	/* inbound: from the arrival of the last packet read to the first write of the response;
	 * packets only: the same as the duration */
	struct hist response;
	struct hist queue;	      /* inbound: from that arrival to the read */
	__u64 class[REQUEST_CLASSES]; /* HTTP: responses by status class */
	__u64 unanswered;	      /* requests whose connection ended without a response */
};

struct request_operation_counts {
	struct hist duration; /* inbound: from the read to the write of the response; outbound: from
			       * the write of the request to the read of the response */
	__u64 outcome[REQUEST_OUTCOMES]; /* all, timed or not */
};

struct request_totals { /* [CPU % shards] */
	__u64 lost[REQUEST_LOST_REASONS];
	__u64 unseen_bytes[REQUEST_UNSEEN_REASONS];
};

/* Written by the keeper too, but for seen: the connections there are (it counts them now and then,
 * as no hook tells when one goes), and where a free slot of each kind is looked for. */
struct request_control {
	__u32 connections;
	__u32 next_service, next_operation; /* the number of slots: none is free */
	__u32 ports_known; /* by the keeper: tcp_listened has all that were listened on before */
	__u64 clock_jiffies, clock_ns;	 /* the kernel's count of ticks at a moment; 0: none yet */
	__u32 seen;			 /* connections met by the count that runs */
	__u32 seen_of[REQUEST_SERVICES]; /* ... that carry requests of a service */
};

#define REQUEST_PACKET_WORKS 4 /* packets only: places to work in, of a CPU */

/* TLS only: places to work in, of a CPU; processes and threads that are watched */
#define REQUEST_TLS_WORKS 4
#define REQUEST_TLS_SHARE 8 /* so many times fewer connections than request.connections */
#define REQUEST_TLS_PROCESSES 2048
#define REQUEST_TLS_THREADS 8192

/* A request that was slower than its service's slow_ns, sent to user space. */
struct request_slow {
	__u64 at_ns; /* CLOCK_MONOTONIC, of its response */
	__u64 duration_ns, queue_ns;
	/* of duration_ns, for the task that answered: waiting for a CPU, and running; the rest it
	 * was blocked. Both 0 if another task had read the request. */
	__u64 run_queue_ns, cpu_ns;
	__u64 disk_ns; /* of the time blocked: in uninterruptible sleep */
	__u64 cgroup;
	__u32 request_bytes,
	    response_bytes; /* of the calls that read the request, wrote the response */
	__u32 pid;
	__u16 service, operation; /* slots */
	__u8 outcome, family;	  /* AF_INET, AF_INET6, AF_UNIX */
	__u16 peer_port;	  /* host order */
	__u8 peer[16];		  /* address, network order */
};

#define REQUEST_STATEMENT_TEXT 256

/* A statement of PostgreSQL, sent to user space. */
struct request_statement {
	__u64 prepared; /* the connection and the name of a prepared statement; 0: it has none */
	__u32 weight;	/* executions that it stands for; 0: it is only parsed */
	__u16 service;	/* slot */
	__u16 text_bytes;
	char text[REQUEST_STATEMENT_TEXT]; /* up to a NUL, or cut */
};

/* of one that was parsed before: it has no text */
#define REQUEST_STATEMENT_HEAD __builtin_offsetof(struct request_statement, text)

/* --- cgroup.bpf.h -------------------------------------------------------------------------------
 */

#define CGROUP_SLOTS 128 /* slot 0 is "other" */
#define CGROUP_MISSES 256
#define CGROUP_REMEMBERED 64

struct cgroup_counters {
	__u64 wait_ns; /* runnable, waiting for a CPU */
	__u64 waits;
	__u64 io_ns; /* block I/O it issued: from issue to completion */
	__u64 ios;
	__u64 io_bytes;
	__u64 tcp_bytes[TCP_DIRECTIONS]; /* received, sent and acknowledged, by its sockets */
};

struct cgroup_remembered {
	__u64 set; /* the css_set, as the distance of its address from the struct it stands in */
	__u32 generation;
	__u32 slot;
	__u64 id;     /* the cgroup */
	__u64 misses; /* times it was charged to "other", not yet in cgroup_misses */
};

/* One for each CPU. */
struct cgroup_cpu {
	__u32 generation; /* user space adds 1 to make the CPU forget what it looked up */
	__u32 pad;
	struct cgroup_remembered remembered[CGROUP_REMEMBERED];
	struct cgroup_counters slot[CGROUP_SLOTS];
};

#endif
