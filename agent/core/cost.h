/* cost.h - what the BPF programs cost: their own run time, measured in short random windows.
 *
 * BPF_STATS_RUN_TIME adds two clock reads to every run of every BPF program on the node, so it is
 * switched on for COST_WINDOW_NS in every COST_PERIOD_NS, at a random place, and scaled. Keeper
 * only.
 */
#ifndef TRIMTAB_COST_H
#define TRIMTAB_COST_H

#include <stdint.h>
#include "probes.h"

#define COST_WINDOW_NS 200000000ULL
#define COST_PERIOD_NS 10000000000ULL

struct cost {
	struct probes *probes;
	struct shared *shared;
	uint64_t due_ns;
	uint64_t period_start_ns, opened_ns;
	int stats_fd;		/* -1: closed */
	uint32_t progs_n, cpus; /* of shared, which roles can write */
	double ratio;		/* smoothed share of the node's CPU */
	struct probe_run before[SHARED_PROGS];
};

void cost_init(struct cost *c, struct probes *p, struct shared *s, uint64_t now_ns);
/* Opens or closes a window that is due. True if a new sample is in shared->bpf_cpu_ratio. */
bool cost_run(struct cost *c, uint64_t now_ns);
void cost_fini(struct cost *c);

#endif
