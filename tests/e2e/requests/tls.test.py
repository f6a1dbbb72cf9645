#!/usr/bin/env python3
"""tls.test.py - requests inside TLS by OpenSSL, of the processes that request.tls says and of no
others, counted as the servers and their clients count them.

All that is watched runs in a cgroup of its own, which request.tls matches.
"""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile

from common import ENV, QUEUE, RESPONSE, Skip, Trimtab, Watch, check, main, unseen, until
import lib
from lib import alive, run
from raw import to_end_of
from servers import (HERE, Haproxy, Http, Nginx, Postgres, Redis, RedisClient, Server, Tally, head,
                     program as installed, stats_risen)

REQUEST = b"GET /asked HTTP/1.1\r\nHost: localhost\r\n\r\n"
EVENTS = "/sys/kernel/tracing/uprobe_events"


# --- what is watched


class Group:
    """A cgroup2 for what is watched."""

    def __enter__(self):
        root = next((line.split()[1] for line in open("/proc/mounts")
                     if line.split()[2] == "cgroup2"), None)
        if not root:
            raise Skip("no cgroup2 is mounted")
        self.name = f"trimtab-tls-{os.getpid()}"
        self.dir = os.path.join(root, self.name)
        os.mkdir(self.dir)
        return self

    def __exit__(self, *_):
        until("the cgroup to be empty", self.removed)

    def removed(self):
        try:
            os.rmdir(self.dir)
        except OSError:
            return False
        return True

    def join(self):
        with open(os.path.join(self.dir, "cgroup.procs"), "w") as f:
            f.write("0")

    def run(self, *command):
        """Runs a client in the group, from its first instruction on; what it says."""
        done = subprocess.run([str(c) for c in command], preexec_fn=self.join, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, check=False)
        check(done.returncode == 0, f"{command[0]}: {done.returncode}: {done.stdout[-600:]}")
        return done.stdout


class Configured(Trimtab):
    """With a configuration file, so that request.tls can change; a SIGHUP also makes it look for
    processes at once."""

    def __init__(self, pattern):
        super().__init__(ENV)
        self.own = tempfile.mkdtemp(prefix="trimtab-tls-")
        self.file = os.path.join(self.own, "trimtab.yaml")
        self.write(pattern)
        script = os.path.join(self.own, "trimtab")
        with open(script, "w") as f:
            f.write(f'#!/bin/sh\nexec "{lib.PROGRAM}" "$@" --config "{self.file}"\n')
        os.chmod(script, 0o755)
        self.script = script

    def write(self, pattern):
        with open(self.file, "w") as f:
            f.write(f'request:\n  tls: "{pattern}"\n')

    def __enter__(self):
        usual, lib.PROGRAM = lib.PROGRAM, self.script
        try:
            return super().__enter__()
        finally:
            lib.PROGRAM = usual

    def __exit__(self, *what):
        super().__exit__(*what)
        shutil.rmtree(self.own)

    def hang_up(self):
        """The look comes first, then the agent is started anew."""
        before = self.pid_of("agent")
        self.process.send_signal(signal.SIGHUP)
        until("the agent's new start", lambda: self.is_back(before))

    def is_back(self, before):
        try:
            return self.pid_of("agent") != before and self._ready()
        except OSError:
            return False

    def tls(self):
        return self.status()["requests"]["tls"]

    def processes(self):
        return {p["pid"]: p for p in self.tls()["processes"]}

    def look(self, *pids):
        """Looks at once; these must be watched then."""
        self.hang_up()
        until(f"{pids} to be watched", lambda: all(
            self.processes().get(pid, {}).get("watched") or not alive(pid) for pid in pids))


def members(server):
    """A server's process and its children, that have their own OpenSSL calls."""
    with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children") as f:
        return [server.process.pid, *map(int, f.read().split())]


def pattern():
    return f"/{group.name}$"


def events(of=None):
    """What a program has defined in tracefs."""
    with open(EVENTS) as f:
        return [line for line in f if f"trimtab_{(of or program).process.pid}/" in line]


def perf_events():
    """How many the program holds open."""
    directory, n = f"/proc/{program.process.pid}/fd", 0
    for fd in os.listdir(directory):
        try:
            n += "perf_event" in os.readlink(os.path.join(directory, fd))
        except OSError:
            pass  # closed meanwhile
    return n


class Watched:
    """A server in the group, which the program has found."""

    def __init__(self, server):
        self.server = server
        server.group = group.dir

    def __enter__(self):
        server = self.server.__enter__()
        try:
            program.look(*members(server))
        except BaseException:
            self.server.__exit__(*sys.exc_info())
            raise
        return server

    def __exit__(self, *what):
        return self.server.__exit__(*what)


# --- TLS in clients and servers


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def wrapped(port):
    plain = socket.create_connection(("127.0.0.1", port), 60)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client_context().wrap_socket(plain)


class Https(Http):
    def __init__(self, port):
        self.socket = wrapped(port)
        self.file = self.socket.makefile("rb")


class NginxTls(Nginx):
    """Its `tls` port is the same inside TLS."""

    def __init__(self, options="", **more):
        super().__init__(**more)
        self.tls = lib.free_port()
        self.server = f"""
            listen 127.0.0.1:{self.tls} ssl {options}; ssl_certificate {certificate};
            ssl_certificate_key {certificate}; {self.server}"""


class Script(Server):
    """A server of servers/."""

    def __init__(self, name, *words):
        super().__init__()
        self.name, self.words = name, words

    def command(self):
        runner = installed("node") if self.name.endswith(".mjs") else sys.executable
        return [runner, os.path.join(HERE, "servers", self.name), *self.words]


def python(kind):
    server = Script("tls_server.py")
    server.words = (server.port, certificate, kind)
    return server


def node_server():
    server = Script("tls.mjs")
    server.words = ("server", server.port, certificate)
    return server


def make_certificate(directory):
    """A key and a certificate in one file, for any user."""
    path = os.path.join(directory, "key.pem")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path, "-out",
        path + ".cert", "-days", "2", "-subj", "/CN=localhost")
    with open(path, "ab") as f, open(path + ".cert", "rb") as c:
        f.write(c.read())
    os.chmod(directory, 0o755)
    os.chmod(path, 0o644)
    return path


def ask(port, n, path="/asked", status=200):
    with Https(port) as c:
        for _ in range(n):
            check(c.get(path)[0] == status, "another status")


# --- HTTP


def test_nginx():
    """Status classes, bodies of any size, keep-alive; every one also has its time in the queue."""
    with Watched(NginxTls(workers=2)) as nginx:
        watch = Watch(program, nginx.tls, "http")
        with Https(nginx.tls) as c:
            for _ in range(40):
                check(c.get("/small.txt") == (200, b"x" * 500), "another body")
                check(c.get("/no/such")[0] == 404, "no 404")
                check(c.get("/busy/")[0] == 503, "no 503")
            for _ in range(3):
                check(len(c.get("/files/large.bin")[1]) == 1 << 20, "another body")
                check(len(c.get("/buffered/large.bin")[1]) == 1 << 20, "another body")
        watch.expect({"GET /small.txt": 40, "GET /files/large.bin": 3,
                      "GET /buffered/large.bin": 3}, {"GET /no/such": 40, "GET /busy/": 40})
        check(watch.classes() == {"2xx": 46, "4xx": 40, "5xx": 40}, f"{watch.classes()}")
        for metric in (RESPONSE, QUEUE):
            timed = sum(watch.rises(metric, lambda l: l["protocol"], "count").values())
            check(timed == 126, f"{metric}: {timed}")


def test_nginx_under_load():
    """As many as the access log has lines, with a connection for each request too."""
    with Watched(NginxTls()) as nginx:
        watch = Watch(program, nginx.tls, "http")
        url = f"https://127.0.0.1:{nginx.tls}/fine/"
        group_free(installed("wrk"), "-t1", "-c8", "-d2", url)
        group_free(installed("wrk"), "-t1", "-c4", "-d1", "-H", "Connection: close", url)
        n = len(until("the log to be whole", lambda: settled(nginx)))
        watch.expect({"GET /fine/": n})


def group_free(*command):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, timeout=60,
                          check=True).stdout


def settled(nginx):
    """The access log, if it did not grow while a request was answered."""
    before = nginx.logged()
    with Http(nginx.port) as c:
        c.get("/status")
    after = nginx.logged()
    return after if len(before) == len(after) else None


def test_pipelined():
    """All in one record, then each cut in two."""
    with Watched(NginxTls()) as nginx:
        watch = Watch(program, nginx.tls, "http")
        with Https(nginx.tls) as c:
            c.send(head("/fine/") * 50)
            for _ in range(50):
                check(c.answer() == (200, b"fine"), "no answer")
            for cut in range(1, len(head("/fine/"))):
                c.send(head("/fine/")[:cut])
                c.send(head("/fine/")[cut:])
                check(c.answer() == (200, b"fine"), "no answer")
        watch.expect({"GET /fine/": 49 + len(head("/fine/"))})


def served_by(server):
    """Exact counts and errors; the port is known."""
    with Watched(server) as s:
        watch = Watch(program, s.port, "http")
        ask(s.port, 50)
        ask(s.port, 20, "/fail/now", 500)
        connections = [Https(s.port) for _ in range(10)]
        for _ in range(10):
            for c in connections:
                c.send(REQUEST)
            for c in connections:
                check(c.answer() == (200, b"fine"), "no answer")
        for c in connections:
            c.__exit__()
        watch.expect({"GET /asked": 150}, {"GET /fail/now": 20})


def test_python_threads():
    served_by(python("threads"))


def test_latency():
    """Against what the server itself measures."""
    with Watched(python("threads")) as server:
        watch = Watch(program, server.port, "http")
        with Https(server.port) as c:
            for i in range(200):
                c.get(f"/sleep/{1 + i * i % 17}")
            truth = json.loads(c.get("/report")[1])
        check(len(truth) == 200, f"{len(truth)} reported")
        watch.expect({"GET /sleep/{id}": 200, "GET /report": 1})
        watch.like(truth, operation="GET /sleep/{id}")


def test_asyncio():
    """It reads from the socket, then gives OpenSSL the bytes."""
    served_by(python("asyncio"))


def test_node():
    """So does Node, whose OpenSSL is in the executable."""
    served_by(node_server())


def test_haproxy():
    """Threads; the backend is asked without TLS."""
    with NginxTls() as nginx:
        haproxy = Haproxy(nginx.port)
        haproxy.prepare_plain = haproxy.prepare

        def prepare():
            haproxy.prepare_plain()
            with open(haproxy.config) as f:
                text = f.read()
            haproxy.config = haproxy.file("haproxy.cfg", text.replace(
                f"bind 127.0.0.1:{haproxy.port}",
                f"bind 127.0.0.1:{haproxy.port} ssl crt {certificate}"))

        haproxy.prepare = prepare
        with Watched(haproxy):
            watch = Watch(program, haproxy.port, "http")
            ask(haproxy.port, 60, "/fine/")
            ask(haproxy.port, 30, "/busy/", 503)
            watch.expect({"GET /fine/": 60}, {"GET /busy/": 30})


def test_http2():
    """Not counted, but told in bytes; and none of them is told twice."""
    with Watched(NginxTls("http2")) as nginx:
        watch = Watch(program, nginx.tls, "http")
        url = f"https://127.0.0.1:{nginx.tls}/small.txt"
        out = group.run(installed("curl"), "-s", "-k", "--http2", *([url] * 20))
        check(out == "x" * 500 * 20, "another body")
        watch.expect({})
        told = unseen(watch.before, watch.after, "http2")
        check(20 * 500 <= told <= 2 * 20 * 1500, f"{told} bytes of HTTP/2")


# --- other protocols


class RedisTls(Redis):
    def command(self):
        return [*super().command(), "--tls-port", self.tls, "--tls-cert-file", certificate,
                "--tls-key-file", certificate, "--tls-auth-clients", "no"]

    def __init__(self):
        super().__init__()
        self.tls = lib.free_port()


class RedisTlsClient(RedisClient):
    def __init__(self, port):
        self.tally = Tally()
        self.socket = wrapped(port)
        self.file = self.socket.makefile("rb")


def test_redis():
    """Pipelines and errors, as Redis counts them."""
    with Watched(RedisTls()) as redis:
        watch = Watch(program, redis.tls, "redis")
        with redis.client() as plain, RedisTlsClient(redis.tls) as c:
            before = redis.stats(plain)
            for i in range(200):
                c.call("SET", f"k{i}", "x" * i)
                c.call("GET", f"k{i}")
            c.call("LPUSH", "k1", "wrong")
            for _ in range(20):
                c.send(b"*1\r\n$4\r\nPING\r\n" * 50)
                for _ in range(50):
                    check(c.answered("PING") == "PONG", "no PONG")
            ok, error = stats_risen(before, redis.stats(plain))
        ok.pop("INFO")
        check((ok, error) == (c.tally.ok, c.tally.error), "Redis counted otherwise")
        watch.expect(ok, error)


class PostgresTls(Postgres):
    def prepare(self):
        super().prepare()
        for name in ("server.key", "server.crt"):
            path = os.path.join(self.dir, "data", name)
            shutil.copy(certificate, path)
            shutil.chown(path, self.user)
            os.chmod(path, 0o600)
        self.own["ssl"] = "on"

    def environment(self):
        return super().environment()


def psql(server, *statements):
    """In one connection; errors are no failure."""
    words = [w for s in statements for w in ("-c", s)]
    return subprocess.run(
        [installed("psql"), "-X", "-q", "-A", "-t", *words,
         f"host=127.0.0.1 port={server.port} user=postgres dbname=postgres sslmode=require"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False).stdout


def test_postgresql():
    """A process for each connection: it is watched from its first byte on."""
    with Watched(PostgresTls()) as postgres:
        watch = Watch(program, postgres.port, "postgresql")
        check("t" in psql(postgres, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
              "no TLS")
        for _ in range(15):
            psql(postgres, "SELECT 1", "SELECT 1/0", "CREATE TEMP TABLE t (a int)",
                 "INSERT INTO t VALUES (1)")
        watch.expect({"SELECT": 16, "CREATE TABLE": 15, "INSERT": 15}, {None: 15})


def test_pgbench():
    """Prepared statements, over kept connections and a new one for each."""
    with Watched(PostgresTls()) as postgres:
        environment = {**os.environ, "PGSSLMODE": "require"}
        postgres.pgbench("-i", "-q")
        where = [*postgres.where(), "postgres"]
        watch = Watch(program, postgres.port, "postgresql")
        for options, n in ((["-M", "simple", "-c", "4", "-t", "500"], 2000),
                           (["-C", "-c", "2", "-t", "50"], 100)):
            done = subprocess.run([installed("pgbench"), "-n", "-S", *options, *map(str, where)],
                                  env=environment, stdout=subprocess.PIPE, text=True, timeout=120,
                                  check=True).stdout
            check(f"{n}/{n}" in done, done)
        # of its own, a run asks for the tables' partitions and size
        watch.expect({"SELECT": 2100 + 2 * 2})


# --- clients


class Client:
    """A client in the group that is watched before it asks: it waits for its standard input."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [str(c) for c in command], preexec_fn=group.join, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)

    def __enter__(self):
        until("its first wait", self.waits)
        program.look(self.process.pid)
        return self

    def waits(self):
        """In read(0, ...): all libraries are there by then."""
        try:
            with open(f"/proc/{self.process.pid}/syscall") as f:
                return f.read().startswith("0 0x0 ")
        except OSError:
            return False

    def go(self, words="\n"):
        out = self.process.communicate(words, 60)[0]
        check(self.process.returncode == 0, f"status {self.process.returncode}")
        return out

    def __exit__(self, *_):
        lib.end(self.process)


class Asked(NginxTls):
    def __init__(self):
        super().__init__(server="location = /asked { return 200 fine; }")


def test_called_by_curl():
    """On the socket."""
    with Asked() as nginx, Client(installed("curl"), "-s", "-k", "--http1.1", "-K", "-") as curl:
        watch = Watch(program, nginx.tls, "http", "outbound")
        out = curl.go(f"url = https://127.0.0.1:{nginx.tls}/asked\n" * 30
                      + f"url = https://127.0.0.1:{nginx.tls}/busy/\n" * 10)
        check(out.count("fine") == 30, out)
        watch.expect({"GET /asked": 30}, {"GET /busy/": 10})


def called_by(*command):
    """Four connections at once, whose bytes the program itself moves."""
    with Asked() as nginx, Client(*command, nginx.tls, 100) as client:
        watch = Watch(program, nginx.tls, "http", "outbound")
        check(client.go() == "400\n", "answers")
        watch.expect({"GET /asked": 400})


def test_called_by_asyncio():
    called_by(sys.executable, os.path.join(HERE, "servers", "tls_client.py"))


def test_called_by_node():
    called_by(installed("node"), os.path.join(HERE, "servers", "tls.mjs"), "client")


def both_ends():
    client = os.path.join(HERE, "servers", "tls_client.py")
    with Watched(Asked()) as nginx, Client(sys.executable, client, nginx.tls, 50) as client:
        inbound = Watch(program, nginx.tls, "http")
        outbound = Watch(program, nginx.tls, "http", "outbound", inbound.before)
        check(client.go() == "200\n", "answers")
        inbound.expect({"GET /asked": 200})
        outbound.expect({"GET /asked": 200})
        told = unseen(inbound.before, outbound.after, "tls")
        check(told == 0, f"{told} bytes of TLS are told as unseen")


def test_both_ends():
    """No byte is told as unseen then; those of other programs of the node may be, now and then."""
    lib.retry(4, both_ends)


# --- which processes


def test_others_are_left_alone():
    """What does not match has no breakpoint; its bytes are told as unseen."""
    with NginxTls() as nginx:
        program.look()
        check(not {*members(nginx)} & {*program.processes()}, "it is watched")
        watch = Watch(program, nginx.tls, "http")
        ask(nginx.tls, 30, "/small.txt")
        watch.expect({})
        told = unseen(watch.before, watch.after, "tls")
        check(told >= 2 * 30 * 500, f"{told} bytes of TLS")


def test_found_while_running():
    """Connections that were there before are followed from the next SSL_read() on: a thread may be
    in one already."""
    for server in (NginxTls(), python("threads"), node_server()):
        server.group = group.dir
        with server:
            port = getattr(server, "tls", server.port)
            with Https(port) as c:
                c.get("/fine/")
                program.look(*members(server))
                c.get("/fine/")
                watch = Watch(program, port, "http")
                for _ in range(30):
                    c.get("/fine/")
                watch.expect({"GET /fine/": 30})


def test_more_are_forked():
    """nginx's new workers, after a reload, are watched from their first byte on."""
    with Watched(NginxTls()) as nginx:
        old = members(nginx)[1]
        watch = Watch(program, nginx.tls, "http")
        nginx.process.send_signal(signal.SIGHUP)
        until("a new worker", lambda: old not in members(nginx) and len(members(nginx)) == 2)
        ask(nginx.tls, 40, "/fine/")
        watch.expect({"GET /fine/": 40})
        program.look(nginx.process.pid)
        check(program.processes()[nginx.process.pid]["forked"] == 1, f"{program.tls()}")


def in_turn(port, connections, each):
    """Several connections at once, of which each ends after another number of requests; the number
    of all."""
    clients, n = [Https(port) for _ in range(connections)], 0
    for i in range(each * connections):
        for c in clients:
            c.send(REQUEST)
        for c in clients:
            check(c.answer() == (200, b"fine"), "no answer")
        n += len(clients)
        if i % each == each - 1:
            clients.pop(0).__exit__()
    return n


def test_process_for_each_connection():
    """None of them takes the uprobes of another with it when it ends, though they take the CPU from
    each other; nor do those that a child forks, once it has been looked at."""
    with Watched(python("forks")) as server:
        os.sched_setaffinity(server.process.pid, {min(os.sched_getaffinity(0))})
        watch = Watch(program, server.port, "http")
        n = sum(in_turn(server.port, 6, 10) for _ in range(5))
        watch.expect({"GET /asked": n})
        server.process.send_signal(signal.SIGUSR1)
        until("a child", lambda: len(members(server)) == 2)
        child = members(server)[1]
        with Https(server.port) as one, Https(server.port) as two:
            one.get("/asked")
            two.get("/asked")
            program.look(child)
        watch = Watch(program, server.port, "http")
        n = sum(in_turn(server.port, 6, 10) for _ in range(5))
        watch.expect({"GET /asked": n})
        os.kill(child, signal.SIGKILL)


def test_switched_off_and_on():
    """By a reload of the configuration, while requests go on."""
    with Watched(python("threads")) as server, Https(server.port) as c:
        watch = Watch(program, server.port, "http")
        c.get("/asked")
        watch.expect({"GET /asked": 1})
        program.write("")
        program.hang_up()
        check(program.processes() == {}, f"{program.tls()}")
        check(not events(), f"{events()}")
        watch = Watch(program, server.port, "http")
        for _ in range(20):
            c.get("/asked")
        watch.expect({})
        check(unseen(watch.before, watch.after, "tls") > 0, "its bytes are not told as unseen")
        program.write(pattern())
        program.look(server.process.pid)
        c.get("/asked")
        watch = Watch(program, server.port, "http")
        for _ in range(20):
            c.get("/asked")
        watch.expect({"GET /asked": 20})


def test_processes_end():
    """Nothing is left of them, however they end."""
    program.hang_up()
    before = perf_events()
    for _ in range(3):
        with Watched(python("threads")) as server:
            watch = Watch(program, server.port, "http")
            c = Https(server.port)
            c.get("/asked")
            watch.expect({"GET /asked": 1})
            check(events() and perf_events() > before, "it has no events")
            server.process.kill()
            server.process.wait()
    program.hang_up()
    check(program.processes() == {}, f"{program.tls()}")
    check(not events(), f"{events()}")
    check(perf_events() == before, f"{before} perf events have become {perf_events()}")


def test_too_many():
    """So many are watched; of the others it is said why not."""
    program.hang_up()
    before = perf_events()
    clients = [Client(installed("curl"), "-s", "-K", "-") for _ in range(70)]
    try:
        until("their first wait", lambda: all(c.waits() for c in clients))
        program.hang_up()
        found = [program.processes()[c.process.pid] for c in clients]
        check(sum(p["watched"] for p in found) == 64, f"{found}")
        check(all("too many" in p["reason"] for p in found if not p["watched"]), f"{found}")
    finally:
        for c in clients:
            c.__exit__()
    program.hang_up()
    check(perf_events() == before, f"{before} perf events have become {perf_events()}")


def test_what_has_no_openssl():
    """It is said."""
    sleeper = subprocess.Popen(["sleep", "1000"], preexec_fn=group.join)
    try:
        program.hang_up()
        found = program.processes()[sleeper.pid]
        check(not found["watched"] and "no OpenSSL" in found["reason"] and found["name"] == "sleep"
              and found["file"].endswith("/sleep"), f"{found}")
    finally:
        lib.end(sleeper)


def test_nothing_is_left():
    """Of a second program, even if it is killed; the first one goes on."""
    with Watched(NginxTls()) as nginx:
        with Configured(pattern()) as second:
            until("the second one's look", lambda: nginx.process.pid in second.processes())
            watches = [Watch(p, nginx.tls, "http") for p in (program, second)]
            ask(nginx.tls, 30, "/fine/")
            for watch in watches:
                watch.expect({"GET /fine/": 30})
            second.process.kill()
            second.process.wait()
            check(events(second), "a killed program leaves no events")
        with Configured(pattern()) as third:
            check(not events(second), "they are still there")
            until("its own events", lambda: events(third))
        check(not events(third), "events are left")
        watch = Watch(program, nginx.tls, "http")
        ask(nginx.tls, 30, "/fine/")
        watch.expect({"GET /fine/": 30})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, Group() as group:
        certificate = make_certificate(place)
        with Configured(pattern()) as program:
            raise SystemExit(main([
                test_nginx, test_nginx_under_load, test_pipelined, test_python_threads,
                test_latency, test_asyncio, test_node, test_haproxy, test_http2, test_redis,
                test_postgresql, test_pgbench, test_called_by_curl, test_called_by_asyncio,
                test_called_by_node, test_both_ends, test_found_while_running,
                test_more_are_forked, test_process_for_each_connection,
                test_others_are_left_alone, test_switched_off_and_on, test_processes_end,
                test_too_many, test_what_has_no_openssl, test_nothing_is_left]))
