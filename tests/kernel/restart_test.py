#!/usr/bin/env python3
"""restart_test.py - kill -9 of the agent and of the keeper under load: no counter falls, no sample
is lost, the program recovers, and nothing stays behind.
"""
import os
import signal
import subprocess

from lib import (LOAD, Loop, Trimtab, alive, between, blocked_times, check, end, equal, falls, load,
                 main, risen, runs_of_init, start, until)

DURATION = "trimtab_syscall_duration_seconds"
BLOCKED = "trimtab_syscall_blocked_seconds"


def kill_agent(program):
    """Ends the agent and waits until the keeper has another one that answers."""
    pid = program.pid_of("agent")
    os.kill(pid, signal.SIGKILL)

    def recovered():
        try:
            status = program.status()
        except (OSError, ValueError, IndexError):
            return False
        return any(r["name"] == "agent" and r["running"] and r["pid"] != pid
                   for r in status["roles"])

    until("another agent", recovered)
    until("readiness", lambda: program.request("GET", "/readyz")[0] == 200)


def test_agent_killed_under_load():
    """Three kills while loads of every probe run: the sums at the end are exact."""
    n, sleeps = 3000000, 300
    with Trimtab() as program, Loop() as loop:
        before, runs = program.after(), runs_of_init()
        running = [
            start(LOAD, "call", "tee_bad", n, stdout=subprocess.DEVNULL),
            start(LOAD, "call", "nanosleep", sleeps, 5000, stdout=subprocess.DEVNULL),
            start(LOAD, "write", loop.path, 20000, 4096, "--direct", stdout=subprocess.DEVNULL),
        ]
        try:
            text = program.text()
            for _ in range(3):
                kill_agent(program)
                program.fresh()
                now = program.text()
                equal("counters that fell", falls(text, now), [])
                text = now
            for process in running:
                equal("status of a load", process.wait(120), 0)
        finally:
            for process in running:
                end(process)
        after, runs = program.after(), runs_of_init() - runs
        equal("tee", risen(before, after, DURATION, syscall="tee"), n)
        equal("nanosleep", risen(before, after, DURATION, syscall="nanosleep"), sleeps)
        blocked_times("blocked in nanosleep",
                      risen(before, after, BLOCKED, syscall="nanosleep"), sleeps, runs)
        writes = risen(before, after, "trimtab_block_io_duration_seconds", device=loop.name,
                       op="write", stage="device")
        between("writes", writes, 20000 - min(16, 4 * runs), 20000)
        equal("bytes", risen(before, after, "trimtab_block_io_bytes_total", device=loop.name,
                             op="write"), writes * 4096)
        restarts = next(r["restarts"] for r in program.status()["roles"] if r["name"] == "agent")
        equal("restarts", restarts, 3)


def test_load_while_no_agent_runs():
    """What is called between the end of one agent and the start of the next is counted."""
    with Trimtab() as program:
        before = program.after("trimtab_syscall_*")
        pid = program.pid_of("agent")
        os.kill(pid, signal.SIGKILL)
        load("call", "times", 12345)
        until("another agent", lambda: answers(program) and program.pid_of("agent") != pid)
        after = program.after("trimtab_syscall_*")
        equal("times", risen(before, after, DURATION, syscall="times"), 12345)


def answers(program):
    try:
        return program.request("GET", "/healthz")[0] == 200
    except OSError:
        return False


def bpf_programs():
    """Ids of the BPF programs whose names are ours."""
    done = subprocess.run(["bpftool", "prog", "show"], stdout=subprocess.PIPE, text=True,
                          check=False)
    return {line.split(":")[0] for line in done.stdout.splitlines()
            if "name syscall_enter" in line or "name sched_switched" in line}


def test_keeper_killed():
    """Its end is the end of all: no agent and no BPF program stays."""
    there = bpf_programs()
    with Trimtab() as program:
        agent = program.pid_of("agent")
        own = bpf_programs() - there
        os.kill(program.process.pid, signal.SIGKILL)
        program.process.wait(30)
        until("the agent to end", lambda: not alive(agent))
        check(own or not there, "no BPF program of this keeper was found")
        until("the BPF programs to be gone", lambda: not own & bpf_programs())


def test_terminated():
    """SIGTERM ends both, and the status is 0."""
    with Trimtab() as program:
        agent = program.pid_of("agent")
        program.process.terminate()
        equal("status", program.process.wait(30), 0)
        check(not alive(agent), "the agent outlived its keeper")


if __name__ == "__main__":
    raise SystemExit(main([test_agent_killed_under_load, test_load_while_no_agent_runs,
                           test_keeper_killed, test_terminated]))
