/* request_packet_order.bpf.h - the connections whose requests are seen in packets, and the order of
 * their segments. */
#ifndef TRIMTAB_REQUEST_PACKET_ORDER_BPF_H
#define TRIMTAB_REQUEST_PACKET_ORDER_BPF_H

#include "request_packet_work.bpf.h"

/* Forgets what is in flight. */
static __always_inline void forget(struct request_connection *c)
{
	c->done = c->begun;
	c->untracked_done = c->untracked;
	c->entry_head = c->entry_tail;
	c->stamp_head = c->stamp_tail;
	if (c->protocol == REQUEST_AMQP)
		__builtin_memset(c->keyed, 0, sizeof(c->keyed));
}

/* Passes over bytes that are not there. False if they would have been looked at: it begins anew. */
static __always_inline bool pass_missed(struct request_parser *parser, __u32 missed)
{
	if (!parser->held && parser->skip >= missed) {
		parser->skip -= missed;
		return true;
	}
	__builtin_memset(parser, 0, sizeof(*parser));
	return false;
}

static __always_inline enum request_flow flow_of(const struct request_connection *c, bool received)
{
	return received == (c->direction == TCP_INBOUND) ? FLOW_REQUESTS : FLOW_RESPONSES;
}

/* So many bytes of a direction were missed. */
static __always_inline void pass_gap(struct request_connection *c, enum request_flow flow,
				     __u32 missed)
{
	__u32 n = request_in_flight(c);

	if (pass_missed(&c->parser[flow], missed))
		return;
	if (c->following == FOLLOW_REQUESTS) {
		request_lose(REQUEST_LOST_GAP, n ? n : 1);
		forget(c);
		c->following = FOLLOW_UNKNOWN;
	}
	__builtin_memset(c->parser, 0, sizeof(c->parser));
}

/* Leaves of a segment what was not seen before. False: nothing. */
static __always_inline bool is_next(struct request_connection *c, enum request_flow flow,
				    struct segment *s)
{
	__u32 ahead = s->seq - c->next[flow], seen;

	if ((__s32)ahead > 0) {
		pass_gap(c, flow, ahead);
	} else {
		seen = -ahead;
		if (seen >= s->bytes)
			return false;
		s->offset += seen;
		s->bytes -= seen;
		s->seq += seen;
	}
	c->next[flow] = s->seq + s->bytes;
	return true;
}

/* Whether a segment ends the connection, or the server's part of it; not before what is missed. */
static __always_inline bool ends(const struct request_connection *c, const struct segment *s,
				 bool received)
{
	enum request_flow flow = flow_of(c, received);

	if (s->ends == ENDS_NONE || (s->ends == ENDS_ONE && flow != FLOW_RESPONSES))
		return false;
	return (__s32)(s->seq + s->bytes - c->next[flow]) <= 0;
}

/* What came first, if the connection is young, else whether its port is (or was) listened on. -1:
 * not known yet. */
static __always_inline int direction_of(struct bpf_sock *sk, struct bpf_tcp_sock *tp, bool received)
{
	if (received && !tp->data_segs_out)
		return TCP_INBOUND;
	if (!received && !tp->bytes_received)
		return TCP_OUTBOUND;
	if (!request_control.ports_known)
		return -1;
	return is_listened(sk->src_port) ? TCP_INBOUND : TCP_OUTBOUND;
}

/* Follows a socket whose next request begins at seq. */
static __always_inline struct request_connection *
follow(struct bpf_sock *sk, struct bpf_tcp_sock *tp, int direction, __u32 seq)
{
	struct request_connection *c = request_connect(sk);

	if (!c)
		return NULL;
	c->direction = direction;
	c->next[FLOW_REQUESTS] = seq;
	c->next[FLOW_RESPONSES] = direction == TCP_INBOUND ? tp->snd_nxt : tp->rcv_nxt;
	return c;
}

/* A socket that is not known yet: it is from the first request on. */
static __always_inline struct request_connection *meet(struct bpf_sock *sk, const struct segment *s,
						       bool received)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);
	int direction;

	if (!tp || s->seq != (received ? tp->rcv_nxt : tp->snd_nxt))
		return NULL; /* not in order: it has to begin with a request */
	direction = direction_of(sk, tp, received);
	if (direction < 0 || received != (direction == TCP_INBOUND) ||
	    (direction == TCP_OUTBOUND && !request_outbound))
		return NULL;
	return follow(sk, tp, direction, s->seq);
}

#endif
