/* task_disk.bpf.h - how long each task was in uninterruptible sleep, mostly waiting for a disk.
 * Written by the sched probe, read by the request probe. By thread id modulo TASK_SLOTS: one that
 * takes the place of another begins with 0. */
#ifndef TRIMTAB_TASK_DISK_BPF_H
#define TRIMTAB_TASK_DISK_BPF_H

#include "common.bpf.h"

struct task_disk {
	__u32 tid, pad;
	__u64 ns; /* in all since the place was taken */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TASK_SLOTS);
	__type(key, __u32);
	__type(value, struct task_disk);
} task_disks SEC(".maps");

static __always_inline struct task_disk *task_disk_place(__u32 tid)
{
	__u32 place = tid & (TASK_SLOTS - 1);

	return bpf_map_lookup_elem(&task_disks, &place);
}

static __always_inline void task_disk_add(__u32 tid, __u64 ns)
{
	struct task_disk *d = task_disk_place(tid);

	if (!d)
		return;
	if (d->tid != tid) {
		d->tid = tid;
		d->ns = 0;
	}
	d->ns += ns;
}

static __always_inline __u64 task_disk_ns(__u32 tid)
{
	struct task_disk *d = task_disk_place(tid);

	return d && d->tid == tid ? d->ns : 0;
}

#endif
