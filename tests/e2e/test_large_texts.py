"""P2, P3, C1: of a text larger than a mebibyte only the beginning is seen. What may stand behind it is taken to be there."""
import pymysql
import pytest
from pymysql.constants import CLIENT

from conftest import ask, filled

COMMENT = "/* " + "x" * (2 << 20) + " */ "


@pytest.fixture
def two(suimon, db):
    """Two sessions of an account that would share a connection, and suimon."""
    s = suimon({"threads": 1, "replicas": []})
    with s.connect(database=db.name) as c, s.connect(database=db.name) as d:
        yield c, d, s


def pins(s):
    return [client["pinned"] for client in s.api("/api/clients")["clients"] if client["pinned"]]


STATE = {
    "a variable": ("SET @big = '" + "x" * (2 << 20) + "'", "SET @big = 'another'", "SELECT LENGTH(@big)", 2 << 20),
    "a variable behind a comment": (COMMENT + "SET @n = 5", "SET @n = 6", "SELECT @n", 5),
    "a prepared statement": ("PREPARE s FROM 'SELECT 5 " + COMMENT + "'", "PREPARE s FROM 'SELECT 6'", "EXECUTE s", 5),
    "a lock": (COMMENT + "DO GET_LOCK('of_large_texts', 0)", "SELECT 1", "SELECT IS_USED_LOCK('of_large_texts') = CONNECTION_ID()", 1),
    "a temporary table": (COMMENT + "CREATE TEMPORARY TABLE t SELECT 5 AS n", "SELECT 1", "SELECT n FROM t", 5),
    "what a SELECT puts into a variable": ("SELECT LENGTH('" + "x" * (2 << 20) + "') INTO @n", "SET @n = 6", "SELECT @n", 2 << 20),
    "found rows": ("SELECT SQL_CALC_FOUND_ROWS 1 UNION SELECT 2 UNION SELECT LENGTH('" + "x" * (2 << 20) + "') LIMIT 1",
                   "SELECT SQL_CALC_FOUND_ROWS 1", "SELECT FOUND_ROWS()", 3),
    "a session's variable": (COMMENT + "SET default_week_format = 3", "SELECT 1", "SELECT @@default_week_format", 3),
}


@pytest.mark.parametrize("name", STATE)
def test_what_it_leaves_is_its_sessions_own(two, name):
    c, d, _ = two
    sql, others, asks, answer = STATE[name]
    ask(c, sql)
    ask(d, others)
    assert ask(c, asks) == ((answer,),)


def test_locked_tables_are_locked_by_its_session(two, db):
    c, d, _ = two
    db.setup("CREATE TABLE l (n INT)", "CREATE TABLE other (n INT)")
    ask(c, COMMENT + "LOCK TABLES l READ")
    ask(d, "INSERT INTO other VALUES (1)")
    assert ask(d, "SELECT n FROM other") == ((1,),)
    ask(c, "UNLOCK TABLES")


def test_rows_pin_nothing(two, db):
    """What is so large is nearly always that, and leaves nothing."""
    c, d, s = two
    db.setup("CREATE TABLE t (v LONGTEXT)")
    ask(c, "INSERT INTO t VALUES " + ",".join(["('%s')" % ("x" * 100000)] * 15))
    ask(c, "SELECT COUNT(*) FROM t WHERE v <> '%s'" % ("y" * 1500000))
    assert pins(s) == []


def test_a_table_with_a_new_trigger(suimon, db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE u (n INT)", "INSERT INTO u VALUES (1)")
    s = suimon({"threads": 1, "replicas": [], "cache": {"rules": [{"match": {"table": db.name + ".u"}, "ttl": "600s"}]}})
    with s.connect(database=db.name) as c, s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as d:
        filled(s, c, "SELECT n FROM u")
        ask(d, COMMENT + "CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW UPDATE u SET n = n + 1")
        filled(s, c, "SELECT n FROM u")
        ask(c, "INSERT INTO t VALUES (1)")
        assert ask(c, "SELECT n FROM u") == ((2,),)


def test_several_of_which_the_first_is_of_rows(suimon, db):
    """Their results tell that they are several."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE u (n INT)", "INSERT INTO u VALUES (1)")
    s = suimon({"threads": 1, "replicas": [], "cache": {"rules": [{"match": {"table": db.name + ".u"}, "ttl": "600s"}]}})
    with s.connect(database=db.name) as c, s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as d:
        filled(s, c, "SELECT n FROM u")
        with d.cursor() as cur:
            cur.execute("SELECT LENGTH('%s'); SET @n = 5; CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW UPDATE u SET n = n + 1" % ("x" * (2 << 20)))
            while cur.nextset():
                pass
        with s.connect(database=db.name) as other:
            ask(other, "SET @n = 6")
            assert ask(d, "SELECT @n") == ((5,),)
        filled(s, c, "SELECT n FROM u")
        ask(c, "INSERT INTO t VALUES (1)")
        assert ask(c, "SELECT n FROM u") == ((2,),)


def test_several_of_which_the_second_fails(suimon, db):
    """The error is its answer: the first, which is of rows, did not stand alone."""
    db.setup("CREATE PROCEDURE p() BEGIN SET @n = 5; SIGNAL SQLSTATE '45000'; END")
    s = suimon({"threads": 1, "replicas": []})
    with s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as c, c.cursor() as cur:
        cur.execute("SELECT LENGTH('%s'); CALL p()" % ("x" * (2 << 20)))
        with pytest.raises(pymysql.MySQLError):
            cur.nextset()
        assert pins(s) == ["unknown"]
        assert ask(c, "SELECT @n") == ((5,),)
