/* syscalls.js - the panel of the system calls.
 *
 * Calls that wait for something to do (trimtab_syscall_info has them) are kept apart from work, or an
 * idle server would look slow. Durations are of the calls observed, rates are scaled by the time
 * observed; the time blocked in a call is complete.
 */
import { NBSP, count, percent, seconds } from "./format.js";
import { quantiles } from "./histogram.js";
import { sum } from "./model.js";

const DURATION = "trimtab_syscall_duration_seconds";
const BLOCKED = "trimtab_syscall_blocked_seconds";
const LATE = "trimtab_syscall_late_total"; // begun before the window that saw them end
const ERRORS = "trimtab_syscall_errors_total";
const RATE = "trimtab_syscall_calls_per_second";
const RATE_WINDOW_S = 60; // about what RATE looks back on
const ERRORS_NAMED = 4;

const isWork = (v) => (l) => !v.waits.has(l.syscall);
const isWait = (v) => (l) => v.waits.has(l.syscall);
const bySyscall = (list) => new Map(list.map((h) => [h.labels.syscall, h]));

/* calls a second, NaN if none was observed */
function callRate(v, where, list) {
	const calls = sum(list, (h) => h.samples) + sum(v.growth(LATE, where));
	return v.observed_s > 0 ? calls / v.observed_s : NaN;
}

/* The agent's own estimate has an error, and is of about a minute: other windows get the plain one. */
function rateText(v, where, list) {
	const gauge = v.window_s === RATE_WINDOW_S ? v.gauge(RATE, where) : undefined;
	const error = v.gauge(`${RATE}_error`, where);
	if (gauge === undefined || error === undefined) return count(callRate(v, where, list));
	return error > 0 ? `${count(gauge)} ±${NBSP}${count(error)}` : count(gauge);
}

function errorTexts(v, where, samples) {
	const failed = v.growth(ERRORS, where).filter((e) => e.value > 0);
	if (!failed.length || !samples) return ["", ""];
	failed.sort((a, b) => b.value - a.value);
	const named = failed.slice(0, ERRORS_NAMED).map((e) => `${e.labels.error} ${count(e.value)}`);
	return [percent(Math.min(1, sum(failed) / samples)), `errors: ${named.join(", ")}`];
}

/* A call that outlasts the windows is never timed whole: then the time blocked in it stands in. */
function workRow(v, name, timed, blocked) {
	const where = (l) => l.syscall === name;
	const shown = timed?.samples ? timed : blocked;
	if (!shown?.samples) return null;
	const observed = timed && v.observed_s > 0 ? timed.sum / v.observed_s : 0;
	const perSecond = Math.max(observed, (blocked?.sum ?? 0) / v.span_s);
	const [errors, title] = errorTexts(v, where, timed?.samples);
	const calls = rateText(v, where, timed ? [timed] : []);
	const label = shown === timed ? name : `${name} (blocked)`;
	return {
		order: perSecond,
		cells: [label, calls, seconds(perSecond), ...quantiles(shown), errors],
		title,
	};
}

function workRows(v) {
	const timed = bySyscall(v.hists(DURATION, isWork(v)));
	const blocked = bySyscall(v.hists(BLOCKED, isWork(v)));
	const names = new Set([...timed.keys(), ...blocked.keys()]);
	const rows = [...names].map((n) => workRow(v, n, timed.get(n), blocked.get(n)));
	return rows.filter(Boolean).sort((a, b) => b.order - a.order);
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

export const syscalls = {
	id: "syscalls",
	title: "System calls",
	about: "work only; calls that wait for something to do are listed apart",
	probe: "syscall",
	domain: [1e-7, 1e-2],
	series: [
		{
			name: "all calls", metric: DURATION, where: isWork,
			rate: (v, h) => callRate(v, isWork(v), [h]),
		},
		{ name: "blocked in", metric: BLOCKED, where: isWork },
	],
	tables: [
		{
			caption: "System calls that work, by time",
			columns: ["call", "calls/s", "time/s", "p50", "p95", "p99", "errors"],
			minor: ["time/s", "errors"],
			rows: 12,
			fill: workRows,
			meaning: {
				"calls/s": "estimated from the time observed, with the half width of its interval",
				"time/s": "time in these calls a second: of the calls observed, scaled, or the time"
					+ " blocked if that is more",
				errors: "share of the calls observed that returned an error",
			},
		},
		{
			caption: "System calls that wait, not in the histogram",
			columns: ["call", "waits/s", "time/s", "p50", "p95", "p99"],
			rows: 6,
			fill: waitRows,
			meaning: { "waits/s": "how often a call blocked; complete" },
		},
	],
};
