/* exact.js - the button that has every system call observed for EXACT_S seconds, or ends that.
 *
 * The agent decides: what the button says comes from api/status with the next reading.
 */
import { NeedsToken, post } from "./client.js";
import { $, put } from "./dom.js";
import { NBSP } from "./format.js";

const EXACT_S = 30;

export class ExactButton {
	/* token: the form that asks for it; changed(): called when the agent took the request */
	constructor(token, changed) {
		this.token = token;
		this.changed = changed;
		this.button = $("exact");
		this.left_s = 0;
		this.button.addEventListener("click", () => this.request(this.left_s ? 0 : EXACT_S));
	}

	async request(seconds) {
		this.button.disabled = true;
		try {
			await post(`api/syscall/exact?seconds=${seconds}`);
			put($("exact-error"), "");
			this.changed();
		} catch (error) {
			const retry = () => this.request(seconds);
			if (error instanceof NeedsToken)
				this.token.ask(error, "change what is observed", true, retry);
			else
				put($("exact-error"), `Not done: ${error.message}.`);
		}
		this.button.disabled = false;
	}

	show(view) {
		const { status, now } = view;
		const state = status.probes.find((p) => p.name === "syscall")?.state;
		const until_s = status.mode === "exact" ? status.exact_until_s : null;
		this.left_s = until_s === null ? 0 : Math.max(0, Math.ceil(until_s - now.time_s));
		const loaded = state === "attached" || state === "shed";
		this.button.hidden = !loaded || status.configured === "exact";
		const start = `Observe every call for ${EXACT_S}${NBSP}s`;
		put(this.button, this.left_s ? `Every call, ${this.left_s}${NBSP}s left · stop` : start);
		this.button.classList.toggle("on", this.left_s > 0);
	}
}
