/* request.h - what the parsers of requests work on, in plain C: the programs, the unit tests and
 * the fuzz targets run the same code.
 *
 * Each direction of a connection is a stream of bytes, given in pieces as the calls or packets cut
 * it. A parser has one step function for requests and one for responses. A step looks at
 * bytes[at .. end) of the window, takes at most one element from them (moving `at`, or asking with
 * parser.skip to pass over more than there is), and says what it was. It is called again until the
 * piece is used up. Whatever lies more than REQUEST_HELD bytes ahead need not be there yet.
 *
 * A step must not loop without a constant bound, must read bytes by byte_at() and word_at() alone
 * (so the verifier sees the bounds), and must make progress, hold or give up. It never trusts a
 * length: parser.skip may be set to anything.
 */
#ifndef TRIMTAB_REQUEST_H
#define TRIMTAB_REQUEST_H

#include "maps.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define REQUEST_HELD 64	    /* bytes of an unfinished element that are kept for the next call */
#define REQUEST_WINDOW 1024 /* bytes looked at in one go */
#define REQUEST_BYTES 2048  /* size of the window, a power of 2: an index is masked, not checked */

enum request_event {
	REQUEST_MORE,	  /* go on: an element of no interest, or a part of one */
	REQUEST_HOLD,	  /* [at .. end) is the beginning of an element: more is needed, at most
			   * REQUEST_HELD bytes in all */
	REQUEST_REST,	  /* what is left of this call is of no interest */
	REQUEST_BEGAN,	  /* a request: work->name, work->flags */
	REQUEST_NAMED,	  /* the name of the request that is being answered: work->name */
	REQUEST_ANSWERED, /* the oldest request: work->outcome, work->class */
	REQUEST_SYNCED,	  /* PostgreSQL: those of the same sync as the last answered one are not
			   * answered any more */
	REQUEST_ACKED,	  /* AMQP: work->channel, work->tag, work->multiple, work->outcome */
	REQUEST_STREAM,	  /* from now on this connection carries no requests and answers */
	REQUEST_BROKEN,	  /* the bytes make no sense: stop following this connection */
};

/* work->flags of REQUEST_BEGAN */
#define REQUEST_BEGAN_UNTIMED 1 /* waits by design (BLPOP): counted, not timed */
#define REQUEST_BEGAN_SILENT 2	/* no answer will come: counted at once */
#define REQUEST_BEGAN_KEYED 4	/* AMQP: answered by work->channel, not in order */
#define REQUEST_BEGAN_SYNC 8	/* PostgreSQL: ends a sync; see REQUEST_SYNCED */

/* Where one direction of a connection is. Kept in the connection, copied in and out. All zero at
 * the beginning; `skip` is the framework's and the parser's, the rest the parser's alone. */
struct request_parser {
	__u64 skip; /* bytes to pass over before the next step */
	__u32 left; /* elements still to come, a length, ... */
	__u8 state;
	__u8 flags;
	__u8 count;
	__u8 held; /* framework: bytes of an unfinished element in the connection's held[] */
	__u32 word[2];
};

/* The name of an operation, as text padded with NULs. */
union request_name {
	char text[REQUEST_NAME];
	__u64 word[REQUEST_NAME / 8];
};

struct request_work {
	struct request_parser parser;
	__u32 at, end;	 /* bytes[at .. end) is to be read; end <= REQUEST_HELD + REQUEST_WINDOW */
	__u32 in_flight; /* requests not yet answered, for parsers that want to know */
	/* what the last step found */
	__u32 count;   /* 1 before each step; more, if it took several alike at once */
	__u32 flags;   /* REQUEST_BEGAN_* */
	__u16 outcome; /* enum request_outcome */
	__u16 class;   /* HTTP: 1 .. 5 */
	__u16 channel;
	__u16 multiple; /* all tags up to this one */
	__u64 tag;
	__u64 hash; /* of the name: names of one hash are one operation */
	union request_name name;
	/* the rest is the framework's: the call it works on, and answers or requests that it counts
	 * together */
	__u64 now_ns, stamp, batch_stamp;
	__u64 from, iov;      /* user memory: the rest of the piece; the pieces after it */
	__u64 piece, total;   /* bytes left of the piece, of the call */
	__u32 iovs, first;    /* pieces left; bytes to take at first */
	__u32 held;	      /* the last step held */
	__u32 batch_n, batch; /* how many, of which event */
	__u32 batch_operation;
	__u32 call_bytes;
	__u64 slow_ns, slow_queue_ns; /* the slowest request of the call that is to be sampled */
	__u32 slow_operation, slow_outcome;
	__u64 arrival_sock, arrival_us; /* what was read last on this CPU: see request_arrived */
	__u64 scratch[16];		/* AMQP: struct request_amqp_answers */
	__u8 bytes[REQUEST_BYTES + 16]; /* 16: word_at() near the end */
};

#ifdef __bpf__
#define REQUEST_FORGET(x) asm volatile("" : "+r"(x)) /* so that the mask stays in the code */
#else
#define REQUEST_FORGET(x)
#endif

/* The byte at an index of the window; garbage, but safe, beyond it. */
static __always_inline __u8 byte_at(const struct request_work *w, __u64 i)
{
	REQUEST_FORGET(i);
	return w->bytes[i & (REQUEST_BYTES - 1)];
}

/* Eight bytes from there, the first in the lowest byte. */
static __always_inline __u64 word_at(const struct request_work *w, __u64 i)
{
	const __u8 *p;

	REQUEST_FORGET(i);
	p = &w->bytes[i & (REQUEST_BYTES - 1)];
#ifdef __bpf__
	return *(const __u64 *)p;
#else
	__u64 word;

	__builtin_memcpy(&word, p, sizeof(word));
	return word;
#endif
}

static __always_inline __u32 unread(const struct request_work *w)
{
	return w->end - w->at;
}

/* A big-endian number of 4 bytes at an index. */
static __always_inline __u32 be32_at(const struct request_work *w, __u64 i)
{
	return __builtin_bswap32((__u32)word_at(w, i));
}

static __always_inline __u16 be16_at(const struct request_work *w, __u64 i)
{
	return __builtin_bswap16((__u16)word_at(w, i));
}

/* Mixes 8 bytes more of a name into its hash; begin with 0. */
static __always_inline __u64 hash_word(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

/* Sets the name from a constant of at most 8 or 16 bytes, as 64-bit little-endian words. */
static __always_inline void set_name(struct request_work *w, __u64 first, __u64 second)
{
	w->name.word[0] = first;
	w->name.word[1] = second;
	for (int i = 2; i < REQUEST_NAME / 8; i++)
		w->name.word[i] = 0;
	w->hash = hash_word(hash_word(0, first), second);
}

/* The eight characters of a constant as such a word; shorter ones end with NULs. */
#define NAME8(a, b, c, d, e, f, g, h)                                                              \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |   \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

#define EACH_BYTE 0x0101010101010101ULL /* times a byte: that byte eight times */
#define HIGH_BITS 0x8080808080808080ULL

/* The index of the first newline from `from` on, or w->end if there is none. */
static __always_inline __u32 find_newline(const struct request_work *w, __u32 from)
{
	for (int i = 0; i < REQUEST_BYTES / 8 && from < w->end; i++, from += 8) {
		__u64 x = word_at(w, from) ^ EACH_BYTE * '\n';
		__u64 found = (x - EACH_BYTE) & ~x & HIGH_BITS; /* right for the lowest one */

		if (!found)
			continue;
		found = (found & -found) - 1;
		from += (found >> 7 & EACH_BYTE) * EACH_BYTE >> 56;
		return from < w->end ? from : w->end;
	}
	return w->end;
}

/* --- the window: bytes[0 .. REQUEST_HELD) has room for what is left over from the bytes before,
 * the next ones are put behind. */

static __always_inline void copy_held(__u64 *to, const __u64 *from)
{
	for (int i = 0; i < REQUEST_HELD / 8; i++)
		to[i] = from[i];
}

/* Begins a call: `held` is what an earlier one left, its last byte at the end. */
static __always_inline void window_begin(struct request_work *w, const __u64 *held)
{
	__u32 n = w->parser.held;

	w->at = w->end = REQUEST_HELD;
	if (!n || n > REQUEST_HELD)
		return;
	copy_held((__u64 *)w->bytes, held);
	w->at = REQUEST_HELD - n;
	w->parser.held = 0;
}

/* Moves what is unread to before the place of the next bytes. False if it is too much to hold. */
static __always_inline _Bool window_move(struct request_work *w)
{
	__u32 n = unread(w);
	__u64 held[REQUEST_HELD / 8];

	if (n > REQUEST_HELD)
		return 0;
	if (n) {
		for (int i = 0; i < REQUEST_HELD / 8; i++)
			held[i] = word_at(w, w->end - REQUEST_HELD + 8 * i);
		copy_held((__u64 *)w->bytes, held);
	}
	w->at = REQUEST_HELD - n;
	w->end = REQUEST_HELD;
	return 1;
}

/* Ends a call: what is unread goes to `held`. */
static __always_inline _Bool window_end(struct request_work *w, __u64 *held)
{
	__u32 n = unread(w);

	if (n > REQUEST_HELD)
		return 0;
	if (n)
		for (int i = 0; i < REQUEST_HELD / 8; i++)
			held[i] = word_at(w, w->end - REQUEST_HELD + 8 * i);
	w->parser.held = n;
	return 1;
}

/* Passes over what of parser.skip lies in the window. */
static __always_inline void window_skip(struct request_work *w)
{
	__u64 n = w->parser.skip;

	if (n > unread(w))
		n = unread(w);
	w->at += n;
	w->parser.skip -= n;
}

#endif
