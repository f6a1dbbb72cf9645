#!/usr/bin/env python3
"""serve.test.py - the HTTP side of the real program, with a real Prometheus, promtool and TLS.

Starts `trimtab run` on a port that the kernel chooses, with a state directory of its own (as root).
Prints TAP. TRIMTAB names another binary. Every wait is for a condition, with a deadline; what is
started here is ended by its pid.
"""
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRIMTAB = os.environ.get("TRIMTAB", os.path.join(ROOT, "build", "trimtab"))
DEADLINE_S = 60
HISTOGRAM = "trimtab_sched_wait_seconds"  # has samples on any node, at once
# node_exporter's names, which promtool does not like; dashboards know them
LINT_KNOWN = re.compile(r"^trimtab_entropy_\w+_bits ")

sys.path.insert(0, os.path.join(ROOT, "tests", "helpers"))
from waits import free_port, wait_for  # noqa: E402


class Program:
    """A process whose output is read all the time; ended by its pid."""

    def __init__(self, *command):
        self.lines = []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def log(self):
        return "".join(self.lines)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.reader.join(5)


class Trimtab(Program):
    def __init__(self, directory, *options, listen="127.0.0.1:0"):
        self.state = tempfile.mkdtemp(dir=directory)
        super().__init__(TRIMTAB, "run", "--listen", listen, "--state-dir", self.state, *options)

        def address():
            if self.process.poll() is not None:
                raise AssertionError(f"trimtab ended with {self.process.returncode}:\n{self.log()}")
            return re.search(r"page and API at (https?)://([\d.]+):(\d+)/", self.log())

        found = wait_for("the address in the log", address, DEADLINE_S)
        self.tls, self.port = found[1] == "https", int(found[3])
        wait_for("/readyz", lambda: self.get("/readyz")[0] == 200, DEADLINE_S)

    def request(self, method, path, headers=None):
        """Status, headers, body."""
        if self.tls:
            context = ssl.create_default_context(cafile=os.path.join(self.state, "..", "cert.pem"))
            c = http.client.HTTPSConnection("localhost", self.port, timeout=DEADLINE_S, context=context)
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            c.request(method, path, headers=headers or {})
            answer = c.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            c.close()

    def get(self, path, headers=None):
        return self.request("GET", path, headers)

    def json(self, path, headers=None):
        status, _, body = self.get(path, headers)
        assert status == 200, (path, status, body[:500])
        return json.loads(body)

    def token(self):
        with open(os.path.join(self.state, "token")) as f:
            return {"Authorization": "Bearer " + f.read().strip()}

    def histogram(self):
        return next(m for m in self.json(f"/api/metrics?match={HISTOGRAM}")["metrics"] if not m["labels"])


class Prometheus(Program):
    def __init__(self, directory, target, *options):
        home = tempfile.mkdtemp(dir=directory)
        config = os.path.join(home, "prometheus.yml")
        with open(config, "w") as f:
            f.write("global: {scrape_interval: 1s}\n"
                    "scrape_configs:\n"
                    "- job_name: trimtab\n"
                    f"  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n")
        self.port = free_port()
        super().__init__("prometheus", f"--config.file={config}", f"--storage.tsdb.path={home}/data",
                         f"--web.listen-address=127.0.0.1:{self.port}", *options)

    def query(self, expression):
        """The values of an instant query; None while it does not answer."""
        if self.process.poll() is not None:
            raise AssertionError(f"prometheus ended:\n{self.log()}")
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            c.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
            answer = json.loads(c.getresponse().read())
            return [float(r["value"][1]) for r in answer["data"]["result"]]
        except (OSError, ValueError, KeyError):
            return None
        finally:
            c.close()


# --- tests: each is given the directory and a running trimtab


def promtool_accepts_each_metric(directory, t):
    _, _, text = t.get("/metrics")
    check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    complaints = [c for c in check.stderr.decode().splitlines() if c and not LINT_KNOWN.match(c)]
    assert not complaints, complaints
    names = [line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)) and len(names) > 50, len(names)


def scraped(t, p, count, quantile):
    """What Prometheus has lies between what the API says before and after its scrape."""
    before = t.histogram()
    # a scrape later than `before`: the scrape's own time stamp says so
    since = time.time()
    wait_for("a scrape", lambda: (p.query(f"timestamp(up{{job='trimtab'}} == 1)") or [0])[0] > since,
             DEADLINE_S)
    got, got_quantile = p.query(count)[0], p.query(quantile)[0]
    after = t.histogram()
    assert before["count"] <= got <= after["count"], (before["count"], got, after["count"])
    low, high = sorted((before["p50"], after["p50"]))
    return got_quantile, low, high


def native_histograms_reach_prometheus(directory, t):
    p = Prometheus(directory, t.port, "--enable-feature=native-histograms")
    try:
        got, low, high = scraped(t, p, f"histogram_count({HISTOGRAM})", f"histogram_quantile(0.5, {HISTOGRAM})")
        # one bucket, 2^(1/8), and the API's middle of it
        assert low / 1.1 <= got <= high * 1.1, (low, got, high)
        assert p.query(f"count({HISTOGRAM}_bucket)") == []
        # every histogram came through the protobuf, none was refused
        families = {m["name"] for m in t.json("/api/metrics")["metrics"] if m["type"] == "histogram" and m["count"]}
        missing = [n for n in sorted(families) if not p.query(f"histogram_count({n})")]
        wait_for(f"{missing}", lambda: all(p.query(f"histogram_count({n})") for n in missing),
                 DEADLINE_S)
    finally:
        p.stop()


def classic_histograms_reach_prometheus(directory, t):
    p = Prometheus(directory, t.port)
    try:
        bucket = f"{HISTOGRAM}_bucket"
        got, low, high = scraped(t, p, f"{HISTOGRAM}_count", f"histogram_quantile(0.5, {bucket})")
        assert low / 2.1 <= got <= high * 2.1, (low, got, high)
        assert p.query(f"count({bucket})") == [33]
        assert p.query(f"{bucket}{{le='+Inf'}} == ignoring(le) {HISTOGRAM}_count")
    finally:
        p.stop()


def exact_mode_by_api(directory, t):
    path = "/api/syscall/exact?seconds=600"
    assert t.request("POST", path)[0] == 401
    assert t.request("POST", path, {"Authorization": "Bearer " + "0" * 64})[0] == 401
    before = t.json("/api/status")["syscall"]
    assert before["mode"] == before["configured"] and before["exact_until"] is None, before
    status, _, body = t.request("POST", path, t.token())
    assert status == 202, (status, body)
    wait_for("mode exact", lambda: t.json("/api/status")["syscall"]["mode"] == "exact", DEADLINE_S)
    until = t.json("/api/status")["syscall"]["exact_until"]
    assert abs(until - time.time() - 600) < 60, until
    assert t.request("POST", "/api/syscall/exact?seconds=0", t.token())[0] == 202
    wait_for("the mode before", lambda: t.json("/api/status")["syscall"]["mode"] == before["mode"], DEADLINE_S)


def status_hides_the_token(directory, t):
    status = t.json("/api/status")
    assert t.token()["Authorization"].split()[1] not in json.dumps(status)
    assert {m["name"] for m in status["modules"]} >= {"host", "serve"}, status["modules"]
    assert any(r["name"] == "agent" and r["running"] for r in status["roles"]), status["roles"]
    assert status["kernel_bytes"] > 0 and status["configuration"]["serve"]["listen"] == "127.0.0.1:0"


def own_cost_of_each_process(directory, t):
    metrics = t.json("/api/metrics?match=trimtab_process_*")["metrics"]
    roles = {m["labels"]["role"] for m in metrics if m["name"] == "trimtab_process_resident_memory_bytes"}
    assert roles == {"keeper", "agent"}, metrics
    assert all(m["value"] > 0 for m in metrics), metrics


def a_taken_port_is_said(directory, t):
    state = tempfile.mkdtemp(dir=directory)
    run = subprocess.run([TRIMTAB, "run", "--listen", f"127.0.0.1:{t.port}", "--state-dir", state],
                         capture_output=True, text=True, timeout=DEADLINE_S)
    lines = [line for line in run.stderr.splitlines() if f"127.0.0.1:{t.port}" in line]
    assert run.returncode != 0 and run.returncode > 0, run
    assert len(lines) == 1 and "--listen" in lines[0], run.stderr
    assert t.get("/healthz")[0] == 200


def other_addresses_ask_for_the_token(directory, _):
    t = Trimtab(directory, listen="0.0.0.0:0")
    try:
        assert t.get("/metrics")[0] == 401
        assert t.get("/metrics", t.token())[0] == 200
        assert t.get("/")[0] == 200 and t.get("/healthz")[0] == 200
    finally:
        t.stop()


def tls_by_certificate_file(directory, _):
    cert, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    os.chmod(key, 0o644)  # the agent is not root
    config = os.path.join(directory, "tls.yaml")
    with open(config, "w") as f:
        f.write(f"serve:\n  tls_cert: {cert}\n  tls_key: {key}\n")
    t = Trimtab(directory, "--config", config)
    try:
        assert t.tls and t.json("/healthz") == {"status": "ok"}
        assert len(t.get("/metrics")[2]) > 10000
    finally:
        t.stop()


TESTS = [promtool_accepts_each_metric, native_histograms_reach_prometheus, classic_histograms_reach_prometheus,
         exact_mode_by_api, status_hides_the_token, own_cost_of_each_process, a_taken_port_is_said,
         other_addresses_ask_for_the_token, tls_by_certificate_file]


def main():
    if os.geteuid() != 0:
        print("skip serve needs root")
        return 0
    failed = 0
    directory = tempfile.mkdtemp(prefix="trimtab-serve-")
    os.chmod(directory, 0o755)
    t = Trimtab(directory)
    try:
        for number, run in enumerate(TESTS, 1):
            try:
                run(directory, t)
                print(f"ok {number} - {run.__name__}", flush=True)
            except Exception:
                failed += 1
                print(f"not ok {number} - {run.__name__}", flush=True)
                traceback.print_exc(file=sys.stdout)
    finally:
        t.stop()
        if failed:
            print(t.log())
        shutil.rmtree(directory)
    print(f"1..{len(TESTS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
