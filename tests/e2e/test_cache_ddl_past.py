"""C5, C6: DDL past suimon, at the server itself. With cache.binlog it is seen like any write; without, what was stored lives for its
ttl, and the schema is read again within a minute."""
import pytest

from conftest import ask, filled
from servers import wait_until

READS = ["SELECT * FROM t", "SELECT * FROM v", "SELECT COUNT(*) FROM u"]
DDL = {
    "a column": ["ALTER TABLE t ADD COLUMN more INT DEFAULT 3"],
    "another table of the name": ["RENAME TABLE t TO old", "CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 77)"],
    "another view": ["CREATE OR REPLACE VIEW v AS SELECT id, n + 1000 AS n FROM u"],
    "no table": ["TRUNCATE u", "DROP VIEW v", "CREATE VIEW v AS SELECT 5 AS five FROM u"],
}


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 1), (2, 2)", "CREATE TABLE u LIKE t",
             "INSERT INTO u VALUES (1, 1)", "CREATE VIEW v AS SELECT * FROM t")
    return db


def start(suimon, db, ttl, **more):
    return suimon({"replicas": [], "cache": dict({"rules": [{"match": {"schema": db.name}, "ttl": ttl}]}, **more)})


@pytest.mark.parametrize("what", sorted(DDL))
@pytest.mark.parametrize("binlog", [True, False])
def test_ddl_at_the_server_is_seen(suimon, table, what, binlog):
    s = start(suimon, table, "600s", binlog=True) if binlog else start(suimon, table, "3s")
    if binlog:
        wait_until("the log to be followed", lambda: s.metrics()["suimon_cache_binlog_live"] == 1, 30)
    with s.connect(database=table.name) as c:
        filled(s, c, *READS)
        table.setup(*DDL[what])
        for sql in READS:
            wait_until("%r as it is now" % sql, lambda: ask(c, sql) == table.primary(sql), 15)


def test_what_a_write_reaches_by_ddl_past_suimon_is_known_within_a_minute(suimon, table):
    """A trigger that suimon has not heard of: for a minute at most its writes are as if made past suimon."""
    s = start(suimon, table, "600s")
    with s.connect(database=table.name) as c:
        filled(s, c, READS[2])
        before = s.api("/api/cache")["catalog"]["triggers"]
        table.setup("CREATE TRIGGER more AFTER INSERT ON t FOR EACH ROW INSERT INTO u VALUES (NEW.id, NEW.n)")
        wait_until("the schema to be read again", lambda: s.api("/api/cache")["catalog"]["triggers"] > before, 80)
        filled(s, c, READS[2])
        ask(c, "INSERT INTO t VALUES (50, 50)")
        assert ask(c, READS[2]) == table.primary(READS[2]) == ((2,),)
