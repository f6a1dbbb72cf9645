/* tcp.js - the panel of the TCP connections, by direction and port. */
import { count, seconds } from "./format.js";
import { merge, quantile, quantiles } from "./histogram.js";
import { groupBy, sum } from "./model.js";

const RTT = "trimtab_tcp_rtt_seconds";
const ACCEPT = "trimtab_tcp_accept_seconds";
const CONNECT = "trimtab_tcp_connect_seconds";
const OPENING = [[ACCEPT, "inbound"], [CONNECT, "outbound"]];
const ARROWS = { inbound: "←", outbound: "→" };

const name = (l) => `${ARROWS[l.direction] ?? "?"} ${l.port}`;

/* key -> the histogram of how long its connections took to open */
function openings(v) {
	return new Map(OPENING.flatMap(([metric, direction]) =>
		v.hists(metric).map((h) => [name({ direction, ...h.labels }), h])));
}

function rows(v) {
	const rtt = groupBy(v.hists(RTT), name);
	const opened = groupBy(v.growth("trimtab_tcp_opened_total"), name);
	const resent = groupBy(v.growth("trimtab_tcp_retransmits_total"), (l) => l.port);
	const opening = openings(v);
	const found = [...new Set([...rtt.keys(), ...opened.keys()])].map((key) => {
		const trips = merge(rtt.get(key) ?? []);
		const n = sum(opened.get(key) ?? []);
		const port = key.split(" ")[1];
		const open = opening.get(key);
		return {
			order: trips.samples + n,
			cells: [key, count(n / v.span_s), seconds(open ? quantile(open, 0.95) : NaN),
				...quantiles(trips), count(sum(resent.get(port) ?? []))],
		};
	});
	return found.filter((r) => r.order > 0).sort((a, b) => b.order - a.order);
}

export const tcp = {
	id: "tcp",
	title: "TCP",
	about: "smoothed round trip; ← inbound by local port, → outbound by remote port",
	probe: "tcp",
	domain: [1e-5, 1],
	series: [
		{ name: "round trip", metric: RTT },
		{ name: "connect", metric: CONNECT },
		{ name: "accept", metric: ACCEPT, rate: (v, h) => h.samples / v.observed_s },
	],
	tables: [{
		caption: "TCP ports, by use",
		columns: ["port", "opened/s", "open p95", "rtt p50", "p95", "p99", "resent"],
		minor: ["open p95"],
		rows: 8,
		fill: rows,
		meaning: {
			"open p95": "connect time of outbound, time until accept of inbound connections",
			resent: "segments sent again in the window, both directions of the port",
		},
	}],
};
