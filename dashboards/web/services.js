/* services.js - the panel of the services: what is served here, and what is called from here.
 *
 * Input: GET api/services, whose figures are of its own last seconds, whatever window the page shows.
 * A row opens to the busiest operations of its service. Bounds: LIMIT services, their operations as
 * the API bounds them.
 */
import { NeedsToken, get } from "./client.js";
import { make, put } from "./dom.js";
import { NBSP, bytes, count, percent, seconds } from "./format.js";
import { sum } from "./model.js";
import { Table } from "./table.js";

const LIMIT = 100;

const RUNS = ["attached", "shed", "running"];
const PROBE = /^request/; // request and request_packet: one of them is used
const UNSEEN = { tls: "TLS", http2: "HTTP/2", io_uring: "io_uring", compat: "32-bit calls" };
const QUANTILES = ["p50", "p95", "p99"];

const QUEUE = "queue";
const MEANING = {
	service: "who answers or calls, and the port of the server; opens to its operations",
	errors: "share of the requests that were answered with an error",
	[QUEUE]: "p95 of the time that a request waited before the server read it",
};

const time = (s) => seconds(s ?? undefined);
const errors = (e) => (e.errors_total > 0 || e.error_ratio > 0 ? percent(e.error_ratio ?? 0) : "");

/* Never fails for a reason of its own: the rest of the page does not depend on it. */
export async function getServices() {
	try {
		return await get(`api/services?limit=${LIMIT}`);
	} catch (error) {
		if (error instanceof NeedsToken) throw error;
		return { error: error.message };
	}
}

/* the cells that a service and its operations have in common */
const figures = (e) => [count(e.rate ?? undefined), errors(e), ...QUANTILES.map((q) => time(e[q]))];

function operationRow(o, has_queue) {
	const total = `${count(o.requests_total)} since the start, ${count(o.errors_total)} errors`;
	return { cells: [o.name, "", ...figures(o), ...(has_queue ? [""] : [])], title: total };
}

function row(s, has_queue) {
	const where = [s.container, s.cgroup].filter(Boolean).join(", ");
	const total = `${count(s.requests_total)} requests since the start, ${count(s.errors_total)} errors`;
	return {
		key: JSON.stringify([s.name, s.protocol]),
		cells: [s.name, s.protocol, ...figures(s), ...(has_queue ? [time(s.queue_p95)] : [])],
		title: where ? `${where}; ${total}` : total,
		under: s.operations.map((o) => operationRow(o, has_queue)),
	};
}

/* The first part of the way of a request that does not run; "" if all do. */
function trouble(status) {
	const broken = (list, kind) => {
		const ours = list.filter((p) => PROBE.test(p.name));
		if (ours.some((p) => RUNS.includes(p.state))) return "";
		if (!ours.length) return `There is no request ${kind}.`;
		return `The request ${kind} is ${ours[0].state}: ${ours[0].reason || "no reason given"}.`;
	};
	return broken(status.probes, "probe") || broken(status.modules, "module");
}

function noteText(answer) {
	const parts = Object.entries(answer.unseen_bytes ?? {}).filter(([, n]) => n > 0)
		.map(([reason, n]) => `${UNSEEN[reason] ?? reason} ${bytes(n)}`);
	const hidden = answer.total - answer.services.length;
	return [
		hidden > 0 ? `${hidden} services with fewer requests are left out.` : "",
		parts.length ? `Not seen since the start: ${parts.join(", ")}.` : "",
	].filter(Boolean).join(" ");
}

/* The services of one direction. */
class Card {
	/* spec: direction, title, about, and empty: what to say if there are none */
	constructor(spec) {
		this.spec = spec;
		this.has_queue = spec.direction === "inbound";
		const columns = ["service", "protocol", "req/s", "errors", ...QUANTILES];
		this.caption = make("span");
		this.table = new Table({
			caption: this.caption,
			columns: this.has_queue ? [...columns, QUEUE] : columns,
			minor: ["protocol", "p50", QUEUE],
			rows: 10,
			opens: true,
			empty: NBSP,
			meaning: MEANING,
		});
		this.about = make("span", { className: "about", textContent: spec.about });
		this.note = make("p", { className: "note" });
		this.element = make("div", { className: `card ${spec.direction}` },
			make("h2", {}, spec.title, this.about), this.table.element, this.note);
	}

	show(answer, status) {
		const list = answer.services.filter((s) => s.direction === this.spec.direction);
		const span = `last ${Math.round(answer.window_seconds)}${NBSP}s`;
		const rate = sum(list, (s) => s.rate ?? 0);
		put(this.about, this.spec.about + (list.length ? `: ${count(rate)} a second` : ""));
		put(this.caption, `By rate, ${span}`);
		this.table.show(list.map((s) => row(s, this.has_queue)));
		this.say(list.length ? "" : trouble(status) || `${this.spec.empty} in the ${span}.`);
	}

	/* text: instead of the table; "": the table */
	say(text) {
		put(this.note, text);
		this.table.element.hidden = text !== "";
	}
}

const CARDS = [
	{
		direction: "inbound",
		title: "Services",
		about: "← requests answered here",
		empty: "HTTP/1, Redis, PostgreSQL and AMQP are recognised on any port, unless they are"
			+ " encrypted. There was no such request",
	},
	{
		direction: "outbound",
		title: "Calls",
		about: "→ requests made from here",
	},
];

export class ServicesPanel {
	constructor() {
		[this.inbound, this.outbound] = CARDS.map((spec) => new Card(spec));
		this.note = make("p", { className: "about" });
		this.inbound.element.append(this.note);
		this.outbound.element.hidden = true;
		this.element = make("section", { id: "services", className: "panels" },
			this.inbound.element, this.outbound.element);
		this.element.setAttribute("aria-label", "Services");
	}

	/* answer: of getServices() */
	show(answer, status) {
		if (answer.error) {
			this.inbound.say(trouble(status) || `Not available: ${answer.error}.`);
			return;
		}
		this.inbound.show(answer, status);
		this.outbound.show(answer, status);
		this.outbound.element.hidden = !answer.services.some((s) => s.direction === "outbound");
		put(this.note, noteText(answer));
	}
}
