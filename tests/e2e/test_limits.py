"""limits.rules: who takes more than his share waits or is refused, what runs too long is killed, and nobody else notices."""
import json
import socket
import subprocess
import time

import pymysql
import pytest
from pymysql.constants import CLIENT

from conftest import KIND, Background, ask, mariadb_only, mysql_only, numbers
import servers
from wire import Wire, error

LIMIT, KILLED = 1226, 1317


def limited(suimon, *rules):
    return suimon({"limits": {"rules": list(rules)}})


class Sleeper(Background):
    """Holds a place with a statement until it is let go."""

    def __init__(self, s, name, lock, sql=None):
        super().__init__(s.connect(database=name), sql or "SELECT GET_LOCK('%s', 60)" % lock)


@pytest.fixture
def held(db):
    """A lock of the primary's: whoever asks for it runs until it is released."""
    c = db.direct()
    name = "held_" + db.name
    assert ask(c, "SELECT GET_LOCK('%s', 10)" % name) == ((1,),)
    c.lock = name
    yield c
    c.close()


def waits(s):
    return s.metrics()["suimon_limit_waiting"]


def test_more_than_run_at_one_time_wait_in_order(suimon, db, held):
    s = limited(suimon, {"match": {"query": "get_lock"}, "concurrency": 1, "wait": "60s"})
    first = Sleeper(s, db.name, held.lock)
    servers.wait_until("the first to run", lambda: any("get_lock" in c["statement"] for c in s.api("/api/clients")["clients"]), 30)
    others = []
    for n in range(2):
        others.append(Sleeper(s, db.name, held.lock, "SELECT GET_LOCK('%s', 60), %d" % (held.lock, n)))
        servers.wait_until("it to wait", lambda n=n: waits(s) == n + 1, 30)
    with s.connect(database=db.name) as c:
        assert ask(c, "SELECT 1") == ((1,),)  # nobody else waits
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    assert first.ended().got == ((1,),) and waits(s) <= 1
    first.connection.close()
    servers.wait_until("the next", lambda: others[0].got, 60)
    others[0].connection.close()
    servers.wait_until("the last", lambda: others[1].got, 60)
    others[1].connection.close()
    assert waits(s) == 0 and s.metrics()["suimon_limit_waits_total"] == 2


def test_whose_turn_does_not_come_is_told_so(suimon, db, held):
    s = limited(suimon, {"match": {"table": "nobodys"}, "rate": 1}, {"match": {"query": "get_lock"}, "concurrency": 1, "wait": "100ms"})
    first = Sleeper(s, db.name, held.lock)
    servers.wait_until("the first to run", lambda: any("get_lock" in c["statement"] for c in s.api("/api/clients")["clients"]), 30)
    with s.connect(database=db.name) as c:
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "SELECT GET_LOCK('%s', 60)" % held.lock)
        assert e.value.args[0] == LIMIT and e.value.args[1].startswith("suimon: a rule of limits (limits.rules[1]) lets no more")
        assert ask(c, "SELECT 1") == ((1,),)
    assert s.metrics()["suimon_limit_timeouts_total"] == 1
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    assert first.ended().got == ((1,),)


def test_a_transaction_keeps_its_place_and_gives_it_up(suimon, db):
    db.setup("CREATE TABLE t (n INT)")
    s = suimon({"replicas": [], "limits": {"rules": [{"match": {"user": "app"}, "concurrency": 1, "wait": "100ms"}]}})
    with s.connect(database=db.name) as a, s.connect(database=db.name) as b:  # and each sees what the other has written
        for end in (a.commit, a.rollback):
            a.begin()
            ask(a, "INSERT INTO t VALUES (1)")
            with pytest.raises(pymysql.MySQLError) as e:
                ask(b, "SELECT COUNT(*) FROM t")
            assert e.value.args[0] == LIMIT
            ask(a, "INSERT INTO t VALUES (2)")
            end()
            assert ask(b, "SELECT COUNT(*) FROM t") == ((2,),)
        a.begin()
        ask(a, "INSERT INTO t VALUES (1)")
    with s.connect(database=db.name) as c:  # one that ends leaves, too
        servers.wait_until("its place", lambda: ask(c, "SELECT COUNT(*) FROM t") == ((2,),), 30)


def test_inside_a_transaction_earlier_rules_hold(suimon, db, held):
    """Each statement by itself; the rule that stands last, which let the transaction in, asks no more of it, and nobody waits in a circle."""
    takes = "SELECT GET_LOCK('%s', 60)" % held.lock
    s = limited(suimon, {"match": {"digest": digest(takes)}, "concurrency": 1, "wait": "100ms"}, {"match": {"user": "app"}, "concurrency": 2, "wait": "100ms"})
    first = Sleeper(s, db.name, held.lock)
    servers.wait_until("the first to run", lambda: runs(s, "get_lock"), 30)
    with s.connect(database=db.name, autocommit=False) as c:
        assert ask(c, "SELECT COUNT(*) FROM whoami") == ((1,),)  # a transaction now
        assert refused(c, takes)
        assert ask(c, "SELECT COUNT(*) FROM whoami") == ((1,),)  # which goes on
        ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
        assert first.ended().error is None
        first.connection.close()
        for _ in range(2):  # its place is given back with the statement
            servers.wait_until("the lock", lambda: ask(c, takes) == ((1,),), 30)
            ask(c, "SELECT RELEASE_LOCK('%s')" % held.lock)
        with s.connect(database=db.name) as other:
            assert ask(other, takes) == ((1,),)
            ask(other, "SELECT RELEASE_LOCK('%s')" % held.lock)
            with s.connect(database=db.name) as third:
                other.begin()
                ask(other, "SELECT COUNT(*) FROM whoami")
                assert refused(third, "SELECT 1")  # the transactions have both places
                c.rollback()
                assert ask(third, "SELECT 1") == ((1,),)
    assert waits(s) == 0


def test_who_ends_while_he_waits_inside_a_transaction_gives_all_back(suimon, db, held):
    takes = "SELECT GET_LOCK('%s', 60)" % held.lock
    s = limited(suimon, {"match": {"digest": digest(takes)}, "concurrency": 1, "wait": "60s"}, {"match": {"user": "app"}, "concurrency": 2, "wait": "100ms"})
    first = Sleeper(s, db.name, held.lock)
    servers.wait_until("the first to run", lambda: runs(s, "get_lock"), 30)
    for end in (socket.SHUT_RDWR, None):
        c = s.connect(database=db.name, autocommit=False)
        ask(c, "SELECT COUNT(*) FROM whoami")
        inside = Background(c, takes)
        servers.wait_until("it to wait", lambda: waits(s) == 1, 30)
        if end is not None:
            c._sock.shutdown(end)
            servers.wait_until("it to have left", lambda: waits(s) == 0, 30)
            with s.connect(database=db.name) as other:
                servers.wait_until("its place", lambda: ask(other, "SELECT 1") == ((1,),), 30)
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    assert first.outcome() == ((1,),)
    first.connection.close()
    assert inside.outcome() == ((1,),)
    inside.connection.close()


def test_a_change_of_the_user_ends_the_transaction_and_gives_its_place_back(suimon, db):
    s = limited(suimon, {"match": {"user": "app"}, "concurrency": 1, "wait": "100ms"})
    with Wire(s.connect(database=db.name, autocommit=False)) as w, s.connect(database=db.name) as other:
        w.query("BEGIN")
        w.query("SELECT COUNT(*) FROM whoami")
        assert refused(other, "SELECT 1")
        w.send(b"\x11app\0\x14" + b"x" * 20 + b"\0\x2d\0mysql_native_password\0")
        answer = w.packet()
        if answer[0] == 0xfe:
            w.send(b"x" * 20, 3)
            answer = w.packet()
        assert error(answer)[0] == 1045  # and the session goes on, without its transaction
        assert ask(other, "SELECT 1") == ((1,),)


def test_what_stands_behind_commit_waits_like_all_else(suimon, db, held):
    """COMMIT and ROLLBACK alone are let through, wherever they come from; not a text that begins with them."""
    s = limited(suimon, {"match": {"user": "app"}, "concurrency": 1, "wait": "100ms"})
    first = Sleeper(s, db.name, held.lock)
    servers.wait_until("the first to run", lambda: runs(s, "get_lock"), 30)
    with s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as c:
        for end in ("COMMIT", "ROLLBACK", "COMMIT;", "ROLLBACK /* x */ ;"):
            ask(c, end)
        for sql in ("COMMIT; SELECT 1", "ROLLBACK;SELECT 1", "COMMIT; COMMIT", "ROLLBACK; DO 1"):
            assert refused(c, sql), sql
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    assert first.ended().error is None


def digest(sql):
    done = subprocess.run([servers.find_suimon(), "digest", sql], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)["digest"]


def test_a_statement_is_held_back_wherever_it_stands(suimon, db, held):
    """By its digest: among others in a text, and in texts in texts."""
    takes = "SELECT GET_LOCK('%s', 60)" % held.lock
    s = limited(suimon, {"match": {"digest": digest(takes)}, "concurrency": 1, "per": "digest", "wait": "100ms"})
    first = Sleeper(s, db.name, held.lock)
    servers.wait_until("the first to run", lambda: runs(s, "get_lock"), 30)
    inside = ["SELECT 1; " + takes, "SELECT 1; %s; SELECT 2" % takes, 'PREPARE s FROM "%s"' % takes]
    if KIND == "mariadb":
        inside += ['EXECUTE IMMEDIATE "%s"' % takes, "BEGIN NOT ATOMIC %s; END" % takes, "IF 1 THEN SELECT 1; %s; END IF" % takes]
    with s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as c:
        for sql in inside:
            assert refused(c, sql), sql
        assert ask(c, "SELECT 1; SELECT 2") == ((1,),)
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    assert first.ended().error is None


@mariadb_only("MySQL's SLEEP() ends early instead")
def test_what_runs_too_long_in_a_text_is_killed(suimon, db):
    sleeps = "SELECT SLEEP(600)"
    s = limited(suimon, {"match": {"digest": digest(sleeps)}, "max_time": "300ms"}, {"match": {"user": "app"}, "concurrency": 9})
    with s.connect(database=db.name, client_flag=CLIENT.MULTI_STATEMENTS) as c:
        for n, sql in enumerate(("DO 1; " + sleeps, "EXECUTE IMMEDIATE '%s'" % sleeps, "BEGIN NOT ATOMIC %s; END" % sleeps)):
            runs_on = Background(c, sql)
            servers.wait_until("it to be killed", lambda n=n: s.metrics()["suimon_limit_kills_total"] == n + 1, 30)
            runs_on.ended()


def test_one_account_is_held_back_and_not_the_other(suimon, db, held):
    s = limited(suimon, {"match": {"query": "."}, "concurrency": 1, "per": "user", "wait": "100ms"})
    first = Sleeper(s, db.name, held.lock)
    servers.wait_until("the first to run", lambda: any("get_lock" in c["statement"] for c in s.api("/api/clients")["clients"]), 30)
    with pytest.raises(pymysql.MySQLError):
        with s.connect(database=db.name) as c:
            ask(c, "SELECT 1")
    with s.connect("guest", "guest", database=db.name) as c:
        assert ask(c, "SELECT 1") == ((1,),)
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    first.ended()


def test_no_more_begin_in_a_second_than_allowed(suimon, db):
    s = limited(suimon, {"match": {"query": "whoami"}, "rate": 5, "wait": "0s"}, {"match": {"user": "guest"}, "rate": 20, "wait": "60s"})
    with s.connect(database=db.name) as c:
        done = failed = 0
        while not failed:
            try:
                ask(c, "SELECT name FROM whoami")
                done += 1
            except pymysql.MySQLError as e:
                assert e.args[0] == LIMIT
                failed += 1
        assert done >= 5
    with s.connect("guest", "guest", database=db.name) as c:
        begin = time.monotonic()
        for n in range(50):
            assert ask(c, "SELECT %d" % n) == ((n,),)  # held back, but not refused
        assert time.monotonic() - begin > 1.3  # a second's worth may come at once


def test_the_rate_of_one_digest_is_held_back_and_not_the_others(suimon, db):
    s = limited(suimon, {"match": {"schema": db.name}, "rate": 5, "per": "digest", "wait": "0s"})
    with s.connect(database=db.name) as c:
        def until_refused(sql):
            for n in range(1000):
                try:
                    ask(c, sql)
                except pymysql.MySQLError as e:
                    assert e.args[0] == LIMIT
                    return n
            return 1000
        assert 5 <= until_refused("SELECT name FROM whoami") < 1000
        for n in range(5):  # its own second's worth
            assert ask(c, "SELECT COUNT(*) FROM whoami") == ((1,),)


def held_back(connection):
    """Whether this one is: another may not be."""
    try:
        ask(connection, "SELECT name FROM whoami")
    except pymysql.MySQLError as e:
        return e.args[0] == LIMIT
    return False


def test_the_rate_of_one_account_is_held_back_and_not_the_others(suimon, db):
    s = limited(suimon, {"match": {"query": "whoami"}, "rate": 1, "per": "user", "wait": "0s"})
    with s.connect(database=db.name) as c, s.connect("guest", "guest", database=db.name) as guest:
        servers.wait_until("a refusal", lambda: held_back(c), 60, 0)
        assert ask(guest, "SELECT name FROM whoami")


def gone_from_both(db, pattern):
    """Whether no server runs such a statement any more."""
    for server in (db.cluster.primary, db.cluster.replica):
        servers.wait_until("it to be gone", lambda server=server: server.sql(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%s' AND info NOT LIKE '%%processlist%%'" % pattern) == ((0,),), 30)
    return True


def test_what_runs_too_long_is_killed_on_the_server(suimon, db):
    s = limited(suimon, {"match": {"query": "sleep"}, "max_time": "500ms"})
    with s.connect(database=db.name) as c:
        for n, lock in enumerate(("", " FOR UPDATE")):  # on the replica, and on the primary
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, "SELECT COUNT(*) FROM whoami WHERE SLEEP(600) = 0" + lock)
            assert e.value.args[0] == KILLED
            assert ask(c, "SELECT 1") == ((1,),)
            assert gone_from_both(db, "%SLEEP(600)%")
            assert s.metrics()["suimon_limit_kills_total"] == n + 1
    assert "a statement has run too long" in s.log_text()


def test_what_cannot_be_killed_yet_is_killed_later(suimon, db):
    """The account has no further connection on which to say KILL: it is tried again, and counted when it has come to something."""
    db.cluster.primary.sql("CREATE USER few@'%' IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS 2", "GRANT ALL ON `e2e\\_%`.* TO few@'%'")
    try:
        s = suimon({"threads": 1, "replicas": [], "users": [{"name": "few", "password": "few"}], "limits": {"rules": [{"match": {"query": "sleep"}, "max_time": "300ms"}]}})
        with s.connect("few", "few", database=db.name) as other:
            other.begin()
            ask(other, "SELECT COUNT(*) FROM whoami")
            runs_on = Background(s.connect("few", "few", database=db.name), "SELECT COUNT(*) FROM whoami WHERE SLEEP(600) = 0 FOR UPDATE")
            servers.wait_until("KILL to fail", lambda: "cannot be killed yet" in s.log_text(), 30)
            time.sleep(3)  # and once more
            assert s.metrics()["suimon_limit_kills_total"] == 0 and s.log_text().count("cannot be killed yet") == 1
            assert "it is killed" not in s.log_text() and runs_on.is_alive()
            other.commit()  # its connection lies idle, and the server has no other
            assert runs_on.outcome() == KILLED
        assert ask(runs_on.connection, "SELECT 1") == ((1,),)
        assert s.metrics()["suimon_limit_kills_total"] == 1 and "it is killed" in s.log_text()
        runs_on.connection.close()
    finally:
        db.cluster.setup("DROP USER few@'%'")


@mariadb_only("MySQL's SLEEP() ends early instead")
def test_the_limit_that_a_session_sets_holds_on_every_connection(suimon, db):
    """P3: the server's own, replayed like any variable; others do not inherit it."""
    s = suimon()
    with s.connect(database=db.name) as c, s.connect(database=db.name) as other:
        ask(c, "SET SESSION max_statement_time = 0.3")
        for lock in ("", " FOR UPDATE"):  # on the replica, and on the primary
            for _ in range(2):
                with pytest.raises(pymysql.MySQLError) as e:
                    ask(c, "SELECT name FROM whoami WHERE SLEEP(60) = 0" + lock)
                assert e.value.args[0] == 1969
                assert len(ask(other, "SELECT name FROM whoami WHERE SLEEP(0.6) = 0" + lock)) == 1


LONG = "SELECT %s COUNT(*) FROM n a, n b, n c, n d WHERE a.n + b.n + c.n + d.n < 0"  # ten thousand million rows looked at, by nothing to be cut short


@pytest.fixture
def long(db):
    db.setup("CREATE TABLE n (n INT)", "INSERT INTO n SELECT seq FROM " + numbers(1, 320))


@mysql_only("its max_execution_time")
@pytest.mark.parametrize("lock", ["", " FOR UPDATE"], ids=["replica", "primary"])
def test_mysqls_own_limit_holds_on_every_connection(suimon, db, long, lock):
    """P3: the variable is replayed like any other, and others do not inherit it; the hint is the statement's."""
    s = suimon()
    where, short = "primary" if lock else "replica", "SELECT COUNT(*) FROM n a, n b"
    with s.connect(database=db.name) as c, s.connect(database=db.name) as other:
        servers.wait_until("the replica to be read", lambda: ask(c, "SELECT name FROM whoami") == (("replica",),), 30)
        ask(c, "SET SESSION max_execution_time = 300")
        for _ in range(2):
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, LONG % "" + lock)
            assert e.value.args == (3024, "Query execution was interrupted, maximum statement execution time exceeded")
            with pytest.raises(pymysql.MySQLError) as e:
                ask(other, LONG % "/*+ MAX_EXECUTION_TIME(200) */" + lock)
            assert e.value.args[0] == 3024
            assert ask(other, "SELECT @@max_execution_time") == ((0,),)
            assert ask(other, short) == ((320 * 320,),)
    errors = {b["role"]: b["errors"] for b in servers.listing(s.api("/api/backends"))}
    assert errors[where] > 0, errors  # there it was cut


@mysql_only("its max_execution_time")
def test_what_runs_too_long_on_mysql_is_killed_there(suimon, db, long):
    """By suimon, while the session's own limit is far; no statement is left behind on either server."""
    s = limited(suimon, {"match": {"query": "from n a"}, "max_time": "500ms"})
    with s.connect(database=db.name) as c:
        ask(c, "SET SESSION max_execution_time = 600000")
        for lock in ("", " FOR UPDATE"):
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, LONG % "" + lock)
            assert e.value.args[0] == KILLED
            assert ask(c, "SELECT 1") == ((1,),)
    assert s.metrics()["suimon_limit_kills_total"] == 2
    assert gone_from_both(db, "%c.n + d.n%")


def test_a_reload_changes_them(suimon, db):
    s = limited(suimon, {"match": {"query": "whoami"}, "rate": 1, "wait": "0s"})
    with s.connect(database=db.name) as c:
        servers.wait_until("a refusal", lambda: held_back(c), 30)
        s.write({**s.config, "limits": {"rules": []}})
        assert s.http("/api/config/reload", data={})[0] == 200
        for _ in range(20):
            assert not held_back(c)


def runs(s, what):
    return any(what in c["statement"] for c in s.api("/api/clients")["clients"])


def refused(connection, sql):
    with pytest.raises(pymysql.MySQLError) as e:
        ask(connection, sql)
    return e.value.args[0] == LIMIT


def test_a_rule_that_a_reload_moves_knows_who_is_in_it(suimon, db, held):
    whole, other = [{"match": {"table": table}, "concurrency": 1, "wait": "100ms"} for table in (db.name + ".whoami", db.name + ".another")]
    db.setup("CREATE TABLE another (n INT)")
    s = limited(suimon, whole, other)
    first = Sleeper(s, db.name, held.lock, "SELECT GET_LOCK('%s', 60), name FROM whoami" % held.lock)
    servers.wait_until("the first to run", lambda: runs(s, "get_lock"), 30)
    s.write({**s.config, "limits": {"rules": [other, whole]}})
    assert s.http("/api/config/reload", data={})[0] == 200
    with s.connect(database=db.name) as c:
        for _ in range(20):
            assert refused(c, "SELECT name FROM whoami")
            assert ask(c, "SELECT n FROM another") == ()
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    assert first.ended().error is None


def test_one_digest_is_held_back_and_not_the_others(suimon, db, held):
    s = limited(suimon, {"match": {"schema": db.name}, "concurrency": 1, "per": "digest", "wait": "100ms"})
    first = Sleeper(s, db.name, held.lock, "SELECT GET_LOCK('%s', 60), name FROM whoami" % held.lock)
    servers.wait_until("the first to run", lambda: runs(s, "get_lock"), 30)
    with s.connect(database=db.name) as c, s.connect("guest", "guest", database=db.name) as guest:
        for session in (c, guest):
            assert refused(session, "SELECT GET_LOCK('another', 1), name FROM whoami")  # the same digest, whoever asks
            assert ask(session, "SELECT COUNT(*) FROM whoami") == ((1,),)
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    assert first.ended().error is None


def test_a_runaway_client_is_held_back_and_not_the_others(suimon, db, held):
    """All that one address has at one time: its second statement waits in vain, another address' runs."""
    s = limited(suimon, {"match": {"query": "."}, "concurrency": 1, "per": "client", "wait": "100ms"})
    first = Sleeper(s, db.name, held.lock)
    servers.wait_until("the first to run", lambda: runs(s, "get_lock"), 30)
    with s.connect(database=db.name, bind_address="127.0.0.2") as other, s.connect() as same:
        assert ask(other, "SELECT name FROM whoami")
        assert refused(same, "SELECT 1")
        assert ask(other, "SELECT name FROM whoami")
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    assert first.ended().error is None


def test_a_runaway_session_is_held_back_and_not_the_others_of_its_host(suimon, db):
    """Behind a sidecar all have one address and often one account."""
    s = limited(suimon, {"match": {"query": "."}, "rate": 3, "per": "session", "wait": "0s"})
    with s.connect(database=db.name) as runaway, s.connect(database=db.name) as other:
        with pytest.raises(pymysql.MySQLError, match="a rule of limits"):
            for _ in range(100):
                ask(runaway, "SELECT 1")
        assert ask(other, "SELECT name FROM whoami")


def test_who_leaves_the_line_or_is_killed_in_it_takes_no_place(suimon, db, held):
    s = limited(suimon, {"match": {"query": "get_lock"}, "concurrency": 1, "wait": "60s"})
    first = Sleeper(s, db.name, held.lock)
    servers.wait_until("the first to run", lambda: runs(s, "get_lock"), 30)
    line = []
    for n in range(3):
        line.append(Sleeper(s, db.name, held.lock, "SELECT GET_LOCK('%s', 60), %d" % (held.lock, n)))
        servers.wait_until("it to wait", lambda n=n: waits(s) == n + 1, 30)
    leaves, killed, stays = line
    leaves.connection._sock.shutdown(socket.SHUT_RDWR)
    servers.wait_until("one to have left", lambda: waits(s) == 2, 30)
    with s.connect(database=db.name) as c:
        ask(c, "KILL QUERY %d" % killed.connection.thread_id())
    assert killed.outcome() == KILLED and waits(s) == 1
    assert ask(killed.connection, "SELECT 1") == ((1,),)
    ask(held, "SELECT RELEASE_LOCK('%s')" % held.lock)
    assert first.outcome() == ((1,),)
    first.connection.close()
    assert stays.outcome() == ((1, 2),)
    assert waits(s) == 0
