/* model.js - readings of api/metrics, and the difference between two of them.
 *
 * Input: answers of GET api/metrics?format=json. Pure but for the list of readings. What is drawn is
 * the newest reading less one that is a window older, so the page shows now, not the average since
 * boot. Bounds: HISTORY_MAX readings. Cost: one pass over the series a reading.
 */
import { span } from "./format.js";
import { SLOTS, slotOfEdge } from "./histogram.js";

const HISTORY_MAX = 40; // 60 s at one reading in 2 s, and slack
const CLOCK_SLACK_S = 0.5;

export const sum = (list, value = (e) => e.value) => list.reduce((all, x) => all + value(x), 0);
const index = (list) => new Map((list ?? []).map((e) => [e.key, e]));

export function groupBy(list, name) {
	const groups = new Map();
	for (const e of list) {
		const key = name(e.labels);
		if (!groups.has(key)) groups.set(key, []);
		groups.get(key).push(e);
	}
	return groups;
}

/* { time_s, values: name -> [{key, labels, value}],
 *   hists: name -> [{key, labels, sum, slot, n}]: n[i] samples in slot[i] } */
function parse(answer) {
	const reading = { time_s: answer.time, values: new Map(), hists: new Map() };
	for (const m of answer.metrics) {
		const is_hist = m.type === "histogram";
		const into = is_hist ? reading.hists : reading.values;
		const entry = { key: JSON.stringify(m.labels), labels: m.labels };
		if (is_hist) {
			entry.sum = m.sum;
			entry.slot = Uint16Array.from(m.buckets, (b) => slotOfEdge(b[0]));
			entry.n = Float64Array.from(m.buckets, (b) => b[1]);
		} else {
			entry.value = m.value;
		}
		if (!into.has(m.name)) into.set(m.name, []);
		into.get(m.name).push(entry);
	}
	return reading;
}

const anything = () => true;

/* What the panels are given: a reading against an older one. */
class View {
	/* readings: the window's, oldest first; only the newest for everything since the start.
	 * window_s: as chosen, 0 for since the start */
	constructor(readings, status, window_s) {
		const now = readings.at(-1);
		const base = readings.length > 1 ? readings[0] : null;
		this.readings = readings;
		this.now = now;
		this.base = base;
		this.status = status;
		this.window_s = window_s;
		this.span_s = base ? now.time_s - base.time_s : status.uptime_s;
		this.span = base ? `last ${span(Math.round(this.span_s))}` : "since the start";
		/* how long every system call was observed: what their rates are divided by */
		this.observed_s = sum(this.growth("trimtab_syscall_observed_seconds_total"));
		this.observed_ratio = Math.min(1, this.observed_s / this.span_s);
		const waits = this.gauges("trimtab_syscall_info", (l) => l.class === "wait");
		this.waits = new Set(waits.map((e) => e.labels.syscall));
	}

	has(name) {
		return this.now.values.has(name);
	}

	gauges(name, where = anything) {
		return (this.now.values.get(name) ?? []).filter((e) => where(e.labels));
	}

	gauge(name, where) {
		return this.gauges(name, where)[0]?.value;
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
		if (!this.has(name) || this.span_s <= 0) return undefined;
		return sum(this.growth(name, where)) / this.span_s;
	}

	/* [{labels, value}]: growth a second of what the agent reads seldom, so that its series begin late:
	 * each since its own first reading, which must be least_s ago */
	rates(name, least_s) {
		const first = new Map();
		for (const { time_s, values } of this.readings)
			for (const { key, value } of values.get(name) ?? [])
				if (!first.has(key)) first.set(key, { time_s, value });
		return this.gauges(name).map(({ key, labels, value }) => {
			const since = first.get(key);
			const span_s = this.now.time_s - since.time_s;
			const grown = Math.max(0, value - since.value);
			return { labels, value: span_s >= least_s ? grown / span_s : NaN };
		}).filter((e) => !Number.isNaN(e.value));
	}

	/* [{labels, sum, slots, samples}] of one histogram metric, in the window */
	hists(name, where = anything) {
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

export class Model {
	constructor() {
		this.readings = []; // oldest first
		this.status = null;
	}

	/* A program that was started anew counts from 0: what was read before is no base any more. */
	add(answer, status) {
		if (this.status && status.uptime_s < this.status.uptime_s) this.readings = [];
		this.status = status;
		this.readings.push(parse(answer));
		if (this.readings.length > HISTORY_MAX) this.readings.shift();
	}

	get empty() {
		return this.readings.length === 0;
	}

	whole() {
		return new View(this.readings.slice(-1), this.status, 0);
	}

	/* Against the newest reading that is window_s older, or the oldest; null if there is but one. */
	last(window_s) {
		if (this.readings.length < 2) return null;
		const now_s = this.readings.at(-1).time_s;
		const old_enough = (r) => now_s - r.time_s >= window_s - CLOCK_SLACK_S;
		const older = this.readings.slice(0, -1);
		const from = Math.max(0, older.findLastIndex(old_enough));
		return new View(this.readings.slice(from), this.status, window_s);
	}
}
