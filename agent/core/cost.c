#include "cost.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "agent.h"
#include "log.h"

#define SMOOTHING                                                                                  \
	0.3 /* weight of the newest sample: one in ten windows of syscalls meets a sample */

void cost_init(struct cost *c, struct probes *p, struct shared *s, uint64_t now)
{
	*c = (struct cost){.probes = p,
			   .shared = s,
			   .due_ns = now + COST_WINDOW_NS,
			   .period_start_ns = now,
			   .progs_n = s->progs_n ? SHARED_PROGS : 0, /* some may come */
			   .cpus = s->cpus,
			   .stats_fd = -1};
	if (!c->progs_n)
		c->due_ns = UINT64_MAX;
}

static void plan_next(struct cost *c, uint64_t now)
{
	c->period_start_ns += COST_PERIOD_NS;
	if (c->period_start_ns < now)
		c->period_start_ns = now;
	c->due_ns = c->period_start_ns + (uint64_t)random() % (COST_PERIOD_NS - COST_WINDOW_NS);
}

static void open_window(struct cost *c)
{
	c->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (c->stats_fd < 0) {
		log_warn("keeper",
			 "cannot measure the cost of BPF programs (BPF_ENABLE_STATS): %s; it needs "
			 "CAP_SYS_ADMIN, and without it agent.budget_ratio is not kept",
			 strerror(errno));
		c->due_ns = UINT64_MAX;
		return;
	}
	c->opened_ns = agent_now_ns();
	probes_runs(c->probes, c->before, SHARED_PROGS);
	c->due_ns = c->opened_ns + COST_WINDOW_NS;
}

/* Scales what ran in the window to the time since the last window's scaling. */
static void close_window(struct cost *c)
{
	struct probe_run after[SHARED_PROGS] = {};
	uint64_t open_ns = agent_now_ns() - c->opened_ns;
	double scale = (double)COST_PERIOD_NS / open_ns, run_ns = 0, sample;
	struct shared *s = c->shared;

	probes_runs(c->probes, after, SHARED_PROGS);
	close(c->stats_fd);
	c->stats_fd = -1;
	for (uint32_t i = 0; i < c->progs_n; i++) {
		struct shared_prog *p = &s->prog[i];

		run_ns += after[i].run_ns - c->before[i].run_ns;
		p->run_seconds += (after[i].run_ns - c->before[i].run_ns) * scale / 1e9;
		p->runs += (after[i].runs - c->before[i].runs) * scale;
		p->missed = after[i].missed;
	}
	sample = run_ns / open_ns / c->cpus;
	c->ratio += SMOOTHING * (sample - c->ratio);
	s->bpf_cpu_ratio = c->ratio;
}

bool cost_run(struct cost *c, uint64_t now)
{
	if (now < c->due_ns)
		return false;
	if (c->stats_fd < 0) {
		open_window(c);
		return false;
	}
	close_window(c);
	plan_next(c, now);
	return true;
}

void cost_fini(struct cost *c)
{
	if (c->stats_fd >= 0)
		close(c->stats_fd);
}
