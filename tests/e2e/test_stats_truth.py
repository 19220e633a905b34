"""The digest table tells the truth: calls, errors and rows are the server's own, percentiles the client's (S1)."""
import math
import random
import threading
import time

import pytest

import conftest
from conftest import address, ask, settle
from servers import MariaDB, wait_until

pytestmark = conftest.mariadb_only("it compares with performance_schema, switched on for a server of its own")

SCHEMA = """CREATE DATABASE truth; CREATE TABLE truth.items (id INT PRIMARY KEY, kind INT, name VARCHAR(40), KEY (kind));
    CREATE TABLE truth.items_k6 (id INT PRIMARY KEY);
    INSERT INTO truth.items SELECT seq, seq % 50, CONCAT('item ', seq) FROM truth.seq_1_to_5000; GRANT ALL ON truth.* TO app@'%'"""

# Each has a mark of its own, by which the server's digest and suimon's are told apart; {} is another value each time.
LOAD = (
    ("SELECT id AS k1 FROM items WHERE id = {}", 5000),
    ("SELECT id AS k2, name FROM items WHERE kind = {} ORDER BY id", 50),
    ("SELECT COUNT(*) AS k3 FROM items WHERE name LIKE '%{}'", 100),
    ("SELECT i.id AS k4 FROM items i JOIN items j ON j.kind = i.kind WHERE i.id = {}", 40),
    ("UPDATE items AS k5 SET name = 'new' WHERE kind = {}", 50),
    ("INSERT INTO items_k6 (id) VALUES ({})", 60),
    ("SELECT k7_missing FROM items WHERE id = {}", 10),
    ("SELECT id AS k8 FROM items WHERE id IN ({}, 7, 9)", 100),
)
MARKS = ["k%d" % n for n in range(1, 9)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A primary without replicas, which keeps a digest table itself."""
    s = MariaDB(str(tmp_path_factory.mktemp("truth")), "primary", 1,
                ["--performance-schema=ON", "--performance-schema-consumer-events-statements-history=OFF",
                 "--performance-schema-digests-size=500"])
    s.install()
    try:
        s.start()
        s.sql(*s.accounts)
        s.sql(*SCHEMA.split(";"))
        yield s
    finally:
        s.stop()


@pytest.fixture
def counted(suimon, server):
    return suimon({"primary": address(server), "replicas": [], "stats": {"explain": False}})


def by_mark(rows, text):
    found = {}
    for row in rows:
        for mark in MARKS:
            if mark in row[text].lower().replace("`", ""):
                assert mark not in found, (row, found[mark])
                found[mark] = row
    return found


def servers_digests(server):
    columns = ("digest_text", "calls", "errors", "rows_sent", "rows_affected")
    rows = server.sql("SELECT DIGEST_TEXT, COUNT_STAR, SUM_ERRORS, SUM_ROWS_SENT, SUM_ROWS_AFFECTED"
                      " FROM performance_schema.events_statements_summary_by_digest WHERE SCHEMA_NAME = 'truth'")
    return by_mark([dict(zip(columns, r)) for r in rows], "digest_text")


def load(instance, seed, times):
    """Statements in a random order, some of them in transactions, some failing: duplicate keys, a missing column."""
    rng = random.Random(seed)
    with instance.connect(database="truth") as c:
        for n in range(times):
            sql, most = rng.choice(LOAD)
            if n % 20 == 0:
                c.begin()
            try:
                ask(c, sql.format(rng.randrange(1, most)))
            except Exception as e:  # the driver's, of the kinds that LOAD provokes
                assert e.args[0] in (1054, 1062), e
            if n % 20 == 10:
                c.commit()


def test_calls_errors_and_rows_are_the_servers_own(counted, server):
    server.sql("TRUNCATE TABLE performance_schema.events_statements_summary_by_digest")
    threads = [threading.Thread(target=load, args=(counted, seed, 250)) for seed in range(2)]
    load(counted, 99, 250)
    for t in threads:  # the writers of a row may wait for each other, hence few
        t.start()
        t.join()
    ours = by_mark(settle(counted).api("/api/queries?limit=1000")["queries"], "text")
    theirs = servers_digests(server)
    assert sorted(ours) == sorted(theirs) == MARKS
    for mark in MARKS:
        for field in ("calls", "errors", "rows_sent", "rows_affected"):
            assert ours[mark][field] == theirs[mark][field], (mark, field, ours[mark], theirs[mark])
    assert ours["k6"]["errors"] and ours["k7"]["errors"] == ours["k7"]["calls"]
    assert {e["code"] for e in ours["k7"]["errors_by_code"]} == {1054}
    detail = counted.api("/api/queries/" + ours["k2"]["digest"])
    assert [(a["schema"], a["user"], a["calls"]) for a in detail["accounts"]] == [("truth", "app", ours["k2"]["calls"])]
    assert detail["servers"] == [{"addr": address(server), "calls": ours["k2"]["calls"]}]


def quantile(values, q):
    """As the histogram counts: the least value that at least a share of q does not exceed."""
    values = sorted(values)
    return values[max(0, math.ceil(len(values) * q) - 1)]


def test_percentiles_are_what_the_client_saw(counted, server):
    """Waits of 40 to 160 ms: what the client measures beside them, on its way to suimon and back, is small against those."""
    seen, lock = [], threading.Lock()

    def sleep(seed):
        rng = random.Random(seed)
        with counted.connect(database="truth") as c:
            for _ in range(12):
                wait = rng.uniform(.04, .16)
                begin = time.monotonic()
                ask(c, "SELECT SLEEP(%.4f) AS slept" % wait)
                with lock:
                    seen.append(time.monotonic() - begin)

    threads = [threading.Thread(target=sleep, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    row = wait_until("all of them", lambda: next((r for r in counted.api("/api/queries")["queries"] if "slept" in r["text"]
                                                  and r["calls"] == len(seen)), None), 10)
    for name, q in (("p50", .5), ("p95", .95), ("p99", .99)):
        # 2 %, and what a busy machine takes to wake the client: it can only make the client's time longer
        assert row[name] <= quantile(seen, q) * 1.02, (name, row[name], quantile(seen, q))
        assert row[name] >= quantile([s - .03 for s in seen], q) * .98, (name, row[name], quantile(seen, q))
    assert row["answer_time"] == pytest.approx(row["total_time"], rel=.05)
