"""P1, P3: an XA transaction keeps its connection from XA START to its end, is named for it, and what is prepared outlives its session."""
import contextlib

import pytest

from conftest import KIND, ask, filled
import servers
from servers import wait_until
from wire import Wire

TABLE = ["CREATE TABLE t (id INT PRIMARY KEY)"]


@pytest.fixture
def table(db):
    db.setup(*TABLE)
    yield db
    for row in db.cluster.primary.sql("XA RECOVER"):
        if str(row[3]).startswith(db.name):
            db.cluster.primary.sql("XA ROLLBACK '%s'" % row[3])


def pinned(s, number):
    return next((c["pinned"] for c in s.api("/api/clients")["clients"] if c["id"] == number), None)


def test_the_same_packets(table, proxy):
    def talk(connection, xid):
        with Wire(connection) as w:
            return [w.query(q.format(xid)) for q in (
                "XA BEGIN '{}'", "INSERT INTO t VALUES (1)", "SELECT * FROM t", "XA START 'other'", "BEGIN", "XA COMMIT '{}'", "XA END '{}'", "SELECT 1", "XA PREPARE '{}'",
                "XA ROLLBACK '{}'", "SELECT * FROM t", "XA START '{}'", "INSERT INTO t VALUES (2)", "XA END '{}'", "XA COMMIT '{}' ONE PHASE", "SELECT * FROM t",
                "DELETE FROM t", "XA COMMIT 'missing'", "XA SOMETHING", "SELECT 5")]
    got = talk(proxy.connect(database=table.name), table.name)
    table.setup("DELETE FROM t")
    assert got == talk(table.direct(), table.name)


def test_it_is_named_while_it_lasts(table, proxy):
    before = proxy.metrics()['suimon_session_pins_total{reason="xa"}']
    with proxy.connect(database=table.name) as c, proxy.connect(database=table.name) as other:
        number = ask(c, "SELECT CONNECTION_ID()")[0][0]
        xid = table.name + "_named"
        for statement in ("XA START '%s'", "INSERT INTO t VALUES (1) -- %s", "XA END '%s'", "XA PREPARE '%s'"):
            ask(c, statement % xid)
            assert pinned(proxy, number) == "xa", statement
            assert ask(other, "SELECT COUNT(*) FROM t") == ((0,),)
        ask(c, "XA COMMIT '%s'" % xid)
        assert pinned(proxy, number) is None
        assert ask(other, "/* suimon: primary */ SELECT COUNT(*) FROM t") == ((1,),)
        if KIND == "mariadb":  # MySQL asks for a privilege
            ask(c, "XA RECOVER")
            assert pinned(proxy, number) is None
    assert proxy.metrics()['suimon_session_pins_total{reason="xa"}'] == before + 1


def recovered(db, xid):
    return xid in [row[3] if isinstance(row[3], str) else row[3].decode() for row in db.cluster.primary.sql("XA RECOVER")]


@pytest.mark.parametrize("end", ["quit", "cut", "reset"])
def test_what_is_prepared_outlives_its_session(table, proxy, end):
    xid = "%s_%s" % (table.name, end)
    with contextlib.ExitStack() as stack:
        c = proxy.connect(database=table.name)
        for statement in ("XA START '%s'", "INSERT INTO t VALUES (7) -- %s", "XA END '%s'", "XA PREPARE '%s'"):
            ask(c, statement % xid)
        if end == "quit":
            c.close()
        elif end == "cut":
            c._force_close()
        else:
            stack.callback(c.close)
            with Wire(c) as w:
                w.send(b"\x1f")
                w.packet()
        with proxy.connect(database=table.name) as other:
            def commit():
                ask(other, "XA COMMIT '%s'" % xid)
                return True
            assert recovered(table, xid)
            wait_until("the server to let go of it", commit, 30)
            assert ask(other, "/* suimon: primary */ SELECT * FROM t") == ((7,),)


def test_what_is_not_prepared_is_rolled_back_with_its_session(table, proxy):
    xid = table.name + "_active"
    c = proxy.connect(database=table.name)
    ask(c, "XA START '%s'" % xid)
    ask(c, "INSERT INTO t VALUES (8)")
    c.close()
    with proxy.connect(database=table.name) as other:
        def free():
            ask(other, "XA START '%s'" % xid)
            return True
        wait_until("the name to be free again", free, 30)
        assert ask(other, "SELECT * FROM t") == ()
        ask(other, "XA END '%s'" % xid)
        ask(other, "XA ROLLBACK '%s'" % xid)


def test_its_commit_is_seen_by_the_cache(table, suimon):
    s = suimon({"cache": {"rules": [{"match": {"table": table.name + ".t"}, "ttl": "1h"}]}})
    xid = table.name + "_cache"
    with s.connect(database=table.name) as c, s.connect(database=table.name) as other:
        for statement in ("XA START '%s'", "INSERT INTO t VALUES (1) -- %s", "XA END '%s'", "XA PREPARE '%s'"):
            ask(c, statement % xid)
            assert ask(other, "SELECT * FROM t") == ()
        ask(c, "XA COMMIT '%s'" % xid)
        assert ask(other, "SELECT * FROM t") == ((1,),)


@pytest.mark.parametrize("who", ["another session", "another instance", "past suimon"])
def test_its_commit_by_another_is_seen_by_the_cache(table, suimon, cluster, tmp_path, who):
    """What was prepared elsewhere may have written anything: whoever commits it ends all that is stored."""
    redis = servers.Redis(str(tmp_path))
    redis.start()
    try:
        config = {"replicas": [], "cache": {"redis": redis.url, "rules": [{"match": {"table": table.name + ".t"}, "ttl": "1h"}]}}
        s = suimon(config)
        before = suimon(config) if who == "another instance" else s
        with s.connect(database=table.name) as reader, s.connect(database=table.name) as ends:
            for n, end in enumerate(("COMMIT", "ROLLBACK", "COMMIT")):
                xid = "%s_%d" % (table.name, n)
                c = table.direct() if who == "past suimon" else before.connect(database=table.name)
                for statement in ("XA START '%s'", "INSERT INTO t VALUES (%d) -- %%s" % n, "XA END '%s'", "XA PREPARE '%s'"):
                    ask(c, statement % xid)
                c.close()
                filled(s, reader, "SELECT COUNT(*) FROM t")
                was = ask(reader, "SELECT COUNT(*) FROM t")[0][0]
                wait_until("the name to be free", lambda: ask(ends, "XA %s '%s'" % (end, xid)) == (), 30)
                assert ask(reader, "SELECT COUNT(*) FROM t") == ((was + (end == "COMMIT"),),)
    finally:
        redis.stop()


def test_auto_is_null_asks_for_the_last_insert_id(db, proxy):
    db.setup("CREATE TABLE n (id INT PRIMARY KEY AUTO_INCREMENT, v INT)")

    def talk(connection, noise):
        answers = []
        with connection as c:
            ask(c, "SET sql_auto_is_null = 0")
            number = ask(c, "SELECT CONNECTION_ID()")[0][0]
            if noise is not None:
                assert pinned(proxy, number) is None
            ask(c, "SET sql_auto_is_null = 1")
            for n in range(3):
                ask(c, "INSERT INTO n (v) VALUES (%d)" % n)
                if noise is not None:
                    ask(noise, "INSERT INTO n (v) VALUES (100)")
                answers.append(ask(c, "SELECT v FROM n WHERE id IS NULL"))
        return answers
    with proxy.connect(database=db.name) as noise:
        assert talk(proxy.connect(database=db.name), noise) == talk(db.direct(), None) == [((0,),), ((1,),), ((2,),)]
