/* histogram.js - include/hist.h in the browser: { slots, samples, sum } of one histogram.
 *
 * Pure. Slot 0 holds zeros, slots 1 .. 288 are (2^((i-241)/8), 2^((i-240)/8)] s, 289 is over 64 s.
 */
import { seconds } from "./format.js";

export const SLOTS = 290;
export const OVERFLOW = SLOTS - 1;
const BIAS = 240;

export const upperEdge = (slot) => 2 ** ((slot - BIAS) / 8);
export const lowerEdge = (slot) => upperEdge(slot - 1);

const within = (slot) => Math.max(1, Math.min(OVERFLOW, slot));

/* edge: the upper one, as the API writes it: null for the overflow */
export function slotOfEdge(edge) {
	if (edge === null) return OVERFLOW;
	return edge === 0 ? 0 : within(Math.round(8 * Math.log2(edge)) + BIAS);
}

/* s: any time */
export function slotOfTime(s) {
	return s === 0 ? 0 : within(Math.ceil(8 * Math.log2(s)) + BIAS);
}

export function merge(list) {
	const all = { slots: new Float64Array(SLOTS), samples: 0, sum: 0 };
	for (const h of list) {
		h.slots.forEach((n, slot) => (all.slots[slot] += n));
		all.samples += h.samples;
		all.sum += h.sum;
	}
	return all;
}

/* As agent/store/quantile.h: the middle, in log space, of the bucket that holds the sample, at most
 * 4.4 % off. NaN if there are no samples, Infinity above 64 s. */
export function quantile(h, q) {
	let rank = Math.max(1, Math.ceil(q * h.samples));
	const slot = h.slots.findIndex((n) => (rank -= n) <= 0);
	if (slot < 0) return NaN;
	if (slot === 0) return 0;
	return slot === OVERFLOW ? Infinity : upperEdge(slot - 0.5);
}

export function withoutZero(h) {
	const slots = h.slots.slice();
	slots[0] = 0;
	return { slots, samples: h.samples - h.slots[0] };
}

export const QUANTILES = [["p50", 0.5], ["p95", 0.95], ["p99", 0.99]];
export const quantiles = (h) => QUANTILES.map(([, q]) => seconds(h ? quantile(h, q) : NaN));
