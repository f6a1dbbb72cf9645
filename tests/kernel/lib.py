"""What the kernel tests share: the program started on a free port with a state directory of its
own, what it serves read back, waits for conditions, loads with exact counts, and the TAP lines.

In:      BUILD (default build), TRIMTAB (default BUILD/trimtab); root
Out:     on standard output "ok NAME", "not ok NAME reason", "skip NAME reason"
Bounds:  each wait has a deadline; everything started is ended by its pid, also by the kernel
         should the test itself be killed
"""
import ctypes
import fnmatch
import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
PROGRAM = os.environ.get("TRIMTAB", os.path.join(BUILD, "trimtab"))
LOAD = os.path.join(BUILD, "tests/helpers/load")
DEADLINE_S = 30

sys.path.insert(0, os.path.join(ROOT, "tests", "helpers"))
from waits import free_port, wait_for  # noqa: E402

EXACT = {
    "TRIMTAB_SYSCALL_MODE": "exact",
    "TRIMTAB_AGENT_PERIOD_MS": "100",
    "TRIMTAB_TCP_SWEEP_MS": "100",
    "TRIMTAB_AGENT_BUDGET_RATIO": "1",  # so that the governor sheds nothing
}


class Skip(Exception):
    pass


class Failed(Exception):
    pass


class Missing(Failed):
    """A count that is too low."""


def check(condition, reason):
    if not condition:
        raise Failed(reason)


def equal(what, got, want):
    reason = f"{what}: {got}, must be {want}"
    if isinstance(want, (int, float)) and got < want:
        raise Missing(reason)
    check(got == want, reason)


def between(what, got, low, high):
    check(low <= got <= high, f"{what}: {got}, must be {low} to {high}")


def until(what, condition, deadline_s=DEADLINE_S):
    return wait_for(what, condition, deadline_s, Failed)


def runs_of_init():
    """How often PID 1 ran. The kernel of the virtual machine that trimtab is developed on runs no
    BPF program (bpftrace's neither; ftrace has the events) while PID 1, the sandbox's own, is the
    current task: nor for the switch away from it, nor for interrupts that come in the meantime.
    Elsewhere this hides no event, and PID 1 hardly runs."""
    runs = 0
    for task in os.listdir("/proc/1/task"):
        try:
            with open(f"/proc/1/task/{task}/status") as f:
                runs += sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)
        except OSError:
            pass  # the thread has ended
    return runs


def blocked_times(what, got, n, runs):
    """A timer that fires before the task has stopped running blocks nobody, and of what happens
    around each of `runs` runs of PID 1 one switch may be missing. None counts twice."""
    between(what, got, n - max(1, min(runs, n // 50)), n)


def retry(attempts, attempt):
    """For what other programs of the node, or the host of a virtual machine, can disturb: one
    undisturbed attempt in so many. A count that is too low is no disturbance."""
    for i in range(attempts):
        try:
            return attempt()
        except Missing:
            raise
        except Failed:
            if i == attempts - 1:
                raise
    return None


# --- processes


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def start(*command, **options):
    return subprocess.Popen([str(c) for c in command], preexec_fn=die_with_parent, **options)


def end(process):
    """Ends a child by its pid; returns its status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
    for stream in (process.stdout, process.stdin):
        if stream:
            stream.close()
    return process.wait()


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          preexec_fn=die_with_parent, **options)
    check(done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout.strip()}")
    return done.stdout


def load(*arguments):
    """Runs the load maker; returns what it says that it did."""
    return json.loads(run(LOAD, *arguments).splitlines()[-1])


def loads(*commands):
    """Runs several at once."""
    running = [start(LOAD, *c, stdout=subprocess.PIPE, text=True) for c in commands]
    try:
        out = [process.communicate(timeout=120)[0] for process in running]
        for process, command in zip(running, commands):
            check(process.returncode == 0, f"load {command} ended with {process.returncode}")
        return [json.loads(o.splitlines()[-1]) for o in out]
    finally:
        for process in running:
            end(process)


def child(work):
    """A child of this process that does `work` and ends; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        die_with_parent()
        work()
        status = 0
    except BaseException:  # told by the status; the parent's tests are not to run in the child
        traceback.print_exc(file=sys.stdout)
    finally:
        sys.stdout.flush()
        os._exit(status)


def alive(pid):
    """Neither gone nor a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


# --- the program


class Trimtab:
    """One running program. The HTTP traffic with it is counted, for tests of bytes."""

    def __init__(self, env=None, netns=None):
        self.env = {**EXACT, **(env or {})}
        self.netns = netns
        self.process = self.dir = self.log = self.state = None
        self.address = None
        self.http_bytes = 0
        self.http_settled = 0  # those of them that the sources had seen when last read

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="trimtab-kernel-")
        os.chmod(self.dir, 0o755)
        self.log = open(os.path.join(self.dir, "log"), "w+")
        self.state = os.path.join(self.dir, "state")
        enter = ["ip", "netns", "exec", self.netns] if self.netns else []
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRIMTAB_")}
        self.process = start(*enter, PROGRAM, "run", "--listen", f"127.0.0.1:{free_port()}",
                             "--state-dir", self.state, env={**environment, **self.env},
                             stderr=self.log, stdout=self.log)
        try:
            self.address = until("the program's address", self._address)
            until("/readyz", self._ready)
            self.fresh()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if kind and kind is not SystemExit:
            print(f"# log of the program:\n{self.said()}", flush=True)
        end(self.process)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def said(self):
        with open(self.log.name) as f:
            return f.read()

    def _address(self):
        check(self.process.poll() is None, f"the program ended: {self.said()}")
        for word in self.said().split():
            if word.startswith("http://"):
                host, port = word[7:].rstrip("/").split(":")
                return host, int(port)
        return None

    def _ready(self):
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def request(self, method, path, token=None):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\nContent-Length: 0\r\n"
        answer = b""
        with socket.create_connection(self.address, timeout=DEADLINE_S) as s:
            s.sendall((head + "\r\n").encode())
            while chunk := s.recv(65536):
                answer += chunk
        self.http_bytes += len(head) + 2 + len(answer)
        top, _, body = answer.partition(b"\r\n\r\n")
        if not top:
            raise ConnectionResetError(f"no answer to {path}")
        return int(top.split()[1]), body.decode()

    def get(self, path):
        status, body = self.request("GET", path)
        check(status == 200, f"GET {path}: {status} {body}")
        return body

    def status(self):
        return json.loads(self.get("/api/status"))

    def pid_of(self, role):
        return next(r["pid"] for r in self.status()["roles"] if r["name"] == role)

    def token(self):
        with open(os.path.join(self.state, "token")) as f:
            return f.read().strip()

    def exact(self, seconds):
        status, body = self.request("POST", f"/api/syscall/exact?seconds={seconds}", self.token())
        check(status // 100 == 2, f"POST /api/syscall/exact: {status} {body}")

    def ticks_by_module(self):
        """They do not all tick at the same moment."""
        return {m["name"]: m["ticks"] for m in self.status()["modules"] if m["state"] == "running"}

    def ticks(self):
        return min(self.ticks_by_module().values())

    def fresh(self, sweeps=0):
        """Waits until every source was read after now, and so many whole TCP sweeps."""
        if sweeps:
            done = self.sweeps()
            # one may have been under way
            until("TCP sweeps", lambda: self.sweeps() > done + sweeps)
        done = self.ticks_by_module()

        def ticked():
            self.http_settled = self.http_bytes
            now = self.ticks_by_module()
            return all(now[module] > ticks for module, ticks in done.items())

        until("the next tick", ticked)

    def sweeps(self):
        return self.series("trimtab_tcp_sweeps_total").value("trimtab_tcp_sweeps_total")

    def series(self, match="trimtab_*"):
        found, total = [], 1
        while len(found) < total:
            query = urllib.parse.urlencode({"format": "json", "match": match,
                                            "limit": 1000, "offset": len(found)})
            page = json.loads(self.get(f"/api/metrics?{query}"))
            total = page["total"]
            check(page["metrics"] or not total, "a page of /api/metrics is empty")
            found += page["metrics"]
        return Series(found)

    def after(self, match="trimtab_*", sweeps=0):
        self.fresh(sweeps)
        return self.series(match)

    def text(self):
        """/metrics: values by the whole name as it stands there."""
        values = {}
        for line in self.get("/metrics").splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values


class Series:
    """A reading of /api/metrics. A series that is not there reads as 0: it never had an event."""

    def __init__(self, metrics):
        self.all = {}
        for m in metrics:
            self.all[m["name"], frozenset(m["labels"].items())] = m

    def one(self, name, **labels):
        return self.all.get((name, frozenset((k, str(v)) for k, v in labels.items())), {})

    def value(self, name, **labels):
        return self.one(name, **labels).get("value", 0)

    def count(self, name, **labels):
        return self.one(name, **labels).get("count", 0)

    def sum(self, name, **labels):
        return self.one(name, **labels).get("sum", 0)

    def buckets(self, name, **labels):
        return {edge: n for edge, n in self.one(name, **labels).get("buckets", [])}

    def having(self, name, **labels):
        """All series of a name with at least these labels."""
        want = {(k, str(v)) for k, v in labels.items()}
        return [m for (n, l), m in self.all.items() if fnmatch.fnmatch(n, name) and want <= l]

    def calls(self, syscall):
        """Observed returns of a syscall: those with a duration and the late ones."""
        return (self.count("trimtab_syscall_duration_seconds", syscall=syscall)
                + self.value("trimtab_syscall_late_total", syscall=syscall))


def risen(before, after, name, **labels):
    """How much a counter, or a histogram's count, rose."""
    if after.one(name, **labels).get("type") == "histogram":
        return after.count(name, **labels) - before.count(name, **labels)
    return after.value(name, **labels) - before.value(name, **labels)


def sum_risen(before, after, name, **labels):
    return after.sum(name, **labels) - before.sum(name, **labels)


def buckets_risen(before, after, name, **labels):
    old = before.buckets(name, **labels)
    new = after.buckets(name, **labels)
    return {edge: n - old.get(edge, 0) for edge, n in new.items() if n > old.get(edge, 0)}


def median_bucket(buckets):
    """The upper edge of the bucket that holds the median; edges are 2^(i/8) s."""
    half, seen = sum(buckets.values()) / 2, 0
    for edge in sorted(buckets):
        seen += buckets[edge]
        if seen >= half:
            return edge
    return 0


STEP = 2 ** (1 / 8)  # from one edge to the next


def falls(before, after):
    """The counters and histogram counts that fell between two readings of /metrics as text."""
    return [f"{name}: {value} -> {after.get(name)}" for name, value in before.items()
            if counter_name(name) and after.get(name, 0) < value - 1e-9]


def counter_name(name):
    bare = name.split("{")[0]
    return bare.startswith("trimtab_") and bare.endswith(("_total", "_count", "_sum", "_bucket"))


# --- places: loop devices, network namespaces


class Loop:
    """A loop device on a sparse file of its own."""

    def __init__(self, mib=64, directory=None, direct=False):
        self.mib, self.directory, self.direct = mib, directory, direct
        self.file = self.path = None

    def __enter__(self):
        fd, self.file = tempfile.mkstemp(prefix="trimtab-loop-", dir=self.directory)
        os.ftruncate(fd, self.mib << 20)
        os.close(fd)
        options = ["--direct-io=on"] if self.direct else []
        try:
            self.path = run("losetup", "--find", "--show", *options, self.file).strip()
        except Failed as e:
            os.unlink(self.file)
            raise Skip(f"no loop device: {e}") from e
        return self

    def __exit__(self, *_):
        run("losetup", "--detach", self.path)
        os.unlink(self.file)

    @property
    def name(self):
        return os.path.basename(self.path)

    def stat(self):
        """The kernel's own counts of the device."""
        with open(f"/sys/block/{self.name}/stat") as f:
            n = [int(x) for x in f.read().split()]
        return {"reads": n[0], "read_bytes": n[2] * 512, "writes": n[4], 
                "written_bytes": n[6] * 512, "discards": n[11], "flushes": n[15]}


def aligned(size):
    """A buffer that O_DIRECT takes."""
    return mmap.mmap(-1, size)


def nstat():
    """The kernel's own TCP counters of this process's network namespace."""
    values = {}
    for path in ("/proc/self/net/snmp", "/proc/self/net/netstat"):
        with open(path) as f:
            lines = f.read().splitlines()
        for names, numbers in zip(lines[::2], lines[1::2]):
            prefix = names.split(":")[0]
            for name, number in zip(names.split()[1:], numbers.split()[1:]):
                values[prefix + name] = int(number)
    return values


class Cgroup:
    """A cgroup2 of its own for this process and its children, by which its sockets are told from
    those of others."""

    def __enter__(self):
        self.root = next((line.split()[1] for line in open("/proc/mounts")
                          if line.split()[2] == "cgroup2"), None)
        if not self.root:
            raise Skip("no cgroup2 is mounted")
        with open("/proc/self/cgroup") as f:
            self.back = next(line.split(":", 2)[2].strip() for line in f if line.startswith("0:"))
        self.label = f"/trimtab-test-{os.getpid()}"
        os.mkdir(self.root + self.label)
        self.move(self.label)
        return self

    def move(self, to):
        with open(f"{self.root}{to}/cgroup.procs", "w") as f:
            f.write(str(os.getpid()))

    def __exit__(self, *_):
        self.move(self.back)
        until("the cgroup to be empty", self.removed)

    def removed(self):
        try:
            os.rmdir(self.root + self.label)
        except OSError:
            return False
        return True


def in_own_network():
    """Goes on in a new network namespace whose loopback is up: nobody else's packets are there."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000):  # CLONE_NEWNET
        raise Skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    run("ip", "link", "set", "lo", "up")


# --- running tests


def whole(test):
    """Runs a test; once more, twice at most, if a count is too low and PID 1 ran."""
    for again in (2, 1, 0):
        runs = runs_of_init()
        try:
            return test()
        except Missing as e:
            runs = runs_of_init() - runs
            if not again or not runs:
                raise
            print(f"# {test.__name__} again: {e}; PID 1 ran {runs} times", flush=True)
    return None


def main(tests):
    """Runs tests in order, each a function whose name is the test's; returns the status."""
    if os.geteuid():
        print(f"skip {os.path.basename(sys.argv[0])} needs root")
        return 77
    wanted, failed = sys.argv[1:], 0
    for test in tests:
        name = test.__name__
        if wanted and name not in wanted:
            continue
        begun = time.monotonic()
        try:
            whole(test)
            print(f"ok {name} # {time.monotonic() - begun:.1f} s", flush=True)
        except Skip as e:
            print(f"skip {name} {e}", flush=True)
        except Failed as e:
            failed += 1
            print(f"not ok {name} {e}", flush=True)
        except Exception:  # what no test foresaw is a failure of that test, not of those after it
            failed += 1
            print(f"not ok {name} see below", flush=True)
            traceback.print_exc(file=sys.stdout)
    return 1 if failed else 0
