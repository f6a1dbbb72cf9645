"""sleep_asyncio.py PORT - as sleep.mjs, by asyncio: from the bytes being there to them being sent."""
import asyncio
import json
import sys
import time
from urllib.parse import parse_qs, urlparse

took = []


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.received = transport, b""

    def data_received(self, data):
        began = time.perf_counter()
        self.received += data
        if not self.received.endswith(b"\r\n\r\n"):
            return
        url = urlparse(self.received.split()[1].decode())
        self.received = b""
        if url.path == "/report":
            self.answer(json.dumps(took))
            took.clear()
        else:
            ms = float(parse_qs(url.query)["ms"][0])
            asyncio.get_running_loop().call_later(ms / 1000, self.slept, began)

    def slept(self, began):
        self.answer("slept\n")
        took.append(time.perf_counter() - began)

    def answer(self, body):
        self.transport.write(
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


async def main():
    server = await asyncio.get_running_loop().create_server(
        Connection, "127.0.0.1", int(sys.argv[1]), backlog=512)
    await server.serve_forever()


asyncio.run(main())
