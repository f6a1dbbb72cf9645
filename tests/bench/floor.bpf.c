/* floor.bpf.c - empty programs on the hooks that trimtab and its peers use.
 *
 * What a hook costs with a program on it that does nothing is the floor under every tracer there;
 * what the kernel's run-time statistics read for such a program is the error of those statistics.
 * Loaded by floor.c, which attaches the ones it is told to.
 */
#define SEC(name) __attribute__((section(name), used))

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sys_enter")
int floor_sys_enter(void *args)
{
	return 0;
}

SEC("tp_btf/sys_exit")
int floor_sys_exit(void *args)
{
	return 0;
}

/* the same two with one clock read each: what any duration costs */
static unsigned long long (*const clock_ns)(void) = (void *)5; /* bpf_ktime_get_ns */

SEC("tp_btf/sys_enter")
int clock_sys_enter(void *args)
{
	return clock_ns() == 0;
}

SEC("tp_btf/sys_exit")
int clock_sys_exit(void *args)
{
	return clock_ns() == 0;
}

SEC("tp_btf/sched_switch")
int floor_switch(void *args)
{
	return 0;
}

SEC("tp_btf/sched_wakeup")
int floor_wakeup(void *args)
{
	return 0;
}

SEC("tp_btf/block_rq_complete")
int floor_complete(void *args)
{
	return 0;
}
