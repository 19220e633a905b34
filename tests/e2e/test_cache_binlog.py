"""cache.binlog: writes made past suimon are seen in the primary's binary log, by row where the rows say their keys (C1, C2, C5, C6)."""
import time

import pytest

from conftest import ask, filled, is_hit, mariadb_only, mysql_only
from servers import sum_metric, wait_until

SCHEMA = ("CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(12) UNIQUE, owner INT, n INT, KEY (owner)) "
          "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
          "INSERT INTO t VALUES (1, 'a@x', 7, 0), (2, 'b@x', 7, 0), (3, 'c@x', 8, 0), (4, 'd@x', 8, 0)")
BY_ID = "SELECT * FROM t WHERE id = %s"
BY_EMAIL = "SELECT * FROM t WHERE email = %s"
ALL = "SELECT COUNT(*), SUM(n) FROM t"


@pytest.fixture
def table(db):
    db.setup(*SCHEMA)
    return db


def live(s):
    wait_until("the log to be followed", lambda: s.metrics()["suimon_cache_binlog_live"] == 1, 30)


def follow(suimon, db, **more):
    s = suimon({"cache": dict({"binlog": True, "rules": [{"match": {"schema": db.name}, "ttl": "600s"}]}, **more)})
    live(s)
    return s


def outside(db, *statements, **options):
    """On the primary, past suimon, in one session."""
    with db.cluster.primary.root(database=db.name, **options) as c, c.cursor() as cur:
        for sql in statements:
            cur.execute(sql)


def seen(db, c, *reads):
    """What suimon answers becomes what the primary answers."""
    for sql in reads:
        wait_until("the write to be seen by %r" % sql, lambda: ask(c, sql) == db.primary(sql), 30)


WRITES = [
    (["UPDATE t SET n = n + 1 WHERE id = 1"], [BY_ID % 2, BY_EMAIL % "'b@x'"], [BY_ID % 1, BY_EMAIL % "'a@x'", ALL]),
    (["UPDATE t SET email = 'z@x' WHERE id = 1"], [BY_ID % 2], [BY_ID % 1, BY_EMAIL % "'a@x'", BY_EMAIL % "'z@x'"]),
    (["UPDATE t SET id = 20 WHERE id = 1"], [BY_ID % 2], [BY_ID % 1, BY_ID % 20, BY_EMAIL % "'a@x'"]),
    (["UPDATE t SET n = 5 WHERE owner = 8"], [BY_ID % 1], [BY_ID % 3, BY_ID % 4, BY_EMAIL % "'c@x'", ALL]),
    (["DELETE FROM t WHERE email = 'd@x'"], [BY_ID % 1], [BY_ID % 4, BY_EMAIL % "'d@x'", ALL]),
    (["INSERT INTO t (email, n) VALUES ('k@x', 1)"], [BY_ID % 1], [BY_ID % 5, BY_EMAIL % "'k@x'", ALL]),
    (["REPLACE INTO t (id, email, n) VALUES (1, 'b@x', 9)"], [BY_ID % 3], [BY_ID % 1, BY_ID % 2, BY_EMAIL % "'a@x'", BY_EMAIL % "'b@x'"]),
    (["BEGIN", "UPDATE t SET n = 1 WHERE id = 1", "UPDATE t SET n = 1 WHERE id = 3", "COMMIT"], [BY_ID % 2], [BY_ID % 1, BY_ID % 3, ALL]),
]


@pytest.mark.parametrize("image", ["FULL", "MINIMAL"])
def test_by_row(suimon, table, image):
    s = follow(suimon, table)
    for i, (write, kept, gone) in enumerate(WRITES):
        if image == "MINIMAL" and write[0].startswith("REPLACE"):
            continue  # MariaDB's replicas then keep columns that REPLACE has reset
        if i:
            table.setup("DROP TABLE t", *SCHEMA)
            live(s)
        with s.connect(database=table.name) as c:
            filled(s, c, *kept, *gone)
            outside(table, "SET SESSION binlog_row_image = " + image, *write)
            seen(table, c, *gone)
            if image == "FULL":
                for sql in kept:
                    assert is_hit(s, c, sql), (write, sql)
            seen(table, c, *kept)


@pytest.mark.parametrize("write", [
    ["TRUNCATE t"],
    ["ALTER TABLE t ADD COLUMN more INT DEFAULT 3"],
    ["DROP TABLE t", "CREATE TABLE t (id INT PRIMARY KEY, email VARCHAR(12), n INT)", "INSERT INTO t VALUES (1, 'new', 1)"],
    ["RENAME TABLE t TO old", "CREATE TABLE t LIKE old"],
    ["SET SESSION binlog_format = STATEMENT", "UPDATE t SET n = n + 100"],
    ["SET SESSION binlog_format = STATEMENT", "BEGIN", "DELETE FROM t WHERE n = 0", "INSERT INTO t (id, n) VALUES (1, 5)", "COMMIT"],
])
def test_statements(suimon, table, write):
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        filled(s, c, BY_ID % 1, ALL)
        outside(table, *write)
        seen(table, c, BY_ID % 1, ALL)


def test_what_a_view_stands_for(suimon, table):
    table.setup("CREATE VIEW v AS SELECT id, n FROM t WHERE id < 3")
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        filled(s, c, "SELECT * FROM v")
        outside(table, "UPDATE t SET n = 77 WHERE id = 2")
        seen(table, c, "SELECT * FROM v")
        filled(s, c, "SELECT * FROM v")
        outside(table, "ALTER VIEW v AS SELECT id, n FROM t WHERE id > 2")
        seen(table, c, "SELECT * FROM v")


def test_triggers(suimon, table):
    table.setup("CREATE TABLE audit (id INT AUTO_INCREMENT PRIMARY KEY, what INT)",
                "CREATE TRIGGER tr AFTER UPDATE ON t FOR EACH ROW INSERT INTO audit (what) VALUES (NEW.id)")
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        filled(s, c, "SELECT COUNT(*) FROM audit", BY_ID % 1)
        outside(table, "UPDATE t SET n = 3 WHERE id = 1")
        seen(table, c, "SELECT COUNT(*) FROM audit", BY_ID % 1)


@pytest.mark.parametrize("write, rule", [("DELETE FROM t WHERE id = 1", "ON DELETE CASCADE"), ("UPDATE t SET id = 50 WHERE id = 1", "ON UPDATE CASCADE"),
                                         ("DELETE FROM t WHERE id = 1", "ON DELETE SET NULL")])
def test_cascades_are_not_in_the_log(suimon, table, write, rule):
    table.setup("CREATE TABLE child (id INT PRIMARY KEY, t_id BIGINT, FOREIGN KEY (t_id) REFERENCES t (id) %s)" % rule,
                "INSERT INTO child VALUES (1, 1), (2, 2)")
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        reads = ["SELECT * FROM child ORDER BY id", "SELECT * FROM child WHERE id = 1"]
        filled(s, c, *reads)
        outside(table, write)
        seen(table, c, *reads)


def test_events(suimon, table):
    s = follow(suimon, table)
    table.cluster.primary.sql("SET GLOBAL event_scheduler = ON")
    with s.connect(database=table.name) as c:
        filled(s, c, BY_ID % 1)
        before = table.primary(BY_ID % 1)
        outside(table, "CREATE EVENT e ON SCHEDULE EVERY 1 SECOND DO UPDATE t SET n = n + 1 WHERE id = 1")
        try:
            wait_until("the event to be seen", lambda: ask(c, BY_ID % 1) != before, 30)
            first = ask(c, BY_ID % 1)
            wait_until("the next one to be seen", lambda: ask(c, BY_ID % 1) != first, 30)
        finally:
            outside(table, "DROP EVENT e")


def test_only_at_commit(suimon, table):
    s = follow(suimon, table)
    with s.connect(database=table.name) as c, table.cluster.primary.root(database=table.name, autocommit=False) as o, o.cursor() as cur:
        filled(s, c, BY_ID % 1)
        cur.execute("UPDATE t SET n = 9 WHERE id = 1")
        assert is_hit(s, c, BY_ID % 1)
        cur.execute("ROLLBACK")
        assert is_hit(s, c, BY_ID % 1)
        cur.execute("UPDATE t SET n = 8 WHERE id = 1")
        cur.execute("COMMIT")
        seen(table, c, BY_ID % 1)


def test_xa(suimon, table):
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        for i, end in enumerate(("COMMIT", "ROLLBACK", "COMMIT")):
            xid = "'%s','%d'" % (table.name, i)
            filled(s, c, BY_ID % 1)
            outside(table, "XA START " + xid, "UPDATE t SET n = n + 1 WHERE id = 1", "XA END " + xid, "XA PREPARE " + xid)
            assert is_hit(s, c, BY_ID % 1)
            outside(table, "XA %s %s" % (end, xid))
            seen(table, c, BY_ID % 1)


@mariadb_only("its own compression")
def test_compressed_events(suimon, table):
    s = follow(suimon, table)
    primary = table.cluster.primary
    table.setup("ALTER TABLE t ADD COLUMN note TEXT")
    primary.sql("SET GLOBAL log_bin_compress = ON", "SET GLOBAL log_bin_compress_min_len = 10")
    try:
        with s.connect(database=table.name) as c:
            filled(s, c, BY_ID % 1, BY_ID % 2)
            outside(table, "UPDATE t SET note = REPEAT('long ', 1000) WHERE id = 1")
            seen(table, c, BY_ID % 1)
            assert is_hit(s, c, BY_ID % 2)
    finally:
        primary.sql("SET GLOBAL log_bin_compress = OFF")


@mysql_only("its own compression")
def test_compressed_transactions(suimon, table):
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        filled(s, c, BY_ID % 1, BY_ID % 2)
        outside(table, "SET SESSION binlog_transaction_compression = ON", "UPDATE t SET n = 7 WHERE id = 1")
        seen(table, c, BY_ID % 1)
        assert is_hit(s, c, BY_ID % 2)


@mysql_only("updates of a part of a document")
@pytest.mark.parametrize("image", ["FULL", "MINIMAL"])
def test_a_part_of_a_document(suimon, table, image):
    """The event has no whole image behind: it counts for its table."""
    table.setup("CREATE TABLE docs (id INT PRIMARY KEY, doc JSON)",
                "INSERT INTO docs VALUES (1, JSON_OBJECT('n', 1, 'pad', REPEAT('x', 200)))")
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        filled(s, c, "SELECT * FROM docs WHERE id = 1", BY_ID % 1)
        outside(table, "SET SESSION binlog_row_value_options = PARTIAL_JSON, binlog_row_image = " + image,
                "UPDATE docs SET doc = JSON_SET(doc, '$.n', 2) WHERE id = 1")
        seen(table, c, "SELECT * FROM docs WHERE id = 1")
        assert is_hit(s, c, BY_ID % 1)


@mysql_only("these columns")
@pytest.mark.parametrize("columns, rows, read, write, gone, kept", [
    ("v VECTOR(3), id INT PRIMARY KEY, n INT", "(STRING_TO_VECTOR('[1,2,3]'), 1, 0), (NULL, 2, 0)", "id, n", "n = 1 WHERE id = 1", ["id = 1"], ["id = 2"]),
    ("a INT, n INT", "(1, 0), (2, 0)", "*", "n = 1 WHERE a = 1", ["my_row_id = 1", "a = 1"], ["my_row_id = 2"]),
    ("id INT PRIMARY KEY, email VARCHAR(20), UNIQUE ((LOWER(email)))", "(1, 'A@x'), (2, 'B@x')", "*", "email = 'C@x' WHERE id = 1",
     ["LOWER(email) = 'a@x'", "LOWER(email) = 'c@x'", "id = 1"], ["id = 2"]),
], ids=["a vector before the key", "an invisible key", "a key of an expression"])
def test_columns_of_its_own(suimon, table, columns, rows, read, write, gone, kept):
    outside(table, "SET SESSION sql_generate_invisible_primary_key = ON", "CREATE TABLE own (%s)" % columns, "INSERT INTO own VALUES " + rows)
    table.cluster.sync()
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        reads = [["SELECT %s FROM own WHERE %s" % (read, where) for where in part] for part in (gone, kept)]
        filled(s, c, *reads[0], *reads[1])
        outside(table, "UPDATE own SET " + write)
        seen(table, c, *reads[0])
        assert all(is_hit(s, c, sql) for sql in reads[1])


@mysql_only("its GTIDs with tags")
def test_behind_what_has_a_tag(suimon, table):
    """Begun where the primary has tags already, and continued behind one: the server is told what of each tag is known."""
    primary = table.cluster.primary
    tagged = "SET SESSION gtid_next = 'AUTOMATIC:%s'"
    outside(table, tagged % "first", "UPDATE t SET n = n + 1 WHERE id = 3")
    outside(table, tagged % "second", "UPDATE t SET n = n + 1 WHERE id = 3")
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        filled(s, c, BY_ID % 1, BY_ID % 2)
        outside(table, tagged % "first", "UPDATE t SET n = 31 WHERE id = 1")
        seen(table, c, BY_ID % 1)
        before = s.metrics()["suimon_cache_binlog_errors_total"]
        for thread in dumps(primary):
            primary.sql("KILL %d" % thread)
        outside(table, tagged % "third", "BEGIN", "UPDATE t SET n = 32 WHERE id = 1", "UPDATE t SET n = 32 WHERE id = 4", "COMMIT")
        wait_until("the loss to be noticed", lambda: s.metrics()["suimon_cache_binlog_errors_total"] > before, 30)
        live(s)
        seen(table, c, BY_ID % 1)
        assert is_hit(s, c, BY_ID % 2)
        assert s.metrics()["suimon_cache_binlog_gaps_total"] == 0


def test_a_long_event_counts_for_its_table(suimon, table):
    s = follow(suimon, table)
    table.setup("CREATE TABLE big (id INT PRIMARY KEY, body LONGTEXT)", "INSERT INTO big VALUES (1, 'short')")
    with s.connect(database=table.name) as c:
        filled(s, c, "SELECT id, LENGTH(body) FROM big WHERE id = 1", BY_ID % 1)
        outside(table, "UPDATE big SET body = REPEAT('x', 18000000) WHERE id = 1")
        seen(table, c, "SELECT id, LENGTH(body) FROM big WHERE id = 1")
        outside(table, "UPDATE t SET n = 1 WHERE id = 1")
        seen(table, c, BY_ID % 1)


def test_what_came_through_suimon_is_not_invalidated_twice(suimon, table):
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        for i in range(20):
            ask(c, "UPDATE t SET n = n + 1 WHERE id = 1")
            ask(c, "INSERT INTO t (email) VALUES ('m%d')" % i)
        wait_until("the log to be read", lambda: s.metrics()["suimon_cache_binlog_known_total"] >= 30, 30)
        filled(s, c, BY_ID % 1)


def test_a_replica_that_lacks_the_write_fills_nothing(suimon, table):
    s = follow(suimon, table)
    with s.connect(database=table.name) as c:
        filled(s, c, BY_ID % 1)
        with table.cluster.replica_behind():
            outside(table, "UPDATE t SET n = 42 WHERE id = 1")
            known = s.metrics()['suimon_cache_binlog_invalidations_total{by="row"}']
            wait_until("the write to be read", lambda: known or s.metrics()['suimon_cache_binlog_invalidations_total{by="row"}'], 30)
            for _ in range(20):
                ask(c, BY_ID % 1)
        seen(table, c, BY_ID % 1)
        filled(s, c, BY_ID % 1)
        assert ask(c, BY_ID % 1) == table.primary(BY_ID % 1)


def test_it_keeps_up_while_others_write(suimon, table):
    """An answer of where the primary is is older than the log when the log is read: it counts all the same."""
    s = follow(suimon, table)
    table.setup("CREATE TABLE busy (id INT AUTO_INCREMENT PRIMARY KEY, n INT)")
    with s.connect(database=table.name) as c, table.cluster.primary.root(database=table.name) as o, o.cursor() as cur:
        filled(s, c, BY_ID % 1)
        end = time.monotonic() + 8
        while time.monotonic() < end:
            cur.execute("INSERT INTO busy (n) VALUES (1)")
        wait_until("it to be live", lambda: s.metrics()["suimon_cache_binlog_live"] == 1, 30)
        assert s.metrics()["suimon_cache_binlog_errors_total"] == 0
        filled(s, c, BY_ID % 1)


def dumps(primary):
    return [row[0] for row in primary.sql("SHOW PROCESSLIST") if row[4].startswith("Binlog Dump") and row[1] != "replication"]


def test_a_lost_connection_leaves_no_gap(suimon, table):
    s = follow(suimon, table)
    primary = table.cluster.primary
    with s.connect(database=table.name) as c:
        filled(s, c, BY_ID % 1, BY_ID % 2)
        before = s.metrics()["suimon_cache_binlog_errors_total"]
        for thread in dumps(primary):
            primary.sql("KILL %d" % thread)
        outside(table, "UPDATE t SET n = 31 WHERE id = 1")
        wait_until("the loss to be noticed", lambda: s.metrics()["suimon_cache_binlog_errors_total"] > before, 30)
        live(s)
        seen(table, c, BY_ID % 1)
        assert is_hit(s, c, BY_ID % 2)
        assert s.metrics()["suimon_cache_binlog_gaps_total"] == 0


def test_without_the_right_nothing_is_answered_from_the_cache(suimon, table, cluster):
    name = "watcher_" + table.name
    cluster.setup("CREATE USER %s@'%%' IDENTIFIED BY 'w'" % name,
                  "GRANT %sREPLICATION CLIENT, SELECT, SHOW VIEW, TRIGGER ON *.* TO %s@'%%'"
                  % ("SLAVE MONITOR, " if "MariaDB" in cluster.primary.process.name else "", name))
    s = suimon({"backend": {"monitor": {"user": name, "password": "w"}},
                "cache": {"binlog": True, "rules": [{"match": {"schema": table.name}, "ttl": "600s"}]}})
    with s.connect(database=table.name) as c:
        wait_until("the trouble to be told", lambda: "cannot be followed" in s.log_text(), 30)
        assert "REPLICATION SLAVE" in s.log_text() or "Access denied" in s.log_text()
        for i in range(5):
            outside(table, "UPDATE t SET n = %d WHERE id = 1" % (100 + i))
            assert ask(c, "/* suimon: primary */ " + BY_ID % 1) == table.primary(BY_ID % 1)
            ask(c, BY_ID % 1)
        m = s.metrics()
        assert sum_metric(m, "suimon_cache_hits_total") == 0
        assert m["suimon_cache_binlog_live"] == 0 and m["suimon_cache_binlog_errors_total"] > 0
        assert s.api("/api/cache")["binlog"] == {"configured": True, "live": False}
        cluster.setup("GRANT REPLICATION SLAVE ON *.* TO %s@'%%'" % name)
        live(s)
        filled(s, c, BY_ID % 1)
        outside(table, "UPDATE t SET n = 500 WHERE id = 1")
        seen(table, c, BY_ID % 1)
    cluster.setup("DROP USER %s@'%%'" % name)


def test_it_ends_within_the_bound_and_goes_on_without_a_gap(suimon, table, cluster):
    """The account loses its right and its connection: after three seconds nothing is answered from memory; what was stored is good again."""
    s = follow(suimon, table)
    primary = cluster.primary
    with s.connect(database=table.name) as c:
        filled(s, c, BY_ID % 1, BY_ID % 2)
        unlogged = "SET SESSION sql_log_bin = 0"  # what changes accounts ends everything stored
        primary.sql(unlogged, "REVOKE REPLICATION SLAVE ON *.* FROM monitor@'%'")
        try:
            for thread in dumps(primary):
                primary.sql("KILL %d" % thread)
            wait_until("the end of the lease", lambda: s.metrics()["suimon_cache_binlog_live"] == 0, 30)
            outside(table, "UPDATE t SET n = 61 WHERE id = 1")
            assert not is_hit(s, c, BY_ID % 1)
            seen(table, c, BY_ID % 1)
        finally:
            primary.sql(unlogged, "GRANT REPLICATION SLAVE ON *.* TO monitor@'%'")
        live(s)
        assert is_hit(s, c, BY_ID % 2)
        outside(table, "UPDATE t SET n = 62 WHERE id = 1")
        seen(table, c, BY_ID % 1)
        assert s.metrics()["suimon_cache_binlog_gaps_total"] == 0
