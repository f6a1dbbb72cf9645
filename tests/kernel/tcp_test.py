#!/usr/bin/env python3
"""tcp_test.py - TCP in a network namespace of its own: connections, failures, retransmits, resets,
listen queues, drops, bytes and states, exactly.

The truth is what the sockets did and what the kernel counts in this namespace (/proc/net/snmp and
netstat). Losses are made by nft rules. Events are told from those of other namespaces by port.
"""
import ctypes
import errno
import os
import select
import socket
import struct
import subprocess
import time

from lib import (EXACT, LOAD, STEP, Cgroup, Failed, Trimtab, buckets_risen, check, child, end,
                 equal, in_own_network, load, main, nstat, retry, risen, run, start, until)

OPENED = "trimtab_tcp_opened_total"
CONNECT = "trimtab_tcp_connect_seconds"
ACCEPT = "trimtab_tcp_accept_seconds"
FAILURES = "trimtab_tcp_connect_failures_total"
RETRANSMITS = "trimtab_tcp_retransmits_total"
RESETS = "trimtab_tcp_resets_total"
LISTEN_DROPS = "trimtab_tcp_listen_drops_total"
DROPS = "trimtab_packet_drops_total"
BYTES = "trimtab_tcp_bytes_total"
STATES = "trimtab_tcp_connections"

V4, V6 = "127.0.0.1", "::1"
ports = iter(range(17001, 17999))


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listener(port, address=V4, backlog=1024):
    s = socket.socket(family(address))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(backlog)
    return s


def connection(port, address=V4, timeout=20):
    s = socket.socket(family(address))
    s.settimeout(timeout)
    s.connect((address, port))
    return s


def begin(port, address=V4):
    """A connection attempt under way."""
    s = socket.socket(family(address))
    s.setblocking(False)
    check(s.connect_ex((address, port)) == errno.EINPROGRESS, "connect did not begin")
    return s


def pairs(port, n, address=V4):
    """n connections, accepted: (here, there)."""
    with listener(port, address) as server:
        made = []
        for _ in range(n):
            here = connection(port, address)
            made.append((here, server.accept()[0]))
        return made


def close_all(sockets):
    for s in sockets:
        s.close()


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def receive(s, n):
    got = 0
    while got < n:
        chunk = s.recv(min(1 << 20, n - got))
        check(chunk, f"the connection ended after {got} of {n} bytes")
        got += len(chunk)


def tcp_info_rtt_us(s):
    return struct.unpack_from("I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 68)[0]


class Loss:
    """Packets that a rule drops; `count` says how many it has."""

    def __init__(self, *rule):
        self.rule = rule

    def __enter__(self):
        run("nft", "add", "table", "inet", "loss")
        run("nft", "add", "chain", "inet", "loss", "in",
            "{ type filter hook input priority 0; }")
        run("nft", "add", "rule", "inet", "loss", "in", *self.rule, "counter", "drop")
        return self

    def count(self):
        words = run("nft", "list", "chain", "inet", "loss", "in").split()
        return int(words[words.index("packets") + 1])

    def __exit__(self, *_):
        run("nft", "delete", "table", "inet", "loss")


def rise_of(counter, was):
    return nstat()[counter] - was[counter]


# --- connections


def connects(address):
    n, port = 60, next(ports)
    server = start(LOAD, "listen", address, port, n, stdout=subprocess.PIPE, text=True)
    try:
        server.stdout.readline()  # ready
        before = program.after("trimtab_tcp_*")
        load("connect", address, port, n, "--bytes", 100)
        equal("status of the listener", server.wait(30), 0)
        after = program.after("trimtab_tcp_*")
    finally:
        end(server)
    for direction in ("inbound", "outbound"):
        equal(f"opened {direction}",
              risen(before, after, OPENED, direction=direction, port=port), n)
    equal("connect times", risen(before, after, CONNECT, port=port), n)
    equal("accept times", risen(before, after, ACCEPT, port=port), n)
    for name in (FAILURES, RETRANSMITS, RESETS):
        equal(name, sum(risen(before, after, name, **m["labels"])
                        for m in after.having(name, port=port)), 0)


def test_connects_ipv4():
    connects(V4)


def test_connects_ipv6():
    connects(V6)


def test_refused():
    n = 30
    for address in (V4, V6):
        port = next(ports)
        before, was = program.after(), nstat()
        load("refused", address, port, n)
        after = program.after()
        equal("refused", risen(before, after, FAILURES, port=port, error="ECONNREFUSED"), n)
        equal("opened", risen(before, after, OPENED, direction="outbound", port=port), 0)
        equal("resets received",
              risen(before, after, RESETS, direction="inbound", port=port), n)
        # sent for no socket: nobody's port
        equal("resets sent by the kernel's count", rise_of("TcpOutRsts", was), n)
        check(risen(before, after, RESETS, direction="outbound", port="other") >= n,
              f"resets sent: {risen(before, after, RESETS, direction='outbound', port='other')}")
        check(risen(before, after, DROPS, reason="no_socket") >= n, "drops for want of a socket")


def test_timed_out():
    n, port = 12, next(ports)
    with open("/proc/sys/net/ipv4/tcp_syn_retries", "w") as f:
        f.write("1")
    before, was = program.after(), nstat()
    with Loss("tcp", "dport", port) as loss:
        attempts = [begin(port) for _ in range(n)]
        until("the attempts to fail", lambda: len(
            select.select([], attempts, [], 0)[1]) == n)
        for s in attempts:
            equal("error", s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.ETIMEDOUT)
        dropped = loss.count()
    close_all(attempts)
    after = program.after()
    equal("timed out", risen(before, after, FAILURES, port=port, error="ETIMEDOUT"), n)
    equal("retransmits", risen(before, after, RETRANSMITS, port=port),
          rise_of("TcpRetransSegs", was))
    equal("packets dropped", dropped, n + rise_of("TcpRetransSegs", was))
    equal("drops by reason", risen(before, after, DROPS, reason="netfilter_drop"), dropped)


def test_given_up():
    n, port = 10, next(ports)
    before = program.after("trimtab_tcp_*")
    with Loss("tcp", "dport", port):
        close_all([begin(port) for _ in range(n)])
    after = program.after("trimtab_tcp_*")
    got = {m["labels"]["error"]: risen(before, after, FAILURES, **m["labels"])
           for m in after.having(FAILURES, port=port)}
    equal("failures", sum(got.values()), n)
    equal("with an error of the network", [e for e in got if e.startswith("E")], [])


# --- losses


def test_retransmitted_data():
    """What a rule drops of a connection's data is sent again until the rule is gone."""
    port = next(ports)
    (here, there), = pairs(port, 1)
    before, was = program.after(), nstat()
    with Loss("tcp", "dport", port):
        here.sendall(b"x" * 500)
        until("retransmits", lambda: rise_of("TcpRetransSegs", was) >= 5)
    receive(there, 500)
    after = program.after()
    equal("retransmits", risen(before, after, RETRANSMITS, port=port),
          rise_of("TcpRetransSegs", was))
    close_all((here, there))


def test_retransmitted_bulk():
    """Many losses of large sends: each segment counts, as it does for the kernel."""
    port = next(ports)
    run("ip", "link", "set", "lo", "mtu", 1500)
    try:
        (here, there), = pairs(port, 1)
        before, was = program.after(), nstat()
        n = 24 << 20
        pid = child(lambda: here.sendall(b"x" * n))
        with Loss("tcp", "dport", port, "numgen", "random", "mod", 100, "<", 8) as loss:
            receive(there, n)
            os.waitpid(pid, 0)
            dropped = loss.count()
        after = program.after()
    finally:
        run("ip", "link", "set", "lo", "mtu", 65536)
    check(dropped >= 3, f"only {dropped} packets were lost")
    equal("retransmits", risen(before, after, RETRANSMITS, port=port),
          rise_of("TcpRetransSegs", was))
    close_all((here, there))


def test_lost_syn():
    """The first SYN is lost: the connection takes a second."""
    n, port = 8, next(ports)
    with listener(port) as server:
        before, was = program.after(), nstat()
        with Loss("tcp", "dport", port, "tcp", "flags", "syn") as loss:
            attempts = [begin(port) for _ in range(n)]
            until("the SYNs to be dropped", lambda: loss.count() >= n)
        begun = time.monotonic()
        until("the connections",
              lambda: len(select.select([], attempts, [], 0)[1]) == n)
        check(time.monotonic() - begun > 0.5, "the connections were not held up")
        after = program.after()
        equal("retransmits", risen(before, after, RETRANSMITS, port=port),
              rise_of("TcpRetransSegs", was))
        buckets = buckets_risen(before, after, CONNECT, port=port)
        equal("connects", sum(buckets.values()), n)
        check(min(buckets) >= 1 and max(buckets) < 1.5, f"connects of 1 s are in {buckets}")
    close_all(attempts)
    del server


def test_lost_syn_ack():
    n, port = 5, next(ports)
    with listener(port):
        before, was = program.after(), nstat()
        with Loss("tcp", "sport", port, "tcp", "flags", "syn|ack") as loss:
            attempts = [begin(port) for _ in range(n)]
            until("the SYN-ACKs to be dropped", lambda: loss.count() >= n)
        until("the connections",
              lambda: len(select.select([], attempts, [], 0)[1]) == n)
        after = program.after()
        equal("retransmits", risen(before, after, RETRANSMITS, port=port),
              rise_of("TcpRetransSegs", was))
        check(rise_of("TcpRetransSegs", was) >= n, "nothing was sent again")
    close_all(attempts)


# --- resets


def test_resets():
    n = 25
    for address in (V4, V6):
        port = next(ports)
        before, was = program.after("trimtab_tcp_*"), nstat()
        made = pairs(port, n, address)
        for here, there in made:
            reset(here)
            try:
                there.recv(1)
                raise Failed("a connection that was reset is not")
            except ConnectionResetError:
                there.close()
        after = program.after("trimtab_tcp_*")
        equal("resets sent", risen(before, after, RESETS, direction="outbound", port=port), n)
        equal("resets received", risen(before, after, RESETS, direction="inbound", port=port), n)
        equal("resets by the kernel's count", rise_of("TcpOutRsts", was), n)


# --- listeners


def test_listen_overflow():
    """A full queue: what a listener drops is what the kernel counts."""
    port = next(ports)
    with listener(port, backlog=0):
        made = [connection(port)]
        before, was = program.after("trimtab_tcp_*", sweeps=1), nstat()
        attempts = [begin(port) for _ in range(6)]
        until("the listener to drop some",
              lambda: rise_of("TcpExtListenDrops", was) >= 10)
        close_all(attempts)
        until("the attempts to end", lambda: not open_in_state(port, {"02"}))
        after = program.after("trimtab_tcp_*", sweeps=1)
        equal("drops", risen(before, after, LISTEN_DROPS, port=port),
              rise_of("TcpExtListenDrops", was))
        equal("overflows are drops", rise_of("TcpExtListenOverflows", was),
              rise_of("TcpExtListenDrops", was))
    close_all(made)


def test_listen_drops_of_one_that_ends():
    """What it dropped since the last sweep is not lost when a listener is closed."""
    port = next(ports)
    server = listener(port, backlog=0)
    made = [connection(port)]
    before, was = program.after("trimtab_tcp_*", sweeps=1), nstat()
    attempts = [begin(port) for _ in range(4)]
    until("the listener to drop some", lambda: rise_of("TcpExtListenDrops", was) >= 4)
    close_all(attempts)
    server.close()
    after = program.after("trimtab_tcp_*")
    equal("drops", risen(before, after, LISTEN_DROPS, port=port),
          rise_of("TcpExtListenDrops", was))
    close_all(made)


def open_in_state(port, states):
    found = 0
    with open("/proc/self/net/tcp") as f:
        for line in list(f)[1:]:
            words = line.split()
            found += words[3] in states and int(words[2].split(":")[1], 16) == port
    return found


def test_listen_queue():
    port = next(ports)
    with listener(port, backlog=50):
        made = [connection(port) for _ in range(7)]
        now = program.after("trimtab_tcp_*", sweeps=1)
        equal("waiting", now.value("trimtab_tcp_listen_queue", port=port), 7)
        equal("limit", now.value("trimtab_tcp_listen_queue_limit", port=port), 50)
    close_all(made)


def test_accept_latency():
    """Connections that wait for accept(): their age, as the test knows it."""
    n, port = 15, next(ports)
    with listener(port) as server:
        before = program.after("trimtab_tcp_*")
        made = [connection(port) for _ in range(n)]
        last_ns = time.monotonic_ns()
        load("call", "nanosleep", 1, 200000)
        low_ns = time.monotonic_ns() - last_ns
        first = [server.accept()[0] for _ in range(n)]
        after = program.after("trimtab_tcp_*")
    buckets = buckets_risen(before, after, ACCEPT, port=port)
    equal("accepted", sum(buckets.values()), n)
    check(min(buckets) >= low_ns / 1e9, f"waited {low_ns / 1e9} s, counted {buckets}")
    check(max(buckets) < low_ns / 1e9 * 2 + 1, f"waited {low_ns / 1e9} s, counted {buckets}")
    close_all(made + first)


def test_accept_at_once():
    """accept() that waits for the connection: hardly any age, however long the call."""
    port = next(ports)
    with listener(port) as server:
        before = program.after("trimtab_tcp_*")
        pid = child(lambda: load("call", "nanosleep", 1, 300000) and connection(port).close())
        server.accept()[0].close()
        os.waitpid(pid, 0)
        after = program.after("trimtab_tcp_*")
    buckets = buckets_risen(before, after, ACCEPT, port=port)
    equal("accepted", sum(buckets.values()), 1)
    check(max(buckets) < 0.25, f"the age of the connection is said to be up to {max(buckets)} s")


# --- what is open


GROUP = {"inbound": "trimtab_cgroup_tcp_received_bytes_total",
         "outbound": "trimtab_cgroup_tcp_sent_bytes_total"}


def bytes_of(series):
    """Of this process's cgroup, and of the node."""
    mine = {d: [m["value"] for m in series.having(GROUP[d]) if m["labels"]["cgroup"] == group.label]
            for d in GROUP}
    return {d: (values[0] if values else None, series.value(BYTES, direction=d))
            for d, values in mine.items()}


def leased(which):
    """The cgroup has an account of its own once it has been seen to be busy."""
    def attempt():
        made = pairs(next(ports), 3)
        for here, there in made:
            here.sendall(b"x")
            receive(there, 1)
        close_all([s for pair in made for s in pair])
        now = bytes_of(which.after("trimtab_*bytes_total"))
        return None not in (now["inbound"][0], now["outbound"][0])

    until("an account of the cgroup", attempt)


def moves(which, move):
    """`move` sends and receives what it returns, as payload, with this process at both ends. The
    cgroup's account must have just that more, the node's, where others send too, at least."""
    which.fresh(sweeps=1)
    http = which.http_settled
    before = bytes_of(which.series("trimtab_*bytes_total"))
    payload = move()
    which.fresh(sweeps=1)
    # the program, which is in the cgroup too, has the other ends of the requests to it
    payload += which.http_settled - http
    after = bytes_of(which.series("trimtab_*bytes_total"))
    for d in ("inbound", "outbound"):
        equal(f"{d} bytes of the cgroup", after[d][0] - before[d][0], payload)
        check(after[d][1] - before[d][1] >= payload,
              f"{d}: {after[d][1] - before[d][1]} bytes of the node, {payload} of the cgroup")


def exchange():
    """Connections that end in different ways."""
    payload = 0
    for i, (here, there) in enumerate(pairs(next(ports), 18)):
        n, back = 100000 + i, 3000 * i
        here.sendall(b"x" * n)
        receive(there, n)
        there.sendall(b"y" * back)
        receive(here, back)
        payload += n + back
        first, second = (here, there) if i % 2 else (there, here)
        if i % 3 == 2:
            # no reset before the last acknowledgement
            until("the acknowledgement", lambda s=there: not unacknowledged(s))
            until("the acknowledgement", lambda s=here: not unacknowledged(s))
            reset(first)
        else:
            first.close()
        second.close()
    return payload


def test_bytes():
    leased(program)
    # should the sources be read once more between the wait for it and the reading
    retry(3, lambda: moves(program, exchange))


def unacknowledged(s):
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("I", info, 24)[0]


def test_bytes_of_open_connections():
    (here, there), = pairs(next(ports), 1)

    def some():
        here.sendall(b"x" * 1234567)
        receive(there, 1234567)
        return 1234567

    leased(program)
    retry(3, lambda: moves(program, some))
    retry(3, lambda: moves(program, lambda: close_all((here, there)) or 0))


def states(series):
    return {m["labels"]["state"]: m["value"] for m in series.having(STATES)}


def test_states():
    """Gauges of all namespaces: what this one adds, in one undisturbed attempt."""
    n = 40

    def attempt():
        port, dropped = next(ports), next(ports)
        was = states(program.after(sweeps=1))
        with Loss("tcp", "dport", dropped):
            made = pairs(port, n)
            server = listener(port)
            attempts = [begin(dropped) for _ in range(5)]
            for here, _ in made[:10]:
                here.shutdown(socket.SHUT_WR)
            now = states(program.after(sweeps=1))
            change = {state: now[state] - was[state] for state in now}
            close_all(attempts)
        close_all([s for pair in made for s in pair])
        server.close()
        for state, want in {"established": 2 * n - 20, "fin_wait2": 10, "close_wait": 10,
                            "listen": 1, "syn_sent": 5}.items():
            equal(state, change[state], want)

    retry(20, attempt)


def test_time_wait():
    n = 30

    def attempt():
        was = states(program.after(sweeps=1))["time_wait"]
        for here, there in pairs(next(ports), n):
            here.close()
            there.close()
        now = states(program.after(sweeps=1))["time_wait"]
        # the requests to the program itself leave some too
        check(now - was >= n, f"{now - was} in TIME_WAIT, {n} were made")

    retry(3, attempt)


def test_rtt():
    """The kernel's smoothed RTT of the one connection to a port."""
    port = next(ports)
    (here, there), = pairs(port, 1)
    for _ in range(20):
        here.sendall(b"x")
        there.recv(1)
        there.sendall(b"y")
        here.recv(1)
    before = program.after("trimtab_tcp_*", sweeps=1)
    after = program.after("trimtab_tcp_*", sweeps=3)
    for s, direction in ((here, "outbound"), (there, "inbound")):
        buckets = buckets_risen(before, after, "trimtab_tcp_rtt_seconds", port=port,
                                direction=direction)
        check(sum(buckets.values()) >= 3, f"{direction}: {buckets} in three sweeps")
        rtt_s = tcp_info_rtt_us(s) / 1e6
        # the kernel says whole microseconds
        near = [e for e in buckets if (rtt_s - 1e-6) / STEP <= e <= (rtt_s + 1e-6) * STEP]
        equal(f"{direction}: samples of another RTT than {rtt_s} s", sorted(buckets), near)
    close_all((here, there))


def test_before_the_start():
    """Connections that were there before: in the states, with their RTT, and their bytes from the
    start on only."""
    n, port = 20, next(ports)
    made = pairs(port, n)
    for here, there in made:
        here.sendall(b"x" * 100000)
        receive(there, 100000)
    with Trimtab(EXACT) as later:
        now = later.after("trimtab_tcp_*", sweeps=1)
        check(states(now)["established"] >= 2 * n, f"states: {states(now)}")
        check(now.count("trimtab_tcp_rtt_seconds", port=port, direction="outbound") >= n,
              "no RTT of the connections from before")

        def some():
            for here, there in made:
                here.sendall(b"x" * 5000)
                receive(there, 5000)
            return n * 5000

        leased(later)
        retry(3, lambda: moves(later, some))
        retry(3, lambda: moves(later, lambda: close_all([s for p in made for s in p]) or 0))


def test_other_namespace():
    """A namespace that only some process is in: its events by port, its sockets in the sweep."""
    port = next(ports)
    mine, its = socket.socketpair()

    def other():
        mine.close()
        equal("unshare", ctypes.CDLL(None).unshare(0x40000000), 0)
        run("ip", "link", "set", "lo", "up")
        made = pairs(port, 10)
        its.send(b"r")
        its.recv(1)
        close_all([s for pair in made for s in pair])
        pairs(port, 15)
        its.send(b"d")
        its.recv(1)

    pid = child(other)
    its.close()
    mine.settimeout(30)
    check(mine.recv(1) == b"r", "the other namespace is not ready")
    with Trimtab(EXACT) as later:
        now = later.after("trimtab_tcp_*", sweeps=1)
        check(now.count("trimtab_tcp_rtt_seconds", port=port, direction="outbound") >= 10,
              "the sweep does not see the other namespace")
        mine.send(b"g")
        check(mine.recv(1) == b"d", "the other namespace did not end")
        after = later.after("trimtab_tcp_*")
        equal("opened", risen(now, after, OPENED, port=port, direction="inbound"), 15)
        equal("lost namespaces",
              after.value("trimtab_lost_total", probe="tcp", reason="namespaces"), 0)
    mine.send(b"g")
    os.waitpid(pid, 0)


def test_more_ports_than_room():
    """Beyond the bound, ports share "other", and the sum is still exact."""
    with Trimtab(EXACT) as later:
        wide = range(18001, 18201)

        def failures(series):
            mine = sum(m["value"] for m in series.having(FAILURES, error="ECONNREFUSED")
                       if m["labels"]["port"] == "other"
                       or int(m["labels"]["port"]) in wide)
            return mine

        def attempt():
            before = later.after("trimtab_tcp_*")
            for port in wide:
                try:
                    connection(port)
                    raise Failed(f"port {port} is open")
                except ConnectionRefusedError:
                    pass
            after = later.after("trimtab_tcp_*")
            equal("refused", failures(after) - failures(before), len(wide))
            check(after.value(FAILURES, port="other", error="ECONNREFUSED") > 0, "none in other")

        retry(3, attempt)


def test_nothing_is_lost():
    series = program.after("trimtab_lost_total")
    lost = {m["labels"]["reason"]: m["value"] for m in
            series.having("trimtab_lost_total", probe="tcp")}
    equal("lost", {reason: n for reason, n in lost.items() if n}, {})


def test_more_connections_than_room():
    """Connections that found no room are counted as such, and their bytes when they end."""
    with Trimtab({**EXACT, "TRIMTAB_TCP_CONNECTIONS": "1024"}) as later:
        lost = {"probe": "tcp", "reason": "connections_full"}
        before = later.after()
        made = pairs(next(ports), 700)
        after = later.after()
        check(risen(before, after, "trimtab_lost_total", **lost) >= 1400 - 1024,
              f"lost: {risen(before, after, 'trimtab_lost_total', **lost)}")
        for here, there in made:
            here.sendall(b"x" * 1000)
            receive(there, 1000)
        close_all([s for pair in made for s in pair])
        after = later.after(sweeps=1)
        for direction in ("inbound", "outbound"):
            got = risen(before, after, BYTES, direction=direction)
            check(got >= 700 * 1000, f"{direction}: {got} bytes")


if __name__ == "__main__":
    in_own_network()
    with Cgroup() as group, Trimtab(EXACT) as program:
        raise SystemExit(main([
            test_connects_ipv4, test_connects_ipv6, test_refused, test_timed_out, test_given_up,
            test_retransmitted_data, test_retransmitted_bulk, test_lost_syn, test_lost_syn_ack,
            test_resets, test_listen_overflow, test_listen_drops_of_one_that_ends,
            test_listen_queue, test_accept_latency, test_accept_at_once, test_bytes,
            test_bytes_of_open_connections, test_states, test_time_wait, test_rtt,
            test_before_the_start, test_other_namespace, test_more_ports_than_room,
            test_nothing_is_lost, test_more_connections_than_room]))
