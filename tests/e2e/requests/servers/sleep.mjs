// sleep.mjs PORT - GET /sleep?ms=N answers after a timer of N ms; GET /report tells what each took
// here since the last report, in seconds: from the request's event to the return of end().
import http from "node:http";

let took = [];

function answer(response, body) {
	response.writeHead(200, { "Content-Length": Buffer.byteLength(body) });
	response.end(body);
}

const server = http.createServer((request, response) => {
	const began = process.hrtime.bigint();
	const url = new URL(request.url, "http://localhost");
	if (url.pathname === "/report") {
		answer(response, JSON.stringify(took));
		took = [];
		return;
	}
	setTimeout(() => {
		answer(response, "slept\n");
		took.push(Number(process.hrtime.bigint() - began) / 1e9);
	}, Number(url.searchParams.get("ms")));
});
server.keepAliveTimeout = 60000;
server.listen(Number(process.argv[2]), "127.0.0.1");
