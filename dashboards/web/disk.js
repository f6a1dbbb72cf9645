/* disk.js - the panel of the disks: each I/O, exact, by device and operation. */
import { bytesRate, count, seconds } from "./format.js";
import { merge, quantile, quantiles } from "./histogram.js";
import { groupBy, sum } from "./model.js";

const DURATION = "trimtab_block_io_duration_seconds";
const BYTES = "trimtab_block_io_bytes_total";
const STAGES = ["device", "queue"];

const name = (l) => `${l.device} ${l.op}`;

function rows(v) {
	const moved = groupBy(v.growth(BYTES), name);
	const found = [];
	for (const [key, list] of groupBy(v.hists(DURATION), name)) {
		const stages = STAGES.map((s) => merge(list.filter((h) => h.labels.stage === s)));
		const [device, queue] = stages;
		if (sum(stages, (h) => h.samples) === 0) continue;
		found.push({
			order: sum(stages, (h) => h.sum),
			cells: [
				key, count(device.samples / v.span_s),
				bytesRate(sum(moved.get(key) ?? []) / v.span_s),
				...quantiles(device), seconds(quantile(queue, 0.95)),
			],
		});
	}
	return found.sort((a, b) => b.order - a.order);
}

export const disk = {
	id: "disk",
	title: "Disk",
	about: "each I/O, exact",
	probe: "disk",
	domain: [1e-6, 1e-1],
	series: STAGES.map((stage) => ({
		name: stage, metric: DURATION, where: () => (l) => l.stage === stage,
	})),
	tables: [{
		caption: "Disks, by time",
		columns: ["device", "I/O/s", "bytes", "p50", "p95", "p99", "queue p95"],
		minor: ["bytes", "queue p95"],
		rows: 6,
		fill: rows,
	}],
};
