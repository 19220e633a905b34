"""C1: an instance is killed between a write's COMMIT and its invalidation; the others, and who takes its place, invalidate for it."""
import time

import pytest

from conftest import acknowledged, ask, filled, merge
from relay import Relay
from servers import sum_metric, wait_until
import servers

LEDGER = "{suimon:2}:writers"
READ = "SELECT n FROM t WHERE id = 1"
OTHERS = ["SELECT n + %d FROM u WHERE id = 1" % n for n in range(100)]


@pytest.fixture
def redis(cluster, db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0), (2, 0)", "CREATE TABLE u (id INT PRIMARY KEY, n INT)",
             "INSERT INTO u VALUES (1, 7)", "CREATE DEFINER = app@'%' VIEW v AS SELECT n FROM t WHERE id = 1")
    r = servers.Redis(cluster.base, db.name)
    r.start()
    yield r
    r.stop()


def rules(db, redis):
    rules = [{"match": {"schema": db.name}, "ttl": "1h"}]
    return {"cache": {"redis": redis.url, "rules": rules}}


def values(redis):
    return redis.command("KEYS", "{suimon:2}:v:*").splitlines()[2::2]


def in_redis(redis, n):
    """At least n values are."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        if len(values(redis)) >= n:
            return True
        time.sleep(0.02)
    return False


def kill_while_it_writes(suimon, db, redis, reader_instance, reader):
    """Its UPDATE waits for a row of a transaction; it is killed meanwhile; the server goes on with what it has."""
    writer = suimon(rules(db, redis))
    writer.judged = True
    with db.direct() as holder:
        holder.begin()
        ask(holder, "UPDATE t SET n = 1 WHERE id = 2")
        c = writer.connect(database=db.name)
        c._execute_command(3, "UPDATE t SET n = 50 WHERE id IN (1, 2)")
        wait_until("the write to wait for the row", lambda: any(
            "n = 50" in (row[7] or "") for row in db.primary("SHOW FULL PROCESSLIST")), 30)
        filled(reader_instance, reader, READ)
        writer.process.kill()
        holder.rollback()
    wait_until("the write to be committed", lambda: db.primary(READ) == ((50,),), 30)
    return writer


def test_the_others_invalidate_what_a_killed_one_was_writing(suimon, db, redis):
    s = suimon(rules(db, redis))
    with s.connect(database=db.name) as reader:
        kill_while_it_writes(suimon, db, redis, s, reader)
        wait_until("the cache to forget what was before it", lambda: ask(reader, READ) == ((50,),), 30)
        wait_until("the count of it", lambda: sum_metric(s.metrics(), "suimon_cache_takeovers_total") > 0, 30)


def test_nobody_stands_in_for_one_that_ended_in_order(suimon, db, redis):
    """What it wrote is settled: the others keep what they have of those tables, and no operator is told of a death."""
    writer, s = suimon(rules(db, redis)), suimon(rules(db, redis))
    with writer.connect(database=db.name) as c:
        def announced():
            ask(c, "UPDATE t SET n = n + 1 WHERE id = 1")
            return redis.command("HLEN", LEDGER) != ":0\r\n"
        wait_until("an entry in the ledger", announced, 30, 0.2)
    assert writer.stop() == 0
    assert redis.command("HLEN", LEDGER) == ":0\r\n"
    with s.connect(database=db.name) as reader:
        filled(s, reader, READ)
    assert sum_metric(s.metrics(), "suimon_cache_takeovers_total") == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_the_others_invalidate_what_a_killed_ones_drain_was_applying(cluster, suimon, db, redis, workers):
    """Q2: the drain's COMMIT has been sent, and its process dies before it hears of it."""
    relay = Relay(cluster.primary.port)
    queue = {"rules": [{"match": {"table": db.name + ".t", "verb": "update"}}], "drain": {"workers": workers}}
    writer = suimon(merge(rules(db, redis), {"primary": relay.address, "backend": {"tls": {"mode": "disabled"}}, "queue": queue}))
    writer.judged = True
    s = suimon(rules(db, redis))
    committing = set()

    def kill(link, direction, data):
        """With the first word that comes back on a link that COMMIT went up."""
        if direction == "up" and b"COMMIT" in data:
            committing.add(link)
        if direction == "down" and link in committing:
            writer.process.kill()
            return 0
        return None
    with s.connect(database=db.name) as reader, writer.connect(database=db.name) as c:
        def queued():
            ask(c, "UPDATE t SET n = 1 WHERE id = 1")
            return acknowledged(writer) > 0
        wait_until("a write to be queued", queued, 30)
        wait_until("it to be applied", lambda: writer.api("/api/queue")["depth"] == 0, 30)
        filled(s, reader, READ)
        relay.cut_at = kill
        ask(c, "UPDATE t SET n = 50 WHERE id = 1")
        wait_until("the kill", lambda: not writer.process.alive(), 60)
        assert db.primary(READ) == ((50,),)
        wait_until("the cache to forget what was before it", lambda: ask(reader, READ) == ((50,),), 30)
        c._force_close()
    relay.close()


def test_who_is_started_in_its_place_serves_nothing_old(suimon, db, redis):
    """Alone on its Redis: what it left there is not believed by its successor."""
    writer = suimon(rules(db, redis))
    writer.judged = True
    with writer.connect(database=db.name) as c:
        filled(writer, c, READ)  # the schema is known: the writes that follow are of this table, not of anything

        def stored():  # a look-up that Redis answers too late is not stored there
            ask(c, "UPDATE t SET n = n + 1 WHERE id = 1")  # t is announced from now on, for a minute and a half
            for name in values(redis):
                redis.command("DEL", name)
            ask(c, READ)
            return in_redis(redis, 1)
        wait_until("the row in Redis", stored, 30, 0.2)
        for sql in OTHERS:
            ask(c, sql)
        assert in_redis(redis, len(OTHERS) // 2)
    writer.process.kill()
    with db.direct() as c:
        ask(c, "UPDATE t SET n = 60 WHERE id = 1")  # as if it had been the last it did
    successor = suimon(rules(db, redis))
    with successor.connect(database=db.name) as c:
        others = iter(OTHERS)

        def from_redis():
            ask(c, next(others))
            return sum_metric(successor.metrics(), "suimon_cache_hits_total", 'level="redis"') > 0
        wait_until("a hit in Redis of what was not announced", from_redis, 60, 0.3)
        assert ask(c, READ) == ((60,),)


def test_another_instances_ddl_is_known_at_once(suimon, db, redis):
    """C5: a view that another instance has changed reads another table; what it reads is resolved anew."""
    one, two = suimon(rules(db, redis)), suimon(rules(db, redis))
    with one.connect(database=db.name) as a, two.connect(database=db.name) as b:
        filled(two, b, "SELECT n FROM v")
        ask(a, "DROP VIEW v")
        ask(a, "CREATE VIEW v AS SELECT n FROM u WHERE id = 1")
        wait_until("the view's new rows", lambda: ask(b, "SELECT n FROM v") == ((7,),), 30)
        filled(two, b, "SELECT n FROM v")
        ask(a, "UPDATE u SET n = 8 WHERE id = 1")
        wait_until("the new row", lambda: ask(b, "SELECT n FROM v") == ((8,),), 30)


def test_writes_go_on_while_redis_is_frozen(suimon, db, redis):
    """F1: an announcement is waited for some milliseconds, and not again until Redis answers."""
    s = suimon(rules(db, redis))
    with s.connect(database=db.name) as c:
        filled(s, c, READ)
        redis.process.signal(19)
        try:
            begun = time.monotonic()
            for n in range(50):
                ask(c, "UPDATE t SET n = %d WHERE id = 1" % n)
                ask(c, "UPDATE u SET n = %d WHERE id = 1" % n)
            assert time.monotonic() - begun < 30
            assert sum_metric(s.metrics(), "suimon_cache_unannounced_writes_total") >= 2
        finally:
            redis.process.signal(18)
