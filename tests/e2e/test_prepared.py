"""P4: prepared statements in the binary protocol, byte for byte, and over changing server connections."""
import re

import pymysql
import pytest

from conftest import ask, mariadb_only
from wire import Wire


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(100), n DOUBLE, b LONGBLOB)",
             "INSERT INTO t (v, n, b) VALUES ('one', 1.5, x'00ff'), (NULL, NULL, NULL), ('three', -3, 'x')")
    return db


def both(db, proxy, talk):
    """talk(wire) direct, then through; both results."""
    with Wire(db.direct()) as w:
        want = talk(w)
    with Wire(proxy.connect(database=db.name)) as w:
        return want, talk(w)


def test_a_session_has_room_for_so_many_bytes_of_texts(proxy, db):
    """F3: it is told as a server tells it, goes on, and has room again when it closes some."""
    with Wire(proxy.connect(database=db.name)) as w:
        def prepare(n):
            return w.prepare("SELECT LENGTH('%s'), %d" % ("x" * 900000, n))
        kept = [prepare(n) for n in range(37)]
        with pytest.raises(pymysql.MySQLError) as e:
            prepare(37)
        assert e.value.args[0] == 1461 and e.value.args[2].startswith("suimon: ")
        kept[0].close()
        assert prepare(38).execute(())[0] == kept[5].execute(())[0] == b"\x02"


QUERIES = [
    ("SELECT 1", [()]),
    ("SELECT ?, ?, ?, ?", [(1, 2.5, "text", None), (None, None, b"\x00", 7)]),
    ("SELECT * FROM t WHERE id = ?", [(1,), (2,), (99,), (3,)]),
    ("SELECT id, v FROM t WHERE id IN (?, ?) AND n > ? ORDER BY id", [(1, 3, -10.0), (2, 3, 0.0)]),
    ("SHOW COLUMNS FROM t", [()]),
    ("SELECT * FROM t ORDER BY id LIMIT ?", [(1,), (2,)]),
    ("SET @p = ?", [(5,)]),
    ("SELECT @p", [()]),
    ("SELECT CAST(? AS SIGNED)", [("12x",), ("7",)]),
    ("UPDATE t SET v = v WHERE id = ?", [(1,)]),
    ("SELECT REPEAT(?, 70000)", [("y",)]),
]


@pytest.mark.parametrize("sql,executions", QUERIES, ids=[q[0] for q in QUERIES])
def test_prepare_and_execute(table, proxy, sql, executions):
    def talk(w):
        s = w.prepare(sql)
        answers = [s.shape] + [s.execute(values) for values in executions]
        s.close()
        return answers + [w.query("SHOW WARNINGS")]
    want, got = both(table, proxy, talk)
    assert got == want


LAST = 0xffffffff


@mariadb_only("MySQL executes none without its number")
def test_the_statement_prepared_last_is_executed_without_its_number(table, proxy):
    """MariaDB takes it from clients that have not asked for bulk operations, too: Connector/J sends PREPARE and EXECUTEs at once."""
    def talk(w):
        first = w.prepare("SELECT v FROM t WHERE id = ?")
        number, first.id = first.id, LAST
        answers = [first.execute((1,)), first.execute((3,)), w.query("SELECT 5"), first.execute((1,))]
        second = w.prepare("SET @p = ?")
        second.id = LAST
        answers += [second.execute(("x",)), second.execute(("y",))]
        first.id = number
        answers += [first.execute((3,)), second.execute(("z",)), w.query("SELECT @p")]
        with pytest.raises(pymysql.MySQLError):
            w.prepare("SELEKT")
        return answers + [second.execute(("none",))]
    want, got = both(table, proxy, talk)
    assert got == want


@pytest.mark.parametrize("sql", ["SELEKT 1", "SELECT * FROM missing", "SELECT ? FROM t WHERE missing = ?", ""])
def test_what_cannot_be_prepared(table, proxy, sql):
    def talk(w):
        with pytest.raises(pymysql.MySQLError) as e:
            w.prepare(sql)
        return e.value.args
    want, got = both(table, proxy, talk)
    assert got == want


def test_writes(table, proxy):
    with Wire(proxy.connect(database=table.name)) as w:
        s = w.prepare("INSERT INTO t (v, n) VALUES (?, ?)")
        for i in range(20):
            s.execute(("w%d" % i, float(i)))
        last = w.query("SELECT LAST_INSERT_ID()")
        assert b"23" in last[3]
    assert table.primary("SELECT COUNT(*), MAX(id) FROM t WHERE v LIKE 'w%'") == ((20, 23),)


def test_types_sent_once_hold_for_later_executions(table, proxy):
    def talk(w):
        s = w.prepare("SELECT ? + 1, ?")
        return [s.execute((1, "a")), s.execute((2, "b"), types=False), s.execute((3, None), types=False)]
    want, got = both(table, proxy, talk)
    assert got == want


def test_long_data(table, proxy):
    def talk(w):
        s = w.prepare("SELECT LENGTH(?), SHA2(?, 256), ?")
        for part in (b"abc", b"x" * 100000, b""):
            s.long_data(0, part)
        s.long_data(1, b"second")
        one = s.execute((b"", b"", 3), long_data=(0, 1))
        two = s.execute((b"plain", b"p", 4))
        s.long_data(0, b"dropped")
        reset = s.reset()
        return [one, two, reset, s.execute((b"after", b"r", 5))]
    want, got = both(table, proxy, talk)
    assert got == want


def test_cursor(table, proxy):
    def talk(w):
        s = w.prepare("SELECT id, v FROM t ORDER BY id")
        answers = [s.execute((), cursor=1), s.fetch(2), s.fetch(2), s.fetch(1)]
        answers += [s.execute((), cursor=1), s.fetch(1), s.reset()]
        s.close()
        return answers + [w.query("SELECT 1")]
    want, got = both(table, proxy, talk)
    # The server names its own number of the statement in one of these errors.
    assert unnumbered(got) == unnumbered(want)


def unnumbered(value):
    if isinstance(value, list):
        return [unnumbered(v) for v in value]
    return re.sub(rb"\(\d+\)", b"(N)", value)


def test_a_statement_nobody_prepared(table, proxy):
    def talk(w):
        s = w.prepare("SELECT 1")
        s.close()
        s.id = 4711
        w.send(b"\x17" + (4711).to_bytes(4, "little") + b"\x00\x01\x00\x00\x00")
        first = w.packet()
        w.send(b"\x1a" + (4711).to_bytes(4, "little"))
        return first[:9], w.packet()[:9], w.query("SELECT 2")
    want, got = both(table, proxy, talk)
    assert got == want


def test_call_gives_several_results(table, proxy):
    table.setup("CREATE PROCEDURE p(IN x INT) BEGIN SELECT x; SELECT id FROM t; END")

    def talk(w):
        s = w.prepare("CALL p(?)")
        return [s.execute((7,)), s.execute((8,))]
    want, got = both(table, proxy, talk)
    assert got == want


def test_a_statement_survives_a_change_of_its_table(table, proxy):
    with Wire(proxy.connect(database=table.name)) as w:
        s = w.prepare("SELECT * FROM t WHERE id = ?")
        before = s.execute((1,))
        table.setup("ALTER TABLE t ADD extra INT DEFAULT 5")
        assert s.execute((1,))[0] == b"\x05" != before[0]


def test_many_statements_on_one_server_connection(table, suimon):
    """Sessions outnumber server connections: every one must find its statements again wherever it runs."""
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 2, "min_idle": 0}}})
    wires = [Wire(s.connect(database=table.name)) for _ in range(8)]
    try:
        kept = []
        for n, w in enumerate(wires):
            kept.append([w.prepare("SELECT '%d', '%d', v FROM t WHERE id = ?" % (n, i)) for i in range(4)])
        for turn in range(5):
            for n in range(len(wires)):
                for i, statement in enumerate(kept[n]):
                    answer = statement.execute((1 + turn % 3,))
                    assert answer[0] == b"\x03"
                    row = answer[5]
                    assert row[2:6] == b"\x01%d\x01%d" % (n, i), "session %d statement %d" % (n, i)
    finally:
        for w in wires:
            w.close()


def test_prepared_inside_a_transaction(table, proxy):
    with proxy.connect(database=table.name) as c:
        w = Wire(c)
        s = w.prepare("UPDATE t SET v = ? WHERE id = 1")
        w.query("BEGIN")
        s.execute(("changed",))
        w.query("ROLLBACK")
        assert table.primary("SELECT v FROM t WHERE id = 1") == (("one",),)
        w.query("BEGIN")
        s.execute(("changed",))
        w.query("COMMIT")
    assert table.primary("SELECT v FROM t WHERE id = 1") == (("changed",),)


def test_the_session_state_reaches_prepared_statements(table, proxy):
    with proxy.connect(database=table.name) as c:
        ask(c, "SET time_zone = '+07:00'")
        w = Wire(c)
        answer = w.prepare("SELECT @@time_zone").execute(())
        assert answer[3][2:].endswith(b"+07:00")
