"""KILL and COM_PROCESS_KILL by the numbers clients know: P1, R3; and CONNECTION_ID(), which pins nobody (P3)."""
import contextlib
import struct
import threading

import pymysql
import pytest

from conftest import KIND, Background, ask
import servers
from servers import listing
from wire import Wire

PROCESS_INFO = 0x0a
PROCESS_KILL = 0x0c

# MySQL writes the privilege as one word, and has one way to end a session.
MAY_KILL = "CONNECTION ADMIN" if KIND == "mariadb" else "CONNECTION_ADMIN"
KILLS = ["KILL %d", "KILL CONNECTION %d"] + (["KILL HARD %d", "kill soft connection %d; -- x"] if KIND == "mariadb" else [])
SLEEP = "/* suimon: primary */ SELECT SLEEP(30)"


def running(db):
    """The server's own number of the thread that runs this."""
    def found():
        return db.primary("SELECT id FROM information_schema.processlist WHERE info LIKE '/* suimon: primary */ SELECT SLEEP%'")
    servers.wait_until("the statement to run", found, 10)
    return found()[0][0]


def error_of(connection, sql):
    with pytest.raises(pymysql.MySQLError) as e:
        ask(connection, sql)
    return e.value.args


def lost(connection):
    try:
        ask(connection, "SELECT 1")
    except pymysql.MySQLError as e:
        return e.args[0] in (0, 1927, 2006, 2013)  # 0: PyMySQL knows already
    except (AttributeError, OSError):
        return True
    return False


@pytest.fixture
def two(proxy, db):
    with contextlib.ExitStack() as stack:
        def connect(user="app", **more):
            c = proxy.connect(user, user, database=db.name, **more)
            stack.callback(lambda: c.open and c._force_close())
            return c
        yield connect


@pytest.mark.parametrize("times", range(4))
def test_kill_query_ends_the_statement_not_the_session(two, db, times):
    """Four times: killer and victim are on one worker or on two."""
    victim, killer = two(), two()
    if times % 2:
        two()
    s = Background(victim, SLEEP)
    running(db)
    ask(killer, "KILL QUERY %d" % victim.thread_id())
    assert s.outcome() in (1317, ((1,),))
    assert ask(victim, "SELECT 5") == ((5,),)


@pytest.mark.parametrize("form", KILLS)
def test_kill_ends_a_running_session(two, db, form):
    victim, killer = two(), two()
    s = Background(victim, SLEEP)
    running(db)
    ask(killer, form % victim.thread_id())
    assert s.outcome() in (1317, 1927, 2013)
    assert lost(victim)
    assert ask(killer, "SELECT 5") == ((5,),)


def test_kill_ends_an_idle_session(two):
    victim, killer = two(), two()
    ask(victim, "SELECT 1")
    ask(killer, "KILL %d" % victim.thread_id())
    assert lost(victim)
    assert error_of(killer, "KILL %d" % victim.thread_id()) == (1094, "Unknown thread id: %d" % victim.thread_id())


def test_kill_query_of_an_idle_session_changes_nothing(two):
    victim, killer = two(), two()
    ask(victim, "SELECT 1")
    ask(killer, "KILL QUERY %d" % victim.thread_id())
    for n in range(3):
        assert ask(victim, "SELECT %d" % n) == ((n,),)


def test_kill_ends_a_pinned_session_and_its_transaction(two, db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY)")
    victim, killer = two(), two()
    victim.begin()
    ask(victim, "INSERT INTO t VALUES (1)")
    ask(killer, "KILL %d" % victim.thread_id())
    assert lost(victim)
    ask(killer, "INSERT INTO t VALUES (1)")  # nothing holds the row any more


def test_the_old_command_and_a_prepared_kill(two, db, proxy):
    victim, second = two(), two()
    with Wire(two()) as w:
        w.send(bytes([PROCESS_KILL]) + struct.pack("<I", victim.thread_id()))
        assert w.packet()[0] == 0
        assert lost(victim)
        if KIND == "mariadb":  # MySQL no longer knows the command: what suimon cannot settle itself is refused there
            w.send(bytes([PROCESS_KILL]) + struct.pack("<I", victim.thread_id()))
            assert w.packet()[:9] == b"\xff\x46\x04#HY000"
        else:  # nor does it prepare a KILL
            return
        kill = w.prepare("KILL ?")
        assert kill.execute((second.thread_id(),))[0][0] == 0
        assert lost(second)


def test_only_the_privileged_kill_others(two, db, cluster):
    """`guest` may not kill a session of `app`, running or idle; with the privilege it may."""
    victim, killer = two("app"), two("guest")
    number = victim.thread_id()
    ask(victim, "SELECT 1")
    assert error_of(killer, "KILL %d" % number) == (1095, "You are not owner of thread %d" % number)
    assert error_of(killer, "KILL QUERY %d" % number)[0] == 1095
    s = Background(victim, SLEEP)
    running(db)
    assert error_of(killer, "KILL QUERY %d" % number) == (1095, "You are not owner of thread %d" % number)
    assert error_of(killer, "KILL %d" % number)[0] == 1095
    cluster.primary.sql("GRANT %s ON *.* TO guest@'%%'" % MAY_KILL)
    try:
        allowed = two("guest")
        ask(allowed, "KILL QUERY %d" % number)
        assert s.outcome() in (1317, ((1,),))
        ask(victim, "SELECT 1")
        ask(allowed, "KILL %d" % number)
        assert lost(victim)
    finally:
        cluster.primary.sql("REVOKE %s ON *.* FROM guest@'%%'" % MAY_KILL)


@pytest.fixture
def boss(two, db):
    """A session that may kill others, of an account whose connections all may."""
    if KIND != "mariadb":
        pytest.skip("MySQL has no KILL USER")
    db.primary("CREATE OR REPLACE USER boss@'%' IDENTIFIED BY 'boss'")
    try:
        db.primary("GRANT CONNECTION ADMIN ON *.* TO boss@'%'")
        db.primary("GRANT SELECT ON %s.* TO boss@'%%'" % db.name)
        yield two("boss")
    finally:
        db.primary("DROP USER boss@'%'")


@pytest.mark.parametrize("whom", ["USER app", "HARD connection USER 'app'@'%'", "USER app@'127.0.0.1'"])
def test_a_killed_accounts_sessions_end_and_no_others(two, boss, whom):
    """Also those without a connection at that moment, which the server has not met (P1)."""
    victims, bystander = [two("app") for _ in range(4)], two("guest")
    for c in victims + [bystander]:
        assert ask(c, "SELECT 1") == ((1,),)
    ask(boss, "KILL USER app@'192.0.2.1'")  # whose connections come from elsewhere
    assert not any(lost(v) for v in victims)
    ask(victims[0], "/* suimon: primary */ SELECT 1")  # the server must find one
    ask(boss, "KILL " + whom)
    assert ask(bystander, "SELECT 5") == ((5,),)
    servers.wait_until("the account's sessions to end", lambda: all(lost(v) for v in victims), 10)
    assert not lost(boss) and ask(two("app"), "SELECT 5") == ((5,),)


@pytest.mark.skipif(KIND != "mariadb", reason="MySQL has no KILL USER")
def test_whoever_may_not_kill_a_user_does_not(two):
    victim, killer = two("app"), two("guest")
    ask(victim, "/* suimon: primary */ SELECT 1")
    ask(killer, "KILL USER app")  # the server says OK, and that it was nobody
    assert not lost(victim)


@pytest.mark.skipif(KIND != "mariadb", reason="MySQL has no KILL USER")
def test_an_account_kills_itself(two):
    victim, killer = two(), two()
    ask(victim, "SELECT 1")
    ask(killer, "KILL USER app")
    servers.wait_until("both sessions to end", lambda: lost(victim) and lost(killer), 10)


def test_a_session_kills_itself(two, db):
    direct = db.direct()
    want = error_of(direct, "KILL CONNECTION_ID()")[0]
    for sql in ("KILL CONNECTION_ID()", None):
        c = two()
        assert error_of(c, sql or "KILL %d" % c.thread_id())[0] == want
        assert lost(c)
    direct = db.direct()
    want = error_of(direct, "KILL QUERY CONNECTION_ID()")[0]
    c = two()
    assert error_of(c, "KILL QUERY %d" % c.thread_id())[0] == want
    assert not lost(c)


MULTI = pymysql.constants.CLIENT.MULTI_STATEMENTS


def answers(connection, sql):
    """Every result of several statements; what ends them comes last."""
    out = []
    with connection.cursor() as cur:
        try:
            out.append((cur.execute(sql), cur.fetchall()))
            while cur.nextset():
                out.append((cur.rowcount, cur.fetchall()))
        except pymysql.MySQLError as e:
            out.append(e.args[0])
    return out


@pytest.mark.parametrize("what", ["KILL %d; SELECT 5; SELECT 6", "/* a */ kill connection %d ;SELECT 5;;SELECT 6;"])
def test_statements_stand_behind_a_kill(two, db, what):
    victim, killer = two(), two(client_flag=MULTI)
    direct, doomed = db.direct(client_flag=MULTI), db.direct()
    want = answers(direct, what % doomed.thread_id())
    assert answers(killer, what % victim.thread_id()) == want
    assert lost(victim)
    assert ask(killer, "SELECT 7") == ((7,),)


def test_behind_a_kill_that_fails_nothing_runs(two, db):
    killer = two(client_flag=MULTI)
    victim = two()
    gone = victim.thread_id()
    victim.close()
    ask(killer, "SELECT 1")
    servers.wait_until("the session to be gone", lambda: answers(killer, "KILL %d; SELECT 5" % gone) == [1094], 10)
    assert ask(killer, "SELECT 7") == ((7,),)


def test_who_may_not_send_several_statements_kills_nobody_with_them(two):
    victim, killer = two(), two()
    assert error_of(killer, "KILL %d; SELECT 5" % victim.thread_id())[0] == 1064
    assert ask(victim, "SELECT 5") == ((5,),)


def test_a_statement_behind_a_kill_is_interrupted_and_its_session_lives(two, db):
    victim, killer, other = two(), two(client_flag=MULTI), two()
    got = []
    s = threading.Thread(target=lambda: got.extend(answers(killer, "KILL %d; %s" % (victim.thread_id(), SLEEP))))
    s.start()
    servers.wait_until("the statement to run", lambda: db.primary(
        "SELECT id FROM information_schema.processlist WHERE info LIKE '%SELECT SLEEP(30)' AND command = 'Query'"), 10)
    ask(other, "KILL QUERY %d" % killer.thread_id())
    s.join(60)
    assert got in ([(0, ()), 1317], [(0, ()), (1, ((1,),))])
    assert lost(victim) and ask(killer, "SELECT 7") == ((7,),)


def test_a_session_kills_itself_before_other_statements(two, db):
    want = answers(db.direct(client_flag=MULTI), "KILL CONNECTION_ID(); SELECT 5")
    c = two(client_flag=MULTI)
    assert answers(c, "KILL %d; SELECT 5" % c.thread_id()) == want
    assert lost(c)


def test_the_servers_own_numbers_work_too(two, db):
    victim, killer = two(), two()
    s = Background(victim, SLEEP)
    thread = running(db)
    ask(killer, "KILL QUERY %d" % thread)
    assert s.outcome() in (1317, ((1,),))
    assert error_of(killer, "KILL 999999999")[0] == 1094
    assert error_of(killer, "KILL 1073741823")[0] == 1094
    assert error_of(killer, "KILL 2147483647")[0] == 1094


def test_kill_finds_a_statement_on_a_replica(two, db, cluster):
    """The reads of a plain session run on the replica: KILL goes there."""
    victim, killer = two(), two()
    s = Background(victim, "SELECT name, SLEEP(30) FROM whoami")

    def runs():
        with cluster.replica.root() as c, c.cursor() as cur:
            return cur.execute("SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT name, SLEEP%'")
    servers.wait_until("the statement to run on the replica", runs, 10)
    ask(killer, "KILL QUERY %d" % victim.thread_id())
    outcome = s.outcome()
    assert outcome == 1317 or outcome[0][1] == 1


def test_kill_does_not_wait_for_a_full_pool(suimon, db):
    """Two connections on the primary, both held; a third session is killed out of its wait, a fourth kills."""
    s = suimon({"threads": 2, "replicas": [], "backend": {"pool": {"max": 2, "min_idle": 0}, "failover_hold": "60s"}})
    killer = s.connect(database=db.name)
    holders = [s.connect(database=db.name) for _ in range(2)]
    waiter = s.connect(database=db.name)
    for c in holders:
        c.begin()
        ask(c, "SELECT 1")
    w = Background(waiter, "SELECT 77")
    servers.wait_until("it to wait", lambda: sum(r["state"] == "running" for r in listing(s.api("/api/clients"))) == 1, 10)
    ask(killer, "KILL QUERY %d" % waiter.thread_id())
    assert w.outcome() == 1317
    ask(killer, "KILL %d" % holders[0].thread_id())
    assert lost(holders[0])
    assert ask(waiter, "SELECT 78") == ((78,),)
    assert s.metrics()["suimon_kills_total"] == 2
    for c in (killer, waiter, holders[1]):
        c.close()


def test_a_killer_that_leaves_at_once(two, proxy, db):
    """Nobody waits for the answer: nothing breaks, the session is killed all the same."""
    victim = two()
    with Wire(two()) as w:
        w.send(b"\x03KILL %d" % victim.thread_id())
    servers.wait_until("the session to end", lambda: lost(victim), 10)
    assert ask(two(), "SELECT 1") == ((1,),)


def test_kills_at_random_hit_nobody_else(two, proxy, db):
    """Sessions run short statements while others are killed: those that are not named see nothing of it."""
    stop, wrong = threading.Event(), []

    def live(c):
        while not stop.is_set():
            try:
                if ask(c, "SELECT COUNT(*) FROM whoami") != ((1,),):
                    wrong.append("rows")
            except pymysql.MySQLError as e:
                wrong.append(e.args)
                return
    bystanders = [two() for _ in range(4)]
    threads = [threading.Thread(target=live, args=(c,)) for c in bystanders]
    for t in threads:
        t.start()
    killer = two()
    for _ in range(40):
        victim = two()
        v = threading.Thread(target=lambda c=victim: lost(c))
        v.start()
        ask(killer, "KILL %s%d" % ("QUERY " if _ % 2 else "", victim.thread_id()))
        v.join(60)
    stop.set()
    for t in threads:
        t.join(60)
    assert not wrong


def test_connection_id_is_the_sessions_number_and_pins_nobody(two, proxy, db):
    with Wire(db.direct()) as w:
        text = w.query("SELECT CONNECTION_ID()")
        binary = w.prepare("SELECT CONNECTION_ID() AS `me`").execute(())
    c = two()
    number = c.thread_id()
    with Wire(c) as w:
        got = w.query("SELECT CONNECTION_ID()")
        assert got[:-2] == text[:-2] and got[-1] == text[-1], "metadata is the server's"
        assert got[-2] == bytes([len(str(number))]) + str(number).encode()
        got = w.prepare("SELECT CONNECTION_ID() AS `me`").execute(())
        assert got[:-2] == binary[:-2] and got[-1] == binary[-1]
        assert len(got[-2]) == len(binary[-2]) and int.from_bytes(got[-2][2:], "little") == number
        row = next(r for r in listing(proxy.api("/api/clients")) if r["id"] == number)
        assert not row["pinned"]


def test_the_list_of_connections_has_ones_own_number(two, db):
    """SHOW PROCESSLIST, as text, prepared and as a command: one finds oneself in it, and can be killed by what it shows."""
    def mine(rows):
        return [int(r[0]) for r in rows if r[7] and r[7].lower().startswith("show") and r[3] == db.name]

    c, killer = two(), two()
    number = c.thread_id()
    for sql in ("SHOW PROCESSLIST", "show /* all */ full processlist;"):
        assert mine(ask(c, sql)) == [number], sql
    with Wire(db.direct()) as w:
        metadata = w.query("SHOW PROCESSLIST")[:9]
    with Wire(two()) as w:
        assert w.query("SHOW PROCESSLIST")[:9] == metadata
        prepared = w.prepare("SHOW PROCESSLIST").execute(())
        assert [p for p in prepared if w.connection.thread_id().to_bytes(8, "little") in p[:12]], prepared
    if KIND == "mariadb":  # MySQL no longer knows the command
        c._execute_command(PROCESS_INFO, b"")
        c._read_query_result()
        assert number in [int(r[0]) for r in c._result.rows]
    ask(killer, "KILL %d" % number)
    assert lost(c)
    assert number not in [r[0] for r in ask(killer, "SHOW PROCESSLIST")]


def test_connection_id_among_other_things_is_the_servers_and_stays(two, proxy, db):
    c = two()
    first = ask(c, "SELECT CONNECTION_ID(), 1")
    for _ in range(3):
        assert ask(c, "SELECT CONNECTION_ID(), 1") == first
        ask(c, "SELECT name FROM whoami")
    assert ask(c, "SELECT COUNT(*) FROM information_schema.processlist WHERE id = CONNECTION_ID()") == ((1,),)
    row = next(r for r in listing(proxy.api("/api/clients")) if r["id"] == c.thread_id())
    assert row["pinned"] == "connection_id"
