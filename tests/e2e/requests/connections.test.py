#!/usr/bin/env python3
"""connections.test.py - requests as connections may carry them: cut anywhere, in chunks, by every
call, by several threads, on descriptors that were passed on, and what is no request at all."""
import array
import base64
import os
import resource
import socket
import ssl
import struct
import tempfile
import threading
import time

from common import ENV, Both, Skip, Trimtab, check, main, unseen, until
from lib import child, run
from raw import (FILE_WRITES, READS, WRITES, Raw, Uring, connect, response, serve, to_end_of)
from servers import Http, Nginx, head, resp

REQUEST = b"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n"


def both(server, protocol="http"):
    return Both(program, server.port, protocol)


# --- bytes


class Meter:
    """How many bytes have arrived, so that the next piece is another call of the reader's."""

    def __init__(self):
        self.bytes, self.changed = 0, threading.Condition()

    def add(self, n):
        with self.changed:
            self.bytes += n
            self.changed.notify_all()

    def wait(self, n):
        with self.changed:
            check(self.changed.wait_for(lambda: self.bytes >= n, 30), f"{self.bytes} of {n} bytes")


def send_cut(sock, data, cuts, meter):
    """Each piece once the one before it was read."""
    for begin, end in zip([0, *cuts], [*cuts, len(data)]):
        start = meter.bytes
        sock.sendall(data[begin:end])
        meter.wait(start + end - begin)


def cuts_of(data):
    return [[i] for i in range(1, len(data))] + [list(range(1, len(data)))]


def test_requests_cut_anywhere():
    """At every byte, and byte by byte."""
    meter = Meter()

    def handler(connection):
        while to_end_of(connection, get=lambda n: metered(connection, n, meter)):
            connection.sendall(response())

    with Raw(handler) as server:
        watch = both(server)
        with Http(server.port) as c:
            for cuts in cuts_of(REQUEST):
                send_cut(c.socket, REQUEST, cuts, meter)
                check(c.answer() == (200, b"fine"), "no answer")
        watch.expect({"GET /cut": len(REQUEST)})


def metered(connection, n, meter):
    data = connection.recv(n)
    meter.add(len(data))
    return data


def test_responses_cut_anywhere():
    """At every byte of the head; the next request is on its way only then."""
    meter, answer = Meter(), response()
    cuts = cuts_of(answer)
    left = iter(cuts)

    def handler(connection):
        while to_end_of(connection):
            send_cut(connection, answer, next(left), meter)

    with Raw(handler) as server:
        watch = both(server)
        with connect(server.port) as c:
            for _ in cuts:
                c.sendall(REQUEST)
                to_end_of(c, b"fine", lambda n: metered(c, n, meter))
        watch.expect({"GET /cut": len(cuts)})


def test_commands_cut_anywhere():
    """Redis's, both ways, pipelined: three commands and their answers."""
    meter, back = Meter(), Meter()
    command = resp("SET", "key", "x" * 20) + resp("GET", "key") + b"PING\r\n"
    answer = b"+OK\r\n$20\r\n" + b"x" * 20 + b"\r\n+PONG\r\n"
    commands, answers = cuts_of(command), iter(cuts_of(answer) * 3)

    def handler(connection):
        while to_end_of(connection, b"PING\r\n", lambda n: metered(connection, n, meter)):
            send_cut(connection, answer, next(answers), back)

    with Raw(handler) as server:
        watch = both(server, "redis")
        with connect(server.port) as c:
            for cuts in commands:
                send_cut(c, command, cuts, meter)
                to_end_of(c, b"PONG\r\n", lambda n: metered(c, n, back))
        n = len(commands)
        watch.expect({"SET": n, "GET": n, "PING": n})


TRAPS = [b"GET /trap HTTP/1.1\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"*1\r\n$4\r\nPING\r\n"]


def test_bodies_like_requests():
    """1 MB up and down, with a length; the pieces begin as requests and answers do."""
    piece = b"".join(t + b"x" * (4096 - len(t)) for t in TRAPS)
    body = piece * 52

    def handler(connection):
        file = connection.makefile("rb")
        while file.readline():
            length = 0
            while (header := file.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            check(file.read(length) == body[:length], "another body")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            for at in range(0, len(body), 4096):
                connection.sendall(body[at:at + 4096])

    with Raw(handler) as server:
        watch = both(server)
        with Http(server.port) as c:
            for _ in range(5):
                c.send(head("/up", "POST", len(body)))
                for at in range(0, len(body), 4096):
                    c.send(body[at:at + 4096])
                check(c.answer() == (200, body), "another body came back")
                check(c.get("/down") == (200, body), "another body came back")
        watch.expect({"POST /up": 5, "GET /down": 5})


def chunk(data, extension=b""):
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def chunked(big=100):
    return b"".join(chunk(t * big, b";name=value") for t in TRAPS) + b"0\r\nTrailer: x\r\n\r\n"


def test_chunked_both_ways():
    """Chunks, extensions and trailers, and the next request right behind them."""
    encoded = b"Transfer-Encoding: chunked\r\n\r\n"

    def handler(connection):
        file, n = connection.makefile("rb"), 0
        while to_end_of(None, get=lambda _: file.readline()):
            while size := int(file.readline().split(b";")[0], 16):
                file.read(size + 2)
            while file.readline() not in (b"\r\n", b""):
                pass
            n += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + encoded + chunked())

    with Raw(handler) as server:
        watch = both(server)
        with Http(server.port) as c:
            one = b"POST /chunks HTTP/1.1\r\nHost: a\r\n" + encoded + chunked()
            for cut in (17, 100, 1000, len(one)):
                for at in range(0, len(one), cut):
                    c.send(one[at:at + cut])
                check(c.answer()[0] == 200, "no answer")
            c.send(one * 5)
            for _ in range(5):
                check(c.answer()[0] == 200, "no answer")
        watch.expect({"POST /chunks": 9})


def test_continue():
    """The interim answer is none; an early answer ends the request, whatever of the body follows."""
    def handler(connection):
        file = connection.makefile("rb")
        for i in range(10):
            to_end_of(None, get=lambda _: file.readline())
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if i % 2:
                time.sleep(0.001)
            file.read(100000)
            connection.sendall(response(status="201 Created"))
        to_end_of(None, get=lambda _: file.readline())
        connection.sendall(response(status="413 Too Large"))
        file.read()

    with Raw(handler) as server:
        watch = both(server)
        with Http(server.port) as c:
            for _ in range(10):
                c.send(head("/up", "PUT", 100000, "Expect: 100-continue\r\n"))
                check(c.answer_head()[0] == 100, "no 100")
                c.send(b"y" * 100000)
                check(c.answer()[0] == 201, "no 201")
            c.send(head("/large", "PUT", 100000))
            check(c.answer()[0] == 413, "no 413")
            c.send(b"y" * 100000)
        watch.expect({"PUT /up": 10}, {"PUT /large": 1})
        check(watch.inbound.classes() == {"2xx": 10, "4xx": 1}, f"{watch.inbound.classes()}")


def test_pipelined():
    """16 in a call, answered in one call, in several, and not at all at the end."""
    def handler(connection):
        file, n = connection.makefile("rb"), 0
        pending = b""
        while to_end_of(None, get=lambda _: file.readline()):
            n += 1
            pending += response(b"x" * (n % 7), "200 OK" if n % 4 else "404 Not Found")
            if n % 16 == 0 or n % 5 == 0:
                connection.sendall(pending)
                pending = b""

    with Raw(handler) as server:
        watch = both(server)
        with Http(server.port) as c:
            for _ in range(50):
                c.send(REQUEST * 16)
                for _ in range(16):
                    c.answer()
        watch.expect({"GET /cut": 600}, {"GET /cut": 200})


# --- calls


def exchange(server_read, server_write, client_read, client_write, n=20):
    """n requests by these calls; the body is longer than what is looked at."""
    answer = response(b"z" * 3000 + b"\r\n\r\n")

    def handler(connection):
        while to_end_of(connection, get=lambda n: server_read(connection, n)):
            server_write(connection, answer)

    with Raw(handler) as server:
        watch = both(server)
        with connect(server.port) as c:
            c.settimeout(None)  # else Python makes it non-blocking
            for _ in range(n):
                client_write(c, REQUEST)
                got = b""
                while len(got) < len(answer):
                    got += client_read(c, 65536)
                check(got == answer, "another answer")
        watch.expect({"GET /cut": n})


def test_every_read_call():
    for name, call in READS.items():
        print(f"# {name}", flush=True)
        exchange(call, WRITES["send"], call, WRITES["send"])


def test_every_write_call():
    for name, call in WRITES.items():
        print(f"# {name}", flush=True)
        exchange(READS["recv"], call, READS["recv"], call)


def test_answers_out_of_files():
    for name, call in FILE_WRITES.items():
        print(f"# {name}", flush=True)
        exchange(READS["recv"], call, READS["recv"], WRITES["send"])


def test_peeked():
    """What is only looked at (MSG_PEEK) comes again."""
    def handler(connection):
        while connection.recv(100, socket.MSG_PEEK):
            connection.recv(1000, socket.MSG_PEEK)
            to_end_of(connection)
            connection.sendall(response())

    with Raw(handler) as server:
        watch = both(server)
        with Http(server.port) as c:
            for _ in range(20):
                c.send(REQUEST)
                check(c.socket.recv(1000, socket.MSG_PEEK), "no answer")
                c.answer()
        watch.expect({"GET /cut": 20})


def test_io_uring():
    """A server of that kind: its requests are counted, or its bytes are reported as unseen."""
    n, answer = 50, response(b"z" * 500)

    def handler(connection):
        with Uring() as ring:
            while to_end_of(connection, get=lambda n: ring.recv(connection, n)):
                check(ring.send(connection, answer) == len(answer), "sent less")

    try:
        Uring().__exit__()
    except OSError as e:
        raise Skip(f"no io_uring: {e}") from e
    with Raw(handler) as server:
        watch = both(server)
        with Http(server.port) as c:
            for _ in range(n):
                c.send(REQUEST)
                check(c.answer()[0] == 200, "no answer")
        watch.outbound.expect({"GET /cut": n})
        served = watch.inbound.read()
        bytes_unseen = unseen(served.before, served.after, "io_uring")
        check(served.total() == n or served.total() == 0 and
              bytes_unseen >= n * (len(REQUEST) + len(answer)),
              f"{served.total()} counted, {bytes_unseen} bytes unseen")


# --- descriptors, threads, processes


def test_two_threads_on_a_socket():
    """One reads all the time, another writes the answers; so does the client."""
    n = 500

    def handler(connection):
        asked = threading.Semaphore(0)

        def write():
            for _ in range(n):
                asked.acquire()
                connection.sendall(response())

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        file = connection.makefile("rb")
        while to_end_of(None, get=lambda _: file.readline()):
            asked.release()
        writer.join()

    with Raw(handler) as server:
        watch = both(server)
        with Http(server.port) as c:
            sender = threading.Thread(target=lambda: [c.send(REQUEST) for _ in range(n)],
                                      daemon=True)
            sender.start()
            for _ in range(n):
                c.answer()
            sender.join()
        watch.expect_in_all(n, 0)


def test_duplicated_descriptors():
    """Read by one number, answered by another, the first one closed in between."""
    def handler(connection):
        while True:
            request = to_end_of(connection)
            if not request:
                return
            other = connection.dup()
            connection.close()
            other.sendall(response())
            connection = other

    with Raw(handler) as server:
        watch = both(server)
        with Http(server.port) as c:
            for _ in range(50):
                check(c.get("/dup")[0] == 200, "no answer")
        watch.expect({"GET /dup": 50})


def test_reused_descriptors():
    """The same number, and soon the same struct sock, is now HTTP, now Redis, now neither."""
    def http(connection):
        serve(connection)

    def redis(connection):
        while connection.recv(1000):
            connection.sendall(b"+OK\r\n")

    def echo(connection):
        while data := connection.recv(1000):
            connection.sendall(data)

    n = 60
    with Raw(http) as a, Raw(redis) as b, Raw(echo) as e:
        first, second, third = both(a), both(b, "redis"), both(e)
        for _ in range(n):
            with Http(a.port) as c:
                c.get("/a")
            with connect(b.port) as c:
                c.sendall(resp("SET", "a", "b"))
                c.recv(100)
            with connect(e.port) as c:
                c.sendall(b"neither this nor that\r\n")
                c.recv(100)
        first.expect({"GET /a": n})
        second.expect({"SET": n})
        third.expect({})


def test_process_for_each_connection():
    """Accepted by one process, answered by its child."""
    n = 20
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def one(connection):
        listener.close()
        serve(connection)

    def accept():
        for _ in range(n):
            connection = listener.accept()[0]
            pid = child(lambda: one(connection))
            connection.close()
            os.waitpid(pid, 0)

    pid = child(accept)
    listener.close()
    watch = Both(program, port, "http")
    for _ in range(n):
        with Http(port) as c:
            c.get("/forked")
            c.get("/forked")
    check(os.waitpid(pid, 0)[1] == 0, "the server failed")
    watch.expect({"GET /forked": 2 * n})


def test_passed_to_another_process():
    """By SCM_RIGHTS, in mid-life: the first request is one's, the second the other's."""
    mine, theirs = socket.socketpair()

    def other():
        while True:
            data, control, _, _ = theirs.recvmsg(1, socket.CMSG_SPACE(4))
            if not data:
                os._exit(0)
            fd = array.array("i", control[0][2])[0]
            with socket.socket(fileno=fd) as connection:
                serve(connection)

    def handler(connection):
        to_end_of(connection)
        connection.sendall(response())
        fds = array.array("i", [connection.fileno()])
        mine.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])

    with Raw(handler) as server:
        # its copy of `mine` would keep `theirs` open
        pid = child(lambda: (mine.close(), server.listener.close(), other()))
        theirs.close()
        watch = both(server)
        for _ in range(20):
            with Http(server.port) as c:
                for _ in range(3):
                    check(c.get("/passed")[0] == 200, "no answer")
        mine.close()
        os.waitpid(pid, 0)
        watch.expect({"GET /passed": 60})


def test_half_closed():
    """The client says that it will send no more, and reads the answer then."""
    with Raw(serve) as server:
        watch = both(server)
        for _ in range(20):
            with Http(server.port) as c:
                c.send(REQUEST)
                c.socket.shutdown(socket.SHUT_WR)
                check(c.answer()[0] == 200, "no answer")
        watch.expect({"GET /cut": 20})


def test_never_answered():
    """The connection ends instead: not counted as answered, and told."""
    def handler(connection):
        to_end_of(connection)
        connection.sendall(response())
        to_end_of(connection)

    with Raw(handler) as server:
        watch = both(server)
        for _ in range(20):
            with Http(server.port) as c:
                c.get("/answered")
                c.send(head("/never"))
                check(not c.file.readline(), "an answer came")
        watch.expect({"GET /answered": 20})
        for w in (watch.inbound, watch.outbound):
            check(w.unanswered() == 20, f"{w.direction}: {w.unanswered()} unanswered")


def test_ipv6():
    with Raw(serve, socket.AF_INET6) as server:
        watch = both(server)
        with connect(server.port, socket.AF_INET6) as c:
            for _ in range(20):
                c.sendall(REQUEST)
                to_end_of(c, b"fine")
        watch.expect({"GET /cut": 20})


def test_many_connections():
    """All open at once, each used now and then."""
    n = min(1500, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3 - 100)
    with Nginx() as nginx:
        with open(nginx.config) as f:
            text = f.read().replace("worker_connections 512", f"worker_connections {2 * n}")
        nginx.file("nginx.conf", text)
        nginx.stop()
        nginx.run()
        watch = both(nginx)
        clients = [Http(nginx.port) for _ in range(n)]
        try:
            for _ in range(3):
                for c in clients:
                    c.send(head("/fine/a"))
                for c in clients:
                    check(c.answer()[0] == 200, "no answer")
        finally:
            for c in clients:
                c.__exit__()
        watch.expect({"GET /fine/a": 3 * n})


# --- what waits by design, and what is no request


def test_long_polls():
    """Counted, not timed: Consul's, Kubernetes's."""
    def answer(request):
        time.sleep(0.05)
        return response()

    with Raw(lambda c: serve(c, answer)) as server:
        watch = both(server)
        with Http(server.port) as c:
            for _ in range(5):
                c.get("/v1/kv/a?index=5&wait=60s")
                c.get("/api/v1/pods?watch=true")
        for w in (watch.inbound, watch.outbound):
            until("the requests", lambda: w.read().total() == 10, 5)
            check(not w.timed(), f"timed: {w.timed()}")


def test_websocket():
    """The upgrade is a request; what the frames hold is none."""
    upgraded = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

    def handler(connection):
        to_end_of(connection)
        connection.sendall(upgraded)
        while data := connection.recv(65536):
            connection.sendall(data)

    with Raw(handler) as server:
        watch = both(server)
        for _ in range(5):
            with Http(server.port) as c:
                c.send(head("/ws", headers="Upgrade: websocket\r\nConnection: Upgrade\r\n"))
                check(c.answer()[0] == 101, "no upgrade")
                for trap in TRAPS:
                    c.send(trap)
                    check(c.file.read(len(trap)) == trap, "no echo")
        watch.expect({"GET /ws": 5})
        check(watch.inbound.classes() == {"1xx": 5}, f"{watch.inbound.classes()}")


def certificate(directory):
    """A key and a certificate in one file."""
    path = os.path.join(directory, "key.pem")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path, "-out",
        path + ".cert", "-days", "2", "-subj", "/CN=localhost")
    with open(path, "ab") as f, open(path + ".cert", "rb") as c:
        f.write(c.read())
    return path


def test_tls_is_unseen():
    """Its requests cannot be seen; its bytes are told."""
    inner, outer = (ssl.SSLContext(p) for p in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    outer.check_hostname, outer.verify_mode = False, ssl.CERT_NONE
    with tempfile.TemporaryDirectory() as directory:
        inner.load_cert_chain(certificate(directory))

    def handler(connection):
        with inner.wrap_socket(connection, server_side=True) as inside:
            serve(inside, lambda _: response(b"z" * 1000))

    with Raw(handler) as server:
        watch = both(server)
        with outer.wrap_socket(connect(server.port)) as c:
            for _ in range(20):
                c.sendall(REQUEST)
                to_end_of(c, b"z" * 10)
        watch.expect({})
        told = unseen(watch.inbound.before, watch.outbound.after, "tls")
        check(told >= 20 * (len(REQUEST) + 1000), f"{told} bytes of TLS")


def test_http2_is_unseen():
    """Known by its preface; told in bytes."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack("!IB4x", 0, 4)[1:]

    def handler(connection):
        while data := connection.recv(65536):
            connection.sendall(data)

    with Raw(handler) as server:
        watch = both(server)
        with connect(server.port) as c:
            c.sendall(preface)
            c.recv(1000)
            for _ in range(20):
                c.sendall(b"\0\0\x64\x01\x05\0\0\0\x01" + b"x" * 100)
                c.recv(1000)
        watch.expect({})
        told = unseen(watch.inbound.before, watch.outbound.after, "http2")
        check(told >= 20 * 109, f"{told} bytes of HTTP/2")


def test_other_protocols():
    """SMTP, a chat of lines, random bytes: nothing is counted."""
    talks = [(b"220 mail ESMTP\r\n", b"EHLO a\r\n"), (b"250 fine\r\n", b"GET lost\r\n"),
             (b"HELLO\n", b"POST office\n"), (os.urandom(500), os.urandom(500)),
             (base64.b64encode(os.urandom(300)), b"P"), (b"-ERR\r\n", b"AUTH x\r\n"),
             (b"Z\0\0\0\5I", b"Q"), (b"$5\r\n", b"*")]
    for said, heard in talks:
        def handler(connection, said=said):
            while connection.recv(65536):
                connection.sendall(said)

        with Raw(handler) as server:
            watch = both(server)
            with connect(server.port) as c:
                for _ in range(10):
                    c.sendall(heard)
                    c.recv(65536)
            watch.expect({})


if __name__ == "__main__":
    with Trimtab(ENV) as program:
        raise SystemExit(main([
            test_requests_cut_anywhere, test_responses_cut_anywhere, test_commands_cut_anywhere,
            test_bodies_like_requests, test_chunked_both_ways, test_continue, test_pipelined,
            test_every_read_call, test_every_write_call, test_answers_out_of_files, test_peeked,
            test_io_uring, test_two_threads_on_a_socket, test_duplicated_descriptors,
            test_reused_descriptors, test_process_for_each_connection,
            test_passed_to_another_process, test_half_closed, test_never_answered, test_ipv6,
            test_many_connections, test_long_polls, test_websocket, test_tls_is_unseen,
            test_http2_is_unseen, test_other_protocols]))
