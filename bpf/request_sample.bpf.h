/* request_sample.bpf.h - slow requests sent to user space, with where their time went, for the ways
 * of seeing requests whose programs run in the task that reads and answers them. */
#ifndef TRIMTAB_REQUEST_SAMPLE_BPF_H
#define TRIMTAB_REQUEST_SAMPLE_BPF_H

#include "request_count.bpf.h"
#include "task_disk.bpf.h"

/* The current task has read requests: from now on its time is theirs. */
static __always_inline void note_task(struct request_connection *c, struct task_struct *task,
				      __u32 bytes)
{
	c->pid = task->pid;
	c->request_bytes = bytes;
	c->cpu_ns = task->se.sum_exec_runtime;
	c->disk_ns = task_disk_ns(task->pid);
	if (bpf_core_field_exists(task->sched_info.run_delay))
		c->run_delay_ns = task->sched_info.run_delay;
}

/* Where the time of a request went: known if the task that answers is the one that read it. */
static __always_inline void note_split(struct request_slow *s, struct request_connection *c,
				       struct task_struct *task)
{
	if (c->pid != s->pid)
		return;
	s->cpu_ns = task->se.sum_exec_runtime - c->cpu_ns;
	if (bpf_core_field_exists(task->sched_info.run_delay))
		s->run_queue_ns = task->sched_info.run_delay - c->run_delay_ns;
	s->disk_ns = task_disk_ns(s->pid);
	s->disk_ns = s->disk_ns > c->disk_ns ? s->disk_ns - c->disk_ns : 0;
}

/* The slowest answer of a call, to be submitted once its peer is set; NULL: there is no room. */
static __always_inline struct request_slow *sample_begin(struct request_connection *c,
							 struct request_work *w)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct request_slow *s;

	s = bpf_ringbuf_reserve(&request_slow, sizeof(*s), 0);
	if (!s) {
		request_lose(REQUEST_LOST_SLOW, 1);
		return NULL;
	}
	__builtin_memset(s, 0, sizeof(*s));
	s->at_ns = w->now_ns;
	s->duration_ns = w->slow_ns;
	s->queue_ns = w->slow_queue_ns == ARRIVAL_UNKNOWN ? 0 : w->slow_queue_ns;
	s->cgroup = cgroup_id_of(task->cgroups);
	s->request_bytes = c->request_bytes;
	s->response_bytes = w->call_bytes;
	s->pid = task->pid;
	s->service = c->service;
	s->operation = w->slow_operation;
	s->outcome = w->slow_outcome;
	note_split(s, c, task);
	return s;
}

#endif
