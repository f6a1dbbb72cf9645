#!/usr/bin/env python3
"""confined.test.py - what the processes of a running program may do: the agent, which reads the network,
nothing that its work does not need; the keeper, which is root, nothing with the network."""
import os
import re
import stat
import sys

from program import NOBODY, Skip, check, is_sanitized, main

O_ACCMODE, O_RDONLY = 3, 0


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":", 1) for line in f if ":" in line)


def descriptors(pid):
    """Number, target and open flags of each."""
    for fd in sorted(int(n) for n in os.listdir(f"/proc/{pid}/fd")):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            with open(f"/proc/{pid}/fdinfo/{fd}") as f:
                flags = int(re.search(r"^flags:\s*(\d+)", f.read(), re.M).group(1), 8)
        except FileNotFoundError:
            continue
        yield fd, target, flags


def started(t):
    program = t.run()
    program.ready()
    return program, program.agent()["pid"]


def test_user_and_capabilities(t):
    program, agent = started(t)
    status = status_of(agent)
    for field in ("Uid", "Gid"):
        check(status[field].split() == [str(NOBODY)] * 4, field, "is", status[field])
    check(not status["Groups"].split(), "groups", status["Groups"])
    for field in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        check(int(status[field], 16) == 0, field, "is", status[field])
    check(status["NoNewPrivs"].strip() == "1", "NoNewPrivs", status["NoNewPrivs"])
    check(status["Umask"].strip() == "0077", "Umask", status["Umask"])
    check(status["Threads"].strip() == "1" or is_sanitized(), "Threads", status["Threads"])


def test_system_calls_filtered(t):
    if is_sanitized():
        raise Skip("AddressSanitizer's leak check needs what the filter forbids")
    program, agent = started(t)
    check(status_of(agent)["Seccomp"].strip() == "2", "Seccomp", status_of(agent)["Seccomp"])


def test_memory_unreadable_to_its_user(t):
    """Not dumpable: another process of the same user cannot trace it or read the token out of it."""
    program, agent = started(t)
    check(os.stat(f"/proc/{agent}/environ").st_uid == 0, "it is dumpable")


def test_no_bpf_but_maps(t):
    program, agent = started(t)
    kinds = {target for _, target, _ in descriptors(agent) if "bpf" in target}
    check(kinds == {"anon_inode:bpf-map"}, "it holds", kinds)


def test_arrays_mapped_for_reading(t):
    """Of the BPF arrays only the few whose counters it writes can be written by mistake."""
    program, agent = started(t)
    with open(f"/proc/{agent}/maps") as f:
        regions = [line.split() for line in f if "bpf-map" in line]
    size = {"r--s": 0, "rw-s": 0}
    for region in regions:
        start, end = (int(x, 16) for x in region[0].split("-"))
        size[region[1]] += end - start
    check(size["r--s"] > 500000, "mapped for reading:", size)


def test_no_writable_file_of_root(t):
    program, agent = started(t)
    found = []
    for fd, target, flags in descriptors(agent):
        if fd <= 2 or not target.startswith("/") or flags & O_ACCMODE == O_RDONLY:
            continue
        st = os.stat(f"/proc/{agent}/fd/{fd}")
        if st.st_uid == 0 and not (stat.S_ISCHR(st.st_mode) and target == "/dev/null"):
            found.append((fd, target))
    check(not found, "open for writing:", found)
    check(not [d for d in descriptors(agent) if "/token" in d[1]], "it holds the token's file")


def test_inherits_no_descriptor(t):
    """What whoever started it left open goes to nobody."""
    secret = t.file("secret", "x", 0o600)
    program = t.run(wrap=["sh", "-c", f'exec 7<>"{secret}"; exec "$@"', "sh"])
    program.ready()
    for pid in (program.pid, program.agent()["pid"]):
        check(secret not in [target for _, target, _ in descriptors(pid)], f"{pid} has it")


def inet_inodes():
    found = set()
    for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "udplite", "udplite6", "packet"):
        try:
            with open(f"/proc/net/{name}") as f:
                rows = f.read().splitlines()[1:]
        except FileNotFoundError:
            continue
        found.update(row.split()[-1 if name == "packet" else 9] for row in rows)
    return found


def test_keeper_has_no_network(t):
    program, agent = started(t)
    def sockets(pid):
        return {re.search(r"\d+", target).group(0) for _, target, _ in descriptors(pid)
                if target.startswith("socket:")}
    inet = inet_inodes()
    check(sockets(agent) & inet, "the agent's listening socket is not seen: the test sees nothing")
    check(not sockets(program.pid) & inet, "the keeper holds", sockets(program.pid) & inet)
    check(len(sockets(program.pid)) == 1, "the keeper's sockets:", sockets(program.pid))


def test_token_out_of_sight(t):
    """The token is in no argument or variable that another user could list."""
    program, agent = started(t)
    token = program.token()
    for pid in (program.pid, agent):
        with open(f"/proc/{pid}/cmdline") as f:
            check(token not in f.read(), "in the arguments")
        check(os.stat(f"/proc/{pid}/environ").st_mode & 0o077 == 0, "the environment is open")


if __name__ == "__main__":
    sys.exit(main(globals()))
