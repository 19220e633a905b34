"""The queue drained over several connections: parallel across keys, in order within each, once each (Q2, Q3, Q5)."""
import os
import random
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from queue_world import Driver, Server, driver_binary  # noqa: E402

STRICT = "sql_mode='STRICT_TRANS_TABLES'"


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.stop()


@pytest.fixture
def schema(server):
    server.run("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop",
               *["CREATE TABLE shop.t%d (pos INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL, k INT NOT NULL DEFAULT 0)" % i
                 for i in range(8)])
    return server


@pytest.fixture
def start(schema, tmp_path):
    started = []

    def run(**options):
        options.setdefault("workers", 4)
        d = Driver(driver_binary(), str(tmp_path / "queue"), schema, **options)
        started.append(d)
        return d
    yield run
    for d in started:
        if d.process.poll() is None:
            d.kill()
    text = (tmp_path / "driver.log").read_text()
    assert "Sanitizer" not in text and "runtime error" not in text, text


def put(d, n, table, sql, halt="", key=""):
    d.add(n, "shop", table, sql, STRICT, "", halt, key)


def insert(d, n, table, k=0, key=""):
    put(d, n, table, "INSERT INTO %s (n,k) VALUES (%d,%d)" % (table, n, k), key=key)


def finish(d, n):
    d.wait_answers(n)
    d.send("resume")
    d.drained()


def rows(server, table, where="1"):
    return [r[0] for r in server.run("SELECT n FROM shop.%s WHERE %s ORDER BY pos" % (table, where))]


def shards(server):
    return dict(server.run("SELECT shard, seq FROM suimon.applied"))


def test_tables_are_applied_side_by_side_each_in_order(start, schema):
    d = start(batch_rows=50)
    d.send("pause")
    for n in range(2000):
        insert(d, n, "t%d" % (n % 8))
    finish(d, 2000)
    for i in range(8):
        assert rows(schema, "t%d" % i) == list(range(i, 2000, 8))
    used = [s for s in shards(schema) if s >> 8 == 4]
    assert len(used) == 4
    assert d.quit() == 0
    assert shards(schema)[0] == 2000  # all of it is level when it has stopped in order


def test_a_lock_on_one_table_does_not_hold_up_the_others_of_its_stretch(start, schema):
    """They run at the same time: with one of them locked, the others are there before it."""
    d = start()
    d.send("pause")
    for n in range(80):
        insert(d, n, "t%d" % (n % 8))
    d.wait_answers(80)
    with schema.connect(database="shop") as c, c.cursor() as cur:
        cur.execute("LOCK TABLES t3 READ")
        d.send("resume")
        end = time.monotonic() + 30
        while sum(len(rows(schema, "t%d" % i)) > 0 for i in range(8)) < 5 and time.monotonic() < end:
            time.sleep(0.05)
        there = [i for i in range(8) if rows(schema, "t%d" % i)]
        assert 3 not in there and len(there) >= 5, there
        assert d.totals()["applied_seq"] < 80
        cur.execute("UNLOCK TABLES")
    d.drained()
    assert all(len(rows(schema, "t%d" % i)) == 10 for i in range(8))
    assert d.quit() == 0


def test_values_of_a_column_are_keys_of_one_table(start, schema):
    d = start(batch_rows=20)
    d.send("pause")
    dice = random.Random(7)
    for n in range(1500):
        k = dice.randrange(10)
        insert(d, n, "t0", k, str(k))
    finish(d, 1500)
    for k in range(10):
        found = rows(schema, "t0", "k=%d" % k)
        assert found == sorted(found) and len(found) > 100
    assert len(rows(schema, "t0")) == 1500
    assert d.quit() == 0


@pytest.mark.parametrize("values", [8, 60])  # few between two of them, which one connection applies; and many, which are shared
def test_what_concerns_the_whole_table_keeps_its_place_among_its_values(start, schema, values):
    d = start(batch_rows=100)
    d.send("pause")
    n = 0
    for turn in range(10):
        for k in range(values):
            insert(d, n, "t0", k % 8, str(k % 8))
            n += 1
        if turn % 2:
            put(d, n, "t0", "UPDATE t0 SET k=k+100 WHERE k<100")  # within the table
        else:
            put(d, n, "t0", "UPDATE t0 SET k=k+100 WHERE k<100", key="alone")
        n += 1
    finish(d, n)
    assert schema.run("SELECT COUNT(*), MIN(k), MAX(k) FROM shop.t0") == [(10 * values, 100, 107)]
    assert d.quit() == 0


@pytest.mark.parametrize("key", ["", "alone"], ids=["the whole table", "beside nothing"])
def test_what_must_wait_for_each_other_shares_transactions(start, schema, key):
    """One in four must: a stretch of three, each with a commit of its own, would take most of the time for commits."""
    d = start(batch_rows=500)
    d.send("pause")
    for n in range(2000):
        insert(d, n, "t0", n % 4, str(n % 4) if n % 4 else key)
    finish(d, 2000)
    assert rows(schema, "t0") == list(range(2000))
    assert d.totals()["batches"] < 20
    d.send("pause")
    for n in range(2000, 4000):  # seldom: what is between is shared, still
        insert(d, n, "t0", n % 4, str(n % 4) if n % 500 else key)
    finish(d, 4000)
    assert [n for k in range(4) for n in rows(schema, "t0", "n >= 2000 AND k = %d" % k)] == [n for k in range(4) for n in range(2000 + k, 4000, 4)]
    mine = [seq for (seq,) in schema.run("SELECT seq FROM suimon.applied WHERE shard >> 8 = 4 AND queue_id = "
                                         "(SELECT queue_id FROM suimon.applied ORDER BY updated_at DESC LIMIT 1)")]
    assert sum(seq > 2000 for seq in mine) > 1, mine
    assert d.quit() == 0


def test_what_fails_for_good_among_them_is_put_aside_alone(start, schema):
    schema.run("CREATE TABLE shop.once (id INT PRIMARY KEY)", "INSERT INTO shop.once VALUES (7)")
    d = start(batch_rows=500)
    d.send("pause")
    for n in range(200):
        put(d, n, "once", "INSERT INTO once (id) VALUES (%d)" % n, key="" if n % 3 == 0 else str(n))
    finish(d, 200)
    assert schema.run("SELECT COUNT(*) FROM shop.once") == [(200,)]
    assert [(code, sql) for _, code, _, sql in d.dead_letters()] == [(1062, "INSERT INTO once (id) VALUES (7)")]
    assert d.quit() == 0


def test_a_parent_in_another_share_is_found(start, schema):
    """A child that fails because its parent is being inserted at the same time is tried again when that is done."""
    schema.run("CREATE TABLE shop.parent (id INT PRIMARY KEY)",
               *["CREATE TABLE shop.child%d (id INT PRIMARY KEY, parent INT NOT NULL, FOREIGN KEY (parent) REFERENCES parent (id))" % i
                 for i in range(6)])
    d = start()
    d.send("pause")
    n = 0
    for i in range(60):
        put(d, n, "parent", "INSERT INTO parent (id) VALUES (%d)" % i)
        put(d, n + 1, "child%d" % (i % 6), "INSERT INTO child%d (id,parent) VALUES (%d,%d)" % (i % 6, i, i))
        n += 2
    put(d, n, "child1", "INSERT INTO child1 (id,parent) VALUES (1000,777)")
    finish(d, n + 1)
    assert sum(schema.run("SELECT COUNT(*) FROM shop.child%d" % i)[0][0] for i in range(6)) == 60
    assert [code for _, code, _, _ in d.dead_letters()] == [1452]
    schema.run(*["DROP TABLE shop.child%d" % i for i in range(6)])
    assert d.quit() == 0


def test_a_rule_that_halts_does_so_with_several_connections(start, schema):
    schema.run("CREATE TABLE shop.once (id INT PRIMARY KEY)", "INSERT INTO shop.once VALUES (1)")
    d = start()
    d.send("pause")
    for n in range(40):
        insert(d, n, "t%d" % (n % 8))
    put(d, 40, "once", "INSERT INTO once (id) VALUES (1)", halt="halt")
    for n in range(41, 80):
        insert(d, n, "t%d" % (n % 8))
    d.wait_answers(80)
    d.send("resume")
    end = time.monotonic() + 30
    while d.totals()["state"] != "halted" and time.monotonic() < end:
        time.sleep(0.02)
    assert d.totals()["state"] == "halted"
    schema.run("DELETE FROM shop.once")
    d.send("resume")
    d.drained()
    assert sum(len(rows(schema, "t%d" % i)) for i in range(8)) == 79
    assert schema.run("SELECT COUNT(*) FROM shop.once") == [(1,)]
    assert d.dead_letters() == []
    assert d.quit() == 0


def test_killed_connections_lose_and_double_nothing(start, schema):
    d = start(batch_rows=10)
    dice = random.Random(3)
    for n in range(3000):
        insert(d, n, "t%d" % dice.randrange(8))
        if n % 150 == 149:
            for (pid,) in schema.run("SELECT ID FROM information_schema.PROCESSLIST WHERE DB='shop'"):
                try:
                    schema.run("KILL %d" % pid)
                except Exception:  # it has gone by itself
                    pass
    d.wait_answers(3000)
    d.drained()
    found = []
    for i in range(8):
        here = rows(schema, "t%d" % i)
        assert here == sorted(here)
        found += here
    assert sorted(found) == list(range(3000))
    assert d.quit() == 0


@pytest.mark.parametrize("alone", [0, 3], ids=["shared", "now shared, now not"])
def test_the_number_of_connections_may_change_after_a_crash(start, schema, alone):
    """What the rows of suimon.applied say stays true for another number, and for one."""
    n = 0
    for workers in (4, 3, 1, 5, 2):
        d = start(workers=workers, batch_rows=7, failpoint="after-commit:5")
        try:
            for _ in range(300):
                insert(d, n, "t%d" % (n % 8), key="alone" if alone and n // 50 % 2 and n % alone == 0 else "")
                n += 1
        except (BrokenPipeError, OSError):
            pass
        d.reap()
    d = start(workers=3)
    totals = d.totals()
    d.send("applied", totals["last_seq"])
    d.said("applied")
    for i in range(8):
        found = rows(schema, "t%d" % i)
        assert found == sorted(set(found)), i
    assert d.quit() == 0


def test_batches_shrink_while_transactions_take_long_and_grow_again(start, schema):
    schema.run("CREATE TRIGGER shop.slow BEFORE INSERT ON shop.t0 FOR EACH ROW SET NEW.k = IF(@slow IS NULL AND SLEEP(0.005), 1, 0)")
    d = start(workers=1, batch_rows=200, target_ms=50)
    d.send("pause")
    for n in range(300):
        insert(d, n, "t0")
    finish(d, 300)
    small = d.totals()["batch_rows_now"]
    assert small <= 60
    schema.run("DROP TRIGGER shop.slow")
    n, end = 300, time.monotonic() + 60
    while d.totals()["batch_rows_now"] <= small and time.monotonic() < end:
        d.send("pause")
        for _ in range(200):
            insert(d, n, "t0")
            n += 1
        finish(d, n)
    assert d.totals()["batch_rows_now"] > small
    assert rows(schema, "t0") == list(range(n))
    assert d.quit() == 0


def direct_waits(start, schema, tag, **options):
    """How long each of a client's own updates takes while 1,000 of the queue's, of the same rows, are applied, 4 ms each."""
    schema.run("DROP TABLE IF EXISTS shop.hot", "CREATE TABLE shop.hot (id INT PRIMARY KEY, v INT NOT NULL, direct INT NOT NULL)",
               *["INSERT INTO shop.hot VALUES (%d, 0, 0)" % i for i in range(10)],
               "CREATE TRIGGER shop.slowly BEFORE UPDATE ON shop.hot FOR EACH ROW SET NEW.v = NEW.v + IF(NEW.direct = OLD.direct, SLEEP(0.004), 0)")
    d = start(workers=1, batch_rows=250, **options)
    d.send("pause")
    for n in range(1000):
        put(d, "%s-%d" % (tag, n), "hot", "UPDATE hot SET v=v+1 WHERE id=%d" % (n % 10))
    d.wait_answers(1000)
    d.send("resume")
    took = []
    with schema.connect(database="shop") as c, c.cursor() as cur:
        while d.totals()["depth"]:
            began = time.monotonic()
            cur.execute("UPDATE hot SET direct=direct+1 WHERE id=0")
            took.append(time.monotonic() - began)
            time.sleep(0.01)
    assert schema.run("SELECT SUM(v), SUM(direct) FROM shop.hot") == [(1000, len(took))]
    assert d.quit() == 0
    return sorted(took)


def test_who_writes_beside_waits_no_longer_than_a_short_transaction(start, schema):
    """Draining does not hurt direct traffic: the rows it holds it holds for about the target, not for a full batch's time."""
    short, long = direct_waits(start, schema, "short", target_ms=100), direct_waits(start, schema, "long")
    median = [took[len(took) // 2] for took in (short, long)]
    assert len(short) > 2 * len(long) and median[0] < 0.4 * median[1], (short, long)
