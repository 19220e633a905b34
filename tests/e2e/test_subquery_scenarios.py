"""Subqueries behind IN, EXISTS and their opposites that are worked out whole for each statement, for want of an index on what is asked of them (S3)."""
import pytest

from conftest import ask, numbers, settle
from servers import wait_until
from test_index_scenarios import read, run

TABLES = ("CREATE TABLE usr (id INT PRIMARY KEY, code VARCHAR(20), town INT, KEY (town))",
          "INSERT INTO usr SELECT seq, CONCAT('c', seq), seq MOD 400 FROM " + numbers(1, 4000),
          "CREATE TABLE ev (id INT PRIMARY KEY, user_id INT NOT NULL, kind INT, code VARCHAR(20))",
          "INSERT INTO ev SELECT seq, seq * 31 MOD 2000, seq MOD 7, CONCAT('c', seq MOD 9000) FROM " + numbers(1, 60000),
          "CREATE TABLE kinds (id INT PRIMARY KEY, name VARCHAR(20))", "INSERT INTO kinds SELECT seq, CONCAT('k', seq) FROM " + numbers(0, 6), "ANALYZE TABLE usr, ev, kinds")

# {} is another number each time; the column that lacks an index.
LACKING = (
    ("SELECT u.id FROM usr u WHERE u.town = {} AND NOT EXISTS (SELECT 1 FROM ev e WHERE e.user_id = u.id)", "user_id"),
    ("SELECT u.id FROM usr u WHERE u.town = {} AND u.id NOT IN (SELECT e.user_id FROM ev e WHERE e.kind = 3)", "user_id"),
    ("SELECT u.id FROM usr u WHERE u.town = {} AND EXISTS (SELECT 1 FROM ev e WHERE e.user_id = u.id AND e.kind = 3)", "user_id"),
    ("SELECT id FROM usr WHERE town = {} AND id IN (SELECT user_id FROM ev)", "user_id"),
    ("SELECT `usr`.`id` FROM `usr` WHERE `usr`.`town` = {} AND `usr`.`code` NOT IN (SELECT DISTINCT `U0`.`code` FROM `ev` `U0`) ORDER BY `usr`.`id` DESC", "code"),
)

FINE = (
    "SELECT u.id FROM usr u WHERE u.id > {} AND NOT EXISTS (SELECT 1 FROM ev e WHERE e.user_id = u.id)",  # of each of its rows
    "SELECT u.id FROM usr u WHERE u.town = {} AND u.id NOT IN (SELECT e.user_id FROM ev e GROUP BY e.user_id HAVING COUNT(*) > 30)",  # of whole groups
    "SELECT u.id FROM usr u WHERE u.town = {} AND u.id NOT IN (SELECT MAX(e.user_id) FROM ev e)",
    "SELECT u.id FROM usr u WHERE u.town = {} AND u.id NOT IN (SELECT e.user_id + 1 FROM ev e)",
    "SELECT u.id FROM usr u WHERE u.town = {} AND u.id NOT IN (SELECT e.kind FROM ev e)",  # too many of each
    "SELECT u.id FROM usr u WHERE u.town = {} AND u.id NOT IN (SELECT e.user_id FROM ev e JOIN kinds k ON k.id = e.kind WHERE k.name <> 'k2')",
)


@pytest.fixture
def shop(db):
    db.setup(*TABLES)
    return db


def found(s, shop):
    """Once the adviser has spoken of all that ran."""
    def plans():
        rows = settle(s).api("/api/queries?limit=1000")["queries"]
        return [s.api("/api/queries/" + q["digest"])["plan"] for q in rows if q["schema"] == shop.name and q["verb"] == "select" and q["calls"] >= 12]
    wait_until("the adviser", lambda: all(plans()), 60, .5)
    return s.api("/api/findings")["findings"]


@pytest.mark.parametrize("sql,column", LACKING, ids=range(len(LACKING)))
def test_an_index_to_look_into_it_is_found(suimon, shop, sql, column):
    s = suimon({"stats": {"slow": "5s"}})
    run(s, shop.name, [sql])
    findings = found(s, shop)
    assert [(f["kind"], f["evidence"]["table"], f["evidence"]["columns"]) for f in findings] == [("missing_index", shop.name + ".ev", column)], findings
    f = findings[0]
    assert "the subquery" in f["fix_text"] and f["predicted"]["time_left"] < f["cost_seconds"] / 2, f
    with shop.direct() as c:
        before = read(c, sql.format(15))
        shop.setup(f["fix_sql"])
        after = read(c, sql.format(15))
    assert sorted(after[0]) == sorted(before[0]) and after[1] < before[1] / 10, (before[1], after[1])


def test_where_none_would_serve(suimon, shop):
    s = suimon({"stats": {"slow": "5s"}})
    run(s, shop.name, FINE)
    assert [(f["kind"], f["text"], f.get("fix_sql")) for f in found(s, shop) if f["kind"] == "missing_index"] == []
