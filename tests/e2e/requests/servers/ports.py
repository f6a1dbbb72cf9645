"""ports.py N [PORT] - Redis' protocol on N ports (the first one given, the others free ones), which it
prints in one line; every PING is answered."""
import selectors
import socket
import sys

n, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
ready = selectors.DefaultSelector()
ports = []


def serve(connection):
    data = connection.recv(4096)
    if data:
        connection.sendall(b"+PONG\r\n" * data.count(b"PING"))
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
