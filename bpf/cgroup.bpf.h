/* cgroup.bpf.h - whose account something goes to: the slot of a task's or socket's cgroup.
 *
 * User space leases the slots to the busiest cgroups (agent/sense/cgroup_slots.c): cgroup_ids holds
 * who has one, the rest is charged to slot 0, "other", and counted so that user space finds the
 * busy ones. Each CPU remembers what it looked up by the address of the task's css_set, until
 * another takes its place or user space turns the generation: then its count goes to cgroup_misses.
 */
#ifndef TRIMTAB_CGROUP_BPF_H
#define TRIMTAB_CGROUP_BPF_H

#include "common.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CGROUP_SLOTS);
	__type(key, __u64); /* the inode of the cgroup's directory */
	__type(value, __u32);
} cgroup_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CGROUP_MISSES);
	__type(key, __u64);
	__type(value, __u64); /* how often it was charged to "other" */
} cgroup_misses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set to the number of CPUs before loading */
	__type(key, __u32);
	__type(value, struct cgroup_cpu);
} cgroup_cpus SEC(".maps");

static __always_inline struct cgroup_cpu *cgroup_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&cgroup_cpus, &cpu);
}

/* The cgroup2 directory; of a task that lives only in v1 hierarchies, that of its memory cgroup. */
static __always_inline __u64 cgroup_id_of(struct css_set *set)
{
	__u64 id = set->dfl_cgrp->kn->id;
	struct cgroup_subsys_state *state;

	if (id > 1 || !bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return id;
	state = set->subsys[bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id)];
	return state->cgroup->kn->id;
}

static __always_inline __u32 cgroup_slot_by_id(__u64 id)
{
	__u32 *slot = bpf_map_lookup_elem(&cgroup_ids, &id);

	return slot ? *slot : 0;
}

/* Notes what a cgroup without a slot did on this CPU while it was remembered. */
static __always_inline void cgroup_note_misses(struct cgroup_remembered *r)
{
	__u64 id = r->id, n = r->misses, *misses = bpf_map_lookup_elem(&cgroup_misses, &id);

	if (misses)
		__sync_fetch_and_add(misses, n);
	else
		bpf_map_update_elem(&cgroup_misses, &id, &n, BPF_NOEXIST);
	r->misses = 0;
}

static __noinline int cgroup_look_up(struct cgroup_remembered *r, __u64 id)
{
	if (!r)
		return 0;
	if (r->misses)
		cgroup_note_misses(r);
	r->slot = cgroup_slot_by_id(id);
	r->id = id;
	return 0;
}

/* The slot of a task's cgroup, remembered by this CPU. */
static __always_inline __u64 cgroup_slot_of(struct cgroup_cpu *c, struct task_struct *task)
{
	struct css_set *set = task->cgroups;
	__u64 key = (char *)set - (char *)c;
	struct cgroup_remembered *r = &c->remembered[(key >> 6) & (CGROUP_REMEMBERED - 1)];

	if (unlikely(r->set != key || r->generation != c->generation)) {
		cgroup_look_up(r, cgroup_id_of(set));
		r->set = key;
		r->generation = c->generation;
	}
	if (unlikely(!r->slot))
		r->misses++;
	return r->slot;
}

static __always_inline struct cgroup_counters *cgroup_counters(struct cgroup_cpu *c, __u64 slot)
{
	verifier_sees(slot);
	return &c->slot[slot < CGROUP_SLOTS ? slot : 0];
}

#endif
