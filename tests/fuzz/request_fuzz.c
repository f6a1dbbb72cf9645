/* request_fuzz.c - libFuzzer target: any bytes as one direction of a connection, for every parser
 * of bpf/request_*.h.
 *
 * The first byte chooses the protocol and the direction, the second how the bytes are cut and how
 * many requests are in flight; the rest is the stream. It is fed whole, one byte a call, and cut at
 * random into calls and windows. Each time the parser must get on, must stay in the window, and
 * must see the same events - up to the first REQUEST_REST, which passes over as much as the call
 * holds. What lies around the bytes of a window is other garbage each time, so that a parser that
 * looks at it is found; what a protocol recognises must not depend on it either.
 */
/* objects: none */
#include <stdint.h>
#include <stdlib.h>
#include "helpers/request_feed.h"
#include "../../bpf/request_amqp.h"
#include "../../bpf/request_http.h"
#include "../../bpf/request_postgresql.h"
#include "../../bpf/request_redis.h"

#define EVENTS 4096 /* compared; those behind are not */
#define AROUND 96   /* bytes of garbage on each side of the window */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int step_function(struct request_work *w);

/* in the order of enum request_protocol */
static const struct protocol {
	const char *name;
	step_function *request, *response;
	int (*recognise)(const struct request_work *w);
} protocols[] = {
    {"http", http_request_step, http_response_step, http_recognise},
    {"redis", redis_request_step, redis_response_step, redis_recognise},
    {"postgresql", postgresql_request_step, postgresql_response_step, postgresql_recognise},
    {"amqp", amqp_request_step, amqp_response_step, amqp_recognise},
};

#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

/* What one pass over the stream saw. */
struct seen {
	struct feed feed;
	step_function *step;
	uint32_t in_flight;
	uint8_t garbage;
	bool rested; /* a REQUEST_REST: from there on, cuts matter */
	size_t n;
	struct event {
		int event;
		uint32_t flags;
		uint16_t outcome, class, channel, multiple;
		uint64_t tag, hash;
		union request_name name;
	} event[EVENTS];
};

/* the two passes that are compared */
static struct seen whole, cut;
static struct seen *current;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void put_garbage_around(struct request_work *w, uint8_t garbage)
{
	uint32_t before = w->at < AROUND ? w->at : AROUND;

	memset(w->bytes + w->at - before, garbage, before);
	memset(w->bytes + w->end, garbage, AROUND);
}

static int step(struct request_work *w)
{
	int event;

	w->in_flight = current->in_flight;
	put_garbage_around(w, current->garbage);
	event = current->step(w);
	must(w->at <= w->end);
	if (event == REQUEST_REST)
		current->rested = true;
	return event;
}

/* What of an event means something; the rest of the work area is anything. */
static struct event meaning(int event, const struct request_work *w)
{
	struct event e = {.event = event};
	bool named = event == REQUEST_BEGAN || event == REQUEST_NAMED;

	if (named) {
		e.hash = w->hash;
		e.name = w->name;
	}
	if (event == REQUEST_BEGAN)
		e.flags = w->flags;
	if (event == REQUEST_ANSWERED || event == REQUEST_ACKED)
		e.outcome = w->outcome;
	if (event == REQUEST_ANSWERED && current->step == http_response_step)
		e.class = w->class;
	if (event == REQUEST_ACKED) {
		e.multiple = w->multiple;
		e.tag = w->tag;
	}
	if (event == REQUEST_ACKED || e.flags & REQUEST_BEGAN_KEYED)
		e.channel = w->channel;
	return e;
}

static void see(void *arg, int event, struct request_work *w)
{
	struct seen *s = arg;
	uint32_t n = event == REQUEST_STREAM || event == REQUEST_BROKEN ? 1 : w->count;

	must(n > 0);
	if (event == REQUEST_ANSWERED)
		s->in_flight -= n < s->in_flight ? n : s->in_flight;
	if (event == REQUEST_BEGAN || event == REQUEST_NAMED)
		must(w->name.text[REQUEST_NAME - 1] == '\0');
	if (s->rested)
		return;
	for (; n && s->n < EVENTS; n--)
		s->event[s->n++] = meaning(event, w);
}

static void begin(struct seen *s, step_function *step_of, uint32_t in_flight, uint8_t garbage)
{
	memset(&s->feed, 0, sizeof(s->feed));
	s->feed.step = step;
	s->feed.event = see;
	s->feed.arg = s;
	s->step = step_of;
	s->in_flight = in_flight;
	s->garbage = garbage;
	s->rested = false;
	s->n = 0;
	current = s;
}

static void give(struct seen *s, const uint8_t *bytes, size_t n, size_t window)
{
	feed(&s->feed, bytes, n, window);
	must(!s->feed.stuck);
}

static void compare(void)
{
	must(whole.n == cut.n);
	must(whole.rested || cut.rested || whole.feed.broken == cut.feed.broken);
	for (size_t i = 0; i < cut.n; i++)
		must(memcmp(&whole.event[i], &cut.event[i], sizeof(cut.event[i])) == 0);
}

static void cut_at_random(const uint8_t *bytes, size_t size, uint32_t seed)
{
	for (size_t at = 0, n; at < size; at += n) {
		n = next_random(&seed) % (next_random(&seed) & 1 ? 16 : 512) + 1;
		if (n > size - at)
			n = size - at;
		give(&cut, bytes + at, n, next_random(&seed) % REQUEST_WINDOW + 1);
	}
}

static int recognise(const struct protocol *p, const uint8_t *bytes, size_t n, uint8_t garbage)
{
	static struct request_work w;

	memset(w.bytes, garbage, sizeof(w.bytes));
	w.at = REQUEST_HELD;
	w.end = REQUEST_HELD + n;
	memcpy(w.bytes + w.at, bytes, n);
	return p->recognise(&w);
}

static void check_recognise(const struct protocol *p, const uint8_t *bytes, size_t size)
{
	int is;

	if (size > REQUEST_WINDOW)
		size = REQUEST_WINDOW;
	for (size_t n = 1; n <= size; n += n < 128 ? 1 : 61) {
		is = recognise(p, bytes, n, 0xff);
		must(is == 0 || is == 1 || is == -1);
		must(is == recognise(p, bytes, n, '\n'));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct protocol *p;
	uint32_t in_flight, seed;
	step_function *of;

	if (size < 2)
		return 0;
	p = &protocols[data[0] / 2 % PROTOCOLS];
	of = data[0] & 1 ? p->response : p->request;
	seed = data[1] * 0x9e3779b9u + 1;
	in_flight = data[1] & 1 ? EVENTS : data[1] >> 1 & 3;
	data += 2;
	size -= 2;

	begin(&whole, of, in_flight, 0xff);
	give(&whole, data, size, REQUEST_WINDOW);
	begin(&cut, of, in_flight, '\n');
	for (size_t i = 0; i < size; i++)
		give(&cut, data + i, 1, 1);
	compare();
	begin(&cut, of, in_flight, '0');
	cut_at_random(data, size, seed);
	compare();
	check_recognise(p, data, size);
	return 0;
}
