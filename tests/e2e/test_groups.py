"""Groups of replicas: what is sent to one runs there or nowhere, and nothing else runs there (R1, R2); statements that a rule denies."""
import pymysql
import pytest

from conftest import address, ask, merge, who
import servers
from wire import Wire

DENIED, LOST = 1148, 1927


@pytest.fixture
def lane(suimon, cluster):
    """The session's replica is of the group bi; what carries the tag job=report, and whatever guest reads, goes there."""
    def make(changes=None):
        rules = [{"match": {"tag": {"job": "report"}}, "to": "bi"}, {"match": {"user": "guest"}, "to": "bi"}]
        return suimon(merge({"replicas": [{"addr": address(cluster.replica), "group": "bi"}], "routing": {"rules": rules}}, changes or {}))
    return make


def backend(s, cluster):
    return next(b for b in s.api("/api/backends")["backends"] if b["addr"] == address(cluster.replica))


def test_only_what_is_sent_there_runs_on_a_groups_replica(lane, db, cluster):
    s = lane()
    assert backend(s, cluster)["group"] == "bi"
    with s.connect(database=db.name) as c:
        assert {who(c) for _ in range(20)} == {"primary"}
        assert ask(c, "SELECT name FROM whoami /*job='report'*/") == (("replica",),)
        assert ask(c, "/* suimon: replica=bi */ SELECT name FROM whoami") == (("replica",),)
        assert ask(c, "/* suimon: replica */ SELECT name FROM whoami") == (("primary",),)  # none is for everybody
        assert ask(c, "/* suimon: replica=none */ SELECT name FROM whoami") == (("primary",),)
    with s.connect("guest", "guest", database=db.name) as c:
        assert who(c) == "replica"
        assert ask(c, "/* suimon: primary */ SELECT name FROM whoami") == (("primary",),)
        ask(c, "CREATE TABLE t (n INT)")  # R1: what only the primary may run goes there
        assert ask(c, "SELECT name FROM whoami FOR UPDATE") == (("primary",),)
        c.begin()
        assert who(c) == "primary"
        c.rollback()
        ask(c, "START TRANSACTION READ ONLY")
        assert who(c) == "replica"
        ask(c, "COMMIT")


def test_a_prepared_statement_keeps_to_the_group(lane, db):
    s = lane()
    with Wire(s.connect("guest", "guest", database=db.name)) as w:
        answer = w.prepare("SELECT name FROM whoami WHERE name <> ?").execute(("nobody",))
        assert any(b"replica" in packet for packet in answer)


def test_a_group_is_read_however_far_behind_it_is(lane, db, cluster):
    s = lane({"backend": {"monitor": {"max_lag": "0s"}}})
    db.setup("CREATE TABLE t (n INT)")
    with s.connect("guest", "guest", database=db.name) as c, cluster.replica_behind():
        ask(c, "INSERT INTO t VALUES (1)")
        servers.wait_until("the lag to be seen", lambda: backend(s, cluster)["state"] == "lagging", 60)
        assert ask(c, "SELECT COUNT(*) FROM t") == ((0,),)


def test_a_group_that_is_gone_is_an_error_and_no_load_elsewhere(lane, db, cluster):
    s = lane()
    with s.connect("guest", "guest", database=db.name) as guest, s.connect(database=db.name) as app:
        assert who(guest) == "replica"
        s.http("/api/backends/%s/disable" % address(cluster.replica), data={})
        with pytest.raises(pymysql.MySQLError) as e:
            who(guest)
        assert e.value.args[0] == LOST and "no replica of the group bi" in e.value.args[1]
        assert who(app) == "primary"
        assert s.metrics()["suimon_group_unavailable_total"] == 1
        s.http("/api/backends/%s/enable" % address(cluster.replica), data={})
        servers.wait_until("the group", lambda: who(guest) == "replica", 30)


def test_a_group_whose_connections_fail_is_an_error_too(suimon, db):
    s = suimon({"replicas": [{"addr": "127.0.0.1:%d" % servers.free_port(), "group": "bi"}],
                "routing": {"rules": [{"match": {"user": "app"}, "to": "bi"}]}})
    with s.connect(database=db.name) as c:
        with pytest.raises(pymysql.MySQLError) as e:
            who(c)
        assert e.value.args[0] == LOST


def test_an_error_of_the_groups_replica_is_the_answer(lane, db):
    s = lane()
    db.cluster.primary.sql("SET sql_log_bin = 0", "CREATE TABLE `%s`.here (n INT)" % db.name)
    with s.connect("guest", "guest", database=db.name) as c, pytest.raises(pymysql.MySQLError) as e:
        ask(c, "SELECT * FROM here")
    assert e.value.args[0] == 1146


def test_nothing_of_a_group_is_kept_in_the_cache(lane, db):
    s = lane({"cache": {"rules": [{"match": {"table": "%s.whoami" % db.name}, "ttl": "1h"}]}})
    with s.connect("guest", "guest", database=db.name) as guest:
        assert who(guest) == who(guest) == "replica"
    assert s.metrics()['suimon_queries_total{route="cache"}'] == 0


def test_a_denied_statement_is_told_so(suimon, db):
    s = suimon({"routing": {"rules": [{"match": {"query": "^select sleep"}, "to": "deny"}, {"match": {"verb": "truncate"}, "to": "deny"}]}})
    db.setup("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1)")
    with s.connect(database=db.name) as c:
        for sql in ("SELECT SLEEP(5)", "TRUNCATE TABLE t"):
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, sql)
            assert e.value.args[0] == DENIED and "suimon: a rule denies this statement (digest 0x" in e.value.args[1]
        c.begin()
        ask(c, "INSERT INTO t VALUES (2)")
        with pytest.raises(pymysql.MySQLError):
            ask(c, "SELECT SLEEP(5)")
        c.commit()  # the session and its transaction go on
        assert ask(c, "SELECT COUNT(*) FROM t") == ((2,),)
    assert s.metrics()["suimon_denied_total"] == 3
    with Wire(s.connect(database=db.name)) as w:
        with pytest.raises(pymysql.MySQLError, match="denies"):
            w.prepare("SELECT SLEEP(?)")
