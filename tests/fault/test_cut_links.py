"""R3: a link to a server that is cut at any point of a statement's life; nothing is sent twice that may have run."""
import signal
import threading
import time

import pymysql
import pytest

from conftest import ask, numbers, who
from relay import Relay
from servers import sum_metric, wait_until

LOST = (1927, 2006, 2013, 1158, 1159, 1160, 1161, 1105, 3950, 1053)


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, n INT)", "INSERT INTO t VALUES (1, 0)")
    return db


@pytest.fixture
def links(cluster, suimon):
    """suimon with a relay before each server."""
    primary, replica = Relay(cluster.primary.port), Relay(cluster.replica.port)
    # The relay goes by what it reads, so nothing is encrypted.
    s = suimon({"primary": primary.address, "replicas": [replica.address], "threads": 1,
                "backend": {"failover_hold": "2s", "tls": {"mode": "disabled"}}})
    yield s, primary, replica
    primary.close()
    replica.close()


def cut_once(relay, direction, word):
    """Cuts the link over which `word` passes (before it passes), once. The event tells when."""
    done = threading.Event()

    def decide(where, data):
        if where == direction and word in data and not done.is_set():
            done.set()
            return True
        return False
    relay.cut_when = decide
    return done


def attempt(c, sql):
    """The rows, or the error's code and text."""
    try:
        return ask(c, sql)
    except pymysql.MySQLError as e:
        return e.args


def test_a_read_whose_link_is_cut_before_the_answer_is_answered_elsewhere(links, table):
    s, primary, replica = links
    with s.connect(database=table.name) as c:
        wait_until("reads on the replica", lambda: who(c) == "replica", 30)
        done = cut_once(replica, "up", b"MARK1")
        assert ask(c, "SELECT n, 'MARK1' FROM t WHERE id = 1") == ((0, "MARK1"),)
        assert done.is_set()
        wait_until("reads on the replica again", lambda: who(c) == "replica", 30)
        done = cut_once(replica, "down", b"MARK2")
        assert ask(c, "SELECT n, 'MARK2' FROM t WHERE id = 1") == ((0, "MARK2"),)
        assert done.is_set()
    assert sum_metric(s.metrics(), "suimon_retries_total") >= 2


def test_a_read_whose_answer_had_begun_is_not_repeated(links, table):
    s, primary, replica = links
    table.setup("INSERT INTO t (n) SELECT seq FROM " + numbers(1, 50000))
    with s.connect(database=table.name) as c, s.connect(database=table.name) as other:
        seen = []

        def decide(where, data):
            if where == "down":
                seen.append(len(data))
            return where == "down" and sum(seen) > 200000
        ask(c, "SELECT 1 FROM whoami")
        replica.cut_when = decide
        result = attempt(c, "SELECT id, n FROM t")
        replica.cut_when = None
        assert result[0] in LOST
        assert ask(other, "SELECT COUNT(*) FROM t") == ((50001,),)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_write_whose_link_is_cut_is_not_repeated(links, table, direction):
    """Cut on the way there it has not run, on the way back it has: in both cases the client is told and decides."""
    s, primary, _ = links
    with s.connect(database=table.name) as c:
        ask(c, "INSERT INTO t (n) VALUES (100)")
        before = table.primary("SELECT COUNT(*) FROM t")[0][0]
        if direction == "down":
            armed = threading.Event()

            def decide(where, data):
                if where == "up" and b"MARK" in data:
                    armed.set()
                return where == "down" and armed.is_set()
            primary.cut_when = decide
        else:
            cut_once(primary, "up", b"MARK")
        result = attempt(c, "INSERT INTO t (n) VALUES (200) /* MARK */")
        primary.cut_when = None
        assert result[0] in LOST, result
        assert result[1].startswith("suimon: ")
    time.sleep(0.3)
    assert table.primary("SELECT COUNT(*) FROM t")[0][0] - before == (1 if direction == "down" else 0)


@pytest.mark.parametrize("begin, end", [("BEGIN", "COMMIT"), ("SET autocommit = 0", "SET autocommit = 1")])
def test_a_commit_whose_answer_is_lost_is_not_said_to_have_failed_or_repeated(links, table, begin, end):
    s, primary, _ = links
    with s.connect(database=table.name) as c:
        ask(c, begin)
        ask(c, "INSERT INTO t (n) VALUES (300)")
        armed = threading.Event()

        def decide(where, data):
            if where == "up" and end.encode() in data:
                armed.set()
            return where == "down" and armed.is_set()
        primary.cut_when = decide
        result = attempt(c, end)
        primary.cut_when = None
        assert result[0] in LOST and "whether the transaction was committed is not known" in result[1]
    wait_until("the commit", lambda: table.primary("SELECT COUNT(*) FROM t WHERE n = 300") == ((1,),), 30)


def test_a_transaction_ends_with_its_link(links, table):
    s, primary, _ = links
    c = s.connect(database=table.name)
    c.begin()
    ask(c, "UPDATE t SET n = 5 WHERE id = 1")
    primary.cut()
    error = attempt(c, "SELECT 1")
    assert error[0] in LOST and "rolled back" in error[1], error
    c._force_close()
    with s.connect(database=table.name) as d:
        assert ask(d, "SELECT n FROM t WHERE id = 1") == ((0,),)


@pytest.mark.parametrize("state,told", [("UPDATE t SET n = 5 WHERE id = 1", "its transaction is rolled back"),
                                        ("SET @a = 1", "its transaction is rolled back; the session's state (user_variable)")])
def test_a_link_lost_between_two_statements_says_what_went_with_it(links, table, state, told):
    """Nothing was on its way: the next statement, a COMMIT too, is answered by what became of the transaction."""
    s, primary, _ = links
    c = s.connect(database=table.name)
    with pytest.raises(pymysql.MySQLError): # an error of suimon's own before: it must not disturb the next one's number
        ask(c, "KILL 2147483647")
    c.begin()
    ask(c, state)
    lost = sum_metric(s.metrics(), "suimon_upstream_lost_total")
    primary.cut()
    wait_until("the loss", lambda: sum_metric(s.metrics(), "suimon_upstream_lost_total") > lost, 30)
    error = attempt(c, "COMMIT")
    assert error[0] == 1927 and told in error[1] and error[1].startswith("suimon: "), error
    c._force_close()
    assert table.primary("SELECT n FROM t WHERE id = 1") == ((0,),)


def test_idle_links_that_are_cut_cost_nobody_a_statement(links, table):
    s, primary, replica = links
    with s.connect(database=table.name) as c:
        for _ in range(5):
            ask(c, "SELECT n FROM t WHERE id = 1")
            ask(c, "UPDATE t SET n = n + 1 WHERE id = 1")
            primary.cut()
            replica.cut()
            time.sleep(0.05)
    assert table.primary("SELECT n FROM t WHERE id = 1") == ((5,),)


def test_what_may_be_sent_again_is_whatever_of_the_idle_links_is_dead_without_a_word(links, table):
    """They all broke with their server, and none has said so yet: the first that does is warning enough of the others."""
    s, primary, _ = links
    clients = [s.connect(database=table.name) for _ in range(8)]
    for c in clients:
        c.begin()
    for c in clients:
        ask(c, "SELECT n FROM t FOR UPDATE SKIP LOCKED")
    for c in clients:
        c.rollback()
    dead = {link.fileno() for link, _ in primary.links}
    cut = []

    def decide(link, direction, data):
        if direction == "up" and link in dead and b"SELECT n, 'MARK2'" in data:
            dead.discard(link)
            cut.append(link)
            return 0
        return None
    primary.cut_at = decide
    for c in clients:
        assert ask(c, "SELECT n, 'MARK2' FROM t /* suimon: primary */") == ((0, "MARK2"),)
        c.close()
    assert len(cut) > 3
    assert sum_metric(s.metrics(), "suimon_retries_total") == len(cut)


def test_what_is_sent_again_has_its_turn_in_a_pool_that_is_full(cluster, suimon, table):
    """The new connection that it needs takes the place of one that those behind it could use."""
    relay = Relay(cluster.primary.port)
    s = suimon({"primary": relay.address, "replicas": [], "threads": 1,
                "backend": {"failover_hold": "2s", "tls": {"mode": "disabled"}, "pool": {"max": 1, "min_idle": 0}}})
    stop = threading.Event()

    def load(c):
        with c:
            while not stop.is_set():
                ask(c, "SELECT n, SLEEP(0.02) FROM t")
    others = [threading.Thread(target=load, args=(s.connect(database=table.name),)) for _ in range(6)]
    try:
        with s.connect(database=table.name) as c:
            for each in others:
                each.start()
            time.sleep(0.5)
            done = cut_once(relay, "up", b"MARK3")
            assert ask(c, "SELECT n, 'MARK3' FROM t") == ((0, "MARK3"),)
            assert done.is_set()
    finally:
        stop.set()
        for each in others:
            each.join()
        relay.close()


WRITE = "UPDATE t SET n = n + 1 WHERE id = 1"
ON_THE_ENDED = {
    "a write": (WRITE, WRITE, None, 2),
    "a commit": ("BEGIN; " + WRITE, "COMMIT", "not sent, its transaction is rolled back", 0),
    "a commit by autocommit": ("SET autocommit = 0; " + WRITE, "SET autocommit = 1", "not sent, its transaction is rolled back", 0),
    "a write of a session with state": ("SET @a = 1; " + WRITE, WRITE, "the statement was not sent; the session's state (user_variable) is lost", 1),
}


def behind_its_links_end(s, primary, table, before, last):
    """What is said to `last`, sent when the link has ended and suimon has not seen it."""
    with s.connect(database=table.name) as c:
        for sql in before.split("; "):
            ask(c, sql)
        s.process.signal(signal.SIGSTOP)
        try:
            time.sleep(0.3)  # each of its threads has to notice
            c._execute_command(3, last)
            primary.cut()
            time.sleep(0.3)
        finally:
            s.process.signal(signal.SIGCONT)
        try:
            c._read_query_result()
            return None
        except pymysql.MySQLError as e:
            assert e.args[0] == 1927
            return e.args[1]


@pytest.mark.parametrize("what", ON_THE_ENDED)
def test_what_is_not_sent_on_a_link_that_has_ended_is_not_in_doubt(links, table, what):
    """Of the link's end and the statement suimon is told in the order in which they came; nearly always."""
    s, primary, _ = links
    before, last, told, n = ON_THE_ENDED[what]
    for tries in range(1, 6):
        said = behind_its_links_end(s, primary, table, before, last)
        assert table.primary("SELECT n FROM t WHERE id = 1") == ((tries * n,),)
        if not told or told in said:
            return
        assert "not known" not in said  # the end came first, and the statement found it told
    pytest.fail(said)


def test_a_slow_replica_slows_only_those_who_read_there(links, table):
    s, primary, replica = links
    with s.connect(database=table.name) as c:
        replica.delay = 1.5
        begin = time.monotonic()
        for _ in range(20):
            ask(c, "/* suimon: primary */ SELECT n FROM t WHERE id = 1")
        assert time.monotonic() - begin < 30
        replica.delay = 0


def test_a_replica_that_stops_answering_does_not_stop_reads_for_ever(links, table):
    """Bytes neither come nor does the link break: the monitor notices, and new reads go elsewhere."""
    s, primary, replica = links
    with s.connect(database=table.name) as c:
        assert who(c) == "replica"
        replica.held.set()
        try:
            def elsewhere():
                with s.connect(database=table.name, read_timeout=10) as d:
                    return who(d) == "primary"
            wait_until("reads on the primary", elsewhere, 20)
        finally:
            replica.held.clear()


def test_statements_end_when_a_servers_host_is_gone_without_a_word(links, table):
    """No FIN, no RST, no acknowledgement. A read goes elsewhere, a write is told that its outcome is not known."""
    s, primary, replica = links
    with s.connect(database=table.name) as reader, s.connect(database=table.name) as writer:
        wait_until("reads on the replica", lambda: who(reader) == "replica", 30)
        ask(writer, "UPDATE t SET n = 1")
        replica.swallow()
        assert who(reader) == "primary"
        primary.swallow()
        error = attempt(writer, "UPDATE t SET n = 2")
        assert error[0] == 1927 and "not known" in error[1], error
    assert sum_metric(s.metrics(), "suimon_upstream_lost_total") >= 2


def test_links_are_probed_while_nothing_passes(links, table):
    """A host that goes while a statement runs there is found out by probes, within a minute."""
    s, primary, _ = links
    with s.connect(database=table.name) as c:
        ask(c, "UPDATE t SET n = 1")
        timers = []
        with open("/proc/net/tcp") as f:
            for line in f.readlines()[1:]:
                _, local, remote, state, _, timer = line.split()[:6]
                if int(remote.split(":")[1], 16) == primary.port and state == "01":
                    kind, ticks = timer.split(":")
                    timers.append((kind, int(ticks, 16) / 100))
    assert any(kind == "02" and left <= 10 for kind, left in timers), timers # the monitor has limits of its own
