#!/usr/bin/env python3
"""slots.test.py - more services than there are slots: those without one are in "other", those that
fell silent give theirs back, and the sum over all is always what was made."""
import contextlib
import os
import socket
import subprocess
import sys

from common import ENV, HERE, REQUESTS, Skip, Trimtab, check, main, read, until
from lib import end, free_port, start

SLOTS = 120
PORTS = 100  # each is a service of the server's and one of its clients'
FRESH = 20
KEPT = 5  # requests on the connection that stays
LOOKS_S = 60


def cgroup2():
    with open("/proc/self/mountinfo") as f:
        for line in f:
            left, right = line.split(" - ")
            if right.split()[0] == "cgroup2":
                return left.split()[4]
    raise Skip("no cgroup2 mount")


@contextlib.contextmanager
def unit(parent, name):
    """A cgroup named as systemd does."""
    above = os.path.join(cgroup2(), f"trimtab-test-{os.getpid()}-{parent}")
    path = os.path.join(above, name)
    os.makedirs(path)
    try:
        yield path
    finally:
        until(f"{path} is empty", lambda: not open(path + "/cgroup.procs").read())
        os.rmdir(path)
        os.rmdir(above)


@contextlib.contextmanager
def server(n, port=0, group=None):
    """The ports of a server that answers everything."""
    join = 'if [ -n "$0" ]; then echo $$ >"$0/cgroup.procs"; fi; exec "$@"'
    process = start("sh", "-c", join, group or "", sys.executable,
                    os.path.join(HERE, "servers", "ports.py"), n, port,
                    stdout=subprocess.PIPE, text=True)
    try:
        yield [int(word) for word in process.stdout.readline().split()]
    finally:
        end(process)


def ping(connection):
    connection.sendall(b"*1\r\n$4\r\nPING\r\n")
    check(connection.recv(99) == b"+PONG\r\n", "not answered")


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 10)


def ask(port):
    with connect(port) as connection:
        ping(connection)


def counts(reading, port=None, direction="inbound"):
    """Requests of Redis' protocol, which nobody else speaks here, of one port or all."""
    return sum(m["value"] for m in reading.having(REQUESTS, direction=direction, protocol="redis")
               if port is None or m["labels"]["service"].endswith(f":{port}"))


def named(reading):
    return {(m["labels"]["service"], m["labels"]["direction"]) for m in reading.having(REQUESTS)
            if m["labels"]["service"] != "other"}


def rises_to(what, value, want):
    until(f"{what} to be {want}", lambda: value() == want, 10)


def test_slots_come_back():
    before = {d: counts(read(program), direction=d) for d in ("inbound", "outbound")}
    made = 0

    def all_counted():
        after = read(program)
        return {d: counts(after, direction=d) - n for d, n in before.items()}

    with unit("first", "again.service") as group, server(1, again, group):
        ask(again)
        until("the unit's name", lambda: (f"again:{again}", "inbound") in named(read(program)))
    with unit("second", "again.service") as group, server(1, again, group), \
            server(PORTS) as ports, connect(ports[0]) as kept, connect(again) as stays:
        ping(stays)
        ping(kept)
        made += 3
        rises_to("the unit that was restarted",
                 lambda: counts(read(program), again), 2)
        for port in ports:
            ask(port)
        made += PORTS
        rises_to("all", all_counted, {"inbound": made, "outbound": made})
        crowd = named(read(program))
        check(len(crowd) == SLOTS - 1, f"{len(crowd)} have a name, must be {SLOTS} but one twice")

        # what was folded is in a slot of the same name, or in "other"
        lowest = made

        def is_quiet():
            nonlocal lowest
            after = read(program)
            lowest = min(lowest, counts(after) - before["inbound"])
            return len(named(after)) <= SLOTS / 4
        until("the silent to give their slots back", is_quiet, LOOKS_S)
        check(lowest == made, f"the sum fell to {lowest} of {made}")
        after = read(program)
        check(counts(after, again) == 2, f"of the unit {counts(after, again)} are left, must be 2")

        for _ in range(KEPT):
            ping(kept)
        made += KEPT
        rises_to("what the connection that stayed served",
                 lambda: counts(read(program), ports[0]), 1 + 1 + KEPT)
        with server(FRESH) as fresh:
            for port in fresh:
                ask(port)
            made += FRESH
            rises_to("all", all_counted, {"inbound": made, "outbound": made})
            after = read(program)
            missing = [p for p in fresh if counts(after, p) != 1]
            check(not missing, f"without a slot of their own: {missing}")


if __name__ == "__main__":
    again = free_port()
    with Trimtab({**ENV, "TRIMTAB_TCP_SWEEP_MS": "100"}) as program:
        raise SystemExit(main([test_slots_come_back]))
