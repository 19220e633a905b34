"""C1, C2, R4, F1: cache.binlog when the primary changes, when its log is purged, and when nobody is there."""
import threading
import time

import pytest

from conftest import KIND, MAKE, address, ask, filled, is_hit
from relay import Relay
import servers
from servers import wait_until

BY_ID = "SELECT n FROM t WHERE id = %d"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    server = MAKE(str(tmp_path_factory.mktemp("template")), "template", 0)
    server.install()
    return server


@pytest.fixture
def two(tmp_path, template):
    members = servers.family(str(tmp_path), ("first", "second"), ["shop"], template, make=MAKE)
    members[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.t VALUES (1, 0), (2, 0)")
    members[1].catch_up(members[0])
    yield members
    for m in members:
        if m.process.alive():
            m.process.kill()


def start(suimon, cluster, members, address=None, **cache):
    base = cluster.config()
    base["primary"] = address or "127.0.0.1:%d" % members[0].port
    base["backend"]["tls"] = {"mode": "disabled" if address else "preferred"}
    base["replicas"] = ["127.0.0.1:%d" % m.port for m in members[1:]]
    base["cache"] = dict({"binlog": True, "rules": [{"match": {"schema": "shop"}, "ttl": "600s"}]}, **cache)
    s = suimon(base=base)
    live(s)
    return s


def live(s):
    wait_until("the log to be followed", lambda: s.metrics()["suimon_cache_binlog_live"] == 1, 60)


DUMP = b"\x00\x12" if KIND == "mariadb" else b"\x00\x1e"  # the first packet of a command, COM_BINLOG_DUMP or COM_BINLOG_DUMP_GTID


@pytest.mark.parametrize("stalls", ["at once", "later"])
def test_a_log_that_comes_late_ends_what_is_stored_within_the_bound(suimon, cluster, two, stalls):
    """The connection looks alive and the primary answers questions: three seconds after what was last read up to, results are good no more."""
    first = two[0]
    relay = Relay(first.port)
    dumps, stalled = set(), threading.Event()

    def hold(link, direction, data):
        if direction == "up":
            (dumps.add if data[3:5] == DUMP else dumps.discard)(link)
        while direction == "down" and link in dumps and stalled.is_set():
            time.sleep(0.01)

    relay.cut_at = hold
    s = start(suimon, cluster, two[:1], address=relay.address)
    try:
        with s.connect(database="shop") as c:
            filled(s, c, BY_ID % 1, BY_ID % 2)
            stalled.set()
            if stalls == "later":
                wait_until("the end of the lease", lambda: s.metrics()["suimon_cache_binlog_live"] == 0, 60)
                assert not is_hit(s, c, BY_ID % 2)
            first.sql("UPDATE shop.t SET n = 1 WHERE id = 1")
            written = time.monotonic()
            wait_until("the write to be seen", lambda: ask(c, BY_ID % 1) == ((1,),), 60)
            assert s.metrics()["suimon_cache_binlog_live"] == 0 and time.monotonic() - written < 10
            stalled.clear()
            live(s)
            assert is_hit(s, c, BY_ID % 2) and ask(c, BY_ID % 1) == ((1,),)
            assert s.metrics()["suimon_cache_binlog_gaps_total"] == 0
    finally:
        stalled.clear()
        relay.close()


ROWS = (23, 24, 25, 30, 31, 32)  # WRITE, UPDATE and DELETE_ROWS_EVENT of both forms


def with_wrong_rows(data, what):
    """The first change of rows in these packets is about a table that nobody has described, or has a number of columns that cannot be.
    None: there is no such change."""
    at = 0
    while at + 24 <= len(data):
        kind = data[at + 9]  # behind the packet's header, its first byte and the event's time
        if kind in ROWS:
            wrong = at + 24 + (0 if what == "table" else 8 if kind < 30 else 10)
            return data[:wrong] + b"\xff" + data[wrong + 1:]
        at += 4 + int.from_bytes(data[at:at + 3], "little")
    return None


@pytest.mark.parametrize("checksum, what", [("NONE", "table"), ("NONE", "columns"), ("CRC32", "columns")])
def test_an_event_that_cannot_be_read(suimon, cluster, two, checksum, what):
    """Without a checksum it may have been about anything, or any row of its table; with one it is none, and is asked for again."""
    first = two[0]
    first.sql("SET GLOBAL binlog_checksum = " + checksum, "CREATE TABLE shop.u (n INT)")
    relay = Relay(first.port)
    dumps, spoil = set(), threading.Event()

    def alter(link, direction, data):
        if direction == "up":
            (dumps.add if data[3:5] == DUMP else dumps.discard)(link)
        wrong = with_wrong_rows(data, what) if direction == "down" and link in dumps and spoil.is_set() else None
        if wrong:
            spoil.clear()
        return wrong or data

    relay.alter = alter
    s = start(suimon, cluster, two[:1], address=relay.address)
    try:
        with s.connect(database="shop") as c:
            for n in (1, 2):
                filled(s, c, BY_ID % 1, BY_ID % 2, "SELECT n FROM u")
                spoil.set()
                first.sql("UPDATE shop.t SET n = %d WHERE id = 1" % n)
                wait_until("the write to be seen", lambda: ask(c, BY_ID % 1) == ((n,),), 30)
                assert not spoil.is_set()
                live(s)
                assert [is_hit(s, c, read) for read in (BY_ID % 2, "SELECT n FROM u")] == [checksum == "CRC32", what != "table"]
            m = s.metrics()
        assert m["suimon_cache_binlog_gaps_total"] == 0 and m["suimon_cache_binlog_unreadable_total"] == (2 if what == "table" else 0)
        assert m["suimon_cache_binlog_errors_total"] > 0 or checksum == "NONE"
    finally:
        relay.close()


def test_a_primary_without_a_log_is_told(suimon, cluster, tmp_path, template):
    alone = MAKE(str(tmp_path), "alone", 1, ["--skip-log-bin"] + ([] if KIND == "mariadb" else ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]))
    alone.install(template)
    alone.start()
    try:
        alone.sql(*alone.accounts, "CREATE DATABASE shop", *servers.grants("shop"), "CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.t VALUES (1, 0)")
        base = dict(cluster.config(), primary=address(alone), replicas=[])
        s = suimon({"cache": {"binlog": True, "rules": [{"match": {"schema": "shop"}, "ttl": "600s"}]}}, base=base)
        with s.connect(database="shop") as c:
            wait_until("the trouble to be told", lambda: "the server writes none (log_bin)" in s.log_text(), 60)
            for n in range(1, 4):
                alone.sql("UPDATE shop.t SET n = %d" % n)
                assert ask(c, BY_ID % 1) == ((n,),)
        m = s.metrics()
        assert m["suimon_cache_binlog_live"] == 0 and m["suimon_cache_binlog_errors_total"] > 0
        assert servers.sum_metric(m, "suimon_cache_hits_total") == 0
    finally:
        alone.stop()


PURGE = ["FLUSH BINARY LOGS", "PURGE BINARY LOGS TO 'binlog.000002'"]


@pytest.mark.parametrize("lose", [PURGE, ["RESET MASTER" if KIND == "mariadb" else "RESET BINARY LOGS AND GTIDS"]], ids=["purged", "reset"])
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
        second.promote()
        second.sql("UPDATE shop.t SET n = 2 WHERE id = 1")
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
        second.replication("STOP SLAVE IO_THREAD")
        for _ in range(9):
            ask(c, "UPDATE t SET n = n + 1")
        first.process.kill()
        second.promote()
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
