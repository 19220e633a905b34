"""What one session reads does not go back: what a server has shown it past the cache, no older result of the cache takes away (docs/cache.md, 3b).

The write that this instance does not know of is one past it, straight to the primary; or another instance's, whose message is late.
"""
import time

import pytest

from conftest import KIND, ask, filled, hits, is_hit, who
from relay import Relay
from servers import sum_metric, wait_until
import servers
from wire import Wire

ROW = "SELECT n FROM t WHERE id = 1"
OTHER_KEY = "SELECT n FROM t WHERE email = 'a'"
WHOLE = "SELECT SUM(n) FROM t"
OTHER_ROW = "SELECT n FROM t WHERE id = 2"
OTHER_TABLE = "SELECT n FROM u WHERE id = 1"
STORED = (ROW, OTHER_KEY, WHOLE, OTHER_ROW, OTHER_TABLE)


@pytest.fixture
def redis(cluster, db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, email VARCHAR(9) CHARACTER SET ascii COLLATE ascii_general_ci UNIQUE, n INT)",
             "INSERT INTO t VALUES (1, 'a', 5), (2, 'b', 0)",
             "CREATE TABLE u (id INT PRIMARY KEY, n INT)", "INSERT INTO u VALUES (1, 7)")
    r = servers.Redis(cluster.base, db.name)
    r.start()
    yield r
    r.stop()


def config(db, url, **more):
    return {"cache": dict({"redis": url, "rules": [{"match": {"schema": db.name}, "ttl": "1h"}]}, **more)}


def older(s):
    return sum_metric(s.metrics(), "suimon_cache_older_results_total")


def write_past(db, n=6):
    with db.direct() as c:
        ask(c, "UPDATE t SET n = %d WHERE id = 1" % n)


def in_a_transaction(c, sql):
    c.begin()
    got = ask(c, sql)
    c.commit()
    return got


def past_the_cache(c, sql):
    return ask(c, "/* suimon: nocache, primary */ " + sql)


def prepared(c, sql):
    w = Wire(c)
    w.query("BEGIN")
    w.prepare(sql).execute([])
    w.query("COMMIT")
    return ask(c, "/* suimon: nocache, primary */ " + sql)


WAYS = [in_a_transaction, past_the_cache, prepared]


@pytest.mark.parametrize("way", WAYS, ids=[w.__name__ for w in WAYS])
def test_what_a_server_has_shown_is_not_taken_back(suimon, db, redis, way):
    s = suimon(config(db, redis.url))
    with s.connect(database=db.name) as c, s.connect(database=db.name) as other:
        filled(s, c, *STORED)
        write_past(db)
        assert ask(other, ROW) == ((5,),)  # it has seen nothing else; and what it has read is still stored
        assert way(c, ROW) == ((6,),)
        before, refused = hits(s), older(s)
        assert ask(c, ROW) == ((6,),)
        assert ask(c, OTHER_KEY) == ((6,),)
        assert ask(c, WHOLE) == ((6,),)
        assert hits(s) == before and older(s) == refused + 3
        assert is_hit(s, c, OTHER_ROW) and is_hit(s, c, OTHER_TABLE)  # nothing of these was shown
        for sql in (ROW, OTHER_KEY, WHOLE):
            assert is_hit(s, c, sql) and is_hit(s, other, sql)  # what it was answered is what all get
            assert ask(other, sql) == ((6,),)


INTO_VARIABLES = {"select into": "SELECT n INTO @v FROM t WHERE id = 1", "set": "SET @v = (SELECT n FROM t WHERE id = 1)",
                  "do": "DO @v := (SELECT n FROM t WHERE id = 1)", "a procedure's argument": "CALL gives(@v)",
                  "a procedure": "CALL sets()", "a block": "BEGIN NOT ATOMIC SELECT n INTO @v FROM t WHERE id = 1; END"}


@pytest.mark.parametrize("how", [h for h in INTO_VARIABLES if KIND == "mariadb" or h != "a block"])
def test_what_went_to_a_variable_is_not_taken_back(suimon, db, redis, how):
    """The answer has no rows, and the session has them all the same."""
    db.setup("CREATE PROCEDURE gives(OUT v INT) SELECT n INTO v FROM t WHERE id = 1", "CREATE PROCEDURE sets() SELECT n INTO @v FROM t WHERE id = 1")
    s = suimon(config(db, redis.url))
    with s.connect(database=db.name) as c, s.connect(database=db.name) as other:
        filled(s, c, *STORED)
        write_past(db)
        assert ask(other, ROW) == ((5,),)
        ask(c, INTO_VARIABLES[how])
        assert ask(c, "SELECT @v") == ((6,),)
        assert ask(c, ROW) == ((6,),) and ask(c, OTHER_KEY) == ((6,),) and ask(c, WHOLE) == ((6,),)


def test_without_redis_replicas_go_on_reading(suimon, db, redis):
    """F1: nothing is answered from the cache then, and what replicas have shown is no reason to ask the primary."""
    s = suimon(config(db, redis.url, rules=[{"match": {"query": "."}, "ttl": "1h"}]))
    redis.stop()
    wait_until("the bus to be gone", lambda: s.metrics()["suimon_cache_bus_live"] == 0, 30)
    with s.connect(database=db.name) as c:
        wait_until("the schema to be read", lambda: who(c) == "replica", 30)
        assert [who(c) for _ in range(20)] == ["replica"] * 20
    redis.start()


def test_what_is_read_of_the_servers_own_binds_nothing(suimon, db, redis):
    s = suimon(config(db, redis.url))
    with s.connect(database=db.name) as c:
        filled(s, c, ROW)
        assert ask(c, "/* suimon: primary */ SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()")[0][0] >= 2
        assert is_hit(s, c, ROW)


def test_a_whole_table_that_was_shown_binds_its_rows(suimon, db, redis):
    s = suimon(config(db, redis.url))
    with s.connect(database=db.name) as c:
        filled(s, c, *STORED)
        write_past(db)
        assert in_a_transaction(c, "SELECT id, n FROM t ORDER BY id") == ((1, 6), (2, 0))
        assert ask(c, ROW) == ((6,),) and ask(c, WHOLE) == ((6,),)
        assert is_hit(s, c, OTHER_TABLE)


def test_a_value_of_redis_takes_nothing_back(suimon, db, redis):
    one, two = suimon(config(db, redis.url)), suimon(config(db, redis.url))
    with one.connect(database=db.name) as c, two.connect(database=db.name) as d:
        filled(one, c, ROW, OTHER_ROW)
        time.sleep(0.3)  # until they are in Redis
        write_past(db)
        assert in_a_transaction(d, ROW) == ((6,),)
        assert ask(d, ROW) == ((6,),)
        assert is_hit(two, d, ROW)


def test_a_replica_that_is_behind_takes_nothing_back(cluster, suimon, db, redis):
    """Nothing is stored, and nobody has told of the write: the read goes where the transaction was."""
    s = suimon(config(db, redis.url))
    with s.connect(database=db.name) as c, s.connect(database=db.name) as other:
        filled(s, c, OTHER_TABLE)
        with cluster.replica_behind():
            write_past(db)
            assert in_a_transaction(c, ROW) == ((6,),)
            assert ask(other, OTHER_KEY) == ((5,),)
            assert ask(c, ROW) == ((6,),) and ask(c, OTHER_KEY) == ((6,),) and ask(c, WHOLE) == ((6,),)


def lose(s, redis):
    redis.process.kill()
    wait_until("the bus to be gone", lambda: s.metrics()["suimon_cache_bus_live"] == 0, 30)


def is_not_taken_back(s, db, c, n):
    """Of memory that does not answer. Was a replica there to take it back? The monitor may have seen that it is behind."""
    with s.connect(database=db.name) as another:
        there = ask(another, ROW) == ((n - 1,),)
    assert [ask(c, sql) for sql in (ROW, WHOLE, OTHER_KEY, ROW)] == [((n,),)] * 4
    return there


def is_read_from_a_replica(c):
    return who(c) == "replica" and ask(c, ROW) is not None


@pytest.mark.parametrize("way", WAYS, ids=[w.__name__ for w in WAYS])
def test_without_redis_a_replica_that_is_behind_takes_nothing_back(cluster, suimon, db, redis, way):
    """Memory does not answer, and replicas do that have what the session was shown by the primary (F1, R2)."""
    s = suimon(config(db, redis.url))
    with s.connect(database=db.name) as c:
        filled(s, c, OTHER_TABLE)
        lose(s, redis)
        for n in range(6, 16):
            wait_until("the replica to be read", lambda: is_read_from_a_replica(c), 30)
            with cluster.replica_behind():
                write_past(db, n)
                assert way(c, ROW) == ((n,),)
                if is_not_taken_back(s, db, c, n):
                    break
        else:
            pytest.fail("no replica was read that was behind")
        wait_until("the replica to be read again", lambda: is_read_from_a_replica(c), 30)
    redis.start()


def test_without_redis_a_replica_that_is_behind_a_hit_takes_nothing_back(cluster, suimon, db, redis):
    s = suimon(config(db, redis.url))
    for n in range(6, 16):
        with s.connect(database=db.name) as c, s.connect(database=db.name) as other:
            filled(s, other, OTHER_TABLE)
            with cluster.replica_behind():
                write_past(db, n)
                assert in_a_transaction(other, ROW) == ((n,),) and ask(other, ROW) == ((n,),)  # the primary's answer is stored
                assert is_hit(s, c, ROW) and ask(c, ROW) == ((n,),)
                lose(s, redis)
                there = is_not_taken_back(s, db, c, n)
            redis.start_again()
            if there:
                return
    pytest.fail("no replica was read that was behind")


def test_another_instances_message_may_be_late(suimon, db, redis):
    """As docs/cache.md says: the session is shown by the primary what the other instance's message has yet to tell."""
    relay = Relay(redis.port)
    try:
        one, two = suimon(config(db, "redis://127.0.0.1:%d/0" % relay.port)), suimon(config(db, redis.url))
        with one.connect(database=db.name) as c, one.connect(database=db.name) as other, two.connect(database=db.name) as writer:
            filled(one, c, *STORED)
            relay.delay = 0.7  # messages come, and the lease of three seconds holds
            time.sleep(1.5)
            for n in range(6, 9):
                wait_until("the cache", lambda: is_hit(one, other, ROW), 30, 0.2)
                ask(writer, "UPDATE t SET n = %d WHERE id = 1" % n)
                assert in_a_transaction(c, ROW) == ((n,),)
                assert ask(c, ROW) == ((n,),)
                assert ask(c, WHOLE) == ((n,),)
    finally:
        relay.close()


def test_by_and_by_nothing_binds(suimon, db, redis):
    """When all messages of before must be here, the session's hits cost what they did."""
    s = suimon(config(db, redis.url))
    with s.connect(database=db.name) as c:
        filled(s, c, *STORED)
        in_a_transaction(c, ROW)
        time.sleep(5)
        refused = older(s)
        assert is_hit(s, c, ROW)
        assert older(s) == refused


def test_without_redis_nobody_is_asked(suimon, db, redis):
    """Nobody tells of writes past it: they are seen when the time to live ends, and nothing is kept about what servers have shown."""
    s = suimon(config(db, ""))
    with s.connect(database=db.name) as c:
        filled(s, c, *STORED)
        in_a_transaction(c, ROW)
        assert is_hit(s, c, ROW)


def reset(c, db):
    c._execute_command(0x1f, b"")
    c._read_ok_packet()
    c.select_db(db.name)


def test_a_reset_session_is_a_new_one(suimon, db, redis):
    s = suimon(config(db, redis.url))
    with s.connect(database=db.name) as c:
        reset(c, db)  # before MySQL it has the server's collation from then on, not that of its login
        filled(s, c, *STORED)
        in_a_transaction(c, ROW)
        reset(c, db)
        assert is_hit(s, c, ROW)
