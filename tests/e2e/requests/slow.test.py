#!/usr/bin/env python3
"""slow.test.py - samples of slow requests (GET /api/services/slow): what they were, and where their
time went, against what the kernel accounts to the server itself."""
import json
import os
import time

from common import ENV, Trimtab, check, main, near, until
from lib import LOAD, between, end, start
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
    check(0 <= s["disk_seconds"] <= s["blocked_seconds"] + 1e-3, f"disk of {s}")


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
        found = [s["duration_seconds"] for s in samples(server)]
        slow = [t for t in server.report() if t > 0.95 * SLOW_MS / 1000]
        check(min(found) >= SLOW_MS / 1000 and len(found) <= len(slow),
              f"samples of {found} s, the server took {slow}")


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


def stolen(cpu):
    """Seconds that the host of a virtual machine did not run this CPU: a task on it seems blocked."""
    with open("/proc/stat") as f:
        steal = next(line.split()[8] for line in f if line.startswith(f"cpu{cpu} "))
    return int(steal) / os.sysconf("SC_CLK_TCK")


def test_busy_on_a_contended_cpu():
    """Three others want the same CPU: what the kernel accounts to the server is in the sample."""
    cpu = max(os.sched_getaffinity(0))
    with Sleeper("spin.c") as server, Http(server.port) as c:
        os.sched_setaffinity(server.process.pid, {cpu})
        others = [start(LOAD, "spin", 60, "--cpu", cpu) for _ in range(3)]
        try:
            steal, (ran, waited) = stolen(cpu), schedstat(server.process.pid)
            began = time.monotonic()
            c.get("/spin?us=200000")  # by the clock; it has the CPU for a part of it
            took = time.monotonic() - began
            now_ran, now_waited = schedstat(server.process.pid)
            steal = stolen(cpu) - steal
        finally:
            for process in others:
                end(process)
        s = samples(server)[0]
        adds_up(s)
        outside = took - s["duration_seconds"] + 1e-3  # on the way to the server and back
        between("waited", s["run_queue_seconds"], now_waited - waited - outside,
                now_waited - waited + 1e-3)
        between("ran", s["cpu_seconds"], now_ran - ran - outside, now_ran - ran + 1e-3)
        check(s["run_queue_seconds"] > 0.3 * s["duration_seconds"], f"it did not wait: {s}")
        check(s["blocked_seconds"] < 0.02 + 2 * steal, f"blocked, {steal} s stolen: {s}")


def test_waiting_for_a_disk():
    """A sleep of at least 50 ms in the state in which tasks wait for disks, less what the task needed to
    get there while the other one slept already."""
    with Sleeper("spin.c") as server:
        with Http(server.port) as c:
            for _ in range(3):
                c.get("/vfork?us=50000")
        for s, took in zip(samples(server, 3), reversed(server.report())):
            adds_up(s)
            late = s["run_queue_seconds"] + s["cpu_seconds"]
            between("asleep", s["disk_seconds"], 0.05 - late, took)


if __name__ == "__main__":
    with Trimtab({**ENV, "TRIMTAB_REQUEST_SLOW_MS": str(SLOW_MS)}) as program:
        raise SystemExit(main([
            test_what_it_was, test_not_slow, test_asleep, test_busy_on_a_contended_cpu,
            test_waiting_for_a_disk]))
