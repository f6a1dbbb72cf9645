#!/usr/bin/env python3
"""config.test.py - wrong configurations, at the start, by `trimtab check` and on SIGHUP: one line that
names the place, what is wrong and what to do; and what a right one changes while all goes on."""
import json
import os
import signal
import socket
import sys

from program import check, free_port, main, wait_for

HUGE = "serve:\n" + "# padding\n" * 110000
BAD = {
    # name: content, words of the one line
    "unknown_key": ("serve:\n  lisen: 127.0.0.1:80\n", ":2:", "serve.lisen", "serve.listen"),
    "unknown_section": ("server:\n  listen: 127.0.0.1:80\n", ":1:", "server"),
    "wrong_type": ("agent:\n  period_ms: soon\n", ":2:", "agent.period_ms", "soon", "100 to 60000 ms"),
    "list": ("agent:\n  period_ms: [1, 2]\n", ":2:", "agent.period_ms", "list"),
    "out_of_range": ("agent:\n  period_ms: 1\n", ":2:", "agent.period_ms", "100 to 60000 ms"),
    "not_one_of": ("syscall:\n  mode: all\n", ":2:", "syscall.mode", "blocked, windows, exact"),
    "twice": ("log:\n  level: info\n  level: warn\n", ":3:", "log.level", "twice"),
    "not_yaml": ("serve: [\n", "not_yaml.yaml"),
    "binary": (bytes(range(256)) * 40, "binary.yaml"),
    "elf": (open("/proc/self/exe", "rb").read(60000), "elf.yaml"),
    "huge": (HUGE, "larger than", "1048576"),
    "two_lines_in_one": ("serve:\n  listen: \"1\\n2\"\n", ":2:", "serve.listen"),
    "against_each_other": ("syscall:\n  window_ms: 600\n  period_ms: 500\n", ":2:", "window_ms", "period_ms"),
    "certificate_alone": ("serve:\n  tls_cert: /a\n", "tls_cert", "tls_key"),
}


def check_one_line(status, lines, *words):
    check(status > 0, "its status was", status)
    check(len(lines) == 1, "not one line:", lines)
    for word in words:
        check(word in lines[0], f'no "{word}" in: {lines[0]}')


def test_wrong_files(t):
    for name, (content, *words) in BAD.items():
        path = t.file(name + ".yaml", content)
        status, out, lines = t.command("check", path)
        check(not out, name, "printed", out)
        check_one_line(status, lines, *words)
        check_one_line(1, [t.refused("--config", path)], *words)


def test_right_files(t):
    for name, content in {"empty": "", "comment": "# nothing\n", "all": "log:\n  level: warn\n"}.items():
        status, out, lines = t.command("check", t.file(name + ".yaml", content))
        check(status == 0 and not lines and "fine" in out, name, status, out, lines)


def test_files_that_are_none(t):
    fifo = os.path.join(t.dir, "fifo")
    os.mkfifo(fifo)
    loop = os.path.join(t.dir, "loop")
    os.symlink(loop, loop)
    for path, word in {os.path.join(t.dir, "missing.yaml"): "No such file", t.dir: "directory",
                       fifo: "not a regular file", "/dev/zero": "not a regular file",
                       loop: "symbolic links"}.items():
        check_one_line(*t.command("check", path)[::2], path, word)
        check_one_line(1, [t.refused("--config", path)], path, word)


def test_file_unreadable(t):
    path = t.file("secret.yaml", "log:\n  level: warn\n", 0o600)
    line = t.refused("--config", path, **t.as_nobody())
    check_one_line(1, [line], path, "Permission denied", "permissions")


def test_environment(t):
    for name, value, *words in (("TRIMTAB_X", "1", "TRIMTAB_X", "unset it"),
                                ("TRIMTAB_SYSCALL_MOD", "exact", "TRIMTAB_SYSCALL_MODE"),
                                ("TRIMTAB_AGENT_SERIES", "many", "TRIMTAB_AGENT_SERIES", "256 to 65536")):
        check_one_line(1, [t.refused(env={name: value})], *words)
    status, _, lines = t.command("check", t.file("empty.yaml", ""), env={"TRIMTAB_SERVICE_HOST": "10.0.0.1"})
    check(status == 0, "Kubernetes' variables are refused:", lines)


def test_options(t):
    for args, *words in ((("--listen", "8000"), "serve.listen", "127.0.0.1:8000"),
                         (("--listen", "localhost:99999"), "serve.listen"),
                         (("--state-dir", ""), "state_dir", "give a path")):
        check_one_line(*t.command("run", *args)[::2], *words)
    check(t.command("fly")[0] == 2, "an unknown command")
    check(t.command("run", "now")[0] == 2, "an argument too many")


def test_secret_is_never_shown(t):
    secret = "Sesame0123456789Sesame"
    path = t.file("token.yaml", f"serve:\n  token: \"{secret} !\"\n", 0o600)
    check_one_line(*t.command("check", path)[::2], "serve.token", "not shown")
    check(secret not in str(t.command("check", path)), "the refused token is in the error")
    t.file("token.yaml", f"serve:\n  token: {secret}\n", 0o600)
    program = t.run("--config", path, env={"TRIMTAB_LOG_LEVEL": "debug"})
    program.ready()
    seen = ""
    for route in ("/api/status", "/metrics", "/api/metrics", "/", "/readyz", "/nowhere", "/api/openapi.json"):
        for token in (None, "wrong" + secret[5:], secret):
            seen += program.get(route, token=token)[1]
    seen += program.get("/api/status", token="x", method="POST", body=b"{}")[1]
    check(program.status()["configuration"]["serve"]["token"] == "***", "the token's place")
    check(program.status()["configuration"]["file"] == path, "the file's name")
    check(program.stop() == 0, program.log())
    check(secret not in seen, "the token is in an answer")
    check(secret not in program.log(), "the token is in the log")


def test_token_decides(t):
    """On an address for others, reading needs exactly the token."""
    program = t.run(listen="0.0.0.0:0")
    line = program.wait_line("page and API at http")
    check("needs the token" in line, line)
    program.url = line.split("page and API at ")[1].split("/ ")[0].replace("0.0.0.0", "127.0.0.1")
    token = wait_for("the token", program.token)
    check(program.get("/metrics")[0] == 401, "reading without a token")
    for wrong in ("", token[:-1], token + token[:1], token * 2, token[:-1] + "!", token.upper() + "A"):
        check(program.get("/metrics", token=wrong)[0] == 401, "taken as a token:", wrong)
    check(program.get("/metrics", token=token)[0] == 200, "the token is refused")


def test_json_log(t):
    path = t.file("log.yaml", "log:\n  format: json\n  level: debug\n")
    program = t.run("--config", path)
    program.ready()
    program.process.send_signal(signal.SIGHUP)
    program.wait_line("configuration reloaded")
    t.file("log.yaml", "log:\n  level: \"lo\\\"ud\\u2028\"\n")
    program.process.send_signal(signal.SIGHUP)
    program.wait_line("stays as it was")
    check(program.stop() == 0, program.log())
    for line in program.lines:
        entry = json.loads(line)
        check(set(entry) == {"time", "level", "area", "message"}, line)


def reloaded(program, count=1):
    program.process.send_signal(signal.SIGHUP)
    program.wait_line("configuration reloaded", count)


def test_reload_applies(t):
    """A new mode counts, series stay, no counter falls, and the command line stays over the file."""
    port, other = free_port(), free_port()
    path = t.file("trimtab.yaml", "syscall:\n  mode: windows\n")
    program = t.run("--config", path, listen=f"127.0.0.1:{port}")
    before = program.ready()
    counters = program.counters()
    t.file("trimtab.yaml", f"serve:\n  listen: 127.0.0.1:{other}\nsyscall:\n  mode: exact\n"
           "agent:\n  state_dir: /nonexistent\n  series: 65536\n  budget_ratio: 0.5\n")
    reloaded(program)
    program.wait_line("agent.series")
    status = wait_for("the new mode", lambda: program.get("/readyz")[0] == 200 and program.status())
    check(status["syscall"]["mode"] == "exact", status["syscall"])
    check(status["configuration"]["agent"]["budget_ratio"] == 0.5, status["configuration"])
    check(status["configuration"]["agent"]["state_dir"] == program.state_dir, status["configuration"])
    check(status["store"]["series_max"] == before["store"]["series_max"], "the store changed its size")
    check(status["configuration"]["agent"]["series"] == 8192, "a series limit that is not in force")
    check(status["uptime_seconds"] > before["uptime_seconds"], "the keeper started anew")
    waiting = program.find("only after a restart")
    check(len(waiting) == 1 and "state_dir" not in waiting[0], waiting)
    after = program.counters()
    fallen = [n for n, v in counters.items() if n in after and after[n] < v]
    lost = [n for n in counters if n not in after and "cgroup" not in n]
    check(not fallen, "fell:", fallen[:5])
    check(not lost, "lost:", lost[:5])
    with socket.socket() as s:
        check(s.connect_ex(("127.0.0.1", other)) != 0, "--listen was forgotten")
    check(program.stop() == 0, program.log())


def test_reload_refused(t):
    path = t.file("trimtab.yaml", "syscall:\n  mode: blocked\n")
    program = t.run("--config", path)
    agent = next(r for r in program.ready()["roles"])
    for content, word in (("syscall:\n  mode: all\n", "syscall.mode"), (b"\x00\x01\x02", "trimtab.yaml"),
                          (HUGE, "larger")):
        count = len(program.find("stays as it was"))
        t.file("trimtab.yaml", content)
        program.process.send_signal(signal.SIGHUP)
        line = program.wait_line("stays as it was", count + 1)
        check(word in line, line)
    os.unlink(path)
    program.process.send_signal(signal.SIGHUP)
    check("No such file" in program.wait_line("stays as it was", 4), program.log())
    check(program.agent()["pid"] == agent["pid"], "the agent was started anew for a bad file")
    check(program.status()["syscall"]["mode"] == "blocked", program.status()["syscall"])
    check(program.stop() == 0, program.log())


def test_reload_that_does_not_work(t):
    """A file that is right but cannot be put in force: the address is taken. The one before is back."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = t.file("trimtab.yaml", f"serve:\n  listen: 127.0.0.1:{port}\n")
        program = t.run("--config", path, listen=None)
        program.ready()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        t.file("trimtab.yaml", f"serve:\n  listen: {address}\nsyscall:\n  mode: blocked\n")
        program.process.send_signal(signal.SIGHUP)
        check("serve.listen" in program.wait_line(f"cannot listen on {address}"), program.log())
        program.wait_line("back to the one before")
        wait_for("the old address", lambda: program.get("/readyz")[0] == 200)
        check(program.status()["syscall"]["mode"] == "windows", program.status()["syscall"])
        t.file("trimtab.yaml", f"serve:\n  listen: 127.0.0.1:{port}\nsyscall:\n  mode: blocked\n")
        reloaded(program, 2)
        wait_for("the repaired file", lambda: program.get("/readyz")[0] == 200 and
                 program.status()["syscall"]["mode"] == "blocked")
    check(program.stop() == 0, program.log())


if __name__ == "__main__":
    sys.exit(main(globals()))
