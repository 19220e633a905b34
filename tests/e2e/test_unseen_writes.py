"""C4, C5: what a statement's text does not show: views that call routines which write, columns that are computed when they are read."""
import time

import pymysql
import pytest

from conftest import ask, mariadb_only
from servers import wait_until

NOISE = "CREATE FUNCTION noise() RETURNS DOUBLE NOT DETERMINISTIC NO SQL RETURN RAND()"


def cached(suimon, db):
    return suimon({"cache": {"rules": [{"match": {"schema": db.name}, "ttl": "600s"}]}})



@pytest.mark.parametrize("read, setup", [
    ("SELECT x FROM v", ["CREATE VIEW v AS SELECT NOW(6) x FROM t"]),
    ("SELECT x FROM w", ["CREATE VIEW v AS SELECT RAND() x FROM t", "CREATE VIEW w AS SELECT * FROM v"]),
    ("SELECT x FROM v", [NOISE, "CREATE VIEW v AS SELECT noise() x FROM t"]),
    pytest.param("SELECT x FROM g", ["CREATE TABLE g (id INT, x DATETIME(6) AS (NOW(6) + INTERVAL id SECOND) VIRTUAL)",
                                     "INSERT INTO g (id) VALUES (1)"], marks=mariadb_only("MySQL's columns are deterministic")),
])
def test_what_changes_by_itself_is_not_cached(suimon, db, read, setup):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 1)", *setup)
    s = cached(suimon, db)
    with s.connect(database=db.name) as c:
        got = set()
        for _ in range(4):
            got.add(ask(c, read))
            time.sleep(0.002)
        assert len(got) == 4, got


def test_a_computed_column_of_the_row_alone_is_cached(suimon, db):
    db.setup("CREATE TABLE g (id INT, x INT AS (id + 1) VIRTUAL, y INT AS (id + 2) STORED)", "INSERT INTO g (id) VALUES (1)")
    s = cached(suimon, db)
    with s.connect(database=db.name) as c:
        before = s.api("/api/cache")
        wait_until("a hit", lambda: (ask(c, "SELECT * FROM g"), s.api("/api/cache")["hits"] > before["hits"])[1], 30)


@pytest.mark.parametrize("view", ["SELECT f() x FROM t", "SELECT f() x, 'a\\\\b' y FROM t", "SELECT f() x, NOW() y FROM t",
                                  "SELECT * FROM inner_view"])
def test_reading_a_view_that_writes_is_a_write(suimon, db, view):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 1)",
             "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY)",
             "CREATE FUNCTION f() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO log VALUES (); RETURN 1; END",
             "CREATE VIEW inner_view AS SELECT f() x FROM t", "CREATE VIEW v AS " + view)
    s = cached(suimon, db)
    with s.connect(database=db.name) as c, s.connect(database=db.name) as d:
        for i in range(4):
            for _ in range(3):
                assert ask(d, "SELECT COUNT(*) FROM log") == ((i,),)
            ask(c, "SELECT x FROM v")


def test_a_view_that_writes_is_the_primarys_where_a_replica_is_read_only(suimon, db, cluster):
    """R1: where nothing has the schema read, the replica's refusal is what tells."""
    db.setup("CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY)",
             "CREATE FUNCTION f() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO log VALUES (); RETURN 1; END", "CREATE VIEW v AS SELECT f() x")
    assert cluster.replica.sql("SELECT @@global.read_only")[0][0] == 1
    with suimon({"backend": {"failover_hold": "100ms"}}).connect(database=db.name) as c:
        time.sleep(2)  # it has been read-only for longer than anybody would wait for the end of that
        for n in range(1, 4):
            assert ask(c, "/* suimon: replica */ SELECT x FROM v") == ((1,),)
            assert db.primary("SELECT COUNT(*) FROM log") == ((n,),)


def test_a_view_that_only_reads_stays_with_the_replicas(suimon, db):
    db.setup("CREATE FUNCTION plus(a INT) RETURNS INT DETERMINISTIC NO SQL RETURN a + 1",
             "CREATE VIEW v AS SELECT name, plus(1) FROM whoami")
    s = cached(suimon, db)
    with s.connect(database=db.name) as c:
        wait_until("a read on the replica", lambda: ask(c, "/* suimon: nocache */ SELECT * FROM v") == (("replica", 2),), 30)


def test_a_role_is_no_part_of_another_session(suimon, db, cluster):
    db.setup("CREATE TABLE secret (a INT)", "INSERT INTO secret VALUES (1)")
    cluster.setup("CREATE ROLE IF NOT EXISTS reader", "GRANT SELECT ON `%s`.secret TO reader" % db.name,
                  "CREATE USER IF NOT EXISTS weak@'%' IDENTIFIED BY 'weak'", "GRANT reader TO weak@'%'",
                  "GRANT SELECT ON `%s`.whoami TO weak@'%%'" % db.name)
    s = cached(suimon, db)
    with s.connect("weak", "weak", database=db.name) as a, s.connect("weak", "weak", database=db.name) as b:
        ask(a, "SET ROLE reader")
        for _ in range(3):
            assert ask(a, "SELECT * FROM secret") == ((1,),)
        for c in (b, a):
            if c is a:
                ask(a, "SET ROLE NONE")
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, "SELECT * FROM secret")
            assert e.value.args[0] == 1142
