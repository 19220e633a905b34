"""Readers and writers of single statements while the primary dies and another server becomes it: for test_failover.py and tests/bench/failover."""
import collections
import os
import re
import threading
import time

import pymysql

import aurora
import servers
from servers import LOOPBACK

LOST = 1927
INTERVAL = 1.0  # seconds: of the monitor


class Client(threading.Thread):
    def __init__(self, suimon, number, writes, stop):
        super().__init__(daemon=True)
        self.suimon, self.number, self.writes, self.stop = suimon, number, writes, stop
        self.done, self.longest, self.last = 0, 0.0, 0.0
        self.errors, self.failing = [], []  # what was said, and when those statements began

    def run(self):
        c = None
        while not self.stop.is_set():
            begin = time.monotonic()
            try:
                if c is None:
                    c = self.suimon.connect(database="shop")
                with c.cursor() as cur:
                    if self.writes:
                        cur.execute("UPDATE t SET n = n + 1 WHERE id = %s", (self.number,))
                    else:
                        cur.execute("SELECT n FROM t WHERE id = %s", (self.number,))
                        cur.fetchall()
                self.done += 1
                self.last = time.monotonic()
                self.longest = max(self.longest, self.last - begin)
            except pymysql.MySQLError as e:
                self.errors.append(e.args)
                self.failing.append(begin)
                c = None


class Direct(threading.Thread):
    """What the machine allows: every interval, a new connection to the server that is to be promoted, and one statement."""

    def __init__(self, connect, stop):
        super().__init__(daemon=True)
        self.connect, self.stop = connect, stop
        self.rounds, self.slowest = 0, 0.0

    def run(self):
        while not self.stop.wait(INTERVAL):
            begin = time.monotonic()
            with self.connect() as c, c.cursor() as cur:
                cur.execute("SELECT n FROM t WHERE id = 0")
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.rounds += 1


class Replicated:
    """MariaDB servers: the first dies, the second is promoted."""

    def __init__(self, members, rows):
        self.members = self.first, self.second, *_ = members
        self.general_log = os.path.join(self.second.dir, "general.log")
        self.first.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)",
                       "INSERT INTO shop.t VALUES %s" % ",".join("(%d,0)" % i for i in range(rows)))
        for m in self.members[1:]:
            m.catch_up(self.first)

    def config(self):
        first, *others = ["%s:%d" % (LOOPBACK, m.port) for m in self.members]
        return {"primary": first, "replicas": others}

    def kill(self):
        self.second.catch_up(self.first)
        self.second.sql("SET GLOBAL general_log_file = '%s'" % self.general_log, "SET GLOBAL general_log = ON")
        self.first.process.kill()

    def promote(self):
        self.second.promote()

    def direct(self):
        return self.second.connect("app", "app", database="shop")

    def heard(self):
        """What the new primary was asked since the old one died: before its promotion, and after."""
        with open(self.general_log, encoding="utf-8", errors="replace") as f:
            text = f.read()
        before, promotion, after = text.partition("SET GLOBAL read_only = OFF\n")
        assert promotion
        return before.splitlines(), after.splitlines()


class Scripted:
    """Servers that answer as Aurora's do: the writer dies, a reader takes over, and the endpoint's name leads nowhere."""

    def __init__(self):
        self.cloud = aurora.Cluster()

    def config(self):
        return {"primary": "%s:%d" % (LOOPBACK, self.cloud.port), "discovery": "aurora", "backend": {"aurora_host": "127.0.0.?"}}

    def kill(self):
        self.killed = len(self.cloud.heard)
        self.cloud.instances["11"].stop()
        self.cloud.endpoint.stop()

    def promote(self):
        self.promoted = len(self.cloud.heard)
        self.cloud.writer = "12"

    def direct(self):
        return pymysql.connect(host="127.0.0.12", port=self.cloud.port, user="app", password="app")

    def heard(self):
        heard = list(self.cloud.heard)
        return [[sql for who, sql in part if who == "12"] for part in (heard[self.killed:self.promoted], heard[self.promoted:])]


def config(world):
    made = world.config()
    return {**made, "users": [{"name": "app", "password": "app"}],
            "backend": {**made.get("backend", {}), "failover_hold": "90s",
                        "monitor": {"user": "monitor", "password": "monitor", "interval": "%gs" % INTERVAL}}}


def everybody(clients, since):
    def behind():
        return [(c.number, c.errors[-1:]) for c in clients if c.last <= since]

    try:
        servers.wait_until("every client", lambda: not behind(), 120)
    except servers.TooLate as e:
        raise servers.TooLate("%s; %d of %d are behind, with their last errors: %s" % (e, len(behind()), len(clients), behind()[:4])) from e
    return time.monotonic()


def looks(heard, writers):
    """How often suimon's monitor has asked the new primary, until so many writers have written there."""
    n, seen = 0, set()
    for sql in heard:
        n += "@@global.read_only" in sql
        found = re.search(r"UPDATE t SET .* id = (\d+)", sql)
        if found:
            seen.add(found.group(1))
        if len(seen) == writers:
            return n
    raise AssertionError("%d of %d writers have written" % (len(seen), writers))


def fail_over(world, suimon, readers=48, writers=16, dead=3.0):
    """Seconds: until the loss was noticed, and from when the new primary takes writes to the first and to everybody's; the same in the
    monitor's own looks at it, beside what a direct client had of that server meanwhile; by kind of client its statements, errors, and the
    longest that anybody waited."""
    stop, ended = threading.Event(), threading.Event()
    clients = [Client(suimon, i, i < writers, stop) for i in range(readers + writers)]
    for c in clients:
        c.start()
    try:
        everybody(clients, time.monotonic() + 2)
        moves = servers.sum_metric(suimon.metrics(), "suimon_failovers_total")  # a busy machine's servers may be missed for a moment before
        world.kill()
        killed = time.monotonic()
        direct = Direct(world.direct, ended)
        direct.start()
        servers.wait_until("suimon to notice", lambda: "backend: down" in suimon.log_text(), 60)
        noticed = time.monotonic()
        time.sleep(dead)
        everybody([c for c in clients if not c.writes], time.monotonic())  # reads go on
        before = direct.rounds
        world.promote()
        promoted = time.monotonic()
        servers.wait_until("a write", lambda: any(c.last > promoted for c in clients if c.writes), 60, interval=0.002)
        first = time.monotonic()
        last = everybody([c for c in clients if c.writes], promoted)
    finally:
        stop.set()
        ended.set()
        for c in clients:
            c.join(120)
    direct.join(120)
    asked = world.heard()
    result = {"failovers": servers.sum_metric(suimon.metrics(), "suimon_failovers_total") - moves,
              "noticed_s": noticed - killed, "allowed_s": INTERVAL + 1, "to_first_write_s": first - promoted,
              "to_every_writer_s": last - promoted,
              "looks": {"while_dead": sum("@@global.read_only" in sql for sql in asked[0]), "to_first_write": looks(asked[1], 1),
                        "to_every_writer": looks(asked[1], writers)},
              "direct": {"rounds_while_dead": before, "slowest_s": direct.slowest}}
    for kind, writes in (("reader", False), ("writer", True)):
        mine = [c for c in clients if c.writes == writes]
        result[kind] = {"clients": len(mine), "statements": sum(c.done for c in mine), "longest_s": max(c.longest for c in mine),
                        "errors": collections.Counter(e[0] for c in mine for e in c.errors)}
    result["wrong"] = [e for c in clients for e, began in zip(c.errors, c.failing) if not c.writes or began > killed or not is_unknown(e)]
    return result


def is_unknown(e):
    """R3: a statement that was on its way. A server's links do not all end in one moment: it may be one more of a client that came back
    while they did."""
    return e[0] == LOST and "not known" in e[1]
