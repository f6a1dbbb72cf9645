/* segment.bpf.h - where TCP's segment lies in a packet, and whose it is. */
#ifndef TRIMTAB_SEGMENT_BPF_H
#define TRIMTAB_SEGMENT_BPF_H

#include <bpf/bpf_endian.h>
#include "common.bpf.h"

#define AF_INET6 10

#define PROTOCOL_IPV6 0x86dd
#define PROTOCOL_TCP 6
#define PROTOCOL_JUMBO 0 /* hop-by-hop options: the length of a packet over 64 KiB */
#define IPV4_PROTOCOL 9
#define IPV4_SOURCE 12
#define IPV4_BYTES 20
#define IPV6_NEXT 6
#define IPV6_SOURCE_END 20 /* its last 32 bits */
#define IPV6_BYTES 40
#define IPV6_JUMBO_BYTES 8
#define TCP_TO_PORT 2
#define TCP_SEQ 4
#define TCP_LENGTH 12
#define TCP_FLAGS 13
#define TCP_BYTES 20
#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4

struct segment {
	__u32 offset, bytes;			      /* of the payload */
	__u32 seq;				      /* of its first byte */
	enum { ENDS_NONE, ENDS_ONE, ENDS_BOTH } ends; /* of the directions */
};

/* Who sent it to which port: all that a socket and its packets both tell, in network order. */
union segment_peer {
	struct {
		__u32 address; /* the last 32 bits */
		__u16 port, to_port;
	};
	__u64 key;
};

/* The header of TCP; those before it lie in the linear part of every packet that has a socket. */
static __always_inline __u8 *find_tcp(__u8 *data, __u8 *end, bool is_ipv6)
{
	if (!is_ipv6)
		return data + IPV4_BYTES > end || data[IPV4_PROTOCOL] != PROTOCOL_TCP
			   ? NULL
			   : data + (data[0] & 15) * 4;
	if (data + IPV6_BYTES + IPV6_JUMBO_BYTES > end)
		return NULL;
	if (data[IPV6_NEXT] == PROTOCOL_TCP)
		return data + IPV6_BYTES;
	data += IPV6_BYTES;
	if (data[IPV6_NEXT - IPV6_BYTES] != PROTOCOL_JUMBO || data[0] != PROTOCOL_TCP || data[1])
		return NULL;
	return data + IPV6_JUMBO_BYTES;
}

/* False if it is no segment of TCP, or one that only acknowledges. */
static __always_inline bool find_segment(struct __sk_buff *skb, struct segment *ret)
{
	__u8 *data = (__u8 *)(long)skb->data, *end = (__u8 *)(long)skb->data_end;
	__u8 *tcp = find_tcp(data, end, skb->protocol == bpf_htons(PROTOCOL_IPV6)), flags;

	if (!tcp || tcp + TCP_BYTES > end)
		return false;
	flags = tcp[TCP_FLAGS];
	ret->offset = tcp - data + (tcp[TCP_LENGTH] >> 4) * 4;
	ret->bytes = skb->len > ret->offset ? skb->len - ret->offset : 0;
	ret->seq = bpf_ntohl(*(__u32 *)(tcp + TCP_SEQ)) + !!(flags & TCP_SYN);
	ret->ends = flags & TCP_RST ? ENDS_BOTH : flags & TCP_FIN ? ENDS_ONE : ENDS_NONE;
	return ret->bytes || ret->ends;
}

/* Of a packet whose segment was found. */
static __always_inline bool find_peer(struct __sk_buff *skb, union segment_peer *ret)
{
	__u8 *data = (__u8 *)(long)skb->data, *end = (__u8 *)(long)skb->data_end;
	bool is_ipv6 = skb->protocol == bpf_htons(PROTOCOL_IPV6);
	__u8 *tcp = find_tcp(data, end, is_ipv6);

	if (!tcp || tcp + TCP_BYTES > end || data + IPV6_BYTES > end)
		return false;
	ret->address = *(__u32 *)(data + (is_ipv6 ? IPV6_SOURCE_END : IPV4_SOURCE));
	ret->port = *(__u16 *)tcp;
	ret->to_port = *(__u16 *)(tcp + TCP_TO_PORT);
	return true;
}

/* 32 bits of the remote address; IPv4 has no others. One load after the other: which one is not to
 * become an offset, which old verifiers refuse. */
static __always_inline __u32 remote_word(struct bpf_sock *sk, int i)
{
	__u32 address = sk->dst_ip4;

	verifier_sees(address);
	if (sk->family == AF_INET6)
		address = sk->dst_ip6[i];
	return address;
}

static __always_inline void peer_of(struct bpf_sock *sk, union segment_peer *ret)
{
	ret->address = remote_word(sk, 3);
	ret->port = sk->dst_port;
	ret->to_port = bpf_htons(sk->src_port);
}

#endif
