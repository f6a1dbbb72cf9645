/* tcp.bpf.c - TCP per service port and direction, in every network namespace.
 *
 * Events (exact): connect latency and failures, retransmits, resets, dropped packets by reason,
 * bytes and the last RTT of each connection that ends. The sweep, an iterator that the keeper runs
 * every few seconds in each network namespace: the RTT of open connections, their bytes so far, the
 * number of connections by state, listen queues and what listeners dropped. Connections from before
 * the start are met by the first sweep, which only takes their bytes as the base.
 *
 * A connection is inbound if its local port is, or was, listened on.
 */
#include "cgroup.bpf.h"
#include "tcp.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define IPPROTO_TCP 6
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_TIME_WAIT 6
#define TCP_CLOSE 7
#define TCP_LAST_ACK 9
#define TCP_LISTEN 10
#define TCP_CLOSING 11
#define FIN_SENT                                                                                   \
	(1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_TIME_WAIT | 1u << TCP_LAST_ACK |    \
	 1u << TCP_CLOSING)
#define SOCK_DONE 1 /* bit of skc_flags: the other side's FIN has come */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcp_totals);
} tcp_totals SEC(".maps");

/* What each listener had dropped when it was last looked at, by the socket's address. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32);
} tcp_listeners SEC(".maps");

__u32 tcp_first_sweep = 1; /* the keeper clears it after the first one */

static __always_inline struct tcp_totals *totals(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&tcp_totals, &zero);
}

/* The counters of a socket's cgroup: that of the task that made it. Shared with softirqs on this
 * CPU. */
static __noinline struct cgroup_counters *group_of(struct sock *sk)
{
	struct cgroup_cpu *groups = cgroup_cpu();
	__u64 slot = 0;

	if (!groups || !sk)
		return NULL;
	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		slot = cgroup_slot_by_id(BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id));
	return cgroup_counters(groups, slot);
}

/* The kernel counts a FIN as a byte, as sequence numbers do. */
static __always_inline __u64 payload_received(struct tcp_sock *tp)
{
	struct sock *sk = (void *)tp;

	return BPF_CORE_READ(tp, bytes_received) -
	       (BPF_CORE_READ(sk, __sk_common.skc_flags) >> SOCK_DONE & 1);
}

static __always_inline __u64 payload_acked(struct tcp_sock *tp, __u32 state)
{
	__u64 acked = BPF_CORE_READ(tp, bytes_acked);
	bool all = BPF_CORE_READ(tp, snd_una) == BPF_CORE_READ(tp, write_seq);

	return acked - (acked && all && FIN_SENT >> (state & 31) & 1);
}

/* Adds what a connection moved since it was last looked at. */
static __always_inline void add_bytes(struct connection *c, struct tcp_sock *tp, __u32 state)
{
	__u64 received = payload_received(tp), sent = payload_acked(tp, state);
	struct sock *sk = (void *)tp;
	__u64 moved[TCP_DIRECTIONS] = {};
	struct cgroup_counters *group = group_of(sk);
	struct tcp_totals *t = totals();

	/* a sweep may have looked at the same time, from another CPU */
	if (received > c->bytes[TCP_INBOUND])
		moved[TCP_INBOUND] = received - c->bytes[TCP_INBOUND];
	if (sent > c->bytes[TCP_OUTBOUND])
		moved[TCP_OUTBOUND] = sent - c->bytes[TCP_OUTBOUND];
	if (!t || !group || (!moved[TCP_INBOUND] && !moved[TCP_OUTBOUND]))
		return;
	__sync_fetch_and_add(&t->bytes[TCP_INBOUND], moved[TCP_INBOUND]);
	__sync_fetch_and_add(&t->bytes[TCP_OUTBOUND], moved[TCP_OUTBOUND]);
	__sync_fetch_and_add(&group->tcp_bytes[TCP_INBOUND], moved[TCP_INBOUND]);
	__sync_fetch_and_add(&group->tcp_bytes[TCP_OUTBOUND], moved[TCP_OUTBOUND]);
	c->bytes[TCP_INBOUND] = received;
	c->bytes[TCP_OUTBOUND] = sent;
}

static __always_inline void add_rtt(struct tcp_port *p, __u32 srtt_us)
{
	if (p && srtt_us)
		hist_add_atomic(&p->rtt, (__u64)srtt_us * 1000 / 8);
}

static __always_inline void track(__u64 key, __u64 start_ns)
{
	struct connection c = {.start_ns = start_ns};
	struct tcp_totals *t;

	if (!bpf_map_update_elem(&tcp_connections, &key, &c, BPF_ANY))
		return;
	t = totals();
	if (t)
		__sync_fetch_and_add(&t->untracked, 1);
}

static __always_inline void connected(struct sock *sk, __u64 key, __u64 now)
{
	struct connection *c = bpf_map_lookup_elem(&tcp_connections, &key);
	struct tcp_port *p = port_of(&sk->__sk_common);

	if (!p)
		return;
	__sync_fetch_and_add(&p->opened, 1);
	if (c)
		c->bytes[TCP_OUTBOUND] = 1; /* the SYN, which the kernel counts as a byte */
	if (c && c->start_ns) {
		hist_add_atomic(&p->connect, now - c->start_ns);
		c->start_ns = 0;
	}
}

static __always_inline void failed(struct sock *sk)
{
	struct tcp_port *p = port_of(&sk->__sk_common);
	__u32 error = sk->sk_err;

	if (p)
		__sync_fetch_and_add(&p->failed[error < TCP_ERRNOS ? error : 0], 1);
}

static __always_inline void listener_drops(struct sock *sk, struct tcp_port *p, __u32 drops,
					   bool base)
{
	__u64 key = (__u64)sk;
	__u32 *seen = bpf_map_lookup_elem(&tcp_listeners, &key), old = seen ? *seen : 0;

	if (p && !base && drops != old)
		__sync_fetch_and_add(&p->listen_drops, (__u32)(drops - old));
	if (!seen || drops != old)
		bpf_map_update_elem(&tcp_listeners, &key, &drops, BPF_ANY);
}

/* The end of a connection, or of an attempt or a listener. */
static __always_inline void ended(struct sock *sk, __u64 key, int old_state)
{
	struct connection *c, none = {};
	struct tcp_sock *tp = (void *)sk;

	if (old_state == TCP_LISTEN) {
		listener_drops(sk, port_of(&sk->__sk_common), sk->sk_drops.counter, false);
		bpf_map_delete_elem(&tcp_listeners, &key);
		return;
	}
	if (old_state == TCP_SYN_SENT) {
		failed(sk);
	} else if (old_state != TCP_CLOSE) {
		c = bpf_map_lookup_elem(&tcp_connections, &key);
		add_rtt(port_of(&sk->__sk_common), BPF_CORE_READ(tp, srtt_us));
		add_bytes(c ?: &none, tp, old_state);
	}
	bpf_map_delete_elem(&tcp_connections, &key);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int old_state, int new_state)
{
	__u64 key = (__u64)sk, now = bpf_ktime_get_ns();
	struct tcp_port *p;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new_state == TCP_LISTEN) {
		listen_on(sk->__sk_common.skc_num);
	} else if (new_state == TCP_SYN_SENT) {
		track(key, now);
	} else if (new_state == TCP_ESTABLISHED && old_state == TCP_SYN_SENT) {
		connected(sk, key, now);
	} else if (new_state == TCP_ESTABLISHED) {
		track(key, now);
		p = port_of(&sk->__sk_common);
		if (p)
			__sync_fetch_and_add(&p->opened, 1);
	} else if (new_state == TCP_CLOSE) {
		ended(sk, key, old_state);
	}
	return 0;
}

/* A buffer may hold many segments; the kernel's own count is of segments too. */
static __always_inline __u32 segments(struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = (void *)skb->cb;
	__u32 n = 0;

	if (bpf_core_field_exists(cb->tcp_gso_segs))
		n = BPF_CORE_READ(cb, tcp_gso_segs);
	return n ?: 1;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_port *p = port_of(&sk->__sk_common);

	if (p)
		__sync_fetch_and_add(&p->retransmits, segments(skb));
	return 0;
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcp_retransmit_synack, struct sock *sk)
{
	struct tcp_port *p = port_of(&sk->__sk_common);

	if (p)
		__sync_fetch_and_add(&p->retransmits, 1);
	return 0;
}

static __always_inline int reset(struct sock *sk, enum tcp_direction direction)
{
	__u32 zero = 0;
	struct tcp_port *p;

	/* a segment for no socket: nobody's port, "other" */
	p = sk ? port_of(&sk->__sk_common) : bpf_map_lookup_elem(&tcp_ports, &zero);
	if (p)
		__sync_fetch_and_add(&p->resets[direction], 1);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_reset_sent, struct sock *sk)
{
	return reset(sk, TCP_OUTBOUND);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_reset_received, struct sock *sk)
{
	return reset(sk, TCP_INBOUND);
}

static __always_inline int dropped(__u32 reason)
{
	struct tcp_totals *t = totals();

	if (!t)
		return 0;
	__sync_fetch_and_add(&t->drops[reason < TCP_DROP_REASONS ? reason : TCP_DROP_REASONS - 1],
			     1);
	return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(tcp_drop, struct sk_buff *skb, void *location, int reason)
{
	return dropped(reason);
}

/* before 5.17: no reason; all are filed under 0 */
SEC("tp_btf/kfree_skb")
int BPF_PROG(tcp_drop_old, struct sk_buff *skb)
{
	return dropped(0);
}

static __always_inline void sweep_listener(struct sock *sk, struct tcp_totals *t)
{
	__u32 queue = sk->sk_ack_backlog, sweep = t->sweep;
	struct tcp_port *p;

	listen_on(sk->__sk_common.skc_num);
	p = port_of(&sk->__sk_common);
	if (!p)
		return;
	if (p->queue_sweep != sweep) {
		p->queue_sweep = sweep;
		p->queue = 0;
		p->queue_max = 0;
	}
	p->queue += queue; /* listeners may share a port: SO_REUSEPORT, namespaces */
	p->queue_max += sk->sk_max_ack_backlog;
	listener_drops(sk, p, sk->sk_drops.counter, tcp_first_sweep);
}

static __always_inline void sweep_connection(struct tcp_sock *tp, __u32 state)
{
	__u64 key = (__u64)tp;
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct connection *c = bpf_map_lookup_elem(&tcp_connections, &key);

	if (!c && tcp_first_sweep) {
		struct connection base = {
		    .bytes = {payload_received(tp), payload_acked(tp, state)}};

		bpf_map_update_elem(&tcp_connections, &key, &base, BPF_NOEXIST);
	}
	if (c)
		add_bytes(c, tp, state);
	add_rtt(port_of(&sk->__sk_common), tp->srtt_us);
}

SEC("iter/tcp")
int tcp_sweep(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct tcp_totals *t = totals();
	struct tcp_sock *tp;
	__u32 state;

	if (!common || !t)
		return 0;
	state = common->skc_state;
	if (state < TCP_STATES)
		t->states[t->sweep & 1][state]++;
	tp = bpf_skc_to_tcp_sock(common);
	if (!tp)
		return 0;
	if (state == TCP_LISTEN)
		sweep_listener(&tp->inet_conn.icsk_inet.sk, t);
	else if (state != TCP_CLOSE && state != TCP_SYN_SENT)
		sweep_connection(tp, state);
	return 0;
}
