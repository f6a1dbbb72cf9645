/* request_http.h - HTTP/1.x for request.h: requests by method and route, answers by status class.
 *
 * The name of a request is "METHOD /route", from the first REQUEST_HELD bytes of its line alone, so
 * that it does not depend on how the bytes were cut. The route ends at ? # ! " or a blank; of
 * http://host/path only the path is taken; CONNECT has none. Segments that tell things apart, not
 * kinds of things, become {id}:
 *   only digits                                     /users/17
 *   8 .. 15 hex digits and dashes, with a digit     /commits/3f2a9c01  /on/2024-01-15
 *   16 bytes or more, with a digit, without a dot   /orders/550e8400-e29b-41d4-a716-446655440000
 * (v1, oauth2 and app.3f2a9c.js stay). What goes beyond HTTP_SEGMENTS segments, HTTP_ROOM
 * characters or the first REQUEST_HELD bytes becomes a last segment "*"; a byte that is not
 * printable ASCII
 * '?'. Methods that are not in http_is_method() are OTHER.
 *
 * A GET that asks to wait is not timed: a parameter watch=1 or true (Kubernetes), wait=TIME or,
 * below /v1/, index=N (Consul, Nomad), feed=longpoll (CouchDB) or transport=polling (Socket.IO), if
 * it stands in those first bytes.
 *
 * Requests are followed byte by byte: header lines, Content-Length, chunks. Where no request line
 * stands, the rest of the call is passed over: each call that begins with one heals what was
 * before. Answers are not followed as long as one request is in flight: each call that begins with
 * a status line answers it, whatever follows or does not (sendfile). With more in flight they are
 * followed to the next status line. Where a body is due and a request or status line stands
 * instead, it is taken as one: there was no body to an answer to HEAD, to a request with Expect:
 * 100-continue, or it went unseen by sendfile. A body that itself begins like one is misread.
 *
 * Cost: 60 instructions a segment of 8 bytes in the route, 10 for 8 bytes of the header.
 */
#ifndef TRIMTAB_REQUEST_HTTP_H
#define TRIMTAB_REQUEST_HTTP_H

#include "request.h"

#define HTTP_SEGMENTS 4
#define HTTP_ROOM 45	  /* characters before a last segment that is cut */
#define HTTP_LINE_MIN 16  /* no request line is shorter */
#define HTTP_TOKEN_MAX 14 /* of a method: so the target begins in the first 16 bytes */
#define HTTP_QUERY_TURNS 12
#define HTTP_STATUS_BYTES 12 /* "HTTP/1.1 200" */
#define HTTP_HEADER_MIN 16   /* as much is looked at to know a header of interest */
#define HTTP_HEAD_TURNS 64   /* words of a header looked at in one step */
#define HTTP_CHUNK_TURNS 16  /* words of the line of a chunk looked at in one step */
#define HTTP_SCRATCH 1280    /* where names are put together: behind any window */
#define HTTP_NAME_MASK 127   /* of an index there, for the verifier */

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
#define HTTP_LENGTH 2	/* Content-Length was there; parser.word holds it */
#define HTTP_CHUNKED 4	/* Transfer-Encoding was there */
#define HTTP_BODILESS 8 /* by its status */
#define HTTP_TRAILER 16 /* these are the lines behind the last chunk */
#define HTTP_BARE 32	/* lines end without \r */

/* --- eight bytes at once */

/* The characters of a constant as word_at() reads them; fewer than eight end with NULs. */
#define HTTP_CHAR(s, i) ((__u64)(__u8)(s)[(i) < sizeof(s) ? (i) : sizeof(s) - 1] << 8 * (i))
#define HTTP_TEXT(s)                                                                               \
	(HTTP_CHAR(s, 0) | HTTP_CHAR(s, 1) | HTTP_CHAR(s, 2) | HTTP_CHAR(s, 3) | HTTP_CHAR(s, 4) | \
	 HTTP_CHAR(s, 5) | HTTP_CHAR(s, 6) | HTTP_CHAR(s, 7))
#define http_begins(x, s) (((x) ^ HTTP_TEXT(s)) << 8 * (9 - sizeof(s)) == 0)

#define HTTP_LOWER (EACH_BYTE * 0x20) /* or'ed: makes letters small; digits and - : / . stay */
#define HTTP_LOW_BITS (~HIGH_BITS)

/* Each of these flags bytes in their high bits, exactly; y has no high bits. */
#define http_from(y, c) ((y) + EACH_BYTE * (0x80 - (c))) /* bytes >= c */
#define http_not(y, c) (((y) ^ EACH_BYTE * (c)) + HTTP_LOW_BITS)
#define http_range(y, c, d) (http_from(y, c) ^ http_from(y, (d) + 1)) /* c <= bytes <= d */

/* An index of the window, whatever was added: for the verifier, which then finds the same range in
 * each turn of a loop, and follows no turn twice. */
static __always_inline __u64 http_index(__u64 i)
{
	REQUEST_FORGET(i);
	return i & (2 * REQUEST_BYTES - 1);
}

/* All bits of the bytes before the first flagged one; of all if there is none. */
static __always_inline __u64 http_before(__u64 flags)
{
	return ((flags & -flags) >> 7) - 1;
}

static __always_inline __u64 http_count(__u64 before)
{
	return (before & EACH_BYTE) * EACH_BYTE >> 56;
}

/* Flags the bytes that are c. */
static __always_inline __u64 http_find(__u64 x, __u8 c)
{
	return ~(http_not(x & HTTP_LOW_BITS, c) | x) & HIGH_BITS;
}

/* Bytes that end a segment: / and what ends a route. */
static __always_inline __u64 http_segment_ends(__u64 x)
{
	__u64 y = x & HTTP_LOW_BITS;

	/* ? is / and one bit */
	return ~((http_from(y, '$') & http_not(y | EACH_BYTE * 0x10, '?')) | x) & HIGH_BITS;
}

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

/* --- the name */

static __always_inline void http_put(struct request_work *w, __u64 to, __u64 word)
{
	__u8 *p;

	to += HTTP_SCRATCH;
	REQUEST_FORGET(to);
	p = &w->bytes[to & (REQUEST_BYTES - 1)];
#ifdef __bpf__
	*(__u64 *)p = word;
#else
	__builtin_memcpy(p, &word, sizeof(word));
#endif
}

static __always_inline void http_finish_name(struct request_work *w, __u64 length)
{
	__u64 hash = 0, word;

	http_put(w, length, 0);
	for (__u64 i = 0; i < REQUEST_NAME / 8; i++) {
		word = 0;
		if (8 * i < length) {
			word = word_at(w, HTTP_SCRATCH + 8 * i);
			hash = hash_word(hash, word);
		}
		w->name.word[i] = word;
	}
	w->hash = hash;
}

static __always_inline __u64 http_not_hex(__u64 x)
{
	__u64 y = (x | HTTP_LOWER) & HTTP_LOW_BITS;

	return ~(http_range(y, '0', '9') | http_range(y, 'a', 'f') | ~http_not(y, '-')) & HIGH_BITS;
}

/* Whether a segment that has a digit is an id. */
static __always_inline _Bool http_is_id(const struct request_work *w, __u64 at, __u64 length,
					__u64 others, __u64 dots)
{
	if (!others)
		return 1;
	if (length >= 16)
		return !dots;
	if (length < 8)
		return 0;
	return !(http_not_hex(word_at(w, at)) |
		 (http_not_hex(word_at(w, at + 8)) & ((1ULL << 8 * (length & 7)) - 1)));
}

/* Where one is in the line, and in the name. */
struct http_place {
	__u64 at, to;
};

/* Makes the verifier forget what it knows of a place, so that it follows what comes next once, not
 * for each way that led there. */
static __always_inline void http_settle(struct request_work *w, struct http_place *place)
{
	w->channel = place->at;
	w->multiple = place->to;
	asm volatile("" ::: "memory");
	place->at = w->channel;
	place->to = w->multiple;
}

/* Appends the route without its first / to the name. False if it does not end before `end`. */
static __always_inline _Bool http_route(struct request_work *w, struct http_place *place, __u64 end)
{
	__u64 at = http_index(place->at), from = at, to = place->to & HTTP_NAME_MASK, segment = to;
	w->tag = 0;
	__u64 digits = 0, others = 0, dots = 0;

	/* each turn takes 8 bytes or ends a segment */
	for (int i = 0; i < REQUEST_HELD / 8 + HTTP_SEGMENTS; i++) {
		__u64 x = word_at(w, at), y = x & HTTP_LOW_BITS;
		__u64 before = http_before(http_segment_ends(x)), n = http_count(before);
		__u64 ours = before & HIGH_BITS, some = http_range(y, '0', '9') & ours;

		if (at + n >= end)
			break;
		digits |= some;
		others |= some ^ ours;
		dots |= ~http_not(y, '.') & ours;
		some = (x | http_from(y, 0x7f)) & ours;
		if (some) {
			some = (some >> 7) * 0xff;
			x = (x & ~some) | (EACH_BYTE * '?' & some);
		}
		http_put(w, to, x & before);
		to = (to + n) & HTTP_NAME_MASK;
		at = http_index(at + n);
		if (n == 8)
			continue;

		place->at = at;
		if (digits && http_is_id(w, from, at - from, others, dots)) {
			http_put(w, segment, NAME8('{', 'i', 'd', '}', 0, 0, 0, 0));
			to = (segment + 4) & HTTP_NAME_MASK;
		}
		if (to > HTTP_ROOM) {
			http_put(w, segment, '*');
			place->to = segment + 1;
			return 1;
		}
		if (byte_at(w, at) != '/') {
			place->to = to;
			return 1;
		}
		if (++w->tag == HTTP_SEGMENTS) {
			http_put(w, to, NAME8('/', '*', 0, 0, 0, 0, 0, 0));
			place->to = to + 2;
			return 1;
		}
		http_put(w, to, '/');
		segment = to = (to + 1) & HTTP_NAME_MASK;
		from = at = http_index(at + 1);
		digits = others = dots = 0;
	}
	place->to = segment;
	return 0;
}

/* Passes over http://host. False if that does not end before `end`. */
static __always_inline _Bool http_pass_host(const struct request_work *w, struct http_place *place,
					    __u64 end)
{
	__u64 at = place->at;

	for (int i = 0; i < REQUEST_HELD / 8; i++) {
		__u64 n = http_count(http_before(http_segment_ends(word_at(w, at))));

		at = http_index(at + n);
		if (at >= end)
			return 0;
		if (n < 8)
			break;
	}
	place->at = at;
	return 1;
}

/* Whether the parameter at an index asks the server to wait. */
static __always_inline _Bool http_asks_to_wait(const struct request_work *w, __u64 at, __u64 end)
{
	__u64 x = word_at(w, at), seventh = x >> 48 & 0xff;

	if (at + 7 > end)
		return 0;
	if (http_begins(x, "watch="))
		return seventh == '1' || seventh == 't';
	if (http_begins(x, "wait="))
		return (x >> 40 & 0xff) - '1' < 9;
	if (http_begins(x, "index="))
		return seventh - '1' < 9 && http_begins(word_at(w, w->at + 4), "/v1/");
	if (at + 16 > end)
		return 0;
	return (http_begins(x, "transpor") && http_begins(word_at(w, at + 8), "t=pollin")) ||
	       (http_begins(x, "feed=lon") && http_begins(word_at(w, at + 8), "gpoll"));
}

/* Looks through the query that may begin at place->at. False if it does not end before `end`. */
static __always_inline _Bool http_query(struct request_work *w, struct http_place *place, __u64 end)
{
	__u64 at = http_index(place->at);

	/* each turn takes 8 bytes or ends a parameter; those behind are not looked at */
	for (int i = 0; i < HTTP_QUERY_TURNS; i++) {
		__u64 x = word_at(w, at), y = x & HTTP_LOW_BITS;
		__u64 inside = http_from(y, '$') & http_not(y, '?') & http_not(y, '&');
		__u64 n = http_count(http_before(~(inside | x) & HIGH_BITS));

		at = http_index(at + n);
		if (at >= end)
			return 0;
		if (n == 8)
			continue;
		if (byte_at(w, at) < '$')
			break;
		at = http_index(at + 1);
		if (http_asks_to_wait(w, at, end))
			w->flags = REQUEST_BEGAN_UNTIMED;
	}
	place->at = at;
	return 1;
}

/* --- the request line */

static __always_inline _Bool http_is_method(__u64 x)
{
	return http_begins(x, "GET ") || http_begins(x, "POST ") || http_begins(x, "PUT ") ||
	       http_begins(x, "HEAD ") || http_begins(x, "DELETE ") || http_begins(x, "PATCH ") ||
	       http_begins(x, "OPTIONS ") || http_begins(x, "CONNECT ") || http_begins(x, "TRACE ");
}

static __always_inline __u64 http_not_token(__u64 x)
{
	__u64 y = x & HTTP_LOW_BITS;

	return (~(http_range(y, 'A', 'Z') | ~http_not(y, '-')) | x) & HIGH_BITS;
}

/* The length of another method's name, 0 if there is none. */
static __always_inline __u64 http_token(const struct request_work *w)
{
	__u64 n = http_count(http_before(http_not_token(word_at(w, w->at))));

	if (n == 8)
		n += http_count(http_before(http_not_token(word_at(w, w->at + 8))));
	if (n < 3 || n > HTTP_TOKEN_MAX || byte_at(w, w->at + n) != ' ')
		return 0;
	return n;
}

/* Whether a method could begin with the n bytes of x; they are few. */
static __always_inline _Bool http_may_be_method(__u64 x, __u64 n)
{
	return !(http_not_token(x) & ((1ULL << 8 * (n < 3 ? n : 3)) - 1));
}

/* Begins the name with the method; the place is then that of the target. False if there is none. */
static __always_inline _Bool http_method(struct request_work *w, struct http_place *place)
{
	__u64 x = word_at(w, w->at), before, n;

	if (http_is_method(x)) {
		before = http_before(http_find(x, ' '));
		place->to = http_count(before) + 1;
		place->at = w->at + place->to;
		http_put(w, 0, x & (before << 8 | 0xff));
		return 1;
	}
	n = http_token(w);
	if (!n)
		return 0;
	place->to = sizeof("OTHER ") - 1;
	place->at = w->at + n + 1;
	http_put(w, 0, HTTP_TEXT("OTHER "));
	return 1;
}

enum http_found { HTTP_NOTHING, HTTP_PART, HTTP_WHOLE };

/* Goes to the path of the target, and puts its first / into the name. */
static __always_inline enum http_found http_target(struct request_work *w, struct http_place *place,
						   __u64 end)
{
	__u64 x = word_at(w, place->at), first = x & 0xff;

	if (first == '/' || first == '*') {
		http_put(w, place->to++, first);
		place->at++;
		return HTTP_WHOLE;
	}
	if ((first | 0x20) != 'h')
		return HTTP_NOTHING;
	http_put(w, place->to++, '/');
	if (place->at + 8 > end)
		return HTTP_PART;
	if (http_begins(x | HTTP_LOWER, "http://"))
		place->at += 7;
	else if (http_begins(x | HTTP_LOWER, "https://"))
		place->at += 8;
	else
		return HTTP_NOTHING;
	http_settle(w, place);
	if (!http_pass_host(w, place, end))
		return HTTP_PART;
	place->at += byte_at(w, place->at) == '/';
	return HTTP_WHOLE;
}

/* Not a request line, or not all of it. */
static __always_inline int http_no_line(struct request_work *w)
{
	__u64 first = byte_at(w, w->at);

	if (first == '\r' || first == '\n') { /* some clients end a body with an empty line */
		w->at++;
		return REQUEST_MORE;
	}
	if (unread(w) < HTTP_LINE_MIN && http_may_be_method(word_at(w, w->at), unread(w)))
		return REQUEST_HOLD;
	return REQUEST_REST;
}

static __always_inline int http_request_began(struct request_work *w, __u64 at)
{
	w->at = at;
	http_begin(w, HTTP_HEAD, HTTP_IN_LINE);
	return REQUEST_BEGAN;
}

static __always_inline int http_request_line(struct request_work *w)
{
	__u64 x = word_at(w, w->at), end = w->at + REQUEST_HELD;
	_Bool ended, all = end <= w->end; /* as much as is ever looked at */
	struct http_place place;
	enum http_found found;

	if (!all)
		end = w->end;
	if (unread(w) < HTTP_LINE_MIN || !http_method(w, &place))
		return http_no_line(w);
	if (http_begins(x, "CONNECT ")) {
		set_name(w, HTTP_TEXT("CONNECT"), 0);
		return http_request_began(w, place.at);
	}
	http_settle(w, &place);
	found = http_target(w, &place, end);
	if (found == HTTP_NOTHING)
		return REQUEST_REST;
	http_settle(w, &place);
	ended = found == HTTP_WHOLE && http_route(w, &place, end);
	http_settle(w, &place);
	if (!ended) {
		if (!all)
			return REQUEST_HOLD;
		http_put(w, place.to++, '*');
	} else if (http_begins(x, "GET ") && byte_at(w, place.at) != ' ') {
		if (!http_query(w, &place, end) && !all)
			return REQUEST_HOLD;
	}
	http_settle(w, &place);
	http_finish_name(w, place.to);
	return http_request_began(w, place.at);
}

/* --- the header */

enum http_line {
	HTTP_LINE_OTHER,
	HTTP_LINE_PART, /* more bytes are needed */
	HTTP_LINE_EMPTY,
	HTTP_LINE_LENGTH,
	HTTP_LINE_ENCODING,
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
	return HTTP_LINE_OTHER;
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
	w->parser.flags |= HTTP_LENGTH | HTTP_IN_LINE;
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
static __always_inline int http_head_end(struct request_work *w, _Bool answer)
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
	w->parser.flags = 0;
	w->parser.state = HTTP_START;
	if (flags & (HTTP_TRAILER | HTTP_BODILESS))
		return REQUEST_MORE;
	if (flags & HTTP_CHUNKED)
		w->parser.state = HTTP_CHUNK;
	else if (w->parser.word[0] | w->parser.word[1])
		w->parser.state = HTTP_BODY;
	else if (answer && !(flags & HTTP_LENGTH))
		return REQUEST_REST;
	return REQUEST_MORE;
}

static __always_inline int http_head(struct request_work *w, _Bool answer)
{
	switch (http_pass_lines(w)) {
	case HTTP_LINE_OTHER:
		return REQUEST_MORE;
	case HTTP_LINE_EMPTY:
		return http_head_end(w, answer);
	case HTTP_LINE_LENGTH:
		return http_content_length(w);
	case HTTP_LINE_ENCODING:
		return http_transfer_encoding(w);
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

static __always_inline int http_body(struct request_work *w, _Bool answer)
{
	int next = answer ? http_is_status(w) : 0;

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
	return http_count(http_before(http_not_hex(x) | http_find(x, '-') | (x & HIGH_BITS)));
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
		return http_head(w, answer);
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

/* Whether bytes from .. to - 1 are text, as far as they are looked at. */
static __always_inline _Bool http_is_text(const struct request_work *w, __u64 from, __u64 to)
{
	for (int i = 0; i < REQUEST_HELD / 8 && from < to; i++, from += 8) {
		__u64 x = word_at(w, from), y = x & HTTP_LOW_BITS;
		__u64 bad = ~(http_from(y, ' ') | ~http_not(y, '\r') | x) & HIGH_BITS;

		if (bad && from + http_count(http_before(bad)) < to)
			return 0;
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
	__u64 at = w->at, end = w->end, newline = find_newline(w, at), x = word_at(w, at), n;
	__u8 first;

	if (!http_is_text(w, at, newline))
		return 0;
	if (end - at < HTTP_LINE_MIN)
		return newline == end && http_may_be_method(x, end - at) ? -1 : 0;
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
