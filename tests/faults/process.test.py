#!/usr/bin/env python3
"""process.test.py - what ends, hangs or is started twice: nothing is left behind, and nothing is lost
that the kernel counted."""
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time

from program import (Skip, check, children, free_port, gone, in_mounts, main,
                     probe_states, wait_for)

QUIET = {"TRIMTAB_HOST_ENABLED": "false"}


def left_nothing(program, agent, ids):
    wait_for(f"the agent ({agent}) to end", lambda: gone(agent))
    check(ids["prog"] and ids["link"] and ids["map"], "it held no BPF programs:", ids)
    program.wait_unloaded(ids)
    check(os.listdir(program.state_dir) == ["token"], "left in the state directory:",
          os.listdir(program.state_dir))


def test_ends_by_signal(t):
    """With SIGTERM and SIGINT: status 0, no process, no BPF program, link or map, no file."""
    for sig in (signal.SIGTERM, signal.SIGINT):
        program = t.run()
        program.ready()
        agent, ids = program.agent()["pid"], program.bpf_ids()
        check(program.stop(sig) == 0, "its status after", sig, program.log())
        check(not program.find(" (warn|error) "), program.log())
        left_nothing(program, agent, ids)


def test_ends_while_starting(t):
    """A signal at any moment of the start ends it, with 0 or by the signal, and leaves nothing."""
    for part in range(8):
        program = t.run(env={"TRIMTAB_LOG_LEVEL": "debug"})
        if part % 2:
            wait_for("its first map", lambda: program.process.poll() is not None or program.bpf_ids()["map"])
        program.process.send_signal(signal.SIGTERM)
        status = program.ended()
        check(status in (0, -signal.SIGTERM), "its status was", status, program.log())


def test_ends_with_clients(t):
    """Open connections, one in the middle of its request, do not hold it up."""
    program = t.run()
    program.ready()
    address = ("127.0.0.1", int(program.url.rsplit(":", 1)[1]))
    idle = [socket.create_connection(address) for _ in range(20)]
    idle[0].sendall(b"GET /metrics HTT")
    idle[1].sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
    check(idle[1].recv(16).startswith(b"HTTP/1.1 200"), "no answer")
    check(program.stop() == 0, program.log())
    for s in idle:
        s.close()


def test_ends_with_a_stopped_agent(t):
    program = t.run()
    program.ready()
    agent, ids = program.agent()["pid"], program.bpf_ids()
    os.kill(agent, signal.SIGSTOP)
    check(program.stop() == 0, program.log())
    left_nothing(program, agent, ids)


def test_keeper_killed(t):
    program = t.run()
    program.ready()
    agent, ids = program.agent()["pid"], program.bpf_ids()
    os.kill(program.pid, signal.SIGKILL)
    program.ended()
    left_nothing(program, agent, ids)


def counted_calls(program):
    found = [v for n, v in program.counters().items()
             if n == 'trimtab_syscall_duration_seconds_count{syscall="sched_rr_get_interval"}']
    return found[0] if found else 0


def make_calls(n):
    libc, out = ctypes.CDLL(None), (ctypes.c_long * 2)()
    for _ in range(n):
        libc.sched_rr_get_interval(0, out)


def next_agent(program, old):
    def started():
        own = children(program.pid)
        return own and own[0] != old and program.get("/readyz")[0] == 200
    wait_for("the agent to be back\n" + program.log(), started)
    return program.agent()


def test_agent_killed_again_and_again(t):
    """Each time it is back on its port, after twice the pause; the restarts are counted, no counter
    falls, and every call made meanwhile is there."""
    program = t.run(listen=f"127.0.0.1:{free_port()}", env={"TRIMTAB_SYSCALL_MODE": "exact",
                                                             "TRIMTAB_AGENT_BUDGET_RATIO": "1"})
    program.ready()
    make_calls(1)
    wait_for("the first call", lambda: counted_calls(program))
    first, before, agent = counted_calls(program), program.counters(), program.agent()
    for round_ in range(4):
        make_calls(500)
        os.kill(agent["pid"], signal.SIGKILL)
        make_calls(500)
        line = program.wait_line("role agent ended by signal 9", round_ + 1)
        pause = int(re.search(r"restarting in (\d+) ms", line).group(1))
        check(pause == 100 << round_, "pause", round_, "is", line)
        agent = next_agent(program, agent["pid"])
        check(agent["restarts"] == round_ + 1, agent)
        metrics = program.counters()
        check(metrics['trimtab_role_restarts_total{role="agent"}'] == round_ + 1, "the restarts' counter")
        fallen = [n for n, v in before.items() if n in metrics and metrics[n] < v]
        check(not fallen, "fell:", fallen[:5])
        before = metrics
    expected = first + 4 * 1000
    wait_for("all calls", lambda: counted_calls(program) >= expected)
    check(counted_calls(program) == expected, counted_calls(program), "calls counted of", expected)
    check(program.stop() == 0, program.log())


def test_hanging_agent(t):
    """Stopped, it has no beat: the keeper kills it, says so, and starts another."""
    program = t.run(listen=f"127.0.0.1:{free_port()}", env={"TRIMTAB_AGENT_HANG_MS": "1000"})
    program.ready()
    agent, before = program.agent(), program.counters()
    os.kill(agent["pid"], signal.SIGSTOP)
    line = program.wait_line("role agent has not run for 1 s")
    check("agent.hang_ms" in line and " error " in line, line)
    agent = next_agent(program, agent["pid"])
    check(agent["restarts"] == 1, agent)
    after = program.counters()
    check(not [n for n, v in before.items() if n in after and after[n] < v], "a counter fell")
    check(program.stop() == 0, program.log())


def test_pause_is_no_hang(t):
    """Both stopped, as by a frozen cgroup, for longer than hang_ms: nothing is killed."""
    program = t.run(env={"TRIMTAB_AGENT_HANG_MS": "1000"})
    program.ready()
    agent = program.agent()
    for pid in (program.pid, agent["pid"]):
        os.kill(pid, signal.SIGSTOP)
    paused_until = time.monotonic() + 1.5
    wait_for("the pause to pass", lambda: time.monotonic() > paused_until)
    os.kill(program.pid, signal.SIGCONT)
    os.kill(agent["pid"], signal.SIGCONT)
    ticks = program.status()["modules"][0]["ticks"]
    wait_for("a second of ticks", lambda: program.status()["modules"][0]["ticks"] > ticks + 12)
    check(program.agent()["restarts"] == 0 and not program.find("has not run"), program.log())
    check(program.stop() == 0, program.log())


def test_streams_closed(t):
    """Without standard streams no descriptor of its own takes their numbers and gets the log."""
    port = free_port()
    program = t.run(listen=f"127.0.0.1:{port}", wrap=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"],
                    env={"TRIMTAB_LOG_LEVEL": "debug"})
    program.url = f"http://127.0.0.1:{port}"
    wait_for("it to serve", lambda: program.get("/readyz")[0] == 200)
    for pid in (program.pid, program.agent()["pid"]):
        for fd in range(3):
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
            check(path == "/dev/null", f"descriptor {fd} of {pid} is {path}")
    check(program.stop() == 0, "its status")


def test_log_reader_gone(t):
    port = free_port()
    read, write = os.pipe()
    program = t.run(listen=f"127.0.0.1:{port}",
                    wrap=["sh", "-c", f'exec "$@" 2>/proc/{os.getpid()}/fd/{write}', "sh"])
    program.url = f"http://127.0.0.1:{port}"
    wait_for("it to serve", lambda: program.get("/readyz")[0] == 200)
    os.close(read)
    os.close(write)
    agent = program.agent()
    os.kill(agent["pid"], signal.SIGKILL)  # makes the keeper write a line to nobody
    next_agent(program, agent["pid"])
    held = program.status()["log"]["held_back"]
    check(isinstance(held, int), "no count of lines held back")
    check(program.stop() == 0, "its status")


def test_disk_full_for_the_log(t):
    """A log file on a full file system costs lines, not service."""
    port = free_port()
    program = t.run(listen=f"127.0.0.1:{port}", wrap=["sh", "-c", 'exec "$@" 2>/dev/full', "sh"])
    program.url = f"http://127.0.0.1:{port}"
    wait_for("it to serve", lambda: program.get("/readyz")[0] == 200)
    check(program.status()["log"]["held_back"] > 0, program.status()["log"])
    check(program.stop() == 0, "its status")


def test_started_twice(t):
    port = free_port()
    first = t.run(listen=f"127.0.0.1:{port}")
    first.ready()
    ids = first.bpf_ids()
    line = t.refused(listen=f"127.0.0.1:{port}")
    for word in (f"127.0.0.1:{port}", "another program listens there", "--listen", "serve.listen"):
        check(word in line, f'no "{word}" in: {line}')
    check(first.get("/readyz")[0] == 200, "the first one ended")
    beside = t.run()
    beside.ready()
    check(beside.token() == first.token(), "two tokens in one directory")
    check(beside.stop() == 0, beside.log())
    for i in ids["prog"]:
        check(subprocess.run(["bpftool", "prog", "show", "id", str(i)], capture_output=True).returncode == 0,
              "the second one unloaded a program of the first:", i)
    check(set(probe_states(first.status()).values()) == {"attached"}, first.status()["probes"])
    check(first.stop() == 0, first.log())


def test_address_not_to_be_had(t):
    line = t.refused(listen="192.0.2.7:8000")
    check("192.0.2.7:8000" in line and "no such address" in line and "--listen" in line, line)
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as f:
        if int(f.read()) <= 89:
            raise Skip("every port is free for all here")
    line = t.refused(listen="127.0.0.1:89")
    check("127.0.0.1:89" in line and "below 1024" in line and "--listen" in line, line)


def test_port_lost_in_a_crash(t):
    """Another program takes the port while the agent is down: it tries until the port is free."""
    port = free_port()
    program = t.run(listen=f"127.0.0.1:{port}")
    program.ready()
    agent = program.agent()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(agent["pid"], signal.SIGKILL)
        wait_for("the agent to be gone", lambda: gone(agent["pid"]))
        thief.bind(("127.0.0.1", port))
        thief.listen()
        program.wait_line(f"cannot listen on 127.0.0.1:{port}")
        check(program.process.poll() is None, "it gave up:\n" + program.log())
    next_agent(program, agent["pid"])
    check(program.stop() == 0, program.log())


def test_no_standard_folders(t):
    """A root with nothing but the program's libraries, /proc and /sys, as in a bare container."""
    program = t.run(wrap=in_mounts("mount -t tmpfs none /var; mount -t tmpfs none /run; mount -t tmpfs none /home"))
    check(set(probe_states(program.ready()).values()) == {"attached"}, program.log())
    check(program.stop() == 0, program.log())


if __name__ == "__main__":
    sys.exit(main(globals()))
