"""Every option that a reload changes does after it what it says: not that /api/config shows it (test_reload_options.py), but its effect."""
import ast
import json
import os
import signal
import socket
import time

import pymysql
import pytest

from conftest import Background, ask, filled, is_hit, merge, who
from relay import Relay
from test_proxy_protocol import addresses, login, v1
from test_queue import act, fill, queue_one, state
from test_reload_options import changed, reloadable
from test_tls import closed_within, greeting
from test_traces import Collector
from test_upgrade import is_closed, line  # noqa: F401 (a fixture)
import servers
from servers import sum_metric, wait_until

EFFECTS = {}  # option: the function below that shows it, or the test elsewhere, as FILE::TEST
LONG = 60     # seconds that a busy machine may need; what stays as it was would take far longer, or for ever


def effect(*names):
    def take(function):
        EFFECTS.update({name: function for name in names})
        return function
    return take


class World:
    """One test's: what starts an instance, its schema, and what has been reloaded."""

    def __init__(self, start, line, cluster, db, tmp_path):  # noqa: F811
        self.start_one, self.line, self.cluster, self.db, self.tmp_path = start, line, cluster, db, tmp_path
        self.turned, self.closing = set(), []
        self.s = None

    def start(self, changes=None, **more):
        self.s = self.start_one(changes, **more)
        return self.s

    def turn(self, *pairs, s=None):
        """Reloads with these options and their values."""
        s = s or self.s
        config = s.config
        for name, value in pairs:
            config = merge(config, changed(name, value))
            self.turned.add(name)
        s.write(config)
        status, text = s.http("/api/config/reload", data={})
        assert status == 200, text

    def relay(self, server):
        self.closing.append(Relay(server.port))
        return self.closing[-1]

    def connect(self, *account, s=None, **more):
        c = (s or self.s).connect(*account, database=self.db.name, **more)
        self.closing.append(c)
        return c

    def end(self):
        for each in self.closing:
            getattr(each, "_force_close", each.close)()


def metric(w, name, *labels):
    return sum_metric(w.s.metrics(), "suimon_" + name, *labels)


# ---- life ----

@effect("drain_timeout")
def drains_within_it(w):
    w.start({"drain_timeout": "1h"})
    c = w.connect()
    c.begin()
    ask(c, "SELECT name FROM whoami FOR UPDATE")
    w.turn(("drain_timeout", "200ms"))
    w.s.process.signal(signal.SIGTERM)
    assert w.s.process.child.wait(LONG) == 0


@effect("upgrade_timeout")
def old_process_drains_after_it(w):
    it = w.line({"upgrade_timeout": "300s", "drain_timeout": "300s"})
    busy, idle = w.connect(s=it.instance), w.connect(s=it.instance)
    busy.begin()
    ask(busy, "SELECT 1")
    w.turn(("upgrade_timeout", "1s"), s=it.instance)
    it.upgrade()
    wait_until("the idle one to be closed", lambda: is_closed(idle), LONG)
    busy.rollback()
    assert it.ended(it.pids[0]) == 0


@effect("log")
def lines_are_json(w):
    w.start({"log": "text"})
    assert not any(text.startswith("{") for text in w.s.log_text().splitlines())
    w.turn(("log", "json"))
    before = len(w.s.log_text().splitlines())
    w.turn(("log", "json"))  # which writes a line
    lines = w.s.log_text().splitlines()[before:]
    assert lines and all(json.loads(text) for text in lines)


# ---- clients ----

@effect("listen.proxy_protocol")
def header_is_taken(w):
    w.start()
    w.connect()
    w.turn(("listen.proxy_protocol", ["127.0.0.0/8"]))
    with login(w.s, v1("192.0.2.7")) as c:
        assert ask(c, "SELECT 1") == ((1,),) and addresses(w.s, "guest") == ["192.0.2.7"]


@effect("listen.handshake_timeout")
def silent_client_is_let_go(w):
    w.start({"listen": {"handshake_timeout": "1h"}})
    with socket.create_connection((servers.LOOPBACK, w.s.mysql_port), 10) as sock:
        greeting(sock)
        w.turn(("listen.handshake_timeout", "200ms"))
        closed_within(sock, LONG)


@effect("listen.idle_timeout")
def idle_client_is_let_go(w):
    w.start()
    c = w.connect()
    ask(c, "SELECT 1")
    w.turn(("listen.idle_timeout", "200ms"))
    wait_until("it to end", lambda: not servers.listing(w.s.api("/api/clients")), LONG)
    assert is_closed(c)


# ---- connections to the servers ----

@effect("backend.connect_timeout")
def slow_link_is_waited_for(w):
    """The monitor's connection is let in only then, and a worker's, too."""
    relay = w.relay(w.cluster.replica)
    relay.delay = 0.2
    w.start({"replicas": [relay.address], "backend": {"connect_timeout": "100ms"}})
    c = w.connect()
    assert {who(c) for _ in range(5)} == {"primary"}
    w.turn(("backend.connect_timeout", "60s"))
    wait_until("the replica to be read", lambda: who(c) == "replica", LONG)


@effect("backend.pool.max")
def another_connection_is_made(w):
    w.start({"threads": 1, "replicas": [], "backend": {"failover_hold": "10m", "pool": {"max": 1, "min_idle": 0}}})
    holder = w.connect()
    holder.begin()
    ask(holder, "SELECT name FROM whoami FOR UPDATE")
    waiter = Background(w.connect(), "SELECT 7")
    time.sleep(1)
    assert waiter.is_alive()
    w.turn(("backend.pool.max", 2))
    assert waiter.ended().got == ((7,),)


def idling(w, **pool):
    """An instance with a connection that idles, kept by these limits."""
    w.start({"replicas": [], "backend": {"pool": dict({"min_idle": 0, "idle_timeout": "1h", "max_age": "1h"}, **pool)}})
    with w.s.connect() as c:
        ask(c, "SELECT 1")
    time.sleep(0.7)  # some ticks: it is not on its way out
    assert metric(w, "upstream_connections") >= 1


def goes(w):
    wait_until("it to be closed", lambda: metric(w, "upstream_connections") == 0, LONG)


@effect("backend.pool.min_idle")
def spare_connection_is_closed(w):
    idling(w, min_idle=2, idle_timeout="100ms")
    w.turn(("backend.pool.min_idle", 0))
    goes(w)


@effect("backend.pool.idle_timeout")
def idle_connection_is_closed(w):
    idling(w)
    w.turn(("backend.pool.idle_timeout", "100ms"))
    goes(w)


@effect("backend.pool.max_age")
def old_connection_is_closed(w):
    idling(w, min_idle=2)
    w.turn(("backend.pool.max_age", "100ms"))
    goes(w)


@effect("backend.monitor.interval")
def servers_are_looked_at_as_often(w):
    relay, asked = w.relay(w.cluster.replica), []
    relay.cut_when = lambda direction, data: asked.append(direction) and False
    w.start({"replicas": [relay.address], "backend": {"monitor": {"interval": "10m"}}})
    time.sleep(1)
    before = len(asked)
    w.turn(("backend.monitor.interval", "10m"))  # a reload alone has them looked at
    time.sleep(1)
    one = len(asked) - before
    w.turn(("backend.monitor.interval", "20ms"))
    wait_until("many looks", lambda: len(asked) - before > 20 * (one + 5), LONG)


@effect("backend.monitor.max_lag")
def lagging_replica_is_read(w):
    w.db.setup("CREATE TABLE t (n INT)")
    w.start({"backend": {"monitor": {"max_lag": "0s"}}, "routing": {"consistency": "eventual"}})
    c = w.connect()

    def seen(what):
        wait_until("it to be " + what, lambda: [b["state"] for b in w.s.api("/api/backends")["backends"] if b["role"] == "replica"] == [what], LONG)
    with w.cluster.replica_behind():
        ask(c, "INSERT INTO t VALUES (1)")
        seen("lagging")
        assert {who(c) for _ in range(5)} == {"primary"}
        w.turn(("backend.monitor.max_lag", "24h"))
        seen("up")
        wait_until("it to be read", lambda: who(c) == "replica", LONG)


@effect("backend.failover_hold")
def a_lost_primary_is_waited_for_as_long(w):
    relay = w.relay(w.cluster.primary)
    w.start({"primary": relay.address, "replicas": [], "backend": {"failover_hold": "10m"}})
    held, later = w.connect(), w.connect()
    assert ask(held, "SELECT 1") == ask(later, "SELECT 1") == ((1,),)
    relay.refusing = True
    relay.cut()
    wait_until("the loss", lambda: w.s.http("/readyz")[0] == 503, LONG)
    waiter = Background(held, "SELECT 2")
    time.sleep(1)
    assert waiter.is_alive()
    w.turn(("backend.failover_hold", "100ms"))
    told = Background(later, "SELECT 3").ended().error
    assert told[0] == 1927 and told[1].startswith("suimon: ")
    assert waiter.is_alive()  # what waits already has the time it was given
    relay.refusing = False
    assert waiter.ended().got == ((2,),)


# ---- cache ----

def ruled(w, **more):
    return {"cache": dict({"rules": [{"match": {"table": w.db.name + ".t"}, "ttl": "1h"}]}, **more)}


def make_t(w):
    w.db.setup("CREATE TABLE t (id INT PRIMARY KEY, owner INT, v MEDIUMTEXT, KEY (owner))",
               "INSERT INTO t VALUES (1, 7, REPEAT('x', 20000)), (2, 8, 'y')")


@effect("cache.rules")
def what_a_rule_names_is_cached(w):
    make_t(w)
    w.start()
    c = w.connect()
    assert not any(is_hit(w.s, c, "SELECT v FROM t WHERE id = 2") for _ in range(5))
    w.turn(("cache.rules", [{"match": {"table": w.db.name + ".t"}, "ttl": "1h"}]))
    filled(w.s, c, "SELECT v FROM t WHERE id = 2")


@effect("cache.memory")
def memory_shrinks(w):
    make_t(w)
    w.start(ruled(w, memory="64MiB"))
    c = w.connect()
    for n in range(200):
        ask(c, "SELECT %d, v FROM t WHERE id = 1" % n)
    assert w.s.api("/api/cache")["bytes"] > 2 << 20
    w.turn(("cache.memory", "1MiB"))
    assert w.s.api("/api/cache")["bytes"] <= 1 << 20 and metric(w, "cache_evictions_total") > 0


@effect("cache.max_result")
def larger_results_are_cached_and_shared(w):
    """In memory, and in Redis by the instance that has it and the one that gets it; more than a key's room beyond the old limit."""
    w.db.setup("CREATE TABLE t (id INT PRIMARY KEY, v MEDIUMTEXT)")
    text = os.urandom(250000).hex()  # which packing does not make small
    w.db.setup("INSERT INTO t VALUES (1, '%s')" % text)
    config = ruled(w, max_result="2KiB", redis=w.cluster.redis.url)
    other, one = w.start(config), w.start(config)
    c, d = w.connect(s=one), w.connect(s=other)
    sql = "SELECT v FROM t WHERE id = 1"
    assert not any(is_hit(one, c, sql) for _ in range(5))
    for s in (one, other):
        w.turn(("cache.max_result", "8MiB"), s=s)
    filled(one, c, sql)

    def shared():
        assert other.http("/api/cache/flush", data={})[0] == 200  # and with it what it has in memory
        filled(one, c, sql)
        assert ask(d, sql) == ((text,),)
        return sum_metric(other.metrics(), "suimon_cache_hits_total", 'level="redis"') > 0
    wait_until("a hit in Redis", shared, LONG)


@effect("cache.stale_if_error")
def an_expired_result_is_served_while_no_server_answers(w):
    make_t(w)
    relay = w.relay(w.cluster.primary)
    rules = [{"match": {"table": w.db.name + ".t"}, "ttl": "1s"}]
    w.start({"primary": relay.address, "replicas": [], "backend": {"failover_hold": "200ms"}, "cache": {"rules": rules}})
    c = w.connect()
    sql = "SELECT v FROM t WHERE id = 2"
    w.turn(("cache.stale_if_error", "1h"))
    filled(w.s, c, sql)
    relay.refusing = True
    relay.cut()

    def stale():
        assert ask(c, sql) == (("y",),)
        return metric(w, "cache_stale_hits_total", 'reason="error"') > 0
    wait_until("a result past its time", stale, LONG)
    w.turn(("cache.stale_if_error", "0s"))
    with pytest.raises(pymysql.MySQLError):
        ask(c, sql)


@effect("cache.keys")
def rows_are_told_apart_by_them(w):
    make_t(w)
    read, write = "SELECT COUNT(*) FROM t WHERE owner = 7", "UPDATE t SET v = CONCAT(v, 'z') WHERE owner = 8"
    w.start(ruled(w))
    c = w.connect()
    filled(w.s, c, read)
    ask(c, write)
    assert not is_hit(w.s, c, read)
    w.turn(("cache.keys", {w.db.name + ".t": ["owner"]}))

    def kept():
        filled(w.s, c, read)
        ask(c, write)
        return is_hit(w.s, c, read)
    wait_until("the other rows' result to be kept", kept, LONG)


# ---- queue ----

def queueing(w, **more):
    """An instance whose queue has taken and applied a write already; a session of it."""
    w.db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT, v TEXT)")
    w.start({"queue": dict({"rules": [{"match": {"table": w.db.name + ".log", "verb": "insert"}}]}, **more)})
    c = w.connect()
    queue_one(w.s, c, "INSERT INTO log (v) VALUES ('first')")
    return c


def append(c, n):
    for i in range(n):
        ask(c, "INSERT INTO log (v) VALUES ('more %d')" % i)


def settled(w):
    wait_until("the queue to drain", lambda: state(w.s)["depth"] == 0, LONG)


@effect("queue.rules")
def what_a_rule_names_is_queued(w):
    c = queueing(w)
    w.db.setup("CREATE TABLE other (n INT)")
    before = metric(w, "queue_acknowledged_total")
    for _ in range(5):
        ask(c, "INSERT INTO other VALUES (1)")
    assert metric(w, "queue_acknowledged_total") == before
    w.turn(("queue.rules", [{"match": {"table": w.db.name + ".other", "verb": "insert"}}]))
    queue_one(w.s, c, "INSERT INTO other VALUES (1)")


@effect("queue.sync")
def stable_storage_is_waited_for_each_time(w):
    c = queueing(w, sync="10s")
    before = metric(w, "queue_syncs_total")
    append(c, 30)
    late = metric(w, "queue_syncs_total") - before
    w.turn(("queue.sync", "always"))
    before = metric(w, "queue_syncs_total")
    append(c, 30)
    assert metric(w, "queue_syncs_total") - before >= 30 > late


@effect("queue.max_bytes", "queue.on_full")
def a_full_queue_is_as_it_says(w):
    c = queueing(w, max_bytes="1GiB", on_full="error")
    settled(w)
    act(w.s, "pause")
    assert fill(c) is None  # three thousand fit
    w.turn(("queue.max_bytes", "1MiB"))
    assert fill(c) == 1114
    other = w.connect()  # has nothing in the queue: its write may go past it
    with pytest.raises(pymysql.MySQLError) as e:
        ask(other, "INSERT INTO log (v) VALUES ('past %s')" % ("y" * 1000))
    assert e.value.args[0] == 1114
    w.turn(("queue.on_full", "sync"))
    ask(other, "INSERT INTO log (v) VALUES ('past %s')" % ("y" * 1000))
    assert w.db.primary("SELECT COUNT(*) FROM log WHERE v LIKE 'past %'") == ((1,),)
    act(w.s, "resume")
    settled(w)


@effect("queue.user.name", "queue.user.password")
def another_account_applies(w):
    """The first is refused for its password, the second for its name, with a connection open that is the account's before it."""
    c = queueing(w, user={"name": "suimon_queue", "password": "wrong"})
    append(c, 3)
    time.sleep(0.5)
    assert state(w.s)["depth"] >= 4
    w.turn(("queue.user.password", "suimon_queue"))
    settled(w)
    w.turn(("queue.user.name", "nobody"))
    append(c, 1)
    time.sleep(0.5)
    assert state(w.s)["depth"] == 1
    w.turn(("queue.user.name", "suimon_queue"))
    settled(w)


@effect("queue.drain.batch_rows")
def batches_are_as_large(w):
    c = queueing(w)

    def largest():
        settled(w)
        act(w.s, "pause")
        append(c, 20)
        act(w.s, "resume")
        settled(w)
        return state(w.s)["last_batch_rows"]
    wait_until("a batch of many", lambda: largest() > 1, LONG)
    w.turn(("queue.drain.batch_rows", 1))
    assert largest() == 1


@effect("queue.drain.batch_wait")
def a_batch_waits_as_long(w):
    c = queueing(w, drain={"batch_wait": "10s"})
    settled(w)
    w.turn(("queue.drain.batch_wait", "0s"))
    begin = time.monotonic()
    for _ in range(10):
        append(c, 1)
        settled(w)
    assert time.monotonic() - begin < 50  # not ten times ten seconds


@effect("queue.drain.rate")
def applied_at_its_rate(w):
    c = queueing(w)
    settled(w)
    act(w.s, "pause")
    append(c, 300)
    w.turn(("queue.drain.rate", 1))
    act(w.s, "resume")
    wait_until("one to be applied", lambda: state(w.s)["depth"] < 300, LONG)
    assert state(w.s)["depth"] > 200
    w.turn(("queue.drain.rate", 0))
    settled(w)  # else it takes five minutes


# ---- statistics ----

def loop(w, c, pause=0.0):
    """A list, and then five reads of one digest, each with another value; how many loops have been found."""
    before = metric(w, "nplus1_total")
    ask(c, "SELECT name FROM whoami UNION ALL SELECT 'a' UNION ALL SELECT 'b' UNION ALL SELECT 'c'")
    for n in range(5):
        time.sleep(pause)
        ask(c, "SELECT name FROM whoami WHERE name <> 'n%d'" % n)
    return metric(w, "nplus1_total") - before


@effect("stats.nplus1.repeats")
def fewer_repeats_are_a_loop(w):
    w.start({"stats": {"nplus1": {"repeats": 6, "window": "10m"}}})
    c = w.connect()
    assert loop(w, c) == 0
    w.turn(("stats.nplus1.repeats", 4))
    wait_until("a loop", lambda: loop(w, c) > 0, LONG)


@effect("stats.nplus1.window")
def slower_repeats_are_a_loop(w):
    w.start({"stats": {"nplus1": {"repeats": 3, "window": "1ms"}}})
    c = w.connect()
    assert loop(w, c, 0.01) == 0
    w.turn(("stats.nplus1.window", "10m"))
    wait_until("a loop", lambda: loop(w, c, 0.01) > 0, LONG)


def detail(w, words):
    """What is known of the statement with these words."""
    found = [r for r in w.s.api("/api/queries?limit=1000")["queries"] if words in r["text"].lower()]
    return w.s.api("/api/queries/" + found[0]["digest"]) if found else None


@effect("stats.samples")
def no_value_is_kept(w):
    w.start()
    c = w.connect()

    def kept():
        ask(c, "SELECT 'needle', name FROM whoami")
        known = detail(w, "name from whoami")
        return known and "needle" in json.dumps(known)
    wait_until("a sample", kept, LONG)
    w.turn(("stats.samples", False))
    for _ in range(20):
        assert not kept()


@effect("stats.explain")
def slow_statements_are_explained(w):
    w.db.setup("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1), (2), (3)")
    w.start({"stats": {"explain": False, "slow": "1ms"}})
    c = w.connect()

    def explained():
        ask(c, "SELECT SLEEP(0.002), n FROM t WHERE n > 0")
        known = detail(w, "n from t where")
        return known and known["plan"]
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert not explained()
        time.sleep(0.1)
    w.turn(("stats.explain", True))
    wait_until("a plan", explained, LONG, interval=0.2)


@effect("stats.cost_per_hour")
def money_is_split(w):
    w.start()
    c = w.connect()
    ask(c, "SELECT name FROM whoami")

    def money():
        return sum(r.get("cost_per_hour") or 0 for r in w.s.api("/api/costs")["by_user"])
    assert money() == 0
    w.turn(("stats.cost_per_hour", 12))
    wait_until("the money", lambda: money() == pytest.approx(12, abs=.1), LONG)


@effect("stats.otlp.share")
def traces_are_sent(w):
    collector = Collector()
    try:
        w.start({"stats": {"otlp": {"url": collector.url, "share": 0}}})
        c = w.connect()
        for _ in range(20):
            ask(c, "SELECT name AS earlier FROM whoami")
        w.turn(("stats.otlp.share", 1))
        ask(c, "SELECT name AS later FROM whoami")
        wait_until("the span", lambda: collector.of("later"), LONG)
        assert not collector.of("earlier")
    finally:
        collector.server.shutdown()
        collector.server.server_close()


@effect("stats.emf.namespace")
def lines_bear_it(w):
    w.start({"stats": {"emf": {"every": "100ms"}}})

    def named(name):
        wait_until("a line of " + name, lambda: '"Namespace":"%s"' % name in w.s.log_text().replace('": "', '":"'), LONG)
    named("Suimon")
    w.turn(("stats.emf.namespace", "Other"))
    named("Other")


EFFECTS.update({
    "users": "test_life.py::test_a_new_account_after_reload",
    "listen.max_connections": "test_reload_options.py::test_every_option_that_can_be_reloaded_is_taken",
    "listen.tls.cert": "test_tls.py::test_a_reload_takes_new_certificates",
    "listen.tls.key": "test_tls.py::test_a_reload_takes_new_certificates",
    "listen.tls.ca": "test_reload_options.py::test_files_and_the_token_are_taken",
    "listen.tls.require": "test_reload_options.py::test_files_and_the_token_are_taken",
    "admin_token": "test_reload_options.py::test_files_and_the_token_are_taken",
    "routing.consistency": "test_life.py::test_reload_over_http",
    "routing.rules": "test_life.py::test_sighup_brings_new_rules_into_force",
    "limits.rules": "test_limits.py::test_a_reload_changes_them",
    "stats.slow": "test_reload_options.py::test_every_option_that_can_be_reloaded_is_taken",
    "stats.slow_log": "test_reload_options.py::test_files_and_the_token_are_taken",
    "stats.otlp.url": "test_traces.py::test_a_collector_that_is_gone_costs_spans_only",
    "stats.emf.every": "test_emf.py::test_switched_on_by_a_reload_with_a_dimension",
    "stats.emf.instance": "test_emf.py::test_switched_on_by_a_reload_with_a_dimension",
})
HERE = sorted({f.__name__: f for f in EFFECTS.values() if callable(f)}.items())


def test_every_option_has_one():
    """A row of the option table that is new and may be reloaded is to be shown here, or nobody knows whether it takes effect."""
    assert set(EFFECTS) == reloadable()
    for name, place in EFFECTS.items():
        if callable(place):
            continue
        file, test = place.split("::")
        with open(os.path.join(os.path.dirname(__file__), file)) as f:
            tests = {n.name: n for n in ast.parse(f.read()).body if isinstance(n, ast.FunctionDef)}
        assert test in tests, place
        assert "reload" in ast.unparse(tests[test]) or "SIGHUP" in ast.unparse(tests[test]), (name, place)


@pytest.mark.parametrize("shown", [f for _, f in HERE], ids=[name for name, _ in HERE])
def test_after_a_reload(shown, suimon, line, cluster, db, tmp_path):  # noqa: F811
    w = World(suimon, line, cluster, db, tmp_path)
    try:
        shown(w)
        assert w.turned >= {name for name, by in EFFECTS.items() if by is shown}
    finally:
        w.end()
