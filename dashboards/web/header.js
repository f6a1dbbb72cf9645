/* header.js - what the node is, how the agent is doing, what is sampled and what was lost. */
import { $, make, put } from "./dom.js";
import { NBSP, bytes, count, percent, span } from "./format.js";
import { sum } from "./model.js";

/* api/status in the page's own words */
export function readStatus(s) {
	const parts = (list) => (list ?? []).map(({ name, state, reason }) => ({ name, state, reason }));
	return {
		uptime_s: s.uptime_seconds,
		kernel: s.kernel ?? "",
		probes: parts(s.probes),
		modules: parts(s.modules),
		mode: s.syscall?.mode,
		configured: s.syscall?.configured,
		exact_until_s: s.syscall?.exact_until ?? null, // Unix time
		window_ms: s.configuration?.syscall?.window_ms,
		bpf_cpu_ratio: s.governor?.bpf_cpu_ratio,
		shed_level: s.governor?.shed_level ?? 0,
	};
}

const CHOSEN = /by configuration|\.enabled is false|request\.tls is empty/; // off because somebody wanted it so

/* [{text, chosen}]: all that does not run */
function troubles(status) {
	const probes = status.probes.filter((p) => p.state !== "attached");
	const list = [
		...probes.map((p) => ({ ...p, name: `${p.name} probe` })),
		...status.modules.filter((m) => m.state !== "running"),
	].map((p) => ({
		text: `${p.name} ${p.state}: ${p.reason || "no reason given"}`,
		chosen: p.state === "off" && CHOSEN.test(p.reason),
	}));
	if (status.shed_level > 0) {
		const text = "the BPF programs passed their CPU budget: detail is shed, level";
		list.push({ text: `${text} ${status.shed_level}`, chosen: false });
	}
	return list;
}

function setPill(text, kind, disabled) {
	const pill = $("state");
	put(pill, text);
	pill.className = `pill ${kind}`;
	pill.disabled = disabled;
	return pill;
}

export function showState(status) {
	const list = troubles(status);
	const bad = list.filter((t) => !t.chosen).length;
	const text = bad ? `degraded · ${bad}` : list.length ? `ok · ${list.length} off` : "ok";
	const pill = setPill(text, bad ? "warn" : "good", list.length === 0);
	if (list.length === 0) pill.setAttribute("aria-expanded", "false");
	const box = $("reasons");
	box.hidden = pill.getAttribute("aria-expanded") !== "true";
	const items = list.map((t) => t.text);
	const old = [...box.querySelectorAll("li")].map((e) => e.textContent);
	if (old.join("\n") !== items.join("\n"))
		box.replaceChildren(make("ul", {}, ...items.map((t) => make("li", { textContent: t }))));
}

export function toggleReasons() {
	const open = $("state").getAttribute("aria-expanded") !== "true";
	$("state").setAttribute("aria-expanded", String(open));
	$("reasons").hidden = !open;
}

/* failed_at: Date.now() of the first failure in a row, 0 if the last reading came */
export function showConnection(failed_at, asks_token, have_figures) {
	const box = $("lost-connection");
	box.hidden = failed_at === 0 || asks_token;
	if (failed_at === 0) return;
	setPill(asks_token ? "token needed" : "no answer", "bad", true);
	const since = new Date(failed_at).toLocaleTimeString([], { hourCycle: "h23" });
	const ago = span(Math.round((Date.now() - failed_at) / 1000));
	const old = have_figures ? "The figures below are the last that were read." : "Nothing was read yet.";
	put(box, `No answer from the agent since ${since} (${ago}). ${old} Trying again.`);
}

function costText(v) {
	const agent = v.perSecond("trimtab_process_cpu_seconds_total", (l) => l.role);
	const resident = v.gauges("trimtab_process_resident_memory_bytes", (l) => l.role);
	const parts = [
		v.status.bpf_cpu_ratio === undefined ? "" : `BPF ${percent(v.status.bpf_cpu_ratio)} of CPU`,
		agent === undefined ? "" : `agent ${percent(agent)} of a core`,
		resident.length ? bytes(sum(resident)) : "",
	].filter(Boolean);
	return parts.length ? `own cost: ${parts.join(", ")}` : "";
}

export function showFacts(v) {
	const info = v.gauges("trimtab_node_info")[0]?.labels ?? {};
	const host = info.nodename ?? info.hostname ?? location.hostname;
	const up_s = v.gauge("trimtab_uptime_seconds");
	document.title = `${host} · trimtab`;
	put($("host"), host);
	put($("kernel"), `Linux ${v.status.kernel || info.release || ""}`);
	put($("uptime"), up_s === undefined ? "" : `up ${span(up_s)}`);
	put($("cost"), costText(v));
}

function windowsText(v) {
	const size = v.status.window_ms ? ` of ${v.status.window_ms}${NBSP}ms` : "";
	return `System calls are sampled: every call is observed ${percent(v.observed_ratio)} of the time,`
		+ ` in random windows${size}. Rates are scaled to the whole, ± is the 99 % interval; calls that`
		+ " outlast a window show only in the blocked time. Accept times are sampled alike; all else is"
		+ " complete.";
}

function exactText(v) {
	if (v.observed_ratio > 0.9995) return "System calls are exact: every call is observed.";
	return "Every system call is observed now; of the time shown, their rates are scaled from the"
		+ ` ${percent(v.observed_ratio)} in which they were.`;
}

/* mode -> what the reader must know about the system call figures */
const SAMPLING = {
	windows: windowsText,
	exact: exactText,
	blocked: () => "System calls: only the time blocked in them is measured (syscall.mode: blocked);"
		+ " it is complete.",
};

export function showSampling(v) {
	const text = SAMPLING[v.status.mode]?.(v) ?? "System calls are not observed.";
	put($("sampling"), `Shown: ${v.span}. ${text}`);
}

/* v: of everything since the start */
export function showLosses(v) {
	const lost = v.gauges("trimtab_lost_total").filter((e) => e.value > 0);
	const parts = lost.map((e) => `${e.labels.probe} ${e.labels.reason} ${count(e.value)}`);
	const text = `Lost since the start: ${parts.join(" · ")}`;
	put($("losses"), lost.length ? text : "Nothing lost since the start.");
	$("losses").className = lost.length ? "warn" : "";
}
