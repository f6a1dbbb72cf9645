/* request_postgresql_test.c - the events of PostgreSQL's protocol, however its bytes are cut, and
 * what is taken for it.
 *
 * A talk is told as a line: +N! a request of batch N that ends it, +N one that does not, behind it
 * the name it came with; NAME? the name of the one that is being answered, NAME=ok or =error an
 * answer (* if not the first of its batch, ~ if there was none to answer), "." a ReadyForQuery, and
 * -N behind it if N requests of the batch were skipped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include "helpers/request_feed.h"
#include "../../bpf/request_postgresql.h"
#include "request_postgresql_talk.h"

#define PIECES 256
#define BYTES (256 << 10)
#define IN_FLIGHT 512
#define WINDOW REQUEST_WINDOW
#define WHOLE SIZE_MAX

/* The calls of a talk. */
struct calls {
	struct call {
		char who;
		size_t n;
		uint8_t *bytes;
	} call[PIECES];
	size_t n, used;
	uint8_t bytes[BYTES];
};

/* What was seen of a talk, and the requests in flight, as the programs remember them. */
struct seen {
	struct feed client, server;
	char line[32 << 10];
	size_t used;
	uint16_t in_flight[IN_FLIGHT], n, last;
};

static void add(struct calls *c, char who, const void *bytes, size_t n)
{
	if (who) {
		assert_true(c->n < PIECES);
		c->call[c->n++] = (struct call){.who = who, .bytes = c->bytes + c->used};
	}
	assert_true(c->used + n <= BYTES);
	memcpy(c->bytes + c->used, bytes, n);
	c->used += n;
	c->call[c->n - 1].n += n;
}

static void add_message(struct calls *c, const struct message *m)
{
	uint8_t head[5] = {m->type};
	uint32_t length = __builtin_bswap32(m->n + 4);

	memcpy(head + 1, &length, sizeof(length));
	add(c, m->who, head, m->type ? sizeof(head) : 0);
	add(c, 0, m->body, m->n);
}

static struct calls *calls_of(const struct message *talk, size_t n)
{
	struct calls *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	for (size_t i = 0; i < n; i++)
		add_message(c, &talk[i]);
	return c;
}

static void say(struct seen *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct seen *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	s->used += vsnprintf(s->line + s->used, sizeof(s->line) - s->used, format, args);
	va_end(args);
	assert_true(s->used < sizeof(s->line));
}

static void forget_first(struct seen *s)
{
	s->last = s->in_flight[0];
	memmove(s->in_flight, s->in_flight + 1, sizeof(s->in_flight) - sizeof(s->in_flight[0]));
	s->n--;
}

static void answered(struct seen *s, const struct request_work *w)
{
	bool none = !s->n || (w->multiple && s->in_flight[0] != s->last);

	say(s, "%s=%s%s%s ", w->name.text, w->outcome == REQUEST_OK ? "ok" : "error",
	    w->multiple ? "*" : "", none ? "~" : "");
	if (!none)
		forget_first(s);
}

static void synced(struct seen *s)
{
	int skipped = 0;

	for (; s->n && s->in_flight[0] == s->last; skipped++)
		forget_first(s);
	say(s, skipped ? ".-%d " : ". ", skipped);
}

static void event(void *arg, int what, struct request_work *w)
{
	struct seen *s = arg;

	switch (what) {
	case REQUEST_BEGAN:
		say(s, "+%d%s%s ", w->channel, w->name.text,
		    w->flags & REQUEST_BEGAN_SYNC ? "!" : "");
		assert_true(!w->hash == !w->name.text[0]);
		assert_true(s->n < IN_FLIGHT);
		s->in_flight[s->n++] = w->channel;
		break;
	case REQUEST_NAMED:
		say(s, "%s? ", w->name.text);
		break;
	case REQUEST_ANSWERED:
		answered(s, w);
		break;
	case REQUEST_SYNCED:
		synced(s);
		break;
	default:
		say(s, what == REQUEST_STREAM ? "stream " : "broken ");
	}
	s->server.work.in_flight = s->n;
}

/* Cuts each call at `first`, what is left into parts of `each`. */
static void play(struct seen *s, const struct calls *c, size_t first, size_t each, size_t window)
{
	memset(s, 0, sizeof(*s));
	memset(s->client.work.bytes, 'Z', sizeof(s->client.work.bytes));
	s->last = UINT16_MAX;
	s->client.step = postgresql_request_step;
	s->server.step = postgresql_response_step;
	s->client.event = s->server.event = event;
	s->client.arg = s->server.arg = s;
	for (size_t i = 0; i < c->n; i++) {
		const struct call *call = &c->call[i];
		struct feed *f = call->who == 'C' ? &s->client : &s->server;

		for (size_t at = 0, n; at < call->n; at += n) {
			n = at ? each : first;
			if (n > call->n - at)
				n = call->n - at;
			feed(f, call->bytes + at, n, window);
		}
		assert_false(f->stuck);
		if (strstr(s->line, "stream"))
			break;
	}
}

/* Plays it whole, byte by byte, with each cut, with each window: the line is always the same. */
static void is_told(const struct calls *c, const char *line)
{
	struct seen *s = malloc(sizeof(*s));
	size_t longest = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->call[i].n > longest)
			longest = c->call[i].n;
	play(s, c, WHOLE, WHOLE, WINDOW);
	assert_string_equal(s->line, line);
	for (size_t n = 1; n < longest && n < WINDOW; n++) {
		play(s, c, n, WHOLE, WINDOW);
		assert_string_equal(s->line, line);
		play(s, c, n, n, WINDOW);
		assert_string_equal(s->line, line);
		play(s, c, WHOLE, WHOLE, n);
		assert_string_equal(s->line, line);
	}
	free(s);
}

#define IS_TOLD(talk, line)                                                                        \
	do {                                                                                       \
		struct calls *calls = calls_of(talk, sizeof(talk) / sizeof((talk)[0]));            \
		is_told(calls, line);                                                              \
		free(calls);                                                                       \
	} while (0)

static void a_session_of_psql(void **state)
{
	IS_TOLD(talk_psql, ". "
			   "+1SELECT! SELECT? =ok . "
			   "+2CREATE! CREATE TABLE? =ok . "
			   "+3COPY! COPY? =ok . "
			   "+4COPY! COPY? =ok . "
			   "+5SELECT! =error . "
			   "+6BEGIN! BEGIN? =ok . "
			   "+7SELECT! SELECT? =ok . "
			   "+8SELECT! SELECT? =error . "
			   "+9! EMPTY? =ok . "
			   "+10NOTIFY! NOTIFY? =ok . "
			   "+11DO! DO? =ok . "
			   "+12REFRESH! REFRESH MATERIALIZED? =ok . "
			   "+13PREPARE! =ok . "
			   "+14DESCRIBE! =ok . ");
}

static void batches(void **state)
{
	IS_TOLD(talk_batches, ". "
			      "+1PREPARE! =ok . "
			      "+2 SELECT=ok . "
			      ". " /* Close */
			      ". " /* a lone Sync */
			      "+5PREPARE! =error . "
			      "+6 +6 +6 SELECT=ok =error* .-1 "
			      "+7BEGIN! BEGIN? =ok . "
			      "+8 SELECT=ok . " /* a portal in three parts */
			      "+9 SELECT=ok . "
			      "+10 SELECT? =ok . "
			      "+11COMMIT! COMMIT? =ok . "
			      "+12 EMPTY=ok . "
			      "+13 SELECT=ok . " /* Flush before Execute */
			      "+14DESCRIBE! =error . "
			      "+15FASTPATH! =error . "
			      "+16CREATE! CREATE TABLE? =ok . "
			      "+17 +18 INSERT=ok =error*~ . SELECT=ok . " /* the COMMIT failed */
			      "+19 COPY=ok . " /* the server ignores its first Sync */
			      "+21 COPY=ok . "
			      "+22 =error . "
			      "+23SELECT! +24SELECT! +25SELECT! +26SELECT! "
			      "SELECT? =ok . SELECT? =ok . =error . SELECT? =ok . ");
	IS_TOLD(talk_pgbench_prepared, ". +1PREPARE! =ok . +2 SELECT=ok . ");
	IS_TOLD(talk_more, ". +1FASTPATH! =ok . +2DESCRIBE! +3 =error . SELECT=ok . ");
}

static void ends_of_connections(void **state)
{
	IS_TOLD(talk_terminated, ". +1SELECT! =error ");
	IS_TOLD(talk_idle, ". +1SET! SET? =ok . ");
	IS_TOLD(talk_refused, "");
	IS_TOLD(talk_replication, ". +1SHOW! SHOW? =ok . +2! stream ");
}

#define SSL_REQUEST ASK(0, "\0\0\0\x08\x04\xd2\x16\x2f")
#define GSS_REQUEST ASK(0, "\0\0\0\x08\x04\xd2\x16\x30")
#define CLIENT_HELLO ASK(0, "\x16\x03\x01\x01\x20\x01\0\x01\x1c\x03\x03\x8aOF")

static void encryption(void **state)
{
	static const struct message tls[] = {SSL_REQUEST, TELL(0, "S"), CLIENT_HELLO,
					     TELL(0, "\x16\x03\x03\0\x7a")};
	static const struct message tls_after_gss[] = {GSS_REQUEST, TELL(0, "N"), SSL_REQUEST,
						       TELL(0, "S"), CLIENT_HELLO};
	static const struct message gss[] = {GSS_REQUEST, TELL(0, "G"),
					     ASK(0, "\0\0\x02\x60\x60\x82\x02\x5c")};
	static const struct message neither[] = {GSS_REQUEST,	  TELL(0, "N"),
						 SSL_REQUEST,	  TELL(0, "N"),
						 START,		  STARTED,
						 ASK('Q', "x\0"), TELL('C', "SELECT 1\0"),
						 AND('Z', "I")};
	static const struct message refused_at_once[] = {SSL_REQUEST, TELL('E', "SFATAL\0\0")};
	static const struct message server_only[] = {TELL(0, "S\x16\x03\x03\0\x7a")};

	IS_TOLD(tls, "stream ");
	IS_TOLD(tls_after_gss, "stream ");
	IS_TOLD(gss, "stream ");
	IS_TOLD(neither, ". +1X! SELECT? =ok . ");
	IS_TOLD(refused_at_once, "");
	IS_TOLD(server_only, "stream ");
}

static void cancel(void **state)
{
	static const struct message talk[] = {
	    ASK(0, "\0\0\0\x10\x04\xd2\x16\x2e\0\0-\x89\x1e\xba\x9bN")};

	IS_TOLD(talk, "");
}

/* Met in mid-life: the first of the server's messages can be of a type that is also an answer to a
 * request for encryption. */
static void mid_life(void **state)
{
	static const struct message notice[] = {ASK('Q', "x\0"), TELL('N', "SNOTICE\0\0"),
						AND('C', "DO\0"), AND('Z', "I")};
	static const struct message setting[] = {ASK('Q', "x\0"), TELL('S', "TimeZone\0UTC\0"),
						 AND('C', "SET\0"), AND('Z', "T")};
	static const struct message copy[] = {ASK('Q', "x\0"),	     TELL('G', "\0\0\x01\0\0"),
					      ASK('d', "1\n"),	     AND('c', ""),
					      TELL('C', "COPY 1\0"), AND('Z', "I")};
	static const struct message second[] = {TELL('Z', "I"), AND(0, "N")};

	IS_TOLD(notice, "+0X! DO? =ok . ");
	IS_TOLD(setting, "+0X! SET? =ok . ");
	IS_TOLD(copy, "+0X! COPY? =ok . ");
	IS_TOLD(second, ". ");
}

static void names_of_statements(void **state)
{
	static const struct {
		const char *tag, *name;
	} cases[] = {
	    {"SELECT 5", "SELECT"},
	    {"SELECT 18446744073709551615", "SELECT"},
	    {"INSERT 0 1", "INSERT"},
	    {"COPY", "COPY"},
	    {"ROLLBACK", "ROLLBACK"},		  /* as long as a word */
	    {"DECLARE CURSOR", "DECLARE CURSOR"}, /* its first word ends with one */
	    {"ROLLBACK PREPARED", "ROLLBACK PREPARED"},
	    {"TRUNCATE TABLE", "TRUNCATE TABLE"},
	    {"CREATE MATERIALIZED VIEW", "CREATE MATERIALIZED"},
	    {"CREATE TEXT SEARCH CONFIGURATION", "CREATE TEXT"},
	    {"START_REPLICATION", "START_REPLICATION"},
	    {"CREATE_REPLICATION_SLOT", "CREATE_REPLICATION_SLOT"},
	    {"CREATE_REPLICATION_SLOT X", "CREATE_REPLICATION_SLOT"},
	    {"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ABCDEFGHIJKLMNOPQRSTUVWX"},
	    {"ABCDEFGH IJKLMNOPQRSTUVWXYZ", "ABCDEFGH IJKLMNOPQRSTUVW"},
	    {"A\xc3\x84", "A"},
	    {"A\nB", "A"},
	    {"", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct message talk[] = {
		    ASK('Q', "x\0"),
		    {'S', 'C', cases[i].tag, strlen(cases[i].tag) + 1},
		    AND('Z', "I"),
		};
		char line[80];

		snprintf(line, sizeof(line), "+0X! %s? =ok . ", cases[i].name);
		IS_TOLD(talk, line);
	}
}

/* What a Query is called until its answer tells more. */
static void first_words(void **state)
{
	static const struct {
		const char *text, *name;
	} cases[] = {
	    {"select 1", "SELECT"},
	    {"Rollback;", "ROLLBACK"}, /* as long as a word */
	    {"identify_system", "IDENTIFY_SYSTEM"},
	    {"abcdefghijklmnop", "ABCDEFGHIJKLMNOP"},
	    {"abcdefghijklmnopq", ""},	 /* too long */
	    {"-- select\nselect 1", ""}, /* begins with none */
	    {"", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct message talk[] = {{'C', 'Q', cases[i].text, strlen(cases[i].text) + 1},
					       {0, 'Q', "",
						0}, /* without its NUL: no word either */
					       AND('Q', "ok\0")};
		char line[80];

		snprintf(line, sizeof(line), "+0%s! +1! +2OK! ", cases[i].name);
		IS_TOLD(talk, line);
	}
}

/* The hash is of all of a name, and the same whichever side says it. */
static void hashes(void **state)
{
	static const struct message talk[] = {AND('C', "CREATE_REPLICATION_SLOT\0"), AND('Z', "I"),
					      AND('C', "CREATE_REPLICATION_SLOW\0"), AND('Z', "I"),
					      AND('C', "PREPARE\0")};
	struct request_work *w = calloc(1, sizeof(*w));
	struct calls *c = calloc(1, sizeof(*c));
	uint64_t hash[3] = {0};

	add(c, 'S', "", 0);
	for (size_t i = 0; i < sizeof(talk) / sizeof(talk[0]); i++)
		add_message(c, &talk[i]);
	memcpy(w->bytes, c->bytes, c->used);
	w->end = c->used;
	for (int i = 0; w->at < w->end;)
		if (postgresql_response_step(w) == REQUEST_NAMED)
			hash[i++] = w->hash;
	assert_true(hash[0] && hash[1] && hash[0] != hash[1]);
	set_name(w, NAME8('P', 'R', 'E', 'P', 'A', 'R', 'E', 0), 0);
	assert_true(hash[2] == w->hash);
	free(w);
	free(c);
}

static void numbers_of_batches(void **state)
{
	static const struct message parts[] = {ASK('Q', "x\0"), AND('P', "\0x\0\0\0"),
					       AND('S', "")};
	struct calls *c = calloc(1, sizeof(*c));
	struct seen *s = malloc(sizeof(*s));

	for (int i = 0; i < 150; i++)
		for (int k = 0; k < 3; k++)
			add_message(c, &parts[k]);
	play(s, c, WHOLE, WHOLE, WINDOW);
	assert_non_null(strstr(s->line, "+254X! +255PREPARE! +0X! +1PREPARE! "));
	assert_int_equal(s->n, 300);
	free(s);
	free(c);
}

/* Thousands of messages in a call, and some that are longer than all windows. */
static void many_and_long(void **state)
{
	static char text[100000];
	const struct message parts[] = {{'C', 'Q', text, sizeof(text)},
					TELL('T', COLUMN),
					AND('D', ROW(1)),
					{0, 'D', text, sizeof(text)},
					AND('C', "SELECT 4\0"),
					AND('Z', "I"),
					{'C', 'P', text, sizeof(text)},
					AND('E', ALL_ROWS),
					AND('S', ""),
					{'S', 'N', text, sizeof(text)},
					AND('2', ""),
					AND('C', "SELECT 0\0"),
					AND('Z', "I")};
	struct calls *c = calloc(1, sizeof(*c));
	struct seen *s = malloc(sizeof(*s));

	memset(text, 'Z', sizeof(text));
	for (size_t i = 0; i < 3; i++)
		add_message(c, &parts[i]);
	for (int i = 0; i < 3000; i++)
		add_message(c, &parts[2]);
	for (size_t i = 3; i < 6; i++)
		add_message(c, &parts[i]);
	for (size_t each = 1; each < 20000; each += 1 + each / 2) {
		play(s, c, each, each, WINDOW);
		assert_string_equal(s->line, "+0! SELECT? =ok . ");
	}
	memset(c, 0, sizeof(*c));
	for (size_t i = 6; i < sizeof(parts) / sizeof(parts[0]); i++)
		add_message(c, &parts[i]);
	is_told(c, "+0 SELECT=ok . ");
	free(s);
	free(c);
}

/* Bytes that make no sense, of either side. */
static void nonsense(void **state)
{
	static const struct message requests[][2] = {
	    {ASK('Q', "x\0"), AND('Z', "I")},		       /* a type of the server's */
	    {ASK('Q', "x\0"), AND(0, "Q\0\0\0\3xx")},	       /* shorter than its length */
	    {ASK('Q', "x\0"), AND(0, "E\0\1\0\0xx")},	       /* too long for an Execute */
	    {ASK('Q', "x\0"), AND('S', "x")},		       /* a Sync with a body */
	    {ASK('Q', "x\0"), AND(0, "\0\0\0\x09\0\2\0\0\0")}, /* protocol 2 */
	    {ASK('Q', "x\0"), AND(0, "\x16\3\1\0\0\0\0\0")}};
	static const struct message answers[][2] = {
	    {TELL('Z', "I"), AND('Z', "X")},	    {TELL('Z', "I"), AND(0, "Z\0\0\0\4Z")},
	    {TELL('Z', "I"), AND('Q', "x\0")},	    {TELL('Z', "I"), AND('C', "SELECT 1")},
	    {TELL('Z', "I"), AND('C', "")},	    {TELL('Z', "I"), AND(0, "NRRRRRRRR")},
	    {TELL('Z', "I"), AND(0, "D\0\0\0\1xx")}};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		IS_TOLD(requests[i], "+0X! broken ");
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		IS_TOLD(answers[i], ". broken ");
}

static uint32_t random_below(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % n;
}

/* Bytes changed at random: whatever comes of it, it does not depend on the cuts. */
static void damage(void **state)
{
	struct calls *c = calls_of(talk_batches, sizeof(talk_batches) / sizeof(talk_batches[0]));
	struct seen *s = malloc(2 * sizeof(*s)), *t = s + 1;
	uint8_t *sane = malloc(c->used);
	uint32_t seed = 1;
	int broken = 0;

	memcpy(sane, c->bytes, c->used);
	for (int i = 0; i < 3000; i++) {
		memcpy(c->bytes, sane, c->used);
		for (int k = random_below(&seed, 4); k >= 0; k--)
			c->bytes[random_below(&seed, c->used)] = random_below(&seed, 256);
		play(s, c, WHOLE, WHOLE, WINDOW);
		broken += !!strstr(s->line, "broken");
		for (int k = 0; k < 3; k++) {
			play(t, c, 1 + random_below(&seed, 40), 1 + random_below(&seed, 40),
			     1 + random_below(&seed, 40));
			assert_string_equal(t->line, s->line);
		}
	}
	assert_in_range(broken, 300, 2999);
	free(sane);
	free(s);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_session_of_psql),
	    cmocka_unit_test(batches),
	    cmocka_unit_test(ends_of_connections),
	    cmocka_unit_test(encryption),
	    cmocka_unit_test(cancel),
	    cmocka_unit_test(mid_life),
	    cmocka_unit_test(names_of_statements),
	    cmocka_unit_test(first_words),
	    cmocka_unit_test(hashes),
	    cmocka_unit_test(numbers_of_batches),
	    cmocka_unit_test(many_and_long),
	    cmocka_unit_test(nonsense),
	    cmocka_unit_test(damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
