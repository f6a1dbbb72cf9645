#!/usr/bin/env python3
"""syscall_test.py - system calls in exact mode: N calls rise by N, whatever CPU they are made on,
with their errors by errno, their durations in the right bucket, and the slot table overflowing.

The kinds are ones that nothing else on a node makes, so the counts must be equal, not at least.
"""
import ctypes
import os

from lib import (EXACT, STEP, Trimtab, between, buckets_risen, check, child, equal, load, loads,
                 main, median_bucket, retry, risen)

DURATION = "trimtab_syscall_duration_seconds"
ERRORS = "trimtab_syscall_errors_total"

# kind of load: syscall, errno
KINDS = {
    "getpriority": ("getpriority", None),
    "times": ("times", None),
    "sched_getscheduler": ("sched_getscheduler", None),
    "sched_get_priority_max": ("sched_get_priority_max", None),
    "sched_get_priority_min": ("sched_get_priority_min", None),
    "ioprio_get": ("ioprio_get", None),
    "personality": ("personality", None),
    "fdatasync_bad": ("fdatasync", "EBADF"),
    "tee_bad": ("tee", "EBADF"),
    "readahead_bad": ("readahead", "EBADF"),
    "inotify_rm_watch_bad": ("inotify_rm_watch", "EBADF"),
    "timer_delete_bad": ("timer_delete", "EINVAL"),
    "msgctl_bad": ("msgctl", "EINVAL"),
    "chroot_enoent": ("chroot", "ENOENT"),
    "getitimer_fault": ("getitimer", "EFAULT"),
    "sched_getparam_esrch": ("sched_getparam", "ESRCH"),
    "getsid_esrch": ("getsid", "ESRCH"),
}

# Numbers that hardly any program of a node makes; they do nothing when all arguments are -1.
RARE = [
    *range(29, 32), 36, *range(64, 68), *range(69, 72), 76, 82, 84, 86, 88, 93, 94, 100,
    103, *range(114, 118), 119, 125, 129, 132, 136, *range(140, 149), 161, 164, 168,
    *range(174, 179), *range(180, 186), *range(187, 200), *range(206, 212), *range(214,
    217), *range(221, 228), *range(236, 246), *range(248, 253), *range(254, 257),
    *range(258, 262), *range(264, 267), 268, *range(274, 281), 283, 286, 287, 289,
    *range(294, 302), 303, 304, 306, 307, *range(309, 316), 320, 325, *range(327, 332), 333,
    *range(424, 434), 438, 440, *range(442, 449), 450
]


def exact_counts():
    n = 1000
    before = program.after("trimtab_syscall_*")
    for i, kind in enumerate(KINDS):
        load("call", kind, n + i, "--cpu", i % os.cpu_count())
    after = program.after("trimtab_syscall_*")
    for i, (kind, (syscall, error)) in enumerate(KINDS.items()):
        equal(f"{syscall} calls", after.calls(syscall) - before.calls(syscall), n + i)
        equal(f"{syscall} late", after.value("trimtab_syscall_late_total", syscall=syscall)
              - before.value("trimtab_syscall_late_total", syscall=syscall), 0)
        errors = {m["labels"]["error"]: risen(before, after, ERRORS, **m["labels"])
                  for m in after.having(ERRORS, syscall=syscall)}
        equal(f"{syscall} errors", {e: c for e, c in errors.items() if c},
              {error: n + i} if error else {})


def test_exact_counts():
    """Should another program make one of these calls just then, the next attempt tells."""
    retry(3, exact_counts)


def test_exact_on_all_cpus():
    commands = [("call", "tee_bad", 50000, "--cpu", cpu) for cpu in range(os.cpu_count())]
    commands += [("call", "tee_bad", 50000), ("call", "times", 50000)]
    before = program.after("trimtab_syscall_*")
    loads(*commands)
    after = program.after("trimtab_syscall_*")
    equal("tee", risen(before, after, DURATION, syscall="tee"),
          50000 * (os.cpu_count() + 1))
    equal("times", risen(before, after, DURATION, syscall="times"), 50000)


def test_exact_in_migrating_threads():
    before = program.after("trimtab_syscall_*")
    quick, slow = loads(("threads", "times", 20000, 8, "--migrate"),
                        ("threads", "nanosleep", 30, 32, 10000, "--migrate"))
    after = program.after("trimtab_syscall_*")
    check(quick["moves"] > 10 and slow["moves"] > 100, f"too few moves: {quick} {slow}")
    equal("times", risen(before, after, DURATION, syscall="times"), 8 * 20000)
    equal("nanosleep", risen(before, after, DURATION, syscall="nanosleep"), 32 * 30)
    low = [edge for edge in buckets_risen(before, after, DURATION, syscall="nanosleep")
           if edge < 0.01]
    equal("migrating sleeps of 10 ms that seem shorter", low, [])


def test_duration_median():
    """A syscall that sleeps 20 ms: the median is in the bucket of the true one, which the load
    measured around the call, or in the one below it."""
    before = program.after("trimtab_syscall_*")
    truth = load("call", "nanosleep", 51, 20000)
    after = program.after("trimtab_syscall_*")
    edge = median_bucket(buckets_risen(before, after, DURATION, syscall="nanosleep"))
    true_s = truth["call_ns_median"] / 1e9
    between("upper edge of the median's bucket", edge, true_s / STEP, true_s * STEP)
    check(edge > 0.02, f"the median is in the bucket up to {edge}, below the sleep of 20 ms")


def test_duration_sum():
    before = program.after("trimtab_syscall_*")
    truth = load("call", "nanosleep", 40, 20000)
    after = program.after("trimtab_syscall_*")
    got = (after.sum(DURATION, syscall="nanosleep") - before.sum(DURATION, syscall="nanosleep"))
    true_s = truth["call_ns_sum"] / 1e9
    # from outside a call looks longer, by its entry and exit and by what preempts the load there
    between("sum of durations", got, 0.98 * true_s, true_s)


def test_waits_are_told_from_work():
    load("call", "nanosleep", 1, 1000)
    load("call", "times", 1)
    now = program.after("trimtab_syscall_info")
    equal("nanosleep is a wait", now.value("trimtab_syscall_info", syscall="nanosleep",
                                           **{"class": "wait"}), 1)
    equal("times is work", now.value("trimtab_syscall_info", syscall="times",
                                     **{"class": "work"}), 1)


def test_text_agrees():
    """/metrics says what /api/metrics says."""
    n = load("call", "getpriority", 77)["calls"]
    json = program.after("trimtab_syscall_*")
    text = program.text()
    name = f'{DURATION}_count{{syscall="getpriority"}}'
    equal("count in /metrics", text.get(name), json.count(DURATION, syscall="getpriority"))
    check(n <= text[name], "the calls are in the total")
    equal("observed ratio", text["trimtab_syscall_observed_ratio"], 1)


def call_rare(numbers, n):
    """In a child of its own on one CPU: n calls of each number."""
    def work():
        os.sched_setaffinity(0, {0})
        syscall, no = ctypes.CDLL(None).syscall, ctypes.c_long(-1)
        for _ in range(n):
            for number in numbers:
                syscall(ctypes.c_long(number), *[no] * 6)

    equal("status of the caller", os.waitpid(child(work), 0)[1], 0)


def test_overflow_reconciles():
    """More kinds than a CPU has slots: the rest is "other", and the sum is still exact."""
    check(len(RARE) > 160, f"only {len(RARE)} kinds")
    n = 50

    def attempt():
        before = program.after("trimtab_syscall_*")
        call_rare(RARE, n)
        after = program.after("trimtab_syscall_*")
        changed = {m["labels"]["syscall"]: after.calls(m["labels"]["syscall"])
                   - before.calls(m["labels"]["syscall"]) for m in after.having(DURATION)}
        named = [name for name, rise in changed.items() if rise == n and name != "other"]
        check(changed.get("other", 0) > 0, "nothing was filed under other")
        check(len(named) >= 60, f"only {len(named)} kinds of their own")
        equal("sum over those named and other", len(named) * n + changed["other"], len(RARE) * n)

    retry(5, attempt)


def test_nothing_is_lost():
    lost = {m["labels"]["reason"]: m["value"] for m in
            program.after("trimtab_lost_total").having("trimtab_lost_total", probe="syscall")}
    equal("lost", {reason: n for reason, n in lost.items() if n}, {})


if __name__ == "__main__":
    with Trimtab(EXACT) as program:
        raise SystemExit(main([
            test_exact_counts, test_exact_on_all_cpus, test_exact_in_migrating_threads,
            test_duration_median, test_duration_sum, test_waits_are_told_from_work,
            test_text_agrees, test_overflow_reconciles, test_nothing_is_lost]))
