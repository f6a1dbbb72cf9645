#!/usr/bin/env python3
"""older.test.py - connections that are older than the program, servers and agents that are started
anew, names, and what the configuration changes: each with a program of its own."""
import contextlib
import os
import signal

from common import (ENV, REQUESTS, Both, Skip, Trimtab, Watch, check, main, need, read, until)
from lib import end, start
from raw import Raw, serve
from servers import Haproxy, Http, Nginx, Postgres, Rabbit, Redis, Tally

pika = need("pika")
N = 25  # requests on each connection
NAMED_S = 15  # cgroups are looked for every 10 s


def times(work, n=N):
    for _ in range(n):
        work()


# --- connections that were there before


def test_older_http():
    """At nginx and at a proxy before it, whose connections to nginx are old too."""
    with Nginx() as nginx, Haproxy(nginx.port) as proxy, Http(proxy.port) as c, \
            Http(nginx.port) as direct:
        for client in (c, direct):
            times(lambda client=client: client.get("/fine/a"))
        with Trimtab(ENV) as program:
            before = read(program)
            front = Both(program, proxy.port, "http")
            back = [Watch(program, nginx.port, "http", d, before) for d in ("inbound", "outbound")]
            for client in (c, direct):
                times(lambda client=client: client.get("/fine/a"))
                times(lambda client=client: client.get("/no/a"))
            front.expect({"GET /fine/a": N}, {"GET /no/a": N})
            for watch in back:
                watch.expect({"GET /fine/a": 2 * N}, {"GET /no/a": 2 * N})


def test_older_redis():
    """Over TCP and over a unix socket; pipelined as well."""
    with Redis() as redis, redis.client() as c, redis.client(unix=True) as u:
        for client in (c, u):
            times(lambda client=client: client.call("GET", "x"))
            client.tally = Tally()
        with Trimtab(ENV) as program:
            watches = {c: Both(program, redis.port, "redis"), u: Both(program, "unix", "redis")}
            for client, watch in watches.items():
                times(lambda client=client: client.call("SET", "x", "y" * 1000))
                client.send(b"*2\r\n$3\r\nGET\r\n$1\r\nx\r\n" * N)
                times(lambda client=client: client.answered("GET"))
                watch.expect(client.tally.ok)


def test_older_postgresql():
    """A pool of connections that pgbench made before: its first statements are prepared already."""
    with Postgres() as pg:
        script = pg.file("slow.sql", "select pg_sleep(0.01);\n")
        for mode in ("simple", "prepared"):
            bench = start("pgbench", "-n", "-M", mode, "-c", 4, "-t", 100000, "-f", script,
                          *pg.where(), "postgres")
            try:
                # all four are at it
                until("pgbench", lambda: pg.psql("select count(*) from pg_stat_activity where query"
                                                 " like 'select pg_sleep%'") == "4")
                with Trimtab(ENV) as program:
                    watch = Both(program, pg.port, "postgresql")
                    until("requests", lambda: watch.inbound.read().total() > 200)
                    inbound, outbound = watch.inbound.read(), watch.outbound.read()
                    for w in (inbound, outbound):
                        check({k[1:] for k in w.counts()} == {("SELECT", "ok")},
                              f"{w.direction}: {w.counts()}")
                        check(not w.unanswered(), f"{w.unanswered()} unanswered")
                        check(0.009 < w.quantile(0.5) < 0.02, f"p50 {w.quantile(0.5)}")
            finally:
                end(bench)


def test_older_amqp():
    """A publisher with confirms and a consumer that were connected before."""
    with Rabbit() as rabbit, contextlib.closing(pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", rabbit.port, heartbeat=0))) as connection:
        channel, other = connection.channel(), connection.channel()
        channel.confirm_delivery()
        queue = channel.queue_declare("", exclusive=True).method.queue

        def publish():
            channel.basic_publish("", queue, b"x" * 100)

        got = []

        def consume(c, method, _, __):
            got.append(method)
            c.basic_ack(method.delivery_tag)

        other.basic_consume(queue, consume)
        times(publish)
        until("the messages", lambda: connection.process_data_events(0) or len(got) == N)
        with Trimtab(ENV) as program:
            both = Both(program, rabbit.port, "amqp")
            times(publish)
            until("the messages", lambda: connection.process_data_events(0) or len(got) == 2 * N)
            # the first of them have no time, as what was in flight before is not known
            want = {("amqp", "publish", "ok"): N, ("amqp", "deliver", "ok"): N}
            for watch in (both.inbound, both.outbound):
                until("the count", lambda w=watch: w.read().counts() == want, 5)


# --- started anew


def test_agent_is_started_anew():
    """Nothing falls, nothing is counted twice, names and slots stay."""
    with Redis() as redis, Trimtab(ENV) as program, redis.client() as c:
        both = Both(program, redis.port, "redis")
        times(lambda: c.call("GET", "x"))
        both.expect(c.tally.ok)
        was = names(both.inbound)
        pid = program.pid_of("agent")
        os.kill(pid, signal.SIGKILL)
        times(lambda: c.call("GET", "x"))  # while nobody reads
        until("another agent", lambda: agent(program) not in (None, pid))
        times(lambda: c.call("GET", "x"))
        both.expect(c.tally.ok)
        check(names(both.inbound) == was, f"{names(both.inbound)}, before {was}")


def agent(program):
    with contextlib.suppress(OSError, ValueError, StopIteration):
        if program.request("GET", "/readyz")[0] == 200:
            return program.pid_of("agent")
    return None


def names(watch):
    return {m["labels"]["service"] for m in watch.read().mine(watch.after, REQUESTS)}


@contextlib.contextmanager
def unit(name):
    """A cgroup that is named as a systemd unit's."""
    with open("/proc/mounts") as f:
        root = next((line.split()[1] for line in f if line.split()[2] == "cgroup2"), None)
    if not root:
        raise Skip("no cgroup2 is mounted")
    path = os.path.join(root, name + ".service")
    os.mkdir(path)
    try:
        yield path
    finally:
        until("the cgroup to be empty", lambda: not open(path + "/cgroup.procs").read())
        os.rmdir(path)


def test_unit_is_restarted():
    """A unit that is started anew has a new cgroup and the old name: its series goes on."""
    name, redis = f"trimtab-test-{os.getpid()}", Redis()
    with Trimtab(ENV) as program:
        both, tally = Both(program, redis.port, "redis"), Tally()
        for turn in range(2):
            with unit(name) as redis.group, redis:
                with redis.client(tally) as c:
                    times(lambda: c.call("GET", "x"))
                tally.ok["PING"] = turn + 1
                both.expect(tally.ok, seconds=NAMED_S)
        both.expect(tally.ok)
        check(names(both.inbound) == {f"{name}:{redis.port}"}, f"names: {names(both.inbound)}")


# --- configuration


def test_untimed():
    """Requests that the configuration says wait by design are counted, not timed."""
    environment = {**ENV, "TRIMTAB_REQUEST_UNTIMED": ".* GET /events"}
    with Raw(serve) as server, Trimtab(environment) as program:
        both = Both(program, server.port, "http")
        with Http(server.port) as c:
            c.get("/events")  # until it was met once, the agent knows nothing of it
            until("the flag", lambda: both.inbound.read().total() == 1)
            program.fresh()
            before = {w: w.read().timed().get("GET /events", 0)
                      for w in (both.inbound, both.outbound)}
            times(lambda: c.get("/events"))
            times(lambda: c.get("/others"))
        for w, n in before.items():
            until("the requests", lambda w=w: w.read().total() == 2 * N + 1, 5)
            check(w.timed().get("GET /events", 0) == n, f"timed {w.timed()}, before {n}")
            check(w.timed()["GET /others"] == N, f"timed {w.timed()}")


def test_without_outbound():
    with Raw(serve) as server, Trimtab({**ENV, "TRIMTAB_REQUEST_OUTBOUND": "false"}) as program:
        both = Both(program, server.port, "http")
        with Http(server.port) as c:
            times(lambda: c.get("/in"))
        both.inbound.expect({"GET /in": N})
        both.outbound.expect({})


def test_not_enabled():
    with Raw(serve) as server, Trimtab({**ENV, "TRIMTAB_REQUEST_ENABLED": "false"}) as program:
        with Http(server.port) as c:
            times(lambda: c.get("/in"))
        check(not read(program).having(REQUESTS), "requests are counted")


if __name__ == "__main__":
    raise SystemExit(main([
        test_older_http, test_older_redis, test_older_postgresql, test_older_amqp,
        test_agent_is_started_anew, test_unit_is_restarted, test_untimed, test_without_outbound,
        test_not_enabled]))
