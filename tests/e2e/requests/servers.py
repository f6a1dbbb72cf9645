"""servers.py - real servers for the tests of requests: each in a temporary directory of its own, on
a free port of loopback, started and ended by its pid, ready when it answers.

    with Redis("--io-threads", 2) as redis:
        redis.port, redis.call("GET", "key")

What a server itself says that it did is the truth of the tests: INFO commandstats, stub_status, the
log. Asking for it makes requests too; the tests count them in.
"""
import contextlib
import ctypes
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from common import HERE, Skip, check, until
from lib import end, free_port, start

ESTABLISHED, CLOSE_WAIT = "01", "08"  # in /proc/net/tcp

READY_S = 60
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/postgresql/15/bin"


def program(name):
    found = shutil.which(name, path=PATH)
    if not found:
        raise Skip(f"{name} is not installed: tools/setup test")
    return found


def output(*command, **options):
    """What a load maker says; it must succeed."""
    done = subprocess.run([program(command[0]), *map(str, command[1:])], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                          check=False, **options)
    check(done.returncode == 0, f"{command[0]}: status {done.returncode}: {done.stdout[-600:]}")
    return done.stdout


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Server:
    """A child process. `command` and `ready` are a kind's own."""

    user = None  # whom it runs as
    group = None  # the directory of the cgroup that it joins
    end_signal = signal.SIGTERM

    def __init__(self):
        self.process = self.dir = self.log = None
        self.port = free_port()

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix=f"trimtab-{type(self).__name__.lower()}-")
        os.chmod(self.dir, 0o755)
        if self.user:
            shutil.chown(self.dir, self.user)
        self.log = os.path.join(self.dir, "log")
        try:
            self.prepare()
            self.run()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if self.process:
            self.stop()
        if kind and kind not in (SystemExit, Skip) and os.path.exists(self.log):
            print(f"# log of {type(self).__name__}:\n{self.said()[-2000:]}", flush=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    def prepare(self):
        pass

    def environment(self):
        return {**os.environ, "PATH": PATH}

    def run(self):
        """Starts it, and waits until it answers; also once more after stop()."""
        sink = open(self.log, "ab")
        account = pwd.getpwnam(self.user) if self.user else None

        def become():
            if self.group:
                with open(os.path.join(self.group, "cgroup.procs"), "w") as f:
                    f.write("0")
            if account:
                os.setgroups([])
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG; setuid would clear it

        with sink:
            self.process = subprocess.Popen(
                [str(c) for c in self.command()], preexec_fn=become, cwd=self.dir,
                env=self.environment(), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        until(f"{type(self).__name__} to answer", self.is_ready, READY_S)

    def is_ready(self):
        check(self.process.poll() is None,
              f"{type(self).__name__} ended with {self.process.returncode}: {self.said()[-600:]}")
        return self.ready()

    def ready(self):
        return answers(self.port)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(self.end_signal)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            end(self.process)
        self.process = None

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def file(self, name, content):
        path = os.path.join(self.dir, name)
        with open(path, "wb" if isinstance(content, bytes) else "w") as f:
            f.write(content)
        return path


# --- Redis


def resp(*words):
    """A command as its clients send it."""
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Tally:
    """What a client of the tests got answered: {operation: n}."""

    def __init__(self):
        self.ok, self.error = {}, {}

    def add(self, operation, failed=False):
        into = self.error if failed else self.ok
        into[operation] = into.get(operation, 0) + 1


class RedisClient:
    """A connection to Redis: send(bytes) and answer() apart, call(words...) both and tallied."""

    def __init__(self, address, tally=None):
        self.tally = tally or Tally()
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(READY_S)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def call(self, *words):
        self.send(resp(*words))
        return self.answered(words[0].upper())

    def answered(self, operation):
        """The next answer, tallied."""
        answer = self.answer()
        self.tally.add(operation, isinstance(answer, Exception))
        return answer

    def answer(self):
        """An error comes back as an Exception that is not raised."""
        line = self.file.readline()
        if not line:
            raise ConnectionResetError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return Exception(rest.decode())
        if kind in b"+,(":
            return rest.decode()
        if kind in b":#_":
            return int(rest) if kind == b":" else {b"t": True, b"f": False, b"": None}[rest]
        n = int(rest)
        if n < 0:
            return None
        if kind in b"$=":
            return self.file.read(n + 2)[:-2]
        return [self.answer() for _ in range(n * (2 if kind == b"%" else 1))]


class Redis(Server):
    def __init__(self, *options):
        super().__init__()
        self.options = options

    def command(self):
        self.socket = os.path.join(self.dir, "socket")
        return [program("redis-server"), "--bind", "127.0.0.1", "--port", self.port, "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--dir", self.dir, "--loglevel",
                "warning", "--unixsocket", self.socket, *self.options]

    def ready(self):
        try:
            with self.client() as c:
                return c.call("PING") == "PONG"
        except OSError:
            return False

    def client(self, tally=None, unix=False):
        return RedisClient(self.socket if unix else ("127.0.0.1", self.port), tally)

    def call(self, *words):
        with self.client() as c:
            return c.call(*words)

    def stats(self, client):
        """{command: (calls, those refused or failed)} as the server counted; this INFO is in the
        next one's."""
        found = {}
        for line in client.call("INFO", "commandstats").decode().splitlines():
            m = re.match(r"cmdstat_([^|:]+)[^:]*:calls=(\d+),.*rejected_calls=(\d+),"
                         r"failed_calls=(\d+)", line)
            if m:
                calls, bad = found.get(m[1].upper(), (0, 0))
                found[m[1].upper()] = (calls + int(m[2]) + int(m[3]), bad + int(m[3]) + int(m[4]))
        return found


def stats_risen(before, after):
    """({command: answered}, {command: with an error}) between two stats()."""
    ok, error = {}, {}
    for name, (calls, bad) in after.items():
        was_calls, was_bad = before.get(name, (0, 0))
        bad -= was_bad
        ok[name] = calls - was_calls - bad
        error[name] = bad
    return {k: n for k, n in ok.items() if n}, {k: n for k, n in error.items() if n}


# --- HTTP


class Http:
    """One kept connection of a raw client: what is sent is the test's own bytes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), READY_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def get(self, path, method="GET", body=b"", headers=""):
        self.send(head(path, method, len(body) if body else None, headers) + body)
        return self.answer(method)

    def answer(self, method="GET"):
        """(status, body) of the next response but 100 Continue."""
        status, headers = self.answer_head()
        while status == 100:
            status, headers = self.answer_head()
        if method == "HEAD" or status in (101, 204, 304):
            return status, b""
        if headers.get("transfer-encoding") == "chunked":
            return status, self.chunks()
        return status, self.file.read(int(headers["content-length"]))

    def answer_head(self):
        line = self.file.readline()
        if not line:
            raise ConnectionResetError("the server closed the connection")
        headers = {}
        while (h := self.file.readline()) not in (b"\r\n", b""):
            name, value = h.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        return int(line.split()[1]), headers

    def chunks(self):
        body = b""
        while n := int(self.file.readline().split(b";")[0], 16):
            body += self.file.read(n)
            self.file.readline()
        while self.file.readline() not in (b"\r\n", b""):
            pass
        return body


def head(path, method="GET", length=None, headers=""):
    length = "" if length is None else f"Content-Length: {length}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}{headers}\r\n".encode()


class Nginx(Server):
    """`server` is put into the server block; `upstream` is the port that /proxy/ goes to."""

    def __init__(self, server="", upstream=None, workers=1):
        super().__init__()
        self.server, self.upstream, self.workers = server, upstream, workers

    def prepare(self):
        os.mkdir(os.path.join(self.dir, "html"))
        self.file("html/small.txt", "x" * 500)
        self.file("html/large.bin", os.urandom(1 << 20))
        self.access = os.path.join(self.dir, "access")
        self.config = self.file("nginx.conf", self.text())

    def text(self):
        temporary = "".join(f"{kind}_temp_path {self.dir}/{kind};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        proxy = f"""
            upstream behind {{ server 127.0.0.1:{self.upstream}; keepalive 16; }}
        """ if self.upstream else ""
        location = """
            location /proxy/ {
                proxy_pass http://behind/; proxy_http_version 1.1; proxy_set_header Connection "";
            }
        """ if self.upstream else ""
        return f"""
        user root; worker_processes {self.workers}; daemon off; pid {self.dir}/pid;
        error_log {self.log} warn;
        events {{ worker_connections 512; }}
        http {{
            {temporary}
            log_format times '$request_method $uri $status $request_time $upstream_response_time';
            access_log {self.access} times;
            keepalive_requests 1000000; server_tokens off;
            {proxy}
            server {{
                listen 127.0.0.1:{self.port};
                root {self.dir}/html;
                location = /status {{ stub_status; access_log off; }}
                location /no/ {{ return 404; }}
                location /busy/ {{ return 503; }}
                location /fine/ {{ return 200 "fine"; }}
                location /moved/ {{ return 302 /fine/; }}
                location /buffered/ {{ sendfile off; alias {self.dir}/html/; }}
                location /files/ {{ sendfile on; tcp_nopush on; alias {self.dir}/html/; }}
                {location}
                {self.server}
            }}
        }}"""

    def command(self):
        return [program("nginx"), "-c", self.config, "-p", self.dir, "-e", self.log]

    def requests(self):
        """How many it has read, this one included."""
        with Http(self.port) as c:
            return int(c.get("/status")[1].split()[9])

    def settle(self):
        """Waits until it is done with what is left in connections that their clients have closed."""
        def done():
            with open("/proc/net/tcp") as f:
                return not any(line.split()[1].endswith(f":{self.port:04X}") and
                               line.split()[3] in (ESTABLISHED, CLOSE_WAIT) for line in f)
        until(f"nobody to be connected to port {self.port}", done)

    def logged(self, fresh=0):
        """[(method, path, status, seconds, upstream seconds)] once there are that many."""
        def lines():
            with open(self.access) as f:
                found = f.read().splitlines()
            return len(found) >= fresh and [[tuple(line.split()) for line in found]]

        return until(f"{fresh} lines in the access log", lines)[0]


class Haproxy(Server):
    """In HTTP mode, in front of a port."""

    def __init__(self, behind, defaults="", backend=""):
        super().__init__()
        self.behind, self.defaults, self.backend = behind, defaults, backend

    def prepare(self):
        self.config = self.file("haproxy.cfg", f"""
        global
            nbthread 2
        defaults
            mode http
            timeout connect 10s
            timeout client 60s
            timeout server 60s
            {self.defaults}
        frontend front
            bind 127.0.0.1:{self.port}
            default_backend back
        backend back
            {self.backend}
            server one 127.0.0.1:{self.behind}
        """.replace("\n        ", "\n"))

    def command(self):
        return [program("haproxy"), "-db", "-f", self.config]


class Sleeper(Server):
    """A server that sleeps as long as it is asked to and tells how long it took: servers/NAME."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def command(self):
        source = os.path.join(HERE, "servers", self.name)
        if self.name.endswith(".c"):
            built = os.path.join(self.dir, self.name[:-2])
            output("gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-o", built, source)
            return [built, self.port]
        return [program("node") if self.name.endswith(".mjs") else sys.executable, source, self.port]

    def report(self):
        """What each request since the last report took in the server, in seconds."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_S)
        with contextlib.closing(c):
            c.request("GET", "/report")
            return json.loads(c.getresponse().read())


# --- PostgreSQL


class Postgres(Server):
    user = "postgres"
    end_signal = signal.SIGINT  # do not wait for clients
    settings = {
        "listen_addresses": "127.0.0.1", "fsync": "off", "autovacuum": "off",
        "shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_utility": "on",
        "log_min_messages": "log", "log_checkpoints": "off", "max_wal_senders": "0",
        "wal_level": "minimal", "max_connections": "50",
    }

    def __init__(self, **settings):
        super().__init__()
        self.own = settings
        try:
            pwd.getpwnam(self.user)
        except KeyError:
            raise Skip("no user postgres: tools/setup test") from None

    def prepare(self):
        self.bin = newest("/usr/lib/postgresql")
        made = subprocess.run([f"{self.bin}/initdb", "-D", f"{self.dir}/data", "-U", "postgres",
                               "-A", "trust", "-N"], user=self.user, group=self.user, cwd=self.dir,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        check(made.returncode == 0, f"initdb: {made.stdout[-600:]}")

    def command(self):
        options = [w for k, v in {**self.settings, **self.own}.items() for w in ("-c", f"{k}={v}")]
        return [f"{self.bin}/postgres", "-D", f"{self.dir}/data", "-p", self.port, "-k", self.dir,
                *options]

    def ready(self):
        return subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p",
                               str(self.port)], check=False).returncode == 0

    def psql(self, statement, unix=False):
        """Runs it in a connection of its own; the rows, unaligned."""
        return output("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement,
                      *self.where(unix), "postgres").strip()

    def pgbench(self, *options, unix=False):
        return output("pgbench", *options, *self.where(unix), "postgres")

    def where(self, unix=False):
        host = self.dir if unix else "127.0.0.1"
        return ["-h", host, "-p", self.port, "-U", "postgres"]


def newest(base):
    """Debian keeps each version's servers apart, and out of everyone's PATH."""
    versions = sorted((v for v in os.listdir(base) if v.isdigit()), key=int) \
        if os.path.isdir(base) else []
    if not versions:
        raise Skip("postgresql is not installed: tools/setup test")
    return f"{base}/{versions[-1]}/bin"


class Pgbouncer(Server):
    """A pool in front of a server, by transaction; it asks nothing on its own."""

    user = "postgres"

    def __init__(self, behind):
        super().__init__()
        self.behind = behind

    def prepare(self):
        self.config = self.file("pgbouncer.ini", f"""[databases]
postgres = host=127.0.0.1 port={self.behind.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_reset_query =
server_check_query =
max_client_conn = 100
""")

    def command(self):
        return [program("pgbouncer"), self.config]


# --- RabbitMQ


class Rabbit(Server):
    """A broker with a name mapper (epmd) of its own, which would outlive it otherwise."""

    user = "rabbitmq"

    def __init__(self):
        super().__init__()
        self.mapper = None
        self.mapper_port, self.dist_port = free_port(), free_port()
        try:
            pwd.getpwnam(self.user)
        except KeyError:
            raise Skip("rabbitmq-server is not installed: tools/setup test") from None

    def prepare(self):
        self.mapper = start(program("epmd"), "-port", self.mapper_port, "-address", "127.0.0.1",
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("epmd to answer", lambda: answers(self.mapper_port))
        self.file("rabbitmq.conf", f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
                                   "log.console.level = warning\nlog.file = false\n"
                                   "log.console = true\n")
        self.file("enabled_plugins", "[].\n")

    def environment(self):
        # NOTIFY_SOCKET: run in this process, not as a child of a shell
        return {"PATH": PATH, "HOME": self.dir, "LANG": "C.UTF-8",
                "NOTIFY_SOCKET": f"{self.dir}/notify", "ERL_EPMD_PORT": str(self.mapper_port),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODENAME": f"trimtab-{os.getpid()}@localhost",
                "RABBITMQ_DIST_PORT": str(self.dist_port),
                "RABBITMQ_MNESIA_BASE": f"{self.dir}/mnesia",
                "RABBITMQ_LOG_BASE": f"{self.dir}/logs",
                "RABBITMQ_CONFIG_FILE": f"{self.dir}/rabbitmq.conf",
                "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.dir}/enabled_plugins",
                "RABBITMQ_CONF_ENV_FILE": f"{self.dir}/none",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none"}

    def command(self):
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def ready(self):
        """Its port accepts before the broker takes connections."""
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                s.sendall(b"AMQP\0\0\x09\x01")
                return s.recv(1) == b"\x01"
        return False

    def __exit__(self, *what):
        super().__exit__(*what)
        if self.mapper:
            end(self.mapper)
