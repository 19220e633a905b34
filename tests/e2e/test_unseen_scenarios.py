"""Applications as there are many, nothing wrong with most of their statements: only what is wrong is found, with table and columns (S3)."""
import pytest

import conftest
from conftest import ask
from test_more_scenarios import found

pytestmark = conftest.mariadb_only("the tables are made with its sequences")

TABLES = """CREATE TABLE cust (id INT PRIMARY KEY AUTO_INCREMENT, email VARCHAR(60) NOT NULL, name VARCHAR(40), city VARCHAR(30), born DATE, created DATETIME, phone VARCHAR(20), active TINYINT, KEY (email), KEY(created), KEY(name));
    INSERT INTO cust SELECT seq, CONCAT('u',seq,'@x.org'), CONCAT('Name ',seq*7919 MOD 20011), CONCAT('city ',seq MOD 300), '1960-01-01' + INTERVAL seq MOD 15000 DAY, '2019-01-01' + INTERVAL seq*31 MINUTE, CONCAT('0',seq*1234567 MOD 999999937), seq MOD 10>0 FROM seq_1_to_40000;
    CREATE TABLE ord (id INT PRIMARY KEY, cust_id INT, status VARCHAR(10), total DECIMAL(10,2), placed DATETIME, day DATE, ref BIGINT, KEY (cust_id), KEY (placed), KEY(day), KEY(ref));
    INSERT INTO ord SELECT seq, 1+seq*13 MOD 40000, ELT(1+seq MOD 4,'new','paid','sent','done'), seq MOD 1000 + .5, '2020-01-01'+INTERVAL seq*9 MINUTE, DATE('2020-01-01'+INTERVAL seq*9 MINUTE), seq*3 FROM seq_1_to_80000;
    CREATE TABLE item (ord_id INT, line INT, sku VARCHAR(20), qty INT, PRIMARY KEY (ord_id,line), KEY(sku));
    INSERT INTO item SELECT 1+(seq DIV 2), seq MOD 2, CONCAT('S',seq MOD 5000), seq MOD 9 FROM seq_2_to_160000;
    CREATE TABLE js (id INT PRIMARY KEY, doc JSON, kind INT);
    INSERT INTO js SELECT seq, CONCAT('{"a": ',seq,', "b": "x',seq MOD 100,'"}'), seq MOD 50 FROM seq_1_to_20000;
    CREATE TABLE part (id INT, at DATE, v INT, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at)) (PARTITION p0 VALUES LESS THAN (2020), PARTITION p1 VALUES LESS THAN (2021), PARTITION p2 VALUES LESS THAN (2022), PARTITION p3 VALUES LESS THAN MAXVALUE);
    INSERT INTO part SELECT seq, '2018-06-01'+INTERVAL seq MOD 1600 DAY, seq MOD 77 FROM seq_1_to_40000;
    CREATE TABLE tag (id INT PRIMARY KEY, label VARCHAR(20));
    INSERT INTO tag SELECT seq, CONCAT('t',seq) FROM seq_1_to_40;
    CREATE TABLE utf (id INT PRIMARY KEY, code VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, KEY (code));
    INSERT INTO utf SELECT seq, CONCAT('C',seq) FROM seq_1_to_20000;
    CREATE TABLE lat (id INT PRIMARY KEY, code VARCHAR(20) CHARACTER SET latin1, grp INT, KEY (code), KEY(grp));
    INSERT INTO lat SELECT seq, CONCAT('C',seq), seq MOD 200 FROM seq_1_to_20000;
    CREATE TABLE mem (id INT PRIMARY KEY AUTO_INCREMENT, grp INT, score INT, at TIMESTAMP, KEY grp_score (grp, score));
    INSERT INTO mem SELECT seq, seq MOD 100, seq*7 MOD 1000, '2022-01-01 00:00:00'+INTERVAL seq MINUTE FROM seq_1_to_30000;
    CREATE OR REPLACE VIEW paid AS SELECT id, cust_id, total, placed FROM ord WHERE status = 'paid';
    ANALYZE TABLE cust, ord, item, js, part, tag, utf, lat, mem"""

# Nothing is wrong with these: pages, ranges, conversions that do no harm, loose scans, views, partitions, tables of a few rows.
HEALTHY = """SELECT id, email FROM cust WHERE id > {} ORDER BY id LIMIT 20
SELECT id FROM cust WHERE email = 'u{}@x.org'
SELECT id FROM cust WHERE email LIKE 'u{}@%'
SELECT id, name FROM cust WHERE name = 'Name {}' OR email = 'u{}@x.org'
SELECT id FROM ord WHERE placed BETWEEN '2020-03-{} 00:00:00' AND '2020-03-{} 23:59:59'
SELECT id FROM ord WHERE day = '2020-04-{}'
SELECT id, total FROM ord WHERE id = '{}'
SELECT id FROM ord WHERE ref = '{}'
SELECT id FROM ord WHERE cust_id <=> {}
SELECT id FROM ord WHERE placed >= '2020-05-{}' AND placed < '2020-05-{}' + INTERVAL 1 DAY
SELECT qty FROM item WHERE ord_id = {} AND line = 1
SELECT sku, qty FROM item WHERE (ord_id, line) IN ((1,1),({},0),(5,1))
SELECT grp, MAX(score) FROM mem GROUP BY grp HAVING grp > {}
SELECT id FROM mem WHERE grp = {} ORDER BY score DESC LIMIT 5
SELECT label FROM tag WHERE label = 't{}'
SELECT v FROM part WHERE at = '2020-02-{}' AND id = 77
SELECT o.id, c.name FROM ord o JOIN cust c ON c.id = o.cust_id WHERE o.id BETWEEN {} AND 40
SELECT id FROM cust c WHERE c.id < 30 AND EXISTS (SELECT 1 FROM ord o WHERE o.cust_id = c.id AND o.id > {})
SELECT d.cust_id, d.n FROM (SELECT cust_id, COUNT(*) n FROM ord WHERE cust_id IN (1,2,{}) GROUP BY cust_id) d
WITH r AS (SELECT id, cust_id FROM ord WHERE id = {}) SELECT r.id, c.name FROM r JOIN cust c ON c.id = r.cust_id
SELECT l.id, u.id FROM lat l JOIN utf u ON u.code = l.code WHERE l.grp = {}
SELECT COUNT(*) FROM tag WHERE id > {}
SELECT id, total FROM paid WHERE id = {}
SELECT JSON_VALUE(doc, '$.a') FROM js WHERE id = {}
SELECT id FROM cust ORDER BY id DESC LIMIT {}
SELECT id, active FROM cust WHERE active = 1 AND {} < 50 LIMIT 40
SELECT id FROM cust WHERE id IN ({},2,3,4,5,6)
SELECT MAX(placed) FROM ord WHERE id > {}
SELECT id, status FROM ord WHERE status <> 'done' AND id < {} + 100
SELECT id FROM mem WHERE at > NOW() - INTERVAL 20 YEAR AND id <> {}"""

# A statement whose {} is another number each time; the table and the columns of its finding.
ILL = (
    ("SELECT id FROM cust WHERE phone = '0{}'", "cust", "phone"),
    ("SELECT id FROM ord WHERE YEAR(placed) = 2018 + {}", "ord", "placed"),
    ("SELECT id FROM cust WHERE DATE(created) = '2020-04-{}'", "cust", "created"),
    ("SELECT cust_id FROM ord WHERE DATE(placed) = '2020-06-{}' AND status = 'paid'", "ord", "placed"),  # a quarter is paid
    ("SELECT cust_id, total FROM ord WHERE DATE(placed) >= '2020-07-{}' AND DATE(placed) <= '2020-07-23'", "ord", "placed"),  # each bound alone matches half
    ("SELECT phone FROM cust WHERE DATEDIFF(created, '2020-03-{}') = 0", "cust", "created"),
    ("SELECT id, total FROM ord WHERE ref + 0 = {}", "ord", "ref"),
    ("SELECT id FROM cust WHERE born = '1970-02-{}'", "cust", "born"),
    ("SELECT id FROM cust WHERE born >= '1980-02-{}' AND born < '1980-02-{}' + INTERVAL 2 DAY", "cust", "born"),  # each bound alone matches half of the rows
    ("SELECT id, name FROM cust WHERE phone > '00{}' AND born BETWEEN '1975-03-01' AND '1975-03-{}'", "cust", "born"),  # nearly all are behind that number
    ("SELECT id FROM utf WHERE code = {}", "utf", "code"),
    ("SELECT id FROM cust WHERE email LIKE '%{}@x.org'", "cust", "email"),
    ("SELECT id FROM cust WHERE name LIKE BINARY '%{}%9%'", "cust", "name"),  # an ORM's contains
    ("SELECT id, city FROM cust WHERE email LIKE CONCAT('%', '{}', '@x.org')", "cust", "email"),
    ("SELECT v FROM part WHERE v = {} AND at > '2021-05-05'", "part", "v, at"),
    ("SELECT cust_id, total FROM paid WHERE total = {}", "ord", "total, status"),
    ("SELECT id FROM mem WHERE at > NOW() - INTERVAL {} MINUTE", "mem", "at"),
    ("SELECT id FROM cust WHERE city = 'nowhere {}' ORDER BY created DESC LIMIT 10", "cust", "city, created"),
    ("SELECT LOWER(email) FROM cust WHERE LOWER(email) = 'u{}@x.org'", "cust", "email"),
    ("SELECT js.id FROM js JOIN tag ON tag.id = js.kind WHERE tag.label = 't{}'", "js", "kind"),
    ("SELECT id FROM ord ORDER BY total DESC LIMIT {}", "ord", "total"),
    ("WITH r AS (SELECT id, cust_id FROM ord WHERE total = {}) SELECT COUNT(*) FROM r", "ord", "total"),
)


@pytest.fixture
def shop(db):
    db.setup(*TABLES.split(";"))
    return db


def run(instance, shop, statements):
    with instance.connect(database=shop.name) as c:
        for n in range(10, 22):
            for sql in statements:
                ask(c, sql.replace("{}", str(n)))


def said(findings):
    return [(f["kind"], f["text"], f["fix_text"], f["evidence"]) for f in findings]


def test_nothing_is_found_in_what_is_healthy(suimon, shop):
    s = suimon({"stats": {"slow": "5s"}})
    run(s, shop, HEALTHY.splitlines())
    with s.connect(database=shop.name) as c:
        last = 0
        for n in range(20):  # pages by key, of which each begins where the one before ended
            last = ask(c, "SELECT id, email FROM cust WHERE id > %d ORDER BY id LIMIT 25" % last)[-1][0]
        for n in range(15):  # an ORM's preload: the list, and all that belongs to it at once
            ids = [r[0] for r in ask(c, "SELECT id FROM ord WHERE cust_id = %d" % n)]
            ask(c, "SELECT sku FROM item WHERE ord_id IN (%s)" % ", ".join(map(str, ids or [0])))
        for n in range(15):  # transactions that look at several tables
            c.begin()
            ask(c, "SELECT name FROM cust WHERE id = %d" % (n * 31))
            ask(c, "SELECT status FROM ord WHERE id = %d" % (n * 17))
            ask(c, "SELECT label FROM tag WHERE id = %d" % n)
            c.commit()
        for n in range(60):  # somebody asks every now and then whether there is work
            ask(c, "SELECT id FROM ord WHERE ref = 30 AND id > 5")
        for n in range(100):  # a job by number
            ask(c, "UPDATE mem SET score = score + 1 WHERE id = %d" % (n + 1))
    assert said(found(s, shop, 12)) == []


def test_what_is_ill_is_found(suimon, shop):
    s = suimon({"stats": {"slow": "5s"}})
    run(s, shop, [sql for sql, _, _ in ILL])
    findings = found(s, shop, 12)
    assert sorted((f["evidence"].get("table", "").split(".")[-1], f["evidence"].get("columns")) for f in findings) == \
        sorted((table, columns) for _, table, columns in ILL), said(findings)
    assert {f["kind"] for f in findings} == {"missing_index"}
    assert not [f for f in findings if "year(placed) = ? + ?" in f["text"] and "fix_sql" in f]  # what is behind the question mark belongs to its value
