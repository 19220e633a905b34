"""suimon advise --verify: what an index is worth, on a copy that leaves nothing behind and touches nothing else (S3)."""
import re
import subprocess

import pytest

import conftest
from conftest import address, ask
from servers import LOOPBACK, wait_until

pytestmark = conftest.mariadb_only("the table is made with its sequences")
ROWS = 20000


@pytest.fixture
def shop(db):
    db.setup("CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, email VARCHAR(60), total INT, twice INT AS (total * 2) VIRTUAL, KEY (total))",
             "INSERT INTO orders (id, email, total) SELECT seq, CONCAT('u', seq, '@example.com'), seq %% 100 FROM seq_1_to_%d" % ROWS, "ANALYZE TABLE orders")
    return db


def proposed(s):
    return [f for f in s.api("/api/findings")["findings"] if f["kind"] == "missing_index" and f["evidence"].get("columns")]


def asked(s, shop, sql, values=range(500, 8000, 1000)):
    """The instance, once it has found what that statement lacks; {} is another value each time."""
    with s.connect(database=shop.name) as c:
        for n in values:
            ask(c, sql.format(n))
    wait_until("the finding", lambda: proposed(s), 40, .2)
    return s


@pytest.fixture
def advised(suimon, shop):
    return asked(suimon({"stats": {"slow": "1s"}}), shop, "SELECT id, twice FROM %s.orders AS o WHERE o.email = 'u{}@example.com'" % shop.name)


@pytest.fixture
def account(shop):
    """May read the tables, and do all in the scratch schema alone: nothing outside can be touched even by mistake."""
    primary = shop.cluster.primary
    primary.sql("CREATE USER adviser@'%' IDENTIFIED BY 'adviser'", "GRANT SELECT ON %s.* TO adviser@'%%'" % shop.name, "GRANT ALL ON scratch_copy.* TO adviser@'%'")
    yield primary
    primary.sql("DROP USER adviser@'%'", "DROP DATABASE IF EXISTS scratch_copy")


def advise(s, *words, password="adviser"):
    env = dict(s.process.env, SUIMON_PASSWORD=password)
    done = subprocess.run([s.binary, "advise", "--http", "%s:%d" % (LOOPBACK, s.http_port), *words], env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return done.returncode, done.stdout


def verify(s, server, *words, **more):
    return advise(s, "--verify", "--scratch", "scratch_copy", "--server", address(server), "--user", "adviser", *words, **more)


def schemas(server):
    return {r[0] for r in server.sql("SHOW DATABASES")}


def state(server, shop):
    return (server.sql("CHECKSUM TABLE %s.orders" % shop.name), server.sql("SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES ORDER BY 1, 2"),
            server.sql("SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '%s' ORDER BY 1" % shop.name))


def test_it_lists_what_is_proposed(advised, shop):
    code, said = advise(advised)
    assert code == 0 and "ALTER TABLE `%s`.`orders` ADD INDEX (`email`)" % shop.name in said
    assert advise(advised, "0x0000000000000001")[1] == "no index is proposed for these\n"


@pytest.mark.parametrize("rows", [1000, 100000])
def test_before_and_after_on_a_copy(advised, shop, account, rows):
    before, there = schemas(account), state(account, shop)
    code, said = verify(advised, account, "--rows", str(rows))
    assert code == 0, said
    copied = int(re.search(r"copied +(\d+) rows of \S+\.orders", said).group(1))
    assert copied == ROWS if rows > ROWS else 500 <= copied <= 1100, said
    assert ("from all over it" in said) == (rows < ROWS), said
    plans = re.findall(r"table=o type=(\w+)", said)
    assert plans[0] == "ALL" and plans[-1] == "ref" and "key=email" in said, said
    assert float(re.search(r"([\d.]+) times as fast", said).group(1)) > 0, said  # how many is the machine's: it is not judged here
    examined = [int(n) for n in re.findall(r"table=o .*rows=(\d+)", said)]
    assert examined[-1] * 100 < examined[0], said
    assert schemas(account) == before and state(account, shop) == there


def test_what_is_refused_and_why(advised, shop, account):
    there = state(account, shop)
    for scratch, why in (("mysql", "server's own"), ("production", "looks like production"), ("a`b", "letters, digits"), (shop.name, "one that the statement reads")):
        code, said = advise(advised, "--verify", "--scratch", scratch, "--server", address(account), "--user", "adviser")
        assert code == 1 and why in said, (scratch, said)
    account.sql("CREATE DATABASE scratch_copy", "CREATE TABLE scratch_copy.orders (kept INT)", "INSERT INTO scratch_copy.orders VALUES (1)")
    code, said = verify(advised, account)
    assert code == 1 and "not empty" in said, said
    assert account.sql("SELECT kept FROM scratch_copy.orders") == ((1,),)
    account.sql("DROP TABLE scratch_copy.orders")
    code, said = verify(advised, account)
    assert code == 0 and "scratch_copy" in schemas(account), said
    assert account.sql("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'scratch_copy'")[0][0] == 0
    code, said = verify(advised, account, password="wrong")
    assert code == 1 and "denied" in said, said
    assert advise(advised, "--verify", "--user", "x")[0] == 1
    account.sql("DROP DATABASE scratch_copy")
    assert state(account, shop) == there


def test_a_failure_half_way_leaves_nothing(advised, shop, account):
    """The account may create tables but not indexes: the copy is made, the index refused, all dropped."""
    account.sql("REVOKE ALL ON scratch_copy.* FROM adviser@'%'", "GRANT CREATE, DROP, SELECT, INSERT ON scratch_copy.* TO adviser@'%'")
    before = schemas(account)
    code, said = verify(advised, account)
    assert code == 1 and "not verified" in said and "ALTER TABLE" in said and "times as fast" not in said, said
    assert schemas(account) == before


# ---- fixes that are more than an index ----

GOOD = ("CREATE TABLE good (id INT PRIMARY KEY, sku VARCHAR(20), shelf INT, KEY (sku)) CHARACTER SET utf8mb4",
        "INSERT INTO good SELECT seq, CONCAT('sku', seq * 3), seq MOD 40 FROM seq_1_to_20000")
STOCK = "INSERT INTO stock SELECT seq, CONCAT('sku', seq), seq MOD 97 FROM seq_1_to_20000"

# The table's making, its statement, what of the fix is said, which table's plan changes, from what to what.
FIXES = {
    "a value inside documents": (
        ("CREATE TABLE item (id INT PRIMARY KEY, doc JSON)", """INSERT INTO item SELECT seq, CONCAT('{"of": {"ref": "R', seq, '"}}') FROM seq_1_to_20000"""),
        "SELECT i.id FROM item i WHERE JSON_VALUE(i.doc, '$.of.ref') = 'R{}'", ("ADD COLUMN `doc_of_ref` LONGTEXT", "ADD INDEX (`doc_of_ref`(100))"),
        "i", "ALL", "ref"),
    "a list of them": (
        ("CREATE TABLE item (id INT PRIMARY KEY, doc JSON)", """INSERT INTO item SELECT seq, CONCAT('{"of": {"ref": "R', seq, '"}}') FROM seq_1_to_20000"""),
        "SELECT id FROM item WHERE JSON_VALUE(doc, '$.of.ref') IN ('R{0}', 'R{0}1')", ("ADD COLUMN `doc_of_ref` LONGTEXT",), "item", "ALL", "range"),
    "a number for a string": (
        ("CREATE TABLE parcel (id INT PRIMARY KEY, label VARCHAR(20), depot INT)", "INSERT INTO parcel SELECT seq, seq * 500, seq MOD 40 FROM seq_1_to_20000"),
        "SELECT depot FROM parcel WHERE label = {}", ("ADD INDEX (`label`)", "label = concat(?)"), "parcel", "ALL", "ref"),
    "a number for a string with an index": (
        ("CREATE TABLE parcel (id INT PRIMARY KEY, label VARCHAR(20), depot INT, KEY (label))", "INSERT INTO parcel SELECT seq, seq * 500, seq MOD 40 FROM seq_1_to_20000"),
        "SELECT depot FROM parcel WHERE label = {}", ("label = concat(?)",), "parcel", "ALL", "ref"),
    "a function and no index": (
        ("CREATE TABLE Parcel (Id INT PRIMARY KEY, Label VARCHAR(20), Depot INT)", "INSERT INTO Parcel SELECT seq, CONCAT('L', seq), seq MOD 40 FROM seq_1_to_20000"),
        "SELECT P.Depot FROM Parcel P WHERE LOWER(P.Label) = 'l{}'", ("ADD INDEX (`Label`)", "P.Label = ?"), "P", "ALL", "ref"),
    "another character set": (
        (*GOOD, "CREATE TABLE stock (id INT PRIMARY KEY, sku VARCHAR(20) NOT NULL DEFAULT '-' COMMENT 'as printed, (old)', n INT, KEY (sku)) CHARACTER SET latin1", STOCK),
        "SELECT g.id, s.n FROM good AS g JOIN stock AS s ON s.sku = g.sku WHERE g.id = {}", ("MODIFY `sku` varchar(20) CHARACTER SET utf8mb4",), "s", "ALL", "ref"),
    "another collation, and COLLATE": (
        (*GOOD, "CREATE TABLE stock (id INT PRIMARY KEY, sku CHAR(20), n INT, KEY (sku)) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", STOCK),
        "SELECT s.n FROM good g JOIN stock s ON s.sku COLLATE utf8mb4_general_ci = g.sku WHERE g.id = {}", ("MODIFY `sku` char(20)", "on s.sku = g.sku"), "s", "ALL", "ref"),
}


def made(shop, tables):
    shop.setup(*[t.replace("%", "%%") for t in tables], "ANALYZE TABLE " + ", ".join(t.split()[2] for t in tables if t.startswith("CREATE")))


@pytest.mark.parametrize("name", FIXES)
def test_every_kind_of_fix_is_tried(suimon, shop, account, name):
    tables, sql, fix, table, was, is_ = FIXES[name]
    made(shop, tables)
    s = asked(suimon({"stats": {"slow": "1s"}}), shop, sql)
    listed = advise(s)[1]
    there = (account.sql("SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES ORDER BY 1, 2"), account.sql("SHOW CREATE TABLE %s.%s" % (shop.name, tables[-1].split()[2])))
    code, said = verify(s, account)
    assert code == 0 and "times as fast" in said, said
    assert all(words in said and words in listed for words in fix), (listed, said)
    plans = re.findall(r"table=%s type=(\w+)" % table, said)
    assert len(plans) == 2 and re.fullmatch(was, plans[0]) and plans[1] == is_, said
    sent = re.findall(r"rows sent: (\d+)", said)
    assert len(sent) == 2 and sent[0] == sent[1] != "0", said
    assert there == (account.sql("SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES ORDER BY 1, 2"), account.sql("SHOW CREATE TABLE %s.%s" % (shop.name, tables[-1].split()[2])))


def test_a_fix_in_words_is_listed_and_not_tried(suimon, shop, account):
    made(shop, (*GOOD, "CREATE TABLE stock (id INT PRIMARY KEY, sku VARCHAR(20), n INT, UNIQUE KEY (sku)) CHARACTER SET latin1", STOCK))
    s = asked(suimon({"stats": {"slow": "1s"}}), shop, "SELECT s.n FROM good g JOIN stock s ON s.sku = g.sku WHERE g.id = {}")
    assert "may be equal then" in advise(s)[1]
    code, said = verify(s, account)
    assert code == 0 and "not verified: its fix is words alone: " in said and "copied" not in said, said
    (f,) = proposed(s)
    assert verify(s, account, f["digest"]) == (1, said)


def test_a_statement_whose_values_go_elsewhere_is_not_tried(suimon, shop, account):
    """A year becomes a range, which takes the value twice."""
    made(shop, ("CREATE TABLE day (id INT PRIMARY KEY, at DATETIME, n INT, KEY (at))", "INSERT INTO day SELECT seq, '1500-01-01' + INTERVAL seq WEEK, seq FROM seq_1_to_20000"))
    s = asked(suimon({"stats": {"slow": "1s"}}), shop, "SELECT n FROM day WHERE YEAR(at) = {}", range(1600, 1616))
    code, said = verify(s, account)
    assert code == 1 and "the sample's values cannot be put into it" in said and "copied" not in said, said
