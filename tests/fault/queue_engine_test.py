"""The queue against a real MariaDB: merging, dead letters, waiting, failover of the connection, order (Q2, Q3, Q5, Q6, F1)."""
import os
import shutil
import sys
import time
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from queue_world import KIND, Driver, Kafka, Redis, Server, Sqs, driver_binary  # noqa: E402

STRICT = "sql_mode='STRICT_TRANS_TABLES'"
file_only = pytest.mark.parametrize("engine", ["file"], indirect=True)  # of what the others do not have
T0 = 1700000000_000000  # 2023-11-14 22:13:20 UTC


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.stop()


@pytest.fixture
def schema(server):
    server.run("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop",
               "CREATE TABLE shop.log (id INT PRIMARY KEY, pos INT AUTO_INCREMENT UNIQUE, v VARCHAR(20))")
    return server


@pytest.fixture(scope="module")
def redis():
    r = Redis()
    yield r
    r.stop()


@pytest.fixture(scope="module")
def kafka():
    k = Kafka()
    yield k
    k.stop()


@pytest.fixture(scope="module")
def sqs():
    s = Sqs()
    yield s
    s.stop()


@pytest.fixture(params=["file", "redis", "kafka", "sqs"])
def engine(request):
    """What one engine keeps, each keeps."""
    return request.param


@pytest.fixture
def start(schema, tmp_path, engine, request):
    started, urls = [], []
    name = uuid.uuid4().hex

    def run(**options):
        if engine != "file" and "url" not in options:
            if not urls:
                urls.append(request.getfixturevalue(engine).url(name, lanes=1))
            options["url"] = urls[0]
        d = Driver(driver_binary(), str(tmp_path / "queue"), schema, **options)
        started.append(d)
        return d
    yield run
    for d in started:
        if d.process.poll() is None:
            d.kill()
    text = (tmp_path / "driver.log").read_text()
    assert "Sanitizer" not in text and "runtime error" not in text, text


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def put(d, n, sql, table="log", env=STRICT, time_us="", *rest):
    d.add(n, "shop", table, sql, env, time_us, *rest)


def finish(d, n):
    """All n answered and applied, as one backlog."""
    d.wait_answers(n)
    d.send("resume")
    d.drained()


def inserts_run(server):
    return int(server.run("SHOW GLOBAL STATUS LIKE 'Com_insert'")[0][1])


def test_single_rows_become_few_statements(start, schema):
    d = start(batch_rows=500)
    d.send("pause")
    for i in range(1000):
        put(d, i, "INSERT INTO log (id,v) VALUES (%d,'x')" % i, time_us=T0 + i)
    d.wait_answers(1000)
    before = inserts_run(schema)
    finish(d, 1000)
    # Two of the log, one of the position's row; more only if a batch had to be tried again.
    assert inserts_run(schema) - before <= 20
    assert schema.run("SELECT COUNT(*), SUM(pos=id+1) FROM shop.log") == [(1000, 1000)]
    assert d.quit() == 0


def test_tables_that_alternate_are_merged_all_the_same(start, schema):
    schema.run(*["CREATE TABLE shop.m%d (id INT PRIMARY KEY, pos INT AUTO_INCREMENT UNIQUE)" % k for k in range(3)])
    d = start(batch_rows=300)
    d.send("pause")
    for i in range(300):
        put(d, i, "INSERT INTO m%d (id) VALUES (%d)" % (i % 3, i), "m%d" % (i % 3))
    d.wait_answers(300)
    before = inserts_run(schema)
    finish(d, 300)
    assert inserts_run(schema) - before <= 20
    for k in range(3):
        assert [r[0] for r in schema.run("SELECT id FROM shop.m%d ORDER BY pos" % k)] == list(range(k, 300, 3))
    assert d.quit() == 0


def test_a_parent_that_comes_between_its_children_is_found(start, schema, engine):
    """Merging would put the second child before its parent: then all is applied in strict order."""
    schema.run("CREATE TABLE shop.parent (id INT PRIMARY KEY)", "INSERT INTO shop.parent VALUES (0)",
               "CREATE TABLE shop.child (id INT PRIMARY KEY, parent INT NOT NULL, FOREIGN KEY (parent) REFERENCES parent (id))")
    d = start()
    d.send("pause")
    old = int((time.time() - 60) * 1e6)
    put(d, 0, "INSERT INTO child (id,parent) VALUES (0,0)", "child", time_us=old)
    put(d, 1, "INSERT INTO parent (id) VALUES (1)", "parent", time_us=old)
    put(d, 2, "INSERT INTO child (id,parent) VALUES (1,1)", "child", time_us=old)
    put(d, 3, "INSERT INTO child (id,parent) VALUES (2,7)", "child", time_us=old)
    began = time.monotonic()
    finish(d, 4)
    assert engine == "file" or time.monotonic() > began + 9  # where a parent may be in another lane it is waited for
    assert schema.run("SELECT id FROM shop.child ORDER BY id") == [(0,), (1,)]
    assert [(code, sql) for _, code, _, sql in d.dead_letters()] == [(1452, "INSERT INTO child (id,parent) VALUES (2,7)")]
    schema.run("DROP TABLE shop.child")
    assert d.quit() == 0


FAMILY = ("CREATE TABLE shop.parent (id INT PRIMARY KEY)", "INSERT INTO shop.parent VALUES (0)",
          "CREATE TABLE shop.child (id INT PRIMARY KEY, pos INT AUTO_INCREMENT UNIQUE, parent INT NOT NULL, "
          "FOREIGN KEY (parent) REFERENCES parent (id))")
shared_only = pytest.mark.parametrize("engine", ["redis", "kafka", "sqs"], indirect=True)


@shared_only
@pytest.mark.parametrize("ahead", [0, 3600, -60, -86400])
def test_a_parent_in_another_lane_is_waited_for_whatever_the_clocks_say(start, schema, ahead):
    """The clock of whoever accepted a record may be ahead of or behind the one of who applies it; behind an outage all of them are old."""
    schema.run(*FAMILY)
    d = start()
    when = int((time.time() + ahead) * 1e6)
    for i in range(4):
        put(d, i, "INSERT INTO child (id,parent) VALUES (%d,%d)" % (i, (0, 1, 0, 1)[i]), "child", time_us=when + i)
    d.wait_answers(4)
    until(lambda: d.totals()["state"] == "waiting", 20)
    time.sleep(1)
    assert schema.run("SELECT id FROM shop.child WHERE id > 0") == [] and not d.dead_letters()
    schema.run("INSERT INTO shop.parent VALUES (1)")
    until(lambda: d.totals()["depth"] == 0, 10)
    assert schema.run("SELECT id FROM shop.child ORDER BY pos") == [(0,), (1,), (2,), (3,)] and not d.dead_letters()
    schema.run("DROP TABLE shop.child")
    assert d.quit() == 0


@shared_only
def test_parents_that_never_come_hold_a_lane_for_a_bounded_time(start, schema):
    """Many orphans behind an outage, some of one statement and some not: they are waited for together, once."""
    schema.run(*FAMILY)
    d = start(batch_rows=5)
    d.send("pause")
    old = int((time.time() - 60) * 1e6)
    orphans = [i for i in range(60) if i % 3 == 1]
    for i in range(60):
        put(d, i, "INSERT INTO child (id,parent) VALUES (%d,%d)" % (i, 7 if i in orphans else 0), "child", time_us=old + i * 300000)
    began = time.monotonic()
    finish(d, 60)
    assert 9 < time.monotonic() - began < 20
    assert [r[0] for r in schema.run("SELECT id FROM shop.child ORDER BY pos")] == [i for i in range(60) if i not in orphans]
    assert [(code, sql) for _, code, _, sql in d.dead_letters()] == \
        [(1452, "INSERT INTO child (id,parent) VALUES (%d,7)" % i) for i in orphans]
    schema.run("DROP TABLE shop.child")
    assert d.quit() == 0


def test_a_culprit_among_merged_rows_is_found(start, schema):
    schema.run("INSERT INTO shop.log (id,v) VALUES (37,'there'),(64,'there')")
    d = start()
    d.send("pause")
    for i in range(100):
        put(d, i, "INSERT INTO log (id,v) VALUES (%d,'x')" % i)
    finish(d, 100)
    assert schema.run("SELECT COUNT(*) FROM shop.log WHERE v='x'") == [(98,)]
    letters = d.dead_letters()
    assert [(code, sql) for _, code, _, sql in letters] == [
        (1062, "INSERT INTO log (id,v) VALUES (37,'x')"), (1062, "INSERT INTO log (id,v) VALUES (64,'x')")]
    assert d.totals()["dead"] == 2
    # Worked by hand: one tried again after the reason is gone, one discarded.
    schema.run("DELETE FROM shop.log WHERE id=37")
    d.send("retry", letters[0][0])
    assert d.said("retry") == "retry 0"
    d.send("discard", letters[1][0])
    assert d.said("discard") == "discard 0"
    d.send("retry", letters[0][0])
    assert d.said("retry") == "retry 2"  # no such
    until(lambda: schema.run("SELECT v FROM shop.log WHERE id=37") == [("x",)])
    assert d.dead_letters() == []
    assert d.quit() == 0


def test_now_is_the_time_of_acceptance_and_seconds_are_not_mixed(start, schema):
    schema.run("CREATE TABLE shop.t (id INT PRIMARY KEY, at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, said DATETIME)")
    d = start()
    d.send("pause")
    for i in range(60):
        put(d, i, "INSERT INTO t (id,said) VALUES (%d,NOW())" % i, "t", STRICT + ",time_zone='+00:00'", T0 + i * 250000)
    d.wait_answers(60)
    before = inserts_run(schema)
    finish(d, 60)
    assert schema.run("SELECT COUNT(*) FROM shop.t WHERE at = '2023-11-14 22:13:20' + INTERVAL id DIV 4 SECOND AND said = at") == [(60,)]
    assert inserts_run(schema) - before <= 15 + 15
    assert d.quit() == 0


def test_fractions_of_a_second_are_kept(start, schema):
    schema.run("CREATE TABLE shop.t (id INT PRIMARY KEY, at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6))")
    d = start()
    d.send("pause")
    for i in range(20):
        put(d, i, "INSERT INTO t (id) VALUES (%d)" % i, "t", STRICT + ",time_zone='+00:00'", T0 + i)
    finish(d, 20)
    assert schema.run("SELECT COUNT(*) FROM shop.t WHERE at = '2023-11-14 22:13:20' + INTERVAL id MICROSECOND") == [(20,)]
    assert d.quit() == 0


def test_a_trigger_sees_each_rows_own_time(start, schema):
    schema.run("CREATE TABLE shop.t (id INT PRIMARY KEY)", "CREATE TABLE shop.audit (id INT, at DATETIME(6))",
               "CREATE TRIGGER shop.tr AFTER INSERT ON shop.t FOR EACH ROW INSERT INTO shop.audit VALUES (NEW.id, NOW(6))")
    d = start()
    d.send("pause")
    for i in range(10):
        put(d, i, "INSERT INTO t (id) VALUES (%d)" % i, "t", STRICT + ",time_zone='+00:00'", T0 + i * 1000)
    finish(d, 10)
    assert schema.run("SELECT COUNT(*) FROM shop.audit WHERE at = '2023-11-14 22:13:20' + INTERVAL id*1000 MICROSECOND") == [(10,)]
    assert d.quit() == 0


def test_without_the_right_to_see_triggers_times_are_not_mixed(start, schema):
    schema.run("DROP USER IF EXISTS drain@localhost", "CREATE USER drain@localhost", "GRANT ALL ON suimon.* TO drain@localhost",
               "GRANT SELECT, INSERT ON shop.* TO drain@localhost",
               "CREATE TABLE shop.t (id INT PRIMARY KEY)", "CREATE TABLE shop.audit (id INT, at DATETIME(6))",
               "CREATE TRIGGER shop.tr AFTER INSERT ON shop.t FOR EACH ROW INSERT INTO shop.audit VALUES (NEW.id, NOW(6))")
    d = start(user="drain")
    d.send("pause")
    for i in range(10):
        put(d, i, "INSERT INTO t (id) VALUES (%d)" % i, "t", STRICT + ",time_zone='+00:00'", T0 + i * 1000)
    finish(d, 10)
    assert schema.run("SELECT COUNT(*) FROM shop.audit WHERE at = '2023-11-14 22:13:20' + INTERVAL id*1000 MICROSECOND") == [(10,)]
    assert d.quit() == 0


def test_without_strict_mode_the_outcome_is_that_of_single_statements(start, schema):
    schema.run("CREATE TABLE shop.t (id INT PRIMARY KEY, v INT NOT NULL)")
    d = start()
    d.send("pause")
    for i in range(10):
        put(d, i, "INSERT INTO t (id,v) VALUES (%d,%s)" % (i, "NULL" if i == 5 else i), "t", "sql_mode=''")
    finish(d, 10)
    assert schema.run("SELECT id FROM shop.t ORDER BY id") == [(i,) for i in range(10) if i != 5]
    assert [l[1] for l in d.dead_letters()] == [1048]
    assert d.quit() == 0


def test_the_environment_is_restored_for_each_record(start, schema):
    schema.run("CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(40))")
    d = start()
    d.send("pause")
    envs = [STRICT + ",time_zone='+05:00'", "", STRICT + ",time_zone='-03:00'", "foreign_key_checks=0", ""]
    for i, env in enumerate(envs):
        put(d, i, "INSERT INTO t (id,v) VALUES (%d,CONCAT(@@time_zone,IF(@@foreign_key_checks,'ON','OFF')))" % i, "t", env, T0)
    finish(d, 5)
    assert schema.run("SELECT v FROM shop.t ORDER BY id") == [("+05:00ON",), ("SYSTEMON",), ("-03:00ON",), ("SYSTEMOFF",), ("SYSTEMON",)]
    assert d.quit() == 0


def test_on_duplicate_key_update_counts_right(start, schema):
    schema.run("CREATE TABLE shop.hits (page INT PRIMARY KEY, n INT NOT NULL)")
    d = start()
    d.send("pause")
    for i in range(300):
        put(d, i, "INSERT INTO hits (page,n) VALUES (%d,1) ON DUPLICATE KEY UPDATE n=n+VALUES(n)" % (i % 7), "hits")
    finish(d, 300)
    assert schema.run("SELECT SUM(n), COUNT(*) FROM shop.hits") == [(300, 7)]
    assert d.quit() == 0


def test_a_batch_larger_than_the_binlogs_cache_is_applied_in_parts(start, schema):
    """1197 is the transaction's, not the statement's: alone each of them has room."""
    schema.run("CREATE TABLE shop.big (id INT PRIMARY KEY, v LONGTEXT)")
    before = schema.run("SELECT @@max_binlog_cache_size, @@binlog_cache_size")[0]
    schema.run("SET GLOBAL binlog_cache_size=32768, GLOBAL max_binlog_cache_size=65536, GLOBAL binlog_format=ROW")
    try:
        d = start()
        d.send("pause")
        for i in range(20):
            put(d, i, "INSERT INTO big (id,v) VALUES (%d,REPEAT('x',%d))" % (i, 20000), "big")
        finish(d, 20)
        assert d.dead_letters() == []
        assert [r[0] for r in schema.run("SELECT id FROM shop.big ORDER BY id")] == list(range(20))
        assert d.quit() == 0
    finally:
        schema.run("SET GLOBAL max_binlog_cache_size=%d, GLOBAL binlog_cache_size=%d, GLOBAL binlog_format=MIXED" % before)


def test_a_rule_may_halt_instead(start, schema, engine):
    schema.run("INSERT INTO shop.log (id) VALUES (3)")
    d = start()
    d.send("pause")
    for i in range(6):
        put(d, i, "INSERT INTO log (id,v) VALUES (%d,'x')" % i, "log", STRICT, T0, "halt")
    d.wait_answers(6)
    d.send("resume")
    until(lambda: d.totals()["state"] == "halted")
    t = d.totals()
    assert t["applied_seq"] == 3 or engine != "file"
    assert t["applied"] == 3 and t["dead"] == 0
    assert schema.run("SELECT id FROM shop.log WHERE v='x' ORDER BY id") == [(0,), (1,), (2,)]
    schema.run("DELETE FROM shop.log WHERE id=3")
    d.send("resume")
    d.drained()
    assert schema.run("SELECT id FROM shop.log WHERE v='x' ORDER BY id") == [(i,) for i in range(6)]
    assert d.quit() == 0


def bury(d, seq):
    d.send("bury", seq)
    return int(d.said("bury").split()[1]) == 0


WAITS = ("CREATE TABLE shop.audit (id INT)", "CREATE USER IF NOT EXISTS nobody", "CREATE TABLE shop.odd (id INT PRIMARY KEY)",
         "CREATE DEFINER=nobody TRIGGER shop.odd_audit AFTER INSERT ON shop.odd FOR EACH ROW INSERT INTO audit VALUES (NEW.id)")


@file_only
@pytest.mark.parametrize("workers", [1, 4])
def test_the_record_that_all_wait_for_is_named_and_can_be_buried(start, schema, workers):
    """1142 of a trigger's definer waits for a GRANT that may never come. Those before it are applied; it is told apart, and put aside."""
    schema.run(*WAITS)
    d = start(workers=workers)
    d.send("pause")
    for i in range(60):
        put(d, i, "INSERT INTO %s (id) VALUES (%d)" % ("odd" if i == 20 else "log", i), "odd" if i == 20 else "log")
    d.wait_answers(60)
    seq = d.acks["20"]
    assert not bury(d, seq)  # nothing waits for it yet
    d.send("resume")
    until(lambda: d.totals()["waits_for"] == seq)
    assert {r[0] for r in schema.run("SELECT id FROM shop.log")} >= set(range(20)) and not d.dead_letters()
    assert not bury(d, seq + 1) and not bury(d, 0) and bury(d, seq)
    d.drained()
    assert [r[0] for r in schema.run("SELECT id FROM shop.log ORDER BY id")] == [i for i in range(60) if i != 20]
    assert [(code, s) for _, code, s, _ in d.dead_letters()] == [(1142, seq)]
    assert d.totals()["waits_for"] == 0 and d.totals()["state"] == "running"
    # Retried when the grant is there, it is a record like any other.
    schema.run("DROP TRIGGER shop.odd_audit")
    d.send("retry", d.dead_letters()[0][0])
    until(lambda: schema.run("SELECT id FROM shop.odd") == [(20,)])
    assert d.quit() == 0


@file_only
def test_a_record_that_halts_the_others_can_be_buried(start, schema):
    schema.run("INSERT INTO shop.log (id,v) VALUES (1,'there')")
    d = start()
    for i in range(3):
        put(d, i, "INSERT INTO log (id,v) VALUES (%d,'x')" % i, "log", STRICT, "", "halt")
    d.wait_answers(3)
    until(lambda: d.totals()["state"] == "halted")
    assert d.totals()["waits_for"] == d.acks["1"] and bury(d, d.acks["1"])
    d.drained()
    assert schema.run("SELECT id, v FROM shop.log ORDER BY id") == [(0, "x"), (1, "there"), (2, "x")]
    assert [(code, seq) for _, code, seq, _ in d.dead_letters()] == [(1062, d.acks["1"])]
    assert d.quit() == 0


@file_only
def test_a_statement_may_take_longer_than_a_minute(start, schema):
    d = start()
    put(d, 0, "INSERT INTO log (id,v) VALUES (0,SLEEP(63))")
    put(d, 1, "INSERT INTO log (id,v) VALUES (1,'x')")
    d.wait_answers(2)
    until(lambda: d.totals()["depth"] == 0, 90)
    assert schema.run("SELECT id, v FROM shop.log ORDER BY id") == [(0, "0"), (1, "x")]
    assert d.totals()["retries"] == 0 and d.quit() == 0


def sleeping(server):
    return [r[0] for r in server.run("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT%SLEEP(600)%'")]


@file_only
@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_lost_connection_has_left_under_way_is_ended(start, schema, workers):
    """The statement would go on without its client and hold its locks; the next connection ends it before it tries again."""
    d = start(workers=workers)
    put(d, 0, "INSERT INTO log (id,v) VALUES (0,SLEEP(600))")
    put(d, 1, "INSERT INTO log (id,v) VALUES (1,'x')")
    d.wait_answers(2)
    until(lambda: sleeping(schema))
    before = sleeping(schema)
    time.sleep(2)  # the server is known to be older than the connection by whole seconds
    d.send("moved")
    until(lambda: len(sleeping(schema)) == 1 and sleeping(schema) != before)
    until(lambda: d.totals()["waits_for"] == d.acks["0"])
    assert bury(d, d.acks["0"])
    until(lambda: d.totals()["depth"] == 0, 30)
    assert not sleeping(schema) and schema.run("SELECT id FROM shop.log") == [(1,)]
    assert [seq for _, _, seq, _ in d.dead_letters()] == [d.acks["0"]]
    assert d.quit() == 0


def test_an_unknown_error_is_the_statements_own(start, schema):
    """1105 is what a path that is none gets: whoever may write could have all others wait for good."""
    d = start()
    put(d, 0, "INSERT INTO log (id,v) VALUES (0,EXTRACTVALUE('<a/>','//'))")
    put(d, 1, "INSERT INTO log (id,v) VALUES (1,'x')")
    finish(d, 2)
    assert [code for _, code, _, _ in d.dead_letters()] == [1105]
    assert schema.run("SELECT id FROM shop.log") == [(1,)]
    assert d.quit() == 0


def test_a_lock_is_waited_for(start, schema):
    schema.run("CREATE TABLE shop.c (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.c VALUES (1,0)")
    d = start()
    blocker = schema.connect()
    with blocker.cursor() as cur:
        cur.execute("BEGIN")
        cur.execute("UPDATE shop.c SET v=v+100 WHERE id=1")
        put(d, 0, "UPDATE c SET v=v+1 WHERE id=1", "c")
        d.wait_answers(1)
        for _ in range(300):
            if d.totals()["retries"]:
                break
            time.sleep(0.05)
        assert d.totals()["retries"] >= 1
        cur.execute("COMMIT")
    blocker.close()
    d.drained()
    assert schema.run("SELECT v FROM shop.c") == [(101,)]
    assert d.dead_letters() == []
    assert d.quit() == 0


def test_a_time_that_no_server_can_be_told(start, schema):
    """F1: accepted while the clock was in 2058. It is the last moment that there is."""
    d = start()
    put(d, 0, "INSERT INTO log (id, v) VALUES (0, UNIX_TIMESTAMP())", time_us=2794000000_500000)
    put(d, 1, "INSERT INTO log (id, v) VALUES (1, UNIX_TIMESTAMP())", time_us=T0)
    d.wait_answers(2)
    d.drained()
    assert schema.run("SELECT id, v FROM shop.log ORDER BY id") == [(0, "2147483647"), (1, str(T0 // 1000000))]
    assert d.dead_letters() == []
    assert d.quit() == 0


def test_a_deadlock_is_tried_again(start, schema):
    """The server undoes the whole batch, being the lighter of the two: it is applied once all the same."""
    def deadlocks():
        return schema.run("SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'")[0][0]
    schema.run("CREATE TABLE shop.c (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.c VALUES (1,0),(2,0)", "CREATE TABLE shop.heavy (n INT)")
    before = deadlocks()
    d = start()
    d.send("pause")
    for n in (1, 2):
        put(d, n, "UPDATE c SET v=v+1 WHERE id=%d" % n, "c")
    d.wait_answers(2)
    with schema.connect() as other, other.cursor() as cur:
        cur.execute("BEGIN")
        cur.execute("INSERT INTO shop.heavy VALUES %s" % ",".join("(%d)" % n for n in range(2000)))
        cur.execute("UPDATE shop.c SET v=v+100 WHERE id=2")
        d.send("resume")
        until(lambda: schema.run("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE c SET%id=2'")[0][0])
        cur.execute("UPDATE shop.c SET v=v+100 WHERE id=1")
        cur.execute("COMMIT")
    d.drained()
    assert deadlocks() == before + 1 and d.totals()["retries"] >= 1
    assert schema.run("SELECT id, v FROM shop.c ORDER BY id") == [(1, 101), (2, 101)]
    assert d.dead_letters() == []
    assert d.quit() == 0


def test_killed_connections_lose_and_double_nothing(start, schema):
    schema.run("CREATE TABLE shop.n (pos INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)")
    d = start(batch_rows=20)
    me = schema.connect()
    with me.cursor() as cur:
        for i in range(2000):
            put(d, i, "INSERT INTO n (n) VALUES (%d)" % i, "n")
            if i % 100 == 50:
                cur.execute("SELECT id FROM information_schema.processlist WHERE id<>CONNECTION_ID() AND command<>'Daemon' AND user='root'")
                for (number,) in cur.fetchall():
                    try:
                        cur.execute("KILL %d" % number)
                    except Exception:  # it has just gone
                        pass
    me.close()
    finish(d, 2000)
    assert schema.run("SELECT COUNT(*), COUNT(DISTINCT n) FROM shop.n") == [(2000, 2000)]
    assert [r[0] for r in schema.run("SELECT n FROM shop.n ORDER BY pos")] == list(range(2000))
    assert d.quit() == 0


def test_the_database_may_be_away(start, schema):
    d = start()
    put(d, 0, "INSERT INTO log (id) VALUES (0)")
    d.wait_answers(1)
    d.drained()
    schema.kill()
    for i in range(1, 200):
        put(d, i, "INSERT INTO log (id) VALUES (%d)" % i)
    d.wait_answers(200)
    assert not d.nacks
    until(lambda: d.totals()["state"] == "waiting")
    until(lambda: d.totals()["depth"] == 199 and d.totals()["oldest_age_ns"] > 0)
    schema.start()
    d.drained()
    assert schema.run("SELECT COUNT(*) FROM shop.log") == [(200,)]
    until(lambda: d.totals()["depth"] == 0)
    assert d.quit() == 0


@pytest.mark.parametrize("workers", [1, 3])
@file_only
def test_a_server_that_takes_connections_and_no_writes_is_not_asked_without_a_pause(start, schema, workers):
    """1290 says that it is no primary any more; or, by the only one there is, that an option of the server (secure_timestamp) is in the way."""
    def connections():
        return int(schema.run("SHOW GLOBAL STATUS LIKE 'Connections'")[0][1])
    schema.run("CREATE TRIGGER shop.no BEFORE INSERT ON shop.log FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'no'")
    d = start(workers=workers)
    put(d, 0, "INSERT INTO log (id) VALUES (0)")
    d.wait_answers(1)
    until(lambda: d.totals()["retries"] >= 4)
    before = connections()
    time.sleep(1)
    assert connections() - before < 20
    schema.run("DROP TRIGGER shop.no")
    d.drained()
    assert schema.run("SELECT id FROM shop.log") == [(0,)] and d.dead_letters() == []
    assert d.quit() == 0


def test_a_missing_grant_is_waited_for_and_said(start, schema, tmp_path, engine):
    schema.run("DROP USER IF EXISTS weak@localhost", "CREATE USER weak@localhost", "GRANT SELECT, INSERT, TRIGGER ON shop.* TO weak@localhost",
               "DROP DATABASE IF EXISTS suimon")
    d = start(user="weak")
    put(d, 0, "INSERT INTO log (id) VALUES (0)")
    d.wait_answers(1)
    until(lambda: d.totals()["state"] == "waiting")
    until(lambda: "CREATE TABLE IF NOT EXISTS suimon.applied" in (tmp_path / "driver.log").read_text())
    schema.run("CREATE DATABASE suimon",
               "CREATE TABLE IF NOT EXISTS suimon.applied (queue_id BINARY(16) NOT NULL, shard INT UNSIGNED NOT NULL, "
               "seq BIGINT UNSIGNED NOT NULL, epoch BIGINT UNSIGNED NOT NULL DEFAULT 0, updated_at DATETIME(6) NOT NULL, "
               "PRIMARY KEY (queue_id, shard)) ENGINE=InnoDB",
               "GRANT SELECT, INSERT, UPDATE ON suimon.applied TO weak@localhost")
    if engine == "sqs":  # it has a table more
        until(lambda: "CREATE TABLE IF NOT EXISTS suimon.producers" in (tmp_path / "driver.log").read_text())
        schema.run("CREATE TABLE IF NOT EXISTS suimon.producers (queue_id BINARY(16) NOT NULL, producer BIGINT UNSIGNED NOT NULL, "
                   "seq BIGINT UNSIGNED NOT NULL, updated_at DATETIME(6) NOT NULL, PRIMARY KEY (queue_id, producer)) ENGINE=InnoDB",
                   "GRANT SELECT, INSERT, UPDATE ON suimon.producers TO weak@localhost")
    if engine == "redis":  # of a new one it is not known whether the name is free; applying may go on before it is
        def taken():
            assert d.nacks.pop("0")[0] == "declined"
            put(d, 0, "INSERT INTO log (id) VALUES (0)")
            d.wait_answers(1)
            return d.acks
        until(lambda: d.totals()["state"] == "running")
        until(taken)
    d.drained()
    assert schema.run("SELECT COUNT(*) FROM shop.log") == [(1,)]
    assert d.quit() == 0
    said = (tmp_path / "driver.log").read_text()  # once each, however often it was tried
    assert [said.count("the table suimon.%s is missing" % t) for t in ("applied", "dead_letters")] == [1, 0 if engine == "file" else 1]


def test_whoever_waits_finds_the_cache_invalidated_first(start, schema):
    d = start()
    put(d, 0, "INSERT INTO log (id) VALUES (0)")
    d.wait_answers(1)
    d.drained()
    assert len(d.changed) == 1
    tables, gtid = d.changed[0].split(" ")
    source = "0-1-" if KIND == "mariadb" else schema.run("SELECT @@server_uuid")[0][0] + ":"
    assert tables == "shop.log." and gtid.startswith(source)
    assert d.quit() == 0


def test_what_was_committed_while_nobody_was_told_is_announced(start, schema, engine, request):
    """Killed between COMMIT and the invalidation: the next run invalidates, though it has nothing to apply."""
    d = start(failpoint="after-commit:1")
    put(d, 0, "INSERT INTO log (id) VALUES (0)")
    d.reap()
    assert d.changed == [] and schema.run("SELECT COUNT(*) FROM shop.log") == [(1,)]
    if engine != "file":
        request.getfixturevalue(engine).let_go()
    d = start()
    until(lambda: d.changed)
    assert [c.split(" ")[0] for c in d.changed] == ["shop.log."]
    assert schema.run("SELECT COUNT(*) FROM shop.log") == [(1,)]
    assert d.quit() == 0


@file_only
def test_an_older_copy_of_the_directory_is_refused(start, schema, tmp_path):
    d = start()
    put(d, 0, "INSERT INTO log (id) VALUES (0)")
    d.wait_answers(1)
    d.drained()
    assert d.quit() == 0
    shutil.copytree(tmp_path / "queue", tmp_path / "copy")
    d = start()
    for i in range(1, 10):
        put(d, i, "INSERT INTO log (id) VALUES (%d)" % i)
    d.wait_answers(9)
    d.drained()
    assert d.quit() == 0
    shutil.rmtree(tmp_path / "queue")
    shutil.move(tmp_path / "copy", tmp_path / "queue")
    d = start()
    put(d, 100, "INSERT INTO log (id) VALUES (100)")
    d.wait_answers(1)
    for _ in range(100):
        if d.totals()["state"] == "halted":
            break
        time.sleep(0.05)
    assert d.totals()["state"] == "halted"
    d.kill()


def halted(d):
    until(lambda: d.totals()["state"] == "halted", 20)
    return d


def copied(tmp_path, schema, **options):
    """Another process on a copy of the directory, as a disk's image is another host's."""
    shutil.copytree(tmp_path / "queue", tmp_path / "copy" / "queue", ignore=shutil.ignore_patterns("lock", "*.tmp"))
    return Driver(driver_binary(), str(tmp_path / "copy" / "queue"), schema, **options)


@file_only
@pytest.mark.parametrize("workers", [1, 4])
def test_two_copies_of_a_directory_do_not_take_each_others_records_for_applied(start, schema, tmp_path, workers):
    """They have the same row in suimon.applied and number their records alike: whoever opened first halts, and after a restart still."""
    a = start(workers=workers)
    put(a, 0, "INSERT INTO log (id) VALUES (0)")
    a.wait_answers(1)
    a.drained()
    b = copied(tmp_path, schema, workers=workers)
    try:
        for i in range(1, 11):
            put(b, i, "INSERT INTO log (id) VALUES (%d)" % i)
        b.wait_answers(10)
        b.drained()
        for i in range(1, 21):
            put(a, i, "INSERT INTO log (id) VALUES (%d)" % (100 + i))
        a.wait_answers(21)
        halted(a)
        a.send("resume")
        time.sleep(1)
        halted(a)
        a.kill()
        # Nothing of its own is passed over, however long its log has become.
        a = halted(start(workers=workers))
        assert "another copy of the queue's directory" in (tmp_path / "driver.log").read_text()
        put(b, 11, "INSERT INTO log (id) VALUES (11)")
        b.wait_answers(11)
        b.drained()
        assert [r[0] for r in schema.run("SELECT id FROM shop.log ORDER BY id")] == list(range(12))
        assert b.totals()["state"] == "running" and b.quit() == 0 and a.quit() == 0
    finally:
        if b.process.poll() is None:
            b.kill()


@file_only
def test_a_copy_binds_all_connections_of_the_other_one(start, schema, tmp_path):
    """Also those whose position it has not moved."""
    a = start(workers=4)
    put(a, 0, "INSERT INTO log (id) VALUES (0)")
    a.wait_answers(1)
    a.drained()
    b = copied(tmp_path, schema, workers=4)
    try:
        put(b, 1, "INSERT INTO log (id) VALUES (1)")
        b.wait_answers(1)
        b.drained()
        for i in range(1, 17):
            put(a, i, "INSERT INTO log (id) VALUES (%d)" % (100 + i), "log", STRICT, "", "", "%d" % i)
        halted(a)
        assert schema.run("SELECT id FROM shop.log ORDER BY id") == [(0,), (1,)]
        assert b.quit() == 0
    finally:
        if b.process.poll() is None:
            b.kill()


@file_only
@pytest.mark.parametrize("workers", [1, 4])
def test_a_database_that_has_gone_back_is_not_taken_for_anothers(start, schema, workers):
    """After a failover to a replica that lagged its row is of an earlier opening, or not there: what the log still has is applied again."""
    schema.run("CREATE DATABASE IF NOT EXISTS suimon", "DROP TABLE IF EXISTS suimon.applied")  # of other tests' queues
    d = start(workers=workers)
    put(d, 0, "INSERT INTO log (id) VALUES (0)")
    d.wait_answers(1)
    d.drained()
    assert d.quit() == 0
    old = schema.run("SELECT shard, seq, epoch FROM suimon.applied")
    for drop in (False, True):
        d = start(workers=workers)
        put(d, 1, "INSERT INTO log (id) VALUES (%d)" % (1 + drop))
        d.wait_answers(1)
        d.drained()
        if drop:
            schema.run("DELETE FROM suimon.applied")
        else:
            schema.run(*["UPDATE suimon.applied SET epoch=%d WHERE shard=%d" % (e, shard) for shard, _, e in old])
        d.send("moved")
        put(d, 2, "INSERT INTO log (id) VALUES (%d)" % (11 + drop))
        d.wait_answers(2)
        d.drained()
        assert d.quit() == 0
    assert [r[0] for r in schema.run("SELECT id FROM shop.log ORDER BY id")] == [0, 1, 2, 11, 12]


@file_only
def test_a_position_that_somebody_has_moved_halts(start, schema):
    """Also where the log has records up to it: what lies below it would be passed over."""
    d = start()
    put(d, 0, "INSERT INTO log (id) VALUES (0)")
    d.wait_answers(1)
    d.drained()
    d.send("pause")
    for i in range(1, 11):
        put(d, i, "INSERT INTO log (id) VALUES (%d)" % i)
    d.wait_answers(11)
    schema.run("UPDATE suimon.applied SET seq=seq+5")
    d.send("resume")
    halted(d)
    assert schema.run("SELECT id FROM shop.log") == [(0,)]
    schema.run("UPDATE suimon.applied SET seq=seq-5")
    d.send("resume")
    d.drained()
    assert [r[0] for r in schema.run("SELECT id FROM shop.log ORDER BY id")] == list(range(11))
    assert d.quit() == 0


def test_the_rate_is_kept(start, schema):
    d = start(rate=200)
    d.send("pause")
    for i in range(300):
        put(d, i, "INSERT INTO log (id) VALUES (%d)" % i)
    d.wait_answers(300)
    began = time.monotonic()
    d.send("resume")
    d.drained()
    assert time.monotonic() - began > 1.0
    assert d.quit() == 0


@file_only
def test_applied_segments_go_and_a_full_queue_takes_writes_again(start, schema, tmp_path):
    d = start(max_bytes=20000, segment_bytes=4096)
    d.send("pause")
    n = 0
    while not d.nacks:
        put(d, n, "INSERT INTO log (id,v) VALUES (%d,'some text')" % n)
        n += 1
        d.wait_answers(n)
    assert list(d.nacks.values())[0] == ("declined", "the queue is full")
    assert len(list((tmp_path / "queue").glob("*.seg"))) > 3
    d.send("resume")
    d.drained()
    put(d, n, "INSERT INTO log (id,v) VALUES (%d,'some text')" % n)
    d.wait_answers(n + 1)
    d.drained()
    assert str(n) in d.acks
    assert len(list((tmp_path / "queue").glob("*.seg"))) <= 2
    assert d.quit() == 0


def test_stopping_does_not_wait_for_a_database_that_does_not_answer(start, schema):
    import signal
    d = start()
    put(d, 0, "INSERT INTO log (id) VALUES (0)")
    d.wait_answers(1)
    d.drained()
    schema.process.send_signal(signal.SIGSTOP)
    try:
        put(d, 1, "INSERT INTO log (id) VALUES (1)")
        d.wait_answers(2)
        time.sleep(0.3)
        began = time.monotonic()
        assert d.quit() == 0
        assert time.monotonic() - began < 30
    finally:
        schema.process.send_signal(signal.SIGCONT)
    d = start()
    until(lambda: schema.run("SELECT COUNT(*) FROM shop.log") == [(2,)])
    assert d.quit() == 0


def test_the_statements_of_one_record_are_applied_together_or_not_at_all(start, schema):
    """The third of a record's four fails for good: none of them is there, those around it are, and the letter holds all four."""
    schema.run("INSERT INTO shop.log (id, v) VALUES (99, 'taken')")
    d = start()
    d.add("a", "shop", "log", "INSERT INTO log (id, v) VALUES (1, 'before')", STRICT, T0)
    d.add("b", "shop", "log", ";\f".join("INSERT INTO log (id, v) VALUES (%d, 'bad')" % n for n in (10, 11, 99, 12)), STRICT, T0)
    d.add("c", "shop", "log", ";\f".join(["INSERT INTO log (id, v) VALUES (20, 'x;')", "UPDATE log SET v = CONCAT(v, 'y') WHERE id = 20",
                                         "DELETE FROM log WHERE id = 1"]), STRICT, T0)
    d.wait_answers(3)
    d.drained()
    assert schema.run("SELECT id, v FROM shop.log ORDER BY id") == [(20, "x;y"), (99, "taken")]
    letters = d.dead_letters()
    assert len(letters) == 1 and letters[0][3].count("INSERT INTO log") == 4, letters
    schema.run("DELETE FROM shop.log WHERE id = 99")
    d.send("retry", letters[0][0])
    for _ in range(200):
        if schema.run("SELECT COUNT(*) FROM shop.log WHERE v = 'bad'") == [(4,)]:
            break
        time.sleep(0.05)
    assert schema.run("SELECT id FROM shop.log ORDER BY id") == [(10,), (11,), (12,), (20,), (99,)]
    assert d.dead_letters() == []
    assert d.quit() == 0


def test_what_one_records_session_had_set_is_not_the_next_ones(start, schema):
    """Q4: variables of all kinds; one that cannot be set makes its own record a letter, and no other."""
    if KIND == "mariadb":
        within, checks, refusal, most, none = "CHECK (n < 100)", "check_constraint_checks", 4025, "max_statement_time=0.001", "0.000000"
    else:  # which has neither: its checks cannot be put off, and only a SELECT's time is limited
        within, checks, refusal, most, none = ", FOREIGN KEY (n) REFERENCES parent (n)", "foreign_key_checks", 1452, "max_execution_time=1", "1"
    schema.run("CREATE TABLE shop.parent (n INT PRIMARY KEY)", "INSERT INTO shop.parent VALUES (1), (4), (5)",
               "CREATE TABLE shop.checked (pos INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200), n INT %s)" % within)
    odd = "NAMES utf8mb4 COLLATE utf8mb4_bin,%s='OFF',group_concat_max_len=5000,sql_mode='STRICT_TRANS_TABLES'," \
          "innodb_lock_wait_timeout=50,%s,default_week_format=3,character_set_database='latin1'," \
          "optimizer_switch='mrr=on,index_merge=off'" % (checks, most)
    look = "CONCAT_WS(' ', IF(@@%s, 'ON', 'OFF'), @@group_concat_max_len, @@innodb_lock_wait_timeout, @@%s, " \
           "@@default_week_format, @@character_set_database, @@collation_connection, @@optimizer_switch LIKE '%%mrr=on%%', @@sql_mode)" \
           % (checks, most.split("=")[0])
    d = start()
    d.add("a", "shop", "checked", "INSERT INTO checked (n, v) VALUES (1, %s)" % look, "", T0)
    d.add("b", "shop", "checked", "INSERT INTO checked (n, v) VALUES (200, %s)" % look, odd, T0)
    d.add("c", "shop", "checked", "INSERT INTO checked (n, v) VALUES (300, 'checked')", STRICT, T0 + 1)
    d.add("e", "shop", "checked", "INSERT INTO checked (n, v) VALUES (4, %s)" % look, "no_such_variable=1,%s" % odd, T0 + 2)
    d.add("f", "shop", "checked", "INSERT INTO checked (n, v) VALUES (5, %s)" % look, "", T0 + 3)
    d.wait_answers(5)
    d.drained()
    rows = schema.run("SELECT n, v FROM shop.checked ORDER BY pos")
    assert [r[0] for r in rows] == [1, 200, 5]
    assert rows[1][1] == "OFF 5000 10 %s 3 latin1 utf8mb4_bin 1 STRICT_TRANS_TABLES" % none
    assert rows[2][1] == rows[0][1] and rows[0][1].startswith("ON ")
    assert sorted(letter[1] for letter in d.dead_letters()) == sorted([1193, refusal])
    assert d.quit() == 0
