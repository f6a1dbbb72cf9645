/* request_time.bpf.h - when a call on a socket is made, and when the bytes that it reads had come:
 * from TCP's own clock, where it was read just now.
 */
#ifndef TRIMTAB_REQUEST_TIME_BPF_H
#define TRIMTAB_REQUEST_TIME_BPF_H

#include "request_connection.bpf.h"

#define AF_UNIX 1
#define TICKS_FEW 3	     /* the count of ticks is too coarse below */
#define TICKS_TO_KNOW 20     /* until their length is known to 5 % */
#define TICKS_SLACK_US 15000 /* more than a tick, less than an acknowledgement is delayed */

extern void *bpf_rdonly_cast(void *address, __u32 type) __ksym;

/* What TCP keeps of a socket whose protocol is TCP: a cast costs nothing, the helper that checks it
 * is a call. */
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
	return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
}

/* In us, how long ago the last data came by TCP's count of ticks; 0 if it is a few ticks at most.
 * How long a tick is, two moments tell. */
static __always_inline __u64 came_ticks_ago_us(struct tcp_sock *tp, __u64 now)
{
	__u64 jiffies = bpf_jiffies64(), passed;
	__u32 ticks = (__u32)jiffies - tp->inet_conn.icsk_ack.lrcvtime;

	if (likely(ticks < TICKS_FEW) || ticks > 1U << 31)
		return 0;
	passed = jiffies - request_control.clock_jiffies;
	if (request_control.clock_ns && passed >= TICKS_TO_KNOW)
		return ticks * ((now - request_control.clock_ns) / passed) / 1000;
	if (!request_control.clock_ns) {
		request_control.clock_jiffies = jiffies;
		request_control.clock_ns = now;
	}
	return 0;
}

/* When the bytes that were just read had come, in us before now_ns. An acknowledgement that is sent
 * before they are read turns on TCP's clock: then only its ticks tell. */
static __always_inline __u64 queued_us(struct request_work *w, struct sock *sk)
{
	__u64 came_us = w->arrival_us, now_us = w->now_ns / 1000, queued, ticks;

	if (w->arrival_sock != (__u64)sk)
		return ARRIVAL_UNKNOWN;
	w->arrival_sock = 0;
	queued = came_us && came_us <= now_us ? now_us - came_us : 0;
	ticks = came_ticks_ago_us(tcp_of(sk), w->now_ns);
	return ticks > queued + TICKS_SLACK_US ? ticks : queued;
}

/* The time: TCP's own clock, where it was read in this very call. A receive reads it after it took
 * data (request_arrived saw it before that), a send when it transmits; all is sent if nothing
 * waits. */
static __always_inline __u64 time_of(struct request_work *w, struct sock *sk, bool received)
{
	struct tcp_sock *tp = tcp_of(sk);

	if (sk->__sk_common.skc_family == AF_UNIX || !bpf_core_field_exists(tp->tcp_clock_cache))
		return bpf_ktime_get_ns();
	if (received ? w->arrival_sock == (__u64)sk && w->arrival_us != tp->tcp_mstamp
		     : tp->snd_nxt == tp->write_seq)
		return tp->tcp_clock_cache;
	return bpf_ktime_get_ns();
}

#endif
