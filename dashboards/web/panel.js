/* panel.js - one panel: a chart, a line of figures for each of its curves, tables.
 *
 * Input: a spec, as syscalls.js and the others export one:
 *   id, title, about, domain    what it is called; the range of latencies drawn at least, in seconds
 *   probe                       whose state explains that there is nothing to see
 *   series[]                    a curve each: name, metric, where(view) -> labels -> bool: which of
 *                               its series; rate(view, histogram): of a sampled one, scaled
 *   tables[]                    as table.js has them, and fill(view, minute) -> rows, or null: no table
 * minute is the view of the last 60 s, whatever was chosen, for what is read seldom; null at first.
 */
import { Chart } from "./chart.js";
import { make, put } from "./dom.js";
import { MISSING, count, rate } from "./format.js";
import { QUANTILES, merge, quantiles } from "./histogram.js";
import { Table } from "./table.js";

const COLUMNS = ["samples", "rate", ...QUANTILES.map(([name]) => name)];
const NOT_OFF = ["attached", "shed"];

function rateText(view, series, h) {
	const perSecond = series.rate ? series.rate(view, h) : h.samples / view.span_s;
	const estimated = series.rate && view.observed_ratio < 0.9995 && perSecond > 0;
	return (estimated ? "≈" : "") + rate(perSecond);
}

export class Panel {
	constructor(spec) {
		this.spec = spec;
		this.chart = new Chart(spec);
		this.lines = spec.series.map((s, i) => this.makeLine(s, i));
		this.tables = spec.tables.map((t) => new Table(t));
		this.element = make("section", { id: spec.id, className: "panel" }, this.makeFigure());
		this.card = make("div", { className: "card tables" }, ...this.tables.map((t) => t.element));
		if (this.tables.length) this.element.append(this.card);
		this.element.setAttribute("aria-label", spec.title);
		this.focusOn(0);
	}

	makeFigure() {
		const about = make("span", { className: "about", textContent: this.spec.about });
		const head = ["series", ...COLUMNS].map((c) => make("th", { scope: "col", textContent: c }));
		return make("div", { className: "card figure" },
			make("h2", {}, this.spec.title, about),
			this.chart.svg, this.chart.readout,
			make("table", { className: "series" },
				make("thead", {}, make("tr", {}, ...head)),
				make("tbody", {}, ...this.lines.map((l) => l.row))));
	}

	makeLine(series, i) {
		const button = make("button", {
			type: "button", className: `swatch c${i}`, textContent: series.name,
		});
		button.addEventListener("click", () => this.focusOn(i));
		const cells = COLUMNS.map((c) => make("td", { className: c, textContent: MISSING }));
		const row = make("tr", {}, make("th", { scope: "row" }, button), ...cells);
		return { button, cells, row };
	}

	focusOn(focus) {
		this.lines.forEach((l, i) => l.button.setAttribute("aria-pressed", String(i === focus)));
		this.chart.focusOn(focus);
	}

	show(view, minute) {
		const { series, probe } = this.spec;
		const list = series.map((s) => merge(view.hists(s.metric, s.where?.(view))));
		const state = view.status.probes.find((p) => p.name === probe)?.state ?? NOT_OFF[0];
		const off = !NOT_OFF.includes(state);
		this.chart.show(list, off ? `${probe} probe: ${state}` : `no samples, ${view.span}`);
		list.forEach((h, i) => {
			const texts = [count(h.samples), rateText(view, series[i], h), ...quantiles(h)];
			texts.forEach((text, j) => put(this.lines[i].cells[j], text));
		});
		this.tables.forEach((t) => this.fill(t, t.spec.fill(view, minute)));
		this.card.hidden = this.tables.every((t) => t.element.hidden);
	}

	fill(table, rows) {
		table.element.hidden = rows === null;
		if (rows) table.show(rows);
	}
}
