/* quantile.c - reading and merging hist.h histograms: see quantile.h.
 *
 * Cost: one pass over the HIST_SLOTS slots, about 100 ns.
 */
#include "store/quantile.h"

#include <math.h>

/* 2^(j/8), correctly rounded */
static const double edges[8] = {
    0x1p+0,
    0x1.172b83c7d517bp+0,
    0x1.306fe0a31b715p+0,
    0x1.4bfdad5362a27p+0,
    0x1.6a09e667f3bcdp+0,
    0x1.8ace5422aa0dbp+0,
    0x1.ae89f995ad3adp+0,
    0x1.d5818dcfba487p+0,
};

/* 2^(1/16): from the middle of a bucket, in log space, to its edges */
#define HALF_BUCKET 0x1.0b5586cf9890fp+0

double hist_edge_seconds(uint32_t slot)
{
	if (slot == 0)
		return 0;
	if (slot >= HIST_SLOT_OVERFLOW)
		return INFINITY;
	return ldexp(edges[slot % 8], (int)(slot / 8) - HIST_INDEX_BIAS / 8);
}

uint64_t hist_samples(const struct hist *h)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < HIST_SLOTS; i++)
		n += h->count[i];
	return n;
}

double hist_quantile(const struct hist *h, double q)
{
	uint64_t n = hist_samples(h), rank, seen = 0;
	uint32_t slot = 0;
	double real;

	if (!n || isnan(q))
		return NAN;
	/* the rank counts from 1; the product may lie a rounding error above the whole number */
	real = ceil(q * (double)n * (1 - 1e-12));
	rank = real < 1 ? 1 : real >= (double)n ? n : (uint64_t)real;
	while ((seen += h->count[slot]) < rank)
		slot++;
	if (slot == 0)
		return 0;
	if (slot == HIST_SLOT_OVERFLOW)
		return HIST_MAX_NS / 1e9;
	return hist_edge_seconds(slot) / HALF_BUCKET;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	into->sum_ns += from->sum_ns;
	for (uint32_t i = 0; i < HIST_SLOTS; i++)
		into->count[i] += from->count[i];
}

static uint64_t rise(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void hist_delta(const struct hist *a, const struct hist *b, struct hist *ret)
{
	ret->sum_ns = rise(a->sum_ns, b->sum_ns);
	for (uint32_t i = 0; i < HIST_SLOTS; i++)
		ret->count[i] = rise(a->count[i], b->count[i]);
}
