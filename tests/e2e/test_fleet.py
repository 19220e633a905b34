"""config.source: rules that live in Redis reach every instance, and nothing bad of them does (F1, F2)."""
import collections
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pymysql
import pytest

import servers
import timed
from certs import Authority
from conftest import ask, merge
from test_upgrade import line  # noqa: F401 (a fixture)

KEY = "suimon:rules"
DENY = "routing:\n  rules:\n    - {match: {table: %s}, to: deny}\n"


@pytest.fixture
def shared(tmp_path):
    redis = servers.Redis(str(tmp_path), "shared")
    redis.start()
    yield redis
    redis.stop()


def source(redis, login=""):
    return "redis://%s%s:%d/0/%s" % (login, servers.LOOPBACK, redis.port, KEY)


def of(redis, tmp_path, name="copy"):
    return {"config": {"source": source(redis), "copy": str(tmp_path / name)}}


def command(instance, *words, stdin=None, author="writer"):
    return subprocess.run([instance.binary, "push-config", "-c", instance.file, *words], capture_output=True, text=True, timeout=60,
                          env={**servers.Suimon._env(), "USER": author}, input=stdin)


def push(instance, text, *words):
    """The version it has then."""
    done = command(instance, *words, "-", stdin=text)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def state(instance):
    return instance.api("/api/config")["source"]


def in_force(instance, version, more=lambda s: True):
    servers.wait_until("version %s in force" % version, lambda: state(instance)["version"] == version and more(state(instance)), 60)
    return state(instance)


def write_raw(redis, version, text, digest=None):
    """What somebody else might write there."""
    data = text if isinstance(text, bytes) else text.encode()
    words = [b"HSET", KEY.encode(), b"version", str(version).encode(), b"sum", (digest or hashlib.sha256(data).hexdigest()).encode(),
             b"doc.%d" % version, data]
    with socket.create_connection((servers.LOOPBACK, redis.port), 10) as s:
        s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        assert s.recv(64).startswith(b":")


def is_denied(instance, schema, table):
    with instance.connect(database=schema) as c:
        try:
            ask(c, "SELECT COUNT(*) FROM " + table)
        except pymysql.MySQLError as e:
            return e.args[0] == 1148
        return False


def test_what_is_pushed_reaches_every_instance(suimon, db, shared, tmp_path):
    db.setup("CREATE TABLE a (n INT)", "CREATE TABLE b (n INT)")
    both = [suimon(of(shared, tmp_path, "copy%d" % i)) for i in range(2)]
    assert [state(s)["state"] for s in both] == ["missing"] * 2
    assert push(both[0], DENY % "a") == 1
    for s in both:
        got = in_force(s, 1, lambda x: x["state"] == "current")
        assert got["origin"] == "redis" and got["options"] == ["routing.rules"] and got["key"] == KEY and got["refused"] is None
        assert is_denied(s, db.name, "a") and not is_denied(s, db.name, "b")
        assert s.metrics()["suimon_shared_config_version"] == 1
    assert push(both[1], DENY % "b") == 2
    for s in both:
        in_force(s, 2)
        assert is_denied(s, db.name, "b") and not is_denied(s, db.name, "a")
    late = suimon(of(shared, tmp_path, "late"))  # from its first statement on
    assert state(late)["version"] == 2 and is_denied(late, db.name, "b")
    assert push(both[0], "") == 3  # an empty one: each instance's own file stands
    for s in both:
        in_force(s, 3)
        assert not is_denied(s, db.name, "b")


def test_what_is_pushed_is_there_within_a_second(suimon, shared, tmp_path):
    """At each of four, each time, by its own clock: from before Redis is given it until it is in force there. They are at another
    moment between two looks each time, and wait for nothing else that the machine does."""
    all_of_them = [suimon(of(shared, tmp_path, "copy%d" % i)) for i in range(4)]
    took = []
    with timed.undisturbed(shared, *all_of_them):
        for n in range(1, 13):
            begin = time.time()
            write_raw(shared, n, "stats: {slow: %dms}\n" % n)
            took += [in_force(s, n)["taken"] - begin for s in all_of_them]
            time.sleep(0.041 * n)
    for s in all_of_them:
        assert s.api("/api/config")["config"]["stats"]["slow"] == 0.012
    assert 0 < min(took) and max(took) < 1, sorted(took)


def test_what_the_document_names_stands_instead_of_the_files(suimon, db, shared, tmp_path):
    db.setup("CREATE TABLE a (n INT)")
    s = suimon(merge(of(shared, tmp_path), {"routing": {"consistency": "strong", "rules": [{"match": {"table": "a"}, "to": "deny"}]}}))
    assert is_denied(s, db.name, "a")
    push(s, "routing: {rules: []}\nstats: {slow: 77ms}\n")
    in_force(s, 1)
    config = s.api("/api/config")["config"]
    assert not is_denied(s, db.name, "a")
    assert config["routing"]["consistency"] == "strong" and config["stats"]["slow"] == 0.077
    assert sorted(state(s)["options"]) == ["routing.rules", "stats.slow"]


REFUSED = [
    ("routing:\n  rules:\n    - {match: {tabel: a}, to: deny}\n", "(input):3: routing.rules[0].match.tabel:"),
    ("cache:\n  rules:\n    - {match: {table: a}, ttl: soon}\n    - {ttl: 1s}\n", "(input):3: cache.rules[0].ttl:"),
    ("admin_token: x\n", "(input):1: admin_token: does not belong"),
    ("listen: {mysql: 127.0.0.1:1}\n", "(input):1: listen.mysql: does not belong"),
    ("primary: 127.0.0.1:1\n", "(input):1: primary: does not belong"),
    ("users: [{name: a, password: b}]\n", "(input):1: users: does not belong"),
    ("stats: {slow_log: /tmp/x}\n", "(input):1: stats.slow_log: does not belong"),
    ("config: {source: ''}\n", "(input):1: config.source: does not belong"),
    ("cache:\n  rules:\n    - {match: {query: '${HOME}'}, ttl: 1s}\n", "a variable is a host's own"),
    ("nonsense: 1\n", "(input):1: nonsense: unknown key"),
    ("routing: 5\n", "(input):1: routing: a single value"),
    ("- a\n", "(input):1: yaml: a list"),
    ("a: [", "yaml:"),
]


def test_push_refuses_what_an_instance_would(suimon, shared, tmp_path):
    s = suimon(of(shared, tmp_path), run=False)
    for text, where in REFUSED:
        done = command(s, "-", stdin=text)
        assert done.returncode == 1 and where in done.stderr, done.stderr
    assert command(s, "--show").returncode == 1  # nothing was written


def deep(levels):
    return "cache: {rules: [" * levels


HOSTILE = {
    "binary": bytes(range(256)) * 64,
    "huge": b"# " + b"x" * (2 * 1024 * 1024),
    "deep": ("[" * 100000).encode(),
    "nested": deep(20).encode(),
    "bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((98 + i, 98 + i) + (97 + i,) * 8)
                                                      for i in range(20)),
    "many": b"routing:\n  rules:\n" + b"    - {match: {table: a}, to: primary}\n" * 5000,
    "secret": b"admin_token: very-secret\n",
}


def test_a_hostile_document_changes_nothing(suimon, db, shared, tmp_path):
    db.setup("CREATE TABLE a (n INT)")
    s = suimon(of(shared, tmp_path))
    push(s, DENY % "a")
    in_force(s, 1)
    version = 1
    for name, text in HOSTILE.items():
        version += 1
        write_raw(shared, version, text)
        servers.wait_until("%s to be refused" % name, lambda v=version: (state(s)["refused"] or {}).get("version") == v, 60)
        got = state(s)
        assert got["state"] == "refused" and got["version"] == 1 and got["available"] == version and got["refused"]["faults"]
        assert is_denied(s, db.name, "a")
    write_raw(shared, version + 1, DENY % "b", digest="0" * 64)
    servers.wait_until("a wrong sum to be refused", lambda: (state(s)["refused"] or {}).get("version") == version + 1, 60)
    refused = version  # all of them, each once
    assert s.metrics()['suimon_shared_config_documents_total{result="error"}'] == refused
    assert s.log_text().count("a shared document is refused") == refused
    assert "very-secret" not in s.log_text()
    with open(str(tmp_path / "copy")) as f:
        assert f.read().endswith(DENY % "a")
    for junk in (("HSET", KEY, "version", "many"), ("HSET", KEY, "version", "-1"), ("HSET", KEY, "version", "9" * 30)):
        shared.command(*junk)
        servers.wait_until("the fault to be shown", lambda: "remove it (DEL), then push again" in (state(s)["error"] or ""), 60)
        shared.command("HSET", KEY, "version", str(version + 1))
        servers.wait_until("it to be read again", lambda: not state(s)["error"], 60)
    shared.command("DEL", KEY)
    servers.wait_until("the key to be missed", lambda: state(s)["state"] == "missing", 60)
    shared.command("SET", KEY, "no hash")
    servers.wait_until("the fault to be shown", lambda: "WRONGTYPE" in (state(s)["error"] or ""), 60)
    shared.command("DEL", KEY)
    assert push(s, DENY % "a") == 1  # anew
    in_force(s, 1, lambda x: x["state"] == "current")
    assert is_denied(s, db.name, "a")


class Scripted:
    """Answers as Redis does where VERSION and TEXT are the document, and with an error instead where `error(command, n)` has one for the
    n-th such command."""

    def __init__(self, text, error):
        self.text, self.error, self.asked = text.encode(), error, collections.Counter()
        self.sum = hashlib.sha256(self.text).hexdigest().encode()
        self.socket = socket.create_server((servers.LOOPBACK, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        with contextlib.suppress(OSError), conn, conn.makefile("rb") as f:
            while line := f.readline():
                words = []
                for _ in range(int(line[1:])):
                    n = int(f.readline()[1:])
                    words.append(f.read(n + 2)[:-2])
                conn.sendall(self.answer(words))

    def answer(self, words):
        what = {(b"HMGET", 4): "HEAD", (b"HMGET", 5): "GET", (b"HSTRLEN", 3): "SIZE"}.get((words[0].upper(), len(words)))
        if not what:
            return b"$12\r\n\r\nrun_id:a\r\n\r\n" if words[0].upper() == b"INFO" else b"+OK\r\n"
        self.asked[what] += 1
        error = self.error(what, self.asked[what])
        if error:
            return b"-%s\r\n" % error
        if what == "SIZE":
            return b":%d\r\n" % len(self.text)
        all_of_it = [b"1", self.sum] + ([self.text] if what == "GET" else [])
        return b"*%d\r\n" % len(all_of_it) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in all_of_it)

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("at", ["HEAD", "SIZE", "GET"])
def test_an_error_that_passes_is_no_fault_of_the_document(suimon, tmp_path, at):
    """It is told once, and the document is taken when Redis answers again."""
    redis = Scripted("stats: {slow: 111ms}\n", lambda what, n: what == at and n <= 6 and b"BUSY Redis is busy running a script.")
    try:
        s = suimon(of(redis, tmp_path))
        got = in_force(s, 1, lambda x: x["state"] == "current")
        assert got["refused"] is None and got["error"] is None and redis.asked[at] > 6
        assert s.api("/api/config")["config"]["stats"]["slow"] == 0.111
        log = s.log_text()
        assert log.count("shared documents cannot be read") == 1 and log.count("Redis answers as it should again") == 1
        assert "BUSY Redis is busy" in log and "is refused" not in log
    finally:
        redis.close()


@pytest.mark.parametrize("digest", ["x" * 80, "0" * 65, "0" * 63 + "\0", "0" * 63 + "\0" + "0" * 20, ""])
def test_a_sum_that_is_none_is_told_once(suimon, shared, tmp_path, digest):
    s = suimon(of(shared, tmp_path))
    write_raw(shared, 1, "stats: {slow: 77ms}\n", digest or " ")
    servers.wait_until("it to be refused", lambda: state(s)["state"] == "refused", 60)
    time.sleep(2)
    assert s.log_text().count("a shared document is refused") == 1 and state(s)["state"] == "refused"
    write_raw(shared, 1, "stats: {slow: 77ms}\n")
    in_force(s, 1, lambda x: x["state"] == "current")


def test_redis_gone_leaves_the_last_good_rules_in_force(suimon, db, shared, tmp_path):
    db.setup("CREATE TABLE a (n INT)", "CREATE TABLE b (n INT)")
    s = suimon(of(shared, tmp_path))
    push(s, DENY % "a")
    in_force(s, 1)
    shared.stop()
    servers.wait_until("Redis to be missed", lambda: state(s)["state"] == "unreachable", 60)
    assert is_denied(s, db.name, "a") and s.metrics()["suimon_shared_config_up"] == 0
    assert command(s, "--show").returncode == 2
    assert s.stop() == 0
    s.start()  # without Redis: from disk
    got = state(s)
    assert got["origin"] == "copy" and got["version"] == 1 and got["state"] == "unreachable"
    servers.wait_until("it to be said why", lambda: "Connection refused" in (state(s)["error"] or ""), 60)
    assert is_denied(s, db.name, "a")
    shared.start()  # empty: it keeps nothing
    servers.wait_until("Redis to answer", lambda: state(s)["state"] == "missing", 60)
    assert state(s)["error"] is None
    assert is_denied(s, db.name, "a")
    assert push(s, DENY % "b") == 1  # the same number, another document
    in_force(s, 1, lambda x: x["origin"] == "redis")
    assert is_denied(s, db.name, "b") and not is_denied(s, db.name, "a")


def test_without_a_queue_they_are_kept_in_the_states_directory(suimon, shared, tmp_path, monkeypatch):
    """As the chart has it without a queue: a volume as $STATE_DIRECTORY, and none for queue.dir."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    s = suimon({"config": {"source": source(shared)}, "queue": {"dir": str(tmp_path / "none")}})
    push(s, "stats: {slow: 77ms}\n")
    in_force(s, 1)
    assert s.stop() == 0
    shared.stop()
    s.start()
    assert state(s)["origin"] == "copy" and s.api("/api/config")["config"]["stats"]["slow"] == 0.077
    assert "shared-config" in {f.name for f in (tmp_path / "state").iterdir()} and not (tmp_path / "none").exists()


def test_a_damaged_copy_is_not_used(suimon, shared, tmp_path):
    s = suimon(of(shared, tmp_path))
    push(s, "stats: {slow: 77ms}\n")
    in_force(s, 1)
    shared.stop()
    path = str(tmp_path / "copy")
    with open(path, "rb") as f:
        text = f.read()
    damaged = [text.replace(b"77ms", b"78ms"), text.replace(KEY.encode(), b"other")]  # tests/unit/fleet_test.c has more
    for n, damage in enumerate(damaged):
        assert s.stop() == 0
        with open(path, "wb") as f:
            f.write(damage)
        s.start()
        assert state(s)["version"] == 0 and s.api("/api/config")["config"]["stats"]["slow"] == 0.2
        assert s.log_text().count("what is kept on disk of shared rules is not used") == n + 1


def test_what_a_crash_has_left_beside_the_copy_is_removed(suimon, shared, tmp_path):
    s = suimon(of(shared, tmp_path), run=False)
    stale, fresh = (tmp_path / ("copy.%016x.new" % n) for n in range(2))
    for path in (stale, fresh):
        path.write_bytes(b"half")
    os.utime(str(stale), (time.time() - 4000,) * 2)
    s.start()
    assert not stale.exists() and fresh.exists()


def test_a_copy_that_cannot_be_written_is_told(suimon, shared, tmp_path):
    copy = tmp_path / "away" / "copy"
    copy.parent.mkdir()
    s = suimon({"config": {"source": source(shared), "copy": str(copy)}})
    push(s, "stats: {slow: 77ms}\n")
    in_force(s, 1)
    copy.parent.rename(tmp_path / "aside")
    push(s, "stats: {slow: 78ms}\n")
    in_force(s, 2)
    assert s.metrics()["suimon_shared_config_copy_failures_total"] >= 1
    assert "cannot be kept on disk" in s.log_text()
    (tmp_path / "aside").rename(copy.parent)
    servers.wait_until("it to be written after all", lambda: "slow: 78ms" in copy.read_text(), 60)
    servers.wait_until("that to be said", lambda: "is kept on disk again" in s.log_text(), 60)
    assert s.log_text().count("cannot be kept on disk") == 1


def overtaken(suimon, shared, tmp_path):
    """One that could not keep its document on disk, and its copy, which another instance has written meanwhile."""
    copy = tmp_path / "away" / "copy"
    copy.parent.mkdir()
    s = suimon({"config": {"source": source(shared), "copy": str(copy)}})
    copy.parent.rename(tmp_path / "aside")
    push(s, "stats: {slow: 77ms}\n")
    in_force(s, 1)
    (tmp_path / "aside").rename(copy.parent)
    copy.write_text("another's")
    return s, copy


def test_a_copy_that_another_has_written_meanwhile_is_left_alone(suimon, shared, tmp_path):
    """It may be of a later document, which this instance has not."""
    s, copy = overtaken(suimon, shared, tmp_path)
    servers.wait_until("that to be said", lambda: "written by another instance" in s.log_text(), 60)
    assert copy.read_text() == "another's"


def test_a_copy_that_another_wrote_before_there_was_a_newer_document_is_written_over(suimon, shared, tmp_path):
    s, copy = overtaken(suimon, shared, tmp_path)
    copy.parent.rename(tmp_path / "aside")
    push(s, "stats: {slow: 78ms}\n")
    in_force(s, 2)
    assert s.metrics()["suimon_shared_config_copy_failures_total"] >= 2
    (tmp_path / "aside").rename(copy.parent)
    servers.wait_until("it to be written", lambda: "slow: 78ms" in copy.read_text(), 60)
    assert "written by another instance" not in s.log_text()


def test_a_copy_from_before_the_clock_was_set_back_is_nobody_elses(suimon, shared, tmp_path):
    copy = tmp_path / "away" / "copy"
    copy.parent.mkdir()
    s = suimon({"config": {"source": source(shared), "copy": str(copy)}})
    push(s, "stats: {slow: 77ms}\n")
    servers.wait_until("it to be kept", copy.exists, 60)
    os.utime(copy, (time.time() + 3600,) * 2)
    copy.parent.rename(tmp_path / "aside")
    push(s, "stats: {slow: 78ms}\n")
    in_force(s, 2)
    servers.wait_until("that to fail", lambda: "cannot be kept on disk" in s.log_text(), 60)
    (tmp_path / "aside").rename(copy.parent)
    servers.wait_until("it to be written", lambda: "slow: 78ms" in copy.read_text(), 60)


def test_a_reload_takes_both(suimon, db, shared, tmp_path):
    db.setup("CREATE TABLE a (n INT)")
    changes = of(shared, tmp_path)
    s = suimon(merge(changes, {"backend": {"pool": {"max": 50}}}))
    other = suimon(changes, run=False)  # a host with a larger pool
    push(s, DENY % "a")
    in_force(s, 1)
    s.write(merge(s.config, {"stats": {"slow": "66ms"}}))
    os.kill(s.process.pid, signal.SIGHUP)
    servers.wait_until("the file's change", lambda: s.api("/api/config")["config"]["stats"]["slow"] == 0.066, 60)
    assert is_denied(s, db.name, "a")
    push(other, DENY % "a" + "backend: {pool: {min_idle: 100}}\n")  # too many for s alone
    servers.wait_until("it to be refused", lambda: state(s)["state"] == "refused", 60)
    assert "backend.pool.min_idle" in state(s)["refused"]["faults"][0] and KEY + "@2:" in state(s)["refused"]["faults"][0]
    good = s.config
    with open(s.file, "a") as f:
        f.write("nonsense: 1\n")
    assert s.http("/api/config/reload", data={})[0] == 409
    assert state(s)["version"] == 1 and is_denied(s, db.name, "a")
    s.write(merge(good, {"backend": {"pool": {"max": 120}}}))
    assert s.http("/api/config/reload", data={})[0] == 200
    in_force(s, 2, lambda x: x["state"] == "current" and x["refused"] is None)


def test_a_new_process_goes_on_with_them(line, shared, tmp_path, db):  # noqa: F811
    db.setup("CREATE TABLE a (n INT)", "CREATE TABLE b (n INT)")
    it = line(of(shared, tmp_path))
    push(it.instance, DENY % "a")
    in_force(it.instance, 1)
    with it.instance.connect(database=db.name) as c:
        it.upgrade()
        assert state(it.instance)["version"] == 1 and is_denied(it.instance, db.name, "a")
        push(it.instance, DENY % "b")
        in_force(it.instance, 2)
        assert is_denied(it.instance, db.name, "b")
        servers.wait_until("the old process to have it, too", lambda: it.said("key=%s version=2" % KEY) == 2, 60)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "SELECT * FROM b")
        assert e.value.args[0] == 1148
    assert it.ended(it.pids[0]) == 0


def test_a_new_process_goes_on_with_them_whatever_redis_says(line, shared, tmp_path, db):  # noqa: F811
    """What was in force stays when Redis is away, or has lost the key: over an upgrade, too, and where there is no copy."""
    db.setup("CREATE TABLE a (n INT)")
    it = line(merge(of(shared, tmp_path), {"config": {"copy": "off"}}))
    push(it.instance, DENY % "a")
    push(it.instance, DENY % "a" + "stats: {slow: 77ms}\n")
    in_force(it.instance, 2)
    shared.stop()
    try:
        it.upgrade()
        assert state(it.instance)["version"] == 2 and is_denied(it.instance, db.name, "a")
    finally:
        shared.start()
    servers.wait_until("Redis to be asked", lambda: state(it.instance)["state"] == "missing", 30)
    it.upgrade()
    assert state(it.instance)["version"] == 2 and is_denied(it.instance, db.name, "a")
    push(it.instance, DENY % "b", "--expect", "0")
    servers.wait_until("what is pushed", lambda: not is_denied(it.instance, db.name, "a"), 30)


def test_what_a_new_process_was_given_it_keeps_on_disk(line, shared, tmp_path, db):  # noqa: F811
    db.setup("CREATE TABLE a (n INT)")
    it = line(of(shared, tmp_path))
    push(it.instance, DENY % "a")
    in_force(it.instance, 1)
    shared.stop()
    try:
        os.remove(tmp_path / "copy")
        it.upgrade()
        assert state(it.instance)["origin"] == "copy" and is_denied(it.instance, db.name, "a")
        assert DENY % "a" in (tmp_path / "copy").read_text()
    finally:
        shared.start()


def test_a_new_process_that_refuses_them_does_not_take_over(line, shared, tmp_path, db):  # noqa: F811
    db.setup("CREATE TABLE a (n INT)")
    it = line(merge(of(shared, tmp_path), {"config": {"copy": "off"}, "backend": {"pool": {"max": 120}}}))
    push(it.instance, DENY % "a" + "backend: {pool: {min_idle: 100}}\n")
    in_force(it.instance, 1)
    shared.stop()
    try:
        it.instance.write(merge(it.instance.config, {"backend": {"pool": {"max": 50}}}))  # too few for what is shared
        os.kill(it.pids[0], signal.SIGUSR2)
        servers.wait_until("the old one to go on", lambda: it.said("does not take over: this one goes on") == 1, 60)
        assert it.said("what they deny must not be allowed by an upgrade") == 1
        assert is_denied(it.instance, db.name, "a")
    finally:
        shared.start()


def test_the_command(suimon, shared, tmp_path):
    s = suimon(of(shared, tmp_path), run=False)
    first, second = "stats: {slow: 1ms}\n# one\n", "stats: {slow: 2ms}\n# one\n"
    done = command(s, "--dry-run", "-", stdin=first)
    assert done.returncode == 0 and "+stats: {slow: 1ms}" in done.stdout and "nothing was written" in done.stdout
    assert command(s, "--show").returncode == 1
    assert push(s, first, "--expect", "0") == 1
    done = command(s, "--expect", "0", "-", stdin=second)
    assert done.returncode == 1 and "version 1 is there, not 0" in done.stderr
    done = command(s, "-", stdin=second, author="")
    assert done.returncode == 0 and done.stdout == "@ line 1\n-stats: {slow: 1ms}\n+stats: {slow: 2ms}\nversion 2\n"
    assert command(s, "--show").stdout == second and command(s, "--show", "1").stdout == first
    rows = command(s, "--history").stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["2", "1"]
    assert " uid:%d@" % os.geteuid() in rows[0] and " writer@" in rows[1]
    done = command(s, "--rollback", "1")
    assert done.returncode == 0 and done.stdout.endswith("version 3\n") and command(s, "--show").stdout == first
    for n in range(12):
        push(s, "stats: {slow: %dms}\n" % (n + 10))
    assert [row.split()[0] for row in command(s, "--history").stdout.splitlines()] == [str(v) for v in range(15, 5, -1)]
    done = command(s, "--rollback", "2")
    assert done.returncode == 1 and "no version 2" in done.stderr
    for words in ([], ["--rollback"], ["--expect", "-1", "-"], ["a", "b"], ["--show", "0"]):
        assert command(s, *words).returncode == 1
    assert subprocess.run([s.binary, "push-config", "-"], capture_output=True, timeout=60).returncode == 1


def test_it_needs_few_rights_and_tells_no_password(suimon, shared, tmp_path):
    rights = ["~" + KEY, "+hmget", "+hstrlen", "+info", "+select"]
    assert shared.command("ACL", "SETUSER", "reader", "on", ">read-secret", *rights).startswith("+OK")
    assert shared.command("ACL", "SETUSER", "writer", "on", ">write-secret", *rights, "+eval", "+hget", "+hset", "+hdel").startswith("+OK")
    s = suimon({"config": {"source": source(shared, "reader:read-secret@"), "copy": "off"}})
    writer = suimon({"config": {"source": source(shared, "writer:write-secret@"), "copy": "off"}}, run=False)
    done = command(s, "-", stdin="stats: {slow: 1ms}\n")
    assert done.returncode == 2 and "NOPERM" in done.stderr
    push(writer, "stats: {slow: 1ms}\n")
    in_force(s, 1)
    assert shared.command("ACL", "SETUSER", "reader", "off").startswith("+OK")
    shared.command("CLIENT", "KILL", "USER", "reader")
    servers.wait_until("Redis to refuse it", lambda: state(s)["state"] == "unreachable", 60)
    told = s.log_text() + json.dumps(s.api("/api/config")) + done.stderr + done.stdout
    assert "read-secret" not in told and "write-secret" not in told


def test_the_key_of_a_cluster(suimon, tmp_path):
    redis = servers.Redis(str(tmp_path), "node")
    redis.process.argv += ["--cluster-enabled", "yes"]
    redis.start()
    try:
        assert redis.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383").startswith("+OK")
        servers.wait_until("the cluster to be whole", lambda: "cluster_state:ok" in redis.command("CLUSTER", "INFO"), 30)
        s = suimon({"config": {"source": "redis+cluster://%s:%d/%s" % (servers.LOOPBACK, redis.port, KEY), "copy": "off"}})
        push(s, "stats: {slow: 1ms}\n")
        in_force(s, 1)
    finally:
        redis.stop()


NO_SOURCES = ["redis://127.0.0.1:6379", "redis://127.0.0.1:6379/", "redis://127.0.0.1:6379/3/", "http://127.0.0.1/key",
              "redis://127.0.0.1:6379/a key", "redis://:p@/key", "redis+cluster://127.0.0.1:6379/0/key"]


def queue_rules(db):
    return "queue:\n  rules:\n    - {match: {table: %s.log, verb: insert}}\n" % db.name


def enqueued(s):
    return s.metrics()["suimon_queue_enqueued_total"]


def test_rules_of_the_queue_are_taken_where_the_host_has_an_account_for_it(suimon, db, shared, tmp_path):
    """Q1: its directory is open from the start on, and nothing is queued before a rule says so, or after none does."""
    db.setup("CREATE TABLE log (n INT)")
    queue = {"queue": {"dir": str(tmp_path / "queue"), "user": {"name": "suimon_queue", "password": "suimon_queue"}}}
    (tmp_path / "queue").mkdir()
    s = suimon(merge(of(shared, tmp_path), queue))
    with s.connect(database=db.name) as c:
        ask(c, "INSERT INTO log VALUES (1)")
        assert enqueued(s) == 0
        assert "restart" not in command(s, "--dry-run", "-", stdin=queue_rules(db)).stderr
        push(s, queue_rules(db))
        in_force(s, 1)
        servers.wait_until("a write in the queue", lambda: ask(c, "INSERT INTO log VALUES (2)") == () and enqueued(s), 30, 0.2)
        push(s, "")
        in_force(s, 2)
        before = enqueued(s)
        ask(c, "INSERT INTO log VALUES (3)")
        assert enqueued(s) == before
        assert {n for n, in ask(c, "SELECT n FROM log")} == {1, 2, 3}


def test_rules_of_the_queue_want_a_restart_where_it_has_none(suimon, db, shared, tmp_path):
    db.setup("CREATE TABLE log (n INT)")
    queue = {"queue": {"dir": str(tmp_path / "queue")}, "backend": {"monitor": {"user": "suimon_queue", "password": "suimon_queue"}}}
    (tmp_path / "queue").mkdir()
    s = suimon(merge(of(shared, tmp_path), queue))
    done = command(s, "-", stdin=queue_rules(db))
    assert done.returncode == 0 and "refuses this version until it is restarted" in done.stderr
    servers.wait_until("it to be refused", lambda: state(s)["state"] == "refused", 60)
    assert "queue.rules: only a restart" in state(s)["refused"]["faults"][0]
    assert s.stop() == 0
    s.start()
    assert state(s)["version"] == 1
    with s.connect(database=db.name) as c:
        servers.wait_until("a write in the queue", lambda: ask(c, "INSERT INTO log VALUES (1)") == () and enqueued(s), 30, 0.2)


def test_a_queue_that_only_shared_rules_might_want_is_no_reason_not_to_start(suimon, shared, tmp_path):
    (tmp_path / "file").write_text("no folder")
    queue = {"dir": str(tmp_path / "file" / "queue"), "user": {"name": "suimon_queue", "password": "suimon_queue"}}
    s = suimon(merge(of(shared, tmp_path), {"queue": queue}))
    assert "the queue cannot be opened: shared rules for it are refused until a restart" in s.log_text()


def test_redis_by_tls(suimon, tmp_path):
    (tmp_path / "pki").mkdir()
    (tmp_path / "other").mkdir()
    ca, stranger, port = Authority(tmp_path / "pki"), Authority(tmp_path / "other"), servers.free_port()
    pair = ca.issue("redis")
    redis = servers.Redis(str(tmp_path), "secured")
    redis.process.argv += ["--tls-port", str(port), "--tls-cert-file", pair.cert, "--tls-key-file", pair.key, "--tls-ca-cert-file", ca.cert,
                           "--tls-auth-clients", "no"]
    redis.start()
    try:
        def by(authority):
            return {"config": {"source": "rediss://%s:%d/0/%s?ca=%s" % (servers.LOOPBACK, port, KEY, authority.cert), "copy": "off"}}
        assert redis.command("CONFIG", "SET", "requirepass", "the password").startswith("+OK")
        secret = by(ca)
        secret["config"]["source"] = secret["config"]["source"].replace("://", "://:the%20password@")
        s = suimon(secret)
        push(s, "stats: {slow: 77ms}\n")
        in_force(s, 1, lambda x: x["state"] == "current")
        assert s.api("/api/config")["config"]["stats"]["slow"] == 0.077
        assert "the password" not in s.log_text() and "the%20password" not in json.dumps(s.api("/api/config"))
        fooled = suimon(by(stranger))  # whose certificate is not the one that the server shows
        assert state(fooled)["state"] == "unreachable" and state(fooled)["version"] == 0
        done = command(fooled, "--show")
        assert done.returncode == 2
    finally:
        redis.stop()


def test_a_source_that_is_none_is_a_fault(tmp_path):
    path = tmp_path / "suimon.yaml"
    for url in NO_SOURCES:
        path.write_text("primary: 127.0.0.1:1\nconfig: {source: '%s'}\n" % url)
        done = subprocess.run([servers.find_suimon(), "check", "-c", str(path)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "config.source: " in done.stderr, (url, done.stderr)
