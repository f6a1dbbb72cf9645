/* self.c - what the BPF half costs: run time and runs of its programs, kernel memory of its maps.
 *
 * Source: shared memory, written by the keeper. Bounds: SHARED_PROGS programs, SHARED_MAPS maps.
 */
#include "sense.h"

#include "core/agent.h"
#include "probe_series.h"

static const struct metric RUN_SECONDS METRIC = {
    "trimtab_probe_run_seconds_total", METRIC_COUNTER, "probe",
    "CPU time of a probe's BPF programs, estimated from random windows of 0.2 s in every 10 s.",
    "BPF_ENABLE_STATS"};
static const struct metric RUNS METRIC = {
    "trimtab_probe_runs_total", METRIC_COUNTER, "probe",
    "Runs of a probe's BPF programs, estimated from the same windows.", "BPF_ENABLE_STATS"};
static const struct metric UP METRIC = {
    "trimtab_probe_up", METRIC_GAUGE, "probe",
    "1 if the probe is attached, 0 if it is off, failed or shed; /api/status says why.",
    "the keeper"};
static const struct metric MAP_BYTES METRIC = {"trimtab_map_bytes", METRIC_GAUGE, "map",
					       "Kernel memory of a BPF map when it was made.",
					       "/proc/self/fdinfo"};
static const struct metric CPU_RATIO METRIC = {
    "trimtab_probe_cpu_ratio", METRIC_GAUGE, "",
    "Share of the node's CPU that all BPF programs use, smoothed; the governor's budget is "
    "agent.budget_ratio.",
    "BPF_ENABLE_STATS"};
static const struct metric SHED METRIC = {
    "trimtab_probe_shed_level", METRIC_GAUGE, "",
    "How much detail the governor has shed to keep the budget; 0 is none.", "the keeper"};

static void write_probe(struct agent *a, uint32_t probe, uint64_t now)
{
	const struct shared *s = a->shared;
	const char *name = s->probe[probe].name;
	double seconds = 0, runs = 0, missed = 0;

	for (uint32_t i = 0; i < s->progs_n; i++) {
		if (s->prog[i].probe != probe)
			continue;
		seconds += s->prog[i].run_seconds;
		runs += s->prog[i].runs;
		missed += s->prog[i].missed;
	}
	store_set(a->store, &UP, now, s->probe[probe].phase == PROBE_ATTACHED, "probe", name, NULL);
	if (s->probe[probe].phase == PROBE_OFF || s->probe[probe].phase == PROBE_FAILED)
		return;
	store_set(a->store, &RUN_SECONDS, now, seconds, "probe", name, NULL);
	store_set(a->store, &RUNS, now, runs, "probe", name, NULL);
	store_set(a->store, &lost_metric, now, missed, "probe", name, "reason", "missed_run", NULL);
}

static int tick(struct agent *a, void *state, uint64_t now)
{
	const struct shared *s = a->shared;

	for (uint32_t i = 0; i < s->probes_n; i++)
		write_probe(a, i, now);
	for (uint32_t i = 0; i < s->maps_n; i++)
		store_set(a->store, &MAP_BYTES, now, s->map[i].bytes, "map", s->map[i].name, NULL);
	store_set(a->store, &CPU_RATIO, now, s->bpf_cpu_ratio, NULL);
	store_set(a->store, &SHED, now, s->shed_level, NULL);
	return 0;
}

static int init(struct agent *a, void **ret_state)
{
	return 0;
}

const struct module self_module = {
    .name = "self",
    .about = "what the BPF half costs",
    .roles = ROLE_AGENT,
    .period_ms = 2000,
    .init = init,
    .tick = tick,
};
