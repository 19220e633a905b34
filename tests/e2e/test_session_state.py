"""P3: a session keeps its state, whichever server connection runs its statements, and keeps it to itself."""
import threading

import pymysql
import pytest

from conftest import ISOLATION, ask, mariadb_only, numbers, pinned
from relay import Relay
import servers
from servers import listing
from test_follow_ups import execute
from wire import MULTI_STATEMENTS, Wire


@pytest.fixture
def narrow(suimon):
    """Two server connections on each server for everybody."""
    return suimon({"threads": 1, "backend": {"pool": {"max": 2, "min_idle": 0}}})


STATES = [
    ("SET time_zone = '+0%d:00'", "SELECT @@time_zone", lambda n: "+0%d:00" % n),
    ("SET sql_mode = '%s'", "SELECT @@sql_mode", None),
    ("SET NAMES %s", "SELECT @@character_set_client", None),
    ("SET group_concat_max_len = 10%d", "SELECT @@group_concat_max_len", lambda n: 100 + n),
    ("SET autocommit = %d", "SELECT @@autocommit", None),
    ("SET SESSION TRANSACTION ISOLATION LEVEL %s", "SELECT @@" + ISOLATION, None),
    ("SET div_precision_increment = %d", "SELECT @@div_precision_increment", lambda n: n),
]
VALUES = {
    1: (["ANSI_QUOTES", "STRICT_ALL_TABLES", "", "PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES", "IGNORE_SPACE"],) * 2,
    2: (["latin1", "utf8mb4", "utf8mb3", "ascii", "cp1250", "latin2"],) * 2,
    4: ([1, 0, 1, 0, 1, 0],) * 2,
    5: (["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "READ UNCOMMITTED", "READ COMMITTED", "SERIALIZABLE"],
        ["READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE", "READ-UNCOMMITTED", "READ-COMMITTED", "SERIALIZABLE"]),
}


@pytest.mark.parametrize("which", range(len(STATES)), ids=[s[1] for s in STATES])
def test_state_that_can_be_replayed_follows_the_session(narrow, db, which):
    """Six sessions, each with a value of its own, in turns over two connections; none is ever pinned for it."""
    statement, question, answer = STATES[which]
    sessions = [narrow.connect(database=db.name) for _ in range(6)]
    try:
        for n, c in enumerate(sessions):
            ask(c, statement % (VALUES[which][0][n] if which in VALUES else n))
        for turn in range(4):
            for n, c in enumerate(sessions):
                want = VALUES[which][1][n] if which in VALUES else answer(n)
                assert ask(c, question) == ((want,),), "session %d, turn %d" % (n, turn)
                if which == 4:
                    c.rollback()  # with autocommit off the question opened a transaction, which pins
    finally:
        for c in sessions:
            c.close()


@mariadb_only("its variables")
@pytest.mark.parametrize("variable", ["system_versioning_asof", "default_tmp_storage_engine", "innodb_ft_user_stopword_table"])
def test_what_was_given_back_follows_the_session(suimon, db, variable):
    """What the server then reports is no value that it takes."""
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with s.connect(database=db.name) as c, s.connect(database=db.name) as other, db.direct() as direct:
        ask(c, "SET %s = DEFAULT" % variable)
        for _ in range(2):
            ask(other, "DO 1")
            assert ask(c, "SELECT @@" + variable) == ask(direct, "SELECT @@" + variable)


def test_the_schema_follows_the_session(narrow, db, cluster):
    names = ["%s_%d" % (db.name, n) for n in range(5)]
    cluster.setup(*["CREATE DATABASE `%s`" % n for n in names])
    cluster.setup(*["CREATE TABLE `%s`.here AS SELECT '%s' AS name" % (n, n) for n in names])
    sessions = [narrow.connect(database=n) for n in names]
    try:
        for _ in range(3):
            for n, c in zip(names, sessions):
                assert ask(c, "SELECT name FROM here") == ((n,),)
                assert ask(c, "SELECT DATABASE()") == ((n,),)
        sessions[0].select_db(names[1])
        ask(sessions[1], "USE `%s`" % names[2])
        assert ask(sessions[0], "SELECT name FROM here") == ((names[1],),)
        assert ask(sessions[1], "SELECT name FROM here") == ((names[2],),)
    finally:
        for c in sessions:
            c.close()
        cluster.setup(*["DROP DATABASE `%s`" % n for n in names])


def test_user_variables_are_kept_and_not_shared(proxy, db):
    sessions = [proxy.connect(database=db.name) for _ in range(5)]
    for n, c in enumerate(sessions):
        ask(c, "SET @mine = %d" % n)
    for _ in range(3):
        for n, c in enumerate(sessions):
            assert ask(c, "SELECT @mine") == ((n,),)
    for c in sessions:
        c.close()
    with proxy.connect(database=db.name) as c:
        assert ask(c, "SELECT @mine") == ((None,),)


def test_temporary_tables_are_kept_and_not_shared(proxy, db):
    with proxy.connect(database=db.name) as a, proxy.connect(database=db.name) as b:
        ask(a, "CREATE TEMPORARY TABLE tmp (x INT)")
        ask(a, "INSERT INTO tmp VALUES (1)")
        ask(b, "CREATE TEMPORARY TABLE tmp (x INT)")
        assert ask(a, "SELECT * FROM tmp") == ((1,),)
        assert ask(b, "SELECT * FROM tmp") == ()
    with proxy.connect(database=db.name) as c:
        with pytest.raises(pymysql.MySQLError):
            ask(c, "SELECT * FROM tmp")


def test_locks_belong_to_their_session(proxy, db):
    with proxy.connect(database=db.name) as a, proxy.connect(database=db.name) as b:
        assert ask(a, "SELECT GET_LOCK('%s', 0)" % db.name) == ((1,),)
        assert ask(b, "SELECT GET_LOCK('%s', 0)" % db.name) == ((0,),)
        assert ask(a, "SELECT IS_USED_LOCK('%s') = CONNECTION_ID()" % db.name) == ((1,),)
        a.close()

        def free():
            return ask(b, "SELECT GET_LOCK('%s', 0)" % db.name) == ((1,),)
        servers.wait_until("the lock to be free once its session has left", free, 5)
        a.connect()


def test_last_insert_id_is_the_sessions(narrow, db):
    db.setup("CREATE TABLE ids (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    sessions = [narrow.connect(database=db.name) for _ in range(6)]
    try:
        for n, c in enumerate(sessions):
            ask(c, "INSERT INTO ids (n) VALUES (%d)" % n)
        for n, c in enumerate(sessions):
            number = ask(c, "SELECT LAST_INSERT_ID()")[0][0]
            assert ask(c, "SELECT n FROM ids WHERE id = %d" % number) == ((n,),)
            assert ask(c, "SELECT LAST_INSERT_ID()") == ((number,),)
    finally:
        for c in sessions:
            c.close()


def test_last_insert_id_survives_a_connection_that_was_reset_for_another_session(suimon, db):
    """P3: unlike variables make a reset of the one connection there is, which forgets the id on the server."""
    db.setup("CREATE TABLE ids (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    s = suimon({"replicas": [], "threads": 1, "backend": {"pool": {"max": 1, "min_idle": 0}}})
    with s.connect(database=db.name) as a, s.connect(database=db.name) as b:
        for n in range(4):
            ask(a, "INSERT INTO ids (n) VALUES (%d)" % n)
            ask(b, "SET SESSION sql_mode = 'ANSI_QUOTES', SESSION div_precision_increment = 7")
            ask(b, "SELECT 1 FROM ids")
            number = ask(a, "SELECT LAST_INSERT_ID()")[0][0]
            assert ask(a, "SELECT n FROM ids WHERE id = %d" % number) == ((n,),)
            ask(b, "SELECT 1 FROM ids")
            ask(a, "INSERT INTO ids (n) VALUES (LAST_INSERT_ID() + 1000)")
            assert ask(a, "SELECT n FROM ids WHERE id = LAST_INSERT_ID()") == ((number + 1000,),)


def test_what_follows_a_statement_is_about_that_statement(narrow, db):
    """FOUND_ROWS(), ROW_COUNT() and SHOW WARNINGS, with other sessions' statements in between."""
    db.setup("CREATE TABLE f (id INT PRIMARY KEY)", "INSERT INTO f SELECT seq FROM " + numbers(1, 30))
    with narrow.connect(database=db.name) as a, narrow.connect(database=db.name) as b:
        for _ in range(5):
            ask(a, "SELECT SQL_CALC_FOUND_ROWS id FROM f LIMIT 2")
            ask(b, "SELECT id FROM f LIMIT 7")
            assert ask(a, "SELECT FOUND_ROWS()") == ((30,),)
            assert ask(b, "SELECT FOUND_ROWS()") == ((7,),)
            ask(a, "UPDATE f SET id = id WHERE id = 1")
            ask(b, "SELECT CAST('1x' AS SIGNED)")
            ask(a, "SELECT 1")
            assert [w[1] for w in ask(b, "SHOW WARNINGS")] == [1292]
            assert ask(a, "SHOW WARNINGS") == ()
            ask(b, "DELETE FROM f WHERE id = 999")
            ask(a, "SELECT 1")
            assert ask(b, "SELECT ROW_COUNT()") == ((0,),)


def test_connection_id_stays_the_same(narrow, db):
    with narrow.connect(database=db.name) as a, narrow.connect(database=db.name) as b:
        first = ask(a, "SELECT CONNECTION_ID()"), ask(b, "SELECT CONNECTION_ID()")
        assert first[0] != first[1]
        for _ in range(3):
            assert (ask(a, "SELECT CONNECTION_ID()"), ask(b, "SELECT CONNECTION_ID()")) == first


def test_a_session_has_one_id_everywhere_that_no_server_has(proxy, db):
    """A server would have to count to 2^30 first; it fits a signed integer (test_kill.py says what KILL does with it)."""
    with proxy.connect(database=db.name) as c:
        assert 1 << 30 < c.thread_id() < 1 << 31
        assert c.thread_id() in [r.get("id") for r in listing(proxy.api("/api/clients"))]
        assert ask(c, "SELECT CONNECTION_ID()") == ((c.thread_id(),),)


def test_a_statement_prepared_in_sql_is_the_sessions(proxy, db):
    with proxy.connect(database=db.name) as a, proxy.connect(database=db.name) as b:
        ask(a, "PREPARE p FROM 'SELECT 1'")
        ask(b, "PREPARE p FROM 'SELECT 2'")
        assert ask(a, "EXECUTE p") == ((1,),)
        assert ask(b, "EXECUTE p") == ((2,),)
        ask(a, "DEALLOCATE PREPARE p")
        with pytest.raises(pymysql.MySQLError) as e:
            ask(a, "EXECUTE p")
        assert e.value.args[0] == 1243
        assert ask(b, "EXECUTE p") == ((2,),)


def test_locked_tables_hold_others_back(proxy, db):
    db.setup("CREATE TABLE l (x INT)")
    with proxy.connect(database=db.name) as a, proxy.connect(database=db.name) as b:
        ask(a, "LOCK TABLES l WRITE")
        ask(b, "SET lock_wait_timeout = 1")
        with pytest.raises(pymysql.MySQLError) as e:
            ask(b, "INSERT INTO l VALUES (1)")
        assert e.value.args[0] == 1205
        ask(a, "INSERT INTO l VALUES (2)")
        ask(a, "UNLOCK TABLES")
        ask(b, "INSERT INTO l VALUES (1)")


def test_a_reset_connection_forgets(proxy, db):
    with proxy.connect(database=db.name) as c:
        ask(c, "SET @x = 1, time_zone = '+01:00'")
        ask(c, "CREATE TEMPORARY TABLE tmp (x INT)")
        c._execute_command(0x1f, b"")
        c._read_ok_packet()
        assert ask(c, "SELECT @x, @@time_zone") == ((None, "SYSTEM"),)
        with pytest.raises(pymysql.MySQLError):
            ask(c, "SELECT * FROM tmp")


def test_state_of_many_sessions_at_once(narrow, db):
    """Threads change and read their own state while they compete for two connections."""
    wrong = []

    def live(n):
        try:
            with narrow.connect(database=db.name) as c:
                for i in range(20):
                    zone = "+%02d:%02d" % (n, i)
                    ask(c, "SET time_zone = '%s'" % zone)
                    if ask(c, "SELECT @@time_zone") != ((zone,),):
                        wrong.append(zone)
        except pymysql.MySQLError as e:
            wrong.append(e)
    threads = [threading.Thread(target=live, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not wrong


def test_pins_last_as_long_as_their_reason(proxy, db):
    """A pinned session says so in /api/clients, and no longer once the reason is gone."""
    def is_pinned(c):
        row = next(r for r in listing(proxy.api("/api/clients")) if c.thread_id() in (r.get("id"), r.get("connection_id")))
        return bool(row["pinned"])
    with proxy.connect(database=db.name) as c:
        ask(c, "SELECT 1")
        assert not is_pinned(c)
        c.begin()
        ask(c, "SELECT 1")
        assert is_pinned(c)
        c.commit()
        assert not is_pinned(c)
        ask(c, "CREATE TEMPORARY TABLE tmp (x INT)")
        assert is_pinned(c)
        ask(c, "DROP TEMPORARY TABLE tmp")
        assert not is_pinned(c)


MAKE, LOCK, FREE = "CREATE TEMPORARY TABLE tmp (x INT)", "SELECT GET_LOCK('held', 0)", "SELECT RELEASE_LOCK('held')"
GIVEN_BACK = {
    "a table": ("temp_table", [MAKE, "INSERT INTO tmp VALUES (1)", "SELECT * FROM tmp"], ["DROP TEMPORARY TABLE tmp"]),
    "a table that is changed": ("temp_table", [MAKE, "INSERT INTO tmp VALUES (1)", "UPDATE tmp SET x = 2", "DELETE FROM tmp"], ["DROP TABLE tmp"]),
    "two tables": ("temp_table", [MAKE, "CREATE TEMPORARY TABLE two AS SELECT * FROM whoami"], ["DROP TABLE IF EXISTS tmp, two, `third one`"]),
    "tables one by one": ("temp_table", [MAKE, "CREATE TEMPORARY TABLE two LIKE whoami", "DROP TABLE two"], ["DROP TEMPORARY TABLE IF EXISTS tmp"]),
    "one that is made again": ("temp_table", [MAKE, "CREATE TEMPORARY TABLE IF NOT EXISTS tmp (y INT)", MAKE, "DROP TABLE tmp", MAKE], ["DROP TABLE tmp"]),
    "commands between": ("temp_table", [MAKE, lambda w: w.connection.select_db("information_schema"), lambda w: w.connection.ping(False), lambda w: w.connection.select_db(w.connection.db)], ["DROP TABLE tmp"]),
    "one past a failure": ("temp_table", [MAKE, "CREATE TEMPORARY TABLE failed AS SELECT none FROM whoami", "DROP TABLE none"], ["DROP TABLE tmp"]),
    "one that is altered": ("temp_table", [MAKE, "CREATE INDEX k ON tmp (x)", "ALTER TABLE tmp ADD y INT", "ALTER TABLE tmp DROP INDEX k, ADD INDEX (y)", "TRUNCATE TABLE tmp"], ["DROP TABLE tmp"]),
    "in a transaction": ("temp_table", ["BEGIN", MAKE, "INSERT INTO tmp VALUES (1)", "COMMIT"], ["DROP TEMPORARY TABLE tmp"]),
    "prepared": ("temp_table", [execute(MAKE), execute("INSERT INTO tmp VALUES (?)", 3)], [execute("DROP TEMPORARY TABLE tmp")]),
    "a lock": ("user_lock", [LOCK, "SELECT name FROM whoami"], [FREE]),
    "a lock, prepared": ("user_lock", [execute("SELECT GET_LOCK(?, ?)", "held", 0)], [execute("SELECT RELEASE_LOCK(?)", "held")]),
    "a lock taken twice": ("user_lock", [LOCK, "DO GET_LOCK('held', 1)", FREE], ["DO RELEASE_LOCK('held')"]),
    "two locks": ("user_lock", [LOCK, "SELECT GET_LOCK('other', 0) AS got", FREE, "SELECT RELEASE_LOCK('none')"], ["SELECT RELEASE_LOCK('other') AS given"]),
    "all locks": ("user_lock", [LOCK, "SELECT GET_LOCK(CONCAT('a', 'b'), 0)", FREE], ["SELECT RELEASE_ALL_LOCKS()"]),
    "a lock and a table": ("temp_table", [LOCK, MAKE, FREE], ["DROP TEMPORARY TABLE tmp"]),
}
KEPT = {
    "a table under another name": ("temp_table", [MAKE, "ALTER TABLE tmp RENAME TO other", "DROP TABLE IF EXISTS tmp"]),
    "what several statements have made": ("temp_table", ["DO 1; " + MAKE, "DROP TABLE IF EXISTS tmp"]),
    "what a procedure has made": ("temp_table", [MAKE, "CALL makes()", "DROP TABLE tmp"]),
    "a table behind a view that is dropped": ("temp_table", ["CREATE TEMPORARY TABLE seen (x INT)", "DROP VIEW seen"]),
    "a table whose index is dropped": ("temp_table", ["CREATE TEMPORARY TABLE tmp (x INT, KEY k (x))", "DROP INDEX k ON tmp"]),
    "one of two": ("temp_table", [MAKE, "CREATE TEMPORARY TABLE two (x INT)", "DROP TABLE two"]),
    "a table that was not dropped": ("temp_table", [MAKE, "DROP TABLE none", "DROP TABLE IF EXISTS none"]),
    "a table of a name beyond ASCII": ("temp_table", ["CREATE TEMPORARY TABLE `\u00e9t\u00e9` (x INT)", "DROP TABLE `\u00e9t\u00e9`"]),
    "a lock taken twice": ("user_lock", [LOCK, LOCK, FREE]),
    "a lock of another name": ("user_lock", [LOCK, "SELECT RELEASE_LOCK('other')"]),
    "a lock by an expression": ("user_lock", ["SELECT GET_LOCK(CONCAT('he', 'ld'), 0)", FREE]),
    "a lock in several statements": ("user_lock", ["SELECT GET_LOCK('other', 0); SELECT GET_LOCK('held', 0)", FREE]),
}


def sole(suimon, db):
    """One server connection: who waits for it gets it when nobody is pinned to it."""
    db.setup("CREATE TABLE a (n INT)", "CREATE VIEW seen AS SELECT name FROM whoami", "CREATE PROCEDURE makes() CREATE TEMPORARY TABLE inside (x INT)")
    return suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})


def talk(w, steps):
    for step in steps:
        step(w) if callable(step) else w.query(step)


@pytest.mark.parametrize("what", GIVEN_BACK)
def test_what_is_given_back_pins_no_longer(suimon, db, what):
    """P3: for exactly as long as it lasts."""
    s = sole(suimon, db)
    pin, holds, gives = GIVEN_BACK[what]
    with Wire(s.connect(database=db.name, client_flag=MULTI_STATEMENTS)) as w:
        talk(w, holds)
        assert pinned(s) == [pin]
        talk(w, gives)
        assert pinned(s) == [None]
        with s.connect(database=db.name, client_flag=MULTI_STATEMENTS) as other:
            with pytest.raises(pymysql.MySQLError):
                ask(other, "SELECT * FROM tmp")
            assert ask(other, "SELECT IS_FREE_LOCK('held'), IS_FREE_LOCK('other'), IS_FREE_LOCK('ab')") == ((1, 1, 1),)
        talk(w, holds)
        assert pinned(s) == [pin]


@pytest.mark.parametrize("what", KEPT)
def test_what_may_be_there_still_pins(suimon, db, what):
    s = sole(suimon, db)
    pin, steps = KEPT[what]
    with Wire(s.connect(database=db.name, client_flag=MULTI_STATEMENTS)) as w:
        talk(w, steps)
        assert pinned(s) == [pin]


@pytest.mark.parametrize("sql", ["SELECT IS_FREE_LOCK('held')", "SELECT IS_USED_LOCK('held')", "SELECT RELEASE_LOCK('held')", "DO RELEASE_ALL_LOCKS()"])
def test_who_takes_no_lock_is_not_pinned(suimon, db, sql):
    s = sole(suimon, db)
    with s.connect(database=db.name) as c:
        ask(c, sql)
        assert pinned(s) == [None]


def test_state_beside_what_is_given_back_outlasts_it(suimon, db):
    """P3: what pins beside it goes on to do so."""
    s = sole(suimon, db)
    db.setup("CREATE TRIGGER sets AFTER INSERT ON a FOR EACH ROW SET @inside = NEW.n")
    with s.connect(database=db.name) as c:
        for sql in (MAKE, LOCK, "INSERT INTO a VALUES (7)", "DROP TABLE tmp", FREE):
            ask(c, sql)
        assert pinned(s)[0] in ("unknown", "user_variable")
        assert ask(c, "SELECT @inside") == ((7,),)


@pytest.mark.parametrize("default", ["timestamp=DEFAULT", "SESSION timestamp = DEFAULT", "@@session.timestamp := DEFAULT"])
def test_a_clock_that_was_set_stays_with_its_session_until_it_is_given_back(suimon, db, default):
    """P3. It stands still for the session alone; afterwards it runs, and the connection is anybody's."""
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 2, "min_idle": 0}}})

    def pins(c):
        return [r["pinned"] for r in listing(s.api("/api/clients")) if c.thread_id() in (r.get("id"), r.get("connection_id"))][0]
    with s.connect(database=db.name) as a, s.connect(database=db.name) as b:
        ask(a, "SET timestamp = 1000000000")
        for c in (a, b, a, b):
            assert ask(c, "SELECT UNIX_TIMESTAMP() = 1000000000") == ((int(c is a),),)
        assert pins(a) == "timestamp" and not pins(b)
        ask(a, "SET " + default)
        assert not pins(a)
        for c in (a, b, a, b):
            assert ask(c, "SELECT UNIX_TIMESTAMP(SYSDATE()) - UNIX_TIMESTAMP() < 5") == ((1,),)
        before = ask(a, "SELECT NOW(6)")
        assert ask(a, "SELECT NOW(6)") > before
        ask(a, "SET timestamp = 1000000000")
        ask(a, "SET timestamp = DEFAULT, div_precision_increment = 5")  # not told apart from one that sets it
        assert pins(a) == "timestamp"


def test_a_new_session_sees_its_database_as_it_is_now(suimon, db):
    """P1, P3. A server looks at a database when it is chosen: who logs in after it was changed gets no connection from before."""
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    other = db.name + "_too"
    try:
        with s.connect() as c:
            ask(c, "CREATE DATABASE `%s` COLLATE utf8mb4_bin" % other)
            for collation in ("utf8mb4_general_ci", "utf8mb4_unicode_ci"):
                ask(c, "ALTER DATABASE `%s` COLLATE %s" % (other, collation))
                with s.connect(database=other) as d:
                    assert ask(d, "SELECT @@collation_database") == ((collation,),)
            with s.connect(database=other) as d:
                ask(d, "SELECT 1")
            ask(c, "DROP DATABASE `%s`" % other)
        with pytest.raises(pymysql.MySQLError) as e:
            s.connect(database=other)
        assert e.value.args[0] == 1049
    finally:
        db.setup("DROP DATABASE IF EXISTS `%s`" % other)


def test_a_pooled_connection_has_its_databases_collation_after_a_reset(suimon, db):
    """P3. COM_RESET_CONNECTION keeps a schema and forgets its collation: whoever gets the connection next has the database's own."""
    other = db.name + "_too"
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    try:
        db.setup("CREATE DATABASE `%s` COLLATE utf8mb4_bin" % other)
        for leave in ("SET @x = 1", "SET sql_mode = 'ANSI'", "DO GET_LOCK('x', 0)"):
            with s.connect(database=other) as c:
                ask(c, leave)
            with s.connect(database=other) as c:
                assert ask(c, "SELECT @@collation_database, @@character_set_database, DATABASE()") == (("utf8mb4_bin", "utf8mb4", other),), leave
    finally:
        db.setup("DROP DATABASE IF EXISTS `%s`" % other)


def test_a_session_sees_its_own_change_of_a_database_on_every_connection(suimon, db):
    """P1, P3. A session that changes its database's collation finds it on a connection that chose the database before."""
    other = db.name + "_too"
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 2, "min_idle": 0}}})
    try:
        db.setup("CREATE DATABASE `%s` COLLATE utf8mb4_bin" % other)
        with s.connect(database=other) as a, s.connect(database=other) as b, s.connect(database=other) as c:
            b.begin()
            ask(b, "SELECT 1") # on a connection that chose the database before it is changed on the other
            ask(a, "ALTER DATABASE `%s` COLLATE utf8mb4_unicode_ci" % other)
            assert ask(a, "SELECT ROW_COUNT(), @@warning_count") == ((1, 0),)
            c.begin()
            ask(c, "SELECT 1")
            b.commit()
            assert ask(a, "SELECT @@collation_database") == (("utf8mb4_unicode_ci",),)
    finally:
        db.setup("DROP DATABASE IF EXISTS `%s`" % other)


@pytest.mark.parametrize("refused", [b"\x1f", b"SELECT NULL FROM (SELECT 0) d LIMIT 0"], ids=["reset", "end of warnings"])
def test_a_connection_that_cannot_be_brought_to_a_state_is_replaced(suimon, db, cluster, refused):
    """P3: whoever comes next gets a new one, and never hears of it."""
    relay, seen = Relay(cluster.primary.port), []

    def alter(link, direction, data):
        if direction == "up" and data[4:] == (refused if len(refused) == 1 else b"\x03" + refused):
            seen.append(link)
            return data[:4] + b"\xf5" * (len(data) - 4)  # a command that there is not: 1047
        return data
    try:
        relay.alter = alter
        s = suimon({"threads": 1, "primary": relay.address, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}, "tls": {"mode": "disabled"}}})
        with s.connect(database=db.name) as a, s.connect(database=db.name) as b:
            for _ in range(3):
                ask(a, "SET max_sort_length = 99" if len(refused) == 1 else "DROP TABLE IF EXISTS none")
                assert ask(b, "SELECT @@max_sort_length, @@warning_count") == ((1024, 0),)
        assert len(seen) >= 3
    finally:
        relay.close()
