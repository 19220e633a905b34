"""The slow log is MySQL's own format: the real pt-query-digest reads it, for text and prepared statements."""
import os
import signal
import subprocess

import pytest


from conftest import ask
from servers import wait_until
from wire import Wire


@pytest.fixture
def log(tmp_path):
    return str(tmp_path / "slow.log")


def slow(suimon, log, **stats):
    return suimon({"stats": dict({"slow": "50ms", "slow_log": log}, **stats)})


def text_of(log):
    return open(log).read() if os.path.exists(log) else ""


def test_pt_query_digest_reads_it(suimon, db, log):
    s = slow(suimon, log)
    with s.connect(database=db.name) as c:
        ask(c, "SELECT 1")
        for n in range(3):
            ask(c, "SELECT SLEEP(0.06), %d" % n)
        ask(c, "SELECT SLEEP(0.07), 'other'\nFROM dual")
    wait_until("four slow statements in the log", lambda: text_of(log).count("# Time:") == 4, 20)
    report = subprocess.run(["pt-query-digest", "--type", "slowlog", "--limit", "100%", log],
                            capture_output=True, text=True, timeout=60, check=True).stdout
    assert "4 total, 2 unique" in report.replace("Overall: ", ""), report
    assert "SLEEP(" in report and "app" in report and db.name in report


def test_a_prepared_statement_is_logged_with_its_values(suimon, db, log):
    s = slow(suimon, log)
    with s.connect(database=db.name) as c, Wire(c) as wire:
        wire.prepare("SELECT SLEEP(0.06), ?").execute(["needle"])
    wait_until("the value in the log", lambda: "needle" in text_of(log), 20)
    assert "SELECT SLEEP(0.06), 'needle';" in text_of(log)


def test_what_cannot_be_written_is_said_when_it_begins_and_when_it_is_over(suimon, db, log):
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    s = slow(suimon, log, slow="1ms")
    begins, over = "the slow log cannot be written", "the slow log is written again"
    with s.connect(database=db.name) as c:
        os.close(reader)
        for n in range(3):
            ask(c, "SELECT SLEEP(0.005)")
            wait_until("it to be counted", lambda: s.metrics()["suimon_slow_log_failures_total"] > n, 20)
        assert s.log_text().count(begins) == 1 and over not in s.log_text()
        reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
        ask(c, "SELECT SLEEP(0.006)")
        wait_until("that to be said", lambda: over in s.log_text(), 20)
    assert b"SLEEP(0.006)" in os.read(reader, 65536)
    os.close(reader)


def test_rotated_on_a_reload_and_masked_without_samples(suimon, db, log):
    s = slow(suimon, log, samples=False)
    with s.connect(database=db.name) as c:
        ask(c, "SELECT SLEEP(0.06), 'secret-one'")
        wait_until("the first entry", lambda: "sleep(?)" in text_of(log).lower(), 20)
        os.rename(log, log + ".old")
        s.process.signal(signal.SIGHUP)
        wait_until("a new file", lambda: os.path.exists(log), 20)
        ask(c, "SELECT SLEEP(0.06), 'secret-two'")
        wait_until("the second entry", lambda: "sleep(?)" in text_of(log).lower(), 20)
    assert "secret" not in text_of(log) + text_of(log + ".old")
