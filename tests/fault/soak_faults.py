"""The faults of tests/soak: a row each in FAULTS, and whom they may touch."""
import os
import random
import signal
import socket
import struct
import threading
import time

import pymysql

from history_world import GONE, SCHEMA
import servers
from servers import LOOPBACK

BIG = "SELECT seq, REPEAT('x', 300) FROM seq_1_to_%d"
BIG_ROWS = 20000
BOTH, SECOND, NOBODY = (0, 1), (1,), ()


# ---- servers ----

def kill_replica(w):
    w.lose_replica()


def stop_replica(w):
    server = w.dice.choice([m for m in w.all if m is not w.primary])
    freeze(server.process.pid, 1 + 2 * w.dice.random())


def stall_primary(w):
    freeze(w.primary.process.pid, 1 + w.dice.random())


def freeze(pid, seconds):
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


def lag_replica(w):
    replica = w.dice.choice([m for m in w.all if m is not w.primary])
    replica.sql("STOP SLAVE SQL_THREAD")
    time.sleep(1 + 5 * w.dice.random())
    replica.sql("START SLAVE SQL_THREAD")


def restart_primary(w):
    w.primary.options = []
    if w.dice.random() < 0.5:
        w.primary.stop()
    else:
        w.primary.process.kill()
    time.sleep(2 * w.dice.random())
    w.primary.start()


def move_primary(w):
    w.move_primary()


def lose_primary(w):
    """It dies, and a replica that has all of it is promoted. Nothing is committed any more when that catches up."""
    old, new = w.primary, w.successor()
    with old.root() as c, c.cursor() as cur:
        cur.execute("SET lock_wait_timeout = 20")
        cur.execute("FLUSH TABLES WITH READ LOCK")
        w.caught_up(old, new)
        old.process.kill()
    w.promote(new)
    old.options = ["--read-only=ON"]
    old.start()
    w.demote(old)


def kill_connections(w):
    """As an operator does who wants to be rid of a client."""
    server = w.dice.choice(w.all)
    with server.root() as c, c.cursor() as cur:
        cur.execute("SELECT id FROM information_schema.processlist WHERE user IN ('app', 'monitor', 'suimon_queue')")
        for (number,) in cur.fetchall():
            try:
                cur.execute("KILL %d" % number)
            except pymysql.MySQLError:
                pass  # it has gone by itself


# ---- links ----

def cut_links(w):
    for _ in range(3):
        w.touches_primary(w.dice.choice(w.links)).cut()
        time.sleep(w.dice.random())


def refuse_links(w):
    link = w.touches_primary(w.dice.choice(w.links))
    link.refusing = True
    link.cut()
    time.sleep(1 + w.dice.random())
    link.refusing = False


def delay_links(w):
    link = w.dice.choice(w.links)
    link.delay = 0.005 + 0.05 * w.dice.random()
    time.sleep(3)
    link.delay = 0.0


def hold_links(w):
    link = w.touches_primary(w.dice.choice(w.links))
    link.held.set()
    time.sleep(0.5 + 1.5 * w.dice.random())
    link.held.clear()


# ---- Redis ----

def restart_redis(w):
    w.restart_redis()


def flush_redis(w):
    w.redis.command("FLUSHALL")


def stop_redis(w):
    freeze(w.redis.process.pid, 1 + 2 * w.dice.random())


# ---- suimon ----

def kill_suimon(w):
    w.kill_suimon()


def upgrade_suimon(w):
    w.upgrade_suimon()


def reload_suimon(w):
    """Other rules, by signal or by HTTP; and a file with a fault, which changes nothing."""
    for i, s in enumerate(w.suimons):
        before = s.api("/api/config")["config"]
        with open(s.file, "a") as f:
            f.write("nonsense: 1\n")
        if s.http("/api/config/reload", data={})[0] != 409 or s.api("/api/config")["config"] != before:
            w.wrong("side %d took a file with a fault" % i)
        config = changed(w, s.config)
        cached = any("schema" in rule["match"] for rule in config["cache"]["rules"])
        if not cached:
            w.cache_rows(i, False)
        s.write(config)
        reloads = lambda s=s: servers.sum_metric(s.metrics(), "suimon_config_reloads_total", 'result="ok"')  # noqa: E731
        had = reloads()
        if w.dice.random() < 0.5:
            os.kill(s.process.pid if i == 0 else w.pid, signal.SIGHUP)
        else:
            s.api("/api/config/reload", data={})
        servers.wait_until("the reload", lambda: reloads() > had, 30)
        w.cache_rows(i, cached)


def changed(w, config):
    everything = {"match": {"schema": SCHEMA}, "ttl": "%dm" % w.dice.randrange(10, 60)}
    few = {"match": {"table": SCHEMA + ".u"}, "ttl": "2s", "refresh": "1s"}
    return {**config, "cache": {**config["cache"], "rules": w.dice.choice(([everything], [few, everything], [few]))},
            "stats": {"slow": w.dice.choice(("100ms", "1s"))},
            "limits": {"rules": [{"match": {"query": "seq_1_to"}, "concurrency": w.dice.randrange(2, 9), "wait": "30s"}]},
            "routing": {"rules": w.dice.choice(([], [{"match": {"table": SCHEMA + ".u"}, "to": "primary"}]))}}


def ask_admin(w):
    """What an operator does by HTTP."""
    for i, s in enumerate(w.suimons):
        for path in ("queries?sort=p99", "findings", "cache", "queue", "queue/dead", "queue/pending", "backends", "clients", "config",
                     "overview", "costs"):
            s.api("/api/" + path)
        s.api("/api/cache/flush", data=w.dice.choice(({}, {"table": SCHEMA + ".t"})))
        s.api("/api/queue/pause", data={})
        time.sleep(w.dice.random())
        s.api("/api/queue/resume", data={})
        replica = w.dice.choice([m for m in w.all if m is not w.primary])
        address = "%s:%d" % (LOOPBACK, w.link(replica).port)
        s.api("/api/backends/%s/disable" % address, data={})
        time.sleep(w.dice.random())
        s.api("/api/backends/%s/enable" % address, data={})


# ---- clients ----

def big_result(w, side):
    c = w.suimons[side].connect(database=SCHEMA, cursorclass=pymysql.cursors.SSCursor)
    cursor = c.cursor()
    cursor.execute(BIG % BIG_ROWS)
    return c, cursor


def vanish(w):
    """Clients that go in the middle of a result, or of a transaction, without a word."""
    for side in BOTH:
        for _ in range(3):
            c, cursor = big_result(w, side)
            cursor.fetchmany(w.dice.randrange(1, 200))
            cursor._result.unbuffered_active = False  # or PyMySQL reads on
            reset(c)
        c = w.suimons[side].connect(database=SCHEMA)
        c.begin()
        with c.cursor() as cursor:
            cursor.execute("INSERT INTO direct (writer, n) VALUES (-1, 0)")
        reset(c)


def reset(c):
    c._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c._force_close()


def be_slow(w):
    """Clients that take a large result in small bites, while the next faults happen."""
    for side in BOTH:
        threading.Thread(target=slow_client, args=(w, side), daemon=True).start()


def slow_client(w, side):
    got = 0
    try:
        c, cursor = big_result(w, side)
        while rows := cursor.fetchmany(1000):
            got += len(rows)
            time.sleep(0.3)
        c.close()
        if got != BIG_ROWS:
            w.wrong("side %d: a slow client got %d rows" % (side, got))
    except GONE:
        pass  # a fault has ended it, and it was told


def change_schema(w):
    """DDL on tables that are read and written, and on its own."""
    with w.suimons[w.dice.randrange(2)].connect(database=SCHEMA) as c, c.cursor() as cursor:
        for sql in ("ALTER TABLE u ADD COLUMN extra INT", "ALTER TABLE t COMMENT 'changed'", "CREATE TABLE other (id INT PRIMARY KEY)",
                    "INSERT INTO other VALUES (1)", "TRUNCATE other", "DROP TABLE other", "ALTER TABLE u DROP COLUMN extra"):
            cursor.execute(sql)


def be_hostile(w):
    """Bytes that are nobody's protocol, before the login and behind it, and to the HTTP port."""
    for s in w.suimons:
        for port in (s.mysql_port, s.http_port):
            for _ in range(3):
                with socket.create_connection((LOOPBACK, port), 10) as c:
                    try:
                        c.sendall(w.dice.randbytes(w.dice.randrange(1, 5000)))
                        c.shutdown(socket.SHUT_WR)
                        c.settimeout(20)
                        while c.recv(65536):
                            pass
                    except OSError:
                        pass
        c = s.connect(database=SCHEMA)
        try:
            c._sock.sendall(b"\x05\0\0\0" + bytes([w.dice.randrange(256)]) + w.dice.randbytes(600))
            c._sock.settimeout(2)  # some of it is the beginning of a packet that never ends
            c._sock.recv(65536)
        except OSError:
            pass
        reset(c)


def fault(run, sides=NOBODY, outage=False):
    """sides: those whose clients may notice. outage: may the primary be out of reach? (One that chooses a link says so then.)"""
    run.sides, run.outage = sides, outage
    return run


FAULTS = [
    fault(kill_replica, BOTH), fault(stop_replica, BOTH), fault(lag_replica),
    fault(stall_primary, BOTH, True), fault(restart_primary, BOTH, True), fault(move_primary, BOTH, True),
    fault(lose_primary, BOTH, True), fault(kill_connections, BOTH, True),
    fault(cut_links, BOTH), fault(refuse_links, BOTH), fault(delay_links), fault(hold_links, BOTH),
    fault(restart_redis), fault(flush_redis), fault(stop_redis),
    fault(kill_suimon, SECOND), fault(upgrade_suimon), fault(reload_suimon), fault(ask_admin),
    fault(vanish), fault(be_slow), fault(change_schema), fault(be_hostile),
]
