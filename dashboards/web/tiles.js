/* tiles.js - the host in one strip: a figure, a line of its last values, a remark.
 *
 * A tile that has no data is left out. Bounds: SPARK_MAX values a tile.
 */
import { make, put, svg } from "./dom.js";
import { MISSING, NBSP, bytes, bytesRate, count, percent } from "./format.js";
import { sum } from "./model.js";

const SPARK_MAX = 90;
const SPARK_HEIGHT = 20;

const SHORT = { memory: "mem", system: "sys" };

function shareText([name, x]) {
	return `${SHORT[name] ?? name} ${(x * 100).toFixed(x < 0.0995 ? 1 : 0)}`;
}

function cpu(v) {
	const time = (wanted) => sum(v.growth("trimtab_cpu_seconds_total", (l) => wanted(l.mode)));
	const all = time((mode) => !mode.startsWith("guest"));
	if (!all) return null;
	const value = 1 - time((mode) => mode === "idle" || mode === "iowait") / all;
	const parts = ["system", "iowait", "steal"].map((m) => [m, time((mode) => mode === m) / all]);
	const shown = parts.filter(([mode, x]) => mode !== "steal" || x >= 0.001);
	return { value, text: percent(value), sub: shown.map(shareText).join(" · ") };
}

function load(v) {
	const [now, ...older] = [1, 5, 15].map((minutes) => v.gauge(`trimtab_load${minutes}`));
	if (now === undefined) return null;
	const cpus = `${v.gauge("trimtab_cpus") ?? MISSING}${NBSP}CPUs`;
	const sub = [...older.map((x) => x?.toFixed(2) ?? MISSING), cpus].join(" · ");
	return { value: now, text: now.toFixed(2), sub };
}

function memory(v) {
	const total = v.gauge("trimtab_memory_total_bytes");
	const free = v.gauge("trimtab_memory_available_bytes");
	if (!total || free === undefined) return null;
	const value = 1 - free / total;
	return { value, text: percent(value), sub: `${bytes(free)} free of ${bytes(total)}` };
}

function pressure(v) {
	const some = v.growth("trimtab_pressure_seconds_total", (l) => l.kind === "some");
	if (!some.length) return null;
	const list = some.map((e) => [e.labels.resource, e.value / v.span_s]);
	const value = Math.max(...list.map(([, x]) => x));
	return { value, text: percent(value), sub: list.map(shareText).join(" · ") };
}

function space(v) {
	const key = (e) => `${e.labels.device} ${e.labels.mountpoint}`;
	const sizes = new Map(v.gauges("trimtab_filesystem_size_bytes").map((e) => [key(e), e.value]));
	const used = v.gauges("trimtab_filesystem_avail_bytes")
		.filter((e) => sizes.get(key(e)) > 0)
		.map((e) => ({
			mount: e.labels.mountpoint, free: e.value, value: 1 - e.value / sizes.get(key(e)),
		}))
		.sort((a, b) => b.value - a.value);
	if (!used.length) return null;
	const { mount, free, value } = used[0];
	return { value, text: percent(value), sub: `${mount}: ${bytes(free)} free` };
}

/* What goes in and out: the sum, and how much of it goes in. */
function flow(first, second, word) {
	if (first === undefined || second === undefined) return null;
	const value = first + second;
	return { value, text: bytesRate(value), sub: `${word} ${bytesRate(first)}` };
}

function disk(v) {
	const per = (op) => v.perSecond("trimtab_block_io_bytes_total", (l) => l.op === op);
	return flow(per("read"), per("write"), "read");
}

function network(v) {
	const per = (way) => v.perSecond(`trimtab_network_${way}_bytes_total`, (l) => l.device !== "lo");
	return flow(per("receive"), per("transmit"), "in");
}

function tcp(v) {
	const states = v.gauges("trimtab_tcp_connections");
	if (!states.length) return null;
	const of = (state) => sum(states.filter((e) => e.labels.state.toLowerCase() === state));
	const value = of("established");
	return { value, text: count(value), sub: `open · ${count(of("time_wait"))} in time-wait` };
}

/* read(view) -> { value, text, sub } or null; max: fixed top of the line */
export const TILES = [
	{ name: "CPU", max: 1, read: cpu },
	{ name: "Load", read: load },
	{ name: "Memory", max: 1, read: memory },
	{ name: "Pressure", max: 1, read: pressure },
	{ name: "Disk space", max: 1, read: space },
	{ name: "Disk I/O", read: disk },
	{ name: "Network", read: network },
	{ name: "TCP", read: tcp },
];

export class Tile {
	constructor(spec) {
		this.spec = spec;
		this.points = [];
		this.text = make("span", { className: "value" });
		this.sub = make("span", { className: "sub" });
		this.line = svg("path");
		const spark = svg("svg", {
			class: "spark", "aria-hidden": "true", preserveAspectRatio: "none",
			viewBox: `0 0 ${SPARK_MAX - 1} ${SPARK_HEIGHT}`,
		});
		spark.append(this.line);
		this.element = make("div", { className: "tile", hidden: true },
			make("span", { className: "name", textContent: spec.name }), this.text, spark, this.sub);
	}

	show(view) {
		const got = this.spec.read(view);
		this.element.hidden = !got;
		if (!got) return;
		this.points.push(got.value);
		if (this.points.length > SPARK_MAX) this.points.shift();
		put(this.text, got.text);
		put(this.sub, got.sub);
		this.sub.title = got.sub;
		this.line.setAttribute("d", this.path());
	}

	path() {
		const top = this.spec.max ?? (Math.max(...this.points) || 1);
		const from = SPARK_MAX - this.points.length;
		const y = (p) => SPARK_HEIGHT - 1 - (SPARK_HEIGHT - 2) * Math.min(1, p / top);
		return this.points.map((p, i) => `${i ? "L" : "M"}${from + i} ${y(p).toFixed(1)}`).join("");
	}
}
