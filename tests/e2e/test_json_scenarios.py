"""What is looked for inside JSON documents: found once, with table, column and path, and a generated column that saves what it says, with the
statement that names it where the server does not take it by itself; and what only looks like it (S2, S3)."""
import pytest

import conftest
import timed
from conftest import ask, settle
from servers import wait_until
from test_scenarios import explained

ROWS, TIMES = 20000, 12


def document(n):
    return '{"a": %d, "city": "c%d", "odd": %s, "kind": "k%d", "of": {"ref": "R%d"}}' % (n, n % 400, n if n % 7 else '"0%d"' % n, n % 2, n)


def rows(first, last):
    return ", ".join("(%d, '%s', %d)" % (n, document(n), n % 3) for n in range(first, last))


@pytest.fixture
def shop(db):
    db.setup("CREATE TABLE item (id INT PRIMARY KEY, doc JSON, kind INT)", "CREATE TABLE few (id INT PRIMARY KEY, doc JSON, kind INT)",
             "CREATE TABLE done (id INT PRIMARY KEY, doc JSON, kind INT, ref VARCHAR(40) COLLATE utf8mb4_bin AS (JSON_UNQUOTE(JSON_EXTRACT(doc, '$.of.ref'))) VIRTUAL, KEY (ref))",
             *["INSERT INTO %s (id, doc, kind) VALUES %s" % (table, rows(n, n + 2000)) for table in ("item", "done") for n in range(0, ROWS, 2000)],
             "INSERT INTO few VALUES " + rows(0, 200), "ANALYZE TABLE item, few, done")
    return db


@pytest.fixture
def clocked(suimon, shop, cluster, tmp_path):
    """Another one beside, that measures statement by statement; clocked(texts)."""
    return timed.beside(suimon({"replicas": [], "stats": timed.every_statement(tmp_path / "clocked.log")}), shop.name, cluster.primary)


@pytest.fixture
def s(suimon, shop):
    return suimon({"replicas": [], "stats": {"slow": "5s"}})


def run(instance, shop, texts):
    with instance.connect(database=shop.name) as c:
        return [sorted(ask(c, sql)) for sql in texts]


def found(instance, shop, calls=TIMES):
    settle(instance)
    wait_until("the adviser", lambda: explained(instance, shop, calls), 90, .2)
    return instance.api("/api/findings")["findings"]


def takes(shop, form):
    """Does the server take a generated column for this expression?"""
    version = shop.cluster.primary.sql("SELECT VERSION()")[0][0]
    maria = "MariaDB" in version
    return form != "JSON_VALUE" if not maria else (form != "JSON_EXTRACT" and tuple(map(int, version.split(".")[:2])) >= (11, 8))


# A condition, its value, and where it looks.
INSIDE = (
    ("JSON_VALUE(i.doc, '$.of.ref') = {}", lambda n: "'R%d'" % (n * 1001), "$.of.ref"),
    ("JSON_UNQUOTE(JSON_EXTRACT(i.doc, '$.city')) IN ({}, 'c1')", lambda n: "'c%d'" % (n + 9), "$.city"),
    ("kind = 2 AND JSON_EXTRACT(doc, '$.of.ref') = {}", lambda n: "'R%d'" % (n * 999 + 2), "$.of.ref"),
)


@pytest.mark.parametrize("condition, value, path", INSIDE)
def test_a_value_inside_documents(s, shop, clocked, condition, value, path):
    texts = ["SELECT i.id, i.kind FROM item AS i WHERE " + condition.format(value(n)) for n in range(1, TIMES + 1)]
    rows = run(s, shop, texts)
    assert any(rows)
    (f,) = found(s, shop)
    assert (f["kind"], f["evidence"]["table"], f["evidence"]["columns"], f["evidence"]["path"]) == ("missing_index", shop.name + ".item", "doc", path), f
    assert path not in f["fix_text"] and "inside doc" in f["title"], f
    sees = takes(shop, condition.split("(")[0].split()[-1])
    assert ("fix_statement" not in f) == sees == ("stays as it is" in f["fix_text"]), f
    mended = texts if sees else [f["fix_statement"].replace("in(?+)", "in (?, 'c1')").replace("?", "2", condition.startswith("kind")).replace("?", value(n))
                                 for n in range(1, TIMES + 1)]
    before = clocked(texts)
    shop.setup(f["fix_sql"])
    after = clocked(mended)
    assert run(s, shop, mended) == rows
    timed.judge(f, 1 - timed.least(after) / timed.least(before))
    with shop.direct() as c:  # what no index could hold is written as before, and what is no name is not shown
        ask(c, "INSERT INTO item (id, doc) VALUES (-1, '{\"of\": {\"ref\": \"%s\"}, \"city\": \"%s\"}')" % ("r" * 3000, "c" * 3000))
        c.commit()
        assert len(ask(c, "SELECT * FROM item WHERE id = -1")[0]) == 3


@conftest.mariadb_only("MySQL compares JSON with numbers as JSON")
def test_a_number_inside_documents(s, shop, clocked):
    numbers = [n * 1234 for n in range(1, TIMES + 1)]
    texts = ["SELECT id FROM item WHERE JSON_VALUE(doc, '$.a') = %d" % n for n in numbers]
    rows = run(s, shop, texts)
    (f,) = found(s, shop)
    assert f["fix_statement"] == "select id from item where `doc_a` = concat(?)" and f["fix_needs"] == "both", f
    shop.setup(f["fix_sql"])
    assert run(s, shop, [f["fix_statement"].replace("?", str(n)) for n in numbers]) == rows


@conftest.mariadb_only("MySQL takes the column by itself")
def test_the_column_is_there_and_is_not_named(s, shop):
    run(s, shop, ["SELECT id FROM done WHERE JSON_UNQUOTE(JSON_EXTRACT(doc, '$.of.ref')) = 'R%d'" % n for n in range(TIMES)])
    if takes(shop, "JSON_UNQUOTE"):
        assert found(s, shop) == []
        return
    (f,) = found(s, shop)
    assert (f["evidence"]["table"], f["evidence"]["columns"], f["fix_sql"]) == (shop.name + ".done", "ref", "select id from done where `ref` = ?"), f
    assert "ref has an index" in f["fix_text"] and "cannot be used" in f["title"], f


def test_whoever_may_see_no_literals_sees_no_path(suimon, shop):
    """The path is one: what an application keeps by customer may be named by the customer (S2)."""
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    run(s, shop, ["SELECT id FROM item WHERE JSON_VALUE(doc, '$.of.ref') = 'R%d'" % n for n in range(TIMES)])
    (f,) = found(s, shop)
    assert f["evidence"]["path"] == "$.of.ref" and f["fix_sql"].startswith("ALTER TABLE")
    s.write({**s.config, "stats": {**s.config["stats"], "samples": False}})
    s.api("/api/config/reload", method="POST")
    (f,) = s.api("/api/findings")["findings"]
    assert "path" not in f["evidence"] and "fix_sql" not in f and "fix_statement" not in f and "of.ref" not in str(f) and "of_ref" not in str(f), f


FINE = (
    "SELECT JSON_VALUE(doc, '$.of.ref'), JSON_EXTRACT(doc, '$.a') FROM item WHERE id = {}",
    "SELECT id FROM few WHERE JSON_VALUE(doc, '$.of.ref') = 'R{}'",
    "SELECT id FROM done WHERE ref = 'R{}'",
    "SELECT id FROM item WHERE JSON_VALUE(doc, '$.kind') = 'k1' AND id <> {}",  # half of all
    "SELECT id FROM item WHERE JSON_VALUE(doc, '$.of.ref') = 'R1' OR kind = {}",
    "SELECT id FROM item WHERE NOT JSON_VALUE(doc, '$.of.ref') = 'R{}'",
    "SELECT id FROM item WHERE JSON_VALUE(doc, '$.odd') = {}",  # '049' is 49, and another string
    "SELECT id FROM item WHERE JSON_VALUE(doc, '$.a') > {}",    # as numbers
    "SELECT id FROM item WHERE LOWER(JSON_VALUE(doc, '$.of.ref')) = 'r{}'",
    "SELECT id FROM item WHERE JSON_UNQUOTE(JSON_EXTRACT(doc, CONCAT('$.of.', 'ref'))) = 'R{}'",
    "SELECT id FROM item WHERE JSON_UNQUOTE(JSON_EXTRACT(doc, '$.c{}')) = 'R1'",  # another member each time
    "SELECT id FROM item WHERE JSON_CONTAINS(doc, '{}', '$.a')",
)


def test_what_needs_none(s, shop):
    run(s, shop, [sql.format(n) for n in range(10, 10 + TIMES) for sql in FINE])
    with s.connect(database=shop.name) as c, c.cursor() as cursor:
        cursor.execute("PREPARE p FROM 'SELECT id FROM item WHERE JSON_VALUE(doc, ''$.of.ref'') = ?'")
    assert [(f["text"], f["fix_text"]) for f in found(s, shop) if f["kind"] == "missing_index"] == []
