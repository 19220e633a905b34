"""Q4: a shape that the primary has accepted, and whose schema is known again after a change, while the primary cannot be asked anew."""
import threading

import pymysql
import pytest

from conftest import KIND, Background, acknowledged, ask, is_queued
from relay import Relay
from servers import listing, wait_until

INSERT = "INSERT INTO log (n) VALUES (%d)"


@pytest.fixture
def away(cluster, suimon, db):
    """suimon, the relay between it and its primary, and a table whose inserts are queued."""
    relay = Relay(cluster.primary.port)
    db.primary("CREATE TABLE log (id BIGINT PRIMARY KEY AUTO_INCREMENT, n INT, v VARCHAR(20))")
    s = suimon({"threads": 1, "primary": relay.address, "replicas": [], "backend": {"failover_hold": "1s", "tls": {"mode": "disabled"}},
                "queue": {"rules": [{"match": {"table": db.name + ".log"}}]}})
    yield s, relay, db
    relay.refusing = False
    relay.close()


def accept(s, c):
    wait_until("a write to be queued", lambda: is_queued(s, c, INSERT % 0), 20)


def tables(s):
    return s.api("/api/cache")["catalog"]["tables"]


def change(s, c, ddl):
    """The schema changes, and is read again: it has a table more (and the queue's own, perhaps)."""
    before = tables(s)
    ask(c, ddl)
    wait_until("the schema to be read again", lambda: tables(s) > before and not s.api("/api/cache")["catalog"]["stale"], 20)


def cut(relay):
    relay.refusing = True
    relay.cut()


def settled(s, db, n):
    wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
    return db.primary("SELECT COUNT(*) FROM log WHERE n = %d" % n)[0][0]


def test_a_reload_does_not_take_an_acceptance_back(away):
    """An account whose password is the same is the same account, for sessions that log in later, too."""
    s, relay, db = away
    with s.connect(database=db.name) as c:
        accept(s, c)
        assert s.http("/api/config/reload", data={})[0] == 200
        with s.connect(database=db.name) as d:
            cut(relay)
            assert is_queued(s, d, INSERT % 7)
        relay.refusing = False
    assert settled(s, db, 7) == 1


def test_it_is_queued_on_its_earlier_acceptance(away):
    s, relay, db = away
    with s.connect(database=db.name) as c, s.connect(database=db.name) as d:
        accept(s, c)
        change(s, c, "CREATE TABLE other (n INT)")
        cut(relay)
        for connection in (c, d):
            assert is_queued(s, connection, INSERT % 7)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "INSERT INTO log (n, v) VALUES (7, 'a shape of its own')")
        assert e.value.args[0] == 1927
        relay.refusing = False
        assert settled(s, db, 7) == 2
        assert s.api("/api/queue")["dead_waiting"] == 0
        accept(s, c)
        ask(c, "ALTER TABLE log DROP COLUMN n")
        with pytest.raises(pymysql.MySQLError) as e:  # the primary is there: asked anew
            ask(c, INSERT % 7)
        assert e.value.args[0] == 1054


def test_not_when_rights_have_changed_since(away):
    s, relay, db = away
    with s.connect(database=db.name) as c:
        accept(s, c)
        ask(c, "SET PASSWORD = " + ("PASSWORD('app')" if KIND == "mariadb" else "'app'"))
        cut(relay)
        before = acknowledged(s)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, INSERT % 8)
        assert e.value.args[0] == 1927
        assert acknowledged(s) == before
        relay.refusing = False
        assert settled(s, db, 8) == 0


def test_not_when_a_default_may_say_who_it_was(away):
    """The drain's own account is not the client's: whether the column is left out the primary has to say."""
    s, relay, db = away
    with s.connect(database=db.name) as c:
        accept(s, c)
        change(s, c, "CREATE TABLE other (who VARCHAR(90) DEFAULT (CURRENT_USER()))")
        cut(relay)
        assert is_queued(s, c, INSERT % 9)  # of another table
        relay.refusing = False
        accept(s, c)
        ask(c, "ALTER TABLE log ADD who VARCHAR(90)")
        ask(c, "ALTER TABLE log ALTER who SET DEFAULT (CURRENT_USER())")
        change(s, c, "CREATE TABLE another (n INT)")
        cut(relay)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, INSERT % 10)
        assert e.value.args[0] == 1927
        relay.refusing = False
        assert settled(s, db, 10) == 0 and settled(s, db, 9) == 1


def test_a_primary_without_a_free_connection_is_waited_for(suimon, db):
    db.primary("CREATE TABLE log (id BIGINT PRIMARY KEY AUTO_INCREMENT, n INT, v VARCHAR(20))")
    s = suimon({"threads": 1, "replicas": [], "backend": {"failover_hold": "1s", "pool": {"max": 1, "min_idle": 0}},
                "queue": {"rules": [{"match": {"table": db.name + ".log"}}]}})
    with s.connect(database=db.name) as c, s.connect(database=db.name) as d:
        accept(s, c)
        change(s, c, "CREATE TABLE other (n INT)")
        d.begin()
        ask(d, "SELECT 1")
        before = acknowledged(s)
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, INSERT % 7)
        assert e.value.args[0] == 1927
        assert acknowledged(s) == before
        d.rollback()
        assert is_queued(s, c, INSERT % 7)


def test_what_changes_while_a_shape_is_looked_at_is_looked_at_anew(away):
    """The primary has prepared it and is asked for its columns; meanwhile one that it names is dropped, and the schema read again."""
    s, relay, db = away
    asked, answered = threading.Event(), threading.Event()

    def hold(_, direction, data):
        if direction == "up" and b"SELECT COUNT(*)>0 FROM information_schema.COLUMNS" in data and not asked.is_set():
            asked.set()
            answered.wait(30)
        return data

    with s.connect(database=db.name) as c, s.connect(database=db.name) as d:
        accept(s, c)
        relay.alter = hold
        write = Background(c, "INSERT INTO log (v) VALUES ('x')")
        assert asked.wait(20)
        ask(d, "ALTER TABLE log DROP COLUMN v")
        change(s, d, "CREATE TABLE more (n INT)")
        answered.set()
        assert write.outcome() == 1054
    wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 30)
    assert listing(s.api("/api/queue/dead")) == []
