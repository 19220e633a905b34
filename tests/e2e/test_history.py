"""C1, C2, R2: many writers and readers over two suimons and a replica that lags now and then; every read is judged.

A row's number only grows, by one an acknowledged update. A reader notes what has been acknowledged, reads, and compares: through
the writer's suimon it must see at least that; through the other, at least what was acknowledged two seconds before.
"""
import random
import threading
import time

import pymysql
import pytest

from conftest import ask, numbers

ROWS = 8
SECONDS = 8
ELSEWHERE = 2.0  # seconds: what an invalidation or the ttl may take on the other instance, and the replica behind it


class Row:
    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0
        self.log = [(0.0, 0)]   # (when, acknowledged)

    def acknowledge(self):
        with self.lock:
            self.count += 1
            self.log.append((time.monotonic(), self.count))

    def at(self, moment):
        with self.lock:
            return next(n for when, n in reversed(self.log) if when <= moment)


class Judge:
    def __init__(self, schema):
        self.schema = schema
        self.rows = [[Row() for _ in range(ROWS)] for _ in range(2)]  # by the suimon that writes them
        self.wrong, self.reads, self.writes = [], 0, 0
        self.end = time.monotonic() + SECONDS

    def guard(self, job, *words):
        try:
            job(*words)
        except (pymysql.MySQLError, OSError) as e:
            self.wrong.append(repr(e))

    def write(self, s, side, number):
        rng = random.Random(number)
        with s.connect(database=self.schema) as c:
            while time.monotonic() < self.end:
                n = rng.randrange(ROWS)
                row = side * ROWS + n
                if rng.random() < 0.3:
                    c.begin()
                    ask(c, "UPDATE t SET n = n + 1 WHERE id = %d" % row)
                    if rng.random() < 0.3:
                        c.rollback()
                        continue
                    c.commit()
                else:
                    ask(c, "UPDATE t SET n = n + 1 WHERE id = %d" % row)
                self.rows[side][n].acknowledge()
                self.writes += 1
                self.look(c, side, side, n, "by the writing session")
                time.sleep(rng.random() * 0.04)

    def look(self, c, through, side, n, what):
        least = self.rows[side][n].at(time.monotonic() - (0 if through == side else ELSEWHERE))
        seen = ask(c, "SELECT n FROM t WHERE id = %d" % (side * ROWS + n))[0][0]
        self.reads += 1
        if seen < least:
            self.wrong.append("row %d/%d: at least %d expected, %d read %s through %d" % (side, n, least, seen, what, through))

    def read(self, s, through, number):
        rng = random.Random(number)
        with s.connect(database=self.schema) as c:
            while time.monotonic() < self.end:
                self.look(c, through, rng.randrange(2), rng.randrange(ROWS), "by another session")


@pytest.mark.parametrize("redis", [False, True], ids=["in process", "with Redis"])
def test_no_read_is_older_than_what_was_acknowledged(cluster, suimon, db, redis):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t SELECT seq, 0 FROM " + numbers(0, 2 * ROWS - 1))
    cache = {"redis": cluster.redis.url if redis else "", "rules": [{"match": {"table": "%s.t" % db.name}, "ttl": "60s" if redis else "900ms"}]}
    pair = [suimon({"cache": cache}), suimon({"cache": cache})]
    judge = Judge(db.name)
    jobs = [(judge.write, pair[i], i, 10 * i) for i in range(2)] + [(judge.read, pair[i], i, 100 + 10 * i + n) for i in range(2) for n in range(2)]
    threads = [threading.Thread(target=judge.guard, args=job) for job in jobs]
    for t in threads:
        t.start()
    while time.monotonic() < judge.end - 1:
        time.sleep(0.7)
        with cluster.replica_behind():
            time.sleep(0.3)
    for t in threads:
        t.join(90)
    assert not judge.wrong, "%d of %d reads: %s" % (len(judge.wrong), judge.reads, judge.wrong[:8])
    assert judge.writes > 10 and judge.reads > 50
    hits = sum(v for s in pair for k, v in s.metrics().items() if k.startswith("suimon_cache_hits_total"))
    assert hits > 10
