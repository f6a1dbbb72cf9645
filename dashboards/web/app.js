/* app.js - the live page: latency histograms of this node, polled from the agent that serves it.
 *
 * Input: GET api/metrics?format=json&match=MATCH and api/status every POLL_MS while the page is
 * visible. What is drawn is the difference between the newest reading and the one that is a window
 * older, so the page shows now, not the average since boot.
 * Bounds: HISTORY_MAX readings, SPARK_MAX points a tile and the rows of each table's spec are kept.
 * Cost: one pass over the series a poll. Text enters the document by textContent alone.
 *
 * Parts, in order: units, readings, histograms, what is shown, chart, tables, panels, tiles, header,
 * polling.
 */

const POLL_MS = 2000;
const TIMEOUT_MS = 5000;
const RETRY_MAX_MS = 10000;
const HISTORY_MAX = 40; // 60 s at 2 s, and slack
const SPARK_MAX = 90;

const $ = (id) => document.getElementById(id);
const sum = (list, value) => list.reduce((total, x) => total + value(x), 0);

/* ---- units ---- */

const MISSING = "–";
const NBSP = "\u202f"; // narrow: between a number and its unit

/* three significant digits, the unit chosen so that the number is 1 .. `base` */
function scaled(x, base, units) {
	let i = 0;
	while (i < units.length - 1 && Math.abs(x) >= base * 0.9995) {
		x /= base;
		i++;
	}
	const digits = Math.abs(x) >= 99.95 ? 0 : Math.abs(x) >= 9.995 ? 1 : 2;
	return [x.toFixed(digits), units[i]];
}

function seconds(s) {
	if (s === undefined || Number.isNaN(s)) return MISSING;
	if (s === Infinity) return ">64" + NBSP + "s";
	return s === 0 ? "0" : scaled(s * 1e9, 1000, ["ns", "µs", "ms", "s"]).join(NBSP);
}

function count(x) {
	if (x === undefined || Number.isNaN(x)) return MISSING;
	if (Number.isInteger(x) && Math.abs(x) < 1000) return String(x);
	const [n, unit] = scaled(x, 1000, ["", "k", "M", "G", "T"]);
	return unit ? n + NBSP + unit : n;
}

const rate = (x) => (x === undefined || Number.isNaN(x) ? MISSING : `${count(x)}/s`);

function bytes(x) {
	if (x === undefined || Number.isNaN(x)) return MISSING;
	if (x === 0) return "0" + NBSP + "B";
	return scaled(x, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]).join(NBSP);
}

const bytesRate = (x) => (x === undefined ? MISSING : `${bytes(x)}/s`);

function percent(ratio) {
	if (ratio === undefined || Number.isNaN(ratio)) return MISSING;
	const p = ratio * 100;
	return `${p.toFixed(p >= 99.95 ? 0 : p >= 0.095 || p === 0 ? 1 : 2)}${NBSP}%`;
}

function span(s) {
	const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
	const first = units.findIndex(([, size]) => s >= size);
	if (first < 0) return "0" + NBSP + "s";
	let text = "";
	for (const [name, size] of units.slice(first, first + 2)) {
		const n = Math.floor(s / size);
		s -= n * size;
		if (n) text += `${text ? " " : ""}${n}${NBSP}${name}`;
	}
	return text;
}

/* ---- readings: one answer of api/metrics each ---- */

const SLOTS = 290; // include/hist.h: 0 zero, 1..288 (2^((i-241)/8), 2^((i-240)/8)] s, 289 overflow
const BIAS = 240;
const upperEdge = (slot) => 2 ** ((slot - BIAS) / 8);
const lowerEdge = (slot) => 2 ** ((slot - BIAS - 1) / 8);

function slotOf(edge) {
	if (edge === null) return SLOTS - 1;
	return edge === 0 ? 0 : Math.min(SLOTS - 1, Math.max(1, Math.round(8 * Math.log2(edge)) + BIAS));
}

/* { time_s, values: name -> [{key, labels, value}], hists: name -> [{key, labels, sum, slot, n}] } */
function parse(answer) {
	const reading = { time_s: answer.time, values: new Map(), hists: new Map() };
	for (const m of answer.metrics) {
		const into = m.type === "histogram" ? reading.hists : reading.values;
		const entry = { key: m.name + JSON.stringify(m.labels), labels: m.labels };
		if (m.type === "histogram") {
			entry.sum = m.sum;
			entry.slot = Uint16Array.from(m.buckets, (b) => slotOf(b[0]));
			entry.n = Float64Array.from(m.buckets, (b) => b[1]);
		} else {
			entry.value = m.value;
		}
		if (!into.has(m.name)) into.set(m.name, []);
		into.get(m.name).push(entry);
	}
	return reading;
}

const index = (list) => new Map((list ?? []).map((e) => [e.key, e]));

/* What the panels are given: the newest reading against an older one (base; null: since the start). */
class View {
	constructor(now, base, span_s, status, window_s) {
		this.now = now;
		this.base = base; // null: everything since the start
		this.span_s = span_s;
		this.window_s = window_s; // as chosen; 0: since the start
		this.status = status;
		this.observed_ratio = this.gauge("trimtab_syscall_observed_ratio") ?? status.observed_ratio;
		/* how long every system call was observed in the window: what rates are divided by */
		this.observed_s = sum(this.growth("trimtab_syscall_observed_seconds_total"), (e) => e.value);
		this.waits = new Set(
			this.gauges("trimtab_syscall_info", (l) => l.class === "wait").map((e) => e.labels.syscall));
	}

	gauges(name, where = () => true) {
		return (this.now.values.get(name) ?? []).filter((e) => where(e.labels));
	}

	gauge(name, where) {
		return this.gauges(name, where)[0]?.value;
	}

	has(name) {
		return this.now.values.has(name);
	}

	/* [{labels, value}]: growth in the window; a counter that fell was restarted: its whole value */
	growth(name, where) {
		const old = index(this.base?.values.get(name));
		return this.gauges(name, where).map(({ key, labels, value }) => {
			const before = old.get(key)?.value ?? 0;
			return { labels, value: value >= before ? value - before : value };
		});
	}

	perSecond(name, where) {
		return this.has(name) && this.span_s > 0
			? sum(this.growth(name, where), (e) => e.value) / this.span_s : undefined;
	}

	/* [{labels, sum, slots, samples}] of one histogram metric, in the window */
	hists(name, where = () => true) {
		const old = index(this.base?.hists.get(name));
		return (this.now.hists.get(name) ?? []).filter((e) => where(e.labels)).map((e) => {
			const before = old.get(e.key);
			const slots = new Float64Array(SLOTS);
			e.slot.forEach((slot, i) => (slots[slot] = e.n[i]));
			before?.slot.forEach((slot, i) => (slots[slot] = Math.max(0, slots[slot] - before.n[i])));
			return {
				labels: e.labels,
				slots,
				samples: slots.reduce((a, b) => a + b, 0),
				sum: Math.max(0, e.sum - (before?.sum ?? 0)),
			};
		});
	}
}

/* ---- histograms ---- */

function merge(list) {
	const all = { slots: new Float64Array(SLOTS), samples: 0, sum: 0 };
	for (const h of list) {
		h.slots.forEach((n, slot) => (all.slots[slot] += n));
		all.samples += h.samples;
		all.sum += h.sum;
	}
	return all;
}

/* as agent/store/quantile.h: interpolated in log space; Infinity above 64 s */
function quantile(h, q) {
	let rest = q * h.samples;
	for (let slot = 0; slot < SLOTS && h.samples > 0; slot++) {
		const n = h.slots[slot];
		if (n === 0 || rest > n) {
			rest -= n;
			continue;
		}
		if (slot === 0) return 0;
		return slot === SLOTS - 1 ? Infinity : lowerEdge(slot) * 2 ** (rest / n / 8);
	}
	return NaN;
}

function withoutZero(h) {
	const slots = h.slots.slice();
	slots[0] = 0;
	return { slots, samples: h.samples - h.slots[0] };
}

const QUANTILES = [["p50", 0.5], ["p95", 0.95], ["p99", 0.99]];
const quantiles = (h) => QUANTILES.map(([, q]) => seconds(h ? quantile(h, q) : NaN));

function groupBy(list, name) {
	const groups = new Map();
	for (const e of list) {
		const key = name(e.labels);
		groups.set(key, [...(groups.get(key) ?? []), e]);
	}
	return groups;
}

/* ---- what is shown: syscalls ---- */

const DURATION = "trimtab_syscall_duration_seconds";
const BLOCKED = "trimtab_syscall_blocked_seconds";
const GAUGE_WINDOW_S = 60; // about what trimtab_syscall_calls_per_second looks back on

const isWork = (v) => (l) => !v.waits.has(l.syscall);
const isWait = (v) => (l) => v.waits.has(l.syscall);
const bySyscall = (list) => new Map(list.map((e) => [e.labels.syscall, e]));

/* calls a second, scaled from the time observed; NaN if none was. Late: begun before the window. */
function callRate(v, where, list = v.hists(DURATION, where)) {
	const late = sum(v.growth("trimtab_syscall_late_total", where), (e) => e.value);
	return v.observed_s > 0 ? (sum(list, (h) => h.samples) + late) / v.observed_s : NaN;
}

/* The agent's own estimate has an error, and is of about a minute: other windows get the plain one. */
function rateText(v, where, list) {
	const gauge = v.window_s === GAUGE_WINDOW_S ? v.gauge("trimtab_syscall_calls_per_second", where) : undefined;
	const error = v.gauge("trimtab_syscall_calls_per_second_error", where);
	if (gauge === undefined || error === undefined) return count(callRate(v, where, list));
	return error > 0 ? `${count(gauge)} ±${NBSP}${count(error)}` : count(gauge);
}

function errorsText(v, where, samples) {
	const failed = v.growth("trimtab_syscall_errors_total", where).filter((e) => e.value > 0);
	failed.sort((a, b) => b.value - a.value);
	const names = failed.slice(0, 4).map((e) => `${e.labels.error} ${count(e.value)}`).join(", ");
	return failed.length && samples ? [percent(Math.min(1, sum(failed, (e) => e.value) / samples)), `errors: ${names}`] : ["", ""];
}

/* A call that outlasts the windows is never timed whole: then the time blocked in it stands in. */
function workRows(v) {
	const timed = bySyscall(v.hists(DURATION, isWork(v)));
	const blocked = bySyscall(v.hists(BLOCKED, isWork(v)));
	const rows = [];
	for (const name of new Set([...timed.keys(), ...blocked.keys()])) {
		const where = (l) => l.syscall === name;
		const whole = timed.get(name);
		const shown = whole?.samples ? whole : blocked.get(name);
		if (!shown?.samples) continue;
		const observed = whole && v.observed_s > 0 ? whole.sum / v.observed_s : 0;
		const perSecond = Math.max(observed, (blocked.get(name)?.sum ?? 0) / v.span_s);
		const [errors, title] = errorsText(v, where, whole?.samples);
		rows.push({
			order: perSecond,
			cells: [shown === whole ? name : `${name} (blocked)`, rateText(v, where, whole ? [whole] : []),
				seconds(perSecond), ...quantiles(shown), errors],
			title,
		});
	}
	return rows.sort((a, b) => b.order - a.order);
}

/* from the time blocked, which is complete; a wait that returns at once is not one */
function waitRows(v) {
	const complete = v.hists(BLOCKED, isWait(v));
	const list = complete.length ? complete : v.hists(DURATION, isWait(v));
	const over_s = complete.length ? v.span_s : v.observed_s;
	return list.filter((h) => h.samples > 0).sort((a, b) => b.sum - a.sum).map((h) => ({
		cells: [h.labels.syscall, count(h.samples / over_s), seconds(h.sum / over_s), ...quantiles(h)],
	}));
}

/* ---- what is shown: disk, TCP ---- */

function diskRows(v) {
	const all = v.hists("trimtab_block_io_duration_seconds");
	const moved = groupBy(v.growth("trimtab_block_io_bytes_total"), (l) => `${l.device} ${l.op}`);
	const rows = [];
	for (const [name, list] of groupBy(all, (l) => `${l.device} ${l.op}`)) {
		const device = merge(list.filter((h) => h.labels.stage === "device"));
		const queue = merge(list.filter((h) => h.labels.stage === "queue"));
		if (device.samples + queue.samples === 0) continue;
		rows.push({
			order: device.sum + queue.sum,
			cells: [name, count(device.samples / v.span_s),
				bytesRate(sum(moved.get(name) ?? [], (e) => e.value) / v.span_s),
				...quantiles(device), seconds(quantile(queue, 0.95))],
		});
	}
	return rows.sort((a, b) => b.order - a.order);
}

const OPENING = [["trimtab_tcp_accept_seconds", "inbound"], ["trimtab_tcp_connect_seconds", "outbound"]];

function tcpRows(v) {
	const name = (l) => `${l.direction === "outbound" ? "→" : "←"} ${l.port}`;
	const rtt = groupBy(v.hists("trimtab_tcp_rtt_seconds"), name);
	const opened = groupBy(v.growth("trimtab_tcp_opened_total"), name);
	const again = groupBy(v.growth("trimtab_tcp_retransmits_total"), (l) => l.port);
	const opening = new Map(OPENING.flatMap(([metric, direction]) =>
		v.hists(metric).map((h) => [name({ direction, ...h.labels }), h])));
	return [...new Set([...rtt.keys(), ...opened.keys()])].map((key) => {
		const trips = merge(rtt.get(key) ?? []);
		const n = sum(opened.get(key) ?? [], (e) => e.value);
		const resent = sum(again.get(key.slice(2)) ?? [], (e) => e.value);
		const open = opening.get(key);
		return {
			order: trips.samples + n,
			cells: [key, count(n / v.span_s), seconds(open ? quantile(open, 0.95) : NaN), ...quantiles(trips), count(resent)],
		};
	}).filter((r) => r.order > 0).sort((a, b) => b.order - a.order);
}

/* ---- what is shown: the panels ---- */

/* metric: drawn as one curve; where: which of its series; rate: of a sampled one, scaled */
const PANELS = [
	{
		id: "syscalls", title: "System calls", probe: "syscall", domain: [1e-7, 1e-2],
		about: "work only; calls that wait for something to do are listed apart",
		series: [
			{ name: "all calls", metric: DURATION, where: isWork, rate: (v, h) => callRate(v, isWork(v), [h]) },
			{ name: "blocked in", metric: BLOCKED, where: isWork },
		],
		tables: [
			{ caption: "System calls that work, by time", rows: 10, fill: workRows,
				columns: ["call", "calls/s", "time/s", "p50", "p95", "p99", "errors"] },
			{ caption: "System calls that wait, not in the histogram", rows: 5, fill: waitRows,
				columns: ["call", "waits/s", "time/s", "p50", "p95", "p99"] },
		],
	},
	{
		id: "disk", title: "Disk", probe: "disk", domain: [1e-6, 1e-1], about: "each I/O, exact",
		series: ["device", "queue"].map((stage) => ({
			name: stage, metric: "trimtab_block_io_duration_seconds", where: () => (l) => l.stage === stage,
		})),
		tables: [{
			caption: "Disks, by time", rows: 6, fill: diskRows,
			columns: ["device", "I/O/s", "bytes", "p50", "p95", "p99", "queue p95"],
		}],
	},
	{
		id: "runqueue", title: "Run queue", probe: "sched", domain: [1e-7, 1e-1],
		about: "time a ready thread waits for a CPU; D state: uninterruptible sleep, mostly for a disk",
		series: [
			{ name: "wait", metric: "trimtab_sched_wait_seconds" },
			{ name: "D-state sleep", metric: "trimtab_sched_uninterruptible_seconds" },
		],
		tables: [],
	},
	{
		id: "tcp", title: "TCP", probe: "tcp", domain: [1e-5, 1],
		about: "smoothed round trip; ← inbound by local port, → outbound by remote port",
		series: [
			{ name: "round trip", metric: "trimtab_tcp_rtt_seconds" },
			{ name: "connect", metric: "trimtab_tcp_connect_seconds" },
			{ name: "accept", metric: "trimtab_tcp_accept_seconds", rate: (v, h) => h.samples / v.observed_s },
		],
		tables: [{
			caption: "TCP ports, by use", rows: 8, fill: tcpRows,
			columns: ["port", "opened/s", "open p95", "rtt p50", "p95", "p99", "resent"],
		}],
	},
];

/* ---- building elements ---- */

function make(tag, props = {}, ...children) {
	const e = Object.assign(document.createElement(tag), props);
	e.append(...children);
	return e;
}

const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes = {}) {
	const e = document.createElementNS(SVG, tag);
	set(e, attributes);
	return e;
}

function set(e, attributes) {
	for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
}

/* Writes only what changed, so that a screen reader and the layout stay quiet. */
function put(e, text) {
	if (e.textContent !== text) e.textContent = text;
}

/* ---- chart: share of the samples by latency, log x ---- */

const CHART = { height: 158, left: 40, right: 20, top: 20, bottom: 22 };
const NICE_SHARES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1];
const HINT = "share of the samples per bucket";
const MARK_GAP = 26; // px a marker's label needs

class Chart {
	constructor(panel) {
		this.panel = panel;
		this.focus = 0;
		this.cursor = null; // slot
		this.svg = svg("svg", { role: "img", tabindex: 0, height: CHART.height, class: "chart" });
		this.grid = svg("g", { class: "grid" });
		this.curves = panel.series.map((_, i) => svg("path", { class: `curve c${i}` }));
		this.marks = svg("g", { class: "marks" });
		this.band = svg("rect", { class: "band", visibility: "hidden" });
		this.note = svg("text", { class: "note", "text-anchor": "middle" });
		this.svg.append(this.band, this.grid, ...this.curves, this.marks, this.note);
		this.readout = make("output", { className: "readout" });
		for (const type of ["pointermove", "pointerdown"])
			this.svg.addEventListener(type, (e) => this.list && this.point(this.slotAt(e.offsetX)));
		this.svg.addEventListener("pointerleave", (e) => e.pointerType === "touch" || this.point(null));
		this.svg.addEventListener("blur", () => this.point(null));
		this.svg.addEventListener("keydown", (e) => this.key(e));
		new ResizeObserver(() => this.draw()).observe(this.svg);
	}

	/* list: a merged histogram for each series; empty: what to say when there are no samples */
	show(list, empty) {
		this.list = list;
		this.empty = empty;
		this.draw();
	}

	focusOn(i) {
		this.focus = i;
		this.draw();
	}

	draw() {
		const width = this.svg.clientWidth;
		if (!this.list || width < 80) return;
		this.width = width;
		this.domain = this.findDomain();
		this.top = this.findTop();
		this.drawGrid();
		this.curves.forEach((path, i) => {
			path.setAttribute("d", this.outline(this.list[i]));
			path.classList.toggle("focus", i === this.focus);
		});
		this.drawMarks();
		const none = this.list.every((h) => h.samples === 0);
		set(this.note, { x: (CHART.left + width - CHART.right) / 2, y: CHART.height / 2 });
		put(this.note, none ? this.empty : "");
		this.point(this.cursor);
	}

	/* The series in focus sets the scale, others up to twice it. What is higher is cut off at the top,
	 * and so is the bucket of zero, which would flatten everything else. */
	findTop() {
		const shares = this.list.map((h) => (h.samples ? Math.max(...h.slots.subarray(1)) / h.samples : 0));
		const limit = 2 * shares[this.focus] || 1;
		const most = Math.max(...shares.map((s) => Math.min(s, limit)));
		return NICE_SHARES.find((s) => s >= most) ?? 1;
	}

	/* Whole decades around the default range and the samples: up to the slowest, but not down to the
	 * fastest few, which are drawn at the left edge. */
	findDomain() {
		let [low, high] = this.panel.domain;
		for (const h of this.list) {
			const last = h.slots.findLastIndex((n, slot) => slot > 0 && n > 0);
			if (last < 0) continue;
			low = Math.min(low, quantile(withoutZero(h), 0.005));
			high = Math.max(high, upperEdge(last));
		}
		const decade = (x, round) => round(Number(Math.log10(x).toFixed(9)));
		return [decade(low, Math.floor), Math.min(2, decade(high, Math.ceil))];
	}

	x(s) {
		const [low, high] = this.domain;
		const at = Math.min(high, Math.max(low, Math.log10(s)));
		return CHART.left + ((at - low) / (high - low)) * (this.width - CHART.left - CHART.right);
	}

	y(share) {
		const room = CHART.height - CHART.top - CHART.bottom;
		return CHART.top + room * (1 - share / this.top);
	}

	slotX(slot) {
		return slot === 0 ? [CHART.left, CHART.left + 3] : [this.x(lowerEdge(slot)), this.x(upperEdge(slot))];
	}

	slotAt(px) {
		const [low, high] = this.domain;
		const at = (px - CHART.left) / (this.width - CHART.left - CHART.right);
		if (at < 0 || at > 1) return null;
		return Math.max(0, Math.min(SLOTS - 1, Math.ceil(8 * Math.log2(10 ** (low + at * (high - low)))) + BIAS));
	}

	/* steps; a bucket with samples is at least 1.5 px high, or the tail would not be seen */
	outline(h) {
		if (h.samples === 0) return "";
		const floor = this.y(0);
		const first = h.slots.findIndex((n) => n > 0);
		const last = h.slots.findLastIndex((n) => n > 0);
		let d = `M${this.slotX(first)[0].toFixed(1)} ${floor}`;
		for (let slot = first; slot <= last; slot++) {
			const n = h.slots[slot];
			const y = n ? Math.max(CHART.top, Math.min(floor - 1.5, this.y(n / h.samples))) : floor;
			d += `V${y.toFixed(1)}H${this.slotX(slot)[1].toFixed(1)}`;
		}
		return `${d}V${floor}`;
	}

	drawGrid() {
		const [low, high] = this.domain;
		const floor = this.y(0);
		const step = (this.width - CHART.left - CHART.right) / (high - low) < 44 ? 2 : 1;
		const parts = [];
		for (let e = low; e <= high; e++) {
			const x = this.x(10 ** e);
			parts.push(svg("line", { x1: x, x2: x, y1: CHART.top, y2: floor + 4 }));
			if ((e - low) % step) continue;
			const label = svg("text", { x, y: floor + 16, "text-anchor": "middle" });
			label.textContent = decadeName(e);
			parts.push(label);
		}
		for (const share of [0, this.top / 2, this.top]) {
			const y = this.y(share);
			parts.push(svg("line", { x1: CHART.left, x2: this.width - CHART.right, y1: y, y2: y, class: share ? "" : "axis" }));
			const label = svg("text", { x: CHART.left - 6, y: y + 4, "text-anchor": "end" });
			label.textContent = share ? `${Number((share * 100).toFixed(1))}${NBSP}%` : "0";
			parts.push(label);
		}
		this.grid.replaceChildren(...parts);
	}

	drawMarks() {
		const h = this.list[this.focus];
		const parts = [];
		let free = 0; // px where the next label may start
		for (const [name, q] of h.samples ? QUANTILES : []) {
			const x = this.x(Math.min(64, quantile(h, q)));
			const at = Math.min(Math.max(x, free), this.width - CHART.right - 8);
			parts.push(svg("line", { x1: x, x2: x, y1: CHART.top - 4, y2: this.y(0) }));
			const label = svg("text", { x: at, y: CHART.top - 8, "text-anchor": "middle" });
			label.textContent = name;
			parts.push(label);
			free = at + MARK_GAP;
		}
		this.marks.replaceChildren(...parts);
		const text = QUANTILES.map(([name, q]) => `${name} ${seconds(quantile(h, q))}`).join(", ");
		const label = `${this.panel.title}, ${this.panel.series[this.focus].name}: `;
		this.svg.setAttribute("aria-label", label + (h.samples ? `${count(h.samples)} samples, ${text}` : this.empty));
	}

	point(slot) {
		this.cursor = slot;
		const h = this.list?.[this.focus];
		this.band.setAttribute("visibility", slot === null || !h?.samples ? "hidden" : "visible");
		if (slot === null || !h?.samples) return put(this.readout, HINT);
		const [from, to] = this.slotX(slot);
		set(this.band, { x: from, width: Math.max(1, to - from), y: CHART.top, height: this.y(0) - CHART.top });
		const below = h.slots.slice(0, slot + 1).reduce((a, b) => a + b, 0) / h.samples;
		const range = slot === 0 ? "0" : slot === SLOTS - 1 ? ">64 s" : `${seconds(lowerEdge(slot))} – ${seconds(upperEdge(slot))}`;
		return put(this.readout, `${range}: ${count(h.slots[slot])} samples, ${percent(h.slots[slot] / h.samples)}; ${percent(below)} at or below`);
	}

	key(event) {
		const h = this.list?.[this.focus];
		const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
		if (event.key === "Escape") this.point(null);
		if (!step || !h?.samples) return;
		event.preventDefault();
		const start = this.cursor ?? this.slotNear(quantile(h, 0.5));
		this.point(Math.max(0, Math.min(SLOTS - 1, start + step)));
	}

	slotNear(s) {
		return slotOf(s === Infinity ? null : s);
	}
}

function decadeName(e) {
	const unit = Math.min(0, Math.floor(e / 3) * 3);
	return `${10 ** (e - unit)}${NBSP}${{ "-9": "ns", "-6": "µs", "-3": "ms", 0: "s" }[unit]}`;
}

/* ---- tables: their rows are made once and only their text changes ---- */

const MEANING = {
	"calls/s": "estimated from the time observed, with the half width of its interval",
	"time/s": "time in these calls a second: of the calls observed, scaled, or the time blocked if that is more",
	"waits/s": "how often a call blocked; complete",
	errors: "share of the calls observed that returned an error",
	"open p95": "connect time of outbound, time until accept of inbound connections",
	resent: "segments sent again in the window, both directions of the port",
};

const ROWS_MAX = 200;

class Table {
	constructor(spec) {
		this.spec = spec;
		this.lines = [];
		this.most = 3; // rows that have been needed so far: a table never shrinks, so nothing jumps
		this.all = false;
		this.list = [];
		this.more = make("button", { type: "button", className: "more", hidden: true });
		this.more.addEventListener("click", () => this.toggle());
		this.body = make("tbody");
		const head = spec.columns.map((c) => make("th", { scope: "col", textContent: c, title: MEANING[c] ?? "" }));
		this.element = make("table", { className: `cols${spec.columns.length}` },
			make("caption", {}, spec.caption, this.more),
			make("thead", {}, make("tr", {}, ...head)), this.body);
		this.show([]);
	}

	toggle() {
		this.all = !this.all;
		if (!this.all) this.most = this.spec.rows;
		this.show(this.list);
	}

	addLine() {
		const cells = this.spec.columns.map((_, i) => make(i ? "td" : "th", i ? {} : { scope: "row" }));
		const line = make("tr", {}, ...cells);
		this.lines.push({ line, cells });
		this.body.append(line);
	}

	/* list: [{cells, title}], the most important first */
	show(list) {
		this.list = list;
		const most = this.all ? ROWS_MAX : this.spec.rows;
		this.most = Math.max(this.most, Math.min(list.length, most));
		while (this.lines.length < this.most) this.addLine();
		this.lines.forEach(({ line, cells }, i) => {
			const row = i < most ? list[i] : undefined;
			cells.forEach((cell, j) => put(cell, row ? row.cells[j] : j ? "" : i ? NBSP : "none"));
			line.classList.toggle("blank", !row);
			line.hidden = i >= this.most;
			const title = row ? [row.cells[0], row.title].filter(Boolean).join(": ") : "";
			if (line.title !== title) line.title = title;
		});
		this.more.hidden = !this.all && list.length <= this.spec.rows;
		this.more.setAttribute("aria-expanded", String(this.all));
		put(this.more, this.all ? "show fewer" : `top ${this.spec.rows} of ${list.length}, show all`);
	}
}

/* ---- a panel: chart, one line a series, tables ---- */

class Panel {
	constructor(spec) {
		this.spec = spec;
		this.chart = new Chart(spec);
		this.about = make("span", { className: "about", textContent: spec.about });
		this.lines = spec.series.map((s, i) => this.makeLine(s, i));
		this.tables = spec.tables.map((t) => new Table(t));
		const head = ["series", "samples", "rate", ...QUANTILES.map(([name]) => name)];
		const figure = make("div", { className: "card figure" },
			make("h2", {}, spec.title, this.about),
			this.chart.svg, this.chart.readout,
			make("table", { className: "series" },
				make("thead", {}, make("tr", {}, ...head.map((c) => make("th", { scope: "col", textContent: c })))),
				make("tbody", {}, ...this.lines.map((l) => l.row))));
		this.element = make("section", { id: spec.id, className: "panel" }, figure);
		if (this.tables.length)
			this.element.append(make("div", { className: "card tables" }, ...this.tables.map((t) => t.element)));
		this.element.setAttribute("aria-label", spec.title);
		this.focusOn(0);
	}

	makeLine(series, i) {
		const button = make("button", { type: "button", className: `swatch c${i}`, textContent: series.name });
		button.addEventListener("click", () => this.focusOn(i));
		const cells = ["samples", "rate", ...QUANTILES.map(([name]) => name)].map((c) => make("td", { className: c, textContent: MISSING }));
		return { button, cells, row: make("tr", {}, make("th", { scope: "row" }, button), ...cells) };
	}

	focusOn(focus) {
		this.lines.forEach((l, i) => l.button.setAttribute("aria-pressed", String(i === focus)));
		this.chart.focusOn(focus);
	}

	show(view) {
		const list = this.spec.series.map((s) => merge(view.hists(s.metric, s.where?.(view))));
		const probe = view.status.probes.find((p) => p.name === this.spec.probe);
		const off = probe && probe.state !== "attached" && probe.state !== "shed";
		this.chart.show(list, off ? `${probe.name} probe: ${probe.state}` : `no samples, ${spanText(view)}`);
		list.forEach((h, i) => {
			const scale = this.spec.series[i].rate;
			const perSecond = scale ? scale(view, h) : h.samples / view.span_s;
			const about = scale && view.observed_ratio < 1 && perSecond > 0 ? "≈" : "";
			[count(h.samples), about + rate(perSecond), ...quantiles(h)].forEach((text, j) => put(this.lines[i].cells[j], text));
		});
		this.tables.forEach((t) => t.show(t.spec.fill(view)));
	}
}

const spanText = (v) => (v.base ? `last ${span(Math.round(v.span_s))}` : "since the start");

/* ---- tiles: the host in one strip; one that has no data is left out ---- */

const share = (part, whole) => (whole > 0 ? part / whole : undefined);
const modeTime = (v, wanted) => sum(v.growth("trimtab_cpu_seconds_total", (l) => wanted(l.mode)), (e) => e.value);
const shortShare = ([name, x]) => `${SHORT[name] ?? name} ${(x * 100).toFixed(x < 0.0995 ? 1 : 0)}`;
const SHORT = { memory: "mem", system: "sys" };
const notLoopback = (l) => l.device !== "lo";

/* read(view) -> { value, text, sub } or null; max: fixed top of the sparkline */
const TILES = [
	{ name: "CPU", max: 1, read: tileCpu },
	{ name: "Load", read: tileLoad },
	{ name: "Memory", max: 1, read: tileMemory },
	{ name: "Pressure", max: 1, read: tilePressure },
	{ name: "Disk space", max: 1, read: tileSpace },
	{ name: "Disk I/O", read: tileDisk },
	{ name: "Network", read: tileNetwork },
	{ name: "TCP", read: tileTcp },
];

function tileCpu(v) {
	const all = modeTime(v, (m) => !m.startsWith("guest"));
	if (!all) return null;
	const idle = modeTime(v, (m) => m === "idle" || m === "iowait");
	const value = 1 - idle / all;
	const parts = ["system", "iowait", "steal"].map((mode) => [mode, modeTime(v, (m) => m === mode) / all]);
	const shown = parts.filter(([mode, x]) => mode !== "steal" || x >= 0.001);
	return { value, text: percent(value), sub: shown.map(shortShare).join(" · ") };
}

function tileLoad(v) {
	const value = v.gauge("trimtab_load1");
	if (value === undefined) return null;
	const cpus = v.gauge("trimtab_cpus") ?? MISSING;
	const older = ["trimtab_load5", "trimtab_load15"].map((n) => (v.gauge(n) ?? NaN).toFixed(2)).join(" · ");
	return { value, text: value.toFixed(2), sub: `${older} · ${cpus}${NBSP}CPUs` };
}

function tileMemory(v) {
	const total = v.gauge("trimtab_memory_total_bytes");
	const free = v.gauge("trimtab_memory_available_bytes");
	if (!total || free === undefined) return null;
	return { value: 1 - free / total, text: percent(1 - free / total), sub: `${bytes(free)} free of ${bytes(total)}` };
}

function tilePressure(v) {
	const some = v.growth("trimtab_pressure_seconds_total", (l) => l.kind === "some");
	if (!some.length) return null;
	const list = some.map((e) => [e.labels.resource, e.value / v.span_s]);
	const value = Math.max(...list.map(([, x]) => x));
	return { value, text: percent(value), sub: list.map(shortShare).join(" · ") };
}

function tileSpace(v) {
	const sizes = index(v.gauges("trimtab_filesystem_size_bytes").map((e) => ({ ...e, key: JSON.stringify(e.labels) })));
	const used = v.gauges("trimtab_filesystem_avail_bytes").map((e) => {
		const size = sizes.get(JSON.stringify(e.labels))?.value;
		return { mount: e.labels.mountpoint, free: e.value, value: size > 0 ? 1 - e.value / size : -1 };
	}).sort((a, b) => b.value - a.value);
	if (!used.length || used[0].value < 0) return null;
	return { value: used[0].value, text: percent(used[0].value), sub: `${used[0].mount}: ${bytes(used[0].free)} free` };
}

function tileDisk(v) {
	const per = (op) => v.perSecond("trimtab_block_io_bytes_total", (l) => l.op === op);
	const [read, write] = [per("read"), per("write")];
	if (read === undefined) return null;
	return { value: read + write, text: bytesRate(read + write), sub: `read ${bytesRate(read)}` };
}

function tileNetwork(v) {
	const down = v.perSecond("trimtab_network_receive_bytes_total", notLoopback);
	const up = v.perSecond("trimtab_network_transmit_bytes_total", notLoopback);
	if (down === undefined || up === undefined) return null;
	return { value: down + up, text: bytesRate(down + up), sub: `in ${bytesRate(down)}` };
}

function tileTcp(v) {
	const states = v.gauges("trimtab_tcp_connections");
	if (!states.length) return null;
	const of = (state) => sum(states.filter((e) => e.labels.state.toLowerCase() === state), (e) => e.value);
	return { value: of("established"), text: count(of("established")), sub: `open · ${count(of("time_wait"))} in time-wait` };
}

class Tile {
	constructor(spec) {
		this.spec = spec;
		this.points = [];
		this.text = make("span", { className: "value" });
		this.sub = make("span", { className: "sub" });
		this.line = svg("path");
		const spark = svg("svg", { class: "spark", viewBox: `0 0 ${SPARK_MAX - 1} 20`, preserveAspectRatio: "none", "aria-hidden": "true" });
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
		const top = this.spec.max ?? (Math.max(...this.points) || 1);
		const from = SPARK_MAX - this.points.length;
		this.line.setAttribute("d", this.points.map((p, i) => `${i ? "L" : "M"}${from + i} ${(19 - 18 * Math.min(1, p / top)).toFixed(1)}`).join(""));
	}
}

/* ---- header, notices, losses ---- */

/* api/status in the page's own words */
function readStatus(s) {
	const parts = (list) => (list ?? []).map((p) => ({ name: p.name, state: p.state ?? p.phase, reason: p.reason ?? "" }));
	return {
		uptime_s: s.uptime_seconds,
		kernel: s.kernel ?? "",
		probes: parts(s.probes),
		modules: parts(s.modules),
		mode: s.syscall?.mode,
		observed_ratio: s.syscall?.observed_ratio,
		window_ms: s.configuration?.syscall?.window_ms,
		bpf_cpu_ratio: s.governor?.bpf_cpu_ratio,
		shed_level: s.governor?.shed_level ?? 0,
		btf: s.btf ?? "",
	};
}

const CHOSEN = /by configuration|\.enabled is false/; // off because somebody wanted it so

/* [{text, chosen}]: all that does not run */
function troubles(status) {
	const list = [
		...status.probes.filter((p) => p.state !== "attached").map((p) => ({ ...p, name: `${p.name} probe` })),
		...status.modules.filter((m) => m.state !== "running"),
	].map((p) => ({
		text: `${p.name} ${p.state}: ${p.reason || "no reason given"}`,
		chosen: p.state === "off" && CHOSEN.test(p.reason),
	}));
	if (status.shed_level > 0) {
		const text = `the BPF programs passed their CPU budget: detail is shed, level ${status.shed_level}`;
		list.push({ text, chosen: false });
	}
	return list;
}

function showState(status) {
	const list = troubles(status);
	const bad = list.filter((t) => !t.chosen).length;
	const pill = $("state");
	put(pill, bad ? `degraded · ${bad}` : list.length ? `ok · ${list.length} off` : "ok");
	pill.className = bad ? "pill warn" : "pill good";
	pill.disabled = list.length === 0;
	if (list.length === 0) pill.setAttribute("aria-expanded", "false");
	const box = $("reasons");
	box.hidden = pill.getAttribute("aria-expanded") !== "true";
	const text = list.map((t) => t.text);
	const old = [...box.querySelectorAll("li")].map((e) => e.textContent);
	if (old.join("\n") !== text.join("\n"))
		box.replaceChildren(make("ul", {}, ...text.map((t) => make("li", { textContent: t }))));
}

function showFacts(v) {
	const info = v.gauges("trimtab_node_info")[0]?.labels ?? {};
	const host = info.nodename ?? info.hostname ?? location.hostname;
	put($("host"), host);
	document.title = `${host} · trimtab`;
	put($("kernel"), `Linux ${v.status.kernel || info.release || ""}`);
	const up_s = v.gauge("trimtab_uptime_seconds");
	put($("uptime"), up_s === undefined ? "" : `up ${span(up_s)}`);
	const agent = v.perSecond("trimtab_process_cpu_seconds_total", (l) => l.role);
	const resident = v.gauges("trimtab_process_resident_memory_bytes", (l) => l.role);
	const parts = [
		v.status.bpf_cpu_ratio === undefined ? "" : `BPF ${percent(v.status.bpf_cpu_ratio)} of CPU`,
		agent === undefined ? "" : `agent ${percent(agent)} of a core`,
		resident.length ? bytes(sum(resident, (e) => e.value)) : "",
	].filter(Boolean);
	put($("cost"), parts.length ? `own cost: ${parts.join(", ")}` : "");
}

/* mode -> what the reader must know about the system call figures */
const SAMPLING = {
	windows: (v) => `System calls are sampled: every call is observed ${percent(v.observed_ratio)} of the time, in random windows`
		+ `${v.status.window_ms ? ` of ${v.status.window_ms}${NBSP}ms` : ""}. Rates are scaled to the whole, ± is the 99 % interval;`
		+ " calls that outlast a window show only in the blocked time. Accept times are sampled alike; all else is complete.",
	exact: () => "System calls are exact: every call is observed, all the time.",
	blocked: () => "System calls: only the time blocked in them is measured (syscall.mode: blocked); it is complete.",
};

function showSampling(v) {
	const mode = v.status.mode ?? (v.observed_ratio === undefined ? undefined : v.observed_ratio < 1 ? "windows" : "exact");
	const have = v.base ? `Shown: ${spanText(v)}. ` : "Shown: since the start. ";
	put($("sampling"), have + (SAMPLING[mode]?.(v) ?? "System calls are not observed."));
}

function showLosses(v) {
	const lost = v.gauges("trimtab_lost_total").filter((e) => e.value > 0);
	const text = lost.map((e) => `${e.labels.probe} ${e.labels.reason} ${count(e.value)}`).join(" · ");
	put($("losses"), lost.length ? `Lost since the start: ${text}` : "Nothing lost since the start.");
	$("losses").className = lost.length ? "warn" : "";
}

/* ---- polling ---- */

/* what the page uses; the rest of the node's series stay at home */
const MATCH = [
	"trimtab_syscall_*", "trimtab_block_io_*", "trimtab_sched_*", "trimtab_tcp_*", "trimtab_lost_total",
	"trimtab_node_info", "trimtab_uptime_seconds", "trimtab_process_*", "trimtab_cpus",
	"trimtab_cpu_seconds_total", "trimtab_load*", "trimtab_memory_total_bytes",
	"trimtab_memory_available_bytes", "trimtab_pressure_seconds_total", "trimtab_filesystem_size_bytes",
	"trimtab_filesystem_avail_bytes", "trimtab_network_*e_bytes_total", "trimtab_network_*t_bytes_total",
].join(",");

const page = {
	panels: PANELS.map((p) => new Panel(p)),
	tiles: TILES.map((t) => new Tile(t)),
	history: [], // readings, oldest first
	status: null,
	window_s: 60,
	paused: false,
	failed_at: 0, // Date.now() of the first failure in a row; 0: connected
	failures: 0,
	timer: 0,
	busy: false,
};

class NeedsToken extends Error {}

async function get(path) {
	const token = sessionStorage.getItem("token");
	const answer = await fetch(path, {
		cache: "no-store",
		signal: AbortSignal.timeout(TIMEOUT_MS),
		headers: token ? { Authorization: `Bearer ${token}` } : {},
	});
	if (answer.status === 401 || answer.status === 403) throw new NeedsToken();
	if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
	return answer.json();
}

async function poll() {
	clearTimeout(page.timer);
	if (page.busy || page.paused || document.hidden) return;
	page.busy = true;
	try {
		const query = `api/metrics?format=json&match=${MATCH}`;
		const [status, metrics] = await Promise.all([get("api/status"), get(query)]);
		keep(parse(metrics), readStatus(status));
		page.failures = page.failed_at = 0;
		$("token-form").hidden = true;
		redraw();
	} catch (error) {
		page.failures++;
		page.failed_at ||= Date.now();
		$("token-form").hidden = !(error instanceof NeedsToken);
	}
	page.busy = false;
	showConnection();
	schedule();
}

function schedule() {
	page.timer = setTimeout(poll, Math.min(RETRY_MAX_MS, POLL_MS * 1.5 ** Math.max(0, page.failures - 1)));
}

/* A program that was started anew counts from 0: what was read before is no base any more. */
function keep(reading, status) {
	if (page.status && status.uptime_s < page.status.uptime_s) page.history = [];
	page.status = status;
	page.history.push(reading);
	if (page.history.length > HISTORY_MAX) page.history.shift();
}

/* the newest reading that is at least span_s older than the last; the oldest if there is none */
function viewOf(span_s) {
	const now = page.history.at(-1);
	const older = page.history.slice(0, -1);
	const base = older.findLast((r) => now.time_s - r.time_s >= span_s - 0.5) ?? older[0];
	return base ? new View(now, base, now.time_s - base.time_s, page.status, span_s) : null;
}

function redraw() {
	const now = page.history.at(-1);
	if (!now) return;
	const whole = new View(now, null, page.status.uptime_s, page.status, 0);
	const recent = viewOf(POLL_MS / 1000);
	const view = (page.window_s ? viewOf(page.window_s) : null) ?? whole;
	showState(page.status);
	showFacts(viewOf(60) ?? whole);
	showSampling(view);
	showLosses(whole);
	page.panels.forEach((p) => p.show(view));
	if (!recent) return;
	page.tiles.forEach((t) => t.show(recent));
	$("host-strip").hidden = page.tiles.every((t) => t.element.hidden);
}

function showConnection() {
	const box = $("lost-connection");
	const asks = !$("token-form").hidden;
	box.hidden = page.failed_at === 0 || asks;
	if (page.failed_at === 0) return;
	put($("state"), asks ? "token needed" : "no answer");
	$("state").className = "pill bad";
	$("state").disabled = true;
	const since = new Date(page.failed_at).toLocaleTimeString([], { hourCycle: "h23" });
	const ago = span(Math.round((Date.now() - page.failed_at) / 1000));
	const data = page.history.length ? "The figures below are the last that were read." : "Nothing was read yet.";
	put(box, `No answer from the agent since ${since} (${ago}). ${data} Trying again.`);
}

function setPaused(paused) {
	page.paused = paused;
	$("pause").setAttribute("aria-pressed", String(paused));
	put($("pause"), paused ? "Resume" : "Pause");
	if (!paused) poll();
}

function start() {
	$("panels").append(...page.panels.map((p) => p.element));
	$("host-strip").append(...page.tiles.map((t) => t.element));
	put($("host"), location.hostname);
	$("pause").addEventListener("click", () => setPaused(!page.paused));
	$("windows").addEventListener("change", (e) => {
		page.window_s = Number(e.target.value);
		redraw();
	});
	$("state").addEventListener("click", () => {
		const open = $("state").getAttribute("aria-expanded") !== "true";
		$("state").setAttribute("aria-expanded", String(open));
		$("reasons").hidden = !open;
	});
	$("token-form").addEventListener("submit", (e) => {
		e.preventDefault();
		sessionStorage.setItem("token", $("token").value.trim());
		$("token").value = "";
		poll();
	});
	document.addEventListener("visibilitychange", poll);
	poll();
}

start();
