/* request_amqp_test.c - the events of AMQP 0-9-1 and what they amount to, however the bytes are
 * cut, and what is taken for it.
 *
 * A talk is told as a line: +NAME for a request that began, ! if it is counted at once and - if it
 * is not counted; NAME=N for N answers, eN of them errors, uN of them without a time, and dN
 * requests dropped; *N for N times the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "helpers/request_feed.h"
#include "../../bpf/request_amqp.h"
#include "request_amqp_talk.h"

#define TURNS 64
#define BYTES 8192
#define WHOLE SIZE_MAX

/* Who sends what, in the order of time. */
struct turns {
	struct turn {
		bool client;
		size_t at, n;
	} turn[TURNS];
	size_t n, used;
	uint8_t bytes[BYTES];
};

/* What was seen of a talk. */
struct seen {
	struct feed client, server;
	struct request_amqp flight;
	size_t turn;
	char line[2048], last[64];
	unsigned times;
	char events[32 << 10]; /* all that the parser said */
	size_t used;
};

static uint8_t digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Adds one frame, "TYPE.CHANNEL.PAYLOAD " or "AMQP ". Returns what is behind it. */
static const char *add_frame(struct turns *t, const char *text)
{
	uint8_t *to = t->bytes + t->used, *p = to + AMQP_HEADER;

	assert_true(t->used + strlen(text) < BYTES);
	if (*text == 'A') {
		memcpy(to, "AMQP\0\0\x09\x01", 8);
		t->used += 8;
		return strchr(text, ' ') + 1;
	}
	to[0] = digit(text[0]);
	to[1] = 0;
	to[2] = digit(text[2]);
	for (text += 4; *text != ' '; text += 2)
		*p++ = digit(text[0]) << 4 | digit(text[1]);
	for (int i = 0; i < 4; i++)
		to[3 + i] = (p - to - AMQP_HEADER) >> (24 - 8 * i);
	*p++ = AMQP_END;
	t->used = p - t->bytes;
	return text + 1;
}

static void add_turn(struct turns *t, const char *text)
{
	struct turn *turn = &t->turn[t->n++];

	assert_true(t->n <= TURNS);
	turn->client = *text++ == '>';
	turn->at = t->used;
	while (*text)
		text = add_frame(t, text);
	turn->n = t->used - turn->at;
}

static void tell_last(struct seen *s)
{
	char *end = s->line + strlen(s->line);

	if (s->times)
		snprintf(end, sizeof(s->line) - (end - s->line), s->times > 1 ? "%s%s*%u" : "%s%s",
			 end == s->line ? "" : " ", s->last, s->times);
	s->times = 0;
}

static void tell(struct seen *s, const char *text)
{
	if (s->times && strcmp(s->last, text))
		tell_last(s);
	snprintf(s->last, sizeof(s->last), "%s", text);
	s->times++;
}

static void on_began(struct seen *s, struct request_work *w)
{
	char text[64];

	amqp_begin(&s->flight, w, s->turn + 1);
	snprintf(text, sizeof(text), "+%s%s", w->name.text,
		 w->flags & REQUEST_BEGAN_KEYED	   ? ""
		 : w->flags & REQUEST_BEGAN_SILENT ? "!"
						   : "-");
	tell(s, text);
}

static void on_acked(struct seen *s, struct request_work *w)
{
	struct request_amqp_answers answers;
	unsigned n;
	char text[64];
	int used;

	amqp_end(&s->flight, w, &answers);
	n = answers.untimed;
	for (int i = 0; i < AMQP_RUNS; i++) {
		n += answers.run[i].n;
		if (answers.run[i].n)
			assert_in_range(answers.run[i].start_ns, 1, s->turn);
	}
	if (!n && !answers.dropped)
		return;
	used = snprintf(text, sizeof(text), "%s=%u", w->name.text, n);
	if (answers.errors)
		used += snprintf(text + used, sizeof(text) - used, "e%u", answers.errors);
	if (answers.untimed)
		used += snprintf(text + used, sizeof(text) - used, "u%u", answers.untimed);
	if (answers.dropped)
		snprintf(text + used, sizeof(text) - used, "d%u", answers.dropped);
	tell(s, text);
}

static void on_event(void *arg, int event, struct request_work *w)
{
	struct seen *s = arg;

	s->used +=
	    snprintf(s->events + s->used, sizeof(s->events) - s->used, "%d %s %x %u %llu %u %u\n",
		     event, event == REQUEST_BROKEN ? "" : w->name.text,
		     event == REQUEST_BROKEN ? 0 : w->flags, w->channel, w->tag, w->multiple,
		     w->outcome);
	assert_true(s->used < sizeof(s->events));
	if (event == REQUEST_BEGAN)
		on_began(s, w);
	else if (event == REQUEST_ACKED)
		on_acked(s, w);
	else
		tell(s, "broken");
}

/* How the bytes come: in calls of at most `call` bytes, windows of at most `window`; and cut once,
 * at one byte of all. */
struct cuts {
	size_t call, window, at;
};

static struct seen *see(const struct turns *t, struct cuts cuts)
{
	struct seen *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->client = (struct feed){.step = amqp_request_step, .event = on_event, .arg = s};
	s->server = (struct feed){.step = amqp_response_step, .event = on_event, .arg = s};
	for (s->turn = 0; s->turn < t->n; s->turn++) {
		const struct turn *turn = &t->turn[s->turn];
		struct feed *f = turn->client ? &s->client : &s->server;
		size_t from = turn->at, end = turn->at + turn->n, n;

		for (; from < end; from += n) {
			n = end - from < cuts.call ? end - from : cuts.call;
			if (from < cuts.at && cuts.at < from + n)
				n = cuts.at - from;
			feed(f, t->bytes + from, n, cuts.window);
			assert_false(f->stuck);
		}
	}
	tell_last(s);
	return s;
}

static void must_be_same(const struct turns *t, const struct seen *whole, struct cuts cuts)
{
	struct seen *s = see(t, cuts);

	assert_string_equal(s->events, whole->events);
	assert_string_equal(s->line, whole->line);
	free(s);
}

/* Holds the line of some turns against what is expected, cut in every way. */
static void must_tell(const struct turns *t, const char *expected)
{
	struct seen *whole = see(t, (struct cuts){WHOLE, REQUEST_WINDOW, WHOLE});

	assert_string_equal(whole->line, expected);
	for (size_t at = 1; at < t->used; at++)
		must_be_same(t, whole, (struct cuts){WHOLE, REQUEST_WINDOW, at});
	for (size_t n = 1; n <= 64; n++) {
		must_be_same(t, whole, (struct cuts){n, REQUEST_WINDOW, WHOLE});
		must_be_same(t, whole, (struct cuts){WHOLE, n, WHOLE});
	}
	free(whole);
}

#define TALK(name, expected)                                                                       \
	{                                                                                          \
#name, talk_##name, sizeof(talk_##name) / sizeof(talk_##name[0]), expected         \
	}

static const struct talk {
	const char *name;
	const char *const *turn;
	size_t turns;
	const char *expected;
} talks[] = {
    TALK(whole, "+publish publish=1 +publish publish=1 +publish publish=1"),
    TALK(plain, "+publish!*3"),
    TALK(returned, "+publish publish=1e1 +publish publish=1"),
    TALK(returned_plain, "+publish! return=1e1u1"),
    TALK(nacked, "+publish publish=1 +publish publish=1e1 +publish publish=1e1 +publish "
		 "publish=1e1"),
    TALK(missing_exchange, "+publish publish=1 +publish publish=1e1 +publish publish=1"),
    TALK(missing_plain, "+publish! channel=1e1u1"),
    TALK(missing_queue, "channel=1e1u1"),
    /* the acknowledgement up to 5 takes 2 along once more, the last one 3 instead of 4 */
    TALK(consume, "+deliver*12 deliver=1*2 deliver=4 deliver=1 deliver=1e1*2 deliver=3"),
    TALK(consume_named, "+deliver deliver=1 +deliver deliver=1 +deliver deliver=1"),
    TALK(no_ack, "+deliver!*4"),
    TALK(get, "+get get=1 +get get=1 +get get=1"),
    TALK(channels, "+publish publish=1 +publish publish=1 +publish! +publish publish=1 +publish "
		   "publish=1 +publish! +publish publish=1 +publish publish=1 +publish! +publish "
		   "publish=1 +publish publish=1 +publish! +deliver*12 deliver=1*12"),
    TALK(recover, "+deliver*2 deliver=0d2 +deliver*2 deliver=2"),
    TALK(mixed, "+publish*60 publish=1*48 publish=12"),
    TALK(requeued, "+deliver*3 deliver=1e1 deliver=2"),
    TALK(left, "+publish*2 publish=1 channel=0d1"),
    TALK(closed_by_server, "+publish publish=1 channel=1e1u1"),
};

#define N_TALKS (sizeof(talks) / sizeof(talks[0]))

static struct turns turns;

static struct turns *read_talk(const struct talk *talk)
{
	turns.n = turns.used = 0;
	for (size_t i = 0; i < talk->turns; i++)
		add_turn(&turns, talk->turn[i]);
	return &turns;
}

static void test_talks(void **state)
{
	for (size_t i = 0; i < N_TALKS; i++)
		must_tell(read_talk(&talks[i]), talks[i].expected);
}

/* Every byte changed to others: whatever it makes of them, it makes it of all cuts. */
static void test_changed(void **state)
{
	static const uint8_t other[] = {0, 1, 0x7f, 0x80, 0xce, 0xff};
	struct turns *t = read_talk(&talks[8]);
	unsigned broken = 0;

	for (size_t i = 0; i < t->used; i++) {
		uint8_t was = t->bytes[i];

		for (size_t k = 0; k < sizeof(other); k++) {
			struct seen *s;

			t->bytes[i] = other[k];
			s = see(t, (struct cuts){WHOLE, REQUEST_WINDOW, WHOLE});
			broken += s->client.broken || s->server.broken;
			must_be_same(t, s, (struct cuts){1 + i % 64, REQUEST_WINDOW, WHOLE});
			must_be_same(t, s, (struct cuts){WHOLE, 1 + i % 13, WHOLE});
			free(s);
		}
		t->bytes[i] = was;
	}
	assert_true(broken > 300); /* 40 frames, whose types, sizes and ends cannot be any */
}

/* --- what is no AMQP, or not any more */

static const struct wrong {
	const char *bytes;
	size_t n;
	bool client;
	const char *expected;
} wrongs[] = {
#define CLIENT(bytes, expected)                                                                    \
	{                                                                                          \
		bytes, sizeof(bytes) - 1, true, expected                                           \
	}
#define SERVER(bytes, expected)                                                                    \
	{                                                                                          \
		bytes, sizeof(bytes) - 1, false, expected                                          \
	}
    CLIENT("AMQP\0\x01\0\0", "broken"), /* AMQP 1.0 */
    CLIENT("AMQP\x01\x01\0\x09", "broken"),
    SERVER("AMQP\0\0\x09\x01", ""), /* the server knows another version only */
    CLIENT("\x04\0\x01\0\0\0\0\xce", "broken"),
    CLIENT("\0\0\x01\0\0\0\0\xce", "broken"),
    CLIENT("\x08\0\0\0\0\0\0\xce\x08\0\0\0\0\0\0\xcd", "broken"),
    CLIENT("\x01\0\x01\0\0\0\x03\0\x3c\0\xce", "broken"), /* half a method */
    CLIENT("\x01\0\x01\x7f\xff\xff\xff\0\x3c\0\x28", "broken"),
    CLIENT("\x03\0\x01\0\x10\0\0", ""), /* a body of which more is to come */
    CLIENT("\x01\0\x01\0\0\0\x04\0\x3c\0\x28\0", "+publish! broken"),		    /* no end */
    CLIENT("\x01\0\x01\0\0\0\x0c\0\x3c\0\x50\0\0\0\0\0\0\0\x01\xce\xce", "broken"), /* no bits */
    CLIENT("\x01\0\x01\0\0\0\x05\0\x3c\0\x14\0\xce", "broken"), /* half a number */
    SERVER("\x01\0\x01\0\0\0\x0a\0\x3c\0\x3c\x06"
	   "abcdef\xce",
	   "broken"), /* no tag */
    SERVER("\x01\0\x01\0\0\0\x0a\0\x3c\0\x3c\x05"
	   "abcde\xce\0\0\0\0\0\0\0\0\0\0",
	   "broken"),
    SERVER("\x01\0\x01\0\0\0\x05\0\x0a\0\x32\x01\xce", "broken"), /* half a code */
    SERVER("\x01\0\0\0\0\0\x06\0\x0a\0\x32\0\xc8\xce", ""),
    SERVER("\x01\0\0\0\0\0\x06\0\x0a\0\x32\x01\x2b\xce", ""),
    SERVER("\x01\0\0\0\0\0\x06\0\x0a\0\x32\x01\x2c\xce", "channel=1e1u1"),
};

static void test_wrong(void **state)
{
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		turns.n = 1;
		turns.used = wrongs[i].n;
		turns.turn[0] = (struct turn){.client = wrongs[i].client, .n = wrongs[i].n};
		memcpy(turns.bytes, wrongs[i].bytes, wrongs[i].n);
		must_tell(&turns, wrongs[i].expected);
	}
}

/* --- recognition */

static int recognise(const void *bytes, size_t n)
{
	static struct request_work w;

	memset(w.bytes, 0xce, sizeof(w.bytes)); /* what is behind must not matter */
	w.at = REQUEST_HELD;
	w.end = w.at + n;
	memcpy(w.bytes + w.at, bytes, n);
	return amqp_recognise(&w);
}

/* The beginning of a call of the client, of every length. */
static void must_recognise(const uint8_t *bytes, size_t n)
{
	size_t needs = *bytes == 'A' ? 8 : AMQP_METHOD;

	for (size_t i = 1; i <= n && i <= REQUEST_WINDOW; i++)
		assert_int_equal(recognise(bytes, i), i < needs ? -1 : 1);
}

static void test_recognised(void **state)
{
	for (size_t i = 0; i < N_TALKS; i++) {
		struct turns *t = read_talk(&talks[i]);

		for (size_t k = 0; k < t->n; k++)
			if (t->turn[k].client)
				must_recognise(t->bytes + t->turn[k].at, t->turn[k].n);
	}
	assert_int_equal(recognise("\x08\0\0\0\0\0\0\xce", 7), -1);
	assert_int_equal(recognise("\x08\0\0\0\0\0\0\xce", 8), 1);
	assert_int_equal(recognise("\x03\0\x01\0\0\0\x01x\xce", 8), 0);
	assert_int_equal(recognise("\x03\0\x01\0\0\0\x01x\xce", 9), 1);
	assert_int_equal(recognise("\x02\0\x01\0\0\0\x0e\0\x3c\0\0\0\0\0\0", 15), 1);
}

static const struct other {
	const char *bytes;
	size_t n;
} others[] = {
#define OTHER(bytes)                                                                               \
	{                                                                                          \
		bytes, sizeof(bytes) - 1                                                           \
	}
    OTHER("AMQP\0\x01\0\0"),   /* AMQP 1.0 */
    OTHER("AMQP\x03\x01\0\0"), /* ... with SASL */
    OTHER("GET / HTTP/1.1\r\n"),
    OTHER("*1\r\n$4\r\nPING\r\n"),
    OTHER("\0\0\0\x08\x04\xd2\x16\x2f"),		 /* PostgreSQL */
    OTHER("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),	 /* TLS */
    OTHER("\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0"), /* RDP */
    OTHER("\x03\0\0\x01\x05\0\0\0\0\x03\0\0"),		 /* Cassandra */
    OTHER("\x03\0\x01\0\x07\0\0\0\x1fselect"),
    OTHER("\x01\x01\0\0\x05\0\0\0\0\0\0\0\xdd\x07\0\0"), /* MongoDB */
    OTHER("\x01\0\0\0\x01\0\0\0\0\0\0\0"),
    OTHER("\x02\0\x01\0\0\0\x0e\0\x3c\0\x01\0\0\0\0"),
    OTHER("\x01\0\x01\0\x10\0\x01\0\x3c\0\x28"),     /* too large */
    OTHER("\x01\0\x01\0\0\0\x05\0\x3c\0\x28\0\xcf"), /* no end */
    OTHER("\x01\0\x01\0\0\0\x05\0\x0a\0\x28\0\xce"), /* of a channel, class of a connection */
    OTHER("\x01\0\0\0\0\0\x05\0\x3c\0\x28\0\xce"),
    OTHER("\x01\0\x01\0\0\0\x05\0\x46\0\x28\0\xce"),
    OTHER("\x01\0\x01\0\0\0\x05\0\x3c\x01\x28\0\xce"),
    OTHER("\x08\0\x01\0\0\0\0\xce"),
    OTHER("\x05\0\x01\0\0\0\0\xce"),
};

static void test_others(void **state)
{
	static const uint8_t zeros[64];

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(recognise(others[i].bytes, others[i].n), 0);
	assert_int_equal(recognise(zeros, sizeof(zeros)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_talks),  cmocka_unit_test(test_changed),
	    cmocka_unit_test(test_wrong),  cmocka_unit_test(test_recognised),
	    cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
