/* request_postgresql_messages.h - the messages of PostgreSQL's protocol 3, and what tells them.
 *
 * A message is a type byte, a length of 4 bytes that counts itself, and a body. The packets of the
 * startup have no type.
 *
 * Recognised are a packet of the startup, a Query, and a batch of several messages up to its Sync
 * or Flush; of what is longer than the window the beginning must do. What is told by a single short
 * message alone (a lone Sync, COPY data, a password) is not: other protocols could say so too.
 */
#ifndef TRIMTAB_REQUEST_POSTGRESQL_MESSAGES_H
#define TRIMTAB_REQUEST_POSTGRESQL_MESSAGES_H

#include "request.h"

#define PG_HEADER 5	 /* type and length */
#define PG_PACKET 8	 /* length and code of a packet of the startup */
#define PG_STARTUP 10000 /* bytes of a StartupMessage, at most */
#define PG_CANCEL 300	 /* bytes of a CancelRequest, at most; a key has up to 256 */

#define PG_CODE_SSL 80877103
#define PG_CODE_GSS 80877104
#define PG_CODE_CANCEL 80877102

/* parser.state, of either side */
enum {
	PG_FIRST,   /* nothing seen yet that would tell */
	PG_ASKED,   /* requests: encryption was asked for */
	PG_STARTED, /* only messages from now on */
};

/* parser.flags, of the batch so far */
#define PG_PREPARES 1	/* requests: Parse; answers: what a Parse or a Describe is answered by */
#define PG_DESCRIBES 2	/* requests: Describe */
#define PG_EXECUTES 4	/* requests: Execute; answers: those of Execute, not of Query */
#define PG_DONE 8	/* answers: an Execute was answered */
#define PG_COMPLETED 16 /* answers: a statement of a Query, or a FunctionCall */
#define PG_FAILED 32	/* answers: there was an error */

/* What to do about a type of message. */
enum {
	PG_PASS = 1, /* 0: there is no such type */
	PG_QUERY,
	PG_CALL,
	PG_EXECUTE,
	PG_SYNC,
	PG_COMPLETE = PG_QUERY,
	PG_SUSPENDED,
	PG_NO_QUERY,
	PG_ERROR,
	PG_READY,
	PG_COPY_BOTH,
	PG_ODD, /* not of a type: no message, or of an absurd length */
};

/* What is known of a type: its action, how many bits the length of its body has at most (0: it has
 * no body), parser.flags that it sets. */
#define PG_KIND(action, bits, flags) ((action) << 5 | (bits) | (flags) << 8)
#define PG_SHORT 15
#define PG_LONG 30

static const __u16 postgresql_requests[256] = {
    ['B'] = PG_KIND(PG_PASS, PG_LONG, 0),
    ['C'] = PG_KIND(PG_PASS, PG_SHORT, 0),
    ['D'] = PG_KIND(PG_PASS, PG_SHORT, PG_DESCRIBES),
    ['E'] = PG_KIND(PG_EXECUTE, PG_SHORT, PG_EXECUTES),
    ['F'] = PG_KIND(PG_CALL, PG_LONG, 0),
    ['H'] = PG_KIND(PG_PASS, 0, 0),
    ['P'] = PG_KIND(PG_PASS, PG_LONG, PG_PREPARES),
    ['Q'] = PG_KIND(PG_QUERY, PG_LONG, 0),
    ['S'] = PG_KIND(PG_SYNC, 0, 0),
    ['X'] = PG_KIND(PG_PASS, 0, 0),
    ['c'] = PG_KIND(PG_PASS, 0, 0),
    ['d'] = PG_KIND(PG_PASS, PG_LONG, 0),
    ['f'] = PG_KIND(PG_PASS, PG_SHORT, 0),
    ['p'] = PG_KIND(PG_PASS, 16, 0), /* 65535 bytes, GSSAPI tokens */
};

static const __u16 postgresql_responses[256] = {
    ['1'] = PG_KIND(PG_PASS, 0, PG_PREPARES),
    ['2'] = PG_KIND(PG_PASS, 0, PG_EXECUTES),
    ['3'] = PG_KIND(PG_PASS, 0, 0),
    ['A'] = PG_KIND(PG_PASS, PG_LONG, 0),
    ['C'] = PG_KIND(PG_COMPLETE, PG_SHORT, 0),
    ['D'] = PG_KIND(PG_PASS, PG_LONG, 0),
    ['E'] = PG_KIND(PG_ERROR, PG_LONG, 0),
    ['G'] = PG_KIND(PG_PASS, PG_SHORT, 0),
    ['H'] = PG_KIND(PG_PASS, PG_SHORT, 0),
    ['I'] = PG_KIND(PG_NO_QUERY, 0, 0),
    ['K'] = PG_KIND(PG_PASS, PG_SHORT, 0),
    ['N'] = PG_KIND(PG_PASS, PG_LONG, 0),
    ['R'] = PG_KIND(PG_PASS, 16, 0),
    ['S'] = PG_KIND(PG_PASS, PG_SHORT, 0),
    ['T'] = PG_KIND(PG_PASS, PG_LONG, PG_PREPARES),
    ['V'] = PG_KIND(PG_PASS, PG_LONG, PG_COMPLETED),
    ['W'] = PG_KIND(PG_COPY_BOTH, PG_SHORT, 0),
    ['Z'] = PG_KIND(PG_READY, 1, 0),
    ['c'] = PG_KIND(PG_PASS, 0, 0),
    ['d'] = PG_KIND(PG_PASS, PG_LONG, 0),
    ['n'] = PG_KIND(PG_PASS, 0, PG_PREPARES),
    ['s'] = PG_KIND(PG_SUSPENDED, 0, PG_EXECUTES),
    ['t'] = PG_KIND(PG_PASS, PG_LONG, PG_PREPARES),
    ['v'] = PG_KIND(PG_PASS, PG_SHORT, 0),
};

/* The type and the length of the body of the message that begins with these bytes. */
static __always_inline __u32 postgresql_body(__u64 header)
{
	return __builtin_bswap32(header >> 8) - 4;
}

/* The state after a packet of the startup; PG_FIRST: it is none. */
static __always_inline __u8 postgresql_packet(__u32 length, __u32 code)
{
	if (code == PG_CODE_SSL || code == PG_CODE_GSS)
		return length == PG_PACKET ? PG_ASKED : PG_FIRST;
	if (code == PG_CODE_CANCEL)
		return length > PG_PACKET && length <= PG_CANCEL ? PG_STARTED : PG_FIRST;
	return code >> 16 == 3 && length > PG_PACKET && length <= PG_STARTUP ? PG_STARTED
									     : PG_FIRST;
}

/* --- whether it is PostgreSQL */

#define PG_STRING 48	   /* bytes of a string that are looked at */
#define PG_CHAIN 8	   /* messages that are looked at */
#define PG_TOO_LONG 0xff00 /* bits of a header: longer messages do not come first */

/* The length of the string at i: up to its NUL, or another byte that is in no text; PG_STRING if
 * there is none. */
static __always_inline __u32 postgresql_string(const struct request_work *w, __u32 i)
{
	__u64 word, ends;
	__u32 n = 0;

	for (; n < PG_STRING; n += 8) {
		word = word_at(w, i + n);
		ends = (word - 8 * EACH_BYTE) & ~word & HIGH_BITS; /* right for the lowest one */
		if (ends) {
			ends = ((ends & -ends) >> 7) - 1;
			return n + ((ends & EACH_BYTE) * EACH_BYTE >> 56);
		}
	}
	return n;
}

/* Whether the first message is as its type has it. Its body begins at i and has n bytes; if it is
 * not whole, enough of it is there. */
static __always_inline _Bool postgresql_fits(const struct request_work *w, __u8 type, __u32 i,
					     __u32 n, _Bool whole)
{
	__u32 string = postgresql_string(w, i), more, second;

	if (type == 'Q' && string == PG_STRING)
		return !whole || !byte_at(w, i + n - 1);
	if (type == 'Q')
		return whole && string + 1 == n && !byte_at(w, i + string);
	if (type == 'D' || type == 'C') /* of a statement or of a portal */
		return whole && (byte_at(w, i) == 'S' || byte_at(w, i) == 'P');
	if (type != 'P' && type != 'B')
		return whole;
	if (byte_at(w, i + string))
		return 0;
	more = postgresql_string(w, i + string + 1);
	second = string + 1 + more; /* where the second string ends */
	if (type == 'P' && !whole)
		return second >= PG_STRING;
	if (type == 'P')
		return second + 3 <= n && (more == PG_STRING || !byte_at(w, i + second));
	return second + 7 <= n && second <= PG_STRING && !(word_at(w, i + second) & 0xffff);
}

/* What the header of a message says of its body's length; ~0: it is none, or too long. */
static __always_inline __u32 postgresql_body_of_request(__u64 header)
{
	__u32 body = postgresql_body(header), kind = postgresql_requests[(__u8)header];

	return !kind || body >> (kind & 31) || header & PG_TOO_LONG ? ~0U : body;
}

/* A Query, or a chain of messages that ends a batch; or more of them than are looked at. */
static __always_inline int postgresql_recognise_messages(const struct request_work *w)
{
	__u64 header = word_at(w, w->at);
	__u32 at = w->at, end = w->end, body = postgresql_body_of_request(header);
	int enough = unread(w) < REQUEST_HELD ? -1 : 1;
	__u8 type = header;
	_Bool whole;

	if (unread(w) < PG_HEADER)
		return postgresql_requests[type] && (unread(w) < 2 || !(header & PG_TOO_LONG)) ? -1
											       : 0;
	if (body == ~0U)
		return 0;
	whole = unread(w) >= PG_HEADER + body;
	if (!whole && enough < 0)
		return -1;
	if (!postgresql_fits(w, type, at + PG_HEADER, body, whole))
		return whole || type == 'Q' || type == 'B' ? 0 : -1;
	if (!whole)
		return 1;
	for (int i = 0; i < PG_CHAIN; i++) {
		at += PG_HEADER + body;
		if (at == end)
			return type == 'Q' || (i && (type == 'S' || type == 'H')) ? 1 : -1;
		if (end - at < PG_HEADER)
			return enough;
		type = byte_at(w, at);
		body = postgresql_body_of_request(word_at(w, at));
		if (body == ~0U)
			return 0;
		if (end - at < PG_HEADER + body)
			return enough;
	}
	return 1;
}

static __always_inline int postgresql_recognise_startup(const struct request_work *w)
{
	const __u64 letters = 0x404040, not_letters = 0x808080;
	__u64 bytes = word_at(w, w->at), name = word_at(w, w->at + PG_PACKET);
	__u32 n = unread(w), length = __builtin_bswap32(bytes);

	if (n < PG_PACKET)
		return n > 1 && bytes & 0xff00 ? 0 : -1;
	if (postgresql_packet(length, __builtin_bswap32(bytes >> 32)) == PG_FIRST || n > length)
		return 0;
	if ((bytes >> 32 & 0xffff) != 3 << 8)
		return n == length ? 1 : -1;
	/* the name of a parameter: Kafka's second request can begin with the same eight bytes */
	if (n < PG_PACKET + 3)
		return n == length ? 0 : -1;
	if ((name & letters) != letters || name & not_letters)
		return 0;
	return n < length || !(word_at(w, w->at + length - 2) & 0xffff);
}

/* 1: PostgreSQL; 0: not; -1: too few bytes. */
static __always_inline int postgresql_recognise(const struct request_work *w)
{
	if (byte_at(w, w->at))
		return postgresql_recognise_messages(w);
	return postgresql_recognise_startup(w);
}

#endif
