/* shared.h - the memory that the keeper and its roles share, mapped before the first fork.
 *
 * Each field has one writer, named beside it; readers take what they see. Numbers are u64 or
 * smaller and aligned, so that a reader never sees half of one.
 */
#ifndef TRIMTAB_SHARED_H
#define TRIMTAB_SHARED_H

#include <stdint.h>
#include <sys/types.h>

#define SHARED_PROBES 8
#define SHARED_PROGS 48
#define SHARED_MAPS 64
#define SHARED_ROLES 8
#define SHARED_REASON_MAX 200
#define SHARED_DROP_REASONS 192 /* TCP_DROP_REASONS of maps.h */

enum probe_phase { PROBE_OFF, PROBE_ATTACHED, PROBE_FAILED, PROBE_SHED };

/* written by the keeper */
struct shared_probe {
	char name[16];
	uint32_t phase;			/* enum probe_phase */
	char reason[SHARED_REASON_MAX]; /* why it failed, or what was shed; "" if all is well */
};

/* written by the keeper: one BPF program's own cost. Run time is measured in short random windows
 * (BPF_STATS_RUN_TIME costs two clock reads a run) and scaled by the share of time measured. */
struct shared_prog {
	char name[32];
	uint32_t probe; /* index of its probe */
	uint32_t attached;
	double run_seconds; /* estimated total */
	double runs;	    /* estimated total */
	uint64_t missed;    /* runs the kernel skipped (recursion), exact */
};

struct shared_map {
	char name[32];
	uint32_t probe;
	uint64_t bytes; /* as the kernel accounts it (memlock in fdinfo) */
};

/* written by the keeper: how much of the time every syscall was observed */
struct shared_windows {
	uint32_t sequence;	 /* odd while closed_ns and open_since_ns change together */
	uint32_t mode;		 /* enum syscall_mode now in force */
	uint32_t configured;	 /* enum syscall_mode to return to */
	uint64_t exact_until_ns; /* exact mode asked for a bounded time; 0: not */
	uint64_t closed_ns;	 /* sum of all windows that have ended */
	uint64_t open_since_ns;	 /* 0: no window is open */
	uint64_t windows;	 /* opened since the start */
};

/* written by the keeper */
struct shared_role {
	char name[16];
	pid_t pid; /* 0: not running */
	uint32_t restarts;
	uint64_t started_ns;
	int last_status; /* as waitpid gives it */
	uint64_t beats;	 /* written by the role: turns of its timer, over all its starts */
};

/* How long every syscall was observed until now_ns, by the keeper's account. */
static inline uint64_t shared_observed_ns(const struct shared_windows *w, uint64_t now_ns)
{
	uint64_t closed, open;
	uint32_t sequence;

	do {
		sequence = __atomic_load_n(&w->sequence, __ATOMIC_ACQUIRE);
		closed = __atomic_load_n(&w->closed_ns, __ATOMIC_RELAXED);
		open = __atomic_load_n(&w->open_since_ns, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (sequence & 1 || sequence != __atomic_load_n(&w->sequence, __ATOMIC_RELAXED));
	return closed + (open && now_ns > open ? now_ns - open : 0);
}

#define SHARED_CGROUPS 128	 /* CGROUP_SLOTS of maps.h */
#define SHARED_CGROUP_COUNTERS 7 /* the fields of struct cgroup_counters */

/* written by the agent (sense/cgroup_slots.c), here so that a restarted one goes on with it: who
 * holds a slot of the BPF programs, and what its counters were when it got it. */
struct shared_cgroup {
	uint64_t id; /* 0: free */
	uint64_t base[SHARED_CGROUP_COUNTERS];
	uint64_t activity; /* waits at the last look */
	uint32_t draining; /* taken away; its counters are folded into "other" at the next look */
};

#define SHARED_SERVICES 128   /* REQUEST_SERVICES of maps.h */
#define SHARED_OPERATIONS 512 /* REQUEST_OPERATIONS of maps.h */
#define SHARED_SERVICE_NAME 112

/* written by the agent (sense/request_slots.c), here so that a restarted one goes on with it: the
 * name of the service in a slot of the BPF programs. */
struct shared_service {
	uint64_t key[2]; /* the struct request_key that it was given for; both 0: it has none */
	char name[SHARED_SERVICE_NAME];
};

#define SHARED_TLS_PROCESSES 128
#define SHARED_TLS_PATH 96

/* written by the keeper: a process that matches request.tls */
struct shared_tls_process {
	pid_t pid;
	uint32_t forked; /* by it, and watched because of it */
	char comm[16];
	char file[SHARED_TLS_PATH]; /* that it has OpenSSL from */
	char reason[80];	    /* why it is not watched; "" if it is */
};

struct shared_tls {
	uint32_t processes_n, left_out;
	struct shared_tls_process process[SHARED_TLS_PROCESSES];
};

struct shared {
	uint64_t started_ns; /* keeper, CLOCK_MONOTONIC */
	uint64_t started_unix_s;
	pid_t keeper_pid;
	uint32_t cpus; /* CPU slots of the per-CPU maps */
	uint32_t probes_n, progs_n, maps_n, roles_n;
	struct shared_probe probe[SHARED_PROBES];
	struct shared_prog prog[SHARED_PROGS];
	struct shared_map map[SHARED_MAPS];
	struct shared_role role[SHARED_ROLES];
	struct shared_windows windows;
	struct shared_cgroup cgroup[SHARED_CGROUPS]; /* [0].base: what was folded into "other" */
	struct shared_service service[SHARED_SERVICES];
	/* keeper: where the counts of a slot went when it was taken back last; odd while it does so
	 */
	uint16_t service_heir[SHARED_SERVICES], operation_heir[SHARED_OPERATIONS];
	uint32_t request_turn;
	/* written by the agent: a hash of the operation's identity where the agent, by
	 * request.untimed, set REQUEST_UNTIMED; 0: it did not */
	uint64_t request_untimed[SHARED_OPERATIONS];
	struct shared_tls tls;
	char request_way[16];  /* keeper: "socket", "packet", "" if none */
	uint64_t tcp_sweep_ns; /* how long the last sweep took */
	uint32_t
	    tcp_namespaces_left_out; /* processes in namespaces beyond the bound, at each look-up */
	char drop_reason[SHARED_DROP_REASONS][40]; /* the kernel's names, lower case */
	uint32_t shed_level;			   /* keeper's governor: 0 nothing shed */
	double
	    bpf_cpu_ratio; /* keeper's governor: BPF run time now, as a share of the node's CPU */
	char kernel[136];
	char btf[SHARED_REASON_MAX]; /* "" or why there is no BTF */
};

#endif
