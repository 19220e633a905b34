"""Q1, Q2, Q3, Q5, Q7: two instances share a queue in Kafka (librdkafka's mock): each accepts, either applies; and without Kafka writes go directly."""
import os
import subprocess
import sys
import uuid

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fault"))
import queue_world  # noqa: E402
from conftest import acknowledged, ask, writes_are_queued  # noqa: E402
from servers import listing, sum_metric, wait_until  # noqa: E402

TABLES = 4


@pytest.fixture
def kafka(monkeypatch):
    monkeypatch.setenv("LSAN_OPTIONS", queue_world.LSAN_OPTIONS)
    k = queue_world.Kafka(3)
    yield k
    k.stop()


@pytest.fixture
def pair(kafka, suimon, db):
    db.setup(*["CREATE TABLE log%d (id INT PRIMARY KEY AUTO_INCREMENT, n INT UNIQUE, v VARCHAR(40))" % t for t in range(TABLES)])
    config = {"queue": {"engine": "kafka", "url": kafka.url(uuid.uuid4().hex, lanes=4),
                        "rules": [{"match": {"schema": db.name, "verb": "insert"}, "order": "table"}]}}
    two = [suimon(config, name="kafka%d" % i) for i in range(2)]
    writes_are_queued(two, db)
    return two


def state(s):
    return s.api("/api/queue")


def act(s, path):
    status, text = s.http("/api/queue/" + path, data={})
    assert status == 200, text


def put(c, n):
    ask(c, "INSERT INTO log%d (n, v) VALUES (%d, 'row')" % (n % TABLES, n))


def numbers(db):
    return sorted(r[0] for t in range(TABLES) for r in db.primary("SELECT n FROM log%d" % t))


def test_both_accept_and_a_session_reads_what_it_wrote(pair, db):
    """Q3: whoever applies, the session's next read waits for it."""
    n = 0
    with pair[0].connect(database=db.name) as ca, pair[1].connect(database=db.name) as cb:
        for _ in range(10):
            for c in (ca, cb):
                for t in range(TABLES):
                    count = ask(c, "SELECT COUNT(*) FROM log%d" % t)[0][0]
                    put(c, 4 * n + t)
                    assert ask(c, "SELECT COUNT(*) FROM log%d" % t)[0][0] == count + 1
                n += 1
    for s in pair:
        assert acknowledged(s) > 0 and state(s)["engine"] == "kafka" and state(s)["lanes"] == 4
    wait_until("each lane to have an owner", lambda: sum(state(s)["lanes_here"] for s in pair) == 4, 60)
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


def test_without_brokers_writes_go_directly(pair, db, kafka):
    """Q7, F1: and through the queue again when they are back."""
    a, _ = pair
    with a.connect(database=db.name) as c:
        for n in range(8):
            put(c, n)
        wait_until("the queue to be empty", lambda: state(a)["depth"] == 0, 60)
        kafka.kill()
        for n in range(8, 40):
            try:
                put(c, n)
            except Exception as e:  # what was under way when they went
                assert "unknown" in str(e), e
        assert sum_metric(a.metrics(), "suimon_queue_declined_total", 'reason="disk"') > 0
        kafka.start()
        n = 100

        def queued():
            nonlocal n
            before = acknowledged(a)
            put(c, n)
            n += 1
            return acknowledged(a) > before
        wait_until("writes to be queued again", queued, 60)
    wait_until("all to be applied", lambda: set(numbers(db)) >= set(range(8)) | set(range(100, n)), 60)
    assert len(numbers(db)) == len(set(numbers(db)))


def test_a_password_is_in_no_log_and_a_wrong_url_is_said(suimon, tmp_path, kafka):
    url = "kafka://app:hunter2@%s/t?lanes=2&sasl=scram-sha-256" % kafka.bootstrap
    s = suimon({"queue": {"engine": "kafka", "url": url, "rules": [{"match": {"verb": "insert"}}]}})
    wait_until("Kafka's refusal", lambda: "Kafka does not answer" in s.log_text(), 60)
    assert "hunter2" not in s.log_text() and "hunter2" not in str(s.api("/api/config"))
    for wrong, said in (("kafka://h", "the topic behind /"), ("kafka://h/t?lanes=100", "lanes=1 to 64")):
        s = suimon({"queue": {"engine": "kafka", "url": wrong, "rules": [{"match": {"verb": "insert"}}]}}, run=False)
        got = subprocess.run([s.binary, "check", "-c", s.file], capture_output=True, text=True, timeout=60)
        assert got.returncode == 1 and said in got.stderr + got.stdout, got
