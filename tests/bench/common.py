"""What the tables share: building the helpers, starting and ending processes, reading what they
cost, medians, and printing Markdown.

Everything started here is ended by its pid when the Session closes, and by the kernel
(PR_SET_PDEATHSIG) should this program itself be killed.
"""
import ctypes
import json
import os
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

sys.path.insert(0, os.path.join(ROOT, "tests", "helpers"))
from waits import free_port  # noqa: E402,F401  for those that import this
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
OUT = os.path.join(BUILD, "bench")
DEADLINE_S = 20  # for anything that is waited for

WARN = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]
HELPERS = {
    "loops": ["gcc", "-std=gnu17", "-O2", *WARN, "loops.c"],
    "floor": ["gcc", "-std=gnu17", "-O2", *WARN, "floor.c", "-lbpf"],
    "floor.bpf.o": ["clang", "-target", "bpf", "-O2", "-g", *WARN, "-c", "floor.bpf.c"],
}


class Absent(Exception):
    """A program that a row needs is not here; the row says so and the rest goes on."""


def build_helpers():
    os.makedirs(OUT, exist_ok=True)
    for name, command in HELPERS.items():
        out = os.path.join(OUT, name)
        source = next(os.path.join(HERE, word) for word in command if word.endswith(".c"))
        if os.path.exists(out) and os.path.getmtime(out) > os.path.getmtime(source):
            continue
        subprocess.run([*command, "-o", out], cwd=HERE, check=True)


def helper(name):
    return os.path.join(OUT, name)


def program(name):
    """The path of an installed program; also where Debian keeps what is not in everyone's PATH."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Absent(f"{name} is not installed: tools/setup bench")
    return path


def until(what, condition, deadline_s=DEADLINE_S, alive=None):
    """Waits for a condition; the pause is only the polling interval."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        if alive is not None and alive.poll() is not None:
            raise RuntimeError(f"{what}: the process ended with status {alive.returncode}")
        time.sleep(0.02)
    raise RuntimeError(f"{what}: not so after {deadline_s} s")


class Cgroup:
    """A version 2 cgroup of our own, to read the CPU time of a server and of all it ever forked."""

    def __init__(self, name):
        with open("/proc/mounts") as f:
            mounts = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
        if not mounts:
            raise Absent("no cgroup2 mounted: mount -t cgroup2 none /mnt")
        self.path = os.path.join(mounts[0], name)
        os.mkdir(self.path)

    def join(self):
        with open(os.path.join(self.path, "cgroup.procs"), "w") as f:
            f.write(str(os.getpid()))

    def cpu_ns(self):
        with open(os.path.join(self.path, "cpu.stat")) as f:
            return int(f.readline().split()[1]) * 1000  # usage_usec

    def remove(self):
        try:
            os.rmdir(self.path)
        except OSError:
            return False
        return True


class Session:
    """Owns processes and temporary folders. `with Session() as s:` ends them all in every case."""

    def __init__(self):
        self.processes = []
        self.folders = []
        self.cgroups = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes[:]):
            self.stop(process)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
        for group in self.cgroups:  # a process that has just ended may still be leaving it
            until(f"{group.path} to be empty", group.remove)

    def folder(self, owner=None, under=None):
        path = tempfile.mkdtemp(prefix="trimtab-bench-", dir=under)
        self.folders.append(path)
        if owner:
            shutil.chown(path, owner, owner)
        return path

    def cgroup(self):
        group = Cgroup(f"trimtab-bench-{os.getpid()}-{len(self.cgroups)}")
        self.cgroups.append(group)
        return group

    def start(self, command, cpu=None, group=None, user=None, end_signal=signal.SIGTERM, log=None,
              **more):
        """Starts a process: on a CPU, in a cgroup, as a user; output to file `log` or nowhere."""
        account = pwd.getpwnam(user) if user else None

        def prepare():
            if group:
                group.join()
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            if account:
                os.setgroups([])
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)
            ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG; setuid would clear it

        sink = open(log, "ab") if log else subprocess.DEVNULL
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", sink)
        more.setdefault("stderr", sink)
        process = subprocess.Popen(command, preexec_fn=prepare, **more)
        if log:
            sink.close()
        process.end_signal = end_signal
        process.log = log
        self.processes.append(process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(process.end_signal)
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
        if process in self.processes:
            self.processes.remove(process)


# --- what processes cost


def tree(pid):
    """The pid and all its descendants."""
    found, queue = [], [pid]
    while queue:
        at = queue.pop()
        found.append(at)
        try:
            for task in os.listdir(f"/proc/{at}/task"):
                with open(f"/proc/{at}/task/{task}/children") as f:
                    queue += [int(word) for word in f.read().split()]
        except OSError:
            pass
    return found


def node_busy_ns():
    """CPU time that all CPUs together were busy for since boot; in steps of a tick."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq = (int(word) for word in f.readline().split()[1:8])
    return (user + nice + system + irq + softirq) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def tree_memory_bytes(pid):
    """(sum of RSS, sum of PSS): pages that a fork shares count once in the second."""
    rss = pss = 0
    for each in tree(pid):
        try:
            with open(f"/proc/{each}/smaps_rollup") as f:
                for line in f:
                    word = line.split()
                    if word[0] == "Rss:":
                        rss += int(word[1]) * 1024
                    elif word[0] == "Pss:":
                        pss += int(word[1]) * 1024
        except OSError:
            pass
    return rss, pss


# --- numbers


def median(values):
    return statistics.median(values) if values else float("nan")


def quartiles(values):
    """(lower, upper) quartile; the whole range when there are fewer than four values."""
    if len(values) < 4:
        return (min(values), max(values)) if values else (float("nan"),) * 2
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def spread(values, form="{:.0f}"):
    """'median (quartile to quartile)'"""
    if not values:
        return "-"
    low, high = quartiles(values)
    return f"{form.format(median(values))} ({form.format(low)} to {form.format(high)})"


# --- tables


def table(head, rows):
    text = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in text) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in text]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines) + "\n"


def machine():
    with open("/proc/cpuinfo") as f:
        models = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    model = models[0] if models else "unknown"
    return f"{os.cpu_count()} CPUs ({model}), Linux {os.uname().release}"


def cpus():
    """(for the server or loop, for the client): the last CPU and the first one we may use."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[-1], mine[0]


def json_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return json.loads(done.stdout)
