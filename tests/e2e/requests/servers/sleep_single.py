"""sleep_single.py PORT - as sleep.mjs, by one thread that sleeps while everybody else waits, first
come, first served."""
import json
import selectors
import socket
import sys
import time
from collections import deque
from urllib.parse import parse_qs, urlparse

took = []


def serve(connection):
    """One request; False at the end of the connection."""
    received = connection.recv(65536)
    began = time.perf_counter()
    if not received:
        return False
    url = urlparse(received.split()[1].decode())
    if url.path == "/report":
        answer(connection, json.dumps(took))
        took.clear()
        return True
    ms = float(parse_qs(url.query)["ms"][0])
    if ms:
        time.sleep(ms / 1000)
    took.append(time.perf_counter() - began)  # as far as it depends on this server
    answer(connection, "slept\n")
    return True


def answer(connection, body):
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


def gather():
    """Puts those that have become readable behind those that wait."""
    for key, _ in poll.select(0 if waiting else None):
        if key.fileobj is listener:
            accepted = listener.accept()[0]
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poll.register(accepted, selectors.EVENT_READ)
        elif key.fileobj not in waiting:
            waiting.append(key.fileobj)


poll, waiting = selectors.DefaultSelector(), deque()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
poll.register(listener, selectors.EVENT_READ)
while True:
    gather()
    if waiting and not serve(waiting[0]):
        poll.unregister(waiting[0])
        waiting[0].close()
    if waiting:
        waiting.popleft()
