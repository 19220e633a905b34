"""C6: a write that names its rows takes these rows' results with it and leaves the others; it never leaves too many."""
import random

import pymysql
import pytest

from conftest import ask, filled, hits, is_hit
from servers import wait_until
from wire import Wire

SCHEMA = ("CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(12) UNIQUE, small TINYINT, owner INT, n INT, "
          "KEY (owner)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
          "INSERT INTO t VALUES (1, 'a@x', 1, 7, 0), (2, 'b@x', 2, 7, 0), (3, 'c@x', 3, 8, 0), (4, 'd@x', 4, 8, 0)")


@pytest.fixture
def table(db):
    db.setup(*SCHEMA)
    return db


def rules(db, **more):
    return {"cache": dict({"rules": [{"match": {"table": "%s.t" % db.name}, "ttl": "600s"}]}, **more)}


BY_ID = "SELECT * FROM t WHERE id = %s"
BY_EMAIL = "SELECT * FROM t WHERE email = %s"
ALL = "SELECT COUNT(*), SUM(n) FROM t"


@pytest.mark.parametrize("write, kept, gone", [
    ("UPDATE t SET n = n + 1 WHERE id = 1", [BY_ID % 2, "SELECT n FROM t WHERE id IN (2, 3)"],
     [BY_ID % 1, "SELECT n FROM t WHERE id IN (4, 1)", BY_EMAIL % "'a@x'", BY_EMAIL % "'b@x'", ALL]),
    ("UPDATE t SET n = n + 1 WHERE email = 'A@X'", [BY_EMAIL % "'b@x'", "SELECT * FROM t WHERE email IN ('c@x', 'd@x')"],
     [BY_EMAIL % "'a@x'", BY_ID % 1, BY_ID % 2, ALL]),
    ("DELETE FROM t WHERE id IN (3, 4)", [BY_ID % 1, BY_ID % 2], [BY_ID % 3, BY_ID % 4, BY_EMAIL % "'c@x'", ALL]),
    ("INSERT INTO t (id, email, n) VALUES (9, 'i@x', 1)", [BY_ID % 1, BY_EMAIL % "'a@x'"],
     [BY_ID % 9, BY_EMAIL % "'i@x'", ALL]),
    ("INSERT INTO t (email, n) VALUES ('k@x', 1)", [BY_ID % 1, BY_EMAIL % "'b@x'"], [BY_ID % 5, BY_EMAIL % "'k@x'", ALL]),
    ("INSERT INTO t (id, email) VALUES (30, CONCAT('z', '@x'))", [BY_ID % 1], [BY_ID % 30, BY_EMAIL % "'z@x'", ALL]),
    ("INSERT INTO t (id, email) VALUES (30, 'long-long-long-name')", [], [BY_ID % 30, BY_EMAIL % "'long-long-lo'", ALL]),
    ("INSERT INTO t (id, email) VALUES (40, 'a@x') ON DUPLICATE KEY UPDATE n = 9", [], [BY_ID % 1, BY_EMAIL % "'a@x'"]),
    ("REPLACE INTO t (id, email) VALUES (1, 'b@x')", [], [BY_ID % 1, BY_ID % 2, BY_EMAIL % "'a@x'", BY_EMAIL % "'b@x'"]),
    ("UPDATE t SET n = n + 1 WHERE owner = 7", [], [BY_ID % 1, BY_ID % 3, ALL]),
    ("UPDATE t SET id = 20 WHERE id = 1", [], [BY_ID % 1, BY_ID % 20, BY_ID % 2]),
    ("TRUNCATE TABLE t", [], [BY_ID % 1, BY_EMAIL % "'a@x'", ALL]),
])
def test_a_write_takes_its_rows_and_leaves_the_others(suimon, table, write, kept, gone):
    s = suimon(rules(table))
    with s.connect(database=table.name) as c, table.direct() as direct:
        for each in (c, direct):
            ask(each, "SET sql_mode = ''")
        filled(s, c, *kept, *gone)
        ask(c, write)
        for sql in kept:
            assert is_hit(s, c, sql), sql
            assert ask(c, sql) == ask(direct, sql)
        for sql in gone:
            assert not is_hit(s, c, sql), sql
            assert ask(c, sql) == ask(direct, sql)


# Of a unique key of several columns the first names rows, also beside a primary key.
OF_OWNER = "SELECT id, name, n FROM pairs WHERE owner = %d"
NAMED = OF_OWNER + " AND name = '%s'"


@pytest.mark.parametrize("write, kept, gone", [
    ("UPDATE pairs SET n = n + 1 WHERE owner = 1 AND name = 'a'", [NAMED % (2, "a"), OF_OWNER % 2], [NAMED % (1, "a"), OF_OWNER % 1, "SELECT n FROM pairs WHERE id = 1"]),
    ("INSERT INTO pairs (id, owner, name, n) VALUES (9, 1, 'z', 5)", [NAMED % (2, "a"), "SELECT n FROM pairs WHERE id = 1"], [NAMED % (1, "z"), OF_OWNER % 1, "SELECT n FROM pairs WHERE id = 9"]),
    ("DELETE FROM pairs WHERE name = 'b' AND owner IN (1, 3)", [NAMED % (2, "a")], [NAMED % (1, "b"), OF_OWNER % 1]),
    ("UPDATE pairs SET name = 'c' WHERE owner = 1 AND name = 'b'", [OF_OWNER % 2], [NAMED % (1, "b"), NAMED % (1, "c"), OF_OWNER % 1]),
    ("UPDATE pairs SET owner = 2 WHERE owner = 1 AND name = 'b'", [], [NAMED % (1, "b"), NAMED % (2, "b"), OF_OWNER % 1, OF_OWNER % 2]),
    ("UPDATE pairs SET n = 7 WHERE id = 3", ["SELECT n FROM pairs WHERE id = 1"], [NAMED % (2, "a"), OF_OWNER % 2]),
    ("UPDATE pairs SET n = 7 WHERE name = 'a'", [], [NAMED % (1, "a"), NAMED % (2, "a"), "SELECT n FROM pairs WHERE id = 2"]),
    ("INSERT INTO pairs (id, owner, name, n) VALUES (3, 5, 'e', 5) ON DUPLICATE KEY UPDATE n = 8", [], [NAMED % (2, "a"), OF_OWNER % 2, OF_OWNER % 5]),
    ("REPLACE INTO pairs (id, owner, name, n) VALUES (3, 1, 'a', 5)", [], [NAMED % (2, "a"), NAMED % (1, "a"), OF_OWNER % 2]),
])
def test_a_unique_key_of_several_columns(suimon, db, write, kept, gone):
    db.setup("CREATE TABLE pairs (id INT PRIMARY KEY, owner INT, name VARCHAR(9), n INT, UNIQUE (owner, name))",
             "INSERT INTO pairs VALUES (1, 1, 'a', 0), (2, 1, 'b', 0), (3, 2, 'a', 0)")
    s = suimon({"cache": {"rules": [{"match": {"schema": db.name}, "ttl": "600s"}]}})
    with s.connect(database=db.name) as c, db.direct() as direct:
        filled(s, c, *kept, *gone)
        ask(c, write)
        for sql in kept:
            assert is_hit(s, c, sql), sql
            assert ask(c, sql) == ask(direct, sql)
        for sql in gone:
            assert not is_hit(s, c, sql), sql
            assert ask(c, sql) == ask(direct, sql)


def test_prepared_reads_and_writes_name_rows_too(suimon, table):
    s = suimon(rules(table))
    with s.connect(database=table.name) as c, Wire(c) as w:
        read = w.prepare("SELECT n FROM t WHERE id = ?")
        write = w.prepare("UPDATE t SET n = ? WHERE id = ?")

        def hit(n):
            before = hits(s)
            read.execute((n,))
            return hits(s) > before
        for n in (1, 2):
            wait_until("a hit", lambda: hit(n), 10)
        write.execute((5, 1))
        assert hit(2) and not hit(1)


def test_at_commit_and_not_after_a_rollback(suimon, table):
    s = suimon(rules(table))
    with s.connect(database=table.name) as c, s.connect(database=table.name) as other:
        filled(s, other, BY_ID % 1, BY_ID % 2, ALL)
        c.begin()
        ask(c, "UPDATE t SET n = 1 WHERE id = 1")
        assert is_hit(s, other, BY_ID % 1)
        c.rollback()
        assert is_hit(s, other, BY_ID % 1) and is_hit(s, other, ALL)
        c.begin()
        ask(c, "UPDATE t SET n = 2 WHERE id = 1")
        c.commit()
        assert is_hit(s, other, BY_ID % 2) and not is_hit(s, other, BY_ID % 1) and not is_hit(s, other, ALL)


def test_a_transaction_of_more_rows_than_are_remembered(suimon, table):
    s = suimon(rules(table))
    with s.connect(database=table.name) as c, s.connect(database=table.name) as other:
        ask(c, "INSERT INTO t (id) VALUES " + ", ".join("(%d)" % n for n in range(1000, 2000)))
        filled(s, other, BY_ID % 1, BY_ID % 1900)
        c.begin()
        for n in range(1000, 1950):
            ask(c, "UPDATE t SET n = 3 WHERE id = %d" % n)
        c.commit()
        assert not is_hit(s, other, BY_ID % 1900) and not is_hit(s, other, BY_ID % 1)


def test_keys_of_the_configuration(suimon, table):
    s = suimon(rules(table, keys={"%s.t" % table.name: ["owner"]}))
    by_owner = "SELECT * FROM t WHERE owner = %d"
    with s.connect(database=table.name) as c:
        filled(s, c, by_owner % 7, by_owner % 8, BY_ID % 4)
        ask(c, "UPDATE t SET n = 1 WHERE owner = 7")
        assert is_hit(s, c, by_owner % 8) and not is_hit(s, c, by_owner % 7)
        assert not is_hit(s, c, BY_ID % 4)


@pytest.mark.parametrize("extra", [
    "CREATE TRIGGER moves BEFORE UPDATE ON t FOR EACH ROW SET NEW.email = CONCAT('m', NEW.id)",
    "ALTER TABLE t ADD COLUMN parent BIGINT, ADD FOREIGN KEY (parent) REFERENCES t (id) ON DELETE CASCADE",
])
def test_what_the_schema_changes_besides_goes_by_table(suimon, table, extra):
    table.setup(extra)
    s = suimon(rules(table))
    with s.connect(database=table.name) as c:
        filled(s, c, BY_ID % 2)
        ask(c, "DELETE FROM t WHERE id = 1")
        assert not is_hit(s, c, BY_ID % 2)


VALUES = ["1", "2", "3", "-1", "0", "'1'", "'02'", "'2x'", "' 3'", "2.0", "1e0", "TRUE", "NULL", "0x31", "'3 '", "300", "5"]
NAMES = ["'a@x'", "'A@X'", "'a@x '", "'b@x'", "'B@x'", "'ä@x'", "'a@x\\0'", "'c''x'", "NULL", "5", "''", "'long-long-long-name'", "'long-long-lo'"]
STRANGE = ["%s", "(%s)", "-(-%s)", "%s + 0"]


def a_read(rnd):
    value, name = rnd.choice(VALUES), rnd.choice(NAMES)
    return rnd.choice([
        "SELECT * FROM t WHERE id = %s" % value,
        "SELECT * FROM t WHERE id = %s AND n >= 0" % value,
        "SELECT email, n FROM t WHERE id IN (%s, %s)" % (value, rnd.choice(VALUES)),
        "SELECT COUNT(*) FROM t WHERE %s = id" % value,
        "SELECT * FROM t WHERE id = %s OR small = 1 ORDER BY id" % value,
        "SELECT * FROM t WHERE email = %s" % name,
        "SELECT id FROM t WHERE email <=> %s ORDER BY id" % name,
        "SELECT * FROM t WHERE small = %s" % value,
        "SELECT MAX(n) FROM t WHERE NOT (id = %s)" % value,
        "SELECT a.n FROM t a JOIN t b ON a.id = b.owner WHERE a.id = %s ORDER BY 1" % value,
        "SELECT COUNT(*), SUM(n), MAX(id) FROM t",
        "SELECT n FROM t WHERE id = %s UNION ALL SELECT n FROM t WHERE small = 2" % value,
    ])


def a_write(rnd):
    value, name, n = rnd.choice(VALUES), rnd.choice(NAMES), rnd.randrange(1000)
    strange = rnd.choice(STRANGE) % value if value != "NULL" else value
    return rnd.choice([
        "UPDATE t SET n = %d WHERE id = %s" % (n, value),
        "UPDATE t SET n = %d, email = %s WHERE id = %s" % (n, name, value),
        "UPDATE t SET n = %d WHERE email = %s" % (n, name),
        "UPDATE t SET id = %s, n = %d WHERE id = %s" % (rnd.choice(VALUES), n, value),
        "UPDATE t SET small = %s WHERE id = %d LIMIT 1" % (value, rnd.randrange(5)),
        "UPDATE t SET n = %d WHERE id = %s" % (n, strange),
        "DELETE FROM t WHERE id = %s" % value,
        "DELETE FROM t WHERE email = %s" % name,
        "INSERT INTO t (id, email, small, n) VALUES (%s, %s, %s, %d)" % (value, name, value, n),
        "INSERT INTO t (email, n) VALUES (%s, %d)" % (name, n),
        "INSERT INTO t SET email = %s, n = %d" % (name, n),
        "INSERT INTO t (id, email, n) VALUES (%s, CONCAT('a', '@x'), %d)" % (value, n),
        "INSERT INTO t VALUES (%s, %s, 1, 1, %d)" % (value, name, n),
        "INSERT IGNORE INTO t (id, n) VALUES (%s, %d), (%s, %d)" % (value, n, rnd.choice(VALUES), n),
        "REPLACE INTO t (id, email, n) VALUES (%s, %s, %d)" % (value, name, n),
        "INSERT INTO t (id, email, n) VALUES (%s, %s, 1) ON DUPLICATE KEY UPDATE n = %d" % (value, name, n),
        "INSERT INTO t (id, n) VALUES (%s, 1) ON DUPLICATE KEY UPDATE n = %d, id = id + 10" % (value, n),
        "INSERT INTO t (email, n) SELECT CONCAT('s', %d), %d" % (n % 7, n),
        "INSERT INTO t (id, small, n) VALUES (%s, %s, %d)" % (strange, strange, n),
        "/*! UPDATE t SET n = %d WHERE id = %s */" % (n, value),
        "UPDATE t SET n = %d WHERE id = %s /*! OR small = 1 */" % (n, value),
    ])


def tried(c, sql):
    """The rows, or the error's number: both sides must say the same."""
    try:
        return ask(c, sql)
    except pymysql.MySQLError as e:
        return e.args[0]


def prepared(w, sql, *values):
    try:
        w.prepare(sql).execute(values)
    except pymysql.MySQLError:
        pass


@pytest.mark.parametrize("seed, mode", [(0, ""), (1, "STRICT_TRANS_TABLES")])
def test_random_statements_are_answered_as_the_server_answers(suimon, table, mode, seed):
    """Odd values, wrong types, keys that move: with a cache that keeps everything, each answer is the server's."""
    s = suimon(rules(table))
    rnd = random.Random(seed)
    with s.connect(database=table.name) as c, table.direct() as direct, Wire(s.connect(database=table.name)) as w:
        for each in (c, direct):
            ask(each, "SET sql_mode = '%s'" % mode)
        w.query("SET sql_mode = '%s'" % mode)
        pool = [a_read(rnd) for _ in range(25)]
        for step in range(250):
            reads = rnd.sample(pool, 4)
            for sql in reads:
                assert tried(c, sql) == tried(direct, sql), (step, sql)
            write = a_write(rnd)
            how = rnd.random()
            if how < 0.15:
                c.begin()
                tried(c, write)
                tried(c, a_write(rnd))
                c.rollback() if how < 0.05 else c.commit()
            elif how < 0.3:
                prepared(w, write)
            elif how < 0.45:
                write = "UPDATE t SET n = ? WHERE %s = ?" % rnd.choice(["id", "email", "small"])
                prepared(w, write, step, rnd.choice([1, 2, 3, 2.0, 2.5, "1", "02", "2x", "a@x", "A@X ", "b@x", None, -1]))
            else:
                tried(c, write)
            for sql in reads + rnd.sample(pool, 3):
                assert tried(c, sql) == tried(direct, sql), (step, write, sql)
        assert hits(s) > 250
