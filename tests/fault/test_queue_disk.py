"""Q1, Q2, Q7, F1: the queue's disk is full, fails, is read-only or slow. Nothing acknowledged is lost or doubled, a write
that cannot be stored goes directly or fails clearly, and the log says what to do."""
import errno
import os
import subprocess
import threading

import pymysql
import pytest

from conftest import ask
from servers import Process, sum_metric, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="session")
def disk_shim(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("shim") / "disk.so")
    subprocess.run([os.environ.get("CC", "cc").split()[-1], "-shared", "-fPIC", "-O1", "-o", path,
                    os.path.join(HERE, "disk_shim.c"), "-ldl"], check=True)
    return path


@pytest.fixture
def disk(disk_shim, tmp_path, monkeypatch):
    """disk("fdatasync 5") makes calls fail from now on; disk() ends it."""
    monkeypatch.setenv("LD_PRELOAD", disk_shim)
    monkeypatch.setenv("SUIMON_SHIM", str(tmp_path))
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99:handle_abort=1:verify_asan_link_order=0")

    def put(*lines):
        (tmp_path / "disk.new").write_text("".join(line + "\n" for line in lines))
        os.rename(tmp_path / "disk.new", tmp_path / "disk")
    put.failed = lambda call: (tmp_path / "failed").exists() and any(
        line.startswith(call + " ") for line in (tmp_path / "failed").read_text().splitlines())
    return put


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL, v VARCHAR(1000))")
    return db


def config(db, **more):
    return {"queue": dict({"rules": [{"match": {"table": db.name + ".log", "verb": "insert"}, "order": "table"}]}, **more)}


def state(s):
    return s.api("/api/queue")


def metric(s, name, *labels):
    return sum_metric(s.metrics(), "suimon_queue_" + name, *labels)


def affected(s):
    """Rows that the inserts have affected, as the statistics have it."""
    return sum(q["rows_affected"] for q in s.api("/api/queries?limit=100")["queries"] if q["text"].startswith("insert into log"))


class Writer:
    """Numbered rows on one connection; knows which were acknowledged, by whomever."""

    def __init__(self, s, db):
        self.s, self.connection = s, s.connect(database=db.name)
        self.next, self.acked, self.unsure = 0, [], []

    def write(self, pad=""):
        n, self.next = self.next, self.next + 1
        try:
            ask(self.connection, "INSERT INTO log (n, v) VALUES (%d, '%s')" % (n, pad))
        except pymysql.MySQLError as e:
            self.unsure.append(n)
            return e.args
        self.acked.append(n)
        return None

    def until_queued(self):
        def queued():
            before = metric(self.s, "acknowledged_total")
            assert self.write() is None
            return metric(self.s, "acknowledged_total") > before
        wait_until("a write to be queued", queued, 30)

    def compare(self, db):
        found = sorted(r[0] for r in db.primary("SELECT n FROM log"))
        assert len(found) == len(set(found)), "a row twice"
        assert set(self.acked) - set(found) == set(), "an acknowledged row is lost"
        assert set(found) - set(self.acked) <= set(self.unsure)


def drained(s):
    wait_until("the queue to drain", lambda: state(s)["depth"] == 0, 30)


def restart(s):
    s.process = Process("suimon", s.process.argv, s.log, s.process.env)
    s.start()


@pytest.mark.parametrize("calls", [["pwrite %d"], ["allocate %d"]])
def test_a_full_disk(suimon, table, disk, calls):
    """ENOSPC: writes go directly, nothing is half stored, and the queue takes writes again once there is room."""
    s = suimon(config(table, max_bytes="8MiB"))  # segments of 1 MiB
    w = Writer(s, table)
    w.until_queued()
    disk(*[c % errno.ENOSPC for c in calls])
    pad = "x" * 1000

    def declined():
        assert w.write(pad) is None  # Q7: through the queue or directly, but it is written
        return metric(s, "declined_total", 'reason="disk"') > 0
    wait_until("a write that the queue has no room for", declined, 60, interval=0)
    assert state(s)["state"] != "failed"
    assert "the queue's disk is full" in s.log_text() and "free some space" in s.log_text()
    disk()
    w.until_queued()
    drained(s)
    w.compare(table)
    assert not w.unsure


@pytest.mark.parametrize("calls", [["pwrite %d"], ["pwrite %d", "allocate %d"]])
def test_a_full_disk_where_that_is_an_error(suimon, table, disk, calls):
    """All are refused alike, the one that found the disk full, too: 1030 would be an unknown outcome. None is there, and it ends with the want."""
    s = suimon(config(table, on_full="error"))
    w = Writer(s, table)
    w.until_queued()
    before = list(w.acked)
    disk(*[c % errno.ENOSPC for c in calls])
    for _ in range(3):
        told = w.write()
        assert told[0] == 1114 and "the queue's disk is full" in told[1], told
    refused = list(w.unsure)
    assert len(refused) == 3 and w.acked == before
    disk()
    wait_until("writes to be taken again", lambda: w.write() is None, 10)
    drained(s)
    assert not {r[0] for r in table.primary("SELECT n FROM log")} & set(refused)
    w.compare(table)


def test_a_disk_with_room_for_one_segment_alone(suimon, table, disk):
    """What an empty queue has left on the disk does not keep it from taking writes again."""
    s = suimon(config(table, max_bytes="32MiB"))  # segments of 4 MiB
    w = Writer(s, table)
    w.until_queued()
    first = min(f for f in os.listdir(s.config["queue"]["dir"]) if f.endswith(".seg"))
    disk("allocate %d %d" % (errno.ENOSPC, 2 << 20))
    pad = "' /* %s */ '" % ("x" * 100000)

    def declined_or_gone():
        assert w.write(pad) is None
        return not os.path.exists(os.path.join(s.config["queue"]["dir"], first)) or metric(s, "declined_total", 'reason="disk"') > 0
    wait_until("the segment to be full", declined_or_gone, 60, interval=0)
    drained(s)
    w.until_queued()
    wait_until("the first segment to go", lambda: w.write() is None and not os.path.exists(os.path.join(s.config["queue"]["dir"], first)), 30)
    drained(s)
    s.api("/api/queue/pause", method="POST")
    for _ in range(20):  # killed with records in a small segment, which is made no larger at the start
        before = metric(s, "acknowledged_total")
        assert w.write() is None and metric(s, "acknowledged_total") > before
    s.process.kill()
    restart(s)
    assert state(s)["depth"] >= 20  # what was applied last may not be noted yet
    s.api("/api/queue/resume", method="POST")
    w.connection = s.connect(database=table.name)
    drained(s)
    w.until_queued()
    drained(s)
    w.compare(table)
    assert not w.unsure


def test_a_disk_that_cannot_be_written(suimon, table, disk):
    """EIO on write: it is taken back and goes directly, as does everything until a restart."""
    s = suimon(config(table))
    w = Writer(s, table)
    w.until_queued()
    disk("pwrite %d" % errno.EIO)
    for _ in range(20):
        assert w.write() is None
    assert state(s)["state"] == "failed" and "cannot be written" in state(s)["reason"]
    assert "restart suimon" in s.log_text()
    assert affected(s) == len(w.acked)
    disk()
    before = metric(s, "acknowledged_total")
    assert w.write() is None and metric(s, "acknowledged_total") == before  # not tried again by itself
    drained(s)
    w.compare(table)
    assert not w.unsure
    assert s.stop() == 0
    restart(s)
    w.connection = s.connect(database=table.name)
    w.until_queued()
    drained(s)
    w.compare(table)


def test_a_disk_that_cannot_be_synced(suimon, table, disk):
    """EIO on fdatasync: who waited for it is told that the outcome is unknown; it is never tried again as if it had worked."""
    s = suimon(config(table))
    w = Writer(s, table)
    w.until_queued()
    disk("fdatasync %d" % errno.EIO)
    told = w.write()
    assert told and told[0] == 1030 and "unknown" in told[1]
    assert disk.failed("fdatasync") and affected(s) == len(w.acked)
    disk()
    before = metric(s, "syncs_total")
    for _ in range(20):
        assert w.write() is None  # directly
    assert metric(s, "syncs_total") == before and state(s)["state"] == "failed"
    assert "restart suimon" in s.log_text()
    drained(s)
    w.compare(table)
    assert s.stop() == 0
    restart(s)
    w.connection = s.connect(database=table.name)
    w.until_queued()
    drained(s)
    w.compare(table)


def test_a_directory_that_becomes_read_only(suimon, table, disk):
    """No new segment can be made: the writes that do not fit the last one go directly."""
    s = suimon(config(table, max_bytes="8MiB"))
    w = Writer(s, table)
    w.until_queued()
    disk("open %d" % errno.EROFS)

    def failed():
        assert w.write("x" * 1000) is None
        return state(s)["state"] == "failed"
    wait_until("the segment to be full", failed, 60, interval=0)
    assert w.write() is None
    disk()
    drained(s)
    w.compare(table)
    assert not w.unsure


def test_a_directory_that_is_read_only_from_the_start(suimon, table, disk):
    s = suimon(config(table), run=False)
    disk("open %d" % errno.EROFS, "allocate %d" % errno.EROFS)
    s.process.start()
    assert s.process.child.wait(30) == 2
    assert "queue" in s.log_text() and "Read-only file system" in s.log_text()
    s.judged = True


def test_a_slow_disk(suimon, table, disk):
    """Many clients share a slow fdatasync; each waits for its own, and what it was told is so."""
    s = suimon(config(table))
    warm = Writer(s, table)
    warm.until_queued()
    drained(s)
    disk("fdatasync sleep 100")
    syncs, acked = metric(s, "syncs_total"), metric(s, "acknowledged_total")
    writers = [Writer(s, table) for _ in range(16)]

    def work(i, w):
        w.next = 1000 * (i + 1)
        for _ in range(5):
            assert w.write() is None
    threads = [threading.Thread(target=work, args=a) for a in enumerate(writers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    groups, written = metric(s, "syncs_total") - syncs, metric(s, "acknowledged_total") - acked
    assert written == 16 * 5 and groups < written / 2
    assert state(s)["state"] == "running"
    disk()
    drained(s)
    warm.acked += [n for w in writers for n in w.acked]
    warm.compare(table)


@pytest.mark.parametrize("call,code,do", [("pwrite", errno.ENOSPC, "make room on that disk; it is tried again"),
                                          ("fdatasync", errno.EIO, "then restart suimon")])
def test_a_dead_letter_that_the_disk_does_not_take(suimon, table, disk, call, code, do):
    """The record is waited for, and the log says what to do: then it is a dead letter, once, and what stands behind it is applied."""
    s = suimon(config(table))
    with s.connect(database=table.name) as c:
        def queued():
            before = metric(s, "acknowledged_total")
            ask(c, "INSERT INTO log (id, n) VALUES (%d, 0)" % (1000 + before))
            return metric(s, "acknowledged_total") > before
        ask(c, "INSERT INTO log (id, n) VALUES (1, 0)")
        wait_until("the shape to be known", queued, 30)
        drained(s)
        assert s.http("/api/queue/pause", data={})[0] == 200
        ask(c, "INSERT INTO log (id, n) VALUES (1, 1)")
        ask(c, "INSERT INTO log (id, n) VALUES (2, 1)")
        assert state(s)["depth"] == 2
        disk("%s %d" % (call, code))
        assert s.http("/api/queue/resume", data={})[0] == 200
        wait_until("it to be said", lambda: do in s.log_text(), 30)
        assert disk.failed(call) and os.strerror(code) in s.log_text()
        wait_until("it to wait", lambda: "the log says why" in state(s)["reason"], 30)
        assert state(s)["dead_waiting"] == 0 and not table.primary("SELECT 1 FROM log WHERE id = 2")
        disk()
    if code == errno.EIO:
        assert s.stop() == 0
        restart(s)
    drained(s)
    assert state(s)["dead_waiting"] == 1
    assert [r[0] for r in table.primary("SELECT n FROM log WHERE id IN (1, 2) ORDER BY id")] == [0, 1]
