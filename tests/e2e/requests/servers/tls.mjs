// tls.mjs server PORT KEY - HTTP inside TLS; GET /fail/... answers 500.
// tls.mjs client PORT N - once there is a line on standard input, asks for /asked N times on each of
// four connections; says how many answers there were.
import fs from "node:fs";
import https from "node:https";

function serve(port, key) {
	const pem = fs.readFileSync(key);
	https.createServer({ key: pem, cert: pem }, (request, response) => {
		response.writeHead(request.url.startsWith("/fail/") ? 500 : 200, { "Content-Length": 4 });
		response.end("fine");
	}).listen(port, "127.0.0.1");
}

function ask(agent, port) {
	return new Promise((resolve, reject) => {
		https.get({ agent, port, host: "127.0.0.1", path: "/asked", rejectUnauthorized: false }, (answer) => {
			answer.resume().on("end", resolve);
		}).on("error", reject);
	});
}

async function client(port, n) {
	let answers = 0;

	fs.readSync(0, Buffer.alloc(1));
	await Promise.all(Array.from({ length: 4 }, async () => {
		const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
		for (let i = 0; i < n; i++) {
			await ask(agent, port);
			answers++;
		}
		agent.destroy();
	}));
	console.log(answers);
}

const [kind, port, third] = process.argv.slice(2);
if (kind === "server")
	serve(Number(port), third);
else
	await client(Number(port), Number(third));
