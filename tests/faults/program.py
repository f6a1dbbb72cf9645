"""program.py - runs the real program for the tests of this folder, and tells their results.

A test is a function test_NAME(t) of a *.test.py file; main() runs all of them in turn, prints
"ok NAME", "not ok NAME reason" or "skip NAME reason", and gives 1 if one failed. `t` is a Case: a
temporary directory, and what is to be undone. Every wait is for a condition, with a deadline. Only
processes started here are ended, by their pid; the agent's pid is taken from /api/status.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRIMTAB = os.environ.get("TRIMTAB", os.path.join(ROOT, "build", "trimtab"))
DEADLINE_S = 30
NOBODY = 65534
PROBES = {"sched", "syscall", "disk", "tcp"}

sys.path.insert(0, os.path.join(ROOT, "tests", "helpers"))
from waits import free_port, wait_for  # noqa: E402


class Skip(Exception):
    pass


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def is_sanitized():
    with open(TRIMTAB, "rb") as f:
        return b"__asan_init" in f.read()


def environment(**more):
    """What the program is to see: nothing of trimtab's but what a test sets."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("TRIMTAB_")}
    env.setdefault("TRIMTAB_AGENT_PERIOD_MS", "100")
    supp = os.path.join(ROOT, "tests", "lsan.supp")
    env["ASAN_OPTIONS"] = "abort_on_error=1:detect_leaks=1"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    if os.path.exists(supp):
        env["LSAN_OPTIONS"] = f"suppressions={supp}:print_suppressions=0"
    env.update(more)
    return {k: v for k, v in env.items() if v is not None}


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


class Program:
    """One `trimtab run`. Its log is read to the end, so that it never waits for us."""

    def __init__(self, case, *args, wrap=(), env=None, state_dir=None, listen="127.0.0.1:0", binary=None,
                 preexec=None):
        self.state_dir = state_dir if state_dir is not None else os.path.join(case.dir, "state")
        self.lines = []
        command = [*wrap, binary or TRIMTAB, "run", *args, "--state-dir", self.state_dir]
        if listen:
            command += ["--listen", listen]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace",
                                        env=environment(**(env or {})), preexec_fn=preexec)
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.url = None
        self.agents = set()
        case.undo(self.kill)
        case.programs.append(self)

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def log(self):
        return "\n".join(self.lines)

    def find(self, pattern):
        return [line for line in self.lines if re.search(pattern, line)]

    def wait_line(self, pattern, count=1):
        def found():
            hits = self.find(pattern)
            if len(hits) >= count:
                return hits
            check(self.process.poll() is None or self.reader.is_alive() or len(self.find(pattern)) >= count,
                  f"it ended with {self.process.poll()} and never said /{pattern}/:\n{self.log()}")
            return None
        try:
            return wait_for(f"/{pattern}/", found)[-1]
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log()}") from None

    def ready(self):
        """Waits until it serves and each module has run; the status."""
        line = self.wait_line(r"page and API at http")
        self.url = re.search(r"https?://[^/]+", line).group(0)
        wait_for(f"{self.url}/readyz", lambda: self.get("/readyz")[0] == 200)
        return self.status()

    def get(self, path, token=None, method="GET", body=None):
        """Status and text; 0 if nobody answers."""
        request = urllib.request.Request(self.url + path, method=method, data=body)
        if token is not None:
            request.add_header("Authorization", "Bearer " + token)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode("utf-8", "replace")
        except (OSError, ValueError):
            return 0, ""

    def status(self):
        code, text = self.get("/api/status")
        check(code == 200, "/api/status answered", code, text[:200])
        return json.loads(text)

    def agent(self):
        found = next(r for r in self.status()["roles"] if r["name"] == "agent")
        self.agents.add(found["pid"])
        return found

    def token(self):
        with open(os.path.join(self.state_dir, "token")) as f:
            return f.read().strip()

    def counters(self):
        """Every counter and histogram bucket of a scrape, by its whole name."""
        text, kinds, found = self.get("/metrics")[1], {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                kinds[name] = kind
            elif line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                base = re.sub(r"(_bucket|_count|_sum)?(\{.*)?$", "", name)
                if kinds.get(base) == "histogram" or kinds.get(name.split("{")[0]) == "counter":
                    found[name] = float(value)
        return found

    def bpf_ids(self):
        """The ids of all programs, links and maps that the keeper holds."""
        found = {"prog": set(), "link": set(), "map": set()}
        for fd in os.listdir(f"/proc/{self.pid}/fdinfo"):
            try:
                with open(f"/proc/{self.pid}/fdinfo/{fd}") as f:
                    text = f.read()
            except OSError:
                continue
            for kind, ids in found.items():
                own = re.search(rf"^{kind}_id:\s*(\d+)", text, re.M)
                if own:
                    ids.add(int(own.group(1)))
        return found

    def wait_unloaded(self, ids):
        """Until the kernel has let go of these (it does so a moment after the last descriptor)."""
        def left():
            return [f"{kind} {i}" for kind in ids for i in ids[kind]
                    if subprocess.run(["bpftool", kind, "show", "id", str(i)],
                                      capture_output=True).returncode == 0]
        try:
            wait_for("BPF to be unloaded", lambda: not left())
        except AssertionError as e:
            raise AssertionError(f"{e}; still loaded: {left()}") from None

    def ended(self, seconds=DEADLINE_S):
        """Its exit status, once it has ended; negative: the signal."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {seconds} s:\n{self.log()}") from None
        self.reader.join(DEADLINE_S)
        return status

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.ended()

    def is_own(self, pid):
        """Whether it is still a process of this program: a fork has its parent's arguments."""
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                return self.state_dir in f.read().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            return False

    def kill(self):
        """Ends what still runs, first as it should be ended: a sanitizer looks for leaks then."""
        if self.process.poll() is None:
            self.agents.update(children(self.pid))
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.agents:
            if self.is_own(pid):
                os.kill(pid, signal.SIGKILL)


class Case:
    def __init__(self, base, name):
        self.dir = os.path.join(base, name)
        os.mkdir(self.dir, 0o755)
        self.undos = []
        self.programs = []

    def undo(self, function):
        self.undos.append(function)

    def file(self, name, content, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def run(self, *args, **more):
        return Program(self, *args, **more)

    def refused(self, *args, **more):
        """Starts it where it cannot go on: one error line and a status that is not 0. The line."""
        program = Program(self, *args, **more)
        status = program.ended()
        check(status not in (0, None) and status > 0, "its status was", status, program.log())
        errors = program.find(r"^trimtab: | error ")
        check(len(errors) == 1, "not one line of error:\n" + program.log())
        return errors[0]

    def command(self, *args, **more):
        """Another command of the program: status, standard output, lines of standard error."""
        done = subprocess.run([TRIMTAB, *args], capture_output=True, text=True, errors="replace",
                              timeout=DEADLINE_S, env=environment(**(more.pop("env", None) or {})), **more)
        return done.returncode, done.stdout, done.stderr.splitlines()

    def as_nobody(self):
        """A copy of the program that anyone can run, and what it is to be started with."""
        copy = os.path.join(self.dir, "trimtab")
        shutil.copy(TRIMTAB, copy)
        os.chmod(copy, 0o755)
        return {"binary": copy,
                "wrap": ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]}

    def close(self):
        for function in reversed(self.undos):
            function()
        for program in self.programs:
            program.reader.join(DEADLINE_S)
            if re.search(r"Sanitizer|runtime error:", program.log()):
                return program.log()
        return None


def in_mounts(script, *more):
    """A wrapper that runs the program in a mount namespace of its own, after `script`, whose $1, ...
    are `more`."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec",
            f'{script}; shift {len(more)}; exec "$@"', "sh", *more]


def without_capabilities(*names):
    """A wrapper that runs the program as root without these capabilities."""
    names = ",-".join(name.lower() for name in names)
    return ["setpriv", f"--bounding-set=-{names}", f"--inh-caps=-{names}"]


def probe_states(status):
    """Of those that are wanted."""
    return {p["name"]: p["state"] for p in status["probes"] if p["state"] != "off"}


def probe_reasons(status):
    """Of those that are wanted."""
    return {p["name"]: p["reason"] for p in status["probes"] if p["state"] != "off"}


def module_states(status):
    return {m["name"]: m["state"] for m in status["modules"]}


def main(tests):
    """tests: globals() of the file."""
    if os.geteuid() != 0:
        print(f"skip {os.path.basename(sys.argv[0])} needs root")
        return 0
    base = tempfile.mkdtemp(prefix="trimtab-faults-")
    os.chmod(base, 0o755)
    failed = 0
    wanted = sys.argv[1:]
    for name, function in list(tests.items()):
        if not name.startswith("test_") or (wanted and name[5:] not in wanted):
            continue
        name = name[5:]
        case, started = Case(base, name), time.monotonic()
        try:
            function(case)
            result = f"ok {name}"
        except Skip as e:
            result = f"skip {name} {e}"
        except Exception as e:  # a test must not end the others
            failed += 1
            reason = str(e) if isinstance(e, AssertionError) and str(e) else traceback.format_exc()
            first, *rest = reason.splitlines() or [repr(e)]
            result = "\n".join([f"not ok {name} {first}", *(f"# {line}" for line in rest)])
        complaint = case.close()
        if complaint:
            failed += result.startswith("ok")
            result = f"not ok {name} a sanitizer complains\n" + complaint
        print(result, f"# {time.monotonic() - started:.1f} s" if result.startswith("ok") else "", flush=True)
    shutil.rmtree(base, ignore_errors=True)
    return 1 if failed else 0
