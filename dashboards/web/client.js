/* client.js - requests to the agent, with a deadline and the token that this tab was given. */

const TIMEOUT_MS = 5000;

/* refused: there was a token, and it is not the agent's */
export class NeedsToken extends Error {
	constructor(refused) {
		super("the agent asks for its token");
		this.refused = refused;
	}
}

const known = () => sessionStorage.getItem("token");
export const setToken = (text) => sessionStorage.setItem("token", text);

/* An answer that comes late must not take away the token that was given since. */
function refuse(token) {
	if (token && token === known()) sessionStorage.removeItem("token");
	throw new NeedsToken(Boolean(token));
}

async function reason(answer, path) {
	const fallback = `${path} answered ${answer.status}`;
	return answer.json().then((json) => json.error.message, () => fallback);
}

async function request(path, method, token) {
	const answer = await fetch(path, {
		method,
		cache: "no-store",
		signal: AbortSignal.timeout(TIMEOUT_MS),
		headers: token ? { Authorization: `Bearer ${token}` } : {},
	});
	if (answer.status === 401 || answer.status === 403) refuse(token);
	if (!answer.ok) throw new Error(await reason(answer, path));
	return answer.json();
}

export const get = (path) => request(path, "GET", known());

/* Every POST needs the token: without one there is nothing to ask the agent. */
export async function post(path) {
	const token = known();
	if (!token) throw new NeedsToken(false);
	return request(path, "POST", token);
}
