/* request_postgresql.h - the parser of PostgreSQL's protocol 3.
 *
 * Messages of no interest are hopped over by their length, several a step.
 *
 * Requests: Query and FunctionCall each end a batch; so does Sync, which ends what came by Parse,
 * Bind, Execute, ... before it. Each Execute is a request. A batch without one that prepares or
 * describes something is one request too, so that its time and its errors are seen. work->channel
 * is the number of the batch, modulo 256. What a Query or an Execute is, the answer tells: until
 * then a Query has the first word of its text for a name, an Execute none.
 *
 * Answers: those of Execute come one by one, the rest at ReadyForQuery, as errors do. Each
 * ReadyForQuery then gives one REQUEST_SYNCED: what is left of its batch was skipped by the server.
 * With REQUEST_ANSWERED, work->multiple says that its batch has had an answer before: so if the
 * oldest request is of another batch than the one answered last, it is not the one meant (the
 * implicit COMMIT failed, after all was answered). A fatal error answers at once, as no
 * ReadyForQuery follows; errors while nothing is in flight are nobody's.
 *
 * The server's answer to a request for encryption is one byte, 'S', 'N' or 'G', all of which are
 * types of messages too. It is held until there is more. After 'N' comes a message whose type makes
 * an absurd length; after the others it is the client who goes on, with bytes that are clearly no
 * startup packet, so that the request side tells of the stream.
 *
 * Not seen: that the implicit COMMIT of an answered Execute fails; fatal errors of servers that say
 * so in another script than Latin; names of Executes that fail.
 *
 * Cost: 60 ns a request and its answer by Query, 90 ns by Parse, Bind, Execute and Sync; 4 ns each
 * row more.
 */
#ifndef TRIMTAB_REQUEST_POSTGRESQL_H
#define TRIMTAB_REQUEST_POSTGRESQL_H

#include "request_postgresql_messages.h"

#define PG_HOPS 16 /* messages passed over in one step */
#define PG_NAME 24 /* bytes of an operation's name; "REFRESH MATERIALIZED" has 20 */
#define PG_WORD 17 /* a first word is shorter */
#define PG_UPPER (0xdf * EACH_BYTE) /* makes letters upper case */
#define PG_TLS (0x16 | 3 << 8)

/* Goes n bytes on; those beyond the window are skipped. */
static __always_inline void postgresql_pass(struct request_work *w, __u32 n)
{
	if (n > unread(w)) {
		w->parser.skip = n - unread(w);
		n = unread(w);
	}
	w->at += n;
}

static __always_inline void postgresql_pass_message(struct request_work *w)
{
	postgresql_pass(w, PG_HEADER + postgresql_body(word_at(w, w->at)));
}

/* Passes over messages up to one that is of interest. The action for that one, w->at its beginning;
 * or, if the step is over, its event as a negative number. */
static __always_inline int postgresql_hop(struct request_work *w, const __u16 *kinds)
{
	__u32 at = w->at, end = w->end, kind, flags = w->parser.flags;
	int action = -REQUEST_MORE;

	for (int i = 0; i < PG_HOPS; i++) {
		__u64 header = word_at(w, at);
		__u32 body = postgresql_body(header);

		if (end - at < PG_HEADER) {
			action = at == end ? -REQUEST_MORE : -REQUEST_HOLD;
			break;
		}
		kind = kinds[(__u8)header];
		action = PG_ODD;
		if (!kind || body >> (kind & 31))
			break;
		flags |= kind >> 8;
		action = kind >> 5 & 7;
		if (action != PG_PASS)
			break;
		action = -REQUEST_MORE;
		at += PG_HEADER + body;
		if (at > end) {
			w->parser.skip = at - end;
			at = end;
			break;
		}
	}
	w->at = at;
	w->parser.flags = flags;
	return action;
}

/* The number of letters and underscores from i on, at most PG_NAME. */
static __always_inline __u32 postgresql_word(const struct request_work *w, __u32 i)
{
	__u64 word, stops;
	__u32 n = 0;

	for (; n < PG_NAME; n += 8) {
		word = word_at(w, i + n);
		stops = (~word | word >> 1) & 0x40 * EACH_BYTE; /* not 0x40 .. 0x7f */
		if (stops) {
			stops = ((stops & -stops) >> 6) - 1; /* the bytes before the first */
			return n + ((stops & EACH_BYTE) * EACH_BYTE >> 56);
		}
	}
	return n;
}

static __always_inline __u64 postgresql_first_bytes(__u64 word, __u32 n)
{
	return n >= 8 ? word : word & ((1ULL << 8 * n) - 1);
}

/* --- requests */

static __always_inline void postgresql_batch_ends(struct request_work *w)
{
	w->parser.flags = 0;
	w->parser.count++;
}

static __always_inline int postgresql_began(struct request_work *w, __u64 name, __u32 flags)
{
	set_name(w, name, 0);
	w->flags = flags;
	w->channel = w->parser.count;
	postgresql_pass_message(w);
	if (flags & REQUEST_BEGAN_SYNC)
		postgresql_batch_ends(w);
	return REQUEST_BEGAN;
}

/* The statement's first word, for when its answer does not tell more: an error. What begins with a
 * comment has none. */
static __always_inline int postgresql_query(struct request_work *w)
{
	__u32 text = w->at + PG_HEADER, n = postgresql_body(word_at(w, w->at)), letters;
	__u64 first, second = 0;

	if (unread(w) < PG_HEADER + (n < PG_WORD ? n : PG_WORD))
		return REQUEST_HOLD;
	letters = postgresql_word(w, text);
	first = postgresql_first_bytes(word_at(w, text), letters);
	if (letters > 8)
		second = postgresql_first_bytes(word_at(w, text + 8), letters - 8);
	if (letters >= PG_WORD || letters >= n)
		first = second = 0;
	postgresql_began(w, 0, REQUEST_BEGAN_SYNC);
	set_name(w, first & PG_UPPER, second & PG_UPPER);
	return REQUEST_BEGAN;
}

/* Mostly a Sync comes right behind: taking it here saves a step. */
static __always_inline int postgresql_execute(struct request_work *w)
{
	const __u64 sync = NAME8('S', 0, 0, 0, 4, 0, 0, 0), mask = (1ULL << 8 * PG_HEADER) - 1;

	postgresql_began(w, 0, 0);
	if (unread(w) >= PG_HEADER && (word_at(w, w->at) & mask) == sync) {
		w->at += PG_HEADER;
		postgresql_batch_ends(w);
	}
	return REQUEST_BEGAN;
}

static __always_inline int postgresql_sync(struct request_work *w)
{
	__u32 flags = w->parser.flags;

	if (!(flags & PG_EXECUTES) && flags & (PG_PREPARES | PG_DESCRIBES))
		return postgresql_began(w,
					flags & PG_PREPARES
					    ? NAME8('P', 'R', 'E', 'P', 'A', 'R', 'E', 0)
					    : NAME8('D', 'E', 'S', 'C', 'R', 'I', 'B', 'E'),
					REQUEST_BEGAN_SYNC);
	w->at += PG_HEADER;
	postgresql_batch_ends(w);
	return REQUEST_MORE;
}

/* What is no message may be a packet of the startup, without a type, or what follows a request for
 * encryption that was granted: TLS records, packets of GSSAPI. */
static __always_inline int postgresql_startup(struct request_work *w)
{
	__u64 bytes = word_at(w, w->at);
	__u32 length = __builtin_bswap32(bytes), state = w->parser.state, next;

	if (state == PG_STARTED)
		return REQUEST_BROKEN;
	if (bytes & 0xff)
		return state == PG_ASKED && (bytes & 0xffff) == PG_TLS ? REQUEST_STREAM
								       : REQUEST_BROKEN;
	if (unread(w) < PG_PACKET)
		return REQUEST_HOLD;
	next = postgresql_packet(length, __builtin_bswap32(bytes >> 32));
	if (next == PG_FIRST)
		return state == PG_ASKED ? REQUEST_STREAM : REQUEST_BROKEN;
	w->parser.state = next;
	if (next == PG_STARTED)
		postgresql_batch_ends(w); /* it has a ReadyForQuery of its own */
	postgresql_pass(w, length);
	return REQUEST_MORE;
}

static __always_inline int postgresql_request_step(struct request_work *w)
{
	int action = postgresql_hop(w, postgresql_requests);

	if (action == PG_QUERY)
		return postgresql_query(w);
	if (action == PG_EXECUTE)
		return postgresql_execute(w);
	if (action == PG_SYNC)
		return postgresql_sync(w);
	if (action == PG_CALL)
		return postgresql_began(w, NAME8('F', 'A', 'S', 'T', 'P', 'A', 'T', 'H'),
					REQUEST_BEGAN_SYNC);
	return action == PG_ODD ? postgresql_startup(w) : -action;
}

/* --- answers */

/* An answer in w->name; those of a Query come at its end. */
static __always_inline int postgresql_answered(struct request_work *w, __u16 outcome)
{
	w->outcome = outcome;
	w->class = 0;
	w->multiple = !!(w->parser.flags & PG_DONE);
	w->parser.flags |= PG_DONE;
	return REQUEST_ANSWERED;
}

/* A statement was completed, its name is in w->name. */
static __always_inline int postgresql_completed(struct request_work *w)
{
	postgresql_pass_message(w);
	if (w->parser.flags & PG_EXECUTES)
		return postgresql_answered(w, REQUEST_OK);
	if (w->parser.flags & PG_COMPLETED)
		return REQUEST_MORE;
	w->parser.flags |= PG_COMPLETED;
	return REQUEST_NAMED;
}

/* The name is the first word at i, or the first two: "SELECT" of "SELECT 5", "CREATE TABLE". */
static __always_inline void postgresql_name(struct request_work *w, __u32 i)
{
	__u32 n = postgresql_word(w, i), more;
	__u64 first = word_at(w, i), second = 0;

	if (n + 1 < PG_NAME && byte_at(w, i + n) == ' ') {
		more = postgresql_word(w, i + n + 1);
		if (more)
			n += 1 + more;
	}
	if (n > 8)
		second = postgresql_first_bytes(word_at(w, i + 8), n - 8);
	set_name(w, postgresql_first_bytes(first, n), second);
	if (n > 16) {
		w->name.word[2] = postgresql_first_bytes(word_at(w, i + 16), n - 16);
		w->hash = hash_word(w->hash, w->name.word[2]);
	}
}

static __always_inline int postgresql_complete(struct request_work *w)
{
	__u32 text = w->at + PG_HEADER, n = postgresql_body(word_at(w, w->at));

	if (unread(w) < PG_HEADER + (n < PG_NAME ? n : PG_NAME))
		return REQUEST_HOLD;
	if (!n || (n <= PG_NAME && byte_at(w, text + n - 1)))
		return REQUEST_BROKEN;
	if ((w->parser.flags & (PG_COMPLETED | PG_EXECUTES)) != PG_COMPLETED)
		postgresql_name(w, text);
	return postgresql_completed(w);
}

static __always_inline int postgresql_error(struct request_work *w)
{
	const __u64 mask = (1ULL << 56) - 1;
	__u32 n = postgresql_body(word_at(w, w->at));
	__u64 severity = word_at(w, w->at + PG_HEADER) & mask;
	_Bool fatal = n >= 7 && (severity == NAME8('S', 'F', 'A', 'T', 'A', 'L', 0, 0) ||
				 severity == NAME8('S', 'P', 'A', 'N', 'I', 'C', 0, 0));

	if (unread(w) < PG_HEADER + (n < 7 ? n : 7))
		return REQUEST_HOLD;
	postgresql_pass_message(w);
	if (!w->in_flight)
		return REQUEST_MORE;
	if (!fatal) {
		w->parser.flags |= PG_FAILED;
		return REQUEST_MORE;
	}
	set_name(w, 0, 0);
	return postgresql_answered(w, REQUEST_ERROR);
}

/* Up to two events: it is passed over with the last one. */
static __always_inline int postgresql_ready(struct request_work *w)
{
	__u32 flags = w->parser.flags, status = byte_at(w, w->at + PG_HEADER);

	if (unread(w) < PG_HEADER + 1)
		return REQUEST_HOLD;
	if (postgresql_body(word_at(w, w->at)) != 1 ||
	    (status != 'I' && status != 'T' && status != 'E'))
		return REQUEST_BROKEN;
	w->parser.state = PG_STARTED;
	if (flags & (PG_FAILED | PG_COMPLETED) ||
	    (flags & (PG_PREPARES | PG_DONE)) == PG_PREPARES) {
		set_name(w, 0, 0);
		postgresql_answered(w, flags & PG_FAILED ? REQUEST_ERROR : REQUEST_OK);
		w->parser.flags = 0;
		return REQUEST_ANSWERED;
	}
	w->parser.flags = 0;
	w->at += PG_HEADER + 1;
	return REQUEST_SYNCED;
}

/* No message: before the first one it may be the answer to a request for encryption. */
static __always_inline int postgresql_encryption(struct request_work *w)
{
	__u8 answer = byte_at(w, w->at);

	if (w->parser.state == PG_STARTED)
		return REQUEST_BROKEN;
	if (answer == 'S' || answer == 'G')
		return REQUEST_STREAM;
	if (answer != 'N')
		return REQUEST_BROKEN;
	w->at++;
	return REQUEST_MORE;
}

static __always_inline int postgresql_response_step(struct request_work *w)
{
	int action = postgresql_hop(w, postgresql_responses);

	switch (action) {
	case PG_COMPLETE:
		return postgresql_complete(w);
	case PG_READY:
		return postgresql_ready(w);
	case PG_ERROR:
		return postgresql_error(w);
	case PG_SUSPENDED:
		set_name(w, NAME8('S', 'E', 'L', 'E', 'C', 'T', 0, 0), 0);
		return postgresql_completed(w);
	case PG_NO_QUERY:
		set_name(w, NAME8('E', 'M', 'P', 'T', 'Y', 0, 0, 0), 0);
		return postgresql_completed(w);
	case PG_COPY_BOTH:
		return REQUEST_STREAM;
	case PG_ODD:
		return postgresql_encryption(w);
	}
	return -action;
}

#endif
