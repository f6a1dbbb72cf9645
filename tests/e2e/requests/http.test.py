#!/usr/bin/env python3
"""http.test.py - every HTTP request, counted by the program as nginx, haproxy, wrk and the test's own
client count them: at the server, at its callers, and at a proxy in between."""
import re
import socket
import threading
from collections import Counter

from common import ENV, Both, Trimtab, Watch, check, main, read
from servers import Haproxy, Http, Nginx, Sleeper, head, output

WRK_S = 2
CONNECTIONS = 8


def wrk(port, path, *options):
    """How many responses wrk counted."""
    out = output("wrk", "-t", 2, "-c", CONNECTIONS, "-d", f"{WRK_S}s", *options,
                 f"http://127.0.0.1:{port}{path}")
    check("Non-2xx" not in out and "Socket errors" not in out, out)
    return int(re.search(r"(\d+) requests in", out)[1])


def compare_wrk(path, *options, depth=1):
    """wrk stops with requests under way: nginx says what arrived, wrk what came back."""
    both = Both(program, nginx.port, "http")
    was = nginx.requests()
    made = wrk(nginx.port, path, *options)
    nginx.settle()
    arrived = nginx.requests() - was - 1
    served, called = both.inbound.read(), both.outbound.read()
    for watch in (served, called):
        counts = {k[1:]: n for k, n in watch.counts().items()}
        check(set(counts) == {("GET /status", "ok"), (f"GET {path}", "ok")}, f"counted {counts}")
        check(counts["GET /status", "ok"] == 2, f"counted {counts}")
        watch.expect_timed((), False, watch.lost().get("in_flight", 0) if depth > 1 else 0)
    got = served.total() - 2
    under_way = CONNECTIONS * depth
    check(made > 1000 and arrived - made <= under_way, f"wrk {made}, nginx {arrived}")
    check(got + served.unanswered() == arrived,
          f"served {got} and {served.unanswered()} unanswered, nginx has {arrived}")
    check(arrived - got <= under_way, f"served {got}, nginx has {arrived}")
    # of what wrk had not read to its end the head may have come
    got = called.total() - 2
    check(made <= got <= made + CONNECTIONS, f"called {got}, wrk counts {made}")


def test_wrk():
    compare_wrk("/files/small.txt")


def test_wrk_without_sendfile():
    compare_wrk("/buffered/small.txt")


def test_wrk_pipelined():
    script = nginx.file("pipeline.lua", """
        init = function(args)
            local r = {}
            for i = 1, 16 do r[i] = wrk.format(nil, "/files/small.txt") end
            all = table.concat(r)
        end
        request = function() return all end
    """)
    compare_wrk("/files/small.txt", "-s", script, depth=16)


def drive(port, requests, connections=4):
    """Each connection makes all the requests, [(path, method, body)]; {class: responses}"""
    classes, failures = Counter(), []

    def work():
        try:
            with Http(port) as c:
                for path, method, body in requests:
                    classes[f"{c.get(path, method, body)[0] // 100}xx"] += 1
        except OSError as e:
            failures.append(e)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(connections)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(not failures, f"a client failed: {failures}")
    return dict(classes)


MIX = [("/fine/a", "GET", b"")] * 5 + [("/no/a", "GET", b"")] * 3 + [("/busy/a", "GET", b"")] * 2 + \
    [("/moved/a", "GET", b""), ("/no/a", "DELETE", b""), ("/fine/a", "POST", b"x" * 100)]


def test_errors():
    """404, 405 and 503 are errors, 302 is none: equal to what was provoked, by class too."""
    both = Both(program, nginx.port, "http")
    n = 4 * 100
    classes = drive(nginx.port, MIX * 100)
    check(classes == {"2xx": 6 * n, "3xx": n, "4xx": 4 * n, "5xx": 2 * n}, f"answers: {classes}")
    both.expect({"GET /fine/a": 5 * n, "GET /moved/a": n, "POST /fine/a": n},
                {"GET /no/a": 3 * n, "GET /busy/a": 2 * n, "DELETE /no/a": n})
    check(both.inbound.classes() == both.outbound.classes() == classes,
          f"classes {both.inbound.classes()} and {both.outbound.classes()}, must be {classes}")


def test_every_connection_new():
    both = Both(program, nginx.port, "http")
    for _ in range(300):
        with Http(nginx.port) as c:
            check(c.get("/fine/a", headers="Connection: close\r\n")[0] == 200, "no answer")
    for _ in range(100):  # HTTP/1.0, by which curl and old balancers ask
        with socket.create_connection(("127.0.0.1", nginx.port)) as s:
            s.sendall(b"GET /fine/a HTTP/1.0\r\n\r\n")
            check(s.makefile("rb").read().startswith(b"HTTP/1.1 200"), "no answer")
    both.expect({"GET /fine/a": 400})


def test_no_body():
    """HEAD and 304 name the length of a body that does not come, alone and pipelined."""
    both = Both(program, nginx.port, "http")
    with Http(nginx.port) as c:
        c.send(head("/files/small.txt"))
        status, headers = c.answer_head()
        c.file.read(int(headers["content-length"]))
        same = f"If-None-Match: {headers['etag']}\r\n"
        for _ in range(20):
            check(c.get("/files/small.txt", "HEAD")[0] == 200, "HEAD")
            check(c.get("/files/small.txt", headers=same)[0] == 304, "304")
        for _ in range(5):
            c.send(head("/files/small.txt", "HEAD") + head("/files/small.txt", headers=same)
                   + head("/files/small.txt") + head("/no/a", "HEAD") + head("/fine/a"))
            got = [c.answer(m)[0] for m in ("HEAD", "GET", "GET", "HEAD", "GET")]
            check(got == [200, 304, 200, 404, 200], f"answers: {got}")
    both.expect({"GET /files/small.txt": 1 + 20 + 10, "HEAD /files/small.txt": 25,
                 "GET /fine/a": 5}, {"HEAD /no/a": 5})
    classes = {"2xx": 1 + 20 + 15, "3xx": 25, "4xx": 5}
    check(both.inbound.classes() == classes, f"classes {both.inbound.classes()}")


def test_large_files():
    """1 MB by sendfile and by write, the response of many calls."""
    both = Both(program, nginx.port, "http")
    with Http(nginx.port) as c:
        for kind in ("files", "buffered"):
            for _ in range(20):
                check(len(c.get(f"/{kind}/large.bin")[1]) == 1 << 20, "not the whole file")
    both.expect({"GET /files/large.bin": 20, "GET /buffered/large.bin": 20})


def test_haproxy_between():
    """As many at the proxy as it makes of nginx, as many as nginx has: good ones and bad ones."""
    with Haproxy(nginx.port) as proxy:
        before = read(program)
        watches = [Watch(program, proxy.port, "http", "inbound", before),
                   Watch(program, nginx.port, "http", "outbound", before),
                   Watch(program, nginx.port, "http", "inbound", before)]
        n, was = 4 * 150, nginx.requests()
        check(drive(proxy.port, MIX * 150)["2xx"] == 6 * n, "answers")
        arrived = nginx.requests() - was - 1
    check(arrived == len(MIX) * n, f"nginx has {arrived}")
    ok = {"GET /fine/a": 5 * n, "GET /moved/a": n, "POST /fine/a": n}
    error = {"GET /no/a": 3 * n, "GET /busy/a": 2 * n, "DELETE /no/a": n}
    watches[0].expect(ok, error)
    for watch in watches[1:]:
        watch.expect({**ok, "GET /status": 2}, error)


def test_haproxy_splices():
    """The kernel moves the bodies from socket to socket, and HAProxy sees only the heads."""
    with Haproxy(nginx.port, defaults="option splice-response\noption splice-request") as proxy:
        before = read(program)
        served = Watch(program, proxy.port, "http", "inbound", before)
        called = Watch(program, nginx.port, "http", "outbound", before)
        with Http(proxy.port) as c:
            for _ in range(20):
                check(len(c.get("/files/large.bin")[1]) == 1 << 20, "not the whole file")
                check(c.get("/fine/a")[0] == 200, "no answer")
    for watch in (served, called):
        watch.expect({"GET /files/large.bin": 20, "GET /fine/a": 20})


def test_nginx_calls():
    """What nginx calls is its own outbound service, with the names that it uses there."""
    with Sleeper("sleep_asyncio.py") as behind, Nginx(upstream=behind.port) as proxy:
        before = read(program)
        served = Watch(program, proxy.port, "http", "inbound", before)
        called = Watch(program, behind.port, "http", "outbound", before)
        answered = Watch(program, behind.port, "http", "inbound", before)
        drive(proxy.port, [("/proxy/sleep?ms=1", "GET", b"")] * 50)
    served.expect({"GET /proxy/sleep": 200})
    for watch in (called, answered):
        watch.expect({"GET /sleep": 200})


if __name__ == "__main__":
    with Trimtab(ENV) as program, Nginx(workers=2) as nginx:
        raise SystemExit(main([
            test_wrk, test_wrk_without_sendfile, test_wrk_pipelined, test_errors,
            test_every_connection_new, test_no_body, test_large_files, test_haproxy_between,
            test_haproxy_splices, test_nginx_calls]))
