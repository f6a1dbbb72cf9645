/* request_packet.bpf.c - requests as packets carry them, for kernels that lack the tracepoints of
 * request.bpf.c, before Linux 6.3.
 *
 * Two programs at the root of cgroup2 see every packet of every socket. Of TCP's segments with
 * payload each is taken once and in order, by its sequence number: what was sent again is passed
 * over; where one is missed that cannot be passed over, what is in flight is forgotten and the
 * connection followed anew from a request that is recognised. A request begins with the arrival of
 * its last segment and ends as the first of its answer leaves, so the time before the server reads
 * it is within. Unix sockets are not seen.
 *
 * A connection's first segment may come before its socket is there (TCP_DEFER_ACCEPT,
 * TCP_FASTOPEN): its beginning is kept until the socket is met.
 *
 * Cost: a segment without payload costs a few loads of its headers.
 */
#include "request_packet_early.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define PASS 1
#define STATE_LISTEN 10
#define PACKET_FEW 64

/* All that is in the window and to come into it. */
__noinline int request_follow_segment(REQUEST_C_PARAM, REQUEST_W_PARAM, __u32 flow)
{
	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	w->batch_n = 0;
	request_follow(REQUEST_BOTH, flow & 1);
	return 0;
}

/* A connection of which no requests are known: not yet, or not at all. */
static __always_inline bool passed_unknown(REQUEST_PARAMS, enum request_flow flow)
{
	if (c->following >= FOLLOW_TLS)
		request_unseen(c->following - FOLLOW_TLS, w->total);
	if (c->following != FOLLOW_UNKNOWN)
		return false;
	if (flow == FLOW_RESPONSES) {
		if (!c->protocol)
			c->following = FOLLOW_NOTHING; /* the server speaks first */
		return false;
	}
	w->parser = c->parser[FLOW_REQUESTS];
	window_begin(w, c->held[FLOW_REQUESTS]);
	return REQUEST_FILL > 0 && request_meet(REQUEST_C, REQUEST_W);
}

static __always_inline void end_connection(struct request_connection *c)
{
	request_end(c);
	forget(c);
	c->following = FOLLOW_NOTHING;
}

/* A segment of few bytes that is one request or answer, or several alike: nearly all are. Of an
 * answer by HTTP only the head matters, if no other can follow. */
static __always_inline bool passed_few(REQUEST_PARAMS, enum request_flow flow)
{
	bool head = c->protocol == REQUEST_HTTP && flow == FLOW_RESPONSES && w->in_flight <= 1;
	__u64 n = w->total;
	int event;

	if (w->parser.held || w->parser.skip || (n > PACKET_FEW && !head))
		return false;
	if (n > PACKET_FEW)
		n = PACKET_FEW;
	if (!load(skb, w, n))
		return false;
	w->at = REQUEST_HELD;
	w->end = REQUEST_HELD + n;
	event = request_step_once(w, c->protocol, flow);
	if (event == REQUEST_REST ||
	    ((head || w->at >= w->end) && request_take_only(REQUEST_BOTH, event))) {
		c->parser[flow] = w->parser;
		return true;
	}
	w->parser = c->parser[flow]; /* once more, with care */
	return false;
}

static __always_inline void passed_next(REQUEST_PARAMS, enum request_flow flow)
{
	w->now_ns = bpf_ktime_get_ns();
	w->slow_ns = 0;
	if (flow == FLOW_REQUESTS) {
		w->stamp = stamp_make(w->now_ns, ARRIVAL_UNKNOWN, 0);
		c->request_bytes = w->call_bytes;
	} else {
		w->in_flight = request_in_flight(c);
	}
	if (unlikely(c->following != FOLLOW_REQUESTS)) {
		if (!passed_unknown(REQUEST_BOTH, flow))
			return;
	} else {
		w->parser = c->parser[flow];
		if (passed_few(REQUEST_BOTH, flow))
			goto out;
		window_begin(w, c->held[flow]);
	}
	request_follow_segment(REQUEST_C, REQUEST_W, flow);
out:
	if (unlikely(w->slow_ns))
		request_sample(REQUEST_C, REQUEST_W);
}

/* --- every packet */

/* The first segment that is seen of a socket; or the second. */
static __always_inline struct request_connection *
first_segment(struct __sk_buff *skb, struct bpf_sock *sk, struct request_work *w,
	      const struct segment *s, bool received)
{
	struct request_connection *c;
	int early;

	early = packet_any_early ? request_recall_early(skb, place_of(w)) : 0;
	if (!early)
		return meet(sk, s, received);
	c = packet_connection(skb);
	if (c && early > 1)
		request_follow_segment(REQUEST_C, REQUEST_W, FLOW_REQUESTS);
	if (c && w->from && !pass_missed(&c->parser[FLOW_REQUESTS], w->from) &&
	    c->protocol != REQUEST_HTTP) /* which has its head, and heals itself */
		request_lose(REQUEST_LOST_GAP, 1);
	return c;
}

static __always_inline void passed_payload(struct __sk_buff *skb, struct bpf_sock *sk,
					   struct request_connection *c, struct request_work *w,
					   struct segment *s, bool received)
{
	enum request_flow flow;

	if (!c)
		c = first_segment(skb, sk, w, s, received);
	if (!c)
		return;
	flow = flow_of(c, received);
	if (!is_next(c, flow, s))
		return;
	w->from = s->offset;
	w->total = w->call_bytes = s->bytes;
	passed_next(REQUEST_BOTH, flow);
	if (unlikely(!received && c->introduced != INTRODUCED && c->protocol))
		request_introduce_sender(skb);
}

static __always_inline int passed(struct __sk_buff *skb, bool received)
{
	struct request_connection *c;
	struct request_work *w;
	struct bpf_sock *sk;
	struct segment s;

	if (!find_segment(skb, &s))
		return PASS;
	sk = skb->sk;
	if (!sk || (!request_outbound && !is_listened(sk->src_port)))
		return PASS;
	c = bpf_sk_storage_get(&request_connections, sk, NULL, 0);
	if (c && c->following == FOLLOW_NOTHING)
		return PASS;
	if (unlikely(!c && sk->state == STATE_LISTEN)) {
		if (s.bytes)
			request_note_early(skb);
		return PASS;
	}
	w = s.bytes ? take_place() : NULL; /* without one, a gap will show */
	if (w) {
		passed_payload(skb, sk, c, w, &s, received);
		leave_place(w);
	}
	if (c && ends(c, &s, received))
		end_connection(c);
	return PASS;
}

SEC("cgroup_skb/ingress")
int request_packet_received(struct __sk_buff *skb)
{
	return passed(skb, true);
}

SEC("cgroup_skb/egress")
int request_packet_sent(struct __sk_buff *skb)
{
	return passed(skb, false);
}
