/* prometheus.h - the store as Prometheus text 0.0.4 or OpenMetrics 1.0 text.
 *
 * A histogram is served as classic buckets, one a doubling: the same 32 edges, 2^-25 s (30 ns) to
 * 2^6 s, for every metric. The set never varies, neither between scrapes nor between series: a
 * bucket that comes and goes would make histogram_quantile() wrong, and `sum by (le)` over metrics
 * or nodes needs equal edges. Nothing here is faster than 30 ns; what is lands in the first bucket.
 * Whoever needs more than one bucket a doubling scrapes the protobuf format. A histogram without
 * samples is left out.
 *
 * Cost: about 0.1 us a number and 1 us a histogram.
 */
#ifndef TRIMTAB_PROMETHEUS_H
#define TRIMTAB_PROMETHEUS_H

#include <stdbool.h>
#include <stdint.h>
#include "hist.h"
#include "serve/buffer.h"
#include "store/store.h"

#define PROMETHEUS_EDGES 32
#define PROMETHEUS_EDGE_MIN_LOG2 (-25)

/* match: patterns as glob_match() takes them, NULL for all. */
void prometheus_write(struct store *s, uint64_t now_ns, const char *match, bool openmetrics,
		      struct buffer *out);

/* The samples at or below each classic edge; returns all samples, which is the +Inf bucket. */
uint64_t prometheus_buckets(const struct hist *h, uint64_t ret_count[PROMETHEUS_EDGES]);

#endif
