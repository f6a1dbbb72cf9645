#!/usr/bin/env python3
"""slow.test.py - samples of slow requests (GET /api/services/slow): what they were, and where their
time went, against what the kernel accounts to the server itself."""
import json
import os
import time

from common import ENV, Trimtab, check, main, near, until
from lib import LOAD, Loop, aligned, end, start
from raw import Raw, response, to_end_of
from servers import Http, Sleeper

SLOW_MS = 20


def samples(server, n=1):
    """At least so many of a server's, the newest first."""
    def found():
        all_of_them = json.loads(program.get("/api/services/slow?limit=256"))["slow"]
        mine = [s for s in all_of_them if s["service"].endswith(f":{server.port}")
                and s["pid"] != os.getpid()]
        return len(mine) >= n and mine

    return until(f"{n} samples", found)


def adds_up(s):
    parts = s["run_queue_seconds"] + s["cpu_seconds"] + s["blocked_seconds"]
    near("the parts", parts, s["duration_seconds"], 1e-4)
    check(0 <= s["disk_seconds"] <= s["blocked_seconds"] + 1e-4, f"disk of {s}")


def test_what_it_was():
    """The peer, the bytes, the process, the operation and the time."""
    with Sleeper("sleep_single.py") as server, Http(server.port) as c:
        request = b"GET /sleep?ms=40 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        c.send(request)
        answer = c.answer()
        at = time.time()
        s = samples(server)[0]
        check(answer == (200, b"slept\n"), f"answer {answer}")
        near("the duration", s["duration_seconds"], server.report()[0])
        host, port = c.socket.getsockname()
        want = {"operation": "GET /sleep", "outcome": "ok", "peer": f"{host}:{port}",
                "request_bytes": len(request), "pid": server.process.pid,
                "response_bytes": len("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nslept\n")}
        check({k: s[k] for k in want} == want, f"{s}, must be {want}")
        check(abs(s["at"] - at) < 1, f"answered at {s['at']}, now it is {at}")


def test_not_slow():
    """What is quicker than the threshold is no sample."""
    with Sleeper("sleep_single.py") as server, Http(server.port) as c:
        for ms in (1, 5, 10, 2 * SLOW_MS):
            c.get(f"/sleep?ms={ms}")
        found = samples(server)
        check(len(found) == 1 and found[0]["duration_seconds"] > 0.04, f"samples {found}")


def test_asleep():
    with Sleeper("sleep_single.py") as server, Http(server.port) as c:
        for _ in range(3):
            c.get("/sleep?ms=50")
        for s in samples(server, 3):
            adds_up(s)
            check(s["blocked_seconds"] > 0.9 * s["duration_seconds"] and s["disk_seconds"] < 0.005,
                  f"not asleep: {s}")


def schedstat(pid):
    """Seconds that it ran, and that it waited for a CPU."""
    with open(f"/proc/{pid}/schedstat") as f:
        return [int(word) / 1e9 for word in f.read().split()[:2]]


def test_busy_on_a_contended_cpu():
    """Three others want the same CPU: what the kernel accounts to the server is in the sample."""
    cpu = max(os.sched_getaffinity(0))
    with Sleeper("spin.c") as server, Http(server.port) as c:
        os.sched_setaffinity(server.process.pid, {cpu})
        others = [start(LOAD, "spin", 60, "--cpu", cpu) for _ in range(3)]
        try:
            # it spins by the clock: 200 ms, of which it has the CPU for a part
            ran, waited = schedstat(server.process.pid)
            c.get("/spin?us=200000")
            now_ran, now_waited = schedstat(server.process.pid)
        finally:
            for process in others:
                end(process)
        s = samples(server)[0]
        adds_up(s)
        # a switch between the reading of the request and that of the file
        near("waited", s["run_queue_seconds"], now_waited - waited, 0.01)
        near("ran", s["cpu_seconds"], now_ran - ran, 0.005)
        check(s["run_queue_seconds"] > 0.3 * s["duration_seconds"], f"it did not wait: {s}")
        check(s["blocked_seconds"] < 0.02, f"blocked: {s}")


def test_waiting_for_a_disk():
    """A server that reads from a device directly: the calls' own time is a bound."""
    with Loop(mib=64, direct=True) as loop:
        times = []

        def handler(connection):
            fd, buffer = os.open(loop.path, os.O_RDONLY | os.O_DIRECT), aligned(1 << 20)
            while to_end_of(connection):
                began = time.perf_counter()
                at = 0
                while time.perf_counter() - began < 0.06:
                    os.preadv(fd, [buffer], at % (64 << 20))
                    at += 1 << 20
                times.append(time.perf_counter() - began)
                connection.sendall(response())
            os.close(fd)

        with Raw(handler) as server, Http(server.port) as c:
            c.get("/disk")
            s = samples(server)[0]
        adds_up(s)
        check(s["disk_seconds"] <= times[0], f"{s}, all reads took {times[0]}")
        check(s["disk_seconds"] > 0.3 * times[0], f"{s}, all reads took {times[0]}")


if __name__ == "__main__":
    with Trimtab({**ENV, "TRIMTAB_REQUEST_SLOW_MS": str(SLOW_MS)}) as program:
        raise SystemExit(main([
            test_what_it_was, test_not_slow, test_asleep, test_busy_on_a_contended_cpu,
            test_waiting_for_a_disk]))
