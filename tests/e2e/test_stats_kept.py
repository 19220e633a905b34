"""F1, S2: statistics and findings outlive a restart, where they are told to, and a file that is damaged is no harm."""
import os
import signal

import pytest

from conftest import ask, merge, numbers, settle
from servers import listing, wait_until

SECRET = "secret-value@example.com"


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE orders (id INT PRIMARY KEY, customer INT, email VARCHAR(60), total INT)",
             "INSERT INTO orders SELECT seq, seq % 100, CONCAT('c', seq % 500, '@example.com'), seq % 91 FROM " + numbers(1, 20000),
             "ANALYZE TABLE orders")
    return db


def work(s, table):
    with s.connect(database=table.name) as c:
        for n in range(10):
            ask(c, "SELECT id FROM orders WHERE email = '%s' AND total > %d" % (SECRET, n))
        ask(c, "UPDATE orders SET total = 1 WHERE id IN (1, 2, 3)")
    settle(s)


def calls(s):
    return {r["text"]: r["calls"] for r in listing(s.api("/api/queries?limit=1000")) if "orders" in r["text"]}


def advised(s):
    return [f for f in listing(s.api("/api/findings")) if f["kind"] == "missing_index" and f.get("fix_sql")]


def again(s):
    assert s.stop() == 0
    s.start()


def test_statistics_and_findings_outlive_a_restart(suimon, table, tmp_path):
    s = suimon({"stats": {"snapshot": str(tmp_path / "statistics")}})
    work(s, table)
    found = wait_until("the advice", lambda: advised(s), 30, 0.2)
    before = calls(s)
    assert before
    again(s)
    assert calls(s) == before
    assert [(f["digest"], f["fix_sql"]) for f in advised(s)] == [(f["digest"], f["fix_sql"]) for f in found]
    detail = s.api("/api/queries/" + found[0]["digest"])
    assert SECRET in detail["samples"][0]["sql"] and detail["plan"] and detail["histogram"]
    assert s.metrics()["suimon_stats_snapshots_ignored_total"] == 0
    work(s, table)
    assert calls(s) == {text: 2 * n for text, n in before.items()}, "and counting goes on"
    assert os.stat(str(tmp_path / "statistics")).st_mode & 0o777 == 0o600


def test_a_damaged_snapshot_is_ignored(suimon, table, tmp_path):
    path = tmp_path / "statistics"
    s = suimon({"stats": {"snapshot": str(path)}})
    work(s, table)
    assert s.stop() == 0
    bytes_ = bytearray(path.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    path.write_bytes(bytes_)
    s.start()
    assert calls(s) == {}
    assert "the snapshot is ignored" in s.log_text()
    assert s.metrics()["suimon_stats_snapshots_ignored_total"] == 1
    work(s, table)
    before = calls(s)
    again(s)
    assert calls(s) == before, "it was replaced by a good one"


def test_no_literal_is_kept_where_samples_are_off(suimon, table, tmp_path):
    path = tmp_path / "statistics"
    s = suimon({"stats": {"snapshot": str(path)}})
    work(s, table)
    assert s.stop() == 0
    assert SECRET.encode() in path.read_bytes()
    s.write(merge(s.config, {"stats": {"samples": False}}))
    s.start()
    wait_until("it to be written anew", lambda: SECRET.encode() not in path.read_bytes(), 30)
    work(s, table)
    before = calls(s)
    again(s)
    assert calls(s) == before and SECRET.encode() not in path.read_bytes()


def test_what_was_written_last_is_there_after_a_kill(suimon, table, tmp_path):
    s = suimon({"stats": {"snapshot": str(tmp_path / "statistics")}})
    work(s, table)
    before = calls(s)
    again(s)
    work(s, table)
    s.judged = True
    os.kill(s.process.pid, signal.SIGKILL)
    s.stop()
    s.start()
    assert calls(s) == before


def test_it_lies_in_the_queues_folder(suimon, table, tmp_path):
    rules = [{"match": {"table": table.name + ".other", "verb": "insert"}, "order": "table"}]
    s = suimon({"queue": {"rules": rules}})
    work(s, table)
    before = calls(s)
    again(s)
    assert calls(s) == before
    assert os.path.exists(os.path.join(s.config["queue"]["dir"], "statistics"))


def test_it_lies_in_systemds_state_directory(suimon, table, tmp_path, monkeypatch):
    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", "%s:%s" % (state, tmp_path))
    s = suimon()
    work(s, table)
    before = calls(s)
    again(s)
    assert calls(s) == before
    assert (state / "statistics").exists()
    assert s.stop() == 0
    s.write(merge(s.config, {"stats": {"snapshot": "off"}}))
    s.start()
    assert calls(s) == {}


def test_where_it_cannot_be_kept_all_else_works(suimon, table):
    s = suimon({"stats": {"snapshot": "/nowhere/at/all"}})
    work(s, table)
    assert calls(s)
    assert "the statistics cannot be kept" in s.log_text()
    assert s.metrics()["suimon_stats_snapshot_failures_total"] == 1


def test_two_do_not_keep_one_file(suimon, cluster, tmp_path, table):
    keep = {"stats": {"snapshot": str(tmp_path / "statistics")}}
    first, second = suimon(keep), suimon(keep)
    work(second, table)
    assert "the statistics cannot be kept" in second.log_text()
    assert "the statistics cannot be kept" not in first.log_text()
