"""F1, R4: a replica or the primary goes and comes back; who can be served is served, the others are told clearly."""
import threading
import time

import pymysql
import pytest

from conftest import MAKE, ask, filled, hits, is_queued
import servers
from test_proxy_protocol import login, v1

READ = "SELECT n FROM t WHERE id = 1"


@pytest.fixture
def own(tmp_path):
    """A pair of this test's own, for it to break."""
    primary, replica = servers.pair(str(tmp_path), ["shop"], make=MAKE)
    primary.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)", "INSERT INTO shop.t VALUES (1, 0)")
    replica.catch_up(primary)
    yield primary, replica
    replica.stop()
    primary.stop()


def config(cluster, primary, replica):
    base = cluster.config()
    base["primary"] = "127.0.0.1:%d" % primary.port
    base["replicas"] = ["127.0.0.1:%d" % replica.port]
    return base


def read(c):
    return ask(c, READ)


def test_reads_go_on_without_the_replica(cluster, own, suimon):
    primary, replica = own
    s = suimon(base=config(cluster, primary, replica))
    failed = []
    with s.connect(database="shop") as c:
        assert read(c) == ((0,),)
        replica.process.kill()
        for _ in range(50):
            try:
                read(c)
            except pymysql.MySQLError as e:
                failed.append(e)
        assert not failed
        assert s.http("/readyz")[0] == 200

        def state():
            return [b for b in servers.listing(s.api("/api/backends")) if b["role"] == "replica"][0]["state"]
        down = state()
        replica.start()
        servers.wait_until("the replica to be in use again", lambda: state() != down, 15)
        assert read(c) == ((0,),)


def test_reads_and_the_cache_go_on_without_the_primary(cluster, own, suimon):
    primary, replica = own
    base = config(cluster, primary, replica)
    base["cache"] = {"rules": [{"match": {"table": "shop.t"}, "ttl": "60s"}]}
    base["backend"]["failover_hold"] = "1s"
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        for _ in range(4):
            read(c)
        primary.process.kill()
        for _ in range(20):
            assert read(c) == ((0,),)
        begin = time.monotonic()
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "UPDATE t SET n = 1 WHERE id = 1")
        assert time.monotonic() - begin < 9 # the default hold is longer
        assert e.value.args[1].startswith("suimon: ")
        assert s.http("/healthz")[0] == 200
        # New clients, too, can read.
        with s.connect(database="shop") as d:
            assert read(d) == ((0,),)
        primary.start()
        servers.wait_until("writes", lambda: ask(c, "UPDATE t SET n = 2 WHERE id = 1") == (), 15)
    assert primary.sql("SELECT n FROM shop.t") == ((2,),)


def test_nothing_of_a_replica_is_stored_while_a_write_may_be_missing_there(cluster, own, suimon):
    """C2, R4: nobody knows where the primary was at a write that failed, and it is gone before it could be asked."""
    primary, replica = own
    base = config(cluster, primary, replica)
    base["cache"] = {"rules": [{"match": {"table": "shop.t"}, "ttl": "60s"}]}
    base["backend"]["monitor"].update(interval="5s", max_lag="600s")
    s = suimon(base=base)
    with s.connect(database="shop") as c, s.connect(database="shop") as other:
        filled(s, c, READ)
        with pytest.raises(pymysql.MySQLError):
            ask(other, "INSERT INTO t VALUES (2, 1), (1, 1)")
        primary.process.kill()
        before = hits(s)
        for _ in range(5):
            assert read(c) == ((0,),)
        servers.wait_until("it to be counted", lambda: servers.sum_metric(s.metrics(), "suimon_cache_refused_total", 'reason="lag"') >= 4, 30)
        assert hits(s) == before
        primary.start()
        servers.wait_until("writes", lambda: ask(c, "UPDATE t SET n = 2 WHERE id = 1") == (), 30)
        assert read(other) == ((2,),)


def test_accounts_that_were_not_here_yet_log_in_at_a_replica_without_the_primary(cluster, own, suimon):
    """R4: their password is what the replica knows it to be; who is refused there is not refused by the primary, and told so."""
    primary, replica = own
    base = config(cluster, primary, replica)
    base["backend"]["failover_hold"] = "1s"
    s = suimon(base=base)
    replica.sql("CREATE USER here@'%' IDENTIFIED BY 'here'", "GRANT ALL ON shop.* TO here@'%'")
    primary.process.kill()
    for user in ("app", "guest", "here"):
        for _ in range(3):
            with s.connect(user, user, database="shop") as c:
                assert read(c) == ((0,),)
    for user, password, schema in (("guest", "wrong", "shop"), ("nobody", "nobody", "shop"), ("guest", "guest", "nowhere")):
        with pytest.raises(pymysql.MySQLError) as e:
            s.connect(user, password, database=schema)
        assert e.value.args[0] == 1927, e.value
    primary.start()
    with s.connect("guest", "guest", database="shop") as c:
        servers.wait_until("writes", lambda: ask(c, "UPDATE t SET n = 2 WHERE id = 1") == (), 15)
    with pytest.raises(pymysql.MySQLError) as e:  # the primary is there, and it is asked: what a replica said counts no more
        s.connect("here", "here", database="shop")
    assert e.value.args[0] == 1045


def test_reads_wait_for_a_replica_that_was_behind_when_the_primary_went(cluster, own, suimon):
    """R2, R4: what they must see it has a moment later; they do not wait for a primary that may not come back."""
    primary, replica = own
    base = config(cluster, primary, replica)
    base["backend"]["failover_hold"] = "20s"
    s = suimon(base=base)
    replica.replication("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = 2", "START SLAVE")
    with s.connect(database="shop") as writer:
        for n in range(1, 13):
            ask(writer, "UPDATE t SET n = %d WHERE id = 1" % n)
            time.sleep(0.25)
        with s.connect(database="shop") as c:
            primary.process.kill()
            assert read(c) == ((12,),)
            assert read(writer) == ((12,),)


def test_passwords_that_are_guessed_at_a_replica_count(cluster, own, suimon):
    """Without the primary nobody is refused for good, and all the same a guess is spent."""
    primary, replica = own
    base = config(cluster, primary, replica)
    base["backend"]["failover_hold"] = "3s"  # in which the replica has to answer
    base["listen"] = {"proxy_protocol": ["127.0.0.0/8"]} # from elsewhere: nobody is refused on loopback
    s = suimon(base=base)
    login(s, v1("192.0.2.66"), "guest").close()
    primary.process.kill()

    codes = set()

    def guess():
        for _ in range(3):
            with pytest.raises(pymysql.MySQLError) as e:
                login(s, v1("192.0.2.66"), "guest", "wrong")
            codes.add(e.value.args[0])
    guesses = [threading.Thread(target=guess) for _ in range(120)]
    for each in guesses:
        each.start()
    for each in guesses:
        each.join()
    assert codes == {1927, 1129}


def test_a_write_waits_for_a_primary_that_restarts(cluster, own, suimon):
    primary, replica = own
    base = config(cluster, primary, replica)
    base["backend"]["failover_hold"] = "90s"
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        ask(c, "UPDATE t SET n = 1 WHERE id = 1")
        primary.stop()
        # Let it be noticed, so that the write below begins while there is no primary.
        time.sleep(1)
        got = []
        writer = threading.Thread(target=lambda: got.append(ask(c, "UPDATE t SET n = 7 WHERE id = 1")))
        writer.start()
        time.sleep(1)
        primary.start()
        writer.join(100)
        assert got == [()]
    assert primary.sql("SELECT n FROM shop.t") == ((7,),)


def test_a_queue_waits_for_its_primary(cluster, own, suimon):
    primary, replica = own
    base = config(cluster, primary, replica)
    base["queue"] = {"rules": [{"match": {"table": "shop.log", "verb": "insert"}, "order": "table"}]}
    primary.sql("CREATE TABLE shop.log (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    replica.catch_up(primary)
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        servers.wait_until("a queued insert", lambda: is_queued(s, c, "INSERT INTO log (n) VALUES (-1)"), 10)
        primary.process.kill()
        for n in range(100):
            ask(c, "INSERT INTO log (n) VALUES (%d)" % n)
        assert s.api("/api/queue")["depth"] >= 100
        primary.start()
        servers.wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
    assert [r[0] for r in primary.sql("SELECT n FROM shop.log WHERE n >= 0 ORDER BY id")] == list(range(100))


def test_results_past_their_time_are_served_while_no_server_answers(cluster, own, suimon):
    """F1: cache.stale_if_error; and not longer: when the servers are back, it is asked for anew."""
    primary, replica = own
    base = config(cluster, primary, replica)
    base["cache"] = {"stale_if_error": "10m", "rules": [{"match": {"table": "shop.t"}, "ttl": "1s"}]}
    base["backend"]["failover_hold"] = "2s"
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        filled(s, c, READ)
        replica.process.kill()
        primary.process.kill()

        def stale():
            assert read(c) == ((0,),)
            return servers.sum_metric(s.metrics(), "suimon_cache_stale_hits_total", 'reason="error"') > 0
        servers.wait_until("a result past its time", stale, 60)
        with pytest.raises(pymysql.MySQLError):
            ask(c, "SELECT n + 1 FROM t WHERE id = 1")  # never asked for before
        primary.start()
        primary.sql("UPDATE shop.t SET n = 5 WHERE id = 1")

        def fresh():
            with s.connect(database="shop") as d:
                return read(d) == ((5,),)
        servers.wait_until("the row as it is now", fresh, 60)
        replica.start()
