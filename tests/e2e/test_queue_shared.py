"""Q1, Q2, Q3, Q5, Q7: two instances share a queue in Redis: each accepts, either applies, and neither's end loses anything."""
import os
import subprocess
import uuid

import pytest

import servers
from conftest import acknowledged, ask, writes_are_queued
from servers import listing, sum_metric, wait_until

TABLES = 4


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    r = servers.Redis(str(tmp_path_factory.mktemp("queue")), "redis")
    r.start()
    yield r
    r.stop()


@pytest.fixture
def pair(suimon, db, redis, cluster):
    db.setup(*["CREATE TABLE log%d (id INT PRIMARY KEY AUTO_INCREMENT, n INT UNIQUE, v VARCHAR(40))" % t for t in range(TABLES)])
    queue = {"engine": "redis", "url": "%s?name=%s&lanes=4" % (redis.url, uuid.uuid4().hex),
             "rules": [{"match": {"schema": db.name, "verb": "insert"}, "order": "table"}]}
    cache = {"memory": "16MiB", "redis": cluster.redis.url, "rules": [{"match": {"schema": db.name}, "ttl": "60s"}]}
    two = [suimon({"queue": dict(queue), "cache": cache}, name="shared%d" % i) for i in range(2)]
    writes_are_queued(two, db)
    return two


def state(s):
    return s.api("/api/queue")


def act(s, path):
    status, text = s.http("/api/queue/" + path, data={})
    assert status == 200, text


def applied(s):
    return sum_metric(s.metrics(), "suimon_queue_applied_total")


def put(c, n, v="row"):
    ask(c, "INSERT INTO log%d (n, v) VALUES (%d, '%s')" % (n % TABLES, n, v))


def numbers(db):
    return sorted(r[0] for t in range(TABLES) for r in db.primary("SELECT n FROM log%d" % t))


def test_both_apply_and_a_session_reads_what_it_wrote(pair, db):
    """Q3, C1: whoever applies, the session's next read waits for it, and finds no older result in the cache."""
    a, b = pair
    n = 0
    with a.connect(database=db.name) as ca, b.connect(database=db.name) as cb:
        def rounds():
            nonlocal n
            for c in (ca, cb):
                for t in range(TABLES):
                    count = ask(c, "SELECT COUNT(*) FROM log%d" % t)[0][0]
                    put(c, 4 * n + t)
                    assert ask(c, "SELECT COUNT(*) FROM log%d" % t)[0][0] == count + 1
                n += 1
            return applied(a) > 0 and applied(b) > 0
        wait_until("both to apply", rounds, 60)
    assert acknowledged(a) + acknowledged(b) > 0
    assert state(a)["engine"] == "redis" and state(a)["lanes"] == 4
    wait_until("each lane to have an owner", lambda: state(a)["lanes_here"] + state(b)["lanes_here"] == 4, 60)
    assert numbers(db) == list(range(4 * n))


def test_what_a_killed_instance_acknowledged_the_other_applies(pair, db):
    a, b = pair
    act(a, "pause")
    wait_until("the other to hear of it", lambda: state(b)["state"] == "paused", 30)
    with a.connect(database=db.name) as c:
        for n in range(200):
            put(c, n)
    assert acknowledged(a) >= 190  # the first of each shape goes to the server
    wait_until("the other to see them", lambda: state(b)["depth"] >= 190, 30)
    a.process.kill()
    pending = listing(b.api("/api/queue/pending?limit=5"))
    assert len(pending) == 5 and pending[0]["tables"][0].startswith(db.name)
    act(b, "resume")
    wait_until("all to be applied", lambda: state(b)["depth"] == 0, 60)
    assert numbers(db) == list(range(200))
    a.start()  # as it was: the test's end stops it in order


def test_dead_letters_are_everybodys(pair, db):
    a, b = pair
    with a.connect(database=db.name) as c:
        put(c, 0)
        put(c, 4)
        put(c, 4, "twice")
    wait_until("the letter", lambda: len(listing(b.api("/api/queue/dead"))) == 1, 60)
    letter = listing(a.api("/api/queue/dead"))[0]
    assert letter["error_code"] == 1062
    wait_until("it to be counted", lambda: state(b)["dead_waiting"] == 1, 30)
    shown = subprocess.run([b.binary, "queue", "ls", "--http", "127.0.0.1:%d" % b.http_port], capture_output=True, text=True, timeout=20)
    assert "1062" in shown.stdout, shown
    db.setup("DELETE FROM log0 WHERE n = 4")
    act(b, "dead/%d/retry" % letter["id"])
    wait_until("it to be applied", lambda: db.primary("SELECT v FROM log0 WHERE n = 4") == (("twice",),), 60)
    assert listing(a.api("/api/queue/dead")) == []


def test_without_redis_writes_go_directly(pair, db, redis):
    """Q7, F1: and through the queue again when it is back."""
    a, _ = pair
    with a.connect(database=db.name) as c:
        for n in range(8):
            put(c, n)
        wait_until("the queue to be empty", lambda: state(a)["depth"] == 0, 60)
        redis.stop()
        for n in range(8, 40):
            put(c, n)
        counted = a.metrics()
        assert sum_metric(counted, "suimon_queue_declined_total", 'reason="disk"') > 0, counted
        redis.start()
        n = 40

        def queued():
            nonlocal n
            before = acknowledged(a)
            put(c, n)
            n += 1
            return acknowledged(a) > before
        wait_until("writes to be queued again", queued, 60)
    wait_until("all to be applied", lambda: numbers(db) == list(range(n)), 60)


def test_a_wrong_url_is_said_at_the_start(suimon, tmp_path):
    config = {"queue": {"engine": "redis", "url": "redis://127.0.0.1:1/0?lanes=100", "rules": [{"match": {"verb": "insert"}}]}}
    s = suimon(config, run=False)
    got = subprocess.run([s.binary, "-c", s.file], capture_output=True, text=True, timeout=60)
    assert got.returncode == 2 and "lanes=1 to 64" in got.stderr, got.stderr
    assert os.path.exists(s.file)
