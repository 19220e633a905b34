"""P1, P3: what a statement leaves behind for the next ones is answered as on one connection: the same packets as direct,
while other sessions disturb every server connection between any two statements."""
import contextlib

import pymysql
import pytest

from conftest import ask, numbers
from wire import MULTI_STATEMENTS, Wire

TABLE = ["CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(5), n INT)",
         "INSERT INTO a (v, n) SELECT CONCAT('v', seq), seq FROM " + numbers(1, 9)]


def execute(sql, *values):
    """A statement prepared, executed once and closed."""
    def run(w):
        try:
            s = w.prepare(sql)
        except pymysql.MySQLError as e:  # the servers do not prepare the same statements
            return e.args
        got = s.execute(values)
        s.close()
        return got
    return run


def keep(sql, *values):
    """Prepared and executed, and left open."""
    return lambda w: w.prepare(sql).execute(values)


CONVERSATIONS = {
    "insert id, text": [
        "INSERT INTO a (v) VALUES ('x')", "SELECT LAST_INSERT_ID()", "SELECT n FROM a WHERE id = 1", "SELECT LAST_INSERT_ID()", "SELECT @@identity",
        "UPDATE a SET n = 1 WHERE id = LAST_INSERT_ID()", "SELECT id FROM a WHERE n = 1 ORDER BY id", "SELECT @@last_insert_id", "SELECT LAST_INSERT_ID(77)",
        "SELECT v FROM a WHERE id = 2", "SELECT LAST_INSERT_ID(), @@last_insert_id", "INSERT INTO a (id, v) VALUES (500, 'y')", "SELECT LAST_INSERT_ID()",
        "UPDATE a SET n = LAST_INSERT_ID(n + 1) WHERE id = 3", "SELECT LAST_INSERT_ID()", "INSERT INTO a (v) VALUES ('p'), ('q')", "SELECT LAST_INSERT_ID()",
        "INSERT INTO a (id, v) VALUES (1, 'z') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), v = 'z'", "SELECT LAST_INSERT_ID()",
        "SET last_insert_id = 9", "SELECT LAST_INSERT_ID()", "SET insert_id = 900", "INSERT INTO a (v) VALUES ('i')", "SELECT LAST_INSERT_ID()",
        "SELECT id FROM a WHERE id = 900"],
    "insert id, prepared": [
        execute("INSERT INTO a (v) VALUES (?)", "x"), execute("SELECT LAST_INSERT_ID()"), "SELECT COUNT(*) FROM a", execute("SELECT LAST_INSERT_ID()"),
        execute("SELECT id FROM a WHERE id = LAST_INSERT_ID()"), "SELECT LAST_INSERT_ID()", execute("SELECT @@identity"),
        keep("INSERT INTO a (v) VALUES (?), (?)", "y", "z"), "SELECT LAST_INSERT_ID()"],
    "insert id, several at once": [
        "SELECT 1; INSERT INTO a (v) VALUES ('m'); SELECT n FROM a WHERE id = 2", "SELECT LAST_INSERT_ID()", "INSERT INTO a (v) VALUES ('o'); SELECT LAST_INSERT_ID()",
        "SELECT COUNT(*) FROM a", "SELECT LAST_INSERT_ID(), @@identity", "INSERT INTO a (v) VALUES ('1'); INSERT INTO a (v) VALUES ('2')", "SELECT LAST_INSERT_ID()",
        "INSERT INTO a (v) VALUES ('3'); SELEKT", "SELECT LAST_INSERT_ID()"],
    "insert id, in a procedure": ["CALL ins()", "SELECT LAST_INSERT_ID()", "SELECT COUNT(*) FROM a", "SELECT LAST_INSERT_ID()", "SELECT fins()", "SELECT LAST_INSERT_ID()"],
    "found rows": [
        "SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 2", "SELECT FOUND_ROWS()", "SELECT id FROM a LIMIT 4", "SELECT FOUND_ROWS()", "SELECT FOUND_ROWS()",
        execute("SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT ?", 3), "SELECT FOUND_ROWS()", execute("SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT ?", 3), execute("SELECT FOUND_ROWS()"),
        "SELECT 1; SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 1", "SELECT FOUND_ROWS()", "SELECT id FROM a WHERE id < 0", "SELECT FOUND_ROWS()", "SHOW TABLES", "SELECT FOUND_ROWS()",
        "SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 2; SELECT FOUND_ROWS()", "SELECT id FROM a UNION SELECT 99 LIMIT 2", "SELECT FOUND_ROWS() AS total"],
    "row count": [
        "UPDATE a SET n = 0 WHERE id < 4", "SELECT ROW_COUNT()", "SELECT ROW_COUNT()", "DELETE FROM a WHERE id = 9", "SELECT ROW_COUNT(), LAST_INSERT_ID()",
        execute("UPDATE a SET n = ? WHERE id > ?", 5, 3), "SELECT ROW_COUNT()", execute("UPDATE a SET n = ? WHERE id > ?", 6, 3), execute("SELECT ROW_COUNT()"),
        "SELECT id FROM a", "SELECT ROW_COUNT()", "INSERT INTO a (v) VALUES ('1'), ('2')", "SELECT ROW_COUNT()", "UPDATE a SET n = 1; DELETE FROM a WHERE id = 8", "SELECT ROW_COUNT()",
        "SELEKT", "SELECT ROW_COUNT()", "DO 1", "SELECT ROW_COUNT()", "SET @r = 1", "SELECT ROW_COUNT()"],
    "warnings": [
        "SELECT CAST('1x' AS SIGNED) FROM a WHERE id = 1", "SHOW WARNINGS", "SHOW WARNINGS", "SELECT @@warning_count", "SHOW COUNT(*) WARNINGS", "SELECT CAST('1x' AS SIGNED)",
        "SELECT @@warning_count, @@error_count", "SHOW COUNT(*) WARNINGS", "SHOW ERRORS", "SELECT n FROM a WHERE id = 1", "SHOW WARNINGS",
        execute("SELECT CAST(? AS SIGNED) FROM a WHERE id = 1", "1x"), "SHOW WARNINGS", execute("SELECT CAST(? AS SIGNED) FROM a WHERE id = 1", "1x"), execute("SHOW WARNINGS"),
        "SELECT CAST('1x' AS SIGNED); SELECT CAST('2x' AS SIGNED)", "SHOW WARNINGS", "SELECT CAST('1x' AS SIGNED); SELECT n FROM a WHERE id = 1", "SHOW WARNINGS",
        "INSERT IGNORE INTO a (v) VALUES ('too long')", "SHOW WARNINGS LIMIT 1", "SELECT @@warning_count", "DROP TABLE IF EXISTS none", "SHOW WARNINGS",
        "SELECT * FROM none", "SHOW ERRORS", "SHOW WARNINGS", "SELECT @@error_count", "SHOW COUNT(*) ERRORS", "SELEKT", "SHOW WARNINGS", "GET DIAGNOSTICS @c = NUMBER", "SELECT @c"],
    "warnings of a read, past what leaves them": [
        "SELEKT", execute("SELECT CAST(? AS SIGNED) FROM a WHERE id = 1", "1x"), "SELECT LAST_INSERT_ID()", "SHOW WARNINGS", "INSERT INTO a (v) VALUES ('x')",
        "SELECT CAST('1x' AS SIGNED) FROM a WHERE id = 1", "SELECT LAST_INSERT_ID()", "SELECT FOUND_ROWS(), ROW_COUNT()", "SELECT @@warning_count, @@error_count",
        "SELECT * FROM none", "SHOW WARNINGS", "SELECT CAST('3x' AS SIGNED) FROM a WHERE id = 1", "COMMIT", "SELECT ROW_COUNT()", "SHOW WARNINGS",
        "INSERT INTO a (id) VALUES (1)", "SELECT id FROM a WHERE id < 2", "SET @x = 3", "SELECT @@warning_count, @@error_count"],
    "warnings of a variable set without its scope": [
        "SET @@max_sort_length = 1", "SHOW WARNINGS", "SELECT @@warning_count", "SET @@group_concat_max_len = 1, @@time_zone = '+01:00'", "SHOW COUNT(*) WARNINGS",
        "GET DIAGNOSTICS CONDITION 1 @t = MESSAGE_TEXT", "SELECT @t", execute("SET @@max_sort_length = 2"), "SHOW WARNINGS", "SELECT ROW_COUNT()"],
    "found rows, past a failure": ["SELECT id FROM a LIMIT 2", "SELEKT", "SELECT FOUND_ROWS(), ROW_COUNT()", "SELECT FOUND_ROWS()",
                                   "SELECT id FROM a LIMIT 3", "SHOW WARNINGS", "SELEKT", "SELECT FOUND_ROWS()"],
    "diagnostics": [
        "SELECT * FROM none", "GET DIAGNOSTICS CONDITION 1 @code = MYSQL_ERRNO, @text = MESSAGE_TEXT", "SELECT @code, @text", "UPDATE a SET n = 3 WHERE id < 3",
        "GET DIAGNOSTICS @rows = ROW_COUNT", "SELECT @rows"],
    "diagnostics of a read": [
        "SELECT CAST('1x' AS SIGNED) FROM a WHERE id = 1", "GET DIAGNOSTICS @n = NUMBER, @r = ROW_COUNT", "GET DIAGNOSTICS CONDITION 1 @c = MYSQL_ERRNO, @t = MESSAGE_TEXT",
        "SELECT @n, @r, @c, @t", "SHOW WARNINGS"],
    "diagnostics of a prepared read": [
        execute("SELECT CAST(? AS SIGNED), CAST(? AS SIGNED) FROM a WHERE id = 1", "1x", "2x"), "SHOW COUNT(*) WARNINGS", "SELECT @@warning_count", "GET DIAGNOSTICS @n = NUMBER",
        "SELECT @n", "GET DIAGNOSTICS CONDITION 2 @t = MESSAGE_TEXT", "SELECT @t"],
    "temporary tables": [
        "CREATE TEMPORARY TABLE tt (id INT PRIMARY KEY AUTO_INCREMENT, x INT)", "INSERT INTO tt (x) VALUES (4)", "SELECT LAST_INSERT_ID()", "SELECT * FROM tt", execute("SELECT * FROM tt WHERE x = ?", 4),
        "CREATE TEMPORARY TABLE a (only_here INT)", "SELECT * FROM a", "DROP TEMPORARY TABLE a", "SELECT COUNT(*) FROM a", "DROP TEMPORARY TABLE tt", "SELECT * FROM tt",
        execute("CREATE TEMPORARY TABLE t2 AS SELECT * FROM a WHERE id = ?", 1), "SELECT * FROM t2", "SELECT 1; CREATE TEMPORARY TABLE t3 (x INT); INSERT INTO t3 VALUES (1)",
        "SELECT * FROM t3", "DROP TABLE t2, t3", "SELECT COUNT(*) FROM a"],
    "user variables": [
        execute("SET @p = ?", 5), "SELECT @p", "SELECT n INTO @n FROM a WHERE id = 2", "SELECT @n", "SELECT 1; SET @m = 8", "SELECT @m", execute("SELECT @p + @m"),
        "SELECT @p := n FROM a ORDER BY id LIMIT 1", "SELECT @p", "SET @p = NULL, @m = NULL", "SELECT @p, @m"],
}
ROUTINES = ["CREATE PROCEDURE ins() INSERT INTO a (v) VALUES ('call')",
            "CREATE FUNCTION fins() RETURNS INT BEGIN INSERT INTO a (v) VALUES ('func'); RETURN LAST_INSERT_ID(); END"]


def converse(connection, steps, between=lambda: None):
    with Wire(connection) as w:
        answers = []
        for step in steps:
            answers.append(step(w) if callable(step) else w.query(step))
            between()
        return answers


def fresh(db):
    with db.cluster.primary.root() as c, c.cursor() as cur:
        cur.execute("DROP DATABASE `%s`" % db.name)
        cur.execute("CREATE DATABASE `%s`" % db.name)
    db.setup(*TABLE, *ROUTINES, "CREATE TABLE whoami (name VARCHAR(10))", "CREATE TABLE noise (id INT PRIMARY KEY AUTO_INCREMENT, x VARCHAR(9)) AUTO_INCREMENT = 5000")


class Noise:
    """Three sessions that leave ids, warnings, counts and errors behind on whatever connection they get."""

    def __init__(self, suimon, db, stack):
        self.sessions = [stack.enter_context(suimon.connect(database=db.name)) for _ in range(3)]
        self.turn = 0

    def __call__(self):
        statements = ["INSERT INTO noise (x) VALUES ('n')", "SELECT CAST('9z' AS SIGNED), id FROM noise LIMIT 3", "UPDATE noise SET x = 'm'",
                      "SELECT SQL_CALC_FOUND_ROWS id FROM noise LIMIT 1", "SELECT name FROM whoami", "DELETE FROM noise WHERE id < 0"]
        for c in self.sessions:
            self.turn += 1
            ask(c, statements[self.turn % len(statements)])


@pytest.mark.parametrize("pool", [2, 50])
@pytest.mark.parametrize("what", CONVERSATIONS)
def test_answers_as_on_one_connection(suimon, db, what, pool):
    """With two server connections for four sessions each one changes hands all the time; with fifty reads go to replicas."""
    s = suimon({"threads": 1, "backend": {"pool": {"max": pool, "min_idle": 0}}})
    fresh(db)
    want = converse(db.direct(client_flag=MULTI_STATEMENTS), CONVERSATIONS[what])
    fresh(db)
    with contextlib.ExitStack() as stack:
        got = converse(s.connect(database=db.name, client_flag=MULTI_STATEMENTS), CONVERSATIONS[what], Noise(s, db, stack))
    for step, w, g in zip(CONVERSATIONS[what], want, got):
        assert g == w, step


def test_insert_id_of_a_procedure_behind_which_rights_may_be_others(suimon, db):
    """Connections from before serve no new session then; what its own has left there is still this session's."""
    fresh(db)
    db.setup("CREATE PROCEDURE dynamic(q TEXT) BEGIN CALL ins(); EXECUTE IMMEDIATE q; END", "CREATE FUNCTION dynamic_too() RETURNS INT RETURN fins()")
    s = suimon({"threads": 1, "backend": {"pool": {"max": 50, "min_idle": 0}}})
    with s.connect(database=db.name) as c, s.connect(database=db.name) as other:
        ask(c, "CALL dynamic('DO 1')")
        for _ in range(3):
            assert ask(c, "SELECT LAST_INSERT_ID()") == ((16,),)
            ask(c, "SELECT COUNT(*) FROM a")  # of the replica, by a connection that is new
            ask(other, "INSERT INTO noise (x) VALUES ('n')")
            ask(c, "SELECT dynamic_too()")


READ, FEW = "SELECT id, v FROM a WHERE n < 100 ORDER BY id", execute("SELECT id FROM a WHERE id < ? ORDER BY id", 4)
BEHIND_A_HIT = [
    READ, READ, "SELECT FOUND_ROWS()", "SELECT FOUND_ROWS()", READ, "SELECT ROW_COUNT()", FEW, FEW, execute("SELECT FOUND_ROWS()"), READ, "SELECT FOUND_ROWS(), ROW_COUNT()",
    "SELECT v FROM a WHERE id = 77", "SELECT v FROM a WHERE id = 77", "SELECT FOUND_ROWS() AS none",
    "SELECT CAST('1x' AS SIGNED) FROM a WHERE id = 1", "SHOW WARNINGS", READ, "SHOW WARNINGS", "SELECT @@warning_count", "SELECT * FROM none", READ, "SHOW COUNT(*) ERRORS",
    "SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 2", READ, FEW, "SELECT FOUND_ROWS()", READ, "GET DIAGNOSTICS @r = ROW_COUNT", "SELECT @r", "SELECT id FROM a WHERE id < 3", "SELECT FOUND_ROWS()"]


@pytest.mark.parametrize("pool", [2, 50])
def test_behind_a_cache_hit_too(suimon, db, pool):
    """The cache has answered: no connection knows of it, and the one that is asked is told."""
    fresh(db)
    s = suimon({"threads": 1, "backend": {"pool": {"max": pool, "min_idle": 0}}, "cache": {"rules": [{"match": {"table": db.name + ".a"}, "ttl": "1h"}]}})
    want = converse(db.direct(client_flag=MULTI_STATEMENTS), BEHIND_A_HIT)
    with contextlib.ExitStack() as stack:
        got = converse(s.connect(database=db.name, client_flag=MULTI_STATEMENTS), BEHIND_A_HIT, Noise(s, db, stack))
    for step, w, g in zip(BEHIND_A_HIT, want, got):
        assert g == w, step
    assert s.metrics()['suimon_cache_hits_total{level="memory"}'] >= 8


def test_many_found_rows_behind_a_hit(suimon, db):
    db.setup("CREATE TABLE many (id INT PRIMARY KEY)", "INSERT INTO many SELECT seq FROM " + numbers(1, 1234))
    s = suimon({"cache": {"rules": [{"match": {"table": db.name + ".many"}, "ttl": "1h"}]}})
    with s.connect(database=db.name) as c:
        for _ in range(3):
            assert len(ask(c, "SELECT * FROM many")) == 1234
            assert ask(c, "SELECT FOUND_ROWS()") == ((1234,),)


def test_behind_a_queued_write_too(suimon, db):
    """Its rows and its warnings, of which there are none."""
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", "CREATE TABLE a (id INT)", "INSERT INTO a VALUES (1)")
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}, "queue": {"rules": [{"match": {"table": db.name + ".log", "verb": "insert"}}]}})

    def talk(connection):
        with Wire(connection) as w:
            answers = []
            for _ in range(2):
                w.query("SELECT CAST('1x' AS SIGNED) FROM a")
                w.query("INSERT INTO log (v) VALUES (1)")
                answers += [w.query("SELECT ROW_COUNT()"), w.query("SELECT ROW_COUNT()")]
                w.query("SELECT CAST('1x' AS SIGNED) FROM a")
                w.query("INSERT INTO log (v) VALUES (2)")
                answers += [w.query("SHOW WARNINGS")]
            return answers
    want = talk(db.direct())
    assert talk(s.connect(database=db.name)) == want
    assert s.metrics()["suimon_queue_enqueued_total"] >= 4


@pytest.mark.parametrize("question", ["SHOW WARNINGS", "SHOW ERRORS", "SELECT @@error_count, @@warning_count"])
def test_nobody_is_told_of_anothers_error(suimon, db, question):
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with s.connect(database=db.name) as c, s.connect(database=db.name) as other:
        for _ in range(3):
            with pytest.raises(pymysql.MySQLError):
                ask(other, "INSERT INTO secret_name VALUES (1)")
            assert ask(c, question) in ((), ((0, 0),))
