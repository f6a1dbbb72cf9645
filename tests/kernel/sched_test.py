#!/usr/bin/env python3
"""sched_test.py - run queue, context switches and uninterruptible sleep against the kernel's own
account of the same tasks.

What trimtab counts is the whole node's, so a test holds it against what its own tasks had, from
below exactly, and from above by the account that the kernel keeps of all CPUs or of all tasks.
"""
import glob
import os
import shutil
import signal
import subprocess
import time

from lib import (EXACT, LOAD, STEP, Loop, Skip, Trimtab, between, buckets_risen, check, end, equal,
                 load, main, retry, risen, start, sum_risen)

WAIT = "trimtab_sched_wait_seconds"
SWITCHES = "trimtab_sched_switches_total"
ASLEEP = "trimtab_sched_uninterruptible_seconds"


def all_run_delays():
    """Seconds that each living task of the node has waited for a CPU, by thread id."""
    delays = {}
    for path in glob.iglob("/proc/[0-9]*/task/[0-9]*"):
        try:
            with open(path + "/schedstat") as f:
                delay_ns = int(f.read().split()[1])
            delays[os.path.basename(path)] = delay_ns / 1e9
        except OSError:
            pass  # it has ended
    return delays


def all_switches():
    with open("/proc/stat") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("ctxt"))


def run_delay_s(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[1]) / 1e9


def switches_of(pid):
    counts = {}
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if "ctxt_switches" in line:
                name, n = line.split()
                counts[name.split("_")[0]] = int(n)
    return counts


def contend(seconds):
    """Two spinning programs and one that sleeps 5 ms at a time, all on the last CPU; returns the
    readings before and after, what the kernel says that these waited in between, and what it said
    of all tasks of the node: before the first reading, after it, before the last and after it."""
    cpu = os.cpu_count() - 1
    spins = [start(LOAD, "spin", 60, "--cpu", cpu) for _ in range(2)]
    sleeper = start(LOAD, "call", "nanosleep", 1000000, 5000, "--cpu", cpu)
    pids = [p.pid for p in (*spins, sleeper)]
    try:
        tasks = [all_run_delays()]
        before = program.after("trimtab_sched_*")
        tasks.append(all_run_delays())
        was = [run_delay_s(pid) for pid in pids]
        load("call", "nanosleep", 1, int(seconds * 1e6))
        now = [run_delay_s(pid) for pid in pids]
        tasks.append(all_run_delays())
        after = program.after("trimtab_sched_*")
        tasks.append(all_run_delays())
    finally:
        for process in (*spins, sleeper):
            end(process)
    return before, after, sum(now) - sum(was), tasks


def test_wait_of_own_tasks():
    """At least what three tasks that share a CPU waited, most of it in milliseconds at a time."""
    before, after, own_s, _ = contend(2)
    check(own_s > 1, f"the tasks waited only {own_s} s: no contention was made")
    got = sum_risen(before, after, WAIT)
    check(got >= own_s - 0.02, f"waited {got} s, three tasks alone {own_s} s")
    buckets = buckets_risen(before, after, WAIT)
    # what the sleeper and the spinning ones had: slices of 1 ms and more
    long_s = sum(n * edge for edge, n in buckets.items() if edge > 0.0005)
    check(long_s >= 0.9 * own_s, f"only {long_s} s in waits of more than 0.5 ms, of {own_s} s")


def test_wait_of_all_tasks():
    """The sum is what the kernel accounts to all tasks of the node; those that ended in between are
    missing from its account, so there is more room above."""
    def attempt():
        before, after, _, (outer, was, now, end_outer) = contend(1.5)
        low = sum(now[t] - d for t, d in was.items() if t in now)
        high = sum(d - outer.get(t, 0) for t, d in end_outer.items())
        between("seconds waited for CPUs", sum_risen(before, after, WAIT), 0.97 * low - 0.01,
                1.3 * high + 0.05)

    retry(5, attempt)


TRUTH = """
BEGIN { printf("ready\\n"); }
tracepoint:sched:sched_wakeup, tracepoint:sched:sched_wakeup_new { @ready[args->pid] = nsecs; }
tracepoint:sched:sched_switch {
	if (args->prev_pid) {
		if (args->prev_state == 0 || args->prev_state & 0x100) {
			@ready[args->prev_pid] = nsecs; @involuntary = count();
		} else { @voluntary = count(); }
	}
	if (args->next_pid && @ready[args->next_pid]) {
		$wait = nsecs - @ready[args->next_pid];
		@waits = count(); @wait_ns = sum($wait);
		if ($wait > 500000) { @long = count(); }
	}
	delete(@ready[args->next_pid]);
}
END { clear(@ready); }
"""


def bpftrace_ended(tracer):
    tracer.send_signal(signal.SIGINT)
    said = tracer.communicate(timeout=30)[0]
    return {line.split(":")[0]: int(line.split(":")[1]) for line in said.splitlines()
            if line.startswith("@") and ":" in line}


def test_against_bpftrace():
    """The same counted by another program at the same time, which sees a little more: its interval
    holds ours."""
    if not shutil.which("bpftrace"):
        raise Skip("bpftrace is not installed")
    tracer = start("bpftrace", "-e", TRUTH, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                   text=True, env={**os.environ, "BPFTRACE_MAP_KEYS_MAX": "65536"})
    try:
        for line in tracer.stdout:
            if line.startswith("ready"):
                break
        before = program.after("trimtab_sched_*")
        load("pingpong", 50000, "--cpu", 0, 0)
        contend(2)
        after = program.after("trimtab_sched_*")
        truth = bpftrace_ended(tracer)
    finally:
        end(tracer)
    got = {"@voluntary": risen(before, after, SWITCHES, kind="voluntary"),
           "@involuntary": risen(before, after, SWITCHES, kind="involuntary"),
           "@waits": risen(before, after, WAIT),
           "@wait_ns": sum_risen(before, after, WAIT) * 1e9,
           "@long": sum(n for edge, n in buckets_risen(before, after, WAIT).items()
                        if edge > 0.0005 * STEP)}
    for name, value in got.items():
        # Each of the two reads the clock for itself; waits near 0.5 ms fall on either side; and on
        # a busy node bpftrace misses events.
        between(f"{name} of {truth}", value, 0.8 * truth[name], 1.1 * truth[name] + 5)


def test_switches_of_the_node():
    """Every switch in /proc/stat is a switch from a task or from the idle task."""
    def attempt():
        before_n = all_switches()
        before = program.after("trimtab_sched_*")
        middle_n = all_switches()
        load("pingpong", 50000, "--cpu", 0, 0)
        middle2_n = all_switches()
        after = program.after("trimtab_sched_*")
        after_n = all_switches()
        got = sum(risen(before, after, SWITCHES, kind=k) for k in ("voluntary", "involuntary"))
        # those from idle are not in ours: on the other CPU, at most one for each to it
        between("switches", got, 100000, after_n - before_n)
        check(got > 0.5 * (middle2_n - middle_n),
              f"{got} switches of tasks, {middle2_n - middle_n} in all")

    retry(3, attempt)


def test_voluntary_switches():
    """A load that blocks N times: at least as many more, and no more than all others had."""
    n = 3000
    before = program.after("trimtab_sched_*")
    load("call", "nanosleep", n, 100)
    after = program.after("trimtab_sched_*")
    got = risen(before, after, SWITCHES, kind="voluntary")
    check(got >= n, f"{got} voluntary switches, the load alone had {n}")


def test_involuntary_switches():
    """Tasks that spin on one CPU are switched from involuntarily, as they say themselves."""
    cpu = os.cpu_count() - 1
    spins = [start(LOAD, "spin", 60, "--cpu", cpu) for _ in range(3)]
    try:
        before = program.after("trimtab_sched_*")
        was = [switches_of(p.pid) for p in spins]
        load("call", "nanosleep", 200, 5000, "--cpu", cpu)
        now = [switches_of(p.pid) for p in spins]
        after = program.after("trimtab_sched_*")
    finally:
        for process in spins:
            end(process)
    own = sum(n["nonvoluntary"] - w["nonvoluntary"] for n, w in zip(now, was))
    check(own > 50, f"only {own} involuntary switches were made")
    got = risen(before, after, SWITCHES, kind="involuntary")
    check(got >= own, f"{got} involuntary switches, three tasks alone had {own}")


def test_uninterruptible():
    """D state: a load that reads a device directly is in it for each read; kernel threads that are
    idle (TASK_IDLE) are not."""
    n = 400
    blocked = {"name": "trimtab_syscall_blocked_seconds", "syscall": "pread64"}
    with Loop() as loop:
        before = program.after()
        load("write", loop.path, n, 65536, "--direct", "--read")
        after = program.after()
    times, got = risen(before, after, ASLEEP), sum_risen(before, after, ASLEEP)
    check(times >= 0.9 * n, f"{times} times in D state, the load alone {n} times")
    # blocked_test holds the time blocked in calls against an independent truth
    check(times >= 0.98 * risen(before, after, **blocked), f"{times} times in D state")
    check(got >= 0.98 * sum_risen(before, after, **blocked),
          f"{got} s in D state, {sum_risen(before, after, **blocked)} s blocked in reads")


def test_idle_threads_are_not_uninterruptible():
    """While nothing waits for a disk there is next to no D state, though dozens of kernel threads
    sleep in a state that has its bit. One undisturbed interval is enough."""
    def attempt():
        before = program.after("trimtab_sched_*")
        begun = time.monotonic()
        load("call", "nanosleep", 50, 10000)
        after = program.after("trimtab_sched_*")
        elapsed = time.monotonic() - begun
        got = sum_risen(before, after, ASLEEP)
        check(got < 0.5 * elapsed, f"{got} s in D state within {elapsed} s of rest")

    retry(10, attempt)


def test_nothing_is_lost():
    series = program.after("trimtab_lost_total")
    for reason in ("no_room", "missed_run"):
        equal(reason, series.value("trimtab_lost_total", probe="sched", reason=reason), 0)
    # tasks that were asleep or running since before the start, each at most once
    with open("/proc/loadavg") as f:
        tasks = int(f.read().split()[3].split("/")[1])
    check(series.value("trimtab_lost_total", probe="sched", reason="unmatched") <= tasks,
          "more switches to unknown tasks than there are tasks")


if __name__ == "__main__":
    with Trimtab(EXACT) as program:
        raise SystemExit(main([
            test_wait_of_own_tasks, test_wait_of_all_tasks, test_against_bpftrace,
            test_switches_of_the_node,
            test_voluntary_switches, test_involuntary_switches, test_uninterruptible,
            test_idle_threads_are_not_uninterruptible, test_nothing_is_lost]))
