"""ports.py N [PORT] - HTTP on N ports (the first one given, the others free ones), which it prints in
one line; every request is answered with 200."""
import selectors
import socket
import sys

n, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
ready = selectors.DefaultSelector()
ports = []


def serve(connection):
    data = connection.recv(4096)
    if data:
        connection.sendall(ANSWER * data.count(b"\r\n\r\n"))
    else:
        ready.unregister(connection)
        connection.close()


def accept(listener):
    ready.register(listener.accept()[0], selectors.EVENT_READ, serve)


for i in range(n):
    s = socket.create_server(("127.0.0.1", 0 if i else first), reuse_port=True)
    ports.append(s.getsockname()[1])
    ready.register(s, selectors.EVENT_READ, accept)
print(*ports, flush=True)
while True:
    for key, _ in ready.select():
        key.data(key.fileobj)
