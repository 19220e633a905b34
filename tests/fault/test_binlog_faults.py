"""C1, C2, R4, F1: cache.binlog when the primary changes, when its log is purged, and when nobody is there."""
import pytest

from conftest import ask, filled, is_hit
import servers
from servers import wait_until

BY_ID = "SELECT n FROM t WHERE id = %d"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    server = servers.MariaDB(str(tmp_path_factory.mktemp("template")), "template", 0)
    server.install()
    return server


@pytest.fixture
def two(tmp_path, template):
    members = servers.family(str(tmp_path), ("first", "second"), ["shop"], template)
    members[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.t VALUES (1, 0), (2, 0)")
    members[1].catch_up(members[0])
    yield members
    for m in members:
        if m.process.alive():
            m.process.kill()


def start(suimon, cluster, members, **cache):
    base = cluster.config()
    base["primary"] = "127.0.0.1:%d" % members[0].port
    base["replicas"] = ["127.0.0.1:%d" % m.port for m in members[1:]]
    base["cache"] = dict({"binlog": True, "rules": [{"match": {"schema": "shop"}, "ttl": "600s"}]}, **cache)
    s = suimon(base=base)
    live(s)
    return s


def live(s):
    wait_until("the log to be followed", lambda: s.metrics()["suimon_cache_binlog_live"] == 1, 60)


PURGE = ["FLUSH BINARY LOGS", "PURGE BINARY LOGS TO 'binlog.000002'"]


@pytest.mark.parametrize("lose", [PURGE, ["RESET MASTER"]], ids=["purged", "reset"])
def test_a_log_that_is_gone_ends_everything_stored(suimon, cluster, two, lose):
    first = two[0]
    s = start(suimon, cluster, two[:1])
    with s.connect(database="shop") as c:
        for _ in range(9):  # of numbers that there will be again
            ask(c, "UPDATE t SET n = n + 1")
        ask(c, "UPDATE t SET n = 0")
        filled(s, c, BY_ID % 1)
        first.sql("SET SESSION sql_log_bin = 0", "REVOKE REPLICATION SLAVE ON *.* FROM monitor@'%'")
        for row in first.sql("SHOW PROCESSLIST"):
            if row[4].startswith("Binlog Dump") and row[1] == "monitor":
                first.sql("KILL %d" % row[0])
        wait_until("the end of the lease", lambda: s.metrics()["suimon_cache_binlog_live"] == 0, 60)
        first.sql("UPDATE shop.t SET n = 1 WHERE id = 1", *lose)
        if lose is PURGE:
            wait_until("the log to be gone", lambda: (first.sql(*lose), first.sql("SHOW BINARY LOGS")[0][0] != "binlog.000001")[1], 30)
        first.sql("SET SESSION sql_log_bin = 0", "GRANT REPLICATION SLAVE ON *.* TO monitor@'%'")
        live(s)
        assert s.metrics()["suimon_cache_binlog_gaps_total"] >= 1
        assert ask(c, BY_ID % 1) == ((1,),)
        filled(s, c, BY_ID % 1)
        first.sql("UPDATE shop.t SET n = 2 WHERE id = 1")
        wait_until("the write to be seen", lambda: ask(c, BY_ID % 1) == ((2,),), 30)


def test_after_a_failover_it_goes_on(suimon, cluster, two):
    first, second = two
    s = start(suimon, cluster, two)
    with s.connect(database="shop") as c:
        filled(s, c, BY_ID % 1)
        first.sql("UPDATE shop.t SET n = 1 WHERE id = 1")
        second.catch_up(first)
        first.process.kill()
        second.sql("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF", "UPDATE shop.t SET n = 2 WHERE id = 1")
        wait_until("the new primary", lambda: ask(c, "SELECT @@port") == ((second.port,),), 60)
        wait_until("the write to be seen", lambda: ask(c, BY_ID % 1) == ((2,),), 60)
        live(s)
        filled(s, c, BY_ID % 1, BY_ID % 2)
        second.sql("UPDATE shop.t SET n = 3 WHERE id = 1")
        wait_until("the write to be seen", lambda: ask(c, BY_ID % 1) == ((3,),), 30)
        assert is_hit(s, c, BY_ID % 2)
        assert s.metrics()["suimon_cache_binlog_gaps_total"] == 0


def test_after_a_failover_that_loses_writes_their_numbers_are_others(suimon, cluster, two):
    """What the former primary had acknowledged is gone, and what is written past suimon on the new one bears its numbers."""
    first, second = two
    s = start(suimon, cluster, two)
    with s.connect(database="shop") as c:
        second.sql("STOP SLAVE IO_THREAD")
        for _ in range(9):
            ask(c, "UPDATE t SET n = n + 1")
        first.process.kill()
        second.sql("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF")
        wait_until("the new primary", lambda: ask(c, "SELECT @@port") == ((second.port,),), 60)
        live(s)
        for n in (1, 2, 3):
            filled(s, c, BY_ID % 1)
            second.sql("UPDATE shop.t SET n = %d WHERE id = 1" % n)
            wait_until("the write to be seen", lambda: ask(c, BY_ID % 1) == ((n,),), 30)


def test_past_their_time_while_nobody_is_there(suimon, cluster, two):
    first = two[0]
    s = start(suimon, cluster, two[:1], stale_if_error="600s")
    with s.connect(database="shop") as c:
        filled(s, c, BY_ID % 1)
        first.process.kill()
        wait_until("the end of the lease", lambda: s.metrics()["suimon_cache_binlog_live"] == 0, 60)
        wait_until("a result past its time", lambda: ask(c, BY_ID % 1) == ((0,),), 30)
        assert s.metrics()['suimon_cache_stale_hits_total{reason="error"}'] > 0
