/* request_http_line.h - the request line of HTTP/1.x, for request_http.h: the name of a request.
 *
 * It is "METHOD /route", from the first REQUEST_HELD bytes of the line alone, so that it does not
 * depend on how the bytes were cut. The route ends at ? # ! " or a blank; of http://host/path only
 * the path is taken; CONNECT has none. Segments that tell things apart, not kinds of things, become
 * {id}:
 *   only digits                                     /users/17
 *   8 .. 15 hex digits and dashes, with a digit     /commits/3f2a9c01  /on/2024-01-15
 *   16 bytes or more, with a digit, without a dot   /orders/550e8400-e29b-41d4-a716-446655440000
 * (v1, oauth2 and app.3f2a9c.js stay). What goes beyond HTTP_SEGMENTS segments, HTTP_ROOM
 * characters or the first REQUEST_HELD bytes becomes a last segment "*", a byte that is not
 * printable ASCII "?". Methods that are not in http_is_method() are OTHER.
 *
 * A GET that asks to wait is not timed: a parameter watch=1 or true (Kubernetes), wait=TIME or,
 * below /v1/, index=N (Consul, Nomad), feed=longpoll (CouchDB) or transport=polling (Socket.IO), if
 * it stands in those first bytes.
 *
 * Cost: some 100 instructions, and 70 for each segment or 8 bytes of the route.
 */
#ifndef TRIMTAB_REQUEST_HTTP_LINE_H
#define TRIMTAB_REQUEST_HTTP_LINE_H

#include "request.h"

#define HTTP_SEGMENTS 4
#define HTTP_ROOM 45	    /* characters before a last segment that is cut */
#define HTTP_LINE_MIN 16    /* no request line is shorter */
#define HTTP_TOKEN_MAX 14   /* of a method: so the target begins in the first 16 bytes */
#define HTTP_QUERY_TURNS 12 /* words or parameters of a query looked at */
#define HTTP_SCRATCH 1280   /* where names are put together: behind any window */
#define HTTP_NAME_MASK 127  /* of an index there, for the verifier */

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

/* Flags the bytes that are hex digits. */
static __always_inline __u64 http_find_hex(__u64 x)
{
	__u64 y = (x | HTTP_LOWER) & HTTP_LOW_BITS;

	return (http_range(y, '0', '9') | http_range(y, 'a', 'f')) & ~x & HIGH_BITS;
}

static __always_inline __u64 http_not_hex_or_dash(__u64 x)
{
	return ~(http_find_hex(x) | http_find(x, '-')) & HIGH_BITS;
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
	return !(http_not_hex_or_dash(word_at(w, at)) |
		 (http_not_hex_or_dash(word_at(w, at + 8)) & ((1ULL << 8 * (length & 7)) - 1)));
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

/* Eight bytes of which those from `end` on are 0; at <= end. */
static __always_inline __u64 http_word_before(const struct request_work *w, __u64 at, __u64 end)
{
	__u64 x = word_at(w, at), n = end - at;

	return n < 8 ? x & ((1ULL << 8 * n) - 1) : x;
}

/* Whether the parameter at an index asks the server to wait. */
static __always_inline _Bool http_asks_to_wait(const struct request_work *w, __u64 at, __u64 end)
{
	__u64 x = http_word_before(w, at, end), seventh = x >> 48 & 0xff;

	if (http_begins(x, "watch="))
		return seventh == '1' || seventh == 't';
	if (http_begins(x, "wait="))
		return (x >> 40 & 0xff) - '1' < 9;
	if (http_begins(x, "index="))
		return seventh - '1' < 9 && http_begins(word_at(w, w->at + 4), "/v1/");
	if (http_begins(x, "transpor"))
		return http_begins(http_word_before(w, at + 8, end), "t=pollin");
	return http_begins(x, "feed=lon") && http_begins(http_word_before(w, at + 8, end), "gpoll");
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

/* At the place of a request line. w->at is then in its rest. */
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
		w->at = place.at;
		return REQUEST_BEGAN;
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
	w->at = place.at;
	return REQUEST_BEGAN;
}

#endif
