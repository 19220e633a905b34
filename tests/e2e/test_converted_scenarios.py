"""What the server converts or computes row by row before it compares it: found once, with a fix that saves what it says; and what only
looks like them (S3)."""
import pytest

import conftest
import timed
from conftest import ask, settle
from servers import TooLate, wait_until
from test_scenarios import explained

pytestmark = conftest.mariadb_only("the tables are made with its sequences")

TABLES = """CREATE TABLE parcel (id INT PRIMARY KEY, label VARCHAR(20), old VARCHAR(20), mixed VARCHAR(20), depot INT, keyed VARCHAR(20), KEY (keyed), KEY (depot));
    INSERT INTO parcel SELECT seq, 4000000 + seq * 3, LPAD(seq, 7, '0'), IF(seq MOD 50 = 0, CONCAT(seq, '-B'), seq), seq MOD 4000, seq FROM seq_1_to_60000;
    ANALYZE TABLE parcel"""
TIMES = 16


@pytest.fixture
def shop(db):
    db.setup(*TABLES.split(";"))
    return db


def findings(s, shop, calls):
    settle(s)
    wait_until("the adviser", lambda: explained(s, shop, calls), 90, .2)
    return s.api("/api/findings")["findings"]


def run(instance, schema, texts):
    with instance.connect(database=schema) as c:
        return [sorted(ask(c, sql)) for sql in texts]


@pytest.fixture
def clocked(suimon, shop, cluster, tmp_path):
    """Another one beside, that measures statement by statement; clocked(texts)."""
    return timed.beside(suimon({"replicas": [], "stats": timed.every_statement(tmp_path / "clocked.log")}), shop.name, cluster.primary)


def saved(before, after):
    return 1 - timed.least(after) / timed.least(before)


def test_a_number_and_no_index(suimon, shop, clocked):
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    numbers = [4000000 + n * 9999 for n in range(1, TIMES + 1)]
    texts = ["SELECT id, depot FROM parcel WHERE label = %d" % n for n in numbers]
    rows = run(s, shop.name, texts)
    assert all(len(r) == 1 for r in rows)
    (f,) = findings(s, shop, TIMES)
    assert (f["kind"], f["evidence"]["table"], f["evidence"]["columns"]) == ("missing_index", shop.name + ".parcel", "label"), f
    assert f["fix_needs"] == "both" and "neither helps without the other" in f["fix_text"], f
    mended = [f["fix_statement"].replace("?", str(n)) for n in numbers]
    quoted = ["SELECT id, depot FROM parcel WHERE label = '%d'" % n for n in numbers]
    before = clocked(texts)
    assert saved(before, clocked(mended)) < .5  # no index serves it yet
    shop.setup(f["fix_sql"])
    assert run(s, shop.name, mended) == run(s, shop.name, quoted) == rows
    assert saved(before, clocked(texts)) < .5  # nor does one alone
    timed.judge(f, saved(before, clocked(mended)))


# A join, whose other table gives one row: the server compares with that one's number. The column, and the condition mended.
KNOWN = {
    "by its key, no index": ("p.label = o.id WHERE o.id = {}", "label", "p.label = concat(o.id) where o.id = ?", lambda n: 4000000 + n * 999),
    "by another, no index": ("p.label = o.id WHERE o.mail = 'm{}'", "label", "p.label = concat(o.id) where o.mail = ?", lambda n: n * 333),
    "by its key, an index": ("p.keyed = o.no WHERE o.id = {}", "keyed", "p.keyed = concat(o.no) where o.id = ?", lambda n: 4000000 + n * 999),
}


@pytest.mark.parametrize("join,column,mended,value", KNOWN.values(), ids=KNOWN)
def test_a_number_of_the_only_row_of_a_joined_table(suimon, shop, clocked, join, column, mended, value):
    shop.setup("CREATE TABLE owner (id INT PRIMARY KEY, no INT, mail VARCHAR(20), UNIQUE KEY (mail))",
               "INSERT INTO owner SELECT 4000000 + seq * 3, seq, CONCAT('m', seq) FROM seq_1_to_20000")
    s, head = suimon({"replicas": [], "stats": {"slow": "5s"}}), "SELECT o.mail, p.id FROM owner o JOIN parcel p ON "
    texts = [(head + join).format(value(n)) for n in range(1, TIMES + 1)]
    rows = run(s, shop.name, texts)
    assert all(len(r) == 1 for r in rows)
    (f,) = findings(s, shop, TIMES)
    other = mended[mended.index("(") + 1:mended.index(")")]
    assert (f["kind"], f["evidence"]["table"], f["evidence"]["columns"]) == ("missing_index", shop.name + ".parcel", column), f
    assert "is compared with %s, a number" % other in f["fix_text"], f
    statement = f["fix_sql"] if column == "keyed" else f["fix_statement"]
    assert statement == head.lower() + mended and f.get("fix_needs") == (None if column == "keyed" else "both"), f
    said = [statement.replace("?", t.split("= ")[-1]) for t in texts]
    before = clocked(texts)
    if column == "label":
        assert saved(before, clocked(said)) < .5  # no index serves it yet
        shop.setup(f["fix_sql"])
        assert saved(before, clocked(texts)) < .5  # nor does one alone
    assert run(s, shop.name, said) == rows
    timed.judge(f, saved(before, clocked(said)))


# A number that is sent, though the string is compared with a column as well; and one whose digits a string of it would not be.
SENT = {
    "a string of another table": ("JOIN kin o ON o.label = p.label WHERE p.label = {}", "Send the value as a string", "where p.label = concat(?)"),
    "the number's own column, too": ("JOIN kin o ON o.no = p.label WHERE p.label = {}", "Send the value as a string", "where p.label = concat(?)"),
    "a string of the table itself": ("JOIN parcel o ON o.label = p.label WHERE p.label = {}", "Send the value as a string", "where p.label = concat(?)"),
    "a FLOAT of a joined row": ("JOIN kin o ON o.f = p.label WHERE o.id = {}", None, None),
}


@pytest.mark.parametrize("rest,words,mended", SENT.values(), ids=SENT)
def test_where_a_number_comes_from_is_sure(suimon, shop, rest, words, mended):
    shop.setup("CREATE TABLE kin (id INT PRIMARY KEY, no INT, label VARCHAR(20), f FLOAT, KEY (label), KEY (no))",
               "INSERT INTO kin SELECT 4000000 + seq * 333, 4000000 + seq * 333, 4000000 + seq * 333, 4000000 + seq * 333 FROM seq_1_to_20000")
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    run(s, shop.name, ["SELECT p.id, o.id FROM parcel p " + rest.format(4000000 + n * 333) for n in range(1, TIMES + 1)])
    for f in findings(s, shop, TIMES):
        said = f.get("fix_statement") or f["fix_sql"]
        assert "concat(o." not in said and "o.label, a number" not in f["fix_text"], f
        assert words is None or (words in f["fix_text"] and mended in said), f


# A condition whose {} is another value each time, the column and the condition mended.
COMPUTED = {
    "lower": ("LOWER(name) = 'n{}'", "name", "name = ?", lambda n: 400 + n * 9),
    "both in lower case": ("LOWER(name) = LOWER('N{}')", "name", "name = lower(?)", lambda n: 400 + n * 9),
    "date": ("DATE(made) = '2019-0{}'", "made", "(made >= ? and made < ? + interval 1 day)", lambda n: "%d-%02d" % (n % 7 + 1, n + 1)),
    "left": ("LEFT(name, 5) = 'N{}'", "name", "(left(name, ?) = ? and name like concat(?, '%'))", lambda n: 4000 + n),
}


@pytest.mark.parametrize("condition,column,mended,value", COMPUTED.values(), ids=COMPUTED)
def test_a_function_and_no_index(suimon, shop, clocked, condition, column, mended, value):
    shop.setup("ALTER TABLE parcel ADD COLUMN name VARCHAR(20), ADD COLUMN made DATETIME",
               "UPDATE parcel SET name = CONCAT('N', id), made = '2019-01-01' + INTERVAL id * 9 MINUTE", "ANALYZE TABLE parcel")
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    texts = ["SELECT id, depot FROM parcel WHERE " + condition.format(value(n)) for n in range(TIMES)]
    rows = run(s, shop.name, texts)
    assert all(rows)
    (f,) = findings(s, shop, TIMES)
    assert (f["kind"], f["evidence"]["table"], f["evidence"]["columns"]) == ("missing_index", shop.name + ".parcel", column), f
    assert f["fix_statement"] == "select id, depot from parcel where " + mended and f["fix_needs"] == "both", f
    assert "neither helps without the other" in f["fix_text"] and "ADD INDEX (`%s`)" % column in f["fix_sql"], f
    quoted = [t.split("= ")[-1] for t in texts]
    said = [f["fix_statement"].replace("left(name, ?)", "left(name, 5)").replace("?", q) for q in quoted]
    before = clocked(texts)
    assert saved(before, clocked(said)) < .5  # no index serves it yet
    shop.setup(f["fix_sql"])
    assert run(s, shop.name, said) == rows
    assert saved(before, clocked(texts)) < .5  # nor does one alone
    timed.judge(f, saved(before, clocked(said)))


# Nothing is said of these: another collation, most rows, a table of a few, what cannot be mended.
UNMENDED = (
    "SELECT id FROM parcel WHERE LOWER(strict) = 'n{}'",
    "SELECT id FROM parcel WHERE YEAR(made) = 2019 AND id <> {}",
    "SELECT id FROM parcel WHERE DATE_FORMAT(made, '%Y-%m-%d') = '2019-03-{}'",
    "SELECT id FROM parcel WHERE CONCAT(name, '') = 'N{}'",
    "SELECT id FROM parcel WHERE LOWER(CONCAT(name, mixed)) = 'n{}'",
    "SELECT id FROM parcel WHERE CHAR_LENGTH(name) * 2 = {}",
    "SELECT id FROM small WHERE LOWER(name) = 'n{}'",
)


def test_functions_of_which_nothing_is_said(suimon, shop):
    shop.setup("ALTER TABLE parcel ADD COLUMN name VARCHAR(20), ADD COLUMN made DATETIME, ADD COLUMN strict VARCHAR(20) COLLATE utf8mb4_bin",
               "UPDATE parcel SET name = CONCAT('N', id), strict = name, made = '2019-01-01' + INTERVAL id MINUTE",
               "CREATE TABLE small AS SELECT id, name FROM parcel LIMIT 300", "ANALYZE TABLE parcel, small")
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    run(s, shop.name, [sql.replace("{}", str(n)) for n in range(10, 22) for sql in UNMENDED])
    assert [(f["text"], f["fix_text"]) for f in findings(s, shop, 12)] == []


NUMBERS = (
    "SELECT id FROM parcel WHERE old = {}",      # '0000007' is 7
    "SELECT id FROM parcel WHERE mixed = {}",    # so is '7-B'
    "SELECT id FROM parcel WHERE label > 41799{}",
    "SELECT id FROM parcel WHERE keyed = '{}'",
    "SELECT id FROM parcel WHERE id = '{}'",
    "SELECT id FROM parcel WHERE depot = '0{}'",
    "SELECT id FROM parcel WHERE label = 4000000 + {}",
    "SELECT id FROM parcel WHERE label = 0{}",
    "SELECT id FROM parcel WHERE 40002{} = label",  # plans leave the number before it: neither an index alone would help
    "SELECT p.id FROM parcel o JOIN parcel p ON o.id = p.label WHERE o.id = {}",
)


def test_numbers_that_need_no_quotes(suimon, shop):
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    run(s, shop.name, [sql.format(n) for n in range(10, 22) for sql in NUMBERS])
    assert [(f["text"], f["fix_text"]) for f in findings(s, shop, 12)] == []


# ---- character sets and collations ----

COLLATIONS = """CREATE TABLE good (id INT PRIMARY KEY, sku VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, shelf INT, KEY (sku), KEY (shelf));
    INSERT INTO good SELECT seq, CONCAT('sku', seq * 7), seq MOD 2000 FROM seq_1_to_40000;
    CREATE TABLE stock (id INT PRIMARY KEY, sku VARCHAR(20) NOT NULL DEFAULT '-' COMMENT 'as printed, (old)', n INT, KEY (sku)) CHARACTER SET latin1;
    INSERT INTO stock SELECT seq, CONCAT('sku', seq), seq MOD 97 FROM seq_1_to_60000;
    CREATE TABLE stock3 (id INT PRIMARY KEY, sku VARCHAR(20), n INT, KEY (sku)) CHARACTER SET utf8mb3; INSERT INTO stock3 SELECT * FROM stock;
    CREATE TABLE label (id INT PRIMARY KEY, sku CHAR(20), n INT, KEY sku_n (sku, n)) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; INSERT INTO label SELECT * FROM stock;
    CREATE TABLE bare (id INT PRIMARY KEY, sku VARCHAR(20), n INT, KEY (sku)) CHARACTER SET latin1; INSERT INTO bare SELECT * FROM stock;
    CREATE TABLE bin (id INT PRIMARY KEY, sku VARCHAR(20), n INT, KEY (sku)) CHARACTER SET latin1 COLLATE latin1_bin; INSERT INTO bin SELECT * FROM stock;
    CREATE TABLE one (id INT PRIMARY KEY, sku VARCHAR(20), n INT, UNIQUE KEY (sku)) CHARACTER SET latin1; INSERT INTO one SELECT * FROM stock;
    CREATE TABLE same (id INT PRIMARY KEY, sku VARCHAR(20), n INT, KEY (sku)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci; INSERT INTO same SELECT * FROM stock;
    CREATE TABLE slip (code VARCHAR(20), m INT, KEY (code)) CHARACTER SET latin1; INSERT INTO slip SELECT sku, n FROM stock;
    CREATE TABLE tag (word CHAR(20), m INT, KEY (word, m)) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; INSERT INTO tag SELECT sku, n FROM stock;
    ANALYZE TABLE good, stock, stock3, label, bare, bin, one, same, slip, tag"""

# Statement, table (and column); whether the statement is to be changed, too.
JOINED = (
    ("SELECT g.id, s.n FROM good AS g JOIN stock AS s ON s.sku = g.sku WHERE g.shelf = {}", "stock", False),
    ("SELECT s.n FROM good g, stock3 s WHERE g.sku = s.sku AND g.id = {}", "stock3", False),
    ("SELECT g.id, SUM(s.n) FROM good g LEFT JOIN stock s ON g.sku = s.sku WHERE g.id BETWEEN {0} AND {0} + 3 GROUP BY g.id", "stock", False),
    ("SELECT l.n FROM good g JOIN label l ON l.sku = g.sku COLLATE utf8mb4_general_ci WHERE g.shelf = {}", "label", False),
    ("SELECT l.n FROM good g JOIN label l ON l.sku COLLATE utf8mb4_general_ci = g.sku WHERE g.shelf = {}", "label", True),
    ("SELECT m FROM good JOIN slip ON code = sku WHERE shelf = {}", "slip.code", False),  # whose they are only the schema tells
    ("SELECT s.m FROM slip AS s, good AS g WHERE (sku = s.code) AND id = {}", "slip.code", False),
    ("SELECT m FROM good JOIN tag ON word COLLATE utf8mb4_general_ci = sku WHERE shelf = {}", "tag.word", True),
)


@pytest.fixture
def store(db):
    db.setup(*COLLATIONS.split(";"))
    return db


@pytest.mark.parametrize("sql, table, both", JOINED)
def test_columns_of_other_collations(suimon, store, cluster, tmp_path, sql, table, both):
    table, column = (table + ".sku").split(".")[:2]
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    beside = suimon({"replicas": [], "stats": timed.every_statement(tmp_path / "clocked.log")})
    values = [n * 61 for n in range(1, TIMES + 1)]
    texts = [sql.format(n) for n in values]
    rows = run(s, store.name, texts)
    assert any(rows)
    (f,) = findings(s, store, TIMES)
    assert (f["kind"], f["evidence"]["table"], f["evidence"]["columns"]) == ("missing_index", "%s.%s" % (store.name, table), column), f
    assert store.name + ".good.sku" in f["fix_text"] and "its index on %s cannot be used" % column in f["title"], f
    assert "fix_statement" in f or not both
    with timed.undisturbed(cluster.primary):
        before = [timed.run(beside, store.name, texts) for _ in range(timed.ROUNDS)]
    store.setup(f["fix_sql"])
    mended = [f["fix_statement"].replace("?", str(n)) for n in values] if both else texts
    assert run(s, store.name, mended) == rows
    with timed.undisturbed(cluster.primary):
        after = [timed.run(beside, store.name, mended) for _ in range(timed.ROUNDS)]
    timed.judge(f, saved(before, after))
    with store.direct() as c:
        made = ask(c, "SHOW CREATE TABLE " + table)[0][1]
    if table == "stock":
        assert "`sku` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL DEFAULT '-' COMMENT 'as printed, (old)'" in made


def test_collations_that_others_hang_on(suimon, store):
    """Said, but with words alone."""
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    run(s, store.name, ["SELECT b.n FROM good g JOIN %s b ON b.sku = g.sku WHERE g.id = %d" % (table, n) for n in range(10, 22) for table in ("bin", "one")])
    told = {f["evidence"]["table"].split(".")[1]: f for f in findings(s, store, 12)}
    assert sorted(told) == ["bin", "one"] and not [f for f in told.values() if "fix_sql" in f], told
    assert "tells letter case apart" in told["bin"]["fix_text"] and "may be equal then" in told["one"]["fix_text"]


FINE_JOINS = (
    "SELECT s.n FROM good g JOIN same s ON s.sku = g.sku WHERE g.shelf = {}",
    "SELECT g.id FROM stock s JOIN good g ON g.sku = s.sku WHERE s.id = {}",  # the wider is looked up
    "SELECT n FROM stock WHERE sku = _utf8mb4'sku{}'",
    "SELECT n FROM stock WHERE sku = _latin1'sku{}' COLLATE latin1_swedish_ci",
    "SELECT n FROM stock WHERE sku = CONCAT('sku', '{}')",
    "SELECT n FROM stock3 WHERE sku IN ('sku{0}', 'sku{0}1')",
    "SELECT n FROM stock WHERE sku = 'sku{}' COLLATE utf8mb4_unicode_ci",
    "SELECT l.n FROM good g JOIN label l ON l.sku = g.sku COLLATE utf8mb4_unicode_ci WHERE g.shelf = {}",
    "SELECT s.n FROM good g JOIN stock s ON s.sku = g.sku AND s.id = g.id WHERE g.shelf = {}",
    "SELECT m, (SELECT 1) FROM good JOIN slip ON code = sku WHERE shelf = {}",  # with a subquery whose they are is not told
)


@pytest.mark.parametrize("charset", ("utf8mb4", "latin1"))
def test_collations_that_are_fine(suimon, store, charset):
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    with s.connect(database=store.name, charset=charset) as c:
        for n in range(10, 22):
            for sql in FINE_JOINS if charset == "utf8mb4" else FINE_JOINS[:-4]:
                ask(c, sql.format(n))
    assert [(f["text"], f["fix_text"]) for f in findings(s, store, 12)] == []
