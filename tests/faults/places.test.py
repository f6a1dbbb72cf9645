#!/usr/bin/env python3
"""places.test.py - the program where something is missing or refused: it says in one line what, and
what to do, and goes on with what is left, which /api/status tells honestly."""
import ctypes
import os
import struct
import sys

from program import (PROBES, Skip, check, in_mounts, is_sanitized, main, module_states, probe_reasons,
                     probe_states, wait_for, without_capabilities)


def check_without_probes(program, *words):
    """It serves the host's figures, names each probe's reason, and has said it in one line."""
    status = program.ready()
    check(set(probe_states(status).values()) == {"failed"}, status["probes"])
    for name, reason in probe_reasons(status).items():
        for word in words:
            check(word in reason, f'probe {name}: no "{word}" in "{reason}"')
    lines = program.find("without the probes")
    check(len(lines) == 1, "not one line of it:\n" + program.log())
    for word in words:
        check(word in lines[0], f'no "{word}" in: {lines[0]}')
    modules = module_states(status)
    for name in PROBES:
        check(modules[name] == "off", f"module {name} is", modules[name])
    check(modules["host"] == "running", "host is", modules["host"])
    metrics = program.get("/metrics")[1]
    check("trimtab_cpu_seconds_total" in metrics or "trimtab_memory" in metrics, "no host figures")
    check('trimtab_probe_up{probe="disk"} 0' in metrics, "the metrics do not tell that disk is off")
    check("trimtab_syscall_duration_seconds" not in metrics, "figures of a probe that is off")
    check(program.stop() == 0, "its status after SIGTERM")


def check_all_probes(program):
    status = program.ready()
    check(set(probe_states(status).values()) == {"attached"}, status["probes"])
    check(not program.find(" (warn|error) +keeper"), program.log())
    check(program.stop() == 0, "its status after SIGTERM")
    return status


def test_not_root(t):
    program = t.run(**t.as_nobody())
    check_without_probes(program, "not root", "run as root", "CAP_BPF")
    check(len(program.find("agent.state_dir")) == 1, program.log())


def test_no_btf(t):
    program = t.run(wrap=in_mounts("mount -t tmpfs none /sys/kernel/btf; mount -t tmpfs none /boot"))
    check_without_probes(program, "no BTF", "CONFIG_DEBUG_INFO_BTF=y")


def test_no_capabilities(t):
    program = t.run(wrap=without_capabilities("bpf", "perfmon", "sys_admin"))
    check_without_probes(program, "CAP_BPF or CAP_PERFMON is missing", "run as root")


def test_capabilities_suffice(t):
    """What the container guide asks for: with these alone every probe works."""
    program = t.run(wrap=["setpriv", "--bounding-set=-all,+bpf,+perfmon,+setuid,+setgid,+chown",
                          "--inh-caps=-all"])
    status = program.ready()
    check(set(probe_states(status).values()) == {"attached"}, status["probes"], program.log())


def test_cannot_drop_privileges(t):
    line = t.refused(wrap=without_capabilities("setuid", "setgid"))
    check("CAP_SETUID" in line and "CAP_SETGID" in line, line)


def refuse_bpf():
    """A seccomp filter that answers EPERM to bpf(2), as container engines have it."""
    if os.uname().machine != "x86_64":
        raise Skip("the filter is written for x86_64")
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, 321), (0x06, 0, 0, 0x00050000 | 1), (0x06, 0, 0, 0x7fff0000)]
    raw = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    libc = ctypes.CDLL(None, use_errno=True)

    def install():
        program = ctypes.create_string_buffer(raw)
        header = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program))
        if libc.prctl(22, 2, header, 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")
    return install


def test_bpf_refused_by_seccomp(t):
    program = t.run(preexec=refuse_bpf())
    check_without_probes(program, "seccomp profile or a security module")


def test_lockdown(t):
    raise Skip("it cannot be lifted again once set: the matrix tests it in a guest")


def test_no_tracefs(t):
    hide = "umount /sys/kernel/tracing 2>/dev/null || :; mount -t tmpfs none /sys/kernel/tracing"
    if os.path.ismount("/sys/kernel/debug"):
        hide += "; umount -l /sys/kernel/debug"
    check_all_probes(t.run(wrap=in_mounts(hide)))


def test_memlock_low(t):
    """Neither root's exemption nor a raise helps: kernels since 5.11 do not count BPF there."""
    if tuple(int(n) for n in os.uname().release.split(".")[:2]) < (5, 11):
        raise Skip("this kernel counts BPF memory as locked memory")
    check_all_probes(t.run(wrap=["prlimit", "--memlock=65536:65536", *without_capabilities("sys_resource")]))


def test_cgroups_v1_or_mixed(t):
    if not os.path.isdir("/sys/fs/cgroup/memory"):
        raise Skip("no cgroup v1 hierarchy here")
    status = check_all_probes(t.run())
    check(module_states(status)["cgroup"] == "running", status["modules"])


def test_cgroups_v2_alone(t):
    if not os.path.isdir("/sys/fs/cgroup/unified"):
        raise Skip("no cgroup2 beside v1 here")
    program = t.run(wrap=in_mounts("mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup"))
    check(module_states(check_all_probes(program))["cgroup"] == "running", program.log())


def test_no_cgroups(t):
    program = t.run(wrap=in_mounts("mount -t tmpfs none /sys/fs/cgroup"))
    status = program.ready()
    check(set(probe_states(status).values()) == {"attached"}, status["probes"])
    check(program.process.poll() is None, program.log())
    check(program.stop() == 0, "its status after SIGTERM")


def test_proc_hidepid(t):
    status = check_all_probes(t.run(wrap=in_mounts("mount -t proc -o hidepid=2 proc /proc")))
    check(module_states(status)["host"] == "running", status["modules"])


def test_proc_sparse(t):
    """Of /proc only the processes: no stat, meminfo, net, sys."""
    program = t.run(wrap=in_mounts("mount -t proc -o subset=pid proc /proc"))
    status = program.ready()
    check(set(probe_states(status).values()) == {"attached"}, status["probes"])
    host = next(m for m in status["modules"] if m["name"] == "host")
    check(host["state"] in ("running", "off", "failed"), host)
    metrics = program.get("/metrics")[1]
    check("trimtab_memory_total_bytes" not in metrics, "memory figures without /proc/meminfo")
    check(program.stop() == 0, "its status after SIGTERM")


def test_root_read_only(t):
    program = t.run(wrap=in_mounts("mount -o remount,bind,ro /"))
    status = program.ready()
    check(set(probe_states(status).values()) == {"attached"}, status["probes"])
    lines = program.find("Read-only file system")
    check(len(lines) == 1 and "--state-dir" in lines[0], program.log())
    check(program.stop() == 0, "its status after SIGTERM")


def test_few_descriptors(t):
    line = t.refused(wrap=["prlimit", "--nofile=32:32"])
    check("open files" in line and "ulimit -n" in line and "32" in line, line)


def test_soft_descriptor_limit_is_raised(t):
    check_all_probes(t.run(wrap=["prlimit", "--nofile=40:1024"]))


def memory_cgroup(t, limit_bytes):
    """A v1 memory cgroup that counts kernel memory; a preexec function that enters it."""
    parent = "/sys/fs/cgroup/memory"
    if not os.path.exists(parent + "/memory.limit_in_bytes"):
        raise Skip("no v1 memory cgroup here")
    path = f"{parent}/trimtab-test-{os.getpid()}"
    os.mkdir(path)

    def remove():
        def empty():
            try:
                os.rmdir(path)
                return True
            except OSError:
                return False
        wait_for(f"{path} to be empty", empty)
    t.undo(remove)
    with open(path + "/memory.limit_in_bytes", "w") as f:
        f.write(str(limit_bytes))

    def enter():
        with open(path + "/cgroup.procs", "w") as f:
            f.write("0")
    return enter


def test_no_memory_for_maps(t):
    """A million connections do not fit into the memory that its cgroup may have."""
    if is_sanitized():
        raise Skip("AddressSanitizer alone needs more")
    enter = memory_cgroup(t, 32 << 20)
    program = t.run(preexec=enter, env={"TRIMTAB_TCP_CONNECTIONS": "1048576",
                                        "TRIMTAB_REQUEST_ENABLED": "false"})
    status = program.ready()
    reason = probe_reasons(status)["tcp"]
    check(probe_states(status)["tcp"] == "failed", status["probes"])
    check("tcp.connections" in reason and "memory" in reason, reason)
    check(len(program.find("without the probes .*tcp")) == 1, program.log())
    check("attached" in probe_states(status).values(), status["probes"])
    check(program.stop() == 0, "its status after SIGTERM")


if __name__ == "__main__":
    sys.exit(main(globals()))
