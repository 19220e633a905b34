"""Writes that are not what they seem: that end after nobody listens any more (C1), that hide behind a view (C5), that are waited for (Q3)."""
import threading
import time

import pymysql
import pytest

from conftest import KIND, ask, filled, is_hit, is_queued, mariadb_only
from servers import wait_until

MULTI_STATEMENTS = pymysql.constants.CLIENT.MULTI_STATEMENTS

READ = "SELECT n FROM t WHERE id = 1"


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0), (2, 0)",
             "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "CREATE TABLE u (id INT)",
             "CREATE FUNCTION bump() RETURNS INT BEGIN UPDATE t SET n = n + 1 WHERE id = 1; RETURN 1; END",
             "CREATE VIEW bumps AS SELECT bump() AS x")
    return db


def rules(db, **more):
    return dict({"cache": {"rules": [{"match": {"table": "%s.t" % db.name}, "ttl": "600s"}]}}, **more)


def test_a_write_that_ends_after_its_client_has_gone(suimon, table):
    """The client gives up in mid-statement; the server goes on. What was read meanwhile does not stay."""
    s = suimon(rules(table))
    with s.connect(database=table.name) as reader:
        filled(s, reader, READ)
        with table.direct() as holder:
            holder.begin()
            ask(holder, "UPDATE t SET n = 1 WHERE id = 2")
            writer = s.connect(database=table.name)
            writer._read_timeout = 1
            with pytest.raises(pymysql.MySQLError):
                ask(writer, "UPDATE t SET n = 50 WHERE id IN (1, 2)")  # waits for the row
            filled(s, reader, READ)
            holder.rollback()
        wait_until("the late write", lambda: table.primary(READ) == ((50,),), 30)
        wait_until("the cache to forget what was before it", lambda: ask(reader, READ) == ((50,),), 30)
    assert s.metrics()["suimon_cache_doubts_total"] > 0


@mariadb_only("MySQL's INSERT DELAYED is a plain one")
@pytest.mark.parametrize("write", ["INSERT DELAYED INTO isam VALUES (2)", "DO 1; INSERT DELAYED INTO isam VALUES (2)", "REPLACE DELAYED isam VALUES (2)",
                                   "EXECUTE IMMEDIATE 'INSERT DELAYED INTO isam VALUES (2)'", "PREPARE p FROM 'INSERT DELAYED INTO isam VALUES (2)'; EXECUTE p", "EXECUTE p"])
def test_a_write_that_is_answered_before_it_is_done(suimon, table, write):
    table.setup("CREATE TABLE isam (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO isam VALUES (1)")
    read, row = "SELECT COUNT(*) FROM isam", "SELECT id FROM isam WHERE id = 2"
    s = suimon({"cache": {"rules": [{"match": {"schema": table.name}, "ttl": "600s"}]}})
    primary = table.cluster.primary
    primary.sql("SET GLOBAL low_priority_updates = 1")  # who reads goes before the row
    try:
        with s.connect(database=table.name, client_flag=MULTI_STATEMENTS) as c, s.connect(database=table.name) as reader, table.direct() as holder:
            if write == "EXECUTE p":
                ask(c, "PREPARE p FROM 'INSERT DELAYED INTO isam VALUES (2)'")
            filled(s, reader, read, row)
            ask(holder, "LOCK TABLES isam READ")
            ask(c, write)
            assert ask(reader, read) == ((1,),), "it has not come yet"
            filled(s, reader, read, row)
            ask(holder, "UNLOCK TABLES")
            wait_until("the row", lambda: table.primary(read) == ((2,),), 30)
            wait_until("the cache to forget what was before it", lambda: (ask(reader, read), ask(reader, row)) == (((2,),), ((2,),)), 30)
    finally:
        primary.sql("SET GLOBAL low_priority_updates = 0")


@mariadb_only("MySQL's INSERT DELAYED is a plain one")
def test_many_such_writes_cost_no_other_table_its_results(suimon, table):
    """F3: as many as anybody likes, and what is kept of them is bounded."""
    table.setup("CREATE TABLE isam (id INT) ENGINE=MyISAM")
    s = suimon(rules(table, threads=1))
    with s.connect(database=table.name) as c:
        for n in range(300):
            ask(c, "INSERT DELAYED INTO isam VALUES (%d)" % n)
        filled(s, c, READ)
        time.sleep(2.5)  # in which what is invalidated again is so twice
        assert s.metrics()["suimon_cache_doubts_total"] > 1
        assert is_hit(s, c, READ)


@pytest.mark.parametrize("write", ["INSERT INTO mine SELECT x FROM bumps",
                                   *["CREATE TEMPORARY TABLE more AS SELECT x FROM bumps"] * (KIND == "mariadb")])  # error 1746 of MySQL
def test_a_temporary_table_does_not_hide_what_a_view_writes(suimon, table, write):
    s = suimon(rules(table))
    with s.connect(database=table.name) as c, s.connect(database=table.name) as reader:
        ask(c, "CREATE TEMPORARY TABLE mine (x INT)")
        for n in (1, 2):
            filled(s, reader, READ)
            ask(c, write if n == 1 else "INSERT INTO mine SELECT x FROM bumps")
            assert ask(reader, READ) == ((n,),)


@pytest.mark.parametrize("begin", [["START TRANSACTION WITH CONSISTENT SNAPSHOT"], ["BEGIN", "SELECT COUNT(*) FROM t"],
                                   ["SET autocommit = 0", "SELECT COUNT(*) FROM t"]])
def test_a_snapshot_holds_the_sessions_own_queued_writes(suimon, table, begin):
    s = suimon(rules(table, queue={"rules": [{"match": {"table": "%s.log" % table.name, "verb": "insert"}}]}))
    with s.connect(database=table.name) as c:
        def queued():
            ask(c, "INSERT INTO log (v) VALUES (0)")
            return s.api("/api/queue")["enqueued"] > 0
        wait_until("a queued write", queued, 10)
        wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 20)
        before = table.primary("SELECT COUNT(*) FROM log")[0][0]
        with table.cluster.primary.root(database=table.name) as blocker, blocker.cursor() as cur:
            cur.execute("LOCK TABLES log READ")  # the drain waits
            ask(c, "INSERT INTO log (v) VALUES (1)")
            timer = threading.Timer(0.5, lambda: cur.execute("UNLOCK TABLES"))
            timer.start()
            for sql in begin:
                ask(c, sql)
            timer.join()
            assert ask(c, "SELECT COUNT(*) FROM log") == ((before + 1,),)
        ask(c, "COMMIT")


@mariadb_only("MySQL keeps tables without transactions out of transactions with GTIDs")
def test_a_write_behind_one_that_was_answered_and_with_an_error_has_no_known_position(suimon, table):
    """C2: a replica that has the first, but not what the second did before it failed, is not believed."""
    table.setup("CREATE TABLE isam (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO isam VALUES (1)")
    # There a lock lets others read while a write waits for it.
    table.cluster.replica.sql("SET sql_log_bin = 0", "ALTER TABLE `%s`.isam ENGINE=InnoDB" % table.name)
    read = "SELECT COUNT(*) FROM isam"
    s = suimon({"cache": {"rules": [{"match": {"schema": table.name}, "ttl": "600s"}]}})
    with s.connect(database=table.name, client_flag=MULTI_STATEMENTS) as c, s.connect(database=table.name) as reader:
        filled(s, reader, read)
        with table.cluster.replica.root(database=table.name) as holder, holder.cursor() as held:
            held.execute("LOCK TABLES isam READ")
            with c.cursor() as cur, pytest.raises(pymysql.err.IntegrityError):
                cur.execute("INSERT INTO u VALUES (1); INSERT INTO isam VALUES (2), (1)")
                cur.nextset()
            wait_until("the first at the replica", lambda: table.replica("SELECT COUNT(*) FROM u") == ((1,),), 10)
            for _ in range(10):
                ask(reader, read)
            held.execute("UNLOCK TABLES")
        table.cluster.sync()
        assert ask(reader, read) == table.primary(read) == ((2,),)


def test_a_batch_of_too_many_tables_is_awaited_of_replicas(suimon, table):
    """C2: everything is invalidated then, and a replica that lags is not believed."""
    logs = ["log"] + ["log%d" % n for n in range(40)]
    table.setup(*["CREATE TABLE %s LIKE log" % name for name in logs[1:]])
    read = "SELECT COUNT(*) FROM log"
    s = suimon({"cache": {"rules": [{"match": {"schema": table.name}, "ttl": "600s"}]}, "routing": {"consistency": "eventual"},
                "queue": {"rules": [{"match": {"schema": table.name, "verb": "insert"}}]}})
    with s.connect(database=table.name) as c, s.connect(database=table.name) as reader:
        for name in logs:
            wait_until("a queued write", lambda: is_queued(s, c, "INSERT INTO %s (v) VALUES (0)" % name), 10)
        wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 20)
        table.cluster.sync()
        before = table.primary(read)[0][0]
        s.http("/api/queue/pause", data={})
        assert all([is_queued(s, c, "INSERT INTO %s (v) VALUES (0)" % name) for name in logs])
        filled(s, reader, read)
        time.sleep(5.2)  # max_lag: what was invalidated till now asks nothing of replicas any more
        with table.cluster.replica.root(database=table.name) as locker, locker.cursor() as held:
            held.execute("LOCK TABLES log READ")
            s.http("/api/queue/resume", data={})
            wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 20)
            for _ in range(10):
                ask(reader, read)
            held.execute("UNLOCK TABLES")
        table.cluster.sync()
        assert ask(reader, read) == table.primary(read) == ((before + 1,),)
