"""Table 2: servers under load with trimtab and its peers on and off.

Each round runs, variants in random order, a block of phases `off`, then for each variant
`on, on with the kernel's run-time statistics, on` and `off` again. The first and the last `off`
pair with the two `on` in ABBA order. The variant `off (control)` starts nothing: no difference
smaller than its spread is claimed for the others.

The run time of the programs comes from the phases with statistics, which are left out of the
ratios: reading the clock twice a run costs more than an empty program. What an empty program reads
under the same load is subtracted. Program time is the whole node's: the client's calls and switches
are in it, and those of whatever else runs here. So it is an upper bound of the server's part; the
share of the CPU time that the node was busy for compares like with like.
"""
import random
import sys

import tracers
from common import Absent, Session, median, node_busy_ns, quartiles, table
from loads import all_loads

CONTROL, FLOOR = "off (control)", "empty programs"
PAIRS_PER_ROUND = 2
PROBES = ("syscall", "disk", "sched", "tcp", "request")
FLOOR_PROGRAMS = ("floor_sys_enter", "floor_sys_exit", "floor_switch", "floor_wakeup",
                  "floor_complete")
DISK_ONLY = ("biolatency", "bpftrace block")


def all_variants():
    return [
        tracers.Nothing(CONTROL),
        tracers.floor(FLOOR, *FLOOR_PROGRAMS),
        tracers.Trimtab("trimtab default"),
        tracers.Trimtab("trimtab exact", "exact"),
        tracers.syscount(),
        tracers.Tracer("biolatency", ["biolatency"], 2),
        tracers.Tracer("runqlat", ["runqlat"], 2),
        tracers.bpftrace("bpftrace syscalls", tracers.BT_SYSCALLS, 2),
        tracers.bpftrace("bpftrace block", tracers.BT_BLOCK, 2),
        tracers.bpftrace("bpftrace run queue", tracers.BT_RUNQ, 2),
    ]


class Cell:
    """What was measured of one variant under one load."""

    def __init__(self):
        self.throughput, self.cpu = [], []  # on / off, a pair each
        self.requests = self.busy_ns = 0    # in the phases with statistics; the node's CPU time
        self.run_ns = {}                    # program name: run time, less nothing
        self.runs = {}                      # program name: runs

    def pair(self, off, on):
        self.throughput.append(on.per_second / off.per_second)
        self.cpu.append((on.server_ns / on.requests) / (off.server_ns / off.requests))

    def program_ns(self, empty_ns):
        """Program time a request, less what an empty program reads; {} without statistics."""
        if not self.requests:
            return {}
        return {name: (ns - empty_ns * self.runs[name]) / self.requests
                for name, ns in self.run_ns.items()}


class Result:
    def __init__(self, loads, variants):
        self.cells = {(v.name, load.name): Cell() for v in variants for load in loads}
        self.off = {load.name: [] for load in loads}
        self.absent = {}

    def empty_ns(self, load):
        """What the kernel's statistics read for a program that does nothing."""
        cell = self.cells[FLOOR, load.name]
        return sum(cell.run_ns.values()) / max(1, sum(cell.runs.values()))


def phases(loads):
    return {load.name: load.phase() for load in loads}


def count_runs(cell, load, variant):
    before, busy_ns = tracers.run_times(), node_busy_ns()
    for _ in range(variant.repeats):
        cell.requests += load.phase().requests
    after = tracers.run_times()
    cell.busy_ns += node_busy_ns() - busy_ns
    for each in variant.program_ids():
        if each not in after:
            continue
        name, ns, runs = after[each]
        _, ns_before, runs_before = before.get(each, (name, 0, 0))
        cell.run_ns[name] = cell.run_ns.get(name, 0) + ns - ns_before
        cell.runs[name] = cell.runs.get(name, 0) + runs - runs_before


def measure_variant(session, result, variant, loads):
    """The on phases of one variant; [first, second] of them."""
    with tracers.attached(variant, session):
        first = phases(loads)
        if variant.name != CONTROL:
            with tracers.Stats(session):
                for load in loads:
                    count_runs(result.cells[variant.name, load.name], load, variant)
        return first, phases(loads)


def measure(session, loads, variants, rounds):
    result = Result(loads, variants)
    for number in range(rounds):
        before = phases(loads)
        for variant in random.sample(variants, len(variants)):
            if variant.name in result.absent:
                continue
            print(f"\rservers: round {number + 1}/{rounds} {variant.name:24}", end="",
                  file=sys.stderr, flush=True)
            own = loads[-1:] if variant.name in DISK_ONLY else loads
            try:
                first, second = measure_variant(session, result, variant, own)
            except (Absent, RuntimeError) as error:
                result.absent[variant.name] = str(error)
                continue
            after = phases(loads)
            for load in own:
                cell = result.cells[variant.name, load.name]
                cell.pair(before[load.name], first[load.name])
                cell.pair(after[load.name], second[load.name])
                result.off[load.name] += [before[load.name], after[load.name]]
            before = after
    print(file=sys.stderr)
    return result


# --- printing


def ratio_text(values, control):
    """Median and quartiles; '=' when the median lies within the range of the control."""
    if not values:
        return "-"
    low, high = quartiles(values)
    same = " =" if control and min(control) <= median(values) <= max(control) else ""
    return f"{median(values):.2f} ({low:.2f} to {high:.2f}){same}"


def load_row(result, load, variant):
    name = variant.name
    cell, control = result.cells[name, load.name], result.cells[CONTROL, load.name]
    if name in result.absent:
        return [name, "absent: " + result.absent[name], "-", "-", "-", "-"]
    own = name == CONTROL
    row = [name, ratio_text(cell.throughput, [] if own else control.throughput),
           ratio_text(cell.cpu, [] if own else control.cpu)]
    if not cell.requests:
        return row + ["-"] * 3
    off = result.off[load.name]
    server_ns = median([p.server_ns / p.requests for p in off])
    gross = sum(cell.run_ns.values()) / cell.requests
    net = sum(cell.program_ns(result.empty_ns(load)).values())
    return row + [f"{net:.0f} ({gross:.0f})", f"{100 * net / server_ns:.2f} %",
                  f"{100 * net * cell.requests / cell.busy_ns:.2f} %"]


def print_load(result, load, variants):
    off = result.off[load.name]
    if not off:
        return ""
    control = result.cells[CONTROL, load.name]
    server_us = median([p.server_ns / p.requests for p in off]) / 1000
    head = [load.name, "throughput on/off", f"server CPU a {load.unit}, on/off",
            f"program ns a {load.unit}: net (gross)", "net, of server CPU",
            "of the node's busy CPU"]
    rows = [load_row(result, load, v) for v in variants
            if v.name in result.absent or result.cells[v.name, load.name].throughput]
    text = f"Off: {median([p.per_second for p in off]):,.0f} a second, {server_us:.2f} us of "
    text += f"server CPU each. An empty program reads {result.empty_ns(load):.0f} ns a run. "
    if control.throughput:
        text += (f"Control ranged {min(control.throughput):.2f} to {max(control.throughput):.2f} "
                 f"in throughput, {min(control.cpu):.2f} to {max(control.cpu):.2f} in CPU.")
    return text + "\n\n" + table(head, rows) + "\n"


def print_probes(result, loads, variants):
    """Where trimtab's own program time goes."""
    rows = []
    for variant in variants:
        if not isinstance(variant, tracers.Trimtab) or variant.name in result.absent:
            continue
        for load in loads:
            net = result.cells[variant.name, load.name].program_ns(result.empty_ns(load))
            sums = [sum(ns for name, ns in net.items() if name.startswith(probe + "_"))
                    for probe in PROBES]
            rows.append([variant.name, load.name, *(f"{ns:.0f}" for ns in sums),
                         f"{sum(net.values()) - sum(sums):.0f}"])
    if not rows:
        return ""
    return "Net program ns a request, by probe:\n\n" + table(
        ["", "load", *PROBES, "other"], rows) + "\n"


def start_loads(session, wanted):
    """The loads whose servers are here, and a line for each that is not."""
    loads, missing = [], []
    for load in wanted:
        try:
            load.start(session)
            loads.append(load)
        except (Absent, RuntimeError, OSError) as error:
            missing.append(f"{load.name}: absent: {error}\n\n")
    return loads, missing


def main(options):
    rounds = max(1, -(-options.rounds // PAIRS_PER_ROUND))
    variants = all_variants()
    with Session() as session:
        loads, missing = start_loads(session, all_loads())
        result = measure(session, loads, variants, rounds)
    text = "## Servers under load\n\n"
    text += (f"{rounds * PAIRS_PER_ROUND} pairs in ABBA order; median (quartiles). `=`: within the "
             "range of the control, so no difference is claimed. To hold in the default modes: net "
             "program time at most 2 % of the server's own CPU.\n\n")
    text += "".join(missing)
    text += "".join(print_load(result, load, variants) for load in loads)
    return text + print_probes(result, loads, variants)
