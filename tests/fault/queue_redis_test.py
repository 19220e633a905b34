"""What a Redis of the queue may be: a cluster, with TLS and a password, with replicas that must confirm (Q1, Q2, F1)."""
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import certs  # noqa: E402
from queue_world import AnswersWaitaof, Driver, Redis, Server, driver_binary, valkey_server  # noqa: E402
from relay import Relay  # noqa: E402

TABLES = 6


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.stop()


@pytest.fixture
def shop(server):
    server.run("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop",
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
def redis():
    made = []

    def run(*options, **more):
        made.append(Redis(*options, **more))
        return made[-1]
    yield run
    for r in made:
        r.stop()


def until(true, seconds=90):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def write(d, numbers, size=10):
    before = len(d.acks) + len(d.nacks)
    for n in numbers:
        d.add(n, "shop", "t%d" % (n % TABLES), "INSERT INTO t%d (n,v) VALUES (%d,'%s')" % (n % TABLES, n, "x" * size))
    d.wait_answers(before + len(numbers))


def applied(shop):
    return [[r[0] for r in shop.run("SELECT n FROM shop.t%d ORDER BY pos" % t)] for t in range(TABLES)]


def expected(n):
    return [[i for i in range(n) if i % TABLES == t] for t in range(TABLES)]


def all_answer(d, numbers):
    write(d, numbers)
    return all(str(n) in d.acks for n in numbers)


def cluster_ports(n):
    """Ports whose neighbours for the cluster's own talk, 10000 above, are ports, too."""
    found = []
    while len(found) < n:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1] % 20000 + 20000
        with socket.socket() as s, socket.socket() as t:
            try:
                s.bind(("127.0.0.1", port))
                t.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
            if port not in found:
                found.append(port)
    return found


def cluster_of(redis, replicas=0):
    """Three that have the slots, and of each so many replicas."""
    nodes = [redis("--cluster-enabled", "yes", port=p) for p in cluster_ports(3 * (1 + replicas))]
    subprocess.run(["redis-cli", "--cluster", "create", *["127.0.0.1:%d" % r.port for r in nodes], "--cluster-replicas", str(replicas), "--cluster-yes"],
                   check=True, stdout=subprocess.DEVNULL, timeout=120)
    until(lambda: all("cluster_state:ok" in r.cli("CLUSTER", "INFO") for r in nodes))
    return nodes


def test_lanes_are_found_in_a_cluster(start, shop, redis):
    nodes = cluster_of(redis)
    url = "redis+cluster://127.0.0.1:%d,127.0.0.1:%d?name=%s" % (nodes[0].port, nodes[1].port, uuid.uuid4().hex)
    d = start(url)
    until(lambda: all_answer(d, []) or d.totals()["state"] == "running")
    done = 0

    def accepted():  # the connections are on their way at first
        d.nacks.clear()
        d.acks.clear()
        write(d, range(done, done + 1))
        return not d.nacks
    for done in range(TABLES):
        until(accepted)
    d.acks.clear()
    write(d, range(TABLES, 300))
    assert not d.nacks
    d.drained()
    assert applied(shop) == expected(300)
    assert sum(1 for r in nodes if r.cli("DBSIZE").strip() != "0") > 1
    nodes[1].kill()
    nodes[1].start()
    until(lambda: all("cluster_state:ok" in r.cli("CLUSTER", "INFO") for r in nodes))
    for done in range(300, 300 + TABLES):
        until(accepted)
    until(lambda: applied(shop) == expected(300 + TABLES))
    assert d.quit() == 0


def test_each_node_of_a_cluster_waits_for_its_own_replica(start, shop, redis):
    """Q1 by WAIT, whichever node has the lane: with its replica it is acknowledged, without it unknown, and the other lanes go on."""
    nodes = cluster_of(redis, replicas=1)
    masters, replicas = ([r for r in nodes if "role:%s\r" % role in r.cli("INFO", "replication").replace("\n", "\r")] for role in ("master", "slave"))
    assert len(masters) == len(replicas) == 3
    until(lambda: all("state=online" in r.cli("INFO", "replication") for r in masters))
    n, d, used = 0, None, []

    def round_of_all():
        nonlocal n
        write(d, range(n, n + TABLES))
        n += TABLES
        return [str(i) in d.acks for i in range(n - TABLES, n)]
    while len(used) < 2:  # lanes fall where their names do: once in fifty times all to one node
        assert not d or d.quit() == 0
        name = uuid.uuid4().hex
        d = start("redis+cluster://127.0.0.1:%d?name=%s&wait=1" % (masters[0].port, name))
        until(lambda: all(round_of_all()))
        d.drained()
        used = [r for r in masters if r.cli("--scan", "--pattern", "*%s*:s" % name).strip()]
    master = used[0]
    mine, = (r for r in replicas if "master_port:%d\r" % master.port in r.cli("INFO", "replication").replace("\n", "\r"))
    mine.process.send_signal(signal.SIGSTOP)
    try:
        got = round_of_all()
    finally:
        mine.process.send_signal(signal.SIGCONT)
    assert any(got) and not all(got), got
    refused = [d.nacks[str(i)] for i, ok in zip(range(n - TABLES, n), got) if not ok]
    assert all(kind == "error" and UNCONFIRMED in why for kind, why in refused), refused
    until(lambda: all(round_of_all()))
    d.drained()
    there = applied(shop)
    assert all(rows == sorted(set(rows)) for rows in there)
    assert {int(i) for i in d.acks} <= set(itertools.chain(*there))
    assert d.quit() == 0


def test_tls_and_a_password(start, shop, redis):
    with tempfile.TemporaryDirectory() as folder:
        ca = certs.Authority(folder)
        pair = ca.issue("redis")
        port = cluster_ports(1)[0]
        r = redis("--tls-port", str(port), "--tls-cert-file", pair.cert, "--tls-key-file", pair.key, "--tls-ca-cert-file", ca.cert,
                  "--tls-auth-clients", "no")
        r.cli("CONFIG", "SET", "requirepass", "p@ss word")
        name = uuid.uuid4().hex
        d = start("rediss://:p%%40ss%%20word@127.0.0.1:%d?ca=%s&name=%s" % (port, ca.cert, name))
        until(lambda: all_answer(d, [0]) or d.nacks.clear())
        d.drained()
        assert applied(shop)[0].count(0) == 1
        assert d.quit() == 0


def test_replicas_that_must_confirm(start, shop, redis, tmp_path):
    """Q1: without them the outcome is unknown, and the client hears that; with them it is acknowledged."""
    r = redis()
    d = start(r.url(uuid.uuid4().hex, lanes=1, wait=1))
    until(lambda: d.totals()["state"] == "running")
    write(d, [0])
    assert d.nacks["0"][0] in ("error", "declined")
    redis("--replicaof", "127.0.0.1 %d" % r.port)
    until(lambda: "state=online" in r.cli("INFO", "replication"))
    n = 6

    def acknowledged():
        nonlocal n
        write(d, [n])
        n += 6
        return str(n - 6) in d.acks
    until(acknowledged)
    d.drained()
    rows = applied(shop)[0]
    assert n - 6 in rows and rows == sorted(set(rows))
    assert d.quit() == 0


def one(d, n):
    """How the row n went: "ack", or what its client hears."""
    write(d, [n])
    return "ack" if str(n) in d.acks else d.nacks[str(n)]


UNCONFIRMED = "too few replicas of the queue's Redis confirmed the write in time"


@pytest.mark.parametrize("answer,wait,heard", [
    (b"*2\r\n:1\r\n:0\r\n", 0, "ack"), (b"*2\r\n:1\r\n:2\r\n", 2, "ack"), (b"*2\r\n:0\r\n:0\r\n", 0, UNCONFIRMED),
    (b"*2\r\n:1\r\n:1\r\n", 2, UNCONFIRMED), (b"*2\r\n:0\r\n:2\r\n", 2, UNCONFIRMED), (b":1\r\n", 0, UNCONFIRMED),
    (b"*1\r\n:1\r\n", 0, UNCONFIRMED), (b"-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n", 0, UNCONFIRMED),
], ids=["synced", "and by two replicas", "not synced in time", "too few replicas", "replicas only", "no array", "half of one", "no file"])
def test_what_waitaof_answers_decides(start, shop, redis, tmp_path, answer, wait, heard):
    """Q1: acknowledged is what is in the file here and on so many replicas; of all else the outcome is unknown, and its client hears so."""
    before = AnswersWaitaof(redis())
    before.answer = answer
    d = start(before.url(uuid.uuid4().hex, lanes=1, wait=wait, wait_aof=1))
    until(lambda: d.totals()["state"] == "running")
    got = one(d, 0)
    assert got == "ack" if heard == "ack" else got[0] == "error" and heard in got[1]
    assert before.asked == [(1, wait, 5000)]
    assert answer[:1] != b"-" or "cannot wait for its replicas or its file" in (tmp_path / "driver.log").read_text()
    before.answer = b"*2\r\n:1\r\n:2\r\n"
    assert one(d, 6) == "ack"
    d.drained()
    assert applied(shop)[0] == [0, 6], "what was stored is applied, once, whatever its client heard"
    assert d.quit() == 0
    before.close()


def test_a_redis_that_has_no_waitaof_acknowledges_nothing(start, shop, redis, tmp_path):
    d = start(redis().url(uuid.uuid4().hex, lanes=1, wait_aof=1))
    until(lambda: d.totals()["state"] == "running")
    assert one(d, 0)[0] == "error"
    text = (tmp_path / "driver.log").read_text()
    assert "cannot wait for its replicas or its file" in text and "WAITAOF" in text
    assert d.quit() == 0


@pytest.mark.skipif(not valkey_server(), reason="there is no Valkey: run tests/valkey_root")
def test_valkey_acknowledges_what_is_in_its_files(start, shop, redis, tmp_path):
    """Q1, by a server that has WAITAOF: synced here; synced nowhere, in time; by too few replicas; by one; without a file."""
    r = redis("--appendfsync", "everysec", program=valkey_server())
    d = start(r.url(uuid.uuid4().hex, lanes=1, wait_aof=1))
    until(lambda: d.totals()["state"] == "running")
    assert one(d, 0) == "ack"
    r.cli("CONFIG", "SET", "appendfsync", "no")
    began = time.monotonic()
    got = one(d, 6)
    assert got[0] == "error" and UNCONFIRMED in got[1] and time.monotonic() - began > 4.5
    r.cli("CONFIG", "SET", "appendfsync", "everysec")
    assert one(d, 12) == "ack"
    d.drained()
    assert d.quit() == 0
    d = start(r.url(uuid.uuid4().hex, lanes=1, wait_aof=1, wait=1))
    until(lambda: d.totals()["state"] == "running")
    assert one(d, 18)[0] == "error"
    replica = redis("--replicaof", "127.0.0.1 %d" % r.port, program=valkey_server())
    until(lambda: "state=online" in r.cli("INFO", "replication"))
    n = 18

    def acknowledged():
        nonlocal n
        n += 6
        return one(d, n) == "ack"
    until(acknowledged)
    replica.cli("CONFIG", "SET", "appendonly", "no")
    assert one(d, n + 6)[0] == "error", "a replica that keeps no file confirms nothing"
    r.cli("CONFIG", "SET", "appendonly", "no")
    assert one(d, n + 12)[0] == "error"
    assert "cannot wait for its replicas or its file" in (tmp_path / "driver.log").read_text()
    d.drained()
    rows = applied(shop)[0]
    assert rows == sorted(set(rows)) and {0, 12, n} <= set(rows)
    assert d.quit() == 0


def hash_writes(r):
    """How often a hash was written: twice for a batch that is stored, once more when it is sent again."""
    return int(r.cli("INFO", "commandstats").split("cmdstat_hset:calls=")[1].split(",")[0])


def test_a_batch_sent_again_is_waited_for_again(start, shop, redis):
    """Q1: its connection goes between EVAL and WAIT; the new one's WAIT counts from its own last write, so there is one."""
    program = valkey_server() or "redis-server"
    r = redis(program=program)
    replica = redis("--replicaof", "127.0.0.1 %d" % r.port, program=program)
    until(lambda: "state=online" in r.cli("INFO", "replication"))
    d = start(r.url(uuid.uuid4().hex, lanes=1, wait=1))
    until(lambda: all_answer(d, [0]) or d.nacks.clear())
    d.drained()
    until(lambda: d.totals()["depth"] == 0)
    d.send("pause")
    d.nacks.clear()
    before = hash_writes(r)
    replica.process.send_signal(signal.SIGSTOP)
    try:
        d.add(6, "shop", "t0", "INSERT INTO t0 (n,v) VALUES (6,'x')")
        until(lambda: hash_writes(r) == before + 2)
        r.cli("CLIENT", "KILL", "TYPE", "normal")
        d.wait_answers(2)
        assert "6" not in d.acks, "the only replica has not had it yet"
        assert UNCONFIRMED in d.nacks["6"][1] and hash_writes(r) == before + 3
    finally:
        replica.process.send_signal(signal.SIGCONT)
    d.send("resume")
    until(lambda: all_answer(d, [12]) or d.nacks.clear())
    d.drained()
    assert applied(shop)[0] == [0, 6, 12], "stored once"
    assert d.quit() == 0


LOSSES = {"no append-only file": "Redis keeps no append-only file", "eviction": "Redis may evict the queue", "a late sync": "Redis syncs its file later",
          "asynchronous replication": "Redis replicates after it has acknowledged"}


@pytest.mark.parametrize("options,url,said", [
    ((), {}, {"asynchronous replication"}),
    (("--appendonly", "no", "--maxmemory-policy", "allkeys-lru"), {}, {"asynchronous replication", "no append-only file", "eviction"}),
    (("--appendfsync", "everysec"), {"wait": 1}, {"a late sync"}),
], ids=["as good as it gets alone", "a cache's settings", "everysec"])
def test_what_this_redis_can_lose_is_said_at_the_start(start, shop, redis, tmp_path, options, url, said):
    d = start(redis(*options).url(uuid.uuid4().hex, lanes=1, **url))

    def heard():
        text = (tmp_path / "driver.log").read_text()
        return {name for name, words in LOSSES.items() if words in text}
    until(lambda: heard() >= said)
    time.sleep(0.5)
    assert heard() == said
    assert d.quit() == 0


def test_a_redis_without_memory_declines_and_takes_writes_again(start, shop, redis, tmp_path):
    """Q7: nothing of it is stored, the client hears so at once, and after a second Redis is asked again."""
    r = redis()
    d = start(r.url(uuid.uuid4().hex, lanes=1))
    until(lambda: all_answer(d, [0]) or d.nacks.clear())
    d.drained()
    r.cli("CONFIG", "SET", "maxmemory", "1")
    write(d, [6, 12, 18])
    assert {kind for kind, _ in d.nacks.values()} == {"declined"} and len(d.nacks) == 3
    until(lambda: "Redis does not store" in (tmp_path / "driver.log").read_text())
    r.cli("CONFIG", "SET", "maxmemory", "0")
    d.nacks.clear()
    until(lambda: all_answer(d, [24]) or d.nacks.clear())
    d.drained()
    assert applied(shop)[0] == [0, 24]
    assert d.quit() == 0


def test_large_records_and_what_is_too_large(start, shop, redis):
    d = start(redis().url(uuid.uuid4().hex, lanes=1))
    until(lambda: all_answer(d, [0]) or d.nacks.clear())
    d.send("pause")
    write(d, [6 * n for n in range(1, 40)], size=900000)
    write(d, [240], size=1100000)
    assert d.nacks["240"][0] == "unfit" and "too large" in d.nacks["240"][1]
    d.send("resume")
    until(lambda: applied(shop)[0] == [6 * n for n in range(40)])
    assert d.quit() == 0


def test_a_full_queue_declines_and_takes_writes_again(start, shop, redis):
    """Q7: the bound is of what all processes have put there."""
    url = redis().url(uuid.uuid4().hex, lanes=1)
    a, b = start(url, max_bytes=200000), start(url, max_bytes=200000)
    until(lambda: all_answer(a, [0]) or a.nacks.clear())
    a.send("pause")
    until(lambda: b.totals()["state"] == "paused")
    write(a, [6 * n for n in range(1, 100)], size=5000)
    assert any("full" in why for _, why in a.nacks.values())
    write(b, [600 + 6 * n for n in range(100)], size=5000)  # what room is left, and no more
    assert all("full" in why for _, why in b.nacks.values()) and len(b.acks) < 50
    a.send("resume")
    until(lambda: a.totals()["depth"] == 0 and b.totals()["depth"] == 0)
    until(lambda: all_answer(b, [1200 + 6 * len(b.nacks)]))
    until(lambda: b.totals()["depth"] == 0)
    got = {int(n) for n in a.acks} | {int(n) for n in b.acks}
    assert set(applied(shop)[0]) == got
    assert a.quit() == 0 and b.quit() == 0


def test_a_redis_that_lost_everything_takes_no_new_record_for_an_old_one(start, shop, redis):
    """F1: the database's position is ahead of an empty stream."""
    r = redis()
    d = start(r.url(uuid.uuid4().hex, lanes=1))
    until(lambda: all_answer(d, [0]) or d.nacks.clear())
    write(d, [6, 12])
    d.drained()
    r.cli("FLUSHALL")
    write(d, [18, 24])
    until(lambda: applied(shop)[0] == [0, 6, 12, 18, 24])
    assert d.quit() == 0


class Late:
    """A way to Redis on which the next script that stores is held back; its link is cut, and it arrives when the test says."""

    def __init__(self, redis):
        self.redis, self.armed, self.kept = redis, False, None
        self.relay = Relay(redis.port)
        self.relay.cut_when = self._keep

    def url(self, name, **more):
        return self.redis.url(name, **more).replace(":%d?" % self.redis.port, ":%d?" % self.relay.port)

    def _keep(self, direction, data):
        if not self.armed or direction != "up" or b"XADD" not in data:
            return False
        self.armed, self.kept = False, data[data.rindex(b"*", 0, data.rindex(b"$4\r\nEVAL")):]
        return True

    def arrive(self):
        with socket.create_connection(("127.0.0.1", self.redis.port)) as s:
            s.sendall(self.kept)
            return s.recv(4096)


def test_a_batch_sent_again_and_refused_is_not_declined(start, shop, redis):
    """Q2: its first sending may yet arrive, when there is room again: whoever wrote directly meanwhile would have it twice."""
    r = redis()
    name = uuid.uuid4().hex
    late = Late(r)
    d, other = start(late.url(name, lanes=1), max_bytes=100000), start(r.url(name, lanes=1), max_bytes=100000)
    until(lambda: all_answer(d, [0]) or d.nacks.clear())
    d.drained()
    d.send("pause")
    until(lambda: other.totals()["state"] == "paused")
    late.relay.refusing = late.armed = True
    d.add(6, "shop", "t0", "INSERT INTO t0 (n,v) VALUES (6,'%s')" % ("x" * 20000))
    until(lambda: late.kept)
    numbers = itertools.count(12, 6)
    until(lambda: write(other, [next(numbers)], size=5000) or int(r.cli("HGET", "{suimon:q:%s:1:0}:i" % name, "bytes")) > 85000)
    late.relay.refusing = False
    d.wait_answers(2)
    assert d.nacks["6"][0] == "error" and "unknown" in d.nacks["6"][1]
    d.send("resume")
    until(lambda: other.totals()["depth"] == 0)
    assert late.arrive()[:1] == b"$"
    until(lambda: 6 in applied(shop)[0])
    assert d.quit() == 0 and other.quit() == 0
    late.relay.close()


def test_who_does_not_own_the_lane_has_no_record_taken_for_an_old_one(start, shop, redis):
    """Q1: a failover to a replica without the newest records, and with a clock behind the database's position."""
    r = redis()
    name = uuid.uuid4().hex
    a, b = start(r.url(name, lanes=1)), start(r.url(name, lanes=1))
    until(lambda: all_answer(a, [0]) or a.nacks.clear())
    r.cli("XSETID", "{suimon:q:%s:1:0}:s" % name, "%d-0" % (time.time() * 1000 + 3600000))
    write(a, [6])
    a.drained()
    until(lambda: a.totals()["applied_seq"] == b.totals()["applied_seq"])
    stranger = b if a.totals()["applied"] else a
    r.cli("FLUSHALL")
    n = 12
    until(lambda: all_answer(stranger, [n]) or stranger.nacks.clear())
    stranger.drained()
    until(lambda: applied(shop)[0] == [0, 6, n], 10)
    assert a.quit() == 0 and b.quit() == 0


ANOTHER = "another Redis has the queue's name in the database"


def test_two_redises_of_one_name_do_not_take_each_others_positions(start, shop, redis, tmp_path):
    """Q1: each service has its own Redis, both call their queue alike, and their database is one: the second is told, and acknowledges nothing."""
    name = uuid.uuid4().hex
    first, second = redis(), redis()
    a = start(first.url(name, lanes=1))
    until(lambda: all_answer(a, [0]) or a.nacks.clear())
    a.drained()
    b = start(second.url(name, lanes=1))
    write(b, [6, 12])
    until(lambda: b.totals()["state"] == "failed" and "another store has this queue's name" in (tmp_path / "driver.log").read_text(), 10)
    write(b, [18])
    assert not b.acks and {kind for kind, _ in b.nacks.values()} == {"declined"} and ANOTHER in b.nacks["18"][1]
    write(a, [24])
    a.drained()
    assert applied(shop)[0] == [0, 24]
    assert a.quit() == 0
    time.sleep(7)
    a = start(first.url(name, lanes=1))
    until(lambda: all_answer(a, [30]) or a.nacks.clear(), 10)
    a.drained()
    assert applied(shop)[0] == [0, 24, 30] and b.totals()["state"] == "failed", "while the first was away the second waited"
    assert a.quit() == 0 and b.quit() == 0


def test_a_queue_from_before_marks_goes_on_where_it_was(start, shop, redis):
    """Q1, Q2: neither its Redis nor the database has one: it is given one, and positions stay what they are."""
    r = redis()
    url = r.url(uuid.uuid4().hex, lanes=2)
    d = start(url)
    until(lambda: all_answer(d, range(TABLES)) or d.nacks.clear())
    d.drained()
    d.send("pause")
    d.acks.clear()
    write(d, range(TABLES, 60))
    assert not d.nacks
    d.kill()
    for key in r.cli("KEYS", "*:i").split():
        r.cli("HDEL", key, "id")
    shop.run("DELETE FROM suimon.applied WHERE shard>=2")
    d = start(url)
    d.send("resume")
    until(lambda: all_answer(d, range(60, 60 + TABLES)) or d.nacks.clear())
    until(lambda: d.totals()["depth"] == 0)
    assert applied(shop) == expected(60 + TABLES)
    assert shop.run("SELECT COUNT(*) FROM suimon.applied WHERE shard>=2")[0][0] >= 2
    assert d.quit() == 0


def test_a_redis_that_lost_all_while_nobody_ran_is_taken_for_the_queues(start, shop, redis, tmp_path):
    """F1: when nobody else applies the queue; the one that had been there before finds its place taken, and says so."""
    name = uuid.uuid4().hex
    first, second = redis(), redis()
    d = start(first.url(name, lanes=1))
    until(lambda: all_answer(d, [0]) or d.nacks.clear())
    d.drained()
    assert d.quit() == 0
    d = start(second.url(name, lanes=1))
    n = 6
    until(lambda: all_answer(d, [n]) or d.nacks.clear(), 60)
    d.drained()
    assert "takes the place" in (tmp_path / "driver.log").read_text()
    late = start(first.url(name, lanes=1))
    until(lambda: late.totals()["state"] == "failed")
    write(late, [12])
    assert ANOTHER in late.nacks["12"][1]
    assert applied(shop)[0] == [0, 6]
    assert d.quit() == 0 and late.quit() == 0


def lane_key(name, what):
    return "{suimon:q:%s:1:0}:%s" % (name, what)


def test_another_redis_at_the_same_address_has_nothing_taken_or_removed(start, shop, redis, tmp_path):
    """Q1, Q2: a name that leads to another service's Redis now, with a queue of the same name in it; and back."""
    name = uuid.uuid4().hex
    first, second = redis(), redis()
    relay = Relay(first.port)
    d = start(first.url(name, lanes=1).replace(":%d?" % first.port, ":%d?" % relay.port))
    until(lambda: all_answer(d, [0]) or d.nacks.clear())
    d.drained()
    second.cli("XADD", lane_key(name, "s"), "1-1", "r", "theirs")
    second.cli("HSET", lane_key(name, "i"), "last", "1-1", "bytes", "6", "count", "1", "id", "77")
    sent = []

    def lose_the_answer(direction, data):
        sent.extend([True] * (direction == "up" and b"XADD" in data))
        if direction == "down" and sent and relay.target == first.port:
            relay.target = second.port
            return True
        return False
    relay.cut_when = lose_the_answer
    d.add(6, "shop", "t0", "INSERT INTO t0 (n,v) VALUES (6,'x')")
    until(lambda: relay.target == second.port)
    until(lambda: d.totals()["state"] == "failed")
    d.add(12, "shop", "t0", "INSERT INTO t0 (n,v) VALUES (12,'x')")
    until(lambda: "12" in d.nacks)
    assert d.nacks["12"] == ("declined", d.nacks["12"][1]) and ANOTHER in d.nacks["12"][1]
    assert "6" not in d.acks and second.cli("XLEN", lane_key(name, "s")).strip() == "1", "neither taken nor removed"
    relay.cut_when, relay.target = None, first.port
    relay.cut()
    until(lambda: "6" in d.acks, 12)
    until(lambda: all_answer(d, [18]) or d.nacks.clear(), 10)
    d.drained()
    assert applied(shop)[0] == [0, 6, 18], "sent again to where it had been stored, and stored once"
    assert d.quit() == 0
    relay.close()


def test_a_mark_that_changes_under_a_connection_is_seen_by_the_script(start, shop, redis):
    """Q1: whoever does not own the lane looks at the mark once a second; what it sends meanwhile is not stored, and is when the mark is right."""
    r = redis()
    name = uuid.uuid4().hex
    a, b = start(r.url(name, lanes=1)), start(r.url(name, lanes=1))
    until(lambda: all_answer(a, [0]) or a.nacks.clear())
    until(lambda: all_answer(b, [6]) or b.nacks.clear())
    a.drained()
    b.drained()
    stranger = b if a.totals()["applied"] else a
    mark = r.cli("HGET", lane_key(name, "i"), "id").strip()
    r.cli("HSET", lane_key(name, "i"), "id", "77")
    last = r.cli("HGET", lane_key(name, "i"), "last")
    stranger.add(12, "shop", "t0", "INSERT INTO t0 (n,v) VALUES (12,'x')")
    time.sleep(2)
    assert r.cli("HGET", lane_key(name, "i"), "last") == last and "12" not in stranger.acks
    r.cli("HSET", lane_key(name, "i"), "id", mark)
    until(lambda: all_answer(stranger, [18]) or stranger.nacks.clear(), 10)
    stranger.drained()
    assert applied(shop)[0] == [n for n in (0, 6, 12, 18) if n != 12 or "12" in stranger.acks]
    assert a.quit() == 0 and b.quit() == 0


def test_a_redis_that_restarts_without_a_file_goes_on(start, shop, redis):
    """F1: it is empty when it is reached again, and may be another one: it is taken for the queue's when nobody applies the former."""
    r = redis("--appendonly", "no")
    name = uuid.uuid4().hex
    a, b = start(r.url(name, lanes=2)), start(r.url(name, lanes=2))
    for d in a, b:
        until(lambda: all_answer(d, [0]) or d.nacks.clear())
        d.drained()
    r.kill()
    r.start()
    for n, d in enumerate((a, b)):
        until(lambda: all_answer(d, [6 * n + 6]) or d.nacks.clear(), 15)
        d.drained()
    assert applied(shop)[0][-2:] == [6, 12] and a.totals()["state"] == b.totals()["state"] == "running"
    assert a.quit() == 0 and b.quit() == 0


def test_who_has_no_part_in_a_queue_pauses_nothing_and_takes_its_records_along(start, shop, redis):
    """Q1: what it had acknowledged before it was refused is applied under another name, as docs/engines.md says."""
    name, other = uuid.uuid4().hex, uuid.uuid4().hex
    first, second = redis(), redis()
    b = start(second.url(name, lanes=1))
    until(lambda: all_answer(b, [0]) or b.nacks.clear())
    b.drained()
    b.send("pause")
    b.acks.clear()
    write(b, [6, 12])
    assert len(b.acks) == 2
    b.kill()
    shop.run("DELETE FROM suimon.applied")
    a = start(first.url(name, lanes=1))
    until(lambda: all_answer(a, [18]) or a.nacks.clear())
    a.drained()
    b = start(second.url(name, lanes=1))
    until(lambda: b.totals()["state"] == "failed")
    b.send("pause")
    time.sleep(1.5)
    assert a.totals()["state"] == "running"
    write(a, [24])
    a.drained()
    assert b.quit() == 0
    for what in "s", "i":
        second.cli("RENAME", lane_key(name, what), lane_key(other, what))
    b = start(second.url(other, lanes=1))
    until(lambda: b.totals()["depth"] == 0 and applied(shop)[0] == [0, 18, 24, 6, 12])
    assert a.quit() == 0 and b.quit() == 0
