"""P3: a pool that is full: connections go from one session to the next as they are, and whoever waits has its turn."""
import threading
import time

import pytest

from conftest import ask

SECONDS = 5


def busy(suimon, db, many, **how):
    """So many sessions at once, each with one statement after the other; how many each had answered, and what failed."""
    answered, failed, end = [0] * many, [], time.monotonic() + SECONDS

    def work(me):
        try:
            with suimon.connect(database=db.name, **(how if me == 0 else {})) as c:
                while time.monotonic() < end:
                    ask(c, "SELECT SLEEP(0.002)")
                    answered[me] += 1
        except Exception as e:
            failed.append(e)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(many)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return answered, failed


@pytest.mark.parametrize("threads", [1, 2])
def test_connections_stay_while_sessions_wait_for_them(suimon, db, threads):
    """None is closed, to be opened again, for one that could have had it."""
    s = suimon({"threads": threads, "replicas": [], "backend": {"pool": {"max": 4, "min_idle": 0}}})
    answered, failed = busy(s, db, 12)
    assert not failed and all(answered)
    assert s.metrics()["suimon_pool_waits_total"] > 100
    assert s.metrics()["suimon_upstream_connects_total"] < 20 * SECONDS  # its logins, and what goes to another worker: ten a second at most


@pytest.mark.parametrize("how", [{"local_infile": True}, {"user": "guest", "password": "guest"}], ids=["capabilities", "account"])
def test_who_cannot_use_what_the_others_have_is_served_too(suimon, db, how):
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 2, "min_idle": 0}}})
    answered, failed = busy(s, db, 8, **how)
    assert not failed and answered[0] >= 5


def test_a_worker_without_a_place_gets_one(suimon, db):
    """Two places for many sessions of four workers: nobody waits until its time is over."""
    s = suimon({"threads": 4, "replicas": [], "backend": {"pool": {"max": 2, "min_idle": 0}, "failover_hold": "3s"}})
    answered, failed = busy(s, db, 24)
    assert not failed and all(answered)


def test_a_worker_without_a_place_gets_one_of_those_that_have_to_be_asked_first(suimon, db):
    """What SQL_CALC_FOUND_ROWS has counted only its connection knows, and each of the two that have one takes it back at once."""
    s = suimon({"threads": 2, "replicas": [], "backend": {"pool": {"max": 2, "min_idle": 0}, "failover_hold": "3s"}})
    db.setup("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1), (2), (3)")
    open_ = [s.connect(database=db.name) for _ in range(4)]  # of the two workers in turn
    failed, end = [], time.monotonic() + SECONDS

    def work(c, sql):
        try:
            while time.monotonic() < end:
                ask(c, sql)
        except Exception as e:
            failed.append(e)
    counts = "SELECT SQL_CALC_FOUND_ROWS n FROM t LIMIT 1"
    threads = [threading.Thread(target=work, args=how) for how in ((open_[0], counts), (open_[2], counts), (open_[1], "SELECT n FROM t FOR UPDATE"))]
    for t in threads:
        t.start()
        time.sleep(0.2)
    for t in threads:
        t.join()
    for c in open_:
        c.close()
    assert not failed
