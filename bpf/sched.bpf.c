/* sched.bpf.c - run-queue latency, uninterruptible sleep, context switches, and the time that tasks
 * were blocked inside each syscall: always on, complete, without a syscall tracepoint.
 *
 * A task that stops running leaves a stamp: when, why, in which syscall (its saved registers say).
 * Its wake-up adds the time at which it could have run. When it runs again, both intervals are
 * known: blocked = wake-up - off, wait = running - wake-up. Blocked time so never holds run-queue
 * time. The stamps are kept in an array by thread id, checked by it, with a hash behind it for
 * live threads whose ids differ by a multiple of 65536.
 *
 * Three hooks, one clock read each.
 */
#include "cgroup.bpf.h"
#include "task_disk.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define TASK_UNINTERRUPTIBLE 2
#define TASK_NOLOAD 0x400 /* with the former TASK_IDLE: an idle kernel thread, waiting for work */
#define TASK_GONE (0x10 | 0x20 | 0x80) /* EXIT_DEAD, EXIT_ZOMBIE, TASK_DEAD: never runs again */
/* tasks whose saved registers are not those of a syscall */
/* PF_KTHREAD, PF_IO_WORKER, PF_WQ_WORKER, PF_USER_WORKER */
#define PF_NO_USER_REGS (0x00200000 | 0x10 | 0x20 | 0x4000)
#define THREAD_SIZE 16384 /* x86-64 without KASAN */
#define PT_REGS_SIZE 168

struct stamp {
	__u32 tid;  /* 0: free */
	__u16 call; /* blocked in the syscall of this key + 1; 0: not in a syscall */
	__u16 uninterruptible;
	__u64 off_ns;	/* stopped running and not runnable; 0: it was runnable */
	__u64 ready_ns; /* runnable since; 0: not yet */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TASK_SLOTS);
	__type(key, __u32);
	__type(value, struct stamp);
} sched_stamps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32); /* thread id */
	__type(value, struct stamp);
} sched_spill SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set to the number of CPUs before loading */
	__type(key, __u32);
	__type(value, struct sched_cpu);
} sched_cpus SEC(".maps");

static __always_inline struct sched_cpu *this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&sched_cpus, &cpu);
}

/* Spreads neighbouring thread ids over cache lines: a pair that talks to each other is often
 * started together and runs on different CPUs. */
static __always_inline struct stamp *place_of(__u32 tid)
{
	__u32 place = (tid << 12 | (tid >> 4 & 0xfff)) & (TASK_SLOTS - 1);

	return bpf_map_lookup_elem(&sched_stamps, &place);
}

static __noinline int spill(struct stamp *stamp)
{
	struct stamp copy;
	struct sched_cpu *c;

	if (!stamp)
		return 0;
	copy = *stamp;
	if (bpf_map_update_elem(&sched_spill, &copy.tid, &copy, BPF_ANY)) {
		c = this_cpu();
		if (c)
			c->no_room++;
	}
	return 0;
}

static __always_inline void put_stamp(struct stamp *stamp)
{
	struct stamp *place = place_of(stamp->tid);

	if (!place)
		return;
	if (likely(place->tid == 0 || place->tid == stamp->tid))
		*place = *stamp;
	else
		spill(stamp);
}

/* A wake-up while it still ran left a stamp that nothing else would take away. */
static __always_inline void forget(__u32 tid)
{
	struct stamp *place = place_of(tid);

	if (place && place->tid == tid)
		place->tid = 0;
}

static __always_inline unsigned int state_of(struct task_struct *task)
{
	struct task_struct___old *old = (void *)task;

	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return old->state;
}

/* The syscall that a task is blocked in: key + 1, 0 for none. */
static __always_inline __u16 call_of(struct task_struct *task)
{
	struct pt_regs *regs;
	long nr;

	if (task->flags & PF_NO_USER_REGS)
		return 0;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
		regs = (struct pt_regs *)bpf_task_pt_regs(task);
		nr = regs->orig_ax;
		return nr < 0 ? 0 : syscall_key(nr, regs->cs, regs->si) + 1;
	}
	/* before 5.15 */
	regs = (struct pt_regs *)((char *)task->stack + THREAD_SIZE - PT_REGS_SIZE);
	nr = BPF_CORE_READ(regs, orig_ax);
	return nr < 0 ? 0 : syscall_key(nr, BPF_CORE_READ(regs, cs), BPF_CORE_READ(regs, si)) + 1;
}

static __always_inline void left(struct sched_cpu *c, struct task_struct *prev, bool preempted,
				 __u64 now)
{
	struct stamp stamp = {.tid = prev->pid};
	unsigned int state = state_of(prev);

	if (preempted || state == 0) {
		c->involuntary++;
		stamp.ready_ns = now;
	} else {
		c->voluntary++;
		if (state & TASK_GONE) {
			forget(stamp.tid);
			return;
		}
		stamp.off_ns = now;
		stamp.uninterruptible =
		    (state & (TASK_UNINTERRUPTIBLE | TASK_NOLOAD)) == TASK_UNINTERRUPTIBLE;
		stamp.call = call_of(prev);
	}
	put_stamp(&stamp);
}

static __always_inline void waited(struct sched_cpu *c, struct task_struct *task, __u64 wait_ns)
{
	struct cgroup_cpu *groups = cgroup_cpu();
	struct cgroup_counters *group;

	hist_add(&c->wait, wait_ns);
	if (!groups)
		return;
	group = cgroup_counters(groups, cgroup_slot_of(groups, task));
	group->waits++;
	group->wait_ns += wait_ns;
}

static __always_inline void came(struct sched_cpu *c, struct stamp *s, struct task_struct *task,
				 __u64 now)
{
	__u64 blocked, slot;

	if (s->ready_ns)
		waited(c, task, now - s->ready_ns);
	else
		c->unmatched++; /* its wake-up was not seen: all of the time counts as blocked */
	if (!s->off_ns)
		return;
	blocked = (s->ready_ns ?: now) - s->off_ns;
	if (s->uninterruptible) {
		hist_add(&c->uninterruptible, blocked);
		task_disk_add(task->pid, blocked);
	}
	if (s->call) {
		slot = syscall_slot_of(&c->leases, s->call - 1);
		hist_add(&c->blocked[slot], blocked);
	}
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switched, bool preempted, struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns();
	struct sched_cpu *c = this_cpu();
	struct stamp *s, copy;
	__u32 tid;

	if (!c)
		return 0;
	if (prev->pid)
		left(c, prev, preempted, now);
	tid = next->pid;
	if (!tid)
		return 0;
	s = place_of(tid);
	if (likely(s && s->tid == tid)) {
		came(c, s, next, now);
		s->tid = 0;
		return 0;
	}
	s = bpf_map_lookup_elem(&sched_spill, &tid);
	if (!s) {
		c->unmatched++;
		return 0;
	}
	copy = *s;
	bpf_map_delete_elem(&sched_spill, &tid);
	came(c, &copy, next, now);
	return 0;
}

static __always_inline int woken(struct task_struct *task)
{
	struct stamp stamp = {.tid = task->pid, .ready_ns = bpf_ktime_get_ns()};
	struct stamp *s = place_of(stamp.tid);

	if (!stamp.tid)
		return 0;
	if (s && s->tid != stamp.tid) /* its place may have become free since it left its stamp */
		s = bpf_map_lookup_elem(&sched_spill, &stamp.tid);
	if (s && s->tid == stamp.tid) {
		if (!s->ready_ns)
			s->ready_ns = stamp.ready_ns;
		return 0;
	}
	put_stamp(&stamp); /* it stopped before the start, or was never seen */
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_woken, struct task_struct *task)
{
	return woken(task);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(sched_born, struct task_struct *task)
{
	return woken(task);
}
