/* request.bpf.c - requests as the sockets of servers and clients carry them, from Linux 6.3 on.
 *
 * Two tracepoints at the end of every send and receive give the socket and how many bytes there
 * were; the saved registers of the task give the system call and with it the caller's memory, where
 * the bytes are read. So it does not matter which thread does the I/O, TCP and unix sockets are
 * seen alike, and what is kept of a connection goes with its socket. A third one, where a receive
 * takes data from the queue, tells when the last packet came.
 *
 * Cost: a socket that is not followed costs a few loads where only serving is watched and its port
 * is not listened on, else a look-up.
 */
#include "request_call.bpf.h"
#include "request_count.bpf.h"
#include "request_sample.bpf.h"
#include "request_statement.bpf.h"
#include "request_time.bpf.h"
#include "request_tls.bpf.h"
#include "request_user.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define SOCK_STREAM 1
#define MSG_PEEK 2
#define SOCK_DEAD 0 /* bit of skc_flags: closed by its task */
#define TCP_CLOSE 7

#define REQUEST_PIECES_FIRST 16 /* pieces that are put together to recognise a protocol */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set to the number of CPUs before loading */
	__type(key, __u32);
	__type(value, struct request_work);
} request_cpus SEC(".maps");

static __always_inline struct request_work *request_work(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&request_cpus, &cpu);
}

/* --- connections */

/* The direction of a TCP connection: what came first, if it is young, else whether its port is (or
 * was) listened on. -1: not known yet. */
static __always_inline int direction_of_tcp(struct sock *sk, bool received)
{
	struct tcp_sock *tp = tcp_of(sk);

	if (received && !tp->bytes_sent)
		return TCP_INBOUND;
	if (!received && !tp->bytes_received)
		return TCP_OUTBOUND;
	if (!request_control.ports_known)
		return -1;
	return is_listened(sk->__sk_common.skc_num) ? TCP_INBOUND : TCP_OUTBOUND;
}

/* An accepted unix socket has its listener's address, the other end mostly none. -1: a pair. */
static __always_inline int direction_of_unix(struct sock *sk)
{
	struct unix_sock *u = bpf_skc_to_unix_sock(sk);
	struct sock *peer;

	if (!u)
		return -1;
	if (u->addr)
		return TCP_INBOUND;
	peer = u->peer;
	return peer && BPF_CORE_READ((struct unix_sock *)peer, addr) ? TCP_OUTBOUND : -1;
}

/* A socket that is not known yet: it is from the first request on. */
static __noinline struct request_connection *meet(struct sock *sk, bool received)
{
	struct request_connection *c;
	int direction;

	if (!sk)
		return NULL;
	direction = sk->__sk_common.skc_family == AF_UNIX ? direction_of_unix(sk)
							  : direction_of_tcp(sk, received);
	if (direction < 0 || received != (direction == TCP_INBOUND) ||
	    (direction == TCP_OUTBOUND && !request_outbound))
		return NULL;
	c = request_connect(sk);
	if (c)
		c->direction = direction;
	return c;
}

static __always_inline __u16 port_of_server(struct sock *sk, __u8 direction)
{
	if (sk->__sk_common.skc_family == AF_UNIX)
		return 0;
	return direction == TCP_INBOUND ? sk->__sk_common.skc_num
					: bpf_ntohs(sk->__sk_common.skc_dport);
}

static __always_inline void begin_service(struct request_connection *c, struct sock *sk,
					  struct task_struct *task, int protocol)
{
	struct request_key key = {.cgroup = cgroup_id_of(task->cgroups),
				  .port = port_of_server(sk, c->direction),
				  .protocol = protocol,
				  .direction = c->direction};

	c->protocol = protocol;
	c->service = request_service_of(&key);
	c->following = FOLLOW_REQUESTS;
}

/* Takes the first bytes of a connection, until they tell what it is. True if they are to be parsed
 * now. */
static __always_inline bool recognise(struct request_connection *c, struct request_work *w,
				      struct sock *sk, struct task_struct *task)
{
	int protocol = RECOGNISE_MORE;

	for (int i = 0; i < REQUEST_PIECES_FIRST && protocol == RECOGNISE_MORE; i++) {
		if (request_fill(w) <= 0)
			break;
		protocol = request_recognise(w);
	}
	if (protocol > 0) {
		begin_service(c, sk, task, protocol);
		return true;
	}
	if (protocol == RECOGNISE_MORE && window_end(w, c->held[FLOW_REQUESTS]) &&
	    w->parser.held < REQUEST_HELD)
		c->parser[FLOW_REQUESTS] = w->parser;
	else
		c->following = protocol == RECOGNISE_TLS     ? FOLLOW_TLS
			       : protocol == RECOGNISE_HTTP2 ? FOLLOW_HTTP2
							     : FOLLOW_NOTHING;
	return false;
}

/* --- one call */

static __always_inline void note_tls_peer(struct tls_peer *p, struct request_connection *c,
					  struct sock_common *common)
{
	p->known = 1;
	p->direction = c->direction;
	p->family = common->skc_family;
	p->port = port_of_server((struct sock *)common, c->direction);
	p->peer_port = p->family == AF_UNIX ? 0 : bpf_ntohs(common->skc_dport);
	if (p->family == AF_INET)
		BPF_CORE_READ_INTO((__be32 *)p->peer, common, skc_daddr);
	if (p->family == AF_INET6)
		BPF_CORE_READ_INTO(&p->peer, common, skc_v6_daddr);
}

/* A socket is used in SSL_read() or SSL_write(). The time of what comes is that of its last record,
 * whose header may be read apart; of what goes, that of the first. */
static __always_inline void note_tls_use(struct tls_thread *t, struct sock *sk,
					 struct request_connection *c, struct request_work *w,
					 int bytes, enum request_flow flow)
{
	bool begun = t->used && (!t->received || t->bytes == TLS_RECORD_HEADER);

	if (t->received != ((flow == FLOW_REQUESTS) == (c->direction == TCP_INBOUND)))
		return;
	t->bytes = bytes;
	if (begun)
		return;
	t->used = 1;
	t->now_ns = w->now_ns;
	t->stamp = flow == FLOW_REQUESTS ? w->stamp : 0;
	note_tls_peer(&t->peer, c, &sk->__sk_common);
}

/* True if the bytes are those of TLS whose inside is watched. */
static __always_inline bool is_watched_tls(struct sock *sk, struct request_connection *c,
					   struct request_work *w, int bytes,
					   enum request_flow flow)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct tls_thread *t;

	if (!tls_is_watched(id >> 32))
		return false;
	t = bpf_map_lookup_elem(&request_tls_threads, &id);
	if (t && t->ssl) {
		c->following = FOLLOW_TLS;
		note_tls_use(t, sk, c, w, bytes, flow);
		return true;
	}
	if (c->following != FOLLOW_TLS)
		return false;
	if ((flow == FLOW_REQUESTS) != (c->direction == TCP_INBOUND))
		return true;
	t = tls_thread_of(id);
	if (t) {
		note_tls_peer(&t->peer, c, &sk->__sk_common);
		t->pending = 1;
	}
	return true;
}

/* A connection of which no requests are known: not yet, or not at all. Not 0: from now on they are,
 * and the rest of the call is to be followed. */
static __noinline int passed_unknown(struct sock *sk, struct request_connection *c, int bytes,
				     enum request_flow flow)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct request_work *w = request_work();

	if (!sk || !c || !w)
		return 0;
	if (is_watched_tls(sk, c, w, bytes, flow))
		return 0;
	if (c->following >= FOLLOW_TLS)
		request_unseen(c->following - FOLLOW_TLS, bytes);
	if (c->following != FOLLOW_UNKNOWN)
		return 0;
	if (flow == FLOW_RESPONSES) {
		c->following = FOLLOW_NOTHING; /* the server speaks first: none of ours */
		return 0;
	}
	w->parser = c->parser[FLOW_REQUESTS];
	window_begin(w, c->held[FLOW_REQUESTS]);
	if (!find_memory(w, task, bytes)) {
		if (w->flags) {
			c->following = w->flags;
			request_unseen(c->following - FOLLOW_TLS, bytes);
		}
		return 0;
	}
	return recognise(c, w, sk, task);
}

/* The same of one whose requests are known. */
static __always_inline int passed_known(struct request_connection *c, struct request_work *w,
					struct task_struct *task, int bytes, enum request_flow flow)
{
	if (!find_memory(w, task, bytes)) {
		if (w->flags)
			request_unseen(w->flags - FOLLOW_TLS, bytes);
		/* of what is not seen, only what is passed over anyway can be followed */
		if (c->parser[flow].skip >= bytes)
			c->parser[flow].skip -= bytes;
		return 0;
	}
	w->parser = c->parser[flow];
	if (likely(passed_few(c, w, flow))) {
		c->parser[flow] = w->parser;
		return 0;
	}
	window_begin(w, c->held[flow]);
	return 1;
}

static __always_inline void note_peer(struct request_slow *s, struct sock_common *common)
{
	s->family = common->skc_family;
	if (s->family == AF_INET)
		BPF_CORE_READ_INTO((__be32 *)s->peer, common, skc_daddr);
	if (s->family == AF_INET6)
		BPF_CORE_READ_INTO(&s->peer, common, skc_v6_daddr);
	if (s->family != AF_UNIX)
		s->peer_port = bpf_ntohs(common->skc_dport);
}

/* Sends the slowest answer of a call to user space. */
static __noinline int sample(struct sock *sk, struct request_connection *c, struct request_work *w)
{
	struct request_slow *s;

	if (!sk || !c || !w)
		return 0;
	s = sample_begin(c, w);
	if (!s)
		return 0;
	note_peer(s, &sk->__sk_common);
	bpf_ringbuf_submit(s, 0);
	return 0;
}

static __always_inline int passed(struct sock *sk, int bytes, bool received)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct request_work *w = request_work();
	struct request_connection *c;
	enum request_flow flow;
	int left;

	c = bpf_sk_storage_get(&request_connections, sk, NULL, 0);
	if (!c)
		c = meet(sk, received);
	if (!c || !w)
		return 0;
	flow = received == (c->direction == TCP_INBOUND) ? FLOW_REQUESTS : FLOW_RESPONSES;
	w->now_ns = time_of(w, sk, received);
	w->batch_n = 0;
	w->slow_ns = 0;
	if (flow == FLOW_REQUESTS) {
		w->stamp = stamp_make(w->now_ns, received ? queued_us(w, sk) : ARRIVAL_UNKNOWN, 0);
		note_task(c, task, bytes);
	} else {
		w->in_flight = request_in_flight(c);
	}
	if (unlikely(c->following != FOLLOW_REQUESTS))
		left = passed_unknown(sk, c, bytes, flow);
	else
		left = passed_known(c, w, task, bytes, flow);
	if (left)
		request_follow(c, w, flow);
	if (unlikely(w->slow_ns))
		sample(sk, c, w);
	return 0;
}

static __always_inline bool is_ours(struct sock *sk)
{
	__u32 family = sk->__sk_common.skc_family;

	if (family == AF_INET || family == AF_INET6)
		return sk->sk_protocol == IPPROTO_TCP &&
		       (request_outbound || is_listened(sk->__sk_common.skc_num));
	return family == AF_UNIX && sk->sk_type == SOCK_STREAM;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(request_received, struct sock *sk, int bytes, int flags)
{
	if (bytes <= 0 || flags & MSG_PEEK || !is_ours(sk))
		return 0;
	cpu_keep();
	passed(sk, bytes, true);
	cpu_leave();
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(request_sent, struct sock *sk, int bytes, int flags)
{
	if (bytes <= 0 || !is_ours(sk))
		return 0;
	cpu_keep();
	passed(sk, bytes, false);
	cpu_leave();
	return 0;
}

/* A receive is about to take data from the queue: the socket's clock still holds when the last
 * packet came. Only the first of a call counts, as it turns the clock on. */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(request_arrived, struct sock *sk)
{
	struct request_work *w;

	cpu_keep();
	w = request_work();
	if (w && w->arrival_sock != (__u64)sk) {
		w->arrival_sock = (__u64)sk;
		w->arrival_us = tcp_of(sk)->tcp_mstamp;
	}
	cpu_leave();
	return 0;
}

/* Whether an answer may have come all the same: bytes that the task has not read (a FIN counts as
 * one), or that it is just reading. */
static __always_inline bool is_unread(struct sock *sk)
{
	struct tcp_sock *tp = tcp_of(sk);

	return tp->rcv_nxt - tp->copied_seq > 1 ||
	       (sk->sk_lock.owned && !(sk->__sk_common.skc_flags >> SOCK_DEAD & 1));
}

/* The end of a TCP connection: what it still asks for gets no answer. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(request_closed, struct sock *sk, int old_state, int new_state)
{
	struct request_connection *c;

	if (new_state != TCP_CLOSE)
		return 0;
	c = bpf_sk_storage_get(&request_connections, sk, NULL, 0);
	if (c && (c->direction == TCP_INBOUND || !is_unread(sk)))
		request_end(c);
	return 0;
}
