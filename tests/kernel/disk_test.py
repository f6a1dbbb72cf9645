#!/usr/bin/env python3
"""disk_test.py - block I/O on loop devices: requests, bytes, flushes, discards and errors exactly,
and their durations where the device is slowed down.

The truth is what the load did and what the kernel counts in /sys/block/DEVICE/stat. A slow device
is a loop device with direct I/O on a file: the loop driver's own I/O is charged to the blkio cgroup
of the task that writes to the loop device, and held back there by a limit on the disk below.
"""
import errno
import json
import os
import subprocess
import tempfile

from lib import (DEADLINE_S, EXACT, LOAD, STEP, Loop, Skip, Trimtab, aligned, between,
                 buckets_risen, check, die_with_parent, equal, load, loads, main, median_bucket,
                 retry, risen, run, sum_risen, until)

DURATION = "trimtab_block_io_duration_seconds"
BYTES = "trimtab_block_io_bytes_total"
ERRORS = "trimtab_block_io_errors_total"
BLKIO = "/sys/fs/cgroup/blkio"


def requests(before, after, device, op, stage="device"):
    return risen(before, after, DURATION, device=device, op=op, stage=stage)


def moved(before, after, device, op):
    return risen(before, after, BYTES, device=device, op=op)


def exact(op, n, size, *command):
    with Loop() as loop:
        before, was = program.after(), loop.stat()
        truth = load(command[0], loop.path, n, size, *command[1:])
        after, now = program.after(), loop.stat()
        equal(f"{op}s", requests(before, after, loop.name, op), n)
        equal(f"{op}s queued", requests(before, after, loop.name, op, "queue"), n)
        equal(f"bytes of {op}s", moved(before, after, loop.name, op), n * size)
        equal(f"{op}s by the kernel's count", now[op + "s"] - was[op + "s"], n)
        equal("errors", risen(before, after, ERRORS, device=loop.name, op=op), 0)
        flushes(before, after, loop, was, now)
        others(before, after, loop.name, op)
        return truth, before, after, loop.name


def others(before, after, device, *ops):
    for op in {"read", "write", "discard", "flush", "passthrough"} - set(ops):
        equal(f"{op}s", requests(before, after, device, op), 0)


def flushes(before, after, loop, was, now):
    equal("flushes", requests(before, after, loop.name, "flush"), now["flushes"] - was["flushes"])


def test_writes():
    exact("write", 500, 4096, "write", "--direct")


def test_writes_of_128_kib():
    exact("write", 100, 131072, "write", "--direct")


def test_reads():
    exact("read", 500, 4096, "write", "--direct", "--read")


def test_discards():
    exact("discard", 40, 1 << 20, "discard")


def written_and_flushed(*options):
    n = 200
    with Loop() as loop:
        before, was = program.after(), loop.stat()
        load("write", loop.path, n, 4096, "--direct", *options)
        after, now = program.after(), loop.stat()
        equal("writes", requests(before, after, loop.name, "write"), n)
        equal("bytes written", moved(before, after, loop.name, "write"), n * 4096)
        flushes(before, after, loop, was, now)
        check(now["flushes"] - was["flushes"] >= n, f"the kernel flushed {now} times")
        others(before, after, loop.name, "write", "flush")


def test_writes_with_fsync():
    """An fsync is a flush and no write."""
    written_and_flushed("--fsync")


def test_writes_with_o_dsync():
    """A write with a flush after it completes in two steps and is one write and one flush."""
    written_and_flushed("--dsync")


def test_two_at_once():
    with Loop() as loop:
        before = program.after()
        loads(("write", loop.path, 1000, 4096, "--direct"),
              ("write", loop.path, 1000, 8192, "--direct", "--read"),
              ("write", loop.path, 300, 65536, "--direct"))
        after = program.after()
        equal("writes", requests(before, after, loop.name, "write"), 1300)
        equal("reads", requests(before, after, loop.name, "read"), 1000)
        equal("bytes written", moved(before, after, loop.name, "write"),
              1000 * 4096 + 300 * 65536)
        equal("bytes read", moved(before, after, loop.name, "read"), 1000 * 8192)


def test_errors():
    """Writes to a loop device whose file can grow no more."""
    n = 20
    with tempfile.TemporaryDirectory() as where:
        run("mount", "-t", "tmpfs", "-o", "size=1m", "trimtab-test", where)
        try:
            with Loop(mib=8, directory=where) as loop:
                before = program.after()
                failed = write_until_full(loop.path, n)
                after = program.after()
                equal("errors", risen(before, after, ERRORS, device=loop.name, op="write"), failed)
                equal("writes", requests(before, after, loop.name, "write"), n)
                check(0 < failed < n, f"{failed} of {n} writes failed; the file has room for some")
        finally:
            run("umount", where)


def write_until_full(path, n):
    """n writes of 128 KiB; returns how many failed."""
    failed = 0
    with aligned(131072) as buffer:
        buffer.write(b"x" * len(buffer))
        fd = os.open(path, os.O_WRONLY | os.O_DIRECT)
        for i in range(n):
            try:
                os.pwrite(fd, buffer, i * len(buffer))
            except OSError as e:
                check(e.errno in (errno.EIO, errno.ENOSPC), f"write: {e}")
                failed += 1
        os.close(fd)
    return failed


def disk_below(path):
    """major:minor of the disk that a file is on, as blkio names it."""
    dev = os.stat(path).st_dev
    where = os.path.realpath(f"/sys/dev/block/{os.major(dev)}:{os.minor(dev)}")
    if not os.path.exists(os.path.join(where, "queue")):
        where = os.path.dirname(where)
    if not os.path.exists(os.path.join(where, "queue")):
        raise Skip(f"{path} is on no disk")
    with open(os.path.join(where, "dev")) as f:
        return f.read().strip()


class Throttle:
    """A blkio cgroup in which a disk does so many writes a second."""

    def __init__(self, disk, writes_per_s):
        self.limit = f"{disk} {writes_per_s}"
        self.path = os.path.join(BLKIO, f"trimtab-test-{os.getpid()}")

    def __enter__(self):
        if not os.path.exists(os.path.join(BLKIO, "blkio.throttle.write_iops_device")):
            raise Skip("no blkio cgroup (v1) with throttling")
        os.mkdir(self.path)
        try:
            self.write("blkio.throttle.write_iops_device", self.limit)
        except OSError as e:
            os.rmdir(self.path)
            raise Skip(f"blkio takes no limit: {e}") from e
        return self

    def __exit__(self, *_):
        until("the throttled cgroup to be empty", self.removed)

    def removed(self):
        try:
            os.rmdir(self.path)
        except OSError:
            return False
        return True

    def write(self, name, value):
        with open(os.path.join(self.path, name), "w") as f:
            f.write(str(value))

    def load(self, *command):
        """Runs the load in the cgroup."""
        def enter():
            die_with_parent()
            self.write("cgroup.procs", os.getpid())

        done = subprocess.run([LOAD, *map(str, command)], preexec_fn=enter, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=DEADLINE_S)
        check(done.returncode == 0, f"load: {done.stdout}")
        return json.loads(done.stdout)


def slow_writes(n):
    """The truth, and the readings before and after n writes to a device that is held back."""
    # a limit lets through what a slice of 100 ms holds, then waits: so one a slice
    with Loop(direct=True) as loop, Throttle(disk_below(loop.file), 10) as slow:
        with open(f"/sys/block/{loop.name}/loop/dio") as f:
            if f.read().strip() != "1":
                raise Skip("the file system takes no direct I/O from the loop driver")
        before = program.after()
        truth = slow.load("write", loop.path, n, 4096, "--direct")
        after = program.after()
    if truth["call_ns_median"] < 5e6:
        raise Skip(f"the limit does not slow the loop device: {truth['call_ns_median']} ns a write")
    return truth, before, after, {"device": loop.name, "op": "write"}


def test_slow_device():
    """The device's time is what the load waited for; none of it is lost in the queue. A virtual CPU
    that its host does not run for some ms is in the load's time alone: one attempt without."""
    def attempt():
        n = 15
        truth, before, after, labels = slow_writes(n)
        equal("writes", requests(before, after, **labels), n)
        device_s = sum_risen(before, after, DURATION, stage="device", **labels)
        queue_s = sum_risen(before, after, DURATION, stage="queue", **labels)
        true_s = truth["call_ns_sum"] / 1e9
        # the rest of a call is its way to the device and back to the load
        rest_s = (truth["cpu_ns"] + truth["run_delay_ns"]) / 1e9 + n * 100e-6
        between("seconds of queue and device", queue_s + device_s, true_s - rest_s, true_s)
        median = median_bucket(buckets_risen(before, after, DURATION, stage="device", **labels))
        true_median = truth["call_ns_median"] / 1e9
        between("upper edge of the median's bucket", median, true_median / STEP, true_median * STEP)

    retry(3, attempt)


def test_nothing_is_lost():
    lost = {m["labels"]["reason"]: m["value"] for m in
            program.after("trimtab_lost_total").having("trimtab_lost_total", probe="disk")}
    equal("lost", {reason: n for reason, n in lost.items() if n and reason != "iostats_off"}, {})


def test_known_after_detach():
    """A device keeps its series, and one that takes its number later adds to them."""
    with Loop() as loop:
        before = program.after()
        load("write", loop.path, 10, 4096, "--direct")
        name = loop.name
    with Loop() as loop:
        if loop.name != name:
            raise Skip("the loop device was taken by another")
        load("write", loop.path, 10, 4096, "--direct")
        after = program.after()
        equal("writes", requests(before, after, name, "write"), 20)


if __name__ == "__main__":
    with Trimtab(EXACT) as program:
        raise SystemExit(main([
            test_writes, test_writes_of_128_kib, test_reads, test_discards, test_writes_with_fsync,
            test_writes_with_o_dsync, test_two_at_once, test_errors, test_slow_device,
            test_known_after_detach, test_nothing_is_lost]))
