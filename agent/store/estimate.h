/* estimate.h - the rate of events that were counted only while a window was open. Pure.
 *
 * One observation a tick: how many events were counted and how long the windows were open in it.
 * The rate is events per observed second over the last ESTIMATE_TICKS ticks (a ratio estimate with
 * the ticks as clusters); its error is the half width of the 99 % interval by Student's t, from how
 * much the ticks differ, shrunk by the share that was not left to chance and widened for few events
 * as Wilson's is. It holds for any load that is no shorter-lived than the ticks looked at. In exact
 * mode the error is 0.
 */
#ifndef TRIMTAB_ESTIMATE_H
#define TRIMTAB_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

#define ESTIMATE_TICKS 32
#define ESTIMATE_TICKS_MIN 5 /* fewer make no error figure */

struct estimate_clock {
	double observed_s[ESTIMATE_TICKS], elapsed_s[ESTIMATE_TICKS];
	uint32_t ticks; /* so far; the newest is at (ticks - 1) % ESTIMATE_TICKS */
};

struct estimate_counts {
	uint32_t events[ESTIMATE_TICKS];
};

/* Begins a tick. */
void estimate_tick(struct estimate_clock *c, double observed_s, double elapsed_s);
/* Notes the events of the tick begun last. */
void estimate_note(const struct estimate_clock *c, struct estimate_counts *e, uint64_t events);
/* The share of time observed over the ticks kept; 0 if there are none. */
double estimate_observed_ratio(const struct estimate_clock *c);
/* False if nothing was observed. *ret_error is NAN with fewer than ESTIMATE_TICKS_MIN ticks. */
bool estimate_rate(const struct estimate_clock *c, const struct estimate_counts *e,
		   double *ret_per_s, double *ret_error);

#endif
