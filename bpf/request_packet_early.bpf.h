/* request_packet_early.bpf.h - segments that come before their socket: the first with payload makes
 * the connection where TCP_DEFER_ACCEPT is set, the SYN may have some (TCP_FASTOPEN). They show up
 * at the listening socket; their beginning is kept until the new one is seen.
 *
 * Bounds: EARLY_SEGMENTS of them, the oldest go first. EARLY_BYTES of each; what else it had is a
 * gap.
 */
#ifndef TRIMTAB_REQUEST_PACKET_EARLY_BPF_H
#define TRIMTAB_REQUEST_PACKET_EARLY_BPF_H

#include "request_packet_order.bpf.h"
#include "request_packet_service.bpf.h"

#define EARLY_BYTES 960
#define EARLY_SEGMENTS 256
#define EARLY_AFTER (1 << 20) /* bytes that may have come since */

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

#endif
