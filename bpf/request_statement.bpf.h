/* request_statement.bpf.h - the texts of PostgreSQL's statements, sampled to user space, for the
 * way of seeing requests that reads the caller's memory.
 *
 * An execution is a Query, a Parse without a name, or a Bind of a statement with a name; each is
 * sampled with the same chance as any other of its service just then, so that shares of samples,
 * each weighed by what it stands for, are shares of executions. The chance of a service is halved
 * when it gave STATEMENTS_MANY samples in a period, doubled after one with few. A Parse with a name
 * is sent always, as user space needs it for what is bound later, but for those beyond
 * STATEMENTS_NAMED a period, which count as lost.
 *
 * Not sampled: a message whose text is not in one call, or begins in bytes left over from another;
 * a statement whose name has 64 bytes or more; a Bind of what was parsed without a name before.
 *
 * Cost: a message of the kinds above 15 ns, a sample 300 ns; all others a compare.
 */
#ifndef TRIMTAB_REQUEST_STATEMENT_BPF_H
#define TRIMTAB_REQUEST_STATEMENT_BPF_H

#include "request_count.bpf.h"
#include "request_postgresql_messages.h"

#define STATEMENT_PERIOD_SHIFT 30 /* a period is 1.07 s */
#define STATEMENTS_MANY 64
#define STATEMENTS_FEW 16
#define STATEMENTS_NAMED 256
#define STATEMENT_SHIFT_MAX 20 /* one of a million */
#define STATEMENT_NAME 64      /* bytes of a name that are looked at */
#define STATEMENT_MESSAGES 3   /* looked at in a row: Close, Parse, Bind */
#define RINGBUF_NO_WAKEUP 1    /* nobody waits for it */

/* 256 KiB: what the connections of a pool prepare when they begin fits between two readings. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} request_statements SEC(".maps");

/* Called before each step of a parser. */
#define REQUEST_LOOK(c, w, flow)                                                                   \
	if ((c)->protocol == REQUEST_POSTGRESQL && (flow) == FLOW_REQUESTS)                        \
	request_statement(c, w)

static __always_inline void statement_period(struct request_service *s, __u64 now_ns)
{
	__u32 period = now_ns >> STATEMENT_PERIOD_SHIFT;
	__s32 passed = period - s->statement_period;

	if (likely(passed <= 0))
		return;
	if (s->statements_sent < STATEMENTS_FEW)
		s->statement_shift -= passed < s->statement_shift ? passed : s->statement_shift;
	s->statements_sent = s->statements_named = 0;
	s->statement_period = period;
}

/* How many executions this one stands for; 0: it is no sample. */
static __always_inline __u32 statement_weight(struct request_service *s)
{
	__u32 weight = 1U << (s->statement_shift & 31);

	if (bpf_get_prandom_u32() & (weight - 1))
		return 0;
	if (++s->statements_sent >= STATEMENTS_MANY) {
		s->statements_sent = STATEMENTS_MANY / 2;
		if (s->statement_shift < STATEMENT_SHIFT_MAX)
			s->statement_shift++;
	}
	return weight;
}

/* Sends what is no more than a name. */
static __always_inline void statement_bound(__u32 service, __u32 weight, __u64 prepared)
{
	struct request_statement *r;

	r = bpf_ringbuf_reserve(&request_statements, REQUEST_STATEMENT_HEAD, 0);
	if (!r) {
		request_lose(REQUEST_LOST_STATEMENT, 1);
		return;
	}
	r->prepared = prepared;
	r->weight = weight;
	r->service = service;
	r->text_bytes = 0;
	bpf_ringbuf_submit(r, RINGBUF_NO_WAKEUP);
}

/* Sends the text at i of the window, of which there are `bytes` bytes with its NUL and what comes
 * behind that: from the caller's memory, as it may be longer than the window. */
static __always_inline void statement_sent(struct request_work *w, __u32 service, __u32 weight,
					   __u64 prepared, __u32 i, __u64 bytes)
{
	__u64 here = w->end - i, more = w->piece < w->total ? w->piece : w->total;
	struct request_statement *r;

	if (bytes > REQUEST_STATEMENT_TEXT)
		bytes = REQUEST_STATEMENT_TEXT;
	if (i < REQUEST_HELD || i >= w->end || bytes > here + more)
		return;
	r = bpf_ringbuf_reserve(&request_statements, sizeof(*r), 0);
	if (!r) {
		request_lose(REQUEST_LOST_STATEMENT, 1);
		return;
	}
	r->prepared = prepared;
	r->weight = weight;
	r->service = service;
	r->text_bytes = bytes;
	if (bpf_probe_read_user(r->text, bytes, (void *)(w->from - here)))
		bpf_ringbuf_discard(r, RINGBUF_NO_WAKEUP);
	else
		bpf_ringbuf_submit(r, RINGBUF_NO_WAKEUP);
}

/* Mixes the string at i into a hash. Where the next one begins; 0: it is too long. */
static __always_inline __u32 statement_string(const struct request_work *w, __u32 i, __u64 *hash)
{
	__u64 word, ends;

	for (__u32 n = 0; n < STATEMENT_NAME; n += 8) {
		word = word_at(w, i + n);
		ends = (word - EACH_BYTE) & ~word & HIGH_BITS; /* right for the lowest one */
		if (ends) {
			ends = ((ends & -ends) >> 7) - 1; /* the bytes before the NUL */
			*hash = hash_word(*hash, word & ends);
			return i + n + ((ends & EACH_BYTE) * EACH_BYTE >> 56) + 1;
		}
		*hash = hash_word(*hash, word);
	}
	return 0;
}

/* A number for the connection, which names are hashed with. By way of memory, as the verifier lets
 * nothing be computed from a pointer. */
static __always_inline __u64 statement_connection(struct request_connection *c,
						  struct request_work *w)
{
	*(volatile __u64 *)w->scratch = (__u64)c;
	return hash_word(0, *(volatile __u64 *)w->scratch);
}

/* A Parse, whose body begins at i and has n bytes. True if it is no execution. */
static __always_inline bool statement_parse(struct request_connection *c, struct request_work *w,
					    struct request_service *s, __u32 i, __u32 n)
{
	__u64 prepared = statement_connection(c, w);
	__u32 text = statement_string(w, i, &prepared), weight;

	if (!text || text - i > n)
		return true;
	if (text == i + 1) {
		weight = statement_weight(s);
		if (weight)
			statement_sent(w, c->service, weight, 0, text, n - 1);
		return false;
	}
	if (s->statements_named >= STATEMENTS_NAMED) {
		request_lose(REQUEST_LOST_STATEMENT, 1);
		return true;
	}
	s->statements_named++;
	statement_sent(w, c->service, 0, prepared | 1, text, n - (text - i));
	return true;
}

static __always_inline void statement_bind(struct request_connection *c, struct request_work *w,
					   struct request_service *s, __u32 i)
{
	__u64 portal = 0, prepared = statement_connection(c, w);
	__u32 name = statement_string(w, i, &portal), weight, end;

	if (!name || name >= w->end)
		return;
	end = statement_string(w, name, &prepared);
	if (!end || end > w->end || end == name + 1)
		return;
	weight = statement_weight(s);
	if (weight)
		statement_bound(c->service, weight, prepared | 1);
}

/* Looks at the messages that a step begins with: at what is executed first, and at what is parsed
 * before that. */
__noinline int request_statement(struct request_connection *c, struct request_work *w)
{
	struct request_service *s;
	__u32 service, at, body;
	__u64 weight;
	__u8 type;

	if (!c || !w || c->protocol != REQUEST_POSTGRESQL)
		return 0;
	service = c->service;
	at = w->at;
	s = bpf_map_lookup_elem(&request_services, &service);
	if (!s)
		return 0;
	statement_period(s, w->now_ns);
	for (int i = 0; i < STATEMENT_MESSAGES && at + PG_HEADER < w->end; i++) {
		type = byte_at(w, at);
		body = postgresql_body(word_at(w, at));
		if (type == 'B') {
			statement_bind(c, w, s, at + PG_HEADER);
			return 0;
		}
		if (type == 'Q') {
			weight = statement_weight(s);
			if (weight)
				statement_sent(w, service, weight, 0, at + PG_HEADER, body);
			return 0;
		}
		if (type == 'P' ? !statement_parse(c, w, s, at + PG_HEADER, body) : type != 'C')
			return 0;
		if (body > w->end)
			return 0;
		at += PG_HEADER + body;
	}
	return 0;
}

#endif
