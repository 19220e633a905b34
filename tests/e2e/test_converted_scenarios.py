"""Strings that the server converts row by row before it compares them: found once, with a fix that saves what it says; and what only
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
    s = suimon({"replicas": [], "stats": timed.every_statement(tmp_path / "clocked.log")})

    def times(texts):
        with timed.undisturbed(cluster.primary):
            return [timed.run(s, shop.name, texts) for _ in range(timed.ROUNDS)]
    return times


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


NUMBERS = (
    "SELECT id FROM parcel WHERE old = {}",      # '0000007' is 7
    "SELECT id FROM parcel WHERE mixed = {}",    # so is '7-B'
    "SELECT id FROM parcel WHERE label > 41799{}",
    "SELECT id FROM parcel WHERE keyed = '{}'",
    "SELECT id FROM parcel WHERE id = '{}'",
    "SELECT id FROM parcel WHERE depot = '0{}'",
    "SELECT id FROM parcel WHERE label = 4000000 + {}",
    "SELECT id FROM parcel WHERE label = 0{}",
)


def test_numbers_that_need_no_quotes(suimon, shop):
    s = suimon({"replicas": [], "stats": {"slow": "5s"}})
    run(s, shop.name, [sql.format(n) for n in range(10, 22) for sql in NUMBERS])
    assert [(f["text"], f["fix_text"]) for f in findings(s, shop, 12)] == []
