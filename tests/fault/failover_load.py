"""Readers and writers of single statements while the primary dies and another server becomes it: for test_failover.py and tests/bench/failover."""
import collections
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
        self.done, self.errors, self.longest, self.last = 0, [], 0.0, 0.0

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
                c = None


class Replicated:
    """MariaDB servers: the first dies, the second is promoted."""

    def __init__(self, members, rows):
        self.members = self.first, self.second, *_ = members
        self.first.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)",
                       "INSERT INTO shop.t VALUES %s" % ",".join("(%d,0)" % i for i in range(rows)))
        for m in self.members[1:]:
            m.catch_up(self.first)

    def config(self):
        first, *others = ["%s:%d" % (LOOPBACK, m.port) for m in self.members]
        return {"primary": first, "replicas": others}

    def kill(self):
        self.second.catch_up(self.first)
        self.first.process.kill()

    def promote(self):
        self.second.sql("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF")


class Scripted:
    """Servers that answer as Aurora's do: the writer dies, a reader takes over, and the endpoint's name leads nowhere."""

    def __init__(self):
        self.cloud = aurora.Cluster()

    def config(self):
        return {"primary": "%s:%d" % (LOOPBACK, self.cloud.port), "discovery": "aurora", "backend": {"aurora_host": "127.0.0.?"}}

    def kill(self):
        self.cloud.instances["11"].stop()
        self.cloud.endpoint.stop()

    def promote(self):
        self.cloud.writer = "12"


def config(world):
    made = world.config()
    return {**made, "users": [{"name": "app", "password": "app"}],
            "backend": {**made.get("backend", {}), "failover_hold": "90s",
                        "monitor": {"user": "monitor", "password": "monitor", "interval": "%gs" % INTERVAL}}}


def everybody(clients, since):
    servers.wait_until("every client", lambda: all(c.last > since for c in clients), 120)
    return time.monotonic()


def fail_over(world, suimon, readers=48, writers=16, dead=3.0):
    """Seconds: until the loss was noticed, and from when the new primary takes writes to the first and to everybody's; by kind of client
    its statements, errors, and the longest that anybody waited."""
    stop = threading.Event()
    clients = [Client(suimon, i, i < writers, stop) for i in range(readers + writers)]
    for c in clients:
        c.start()
    try:
        everybody(clients, time.monotonic() + 2)
        world.kill()
        killed = time.monotonic()
        servers.wait_until("suimon to notice", lambda: "backend: down" in suimon.log_text(), 60)
        noticed = time.monotonic()
        time.sleep(dead)
        everybody([c for c in clients if not c.writes], time.monotonic())  # reads go on
        world.promote()
        promoted = time.monotonic()
        servers.wait_until("a write", lambda: any(c.last > promoted for c in clients if c.writes), 60, interval=0.002)
        first = time.monotonic()
        last = everybody([c for c in clients if c.writes], promoted)
    finally:
        stop.set()
        for c in clients:
            c.join(120)
    result = {"noticed_s": noticed - killed, "allowed_s": INTERVAL + 1, "to_first_write_s": first - promoted,
              "to_every_writer_s": last - promoted}
    for kind, writes in (("reader", False), ("writer", True)):
        mine = [c for c in clients if c.writes == writes]
        result[kind] = {"clients": len(mine), "statements": sum(c.done for c in mine), "longest_s": max(c.longest for c in mine),
                        "errors": collections.Counter(e[0] for c in mine for e in c.errors)}
    result["wrong"] = [e for c in clients for i, e in enumerate(c.errors) if not c.writes or i > 0 or not is_unknown(e)]
    return result


def is_unknown(e):
    """R3: the statement that was on its way; one a client."""
    return e[0] == LOST and "not known" in e[1]
