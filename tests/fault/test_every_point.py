"""R3, R4: a link that breaks at every point of a statement's life, on the server's and on the client's side. Nothing runs
twice, what is said to have run has, what is said not to have has not, and nobody else notices.

SUIMON_FAULT_ROUNDS=n repeats it (1 in tests/run), each time with another latency.
"""
import os
import threading
import time

import pymysql
import pytest

from conftest import ask
from relay import Relay
import servers
from wire import Wire, error

ROUNDS = int(os.environ.get("SUIMON_FAULT_ROUNDS", "1"))
NOT_KNOWN = "is not known"


class Point:
    """Cuts the link that carries the marked statement when that is at this point, once."""

    def __init__(self, relay, name, mark):
        self.relay, self.name, self.mark = relay, name, mark
        self.link = None
        self.done = threading.Event()
        relay.cut_at = self.decide

    def decide(self, link, direction, data):
        if self.done.is_set():
            return None
        passing = None
        if direction == "up" and self.link is None and self.mark in data:
            self.link = link
            if self.name == "request":
                passing = 0
            elif self.name == "half the request":
                passing = max(1, data.index(self.mark) + len(self.mark) // 2)
        elif direction == "down" and link == self.link:
            passing = 0 if self.name == "before the answer" else len(data) // 2
        if passing is not None:
            self.done.set()
        return passing

    def disarm(self):
        self.relay.cut_at = None
        return self.done.is_set()


EXECUTE = b"\x0a\x00\x00\x00\x17" # a COM_STMT_EXECUTE without parameters; it bears no text
POINTS = ("request", "half the request", "before the answer", "half the answer")


class Bystander(threading.Thread):
    """Reads and writes all the while, and must never notice."""

    def __init__(self, s, schema, number):
        super().__init__(daemon=True)
        self.s, self.schema, self.number = s, schema, number
        self.failed, self.n, self.going = None, 0, True

    def run(self):
        try:
            with self.s.connect(database=self.schema) as c:
                while self.going:
                    self.n += 1
                    ask(c, "UPDATE other SET n = %d WHERE id = %d" % (self.n, self.number))
                    assert ask(c, "SELECT n FROM other WHERE id = %d" % self.number) == ((self.n,),)
        except Exception as e:
            self.failed = e


@pytest.fixture
def world(cluster, suimon, db):
    db.setup("CREATE TABLE log (k VARCHAR(60), n INT)", "CREATE TABLE other (id INT PRIMARY KEY, n INT)",
             "INSERT INTO other VALUES (0, 0), (1, 0)", "CREATE TABLE t (id INT PRIMARY KEY, n INT)",
             "INSERT INTO t VALUES (1, 5)")
    primary, replica = Relay(cluster.primary.port), Relay(cluster.replica.port)
    s = suimon({"primary": primary.address, "replicas": [replica.address], "threads": 1,
                # The relay goes by what it reads, so nothing is encrypted.
                "backend": {"failover_hold": "5s", "pool": {"max": 50}, "tls": {"mode": "disabled"}}})
    front = Relay(int(s.mysql_port))
    crowd = [Bystander(s, db.name, i) for i in range(2)]
    for b in crowd:
        b.start()
    s.crowd = crowd
    servers.wait_until("the crowd", lambda: all(b.n > 2 or b.failed for b in crowd), 20)
    yield s, db, primary, replica, front
    for b in crowd:
        b.going = False
    for b in crowd:
        b.join(20)
        assert b.failed is None, "a session that was not cut off noticed: %r" % b.failed
        assert b.n
    for r in (primary, replica, front):
        r.close()


class Client:
    """A text or a prepared client; execute() gives ("ok", rows), or (code, text) of the error."""

    def __init__(self, connect, prepared):
        self.connect, self.prepared = connect, prepared
        self.c = self.w = None
        self.statements = {}

    def open(self):
        if self.c is None:
            self.c = self.connect()
            self.w = Wire(self.c)
        return self.w

    def prepare(self, sql):
        self.statements[sql] = self.open().prepare(sql)

    def execute(self, sql):
        try:
            w = self.open()
            if self.prepared and sql in self.statements:
                answer = self.statements[sql].execute()
            else:
                answer = w.query(sql)
            last = answer[-1]
            if last[0] == 0xff:
                return error(last)[0], str(error(last)[2])
            return "ok", answer
        except (EOFError, OSError, IndexError, AssertionError, pymysql.MySQLError) as e:
            self.drop()
            return 2013, repr(e)

    def drop(self):
        if self.c is not None:
            self.c._force_close()
        self.c = self.w = None
        self.statements = {}


def count(db, key):
    return db.primary("SELECT COUNT(*) FROM log WHERE k = '%s'" % key)[0][0]


def check_write(db, key, result, where):
    """What the client was told against what there is."""
    time.sleep(0.05) # what was sent may be running yet
    n = count(db, key)
    assert n <= 1, "%s: it ran %d times" % (where, n)
    if result[0] == "ok":
        assert n == 1, "%s: acknowledged, and not there" % where
    elif result[0] != 2013 and NOT_KNOWN not in result[1]:
        assert n == 0, "%s: said to have failed, and there: %s" % (where, result)


def rounds(world):
    s, db, primary, replica, front = world
    for r in range(ROUNDS):
        primary.delay = replica.delay = front.delay = (0, 0.003, 0.02)[r % 3]
        yield r
    primary.delay = replica.delay = front.delay = 0


@pytest.mark.parametrize("prepared", [False, True], ids=["text", "prepared"])
def test_a_write_cut_off_from_its_server_is_never_run_twice_nor_misreported(world, prepared):
    s, db, primary, replica, front = world
    client = Client(lambda: s.connect(database=db.name), prepared)
    for r in rounds(world):
        for point in POINTS:
            key = "w-%s-%d-%s" % (prepared, r, point)
            sql = "INSERT INTO log VALUES ('%s', 1) /* MARK */" % key
            client.open()
            if prepared:
                client.prepare(sql)
            p = Point(primary, point, EXECUTE if prepared else b"MARK")
            result = client.execute(sql)
            assert p.disarm(), key
            check_write(db, key, result, key)
            assert client.execute("SELECT n FROM t WHERE id = 1")[0] == "ok" or client.open()
    client.drop()


def cut_off(client, relay, point, mark, sql):
    """The result of a read that was cut off at this server. A replica whose monitor is late may for a moment have no reads."""
    results = []

    def hit():
        p = Point(relay, point, mark)
        results.append(client.execute(sql))
        return p.disarm()
    servers.wait_until("a read of this server", hit, 30)
    assert all(r[0] == "ok" for r in results[:-1]), results
    return results[-1]


@pytest.mark.parametrize("prepared", [False, True], ids=["text", "prepared"])
def test_a_read_cut_off_from_its_server_is_answered_by_another(world, prepared):
    s, db, primary, replica, front = world
    client = Client(lambda: s.connect(database=db.name), prepared)
    for r in rounds(world):
        for point in POINTS:
            for where, relay, hint in (("replica", replica, ""), ("primary", primary, "/* suimon: primary */ ")):
                sql = hint + "SELECT n, 'MARK-%d-%s' FROM t WHERE id = 1" % (r, point)
                client.open()
                if prepared:
                    client.prepare(sql)
                    client.execute(sql)
                result = cut_off(client, relay, point, EXECUTE if prepared else b"MARK-", sql)
                assert result[0] == "ok" or point == "half the answer", (where, point, result)
                if result[0] != "ok":
                    client.drop()
    client.drop()
    assert servers.sum_metric(s.metrics(), "suimon_retries_total") >= 4


def test_a_commit_cut_off_is_unknown_and_a_transaction_cut_off_is_rolled_back(world):
    s, db, primary, replica, front = world
    client = Client(lambda: s.connect(database=db.name), False)
    for r in rounds(world):
        for what in ("INSERT", "COMMIT"):
            for point in POINTS:
                key = "c-%s-%d-%s" % (what, r, point)
                assert client.execute("BEGIN")[0] == "ok"
                mark = b"MARK-" + key.encode()
                p = Point(primary, point, mark)
                first = client.execute("INSERT INTO log VALUES ('%s', 1) %s" %
                                       (key, "/* %s */" % mark.decode() if what == "INSERT" else ""))
                last = first if first[0] != "ok" else client.execute(
                    "COMMIT %s" % ("/* %s */" % mark.decode() if what == "COMMIT" else ""))
                p.disarm()
                if what == "INSERT" and first[0] != "ok":
                    assert first[0] == 2013 or "rolled back" in first[1], first
                    time.sleep(0.05)
                    assert count(db, key) == 0, key
                else:
                    if what == "COMMIT" and last[0] not in ("ok", 2013):
                        assert "committed is not known" in last[1], last
                    check_write(db, key, last, key)
                client.drop()


def test_a_link_cut_while_it_is_made_ready_costs_nobody_a_statement(world):
    """At login, while the session's state is brought to the connection, at a prepare behind the client's back."""
    s, db, primary, replica, front = world
    for b in s.crowd: # every link to the primary is cut here
        b.going = False
        b.join(20)
    for r in rounds(world):
        cut = 0
        for moment, mark in (("login", b"mysql_native_password"), ("tracking", b"session_track_system_variables"),
                             ("state", b"sql_mode"), ("prepare", b"\x16INSERT")):
            for point in POINTS:
                key = "s-%s-%d-%s" % (moment, r, point)
                sql = "INSERT INTO log VALUES ('%s', 1)" % key
                client = Client(lambda: s.connect(database=db.name), moment == "prepare")
                assert client.execute("SET sql_mode='ANSI_QUOTES,NO_ZERO_DATE'")[0] == "ok"
                if moment == "prepare":
                    client.prepare(sql)
                primary.cut() # the next statement needs a new connection
                time.sleep(0.03)
                p = Point(primary, point, mark)
                result = client.execute(sql)
                cut += p.disarm()
                assert result[0] == "ok", (key, result)
                check_write(db, key, result, key)
                client.drop()
        assert cut >= 10, "of %d cuts only %d hit a link" % (4 * len(POINTS), cut)


@pytest.mark.parametrize("prepared", [False, True], ids=["text", "prepared"])
def test_a_client_cut_off_leaves_nothing_behind(world, prepared):
    """Its statement runs once or not at all, its transaction is rolled back, its locks are gone."""
    s, db, primary, replica, front = world

    def connect():
        return pymysql.connect(host="127.0.0.1", port=front.port, user="app", password="app", database=db.name,
                               autocommit=True)
    for r in rounds(world):
        for point in POINTS:
            key = "k-%s-%d-%s" % (prepared, r, point)
            sql = "INSERT INTO log VALUES ('%s', 1) /* MARK */" % key
            client = Client(connect, prepared)
            client.open()
            if prepared:
                client.prepare(sql)
            p = Point(front, point, EXECUTE if prepared else b"MARK")
            result = client.execute(sql)
            p.disarm()
            check_write(db, key, result, key)
            client.drop()
            client = Client(connect, False)
            assert client.execute("BEGIN")[0] == "ok"
            assert client.execute("UPDATE t SET n = n + 1 WHERE id = 1")[0] == "ok"
            p = Point(front, point, b"MARK")
            client.execute("INSERT INTO log VALUES ('t-%s', 1) /* MARK */" % key)
            p.disarm()
            client.drop()
            with s.connect(database=db.name) as c: # the row is not locked any more
                ask(c, "SET innodb_lock_wait_timeout = 10")
                ask(c, "UPDATE t SET n = 5 WHERE id = 1")
            assert count(db, "t-" + key) == 0
    assert servers.wait_until("the sessions to be gone", lambda: len(servers.listing(s.api("/api/clients"))) <= 2, 10)
