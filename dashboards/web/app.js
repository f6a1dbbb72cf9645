/* app.js - the live page: latency histograms of this node, polled from the agent that serves it.
 *
 * Input: GET api/metrics, api/services and api/status every POLL_MS while the page is visible. This
 * file wires the others: format, histogram, model, client (data); dom, chart, table, panel (drawing);
 * services, syscalls, disk, sched, tcp, tiles, header, exact, token (what is shown).
 */
import { NeedsToken, get } from "./client.js";
import { disk } from "./disk.js";
import { $, put } from "./dom.js";
import { ExactButton } from "./exact.js";
import {
	readStatus, showConnection, showFacts, showLosses, showSampling, showState, toggleReasons,
} from "./header.js";
import { Model } from "./model.js";
import { Panel } from "./panel.js";
import { sched } from "./sched.js";
import { ServicesPanel, getServices } from "./services.js";
import { syscalls } from "./syscalls.js";
import { tcp } from "./tcp.js";
import { TILES, Tile } from "./tiles.js";
import { TokenForm } from "./token.js";

const POLL_MS = 2000;
const RETRY_MAX_MS = 10000;
const RETRY_FACTOR = 1.5;
const MINUTE_S = 60;

/* what the page uses; the rest of the node's series stay at home */
const MATCH = [
	"trimtab_syscall_*", "trimtab_block_io_*", "trimtab_sched_*", "trimtab_tcp_*",
	"trimtab_lost_total", "trimtab_node_info", "trimtab_uptime_seconds",
	"trimtab_process_*", "trimtab_cpus",
	"trimtab_cpu_seconds_total", "trimtab_load*", "trimtab_memory_total_bytes",
	"trimtab_memory_available_bytes", "trimtab_pressure_seconds_total",
	"trimtab_filesystem_size_bytes", "trimtab_filesystem_avail_bytes",
	"trimtab_network_receive_bytes_total", "trimtab_network_transmit_bytes_total",
	"trimtab_cgroup_cpu_seconds_total", "trimtab_cgroup_memory_bytes",
	"trimtab_cgroup_sched_wait_seconds_total", "trimtab_cgroup_block_io_*_total",
	"trimtab_cgroup_tcp_*_total",
].join(",");

class Page {
	constructor() {
		this.model = new Model();
		this.services = new ServicesPanel();
		this.panels = [syscalls, disk, sched, tcp].map((spec) => new Panel(spec));
		this.tiles = TILES.map((spec) => new Tile(spec));
		this.token = new TokenForm();
		this.exact = new ExactButton(this.token, () => this.setPaused(false));
		this.window_s = 60;
		this.paused = false;
		this.failed_at = 0; // Date.now() of the first failure in a row; 0: connected
		this.failures = 0;
		this.timer = 0;
		this.busy = false;
	}

	async poll() {
		clearTimeout(this.timer);
		if (this.busy || this.paused || document.hidden) return;
		this.busy = true;
		try {
			const query = `api/metrics?format=json&match=${MATCH}`;
			const [status, metrics, services] = await Promise.all(
				[get("api/status"), get(query), getServices()]);
			this.model.add(metrics, readStatus(status));
			this.services.show(services, this.model.status);
			this.failures = this.failed_at = 0;
			this.redraw();
		} catch (error) {
			this.fail(error);
		}
		this.busy = false;
		showConnection(this.failed_at, this.token.asks, !this.model.empty);
		const wait = POLL_MS * RETRY_FACTOR ** Math.max(0, this.failures - 1);
		this.timer = setTimeout(() => this.poll(), Math.min(RETRY_MAX_MS, wait));
	}

	fail(error) {
		this.failures++;
		this.failed_at ||= Date.now();
		if (error instanceof NeedsToken)
			this.token.ask(error, "read anything", false, () => this.poll());
	}

	redraw() {
		if (this.model.empty) return;
		const whole = this.model.whole();
		const recent = this.model.last(POLL_MS / 1000);
		const minute = this.model.last(MINUTE_S);
		const view = (this.window_s ? this.model.last(this.window_s) : null) ?? whole;
		showState(this.model.status);
		showFacts(minute ?? whole);
		showSampling(view);
		showLosses(whole);
		this.exact.show(view);
		this.panels.forEach((p) => p.show(view, minute));
		if (!recent) return;
		this.tiles.forEach((t) => t.show(recent));
		$("host-strip").hidden = this.tiles.every((t) => t.element.hidden);
	}

	setPaused(paused) {
		this.paused = paused;
		$("pause").setAttribute("aria-pressed", String(paused));
		put($("pause"), paused ? "Resume" : "Pause");
		if (!paused) this.poll();
	}

	start() {
		$("host-strip").after(this.services.element);
		$("panels").append(...this.panels.map((p) => p.element));
		$("host-strip").append(...this.tiles.map((t) => t.element));
		put($("host"), location.hostname);
		$("pause").addEventListener("click", () => this.setPaused(!this.paused));
		$("windows").addEventListener("change", (e) => {
			this.window_s = Number(e.target.value);
			this.redraw();
		});
		$("state").addEventListener("click", toggleReasons);
		document.addEventListener("visibilitychange", () => this.poll());
		this.poll();
	}
}

new Page().start();
