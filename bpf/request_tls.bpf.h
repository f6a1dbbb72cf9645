/* request_tls.bpf.h - what the programs on sockets tell those on OpenSSL: which connection the
 * bytes of TLS went by, and when.
 *
 * A thread that is in SSL_read() or SSL_write() and uses a socket there uses that of the
 * connection. Programs that move the bytes themselves (Node, asyncio) receive from a socket first
 * and call OpenSSL then: the next call of the thread takes what was received last. Where neither
 * holds, the connection has no known port.
 *
 * Bounds: REQUEST_TLS_PROCESSES processes, REQUEST_TLS_THREADS threads. Cost: without processes
 * that are watched, one look-up for each call on a socket that carries none of our protocols.
 */
#ifndef TRIMTAB_REQUEST_TLS_BPF_H
#define TRIMTAB_REQUEST_TLS_BPF_H

#include "request_count.bpf.h"

#define TLS_RECORD_HEADER 5 /* OpenSSL reads it by itself, the rest of the record then */

struct tls_peer {
	__u8 known;
	__u8 direction, family;
	__u8 pad;
	__u16 port;	 /* of the server, host order */
	__u16 peer_port; /* of the other end */
	__u8 peer[16];
};

struct tls_thread {
	__u64 ssl;     /* of the call that the thread is in; 0: it is in none */
	__u64 buffer;  /* its argument */
	__u64 length;  /* where it puts the number of bytes; 0: that is what it returns */
	__u64 stack;   /* the stack pointer at its entry */
	__u8 received; /* it is SSL_read() */
	__u8 used;     /* it used a socket: the next three are set */
	__u8 pending;  /* outside of a call: the peer is of bytes received that no call has taken */
	__u8 pad;
	__u32 bytes; /* of the last use */
	__u64 now_ns, stamp;
	struct tls_peer peer;
};

/* The processes that are watched, with the keeper's number (from 1) for the one whose uprobes they
 * have; 0: they may have none. Told by the keeper, kept up by forks and exits. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUEST_TLS_PROCESSES);
	__type(key, __u32); /* thread group */
	__type(value, __u32);
} request_tls_processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUEST_TLS_THREADS);
	__type(key, __u64); /* thread group << 32 | thread */
	__type(value, struct tls_thread);
} request_tls_threads SEC(".maps");

static __always_inline bool tls_is_watched(__u32 tgid)
{
	return bpf_map_lookup_elem(&request_tls_processes, &tgid);
}

/* What is known of a thread, made if it is not there. NULL: no room. */
static __always_inline struct tls_thread *tls_thread_of(__u64 id)
{
	struct tls_thread *t = bpf_map_lookup_elem(&request_tls_threads, &id), none = {};

	if (t)
		return t;
	bpf_map_update_elem(&request_tls_threads, &id, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&request_tls_threads, &id);
}

#endif
