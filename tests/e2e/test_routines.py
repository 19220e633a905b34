"""C5: what stored routines read and write is known from their bodies, and what is not known is taken for anything."""
import contextlib
import time

import pymysql
import pytest

from conftest import KIND, Background, ask, filled, is_hit, who
from servers import wait_until

READS_T = "SELECT id, total(id) FROM u WHERE id = 1"
READS_U = "SELECT id, n FROM u WHERE id = 1"


# MySQL prepares the text of a user variable, but not of another.
PREPARE = "PREPARE s FROM a" if KIND == "mariadb" else "SET @text = a; PREPARE s FROM @text"


@pytest.fixture
def shop(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 10), (2, 20)",
             "CREATE TABLE u (id INT PRIMARY KEY, n INT)", "INSERT INTO u VALUES (1, 1)",
             "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what TEXT)",
             "CREATE FUNCTION total(a INT) RETURNS INT READS SQL DATA BEGIN DECLARE v INT; SELECT SUM(n) INTO v FROM t WHERE id >= a; RETURN v; END",
             "CREATE FUNCTION noted(a INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO log (what) VALUES (a); RETURN a; END",
             "CREATE FUNCTION later(a INT) RETURNS DATETIME DETERMINISTIC RETURN NOW() + INTERVAL a SECOND",
             "CREATE PROCEDURE add_t(IN a INT) UPDATE t SET n = n + a",
             "CREATE PROCEDURE any_text(IN a TEXT) BEGIN %s; EXECUTE s; DEALLOCATE PREPARE s; END" % PREPARE)
    return db


@pytest.fixture
def cached(suimon, shop):
    return suimon({"cache": {"rules": [{"match": {"schema": shop.name}, "ttl": "60s"}]}})


def test_a_function_that_reads_is_cached_until_its_table_changes(cached, shop):
    with cached.connect(database=shop.name) as c, cached.connect(database=shop.name) as other:
        filled(cached, c, READS_T)
        assert ask(c, READS_T) == ((1, 30),)
        ask(other, "UPDATE t SET n = 11 WHERE id = 1")
        assert ask(c, READS_T) == ((1, 31),)
        filled(cached, c, READS_T)


def test_a_call_invalidates_what_it_writes_and_nothing_else(cached, shop):
    with cached.connect(database=shop.name) as c, cached.connect(database=shop.name) as other:
        filled(cached, c, READS_T)
        filled(cached, c, READS_U)
        ask(other, "CALL add_t(5)")
        assert is_hit(cached, c, READS_U)
        assert ask(c, READS_T) == ((1, 40),)


def test_a_call_whose_text_is_not_known_invalidates_everything(cached, shop):
    with cached.connect(database=shop.name) as c, cached.connect(database=shop.name) as other:
        filled(cached, c, READS_U)
        ask(other, "CALL any_text('UPDATE u SET n = 2')")
        assert ask(c, READS_U) == ((1, 2),)


def test_a_changed_body_is_noticed(cached, shop):
    with cached.connect(database=shop.name) as c, cached.connect(database=shop.name) as other:
        filled(cached, c, READS_T)
        if KIND == "mysql":  # where only such accounts may change what root has made
            shop.setup("GRANT SYSTEM_USER ON *.* TO app@'%'")
        ask(other, "DROP FUNCTION total")
        ask(other, "CREATE FUNCTION total(a INT) RETURNS INT READS SQL DATA RETURN (SELECT n FROM u WHERE id = a)")
        assert ask(c, READS_T) == ((1, 1),)
        if KIND == "mysql":
            shop.setup("REVOKE SYSTEM_USER ON *.* FROM app@'%'")
    # What the function does was not known at that moment: the session that called it is pinned.
    wait_until("the schema to be read again", lambda: not cached.api("/api/cache")["catalog"]["stale"], 10)
    with cached.connect(database=shop.name) as c, cached.connect(database=shop.name) as other:
        filled(cached, c, READS_T)
        ask(other, "UPDATE u SET n = 7")
        assert ask(c, READS_T) == ((1, 7),)


def test_functions_that_write_or_change_their_answer_are_never_cached(cached, shop):
    with cached.connect(database=shop.name) as c:
        filled(cached, c, READS_U)
        for _ in range(4):
            assert not is_hit(cached, c, "SELECT noted(id) FROM u")
            assert not is_hit(cached, c, "SELECT later(id) FROM u")
        assert shop.primary("SELECT COUNT(*) FROM log") == ((4,),)


def test_a_function_that_reads_runs_on_a_replica_and_one_that_writes_does_not(cached, shop):
    with cached.connect(database=shop.name) as c:
        wait_until("a replica", lambda: who(c) == "replica", 5)
        shop.cluster.replica.sql("SET sql_log_bin = 0", "UPDATE `%s`.t SET n = 500 WHERE id = 2" % shop.name)
        wait_until("the replica's answer", lambda: ask(c, "/* suimon: nocache */ SELECT total(2)") == ((500,),), 5)
        ask(c, "/* suimon: nocache */ SELECT noted(1)")
    assert shop.primary("SELECT COUNT(*) FROM log") == ((1,),)


SETS = ["CREATE PROCEDURE gives(OUT v INT) SELECT n INTO v FROM t WHERE id = 1", "CREATE PROCEDURE into_it() SELECT n INTO @v FROM t WHERE id = 1",
        "CREATE PROCEDURE sets() SET @v = 10", "CREATE PROCEDURE calls() CALL into_it()",
        "CREATE PROCEDURE fails() BEGIN SELECT n INTO @v FROM t WHERE id = 1; SELECT n FROM nosuch; END",
        "CREATE PROCEDURE variable() SET @@div_precision_increment = 9",
        "CREATE PROCEDURE variable_and_rows() BEGIN SET @@div_precision_increment = 9; SELECT n FROM t; END"]
CALLS = {"CALL gives(@v)": "@v", "SELECT 1; CALL gives(@v)": "@v", "CALL into_it()": "@v", "CALL sets()": "@v", "CALL calls()": "@v", "CALL fails()": "@v",
         "CALL any_text('SET @v = 10')": "@v", "CALL variable()": "@@div_precision_increment", "CALL variable_and_rows()": "@@div_precision_increment"}


@pytest.mark.parametrize("call", CALLS)
def test_what_a_procedure_sets_is_its_sessions_and_nobody_elses(suimon, shop, call):
    """P3: of user variables, and of SET @@name, MariaDB reports nothing."""
    shop.setup(*SETS)
    s = suimon({"replicas": [], "threads": 1, "backend": {"pool": {"max": 3, "min_idle": 0}}})
    wait_until("the schema", lambda: not s.api("/api/cache")["catalog"]["stale"], 20)
    read = "SELECT %s" % CALLS[call]
    with contextlib.ExitStack() as stack:
        c = stack.enter_context(s.connect(database=shop.name, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS))
        others = [stack.enter_context(s.connect(database=shop.name)) for _ in range(3)]
        before = ask(others[0], read)
        with contextlib.suppress(pymysql.MySQLError), c.cursor() as cur:
            cur.execute(call)
            while cur.nextset():
                pass
        for other in others[:2]:
            other.begin()
            assert ask(other, read) == before
        late = Background(others[2], read)  # the third connection is the first session's
        time.sleep(0.3)
        others[0].commit()
        assert late.outcome() == before
        assert ask(c, read) == ((9 if "@@" in read else 10,),)
    with s.connect(database=shop.name) as third:
        assert ask(third, read) == before


def test_a_procedure_that_reads_and_writes_rows_pins_nothing(suimon, shop):
    s = suimon({"replicas": []})
    wait_until("the schema", lambda: not s.api("/api/cache")["catalog"]["stale"], 20)
    with s.connect(database=shop.name) as c:
        ask(c, "CALL add_t(1)")
        with pytest.raises(pymysql.MySQLError):
            ask(c, "CALL nosuch()")
        assert [x["pinned"] for x in s.api("/api/clients")["clients"]] == [None]
