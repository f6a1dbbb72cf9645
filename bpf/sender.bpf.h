/* sender.bpf.h - the task that sends a packet, for programs in packets, which have no pointers to
 * tasks. */
#ifndef TRIMTAB_SENDER_BPF_H
#define TRIMTAB_SENDER_BPF_H

#include "common.bpf.h"

#define CGROUP_ROOT 1

/* The task that is sending: a softirq does not send for a socket that a task has locked. NULL: none
 * is. */
static __always_inline struct task_struct *sender(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp || !tp->inet_conn.icsk_inet.sk.sk_lock.owned)
		return NULL;
	return (struct task_struct *)bpf_get_current_task();
}

/* As cgroup_id_of(). */
static __always_inline __u64 cgroup_of_task(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *state;
	__u64 id = BPF_CORE_READ(set, dfl_cgrp, kn, id);

	if (id > CGROUP_ROOT || !bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return id;
	if (bpf_core_read(&state, sizeof(state),
			  &set->subsys[bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id)]))
		return id;
	return BPF_CORE_READ(state, cgroup, kn, id);
}

#endif
