/* page.test.mjs - the live page in a real browser, served by the real program on this node.
 *
 * Starts `trimtab run` on a free port with a state directory of its own (as root), makes disk and
 * TCP load that must turn up on the page, and reads what the page says. TRIMTAB names another
 * binary. Every wait is for a condition, with a deadline. Ends what it started, by its pid.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { chromium } from "playwright-core";

const TRIMTAB = process.env.TRIMTAB ?? fileURLToPath(new URL("../../build/trimtab", import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const DEADLINE_MS = 60000;
const FIGURES = ["syscalls", "disk", "runqueue", "tcp"];
const LOOP_BYTES = 4 << 20;
const WEB = fileURLToPath(new URL("../../dashboards/web", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "trimtab-page-"));
const undo = []; // run in reverse
let program, url, browser, page, loop, port, cgroup, requests_port;
const complaints = []; // of the browser: console errors, page errors, CSP violations

async function start() {
	program = spawn(TRIMTAB, ["run", "--listen", "127.0.0.1:0", "--state-dir", dir], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	let log = "";
	const address = await new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(new Error(`no address within the deadline:\n${log}`)), DEADLINE_MS);
		const read = (text) => {
			log += text;
			const found = /https?:\/\/127\.0\.0\.1:\d+/.exec(log);
			if (found) resolve(found[0]);
			if (found) clearTimeout(timer);
		};
		program.stdout.setEncoding("utf8").on("data", read);
		program.stderr.setEncoding("utf8").on("data", read);
		program.on("error", reject);
		program.on("exit", (code) => reject(new Error(`trimtab ended with ${code}:\n${log}`)));
	});
	return address;
}

async function stop() {
	if (!program || program.exitCode !== null || program.signalCode !== null) return;
	const ended = once(program, "exit");
	program.kill("SIGTERM");
	const timer = setTimeout(() => program.kill("SIGKILL"), 20000);
	await ended;
	clearTimeout(timer);
}

/* A block device of our own: whatever /tmp lies on, writes to it are disk I/O. */
function diskLoad() {
	const image = path.join(dir, "image");
	fs.writeFileSync(image, Buffer.alloc(LOOP_BYTES));
	const device = execFileSync("losetup", ["--find", "--show", image], { encoding: "utf8" }).trim();
	undo.push(() => execFileSync("losetup", ["--detach", device]));
	const fd = fs.openSync(device, "r+");
	undo.push(() => fs.closeSync(fd));
	const timer = setInterval(() => {
		fs.writeSync(fd, Buffer.alloc(4096, Math.random() * 256), 0, 4096, 0);
		fs.fsyncSync(fd);
	}, 50);
	undo.push(() => clearInterval(timer));
	return path.basename(device);
}

/* One connection after the other, each with a few round trips. */
async function tcpLoad() {
	const server = net.createServer((socket) => socket.pipe(socket).on("error", () => {}));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	undo.push(() => server.close());
	const timer = setInterval(() => {
		let left = 10;
		const client = net.connect(server.address().port, "127.0.0.1", () => client.write("x"));
		client.on("data", () => (--left ? client.write("x") : client.end()));
		client.on("error", () => {});
	}, 100);
	undo.push(() => clearInterval(timer));
	return String(server.address().port);
}

/* Requests that a server of our own answers, as Redis would, and some that it refuses. */
async function requestLoad() {
	const server = net.createServer((socket) => socket.on("error", () => {}).on("data", (bytes) => {
		socket.write(String(bytes).includes("PING") ? "+PONG\r\n" : "-ERR no\r\n");
	}));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	undo.push(() => server.close());
	const client = net.connect(server.address().port, "127.0.0.1").on("error", () => {});
	undo.push(() => client.destroy());
	let n = 0;
	const timer = setInterval(() => client.write(++n % 4 ? "*1\r\n$4\r\nPING\r\n" : "*1\r\n$4\r\nNOPE\r\n"), 20);
	undo.push(() => clearInterval(timer));
	return String(server.address().port);
}

/* A cgroup of our own that works now and then, wherever this node accounts for CPU time. */
function cgroupLoad() {
	const mounts = fs.readFileSync("/proc/self/mountinfo", "utf8").split("\n")
		.filter((line) => /- cgroup2 |- cgroup .*\bcpuacct\b/.test(line)).map((line) => line.split(" ")[4]);
	const name = path.basename(dir);
	const work = "setInterval(() => { for (const end = Date.now() + 20; Date.now() < end;); }, 100)";
	const child = spawn(process.execPath, ["--eval", work], { stdio: "ignore" });
	const ended = once(child, "exit");
	for (const mount of mounts) {
		const group = path.join(mount, name);
		fs.mkdirSync(group);
		fs.writeFileSync(path.join(group, "cgroup.procs"), String(child.pid));
		undo.push(() => fs.rmdirSync(group));
	}
	undo.push(() => child.kill("SIGKILL") && ended);
	return name;
}

async function open(options = {}) {
	const context = await browser.newContext(options);
	const opened = await context.newPage();
	await opened.addInitScript(() => {
		addEventListener("securitypolicyviolation", (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`));
	});
	opened.on("console", (m) => m.type() === "error" && complaints.push(m.text()));
	opened.on("pageerror", (e) => complaints.push(String(e)));
	return opened;
}

/* Waits until the page holds what is asked; says what it held instead. */
async function until(where, selector, pattern) {
	const text = () => where.locator(selector).allInnerTexts();
	const end = Date.now() + DEADLINE_MS;
	for (;;) {
		const found = (await text()).join("\n");
		if (pattern.test(found)) return found;
		assert.ok(Date.now() < end, `${selector} never showed ${pattern}; it shows:\n${found}`);
		await where.waitForTimeout(100);
	}
}

before(async () => {
	if (process.getuid() !== 0) throw new Error("the page's test starts the real program: run it as root");
	url = await start();
	loop = diskLoad();
	port = await tcpLoad();
	cgroup = cgroupLoad();
	requests_port = await requestLoad();
	browser = await chromium.launch({
		executablePath: CHROMIUM,
		args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
	});
	page = await open({ viewport: { width: 1440, height: 900 } });
	await page.goto(url);
});

after(async () => {
	await browser?.close();
	await stop();
	for (const step of undo.reverse()) await step();
	fs.rmSync(dir, { recursive: true, force: true });
});

/* "1.23 ms" -> seconds */
function parseTime(text) {
	const [, n, unit] = /^([\d.]+)\s?(ns|µs|ms|s)?$/.exec(text) ?? [];
	assert.ok(n, `not a time: ${text}`);
	return Number(n) * { ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1, undefined: 1 }[unit];
}

for (const id of FIGURES) {
	test(`${id}: the histogram shows samples and ordered quantiles`, async () => {
		const row = `#${id} .series tbody tr:first-child`;
		await until(page, `${row} .samples`, /[1-9]/);
		const cell = (name) => page.locator(`${row} .${name}`).innerText();
		const [p50, p95, p99] = (await Promise.all(["p50", "p95", "p99"].map(cell))).map(parseTime);
		assert.ok(p50 > 0 && p50 <= p95 && p95 <= p99, `p50 ${p50}, p95 ${p95}, p99 ${p99}`);
		const curve = await page.locator(`#${id} .curve.c0`).getAttribute("d");
		assert.match(curve, /^M[\d.]+ [\d.]+V[\d.]+H/);
		const label = await page.locator(`#${id} svg.chart`).getAttribute("aria-label");
		assert.match(label, /samples, p50 .* p95 .* p99 /);
	});
}

/* Shows every row: on a busy node the load of this test is not among the first. */
async function showAll(id) {
	const button = page.locator(`#${id} .tables .more[aria-expanded="false"]`).first();
	if (await button.isVisible()) await button.click();
}

test("the disk and TCP load of this test are rows of the tables", async () => {
	await showAll("disk");
	await until(page, "#disk .tables tbody", new RegExp(`^${loop} write\\s+[\\d.]+`, "m"));
	await showAll("tcp");
	/* the ports told apart are bounded: on a node with very many, ours is among the others */
	await until(page, "#tcp .tables tbody", new RegExp(`^← (${port}|other)\\s+(?!0\\s)[\\d.]+`, "m"));
});

test("a table shows its first rows, all of them on demand, and folds again", async () => {
	const rows = page.locator("#syscalls .tables table:first-of-type tbody tr:not([hidden])");
	const button = page.locator("#syscalls .tables table:first-of-type .more");
	await until(page, "#syscalls .tables table:first-of-type caption", /top 12 of \d+, show all/);
	assert.equal(await rows.count(), 12);
	await button.click();
	assert.ok((await rows.count()) > 12);
	await button.click();
	assert.equal(await rows.count(), 12);
});

test("what is sampled is said, and rates carry their error", async () => {
	await until(page, "#sampling", /observed \d+(\.\d+)?\s% of the time, in random windows/);
	await until(page, "#syscalls .tables table:first-of-type tbody", /[\d.]+\s?k? ±\s?[\d.]+/);
});

test("waits are listed apart from work", async () => {
	const [work, wait] = ["first", "last"].map((which) => `#syscalls .tables table:${which}-of-type tbody th`);
	const waits = /^(epoll_wait|epoll_pwait|futex_wait|poll|ppoll|clock_nanosleep|select|pselect6)$/m;
	await until(page, wait, waits);
	assert.doesNotMatch((await page.locator(work).allInnerTexts()).join("\n"), waits);
});

test("what the cgroups use is listed, over a minute", async () => {
	await until(page, "#runqueue .tables caption", /^By cgroup, last 60 s/);
	/* the figures come with the second round of the agent's reading, of about 10 s */
	await until(page, "#runqueue .tables tbody", /\d\s%/);
	await showAll("runqueue");
	await until(page, "#runqueue .tables tbody", new RegExp(`^${cgroup}\\s+[\\d.]+\\s%`, "m"));
	const title = page.locator(`#runqueue .tables tr:has(th:text-is("${cgroup}"))`);
	assert.equal(await title.getAttribute("title"), `${cgroup}: /${cgroup}`);
});

test("every call is observed for a time, with the token, and that can be ended", async () => {
	const other = await open({ viewport: { width: 1440, height: 900 } });
	await other.goto(url);
	await until(other, "#exact", /Observe every call for 30\s?s/);
	await other.click("#exact");
	await until(other, "#token-label", /token .* is needed to change what is observed/);
	await other.click("#token-cancel");
	assert.ok(await other.locator("#token-form").isHidden());
	await other.click("#exact");
	const before = complaints.length;
	await other.fill("#token", "wrong");
	await other.press("#token", "Enter");
	await until(other, "#token-label", /This is not the agent's token/);
	complaints.splice(before); // the browser says that it was answered 401, and so it was
	await other.fill("#token", fs.readFileSync(path.join(dir, "token"), "utf8").trim());
	await other.press("#token", "Enter");
	await until(other, "#exact", /Every call, \d+\ss left · stop/);
	assert.ok(await other.locator("#token-form").isHidden());
	await until(other, "#sampling", /Every system call is observed now/);
	await other.click("#exact");
	await until(other, "#exact", /Observe every call/);
	await until(other, "#sampling", /in random windows/);
	await other.context().close();
});

test("what this test serves and calls are rows of the services", async () => {
	const figures = "redis\\s+[\\d.]+\\s+2\\d(\\.\\d)?\\s%(\\s+[\\d.]+\\s[µm]s)"; // a quarter is refused
	await until(page, "#services .inbound tbody", new RegExp(`:${requests_port}\\s+${figures}{4}`));
	await until(page, "#services .outbound tbody", new RegExp(`:${requests_port}\\s+${figures}{3}`));
	const opener = page.locator("#services .inbound .opener", { hasText: `:${requests_port}` });
	await opener.click();
	await until(page, "#services .inbound tr.under", /^PING\s+[\d.]+\s+[\d.]+\s[µm]s/m);
	await until(page, "#services .inbound tr.under", /^NOPE\s+[\d.]+\s+100\s%/m);
	await opener.click();
});

/* An answer of api/services as docs/api.md has it. */
function played(services, more = {}) {
	const figures = (e) => ({
		requests_total: 1000, errors_total: e.error_ratio ? 10 : 0, rate: 1, error_ratio: 0,
		p50: 1e-3, p95: 2e-3, p99: 3e-3, ...e,
	});
	const list = services.map((s) => ({
		protocol: "http", direction: "inbound", port: 1, cgroup: "/some.slice", container: "",
		queue_p50: 1e-5, queue_p95: 5e-5, queue_p99: 9e-5, ...figures(s),
		operations: (s.operations ?? []).map(figures),
	}));
	return { window_seconds: 12.3, total: list.length, services: list, unseen_bytes: {}, ...more };
}

/* A page whose services are these, as they are when it asks; the rest is the program's. */
async function openPlayed(answer, options = {}) {
	const other = await open({ viewport: { width: 1440, height: 900 }, ...options });
	await other.route("**/api/services*", (route) => route.fulfill({ json: answer }));
	await other.goto(url);
	return other;
}

const REDIS = {
	name: "redis:6379", protocol: "redis", rate: 48211, error_ratio: 0.01, p50: 7.2e-6, p95: 0.000412,
	p99: 0.0013,
	operations: [{ name: "GET", rate: 40000, p50: null, p95: null, p99: null }, { name: "<b>SET", rate: 8000 }],
};

test("services are listed by direction, and open to their operations", async () => {
	const answer = played([REDIS, { name: "other", rate: 0.5, p50: null, p95: null, p99: null },
		{ name: "shop:5432", protocol: "postgresql", direction: "outbound", rate: 20 }],
	{ total: 7, unseen_bytes: { tls: 3 << 20, http2: 0 } });
	const other = await openPlayed(answer);
	const rows = (card) => `#services .${card} tbody tr:not([hidden])`;
	const redis = /^redis:6379\s+redis\s+48\.2\sk\s+1\.0\s%\s+7\.20\sµs\s+412\sµs\s+1\.30\sms\s+50\.0\sµs/m;
	await until(other, rows("inbound"), redis);
	await until(other, rows("inbound"), /^other\s+http\s+0\.50\s+–\s+–\s+–/m);
	await until(other, rows("outbound"), /^shop:5432\s+postgresql\s+20\s+1\.00\sms\s+2\.00\sms\s+3\.00\sms\s*$/m);
	await until(other, "#services .inbound h2", /requests answered here: 48\.2\sk a second/);
	await until(other, "#services .inbound caption", /By rate, last 12\ss/);
	await until(other, "#services .inbound p.about", /^4 services .* left out\. Not seen .*: TLS 3\.00\sMiB\.$/);
	assert.equal(await other.locator(rows("inbound")).first().getAttribute("title"),
		"redis:6379: /some.slice; 1.00\u202fk requests since the start, 10 errors");

	const opener = other.locator("#services .opener", { hasText: "redis:6379" });
	assert.equal(await other.locator("#services .opener:visible").count(), 1);
	assert.equal(await opener.getAttribute("aria-expanded"), "false");
	await opener.focus();
	await other.keyboard.press("Enter");
	assert.equal(await opener.getAttribute("aria-expanded"), "true");
	await until(other, "#services tr.under", /^GET\s+40\.0\sk\s+–\s+–\s+–\s*\n<b>SET\s+8\.00\sk\s+1\.00\sms/m);
	/* busier services come before it: it stays open, and the keyboard stays where it was */
	answer.services.unshift({ ...answer.services[1], name: "busy:1", rate: 1e6 });
	await until(other, `${rows("inbound")}:first-child`, /^busy:1/);
	assert.match((await other.locator(rows("inbound")).allInnerTexts())[2], /^GET/);
	assert.equal(await other.evaluate(() => document.activeElement.textContent), "redis:6379");
	await opener.click();
	assert.equal(await other.locator("#services tr.under").count(), 0);
	await other.context().close();
});

/* The program's own status, but for how its request probe and module are. */
async function playStatus(where, probe, module) {
	await where.route("**/api/status", async (route) => {
		const response = await route.fetch();
		const json = await response.json();
		for (const [kind, part] of Object.entries({ probes: probe, modules: module })) {
			const others = json[kind].filter((p) => !p.name.startsWith("request"));
			json[kind] = [...others, { name: "request", reason: "", ...part }];
		}
		await route.fulfill({ response, json });
	});
}

test("a panel without services says why", async () => {
	let answer = { json: played([]) };
	const runs = [{ state: "attached" }, { state: "running" }];
	const other = await open({ viewport: { width: 1440, height: 900 } });
	await other.route("**/api/services*", (route) => route.fulfill(answer));
	await playStatus(other, ...runs);
	await other.goto(url);
	await until(other, "#services .note", /HTTP\/1, Redis, PostgreSQL and AMQP .* no such request in the last 12\ss\.$/m);
	assert.ok(await other.locator("#services .outbound").isHidden());
	assert.ok(await other.locator("#services table").first().isHidden());
	const before = complaints.length;
	answer = { status: 503, json: { error: { code: "unavailable", message: "the reason" } } };
	await until(other, "#services .note", /Not available: the reason\./);
	await until(other, "#state", /^(ok|degraded)/); // the rest goes on
	complaints.splice(before); // the browser says that it was answered 503, and so it was
	answer = { json: played([REDIS]) };
	await until(other, "#services .inbound tbody", /^redis:6379/);
	assert.equal(await other.locator("#services .note").first().innerText(), "");
	answer = { json: played([]) };
	await playStatus(other, runs[0], { state: "off", reason: "as asked" });
	await until(other, "#services .note", /The request module is off: as asked\./);
	await playStatus(other, { state: "failed", reason: "no BTF" }, runs[1]);
	await until(other, "#services .note", /The request probe is failed: no BTF\./);
	await other.context().close();
});

test("services fit a phone", async () => {
	const name = "namespace-of-a-team/pod-with-a-long-name-7d9f8b6c5d-x2x1/main:8080";
	const answer = played([REDIS, { name }, { name, direction: "outbound" }]);
	const phone = await openPlayed(answer, { viewport: { width: 375, height: 700 } });
	await until(phone, "#services .inbound tbody", /^redis:6379\s+48\.2\sk\s+1\.0\s%\s+412\sµs\s+1\.30\sms/m);
	assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth), 375);
	const cut = await phone.locator("#services .inbound tbody td:visible").evaluateAll(
		(cells) => cells.filter((c) => c.scrollWidth > c.clientWidth).map((c) => c.textContent));
	assert.deepEqual(cut, []);
	await phone.context().close();
});

/* { status, headers, body }: as they come, which fetch() would unpack */
function raw(name, headers) {
	return new Promise((resolve, reject) => {
		http.get(`${url}/${name}`, { headers }, async (answer) => {
			const body = Buffer.concat(await answer.toArray());
			resolve({ status: answer.statusCode, headers: answer.headers, body });
		}).on("error", reject);
	});
}

test("every file of the page is served, as it is and packed, and again only if it changed", async () => {
	const names = fs.readdirSync(WEB);
	let bytes = 0;
	let packed_bytes = 0;
	for (const name of names) {
		const content = fs.readFileSync(path.join(WEB, name));
		const plain = await raw(name, {});
		const packed = await raw(name, { "Accept-Encoding": "br, gzip;q=0.5" });
		assert.equal(plain.status, 200, name);
		assert.deepEqual(plain.body, content, name);
		assert.equal(plain.headers["content-encoding"], undefined);
		assert.ok(plain.headers["content-type"].startsWith(TYPES[path.extname(name)]), name);
		assert.equal(packed.headers["content-encoding"], "gzip", name);
		assert.deepEqual(gunzipSync(packed.body), content, name);
		assert.notEqual(plain.headers.etag, packed.headers.etag);
		for (const [form, accept] of [[plain, "identity"], [packed, "gzip"]]) {
			assert.equal(form.headers.vary, "Accept-Encoding");
			const headers = { "If-None-Match": form.headers.etag, "Accept-Encoding": accept };
			const again = await raw(name, headers);
			assert.deepEqual([again.status, again.body.length], [304, 0], name);
		}
		bytes += content.length;
		packed_bytes += packed.body.length;
	}
	console.log(`# the page: ${names.length} files, ${bytes} bytes, ${packed_bytes} packed`);
});

test("the header and the host strip have figures", async () => {
	await until(page, "#host", new RegExp(os.hostname()));
	await until(page, "#kernel", new RegExp(os.release().replaceAll(".", "\\.")));
	await until(page, "#state", /^(ok|degraded)/);
	await until(page, "#cost", /BPF .*% of CPU.*agent .*% of a core.*MiB/);
	for (const name of ["CPU", "Load", "Memory", "Disk space", "Network"]) {
		await until(page, `.tile:has(.name:text-is("${name}")) .value`, /\d/);
	}
	await until(page, "#losses", /nothing lost|lost since the start: \w+/i);
});

test("a bucket can be read with the keyboard", async () => {
	await page.locator("#runqueue svg.chart").focus();
	await page.keyboard.press("ArrowRight");
	await until(page, "#runqueue .readout", /s: [\d.]+.* samples, .*%.* at or below/);
	await page.keyboard.press("Escape");
});

test("it fits a phone, in the dark", async () => {
	const phone = await open({ viewport: { width: 375, height: 700 }, colorScheme: "dark" });
	await phone.goto(url);
	await until(phone, "#syscalls .series tbody tr:first-child .samples", /[1-9]/);
	assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth), 375);
	await phone.context().close();
});

test("pausing stops the polling and resuming starts it", async () => {
	const other = await open();
	await other.clock.install();
	await other.goto(url);
	await until(other, "#state", /^(ok|degraded)/);
	await other.click("#pause");
	let requests = 0;
	other.on("request", () => requests++);
	await other.clock.runFor(60000);
	assert.equal(requests, 0);
	const resumed = other.waitForRequest(/api\/metrics/, { timeout: DEADLINE_MS });
	await other.click("#pause");
	await resumed;
	await other.context().close();
});

test("the policy is strict and the browser has nothing to complain about", async () => {
	const answer = await fetch(url);
	const policy = answer.headers.get("content-security-policy") ?? "";
	assert.match(policy, /default-src '(self|none)'/);
	assert.doesNotMatch(policy, /unsafe|\*|https?:/);
	const foreign = await page.evaluate(() => performance.getEntriesByType("resource")
		.map((e) => e.name).filter((name) => !name.startsWith(location.origin)));
	assert.deepEqual(foreign, []);
	assert.deepEqual(complaints, []);
});

test("when the program ends the page says so and keeps its figures", async () => {
	await stop();
	await until(page, "#lost-connection", /No answer from the agent since \d+:\d+:\d+/);
	await until(page, "#state", /no answer/);
	assert.match(await page.locator("#syscalls .series tbody tr:first-child .samples").innerText(), /[1-9]/);
});
