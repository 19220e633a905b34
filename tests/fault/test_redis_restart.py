"""F1, C1: Redis goes, comes back empty, and goes again, under readers and writers; no read is ever stale."""
import signal
import threading

import pymysql

from conftest import MAKE, address, ask, filled, is_hit, numbers
from relay import Relay
from servers import sum_metric, wait_until
import servers


def rules(db, redis):
    return {"cache": {"redis": redis.url, "rules": [{"match": {"table": "%s.t" % db.name}, "ttl": "60s"}]}}


class History:
    """Writers count up rows through one suimon; readers of the same suimon must never see less than was acknowledged."""

    def __init__(self, s, schema):
        self.s, self.schema = s, schema
        self.acknowledged = [0] * 5
        self.wrong, self.reads = [], 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.write)] + [threading.Thread(target=self.read) for _ in range(2)]
        for t in self.threads:
            t.start()

    def write(self):
        with self.s.connect(database=self.schema) as c:
            n = 0
            while not self.stopping.is_set():
                row = n % 5
                ask(c, "UPDATE t SET n = n + 1 WHERE id = %d" % row)
                self.acknowledged[row] += 1
                n += 1
                self.stopping.wait(0.01)

    def read(self):
        try:
            with self.s.connect(database=self.schema) as c:
                n = 0
                while not self.stopping.is_set():
                    row = n % 5
                    least = self.acknowledged[row]
                    seen = ask(c, "SELECT n FROM t WHERE id = %d" % row)[0][0]
                    self.reads += 1
                    if seen < least:
                        self.wrong.append("row %d: %d acknowledged, %d read" % (row, least, seen))
                    n += 1
        except (pymysql.MySQLError, OSError) as e:
            self.wrong.append(repr(e))

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(30)


def test_redis_restarts_under_load(cluster, suimon, db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t SELECT seq, 0 FROM " + numbers(0, 4))
    redis = servers.Redis(cluster.base, db.name)
    redis.start()
    try:
        s = suimon(rules(db, redis))
        history = History(s, db.name)
        for _ in range(3):
            history.stopping.wait(0.7)
            redis.process.kill()
            history.stopping.wait(0.7)
            redis.start_again()
        history.stopping.wait(1.5)
        history.stop()
        assert not history.wrong, history.wrong[:5]
        assert history.reads > 300
        assert s.http("/readyz")[0] == 200
        with s.connect(database=db.name) as c:
            wait_until("the cache to be in use again", lambda: is_hit(s, c, "SELECT n FROM t WHERE id = 1"), 15)
    finally:
        redis.stop()


def test_an_instance_that_cannot_hear_does_not_answer_from_memory_for_long(cluster, suimon, db):
    """C1 across instances: the bus is silent, so what the other writes cannot be heard; memory must not be trusted."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    redis = servers.Redis(cluster.base, db.name + "_bus")
    redis.start()
    try:
        first, second = suimon(rules(db, redis)), suimon(rules(db, redis))
        with first.connect(database=db.name) as a, second.connect(database=db.name) as b:
            for _ in range(5):
                ask(b, "SELECT n FROM t WHERE id = 1")
            redis.process.kill()
            ask(a, "UPDATE t SET n = 1 WHERE id = 1")
            cluster.sync()
            wait_until("the new row through the other", lambda: ask(b, "SELECT n FROM t WHERE id = 1") == ((1,),), 10)
            ask(a, "UPDATE t SET n = 2 WHERE id = 1")
            cluster.sync()
            assert ask(b, "SELECT n FROM t WHERE id = 1") == ((2,),)
    finally:
        redis.stop()


def test_a_machine_that_slept_answers_nothing_that_it_may_have_missed(cluster, suimon, db, shimmed):
    """C1: what others wrote meanwhile lies in front of it, unread; the lease has run out at its first look at the clock."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    redis = servers.Redis(cluster.base, db.name)
    redis.start()
    relay = Relay(redis.port)
    try:
        shimmed("asleep", "0")
        s = suimon({"cache": {"redis": "redis://" + relay.address, "rules": [{"match": {"table": "%s.t" % db.name}, "ttl": "1h"}]}, "replicas": []})
        with s.connect(database=db.name) as c:
            for n in range(1, 4):
                filled(s, c, "SELECT n FROM t WHERE id = 1")
                silences = sum_metric(s.metrics(), "suimon_cache_bus_silences_total")
                relay.held.set()
                with db.direct() as other:
                    ask(other, "UPDATE t SET n = %d" % n)
                shimmed("asleep", str(3600 * n))
                assert ask(c, "SELECT n FROM t WHERE id = 1") == ((n,),)
                wait_until("the silence to be counted", lambda: sum_metric(s.metrics(), "suimon_cache_bus_silences_total") > silences, 30)
                relay.held.clear()
    finally:
        relay.close()
        redis.stop()


def test_the_bus_returns_while_the_primary_hangs(cluster, suimon, tmp_path):
    """C1, R4: after the gap nobody knows what others wrote meanwhile, and the primary cannot be asked; what was acknowledged here is
    known, and a replica that lacks it does not answer."""
    primary, replica = servers.pair(str(tmp_path), ["shop"], make=MAKE)
    redis = servers.Redis(str(tmp_path))
    redis.start()
    base = cluster.config()
    base.update(primary=address(primary), replicas=[address(replica)],
                cache={"redis": redis.url, "rules": [{"match": {"table": "shop.t"}, "ttl": "60s"}]})
    base["backend"].update(failover_hold="60s")
    base["backend"]["monitor"]["max_lag"] = "120s"
    primary.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.t VALUES (1, 0)")
    replica.catch_up(primary)
    try:
        s = suimon(base=base)

        def state(role):
            return [b["state"] for b in servers.listing(s.api("/api/backends")) if b["role"] == role][0]

        def up():
            return sum_metric(s.metrics(), "suimon_cache_redis_up") == 1
        wait_until("the replica and Redis", lambda: state("replica") == "up" and up(), 30)
        with s.connect(database="shop") as reader, s.connect(database="shop") as writer, replica.root() as behind:
            assert ask(reader, "SELECT n FROM t WHERE id = 1") == ((0,),)
            ask(behind, "FLUSH TABLES WITH READ LOCK")
            ask(writer, "UPDATE t SET n = 1 WHERE id = 1")
            primary.process.signal(signal.SIGSTOP)
            try:
                redis.process.kill()
                wait_until("Redis to be missed", lambda: not up(), 30)
                wait_until("the primary to be missed", lambda: state("primary") == "down", 30)
                redis.start_again()
                wait_until("Redis to be back", up, 30)
                got = []
                read = threading.Thread(target=lambda: got.append(ask(reader, "SELECT n FROM t WHERE id = 1")))
                read.start()
                read.join(2)
                assert got in ([], [((1,),)])
            finally:
                primary.process.signal(signal.SIGCONT)
            ask(behind, "UNLOCK TABLES")
            read.join(60)
            assert got == [((1,),)]
    finally:
        redis.stop()
        replica.stop()
        primary.stop()
