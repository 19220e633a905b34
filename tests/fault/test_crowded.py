"""A server that has no connection left (1040): statements wait for one, within failover_hold, and are then told why."""
import struct
import threading
import time

import pymysql
import pytest

from conftest import ask
from relay import Relay
from servers import sum_metric

CROWDED = b"\xff" + struct.pack("<H", 1040) + b"#08004Too many connections"
CROWDED = struct.pack("<I", len(CROWDED)) + CROWDED


@pytest.fixture
def crowd(cluster, suimon):
    relay = Relay(cluster.primary.port)
    s = suimon({"primary": relay.address, "replicas": [], "threads": 1, "backend": {"failover_hold": "10s"}})
    yield s, relay
    relay.close()


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    return db


def in_background(c, sql):
    got = []

    def run():
        try:
            got.append(ask(c, sql))
        except pymysql.MySQLError as e:
            got.append(e.args)
    t = threading.Thread(target=run)
    t.start()
    return t, got


def test_a_statement_waits_for_a_connection_that_another_gives_back(crowd, table):
    s, relay = crowd
    with s.connect(database=table.name) as holder, s.connect(database=table.name) as c:
        holder.begin()
        ask(holder, "UPDATE t SET n = 1")
        relay.greeting = CROWDED
        t, got = in_background(c, "SELECT 1 FROM t")
        time.sleep(0.5)
        holder.commit()
        t.join(60)
        assert got == [((1,),)]


def test_a_statement_is_served_once_the_server_has_room_again(crowd, table):
    s, relay = crowd
    with s.connect(database=table.name) as holder, s.connect(database=table.name) as c:
        holder.begin()
        ask(holder, "UPDATE t SET n = 1")
        relay.greeting = CROWDED
        t, got = in_background(c, "SELECT 2 FROM t")
        time.sleep(0.7)
        assert not got
        relay.greeting = None
        t.join(60)
        assert got == [((2,),)]


def test_when_none_becomes_free_in_time_the_error_says_so(crowd, table):
    s, relay = crowd
    with s.connect(database=table.name) as holder, s.connect(database=table.name) as c, s.connect(database=table.name) as d:
        holder.begin()
        ask(holder, "UPDATE t SET n = 1")
        relay.greeting = CROWDED
        waiting = [in_background(x, "SELECT 3 FROM t") for x in (c, d)]
        for t, got in waiting:
            t.join(60)
            assert got[0][0] == 1040 and "connection" in got[0][1].lower(), got
        assert sum_metric(s.metrics(), "suimon_pool_wait_timeouts_total") >= 2
        relay.greeting = None
        assert ask(c, "SELECT 4 FROM t") == ((4,),)  # and nobody was taken for down


def test_an_accounts_own_limit_is_waited_for_too(suimon, table, cluster):
    cluster.setup("CREATE USER crowd@'%' IDENTIFIED BY 'crowd' WITH MAX_USER_CONNECTIONS 1", "GRANT ALL ON `%s`.* TO crowd@'%%'" % table.name)
    try:
        s = suimon({"replicas": [], "backend": {"failover_hold": "60s"}})
        connect = {"user": "crowd", "password": "crowd", "database": table.name}
        with s.connect(**connect) as a, s.connect(**connect) as b:
            a.begin()
            ask(a, "UPDATE t SET n = 2")
            t, got = in_background(b, "SELECT 5 FROM t")
            time.sleep(0.5)
            a.commit()
            t.join(60)
            assert got == [((5,),)]
    finally:
        cluster.setup("DROP USER crowd@'%'")
