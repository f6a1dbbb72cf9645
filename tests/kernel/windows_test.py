#!/usr/bin/env python3
"""windows_test.py - what is said of system calls that are observed in random windows: the interval
given for a rate holds the truth, and a change of mode loses no count.

The truth of a rate over the ticks looked at is known from the loads, which say when they began and
make each call at a moment that follows from their seed: the same moments are computed here.
"""
import bisect
import json
import subprocess
import time

from lib import (EXACT, LOAD, Trimtab, between, check, end, equal, falls, load, main, risen, start,
                 until)

WINDOWS = {**EXACT, "TRIMTAB_SYSCALL_MODE": "windows", "TRIMTAB_SYSCALL_WINDOW_MS": "5",
           "TRIMTAB_SYSCALL_PERIOD_MS": "50"}
RATE = "trimtab_syscall_calls_per_second"
OBSERVED = "trimtab_syscall_observed_seconds_total"
TICKS = 32  # ESTIMATE_TICKS of agent/store/estimate.h
ROUNDS = 10
LOAD_S = 45

# kind, syscall, pattern, calls a second
KINDS = [
    ("getpriority", "getpriority", "steady", 400),
    ("times", "times", "poisson", 400),
    ("sched_getscheduler", "sched_getscheduler", "poisson", 200),
    ("sched_get_priority_max", "sched_get_priority_max", "steady", 150),
    ("sched_get_priority_min", "sched_get_priority_min", "poisson", 800),
    ("ioprio_get", "ioprio_get", "poisson", 100),
    ("personality", "personality", "steady", 1000),
    ("tee_bad", "tee", "poisson", 300),
    ("readahead_bad", "readahead", "steady", 250),
    ("inotify_rm_watch_bad", "inotify_rm_watch", "poisson", 600),
]
MASK = (1 << 64) - 1


def splitmix64(state):
    while True:
        state = (state + 0x9e3779b97f4a7c15) & MASK
        z = state
        z = ((z ^ z >> 30) * 0xbf58476d1ce4e5b9) & MASK
        z = ((z ^ z >> 27) * 0x94d049bb133111eb) & MASK
        yield z ^ z >> 31


def moments(pattern, n, span_ns, seed):
    """As load.c has them: nanoseconds after the start."""
    if pattern == "steady":
        return [int(span_ns * (i / n)) for i in range(n)]
    numbers = splitmix64(seed)
    return sorted(next(numbers) % span_ns for _ in range(n))


def readings():
    """One reading for each tick of the agent, with when it was seen."""
    last = None
    while True:
        series = program.series("trimtab_syscall_*")
        observed = series.value(OBSERVED)
        if observed != last:
            yield time.monotonic_ns(), series
            last = observed
        time.sleep(0.01)


def rounds_of():
    """For each round the time span that its estimate is of, and the estimates."""
    ticks, found = [], []
    for now_ns, series in readings():
        ticks.append(now_ns)
        if len(ticks) > TICKS and (len(ticks) - 1) % TICKS == 0:
            found.append((ticks[-1 - TICKS], now_ns, series))
        if len(found) == ROUNDS:
            return found
    return found


def test_intervals_hold_the_truth():
    span_ns = LOAD_S * 10**9
    running = []
    try:
        for seed, (kind, _, pattern, rate) in enumerate(KINDS, 1):
            running.append(start(LOAD, "pattern", kind, rate * LOAD_S, pattern, LOAD_S, "--seed",
                                 seed, stdout=subprocess.PIPE, text=True))
        until("the loads to be seen", lambda: all(
            program.series("trimtab_syscall_*").calls(k[1]) for k in KINDS))
        found = rounds_of()
        said = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    finally:
        for process in running:
            end(process)
    holds = total = 0
    misses = []
    for seed, ((_, syscall, pattern, rate), load_said) in enumerate(zip(KINDS, said), 1):
        at = moments(pattern, rate * LOAD_S, span_ns, seed)
        for begin_ns, end_ns, series in found:
            check(end_ns - load_said["start_ns"] < span_ns, "the loads ended before the rounds")
            calls = (bisect.bisect(at, end_ns - load_said["start_ns"])
                     - bisect.bisect(at, begin_ns - load_said["start_ns"]))
            true_rate = calls / ((end_ns - begin_ns) / 1e9)
            estimate = series.value(RATE, syscall=syscall)
            error = series.value(RATE + "_error", syscall=syscall)
            check(error > 0, f"{syscall}: no error figure")
            total += 1
            if abs(estimate - true_rate) <= error:
                holds += 1
            else:
                misses.append(f"{syscall} {pattern}: {true_rate:.1f}/s, said {estimate:.1f} "
                              f"+- {error:.1f}")
    equal("estimates", total, len(KINDS) * ROUNDS)
    check(holds >= 0.95 * total, f"{holds} of {total} intervals hold the truth: {misses}")
    print(f"# {holds} of {total} intervals hold the truth")


def test_observed_ratio():
    """A tenth of the time by configuration; on a busy node windows open and close a little late."""
    until("32 ticks", lambda: program.ticks() > TICKS + 1)
    series = program.after("trimtab_syscall_*")
    between("observed ratio", series.value("trimtab_syscall_observed_ratio"), 0.05, 0.3)
    check(program.status()["syscall"]["mode"] == "windows", "not in windows mode")
    text = program.text()
    between("observed ratio in /metrics", text["trimtab_syscall_observed_ratio"], 0.05, 0.3)


def mode():
    return program.status()["syscall"]["mode"]


def test_mode_changes():
    """To exact and back under load: what is called in exact mode is counted exactly, each return
    is counted at most once, and no counter falls."""
    n, rest = 20000, start(LOAD, "call", "times", 4000000000)
    try:
        text = program.text()
        for _ in range(4):
            program.exact(30)
            equal("mode", mode(), "exact")
            before = program.after("trimtab_syscall_*")
            load("call", "timer_delete_bad", n)
            after = program.after("trimtab_syscall_*")
            equal("calls in exact mode",
                  after.calls("timer_delete") - before.calls("timer_delete"), n)
            program.exact(0)
            equal("mode", mode(), "windows")
            windowed = program.after("trimtab_syscall_*")
            load("call", "timer_delete_bad", n)
            last = program.after("trimtab_syscall_*")
            between("calls in windows mode",
                    last.calls("timer_delete") - windowed.calls("timer_delete"), 0, n)
            now = program.text()
            equal("counters that fell", falls(text, now), [])
            text = now
    finally:
        end(rest)


def test_exact_for_a_bounded_time():
    program.exact(1)
    equal("mode", mode(), "exact")
    until("the return to windows", lambda: mode() == "windows", 10)
    before = program.after("trimtab_syscall_*")
    after = program.after("trimtab_syscall_*")
    check(risen(before, after, OBSERVED) < 60, "observed on")


def test_long_calls_count():
    """A call that spans windows has no duration, but is counted when it returns in one, so that the
    rate of calls is right however long they take."""
    before = program.after("trimtab_syscall_*")
    load("threads", "nanosleep", 40, 64, 60000)  # longer than any window
    after = program.after("trimtab_syscall_*")
    late = risen(before, after, "trimtab_syscall_late_total", syscall="nanosleep")
    whole = risen(before, after, "trimtab_syscall_duration_seconds", syscall="nanosleep")
    equal("whole calls of 60 ms in windows of 5 ms", whole, 0)
    # 2560 returns, of which a tenth falls into windows
    between("returns", late, 0.02 * 2560, 0.5 * 2560)


if __name__ == "__main__":
    with Trimtab(WINDOWS) as program:
        raise SystemExit(main([test_observed_ratio, test_intervals_hold_the_truth,
                               test_mode_changes, test_exact_for_a_bounded_time,
                               test_long_calls_count]))
