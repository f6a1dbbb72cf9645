/* request_packet_work.bpf.h - how the functions of request_follow.bpf.h work on packets: what they
 * get at the connection and the work by, and where the bytes come from.
 *
 * A softirq interrupts the program at egress, and a preemptible kernel runs other tasks in between:
 * a CPU has several places to work in.
 */
#ifndef TRIMTAB_REQUEST_PACKET_WORK_BPF_H
#define TRIMTAB_REQUEST_PACKET_WORK_BPF_H

#include "segment.bpf.h"
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

/* Who has a connection that answers is only known when it does: see
 * request_introduce_sender(). */
#define REQUEST_INTRODUCE
static __always_inline void request_introduce(struct request_service *s,
					      const struct request_key *key)
{
}

#define REQUEST_FILL request_fill(skb, place_of(w))
int request_fill(struct __sk_buff *skb, REQUEST_W_PARAM);

#include "request_follow.bpf.h"

static __always_inline struct request_connection *packet_connection(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_sk_storage_get(&request_connections, sk, NULL, 0) : NULL;
}

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

#endif
