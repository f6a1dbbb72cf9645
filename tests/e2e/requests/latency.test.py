#!/usr/bin/env python3
"""latency.test.py - how long requests take, against what the server that answered them measured
itself: p50, p99 and mean within 10 % or 5 us; and the time in the queue before it told apart."""
import functools
import random
import re
import threading
import time

from common import (ENV, QUEUE, RESPONSE, Trimtab, Watch, check, main, near, quantile,
                    read, until)
from lib import retry
from servers import Http, Nginx, Postgres, Redis, Sleeper

ATTEMPTS = 3  # a CPU that others take in between two readings of clocks is in one of them alone
WHOLE_MS_S = 0.001  # what nginx logs


def undisturbed(test):
    """One attempt in so many that no other program of the node disturbs."""
    @functools.wraps(test)
    def attempts():
        return retry(ATTEMPTS, test)

    return attempts


def ask(port, naps_ms, path="/sleep"):
    """Each of the connections asks for its naps; what each took for the client."""
    took = []

    def work(mine):
        with Http(port) as c:
            for ms in mine:
                began = time.perf_counter()
                c.send(b"GET %s?ms=%g HTTP/1.1\r\nHost: localhost\r\n\r\n" % (path.encode(), ms))
                first = c.file.peek(1)  # reads what has come, and leaves it to answer()
                took.append(time.perf_counter() - began)
                check(first and c.answer()[0] == 200, "no answer")

    threads = [threading.Thread(target=work, args=(mine,), daemon=True) for mine in naps_ms]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(len(took) == sum(map(len, naps_ms)), "a client failed")
    return took


def naps(connections, each, low_ms, high_ms, seed):
    """Random, log-uniform: their median and their 99th percentile are far apart."""
    stream = random.Random(seed)
    return [[low_ms * (high_ms / low_ms) ** stream.random() for _ in range(each)]
            for _ in range(connections)]


def sleeper(name, low_ms=2, high_ms=60):
    """Served as the server measured it, called as the client did."""
    with Sleeper(name) as server:
        before = read(program)
        served = Watch(program, server.port, "http", "inbound", before)
        called = Watch(program, server.port, "http", "outbound", before)
        took = ask(server.port, naps(8, 60, low_ms, high_ms, 5))
        served.read().like(server.report(), operation="GET /sleep")
        called.read().like(took, operation="GET /sleep")


def test_node():
    sleeper("sleep.mjs")


def test_python_asyncio():
    sleeper("sleep_asyncio.py")


def test_python_threads():
    sleeper("sleep_threads.py")


def test_microseconds():
    """Nothing to do, a little, and up to 300 us, by a server that adds nothing of its own. Not p99:
    of so short a time it is who interrupts between the server's clock and the kernel's."""
    with Sleeper("spin.c") as server:
        for low, high in ((0, 0), (5, 15), (10, 300)):
            stream, served = random.Random(high), Watch(program, server.port, "http")
            with Http(server.port) as c:
                for _ in range(2000):
                    check(c.get(f"/spin?us={stream.randint(low, high)}")[0] == 200, "no answer")
            truth = server.report()
            served.read()
            for q in (0.5, 0.8):
                near(f"p{q * 100:.0f}", served.quantile(q, operation="GET /spin"),
                     quantile(truth, q))


def test_queue_before_a_single_thread():
    """20 ms each, one at a time, 4 clients: served in 20 ms, answered 80 ms after it arrived."""
    with Sleeper("sleep_single.py") as server:
        served = Watch(program, server.port, "http")
        took = ask(server.port, [[20] * 30] * 4)
        truth = server.report()
        served.read()
        near("p50 of the duration", served.quantile(0.5, operation="GET /sleep"),
             quantile(truth, 0.5))
        near("p50 of the response", served.quantile(0.5, RESPONSE), quantile(took, 0.5))
        near("p50 of the queue", served.quantile(0.5, QUEUE),
             quantile(took, 0.5) - quantile(truth, 0.5))
        check(0.07 < quantile(took, 0.5) < 0.12, f"the clients waited {quantile(took, 0.5)} s")


def test_nginx_and_what_it_calls():
    """$request_time and $upstream_response_time, which are whole milliseconds."""
    with Sleeper("sleep_asyncio.py") as behind, Nginx(upstream=behind.port) as proxy:
        for ms in (5, 20, 50):
            before = read(program)
            served = Watch(program, proxy.port, "http", "inbound", before)
            called = Watch(program, behind.port, "http", "outbound", before)
            n = len(proxy.logged())
            ask(proxy.port, [[ms] * 40] * 4, "/proxy/sleep")
            lines = proxy.logged(n + 160)[n:]
            served.read().like([float(line[3]) for line in lines], floor_s=WHOLE_MS_S)
            called.read().like([float(line[4]) for line in lines], floor_s=WHOLE_MS_S)


def test_redis_script():
    """A script that is busy for a random time, as the slow log has it."""
    script = """
        local function now() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end
        local till = now() + ARGV[1]
        while now() < till do end
        return 1
    """
    with Redis("--slowlog-log-slower-than", 100, "--slowlog-max-len", 10000) as server:
        with server.client() as c:
            c.call("SLOWLOG", "RESET")
            served = Watch(program, server.port, "redis")
            for us in naps(1, 300, 300, 10000, 7)[0]:
                check(c.call("EVAL", script, 0, int(us)) == 1, "EVAL failed")
            log = c.call("SLOWLOG", "GET", 10000)
        truth = [entry[2] / 1e6 for entry in log if entry[3][0] == b"EVAL"]
        # what the server does around the script, it does not log
        served.read().like(truth, operation="EVAL", floor_s=50e-6)


def test_redis_behind_a_busy_one():
    """Redis does one at a time: others wait in its queue for a script of 20 ms."""
    script = """
        local function now() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end
        local till = now() + 20000
        while now() < till do end
        return 1
    """
    with Redis() as server:
        served = Watch(program, server.port, "redis")
        took = []

        def work():
            with server.client() as c:
                for _ in range(25):
                    began = time.perf_counter()
                    c.call("EVAL", script, 0)
                    took.append(time.perf_counter() - began)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        served.read()
        near("p50 of the response", served.quantile(0.5, RESPONSE), quantile(took, 0.5))


def test_postgresql():
    """pg_sleep of a random time, simple and prepared, as the server's log has it."""
    with Postgres(log_min_duration_statement=0) as server:
        script = server.file("nap.sql", "\\set us random(2000, 40000)\n"
                                        "select pg_sleep(:us / 1000000.0);\n")
        for mode in ("simple", "prepared"):
            done = len(durations(server))
            served = Watch(program, server.port, "postgresql")
            server.pgbench("-n", "-M", mode, "-c", 4, "-t", 60, "-f", script)
            until("the log", lambda: len(durations(server)) >= done + 240)
            served.read().like(durations(server)[done:], operation="SELECT")


def durations(server):
    """Of the naps, of what the log says of a simple query, or of an execution."""
    return [float(ms) / 1000 for ms in re.findall(
        r"duration: ([\d.]+) ms  (?:statement|execute [^:]*): select pg_sleep", server.said())]


def test_pipelined():
    """Eight at once, each answered when its turn has come: each has its own latency."""
    with Sleeper("sleep_pipeline.py") as server:
        served = Watch(program, server.port, "http")
        with Http(server.port) as c:
            for _ in range(20):
                c.send(b"GET /sleep?ms=4 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 8)
                for _ in range(8):
                    check(c.answer()[0] == 200, "no answer")
        truth = server.report()
        check(max(truth) > 5 * min(truth), f"the server took {min(truth)} to {max(truth)} s")
        served.read().like(truth, operation="GET /sleep")


if __name__ == "__main__":
    with Trimtab(ENV) as program:
        raise SystemExit(main([undisturbed(test) for test in (
            test_node, test_python_asyncio, test_python_threads, test_microseconds,
            test_queue_before_a_single_thread, test_nginx_and_what_it_calls, test_redis_script,
            test_redis_behind_a_busy_one, test_postgresql, test_pipelined)]))
