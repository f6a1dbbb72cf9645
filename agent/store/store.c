/* store.c - the series of this node: see store.h.
 *
 * What lasts is the header, the series below series_mark and the histograms below hists_mark. A
 * series is there if its written_ns is not 0: that is cleared before any other field of its place
 * changes and set after all of them have, so a writer that is killed at any instruction leaves
 * whole series only. Everything else (hash table, owners of the histograms, order) is derived from
 * them by store_open(). Places above the marks are never touched, so room costs no memory.
 *
 * store_places.c has the table and the places.
 */
#define _GNU_SOURCE /* qsort_r */
#include "store/store.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "store/labels.h"
#include "store/store_places.h"

#define STORE_MAGIC 0x65726f7473747454ULL
#define STORE_VERSION 1
#define STORE_NUMBER_MAX (1u << 24)

/* Its address is that of the program in memory: exec or another build gives another one. */
static const char image;

/* The series of a metric and its labels, made with `value` if it is new. NULL if it has no room or
 * no sense; the caller counts it. */
static struct series *get(struct store *s, const struct metric *m, uint64_t now_ns, double value,
			  va_list labels)
{
	struct key key = {.metric = m, .name = m->name};
	int n = labels_write(labels, key.labels);
	struct series *x;

	if (n < 0)
		return NULL;
	key.labels_bytes = (size_t)n + 1;
	key.hash = store_places_hash(m->name, key.labels, (size_t)n);
	x = store_places_lookup(s, &key);
	if (!x)
		return store_places_create(s, &key, now_ns, value);
	return x->metric->type == m->type ? x : NULL;
}

/* --- opening */

static size_t align(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static struct layout layout_of(uint32_t series, uint32_t hists)
{
	struct layout l = {.series = align(sizeof(struct store)), .table_n = 2};

	while (l.table_n < 2 * series)
		l.table_n *= 2;
	l.hists = align(l.series + series * sizeof(struct series));
	l.owners = align(l.hists + hists * sizeof(struct hist));
	l.table = align(l.owners + hists * sizeof(uint32_t));
	l.order = align(l.table + l.table_n * sizeof(struct entry));
	l.fresh = align(l.order + series * sizeof(uint32_t));
	l.bytes = align(l.fresh + series * sizeof(uint32_t));
	return l;
}

size_t store_size(uint32_t series, uint32_t hists)
{
	if (!series || !hists || series > STORE_NUMBER_MAX || hists > STORE_NUMBER_MAX)
		return 0;
	return layout_of(series, hists).bytes;
}

/* Whether the series in this place can be kept: what it points to is what it was made with. */
static bool is_sound(const struct store *s, const struct series *x)
{
	struct key key = {.metric = x->metric, .hash = x->hash};
	const char *end = memchr(x->labels, '\0', sizeof(x->labels));

	if (!end || x->seal != store_places_seal(x))
		return false;
	key.name = x->metric->name;
	key.labels_bytes = (size_t)(end - x->labels) + 1;
	memcpy(key.labels, x->labels, key.labels_bytes);
	if (x->hash != store_places_hash(key.name, key.labels, key.labels_bytes - 1) ||
	    store_places_lookup(s, &key))
		return false;
	if (x->metric->type != METRIC_HISTOGRAM)
		return x->hist == 0;
	return x->hist && x->hist <= s->hists_mark && !*owner_at(s, x->hist - 1);
}

static void derive_all(struct store *s)
{
	s->layout = layout_of(s->series_max, s->hists_max);
	s->series_n = s->hists_n = s->order_n = s->fresh_n = 0;
	s->series_hand = s->hists_hand = 0;
	s->series_full_ns = s->hists_full_ns = 0;
	memset(table(s), 0, s->layout.table_n * sizeof(struct entry));
	memset(owner_at(s, 0), 0, s->hists_mark * sizeof(uint32_t));
	for (uint32_t i = 0; i < s->series_mark; i++) {
		struct series *x = series_at(s, i);

		x->fresh = 0;
		if (x->written_ns && is_sound(s, x))
			store_places_derive(s, i);
		else
			store_places_written(x, 0);
	}
}

struct store *store_open(void *mem, size_t bytes, uint32_t series, uint32_t hists)
{
	size_t size = store_size(series, hists);
	struct store *s = mem;

	if (!size || bytes < size || (uintptr_t)mem % 64)
		return NULL;
	if (s->magic != STORE_MAGIC || s->version != STORE_VERSION || s->series_max != series ||
	    s->hists_max != hists || s->image != (uintptr_t)&image || s->series_mark > series ||
	    s->hists_mark > hists) {
		__atomic_store_n(&s->magic, 0, __ATOMIC_SEQ_CST);
		*s = (struct store){
		    .version = STORE_VERSION,
		    .series_max = series,
		    .hists_max = hists,
		    .image = (uintptr_t)&image,
		};
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		__atomic_store_n(&s->magic, STORE_MAGIC, __ATOMIC_SEQ_CST);
	}
	derive_all(s);
	return s;
}

/* --- writing */

/* A time of 0 would mean a free place. */
static uint64_t valid_time(uint64_t now_ns)
{
	return now_ns ? now_ns : 1;
}

static bool is_total(double value)
{
	return value >= 0 && isfinite(value);
}

void store_set(struct store *s, const struct metric *m, uint64_t now_ns, double value, ...)
{
	struct series *x = NULL;
	va_list labels;

	now_ns = valid_time(now_ns);
	va_start(labels, value);
	if (m->type == METRIC_GAUGE || (m->type == METRIC_COUNTER && is_total(value)))
		x = get(s, m, now_ns, value, labels);
	va_end(labels);
	if (!x) {
		s->dropped++;
		return;
	}
	if (m->type == METRIC_GAUGE)
		x->value = value;
	else if (value + x->base < x->value)
		x->base = x->value - value;
	else
		x->value = value + x->base;
	store_places_written(x, now_ns);
}

void store_add(struct store *s, const struct metric *m, uint64_t now_ns, double value, ...)
{
	struct series *x = NULL;
	va_list labels;

	now_ns = valid_time(now_ns);
	va_start(labels, value);
	if (m->type == METRIC_GAUGE || (m->type == METRIC_COUNTER && is_total(value)))
		x = get(s, m, now_ns, 0, labels);
	va_end(labels);
	if (!x) {
		s->dropped++;
		return;
	}
	x->value += value;
	store_places_written(x, now_ns);
}

struct hist *store_hist(struct store *s, const struct metric *m, uint64_t now_ns, ...)
{
	struct series *x = NULL;
	va_list labels;

	now_ns = valid_time(now_ns);
	va_start(labels, now_ns);
	if (m->type == METRIC_HISTOGRAM)
		x = get(s, m, now_ns, 0, labels);
	va_end(labels);
	if (!x) {
		s->dropped++;
		return NULL;
	}
	store_places_written(x, now_ns);
	return hist_at(s, x->hist - 1);
}

void store_end(struct store *s, const struct metric *m, uint64_t now_ns)
{
	for (uint32_t i = 0; i < s->series_mark; i++) {
		const struct series *x = series_at(s, i);

		if (x->metric == m && x->written_ns && x->written_ns < now_ns) {
			store_places_release(s, i);
			s->series_full_ns = s->hists_full_ns = 0;
		}
	}
}

/* --- reading */

static int compare(const void *a, const void *b, void *arg)
{
	const struct series *x = series_at(arg, *(const uint32_t *)a);
	const struct series *y = series_at(arg, *(const uint32_t *)b);
	int order = x->metric == y->metric ? 0 : strcmp(x->metric->name, y->metric->name);

	return order ? order : strcmp(x->labels, y->labels);
}

/* Brings the series made since the last walk into the order, by one sort of them and one merge. */
static void update_order(struct store *s)
{
	uint32_t *order = part(s, s->layout.order), *fresh = part(s, s->layout.fresh);
	uint32_t kept = 0, added = 0, at;

	for (uint32_t k = 0; k < s->order_n; k++) {
		const struct series *x = series_at(s, order[k]);

		if (x->written_ns && !x->fresh)
			order[kept++] = order[k];
	}
	for (uint32_t k = 0; k < s->fresh_n; k++) {
		series_at(s, fresh[k])->fresh = 0;
		if (series_at(s, fresh[k])->written_ns)
			fresh[added++] = fresh[k];
	}
	qsort_r(fresh, added, sizeof(*fresh), compare, s);
	s->order_n = kept + added;
	s->fresh_n = 0;
	for (at = s->order_n; added; at--) {
		if (kept && compare(&order[kept - 1], &fresh[added - 1], s) > 0)
			order[at - 1] = order[--kept];
		else
			order[at - 1] = fresh[--added];
	}
}

const struct series *store_next(struct store *s, uint64_t now_ns, size_t *cursor)
{
	const uint32_t *order = part(s, s->layout.order);

	if (*cursor == 0 && s->fresh_n)
		update_order(s);
	while (*cursor < s->order_n) {
		const struct series *x = series_at(s, order[(*cursor)++]);

		if (x->written_ns && !x->fresh && !is_stale(now_ns, x->written_ns))
			return x;
	}
	return NULL;
}

const struct hist *store_series_hist(const struct store *s, const struct series *series)
{
	return series->hist ? hist_at(s, series->hist - 1) : NULL;
}

const struct series *store_find(struct store *s, uint64_t now_ns, const char *name,
				const char *labels)
{
	size_t n = strnlen(labels, STORE_LABELS_MAX);
	struct key key = {.name = name, .labels_bytes = n + 1};
	const struct series *x;

	if (n == STORE_LABELS_MAX)
		return NULL;
	memcpy(key.labels, labels, n + 1);
	key.hash = store_places_hash(name, labels, n);
	x = store_places_lookup(s, &key);
	return x && !is_stale(now_ns, x->written_ns) ? x : NULL;
}

void store_get_stats(const struct store *s, struct store_stats *ret)
{
	*ret = (struct store_stats){
	    .series = s->series_n,
	    .series_max = s->series_max,
	    .hists = s->hists_n,
	    .hists_max = s->hists_max,
	    .dropped = s->dropped,
	};
}
