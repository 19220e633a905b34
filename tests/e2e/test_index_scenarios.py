"""Statements that lack an index, or keep one from being used, in forms that applications have; and some that only seem to (S3)."""
import pytest

import conftest
from conftest import ask
from servers import wait_until
from test_more_scenarios import found

pytestmark = conftest.mariadb_only("the tables are made with its sequences")

TABLES = """CREATE TABLE cust (id INT PRIMARY KEY, email VARCHAR(60), code VARCHAR(20), created DATETIME, score INT, KEY (created));
    INSERT INTO cust SELECT seq, CONCAT('u', seq, '@x.org'), CONCAT('C', seq), '2019-01-01' + INTERVAL seq * 57 MINUTE, seq * 7919 MOD 10007 FROM seq_1_to_30000;
    CREATE TABLE ev (id INT PRIMARY KEY, user_id INT, at DATETIME, kind INT, tenant INT, KEY tenant_at (tenant, at));
    INSERT INTO ev SELECT seq, seq * 31 MOD 2000, '2022-01-01' + INTERVAL seq MINUTE, seq MOD 7, seq DIV 3 MOD 4 FROM seq_1_to_30000;
    CREATE TABLE job (id INT PRIMARY KEY, state VARCHAR(10), owner INT); INSERT INTO job SELECT seq, IF(seq MOD 9 = 0, 'ready', 'done'), seq MOD 1500 FROM seq_1_to_20000;
    CREATE TABLE ext (id INT PRIMARY KEY, ev_ref VARCHAR(20), note INT); INSERT INTO ext SELECT seq, seq * 2, seq MOD 400 FROM seq_1_to_8000;
    CREATE VIEW handles AS SELECT c.id, c.code AS handle, x.note FROM cust AS c LEFT JOIN ext AS x ON x.id = c.id WHERE c.score <> 3;
    ANALYZE TABLE cust, ev, job, ext"""

# A statement whose {} is another number each time; the table and the columns of the index that it lacks.
LACKING = (
    ("SELECT e.id FROM ev AS e WHERE e.at = (SELECT MAX(at) FROM ev AS m WHERE m.user_id = e.user_id) AND e.user_id = {}", "ev", "user_id, at"),
    ("SELECT id FROM job WHERE state = 'ready' AND owner = {} FOR UPDATE SKIP LOCKED", "job", "owner, state"),
    ("SELECT id, note FROM handles WHERE handle = 'C1{}0'", "cust", "code"),  # c, which only the view knows
    ("SELECT id FROM job WHERE owner = {} LOCK IN SHARE MODE", "job", "owner"),
    ("SELECT id, code FROM cust WHERE email = 'u2{}00@x.org' ORDER BY id LIMIT 1", "cust", "email"),  # the primary key ends each index as it is
)

# An index is there and cannot be used; how the statement is mended.
HIDDEN = (
    ("SELECT id FROM cust WHERE DATE(created) BETWEEN '2019-03-{0}' AND '2019-03-{0}'", "(created >= '2019-03-{0}' and created < '2019-03-{0}' + interval 1 day)"),
    ("SELECT id, code FROM cust WHERE DATE(created) >= '2022-03-{0}'", "created >= '2022-03-{0}'"),
    ("SELECT id, code FROM cust WHERE DATE(created) <= '2019-01-{0}'", "created < '2019-01-{0}' + interval 1 day"),
    ("SELECT id, email FROM cust WHERE YEAR(created) > 2000 + {0}", None),  # what is behind the value belongs to it
    ("SELECT id, email FROM cust WHERE created > '2022-01-{0}' AND YEAR(created) < 1990", "created < makedate(1990, 1)"),
    ("SELECT id, email, score FROM cust WHERE created LIKE '2019-03-{0}%'", None),
)

OF_THE_SERVER = (
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_ROWS > {}",
    "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE COLUMN_NAME = 'c{}'",
)
FINE = (
    "SELECT id, email, {} FROM cust ORDER BY score",  # all rows, in an order: looked up one by one, they would take longer
    "SELECT id, email FROM cust ORDER BY score LIMIT 10 OFFSET 200{}",
    "SELECT e.id FROM ev AS e JOIN ext AS x ON x.ev_ref = e.id WHERE e.id BETWEEN {} AND 90",  # a string joined with a number: an index would not serve
    "SELECT id FROM cust WHERE DATE(created) NOT IN ('2020-01-{}')",
    "SELECT id, kind FROM ev WHERE at LIKE '2022-01-{}%'",  # of a date LIKE makes a string: no index would serve it
    "SELECT id, code FROM cust WHERE score LIKE '77{}%'",
)


@pytest.fixture
def shop(db):
    db.setup(*TABLES.split(";"))
    return db


def read(connection, sql):
    """The rows, and how many were read for them, by an index or row by row."""
    def so_far():
        return sum(int(n) for _, n in ask(connection, "SHOW SESSION STATUS LIKE 'Handler_read%'"))
    before = so_far()
    rows = ask(connection, sql)
    return rows, so_far() - before


def run(instance, schema, statements):
    with instance.connect(database=schema) as c:
        for n in range(10, 22):
            for sql in statements:
                ask(c, sql.format(n))
            c.commit()


def test_what_lacks_an_index_is_found_and_mended(suimon, shop):
    s = suimon({"stats": {"slow": "5s"}})
    run(s, shop.name, [sql for sql, _, _ in LACKING])
    findings = found(s, shop, 12)
    assert sorted((f["kind"], f["evidence"]["table"].split(".")[1], f["evidence"]["columns"]) for f in findings) == \
        sorted(("missing_index", table, columns) for _, table, columns in LACKING), findings
    with shop.direct() as c:
        before = [read(c, sql.format(15)) for sql, _, _ in LACKING]
        c.rollback()
        shop.setup(*[f["fix_sql"] for f in findings])
        after = [read(c, sql.format(15)) for sql, _, _ in LACKING]
    assert [a[0] for a in after] == [b[0] for b in before]
    assert all(a[1] < b[1] / 10 for a, b in zip(after, before)), (before, after)


def test_an_index_that_serves_a_part_of_the_condition(suimon, shop):
    """The tenant's rows are found, and nearly all dropped again: no server flags that, but it takes long."""
    s = suimon({"stats": {"slow": "1us"}})
    slow = "SELECT id, kind FROM ev WHERE tenant = 2 AND user_id = {} ORDER BY at DESC LIMIT 5"
    fine = ("SELECT id, kind FROM ev WHERE tenant = 2 AND kind = 3 AND id > {} ORDER BY at DESC LIMIT 5", "SELECT COUNT(*) FROM ev WHERE tenant = 2 AND at > '2022-01-{}'",
            "SELECT id FROM ev WHERE tenant = 2 AND kind <> {} ORDER BY at LIMIT 5")
    run(s, shop.name, (slow, *fine))

    def explained():
        rows = s.api("/api/queries?limit=1000")["queries"]
        return all(q["rows_examined"] is not None for q in rows if q["verb"] == "select" and q["table"] == "ev" and q["calls"] >= 12)
    wait_until("the adviser", explained, 60, .2)
    findings = s.api("/api/findings")["findings"]
    assert len(findings) == 1, "\n".join("%s: %s" % (f["text"], f["fix_text"]) for f in findings)
    f = findings[0]
    assert (f["kind"], f["evidence"]["table"], f["evidence"]["columns"]) == ("missing_index", shop.name + ".ev", "user_id, tenant, at"), f
    assert "are found by the index tenant_at" in f["fix_text"], f
    with shop.direct() as c:
        rows, before = read(c, slow.format(15))
        shop.setup(f["fix_sql"])
        again, after = read(c, slow.format(15))
    assert again == rows and after < before / 10, (before, after)


def test_rounded_dates_are_searched_for_as_ranges(suimon, shop):
    s = suimon({"stats": {"slow": "5s"}})
    run(s, shop.name, [sql for sql, _ in HIDDEN])
    findings = found(s, shop, 12)
    mended = [f.get("fix_sql", "") for f in findings]
    assert [("is no string" in f["fix_text"], "fix_sql" in f) for f in findings if " like " in f["text"]] == [(True, False)], findings
    assert {(f["evidence"]["table"], f["evidence"]["columns"]) for f in findings} == {(shop.name + ".cust", "created")}, findings
    with shop.direct() as c:
        for sql, condition in HIDDEN[:3]:
            whole = sql.format(15).split("WHERE")[0] + "WHERE " + condition.format(15)
            assert ask(c, whole) == ask(c, sql.format(15)) and ask(c, whole), sql
    for _, condition in HIDDEN[:3]:
        assert [m for m in mended if m.endswith(condition.format("x").replace("'2019-03-x'", "?").replace("'2022-03-x'", "?").replace("'2019-01-x'", "?"))], mended
    assert not [m for m in mended if "makedate(? + 1, 1)" in m], mended


# A condition whose {} is another number each time, the column, the condition mended, and what its question marks then stand for.
MENDED = {
    "cast": ("CAST(created AS DATE) = '2019-03-{}'", "created", "(created >= ? and created < ? + interval 1 day)", ["'2019-03-15'", "'2019-03-15'"]),
    "today": ("DATE(created) = CURDATE() AND score <> {}", "created", "(created >= curdate() and created < curdate() + interval 1 day) and score <> ?", ["15"]),
    "lately": ("DATE(created) >= CURDATE() - INTERVAL 1 DAY AND score <> {}", "created", "created >= curdate() - interval ? day and score <> ?", ["1", "15"]),
    "month": ("YEAR(created) = 2019 AND MONTH(created) = 3 AND score <> {}", "created",
              "(created >= makedate(?, 1) + interval ? - 1 month and created < makedate(?, 1) + interval ? month) and score <> ?", ["2019", "3", "2019", "3", "15"]),
    "of the year": ("MONTH(created) = 12 AND YEAR(created) = 2019 AND score <> {}", "created",
                    "(created >= interval ? - 1 month + makedate(?, 1) and created < interval ? month + makedate(?, 1)) and score <> ?", ["12", "2019", "12", "2019", "15"]),
    "extracted": ("EXTRACT(YEAR FROM created) = 2019 AND EXTRACT(MONTH FROM created) = 3 AND score <> {}", "created",
                  "(created >= makedate(?, 1) + interval ? - 1 month and created < makedate(?, 1) + interval ? month) and score <> ?", ["2019", "3", "2019", "3", "15"]),
    "left": ("LEFT(name, 6) = 'n10{}7'", "name", "(left(name, ?) = ? and name like concat(?, '%'))", ["6", "'n10157'", "'n10157'"]),
    "of bytes": ("name LIKE BINARY 'n10{}%'", "name", "(name like binary ? and name like ?)", ["'n1015%'", "'n1015%'"]),
}


@pytest.mark.parametrize("condition,column,mended,values", MENDED.values(), ids=MENDED)
def test_what_rounds_or_cuts_is_mended(suimon, shop, condition, column, mended, values):
    """The same rows, of which few are read."""
    shop.setup("ALTER TABLE cust ADD COLUMN name VARCHAR(30), ADD INDEX (name)", "UPDATE cust SET name = CONCAT('n', 100000 + id * 3, ' of all')",
               "UPDATE cust SET created = CURDATE() + INTERVAL id MINUTE WHERE id < 100", "ANALYZE TABLE cust")
    s, head = suimon({"stats": {"slow": "5s"}}), "SELECT id, code FROM cust WHERE "
    run(s, shop.name, [head + condition])
    (f,) = found(s, shop, 12)
    assert (f["evidence"]["table"], f["evidence"]["columns"], f["fix_sql"].lower()) == (shop.name + ".cust", column, head.lower() + mended), f
    assert f["predicted"]["time_saved"] > f["cost_seconds"] / 4, f
    with shop.direct() as c:
        rows, before = read(c, head + condition.format(15))
        again, after = read(c, head + mended.replace("?", "{}").format(*values))
    assert sorted(rows) == sorted(again) and rows and after < before / 10, (before, after)


# Read in an index's order until the LIMIT is reached, which the server hopes is soon; and how it is mended.
IN_ORDER = (
    ("SELECT id, code FROM cust WHERE LOWER(email) = 'u2{}00@x.org' ORDER BY id LIMIT 1", "email", "email = 'u2{}00@x.org' ORDER BY id LIMIT 1"),
    ("SELECT id, code FROM cust WHERE DATE(created) = '2019-03-{}' ORDER BY id DESC LIMIT 20", "created", "created >= '2019-03-{0}' AND created < '2019-03-{0}' + INTERVAL 1 DAY ORDER BY id DESC LIMIT 20"),
    ("SELECT email FROM cust WHERE DATE(created) = '2019-04-{}' ORDER BY created LIMIT 5", "created", "created >= '2019-04-{0}' AND created < '2019-04-{0}' + INTERVAL 1 DAY ORDER BY created LIMIT 5"),
    ("SELECT id FROM cust WHERE ref = 2{}00 ORDER BY id LIMIT 1", "ref", "ref = '2{}00' ORDER BY id LIMIT 1"),
)
# It is reached soon, or the index would find too many.
SOON = (
    "SELECT id, email FROM cust WHERE YEAR(created) = 2019 AND id <> {} ORDER BY id LIMIT 20",
    "SELECT id, code, score FROM cust WHERE COALESCE(email, '') <> '' ORDER BY id DESC LIMIT {}",
    "SELECT id, code FROM cust WHERE ref > {} ORDER BY id LIMIT 3",
    "SELECT email, code FROM cust WHERE MONTH(created) = 3 ORDER BY id LIMIT {}",
)


def test_what_keeps_from_searching_where_a_limit_is_hoped_for(suimon, shop):
    """The first of a day, or whoever has this address, as ORMs ask for it: by the primary key, until one is found."""
    shop.setup("ALTER TABLE cust ADD COLUMN ref VARCHAR(20), ADD INDEX (ref), ADD INDEX mail (email)", "UPDATE cust SET ref = id", "ANALYZE TABLE cust")
    s = suimon({"stats": {"slow": "5s"}})
    run(s, shop.name, [sql for sql, _, _ in IN_ORDER] + list(SOON))
    findings = found(s, shop, 12)
    assert sorted((f["kind"], f["evidence"]["table"], f["evidence"]["columns"]) for f in findings) == \
        sorted(("missing_index", shop.name + ".cust", column) for _, column, _ in IN_ORDER), findings
    for f in findings:
        assert f["fix_sql"].startswith("select ") and "are read in an index's order" in f["evidence"]["reason"], f
        assert f["predicted"]["time_saved"] > f["cost_seconds"] / 2, f
    with shop.direct() as c:
        for sql, _, mended in IN_ORDER:
            head = sql.split("WHERE")[0] + "WHERE "
            rows, before = read(c, sql.format(15))
            again, after = read(c, head + mended.format(15))
            assert again == rows and rows and after < before / 10, (sql, before, after)


def test_a_mended_statement_names_its_tables_as_they_were_sent(suimon, shop):
    shop.setup("CREATE TABLE DoneJobs (Id INT PRIMARY KEY, EndedAt DATETIME, KEY (EndedAt))",
               "INSERT INTO DoneJobs SELECT seq, '2019-01-01' + INTERVAL seq * 57 MINUTE FROM seq_1_to_20000")
    s = suimon({"stats": {"slow": "5s"}})
    run(s, shop.name, ["SELECT D.Id FROM DoneJobs D WHERE DATE(D.EndedAt) = '2019-03-{}'"])
    (f,) = found(s, shop, 12)
    assert f["fix_sql"] == "select D.Id from DoneJobs D where (D.EndedAt >= ? and D.EndedAt < ? + interval 1 day)", f
    with shop.direct() as c:
        assert ask(c, f["fix_sql"].replace("?", "'2019-03-15'"))


def test_what_an_index_would_not_help(suimon, shop):
    s = suimon({"stats": {"slow": "5s"}})
    run(s, shop.name, FINE)
    run(s, None, OF_THE_SERVER)
    for f in found(s, shop, 12):  # how far the page is, is said: how much a page by key saves is not, as it takes an index first
        assert f["kind"] == "heavy_aggregate" and "OFFSET" in f["evidence"]["example"], f
        assert f["predicted"] is None and "add one" in f["fix_text"] and "has no index" not in f["fix_text"], f  # it may have one
