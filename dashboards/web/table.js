/* table.js - a table whose rows are made once; then only their text changes.
 *
 * Input: a spec { caption, columns, rows, meaning: of columns, minor: columns that a phone has no room
 * for, empty: what to say without rows } and lists of { cells, title }, the most important first.
 * Bounds: spec.rows at first, ROWS_MAX on demand.
 */
import { make, put } from "./dom.js";
import { NBSP } from "./format.js";

const ROWS_MAX = 200;
const ROWS_MIN = 3; // kept free from the start, so that the first figures move nothing

export class Table {
	constructor(spec) {
		this.spec = spec;
		this.lines = [];
		this.most = Math.min(ROWS_MIN, spec.rows); // needed so far: a table does not shrink by itself
		this.all = false;
		this.list = [];
		this.more = make("button", { type: "button", className: "more", hidden: true });
		this.more.addEventListener("click", () => this.toggle());
		this.body = make("tbody");
		const head = spec.columns.map((name) => make("th", {
			scope: "col", textContent: name, className: this.className(name),
			title: spec.meaning?.[name] ?? "",
		}));
		this.element = make("table", { className: `cols${spec.columns.length}` },
			make("caption", {}, spec.caption, this.more),
			make("thead", {}, make("tr", {}, ...head)), this.body);
		this.show([]);
	}

	className(column) {
		return this.spec.minor?.includes(column) ? "minor" : "";
	}

	toggle() {
		this.all = !this.all;
		if (!this.all) this.most = this.spec.rows;
		this.show(this.list);
	}

	addLine() {
		const [head, ...rest] = this.spec.columns;
		const cell = (column) => make("td", { className: this.className(column) });
		const cells = [make("th", { scope: "row", className: this.className(head) }), ...rest.map(cell)];
		const line = make("tr", {}, ...cells);
		this.lines.push({ line, cells });
		this.body.append(line);
	}

	show(list) {
		this.list = list;
		const room = this.all ? ROWS_MAX : this.spec.rows;
		this.most = Math.max(this.most, Math.min(list.length, room));
		while (this.lines.length < this.most) this.addLine();
		this.lines.forEach((l, i) => this.showLine(l, i, i < room ? list[i] : undefined));
		this.more.hidden = !this.all && list.length <= this.spec.rows;
		this.more.setAttribute("aria-expanded", String(this.all));
		put(this.more, this.all ? "show fewer" : `top ${this.spec.rows} of ${list.length}, show all`);
	}

	showLine({ line, cells }, i, row) {
		const blank = (j) => (j ? "" : i ? NBSP : (this.spec.empty ?? "none"));
		cells.forEach((cell, j) => put(cell, row ? row.cells[j] : blank(j)));
		line.classList.toggle("blank", !row);
		line.hidden = i >= this.most;
		const title = row ? [row.cells[0], row.title].filter(Boolean).join(": ") : "";
		if (line.title !== title) line.title = title;
	}
}
