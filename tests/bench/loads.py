"""The servers that are loaded, and one short phase of load on each.

    load.start(session)   starts the server, in a temporary folder, on loopback, pinned, in a cgroup
    load.phase()          -> Phase: what about PHASE_S of work took

Server and client have a CPU each. The server's CPU time is its cgroup's (cpu.stat, to the
microsecond, children included). fio is its own server.
"""
import json
import os
import pwd
import re
import signal
import socket
import subprocess
from collections import namedtuple

from common import OUT, Absent, cpus, free_port, program, until

Phase = namedtuple("Phase", "requests per_second server_ns")
PHASE_S = 0.6
CLIENTS_PG = 10
PG_SCALE = 5
FIO_DEPTH = 8
FIO_BYTES = 256 << 20


def client(command, cpu):
    """Runs a load maker on a CPU to its end; its output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    if done.returncode:
        raise RuntimeError(f"{command[0]}: status {done.returncode}: {done.stderr[-400:]}")
    return done.stdout


class Load:
    unit = "request"

    def calibrate(self, small):
        """Sets self.count so that a phase takes PHASE_S."""
        self.count = small
        self.phase()
        self.count = max(small, int(self.phase().per_second * PHASE_S))

    def phase(self):
        before = self.group.cpu_ns()
        requests, per_second = self.work()
        return Phase(requests, per_second, self.group.cpu_ns() - before)


class Redis(Load):
    def __init__(self, pipeline):
        self.name = f"Redis GET, 50 clients, pipeline {pipeline}"
        self.pipeline = pipeline

    def start(self, session):
        self.benchmark = program("redis-benchmark")
        self.port, self.group, folder = free_port(), session.cgroup(), session.folder()
        process = session.start(
            [program("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
             "--appendonly", "no", "--daemonize", "no", "--dir", folder],
            cpu=cpus()[0], group=self.group)
        until("redis-server to answer", self.answers, alive=process)
        client([self.benchmark, "-p", str(self.port), "-t", "set", "-n", "1", "-d", "64", "-q"],
               cpus()[1])
        self.calibrate(20000)

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.sendall(b"PING\r\n")
                return s.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def work(self):
        out = client(
            [self.benchmark, "-p", str(self.port), "-t", "get", "-c", "50",
             "-P", str(self.pipeline), "-n", str(self.count), "--csv"], cpus()[1])
        return self.count, float(re.search(r'"GET","([\d.]+)"', out).group(1))


NGINX = """daemon off; worker_processes 1; pid {0}/pid; error_log {0}/error;
events {{}}
http {{ access_log off; keepalive_requests 1000000000;
  client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
  uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
  server {{ listen 127.0.0.1:{1}; location / {{ root {0}; }} }} }}
"""


class Nginx(Load):
    name = "nginx, a file of 1 KiB, wrk with 50 clients"

    def start(self, session):
        self.wrk = program("wrk")
        self.port, self.group, folder = free_port(), session.cgroup(), session.folder()
        os.chmod(folder, 0o755)
        with open(os.path.join(folder, "file"), "w") as f:
            f.write("x" * 1024)
        with open(os.path.join(folder, "conf"), "w") as f:
            f.write(NGINX.format(folder, self.port))
        process = session.start([program("nginx"), "-c", os.path.join(folder, "conf")],
                                cpu=cpus()[0], group=self.group)
        until("nginx to answer", self.answers, alive=process)
        self.work()

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False

    def work(self):
        out = client([self.wrk, "-t1", "-c50", "-d1s",
                      f"http://127.0.0.1:{self.port}/file"], cpus()[1])
        return (int(re.search(r"(\d+) requests in", out).group(1)),
                float(re.search(r"Requests/sec:\s*([\d.]+)", out).group(1)))


class Postgres(Load):
    name = f"pgbench -S, {CLIENTS_PG} clients"
    unit = "transaction"

    def start(self, session):
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            raise Absent("no user postgres: tools/setup bench") from None
        self.pgbench = program("pgbench")
        tools = os.path.dirname(os.path.realpath(newest_postgres()))
        self.port, self.group = free_port(), session.cgroup()
        folder = session.folder("postgres")
        data = os.path.join(folder, "data")
        made = session.start([f"{tools}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"],
                             user="postgres", cwd=folder)
        if made.wait(120):
            raise RuntimeError(f"initdb: status {made.returncode}")
        session.stop(made)
        process = session.start(
            [f"{tools}/postgres", "-D", data, "-p", str(self.port), "-k", folder, "-F",
             "-c", "listen_addresses=127.0.0.1", "-c", "autovacuum=off"],
            cpu=cpus()[0], group=self.group, user="postgres", cwd=folder, end_signal=signal.SIGINT)
        ready = [f"{tools}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        until("postgres to answer", lambda: subprocess.run(ready).returncode == 0, alive=process)
        self.call(["-i", "-q", "-s", str(PG_SCALE)])
        self.calibrate(2000)

    def call(self, options):
        return client([self.pgbench, "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                       *options, "postgres"], cpus()[1])

    def work(self):
        each = max(1, self.count // CLIENTS_PG)
        out = self.call(["-S", "-n", "-c", str(CLIENTS_PG), "-t", str(each)])
        rate = re.search(r"tps = ([\d.]+) \(without", out)
        return each * CLIENTS_PG, float(rate.group(1))


class Fio(Load):
    name = f"fio 4k random read, direct, depth {FIO_DEPTH}"
    unit = "I/O"

    def start(self, session):
        self.fio = program("fio")
        folder = session.folder(under=OUT)  # on a disk: a temporary folder may be memory
        self.file = os.path.join(folder, "data")
        with open(self.file, "wb") as f:
            for _ in range(FIO_BYTES >> 20):
                f.write(os.urandom(1 << 20))
            os.fsync(f.fileno())
        self.phase()

    def phase(self):
        out = client(
            [self.fio, "--name=read", "--thread", f"--filename={self.file}", "--rw=randread",
             "--bs=4k", "--direct=1", "--ioengine=libaio", f"--iodepth={FIO_DEPTH}", "--time_based",
             f"--runtime={int(PHASE_S * 1000)}ms", "--output-format=json"], cpus()[0])
        job = json.loads(out[out.index("{"):])["jobs"][0]
        read = job["read"]
        cpu_ns = (job["usr_cpu"] + job["sys_cpu"]) / 100 * read["runtime"] * 1e6
        return Phase(read["total_ios"], read["iops"], cpu_ns)


def newest_postgres():
    """Debian keeps each version's servers apart, and out of everyone's PATH."""
    base = "/usr/lib/postgresql"
    versions = sorted((v for v in os.listdir(base) if v.isdigit()), key=int) \
        if os.path.isdir(base) else []
    return f"{base}/{versions[-1]}/bin/postgres" if versions else program("postgres")


def all_loads():
    return [Redis(1), Redis(16), Postgres(), Fio()]
