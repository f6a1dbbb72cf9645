/* store_places.c - the hash table of a store's series, and their places.
 *
 * The table has at most half of its entries in use (linear probing, deletion by shifting back).
 * A full store is searched for a stale place at most once until the next series can become stale.
 */
#include "store/store_places.h"

#include <string.h>
#include "store/labels.h"

/* Only the compiler must keep the order: who reads after a kill sees all that was executed. */
void store_places_written(struct series *x, uint64_t ns)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&x->written_ns, ns, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

uint64_t store_places_hash(const char *name, const char *labels, size_t labels_bytes)
{
	return labels_hash(labels_hash(0, name, strlen(name)), labels, labels_bytes);
}

uint64_t store_places_seal(const struct series *x)
{
	uintptr_t metric = (uintptr_t)x->metric;

	return labels_hash(x->hash, (const char *)&metric, sizeof(metric));
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

struct series *store_places_lookup(const struct store *s, const struct key *key)
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

/* --- places */

void store_places_release(struct store *s, uint32_t i)
{
	struct series *x = series_at(s, i);

	store_places_written(x, 0);
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
		store_places_written(x, 0);
		s->series_mark++;
		return x;
	}
	if (now_ns < s->series_full_ns)
		return NULL;
	for (uint32_t k = 0; k < s->series_max; k++) {
		uint32_t i = (uint32_t)(((uint64_t)s->series_hand + k) % s->series_max);
		struct series *x = series_at(s, i);

		if (x->written_ns && is_stale(now_ns, x->written_ns))
			store_places_release(s, i);
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
			store_places_release(s, *owner - 1);
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
void store_places_derive(struct store *s, uint32_t i)
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

struct series *store_places_create(struct store *s, const struct key *key, uint64_t now_ns,
				   double value)
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
	x->seal = store_places_seal(x);
	x->value = value;
	x->base = 0;
	x->hist = hist;
	memcpy(x->labels, key->labels, key->labels_bytes);
	store_places_written(x, now_ns);
	store_places_derive(s, (uint32_t)(x - series_at(s, 0)));
	return x;
}
