#!/usr/bin/env python3
"""blocked_test.py - the time blocked inside system calls, without any syscall tracepoint, against
an independent truth.

The load times each call from outside and knows from the kernel how long its thread ran
(CLOCK_THREAD_CPUTIME_ID) and waited for a CPU (run_delay of /proc/thread-self/schedstat). What is
left of the time of its calls is the time blocked: an identity that holds however busy the node is.
"""
import os

from lib import (EXACT, STEP, Loop, Trimtab, between, blocked_times, buckets_risen, check, equal,
                 load, loads, main, median_bucket, risen, runs_of_init, sum_risen)

BLOCKED = "trimtab_syscall_blocked_seconds"


def true_blocked_s(truth):
    return (truth["call_ns_sum"] - truth["cpu_ns"] - truth["run_delay_ns"]) / 1e9


def blocks(syscall, *command, n, alone=True):
    """`command` blocks n times in `syscall`, which nobody else calls if alone."""
    before, runs = program.after(BLOCKED), runs_of_init()
    truth = load(*command)
    after, runs = program.after(BLOCKED), runs_of_init() - runs
    rise = risen(before, after, BLOCKED, syscall=syscall)
    if alone:
        blocked_times(f"times blocked in {syscall}", rise, n, runs)
        mean_is_right(truth, n, rise, sum_risen(before, after, BLOCKED, syscall=syscall))
    buckets = buckets_risen(before, after, BLOCKED, syscall=syscall)
    return truth, buckets


def mean_is_right(truth, n, times, got_s):
    """The load's own loop and its end are in its CPU time; each call may end 50 us early or late in
    the eyes of a clock that is read outside of it."""
    true_s = true_blocked_s(truth) / n
    slack_s = 50e-6 + 1e-3 / n + true_s / 1000
    between("mean seconds blocked", got_s / times, true_s - slack_s, true_s + slack_s)


def median_is_right(truth, buckets):
    true_s = true_blocked_s(truth) / truth.get("calls", truth.get("ios"))
    between("upper edge of the median's bucket", median_bucket(buckets), true_s / STEP,
            true_s * STEP)


def test_nanosleep():
    median_is_right(*blocks("nanosleep", "call", "nanosleep", 60, 20000, n=60))


def test_pipe():
    median_is_right(*blocks("readv", "pipe_readv", 60, 20, n=60))


def test_epoll():
    median_is_right(*blocks("epoll_pwait2", "epoll_pwait2", 60, 20, n=60))


def test_short_sleeps():
    """Many short ones: what each may be off by would show in the sum."""
    blocks("nanosleep", "call", "nanosleep", 2000, 200, n=2000)


def test_futex():
    """Others wait for futexes too: at least these."""
    _, buckets = blocks("futex_wait", "futex_wait", 50, 33, n=50, alone=False)
    near = sum(n for edge, n in buckets.items() if 0.033 / STEP < edge < 0.033 * STEP ** 2)
    check(near >= 48, f"{near} futex waits of 33 ms, 50 were made")


def test_on_a_contended_cpu():
    """The wait for a CPU after the wake-up is no part of the time blocked: a sleeper of 5 ms that
    two spinning programs keep from the CPU."""
    before, runs = program.after(BLOCKED), runs_of_init()
    spin = [("spin", 2, "--cpu", 0)] * 2
    *_, truth = loads(*spin, ("call", "nanosleep", 100, 5000, "--cpu", 0))
    after, runs = program.after(BLOCKED), runs_of_init() - runs
    times = risen(before, after, BLOCKED, syscall="nanosleep")
    blocked_times("times", times, 100, runs)
    mean_is_right(truth, 100, times, sum_risen(before, after, BLOCKED, syscall="nanosleep"))


def test_migrating():
    before, runs = program.after(BLOCKED), runs_of_init()
    load("threads", "nanosleep", 30, 32, 10000, "--migrate")
    after, runs = program.after(BLOCKED), runs_of_init() - runs
    buckets = buckets_risen(before, after, BLOCKED, syscall="nanosleep")
    blocked_times("times", sum(buckets.values()), 960, runs)
    short = sum(n for edge, n in buckets.items() if edge < 0.0098)
    check(short <= 960 // 50, f"{short} sleeps of 10 ms blocked for less")


def test_disk_wait():
    """O_DIRECT writes block in D state until the device is done."""
    with Loop() as loop:
        before = program.after()
        truth = load("write", loop.path, 300, 65536, "--direct")
        after = program.after()
    got = sum_risen(before, after, BLOCKED, syscall="pwrite64")
    asleep = sum_risen(before, after, "trimtab_sched_uninterruptible_seconds")
    check(risen(before, after, BLOCKED, syscall="pwrite64") > 0, "no write blocked")
    # others may write at the same time, so only: at least; a virtual machine that is not run for a
    # while looks blocked to the load, but not to the kernel
    check(got >= 0.8 * true_blocked_s(truth) - 0.005,
          f"blocked in pwrite64 {got} s, the load was for {true_blocked_s(truth)} s")
    check(asleep >= 0.8 * true_blocked_s(truth) - 0.005,
          f"uninterruptible for {asleep} s, the load was for {true_blocked_s(truth)} s")


def test_blocked_mode():
    """Without any syscall tracepoint the same is complete, and no call is said to be observed."""
    with Trimtab({**EXACT, "TRIMTAB_SYSCALL_MODE": "blocked"}) as other:
        before, runs = other.after(), runs_of_init()
        truth = load("call", "nanosleep", 50, 4000)
        after, runs = other.after(), runs_of_init() - runs
        equal("observed ratio", after.value("trimtab_syscall_observed_ratio"), 0)
        equal("calls observed", after.calls("nanosleep"), 0)
        times = risen(before, after, BLOCKED, syscall="nanosleep")
        blocked_times("times", times, 50, runs)
        mean_is_right(truth, 50, times, sum_risen(before, after, BLOCKED, syscall="nanosleep"))


if __name__ == "__main__":
    os.nice(-5)  # the loads inherit it: the node is less in the way
    with Trimtab(EXACT) as program:
        raise SystemExit(main([
            test_nanosleep, test_pipe, test_epoll, test_short_sleeps, test_futex,
            test_on_a_contended_cpu, test_migrating, test_disk_wait, test_blocked_mode]))
