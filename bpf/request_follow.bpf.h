/* request_follow.bpf.h - follows a connection's bytes through the parsers, for every way of seeing
 * requests. The includer defines int request_fill(struct request_work *) (or else what REQUEST_FILL
 * is), which brings the next bytes of the call or packet into the window: the number of them, 0 if
 * there are no more, -1 if they cannot be read.
 */
#ifndef TRIMTAB_REQUEST_FOLLOW_BPF_H
#define TRIMTAB_REQUEST_FOLLOW_BPF_H

#include "request_count.bpf.h"
#include "request_amqp.h"
#include "request_amqp_flight.h"
#include "request_http.h"
#include "request_postgresql.h"
#include "request_redis.h"

#ifndef REQUEST_FILL
#define REQUEST_FILL request_fill(w)
#endif
#ifndef REQUEST_LOOK
#define REQUEST_LOOK(c, w, flow) /* what else is done with the next element */
#endif

#define REQUEST_STEPS_TURN 8 /* elements looked at in one turn */
#define REQUEST_TURNS 1024   /* of a call */

/* Each parser is a function that the verifier looks at once. */
#define REQUEST_STEP(protocol, flow)                                                               \
	__noinline int request_step_##protocol##_##flow(REQUEST_W_PARAM)                           \
	{                                                                                          \
		REQUEST_FIND_W(REQUEST_BROKEN)                                                     \
		return protocol##_##flow##_step(w);                                                \
	}

REQUEST_STEP(http, request)
REQUEST_STEP(http, response)
REQUEST_STEP(redis, request)
REQUEST_STEP(redis, response)
REQUEST_STEP(postgresql, request)
REQUEST_STEP(postgresql, response)
REQUEST_STEP(amqp, request)
REQUEST_STEP(amqp, response)

static __always_inline int request_step(struct request_work *w, __u32 protocol,
					enum request_flow flow)
{
	switch (protocol << 1 | flow) {
	case REQUEST_HTTP << 1 | FLOW_REQUESTS:
		return request_step_http_request(REQUEST_W);
	case REQUEST_HTTP << 1 | FLOW_RESPONSES:
		return request_step_http_response(REQUEST_W);
	case REQUEST_POSTGRESQL << 1 | FLOW_REQUESTS:
		return request_step_postgresql_request(REQUEST_W);
	case REQUEST_POSTGRESQL << 1 | FLOW_RESPONSES:
		return request_step_postgresql_response(REQUEST_W);
	case REQUEST_AMQP << 1 | FLOW_REQUESTS:
		return request_step_amqp_request(REQUEST_W);
	case REQUEST_AMQP << 1 | FLOW_RESPONSES:
		return request_step_amqp_response(REQUEST_W);
	case REQUEST_REDIS << 1 | FLOW_REQUESTS:
		return request_step_redis_request(REQUEST_W);
	case REQUEST_REDIS << 1 | FLOW_RESPONSES:
		return request_step_redis_response(REQUEST_W);
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

#define REQUEST_RECOGNISE(protocol)                                                                \
	__noinline int request_recognise_##protocol(REQUEST_W_PARAM)                               \
	{                                                                                          \
		REQUEST_FIND_W(0)                                                                  \
		return protocol##_recognise(w);                                                    \
	}

REQUEST_RECOGNISE(http)
REQUEST_RECOGNISE(redis)
REQUEST_RECOGNISE(postgresql)
REQUEST_RECOGNISE(amqp)

/* A record of the handshake. */
static __always_inline bool request_is_tls(const struct request_work *w)
{
	return be16_at(w, w->at) == 0x1603 && unread(w) > 2;
}

/* What the first bytes of a connection tell: an enum request_protocol (REQUEST_NONE: none of them),
 * or one of these. */
enum { RECOGNISE_MORE = -1, RECOGNISE_TLS = -2, RECOGNISE_HTTP2 = -3 };

static __always_inline int request_recognise(struct request_work *w)
{
	__u32 head = word_at(w, w->at);
	int http, redis, postgresql, amqp;

	if (request_is_tls(w))
		return RECOGNISE_TLS;
	if (head == ('P' | 'R' << 8 | 'I' << 16 | ' ' << 24) && unread(w) > 3)
		return RECOGNISE_HTTP2;
	http = request_recognise_http(REQUEST_W);
	if (http > 0)
		return REQUEST_HTTP;
	redis = request_recognise_redis(REQUEST_W);
	if (redis > 0)
		return REQUEST_REDIS;
	postgresql = request_recognise_postgresql(REQUEST_W);
	if (postgresql > 0)
		return REQUEST_POSTGRESQL;
	amqp = request_recognise_amqp(REQUEST_W);
	if (amqp > 0)
		return REQUEST_AMQP;
	return http < 0 || redis < 0 || postgresql < 0 || amqp < 0 ? RECOGNISE_MORE : REQUEST_NONE;
}

/* Counts or remembers what was put together. */
__noinline int request_flush(REQUEST_C_PARAM, REQUEST_W_PARAM)
{
	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	if (!w->batch_n)
		return 0;
	if (w->batch == REQUEST_BEGAN)
		request_push(REQUEST_C, w->batch_operation, w->batch_n, w->batch_stamp);
	else
		request_pop(REQUEST_C, REQUEST_W, w->batch_n, w->batch_operation);
	w->batch_n = 0;
	return 0;
}

/* Puts n of an event together with those before it that are alike. */
static __always_inline void request_batch(REQUEST_PARAMS, __u32 event, __u32 operation, __u64 stamp)
{
	if (w->batch_n &&
	    (w->batch != event || w->batch_operation != operation || w->batch_stamp != stamp))
		request_flush(REQUEST_C, REQUEST_W);
	w->batch = event;
	w->batch_operation = operation;
	w->batch_stamp = stamp;
	w->batch_n += w->count;
}

static __always_inline void request_began(REQUEST_PARAMS)
{
	__u32 operation = request_operation_of(REQUEST_BOTH);
	__u64 stamp = w->stamp;

	if (w->flags & REQUEST_BEGAN_SILENT) {
		request_count(REQUEST_C, REQUEST_W, operation, w->count, 0);
		return;
	}
	if (w->flags & REQUEST_BEGAN_UNTIMED)
		operation |= ENTRY_UNTIMED;
	if (c->protocol == REQUEST_POSTGRESQL)
		stamp |= (__u64)(__u8)w->channel << STAMP_SYNC_SHIFT;
	request_batch(REQUEST_BOTH, REQUEST_BEGAN, operation, stamp);
}

static __always_inline void request_answered(REQUEST_PARAMS)
{
	w->in_flight -= w->count < w->in_flight ? w->count : w->in_flight;
	if (c->protocol == REQUEST_POSTGRESQL && w->multiple && !request_is_synced(c))
		return; /* a second answer, to what is answered already */
	if (!w->hash) {
		request_batch(REQUEST_BOTH, REQUEST_ANSWERED, request_result(w), 0);
		return;
	}
	request_flush(REQUEST_C, REQUEST_W);
	c->named = request_operation_of(REQUEST_BOTH);
	request_pop(REQUEST_C, REQUEST_W, w->count, request_result(w));
}

_Static_assert(sizeof(struct request_amqp_answers) <= sizeof(((struct request_work *)0)->scratch),
	       "the work has room for them");

/* AMQP: finds what was answered, by channel and tag. */
__noinline int request_acked_find(REQUEST_C_PARAM, REQUEST_W_PARAM)
{
	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	__builtin_memset(w->scratch, 0, sizeof(w->scratch));
	amqp_end((struct request_amqp *)c->keyed, w, (struct request_amqp_answers *)w->scratch);
	return 0;
}

static __always_inline void request_acked_run(REQUEST_PARAMS, __u32 n, __u32 *errors, __u64 stamp)
{
	__u32 failed = *errors < n ? *errors : n, operation;

	if (!n)
		return;
	operation = request_operation_of(REQUEST_BOTH);
	if (!stamp && (w->flags >> AMQP_OP_SHIFT & 7) != AMQP_FAILS)
		request_lose(REQUEST_LOST_DEPTH, n);
	*errors -= failed;
	w->outcome = REQUEST_ERROR;
	if (failed)
		request_count(REQUEST_C, REQUEST_W, operation, failed, stamp);
	w->outcome = REQUEST_OK;
	if (n > failed)
		request_count(REQUEST_C, REQUEST_W, operation, n - failed, stamp);
}

/* ... and counts it. */
__noinline int request_acked_count(REQUEST_C_PARAM, REQUEST_W_PARAM)
{
	struct request_amqp_answers *answers;
	struct request_service_counts *s;

	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	answers = (struct request_amqp_answers *)w->scratch;
	for (int i = 0; i < AMQP_RUNS; i++)
		request_acked_run(REQUEST_BOTH, answers->run[i].n, &answers->errors,
				  answers->run[i].start_ns);
	request_acked_run(REQUEST_BOTH, answers->untimed, &answers->errors, 0);
	s = answers->dropped ? request_service_counts_of(c) : NULL;
	if (s)
		request_add(&s->unanswered, answers->dropped);
	return 0;
}

/* Deliveries begin where answers are seen, for which there is no stamp yet. */
static __always_inline void request_began_keyed(REQUEST_PARAMS)
{
	__u64 stamp = w->stamp;

	if ((w->flags >> AMQP_KIND_SHIFT & AMQP_KIND) == AMQP_DELIVER)
		stamp = stamp_make(w->now_ns, ARRIVAL_UNKNOWN, 0);
	if (!amqp_begin((struct request_amqp *)c->keyed, w, stamp))
		request_lose(REQUEST_LOST_DEPTH, 1);
	if (w->flags & REQUEST_BEGAN_SILENT)
		request_count(REQUEST_C, REQUEST_W, request_operation_of(REQUEST_BOTH), w->count,
			      0);
}

/* Takes an event that the parser saw. */
__noinline int request_take(REQUEST_C_PARAM, REQUEST_W_PARAM, __u32 event)
{
	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	switch (event) {
	case REQUEST_BEGAN:
		if (c->protocol == REQUEST_AMQP)
			request_began_keyed(REQUEST_BOTH);
		else
			request_began(REQUEST_BOTH);
		break;
	case REQUEST_NAMED:
		request_flush(REQUEST_C, REQUEST_W);
		c->named = request_operation_of(REQUEST_BOTH);
		break;
	case REQUEST_ANSWERED:
		request_answered(REQUEST_BOTH);
		break;
	case REQUEST_SYNCED:
		request_flush(REQUEST_C, REQUEST_W);
		request_drop_synced(REQUEST_BOTH);
		break;
	case REQUEST_ACKED:
		request_acked_find(REQUEST_C, REQUEST_W);
		request_acked_count(REQUEST_C, REQUEST_W);
		break;
	}
	return 0;
}

/* Takes the only event of a call, if it is one of the simple ones. */
static __always_inline bool request_take_only(REQUEST_PARAMS, int event)
{
	if (c->protocol >= REQUEST_POSTGRESQL)
		return false;
	if (event == REQUEST_BEGAN && w->hash == c->hash && w->hash && !w->flags)
		request_push_run(REQUEST_BOTH, c->operation, w->count, w->stamp);
	else if (event == REQUEST_ANSWERED && !w->hash)
		request_pop_run(REQUEST_BOTH, w->count, request_result(w));
	else
		return false;
	return true;
}

static __always_inline void request_stop(struct request_connection *c, enum request_lost reason)
{
	c->following = FOLLOW_NOTHING;
	if (reason < REQUEST_LOST_REASONS)
		request_lose(reason, 1);
}

/* A few elements. Not 0: there are no more, or they are of no interest. */
__noinline int request_turn(REQUEST_C_PARAM, REQUEST_W_PARAM, __u32 flow)
{
	int event, n;

	REQUEST_FIND_C(1)
	REQUEST_FIND_W(1)
	for (int i = 0; i < REQUEST_STEPS_TURN; i++) {
		if (w->at >= w->end || w->held) {
			w->held = 0;
			n = REQUEST_FILL;
			if (n < 0)
				request_stop(c, REQUEST_LOST_MEMORY);
			if (n <= 0)
				return 1;
		}
		window_skip(w);
		if (w->at >= w->end)
			continue;
		REQUEST_LOOK(c, w, flow);
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
			if (event == REQUEST_STREAM && request_is_tls(w))
				c->following = FOLLOW_TLS;
			w->at = w->end;
			return 1;
		}
		request_take(REQUEST_C, REQUEST_W, event);
		if (w->at >= w->end && !w->total)
			return 1;
	}
	return 0;
}

/* All that a call or packet brought in one direction of a connection whose protocol is known. */
static __always_inline void request_follow(REQUEST_PARAMS, enum request_flow flow)
{
	int i;

	w->held = 0;
	for (i = 0; i < REQUEST_TURNS; i++)
		if (request_turn(REQUEST_C, REQUEST_W, flow))
			break;
	if (i == REQUEST_TURNS)
		request_stop(c, REQUEST_LOST_LONG);
	if (w->batch_n && w->batch == REQUEST_BEGAN)
		request_push_run(REQUEST_BOTH, w->batch_operation, w->batch_n, w->batch_stamp);
	else if (w->batch_n)
		request_pop_run(REQUEST_BOTH, w->batch_n, w->batch_operation);
	if (!window_end(w, c->held[flow]))
		request_stop(c, REQUEST_LOST_SYNC);
	c->parser[flow] = w->parser;
}

#endif
