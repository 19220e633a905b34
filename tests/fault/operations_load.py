"""Operations under sysbench's oltp_read_write: for test_operations.py and tests/bench/operations, which says what each does."""
import collections
import contextlib
import fcntl
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pymysql

from mysql_server import MAKE
import servers
from servers import LOOPBACK

SCHEMA, TABLES, ROWS = "sbtest", 4, 5000
# oltp_read_write whose threads never meet at a row: without transactions two of them delete one and both insert it, a 1062 of the load's own.
APART = os.path.join(os.path.dirname(os.path.abspath(__file__)), "oltp_apart.lua")


def words(port, *more, script="oltp_read_write"):
    return ["sysbench", script, "--db-driver=mysql", "--mysql-host=" + LOOPBACK, "--mysql-port=%d" % port,
            "--mysql-user=app", "--mysql-password=app", "--mysql-db=" + SCHEMA, "--tables=%d" % TABLES,
            "--table-size=%d" % ROWS, "--rand-type=uniform", *more]


class World:
    """A primary, a replica, suimon; config: changes to its."""

    def __init__(self, directory, options, **more):
        self.directory, self.options = directory, options
        self.primary, self.replica = servers.pair(directory, [SCHEMA], make=MAKE)
        subprocess.run(words(self.primary.port, "prepare"), check=True, stdout=subprocess.DEVNULL, timeout=600)
        self.primary.sql("CREATE TABLE %s.ledger (client INT, n INT, PRIMARY KEY (client, n))" % SCHEMA,
                         "CREATE TABLE %s.filler (id INT PRIMARY KEY, n INT)" % SCHEMA, "INSERT INTO %s.filler VALUES (1, 0)" % SCHEMA)
        self.replica.catch_up(self.primary)
        config = {
            "primary": "%s:%d" % (LOOPBACK, self.primary.port), "replicas": ["%s:%d" % (LOOPBACK, self.replica.port)],
            "users": [{"name": "app", "password": "app"}], "threads": 2,
            "backend": {"monitor": {"user": "monitor", "password": "monitor"}}, **more}
        self.suimon = servers.Suimon(directory, config, binary=options.binary)
        self.suimon.start()
        self.pids = [self.suimon.process.pid]
        self.filled = 0

    def hold_socket(self):
        """As suimon.socket does: who connects while no process serves waits."""
        self.suimon.stop()
        self.socket = socket.create_server((LOOPBACK, self.suimon.mysql_port), backlog=1024)
        fd = fcntl.fcntl(self.socket.fileno(), fcntl.F_DUPFD, 10)  # 3 is where it is awaited
        self.suimon.process.pass_fds = [fd]
        self.suimon.process.env["LISTEN_FDS"] = "1"
        self.suimon.process.argv = ["/bin/bash", "-c", "export LISTEN_PID=$$; exec %s -c %s 3<&%d %d<&-" % (
            self.suimon.binary, self.suimon.file, fd, fd)]
        self.suimon.start()

    def upgrade(self):
        self.pids.append(self.suimon.upgrade(self.pids[-1]))

    def end(self):
        for pid in reversed(self.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self.suimon.stop()
        for pid in self.pids[1:]:
            servers.wait_until("process %d to end" % pid, lambda pid=pid: not os.path.exists("/proc/%d/exe" % pid) or zombie(pid), 60)
        self.replica.stop()
        self.primary.stop()


def zombie(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def upgrade(w):
    w.upgrade()
    time.sleep(w.options.seconds / 5)
    w.upgrade()


def reload(w):
    """Ten times, each with another file: what is cached, routed, limited and pooled changes under the sessions' feet."""
    whole, of_table = {"match": {"schema": SCHEMA}}, {"match": {"table": SCHEMA + ".sbtest1"}}
    config, backend = w.suimon.config, w.suimon.config["backend"]
    files = [
        {"cache": {"rules": [{**whole, "ttl": "10s"}]}, "backend": {**backend, "pool": {"max": 100}}},
        {"cache": {"rules": [{**of_table, "ttl": "1s"}]}, "routing": {"consistency": "strong"}},
        {"routing": {"consistency": "eventual", "rules": [{**of_table, "to": "primary"}]}, "backend": {**backend, "pool": {"max": 90}}},
        {"limits": {"rules": [{**whole, "concurrency": 60, "wait": "30s"}]}, "stats": {"slow": "1ms", "samples": "off"}},
    ]
    for n in range(10):
        w.suimon.write({**config, **files[n % len(files)]})
        os.kill(w.pids[-1], signal.SIGHUP)
        servers.wait_until("reload %d" % (n + 1), lambda n=n: servers.sum_metric(
            w.suimon.metrics(), "suimon_config_reloads_total", 'result="ok"') == n + 1, 30)
        time.sleep(w.options.seconds / 50)


def drain(w):
    w.suimon.stop()
    w.suimon.start(ready=False)
    w.pids = [w.suimon.process.pid]


def failover(w):
    w.primary.sql("SET GLOBAL read_only = ON")
    w.replica.catch_up(w.primary)
    w.replica.promote()


def fill_disk(w):
    """One more client queues long updates: the disk is full again and again, and what does not fit is written through."""
    end = time.monotonic() + w.options.seconds / 3
    with w.suimon.connect(database=SCHEMA) as c, c.cursor() as cursor:
        while time.monotonic() < end or not written_through(w):
            cursor.execute("UPDATE filler SET n = n + 1 WHERE id = 1 AND '%s' <> ''" % ("x" * 16000))
            w.filled += 1
            if time.monotonic() > end + 60:
                raise servers.ServerError("the disk does not fill")


def written_through(w):
    """For want of room: what is in a transaction asks for none."""
    metrics = w.suimon.metrics()
    return sum(metrics['suimon_queue_declined_total{reason="%s"}' % why] for why in ("full", "disk"))


def filled_wrongly(w):
    """Updates of fill_disk that were acknowledged and are not there, or are there twice, when all that was queued is applied."""
    servers.wait_until("the queue to be applied", lambda: w.suimon.metrics()["suimon_queue_depth"] == 0, 300)
    return abs(w.primary.sql("SELECT n FROM %s.filler" % SCHEMA)[0][0] - w.filled)


def nothing(w):
    pass


EVENTS = {"nothing": nothing, "upgrade": upgrade, "reload": reload, "drain": drain, "failover": failover, "full disk": fill_disk,
          "transactions beside a full disk": fill_disk}


def number(pattern, text):
    found = re.search(pattern, text)
    return int(found.group(1)) if found else 0


def by_number(text):
    """The errors that sysbench, when most talkative, says it ignores; the same one again and again is one line and a count."""
    numbers, last = collections.Counter(), None
    for line in text.splitlines():
        ignored, again = re.search(r"Ignoring error (\d+)", line), re.search(r"last message repeated (\d+) times", line)
        if again and last:
            numbers[last] += int(again.group(1))
        else:
            last = ignored.group(1) if ignored else None
            if last:
                numbers[last] += 1
    return numbers


def load(w, event, more, script="oltp_read_write"):
    """The event is in the middle of it: when all connections have prepared what they run, which sysbench must be left alone for."""
    def seen():
        return servers.sum_metric(w.suimon.metrics(), "suimon_queries_total")
    before = seen()
    run = subprocess.Popen(words(w.suimon.mysql_port, "--threads=%d" % w.options.connections, "--time=%d" % w.options.seconds,
                                 "--mysql-ignore-errors=all", "--verbosity=5", *more, "run", script=script), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text = []
    reader = threading.Thread(target=lambda: text.append(run.communicate()[0]))
    reader.start()
    try:
        servers.wait_until("the load", lambda: run.poll() is not None or seen() > before + 20 * w.options.connections, 300, 0.2)
        time.sleep(w.options.seconds / 4)
        begun = run.poll() is None
        event(w)
        in_time = run.poll() is None
        reader.join(w.options.seconds * 10 + 300)
    finally:
        run.kill()
        reader.join()
    text = text[0]
    result = {"transactions": number(r"transactions:\s+(\d+)", text), "statements": number(r"queries:\s+(\d+)", text),
              "failed": number(r"ignored errors:\s+(\d+)", text), "lost": number(r"reconnects:\s+(\d+)", text)}
    result["numbers"] = by_number(text)
    if run.returncode:
        print(text, file=sys.stderr)
        result["note"] = "sysbench gave up with %d: what it had counted is not known" % run.returncode
    elif not begun or not in_time:
        result["note"] = "the load ended %s: give it more --seconds" % ("before it was over" if begun else "too soon")
    return result


class Pooled(threading.Thread):
    """Runs oltp_read_write's transaction, and a row for each in a ledger, over a connection of its own, and over a new one when that was lost."""

    def __init__(self, suimon, number):
        super().__init__(daemon=True)
        self.suimon, self.number, self.dice, self.end = suimon, number, random.Random(number), float("inf")
        self.counts, self.numbers, self.lost, self.refused = (collections.Counter() for _ in range(4))

    def run(self):
        c = None
        while time.monotonic() < self.end:
            opened = False
            if c is None:
                try:
                    c = self.suimon.connect(database=SCHEMA, connect_timeout=60)
                except (pymysql.MySQLError, OSError) as e:
                    self.refused[str(e.args[0])] += 1
                    time.sleep(0.05)
                    continue
            try:
                with c.cursor() as cursor:
                    cursor.execute("BEGIN")
                    opened = True
                    for sql in self.transaction():
                        cursor.execute(sql)
                        self.counts["statements"] += 1
                self.counts["statements"] += 1
                self.counts["transactions"] += 1
            except (pymysql.MySQLError, OSError) as e:
                self.counts["failed" if opened else "lost"] += 1
                (self.numbers if opened else self.lost)[str(e.args[0])] += 1
                c = None

    def transaction(self):
        table, rows = "sbtest%d" % self.dice.randint(1, TABLES), sorted(self.dice.sample(range(1, ROWS - 100), 15))
        yield from ("SELECT c FROM %s WHERE id = %d" % (table, row) for row in rows[:10])
        for what in ("c", "SUM(k)", "c", "DISTINCT c"):
            yield "SELECT %s FROM %s WHERE id BETWEEN %d AND %d" % (what, table, rows[10], rows[10] + 99)
        yield "UPDATE %s SET k = k + 1 WHERE id = %d" % (table, rows[11])
        yield "UPDATE %s SET c = REVERSE(c) WHERE id = %d" % (table, rows[12])
        yield "DELETE FROM %s WHERE id = %d" % (table, rows[13])
        yield "INSERT INTO %s (id, k, c, pad) VALUES (%d, 1, 'c', 'pad')" % (table, rows[13])
        yield "INSERT INTO ledger VALUES (%d, %d)" % (self.number, self.counts["transactions"])
        yield "COMMIT"


def pooled_load(w, event):
    clients = pooled(w)
    event(w)
    at = [c.counts["transactions"] for c in clients]
    for c in clients:
        c.end = time.monotonic() + w.options.seconds / 2
    servers.wait_until("every client to go on", lambda: all(c.counts["transactions"] > n for c, n in zip(clients, at)), 300)
    return result_of(w, clients)


def pooled(w):
    """Clients that have all run a transaction."""
    clients = [Pooled(w.suimon, n) for n in range(w.options.connections)]
    for c in clients:
        c.start()
    servers.wait_until("the load", lambda: all(c.counts["transactions"] for c in clients), 300)
    return clients


def result_of(w, clients):
    """They have a time at which they end. unkept: transactions that were acknowledged and are not there, or the other way round."""
    for c in clients:
        c.join(120)
    counts = {k: sum(c.counts[k] for c in clients) for k in ("transactions", "statements", "failed", "lost")}
    for name in ("numbers", "lost", "refused"):
        counts[{"lost": "lost_by"}.get(name, name)] = sum((getattr(c, name) for c in clients), collections.Counter())
    there = set(w.primary.sql("SELECT client, n FROM %s.ledger" % SCHEMA))
    told = {(c.number, n) for c in clients for n in range(c.counts["transactions"])}
    return {**counts, "unkept": len(there ^ told)}


@contextlib.contextmanager
def small_disk(directory):
    path = os.path.join(directory, "disk")
    os.makedirs(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def round_of(name, options):
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="suimon-bench-"))
        config, more, script = {}, [], "oltp_read_write"
        if "full disk" in name:
            config["queue"] = {"dir": os.path.join(stack.enter_context(small_disk(directory)), "queue"),
                     "user": {"name": "suimon_queue", "password": "suimon_queue"}, "drain": {"rate": 50},
                     "max_bytes": "8MiB",  # more than the disk has, in segments of 1 MiB
                     "rules": [{"match": {"schema": SCHEMA, "verb": "update"}, "read": "eventual"}]}
        if name == "full disk":
            more, script = ["--skip_trx=on"], APART
        w = World(directory, options, **config)
        try:
            if name == "drain":
                w.hold_socket()
            got = pooled_load(w, EVENTS[name]) if name == "drain" else load(w, EVENTS[name], more, script)
            if config:
                got["queued"], got["written_through"] = w.suimon.metrics()["suimon_queue_enqueued_total"], written_through(w)
                if not more:  # of small updates the queue has thousands, which are applied slowly here
                    got["unkept"] = filled_wrongly(w)
                got["note"] = "%s%d queued, %d written through" % (
                    got["note"] + "; " if "note" in got else "", got["queued"], got["written_through"])
        finally:
            w.end()
        return {**got, "log": w.suimon.log_text()}
