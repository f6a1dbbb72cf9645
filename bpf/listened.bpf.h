/* listened.bpf.h - the ports that are, or were, listened on: what tells a server's sockets from a
 * client's. Written by the tcp probe, in all network namespaces together. */
#ifndef TRIMTAB_LISTENED_BPF_H
#define TRIMTAB_LISTENED_BPF_H

#include "common.bpf.h"

struct tcp_listened {
	__u8 port[65536]; /* by local port: it is or was listened on */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcp_listened);
} tcp_listened SEC(".maps");

static __always_inline void listen_on(__u16 port)
{
	__u32 zero = 0;
	struct tcp_listened *l = bpf_map_lookup_elem(&tcp_listened, &zero);

	if (l)
		l->port[port] = 1;
}

static __always_inline bool is_listened(__u64 port)
{
	struct tcp_listened *l;
	__u32 zero = 0;

	l = bpf_map_lookup_elem(&tcp_listened, &zero);
	verifier_sees(port);
	port &= 0xffff;
	return l && l->port[port];
}

#endif
