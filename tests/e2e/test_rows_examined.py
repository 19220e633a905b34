"""Rows examined are the servers' own count where that can be read, joined by the statement's text, and marked as such (S1)."""
import pytest

import conftest
from conftest import address, ask, settle
from servers import MariaDB, wait_until

pytestmark = conftest.mariadb_only("it reads performance_schema, switched on for a server of its own")

STATEMENTS = ( # the text as it comes, rows examined by one call
    ("SELECT id AS m1 FROM items WHERE id = {}", 1),
    ("SELECT `id` AS m2 FROM `items` WHERE name = 'item {}' AND kind IS NOT NULL", 2000),
    ("select id as m3 from items where id in (1, 2, {}) and name != 'x' order by id asc limit 2", None),
    ("SELECT COUNT(*) AS m4 FROM items i JOIN items j ON j.id = i.id - {} WHERE substr(i.name, 1, 2) <> 'zz'", None),
    ("SELECT id AS m5 FROM truth.items WHERE kind IN ({}) LIMIT 3, 4", None),
    ("SELECT id AS m6 FROM items ORDER BY id LIMIT 5 OFFSET {}", None),
    ("UPDATE items AS m7 SET kind = kind + {} WHERE kind = -5", 2000),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = MariaDB(str(tmp_path_factory.mktemp("examined")), "primary", 1, ["--performance-schema=ON", "--performance-schema-digests-size=500"])
    s.install()
    try:
        s.start()
        s.sql(*s.accounts)
        s.sql("CREATE DATABASE truth", "CREATE TABLE truth.items (id INT PRIMARY KEY, kind INT, name VARCHAR(40))",
              "USE truth", "INSERT INTO items SELECT seq, seq % 50, CONCAT('item ', seq) FROM seq_1_to_2000", "GRANT ALL ON truth.* TO app@'%'")
        yield s
    finally:
        s.stop()


def run(s):
    with s.connect(database="truth") as c:
        for n in range(1, 6):
            for sql, _ in STATEMENTS:
                ask(c, sql.format(n))


def marked(s):
    return {"m%d" % n: r for n in range(1, len(STATEMENTS) + 1) for r in s.api("/api/queries?limit=1000&sort=rows_examined")["queries"]
            if " m%d" % n in r["text"]}


def test_they_are_the_servers_own(suimon, server):
    server.sql("GRANT SELECT ON performance_schema.* TO monitor@'%'", "TRUNCATE TABLE performance_schema.events_statements_summary_by_digest")
    s = suimon({"primary": address(server), "replicas": [], "stats": {"samples": False}})
    run(s)
    settle(s)
    rows = wait_until("the server's word on all", lambda: (lambda m: m if all(r["rows_examined_from"] for r in m.values()) else None)(marked(s)), 60, 0.5)
    assert sorted(rows) == ["m%d" % n for n in range(1, len(STATEMENTS) + 1)]
    theirs = server.sql("SELECT DIGEST_TEXT, SUM_ROWS_EXAMINED FROM performance_schema.events_statements_summary_by_digest WHERE SCHEMA_NAME='truth'")
    for n, (_, each) in enumerate(STATEMENTS, 1):
        row, count = rows["m%d" % n], [int(r) for text, r in theirs if "`m%d`" % n in text]
        assert row["rows_examined_from"] == "performance_schema" and row["calls"] == 5, row
        assert count == [row["rows_examined"]], (row["text"], row["rows_examined"], count)
        assert each is None or row["rows_examined"] == 5 * each, row


def test_where_they_may_not_be_read_nothing_is_made_up(suimon, server):
    server.sql("GRANT SELECT ON performance_schema.* TO monitor@'%'", "REVOKE SELECT ON performance_schema.* FROM monitor@'%'")
    s = suimon({"primary": address(server), "replicas": [], "stats": {"samples": False}})
    run(s)
    settle(s)
    for row in marked(s).values():
        assert row["rows_examined"] is None and row["rows_examined_from"] is None
