#!/usr/bin/env python3
"""top.test.py - `trimtab top` against an agent played by this test, on a terminal played by it, too.

The agent is an HTTP server on a free port of loopback that answers what a test tells it to; the
terminal is a pseudo terminal whose output a small screen understands: what it does not know is a
failure. One test asks the real program (as root). Prints TAP. TRIMTAB names another binary. Every
wait is for a condition, with a deadline; what is started here is ended by its pid.
"""
import contextlib
import fcntl
import http.server
import json
import os
import pty
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRIMTAB = os.environ.get("TRIMTAB", os.path.join(ROOT, "build", "trimtab"))
DEADLINE_S = 60
TOKEN = "0123456789abcdef"
BELOW = "~ $ something that was there before"

sys.path.insert(0, os.path.join(ROOT, "tests", "helpers"))
from waits import free_port, wait_for  # noqa: E402


class Skip(Exception):
    pass


def service(name, protocol="redis", direction="inbound", rate=1.0, errors=0.0, p95=0.001):
    return {"name": name, "protocol": protocol, "direction": direction, "port": 1, "rate": rate,
            "error_ratio": errors, "p50": p95 and p95 / 2, "p95": p95, "p99": p95 and 2 * p95,
            "queue_p95": None, "operations": []}


def answer_of(services, **more):
    return {"window_seconds": 12.0, "total": len(services), "services": services,
            "unseen_bytes": {"tls": 0, "http2": 0, "io_uring": 0, "compat": 0}, **more}


SHOP = [service("redis-server:6379", rate=1200, p95=0.000412),
        service("nginx:80", "http", rate=300, errors=0.25, p95=0.0013),
        service("shop:5432", "postgresql", "outbound", rate=20, p95=0.25)]
STATUS = {"probes": [{"name": "request", "state": "attached", "reason": ""}],
          "modules": [{"name": "request", "state": "running", "reason": ""}], "losses": []}


class Agent:
    """What is asked for in self.asked, with the headers; answers[path] is JSON, or (status, bytes)."""

    def __init__(self, tls=None):
        agent = self
        self.asked = []
        self.answers = {"/api/services": answer_of(SHOP), "/api/status": STATUS}
        self.hangs = threading.Event()  # set: nothing is answered
        self.ended = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                agent.asked.append((path, query, dict(self.headers)))
                if agent.hangs.is_set():
                    agent.ended.wait(DEADLINE_S)
                    return
                found = agent.answers.get(path, (404, b"no"))
                status, body = found if isinstance(found, tuple) else (200, json.dumps(found).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # the client may have had enough
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def queries(self):
        return [query for path, query, _ in self.asked if path == "/api/services"]


class Screen:
    """A terminal of so many lines and columns, and the few things that top may ask of one."""

    def __init__(self, columns, lines):
        self.columns, self.lines = columns, lines
        self.saved = [list(BELOW.ljust(columns)), *self.blank(lines - 1)]
        self.cells = [list(row) for row in self.saved]
        self.at = [1, 0]
        self.cursor = self.wraps = True
        self.alternate = False
        self.blanked = 0  # times that the whole of it was empty: a flicker
        self.modes = {"?1049": self.switch, "?25": lambda on: setattr(self, "cursor", on),
                      "?7": lambda on: setattr(self, "wraps", on)}
        self.rest = ""

    def blank(self, lines):
        return [[" "] * self.columns for _ in range(lines)]

    def switch(self, on):
        if on and not self.alternate:
            self.saved, self.cells = self.cells, self.blank(self.lines)
        elif not on and self.alternate:
            self.cells = self.saved
        self.alternate = on

    def put(self, c):
        line, column = self.at
        if c == "\r":
            self.at[1] = 0
        elif c == "\n":
            if line + 1 == self.lines:
                self.cells = self.cells[1:] + self.blank(1)
            else:
                self.at[0] += 1
        else:
            assert c.isprintable(), f"the terminal is sent {c!r}"
            self.cells[line][min(column, self.columns - 1)] = c
            assert column < self.columns or not self.wraps, "a line is wrapped"
            self.at[1] = min(column + 1, self.columns)

    def escape(self, parameters, letter):
        line, column = self.at
        if letter == "H" and not parameters:
            self.at = [0, 0]
        elif letter == "K" and not parameters:
            self.cells[line][column:] = " " * (self.columns - column)
        elif letter == "J" and not parameters:
            self.cells[line][column:] = " " * (self.columns - column)
            self.cells[line + 1:] = self.blank(self.lines - line - 1)
            self.blanked += not self.text().strip()
        elif letter in "hl" and parameters in self.modes:
            self.modes[parameters](letter == "h")
        else:
            assert letter == "m" and re.fullmatch(r"[\d;]*", parameters), \
                f"the terminal is sent ESC [ {parameters} {letter}"

    def feed(self, text):
        text = self.rest + text
        while text:
            found = re.match(r"\033\[([?\d;]*)([A-Za-z])", text)
            if found:
                self.escape(*found.groups())
                text = text[found.end():]
            elif text[0] == "\033" and len(text) < 16:
                break  # the rest of it is still to come
            else:
                self.put(text[0])
                text = text[1:]
        self.rest = text

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def rows(self):
        """The names in the table, in their order."""
        return [line.split()[0] for line in self.text().splitlines() if re.match(r"\S+:\d+ ", line)]


class Session:
    """`trimtab top` on a terminal of its own, as a shell has started it."""

    def __init__(self, agent, *options, columns=100, lines=24, env=None):
        self.master, slave = pty.openpty()
        self.screen = Screen(columns, lines)
        self.resize(columns, lines)
        self.mode = termios.tcgetattr(slave)
        self.slave = slave
        environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})}
        self.process = subprocess.Popen(
            [TRIMTAB, "top", "--url", agent.url, "--interval", "0.1", *options], stdin=slave, stdout=slave,
            stderr=slave, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        os.set_blocking(self.master, False)

    def resize(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.master, 65536):
                self.screen.feed(data.decode())
        return self.screen.text()

    def type(self, keys):
        os.write(self.master, keys.encode())

    def until(self, pattern):
        def shown():
            assert self.process.poll() is None, f"it ended:\n{self.read()}"
            return re.search(pattern, self.read(), re.M)

        try:
            return wait_for(pattern, shown, DEADLINE_S)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{self.screen.text()}") from e

    def wait(self):
        """Its status, once it has ended; then the terminal must be as it was."""
        def ended():
            self.read()  # or it would wait for us
            return self.process.poll() is not None

        wait_for("the end of top", ended, DEADLINE_S)
        self.read()
        return self.process.returncode

    def restored(self):
        s = self.screen
        assert not s.alternate and s.cursor and s.wraps, vars(s)
        assert s.text().rstrip() == BELOW, s.text()
        assert termios.tcgetattr(self.slave) == self.mode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def session(agent, *options, **more):
    s = Session(agent, *options, **more)
    try:
        yield s
    finally:
        s.close()


def run(*options, env=None, **more):
    """Without a terminal; no token is known, times are in ASCII."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRIMTAB_", "LC_", "LANG"))}
    return subprocess.run([TRIMTAB, "top", *options], capture_output=True, text=True, timeout=DEADLINE_S,
                          env={**environment, "TRIMTAB_AGENT_STATE_DIR": "/nowhere", **(env or {})}, **more)


# --- tests: each is given an agent


def without_a_terminal_one_table(agent):
    for options in ((), ("--once",)):
        r = run("--url", agent.url, *options)
        assert r.returncode == 0 and not r.stderr, r
        lines = r.stdout.splitlines()
        assert lines[0] == f"{agent.url}: 3 services, in 1.50k/s, out 20/s, errors 4.9%, last 12 s", lines
        assert lines[1].split() == "SERVICE PROTO DIR RATE/s ERR% P50 P95 P99 QUEUE".split(), lines
        assert lines[2].split() == "redis-server:6379 redis in 1.20k 0 206 us 412 us 824 us -".split(), lines
        assert [line.split()[0] for line in lines[2:]] == ["redis-server:6379", "nginx:80", "shop:5432"]
        assert "\033" not in r.stdout


def times_in_the_words_of_the_locale(agent):
    assert "412 µs" in run("--url", agent.url, env={"LANG": "en_US.UTF-8"}).stdout
    assert "412 us" in run("--url", agent.url, env={"LANG": "en_US.UTF-8", "LC_ALL": "C"}).stdout


def options_reach_the_api(agent):
    agent.answers["/api/services"] = answer_of(SHOP[2:])
    r = run("--url", agent.url, "--direction", "outbound", "--sort", "name")
    assert r.returncode == 0 and r.stdout.splitlines()[-1].startswith("shop:5432"), r
    assert agent.queries() == ["limit=128&direction=outbound"], agent.queries()


def json_is_the_answer(agent):
    r = run("--url", agent.url, "--json")
    assert r.returncode == 0 and json.loads(r.stdout) == agent.answers["/api/services"], r


def losses_and_unseen_bytes_are_said(agent):
    agent.answers["/api/services"]["unseen_bytes"]["tls"] = 3 << 20
    agent.answers["/api/status"] = {**STATUS, "losses": [{"probe": "request", "reason": "gap", "lost": 5},
                                                         {"probe": "sched", "reason": "no_room", "lost": 1}]}
    lines = run("--url", agent.url).stdout.splitlines()
    assert lines[1] == "since the start: not seen tls 3.00 MiB; lost gap 5", lines


def an_empty_table_says_why(agent):
    agent.answers["/api/services"] = answer_of([])
    assert run("--url", agent.url).stdout.splitlines()[-1] == "no request was seen in the last 12 s"
    agent.answers["/api/status"] = {"probes": [{"name": "request", "state": "off", "reason": "as asked"}]}
    assert run("--url", agent.url).stdout.splitlines()[-1] == "no requests: the request probe is off: as asked"


def where_no_requests_are_seen_the_reason_is_said(agent):
    agent.answers["/api/services"] = (503, json.dumps({"error": {"message": "not seen here"}}).encode())
    r = run("--url", agent.url)
    assert r.returncode == 1 and r.stderr == f"trimtab: {agent.url}: not seen here\n", r
    agent.answers["/api/status"] = {"probes": [{"name": "request", "state": "failed", "reason": "no BTF"}]}
    r = run("--url", agent.url)
    assert r.returncode == 1 and r.stderr == \
        f"trimtab: {agent.url}: no requests: the request probe is failed: no BTF\n", r


def names_cannot_steer_the_terminal(agent):
    agent.answers["/api/services"] = answer_of([service("a\033[2J\u202e\r\nb\u009b:1")])
    out = run("--url", agent.url).stdout
    assert out.isascii() and "a?[2J???b?:1" in out and len(out.splitlines()) == 3, out


def errors_say_what_to_do(agent):
    port = free_port()
    gone = f"cannot reach http://127.0.0.1:{port}: connection refused; is trimtab running"
    cases = [
        (("--url", f"127.0.0.1:{port}"), None, 1, f"{gone} there?"),
        ((), {"TRIMTAB_SERVE_LISTEN": f"127.0.0.1:{port}"}, 1, f"{gone}? try --url"),
        (("--url", "gopher://x"), None, 2, '--url: "gopher://x" is none'),
        (("--url", "http://a b"), None, 2, "is none"),
        (("--url", f"https://{agent.url[7:]}"), None, 1, "answers, but it is not trimtab: "),
        (("--config", "/nowhere.yaml"), None, 1, "/nowhere.yaml"),
        (("--interval", "nan"), None, 2, "give 0.1 to 3600 seconds"),
        (("--sort", "size"), None, 2, "one of rate, errors, p95, name"),
        (("--direction", "up"), None, 2, "one of both, inbound, outbound"),
        (("--frobnicate",), None, 2, "trimtab top --help"),
        (("now",), None, 2, 'unexpected "now"'),
    ]
    for options, env, status, text in cases:
        r = run(*options, env=env)
        assert r.returncode == status and text in r.stderr and not r.stdout, (options, r)
        assert len(r.stderr.splitlines()) <= 2, r.stderr


def answers_that_are_none_are_refused(agent):
    error = {"error": {"code": "x", "message": "the reason\033[2J"}}
    cases = [
        ((200, b"<html>"), "it is not trimtab: no JSON"),
        ((200, b"{}"), "it is not trimtab: no list of services"),
        ((200, b""), "it is not trimtab: no JSON"),
        ((404, b"nothing"), "it is not trimtab: status 404"),
        ((302, b""), "it is not trimtab: status 302"),
        ((401, b"who?"), "it is not trimtab: status 401"),
        ((503, json.dumps(error).encode()), ": the reason?[2J"),
        ((401, json.dumps(error).encode()), "asks for its token: give it in TRIMTAB_SERVE_TOKEN"),
        ((200, b"[" * 100000), "it is not trimtab: no JSON"),
        ((200, b" " * (17 << 20)), "more than 16 MiB"),
    ]
    for found, text in cases:
        agent.answers["/api/services"] = found
        r = run("--url", agent.url)
        assert r.returncode == 1 and text in r.stderr and not r.stdout, (found[1][:80], r)


def one_that_speaks_no_http_is_refused(_):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def greet():
            with server.accept()[0] as c:
                c.sendall(b"220 mail.example ESMTP\r\n")
                c.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        r = run("--url", f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert r.returncode == 1 and "it is not trimtab" in r.stderr, r


def the_token_is_sent_if_there_is_one(agent):
    def sent():
        return agent.asked[-1][2].get("Authorization")

    with tempfile.TemporaryDirectory(prefix="trimtab-top-") as state:
        run("--url", agent.url, "--state-dir", state)
        assert sent() is None
        with open(os.path.join(state, "token"), "w") as f:
            f.write(TOKEN + "\n")
        run("--url", agent.url, "--state-dir", state)
        assert sent() == f"Bearer {TOKEN}", sent()
        run("--url", agent.url, "--state-dir", state, env={"TRIMTAB_SERVE_TOKEN": TOKEN[::-1]})
        assert sent() == f"Bearer {TOKEN[::-1]}", sent()
    agent.answers["/api/services"] = (401, json.dumps({"error": {"message": "no"}}).encode())
    r = run("--url", agent.url, env={"TRIMTAB_SERVE_TOKEN": TOKEN})
    assert r.returncode == 1 and "refuses this node's token" in r.stderr and TOKEN not in r.stderr, r


def certificate(directory, name):
    """Self-signed, for localhost alone; files of the certificate and of its key."""
    cert, key = (os.path.join(directory, name + end) for end in (".pem", ".key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    return cert, key


def the_configured_certificate_is_trusted(_):
    with tempfile.TemporaryDirectory(prefix="trimtab-top-") as directory:
        own, other = certificate(directory, "own"), certificate(directory, "other")
        agent = Agent(tls=own)
        try:
            def asked(cert, *options):
                config = os.path.join(directory, "trimtab.yaml")
                with open(config, "w") as f:
                    f.write(f"serve:\n  listen: 127.0.0.1:{agent.port}\n  tls_cert: {cert}\n"
                            f"  tls_key: {own[1]}\n")
                r = run("--config", config, *options)
                assert r.returncode == 0 or "its certificate is not trusted" in r.stderr, r
                return r.returncode == 0

            by_name, by_address = (("--url", f"https://{host}:{agent.port}") for host in ("localhost", "127.0.0.1"))
            assert asked(own[0]) and asked(own[0], *by_name)
            assert not asked(own[0], *by_address), "its name was not checked"
            assert not asked(other[0]) and not asked(other[0], *by_name)
            r = run(*by_name)
            assert r.returncode == 1 and "its certificate is not trusted" in r.stderr, r
        finally:
            agent.stop()


def proxies_are_not_used(agent):
    env = {"http_proxy": f"http://127.0.0.1:{free_port()}", "all_proxy": "socks5://127.0.0.1:9"}
    assert run("--url", agent.url, env=env).returncode == 0


def a_full_disk_is_an_error(agent):
    with open("/dev/full", "w") as full:
        r = subprocess.run([TRIMTAB, "top", "--url", agent.url], stdout=full, stderr=subprocess.PIPE, text=True,
                           timeout=DEADLINE_S)
    assert r.returncode == 1 and "cannot write" in r.stderr, r


def live_until_q(agent):
    with session(agent) as s:
        s.until(r"^redis-server:6379 +redis +in +1.20k +0 +206 µs +412 µs +824 µs +-$")
        s.until(r"^q quit   s sort: rate   d direction: both$")
        assert s.screen.alternate and not s.screen.cursor
        agent.answers["/api/services"] = answer_of([service("redis-server:6379", rate=4321)])
        s.until(r"^redis-server:6379 +redis +in +4.32k ")
        assert s.screen.rows() == ["redis-server:6379"], s.screen.text()
        assert s.screen.blanked == 0
        s.type("q")
        assert s.wait() == 0
        s.restored()


def keys_sort_and_filter(agent):
    with session(agent) as s:
        s.until("sort: rate")
        assert s.screen.rows() == ["redis-server:6379", "nginx:80", "shop:5432"]
        for order, rows in (("errors", ["nginx:80", "redis-server:6379", "shop:5432"]),
                            ("p95", ["shop:5432", "nginx:80", "redis-server:6379"]),
                            ("name", ["nginx:80", "redis-server:6379", "shop:5432"])):
            s.type("s")
            s.until(f"sort: {order} ")
            assert s.screen.rows() == rows, s.screen.text()
        s.type("\033[B\033OQ")  # an arrow, F2: no letters
        s.type("d")
        s.until("direction: inbound")
        wait_for("another question", lambda: "limit=128&direction=inbound" in agent.queries(), DEADLINE_S)
        s.type("xq")
        assert s.wait() == 0


def signals_restore_the_terminal(agent):
    for end in (lambda s: s.type("\x03"), lambda s: s.process.send_signal(signal.SIGINT),
                lambda s: s.process.send_signal(signal.SIGTERM)):
        with session(agent) as s:
            s.until("^nginx:80 ")
            end(s)
            assert s.wait() == 0
            s.restored()


def stopped_and_continued(agent):
    with session(agent) as s:
        s.until("^nginx:80 ")
        # a session's leader is in an orphaned group, which the terminal cannot stop: by hand, as a shell's
        s.process.send_signal(signal.SIGTSTP)
        _, status = os.waitpid(s.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), status
        s.read()
        s.restored()
        s.process.send_signal(signal.SIGCONT)
        s.until("^nginx:80 ")
        assert s.screen.alternate
        s.type("q")
        assert s.wait() == 0
        s.restored()


def fits_another_size(agent):
    agent.answers["/api/services"] = answer_of([service(f"service-{i}:{i}", rate=100 - i) for i in range(50)])
    with session(agent, columns=100, lines=24) as s:
        s.until("^and 30 more$")
        assert len(s.screen.rows()) == 20, s.screen.text()
        s.screen = Screen(50, 10)
        s.resize(50, 10)
        s.until("^and 44 more$")
        assert len(s.screen.rows()) == 6, s.screen.text()
        s.until("^SERVICE +DIR RATE/s .*P95")
        s.type("q")
        assert s.wait() == 0


def an_agent_that_goes_and_comes_back(agent):
    with session(agent) as s:
        s.until("^nginx:80 ")
        good = agent.answers["/api/services"]
        agent.answers["/api/services"] = (503, b'{"error":{"message":"starting"}}')
        s.until(r"^no answer since \d\d:\d\d:\d\d: http://\S+: starting")
        assert "nginx:80" in s.screen.rows()
        agent.answers["/api/services"] = good
        s.until(f"^{agent.url}: 3 services")
        s.type("q")
        assert s.wait() == 0


def keys_work_while_an_agent_hangs(agent):
    with session(agent) as s:
        s.until("^nginx:80 ")
        agent.hangs.set()
        asked = len(agent.asked)
        wait_for("a question without an answer", lambda: s.read() and len(agent.asked) > asked, DEADLINE_S)
        s.type("q")
        assert s.wait() == 0
        s.restored()


def a_dumb_terminal_gets_one_table(agent):
    with session(agent, env={"TERM": "dumb"}) as s:
        assert s.wait() == 0
        assert s.screen.text().startswith(BELOW) and s.screen.rows()[-1] == "shop:5432", s.screen.text()


def the_real_program_is_understood(_):
    if os.geteuid() != 0:
        raise Skip("needs root")
    state = tempfile.mkdtemp(prefix="trimtab-top-")
    port = free_port()
    with open(os.path.join(state, "log"), "w+") as log:
        agent = subprocess.Popen([TRIMTAB, "run", "--listen", f"127.0.0.1:{port}", "--state-dir", f"{state}/s"],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            def answered():
                assert agent.poll() is None, open(log.name).read()
                r = run(env={"TRIMTAB_SERVE_LISTEN": f"127.0.0.1:{port}"})
                return r.returncode == 0 and r

            r = wait_for("an answer", answered, DEADLINE_S)
            assert re.match(rf"http://127.0.0.1:{port}: \d+ services?, in .*, last \d+ s\n", r.stdout), r
            assert "\nSERVICE " in r.stdout and not r.stderr, r
            whole = json.loads(run("--json", "--url", f"127.0.0.1:{port}").stdout)
            assert set(answer_of([])) <= set(whole), whole
        finally:
            agent.terminate()
            agent.wait()
            shutil.rmtree(state)


TESTS = [without_a_terminal_one_table, times_in_the_words_of_the_locale, options_reach_the_api,
         json_is_the_answer, losses_and_unseen_bytes_are_said, an_empty_table_says_why,
         where_no_requests_are_seen_the_reason_is_said, names_cannot_steer_the_terminal,
         errors_say_what_to_do, answers_that_are_none_are_refused, one_that_speaks_no_http_is_refused,
         the_token_is_sent_if_there_is_one, the_configured_certificate_is_trusted, proxies_are_not_used,
         a_full_disk_is_an_error, live_until_q, keys_sort_and_filter, signals_restore_the_terminal,
         stopped_and_continued, fits_another_size, an_agent_that_goes_and_comes_back,
         keys_work_while_an_agent_hangs, a_dumb_terminal_gets_one_table, the_real_program_is_understood]


def main():
    failed = 0
    for number, test in enumerate(TESTS, 1):
        agent = Agent()
        try:
            test(agent)
            print(f"ok {number} - {test.__name__}", flush=True)
        except Skip as e:
            print(f"ok {number} - {test.__name__} # SKIP {e}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {test.__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)
        finally:
            agent.stop()
    print(f"1..{len(TESTS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
