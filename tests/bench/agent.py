"""Table 3: what the agents themselves cost, trimtab beside node_exporter and Netdata.

All run at the same time for a minute or more, so a neighbour's noise falls on all alike. Each is
scraped every SCRAPE_S as Prometheus does it (gzip accepted); CPU time is their cgroup's, children
included. Then batches of scrapes in turn: what a scrape costs is the CPU time less what the agent
used anyway. BPF programs run in other processes' time: their cost is in the other two tables.
"""
import gzip
import os
import pwd
import sys
import time
import urllib.request

import tracers
from common import (Absent, Session, free_port, median, program, spread, table, tree_memory_bytes,
                    until)

SETTLE_S, PIECE_S, PIECES, SCRAPE_S = 10, 15, 5, 15
BATCHES, BATCH = 10, 10
MB = 1e6
AS_PROMETHEUS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4",
    "Accept-Encoding": "gzip",
}
AS_NATIVE = {
    "Accept": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
              "encoding=delimited",
    "Accept-Encoding": "gzip",
}


class Agent:
    """One agent: start() leaves `pid`, `group` and `url` (what Prometheus would scrape)."""

    formats = {"text": AS_PROMETHEUS}

    def __init__(self, name, every_s=SCRAPE_S):
        self.name, self.every_s = name, every_s
        self.percent, self.rss, self.pss = [], [], []
        self.scrapes = {}  # format: CPU ns a scrape, a batch each

    def run(self, session, command, **more):
        process = session.start(command, group=self.group, **more)
        until(f"{self.name} at {self.url}", lambda: tracers.get(self.url), alive=process)
        self.pid = process.pid

    def scrape(self, kind="text"):
        """(bytes on the wire, body)"""
        request = urllib.request.Request(self.url, headers=self.formats[kind])
        with urllib.request.urlopen(request, timeout=20) as answer:
            wire = answer.read()
            packed = answer.headers.get("Content-Encoding") == "gzip"
        return len(wire), gzip.decompress(wire) if packed else wire


class Trimtab(Agent):
    formats = {"text": AS_PROMETHEUS, "protobuf": AS_NATIVE}

    def start(self, session):
        tracer = tracers.Trimtab(self.name, None)
        self.group = session.cgroup()
        tracer.start(session, group=self.group)
        self.url, self.pid = tracer.url + "/metrics", tracer.process.pid


class NodeExporter(Agent):
    def start(self, session):
        command = program("prometheus-node-exporter")
        self.group, address = session.cgroup(), f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}/metrics"
        self.run(session, [command, f"--web.listen-address={address}"])


class Netdata(Agent):
    def __init__(self, name, update_s):
        super().__init__(name)
        self.update_s = update_s

    def start(self, session):
        """From a folder of its own: no cloud, no telemetry, no StatsD port, loopback only."""
        command = program("netdata")
        try:
            pwd.getpwnam("netdata")
        except KeyError:
            raise Absent("no user netdata: tools/setup bench") from None
        folder, self.group, port = session.folder("netdata"), session.cgroup(), free_port()
        self.url = f"http://127.0.0.1:{port}/api/v1/allmetrics?format=prometheus"
        parts = {name: os.path.join(folder, name) for name in ("config", "cache", "lib", "log")}
        for path in (*parts.values(), f"{parts['lib']}/cloud.d"):
            os.mkdir(path)
        texts = {
            f"{parts['config']}/.opt-out-from-anonymous-statistics": "",
            f"{parts['lib']}/cloud.d/cloud.conf": "[global]\n  enabled = no\n",
            f"{folder}/netdata.conf": self.config(parts, port),
        }
        for path, text in texts.items():
            with open(path, "w") as f:
                f.write(text)
        for root, _, files in os.walk(folder):
            for path in (root, *(os.path.join(root, each) for each in files)):
                os.chmod(path, 0o755 if path == root else 0o644)
                os.chown(path, pwd.getpwnam("netdata").pw_uid, -1)
        self.run(session, [command, "-D", "-c", f"{folder}/netdata.conf", "-P", f"{folder}/pid"],
                 env={**os.environ, "DO_NOT_TRACK": "1", "DISABLE_TELEMETRY": "1"})

    def config(self, parts, port):
        folders = "".join(f"  {name} = {path}\n" for name, path in parts.items())
        return (f"[global]\n  run as user = netdata\n[directories]\n{folders}"
                f"[db]\n  update every = {self.update_s}\n[web]\n  bind to = 127.0.0.1:{port}\n"
                "[plugins]\n  statsd = no\n[cloud]\n  enabled = no\n")


def all_agents():
    return [
        Trimtab("trimtab"),
        NodeExporter("node_exporter"),
        NodeExporter("node_exporter, scraped every 2 s", every_s=2),
        Netdata("Netdata, its usual 1 s", 1),
        Netdata("Netdata, 2 s", 2),
    ]


def watch(agents):
    """Pieces of PIECE_S seconds, scraping each agent at its own interval."""
    due = {agent: 0.0 for agent in agents}
    for piece in range(PIECES):
        print(f"\ragent: {piece * PIECE_S} of {PIECES * PIECE_S} s ", end="", file=sys.stderr,
              flush=True)
        start = time.monotonic()
        before = {agent: agent.group.cpu_ns() for agent in agents}
        while (now := time.monotonic()) < start + PIECE_S:
            for agent in agents:
                if now >= due[agent]:
                    agent.scrape()
                    due[agent] = max(now, due[agent] + agent.every_s)
            time.sleep(max(0.0, min(min(due.values()), start + PIECE_S) - time.monotonic()))
        elapsed_ns = (time.monotonic() - start) * 1e9
        for agent in agents:
            agent.percent.append(100 * (agent.group.cpu_ns() - before[agent]) / elapsed_ns)
            rss, pss = tree_memory_bytes(agent.pid)
            agent.rss.append(rss)
            agent.pss.append(pss)
    print(file=sys.stderr)


def batch_ns(agent, kind):
    """CPU time of one scrape of a batch, less the agent's own running."""
    start, before = time.monotonic(), agent.group.cpu_ns()
    for _ in range(BATCH):
        agent.scrape(kind)
    used, elapsed_ns = agent.group.cpu_ns() - before, (time.monotonic() - start) * 1e9
    return (used - median(agent.percent) / 100 * elapsed_ns) / BATCH


def measure_scrapes(agents):
    for _ in range(BATCHES):
        for agent in agents:
            for kind in agent.formats:
                agent.scrapes.setdefault(kind, []).append(batch_ns(agent, kind))


def series(agent):
    """Samples and distinct metric names in the text format."""
    lines = [line for line in agent.scrape()[1].decode().splitlines()
             if line and not line.startswith("#")]
    names = {line.split("{")[0].split(" ")[0] for line in lines}
    return f"{len(lines):,} ({len(names):,})"


def print_running(agents, absent):
    head = ["agent", "% of one core: median (quartiles)", "resident MB (RSS)", "shared once (PSS)"]
    rows = [[a.name, spread(a.percent, "{:.2f}"), f"{max(a.rss) / MB:.1f}",
             f"{max(a.pss) / MB:.1f}"] for a in agents]
    rows += [[name, "absent: " + why, "-", "-"] for name, why in absent]
    return table(head, rows) + "\n"


def print_scrapes(agents):
    head = ["a scrape", "format", "series (names)", "bytes sent", "bytes unpacked",
            "CPU ms: median (quartiles)"]
    rows = []
    for agent in agents:
        for kind, ns in agent.scrapes.items():
            wire, body = agent.scrape(kind)
            rows.append([agent.name, kind, series(agent) if kind == "text" else "-", f"{wire:,}",
                         f"{len(body):,}", spread([each / 1e6 for each in ns], "{:.2f}")])
    return table(head, rows) + "\n"


def main(options):
    running, absent = [], []
    with Session() as session:
        for agent in all_agents():
            try:
                agent.start(session)
                running.append(agent)
            except (Absent, RuntimeError) as error:
                absent.append((agent.name, str(error)))
        time.sleep(SETTLE_S)  # a start is not what is measured
        watch(running)
        measure_scrapes([agent for agent in running if agent.every_s == SCRAPE_S])
        text = "## The agents themselves\n\n"
        text += (f"{PIECES} pieces of {PIECE_S} s, all agents at once, each scraped every "
                 f"{SCRAPE_S} s unless said otherwise. To hold: under 0.5 % of a core, under 20 MB "
                 "resident for keeper and agent together, under 2 ms of CPU a scrape. Two "
                 "instances of one agent share their program text, so their PSS is lower than one "
                 "alone would have.\n\n")
        text += print_running(running, absent)
        return text + f"{BATCHES} batches of {BATCH} scrapes in turn:\n\n" + print_scrapes(running)
