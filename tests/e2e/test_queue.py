"""Q1 to Q7: writes acknowledged from the durable queue and applied behind the client's back."""
import datetime
import glob
import json
import os
import re
import struct
import subprocess
import tempfile
import threading
import time
import uuid

import pymysql
import pytest

from conftest import KIND, acknowledged, ask, filled, is_queued, mariadb_only
from servers import Process, listing, sum_metric, wait_until
from wire import Wire, error


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT, v VARCHAR(40), at DATETIME(6))",
             "CREATE TABLE keyed (id INT PRIMARY KEY, v VARCHAR(10) NOT NULL)")
    return db


def rules(db, **more):
    names = ("log", "keyed")
    return {"queue": dict({"rules": [{"match": {"table": "%s.%s" % (db.name, n), "verb": "insert"}, "order": "table"} for n in names]},
                          **more)}


@pytest.fixture
def queued(suimon, table):
    return suimon(rules(table))


def state(s):
    return s.api("/api/queue")


def act(s, path):
    status, text = s.http("/api/queue/" + path, data={})
    assert status == 200, text


def drained(s):
    wait_until("the queue to drain", lambda: state(s)["depth"] == 0, 20)


def dead(s):
    return listing(s.api("/api/queue/dead"))


def verb(s, *words):
    return subprocess.run([s.binary, "queue", *words, "-c", s.file], capture_output=True, text=True, timeout=30)


def queue_one(s, c, sql="INSERT INTO log (n) VALUES (0)"):
    """Repeats the statement until one is queued: the first of a shape goes to the server, which says whether it is valid."""
    wait_until("%r to be queued" % sql, lambda: is_queued(s, c, sql), 5)


def test_an_acknowledged_insert_is_applied_once(queued, table):
    with queued.connect(database=table.name) as c:
        for n in range(300):
            ask(c, "INSERT INTO log (n, v) VALUES (%d, 'row')" % n)
    drained(queued)
    assert [r[0] for r in table.primary("SELECT n FROM log ORDER BY id")] == list(range(300))
    assert acknowledged(queued) >= 200  # the first went directly, while the schema was still being read
    assert table.cluster.primary.sql("SELECT COUNT(*) > 0 FROM suimon.applied") == ((1,),)


def test_pause_and_resume(queued, table):
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        drained(queued)
        act(queued, "pause")
        assert state(queued)["state"] == "paused"
        for n in range(1, 11):
            ask(c, "INSERT INTO log (n) VALUES (%d)" % n)
        assert state(queued)["depth"] == 10
        time.sleep(0.3)
        assert table.primary("SELECT COUNT(*) FROM log WHERE n > 0") == ((0,),)
        act(queued, "resume")
        drained(queued)
        assert table.primary("SELECT COUNT(*) FROM log WHERE n > 0") == ((10,),)


def test_a_session_sees_its_own_queued_writes(suimon, table):
    s = suimon(rules(table, drain={"batch_wait": "300ms"}))
    with s.connect(database=table.name) as c:
        for n in range(1, 6):
            queue_one(s, c, "INSERT INTO log (n) VALUES (%d)" % n)
            assert ask(c, "SELECT COUNT(*) > 0 FROM log WHERE n = %d" % n) == ((1,),)
        ask(c, "UPDATE log SET v = 'seen' WHERE n = 5")
        assert ask(c, "SELECT DISTINCT v FROM log WHERE n = 5") == (("seen",),)


def test_a_direct_write_on_the_table_waits_for_the_sessions_queued_ones(suimon, table):
    s = suimon(rules(table, drain={"batch_wait": "300ms"}))
    with s.connect(database=table.name) as c:
        queue_one(s, c)
        ask(c, "INSERT INTO log (n) VALUES (77)")
        ask(c, "DELETE FROM log")
        drained(s)
        assert table.primary("SELECT COUNT(*) FROM log") == ((0,),)


@pytest.mark.parametrize("sql,code", [
    ("INSERT INTO log (n) VALUES (", 1064), ("INSERT INTO log (missing) VALUES (1)", 1054), ("INSERT INTO log (n) VALUES (1, 2)", 1136),
    ("INSERT INTO log_missing (n) VALUES (1)", 1146)])
def test_a_wrong_statement_is_refused_at_once(queued, table, sql, code):
    with queued.connect(database=table.name) as c:
        for _ in range(2):
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, sql)
            assert e.value.args[0] == code
    assert dead(queued) == []


# What one digest holds: a text that is right, others that are, and others that are not.
FOLDED = [
    ("INSERT INTO log (n, v) VALUES (1, 'a')", ["INSERT INTO log (n, v) VALUES (2, NULL), (-3, 'c'), (4, 'it''s')"],
     [("INSERT INTO log (n, v) VALUES (5)", 1136), ("INSERT INTO log (n, v) VALUES (5, 'a', 7)", 1136), ("INSERT INTO log (n, v) VALUES (5, 'a'), (6)", 1136),
      ("INSERT INTO log (n, v) VALUES ()", 1136), ("INSERT INTO log (n, v) VALUES (5, 'a') (6, 'b')", 1064), ("INSERT INTO log (n, v) VALUES (5 'a')", 1064),
      ("INSERT INTO log (n, v) VALUES (5, )", 1064), ("INSERT INTO log (n, v) VALUES (?, ?)", 1064)]),
    ("DELETE FROM log WHERE n IN (1, 2)", ["DELETE FROM log WHERE n IN (7)", "DELETE FROM log WHERE n IN (-7, '8', NULL)"],
     [("DELETE FROM log WHERE n IN ()", 1064), ("DELETE FROM log WHERE n IN (1, )", 1064), ("DELETE FROM log WHERE n IN (1 2)", 1064)]),
    ("UPDATE log SET v = 'b' WHERE n IS NULL ORDER BY n LIMIT 5", ["UPDATE log SET v = NULL WHERE n IS NULL ORDER BY n LIMIT 2"],
     [("UPDATE log SET v = 'b' WHERE n IS 5 ORDER BY n LIMIT 5", 1064), ("UPDATE log SET v = 'b' WHERE n IS NULL ORDER BY n LIMIT 1, 5", 1064),
      ("UPDATE log SET v = 'b' WHERE n IS NULL ORDER BY n LIMIT -5", 1064)]),
    ("UPDATE log SET v = 'b' WHERE n IS NOT NULL AND n = -1", ["UPDATE log SET v = 'c' WHERE n IS NOT NULL AND n = '-2'"],
     [("UPDATE log SET v = 'b' WHERE n IS NOT 5 AND n = -1", 1064)]),
    ("INSERT INTO log (at, n) VALUES (NOW(6), 1)", ["INSERT INTO log (at, n) VALUES (NOW(6), 2), (NOW(6), NULL)"],
     [("INSERT INTO log (at, n) VALUES (NOW(9), 1)", 1426), ("INSERT INTO log (at, n) VALUES (NOW(6), 1), (NOW('6'), 2)", 1064)]),
    ("DELETE FROM log WHERE n = 1 ORDER BY n ASC LIMIT 5", ["DELETE FROM log WHERE n = 2 ORDER BY n ASC LIMIT 1"],
     [("DELETE FROM log WHERE n = 1 ORDER BY ASC n LIMIT 5", 1064), ("DELETE FROM log WHERE n = 1 ORDER BY n LIMIT ASC 5", 1064)]),
    ("UPDATE log SET v = SUBSTRING(v, 1) WHERE n = 1", ["UPDATE log SET v = SUBSTRING(v, 2) WHERE n = -1"],
     [("UPDATE log SET v = SUBSTRING/**/(v, 1) WHERE n = 1", 1630)]),
    ("UPDATE log SET v = x'41' WHERE n = 1", ["UPDATE log SET v = x'4142' WHERE n = -1"], [("UPDATE log SET v = x'414' WHERE n = 1", 1064), ("UPDATE log SET v = x'4g' WHERE n = 1", 1064)]),
]


@pytest.mark.parametrize("right,others,wrong", FOLDED, ids=["rows", "list", "kinds", "not", "precision", "order", "call", "bytes"])
def test_what_a_digest_folds_is_refused_at_once_where_it_is_wrong(suimon, table, right, others, wrong):
    """Q4: an empty list has the digest of a full one, a row with a value missing that of a whole one: the client hears of it, not a dead letter."""
    s = suimon({"queue": {"rules": [{"match": {"table": table.name + ".log"}}]}})
    with s.connect(database=table.name) as c:
        queue_one(s, c, right)
        for other in others:
            assert is_queued(s, c, other)
        for sql, code in wrong * 2:
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, sql)
            assert e.value.args[0] == code
            assert is_queued(s, c, right)
    drained(s)
    assert dead(s) == []


@mariadb_only("of these MySQL minds other ones")
@pytest.mark.parametrize("right,wrong,sql,code", [
    ("sql_mode = 'STRICT_TRANS_TABLES'", "sql_mode = 'STRICT_TRANS_TABLES,IGNORE_SPACE'", "INSERT INTO count (n) VALUES (1)", 1064),
    ("sql_mode = 'STRICT_TRANS_TABLES'", "sql_mode = 'STRICT_TRANS_TABLES,NO_ZERO_IN_DATE'", "UPDATE log SET v = DATE '2020-00-00' WHERE n = -1", 1525),
    ("NAMES utf8mb4", "NAMES latin1", "UPDATE log SET v = 'a' COLLATE utf8mb4_bin WHERE n = -1", 1253)], ids=["spaces", "dates", "collations"])
def test_what_one_state_of_a_session_had_accepted_says_nothing_of_another(suimon, table, right, wrong, sql, code):
    """Q4: a session's sql_mode and character sets decide what is right, too."""
    table.setup("CREATE TABLE count (n INT)")
    s = suimon({"threads": 1, "queue": {"rules": [{"match": {"table": "%s.%s" % (table.name, n)}} for n in ("log", "count")]}})
    with s.connect(database=table.name) as c, s.connect(database=table.name) as other:
        ask(c, "SET " + right)
        ask(other, "SET " + wrong)
        queue_one(s, c, sql)
        for _ in range(2):
            with pytest.raises(pymysql.MySQLError) as e:
                ask(other, sql)
            assert e.value.args[0] == code
            assert is_queued(s, c, sql)
    drained(s)
    assert dead(s) == []


def test_an_empty_row_is_refused_prepared_too_and_alone(suimon, table):
    """Q4: of the digest of a full one; that it may not wait says nothing of that."""
    table.setup("CREATE TABLE req (id INT NOT NULL, n INT)")
    s = suimon({"threads": 1, "queue": {"rules": [{"match": {"table": table.name + ".req"}}]}})
    with s.connect(database=table.name) as c, Wire(s.connect(database=table.name)) as w:
        queue_one(s, c, "INSERT INTO req VALUES (1, 2)")
        for _ in range(2):
            assert w.prepare("INSERT INTO req VALUES ()").execute()[0][:3] == b"\xff" + (1364).to_bytes(2, "little")
            with pytest.raises(pymysql.MySQLError):
                ask(c, "INSERT INTO req VALUES ()")
            assert is_queued(s, c, "INSERT INTO req VALUES (3, 4)")
    drained(s)
    assert dead(s) == [] and table.primary("SELECT COUNT(*) >= 3 FROM req") == ((1,),)


@pytest.mark.parametrize("sql", ["INSERT INTO strict_one (id) VALUES (%d)", "INSERT INTO strict_one SET id = %d",
                                 "REPLACE INTO strict_one (`id`, opt) VALUES (%d, DEFAULT)", "INSERT INTO strict_one VALUES (%d, DEFAULT, 1)",
                                 "INSERT INTO strict_one () VALUES ()"])
def test_what_leaves_out_a_column_that_must_be_given_fails_at_once(suimon, table, sql):
    """PREPARE accepts it, and its execution is error 1364: the client gets that, and no dead letter is left."""
    table.setup("CREATE TABLE strict_one (id INT PRIMARY KEY, must INT NOT NULL, opt INT NOT NULL DEFAULT 3)")
    s = suimon({"queue": {"rules": [{"match": {"table": "%s.strict_one" % table.name, "verb": "insert"}}]}})
    with s.connect(database=table.name) as c:
        for n in range(3):
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, (sql + "/* suimon: queue */") % n if "%d" in sql else sql + " /* suimon: queue */")
            assert e.value.args[0] == 1364
        assert acknowledged(s) == 0
        assert sum_metric(s.metrics(), "suimon_queue_declined_total", 'reason="no_default"') >= 2
        queue_one(s, c, "INSERT IGNORE INTO strict_one (must, id) VALUES (1, 99)")
        queue_one(s, c, "INSERT IGNORE INTO strict_one SET strict_one.must = IF(1, 2, 3), id = 98")
        queue_one(s, c, "INSERT IGNORE INTO strict_one VALUES (97, 2, 3)")
    drained(s)
    assert dead(s) == []


def test_a_record_that_fails_for_good_becomes_a_dead_letter(queued, table):
    with queued.connect(database=table.name) as c:
        queue_one(queued, c, "INSERT INTO log (n) VALUES (0)")
        for i in (1, 2, 2, 3):
            ask(c, "INSERT INTO keyed VALUES (%d, 'x')" % i)
        ask(c, "INSERT INTO log (n) VALUES (5)")
    drained(queued)
    assert table.primary("SELECT id FROM keyed ORDER BY id") == ((1,), (2,), (3,))
    assert table.primary("SELECT COUNT(*) FROM log WHERE n = 5") == ((1,),)
    letters = dead(queued)
    assert len(letters) == 1
    assert "1062" in str(letters[0])
    assert sum_metric(queued.metrics(), "suimon_queue_dead_total") == 1


def dead_letter(s, table):
    with s.connect(database=table.name) as c:
        queue_one(s, c)
        for i in (1, 1):
            ask(c, "INSERT INTO keyed VALUES (%d, 'x')" % i)
    drained(s)
    letter = wait_until("the dead letter", lambda: dead(s), 5)[0]
    return letter["id"]


def test_a_dead_letter_is_tried_again_by_hand(queued, table):
    number = dead_letter(queued, table)
    table.setup("DELETE FROM keyed")
    act(queued, "dead/%s/retry" % number)
    wait_until("the row", lambda: table.primary("SELECT id FROM keyed") == ((1,),), 10)
    assert dead(queued) == []


def test_a_dead_letter_is_discarded_by_hand(queued, table):
    number = dead_letter(queued, table)
    act(queued, "dead/%s/discard" % number)
    assert dead(queued) == []
    assert queued.http("/api/queue/dead/%s/discard" % number, data={})[0] == 404


def test_a_dead_letter_tells_what_when_whose_and_why_beyond_a_restart(suimon, table):
    s = suimon(rules(table))
    began = time.time() - 1
    number = dead_letter(s, table)
    s.stop()
    s.start()
    letter, = dead(s)
    assert letter["id"] == number and letter["error_code"] == 1062 and "Duplicate entry '1'" in letter["error"]
    assert letter["statement"] == "INSERT INTO keyed VALUES (1, 'x')" and letter["user"] == "app" and letter["schema"] == table.name
    assert letter["tables"] == [table.name + ".keyed"]
    assert began < letter["time"] <= letter["failed"] <= time.time() + 1


def test_a_dead_letter_that_a_full_queue_does_not_take_stays_and_the_log_says_why(suimon, table):
    s = suimon(rules(table, max_bytes="1MiB"))
    pad = "/* %s */" % ("x" * 600000)
    with s.connect(database=table.name) as c:
        queue_one(s, c, "INSERT INTO keyed VALUES (1, '1')")
        drained(s)
        assert is_queued(s, c, "INSERT INTO keyed VALUES %s (1, 'again')" % pad)
        wait_until("the dead letter", lambda: len(dead(s)) == 1, 20)
        drained(s)
        act(s, "pause")
        assert is_queued(s, c, "INSERT INTO keyed VALUES %s (2, '2')" % pad)
        number = str(dead(s)[0]["id"])
        refused = verb(s, "retry", number)
        assert refused.returncode == 1 and "the log says why" in refused.stderr
        assert 'why="the queue is full"' in s.log_text() and len(dead(s)) == 1
        act(s, "resume")
        drained(s)
        assert verb(s, "retry", number).returncode == 0


def test_dead_letters_are_worked_from_the_command_line(queued, table):
    number = str(dead_letter(queued, table))
    shown = verb(queued, "show", number)
    assert shown.returncode == 0 and "INSERT INTO keyed VALUES (1, 'x')" in shown.stdout and "1062" in shown.stdout, shown.stdout + shown.stderr
    assert "1062" in verb(queued, "ls").stdout
    table.setup("DELETE FROM keyed")
    assert verb(queued, "retry", number).returncode == 0
    wait_until("the row", lambda: table.primary("SELECT id FROM keyed") == ((1,),), 20)
    wait_until("no letter", lambda: dead(queued) == [], 20)
    with queued.connect(database=table.name) as c:
        ask(c, "INSERT INTO keyed VALUES (1, 'again')")
    wait_until("another letter", lambda: dead(queued), 20)
    number = str(dead(queued)[0]["id"])
    assert verb(queued, "discard", number).returncode == 0
    assert dead(queued) == [] and verb(queued, "discard", number).returncode != 0
    assert table.primary("SELECT v FROM keyed") == (("x",),)


def test_a_record_that_is_waited_for_is_buried_from_the_command_line(queued, table):
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        drained(queued)
        with table.cluster.primary.connect("app", "app", database=table.name) as holder:
            holder.begin()
            ask(holder, "INSERT INTO keyed VALUES (1, 'held')")
            ask(c, "INSERT INTO keyed VALUES (1, 'x')")
            ask(c, "INSERT INTO log (n) VALUES (7)")
            assert verb(queued, "bury", "1").returncode != 0
            seq = wait_until("who is waited for", lambda: state(queued)["waits_for"], 20)
            assert "waits for %d" % seq in verb(queued, "ls").stdout
            assert verb(queued, "bury", str(seq + 1)).returncode != 0
            done = verb(queued, "bury", str(seq))
            assert done.returncode == 0, done.stderr
            drained(queued)
            holder.rollback()
    assert [letter["seq"] for letter in dead(queued)] == [seq] and state(queued)["waits_for"] == 0
    assert table.primary("SELECT COUNT(*) FROM log WHERE n = 7") == ((1,),)


def test_its_figures(suimon, table):
    """Depth, bytes, age, rates, batches, syncs, letters: by /api/queue and by the metrics, before and after it is applied."""
    s = suimon(rules(table))
    with s.connect(database=table.name) as c:
        queue_one(s, c)
        drained(s)
        act(s, "pause")
        before, metrics = state(s), s.metrics()
        for n in range(50):
            ask(c, "INSERT INTO log (n, v) VALUES (%d, 'some text')" % n)
        ask(c, "INSERT INTO keyed VALUES (1, 'x')")
        queued = acknowledged(s) - sum_metric(metrics, "suimon_queue_acknowledged_total")
    time.sleep(1)
    now = state(s)
    assert queued >= 50 and now["depth"] == queued and now["enqueued"] - before["enqueued"] == queued
    assert now["bytes"] - before["bytes"] > 50 * 50 and 1 <= now["oldest_age"] < 60
    assert now["fsync"]["count"] > before["fsync"]["count"] and now["fsync"]["mean"] > 0 and now["fsync"]["last"] > 0
    then = s.metrics()
    assert then["suimon_queue_depth"] == queued and then["suimon_queue_bytes"] == now["bytes"] and then["suimon_queue_oldest_age_seconds"] >= 1
    assert sum_metric(then, "suimon_queue_syncs_total") > sum_metric(metrics, "suimon_queue_syncs_total")
    assert sum_metric(then, "suimon_queue_sync_seconds_total") > sum_metric(metrics, "suimon_queue_sync_seconds_total")
    act(s, "resume")
    drained(s)
    after, then = state(s), s.metrics()
    assert after["applied"] - before["applied"] == queued and after["batches"] > before["batches"] and after["oldest_age"] == 0
    assert after["last_batch_rows"] >= 1 and after["mean_batch_rows"] > 1 and after["batch_rows_now"] >= 1 and after["drain_rate"] > 0
    assert sum_metric(then, "suimon_queue_applied_total") - sum_metric(metrics, "suimon_queue_applied_total") == queued
    assert sum_metric(then, "suimon_queue_batches_total") > sum_metric(metrics, "suimon_queue_batches_total")
    assert after["retries"] == 0 == after["dead_waiting"] and then["suimon_queue_depth"] == 0 == then["suimon_queue_dead_letters"]


def test_prepared_inserts_are_queued(queued, table):
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)  # from here on the schema is known
    drained(queued)
    table.setup("TRUNCATE log")
    with Wire(queued.connect(database=table.name)) as w:
        s = w.prepare("INSERT INTO log (n, v) VALUES (?, ?)")
        before = acknowledged(queued)
        for n in range(50):
            assert s.execute((n, "it's \\ %d" % n if n % 3 else None))[0][0] == 0
    drained(queued)
    assert acknowledged(queued) - before >= 40
    assert table.primary("SELECT n, v FROM log ORDER BY id") == tuple((n, "it's \\ %d" % n if n % 3 else None) for n in range(50))


def test_a_limit_bound_as_a_text_runs_directly(queued, table):
    """As PHP binds it: the server takes LIMIT '2' from a parameter, and from nobody's text; bound as a number it is queued."""
    table.setup("INSERT INTO log (n) VALUES (1), (1), (1), (1)")
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)  # from here on the schema is known
    with Wire(queued.connect(database=table.name)) as w:
        s = w.prepare("/* suimon: queue */ DELETE FROM log WHERE n = ? ORDER BY id LIMIT ?")
        before = acknowledged(queued)
        assert s.execute(("1", "2"))[0][:2] == b"\x00\x02" and acknowledged(queued) == before
        assert s.execute((1, 1))[0][0] == 0 and acknowledged(queued) == before + 1
        refused = declined(queued, "not_eligible")
        s.execute((2, -1))  # what the server makes of it is its own
        s.execute((2, None), types=False)  # of the type before: a number
        assert acknowledged(queued) == before + 1 and declined(queued, "not_eligible") == refused + 2
    drained(queued)
    assert dead(queued) == [] and table.primary("SELECT COUNT(*) FROM log WHERE n = 1") == ((1,),)


def test_a_search_of_full_texts_runs_directly(queued, table):
    """InnoDB looks among committed rows only: in the batch of the row it is to find, it would find nothing."""
    table.setup("ALTER TABLE log ADD FULLTEXT KEY words (v)")
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        before, refused = acknowledged(queued), declined(queued, "not_eligible")
        ask(c, "INSERT INTO log (n, v) VALUES (1, 'heron')")
        assert acknowledged(queued) == before + 1
        ask(c, "/* suimon: queue */ UPDATE log SET n = 2 WHERE MATCH (v) AGAINST ('heron')")
        assert acknowledged(queued) == before + 1 and declined(queued, "not_eligible") == refused + 1
    assert table.primary("SELECT n FROM log WHERE v = 'heron'") == ((2,),)


def test_values_that_make_a_long_text_run_directly(queued, table):
    """A BLOB is twice as long as a text: a server with a small max_allowed_packet took the one, and not the other."""
    table.setup("ALTER TABLE log ADD COLUMN b LONGBLOB")
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
    with Wire(queued.connect(database=table.name)) as w:
        s = w.prepare("INSERT INTO log (n, b) VALUES (?, ?)")
        assert s.execute((1, b"\0" * 400000))[0][0] == 0
        before, refused = acknowledged(queued), declined(queued, "not_eligible")
        assert s.execute((2, b"\xff" * 600000))[0][0] == 0
        assert acknowledged(queued) == before and declined(queued, "not_eligible") == refused + 1
        assert s.execute((3, b"\xff" * 400000))[0][0] == 0 and acknowledged(queued) == before + 1
    drained(queued)
    assert dead(queued) == [] and table.primary("SELECT n, LENGTH(b) FROM log WHERE n > 0 ORDER BY n") == (
        (1, 400000), (2, 600000), (3, 400000))


def test_bytes_are_not_taken_for_a_number(queued, table):
    """A parameter of bytes is a text, whose digits are the number: MySQL reads x'3331' as 13105 there."""
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
    with Wire(queued.connect(database=table.name)) as w:
        before = acknowledged(queued)
        for value in ((b"31", b"\x00\xff'\\"), (b"7", b"")):
            assert w.prepare("INSERT INTO log (n, v) VALUES (? + 0, HEX(?))").execute(value)[0][0] == 0
            assert w.prepare("INSERT INTO log (n, v) VALUES (?, HEX(?))").execute(value)[0][0] == 0
        assert acknowledged(queued) - before == 4
    drained(queued)
    assert dead(queued) == []
    assert table.primary("SELECT n, v FROM log WHERE n > 0 ORDER BY id") == ((31, "00FF275C"), (31, "00FF275C"), (7, ""), (7, ""))


DATES = [datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 10, 0), datetime.datetime(2024, 12, 31, 23, 59, 58, 500000),
         datetime.timedelta(hours=10), -datetime.timedelta(hours=51, minutes=4, seconds=5, microseconds=250000)]
NO_DAYS = [(b"\x0a\x00", b"\x00"), (b"\x0c\x00", b"\x00"), (b"\x0a\x00", b"\x04\xe8\x07\x00\x00")]  # 0000-00-00, with time, 2024-00-00


def queue_prepared(s, prepared, values):
    def done():
        before = acknowledged(s)
        prepared.execute(values)
        return acknowledged(s) > before
    wait_until("it to be queued", done, 20)


def outcomes(db, w, sql, table, values, n):
    """What the client hears of it on a fresh row, and that row then."""
    db.setup("REPLACE INTO %s (id, n, v) VALUES (1, %d, 'v')" % (table, n))
    first = w.prepare(sql.replace("TABLE", table)).execute(values)[0]
    return first[0] == 0xff and struct.unpack_from("<H", first, 1)[0]


UNSIGNED = [(kind, struct.pack(form, n)) for kind, form, n in ((b"\x08\x80", "<Q", 5), (b"\x03\x80", "<I", 0x80000005), (b"\x01\x80", "<B", 250),
                                                            (b"\x08\x80", "<Q", 2**63 - 1), (b"\x08\x80", "<Q", 2**64 - 1))]


@pytest.mark.parametrize("sql,queues", [
    ("UPDATE TABLE SET n = n - ? WHERE id = 1", False), ("UPDATE TABLE SET n = -?, v = ~? WHERE id = 1", False),
    ("UPDATE TABLE SET n = n + (?) WHERE id IN (1, 2)", False), ("UPDATE TABLE SET v = GREATEST(n - 10, ?) WHERE id = 1", False),
    ("INSERT INTO TABLE (id, n) VALUES (1, 1) ON DUPLICATE KEY UPDATE n = VALUES(n) - (?)", False),
    ("UPDATE TABLE SET n = 7 WHERE id = 1 AND n - 10 < ?", True), ("UPDATE TABLE SET v = ?, n = n > ? WHERE id <> ?", True),
    ("DELETE FROM TABLE WHERE id = 1 AND n NOT IN (?, 3 + 1, ?)", True), ("DELETE FROM TABLE WHERE n <= ? ORDER BY id LIMIT ?", True),
    ("REPLACE INTO TABLE (id, v) VALUES (1, ?), (2, ?)", True)])
def test_an_unsigned_number_means_what_it_means_directly(suimon, table, sql, queues):
    """A small literal is a signed number: where that may make a difference the write runs directly."""
    for t in ("straight", "later"):
        table.setup("CREATE TABLE %s (id INT PRIMARY KEY, n BIGINT, v VARCHAR(40))" % t)
    s = suimon({"queue": {"rules": [{"match": {"table": table.name + ".later"}}]}})
    params = sql.count("?")
    with Wire(s.connect(database=table.name)) as w, Wire(table.direct()) as d:
        queue_prepared(s, w.prepare("UPDATE later SET v = 'x' WHERE id = ?"), (-1,))
        queue_prepared(s, w.prepare(sql.replace("TABLE", "later")), (0,) * params)
        drained(s)
        for mode in ("", "STRICT_TRANS_TABLES", "NO_UNSIGNED_SUBTRACTION"):
            for wire in (w, d):
                wire.query("SET sql_mode = '%s'" % mode)
            w.prepare(sql.replace("TABLE", "later")).execute((0,) * params)  # shown to the primary
            drained(s)
            for value in UNSIGNED:
                table.setup("DELETE FROM straight", "DELETE FROM later")
                want = outcomes(table, d, sql, "straight", (value,) * params, 3)
                before, refused, lost = acknowledged(s), declined(s, "not_eligible"), len(dead(s))
                got = outcomes(table, w, sql, "later", (value,) * params, 3)
                drained(s)
                large = KIND == "mariadb" and value[1] == b"\xff" * 8  # a literal of it is unsigned; MySQL's, behind a minus, is a DECIMAL
                assert acknowledged(s) - before == (queues or large) and declined(s, "not_eligible") - refused == (not queues and not large)
                assert got == want if acknowledged(s) == before else bool(want) == (len(dead(s)) > lost)
                assert table.primary("SELECT * FROM later ORDER BY id") == table.primary("SELECT * FROM straight ORDER BY id"), (mode, value)


@pytest.mark.parametrize("sql", ["UPDATE TABLE SET v = CONCAT(? COLLATE utf8mb4_bin, v) WHERE id = 1", "UPDATE TABLE SET v = IFNULL(NULLIF(?, v), 'x') WHERE id = 1",
                                 "UPDATE TABLE SET v = -?, n = ? WHERE id = 1", "UPDATE TABLE SET n = n * ? - 1, v = ? WHERE id = 1"])
def test_numbers_are_what_they_are_directly(suimon, table, sql):
    """The least BIGINT and negative numbers, of which a literal's minus is an operator; a FLOAT, of which a text has six digits."""
    for t in ("straight", "later"):
        table.setup("CREATE TABLE %s (id INT PRIMARY KEY, n BIGINT, v VARCHAR(60))" % t)
    s = suimon({"queue": {"rules": [{"match": {"table": table.name + ".later"}}]}})
    values = [-5, -2**63, 1 - 2**63, -2.5, (b"\xf6\x00", b"\x05-1.50"), (b"\x04\x00", struct.pack("<f", 16777216)), (b"\x04\x00", struct.pack("<f", -1.1))]
    with Wire(s.connect(database=table.name)) as w, Wire(table.direct()) as d:
        queue_prepared(s, w.prepare(sql.replace("TABLE", "later")), (0,) * sql.count("?"))
        for value in values:
            drained(s)
            before, lost = acknowledged(s), len(dead(s))
            want, got = (outcomes(table, x, sql, t, (value,) * sql.count("?"), 1) for x, t in ((d, "straight"), (w, "later")))
            drained(s)
            assert got == want if acknowledged(s) == before else bool(want) == (len(dead(s)) > lost)
            assert table.primary("SELECT * FROM later") == table.primary("SELECT * FROM straight"), value


@mariadb_only("MySQL takes both as they come")
def test_what_the_server_takes_through_its_time_zone_or_refuses_runs_directly(suimon, table):
    """A value bound as TIMESTAMP is no DATETIME to MariaDB: a year that is none there becomes NULL, an hour left out the next one; JSON is refused."""
    for t in ("straight", "later"):
        table.setup("CREATE TABLE %s (id INT PRIMARY KEY, at DATETIME(6), v VARCHAR(40))" % t)
    s = suimon({"queue": {"rules": [{"match": {"table": table.name + ".later"}}]}})
    stamps = [(b"\x07\x00", b"\x07" + struct.pack("<HBBBBB", year, 3, 31, 2, 30, 0)) for year in (1971, 2024, 2037, 2038, 9999, 1969)]
    json_text = (b"\xf5\x00", b"\x02{}")
    with Wire(s.connect(database=table.name)) as w, Wire(table.direct()) as d:
        insert = "INSERT INTO %s VALUES (?, ?, ?)"
        later, straight = w.prepare(insert % "later"), d.prepare(insert % "straight")
        queue_prepared(s, w.prepare("UPDATE later SET v = 'x' WHERE id = ?"), (-1,))
        for zone, known in (("+00:00", 3), ("-05:30", 3), ("SYSTEM", 0)):
            for wire in (w, d):
                wire.query("SET time_zone = '%s'" % zone)
            later, straight = w.prepare(insert % "later"), d.prepare(insert % "straight")
            table.setup("DELETE FROM straight", "DELETE FROM later")
            queue_prepared(s, later, (stamps[0][1][0], None, "queued"))
            drained(s)
            table.setup("DELETE FROM later")
            before, refused = acknowledged(s), declined(s, "not_eligible")
            for n, value in enumerate(stamps):
                assert straight.execute((n, value, value))[0][0] == later.execute((n, value, value))[0][0] == 0
            assert acknowledged(s) - before == known and declined(s, "not_eligible") - refused == len(stamps) - known
            drained(s)
            assert table.primary("SELECT * FROM later ORDER BY id") == table.primary("SELECT * FROM straight ORDER BY id")
            told = [error(x.execute((100, None, json_text))[0])[0] for x in (straight, later)]
            assert told == [1210, 1210] and acknowledged(s) - before == known
    assert dead(s) == []


def test_values_of_types_that_are_the_servers_to_judge_run_directly(suimon, table):
    """GEOMETRY, ENUM and SET, which no client needs to bind; before MySQL a DATE with an hour; before MariaDB a time below 0 as a number."""
    for t in ("straight", "later"):
        table.setup("CREATE TABLE %s (id INT PRIMARY KEY, v VARBINARY(60))" % t)
    s = suimon({"queue": {"rules": [{"match": {"table": table.name + ".later"}}]}})
    texts = [(bytes([kind, 0]), b"\x03abc") for kind in (0xf7, 0xf8)]
    point = (b"\xff\x00", b"\x19" + struct.pack("<IBIdd", 0, 1, 1, 1.0, 2.0))
    hour = (b"\x0a\x00", b"\x07" + struct.pack("<HBBBBB", 2024, 2, 29, 1, 2, 3))
    below = (b"\x0b\x00", b"\x08" + struct.pack("<BIBBB", 1, 0, 1, 2, 3))
    above = (b"\x0b\x00", b"\x08" + struct.pack("<BIBBB", 0, 0, 1, 2, 3))
    cases = [("?", v, False) for v in (*texts, point)]
    cases += [("?", hour, False)] if KIND == "mysql" else [("?", hour, True), ("? + 0", below, False), ("? + 0", above, True), ("?", below, True)]
    with Wire(s.connect(database=table.name)) as w, Wire(table.direct()) as d:
        for n, (item, value, queued) in enumerate(cases):
            later, straight = (x.prepare("INSERT INTO %s VALUES (?, %s)" % (t, item)) for x, t in ((w, "later"), (d, "straight")))
            if n == 0 or item != cases[n - 1][0]:
                queue_prepared(s, later, (-1 - n, None))
            before, refused = acknowledged(s), declined(s, "not_eligible")
            told = [x.execute((n, value))[0] for x in (straight, later)]
            assert told[0][0] == told[1][0], (item, value, told)
            assert (acknowledged(s) - before, declined(s, "not_eligible") - refused) == ((1, 0) if queued else (0, 1)), (item, value)
    drained(s)
    rows = [table.primary("SELECT * FROM %s WHERE id >= 0 ORDER BY id" % t) for t in ("straight", "later")]
    assert rows[0] == rows[1] and (rows[0] or KIND == "mysql") and dead(s) == []


@pytest.mark.parametrize("mode", ["", "STRICT_TRANS_TABLES"])
def test_dates_and_times_are_not_taken_for_texts(suimon, table, mode):
    """Where a number is wanted a date's parameter is one of its digits, and '2024-02-29' is 2024: queued as it is directly."""
    columns = {"i": "BIGINT", "v": "VARCHAR(40)", "d": "DATE", "dt": "DATETIME(6)", "ti": "TIME(6)"}
    for t in ("straight", "later"):
        table.setup("CREATE TABLE %s (n INT, digits DECIMAL(40, 6), %s)" % (t, ", ".join("%s %s" % c for c in columns.items())),
                    "CREATE TABLE %s_days (day INT)" % t, "INSERT INTO %s_days VALUES (20240229), (2024)" % t)
    s = suimon({"queue": {"rules": [{"match": {"table": "%s.%s" % (table.name, t)}, "order": "table"} for t in ("later", "later_days")]}})
    with Wire(s.connect(database=table.name)) as w:
        w.query("SET sql_mode = '%s'" % mode)
        refused = 0
        for name in columns:
            straight, later = (w.prepare("INSERT INTO %s (n, digits, %s) VALUES (?,?+ 0,?)" % (t, name)) for t in ("straight", "later"))
            queue_prepared(s, later, (-1, 0, None))
            before = acknowledged(s)
            for n, value in enumerate(DATES):
                told = straight.execute((n, value, value))[0][0]
                directly = KIND == "mariadb" and value == DATES[-1]  # below 0: the test above
                refused += told == 0xff and not directly
                assert later.execute((n, value, value))[0][0] == (told if directly else 0)
            assert acknowledged(s) - before == len(DATES) - (KIND == "mariadb")
            before, why = acknowledged(s), declined(s, "not_eligible")
            for zero in NO_DAYS:  # no literal says it: the server is asked at once
                assert straight.execute((100, 0, zero))[0][0] == later.execute((100, 0, zero))[0][0]
            assert acknowledged(s) == before and declined(s, "not_eligible") - why == len(NO_DAYS)
        later = w.prepare("DELETE FROM later_days WHERE day=?")
        queue_prepared(s, later, (0,))
        before = acknowledged(s)
        for prepared in (later, w.prepare("DELETE FROM straight_days WHERE day=?")):
            assert prepared.execute((DATES[0],))[0][0] == 0
        assert acknowledged(s) - before == 1
    drained(s)
    assert len(dead(s)) == refused
    # MySQL leaves a bound time's fraction out where it makes a text of it.
    what = "n, digits, i, %s, d, dt, ti" % ("SUBSTRING_INDEX(v, '.', 1)" if KIND == "mysql" else "v")
    for t, order in (("", "n, %s" % ", ".join(columns)), ("_days", "day")):
        found = [table.primary("SELECT %s FROM %s%s WHERE %s ORDER BY %s" % ("*" if t else what, which, t, "day" if t else "n >= 0", order))
                 for which in ("straight", "later")]
        assert found[0] == found[1] and found[0]


def declined(s, reason):
    return sum_metric(s.metrics(), "suimon_queue_declined_total", 'reason="%s"' % reason)


def test_a_session_that_has_set_its_clock_writes_directly(queued, table):
    insert = "INSERT INTO log (n, at) VALUES (%d, NOW(6))"
    with queued.connect(database=table.name) as c:
        queue_one(queued, c, insert % 0)
        before, why = acknowledged(queued), declined(queued, "not_eligible")
        ask(c, "SET timestamp = 1000000000.25")
        for _ in range(2):
            ask(c, insert % 1)
        assert acknowledged(queued) == before and declined(queued, "not_eligible") == why + 2
        ask(c, "SET timestamp = DEFAULT")
        for n in (2, 3):
            began = time.time()
            ask(c, insert % n)
            time.sleep(0.5)
        assert acknowledged(queued) == before + 2
    drained(queued)
    assert table.primary("SELECT UNIX_TIMESTAMP(at) FROM log WHERE n = 1") == ((1000000000.25,),) * 2
    assert table.primary("SELECT ABS(UNIX_TIMESTAMP(at) - %f) < 0.4 FROM log WHERE n = 3" % began) == ((1,),)
    assert table.primary("SELECT MIN(at) < MAX(at) - INTERVAL 0.3 SECOND FROM log WHERE n IN (2, 3)") == ((1,),)


def test_each_kind_of_write_is_queued_and_tells_the_rows_it_names(suimon, table):
    """INSERT and REPLACE of one row and of several, UPDATE, DELETE, as text and prepared; the primary has none of it meanwhile."""
    s = suimon({"queue": {"rules": [{"match": {"table": "%s.%s" % (table.name, n)}, "order": "table"} for n in ("log", "keyed")]}})
    writes = [("INSERT INTO log (n, v) VALUES (%d, 'a')", 1), ("INSERT INTO log (n, v) VALUES (%d, 'a'), (%d, 'b'), (%d, 'c')", 3),
              ("INSERT INTO log SET n = %d", None), ("REPLACE INTO keyed VALUES (%d, 'x')", None), ("REPLACE INTO keyed VALUES (%d, 'x'), (%d + 1, 'y')", None),
              ("UPDATE log SET v = 'changed' WHERE n = %d", None), ("DELETE FROM log WHERE n = %d", None)]
    with s.connect(database=table.name) as c, Wire(s.connect(database=table.name)) as w:
        for sql, _ in writes:
            queue_one(s, c, sql.replace("%d", "900"))
            prepared = w.prepare(sql.replace("%d", "?"))

            def done():  # its worker may be another
                before = acknowledged(s)
                prepared.execute((900,) * sql.count("%d"))
                return acknowledged(s) > before
            wait_until("%r to be queued" % sql, done, 20)
        drained(s)
        act(s, "pause")
        before = acknowledged(s)
        with c.cursor() as cur:
            for sql, rows in writes:
                affected = cur.execute(sql.replace("%d", "7"))
                assert rows is None or affected == rows, sql
                affected = w.prepare(sql.replace("%d", "?")).execute((8,) * sql.count("%d"))[0][1]
                assert rows is None or affected == rows, sql
        assert acknowledged(s) - before == 2 * len(writes) == state(s)["depth"]
        assert table.primary("SELECT (SELECT COUNT(*) FROM log WHERE n IN (7, 8)) + (SELECT COUNT(*) FROM keyed WHERE id < 10)") == ((0,),)
        act(s, "resume")
        drained(s)
    assert table.primary("SELECT id FROM keyed WHERE id < 10 ORDER BY id") == ((7,), (8,), (9,))
    assert table.primary("SELECT COUNT(*) FROM log WHERE n IN (7, 8)") == ((0,),)
    assert dead(s) == []


def test_why_a_write_runs_directly_is_counted(queued, table):
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        assert declined(queued, "transaction") == 0
        c.begin()
        ask(c, "INSERT INTO log (n) VALUES (1)")
        ask(c, "COMMIT")
        assert declined(queued, "transaction") == 1
        ask(c, "SET autocommit = 0")
        ask(c, "INSERT INTO log (n) VALUES (1)")
        ask(c, "COMMIT")
        ask(c, "SET autocommit = 1")
        assert declined(queued, "transaction") == 2
        known = declined(queued, "not_eligible")
        for n, sql in enumerate(["INSERT INTO log (n) VALUES (RAND() * 10)", "INSERT INTO log (n) SELECT id FROM keyed",
                                 "INSERT INTO log (n) VALUES (@x)"]):
            ask(c, sql)
            assert declined(queued, "not_eligible") == known + n + 1, sql
        ask(c, "SELECT COUNT(*) FROM log")  # what is no write is not missed there
        ask(c, "/* suimon: sync */ INSERT INTO log (n) VALUES (1)")
        assert declined(queued, "not_eligible") == known + 3
    with Wire(queued.connect(database=table.name)) as w:
        known, insert, random = declined(queued, "transaction"), w.prepare("INSERT INTO log (n) VALUES (?)"), w.prepare("INSERT INTO log (n) VALUES (? + RAND())")
        w.query("BEGIN")
        insert.execute((2,))
        w.query("COMMIT")
        assert declined(queued, "transaction") == known + 1
        known = declined(queued, "not_eligible")
        random.execute((2,))
        assert declined(queued, "not_eligible") == known + 1


def test_what_only_the_server_knows_is_the_servers_to_tell(queued, table):
    """Who asks for the id or the row itself has it with the answer: no acknowledgement stands in for that."""
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        drained(queued)
        act(queued, "pause")
        before, known = acknowledged(queued), declined(queued, "not_eligible")
        asked = ["INSERT INTO log (n) VALUES (LAST_INSERT_ID(5))", "INSERT INTO keyed VALUES (1, 'x') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)"]
        if KIND == "mariadb":
            asked.append("INSERT INTO log (n) VALUES (5) RETURNING n + 1")
        for n, sql in enumerate(asked):
            rows = ask(c, sql)
            assert declined(queued, "not_eligible") == known + n + 1, sql
        assert KIND != "mariadb" or rows == ((6,),)
        assert acknowledged(queued) == before and table.primary("SELECT COUNT(*) FROM log WHERE n = 5") == ((len(asked) - 1,),)


def is_an_error_at_once(s, c, sql, code):
    """Each time, and nothing is queued."""
    before = acknowledged(s)
    for _ in range(3):
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, sql)
        assert e.value.args[0] == code
    assert acknowledged(s) == before


def test_a_missing_privilege_is_said_at_once(queued, table):
    """Q4: by PREPARE as the client's own account, though another account's statement of this shape is accepted."""
    name = "weak_" + table.name[-12:]
    table.setup("CREATE USER %s@'%%' IDENTIFIED BY 'weak'" % name, "GRANT SELECT ON %s.* TO %s@'%%'" % (table.name, name))
    try:
        with queued.connect(database=table.name) as c, queued.connect(name, "weak", database=table.name) as weak:
            queue_one(queued, c)
            act(queued, "pause")
            is_an_error_at_once(queued, weak, "INSERT INTO log (n) VALUES (0)", 1142)
            act(queued, "resume")
        drained(queued)
        assert dead(queued) == []
    finally:
        table.setup("DROP USER %s@'%%'" % name)


def test_a_privilege_taken_away_is_missing_at_once(queued, table):
    """The drain's account has it: what was accepted before the REVOKE says nothing of what comes behind it. (Of a schema's
    privileges a session keeps those with which it chose it.)"""
    name = "once_" + table.name[-12:]
    table.setup("CREATE USER %s@'%%' IDENTIFIED BY 'once'" % name, "GRANT INSERT ON %s.log TO %s@'%%'" % (table.name, name),
                "GRANT ALL ON `%s`.* TO app@'%%' WITH GRANT OPTION" % table.name.replace("_", "\\_"))
    try:
        with queued.connect(database=table.name) as c, queued.connect(name, "once", database=table.name) as once:
            queue_one(queued, once)
            drained(queued)
            act(queued, "pause")
            ask(c, "REVOKE INSERT ON %s.log FROM %s@'%%'" % (table.name, name))
            is_an_error_at_once(queued, once, "INSERT INTO log (n) VALUES (0)", 1142)
            ask(c, "GRANT INSERT ON %s.log TO %s@'%%'" % (table.name, name))
            queue_one(queued, once)
            act(queued, "resume")
        drained(queued)
        assert dead(queued) == []
    finally:
        table.setup("DROP USER %s@'%%'" % name)


@pytest.mark.parametrize("on", ["*.*", "%s.*"])
def test_a_session_with_the_rights_of_its_login_accepts_for_no_later_one(suimon, table, on):
    """A connection keeps the rights on everything with which it logged in, and on a schema those with which it chose it."""
    queued = suimon(dict(rules(table), threads=1))
    name, giver, on = "late_" + table.name[-12:], "giver_" + table.name[-12:], on.replace("%s", table.name)
    table.setup("CREATE USER %s@'%%' IDENTIFIED BY 'late'" % name, "GRANT SELECT, INSERT ON %s TO %s@'%%'" % (on, name),
                "CREATE USER %s@'%%' IDENTIFIED BY 'giver'" % giver, "GRANT ALL ON *.* TO %s@'%%' WITH GRANT OPTION" % giver)
    insert = "INSERT INTO log (n) VALUES (0)"
    try:
        with queued.connect(giver, "giver", database=table.name) as c, queued.connect(name, "late", database=table.name) as old:
            queue_one(queued, old)
            drained(queued)
            act(queued, "pause")
            ask(c, "REVOKE INSERT ON %s FROM %s@'%%'" % (on, name))
            before, direct = acknowledged(queued), declined(queued, "not_eligible")
            for n in range(3):
                ask(old, insert)
                assert declined(queued, "not_eligible") == direct + n + 1
                with queued.connect(name, "late", database=table.name) as new:
                    is_an_error_at_once(queued, new, insert, 1142)
            assert acknowledged(queued) == before
            ask(c, "GRANT INSERT ON %s TO %s@'%%'" % (on, name))
            for who in (old, c):
                queue_one(queued, who)
            with queued.connect(name, "late", database=table.name) as new:
                queue_one(queued, new)
            act(queued, "resume")
        drained(queued)
        assert dead(queued) == []
    finally:
        table.setup("DROP USER %s@'%%', %s@'%%'" % (name, giver))


def test_accounts_that_take_turns_have_a_shape_accepted_once_each(suimon, table):
    queued = suimon(dict(rules(table), threads=1))
    with queued.connect(database=table.name) as c, queued.connect("guest", "guest", database=table.name) as other:
        queue_one(queued, c)
        queue_one(queued, other)
        queue_one(queued, c)
        before, asked = acknowledged(queued), table.cluster.primary.status("Com_stmt_prepare")
        for _ in range(5):
            for who in (c, other):
                ask(who, "INSERT INTO log (n) VALUES (0)")
        assert acknowledged(queued) == before + 10
        assert table.cluster.primary.status("Com_stmt_prepare") == asked
    drained(queued)
    assert dead(queued) == []


def test_after_ddl_a_shape_is_looked_at_anew(queued, table):
    """Q4: a column that is gone is an error at once, not a dead letter."""
    with queued.connect(database=table.name) as c:
        queue_one(queued, c, "INSERT INTO log (n, v) VALUES (0, 'x')")
        drained(queued)
        ask(c, "ALTER TABLE log DROP COLUMN v")
        is_an_error_at_once(queued, c, "INSERT INTO log (n, v) VALUES (0, 'x')", 1054)
        ask(c, "ALTER TABLE log ADD COLUMN v VARCHAR(40)")
        queue_one(queued, c, "INSERT INTO log (n, v) VALUES (0, 'x')")
    drained(queued)
    assert dead(queued) == []


def test_a_disabled_primary_is_asked_as_long_as_it_answers(queued, table, cluster):
    """Q4: no new work is given to it, but what becomes of the schema there is known."""
    place = "/api/backends/127.0.0.1:%d/" % cluster.primary.port
    with queued.connect(database=table.name) as c:
        queue_one(queued, c, "INSERT INTO log (n, v) VALUES (0, 'x')")
        drained(queued)
        assert queued.http(place + "disable", data={})[0] == 200
        try:
            time.sleep(2.5)
            ask(c, "ALTER TABLE log DROP COLUMN v")
            wait_until("the schema", lambda: queued.metrics()["suimon_catalog_stale"] == 0, 30)
            is_an_error_at_once(queued, c, "INSERT INTO log (n, v) VALUES (0, 'x')", 1054)
        finally:
            assert queued.http(place + "enable", data={})[0] == 200
    drained(queued)
    assert dead(queued) == []


def test_nothing_is_queued_inside_a_transaction(queued, table):
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        drained(queued)
        before = acknowledged(queued)
        c.begin()
        ask(c, "INSERT INTO log (n) VALUES (8)")
        c.rollback()
        ask(c, "SET autocommit = 0")
        ask(c, "INSERT INTO log (n) VALUES (8)")
        ask(c, "ROLLBACK")
        assert acknowledged(queued) == before
    assert table.primary("SELECT COUNT(*) FROM log WHERE n = 8") == ((0,),)


@pytest.mark.parametrize("values", ["(RAND() * 10, 'x')", "(1, UUID())", "(@n, 'x')", "(LAST_INSERT_ID(), 'x')", "(CONNECTION_ID(), 'x')",
                                    "((SELECT COUNT(*) FROM keyed), 'x')", "(1, USER())", "(ROW_COUNT(), 'x')"])
def test_what_would_mean_something_else_later_runs_directly(queued, table, values):
    with queued.connect(database=table.name) as c:
        act(queued, "pause")
        for n in range(1, 4):
            ask(c, "INSERT INTO log (n, v) VALUES " + values)
            assert table.primary("SELECT COUNT(*) FROM log") == ((n,),)
        act(queued, "resume")


@pytest.mark.parametrize("expression", ["USER()", "SESSION_USER()", "CONNECTION_ID()", "@@session.wait_timeout", "SYSDATE()", "@who"])
def test_a_trigger_that_asks_who_is_writing_lets_nothing_wait(suimon, table, expression):
    """The drain is another session: what the trigger stored would be the drain's."""
    table.setup("CREATE TRIGGER who BEFORE INSERT ON log FOR EACH ROW SET NEW.v = CONCAT('by ', COALESCE(%s, ''))" % expression)
    queued = suimon(rules(table))
    with queued.connect(database=table.name) as c, queued.connect(database=table.name) as other:
        queue_one(queued, other, "INSERT INTO keyed (id, v) VALUES (0, 'x') ON DUPLICATE KEY UPDATE v = 'y'")
        act(queued, "pause")
        known = declined(queued, "not_eligible")
        for n in range(1, 4):
            ask(c, "INSERT INTO log (n) VALUES (%d)" % n)
            assert declined(queued, "not_eligible") == known + n
            assert table.primary("SELECT COUNT(*), SUM(v LIKE 'by %%') FROM log") == ((n, n),)
        if expression.endswith("USER()"):
            assert table.primary("SELECT DISTINCT SUBSTRING_INDEX(v, '@', 1) FROM log") == (("by app",),)
        act(queued, "resume")
    drained(queued)


# What the drain sets for a write; and what keeps a write direct, of MariaDB's variables that any account may set. All others are left out.
MEANT = set("""block_encryption_mode character_set_client character_set_connection check_constraint_checks collation_connection
    cte_max_recursion_depth default_regex_flags default_week_format div_precision_increment foreign_key_checks group_concat_max_len lc_time_names
    max_join_size max_points_in_geometry max_recursive_iterations max_sort_length old_mode old_passwords sql_auto_is_null sql_big_selects sql_mode
    sql_safe_updates time_zone unique_checks windowing_use_high_precision""".split())
DIRECT = set("""auto_increment_increment auto_increment_offset binlog_alter_two_phase character_set_filesystem explicit_defaults_for_timestamp identity
    innodb_ft_enable_stopword insert_id last_insert_id max_relay_log_size old profiling pseudo_slave_mode rand_seed1 rand_seed2 session_track_schema
    session_track_state_change session_track_transaction_info skip_parallel_replication skip_replication
    sql_slave_skip_counter standard_compliant_cte system_versioning_insert_history timestamp wsrep_causal_reads wsrep_dirty_reads wsrep_osu_method
    wsrep_retry_autocommit wsrep_sync_wait wsrep_trx_fragment_size wsrep_trx_fragment_unit""".split())


def session_variables(c):
    """Name and value, as a literal, of what this session may set: by setting it to what it is."""
    found = {}
    for name, value in ask(c, "SHOW SESSION VARIABLES"):
        value = value if value.replace(".", "", 1).isdigit() else "'%s'" % value
        try:
            ask(c, "SET SESSION %s = %s" % (name, value))
        except pymysql.MySQLError:
            continue
        found[name] = value
    return found


def test_each_variable_a_session_may_set(queued, table):
    """Q4: it goes with the record, it is left out, or the session's writes run directly and are counted."""
    with table.cluster.primary.connect("app", "app") as c:
        variables = session_variables(c)
    assert len(variables) > 100, variables
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
    drained(queued)
    act(queued, "pause")
    known, before = declined(queued, "not_eligible"), acknowledged(queued)
    for n, (name, value) in enumerate(variables.items(), 1):
        with queued.connect(database=table.name) as c:
            ask(c, "SET SESSION %s = %s" % (name, value))
            ask(c, "INSERT INTO log (n) VALUES (%d)" % n)
    here = {r[0] for r in table.primary("SELECT n FROM log")}
    direct = {name for n, name in enumerate(variables, 1) if n in here}
    assert declined(queued, "not_eligible") == known + len(direct)
    assert acknowledged(queued) == before + len(variables) - len(direct)
    log = b"".join(open(f, "rb").read().rstrip(b"\0") for f in glob.glob(os.path.join(queued.config["queue"]["dir"], "*.seg")))
    meant = {name for name in variables if re.search(rb"[^a-z_]%s=" % name.encode(), log)}
    assert direct == DIRECT if KIND == "mariadb" else direct.isdisjoint(MEANT)
    assert meant == MEANT & set(variables)
    act(queued, "resume")
    drained(queued)
    assert dead(queued) == []
    assert table.primary("SELECT COUNT(*), COUNT(DISTINCT n) FROM log WHERE n > 0") == ((len(variables),) * 2,)


def test_what_a_session_sets_for_its_connection_is_not_the_drains(queued, table):
    """A connection that is closed when it is idle, or with a COMMIT, or while its transaction waits."""
    def drains():
        return {r[0] for r in table.cluster.primary.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'suimon_queue'")}

    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        drained(queued)
        before = drains()
        assert before
        settings = ["wait_timeout = 1", "interactive_timeout = 1", "completion_type = 2", "net_read_timeout = 1", "net_write_timeout = 1",
                    "lock_wait_timeout = 1", "sql_select_limit = 1"]
        if KIND == "mariadb":
            settings += ["idle_transaction_timeout = 1", "idle_write_transaction_timeout = 1"]
        for setting in settings:
            ask(c, "SET SESSION " + setting)
        for n in range(1, 6):
            queue_one(queued, c, "INSERT INTO log (n) VALUES (%d)" % n)
    drained(queued)
    time.sleep(1.6)  # longer than the session's patience
    assert before <= drains()
    with queued.connect(database=table.name) as c:
        queue_one(queued, c, "INSERT INTO log (n) VALUES (6)")
    drained(queued)
    assert before <= drains()
    assert dead(queued) == []
    assert table.primary("SELECT COUNT(DISTINCT n) FROM log WHERE n > 0") == ((6,),)


@pytest.mark.skipif(KIND != "mariadb", reason="MySQL computes no column from who asks")
def test_a_column_computed_from_who_asks_lets_nothing_wait(suimon, table):
    """An UPDATE may store it, and a WHERE may hang on it: for the drain it is another."""
    table.setup("ALTER TABLE log ADD COLUMN who VARCHAR(80) AS (SUBSTRING_INDEX(USER(), '@', 1)) VIRTUAL",
                "ALTER TABLE keyed ADD COLUMN day VARCHAR(80) AS (CONCAT(v, NOW())) VIRTUAL", "INSERT INTO log (n) VALUES (1)")
    queued = suimon({"queue": {"rules": [{"match": {"schema": table.name}}]}})
    with queued.connect(database=table.name) as c:
        queue_one(queued, c, "INSERT INTO keyed (id, v) VALUES (0, 'x') ON DUPLICATE KEY UPDATE v = 'y'")
        drained(queued)
        act(queued, "pause")
        known = declined(queued, "not_eligible")
        ask(c, "UPDATE log SET v = who")
        assert table.primary("SELECT v FROM log") == (("app",),)
        ask(c, "DELETE FROM log WHERE who = 'app'")
        assert table.primary("SELECT COUNT(*) FROM log") == ((0,),)
        assert declined(queued, "not_eligible") == known + 2
        act(queued, "resume")
    drained(queued)


@mariadb_only("MySQL's tables keep no history")
def test_a_table_that_keeps_its_history_lets_nothing_wait(suimon, table):
    """Applied with the time it was accepted at, behind a write of a later one, it would end that one's row before it began: history forgets it."""
    table.setup("CREATE TABLE kept (id INT PRIMARY KEY, n INT NOT NULL) WITH SYSTEM VERSIONING", "INSERT INTO kept VALUES (1, 0)",
                "CREATE TABLE feeds (id INT PRIMARY KEY AUTO_INCREMENT, n INT)",
                "CREATE TRIGGER feed AFTER INSERT ON feeds FOR EACH ROW UPDATE kept SET n = n + 1000",
                "CREATE TABLE parent (id INT PRIMARY KEY, k INT UNIQUE)", "INSERT INTO parent VALUES (1, 1)",
                "CREATE TABLE child (id INT PRIMARY KEY, k INT, FOREIGN KEY (k) REFERENCES parent (k) ON UPDATE CASCADE) WITH SYSTEM VERSIONING")
    s = suimon({"queue": {"rules": [{"match": {"table": "%s.%s" % (table.name, t)}} for t in ("kept", "feeds", "log", "parent")]}})
    with s.connect(database=table.name) as c:
        queue_one(s, c)
        drained(s)
        ask(c, "UPDATE kept SET n = n + 1")
        act(s, "pause")
        for _ in range(2):
            ask(c, "UPDATE kept SET n = n + 1")
            ask(c, "INSERT INTO feeds (n) VALUES (1)")
            table.primary("UPDATE kept SET n = n + 100")
        ask(c, "UPDATE parent SET k = 2")
        assert declined(s, "not_eligible") >= 5 and state(s)["depth"] == 0
        act(s, "resume")
        drained(s)
    assert [n for n, in table.primary("SELECT n FROM kept FOR SYSTEM_TIME ALL ORDER BY row_start")] == [0, 1, 2, 1002, 1102, 1103, 2103, 2203]


def test_a_trigger_that_takes_the_statements_time_may_wait(suimon, table):
    table.setup("CREATE TRIGGER at BEFORE INSERT ON log FOR EACH ROW SET NEW.at = NOW(6), NEW.v = (SELECT MAX(v) FROM keyed)")
    queued = suimon(rules(table))
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
    drained(queued)
    assert table.primary("SELECT COUNT(*) > 0, SUM(at IS NULL) FROM log") == ((1, 0),)


def test_a_default_that_asks_who_is_writing_is_the_clients(suimon, table):
    """A statement that gives the column all the same may wait, as one may whose defaults are the statement's time."""
    table.setup("DROP TABLE log", "CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT, who VARCHAR(80) DEFAULT (USER()), "
                "since DATETIME DEFAULT CURRENT_TIMESTAMP)")  # MySQL lets no such column be added
    queued = suimon(rules(table))
    with queued.connect(database=table.name) as c:
        queue_one(queued, c, "INSERT INTO log (n, who) VALUES (0, 'given')")
        drained(queued)
        act(queued, "pause")
        known, before = declined(queued, "no_default"), acknowledged(queued)
        for n, sql in enumerate(["INSERT INTO log (n) VALUES (1)", "INSERT INTO log (n, who) VALUES (1, DEFAULT)", "INSERT INTO log SET n = 1"]):
            for m in range(1, 4):
                ask(c, sql)
                assert declined(queued, "no_default") == known + 3 * n + m, sql
        assert acknowledged(queued) == before
        assert table.primary("SELECT COUNT(*), SUM(who LIKE 'app@%') FROM log WHERE n = 1") == ((9, 9),)
        act(queued, "resume")
    drained(queued)
    assert dead(queued) == []


def test_the_time_of_acceptance_is_what_now_means(queued, table):
    with queued.connect(database=table.name) as c:
        ask(c, "SET time_zone = '+05:00'")
        queue_one(queued, c, "INSERT INTO log (n, at) VALUES (0, NOW(6))")
        drained(queued)
        act(queued, "pause")
        before = time.time()
        ask(c, "INSERT INTO log (n, at) VALUES (1, NOW(6))")
        accepted = time.time()
        time.sleep(1.2)
        act(queued, "resume")
        drained(queued)
    seconds = table.primary("SELECT UNIX_TIMESTAMP(CONVERT_TZ(at, '+05:00', @@time_zone)) FROM log WHERE n = 1")[0][0]
    assert before - 0.1 <= float(seconds) <= accepted + 0.1


def test_the_sessions_state_is_applied_with_its_record(queued, table):
    table.setup("ALTER TABLE log MODIFY v VARCHAR(4)")
    with queued.connect(database=table.name, charset="latin1") as c:
        ask(c, "SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
        queue_one(queued, c, "INSERT INTO log (n, v) VALUES (1, 'é\\')")
        ask(c, "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'")
        queue_one(queued, c, "INSERT INTO log (\"n\", v) VALUES (2, 'a' || 'b')")
        ask(c, "SET sql_mode = ''")
        queue_one(queued, c, "INSERT INTO log (n, v) VALUES (3, 'too long')")
    drained(queued)
    assert {r for r in table.primary("SELECT n, v FROM log")} == {(1, "é\\"), (2, "ab"), (3, "too ")}
    assert dead(queued) == []


# What servers begin sessions with, and what shows it: all of it in one row.
BEGUN_WITH = {"sql_mode": "''", "time_zone": "'+09:00'", "lc_time_names": "'de_DE'", "div_precision_increment": "9", "default_week_format": "3"}
SHOWS_IT = "INSERT INTO log (n, v, at) VALUES (%d, CONCAT(1 / 3, DATE_FORMAT('2024-03-01', ' %%W '), WEEK('2024-01-01'), REPEAT(' ', 99)), NOW())"


@pytest.mark.parametrize("workers", [1, 3])
def test_what_the_server_begins_sessions_with_is_what_was_set_last(suimon, table, cluster, workers):
    """Q4: who applies has been connected for long; a session that logs in behind SET GLOBAL has what that says."""
    table.setup("ALTER TABLE log ADD KEY (n)")
    s = suimon({"queue": {"drain": {"workers": workers}, "rules": [{"match": {"table": table.name + ".log"}, "order": "n"}]}})
    before = dict(cluster.primary.sql("SHOW GLOBAL VARIABLES WHERE Variable_name IN (%s)" % ", ".join("'%s'" % name for name in BEGUN_WITH)))

    def write(sql, count):
        with s.connect(database=table.name) as c:
            queue_one(s, c, sql % 0)
            act(s, "pause")
            for n in range(1, count + 1):
                assert is_queued(s, c, sql % n)
        act(s, "resume")
        drained(s)
    write("INSERT INTO log (n) VALUES (-%d)", 60 * workers)
    try:
        cluster.primary.sql(*["SET GLOBAL %s = %s" % item for item in BEGUN_WITH.items()])
        with table.direct() as d:
            ask(d, SHOWS_IT % 1000)
        write(SHOWS_IT, 60 * workers)
    finally:
        cluster.primary.sql(*["SET GLOBAL %s = '%s'" % item if not item[1].isdigit() else "SET GLOBAL %s = %s" % item for item in before.items()])
    assert dead(s) == []
    assert table.primary("SELECT COUNT(*), COUNT(DISTINCT v), SUM(v LIKE '0.333333333 Freitag 1 %'), TIMESTAMPDIFF(MINUTE, MIN(at), MAX(at)) < 30 FROM log WHERE v > ''") == (
        (60 * workers + 2, 1, 60 * workers + 2, 1),)


def test_a_session_that_only_reads_is_refused_as_directly(queued, table):
    """Its write is error 1792, not a record under whose state the drain could write nothing more."""
    with queued.connect(database=table.name) as c, queued.connect(database=table.name) as other:
        queue_one(queued, c)
        ask(c, "SET SESSION TRANSACTION READ ONLY")
        is_an_error_at_once(queued, c, "INSERT INTO log (n) VALUES (1)", 1792)
        queue_one(queued, other)
        ask(c, "SET SESSION TRANSACTION READ WRITE, ISOLATION LEVEL READ COMMITTED")
        queue_one(queued, c, "INSERT INTO log (n) VALUES (2)")
    drained(queued)
    assert dead(queued) == [] and table.primary("SELECT COUNT(*) > 0, SUM(n = 1) FROM log WHERE n > 0") == ((1, 0),)


@pytest.mark.parametrize("variable", ["binlog_format = 'STATEMENT'", "sql_log_bin = 0", "pseudo_thread_id = 7", "rand_seed1 = 5"])
def test_what_the_drain_could_not_set_runs_directly(queued, table, variable):
    table.cluster.setup("CREATE USER IF NOT EXISTS boss@'%' IDENTIFIED BY 'boss'", "GRANT ALL ON *.* TO boss@'%'")
    with queued.connect("boss", "boss", database=table.name) as c, queued.connect(database=table.name) as other:
        queue_one(queued, c)
        ask(c, "SET SESSION " + variable)
        before = acknowledged(queued)
        for n in range(1, 4):
            ask(c, "INSERT INTO log (n) VALUES (%d)" % n)
        assert acknowledged(queued) == before
        assert table.primary("SELECT COUNT(*) FROM log WHERE n > 0") == ((3,),)
        queue_one(queued, other)
    drained(queued)


def in_memory(path):
    return subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True).stdout.strip() == "tmpfs"


def test_what_the_file_can_lose_is_said_at_the_start(suimon, table):
    s = suimon(rules(table, sync="always"))
    assert "may lose" not in s.log_text() and "is in memory" not in s.log_text()
    s.stop()
    s = suimon(rules(table, sync="20ms"))
    assert "a power loss may lose the last of them" in s.log_text() and "sync=20ms" in s.log_text()
    s.stop()
    if not in_memory("/dev/shm"):
        pytest.skip("no directory in memory here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        s = suimon(rules(table, dir=directory))
        assert "the directory is in memory" in s.log_text() and "may lose" not in s.log_text()
        s.stop()


def test_a_directory_has_one_process(suimon, table):
    """A second one ends with 2 and says why, and the first has lost nothing by it; what has ended holds it no longer, however it ended."""
    s = suimon(rules(table))
    other = suimon(rules(table, dir=s.config["queue"]["dir"]), run=False)
    with s.connect(database=table.name) as c:
        queue_one(s, c)
        other.process.start()
        assert other.process.child.wait(30) == 2
        assert "in use by another process" in other.log_text()
        assert is_queued(s, c, "INSERT INTO log (n) VALUES (1)")
        drained(s)
        s.process.kill()
        s.judged = True
        c._force_close()
    other.start()
    with other.connect(database=table.name) as c:
        queue_one(other, c, "INSERT INTO log (n) VALUES (2)")
    drained(other)
    assert table.primary("SELECT COUNT(*) FROM log WHERE n = 1") == ((1,),)


def test_records_survive_a_restart(suimon, table, tmp_path):
    s = suimon(rules(table))
    with s.connect(database=table.name) as c:
        queue_one(s, c)
        drained(s)
        act(s, "pause")
        for n in range(1, 101):
            ask(c, "INSERT INTO log (n) VALUES (%d)" % n)
    assert s.stop() == 0
    directory = s.config["queue"]["dir"]
    listed = subprocess.run([s.binary, "queue", "ls", "--dir", directory], capture_output=True, text=True, timeout=20)
    assert listed.returncode == 0, listed.stderr
    assert "log" in listed.stdout
    s.start()
    assert state(s)["state"] == "paused" and state(s)["depth"] == 100
    act(s, "resume")
    drained(s)
    assert [r[0] for r in table.primary("SELECT n FROM log WHERE n > 0 ORDER BY id")] == list(range(1, 101))


def test_a_killed_suimon_loses_nothing_and_doubles_nothing(suimon, table):
    s = suimon(rules(table))
    sent, unsure = [], []
    for _ in range(3):
        with s.connect(database=table.name) as c:
            queue_one(s, c, "INSERT INTO log (n, v) VALUES (0, 'warm')")
            for n in range(200):
                word = str(uuid.uuid4())
                ask(c, "INSERT INTO log (n, v) VALUES (%d, '%s')" % (n, word))
                sent.append(word)
            s.process.kill()
            word = str(uuid.uuid4())
            with pytest.raises((pymysql.MySQLError, OSError)):
                ask(c, "INSERT INTO log (n, v) VALUES (-1, '%s')" % word)
            unsure.append(word)
            c._force_close()
        s.process = Process("suimon", s.process.argv, s.log, s.process.env)
        s.start()
    drained(s)
    found = [r[0] for r in table.primary("SELECT v FROM log WHERE v <> 'warm'")]
    assert len(found) == len(set(found))
    assert set(sent) - set(found) == set()
    assert set(found) - set(sent) <= set(unsure)


def fill(c, last=None):
    """Inserts numbered rows until one is refused (its code) or has not been queued; then runs `last`."""
    for n in range(3000):
        try:
            ask(c, "INSERT INTO log (v) VALUES ('x%08d%s')" % (n, "x" * 1000))
        except pymysql.MySQLError as e:
            assert e.args[1].startswith("suimon: ")
            return e.args[0]
    if last:
        ask(c, last)
    return None


@pytest.mark.parametrize("policy", ["sync", "error"])
def test_a_full_queue(suimon, table, policy):
    table.setup("ALTER TABLE log MODIFY v TEXT")
    s = suimon(rules(table, max_bytes="1MiB", on_full=policy))
    with s.connect(database=table.name) as c:
        queue_one(s, c, "INSERT INTO log (v) VALUES ('warm')")
        drained(s)
        act(s, "pause")
        code = fill(c)
        assert code == (1205 if policy == "sync" else 1114)  # its own records lie before it, and nothing applies them
        assert sum_metric(s.metrics(), "suimon_queue_declined_total", 'reason="full"') > 0
        with s.connect(database=table.name) as other:  # has nothing in the queue: its write may go past it
            if policy == "sync":
                ask(other, "INSERT INTO log (v) VALUES ('%s')" % ("y" * 1000))
                assert table.primary("SELECT COUNT(*) FROM log WHERE v LIKE 'yy%'") == ((1,),)
        act(s, "resume")
        drained(s)


@pytest.mark.parametrize("policy", ["sync", "error"])
def test_rows_of_what_a_full_queue_refused_are_counted_once(suimon, table, policy):
    """The statistics' affected rows, of what was queued, what went through and what failed."""
    table.setup("ALTER TABLE log MODIFY v TEXT")
    s = suimon(rules(table, max_bytes="1MiB", on_full=policy))
    three = "INSERT INTO log (n, v) VALUES (1, '{0}'), (2, '{0}'), (3, '{0}')".format("z" * 1000)

    def affected():
        return sum(q["rows_affected"] for q in s.api("/api/queries?limit=100")["queries"] if q["text"].startswith("insert into log"))
    with s.connect(database=table.name) as c, s.connect(database=table.name) as other:
        queue_one(s, c, "INSERT INTO log (v) VALUES ('warm')")
        drained(s)
        queue_one(s, other, three)
        drained(s)
        act(s, "pause")
        fill(c)
        was, so_far = affected(), declined(s, "full")
        for _ in range(3):
            if policy == "error":
                with pytest.raises(pymysql.MySQLError):
                    ask(other, three)
            else:
                ask(other, three)
        assert declined(s, "full") == so_far + 3 and affected() - was == (9 if policy == "sync" else 0)
        act(s, "resume")
        drained(s)
        assert policy == "error" or affected() == table.primary("SELECT COUNT(*) FROM log")[0][0]


def test_a_write_through_a_full_queue_does_not_overtake_its_sessions_own(suimon, table):
    """Q3 holds when the queue is full: the write waits until what its session queued before is applied, then runs."""
    table.setup("ALTER TABLE log MODIFY v TEXT")
    s = suimon(rules(table, max_bytes="1MiB", on_full="sync"))
    with s.connect(database=table.name) as c:
        queue_one(s, c, "INSERT INTO log (v) VALUES ('warm')")
        drained(s)
        with table.cluster.primary.root(database=table.name) as blocker, blocker.cursor() as cur:
            cur.execute("LOCK TABLES log READ")  # the drain runs, but its batch waits
            got = []
            t = threading.Thread(target=lambda: got.append(fill(c, last="INSERT INTO log (v) VALUES ('last')")))
            t.start()
            wait_until("the queue to be full", lambda: sum_metric(s.metrics(), "suimon_queue_declined_total", 'reason="full"') > 0, 30)
            cur.execute("UNLOCK TABLES")
            t.join(30)
        assert got == [None]
        drained(s)
        ids = table.primary("SELECT v, id FROM log WHERE v LIKE 'x%' OR v LIKE 'last%' ORDER BY id")
        order = [v[1:9] for v, _ in ids if v.startswith("x")]
        assert order == sorted(order)


def test_schemas_whose_names_end_alike_are_each_invalidated(suimon, cluster, table):
    """C1: in one batch, after one whose name and table end with the other's."""
    longer = "e2e_" + table.name
    cluster.setup("CREATE DATABASE `%s`" % longer, "CREATE TABLE `%s`.log LIKE `%s`.log" % (longer, table.name))
    try:
        s = suimon({"queue": {"rules": [{"match": {"table": "log", "verb": "insert"}}]},
                    "cache": {"rules": [{"match": {"table": "log"}, "ttl": "1h"}]}})
        with s.connect(database=table.name) as c:
            def both():
                before = acknowledged(s)
                ask(c, "INSERT INTO `%s`.log (n) VALUES (1)" % longer)
                ask(c, "INSERT INTO log (n) VALUES (1)")
                return acknowledged(s) == before + 2
            wait_until("both to be queued", both, 30)
            wait_until("them to be applied", lambda: state(s)["depth"] == 0, 30)
            filled(s, c, "SELECT COUNT(*) FROM log")
            act(s, "pause")
            wait_until("both to be queued again", both, 30)  # the drain's own table may have just been seen
            rows = table.primary("SELECT COUNT(*) FROM log")
            act(s, "resume")
            wait_until("them to be applied", lambda: state(s)["depth"] == 0, 30)
            assert ask(c, "SELECT COUNT(*) FROM log") == table.primary("SELECT COUNT(*) FROM log") > rows
    finally:
        cluster.setup("DROP DATABASE `%s`" % longer)


@pytest.mark.parametrize("opened", [False, True])
def test_the_hint_needs_a_queue_which_any_rule_opens(suimon, table, opened):
    s = suimon({"queue": {"rules": [{"match": {"tag": {"queue": "hints"}}}]}} if opened else {})
    with s.connect(database=table.name) as c:
        def acknowledges():
            ask(c, "/* suimon: queue */ INSERT INTO log (n) VALUES (1)")
            return acknowledged(s) > 0
        if opened:
            wait_until("it to be queued", acknowledges, 30)
        else:
            assert not acknowledges() and table.primary("SELECT COUNT(*) FROM log") == ((1,),)


def test_hints(queued, table):
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        act(queued, "pause")
        ask(c, "/* suimon: sync */ INSERT INTO keyed VALUES (5, 'x')")
        assert table.primary("SELECT COUNT(*) FROM keyed") == ((1,),)
        act(queued, "resume")


def test_applied_rows_reach_cached_reads(suimon, table):
    """C1 for queued writes: when the drain has applied them, the cache does not answer with what was before."""
    s = suimon(dict(rules(table), cache={"rules": [{"match": {"table": "%s.log" % table.name}, "ttl": "60s"}]}))
    sql = "SELECT COUNT(*) FROM log WHERE n = 9"
    with s.connect(database=table.name) as a, s.connect(database=table.name) as b:
        queue_one(s, a)
        drained(s)
        for _ in range(5):
            assert ask(b, sql) == ((0,),)
        ask(a, "INSERT INTO log (n) VALUES (9)")
        assert ask(a, sql) == ((1,),)
        drained(s)
        assert ask(b, sql) == ((1,),)


def test_without_an_account_to_drain_with(suimon, table):
    """The rule is in force but cannot be worked: it says why, and no write is lost."""
    s = suimon(rules(table, user={"name": "suimon_queue", "password": "wrong"}))
    with s.connect(database=table.name) as c:
        for n in range(5):
            ask(c, "INSERT INTO log (n) VALUES (%d)" % n)
    now = state(s)
    applied = table.primary("SELECT COUNT(*) FROM log")[0][0]
    assert applied + now["depth"] == 5
    if now["depth"]:
        wait_until("a reason", lambda: "1045" in str(state(s)) or "denied" in str(state(s)), 5)


def test_the_verbs_of_the_command_line(queued, table):
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        drained(queued)
        assert verb(queued, "pause").returncode == 0
        assert state(queued)["state"] == "paused"
        ask(c, "INSERT INTO log (n) VALUES (31337)")
        listed = verb(queued, "ls")
        assert listed.returncode == 0, listed.stderr
        assert "log" in listed.stdout
        assert verb(queued, "resume").returncode == 0
        assert verb(queued, "drain").returncode == 0
        drained(queued)
        assert verb(queued, "nonsense").returncode == 1
    assert os.path.isdir(queued.config["queue"]["dir"])


def listed_of_directory(s):
    got = subprocess.run([s.binary, "queue", "ls", "--dir", s.config["queue"]["dir"], "--json"], capture_output=True, text=True, timeout=20)
    assert got.returncode == 0, got.stderr
    return json.loads(got.stdout)["queue"], got.stderr


def test_a_directory_in_use_is_not_called_a_stopped_ones(queued):
    told, said = listed_of_directory(queued)
    assert told["state"] == "running" and "is in use by a running suimon" in said
    act(queued, "pause")
    assert listed_of_directory(queued)[0]["state"] == "paused"


def test_a_stopped_directory_tells_the_same_figures(queued, table):
    with queued.connect(database=table.name) as c:
        queue_one(queued, c)
        drained(queued)
        act(queued, "pause")
        for n in range(7):
            ask(c, "INSERT INTO log (n, v) VALUES (%d, 'some text')" % n)
    now = state(queued)
    queued.stop()
    then, said = listed_of_directory(queued)
    assert then["state"] == "stopped" and not said
    assert now["depth"] == 7 and now["bytes"] > 0
    assert [then[k] for k in ("depth", "bytes", "last_seq", "applied_seq")] == [now[k] for k in ("depth", "bytes", "last_seq", "applied_seq")]
    assert then["enqueued"] == then["last_seq"]
    assert 0 < now["oldest_age"] < then["oldest_age"]


# ---- several connections that drain ----

@pytest.fixture
def keyed_rules(suimon, db):
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, k VARCHAR(20) NOT NULL, n INT NOT NULL, hits INT NOT NULL DEFAULT 0, KEY (k))",
             "CREATE TABLE other (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL)",
             "CREATE TRIGGER tr AFTER INSERT ON other FOR EACH ROW UPDATE log SET hits = hits + 1000 WHERE k = 'k0'")
    return suimon({"queue": {"drain": {"workers": 3}, "rules": [
        {"match": {"table": db.name + ".log"}, "order": "k"},
        {"match": {"table": db.name + ".other"}, "order": "table"}]}})


def test_order_is_kept_within_a_columns_value_over_several_connections(keyed_rules, db):
    s = keyed_rules
    with s.connect(database=db.name) as c:
        queue_one(s, c, "INSERT INTO log (k, n) VALUES ('warm', 0)")
        queue_one(s, c, "UPDATE log SET hits = hits + 1 WHERE k = 'warm'")
        queue_one(s, c, "INSERT INTO other (n) VALUES (-1)")
        drained(s)
        act(s, "pause")
        for n in range(200):
            key = "%s%d" % ("kK"[n % 2], n % 5)  # one key in any case, as the collation has it
            ask(c, "INSERT INTO log (k, n) VALUES ('%s', %d)" % (key, n))
            if n % 10 == 9:
                ask(c, "UPDATE log SET hits = hits + 1 WHERE k = '%s'" % key)
            if n % 50 == 49:
                ask(c, "UPDATE log SET hits = hits + 100")  # within the table
            if n % 20 == 19:
                ask(c, "INSERT INTO other (n) VALUES (%d)" % n)  # and beside nothing else, for its trigger
        assert state(s)["depth"] > 200
        act(s, "resume")
        drained(s)
    for k in range(5):
        found = db.primary("SELECT n FROM log WHERE k = 'k%d' ORDER BY id" % k)
        assert [r[0] for r in found] == list(range(k, 200, 5))
    # Each statement found what had been accepted before it, and nothing else.
    rows_now = []
    for n in range(200):
        rows_now.append([n % 5, n, 0])
        if n % 10 == 9:
            for r in rows_now:
                r[2] += r[0] == n % 5
        if n % 50 == 49:
            for r in rows_now:
                r[2] += 100
        if n % 20 == 19:
            for r in rows_now:
                r[2] += 1000 * (r[0] == 0)
    hits = {r[1]: r[2] for r in rows_now}
    assert dict(db.primary("SELECT n, hits FROM log WHERE k LIKE 'k%'")) == hits
    assert [r[0] for r in db.primary("SELECT n FROM other WHERE n >= 0 ORDER BY id")] == list(range(19, 200, 20))
    assert dead(s) == []


@pytest.mark.parametrize("column", ["VARCHAR(20) COLLATE utf8mb4_lithuanian_ci NOT NULL, KEY (k)", "VARCHAR(20) COLLATE utf8mb4_lithuanian_ci NOT NULL"])
def test_words_that_a_language_holds_equal_keep_their_order(suimon, db, column):
    """Q3: i and y are one letter in Lithuanian: whoever looked at bytes would apply these at the same time."""
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL, k %s)" % column)
    s = suimon({"queue": {"drain": {"workers": 3}, "rules": [{"match": {"table": db.name + ".log"}, "order": "k"}]}})
    assert db.primary("SELECT 'kiya' = 'kyia' COLLATE utf8mb4_lithuanian_ci") == ((1,),)
    with s.connect(database=db.name) as c:
        queue_one(s, c, "INSERT INTO log (n, k) VALUES (-1, 'warm')")
        drained(s)
        act(s, "pause")
        for n in range(200):
            ask(c, "INSERT INTO log (n, k) VALUES (%d, 'k%s%sa')" % (n, "iy"[n % 2], "iy"[n // 2 % 2]))
        act(s, "resume")
        drained(s)
    assert [r[0] for r in db.primary("SELECT n FROM log WHERE n >= 0 ORDER BY id")] == list(range(200))


# One value, spelt in two ways: of YEAR, DATE and FLOAT as numbers, of ENUM and BIT as a number and as a text; and what is bent to fit.
SPELLINGS = {
    "year": ("YEAR", "20%02d", "%d", ""),
    "date": ("DATE", "20240%d01", "240%d01", ""),
    "enum": ("ENUM('9','8','7','6','5','4','3','2','1')", "%d", "'{opposite}'", ""),
    "bit": ("BIT(8)", "5%d", "'{letter}'", ""),
    "float": ("FLOAT", "1%d0000000", "1%d0000001", ""),
    "bent number": ("TINYINT", "20%d", "30%d", "SET sql_mode = ''"),
    "cut text": ("VARCHAR(4)", "'same%d'", "'sameX%d'", "SET sql_mode = ''"),
}


def spell(form, n):
    return form.format(opposite=10 - n, letter=chr(50 + n)) if "{" in form else form % n


@pytest.mark.parametrize("kind", sorted(SPELLINGS) + ["ignored"])
def test_a_value_that_can_be_spelt_in_two_ways_keeps_its_order(suimon, db, kind):
    """Q3: by their letters they would be two, and be applied at the same time."""
    column, one, other, setting = SPELLINGS["bent number" if kind == "ignored" else kind]
    insert = "INSERT%s INTO log (n, k) VALUES (%%d, %%s)" % (" IGNORE" if kind == "ignored" else "")
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL, k %s NOT NULL, KEY (k))" % column)
    s = suimon({"queue": {"drain": {"workers": 3}, "rules": [{"match": {"table": db.name + ".log"}, "order": "k"}]}})
    with s.connect(database=db.name) as c:
        if setting and kind != "ignored":
            ask(c, setting)
        for form in (one, other):
            queue_one(s, c, insert % (-1, spell(form, 1)))
        drained(s)
        act(s, "pause")
        for n in range(400):
            ask(c, insert % (n, spell((one, other)[n // 4 % 2], 1 + n % 4)))
        assert state(s)["depth"] == 400
        act(s, "resume")
        drained(s)
    found = {}
    for k, n in db.primary("SELECT k + 0, n FROM log WHERE n >= 0 ORDER BY id"):
        found.setdefault(k, []).append(n)
    assert sum(map(len, found.values())) == 400 and dead(s) == []
    assert len(found) == (1 if kind in ("bent number", "cut text", "ignored") else 4)
    assert all(numbers == sorted(numbers) for numbers in found.values())


def test_numbers_are_dealt_out_without_an_index_too(suimon, db):
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL, k INT NOT NULL)")
    s = suimon({"queue": {"drain": {"workers": 3}, "rules": [{"match": {"table": db.name + ".log"}, "order": "k"}]}})
    with open(os.path.join(s.config["queue"]["dir"], "id"), "rb") as f:
        of_this = "queue_id = X'%s' AND shard >= 256" % f.read(16).hex()
    with s.connect(database=db.name) as c:
        queue_one(s, c, "INSERT INTO log (n, k) VALUES (-1, 1)")
        drained(s)
        act(s, "pause")
        for n in range(400):
            ask(c, "INSERT INTO log (n, k) VALUES (%d, %d)" % (n, 1 + n % 9))
        act(s, "resume")
        drained(s)
    assert db.cluster.primary.sql("SELECT COUNT(*) FROM suimon.applied WHERE " + of_this) == ((3,),)
    for k in range(1, 10):
        assert [r[0] for r in db.primary("SELECT n FROM log WHERE n >= 0 AND k = %d ORDER BY id" % k)] == list(range(k - 1, 400, 9))


@pytest.mark.parametrize("by", ["rules", "reload"])
def test_writes_ordered_by_different_columns_keep_the_tables_order(suimon, db, by):
    """Q3: a row is inserted under one column's value and updated under another's; applied at the same time, the update would miss it."""
    db.setup("CREATE TABLE log (id INT PRIMARY KEY, k INT NOT NULL, n INT NOT NULL, KEY (k))")
    of_k, of_id = ({"match": {"table": db.name + ".log"}, "order": o} for o in ("k", "id"))
    first = [dict(of_k, match=dict(of_k["match"], verb="insert")), of_id] if by == "rules" else [of_k]
    s = suimon({"queue": {"drain": {"workers": 4}, "rules": first}})
    with s.connect(database=db.name) as c:
        queue_one(s, c, "INSERT INTO log (id, k, n) VALUES (-1, 1, 0)")
        queue_one(s, c, "UPDATE log SET n = n + 1 WHERE id = -2")
        drained(s)
        act(s, "pause")
        for i in range(1, 301):
            ask(c, "INSERT INTO log (id, k, n) VALUES (%d, %d, 0)" % (i, 1 + i % 7))
        if by == "reload":
            s.write(dict(s.config, queue=dict(s.config["queue"], rules=[of_id])))
            assert s.http("/api/config/reload", data={})[0] == 200
        for i in range(1, 301):
            ask(c, "UPDATE log SET n = n + 1 WHERE id = %d" % i)
        assert state(s)["depth"] == 600
        act(s, "resume")
        drained(s)
    assert db.primary("SELECT COUNT(*), SUM(n) FROM log WHERE id > 0") == ((300, 300),) and dead(s) == []


def test_what_a_trigger_makes_of_the_column_keeps_its_order(suimon, db):
    """Q3: whatever the statements say, all rows have one value: whoever took theirs would apply them at the same time."""
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL, k VARCHAR(20) NOT NULL, KEY (k))",
             "CREATE TRIGGER tr BEFORE INSERT ON log FOR EACH ROW SET NEW.k = 'one'")
    s = suimon({"queue": {"drain": {"workers": 3}, "rules": [{"match": {"table": db.name + ".log"}, "order": "k"}]}})
    with s.connect(database=db.name) as c:
        queue_one(s, c, "INSERT INTO log (n, k) VALUES (-1, 'warm')")
        drained(s)
        act(s, "pause")
        for n in range(200):
            ask(c, "INSERT INTO log (n, k) VALUES (%d, 'k%d')" % (n, n % 5))
        assert state(s)["depth"] == 200
        act(s, "resume")
        drained(s)
    assert [r[0] for r in db.primary("SELECT n FROM log WHERE n >= 0 AND k = 'one' ORDER BY id")] == list(range(200))


def test_a_killed_suimon_with_several_connections(keyed_rules, db):
    """Q2 over a restart: the rows that other connections had committed are not applied again."""
    s = keyed_rules
    sent = []
    for _ in range(3):
        with s.connect(database=db.name) as c:
            queue_one(s, c, "INSERT INTO log (k, n) VALUES ('warm', 0)")
            for n in range(150):
                ask(c, "INSERT INTO log (k, n) VALUES ('k%d', %d)" % (n % 7, len(sent) + 1))
                sent.append(len(sent) + 1)
            s.process.kill()
            c._force_close()
        s.process = Process("suimon", s.process.argv, s.log, s.process.env)
        s.start()
    drained(s)
    found = db.primary("SELECT n, k FROM log WHERE n > 0 ORDER BY id")
    assert sorted(n for n, _ in found) == sent
    for key in {k for _, k in found}:
        mine = [n for n, k in found if k == key]
        assert mine == sorted(mine)


@pytest.mark.parametrize("workers", [1, 3])
def test_damage_is_shown_and_skipped_by_hand(suimon, table, workers):
    """A record that cannot be read stops the start; `suimon queue check` says which, `skip` goes on without it alone."""
    s = suimon(rules(table, drain={"workers": workers}))
    with s.connect(database=table.name) as c:
        queue_one(s, c)
        drained(s)
        act(s, "pause")
        for n in range(1, 21):
            ask(c, "INSERT INTO log (n, v) VALUES (%d, 'row-%04d')" % (n, n))
    assert s.stop() == 0
    directory = s.config["queue"]["dir"]
    (segment,) = [f for f in os.listdir(directory) if f.endswith(".seg")]
    with open(os.path.join(directory, segment), "r+b") as f:
        data = f.read()
        at = data.index(b"row-0007")
        f.seek(at)
        f.write(b"ROW")
    s.process.start()
    assert s.process.child.wait(30) == 2
    assert "suimon queue check" in s.log_text()

    def on_disk(word):
        return subprocess.run([s.binary, "queue", word, "--dir", directory], capture_output=True, text=True, timeout=30)
    found = on_disk("check")
    assert found.returncode == 1 and "1 records lost" in found.stdout, found
    assert on_disk("check").stdout == found.stdout
    assert on_disk("skip").returncode == 0
    assert on_disk("check").returncode == 0
    assert os.path.exists(os.path.join(directory, segment + ".damaged"))
    s.start()
    act(s, "resume")
    drained(s)
    assert [r[0] for r in table.primary("SELECT n FROM log WHERE n > 0 ORDER BY id")] == [n for n in range(1, 21) if n != 7]
    with s.connect(database=table.name) as c:
        queue_one(s, c, "INSERT INTO log (n) VALUES (-5)")
    drained(s)
    assert subprocess.run([s.binary, "queue", "skip"], capture_output=True, timeout=30).returncode == 1


def test_own_writes_are_waited_for_through_views_subqueries_and_prepared_reads(suimon, table):
    table.setup("CREATE VIEW seen AS SELECT n, v FROM log", "CREATE VIEW seen_again AS SELECT n FROM seen WHERE n > 0",
                "CREATE TABLE one (id INT PRIMARY KEY)", "INSERT INTO one VALUES (1)")
    s = suimon(rules(table, drain={"batch_wait": "300ms"}))
    reads = ["SELECT COUNT(*) FROM seen WHERE n = %d", "SELECT COUNT(*) FROM seen_again WHERE n = %d",
             "SELECT COUNT(*) FROM one WHERE EXISTS (SELECT 1 FROM seen_again WHERE n = %d)"]
    with s.connect(database=table.name) as c, Wire(s.connect(database=table.name)) as w:
        queue_one(s, c, "INSERT INTO log (n) VALUES (0)")
        n = 0
        for sql in reads:
            for _ in range(5):
                n += 1
                assert is_queued(s, c, "INSERT INTO log (n) VALUES (%d)" % n)
                assert ask(c, sql % n) == ((1,),), sql
        ask(c, "PREPARE p FROM 'SELECT COUNT(*) FROM seen_again WHERE n = ?'")
        ask(c, "INSERT INTO log (n) VALUES (1000)")
        ask(c, "SET @n = 1000")
        assert ask(c, "EXECUTE p USING @n") == ((1,),)
        binary = w.prepare("SELECT COUNT(*) FROM seen_again WHERE n = ?")

        def queued():  # its worker, too, has to have the shape accepted
            before = acknowledged(s)
            w.query("INSERT INTO log (n) VALUES (0)")
            return acknowledged(s) > before
        wait_until("a write to be queued", queued, 30)
        for n in range(2000, 2005):
            before = acknowledged(s)
            assert w.query("INSERT INTO log (n) VALUES (%d)" % n)[0][0] == 0
            assert acknowledged(s) > before
            assert binary.execute((n,))[-2][-8:] == (1).to_bytes(8, "little")
    assert sum_metric(s.metrics(), "suimon_queue_waits_total") > 5


def test_own_writes_are_waited_for_where_a_foreign_key_or_a_trigger_reads_them(suimon, table):
    """A row that refers to a queued one is no error, and a trigger sees it."""
    table.setup("CREATE TABLE child (keyed_id INT, FOREIGN KEY (keyed_id) REFERENCES keyed (id))", "CREATE TABLE counts (n INT)",
                "CREATE TRIGGER counting BEFORE INSERT ON counts FOR EACH ROW SET NEW.n = (SELECT COUNT(*) FROM keyed)",
                "CREATE TABLE apart (n INT)")
    s = suimon(rules(table, drain={"batch_wait": "300ms"}))
    with s.connect(database=table.name) as c:
        queue_one(s, c, "INSERT IGNORE INTO keyed VALUES (0, 'x')")
        for n in range(1, 4):
            assert is_queued(s, c, "INSERT INTO keyed VALUES (%d, 'x')" % n)
            ask(c, "INSERT INTO child VALUES (%d)" % n)
        drained(s)
        count = table.primary("SELECT COUNT(*) FROM keyed")[0][0]
        assert is_queued(s, c, "INSERT INTO keyed VALUES (10, 'x')")
        ask(c, "INSERT INTO counts VALUES (0)")
        assert ask(c, "SELECT n FROM counts") == ((count + 1,),)
        waits = sum_metric(s.metrics(), "suimon_queue_waits_total")
        act(s, "pause")
        assert is_queued(s, c, "INSERT INTO keyed VALUES (11, 'x')")
        ask(c, "INSERT INTO apart VALUES (1)")  # what it says nothing of
        assert sum_metric(s.metrics(), "suimon_queue_waits_total") == waits
        act(s, "resume")


def test_a_transaction_that_reads_by_a_routine_first_sees_own_writes(suimon, table):
    """Its snapshot is of its first read, whoever reads."""
    table.setup("CREATE TABLE apart (n INT)", "CREATE FUNCTION counted() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM apart)",
                "CREATE PROCEDURE counting() SELECT COUNT(*) FROM apart")
    s = suimon(rules(table, drain={"batch_wait": "300ms"}))
    with s.connect(database=table.name) as c:
        queue_one(s, c, "INSERT INTO log (n) VALUES (0)")
        for n, first in enumerate(("SELECT counted()", "CALL counting()"), 1):
            for begin in ("BEGIN", "SET autocommit = 0"):
                assert is_queued(s, c, "INSERT INTO log (n) VALUES (%d)" % n)
                ask(c, begin)
                assert ask(c, first) == ((0,),)
                drained(s)
                assert ask(c, "SELECT COUNT(*) FROM log WHERE n = %d" % n) == ((1 if begin == "BEGIN" else 2,),)
                ask(c, "COMMIT")
                ask(c, "SET autocommit = 1")
