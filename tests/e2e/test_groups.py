"""Groups of replicas: what is sent to one runs there or nowhere, and nothing else runs there (R1, R2); statements that a rule denies."""
import json
import subprocess

import pymysql
import pytest
from pymysql.constants import CLIENT

from conftest import KIND, address, ask, merge, who
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


def test_a_denied_statement_is_denied_wherever_it_stands(suimon, db):
    """By its digest: as text for PREPARE, among others, and in texts in texts."""
    db.setup("CREATE TABLE secret (n INT)")
    denied = "SELECT n FROM secret WHERE n = 1"
    done = subprocess.run([servers.find_suimon(), "digest", denied], capture_output=True, text=True, timeout=60, check=True)
    s = suimon({"routing": {"rules": [{"match": {"digest": json.loads(done.stdout)["digest"]}, "to": "deny"}]}})
    with s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as c:
        inside = ["PREPARE s FROM '%s'" % denied, 'PREPARE s FROM "%s"' % denied, "PREPARE s FROM 'SELECT n FROM secret' ' WHERE n = 2'",
                  "PREPARE s FROM 'SELECT n FROM\\nsecret WHERE n = ?'", "SELECT 1; " + denied, "SELECT 1; %s; SELECT 2" % denied,
                  "SELECT 1; PREPARE s FROM '%s'" % denied]
        if KIND == "mariadb":
            inside += ["EXECUTE IMMEDIATE '%s'" % denied, "EXECUTE IMMEDIATE 'EXECUTE IMMEDIATE \"%s\"'" % denied]
        for sql in inside:
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, sql)
            assert e.value.args[0] == DENIED, sql
        ask(c, "PREPARE s FROM 'SELECT n, 1 FROM secret WHERE n = 1'")
        assert ask(c, "EXECUTE s") == ()
        assert len(ask(c, "SELECT 'SELECT n FROM secret WHERE n = 1; x'")) == 1
    assert s.metrics()["suimon_denied_total"] == len(inside)


def test_rules_hold_for_statements_too_large_to_be_looked_at(suimon, db):
    db.setup("CREATE TABLE secret (n INT)", "CREATE TABLE bulk (t LONGTEXT)")
    s = suimon({"routing": {"rules": [{"match": {"table": "secret"}, "to": "deny"}, {"match": {"digest": "0x1234"}, "to": "deny"}]},
                "limits": {"rules": [{"match": {"user": "guest", "verb": "insert"}, "concurrency": 1, "wait": "100ms"}]}})
    pad = "x" * (1200 * 1024)
    with s.connect(database=db.name) as c:
        for sql in ("SELECT '%s', n FROM secret" % pad, "/* %s */ SELECT n FROM secret" % pad, "INSERT INTO secret VALUES (LENGTH('%s'))" % pad):
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, sql)
            assert e.value.args[0] == DENIED and "too large to be told apart" in e.value.args[1]
        ask(c, "INSERT INTO bulk VALUES ('%s')" % pad)
        assert ask(c, "SELECT LENGTH(t) FROM bulk") == ((len(pad),),)  # and the session goes on
    with s.connect("guest", "guest", database=db.name) as one, s.connect("guest", "guest", database=db.name) as two:
        one.begin()
        ask(one, "INSERT INTO bulk VALUES ('%s')" % pad)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(two, "INSERT INTO bulk VALUES ('%s')" % pad)
        assert e.value.args[0] == 1226
        one.commit()
        ask(two, "INSERT INTO bulk VALUES ('%s')" % pad)
