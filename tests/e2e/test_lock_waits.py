"""S3: who waits for whose locks is found, with what it costs; what only takes its time is not."""
import pymysql
import pytest

from conftest import Background, ask, is_queued, numbers
from servers import wait_until


@pytest.fixture
def locked(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0), (2, 0)",
             "CREATE TABLE other (id INT AUTO_INCREMENT PRIMARY KEY, n INT)")
    return db


CHANGE = "UPDATE t SET n = n + 1 WHERE id = %d"
TAKE = "SELECT n FROM t WHERE id = %d FOR UPDATE"


def digest(s, text):
    """Of the statement whose text begins so."""
    return next(q["digest"] for q in s.api("/api/queries")["queries"] if q["text"].startswith(text))


def findings(s):
    return [f for f in s.api("/api/findings")["findings"] if f["kind"] == "lock_wait"]


def test_a_wait_behind_an_idle_transaction(suimon, locked):
    """The waiter, the holder, the table, the time, and what to do; the statement after the locking one is not blamed."""
    s = suimon()
    with s.connect(database=locked.name) as holder, s.connect("guest", "guest", database=locked.name) as waiter:
        ask(waiter, "SET innodb_lock_wait_timeout = 600")
        ask(waiter, CHANGE % 2)
        holder.begin()
        ask(holder, TAKE % 1)
        ask(holder, "INSERT INTO other (n) VALUES (1)")
        attempt = Background(waiter, CHANGE % 1)
        found = wait_until("the finding", lambda: [f for f in findings(s) if f["cost_seconds"] >= 5], 60, 0.3)
        holder.rollback()
        assert attempt.outcome() == ()
        changed, taken = digest(s, "update t set"), digest(s, "select n from t")
    assert len(found) == 1 and found[0]["digest"] == changed
    e = found[0]["evidence"]
    assert e["table"] == locked.name + ".t" and e["waits"] == 1 and e["waited"] == e["longest_wait"] == found[0]["cost_seconds"]
    assert e["timeouts"] == e["deadlocks"] == 0
    holder, = e["holders"]
    assert holder["digest"] == taken and holder["user"] == "app" and holder["index"] == "PRIMARY" and holder["while_idle"] == 1
    assert "for update" in holder["text"]
    assert "waits for its application" in found[0]["fix_text"]


def test_a_holder_that_did_not_come_through_is_named_by_its_account(suimon, locked):
    s = suimon()
    with locked.cluster.primary.root(database=locked.name) as holder, s.connect(database=locked.name) as waiter:
        ask(waiter, "SET innodb_lock_wait_timeout = 600")
        ask(waiter, CHANGE % 2)
        holder.begin()
        ask(holder, CHANGE % 1)
        attempt = Background(waiter, CHANGE % 1)
        found = wait_until("the finding", lambda: findings(s), 60, 0.3)[0]
        holder.rollback()
        attempt.outcome()
    held, = found["evidence"]["holders"]
    assert held["digest"] is None and held["user"] == "root" and held["table"] == locked.name + ".t"


def test_time_limits_and_deadlocks(suimon, locked):
    s = suimon()
    with s.connect(database=locked.name) as a, s.connect(database=locked.name) as b:
        ask(b, "SET innodb_lock_wait_timeout = 1")
        a.begin()
        ask(a, CHANGE % 1)
        assert Background(b, "UPDATE t SET n = 7 WHERE id = 1").outcome() == 1205
        a.rollback()
        found = wait_until("the time limit", lambda: findings(s), 60)[0]
        assert found["digest"] == digest(s, "update t set n = ?")
        assert found["evidence"]["timeouts"] == 1 and found["cost_seconds"] >= 1
        ask(b, "SET innodb_lock_wait_timeout = 50")
        for n in range(3):
            a.begin()
            b.begin()
            ask(a, CHANGE % 1)
            ask(b, CHANGE % 2)
            first, second = Background(a, CHANGE % 2), Background(b, CHANGE % 1)
            assert sorted(map(str, (first.outcome(), second.outcome()))) == ["()", "1213"]
            a.rollback()
            b.rollback()
        found = wait_until("the deadlocks", lambda: [f for f in findings(s) if f["evidence"]["deadlocks"] == 3], 60)
        assert [f["digest"] for f in found] == [digest(s, "update t set n = n")]
        assert 'suimon_lock_errors_total{reason="deadlock"}' in s.metrics()


def test_what_only_takes_its_time_waits_for_nobody(suimon, locked):
    """Long statements, locks held by nobody else, a wait of a moment."""
    s = suimon()
    with s.connect(database=locked.name) as c:
        ask(c, "UPDATE t SET n = SLEEP(4) WHERE id = 1")
        ask(c, "INSERT INTO other (n) SELECT SLEEP(3) FROM " + numbers(1, 1))
    assert findings(s) == []


def test_a_wait_for_the_queue_is_no_wait_for_a_lock(suimon, locked):
    """Its error has the same number, and nobody holds anything."""
    s = suimon({"backend": {"failover_hold": "1s"}, "queue": {"rules": [{"match": {"table": locked.name + ".other"}}]}})
    with s.connect(database=locked.name) as c:
        wait_until("a write to be queued", lambda: is_queued(s, c, "INSERT INTO other (n) VALUES (1)"), 30)
        assert s.http("/api/queue/pause", data={})[0] == 200
        assert is_queued(s, c, "INSERT INTO other (n) VALUES (2)")
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "SELECT COUNT(*) FROM other")
        assert e.value.args[0] == 1205 and e.value.args[1].startswith("suimon: ")
        assert s.http("/api/queue/resume", data={})[0] == 200
        wait_until("the statement to be counted", lambda: [q for q in s.api("/api/queries")["queries"] if q["errors"]], 30)
        assert findings(s) == []
