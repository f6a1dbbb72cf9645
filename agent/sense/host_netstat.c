/* host_netstat.c - the network stack's own counters and its sockets.
 *
 * Inputs: /proc/net/{snmp,netstat,snmp6,sockstat,sockstat6}: of the network namespace this runs in,
 * which is the node's (a DaemonSet runs with hostNetwork). The first two are pairs of lines, names
 * and then values, both led by the protocol. Bounds: the tables below; other fields are passed
 * over. Cost: about 50 us.
 */
#include "host.h"

#include <unistd.h>

struct field {
	const char *protocol, *key;
	struct metric metric;
};

#define FIELD(protocol_, key_, type_, source_, name_, help_)                                       \
	{                                                                                          \
		protocol_, key_,                                                                   \
		{                                                                                  \
			name_, METRIC_##type_, "", help_, source_                                  \
		}                                                                                  \
	}

/* in the order of the files, so that each search finds its field at once */
static const struct field fields[] = {
    FIELD("Ip", "Forwarding", GAUGE, "/proc/net/snmp", "trimtab_netstat_ip_forwarding",
	  "1 if IPv4 packets are forwarded, 2 if not."),
    FIELD("Ip", "InReceives", COUNTER, "/proc/net/snmp", "trimtab_netstat_ip_in_receives_total",
	  "IPv4 packets received."),
    FIELD("Ip", "InDiscards", COUNTER, "/proc/net/snmp", "trimtab_netstat_ip_in_discards_total",
	  "IPv4 packets received well and dropped, as for want of memory."),
    FIELD("Ip", "OutDiscards", COUNTER, "/proc/net/snmp", "trimtab_netstat_ip_out_discards_total",
	  "IPv4 packets to be sent and dropped."),
    FIELD("Ip", "OutNoRoutes", COUNTER, "/proc/net/snmp", "trimtab_netstat_ip_out_no_routes_total",
	  "IPv4 packets that had no route."),
    FIELD("Ip", "ReasmFails", COUNTER, "/proc/net/snmp", "trimtab_netstat_ip_reasm_fails_total",
	  "IPv4 fragments that could not be put together."),
    FIELD("Icmp", "InMsgs", COUNTER, "/proc/net/snmp", "trimtab_netstat_icmp_in_msgs_total",
	  "ICMP messages received."),
    FIELD("Icmp", "InErrors", COUNTER, "/proc/net/snmp", "trimtab_netstat_icmp_in_errors_total",
	  "ICMP messages received with errors."),
    FIELD("Icmp", "OutMsgs", COUNTER, "/proc/net/snmp", "trimtab_netstat_icmp_out_msgs_total",
	  "ICMP messages sent."),
    FIELD("Tcp", "ActiveOpens", COUNTER, "/proc/net/snmp", "trimtab_netstat_tcp_active_opens_total",
	  "TCP connections opened from this node."),
    FIELD("Tcp", "PassiveOpens", COUNTER, "/proc/net/snmp",
	  "trimtab_netstat_tcp_passive_opens_total", "TCP connections accepted."),
    FIELD("Tcp", "AttemptFails", COUNTER, "/proc/net/snmp",
	  "trimtab_netstat_tcp_attempt_fails_total", "TCP connections that failed to open."),
    FIELD("Tcp", "EstabResets", COUNTER, "/proc/net/snmp", "trimtab_netstat_tcp_estab_resets_total",
	  "TCP connections that were open and were reset."),
    FIELD("Tcp", "CurrEstab", GAUGE, "/proc/net/snmp", "trimtab_netstat_tcp_curr_estab",
	  "TCP connections that are open or half closed."),
    FIELD("Tcp", "InSegs", COUNTER, "/proc/net/snmp", "trimtab_netstat_tcp_in_segs_total",
	  "TCP segments received."),
    FIELD("Tcp", "OutSegs", COUNTER, "/proc/net/snmp", "trimtab_netstat_tcp_out_segs_total",
	  "TCP segments sent, without those sent again."),
    FIELD("Tcp", "RetransSegs", COUNTER, "/proc/net/snmp", "trimtab_netstat_tcp_retrans_segs_total",
	  "TCP segments sent again."),
    FIELD("Tcp", "InErrs", COUNTER, "/proc/net/snmp", "trimtab_netstat_tcp_in_errs_total",
	  "TCP segments received with errors."),
    FIELD("Tcp", "OutRsts", COUNTER, "/proc/net/snmp", "trimtab_netstat_tcp_out_rsts_total",
	  "TCP resets sent."),
    FIELD("Tcp", "InCsumErrors", COUNTER, "/proc/net/snmp",
	  "trimtab_netstat_tcp_in_csum_errors_total", "TCP segments with a wrong checksum."),
    FIELD("Udp", "InDatagrams", COUNTER, "/proc/net/snmp", "trimtab_netstat_udp_in_datagrams_total",
	  "UDP datagrams received."),
    FIELD("Udp", "NoPorts", COUNTER, "/proc/net/snmp", "trimtab_netstat_udp_no_ports_total",
	  "UDP datagrams for a port nobody listens on."),
    FIELD("Udp", "InErrors", COUNTER, "/proc/net/snmp", "trimtab_netstat_udp_in_errors_total",
	  "UDP datagrams that could not be delivered."),
    FIELD("Udp", "OutDatagrams", COUNTER, "/proc/net/snmp",
	  "trimtab_netstat_udp_out_datagrams_total", "UDP datagrams sent."),
    FIELD("Udp", "RcvbufErrors", COUNTER, "/proc/net/snmp",
	  "trimtab_netstat_udp_rcvbuf_errors_total",
	  "UDP datagrams dropped because the receive buffer was full."),
    FIELD("Udp", "SndbufErrors", COUNTER, "/proc/net/snmp",
	  "trimtab_netstat_udp_sndbuf_errors_total",
	  "UDP datagrams dropped because the send buffer was full."),
    FIELD("UdpLite", "InErrors", COUNTER, "/proc/net/snmp",
	  "trimtab_netstat_udplite_in_errors_total",
	  "UDP-Lite datagrams that could not be delivered."),
    FIELD("TcpExt", "SyncookiesSent", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_syncookies_sent_total",
	  "SYN cookies sent because a listen queue was full."),
    FIELD("TcpExt", "SyncookiesRecv", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_syncookies_recv_total", "SYN cookies received that were valid."),
    FIELD("TcpExt", "SyncookiesFailed", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_syncookies_failed_total",
	  "SYN cookies received that were not valid."),
    FIELD("TcpExt", "TW", COUNTER, "/proc/net/netstat", "trimtab_netstat_tcpext_tw_total",
	  "Sockets that went through TIME_WAIT in the usual way."),
    FIELD("TcpExt", "PruneCalled", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_prune_called_total",
	  "Times that a receive queue had to be pruned for want of memory."),
    FIELD("TcpExt", "ListenOverflows", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_listen_overflows_total",
	  "Connections refused because an accept queue was full."),
    FIELD("TcpExt", "ListenDrops", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_listen_drops_total",
	  "Connections dropped before they were accepted, overflows included."),
    FIELD("TcpExt", "TCPLostRetransmit", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_lost_retransmit_total",
	  "Segments sent again that were lost again."),
    FIELD("TcpExt", "TCPFastRetrans", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_fast_retrans_total",
	  "Segments sent again by fast retransmit."),
    FIELD("TcpExt", "TCPTimeouts", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_timeouts_total", "Retransmission timeouts."),
    FIELD("TcpExt", "TCPBacklogDrop", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_backlog_drop_total",
	  "Packets dropped because a socket's backlog was full."),
    FIELD("TcpExt", "TCPAbortOnMemory", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_abort_on_memory_total",
	  "Connections aborted for want of memory."),
    FIELD("TcpExt", "TCPReqQFullDrop", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_reqq_full_drop_total",
	  "SYNs dropped because a request queue was full."),
    FIELD("TcpExt", "TCPOFOQueue", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_ofo_queue_total", "Segments received out of order."),
    FIELD("TcpExt", "TCPRcvQDrop", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_rcvq_drop_total",
	  "Segments dropped because a receive queue was full."),
    FIELD("TcpExt", "TCPMemoryPressures", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_memory_pressures_total",
	  "Times that TCP came under memory pressure."),
    FIELD("TcpExt", "TCPSynRetrans", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_syn_retrans_total", "SYNs sent again."),
    FIELD("TcpExt", "TCPZeroWindowDrop", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_tcpext_tcp_zero_window_drop_total",
	  "Segments dropped because the window was closed."),
    FIELD("IpExt", "InOctets", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_ipext_in_octets_total", "Bytes of IPv4 packets received."),
    FIELD("IpExt", "OutOctets", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_ipext_out_octets_total", "Bytes of IPv4 packets sent."),
    FIELD("IpExt", "InNoRoutes", COUNTER, "/proc/net/netstat",
	  "trimtab_netstat_ipext_in_no_routes_total", "IPv4 packets received that had no route."),
};

static const struct field fields6[] = {
    FIELD("", "Ip6InOctets", COUNTER, "/proc/net/snmp6", "trimtab_netstat_ip6_in_octets_total",
	  "Bytes of IPv6 packets received."),
    FIELD("", "Ip6OutOctets", COUNTER, "/proc/net/snmp6", "trimtab_netstat_ip6_out_octets_total",
	  "Bytes of IPv6 packets sent."),
    FIELD("", "Ip6InReceives", COUNTER, "/proc/net/snmp6", "trimtab_netstat_ip6_in_receives_total",
	  "IPv6 packets received."),
    FIELD("", "Ip6InDiscards", COUNTER, "/proc/net/snmp6", "trimtab_netstat_ip6_in_discards_total",
	  "IPv6 packets received well and dropped."),
    FIELD("", "Ip6OutDiscards", COUNTER, "/proc/net/snmp6",
	  "trimtab_netstat_ip6_out_discards_total", "IPv6 packets to be sent and dropped."),
    FIELD("", "Ip6OutNoRoutes", COUNTER, "/proc/net/snmp6",
	  "trimtab_netstat_ip6_out_no_routes_total", "IPv6 packets that had no route."),
    FIELD("", "Icmp6InMsgs", COUNTER, "/proc/net/snmp6", "trimtab_netstat_icmp6_in_msgs_total",
	  "ICMPv6 messages received."),
    FIELD("", "Icmp6InErrors", COUNTER, "/proc/net/snmp6", "trimtab_netstat_icmp6_in_errors_total",
	  "ICMPv6 messages received with errors."),
    FIELD("", "Icmp6OutMsgs", COUNTER, "/proc/net/snmp6", "trimtab_netstat_icmp6_out_msgs_total",
	  "ICMPv6 messages sent."),
    FIELD("", "Udp6InDatagrams", COUNTER, "/proc/net/snmp6",
	  "trimtab_netstat_udp6_in_datagrams_total", "UDP datagrams received over IPv6."),
    FIELD("", "Udp6NoPorts", COUNTER, "/proc/net/snmp6", "trimtab_netstat_udp6_no_ports_total",
	  "UDP datagrams over IPv6 for a port nobody listens on."),
    FIELD("", "Udp6InErrors", COUNTER, "/proc/net/snmp6", "trimtab_netstat_udp6_in_errors_total",
	  "UDP datagrams over IPv6 that could not be delivered."),
    FIELD("", "Udp6OutDatagrams", COUNTER, "/proc/net/snmp6",
	  "trimtab_netstat_udp6_out_datagrams_total", "UDP datagrams sent over IPv6."),
    FIELD("", "Udp6RcvbufErrors", COUNTER, "/proc/net/snmp6",
	  "trimtab_netstat_udp6_rcvbuf_errors_total",
	  "UDP datagrams over IPv6 dropped because the receive buffer was full."),
    FIELD("", "Udp6SndbufErrors", COUNTER, "/proc/net/snmp6",
	  "trimtab_netstat_udp6_sndbuf_errors_total",
	  "UDP datagrams over IPv6 dropped because the send buffer was full."),
    FIELD("", "UdpLite6InErrors", COUNTER, "/proc/net/snmp6",
	  "trimtab_netstat_udplite6_in_errors_total",
	  "UDP-Lite datagrams over IPv6 that could not be delivered."),
};

/* sockstat's "mem" is in pages, all else as it is */
static const struct field sockets[] = {
    FIELD("sockets", "used", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_sockets_used",
	  "Sockets of all kinds."),
    FIELD("TCP", "inuse", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_tcp_inuse",
	  "TCP sockets over IPv4 in use, TIME_WAIT not included."),
    FIELD("TCP", "orphan", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_tcp_orphan",
	  "TCP sockets that no process holds any more."),
    FIELD("TCP", "tw", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_tcp_tw",
	  "TCP sockets in TIME_WAIT."),
    FIELD("TCP", "alloc", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_tcp_alloc",
	  "TCP sockets allocated."),
    FIELD("TCP", "mem", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_tcp_mem_bytes",
	  "Memory of TCP's buffers."),
    FIELD("UDP", "inuse", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_udp_inuse",
	  "UDP sockets over IPv4 in use."),
    FIELD("UDP", "mem", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_udp_mem_bytes",
	  "Memory of UDP's buffers."),
    FIELD("UDPLITE", "inuse", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_udplite_inuse",
	  "UDP-Lite sockets over IPv4 in use."),
    FIELD("RAW", "inuse", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_raw_inuse",
	  "Raw sockets over IPv4 in use."),
    FIELD("FRAG", "inuse", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_frag_inuse",
	  "IPv4 packets being put together from fragments."),
    FIELD("FRAG", "memory", GAUGE, "/proc/net/sockstat", "trimtab_sockstat_frag_memory_bytes",
	  "Memory of IPv4 fragments."),
    FIELD("TCP6", "inuse", GAUGE, "/proc/net/sockstat6", "trimtab_sockstat_tcp6_inuse",
	  "TCP sockets over IPv6 in use."),
    FIELD("UDP6", "inuse", GAUGE, "/proc/net/sockstat6", "trimtab_sockstat_udp6_inuse",
	  "UDP sockets over IPv6 in use."),
    FIELD("UDPLITE6", "inuse", GAUGE, "/proc/net/sockstat6", "trimtab_sockstat_udplite6_inuse",
	  "UDP-Lite sockets over IPv6 in use."),
    FIELD("RAW6", "inuse", GAUGE, "/proc/net/sockstat6", "trimtab_sockstat_raw6_inuse",
	  "Raw sockets over IPv6 in use."),
    FIELD("FRAG6", "inuse", GAUGE, "/proc/net/sockstat6", "trimtab_sockstat_frag6_inuse",
	  "IPv6 packets being put together from fragments."),
    FIELD("FRAG6", "memory", GAUGE, "/proc/net/sockstat6", "trimtab_sockstat_frag6_memory_bytes",
	  "Memory of IPv6 fragments."),
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))
#define FIELDS6 (sizeof(fields6) / sizeof(fields6[0]))
#define SOCKETS (sizeof(sockets) / sizeof(sockets[0]))

static const struct field *find(const struct field *table, size_t n, struct host_text protocol,
				struct host_text key, size_t *from)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = (*from + i) % n;

		if (host_text_is(key, table[at].key) &&
		    host_text_is(protocol, table[at].protocol)) {
			*from = at + 1;
			return &table[at];
		}
	}
	return NULL;
}

/* names and values: the rest of the two lines */
static void read_pair(struct host *h, struct host_text protocol, struct host_text names,
		      struct host_text values, size_t *from)
{
	struct host_text name, value;
	const struct field *field;
	uint64_t number;

	while (host_text_word(&names, &name) && host_text_word(&values, &value)) {
		field = find(fields, FIELDS, protocol, name, from);
		/* Tcp's MaxConn is -1: not a field of ours, and host_text_u64() refuses it */
		if (field && host_text_u64(&value, &number))
			host_set(h, &field->metric, (double)number);
	}
}

static void read_pairs(struct host *h, enum host_file file)
{
	struct host_text text, names, values, protocol, same;
	size_t from = 0;

	if (host_file_read(h, file, &text) < 0)
		return;
	while (host_text_line(&text, &names) && host_text_line(&text, &values)) {
		if (!host_text_until(&names, ':', &protocol) ||
		    !host_text_until(&values, ':', &same) ||
		    protocol.end - protocol.at != same.end - same.at)
			return;
		read_pair(h, protocol, names, values, &from);
	}
}

static void read_snmp6(struct host *h)
{
	struct host_text text, line, key;
	const struct field *field;
	uint64_t number;
	size_t from = 0;

	if (host_file_read(h, HOST_SNMP6, &text) < 0)
		return;
	while (host_text_line(&text, &line)) {
		if (!host_text_word(&line, &key))
			continue;
		field = find(fields6, FIELDS6, host_text_of(""), key, &from);
		if (field && host_text_u64(&line, &number))
			host_set(h, &field->metric, (double)number);
	}
}

/* lines of "TCP: inuse 4 orphan 0" */
static void read_sockets(struct host *h, enum host_file file)
{
	double page_bytes = (double)sysconf(_SC_PAGESIZE);
	struct host_text text, line, protocol, key;
	const struct field *field;
	uint64_t number;
	size_t from = 0;

	if (host_file_read(h, file, &text) < 0)
		return;
	while (host_text_line(&text, &line)) {
		if (!host_text_until(&line, ':', &protocol))
			continue;
		while (host_text_word(&line, &key) && host_text_u64(&line, &number)) {
			field = find(sockets, SOCKETS, protocol, key, &from);
			if (field)
				host_set(h, &field->metric,
					 (double)number *
					     (host_text_is(key, "mem") ? page_bytes : 1));
		}
	}
}

static void netstat_tick(struct host *h)
{
	read_pairs(h, HOST_SNMP);
	read_pairs(h, HOST_NETSTAT);
	read_snmp6(h);
	read_sockets(h, HOST_SOCKSTAT);
	read_sockets(h, HOST_SOCKSTAT6);
}

static const struct metric *netstat_metric(size_t i)
{
	if (i < FIELDS)
		return &fields[i].metric;
	i -= FIELDS;
	if (i < FIELDS6)
		return &fields6[i].metric;
	i -= FIELDS6;
	return i < SOCKETS ? &sockets[i].metric : NULL;
}

const struct host_part host_netstat_part = {
    .name = "netstat",
    .tick = netstat_tick,
    .metric = netstat_metric,
};
