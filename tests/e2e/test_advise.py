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


@pytest.fixture
def advised(suimon, shop):
    s = suimon({"stats": {"slow": "1s"}})
    with s.connect(database=shop.name) as c:
        for n in range(8):
            ask(c, "SELECT id, twice FROM %s.orders AS o WHERE o.email = 'u%d@example.com'" % (shop.name, n * 1000 + 500))
    wait_until("the finding", lambda: [f for f in s.api("/api/findings")["findings"] if f["kind"] == "missing_index" and f.get("fix_sql")], 40, .2)
    return s


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
