"""S1 to S3: every statement is counted, and what to fix is found, with evidence and a fix."""
import ctypes
import json
import struct
import subprocess
import time

import pytest

from conftest import ask, numbers, settle
from servers import listing, sum_metric, wait_until
from wire import Wire


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE orders (id INT PRIMARY KEY, customer INT, email VARCHAR(60), total INT, KEY (customer))",
             "INSERT INTO orders SELECT seq, seq % 100, CONCAT('c', seq % 500, '@example.com'), seq % 91 FROM " + numbers(1, 20000),
             "ANALYZE TABLE orders")
    return db


@pytest.fixture
def counted(suimon):
    return suimon()


def row(s, words):
    """The digest's row whose text holds all of the words."""
    settle(s)
    return next((r for r in listing(s.api("/api/queries?limit=1000")) if all(w in r["text"].lower() for w in words.split())), None)


def findings(s, kind, word):
    return [f for f in listing(s.api("/api/findings")) if f["kind"] == kind and word in json.dumps(f)]


def test_the_numbers_of_a_statement(counted, table):
    with counted.connect(database=table.name) as c:
        for n in range(1, 8):
            assert len(ask(c, "SELECT id, total FROM orders WHERE customer = %d LIMIT 3" % n)) == 3
        ask(c, "UPDATE orders SET total = total + 1 WHERE id IN (1, 2, 3)")
        for _ in range(2):
            with pytest.raises(Exception):
                ask(c, "SELECT missing FROM orders")
    r = row(counted, "select total from orders customer limit")
    assert (r["calls"], r["rows_sent"], r["errors"]) == (7, 21, 0)
    assert 0 < r["p50"] <= r["p95"] <= r["p99"]
    assert r["total_time"] == pytest.approx(7 * r["mean_time"], rel=0.01)
    assert r["first_seen"] <= r["last_seen"]
    assert "app" in json.dumps(r["users"])
    assert sum(v for v in r["routed"].values()) == 7
    assert row(counted, "update orders")["rows_affected"] == 3
    assert row(counted, "missing from orders")["errors"] == 2


def test_digests_hold_no_values(counted, table):
    with counted.connect(database=table.name) as c:
        ask(c, "SELECT id FROM orders WHERE email = 'secret-value@example.com' AND total IN (11111, 22222)")
    text = counted.http("/api/queries")[1]
    assert "secret-value" not in text and "11111" not in text
    assert "secret-value" not in counted.http("/metrics")[1]


def test_no_sample_is_kept_where_samples_are_off(suimon, table):
    s = suimon({"stats": {"samples": False, "slow": "1ms", "explain": True}})
    with s.connect(database=table.name) as c:
        for _ in range(20):
            ask(c, "SELECT id FROM orders WHERE email = 'secret-value@example.com'")
    time.sleep(1.5)
    digest = row(s, "orders email")["digest"]
    text = "".join(s.http(p)[1] for p in ("/api/queries", "/api/findings", "/api/queries/" + digest, "/api/clients", "/metrics"))
    assert "secret-value" not in text + s.log_text()


def test_one_digest_in_detail(counted, table):
    with counted.connect(database=table.name) as c:
        ask(c, "SELECT SUM(total) FROM orders")
    digest = row(counted, "sum total orders")["digest"]
    detail = counted.api("/api/queries/" + digest)
    assert detail["calls"] == 1 and detail["histogram"]
    assert sum(b["count"] for b in detail["histogram"]) == 1


def test_prepared_and_text_forms_are_one_digest(counted, table):
    with Wire(counted.connect(database=table.name)) as w:
        w.query("SELECT total FROM orders WHERE id = 5")
        s = w.prepare("SELECT total FROM orders WHERE id = ?")
        for n in range(4):
            s.execute((n,))
    assert row(counted, "select total from orders where id")["calls"] == 5


def test_a_prepared_statement_counts_for_the_schema_it_was_prepared_in(counted, table):
    """Its tables are that one's; so is what is advised about them."""
    with Wire(counted.connect(database=table.name)) as w:
        s = w.prepare("SELECT total AS elsewhere FROM orders WHERE id = ?")
        s.execute((1,))
        w.query("USE information_schema")
        s.execute((2,))
        w.query("USE %s" % table.name)
        s.execute((3,))
    found = row(counted, "elsewhere orders")
    assert (found["calls"], found["schema"]) == (3, table.name)


def test_an_n_plus_one_loop_is_found(counted, table):
    with counted.connect(database=table.name) as c:
        for _ in range(3):
            for (number,) in ask(c, "SELECT id FROM orders WHERE customer = 5 LIMIT 20"):
                ask(c, "SELECT total, email FROM orders WHERE id = %d" % number)
    found = wait_until("the finding", lambda: findings(counted, "n_plus_one", "email"), 5)
    assert "customer" in json.dumps(found[0]), "the statement before the loop is named"
    assert found[0]["fix_text"]
    assert sum_metric(counted.metrics(), "suimon_nplus1_total") >= 3


def test_a_loop_over_sessions_is_held_together_by_its_trace(counted, table):
    """Where each statement has a connection of its own, as from a pool that gives one out for each; without a trace they are no loop."""
    def asked(sql, trace):
        tag = " /*route='basket',traceparent='00-%032x-%016x-01'*/" % (trace, trace) if trace else ""
        with counted.connect(database=table.name) as c:
            return ask(c, sql + tag)

    def request(name, trace):
        for (number,) in asked("SELECT id FROM orders WHERE customer = 5 ORDER BY id LIMIT 15", trace):
            asked("SELECT total AS %s FROM orders WHERE id = %d" % (name, number), trace)

    for n in range(3):
        request("traced", 0x4bf92f3577b34da6 + n)
        request("plain", None)
    found = wait_until("the finding", lambda: findings(counted, "n_plus_one", "traced"), 5)
    settle(counted)
    (f,) = findings(counted, "n_plus_one", "traced")
    evidence = f["evidence"]
    assert found and f["text"] == "select total as traced from orders where id = ?"
    assert (evidence["occurrences"], evidence["queries"], evidence["route"]) == (3, 45, "basket")
    assert "customer" in evidence["parent_text"]
    assert not findings(counted, "n_plus_one", "plain")


def test_each_statement_of_a_trace_of_its_own_is_no_loop(counted, table):
    """The same statements over as many sessions, each one a request."""
    for n in range(45):
        with counted.connect(database=table.name) as c:
            tag = " /*traceparent='00-%032x-%016x-01'*/" % (n + 1, n + 1)
            if n % 15 == 0:
                ask(c, "SELECT id FROM orders WHERE customer = 5 ORDER BY id LIMIT 15" + tag)
            ask(c, "SELECT total AS apart FROM orders WHERE id = %d%s" % (n, tag))
    settle(counted)
    assert not findings(counted, "n_plus_one", "apart")


def test_ordinary_repetition_is_no_n_plus_one(counted, table):
    with counted.connect(database=table.name) as c:
        for n in range(30):
            ask(c, "SELECT total FROM orders WHERE id = %d" % n)
            ask(c, "UPDATE orders SET total = 1 WHERE id = %d" % n)
            ask(c, "DO 1")
            ask(c, "SELECT COUNT(*) FROM whoami")
            ask(c, "SELECT 1")
    assert not findings(counted, "n_plus_one", "total")


def test_a_missing_index_is_found_with_its_fix(counted, table):
    with counted.connect(database=table.name) as c:
        for n in range(10):
            ask(c, "SELECT id FROM orders WHERE email = 'c%d@example.com'" % n)
    found = wait_until("the advice", lambda: [f for f in findings(counted, "missing_index", "email") if f.get("fix_sql")], 10, 0.2)
    fix = found[0]["fix_sql"]
    assert fix.upper().startswith("ALTER TABLE") or fix.upper().startswith("CREATE INDEX")
    assert "orders" in fix and "email" in fix
    # The fix does what it says.
    table.setup(fix.replace("`%s`." % table.name, "").rstrip(";"))
    with counted.connect(database=table.name) as c:
        before = sum_metric(counted.metrics(), "suimon_no_index_queries_total")
        ask(c, "SELECT id FROM orders WHERE email = 'c1@example.com'")
        assert sum_metric(counted.metrics(), "suimon_no_index_queries_total") == before


def test_no_index_is_advised_where_one_is(counted, table):
    with counted.connect(database=table.name) as c:
        for n in range(20):
            ask(c, "SELECT id FROM orders WHERE customer = %d" % n)
            ask(c, "SELECT email FROM orders WHERE id = %d" % n)
    time.sleep(2)
    assert not [f for f in listing(counted.api("/api/findings")) if f["kind"] == "missing_index"]


def test_the_table_of_digests_is_bounded(suimon, table):
    s = suimon({"stats": {"digests": 100}})
    with s.connect(database=table.name) as c:
        for n in range(400):
            ask(c, "SELECT 1 AS c%d" % n)

    def all_counted():  # the last one a moment after its answer
        answer = s.api("/api/queries?limit=1000")
        assert len(listing(answer)) <= 110
        return sum(r["calls"] for r in listing(answer)) + (answer.get("other") or {}).get("calls", 0) >= 400
    wait_until("400 statements to be counted", all_counted, 30)


def test_metrics_have_no_labels_from_clients(counted, table):
    with counted.connect(database=table.name) as c:
        ask(c, "SELECT 1 AS labelled FROM orders LIMIT 1")
    assert "labelled" not in counted.http("/metrics")[1]


def test_time_and_money_are_split_by_who_used_them(suimon, table):
    """By service, route, account and host; what the cache answers costs nothing."""
    s = suimon({"stats": {"cost_per_hour": 12}, "cache": {"memory": "8MiB", "rules": [{"match": {"tag": {"route": "list"}}, "ttl": "60s"}]}})
    with s.connect(database=table.name) as c:
        for n in range(20):
            ask(c, "SELECT SUM(total) + %d FROM orders /*application='shop',route='%%2Freport'*/" % n)
        for n in range(120):
            ask(c, "SELECT total FROM orders WHERE id = %d /*application='shop',route='list'*/" % (n % 2))
        ask(c, "UPDATE orders SET total = 1 WHERE id = 3 /*application='jobs',controller='night',action='run'*/")
    costs = settle(s).api("/api/costs")
    services = {r["name"]: r for r in costs["by_service"]}
    routes = {r["name"]: r for r in costs["by_route"]}
    assert services["shop"]["calls"] == 140 and services["jobs"]["calls"] == 1
    assert routes["/report"]["calls"] == 20 and routes["night:run"]["calls"] == 1 and routes["list"]["calls"] == 120
    assert costs["by_route"][0]["name"] == "/report", "the dearest first"
    assert routes["list"]["server_time"] < routes["/report"]["server_time"]
    for rows in (costs["by_service"], costs["by_route"], costs["by_user"], costs["by_host"]):
        assert sum(r["share"] for r in rows) == pytest.approx(1, abs=.01)
        assert sum(r["cost_per_hour"] for r in rows) == pytest.approx(12, abs=.1)
    assert [r["name"] for r in costs["by_user"] if r["calls"] > 100] == ["app"]


def test_a_route_of_reads_that_are_seldom_written_is_one_a_cdn_could_hold(suimon, table, tmp_path):
    """A tenth of the time between writes, an hour at most; whose answers change with every call is never named, nor before there was time to tell."""
    path = tmp_path / "statistics"
    s = suimon({"stats": {"snapshot": str(path), "explain": False}})

    def held():
        return {r["name"]: r["cdn_ttl"] for r in settle(s).api("/api/costs")["by_route"] if r.get("cdn_ttl")}

    def write(n):
        with s.connect(database=table.name) as c:
            for number in range(n):
                ask(c, "UPDATE orders SET total = total + 1 WHERE id = %d /*route='pay'*/" % (5000 + number))

    with s.connect(database=table.name) as c:
        for n in range(120):
            ask(c, "SELECT total FROM orders WHERE id = %d /*route='list'*/" % (n % 2))
            ask(c, "SELECT name FROM whoami /*route='about'*/")
            ask(c, "SELECT name, NOW(6) FROM whoami /*route='clock'*/")
            if n < 99:
                ask(c, "SELECT email FROM orders WHERE id = %d /*route='rare'*/" % n)
    assert held() == {}, "nobody knows yet how seldom that is"
    assert s.stop() == 0
    counted_for(path, 6000)
    s.start()
    assert held() == {"list": pytest.approx(600, abs=5), "about": pytest.approx(600, abs=5)}
    write(9)
    assert held() == {"list": pytest.approx(60, abs=5), "about": pytest.approx(600, abs=5)}
    write(100)
    assert held() == {"about": pytest.approx(600, abs=5)}, "oftener than once a minute"
    assert s.stop() == 0
    counted_for(path, 100000)
    s.start()
    assert held() == {"list": pytest.approx(91, abs=5), "about": 3600}


def counted_for(snapshot, seconds):
    """The statistics kept there have been gathered for so long (stats/snapshot.h: a header that ends with the sum of what follows, the first record)."""
    kept = bytearray(snapshot.read_bytes())
    assert kept[:8] == b"SUIMSTAT" and kept[32] == 1 and len(kept) > 53
    kept[45:53] = struct.pack("<Q", seconds * 10**9)
    sum_of = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    sum_of.restype, sum_of.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_size_t)
    kept[24:32] = struct.pack("<Q", sum_of(bytes(kept[32:]), len(kept) - 32))
    snapshot.write_bytes(kept)


def test_the_numbers_of_one_account_and_schema(suimon, table, cluster):
    cluster.primary.sql("CREATE USER `a b&c`@'%' IDENTIFIED BY 'x'", "GRANT SELECT ON %s.* TO `a b&c`@'%%'" % table.name)
    cluster.replica.catch_up(cluster.primary)
    s = suimon({"cache": {"rules": [{"match": {"table": table.name + ".orders"}, "ttl": "60s"}]}})
    read = "SELECT COUNT(*) FROM %s.orders WHERE customer = 7" % table.name
    for _ in range(4):
        with s.connect(database=table.name) as c:
            ask(c, read)
    with s.connect(user="a b&c", password="x") as c:
        ask(c, read)
    settle(s)

    def listed(params):
        return [r for r in s.api("/api/queries?limit=1000" + params)["queries"] if "orders" in r["text"]]
    assert [(r["calls"], sorted(r["users"]), r["schemas"]) for r in listed("")] == [(5, ["a b&c", "app"], [table.name])]
    (app,), (other,) = listed("&user=app"), listed("&user=a%20b%26c")
    assert (app["calls"], app["users"], other["calls"], other["users"]) == (4, ["app"], 1, ["a b&c"])
    assert app["routed"]["cache"] == app["cache_hits"] > 0 and other["cache_hits"] == other["routed"]["cache"] == 0
    assert all(0 < r["min_time"] <= r["p50"] * 1.02 and r["p99"] <= r["max_time"] * 1.02 for r in (app, other))
    assert app["total_time"] + other["total_time"] == pytest.approx(listed("")[0]["total_time"], rel=1e-6)
    assert listed("&user=app&schema=" + table.name) == listed("&schema=" + table.name) == [app]
    assert listed("&schema=") == listed("&schema=&user=a+b%26c") == [other]
    for nobody in ("&user=nobody", "&schema=nowhere", "&user=a%20b%26c&schema=" + table.name, "&user=APP"):
        answer = s.api("/api/queries?" + nobody[1:])
        assert (answer["queries"], answer["digests"], answer["other"]) == ([], 0, None)
    shown = [subprocess.run([s.binary, "top", "--once", "--http", "127.0.0.1:%d" % s.http_port, *words], stdout=subprocess.PIPE, text=True, timeout=60).stdout
             for words in (["--user", "a b&c"], ["--user", "nobody", "--schema", table.name])]
    assert "statements of a b&c" in shown[0] and "orders" in shown[0] and "statements of nobody in " + table.name in shown[1] and "orders" not in shown[1]
    cluster.primary.sql("DROP USER `a b&c`@'%'")
