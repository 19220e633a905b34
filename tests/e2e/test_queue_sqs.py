"""Q1, Q2, Q3, Q5, Q7: two instances share a queue in SQS (npm's fauxqs): each accepts, either applies; and without SQS writes go directly."""
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
def sqs(monkeypatch):
    for name, value in queue_world.Sqs.ENV.items():
        monkeypatch.setenv(name, value)
    s = queue_world.Sqs()
    yield s
    s.stop()


@pytest.fixture
def pair(sqs, suimon, db):
    db.setup(*["CREATE TABLE log%d (id INT PRIMARY KEY AUTO_INCREMENT, n INT UNIQUE, v VARCHAR(40))" % t for t in range(TABLES)])
    config = {"queue": {"engine": "sqs", "url": sqs.url(uuid.uuid4().hex, lanes=4),
                        "rules": [{"match": {"schema": db.name, "verb": "insert"}, "order": "table"}]}}
    two = [suimon(config, name="sqs%d" % i) for i in range(2)]
    writes_are_queued(two, db)
    return two


def state(s):
    return s.api("/api/queue")


def put(c, n):
    ask(c, "INSERT INTO log%d (n, v) VALUES (%d, 'row')" % (n % TABLES, n))


def numbers(db):
    return sorted(r[0] for t in range(TABLES) for r in db.primary("SELECT n FROM log%d" % t))


def test_both_accept_and_a_session_reads_what_it_wrote(pair, db):
    """Q3: whoever applies, the session's next read waits for it."""
    n = 0
    with pair[0].connect(database=db.name) as ca, pair[1].connect(database=db.name) as cb:
        def rounds():
            nonlocal n
            for c in (ca, cb):
                for t in range(TABLES):
                    count = ask(c, "SELECT COUNT(*) FROM log%d" % t)[0][0]
                    put(c, 4 * n + t)
                    assert ask(c, "SELECT COUNT(*) FROM log%d" % t)[0][0] == count + 1
                n += 1
            return all(acknowledged(s) > 0 for s in pair)
        wait_until("both to queue", rounds, 90)
    wait_until("each lane to have an owner", lambda: sum(state(s)["lanes_here"] for s in pair) == 4, 60)
    assert state(pair[0])["engine"] == "sqs" and state(pair[0])["lanes"] == 4
    assert numbers(db) == list(range(4 * n))


def test_what_a_killed_instance_acknowledged_the_other_applies(pair, db):
    """Q1, Q2, Q5: also what it had received and not applied; and a letter of its is the other's."""
    a, b = pair
    with a.connect(database=db.name) as c:
        for n in range(100):
            put(c, n)
        put(c, 99)
    acks = acknowledged(a)
    a.process.kill()
    assert acks > 0
    wait_until("all to be applied", lambda: numbers(db) == list(range(100)), 120)
    wait_until("the letter", lambda: [x["error_code"] for x in listing(b.api("/api/queue/dead"))] == [1062], 60)
    a.start()  # as it was: the test's end stops it in order


def test_without_sqs_writes_go_directly(pair, db, sqs):
    """Q7, F1: and through the queue again when it is back."""
    a, _ = pair
    n = 0

    def queued():
        nonlocal n
        before = acknowledged(a)
        put(c, n)
        n += 1
        return acknowledged(a) > before
    with a.connect(database=db.name) as c:
        wait_until("writes to be queued", queued, 60)
        wait_until("the queue to be empty", lambda: numbers(db) == list(range(n)), 60)
        sqs.fault(lose=1)  # nothing it says arrives any more
        sqs.freeze()
        wait_until("it to be noticed", lambda: "SQS does not answer" in a.log_text(), 60)
        first = n
        for _ in range(20):
            put(c, n)
            n += 1
        assert set(range(first, n)) <= set(numbers(db))
        assert sum_metric(a.metrics(), "suimon_queue_declined_total", 'reason="disk"') > 0
        sqs.thaw()
        sqs.fault(lose=0)
        wait_until("writes to be queued again", queued, 90)
    wait_until("all to be applied", lambda: numbers(db) == list(range(n)), 60)


def test_a_wrong_url_is_a_fault_of_the_configuration(suimon):
    config = {"queue": {"engine": "sqs", "url": "https://sqs.eu-west-1.amazonaws.com/1/q.fifo?lanes=4", "rules": [{"match": {"verb": "insert"}}]}}
    s = suimon(config, run=False)
    got = subprocess.run([s.binary, "check", "-c", s.file], capture_output=True, text=True, timeout=60)
    assert got.returncode == 1 and "queue.url" in got.stdout + got.stderr and "{lane}" in got.stdout + got.stderr, got
