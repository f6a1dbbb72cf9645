/* request.c - a server and a client of Redis' protocol and HTTP, which agree on every byte.
 *
 * Each request is answered by what it says itself: one in `--fail` asks for an error; with --cut
 * the last of each connection gets no answer, the server closes instead. One connection at a time.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 256
#define BUFFER 65536

enum kind { FINE, FAILS, CUT, KINDS };

/* A request is begin[kind], the length of the value, between, the value and end; so is an answer.
 */
struct text {
	const char *begin[KINDS], *between, *end;
};

static const struct protocol {
	const char *name;
	struct text request, answer;
	const char *error; /* all of the answer to one that fails */
} protocols[] = {
    {.name = "redis",
     .request = {{"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$", "*3\r\n$6\r\nINCRBY\r\n$3\r\nkey\r\n$",
		  "*3\r\n$6\r\nAPPEND\r\n$3\r\nkey\r\n$"},
		 "\r\n",
		 "\r\n"},
     .answer = {{"$"}, "\r\n", "\r\n"},
     .error = "-ERR value is not an integer or out of range\r\n"},
    {.name = "http",
     .request = {{"POST /things/17?deep=1 HTTP/1.1\r\nHost: load\r\nContent-Length: ",
		  "POST /fails HTTP/1.1\r\nHost: load\r\nContent-Length: ",
		  "POST /cut HTTP/1.1\r\nHost: load\r\nContent-Length: "},
		 "\r\n\r\n",
		 ""},
     .answer = {{"HTTP/1.1 200 OK\r\nContent-Length: "}, "\r\n\r\n", ""},
     .error = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"},
};

static const struct protocol *protocol_of(const char *name)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (!strcmp(protocols[i].name, name))
			return &protocols[i];
	bad("not a protocol (redis, http)", name);
	return NULL;
}

/* --- both ends */

struct stream {
	int fd;
	char in[BUFFER];
	size_t at, had;
	char *out; /* what is to be written in one go */
	size_t used, room;
	uint64_t calls; /* reads that brought something */
};

static bool stream_new(struct stream *s, int fd)
{
	*s = (struct stream){.fd = fd, .out = malloc(BUFFER), .room = BUFFER};
	return s->out != NULL;
}

static void stream_end(struct stream *s)
{
	close(s->fd);
	free(s->out);
}

/* The next byte; -1: there is none. */
static int take(struct stream *s)
{
	ssize_t got;

	if (s->at == s->had) {
		got = read(s->fd, s->in, sizeof(s->in));
		if (got <= 0)
			return -1;
		s->calls++;
		s->at = 0;
		s->had = (size_t)got;
	}
	return (unsigned char)s->in[s->at++];
}

static bool give(struct stream *s, const char *text, size_t n)
{
	char *out = s->out;

	if (s->used + n > s->room) {
		s->room = 2 * (s->used + n);
		out = realloc(s->out, s->room);
		if (!out)
			return false;
		s->out = out;
	}
	memcpy(s->out + s->used, text, n);
	s->used += n;
	return true;
}

static bool flush(struct stream *s)
{
	for (size_t done = 0; done < s->used;) {
		ssize_t sent = send(s->fd, s->out + done, s->used - done, MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		done += (size_t)sent;
	}
	s->used = 0;
	return true;
}

static bool give_text(struct stream *s, const struct text *t, enum kind kind, const char *value,
		      uint64_t bytes)
{
	char head[HEAD_MAX];
	int n = snprintf(head, sizeof(head), "%s%" PRIu64 "%s", t->begin[kind], bytes, t->between);

	return give(s, head, (size_t)n) && give(s, value, bytes) && give(s, t->end, strlen(t->end));
}

static bool take_exactly(struct stream *s, const char *text)
{
	for (; *text; text++)
		if (take(s) != (unsigned char)*text)
			return false;
	return true;
}

/* Reads up to the length, which tells its kind; then the rest. -1: the other end has gone, -2: it
 * said something else. */
static int take_text(struct stream *s, const struct text *t, uint64_t *ret_bytes)
{
	char head[HEAD_MAX];
	size_t used = 0;
	uint64_t bytes = 0;
	int kind = KINDS, c;

	while (kind == KINDS) {
		c = take(s);
		if (c < 0 || used == sizeof(head) - 1)
			return c < 0 && !used ? -1 : -2;
		head[used++] = (char)c;
		head[used] = 0;
		for (kind = 0; kind < KINDS; kind++)
			if (t->begin[kind] && !strcmp(head, t->begin[kind]))
				break;
	}
	while ((c = take(s)) >= '0' && c <= '9')
		bytes = bytes * 10 + (uint64_t)(c - '0');
	if (c != t->between[0] || !take_exactly(s, t->between + 1))
		return -2;
	for (uint64_t i = 0; i < bytes; i++)
		if (take(s) < 0)
			return -2;
	*ret_bytes = bytes;
	return take_exactly(s, t->end) ? kind : -2;
}

/* --- the server */

struct served {
	uint64_t connections, requests, errors, cut;
};

/* Answers what a read brought in one write. */
static bool serve_connection(const struct load *l, const struct protocol *p, int fd,
			     const char *value, struct served *ret)
{
	struct stream s;
	uint64_t bytes;
	bool fine = stream_new(&s, fd);
	int kind = FINE;

	while (fine && kind != CUT && (kind = take_text(&s, &p->request, &bytes)) >= 0) {
		if (l->delay_ms)
			wait_sleep(-1, l->delay_ms);
		if (kind == FAILS)
			fine = give(&s, p->error, strlen(p->error));
		else if (kind == FINE)
			fine = give_text(&s, &p->answer, FINE, value, bytes);
		ret->requests += kind != CUT;
		ret->errors += kind == FAILS;
		ret->cut += kind == CUT;
		if (fine && (s.at == s.had || kind == CUT))
			fine = flush(&s);
	}
	ret->connections++;
	stream_end(&s);
	return fine && kind != -2;
}

/* Serves N connections, one after the other. */
int run_serve(struct load *l)
{
	const struct protocol *p = protocol_of(l->arg[0]);
	struct served served = {0};
	uint64_t n, start_ns = now_ns();
	char *value = calloc(1, SIZE_MAX_BYTES);
	int fd, r, one = 1;

	if (!p || !value || !number(l->arg[3], COUNT_MAX, &n))
		return p ? bad("not a count", l->arg[3]) : 2;
	r = socket_listen(l->arg[1], l->arg[2], (int)l->backlog, &fd);
	if (r)
		return r;
	if (l->defer && setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof(one)))
		return fail(errno, "TCP_DEFER_ACCEPT");
	memset(value, 'v', SIZE_MAX_BYTES);
	while (served.connections < n) {
		int connection = accept(fd, NULL, NULL);

		if (connection < 0)
			return fail(errno, "accept");
		if (!serve_connection(l, p, connection, value, &served))
			return fail(errno ? errno : EPROTO, "request");
	}
	free(value);
	printf("{\"command\":\"serve\",\"connections\":%" PRIu64 ",\"requests\":%" PRIu64
	       ",\"errors\":%" PRIu64 ",\"cut\":%" PRIu64,
	       served.connections, served.requests, served.errors, served.cut);
	return done(start_ns);
}

/* --- the client */

struct asked {
	uint64_t requests, errors, cut;
};

static enum kind kind_of(const struct load *l, uint64_t i)
{
	return l->fail && i % l->fail == l->fail - 1 ? FAILS : FINE;
}

static bool ask_many(const struct load *l, const struct protocol *p, struct stream *s,
		     const char *value, uint64_t first, uint64_t n)
{
	uint64_t bytes;

	for (uint64_t i = first; i < first + n; i++)
		if (!give_text(s, &p->request, kind_of(l, i), value, l->bytes))
			return false;
	if (!flush(s))
		return false;
	for (uint64_t i = first; i < first + n; i++)
		if (kind_of(l, i) == FAILS
			? !take_exactly(s, p->error)
			: take_text(s, &p->answer, &bytes) != FINE || bytes != l->bytes)
			return false;
	return true;
}

static bool ask_connection(const struct load *l, const struct protocol *p, int fd,
			   const char *value, uint64_t n, struct asked *ret)
{
	struct stream s;
	bool fine = stream_new(&s, fd);

	for (uint64_t i = 0, some; fine && i < n; i += some) {
		some = n - i < l->pipeline ? n - i : l->pipeline;
		fine = ask_many(l, p, &s, value, i, some);
		for (uint64_t k = i; k < i + some; k++)
			ret->errors += kind_of(l, k) == FAILS;
		ret->requests += some;
	}
	if (fine && l->cut)
		fine =
		    give_text(&s, &p->request, CUT, value, l->bytes) && flush(&s) && take(&s) < 0;
	ret->cut += l->cut;
	stream_end(&s);
	return fine;
}

/* N requests on each of several connections. */
int run_ask(struct load *l)
{
	const struct protocol *p = protocol_of(l->arg[0]);
	struct asked asked = {0};
	uint64_t n, start_ns = now_ns();
	char *value = calloc(1, SIZE_MAX_BYTES);
	int fd, r;

	if (!p || !value || !number(l->arg[3], COUNT_MAX, &n))
		return p ? bad("not a count", l->arg[3]) : 2;
	if (l->bytes > SIZE_MAX_BYTES || !l->pipeline)
		return bad("not a size, or a pipeline of none", "--bytes, --pipeline");
	memset(value, 'v', SIZE_MAX_BYTES);
	for (uint64_t i = 0; i < l->connections; i++) {
		r = socket_connect(l->arg[1], l->arg[2], l->timeout_ms, &fd);
		if (r)
			return r;
		if (!ask_connection(l, p, fd, value, n, &asked))
			return fail(errno ? errno : EPROTO, "answer");
	}
	free(value);
	printf("{\"command\":\"ask\",\"requests\":%" PRIu64 ",\"errors\":%" PRIu64
	       ",\"ok\":%" PRIu64 ",\"cut\":%" PRIu64,
	       asked.requests, asked.errors, asked.requests - asked.errors, asked.cut);
	return done(start_ns);
}
