/* request_http_test.c - the events of HTTP/1.x, however its bytes are cut, and what is taken for
 * it.
 *
 * A talk is told as a line: "GET /" a request ("~" behind it if it is not timed), 2 .. 5 an answer
 * of that class, "!" behind it if it is an error, "stream".
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include "helpers/request_feed.h"
#include "../../bpf/request_http.h"
#include "request_http_talk.h"

#define WINDOW REQUEST_WINDOW
#define WHOLE SIZE_MAX
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What was seen of a connection. */
struct seen {
	struct feed client, server;
	uint32_t in_flight;
	size_t used;
	char line[16384];
};

static void say(struct seen *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct seen *s, const char *format, ...)
{
	va_list args;

	if (s->used)
		s->line[s->used++] = ' ';
	va_start(args, format);
	s->used += vsnprintf(s->line + s->used, sizeof(s->line) - s->used, format, args);
	va_end(args);
	assert_true(s->used + 1 < sizeof(s->line));
}

/* Names of one text are one operation: they must have one hash. */
static void check_name(const struct request_work *w)
{
	uint64_t hash = 0;
	size_t n = strnlen(w->name.text, REQUEST_NAME);

	assert_true(n > 0 && n < REQUEST_NAME);
	for (size_t i = n; i < REQUEST_NAME; i++)
		assert_int_equal(w->name.text[i], 0);
	for (size_t i = 0; i < (n + 7) / 8; i++)
		hash = hash_word(hash, w->name.word[i]);
	if (strcmp(w->name.text, "CONNECT")) /* set_name() has two words */
		assert_int_equal(w->hash, hash);
}

static void event(void *arg, int what, struct request_work *w)
{
	struct seen *s = arg;

	assert_int_equal(w->count, 1);
	switch (what) {
	case REQUEST_BEGAN:
		check_name(w);
		say(s, "%s%s", w->name.text, w->flags & REQUEST_BEGAN_UNTIMED ? "~" : "");
		s->in_flight++;
		break;
	case REQUEST_ANSWERED:
		assert_true(s->in_flight > 0);
		say(s, "%d%s", w->class, w->outcome == REQUEST_ERROR ? "!" : "");
		s->in_flight--;
		break;
	default:
		assert_int_equal(what, REQUEST_STREAM);
		say(s, "stream");
	}
	s->server.work.in_flight = s->in_flight;
}

static struct seen *begin(void)
{
	struct seen *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->client.step = http_request_step;
	s->server.step = http_response_step;
	s->client.event = s->server.event = event;
	s->client.arg = s->server.arg = s;
	return s;
}

static void give(struct seen *s, char who, const char *bytes, size_t n, size_t window)
{
	struct feed *f = who == 'C' ? &s->client : &s->server;

	s->server.work.in_flight = s->in_flight;
	feed(f, bytes, n, window);
	assert_false(f->stuck);
}

/* Gives a piece in calls of `call` bytes; but in two calls, the first of `first` bytes, if that is
 * not 0. */
static void give_cut(struct seen *s, char who, const char *bytes, size_t n, size_t first,
		     size_t call, size_t window)
{
	if (first && first < n) {
		give(s, who, bytes, first, window);
		give(s, who, bytes + first, n - first, window);
		return;
	}
	for (size_t at = 0; at < n; at += call) {
		if (call > n - at)
			call = n - at;
		give(s, who, bytes + at, call, window);
	}
}

static void expect_cut(const struct piece *talk, size_t pieces, const char *expected, size_t which,
		       size_t first, size_t call, size_t window)
{
	struct seen *s = begin();

	for (size_t i = 0; i < pieces; i++)
		give_cut(s, talk[i].who, talk[i].bytes, strlen(talk[i].bytes),
			 i == which ? first : 0, call, window);
	if (strcmp(s->line, expected))
		fail_msg("piece %zu cut at %zu, calls of %zu, window %zu:\n%s\nnot\n%s", which,
			 first, call, window, s->line, expected);
	free(s);
}

/* Whole, by calls and windows of all sizes, and with each piece cut at each byte. */
static void expect_talk(const struct piece *talk, size_t pieces, const char *expected)
{
	expect_cut(talk, pieces, expected, 0, 0, WHOLE, WINDOW);
	for (size_t n = 1; n <= 80; n++) {
		expect_cut(talk, pieces, expected, 0, 0, n, WINDOW);
		expect_cut(talk, pieces, expected, 0, 0, WHOLE, n);
		expect_cut(talk, pieces, expected, 0, 0, 100, n);
	}
	for (size_t i = 0; i < pieces; i++)
		for (size_t first = 1; first < strlen(talk[i].bytes); first++)
			expect_cut(talk, pieces, expected, i, first, WHOLE, WINDOW);
}

static void expect_requests(const char *bytes, const char *expected)
{
	struct piece piece = {'C', bytes};

	expect_talk(&piece, 1, expected);
}

/* Answers to so many requests, which were all made before. */
static void expect_answers(int requests, const char *bytes, const char *expected)
{
	char ask[4096] = "", all[4096] = "";

	for (int i = 0; i < requests; i++) {
		strcat(ask, "GET / HTTP/1.1\r\n\r\n");
		strcat(all, "GET / ");
	}
	strcat(all, expected);
	expect_talk((struct piece[]){{'C', ask}, {'S', bytes}}, 2, all);
}

static void talks(void **state)
{
	static const struct {
		const struct piece *talk;
		size_t n;
		const char *expected;
	} cases[] = {
	    {talk_curl_node, LENGTH(talk_curl_node),
	     "GET /api/users/{id} 2 GET /missing/{id} 4! GET /none 2 GET /boom 5!"},
	    {talk_expect, LENGTH(talk_expect), "POST /upload 2"},
	    {talk_chunked, LENGTH(talk_chunked), "PUT /put/me 2"},
	    {talk_curl_nginx, LENGTH(talk_curl_nginx),
	     "HEAD / 2 GET / 2 GET /nothing 4! GET /old 3"},
	    {talk_nginx_pipelined, LENGTH(talk_nginx_pipelined),
	     "GET / GET / HEAD /x GET /old 2 2 4! 3"},
	    {talk_node_pipelined, LENGTH(talk_node_pipelined),
	     "POST /a GET /b HEAD /missing GET /none 2 2 4! 2"},
	    {talk_node, LENGTH(talk_node), "POST /v1/orders 2 DELETE /v1/orders/{id} 2"},
	    {talk_urllib, LENGTH(talk_urllib), "GET /index.html 2"},
	    {talk_chromium, LENGTH(talk_chromium), "GET / 2 GET /favicon.ico 4!"},
	};

	for (size_t i = 0; i < LENGTH(cases); i++)
		expect_talk(cases[i].talk, cases[i].n, cases[i].expected);
}

static void names(void **state)
{
	static const struct {
		const char *line, *name;
	} cases[] = {
	    {"GET /", "GET /"},
	    {"GET /?", "GET /"},
	    {"GET /a/", "GET /a/"},
	    {"GET //a//b", "GET //a//b"},
	    {"GET /a/b?c=/d/e", "GET /a/b"},
	    {"GET /a/b#c", "GET /a/b"},
	    {"PUT /abcdefg", "PUT /abcdefg"},
	    {"PATCH /abcdefgh", "PATCH /abcdefgh"},
	    {"TRACE /abcdefghi", "TRACE /abcdefghi"},
	    {"DELETE /x", "DELETE /x"},
	    {"OPTIONS /x", "OPTIONS /x"},
	    {"OPTIONS *", "OPTIONS *"},
	    {"CONNECT db.example.com:5432", "CONNECT"},
	    {"CONNECT [::1]:1", "CONNECT"},
	    {"PROPFIND /dav/x", "OTHER /dav/x"},
	    {"M-SEARCH /x", "OTHER /x"},
	    {"VERSION-CONTRO /x", "OTHER /x"}, /* 14 bytes */
	    {"GETS /x", "OTHER /x"},
	    /* ids */
	    {"GET /users/5", "GET /users/{id}"},
	    {"GET /5", "GET /{id}"},
	    {"GET /5/6/7/8", "GET /{id}/{id}/{id}/{id}"},
	    {"GET /5?x", "GET /{id}"},
	    {"GET /v1/3f2a9c01/x", "GET /v1/{id}/x"},
	    {"GET /v1/3F2A9C01/x", "GET /v1/{id}/x"},
	    {"GET /v1/3f2a9c0/x", "GET /v1/3f2a9c0/x"},
	    {"GET /v1/3f2g9c01/x", "GET /v1/3f2g9c01/x"},
	    {"GET /v1/deadbeef/x", "GET /v1/deadbeef/x"},
	    {"GET /v1/deadbeef-cafe-0/x", "GET /v1/{id}/x"},
	    {"GET /on/2024-01-15", "GET /on/{id}"},
	    {"GET /550e8400-e29b-41d4-a716-446655440000/x", "GET /{id}/x"},
	    {"GET /01ARZ3NDEKTSV4RRFFQ69G5FAV", "GET /{id}"},
	    {"GET /a/how-to-write-code", "GET /a/how-to-write-code"},
	    {"GET /a/how-to-write-c17-code", "GET /a/{id}"},
	    {"GET /oauth2/v1/token", "GET /oauth2/v1/token"},
	    {"GET /s/app.3f2a9c01.js", "GET /s/app.3f2a9c01.js"},
	    {"GET /s/main.3f2a9c01d4e5f607.js", "GET /s/main.3f2a9c01d4e5f607.js"},
	    {"GET /10.0.0.1", "GET /10.0.0.1"},
	    {"GET /12345678901234567890", "GET /{id}"},
	    {"GET /123456789012345", "GET /{id}"},
	    /* cut */
	    {"GET /a/b/c/d", "GET /a/b/c/d"},
	    {"GET /a/b/c/d/", "GET /a/b/c/d/*"},
	    {"GET /a/b/c/d/e", "GET /a/b/c/d/*"},
	    {"GET /a/b/c/4/e?f", "GET /a/b/c/{id}/*"},
	    /* 45 characters, and 46 */
	    {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	     "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	    {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "GET /*"},
	    {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b",
	     "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/*"},
	    {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/1",
	     "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/*"},
	    {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b",
	     "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/*"},
	    {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/bb/c",
	     "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/bb/*"},
	    /* 64 bytes with the blank, and 65 */
	    {"GET /users/550e8400-e29b-41d4-a716-446655440000/orders/12345678",
	     "GET /users/{id}/orders/{id}"},
	    {"GET /users/550e8400-e29b-41d4-a716-446655440000/orders/123456789",
	     "GET /users/{id}/orders/*"},
	    /* what is no URL */
	    {"GET /caf\xc3\xa9/\x7f", "GET /caf?\?/?"},
	    {"GET /\xb1\xb2\xb3\xaf\xbf", "GET /?????"},
	    {"GET /a\"b", "GET /a"},
	    {"GET /a\tb", "GET /a"},
	    /* absolute form */
	    {"GET http://example.com/a/b?c", "GET /a/b"},
	    {"GET HTTPS://example.com:8443/a/17", "GET /a/{id}"},
	    {"GET http://example.com", "GET /"},
	    {"GET http://example.com?a", "GET /"},
	    {"POST http://u:p@[::1]:80/x", "POST /x"},
	    {"PROPFIND http://example.com/a", "OTHER /a"},
	    {"GET http://a-host-with-a-very-long-name.in.a.domain.of.example.com/x", "GET /*"},
	    {"GET http://a-host-with-a-long-name.in.a.domain.of.example.com/abcdef", "GET /*"},
	    /* those that wait */
	    {"GET /v1/kv/a?index=7&wait=5m", "GET /v1/kv/a~"},
	    {"GET /v1/kv/a?index=7", "GET /v1/kv/a~"},
	    {"GET /v1/kv/a?index=0", "GET /v1/kv/a"},
	    {"GET /v2/kv/a?index=7", "GET /v2/kv/a"},
	    {"GET /x?wait=5m", "GET /x~"},
	    {"GET /x?wait=true", "GET /x"},
	    {"GET /x?await=5m", "GET /x"},
	    {"POST /x?wait=5m", "POST /x"},
	    {"GET /a?b=c&watch=1", "GET /a~"},
	    {"GET /a?b=c&watch=true&d", "GET /a~"},
	    {"GET /a?b=c&watch=0", "GET /a"},
	    {"GET /a?b=c&watch=", "GET /a"},
	    {"GET /api/v1/namespaces/default/pods?watch=1", "GET /api/v1/namespaces/default/*~"},
	    {"GET /socket.io/?EIO=4&transport=polling", "GET /socket.io/~"},
	    {"GET /socket.io/?EIO=4&transport=websocket", "GET /socket.io/"},
	    {"GET /db/_changes?feed=longpoll", "GET /db/_changes~"},
	    {"GET /db/_changes?feed=normal", "GET /db/_changes"},
	    {"GET /x?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&wait=5m", "GET /x~"},
	    {"GET /x?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&wait=5m", "GET /x"},
	};
	char bytes[512], expected[256];

	for (size_t i = 0; i < LENGTH(cases); i++) {
		snprintf(bytes, sizeof(bytes), "%s HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.0\n\n",
			 cases[i].line);
		snprintf(expected, sizeof(expected), "%s GET /b", cases[i].name);
		expect_requests(bytes, expected);
	}
}

/* Lines and headers of any length, and what ends them. */
static void heads(void **state)
{
	static char bytes[70000];

	expect_requests("GET /a HTTP/1.1\n\nGET /b HTTP/1.1\nA:\nB: c\n\nGET /c HTTP/1.1\r\n\r\n",
			"GET /a GET /b GET /c");
	expect_requests("\r\nGET /a HTTP/1.1\r\n\r\n\r\n\nGET /b HTTP/1.1\r\n\r\n",
			"GET /a GET /b");
	expect_requests(
	    "GET /a HTTP/1.1\r\n\rX\r\n:\r\n caf\xc3\xa9 \t\x8a\x0b\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
	    "GET /a GET /b");
	expect_requests("GET /a HTTP/1.1\r\nX-Content-Length: 40\r\nContent-Lengthy: 40\r\n"
			"Content-Length2: 40\r\nTransfer: chunked\r\nExpected: 1\r\n\r\n"
			"GET /b HTTP/1.1\r\n\r\n",
			"GET /a GET /b");
	memset(bytes, 0, sizeof(bytes));
	strcpy(bytes, "GET /a?");
	memset(bytes + strlen(bytes), 'x', 20000);
	strcat(bytes, " HTTP/1.1\r\nCookie: ");
	memset(bytes + strlen(bytes), '\xe9', 20000);
	for (int i = 0; i < 500; i++)
		sprintf(bytes + strlen(bytes), "\r\nHeader-%d: %d", i, i);
	strcat(bytes, "\r\nContent-Length: 7\r\n\r\nabc\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
	for (size_t n = 1; n <= 1100; n += n < 70 ? 1 : 103) {
		expect_cut(&(struct piece){'C', bytes}, 1, "GET /a GET /b", 0, 0, n, WINDOW);
		expect_cut(&(struct piece){'C', bytes}, 1, "GET /a GET /b", 0, 0, WHOLE,
			   n < WINDOW ? n : WINDOW);
	}
}

#define NEXT "GET /b HTTP/1.1\r\n\r\n"
#define POST "POST /a HTTP/1.1\r\n"

static void bodies(void **state)
{
	static const char *const requests[] = {
	    POST "Content-Length: 3\r\n\r\nabc" NEXT,
	    POST "content-LENGTH:3\r\nA: b\r\n\r\nabc" NEXT,
	    POST "Content-Length:     3  \r\n\r\nabc" NEXT,
	    POST "Content-Length: 0\r\n\r\n" NEXT,
	    POST "Content-Length: 00000000000019\n\n" NEXT NEXT,
	    POST "Content-Length: 19\r\n\r\n" NEXT NEXT, /* a body like a request */
	    POST "Content-Length: 19\r\nExpect: 100-continue\r\n\r\nABCDEFGHIJKLMNOPQRS" NEXT,
	    POST "Expect:100-continue\r\nContent-Length: 1000000\r\n\r\n" NEXT, /* refused */
	    POST "Transfer-Encoding: identity\r\n\r\n" NEXT,
	    POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT,
	    POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" NEXT,
	    POST "TRANSFER-encoding:gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" NEXT,
	    POST "Transfer-Encoding: "
		 "chunked\r\n\r\n0000001A;n=\"v\"\r\nabcdefghijklmnopqrstuvwxyz\r\n0;x\r\nTrailer: "
		 "x\r\nContent-Length: 5\r\n\r\n" NEXT,
	    POST "Transfer-Encoding: chunked\n\n3 \nabc\n0\n\n" NEXT,
	    POST "Transfer-Encoding: chunked\r\n\r\n2;chunk-signature="
		 "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648ad80c730a21e5b8d"
		 "04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n0\r\r\n0\r\n\r\n" NEXT,
	    POST "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n" NEXT, /* refused */
	};

	for (size_t i = 0; i < LENGTH(requests); i++)
		expect_requests(requests[i], "POST /a GET /b");
}

#define OK "HTTP/1.1 200 OK\r\n"

static void answers(void **state)
{
	/* one request in flight: the call's rest is of no interest, nor is what follows */
	expect_answers(1, OK "Content-Length: 5\r\n\r\nhello", "2");
	expect_answers(1, "HTTP/1.0 301 x\r\n\r\n", "3");
	expect_answers(1, "HTTP/1.1 404", "4!");
	expect_answers(1, "HTTP/1.1 500 \r\n\r\nuntil it is closed", "5!");
	expect_answers(1, "HTTP/1.1 999 No\r\n\r\n", "0!");
	expect_answers(1, OK "\r\n" OK "\r\n", "2");
	expect_answers(
	    1, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK, "2");
	expect_answers(
	    1, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
	    "1 stream");
	/* several: they are followed */
	expect_answers(2, OK "\r\n" OK "\r\n", "2 2");
	expect_answers(3, OK "Content-Length: 19\r\n\r\nnot HTTP/1.1 500 No" OK "\r\n" OK, "2 2 2");
	expect_answers(3, OK "Content-Length: 5\r\n\r\n" OK "\r\n" OK, "2 2 2"); /* of HEAD */
	expect_answers(3, OK "Content-Length: 1\r\n\r\nH" OK "Content-Length: 6\r\n\r\nHTTP/1" OK,
		       "2 2 2");
	expect_answers(3, OK "Transfer-Encoding: chunked\r\n\r\n" OK "\r\n" OK,
		       "2 2 2"); /* of HEAD */
	expect_answers(3,
		       OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n" OK
			  "Content-Length: 0\r\n\r\n" OK,
		       "2 2 2");
	expect_answers(2, "HTTP/1.1 204 x\r\nContent-Length: 9\r\n\r\n" OK, "2 2");
	expect_answers(2, "HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n" OK, "3 2");
	expect_answers(2,
		       OK
		       "Content-Length: 2\r\n\r\nabHTTP/1.1 100 x\r\nContent-Length: 5\r\n\r\n" OK,
		       "2 2");
}

/* Before the request has come whole, and while the next one is there already. */
static void early_answers(void **state)
{
	static const struct piece early[] = {
	    {'C', POST "Content-Length: 10\r\n\r\nabc"},
	    {'S', "HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nno\n"},
	    {'C', "defghij" NEXT},
	    {'S', OK "Content-Length: 3\r\n\r\n"},
	    {'S', "ye"},
	    {'C', NEXT},
	    {'S', "s"},
	    {'S', OK},
	};

	expect_talk(early, LENGTH(early), "POST /a 4! GET /b 2 GET /b 2");
}

/* Each call that begins with a request or status line is seen, whatever was before. */
static void heals(void **state)
{
	static const char *const rubbish[] = {
	    "x",
	    "GET",
	    "GET /",
	    "get / HTTP/1.1\r\n\r\n",
	    "G\x80T / HTTP/1.1\r\n\r\n",
	    "GET foo HTTP/1.1\r\n\r\n",
	    "GET hxxp://example.com/foo HTTP/1.1\r\n\r\n",
	    "A-METHOD-TOO-LONG / HTTP/1.1\r\n\r\n",
	    "/ HTTP/1.1 GET\r\n\r\n GET / HTTP/1.1\r\n\r\n",
	    "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz this is no chunk",
	    "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\nabc",
	    "\x16\x03\x01\x02\x00\x01\xfc\x03\x03 and so on",
	    "HTTP/1.",
	    "HTTP/1.1 2x0 OK",
	    "HTTP/1.1 000 OK",
	    "HTTP/2.0 200 OK",
	    "HTTP/1.1_200 OK",
	};

	for (size_t i = 0; i < LENGTH(rubbish); i++) {
		struct seen *s = begin();

		give(s, 'C', "GET /a HTTP/1.1\r\n\r\n", 19, WINDOW);
		give(s, 'S', rubbish[i], strlen(rubbish[i]), WINDOW);
		give(s, 'S', "and this is long enough for what it held", 40, WINDOW);
		give(s, 'S', OK, sizeof(OK) - 1, WINDOW);
		give(s, 'C', rubbish[i], strlen(rubbish[i]), WINDOW);
		give(s, 'C', "and this is long enough for what it held\r\n\r\n", 44, WINDOW);
		give(s, 'C', "GET /b HTTP/1.1\r\n\r\n", 19, WINDOW);
		if (strncmp(s->line, "GET /a 2 ", 9) || s->used < 15 ||
		    strcmp(s->line + s->used - 7, " GET /b"))
			fail_msg("%s: %s", rubbish[i], s->line);
		free(s);
	}
}

/* A body is passed over by its length, without a look at it. */
static void lengths(void **state)
{
	static const struct {
		const char *head;
		uint64_t skip;
	} cases[] = {
	    {"Content-Length: 10", 10},
	    {"Content-Length: 1234567", 1234567},
	    {"Content-Length: 12345678", 12345678},
	    {"Content-Length: 123456789", 123456789},
	    {"Content-Length: 9876543210987654", 9876543210987654},
	    {"Content-Length: 5000000000, 6", 5000000000},
	    {"Content-Length: -5", 0},
	    {"Content-Length: ", 0},
	    {"Content-Length: 0x10", 0},
	    {"Transfer-Encoding: chunked\r\n\r\n10", 18},
	    {"Transfer-Encoding: chunked\r\n\r\nfFfFfFfF", 0x100000001},
	    {"Transfer-Encoding: chunked\r\n\r\n0ABCDEF1", 0x0abcdef3},
	    {"Transfer-Encoding: chunked\r\n\r\n000000023", 0},
	};
	char bytes[256];

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct seen *s = begin();
		bool chunked = cases[i].head[0] == 'T';

		snprintf(bytes, sizeof(bytes), "POST /a HTTP/1.1\r\n%s\r\n%s", cases[i].head,
			 chunked ? "" : "\r\n");
		give(s, 'C', bytes, strlen(bytes), WINDOW);
		give(s, 'C', "*", 1, WINDOW);
		if (s->client.work.parser.skip + !!cases[i].skip != cases[i].skip)
			fail_msg("%s: %llu", cases[i].head,
				 (unsigned long long)s->client.work.parser.skip);
		free(s);
	}
}

static int recognise(const char *bytes, size_t n)
{
	static struct request_work w;

	memset(w.bytes, n & 1 ? '\n' : 'A', sizeof(w.bytes));
	w.at = REQUEST_HELD;
	w.end = w.at + n;
	memcpy(w.bytes + w.at, bytes, n);
	return http_recognise(&w);
}

/* Less of what is recognised is so too, or cannot be told yet; less of what is not may be either.
 */
static void recognises(void **state)
{
	static const char *const yes[] = {
	    "GET / HTTP/1.1\r\n",
	    "GET / HTTP/1.1\n",
	    "POST /a/b?c=d HTTP/1.0\r\nHost: a\r\n",
	    "OPTIONS * HTTP/1.1\r\n",
	    "CONNECT a:443 HTTP/1.1\r\n",
	    "DELETE http://a/b HTTP/1.1\r\n",
	    "PROPFIND /dav HTTP/1.1\r\n",
	    "GET /caf\xc3\xa9 HTTP/1.1\r\n",
	    "GET /an/url/that/is/longer/than/all/the/bytes/that/are/ever/held/of/it HTTP/1.1\r\n",
	    "GET /an/url/that/is/longer/than/all/the/bytes/that/are/ever/held/of/it/and/no/end",
	};
	static const struct {
		const char *bytes;
		size_t n;
	} no[] = {
#define NO(s) {s, sizeof(s) - 1}
	    NO("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	    NO("GET / HTTP/2.0\r\n\r\n"),
	    NO("GET /\r\n"),
	    NO("GET /a/b/c/d/e/f\r\n"),
	    NO("GET foo bar baz HTTP/1.1\r\n"),
	    NO("GET /HTTP/1.1 now\r\n"),
	    NO("GET /aHTTP/1.1\r\n\r\n\r\n"),
	    NO("GET /\x01 HTTP/1.1\r\n"),
	    NO("get / HTTP/1.1\r\n"),
	    NO("HTTP/1.1 200 OK\r\n"),
	    NO("OPTIONS rtsp://a/b RTSP/1.0\r\n"),
	    NO("OPTIONS sip:a@b SIP/2.0\r\n"),
	    NO("PING\r\n"),
	    NO("EHLO example.com\r\n"),
	    NO("GET some-key-of-redis\r\n"),
	    NO("set some-key 0 0 5\r\nhello\r\n"),
	    NO("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"),
	    NO("SSH-2.0-OpenSSH_9.2\r\n"),
	    NO("AMQP\0\0\x09\x01"),
	    NO("\0\0\0\x08\x04\xd2\x16/"),
	    NO("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
	    NO("Q\0\0\0\x0dSELECT 1\0"),
	    NO("{\"a\": \"GET / HTTP/1.1\r\n\"}"),
	    NO("BREW /an/url/that/is/longer/than/all/the/bytes/that/are/held/of/it HTTP/1.1\r\n"),
#undef NO
	};

	for (size_t i = 0; i < LENGTH(yes); i++) {
		assert_int_equal(recognise(yes[i], strlen(yes[i])), 1);
		for (size_t n = 1; n < strlen(yes[i]); n++)
			assert_int_equal(recognise(yes[i], n),
					 n >= REQUEST_HELD || memchr(yes[i], '\n', n) ? 1 : -1);
	}
	for (size_t i = 0; i < LENGTH(no); i++) {
		bool was = false;

		assert_int_equal(recognise(no[i].bytes, no[i].n), 0);
		for (size_t n = 1; n < no[i].n; n++) {
			int is = recognise(no[i].bytes, n);

			assert_int_equal(is, was ? 0 : is < 0 ? -1 : 0);
			was = is == 0;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(talks),  cmocka_unit_test(names),	 cmocka_unit_test(heads),
	    cmocka_unit_test(bodies), cmocka_unit_test(answers), cmocka_unit_test(early_answers),
	    cmocka_unit_test(heals),  cmocka_unit_test(lengths), cmocka_unit_test(recognises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
