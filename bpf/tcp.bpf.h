/* tcp.bpf.h - the maps that tell connections and service ports, shared by tcp.bpf.c and
 * syscall.bpf.c (which sees accept() return). The loader gives maps of one name in two objects one
 * descriptor. */
#ifndef TRIMTAB_TCP_BPF_H
#define TRIMTAB_TCP_BPF_H

#include "listened.bpf.h"
#include <bpf/bpf_endian.h>

struct connection {
	__u64 start_ns; /* SYN sent, or established if inbound; 0: not known, or done with */
	__u64 bytes[TCP_DIRECTIONS]; /* already in tcp_totals */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536); /* tcp.connections */
	__type(key, __u64);	    /* the socket's address */
	__type(value, struct connection);
} tcp_connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TCP_PORTS);
	__type(key, __u32);
	__type(value, struct tcp_port);
} tcp_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TCP_PORTS);
	__type(key, __u32); /* direction << 16 | port */
	__type(value, __u32);
} tcp_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TCP_PORTS);
	__type(key, __u32);
	__type(value, __u32);
} tcp_owners SEC(".maps");

static __always_inline struct tcp_port *port_slot(__u32 direction, __u32 port)
{
	__u32 slot =
	    slot_of_key(&tcp_ids, &tcp_owners, direction << 16 | port, TCP_DIRECTIONS, TCP_PORTS);
	struct tcp_port *p;

	if (!slot)
		slot = direction;
	p = bpf_map_lookup_elem(&tcp_ports, &slot);
	if (p && slot >= TCP_DIRECTIONS && !p->port) {
		p->direction = direction;
		p->port = port;
	}
	return p;
}

static __noinline struct tcp_port *port_of(struct sock_common *common)
{
	__u64 local;
	__u16 remote;

	if (!common)
		return NULL;
	local = BPF_CORE_READ(common, skc_num);
	if (!local) /* a connection that ends has given its port back already */
		local = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)common, inet_sport));
	remote = bpf_ntohs(BPF_CORE_READ(common, skc_dport));
	if (is_listened(local))
		return port_slot(TCP_INBOUND, local);
	return port_slot(TCP_OUTBOUND, remote);
}

#endif
