"""A finding whose cause was mended is gone within seconds, whoever mended it, and not before (S3)."""
import time

import pytest

import conftest
from conftest import ask
from servers import wait_until

pytestmark = conftest.mariadb_only("the tables are made with its sequences")

TABLES = ("CREATE TABLE cust (id INT PRIMARY KEY, email VARCHAR(60), score INT)", "INSERT INTO cust SELECT seq, CONCAT('u', seq, '@x.org'), seq FROM seq_1_to_20000",
          "CREATE TABLE job (id INT PRIMARY KEY, owner INT)", "INSERT INTO job SELECT seq, seq MOD 1500 FROM seq_1_to_20000", "ANALYZE TABLE cust, job")
LACKING = {"cust": "SELECT id, score FROM cust WHERE email = 'u{}@x.org'", "job": "SELECT id FROM job WHERE owner = {}"}


@pytest.fixture
def shop(db):
    db.setup(*TABLES)
    return db


def tables(s):
    """Of which an index is proposed."""
    return sorted(f["evidence"]["table"].split(".")[1] for f in s.api("/api/findings")["findings"] if f["kind"] == "missing_index" and f["evidence"].get("columns"))


def run(s, shop, *names):
    with s.connect(database=shop.name) as c:
        for n in range(100, 112):
            for name in names or LACKING:
                ask(c, LACKING[name].format(n))


def found(suimon, shop, conf=None):
    s = suimon({"stats": {"slow": "5s"}, **(conf or {})})
    run(s, shop)
    wait_until("the findings", lambda: tables(s) == ["cust", "job"], 40, .2)
    return s


@pytest.mark.parametrize("mending", (
    ("ALTER TABLE `{}`.`cust` ADD KEY (email)",), ("USE {}", "CREATE INDEX by_email ON cust (email)"),
    ("USE {}", "CREATE TABLE cust_new LIKE cust", "ALTER TABLE cust_new ADD INDEX (email)", "INSERT INTO cust_new SELECT * FROM cust", "RENAME TABLE cust TO cust_old, cust_new TO cust"),
), ids=("alter", "create", "rename"))
def test_mended_through_suimon(suimon, shop, mending):
    s = found(suimon, shop)
    with s.connect() as c:
        for sql in mending:
            ask(c, sql.format(shop.name))
    wait_until("the finding's end", lambda: tables(s) == ["job"], 8, .2)


def test_what_does_not_mend_it_leaves_it(suimon, shop):
    s = found(suimon, shop)
    with s.connect(database=shop.name) as c:
        ask(c, "ALTER TABLE cust ADD INDEX (score)")
        ask(c, "ALTER TABLE job COMMENT 'worked off'")
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert tables(s) == ["cust", "job"]
        time.sleep(.2)


def test_truncate_mends_nothing(suimon, shop):
    """It may come every second: nothing is explained for it, or what was mended past suimon would show."""
    s = found(suimon, shop)
    shop.setup("ALTER TABLE job ADD INDEX (owner)")
    with s.connect(database=shop.name) as c:
        ask(c, "TRUNCATE TABLE job")
    until = time.monotonic() + 4
    while time.monotonic() < until:
        assert tables(s) == ["cust", "job"]
        time.sleep(.2)


def test_statements_are_explained_while_a_table_is_altered_all_the_time(suimon, shop):
    s = found(suimon, shop)
    shop.setup("CREATE TABLE late LIKE cust", "INSERT INTO late SELECT * FROM cust")
    with s.connect(database=shop.name) as c:
        def is_found():
            ask(c, "ALTER TABLE cust COMMENT '%d'" % time.monotonic_ns())
            return "late" in tables(s)

        is_found()
        for n in range(15):
            ask(c, "SELECT id, score FROM late WHERE email = 'u%d@x.org'" % n)
        wait_until("the new statement's finding", is_found, 15, .3)


def test_mended_past_suimon(suimon, shop):
    """Nobody saw it; but the servers flag the statement no more."""
    s = found(suimon, shop)
    shop.setup("ALTER TABLE cust ADD INDEX (email)")
    run(s, shop, "cust")
    wait_until("the finding's end", lambda: tables(s) == ["job"], 20, .2)


@pytest.mark.parametrize("drop", ("DROP TABLE `{}`.cust", "DROP DATABASE `{}`"), ids=("table", "schema"))
def test_dropped_through_suimon(suimon, shop, drop):
    """Each kind goes at once; made anew, it is found again when it is seen again."""
    s = found(suimon, shop)
    repeated = "SELECT score FROM cust WHERE id = 7"
    with s.connect(database=shop.name) as c:
        for _ in range(2000):
            ask(c, repeated)

    def kinds():
        return sorted((f["kind"], f["evidence"]["table"].split(".")[1]) for f in s.api("/api/findings")["findings"])

    lacking = [("missing_index", name) for name in ("cust", "job")]
    wait_until("the repeated read", lambda: kinds() == [("cacheable", "cust"), *lacking], 10, .2)
    try:
        with s.connect() as c:
            ask(c, drop.format(shop.name))
        assert kinds() == (lacking[1:] if "TABLE" in drop else [])
    finally:
        shop.cluster.setup("CREATE DATABASE IF NOT EXISTS `%s`" % shop.name)
    shop.setup("DROP TABLE IF EXISTS job", *TABLES)
    with s.connect(database=shop.name) as c:
        ask(c, repeated)
    assert ("cacheable", "cust") in kinds()


def test_dropped_past_suimon(suimon, shop):
    """The schema is found to be another one, and the table is not there to be explained."""
    s = found(suimon, shop, {"cache": {"rules": [{"match": {"table": shop.name + ".job"}, "ttl": "5s"}]}})
    shop.setup("DROP TABLE cust", "ALTER TABLE job DROP COLUMN owner")
    with s.connect(database=shop.name) as c:
        ask(c, "CREATE TABLE later (id INT PRIMARY KEY)")
    wait_until("the findings' end", lambda: tables(s) == [], 30, .2)


def test_the_schema_is_another(suimon, shop):
    """Memory has the schema read, which shows it though the statement does not come again."""
    s = found(suimon, shop, {"cache": {"rules": [{"match": {"table": shop.name + ".job"}, "ttl": "5s"}]}})
    shop.setup("ALTER TABLE cust ADD INDEX (email)")
    with s.connect(database=shop.name) as c:
        ask(c, "CREATE TABLE later (id INT PRIMARY KEY)")
    wait_until("the finding's end", lambda: tables(s) == ["job"], 20, .2)


def test_a_replica_comes_to_it_later(suimon, shop):
    s = found(suimon, shop)
    with shop.cluster.replica_behind():
        with s.connect(database=shop.name) as c:
            ask(c, "ALTER TABLE cust ADD INDEX (email)")
        time.sleep(3)
        assert tables(s) == ["cust", "job"]  # by the replica's plan
    wait_until("the finding's end", lambda: tables(s) == ["job"], 10, .2)


def test_mended_while_suimon_was_down(suimon, shop, tmp_path):
    s = found(suimon, shop, {"stats": {"slow": "5s", "snapshot": str(tmp_path / "statistics")}})
    assert s.stop() == 0
    shop.setup("ALTER TABLE cust ADD INDEX (email)")
    s.start()
    assert tables(s) == ["cust", "job"]
    wait_until("the finding's end", lambda: tables(s) == ["job"], 25, .2)
