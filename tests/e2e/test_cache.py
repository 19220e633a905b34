"""C1 to C6: what is answered from the cache, and that it is never older than an acknowledged write."""
import itertools

import pymysql
import pytest

from conftest import address, ask, filled, hits, is_hit, mariadb_only, merge, numbers
from servers import ServerError, sum_metric, wait_until
from wire import MULTI_STATEMENTS, Wire

READ = "SELECT id, n, v FROM t WHERE id = 1"


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT, v VARCHAR(50))", "INSERT INTO t VALUES (1, 0, 'one'), (2, 0, 'two')")
    return db


def rules(db, ttl="60s", **more):
    return {"cache": dict({"rules": [{"match": {"table": "%s.t" % db.name}, "ttl": ttl}]}, **more)}


@pytest.fixture
def cached(suimon, table):
    """suimon with a rule for t, in process only."""
    return suimon(rules(table))


def test_the_second_read_is_a_hit_with_the_same_bytes(cached, table):
    with Wire(table.direct()) as direct, Wire(cached.connect(database=table.name)) as w:
        want = direct.query(READ)

        def hit():
            before = hits(cached)
            return w.query(READ) == want and hits(cached) > before
        # Nothing is stored before the schema is known, a moment after the start.
        wait_until("a hit", hit, 5)
        before = hits(cached)
        for _ in range(5):
            assert w.query(READ) == want
        assert hits(cached) == before + 5


def test_comments_and_trace_tags_do_not_split_keys(cached, table):
    """Each read has tags of its own; a hint at the same place is obeyed all the same, and what the server reads is another text."""
    read = "SELECT n FROM t WHERE id = 2"
    with cached.connect(database=table.name) as c:
        filled(cached, c, read)
        before = hits(cached)
        for i in range(10):
            assert ask(c, "%s /*route='%%2F%d',traceparent='00-%032x-%016x-01'*/" % (read, i, i + 1, i + 1)) == ask(c, read)
            ask(c, "/* %d */ %s -- end" % (i, read))
        assert hits(cached) == before + 30
        ask(c, read + " /* suimon: nocache */")
        assert hits(cached) == before + 30
        assert ask(c, read + " /*!50000 OR id = 1*/ ORDER BY id") != ask(c, read)
        wait_until("the tags to be counted", lambda: {"/%d" % i for i in range(10)} <= {r["name"] for r in cached.api("/api/costs")["by_route"]}, 10)


def test_another_session_hits_what_the_first_has_read(cached, table):
    with cached.connect(database=table.name) as a, cached.connect(database=table.name) as b:
        filled(cached, a, READ)
        assert is_hit(cached, b, READ)


def test_prepared_reads_are_cached_too(cached, table):
    with Wire(table.direct()) as direct, Wire(cached.connect(database=table.name)) as w:
        want = direct.prepare("SELECT id, v FROM t WHERE id = ?")
        s = w.prepare("SELECT id, v FROM t WHERE id = ?")

        def hit():
            before = hits(cached)
            for n in (1, 2, 1, 2):
                assert s.execute((n,)) == want.execute((n,))
            return hits(cached) > before
        wait_until("a hit", hit, 5)


def test_text_and_prepared_answers_are_kept_apart(cached, table):
    with Wire(table.direct()) as direct, Wire(cached.connect(database=table.name)) as w:
        for _ in range(3):
            assert w.query(READ) == direct.query(READ)
            assert w.prepare(READ).execute() == direct.prepare(READ).execute()


def write_text(c, n):
    ask(c, "UPDATE t SET n = %d WHERE id = 1" % n)


def write_prepared(c, n):
    Wire(c).prepare("UPDATE t SET n = ? WHERE id = 1").execute((n,))


def write_transaction(c, n):
    c.begin()
    ask(c, "UPDATE t SET n = %d WHERE id = 1" % n)
    c.commit()


def write_multi(c, n):
    assert len(Wire(c).query("SELECT 1; UPDATE t SET n = %d WHERE id = 1; SELECT 2" % n)) > 5


def write_call(c, n):
    ask(c, "CALL change_it(%d)" % n)


def write_autocommit_off(c, n):
    ask(c, "SET autocommit = 0")
    ask(c, "UPDATE t SET n = %d WHERE id = 1" % n)
    ask(c, "COMMIT")
    ask(c, "SET autocommit = 1")


def write_replace(c, n):
    ask(c, "REPLACE INTO t VALUES (1, %d, 'one')" % n)


def write_upsert(c, n):
    ask(c, "INSERT INTO t VALUES (1, 0, 'one') ON DUPLICATE KEY UPDATE n = %d" % n)


def write_join(c, n):
    ask(c, "UPDATE whoami JOIN t SET t.n = %d WHERE t.id = 1" % n)


def write_implicit_commit(c, n):
    c.begin()
    ask(c, "UPDATE t SET n = %d WHERE id = 1" % n)
    ask(c, "CREATE TABLE IF NOT EXISTS other (x INT)")


def write_sql_prepare(c, n):
    ask(c, "PREPARE w FROM 'UPDATE t SET n = ? WHERE id = 1'")
    ask(c, "SET @n = %d" % n)
    ask(c, "EXECUTE w USING @n")


def write_unparsed(c, n):
    ask(c, "BEGIN NOT ATOMIC UPDATE t SET n = %d WHERE id = 1; END" % n)


WRITES = [v for k, v in sorted(globals().items()) if k.startswith("write_")]
WRITES[WRITES.index(write_unparsed)] = pytest.param(write_unparsed, marks=mariadb_only("compound statements outside routines"))


@pytest.mark.parametrize("write", WRITES, ids=lambda w: w.__name__)
def test_a_write_is_seen_by_every_session_at_once(cached, table, write):
    table.setup("CREATE PROCEDURE change_it(x INT) UPDATE t SET n = x WHERE id = 1")
    with cached.connect(database=table.name, client_flag=MULTI_STATEMENTS) as a, cached.connect(database=table.name) as b:
        for n in range(1, 6):
            filled(cached, b, READ)
            write(a, n)
            assert ask(b, READ)[0][1] == n, "another session, write %d" % n
            assert ask(b, READ)[0][1] == n
        assert ask(a, READ)[0][1] == 5


def test_a_rollback_leaves_the_cache_as_it_was(cached, table):
    with cached.connect(database=table.name) as a, cached.connect(database=table.name) as b:
        filled(cached, b, READ)
        a.begin()
        ask(a, "UPDATE t SET n = 9 WHERE id = 1")
        assert ask(a, READ)[0][1] == 9
        assert ask(b, READ)[0][1] == 0
        assert is_hit(cached, b, READ)
        a.rollback()
        assert ask(a, READ)[0][1] == 0
        assert is_hit(cached, b, READ)


def test_what_cannot_be_rolled_back_is_seen_before_the_transaction_ends(suimon, table):
    """A write to a table without transactions is there for all at once, and stays through a rollback."""
    table.setup("CREATE TABLE plain (id INT PRIMARY KEY, n INT) ENGINE=MyISAM", "INSERT INTO plain VALUES (1, 0)")
    s = suimon({"cache": {"rules": [{"match": {"table": "%s.plain" % table.name}, "ttl": "60s"}]}})
    read = "SELECT n FROM plain WHERE id = 1"
    with s.connect(database=table.name) as a, s.connect(database=table.name) as b:
        for n in range(1, 4):
            filled(s, b, read)
            a.begin()
            ask(a, "UPDATE plain SET n = %d" % n)
            assert ask(b, read) == ((n,),)
            filled(s, b, read)
            ask(a, "UPDATE plain SET n = n + 100")
            a.rollback()
            assert ask(b, read) == ((n + 100,),)


def test_an_open_transaction_does_not_fill_with_what_nobody_else_may_see(cached, table):
    with cached.connect(database=table.name) as a, cached.connect(database=table.name) as b:
        a.begin()
        ask(a, "UPDATE t SET n = 9 WHERE id = 1")
        for _ in range(3):
            assert ask(a, READ)[0][1] == 9
            assert ask(b, READ)[0][1] == 0
        a.commit()
        assert ask(b, READ)[0][1] == 9


def test_ddl_is_seen(cached, table):
    with cached.connect(database=table.name) as a:
        filled(cached, a, "SELECT * FROM t WHERE id = 1")
        ask(a, "ALTER TABLE t ADD extra INT DEFAULT 3")
        assert ask(a, "SELECT * FROM t WHERE id = 1") == ((1, 0, "one", 3),)
        filled(cached, a, "SELECT * FROM t WHERE id = 1")
        ask(a, "TRUNCATE t")
        assert ask(a, "SELECT * FROM t WHERE id = 1") == ()


def test_views_triggers_and_cascades_are_followed(suimon, table):
    table.setup("CREATE VIEW v_t AS SELECT id, n FROM t", "CREATE TABLE source (id INT PRIMARY KEY)",
                "CREATE TRIGGER tr AFTER INSERT ON source FOR EACH ROW UPDATE t SET n = n + 1 WHERE id = 1",
                "CREATE TABLE child (id INT PRIMARY KEY, t_id INT, FOREIGN KEY (t_id) REFERENCES t (id) ON DELETE CASCADE)",
                "INSERT INTO child VALUES (1, 2)")
    names = ["t", "v_t", "child"]
    s = suimon({"cache": {"rules": [{"match": {"table": "%s.%s" % (table.name, n)}, "ttl": "60s"} for n in names]}})
    with s.connect(database=table.name) as a, s.connect(database=table.name) as b:
        filled(s, a, READ)
        ask(a, "SELECT n FROM v_t WHERE id = 1")
        ask(a, "SELECT n FROM v_t WHERE id = 1")
        ask(b, "INSERT INTO source VALUES (1)")
        assert ask(a, READ)[0][1] == 1
        assert ask(a, "SELECT n FROM v_t WHERE id = 1") == ((1,),)
        for _ in range(3):
            assert ask(a, "SELECT COUNT(*) FROM child") == ((1,),)
        ask(b, "DELETE FROM t WHERE id = 2")
        assert ask(a, "SELECT COUNT(*) FROM child") == ((0,),)


@pytest.mark.parametrize("sql", [
    "SELECT n, NOW(6) FROM t", "SELECT n, RAND() FROM t", "SELECT n, UUID() FROM t", "SELECT n, CONNECTION_ID() FROM t", "SELECT n, @u FROM t",
    "SELECT n, @@sql_mode FROM t", "SELECT n, LAST_INSERT_ID() FROM t", "SELECT n FROM t FOR UPDATE", "SELECT n FROM t LOCK IN SHARE MODE",
    "SELECT n, SYSDATE() FROM t", "SELECT n, CURRENT_TIMESTAMP FROM t", "SELECT n, FOUND_ROWS() FROM t", "SELECT n, SLEEP(0) FROM t",
    "SELECT SQL_CALC_FOUND_ROWS n FROM t", "SELECT n, GET_LOCK('c', 0) FROM t", "SELECT CAST(v AS SIGNED) FROM t",
    "/* suimon: nocache */ SELECT n FROM t", "SELECT n INTO @x FROM t LIMIT 1", "SELECT n, helper(1) FROM t"])
def test_what_is_never_answered_from_the_cache(cached, table, sql):
    table.setup("CREATE FUNCTION helper(x INT) RETURNS INT RETURN x + @@timestamp")
    with cached.connect(database=table.name) as c:
        before = hits(cached)
        for _ in range(4):
            ask(c, sql)
        assert hits(cached) == before


def test_a_temporary_table_hides_the_cached_one(cached, table):
    with cached.connect(database=table.name) as a, cached.connect(database=table.name) as b:
        filled(cached, b, READ)
        ask(a, "CREATE TEMPORARY TABLE t (id INT, n INT, v VARCHAR(50))")
        assert ask(a, READ) == ()
        assert ask(b, READ) == ((1, 0, "one"),)
        assert ask(a, READ) == ()
        ask(a, "DROP TEMPORARY TABLE t")
        assert ask(a, READ) == ((1, 0, "one"),)


def test_the_api_counts_by_table(suimon, table):
    table.setup("CREATE TABLE u (id INT PRIMARY KEY, pad VARCHAR(3000))", "INSERT INTO u VALUES (1, REPEAT('x', 3000))")
    s = suimon({"cache": {"max_result": "2KiB", "rules": [{"match": {"schema": table.name}, "ttl": "60s"}]}})

    def of(name):
        return next(r for r in s.api("/api/cache")["tables"] if r["table"] == name and r["table"])
    with s.connect(database=table.name) as c:
        filled(s, c, READ)
        filled(s, c, "SELECT t.n, u.id FROM t JOIN u USING (id)")
        for _ in range(3):
            ask(c, "SELECT pad FROM u WHERE id = 1")
        t, u = of(table.name + ".t"), of(table.name + ".u")
        assert t["entries"] == 2 and u["entries"] == 1 and t["bytes"] > u["bytes"] > 0
        assert t["hits"] >= 2 and t["misses"] >= 2 and t["fills"] >= 2 and u["fills"] >= 1
        assert u["refused"]["size"] == 3 and t["refused"]["size"] == 0
        ask(c, "UPDATE t SET n = 3")
        assert of(table.name + ".t")["invalidations"] == t["invalidations"] + 1
        assert of(table.name + ".u")["invalidations"] == u["invalidations"]
        assert s.http("/api/cache/flush", data={})[0] == 200
        assert of(table.name + ".t")["entries"] == of(table.name + ".u")["entries"] == of(table.name + ".t")["bytes"] == 0


COLUMNS = {"entries", "bytes", "hits", "misses", "fills", "invalidations", "time_saved", "refused"}


def test_the_api_counts_by_rule_as_by_table(suimon, table):
    table.setup("CREATE TABLE u (id INT PRIMARY KEY, pad VARCHAR(3000))", "INSERT INTO u VALUES (1, REPEAT('x', 3000))")
    match = {"match": {"table": table.name + ".t"}, "ttl": "60s"}
    s = suimon({"cache": {"max_result": "2KiB", "rules": [match, {"match": {"table": "u"}, "ttl": "60s"}, match]}})

    def now():
        state = s.api("/api/cache")
        assert all(COLUMNS <= set(r) for r in state["rules"] + state["tables"])
        assert all(set(r["refused"]) == set(state["refused"]) for r in state["rules"] + state["tables"])
        return state["rules"]
    assert [r["entries"] for r in now()] == [0, 0, 0]
    with s.connect(database=table.name) as c:
        filled(s, c, READ)
        filled(s, c, "SELECT t.n, u.id FROM t JOIN u USING (id)")
        for _ in range(3):
            ask(c, "SELECT pad FROM u WHERE id = 1")
        t, u, again = now()
        assert t["entries"] == 2 and t["bytes"] > 0 and t["hits"] >= 2 and t["misses"] >= 2 and t["fills"] >= 2
        assert u["entries"] == u["bytes"] == u["hits"] == u["fills"] == 0 and u["refused"]["size"] == 3 and t["refused"]["size"] == 0
        assert t["invalidations"] == 0 and not any(again[k] for k in COLUMNS - {"refused"})
        ask(c, "UPDATE t SET n = 3")
        ask(c, READ)
        assert now()[0]["invalidations"] == 1
        s.write(merge(s.config, {"cache": {"rules": [{"match": {"table": "u"}, "ttl": "9s"}, match]}}))
        assert s.http("/api/config/reload", data={})[0] == 200
        u, t = now()
        assert u["refused"]["size"] == 3 and t["invalidations"] == 1 and t["hits"] >= 2
        assert s.http("/api/cache/flush", data={})[0] == 200
        assert now()[1]["entries"] == now()[1]["bytes"] == 0


def invalidations(s):
    return sum_metric(s.metrics(), "suimon_cache_invalidations_total")


def test_writes_to_a_temporary_table_leave_the_cache_as_it_is(cached, table):
    """They touch nothing that others see: inside a transaction and outside, with a shared table beside it or not."""
    with cached.connect(database=table.name) as a, cached.connect(database=table.name) as b:
        filled(cached, b, READ)
        before = invalidations(cached)
        ask(a, "CREATE TEMPORARY TABLE tmp (id INT PRIMARY KEY, n INT)")
        ask(a, "INSERT INTO tmp VALUES (1, 1)")
        a.begin()
        ask(a, "INSERT INTO tmp SELECT id + 10, n FROM t")
        ask(a, "UPDATE tmp SET n = 5")
        assert is_hit(cached, b, READ)
        a.commit()
        ask(a, "DROP TEMPORARY TABLE tmp")
        assert is_hit(cached, b, READ)
        assert invalidations(cached) == before
        ask(a, "CREATE TEMPORARY TABLE tmp AS SELECT 7 AS n")
        a.begin()
        ask(a, "UPDATE t SET n = (SELECT n FROM tmp) WHERE id = 1")  # what is shared beside it counts
        a.commit()
        assert ask(b, READ)[0][1] == 7


@pytest.mark.parametrize("end", ["DROP TABLE t", "DROP TEMPORARY TABLE t", "CALL drops()", "ALTER TABLE t RENAME TO t_else",
                                 "SELECT drops_too()", "DO 1; DROP TEMPORARY TABLE t", "CREATE OR REPLACE TEMPORARY TABLE t AS SELECT * FROM missing"])
def test_a_name_that_was_a_temporary_tables_is_the_shared_one_again(cached, table, end):
    """C1: however it ends, a write to the table that it hid is seen."""
    table.setup("CREATE PROCEDURE drops() DROP TEMPORARY TABLE t",
                "CREATE FUNCTION drops_too() RETURNS INT BEGIN DROP TEMPORARY TABLE IF EXISTS t; RETURN 1; END")
    with cached.connect(database=table.name, client_flag=MULTI_STATEMENTS) as a, cached.connect(database=table.name) as b:
        ask(a, "CREATE TEMPORARY TABLE t (id INT, n INT, v VARCHAR(50))")
        ask(a, "INSERT INTO t VALUES (1, 1, 'own')")
        filled(cached, b, READ)
        try:
            with a.cursor() as cur:
                cur.execute(end)
                while cur.nextset():
                    pass
        except pymysql.MySQLError:
            assert "missing" in end
        filled(cached, b, READ)
        ask(a, "UPDATE t SET n = 42 WHERE id = 1")
        want = table.primary(READ)
        assert ask(b, READ) == want


@pytest.mark.parametrize("change,sql", [
    ("SET NAMES latin1", "SELECT v FROM t"), ("SET time_zone = '+09:00'", "SELECT FROM_UNIXTIME(n) FROM t"),
    ("SET sql_mode = 'PIPES_AS_CONCAT'", "SELECT id || n FROM t"), ("SET sql_mode = 'ANSI_QUOTES'", "SELECT \"v\" FROM t"),
    ("SET div_precision_increment = 9", "SELECT 1 / 3, n FROM t"), ("SET group_concat_max_len = 4", "SELECT GROUP_CONCAT(v) FROM t"),
    ("SET sql_select_limit = 1", "SELECT id FROM t"), ("SET lc_time_names = 'de_DE'", "SELECT DATE_FORMAT('2024-03-01', '%%M'), n FROM t"),
    ("SET character_set_results = NULL", "SELECT v FROM t")])
def test_session_state_that_changes_the_answer_is_part_of_the_key(cached, table, change, sql):
    table.setup("UPDATE t SET v = 'é' WHERE id = 1")
    sql = sql.replace("%%", "%")
    with Wire(table.direct()) as direct, Wire(cached.connect(database=table.name)) as plain, \
            Wire(cached.connect(database=table.name)) as changed:
        want = direct.query(sql)
        for _ in range(3):
            assert plain.query(sql) == want
        direct.query(change)
        changed.query(change)
        for _ in range(3):
            assert changed.query(sql) == direct.query(sql)
        assert plain.query(sql) == want


def test_what_sessions_begin_with_is_part_of_the_key(suimon, db, cluster):
    """SET GLOBAL changes what new sessions begin with; those that are open keep what they have."""
    db.setup("CREATE TABLE moments (at TIMESTAMP)", "INSERT INTO moments VALUES ('2020-01-01 00:00:00')")
    s = suimon({"replicas": [], "cache": {"rules": [{"match": {"schema": db.name}, "ttl": "600s"}]}})
    read = "SELECT at FROM moments"
    cluster.setup("CREATE USER IF NOT EXISTS chief@'%' IDENTIFIED BY 'chief'", "GRANT ALL ON *.* TO chief@'%'")
    zone = cluster.primary.sql("SELECT @@global.time_zone")[0][0]
    try:
        with s.connect("chief", "chief", database=db.name) as old:
            for _ in range(3):
                before = ask(old, read)
            ask(old, "SET GLOBAL time_zone = '+07:00'")
            with s.connect("chief", "chief", database=db.name) as new, db.direct() as direct:
                for _ in range(3):
                    assert ask(old, read) == before
                    assert ask(new, read) == ask(direct, read) != before
    finally:
        cluster.primary.sql("SET GLOBAL time_zone = '%s'" % zone)


def test_accounts_do_not_share_answers(cached, table, cluster):
    """Another account may not be allowed to read what this one has read."""
    cluster.setup("DROP USER IF EXISTS blind@'%'", "CREATE USER blind@'%' IDENTIFIED BY 'blind'", "GRANT SELECT ON `%s`.whoami TO blind@'%%'" % table.name)
    with cached.connect(database=table.name) as a, cached.connect("blind", "blind", database=table.name) as b:
        filled(cached, a, READ)
        with pytest.raises(Exception) as e:
            ask(b, READ)
        assert e.value.args[0] == 1142


def test_schemas_do_not_share_answers(suimon, table, cluster):
    other = table.name + "_b"
    cluster.setup("CREATE DATABASE `%s`" % other, "CREATE TABLE `%s`.t AS SELECT 1 id, 55 n, 'other' v" % other)
    s = suimon({"cache": {"rules": [{"match": {"table": "t"}, "ttl": "60s"}]}})
    try:
        with s.connect(database=table.name) as a:
            for _ in range(3):
                assert ask(a, READ)[0][1] == 0
            a.select_db(other)
            for _ in range(3):
                assert ask(a, READ)[0][1] == 55
    finally:
        cluster.setup("DROP DATABASE `%s`" % other)


def test_an_answer_expires(suimon, table):
    s = suimon(rules(table, ttl="300ms"))
    with s.connect(database=table.name) as a:
        filled(s, a, READ)
        table.setup("UPDATE t SET n = 5 WHERE id = 1")  # past suimon, so only time can tell

        def new():
            return ask(a, READ)[0][1] == 5
        wait_until("the answer to expire", new, 2)


def test_a_rule_by_query_and_a_hint(suimon, table):
    s = suimon({"cache": {"rules": [{"match": {"query": "^(?i)select v from t"}, "ttl": "60s"}]}})
    with s.connect(database=table.name) as a:
        filled(s, a, "SELECT v FROM t WHERE id = 2")
        assert not any(is_hit(s, a, READ) for _ in range(3))
        filled(s, a, "/* suimon: cache=30s */ SELECT n FROM t WHERE id = 2")


def test_large_results_are_not_stored(suimon, table):
    s = suimon(rules(table, max_result="4KiB"))
    with s.connect(database=table.name) as a:
        for _ in range(4):
            assert len(ask(a, "SELECT REPEAT('x', 5000) FROM t WHERE id = 1")[0][0]) == 5000
        assert hits(s) == 0
        assert sum_metric(s.metrics(), "suimon_cache_refused_total", 'reason="size"') > 0


@pytest.mark.parametrize("prepared", [False, True], ids=["text", "prepared"])
def test_an_entry_costs_less_than_128_bytes_beside_what_is_its_own(cached, table, prepared):
    """Its own are its text, or its values where it is prepared, and its reply: a session's variables, and of a prepared statement the
    text, are kept once for all entries."""
    table.setup("CREATE TABLE many (id INT PRIMARY KEY, v VARCHAR(50))", "INSERT INTO many SELECT seq, CONCAT('row ', seq) FROM " + numbers(1, 2000))
    sql, n = "SELECT id, v FROM many WHERE id = %s", 2000
    hint = "/* suimon: cache=60s */ "
    with Wire(cached.connect(database=table.name, init_command="SET sql_mode='STRICT_ALL_TABLES,NO_ZERO_DATE', time_zone='+02:00'")) as w:
        statement = w.prepare(hint + sql.replace("%s", "?")) if prepared else None

        def read(i):
            return statement.execute([i]) if prepared else w.query(hint + sql % i)

        def hit():
            counted = hits(cached)
            read(1)
            return hits(cached) > counted
        wait_until("a hit", hit, 5)
        before = cached.api("/api/cache")
        sent = 0
        for i in range(2, n + 1):
            sent += sum(len(p) + 4 for p in read(i)) + (2 + 8 if prepared else len(sql % i))  # NULLs with their length, a BIGINT
        after = cached.api("/api/cache")
    assert after["entries"] - before["entries"] == n - 1
    assert (after["bytes"] - before["bytes"] - sent) / (n - 1) < 128


def test_memory_is_bounded(suimon, table):
    s = suimon(rules(table, memory="1MiB"))
    with s.connect(database=table.name) as a:
        for n in range(1200):
            ask(a, "SELECT %d, REPEAT('x', 4000) FROM t WHERE id = 1" % n)
        assert sum_metric(s.metrics(), "suimon_cache_evictions_total") > 0
        memory = s.api("/api/cache")["memory"]
        assert 0 < memory["bytes"] <= memory["limit"] == 1024 * 1024 and 0 < memory["resident"] <= 1024 * 1024 * 1.02


def test_nothing_is_stored_from_a_replica_that_lacks_the_write(cached, table):
    """C2: after a write, a lagging replica's answer must not be kept for anybody."""
    with cached.connect(database=table.name) as a, cached.connect(database=table.name) as b:
        with table.cluster.replica_behind():
            ask(a, "UPDATE t SET n = 3 WHERE id = 1")
            for _ in range(5):
                ask(b, READ)
                assert ask(a, READ)[0][1] == 3
        for _ in range(5):
            assert ask(b, READ)[0][1] == 3


def test_flush_by_hand(cached, table):
    with cached.connect(database=table.name) as a:
        filled(cached, a, READ)
        assert cached.http("/api/cache/flush", data={"table": "%s.t" % table.name})[0] == 200
        assert not is_hit(cached, a, READ)


# ---- with Redis ----

@pytest.fixture
def two(suimon, table, cluster):
    """Two suimons that share one Redis."""
    cluster.redis.command("FLUSHALL")
    first = suimon(rules(table, redis=cluster.redis.url))
    second = suimon(rules(table, redis=cluster.redis.url))
    for s in (first, second):
        wait_until("Redis to be in use", lambda: s.api("/api/cache"), 5)
    return first, second


def test_the_second_suimon_hits_what_the_first_has_stored(two, table):
    first, second = two
    with first.connect(database=table.name) as a, second.connect(database=table.name) as b:
        reads = itertools.count()

        def from_redis():
            """Another text each time: once the second has asked the server, it has the answer in its own memory."""
            read = READ + " LIMIT %d" % (100 + next(reads))
            filled(first, a, read)
            ask(b, read)
            return sum_metric(second.metrics(), "suimon_cache_hits_total", 'level="redis"') > 0
        wait_until("a hit in Redis", from_redis, 5)


def test_a_write_through_one_suimon_is_seen_through_the_other(two, table):
    """C1: no later than the message; a read that begins some time after must be new."""
    first, second = two
    with first.connect(database=table.name) as a, second.connect(database=table.name) as b:
        for n in range(1, 11):
            filled(second, b, READ)
            ask(a, "UPDATE t SET n = %d WHERE id = 1" % n)
            table.cluster.sync()
            wait_until("the invalidation to arrive", lambda: ask(b, READ)[0][1] == n, 1)
            assert ask(b, READ)[0][1] == n
            assert ask(a, READ)[0][1] == n


def test_a_restarted_suimon_finds_the_cache_warm_but_not_stale(two, table, suimon):
    first, second = two
    with first.connect(database=table.name) as a:
        filled(first, a, READ)
        ask(a, "UPDATE t SET n = 6 WHERE id = 1")
        third = suimon(rules(table, redis=table.cluster.redis.url))
        with third.connect(database=table.name) as c:
            assert ask(c, READ)[0][1] == 6


def on_its_own(server, *statements):
    """Not to be replicated."""
    with server.root() as c:
        for sql in ("SET sql_log_bin = 0",) + statements:
            ask(c, sql)


def test_two_primaries_with_names_share_a_redis(suimon, cluster):
    """C3: the same schema, user and text, and other rows."""
    both = {"north": cluster.primary, "south": cluster.replica}
    read = "SELECT who FROM t"
    cluster.redis.command("FLUSHALL")
    on_its_own(cluster.replica, "SET GLOBAL read_only = OFF")
    try:
        for name, server in both.items():
            on_its_own(server, "CREATE DATABASE e2e_shop", "CREATE TABLE e2e_shop.t (who VARCHAR(9))", "INSERT INTO e2e_shop.t VALUES ('%s')" % name)
        for name, server in both.items():
            s = suimon({"primary": address(server), "replicas": [],
                        "cache": {"redis": cluster.redis.url + "?name=" + name, "rules": [{"match": {"schema": "e2e_shop"}, "ttl": "1h"}]}})
            with s.connect(database="e2e_shop") as c:
                filled(s, c, read)
                assert ask(c, read) == ((name,),)
            wait_until("the value to be in Redis", lambda: "{suimon:2:%s}:v:" % name in cluster.redis.command("KEYS", "*"), 10)
    finally:
        for server in both.values():
            on_its_own(server, "DROP DATABASE IF EXISTS e2e_shop")
        on_its_own(cluster.replica, "SET GLOBAL read_only = ON")


def test_redis_missing_at_start(suimon, table):
    s = suimon(rules(table, redis="redis://127.0.0.1:1/0"))
    with s.connect(database=table.name) as a, s.connect(database=table.name) as b:
        for n in range(1, 4):
            ask(a, "UPDATE t SET n = %d WHERE id = 1" % n)
            assert ask(a, READ)[0][1] == n
            assert ask(b, READ)[0][1] == n
    assert s.http("/readyz")[0] == 200


def test_cache_api_counts(cached, table):
    with cached.connect(database=table.name) as a:
        filled(cached, a, READ)
        ask(a, "UPDATE t SET n = 1 WHERE id = 1")
        state = cached.api("/api/cache")
    for key in ("entries", "bytes", "hits", "misses", "fills", "invalidations"):
        assert isinstance(state[key], int), key
    assert state["hits"] >= 1 and state["fills"] >= 1 and state["invalidations"] >= 1


def test_what_was_saved_and_what_invalidated(suimon, table):
    """A hit saves what its fill took; each invalidation has one cause."""
    s = suimon(rules(table))
    slow = "SELECT COUNT(*) FROM %s" % ", ".join("t t%d" % i for i in range(17))
    with s.connect(database=table.name) as a:
        filled(s, a, slow)
        before = s.api("/api/cache")
        for _ in range(3):
            ask(a, slow)
        after = s.api("/api/cache")
        each = (after["time_saved"] - before["time_saved"]) / 3
        assert each > 0.001 and after["hits"] == before["hits"] + 3
        assert abs(after["rules"][0]["time_saved"] - after["time_saved"]) < 1e-6
        assert abs(sum_metric(s.metrics(), "suimon_cache_saved_seconds_total") - after["time_saved"]) < 1e-6
        ask(a, "UPDATE t SET n = 1 WHERE id = 1")
    assert s.http("/api/cache/flush", data={})[0] == 200
    by = s.api("/api/cache")["invalidations_by"]
    assert set(by) == {"write", "lost", "queue", "binlog", "failover", "schema", "flush"}
    assert by["write"] > before["invalidations_by"]["write"] and by["flush"] == before["invalidations_by"]["flush"] + 1
    assert sum(by.values()) == s.api("/api/cache")["invalidations"] == invalidations(s)


def test_unknown_actions_are_errors(cached):
    with pytest.raises(ServerError):
        cached.api("/api/cache/nothing")
