"""R1, R2: where a statement runs, and that a session sees what it wrote."""
import pytest

from conftest import address, ask, who
from servers import sum_metric, wait_until
from wire import MULTI_STATEMENTS, NewEof, Wire


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    return db


def test_a_plain_read_runs_on_the_replica(app):
    assert [who(app) for _ in range(5)] == ["replica"] * 5


def test_route_counters_move(app, proxy):
    def counts():
        m = proxy.metrics()
        return [sum_metric(m, "suimon_queries_total", 'route="%s"' % r) for r in ("replica", "primary")]
    before = counts()
    who(app)
    ask(app, "DO 1")
    after = counts()
    assert after[0] > before[0]


def test_a_session_whose_state_lies_on_a_replica_writes_nothing_there(db, suimon):
    """R1. A function behind a view sets a user variable, which the text does not show and the replica reports. Both were made behind suimon's
    back: of what it knows the primary is asked."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY)")
    s = suimon({"threads": 1})
    with s.connect(database=db.name) as c:
        wait_until("the replica to be up", lambda: who(c) == "replica", 10)
    db.setup("CREATE FUNCTION puts() RETURNS INT DETERMINISTIC NO SQL BEGIN SET @x = 5; RETURN 1; END", "CREATE VIEW v AS SELECT puts() AS n")

    def session():
        return NewEof(s.connect(database=db.name, client_flag=NewEof.FLAG))
    with session() as w:
        assert w.ask("SELECT n FROM v") == ["1"]
        for sql in ("INSERT INTO t VALUES (1)", "SELECT id FROM t FOR UPDATE", "CALL nothing()", "SELECT GET_LOCK('x', 0)"):
            assert w.ask(sql) == 1290
        assert w.ask("SELECT id FROM t") == []  # a read may
        assert db.primary("SELECT COUNT(*) FROM t") == db.replica("SELECT COUNT(*) FROM t") == ((0,),)
    with session() as w:  # what left state once runs on the primary from then on
        assert w.ask("SELECT n FROM v") == ["1"]
        assert w.ask("INSERT INTO t VALUES (2)") is None
        assert w.ask("SELECT id FROM t") == ["2"]


@pytest.mark.parametrize("sql", [
    "SELECT name FROM whoami FOR UPDATE", "SELECT name FROM whoami LOCK IN SHARE MODE",
    "/* suimon: primary */ SELECT name FROM whoami", "SELECT name FROM whoami WHERE GET_LOCK('routing', 0) IS NOT NULL",
    "SELECT name FROM whoami WHERE @a IS NULL OR 1", "SELECT name FROM whoami WHERE LAST_INSERT_ID() >= 0",
    "SELECT name FROM whoami WHERE hidden() = 1", "SELECT w.name FROM whoami w, tmp"])
def test_what_only_the_primary_can_answer_runs_there(app, db, sql):
    db.setup("CREATE FUNCTION hidden() RETURNS INT BEGIN UPDATE counter SET n = n + 1; RETURN 1; END",
             "CREATE TABLE counter (n INT)", "INSERT INTO counter VALUES (0)")
    if "tmp" in sql:
        ask(app, "CREATE TEMPORARY TABLE tmp AS SELECT 1")
    assert set(ask(app, sql)) == {("primary",)}


def test_hint_sends_a_read_to_the_replica(suimon, db):
    s = suimon({"routing": {"consistency": "strong"}})
    with s.connect(database=db.name) as c:
        assert who(c) == "primary"
        assert ask(c, "/* suimon: replica */ SELECT name FROM whoami") == (("replica",),)


def test_rules_route_by_what_a_statement_is(suimon, db):
    s = suimon({"routing": {"rules": [{"match": {"table": "%s.whoami" % db.name}, "to": "primary"}]}})
    with s.connect(database=db.name) as c:
        assert who(c) == "primary"


def test_a_session_reads_its_own_write_while_the_replica_is_behind(table, proxy):
    with table.cluster.replica_behind():
        with proxy.connect(database=table.name) as c:
            for n in range(1, 6):
                ask(c, "UPDATE t SET n = %d" % n)
                assert ask(c, "SELECT n FROM t") == ((n,),)
            c.begin()
            ask(c, "UPDATE t SET n = 77")
            c.commit()
            assert ask(c, "SELECT n FROM t") == ((77,),)
            # Another session, which wrote nothing, may be served by the replica meanwhile.
            with proxy.connect(database=table.name) as other:
                assert ask(other, "SELECT n FROM t")[0][0] in (0, 77)
    with proxy.connect(database=table.name) as c:
        assert ask(c, "SELECT n FROM t") == ((77,),)


def test_reads_go_back_to_the_replica_once_it_has_the_write(table, proxy):
    with proxy.connect(database=table.name) as c:
        ask(c, "UPDATE t SET n = 5")
        table.cluster.sync()
        assert ask(c, "SELECT n FROM t") == ((5,),)
        wait_until("a read on the replica", lambda: who(c) == "replica", 10)  # on a busy machine one may not wait for it for long enough


def test_prepared_and_multi_statement_writes_count_as_the_sessions(table, proxy):
    with table.cluster.replica_behind():
        with Wire(proxy.connect(database=table.name, client_flag=MULTI_STATEMENTS)) as w:
            w.prepare("UPDATE t SET n = ?").execute((41,))
            assert b"\x0241" in w.query("SELECT n FROM t")
            w.query("SELECT 1; UPDATE t SET n = 42")
            assert b"\x0242" in w.query("SELECT n FROM t")


def test_strong_consistency_reads_on_the_primary(suimon, db):
    s = suimon({"routing": {"consistency": "strong"}})
    with s.connect(database=db.name) as c:
        assert who(c) == "primary"


def test_eventual_consistency_does_not_wait(suimon, table):
    s = suimon({"routing": {"consistency": "eventual"}})
    with table.cluster.replica_behind():
        with s.connect(database=table.name) as c:
            ask(c, "UPDATE t SET n = 3")
            assert ask(c, "SELECT n FROM t") == ((0,),)


def test_without_replicas_everything_runs_on_the_primary(suimon, db):
    s = suimon({"replicas": []})
    with s.connect(database=db.name) as c:
        assert who(c) == "primary"


def test_a_disabled_replica_gets_no_reads(suimon, cluster, db):
    s = suimon()
    name = "127.0.0.1:%d" % cluster.replica.port
    assert s.http("/api/backends/%s/disable" % name, method="POST", data={})[0] == 200
    with s.connect(database=db.name) as c:
        assert who(c) == "primary"
        assert s.http("/api/backends/%s/enable" % name, method="POST", data={})[0] == 200
        wait_until("the monitor to have looked at it again", lambda: who(c) == "replica", 5)


def test_a_read_in_an_open_transaction_with_autocommit_off_ends_with_it(table, proxy):
    """SET autocommit=0 and a SELECT open a transaction: it must not be left behind on the replica."""
    with proxy.connect(database=table.name, autocommit=False) as c:
        first = ask(c, "SELECT n FROM t")
        table.setup("UPDATE t SET n = n + 1")
        assert ask(c, "SELECT n FROM t") == first
        c.commit()
        assert ask(c, "SELECT n FROM t")[0][0] == first[0][0] + 1
        c.rollback()


def test_a_server_that_goes_up_and_down_does_not_fill_the_log(cluster, suimon):
    """F1: the first changes are told, and that more follow."""
    s = suimon()
    name = address(cluster.replica)
    for _ in range(10):
        for what in ("disable", "enable"):
            assert s.http("/api/backends/%s/%s" % (name, what), method="POST", data={})[0] == 200
    lines = [line for line in s.log_text().splitlines() if " backend: " in line and name in line]
    assert len(lines) <= 11
    assert "goes up and down" in lines[-1]
