"""The digest table tells the truth: calls, errors and rows are the server's own, percentiles the client's (S1)."""
import concurrent.futures
import random
import threading
import time

import pytest

import conftest
import timed
from conftest import address, ask, settle
from servers import MariaDB, wait_until
from wire import MULTI_STATEMENTS, Wire, error

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
                 "--performance-schema-consumer-events-statements-current=ON", "--performance-schema-consumer-events-statements-history-long=ON",
                 "--performance-schema-events-statements-history-long-size=10000", "--performance-schema-digests-size=500"])
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


FIELDS = ("calls", "errors", "rows_sent", "rows_affected")


def at_rest(read):
    """What it gives twice: the server counts a statement a moment after its answer has left."""
    last, now = None, read()
    while now != last:
        time.sleep(0.1)
        last, now = now, read()
    return now


def is_as_counted(ours, theirs, sessions=3):
    """To the last one. Of three sessions at once the server adds to a digest's numbers without a lock, so now and then an addition of its
    is lost. It never has one too many; and what suimon counts is never less."""
    return all(0 <= ours[f] - theirs[f] <= (2 + ours[f] // 33 if sessions > 1 else 0) for f in FIELDS)


def every_digest(server):
    columns = ("digest_text", "calls", "errors", "rows_sent", "rows_affected")
    rows = at_rest(lambda: server.sql("SELECT DIGEST_TEXT, COUNT_STAR, SUM_ERRORS, SUM_ROWS_SENT, SUM_ROWS_AFFECTED"
                                      " FROM performance_schema.events_statements_summary_by_digest WHERE SCHEMA_NAME = 'truth'"))
    return [dict(zip(columns, r)) for r in rows]


def servers_digests(server):
    return by_mark(every_digest(server), "digest_text")


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
                assert e.args[0] in (1054, 1062, 1205, 1213), e
            if n % 20 == 10:
                c.commit()


@pytest.mark.parametrize("sessions", (1, 3))
def test_calls_errors_and_rows_are_the_servers_own(counted, server, sessions):
    server.sql("TRUNCATE TABLE truth.items_k6", "TRUNCATE TABLE performance_schema.events_statements_summary_by_digest")
    threads = [threading.Thread(target=load, args=(counted, seed, 750 // sessions)) for seed in range(sessions)]
    for t in threads:  # the writers of a row wait for each other, and may end as a deadlock
        t.start()
    for t in threads:
        t.join()
    ours = by_mark(settle(counted).api("/api/queries?limit=1000")["queries"], "text")
    theirs = servers_digests(server)
    assert sorted(ours) == sorted(theirs) == MARKS
    assert sum(ours[mark]["calls"] for mark in MARKS) == 750
    for mark in MARKS:
        assert is_as_counted(ours[mark], theirs[mark], sessions), (mark, ours[mark], theirs[mark])
    assert ours["k6"]["errors"] and ours["k7"]["errors"] == ours["k7"]["calls"]
    assert {e["code"] for e in ours["k7"]["errors_by_code"]} == {1054}
    detail = counted.api("/api/queries/" + ours["k2"]["digest"])
    assert [(a["schema"], a["user"], a["calls"]) for a in detail["accounts"]] == [("truth", "app", ours["k2"]["calls"])]
    assert detail["servers"] == [{"addr": address(server), "calls": ours["k2"]["calls"]}]


def test_what_the_cache_answers_the_server_does_not_count(suimon, server):
    s = suimon({"primary": address(server), "replicas": [], "stats": {"explain": False},
                "cache": {"memory": "16MiB", "rules": [{"match": {"query": "k8"}, "ttl": "60s"}]}})
    server.sql("TRUNCATE TABLE performance_schema.events_statements_summary_by_digest")
    with s.connect(database="truth") as c:
        for n in range(200):
            ask(c, LOAD[7][0].format(n % 20 + 100))
            ask(c, LOAD[0][0].format(n % 20 + 100))
    ours, theirs = by_mark(settle(s).api("/api/queries?limit=1000")["queries"], "text"), servers_digests(server)
    assert ours["k8"]["cache_hits"] >= 100 and ours["k8"]["calls"] == 200
    assert ours["k8"]["calls"] - ours["k8"]["cache_hits"] == theirs["k8"]["calls"]
    assert ours["k8"]["rows_sent"] - 3 * ours["k8"]["cache_hits"] == theirs["k8"]["rows_sent"]  # three rows an answer, from wherever it comes
    assert ours["k1"]["calls"] == theirs["k1"]["calls"] == 200 and ours["k1"]["rows_sent"] == theirs["k1"]["rows_sent"] == 200


def in_threads(work):
    """work(seed) in three threads at once; what one of them fails with is not lost."""
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))


def executed(server):
    """What the server has executed of prepared statements so far: MariaDB counts these by kind of command and under no digest."""
    (row,) = at_rest(lambda: server.sql("SELECT COUNT_STAR, SUM_ERRORS, SUM_ROWS_SENT, SUM_ROWS_AFFECTED FROM"
                                        " performance_schema.events_statements_summary_global_by_event_name"
                                        " WHERE EVENT_NAME = 'statement/com/Execute'"))
    return dict(zip(FIELDS, row))


def test_prepared_statements_are_counted_as_the_server_executes_them(counted, server):
    """One statement after the other, each in three sessions at once: so the server's count of what it executes meanwhile is this one's."""
    server.sql("TRUNCATE TABLE truth.items_k6")
    theirs = {}
    for (sql, most), mark in zip(LOAD, MARKS):
        if mark == "k7":  # it cannot be prepared
            continue

        def execute(seed):
            rng = random.Random(seed)
            with Wire(counted.connect(database="truth")) as w:
                statement = w.prepare(sql.replace("'%{}'", "?").replace("{}", "?"))
                for _ in range(40):
                    last = statement.execute(["%%%d" % rng.randrange(1, most) if mark == "k3" else rng.randrange(1, most)])[-1]
                    assert last[0] != 0xff or error(last)[0] in (1062, 1205, 1213), error(last)

        before = executed(server)
        in_threads(execute)
        after = executed(settle(counted) and server)
        theirs[mark] = {f: after[f] - before[f] for f in FIELDS}
    ours = by_mark(counted.api("/api/queries?limit=1000")["queries"], "text")
    assert sorted(ours) == sorted(theirs)
    for mark, row in theirs.items():
        assert ours[mark]["calls"] == 120 and is_as_counted(ours[mark], row), (mark, ours[mark], row)
    assert ours["k6"]["errors"] and ours["k6"]["rows_affected"] and ours["k2"]["rows_sent"] == 12000


def test_statements_sent_together_are_counted_one_by_one(counted, server):
    """MariaDB's digests of what stands together are muddled (each has the first one's text); what it remembers of each is not."""
    server.sql("TRUNCATE TABLE truth.items_k6", "TRUNCATE TABLE performance_schema.events_statements_history_long")

    def send(seed):
        rng = random.Random(seed)
        with Wire(counted.connect(database="truth", client_flag=MULTI_STATEMENTS)) as w:
            for _ in range(60):
                w.query("; ".join(sql.format(rng.randrange(1, most)) for sql, most in rng.sample(LOAD, 3)))

    in_threads(send)
    ours = by_mark(settle(counted).api("/api/queries?limit=1000")["queries"], "text")
    theirs = {mark: dict.fromkeys(FIELDS, 0) for mark in MARKS}
    for text, *row in at_rest(lambda: server.sql(
            "SELECT SQL_TEXT, 1, ERRORS, ROWS_SENT, ROWS_AFFECTED FROM performance_schema.events_statements_history_long"
            " WHERE CURRENT_SCHEMA = 'truth' AND SQL_TEXT IS NOT NULL")):
        for mark in MARKS:  # the text goes on with the statements behind it
            if mark in text.split(";")[0]:
                for field, n in zip(FIELDS, row):
                    theirs[mark][field] += n
    assert sorted(ours) == MARKS and sum(row["calls"] for row in theirs.values()) > 400
    for mark in MARKS:
        assert {f: ours[mark][f] for f in FIELDS} == theirs[mark], (mark, ours[mark], theirs[mark])


def test_what_may_give_several_results_is_told_apart_where_it_can_be(counted, server):
    """CALL gives as many as it likes: statements beside it are counted by themselves only where each has given one."""
    server.sql("CREATE OR REPLACE PROCEDURE truth.k1() SELECT 1", "CREATE OR REPLACE PROCEDURE truth.k2() DO 1")
    with Wire(counted.connect(database="truth", client_flag=MULTI_STATEMENTS)) as w:
        w.query("CALL k1(); SELECT 1 AS k3 FROM items WHERE id < 5")
        w.query("CALL k2(); SELECT 1 AS k4 FROM items WHERE id < 5")
        w.query(";".join("SELECT %d AS k5" % n for n in range(300)) + ";SELECT k7_missing; SELECT 1 AS k8")
        w.query("SELECT k7_missing; SELECT 1 AS k8")
    rows = {q["text"]: [q[f] for f in FIELDS] for q in settle(counted).api("/api/queries?limit=1000")["queries"]}
    # A CALL is known by its name, whatever follows. Behind k7 nothing has run.
    assert rows == {"call k1": [1, 0, 5, 0], "call k2": [1, 0, 0, 0],
                    "select ? as k4 from items where id < ?": [1, 0, 4, 0], "select ? as k5": [300, 0, 300, 0],
                    "select k7_missing": [2, 2, 0, 0]}


def test_bytes_of_statements_sent_together_are_their_own_results(counted, server):
    """Each result's last packet, too: of rows an EOF, of what has none an OK."""
    sent = ["SELECT id AS k1 FROM items WHERE id < 50", "UPDATE items AS k5 SET kind = kind WHERE id = 1", "SELECT 'a' AS k8", "SELECT name AS k2 FROM items"]
    with Wire(counted.connect(database="truth", client_flag=MULTI_STATEMENTS)) as w:
        for sql in sent:
            w.query(sql)
        alone = {mark: row["bytes_out"] for mark, row in by_mark(settle(counted).api("/api/queries?limit=1000")["queries"], "text").items()}
        w.query("; ".join(sent))
    both = by_mark(settle(counted).api("/api/queries?limit=1000")["queries"], "text")
    assert sorted(alone) == sorted(both) == ["k1", "k2", "k5", "k8"]
    assert {mark: row["bytes_out"] for mark, row in both.items()} == {mark: 2 * n for mark, n in alone.items()}


def test_an_empty_statement_is_nobody_elses_error(counted, server):
    with Wire(counted.connect(database="truth", client_flag=MULTI_STATEMENTS)) as w:
        for sql in ("SELECT 1 AS k1; ; SELECT 1 AS k2", "SELECT 1 AS k1; /* ; */ ; SELECT 1 AS k2"):
            assert error(w.query(sql)[-1])[0] in (1064, 1065)
        assert [q["calls"] for q in settle(counted).api("/api/queries?limit=1000")["queries"] if "k2" in q["text"] and "k1" not in q["text"]] == []
        # What follows the error makes no difference, nor does a comment with a semicolon.
        w.query("SELECT 1 AS k3; SELECT k7_missing; ; SELECT 1 AS k4")
        w.query("SELECT 1 AS k5; /* ; */ SELECT 1 AS k6; SELECT 1 AS k8;")
    rows = {q["text"]: [q[f] for f in FIELDS] for q in settle(counted).api("/api/queries?limit=1000")["queries"]}
    assert rows.pop("select ...") == [2, 2, 2, 0]  # as a whole, of which the server says that it is no SQL
    assert rows == {
        "select ? as k3": [1, 0, 1, 0], "select k7_missing": [1, 1, 0, 0],
        "select ? as k5": [1, 0, 1, 0], "select ? as k6": [1, 0, 1, 0], "select ? as k8": [1, 0, 1, 0]}


def test_prepare_and_execute_as_sql_are_counted_as_the_server_does(counted, server):
    """Both by the name that the session has given it: its text stands in another statement."""
    server.sql("TRUNCATE TABLE performance_schema.events_statements_summary_by_digest")

    def named(rows, text):
        return [r for r in rows if r[text].lower().startswith("execute ")]

    def execute(seed):
        rng = random.Random(seed)
        with counted.connect(database="truth") as c:
            for name, (sql, most) in (("k1", LOAD[0]), ("k2", LOAD[1])):
                ask(c, "PREPARE %s FROM '%s'" % (name, sql.replace("{}", "?")))
                for _ in range(30):
                    ask(c, "SET @v = %d" % rng.randrange(1, most))
                    ask(c, "EXECUTE %s USING @v" % name)

    in_threads(execute)
    ours = by_mark(named(settle(counted).api("/api/queries?limit=1000")["queries"], "text"), "text")
    theirs = by_mark(named(every_digest(server), "digest_text"), "digest_text")
    assert sorted(ours) == sorted(theirs) == ["k1", "k2"]
    for mark, row in theirs.items():
        assert ours[mark]["calls"] == 90 and is_as_counted(ours[mark], row), (mark, ours[mark], row)
    assert ours["k2"]["rows_sent"] == 9000


def quantile(values, q):
    """As the histogram has it: the value below which a share of q lies; of two in the middle the upper."""
    return sorted(values)[int(q * len(values))]


def test_percentiles_are_what_the_client_saw(suimon, server, tmp_path):
    """Of statements of 50 to 400 ms the way between client and suimon is nothing: there the client's own record is within 2 %, on either side.
    Of all of them, the quick ones too, percentiles are those of suimon's times one by one, which the slow log has to the microsecond; no
    such time is shorter than the server slept."""
    kinds = {"slept": lambda rng: "SELECT SLEEP(%.6f) AS slept" % rng.uniform(.05, .4), "k1": lambda rng: LOAD[0][0].format(rng.randrange(1 << 30)),
             "k3": lambda rng: LOAD[2][0].format(rng.randrange(1 << 30))}
    seen = {}

    def work(seed):
        rng = random.Random(seed)
        with s.connect(database="truth") as c:
            for n in range(150):
                sql = kinds["slept" if n % 10 == 0 else "k3" if n % 3 else "k1"](rng)
                begin = time.monotonic()
                ask(c, sql)
                seen[sql] = time.monotonic() - begin

    log = str(tmp_path / "slow.log")
    with timed.undisturbed(server):
        s = suimon({"primary": address(server), "replicas": [], "stats": timed.every_statement(log)})
        in_threads(work)
    rows = settle(s).api("/api/queries?limit=1000")["queries"]
    own = wait_until("the log's last statement", lambda: next((o for o in (dict(timed.logged(log)),) if seen.keys() <= o.keys()), None), 10)
    assert len(seen) == 450 and all(own[sql] >= float(sql.split("SLEEP(")[1].split(")")[0]) for sql in seen if "slept" in sql)
    for kind in kinds:
        (row,) = [r for r in rows if kind in r["text"]]
        (mine, clients) = ([t[sql] for sql in seen if kind in sql] for t in (own, seen))
        assert row["calls"] == len(mine) >= 45 and row["total_time"] == pytest.approx(sum(mine), rel=.001, abs=1e-6 * len(mine))
        for name, q in (("p50", .5), ("p95", .95), ("p99", .99), ("p999", .999)):
            assert row[name] == pytest.approx(quantile(mine, q), rel=.02), (kind, name, row[name], quantile(mine, q))
            if kind == "slept":
                assert row[name] == pytest.approx(quantile(clients, q), rel=.02), (name, row[name], quantile(clients, q))
