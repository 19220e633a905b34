"""Joins of which the joined side has no index: for what has no partner, for what is not deleted, for one kind of several. Each is found with
an index on the column that joins, which saves what is foretold; and what only looks like them is not (S3)."""
import re

import pytest

import conftest
import timed
from conftest import ask
from test_more_scenarios import found

pytestmark = conftest.mariadb_only("the tables are made with its sequences")

TABLES = """CREATE TABLE book (id INT PRIMARY KEY, shelf INT, grade INT, rack INT, KEY (shelf));
    INSERT INTO book SELECT seq, seq MOD 400, seq MOD 5, seq * 7 MOD 300 FROM seq_1_to_4000;
    CREATE TABLE rack (id INT PRIMARY KEY, name VARCHAR(20)); INSERT INTO rack SELECT seq, CONCAT('k', seq) FROM seq_0_to_299;
    CREATE TABLE account (id INT PRIMARY KEY, email VARCHAR(40)); INSERT INTO account SELECT seq, CONCAT('a', seq) FROM seq_1_to_15000;
    CREATE TABLE profile (id INT PRIMARY KEY, account INT NOT NULL, bio VARCHAR(40)); INSERT INTO profile SELECT seq, 1 + seq * 7919 MOD 15000, REPEAT('b', 40) FROM seq_1_to_15000;
    CREATE TABLE review (id INT PRIMARY KEY, book_ref INT NOT NULL, stars INT NOT NULL, body VARCHAR(60), gone DATETIME, kind CHAR(1), sent DATETIME);
    INSERT INTO review SELECT seq, 1 + seq * 7 MOD 3900, seq MOD 5, REPEAT('x', 50), IF(seq MOD 10 = 0, NOW(), NULL), ELT(1 + seq MOD 3, 'a', 'b', 'c'), IF(seq MOD 500, NOW(), NULL) FROM seq_1_to_30000;
    CREATE TABLE fine LIKE review; ALTER TABLE fine MODIFY book_ref INT; INSERT INTO fine SELECT * FROM review;
    CREATE TABLE keyed LIKE review; ALTER TABLE keyed ADD KEY (book_ref); INSERT INTO keyed SELECT * FROM review;
    ANALYZE TABLE book, review, fine, keyed, rack, account, profile"""
TIMES = 12

# A statement whose {} is another number each time; the table and the columns of the index that it lacks.
LACKING = (
    ("SELECT b.id FROM book b LEFT JOIN review r ON r.book_ref = b.id WHERE r.id IS NULL AND b.shelf = {}", "review", "book_ref"),
    ("SELECT b.id, b.shelf FROM book b LEFT JOIN review r ON r.book_ref = b.id WHERE r.book_ref IS NULL AND b.shelf = {}", "review", "book_ref"),
    ("SELECT b.id FROM book b LEFT JOIN fine f ON f.book_ref = b.id WHERE f.book_ref IS NULL AND b.shelf = {}", "fine", "book_ref"),
    ("SELECT b.id FROM book b LEFT JOIN fine f ON f.book_ref = b.id WHERE f.stars IS NULL AND f.id IS NULL AND b.shelf = {}", "fine", "book_ref"),
    ("SELECT b.id FROM book b LEFT JOIN fine f ON f.book_ref = b.id WHERE f.sent IS NULL AND b.shelf = {}", "fine", "book_ref"),
    ("SELECT b.id FROM book b LEFT JOIN review r ON r.book_ref = b.id AND r.kind = 'b' WHERE r.id IS NULL AND b.shelf = {}", "review", "book_ref"),
    ("SELECT b.id, r.stars FROM book b LEFT JOIN review r ON r.book_ref = b.id AND r.gone IS NULL WHERE b.shelf = {}", "review", "book_ref"),
    ("SELECT b.id, r.stars FROM book b JOIN review r ON r.book_ref = b.id WHERE r.gone IS NULL AND b.shelf = {}", "review", "book_ref"),
    ("SELECT b.id, f.stars FROM book b JOIN fine f ON f.book_ref = b.id AND f.kind = 'b' WHERE b.shelf = {}", "fine", "book_ref"),
    ("SELECT r.id FROM review r JOIN book b ON b.id = r.book_ref JOIN rack k ON k.id = b.rack WHERE k.name = 'k{}'", "review", "book_ref"),  # by way of book
    ("SELECT a.id, p.bio FROM profile p JOIN account a ON a.id = p.account WHERE a.email = 'a{}'", "account", "email"),  # as large as profile: not read whole first
    ("SELECT id FROM review WHERE sent IS NULL AND body <> 'y{}'", "review", "sent"),
)

# Nothing is wrong with these: the index is there, few values join many rows, the other table drops few rows or comes second, as it must.
FINE = (
    "SELECT b.id FROM book b LEFT JOIN keyed k ON k.book_ref = b.id WHERE k.id IS NULL AND b.shelf = {}",
    "SELECT b.id, k.stars FROM book b LEFT JOIN keyed k ON k.book_ref = b.id AND k.gone IS NULL WHERE b.shelf = {}",
    "SELECT b.id, k.stars FROM book b JOIN keyed k ON k.book_ref = b.id WHERE k.kind = 'b' AND b.shelf = {}",
    "SELECT COUNT(*) FROM book b LEFT JOIN review r ON r.stars = b.grade AND r.gone IS NULL WHERE b.shelf = {}",
    "SELECT COUNT(*) FROM review r JOIN book b ON b.id = r.book_ref WHERE r.kind = 'b' AND b.grade <> {}",
    "SELECT COUNT(b.id) FROM review r LEFT JOIN book b ON b.id = r.book_ref AND b.shelf = {} WHERE r.kind = 'b'",
    "SELECT COUNT(b.id) FROM fine f LEFT JOIN book b ON b.id = f.book_ref AND b.shelf = {}",
)


@pytest.fixture
def shop(db):
    db.setup(*TABLES.split(";"))
    return db


def texts(sql):
    return [sql.format(n) for n in range(10, 10 + TIMES)]


def digest_text(sql):
    return re.sub("'[a-z]({})?'", "?", sql).replace("{}", "?").replace("IS NULL", "is ?").lower()


def run(instance, shop, statements):
    with instance.connect(database=shop.name) as c:
        return [sorted(ask(c, text)) for sql in statements for text in texts(sql)]


def test_what_joins_lacks_is_found(suimon, shop, cluster, tmp_path):
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    clocked = timed.beside(suimon({"replicas": [], "stats": timed.every_statement(tmp_path / "clocked.log")}), shop.name, cluster.primary)
    rows = run(s, shop, [sql for sql, _, _ in LACKING])
    findings = found(s, shop, TIMES)
    said = {f["text"]: (f["kind"], f["evidence"].get("table"), f["evidence"].get("columns")) for f in findings}
    assert said == {digest_text(sql): ("missing_index", shop.name + "." + table, columns) for sql, table, columns in LACKING}, findings
    by_text = {digest_text(sql): sql for sql, _, _ in LACKING}
    before = {text: timed.least(clocked(texts(sql))) for text, sql in by_text.items()}
    shop.setup(*sorted({f["fix_sql"] for f in findings}))
    assert run(s, shop, [sql for sql, _, _ in LACKING]) == rows
    for f in findings:
        timed.judge(f, 1 - timed.least(clocked(texts(by_text[f["text"]]))) / before[f["text"]])


def test_what_joins_do_not_lack_is_not_found(suimon, shop):
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    run(s, shop, FINE)
    findings = [f for f in found(s, shop, TIMES) if f["kind"] != "heavy_aggregate"] # which a COUNT of many rows is
    assert [(f["kind"], f["text"], f["evidence"], f["fix_text"]) for f in findings] == []
