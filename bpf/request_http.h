/* request_http.h - HTTP/1.x for request.h: requests by method and route, answers by status class.
 *
 * What names are made of is in request_http_line.h.
 *
 * Requests are followed: header lines, Content-Length, chunks. Where no request line stands, the
 * rest of the call is passed over: each call that begins with one heals what was before.
 * Answers are not followed as long as one request is in flight: each call that begins with a status
 * line answers it, whatever follows or does not (sendfile). With more in flight they are followed
 * to the next status line. If one stands where a body is due, there is none: it was an answer to
 * HEAD, or the body went unseen. A body that itself begins with "HTTP/1." is misread then; so is
 * one that begins with a method, behind an Expect: 100-continue, as it may be left out.
 *
 * Cost: 10 instructions for 8 bytes of a header, 20 for each line of it. In one measurement: 35 ns
 * for the shortest GET, 70 for curl's, 200 for the 645 bytes of a browser's, 100 for a small POST,
 * 5 for an answer.
 */
#ifndef TRIMTAB_REQUEST_HTTP_H
#define TRIMTAB_REQUEST_HTTP_H

#include "request_http_line.h"

#define HTTP_STATUS_BYTES 12 /* "HTTP/1.1 200" */
#define HTTP_HEADER_MIN 16   /* as much is looked at to know a header of interest */
#define HTTP_HEAD_TURNS 64   /* words of a header looked at in one step */
#define HTTP_CHUNK_TURNS 16  /* words of the line of a chunk looked at in one step */

enum http_state {
	HTTP_START,	 /* a request line, or a status line */
	HTTP_HEAD,	 /* header lines, or trailers */
	HTTP_BODY,	 /* a body of known length */
	HTTP_CHUNK,	 /* the size of a chunk */
	HTTP_CHUNK_LINE, /* the rest of that line */
	HTTP_UPGRADED,	 /* no HTTP any more */
};

/* parser.flags, of the message that is being followed */
#define HTTP_IN_LINE 1	/* the header line has begun before */
#define HTTP_EXPECT 2	/* Expect: 100-continue was there: the body may not come */
#define HTTP_CHUNKED 4	/* Transfer-Encoding was there */
#define HTTP_BODILESS 8 /* by its status */
#define HTTP_TRAILER 16 /* these are the lines behind the last chunk */
#define HTTP_BARE 32	/* lines end without \r */

static __always_inline void http_begin(struct request_work *w, __u8 state, __u8 flags)
{
	w->parser.state = state;
	w->parser.flags = flags;
	w->parser.word[0] = 0;
	w->parser.word[1] = 0;
}

static __always_inline void http_set_length(struct request_work *w, __u64 n)
{
	w->parser.word[0] = n;
	w->parser.word[1] = n >> 32;
}

static __always_inline __u64 http_length(const struct request_work *w)
{
	return w->parser.word[0] | (__u64)w->parser.word[1] << 32;
}

/* --- the header */

enum http_line {
	HTTP_LINE_OTHER,
	HTTP_LINE_PART, /* more bytes are needed */
	HTTP_LINE_EMPTY,
	HTTP_LINE_LENGTH,
	HTTP_LINE_ENCODING,
	HTTP_LINE_EXPECT,
};

/* Whether a line that begins so near the end of the window ends before it. */
static __always_inline _Bool http_ends(const struct request_work *w, __u64 at)
{
	__u64 n = http_count(http_before(http_find(word_at(w, at), '\n')));

	if (n == 8)
		n += http_count(http_before(http_find(word_at(w, at + 8), '\n')));
	return at + n < w->end;
}

/* What line begins at an index. */
static __always_inline enum http_line http_line(const struct request_work *w, __u64 at)
{
	__u64 x = word_at(w, at), name = x | HTTP_LOWER;

	if ((x & 0xff) == '\r' || (x & 0xff) == '\n')
		return HTTP_LINE_EMPTY;
	if (at + HTTP_HEADER_MIN > w->end)
		return http_ends(w, at) ? HTTP_LINE_OTHER : HTTP_LINE_PART;
	if (name == HTTP_TEXT("content-") &&
	    http_begins(word_at(w, at + 8) | HTTP_LOWER, "length:"))
		return HTTP_LINE_LENGTH;
	if (name == HTTP_TEXT("transfer") &&
	    http_begins(word_at(w, at + 8) | HTTP_LOWER, "-encodin"))
		return HTTP_LINE_ENCODING;
	return http_begins(name, "expect:") ? HTTP_LINE_EXPECT : HTTP_LINE_OTHER;
}

/* Passes over lines up to one of interest: w->at is then there. */
static __always_inline enum http_line http_pass_lines(struct request_work *w)
{
	__u64 at = http_index(w->at), end = w->end;
	_Bool in_line = w->parser.flags & HTTP_IN_LINE;

	w->parser.flags &= ~HTTP_IN_LINE;
	for (int i = 0; i < HTTP_HEAD_TURNS && at < end; i++) {
		__u64 x = word_at(w, at), some, n;

		if (!in_line) {
			enum http_line line = http_line(w, at);

			if (line) {
				w->at = at;
				return line;
			}
		}
		/* finds the first newline, or before it a byte that is a lower one or no ASCII */
		some = (x - EACH_BYTE * ('\n' + 1)) & HIGH_BITS;
		n = some ? http_count(http_before(some)) + 1 : 8;
		at = http_index(at + n);
		in_line = !some || byte_at(w, at - 1) != '\n';
	}
	if (in_line || at > end)
		w->parser.flags |= HTTP_IN_LINE;
	w->at = at < end ? at : end;
	return HTTP_LINE_OTHER;
}

/* The number of digits that x begins with. */
static __always_inline __u64 http_digits(__u64 x)
{
	return http_count(http_before(~(http_range(x & HTTP_LOW_BITS, '0', '9') & ~x) & HIGH_BITS));
}

/* The value of the last n of eight digits. */
static __always_inline __u64 http_decimal(__u64 x, __u64 n)
{
	if (!n)
		return 0;
	x = x & EACH_BYTE * 15 & ~0ULL << 8 * ((8 - n) & 7);
	x = x * (10 << 8 | 1) >> 8 & 0x00ff00ff00ff00ff;
	x = x * (100 << 16 | 1) >> 16 & 0x0000ffff0000ffff;
	return x * (10000ULL << 32 | 1) >> 32;
}

static __always_inline int http_content_length(struct request_work *w)
{
	__u64 at = http_index(w->at + sizeof("Content-Length:") - 1), x = word_at(w, at), n, more;

	at += http_count(http_before(~http_find(x, ' ') & HIGH_BITS));
	n = http_digits(word_at(w, at));
	more = n == 8 ? http_digits(word_at(w, at + 8)) : 0;
	at = http_index(at + n + more);
	if (at >= w->end)
		return REQUEST_HOLD;
	x = http_decimal(word_at(w, at - 8), n);
	if (more)
		x += http_decimal(word_at(w, at - 16), more) * 100000000;
	w->at = at;
	w->parser.flags |= HTTP_IN_LINE;
	http_set_length(w, x);
	return REQUEST_MORE;
}

/* Chunked, unless it says identity: whatever else was done to the body, it then comes in chunks. */
static __always_inline int http_transfer_encoding(struct request_work *w)
{
	__u64 value = w->at + sizeof("Transfer-Encoding:") - 1;

	if (value + 2 > w->end)
		return REQUEST_HOLD;
	if ((byte_at(w, value) | 0x20) != 'i' && (byte_at(w, value + 1) | 0x20) != 'i')
		w->parser.flags |= HTTP_CHUNKED;
	w->at = value;
	w->parser.flags |= HTTP_IN_LINE;
	return REQUEST_MORE;
}

/* At the empty line. */
static __always_inline int http_head_end(struct request_work *w)
{
	__u32 flags = w->parser.flags, left = unread(w);
	__u64 x = word_at(w, w->at);

	if ((x & 0xff) == '\r' && left < 2)
		return REQUEST_HOLD;
	if ((x & 0xff) == '\r' && (x >> 8 & 0xff) != '\n') {
		w->at++;
		w->parser.flags |= HTTP_IN_LINE;
		return REQUEST_MORE;
	}
	w->at += (x & 0xff) == '\r' ? 2 : 1;
	if (flags & (HTTP_TRAILER | HTTP_BODILESS))
		w->parser.state = HTTP_START;
	else if (flags & HTTP_CHUNKED)
		w->parser.state = HTTP_CHUNK;
	else
		w->parser.state = w->parser.word[0] | w->parser.word[1] ? HTTP_BODY : HTTP_START;
	return REQUEST_MORE;
}

static __always_inline int http_head(struct request_work *w)
{
	switch (http_pass_lines(w)) {
	case HTTP_LINE_OTHER:
		return REQUEST_MORE;
	case HTTP_LINE_EMPTY:
		return http_head_end(w);
	case HTTP_LINE_LENGTH:
		return http_content_length(w);
	case HTTP_LINE_ENCODING:
		return http_transfer_encoding(w);
	case HTTP_LINE_EXPECT:
		w->at++;
		w->parser.flags |= HTTP_EXPECT | HTTP_IN_LINE;
		return REQUEST_MORE;
	case HTTP_LINE_PART:
		break;
	}
	return REQUEST_HOLD;
}

/* --- the body */

/* What could be the first bytes of an answer: 1 yes, 0 no, -1 they are too few. */
static __always_inline int http_is_status(const struct request_work *w)
{
	__u64 x = word_at(w, w->at), n = unread(w);

	if (n >= 7)
		return http_begins(x, "HTTP/1.");
	return (x ^ HTTP_TEXT("HTTP/1.")) & ((1ULL << 8 * (n & 7)) - 1) ? 0 : -1;
}

/* The same for a request. */
static __always_inline int http_is_request(const struct request_work *w)
{
	__u64 x = word_at(w, w->at), n = unread(w);

	if (n >= HTTP_LINE_MIN)
		return http_is_method(x);
	return http_may_be_method(x, n) ? -1 : 0;
}

static __always_inline int http_body(struct request_work *w, _Bool answer)
{
	int next = 0;

	if (answer)
		next = http_is_status(w);
	else if (w->parser.flags & HTTP_EXPECT)
		next = http_is_request(w);

	if (next < 0)
		return REQUEST_HOLD;
	if (!next)
		w->parser.skip = http_length(w);
	http_begin(w, HTTP_START, 0);
	return REQUEST_MORE;
}

/* The rest of the line of a chunk's size, then what it says. */
static __always_inline int http_chunk_line(struct request_work *w)
{
	__u64 at = http_index(w->at), end = w->end, size = http_length(w), n = 8;

	for (int i = 0; i < HTTP_CHUNK_TURNS && at < end && n == 8; i++) {
		n = http_count(http_before(http_find(word_at(w, at), '\n')));
		at = http_index(at + n);
	}
	w->at = at < end ? at : end;
	if (n == 8 || at >= end)
		return REQUEST_MORE;
	w->at++;
	if (!size) {
		http_begin(w, HTTP_HEAD, HTTP_TRAILER);
		return REQUEST_MORE;
	}
	w->parser.skip = size + (w->parser.flags & HTTP_BARE ? 1 : 2);
	http_begin(w, HTTP_CHUNK, 0);
	return REQUEST_MORE;
}

/* The number of hex digits that x begins with. */
static __always_inline __u64 http_hex_digits(__u64 x)
{
	return http_count(http_before(~http_find_hex(x) & HIGH_BITS));
}

/* The value of the first n of eight hex digits, n > 0. */
static __always_inline __u64 http_hex(__u64 x, __u64 n)
{
	x = (x & EACH_BYTE * 15) + (x >> 6 & EACH_BYTE) * 9;
	x = __builtin_bswap64(x << 8 * ((8 - n) & 7));
	x = (x | x >> 4) & 0x00ff00ff00ff00ff;
	x = (x | x >> 8) & 0x0000ffff0000ffff;
	return (x | x >> 16) & 0xffffffff;
}

static __always_inline int http_chunk(struct request_work *w)
{
	__u64 x = word_at(w, w->at), n = http_hex_digits(x), at = w->at + n;
	__u8 c = byte_at(w, at);

	if (at >= w->end)
		return REQUEST_HOLD;
	if (!n || (c > ' ' && c != ';')) {
		http_begin(w, HTTP_START, 0); /* no size: perhaps the next message */
		return REQUEST_MORE;
	}
	w->at = at;
	http_begin(w, HTTP_CHUNK_LINE, c == '\n' ? HTTP_BARE : 0);
	http_set_length(w, http_hex(x, n));
	return REQUEST_MORE;
}

/* --- both directions */

static __always_inline int http_message(struct request_work *w, _Bool answer)
{
	int event = REQUEST_MORE;

	if (w->parser.state == HTTP_HEAD)
		return http_head(w);
	if (w->parser.state == HTTP_BODY)
		return http_body(w, answer);
	if (w->parser.state == HTTP_CHUNK)
		event = http_chunk(w);
	if (w->parser.state == HTTP_CHUNK_LINE)
		event = http_chunk_line(w);
	return event;
}

static __always_inline int http_request_step(struct request_work *w)
{
	int event;

	w->multiple = REQUEST_MORE;
	if (w->parser.state == HTTP_START) {
		event = http_request_line(w);
		if (event != REQUEST_BEGAN)
			return event;
		http_begin(w, HTTP_HEAD, HTTP_IN_LINE);
		w->multiple = REQUEST_BEGAN;
	}
	/* most requests end with their header: then one step is all */
	event = http_message(w, 0);
	return w->multiple == REQUEST_BEGAN ? REQUEST_BEGAN : event;
}

/* "HTTP/1.1 200" is there. */
static __always_inline int http_status(struct request_work *w)
{
	__u32 x = word_at(w, w->at + 8), class;

	x ^= ' ' | '0' << 8 | '0' << 16 | (__u32)'0' << 24;
	class = x >> 8 & 15;
	if (((x | (x + 0x06060600)) & 0xf0f0f0ff) || !class)
		return REQUEST_REST;
	w->at += HTTP_STATUS_BYTES;
	http_begin(w, HTTP_HEAD, HTTP_IN_LINE | HTTP_BODILESS);
	w->class = class < REQUEST_CLASSES ? class : 0;
	w->outcome = class < 4 ? REQUEST_OK : REQUEST_ERROR;
	x >>= 8;
	if (x == (1 | 0 << 8 | 1 << 16))
		w->parser.state = HTTP_UPGRADED;
	else if (class == 1)
		return REQUEST_MORE;
	else if (w->in_flight <= 1) {
		http_begin(w, HTTP_START, 0);
		w->at = w->end;
	} else if (x != (2 | 0 << 8 | 4 << 16) && x != (3 | 0 << 8 | 4 << 16)) {
		w->parser.flags = HTTP_IN_LINE;
	}
	return REQUEST_ANSWERED;
}

static __always_inline int http_response_step(struct request_work *w)
{
	int status;

	if (w->parser.state == HTTP_UPGRADED)
		return REQUEST_STREAM;
	if (w->parser.state != HTTP_START)
		return http_message(w, 1);
	if (!w->in_flight)
		return REQUEST_REST;
	status = http_is_status(w);
	if (!status)
		return REQUEST_REST;
	if (status < 0 || unread(w) < HTTP_STATUS_BYTES)
		return REQUEST_HOLD;
	return http_status(w);
}

/* The index of the first newline from `at` on, w->end if there is none. */
static __always_inline __u64 http_newline(const struct request_work *w, __u64 at)
{
	__u64 end = w->end, n = 8;

	at = http_index(at);
	for (int i = 0; i < (REQUEST_HELD + REQUEST_WINDOW) / 8 && at < end && n == 8; i++) {
		n = http_count(http_before(http_find(word_at(w, at), '\n')));
		at = http_index(at + n);
	}
	return at < end ? at : end;
}

/* Whether bytes from .. to - 1 are text, as far as they are looked at. */
static __always_inline _Bool http_is_text(const struct request_work *w, __u64 from, __u64 to)
{
	from = http_index(from);
	for (int i = 0; i < REQUEST_HELD / 8 && from < to; i++) {
		__u64 x = word_at(w, from), y = x & HTTP_LOW_BITS;
		__u64 bad = ~(http_from(y, ' ') | ~http_not(y, '\r') | x) & HIGH_BITS;

		if (bad && from + http_count(http_before(bad)) < to)
			return 0;
		from = http_index(from + 8);
	}
	return 1;
}

/* Whether " HTTP/1.x" stands before the end of the line that begins at `at`. */
static __always_inline _Bool http_says_version(const struct request_work *w, __u64 at,
					       __u64 newline)
{
	if (newline < at + sizeof("GET / HTTP/1.1") - 1)
		return 0;
	newline -= byte_at(w, newline - 1) == '\r';
	return byte_at(w, newline - 9) == ' ' && http_begins(word_at(w, newline - 8), "HTTP/1.");
}

static __always_inline int http_recognise(const struct request_work *w)
{
	__u64 at = w->at, end = w->end, newline = http_newline(w, at), x = word_at(w, at), n;
	__u8 first;

	if (!http_is_text(w, at, newline))
		return 0;
	if (newline == end && end - at < HTTP_LINE_MIN)
		return http_may_be_method(x, end - at) ? -1 : 0;
	n = http_token(w);
	first = byte_at(w, at + n + 1);
	if (!n || !(first == '/' || (first | 0x20) == 'h' || http_begins(x, "CONNECT ") ||
		    http_begins(x, "OPTIONS ")))
		return 0;
	if (newline < end && (newline < at + REQUEST_HELD || http_is_method(x)))
		return http_says_version(w, at, newline);
	return end - at < REQUEST_HELD ? -1 : http_is_method(x);
}

#endif
