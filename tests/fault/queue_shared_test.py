"""Several processes share a queue in Redis, Kafka or SQS: each lane is applied by one at a time, whoever dies (Q1, Q2, Q3, Q5, F1).

SUIMON_SHARED_ROUNDS says how often they die; a few times without it.
"""
import os
import random
import sys
import threading
import time
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from queue_world import Driver, Kafka, Redis, Server, Sqs, driver_binary  # noqa: E402

ROUNDS = int(os.environ.get("SUIMON_SHARED_ROUNDS", "8"))
FAILPOINTS = ["after-append", "before-answer", "mid-batch", "before-commit", "after-commit"]
KEYS = 6
LANES = 4


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.stop()


@pytest.fixture(scope="module", params=[Redis, Kafka, Sqs], ids=["redis", "kafka", "sqs"])
def store(request):
    s = request.param()
    yield s
    s.stop()


def until(true, seconds=90):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


class World:
    def __init__(self, server, store, tmp_path):
        self.server, self.store, self.path, self.name = server, store, tmp_path, uuid.uuid4().hex
        self.running, self.url = [], {}
        server.run("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop",
                   *["CREATE TABLE shop.t%d (pos BIGINT AUTO_INCREMENT PRIMARY KEY, p INT, n BIGINT, pad VARCHAR(100))" % k
                     for k in range(KEYS)],
                   "CREATE TABLE shop.once (id INT PRIMARY KEY)", "INSERT INTO shop.once VALUES (1)")

    def start(self, failpoint=None, lanes=LANES, **options):
        if lanes not in self.url:
            self.url[lanes] = self.store.url("%s-%d" % (self.name, lanes), lanes)
        d = Driver(driver_binary(), str(self.path / "queue"), self.server, failpoint=failpoint, url=self.url[lanes], **options)
        self.running.append(d)
        return d

    def close(self):
        for d in self.running:
            if d.process.poll() is None:
                d.kill()
        text = (self.path / "driver.log").read_text()
        assert "Sanitizer" not in text and "runtime error" not in text, text


@pytest.fixture
def world(server, store, tmp_path):
    w = World(server, store, tmp_path)
    yield w
    w.close()


def row(d, tag, key, producer, n):
    d.add(tag, "shop", "t%d" % key, "INSERT INTO t%d (p,n,pad) VALUES (%d,%d,'%s')" % (key, producer, n, "x" * (n % 90)))


def test_lanes_are_split_and_taken_over(world):
    """Q2, Q3: two share the lanes; when one dies the other applies all of them."""
    a, b = world.start(), world.start()
    n = 0

    def write(d, producer, count):
        nonlocal n
        before = len(d.acks)
        for _ in range(count):
            row(d, n, n % KEYS, producer, n)
            n += 1
        d.wait_answers(before + count)
        d.drained()

    def both():
        write(a, 1, KEYS)
        return a.totals()["applied"] > 0 and b.totals()["applied"] > 0

    write(a, 1, 100)
    until(both)  # each lane has one owner, and each of them some
    b.kill()
    write(a, 1, 300)
    c = world.start()
    write(c, 2, 60)
    seen = sum(world.server.run("SELECT COUNT(*), COUNT(DISTINCT n) FROM shop.t%d" % k)[0][0] for k in range(KEYS))
    assert seen == n
    assert a.quit() == 0 and c.quit() == 0


def test_a_former_owner_cannot_apply(world):
    """Q2: whoever's epoch is past commits nothing, though it holds its records and its connection."""
    a = world.start(lanes=1)
    row(a, 0, 0, 1, 0)
    a.wait_answers(1)
    a.drained()
    # Somebody takes the lane over behind its back: the lock is not what protects it.
    a.send("pause")
    row(a, 1, 0, 1, 1)
    a.wait_answers(2)
    world.server.run("UPDATE suimon.applied SET epoch=epoch+1")
    a.send("resume")
    a.drained()
    assert world.server.run("SELECT n FROM shop.t0 ORDER BY pos") == [(0,), (1,)]
    epochs = world.server.run("SELECT MAX(epoch) FROM suimon.applied")[0][0]
    assert epochs >= 3  # its own, the stranger's, and its own again, after it had noticed
    assert a.quit() == 0


def test_a_pause_is_for_all_and_letters_are_everybodys(world):
    """Q5: what one process buries, another shows and tries again; a pause holds in each, and beyond a restart."""
    a, b = world.start(), world.start()
    a.add("dead", "shop", "once", "INSERT INTO once (id) VALUES (1)")
    until(lambda: len(b.dead_letters()) == 1)
    number, code, _, _ = b.dead_letters()[0]
    assert code == 1062
    letters = lambda: world.server.run("SELECT COUNT(*) FROM suimon.dead_letters")[0][0]  # noqa: E731; those of other queues, too
    there = letters()
    b.send("pause")
    until(lambda: a.totals()["state"] == "paused")
    world.server.run("DELETE FROM shop.once")
    b.send("retry", number)
    assert b.said("retry") == "retry 0"
    a.kill()
    world.store.let_go()
    a = world.start()
    until(lambda: a.totals()["state"] == "paused")
    assert world.server.run("SELECT * FROM shop.once") == []
    a.send("resume")
    until(lambda: world.server.run("SELECT * FROM shop.once") == [(1,)])
    until(lambda: a.dead_letters() == [] and letters() == there - 1)
    until(lambda: b.totals()["state"] == "running")
    assert a.quit() == 0 and b.quit() == 0


class Crash:
    def __init__(self, world, seed):
        self.world, self.random = world, random.Random(seed)
        self.n = 0
        self.acked, self.refused, self.key = set(), set(), {}

    def write(self, d, producer, count, sent):
        try:
            for _ in range(count):
                n = self.n = self.n + 1
                key = self.random.randrange(KEYS)
                if self.random.random() < 0.02:
                    d.add(n, "shop", "once", "INSERT INTO once (id) VALUES (1) /* %d */" % n)
                    self.key[n] = None
                else:
                    row(d, n, key, producer, n)
                    self.key[n] = key
                sent.append(n)
        except (BrokenPipeError, OSError):
            pass

    def disturb(self, drivers):
        time.sleep(self.random.random() * 0.4)
        dice = self.random.random()
        if dice < 0.2:
            self.world.store.kill()
            self.world.store.start()
        elif dice < 0.3:
            self.world.server.kill()
            self.world.server.start()
        elif dice < 0.8:
            self.random.choice(drivers).process.kill()
        else:
            for d in drivers:
                d.process.kill()

    def round(self, i):
        failpoint = FAILPOINTS[i % 7] if i % 7 < len(FAILPOINTS) else None
        if failpoint:
            failpoint += ":%d" % self.random.randint(1, 200 if failpoint == "after-append" else 12)
        drivers = [self.world.start(failpoint=failpoint, batch_rows=self.random.choice([1, 7, 500])), self.world.start()]
        sent = [[], []]
        threads = [threading.Thread(target=self.write, args=(d, p, 400, sent[p])) for p, d in enumerate(drivers)]
        lock = threading.Thread(target=self.disturb, args=(drivers,))
        # One after the other: numbers are given in the order of sending.
        lock.start()
        for t in threads:
            t.start()
            t.join()
        lock.join()
        for d, numbers in zip(drivers, sent):
            if d.process.poll() is None:
                try:
                    d.wait_answers(len(numbers))
                except EOFError:
                    pass
            self.random.random() < 0.5 and d.process.kill()
        for d, numbers in zip(drivers, sent):
            if d.process.poll() is None:
                d.process.kill()
            d.reap()
            self.acked |= {n for n in numbers if str(n) in d.acks}
            self.refused |= {n for n in numbers if d.nacks.get(str(n), ("",))[0] == "declined"}

    def recover(self):
        self.world.store.let_go()
        d = self.world.start()
        until(lambda: d.totals()["state"] == "running" and d.totals()["depth"] == 0 and d.totals()["last_seq"] > 0)
        dead = {int(sql.split("/*")[1].split("*")[0]) for _, _, _, sql in d.dead_letters()}
        letters = len(d.dead_letters())
        assert d.quit() == 0
        assert letters == len(dead), "a dead letter twice"
        return dead

    def compare(self, dead):
        applied = set()
        for k in range(KEYS):
            rows = self.world.server.run("SELECT p, n FROM shop.t%d ORDER BY pos" % k)
            assert len(rows) == len({n for _, n in rows}), "twice in key %d" % k
            for p in (0, 1):
                mine = [n for q, n in rows if q == p]
                assert mine == sorted(mine), "out of order in key %d" % k
            applied |= {n for _, n in rows}
        lost = {n for n in self.acked if n not in applied and n not in dead}
        assert not lost, "lost: %s" % sorted(lost)[:10]
        assert not self.refused & (applied | dead), "refused and applied all the same"


def test_none_lost_none_twice_whoever_dies(world):
    """Q1, Q2, Q3: processes, Redis or Kafka, and the database die under two writers; the table against the acknowledgements."""
    seed = random.randrange(1 << 30)
    crash = Crash(world, seed)
    for i in range(ROUNDS):
        try:
            crash.round(i)
            crash.compare(crash.recover())
        except AssertionError as e:
            raise AssertionError("round %d, seed %d: %s" % (i, seed, e)) from e
    print("%d rounds, %d acknowledged, seed %d" % (ROUNDS, len(crash.acked), seed))
    assert len(crash.acked) > ROUNDS * 20
