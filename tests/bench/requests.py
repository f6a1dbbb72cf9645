"""Table 3: what seeing every request costs the servers.

As table 2 (servers.py), with only the request probe on, and the tcp probe, which tells it what is
listened on. "Outbound too" is the default: the clients are on this node as well, so that each
request is seen at both ends.
"""
import tracers
from common import Session
from loads import Nginx, Postgres, Redis
from servers import (CONTROL, FLOOR, FLOOR_PROGRAMS, PAIRS_PER_ROUND, measure, print_load,
                     print_probes, start_loads)

ONLY = {"syscall_enabled": False, "sched_enabled": False, "disk_enabled": False}


def variants():
    return [
        tracers.Nothing(CONTROL),
        tracers.floor(FLOOR, *FLOOR_PROGRAMS),
        tracers.Trimtab("requests, inbound only", **ONLY, request_outbound=False),
        tracers.Trimtab("requests, outbound too", **ONLY),
        tracers.Trimtab("requests, from packets", **ONLY, request_way="packet"),
        tracers.Trimtab("no requests", **ONLY, request_enabled=False),
    ]


def main(options):
    rounds = max(1, -(-options.rounds // PAIRS_PER_ROUND))
    chosen = variants()
    with Session() as session:
        loads, missing = start_loads(session, [Redis(1), Redis(16), Nginx(), Postgres()])
        result = measure(session, loads, chosen, rounds)
    text = "## Requests\n\n"
    text += (f"{rounds * PAIRS_PER_ROUND} pairs in ABBA order; median (quartiles). `=`: within the "
             "range of the control, so no difference is claimed. To hold: at most 5 % of the "
             "server's CPU for Redis and nginx, 2 % for PostgreSQL, 100 ns a pipelined request, "
             "throughput at least 0.97.\n\n")
    text += "".join(missing)
    text += "".join(print_load(result, load, chosen) for load in loads)
    return text + print_probes(result, loads, chosen)
