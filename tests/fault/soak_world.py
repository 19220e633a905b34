"""tests/soak's world: history_world.py's, with links that can be cut, rows that are numbered, and what a fault may explain.

Side 0 is one process from beginning to end: what it takes of memory, descriptors and threads is judged. Side 1 is killed and upgraded.
"""
import collections
import ctypes
import os
import signal
import time

import pymysql

import history_world
from history_world import SCHEMA
from relay import Relay
import servers

GRACE = 10.0        # seconds: a fault explains so much longer what goes wrong; for the monitors, and for a busy machine
OUTAGE = 60.0       # seconds: while no primary answers any replica serves reads (R4), and it may lag
SEEN_AGAIN = 1.0    # seconds beyond the moment in which both sides know the primary again: of reads that were on their way
PR_SET_CHILD_SUBREAPER = 36
GONE_LINK = (2003, 2006, 2013)
# The errors by which a server or suimon says that a statement was not executed: its row must not be there. 1927 says so, or else.
REFUSED = (1040, 1053, 1205, 1290, 1317, 1836, 1927)


class Ledger:
    """Numbered rows of one writer, and what became of each as far as its client was told."""

    def __init__(self):
        self.n, self.acknowledged, self.unknown, self.refused = 0, set(), set(), {}

    def next(self):
        self.n += 1
        return self.n

    def check(self, there):
        """there: number to how many rows have it. What is wrong, as texts."""
        for n in sorted(self.acknowledged - set(there)):
            yield "row %d was acknowledged and is lost" % n
        for n in sorted(n for n, count in there.items() if count > 1):
            yield "row %d is there %d times" % (n, there[n])
        for n in sorted(set(there) - self.acknowledged - self.unknown):
            yield "row %d is there, and its client was told: %s" % (n, self.refused.get(n, "nothing"))


class Window:
    """A fault at work. sides: those whose clients may notice; outage: is the primary out of reach meanwhile? Until when?"""

    def __init__(self, sides, outage):
        self.sides, self.outage = sides, outage
        self.begin, self.end = time.monotonic(), float("inf")
        self.outage_end = float("inf")

    def touches(self, began):
        """What began then, and has ended by now."""
        return began <= self.end + GRACE


class World(history_world.World):
    def __init__(self, base, options):
        self.windows = collections.deque(maxlen=64)
        self.ledgers = collections.defaultdict(Ledger)  # by table and writer
        self.told, self.lenient = collections.Counter(), 0
        self.window = None # of the fault at work
        self.plain, self.plain_from = [False, False], [0.0, 0.0]  # sides that do not cache t, and since when
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the successors of suimon are ours to wait for
        super().__init__(base, options)
        self.pid = self.suimons[1].process.pid

    def prepare(self):
        self.primary.sql("USE " + SCHEMA, "ALTER TABLE log ADD KEY (writer, n)", "CREATE TABLE direct LIKE log")
        self.links = [Relay(port) for port in self.ports]
        self.ports = [r.port for r in self.links]

    def config(self, home):
        config = super().config(home)
        config.update({"threads": 2, "upgrade_timeout": "60s", "drain_timeout": "10s"})
        return config

    def link(self, server):
        return self.links[self.all.index(server)]

    # ---- clients ----

    def job(self, number):
        jobs = (self.write, self.numbered("log"), self.numbered("direct"), self.numbered("direct", True), self.read, self.read)
        job = jobs[number // 4 % len(jobs)]

        def paced(s, rng, state, number):
            s.pending = None
            job(s, rng, state, number)
            time.sleep(rng.random() * 2 * self.options.pace)
        return paced

    def renewed(self, s, rng):
        """After an upgrade the old process waits for its sessions' end."""
        return s.generation != self.generation[s.side] or rng.random() < 0.005

    def numbered(self, table, begins=False):
        """A job that writes numbered rows; begins: in a transaction."""
        def job(s, rng, state, number):
            ledger = self.ledgers[table, number]
            n = ledger.next()
            insert = "INSERT INTO %s (writer, n) VALUES (%d, %d)" % (table, number, n)
            if begins:
                ledger.refused[n] = "it was not committed"
                s.do("BEGIN")
                s.do(insert)
                if rng.random() < 0.2:
                    s.do("ROLLBACK")
                    return
                insert = "COMMIT"
            s.pending = ledger, n
            s.do(insert)
            s.pending = None
            ledger.acknowledged.add(n)
            with self.lock:
                self.writes += 1
            seen = s.number("SELECT COUNT(*) FROM %s WHERE writer = ? AND n = ?" % table, number, n)
            self.judge("own row %d of %s, %s" % (n, table, s.name()), seen, 1)
            if seen > 1:
                self.wrong("own row %d of %s is there %d times" % (n, table, seen))
        return job

    # ---- what went wrong ----

    def wrong(self, text):
        with self.lock:
            self.violations.append("at %.1f s: %s" % (time.monotonic() - self.started, text))

    def cache_rows(self, side, cached):
        """Called before t is taken out of a side's rules, and when it is in them again."""
        if not cached and not self.plain[side]:
            self.plain_from[side] = time.monotonic()
        self.plain[side] = not cached

    def is_sum(self, count):
        return any(count is c for c in self.sums)

    def least(self, count, through, side):
        """Of a table that is not cached a session is promised no more than its own writes: replicas lag."""
        if self.plain[through] and not self.is_sum(count):
            return 0
        return super().least(count, through, side)

    def binds_shown(self, side, whole, way):
        """Nor does what a transaction was shown bind a replica's answer (docs/routing.md, "No way back in time")."""
        return whole or not self.plain[side] or way not in history_world.STORED

    def excused(self, count, least, began):
        if not self.is_sum(count) and any(since >= began for since in self.plain_from):
            return 0
        if any(w.outage and began <= w.outage_end for w in list(self.windows)):
            with self.lock:
                self.lenient += 1
            return min(least, count.at(began - OUTAGE))
        return least

    def judges_shown(self):
        """Not while writes of which the primary's going away left the outcome unknown may come to light (docs/cache.md, section 5)."""
        return not any(w.outage and time.monotonic() <= w.outage_end + GRACE for w in list(self.windows))

    def touches_primary(self, link):
        """The fault at work has to do with that link."""
        self.window.outage |= link is self.link(self.primary)
        return link

    def primary_is_known(self):
        address = "%s:%d" % (servers.LOOPBACK, self.link(self.primary).port)
        return all(any(b["addr"] == address and b["role"] == "primary" and b["state"] == "up" for b in s.api("/api/backends")["backends"])
                   for s in self.suimons)

    def failed(self, s, why):
        super().failed(s, why)
        code = why.args[0] if isinstance(why, pymysql.MySQLError) and why.args else type(why).__name__
        lost = code in GONE_LINK or isinstance(why, (OSError, EOFError))
        self.settle(s, lost, why)
        with self.lock:
            self.told[str(code)] += 1
        if not lost and code not in REFUSED:
            self.wrong("side %d: nothing explains %r" % (s.side, why))
        elif not any(s.side in w.sides and w.touches(s.began) for w in list(self.windows)):
            self.wrong("side %d: no fault explains %r" % (s.side, why))

    @staticmethod
    def settle(s, lost, why):
        """R3: of a write on its way its client is told that it has not run, or that nobody knows."""
        if getattr(s, "pending", None) is None:
            return
        ledger, n = s.pending
        if lost or "not known" in str(why):
            ledger.unknown.add(n)
        else:
            ledger.refused[n] = str(why)
        s.pending = None

    # ---- side 1's processes ----

    def end_suimon(self):
        os.kill(self.pid, signal.SIGKILL)
        self.ended(self.pid)

    def kill_suimon(self):
        try:
            super().kill_suimon()
        finally:
            self.pid = self.suimons[1].process.pid  # also where it is slow to come up

    def upgrade_suimon(self):
        """Of two processes each is another instance to the other; the old one ends with its sessions."""
        old, self.born[1] = self.pid, float("inf")
        self.pid = self.suimons[1].upgrade(old)
        self.generation[1] += 1
        code = self.ended(old)
        if code != 0:
            self.wrong("the process before an upgrade ended with %s" % code)
        self.born[1] = time.monotonic()

    def ended(self, pid):
        """Waits for one of side 1's processes; its exit code."""
        child = self.suimons[1].process.child
        if pid == child.pid:
            return child.wait(120)
        found = servers.wait_until("process %d to end" % pid, lambda: os.waitpid(pid, os.WNOHANG), 120)
        return os.waitstatus_to_exitcode(found[1])

    def fault(self, kind):
        self.window = window = Window(kind.sides, kind.outage)
        self.windows.append(window)
        try:
            kind(self)
        except Exception as e:  # the next one may do
            self.wrong("%s failed: %r" % (kind.__name__, e))
        window.end = time.monotonic()
        if window.outage:
            try:
                servers.wait_until("both sides to know the primary", self.primary_is_known, 30)
            except servers.ServerError as e:
                self.wrong("after %s: %s" % (kind.__name__, e))
        window.outage_end = time.monotonic() + SEEN_AGAIN

    # ---- the end ----

    def after(self):
        super().after()
        self.check_rows()

    def check_rows(self):
        for i, s in enumerate(self.suimons):
            servers.wait_until("side %d's queue to be applied" % i, lambda s=s: s.api("/api/queue")["depth"] == 0, 120)
            dead = s.api("/api/queue")["dead_waiting"]
            if dead:
                self.wrong("side %d: %d dead letters" % (i, dead))
        for table in ("log", "direct"):
            there = collections.defaultdict(dict)
            for writer, n, count in self.primary.sql("SELECT writer, n, COUNT(*) FROM %s.%s GROUP BY writer, n" % (SCHEMA, table)):
                there[writer][n] = count
            for writer in set(there) | {writer for of, writer in self.ledgers if of == table}:
                for text in self.ledgers[table, writer].check(there[writer]):
                    self.wrong("%s of writer %d: %s" % (table, writer, text))

    def stop(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        super().stop()
        for link in self.links:
            link.close()

    def report(self):
        ledgers = list(self.ledgers.values())
        report = super().report()
        report.update({"history": "soak", "reads_lenient": self.lenient, "errors": dict(self.told), "faults": dict(collections.Counter(self.faults)),
                       "rows_acknowledged": sum(len(x.acknowledged) for x in ledgers),
                       "rows_unknown": sum(len(x.unknown) for x in ledgers)})
        return report
