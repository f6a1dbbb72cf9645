#!/usr/bin/env python3
"""redis.test.py - every Redis command, counted by the program as redis-server, redis-benchmark and
the test's own client count them: served and called, pipelined, failed, over a unix socket."""
import json
import random
import threading

from common import ENV, Both, Trimtab, Watch, check, main, near, until
from servers import Redis, Tally, output, resp, stats_risen

BENCHMARK_N = 200000


def benchmark(server, *options, unix=False):
    """GET and SET by redis-benchmark, equal to the server's own count of commands."""
    where = ["-s", server.socket] if unix else ["-p", server.port]
    with server.client() as control:
        was = server.stats(control)
        both = Both(program, "unix" if unix else server.port, "redis")
        output("redis-benchmark", *where, "-t", "set,get", "-d", 64, "-r", 1000, "-q", *options)
        ok, error = stats_risen(was, server.stats(control))
    if unix:
        ok.pop("INFO")  # that connection is no unix socket
    check(not error, f"the server has errors: {error}")
    both.expect(ok)
    return ok


def test_benchmark_one_by_one():
    ok = benchmark(redis, "-n", BENCHMARK_N, "-P", 1)
    check(ok["GET"] == ok["SET"] == BENCHMARK_N, f"redis-benchmark made {ok}")


def test_benchmark_pipelined():
    ok = benchmark(redis, "-n", BENCHMARK_N, "-P", 16)
    check(ok["GET"] == ok["SET"] == BENCHMARK_N, f"redis-benchmark made {ok}")


def test_unix_socket():
    ok = benchmark(redis, "-n", 20000, "-P", 4, unix=True)
    check(ok["GET"] == ok["SET"] == 20000, f"redis-benchmark made {ok}")


def test_io_threads():
    """The threads that read and write are not the one that executes."""
    with Redis("--io-threads", 2, "--io-threads-do-reads", "yes") as server:
        ok = benchmark(server, "-n", 10000, "-P", 4, "--threads", 2)
        # its threads count what they have made each for itself, and stop a little late
        check(10000 <= ok["GET"] < 10500 and 10000 <= ok["SET"] < 10500, f"it made {ok}")


MIXED = [  # what is sent, its operation
    (resp("GET", "text"), "GET"), (resp("set", "text", "x" * 300), "SET"),
    (resp("Incr", "number"), "INCR"), (resp("LPUSH", "list", *range(20)), "LPUSH"),
    (resp("LRANGE", "list", 0, 50), "LRANGE"), (resp("HSET", "hash", "a", 1, "b", 2), "HSET"),
    (resp("HGETALL", "hash"), "HGETALL"), (resp("MGET", "text", "none", "number"), "MGET"),
    (b"PING\r\n", "PING"), (b"exists text  none\r\n", "EXISTS"), (resp("PING", "x" * 5000), "PING"),
    (resp("MULTI"), "MULTI"), (resp("EXEC"), "EXEC"), (resp("TIME"), "TIME"),
    (resp("EVAL", "return {1, {2, 'x'}, {}, false}", 0), "EVAL"),
    (resp("SET", "binary", bytes(range(256)) * 8), "SET"), (resp("GET", "binary"), "GET"),
    (resp("GET", "list"), "GET"),  # WRONGTYPE
    (resp("NOSUCHCOMMAND", "x"), "NOSUCHCOMMAND"), (resp("GET"), "GET"),
]


def send_in_pieces(client, data, stream):
    """Cut at random, never as the commands are."""
    at = 0
    while at < len(data):
        n = stream.choice((1, 2, 7, 100, 1000, 5000, 60000))
        client.send(data[at:at + n])
        at += n


def pipeline(client, commands, stream):
    """Sends all, and reads the answers at the same time, so that neither side waits for ever."""
    data = b"".join(data for data, _ in commands)
    sender = threading.Thread(target=send_in_pieces, args=(client, data, stream), daemon=True)
    sender.start()
    for _, operation in commands:
        client.answered(operation)
    sender.join()


def test_mixed_pipelines():
    """Commands of all shapes with all kinds of answers, cut anywhere. Within MULTI an answer is
    +QUEUED, and EXEC's holds the others, failed ones too: it is one answer."""
    stream = random.Random(3)
    both = Both(program, redis.port, "redis")
    with redis.client() as c:
        for depth in (1, 3, 5, 8) * 60:
            pipeline(c, stream.choices(MIXED, k=depth), stream)
    check(len(c.tally.error) > 2, f"errors: {c.tally.error}")
    both.expect(c.tally.ok, c.tally.error)


def test_deep_pipelines():
    """More commands of different names in flight than a connection remembers: counted all the same,
    though not all by their names. After them each has its name and its time again."""
    stream = random.Random(4)
    both = Both(program, redis.port, "redis")
    with redis.client() as c:
        for depth in (50, 500, 2000) * 3:
            pipeline(c, stream.choices(MIXED, k=depth), stream)
        both.expect_in_all(sum(c.tally.ok.values()), sum(c.tally.error.values()))
        both = Both(program, redis.port, "redis")
        for _ in range(10):
            c.call("GET", "none")
        both.expect({"GET": 10})


def test_errors():
    """As many errors as were provoked, of each kind."""
    both = Both(program, redis.port, "redis")
    with redis.client() as c:
        c.call("SET", "string", "x")
        for _ in range(37):
            c.call("LPUSH", "string", 1)
        for _ in range(11):
            c.call("NOSUCH")
        for _ in range(23):
            c.call("GET", "string")
    check(c.tally.error == {"LPUSH": 37, "NOSUCH": 11}, f"errors: {c.tally.error}")
    both.expect({"SET": 1, "GET": 23}, {"LPUSH": 37, "NOSUCH": 11})


def test_resp3():
    """Maps, nulls, doubles, and pushes that answer nothing."""
    both, tally = Both(program, redis.port, "redis"), Tally()
    with redis.client(tally) as c, redis.client(tally) as other:
        c.call("HELLO", 3)
        c.call("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "tracked")
        c.call("HSET", "map", "a", 1)
        check(c.call("HGETALL", "map") == [b"a", b"1"], "no map")
        c.call("ZADD", "sorted", 1.5, "x")
        check(c.call("ZSCORE", "sorted", "x") == "1.5", "no double")
        check(c.call("GET", "none") is None, "no null")
        for i in range(20):
            other.call("SET", f"tracked{i}", i)
            check(c.answer()[0] == b"invalidate", "no push")
            check(c.call("PING") == "PONG", "no PONG")
    both.expect(tally.ok)


def test_large_values():
    """100 KB and 5 MB, in many calls of each side, with commands and answers inside that are data."""
    both = Both(program, redis.port, "redis")
    inner = resp("DEL", "key") + b"+OK\r\n-ERR no\r\n$-1\r\n"
    with redis.client() as c:
        for size, n in ((100_000, 50), (5_000_000, 3)):
            value = (inner * (size // len(inner) + 1))[:size]
            for _ in range(n):
                c.call("SET", "large", value)
                check(c.call("GET", "large") == value, "GET is not what was SET")
            c.send(resp("SET", "large", value) + resp("GET", "large") + resp("GET", "none"))
            for operation in ("SET", "GET", "GET"):
                c.answered(operation)
    check(not c.tally.error, f"errors: {c.tally.error}")
    both.expect(c.tally.ok)


def test_blocking_commands():
    """They wait by design: counted, not timed, and what comes after them is both."""
    both, tally = Both(program, redis.port, "redis"), Tally()
    with redis.client(tally) as c, redis.client(tally) as other:
        for i in range(3):
            c.send(resp("BLPOP", "waited", 0))
            until("BLPOP to wait", lambda: b" cmd=blpop " in other.call("CLIENT", "LIST"))
            other.call("RPUSH", "waited", i)
            check(c.answered("BLPOP") == [b"waited", b"%d" % i], "BLPOP popped another value")
            c.call("GET", "none")
        c.call("BLPOP", "none", "0.01")
        other.call("XADD", "stream", "*", "a", 1)
        c.send(resp("XREAD", "BLOCK", 0, "STREAMS", "stream", "$"))
        until("XREAD to wait", lambda: b" cmd=xread " in other.call("CLIENT", "LIST"))
        other.call("XADD", "stream", "*", "a", 1)
        c.answered("XREAD")
        c.call("WAIT", 1, 1)
        c.call("GET", "none")
    both.expect(tally.ok, untimed={"BLPOP", "XREAD", "WAIT"})


def test_subscriptions():
    """A subscriber's and a monitor's connection is a stream: what flows on it is no answer."""
    both, tally = Both(program, redis.port, "redis"), Tally()
    with redis.client(tally) as subscriber, redis.client(tally) as monitor, \
            redis.client(tally) as c:
        subscriber.send(resp("SUBSCRIBE", "news"))
        subscriber.answer()
        monitor.send(resp("MONITOR"))
        monitor.answer()
        for i in range(50):
            check(c.call("PUBLISH", "news", f"-ERR {i}") == 1, "nobody subscribes")
            subscriber.answer()
            monitor.answer()
    for watch in (both.inbound, both.outbound):
        until("PUBLISH", lambda: watch.read().counts().get(("redis", "PUBLISH", "ok")) == 50, 5)
        counts = {k[1:]: n for k, n in watch.counts().items()}
        check(counts.pop(("PUBLISH", "ok")) == 50, "PUBLISH")
        # the two that made a stream of it are counted or not, but not timed
        check(not {k for k in counts if k[0] not in ("SUBSCRIBE", "MONITOR")}, f"also {counts}")
        check(watch.timed() == {"PUBLISH": 50}, f"timed: {watch.timed()}")


def test_replica():
    """A replication link is kept out of the latency, and what flows on it is no request."""
    with Redis() as replica:
        both = Both(program, redis.port, "redis")
        behind = Watch(program, replica.port, "redis")
        with redis.client() as c, replica.client() as r:
            r.call("REPLICAOF", "127.0.0.1", redis.port)
            until("the replica's link", lambda: b"master_link_status:up" in r.call("INFO"))
            for i in range(500):
                c.call("SET", f"replicated{i}", i)
            until("the last value", lambda: r.call("GET", "replicated499") == b"499")
            # two of its acknowledgements, one a second
            said = offset(c)
            until("acknowledgements", lambda: offset(c) != said and c.call("WAIT", 1, 0) == 1)
            r.call("REPLICAOF", "NO", "ONE")
        behind.expect(r.tally.ok)
    for watch in (both.inbound, both.outbound):
        counts = {k[1:]: n for k, n in watch.read().counts().items()}
        for operation, n in c.tally.ok.items():
            check(counts.pop((operation, "ok"), 0) == n, f"{operation} is not {n}: {counts}")
        check(not {k for k in counts if k[0] not in ("PING", "REPLCONF", "PSYNC", "AUTH")},
              f"also {counts}")
        timed = watch.timed()
        check("PSYNC" not in timed and "WAIT" not in timed, f"timed: {timed}")
        check(timed["SET"] == 500, f"timed: {timed}")
        check(watch.quantile(1) < 0.5, f"a latency of {watch.quantile(1)} s")


def offset(client):
    """Of the replica, as it has acknowledged it."""
    return next(line for line in client.call("INFO", "replication").splitlines()
                if line.startswith(b"slave0:"))


def test_restart():
    """The same series goes on when the server is started anew."""
    with Redis() as server:
        both, tally = Both(program, server.port, "redis"), Tally()
        with server.client(tally) as c:
            for _ in range(10):
                c.call("GET", "x")
        server.stop()
        server.run()  # asks PING until it is answered
        with server.client(tally) as c:
            for _ in range(10):
                c.call("GET", "x")
        tally.ok["PING"] = 1
        both.expect(tally.ok)
        names = {m["labels"]["service"] for m in both.inbound.mine(both.inbound.after,
                                                                  "trimtab_requests_total")}
        check(len(names) == 1, f"services {names}")


def test_services_of_the_api():
    """GET /api/services says of a service what its series say."""
    with Redis() as server:
        both = Both(program, server.port, "redis")
        with server.client() as c:
            for _ in range(2000):
                c.call("GET", "x")
            for _ in range(500):
                c.call("LPUSH", "x")
        both.expect({"GET": 2000}, {"LPUSH": 500})
        page = json.loads(program.get("/api/services?limit=128"))
        for watch in (both.inbound, both.outbound):
            found = [s for s in page["services"] if s["name"].endswith(watch.port)
                     and s["direction"] == watch.direction]
            check(len(found) == 1, f"{watch.direction}: {found}")
            says = {o["name"]: (o["requests_total"], o["errors_total"])
                    for o in found[0]["operations"]}
            check(says["GET"] == (2000, 0) and says["LPUSH"] == (500, 500), f"it says {says}")
            # those in the histogram are those of the window: the service is not older
            get = next(o for o in found[0]["operations"] if o["name"] == "GET")
            for q, name in ((0.5, "p50"), (0.99, "p99")):
                near(name, get[name], watch.quantile(q, operation="GET"), 1e-9)


if __name__ == "__main__":
    with Trimtab(ENV) as program, Redis() as redis:
        raise SystemExit(main([
            test_benchmark_one_by_one, test_benchmark_pipelined, test_unix_socket, test_io_threads,
            test_mixed_pipelines, test_deep_pipelines, test_errors, test_resp3, test_large_values,
            test_blocking_commands, test_subscriptions, test_replica, test_restart,
            test_services_of_the_api]))
