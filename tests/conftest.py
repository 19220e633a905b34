"""What the end-to-end and the fault tests share: servers for the session, a schema for each test, suimon on demand.

SUIMON names the binary to test; without it the first that is built (see deploy/servers.py) is taken. SUIMON_SERVER names
the kind of server behind it: mariadb (the default), or mysql, which `tests/mysql_root` must have made.
"""
import contextlib
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import pymysql
import pytest

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(_HERE), "deploy"), _HERE, os.path.join(_HERE, "e2e"), os.path.join(_HERE, "fault")]

import mysql_server  # noqa: E402 (after the path is set)
import servers  # noqa: E402
from mysql_server import KIND, KINDS, MAKE  # noqa: E402

_numbers = itertools.count(1)
_SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:")


class Cluster:
    """The servers of the session: a primary, its replica, Redis."""

    def __init__(self, base):
        self.base = base
        self.primary, self.replica = servers.pair(base, make=MAKE)
        self.redis = servers.Redis(base)
        self.primary.sql(*["GRANT ALL ON `e2e\\_%%`.* TO %s@'%%'" % u for u in ("app", "guest", "suimon_queue")])
        self.redis.start()

    def stop(self):
        self.redis.stop()
        self.replica.stop()
        self.primary.stop()

    def setup(self, *statements):
        """Runs them on the primary, past suimon, and waits for the replica."""
        self.primary.sql(*statements)
        self.sync()

    def sync(self):
        self.replica.catch_up(self.primary)

    @contextlib.contextmanager
    def replica_behind(self):
        """Replication goes on, but nothing is applied: the replica answers, with old rows."""
        with self.replica.root() as c, c.cursor() as cur:
            cur.execute("FLUSH TABLES WITH READ LOCK")
            try:
                yield
            finally:
                cur.execute("UNLOCK TABLES")
        self.sync()

    def config(self):
        return {
            "primary": address(self.primary),
            "replicas": [address(self.replica)],
            "threads": 2,
            "drain_timeout": "5s",
            "backend": {"monitor": {"user": "monitor", "password": "monitor", "interval": "200ms"}, "failover_hold": "3s"},
            "users": [{"name": "app", "password": "app"}, {"passthrough": True}],
        }


def resolves(name):
    """Not even localhost does everywhere: a system just made may have no /etc/hosts."""
    try:
        return bool(socket.getaddrinfo(name, None))
    except OSError:
        return False


def mariadb_only(why):
    """For a test of what only MariaDB has."""
    return pytest.mark.skipif(KIND != "mariadb", reason="MariaDB only: " + why)


def mysql_only(why):
    """For a test of what only MySQL has."""
    return pytest.mark.skipif(KIND != "mysql", reason="MySQL only (tests/run --mysql): " + why)


# The variable that holds a session's isolation level; MariaDB learned MySQL's name for it after 10.11.
ISOLATION = "tx_isolation" if KIND == "mariadb" else "transaction_isolation"


def numbers(first, last):
    """A table of the numbers from first to last, column seq, to stand behind FROM."""
    if KIND == "mariadb":
        return "seq_%d_to_%d" % (first, last)
    return ("(WITH RECURSIVE n (seq) AS (SELECT %d UNION ALL SELECT seq + 1 FROM n WHERE seq < %d) SELECT seq FROM n) numbers"
            % (first, last))


def pytest_sessionstart(session):
    try:
        servers.find_suimon()
        if KIND not in KINDS:
            raise servers.ServerError("SUIMON_SERVER is %s, not one of %s" % (KIND, ", ".join(KINDS)))
        if KIND == "mysql":
            mysql_server.program("usr/sbin/mysqld")
    except servers.ServerError as e:
        pytest.exit(str(e), returncode=2)


# Files whose lots take longest, half a minute and more, the longest first: begun before the others, so that none is left when all else is done.
_LONG = ("timed", "test_upgrade", "test_failover", "test_life", "test_queue", "test_fleet", "test_rights", "test_operations", "queue_engine_test",
         "queue_redis_test", "queue_kafka_test", "queue_sqs_test", "test_deploy", "test_large", "test_reload_effects", "test_servers_lost", "test_scarce",
         "queue_shared_test", "test_cache", "test_queue_sqs", "test_cache_binlog", "test_dashboard", "test_killed_instance", "test_server_tls")


def _file_of(item):
    return "timed" if hasattr(item.module, "timed") else item.path.stem


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items):
    """Run in parallel, a file's tests stay together, for its servers' sake; those of a queue's engine are a lot of their own. All that
    compare what statements take (timed.py) are one lot: each goes before all else on the machine, so two would wait for each other."""
    items.sort(key=lambda item: _LONG.index(_file_of(item)) if _file_of(item) in _LONG else len(_LONG))
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        engine = params.get("engine", params.get("store", ""))
        item.add_marker(pytest.mark.xdist_group("%s-%s" % (_file_of(item), getattr(engine, "__name__", engine))))


def address(server):
    return "%s:%d" % (servers.LOOPBACK, server.port)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    c = Cluster(str(tmp_path_factory.mktemp("cluster")))
    yield c
    c.stop()
    servers.discard_data()


@pytest.fixture(scope="module", autouse=True)
def tidy():
    """What a module's own servers held adds up to gigabytes over all modules."""
    yield
    servers.discard_data()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.passed = outcome.get_result().passed


@pytest.fixture(autouse=True)
def nothing_left(request, tmp_path):
    """A queue has 64 MiB of its log written ahead: of a test that passed nothing stays. (As it is set up first, it ends last.)"""
    yield
    if getattr(request.node, "passed", False):
        shutil.rmtree(tmp_path, ignore_errors=True)


class Schema:
    """A schema of a test's own, on both servers, with a table that says which server answers."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        cluster.setup("CREATE DATABASE `%s`" % name, "CREATE TABLE `%s`.whoami (name VARCHAR(10)) ENGINE=InnoDB" % name)
        for server, who in ((cluster.primary, "primary"), (cluster.replica, "replica")):
            server.sql("SET sql_log_bin = 0", "INSERT INTO `%s`.whoami VALUES ('%s')" % (name, who))

    def setup(self, *statements):
        with self.cluster.primary.root(database=self.name) as c, c.cursor() as cur:
            for s in statements:
                cur.execute(s)
        self.cluster.sync()

    def primary(self, sql):
        return rows(self.cluster.primary, self.name, sql)

    def replica(self, sql):
        return rows(self.cluster.replica, self.name, sql)

    def direct(self, user="app", **more):
        """A client's connection to the primary without suimon, as Suimon.connect makes them through it."""
        more.setdefault("charset", "utf8mb4")
        return self.cluster.primary.connect(user, user, database=self.name, **more)


def rows(server, schema, sql):
    with server.root(database=schema) as c, c.cursor() as cur:
        cur.execute(sql)
        return cur.fetchall()


@pytest.fixture
def db(cluster):
    schema = Schema(cluster, "e2e_%d" % next(_numbers))
    yield schema
    cluster.setup("DROP DATABASE IF EXISTS `%s`" % schema.name)


def merge(into, more):
    """Dicts are merged, anything else is replaced."""
    result = dict(into)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merge(result[key], value) if both else value
    return result


def ended_well(instance):
    """Stops it; complains of a wrong exit code and of a sanitizer's report."""
    code = instance.stop()
    text = instance.log_text()
    found = _SANITIZER.search(text)
    assert not found, text[max(0, found.start() - 200):found.start() + 6000]
    assert code == 0, "suimon ended with %s\n%s" % (code, servers.tail(instance.log))


DRAIN_SLACK = 1.5  # beyond drain_timeout: a look at the sessions (200 ms), the queue's least (500 ms), and a busy machine's


def drained_in(instance, least, most):
    """Its last drain took from least to most seconds, most being drain_timeout, and little more."""
    sessions, end = servers.drain_times(instance.log_text())
    assert least <= sessions <= most + DRAIN_SLACK and end <= sessions + 2 * DRAIN_SLACK, (sessions, end, instance.log_text()[-3000:])


def schema_is_known(instance):
    """Nothing is cached or queued before the schema has been read, a moment after the start."""
    servers.wait_until("the schema to be read", lambda: instance.api("/api/cache")["catalog"]["readable"], 10)


def servers_are_known(instance):
    """Ready is who has a server for reads; the others may not have been looked at yet."""
    servers.wait_until("every server to be looked at", lambda: all(
        b["state"] != "unknown" for b in servers.listing(instance.api("/api/backends"))), 10)


def schema_is_present(instance):
    """It has been read since DDL was last seen."""
    servers.wait_until("the schema to be read", lambda: not instance.api("/api/cache")["catalog"]["stale"], 20)
    return instance


def writes_are_queued(instances, db):
    """Each of those that share a queue has its tables made as it starts, for which the others read their schema anew; until that
    is done writes go directly. Told by a table of its own, which the rules must match."""
    db.setup("CREATE TABLE probe (n INT)")
    for s in (*instances, *instances):
        schema_is_known(s)
        with s.connect(database=db.name) as c:
            servers.wait_until("a write to be queued", lambda: is_queued(s, c, "INSERT INTO probe VALUES (1)"), 60)
        servers.wait_until("it to be applied", lambda: s.api("/api/queue")["depth"] == 0, 60)


@pytest.fixture
def suimon(cluster, tmp_path):
    """suimon({...}) starts one with the session's servers and these changes to the config; all end with the test."""
    started = []

    def start(changes=None, ready=True, base=None, name=None, run=True):
        config = merge(base if base is not None else cluster.config(), changes or {})
        if "rules" in config.get("queue", {}):
            config["queue"].setdefault("dir", str(tmp_path / "queue"))
            config["queue"].setdefault("user", {"name": "suimon_queue", "password": "suimon_queue"})
            os.makedirs(config["queue"]["dir"], exist_ok=True)
        instance = servers.Suimon(str(tmp_path), config, name=name or "suimon%d" % len(started))
        instance.write()
        started.append(instance)
        if run:
            instance.start(ready)
            if ready and config.get("backend", {}).get("monitor", {}).get("user"):
                schema_is_known(instance)
                servers_are_known(instance)
        return instance

    yield start
    for instance in reversed(started):
        # A test that ended its instance itself has judged it itself.
        if instance.process.child is not None and not getattr(instance, "judged", False):
            ended_well(instance)


def settle(s):
    """A statement is counted a moment after its answer has left; when its session has gone, it has been."""
    end = time.monotonic() + 5
    while s.metrics()["suimon_client_sessions"] and time.monotonic() < end:
        time.sleep(0.02)
    return s


class Plain:
    """The plain suimon of the session; one that died is replaced, so that only the test that killed it fails."""

    def __init__(self, cluster, base):
        self.cluster, self.base = cluster, base
        self.instance = None

    def get(self):
        if self.instance is None:
            self.instance = servers.Suimon(self.base, self.cluster.config(), name="plain%d" % next(_numbers))
            self.instance.start()
        return self.instance

    def check(self):
        """Complains if it died."""
        instance = self.instance
        if instance is not None and not instance.process.alive():
            self.instance = None
            ended_well(instance)
            pytest.fail("suimon ended by itself")

    def end(self):
        if self.instance is not None:
            ended_well(self.instance)


@pytest.fixture(scope="session")
def plain(cluster, tmp_path_factory):
    p = Plain(cluster, str(tmp_path_factory.mktemp("plain")))
    yield p
    p.end()


@pytest.fixture
def proxy(plain):
    """A suimon with the session's plain config, for tests that need nothing special of it."""
    yield plain.get()
    plain.check()


@pytest.fixture
def app(proxy, db):
    """A connection of `app` through the plain suimon, in the test's schema."""
    with proxy.connect(database=db.name) as c:
        yield c


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("shim") / "shim.so")
    subprocess.run([os.environ.get("CC", "cc").split()[-1], "-shared", "-fPIC", "-O1", "-o", path, os.path.join(_HERE, "fault", "shim.c"),
                    "-ldl"], check=True)
    return path


@pytest.fixture
def shimmed(shim, tmp_path, monkeypatch):
    """Files that the shim reads (tests/fault/shim.c), as a function of name and text, None for none. It is in what is made from then on."""
    monkeypatch.setenv("LD_PRELOAD", shim)
    monkeypatch.setenv("SUIMON_SHIM", str(tmp_path))
    monkeypatch.setenv("ASAN_OPTIONS",
                       "detect_leaks=1:abort_on_error=0:exitcode=99:handle_abort=1:verify_asan_link_order=0")

    def put(name, text):
        if text is None:
            (tmp_path / name).unlink()
            return
        (tmp_path / (name + ".new")).write_text(text)
        os.rename(tmp_path / (name + ".new"), tmp_path / name)
    return put


def ask(connection, sql, args=None):
    """The rows of one statement."""
    with connection.cursor() as cur:
        cur.execute(sql, args)
        return cur.fetchall()


class Background(threading.Thread):
    """A statement that may wait, in a thread of its own: its rows, or its error's arguments."""

    def __init__(self, connection, sql):
        super().__init__(daemon=True)
        self.connection, self.sql = connection, sql
        self.got = self.error = None
        self.start()

    def run(self):
        try:
            self.got = ask(self.connection, self.sql)
        except pymysql.MySQLError as e:
            self.error = e.args

    def ended(self):
        self.join(60)
        assert not self.is_alive(), "%r still runs" % self.sql
        return self

    def outcome(self):
        """When it has ended: its rows, or its error's code."""
        self.ended()
        return self.error[0] if self.error else self.got


def pinned(s):
    """By what each session is, in their order."""
    return [x["pinned"] for x in sorted(s.api("/api/clients")["clients"], key=lambda x: x["id"])]


def hits(s):
    """How many reads its cache has answered."""
    return servers.sum_metric(s.metrics(), "suimon_cache_hits_total")


def is_hit(s, connection, sql):
    """Reads once: did the cache answer?"""
    before = hits(s)
    ask(connection, sql)
    return hits(s) > before


def filled(s, connection, *reads):
    """Reads each until it is a hit; fails if it never is."""
    for sql in reads:
        servers.wait_until("a hit for %r" % sql, lambda: is_hit(s, connection, sql), 30)


def acknowledged(s):
    """How many writes its queue has acknowledged."""
    return servers.sum_metric(s.metrics(), "suimon_queue_acknowledged_total")


def is_queued(s, connection, sql):
    """Writes once: did the queue take it?"""
    before = acknowledged(s)
    ask(connection, sql)
    return acknowledged(s) > before


def who(connection):
    """Which server answers a plain read: primary or replica."""
    return ask(connection, "SELECT name FROM whoami")[0][0]
