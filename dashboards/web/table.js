/* table.js - a table whose rows are made once; then only their text changes.
 *
 * Input: a spec { caption, columns, rows, meaning: of columns, minor: columns that a phone has no room
 * for, empty: what to say without rows, opens: rows do } and lists of { cells, title }, the most
 * important first. A row that opens has { key, under: rows } too.
 * Bounds: spec.rows at first, ROWS_MAX on demand, and what was opened.
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
		this.open = new Set(); // keys of rows
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

	toggleRow(key) {
		if (!this.open.delete(key)) this.open.add(key);
		this.most = Math.min(ROWS_MIN, this.spec.rows);
		this.show(this.list);
	}

	addLine() {
		const [head, ...rest] = this.spec.columns;
		const cell = (column) => make("td", { className: this.className(column) });
		const cells = [make("th", { scope: "row", className: this.className(head) }), ...rest.map(cell)];
		const l = { line: make("tr", {}, ...cells), cells };
		if (this.spec.opens) this.addOpener(l);
		this.lines.push(l);
		this.body.append(l.line);
	}

	/* The name is a button, or plain where there is nothing to open. */
	addOpener(l) {
		l.plain = make("span");
		l.opener = make("button", { type: "button", className: "opener", hidden: true });
		l.opener.addEventListener("click", () => this.toggleRow(l.key));
		l.cells[0].append(l.opener, l.plain);
	}

	/* the rows of the list that there is room for, each with what is open below it */
	unfold(list, room) {
		return list.slice(0, room).flatMap((row) =>
			this.open.has(row.key) ? [row, ...row.under.map((r) => ({ ...r, is_under: true }))] : [row]);
	}

	show(list) {
		this.list = list;
		const rows = this.unfold(list, this.all ? ROWS_MAX : this.spec.rows);
		this.most = Math.max(this.most, rows.length);
		while (this.lines.length < this.most) this.addLine();
		const focused = this.lines.find((l) => l.opener && l.opener === document.activeElement)?.key;
		this.lines.forEach((l, i) => this.showLine(l, i, rows[i]));
		if (focused !== undefined) this.focusOn(focused);
		this.more.hidden = !this.all && list.length <= this.spec.rows;
		this.more.setAttribute("aria-expanded", String(this.all));
		put(this.more, this.all ? "show fewer" : `top ${this.spec.rows} of ${list.length}, show all`);
	}

	showLine(l, i, row) {
		const { line, cells } = l;
		const blank = (j) => (j ? "" : i ? NBSP : (this.spec.empty ?? "none"));
		const [head, ...rest] = cells;
		const text = row ? row.cells[0] : blank(0);
		if (this.spec.opens) this.showOpener(l, row, text);
		else put(head, text);
		rest.forEach((cell, j) => put(cell, row ? row.cells[j + 1] : blank(j + 1)));
		line.classList.toggle("blank", !row);
		line.classList.toggle("under", Boolean(row?.is_under));
		line.hidden = i >= this.most;
		const title = row ? [row.cells[0], row.title].filter(Boolean).join(": ") : "";
		if (line.title !== title) line.title = title;
	}

	/* Rows change places; whoever uses the keyboard stays with the row. */
	focusOn(key) {
		const l = this.lines.find((line) => line.key === key);
		if (l && l.opener !== document.activeElement) l.opener.focus({ preventScroll: true });
	}

	showOpener(l, row, text) {
		const opens = Boolean(row?.under?.length);
		l.key = row?.key;
		l.opener.hidden = !opens;
		l.plain.hidden = opens;
		put(l.opener, opens ? text : "");
		put(l.plain, opens ? "" : text);
		l.opener.setAttribute("aria-expanded", String(opens && this.open.has(l.key)));
	}
}
