/* store.c - the series of this node: see store.h.
 *
 * What lasts is the header, the series below series_mark and the histograms below hists_mark. A
 * series is there if its written_ns is not 0: that is cleared before any other field of its place
 * changes and set after all of them have, so a writer that is killed at any instruction leaves
 * whole series only. Everything else (hash table, owners of the histograms, order) is derived from
 * them by store_open(). Places above the marks are never touched, so room costs no memory.
 *
 * The table has at most half of its entries in use (linear probing, deletion by shifting back).
 * A full store is searched for a stale place at most once until the next series can become stale.
 */
#define _GNU_SOURCE /* qsort_r */
#include "store/store.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "store/labels.h"

#define STORE_MAGIC 0x65726f7473747454ULL
#define STORE_VERSION 1
#define STORE_NUMBER_MAX (1u << 24)

/* An entry of the hash table: the low half of the hash, and the series' place + 1; 0: empty. */
struct entry {
	uint32_t tag, at;
};

/* Where the parts lie, in bytes from the start. */
struct layout {
	size_t series, hists, owners, table, order, fresh, bytes;
	uint32_t table_n;
};

struct store {
	uint64_t magic; /* written last */
	uint32_t version, series_max, hists_max;
	uint32_t series_mark, hists_mark; /* places from here on were never used */
	uintptr_t image;		  /* the program whose metrics the series point to */
	uint64_t dropped;
	/* derived at each open: */
	struct layout layout;
	uint32_t series_n, hists_n, order_n, fresh_n;
	uint32_t series_hand, hists_hand;	/* where the next search for a stale place begins */
	uint64_t series_full_ns, hists_full_ns; /* until then no place becomes stale */
};

struct key {
	const struct metric *metric; /* NULL: any of that name */
	const char *name;
	uint64_t hash;
	size_t labels_bytes; /* with the NUL */
	char labels[STORE_LABELS_MAX];
};

/* Its address is that of the program in memory: exec or another build gives another one. */
static const char image;

static void *part(const struct store *s, size_t offset)
{
	return (char *)s + offset;
}

static struct series *series_at(const struct store *s, uint32_t i)
{
	return (struct series *)part(s, s->layout.series) + i;
}

static struct hist *hist_at(const struct store *s, uint32_t i)
{
	return (struct hist *)part(s, s->layout.hists) + i;
}

/* the place + 1 of the series that has histogram i; 0: none */
static uint32_t *owner_at(const struct store *s, uint32_t i)
{
	return (uint32_t *)part(s, s->layout.owners) + i;
}

static struct entry *table(const struct store *s)
{
	return part(s, s->layout.table);
}

static bool is_stale(uint64_t now_ns, uint64_t written_ns)
{
	return now_ns >= written_ns && now_ns - written_ns >= STORE_STALE_NS;
}

/* Only the compiler must keep the order: who reads after a kill sees all that was executed. */
static void set_written(struct series *x, uint64_t ns)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&x->written_ns, ns, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* --- the hash table */

static void table_insert(struct store *s, uint32_t i)
{
	uint32_t tag = (uint32_t)series_at(s, i)->hash, mask = s->layout.table_n - 1;
	uint32_t k = tag & mask;

	while (table(s)[k].at)
		k = (k + 1) & mask;
	table(s)[k] = (struct entry){tag, i + 1};
}

static void table_remove(struct store *s, uint32_t i)
{
	uint32_t mask = s->layout.table_n - 1, hole = (uint32_t)series_at(s, i)->hash & mask;
	struct entry *t = table(s);

	while (t[hole].at != i + 1)
		hole = (hole + 1) & mask;
	for (uint32_t k = (hole + 1) & mask; t[k].at; k = (k + 1) & mask) {
		/* an entry may move back unless that puts it before its home */
		if (((k - t[k].tag) & mask) < ((k - hole) & mask))
			continue;
		t[hole] = t[k];
		hole = k;
	}
	t[hole] = (struct entry){0};
}

static struct series *lookup(const struct store *s, const struct key *key)
{
	uint32_t mask = s->layout.table_n - 1;
	const struct entry *t = table(s);

	for (uint32_t k = (uint32_t)key->hash & mask; t[k].at; k = (k + 1) & mask) {
		struct series *x;

		if (t[k].tag != (uint32_t)key->hash)
			continue;
		x = series_at(s, t[k].at - 1);
		if (x->hash == key->hash &&
		    (x->metric == key->metric || strcmp(x->metric->name, key->name) == 0) &&
		    memcmp(x->labels, key->labels, key->labels_bytes) == 0)
			return x;
	}
	return NULL;
}

static uint64_t key_hash(const char *name, const char *labels, size_t labels_bytes)
{
	return labels_hash(labels_hash(0, name, strlen(name)), labels, labels_bytes);
}

static uint64_t seal_of(const struct series *x)
{
	uintptr_t metric = (uintptr_t)x->metric;

	return labels_hash(x->hash, (const char *)&metric, sizeof(metric));
}

/* --- places */

static void release(struct store *s, uint32_t i)
{
	struct series *x = series_at(s, i);

	set_written(x, 0);
	table_remove(s, i);
	if (x->hist) {
		*owner_at(s, x->hist - 1) = 0;
		s->hists_n--;
		s->hists_hand = x->hist - 1;
	}
	s->series_n--;
	s->series_hand = i;
}

/* A free place, which is made by releasing a stale series if need be; NULL if there is none. */
static struct series *take_series(struct store *s, uint64_t now_ns)
{
	uint64_t oldest_ns = UINT64_MAX;

	if (s->series_mark < s->series_max) {
		struct series *x = series_at(s, s->series_mark);

		x->fresh = 0;
		set_written(x, 0);
		s->series_mark++;
		return x;
	}
	if (now_ns < s->series_full_ns)
		return NULL;
	for (uint32_t k = 0; k < s->series_max; k++) {
		uint32_t i = (uint32_t)(((uint64_t)s->series_hand + k) % s->series_max);
		struct series *x = series_at(s, i);

		if (x->written_ns && is_stale(now_ns, x->written_ns))
			release(s, i);
		if (!x->written_ns) {
			s->series_hand = (i + 1) % s->series_max;
			return x;
		}
		if (x->written_ns < oldest_ns)
			oldest_ns = x->written_ns;
	}
	s->series_full_ns = oldest_ns + STORE_STALE_NS;
	return NULL;
}

/* The index + 1 of a free histogram, found in the same way; 0 if there is none. */
static uint32_t take_hist(struct store *s, uint64_t now_ns)
{
	uint64_t oldest_ns = UINT64_MAX;

	if (s->hists_mark < s->hists_max) {
		*owner_at(s, s->hists_mark) = 0;
		return ++s->hists_mark;
	}
	if (now_ns < s->hists_full_ns)
		return 0;
	for (uint32_t k = 0; k < s->hists_max; k++) {
		uint32_t i = (uint32_t)(((uint64_t)s->hists_hand + k) % s->hists_max);
		uint32_t *owner = owner_at(s, i);
		uint64_t written_ns = *owner ? series_at(s, *owner - 1)->written_ns : 0;

		if (*owner && is_stale(now_ns, written_ns))
			release(s, *owner - 1);
		if (!*owner) {
			s->hists_hand = (i + 1) % s->hists_max;
			return i + 1;
		}
		if (written_ns < oldest_ns)
			oldest_ns = written_ns;
	}
	s->hists_full_ns = oldest_ns + STORE_STALE_NS;
	return 0;
}

/* What a series in place i adds to the derived parts. */
static void derive(struct store *s, uint32_t i)
{
	struct series *x = series_at(s, i);

	table_insert(s, i);
	s->series_n++;
	if (x->hist) {
		*owner_at(s, x->hist - 1) = i + 1;
		s->hists_n++;
	}
	if (!x->fresh) { /* it stays in the list if its place changed hands since the last walk */
		x->fresh = 1;
		((uint32_t *)part(s, s->layout.fresh))[s->fresh_n++] = i;
	}
}

static struct series *create(struct store *s, const struct key *key, uint64_t now_ns, double value)
{
	uint32_t hist = 0;
	struct series *x;

	if (key->metric->type == METRIC_HISTOGRAM) {
		hist = take_hist(s, now_ns);
		if (!hist)
			return NULL;
		memset(hist_at(s, hist - 1), 0, sizeof(struct hist));
	}
	x = take_series(s, now_ns);
	if (!x)
		return NULL;
	x->metric = key->metric;
	x->hash = key->hash;
	x->seal = seal_of(x);
	x->value = value;
	x->base = 0;
	x->hist = hist;
	memcpy(x->labels, key->labels, key->labels_bytes);
	set_written(x, now_ns);
	derive(s, (uint32_t)(x - series_at(s, 0)));
	return x;
}

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
	key.hash = key_hash(m->name, key.labels, (size_t)n);
	x = lookup(s, &key);
	if (!x)
		return create(s, &key, now_ns, value);
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

	if (!end || x->seal != seal_of(x))
		return false;
	key.name = x->metric->name;
	key.labels_bytes = (size_t)(end - x->labels) + 1;
	memcpy(key.labels, x->labels, key.labels_bytes);
	if (x->hash != key_hash(key.name, key.labels, key.labels_bytes - 1) || lookup(s, &key))
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
			derive(s, i);
		else
			set_written(x, 0);
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
	set_written(x, now_ns);
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
	set_written(x, now_ns);
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
	set_written(x, now_ns);
	return hist_at(s, x->hist - 1);
}

void store_end(struct store *s, const struct metric *m, uint64_t now_ns)
{
	for (uint32_t i = 0; i < s->series_mark; i++) {
		const struct series *x = series_at(s, i);

		if (x->metric == m && x->written_ns && x->written_ns < now_ns) {
			release(s, i);
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
	key.hash = key_hash(name, labels, n);
	x = lookup(s, &key);
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
