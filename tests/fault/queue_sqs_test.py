"""What SQS may do to the queue: hand out twice, forget, lose answers, not answer; and what its queue may hold (Q1, Q2, Q7, F1)."""
import base64
import http.server
import json
import os
import signal
import sys
import threading
import time
import uuid

import pymysql
import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from queue_world import Driver, Server, Sqs, driver_binary  # noqa: E402


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def sqs():
    s = Sqs()
    yield s
    s.stop()


class World:
    def __init__(self, server, sqs, tmp_path):
        self.server, self.sqs, self.path, self.name, self.running = server, sqs, tmp_path, uuid.uuid4().hex, []
        server.run("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop",
                   "CREATE TABLE shop.log (pos INT AUTO_INCREMENT PRIMARY KEY, n INT, v MEDIUMTEXT)")
        self.url = sqs.url(self.name)
        self.queue = sqs.queue_url(self.name + ".fifo")

    def start(self, **options):
        d = Driver(driver_binary(), str(self.path / "queue"), self.server, url=self.url, **options)
        self.running.append(d)
        until(lambda: d.totals()["state"] in ("running", "paused"))
        return d

    def messages(self):
        a = self.sqs.ask("GetQueueAttributes", QueueUrl=self.queue, AttributeNames=["All"])["Attributes"]
        return int(a["ApproximateNumberOfMessages"]) + int(a["ApproximateNumberOfMessagesNotVisible"])

    def applied(self):
        return [r[0] for r in self.server.run("SELECT n FROM shop.log ORDER BY pos")]

    def said(self, text):
        return text in (self.path / "driver.log").read_text()

    def close(self):
        self.sqs.thaw()
        self.sqs.fault(lose=0, ahead=0)
        for d in self.running:
            if d.process.poll() is None:
                d.process.send_signal(signal.SIGCONT)
                d.kill()
        text = (self.path / "driver.log").read_text()
        assert "Sanitizer" not in text and "runtime error" not in text, text


@pytest.fixture
def world(server, sqs, tmp_path):
    w = World(server, sqs, tmp_path)
    yield w
    w.close()


def until(true, seconds=90):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def write(d, numbers, size=10):
    before = len(d.acks) + len(d.nacks)
    for n in numbers:
        d.add(n, "shop", "log", "INSERT INTO log (n,v) VALUES (%d,'%s')" % (n, "x" * size))
    d.wait_answers(before + len(numbers))


def accepted(d, n):
    """One write, again and again until it is queued: the first contact may be on its way."""
    def once():
        d.nacks.clear()
        write(d, [n])
        return not d.nacks
    until(once)


def test_what_is_applied_is_deleted(world):
    """Q2: many records in few messages, and none of them stays."""
    d = world.start()
    accepted(d, 0)
    write(d, range(1, 500))
    d.drained()
    until(lambda: world.messages() == 0)
    assert world.applied() == list(range(500))
    assert world.server.run("SELECT COUNT(*) FROM suimon.producers WHERE updated_at > UTC_TIMESTAMP() - INTERVAL 1 HOUR")[0][0] >= 1
    assert d.quit() == 0


@pytest.mark.parametrize("ahead", [1200, -1200])
def test_a_clock_further_off_than_sqs_allows_is_said(world, ahead):
    """F1: AWS takes no request that bears a time 15 minutes off; whoever writes hears it, and it mends itself with the clock."""
    d = world.start()
    accepted(d, 0)
    world.sqs.fault(ahead=ahead)
    write(d, [1])
    assert list(d.nacks) == ["1"] and "SQS refuses to store" in str(d.nacks["1"])
    assert world.said("SQS does not store") and world.said('error="InvalidSignatureException"') and world.said("Signature expired")
    world.sqs.fault(ahead=0)
    accepted(d, 2)
    d.drained()
    assert world.applied() == [0, 2]
    assert d.quit() == 0


def test_a_copy_of_a_message_is_passed_over_however_late(world):
    """Q2, beyond SQS's five minutes: the same message stored a second time, behind others, and met by another process."""
    d = world.start()
    accepted(d, 0)
    d.drained()
    d.send("pause")
    write(d, range(1, 20))
    until(lambda: d.totals()["state"] == "paused")
    assert d.quit() == 0  # what it held is given back
    got = []
    until(lambda: got.extend(world.sqs.ask("ReceiveMessage", QueueUrl=world.queue, MaxNumberOfMessages=10, VisibilityTimeout=0,
                                           AttributeNames=["All"]).get("Messages", [])) or got)
    for i in range(3):
        world.sqs.ask("SendMessage", QueueUrl=world.queue, MessageBody=got[0]["Body"], MessageGroupId="lane-0",
                      MessageDeduplicationId="copy-%d" % i)
    d = world.start()
    d.send("resume")
    until(lambda: world.messages() == 0)
    assert world.applied() == list(range(20))
    assert d.quit() == 0


def test_lost_answers_are_asked_for_again(world):
    """Q1, Q2: half of all answers are lost, and SQS forgets what it would deduplicate: each is applied once."""
    d = world.start()
    accepted(d, 0)
    world.sqs.fault(lose=0.4)
    for n in range(1, 41):
        d.add(n, "shop", "log", "INSERT INTO log (n,v) VALUES (%d,'x')" % n)
        if n % 5 == 0:
            world.sqs.fault(forget=True)
            d.wait_answers(n + 1)
    world.sqs.fault(lose=0)
    known = [int(t) for t in d.acks]
    refused = [int(t) for t, (kind, _) in d.nacks.items() if kind == "declined"]
    until(lambda: set(known) <= set(world.applied()) and world.messages() == 0)
    rows = world.applied()
    assert rows == sorted(set(rows)) and not set(rows) & set(refused)
    assert d.quit() == 0


def test_without_sqs_writes_are_refused_at_once_and_taken_again(world):
    """Q7: the client hears at once that it may write directly; of what was under way that it is not known."""
    d = world.start()
    accepted(d, 0)
    d.drained()
    world.sqs.freeze()
    d.add("open", "shop", "log", "INSERT INTO log (n,v) VALUES (1,'x')")
    d.wait_answers(2, timeout=90)
    assert d.nacks["open"][0] == "error" and "unknown" in d.nacks["open"][1]
    began = time.monotonic()
    write(d, [2])
    assert d.nacks["2"][0] == "declined" and time.monotonic() - began < 30
    world.sqs.thaw()
    accepted(d, 3)
    until(lambda: 3 in world.applied())
    rows = world.applied()
    assert rows in ([0, 3], [0, 1, 3])
    assert world.said("SQS does not answer") and world.said("SQS answers again")
    assert d.quit() == 0


def test_an_owner_that_slept_applies_nothing_twice(world):
    """Q2: it is stopped for longer than its messages are hidden; another applies them; it wakes and goes on."""
    a = world.start()
    accepted(a, 0)
    a.drained()
    blocker = world.server.connect()
    with blocker.cursor() as cur:
        cur.execute("LOCK TABLES shop.log READ")
        write(a, range(1, 10))
        until(lambda: world.server.run("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO log%'")[0][0])
        a.process.send_signal(signal.SIGSTOP)
        # As if its host had no power: the server ends its sessions, and with them the locks.
        for number, in world.server.run("SELECT id FROM information_schema.processlist WHERE id<>CONNECTION_ID() AND id<>%d"
                                        " AND command<>'Daemon'" % blocker.thread_id()):
            try:
                world.server.run("KILL %d" % number)
            except pymysql.MySQLError as e:
                assert e.args[0] == 1094  # it has gone by itself
        cur.execute("UNLOCK TABLES")
    blocker.close()
    b = world.start()
    until(lambda: world.applied() == list(range(10)))
    a.process.send_signal(signal.SIGCONT)
    write(a, range(10, 20))
    write(b, range(20, 30))
    until(lambda: len(world.applied()) >= 30)
    until(lambda: world.messages() == 0)
    assert sorted(world.applied()) == list(range(30))
    assert a.quit() == 0 and b.quit() == 0


def test_what_takes_long_stays_hidden(world):
    """Whoever works for longer than messages are hidden has them hidden further; nobody else is given them meanwhile."""
    d = world.start()
    accepted(d, 0)
    d.drained()
    until(lambda: world.messages() == 0)
    with world.server.connect() as blocker, blocker.cursor() as cur:
        cur.execute("LOCK TABLES shop.log READ")
        write(d, range(1, 10))
        until(world.sqs.hidden_until)
        first = max(world.sqs.hidden_until())
        until(lambda: min(world.sqs.hidden_until(), default=0) > first + 1)
        assert "Messages" not in world.sqs.ask("ReceiveMessage", QueueUrl=world.queue) and world.applied() == [0]
        cur.execute("UNLOCK TABLES")
    until(lambda: world.messages() == 0)
    assert world.applied() == list(range(10))
    assert d.quit() == 0


def test_a_message_is_applied_in_parts(world):
    """Q2: a batch ends within a message, and the process with it; the rest alone is applied by the next."""
    d = world.start(batch_rows=3, failpoint="after-commit:3")
    accepted(d, 0)
    d.drained()
    d.send("pause")
    until(lambda: d.totals()["state"] == "paused")
    write(d, range(1, 40))
    d.send("resume")
    d.reap()
    assert 0 < len(world.applied()) < 40
    d = world.start()
    until(lambda: world.applied() == list(range(40)))
    until(lambda: world.messages() == 0)
    assert d.quit() == 0


def test_what_is_too_large_is_refused_clearly(world):
    d = world.start()
    accepted(d, 0)
    write(d, [1], size=190000)
    assert not d.nacks
    write(d, [2], size=1100000)
    assert d.nacks["2"] == ("unfit", "the statement is too large for a message of the queue's SQS")
    until(lambda: world.applied() == [0, 1])
    assert d.quit() == 0


def test_a_full_queue_declines_and_takes_writes_again(world):
    """Q7: what this process has stored and nobody has applied is bounded."""
    d = world.start(max_bytes=20000)
    accepted(d, 0)
    d.drained()
    d.send("pause")
    until(lambda: d.totals()["state"] == "paused")
    n = 1
    while not d.nacks:
        write(d, [n], size=1000)
        n += 1
    assert "full" in list(d.nacks.values())[0][1] and 10 < n < 30
    assert d.totals()["depth"] == n - 2
    d.send("resume")
    until(lambda: len(world.applied()) == n - 1 and d.totals()["depth"] == 0)
    accepted(d, n)
    assert d.quit() == 0


def test_what_is_not_suimons_holds_up_the_lane_and_is_said(world):
    """F1: nothing is passed over that a newer version may have written."""
    d = world.start()
    accepted(d, 0)
    d.drained()
    world.sqs.ask("SendMessage", QueueUrl=world.queue, MessageBody=base64.b64encode(b"not suimon's").decode(), MessageGroupId="lane-0",
                  MessageDeduplicationId="x")
    write(d, [1])
    until(lambda: d.totals()["state"] == "waiting" and world.said("SQS holds a message that cannot be understood"))
    assert world.applied() == [0]
    world.sqs.ask("PurgeQueue", QueueUrl=world.queue)
    accepted(d, 2)
    until(lambda: world.applied() == [0, 2])
    until(lambda: world.said("messages of the queue are missing"))  # 1 went with the purge
    assert d.quit() == 0


def test_what_sqs_can_lose_is_said_at_the_start(world):
    world.url = world.sqs.url(world.name + "b", MessageRetentionPeriod="86400")
    d = world.start()
    until(lambda: world.said("SQS deletes what is not applied in time") and world.said("days=1.0"))
    assert world.said("without TLS") and not world.said(Sqs.ENV["AWS_SECRET_ACCESS_KEY"] + " ")
    assert d.quit() == 0


class Giver(http.server.BaseHTTPRequestHandler):
    """Gives credentials out as a container's endpoint and an instance's metadata service do, to who asks in their way."""
    ROLE = "/latest/meta-data/iam/security-credentials/"
    given = 0

    def do_PUT(self):
        self.say(b"IMDS" if self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else None)

    def do_GET(self):
        of_instance = self.path.startswith(self.ROLE) and self.headers["X-aws-ec2-metadata-token"] == "IMDS"
        if of_instance and self.path == self.ROLE:
            return self.say(b"role")
        if not of_instance and not (self.path == "/container" and self.headers["Authorization"] == "of the task"):
            return self.say(None)
        Giver.given += 1
        return self.say(json.dumps({"AccessKeyId": "AKIDGIVEN%d" % Giver.given, "SecretAccessKey": "given", "Token": "SESSION%d" % Giver.given,
                                    "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6 * 3600))}).encode())

    def say(self, body):
        self.send_response(200 if body else 401)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def giver():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Giver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "http://127.0.0.1:%d" % server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("place", ["container", "instance"])
def test_credentials_come_from_who_gives_them_to_the_host(world, giver, place):
    """None in the environment: the container's endpoint or the instance's metadata service is asked, and what it gives signs each request."""
    env = {"AWS_REGION": "us-east-1"}
    if place == "container":
        env.update(AWS_CONTAINER_CREDENTIALS_FULL_URI=giver + "/container", AWS_CONTAINER_AUTHORIZATION_TOKEN="of the task")
    else:
        env.update(AWS_EC2_METADATA_SERVICE_ENDPOINT=giver)
    d = world.start(aws=env)
    accepted(d, 0)
    write(d, range(1, 50))
    d.drained()
    assert world.applied() == list(range(50))
    said = world.sqs.fault()
    assert said["signer"] == "AKIDGIVEN%d" % Giver.given and said["token"] == "SESSION%d" % Giver.given
    assert world.said("source=" + place) and not world.said("SESSION%d" % Giver.given)
    assert d.quit() == 0
