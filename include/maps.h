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
