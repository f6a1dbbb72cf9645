/* sched.c - reads the sched probe's array: run-queue latency, uninterruptible sleep, switches.
 *
 * Source: BPF array mapped by the keeper, summed over CPUs; no system call.
 */
#include "sense.h"

#include <errno.h>
#include "core/agent.h"
#include "core/probes.h"
#include "maps.h"
#include "probe_series.h"
#include "store/quantile.h"

static const struct metric WAIT METRIC = {
    "trimtab_sched_wait_seconds", METRIC_HISTOGRAM, "",
    "Run-queue latency: from runnable (woken, or preempted) to running. Complete.",
    "tp_btf/sched_switch, tp_btf/sched_wakeup"};
static const struct metric UNINTERRUPTIBLE METRIC = {
    "trimtab_sched_uninterruptible_seconds", METRIC_HISTOGRAM, "",
    "Time asleep in uninterruptible (D) state, mostly waiting for a disk, up to the wake-up. "
    "Complete.",
    "tp_btf/sched_switch, tp_btf/sched_wakeup"};
static const struct metric SWITCHES METRIC = {
    "trimtab_sched_switches_total", METRIC_COUNTER, "kind",
    "Context switches: voluntary if the task blocked, involuntary if it could have run on.",
    "tp_btf/sched_switch"};

static int tick(struct agent *a, void *state, uint64_t now)
{
	uint64_t voluntary = 0, involuntary = 0, unmatched = 0, no_room = 0;
	struct hist wait = {}, uninterruptible = {}, *h;

	for (uint32_t cpu = 0; cpu < a->shared->cpus; cpu++) {
		const struct sched_cpu *c = &a->maps->sched_cpus[cpu];

		hist_merge(&wait, &c->wait);
		hist_merge(&uninterruptible, &c->uninterruptible);
		voluntary += c->voluntary;
		involuntary += c->involuntary;
		unmatched += c->unmatched;
		no_room += c->no_room;
	}
	h = store_hist(a->store, &WAIT, now, NULL);
	if (h)
		*h = wait;
	h = store_hist(a->store, &UNINTERRUPTIBLE, now, NULL);
	if (h)
		*h = uninterruptible;
	store_set(a->store, &SWITCHES, now, voluntary, "kind", "voluntary", NULL);
	store_set(a->store, &SWITCHES, now, involuntary, "kind", "involuntary", NULL);
	store_set(a->store, &lost_metric, now, unmatched, "probe", "sched", "reason", "unmatched",
		  NULL);
	store_set(a->store, &lost_metric, now, no_room, "probe", "sched", "reason", "no_room",
		  NULL);
	return 0;
}

static int init(struct agent *a, void **ret_state)
{
	if (a->maps->sched_cpus)
		return 0;
	agent_reason(a, "the sched probe is not loaded");
	return -ENOTSUP;
}

const struct module sched_module = {
    .name = "sched",
    .about = "run-queue latency, uninterruptible sleep, context switches",
    .roles = ROLE_AGENT,
    .period_ms = 2000,
    .init = init,
    .tick = tick,
};
