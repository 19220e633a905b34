"""Loops as applications have them, of keys of two columns, within each other, and what only looks like one (S3)."""
import os
import random
import subprocess

import pytest

import conftest
from conftest import ask, settle
from servers import wait_until
from test_scenarios import explained

pytestmark = conftest.mariadb_only("the tables are made with its sequences")

LOOPS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ruby", "loops.rb")
TABLES = """CREATE TABLE ord (id INT PRIMARY KEY, cust INT, region INT, KEY (cust), KEY (region)); INSERT INTO ord SELECT seq, 1000 + seq * 7 MOD 900, seq MOD 20 FROM seq_1_to_4000;
    CREATE TABLE item (ord_id INT, line INT, prod INT, PRIMARY KEY (ord_id, line)); INSERT INTO item SELECT seq DIV 4 + 1, seq MOD 4, 20000 + seq * 13 MOD 3000 FROM seq_1_to_15000;
    CREATE TABLE prod (id INT PRIMARY KEY, name VARCHAR(30), cat INT, KEY (cat)); INSERT INTO prod SELECT seq + 20000, CONCAT('p', seq), seq MOD 40 FROM seq_0_to_3000;
    CREATE TABLE cust (region INT, no INT, name VARCHAR(30), PRIMARY KEY (region, no)); INSERT INTO cust SELECT seq MOD 20, seq, CONCAT('c', seq) FROM seq_1_to_4000;
    CREATE TABLE review (id INT PRIMARY KEY, prod_id INT, stars INT); INSERT INTO review SELECT seq, 20000 + seq * 17 MOD 3000, seq MOD 5 FROM seq_1_to_20000;
    ANALYZE TABLE ord, item, prod, cust, review"""


@pytest.fixture
def shop(db):
    db.setup(*TABLES.split(";"))
    return db


@pytest.fixture
def counted(suimon, shop):
    return suimon({"stats": {"slow": "5s"}})


def loops(s):
    """By the child's text and the parent's."""
    settle(s)
    return {(f["text"], f["evidence"]["parent_text"]): f for f in s.api("/api/findings")["findings"] if f["kind"] == "n_plus_one"}


ORDERS = "select id, cust from ord where id between ? and ?"
ITEMS = "select line, prod from item where ord_id = ?"
PRODUCT = "select name from prod where id = ?"


@pytest.mark.parametrize("depth_first", (True, False))
def test_a_loop_within_a_loop(counted, shop, depth_first):
    with counted.connect(database=shop.name) as c:
        def products(items):
            for _, prod in items:
                ask(c, "SELECT name FROM prod WHERE id = %d" % prod)
        for page in range(4):
            seen = []
            for number, _ in ask(c, "SELECT id, cust FROM ord WHERE id BETWEEN %d AND %d" % (page * 50 + 1, page * 50 + 15)):
                items = ask(c, "SELECT line, prod FROM item WHERE ord_id = %d" % number)
                if depth_first:
                    products(items)
                seen += items
            if not depth_first:
                products(seen)
    found = loops(counted)
    assert set(found) == {(ITEMS, ORDERS), (PRODUCT, ITEMS)}
    assert [found[k]["evidence"]["occurrences"] for k in ((ITEMS, ORDERS), (PRODUCT, ITEMS))] == [4, 4]
    assert found[PRODUCT, ITEMS]["evidence"]["queries"] == 239  # the first order has three items
    assert found[PRODUCT, ITEMS]["evidence"]["values_from_list_share"] > .8


def test_a_loop_within_a_loop_whose_rows_are_many(counted, shop):
    """Each look-up of both loops returns several rows: what the inner one reads is no list of the outer one."""
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            for number, _ in ask(c, "SELECT id, cust FROM ord WHERE id BETWEEN %d AND %d" % (page * 50 + 2, page * 50 + 11)):
                for _, prod in ask(c, "SELECT line, prod FROM item WHERE ord_id = %d" % number):
                    ask(c, "SELECT id, stars FROM review WHERE prod_id = %d ORDER BY stars" % prod)
    assert set(loops(counted)) == {(ITEMS, ORDERS), ("select id, stars from review where prod_id = ? order by stars", ITEMS)}


@pytest.mark.parametrize("beside", (False, True), ids=("behind", "beside"))
def test_two_loops_over_one_list(counted, shop, beside):
    """One behind the other, or row by row; what the first one reads of each row is many rows or one."""
    shop.setup("ALTER TABLE review ADD INDEX (prod_id)")
    first = "select name from prod where id = ?" if not beside else "select id, stars from review where prod_id = ?"
    second = "select cat from prod where id = ?"
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            prods = [r[0] for r in ask(c, "SELECT prod, line FROM item WHERE ord_id BETWEEN %d AND %d" % (page * 50 + 2, page * 50 + 6))]
            for text in (first, second) if not beside else ((first, second),):
                for prod in prods:
                    for each in (text,) if not beside else text:
                        ask(c, each.replace("?", str(prod)))
    found = loops(counted)
    assert set(found) == {(text, "select prod, line from item where ord_id between ? and ?") for text in (first, second)}
    assert {f["evidence"]["queries"] for f in found.values()} == {100}


def test_what_a_list_speaks_of_lies_in_two_tables(counted, shop):
    """A polymorphic association: first come all that point to the one, then those that point to the other."""
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            rows = ask(c, "SELECT id, cust FROM ord WHERE id BETWEEN %d AND %d" % (page * 50 + 2, page * 50 + 31))
            for n, (number, _) in enumerate(rows):
                ask(c, ("SELECT prod FROM item WHERE ord_id = %d LIMIT 1" if n < 15 else "SELECT stars FROM review WHERE id = %d LIMIT 1") % number)
    found = loops(counted)
    assert {text: (parent, found[text, parent].get("fix_sql")) for text, parent in found} == {
        "select prod from item where ord_id = ? limit ?": (ORDERS, None),  # the others of an order's are cut off
        "select stars from review where id = ? limit ?": (ORDERS, "select stars, id from review where id in (?, ?, ...)")}


def test_look_ups_behind_a_loop_are_none(counted, shop):
    """The next request on a pooled connection: its values are not of the list before."""
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            for number, cust in ask(c, "SELECT id, cust FROM ord WHERE id BETWEEN %d AND %d" % (page * 50 + 2, page * 50 + 21)):
                ask(c, "SELECT prod FROM item WHERE ord_id = %d AND line = 1" % number)
            for n in range(20):
                ask(c, "SELECT name FROM prod WHERE id = %d" % (20000 + page * 100 + n))
            for n in range(12):  # some of them are among these by chance
                ask(c, "SELECT stars FROM review WHERE id = %d" % (page * 50 + 2 + n * 37 % 40))
    assert [text for text, _ in loops(counted)] == ["select prod from item where ord_id = ? and line = ?"]


@pytest.mark.parametrize("way", ("in order", "backwards", "each twice", "all twice", "sorted otherwise"))
def test_a_list_may_be_gone_through_in_any_order(counted, shop, way):
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            keys = [r[0] for r in ask(c, "SELECT id, cust FROM ord WHERE id BETWEEN %d AND %d" % (page * 50 + 2, page * 50 + 13))]
            keys = {"in order": keys, "backwards": keys[::-1], "each twice": sorted(2 * keys), "all twice": 2 * keys,
                    "sorted otherwise": random.Random(page).sample(keys, len(keys))}[way]
            for key in keys:
                ask(c, "SELECT prod FROM item WHERE ord_id = %d AND line = 1" % key)
    (f,) = loops(counted).values()
    assert f["evidence"]["queries"] == 5 * len(keys) and f["evidence"]["values_from_list_share"] == 1, f


@pytest.mark.parametrize("rows", (12, 20, 40))
def test_requests_for_one_row_each_of_what_another_has_listed_are_no_loop(counted, shop, rows):
    """On a connection that they share, with nothing between: the list's page now and then, and whichever of its rows is clicked on."""
    clicks = random.Random(rows)
    with counted.connect(database=shop.name) as c:
        for n in range(600):
            if n == 0 or clicks.random() < .1:
                keys = [r[0] for r in ask(c, "SELECT id, cust FROM ord ORDER BY id DESC LIMIT %d" % rows)]
            else:
                ask(c, "SELECT prod FROM item WHERE ord_id = %d AND line = 1" % clicks.choice(keys))
    assert loops(counted) == {}


@pytest.mark.parametrize("reads", (1, 2, 4))
def test_pages_of_several_reads_each_for_one_row_are_no_loops(counted, shop, reads):
    """Likewise, where the page that is clicked on asks for more: all of it by the same number, its lines among them, which have it, too."""
    texts = ("SELECT cust FROM ord WHERE id = %d", "SELECT ord_id, line, prod FROM item WHERE ord_id = %d", "SELECT prod FROM item WHERE ord_id = %d AND line = 1",
             "SELECT stars FROM review WHERE id = %d")
    clicks = random.Random(reads)
    with counted.connect(database=shop.name) as c:
        for n in range(300):
            if n % 12 == 0:
                keys = [r[0] for r in ask(c, "SELECT id, cust FROM ord ORDER BY id DESC LIMIT 20")]
            key = clicks.choice(keys)
            for text in texts[:reads]:
                ask(c, text % key)
    assert loops(counted) == {}


def test_what_was_sorted_may_be_gone_through_again(counted, shop):
    """A page that shows its rows in an order of its own, and some of them in another place once more."""
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            keys = [r[0] for r in ask(c, "SELECT id, cust FROM ord WHERE id BETWEEN %d AND %d" % (page * 50 + 2, page * 50 + 13))]
            for key in random.Random(page).sample(keys, 12) + random.Random(page + 9).sample(keys, 6):
                ask(c, "SELECT prod FROM item WHERE ord_id = %d AND line = 1" % key)
    (f,) = loops(counted).values()
    assert (f["evidence"]["occurrences"], f["evidence"]["queries"]) == (5, 90), f


def test_the_list_whose_rows_speak_of_others_is_the_parent(counted, shop):
    """Between it and its loop what can be chosen from is read: that has the keys, too, each once and in another order."""
    shop.setup("CREATE TABLE kind (id INT PRIMARY KEY, name VARCHAR(40))", "INSERT INTO kind SELECT seq, MD5(seq) FROM seq_1_to_12",
               "CREATE TABLE thing (id INT PRIMARY KEY, kind INT)", "INSERT INTO thing SELECT seq + 1000, CONV(LEFT(MD5(seq), 4), 16, 10) MOD 12 + 1 FROM seq_1_to_500")
    with counted.connect(database=shop.name) as c:
        for page in range(8):
            kinds = [r[1] for r in ask(c, "SELECT id, kind FROM thing WHERE id BETWEEN %d AND %d" % (page * 50 + 1001, page * 50 + 1020))]
            ask(c, "SELECT id, name FROM kind ORDER BY name")
            for kind in kinds:
                ask(c, "SELECT id, name FROM kind WHERE id = %d" % kind)
    found = loops(counted)
    assert set(found) == {("select id, name from kind where id = ?", "select id, kind from thing where id between ? and ?")}
    assert found.popitem()[1]["evidence"]["queries"] == 160


@pytest.mark.parametrize("columns,length", ((4, 3000), (16, 1500), (16, 3500), (40, 5000)))
def test_of_a_list_of_long_rows_the_beginning_tells(counted, shop, columns, length):
    """Its first rows alone are kept for a moment; the loop goes on behind them."""
    rest = ", ".join("cust %% 7 + %d AS c%d" % (n, n) for n in range(columns - 3))
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            for row in ask(c, "SELECT id, REPEAT('x', %d) AS body, cust, %s FROM ord WHERE id BETWEEN %d AND %d" % (length, rest, page * 50 + 502, page * 50 + 521)):
                ask(c, "SELECT prod FROM item WHERE ord_id = %d AND line = 1" % row[0])
    (f,) = loops(counted).values()
    assert f["evidence"]["queries"] == 100, f


def test_of_a_list_of_long_rows_what_stands_nowhere_is_no_loop(counted, shop):
    rest = ", ".join("cust % 7 + {0} AS c{0}".format(n) for n in range(16))
    clicks = random.Random(5)
    with counted.connect(database=shop.name) as c:
        for page in range(8):
            ask(c, "SELECT id, REPEAT('x', 1500) AS body, cust, %s FROM ord WHERE id BETWEEN %d AND %d" % (rest, page * 50 + 502, page * 50 + 521))
            for n in range(20):
                ask(c, "SELECT prod FROM item WHERE ord_id = %d AND line = 1" % clicks.randrange(2000, 3000))
    assert loops(counted) == {}


def test_a_key_of_two_columns(counted, shop):
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            for number, region in ask(c, "SELECT id, region FROM ord WHERE id > %d ORDER BY id LIMIT 20" % (page * 37)):
                ask(c, "SELECT name FROM cust WHERE region = %d AND no = %d" % (region, number))
    (f,) = loops(counted).values()
    assert (f["text"], f["evidence"]["queries"], f["evidence"]["values_from_list_share"]) == ("select name from cust where region = ? and no = ?", 100, 1)


@pytest.mark.parametrize("child,batched", (
    ("SELECT line, prod FROM item WHERE prod IS NOT NULL AND ord_id = {} ORDER BY line DESC",
     "select line, prod, ord_id from item where prod is not null and ord_id in (?, ?, ...) order by line desc"),
    ("SELECT line FROM item WHERE prod > 19000 AND ord_id = {} AND prod <> 0", "select line, ord_id from item where prod > ? and ord_id in (?, ?, ...) and prod <> ?"),
    ("SELECT line FROM item WHERE (ord_id = {}) AND (prod AND NOT line) ORDER BY line",
     "select line, ord_id from item where (ord_id in (?, ?, ...)) and (prod and not line) order by line"),
    ("SELECT COUNT(*) FROM item WHERE ord_id = {}", "select ord_id, count(*) from item where ord_id in (?, ?, ...) group by ord_id"),
    ("SELECT stars FROM review WHERE id = {} LIMIT 1", "select stars, id from review where id in (?, ?, ...)"),
    ("SELECT 1 AS one FROM item WHERE line AND (ord_id = {}) LIMIT 1", "select distinct ord_id from item where line and (ord_id in (?, ?, ...))"),
), ids=("conditions", "values", "truth", "number", "a row by its id", "any"))
def test_the_statement_for_all_keys_gives_what_each_gave(counted, shop, child, batched):
    rows = []
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            keys = [r[0] for r in ask(c, "SELECT id, cust FROM ord WHERE id BETWEEN %d AND %d" % (page * 50 + 2, page * 50 + 21))]
            rows.append([ask(c, child.format(key)) for key in keys])
    (f,) = loops(counted).values()
    assert f["fix_sql"] == batched and f["evidence"]["queries"] == 100, f
    with shop.direct() as c:
        at_once = ask(c, batched.replace("?, ?, ...", ", ".join(map(str, keys))).replace("> ?", "> 19000").replace("<> ?", "<> 0"))
    if "distinct" in batched:
        assert sorted(k for k, in at_once) == sorted(key for key, each in zip(keys, rows[-1]) if each)
    elif "count" in batched:
        assert dict(at_once) == {key: n for key, ((n,),) in zip(keys, rows[-1])}
    else:  # the key tells whose each row is
        assert sorted(at_once) == sorted((*r, key) for key, each in zip(keys, rows[-1]) for r in each)


REMARKS = ("CREATE TABLE remark (id INT PRIMARY KEY, kind VARCHAR(10), thing INT, tenant INT, words VARCHAR(20), KEY (kind, thing))",
           "INSERT INTO remark SELECT seq, ELT(seq MOD 2 + 1, 'ord', 'prod'), seq DIV 8, 7, CONCAT('w', seq) FROM seq_1_to_20000")


def test_of_several_values_the_key_is_the_one_that_varies(counted, shop):
    """Remarks on things of any kind: the kind is the same in each run; of a key of two columns neither is."""
    shop.setup(*REMARKS)
    child = "SELECT words FROM remark WHERE kind = 'ord' AND thing = {} AND tenant = 7 ORDER BY id"
    with counted.connect(database=shop.name) as c:
        for page in range(5):
            keys = [r[0] for r in ask(c, "SELECT id, cust FROM ord WHERE id BETWEEN %d AND %d" % (page * 50 + 2, page * 50 + 21))]
            rows = [ask(c, child.format(key)) for key in keys]
        for page in range(5):  # in the same session, whose lists so far have nothing to do with these
            for number, region in ask(c, "SELECT id, region FROM ord WHERE id > %d ORDER BY id LIMIT 20" % (page * 37)):
                ask(c, "SELECT name FROM cust WHERE region = %d AND no = %d" % (region, number))
    found = {text: f.get("fix_sql") for (text, _), f in loops(counted).items()}
    assert found == {"select words from remark where kind = ? and thing = ? and tenant = ? order by id":
                     "select words, thing from remark where kind = ? and thing in (?, ?, ...) and tenant = ? order by id",
                     "select name from cust where region = ? and no = ?": None}
    fix = next(sql for sql in found.values() if sql).replace("?, ?, ...", ", ".join(map(str, keys)))
    with shop.direct() as c:
        at_once = ask(c, fix.replace("kind = ?", "kind = 'ord'").replace("tenant = ?", "tenant = 7"))
    assert sorted(at_once) == sorted((*r, key) for key, each in zip(keys, rows) for r in each) and at_once


@pytest.mark.parametrize("loop,batched", (
    ("beside_literals", "select words, thing from remark where kind = ? and thing in (?, ?, ...) and tenant > ?"),
    ("beside_a_value", "select words, thing from remark where kind = ? and thing in (?, ?, ...) and id > ?"),
    ("beside_a_literal_that_varies", None),  # which no value that is bound tells
))
def test_of_a_prepared_statement_likewise(counted, shop, loop, batched):
    shop.setup(*REMARKS)
    done = subprocess.run(["ruby", LOOPS, str(counted.mysql_port), shop.name, loop], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True)
    assert done.returncode == 0, done.stdout
    (f,) = loops(counted).values()
    assert (f.get("fix_sql"), f["evidence"]["queries"]) == (batched, 200), f


@pytest.mark.parametrize("samples", (True, False))
def test_names_are_written_as_they_were_sent(suimon, shop, samples):
    """Else the server would not find the table."""
    shop.setup("CREATE TABLE OrderLines (Id INT PRIMARY KEY, OrderId INT, Words VARCHAR(20), KEY (OrderId))",
               "INSERT INTO OrderLines SELECT seq, seq DIV 4, CONCAT('W', seq) FROM seq_1_to_20000")
    s = suimon({"stats": {"slow": "5s", "samples": samples}})
    with s.connect(database=shop.name) as c:
        for page in range(5):
            keys = [r[0] for r in ask(c, "SELECT id, cust FROM ord WHERE id BETWEEN %d AND %d" % (page * 50 + 2, page * 50 + 21))]
            rows = [ask(c, "/* a Comment */ SELECT `L`.`Words` FROM `OrderLines` AS `L` WHERE `L`.`OrderId` = %d" % key) for key in keys]
    (f,) = loops(s).values()
    assert f["text"] == "select `l`.`words` from `orderlines` as `l` where `l`.`orderid` = ?"
    if not samples:  # nobody can say then how the names are written
        assert "fix_sql" not in f, f
        return
    assert f["fix_sql"] == "select `L`.`Words`, `L`.`OrderId` from `OrderLines` as `L` where `L`.`OrderId` in (?, ?, ...)"
    with shop.direct() as c:
        at_once = ask(c, f["fix_sql"].replace("?, ?, ...", ", ".join(map(str, keys))))
    assert sorted(at_once) == sorted((*r, key) for key, each in zip(keys, rows) for r in each)


def test_a_loop_without_an_index_is_foretold_as_one_scan(counted, shop):
    texts = []
    with counted.connect(database=shop.name) as c:
        for cat in range(4):
            for (prod,) in ask(c, "SELECT id FROM prod WHERE cat = %d LIMIT 20" % cat):
                texts.append("SELECT stars FROM review WHERE prod_id = %d" % prod)
                ask(c, texts[-1])
    settle(counted)
    wait_until("the adviser", lambda: explained(counted, shop), 60, .2)  # whose word is how many rows each of them reads
    (f,) = loops(counted).values()
    p = f["predicted"]
    assert f["text"] == "select stars from review where prod_id = ?"
    assert p["time_saved"] > .8 * (p["time_saved"] + p["time_left"]), p  # 19 of 20


def test_numbers_that_stand_in_a_list_by_chance(counted, shop):
    with counted.connect(database=shop.name) as c:
        for sql in ("SELECT id FROM ord WHERE region = %d ORDER BY id LIMIT 40", # each holds one of the numbers, or the last many
                    "SELECT cust FROM ord WHERE id = %d",
                    "SELECT prod FROM item WHERE ord_id = %d",
                    "SELECT id FROM ord WHERE cust > %d LIMIT 3",
                    "SELECT name FROM cust WHERE region = %d LIMIT 3",
                    "SELECT line, prod FROM item LIMIT %d",
                    "SELECT MAX(cust) FROM ord WHERE id < %d"):
            for n in range(3, 18):
                ask(c, sql % n)
        ask(c, "SELECT id, cust FROM ord WHERE id < 40")  # once, and then bounds that stand in it
        for n in range(3, 30):
            ask(c, "SELECT id FROM ord WHERE id > %d LIMIT 2" % n)
        for n in range(3, 30):
            ask(c, "SELECT prod FROM item ORDER BY ord_id LIMIT 3 OFFSET %d" % n)
    assert loops(counted) == {}
