#!/usr/bin/env python3
"""packet_test.py - requests as they are seen in packets (request.way: packet), in a network namespace
of its own: counts and outcomes exactly, also where packets are lost and sent again.

The truth is what the load maker's server and client agree on. Losses are made by nft rules.
"""
import subprocess

from lib import (EXACT, LOAD, Failed, Missing, Trimtab, between, check, end, equal, in_own_network,
                 load, main, run, start, until)

REQUESTS = "trimtab_requests_total"
DURATION = "trimtab_request_duration_seconds"
UNANSWERED = "trimtab_requests_unanswered_total"
LOST = "trimtab_lost_total"
ENV = {**EXACT, "TRIMTAB_REQUEST_WAY": "packet", "TRIMTAB_SYSCALL_MODE": "blocked"}

V4, V6 = "127.0.0.1", "::1"
DIRECTIONS = ("inbound", "outbound")
ports = iter(range(18001, 18999))
program = None


class Server:
    """The load maker's, for so many connections; what was asked of it, and what of that was seen."""

    def __init__(self, protocol, connections, address=V4, options=()):
        self.protocol, self.address, self.port = protocol, address, next(ports)
        self.ok = self.errors = self.cut = 0
        self.before = program.after()
        self.after = None
        self.process = start(LOAD, "serve", protocol, address, self.port, connections, *options,
                             stdout=subprocess.PIPE, text=True)
        check(self.process.stdout.readline().startswith("ready"), "the server is not ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)

    def ask(self, n, *options):
        done = load("ask", self.protocol, self.address, self.port, n, "--timeout", 60000, *options)
        self.ok += done["ok"]
        self.errors += done["errors"]
        self.cut += done["cut"]

    def rise(self, metric, direction, **labels):
        """Of this server's series of a metric, those with these labels."""
        mine = f":{self.port}"
        total = 0
        for sign, reading in ((1, self.after), (-1, self.before)):
            for m in reading.having(metric, direction=direction, **labels):
                if m["labels"]["service"].endswith(mine):
                    total += sign * (m["count"] if metric == DURATION else m["value"])
        return total

    def lost(self, reason):
        return (self.after.value(LOST, probe="request", reason=reason)
                - self.before.value(LOST, probe="request", reason=reason))

    def read(self):
        self.after = program.after()
        return self

    def counted(self, direction):
        return {"ok": self.rise(REQUESTS, direction, outcome="ok"),
                "errors": self.rise(REQUESTS, direction, outcome="error"),
                "timed": self.rise(DURATION, direction),
                "cut": self.rise(UNANSWERED, direction)}

    def expect_all(self):
        """All requests were counted, with their outcome, and timed."""
        want = {"ok": self.ok, "errors": self.errors, "timed": self.ok + self.errors,
                "cut": self.cut}
        self.read()
        for direction in DIRECTIONS:
            got = self.counted(direction)
            if any(got[k] < want[k] for k in want):  # see whole()
                raise Missing(f"{direction}: counted {got}, asked {want}")
            equal(direction, got, want)


class Loss:
    """Every nth packet to or from a server is dropped before its socket sees it."""

    def __init__(self, server, nth):
        self.server, self.nth = server, nth

    def __enter__(self):
        run("nft", "add", "table", "inet", "loss")
        run("nft", "add", "chain", "inet", "loss", "in", "{ type filter hook input priority 0; }")
        for side in ("dport", "sport"):
            run("nft", "add", "rule", "inet", "loss", "in", "tcp", side, self.server.port,
                "meta", "length", ">", 56, "numgen", "inc", "mod", self.nth, "==", 0,
                "counter", "drop")
        return self

    def count(self):
        words = run("nft", "list", "chain", "inet", "loss", "in").split()
        return sum(int(words[i + 1]) for i, word in enumerate(words) if word == "packets")

    def __exit__(self, *_):
        run("nft", "delete", "table", "inet", "loss")


def test_way():
    status = program.status()
    equal("the way", status["requests"]["way"], "packet")
    equal("the probe", next(p["state"] for p in status["probes"] if p["name"] == "request"),
          "attached")


def asked(protocol, address):
    with Server(protocol, 5, address) as server:
        server.ask(500, "--connections", 2, "--fail", 10, "--cut")
        server.ask(800, "--connections", 2, "--fail", 10, "--cut", "--pipeline", 16)
        server.ask(20, "--bytes", 100000)
        server.expect_all()


def test_redis():
    asked("redis", V4)


def test_redis_ipv6():
    asked("redis", V6)


def test_http():
    asked("http", V4)


def test_http_ipv6():
    asked("http", V6)


def test_bytes_before_the_socket():
    """With TCP_DEFER_ACCEPT the first segment with payload makes the connection."""
    for protocol, address in (("http", V4), ("http", V6), ("redis", V4)):
        with Server(protocol, 41, address, ("--defer",)) as server:
            server.ask(2, "--connections", 20)
            server.ask(1, "--connections", 20, "--bytes", 3000)
            server.ask(10, "--pipeline", 10)
            server.expect_all()


def test_names():
    """The task that sends is known, though no packet says so."""
    with Server("redis", 1) as server:
        server.ask(10)
        server.expect_all()
        for direction in DIRECTIONS:
            services = {m["labels"]["service"] for m in server.after.having(REQUESTS, direction=direction)
                        if m["labels"]["service"].endswith(f":{server.port}")}
            equal(direction, services, {f"load:{server.port}"})


def test_sent_again():
    """A request or an answer of one segment that is lost only comes later."""
    with Server("redis", 1) as server, Loss(server, 50) as loss:
        server.ask(500, "--fail", 10)
        check(loss.count() > 5, "nothing was lost")
        server.expect_all()
        equal("lost", server.lost("gap"), 0)


def test_gaps():
    """Of requests and answers of many segments some are missed: they are left out and counted, and
    those after them are seen."""
    for protocol in ("redis", "http"):
        with Server(protocol, 2) as server, Loss(server, 60) as loss:
            server.ask(150, "--bytes", 200000, "--connections", 2)
            drops, gaps = loss.count(), server.read().lost("gap")
            check(drops > 5, "nothing was lost")
            for direction in DIRECTIONS:
                got = server.counted(direction)
                # each gap is one request; of some the answer is missed, too
                between(f"{direction} counted", got["ok"], server.ok - 2 * gaps, server.ok)
                equal(f"{direction} timed", got["timed"], got["ok"])
            between("gaps", gaps, 0, drops)


def test_flood():
    """What is followed already goes on when there is no room for more."""
    held, n = 1500, 2000
    with Trimtab({**ENV, "TRIMTAB_REQUEST_CONNECTIONS": "1024"}) as small:
        port = next(ports)
        other = start(LOAD, "listen", V4, port, held, stdout=subprocess.PIPE, text=True)
        client = flood = None
        with Server("redis", 1, options=("--delay", 1)) as server:
            try:
                server.before = small.after()
                client = start(LOAD, "ask", "redis", V4, server.port, n, "--timeout", 60000,
                               stdout=subprocess.PIPE, text=True)
                until("the first requests", lambda: reading(small, server) > 0)
                check(other.stdout.readline().startswith("ready"), "the listener is not ready")
                flood = start(LOAD, "connect", V4, port, held, "--bytes", 100, "--hold", 1000,
                              stdout=subprocess.PIPE, text=True)
                check(client.wait(60) == 0 and flood.wait(60) == 0, "a load failed")
                check(reading(small, server) == n, f"counted {reading(small, server)} of {n}")
                check(server.lost("connections_full") >= held - 1024, "no loss is counted")
            finally:
                for process in filter(None, (client, flood, other)):
                    end(process)


def reading(small, server):
    server.after = small.after()
    return server.rise(REQUESTS, "inbound", outcome="ok")


if __name__ == "__main__":
    in_own_network()
    with Trimtab(ENV) as program:
        raise SystemExit(main([test for name, test in list(globals().items())
                               if name.startswith("test_")]))
