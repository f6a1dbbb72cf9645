"""sleep_threads.py PORT - as sleep.mjs, by http.server with a thread for each connection: from the
request line being there to the head of the response being sent."""
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

took = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def parse_request(self):
        self.began = time.perf_counter()
        return super().parse_request()

    def do_GET(self):
        url = urlparse(self.path)
        if url.path == "/report":
            self.answer(json.dumps(took))
            took.clear()
            return
        time.sleep(float(parse_qs(url.query)["ms"][0]) / 1000)
        took.append(self.answer("slept\n") - self.began)

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = time.perf_counter()
        self.wfile.write(body.encode())
        return sent

    def log_message(self, *_):
        pass


ThreadingHTTPServer.request_queue_size = 512
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
