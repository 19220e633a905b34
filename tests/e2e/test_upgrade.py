"""Upgrade in place: a new process takes the sockets and the queue over, the old one serves its sessions to their end (C1, Q1, Q2, Q3)."""
import contextlib
import ctypes
import os
import re
import signal
import socket
import threading
import time

import pymysql
import pytest

from conftest import _SANITIZER, ask, merge
from relay import Relay
from test_supervisor import listening, supervised, supervisor  # noqa: F401 (a fixture)
import servers

PR_SET_CHILD_SUBREAPER = 36
SYS_PIDFD_GETFD = 438
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # successors are orphans, and nobody else tells how they ended


class Line:
    """The processes of one instance, one after the other."""

    def __init__(self, instance):
        self.instance = instance
        instance.judged = True
        self.pids = [instance.process.pid]

    def said(self, what):
        return self.instance.log_text().count(what)

    def newest(self):
        """The id of the new process that was started last."""
        return int(re.findall(r"a new process starts pid=(\d+)", self.instance.log_text())[-1])

    def dies(self, pid):
        """Kills a new process, whose parent hears of it."""
        os.kill(pid, signal.SIGKILL)
        self.pids.remove(pid)

    def begun(self, number=1):
        """Waits for that many new processes, of which the last stands before its last word (upgrade-serving:stop); its id."""
        servers.wait_until("a new process", lambda: self.said("a new process starts") == number, 60)
        servers.wait_until("it to stand before its last word", lambda: is_stopped(self.newest()), 60)
        return self.newest()

    def upgrade(self):
        """Gives the new process' id, once it serves."""
        self.pids.append(self.instance.upgrade(self.pids[-1]))
        return self.pids[-1]

    def ended(self, pid):
        """Waits for the process to end by itself; its exit code."""
        self.pids.remove(pid)
        return self._wait(pid)

    @staticmethod
    def _wait(pid):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                found, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                if os.path.exists("/proc/%d" % pid):  # its parent lives
                    time.sleep(0.02)
                    continue
                return 0  # its parent has heard how it ended; the log is looked at in the end
            if found == pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        raise servers.ServerError("process %d does not end" % pid)

    def end(self):
        for pid in reversed(self.pids):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        codes = [self._wait(pid) for pid in self.pids]
        found = _SANITIZER.search(self.instance.log_text())
        assert not found, self.instance.log_text()[max(0, found.start() - 200):found.start() + 6000]
        assert set(codes) <= {0}, codes


@pytest.fixture
def line(suimon):
    made = []

    def make(changes=None):
        made.append(Line(suimon(changes)))
        return made[-1]
    yield make
    for each in made:
        each.end()


class Client(threading.Thread):
    """Says what failed; `short` connects for every statement, else it keeps its session and runs transactions."""

    def __init__(self, instance, schema, number, short):
        super().__init__(daemon=True)
        self.instance, self.schema, self.number, self.short = instance, schema, number, short
        self.stop = threading.Event()
        self.written, self.queued, self.failed = 0, 0, []

    def run(self):
        try:
            while not self.stop.is_set():
                with self.instance.connect(database=self.schema) as c:
                    self.use(c)
        except Exception as e:  # whatever it is, it is a failure
            self.failed.append("%s %r" % ("short" if self.short else "long", e))

    def use(self, c):
        while True:
            c.begin()
            ask(c, "INSERT INTO t VALUES (%s, %s)", (self.number, self.written))
            c.commit()
            self.written += 1
            ask(c, "INSERT INTO log VALUES (%s, %s)", (self.number, self.queued))
            self.queued += 1
            assert ask(c, "SELECT COUNT(*) FROM log WHERE who = %s", (self.number,)) == ((self.queued,),)
            if self.short or self.stop.is_set():
                return


QUEUE = {"queue": {"rules": [{"match": {"verb": "insert", "query": "into log"}}]}}


def test_nothing_fails_while_processes_follow_each_other_under_load(line, db):
    db.setup("CREATE TABLE t (who INT, n INT, PRIMARY KEY (who, n))", "CREATE TABLE log (who INT, n INT, PRIMARY KEY (who, n))")
    it = line(merge(QUEUE, {"upgrade_timeout": "300s"}))
    clients = [Client(it.instance, db.name, i, i % 2 == 0) for i in range(12)]
    for c in clients:
        c.start()
    try:
        for _ in range(2):
            done = [c.written for c in clients]
            servers.wait_until("every client to have written", lambda: all(c.written > n or c.failed for c, n in zip(clients, done)), 60)
            it.upgrade()
        done = [c.written for c in clients]
        servers.wait_until("every client to have written", lambda: all(c.written > n or c.failed for c, n in zip(clients, done)), 60)
    finally:
        for c in clients:
            c.stop.set()
        for c in clients:
            c.join(60)
    assert [f for c in clients for f in c.failed] == []
    first, second = it.pids[:2]
    assert it.ended(first) == 0 and it.ended(second) == 0 # with the last of their sessions
    servers.wait_until("the queue to be applied", lambda: it.instance.api("/api/queue")["depth"] == 0, 60)
    assert db.primary("SELECT COUNT(*) FROM log") == ((sum(c.queued for c in clients),),)
    assert db.primary("SELECT COUNT(*) FROM t") == ((sum(c.written for c in clients),),)


def test_a_session_of_the_old_process_goes_on_and_sees_what_it_queued(line, db):
    db.setup("CREATE TABLE log (n INT)")
    it = line(QUEUE)
    c = it.instance.connect(database=db.name)
    ask(c, "INSERT INTO log VALUES (0)")  # its shape is checked
    assert it.instance.http("/api/queue/pause", data={})[0] == 200
    ask(c, "INSERT INTO log VALUES (1)")
    old = it.pids[0]
    it.upgrade()
    assert it.instance.api("/api/queue")["state"] == "paused"
    with pytest.raises(pymysql.MySQLError) as e:  # behind its own, which nobody applies
        ask(c, "INSERT INTO log VALUES (2)")
    assert "not applied yet" in e.value.args[1]
    assert it.instance.http("/api/queue/resume", data={})[0] == 200
    ask(c, "INSERT INTO log VALUES (3)")
    assert ask(c, "SELECT n FROM log ORDER BY n") == ((0,), (1,), (3,))
    assert it.instance.metrics()["suimon_upgrade_overlap"] == 1
    c.close()
    assert it.ended(old) == 0
    servers.wait_until("the new one to know", lambda: it.instance.metrics()["suimon_upgrade_overlap"] == 0, 30)


LAGS = {"routing": {"consistency": "session"}, "backend": {"monitor": {"max_lag": "5m"}}}  # replicas that are behind are read


def one_row(db, more=None):
    """A table t of one row, and how it is answered from memory: without more, of what the primary said alone."""
    db.setup("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1)")
    return merge({"cache": {"rules": [{"match": {"table": "%s.t" % db.name}, "ttl": "1h"}]}, "routing": {"consistency": "strong"}}, more or {})


def answered_by(instance, route):
    return instance.metrics().get('suimon_queries_total{route="%s"}' % route, 0)


def rests_for_now(instance, db, c):
    """C1: memory answers nothing while somebody of whom it hears nothing writes; later it does."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert ask(c, "SELECT n FROM t") == db.primary("SELECT n FROM t")
        db.primary("UPDATE t SET n = n + 1")  # as a statement of another process' session
    servers.wait_until("a hit", lambda: ask(c, "SELECT n FROM t") == db.primary("SELECT n FROM t") and answered_by(instance, "cache") > 0, 60)


def read_for(c, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ask(c, "SELECT n FROM t")
        time.sleep(0.02)


def sees(instance, db, n, seconds):
    """Whoever comes, each with a session of its own: that is what a hit, or what is stored, would have shown (C1)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with instance.connect(database=db.name) as c:
            assert ask(c, "SELECT n FROM t") == ((n,),)


def replicas_keep_their_part(instance, db, n):
    """Where positions say that they have all, and while memory rests."""
    before = answered_by(instance, "replica")
    with instance.connect(database=db.name) as c:
        servers.wait_until("reads of a replica", lambda: ask(c, "SELECT n FROM t") == ((n,),) and answered_by(instance, "replica") > before + 5, 8)
    assert instance.metrics()["suimon_cache_rests"] == 1


def stored_nothing_old(c):
    """C2: of what a replica said when it had not applied `SET n = 2`, which it has now."""
    servers.wait_until("what was written", lambda: ask(c, "SELECT n FROM t") == ((2,),), 30)
    assert all(ask(c, "SELECT n FROM t") == ((2,),) for _ in range(20))


def test_what_one_writes_the_other_does_not_answer_from_memory(line, db):
    it = line(one_row(db))
    with it.instance.connect(database=db.name) as old:
        assert ask(old, "SELECT n FROM t") == ((1,),)
        it.upgrade()
        with it.instance.connect(database=db.name) as new:
            for n in range(2, 12):
                writer, reader = (old, new) if n % 2 else (new, old)
                ask(writer, "UPDATE t SET n = %s", (n,))
                assert ask(reader, "SELECT n FROM t") == ask(writer, "SELECT n FROM t") == ((n,),)
    it.ended(it.pids[0])
    servers.wait_until("the new one to know", lambda: it.instance.metrics()["suimon_upgrade_overlap"] == 0, 30)
    with it.instance.connect(database=db.name) as c:
        servers.wait_until("a hit", lambda: ask(c, "SELECT n FROM t") == ((11,),) and
                           answered_by(it.instance, "cache") > 0, 30)


def test_when_memory_answers_again_it_believes_no_replica_that_lacks_what_the_other_wrote(line, db):
    """C1, C2: nobody has told the new process of it."""
    it = line(one_row(db, LAGS))
    old = it.instance.connect(database=db.name)
    assert ask(old, "SELECT n FROM t") == ((1,),)
    it.upgrade()
    with it.instance.connect(database=db.name) as new:
        with db.cluster.replica_behind():
            ask(old, "UPDATE t SET n = 2")
            old.close()
            servers.wait_until("the new one to know", lambda: it.instance.metrics()["suimon_upgrade_overlap"] == 0, 30)
            sees(it.instance, db, 2, 1)
            read_for(new, 13)  # it rests ten seconds
        stored_nothing_old(new)


def test_beside_another_process_no_replica_is_read_that_the_primary_is_known_to_be_past(line, db):
    """Neither of them is told of the other's writes, but for the position that the monitor hears each interval. The replica keeps its part."""
    it = line(one_row(db, LAGS))
    with it.instance.connect(database=db.name) as old, it.instance.connect(database=db.name) as kept:
        assert ask(old, "SELECT n FROM t") == ask(kept, "SELECT n FROM t") == ((1,),)
        it.upgrade()
        with db.cluster.replica_behind():
            ask(old, "UPDATE t SET n = 2")
            time.sleep(2)  # ten intervals
            sees(it.instance, db, 2, 1)
            with it.instance.connect(database=db.name) as new:
                ask(new, "UPDATE t SET n = 3")
                sees(it.instance, db, 3, 0.5)
            time.sleep(2)
            assert ask(kept, "SELECT n FROM t") == ((3,),)
        replicas_keep_their_part(it.instance, db, 3)


def test_memory_rests_a_little_longer_than_the_former_process_lives(line, db):
    """C1: a server may still be at what that one sent."""
    it = line(one_row(db))
    old = it.instance.connect(database=db.name)
    ask(old, "SELECT n FROM t")
    it.upgrade()
    with it.instance.connect(database=db.name) as c:
        old.close()
        servers.wait_until("the new one to know", lambda: it.said("the former process has ended") == 1, 30)
        rests_for_now(it.instance, db, c)


def test_nor_does_one_that_is_started_anew(suimon, db):
    """C2: what was written before it began."""
    s = suimon(one_row(db, LAGS))
    with db.cluster.replica_behind():
        with s.connect(database=db.name) as c:
            ask(c, "UPDATE t SET n = 2")
        s.stop()
        s.start()
        with s.connect(database=db.name) as c:
            read_for(c, 2)
    with s.connect(database=db.name) as c:
        stored_nothing_old(c)


@pytest.fixture
def state(tmp_path, monkeypatch):
    """What systemd keeps for a service; the file that says that a process serves, or has not ended in order."""
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state" / "running"


def test_memory_rests_at_the_start_behind_a_process_that_was_killed(suimon, db, state):
    """C1: a server may still be at what that one sent."""
    s = suimon(one_row(db))
    assert state.exists()
    with s.connect(database=db.name) as c:
        ask(c, "SELECT n FROM t")
    s.process.kill()
    s.start()
    with s.connect(database=db.name) as c:
        rests_for_now(s, db, c)
    assert s.log_text().count("memory rests for ten seconds") == 1


@contextlib.contextmanager
def resting_behind_a_killed_one(suimon, db, config):
    """That had written n = 2, which the replica has only behind the block: memory rests throughout."""
    s = suimon(one_row(db, config))
    with db.cluster.replica_behind():
        with s.connect(database=db.name) as c:
            ask(c, "UPDATE t SET n = 2")
            s.process.kill()
        s.start()
        yield s
        assert s.metrics()["suimon_cache_rests"] == 1


def test_while_memory_rests_no_replica_is_read_that_lacks_what_the_killed_one_acknowledged(suimon, db, state):
    """C1: also before the monitor has told where the primary is."""
    with resting_behind_a_killed_one(suimon, db, LAGS) as s:
        sees(s, db, 2, 2)
    replicas_keep_their_part(s, db, 2)


def test_an_eventual_read_asks_for_none_of_it_while_memory_rests(suimon, db, state):
    with resting_behind_a_killed_one(suimon, db, merge(LAGS, {"routing": {"consistency": "eventual"}})) as s:
        sees(s, db, 1, 1)


@pytest.mark.parametrize("when", ["while memory rests", "later"])
def test_memory_rests_at_the_start_behind_a_drain_that_cut_a_write(suimon, db, state, when):
    """C1: it waits for a lock, and is committed when the next process has begun, or has stored what was there before."""
    s = suimon(one_row(db, {"drain_timeout": "1s"}))
    c = s.connect(database=db.name)
    with db.cluster.primary.root(database=db.name, autocommit=False) as lock:
        ask(lock, "SELECT n FROM t FOR UPDATE")
        writer = threading.Thread(target=lambda: pytest.raises(pymysql.MySQLError, ask, c, "UPDATE t SET n = n + 10"), daemon=True)
        writer.start()
        servers.wait_until("the write to wait", lambda: db.primary("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE"
                                                                   " 'UPDATE t SET n = n + 10%%'") == ((1,),), 30)
        s.stop()
        writer.join(30)
        assert state.exists()
        s.start()
        with s.connect(database=db.name) as d:
            before = ask(d, "SELECT n FROM t")
            if when == "later":
                servers.wait_until("a hit", lambda: ask(d, "SELECT n FROM t") == before and answered_by(s, "cache") > 0, 30)
            lock.rollback()
            servers.wait_until("the write", lambda: db.primary("SELECT n FROM t") != before, 30)
            if when == "later":  # as of any write that nobody sees the end of (test_late_writes.py)
                servers.wait_until("it to be seen", lambda: ask(d, "SELECT n FROM t") != before, 60)
            assert ask(d, "SELECT n FROM t") == db.primary("SELECT n FROM t") == ((11,),)


def test_memory_does_not_rest_where_redis_knows_of_a_killed_process(suimon, db, state):
    """What it was writing is announced there (cache.md, section 3)."""
    s = suimon(one_row(db, {"cache": {"redis": db.cluster.redis.url}}))
    s.process.kill()
    assert state.exists()
    s.start()
    assert s.metrics()["suimon_cache_rests"] == 0
    s.process.kill()
    state.write_bytes(b"")  # one that told no Redis, or of which that is not known
    s.start()
    assert s.metrics()["suimon_cache_rests"] == 1


def test_memory_does_not_rest_behind_a_process_that_ended_in_order(suimon, line, db, state):
    it = line(one_row(db, {"upgrade_timeout": "300s"}))
    with it.instance.connect(database=db.name) as c:
        ask(c, "SELECT n FROM t")
    it.upgrade()
    assert it.ended(it.pids[0]) == 0
    assert state.exists()  # it is the new one's
    servers.wait_until("its rest to be over", lambda: it.instance.metrics()["suimon_cache_rests"] == 0, 30)
    os.kill(it.pids[0], signal.SIGTERM)
    assert it.ended(it.pids[0]) == 0
    assert not state.exists()
    s = suimon(it.instance.config)
    assert s.metrics()["suimon_cache_rests"] == 0


@pytest.mark.parametrize("shared", ["before", "after"])
def test_memory_rests_also_where_only_one_has_a_redis(line, db, shared):
    """C1: nobody tells the one in Redis of what the other writes."""
    config = one_row(db)
    redis = {"cache": {"redis": db.cluster.redis.url}}
    it = line(merge(config, redis) if shared == "before" else config)
    with it.instance.connect(database=db.name) as old:
        servers.wait_until("a hit", lambda: ask(old, "SELECT n FROM t") == ((1,),) and
                           answered_by(it.instance, "cache") > 0, 30)
        it.instance.write(merge(it.instance.config, redis if shared == "after" else {"cache": {"redis": ""}}))
        it.upgrade()
        with it.instance.connect(database=db.name) as new:
            for n in range(2, 12):
                writer, reader = (old, new) if n % 2 else (new, old)
                ask(writer, "UPDATE t SET n = %s", (n,))
                assert ask(reader, "SELECT n FROM t") == ask(writer, "SELECT n FROM t") == ((n,),)


def test_memory_goes_on_resting_when_the_eldest_of_three_ends(line, db):
    """C1: the second has lost its former, but has a successor."""
    it = line(one_row(db))
    first = it.instance.connect(database=db.name)
    ask(first, "SELECT n FROM t")
    it.upgrade()
    with it.instance.connect(database=db.name) as second:
        ask(second, "SELECT n FROM t")
        it.upgrade()
        first.close()
        servers.wait_until("the second to know", lambda: it.said("the former process has ended") == 1, 30)
        with it.instance.connect(database=db.name) as third:
            for n in range(2, 12):
                assert ask(second, "SELECT n FROM t") == ((n - 1,),)
                ask(third, "UPDATE t SET n = %s", (n,))
                assert ask(second, "SELECT n FROM t") == ((n,),)


def test_a_new_process_that_cannot_start_changes_nothing(line, db):
    it = line()
    with it.instance.connect(database=db.name) as c:
        good = it.instance.config
        it.instance.write(merge(good, {"routing": {"consistency": "perhaps"}}))
        os.kill(it.pids[0], signal.SIGUSR2)
        servers.wait_until("the failure to be counted", lambda: it.instance.metrics()["suimon_upgrade_failures_total"] == 1, 60)
        assert "does not take over: this one goes on" in it.instance.log_text()
        assert ask(c, "SELECT 1") == ((1,),)
        with it.instance.connect() as other:
            assert ask(other, "SELECT 2") == ((2,),)
        it.instance.write(good)
        it.upgrade()
        assert ask(c, "SELECT 3") == ((3,),)


def test_an_address_that_is_taken_is_known_before_the_queue_is_given_up(line, db):
    """Q7: the old process goes on with all it had."""
    db.setup("CREATE TABLE log (n INT)")
    it = line(QUEUE)
    with it.instance.connect(database=db.name) as c, socket.create_server(("127.0.0.1", 0)) as taken:
        ask(c, "INSERT INTO log VALUES (0)")
        it.instance.write(merge(it.instance.config, {"listen": {"http": "127.0.0.1:%d" % taken.getsockname()[1]}}))
        os.kill(it.pids[0], signal.SIGUSR2)
        servers.wait_until("the failure to be counted", lambda: it.instance.metrics()["suimon_upgrade_failures_total"] == 1, 60)
        before = it.instance.api("/api/queue")["enqueued"]
        ask(c, "INSERT INTO log VALUES (1)")
        assert it.instance.api("/api/queue")["enqueued"] == before + 1
        assert ask(c, "SELECT n FROM log ORDER BY n") == ((0,), (1,))


@pytest.mark.parametrize("point", ["upgrade-go", "upgrade-queue", "upgrade-serving"])
def test_a_new_process_that_dies_while_it_takes_over_leaves_the_old_one_its_queue(line, db, monkeypatch, point):
    """Q1, Q2, Q3: it takes the directory back, applies what waits there, and accepts more. So it does with the statistics' file, which is
    in the directory, too."""
    db.setup("CREATE TABLE log (n INT)")
    monkeypatch.setenv("SUIMON_FAILPOINT", point)
    it = line(QUEUE)
    statistics = os.path.join(it.instance.config["queue"]["dir"], "statistics")
    with it.instance.connect(database=db.name) as c:
        ask(c, "INSERT INTO log VALUES (0)")  # its shape is checked
        servers.wait_until("it to be applied", lambda: it.instance.api("/api/queue")["depth"] == 0, 60)
        assert it.instance.http("/api/queue/pause", data={})[0] == 200
        ask(c, "INSERT INTO log VALUES (1)")
        os.kill(it.pids[0], signal.SIGUSR2)
        servers.wait_until("the old one to have its queue again", lambda: it.said("queue: taken back"), 60)
        assert it.instance.metrics()["suimon_upgrade_failures_total"] == 1
        queue = it.instance.api("/api/queue")
        assert queue["state"] == "paused" and queue["depth"] == 1
        ask(c, "INSERT INTO log VALUES (2)")
        with it.instance.connect(database=db.name) as other:
            ask(other, "INSERT INTO log VALUES (3)")
        assert it.instance.api("/api/queue")["depth"] == 3
        assert it.instance.http("/api/queue/resume", data={})[0] == 200
        assert ask(c, "SELECT n FROM log WHERE n < 3 ORDER BY n") == ((0,), (1,), (2,))
    servers.wait_until("the queue to be applied", lambda: it.instance.api("/api/queue")["depth"] == 0, 60)
    assert db.primary("SELECT n FROM log ORDER BY n") == tuple((n,) for n in range(4))
    os.kill(it.pids[0], signal.SIGUSR2)  # and again
    servers.wait_until("the old one to have its queue again", lambda: it.said("queue: taken back") == 2, 60)
    with it.instance.connect(database=db.name) as c:
        os.unlink(statistics)
        ask(c, "INSERT INTO log VALUES (4)")
        assert ask(c, "SELECT COUNT(*) FROM log") == ((5,),)
    os.kill(it.pids[0], signal.SIGTERM)
    assert it.ended(it.pids[0]) == 0 and os.path.getsize(statistics) > 0


def test_an_address_that_was_left_is_served_again(line, db, tmp_path):
    """The new process had others, and died: clients come back to the old ones."""
    before, after = str(tmp_path / "before"), str(tmp_path / "after")
    tcp = "127.0.0.1:%d" % servers.free_port()
    it = line({"listen": {"mysql": [tcp, "unix:" + before]}})
    with it.instance.connect(database=db.name, unix_socket=before) as c:
        it.instance.write(merge(it.instance.config, {"listen": {"mysql": [tcp, "unix:" + after]}}))
        new = it.upgrade()
        servers.wait_until("the old address to be gone", lambda: not os.path.exists(before), 30)
        it.dies(new)
        servers.wait_until("the old one to hear of it", lambda: it.said("this one serves again"), 60)
        servers.wait_until("the old address to be there", lambda: os.path.exists(before), 30)
        for words in ({"unix_socket": before}, {"host": servers.LOOPBACK, "port": int(tcp.split(":")[1])}):
            with pymysql.connect(user="app", password="app", **words) as d:
                assert ask(d, "SELECT 1") == ((1,),)
        assert ask(c, "SELECT 1") == ((1,),)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return f.read().split()


def test_a_new_process_that_dies_later_leaves_the_old_one_to_serve(line, db, tmp_path):
    """R4, Q1: while the old one has sessions yet, it accepts clients again, for HTTP too, and has the queue and the file as they are now."""
    db.setup("CREATE TABLE log (n INT PRIMARY KEY)")
    path = str(tmp_path / "mysql")
    it = line(merge(QUEUE, {"listen": {"mysql": ["127.0.0.1:%d" % servers.free_port(), "unix:" + path]}}))
    old = it.pids[0]
    with it.instance.connect(database=db.name, unix_socket=path) as c:
        ask(c, "INSERT INTO log VALUES (0)")
        new = it.upgrade()
        with it.instance.connect(database=db.name, unix_socket=path) as d:
            ask(d, "INSERT INTO log VALUES (1)")
        it.instance.write(merge(it.instance.config, {"stats": {"slow": "77ms"}}))
        assert it.instance.http("/api/config/reload", data={})[0] == 200
        for n in (2, 3):
            it.dies(new)
            servers.wait_until("the old one to hear of it", lambda: it.said("this one serves again") == n - 1, 60)
            with it.instance.connect(database=db.name, unix_socket=path) as d:  # waits in the backlog, at most
                ask(d, "INSERT INTO log VALUES (%s)", (n,))
                assert ask(d, "SELECT COUNT(*) FROM log") == ((n + 1,),)
            assert it.instance.api("/api/config")["config"]["stats"]["slow"] == 0.077
            assert it.instance.metrics()["suimon_upgrade_failures_total"] == n - 1
            servers.wait_until("the queue to be taken back", lambda: it.said("queue: taken back") == n - 1, 60)
            assert ask(c, "SELECT COUNT(*) FROM log") == ((n + 1,),)
            if n == 2:
                new = it.upgrade()
    servers.wait_until("none to be left for it to ask after", lambda: not children(old), 30)
    os.kill(old, signal.SIGTERM)
    assert it.ended(old) == 0
    assert not os.path.exists(path)
    assert db.primary("SELECT COUNT(*) FROM log") == ((4,),)


def starts_by_file(it, folder):
    """Starts it anew; its successors have the failpoint that was named last."""
    program = folder / "suimon"
    program.write_text("#!/bin/bash\nSUIMON_FAILPOINT=$(cat %s/point) exec -a \"$0\" %s \"$@\"\n" % (folder, it.instance.binary))
    program.chmod(0o755)
    (folder / "point").write_text("")
    process = it.instance.process
    process.stop()
    process.argv[0] = str(program)
    process.start()
    process.wait_ready(lambda: it.instance.http("/readyz")[0] == 200, 60)
    it.pids = [process.pid]
    return (folder / "point").write_text


def cached(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    return {"upgrade_timeout": "300s", "routing": {"consistency": "strong"},
            "cache": {"rules": [{"match": {"table": "%s.t" % db.name}, "ttl": "1h"}]}}


def see_each_other(*sessions):
    """C1: each, of whatever process, sees what another one has written, though it has read the row often before."""
    def number(c):
        return ask(c, "SELECT n FROM t WHERE id = 1")[0][0]
    for n in range(1, 4):
        for writer in sessions:
            for c in sessions:
                number(c), number(c)
            ask(writer, "UPDATE t SET n = n + %d WHERE id = 1" % n)
            assert len({number(c) for c in sessions}) == 1


def test_the_eldest_of_three_does_not_serve_again(line, db):
    """C1: when the second dies the third serves, and nobody else. Its memory rests as long as the eldest has sessions, which write."""
    it = line(cached(db))
    eldest = it.pids[0]
    with it.instance.connect(database=db.name) as c:
        second = it.upgrade()
        with it.instance.connect(database=db.name) as d:
            ask(d, "SELECT 1")
            it.upgrade()
            it.dies(second)
        servers.wait_until("the eldest to hear of it", lambda: it.said("serves the sessions it has, and no others"), 30)
        servers.wait_until("the third to hear of it", lambda: it.said("one before it has sessions yet"), 30)
        with it.instance.connect(database=db.name) as e:
            see_each_other(c, e)
        assert it.said("this one serves again") == 0
        assert it.instance.metrics()["suimon_upgrade_overlap"] == 1
    assert it.ended(eldest) == 0
    servers.wait_until("the third to be alone", lambda: it.instance.metrics()["suimon_upgrade_overlap"] == 0, 30)


def test_one_whose_sockets_another_one_has_never_serves_again(line, db, tmp_path):
    """The second process serves again, for the third died, and the next one dies while it takes over: all the same the eldest has left."""
    it = line({"upgrade_timeout": "300s"})
    fails_at = starts_by_file(it, tmp_path)
    eldest = it.pids[0]
    with it.instance.connect(database=db.name) as c:
        second = it.upgrade()
        with it.instance.connect(database=db.name) as d:
            ask(d, "SELECT 1")
            third = it.upgrade()
            it.dies(third)
            servers.wait_until("the second to serve again", lambda: it.said("this one serves again"), 30)
            fails_at("upgrade-go")
            os.kill(second, signal.SIGUSR2)
            servers.wait_until("the fourth to fail", lambda: it.said("does not take over: this one goes on"), 60)
            it.dies(second)
        servers.wait_until("the eldest to hear of it", lambda: it.said("serves the sessions it has, and no others"), 30)
        assert ask(c, "SELECT 1") == ((1,),)
        with pytest.raises(pymysql.MySQLError):
            it.instance.connect()
    assert it.ended(eldest) == 0
    assert it.said("this one serves again") == 1


def test_the_eldest_of_three_does_not_serve_beside_the_third(line, db, tmp_path):
    """C1: the second dies when it has told the third to go ahead, and before it hears that this serves: that one serves, and alone."""
    it = line(cached(db))
    fails_at = starts_by_file(it, tmp_path)
    with it.instance.connect(database=db.name) as c:
        second = it.upgrade()
        fails_at("upgrade-serving:stop")
        with it.instance.connect(database=db.name) as d:
            ask(d, "SELECT 1")
            os.kill(second, signal.SIGUSR2)
            third = it.begun(2)
            it.dies(second)
            servers.wait_until("the eldest to hear of it", lambda: it.said("serves the sessions it has, and no others"), 30)
        os.kill(third, signal.SIGCONT)
        it.pids.append(third)
        servers.wait_until("the third to serve", lambda: it.said("took over from the former process") == 2, 30)
        with it.instance.connect(database=db.name) as d:
            see_each_other(c, d)
        assert it.said("this one serves again") == 0
        os.kill(third, signal.SIGKILL)
        it.ended(third)
        with pytest.raises(pymysql.MySQLError):  # nobody is there, and nobody holds the socket either
            it.instance.connect(connect_timeout=10, read_timeout=10)
        assert ask(c, "SELECT 1") == ((1,),)


def test_the_eldest_of_three_does_not_serve_while_a_third_that_failed_is_there(line, db, tmp_path):
    """C1: the second has cancelled the third, and dies when that has not ended."""
    it = line({"upgrade_timeout": "300s"})
    fails_at = starts_by_file(it, tmp_path)
    with it.instance.connect(database=db.name) as c:
        second = it.upgrade()
        fails_at("upgrade-serving:stop")
        with it.instance.connect(database=db.name) as d:
            ask(d, "SELECT 1")
            os.kill(second, signal.SIGUSR2)
            third = it.begun(2)
            falls_silent(third)
            servers.wait_until("the second to go on", lambda: it.said("does not take over: this one goes on"), 30)
            time.sleep(0.5)  # what it has to tell is told by then
            it.dies(second)
        servers.wait_until("the eldest to hear of it", lambda: it.said("serves the sessions it has, and no others"), 30)
        assert it.said("this one serves again") == 0
        os.kill(third, signal.SIGCONT)
        it.pids.append(third)
        assert it.ended(third) == 0
        assert ask(c, "SELECT 1") == ((1,),)


def test_a_reload_while_a_new_process_starts_is_taken_by_it(line, db):
    """What was acknowledged is in force in whoever serves, though the new one has read the file before."""
    relay = Relay(db.cluster.primary.port)
    it = line({"primary": relay.address})
    relay.refusing = True  # so the new one waits, and the old one has its connections
    os.kill(it.pids[0], signal.SIGUSR2)
    servers.wait_until("the new process to wait", lambda: it.said("listening for HTTP") == 2, 60)
    it.instance.write(merge(it.instance.config, {"stats": {"slow": "77ms"}}))
    assert it.instance.http("/api/config/reload", data={})[0] == 200
    relay.refusing = False
    servers.wait_until("the new process to serve", lambda: it.said("took over from the former process"), 60)
    it.pids.append(it.newest())
    assert it.instance.api("/api/config")["config"]["stats"]["slow"] == 0.077


def test_a_reload_while_a_new_process_takes_over_is_taken_by_it(line, db, monkeypatch):
    monkeypatch.setenv("SUIMON_FAILPOINT", "upgrade-serving:stop")
    it = line()
    os.kill(it.pids[0], signal.SIGUSR2)
    it.pids.append(it.begun())
    it.instance.write(merge(it.instance.config, {"stats": {"slow": "77ms"}}))
    os.kill(it.pids[0], signal.SIGHUP)
    servers.wait_until("the old one to reload", lambda: it.said("config: reloaded") == 1, 60)
    os.kill(it.pids[-1], signal.SIGCONT)
    servers.wait_until("the new one to reload", lambda: it.said("config: reloaded") == 2, 60)
    assert it.instance.api("/api/config")["config"]["stats"]["slow"] == 0.077


DENY = {"routing": {"rules": [{"match": {"table": "t"}, "to": "deny"}]}}


def test_a_reload_reaches_sessions_from_before_the_upgrade(line, db):
    """A table that is denied in an emergency is denied to all, those of the eldest of three as well; and to the newest where an old one is told."""
    db.setup("CREATE TABLE t (n INT)", "CREATE TABLE u (n INT)")
    it = line()
    first = it.instance.connect(database=db.name)
    ask(first, "SELECT * FROM t")
    it.upgrade()
    second = it.instance.connect(database=db.name)
    ask(second, "SELECT * FROM t")
    it.upgrade()
    good = it.instance.config
    it.instance.write(merge(good, DENY))
    assert it.instance.http("/api/config/reload", data={})[0] == 200
    servers.wait_until("all three", lambda: it.said("config: reloaded") == 3, 30)
    with it.instance.connect(database=db.name) as third:
        for c in (first, second, third):
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, "SELECT * FROM t")
            assert e.value.args[0] == 1148
        it.instance.write(good)
        os.kill(it.pids[1], signal.SIGHUP)
        servers.wait_until("all three again", lambda: it.said("config: reloaded") == 6, 30)
        time.sleep(0.3)
        assert it.said("config: reloaded") == 6  # each tells those only that it did not hear it from
        for c in (first, second, third):
            assert ask(c, "SELECT * FROM t") == ()
    first.close()
    second.close()


def test_a_reload_that_a_former_process_cannot_take_is_said(line, db):
    """The upgrade has changed what only a restart or an upgrade can."""
    db.setup("CREATE TABLE t (n INT)")
    it = line()
    with it.instance.connect(database=db.name) as c:
        ask(c, "SELECT * FROM t")
        it.instance.write(merge(it.instance.config, {"threads": 3}))
        it.upgrade()
        it.instance.write(merge(it.instance.config, DENY))
        assert it.instance.http("/api/config/reload", data={})[0] == 200
        servers.wait_until("the old one to say so", lambda: it.said("sessions from before the upgrade keep the configuration they had") == 1, 30)
        assert ask(c, "SELECT * FROM t") == ()


def test_what_was_disabled_at_the_new_process_is_known_when_the_old_one_serves_again(line, db):
    it = line()
    addr = it.instance.config["replicas"][0]

    def state():
        return next(b["state"] for b in it.instance.api("/api/backends")["backends"] if b["addr"] == addr)
    with it.instance.connect(database=db.name) as c:
        for n, verb in enumerate(("disable", "enable")):
            new = it.upgrade()
            assert it.instance.http("/api/backends/%s/%s" % (addr, verb), data={})[0] == 200
            time.sleep(0.5)  # it is told within 20 ms
            it.dies(new)
            servers.wait_until("the old one to hear of it", lambda: it.said("this one serves again") == n + 1, 60)
            servers.wait_until("the replica's state", lambda: state() == ("disabled" if verb == "disable" else "up"), 30)
        assert ask(c, "SELECT 1") == ((1,),)


def test_a_server_that_is_disabled_stays_so(line, db):
    it = line()
    addr = it.instance.config["replicas"][0]
    assert it.instance.http("/api/backends/%s/disable" % addr, data={})[0] == 200
    it.upgrade()
    states = {b["addr"]: b["state"] for b in it.instance.api("/api/backends")["backends"]}
    assert states.pop(addr) == "disabled" and set(states.values()) == {"up"}
    assert it.instance.http("/api/backends/%s/enable" % addr, data={})[0] == 200
    it.ended(it.pids[0])


def test_a_new_process_with_another_queue_leaves_the_old_one_its_own(line, db, tmp_path):
    """Q3: what the other has applied says nothing of these records."""
    db.setup("CREATE TABLE log (n INT PRIMARY KEY)", "CREATE TABLE log2 (n INT)")
    it = line({"queue": {"rules": [{"match": {"verb": "insert", "schema": db.name}}]}})
    c = it.instance.connect(database=db.name)
    ask(c, "INSERT INTO log VALUES (0)")
    other = tmp_path / "other_queue"
    other.mkdir()
    it.instance.write(merge(it.instance.config, {"queue": {"dir": str(other)}}))
    it.upgrade()
    assert it.said("this one applies its own to the end") == 1
    with it.instance.connect(database=db.name) as d:
        for n in range(20):  # its own numbers are far beyond
            ask(d, "INSERT INTO log2 VALUES (%s)", (n,))
        servers.wait_until("the new one's to be applied", lambda: it.instance.api("/api/queue")["depth"] == 0, 60)
    with db.cluster.primary.root(database=db.name, autocommit=False) as lock:
        ask(lock, "INSERT INTO log VALUES (1)")  # so that the old one's drain waits
        ask(c, "INSERT INTO log VALUES (1)")
        seen = []
        reader = threading.Thread(target=lambda: seen.append(ask(c, "SELECT n FROM log ORDER BY n")), daemon=True)
        reader.start()
        time.sleep(0.5)  # a read that does not wait has its answer by then
        lock.rollback()
    reader.join(60)
    assert seen == [((0,), (1,))]
    ask(c, "INSERT INTO log VALUES (2)")
    c.close()
    assert it.ended(it.pids[0]) == 0  # when all of it is applied
    assert db.primary("SELECT n FROM log ORDER BY n") == ((0,), (1,), (2,))
    assert db.primary("SELECT COUNT(*) FROM log2") == ((20,),)


def descriptor(pid, number):
    """Another process' socket."""
    of = os.pidfd_open(pid)
    got = LIBC.syscall(SYS_PIDFD_GETFD, of, number, 0)
    os.close(of)
    if got < 0:
        pytest.skip("another process' descriptor cannot be had here: %s" % os.strerror(ctypes.get_errno()))
    return socket.socket(fileno=got)


def falls_silent(new):
    """The former process takes this one, which is there, for one that has failed: it hears the link's end."""
    with descriptor(new, 3) as link:
        link.shutdown(socket.SHUT_WR)


def is_cancelled(new, old):
    """As by a former process that has not heard in time that it serves."""
    for fd in os.listdir("/proc/%d/fd" % old):
        if not os.readlink("/proc/%d/fd/%s" % (old, fd)).startswith("socket:"):
            continue
        with descriptor(old, int(fd)) as s:
            if s.type & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) == socket.SOCK_SEQPACKET:
                s.send(b"cancel")
                return
    raise AssertionError("%d has no link to %d" % (old, new))


def cancelled_with_a_transaction(it, db):
    """A new process that ends with the session it has; that one."""
    new = it.upgrade()
    d = it.instance.connect(database=db.name)
    d.begin()
    ask(d, "UPDATE t SET n = n + 10")
    is_cancelled(new, it.pids[0])
    servers.wait_until("the old one to serve again", lambda: it.said("this one serves again") == 1, 30)
    return d


def test_memory_rests_as_long_as_one_that_failed_has_sessions(line, db):
    """C1: nobody tells the old one of what they write."""
    it = line(one_row(db, {"upgrade_timeout": "300s", "drain_timeout": "30s"}))
    with it.instance.connect(database=db.name) as c:
        ask(c, "SELECT n FROM t")
        d = cancelled_with_a_transaction(it, db)
        read_for(c, 12)
        assert it.instance.metrics()["suimon_cache_rests"] == 1
        d.commit()
        assert ask(c, "SELECT n FROM t") == ((11,),)
        it.ended(it.pids[1])
        rests_for_now(it.instance, db, c)
        assert it.instance.metrics()["suimon_cache_rests"] == 0
    d._force_close()


def test_the_next_new_process_knows_of_one_that_failed_and_has_sessions(line, db):
    """C1: also where the one dies that has started both."""
    it = line(one_row(db, {"upgrade_timeout": "300s", "drain_timeout": "30s"}))
    old = it.instance.connect(database=db.name)
    ask(old, "SELECT n FROM t")
    d = cancelled_with_a_transaction(it, db)
    it.pids.append(it.instance.upgrade(it.pids[0]))
    with it.instance.connect(database=db.name) as c:
        os.kill(it.pids[0], signal.SIGKILL)
        it.ended(it.pids[0])
        servers.wait_until("the newest to hear of it", lambda: it.said("one before it has sessions yet") == 1, 30)
        read_for(c, 12)
        d.commit()
        assert ask(c, "SELECT n FROM t") == ((11,),)
        it.ended(it.pids[0])
        rests_for_now(it.instance, db, c)
    old._force_close()
    d._force_close()


def test_what_is_to_be_queued_is_queued_while_the_schema_is_read_again(line, db):
    """Q4: the former process may have changed it. What was in force stays so until it has been read, which here it cannot be."""
    db.setup("CREATE TABLE log (n INT)")
    relay = Relay(db.cluster.primary.port)
    it = line(merge(QUEUE, {"primary": relay.address}))
    old = it.instance.connect(database=db.name)
    ask(old, "SELECT 1")
    it.upgrade()
    with it.instance.connect(database=db.name, read_timeout=30) as c:
        ask(c, "INSERT INTO log VALUES (0)")  # its shape is checked
        servers.wait_until("the next ones to be queued", lambda: ask(c, "INSERT INTO log VALUES (1)") and False or
                           it.instance.api("/api/queue")["enqueued"] > 0, 30)
        relay.cut_when = lambda direction, data: direction == "up" and b"information_schema" in data.lower()
        old.close()
        servers.wait_until("the new one to know", lambda: it.said("the former process has ended") == 1, 30)
        before = it.instance.api("/api/queue")["enqueued"]
        ask(c, "INSERT INTO log VALUES (2)")
        assert it.instance.api("/api/queue")["enqueued"] == before + 1
    relay.close()


def test_one_that_failed_and_hangs_is_killed(line, db, monkeypatch):
    """C1, Q7: memory and the queue wait for its end; that has its limit, ten seconds beyond drain_timeout."""
    monkeypatch.setenv("SUIMON_FAILPOINT", "upgrade-serving:stop")
    it = line(one_row(db, {"drain_timeout": "1s"}))
    with it.instance.connect(database=db.name) as c:
        ask(c, "SELECT n FROM t")
        os.kill(it.pids[0], signal.SIGUSR2)
        new = it.begun()
        falls_silent(new)
        servers.wait_until("the old one to go on", lambda: it.said("does not take over: this one goes on") == 1, 30)
        servers.wait_until("it to be killed", lambda: not children(it.pids[0]), 30)
        assert it.said("the process that failed does not end: it is killed") == 1
        rests_for_now(it.instance, db, c)


def test_one_that_failed_and_hangs_ends_with_the_old_one(line, db, monkeypatch):
    monkeypatch.setenv("SUIMON_FAILPOINT", "upgrade-serving:stop")
    it = line({"drain_timeout": "1s"})
    with it.instance.connect(database=db.name) as c:
        ask(c, "SELECT 1")
        os.kill(it.pids[0], signal.SIGUSR2)
        new = it.begun()
        falls_silent(new)
        servers.wait_until("the old one to go on", lambda: it.said("does not take over: this one goes on") == 1, 30)
        assert ask(c, "SELECT 1") == ((1,),)
    os.kill(it.pids[0], signal.SIGTERM)
    assert it.ended(it.pids[0]) == 0
    assert it.said("the process that failed is there yet: it is killed, for this one ends pid=%d" % new) == 1
    servers.wait_until("nobody to listen", lambda: not os.path.exists("/proc/%d" % new) or it._wait(new) == -signal.SIGKILL, 30)


def is_stopped(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(")")[2].split()[0] == "T"


def test_one_that_is_cancelled_when_it_serves_already_ends_with_its_sessions(line, db, monkeypatch):
    monkeypatch.setenv("SUIMON_FAILPOINT", "upgrade-serving:stop")
    db.setup("CREATE TABLE log (n INT)")
    it = line(QUEUE)
    with it.instance.connect(database=db.name) as c:
        ask(c, "INSERT INTO log VALUES (0)")
    os.kill(it.pids[0], signal.SIGUSR2)
    new = it.begun()
    old = it.pids[0]
    it.pids.append(new)
    os.kill(old, signal.SIGTERM)
    servers.wait_until("the old one to cancel", lambda: it.said("this process was told to stop"), 30)
    os.kill(new, signal.SIGCONT)
    assert it.ended(old) == 0 and it.ended(new) == 0
    assert it.said("cancelled while taking over") == 1
    assert db.primary("SELECT n FROM log") == ((0,),)


def test_memory_rests_a_little_longer_than_one_that_failed_lives(line, db, monkeypatch):
    """C1: it may have served already, and what it was at when it ended a server may still do."""
    monkeypatch.setenv("SUIMON_FAILPOINT", "upgrade-serving")
    it = line(one_row(db))
    with it.instance.connect(database=db.name) as c:
        os.kill(it.pids[0], signal.SIGUSR2)
        servers.wait_until("the old one to go on", lambda: it.said("does not take over: this one goes on") == 1, 60)
        rests_for_now(it.instance, db, c)


def test_one_that_is_cancelled_leaves_the_sockets_files(line, db, monkeypatch, tmp_path):
    """They are the old one's, which goes on, or is not at its end yet."""
    monkeypatch.setenv("SUIMON_FAILPOINT", "upgrade-serving:stop")
    path = str(tmp_path / "mysql.sock")
    it = line({"listen": {"mysql": ["127.0.0.1:%d" % servers.free_port(), "unix:" + path]}, "drain_timeout": "300s"})
    old = it.pids[0]
    with it.instance.connect(database=db.name, unix_socket=path) as c:
        c.begin()
        ask(c, "SELECT 1")
        os.kill(old, signal.SIGUSR2)
        new = it.begun()
        os.kill(old, signal.SIGTERM)
        servers.wait_until("the old one to cancel", lambda: it.said("this process was told to stop"), 30)
        os.kill(old, signal.SIGSTOP)
        os.kill(new, signal.SIGCONT)
        servers.wait_until("the new one to end", lambda: it.said("main: stopped"), 60)
        assert os.path.exists(path)
        os.kill(old, signal.SIGCONT)
        assert ask(c, "SELECT 2") == ((2,),)
        c.rollback()
    assert it.ended(old) == 0
    assert not os.path.exists(path)


def test_a_process_that_does_not_serve_yet_has_no_successor(line, db):
    it = line()
    here = it.instance.config
    it.instance.write(merge(here, {"primary": "127.0.0.1:%d" % servers.free_port(), "replicas": []}))  # so it waits
    os.kill(it.pids[0], signal.SIGUSR2)
    servers.wait_until("the new process to wait", lambda: it.said("listening for HTTP") == 2, 60)
    waiting = it.newest()
    os.kill(waiting, signal.SIGUSR2)
    servers.wait_until("it to refuse", lambda: it.said("no upgrade: one is under way") == 1, 30)
    os.kill(waiting, signal.SIGTERM)
    servers.wait_until("the failure to be counted", lambda: it.instance.metrics()["suimon_upgrade_failures_total"] == 1, 60)
    it.instance.write(here)
    it.upgrade()


def test_an_address_may_change_with_it(line, db):
    it = line()
    other = servers.free_port()
    old = it.instance.mysql_port
    it.instance.write({**it.instance.config, "listen": {"mysql": "127.0.0.1:%d" % other}})
    it.upgrade()
    it.ended(it.pids[0])
    with pytest.raises(pymysql.MySQLError):
        it.instance.connect()
    it.instance.mysql_port = other
    with it.instance.connect() as c:
        assert ask(c, "SELECT 1") == ((1,),)
    it.instance.mysql_port = old


def connections(pid):
    """Of a process: what its sockets are, without those that listen or lead to no address."""
    held = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            held.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except FileNotFoundError:
            pass  # closed meanwhile
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f][1:]
    return {"socket:[%s]" % row[9] for row in rows if row[3] != "0A"} & held


def test_no_connection_of_the_old_process_is_open_in_the_new_one(line, db):
    """Else a server would not notice the old one's end: what that had begun would go on holding its locks (Q2)."""
    db.setup("CREATE TABLE log (n INT)")
    it = line(QUEUE)
    with it.instance.connect(database=db.name) as c:
        ask(c, "INSERT INTO log VALUES (1)")
        assert ask(c, "SELECT COUNT(*) FROM log") == ((1,),)  # the monitor and the drain are connected
        old = connections(it.pids[0])
        assert len(old) >= 3
        assert not old & connections(it.upgrade())


def is_closed(connection):
    try:
        connection.ping(reconnect=False)
    except pymysql.MySQLError:
        return True
    return False


def test_sessions_beyond_upgrade_timeout_drain(line, db):
    it = line({"upgrade_timeout": "1s", "drain_timeout": "300s"})
    busy, idle = it.instance.connect(database=db.name), it.instance.connect(database=db.name)
    busy.begin()
    ask(busy, "SELECT 1")
    it.upgrade()
    servers.wait_until("the idle one to be closed", lambda: is_closed(idle), 30)
    assert ask(busy, "SELECT 2") == ((2,),)
    busy.rollback()
    assert it.ended(it.pids[0]) == 0


def test_the_end_of_the_new_one_is_that_of_both(line, db):
    it = line({"drain_timeout": "60s"})
    c = it.instance.connect(database=db.name)
    c.begin()
    ask(c, "SELECT 1")
    new = it.upgrade()
    os.kill(new, signal.SIGTERM)
    servers.wait_until("both to drain", lambda: it.said("draining sessions=") == 2, 30)
    c.commit()
    assert it.ended(it.pids[0]) == 0 and it.ended(new) == 0
    c._force_close()


def test_the_supervisor_is_told_who_is_main(suimon, supervisor, db):  # noqa: F811
    s = suimon(run=False)
    supervised(s, supervisor, watchdog=3)
    supervisor.wait("READY=1")
    it = Line(s)
    try:
        said = len(supervisor.lines())
        new = it.upgrade()
        supervisor.wait("MAINPID=%d" % new, said)
        supervisor.wait("READY=1", said)
        assert it.ended(it.pids[0]) == 0
        assert "STOPPING=1" not in supervisor.lines()
        fed = supervisor.lines().count("WATCHDOG=1")
        servers.wait_until("the new one to feed the watchdog", lambda: supervisor.lines().count("WATCHDOG=1") > fed + 1, 30)
    finally:
        it.end()


def test_the_supervisor_is_told_when_the_former_one_is_main_again(suimon, supervisor, db):  # noqa: F811
    s = suimon(run=False)
    supervised(s, supervisor, watchdog=3)
    supervisor.wait("READY=1")
    it = Line(s)
    try:
        with s.connect(database=db.name) as c:
            new = it.upgrade()
            supervisor.wait("MAINPID=%d" % new)
            said = len(supervisor.lines())
            it.dies(new)
            supervisor.wait("MAINPID=%d" % it.pids[0], said)
            supervisor.wait("READY=1", said)
            fed = supervisor.lines().count("WATCHDOG=1")
            servers.wait_until("the watchdog to be fed", lambda: supervisor.lines().count("WATCHDOG=1") > fed + 1, 30)
            assert ask(c, "SELECT 1") == ((1,),)
    finally:
        it.end()


def test_a_unix_socket_passes_on_too(line, db, tmp_path):
    """Its file is the new process' then: the old one's end does not take it away, the new one's does."""
    path = str(tmp_path / "mysql.sock")
    it = line({"listen": {"mysql": ["127.0.0.1:%d" % servers.free_port(), "unix:" + path]}})
    with it.instance.connect(database=db.name, unix_socket=path) as c:
        it.upgrade()
        with it.instance.connect(database=db.name, unix_socket=path) as later:
            assert ask(later, "SELECT 1") == ((1,),)
        assert ask(c, "SELECT 2") == ((2,),)
    assert it.ended(it.pids[0]) == 0
    with it.instance.connect(database=db.name, unix_socket=path) as c:
        assert ask(c, "SELECT 3") == ((3,),)
    os.kill(it.pids[0], signal.SIGTERM)
    assert it.ended(it.pids[0]) == 0
    assert not os.path.exists(path)


def test_sockets_of_the_supervisor_pass_on_too(suimon, supervisor, db, tmp_path):  # noqa: F811
    """From one process to the next, and none of them takes the file away: it is the supervisor's."""
    s = suimon(run=False)
    path = str(tmp_path / "handed.sock")
    tcp, unix, http = listening(), listening(path=path), listening()
    s.http_port = http.getsockname()[1]
    supervised(s, supervisor, [("mysql", tcp), ("http", http), ("mysql", unix)])
    s.mysql_port = tcp.getsockname()[1]
    it = Line(s)
    try:
        for _ in range(2):
            it.upgrade()
            assert it.ended(it.pids[0]) == 0
            for where in ({}, {"unix_socket": path}):
                with s.connect(database=db.name, **where) as c:
                    assert ask(c, "SELECT 1") == ((1,),)
            assert s.http("/healthz")[0] == 200
    finally:
        it.end()
    assert os.path.exists(path)
    for each in (tcp, unix, http):
        each.close()
