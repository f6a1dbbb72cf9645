#!/usr/bin/env python3
"""postgresql.test.py - every PostgreSQL request, counted by the program as pgbench, the server's
pg_stat_statements and the test's own client of the protocol count them."""
import re
import socket
import struct

from common import ENV, Both, Trimtab, Watch, check, main, read, until
from servers import Pgbouncer, Postgres, Tally, output

CLIENTS, EACH = 4, 2500


class Client:
    """A connection that speaks the protocol's messages one by one, and tallies what they come to."""

    def __init__(self, server, unix=False, database="postgres"):
        if unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(f"{server.dir}/.s.PGSQL.{server.port}")
        else:
            self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.settimeout(30)
        self.file = self.socket.makefile("rb")
        self.tally = Tally()
        start = struct.pack("!i", 196608) + b"user\0postgres\0database\0%s\0\0" % database.encode()
        self.socket.sendall(struct.pack("!i", len(start) + 4) + start)

    def __enter__(self):
        self.until_ready()
        return self

    def __exit__(self, *_):
        self.socket.sendall(message(b"X"))
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))

    def next(self):
        """(type, body) of the next message."""
        head = self.file.read(5)
        if len(head) < 5:
            raise ConnectionResetError("the server closed the connection")
        return head[:1], self.file.read(struct.unpack("!i", head[1:])[0] - 4)

    def until_ready(self):
        """All messages up to ReadyForQuery."""
        found = []
        while True:
            found.append(self.next())
            if found[-1][0] == b"Z":
                return found

    def query(self, text):
        """A simple query, tallied as one request named by its first statement's tag."""
        self.send(message(b"Q", text.encode() + b"\0"))
        return self.simple()

    def simple(self):
        found = self.until_ready()
        kinds = [kind for kind, _ in found]
        tag = next((name_of(body) for kind, body in found if kind == b"C"), None)
        self.tally.add(None if b"E" in kinds else tag or "EMPTY", b"E" in kinds)
        return found

    def extended(self):
        """The answers up to ReadyForQuery, each Execute's tallied; an error ends the batch."""
        found = self.until_ready()
        for kind, body in found:
            if kind == b"C":
                self.tally.add(name_of(body))
            elif kind == b"s":
                self.tally.add("SELECT")
            elif kind == b"E":
                self.tally.add(None, True)
        return found


def name_of(body):
    """"INSERT 0 1" -> "INSERT" """
    return re.sub(r"[ \d]+$", "", body[:-1].decode())


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def statement(text, name="", rows=0, sync=False):
    """Parse, Bind, Describe and Execute."""
    name = name.encode() + b"\0"
    return (message(b"P", name + text.encode() + b"\0\0\0") + executed(name[:-1].decode(), rows)
            + (message(b"S") if sync else b""))


def executed(name="", rows=0, sync=False):
    """Bind, Describe and Execute of a statement that is parsed."""
    return (message(b"B", b"\0" + name.encode() + b"\0" + struct.pack("!hhh", 0, 0, 0))
            + message(b"D", b"P\0") + message(b"E", b"\0" + struct.pack("!i", rows))
            + (message(b"S") if sync else b""))


SYNC = message(b"S")


# --- pgbench


def pgbench(mode, unix=False):
    """SELECTs of pgbench, which looks at its tables first: two more, by simple queries."""
    both = Both(program, "unix" if unix else pg.port, "postgresql")
    out = pg.pgbench("-S", "-n", "-M", mode, "-c", CLIENTS, "-t", EACH, unix=unix)
    n = CLIENTS * EACH
    check(f"actually processed: {n}/{n}" in out, out)
    ok = {"SELECT": n + 2}
    if mode == "prepared":
        ok["PREPARE"] = CLIENTS
    both.expect(ok)


def test_pgbench_simple():
    pgbench("simple")


def test_pgbench_extended():
    pgbench("extended")


def test_pgbench_prepared():
    pgbench("prepared")


def test_pgbench_unix_socket():
    pgbench("simple", unix=True)


def calls():
    """{kind: calls} of all statements, as the server counted them, this one not."""
    rows = pg.psql("select calls || ' ' || query from pg_stat_statements").splitlines()
    found = {}
    for row in rows:
        m = re.match(r"(\d+) (\w+)", row)
        if m:
            kind = {"END": "COMMIT"}.get(m[2].upper(), m[2].upper())
            found[kind] = found.get(kind, 0) + int(m[1])
    return found


def test_pgbench_mixed():
    """Transactions of seven statements, against what the server counted."""
    was, both = calls(), Both(program, pg.port, "postgresql")
    pg.pgbench("-n", "-M", "extended", "-c", CLIENTS, "-t", 200)
    now = calls()
    n = CLIENTS * 200
    ok = {k: now[k] - was.get(k, 0) for k in now if now[k] - was.get(k, 0)}
    check(ok["UPDATE"] == 3 * n and ok["INSERT"] == ok["COMMIT"] == n, f"the server counted {ok}")
    both.expect(ok)  # the SELECT of the first reading is in `ok`, that of the last is in `both`


def test_new_connection_each():
    """A process of the server's for each connection."""
    both = Both(program, pg.port, "postgresql")
    pg.pgbench("-S", "-n", "-C", "-c", 2, "-t", 50)
    both.expect({"SELECT": 100 + 2})


# --- the protocol


def both_and_client(work):
    """What the client's tally says is what is counted, in both directions."""
    both = Both(program, pg.port, "postgresql")
    with Client(pg) as c:
        work(c)
    both.expect(c.tally.ok, c.tally.error)
    return c.tally


def test_errors_of_simple_queries():
    def work(c):
        for _ in range(20):
            c.query("select 1/0")
            c.query("select * from nowhere")
            c.query("selct 1")
            c.query("select 1")
            c.query("select 1; select 2; select 1/0; select 3")
            c.query("insert into pgbench_branches values (1, 1, '')")

    tally = both_and_client(work)
    check(tally.error == {None: 100} and tally.ok == {"SELECT": 20}, f"tally: {vars(tally)}")


def test_errors_of_extended_queries():
    def work(c):
        for _ in range(20):
            c.send(statement("select 1/0", sync=True))
            c.extended()
            c.send(statement("selct 1", sync=True))
            c.extended()
            c.send(statement("select 1", sync=True))
            c.extended()

    tally = both_and_client(work)
    check(tally.error == {None: 40} and tally.ok == {"SELECT": 20}, f"tally: {vars(tally)}")


def test_errors_in_a_pipeline():
    """Behind an error the server skips what there is up to the Sync: that is not answered, and what
    comes after the Sync is, though all was sent in one call."""
    def work(c):
        bad, good = statement("select 1/0"), statement("select 1")
        for _ in range(20):
            c.send(good, good, bad, good, good, SYNC, good, SYNC, bad, SYNC,
                   statement("update pgbench_branches set bbalance = 0"), SYNC)
            for _ in range(4):
                c.extended()

    tally = both_and_client(work)
    check(tally.error == {None: 40} and tally.ok == {"SELECT": 60, "UPDATE": 20},
          f"tally: {vars(tally)}")


def test_kinds_of_statements():
    def work(c):
        for text in ("create table kinds (id int, t text)", "insert into kinds values (1, 'a'), (2, 'b')",
                     "update kinds set t = 'c'", "select * from kinds", "delete from kinds",
                     "begin", "savepoint a", "rollback to a", "commit", "begin", "rollback",
                     "set work_mem = '5MB'", "show work_mem", "explain select 1", "analyze kinds",
                     "vacuum kinds", "truncate kinds", "create index on kinds (id)", "listen x",
                     "declare c cursor with hold for select 1", "fetch all from c", "close c",
                     "do 'begin end'", "", "drop table kinds", "values (1)", "discard all"):
            c.query(text)

    tally = both_and_client(work)
    check(not tally.error, f"errors: {tally.error}")
    check(tally.ok["CREATE TABLE"] == 1 and tally.ok["EMPTY"] == 1, f"tally: {tally.ok}")


def test_copy():
    """In and out: one request each, however many rows there are; and one that fails."""
    def work(c):
        c.query("create table copied (t text)")
        c.send(message(b"Q", b"copy copied from stdin\0"))
        check(c.next()[0] == b"G", "no CopyIn")
        for i in range(200):
            c.send(message(b"d", b"%d %s\n" % (i, b"S" * (i * 50))))
        c.send(message(b"c"))
        c.simple()
        check(sum(kind == b"d" for kind, _ in c.query("copy copied to stdout")) == 200, "no rows")
        c.send(message(b"Q", b"copy copied from stdin\0"))
        check(c.next()[0] == b"G", "no CopyIn")
        c.send(message(b"d", b"x\n"), message(b"f", b"no more\0"))
        c.simple()
        c.query("drop table copied")

    tally = both_and_client(work)
    check(tally.ok["COPY"] == 2 and tally.error == {None: 1}, f"tally: {vars(tally)}")


def test_many_rows():
    """Answers of many messages, small and large, and portals that are read in parts."""
    def work(c):
        for _ in range(3):
            check(len(c.query("select i from generate_series(1, 50000) i")) > 50000, "no rows")
            c.query("select repeat('Z', 3000000)")
        c.query("begin")
        for rows in (3, 10):
            c.send(message(b"P", b"\0select i from generate_series(1, 25) i\0\0\0"),
                   message(b"B", b"\0\0" + struct.pack("!hhh", 0, 0, 0)))
            for _ in range(25 // rows + 1):
                c.send(message(b"E", b"\0" + struct.pack("!i", rows)), message(b"H"))
            c.send(SYNC)
            c.extended()
        c.query("commit")

    both_and_client(work)


def test_asynchronous_messages():
    """Notices and notifications answer nothing."""
    def work(c):
        c.query("listen news")
        for _ in range(10):
            c.query("do 'begin raise notice ''Z E C''; end'")
            pg.psql("notify news, 'Z'")
            c.query("select 1")

    both = Both(program, pg.port, "postgresql")
    with Client(pg) as c:
        work(c)
    both.expect({**c.tally.ok, "NOTIFY": 10})


def test_connections_that_fail():
    """Those have made no request."""
    both = Both(program, pg.port, "postgresql")
    for _ in range(5):
        c = Client(pg, database="nosuch")
        check(c.next()[0] == b"R" and c.next()[0] == b"E", "the connection did not fail")
        c.close()
    with Client(pg) as c:
        c.query("select 1")
    both.expect({"SELECT": 1})


def test_cancelled():
    """A cancel request comes on a connection of its own; what it ends is an error."""
    both = Both(program, pg.port, "postgresql")
    c = Client(pg)
    found = c.until_ready()
    key = next(body for kind, body in found if kind == b"K")
    c.send(message(b"Q", b"select pg_sleep(60)\0"))
    until("the query to run", lambda: pg.psql(
        "select 1 from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'"))
    with socket.create_connection(("127.0.0.1", pg.port)) as s:
        s.sendall(struct.pack("!ii", 16, 80877102) + key)
        s.recv(1)
    c.simple()
    c.query("select 1")
    c.close()
    watches = (both.inbound.read(), both.outbound.read())
    for watch in watches:
        check(watch.total("error") == 1, f"counted {watch.counts()}")
        check(watch.quantile(1) < 59, "the cancelled query took too long")


def test_terminated_while_idle():
    """The server says FATAL to a connection that has asked nothing."""
    both = Both(program, pg.port, "postgresql")
    c = Client(pg)
    found = c.until_ready()
    pid = struct.unpack("!i", next(body for kind, body in found if kind == b"K")[:4])[0]
    c.query("select 1")
    pg.psql(f"select pg_terminate_backend({pid})")
    check(c.next()[0] == b"E", "the connection was not ended")
    c.close()
    both.expect({"SELECT": 2})


def test_pgbouncer_between():
    """Clients of the pool, the pool as a client, the server: the statements are the same."""
    with Pgbouncer(pg) as pool:
        before = read(program)
        watches = [Watch(program, pool.port, "postgresql", direction, before)
                   for direction in ("inbound", "outbound")]
        watches += [Watch(program, pg.port, "postgresql", direction, before)
                    for direction in ("inbound", "outbound")]
        output("pgbench", "-S", "-n", "-c", CLIENTS, "-t", 500, "-h", "127.0.0.1", "-p", pool.port,
               "-U", "postgres", "postgres")
    for watch in watches[:2]:
        watch.expect({"SELECT": CLIENTS * 500 + 2})
    for watch in watches[2:]:  # the pool sets up the connections that it makes
        sets = {operation: n for (_, operation, _), n in watch.read().counts().items()
                if operation == "SET"}
        watch.expect({"SELECT": CLIENTS * 500 + 2, **sets})


if __name__ == "__main__":
    with Trimtab(ENV) as program, Postgres() as pg:
        pg.psql("create extension pg_stat_statements")
        pg.pgbench("-i", "-q", "-s", 1)
        raise SystemExit(main([
            test_pgbench_simple, test_pgbench_extended, test_pgbench_prepared,
            test_pgbench_unix_socket, test_pgbench_mixed, test_new_connection_each,
            test_errors_of_simple_queries, test_errors_of_extended_queries,
            test_errors_in_a_pipeline, test_kinds_of_statements, test_copy, test_many_rows,
            test_asynchronous_messages, test_connections_that_fail, test_cancelled,
            test_terminated_while_idle, test_pgbouncer_between]))
