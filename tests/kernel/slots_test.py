#!/usr/bin/env python3
"""slots_test.py - bounded slots: cgroups, TCP ports. Who has one is counted exactly; who has not, or no
more, is in "other", and the sum is always what the node did.
"""
import contextlib
import os
import socket
import subprocess
import sys

from lib import (LOAD, Loop, Skip, Trimtab, between, check, end, in_own_network, load, main,
                 risen, start, until)

WAITS = "trimtab_cgroup_sched_waits_total"
IOS = "trimtab_cgroup_block_io_total"
IO_BYTES = "trimtab_cgroup_block_io_bytes_total"
OPENED = "trimtab_tcp_opened_total"
CGROUP_SLOTS = 128
PORTS = 128


def cgroup2():
    with open("/proc/self/mountinfo") as f:
        for line in f:
            left, right = line.split(" - ")
            if right.split()[0] == "cgroup2":
                return left.split()[4]
    raise Skip("no cgroup2 mount")


@contextlib.contextmanager
def cgroups(*names):
    paths = [os.path.join(cgroup2(), f"trimtab-test-{os.getpid()}-{name}") for name in names]
    made = []
    try:
        for path in paths:
            os.mkdir(path)
            made.append(path)
        yield paths
    finally:
        for path in made:
            until(f"{path} is empty", lambda: not open(path + "/cgroup.procs").read())
            os.rmdir(path)


def start_in(path, *command, **options):
    """A process that joins the cgroup before it runs the command."""
    join = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
    return start("sh", "-c", join, path, *command, **options)


def run_in(path, *command):
    process = start_in(path, *command, stdout=subprocess.DEVNULL)
    check(process.wait(60) == 0, f"{command[0]} ended with {process.returncode}")


def label(path):
    return "/" + os.path.basename(path)


def total(series, name, **labels):
    return sum(m["value"] for m in series.having(name, **labels))


def has_slot(path):
    return program.after().having(WAITS, cgroup=label(path))


def test_cgroup_has_its_account():
    with cgroups("io") as [path], Loop() as loop:
        busy = start_in(path, LOAD, "sleep", 1000000, 1, stdout=subprocess.DEVNULL)
        try:
            until("the cgroup has a slot", lambda: has_slot(path))
        finally:
            end(busy)
        before = program.after()
        run_in(path, LOAD, "write", loop.path, 300, 4096, "--direct")
        run_in(path, LOAD, "sleep", 200, 1)
        after = program.after()
        # and what reading the programs themselves from the disk took
        between("requests", risen(before, after, IOS, cgroup=label(path)), 300, 350)
        between("MiB", risen(before, after, IO_BYTES, cgroup=label(path)) / 2**20, 300 / 256, 20)
        waits = risen(before, after, WAITS, cgroup=label(path))
        check(waits >= 200, f"{waits} waits for a CPU, of 200 sleeps at least")


def test_cgroups_sum_up():
    """The accounts are read a moment after the node's histogram, so they may be ahead of it."""
    series = program.after()
    node = series.count("trimtab_sched_wait_seconds")
    accounts = total(series, WAITS)
    check(node <= accounts <= node * 1.001 + 100, f"{accounts} waits of cgroups, {node} of the node")


def test_busiest_cgroup_gets_a_slot():
    """More cgroups than slots, then one more that is busier than they are."""
    names = [f"{i:03}" for i in range(CGROUP_SLOTS + 8)] + ["late"]
    with cgroups(*names) as paths:
        running = []
        try:
            for path in paths[:-1]:
                running.append(start_in(path, LOAD, "sleep", 100000, 50, stdout=subprocess.DEVNULL))
            until("most slots are leased and have a few waits each",
                  lambda: total(program.after(), WAITS) >= 20000 and
                  len(program.series(WAITS).having(WAITS)) >= CGROUP_SLOTS - 16, 60)
            running.append(start_in(paths[-1], LOAD, "sleep", 1000000, 1, stdout=subprocess.DEVNULL))
            until("the busiest one has a slot", lambda: has_slot(paths[-1]), 60)
        finally:
            for process in running:
                end(process)
        test_cgroups_sum_up()


def connect_once():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            listener.accept()[0].close()


def test_ports_are_taken_back():
    """Many ports once: those beyond the slots are in "other" at once, the silent ones later."""
    before = {d: total(program.after(), OPENED, direction=d) for d in ("inbound", "outbound")}
    own = 200
    for _ in range(own):
        connect_once()
    series = program.after()
    for direction, was in before.items():
        rise = total(series, OPENED, direction=direction) - was
        check(rise >= own, f"{rise} {direction} connections, {own} were made")
    other = series.value(OPENED, direction="inbound", port="other")
    check(other >= own - PORTS, f"{other} inbound connections in other")

    def silent_ports_are_gone():
        now = program.after()
        return all(now.value(OPENED, direction=d, port="other") >= own - 10 for d in before)

    until("the silent ports' slots are taken back", silent_ports_are_gone, 90)


if __name__ == "__main__":
    in_own_network()
    with Trimtab({"TRIMTAB_TCP_SWEEP_MS": "100"}) as program:
        sys.exit(main([test_cgroup_has_its_account, test_cgroups_sum_up,
                       test_busiest_cgroup_gets_a_slot, test_ports_are_taken_back]))
