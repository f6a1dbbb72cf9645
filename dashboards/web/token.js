/* token.js - the form that asks for the agent's token, for what could not be done without it. */
import { setToken } from "./client.js";
import { $, put } from "./dom.js";

const WHERE = "(the file token in its state directory)";

export class TokenForm {
	constructor() {
		this.retry = null; // what to do once there is a token; null: nothing is asked
		$("token-form").addEventListener("submit", (e) => {
			e.preventDefault();
			this.submit();
		});
		$("token-cancel").addEventListener("click", () => this.close());
	}

	get asks() {
		return this.retry !== null;
	}

	/* error: a NeedsToken; what: what the token is needed to do; optional: the page works without */
	ask(error, what, optional, retry) {
		const fresh = !this.asks;
		const refused = error.refused ? "This is not the agent's token. " : "";
		this.retry = retry;
		put($("token-label"), `${refused}The agent's token ${WHERE} is needed to ${what}.`);
		$("token-cancel").hidden = !optional;
		$("token-form").hidden = false;
		if (fresh) $("token").focus();
	}

	close() {
		this.retry = null;
		$("token-form").hidden = true;
		$("token").value = "";
	}

	submit() {
		const text = $("token").value.trim();
		const { retry } = this;
		if (!text) return;
		setToken(text);
		this.close();
		retry?.();
	}
}
