"""F2: allocations that fail, one of some hundreds, wherever they are: the statement fails or goes on without, its session at most ends, and
nothing else is wrong, lost or left behind."""
import collections
import os
import random
import threading
import time

import pymysql
import pytest

import servers
from conftest import acknowledged, ask, filled, is_hit
from servers import wait_until

CLIENTS = 6
SECONDS = float(os.environ.get("SUIMON_MEMORY_SECONDS", "8"))
OUT_OF_MEMORY = 1041
# Its own error, a connection that had to be closed (by whom the driver says as it pleases), a queued write of which nobody knows.
TOLD = {OUT_OF_MEMORY, 1927, 1030, 2006, 2013, 0}


@pytest.fixture
def told(tmp_path, monkeypatch):
    """The file whose being there makes memory scarce, for a suimon that heeds it."""
    binary = os.path.join(os.path.dirname(servers.find_suimon()), "suimon_scarce")
    if not os.access(binary, os.X_OK):
        pytest.skip("no suimon_scarce beside it (ninja suimon_scarce)")
    told = str(tmp_path / "scarce")
    monkeypatch.setenv("SUIMON", binary)
    monkeypatch.setenv("SUIMON_SCARCE", told)
    return told


@pytest.fixture
def scarce(suimon, db, told):
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, client INT, n INT, KEY (client))",
             "CREATE TABLE direct (client INT, n INT, PRIMARY KEY (client, n))",
             "CREATE TABLE numbered (id INT PRIMARY KEY AUTO_INCREMENT, client INT, n INT, UNIQUE (client, n))",
             "CREATE TABLE fixed (id INT PRIMARY KEY, v VARCHAR(100))",
             "INSERT INTO fixed SELECT seq, CONCAT('value ', seq) FROM (%s) s" % " UNION ALL ".join("SELECT %d AS seq" % i for i in range(50)))
    s = suimon({"threads": 2, "backend": {"failover_hold": "5s"},
                "cache": {"rules": [{"match": {"table": db.name + ".fixed"}, "ttl": "1s"}]},
                "queue": {"rules": [{"match": {"table": db.name + ".log", "verb": "insert"}}]}})
    return s, told


class Client(threading.Thread):
    def __init__(self, s, schema, number, over):
        super().__init__(daemon=True)
        self.s, self.schema, self.number, self.over = s, schema, number, over
        self.random = random.Random(number)
        self.connection = None
        self.n = 0
        self.done = {"log": set(), "direct": set()}      # acknowledged
        self.unknown = {"log": set(), "direct": set()}   # failed: may be there or not
        self.errors, self.wrong, self.right = collections.Counter(), [], 0
        self.failure = None

    def expect(self, got, rows):
        if got == rows:
            self.right += 1
        else:
            self.wrong.append((got, rows))

    def write(self, table):
        self.n += 1
        n = self.n
        self.unknown[table].add(n)
        ask(self.connection, "INSERT INTO %s (client, n) VALUES (%d, %d)" % (table, self.number, n))
        self.unknown[table].discard(n)
        self.done[table].add(n)

    def transaction(self):
        self.n += 1
        n = self.n
        ask(self.connection, "BEGIN")
        ask(self.connection, "INSERT INTO direct (client, n) VALUES (%d, %d)" % (self.number, n))
        self.expect(ask(self.connection, "SELECT n FROM direct WHERE client = %d AND n = %d" % (self.number, n)), ((n,),))
        if n % 2:
            ask(self.connection, "ROLLBACK")
            return
        self.unknown["direct"].add(n)
        ask(self.connection, "COMMIT")
        self.unknown["direct"].discard(n)
        self.done["direct"].add(n)

    def read(self):
        i = self.random.randrange(50)
        self.expect(ask(self.connection, "SELECT v FROM fixed WHERE id = %d" % i), (("value %d" % i,),))

    def several(self):
        i = self.random.randrange(50)
        with self.connection.cursor() as cur:
            cur.execute("SELECT v FROM fixed WHERE id = %d; SELECT %d; SELECT COUNT(*) FROM fixed" % (i, i))
            got = [cur.fetchall()]
            while cur.nextset():
                got.append(cur.fetchall())
        self.expect(got, [(("value %d" % i,),), ((i,),), ((50,),)])

    def prepared(self):
        i = self.random.randrange(50)
        ask(self.connection, "PREPARE p FROM 'SELECT v FROM fixed WHERE id = ?'")
        ask(self.connection, "SET @i = %d" % i)
        self.expect(ask(self.connection, "EXECUTE p USING @i"), (("value %d" % i,),))
        ask(self.connection, "DEALLOCATE PREPARE p")

    def state(self):
        zone = self.random.choice(["+01:00", "+02:00", "-03:00"])
        ask(self.connection, "SET time_zone = '%s'" % zone)
        self.expect(ask(self.connection, "SELECT @@time_zone"), ((zone,),))

    def new_text(self):
        """Of a digest that nobody has seen."""
        name = "c%d_%d" % (self.number, self.n)
        self.n += 1
        self.expect(ask(self.connection, "SELECT id AS %s, 'a' FROM fixed AS t_%s WHERE t_%s.id IN (1, 2) ORDER BY id" % (name, name, name)),
                    ((1, "a"), (2, "a")))

    def follow_up(self):
        self.n += 1
        ask(self.connection, "INSERT INTO numbered (client, n) VALUES (%d, %d)" % (self.number, self.n))
        got = ask(self.connection, "SELECT LAST_INSERT_ID()")
        self.expect(got, ask(self.connection, "SELECT id FROM numbered WHERE client = %d AND n = %d" % (self.number, self.n)))
        ask(self.connection, "SELECT SQL_CALC_FOUND_ROWS id FROM fixed LIMIT 3")
        self.expect(ask(self.connection, "SELECT FOUND_ROWS()"), ((50,),))

    def temporary(self):
        ask(self.connection, "CREATE TEMPORARY TABLE own (n INT)")
        ask(self.connection, "INSERT INTO own VALUES (%d)" % self.number)
        self.expect(ask(self.connection, "SELECT n FROM own"), ((self.number,),))
        ask(self.connection, "DROP TEMPORARY TABLE own")

    def reading_transaction(self):
        ask(self.connection, "START TRANSACTION READ ONLY")
        self.read()
        self.read()
        ask(self.connection, "COMMIT")

    def large(self):
        text = "x" * self.random.randrange(100000, 300000)
        self.expect(ask(self.connection, "SELECT '%s'" % text), ((text,),))

    def step(self):
        if self.connection is None:
            self.connection = self.s.connect(database=self.schema, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
        what = self.random.choice([self.read] * 4 + [lambda: self.write("log")] * 3 + [lambda: self.write("direct")] * 2 +
                                  [self.transaction, self.several, self.prepared, self.state, self.new_text, self.new_text, self.large,
                                   self.follow_up, self.temporary, self.reading_transaction])
        what()
        if self.random.random() < 0.05:
            self.connection.close()
            self.connection = None

    def run(self):
        try:
            while not self.over.is_set():
                try:
                    self.step()
                except pymysql.MySQLError as e:
                    self.errors[e.args] += 1
                    if self.connection is not None:
                        self.connection._force_close()
                    self.connection = None
        except Exception as e:
            self.failure = e
            raise


def test_statements_fail_one_by_one(scarce, db):
    s, told = scarce
    with s.connect(database=db.name) as c:  # what is to be queued has been accepted
        wait_until("a write to be queued", lambda: acknowledged(s) > 0 or ask(c, "INSERT INTO log (client, n) VALUES (-1, 0)") is None, 20)
    with open(told, "w", encoding="ascii"):
        pass
    over = threading.Event()
    clients = [Client(s, db.name, i, over) for i in range(CLIENTS)]
    for c in clients:
        c.start()
    time.sleep(SECONDS)
    try:  # a busy machine comes to less in that time
        wait_until("enough to fail", lambda: s.metrics()["suimon_out_of_memory_total"] > 50 and all(c.right > 10 for c in clients), 60)
    finally:
        over.set()
    for c in clients:
        c.join(120)
        assert not c.is_alive(), "a statement has no end"
        assert c.failure is None, c.failure
    os.unlink(told)
    errors = sum((c.errors for c in clients), collections.Counter())
    assert not [w for c in clients for w in c.wrong]
    assert {e[0] for e in errors} <= TOLD, errors
    assert not [e for e in errors if "timed out" in e[1]], errors
    assert errors[OUT_OF_MEMORY, "suimon: out of memory"], errors
    wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 60)
    for table in ("log", "direct"):
        rows = db.primary("SELECT client, n FROM %s WHERE client >= 0" % table)
        assert len(rows) == len(set(rows)), "a write was executed twice"
        for c in clients:
            there = {n for client, n in rows if client == c.number}
            assert not c.done[table] - there, "an acknowledged write is lost"
            assert not there - c.done[table] - c.unknown[table]
    with s.connect(database=db.name) as c:  # and all is as before
        assert ask(c, "SELECT v FROM fixed WHERE id = 7") == (("value 7",),)
        ask(c, "INSERT INTO log (client, n) VALUES (-2, 0)")
    assert s.api("/api/queue")["state"] in ("running", "idle")


def test_what_there_is_no_memory_for_is_served_and_not_stored(suimon, db, told, monkeypatch):
    """F3: of the cache's own allocations that fail each costs its result its place, and no more."""
    monkeypatch.setenv("SUIMON_SCARCE_ONE_OF", "12")
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 5)")
    s = suimon({"threads": 1, "cache": {"rules": [{"match": {"schema": db.name}, "ttl": "1h"}]}})
    sessions = [s.connect(database=db.name) for _ in range(20)]
    filled(s, sessions[0], "SELECT n FROM t WHERE id = 1")
    with open(told, "w", encoding="ascii"):
        pass
    answered = 0
    for n, c in enumerate(sessions * 20):
        try:
            if c.open:
                assert ask(c, "SELECT n FROM t WHERE id = 1 LIMIT %d" % (n + 1)) == ((5,),)
                answered += 1
        except pymysql.MySQLError:
            pass
    os.unlink(told)
    assert answered > 20 and servers.sum_metric(s.metrics(), "suimon_cache_refused_total", 'reason="memory"') > 0
    for c in sessions:
        if c.open:
            c._force_close()
    with s.connect(database=db.name) as c:
        filled(s, c, *("SELECT n FROM t WHERE id = 1 LIMIT %d" % (n + 1) for n in range(0, 400, 40)))


def test_what_was_shown_while_there_was_no_memory_binds_for_seconds(suimon, db, told, cluster, monkeypatch):
    """What cannot be kept is taken for everything by then, and messages of before have come by and by: no session is without the cache for good."""
    monkeypatch.setenv("SUIMON_SCARCE_ONE_OF", "5")
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 5)")
    read, past = "SELECT n FROM t WHERE id = 1", "/* suimon: nocache, primary */ SELECT n FROM t WHERE id = 1"
    s = suimon({"threads": 1, "cache": {"redis": cluster.redis.url, "rules": [{"match": {"schema": db.name}, "ttl": "1h"}]}})
    sessions = [s.connect(database=db.name) for _ in range(40)]
    filled(s, sessions[0], read)
    for c in sessions:
        ask(c, past)
    time.sleep(5)  # what was kept then binds no more, and is gone
    with open(told, "w", encoding="ascii"):
        pass
    left = []
    for c in sessions:
        try:
            ask(c, past)
            left.append(c)
        except pymysql.MySQLError:
            c._force_close()
    os.unlink(told)
    assert len(left) > 10 and s.metrics()["suimon_out_of_memory_total"] > 0
    time.sleep(5)
    assert ask(left[0], read) == ((5,),)
    assert [is_hit(s, c, read) for c in left] == [True] * len(left)
    for c in left:
        c.close()
