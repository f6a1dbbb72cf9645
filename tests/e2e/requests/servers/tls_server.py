"""tls_server.py PORT KEY KIND - HTTP inside TLS, by Python: on the socket, with a thread or a
process for each connection (threads, forks), or by asyncio, which moves the bytes itself.

GET /fail/... answers 500; GET /sleep/N after N ms; GET /report with what those took since the last
report, in seconds, from their reading to their answer's being sent (threads). With forks, SIGUSR1
has a child take over.
"""
import asyncio
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time

port, key, kind = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(key)


took = []


def answer(request):
    path, body = request.split()[1].decode(), "fine"
    if path.startswith("/sleep/"):
        time.sleep(float(path[7:]) / 1000)
    if path == "/report":
        body = json.dumps(took)
        took.clear()
    status = "500 Failed" if path.startswith("/fail/") else "200 OK"
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def serve(connection):
    try:
        with context.wrap_socket(connection, server_side=True) as inside:
            received = b""
            while data := inside.recv(65536):
                began = time.perf_counter()
                received += data
                while b"\r\n\r\n" in received:
                    request, _, received = received.partition(b"\r\n\r\n")
                    inside.sendall(answer(request))
                    if b"/sleep/" in request:
                        took.append(time.perf_counter() - began)
    except OSError:
        pass  # one that only looks whether the port is there


def threads():
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def forks():
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    def hand_over(*_):
        if os.fork():
            signal.pause()

    signal.signal(signal.SIGUSR1, hand_over)
    while True:
        connection = listener.accept()[0]
        if not os.fork():
            serve(connection)
            os._exit(0)
        connection.close()


async def talk(reader, writer):
    try:
        while request := await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer(request))
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def loop():
    server = await asyncio.start_server(talk, "127.0.0.1", port, ssl=context, backlog=512)
    await server.serve_forever()


if kind == "asyncio":
    asyncio.run(loop())
else:
    {"threads": threads, "forks": forks}[kind]()
