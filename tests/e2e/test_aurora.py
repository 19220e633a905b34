"""discovery: aurora, against servers that answer as Aurora's do: a failover, a reader added, a reader removed."""
import threading
import time

import pytest

from aurora import Cluster
from conftest import ask
import servers
from servers import sum_metric, wait_until


@pytest.fixture
def cloud():
    c = Cluster()
    yield c
    c.stop()


def config(cloud, **backend):
    merged = {"monitor": {"user": "monitor", "password": "monitor", "interval": "100ms"}, "aurora_host": "127.0.0.?",
              "failover_hold": "40s"}
    merged.update(backend)
    return {"primary": "127.0.0.1:%d" % cloud.port, "discovery": "aurora", "threads": 2, "drain_timeout": "2s",
            "users": [{"name": "app", "password": "app"}], "backend": merged}


@pytest.fixture
def started(cloud, suimon):
    s = start(cloud, suimon)
    wait_until("the cluster's servers", lambda: states(s) == {"11": ("primary", "up"), "12": ("replica", "up"),
                                                             "13": ("replica", "up")}, 10)
    return s


def start(cloud, suimon, **backend):
    """Not what the fixture waits for: there is no schema to read here."""
    s = suimon(base=config(cloud, **backend), run=False)
    s.start()
    return s


def states(s):
    """Identifier to (role, state), without the endpoint."""
    return {b["addr"].split(":")[0].split(".")[-1]: (b["role"], b["state"])
            for b in servers.listing(s.api("/api/backends")) if b["role"] != "endpoint"}


def places(s, sessions=8):
    seen = set()
    open_ = [s.connect() for _ in range(sessions)]
    for c in open_:
        seen.add(ask(c, "SELECT name FROM whoami")[0][0])
    for c in open_:
        c.close()
    return seen


def test_the_endpoint_is_enough_to_find_all(cloud, started):
    s = started
    assert places(s) <= {"12", "13"}
    with s.connect() as c:
        ask(c, "UPDATE t SET n = n + 1")
        assert cloud.executed[-1][0] == "11"
        assert ask(c, "/* suimon: primary */ SELECT name FROM whoami") == (("11",),)
    assert sum_metric(s.metrics(), "suimon_failovers_total") == 0


def test_writes_wait_through_a_failover_and_go_on_at_the_new_writer(cloud, started):
    """The writer dies; a reader takes over; the endpoint's name still leads to the old one; that comes back as a reader."""
    s = started
    failed, done, stop = [], [0], threading.Event()

    def write():
        c = s.connect()
        while not stop.is_set():
            try:
                ask(c, "UPDATE t SET n = n + 1")
                done[0] += 1
            except Exception as e:
                failed.append(e)
                c = s.connect()

    writers = [threading.Thread(target=write) for _ in range(8)]
    for w in writers:
        w.start()
    wait_until("writes", lambda: done[0] > 50, 10)
    cloud.instances["11"].stop()
    cloud.endpoint.stop()
    time.sleep(0.5)
    before = done[0]
    cloud.writer = "12"
    wait_until("writes at the new writer", lambda: done[0] > before + 50, 10)
    cloud.instances["11"].start()
    cloud.endpoint_at = "12"
    cloud.endpoint.start()
    wait_until("the old one to read from", lambda: states(s) == {"11": ("replica", "up"), "12": ("primary", "up"),
                                                                "13": ("replica", "up")}, 10)
    stop.set()
    for w in writers:
        w.join(60)
    # What was on its way when the writer died: one a connection at most, and said to be unknown.
    assert len(failed) <= 8 and [e for e in failed if "not known" not in str(e)] == [], failed
    assert done[0] <= cloud.n <= done[0] + len(failed)
    assert {i for i, _ in cloud.executed} == {"11", "12"}
    assert sum_metric(s.metrics(), "suimon_failovers_total") == 1
    assert places(s) <= {"11", "13"}


@pytest.mark.parametrize("error", [1290, 1836])
def test_a_failover_without_a_lost_link_is_seen_by_the_first_error(cloud, suimon, error):
    cloud.refuses_by = error
    s = start(cloud, suimon, monitor={"user": "monitor", "password": "monitor", "interval": "120s"})
    wait_until("the cluster's servers", lambda: states(s).get("11") == ("primary", "up") and
               states(s).get("12") == ("replica", "up"), 15)
    with s.connect() as c:
        ask(c, "UPDATE t SET n = n + 1")
        cloud.writer = "12"
        begin = time.monotonic()
        ask(c, "UPDATE t SET n = n + 1") # the error from the old one
        assert time.monotonic() - begin < 60 # the interval is longer
        assert cloud.executed[-1][0] == "12" and cloud.n == 2


def test_a_reader_that_is_added_gets_reads_and_one_that_is_removed_gets_none(cloud, started):
    s = started
    cloud.add("14")
    wait_until("the new reader", lambda: states(s).get("14") == ("replica", "up"), 10)
    wait_until("reads there", lambda: "14" in places(s), 10)
    failed, stop = [], threading.Event()

    def read():
        with s.connect() as c:
            while not stop.is_set():
                try:
                    ask(c, "SELECT name FROM whoami")
                except Exception as e:
                    failed.append(e)
                    return

    readers = [threading.Thread(target=read) for _ in range(6)]
    for r in readers:
        r.start()
    for ident in ("13", "14"):
        cloud.remove(ident)
        wait_until("it to be gone", lambda: states(s)[ident][1] == "gone", 10)
    stop.set()
    for r in readers:
        r.join(60)
    assert not failed
    assert places(s) == {"12"}
    cloud.add("13") # the same name again
    wait_until("it to be back", lambda: states(s)["13"] == ("replica", "up"), 10)
    cloud.add("15") # in the place of the one that is gone
    wait_until("another", lambda: states(s).get("15") == ("replica", "up"), 10)
    wait_until("its place to be taken", lambda: "14" not in states(s), 10)
    assert "another server" not in s.log_text().split("known by name now")[-1]


def test_a_reader_too_far_behind_gets_no_reads(cloud, started):
    s = started
    cloud.lag["12"] = 60000
    wait_until("it to be out", lambda: states(s)["12"][1] == "lagging", 10)
    assert places(s) == {"13"}
    cloud.lag["12"] = 20
    wait_until("it to be in", lambda: states(s)["12"][1] == "up", 10)


def test_a_cluster_without_readers_is_read_at_its_writer(cloud, started):
    s = started
    for ident in ("12", "13"):
        cloud.remove(ident)
        wait_until("it to be gone", lambda: states(s)[ident][1] == "gone", 10)
    assert places(s) == {"11"}


def test_names_that_lead_nowhere_leave_the_endpoint(cloud, suimon):
    s = start(cloud, suimon, aurora_host="127.0.1.?")
    with s.connect() as c:
        ask(c, "UPDATE t SET n = n + 1")
        assert cloud.n == 1 and ask(c, "SELECT name FROM whoami") == (("11",),)


def test_what_is_no_aurora_is_said_and_works_all_the_same(cluster, db, suimon):
    s = suimon({"replicas": [], "discovery": "aurora", "backend": {"aurora_host": "127.0.0.?"}})
    with s.connect(database=db.name) as c:
        assert ask(c, "SELECT name FROM whoami") == (("primary",),)
    wait_until("the log", lambda: "is it Aurora?" in s.log_text(), 5)
