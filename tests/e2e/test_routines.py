"""C5: what stored routines read and write is known from their bodies, and what is not known is taken for anything."""
import pytest

from conftest import KIND, ask, filled, is_hit, who
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
