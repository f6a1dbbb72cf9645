/* host_netstat.c - the network stack's own counters and its sockets.
 *
 * Inputs: /proc/net/{snmp,netstat,snmp6,sockstat,sockstat6}: of the network namespace this runs in,
 * which is the node's (a DaemonSet runs with hostNetwork). The first two are pairs of lines, names
 * and then values, both led by the protocol. Bounds: the tables below; other fields are passed
 * over. Cost:
 * about 70 us, and 100 us more at each slow tick, when IPv6's files are read.
 */
#include "host.h"

#include <string.h>
#include <unistd.h>

static const struct metric fields[] METRIC = {
    {"trimtab_netstat_ip_forwarding", METRIC_GAUGE, "",
     "1 if IPv4 packets are forwarded, 2 if not.", "/proc/net/snmp Ip Forwarding"},
    {"trimtab_netstat_ip_in_receives_total", METRIC_COUNTER, "", "IPv4 packets received.",
     "/proc/net/snmp Ip InReceives"},
    {"trimtab_netstat_ip_in_discards_total", METRIC_COUNTER, "",
     "IPv4 packets received well and dropped, as for want of memory.",
     "/proc/net/snmp Ip InDiscards"},
    {"trimtab_netstat_ip_out_discards_total", METRIC_COUNTER, "",
     "IPv4 packets to be sent and dropped.", "/proc/net/snmp Ip OutDiscards"},
    {"trimtab_netstat_ip_out_no_routes_total", METRIC_COUNTER, "",
     "IPv4 packets that had no route.", "/proc/net/snmp Ip OutNoRoutes"},
    {"trimtab_netstat_ip_reasm_fails_total", METRIC_COUNTER, "",
     "IPv4 fragments that could not be put together.", "/proc/net/snmp Ip ReasmFails"},
    {"trimtab_netstat_icmp_in_msgs_total", METRIC_COUNTER, "", "ICMP messages received.",
     "/proc/net/snmp Icmp InMsgs"},
    {"trimtab_netstat_icmp_in_errors_total", METRIC_COUNTER, "",
     "ICMP messages received with errors.", "/proc/net/snmp Icmp InErrors"},
    {"trimtab_netstat_icmp_out_msgs_total", METRIC_COUNTER, "", "ICMP messages sent.",
     "/proc/net/snmp Icmp OutMsgs"},
    {"trimtab_netstat_tcp_active_opens_total", METRIC_COUNTER, "",
     "TCP connections opened from this node.", "/proc/net/snmp Tcp ActiveOpens"},
    {"trimtab_netstat_tcp_passive_opens_total", METRIC_COUNTER, "", "TCP connections accepted.",
     "/proc/net/snmp Tcp PassiveOpens"},
    {"trimtab_netstat_tcp_attempt_fails_total", METRIC_COUNTER, "",
     "TCP connections that failed to open.", "/proc/net/snmp Tcp AttemptFails"},
    {"trimtab_netstat_tcp_estab_resets_total", METRIC_COUNTER, "",
     "TCP connections that were open and were reset.", "/proc/net/snmp Tcp EstabResets"},
    {"trimtab_netstat_tcp_curr_estab", METRIC_GAUGE, "",
     "TCP connections that are open or half closed.", "/proc/net/snmp Tcp CurrEstab"},
    {"trimtab_netstat_tcp_in_segs_total", METRIC_COUNTER, "", "TCP segments received.",
     "/proc/net/snmp Tcp InSegs"},
    {"trimtab_netstat_tcp_out_segs_total", METRIC_COUNTER, "",
     "TCP segments sent, without those sent again.", "/proc/net/snmp Tcp OutSegs"},
    {"trimtab_netstat_tcp_retrans_segs_total", METRIC_COUNTER, "", "TCP segments sent again.",
     "/proc/net/snmp Tcp RetransSegs"},
    {"trimtab_netstat_tcp_in_errs_total", METRIC_COUNTER, "", "TCP segments received with errors.",
     "/proc/net/snmp Tcp InErrs"},
    {"trimtab_netstat_tcp_out_rsts_total", METRIC_COUNTER, "", "TCP resets sent.",
     "/proc/net/snmp Tcp OutRsts"},
    {"trimtab_netstat_tcp_in_csum_errors_total", METRIC_COUNTER, "",
     "TCP segments with a wrong checksum.", "/proc/net/snmp Tcp InCsumErrors"},
    {"trimtab_netstat_udp_in_datagrams_total", METRIC_COUNTER, "", "UDP datagrams received.",
     "/proc/net/snmp Udp InDatagrams"},
    {"trimtab_netstat_udp_no_ports_total", METRIC_COUNTER, "",
     "UDP datagrams for a port nobody listens on.", "/proc/net/snmp Udp NoPorts"},
    {"trimtab_netstat_udp_in_errors_total", METRIC_COUNTER, "",
     "UDP datagrams that could not be delivered.", "/proc/net/snmp Udp InErrors"},
    {"trimtab_netstat_udp_out_datagrams_total", METRIC_COUNTER, "", "UDP datagrams sent.",
     "/proc/net/snmp Udp OutDatagrams"},
    {"trimtab_netstat_udp_rcvbuf_errors_total", METRIC_COUNTER, "",
     "UDP datagrams dropped because the receive buffer was full.",
     "/proc/net/snmp Udp RcvbufErrors"},
    {"trimtab_netstat_udp_sndbuf_errors_total", METRIC_COUNTER, "",
     "UDP datagrams dropped because the send buffer was full.", "/proc/net/snmp Udp SndbufErrors"},
    {"trimtab_netstat_udplite_in_errors_total", METRIC_COUNTER, "",
     "UDP-Lite datagrams that could not be delivered.", "/proc/net/snmp UdpLite InErrors"},
    {"trimtab_netstat_tcpext_syncookies_sent_total", METRIC_COUNTER, "",
     "SYN cookies sent because a listen queue was full.",
     "/proc/net/netstat TcpExt SyncookiesSent"},
    {"trimtab_netstat_tcpext_syncookies_recv_total", METRIC_COUNTER, "",
     "SYN cookies received that were valid.", "/proc/net/netstat TcpExt SyncookiesRecv"},
    {"trimtab_netstat_tcpext_syncookies_failed_total", METRIC_COUNTER, "",
     "SYN cookies received that were not valid.", "/proc/net/netstat TcpExt SyncookiesFailed"},
    {"trimtab_netstat_tcpext_tw_total", METRIC_COUNTER, "",
     "Sockets that went through TIME_WAIT in the usual way.", "/proc/net/netstat TcpExt TW"},
    {"trimtab_netstat_tcpext_prune_called_total", METRIC_COUNTER, "",
     "Times that a receive queue had to be pruned for want of memory.",
     "/proc/net/netstat TcpExt PruneCalled"},
    {"trimtab_netstat_tcpext_listen_overflows_total", METRIC_COUNTER, "",
     "Connections refused because an accept queue was full.",
     "/proc/net/netstat TcpExt ListenOverflows"},
    {"trimtab_netstat_tcpext_listen_drops_total", METRIC_COUNTER, "",
     "Connections dropped before they were accepted, overflows included.",
     "/proc/net/netstat TcpExt ListenDrops"},
    {"trimtab_netstat_tcpext_tcp_lost_retransmit_total", METRIC_COUNTER, "",
     "Segments sent again that were lost again.", "/proc/net/netstat TcpExt TCPLostRetransmit"},
    {"trimtab_netstat_tcpext_tcp_fast_retrans_total", METRIC_COUNTER, "",
     "Segments sent again by fast retransmit.", "/proc/net/netstat TcpExt TCPFastRetrans"},
    {"trimtab_netstat_tcpext_tcp_timeouts_total", METRIC_COUNTER, "", "Retransmission timeouts.",
     "/proc/net/netstat TcpExt TCPTimeouts"},
    {"trimtab_netstat_tcpext_tcp_backlog_drop_total", METRIC_COUNTER, "",
     "Packets dropped because a socket's backlog was full.",
     "/proc/net/netstat TcpExt TCPBacklogDrop"},
    {"trimtab_netstat_tcpext_tcp_abort_on_memory_total", METRIC_COUNTER, "",
     "Connections aborted for want of memory.", "/proc/net/netstat TcpExt TCPAbortOnMemory"},
    {"trimtab_netstat_tcpext_tcp_reqq_full_drop_total", METRIC_COUNTER, "",
     "SYNs dropped because a request queue was full.", "/proc/net/netstat TcpExt TCPReqQFullDrop"},
    {"trimtab_netstat_tcpext_tcp_ofo_queue_total", METRIC_COUNTER, "",
     "Segments received out of order.", "/proc/net/netstat TcpExt TCPOFOQueue"},
    {"trimtab_netstat_tcpext_tcp_rcvq_drop_total", METRIC_COUNTER, "",
     "Segments dropped because a receive queue was full.", "/proc/net/netstat TcpExt TCPRcvQDrop"},
    {"trimtab_netstat_tcpext_tcp_memory_pressures_total", METRIC_COUNTER, "",
     "Times that TCP came under memory pressure.", "/proc/net/netstat TcpExt TCPMemoryPressures"},
    {"trimtab_netstat_tcpext_tcp_syn_retrans_total", METRIC_COUNTER, "", "SYNs sent again.",
     "/proc/net/netstat TcpExt TCPSynRetrans"},
    {"trimtab_netstat_tcpext_tcp_zero_window_drop_total", METRIC_COUNTER, "",
     "Segments dropped because the window was closed.",
     "/proc/net/netstat TcpExt TCPZeroWindowDrop"},
    {"trimtab_netstat_ipext_in_octets_total", METRIC_COUNTER, "", "Bytes of IPv4 packets received.",
     "/proc/net/netstat IpExt InOctets"},
    {"trimtab_netstat_ipext_out_octets_total", METRIC_COUNTER, "", "Bytes of IPv4 packets sent.",
     "/proc/net/netstat IpExt OutOctets"},
    {"trimtab_netstat_ipext_in_no_routes_total", METRIC_COUNTER, "",
     "IPv4 packets received that had no route.", "/proc/net/netstat IpExt InNoRoutes"},
};

static const struct metric fields6[] METRIC = {
    {"trimtab_netstat_ip6_in_octets_total", METRIC_COUNTER, "", "Bytes of IPv6 packets received.",
     "/proc/net/snmp6 Ip6InOctets"},
    {"trimtab_netstat_ip6_out_octets_total", METRIC_COUNTER, "", "Bytes of IPv6 packets sent.",
     "/proc/net/snmp6 Ip6OutOctets"},
    {"trimtab_netstat_ip6_in_receives_total", METRIC_COUNTER, "", "IPv6 packets received.",
     "/proc/net/snmp6 Ip6InReceives"},
    {"trimtab_netstat_ip6_in_discards_total", METRIC_COUNTER, "",
     "IPv6 packets received well and dropped.", "/proc/net/snmp6 Ip6InDiscards"},
    {"trimtab_netstat_ip6_out_discards_total", METRIC_COUNTER, "",
     "IPv6 packets to be sent and dropped.", "/proc/net/snmp6 Ip6OutDiscards"},
    {"trimtab_netstat_ip6_out_no_routes_total", METRIC_COUNTER, "",
     "IPv6 packets that had no route.", "/proc/net/snmp6 Ip6OutNoRoutes"},
    {"trimtab_netstat_icmp6_in_msgs_total", METRIC_COUNTER, "", "ICMPv6 messages received.",
     "/proc/net/snmp6 Icmp6InMsgs"},
    {"trimtab_netstat_icmp6_in_errors_total", METRIC_COUNTER, "",
     "ICMPv6 messages received with errors.", "/proc/net/snmp6 Icmp6InErrors"},
    {"trimtab_netstat_icmp6_out_msgs_total", METRIC_COUNTER, "", "ICMPv6 messages sent.",
     "/proc/net/snmp6 Icmp6OutMsgs"},
    {"trimtab_netstat_udp6_in_datagrams_total", METRIC_COUNTER, "",
     "UDP datagrams received over IPv6.", "/proc/net/snmp6 Udp6InDatagrams"},
    {"trimtab_netstat_udp6_no_ports_total", METRIC_COUNTER, "",
     "UDP datagrams over IPv6 for a port nobody listens on.", "/proc/net/snmp6 Udp6NoPorts"},
    {"trimtab_netstat_udp6_in_errors_total", METRIC_COUNTER, "",
     "UDP datagrams over IPv6 that could not be delivered.", "/proc/net/snmp6 Udp6InErrors"},
    {"trimtab_netstat_udp6_out_datagrams_total", METRIC_COUNTER, "",
     "UDP datagrams sent over IPv6.", "/proc/net/snmp6 Udp6OutDatagrams"},
    {"trimtab_netstat_udp6_rcvbuf_errors_total", METRIC_COUNTER, "",
     "UDP datagrams over IPv6 dropped because the receive buffer was full.",
     "/proc/net/snmp6 Udp6RcvbufErrors"},
    {"trimtab_netstat_udp6_sndbuf_errors_total", METRIC_COUNTER, "",
     "UDP datagrams over IPv6 dropped because the send buffer was full.",
     "/proc/net/snmp6 Udp6SndbufErrors"},
    {"trimtab_netstat_udplite6_in_errors_total", METRIC_COUNTER, "",
     "UDP-Lite datagrams over IPv6 that could not be delivered.",
     "/proc/net/snmp6 UdpLite6InErrors"},
};

/* sockstat's "mem" is in pages, all else as it is */
static const struct metric sockets[] METRIC = {
    {"trimtab_sockstat_sockets_used", METRIC_GAUGE, "", "Sockets of all kinds.",
     "/proc/net/sockstat sockets used"},
    {"trimtab_sockstat_tcp_inuse", METRIC_GAUGE, "",
     "TCP sockets over IPv4 in use, TIME_WAIT not included.", "/proc/net/sockstat TCP inuse"},
    {"trimtab_sockstat_tcp_orphan", METRIC_GAUGE, "", "TCP sockets that no process holds any more.",
     "/proc/net/sockstat TCP orphan"},
    {"trimtab_sockstat_tcp_tw", METRIC_GAUGE, "", "TCP sockets in TIME_WAIT.",
     "/proc/net/sockstat TCP tw"},
    {"trimtab_sockstat_tcp_alloc", METRIC_GAUGE, "", "TCP sockets allocated.",
     "/proc/net/sockstat TCP alloc"},
    {"trimtab_sockstat_tcp_mem_bytes", METRIC_GAUGE, "", "Memory of TCP's buffers.",
     "/proc/net/sockstat TCP mem"},
    {"trimtab_sockstat_udp_inuse", METRIC_GAUGE, "", "UDP sockets over IPv4 in use.",
     "/proc/net/sockstat UDP inuse"},
    {"trimtab_sockstat_udp_mem_bytes", METRIC_GAUGE, "", "Memory of UDP's buffers.",
     "/proc/net/sockstat UDP mem"},
    {"trimtab_sockstat_udplite_inuse", METRIC_GAUGE, "", "UDP-Lite sockets over IPv4 in use.",
     "/proc/net/sockstat UDPLITE inuse"},
    {"trimtab_sockstat_raw_inuse", METRIC_GAUGE, "", "Raw sockets over IPv4 in use.",
     "/proc/net/sockstat RAW inuse"},
    {"trimtab_sockstat_frag_inuse", METRIC_GAUGE, "",
     "IPv4 packets being put together from fragments.", "/proc/net/sockstat FRAG inuse"},
    {"trimtab_sockstat_frag_memory_bytes", METRIC_GAUGE, "", "Memory of IPv4 fragments.",
     "/proc/net/sockstat FRAG memory"},
    {"trimtab_sockstat_tcp6_inuse", METRIC_GAUGE, "", "TCP sockets over IPv6 in use.",
     "/proc/net/sockstat6 TCP6 inuse"},
    {"trimtab_sockstat_udp6_inuse", METRIC_GAUGE, "", "UDP sockets over IPv6 in use.",
     "/proc/net/sockstat6 UDP6 inuse"},
    {"trimtab_sockstat_udplite6_inuse", METRIC_GAUGE, "", "UDP-Lite sockets over IPv6 in use.",
     "/proc/net/sockstat6 UDPLITE6 inuse"},
    {"trimtab_sockstat_raw6_inuse", METRIC_GAUGE, "", "Raw sockets over IPv6 in use.",
     "/proc/net/sockstat6 RAW6 inuse"},
    {"trimtab_sockstat_frag6_inuse", METRIC_GAUGE, "",
     "IPv6 packets being put together from fragments.", "/proc/net/sockstat6 FRAG6 inuse"},
    {"trimtab_sockstat_frag6_memory_bytes", METRIC_GAUGE, "", "Memory of IPv6 fragments.",
     "/proc/net/sockstat6 FRAG6 memory"},
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))
#define FIELDS6 (sizeof(fields6) / sizeof(fields6[0]))
#define SOCKETS (sizeof(sockets) / sizeof(sockets[0]))

/* names and values: the rest of the two lines; *i: the running number of the field in the file */
static void read_pair(struct host *h, struct host_order *order, size_t *i,
		      struct host_text protocol, struct host_text names, struct host_text values)
{
	struct host_text name, value;
	const struct metric *m;
	uint64_t number;

	while (host_text_word(&names, &name) && host_text_word(&values, &value)) {
		m = host_order_find(h, order, (*i)++, fields, FIELDS, protocol, name);
		/* Tcp's MaxConn is -1: not a field of ours, and host_text_u64() refuses it */
		if (m && host_text_u64(&value, &number))
			host_set(h, m, (double)number);
	}
}

static void read_pairs(struct host *h, enum host_file file, struct host_order *order)
{
	struct host_text text, names, values, protocol, again;
	size_t i = 0;

	if (host_file_read(h, file, &text) < 0)
		return;
	while (host_text_line(&text, &names) && host_text_line(&text, &values)) {
		if (!host_text_until(&names, ':', &protocol) ||
		    !host_text_until(&values, ':', &again) ||
		    protocol.end - protocol.at != again.end - again.at ||
		    memcmp(protocol.at, again.at, (size_t)(again.end - again.at)) != 0)
			return;
		read_pair(h, order, &i, protocol, names, values);
	}
}

static void read_snmp6(struct host *h)
{
	struct host_text text, line, key;
	const struct metric *m;
	uint64_t number;

	if (host_file_read(h, HOST_SNMP6, &text) < 0)
		return;
	for (size_t i = 0; host_text_line(&text, &line); i++) {
		if (!host_text_word(&line, &key))
			continue;
		m = host_order_find(h, &h->orders.snmp6, i, fields6, FIELDS6, host_text_of(""),
				    key);
		if (m && host_text_u64(&line, &number))
			host_set(h, m, (double)number);
	}
}

/* lines of "TCP: inuse 4 orphan 0" */
static void read_sockets(struct host *h, enum host_file file, struct host_order *order)
{
	double page_bytes = (double)sysconf(_SC_PAGESIZE);
	struct host_text text, line, protocol, key;
	const struct metric *m;
	uint64_t number;
	size_t i = 0;

	if (host_file_read(h, file, &text) < 0)
		return;
	while (host_text_line(&text, &line)) {
		if (!host_text_until(&line, ':', &protocol))
			continue;
		while (host_text_word(&line, &key) && host_text_u64(&line, &number)) {
			m = host_order_find(h, order, i++, sockets, SOCKETS, protocol, key);
			if (m)
				host_set(h, m,
					 (double)number *
					     (host_text_is(key, "mem") ? page_bytes : 1));
		}
	}
}

static void netstat_tick(struct host *h)
{
	read_pairs(h, HOST_SNMP, &h->orders.snmp);
	read_pairs(h, HOST_NETSTAT, &h->orders.netstat);
	read_sockets(h, HOST_SOCKSTAT, &h->orders.sockstat);
	if (!h->slow)
		return;
	read_snmp6(h);
	read_sockets(h, HOST_SOCKSTAT6, &h->orders.sockstat6);
}

const struct host_part host_netstat_part = {
    .name = "netstat",
    .tick = netstat_tick,
};
