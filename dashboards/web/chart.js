/* chart.js - histograms as curves: share of the samples by latency, the latency in log space.
 *
 * Input: a panel's spec { title, domain, series } and a merged histogram for each of its series. One
 * series is in focus: it sets the scale, has its quantiles marked and can be read bucket by bucket,
 * by pointer or arrow keys. Cost: under 1 ms a drawing.
 */
import { make, put, set, svg } from "./dom.js";
import { NBSP, count, percent, seconds } from "./format.js";
import {
	OVERFLOW, QUANTILES, lowerEdge, quantile, slotOfTime, upperEdge, withoutZero,
} from "./histogram.js";

const HEIGHT = 158;
const LEFT = 40;
const RIGHT = 20;
const TOP = 20;
const BOTTOM = 22;
const WIDTH_MIN = 80;
const NICE_SHARES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1];
const HINT = "share of the samples per bucket";
const MARK_GAP = 26; // px a marker's label needs
const DECADE_GAP = 44; // and an axis label
const TAIL_PX = 1.5; // least height of a bucket with samples, or the tail would not be seen
const ZERO_PX = 3; // width of the bucket of zero, which has none in log space

const UNITS = { "-9": "ns", "-6": "µs", "-3": "ms", 0: "s" };

function decadeName(e) {
	const unit = Math.min(0, Math.floor(e / 3) * 3);
	return 10 ** (e - unit) + NBSP + UNITS[unit];
}

/* Where latencies and shares lie on the drawing. */
class Scale {
	constructor(width, domain, top) {
		this.width = width - LEFT - RIGHT;
		this.right = width - RIGHT;
		this.domain = domain; // powers of ten
		this.top = top; // share
		this.floor = HEIGHT - BOTTOM;
	}

	x(s) {
		const [low, high] = this.domain;
		const at = Math.min(high, Math.max(low, Math.log10(s)));
		return LEFT + ((at - low) / (high - low)) * this.width;
	}

	y(share) {
		return this.floor - ((this.floor - TOP) * share) / this.top;
	}

	slotX(slot) {
		if (slot === 0) return [LEFT, LEFT + ZERO_PX];
		return [this.x(lowerEdge(slot)), this.x(upperEdge(slot))];
	}

	slotAt(px) {
		const [low, high] = this.domain;
		const at = (px - LEFT) / this.width;
		return at < 0 || at > 1 ? null : slotOfTime(10 ** (low + at * (high - low)));
	}
}

/* Whole decades around the default range and the samples: up to the slowest, but not down to the
 * fastest few, which are drawn at the left edge. */
function findDomain(list, [low, high]) {
	for (const h of list) {
		const last = h.slots.findLastIndex((n, slot) => slot > 0 && n > 0);
		if (last < 0) continue;
		low = Math.min(low, quantile(withoutZero(h), 0.005));
		high = Math.max(high, upperEdge(last));
	}
	const decade = (x, round) => round(Number(Math.log10(x).toFixed(9)));
	return [decade(low, Math.floor), Math.min(2, decade(high, Math.ceil))];
}

/* The series in focus sets the scale, others up to twice it. What is higher is cut off at the top,
 * and so is the bucket of zero, which would flatten everything else. */
function findTop(list, focus) {
	const peak = (h) => (h.samples ? Math.max(...h.slots.subarray(1)) / h.samples : 0);
	const peaks = list.map(peak);
	const limit = 2 * peaks[focus] || 1;
	const most = Math.max(...peaks.map((p) => Math.min(p, limit)));
	return NICE_SHARES.find((s) => s >= most) ?? 1;
}

/* a curve of steps, as a path */
function outline(h, scale) {
	if (h.samples === 0) return "";
	const first = h.slots.findIndex((n) => n > 0);
	const last = h.slots.findLastIndex((n) => n > 0);
	let d = `M${scale.slotX(first)[0].toFixed(1)} ${scale.floor}`;
	for (let slot = first; slot <= last; slot++) {
		const n = h.slots[slot];
		const high = Math.max(TOP, Math.min(scale.floor - TAIL_PX, scale.y(n / h.samples)));
		d += `V${(n ? high : scale.floor).toFixed(1)}H${scale.slotX(slot)[1].toFixed(1)}`;
	}
	return `${d}V${scale.floor}`;
}

function gridLines(scale) {
	const [low, high] = scale.domain;
	const step = scale.width / (high - low) < DECADE_GAP ? 2 : 1;
	const parts = [];
	for (let e = low; e <= high; e++) {
		const x = scale.x(10 ** e);
		parts.push(svg("line", { x1: x, x2: x, y1: TOP, y2: scale.floor + 4 }));
		if ((e - low) % step) continue;
		parts.push(svg("text", { x, y: scale.floor + 16, "text-anchor": "middle" }, decadeName(e)));
	}
	for (const share of [0, scale.top / 2, scale.top]) {
		const y = scale.y(share);
		const text = share ? `${Number((share * 100).toFixed(1))}${NBSP}%` : "0";
		parts.push(
			svg("line", { x1: LEFT, x2: scale.right, y1: y, y2: y, class: share ? "" : "axis" }),
			svg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, text));
	}
	return parts;
}

function quantileMarks(h, scale) {
	const parts = [];
	let free = 0; // px where the next label may start
	for (const [name, q] of h.samples ? QUANTILES : []) {
		const x = scale.x(Math.min(64, quantile(h, q)));
		const at = Math.min(Math.max(x, free), scale.right - 8);
		parts.push(
			svg("line", { x1: x, x2: x, y1: TOP - 4, y2: scale.floor }),
			svg("text", { x: at, y: TOP - 8, "text-anchor": "middle" }, name));
		free = at + MARK_GAP;
	}
	return parts;
}

function rangeText(slot) {
	if (slot === 0) return "0";
	if (slot === OVERFLOW) return `>64${NBSP}s`;
	return `${seconds(lowerEdge(slot))} – ${seconds(upperEdge(slot))}`;
}

function bucketText(h, slot) {
	const n = h.slots[slot];
	const below = h.slots.slice(0, slot + 1).reduce((a, b) => a + b, 0);
	return `${rangeText(slot)}: ${count(n)} samples, ${percent(n / h.samples)};`
		+ ` ${percent(below / h.samples)} at or below`;
}

export class Chart {
	constructor(panel) {
		this.panel = panel;
		this.list = null;
		this.focus = 0;
		this.cursor = null; // slot
		this.svg = svg("svg", { role: "img", tabindex: 0, height: HEIGHT, class: "chart" });
		this.grid = svg("g", { class: "grid" });
		this.curves = panel.series.map((_, i) => svg("path", { class: `curve c${i}` }));
		this.marks = svg("g", { class: "marks" });
		this.band = svg("rect", { class: "band", visibility: "hidden" });
		this.note = svg("text", { class: "note", "text-anchor": "middle" });
		this.svg.append(this.band, this.grid, ...this.curves, this.marks, this.note);
		this.readout = make("output", { className: "readout" });
		this.listen();
	}

	listen() {
		const follow = (e) => this.scale && this.point(this.scale.slotAt(e.offsetX));
		this.svg.addEventListener("pointermove", follow);
		this.svg.addEventListener("pointerdown", follow);
		this.svg.addEventListener("pointerleave", (e) => {
			if (e.pointerType !== "touch") this.point(null);
		});
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
		if (!this.list || width < WIDTH_MIN) return;
		const domain = findDomain(this.list, this.panel.domain);
		this.scale = new Scale(width, domain, findTop(this.list, this.focus));
		this.grid.replaceChildren(...gridLines(this.scale));
		this.curves.forEach((path, i) => {
			path.setAttribute("d", outline(this.list[i], this.scale));
			path.classList.toggle("focus", i === this.focus);
		});
		this.marks.replaceChildren(...quantileMarks(this.list[this.focus], this.scale));
		set(this.note, { x: LEFT + this.scale.width / 2, y: HEIGHT / 2 });
		put(this.note, this.list.every((h) => h.samples === 0) ? this.empty : "");
		this.svg.setAttribute("aria-label", this.describe());
		this.point(this.cursor);
	}

	describe() {
		const h = this.list[this.focus];
		const text = QUANTILES.map(([name, q]) => `${name} ${seconds(quantile(h, q))}`).join(", ");
		const what = h.samples ? `${count(h.samples)} samples, ${text}` : this.empty;
		return `${this.panel.title}, ${this.panel.series[this.focus].name}: ${what}`;
	}

	/* Reads one bucket of the series in focus; null: none. */
	point(slot) {
		const h = this.list?.[this.focus];
		const shown = slot !== null && h?.samples > 0;
		this.cursor = slot;
		this.band.setAttribute("visibility", shown ? "visible" : "hidden");
		put(this.readout, shown ? bucketText(h, slot) : HINT);
		if (!shown) return;
		const [from, to] = this.scale.slotX(slot);
		const height = this.scale.floor - TOP;
		set(this.band, { x: from, width: Math.max(1, to - from), y: TOP, height });
	}

	key(event) {
		const h = this.list?.[this.focus];
		const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
		if (event.key === "Escape") this.point(null);
		if (!step || !h?.samples) return;
		event.preventDefault();
		const start = this.cursor ?? slotOfTime(quantile(h, 0.5));
		this.point(Math.max(0, Math.min(OVERFLOW, start + step)));
	}
}
