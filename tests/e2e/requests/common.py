"""common.py - what the tests of requests share: what the program counted for one service, compared
with a truth, and quantiles of its histograms.

The program, its series, waits and TAP lines are those of the kernel tests. A count is compared for
equality, and the series must then stand still for one more reading of every source. No count is
tried twice: the hooks run in the task that does the call, so that what a machine's kernel does not
show of PID 1 (see tests/kernel/lib.py) has no part in it.
"""
import importlib
import math
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))

sys.path.insert(0, os.path.join(ROOT, "tests", "kernel"))
import lib  # noqa: E402
from lib import Failed, Series, Skip, check, main, until, wait_for  # noqa: E402,F401

REQUESTS = "trimtab_requests_total"
DURATION = "trimtab_request_duration_seconds"
RESPONSE = "trimtab_request_response_seconds"
QUEUE = "trimtab_request_queue_seconds"
RESPONSES = "trimtab_http_responses_total"
UNANSWERED = "trimtab_requests_unanswered_total"
UNSEEN = "trimtab_request_unseen_bytes_total"
LOST = "trimtab_lost_total"
NAMES = ("trimtab_request*", "trimtab_http_responses_total", LOST)

ENV = {"TRIMTAB_SYSCALL_MODE": "blocked", "TRIMTAB_TCP_SWEEP_MS": "2000"}
SETTLE_S = 5  # for a count to become what it must be, once the load has ended
RATIO, FLOOR_S = 0.10, 5e-6  # how far a quantile may be from the truth


class Trimtab(lib.Trimtab):
    """The program, of which nothing can be expected if its probe was refused."""

    def __enter__(self):
        super().__enter__()
        refused = {p["name"]: p["reason"] for p in self.status()["probes"]
                   if p["name"].startswith("request") and p["reason"]}
        if refused:
            print(f"# probes refused: {refused}", flush=True)
        return self


def need(module):
    """A module of Debian's Python, when another Python comes first in the PATH."""
    try:
        return importlib.import_module(module)
    except ImportError as e:
        if sys.executable == "/usr/bin/python3" or not os.path.exists("/usr/bin/python3"):
            raise Skip(f"{e}: tools/setup test") from e
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])


def read(program):
    """All series of requests, not older than this call."""
    program.fresh()
    return Series([m for match in NAMES for m in program.series(match).all.values()])


class Watch:
    """What a service did since now, of one direction. `port` is the server's, or "unix"."""

    def __init__(self, program, port, protocol, direction="inbound", before=None):
        self.program, self.protocol, self.direction = program, protocol, direction
        self.port = f":{port}"
        self.before = self.after = before or read(program)

    def mine(self, reading, metric):
        """The series of a metric that are this service's, whatever protocol they say."""
        return [m for m in reading.having(metric, direction=self.direction)
                if m["labels"]["service"].endswith(self.port)]

    def rises(self, metric, key, value="value"):
        """{key(labels): how much it rose} of those that rose."""
        risen = {}
        for sign, reading in ((1, self.after), (-1, self.before)):
            for m in self.mine(reading, metric):
                k = key(m["labels"])
                risen[k] = risen.get(k, 0) + sign * m[value]
        return {k: n for k, n in risen.items() if n}

    def read(self):
        self.after = read(self.program)
        return self

    def counts(self):
        """{(protocol, operation, outcome): requests}"""
        return self.rises(REQUESTS, lambda l: (l["protocol"], l["operation"], l["outcome"]))

    def total(self, outcome=None):
        return sum(n for k, n in self.counts().items() if outcome in (None, k[2]))

    def timed(self):
        """{operation: requests in the histogram}"""
        return self.rises(DURATION, lambda l: l["operation"], "count")

    def classes(self):
        """{"2xx": responses}"""
        return self.rises(RESPONSES, lambda l: l["class"])

    def unanswered(self):
        return sum(self.rises(UNANSWERED, lambda l: 0).values())

    def lost(self):
        return lost(self.before, self.after)

    def expect(self, ok=None, error=None, untimed=(), deep=False, seconds=SETTLE_S):
        """Waits until exactly so many requests of each operation are counted: {operation: n}, and
        all but those of the operations `untimed` are in the histogram. An error whose operation is
        given as None may have any name. Where more may be in flight than the program remembers
        (deep), those may be left out of the histogram that it says it lost; other programs of the
        node may lose some too, so that what is lost is a bound."""
        want = {(self.protocol, o, "ok"): n for o, n in (ok or {}).items() if n}
        want.update({(self.protocol, o, "error"): n for o, n in (error or {}).items() if n})
        nameless = (self.protocol, None, "error") in want

        def got():
            counts = self.read().counts()
            if nameless:
                counts = unnamed(counts)
            return counts

        try:
            until("the count", lambda: got() == want, seconds)
        except Failed:
            pass
        counts = got()
        check(counts == want, f"{self.direction} of {self.port}: {difference(counts, want)};"
              f" lost {self.lost()}, unanswered {self.unanswered()}")
        self.expect_timed(untimed, nameless, self.lost().get("in_flight", 0) if deep else 0)
        return self

    def expect_in_all(self, ok, error, seconds=SETTLE_S):
        """As expect() when so much is in flight that the names of operations are not all
        remembered: so many in all."""
        def got():
            self.read()
            return self.total("ok"), self.total("error")

        try:
            until("the count", lambda: got() == (ok, error), seconds)
        except Failed:
            pass
        check(got() == (ok, error), f"{self.direction}: {got()}, must be {(ok, error)}")
        timed = sum(self.timed().values())
        check(ok + error - self.lost().get("in_flight", 0) <= timed <= ok + error,
              f"timed {timed} of {ok + error}, lost {self.lost()}")

    def expect_timed(self, untimed, nameless, lost):
        """The histograms hold what was counted, but for at most so many."""
        counted, timed = {}, self.timed()
        for (_, operation, _), n in self.counts().items():
            if operation not in untimed:
                counted[operation] = counted.get(operation, 0) + n
        if nameless:
            counted, timed = sum(counted.values()), sum(timed.values())
        if nameless:
            check(counted - lost <= timed <= counted, f"timed {timed}, counted {counted}")
            return
        check(all(timed.get(o, 0) <= n for o, n in counted.items()) and timed.keys() <= counted.keys()
              and sum(counted.values()) - lost <= sum(timed.values()),
              f"timed {timed}, counted {counted}, lost {lost}")

    # --- histograms

    def buckets(self, metric=DURATION, operation=None):
        """{upper edge: samples since}, of all operations or one."""
        risen = {}
        for sign, reading in ((1, self.after), (-1, self.before)):
            for m in self.mine(reading, metric):
                if operation is None or m["labels"]["operation"] == operation:
                    for edge, n in m["buckets"]:
                        risen[edge] = risen.get(edge, 0) + sign * n
        return {edge: n for edge, n in risen.items() if n}

    def sum(self, metric=DURATION, operation=None):
        def key(labels):
            return operation is None or labels["operation"] == operation

        return self.rises(metric, key, "sum").get(True, 0)

    def quantile(self, q, metric=DURATION, operation=None):
        """The middle, in log space, of the bucket with the sample of rank ceil(q n)."""
        buckets = self.buckets(metric, operation)
        check(buckets, f"{metric} of {self.port} is empty")
        rank, seen = math.ceil(q * sum(buckets.values())), 0
        for edge in sorted(buckets):
            seen += buckets[edge]
            if seen >= rank:
                return edge / 2 ** (1 / 16)
        return math.inf

    def like(self, truth, metric=DURATION, operation=None, floor_s=FLOOR_S):
        """p50 and p99 are those of the true durations, and the mean is."""
        for q in (0.5, 0.99):
            near(f"p{q * 100:.0f}", self.quantile(q, metric, operation), quantile(truth, q), floor_s)
        n = sum(self.buckets(metric, operation).values())
        check(n == len(truth), f"{n} samples, {len(truth)} true ones")
        near("mean", self.sum(metric, operation) / n, sum(truth) / n, floor_s)


class Both:
    """Served and called: while every caller is on this node too, both say the same."""

    def __init__(self, program, port, protocol):
        before = read(program)
        self.inbound = Watch(program, port, protocol, "inbound", before)
        self.outbound = Watch(program, port, protocol, "outbound", before)

    def expect(self, *what, **more):
        for watch in (self.inbound, self.outbound):
            watch.expect(*what, **more)
        return self

    def expect_in_all(self, *what):
        for watch in (self.inbound, self.outbound):
            watch.expect_in_all(*what)


def unnamed(counts):
    """The same with all errors of a protocol under no name."""
    found = {}
    for (protocol, operation, outcome), n in counts.items():
        k = (protocol, None if outcome == "error" else operation, outcome)
        found[k] = found.get(k, 0) + n
    return found


def difference(got, want):
    parts = [f"{'/'.join(map(str, k))} {got.get(k, 0)}, must be {want.get(k, 0)}"
             for k in sorted({*got, *want}, key=str) if got.get(k) != want.get(k)]
    return "; ".join(parts) or "as it must be"


def lost(before, after):
    """{reason: how much of requests was lost between two readings}"""
    found = {}
    for m in after.having(LOST, probe="request"):
        n = m["value"] - before.value(LOST, **m["labels"])
        if n:
            found[m["labels"]["reason"]] = n
    return found


def unseen(before, after, reason):
    return after.value(UNSEEN, reason=reason) - before.value(UNSEEN, reason=reason)


def quantile(samples, q):
    return sorted(samples)[math.ceil(q * len(samples)) - 1]


def near(what, got, truth, floor_s=FLOOR_S):
    check(abs(got - truth) <= max(RATIO * truth, floor_s),
          f"{what}: {got * 1e6:.1f} us, the truth is {truth * 1e6:.1f} us")
