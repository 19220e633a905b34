"""R2: a session's reads see its writes, and never an older state than one it has seen before, whichever replica answers."""
import threading
import time

import pytest

from conftest import address, ask
import servers
from servers import sum_metric, wait_until


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A primary and two replicas."""
    members = servers.family(str(tmp_path_factory.mktemp("three")), ("primary", "one", "two"), ["shop"])
    members[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, n BIGINT)", "INSERT INTO shop.t VALUES (1, 0)",
                   "CREATE TABLE shop.whoami (name VARCHAR(10))")
    for name, m in zip(("primary", "one", "two"), members):
        if m is not members[0]:
            m.catch_up(members[0])
        m.sql("SET sql_log_bin = 0", "INSERT INTO shop.whoami VALUES ('%s')" % name)
    yield members
    for m in members:
        m.stop()


def config(cluster, three, **more):
    base = cluster.config()
    base.update(primary=address(three[0]), replicas=[address(m) for m in three[1:]], **more)
    return base


def use(s, server, on):
    verb = "enable" if on else "disable"
    assert s.http("/api/backends/%s/%s" % (address(server), verb), method="POST", data={})[0] == 200


def is_up(s, server):
    return [b["state"] for b in servers.listing(s.api("/api/backends")) if b["addr"] == address(server)] == ["up"]


def who(c):
    return ask(c, "SELECT name FROM whoami")[0][0]


def number(c):
    return ask(c, "SELECT n FROM t WHERE id = 1")[0][0]


def test_reads_stay_on_one_replica_and_sessions_spread(cluster, three, suimon):
    s = suimon(base=config(cluster, three))
    seen = set()
    sessions = [s.connect(database="shop") for _ in range(8)]
    wait_until("both replicas", lambda: is_up(s, three[1]) and is_up(s, three[2]), 30)
    for c in sessions:
        mine = {who(c) for _ in range(5)}
        assert len(mine) == 1 and mine <= {"one", "two"}
        seen |= mine
        c.close()


def test_a_read_does_not_go_back_in_time_when_its_replica_goes(cluster, three, suimon):
    primary, one, two = three
    base = config(cluster, three)
    base["backend"]["monitor"]["max_lag"] = "30s" # a replica that is behind stays in use
    s = suimon(base=base)
    wait_until("both replicas", lambda: is_up(s, one) and is_up(s, two), 30)
    with s.connect(database="shop") as c, two.root() as behind, behind.cursor() as lock:
        use(s, two, False)
        lock.execute("FLUSH TABLES WITH READ LOCK")
        try:
            primary.sql("UPDATE shop.t SET n = 1000")
            one.catch_up(primary)
            assert who(c) == "one" and number(c) == 1000
            use(s, two, True)
            wait_until("the other replica", lambda: is_up(s, two), 30)
            use(s, one, False)
            for _ in range(20):
                assert number(c) == 1000, who(c)
                assert who(c) == "primary"
                time.sleep(0.05)
            with s.connect(database="shop") as fresh: # has seen nothing yet
                assert number(fresh) < 1000 and who(fresh) == "two"
        finally:
            lock.execute("UNLOCK TABLES")
        wait_until("the replica to be known to have caught up", lambda: who(c) == "two", 30)
        assert number(c) == 1000


def test_a_replica_that_comes_back_is_not_read_before_it_has_what_the_primary_has_shown(cluster, three, suimon):
    """It was the one the session read from, but meanwhile the session has read on the primary."""
    primary, one, two = three
    base = config(cluster, three)
    base["backend"]["monitor"]["max_lag"] = "60s" # a replica that is behind stays in use
    s = suimon(base=base)
    wait_until("both replicas", lambda: is_up(s, one) and is_up(s, two), 30)
    use(s, two, False)
    with s.connect(database="shop") as c, one.root() as behind, behind.cursor() as lock:
        assert who(c) == "one"
        one.catch_up(primary)
        last = number(c)
        lock.execute("FLUSH TABLES WITH READ LOCK")
        try:
            primary.sql("UPDATE shop.t SET n = n + 1000")
            use(s, one, False)
            assert number(c) == last + 1000 and who(c) == "primary"
            use(s, one, True)
            wait_until("the replica", lambda: is_up(s, one), 30)
            for _ in range(20):
                assert number(c) == last + 1000, who(c)
        finally:
            lock.execute("UNLOCK TABLES")
        wait_until("the replica to be known to have caught up", lambda: who(c) == "one", 30)
        assert number(c) == last + 1000


def reset(c):
    c._execute_command(0x1f, b"")
    c._read_ok_packet()


def test_a_new_session_sees_what_the_last_one_wrote(cluster, three, suimon):
    """As an application that connects for each of its requests, or takes connections from a pool that resets them."""
    primary, one, two = three
    base = config(cluster, three)
    base["backend"]["monitor"]["max_lag"] = "60s" # replicas that are behind stay in use
    s = suimon(base=base)
    loose = suimon(base=dict(base, routing={"consistency": "eventual"}))
    wait_until("both replicas", lambda: is_up(s, one) and is_up(s, two) and is_up(loose, one), 30)
    with s.connect(database="shop") as pooled, one.root() as a, two.root() as b, a.cursor() as hold_one, b.cursor() as hold_two:
        assert who(pooled) in ("one", "two")
        hold_one.execute("FLUSH TABLES WITH READ LOCK")
        hold_two.execute("FLUSH TABLES WITH READ LOCK")
        try:
            with s.connect(database="shop") as writer, writer.cursor() as cur:
                cur.execute("UPDATE t SET n = n + 7")
                written = number(writer)
            with s.connect(database="shop") as fresh:
                assert number(fresh) == written and who(fresh) == "primary"
            reset(pooled)
            pooled.select_db("shop")
            assert number(pooled) == written
            with loose.connect(database="shop") as fresh:
                assert number(fresh) == written - 7 and who(fresh) in ("one", "two")
        finally:
            hold_one.execute("UNLOCK TABLES")
            hold_two.execute("UNLOCK TABLES")
    with s.connect(database="shop") as fresh:
        wait_until("reads from replicas again", lambda: who(fresh) in ("one", "two"), 30)
        assert number(fresh) == written


class Reader(threading.Thread):
    """One session that reads a number which only grows, one read after the other."""

    def __init__(self, s):
        super().__init__(daemon=True)
        self.s, self.going = s, True
        self.reads, self.places, self.back, self.failed = 0, set(), [], None

    def run(self):
        try:
            with self.s.connect(database="shop") as c:
                last = 0
                while self.going:
                    name, n = ask(c, "SELECT name, n FROM whoami, t WHERE id = 1")[0]
                    if n < last:
                        self.back.append((last, n, name))
                    last = n
                    self.places.add(name)
                    self.reads += 1
        except Exception as e:
            self.failed = e


def test_reads_never_go_back_while_replicas_come_and_go(cluster, three, suimon):
    primary, one, two = three
    s = suimon(base=config(cluster, three))
    wait_until("both replicas", lambda: is_up(s, one) and is_up(s, two), 30)
    stop, writes = threading.Event(), [0]

    def write():
        with primary.root(database="shop") as c:
            while not stop.is_set():
                ask(c, "UPDATE t SET n = n + 1 WHERE id = 1")
                writes[0] += 1

    readers = [Reader(s) for _ in range(3)]
    threads = readers + [threading.Thread(target=write, daemon=True)]
    for t in threads:
        t.start()

    def some_more():
        reads, written = [r.reads for r in readers], writes[0]
        wait_until("reads and writes", lambda: writes[0] > written + 20 and
                   all(r.failed or r.reads > n + 20 for r, n in zip(readers, reads)), 60)

    for i in range(8):
        use(s, (one, two)[i % 2], False)
        some_more()
        use(s, (one, two)[i % 2], True)
        some_more()
    wait_until("both to be up", lambda: all(is_up(s, m) for m in (one, two)), 30)
    wait_until("reads on both", lambda: {"one", "two"} <= set.union(*(r.places for r in readers)), 60)
    stop.set()
    for r in readers:
        r.going = False
    for t in threads:
        t.join(60)
    for r in readers:
        assert r.failed is None and not r.back, (r.failed, r.back[:5])


def test_after_a_write_of_unknown_position_reads_return_once_the_replica_is_known_to_have_it(cluster, three, suimon):
    """INSERT .. RETURNING to a client without DEPRECATE_EOF reports no position: the monitor's checks bound it."""
    primary, one, two = three
    base = config(cluster, three)
    base["backend"]["monitor"]["max_lag"] = "1h" # the fixed window would last that long
    s = suimon(base=base)
    wait_until("both replicas", lambda: is_up(s, one) and is_up(s, two), 30)
    with s.connect(database="shop") as c, one.root() as behind_one, two.root() as behind_two, \
            behind_one.cursor() as hold_one, behind_two.cursor() as hold_two:
        assert who(c) in ("one", "two")
        hold_one.execute("FLUSH TABLES WITH READ LOCK")
        hold_two.execute("FLUSH TABLES WITH READ LOCK")
        assert ask(c, "INSERT INTO t VALUES (%d, 7) RETURNING n" % (time.time_ns() % 10**9)) == ((7,),)
        assert who(c) == "primary"
        hold_one.execute("UNLOCK TABLES")
        hold_two.execute("UNLOCK TABLES")
        wait_until("a replica again", lambda: who(c) in ("one", "two"), 30)
        assert sum_metric(s.metrics(), "suimon_replica_lag_fallbacks_total") > 0
