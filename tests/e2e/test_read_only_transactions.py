"""R1, R2, P1: transactions that change nothing read from a replica, and nobody can tell."""
import pymysql
import pytest

from conftest import ask, mariadb_only, who
from servers import sum_metric
from wire import RESET_CONNECTION, Wire, error

COMMITTED = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
MOVED = "suimon_read_only_transactions_moved_total"


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    return db


@pytest.fixture
def reader(proxy, table):
    """A session that sees every statement's own snapshot."""
    with proxy.connect(database=table.name) as c:
        ask(c, COMMITTED)
        yield c


def moved(proxy):
    return sum_metric(proxy.metrics(), MOVED)


def code(connection, sql):
    with pytest.raises(pymysql.MySQLError) as e:
        ask(connection, sql)
    return e.value.args


def test_it_reads_from_a_replica_until_it_ends(reader, table):
    ask(reader, "START TRANSACTION READ ONLY")
    assert [who(reader) for _ in range(5)] == ["replica"] * 5
    ask(reader, "COMMIT")
    ask(reader, "INSERT INTO t VALUES (2, 0)")
    reader.begin()
    assert who(reader) == "primary"
    ask(reader, "UPDATE t SET n = 1 WHERE id = 2")
    reader.commit()
    assert table.primary("SELECT n FROM t WHERE id = 2") == ((1,),)


@pytest.mark.parametrize("setup, begin", [
    ([], "START TRANSACTION READ ONLY"),
    (["SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"], "/* suimon: replica */ START TRANSACTION READ ONLY"),
    ([COMMITTED], "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"),
    ([COMMITTED], "/* suimon: primary */ START TRANSACTION READ ONLY"),
    ([COMMITTED, "SET SESSION TRANSACTION READ ONLY"], "START TRANSACTION READ WRITE"),
    ([COMMITTED, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"], "START TRANSACTION READ ONLY"),
    ([COMMITTED], "START TRANSACTION")])
def test_one_that_could_be_told_from_the_primarys_stays_there(proxy, table, setup, begin):
    with proxy.connect(database=table.name) as c:
        for sql in setup + [begin]:
            ask(c, sql)
        assert who(c) == "primary"
        c.rollback()


def test_a_rule_or_a_hint_sends_one_that_keeps_to_a_snapshot(suimon, table):
    s = suimon({"routing": {"rules": [{"match": {"verb": "begin"}, "to": "replica"}]}})
    with s.connect(database=table.name) as c:
        ask(c, "START TRANSACTION READ ONLY")
        assert who(c) == "replica"
        c.rollback()
        c.begin()
        assert who(c) == "primary"
        c.rollback()
    with s.connect(database=table.name) as c:
        ask(c, "/* suimon: replica */ START TRANSACTION READ ONLY")
        assert who(c) == "replica"
        c.commit()


def test_a_session_that_only_reads_without_autocommit(reader, table, proxy):
    """What setReadOnly(true) and setAutoCommit(false) of a pool come to."""
    ask(reader, "SET SESSION TRANSACTION READ ONLY")
    ask(reader, "SET autocommit = 0")
    assert [who(reader) for _ in range(3)] == ["replica"] * 3
    reader.commit()
    assert who(reader) == "replica"
    before = moved(proxy)
    assert code(reader, "UPDATE t SET n = 9")[0] == 1792
    assert moved(proxy) == before + 1
    assert who(reader) == "primary"
    reader.rollback()
    ask(reader, "SET SESSION TRANSACTION READ WRITE")
    ask(reader, "UPDATE t SET n = 5 WHERE id = 1")
    assert ask(reader, "SELECT n FROM t WHERE id = 1") == ((5,),)
    reader.commit()
    ask(reader, "SET autocommit = 1")
    assert table.primary("SELECT n FROM t WHERE id = 1") == ((5,),)


@pytest.mark.parametrize("sql", [
    "UPDATE t SET n = 1", "INSERT INTO t VALUES (7, 7)", "DELETE FROM t", "REPLACE INTO t VALUES (1, 7)"])
def test_a_write_in_it_is_refused_by_the_servers_own_error(reader, table, sql):
    with table.direct() as direct:
        ask(direct, "START TRANSACTION READ ONLY")
        wanted = code(direct, sql)
    ask(reader, "START TRANSACTION READ ONLY")
    assert who(reader) == "replica"
    assert code(reader, sql) == wanted and wanted[0] == 1792
    assert ask(reader, "SELECT n FROM t") == ((0,),)
    assert who(reader) == "primary"
    reader.rollback()
    assert table.primary("SELECT * FROM t") == ((1, 0),)


def answers(connection, sqls):
    """The rows or the error of each."""
    got = []
    for sql in sqls:
        try:
            got.append(ask(connection, sql))
        except pymysql.MySQLError as e:
            got.append(e.args)
    return got


@pytest.mark.parametrize("sqls", [
    ["SET @x = 5", "SELECT @x"], ["SELECT n FROM t FOR UPDATE"], ["SAVEPOINT a", "ROLLBACK TO a", "SELECT n FROM t"],
    ["CREATE TEMPORARY TABLE temp (a INT)", "INSERT INTO temp VALUES (3)", "SELECT a FROM temp"],
    ["COMMIT AND CHAIN", "SELECT @@in_transaction"], ["SELECT GET_LOCK('readonly', 0)"], ["SELECT LAST_INSERT_ID()"],
    ["SELECT SQL_CALC_FOUND_ROWS n FROM t LIMIT 0", "SELECT FOUND_ROWS()", "SELECT ROW_COUNT()"], ["SHOW TABLES"], ["CALL nothing()"],
    ["SELECT 1 + 'x' FROM t", "SHOW WARNINGS"], ["SELECT nothing FROM t", "SHOW WARNINGS"], ["CREATE TABLE u (id INT)", "DROP TABLE u"]])
def test_whatever_is_said_in_it_is_answered_as_by_the_primary(reader, table, sqls):
    sqls = ["START TRANSACTION READ ONLY", "SELECT n FROM t", *sqls, "UPDATE t SET n = n", "SELECT n FROM t", "COMMIT", "UPDATE t SET n = 4",
            "SELECT n FROM t"]
    with table.direct() as direct:
        ask(direct, COMMITTED)
        wanted = answers(direct, sqls)
    table.setup("UPDATE t SET n = 0")
    assert answers(reader, sqls) == wanted


@mariadb_only("MySQL's second transaction is read-only, too")
def test_a_second_begin_ends_it(reader, table):
    ask(reader, "START TRANSACTION READ ONLY")
    assert who(reader) == "replica"
    reader.begin()
    ask(reader, "UPDATE t SET n = 8")
    reader.commit()
    assert table.primary("SELECT n FROM t") == ((8,),)


def test_prepared_statements_in_it(reader, table):
    """P4. A cursor is opened on the primary: it could not leave the replica with its transaction."""
    with Wire(reader) as w:
        read, write = w.prepare("SELECT name FROM whoami"), w.prepare("UPDATE t SET n = 2")
        opened = w.prepare("SELECT whoami.name FROM whoami")  # MySQL 9.7 executes none without a cursor that had one (docs/servers.md)
        assert w.query("START TRANSACTION READ ONLY")[0][0] == 0
        assert b"replica" in b"".join(read.execute())
        opened.execute(cursor=1)
        assert b"primary" in b"".join(opened.fetch(5))
        assert w.query("ROLLBACK")[0][0] == 0
        assert w.query("START TRANSACTION READ ONLY")[0][0] == 0
        assert b"replica" in b"".join(read.execute())
        assert error(write.execute()[-1])[0] == 1792
        assert b"primary" in b"".join(read.execute())
    assert table.primary("SELECT n FROM t") == ((0,),)


def test_it_sees_what_its_session_wrote(reader, table):
    """R2, with a replica that is behind: the transaction goes to the primary."""
    with table.cluster.replica_behind():
        ask(reader, "UPDATE t SET n = 6")
        ask(reader, "START TRANSACTION READ ONLY")
        assert ask(reader, "SELECT n FROM t") == ((6,),)
        assert who(reader) == "primary"
        reader.commit()
    for n in range(20):
        ask(reader, "UPDATE t SET n = %d" % n)
        ask(reader, "START TRANSACTION READ ONLY")
        assert ask(reader, "SELECT n FROM t") == ((n,),)
        reader.commit()


def test_what_the_replica_does_not_have_yet_comes_from_the_primary(reader, table):
    ask(reader, "START TRANSACTION READ ONLY")
    assert who(reader) == "replica"
    table.cluster.replica.sql("SET sql_log_bin = 0", "RENAME TABLE `%s`.t TO `%s`.away" % (table.name, table.name))
    try:
        assert ask(reader, "SELECT n FROM t") == ((0,),)
        assert who(reader) == "primary"
        reader.rollback()
    finally:
        table.cluster.replica.sql("SET sql_log_bin = 0", "RENAME TABLE `%s`.away TO `%s`.t" % (table.name, table.name))


def test_a_reset_in_it_leaves_nothing(reader, table):
    ask(reader, "START TRANSACTION READ ONLY")
    assert who(reader) == "replica"
    with Wire(reader) as w:
        w.send(bytes([RESET_CONNECTION]))
        assert w.answer()[0][0] == 0
        assert w.query("START TRANSACTION")[0][0] == 0
        assert w.query("UPDATE t SET n = 3")[0][0] == 0
        assert w.query("COMMIT")[0][0] == 0
    assert table.primary("SELECT n FROM t") == ((3,),)
