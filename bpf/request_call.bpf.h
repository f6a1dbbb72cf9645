/* request_call.bpf.h - where the bytes of a system call on a socket are: in its caller's memory,
 * which the saved registers of the task tell.
 */
#ifndef TRIMTAB_REQUEST_CALL_BPF_H
#define TRIMTAB_REQUEST_CALL_BPF_H

#include "request_connection.bpf.h"

/* PF_KTHREAD, PF_IO_WORKER, PF_USER_WORKER: no system call of theirs brought them here */
#define PF_NO_CALL (0x00200000 | 0x10 | 0x4000)

#define NR_IO_URING_ENTER 426
#define NR_RECVMMSG 299
#define NR_SENDMMSG 307

/* what a system call's second argument points to */
enum call_memory { MEMORY_NONE, MEMORY_BYTES, MEMORY_VECTOR, MEMORY_MESSAGE };

#define CALLS 64
static const __u8 memory_of_call[CALLS] = {
    [0] = MEMORY_BYTES,	   /* read */
    [1] = MEMORY_BYTES,	   /* write */
    [19] = MEMORY_VECTOR,  /* readv */
    [20] = MEMORY_VECTOR,  /* writev */
    [44] = MEMORY_BYTES,   /* sendto */
    [45] = MEMORY_BYTES,   /* recvfrom */
    [46] = MEMORY_MESSAGE, /* sendmsg */
    [47] = MEMORY_MESSAGE, /* recvmsg */
};

struct user_message {
	__u64 name;
	__u32 name_length, pad;
	__u64 iov, iovs;
};

static __always_inline bool message_of(struct request_work *w, __u64 address)
{
	struct user_message message;

	if (bpf_probe_read_user(&message, sizeof(message), (void *)address))
		return false;
	w->iov = message.iov;
	w->iovs = message.iovs;
	return true;
}

/* Finds the caller's memory. False if it is not known: sendfile(), splice(), the kernel's own
 * sends; if that holds for the whole connection, work->flags says why (enum request_following). */
static __always_inline bool find_memory(struct request_work *w, struct task_struct *task,
					__u32 bytes)
{
	struct pt_regs *regs;
	__u64 nr, kind;

	w->piece = w->iovs = 0;
	w->total = w->call_bytes = bytes;
	w->first = REQUEST_WINDOW;
	w->flags = 0;
	if (unlikely(task->flags & PF_NO_CALL))
		return false;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	nr = regs->orig_ax;
	if (unlikely(regs->cs == USER32_CS)) {
		w->flags = FOLLOW_COMPAT;
		return false;
	}
	if (nr >= CALLS) {
		if (nr == NR_IO_URING_ENTER)
			w->flags = FOLLOW_IO_URING;
		if (nr == NR_RECVMMSG || nr == NR_SENDMMSG) /* which of the messages is it? */
			w->flags = FOLLOW_COMPAT;
		return false;
	}
	kind = memory_of_call[nr];
	if (likely(kind == MEMORY_BYTES)) {
		w->from = regs->si;
		w->piece = bytes;
		return true;
	}
	if (kind == MEMORY_MESSAGE)
		return message_of(w, regs->si);
	w->iov = regs->si;
	w->iovs = regs->dx;
	return kind == MEMORY_VECTOR;
}

#endif
