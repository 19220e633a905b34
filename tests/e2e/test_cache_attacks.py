"""C1 to C6 under attack: scripts of several sessions, run directly and through a suimon whose cache keeps everything it may. Whatever
is asked, errors included, the answers are the same.

A line is a session, and what it says: "a SELECT 1". With + it is asked until the cache answers it, so that what follows meets
something stored; with - the cache must never answer it.
"""
import itertools

import pymysql
import pytest

from conftest import hits, mariadb_only
from servers import ServerError, wait_until

P = ["CREATE TABLE p (id INT PRIMARY KEY, k VARCHAR(20) NOT NULL UNIQUE, n INT NOT NULL DEFAULT 0) COLLATE utf8mb4_general_ci",
     "INSERT INTO p VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30)"]
ACCOUNTS = {"r": "roler", "u": "plain", "z": "chief"}
ALL = "SELECT * FROM p ORDER BY id"


def key_reads(name, values):
    return ["a SELECT * FROM p WHERE %s = %s" % (name, v) for v in values]


def by_key(create, rows, column, values):
    """Each value is read and kept, then written by; everything is read again after each write."""
    reads = key_reads(column, values)
    lines = reads + reads
    for v in values:
        lines += ["b UPDATE p SET n = n + 1 WHERE %s = %s" % (column, v)] + reads
    for v in values:
        lines += ["b DELETE FROM p WHERE %s = %s" % (column, v)] + reads + ["b INSERT IGNORE INTO p VALUES (%s, 77)" % v] + reads
    return ["CREATE TABLE p (%s, n INT)" % create, "INSERT INTO p VALUES %s" % rows], lines


HELD, SEEN = [["a%s %s" % (mark, read) for read in ("SELECT n FROM p WHERE id = 1", "SELECT SUM(n) FROM p")] for mark in ("+", "")]
SCRIPTS = {
    "case and padding": by_key("k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY", "('a', 1), ('b', 2)", "k",
                               ["'a'", "'A'", "'a  '", "'b'", "'\\a'", "'a' 'b'", "N'a'", "_utf8mb4'a'", "x'61'", "'á'", "\"a\""]),
    "binary padded": by_key("k VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY", "('a', 1), ('A', 2)", "k", ["'a'", "'A'", "'a '", "'a\\t'"]),
    "binary not padded": by_key("k VARBINARY(20) PRIMARY KEY", "('a', 1), ('A', 2), ('a ', 3)", "k", ["'a'", "'A'", "'a '", "0x61"]),
    "other letters are equal": by_key("k VARCHAR(20) COLLATE utf8mb4_unicode_ci PRIMARY KEY", "('ss', 1), ('a', 2), ('ae', 3)", "k",
                                      ["'ss'", "'ß'", "'a'", "'ä'", "'ａ'", "'a\u00ad'", "'æ'", "'ae'"]),
    "integers": by_key("k INT PRIMARY KEY", "(1, 1), (2, 2), (0, 3)", "k",
                       ["1", "'1'", "'01'", "1.0", "'1.0'", "1e0", "TRUE", "01", "+1", "'1x'", "' 1'", "0x1", "b'1'", "1.4", "'0'", "-0", "''", "FALSE"]),
    "large and unsigned": by_key("k BIGINT UNSIGNED PRIMARY KEY", "(18446744073709551615, 1), (9223372036854775808, 2), (0, 3)", "k",
                                 ["18446744073709551615", "'18446744073709551615'", "-1", "18446744073709551615.0", "1.8446744073709552e19",
                                  "9223372036854775808", "9223372036854775807", "'9223372036854775807'", "0"]),
    "decimals": by_key("k DECIMAL(30, 2) PRIMARY KEY", "(1.50, 1), (12345678901234567890.25, 2)", "k",
                       ["1.5", "'1.5'", "1.500", "15e-1", "12345678901234567890.25", "'12345678901234567890.25'", "12345678901234567890"]),
    "negative zero": by_key("k DOUBLE PRIMARY KEY", "(0, 1), (1, 2)", "k", ["0", "-0", "-0e0", "'0'", "'-0'", "0.0", "1", "1.0"]),
    "dates": by_key("k DATE PRIMARY KEY", "('2024-01-02', 1), ('2024-10-02', 2)", "k",
                    ["'2024-01-02'", "'2024-1-2'", "20240102", "'24-01-02'", "'20240102'", "DATE'2024-01-02'", "'2024-01-02 00:00:00'"]),
    "moments": by_key("k DATETIME PRIMARY KEY", "('2024-01-02 03:04:05', 1)", "k",
                      ["'2024-01-02 03:04:05'", "20240102030405", "'2024-01-02T03:04:05'", "TIMESTAMP'2024-01-02 03:04:05'", "'2024-1-2 3:4:5'"]),
    "years": by_key("k YEAR PRIMARY KEY", "(2024, 1), (1999, 2)", "k", ["2024", "24", "'24'", "'2024'", "99", "1999"]),
    "enum": by_key("k ENUM('x', 'y', '1') PRIMARY KEY", "('x', 1), ('y', 2), ('1', 3)", "k", ["'x'", "1", "'X'", "2", "'1'", "3", "'3'"]),
    "set": by_key("k SET('x', 'y') PRIMARY KEY", "('x', 1), ('x,y', 2)", "k", ["'x'", "1", "'x,y'", "'y,x'", "3", "'3'"]),
    "bits": by_key("k BIT(8) PRIMARY KEY", "(1, 1), (49, 2)", "k", ["1", "b'1'", "'1'", "49", "0x31"]),
    "null-safe": (["CREATE TABLE p (id INT PRIMARY KEY AUTO_INCREMENT, u INT UNIQUE, n INT)", "INSERT INTO p VALUES (1, NULL, 1), (2, 5, 2)"], [
        "a+ SELECT * FROM p WHERE u <=> NULL ORDER BY id", "a+ SELECT * FROM p WHERE u IS NULL ORDER BY id", "a+ SELECT * FROM p WHERE u <=> 5",
        "a+ SELECT * FROM p WHERE u IN (5, NULL)",
        "b INSERT INTO p (u, n) VALUES (NULL, 3)", "a SELECT * FROM p WHERE u <=> NULL ORDER BY id", "a SELECT * FROM p WHERE u IS NULL ORDER BY id",
        "b UPDATE p SET u = 5 + 1, n = 4 WHERE u <=> 5", "a SELECT * FROM p WHERE u <=> 5", "a SELECT * FROM p WHERE u IN (5, NULL)",
        "b UPDATE p SET u = NULL WHERE u = 6", "a SELECT * FROM p WHERE u IS NULL ORDER BY id"]),
    "is null after an insert": (["CREATE TABLE p (id INT PRIMARY KEY AUTO_INCREMENT, n INT)", "INSERT INTO p VALUES (1, 1)"], [
        "a+ SELECT * FROM p WHERE id IS NULL", "b SET sql_auto_is_null = 1", "b INSERT INTO p (n) VALUES (2)", "b SELECT * FROM p WHERE id IS NULL",
        "b SELECT * FROM p WHERE id IS NULL", "a SELECT * FROM p WHERE id IS NULL"]),
    "cascades": ([*P, "CREATE TABLE c (id INT PRIMARY KEY, p INT UNIQUE, FOREIGN KEY (p) REFERENCES p (id) ON UPDATE CASCADE ON DELETE SET NULL)",
                  "CREATE TABLE d (id INT PRIMARY KEY, p INT, UNIQUE (p), FOREIGN KEY (p) REFERENCES c (p) ON UPDATE CASCADE ON DELETE CASCADE)",
                  "INSERT INTO c VALUES (1, 1), (2, 2)", "INSERT INTO d VALUES (1, 1), (2, 2)"], [
        "a+ SELECT * FROM c WHERE id = 1", "a+ SELECT * FROM c WHERE p = 1", "a+ SELECT * FROM d WHERE p = 1", "a+ SELECT * FROM d WHERE id = 2",
        "b UPDATE p SET id = 9 WHERE id = 1", "a SELECT * FROM c WHERE id = 1", "a SELECT * FROM c WHERE p = 1", "a SELECT * FROM d WHERE p = 1",
        "a SELECT * FROM d ORDER BY id", "b DELETE FROM p WHERE id = 2", "a SELECT * FROM c ORDER BY id", "a SELECT * FROM d WHERE id = 2"]),
    "views": ([*P, "CREATE VIEW v AS SELECT id, n FROM p WHERE n < 100", "CREATE VIEW vv AS SELECT n FROM v WHERE id = 1",
               "CREATE ALGORITHM = TEMPTABLE VIEW s AS SELECT SUM(n) total FROM p", "CREATE SQL SECURITY INVOKER VIEW i AS SELECT COUNT(*) FROM p",
               "CREATE VIEW mine AS SELECT id, USER() who FROM p", "CREATE VIEW role_of AS SELECT id, CURRENT_ROLE() who FROM p",
               "CREATE VIEW moment AS SELECT id, NOW(6) at FROM p", "CREATE VIEW above AS SELECT * FROM moment"], [
        "a+ SELECT * FROM v WHERE id = 1", "a+ SELECT * FROM vv", "a+ SELECT * FROM s", "a+ SELECT * FROM i", "b UPDATE v SET n = 50 WHERE id = 1",
        "a SELECT * FROM v WHERE id = 1", "a SELECT * FROM vv", "a SELECT * FROM s", "a SELECT * FROM p WHERE id = 1",
        "b INSERT INTO v VALUES (4, 40)", "a SELECT * FROM s", "a SELECT * FROM i", "b CREATE OR REPLACE VIEW v AS SELECT id, n + 1 AS n FROM p",
        "a SELECT * FROM v WHERE id = 1", "a SELECT * FROM vv", "b DROP VIEW v", "a SELECT * FROM v WHERE id = 1", "a SELECT * FROM vv",
        "a- SELECT id FROM mine", "a- SELECT COUNT(at) FROM above"]),
    "generated columns": (["CREATE TABLE p (id INT PRIMARY KEY, n INT, twice INT AS (n * 2) STORED UNIQUE, low VARCHAR(10) AS (LOWER(s)) VIRTUAL UNIQUE, "
                           "s VARCHAR(10))", "INSERT INTO p (id, n, s) VALUES (1, 1, 'A'), (2, 2, 'B')"], [
        "a+ SELECT id FROM p WHERE twice = 2", "a+ SELECT id FROM p WHERE low = 'a'", "a+ SELECT id FROM p WHERE twice = 6", "b UPDATE p SET n = 3 WHERE id = 1",
        "a SELECT id FROM p WHERE twice = 2", "a SELECT id FROM p WHERE twice = 6", "b UPDATE p SET s = 'C' WHERE id = 1",
        "a SELECT id FROM p WHERE low = 'a'", "b INSERT INTO p (id, n, s) VALUES (3, 1, 'A')", "a SELECT id FROM p WHERE low = 'a'",
        "a SELECT id FROM p WHERE twice = 2"]),
    "stored functions": ([*P, "CREATE FUNCTION f() RETURNS INT READS SQL DATA RETURN (SELECT SUM(n) FROM p)",
                          "CREATE FUNCTION w(x INT) RETURNS INT MODIFIES SQL DATA BEGIN UPDATE p SET n = x WHERE id = 1; RETURN x; END",
                          "CREATE VIEW v AS SELECT f() AS total", "CREATE TABLE one (x INT)", "INSERT INTO one VALUES (1)"], [
        "a SELECT f() FROM one", "a SELECT f() FROM one", "a SELECT f() FROM one", "a SELECT * FROM v", "a SELECT * FROM v", "a+ " + ALL,
        "b SELECT w(99)", "a SELECT f() FROM one", "a SELECT * FROM v", "a " + ALL, "b SELECT w(98) FROM one", "a " + ALL, "b DO w(97)", "a " + ALL,
        "b SET @x = w(96)", "a " + ALL, "b SELECT x INTO @y FROM one WHERE w(95) > 0", "a " + ALL, "b UPDATE one SET x = w(94)", "a " + ALL,
        "b CREATE OR REPLACE VIEW v AS SELECT w(93) AS total", "b SELECT * FROM v", "a " + ALL]),
    "triggers": ([*P, "CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT)", "CREATE TABLE far (id INT PRIMARY KEY, n INT)", "INSERT INTO far VALUES (1, 0)",
                  "CREATE TRIGGER a AFTER UPDATE ON p FOR EACH ROW INSERT INTO log (n) VALUES (NEW.n)",
                  "CREATE TRIGGER b AFTER INSERT ON log FOR EACH ROW UPDATE far SET n = NEW.n WHERE id = 1"], [
        "a+ SELECT * FROM far WHERE id = 1", "a+ SELECT COUNT(*) FROM log", "b UPDATE p SET n = 5 WHERE id = 1", "a SELECT * FROM far WHERE id = 1",
        "a SELECT COUNT(*) FROM log", "b DROP TRIGGER a", "b CREATE TRIGGER a AFTER DELETE ON p FOR EACH ROW DELETE FROM far", "a SELECT * FROM far WHERE id = 1",
        "b DELETE FROM p WHERE id = 3", "a SELECT * FROM far WHERE id = 1"]),
    "found rows and the like": (P, [
        "a+ SELECT id FROM p", "a SELECT FOUND_ROWS()", "a SELECT SQL_CALC_FOUND_ROWS id FROM p LIMIT 1", "a SELECT FOUND_ROWS()", "a SELECT id FROM p",
        "a SELECT FOUND_ROWS()", "a SELECT n INTO @v FROM p WHERE id = 2", "a SELECT @v", "b UPDATE p SET n = 21 WHERE id = 2",
        "a SELECT n INTO @v FROM p WHERE id = 2", "a SELECT @v", "a SELECT id FROM p", "a SELECT ROW_COUNT()", "a SET @id = 2",
        "a- SELECT id, n FROM p WHERE id = @id", "a SELECT id, @v := n FROM p WHERE id = 1", "a SELECT @v"]),
    "snapshots": ([*P, "CREATE TABLE o (x INT)", "INSERT INTO o VALUES (1)"], [
        "b+ " + ALL, "a SET autocommit = 0", "a SELECT * FROM o", "b UPDATE p SET n = 11 WHERE id = 1", "b+ " + ALL, "a " + ALL, "a COMMIT", "a " + ALL,
        "b UPDATE p SET n = 12 WHERE id = 1", "b+ " + ALL, "a " + ALL, "a SET autocommit = 1", "a " + ALL,
        "a START TRANSACTION WITH CONSISTENT SNAPSHOT", "b UPDATE p SET n = 13 WHERE id = 1", "b+ " + ALL, "a " + ALL, "a ROLLBACK", "a " + ALL,
        "a START TRANSACTION READ ONLY", "a SELECT * FROM o", "b DELETE FROM p WHERE id = 2", "b+ " + ALL, "a " + ALL, "a COMMIT AND CHAIN", "a " + ALL,
        "b INSERT INTO p VALUES (7, 'g', 7)", "b+ " + ALL, "a " + ALL, "a COMMIT", "a " + ALL]),
    "savepoints": (P, [
        "b+ " + ALL, "a BEGIN", "a UPDATE p SET n = 1 WHERE id = 1", "a SAVEPOINT s", "a " + ALL, "b " + ALL, "a UPDATE p SET n = 2 WHERE id = 2", "a " + ALL,
        "a ROLLBACK TO s", "a " + ALL, "a RELEASE SAVEPOINT s", "a SELECT * FROM p WHERE id = 2", "b " + ALL, "a COMMIT", "b " + ALL, "a " + ALL,
        "a BEGIN", "a UPDATE p SET n = 5 WHERE id = 1", "b+ " + ALL, "a BEGIN", "b " + ALL, "a DELETE FROM p WHERE id = 1", "a SET autocommit = 1", "a COMMIT",
        "b " + ALL]),
    "implicit commits": (P, [
        "b+ " + ALL, "a BEGIN", "a UPDATE p SET n = 1 WHERE id = 1", "a ANALYZE TABLE p", "b " + ALL, "a BEGIN", "a UPDATE p SET n = 2 WHERE id = 1",
        "b+ " + ALL, "a LOCK TABLES p READ", "b " + ALL, "a UNLOCK TABLES", "a SET autocommit = 0", "a UPDATE p SET n = 3 WHERE id = 1", "b+ " + ALL,
        "a SET autocommit = 1", "b " + ALL, "a BEGIN", "a UPDATE p SET n = 4 WHERE id = 1", "b+ " + ALL, "a CREATE TABLE later (x INT)", "b " + ALL]),
    "xa": (P, [
        "b+ " + ALL, "b+ SELECT * FROM p WHERE id = 1", "a XA START 'attack'", "a UPDATE p SET n = 1 WHERE id = 1", "a SELECT * FROM p WHERE id = 1",
        "b SELECT * FROM p WHERE id = 1", "a XA END 'attack'", "a XA PREPARE 'attack'", "b SELECT * FROM p WHERE id = 1", "a XA COMMIT 'attack'",
        "b SELECT * FROM p WHERE id = 1", "b " + ALL, "a XA START 'attack2'", "a DELETE FROM p WHERE id = 1", "a XA END 'attack2'",
        "b+ " + ALL, "a XA COMMIT 'attack2' ONE PHASE", "b " + ALL, "a XA START 'attack3'", "a DELETE FROM p WHERE id = 2", "a XA END 'attack3'",
        "a XA ROLLBACK 'attack3'", "b " + ALL, "a " + ALL]),
    "ddl": ([*P, "CREATE TABLE q LIKE p", "INSERT INTO q VALUES (1, 'q', 100)"], [
        "a+ SELECT * FROM p WHERE id = 1", "b ALTER TABLE p ADD COLUMN extra INT DEFAULT 5", "a SELECT * FROM p WHERE id = 1", "a+ SELECT * FROM p WHERE id = 1",
        "b ALTER TABLE p DROP COLUMN extra", "a SELECT * FROM p WHERE id = 1", "a+ SELECT * FROM q WHERE id = 1", "a+ SELECT * FROM p WHERE id = 1",
        "b RENAME TABLE p TO x, q TO p, x TO q", "a SELECT * FROM p WHERE id = 1", "a SELECT * FROM q WHERE id = 1", "a+ SELECT * FROM q WHERE id = 1",
        "b TRUNCATE TABLE q", "a SELECT * FROM q WHERE id = 1", "a+ SELECT * FROM p WHERE k = 'Q'",
        "b ALTER TABLE p MODIFY k VARCHAR(20) COLLATE utf8mb4_bin NOT NULL", "a SELECT * FROM p WHERE k = 'Q'", "a+ SELECT n FROM p WHERE id = 1",
        "b ALTER TABLE p CHANGE n m INT, ADD n INT DEFAULT 3", "a SELECT n FROM p WHERE id = 1", "a+ SELECT n FROM p WHERE id = 1", "b DROP TABLE p",
        "a SELECT n FROM p WHERE id = 1", "b CREATE TABLE p AS SELECT 1 id, 8 n", "a SELECT n FROM p WHERE id = 1", "a+ SELECT n FROM p WHERE id = 1",
        "b CREATE OR REPLACE TABLE p AS SELECT 1 id, 9 n", "a SELECT n FROM p WHERE id = 1"]),
    "partitions": (["CREATE TABLE p (id INT PRIMARY KEY, n INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
                    "INSERT INTO p VALUES (1, 1), (11, 11)", "CREATE TABLE q (id INT PRIMARY KEY, n INT)", "INSERT INTO q VALUES (2, 2)"], [
        "a+ SELECT * FROM p PARTITION (p0)", "a+ SELECT * FROM p WHERE id = 1", "a+ SELECT * FROM p WHERE id = 2", "a+ SELECT * FROM q",
        "b ALTER TABLE p EXCHANGE PARTITION p0 WITH TABLE q", "a SELECT * FROM p PARTITION (p0)", "a SELECT * FROM p WHERE id = 1", "a SELECT * FROM p WHERE id = 2",
        "a SELECT * FROM q", "a+ SELECT * FROM p WHERE id = 11", "b ALTER TABLE p TRUNCATE PARTITION p1", "a SELECT * FROM p WHERE id = 11",
        "a+ SELECT * FROM p WHERE id = 2", "b UPDATE p PARTITION (p0) SET n = 3", "a SELECT * FROM p WHERE id = 2", "b ALTER TABLE p DROP PARTITION p0",
        "a SELECT * FROM p WHERE id = 2"]),
    "temporary tables": ([*P, "CREATE VIEW v AS SELECT * FROM p"], [
        "b+ " + ALL, "a+ " + ALL, "a CREATE TEMPORARY TABLE x (id INT, n INT)", "a ALTER TABLE x RENAME p", "a " + ALL, "b " + ALL, "a INSERT INTO p VALUES (5, 5)",
        "a " + ALL, "b+ " + ALL, "a SELECT COUNT(*) FROM v", "a DROP TEMPORARY TABLE p", "a " + ALL, "a EXECUTE IMMEDIATE 'CREATE TEMPORARY TABLE p AS SELECT 8 id'",
        "a " + ALL, "b " + ALL, "a DROP TABLE p", "a " + ALL, "b " + ALL]),
    "forms of writing": ([*P, "CREATE TABLE q (id INT PRIMARY KEY, n INT)", "INSERT INTO q VALUES (1, 1), (2, 2)",
                          "CREATE PROCEDURE c(x INT) UPDATE p SET n = x WHERE id = 1"], list(itertools.chain.from_iterable(
                              ["a+ SELECT n FROM p WHERE id = 1", "a+ SELECT COUNT(*), SUM(n) FROM p", "a+ SELECT * FROM q WHERE id = 1", "b " + write,
                               "a SELECT n FROM p WHERE id = 1", "a SELECT COUNT(*), SUM(n) FROM p", "a SELECT * FROM q WHERE id = 1"] for write in [
                                  "INSERT INTO p SELECT id + 100, CONCAT('s', id), 1 FROM q", "INSERT INTO p VALUES (1, 'x', 1) ON DUPLICATE KEY UPDATE n = 77",
                                  "INSERT INTO p VALUES (50, 'A', 1) ON DUPLICATE KEY UPDATE n = 78", "REPLACE INTO p VALUES (60, 'a', 60)",
                                  "REPLACE INTO p VALUES (1, 'a', 61)", "UPDATE p JOIN q USING (id) SET p.n = 70, q.n = 71", "DELETE p FROM p JOIN q USING (id)",
                                  "INSERT INTO p SET id = 1, k = 'a', n = 5", "UPDATE p SET id = 5, n = 6 WHERE id = 1", "UPDATE p SET id = 1 WHERE id = 5",
                                  "UPDATE p SET n = (SELECT MAX(n) FROM q) WHERE k = 'A '", "UPDATE p, q SET q.n = 90 WHERE p.id = q.id", "CALL c(12)",
                                  "EXECUTE IMMEDIATE 'UPDATE p SET n = ? WHERE id = 1' USING 13", "INSERT INTO p (id, k, n) VALUES (1, 'b2', 1), (200, 'e', 2) "
                                  "ON DUPLICATE KEY UPDATE n = VALUES(n) + 1", "UPDATE p AS z SET z.n = 14 WHERE z.id = 1", "DELETE FROM p WHERE id = 1 LIMIT 1",
                                  "INSERT INTO p VALUES (1, 'again', 15) RETURNING id", "DELETE FROM p ORDER BY id LIMIT 1"]))),
    "a key's name on another column": ([*P, "CREATE TABLE far (id INT PRIMARY KEY AUTO_INCREMENT, n INT, a DATE, b DATE, PERIOD FOR span (a, b))",
                                        "INSERT INTO far VALUES (5, 1, '2020-01-01', '2021-01-01')"], [
        *itertools.chain.from_iterable(["a+ " + read, "b UPDATE p SET n = n + 1 WHERE id = 3", "a " + read] for read in [
            "WITH x AS (SELECT id - 2 AS id, SUM(n) s FROM p GROUP BY k) SELECT s FROM x WHERE id = 1", "WITH c AS (SELECT id - 2 id, n FROM p) SELECT n FROM c WHERE c.id = 1",
            "WITH RECURSIVE c AS (SELECT id - 2 id, n FROM p UNION ALL SELECT id - 1, n FROM c WHERE id > 5) SELECT n FROM c WHERE id = 1",
            "SELECT n FROM (SELECT id - 2 id, n FROM p) d WHERE id = 1", "SELECT n FROM (WITH c AS (SELECT id - 2 id, n FROM p) SELECT * FROM c) d WHERE id = 1",
            "SELECT p.n FROM p, JSON_TABLE('[{\"id\":1}]', '$[*]' COLUMNS (id INT PATH '$.id')) j WHERE j.id = 1 ORDER BY p.id",
            "SELECT n FROM p UNION SELECT 1 FROM JSON_TABLE('[1]', '$[*]' COLUMNS (id INT PATH '$')) j WHERE id = 1 ORDER BY 1"]),
        *itertools.chain.from_iterable(["a+ SELECT n FROM p WHERE id = 2", write, "a SELECT n FROM p WHERE id = 2"] for write in [
            "b UPDATE p, JSON_TABLE('[{\"id\":1}]', '$[*]' COLUMNS (id INT PATH '$.id')) j SET p.n = p.n + 1 WHERE j.id = 1",
            "b DELETE p FROM p JOIN JSON_TABLE('[{\"id\":1}]', '$[*]' COLUMNS (id INT PATH '$.id')) j WHERE j.id = 1"]),
        "a+ SELECT n FROM far WHERE id = 6", "b UPDATE far FOR PORTION OF span FROM '2020-03-01' TO '2020-04-01' SET n = 2 WHERE id = 5", "a SELECT n FROM far WHERE id = 6",
        "a SELECT id FROM far ORDER BY id", "b INSERT INTO far VALUES (20, 3, '2022-01-01', '2023-01-01')", # the next is 21, whatever number the server would go on with
        "a+ SELECT n FROM far WHERE id = 21", "b DELETE FROM far FOR PORTION OF span FROM '2020-06-01' TO '2020-07-01' WHERE id = 7",
        "a SELECT n FROM far WHERE id = 21", "a SELECT id FROM far ORDER BY id"]),
    "a commit from inside": ([
        *P, "CREATE PROCEDURE fails(x INT) BEGIN UPDATE p SET n = x WHERE id = 1; COMMIT; SIGNAL SQLSTATE '45000'; END",
        "CREATE PROCEDURE says(t TEXT) BEGIN EXECUTE IMMEDIATE t; COMMIT; SIGNAL SQLSTATE '45000'; END",
        "CREATE PROCEDURE goes_on(x INT) BEGIN UPDATE p SET n = x WHERE id = 1; COMMIT; START TRANSACTION; UPDATE p SET n = x WHERE id = 2; END"], [
        *itertools.chain.from_iterable(
            ["b SET autocommit = %d" % autocommit, "b " + begin, *HELD, "b " + write % n, *SEEN, "b ROLLBACK", *SEEN, "b SET autocommit = 1"]
            for n, (autocommit, begin, write) in enumerate(itertools.product((1, 0), ("DO 1", "BEGIN"), [
                "CALL fails(%d)", "CALL says('UPDATE p SET n = %d WHERE id = 1')", "EXECUTE IMMEDIATE 'CALL fails(%d)'",
                "BEGIN NOT ATOMIC UPDATE p SET n = %d WHERE id = 1; COMMIT; SIGNAL SQLSTATE '45000'; END", "CALL goes_on(%d)"]), 50))]),
    "a syntax error from inside": ([
        "CREATE TABLE p (id INT PRIMARY KEY, n INT) ENGINE=MyISAM", "INSERT INTO p VALUES (1, 10), (2, 20)", "CREATE TABLE q (id INT PRIMARY KEY, n INT)", "INSERT INTO q VALUES (1, 1)",
        "CREATE PROCEDURE c(x INT) BEGIN UPDATE p SET n = x WHERE id = 1; EXECUTE IMMEDIATE 'no statement'; END",
        "CREATE PROCEDURE empty(x INT) BEGIN UPDATE p SET n = x WHERE id = 1; EXECUTE IMMEDIATE ''; END",
        "CREATE PROCEDURE done(x INT) BEGIN UPDATE q SET n = x WHERE id = 1; COMMIT; START TRANSACTION; EXECUTE IMMEDIATE 'no statement'; END",
        "CREATE FUNCTION f(x INT) RETURNS INT MODIFIES SQL DATA BEGIN UPDATE p SET n = x WHERE id = 1; SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1064; RETURN 1; END",
        "CREATE VIEW v AS SELECT f(80)", "CREATE TRIGGER t BEFORE UPDATE ON q FOR EACH ROW IF NEW.n = 90 THEN UPDATE p SET n = NEW.n WHERE id = 1; "
        "SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1064; END IF"], [
        *itertools.chain.from_iterable(["a+ SELECT n FROM p WHERE id = 1", "b " + write, "a SELECT n FROM p WHERE id = 1"] for write in [
            "CALL c(50)", "CALL empty(51)", "EXECUTE IMMEDIATE 'CALL c(52)'", "BEGIN NOT ATOMIC UPDATE p SET n = 53 WHERE id = 1; EXECUTE IMMEDIATE 'no statement'; END",
            "IF 1 THEN UPDATE p SET n = 54 WHERE id = 1; EXECUTE IMMEDIATE ''; END IF", "LOOP UPDATE p SET n = 55 WHERE id = 1; EXECUTE IMMEDIATE 'no statement'; END LOOP",
            "/*M!999999 not */ CALL c(57)", "SET STATEMENT max_statement_time = 9 FOR CALL c(58)",
            "SELECT f(70)", "DO f(71)", "SET @x = f(72)", "INSERT INTO q VALUES (2, f(73))", "SELECT * FROM v", "UPDATE q SET n = 90"]),
        "b PREPARE s FROM 'CALL c(60)'", "a+ SELECT n FROM p WHERE id = 1", "b EXECUTE s", "a SELECT n FROM p WHERE id = 1", "a+ SELECT n FROM q WHERE id = 1", "b BEGIN",
        "b UPDATE q SET n = 5 WHERE id = 1", "b CALL done(6)", "a SELECT n FROM q WHERE id = 1", "b ROLLBACK", "a SELECT n FROM q WHERE id = 1",
        "b SET sql_mode = 'ORACLE'", "a+ SELECT n FROM p WHERE id = 1", "b BEGIN UPDATE p SET n = 61 WHERE id = 1; EXECUTE IMMEDIATE 'no statement'; END", "a SELECT n FROM p WHERE id = 1"]),
    "ASCII that is none": (["CREATE TABLE p (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT)", "INSERT INTO p VALUES ('xa', 1), ('b', 2)"], [
        "a SET NAMES swe7", "a+ SELECT n FROM p WHERE k = 'x{'", "b UPDATE p SET n = n + 1 WHERE k = 'xa'", "a SELECT n FROM p WHERE k = 'x{'",
        "b+ SELECT n FROM p WHERE k = 'xa'", "a UPDATE p SET n = n + 1 WHERE k = 'x{'", "b SELECT n FROM p WHERE k = 'xa'", "a+ SELECT n FROM p WHERE k = 'y}'",
        "b INSERT INTO p VALUES ('ya', 5)", "a SELECT n FROM p WHERE k = 'y}'", "b DELETE FROM p WHERE k = 'ya'", "b+ SELECT n FROM p WHERE k = 'yo'",
        "a INSERT INTO p VALUES ('y|', 6)", "b SELECT n FROM p WHERE k = 'yo'"]),
    "roles": ([*P], [
        "r SELECT * FROM p WHERE id = 1", "r SET ROLE reader", *["r SELECT * FROM p WHERE id = 1"] * 4, "r SET ROLE NONE", "r SELECT * FROM p WHERE id = 1",
        "r SET ROLE reader", "r SELECT * FROM p WHERE id = 1", "z REVOKE reader FROM roler@'%'", "r SET ROLE reader", "r SET ROLE NONE", "r SELECT * FROM p WHERE id = 1",
        "z GRANT reader TO roler@'%'", "r SET ROLE reader", "r SELECT * FROM p WHERE id = 1"]),
    "rights": (P, [
        "z GRANT SELECT ON p TO plain@'%'", "u+ SELECT id, n FROM p WHERE id = 1", "a+ SELECT id, n FROM p WHERE id = 1", "z REVOKE SELECT ON p FROM plain@'%'",
        "u SELECT id, n FROM p WHERE id = 1", "a SELECT id, n FROM p WHERE id = 1", "z GRANT SELECT (id) ON p TO plain@'%'", "u SELECT id, n FROM p WHERE id = 1",
        "u+ SELECT id FROM p WHERE id = 1", "z REVOKE SELECT (id) ON p FROM plain@'%'", "u SELECT id FROM p WHERE id = 1", "z GRANT SELECT ON p TO plain@'%'",
        "z CREATE DEFINER = plain@'%' VIEW v AS SELECT n FROM p", "a+ SELECT * FROM v", "z REVOKE SELECT ON p FROM plain@'%'", "a SELECT * FROM v",
        "z GRANT SELECT ON p TO plain@'%'", "a+ SELECT * FROM v", "z EXECUTE IMMEDIATE 'REVOKE SELECT ON p FROM plain'", "a SELECT * FROM v",
        "z GRANT SELECT ON p TO plain@'%'", "u+ SELECT n FROM p", "z DELETE FROM mysql.tables_priv WHERE User = 'plain'", "z FLUSH PRIVILEGES", "u SELECT n FROM p"]),
    "session variables": ([*P, "CREATE TABLE d (day DATE, f FLOAT, s VARCHAR(50))", "INSERT INTO d VALUES ('2024-03-03', 0.1, 'abcdef'), ('2023-01-01', 0.2, 'abcdaa')"], list(
        itertools.chain.from_iterable(["b+ " + read, "a " + change, "a " + read, "a " + read, "b " + read] for change, read in [
            ("SET collation_connection = 'utf8mb4_bin'", "SELECT 'A' = 'a', id FROM p"), ("SET default_week_format = 3", "SELECT WEEK(day) FROM d"),
            ("SET max_sort_length = 4", "SELECT s FROM d ORDER BY s"), ("SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "SELECT '\\\\', id FROM p"),
            ("SET sql_mode = 'HIGH_NOT_PRECEDENCE'", "SELECT NOT 1 BETWEEN -5 AND 5, id FROM p"), ("SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'", "SELECT s FROM d"),
            ("SET sql_mode = 'NO_UNSIGNED_SUBTRACTION'", "SELECT CAST(0 AS UNSIGNED) - 0, id FROM p"), ("SET sql_mode = 'REAL_AS_FLOAT'", "SELECT CAST(f AS DOUBLE) FROM d"),
            ("SET sql_mode = 'TIME_ROUND_FRACTIONAL'", "SELECT CAST('10:00:00.9' AS TIME), id FROM p"), ("SET sql_mode = 'ORACLE'", "SELECT '1' || '0', id FROM p"),
            ("SET sql_mode = 'IGNORE_SPACE'", "SELECT COUNT(*) FROM p"), ("SET sql_mode = DEFAULT", "SELECT '1' || '0', id FROM p"),
            ("SET character_set_results = latin1", "SELECT k, 'é' AS e FROM p"), ("SET lc_time_names = 'fr_FR'", "SELECT DAYNAME(day) FROM d"),
            ("SET NAMES utf8mb4", "SELECT k, 'é' AS e FROM p"), ("SET time_zone = '+05:00'", "SELECT FROM_UNIXTIME(n) FROM p"), 
            ("SET group_concat_max_len = 5", "SELECT GROUP_CONCAT(s ORDER BY s) FROM d"), ("SET old_mode = ''", "SELECT CHARSET(CONVERT('a' USING utf8)), id FROM p"),
            ("SET sql_select_limit = 1", ALL), ("SET sql_select_limit = DEFAULT", ALL), ("SET character_set_connection = latin1", "SELECT CHARSET('a'), id FROM p"),
            ("SET sql_big_selects = 0", ALL), ("SET max_join_size = 1", ALL), ("SET max_join_size = DEFAULT", ALL), ("SET div_precision_increment = 7", "SELECT n / 3 FROM p")]))
        + ["a SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT \"id\" FROM p", "a SELECT \"id\" FROM p", "b SELECT \"id\" FROM p",
           "a SET STATEMENT sql_select_limit = 1 FOR SELECT id FROM p", "a SELECT id FROM p", "b SELECT id, CURDATE() > '2000-01-01' FROM p",
           "a SET timestamp = 86400", "a SELECT id, CURDATE() > '2000-01-01' FROM p", "b SELECT id, CURDATE() > '2000-01-01' FROM p"]),
    "system versioning": (["CREATE TABLE p (id INT PRIMARY KEY, n INT) WITH SYSTEM VERSIONING", "INSERT INTO p VALUES (1, 1)"], [
        "a+ SELECT * FROM p", "a SELECT id, n FROM p FOR SYSTEM_TIME ALL ORDER BY n", "a SELECT id, n FROM p FOR SYSTEM_TIME ALL ORDER BY n",
        "b UPDATE p SET n = 2 WHERE id = 1", "a SELECT * FROM p", "a SELECT id, n FROM p FOR SYSTEM_TIME ALL ORDER BY n",
        "b DELETE FROM p WHERE id = 1", "a SELECT id, n FROM p FOR SYSTEM_TIME ALL ORDER BY n", "b+ SELECT * FROM p", "b DELETE HISTORY FROM p",
        "a SELECT id, n FROM p FOR SYSTEM_TIME ALL ORDER BY n", "b INSERT INTO p VALUES (5, 5)", "b+ SELECT * FROM p",
        "a SET system_versioning_asof = '2001-01-01 00:00:00'", "a SELECT * FROM p", "a SELECT * FROM p", "b SELECT * FROM p",
        "a SET system_versioning_asof = DEFAULT", "a SELECT * FROM p", "a- SELECT * FROM p FOR SYSTEM_TIME AS OF NOW(6)"]),
    "sequences": (["CREATE SEQUENCE s", "CREATE TABLE p (id INT PRIMARY KEY DEFAULT (NEXTVAL(s)), n INT)", "INSERT INTO p VALUES (1000, 1)"], [
        "a SELECT next_not_cached_value FROM s", "a SELECT next_not_cached_value FROM s", "a SELECT next_not_cached_value FROM s",
        "b SELECT NEXTVAL(s)", "a SELECT next_not_cached_value FROM s", "a- SELECT id, NEXTVAL(s) FROM p", "a- SELECT id, NEXT VALUE FOR s FROM p",
        "a- SELECT id, LASTVAL(s) FROM p", "a SELECT PREVIOUS VALUE FOR s", "b SELECT SETVAL(s, 5000)", "a SELECT next_not_cached_value FROM s",
        "b INSERT INTO p (n) VALUES (2)", "a SELECT next_not_cached_value FROM s", "b ALTER SEQUENCE s RESTART 9000", "a SELECT next_not_cached_value FROM s",
        "a SELECT id, n FROM p ORDER BY id"]),
    "never": (P, ["a- SELECT id, %s FROM p" % f for f in [
        "CURDATE()", "CURRENT_DATE", "UTC_TIMESTAMP(6)", "UNIX_TIMESTAMP()", "LOCALTIME", "UTC_TIME()", "CURRENT_USER()", "SESSION_USER()",
        "SYSTEM_USER()", "USER()", "CURRENT_ROLE()", "UUID_SHORT()", "RANDOM_BYTES(2)", "RELEASE_ALL_LOCKS()", "IS_FREE_LOCK('x')", "ROW_COUNT()",
        "@@version_comment", "@@session.sql_mode", "BENCHMARK(1, 1)", "MASTER_GTID_WAIT('', 0)", "LOAD_FILE('/none')", "SYS_GUID()",
        "RAND(id)", "@x := id"]] + ["a- SELECT id, TABLE_NAME FROM p JOIN information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND id = 1"]
        + ["a SELECT id, n FROM p PROCEDURE ANALYSE()", "b UPDATE p SET n = 99999", "a SELECT id, n FROM p PROCEDURE ANALYSE()"]),
}

# Beside a key's value stands what changes its meaning.
PREDICATES = [
    "id = 1 = 0", "id = 1 IS FALSE", "id = 1 IS NOT TRUE", "id = 1 XOR 1", "id = 1 || 1", "id = 1 | 2", "id = 1 + 1", "id = 1 - -1", "id = 1 ^ 3", "id = 1 << 1",
    "id = 1 * 2", "id = 2 DIV 1", "id = 5 MOD 3", "id = 5 % 3", "NOT id = 1", "! (id = 1)", "!id = 1", "-id = -1", "- id = 1", "+id = 1", "~id = 1", "id = 1 <=> 0",
    "id = 1 LIKE 0", "id = 1 IN (0)", "id = 1 BETWEEN 0 AND 0", "(id = 1) = 0", "id IN (1) = 0", "id IN (1) IS NOT TRUE", "id IN (1, 2) = 0", "id NOT IN (1)",
    "id = 1 AND n > 0", "id = 1 AND 1", "id = 1 AND (n = 0 OR 1)", "id = 1 OR k = 'b'", "id = 1 AND id = 2 OR id = 3", "n > 0 OR id = 1", "IF(id = 1, 0, 1)",
    "CASE WHEN id = 1 THEN 0 ELSE 1 END", "CASE id = 1 WHEN 0 THEN 1 END", "COALESCE(id = 1, 1)", "(id, n) = (1, 10)", "(id, 1) = (1, 1)", "ROW(id, k) = ROW(1, 'a')",
    "1 = id", "0 = id = 1", "1 = id = 0", "1 = id + 1", "2 * id = 2", "id <=> 1", "id != 1", "id <> 1", "id = 1 AND NOT 0", "NOT (id = 1 AND n = 10)", "id = 1 && 1", "id = 1 SOUNDS LIKE 0",
    "id = 1 REGEXP '0'", "id = 1 IS NULL", "id = 1 IS UNKNOWN", "k = 'a' = 0", "k = 'a' 'x'", "k = 'a' COLLATE utf8mb4_bin", "k = BINARY 'a'", "BINARY k = 'A'", "k = 'a' OR 1", "k LIKE 'a'",
    "k = CONCAT('a', '')", "k = ('a')", "id = (1)", "id = ((1))", "id = (1, 2)", "id IN ((1), (2))", "id IN (1, n / 10)", "id = ALL (SELECT 1)", "id = ANY (SELECT 2)", "id = (SELECT 1)", "EXISTS (SELECT 1) AND id = 1",
    "id = 1 AND k = 'b'", "id = 1 AND k = 'a'", "p.id = 1", "`id` = 1", "p.`id`=1", "id = 1 /* x */ = 0", "id = /*! 2 + */ 1", "id = 1 /*!50000 OR 1 */", "id=1.0=0", "id = '1' = 0", "id = -1", "id = - -1", "id = 1e0", "id = 0x1",
    "id = NULL", "id <=> NULL", "id IS NOT NULL", "k = NULL OR id = 1", "id = 1 COLLATE utf8mb4_bin", "id MEMBER OF ('[1]')", "id = DEFAULT(n)", "id = ABS(-1)", "id = 1 AND SLEEP(0) = 0",
]
SCRIPTS["what stands beside a key, read"] = (P, ["a SELECT id, n FROM p WHERE %s ORDER BY id" % p for p in PREDICATES] * 2 + list(itertools.chain.from_iterable(
    ["b UPDATE p SET n = n + 1 WHERE id = %d" % i] + ["a SELECT id, n FROM p WHERE %s ORDER BY id" % p for p in PREDICATES] for i in (1, 2, 3))))
SCRIPTS["what stands beside a key, written"] = (P, list(itertools.chain.from_iterable(
    ["a SELECT * FROM p WHERE id = %d" % i for i in (1, 2, 3)] + ["a SELECT * FROM p WHERE k = '%s'" % k for k in "abc"] + ["b UPDATE p SET n = n + 1 WHERE %s" % p]
    for p in PREDICATES)))


class Actors:
    """The sessions of one run of a script."""

    def __init__(self, connect, schema, suimon=None):
        self.connect, self.schema, self.suimon, self.open = connect, schema, suimon, {}

    def session(self, name):
        if name not in self.open:
            user = ACCOUNTS.get(name, "app")
            self.open[name] = self.connect(user, user, database=self.schema, charset="utf8mb4", autocommit=True, use_unicode=False, conv={})
        return self.open[name]

    def ask(self, name, sql):
        """Columns and rows as text, in which the schema has no name, or the error."""
        try:
            with self.session(name).cursor() as cur:
                cur.execute(sql)
                rows = cur.fetchall()
                return repr(([d[:2] for d in cur.description or ()], rows)).replace(self.schema, "")
        except pymysql.MySQLError as e:
            return e.args[0]

    def is_hit(self, name, sql):
        before = hits(self.suimon)
        self.ask(name, sql)
        return hits(self.suimon) > before

    def say(self, line):
        word, _, sql = line.partition(" ")
        if self.suimon and word.endswith("+"):
            wait_until("a hit of %r" % sql, lambda: self.is_hit(word[0], sql), 30)
        if word.endswith("-"):
            for _ in range(3):
                assert not (self.is_hit(word[0], sql) if self.suimon else self.ask(word[0], sql) is None), "the cache has answered"
            return None
        return self.ask(word[0], sql)

    def close(self):
        for c in self.open.values():
            c._force_close()


def run(actors, lines):
    """What each line was answered."""
    said = []
    for line in lines:
        try:
            said.append(actors.say(line))
        except (AssertionError, ServerError) as e:
            said.append(str(e))
    actors.close()
    return said


def accounts(cluster, schemas):
    cluster.setup("CREATE USER IF NOT EXISTS chief@'%' IDENTIFIED BY 'chief'", "GRANT ALL ON *.* TO chief@'%' WITH GRANT OPTION",
                  "DROP USER IF EXISTS roler@'%'", "DROP ROLE IF EXISTS reader", "DROP USER IF EXISTS plain@'%'", "CREATE USER plain@'%' IDENTIFIED BY 'plain'", "CREATE USER roler@'%' IDENTIFIED BY 'roler'",
                  "CREATE ROLE reader", "GRANT reader TO chief@'%' WITH ADMIN OPTION", "GRANT reader TO roler@'%'")
    for schema in schemas:
        cluster.setup("CREATE DATABASE `%s`" % schema, "GRANT SELECT ON `%s`.* TO reader" % schema, *("GRANT INSERT ON `%s`.* TO %s@'%%'" % (schema, who) for who in ("roler", "plain")))


@mariadb_only("its own statements are among them")
@pytest.mark.parametrize("share", range(3))
def test_scripts_are_answered_as_the_server_answers(suimon, db, cluster, share):
    names = sorted(SCRIPTS)[share::3]
    schemas = {name: ["%s_%d%s" % (db.name, i, side) for side in "ds"] for i, name in enumerate(names)}
    every = list(itertools.chain.from_iterable(schemas.values()))
    accounts(cluster, every)
    try:
        for name in names:
            for schema in schemas[name]:
                with cluster.primary.root(database=schema) as c, c.cursor() as cur:
                    for sql in SCRIPTS[name][0]:
                        cur.execute(sql)
        s = suimon({"replicas": [], "cache": {"rules": [{"match": {"schema": x}, "ttl": "1h"} for x in every]}})
        wrong = []
        for name in names:
            want = run(Actors(cluster.primary.connect, schemas[name][0]), SCRIPTS[name][1])
            got = run(Actors(s.connect, schemas[name][1], s), SCRIPTS[name][1])
            wrong += ["%s, line %d: %s\n   the server %s\n   suimon     %s" % (name, n, line, w, g)
                      for n, (line, w, g) in enumerate(zip(SCRIPTS[name][1], want, got)) if w != g]
        assert not wrong, "\n".join(wrong)
    finally:
        cluster.setup(*("DROP DATABASE IF EXISTS `%s`" % x for x in every))


def test_load_data_is_seen(suimon, db, cluster, tmp_path):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 1), (2, 2)")
    (tmp_path / "rows").write_text("1\t5\n3\t6\n")
    s = suimon({"replicas": [], "cache": {"rules": [{"match": {"schema": db.name}, "ttl": "1h"}]}})
    through, direct = Actors(s.connect, db.name, s), Actors(cluster.primary.connect, db.name)
    reads = ["SELECT * FROM t WHERE id = 1", "SELECT * FROM t WHERE id = 3", "SELECT COUNT(*), SUM(n) FROM t"]
    with s.connect(database=db.name, local_infile=True) as w, w.cursor() as cur:
        for how in "REPLACE", "IGNORE", "REPLACE":
            for sql in reads:
                through.say("a+ " + sql)
            assert cur.execute("LOAD DATA LOCAL INFILE '%s' %s INTO TABLE t" % (tmp_path / "rows", how))
            for sql in reads:
                assert through.say("a " + sql) == direct.say("a " + sql)
            cur.execute("DELETE FROM t WHERE id = 3")
    through.close()
    direct.close()
