/* request_user.bpf.h - the bytes of a call in the memory of its caller, into the parsers, for the
 * ways of seeing requests whose programs run in the task that makes the call.
 *
 * They are work->total bytes: work->piece of them from work->from on, then those of work->iovs
 * vectors at work->iov.
 */
#ifndef TRIMTAB_REQUEST_USER_BPF_H
#define TRIMTAB_REQUEST_USER_BPF_H

#include "request_count.bpf.h"

#define REQUEST_FEW 48
#define REQUEST_PIECES_EMPTY 4 /* empty vectors passed over in a row */

struct user_vector {
	__u64 base, length;
};

/* Takes the next piece that is not empty. */
static __always_inline bool next_piece(struct request_work *w)
{
	struct user_vector vector;

	for (int i = 0; i < REQUEST_PIECES_EMPTY && w->iovs; i++) {
		if (bpf_probe_read_user(&vector, sizeof(vector), (void *)w->iov))
			return false;
		w->iov += sizeof(vector);
		w->iovs--;
		w->from = vector.base;
		w->piece = vector.length;
		if (w->piece)
			return true;
	}
	return false;
}

/* The few bytes of most calls, into the empty window, by way of the stack: a copy to other memory
 * is checked at length by kernels with hardened user copies. A frame of 64 bytes or more would not
 * be on the kernel's stack either, from 6.13 on. */
__noinline int request_read_few(struct request_work *w, __u64 from, __u32 n)
{
	__u64 few[REQUEST_FEW / 8] = {};

	if (!w || n > REQUEST_FEW || bpf_probe_read_user(few, n, (void *)from))
		return 0;
	for (int i = 0; i < REQUEST_FEW / 8; i++)
		((__u64 *)w->bytes)[REQUEST_HELD / 8 + i] = few[i];
	return 1;
}

static __always_inline bool read_user(struct request_work *w, __u64 n)
{
	if (n <= REQUEST_FEW)
		return request_read_few(w, w->from, n);
	return !bpf_probe_read_user(&w->bytes[REQUEST_HELD], n, (void *)w->from);
}

/* See request_follow.bpf.h. */
static __always_inline int request_fill(struct request_work *w)
{
	__u64 n, skip;

	if (!w->total || (!w->piece && !next_piece(w)))
		return 0;
	n = w->piece < w->total ? w->piece : w->total;
	if (w->at >= w->end && w->parser.skip) {
		skip = w->parser.skip < n ? w->parser.skip : n;
		w->from += skip;
		w->piece -= skip;
		w->total -= skip;
		w->parser.skip -= skip;
		return 1;
	}
	if (!window_move(w))
		return -1;
	if (n > w->first)
		n = w->first;
	if (n > REQUEST_WINDOW)
		n = REQUEST_WINDOW;
	if (!read_user(w, n))
		return -1;
	w->end = REQUEST_HELD + n;
	w->from += n;
	w->piece -= n;
	w->total -= n;
	w->first = REQUEST_WINDOW;
	return 1;
}

#include "request_follow.bpf.h"

/* Of a response by HTTP only the head matters, if no other can follow in the same call. */
static __always_inline bool is_head_enough(const struct request_connection *c,
					   const struct request_work *w, enum request_flow flow)
{
	return c->protocol == REQUEST_HTTP && flow == FLOW_RESPONSES && w->in_flight <= 1;
}

/* A call of few bytes that is one request or answer, or several alike: nearly all are. */
static __always_inline bool passed_few(struct request_connection *c, struct request_work *w,
				       enum request_flow flow)
{
	bool head = is_head_enough(c, w, flow);
	__u64 n = w->total;
	int event;

	if (w->parser.held || w->parser.skip)
		return false;
	if (head) {
		if (!w->piece && !next_piece(w))
			return false;
		n = w->piece < n ? w->piece : n;
		n = n < REQUEST_FEW ? n : REQUEST_FEW;
	} else if (n > REQUEST_FEW || w->piece != n) {
		return false;
	}
	if (!request_read_few(w, w->from, n))
		return false;
	w->at = REQUEST_HELD;
	w->end = REQUEST_HELD + n;
	event = request_step_once(w, c->protocol, flow);
	if (event == REQUEST_REST)
		return true;
	if ((w->at >= w->end || head) && request_take_only(c, w, event))
		return true;
	w->parser = c->parser[flow]; /* once more, with care */
	w->at = w->end = REQUEST_HELD;
	return false;
}

#endif
