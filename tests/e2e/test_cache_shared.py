"""C7: identical reads in flight share one query. Past its time a result is served while one fetches it anew (refresh)."""
import threading

import pytest

from conftest import ask, filled
from servers import sum_metric, wait_until

READ = "SELECT COUNT(*), SUM(n) FROM t"


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 10), (2, 20)")
    return db


def rules(db, **more):
    return {"cache": {"rules": [dict({"match": {"table": "%s.t" % db.name}, "ttl": "600s"}, **more)]}, "replicas": []}


def shared(s):
    return sum_metric(s.metrics(), "suimon_cache_shared_misses_total")


def ready(s, c):
    """The schema is known: something of the table was a hit."""
    filled(s, c, "SELECT n FROM t WHERE id = 2")


class Reader(threading.Thread):
    def __init__(self, s, schema):
        super().__init__()
        self.c = s.connect(database=schema)
        self.seen = self.failed = None
        self.start()

    def run(self):
        try:
            self.seen = ask(self.c, READ)
        except Exception as e:  # judged by the test
            self.failed = e

    def end(self):
        self.join(60)
        self.c.close()
        assert self.failed is None, self.failed
        return self.seen


def served_by_primary(s):
    return sum_metric(s.metrics(), "suimon_queries_total", 'route="primary"')


def test_many_identical_misses_are_one_query(suimon, table):
    s = suimon(rules(table))
    with s.connect(database=table.name) as c:
        ready(s, c)
        with table.direct() as holder:
            ask(holder, "LOCK TABLES t WRITE")  # the query that all wait for takes as long as this
            before = served_by_primary(s)
            readers = [Reader(s, table.name) for _ in range(20)]
            wait_until("19 to wait for one", lambda: shared(s) == 19, 8)
            ask(holder, "UNLOCK TABLES")
        assert [r.end() for r in readers] == [((2, 30),)] * 20
        assert served_by_primary(s) == before + 1


def test_the_leaders_end_is_not_the_others(suimon, table):
    """It is killed on the server while the others wait for it: one of them asks anew."""
    s = suimon(rules(table))
    with s.connect(database=table.name) as c:
        ready(s, c)
        with table.direct() as holder:
            ask(holder, "LOCK TABLES t WRITE")
            leader = Reader(s, table.name)
            wait_until("the leader's query", lambda: running(table), 30)
            readers = [Reader(s, table.name) for _ in range(10)]
            wait_until("10 to wait for one", lambda: shared(s) == 10, 8)
            ask(holder, "UNLOCK TABLES")
            leader.c._force_close()
        assert [r.end() for r in readers] == [((2, 30),)] * 10
        leader.join(30)


def running(table):
    return any("SUM(n)" in (row[7] or "") for row in table.primary("SHOW FULL PROCESSLIST"))


def test_nobody_waits_for_a_read_begun_before_its_own_write(suimon, table):
    """C1: the read that the others wait for began before the write; who has written asks for himself, and sees it."""
    s = suimon(rules(table))
    with s.connect(database=table.name) as c:
        ready(s, c)
        with table.direct() as holder:
            ask(holder, "LOCK TABLES t WRITE")
            leader = Reader(s, table.name)
            wait_until("its query", lambda: running(table), 30)
            waiter = Reader(s, table.name)
            wait_until("the other to wait for it", lambda: shared(s) == 1, 8)
            writer = threading.Thread(target=lambda: ask(c, "UPDATE t SET n = 12 WHERE id = 1"))
            writer.start()
            ask(holder, "UNLOCK TABLES")
            writer.join(60)
        assert ask(c, READ) == ((2, 32),)
        for r in (leader, waiter):
            assert r.end() in (((2, 30),), ((2, 32),))


def test_refresh_serves_the_old_result_while_one_fetches_the_new(suimon, table):
    s = suimon(rules(table, ttl="1s", refresh="300s"))
    with s.connect(database=table.name) as c:
        ready(s, c)
        assert ask(c, READ) == ((2, 30),)
        table.cluster.primary.sql("UPDATE %s.t SET n = 11 WHERE id = 1" % table.name)  # past suimon: only time ends it
        with table.direct() as holder:
            leader = [None]

            def past():
                leader[0] = Reader(s, table.name)
                leader[0].join(0.3)
                return leader[0].is_alive() or leader[0].end() != ((2, 30),)
            ask(holder, "LOCK TABLES t WRITE")
            wait_until("one to fetch it anew", past, 30, 0.2)
            for _ in range(5):
                assert ask(c, READ) == ((2, 30),)  # at once, while that one waits
            ask(holder, "UNLOCK TABLES")
        assert leader[0].end() == ((2, 31),)
        assert ask(c, READ) == ((2, 31),)
        assert sum_metric(s.metrics(), "suimon_cache_stale_hits_total", 'reason="refresh"') >= 5
