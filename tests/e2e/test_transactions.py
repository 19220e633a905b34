"""P1, P3, R1: transactions are the server's, also where sessions share server connections."""
import threading

import pymysql
import pytest

from conftest import ask, who
import servers
from wire import PING, Wire, error, ok_status


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 10), (2, 20)")
    return db


def test_two_sessions_are_isolated(table, proxy):
    with proxy.connect(database=table.name) as a, proxy.connect(database=table.name) as b:
        a.begin()
        ask(a, "UPDATE t SET n = 11 WHERE id = 1")
        assert ask(b, "SELECT n FROM t WHERE id = 1") == ((10,),)
        assert ask(a, "SELECT n FROM t WHERE id = 1") == ((11,),)
        a.commit()
        assert ask(a, "SELECT n FROM t WHERE id = 1") == ((11,),)
    assert table.primary("SELECT n FROM t WHERE id = 1") == ((11,),)


def test_rollback_leaves_nothing(table, proxy):
    with proxy.connect(database=table.name) as a:
        a.begin()
        ask(a, "DELETE FROM t")
        a.rollback()
        assert ask(a, "SELECT COUNT(*) FROM t") == ((2,),)


def test_a_session_that_leaves_rolls_back(table, proxy):
    a = proxy.connect(database=table.name)
    a.begin()
    ask(a, "UPDATE t SET n = 99")
    a._force_close()

    def unlocked():
        with proxy.connect(database=table.name) as b:
            ask(b, "SET innodb_lock_wait_timeout = 1")
            ask(b, "UPDATE t SET n = n + 1 WHERE id = 1")
            return True
    servers.wait_until("the row lock to go", unlocked, 5)
    assert table.primary("SELECT n FROM t ORDER BY id") == ((11,), (20,))


def test_a_read_write_transaction_stays_on_the_primary(table, proxy):
    with proxy.connect(database=table.name) as a:
        a.begin()
        assert who(a) == "primary"
        ask(a, "UPDATE t SET n = 1 WHERE id = 1")
        assert who(a) == "primary"
        a.rollback()


def failed_without_autocommit(s, table, prepared):
    """A session whose INSERT was refused for its key: the server keeps that row locked for its transaction."""
    c = s.connect(database=table.name)
    ask(c, "SET autocommit = 0")
    insert = "INSERT INTO t VALUES (1, 11)"
    if prepared:
        assert error(Wire(c).prepare(insert).execute([])[-1])[0] == 1062
    else:
        with pytest.raises(pymysql.IntegrityError):
            ask(c, insert)
    return c


def is_locked(table):
    with table.direct() as c:
        ask(c, "SET innodb_lock_wait_timeout = 1")
        try:
            ask(c, "UPDATE t SET n = n + 1 WHERE id = 1")
        except pymysql.OperationalError as e:
            assert e.args[0] == 1205
            return True
    return False


@pytest.mark.parametrize("prepared", [False, True], ids=["text", "prepared"])
@pytest.mark.parametrize("ending", ["ROLLBACK", "COMMIT", "DO 1", None])
def test_what_fails_without_autocommit_may_have_begun_a_transaction(suimon, table, prepared, ending):
    """An error says nothing of it, and the connection is that of its session until the server does."""
    s = suimon()
    c = failed_without_autocommit(s, table, prepared)
    client, = s.api("/api/clients")["clients"]
    assert client["pinned"] == "transaction" and client["in_transaction"]
    assert is_locked(table)
    if not ending:
        c._force_close()
        servers.wait_until("the row lock to go", lambda: not is_locked(table), 20)
        return
    ask(c, ending)
    client, = s.api("/api/clients")["clients"]
    assert client["in_transaction"] == (ending == "DO 1") == is_locked(table)
    c.close()


FAILING = ["INSERT INTO t VALUES (1, 11)", "INSERT INTO none VALUES (1)", "SELECT none FROM t", "UPDATE t SET n = (SELECT id FROM t u)", "SELEKT", "CALL none()", "SIGNAL SQLSTATE '45000'",
           "CREATE TABLE t (id INT)", "USE none", "SET SESSION sql_mode = 'none'", "SELECT * FROM t WHERE id = (SELECT 1 UNION SELECT 2)"]


def statuses(connection, begins=("ROLLBACK", "SELECT n FROM t WHERE id = 1")):
    """Of a ping behind each of them, and of one behind that, in sessions that had begun nothing, and then something."""
    got = []
    with Wire(connection) as w:
        for begin in begins:
            for sql in FAILING:
                w.query("ROLLBACK")
                w.query(begin)
                assert w.query(sql)[-1][0] == 0xff, sql
                for _ in range(2):
                    w.send(bytes([PING]))
                    got.append((begin, sql, ok_status(w.packet())))
    return got


def test_a_ping_says_whether_what_failed_has_begun_a_transaction(suimon, table):
    """P1: the server says it, where the error left that open."""
    s = suimon()
    c, d = s.connect(database=table.name), table.direct()
    for one in (c, d):
        ask(one, "SET autocommit = 0")
    assert statuses(c) == statuses(d)


def test_a_ping_says_whether_what_failed_has_ended_a_transaction(suimon, table):
    """P1: DDL commits, and may fail then."""
    begins = ("ROLLBACK", "BEGIN", "START TRANSACTION READ ONLY")
    assert statuses(suimon().connect(database=table.name), begins) == statuses(table.direct(), begins)


STATES = ["SET sql_mode = 'ANSI_QUOTES'", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "SET sql_mode = 'ANSI'", "SET sql_mode = ''", "START TRANSACTION READ ONLY",
          "SELECT n FROM t WHERE id = 1", "COMMIT", "BEGIN", "COMMIT", "SET autocommit = 0", "SELECT n FROM t WHERE id = 1", "SET autocommit = 1"]


def test_a_ping_has_the_sessions_flags(suimon, table):
    """P1: those of its sql_mode, and of a transaction that only reads."""
    got = []
    for connection in suimon().connect(database=table.name), table.direct():
        got.append([])
        with Wire(connection) as w:
            for sql in STATES:
                w.query(sql)
                w.send(bytes([PING]))
                got[-1].append((sql, hex(ok_status(w.packet()))))
    assert got[0] == got[1]


def test_autocommit_off_opens_transactions_by_itself(table, proxy):
    with proxy.connect(database=table.name, autocommit=False) as a:
        ask(a, "UPDATE t SET n = 5 WHERE id = 1")
        assert table.primary("SELECT n FROM t WHERE id = 1") == ((10,),)
        a.commit()
        assert table.primary("SELECT n FROM t WHERE id = 1") == ((5,),)
        assert ask(a, "SELECT n FROM t WHERE id = 1") == ((5,),)
        a.rollback()


def test_a_repeatable_read_repeats(table, proxy):
    with proxy.connect(database=table.name) as a, proxy.connect(database=table.name) as b:
        a.begin()
        assert ask(a, "SELECT n FROM t WHERE id = 2") == ((20,),)
        ask(b, "UPDATE t SET n = 21 WHERE id = 2")
        assert ask(a, "SELECT n FROM t WHERE id = 2") == ((20,),)
        a.commit()
        assert ask(a, "SELECT n FROM t WHERE id = 2 LOCK IN SHARE MODE") == ((21,),)


def test_a_deadlock_is_told_to_one(table, proxy):
    a, b = proxy.connect(database=table.name), proxy.connect(database=table.name)
    a.begin()
    b.begin()
    ask(a, "UPDATE t SET n = n + 1 WHERE id = 1")
    ask(b, "UPDATE t SET n = n + 1 WHERE id = 2")
    errors = []

    def other():
        try:
            ask(b, "UPDATE t SET n = n + 1 WHERE id = 1")
        except pymysql.MySQLError as e:
            errors.append(e.args[0])
    thread = threading.Thread(target=other)
    thread.start()
    try:
        ask(a, "UPDATE t SET n = n + 1 WHERE id = 2")
    except pymysql.MySQLError as e:
        errors.append(e.args[0])
    thread.join(60)
    assert errors == [1213]
    a.close()
    b.close()


def test_many_sessions_share_two_connections(table, suimon, cluster):
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 2, "min_idle": 0}}})
    before = cluster.primary.status("Threads_connected")
    sessions = [s.connect(database=table.name) for _ in range(20)]
    errors = []

    def count(c):
        try:
            for _ in range(10):
                c.begin()
                ask(c, "UPDATE t SET n = n + 1 WHERE id = 1")
                c.commit()
        except pymysql.MySQLError as e:
            errors.append(e)
    threads = [threading.Thread(target=count, args=(c,)) for c in sessions]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not errors
    # Two in the pool, and the one this question is asked on; what suimon watches with was there before.
    assert cluster.primary.status("Threads_connected") - before <= 2 + 1
    assert table.primary("SELECT n FROM t WHERE id = 1") == ((210,),)
    for c in sessions:
        c.close()


def test_a_read_only_error_of_the_server_passes(table, proxy):
    with proxy.connect(database=table.name) as a:
        ask(a, "START TRANSACTION READ ONLY")
        with pytest.raises(pymysql.MySQLError) as e:
            ask(a, "UPDATE t SET n = 0")
        assert e.value.args[0] == 1792
        a.rollback()
