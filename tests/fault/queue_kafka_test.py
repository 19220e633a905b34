"""What a Kafka of the queue may do to it: brokers away, answers late or wrong, leaders that move, a topic that lost what it had (Q1, Q2, Q7, F1)."""
import os
import ssl
import sys
import tempfile
import time
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import certs  # noqa: E402
from kafka_broker import Broker, Partition  # noqa: E402
from queue_world import Driver, Kafka, Server, driver_binary  # noqa: E402

TABLES = 6


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.stop()


@pytest.fixture
def shop(server):
    server.run("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", "DROP DATABASE IF EXISTS suimon",
               *["CREATE TABLE shop.t%d (pos INT AUTO_INCREMENT PRIMARY KEY, n INT, v MEDIUMTEXT)" % t for t in range(TABLES)])
    return server


@pytest.fixture
def start(shop, tmp_path):
    started = []

    def run(url, **options):
        d = Driver(driver_binary(), str(tmp_path / "queue"), shop, url=url, **options)
        started.append(d)
        return d
    yield run
    for d in started:
        if d.process.poll() is None:
            d.kill()
    text = (tmp_path / "driver.log").read_text()
    assert "Sanitizer" not in text and "runtime error" not in text, text


@pytest.fixture
def log(tmp_path):
    return lambda: (tmp_path / "driver.log").read_text()


@pytest.fixture
def kafka():
    made = []

    def run(*options):
        made.append(Kafka(*options))
        return made[-1]
    yield run
    for k in made:
        k.stop()


@pytest.fixture
def broker():
    made = []

    def run(**options):
        made.append(Broker(**options))
        return made[-1]
    yield run
    for b in made:
        b.stop()


def until(true, seconds=90):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def send(d, numbers, size=10):
    for n in numbers:
        d.add(n, "shop", "t%d" % (n % TABLES), "INSERT INTO t%d (n,v) VALUES (%d,'%s')" % (n % TABLES, n, "x" * size))


def write(d, numbers, size=10):
    before = len(d.acks) + len(d.nacks)
    send(d, numbers, size)
    d.wait_answers(before + len(numbers))


def applied(shop):
    return [[r[0] for r in shop.run("SELECT n FROM shop.t%d ORDER BY pos" % t)] for t in range(TABLES)]


def expected(numbers):
    return [[n for n in sorted(numbers) if n % TABLES == t] for t in range(TABLES)]


class Numbers:
    """Rows written one after the other until one is acknowledged."""

    def __init__(self, first):
        self.next = first

    def acknowledged(self, d, table=None):
        if table is not None:
            self.next += (table - self.next) % TABLES
        n = self.next
        self.next += 1
        write(d, [n])
        return str(n) in d.acks


def test_leaders_move_and_requests_fail_on_the_way(start, shop, kafka):
    """Q1: what librdkafka may try again is stored once, in order, and its client hears nothing of it."""
    k = kafka(3)
    topic = uuid.uuid4().hex
    d = start(k.url(topic, lanes=2))
    k.tell("errors", Kafka.PRODUCE, 3, Kafka.NOT_LEADER)
    send(d, range(0, 100))
    k.tell("errors", Kafka.PRODUCE, 3, Kafka.NOT_ENOUGH_REPLICAS)
    for b in k.brokers:
        for lane in (0, 1):
            k.tell("leader", topic, lane, (b + lane) % 3 + 1)
        send(d, range(100 * b, 100 * b + 100))
    k.tell("errors", Kafka.FETCH, 3, Kafka.NOT_LEADER)
    d.wait_answers(400)
    assert not d.nacks
    d.drained()
    assert applied(shop) == expected(range(400))
    assert d.quit() == 0


def test_brokers_that_are_away(start, shop, kafka, log):
    """Q7, F1: meanwhile writes are declined, at once after a while; what was not declined is applied or its client knew nothing."""
    k = kafka(3)
    d = start(k.url(uuid.uuid4().hex, lanes=4))
    write(d, range(100))
    assert not d.nacks
    k.all("down")
    numbers = Numbers(100)
    write(d, range(100, 106))  # one a table: some of them wait until it is certain that they were never sent
    numbers.next = 106
    until(lambda: not numbers.acknowledged(d) and "does not answer" in d.nacks[str(numbers.next - 1)][1])
    write(d, range(1000, 1100))
    assert len(d.nacks) >= 100
    k.all("up")
    numbers.next = 2000
    until(lambda: all(numbers.acknowledged(d) for _ in range(TABLES)))
    d.drained()
    until(lambda: d.totals()["depth"] == 0)
    got = {n for table in applied(shop) for n in table}
    sure = {int(n) for n in d.acks}
    declined = {int(n) for n, (kind, _) in d.nacks.items() if kind == "declined"}
    assert sure <= got and not declined & got
    assert sum(len(table) for table in applied(shop)) == len(got)
    assert d.quit() == 0


def test_answers_that_come_too_late_are_unknown(start, shop, broker):
    """Q1: a client whose write may be stored is told that nobody knows; it is in the database once or not at all."""
    b = broker()
    d = start("kafka://127.0.0.1:%d/%s?lanes=1" % (b.port, uuid.uuid4().hex))
    numbers = Numbers(0)
    until(lambda: numbers.acknowledged(d, 0))
    b.late = 15
    write(d, [60000])
    assert d.nacks["60000"][0] == "error" and "unknown" in d.nacks["60000"][1]
    b.late = 0
    until(lambda: numbers.acknowledged(d, 0))
    d.drained()
    rows = applied(shop)[0]
    assert len(rows) == len(set(rows)) and {int(n) for n in d.acks} <= set(rows)
    assert d.quit() == 0


def test_a_producer_that_fails_for_good_is_made_anew(start, shop, kafka, log):
    """Q7: one whose account may not write idempotently, until it may."""
    k = kafka()
    url = k.url(uuid.uuid4().hex, lanes=1)
    k.tell("errors", Kafka.INIT_PRODUCER_ID, 2, Kafka.CLUSTER_AUTHORIZATION_FAILED)
    d = start(url)
    numbers = Numbers(0)
    until(lambda: numbers.acknowledged(d, 0))
    assert d.nacks and all(kind == "declined" for kind, _ in d.nacks.values())
    assert "is made anew" in log()
    d.drained()
    assert applied(shop)[0] == [numbers.next - 1]
    assert d.quit() == 0


def test_what_retention_took_is_said_to_be_lost(start, shop, kafka, log):
    """F1: the mock keeps 5 MiB of a partition; what is left is applied, and what is gone is not passed over in silence."""
    d = start(kafka().url(uuid.uuid4().hex, lanes=1))
    d.send("pause")
    write(d, [6 * n for n in range(100)], size=200000)
    assert not d.nacks
    d.send("resume")
    until(lambda: d.totals()["depth"] == 0 and applied(shop)[0])
    rows = applied(shop)[0]
    assert rows == sorted(rows) and rows[-1] == 594 and len(rows) < 100
    assert "they are lost" in log()
    assert d.quit() == 0


def test_two_clusters_with_a_topic_of_one_name_do_not_take_each_others_positions(start, shop, broker, log):
    """Q1: with one database: the second is told, and what it acknowledged before it knew stays in its topic."""
    first, second = broker(cluster="one"), broker(cluster="another")
    url = "kafka://127.0.0.1:%d/" + uuid.uuid4().hex + "?lanes=1"
    a = start(url % first.port)
    write(a, [6 * n for n in range(20)])
    a.drained()
    b = start(url % second.port)
    until(lambda: b.totals()["state"] == "failed" and "another store has this queue's name" in log(), 10)
    write(b, [600])
    assert b.nacks["600"][0] == "declined" and "another Kafka has the queue's name" in b.nacks["600"][1]
    write(a, [606])
    a.drained()
    assert applied(shop)[0] == [6 * n for n in range(20)] + [606]
    assert a.quit() == 0 and b.quit() == 0


def test_a_topic_made_anew_halts(start, shop, broker, log):
    """F1, Q2: its offsets begin at 0, below the database's position: what is written there would be taken for applied."""
    first, second = broker(), broker()  # of one cluster, by its id
    url = "kafka://127.0.0.1:%d/" + uuid.uuid4().hex + "?lanes=1"
    d = start(url % first.port)
    write(d, [6 * n for n in range(20)])
    d.drained()
    assert d.quit() == 0
    d = start(url % second.port)
    until(lambda: d.totals()["state"] == "failed")
    write(d, [600])
    assert d.nacks["600"][0] == "declined" and "begun anew" in d.nacks["600"][1]
    assert "made anew" in log()
    assert d.quit() == 0
    # As the log says.
    shop.run("DELETE FROM suimon.applied")
    d = start(url % second.port)
    write(d, [606])
    d.drained()
    assert applied(shop)[0] == [6 * n for n in range(20)] + [606]
    assert d.quit() == 0


def test_a_topic_that_is_missing_or_of_another_size(start, shop, kafka, log):
    """Q7: nothing is queued, and the log says why, and what to run."""
    k = kafka()
    topic = uuid.uuid4().hex
    url = k.url(topic, lanes=3)
    k.tell("fault", topic, Kafka.UNKNOWN_TOPIC)
    d = start(url)
    write(d, [0])
    assert "missing" in d.nacks["0"][1]
    until(lambda: "kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 3" % (k.bootstrap, topic) in log())
    k.tell("fault", topic, 0)
    numbers = Numbers(1)
    until(lambda: numbers.acknowledged(d))
    d.drained()
    assert d.quit() == 0
    d = start(k.url(topic, lanes=2, make=False))
    write(d, [100])
    assert "another number of partitions" in d.nacks["100"][1]
    assert "partitions=3 lanes=2" in log()
    assert d.quit() == 0


def test_large_records_and_what_is_too_large(start, shop, kafka):
    d = start(kafka().url(uuid.uuid4().hex, lanes=1))
    write(d, [6, 12, 18], size=900000)
    write(d, [24], size=1000000)
    assert d.nacks["24"][0] == "unfit" and "too large" in d.nacks["24"][1]
    until(lambda: applied(shop)[0] == [6, 12, 18])
    assert d.quit() == 0


def test_a_full_queue_declines_and_takes_writes_again(start, shop, kafka):
    """Q7: the bound is of what is in the topic and not applied, whoever wrote it, by the mean size of records."""
    url = kafka().url(uuid.uuid4().hex, lanes=1)
    a, b = start(url, max_bytes=200000), start(url, max_bytes=200000)
    write(a, [0])
    a.drained()
    a.send("pause")
    until(lambda: b.totals()["state"] == "paused")
    write(a, [6 * n for n in range(1, 100)], size=5000)
    assert any("full" in why for _, why in a.nacks.values())
    until(lambda: b.totals()["depth"] > 10)
    a.send("resume")
    until(lambda: a.totals()["depth"] == 0 and b.totals()["depth"] == 0)
    numbers = Numbers(600)
    until(lambda: numbers.acknowledged(a, 0) and numbers.acknowledged(b, 0))
    until(lambda: a.totals()["depth"] == 0)
    assert set(applied(shop)[0]) == {int(n) for n in a.acks} | {int(n) for n in b.acks}
    assert a.quit() == 0 and b.quit() == 0


def test_a_batch_whose_answer_is_lost_is_stored_once(start, shop, broker):
    """Q1, Q2: stored, and the connection goes before its answer: it is sent again, and the broker knows it."""
    b = broker()
    d = start("kafka://127.0.0.1:%d/%s?lanes=1" % (b.port, uuid.uuid4().hex))
    numbers = Numbers(0)
    until(lambda: numbers.acknowledged(d, 0))
    for i in range(1, 11):
        b.lose_answers = 1
        write(d, [6 * n for n in range(20 * i, 20 * i + 20)])
    assert not {kind for kind, _ in d.nacks.values()} - {"error"}
    d.drained()
    until(lambda: d.totals()["depth"] == 0)
    assert b.lose_answers == 0
    rows = applied(shop)[0]
    assert rows == sorted(set(rows)) and {int(n) for n in d.acks} <= set(rows)
    assert d.quit() == 0


def test_a_wait_does_not_compare_offsets_of_lanes(start, shop, broker):
    """Q3: a record at a high offset is applied, one behind it at a low offset of another lane is not: who waits for the first goes on."""
    b = broker()
    topic = uuid.uuid4().hex
    d = start("kafka://127.0.0.1:%d/%s?lanes=2" % (b.port, topic))
    numbers = Numbers(0)
    lane = {}
    for t in range(TABLES):
        until(lambda: numbers.acknowledged(d, t))
        d.drained()
        lane[t] = sum(p.end for p in b.topics[topic][1:])
    moved = [t for t in range(1, TABLES) if lane[t] > lane[t - 1]]  # in the second lane; the others are in the first
    low, high = moved[0], next(t for t in range(1, TABLES) if t not in moved)
    write(d, [TABLES * n + high for n in range(1000, 1200)])
    d.drained()
    with shop.connect() as other, other.cursor() as cur:
        cur.execute("LOCK TABLES shop.t%d WRITE" % low)
        write(d, [TABLES * 2000 + high])
        write(d, [TABLES * 2000 + low])
        d.send("applied", d.acks[str(TABLES * 2000 + high)])
        d.said("applied", timeout=10)
        d.send("applied", d.acks[str(TABLES * 2000 + low)])
        time.sleep(1)
        assert d.lines.empty(), "that one is not applied yet"
        cur.execute("UNLOCK TABLES")
    d.said("applied")
    assert d.quit() == 0


def test_the_topic_is_made_and_what_is_applied_is_deleted(start, shop, broker, log):
    """Q1, Q3: with the settings that lose nothing; a queue that begins behind deleted records has lost none."""
    b = broker()
    topic = uuid.uuid4().hex
    url = "kafka://127.0.0.1:%d/%s?lanes=3&replicas=3" % (b.port, topic)
    d = start(url)
    numbers = Numbers(0)
    until(lambda: numbers.acknowledged(d))
    assert len(b.topics[topic]) == 3
    assert b.configs[topic]["retention.ms"] == "-1" and b.configs[topic]["min.insync.replicas"] == "2"
    d.nacks.clear()
    write(d, range(100, 400))
    assert not d.nacks
    until(lambda: d.totals()["depth"] == 0 and all(p.low == p.end for p in b.topics[topic]))
    assert d.quit() == 0
    d = start(url)
    write(d, range(400, 500))
    until(lambda: d.totals()["depth"] == 0 and all(p.low == p.end for p in b.topics[topic]))
    assert "lost" not in log()
    assert sum(len(rows) for rows in applied(shop)) == 401
    assert d.quit() == 0


def test_what_the_topic_can_lose_and_what_is_not_allowed_is_said(start, shop, broker, log):
    b = broker()
    topic = uuid.uuid4().hex
    b.may_create = b.may_delete = False
    d = start("kafka://127.0.0.1:%d/%s?lanes=1" % (b.port, topic))
    until(lambda: "--create --topic %s --partitions 1 --replication-factor 1" % topic in log())
    b.topics[topic] = [Partition()]
    b.configs[topic] = {"retention.ms": "604800000", "min.insync.replicas": "1", "unclean.leader.election.enable": "true",
                        "cleanup.policy": "compact"}
    until(lambda: all(text in log() for text in ("has one replica", "retention.ms=604800000", "min.insync.replicas=1", "unclean", "compacts")))
    numbers = Numbers(0)
    until(lambda: numbers.acknowledged(d))
    until(lambda: "cannot be removed from the topic" in log())
    assert d.quit() == 0


def test_tls_and_a_password(start, shop, broker, log):
    with tempfile.TemporaryDirectory() as folder:
        ca = certs.Authority(folder)
        pair = ca.issue("kafka")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        b = broker(context=context, login="app\0p@ss word")
        url = "kafkas://app:%s@127.0.0.1:%d/%s?lanes=1&sasl=plain&ca=%s"
        d = start(url % ("wrong", b.port, uuid.uuid4().hex, ca.cert))
        write(d, [0])
        assert d.nacks["0"][0] == "declined"
        assert d.quit() == 0
        d = start(url % ("p%40ss%20word", b.port, uuid.uuid4().hex, ca.cert))
        numbers = Numbers(6)
        until(lambda: numbers.acknowledged(d))
        d.drained()
        assert d.quit() == 0
        assert "p@ss word" not in log() and "p%40ss" not in log()
