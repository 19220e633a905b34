"""Signals at any time (R4, F1): none that comes early is lost or kills, and one is one, whoever else has said the same before."""
import os
import signal
import socket
import time

import pytest

import servers
from conftest import ask, ended_well
from test_upgrade import line  # noqa: F401 (a fixture)


@pytest.fixture
def starting(suimon):
    """One in the middle of its start: the Redis that has its rules does not answer."""
    silent = socket.create_server((servers.LOOPBACK, 0))
    s = suimon({"config": {"source": "redis://%s:%d/rules" % (servers.LOOPBACK, silent.getsockname()[1])}}, run=False)
    s.write()
    s.process.start()
    silent.settimeout(30)
    asked, _ = silent.accept()
    yield s
    asked.close()
    silent.close()


def test_sigterm_during_the_start_ends_it_well(starting):
    os.kill(starting.process.pid, signal.SIGTERM)
    assert starting.process.child.wait(60) == 0
    assert "main: stopped" in starting.log_text()
    ended_well(starting)


@pytest.mark.parametrize("sig,said", [(signal.SIGHUP, "config: reloaded"), (signal.SIGUSR2, "upgrade: a new process starts")])
def test_other_signals_during_the_start_are_heard_after_it(starting, sig, said):
    os.kill(starting.process.pid, sig)
    servers.wait_until("it to be heard", lambda: said in starting.log_text(), 60)
    assert "main: ready" in starting.log_text().split(said)[0]


def both_drain(it, db, *begins):
    """An upgrade beside a session whose transaction begins so, and SIGTERM to the new process, which tells the old one. Session, old, new."""
    c = it.instance.connect(database=db.name)
    c.begin()
    for sql in begins:
        ask(c, sql)
    old = it.pids[0]
    new = it.upgrade()
    os.kill(new, signal.SIGTERM)
    servers.wait_until("the old one to drain", lambda: it.said("main: draining") == 2, 30)
    return c, old, new


def test_one_sigterm_to_both_processes_of_an_upgrade_is_one_each(line, db):  # noqa: F811
    """The new one's word to drain may come before the old one's own signal: that is not the second one, which would cut a transaction."""
    db.setup("CREATE TABLE t (n INT)")
    it = line({"drain_timeout": "60s"})
    c, old, new = both_drain(it, db, "INSERT INTO t VALUES (1)")
    os.kill(old, signal.SIGTERM)
    time.sleep(0.3)
    c.commit()
    c.close()
    assert it.ended(old) == 0 and it.ended(new) == 0
    assert it.said("second signal") == 0
    assert db.primary("SELECT COUNT(*) FROM t") == ((1,),)


def test_the_second_sigterm_ends_a_drain_that_another_process_began(line, db):  # noqa: F811
    it = line({"drain_timeout": "300s"})
    c, old, new = both_drain(it, db, "SELECT 1")
    for _ in range(2):
        os.kill(old, signal.SIGTERM)
        time.sleep(0.3)
    assert it.ended(old) == 0 and it.ended(new) == 0
    assert it.said("second signal") == 1
    c.close()
