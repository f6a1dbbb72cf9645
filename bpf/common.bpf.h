/* common.bpf.h - what the probes share. */
#ifndef TRIMTAB_COMMON_BPF_H
#define TRIMTAB_COMMON_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "maps.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define TASK_SLOTS 65536 /* places of the arrays that hold something for each task */

#define USER32_CS 0x23
#define FUTEX_CMD_MASK 0x7f
/* FUTEX_WAIT, _LOCK_PI, _WAIT_BITSET, _WAIT_REQUEUE_PI, _LOCK_PI2 */
#define FUTEX_WAITS (1u << 0 | 1u << 6 | 1u << 9 | 1u << 11 | 1u << 13)

/* Makes the compiler forget what it knows of x, so that a check after it stays in the code: the
 * verifier of 5.10 follows only the 64-bit bounds of an index. */
#define verifier_sees(x) asm volatile("" : "+r"(x))

#define PREEMPTED_FROM (7 << 16) /* Linux 7.0 */

extern int LINUX_KERNEL_VERSION __kconfig;
extern void bpf_preempt_disable(void) __weak __ksym;
extern void bpf_preempt_enable(void) __weak __ksym;

/* From 7.0 on a program at a tracepoint can be preempted. One that writes what is its CPU's alone
 * does so between these two. */
static __always_inline void cpu_keep(void)
{
	if (LINUX_KERNEL_VERSION >= PREEMPTED_FROM && bpf_preempt_disable)
		bpf_preempt_disable();
}

static __always_inline void cpu_leave(void)
{
	if (LINUX_KERNEL_VERSION >= PREEMPTED_FROM && bpf_preempt_disable)
		bpf_preempt_enable();
}

static __always_inline void hist_add(struct hist *h, __u64 ns)
{
	__u32 slot = hist_slot(ns);

	if (slot >= HIST_SLOTS) /* never; for the verifier */
		return;
	h->count[slot]++;
	h->sum_ns += ns;
}

/* For histograms that any CPU may write. */
static __always_inline void hist_add_atomic(struct hist *h, __u64 ns)
{
	__u32 slot = hist_slot(ns);

	if (slot >= HIST_SLOTS)
		return;
	__sync_fetch_and_add(&h->count[slot], 1);
	__sync_fetch_and_add(&h->sum_ns, ns);
}

/* Gives `key` (a device, a port) a slot of first .. slots - 1 of its own, on first use; 0 if all
 * are taken. `ids` maps keys to slots, `owners` slots to keys; both are hashes, whose BPF_NOEXIST
 * is the only compare-and-swap that 5.10 has. User space takes a slot back by deleting both
 * entries. */
static __always_inline __u32 slot_of_key(void *ids, void *owners, __u32 key, __u32 first,
					 __u32 slots)
{
	__u32 *known = bpf_map_lookup_elem(ids, &key), slot, i;

	if (likely(known))
		return *known < slots ? *known : 0;
	for (i = first; i < slots; i++) {
		slot = i;
		if (bpf_map_update_elem(owners, &slot, &key, BPF_NOEXIST))
			continue;
		if (!bpf_map_update_elem(ids, &key, &slot, BPF_NOEXIST))
			return slot;
		bpf_map_delete_elem(owners, &slot); /* another CPU was first with this key */
		known = bpf_map_lookup_elem(ids, &key);
		return known && *known < slots ? *known : 0;
	}
	return 0;
}

/* The key of a syscall in struct syscall_leases: its number + 1, 0 for what cannot be told. `cs`
 * and `argument` (the second one) are those that the task entered with. */
static __always_inline __u32 syscall_key(long nr, unsigned long cs, unsigned long argument)
{
	if (unlikely(cs == USER32_CS))
		return 0; /* a 32-bit program's numbers are others */
	if (nr == SYSCALL_NR_FUTEX && FUTEX_WAITS >> (argument & FUTEX_CMD_MASK & 31) & 1)
		return SYSCALL_NR_FUTEX_WAIT + 1;
	return (unsigned long)nr < SYSCALL_NRS - 1 ? nr + 1 : 0;
}

static __noinline __u32 lease_syscall(struct syscall_leases *l, __u64 key)
{
	__u64 slot;

	if (!l || key == 0)
		return 0;
	slot = l->used ? l->used : 1;
	verifier_sees(key);
	verifier_sees(slot);
	if (slot >= SYSCALL_SLOTS || key >= SYSCALL_NRS)
		return 0;
	l->key_of[slot] = key;
	l->slot_of[key] = slot;
	l->used = slot + 1;
	return slot;
}

/* The slot of a key on this CPU; 0 is "other". */
static __always_inline __u64 syscall_slot_of(struct syscall_leases *l, __u64 key)
{
	__u64 slot;

	verifier_sees(key);
	if (key >= SYSCALL_NRS)
		return 0;
	slot = l->slot_of[key];
	if (unlikely(slot == 0))
		slot = lease_syscall(l, key);
	verifier_sees(slot);
	return slot < SYSCALL_SLOTS ? slot : 0;
}

#endif
