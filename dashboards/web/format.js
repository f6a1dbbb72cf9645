/* format.js - numbers as text: three significant digits and a unit, a dash for what is not known.
 *
 * Pure. Times in seconds, sizes in bytes, shares as ratios of 1.
 */

export const MISSING = "–";
export const NBSP = "\u202f"; // narrow: between a number and its unit

const known = (x) => x !== undefined && !Number.isNaN(x);

/* the unit is chosen so that the number is 1 .. base */
function scaled(x, base, units) {
	let i = 0;
	while (i < units.length - 1 && Math.abs(x) >= base * 0.9995) {
		x /= base;
		i++;
	}
	const digits = Math.abs(x) >= 99.95 ? 0 : Math.abs(x) >= 9.995 ? 1 : 2;
	return units[i] ? x.toFixed(digits) + NBSP + units[i] : x.toFixed(digits);
}

export function seconds(s) {
	if (!known(s)) return MISSING;
	if (s === Infinity) return `>64${NBSP}s`;
	return s === 0 ? "0" : scaled(s * 1e9, 1000, ["ns", "µs", "ms", "s"]);
}

export function count(x) {
	if (!known(x)) return MISSING;
	const exact = Number.isInteger(x) && Math.abs(x) < 1000;
	return exact ? String(x) : scaled(x, 1000, ["", "k", "M", "G", "T"]);
}

export function bytes(x) {
	if (!known(x)) return MISSING;
	return x === 0 ? `0${NBSP}B` : scaled(x, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

const perSecond = (text) => (text === MISSING ? text : `${text}/s`);

export const rate = (x) => perSecond(count(x));
export const bytesRate = (x) => perSecond(bytes(x));

export function percent(ratio) {
	if (!known(ratio)) return MISSING;
	const p = ratio * 100;
	if (p > 0 && p < 0.005) return `<0.01${NBSP}%`;
	const digits = p >= 99.95 ? 0 : p >= 0.095 || p === 0 ? 1 : 2;
	return `${p.toFixed(digits)}${NBSP}%`;
}

const SPANS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/* a length of time in words, its two largest units */
export function span(s) {
	const first = SPANS.findIndex(([, size]) => s >= size);
	if (first < 0) return `0${NBSP}s`;
	const words = [];
	for (const [name, size] of SPANS.slice(first, first + 2)) {
		const n = Math.floor(s / size);
		s -= n * size;
		if (n) words.push(`${n}${NBSP}${name}`);
	}
	return words.join(" ");
}
