#!/usr/bin/env python3
"""statements.test.py - which statements a PostgreSQL server executes most (GET
/api/services/statements): their texts without literals, and their shares, against what
pg_stat_statements counts of the same load."""
import json
import math
import os
import tempfile

from common import ENV, Trimtab, check, lost, main, read
from servers import Postgres

SELECT = "SELECT abalance FROM pgbench_accounts WHERE aid = ?"
SIGMAS = 4  # how far a share of samples may be from the share of executions
UNEQUAL = 3  # samples that weigh less than others are worth so many times fewer
LOAD_S = 5  # several periods of the sampling
SCRIPTS = {  # weight: a statement, what it must be shown as; the literals say so
    6: ("SELECT count(*) FROM pgbench_branches WHERE bid IN (1, -2, 3) AND 'secret' <> 'x' -- secret",
        "SELECT count(*) FROM pgbench_branches WHERE bid IN (...) AND ? <> ?"),
    3: ("UPDATE pgbench_tellers SET filler = E'secret\\'' WHERE tid = :aid AND bid <> -7",
        "UPDATE pgbench_tellers SET filler = ? WHERE tid = ? AND bid <> ?"),
    1: ("INSERT INTO pgbench_history (tid, filler) VALUES (:aid::int, 'secret'), (2, $x$secret$x$)",
        "INSERT INTO pgbench_history (tid, filler) VALUES (...)"),
}


def statements(server, direction="inbound", unix=False):
    """{statement: what is said of it} of a server; None: those of no text."""
    port = "unix" if unix else server.port
    found = json.loads(program.get("/api/services/statements?limit=2048"))
    check(found["total"] == len(found["statements"]), f"total {found['total']}")
    return {s["statement"]: s for s in found["statements"]
            if s["service"].endswith(f":{port}") and s["direction"] == direction}


def sampled(server, **which):
    """The same, once all that was sent so far has been read."""
    program.fresh()
    return statements(server, **which)


def executed(server):
    """{kind of statement by its first word: executions}, of the server's own count."""
    rows = server.psql("select split_part(query, ' ', 1), sum(calls) from pg_stat_statements"
                       " where query like '%pgbench_%' and query not like 'select%' group by 1")
    return {word: int(n) for word, n in (line.split("|") for line in rows.splitlines())}


def near_share(s, share):
    slack = SIGMAS * math.sqrt(share * (1 - share) / (s["samples"] / share / UNEQUAL))
    check(abs(s["share"] - share) <= slack, f"{s}, must be {share:.3f} within {slack:.3f}")


def no_literal(found):
    for text in found:
        check(text is None or ("secret" not in text and not any(c.isdigit() for c in text)),
              f"a literal is shown: {text}")


class Own(Postgres):
    """A server of which nothing is known yet, with pgbench's tables."""

    def __enter__(self):
        super().__enter__()
        self.psql("create extension pg_stat_statements")
        self.pgbench("-i", "-q", "-s", 1)
        return self

    def bench(self, *options):
        return self.pgbench("-n", "-c", 4, "-t", 3000, *options)

    def scripts(self, mode):
        with tempfile.TemporaryDirectory() as folder:
            options = []
            for weight, (text, _) in SCRIPTS.items():
                path = os.path.join(folder, str(weight))
                with open(path, "w", encoding="utf-8") as f:
                    f.write(f"\\set aid random(1, 100000)\n{text};\n")
                options += ["-f", f"{path}@{weight}"]
            self.psql("select pg_stat_statements_reset()")
            self.pgbench("-n", "-c", 4, "-T", LOAD_S, "-M", mode, *options)


def test_simple():
    with Own() as pg:
        pg.bench("-S")
        for direction in ("inbound", "outbound"):
            found = sampled(pg, direction=direction)
            check(SELECT in found, f"{direction}: {list(found)}")
            check(found[SELECT]["samples"] >= 32 and found[SELECT]["share"] > 0.9,
                  f"{direction}: {found[SELECT]}")
        check(statements(pg)[SELECT]["rate_estimated"] > 0, f"{statements(pg)[SELECT]}")


def test_unix_socket():
    with Own() as pg:
        pg.pgbench("-n", "-S", "-t", 3000, unix=True)
        found = sampled(pg, unix=True)
        check(SELECT in found and found[SELECT]["share"] > 0.9, f"{found}")


def test_extended():
    with Own() as pg:
        pg.bench("-S", "-M", "extended")
        found = sampled(pg)
        check(SELECT in found and found[SELECT]["share"] > 0.9, f"{found}")


def test_prepared():
    """Parsed once by each connection, then only its name is bound."""
    with Own() as pg:
        pg.bench("-S", "-M", "prepared")
        found = sampled(pg)
        check(SELECT in found and found[SELECT]["share"] > 0.9, f"{found}")
        check(None not in found, f"not known: {found.get(None)}")


def shares(mode):
    """Of three statements, by the weights that pgbench was given, as the server counts them."""
    with Own() as pg:
        pg.scripts(mode)
        found = sampled(pg)
        counts = executed(pg)
        texts = [text for _, text in SCRIPTS.values()]
        check(all(t in found for t in texts), f"{list(found)}, must have {texts}")
        check({t.split()[0] for t in texts} == set(counts), f"executed {counts}")
        # of these three alone: what made the tables is in the window, too
        all_shares = sum(found[t]["share"] for t in texts)
        for t in texts:
            mine = dict(found[t], share=found[t]["share"] / all_shares)
            near_share(mine, counts[t.split()[0]] / sum(counts.values()))
        no_literal(found)


def test_shares_simple():
    shares("simple")


def test_shares_prepared():
    shares("prepared")


def test_few_are_all_seen():
    """A quiet server's statements are all samples, in one batch or several."""
    with Postgres() as pg:
        for i in range(5):
            pg.psql(f"select {i}, 'secret'")
        found = sampled(pg)
        check(list(found) == ["select ?, ?"] and found["select ?, ?"]["samples"] == 5
              and found["select ?, ?"]["share"] == 1, f"{found}")


def test_long_and_odd_texts():
    """Cut without a part of a literal; what is longer than a read is seen all the same."""
    with Postgres() as pg:
        pg.psql("select 1 as a" + "a" * 150 + ", '" + "secret" * 100 + "'")
        pg.psql("select '" + "secret" * 3000 + "'")
        pg.psql("select 'secret\\' as b, 'c'")
        pg.psql("create table täble (id int)")
        found = sampled(pg)
        check(set(found) == {"select ? as a" + "a" * 150 + ", ...", "select ...",
                             "create table täble (id int)"}, f"{list(found)}")
        check(found["select ..."]["samples"] == 2, f"{found}")


def test_nothing_lost():
    check("statement_ring" not in lost(before, read(program)), f"lost {lost(before, read(program))}")


if __name__ == "__main__":
    with Trimtab(ENV) as program:
        before = read(program)
        raise SystemExit(main([
            test_simple, test_unix_socket, test_extended, test_prepared, test_shares_simple,
            test_shares_prepared, test_few_are_all_seen, test_long_and_odd_texts,
            test_nothing_lost]))
