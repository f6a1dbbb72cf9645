"""Table 1: what tracing adds to one call.

Each round runs, in random order, `nothing, V1, nothing, V2, ... nothing`: what a variant adds is
its time less the mean of the two bare runs on either side of it, so slow drift cancels. The first
variant is `nothing` itself: its spread is the noise of everything below it.
"""
import os
import random
import subprocess
import sys

import tracers
from common import Absent, Session, cpus, helper, median, spread, table

LOOPS = ("getppid", "read", "pingpong")
UNITS = {"getppid": "getppid, ns a call", "read": "1-byte read, ns a call",
         "pingpong": "pipe ping-pong, ns a round trip"}
CONTROL, FLOOR, FLOOR_SCHED = "nothing (control)", "floor: syscalls", "floor: switch, wakeup"
RUN_S = 0.4


def loop_ns(loop, count):
    out = subprocess.run([helper("loops"), loop, str(cpus()[0]), str(count)],
                         stdout=subprocess.PIPE, check=True).stdout
    return [float(word) for word in out.split()]  # median slice, mean


def calibrate():
    counts = {}
    for loop in LOOPS:
        once = min(loop_ns(loop, 20000)[0] for _ in range(3))
        counts[loop] = max(1000, int(RUN_S * 1e9 / once))
    return counts


def default_variants():
    return [
        tracers.Nothing(CONTROL),
        tracers.floor(FLOOR, "floor_sys_enter", "floor_sys_exit"),
        tracers.floor(FLOOR_SCHED, "floor_switch", "floor_wakeup"),
        tracers.Trimtab("trimtab exact", "exact"),
        tracers.Trimtab("trimtab windows", "windows"),
        tracers.Trimtab("trimtab blocked", "blocked"),
        tracers.syscount(),
        tracers.bpftrace("bpftrace", tracers.BT_SYSCALLS, 2),
    ]


def object_variants(path, options):
    return default_variants()[:3] + [tracers.Object(os.path.basename(path), path, options)]


class Result:
    def __init__(self, variants):
        self.bare = {loop: [] for loop in LOOPS}
        self.added = {(v.name, loop): [] for v in variants for loop in LOOPS}
        self.absent = {}  # variant name: why

    def add(self, variant, before, inside, after):
        which = 0 if variant.steady else 1
        for loop in LOOPS:
            bare = (before[loop][which] + after[loop][which]) / 2
            traced = sum(each[loop][which] for each in inside) / len(inside)
            self.bare[loop].append(bare)
            self.added[variant.name, loop].append(traced - bare)


def run_loops(counts):
    return {loop: loop_ns(loop, counts[loop]) for loop in LOOPS}


def measure(variants, rounds):
    result, counts = Result(variants), calibrate()
    with Session() as session:
        for number in range(rounds):
            before = run_loops(counts)
            for variant in random.sample(variants, len(variants)):
                if variant.name in result.absent:
                    continue
                print(f"\rmicro: round {number + 1}/{rounds} {variant.name:24}", end="",
                      file=sys.stderr, flush=True)
                try:
                    with tracers.attached(variant, session):
                        inside = [run_loops(counts) for _ in range(variant.repeats)]
                except (Absent, RuntimeError) as error:
                    result.absent[variant.name] = str(error)
                    continue
                after = run_loops(counts)
                result.add(variant, before, inside, after)
                before = after
    print(file=sys.stderr)
    return result


def ratio(result, loop, name, to):
    below = median(result.added[to, loop])
    above = median(result.added[name, loop])
    return f"{above / below:.2f}" if below > 0 and above == above else "-"


def print_loop(result, variants, loop, peers):
    head = [UNITS[loop], "added: median (quartiles)", "of bare", "of the floor"]
    head += [f"of {peer}" for peer in peers]
    bare, rows = median(result.bare[loop]), []
    for variant in variants:
        name = variant.name
        if name in result.absent:
            rows.append([name, "absent: " + result.absent[name]] + ["-"] * (len(head) - 2))
            continue
        added = result.added[name, loop]
        row = [name, spread(added), f"{(bare + median(added)) / bare:.2f}"]
        row += ["-" if name == CONTROL else ratio(result, loop, name, to) for to in (FLOOR, *peers)]
        rows.append(row)
    return f"Bare: {bare:.0f} ns.\n\n" + table(head, rows) + "\n"


def main(options):
    if options.object:
        variants = object_variants(options.object, options.loader)
        peers = []
    else:
        variants, peers = default_variants(), ["syscount -L", "bpftrace"]
    result = measure(variants, options.rounds)
    text = "## What tracing adds to one call\n\n"
    text += (f"CPU time, medians of {options.rounds} interleaved pairs; a ratio is that of the "
             "medians of what is added.\n")
    if not options.object:
        text += ("To hold in exact mode: at most 1.7 of the floor, at most 0.50 of `syscount -L` "
                 "and of bpftrace.\n")
    text += "\n"
    for loop in LOOPS:
        text += print_loop(result, variants, loop, peers)
    return text
