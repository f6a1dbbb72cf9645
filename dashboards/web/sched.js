/* sched.js - the panel of the run queue, and which cgroups fill it. */
import { bytes, bytesRate, percent, seconds } from "./format.js";
import { sum } from "./model.js";

/* in the order of the columns; each a counter, shown a second */
const RATES = [
	["CPU", ["cpu_seconds"], percent],
	["CPU wait/s", ["sched_wait_seconds"], seconds],
	["disk time/s", ["block_io_seconds"], seconds],
	["disk bytes", ["block_io_bytes"], bytesRate],
	["TCP bytes", ["tcp_received_bytes", "tcp_sent_bytes"], bytesRate],
].map(([column, parts, text]) => ({
	column, text, metrics: parts.map((p) => `trimtab_cgroup_${p}_total`),
}));
const MEMORY = "trimtab_cgroup_memory_bytes";
const LEAST_S = 20; // two readings of what the agent reads every 10 s
const PARTS_SHOWN = 2; // of a path; the whole of it is in the row's title

/* "/kubepods.slice/burstable/cri-containerd-4f1c….scope" -> "burstable/cri-containerd-4f1c…" */
function shortName(path) {
	const parts = path.split("/").filter(Boolean).slice(-PARTS_SHOWN);
	const short = parts.map((p) => p.replace(/\.(service|scope|slice)$/, "")
		.replace(/([0-9a-f]{12})[0-9a-f]{20,}/, "$1"));
	return short.join("/") || path;
}

/* cgroup -> growth a second */
function perSecond(v, metrics) {
	const all = new Map();
	for (const { labels, value } of metrics.flatMap((m) => v.rates(m, LEAST_S)))
		all.set(labels.cgroup, (all.get(labels.cgroup) ?? 0) + value);
	return all;
}

/* Ordered by what they asked of the CPUs, time used and time waited for; then by time on disks. */
function rows(v, minute) {
	if (!RATES.some((r) => r.metrics.some((m) => v.has(m)))) return null;
	if (!minute) return [];
	const columns = RATES.map((r) => perSecond(minute, r.metrics));
	const memory = new Map(minute.gauges(MEMORY).map((e) => [e.labels.cgroup, e.value]));
	const paths = new Set(columns.flatMap((c) => [...c.keys()]));
	const found = [...paths].map((path) => {
		const values = columns.map((c) => c.get(path));
		const [cpu, wait, disk] = values.map((x) => x ?? 0);
		const texts = values.map((x, i) => RATES[i].text(x));
		return {
			used: sum(values, (x) => x ?? 0),
			order: [cpu + wait, disk],
			cells: [shortName(path), ...texts, bytes(memory.get(path))],
			title: path,
		};
	});
	return found.filter((r) => r.used > 0)
		.sort((a, b) => b.order[0] - a.order[0] || b.order[1] - a.order[1]);
}

export const sched = {
	id: "runqueue",
	title: "Run queue",
	about: "time a ready thread waits for a CPU; D state: uninterruptible sleep, mostly for a disk",
	probe: "sched",
	domain: [1e-7, 1e-1],
	series: [
		{ name: "wait", metric: "trimtab_sched_wait_seconds" },
		{ name: "D-state sleep", metric: "trimtab_sched_uninterruptible_seconds" },
	],
	tables: [{
		caption: "By cgroup, last 60 s",
		columns: ["cgroup", ...RATES.map((r) => r.column), "memory"],
		minor: ["disk bytes", "TCP bytes", "memory"],
		rows: 6,
		fill: rows,
		empty: "read every 10 s",
		meaning: {
			cgroup: "ordered by CPU time used and waited for; the busiest of the node, read every 10 s",
			CPU: "of one CPU",
			"CPU wait/s": "time its threads were ready and waited for a CPU, a second",
			"disk time/s": "time its I/O took in the devices, a second; of write-back the kernel's, /",
			"TCP bytes": "received and sent",
		},
	}],
};
