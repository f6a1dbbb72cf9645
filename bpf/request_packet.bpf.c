/* request_packet.bpf.c - requests as packets carry them, for kernels that lack the tracepoints of
 * request.bpf.c, before Linux 6.3.
 *
 * Two programs at the root of cgroup2 see every packet of every socket. Of TCP's segments with
 * payload each is taken once and in order, by its sequence number: what was sent again is passed
 * over; where one is missed that cannot be passed over, what is in flight is forgotten and the
 * connection followed anew from a request that is recognised. A request begins with the arrival of
 * its last segment and ends as the first of its answer leaves, so the time before the server reads
 * it is within. Unix sockets, and what comes with the last segment of the handshake, are not seen.
 *
 * A softirq interrupts the program at egress, and a preemptible kernel runs other tasks in between:
 * a CPU has several places to work in.
 *
 * Cost: a segment without payload costs a few loads of its headers.
 */
#include <bpf/bpf_endian.h>
#include "common.bpf.h"
#include "request.h"

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

#define REQUEST_FILL request_fill(skb, w)
static __always_inline int request_fill(struct __sk_buff *skb, struct request_work *w);

#include "request_follow.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define PASS 1
#define STATE_LISTEN 10
#define CGROUP_ROOT 1

#define PROTOCOL_IPV6 0x86dd
#define PROTOCOL_TCP 6
#define PROTOCOL_JUMBO 0 /* hop-by-hop options: the length of a packet over 64 KiB */
#define IPV4_PROTOCOL 9
#define IPV4_BYTES 20
#define IPV6_NEXT 6
#define IPV6_BYTES 40
#define IPV6_JUMBO_BYTES 8
#define TCP_SEQ 4
#define TCP_LENGTH 12
#define TCP_FLAGS 13
#define TCP_BYTES 20
#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4

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

struct segment {
	__u32 offset, bytes;			      /* of the payload */
	__u32 seq;				      /* of its first byte */
	enum { ENDS_NONE, ENDS_ONE, ENDS_BOTH } ends; /* of the directions */
};

/* The header of TCP; those before it lie in the linear part of every packet that has a socket. */
static __always_inline __u8 *find_tcp(__u8 *data, __u8 *end, bool is_ipv6)
{
	if (!is_ipv6)
		return data + IPV4_BYTES > end || data[IPV4_PROTOCOL] != PROTOCOL_TCP
			   ? NULL
			   : data + (data[0] & 15) * 4;
	if (data + IPV6_BYTES + IPV6_JUMBO_BYTES > end)
		return NULL;
	if (data[IPV6_NEXT] == PROTOCOL_TCP)
		return data + IPV6_BYTES;
	data += IPV6_BYTES;
	if (data[IPV6_NEXT - IPV6_BYTES] != PROTOCOL_JUMBO || data[0] != PROTOCOL_TCP || data[1])
		return NULL;
	return data + IPV6_JUMBO_BYTES;
}

/* False if it is no segment of TCP, or one that only acknowledges. */
static __always_inline bool find_segment(struct __sk_buff *skb, struct segment *ret)
{
	__u8 *data = (__u8 *)(long)skb->data, *end = (__u8 *)(long)skb->data_end;
	__u8 *tcp = find_tcp(data, end, skb->protocol == bpf_htons(PROTOCOL_IPV6)), flags;

	if (!tcp || tcp + TCP_BYTES > end)
		return false;
	flags = tcp[TCP_FLAGS];
	ret->offset = tcp - data + (tcp[TCP_LENGTH] >> 4) * 4;
	ret->bytes = skb->len > ret->offset ? skb->len - ret->offset : 0;
	ret->seq = bpf_ntohl(*(__u32 *)(tcp + TCP_SEQ)) + !!(flags & TCP_SYN);
	ret->ends = flags & TCP_RST ? ENDS_BOTH : flags & TCP_FIN ? ENDS_ONE : ENDS_NONE;
	return ret->bytes || ret->ends;
}

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
static __always_inline int request_fill(struct __sk_buff *skb, struct request_work *w)
{
	__u64 n = w->total, skip;

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

/* So many bytes of a direction were missed. */
static __always_inline void pass_gap(struct request_connection *c, enum request_flow flow,
				     __u32 missed)
{
	struct request_parser *parser = &c->parser[flow];
	__u32 n = request_in_flight(c);

	if (!parser->held && parser->skip >= missed) {
		parser->skip -= missed;
		return;
	}
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

/* A socket that is not known yet: it is from the first request on. */
static __always_inline struct request_connection *meet(struct bpf_sock *sk, const struct segment *s,
						       bool received)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);
	struct request_connection *c;
	int direction;

	if (!tp || sk->state == STATE_LISTEN)
		return NULL;
	direction = direction_of(sk, tp, received);
	if (received != (direction == TCP_INBOUND) ||
	    (direction == TCP_OUTBOUND && !request_outbound))
		return NULL;
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
	c->next[FLOW_REQUESTS] = s->seq;
	c->next[FLOW_RESPONSES] = received ? tp->snd_nxt : tp->rcv_nxt;
	return c;
}

/* --- who has a connection */

/* The task that is sending: a softirq does not send for a socket that a task has locked. NULL: none
 * is. */
static __always_inline struct task_struct *sender(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp || !tp->inet_conn.icsk_inet.sk.sk_lock.owned)
		return NULL;
	return (struct task_struct *)bpf_get_current_task();
}

/* As cgroup_id_of(). */
static __always_inline __u64 cgroup_of_task(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *state;
	__u64 id = BPF_CORE_READ(set, dfl_cgrp, kn, id);

	if (id > CGROUP_ROOT || !bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return id;
	if (bpf_core_read(&state, sizeof(state),
			  &set->subsys[bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id)]))
		return id;
	return BPF_CORE_READ(state, cgroup, kn, id);
}

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

/* The first bytes of a connection, in the window; or those after a gap, which are of the protocol
 * that it had. True if they are to be parsed now. */
static __always_inline bool recognise(struct __sk_buff *skb, struct bpf_sock *sk,
				      struct request_connection *c, struct request_work *w)
{
	int protocol = request_recognise(w);

	if (protocol > 0 && (!c->protocol || c->protocol == protocol)) {
		if (!c->protocol)
			begin_service(skb, sk, c, protocol);
		c->following = FOLLOW_REQUESTS;
		return true;
	}
	if (c->protocol)
		return false;
	if (protocol == RECOGNISE_MORE && window_end(w, c->held[FLOW_REQUESTS]) &&
	    w->parser.held < REQUEST_HELD)
		c->parser[FLOW_REQUESTS] = w->parser;
	else
		c->following = protocol == RECOGNISE_TLS     ? FOLLOW_TLS
			       : protocol == RECOGNISE_HTTP2 ? FOLLOW_HTTP2
							     : FOLLOW_NOTHING;
	return false;
}

/* A connection of which no requests are known: not yet, or not at all. */
static __always_inline bool passed_unknown(struct __sk_buff *skb, struct bpf_sock *sk,
					   struct request_connection *c, struct request_work *w,
					   enum request_flow flow)
{
	if (c->following == FOLLOW_TLS || c->following == FOLLOW_HTTP2)
		request_unseen(c->following == FOLLOW_TLS ? REQUEST_UNSEEN_TLS
							  : REQUEST_UNSEEN_HTTP2,
			       w->total);
	if (c->following != FOLLOW_UNKNOWN)
		return false;
	if (flow == FLOW_RESPONSES) {
		if (!c->protocol)
			c->following = FOLLOW_NOTHING; /* the server speaks first */
		return false;
	}
	w->parser = c->parser[FLOW_REQUESTS];
	window_begin(w, c->held[FLOW_REQUESTS]);
	return request_fill(skb, w) > 0 && recognise(skb, sk, c, w);
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
	s->family = sk->family;
	s->peer_port = bpf_ntohs(sk->dst_port);
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

/* A segment of few bytes that is one request or answer, or several alike: nearly all are. */
static __always_inline bool passed_few(REQUEST_PARAMS, enum request_flow flow)
{
	int event;

	if (w->total > PACKET_FEW || w->parser.held || w->parser.skip || !load(skb, w, w->total))
		return false;
	w->at = REQUEST_HELD;
	w->end = REQUEST_HELD + w->total;
	event = request_step_once(w, c->protocol, flow);
	if (w->at >= w->end && request_take_only(REQUEST_BOTH, event)) {
		c->parser[flow] = w->parser;
		return true;
	}
	w->parser = c->parser[flow]; /* once more, with care */
	return false;
}

static __always_inline void passed_payload(struct __sk_buff *skb, struct bpf_sock *sk,
					   struct request_connection *c, struct request_work *w,
					   enum request_flow flow)
{
	w->now_ns = bpf_ktime_get_ns();
	w->batch_n = 0;
	w->slow_ns = 0;
	if (flow == FLOW_REQUESTS) {
		w->stamp = stamp_make(w->now_ns, ARRIVAL_UNKNOWN, 0);
		c->request_bytes = w->call_bytes;
	} else {
		w->in_flight = request_in_flight(c);
	}
	if (unlikely(c->following != FOLLOW_REQUESTS)) {
		if (passed_unknown(skb, sk, c, w, flow))
			request_follow(REQUEST_BOTH, flow);
		return;
	}
	w->parser = c->parser[flow];
	if (!passed_few(REQUEST_BOTH, flow)) {
		window_begin(w, c->held[flow]);
		request_follow(REQUEST_BOTH, flow);
	}
	if (unlikely(w->slow_ns))
		request_sample(REQUEST_C, REQUEST_W);
}

static __always_inline int passed(struct __sk_buff *skb, bool received)
{
	struct request_connection *c;
	struct request_work *w;
	enum request_flow flow;
	struct bpf_sock *sk;
	struct segment s;

	if (!find_segment(skb, &s))
		return PASS;
	sk = skb->sk;
	if (!sk || (!request_outbound && !is_listened(sk->src_port)))
		return PASS;
	c = bpf_sk_storage_get(&request_connections, sk, NULL, 0);
	if (!c && s.bytes)
		c = meet(sk, &s, received);
	if (!c || c->following == FOLLOW_NOTHING)
		return PASS;
	flow = received == (c->direction == TCP_INBOUND) ? FLOW_REQUESTS : FLOW_RESPONSES;
	w = s.bytes ? take_place() : NULL; /* without one, a gap will show */
	if (w) {
		if (is_next(c, flow, &s)) {
			w->from = s.offset;
			w->total = w->call_bytes = s.bytes;
			passed_payload(skb, sk, c, w, flow);
		}
		leave_place(w);
		if (unlikely(!received && c->introduced != INTRODUCED && c->protocol))
			request_introduce_sender(skb);
	}
	if (s.ends == ENDS_BOTH || (s.ends == ENDS_ONE && flow == FLOW_RESPONSES))
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
