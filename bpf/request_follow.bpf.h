/* request_follow.bpf.h - follows a connection's bytes through the parsers, for every way of seeing
 * requests. The includer defines int request_fill(struct request_work *), which brings the next
 * bytes of the call or packet into the window: the number of them, 0 if there are no more, -1 if
 * they cannot be read.
 */
#ifndef TRIMTAB_REQUEST_FOLLOW_BPF_H
#define TRIMTAB_REQUEST_FOLLOW_BPF_H

#include "request_count.bpf.h"
#include "request_redis.h"

#define REQUEST_STEPS_TURN 8 /* elements looked at in one turn */
#define REQUEST_TURNS 1024   /* of a call */

/* Each parser is a function that the verifier looks at once. */
#define REQUEST_STEP(protocol, flow)                                                               \
	__noinline int request_step_##protocol##_##flow(struct request_work *w)                    \
	{                                                                                          \
		return w ? protocol##_##flow##_step(w) : REQUEST_BROKEN;                           \
	}

REQUEST_STEP(redis, request)
REQUEST_STEP(redis, response)

static __always_inline int request_step(struct request_work *w, __u32 protocol,
					enum request_flow flow)
{
	switch (protocol << 1 | flow) {
	case REQUEST_REDIS << 1 | FLOW_REQUESTS:
		return request_step_redis_request(w);
	case REQUEST_REDIS << 1 | FLOW_RESPONSES:
		return request_step_redis_response(w);
	}
	return REQUEST_BROKEN;
}

static __always_inline int request_step_once(struct request_work *w, __u32 protocol,
					     enum request_flow flow)
{
	w->flags = 0;
	w->hash = 0;
	w->count = 1;
	return request_step(w, protocol, flow);
}

/* What protocol the first bytes of a connection tell: an enum request_protocol; -1: too few bytes;
 * -2: TLS; -3: HTTP/2. */
__noinline int request_recognise(struct request_work *w)
{
	int known;

	if (!w)
		return 0;
	known = redis_recognise(w);
	if (known)
		return known > 0 ? REQUEST_REDIS : -1;
	if (unread(w) >= 3 && byte_at(w, w->at) == 0x16 && byte_at(w, w->at + 1) == 3)
		return -2;
	if ((__u32)word_at(w, w->at) == ('P' | 'R' << 8 | 'I' << 16 | ' ' << 24))
		return -3;
	return 0;
}

/* Counts or remembers what was put together. */
__noinline int request_flush(struct request_connection *c, struct request_work *w)
{
	if (!c || !w || !w->batch_n)
		return 0;
	if (w->batch == REQUEST_BEGAN)
		request_push(c, w->batch_operation, w->batch_n, w->stamp);
	else
		request_pop(c, w, w->batch_n);
	w->batch_n = 0;
	return 0;
}

static __always_inline void request_began(struct request_connection *c, struct request_work *w)
{
	__u32 entry = request_operation_of(c, w);

	if (w->flags & REQUEST_BEGAN_SILENT) {
		request_count(c, w, entry, w->count, 0);
		return;
	}
	if (w->flags & REQUEST_BEGAN_UNTIMED)
		entry |= ENTRY_UNTIMED;
	if (w->batch_n && w->batch_operation != entry)
		request_flush(c, w);
	w->batch = REQUEST_BEGAN;
	w->batch_operation = entry;
	w->batch_n += w->count;
}

static __always_inline void request_answered(struct request_connection *c, struct request_work *w)
{
	__u32 outcome = w->outcome | w->class << 8;

	w->in_flight -= w->count < w->in_flight ? w->count : w->in_flight;
	if (w->batch_n && w->batch_operation != outcome) {
		__u16 class = w->class, now = w->outcome;

		w->outcome = w->batch_operation & 0xff;
		w->class = w->batch_operation >> 8;
		request_flush(c, w);
		w->outcome = now;
		w->class = class;
	}
	w->batch = REQUEST_ANSWERED;
	w->batch_operation = outcome;
	w->batch_n += w->count;
}

/* Takes the only event of a call, if it is one of the simple ones. */
static __always_inline bool request_take_only(struct request_connection *c, struct request_work *w,
					      int event)
{
	if (event == REQUEST_BEGAN && w->hash == c->hash && w->hash && !w->flags)
		request_push_run(c, c->operation, w->count, w->stamp);
	else if (event == REQUEST_ANSWERED && !w->hash)
		request_pop_run(c, w, w->count);
	else
		return false;
	return true;
}

/* Takes an event; not 0: this call is done with, as with request_stop(). */
__noinline int request_take(struct request_connection *c, struct request_work *w, __u32 event)
{
	if (!c || !w)
		return 1;
	switch (event) {
	case REQUEST_BEGAN:
		request_began(c, w);
		return 0;
	case REQUEST_ANSWERED:
		request_answered(c, w);
		return 0;
	}
	return 1;
}

static __always_inline void request_stop(struct request_connection *c, enum request_lost reason)
{
	c->following = FOLLOW_NOTHING;
	if (reason < REQUEST_LOST_REASONS)
		request_lose(reason, 1);
}

/* A few elements. Not 0: there are no more, or they are of no interest. */
__noinline int request_turn(struct request_connection *c, struct request_work *w, __u32 flow)
{
	int event, n;

	if (!c || !w)
		return 1;
	for (int i = 0; i < REQUEST_STEPS_TURN; i++) {
		if (w->at >= w->end || w->held) {
			w->held = 0;
			n = request_fill(w);
			if (n < 0)
				request_stop(c, REQUEST_LOST_MEMORY);
			if (n <= 0)
				return 1;
		}
		window_skip(w);
		if (w->at >= w->end)
			continue;
		event = request_step_once(w, c->protocol, flow);
		w->held = event == REQUEST_HOLD;
		if (event == REQUEST_MORE || event == REQUEST_HOLD)
			continue;
		if (event == REQUEST_REST) {
			w->at = w->end;
			return 1;
		}
		if (event == REQUEST_STREAM || event == REQUEST_BROKEN) {
			request_stop(c, event == REQUEST_BROKEN ? REQUEST_LOST_SYNC
								: REQUEST_LOST_REASONS);
			return 1;
		}
		request_take(c, w, event);
		if (w->at >= w->end && !w->total)
			return 1;
	}
	return 0;
}

/* All that a call or packet brought in one direction of a connection whose protocol is known. */
static __always_inline void request_follow(struct request_connection *c, struct request_work *w,
					   enum request_flow flow)
{
	int i;

	w->held = 0;
	for (i = 0; i < REQUEST_TURNS; i++)
		if (request_turn(c, w, flow))
			break;
	if (i == REQUEST_TURNS)
		request_stop(c, REQUEST_LOST_LONG);
	if (w->batch_n && w->batch == REQUEST_BEGAN)
		request_push_run(c, w->batch_operation, w->batch_n, w->stamp);
	else if (w->batch_n)
		request_pop_run(c, w, w->batch_n);
	if (!window_end(w, c->held[flow]))
		request_stop(c, REQUEST_LOST_SYNC);
	c->parser[flow] = w->parser;
}

#endif
