"""P1, P3: what a statement leaves behind for the next ones is answered as on one connection: the same packets as direct,
while other sessions disturb every server connection between any two statements."""
import concurrent.futures
import contextlib

import pymysql
import pytest

from conftest import KIND, ask, mariadb_only, numbers, pinned
from wire import MULTI_STATEMENTS, Wire

IGNORE_SPACE = 256  # the server's word for its session at a login: a reset forgets it

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


def only_prepare(sql):
    return lambda w: w.prepare(sql).shape


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
    "found rows, of many kinds": [
        "SELECT 5", "SELECT FOUND_ROWS()", "SELECT ROW_COUNT()", "SELECT id FROM a LIMIT 3 OFFSET 2", "SELECT FOUND_ROWS()", execute("SELECT id FROM a LIMIT ?, ?", 2, 3), "SELECT FOUND_ROWS()",
        "SELECT id FROM a ORDER BY(id)LIMIT 3,2", "SELECT FOUND_ROWS()", "SELECT GROUP_CONCAT(id ORDER BY id LIMIT 1, 2) FROM a", "SELECT FOUND_ROWS()",
        "SELECT id FROM a ORDER BY id OFFSET 2 ROWS", "SELECT FOUND_ROWS()", "SELECT id FROM a /*!999999 LIMIT 3, 4 */", "SELECT FOUND_ROWS()",
        "SELECT id FROM a LIMIT 2 OFFSET 50", "SELECT FOUND_ROWS()", "SELECT id FROM a UNION SELECT 99 LIMIT 2", "SELECT FOUND_ROWS() AS n",
        "SELECT id FROM a WHERE id < 5", "EXPLAIN SELECT * FROM a", "SELECT FOUND_ROWS()", "SELECT id FROM a WHERE id < 4", "COMMIT", "SELECT FOUND_ROWS()",
        "SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 1", "COMMIT", "SELECT FOUND_ROWS()", "SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 1", "SELEKT", "SELECT FOUND_ROWS(), ROW_COUNT()",
        "SELECT id FROM a WHERE id < 4", "INSERT INTO a (v) SELECT 'x' FROM a LIMIT 2", "SELECT FOUND_ROWS()", "SELECT id FROM a WHERE id < 4", "SHOW CREATE TABLE a", "SELECT 5",
        "SELECT SQL_CALC_FOUND_ROWS x.id FROM a x, a y, a z LIMIT 1", "SELECT FOUND_ROWS()", "SELECT SQL_CALC_FOUND_ROWS x.id FROM a x, a y, a z LIMIT 1", "SELECT FOUND_ROWS() + 1",
        "SELECT id FROM a WHERE id < 4", "USE information_schema", "SELECT FOUND_ROWS()"],
    "numbers of a procedure": ["SELECT 1", "SELECT FOUND_ROWS()", "CALL finds()", execute("SELECT FOUND_ROWS()"), "CALL ins()", "SELECT ROW_COUNT()", "CALL ins()", "COMMIT", "SELECT ROW_COUNT()"],
    "row count": [
        "UPDATE a SET n = 0 WHERE id < 4", "SELECT ROW_COUNT()", "SELECT ROW_COUNT()", "DELETE FROM a WHERE id = 9", "SELECT ROW_COUNT(), LAST_INSERT_ID()",
        execute("UPDATE a SET n = ? WHERE id > ?", 5, 3), "SELECT ROW_COUNT()", execute("UPDATE a SET n = ? WHERE id > ?", 6, 3), execute("SELECT ROW_COUNT()"),
        "SELECT id FROM a", "SELECT ROW_COUNT()", "INSERT INTO a (v) VALUES ('1'), ('2')", "SELECT ROW_COUNT()", "UPDATE a SET n = 1; DELETE FROM a WHERE id = 8", "SELECT ROW_COUNT()",
        "SELEKT", "SELECT ROW_COUNT()", "DO 1", "SELECT ROW_COUNT()", "SET @r = 1", "SELECT ROW_COUNT()"],
    "numbers in one list": [
        "SELECT id FROM a LIMIT 2", "SELECT FOUND_ROWS()", "SELECT id FROM a LIMIT 4", "UPDATE a SET n = 0 WHERE id < 4", "SELECT FOUND_ROWS(), ROW_COUNT()", "SELECT ROW_COUNT(), FOUND_ROWS()", "INSERT INTO a (v) VALUES ('1'), ('2')",
        "SELECT LAST_INSERT_ID(), ROW_COUNT() AS n", "DELETE FROM a WHERE id = 9", execute("SELECT FOUND_ROWS(), ROW_COUNT(), LAST_INSERT_ID()"), "SELECT id FROM a LIMIT 3",
        "BEGIN", "SELECT FOUND_ROWS(), ROW_COUNT()", "COMMIT", "SELECT id FROM a LIMIT 3", "BEGIN", "UPDATE a SET n = 7 WHERE id < 3", execute("SELECT ROW_COUNT() r, FOUND_ROWS()"), "ROLLBACK",
        "SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 1", "UPDATE a SET n = 3 WHERE id < 3", "SELECT FOUND_ROWS(), ROW_COUNT()", "CALL ins()", "SELECT LAST_INSERT_ID(), ROW_COUNT()",
        "SELECT id FROM a LIMIT 3", "SELEKT", "SELECT FOUND_ROWS(), ROW_COUNT(), FOUND_ROWS()"],
    "row count, of many kinds": [
        "UPDATE a SET n = 0 WHERE id < 4", "SELECT ROW_COUNT() AS n", "UPDATE a SET n = 1 WHERE id < 4", execute("SELECT ROW_COUNT()"), "CREATE TABLE b (i INT)",
        "SELECT ROW_COUNT()", "INSERT INTO b VALUES (1), (2), (3)", "SELECT ROW_COUNT()", "DROP TABLE b", "SELECT ROW_COUNT()", "SHOW TABLES", "SELECT ROW_COUNT()", "SELECT v FROM a WHERE id = 1",
        "SELECT ROW_COUNT()", "SELECT ROW_COUNT(), FOUND_ROWS()", "SELEKT", execute("SELECT ROW_COUNT()"), "INSERT INTO a (id) VALUES (1)", "SELECT ROW_COUNT()", "SELECT 1; DELETE FROM a WHERE id > 7",
        "SELECT ROW_COUNT()"],
    "row count, among other things": [
        "UPDATE a SET n = 50 WHERE id = 1", "SELECT IF(ROW_COUNT() > 0, 'some', 'none')", "UPDATE a SET n = 50 WHERE id = 1", "SELECT IF(ROW_COUNT() > 0, 'some', 'none')", "DELETE FROM a WHERE id = 2",
        execute("SELECT ROW_COUNT() + ?", 5), "SELECT id FROM a", "SELECT ROW_COUNT() + 0", "SELECT id FROM a LIMIT 3", "INSERT INTO a (v) VALUES ('x')", "SELECT 2 * ROW_COUNT()", "SELECT FOUND_ROWS()",
        "SELECT id FROM a LIMIT 3", "DELETE FROM a WHERE id < 0", "SELECT -ROW_COUNT() AS n", "SELECT FOUND_ROWS()"],
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
        "SELECT CAST('1x' AS SIGNED) FROM a WHERE id = 1", "/* suimon: primary */ SHOW TABLES LIKE 'b'", "SHOW COUNT(*) WARNINGS", "SELECT CAST('1x' AS SIGNED) FROM a WHERE id = 1",
        "/* suimon: primary */ SHOW GRANTS", "SHOW WARNINGS", "INSERT INTO a (id) VALUES (1)", "SELECT id FROM a WHERE id < 2", "SET @x = 3", "SELECT @@warning_count, @@error_count"],
    "warnings of a variable set without its scope": [
        "SET @@max_sort_length = 1", "SHOW WARNINGS", "SELECT @@warning_count", "SET @@group_concat_max_len = 1, @@time_zone = '+01:00'", "SHOW COUNT(*) WARNINGS",
        "GET DIAGNOSTICS CONDITION 1 @t = MESSAGE_TEXT", "SELECT @t", execute("SET @@max_sort_length = 2"), "SHOW WARNINGS", "SELECT ROW_COUNT()"],
    "warnings of a read, past what pins": ["SELECT CAST('1x' AS SIGNED) FROM a WHERE id = 1", "SET @x = 3", "SHOW WARNINGS", "SHOW COUNT(*) WARNINGS", "SELECT @@warning_count", "SELECT @x", "SELECT FOUND_ROWS()"],
    "warnings of a read, past a read that pins": ["SELECT CAST('1x' AS SIGNED) FROM a WHERE id < 3", "SELECT @x := 5", "SELECT FOUND_ROWS()", "GET DIAGNOSTICS @n = NUMBER", "SELECT @n", "SHOW WARNINGS"],
    "found rows, past a failure": ["SELECT id FROM a LIMIT 2", "SELEKT", "SELECT FOUND_ROWS(), ROW_COUNT()", "SELECT FOUND_ROWS()",
                                   "SELECT id FROM a LIMIT 3", "SHOW WARNINGS", "SELEKT", "SELECT FOUND_ROWS()",
                                   "SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 2", "SELECT * FROM none", "SELECT FOUND_ROWS() + 1",
                                   "SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 2", only_prepare("SELECT v FROM a WHERE id = ?"), "SELECT FOUND_ROWS()"],
    "diagnostics": [
        "SELECT * FROM none", "GET DIAGNOSTICS CONDITION 1 @code = MYSQL_ERRNO, @text = MESSAGE_TEXT", "SELECT @code, @text", "UPDATE a SET n = 3 WHERE id < 3",
        "GET DIAGNOSTICS @rows = ROW_COUNT", "SELECT @rows"],
    "diagnostics of a write": ["SELECT id FROM a LIMIT 3", "UPDATE a SET n = 77 WHERE id = 1", "GET DIAGNOSTICS @r = ROW_COUNT", "SELECT @r", "SELECT FOUND_ROWS()"],
    "diagnostics of a write that changes nothing": ["DELETE FROM a WHERE id < 0", "GET CURRENT DIAGNOSTICS @n = NUMBER, @r = ROW_COUNT", "SELECT @n, @r"],
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
ROUTINES = ["CREATE PROCEDURE finds() SELECT id FROM a WHERE id < 3",
            "CREATE PROCEDURE ins() INSERT INTO a (v) VALUES ('call')",
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

    def __init__(self, suimon, db, stack, **how):
        self.sessions = [stack.enter_context(suimon.connect(database=db.name, **how)) for _ in range(3)]
        self.turn = 0

    def __call__(self):
        statements = ["INSERT INTO noise (x) VALUES ('n')", "SELECT CAST('9z' AS SIGNED), id FROM noise LIMIT 3", "UPDATE noise SET x = 'm'",
                      "SELECT SQL_CALC_FOUND_ROWS id FROM noise LIMIT 1", "SELECT name FROM whoami", "DELETE FROM noise WHERE id < 0"]
        for c in self.sessions:
            self.turn += 1
            ask(c, statements[self.turn % len(statements)])


@pytest.mark.parametrize("pool, flag", [(2, 0), (50, 0), (50, MULTI_STATEMENTS)])
@pytest.mark.parametrize("what", CONVERSATIONS)
def test_answers_as_on_one_connection(suimon, db, what, pool, flag):
    """With two server connections for four sessions each one changes hands all the time; with fifty reads go to replicas. With the same flag
    connections go from one session to another, without it they make room for others."""
    s = suimon({"threads": 1, "backend": {"pool": {"max": pool, "min_idle": 0}}})
    fresh(db)
    want = converse(db.direct(client_flag=MULTI_STATEMENTS), CONVERSATIONS[what])
    fresh(db)
    with contextlib.ExitStack() as stack:
        got = converse(s.connect(database=db.name, client_flag=MULTI_STATEMENTS), CONVERSATIONS[what], Noise(s, db, stack, client_flag=flag))
    for step, w, g in zip(CONVERSATIONS[what], want, got):
        assert g == w, step


@pytest.mark.parametrize("asks", [["SELECT IF(ROW_COUNT() = 3, 'all', 'some')"], ["GET DIAGNOSTICS @r = ROW_COUNT", "SELECT @r"]], ids=["an expression", "diagnostics"])
def test_a_row_count_among_other_things_where_connections_are_free(suimon, db, asks):
    """P3: of several rows only the connection that has changed them knows: it is kept once somebody has asked."""
    steps = ["UPDATE a SET n = 50 WHERE id < 4", *asks]
    fresh(db)
    want = converse(db.direct(client_flag=MULTI_STATEMENTS), steps)
    fresh(db)
    s = suimon({"threads": 1})
    with contextlib.ExitStack() as stack:
        with s.connect(database=db.name) as c:
            ask(c, asks[0])
        assert converse(s.connect(database=db.name, client_flag=MULTI_STATEMENTS), steps, Noise(s, db, stack)) == want


def test_what_nobody_asks_for_any_more_goes_first(suimon, db):
    """P3: a full pool lends what ended sessions, and sessions that are elsewhere by now, have left, before what may be asked for next."""
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 6, "min_idle": 0}}})
    fresh(db)
    with contextlib.ExitStack() as stack:
        asks, other = (stack.enter_context(s.connect(database=db.name)) for _ in range(2))
        with contextlib.ExitStack() as gone:
            for _ in range(5):
                ask(gone.enter_context(s.connect(database=db.name)), "INSERT INTO noise (x) VALUES ('n')")
        with pytest.raises(Exception):
            ask(asks, "INSERT INTO a (id) VALUES (2)")
        for _ in range(4):
            ask(other, "INSERT INTO noise (x) VALUES ('n')")
            assert ask(asks, "SHOW WARNINGS")[0][1] == 1062


@pytest.mark.parametrize("flag", [MULTI_STATEMENTS, 0], ids=["handed over", "closed"])
@pytest.mark.parametrize("what", ["insert id, prepared", "found rows", "found rows, of many kinds", "found rows, past a failure", "row count, of many kinds"])
def test_numbers_are_right_though_each_statement_finds_its_connection_gone(suimon, db, what, flag):
    """P3: one server connection for four sessions, of which each has it between any two statements; or it makes room for one of another kind."""
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    fresh(db)
    want = converse(db.direct(client_flag=MULTI_STATEMENTS), CONVERSATIONS[what])
    fresh(db)
    with contextlib.ExitStack() as stack:
        with s.connect(database=db.name) as c:
            ask(c, "SELECT FOUND_ROWS()")  # somebody uses it
        got = converse(s.connect(database=db.name, client_flag=MULTI_STATEMENTS), CONVERSATIONS[what], Noise(s, db, stack, client_flag=flag))
    for step, w, g in zip(CONVERSATIONS[what], want, got):
        assert g == w, step


@mariadb_only("sequences")
@pytest.mark.parametrize("pool", [3, 50])
def test_what_a_sequence_gave_last_is_the_sessions(suimon, db, pool):
    """P1, P3: only the connection that was asked for the next value knows the last one: sessions keep theirs once somebody has asked for it."""
    fresh(db)
    db.setup("CREATE SEQUENCE s")
    i = suimon({"threads": 1, "backend": {"pool": {"max": pool, "min_idle": 0}}})
    with contextlib.ExitStack() as stack:
        with i.connect(database=db.name) as c:
            ask(c, "SELECT PREVIOUS VALUE FOR s")
        noise = Noise(i, db, stack)
        c, other = (stack.enter_context(i.connect(database=db.name)) for _ in range(2))
        for _ in range(3):
            got = ask(c, "SELECT NEXTVAL(s)")
            noise()
            ask(other, "SELECT NEXT VALUE FOR s")
            noise()
            assert ask(c, "SELECT LASTVAL(s)") == got
            assert ask(c, "SELECT PREVIOUS VALUE FOR s") == got


@mariadb_only("sequences")
def test_a_sequence_alone_pins_nobody(suimon, db):
    fresh(db)
    db.setup("CREATE SEQUENCE s")
    i = suimon({"threads": 1})
    with i.connect(database=db.name) as c:
        ask(c, "SELECT NEXTVAL(s)")
        assert pinned(i) == [None]
        ask(c, "SELECT LASTVAL(s)")
        assert pinned(i) == ["session_state"]


@mariadb_only("its forms of the trace")
def test_a_trace_is_of_the_sessions_own_statement(suimon, db):
    fresh(db)
    i = suimon({"threads": 1})
    with contextlib.ExitStack() as stack:
        noise = Noise(i, db, stack)
        c = stack.enter_context(i.connect(database=db.name))
        ask(c, "SET optimizer_trace = 'enabled=off'")
        assert pinned(i)[-1] is None
        ask(c, "SET optimizer_trace = 'enabled=on'")
        assert pinned(i)[-1] == "session_state"
        for sql in ("SELECT id FROM a WHERE n = 1234", "SELECT id FROM a WHERE n = 4321"):
            ask(c, sql)
            noise()
            assert ask(c, "SELECT query FROM information_schema.optimizer_trace") == ((sql,),)


@pytest.mark.parametrize("flush", ["FLUSH STATUS", "FLUSH LOCAL STATUS"])
def test_counters_that_begin_anew_are_of_the_sessions_own_statements(suimon, db, flush):
    """P1: who flushes them reads them; pooled connections have others', and reads that a cache answers are none of a server's."""
    fresh(db)
    i = suimon({"threads": 1, "cache": {"rules": [{"match": {"query": "."}, "ttl": "1h"}]}})
    count = "SHOW SESSION STATUS LIKE 'Handler_read_key'"
    with contextlib.ExitStack() as stack:
        db.cluster.primary.sql("GRANT RELOAD ON *.* TO app@'%'")
        stack.callback(db.cluster.primary.sql, "REVOKE RELOAD ON *.* FROM app@'%'")
        noise = Noise(i, db, stack)
        c = stack.enter_context(i.connect(database=db.name))
        direct = stack.enter_context(db.direct())
        for each in (direct, c):
            ask(each, "SELECT id FROM a WHERE id = 1")
            ask(each, flush)
        assert pinned(i)[-1] == "session_state"
        for _ in range(3):
            for each in (direct, c):
                assert ask(each, "SELECT id FROM a WHERE id = 1") == ((1,),)
            noise()
            assert ask(c, count) == ask(direct, count)


UNTOLD_IDS = [
    "INSERT INTO a (v) VALUES ('x')", "SELECT LAST_INSERT_ID()", "CALL ins()", "SELECT LAST_INSERT_ID()", "SELECT LAST_INSERT_ID(5)", "SELECT LAST_INSERT_ID()", "CALL ins()", "SELECT COUNT(*) FROM a",
    "SELECT LAST_INSERT_ID()", execute("SELECT LAST_INSERT_ID(?)", 42), "SELECT @@identity", "CALL finds()", "SELECT LAST_INSERT_ID()", execute("CALL ins()"), "COMMIT", "SELECT LAST_INSERT_ID()",
    "SELECT LAST_INSERT_ID(7) FROM a LIMIT 1", "SELECT id FROM a WHERE id = LAST_INSERT_ID()"]


GIVEN_IDS = [
    "SELECT LAST_INSERT_ID()", "INSERT INTO a (id, v) VALUES (400, 'y')", "SELECT LAST_INSERT_ID()", "INSERT INTO a (v) VALUES ('x')", "INSERT INTO a (id, v) VALUES (500, 'y')", "SELECT LAST_INSERT_ID()",
    "SELECT n FROM a WHERE id = 2", "SELECT LAST_INSERT_ID()", execute("INSERT INTO a (id, v) VALUES (?, ?)", 600, "p"), "SELECT COUNT(*) FROM a", "SELECT @@identity",
    "REPLACE INTO a (id, v) VALUES (1, 'z')", "SELECT id FROM a WHERE id = LAST_INSERT_ID()", "INSERT INTO a (id, v) VALUES (2, 'q') ON DUPLICATE KEY UPDATE v = 'q'", "SELECT LAST_INSERT_ID()",
    "INSERT INTO a SELECT 700, 'sel', 1", "SELECT LAST_INSERT_ID()", "INSERT INTO a VALUES (800, 'all', 1)", "COMMIT", "SELECT LAST_INSERT_ID()", "INSERT INTO a (v) VALUES ('new')",
    "SELECT LAST_INSERT_ID()", "INSERT INTO a VALUES (NULL, 'new', 2)", "COMMIT", "SELECT LAST_INSERT_ID()", "INSERT INTO u (k) VALUES (1)", "INSERT INTO a (v) VALUES ('new')",
    "INSERT INTO u (k) VALUES (1) ON DUPLICATE KEY UPDATE k = 1", "SELECT LAST_INSERT_ID()", "INSERT INTO a (id, v) VALUES (900, 'm'); SELECT LAST_INSERT_ID()", "SELECT LAST_INSERT_ID()"]


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("flag", [MULTI_STATEMENTS, 0], ids=["handed over", "closed"])
@pytest.mark.parametrize("steps", [UNTOLD_IDS, GIVEN_IDS], ids=["untold", "given"])
def test_insert_ids_that_no_reply_tells(suimon, db, pool, flag, steps):
    """P3: a procedure's, what the function itself is given, and that of before, where a row is given its number: though four sessions share one
    connection to the primary, or two."""
    unique = "CREATE TABLE u (id INT PRIMARY KEY AUTO_INCREMENT, k INT UNIQUE)"
    fresh(db)
    db.setup(unique)
    want = converse(db.direct(client_flag=MULTI_STATEMENTS), steps)
    fresh(db)
    db.setup(unique)
    s = suimon({"threads": 1, "backend": {"pool": {"max": pool, "min_idle": 0}}})
    with contextlib.ExitStack() as stack:
        got = converse(s.connect(database=db.name, client_flag=MULTI_STATEMENTS), steps, Noise(s, db, stack, client_flag=flag))
    for i, (w, g) in enumerate(zip(want, got)):
        assert g == w, (i, steps[i])


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
@pytest.mark.parametrize("sql", ["INSERT INTO a (id, v) VALUES (500, 'y')", "REPLACE INTO a (id, v) VALUES (500, 'y')", "INSERT INTO a VALUES (500, 'y', 1)",
                                 "INSERT INTO a SET v = 'y', id = 500", "INSERT INTO a (v, id) SELECT 'y', 500",
                                 "INSERT INTO second (grp, id) VALUES (1, 500)", "INSERT INTO broken (v, id) VALUES (1, 500)"])
def test_nobody_is_told_anothers_insert_id(suimon, db, sql, known):
    """P3: the OK of such an INSERT has its own number, LAST_INSERT_ID() is what it was: not what another session has left on that connection."""
    fresh(db)
    db.setup("CREATE TABLE second (grp INT, id INT AUTO_INCREMENT, KEY (grp, id)) ENGINE = MyISAM",
             "CREATE TABLE broken (v INT, id %s AUTO_INCREMENT PRIMARY KEY)" % ("DOUBLE" if KIND == "mariadb" else "INT"))
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 2, "min_idle": 0}}, "cache": {"rules": [{"match": {"schema": db.name}, "ttl": "1h"}] if known else []}})
    with s.connect(database=db.name) as a, s.connect(database=db.name) as b, s.connect(database=db.name) as c:
        ask(a, "INSERT INTO a (v) VALUES ('x')")
        own = ask(a, "SELECT LAST_INSERT_ID()")
        ask(c, "BEGIN")  # one of the two connections is its own
        ask(b, "INSERT INTO noise (x) VALUES ('x')")
        assert ask(b, "SELECT LAST_INSERT_ID()") == ((5000,),)
        ask(a, sql)
        assert ask(a, "SELECT LAST_INSERT_ID()") == own
        assert ask(b, "SELECT LAST_INSERT_ID()") == ((5000,),)
        assert ask(a, "SELECT LAST_INSERT_ID()") == own


@mariadb_only("INSERT .. RETURNING")
@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_an_insert_that_returns_its_row_sets_the_id(suimon, db, known):
    """P3: its reply is rows and tells no id, and others have the connection before it and behind it."""
    fresh(db)
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}, "cache": {"rules": [{"match": {"schema": db.name}, "ttl": "1h"}] if known else []}})
    with s.connect(database=db.name) as a, s.connect(database=db.name) as b:
        ask(a, "INSERT INTO a (v) VALUES ('x')")
        ask(a, "SELECT LAST_INSERT_ID()")
        for _ in range(2):
            ask(b, "INSERT INTO noise (x) VALUES ('x')")
            own = ask(a, "INSERT INTO a (v) VALUES ('x') RETURNING id")
            ask(b, "INSERT INTO noise (x) VALUES ('x')")
            assert ask(a, "SELECT LAST_INSERT_ID()") == own


@pytest.mark.parametrize("threads", [1, 2])
def test_numbers_are_right_while_others_wait_for_the_connections(suimon, db, threads):
    """P3: twelve sessions at once, each of its own number of rows, and two connections a server for all of them."""
    fresh(db)
    db.setup("CREATE TABLE b (id INT PRIMARY KEY, n INT)", "INSERT INTO b SELECT seq, 0 FROM " + numbers(1, 12 * 50))
    s = suimon({"threads": threads, "backend": {"pool": {"max": 2, "min_idle": 0}}})

    def talk(me):
        with s.connect(database=db.name) as c:
            for i in range(60):
                most = 12 * (me + 1) + i
                ask(c, "SELECT SQL_CALC_FOUND_ROWS id FROM b WHERE id <= %d LIMIT 1" % most)
                got = [ask(c, "SELECT FOUND_ROWS()"), ask(c, "SELECT FOUND_ROWS()")]
                ask(c, "/* suimon: primary */ SELECT id FROM b WHERE id <= %d" % (me + 1))
                got.append(ask(c, "SELECT FOUND_ROWS()"))
                ask(c, "UPDATE b SET n = n + 1 WHERE id BETWEEN %d AND %d" % (50 * me + 1, 50 * me + me + 1))
                got.append(ask(c, "SELECT ROW_COUNT()"))
                assert got == [((most,),), ((1,),), ((me + 1,),), ((me + 1,),)], i
        return True

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert all(pool.map(talk, range(12)))
    assert s.metrics()["suimon_pool_waits_total"] > 12


@pytest.mark.parametrize("flag", [0, IGNORE_SPACE], ids=["a reset is enough", "a reset is not enough"])
def test_what_is_left_outlives_a_state_that_only_a_reset_brings_back(suimon, db, flag):
    """P3: a statement that was prepared under other variables has its connection reset, and may find it where the session has left something."""
    def talk(connection, between=lambda: None):
        with Wire(connection) as w:
            bare = w.prepare("SELECT ? + 1")
            between()  # the connection on which it was prepared makes room for another's
            w.query("SET sql_mode = 'ANSI_QUOTES'")
            w.query("SELECT LAST_INSERT_ID()")
            w.query("CALL ins()")
            return [bare.execute((1,)), w.query("SELECT LAST_INSERT_ID()")]
    fresh(db)
    want = talk(db.direct(client_flag=MULTI_STATEMENTS | flag))
    fresh(db)
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with contextlib.ExitStack() as stack:
        assert talk(s.connect(database=db.name, client_flag=MULTI_STATEMENTS | flag), Noise(s, db, stack)) == want


def test_the_first_to_ask_is_not_told_what_a_procedure_has_left_to_another(suimon, db):
    """P3: also what was left before anybody had asked, when nothing was done for it yet."""
    fresh(db)
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with s.connect(database=db.name) as a, s.connect(database=db.name) as other:
        ask(other, "CALL ins()")
        assert ask(a, "SELECT LAST_INSERT_ID()") == ((0,),)


def test_the_first_to_ask_is_not_told_anothers_behind_an_id_of_its_own(suimon, db):
    fresh(db)
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with s.connect(database=db.name) as a, s.connect(database=db.name) as other:
        ask(other, "INSERT INTO noise (x) VALUES ('n')")
        ask(a, "INSERT INTO a (id) VALUES (500)")
        assert ask(a, "SELECT LAST_INSERT_ID()") in (((500,),), ((0,),))  # 0 it is before the server itself; what nobody has asked for yet is taken from the OK


@pytest.mark.parametrize("threads", [1, 2])
def test_who_waits_gets_what_it_used_last_if_that_is_free(suimon, db, threads):
    """P3: in a full pool it may come to its turn while both that and another are: what was left is on the former alone."""
    fresh(db)
    s = suimon({"threads": threads, "backend": {"pool": {"max": 4, "min_idle": 0}, "failover_hold": "60s"}})

    def talk(me):
        account = ("app", "app") if me % 2 else ("guest", "guest")
        for i in range(40):
            with s.connect(*account, database=db.name) as c:
                for k in range(1, 5):
                    ask(c, "SELECT LAST_INSERT_ID(%d)" % (1000 * (me + 1) + i + k))
                    assert ask(c, "SELECT LAST_INSERT_ID()") == ((1000 * (me + 1) + i + k,),), (me, i, k)
        return True

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert all(pool.map(talk, range(6)))


@mariadb_only("EXECUTE IMMEDIATE is its own")
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
PAGE, BOUND_PAGE = "SELECT id FROM a ORDER BY id LIMIT 3 OFFSET 2", execute("SELECT id FROM a ORDER BY id LIMIT ?, ?", 2, 3)
BEHIND_A_HIT = [
    READ, READ, "SELECT FOUND_ROWS()", "SELECT FOUND_ROWS()", READ, "SELECT ROW_COUNT()", FEW, FEW, execute("SELECT FOUND_ROWS()"), READ, "SELECT FOUND_ROWS(), ROW_COUNT()",
    "SELECT v FROM a WHERE id = 77", "SELECT v FROM a WHERE id = 77", "SELECT FOUND_ROWS() AS none",
    "SELECT CAST('1x' AS SIGNED) FROM a WHERE id = 1", "SHOW WARNINGS", READ, "SHOW WARNINGS", "SELECT @@warning_count", "SELECT * FROM none", READ, "SHOW COUNT(*) ERRORS",
    "INSERT IGNORE INTO whoami VALUES ('longer than it may be')", READ, "COMMIT", "SHOW WARNINGS", "SELECT FOUND_ROWS()", "SELEKT", READ, "DO 1", "SELECT @@error_count",
    "SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 2", READ, FEW, "SELECT FOUND_ROWS()",
    PAGE, PAGE, "SELECT FOUND_ROWS()", PAGE, "SELECT FOUND_ROWS() + 0", BOUND_PAGE, BOUND_PAGE, "SELECT FOUND_ROWS()", BOUND_PAGE, "SELECT FOUND_ROWS() + 0",
    READ, "GET DIAGNOSTICS @r = ROW_COUNT", "SELECT @r", "SELECT id FROM a WHERE id < 3", "SELECT FOUND_ROWS()"]
PINNED_BEHIND_A_HIT = [READ, READ, "BEGIN", "SELECT FOUND_ROWS()", "COMMIT", FEW, FEW, "BEGIN", "SELECT ROW_COUNT()", execute("SELECT FOUND_ROWS()"), "ROLLBACK"]


@pytest.mark.parametrize("pool", [2, 50])
@pytest.mark.parametrize("steps", [BEHIND_A_HIT, PINNED_BEHIND_A_HIT], ids=["free", "pinned"])
def test_behind_a_cache_hit_too(suimon, db, pool, steps):
    """The cache has answered: no connection knows of it, and the one that is asked is told."""
    fresh(db)
    s = suimon({"threads": 1, "backend": {"pool": {"max": pool, "min_idle": 0}}, "cache": {"rules": [{"match": {"table": db.name + ".a"}, "ttl": "1h"}]}})
    want = converse(db.direct(client_flag=MULTI_STATEMENTS), steps)
    with contextlib.ExitStack() as stack:
        got = converse(s.connect(database=db.name, client_flag=MULTI_STATEMENTS), steps, Noise(s, db, stack))
    for step, w, g in zip(steps, want, got):
        assert g == w, step
    assert s.metrics()['suimon_cache_hits_total{level="memory"}'] >= (8 if steps is BEHIND_A_HIT else 2)


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
                w.query("SELECT SQL_CALC_FOUND_ROWS id FROM a LIMIT 0")
                w.query("INSERT INTO log (v) VALUES (3)")
                answers += [w.query("SELECT FOUND_ROWS() + 7")]
                w.query("SELECT id FROM a UNION SELECT 7 UNION SELECT 8")
                w.query("INSERT INTO log (v) VALUES (4)")
                answers += [w.query("SELECT FOUND_ROWS()")]
                w.query("SELECT CAST('1x' AS SIGNED) FROM a")
                w.query("INSERT INTO log (v) VALUES (5)")
                answers += [w.query("COMMIT"), w.query("SHOW WARNINGS"), w.query("SELECT FOUND_ROWS()")]
            return answers
    want = talk(db.direct())
    assert talk(s.connect(database=db.name)) == want
    assert s.metrics()["suimon_queue_enqueued_total"] >= 4


def test_others_warnings_are_ended_at_little_cost(suimon, db):
    """P4: what is prepared on a connection, and what was set there, stays: nothing is prepared again because a statement before had warnings."""
    fresh(db)
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with Wire(s.connect(database=db.name)) as a, s.connect(database=db.name) as b:
        read, bare = a.prepare("SELECT n FROM a WHERE id = ?"), a.prepare("SELECT ? + 1")
        before = s.metrics()
        for i in range(5):
            ask(b, "INSERT IGNORE INTO a (id) VALUES (1)")
            a.query("BEGIN")
            read.execute((2,))
            bare.execute((i,))
            assert a.query("SHOW WARNINGS") == a.query("SHOW ERRORS")
            a.query("COMMIT")
            assert ask(b, "SHOW WARNINGS") == ()
        after = s.metrics()
    assert after["suimon_prepared_reprepares_total"] == before["suimon_prepared_reprepares_total"]
    assert after["suimon_session_restores_total"] == before["suimon_session_restores_total"]


@pytest.mark.parametrize("question", ["SHOW WARNINGS", "SHOW ERRORS", "SELECT @@error_count, @@warning_count"])
def test_nobody_is_told_of_anothers_error(suimon, db, question):
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with s.connect(database=db.name) as c, s.connect(database=db.name) as other:
        for _ in range(3):
            with pytest.raises(pymysql.MySQLError):
                ask(other, "INSERT INTO secret_name VALUES (1)")
            assert ask(c, question) in ((), ((0, 0),))
