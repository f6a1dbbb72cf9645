/* store_places.h - where the series of a store lie: private to agent/store. */
#ifndef TRIMTAB_STORE_PLACES_H
#define TRIMTAB_STORE_PLACES_H

#include "store/store.h"

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

static inline void *part(const struct store *s, size_t offset)
{
	return (char *)s + offset;
}

static inline struct series *series_at(const struct store *s, uint32_t i)
{
	return (struct series *)part(s, s->layout.series) + i;
}

static inline struct hist *hist_at(const struct store *s, uint32_t i)
{
	return (struct hist *)part(s, s->layout.hists) + i;
}

/* the place + 1 of the series that has histogram i; 0: none */
static inline uint32_t *owner_at(const struct store *s, uint32_t i)
{
	return (uint32_t *)part(s, s->layout.owners) + i;
}

static inline struct entry *table(const struct store *s)
{
	return part(s, s->layout.table);
}

static inline bool is_stale(uint64_t now_ns, uint64_t written_ns)
{
	return now_ns >= written_ns && now_ns - written_ns >= STORE_STALE_NS;
}

/* A write of a series: 0 makes its place a free one. */
void store_places_written(struct series *x, uint64_t ns);

uint64_t store_places_hash(const char *name, const char *labels, size_t labels_bytes);
uint64_t store_places_seal(const struct series *x);

struct series *store_places_lookup(const struct store *s, const struct key *key);
/* NULL if there is no room, and no stale series whose place could be taken. */
struct series *store_places_create(struct store *s, const struct key *key, uint64_t now_ns,
				   double value);
void store_places_release(struct store *s, uint32_t i);
/* Enters the series in place i into what is derived: table, owners, counts, fresh. */
void store_places_derive(struct store *s, uint32_t i);

#endif
