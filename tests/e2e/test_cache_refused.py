"""C2, C4: a result that may not be stored is served, again and again from a server, and counted by why: in the metrics, by table and by rule."""
import pymysql
import pytest

from conftest import ISOLATION, Background, ask, filled, hits
from servers import sum_metric, wait_until
from test_dirty_reads import globally

READ = "SELECT n FROM t WHERE id = 1"


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT, v VARCHAR(50))", "INSERT INTO t VALUES (1, 0, 'one'), (2, 0, 'two')",
             "CREATE TABLE u (id INT PRIMARY KEY, n INT)", "INSERT INTO u VALUES (1, 0)")
    return db


def rules(db, **more):
    return {"cache": dict({"rules": [{"match": {"schema": db.name}, "ttl": "1h"}]}, **more)}


def refused(s, reason):
    """By the metrics, the API as a whole, and its only rule; they are one."""
    state = s.api("/api/cache")
    count = sum_metric(s.metrics(), "suimon_cache_refused_total", 'reason="%s"' % reason)
    assert count == state["refused"][reason] == state["rules"][0]["refused"][reason]
    return count


def counted(s, reason, n):
    """A moment after the answer has left."""
    wait_until("it to be counted", lambda: refused(s, reason) == n, 30)


def of_table(s, name, reason):
    return [r["refused"][reason] for r in s.api("/api/cache")["tables"] if r["table"] == name]


def a_warning(s, db, c):
    return lambda: ask(c, "SELECT CAST(v AS SIGNED) FROM t WHERE id = 1")


def an_error(s, db, c):
    def fails():
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "SELECT (SELECT id FROM t) FROM t")
        assert e.value.args[0] == 1242
    return fails


@pytest.mark.parametrize("reason, read", [("warnings", a_warning), ("error", an_error)])
def test_by_what_the_server_says(suimon, table, reason, read):
    s = suimon(dict(rules(table), replicas=[]))
    with s.connect(database=table.name) as c, s.connect(database=table.name) as other:
        filled(s, other, "SELECT v FROM t WHERE id = 2")
        once = read(s, table, c)
        before, served, listed = refused(s, reason), hits(s), of_table(s, table.name + ".t", reason)[0]
        for _ in range(3):
            once()
        counted(s, reason, before + 3)
        assert of_table(s, table.name + ".t", reason) == [listed + 3] and hits(s) == served


def test_what_others_may_never_commit(suimon, table, cluster):
    """On a server whose sessions begin so. (A session that says so itself leaves the cache alone.)"""
    with globally(cluster.primary, "READ UNCOMMITTED"):
        s = suimon(dict(rules(table), replicas=[]))
        with s.connect(database=table.name) as c:
            before = refused(s, "status")
            wait_until("the schema to be read", lambda: ask(c, READ) and refused(s, "status") > before, 30)
            assert hits(s) == 0 == sum_metric(s.metrics(), "suimon_cache_fills_total")
            before = refused(s, "status")
            ask(c, "SET SESSION %s = 'READ-UNCOMMITTED'" % ISOLATION)
            ask(c, READ)
            assert hits(s) == 0 and refused(s, "status") == before


def test_a_write_overtakes_the_read(suimon, table):
    """The read waits for t, and has begun before the write to u."""
    s = suimon(dict(rules(table), replicas=[]))
    read = "SELECT t.n, u.n FROM t JOIN u USING (id)"
    with s.connect(database=table.name) as c, s.connect(database=table.name) as writer, table.direct() as holder:
        filled(s, writer, READ)
        ask(holder, "LOCK TABLES t WRITE")
        late = Background(c, read)
        wait_until("it to be at the server", lambda: [r for r in table.primary("SHOW FULL PROCESSLIST") if r[7] == read], 30)
        before = refused(s, "version")
        ask(writer, "UPDATE u SET n = 5")
        ask(holder, "UNLOCK TABLES")
        assert late.outcome() in (((0, 0),), ((0, 5),))
        counted(s, "version", before + 1)
        assert of_table(s, table.name + ".u", "version") == [1]
        assert ask(writer, read) == ((0, 5),)


def test_redis_is_not_there(suimon, table):
    s = suimon(dict(rules(table, redis="redis://127.0.0.1:1/0"), replicas=[]))
    with s.connect(database=table.name) as c:
        for n in range(3):
            assert ask(c, READ) == ((0,),)
    counted(s, "bus", 3)
    assert s.metrics()["suimon_cache_bus_live"] == 0
    assert s.log_text().count("the invalidation bus is down") == 1
