/* request_statements.c - the statements that are executed most: see request_statements.h.
 *
 * Both tables are rows of WAYS places, a hash tells the row: so what goes is found without a list,
 * and no input makes a look-up longer.
 */
#include "sense/request_statements.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "store/labels.h"

#define WAYS 8
#define PREPARED_ROWS (STATEMENTS_PREPARED / WAYS)
#define STATEMENT_ROWS (STATEMENTS_MAX / WAYS)

struct prepared {
	uint64_t id;   /* 0: free */
	uint64_t used; /* when, by the number of samples */
	char text[FINGERPRINT_MAX];
};

/* By half window. */
struct tally {
	uint64_t weight[2], samples[2];
};

struct statement {
	uint64_t hash;	/* of service and text */
	struct tally n; /* weight 0: free */
	uint16_t service;
	char text[FINGERPRINT_MAX];
};

/* Owned by its maker. */
struct statements {
	unsigned half; /* the younger one */
	uint64_t began_ns[2];
	uint64_t taken;
	struct tally all[REQUEST_SERVICES], unknown[REQUEST_SERVICES];
	struct prepared prepared[PREPARED_ROWS][WAYS];
	struct statement statement[STATEMENT_ROWS][WAYS];
};

struct statements *statements_new(void)
{
	return calloc(1, sizeof(struct statements));
}

void statements_free(struct statements *s)
{
	free(s);
}

static uint64_t weight_of(const struct tally *n)
{
	return n->weight[0] + n->weight[1];
}

static void add(const struct statements *s, struct tally *n, uint32_t weight)
{
	n->weight[s->half] += weight;
	n->samples[s->half]++;
}

/* --- what was prepared */

static struct prepared *find_prepared(struct statements *s, uint64_t id)
{
	struct prepared *row = s->prepared[id / 2 % PREPARED_ROWS]; /* its lowest bit is set */

	for (int i = 0; i < WAYS; i++)
		if (row[i].id == id)
			return &row[i];
	return NULL;
}

/* The place of one, else the one in its row that was not used longest. */
static struct prepared *place_prepared(struct statements *s, uint64_t id)
{
	struct prepared *row = s->prepared[id / 2 % PREPARED_ROWS], *oldest = row;
	struct prepared *known = find_prepared(s, id);

	for (int i = 1; i < WAYS && !known; i++)
		if (row[i].used < oldest->used)
			oldest = &row[i];
	return known ? known : oldest;
}

/* --- what is executed */

static struct statement *find_statement(struct statements *s, uint32_t service, const char *text)
{
	uint64_t hash = labels_hash(service, text, strlen(text));
	struct statement *row = s->statement[hash % STATEMENT_ROWS], *rarest = row;

	for (int i = 0; i < WAYS; i++) {
		if (weight_of(&row[i].n) && row[i].hash == hash && row[i].service == service)
			return &row[i];
		if (weight_of(&row[i].n) < weight_of(&rarest->n))
			rarest = &row[i];
	}
	*rarest = (struct statement){.hash = hash, .service = (uint16_t)service};
	memcpy(rarest->text, text, strlen(text) + 1);
	return rarest;
}

static void count(struct statements *s, const struct request_statement *r, const char *text)
{
	add(s, &s->all[r->service], r->weight);
	if (text)
		add(s, &find_statement(s, r->service, text)->n, r->weight);
	else
		add(s, &s->unknown[r->service], r->weight);
}

static void take_bound(struct statements *s, const struct request_statement *r)
{
	struct prepared *p = find_prepared(s, r->prepared);

	if (p)
		p->used = s->taken;
	count(s, r, p ? p->text : NULL);
}

void statements_take(struct statements *s, const void *data, size_t bytes)
{
	const struct request_statement *r = data;
	char text[FINGERPRINT_MAX];
	struct prepared *p;
	size_t n;

	if (bytes < REQUEST_STATEMENT_HEAD || r->service >= REQUEST_SERVICES ||
	    r->text_bytes > bytes - REQUEST_STATEMENT_HEAD ||
	    r->text_bytes > REQUEST_STATEMENT_TEXT || (!r->weight && !r->text_bytes))
		return;
	s->taken++;
	if (!r->text_bytes) {
		take_bound(s, r);
		return;
	}
	n = strnlen(r->text, r->text_bytes);
	fingerprint(r->text, n, n == r->text_bytes, text);
	if (!r->prepared) {
		count(s, r, text);
		return;
	}
	p = place_prepared(s, r->prepared);
	p->id = r->prepared;
	p->used = s->taken;
	memcpy(p->text, text, sizeof(text));
}

/* --- windows */

static void clear(struct tally *n, unsigned half)
{
	n->weight[half] = n->samples[half] = 0;
}

void statements_turn(struct statements *s, uint64_t now_ns)
{
	if (!s->began_ns[s->half])
		s->began_ns[s->half] = now_ns;
	if (now_ns - s->began_ns[s->half] < STATEMENTS_HALF_NS)
		return;
	s->half = !s->half;
	s->began_ns[s->half] = now_ns;
	for (int i = 0; i < REQUEST_SERVICES; i++) {
		clear(&s->all[i], s->half);
		clear(&s->unknown[i], s->half);
	}
	for (int i = 0; i < STATEMENTS_MAX; i++)
		clear(&s->statement[i / WAYS][i % WAYS].n, s->half);
}

void statements_forget(struct statements *s, uint32_t service)
{
	s->all[service] = s->unknown[service] = (struct tally){0};
	for (int i = 0; i < STATEMENTS_MAX; i++)
		if (s->statement[i / WAYS][i % WAYS].service == service)
			s->statement[i / WAYS][i % WAYS].n = (struct tally){0};
}

double statements_window_seconds(const struct statements *s, uint64_t now_ns)
{
	uint64_t since = s->began_ns[!s->half] ? s->began_ns[!s->half] : s->began_ns[s->half];

	return since && now_ns > since ? (double)(now_ns - since) / 1e9 : 0;
}

/* --- the busiest */

/* While they are put in order, a share is a weight. */
static int busier(const void *a, const void *b)
{
	const struct statement_view *x = a, *y = b;

	if (x->share != y->share)
		return x->share < y->share ? 1 : -1;
	if (!x->text || !y->text)
		return !x->text - !y->text;
	return strcmp(x->text, y->text);
}

static int by_text(const void *a, const void *b)
{
	const struct statement_view *x = a, *y = b;

	return strcmp(x->text, y->text);
}

/* Those of one text are one; the array is in order of texts. */
static size_t merge(struct statement_view *v, size_t n)
{
	size_t to = 0;

	for (size_t i = 1; i < n; i++)
		if (strcmp(v[to].text, v[i].text) == 0) {
			v[to].samples += v[i].samples;
			v[to].share += v[i].share;
		} else {
			v[++to] = v[i];
		}
	return n ? to + 1 : 0;
}

static void see(struct statement_view *v, const struct tally *n)
{
	v->samples += n->samples[0] + n->samples[1];
	v->share += (double)weight_of(n);
}

size_t statements_busiest(const struct statements *s, const bool mine[REQUEST_SERVICES],
			  struct statement_view ret[STATEMENTS_BUSIEST])
{
	struct statement_view v[STATEMENTS_MAX + 1], unknown = {0}, all = {0};
	size_t n = 0;

	for (int i = 0; i < STATEMENTS_MAX; i++) {
		const struct statement *x = &s->statement[i / WAYS][i % WAYS];

		if (!mine[x->service] || !weight_of(&x->n))
			continue;
		v[n] = (struct statement_view){.text = x->text};
		see(&v[n++], &x->n);
	}
	for (int i = 0; i < REQUEST_SERVICES; i++)
		if (mine[i]) {
			see(&unknown, &s->unknown[i]);
			see(&all, &s->all[i]);
		}
	qsort(v, n, sizeof(*v), by_text);
	n = merge(v, n);
	if (unknown.samples)
		v[n++] = unknown;
	qsort(v, n, sizeof(*v), busier);
	n = n < STATEMENTS_BUSIEST ? n : STATEMENTS_BUSIEST;
	for (size_t i = 0; i < n; i++) {
		ret[i] = v[i];
		ret[i].share /= all.share;
	}
	return n;
}
