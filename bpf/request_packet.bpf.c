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
 * A softirq interrupts the program at egress, and a preemptible kernel runs other tasks in between:
 * a CPU has several places to work in.
 *
 * Cost: a segment without payload costs a few loads of its headers.
 */
#include "segment.bpf.h"
#include "sender.bpf.h"
#include "request.h"

#define EARLY_BYTES 960
#define EARLY_SEGMENTS 256
#define EARLY_AFTER (1 << 20) /* bytes that may have come since */

struct packet_work {
	struct request_work work;
	__u32 users; /* 1: taken */
	__u32 place; /* its own in the array */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REQUEST_PACKET_WORKS); /* times the CPUs, set before loading */
	__type(key, __u32);
	__type(value, struct packet_work);
} request_packet_works SEC(".maps");

/* By what the functions of request_count.bpf.h find both: the packet is of the connection's socket,
 * the work has a place. */
#define REQUEST_PARAMS struct __sk_buff *skb, struct request_connection *c, struct request_work *w
#define REQUEST_BOTH skb, c, w
#define REQUEST_C_PARAM struct __sk_buff *skb
#define REQUEST_C skb
#define REQUEST_FIND_C(failed)                                                                     \
	struct request_connection *c = packet_connection(skb);                                     \
	if (!c)                                                                                    \
		return failed;
#define REQUEST_W_PARAM __u32 place
#define REQUEST_W place_of(w)
#define REQUEST_FIND_W(failed)                                                                     \
	struct request_work *w = packet_work(place);                                               \
	if (!w)                                                                                    \
		return failed;

/* The first segment of a connection that has no socket yet. What comes before its bytes fills what
 * the window keeps free before its own. */
struct packet_early {
	__u64 now_ns;
	__u32 seq, bytes, kept;
	__u8 pad[REQUEST_HELD - 20];
	__u64 data[EARLY_BYTES / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, EARLY_SEGMENTS);
	__type(key, __u64); /* union segment_peer */
	__type(value, struct packet_early);
} request_packet_early SEC(".maps");

bool packet_any_early; /* there was one since the start */

static __always_inline struct request_connection *packet_connection(struct __sk_buff *skb);

static __always_inline struct request_work *packet_work(__u32 place)
{
	return bpf_map_lookup_elem(&request_packet_works, &place);
}

static __always_inline __u32 place_of(const struct request_work *w)
{
	return ((const struct packet_work *)w)->place;
}

/* Who has a connection that answers is only known when it does: see introduce(). */
#define REQUEST_INTRODUCE
static __always_inline void request_introduce(struct request_service *s,
					      const struct request_key *key)
{
}

#define REQUEST_FILL request_fill(skb, place_of(w))
int request_fill(struct __sk_buff *skb, REQUEST_W_PARAM);

#include "request_follow.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define PASS 1
#define STATE_LISTEN 10

#define PACKET_FEW 64
#define INTRODUCED 255
#define INTRODUCE_TRIES 16

static __always_inline struct request_connection *packet_connection(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_sk_storage_get(&request_connections, sk, NULL, 0) : NULL;
}

/* --- places to work in */

/* Others may come in between at any point, and are gone again or not when this goes on: whoever
 * finds itself the only user has the place. */
static __always_inline struct request_work *take_place(void)
{
	__u32 first = bpf_get_smp_processor_id() * REQUEST_PACKET_WORKS, place;
	struct packet_work *p;

	for (int i = 0; i < REQUEST_PACKET_WORKS; i++) {
		place = first + i;
		p = bpf_map_lookup_elem(&request_packet_works, &place);
		if (!p)
			return NULL;
		__sync_fetch_and_add(&p->users, 1);
		if (*(volatile __u32 *)&p->users == 1) {
			p->place = place;
			return &p->work;
		}
		__sync_fetch_and_add(&p->users, -1);
	}
	return NULL;
}

static __always_inline void leave_place(struct request_work *w)
{
	__sync_fetch_and_add(&((struct packet_work *)w)->users, -1);
}

/* --- segments */

/* Brings n bytes of the payload into the window. */
static __always_inline bool load(struct __sk_buff *skb, struct request_work *w, __u64 n)
{
	verifier_sees(n); /* one bound at a time */
	if ((__s64)n < 1)
		return false;
	verifier_sees(n);
	return n <= REQUEST_WINDOW && !bpf_skb_load_bytes(skb, w->from, &w->bytes[REQUEST_HELD], n);
}

/* See request_follow.bpf.h. */
__noinline int request_fill(struct __sk_buff *skb, REQUEST_W_PARAM)
{
	__u64 n, skip;

	REQUEST_FIND_W(-1)
	n = w->total;
	if (!n)
		return 0;
	if (w->at >= w->end && w->parser.skip) {
		skip = w->parser.skip < n ? w->parser.skip : n;
		w->from += skip;
		w->total -= skip;
		w->parser.skip -= skip;
		return 1;
	}
	if (!window_move(w))
		return -1;
	if (n > REQUEST_WINDOW)
		n = REQUEST_WINDOW;
	if (!load(skb, w, n))
		return -1;
	w->end = REQUEST_HELD + n;
	w->from += n;
	w->total -= n;
	return 1;
}

/* --- connections */

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

/* What came first, if the connection is young, else whether its port is (or was) listened on. */
static __always_inline int direction_of(struct bpf_sock *sk, struct bpf_tcp_sock *tp, bool received)
{
	if (received && !tp->data_segs_out)
		return TCP_INBOUND;
	if (!received && !tp->bytes_received)
		return TCP_OUTBOUND;
	return is_listened(sk->src_port) ? TCP_INBOUND : TCP_OUTBOUND;
}

/* Follows a socket whose next request begins at seq. */
static __always_inline struct request_connection *
follow(struct bpf_sock *sk, struct bpf_tcp_sock *tp, int direction, __u32 seq)
{
	struct request_connection *c;

	if (request_control.connections >= request_limit) {
		request_lose(REQUEST_LOST_CONNECTIONS, 1);
		return NULL;
	}
	c = bpf_sk_storage_get(&request_connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c)
		return NULL;
	__sync_fetch_and_add(&request_control.connections, 1);
	c->direction = direction;
	c->named = OPERATION_UNNAMED;
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
	if (received != (direction == TCP_INBOUND) ||
	    (direction == TCP_OUTBOUND && !request_outbound))
		return NULL;
	return follow(sk, tp, direction, s->seq);
}

/* --- who has a connection */

static __always_inline void begin_service(struct __sk_buff *skb, struct bpf_sock *sk,
					  struct request_connection *c, int protocol)
{
	struct task_struct *task = c->direction == TCP_OUTBOUND ? sender(sk) : NULL;
	struct request_key key = {.cgroup = task ? cgroup_of_task(task) : bpf_skb_cgroup_id(skb),
				  .port = c->direction == TCP_INBOUND ? sk->src_port
								      : bpf_ntohs(sk->dst_port),
				  .protocol = protocol,
				  .direction = c->direction};

	c->protocol = protocol;
	c->service = request_service_of(&key);
}

/* A connection sends: its service, if it is new, learns by which task, and is shown. */
__noinline int request_introduce_sender(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct request_service *s;
	struct task_struct *task;
	struct request_key *key;
	__u32 service;

	REQUEST_FIND_C(0)
	if (!sk)
		return 0;
	service = c->service;
	s = bpf_map_lookup_elem(&request_services, &service);
	if (!s || service < REQUEST_OTHERS || s->key.protocol) {
		c->introduced = INTRODUCED;
		return 0;
	}
	task = sender(sk);
	if (!task && ++c->introduced < INTRODUCE_TRIES)
		return 0;
	key = bpf_map_lookup_elem(&request_service_owners, &service);
	if (!key)
		return 0;
	if (task)
		BPF_CORE_READ_STR_INTO(&s->comm, task, comm);
	s->key = *key;
	c->introduced = INTRODUCED;
	return 0;
}

/* --- one segment */

/* Looks at the first bytes of a connection, in the window; or at those after a gap, which are of
 * the protocol that it had. Not 0 if they are to be parsed now. */
__noinline int request_meet(REQUEST_C_PARAM, REQUEST_W_PARAM)
{
	struct bpf_sock *sk = skb->sk;
	int protocol;

	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	if (!sk)
		return 0;
	protocol = request_recognise(w);
	if (protocol > 0 && (!c->protocol || c->protocol == protocol)) {
		if (!c->protocol)
			begin_service(skb, sk, c, protocol);
		c->following = FOLLOW_REQUESTS;
		return 1;
	}
	if (c->protocol)
		return 0;
	if (protocol == RECOGNISE_MORE && window_end(w, c->held[FLOW_REQUESTS]) &&
	    w->parser.held < REQUEST_HELD)
		c->parser[FLOW_REQUESTS] = w->parser;
	else
		c->following = protocol == RECOGNISE_TLS     ? FOLLOW_TLS
			       : protocol == RECOGNISE_HTTP2 ? FOLLOW_HTTP2
							     : FOLLOW_NOTHING;
	return 0;
}

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

static __always_inline void note_peer(struct request_slow *s, struct bpf_sock *sk)
{
	__u32 *peer = (__u32 *)s->peer;

	s->family = sk->family;
	s->peer_port = bpf_ntohs(sk->dst_port);
	peer[0] = remote_word(sk, 0);
	if (s->family != AF_INET6)
		return;
	peer[1] = sk->dst_ip6[1];
	peer[2] = sk->dst_ip6[2];
	peer[3] = sk->dst_ip6[3];
}

/* Sends the slowest answer of a segment to user space. */
__noinline int request_sample(REQUEST_C_PARAM, REQUEST_W_PARAM)
{
	struct bpf_sock *sk = skb->sk;
	struct task_struct *task;
	struct request_slow *s;

	REQUEST_FIND_C(0)
	REQUEST_FIND_W(0)
	if (!sk)
		return 0;
	s = bpf_ringbuf_reserve(&request_slow, sizeof(*s), 0);
	if (!s) {
		request_lose(REQUEST_LOST_SLOW, 1);
		return 0;
	}
	__builtin_memset(s, 0, sizeof(*s));
	s->at_ns = w->now_ns;
	s->duration_ns = w->slow_ns;
	s->cgroup = bpf_skb_cgroup_id(skb);
	s->request_bytes = c->request_bytes;
	s->response_bytes = w->call_bytes;
	s->service = c->service;
	s->operation = w->slow_operation;
	s->outcome = w->slow_outcome;
	note_peer(s, sk);
	task = sender(sk);
	if (task)
		s->pid = BPF_CORE_READ(task, pid);
	bpf_ringbuf_submit(s, 0);
	return 0;
}

/* The connection ends: what it still asks for gets no answer. */
static __always_inline void end_connection(struct request_connection *c)
{
	struct request_service_counts *s = request_service_counts_of(c);

	if (s && c->following == FOLLOW_REQUESTS)
		request_add(&s->unanswered, request_in_flight(c));
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

/* --- segments that come before their socket */

/* A listening socket got one with payload: it, or the socket to be, has its own use for it. */
__noinline int request_note_early(struct __sk_buff *skb)
{
	struct request_work *w = take_place();
	union segment_peer peer;
	struct packet_early *e;
	struct segment s;

	if (!w)
		return 0;
	e = (struct packet_early *)w->bytes;
	if (find_segment(skb, &s) && find_peer(skb, &peer)) {
		w->from = s.offset;
		e->now_ns = bpf_ktime_get_ns();
		e->seq = s.seq;
		e->bytes = s.bytes;
		e->kept = s.bytes < EARLY_BYTES ? s.bytes : EARLY_BYTES;
		if (load(skb, w, e->kept))
			bpf_map_update_elem(&request_packet_early, &peer.key, e, BPF_ANY);
		packet_any_early = true;
	}
	leave_place(w);
	return 0;
}

/* Puts its bytes into the window, as if they came now. */
static __always_inline void take_early(struct request_connection *c, struct request_work *w,
				       const struct packet_early *e)
{
	for (int i = 0; i < EARLY_BYTES / 8; i++)
		((__u64 *)w->bytes)[REQUEST_HELD / 8 + i] = e->data[i];
	w->at = REQUEST_HELD;
	w->end = REQUEST_HELD + e->kept;
	w->from = e->bytes - e->kept; /* what is missed of it */
	w->total = 0;
	w->parser = c->parser[FLOW_REQUESTS];
	w->now_ns = e->now_ns;
	w->stamp = stamp_make(w->now_ns, ARRIVAL_UNKNOWN, 0);
	c->request_bytes = e->bytes;
}

/* Whether the socket is met now, by the segment that came before it: 2 if it is to be parsed. */
__noinline int request_recall_early(struct __sk_buff *skb, REQUEST_W_PARAM)
{
	struct request_connection *c;
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tp;
	struct packet_early *e;
	union segment_peer peer;

	REQUEST_FIND_W(0)
	tp = sk ? bpf_tcp_sock(sk) : NULL;
	if (!tp)
		return 0;
	peer_of(sk, &peer);
	e = bpf_map_lookup_elem(&request_packet_early, &peer.key);
	if (!e || tp->rcv_nxt - (e->seq + e->bytes) > EARLY_AFTER)
		return 0;
	c = follow(sk, tp, TCP_INBOUND, e->seq + e->bytes);
	if (!c)
		return 0;
	take_early(c, w, e);
	bpf_map_delete_elem(&request_packet_early, &peer.key);
	return 1 + request_meet(REQUEST_C, REQUEST_W);
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
	if (c &&
	    (s.ends == ENDS_BOTH || (s.ends == ENDS_ONE && flow_of(c, received) == FLOW_RESPONSES)))
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
