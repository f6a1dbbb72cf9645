/* request_tls.bpf.c - requests inside TLS, as OpenSSL's callers give and get them.
 *
 * Uprobes at the entry and return of SSL_read() and SSL_write(), or of what both forms of each have
 * in common: agent/core/request_tls_symbols.c says where. At the entry the thread notes its
 * arguments, at the return the bytes run through the parsers. A connection is known by its SSL
 * object in its process; its port and peer, and when its bytes came and went, by the socket that
 * the same thread uses: see request_tls.bpf.h.
 *
 * Only processes that match request.tls, and those they fork, ever come here.
 *
 * Bounds: connections are request.connections / 8, threads and processes as in request_tls.bpf.h;
 * what finds no room is counted. These programs can be preempted by others on the same CPU, so a
 * CPU has several places to work in. Cost: see docs/requests.md; nearly all of it is the kernel's,
 * for the two breakpoints.
 */
#include <bpf/bpf_endian.h>
#include "request_count.bpf.h"
#include "request_sample.bpf.h"
#include "request_tls.bpf.h"
#include "request_user.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define RETURN_ADDRESS 8 /* bytes on the stack */
#define TLS_TRIES 4	 /* calls whose bytes are no request, until a connection is given up */

struct tls_key {
	__u64 ssl;
	__u32 tgid, pad;
};

struct tls_connection {
	struct request_connection c;
	struct tls_peer peer;
	__u8 decided; /* c.direction is: by the socket, else by the first request */
	__u8 tried;
	__u8 held_received; /* what is held of an unknown connection was received */
	__u8 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192); /* set before loading */
	__type(key, struct tls_key);
	__type(value, struct tls_connection);
} request_tls_connections SEC(".maps");

/* A connection as it begins. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tls_connection);
} request_tls_none SEC(".maps");

struct tls_work {
	struct request_work work;
	__u32 taken;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REQUEST_TLS_WORKS); /* times the CPUs, set before loading */
	__type(key, __u32);
	__type(value, struct tls_work);
} request_tls_works SEC(".maps");

/* --- places to work in: a program does not change its CPU */

static __always_inline struct request_work *take_place(void)
{
	__u32 first = bpf_get_smp_processor_id() * REQUEST_TLS_WORKS, place;
	struct tls_work *w;

	for (int i = 0; i < REQUEST_TLS_WORKS; i++) {
		place = first + i;
		w = bpf_map_lookup_elem(&request_tls_works, &place);
		if (w && !__sync_val_compare_and_swap(&w->taken, 0, 1))
			return &w->work;
	}
	return NULL;
}

static __always_inline void leave_place(struct request_work *w)
{
	__sync_lock_test_and_set(&((struct tls_work *)w)->taken, 0);
}

/* --- connections */

static __always_inline struct tls_key key_of(__u64 ssl)
{
	return (struct tls_key){.ssl = ssl, .tgid = bpf_get_current_pid_tgid() >> 32};
}

static __always_inline struct tls_connection *connection_of(__u64 ssl)
{
	struct tls_key key = key_of(ssl);

	return bpf_map_lookup_elem(&request_tls_connections, &key);
}

static __noinline struct tls_connection *meet(__u64 ssl)
{
	struct tls_key key = key_of(ssl);
	struct tls_connection *x;
	__u32 zero = 0;

	x = bpf_map_lookup_elem(&request_tls_none, &zero);
	if (!x)
		return NULL;
	bpf_map_update_elem(&request_tls_connections, &key, x, BPF_NOEXIST);
	x = bpf_map_lookup_elem(&request_tls_connections, &key);
	if (!x) {
		request_lose(REQUEST_LOST_CONNECTIONS, 1);
		return NULL;
	}
	x->c.named = OPERATION_UNNAMED;
	return x;
}

/* Takes the peer from the socket that the call used, or that bytes came from before it. */
static __always_inline void know_peer(struct tls_connection *x, struct tls_thread *t)
{
	if (!t->used && !t->pending)
		return;
	if (!x->peer.known && t->peer.known) {
		x->peer = t->peer;
		if (x->c.following == FOLLOW_UNKNOWN) {
			x->c.direction = t->peer.direction;
			x->decided = 1;
		}
	}
	t->pending = 0;
}

static __always_inline void begin_service(struct tls_connection *x, int protocol, bool received)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct request_key key = {.cgroup = cgroup_id_of(task->cgroups), .protocol = protocol};

	if (!x->decided)
		x->c.direction = received ? TCP_INBOUND : TCP_OUTBOUND;
	x->decided = 1;
	key.direction = x->c.direction;
	key.port = x->peer.port;
	key.inside = !x->peer.known;
	x->c.protocol = protocol;
	if (key.direction == TCP_OUTBOUND && !request_outbound) {
		x->c.following = FOLLOW_NOTHING;
		return;
	}
	x->c.service = request_service_of(&key);
	x->c.following = FOLLOW_REQUESTS;
}

static __always_inline enum request_flow flow_of(const struct tls_connection *x, bool received)
{
	return received == (x->c.direction == TCP_INBOUND) ? FLOW_REQUESTS : FLOW_RESPONSES;
}

/* What cannot be a request: with time it is none of our protocols. */
static __always_inline void not_recognised(struct tls_connection *x, int what, __u32 bytes)
{
	x->c.parser[FLOW_REQUESTS].held = 0;
	if (what == RECOGNISE_HTTP2) {
		x->c.following = FOLLOW_HTTP2;
		request_unseen(REQUEST_UNSEEN_HTTP2, bytes);
	} else if (what == RECOGNISE_TLS || ++x->tried >= TLS_TRIES) {
		x->c.following = FOLLOW_NOTHING;
	}
}

/* The first bytes of a connection, or what came before the end of a request's first line. True if
 * they are in the window and to be parsed now. */
static __noinline int recognise(struct tls_connection *x, struct request_work *w, __u32 received)
{
	__u32 bytes;
	int protocol;

	if (!x || !w)
		return 0;
	bytes = w->call_bytes;
	if (x->decided && flow_of(x, received) != FLOW_REQUESTS)
		return 0; /* the end of what was asked before it was watched */
	if (x->held_received != received)
		x->c.parser[FLOW_REQUESTS].held = 0;
	x->held_received = received;
	w->parser = x->c.parser[FLOW_REQUESTS];
	window_begin(w, x->c.held[FLOW_REQUESTS]);
	if (request_fill(w) <= 0)
		return 0;
	protocol = request_recognise(w);
	if (protocol > 0) {
		begin_service(x, protocol, received);
		return x->c.following == FOLLOW_REQUESTS;
	}
	if (protocol == RECOGNISE_MORE && window_end(w, x->c.held[FLOW_REQUESTS]) &&
	    w->parser.held < REQUEST_HELD)
		x->c.parser[FLOW_REQUESTS] = w->parser;
	else
		not_recognised(x, protocol, bytes);
	return 0;
}

/* --- one call */

/* Sends the slowest answer of a call to user space. */
static __noinline int sample(struct tls_connection *x, struct request_work *w)
{
	struct request_slow *s;

	if (!x || !w)
		return 0;
	s = sample_begin(&x->c, w);
	if (!s)
		return 0;
	s->family = x->peer.family;
	s->peer_port = x->peer.peer_port;
	__builtin_memcpy(s->peer, x->peer.peer, sizeof(s->peer));
	bpf_ringbuf_submit(s, 0);
	return 0;
}

/* When a call's bytes came or went: as the socket says, else now. */
static __always_inline void note_time(struct request_work *w, struct tls_connection *x,
				      const struct tls_thread *t, bool received)
{
	w->now_ns = t->used && t->now_ns ? t->now_ns : bpf_ktime_get_ns();
	w->stamp = t->used ? t->stamp : 0;
	if (!w->stamp)
		w->stamp = stamp_make(w->now_ns, ARRIVAL_UNKNOWN, 0);
	w->batch_n = 0;
	w->slow_ns = 0;
}

static __noinline int passed(struct tls_connection *x, struct tls_thread *t, struct request_work *w)
{
	struct task_struct *task = bpf_get_current_task_btf();
	enum request_flow flow;
	bool received;

	if (!x || !t || !w)
		return 0;
	received = t->received;
	note_time(w, x, t, received);
	if (x->c.following == FOLLOW_UNKNOWN && recognise(x, w, received)) {
		note_task(&x->c, task, w->call_bytes);
		request_follow(&x->c, w, FLOW_REQUESTS);
		return 0;
	}
	if (x->c.following != FOLLOW_REQUESTS)
		return 0;
	flow = flow_of(x, received);
	if (flow == FLOW_REQUESTS)
		note_task(&x->c, task, w->call_bytes);
	else
		w->in_flight = request_in_flight(&x->c);
	w->parser = x->c.parser[flow];
	if (likely(passed_few(&x->c, w, flow))) {
		x->c.parser[flow] = w->parser;
	} else {
		window_begin(w, x->c.held[flow]);
		request_follow(&x->c, w, flow);
	}
	if (unlikely(w->slow_ns))
		sample(x, w);
	return 0;
}

/* n bytes were read or written by the call that is at its end. */
static __always_inline void bytes_passed(struct tls_connection *x, struct tls_thread *t, __u64 n)
{
	struct request_work *w;

	if (x->c.following == FOLLOW_HTTP2)
		request_unseen(REQUEST_UNSEEN_HTTP2, n);
	if (x->c.following > FOLLOW_REQUESTS)
		return;
	w = take_place();
	if (!w) {
		request_stop(&x->c, REQUEST_LOST_SYNC);
		return;
	}
	w->from = t->buffer;
	w->piece = w->total = w->call_bytes = n;
	w->iovs = 0;
	w->first = REQUEST_WINDOW;
	passed(x, t, w);
	leave_place(w);
}

/* --- the hooks */

/* A call within a call is not the application's: of the function that the first one is made of, or
 * of TLS that carries this one's. */
static __always_inline int enter(struct pt_regs *ctx, bool received, __u64 length)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct tls_thread *t = tls_thread_of(id);

	if (!t) {
		request_lose(REQUEST_LOST_CONNECTIONS, 1);
		return 0;
	}
	if (t->ssl && ctx->sp < t->stack)
		return 0;
	t->ssl = ctx->di;
	t->buffer = ctx->si;
	t->length = length;
	t->stack = ctx->sp;
	t->received = received;
	t->used = 0;
	t->bytes = 0;
	return 0;
}

SEC("uprobe")
int request_tls_read(struct pt_regs *ctx)
{
	return enter(ctx, true, 0);
}

SEC("uprobe")
int request_tls_write(struct pt_regs *ctx)
{
	return enter(ctx, false, 0);
}

/* The forms that return 1 and put the number of bytes where their fourth argument says. */
SEC("uprobe")
int request_tls_read_ex(struct pt_regs *ctx)
{
	return enter(ctx, true, ctx->cx);
}

SEC("uprobe")
int request_tls_write_ex(struct pt_regs *ctx)
{
	return enter(ctx, false, ctx->cx);
}

/* ... their fifth (OpenSSL 3.3) */
SEC("uprobe")
int request_tls_write_ex2(struct pt_regs *ctx)
{
	return enter(ctx, false, ctx->r8);
}

SEC("uprobe")
int request_tls_return(struct pt_regs *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), ssl, n = 0;
	int result = (int)ctx->ax;
	struct tls_connection *x;
	struct tls_thread *t;

	t = bpf_map_lookup_elem(&request_tls_threads, &id);
	if (!t || !t->ssl || ctx->sp != t->stack + RETURN_ADDRESS)
		return 0;
	ssl = t->ssl;
	t->ssl = 0;
	if (result > 0)
		n = result;
	if (n && t->length && bpf_probe_read_user(&n, sizeof(n), (void *)t->length))
		n = 0;
	x = connection_of(ssl);
	if (!x && (n || t->used || t->pending))
		x = meet(ssl);
	if (!x)
		return 0;
	know_peer(x, t);
	if (n)
		bytes_passed(x, t, n);
	return 0;
}

/* Programs that move the bytes themselves call it with the handshake's. */
SEC("uprobe")
int request_tls_handshake(struct pt_regs *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct tls_thread *t = bpf_map_lookup_elem(&request_tls_threads, &id);
	struct tls_connection *x;

	if (!t || !t->pending || t->ssl)
		return 0;
	x = connection_of(ctx->di);
	if (!x)
		x = meet(ctx->di);
	t->used = 0;
	if (x)
		know_peer(x, t);
	return 0;
}

/* SSL_free(), SSL_clear(): what it still asks for gets no answer. */
SEC("uprobe")
int request_tls_free(struct pt_regs *ctx)
{
	struct tls_key key = key_of(ctx->di);
	struct tls_connection *x = bpf_map_lookup_elem(&request_tls_connections, &key);

	if (!x)
		return 0;
	request_end(&x->c);
	bpf_map_delete_elem(&request_tls_connections, &key);
	return 0;
}

/* What a watched process forks is watched: its uprobes go with it, if they are those of the task
 * that forks. The keeper attached to the first task of a process; others may be older than that. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(request_tls_forked, struct task_struct *parent, struct task_struct *child)
{
	__u32 tgid = child->tgid, from = parent->tgid, root, *of_parent;

	if (child->pid != tgid)
		return 0;
	of_parent = bpf_map_lookup_elem(&request_tls_processes, &from);
	if (!of_parent)
		return 0;
	root = parent->pid == from ? *of_parent : 0;
	bpf_map_update_elem(&request_tls_processes, &tgid, &root, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(request_tls_ended, struct task_struct *task)
{
	__u32 tgid = task->tgid;
	__u64 id = (__u64)tgid << 32 | (__u32)task->pid;

	if (!tls_is_watched(tgid))
		return 0;
	bpf_map_delete_elem(&request_tls_threads, &id);
	if (task->pid == tgid)
		bpf_map_delete_elem(&request_tls_processes, &tgid);
	return 0;
}

/* Counts them for their services, too: see request_connections_seen. */
SEC("iter/bpf_map_elem")
int request_tls_seen(struct bpf_iter__bpf_map_elem *ctx)
{
	struct tls_connection *x = ctx->value;

	if (x)
		request_seen(&x->c);
	return 0;
}
