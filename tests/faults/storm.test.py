#!/usr/bin/env python3
"""storm.test.py - many clients, wrong requests, reloads and killed agents at once: it goes on serving,
no counter falls, and its memory and descriptors stay bounded. STORM_REQUESTS makes it longer."""
import os
import random
import signal
import socket
import sys
import threading
from collections import Counter

from program import DEADLINE_S, check, children, free_port, is_sanitized, main, wait_for

REQUESTS = int(os.environ.get("STORM_REQUESTS", "3000"))
CLIENTS = 8
PATHS = ["/", "/app.js", "/app.css", "/metrics", "/metrics?classic=1", "/api/status", "/api/metrics",
         "/api/metrics?format=csv", "/api/metrics?format=prometheus&match=trimtab_*", "/api/metrics?limit=-1",
         "/api/metrics?match=" + "%2A" * 60, "/healthz", "/readyz", "/api/openapi.json", "/nowhere",
         "/api/metrics?limit=2&after=%00%ff", "/%2e%2e/etc/passwd", "/" + "a" * 3000]
ACCEPTS = ["*/*", "application/openmetrics-text;version=1.0.0", "text/html;q=0.1, ,;;q=",
           "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"]
BROKEN = [b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 400, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000,
          b"POST /api/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nx",
          b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
          b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"GET /met", b"\x16\x03\x01\x02\x00\x01\x00"]


def good_request(random_):
    return (f"{random_.choice(['GET', 'GET', 'GET', 'HEAD', 'POST', 'DELETE'])} {random_.choice(PATHS)} HTTP/1.1\r\n"
            f"Host: localhost\r\nAccept: {random_.choice(ACCEPTS)}\r\nContent-Length: 0\r\n"
            f"Connection: close\r\n\r\n").encode()


def connect(port):
    """Refused while the agent is started anew; then again."""
    def one():
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        except ConnectionRefusedError:
            return None
    return wait_for("a connection", one)


def client(port, seed, count, answers):
    """Notes the start of each answer; what is broken is left after a moment, some others in the middle."""
    random_ = random.Random(seed)
    for _ in range(count):
        broken = random_.random() < 0.2
        got = b""
        try:
            with connect(port) as s:
                s.sendall(random_.choice(BROKEN) if broken else good_request(random_))
                s.settimeout(0.1 if broken else DEADLINE_S)
                while random_.random() > 0.02:
                    more = s.recv(65536)
                    if not more:
                        break
                    got = got or more[:12]
        except OSError as e:
            got = got or str(e).encode()
        answers.append(got)


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_storm(t):
    port = free_port()
    path = t.file("trimtab.yaml", "syscall:\n  mode: windows\n")
    program = t.run("--config", path, listen=f"127.0.0.1:{port}")
    program.ready()
    before, keeper_fds = program.counters(), len(os.listdir(f"/proc/{program.pid}/fd"))
    answers, clients = [], []
    for i in range(CLIENTS):
        clients.append(threading.Thread(target=client, args=(port, i, REQUESTS // CLIENTS, answers)))
        clients[-1].start()
    for part, mode in enumerate(("exact", "blocked", "windows")):
        share = REQUESTS * (part + 1) // 4
        wait_for(f"{share} requests", lambda: len(answers) >= share, 600)
        t.file("trimtab.yaml", f"syscall:\n  mode: {mode}\n")
        program.process.send_signal(signal.SIGHUP)
        program.wait_line("configuration reloaded", part + 1)
        if part != 1:
            for pid in children(program.pid):
                os.kill(pid, signal.SIGKILL)
    for c in clients:
        c.join(600)
    wait_for("it to be ready", lambda: program.get("/readyz")[0] == 200)
    answered = sum(1 for a in answers if a.startswith(b"HTTP/1."))
    check(answered > REQUESTS * 0.8, f"only {answered} of {len(answers)} were answered:", Counter(answers).most_common(12))
    after = program.counters()
    fallen = [n for n, v in before.items() if n in after and after[n] < v]
    check(not fallen, "fell:", fallen[:5])
    agent = program.agent()
    wait_for("the connections to be closed", lambda: len(os.listdir(f"/proc/{agent['pid']}/fd")) < 120)
    check(len(os.listdir(f"/proc/{program.pid}/fd")) <= keeper_fds + 4, "the keeper's descriptors grow")
    if not is_sanitized():
        for pid in (program.pid, agent["pid"]):
            check(resident_kb(pid) < 40000, pid, "has", resident_kb(pid), "KiB resident")
    check(program.stop() == 0, program.log())


if __name__ == "__main__":
    sys.exit(main(globals()))
