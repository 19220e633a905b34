"""What tests/history and tests/soak share: servers, two suimons on one Redis, clients, and the judge of what they read.

A row's number only grows, by one an acknowledged update. A read through a suimon must see at least what had been acknowledged
through the same one when it began; through the other, what had been ELSEWHERE seconds before (a second suimon's message, or, if
that was killed, its being missed). A session must see its own writes, also inside a transaction. And what one session reads must
never go back, whoever wrote it and whichever way it is read: from the cache, past it, in a transaction, by row, with its table.
"""
import os
import random
import sys
import threading
import time

import pymysql

from mysql_server import MAKE
from relay import Relay
import servers
from servers import LOOPBACK
from wire import Wire, error

ROWS = 200            # of each side
LATE = 0.3            # seconds by which the late replica lags
ELSEWHERE = 12.0      # seconds: the bus's lease, the notice of a dead instance, and a busy machine
SCHEMA = "history"
TABLES = [
    "CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL)", "INSERT INTO t VALUES %s" % ",".join("(%d, 0)" % i for i in range(2 * ROWS)),
    "CREATE TABLE u (id INT PRIMARY KEY, n INT NOT NULL)", "INSERT INTO u VALUES (0, 0), (1, 0)",
    "CREATE TABLE log (id BIGINT PRIMARY KEY AUTO_INCREMENT, writer INT, n INT, KEY (writer))",
]
HOT = 8               # of these rows every second read and write is
ROW, SUM = "SELECT n FROM t WHERE id = ?", "SELECT SUM(n) FROM u WHERE id <= ? AND id = %d"
WAYS = {"cached": ROW, "past the cache": ROW + " /* suimon: nocache, primary */", "on a replica": ROW + " /* suimon: nocache */", "in a transaction": ROW, "with its table": "SELECT n FROM t WHERE id + 0 = ?"}
STORED = ("cached", "with its table")
PRIMARYS = ("past the cache", "in a transaction")
GONE = (pymysql.MySQLError, OSError, AssertionError, IndexError, EOFError)  # what a fault does to a client


class Count:
    """What was acknowledged of one number, and when."""

    def __init__(self):
        self.lock, self.n, self.log = threading.Lock(), 0, [(0.0, 0)]

    def acknowledge(self):
        with self.lock:
            self.n += 1
            self.log.append((time.monotonic(), self.n))
            if len(self.log) > 4000:
                del self.log[1:2000]  # long ago: the first stands for all of it

    def at(self, moment):
        with self.lock:
            for when, n in reversed(self.log):
                if when <= moment:
                    return n
        return 0


class Session:
    """A client of one side, in text or prepared; made anew when a fault has ended it."""

    def __init__(self, world, side, prepared):
        self.world, self.side, self.prepared = world, side, prepared
        self.c = None

    def open(self):
        self.close()
        self.shown = {}  # by row or sum, and way: the largest number that it has been shown
        self.c = self.world.suimons[self.side].connect(database=SCHEMA, read_timeout=60, connect_timeout=20)
        self.generation = self.world.generation[self.side]
        self.statements = {}
        self.wire = Wire(self.c) if self.prepared else None

    def close(self):
        if self.c is not None:
            try:
                self.c._force_close()
            except GONE:
                pass
        self.c = None

    def number(self, sql, *values):
        """The one number that a SELECT with these parameters gives."""
        if not self.prepared:
            with self.c.cursor() as cur:
                cur.execute(sql.replace("?", "%s"), values)
                return int(cur.fetchall()[0][0])
        if sql not in self.statements:
            self.statements[sql] = self.wire.prepare(sql)
        packets = self.statements[sql].execute(list(values))
        if packets[-1][0] == 0xff:
            raise pymysql.MySQLError(*error(packets[-1]))
        row = packets[3]  # column count, column, EOF, row: NULL map, then a long or, of a sum, its digits
        return int(row[3:3 + row[2]]) if sql.startswith("SELECT SUM") else int.from_bytes(row[2:6], "little")

    def name(self):
        return "%s through %d" % ("prepared" if self.prepared else "text", self.side)

    def shows(self, what, seen, way):
        """The numbers that this one must not be below, and which way each was read."""
        # Two stored results may be of different times, until another instance's message is here (docs/cache.md, section 5); and a replica
        # of which nothing is stored has what the session has read from replicas (docs/routing.md).
        former = [w for w in WAYS if w == way or (way != "on a replica" and not (w in STORED and way in STORED))]
        before = [(self.shown.get((what, w), 0), w) for w in former]
        self.shown[what, way] = max(self.shown.get((what, way), 0), seen)
        return before

    def do(self, sql):
        if self.prepared:
            packets = self.wire.query(sql)
            if packets[-1][0] == 0xff:
                raise pymysql.MySQLError(*error(packets[-1]))
        else:
            with self.c.cursor() as cur:
                cur.execute(sql)


class World:
    def __init__(self, base, options):
        self.options, self.base = options, base
        self.all = servers.family(base, ("first", "second", "third"), [SCHEMA], make=MAKE)
        self.primary = self.all[0]
        self.primary.sql("USE " + SCHEMA, *TABLES)
        self.ports = [m.port for m in self.all]
        self.prepare()
        self.relay = Relay(self.primary.port)
        self.relay.delay = LATE
        late = self.all[2]
        late.catch_up(self.primary)
        late.replication("STOP SLAVE", "CHANGE MASTER TO MASTER_PORT=%d" % self.relay.port, "START SLAVE")
        self.all[1].catch_up(self.primary)
        self.redis = servers.Redis(base)
        self.redis.start()
        self.born = [-ELSEWHERE, -ELSEWHERE]
        self.generation = [0, 0]  # of each side's processes: sessions of an older one end
        self.suimons = [self.instance(i) for i in range(2)]
        self.rows = [[Count() for _ in range(ROWS)] for _ in range(2)]
        self.sums = [Count(), Count()]
        self.violations, self.reads, self.writes, self.faults, self.errors = [], 0, 0, [], 0
        self.lock = threading.Lock()
        self.started = time.monotonic()
        self.quiet = threading.Event()

    def prepare(self):
        """Before the suimons start; may put others in the place of the servers' ports."""

    def config(self, home):
        first, *others = ["%s:%d" % (LOOPBACK, port) for port in self.ports]
        return {
            "primary": first, "replicas": others,
            "users": [{"name": "app", "password": "app"}],
            "backend": {"failover_hold": "20s", "monitor": {"user": "monitor", "password": "monitor", "interval": "200ms"}},
            "cache": {"redis": self.redis.url, "rules": [{"match": {"schema": SCHEMA}, "ttl": "1h"}]},
            "queue": {"dir": os.path.join(home, "queue"), "user": {"name": "suimon_queue", "password": "suimon_queue"},
                      "rules": [{"match": {"table": SCHEMA + ".log", "verb": "insert"}}]}}

    def instance(self, i):
        home = os.path.join(self.base, "suimon%d" % i)
        os.makedirs(os.path.join(home, "queue"))
        s = servers.Suimon(home, self.config(home), binary=self.options.binary)
        s.start()
        return s

    def judge(self, what, seen, least):
        with self.lock:
            self.reads += 1
            if seen < least:
                self.violations.append("%7.1f %s: at least %d expected, %d read" % (
                    time.monotonic() - self.started, what, least, seen))

    def least(self, count, through, side):
        now = time.monotonic()
        same = through == side and now - self.born[through] > ELSEWHERE  # one that was just started is another one
        return count.at(now if same else now - ELSEWHERE)

    def binds_shown(self, side, whole, way):
        """Is what a session was shown any way to bind a read that begins now?"""
        return True

    def judges_shown(self):
        """Is all that commits told of now, so that what a session was shown binds what it is shown next?"""
        return True

    @staticmethod
    def shown_counts(count, before, former, way, began):
        """How much of what a session was shown one way a read another way must have, that began then."""
        if former not in PRIMARYS and way != "on a replica":
            return min(before, count.at(began))  # servers send their replicas what they commit before they show it themselves (docs/cache.md, section 3b)
        return before

    def excused(self, count, least, began):
        """What a read that began then must have seen at least, by what is known now that it has ended."""
        return least

    # ---- clients ----

    def client(self, number, end):
        rng = random.Random(self.options.seed * 1000 + number)
        side = number % 2
        s = Session(self, side, number // 2 % 2 == 1)
        job = self.job(number)
        state = {}
        while time.monotonic() < end:
            try:
                s.began = time.monotonic()
                if s.c is None or self.renewed(s, rng):
                    s.open()
                    state = {}
                job(s, rng, state, number)
            except GONE as e:
                self.failed(s, e)
                s.close()
                time.sleep(0.1)
        s.close()

    def renewed(self, s, rng):
        """Is a session of its own accord to begin anew?"""
        return False

    def failed(self, s, why):
        with self.lock:
            self.errors += 1

    def job(self, number):
        return self.write if number % 8 < 2 else self.queue if number % 8 == 2 else self.read

    @staticmethod
    def row(rng):
        return rng.randrange(HOT if rng.random() < 0.5 else ROWS)

    def read(self, s, rng, state, number):
        """The same again and again, this way and that."""
        side = rng.randrange(2)
        whole, n = rng.random() < 0.1, self.row(rng)
        for _ in range(rng.choice((1, 1, 2, 4))):
            self.look(s, side, whole, n, "cached" if rng.random() < 0.5 else rng.choice(list(WAYS)))

    def look(self, s, side, whole, n, way):
        count = self.sums[side] if whole else self.rows[side][n]
        began, least, bound = time.monotonic(), self.least(count, s.side, side), self.binds_shown(s.side, whole, way)
        seen = self.number(s, side if whole else side * ROWS + n, SUM % side if whole else WAYS[way], way)
        what = "%s %d/%d %s, %s" % ("sum" if whole else "row", side, n, way, s.name())
        if way == "on a replica":
            least = 0  # of another session's writes it is shown what its replica has (R2)
        shown = s.shows((whole, side, 0 if whole else n), seen, way)
        before, former = max((self.shown_counts(count, number, w, way, began), w) for number, w in shown)
        if before > least and bound and self.judges_shown():
            least, what = before, "%s, after it was read %s" % (what, former)
        self.judge(what, seen, self.excused(count, least, began))

    @staticmethod
    def number(s, row, sql, way):
        if "suimon:" in WAYS[way] and "suimon:" not in sql:
            sql += WAYS[way][len(ROW):]
        if way != "in a transaction":
            return s.number(sql, row)
        s.do("BEGIN")
        seen = s.number(sql, row)
        s.do("COMMIT")
        return seen

    def write(self, s, rng, state, number):
        n = self.row(rng)
        row, whole = s.side * ROWS + n, rng.random() < 0.1
        sql = ("UPDATE u SET n = n + 1 WHERE id + 0 = %d" % s.side if whole else "UPDATE t SET n = n + 1 WHERE id = %d" % row)
        count = self.sums[s.side] if whole else self.rows[s.side][n]
        own = "SELECT SUM(n) FROM u WHERE id = ?" if whole else "SELECT n FROM t WHERE id = ?"
        before = count.at(time.monotonic())
        if rng.random() < 0.3:
            s.do("BEGIN")
            s.do(sql)
            self.judge("own write in a transaction, " + s.name(), s.number(own, s.side if whole else row), before + 1)
            if rng.random() < 0.3:
                s.do("ROLLBACK")
                return
            s.do("COMMIT")
        else:
            s.do(sql)
        count.acknowledge()
        with self.lock:
            self.writes += 1
        least = max(before + 1, self.least(count, s.side, s.side))
        self.judge("own write, " + s.name(), s.number(own, s.side if whole else row), least)
        time.sleep(rng.random() * 0.05)

    def queue(self, s, rng, state, number):
        """A session sees its own queued writes."""
        state.setdefault("base", s.number("SELECT COUNT(*) FROM log WHERE writer = ?", number))
        state["own"] = state.get("own", 0)
        s.do("INSERT INTO log (writer, n) VALUES (%d, %d)" % (number, state["own"]))
        state["own"] += 1
        self.judge("own queued writes", s.number("SELECT COUNT(*) FROM log WHERE writer = ?", number), state["own"] + state["base"])
        time.sleep(rng.random() * 0.2)

    # ---- faults ----

    def restart_redis(self):
        self.redis.process.kill()
        time.sleep(0.5)
        self.redis.start_again()

    def kill_suimon(self):
        self.born[1] = float("inf")
        self.end_suimon()
        s = self.suimons[1]
        s.process = servers.Process("suimon", s.process.argv, s.process.log, s._env())
        s.start()
        self.born[1] = time.monotonic()

    def end_suimon(self):
        self.suimons[1].process.kill()

    def lose_replica(self):
        replica = next(m for m in self.all if m is not self.primary and m is not self.all[2])
        replica.process.kill()
        time.sleep(1)
        replica.options = ["--read-only=ON"]  # it comes back as what it was
        replica.start()

    def successor(self):
        return next(m for m in self.all[:2] if m is not self.primary)

    def caught_up(self, old, new):
        new.catch_up(old)
        self.all[2].catch_up(old)

    def promote(self, new):
        """The late replica stays late."""
        new.promote()
        self.relay.target = new.port
        self.relay.cut()
        self.primary = new

    def demote(self, old):
        old.demote(self.primary)

    def move_primary(self):
        """As an operator does it."""
        old, new = self.primary, self.successor()
        old.sql("SET GLOBAL read_only = ON")
        self.caught_up(old, new)
        self.promote(new)
        self.demote(old)

    def kinds(self):
        return [self.restart_redis, self.kill_suimon, self.lose_replica, self.move_primary]

    def trouble(self, end):
        rng = random.Random(self.options.seed)
        kinds = self.kinds()
        time.sleep(2)
        n = 0
        while time.monotonic() < end - 3:
            if n % len(kinds) == 0:
                rng.shuffle(kinds)
            kind = kinds[n % len(kinds)]
            print("%7.1f %s" % (time.monotonic() - self.started, kind.__name__), file=sys.stderr, flush=True)
            self.fault(kind)
            self.faults.append(kind.__name__)
            n += 1
            time.sleep(self.options.between)

    def fault(self, kind):
        kind()

    # ---- all of it ----

    def guard(self, job, *words):
        try:
            job(*words)
        except Exception as e:
            self.violations.append("%s failed: %r" % (job.__name__, e))

    def run(self):
        self.started = time.monotonic()
        end = self.started + self.options.seconds
        threads = [threading.Thread(target=self.guard, args=(self.client, n, end)) for n in range(self.options.clients)]
        for t in threads:
            t.start()
        if not self.options.expect_violations:
            self.guard(self.trouble, end)  # here: what a thread has started ends with that thread
        for t in threads:
            t.join(self.options.seconds + 240)
        if not self.options.expect_violations:
            self.after()

    def after(self):
        """All is quiet: what lingers in a cache is what nobody has invalidated."""
        time.sleep(ELSEWHERE)
        rows = dict(self.primary.sql("SELECT id, n FROM %s.t" % SCHEMA))
        for side in range(2):
            for prepared in (False, True):
                s = Session(self, side, prepared)
                servers.wait_until("a session", lambda: self.opened(s), 60)
                for row, n in rows.items():
                    self.judge("in the end, row %d through %d" % (row, side), s.number("SELECT n FROM t WHERE id = ?", row), n)
                s.close()

    @staticmethod
    def opened(s):
        try:
            s.open()
            return True
        except GONE:
            return False

    def stop(self):
        for s in self.suimons:
            s.process.kill()
        self.relay.close()
        self.redis.stop()
        for m in self.all:
            if m.process.alive():
                m.process.kill()

    def report(self):
        hits = 0
        for s in self.suimons:
            try:
                hits += servers.sum_metric(s.metrics(), "suimon_cache_hits_total")
            except OSError:
                pass
        return {"history": "cache", "seconds": self.options.seconds, "seed": self.options.seed, "clients": self.options.clients,
                "reads": self.reads, "writes": self.writes, "hits_since_start": int(hits), "faults": self.faults,
                "client_errors": self.errors, "violations": len(self.violations)}
