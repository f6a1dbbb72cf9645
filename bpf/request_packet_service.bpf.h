/* request_packet_service.bpf.h - whose requests packets carry: the service of a connection, and
 * slow requests sent to user space. */
#ifndef TRIMTAB_REQUEST_PACKET_SERVICE_BPF_H
#define TRIMTAB_REQUEST_PACKET_SERVICE_BPF_H

#include "request_packet_work.bpf.h"
#include "sender.bpf.h"

#define INTRODUCED 255
#define INTRODUCE_TRIES 16

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

/* A connection sends: its service, if it is new, learns by which task, and is shown. A socket knows
 * only of cgroup2: what it has in its own key is not changed, but a service is shown where it runs.
 */
__noinline int request_introduce_sender(struct __sk_buff *skb)
{
	struct request_key *key, shown;
	struct bpf_sock *sk = skb->sk;
	struct request_service *s;
	struct task_struct *task;
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
	shown = *key;
	if (task) {
		BPF_CORE_READ_STR_INTO(&s->comm, task, comm);
		if (shown.cgroup <= CGROUP_ROOT)
			shown.cgroup = cgroup_of_task(task);
	}
	s->key = shown;
	c->introduced = INTRODUCED;
	return 0;
}

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

#endif
