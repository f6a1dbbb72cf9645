/* store.h - the series of this node: named, labelled numbers and histograms, in fixed memory.
 *
 * The store lives in one block of memory that the caller gives (the keeper maps it MAP_SHARED
 * before it forks the roles, so a crashed agent loses nothing and no counter falls). One writer,
 * any number of readers in the same process. Pure: no I/O, no log, no clock of its own.
 *
 * Bounds: `series` entries of STORE_LABELS_MAX bytes of labels, `hists` histograms; what does not
 * fit is counted in store_stats.dropped, never an error that stops a source. A series that nobody
 * has written for STORE_STALE_NS is left out by store_next(), and its place is reused.
 *
 * Cost: a write is one hash of the label text and one probe, 150 to 200 ns; a walk is 10 ns a
 * series, and the first after series were made sorts those (2,000 new ones: 0.4 ms).
 */
#ifndef TRIMTAB_STORE_H
#define TRIMTAB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hist.h"

#define STORE_LABELS_MAX 320
#define STORE_STALE_NS (15ULL * 1000000000)

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* What a metric is; one static const table a source, which also makes docs/metrics.md. */
struct metric {
	const char *name; /* full, with unit: trimtab_block_io_bytes_total */
	enum metric_type type;
	const char *labels; /* label names, comma-separated, for the docs; "" for none */
	const char *help;   /* one sentence: what, unit, how sampled */
	const char *source; /* where it comes from: "tp_btf/block_rq_complete", "/proc/stat" */
};

/* Marks every definition of a metric, or array of them, so that `trimtab docs metrics` finds it. */
#define METRIC __attribute__((section("trimtab_metrics"), used, aligned(8)))

struct series {
	const struct metric *metric; /* static data of the program: the same address in each role */
	uint64_t hash;
	uint64_t written_ns; /* CLOCK_MONOTONIC of the last write; 0: free */
	double value;	     /* counter, gauge */
	uint32_t hist;	     /* histogram: index + 1 in the pool */
	uint32_t fresh;	     /* private: not yet in the order of store_next() */
	double base;	     /* private: counter: what is added to the totals it is given */
	uint64_t seal;	     /* private: guards metric and hash against a stray write */
	char labels[STORE_LABELS_MAX]; /* as exposed, escaped, in the order given: device="vda" */
} __attribute__((aligned(64)));	       /* all but the labels in one cache line */

struct store;

struct store_stats {
	uint32_t series, series_max; /* in use (stale ones too, until their place is taken), room */
	uint32_t hists, hists_max;
	/* writes that found no room or made no sense (a counter that is negative or not finite, a
	 * metric of another type, too many labels), since the store was made */
	uint64_t dropped;
};

/* bytes that a store of this size needs; 0 if a number is 0 or too large */
size_t store_size(uint32_t series, uint32_t hists);

/* Formats `mem` (aligned to 64, zeroed or holding a store of just this size, which is then kept
 * with all its series; anything else is overwritten). Each role opens the store that it writes,
 * after the fork: opening repairs what a writer killed by SIGKILL left. Returns NULL if bytes is
 * too small or mem is not aligned. Nothing to free. */
struct store *store_open(void *mem, size_t bytes, uint32_t series, uint32_t hists);

/* Sets a counter or gauge. Labels are pairs of C strings, name then value, ended by NULL. A counter
 * is given its total; a total below the stored one is kept as it is, and the lower one is taken as
 * a new base, so that the series never falls (the kernel's own counter was reset). */
__attribute__((sentinel)) void store_set(struct store *s, const struct metric *m, uint64_t now_ns,
					 double value, ...);
/* Adds to a counter or gauge, which starts at 0. */
__attribute__((sentinel)) void store_add(struct store *s, const struct metric *m, uint64_t now_ns,
					 double value, ...);
/* The histogram of a series, to be written whole by the caller; NULL if there is no room. */
__attribute__((sentinel)) struct hist *store_hist(struct store *s, const struct metric *m,
						  uint64_t now_ns, ...);

/* Ends the series of a metric that were not written at now_ns: for a source that writes all of them
 * each time, so that what it has moved to another series ("other") is not there twice. 2 ns a
 * series of the store. */
void store_end(struct store *s, const struct metric *m, uint64_t now_ns);

/* Walks the live series in an order that keeps a metric's series together (by metric name, then
 * by labels). *cursor starts at 0. Returns NULL at the end. Walk in one go: a series made in
 * between is left out, and a walk begun in between may move the others. */
const struct series *store_next(struct store *s, uint64_t now_ns, size_t *cursor);
const struct hist *store_series_hist(const struct store *s, const struct series *series);

/* Looks one up by name and exact label text; NULL if there is none or it is stale. */
const struct series *store_find(struct store *s, uint64_t now_ns, const char *name,
				const char *labels);

void store_get_stats(const struct store *s, struct store_stats *ret);

#endif
