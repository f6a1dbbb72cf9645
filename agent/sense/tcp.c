/* tcp.c - reads the tcp probe's arrays: RTT, connects, accepts, retransmits, resets, drops, states.
 *
 * Source: BPF arrays mapped by the keeper; no system call. Bounds: TCP_PORTS service ports and
 * directions, further ones share port="other".
 */
#include "sense.h"

#include <errno.h>
#include <stdio.h>
#include "core/agent.h"
#include "core/probes.h"
#include "maps.h"
#include "probe_series.h"
#include "store/quantile.h"

#define PORT                                                                                       \
	"port is that of the service: the local one of inbound connections, the remote one of "    \
	"outbound "

static const struct metric RTT METRIC = {
    "trimtab_tcp_rtt_seconds", METRIC_HISTOGRAM, "direction,port",
    "Smoothed round-trip time of TCP connections: one sample of each open one at every sweep "
    "(tcp.sweep_ms), one at its end. " PORT "ones.",
    "iter/tcp, tp_btf/inet_sock_set_state"};
static const struct metric CONNECT METRIC = {
    "trimtab_tcp_connect_seconds", METRIC_HISTOGRAM, "port",
    "Time from SYN to ESTABLISHED of connections made by this node, by remote port. Complete.",
    "tp_btf/inet_sock_set_state"};
static const struct metric ACCEPT METRIC = {
    "trimtab_tcp_accept_seconds", METRIC_HISTOGRAM, "port",
    "Time that an established connection waited until accept() returned it, by local port; sampled "
    "as system calls are (trimtab_syscall_observed_ratio).",
    "tp_btf/inet_sock_set_state, tp_btf/sys_exit"};
static const struct metric OPENED METRIC = {"trimtab_tcp_opened_total", METRIC_COUNTER,
					    "direction,port",
					    "TCP connections established. " PORT "ones.",
					    "tp_btf/inet_sock_set_state"};
static const struct metric FAILED METRIC = {
    "trimtab_tcp_connect_failures_total", METRIC_COUNTER, "port,error",
    "Connects that failed, by remote port and error; error=\"restart\" if the caller gave up.",
    "tp_btf/inet_sock_set_state"};
static const struct metric RETRANSMITS METRIC = {
    "trimtab_tcp_retransmits_total", METRIC_COUNTER, "port",
    "TCP segments sent again (SYN and SYN-ACK too), by service port.",
    "tp_btf/tcp_retransmit_skb, tp_btf/tcp_retransmit_synack"};
static const struct metric RESETS METRIC = {"trimtab_tcp_resets_total", METRIC_COUNTER,
					    "direction,port",
					    "TCP resets: direction inbound were received, outbound "
					    "sent; by service port, \"other\" if there "
					    "is no socket.",
					    "tp_btf/tcp_receive_reset, tp_btf/tcp_send_reset"};
static const struct metric CONNECTIONS METRIC = {
    "trimtab_tcp_connections", METRIC_GAUGE, "state",
    "TCP sockets by state at the last sweep, in all network namespaces seen.", "iter/tcp"};
static const struct metric BYTES METRIC = {
    "trimtab_tcp_bytes_total", METRIC_COUNTER, "direction",
    "Payload bytes of TCP: inbound received, outbound sent and acknowledged; open connections are "
    "brought up to date at each sweep.",
    "iter/tcp, tp_btf/inet_sock_set_state"};
static const struct metric QUEUE METRIC = {
    "trimtab_tcp_listen_queue", METRIC_GAUGE, "port",
    "Established connections waiting for accept(), at the last sweep.", "iter/tcp"};
static const struct metric QUEUE_LIMIT METRIC = {"trimtab_tcp_listen_queue_limit", METRIC_GAUGE,
						 "port",
						 "The backlog of the listening sockets of a port.",
						 "iter/tcp"};
static const struct metric LISTEN_DROPS METRIC = {
    "trimtab_tcp_listen_drops_total", METRIC_COUNTER, "port",
    "Connection requests that a listening socket dropped, mostly as its queue was full; brought up "
    "to date at each sweep.",
    "iter/tcp"};
static const struct metric DROPS METRIC = {
    "trimtab_packet_drops_total", METRIC_COUNTER, "reason",
    "Packets that the kernel dropped, of any protocol, by its reason (\"unknown\" before 5.17).",
    "tp_btf/kfree_skb"};
static const struct metric SWEEP METRIC = {"trimtab_tcp_sweep_seconds", METRIC_GAUGE, "",
					   "How long the last walk over all sockets took.",
					   "the keeper's clock"};

static const struct metric SWEEPS METRIC = {
    "trimtab_tcp_sweeps_total", METRIC_COUNTER, "",
    "Walks over all sockets; what is said to be as of the last sweep is that old.",
    "the keeper's count"};

/* Of a port; one that is folded into "other" has none. */
static const struct metric *const of_ports[] = {&RTT,	      &CONNECT, &ACCEPT, &FAILED,
						&RETRANSMITS, &RESETS,	&OPENED, &LISTEN_DROPS};

static const char *const states[TCP_STATES] = {
    NULL,    "established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2",	"time_wait",
    "close", "close_wait",  "last_ack", "listen",   "closing",	 "new_syn_recv"};
static const char *const directions[TCP_DIRECTIONS] = {
    [TCP_INBOUND] = "inbound", [TCP_OUTBOUND] = "outbound"};

static void write_hist(struct agent *a, const struct metric *m, const struct hist *from,
		       uint64_t now, const char *port)
{
	struct hist *h =
	    hist_samples(from) ? store_hist(a->store, m, now, "port", port, NULL) : NULL;

	if (h)
		*h = *from;
}

static void write_rtt(struct agent *a, const struct tcp_port *p, const char *direction,
		      const char *port, uint64_t now)
{
	struct hist *h;

	if (!hist_samples(&p->rtt))
		return;
	h = store_hist(a->store, &RTT, now, "direction", direction, "port", port, NULL);
	if (h)
		*h = p->rtt;
}

static void write_inbound(struct agent *a, const struct tcp_port *p, const char *port, uint64_t now)
{
	uint32_t swept = __atomic_load_n(&a->maps->tcp_totals->swept, __ATOMIC_RELAXED);

	write_hist(a, &ACCEPT, &p->accept, now, port);
	if (!p->queue_sweep && !p->listen_drops)
		return; /* never met as a listener */
	store_set(a->store, &LISTEN_DROPS, now, p->listen_drops, "port", port, NULL);
	if ((int32_t)(p->queue_sweep - swept) < 0)
		return; /* no longer listened on */
	store_set(a->store, &QUEUE, now, p->queue, "port", port, NULL);
	store_set(a->store, &QUEUE_LIMIT, now, p->queue_max, "port", port, NULL);
}

static void write_outbound(struct agent *a, const struct tcp_port *p, const char *port,
			   uint64_t now)
{
	write_hist(a, &CONNECT, &p->connect, now, port);
	for (int e = 0; e < TCP_ERRNOS; e++)
		if (p->failed[e])
			store_set(a->store, &FAILED, now, p->failed[e], "port", port, "error",
				  errno_label(e), NULL);
}

static void write_port(struct agent *a, const struct tcp_port *p, const char *direction,
		       const char *port, uint64_t now)
{
	write_rtt(a, p, direction, port, now);
	write_inbound(a, p, port, now);
	write_outbound(a, p, port, now);
	store_set(a->store, &OPENED, now, p->opened, "direction", direction, "port", port, NULL);
}

/* Counters whose labels leave out the direction of the connection are summed over both slots. */
struct port_sum {
	uint32_t port;
	uint64_t retransmits, resets[TCP_DIRECTIONS];
};

static void sum_ports(const struct tcp_port *ports, struct port_sum *sums, uint32_t *ret_n)
{
	uint32_t n = 0, i;

	for (uint32_t slot = 0; slot < TCP_PORTS; slot++) {
		const struct tcp_port *p = &ports[slot];

		if (slot >= TCP_DIRECTIONS && !p->port)
			continue;
		for (i = 0; i < n && sums[i].port != p->port; i++)
			;
		if (i == n)
			sums[n++] = (struct port_sum){.port = p->port};
		sums[i].retransmits += p->retransmits;
		sums[i].resets[TCP_INBOUND] += p->resets[TCP_INBOUND];
		sums[i].resets[TCP_OUTBOUND] += p->resets[TCP_OUTBOUND];
	}
	*ret_n = n;
}

static void port_label(uint32_t port, char *ret, size_t size)
{
	if (port)
		snprintf(ret, size, "%u", port);
	else
		snprintf(ret, size, "other");
}

static void write_sums(struct agent *a, uint64_t now)
{
	struct port_sum sums[TCP_PORTS];
	char port[16];
	uint32_t n;

	sum_ports(a->maps->tcp_ports, sums, &n);
	for (uint32_t i = 0; i < n; i++) {
		port_label(sums[i].port, port, sizeof(port));
		store_set(a->store, &RETRANSMITS, now, sums[i].retransmits, "port", port, NULL);
		for (int d = 0; d < TCP_DIRECTIONS; d++)
			if (sums[i].resets[d])
				store_set(a->store, &RESETS, now, sums[i].resets[d], "direction",
					  directions[d], "port", port, NULL);
	}
}

static void write_totals(struct agent *a, uint64_t now)
{
	const struct tcp_totals *t = a->maps->tcp_totals;
	uint32_t swept = __atomic_load_n(&t->swept, __ATOMIC_ACQUIRE);
	const uint32_t *count = t->states[swept & 1];

	for (int i = 0; i < TCP_STATES; i++)
		if (states[i])
			store_set(a->store, &CONNECTIONS, now, count[i], "state", states[i], NULL);
	for (int d = 0; d < TCP_DIRECTIONS; d++)
		store_set(a->store, &BYTES, now, t->bytes[d], "direction", directions[d], NULL);
	for (int r = 0; r < TCP_DROP_REASONS; r++)
		if (t->drops[r])
			store_set(a->store, &DROPS, now, t->drops[r], "reason",
				  a->shared->drop_reason[r], NULL);
	store_set(a->store, &SWEEPS, now, swept, NULL);
	store_set(a->store, &SWEEP, now, a->shared->tcp_sweep_ns / 1e9, NULL);
	store_set(a->store, &lost_metric, now, t->untracked, "probe", "tcp", "reason",
		  "connections_full", NULL);
	store_set(a->store, &lost_metric, now, a->shared->tcp_namespaces_left_out, "probe", "tcp",
		  "reason", "namespaces", NULL);
}

static int tick(struct agent *a, void *state, uint64_t now)
{
	char port[16];

	for (uint32_t i = 0; i < TCP_PORTS; i++) {
		const struct tcp_port *p = &a->maps->tcp_ports[i];

		if (i >= TCP_DIRECTIONS && !p->port)
			continue;
		port_label(p->port, port, sizeof(port));
		write_port(a, p, directions[i < TCP_DIRECTIONS ? i : p->direction & 1], port, now);
	}
	write_sums(a, now);
	for (size_t i = 0; i < sizeof(of_ports) / sizeof(of_ports[0]); i++)
		store_end(a->store, of_ports[i], now);
	write_totals(a, now);
	return 0;
}

static int init(struct agent *a, void **ret_state)
{
	if (a->maps->tcp_ports && a->maps->tcp_totals)
		return 0;
	agent_reason(a, "the tcp probe is not loaded");
	return -ENOTSUP;
}

const struct module tcp_module = {
    .name = "tcp",
    .about = "TCP: round-trip, connect and accept time, retransmits, resets, drops, states",
    .roles = ROLE_AGENT,
    .period_ms = 2000,
    .init = init,
    .tick = tick,
};
