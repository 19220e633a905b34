"""Groups of replicas: what is sent to one runs there or nowhere, and nothing else runs there (R1, R2); statements that a rule denies."""
import contextlib
import json
import re
import subprocess
import threading

import pymysql
import pytest
from pymysql.constants import CLIENT

from conftest import KIND, address, ask, mariadb_only, merge, who
from relay import Relay
import servers
from wire import Wire, error

DENIED, LOST, HELD = 1148, 1927, 1792
SNAPSHOT = "START TRANSACTION WITH CONSISTENT SNAPSHOT"


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


def where(s, words):
    """The servers that have run the statement of these words."""
    found = [q for q in s.api("/api/queries?limit=1000")["queries"] if q["text"] == words]
    return {server["addr"] for q in found for server in q["servers"]}


def test_what_names_no_table_keeps_to_the_group_too(lane, db, cluster):
    """Wherever its session's last statement ran."""
    s = lane()
    db.setup("CREATE TABLE t (n INT)")
    with s.connect("guest", "guest", database=db.name) as guest, s.connect(database=db.name) as app:
        ask(guest, "INSERT INTO t VALUES (1)")
        assert ask(guest, "SELECT 1 + 1") == ((2,),)
        assert ask(app, "/* suimon: replica=bi */ SELECT name FROM whoami") == (("replica",),)
        assert ask(app, "SELECT 2 * 2") == ((4,),)
        servers.wait_until("both to be counted", lambda: where(s, "select ? + ?") and where(s, "select ? * ?"), 30)
        assert where(s, "select ? + ?") == {address(cluster.replica)} and where(s, "select ? * ?") == {address(cluster.primary)}
        s.http("/api/backends/%s/disable" % address(cluster.replica), data={})
        ask(guest, "INSERT INTO t VALUES (1)")
        with pytest.raises(pymysql.MySQLError) as e:
            ask(guest, "SELECT 1 + 1")
        assert e.value.args[0] == LOST


@mariadb_only("before MySQL every SELECT ends them")
def test_warnings_are_not_lost_to_what_names_no_table(lane, db):
    """R1: it leaves those that there are, so it runs where they are, though its account reads from the group."""
    s = lane()
    db.setup("CREATE TABLE t (n INT)")
    with s.connect("guest", "guest", database=db.name) as c:
        ask(c, "INSERT IGNORE INTO t VALUES ('x')")
        assert ask(c, "SELECT 1 + 1") == ((2,),)
        assert "Incorrect integer value" in ask(c, "SHOW WARNINGS")[0][2]


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
            inside += [body % denied for body in (
                "BEGIN NOT ATOMIC %s; END", "x: BEGIN NOT ATOMIC %s; END x", "BEGIN NOT ATOMIC SELECT 1; IF 1 THEN %s; END IF; END", "IF (%s) THEN DO 1; END IF",
                "SELECT 1; BEGIN NOT ATOMIC %s; END", "BEGIN NOT ATOMIC EXECUTE IMMEDIATE '%s'; END", "EXECUTE IMMEDIATE 'BEGIN NOT ATOMIC %s; END'",
                "FOR r IN (%s) DO DO 1; END FOR", "BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLEXCEPTION %s; SIGNAL SQLSTATE '45000'; END")]
            inside += ["CASE 1 " + "WHEN 1 THEN " * 80 + "DO 1; END CASE"]  # more than is looked at
        for sql in inside:
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, sql)
            assert e.value.args[0] == DENIED, sql
        ask(c, "PREPARE s FROM 'SELECT n, 1 FROM secret WHERE n = 1'")
        assert ask(c, "EXECUTE s") == ()
        assert len(ask(c, "SELECT 'SELECT n FROM secret WHERE n = 1; x'")) == 1
        if KIND == "mariadb":
            ask(c, "BEGIN NOT ATOMIC DECLARE x INT; IF 1 THEN SELECT n, 1 FROM secret; END IF; END")
    assert s.metrics()["suimon_denied_total"] == len(inside)


def refuses(c, sql):
    try:
        ask(c, sql)
    except pymysql.MySQLError as e:
        return e.args[0] == DENIED
    return False


def test_what_cannot_be_told_is_denied_where_a_rule_may_mean_it(suimon, db):
    """By tables: a statement that is not understood to its end, a comment that not every server runs, a schema that moves in the same text."""
    db.setup("CREATE TABLE secret (n INT)", "CREATE TABLE ok (n INT)", "INSERT INTO ok VALUES (1)")
    s = suimon({"routing": {"rules": [{"match": {"table": "%s.secret" % db.name}, "to": "deny"}, {"match": {"verb": "truncate"}, "to": "deny"}]}})
    hidden = ["/*!99999 FOO */ TRUNCATE TABLE ok", "/*!99999 SELECT 1 AS */ TRUNCATE TABLE ok", "SELECT " + "(" * 201 + "1" + ")" * 201 + ", n FROM secret",
              "SELECT 1 FROM " + ", ".join("ok a%d" % i for i in range(130)) + ", secret", "SELECT 1 FROM " + ", ".join("t%d" % i for i in range(33)) + ", secret",
              "UPDATE /*!99999 ok AS */ secret SET n = 1", "SELECT 1; SELECT " + "(" * 201 + "1" + ")" * 201 + ", n FROM secret",
              "USE %s; SELECT n FROM secret" % db.name, "SET NAMES gbk; SELECT '\\'; SELECT n FROM secret -- '", "SELECT 'no end"]
    hidden += ["DO 1;" * 5000]  # more than are looked at
    told = ["SELECT n FROM ok", "SHOW TABLES", "SET NAMES utf8mb4; SET time_zone = '+00:00'; SELECT n FROM ok", "SELECT 1; SELECT 2;", "PREPARE s FROM 'SELECT n FROM ok'", "EXECUTE s",
            "EXPLAIN SELECT n FROM ok", "SET @x = 1", "DO 1;" * 300]
    if KIND == "mariadb":
        hidden += ["BEGIN NOT ATOMIC /*!99999 x := */ DELETE FROM secret; END", "BEGIN NOT ATOMIC SELECT " + "(" * 201 + "1" + ")" * 201 + ", n FROM secret; END"]
        told += ["BEGIN NOT ATOMIC DECLARE x INT; DECLARE c CURSOR FOR SELECT n FROM ok; DECLARE EXIT HANDLER FOR NOT FOUND SET x = 1; OPEN c; "
                 "y: LOOP FETCH c INTO x; IF ((x = 1) AND (1 = 1)) THEN BEGIN SET x = 2; END; ELSE SET x = REPLACE(x, 1, 2); END IF; END LOOP; CLOSE c; END",
                 "BEGIN NOT ATOMIC x: LOOP IF 1 THEN SELECT n FROM ok; LEAVE x; ELSEIF 2 THEN SELECT REPEAT('a', 2); END IF; END LOOP; END"]
    with s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as c:
        for sql in hidden:
            assert refuses(c, sql), sql[:100]
        for sql in told:
            ask(c, sql)
    with s.connect("guest", "guest", database=db.name) as c, Wire(s.connect(database=db.name)) as w:
        assert refuses(c, hidden[0])
        with pytest.raises(pymysql.MySQLError, match="or one that it may be: nested too deeply"):
            w.prepare(hidden[2])


def test_what_is_given_to_prepare_is_told_or_denied(suimon, db):
    db.setup("CREATE TABLE secret (n INT)", "CREATE TABLE ok (n INT)", "INSERT INTO secret VALUES (1)")
    s = suimon({"routing": {"rules": [{"match": {"table": "secret"}, "to": "deny"}, {"match": {"verb": "truncate"}, "to": "deny"}]}})
    hidden = ["PREPARE s FROM _utf8mb4'DELETE FROM secret'", "PREPARE s FROM X'%s'" % b"DELETE FROM secret".hex(), "PREPARE s FROM CONCAT('DELETE FROM ', 'secret')"]
    if KIND == "mariadb":
        hidden += [h.replace("PREPARE s FROM", "EXECUTE IMMEDIATE") for h in hidden]
        hidden += ["SET STATEMENT max_statement_time=5 FOR EXECUTE IMMEDIATE 'DELETE FROM secret'", "ANALYZE DELETE FROM secret",
                   "BEGIN NOT ATOMIC DECLARE v TEXT DEFAULT 'DELETE FROM secret'; EXECUTE IMMEDIATE v; END"]
    with s.connect(database=db.name) as c:
        for sql in hidden:
            assert refuses(c, sql), sql
        ask(c, "SET @v = 'SELECT n FROM ok'")
        ask(c, "PREPARE s FROM @v")
        assert ask(c, "EXECUTE s") == ()
        if KIND == "mariadb":
            assert ask(c, "EXECUTE IMMEDIATE @v") == ()
            ask(c, "SET sql_mode = ORACLE")
            for sql in ("DECLARE CURSOR c IS SELECT n FROM secret; x INT; BEGIN OPEN c; FETCH c INTO x; CLOSE c; END", "BEGIN DELETE FROM secret; END"):
                assert refuses(c, sql), sql
            ask(c, "DECLARE CURSOR c IS SELECT n FROM ok; x INT; BEGIN OPEN c; FETCH c INTO x; CLOSE c; END")
    with db.direct() as c:
        assert ask(c, "SELECT n FROM secret") == ((1,),)


def test_prepare_and_execute_are_denied_by_their_verbs(suimon, db):
    """What a variable holds is not seen: who must not run it may neither prepare nor execute."""
    db.setup("CREATE TABLE secret (n INT)", "INSERT INTO secret VALUES (1)")
    by_table = {"match": {"table": "%s.secret" % db.name}, "to": "deny"}
    for verb, denied in (("prepare", ["PREPARE s FROM @v", "PREPARE s FROM 'SELECT 1'"]), ("execute", ["EXECUTE s"])):
        s = suimon({"routing": {"rules": [by_table, {"match": {"verb": verb}, "to": "deny"}]}})
        with s.connect(database=db.name) as c:
            ask(c, "SET @v = 'SELECT n FROM secret'")
            if verb == "execute":
                ask(c, "PREPARE s FROM @v")
                denied += ["EXECUTE IMMEDIATE @v"] if KIND == "mariadb" else []
            for sql in denied:
                assert refuses(c, sql), sql
            assert ask(c, "SELECT 1") == ((1,),)
        with Wire(s.connect(database=db.name)) as w:  # the protocol's own are what they prepare
            w.prepare("SELECT ?")
        s.stop()


def test_the_servers_upkeep_is_denied_by_verb(suimon, db):
    db.setup("CREATE TABLE t (n INT)")
    s = suimon({"routing": {"rules": [{"match": {"verb": v}, "to": "deny"} for v in ("admin", "kill")]}})
    with s.connect(database=db.name) as c:
        for sql in ("FLUSH TABLES", "ANALYZE TABLE t", "OPTIMIZE TABLE t", "KILL 1", "KILL QUERY 1"):
            assert refuses(c, sql), sql
        assert ask(c, "SELECT n FROM t") == ()
    with Wire(s.connect(database=db.name)) as w:
        for payload in (b"\x07\x01", b"\x08", b"\x0c\x01\0\0\0"):
            w.send(payload)
            assert error(w.packet())[0] == DENIED, payload


def test_commands_are_denied_as_the_statements_that_do_the_same(suimon, db):
    rules = [{"match": {"verb": "drop"}, "to": "deny"}, {"match": {"verb": "create"}, "to": "deny"}, {"match": {"query": "^(kill|flush|shutdown)"}, "to": "deny"}]
    s = suimon({"routing": {"rules": rules}})
    with Wire(s.connect(database=db.name)) as w:
        for payload in (b"\x05denied_x", b"\x06" + db.name.encode(), b"\x06a`b", b"\x07\x01", b"\x08", b"\x0c\x01\0\0\0"):
            w.send(payload)
            assert error(w.packet())[0] == DENIED, payload
        w.send(b"\x02" + db.name.encode())
        assert w.packet()[0] == 0
        w.query("SELECT 5")
    assert s.metrics()["suimon_denied_total"] == 6


def test_what_cannot_be_told_is_let_through_where_no_rule_means_it(suimon, db):
    db.setup("CREATE TABLE ok (n INT)", "INSERT INTO ok VALUES (1)")
    deep = "SELECT " + "(" * 201 + "1" + ")" * 201 + ", n FROM ok"
    for rule in ({"user": "guest"}, {"verb": "truncate"}, {"digest": "0x1234"}, {"query": "^frobnicate"}):
        s = suimon({"routing": {"rules": [{"match": rule, "to": "deny"}]}})
        with s.connect(database=db.name) as c:
            assert ask(c, deep) == ((1, 1),), rule
        s.stop()


def test_patterns_see_long_texts_whole(suimon, db):
    """Of which 4 KiB are kept: what denies and what holds back looks at all of it, prepared or not, and also inside other texts."""
    db.setup("CREATE TABLE secret (n INT)")
    s = suimon({"routing": {"rules": [{"match": {"query": "from secret"}, "to": "deny"}, {"match": {"query": "(?:.|\\n)*outfile"}, "to": "deny"}]},
                "limits": {"rules": [{"match": {"query": "sleep"}, "max_time": "300ms"}]}})
    with s.connect(database=db.name) as c, Wire(s.connect(database=db.name)) as w:
        for n in (300, 3000, 30000):
            many = "SELECT 1 " + "".join(", n AS c%d" % i for i in range(n))
            for sql in (many + " FROM secret", "SELECT 1 " + ", n" * n + " FROM (SELECT * FROM whoami) n, secret" + " FROM secret",
                        "PREPARE s FROM '%s FROM secret'" % many, "SELECT 1" + ", 1 AS c" * n + " INTO OUTFILE '/nonexistent/x'"):
                with pytest.raises(pymysql.MySQLError) as e:
                    ask(c, sql)
                assert e.value.args[0] == DENIED, sql[-100:]
            with pytest.raises(pymysql.MySQLError, match="denies"):
                w.prepare(many + " FROM secret")
        assert len(ask(c, "SELECT 1" + "".join(", 1 AS c%d" % i for i in range(1000)))[0]) == 1001
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "SELECT 1" + "".join(", 1 AS c%d" % i for i in range(1000)) + " FROM whoami WHERE SLEEP(600) = 0 FOR UPDATE")
        assert e.value.args[0] == 1317


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
    with s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as c:
        assert refuses(c, "INSERT INTO bulk VALUES ('%s'); DELETE FROM secret" % pad)  # what stands behind it cannot be seen
    with Wire(s.connect(database=db.name)) as w:
        for option, answer in ((b"\0\0", 0xff), (b"\1\0", 0)):
            w.send(b"\x1b" + option)
            w.packet()
            w.send(b"\x03INSERT INTO bulk VALUES ('%s')" % pad.encode())
            assert w.packet()[0] == answer
    with s.connect("guest", "guest", database=db.name) as one, s.connect("guest", "guest", database=db.name) as two:
        one.begin()
        ask(one, "INSERT INTO bulk VALUES ('%s')" % pad)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(two, "INSERT INTO bulk VALUES ('%s')" % pad)
        assert e.value.args[0] == 1226
        one.commit()
        ask(two, "INSERT INTO bulk VALUES ('%s')" % pad)


def test_a_dump_reads_the_groups_replica_alone(lane, db, cluster):
    """mariadb-dump as an account whose reads go to the group, without a transaction."""
    db.setup("CREATE TABLE d (id INT PRIMARY KEY, s TEXT)", "INSERT INTO d VALUES (1, 'one'), (2, 'two')", "CREATE VIEW v AS SELECT id FROM d")
    s = lane()

    def routed(where):
        return servers.sum_metric(s.metrics(), "suimon_queries_total", 'route="%s"' % where)
    told = subprocess.run(["mariadb-dump", "--no-defaults", "-h", servers.LOOPBACK, "-P", str(s.mysql_port), "-uguest", "-pguest",
                           "--skip-lock-tables", "--no-tablespaces", db.name], capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    assert "(1,'one'),\n(2,'two')" in told.stdout and "VIEW `v`" in told.stdout
    assert "('replica')" in told.stdout and "('primary')" not in told.stdout
    assert routed("replica") >= 2  # its reads of rows; what it asks of the schema (SHOW) is the primary's to say


@contextlib.contextmanager
def said_to(cluster, user):
    """What this account says to both servers meanwhile: read(server) gives its statements."""
    both = (cluster.primary, cluster.replica)
    before = {}
    for server in both:
        before[server] = server.sql("SELECT @@GLOBAL.log_output, @@GLOBAL.general_log")[0]
        server.sql("SET sql_log_bin = 0", "SET GLOBAL general_log = OFF", "TRUNCATE TABLE mysql.general_log", "SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = ON")

    def read(server):
        found = server.sql("SELECT argument FROM mysql.general_log WHERE user_host LIKE '%s%%' AND command_type IN ('Query', 'Execute')" % user)
        return [r[0].decode() if isinstance(r[0], bytes) else r[0] for r in found]
    try:
        yield read
    finally:
        for server in both:
            server.sql("SET GLOBAL general_log = %d" % before[server][1], "SET GLOBAL log_output = '%s'" % before[server][0])


class Mover(threading.Thread):
    """Moves one from a table to the other, again and again: both are seen before it or both behind it."""

    def __init__(self, s, schema):
        super().__init__(daemon=True)
        self.s, self.schema, self.moved, self.stop = s, schema, 0, threading.Event()
        self.start()

    def run(self):
        with self.s.connect(database=self.schema) as c:
            while not self.stop.is_set():
                c.begin()
                ask(c, "UPDATE a SET n = n - 1")
                ask(c, "UPDATE z SET n = n + 1")
                c.commit()
                self.moved += 1

    def ended(self):
        self.stop.set()
        self.join(60)
        assert not self.is_alive()


TOLD = [["--master-data=0"], ["--routines", "--triggers", "--events", "--hex-blob"]]


@pytest.mark.parametrize("more", TOLD, ids=" ".join)
def test_a_dump_in_one_transaction_is_of_one_state_of_the_groups_replica(lane, db, cluster, more):
    """Beside writers whose every transaction keeps a sum; and nothing of it is read from the primary."""
    db.setup("CREATE TABLE a (n INT)", "INSERT INTO a VALUES (0)", "CREATE TABLE z (n INT)", "INSERT INTO z VALUES (0)",
             *["CREATE TABLE m%d (t TEXT)" % n for n in range(8)], "CREATE VIEW v AS SELECT n FROM a")
    s = lane()
    writer = Mover(s, db.name)
    try:
        servers.wait_until("it to write", lambda: writer.moved > 3, 60)
        with said_to(cluster, "guest") as read:
            moved = set()
            for _ in range(3):
                told = subprocess.run(["mariadb-dump", "--no-defaults", "-h", servers.LOOPBACK, "-P", str(s.mysql_port), "-uguest", "-pguest",
                                       "--single-transaction", "--no-tablespaces", *more, db.name], capture_output=True, text=True, timeout=120)
                assert told.returncode == 0, told.stderr
                assert "('replica')" in told.stdout and "('primary')" not in told.stdout and "VIEW `v`" in told.stdout
                n = dict(re.findall(r"INSERT INTO `([az])` VALUES\s*\((-?\d+)\)", told.stdout))
                assert int(n["a"]) + int(n["z"]) == 0, n
                moved.add(n["z"])
            there, here = read(cluster.replica), read(cluster.primary)
    finally:
        writer.ended()
    assert len(moved) > 1  # the replica has moved on between them
    reads = [sql for sql in there if re.match(r"(?i)SELECT .* FROM `", sql)]
    assert len(reads) >= 3 * 11, there
    assert sum("CONSISTENT SNAPSHOT" in sql for sql in there) == 3
    assert not any("CONSISTENT SNAPSHOT" in sql or re.search(r"(?i) FROM `|SHOW CREATE TABLE|SAVEPOINT", sql) for sql in here), here


MYSQLDUMP = ["SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */", "SHOW VARIABLES LIKE 'gtid\\_mode'",
             "UNLOCK TABLES", "SAVEPOINT sp", "show tables", "SET SQL_QUOTE_SHOW_CREATE=1", "SET SESSION character_set_results = 'binary'",
             "show create table `whoami`", "SET SESSION character_set_results = 'utf8mb4'", "show fields from `whoami`",
             "SELECT /*!40001 SQL_NO_CACHE */ * FROM `whoami`", "ROLLBACK TO SAVEPOINT sp", "RELEASE SAVEPOINT sp"]


def test_what_mysqldump_says_is_said_to_one_connection(lane, db, cluster):
    s = lane()
    with s.connect("guest", "guest", database=db.name) as c, said_to(cluster, "guest") as read:
        for sql in MYSQLDUMP:
            ask(c, sql)
        me, = [r for r in s.api("/api/clients")["clients"] if r["user"] == "guest"]
        assert me["pinned"] == "transaction" and address(cluster.replica) in str(me["backend"])
        assert [sql for sql in read(cluster.replica) if sql in MYSQLDUMP[1:]] == MYSQLDUMP[1:]
        assert not [sql for sql in read(cluster.primary) if sql in MYSQLDUMP[1:]]
        c.rollback()
        ask(c, "CREATE TABLE t (n INT)")  # its session is free again
        ask(c, "INSERT INTO t VALUES (1)")
    assert db.primary("SELECT n FROM t") == ((1,),)


@pytest.mark.parametrize("begin", [SNAPSHOT, "START TRANSACTION READ ONLY", SNAPSHOT + ", READ ONLY"])
def test_what_a_held_transaction_cannot_have_is_refused_and_it_goes_on(lane, db, cluster, begin):
    db.setup("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1)")
    s = lane()
    with s.connect("guest", "guest", database=db.name) as c:
        ask(c, begin)
        assert who(c) == "replica" and ask(c, "SELECT n FROM t") == ((1,),)
        for sql in ("INSERT INTO t VALUES (2)", "SELECT n FROM t FOR UPDATE", "CREATE TEMPORARY TABLE tt (n INT)", "DROP TABLE t", "LOCK TABLES t READ",
                    "SET GLOBAL max_connections = 77", "FLUSH TABLES", "PREPARE p FROM 'DELETE FROM t'", "SELECT GET_LOCK('x', 1)",
                    "INSERT INTO t VALUES ('%s')" % ("x" * (1200 << 10))):
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, sql)
            assert e.value.args[0] == HELD and "suimon: " in e.value.args[1] and "group bi" in e.value.args[1], sql
            assert who(c) == "replica"
        cluster.setup("INSERT INTO `%s`.t VALUES (3)" % db.name)
        assert ask(c, "SELECT n FROM t") == ((1,),)  # the state it began with
        assert who(c) == "replica" and ask(c, "/* suimon: primary */ SELECT name FROM whoami") == (("replica",),)
        c.commit()
        ask(c, "INSERT INTO t VALUES (4)")
    assert db.primary("SELECT n FROM t ORDER BY n") == ((1,), (3,), (4,))
    assert s.metrics()["suimon_read_only_transactions_moved_total"] == 0


def test_a_prepared_statement_in_a_held_transaction(lane, db, cluster):
    db.setup("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1)")
    s = lane()
    with Wire(s.connect("guest", "guest", database=db.name)) as w:
        before = w.prepare("SELECT n, 'before' FROM t")
        write = w.prepare("INSERT INTO t VALUES (?)")
        w.query(SNAPSHOT)
        inside = w.prepare("SELECT name FROM whoami WHERE name <> ?")
        cluster.setup("UPDATE `%s`.t SET n = 2" % db.name)
        for _ in range(2):
            assert any(b"replica" in p for p in inside.execute(("nobody",)))
            answer = before.execute()
            assert any(b"\x01\x00\x00\x00\x06before" in p for p in answer), answer
        assert error(write.execute((7,))[0])[0] == HELD
        with pytest.raises(pymysql.MySQLError) as e:
            w.prepare("DELETE FROM t")
        assert e.value.args[0] == HELD
        if KIND == "mariadb":  # MySQL prepares none
            w.prepare("BEGIN")  # which does not end it yet
        assert any(b"replica" in p for p in inside.execute(("nobody",)))
        w.query("ROLLBACK")
        write.execute((7,))
        assert any(b"replica" in p for p in inside.execute(("nobody",)))
    assert db.primary("SELECT n FROM t ORDER BY n") == ((2,), (7,))


def test_what_says_that_it_writes_begins_on_the_primary(lane, db):
    db.setup("CREATE TABLE t (n INT)")
    s = lane()
    for n, begin in enumerate(["BEGIN", "START TRANSACTION", SNAPSHOT + ", READ WRITE", "/* suimon: primary */ " + SNAPSHOT]):
        with s.connect("guest", "guest", database=db.name) as c:
            ask(c, SNAPSHOT)
            assert who(c) == "replica"
            ask(c, begin)  # ends the one before
            assert who(c) == "primary"
            ask(c, "INSERT INTO t VALUES (%d)" % n)
            c.commit()
    assert db.primary("SELECT n FROM t ORDER BY n") == ((0,), (1,), (2,), (3,))


@pytest.mark.parametrize("sql", ["SET @x = 7", "SELECT @x := n FROM t", "SELECT CONNECTION_ID()"])
def test_what_would_keep_the_session_on_the_replica_is_refused(lane, db, sql):
    """R1: it could not write any more when its transaction is over."""
    db.setup("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1)")
    with lane().connect("guest", "guest", database=db.name) as c:
        ask(c, SNAPSHOT)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, sql)
        assert e.value.args[0] == HELD
        assert who(c) == "replica"
        c.commit()
        ask(c, "INSERT INTO t VALUES (2)")
    assert db.primary("SELECT n FROM t ORDER BY n") == ((1,), (2,))


def test_a_snapshot_in_a_session_that_became_serializable_is_the_primarys(lane, db, cluster):
    """R1: it would lock what it reads, in the way of what is replicated."""
    db.setup("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1)")
    with lane().connect("guest", "guest", database=db.name) as c:
        ask(c, SNAPSHOT)
        ask(c, "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        assert who(c) == "replica"
        ask(c, SNAPSHOT)
        assert who(c) == "primary"
        ask(c, "SELECT n FROM t")
        assert cluster.replica.sql("SELECT trx_rows_locked FROM information_schema.innodb_trx WHERE trx_isolation_level = 'SERIALIZABLE'") == ()


@mariadb_only("its cursors outlive COMMIT")
def test_a_session_that_a_cursor_keeps_on_a_replica_changes_nothing_there(lane, db, cluster):
    """R1, and an end to each wait: neither its own write nor what is no write of a table's, but of the server's."""
    db.setup("CREATE TABLE t (n INT)", "INSERT INTO t SELECT seq FROM seq_1_to_100")
    cluster.primary.sql("GRANT RELOAD ON *.* TO guest@'%'")
    try:
        with Wire(lane().connect("guest", "guest", database=db.name)) as w:
            w.query(SNAPSHOT)
            cursor = w.prepare("SELECT n FROM t")
            cursor.execute(cursor=1)
            w.query("COMMIT")
            position = cluster.replica.sql("SELECT @@gtid_binlog_pos")
            for sql in ("FLUSH TABLES", "ANALYZE TABLE t", "INSERT INTO t VALUES (0)", "SET GLOBAL long_query_time = 1", "HANDLER t OPEN"):
                code, _, text = error(w.query(sql)[0])
                assert code == 1290 and "open a new connection" in text, sql
            assert cluster.replica.sql("SELECT @@gtid_binlog_pos") == position
            assert any(b"replica" in p for p in w.query("SELECT name FROM whoami"))
            cursor.close()
            w.query("INSERT INTO t VALUES (0)")
        assert db.primary("SELECT COUNT(*) FROM t") == ((101,),)
    finally:
        cluster.primary.sql("REVOKE RELOAD ON *.* FROM guest@'%'")


def test_another_snapshot_is_a_new_one_of_the_group(lane, db, cluster):
    db.setup("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1)")
    s = lane()
    with s.connect("guest", "guest", database=db.name) as c:
        ask(c, SNAPSHOT)
        assert ask(c, "SELECT n FROM t") == ((1,),)
        cluster.setup("UPDATE `%s`.t SET n = 2" % db.name)
        ask(c, SNAPSHOT)
        assert ask(c, "SELECT n FROM t") == ((2,),) and who(c) == "replica"
        with pytest.raises(pymysql.MySQLError):
            ask(c, "UPDATE t SET n = 3")


def test_nothing_of_a_group_to_begin_on_is_an_error(lane, db, cluster):
    s = lane()
    with s.connect("guest", "guest", database=db.name) as c:
        assert who(c) == "replica"
        s.http("/api/backends/%s/disable" % address(cluster.replica), data={})
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, SNAPSHOT)
        assert e.value.args[0] == LOST and "no replica of the group bi" in e.value.args[1]
        s.http("/api/backends/%s/enable" % address(cluster.replica), data={})
        servers.wait_until("the group", lambda: who(c) == "replica", 30)
        ask(c, SNAPSHOT)
        assert who(c) == "replica"


def test_the_loss_of_its_replica_ends_a_held_transaction_and_is_told(suimon, db, cluster):
    """R3: what it had read is of a state that nobody has any more."""
    relay = Relay(cluster.replica.port)
    try:
        s = suimon({"replicas": [{"addr": relay.address, "group": "bi"}], "routing": {"rules": [{"match": {"user": "guest"}, "to": "bi"}]}})
        for lost in ("SELECT name FROM whoami", "COMMIT"):
            c = s.connect("guest", "guest", database=db.name)
            servers.wait_until("the group", lambda c=c: tried(c, SNAPSHOT), 30)
            assert who(c) == "replica"
            relay.cut()
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, lost)
            assert e.value.args[0] == LOST and "transaction" in e.value.args[1], e.value.args
            with pytest.raises((pymysql.MySQLError, OSError)):
                ask(c, "SELECT 1")
            c._force_close()
    finally:
        relay.close()


def tried(c, sql):
    try:
        ask(c, sql)
    except pymysql.MySQLError as e:
        assert e.args[0] == LOST
        return False
    return True
