/* request_amqp.h - the parser of AMQP 0-9-1, as RabbitMQ speaks it.
 *
 * A direction is a row of frames: type, channel, size, payload and an end byte, which is checked,
 * so that bytes which are something else are found. Only method frames are looked into, and of
 * those few; content is passed over. Both directions bring both halves of requests: a publish
 * begins in the client's bytes and is answered in the server's, a delivery the other way round.
 *
 * What a step found is kept apart by channel and tag: bpf/request_amqp_flight.h has the accounting
 * and takes every REQUEST_BEGAN and REQUEST_ACKED. AMQP 1.0 is another protocol.
 *
 * Cost: a publish with its content is one step of about 80 instructions.
 */
#ifndef TRIMTAB_REQUEST_AMQP_H
#define TRIMTAB_REQUEST_AMQP_H

#include "request_amqp_flight.h"

enum { AMQP_FRAME, AMQP_FRAME_END, AMQP_STRINGS, AMQP_FIELD }; /* parser.state */

enum amqp_frame_type {
	AMQP_TYPE_METHOD = 1,
	AMQP_TYPE_HEADER = 2,
	AMQP_TYPE_BODY = 3,
	AMQP_TYPE_HEARTBEAT = 8,
};

#define AMQP_TYPES                                                                                 \
	(1u << AMQP_TYPE_METHOD | 1u << AMQP_TYPE_HEADER | 1u << AMQP_TYPE_BODY |                  \
	 1u << AMQP_TYPE_HEARTBEAT)
#define AMQP_PROTOCOL NAME8('A', 'M', 'Q', 'P', 0, 0, 9, 1)
#define AMQP_END 0xce
#define AMQP_HEADER 7  /* bytes before the payload */
#define AMQP_METHOD 11 /* ... and class and method */
#define AMQP_SIZE_MAX (1u << 30)
#define AMQP_SIZE_LIKELY (1u << 20) /* of what is taken for AMQP */
#define AMQP_FRAMES 4		    /* frames passed over in one step */

#define AMQP_ID(class, method) ((class) << 16 | (method))
#define AMQP_CONNECTION_CLOSE AMQP_ID(10, 50)
#define AMQP_CHANNEL_OPEN AMQP_ID(20, 10)
#define AMQP_CHANNEL_CLOSE AMQP_ID(20, 40)
#define AMQP_CHANNEL_CLOSE_OK AMQP_ID(20, 41)
#define AMQP_BASIC_CONSUME AMQP_ID(60, 20)
#define AMQP_BASIC_PUBLISH AMQP_ID(60, 40)
#define AMQP_BASIC_RETURN AMQP_ID(60, 50)
#define AMQP_BASIC_DELIVER AMQP_ID(60, 60)
#define AMQP_BASIC_GET AMQP_ID(60, 70)
#define AMQP_BASIC_GET_OK AMQP_ID(60, 71)
#define AMQP_BASIC_GET_EMPTY AMQP_ID(60, 72)
#define AMQP_BASIC_ACK AMQP_ID(60, 80)
#define AMQP_BASIC_REJECT AMQP_ID(60, 90)
#define AMQP_BASIC_RECOVER_OK AMQP_ID(60, 111)
#define AMQP_BASIC_NACK AMQP_ID(60, 120)
#define AMQP_CONFIRM_SELECT AMQP_ID(85, 10)

/* What is known of a method, next to AMQP_WHAT's bits: what its arguments are, behind the strings.
 */
#define AMQP_TAG (1u << 24)	 /* a delivery tag and a byte of bits */
#define AMQP_MULTIPLE (1u << 25) /* of these, the lowest says whether lower tags are meant too */
#define AMQP_REFUSES (1u << 26)	 /* the outcome is an error */
#define AMQP_BEGINS (1u << 27)
#define AMQP_STRING (1u << 28)	 /* a short string comes first */
#define AMQP_STRINGS2 (1u << 29) /* two bytes and two short strings do */

static __always_inline __u32 amqp_from_client(__u32 id)
{
	switch (id) {
	case AMQP_BASIC_PUBLISH:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_PUBLISH) | AMQP_BEGINS;
	case AMQP_BASIC_GET:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_GET) | AMQP_BEGINS;
	case AMQP_BASIC_ACK:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_DELIVER) | AMQP_TAG | AMQP_MULTIPLE;
	case AMQP_BASIC_NACK:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_DELIVER) | AMQP_TAG | AMQP_MULTIPLE |
		       AMQP_REFUSES;
	case AMQP_BASIC_REJECT:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_DELIVER) | AMQP_TAG | AMQP_REFUSES;
	case AMQP_BASIC_CONSUME:
		return AMQP_WHAT(AMQP_CONSUMES, AMQP_DELIVER) | AMQP_STRINGS2;
	case AMQP_CONFIRM_SELECT:
		return AMQP_WHAT(AMQP_SELECTS, AMQP_PUBLISH);
	case AMQP_CHANNEL_OPEN:
	case AMQP_CHANNEL_CLOSE_OK:
		return AMQP_WHAT(AMQP_FREES, 0);
	}
	return 0;
}

static __always_inline __u32 amqp_from_server(__u32 id)
{
	switch (id) {
	case AMQP_BASIC_ACK:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_PUBLISH) | AMQP_TAG | AMQP_MULTIPLE;
	case AMQP_BASIC_DELIVER:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_DELIVER) | AMQP_TAG | AMQP_BEGINS | AMQP_STRING;
	case AMQP_BASIC_NACK:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_PUBLISH) | AMQP_TAG | AMQP_MULTIPLE |
		       AMQP_REFUSES;
	case AMQP_BASIC_GET_OK:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_GET) | AMQP_TAG;
	case AMQP_BASIC_GET_EMPTY:
		return AMQP_WHAT(AMQP_ANSWERS, AMQP_GET);
	case AMQP_BASIC_RETURN:
		return AMQP_WHAT(AMQP_RETURNS, AMQP_PUBLISH);
	case AMQP_BASIC_RECOVER_OK:
		return AMQP_WHAT(AMQP_RECOVERS, AMQP_DELIVER);
	case AMQP_CHANNEL_CLOSE:
		return AMQP_WHAT(AMQP_FAILS, 0) | AMQP_REFUSES;
	case AMQP_CHANNEL_CLOSE_OK:
		return AMQP_WHAT(AMQP_FREES, 0);
	}
	return 0;
}

static __always_inline _Bool amqp_is_type(__u32 type)
{
	return type <= AMQP_TYPE_HEARTBEAT && AMQP_TYPES >> type & 1;
}

/* Passes over the next n bytes, which are the rest of a frame but for its end. */
static __always_inline void amqp_to_end(struct request_work *w, __u32 n)
{
	w->parser.skip = n;
	w->parser.state = AMQP_FRAME_END;
}

/* Tells what was found; `field` is where the arguments behind the strings are. */
static __always_inline int amqp_found(struct request_work *w, __u32 what, __u32 channel,
				      __u32 field)
{
	__u32 bits = 0;

	w->tag = 0;
	if (what & AMQP_TAG) {
		w->tag = __builtin_bswap64(word_at(w, field));
		bits = what & AMQP_MULTIPLE ? byte_at(w, field + 8) : 0;
	} else if (what & AMQP_STRINGS2) {
		bits = byte_at(w, field) >> 1; /* basic.consume's no-ack */
	}
	w->multiple = bits & 1;
	w->channel = channel;
	w->class = 0;
	w->outcome = what & AMQP_REFUSES ? REQUEST_ERROR : REQUEST_OK;
	w->flags = what & AMQP_WHAT_MASK;
	amqp_name(w, what >> AMQP_KIND_SHIFT & AMQP_KIND);
	return what & AMQP_BEGINS ? REQUEST_BEGAN : REQUEST_ACKED;
}

/* Bytes of the field that amqp_found() reads. */
static __always_inline __u32 amqp_field_bytes(__u32 what)
{
	return what & AMQP_TAG ? 9 : what & AMQP_STRINGS2 ? 1 : 0;
}

/* A method whose strings are not all in the window: they are passed over one after the other. */
static __always_inline int amqp_strings(struct request_work *w)
{
	__u32 n = byte_at(w, w->at) + 1;

	if (n > w->parser.left)
		return REQUEST_BROKEN;
	w->parser.left -= n;
	w->parser.skip = n;
	if (!--w->parser.count)
		w->parser.state = AMQP_FIELD;
	return REQUEST_MORE;
}

static __always_inline int amqp_field(struct request_work *w)
{
	__u32 what = w->parser.word[0], need = amqp_field_bytes(what), field = w->at;

	if (w->parser.left < need)
		return REQUEST_BROKEN;
	if (unread(w) < need)
		return REQUEST_HOLD;
	w->at += need;
	amqp_to_end(w, w->parser.left - need);
	return amqp_found(w, what, w->parser.word[1], field);
}

static __always_inline int amqp_begin_strings(struct request_work *w, __u32 what, __u32 channel,
					      __u32 size)
{
	__u32 before = what & AMQP_STRINGS2 ? AMQP_METHOD + 2 : AMQP_METHOD;

	if (size + AMQP_HEADER < before)
		return REQUEST_BROKEN;
	if (unread(w) < before)
		return REQUEST_HOLD;
	w->at += before;
	w->parser.left = size + AMQP_HEADER - before;
	w->parser.count = what & AMQP_STRINGS2 ? 2 : 1;
	w->parser.state = AMQP_STRINGS;
	w->parser.word[0] = what;
	w->parser.word[1] = channel;
	return REQUEST_MORE;
}

/* A method of interest begins at `at`, and its class and method are there. */
static __always_inline int amqp_method(struct request_work *w, __u32 what, __u32 channel,
				       __u32 size)
{
	__u32 field = AMQP_METHOD, need;

	if (what & AMQP_STRINGS2)
		return amqp_begin_strings(w, what, channel, size);
	if (what & AMQP_STRING) {
		field += byte_at(w, w->at + AMQP_METHOD) + 1;
		if (unread(w) <= AMQP_METHOD || unread(w) < field + 9)
			return amqp_begin_strings(w, what, channel, size);
	}
	need = field + amqp_field_bytes(what);
	if (size + AMQP_HEADER < need)
		return REQUEST_BROKEN;
	if (unread(w) < need)
		return REQUEST_HOLD;
	field += w->at;
	w->at += need;
	amqp_to_end(w, size + AMQP_HEADER - need);
	return amqp_found(w, what, channel, field);
}

/* connection.close from the server: an error by its code, of all channels. */
static __always_inline int amqp_connection_close(struct request_work *w, __u32 size)
{
	if (size < 6)
		return REQUEST_BROKEN;
	if (unread(w) < AMQP_METHOD + 2)
		return REQUEST_HOLD;
	if (be16_at(w, w->at + AMQP_METHOD) >= 300)
		return amqp_method(w, AMQP_WHAT(AMQP_FAILS, 0) | AMQP_REFUSES, 0, size);
	amqp_to_end(w, AMQP_HEADER + size);
	return REQUEST_MORE;
}

/* What begins at `at` is no frame. */
static __always_inline int amqp_protocol(struct request_work *w, __u64 head)
{
	if ((head ^ AMQP_PROTOCOL) << 8)
		return REQUEST_BROKEN;
	if (unread(w) < 8)
		return REQUEST_HOLD;
	if (head != AMQP_PROTOCOL)
		return REQUEST_BROKEN;
	w->at += 8;
	return REQUEST_MORE;
}

/* Passes over frames of no interest. -1: a method's begins at `at`, and its class and method are
 * there. */
static __always_inline int amqp_frames(struct request_work *w)
{
	__u32 type, size;
	__u64 head;

	for (int i = 0; i < AMQP_FRAMES; i++) {
		if (w->parser.state == AMQP_FRAME_END) {
			if (byte_at(w, w->at) != AMQP_END)
				return REQUEST_BROKEN;
			w->at++;
			w->parser.state = AMQP_FRAME;
		}
		if (unread(w) < AMQP_HEADER)
			return unread(w) ? REQUEST_HOLD : REQUEST_MORE;
		head = word_at(w, w->at);
		type = head & 0xff;
		size = __builtin_bswap32(head >> 24);
		if (!amqp_is_type(type))
			return amqp_protocol(w, head);
		if (size > AMQP_SIZE_MAX || (type == AMQP_TYPE_METHOD && size < 4))
			return REQUEST_BROKEN;
		if (type == AMQP_TYPE_METHOD)
			return unread(w) < AMQP_METHOD ? REQUEST_HOLD : -1;
		amqp_to_end(w, AMQP_HEADER + size);
		if (w->parser.skip >= unread(w))
			return REQUEST_MORE;
		w->at += w->parser.skip;
		w->parser.skip = 0;
	}
	return REQUEST_MORE;
}

static __always_inline int amqp_step(struct request_work *w, _Bool server)
{
	__u32 size, id, what;
	__u64 head;
	int event;

	if (w->parser.state == AMQP_STRINGS)
		return amqp_strings(w);
	if (w->parser.state == AMQP_FIELD)
		return amqp_field(w);
	event = amqp_frames(w);
	if (event >= 0)
		return event;
	head = word_at(w, w->at);
	size = __builtin_bswap32(head >> 24);
	id = be32_at(w, w->at + AMQP_HEADER);
	if (server && id == AMQP_CONNECTION_CLOSE)
		return amqp_connection_close(w, size);
	what = server ? amqp_from_server(id) : amqp_from_client(id);
	if (what)
		return amqp_method(w, what, __builtin_bswap16(head >> 8), size);
	amqp_to_end(w, AMQP_HEADER + size);
	return REQUEST_MORE;
}

static __always_inline int amqp_request_step(struct request_work *w)
{
	return amqp_step(w, 0);
}

static __always_inline int amqp_response_step(struct request_work *w)
{
	return amqp_step(w, 1);
}

static __always_inline _Bool amqp_is_class(__u32 class)
{
	return class == 10 || class == 20 || class == 40 || class == 50 || class == 60 ||
	       class == 85 || class == 90;
}

/* Whether the bytes of a payload that are there, four at least, begin one. */
static __always_inline _Bool amqp_likely(__u32 type, __u32 channel, __u32 size, __u32 id)
{
	__u32 class = id >> 16, method = id & 0xffff;

	if (type == AMQP_TYPE_HEADER)
		return channel && size >= 14 && id == AMQP_ID(60, 0);
	return size >= 4 && amqp_is_class(class) && !channel == (class == 10) && method >= 10 &&
	       method <= 121;
}

/* 1: AMQP 0-9-1, from its beginning or from the beginning of a frame on; 0: not; -1: too few bytes.
 * A body counts only if its end is there too. */
static __always_inline int amqp_recognise(const struct request_work *w)
{
	__u64 head = word_at(w, w->at), mask;
	__u32 n = unread(w), type = head & 0xff, channel = __builtin_bswap16(head >> 8),
	      size = __builtin_bswap32(head >> 24);

	if (type == 'A') {
		mask = n < 8 ? (1ULL << (8 * n)) - 1 : ~0ULL;
		return (head ^ AMQP_PROTOCOL) & mask ? 0 : n < 8 ? -1 : 1;
	}
	if (!amqp_is_type(type) || (n > 3 && head >> 24 & 0xff))
		return 0;
	if (n < AMQP_HEADER)
		return -1;
	if (size > AMQP_SIZE_LIKELY)
		return 0;
	if (n == AMQP_HEADER)
		return -1;
	if (n > AMQP_HEADER + size && byte_at(w, w->at + AMQP_HEADER + size) != AMQP_END)
		return 0;
	if (type == AMQP_TYPE_HEARTBEAT)
		return !channel && !size;
	if (type == AMQP_TYPE_BODY)
		return channel && n > AMQP_HEADER + size;
	if (n < AMQP_METHOD)
		return -1;
	return amqp_likely(type, channel, size, be32_at(w, w->at + AMQP_HEADER));
}

#endif
