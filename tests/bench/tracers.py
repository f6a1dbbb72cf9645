"""The tracers that are compared: how each is started, and how it is known to be really attached.

A tracer counts as attached when as many of its BPF programs as it should have running have run at
least once, by the kernel's own run counts: that they are loaded, or that it has said so, is not
enough. trimtab is asked through /readyz too.
"""
import contextlib
import os
import re
import subprocess
import urllib.request

from common import BUILD, DEADLINE_S, Absent, free_port, helper, json_of, program, tree, until

BT_SYSCALLS = (
    "tracepoint:raw_syscalls:sys_enter { @start[tid] = nsecs; } "
    "tracepoint:raw_syscalls:sys_exit /@start[tid]/ "
    "{ @ns[args->id] = hist(nsecs - @start[tid]); delete(@start[tid]); }")
BT_BLOCK = (
    "tracepoint:block:block_rq_issue { @start[args->dev, args->sector] = nsecs; } "
    "tracepoint:block:block_rq_complete /@start[args->dev, args->sector]/ "
    "{ @ns = hist(nsecs - @start[args->dev, args->sector]); "
    "delete(@start[args->dev, args->sector]); }")
BT_RUNQ = (
    "tracepoint:sched:sched_wakeup, tracepoint:sched:sched_wakeup_new { @q[args->pid] = nsecs; } "
    "tracepoint:sched:sched_switch { if (args->prev_state == 0) { @q[args->prev_pid] = nsecs; } "
    "$at = @q[args->next_pid]; if ($at) { @ns = hist(nsecs - $at); } delete(@q[args->next_pid]); }")


class Tracer:
    """One way to trace. `programs`: how many of its BPF programs must have run before it counts."""

    steady = True  # the same cost all the time, so that a median of slices may stand for it
    repeats = 1    # a tracer that works in short windows is watched for longer
    prefix = ""    # of the names of the programs that must have run
    process = None

    def __init__(self, name, command, programs):
        self.name, self.command, self.programs = name, command, programs

    def start(self, session):
        self.process = session.start([program(self.command[0]), *self.command[1:]])
        until(f"{self.name} to load", lambda: len(self.program_ids()) >= self.programs,
              alive=self.process)
        wait_until_run(session, self)

    def stop(self, session):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended by itself, status {self.process.returncode}")
        ids = program_ids(self.process.pid)
        session.stop(self.process)
        until(f"{self.name} to be gone", lambda: not ids & set(run_times()))

    def program_ids(self):
        return program_ids(self.process.pid)


class Nothing(Tracer):
    """Starts nothing: the control."""

    def __init__(self, name):
        super().__init__(name, [], 0)

    def start(self, session):
        pass

    def stop(self, session):
        pass

    def program_ids(self):
        return set()


class Object(Tracer):
    """A BPF object held by the floor loader."""

    def __init__(self, name, path, options=()):
        super().__init__(name, [], 0)
        self.path, self.options = path, list(options)

    def start(self, session):
        self.process = session.start([helper("floor"), *self.options, self.path],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None)
        wait_ready(self.process, self.name)


class Trimtab(Tracer):
    """build/trimtab as a user runs it, its syscall mode and other options given by the environment."""

    def __init__(self, name, mode=None, **options):
        super().__init__(name, [], 1)
        self.env = {f"TRIMTAB_{key.upper()}": str(value).lower() for key, value in options.items()}
        if mode:
            self.env["TRIMTAB_SYSCALL_MODE"] = mode
        if mode == "exact":
            self.programs, self.prefix = 2, "syscall_e"  # on entry and on exit
        self.steady = mode in ("exact", "blocked") or self.env.get(
            "TRIMTAB_SYSCALL_ENABLED") == "false"
        self.repeats = 1 if self.steady else 3
        self.path = os.environ.get("TRIMTAB", os.path.join(BUILD, "trimtab"))

    def start(self, session, group=None):
        if not os.access(self.path, os.X_OK):
            raise Absent(f"{os.path.relpath(self.path)} is not there: run make")
        port, state = free_port(), session.folder()
        self.log = os.path.join(state, "log")
        self.process = session.start(
            [self.path, "run", "--listen", f"127.0.0.1:{port}", "--state-dir", state],
            log=self.log, group=group,
            env={**os.environ, **self.env})
        self.url = f"http://127.0.0.1:{port}"
        try:
            until(f"{self.url}/readyz", lambda: get(f"{self.url}/readyz"), alive=self.process)
            wait_until_run(session, self)
        except RuntimeError as error:
            with open(self.log, errors="replace") as f:
                raise RuntimeError(f"{error}; its log ends: {f.read()[-800:]}") from error


def floor(name, *programs):
    return Object(name, helper("floor.bpf.o"), ["--programs", ",".join(programs)])


def syscount():
    return Tracer("syscount -L", ["syscount", "-L"], 2)


def bpftrace(name, script, programs):
    return Tracer(name, ["bpftrace", "-e", script], programs)


def get(url, headers=None):
    """The body, or None while there is none to be had."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return answer.read() or b" "
    except OSError:
        return None


@contextlib.contextmanager
def attached(tracer, session):
    """Traces inside the block; ends the tracer also when it could not be attached."""
    try:
        tracer.start(session)
        yield
    except BaseException:
        if tracer.process:
            session.stop(tracer.process)
        raise
    tracer.stop(session)


def loaded_by_others():
    """Names of the BPF programs that are here before anything was started: they disturb."""
    return sorted(name or "(unnamed)" for name, _, _ in run_times().values())


# --- the kernel's run-time statistics


class Stats:
    """Keeps BPF_STATS_RUN_TIME on while it lives, without touching the sysctl."""

    def __init__(self, session):
        self.session = session

    def __enter__(self):
        self.process = self.session.start([helper("floor"), "--stats"], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=None)
        wait_ready(self.process, "BPF statistics")

    def __exit__(self, *_):
        self.session.stop(self.process)


def wait_ready(process, name):
    line = process.stdout.readline()
    if not line.startswith(b"ready"):
        raise RuntimeError(f"{name}: could not be attached (see above)")


def program_ids(pid):
    """Ids of the BPF programs that a process and its children hold, directly or by a link."""
    ids = set()
    for each in tree(pid):
        try:
            for fd in os.listdir(f"/proc/{each}/fdinfo"):
                with open(f"/proc/{each}/fdinfo/{fd}") as f:
                    ids.update(int(n) for n in re.findall(r"^prog_id:\s*(\d+)", f.read(), re.M))
        except OSError:
            pass
    return ids


def run_times():
    """{program id: (name, run time in ns, runs)} of every program loaded now."""
    listing = json_of([program("bpftool"), "-j", "prog", "show"])
    return {p["id"]: (p.get("name", ""), p.get("run_time_ns", 0), p.get("run_cnt", 0))
            for p in listing}


def wait_until_run(session, tracer):
    """Until enough of its programs have run; writing a file to the disk makes disk programs run."""
    def have_run():
        with open(os.path.join(BUILD, "bench", "touch"), "wb") as f:
            f.write(b"x" * 4096)
            os.fsync(f.fileno())
        now, mine = run_times(), tracer.program_ids()
        ran = [i for i in mine if i in now and now[i][0].startswith(tracer.prefix) and now[i][2]]
        return len(ran) >= tracer.programs

    with Stats(session):
        until(f"{tracer.name} to be attached", have_run, alive=tracer.process)
