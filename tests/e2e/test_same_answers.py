"""P1: the same statements direct and through suimon give the same packets, byte for byte."""
from types import SimpleNamespace

import pymysql
import pytest

from conftest import ISOLATION, KIND, ask
from wire import MULTI_STATEMENTS, RESET_CONNECTION, Wire

TYPES = """CREATE TABLE types (
    id INT PRIMARY KEY AUTO_INCREMENT, ti TINYINT, si SMALLINT UNSIGNED, mi MEDIUMINT, bi BIGINT UNSIGNED, de DECIMAL(30,10),
    fl FLOAT, dou DOUBLE, bits BIT(20), d DATE, t TIME(3), dt DATETIME(6), ts TIMESTAMP NULL, y YEAR, c CHAR(10), v VARCHAR(100),
    b BINARY(8), vb VARBINARY(50), tx TEXT, bl BLOB, e ENUM('one','two'), s SET('a','b','c'), j JSON, g GEOMETRY, ine %s)""" % ("INET6" if KIND == "mariadb" else "VARCHAR(39)")
VALUES = """INSERT INTO types VALUES
    (NULL, -128, 65535, -8388608, 18446744073709551615, 12345678901234567890.0123456789, 1.5, 2.25e100, b'1010',
     '2024-02-29', '-12:34:56.789', '2024-02-29 23:59:59.123456', '2001-02-03 04:05:06', 2024, 'char', 'värchar 水門',
     x'00ff', x'deadbeef', 'text', x'000102', 'two', 'a,c', '{"a": [1, 2]}', POINT(1, 2), '::1'),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL)"""

SCRIPTS = {
    "selects": [
        "SELECT 1", "SELECT 'a', NULL, 1.5, -1, 18446744073709551615, x'00', b'1', DATE'2024-01-01'", "SELECT * FROM types",
        "SELECT t1.id AS x, t2.v `y z` FROM types t1 JOIN types t2 ON t1.id <= t2.id ORDER BY 1, 2",
        "SELECT COUNT(*), SUM(ti), AVG(si), GROUP_CONCAT(v) FROM types", "SELECT v FROM types WHERE id = -1",
        "(SELECT 1) UNION (SELECT 2) ORDER BY 1 DESC", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5) SELECT * FROM n",
        "SELECT /*! 1 + */ 1", "/* a comment */ SELECT 2 -- tail", "SELECT 3 # tail", "VALUES (1,2),(3,4)", "TABLE types",
        "SELECT * FROM (SELECT id FROM types) x WHERE id IN (SELECT MAX(id) FROM types)", "select Sql_No_Cache id from types",
        "SELECT 1 AS `ünï`", "SELECT ''", "SELECT REPEAT('x', 300)", "SELECT REPEAT('x', 70000)", "DO 1", "SELECT 1 INTO @unused"],
    "writes": [
        "INSERT INTO a (v) VALUES ('x')", "SELECT LAST_INSERT_ID()", "INSERT INTO a (v) VALUES ('y'), ('z')", "SELECT LAST_INSERT_ID(), ROW_COUNT()",
        "INSERT INTO a (v) VALUES ('q') RETURNING id, v", "UPDATE a SET v = 'w' WHERE id > 1", "SELECT ROW_COUNT()", "UPDATE a SET v = 'w' WHERE id > 1",
        "REPLACE INTO a VALUES (1, 'r')", "INSERT INTO a VALUES (1, 'dup') ON DUPLICATE KEY UPDATE v = 'dup'", "INSERT IGNORE INTO a VALUES (1, 'ign')",
        "SHOW WARNINGS", "DELETE FROM a WHERE id = 2", "SELECT * FROM a ORDER BY id", "INSERT INTO a SELECT NULL, v FROM a", "TRUNCATE a", "SELECT COUNT(*) FROM a",
        "CREATE TABLE c (x INT) AS SELECT 1 x", "ALTER TABLE c ADD y INT DEFAULT 7", "SELECT * FROM c", "RENAME TABLE c TO c2", "SELECT * FROM c2", "DROP TABLE c2",
        "UPDATE a, types SET a.v = types.v WHERE a.id = types.id", "DELETE a FROM a JOIN types USING (id)"],
    "errors": [
        "SELEKT 1", "SELECT * FROM missing", "SELECT missing FROM types", "INSERT INTO types (id) VALUES (1)", "SELECT 1/0", "SHOW WARNINGS",
        "SELECT * FROM mysql.user", "USE e2e_missing", "SELECT 1 +", "", ";", "CALL missing()", "SELECT 'unterminated",
        "INSERT INTO a (v) VALUES (REPEAT('x', 1000))", "SHOW ERRORS", "SELECT COUNT(*) FROM a", "KILL 999999999", "SELECT (SELECT id FROM types)"],
    "warnings": [
        "SELECT CAST('12x' AS SIGNED)", "SHOW WARNINGS", "SHOW COUNT(*) WARNINGS", "SELECT CAST('12x' AS SIGNED), 1/0", "SELECT @@warning_count",
        "DROP TABLE IF EXISTS missing", "SHOW WARNINGS LIMIT 1", "SELECT 1", "SHOW WARNINGS", "SET sql_mode = ''", "INSERT INTO a (v) VALUES (REPEAT('x', 1000))",
        "SHOW WARNINGS", "SELECT LENGTH(v) FROM a"],
    "show": [
        "SHOW TABLES", "SHOW CREATE TABLE types", "SHOW COLUMNS FROM types", "SHOW INDEX FROM a", "DESCRIBE a", "EXPLAIN SELECT 1", "SHOW VARIABLES LIKE 'version'",
        "SHOW COLLATION LIKE 'utf8mb4_general_ci'", "SHOW GRANTS", "SHOW DATABASES LIKE 'e2e\\_%'", "SHOW CHARACTER SET LIKE 'latin1'",
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1", "SHOW CREATE DATABASE e2e_missing", "HELP 'missing topic'"],
    "transactions": [
        "BEGIN", "INSERT INTO a (v) VALUES ('t')", "SELECT * FROM a", "SAVEPOINT s", "DELETE FROM a", "ROLLBACK TO s", "SELECT COUNT(*) FROM a", "COMMIT",
        "SELECT COUNT(*) FROM a", "START TRANSACTION READ ONLY", "SELECT COUNT(*) FROM a", "INSERT INTO a (v) VALUES ('no')", "ROLLBACK",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT", "SELECT 1", "COMMIT", "SET autocommit = 0", "SELECT COUNT(*) FROM a", "UPDATE a SET v = 'u'", "ROLLBACK",
        "SELECT v FROM a", "SET autocommit = 1", "SELECT v FROM a LOCK IN SHARE MODE", "SELECT v FROM a FOR UPDATE", "BEGIN", "COMMIT AND CHAIN", "ROLLBACK",
        "BEGIN", "CREATE TABLE implicit (x INT)", "SELECT @@in_transaction", "LOCK TABLES a WRITE", "SELECT * FROM a", "SELECT * FROM types", "UNLOCK TABLES",
        "XA START 'x'", "XA END 'x'", "XA ROLLBACK 'x'"],
    "follow-ups": [
        "SELECT SQL_CALC_FOUND_ROWS id FROM types LIMIT 1", "SELECT FOUND_ROWS()", "SET @x = 5, @y := @x + 1", "SELECT @x, @y, @z", "SELECT @n := 7", "SELECT @n",
        "SELECT id INTO @id FROM types LIMIT 1", "SELECT @id", "CREATE TEMPORARY TABLE tmp (x INT)", "INSERT INTO tmp VALUES (1), (2)", "SELECT * FROM tmp", "SHOW TABLES",
        "DROP TEMPORARY TABLE tmp", "SELECT * FROM tmp", "SELECT GET_LOCK('e2e', 1), IS_FREE_LOCK('e2e')", "SELECT RELEASE_LOCK('e2e')",
        "PREPARE p FROM 'SELECT ? + 1'", "SET @v = 4", "EXECUTE p USING @v", "DEALLOCATE PREPARE p", "EXECUTE p USING @v", "HANDLER a OPEN", "HANDLER a READ FIRST",
        "HANDLER a CLOSE", "SELECT LAST_INSERT_ID(42)", "SELECT LAST_INSERT_ID()", "SET STATEMENT max_statement_time = 10 FOR SELECT 1"],
    "session variables": [
        "SET time_zone = '+05:30'", "SELECT @@time_zone, FROM_UNIXTIME(0)", "SELECT ts FROM types", "SET sql_mode = 'ANSI_QUOTES'", "SELECT \"id\" FROM types",
        "SET SESSION sql_mode = DEFAULT", "SELECT \"id\"", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "SELECT 'a\\'", "SET sql_mode = 'PIPES_AS_CONCAT'", "SELECT 'a' || 'b'",
        "SET sql_mode = ''", "SET NAMES latin1", "SELECT v FROM types", "SET NAMES utf8mb4 COLLATE utf8mb4_bin", "SELECT v, COLLATION('x') FROM types",
        "SET character_set_results = NULL", "SELECT v FROM types", "SET NAMES utf8mb4", "SET group_concat_max_len = 5", "SELECT GROUP_CONCAT(v) FROM types",
        "SET lc_time_names = 'de_DE'", "SELECT DATE_FORMAT('2024-03-01', '%M')", "SET @@session.timestamp = 1000000000", "SELECT NOW(), CURDATE(), UNIX_TIMESTAMP()",
        "SET timestamp = DEFAULT", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SELECT @@" + ISOLATION, "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SELECT @@" + ISOLATION, "SET nothing_like_it = 1", "SET div_precision_increment = 8", "SELECT 1/3", "SET sql_select_limit = 1", "SELECT id FROM types"],
    "several at once": [
        "SELECT 1; SELECT 2", "INSERT INTO a (v) VALUES ('m'); SELECT LAST_INSERT_ID(); SELECT * FROM a", "SELECT 1; SELEKT; SELECT 3", "SET @m = 3; SELECT @m", "SELECT @m",
        "BEGIN; INSERT INTO a (v) VALUES ('b'); ROLLBACK; SELECT COUNT(*) FROM a", "SELECT 1;", "; SELECT 1", "SELECT ';'; SELECT 2",
        "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END"],
    "routines": [
        "CREATE PROCEDURE two() BEGIN SELECT 1 AS a; SELECT id, v FROM types; INSERT INTO a (v) VALUES ('p'); END", "CALL two()", "CALL two(); SELECT 5",
        "CREATE PROCEDURE out_(OUT o INT) SET o = 9", "CALL out_(@o)", "SELECT @o", "CREATE FUNCTION f(x INT) RETURNS INT RETURN x + 1", "SELECT f(1), f(id) FROM types",
        "CREATE PROCEDURE fails() BEGIN SELECT 1; SELECT * FROM missing; END", "CALL fails()", "CREATE VIEW vw AS SELECT id, v FROM types", "SELECT * FROM vw",
        "CREATE TRIGGER tr BEFORE INSERT ON a FOR EACH ROW SET NEW.v = UPPER(NEW.v)", "INSERT INTO a (v) VALUES ('low')", "SELECT v FROM a",
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine'"],
    "schemas": [
        "SELECT DATABASE()", "USE information_schema", "SELECT DATABASE()", "SELECT TABLE_NAME FROM TABLES WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME = 'TABLES'", "SELECT * FROM types"],
}


def run(db, connection, statements):
    with Wire(connection) as w:
        return [w.query(s) for s in statements]


def fresh(db):
    """The schema as every script finds it: same names and numbers each time."""
    with db.cluster.primary.root() as c, c.cursor() as cur:
        cur.execute("DROP DATABASE `%s`" % db.name)
        cur.execute("CREATE DATABASE `%s`" % db.name)
    db.setup(TYPES, VALUES, "CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(100))")


@pytest.mark.parametrize("script,user", [(s, "app") for s in SCRIPTS] + [("selects", "guest"), ("follow-ups", "guest")])
def test_same_packets(db, proxy, script, user):
    statements = SCRIPTS[script]
    fresh(db)
    want = run(db, db.direct(user, client_flag=MULTI_STATEMENTS), statements)
    fresh(db)
    got = run(db, proxy.connect(user, user, database=db.name, client_flag=MULTI_STATEMENTS), statements)
    for statement, w, g in zip(statements, want, got):
        assert g == w, statement


@pytest.mark.parametrize("charset", ["latin1", "cp932", "gbk", "utf8mb4", "sjis", "big5"])
def test_bytes_of_every_character_set_arrive_as_sent(db, proxy, charset):
    """Multi-byte characters whose second byte is a backslash or a quote must not mislead the lexer."""
    python = {"utf8mb4": "utf-8", "sjis": "shift_jis"}.get(charset, charset)
    text = {"latin1": "é'\\", "big5": "功許蓋"}.get(charset, "表ソ能") .encode(python)
    statements = [b"SET NAMES " + charset.encode(), b"CREATE TABLE chars (v VARCHAR(40) CHARACTER SET utf8mb4)",
                  b"INSERT INTO chars VALUES ('" + text.replace(b"'", b"''") + (b"\\" if charset == "latin1" else b"") + b"')",
                  b"SELECT v, HEX(v) FROM chars", b"SELECT v FROM chars WHERE v LIKE '%" + text[:2] + b"%'", b"DROP TABLE chars"]
    want = run(db, db.direct(), statements)
    got = run(db, proxy.connect(database=db.name), statements)
    for statement, w, g in zip(statements, want, got):
        assert g == w, statement


# MariaDB does not know 255, and then answers by whatever the connection's thread was left with.
@pytest.mark.parametrize("collation", [8, 28, 33, 45, 46, 63, 224] + [255] * (KIND == "mysql"))
def test_the_collation_of_the_login_is_the_sessions(suimon, db, monkeypatch, collation):
    """In the metadata of results, too, on a connection that another session has used, and after a reset."""
    statements = ["SELECT 'a', COLLATION('a')", "SELECT @@character_set_client, @@character_set_results, @@collation_connection"]

    def talk(connection):
        with Wire(connection) as w:
            answers = [w.query(s) for s in statements]
            w.send(bytes([RESET_CONNECTION]))
            return answers + [w.packet()] + [w.query(s) for s in statements]
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with s.connect() as other:
        monkeypatch.setattr(pymysql.connections, "charset_by_name", lambda name: SimpleNamespace(id=collation, encoding="utf8"))
        want = talk(db.direct())
        for _ in range(2):
            ask(other, "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_520_ci")
            assert talk(s.connect(database=db.name)) == want


def test_commands_other_than_queries(db, proxy):
    def talk(connection):
        with Wire(connection) as w:
            answers = []
            for payload in (b"\x0e", b"\x02" + db.name.encode(), b"\x1b\x01\x00", b"\x1b\x00\x00", b"\x02e2e_missing", b"\x1f", b"\x03SELECT DATABASE()"):
                w.send(payload)
                answers.append(w.answer() if payload[0] == 3 else w.packet())
            return answers
    want, got = talk(db.direct()), talk(proxy.connect(database=db.name))
    # COM_SET_OPTION answers EOF here, compared like the rest.
    assert got == want
