/* syscall.bpf.c - every syscall exactly: count, duration, errors, while observation is switched on.
 *
 * The keeper attaches both programs for as long as it observes (all the time in exact mode,
 * randomly placed windows otherwise) and opens the window by control.open_since_ns, so that a
 * window's ends are sharp whatever attaching takes. A call is observed if its entry and its return
 * are seen in the same window.
 *
 * The start time is kept in an array indexed by the address of the task's kernel stack and checked
 * by it; when two tasks in a syscall share a place (their stacks are a multiple of 2 GiB apart),
 * the second one uses a hash.
 */
#include "tcp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define NR_RT_SIGRETURN 15
#define NR_EXIT 60
#define NR_EXIT_GROUP 231
#define NR_CLONE 56
#define NR_FORK 57
#define NR_VFORK 58
#define NR_CLONE3 435
#define MAX_ERRNO 4095
#define KEY_ACCEPT (43 + 1)
#define KEY_ACCEPT4 (288 + 1)

struct start {
	__u64 ns;
	__u64 call; /* task_key() | nr; 0: free */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TASK_SLOTS);
	__type(key, __u32);
	__type(value, struct start);
} syscall_starts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, __u64); /* task_key() */
	__type(value, struct start);
} syscall_spill SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set to the number of CPUs before loading */
	__type(key, __u32);
	__type(value, struct syscall_cpu);
} syscall_cpus SEC(".maps");

struct syscall_control syscall_control = {};

static __always_inline struct syscall_cpu *this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&syscall_cpus, &cpu);
}

/* What tells a task from all others while it is in a syscall: where its kernel stack holds the
 * registers of user space. (Pointers may not be shifted; the difference of two is a number.) */
static __always_inline __u64 task_key(struct pt_regs *regs)
{
	return (__u64)((char *)regs - (char *)&syscall_control) & ~(SYSCALL_NRS - 1ULL);
}

/* Stacks are mapped 32 KiB or more apart; neighbours, often a pair that talks to each other from
 * different CPUs, go to different cache lines. */
static __always_inline __u32 task_slot(__u64 key)
{
	__u32 stack = key >> 15;

	return (stack << 12 | (stack >> 4 & 0xfff)) & (TASK_SLOTS - 1);
}

static __noinline int spill(__u64 key, __u32 nr)
{
	struct start start = {.ns = bpf_ktime_get_ns(), .call = key | nr};
	struct syscall_cpu *c;

	if (bpf_map_update_elem(&syscall_spill, &key, &start, BPF_ANY)) {
		c = this_cpu();
		if (c)
			c->no_room++;
	}
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_enter, struct pt_regs *regs, long id)
{
	__u64 since = syscall_control.open_since_ns, key = task_key(regs);
	__u32 slot = task_slot(key), nr;
	struct start *s;

	if (!since || id == NR_EXIT || id == NR_EXIT_GROUP)
		return 0;
	s = bpf_map_lookup_elem(&syscall_starts, &slot);
	if (!s)
		return 0;
	nr = syscall_key(id, regs->cs, regs->si);
	/* taken by another task that is in a syscall seen in this window */
	if (unlikely(s->call && (s->call ^ key) >= SYSCALL_NRS && s->ns >= since))
		return spill(key, nr);
	s->call = key | nr;
	s->ns = bpf_ktime_get_ns();
	return 0;
}

/* rt_sigreturn "returns" whatever the interrupted code had in that register. */
static __always_inline void count_error(struct syscall_slot *slot, __u32 key, long ret)
{
	__u64 error = -ret;

	if (ret >= 0 || ret < -MAX_ERRNO || key == NR_RT_SIGRETURN + 1)
		return;
	verifier_sees(error);
	if (error >= SYSCALL_ERRNOS)
		error = 0;
	slot->errors[error]++;
}

/* A return whose entry was not seen. It is counted, so that returns per observed second are the
 * rate of calls however long they take; but a new task's first return is no call of its own. */
static __always_inline int late(struct syscall_cpu *c, struct pt_regs *regs, long ret)
{
	long nr = regs->orig_ax;
	__u32 key = syscall_key(nr, regs->cs, regs->si);
	struct syscall_slot *slot;

	if (ret == 0 && (nr == NR_CLONE || nr == NR_FORK || nr == NR_VFORK || nr == NR_CLONE3))
		return 0;
	slot = &c->slot[syscall_slot_of(&c->leases, key)];
	slot->late++;
	count_error(slot, key, ret);
	return 0;
}

/* How long the connection that accept() has just returned as `fd` waited for it. */
static __noinline int accepted(__u32 fd, __u64 now)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;
	struct connection *c;
	struct tcp_port *p;
	struct socket *socket;
	struct sock *sk;
	__u64 key;

	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	key = (__u64)sk;
	c = bpf_map_lookup_elem(&tcp_connections, &key);
	if (!c || !c->start_ns)
		return 0;
	p = port_of(&sk->__sk_common);
	if (p && p->direction == TCP_INBOUND)
		hist_add_atomic(&p->accept, now - c->start_ns);
	c->start_ns = 0;
	return 0;
}

static __always_inline int observe(struct syscall_cpu *c, struct start *start, __u64 now, long ret)
{
	__u32 key = start->call & (SYSCALL_NRS - 1);
	struct syscall_slot *slot = &c->slot[syscall_slot_of(&c->leases, key)];

	hist_add(&slot->duration, now - start->ns);
	count_error(slot, key, ret);
	if (unlikely((key == KEY_ACCEPT || key == KEY_ACCEPT4) && ret >= 0))
		accepted(ret, now);
	return 0;
}

static __always_inline int left(struct pt_regs *regs, long ret)
{
	__u64 now = bpf_ktime_get_ns(), since = syscall_control.open_since_ns, key = task_key(regs);
	__u32 slot = task_slot(key);
	struct start *s, spilled;
	struct syscall_cpu *c;

	if (!since)
		return 0;
	s = bpf_map_lookup_elem(&syscall_starts, &slot);
	c = this_cpu();
	if (!s || !c)
		return 0;
	if (unlikely((s->call ^ key) >= SYSCALL_NRS)) {
		s = bpf_map_lookup_elem(&syscall_spill, &key);
		if (!s)
			return late(c, regs, ret);
		spilled = *s;
		bpf_map_delete_elem(&syscall_spill, &key);
		if (spilled.ns < since)
			return late(c, regs, ret);
		return observe(c, &spilled, now, ret);
	}
	if (unlikely(s->ns < since))
		return late(c, regs, ret);
	observe(c, s, now, ret);
	s->call = 0;
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *regs, long ret)
{
	cpu_keep();
	left(regs, ret);
	cpu_leave();
	return 0;
}
