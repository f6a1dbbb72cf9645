"""sleep_pipeline.py PORT - as sleep_single.py, for one connection whose requests come several in a
call: each is answered in a call of its own, and took from the reading of all to its own answer."""
import json
import socket
import sys
import time

took = []


def answer(connection, body):
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


def serve(connection):
    received = b""
    while data := connection.recv(65536):
        began = time.perf_counter()
        received += data
        while b"\r\n\r\n" in received:
            one, received = received.split(b"\r\n\r\n", 1)
            target = one.split()[1].decode()
            if target == "/report":
                answer(connection, json.dumps(took))
                continue
            time.sleep(float(target.split("=")[1]) / 1000)
            answer(connection, "slept\n")
            took.append(time.perf_counter() - began)


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    accepted = listener.accept()[0]
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with accepted:
        serve(accepted)
