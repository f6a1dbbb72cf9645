/* quantile.h - reading and merging hist.h histograms in user space. Pure. */
#ifndef TRIMTAB_QUANTILE_H
#define TRIMTAB_QUANTILE_H

#include <stdint.h>
#include "hist.h"

/* The upper edge in seconds of slot s: 0 for slot 0, +Inf for the overflow slot. */
double hist_edge_seconds(uint32_t slot);
uint64_t hist_samples(const struct hist *h);
/* The q-quantile (0 <= q <= 1) in seconds: the middle, in log space, of the bucket that holds the
 * sample of rank ceil(q n), which is at most 4.4 % off whatever the samples are. (Interpolating by
 * rank, as Prometheus does, can be a whole bucket off: 9 %.) NaN if empty, 64 if it lies in the
 * overflow slot. */
double hist_quantile(const struct hist *h, double q);
void hist_merge(struct hist *into, const struct hist *from);
/* a - b, slot by slot; a slot that fell (never, unless memory was reset) counts as 0. */
void hist_delta(const struct hist *a, const struct hist *b, struct hist *ret);

#endif
