"""R3, R4: the primary changes. Statements that can wait do; what is not known is said; nothing runs twice; one primary."""
import signal
import threading
import time

import pymysql
import pytest

from conftest import KIND, MAKE, Background, acknowledged, ask
import failover_load
from relay import Relay
import servers
from wire import Wire

LOST = (1927, 2006, 2013)
REFUSED = (1290, 1836)


class Trio:
    """A primary and two replicas of this test's own."""

    def __init__(self, base, template):
        self.all = servers.family(base, ("first", "second", "third"), ["shop"], template, make=MAKE)
        self.first, self.second, self.third = self.all
        self.first.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.t VALUES (1, 0)",
                       "CREATE TABLE shop.log (id BIGINT PRIMARY KEY AUTO_INCREMENT, writer INT, n INT, UNIQUE (writer, n))",
                       "CREATE TABLE shop.pair (id INT PRIMARY KEY, a INT, b INT)", "INSERT INTO shop.pair VALUES (1, 0, 0)")
        for r in self.all[1:]:
            r.catch_up(self.first)

    def stop(self):
        for s in self.all: # nothing of them is looked at any more
            if s.process.alive():
                s.process.kill()

    def config(self, cluster, **backend):
        base = cluster.config()
        base["primary"] = "127.0.0.1:%d" % self.first.port
        base["replicas"] = ["127.0.0.1:%d" % s.port for s in (self.second, self.third)]
        base["backend"].update(backend)
        return base


def switch_over(old, new, others=()):
    """As an operator does it: the old one read-only, the new one catches up and takes over, the others follow it."""
    old.sql("SET GLOBAL read_only = ON")
    new.catch_up(old)
    new.promote()
    for s in others:
        s.replication("STOP SLAVE", "CHANGE MASTER TO MASTER_PORT=%d" % new.port, "START SLAVE")
    old.demote(new)


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    server = MAKE(str(tmp_path_factory.mktemp("template")), "template", 0)
    server.install()
    return server


@pytest.fixture
def trio(tmp_path, template):
    t = Trio(str(tmp_path), template)
    yield t
    t.stop()


def roles(s):
    return {b["addr"]: b["role"] for b in servers.listing(s.api("/api/backends"))}


def wait_for_primary(s, server, seconds=40):
    servers.wait_until("the new primary", lambda: roles(s)["127.0.0.1:%d" % server.port] == "primary", seconds)


class Load(threading.Thread):
    """A client that writes numbered rows and reads them back; it keeps what it was told."""

    def __init__(self, s, number, kind):
        super().__init__(daemon=True)
        self.s, self.number, self.kind = s, number, kind
        self.acknowledged, self.unknown, self.refused, self.stale = [], [], [], []
        self.going = True
        self.n = 0

    def run(self):
        c = None
        while self.going:
            self.n += 1
            try:
                if c is None:
                    c = self.s.connect(database="shop", read_timeout=90)
                if self.kind == "transaction":
                    c.begin()
                    ask(c, "INSERT INTO log (writer, n) VALUES (%d, %d)" % (self.number, self.n))
                    c.commit()
                else:
                    ask(c, "INSERT INTO log (writer, n) VALUES (%d, %d)" % (self.number, self.n))
                self.acknowledged.append(self.n)
                found = ask(c, "SELECT COUNT(*) FROM log WHERE writer = %d AND n = %d" % (self.number, self.n))
                if found != ((1,),):
                    self.stale.append(self.n)
            except pymysql.MySQLError as e:
                (self.refused if e.args[0] in REFUSED else self.unknown).append((self.n, e.args))
                if e.args[0] in REFUSED:
                    c.rollback()
                    continue
                try:
                    c.close()
                except (pymysql.MySQLError, AttributeError):
                    pass
                c = None


def start_load(s, n=16):
    load = [Load(s, i, "transaction" if i % 4 == 3 else "plain") for i in range(n)]
    for w in load:
        w.start()
    servers.wait_until("load", lambda: all(w.n > 5 for w in load), 60)
    return load


def stop_load(load, server):
    """Ends it and compares what it was told with what there is."""
    for w in load:
        w.going = False
    for w in load:
        w.join(100)
    there = {}
    for writer, n in server.sql("SELECT writer, n FROM shop.log"):
        there.setdefault(writer, set()).add(n)
    for w in load:
        mine = there.get(w.number, set())
        assert set(w.acknowledged) <= mine, sorted(set(w.acknowledged) - mine)[:5]
        assert not mine & {n for n, _ in w.refused}, "refused, and there all the same"
        assert mine <= set(w.acknowledged) | {n for n, _ in w.unknown}
        assert not w.stale, w.stale[:5]


def test_a_switch_over_under_load_fails_nothing_but_open_transactions(cluster, trio, suimon):
    s = suimon(base=trio.config(cluster, failover_hold="60s"))
    load = start_load(s)
    switch_over(trio.first, trio.second, [trio.third])
    wait_for_primary(s, trio.second)
    at = [w.n for w in load]
    servers.wait_until("writes on the new primary", lambda: all(w.n > n + 5 for w, n in zip(load, at)), 60)
    stop_load(load, trio.second)
    for w in load:
        assert not w.unknown, w.unknown[:3]
        if w.kind == "plain":
            assert not w.refused, w.refused[:3]
    m = s.metrics()
    assert servers.sum_metric(m, "suimon_failovers_total") == 1
    assert servers.sum_metric(m, "suimon_failover_holds_total") > 0
    assert servers.sum_metric(m, "suimon_failover_hold_timeouts_total") == 0
    assert "another server is the primary" in s.log_text()
    servers.wait_until("the old one to serve reads", lambda: [b["state"] for b in servers.listing(s.api("/api/backends"))]
                       == ["up"] * 3, 10)


def test_a_primary_killed_under_load_and_a_replica_promoted(cluster, trio, suimon):
    s = suimon(base=trio.config(cluster, failover_hold="60s")) # the promotion below may take its time
    load = start_load(s)
    trio.first.process.kill()
    # What the operator's tool does: the replica with the most becomes the primary.
    for r in (trio.second, trio.third):
        r.replication("STOP SLAVE IO_THREAD")
    at = {r: r.applied() for r in (trio.second, trio.third)}
    new = max(at, key=at.get)
    other = trio.third if new is trio.second else trio.second
    other.replication("STOP SLAVE", "CHANGE MASTER TO MASTER_PORT=%d" % new.port)
    new.promote()
    other.replication("START SLAVE")
    wait_for_primary(s, new)
    at = [len(w.acknowledged) for w in load]
    servers.wait_until("writes on the new primary", lambda: all(len(w.acknowledged) > n + 5 for w, n in zip(load, at)), 60)
    for w in load:
        w.going = False
    for w in load:
        w.join(100)
    rows = new.sql("SELECT writer, n FROM shop.log")
    assert len(rows) == len(set(rows))
    for w in load:
        # The one statement that was on its way when the link broke: whether it ran nobody can know. Or the open transaction.
        assert len(w.unknown) <= 1, w.unknown
        for _, args in w.unknown:
            assert args[0] in LOST
            assert "not known" in args[1] or "rolled back" in args[1] or "not sent" in args[1], args
        # What the dead one acknowledged and no replica had is gone: replication here is asynchronous.
        assert not {n for n in w.stale if (w.number, n) in rows}, w.stale


def check_fail_over(world, suimon):
    """R3, R4. Writes are back in under the monitor's interval and a second, which are two intervals here: so, counted in its looks at the
    new primary, after two. What a busy machine adds is what it adds to connections made past suimon, those of 16 writers one after the other."""
    s = suimon(base=failover_load.config(world), run=False)
    s.start()
    result = failover_load.fail_over(world, s, dead=4.0)
    looks, direct = result["looks"], result["direct"]
    assert looks["to_first_write"] <= 2 + int(2 * direct["slowest_s"] / failover_load.INTERVAL), result
    assert looks["to_every_writer"] <= 2 + int(16 * direct["slowest_s"] / failover_load.INTERVAL), result
    assert 2 * looks["while_dead"] >= direct["rounds_while_dead"], result  # it does look every interval
    assert not result["wrong"], result["wrong"][:5]
    assert result["reader"]["clients"] + result["writer"]["clients"] == 64
    assert result["failovers"] == 1
    assert servers.sum_metric(s.metrics(), "suimon_failover_hold_timeouts_total") == 0


def test_64_clients_when_the_primary_dies_and_a_replica_is_promoted(tmp_path, template, suimon):
    members = servers.family(str(tmp_path / "servers"), ("first", "second", "third"), ["shop"], template, make=MAKE)
    try:
        check_fail_over(failover_load.Replicated(members, 64), suimon)
    finally:
        for m in members:
            m.process.kill()


def test_64_clients_when_auroras_writer_dies_and_a_reader_takes_over(suimon):
    world = failover_load.Scripted()
    try:
        check_fail_over(world, suimon)
    finally:
        world.cloud.stop()


def test_an_operator_can_go_back_and_forth(cluster, trio, suimon):
    s = suimon(base=trio.config(cluster))
    with s.connect(database="shop") as c:
        old, new = trio.first, trio.second
        for n in range(1, 4):
            switch_over(old, new, [trio.third])
            ask(c, "UPDATE t SET n = %d" % n)
            assert ask(c, "SELECT n FROM t") == ((n,),)
            assert new.sql("SELECT n FROM shop.t") == ((n,),)
            wait_for_primary(s, new)
            old, new = new, old
    assert servers.sum_metric(s.metrics(), "suimon_failovers_total") == 3


def test_two_servers_that_take_writes_are_never_both_written_to(cluster, trio, suimon):
    s = suimon(base=trio.config(cluster))
    with s.connect(database="shop") as c:
        trio.second.promote()
        servers.wait_until("the metric", lambda: servers.sum_metric(s.metrics(), "suimon_writable_servers") == 2, 5)
        for n in range(20):
            ask(c, "UPDATE t SET n = n + 1")
        assert trio.first.sql("SELECT n FROM shop.t") == ((20,),)
        assert trio.second.sql("SELECT n FROM shop.t") == ((0,),)
        assert "several servers take writes" in s.log_text()
        # Nor is one chosen of two when the primary is gone.
        trio.third.promote()
        servers.wait_until("the metric", lambda: servers.sum_metric(s.metrics(), "suimon_writable_servers") == 3, 5)
        trio.first.process.kill()
        time.sleep(1.5)
        assert servers.sum_metric(s.metrics(), "suimon_failovers_total") == 0


def test_a_replica_that_is_not_read_only_does_not_become_the_primary_by_itself(cluster, trio, suimon):
    """It was never read-only and still follows the primary: nobody has promoted it."""
    for r in (trio.second, trio.third):
        r.sql("SET GLOBAL read_only = OFF")
    s = suimon(base=trio.config(cluster, failover_hold="90s"))
    with s.connect(database="shop") as c:
        ask(c, "UPDATE t SET n = 1")
        trio.first.stop()
        time.sleep(1.5)
        got = []
        writer = threading.Thread(target=lambda: got.append(ask(c, "UPDATE t SET n = 7")))
        writer.start()
        time.sleep(0.5)
        trio.first.start()
        writer.join(100)
        assert got == [()]
    assert trio.first.sql("SELECT n FROM shop.t") == ((7,),)
    assert servers.sum_metric(s.metrics(), "suimon_failovers_total") == 0


def test_a_primary_that_stays_read_only_says_so_itself(cluster, trio, suimon):
    s = suimon(base=trio.config(cluster, failover_hold="1s"))
    with s.connect(database="shop") as c:
        trio.first.sql("SET GLOBAL read_only = ON")
        begin = time.monotonic()
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "UPDATE t SET n = 1")
        assert time.monotonic() - begin >= 0.8
        assert e.value.args[0] == 1290 or e.value.args[1].startswith("suimon: ")
        time.sleep(0.5)
        with pytest.raises(pymysql.MySQLError) as e: # nobody waits any more: the server's own answer
            ask(c, "UPDATE t SET n = 1")
        assert e.value.args[0] == 1290
        assert ask(c, "SELECT n FROM t") == ((0,),)
        trio.first.sql("SET GLOBAL read_only = OFF")
        ask(c, "UPDATE t SET n = 2")
    assert servers.sum_metric(s.metrics(), "suimon_failover_hold_timeouts_total") == 1


def test_what_is_pinned_ends_clearly_with_the_primary_it_was_on(cluster, trio, suimon):
    s = suimon(base=trio.config(cluster))
    plain, open_, variable = (s.connect(database="shop") for _ in range(3))
    prepared = s.connect(database="shop")
    ask(prepared, "PREPARE p FROM 'SELECT n FROM t WHERE id = ?'")
    ask(variable, "SET @a = 5")
    open_.begin()
    ask(open_, "UPDATE t SET n = 100")
    ask(plain, "UPDATE pair SET a = 1")
    switch = threading.Thread(target=switch_over, args=(trio.first, trio.second, [trio.third]))
    switch.start()
    with pytest.raises(pymysql.MySQLError) as e: # the server rolls it back and says why
        while True:
            ask(open_, "UPDATE pair SET b = b + 1")
            time.sleep(0.05)
    assert e.value.args[0] in REFUSED
    open_.rollback()
    switch.join(90)
    wait_for_primary(s, trio.second)
    ask(open_, "UPDATE pair SET b = 50")
    for c, what in ((variable, "user_variable"), (prepared, "sql_prepare")):
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "SELECT @a")
        assert e.value.args[0] == 1927 and what in e.value.args[1]
    ask(plain, "UPDATE pair SET a = 2")
    assert trio.second.sql("SELECT * FROM shop.pair") == ((1, 2, 50),)
    assert trio.second.sql("SELECT n FROM shop.t") == ((0,),)


def test_a_transaction_on_the_former_primary_is_answered_by_that(cluster, trio, suimon):
    """Where it does not replicate yet, it would wait without end for what it wrote itself."""
    s = suimon(base=trio.config(cluster))
    with s.connect(database="shop", read_timeout=30) as c:
        ask(c, "UPDATE t SET n = 1")
        c.begin()
        assert ask(c, "SELECT n FROM t") == ((1,),)
        trio.first.sql("SET GLOBAL read_only = ON")
        trio.second.catch_up(trio.first)
        trio.second.promote()
        wait_for_primary(s, trio.second)
        assert ask(c, "SELECT n FROM t") == ((1,),)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "UPDATE t SET n = 2")
        assert e.value.args[0] in REFUSED
        c.rollback()
        ask(c, "UPDATE t SET n = 3")
        assert ask(c, "SELECT n FROM t") == ((3,),)
    assert trio.second.sql("SELECT n FROM shop.t") == ((3,),)


def test_who_begins_anew_after_an_error_comes_to_the_new_primary(cluster, trio, suimon):
    """BEGIN ends a transaction that could write nothing; nobody need say ROLLBACK first. What it wrote before is rolled back, and told."""
    s = suimon(base=trio.config(cluster))
    with s.connect(database="shop", read_timeout=30) as idle, s.connect(database="shop", read_timeout=30) as wrote:
        for c in (idle, wrote):
            c.begin()
            assert ask(c, "SELECT n FROM t") == ((0,),)
        ask(wrote, "UPDATE pair SET a = 1")
        trio.first.sql("SET GLOBAL read_only = ON")
        trio.second.catch_up(trio.first)
        trio.second.promote()
        wait_for_primary(s, trio.second)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(idle, "UPDATE t SET n = 1")
        assert e.value.args[0] in REFUSED
        ask(idle, "BEGIN")
        ask(idle, "UPDATE t SET n = 2")
        idle.commit()
        assert trio.second.sql("SELECT n FROM shop.t") == ((2,),)
        with pytest.raises(pymysql.MySQLError) as e: # its COMMIT, as that server answers it
            ask(wrote, "BEGIN")
        assert e.value.args[0] in REFUSED
        ask(wrote, "ROLLBACK")
        ask(wrote, "UPDATE pair SET b = 2")
        assert trio.second.sql("SELECT a, b FROM shop.pair") == ((0, 2),)


def test_who_starts_with_the_former_primary_in_its_file_is_not_ready_before_the_new_one_is_found(cluster, suimon, tmp_path):
    """The former one was left behind, and answers at once; the new one is further away."""
    first, second = servers.pair(str(tmp_path), ["shop"], make=MAKE)
    relay = Relay(second.port)
    try:
        first.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.t VALUES (1, 0)")
        second.catch_up(first)
        first.sql("SET GLOBAL read_only = ON")
        second.promote()
        second.sql("UPDATE shop.t SET n = 5")
        relay.delay = 0.1
        base = cluster.config()
        base["primary"] = "127.0.0.1:%d" % first.port
        base["replicas"] = [relay.address]
        s = suimon(base=base, run=False)
        s.start(ready=False)
        servers.wait_until("the reason", lambda: "this may be the primary now" in s.http("/readyz")[1], 10)
        servers.wait_until("readiness", lambda: s.http("/readyz")[0] == 200, 30)
        with s.connect(database="shop") as c:
            assert ask(c, "SELECT n FROM t") == ((5,),)
    finally:
        relay.close()
        for m in (second, first):
            m.process.kill()


def test_prepared_statements_go_on_at_the_new_primary(cluster, trio, suimon):
    s = suimon(base=trio.config(cluster))
    with Wire(s.connect(database="shop")) as w:
        statement = w.prepare("UPDATE t SET n = ? WHERE id = 1")
        statement.execute((1,))
        switch_over(trio.first, trio.second, [trio.third])
        for n in (2, 3):
            assert statement.execute((n,))[-1][0] == 0
    assert trio.second.sql("SELECT n FROM shop.t") == ((3,),)


def test_the_cache_forgets_what_a_lost_primary_alone_had(cluster, trio, suimon):
    """An acknowledged write that never reached the replica is gone with its server: nobody reads it from the cache."""
    base = trio.config(cluster)
    base["cache"] = {"rules": [{"match": {"table": "shop.t"}, "ttl": "60s"}]}
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        for r in (trio.second, trio.third):
            r.replication("STOP SLAVE IO_THREAD")
        ask(c, "UPDATE t SET n = 42")
        for _ in range(5):
            assert ask(c, "SELECT n FROM t") == ((42,),)
        trio.first.process.kill()
        trio.second.promote()
        trio.third.replication("STOP SLAVE", "CHANGE MASTER TO MASTER_PORT=%d" % trio.second.port, "START SLAVE")
        wait_for_primary(s, trio.second)
        with s.connect(database="shop") as d:
            assert ask(d, "SELECT n FROM t") == ((0,),)
            ask(d, "UPDATE t SET n = 1")
            for _ in range(5):
                assert ask(d, "SELECT n FROM t") == ((1,),)


def test_the_queue_goes_on_at_the_new_primary(cluster, trio, suimon):
    base = trio.config(cluster)
    base["queue"] = {"rules": [{"match": {"table": "shop.log", "verb": "insert"}, "order": "table"}]}
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        for n in range(50):
            ask(c, "INSERT INTO log (writer, n) VALUES (1, %d)" % n)
        switch = threading.Thread(target=switch_over, args=(trio.first, trio.second, [trio.third]))
        switch.start()
        for n in range(50, 1000):
            ask(c, "INSERT INTO log (writer, n) VALUES (1, %d)" % n)
        switch.join(90)
        wait_for_primary(s, trio.second)
        servers.wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
        assert s.api("/api/queue")["dead_waiting"] == 0
    assert [r[0] for r in trio.second.sql("SELECT n FROM shop.log ORDER BY n")] == list(range(1000))


@pytest.mark.parametrize("workers", [1, 4])
def test_the_queue_leaves_a_former_primary_that_would_still_take_its_writes(cluster, trio, suimon, workers):
    """read_only does not bind an account with SUPER, and the drain's connection to the former primary is as good as before."""
    trio.first.sql("CREATE USER drain@'%' IDENTIFIED BY 'drain'", "GRANT ALL ON *.* TO drain@'%'")
    base = trio.config(cluster)
    base["queue"] = {"user": {"name": "drain", "password": "drain"}, "drain": {"workers": workers},
                     "rules": [{"match": {"table": "shop.log", "verb": "insert"}, "order": "writer"}]}
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        for n in range(50):
            ask(c, "INSERT INTO log (writer, n) VALUES (%d, %d)" % (n % 7, n))
        servers.wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
        trio.first.sql("SET GLOBAL read_only = ON")
        trio.second.catch_up(trio.first)
        trio.second.promote()
        wait_for_primary(s, trio.second)
        for n in range(50, 100):
            ask(c, "INSERT INTO log (writer, n) VALUES (%d, %d)" % (n % 7, n))
        servers.wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
        assert s.api("/api/queue")["dead_waiting"] == 0
    assert [r[0] for r in trio.second.sql("SELECT n FROM shop.log ORDER BY n")] == list(range(100))
    assert [r[0] for r in trio.first.sql("SELECT n FROM shop.log ORDER BY n")] == list(range(50))


@pytest.mark.parametrize("workers", [1, 4])
def test_what_is_under_way_at_a_frozen_primary_is_broken_off(cluster, trio, suimon, workers):
    """Its host is there, so that no link is lost, and the drain would wait for its answer as long as a statement may take."""
    base = trio.config(cluster)
    base["queue"] = {"drain": {"workers": workers}, "rules": [{"match": {"table": "shop.log", "verb": "insert"}, "order": "writer"}]}
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        for n in range(50):
            ask(c, "INSERT INTO log (writer, n) VALUES (%d, %d)" % (n % 7, n))
        servers.wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
        # In another schema the primary is to be shown the statement anew, if it can be (Q4): it is under way when it cannot.
        ask(c, "CREATE TABLE other (id INT PRIMARY KEY)")
        servers.wait_until("the other schema", lambda: s.metrics()["suimon_catalog_stale"] == 0, 30)
        trio.second.catch_up(trio.first)
        trio.first.process.signal(signal.SIGSTOP)
        try:
            for n in range(50, 100):
                ask(c, "INSERT INTO log (writer, n) VALUES (%d, %d)" % (n % 7, n))
            trio.second.promote()
            wait_for_primary(s, trio.second)
            servers.wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
        finally:
            trio.first.process.signal(signal.SIGCONT)
    assert [r[0] for r in trio.second.sql("SELECT n FROM shop.log ORDER BY n")] == list(range(100))


def test_what_clients_have_under_way_at_a_frozen_primary_is_broken_off(cluster, trio, suimon):
    """R3, R4. No link is lost, and it may stand still for ever: once another is the primary, reads are sent there, of a write it is said
    that nobody knows, and a transaction is over."""
    s = suimon(base=trio.config(cluster))
    read, write, transaction, later = (s.connect(database="shop") for _ in range(4))
    transaction.begin()
    ask(transaction, "UPDATE t SET n = 1")
    with trio.first.root() as locker:
        ask(locker, "LOCK TABLES shop.pair WRITE")
        waiting = [Background(write, "UPDATE pair SET b = 1"), Background(read, "SELECT /* suimon: primary */ a, b FROM pair")]
        servers.wait_until("two that wait for the table", lambda: ask(
            locker, "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'") == ((2,),), 30)
        trio.second.catch_up(trio.first)
        trio.first.process.signal(signal.SIGSTOP)
        try:
            waiting.append(Background(transaction, "SELECT n FROM t"))
            time.sleep(0.5)
            trio.second.promote()
            wait_for_primary(s, trio.second)
            written, rows, ended = (w.ended() for w in waiting)
            assert written.error[0] == 1927 and "whether the statement was executed is not known" in written.error[1]
            assert rows.got == ((0, 0),)
            assert ended.error[0] == 1927 and "its transaction is rolled back" in ended.error[1]
            ask(later, "UPDATE pair SET a = 5")
            ask(write, "UPDATE pair SET b = b + 1")
        finally:
            trio.first.process.signal(signal.SIGCONT)
    assert trio.second.sql("SELECT a, b FROM shop.pair") == ((5, 1),)


def test_the_queue_applies_nothing_at_a_disabled_primary(cluster, trio, suimon):
    base = trio.config(cluster)
    base["queue"] = {"rules": [{"match": {"table": "shop.log", "verb": "insert"}, "order": "table"}]}
    s = suimon(base=base)
    addr = "127.0.0.1:%d" % trio.first.port
    with s.connect(database="shop") as c:
        ask(c, "INSERT INTO log (writer, n) VALUES (1, 0)")
        servers.wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
        assert s.http("/api/queue/pause", data={})[0] == 200
        ask(c, "INSERT INTO log (writer, n) VALUES (1, 1)")
        assert s.http("/api/backends/%s/disable" % addr, data={})[0] == 200
        assert s.http("/api/queue/resume", data={})[0] == 200
        servers.wait_until("the state", lambda: s.api("/api/queue")["state"] == "waiting", 30)
        time.sleep(1)
        assert trio.first.sql("SELECT n FROM shop.log") == ((0,),)
        assert s.http("/api/backends/%s/enable" % addr, data={})[0] == 200
        servers.wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
    assert trio.first.sql("SELECT n FROM shop.log ORDER BY n") == ((0,), (1,))


class LostCommit:
    """A relay to the queue's primary. From arm() on, of the first COMMIT of the drain's no answer comes: it waits, committed or, with
    sent=False, not yet sent, until the primary is dead."""

    def __init__(self, port, sent):
        self.relay, self.sent = Relay(port), sent
        self.link, self.lock, self.armed = None, threading.Lock(), False
        self.lost, self.dead = threading.Event(), threading.Event()
        self.relay.cut_at = self.look

    def look(self, link, direction, data):
        with self.lock:
            if self.armed and self.link is None and direction == "up" and data.endswith(b"\x03COMMIT"):
                self.link = link
                mine = not self.sent
            else:
                mine = link == self.link and direction == "down"
        if not mine:
            return None
        self.lost.set()
        self.dead.wait(120)
        return 0


@pytest.mark.parametrize("outcome,workers", [("replicated", 1), ("replicated", 4), ("committed", 1), ("committed", 4), ("unsent", 1)])
def test_a_queues_commit_whose_answer_is_lost_with_its_primary(cluster, trio, suimon, outcome, workers):
    """Q2: the outcome is what the new primary says of the position. It has the batch; or the dead one alone had it; or nobody did."""
    commit = LostCommit(trio.first.port, sent=outcome != "unsent")
    base = trio.config(cluster)
    base["primary"] = commit.relay.address
    base["backend"]["tls"] = {"mode": "disabled"}  # it looks into what is sent
    base["queue"] = {"drain": {"workers": workers}, "rules": [{"match": {"table": "shop.seen", "verb": "insert"}, "order": "writer"}]}
    trio.first.sql("CREATE TABLE shop.seen (id BIGINT PRIMARY KEY AUTO_INCREMENT, writer INT, n INT, KEY (writer))")  # what comes twice is there twice
    s = suimon(base=base)
    seen = "SELECT writer, n FROM shop.seen ORDER BY id"

    def settled():
        return s.api("/api/queue")["depth"] == 0

    def write(c, numbers):
        for n in numbers:
            ask(c, "INSERT INTO seen (writer, n) VALUES (%d, %d)" % (n % 8, n))

    with s.connect(database="shop") as c:
        write(c, range(200))
        servers.wait_until("the drain", settled, 30)
        assert acknowledged(s) > 100
        for r in (trio.second, trio.third):
            r.catch_up(trio.first)
            if outcome == "committed":
                r.replication("STOP SLAVE IO_THREAD")
        assert s.http("/api/queue/pause", data={})[0] == 200
        write(c, range(200, 400))  # one batch, or one for each of the drain's connections
        commit.armed = True
        assert s.http("/api/queue/resume", data={})[0] == 200
        assert commit.lost.wait(60)
        had = len(trio.first.sql(seen))
        if outcome == "replicated":
            trio.second.catch_up(trio.first)
        trio.first.process.kill()
        commit.relay.refusing = True
        commit.dead.set()
        got = len(trio.second.sql(seen))
        assert {"replicated": 200 < got <= had, "committed": got == 200 < had, "unsent": got < 400}[outcome], (got, had)
        write(c, range(400, 450))  # while there is no primary
        trio.second.promote()
        wait_for_primary(s, trio.second)
        write(c, range(450, 500))
        servers.wait_until("the drain", settled, 60)
        assert s.api("/api/queue")["dead_waiting"] == 0
    rows = trio.second.sql(seen)
    assert sorted(n for _, n in rows) == list(range(500))
    for writer in range(8):
        assert [n for w, n in rows if w == writer] == list(range(writer, 500, 8))
    commit.relay.close()


def test_a_call_that_has_partly_run_is_not_run_again(trio, cluster, suimon):
    """R3: the second statement of a routine is refused by a server that has become read-only; the first stands."""
    trio.first.sql("CREATE PROCEDURE shop.two() SQL SECURITY INVOKER BEGIN INSERT INTO shop.log (writer, n) VALUES (1, 1); "
                   "DO SLEEP(1); INSERT INTO shop.log (writer, n) VALUES (1, 2); END",
                   "CREATE PROCEDURE shop.says() SQL SECURITY INVOKER BEGIN INSERT INTO shop.log (writer) VALUES (2); "
                   "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'it is read_only'; END")
    s = suimon(base=trio.config(cluster))
    with s.connect(database="shop") as c:
        for text in ["CALL says()"] + (["EXECUTE IMMEDIATE 'CALL says()'"] if KIND == "mariadb" else []):
            before = trio.first.sql("SELECT COUNT(*) FROM shop.log")[0][0]
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, text)
            assert e.value.args[0] == 1290
            assert trio.first.sql("SELECT COUNT(*) FROM shop.log")[0][0] == before + 1
        told = []

        def call():
            try:
                told.append(ask(c, "CALL two()"))
            except pymysql.MySQLError as error:
                told.append(error.args[0])
        t = threading.Thread(target=call)
        t.start()
        servers.wait_until("the first statement", lambda: trio.first.sql("SELECT COUNT(*) FROM shop.log WHERE n = 1")[0][0] == 1, 10)
        trio.first.sql("SET GLOBAL read_only = ON")
        t.join(90)
        trio.first.sql("SET GLOBAL read_only = OFF")
        assert told == [1290]
        assert trio.first.sql("SELECT COUNT(*) FROM shop.log WHERE writer = 1")[0][0] == 1
