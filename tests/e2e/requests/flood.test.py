#!/usr/bin/env python3
"""flood.test.py - more connections than may be followed: the busy ones that were there before go on
being counted, the others are told as lost, memory stays within its bound, and when the flood has
ended, new connections are followed again. Both ways of seeing requests.

The test talks to the program on a kept connection, so that its own requests take no room.
"""
import http.client
import os
import tempfile
import threading

from common import ENV, LOST, ROOT, Both, Failed, Trimtab, check, main, until
from lib import DEADLINE_S, end, free_port, start
from servers import Http, Nginx, Redis, output, resp, stats_risen

ROOM, FLOOD, PAIRS = 2000, 6000, 2
BUSY = 8  # connections, each a thread
PIPELINE = 10
BYTES = "trimtab_map_bytes"
CONNECTION_BYTES = 512
CENSUS_S = 30  # it counts the connections that are left every 10 s
NEW = 50


class Kept(Trimtab):
    """The program, asked on a kept connection."""

    def __init__(self, way):
        super().__init__({**ENV, "TRIMTAB_REQUEST_WAY": way,
                          "TRIMTAB_REQUEST_CONNECTIONS": str(ROOM)})
        self.connection = None

    def request(self, method, path, token=None):
        if self.connection:
            try:
                return self.ask(method, path)
            except (http.client.HTTPException, OSError):
                pass  # it was idle for too long
        self.connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)
        return self.ask(method, path)

    def ask(self, method, path):
        self.connection.request(method, path)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def followed(self):
        """How many connections there is memory for, at the last census."""
        return self.series(BYTES).value(BYTES, map="request_connections") // CONNECTION_BYTES

    def lost(self):
        return self.series(LOST).value(LOST, probe="request", reason="connections_full")


class Busy:
    """Clients of a Redis that ask all the time; each has asked before the flood, for
    a connection is followed from its first request on."""

    def __init__(self, redis):
        self.clients = [redis.client() for _ in range(BUSY)]
        for client in self.clients:
            client.call("SET", "busy", "x")
        self.ended, self.failures = threading.Event(), []
        self.threads = [threading.Thread(target=self.run, args=(c,), daemon=True)
                        for c in self.clients]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        try:
            while not self.ended.is_set():
                client.send(resp("GET", "busy") * PIPELINE + resp("SET", "busy", "x" * 50))
                for _ in range(PIPELINE + 1):
                    client.answer()
        except Exception as e:  # told to the test when it ends
            self.failures.append(e)

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(DEADLINE_S)
        for c in self.clients:
            c.__exit__()
        check(not self.failures, f"a client failed: {self.failures}")


class Flood:
    def __init__(self, directory):
        built = os.path.join(directory, "flood")
        output("gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-o", built,
               os.path.join(ROOT, "tests/helpers/flood.c"))
        self.port = free_port()
        self.command = [built, self.port, FLOOD, PAIRS]
        self.process = None

    def round(self):
        """One request on each connection, the first time on new ones; those answered so far."""
        if self.process:
            self.process.stdin.write("again\n")
            self.process.stdin.flush()
        else:
            self.process = start(*self.command, stdin=-1, stdout=-1, text=True)
        answered = self.process.stdout.readline()
        check(answered, "the flood failed")
        return int(answered)

    def end(self):
        self.process.stdin.close()
        check(self.process.wait(DEADLINE_S) == 0, "the flood failed")


def drown(program, flood):
    """What the flood's servers answered is counted or lost, on each of its two ends."""
    both, lost = Both(program, flood.port, "http"), program.lost()
    flood.round()
    answered = flood.round()
    check(answered == 2 * FLOOD, f"{answered} were answered")

    def missing():
        return 2 * answered - sum(w.read().total() for w in (both.inbound, both.outbound))

    def told():  # other programs of the node may lose some, too
        return 0 < missing() <= program.lost() - lost

    try:
        until("the loss", told)
    except Failed as e:
        raise Failed(f"{e}: {missing()} missing, {program.lost() - lost} lost") from e
    check(missing() >= 2 * (2 * FLOOD - ROOM), f"{missing()} missing, followed more than {ROOM}")


def flood_and_after(way):
    with tempfile.TemporaryDirectory() as directory, Kept(way) as program, Redis() as redis, \
            Nginx() as nginx:
        flood = Flood(directory)
        with redis.client() as control:
            before = redis.stats(control)
            both = Both(program, redis.port, "redis")
            busy = Busy(redis)
            try:
                drown(program, flood)
                until("the census", lambda: program.followed() > ROOM // 2, CENSUS_S)
                most = ROOM + os.cpu_count()  # each may be the last one at the same moment
                check(program.followed() <= most, f"{program.followed()} connections followed")
            finally:
                busy.end()
            ok, error = stats_risen(before, redis.stats(control))
            check(not error and ok["GET"] == PIPELINE * (ok["SET"] - BUSY), f"Redis did {ok} {error}")
            both.expect(ok)
        flood.end()
        until("the census after it", lambda: program.followed() < ROOM // 2, CENSUS_S)
        new = Both(program, nginx.port, "http")
        for _ in range(NEW):
            with Http(nginx.port) as c:
                check(c.get("/fine/new")[0] == 200, "no answer")
        new.expect({"GET /fine/new": NEW})


def test_flood_in_sockets():
    flood_and_after("socket")


def test_flood_in_packets():
    flood_and_after("packet")


if __name__ == "__main__":
    raise SystemExit(main([test_flood_in_sockets, test_flood_in_packets]))
