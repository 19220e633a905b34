"""Q1 to Q4: bulk executions (COM_STMT_BULK_EXECUTE) are one record each: all of their rows or none, once, in order."""
import struct

import pymysql
import pytest

from conftest import acknowledged, ask, mariadb_only
from servers import Process, sum_metric, wait_until
from test_bulk import bulk  # noqa: F401 (a fixture)
from test_queue import act, dead, declined, drained, queue_one, state
from wire import Wire, error, lenenc, lenenc_text

pytestmark = mariadb_only("COM_STMT_BULK_EXECUTE")
BULK, TYPES, UNIT_RESULTS = 0xfa, 0x80, 0x40
STMT_BULK_OPERATIONS = 1 << 2  # of MariaDB's extended capabilities
GIVEN, NULL, DEFAULT, IGNORE = range(4)
INT, TEXT, DOUBLE, BLOB = b"\x08\x00", b"\xfd\x00", b"\x05\x00", b"\xfc\x00"
TABLE = "CREATE TABLE q (id INT PRIMARY KEY, t VARCHAR(30) DEFAULT 'default', n INT NOT NULL DEFAULT 0)"


class OfMariaDB(pymysql.connections.Connection):
    """Its login says what PyMySQL cannot: MariaDB's own capabilities."""

    def write_packet(self, payload):
        if not getattr(self, "said", False):
            self.said = True
            flags = struct.unpack_from("<I", payload)[0] & ~1
            payload = struct.pack("<I", flags) + payload[4:28] + struct.pack("<I", STMT_BULK_OPERATIONS) + payload[32:]
        super().write_packet(payload)


def wired(port, database, **more):
    return Wire(OfMariaDB(host="127.0.0.1", port=port, user="app", password="app", database=database, autocommit=True, charset="utf8mb4",
                          **more))


def value(v):
    """A value of a row: an indicator alone, or what is given."""
    if isinstance(v, tuple):
        return bytes(v)
    if v is None:
        return bytes([NULL])
    if isinstance(v, int):
        return bytes([GIVEN]) + struct.pack("<q", v)
    if isinstance(v, float):
        return bytes([GIVEN]) + struct.pack("<d", v)
    return bytes([GIVEN]) + lenenc_text(v.encode())


def payload(s, types, rows, flags=None):
    flags = (TYPES if types else 0) if flags is None else flags
    return bytes([BULK]) + struct.pack("<IH", s.id, flags) + b"".join(types or ()) + b"".join(value(v) for row in rows for v in row)


def execute(s, types, rows, flags=None):
    """The answer's packets."""
    s.wire.send(payload(s, types, rows, flags))
    return s.wire.answer()


def affected(answer):
    assert answer[0][0] == 0, error(answer[0])
    return lenenc(answer[0], 1)[0]


def rows_of(db):
    return db.primary("SELECT id, t, n FROM q ORDER BY id")


def opened(suimon, db, table=TABLE, **more):
    """A suimon that queues writes to q, of whose schema it knows."""
    db.setup(table, "CREATE TABLE warm (n INT)")
    rule = more.pop("rule", {})
    s = suimon({"threads": 1, "queue": dict({"rules": [dict({"match": {"table": db.name + ".q"}}, **rule),
                                                       {"match": {"table": db.name + ".warm"}}]}, **more)})
    with s.connect(database=db.name) as c:
        queue_one(s, c, "INSERT INTO warm VALUES (1)")
    drained(s)
    return s


def test_what_the_connector_sends_is_queued_and_comes_to_the_same(db, suimon, bulk):  # noqa: F811
    s = opened(suimon, db)
    direct = bulk(db.cluster.primary.port, db.name, "queue")
    want = rows_of(db)
    assert len(want) == 9 and any("again" in (r[1] or "") for r in want) and direct.count("bulk: ok affected=5 id=0 warnings=0") >= 1
    db.setup("DELETE FROM q")
    before, refused = acknowledged(s), declined(s, "not_eligible")
    act(s, "pause")
    got = bulk(s.mysql_port, db.name, "queue")
    assert acknowledged(s) - before == 6 == state(s)["depth"], "an execution, a record"
    assert rows_of(db) == ()
    assert [line for line in got if line.startswith("bulk: ok affected=5")] and not [line for line in got if "error" in line]
    act(s, "resume")
    drained(s)
    assert rows_of(db) == want and dead(s) == [] and declined(s, "not_eligible") == refused


@pytest.mark.parametrize("mode", ["", "SET sql_mode = 'STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES'", "SET sql_mode = ''", "SET sql_mode = 'ANSI_QUOTES'"])
def test_values_mean_what_they_mean_directly(db, suimon, mode):
    """Numbers, texts with whatever quotes, NULLs; several rows in a list of the statement's own; types sent once."""
    s = opened(suimon, db)
    text = "INSERT INTO q (id, t) VALUES (?, ?), (?, ?), (?, CONCAT('\"', '''?'))"
    lists = [[(1, "it's", 1001, "back\\slash", 2001), (2, None, 1002, 'quo"ted', 2002), (3, "x;\n", 1003, None, 2003)],
             [(4, "", 1004, "zwölf", 2004), (5, "\x1a\x00", 1005, "end", 2005)]]

    def write(port):
        with wired(port, db.name) as w:
            if mode:
                w.query(mode)
            prepared = w.prepare(text)
            first = [affected(execute(prepared, [INT, TEXT, INT, TEXT, INT], lists[0])), affected(execute(prepared, None, lists[1]))]
            odd = execute(w.prepare("INSERT INTO q (id, t) VALUES (?, ?)"), [INT, b"\xfe\x00"], [(9, "as another type")])
            return first + [affected(odd)]
    told = write(db.cluster.primary.port)
    want = rows_of(db)
    assert len(want) == 16
    db.setup("DELETE FROM q")
    before = acknowledged(s)
    assert write(s.mysql_port) == told == [9, 6, 1]
    drained(s)
    assert acknowledged(s) - before == 3 and rows_of(db) == want and dead(s) == []


def test_rows_that_must_fail_alone_do(db, suimon):
    """Without a strict mode NULL for a NOT NULL column is an error of a row alone, and 0 in company: a bulk's rows are each alone."""
    s = opened(suimon, db)
    with wired(s.mysql_port, db.name) as w:
        w.query("SET sql_mode = ''")
        execute(w.prepare("INSERT INTO q (id, n) VALUES (?, ?)"), [INT, INT], [(1, 5), (2, None), (3, 6)])
        affected(execute(w.prepare("INSERT INTO q (id, n) VALUES (?, ?)"), [INT, INT], [(11, 5), (12, 7)]))
    drained(s)
    assert rows_of(db) == ((11, "default", 5), (12, "default", 7))
    assert [d["error_code"] for d in dead(s)] == [1048]


def test_a_limit_that_is_no_count_in_some_row_runs_directly(db, suimon):
    """And a row whose text would be too long for a small max_allowed_packet."""
    s = opened(suimon, db, TABLE.replace("t VARCHAR(30)", "b LONGBLOB, t VARCHAR(30)"))
    with wired(s.mysql_port, db.name) as w:
        limited, long = w.prepare("UPDATE q SET n = n + ? ORDER BY id LIMIT ?"), w.prepare("INSERT INTO q (id, b) VALUES (?, ?)")
        affected(execute(limited, [INT, INT], [(1, 1), (1, 2)]))
        before, refused = acknowledged(s), declined(s, "not_eligible")
        affected(execute(limited, None, [(1, 1), (1, 2)]))
        assert acknowledged(s) == before + 1 and declined(s, "not_eligible") == refused
        for n, last in enumerate((None, -1)):
            execute(limited, None, [(1, 1), (1, last)])
            assert acknowledged(s) == before + 1 and declined(s, "not_eligible") == refused + n + 1
        affected(execute(long, [INT, BLOB], [(1, "x" * 600000)]))
        assert acknowledged(s) == before + 1 and declined(s, "not_eligible") == refused + 3
    drained(s)
    assert dead(s) == []


def test_rows_of_what_is_too_large_are_counted_once(db, suimon):
    """The statistics' affected rows: it runs directly after all, and the server says how many they are."""
    s = opened(suimon, db)
    n = 5000  # statements, which are too many for a record: without a strict mode a NULL wants one of its own
    with wired(s.mysql_port, db.name) as w:
        w.query("SET sql_mode = ''")
        insert = w.prepare("INSERT INTO q (id, t) VALUES (?, ?)")
        affected(execute(insert, [INT, TEXT], [(-1, "first")]))
        before = declined(s, "not_eligible")
        assert affected(execute(insert, [INT, TEXT], [(i, None) for i in range(n)])) == n and declined(s, "not_eligible") == before + 1
    drained(s)
    inserts = [q for q in s.api("/api/queries?limit=100")["queries"] if q["text"].startswith("insert into q")]
    assert sum(q["rows_affected"] for q in inserts) == n + 1 == len(rows_of(db))


@pytest.mark.parametrize("policy", ["sync", "error"])
def test_what_is_too_large_for_the_queue_is_no_error_of_a_full_one(db, suimon, policy):
    """Its text is 1.8 MB and the queue has 1 MiB: it runs directly, whatever on_full says."""
    s = opened(suimon, db, TABLE.replace("VARCHAR(30) DEFAULT 'default'", "TEXT"), max_bytes="1MiB", on_full=policy)
    with wired(s.mysql_port, db.name) as w:
        insert = w.prepare("INSERT INTO q (id, t) VALUES (?, ?)")
        affected(execute(insert, [INT, TEXT], [(100 + i, "x") for i in range(30)]))
        before, refused, full = acknowledged(s), declined(s, "not_eligible"), declined(s, "full")
        assert affected(execute(insert, [INT, TEXT], [(i, "'" * 30000) for i in range(30)])) == 30
        assert acknowledged(s) == before and declined(s, "not_eligible") == refused + 1 and declined(s, "full") == full
        assert affected(execute(insert, [INT, TEXT], [(200 + i, "x") for i in range(30)])) == 30 and acknowledged(s) == before + 1
    drained(s)
    assert db.primary("SELECT COUNT(*), SUM(LENGTH(t)) FROM q") == ((90, 30 * 30000 + 60),) and dead(s) == []


@pytest.mark.parametrize("sql,rows", [("INSERT INTO q (id, n) VALUES (?, ?)", [(1, 1), (50, 1), (2, 1)]),
                                      ("UPDATE q SET id = ? WHERE id = ?", [(60, 51), (50, 52), (61, 52)])])
def test_of_one_execution_all_rows_are_applied_or_none(db, suimon, sql, rows):
    s = opened(suimon, db)
    db.setup("INSERT INTO q (id) VALUES (50), (51), (52)")
    before = acknowledged(s)
    with wired(s.mysql_port, db.name) as w, s.connect(database=db.name) as c:
        prepared = w.prepare(sql)
        ask(c, "INSERT INTO q (id) VALUES (70)")
        execute(prepared, [INT, INT], rows)
        ask(c, "INSERT INTO q (id) VALUES (71)")
    drained(s)
    assert acknowledged(s) - before == 3
    assert [r[0] for r in rows_of(db)] == [50, 51, 52, 70, 71]
    letters = dead(s)
    assert [d["error_code"] for d in letters] == [1062]
    db.setup("DELETE FROM q WHERE id = 50")
    act(s, "dead/%d/retry" % letters[0]["id"])
    drained(s)
    assert [r[0] for r in rows_of(db)] == ([1, 2, 50, 51, 52, 70, 71] if "INSERT" in sql else [50, 60, 70, 71]) and dead(s) == []


def test_its_session_sees_it_at_once(db, suimon):
    s = opened(suimon, db, drain={"batch_wait": "300ms"})
    with wired(s.mysql_port, db.name) as w:
        insert, update = w.prepare("INSERT INTO q (id, n) VALUES (?, ?)"), w.prepare("UPDATE q SET n = n + ? WHERE id = ?")
        for n in range(3):
            before = acknowledged(s)
            affected(execute(insert, [INT, INT], [(10 * n + i, i) for i in range(7)]))
            affected(execute(update, [INT, INT], [(100, 10 * n + i) for i in range(7)]))
            assert acknowledged(s) - before == 2
            assert w.query("SELECT COUNT(*), SUM(n) FROM q WHERE id >= %d" % (10 * n))[4] == b"\x017\x03721"


def test_order_is_kept_within_a_columns_value(db, suimon):
    """Over four connections; bulks of one value and of several among single rows: each value's rows in the order of their acknowledgement."""
    s = opened(suimon, db, "CREATE TABLE q (pos INT AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL, n INT NOT NULL, KEY (k))",
               drain={"workers": 4, "batch_rows": 20}, rule={"order": "k"})
    with wired(s.mysql_port, db.name) as w:
        one, many = w.prepare("INSERT INTO q (k, n) VALUES (?, ?)"), w.prepare("UPDATE q SET n = n + ? WHERE k = ? AND n < 0")
        for n in range(0, 600, 6):
            affected(execute(one, [INT, INT], [(n % 5 + 1, n), (n % 5 + 1, n + 1)]))
            affected(execute(one, [INT, INT], [(1, n + 2), (2, n + 3)]))
            affected(execute(many, [INT, INT], [(1, 3), (1, 4)]))
            one.execute((n % 5 + 1, n + 4))
            one.execute((3, n + 5))
    drained(s)
    for k in range(1, 6):
        seen = [r[0] for r in db.primary("SELECT n FROM q WHERE k = %d ORDER BY pos" % k)]
        assert seen == sorted(seen), k
    assert db.primary("SELECT COUNT(*), COUNT(DISTINCT n) FROM q") == ((600, 600),) and dead(s) == []


def test_a_large_one_becomes_several_statements_of_one_record(db, suimon):
    """300 KB: more than one statement holds; above 1 MiB it runs directly, and so does what names too many rows."""
    s = opened(suimon, db, "CREATE TABLE q (id INT PRIMARY KEY, t LONGTEXT, n INT DEFAULT 0)")
    before, refused = acknowledged(s), declined(s, "not_eligible")
    act(s, "pause")
    with wired(s.mysql_port, db.name) as w:
        insert = w.prepare("INSERT INTO q (id, t) VALUES (?, ?)")
        assert affected(execute(insert, [INT, TEXT], [(i, "x" * 290 + str(i)) for i in range(1000)])) == 1000
        assert acknowledged(s) - before == 1 == state(s)["depth"]
        assert "INSERT" in str(s.api("/api/queue/pending"))
        act(s, "resume")
        drained(s)
        assert affected(execute(insert, [INT, TEXT], [(2000 + i, "y" * 1500) for i in range(1000)])) == 1000
        assert affected(execute(w.prepare("UPDATE q SET n = 1 WHERE id = ?"), [INT], [(i,) for i in range(5000)])) == 2000 - 1000 + 1000
    assert acknowledged(s) - before == 1 and declined(s, "not_eligible") - refused == 2
    assert db.primary("SELECT COUNT(*), SUM(LENGTH(t)), MIN(t = CONCAT(REPEAT('x', 290), id)), SUM(n) FROM q WHERE id < 2000") == (
        (1000, 1000 * 290 + 2890, 1, 1000),)


@pytest.mark.parametrize("sql,types,rows", [
    ("INSERT INTO q (id, t) VALUES (?, IF(? > 5, 'more', 'less'))", [INT, INT], [(1, 9), (2, 3), (3, 7)]),
    ("INSERT INTO q (id, t) VALUES (?, CONCAT(?, '|', ? + 0))", [INT, b"\x0b\x00", b"\x0b\x00"],
     [(n, raw, raw) for n, raw in enumerate(((0, 8, 0, 0, 0, 0, 0, 1, 2, 3), (0, 12, 0, 0, 0, 0, 0, 1, 2, 3, 0x20, 0xa1, 7, 0)))]),
    ("INSERT INTO q (id, n) VALUES (?, 1) ON DUPLICATE KEY UPDATE n = n + ?", [INT, INT], [(1, 2), (1, 3), (1, 4)]),
    ("REPLACE INTO q (id, t) VALUES (?, COALESCE(?, 'none'))", [INT, TEXT], [(1, None), (2, "two")]),
    ("UPDATE q SET n = n - ? WHERE id = ?", [b"\x08\x80", INT], [(2, 50), (9, 50), (1, 50)]),
], ids=["comparison", "time", "upsert", "replace", "unsigned"])
def test_what_the_server_reckons_otherwise_runs_directly(db, suimon, sql, types, rows):
    """A bulk INSERT's expressions are resolved with its first row, and an unsigned number makes n - ? one: as it is directly."""
    s = opened(suimon, db)

    def write(port):
        db.setup("DELETE FROM q", "INSERT INTO q (id, n) VALUES (50, 3)")
        with wired(port, db.name) as w:
            answer = execute(w.prepare(sql), types, rows)
        return error(answer[0])[:2] if answer[0][0] == 0xff else affected(answer), rows_of(db)
    want, before, refused = write(db.cluster.primary.port), acknowledged(s), declined(s, "not_eligible")
    assert [write(s.mysql_port) for _ in range(2)] == [want] * 2
    assert acknowledged(s) == before and declined(s, "not_eligible") - refused == 2 and dead(s) == []


def test_expressions_without_values_are_queued(db, suimon):
    s = opened(suimon, db)
    with wired(s.mysql_port, db.name) as w:
        insert = w.prepare("INSERT INTO q (id, t, n) VALUES (?, UPPER('x'), ?) ON DUPLICATE KEY UPDATE n = n + VALUES(n)")
        affected(execute(insert, [INT, b"\x03\x80"], [(1, (GIVEN, 1, 0, 0, 0)), (2, (GIVEN, 2, 0, 0, 0))]))
        before = acknowledged(s)
        affected(execute(insert, [INT, b"\x03\x80"], [(1, (GIVEN, 1, 0, 0, 0)), (3, (GIVEN, 0, 0, 0, 0x7f))]))
        assert acknowledged(s) == before + 1
    drained(s)
    assert rows_of(db) == ((1, "X", 2), (2, "X", 2), (3, "X", 0x7f000000)) and dead(s) == []


def strange(db, port, send):
    """What a client hears, by a fresh session, and what is in the table then."""
    db.setup("DELETE FROM q", "INSERT INTO q (id) VALUES (50)")
    with wired(port, db.name) as w:
        s = {"insert": w.prepare("INSERT INTO q (id, t) VALUES (?, ?)"), "update": w.prepare("UPDATE q SET t = ? WHERE id = ?"),
             "inner": w.prepare("INSERT INTO q (id, t) VALUES (?, CONCAT(?, 'x'))"), "n": w.prepare("INSERT INTO q (id, n) VALUES (?, ?)"),
             "none": w.prepare("INSERT INTO q (id) VALUES (77)")}
        send(w, s)
        answer = w.answer()
        alive = w.query("SELECT 1")[0]
    first = answer[0]
    return error(first)[0] if first[0] == 0xff else first[:2], alive, rows_of(db)


@pytest.mark.parametrize("send", [
    lambda w, s: w.send(payload(s["update"], [TEXT, INT], [((DEFAULT,), 50)])),
    lambda w, s: w.send(payload(s["update"], [TEXT, INT], [((IGNORE,), 50), ("set", 50)])),
    lambda w, s: w.send(payload(s["inner"], [INT, TEXT], [(1, "a"), (2, (DEFAULT,))])),
    lambda w, s: w.send(payload(s["n"], [INT, DOUBLE], [(1, float("nan"))])),
    lambda w, s: w.send(payload(s["insert"], [INT, TEXT], [(1, "a"), (2, "b")], TYPES | 0x20)),
], ids=["default", "ignore", "default inside", "nan", "flag"])
def test_what_cannot_be_queued_runs_directly(db, suimon, send):
    s = opened(suimon, db)
    want = strange(db, db.cluster.primary.port, send)
    before, refused = acknowledged(s), declined(s, "not_eligible")
    assert strange(db, s.mysql_port, send) == want
    assert acknowledged(s) == before and declined(s, "not_eligible") == refused + 1


@pytest.mark.parametrize("rest", [b"", b"\x00", b"\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x05ab", b"\x07", b"\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00"],
                         ids=["no rows", "cut off", "cut off in a text", "no such indicator", "half a row"])
def test_malformed_rows_are_the_servers_to_judge(db, suimon, rest):
    s = opened(suimon, db)
    before = acknowledged(s)

    def send(w, statements):
        w.send(payload(statements["insert"], [INT, TEXT], []) + rest)
    assert strange(db, s.mysql_port, send)[1:] == strange(db, db.cluster.primary.port, send)[1:]
    assert acknowledged(s) == before
    with s.connect(database=db.name) as c:
        assert ask(c, "SELECT 1") == ((1,),)


def test_each_rows_outcome_is_the_servers_to_tell(db, suimon):
    """Asked for (MARIADB_CLIENT_BULK_UNIT_RESULTS, from MariaDB 11.5 on) the execution is not queued: only the server knows it."""
    s = opened(suimon, db)
    before, refused = acknowledged(s), declined(s, "not_eligible")

    def send(w, statements):
        w.send(payload(statements["insert"], [INT, TEXT], [(1, "a"), (2, "b")], TYPES | UNIT_RESULTS))
    assert strange(db, s.mysql_port, send) == strange(db, db.cluster.primary.port, send)
    assert acknowledged(s) == before and declined(s, "not_eligible") == refused + 1


def test_a_default_that_the_column_lacks_fails_at_once(db, suimon):
    """As an indicator, too: error 1364 from the server, no dead letter; without such a value the same statement is queued."""
    s = opened(suimon, db, "CREATE TABLE q (id INT PRIMARY KEY, t VARCHAR(30) NOT NULL, n INT NOT NULL DEFAULT 7)")
    with wired(s.mysql_port, db.name) as w:
        insert = w.prepare("INSERT INTO q (id, t) VALUES (?, ?)")
        for n in range(3):
            assert error(execute(insert, [INT, TEXT], [(n, "a"), (100 + n, (DEFAULT,))])[0])[0] == 1364
            before = acknowledged(s)
            assert affected(execute(insert, [INT, TEXT], [(10 + n, "a"), (20 + n, "b")])) == 2
            assert acknowledged(s) - before == 1
        assert sum_metric(s.metrics(), "suimon_queue_declined_total", 'reason="no_default"') == 3
    drained(s)
    assert [r[0] for r in rows_of(db)] == [10, 11, 12, 20, 21, 22] and dead(s) == []


def test_in_a_transaction_it_is_the_transactions(db, suimon):
    s = opened(suimon, db)
    before, refused = acknowledged(s), declined(s, "transaction")
    with wired(s.mysql_port, db.name) as w:
        insert = w.prepare("INSERT INTO q (id, t) VALUES (?, ?)")
        w.query("BEGIN")
        affected(execute(insert, [INT, TEXT], [(1, "a"), (2, "b")]))
        w.query("ROLLBACK")
    assert acknowledged(s) == before and declined(s, "transaction") == refused + 1 and rows_of(db) == ()


def test_a_killed_suimon_loses_no_row_of_it(db, suimon):
    s = opened(suimon, db)
    with wired(s.mysql_port, db.name) as w:
        insert, update = w.prepare("INSERT INTO q (id, n) VALUES (?, ?)"), w.prepare("UPDATE q SET n = n + ? WHERE id = ?")
        act(s, "pause")
        for n in range(20):
            affected(execute(insert, [INT, INT], [(n * 10 + i, i) for i in range(10)]))
            affected(execute(update, [INT, INT], [(100, n * 10 + i) for i in range(10)]))
    s.process.kill()
    s.process = Process("suimon", s.process.argv, s.log, s.process.env)
    s.start()
    act(s, "resume")
    wait_until("all rows to be there", lambda: db.primary("SELECT COUNT(*), SUM(n), MIN(n) FROM q") == ((200, 20 * 45 + 20000, 100),), 20)
    drained(s)
    assert dead(s) == []
