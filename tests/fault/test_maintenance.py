"""F1, Q1, Q2: the primary is stopped for maintenance under load. Not one queued write fails, cached and replica reads go on,
and all is applied afterwards. SUIMON_MAINTENANCE_SECONDS says for how long (10)."""
import os
import threading
import time

import pymysql
import pytest

from conftest import MAKE, ask, filled, is_queued
import servers
from servers import wait_until

SECONDS = float(os.environ.get("SUIMON_MAINTENANCE_SECONDS", "10"))


@pytest.fixture
def own(tmp_path):
    primary, replica = servers.pair(str(tmp_path), ["shop"], make=MAKE)
    primary.sql("CREATE TABLE shop.log (id INT PRIMARY KEY AUTO_INCREMENT, writer INT NOT NULL, n INT NOT NULL)",
                "CREATE TABLE shop.products (id INT PRIMARY KEY, name VARCHAR(20))", "INSERT INTO shop.products VALUES (1, 'one'), (2, 'two')",
                "CREATE TABLE shop.pages (id INT PRIMARY KEY, text VARCHAR(20))", "INSERT INTO shop.pages VALUES (1, 'page')")
    replica.catch_up(primary)
    yield primary, replica
    replica.stop()
    primary.stop()


class Load:
    """Threads that do one thing again and again until they are told to stop."""

    def __init__(self, s):
        self.s, self.stop, self.threads, self.failed, self.done = s, threading.Event(), [], [], {}

    def run(self, name, do):
        def loop():
            with self.s.connect(database="shop") as c:
                n = 0
                while not self.stop.is_set():
                    try:
                        do(c, n)
                    except (pymysql.MySQLError, AssertionError) as e:
                        self.failed.append((name, n, e))
                        return
                    n += 1
                    self.done[name] = n
                    time.sleep(0.002)
        self.threads.append(threading.Thread(target=loop))
        self.threads[-1].start()

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(60)


def test_a_primary_stopped_for_maintenance(cluster, own, suimon):
    primary, replica = own
    base = cluster.config()
    base.update(primary="127.0.0.1:%d" % primary.port, replicas=["127.0.0.1:%d" % replica.port])
    base["cache"] = {"rules": [{"match": {"table": "shop.products"}, "ttl": "600s"}]}
    base["queue"] = {"drain": {"workers": 2}, "rules": [{"match": {"table": "shop.log", "verb": "insert"}, "order": "writer"}]}
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        wait_until("a queued insert", lambda: is_queued(s, c, "INSERT INTO log (writer, n) VALUES (-1, 0)"), 30)
        filled(s, c, "SELECT name FROM products WHERE id = 1")

    load = Load(s)

    def write(w):
        return lambda c, n: ask(c, "INSERT INTO log (writer, n) VALUES (%d, %d)" % (w, n))

    def read(sql, expect):
        def do(c, n):
            assert ask(c, sql) == expect
        return do
    try:
        for w in range(1, 5):
            load.run("writer %d" % w, write(w))
        load.run("cached", read("SELECT name FROM products WHERE id = 1", (("one",),)))
        load.run("replica", read("SELECT text FROM pages WHERE id = 1", (("page",),)))
        # A while: each worker has a shape of write accepted by the primary, anew when the schema has just been read differently.
        wait_until("the load to run", lambda: (len(load.done) == 6 and min(load.done.values()) > 200) or load.failed, 60)
        primary.stop()
        stopped, begun = time.monotonic(), dict(load.done)
        while time.monotonic() < stopped + SECONDS and not load.failed:
            time.sleep(0.1)
        meanwhile = {name: load.done[name] - begun[name] for name in begun}
        assert not load.failed, load.failed
        primary.start()
        wait_until("applying to go on", lambda: s.api("/api/queue")["state"] == "running", 60)
    finally:
        load.end()
    assert not load.failed, load.failed
    assert all(n > 20 for n in meanwhile.values()), meanwhile  # none of them stood still
    wait_until("the queue to drain", lambda: s.api("/api/queue")["depth"] == 0, 60)
    for w in range(1, 5):
        found = [r[0] for r in primary.sql("SELECT n FROM shop.log WHERE writer = %d ORDER BY id" % w)]
        assert found == list(range(load.done["writer %d" % w]))
