/* governor.h - how much detail the BPF half may keep within its CPU budget. Pure: a table and a
 * rule.
 *
 * Given the measured share of the node's CPU that BPF programs use, it sheds one level of detail
 * when the budget was passed in GOVERNOR_PATIENCE samples in a row, and gives one back when the use
 * stayed under half of the budget for GOVERNOR_RECOVERY samples.
 */
#ifndef TRIMTAB_GOVERNOR_H
#define TRIMTAB_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>

#define GOVERNOR_PATIENCE 3
#define GOVERNOR_RECOVERY 12

/* What a level sheds; level 0 sheds nothing, each one keeps what the one before shed. */
struct governor_level {
	uint32_t syscall_limit;	 /* the most that is observed: enum syscall_mode */
	uint32_t window_stretch; /* a window comes once in so many periods */
	uint32_t sweep_stretch;	 /* TCP sweeps are so many times rarer */
	bool sched_off;		 /* run queue and blocked time are not measured */
	const char *about;
};

extern const struct governor_level governor_levels[];
extern const uint32_t governor_levels_n;

struct governor {
	uint32_t level;
	uint32_t over, under; /* samples in a row */
};

/* Takes a sample; returns true if the level changed. */
bool governor_step(struct governor *g, double ratio, double budget);

#endif
