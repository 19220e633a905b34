"""P1: what a server reports of session state reaches the client as it would without suimon, which has it report more."""
import struct

import pymysql
import pytest
from pymysql import _auth

from conftest import ISOLATION, ask, filled, is_hit, pinned
from wire import CHANGE_USER, QUERY, Wire, lenenc

SESSION_TRACK, STATE_CHANGED = 1 << 23, 0x4000


def items(block):
    """The reported items, sorted: the server keeps them in a hash."""
    got, at = [], 0
    while at < len(block):
        size, start = lenenc(block, at + 1)
        got.append(block[at:start + size])
        at = start + size
    return sorted(x for x in got if b"statement_id" not in x)  # MySQL's count of all of its statements


def ok(packet):
    """(status, reported items) of an OK packet to a client with CLIENT_SESSION_TRACK."""
    assert packet[0] == 0, packet
    _, at = lenenc(packet, 1)
    _, at = lenenc(packet, at)
    status, _ = struct.unpack_from("<HH", packet, at)
    at += 4
    if at == len(packet):
        return status, []
    size, at = lenenc(packet, at)
    at += size
    if not status & STATE_CHANGED:
        return status, []
    size, at = lenenc(packet, at)
    return status, items(packet[at:at + size])


def answers(connection, statements):
    with Wire(connection) as w:
        got = []
        for s in statements:
            w.send(bytes([QUERY]) + s.encode())
            got.append(ok(w.packet()))
        return got


# As MariaDB Connector/J has it.
ON_TOP = "set session_track_system_variables = CONCAT(@@global.session_track_system_variables,',%s')" % ISOLATION
ISOLATE = "SET SESSION TRANSACTION ISOLATION LEVEL %s"

# What is reported by default, what only suimon asks for, both at once, and what a client asks for itself.
STATEMENTS = {
    "default": ["SET autocommit = 0", "SET autocommit = 1", "SET time_zone = '+01:00'", "SET NAMES latin1", "USE %s"],
    "suimon's interest": ["SET sql_mode = 'ANSI_QUOTES'", "SET group_concat_max_len = 99", "SET @x = 1", "DO 1",
                          "CREATE TABLE made (id INT PRIMARY KEY AUTO_INCREMENT)", "INSERT INTO made VALUES (NULL)", "DROP TABLE made"],
    "both at once": ["SET time_zone = '+02:00', sql_mode = '', autocommit = 1"],
    "the client's own interest": ["SET session_track_system_variables = 'sql_mode,time_zone'", "SET sql_mode = 'ANSI_QUOTES'",
                                  "SET time_zone = '+03:00', sql_mode = ''"],
    "on top of the default": [ON_TOP, ISOLATE % "READ COMMITTED", "SET autocommit = 0", "SET sql_mode = ''", "USE %s", "SET NAMES latin1",
                              ON_TOP + ",autocommit=1, NAMES utf8mb4", ISOLATE % "SERIALIZABLE", "SET @@time_zone = '+05:00'",
                              "SET session_track_system_variables = DEFAULT", ISOLATE % "READ COMMITTED", "SET autocommit = 0"],
    "among other variables": ["SET autocommit = 0, session_track_system_variables = 'autocommit,sql_mode', time_zone = '+01:00', sql_mode = 'ANSI_QUOTES'",
                              "SET autocommit = 1", "SET NAMES latin1", "SET sql_mode = ''", "SET SESSION session_track_system_variables = ''",
                              "SET autocommit = 0", "SET session_track_state_change = 1", "SET @x = 1"],
    "everything": ["SET time_zone = '+01:00', session_track_system_variables = '*', sql_mode = ''", "SET NAMES latin1", "USE %s", "SET group_concat_max_len = 98"],
    "its own name": ["SET session_track_system_variables = 'time_zone,session_track_system_variables'", "SET sql_mode = '', time_zone = '+03:00'"],
    "that anything changed": ["SET session_track_state_change = 1", "SET @x = 1", "SET time_zone = '+04:00'", "DO 1"],
}


@pytest.mark.parametrize("which", STATEMENTS)
@pytest.mark.parametrize("flag", [0, SESSION_TRACK], ids=["untracked", "tracked"])
def test_reports_are_cut_back_to_what_the_clients_session_would_get(db, proxy, which, flag):
    statements = [s.replace("%s", db.name) for s in STATEMENTS[which]]
    want = answers(db.direct(client_flag=flag), statements)
    assert answers(proxy.connect(database=db.name, client_flag=flag), statements) == want


def test_who_has_chosen_what_is_reported_shares_connections_still(suimon, db):
    """P3: what a choice is can be kept here; the connection reports all to suimon, as before."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY) AS SELECT 1 AS id")
    s = suimon({"threads": 1, "backend": {"pool": {"max": 2, "min_idle": 0}}, 
                "cache": {"rules": [{"match": {"table": "%s.t" % db.name}, "ttl": "1h"}]}})
    sessions = [s.connect(database=db.name, client_flag=SESSION_TRACK) for _ in range(5)]
    for n, c in enumerate(sessions):
        ask(c, ON_TOP + ",time_zone='+0%d:00',sql_mode='%s'" % (n, "ANSI_QUOTES" if n % 2 else ""))
    assert pinned(s) == [None] * 5
    for n, c in enumerate(sessions):
        assert ask(c, "SELECT @@time_zone, @@sql_mode") == (("+0%d:00" % n, "ANSI_QUOTES" if n % 2 else ""),)
    filled(s, sessions[0], "SELECT id FROM t")
    ask(sessions[1], "INSERT INTO t VALUES (2)")
    assert ask(sessions[0], "SELECT id FROM t ORDER BY id") == ((1,), (2,))
    assert pinned(s) == [None] * 5


CHOSEN = [ON_TOP, "SET session_track_system_variables = 'sql_mode,time_zone'", "SET autocommit = 1, session_track_system_variables = ''",
          "SET session_track_system_variables = DEFAULT", "SET session_track_system_variables = '*'"]


@pytest.mark.parametrize("choice", CHOSEN)
def test_what_was_chosen_is_what_the_variable_is(db, proxy, choice):
    """Asked for, it is what the session has set; from then on its connection is its own, and goes on reporting by it."""
    c = proxy.connect(database=db.name, client_flag=SESSION_TRACK)
    direct = db.direct(client_flag=SESSION_TRACK)
    for x in c, direct:
        ask(x, choice)
        ask(x, "SET time_zone = '+03:00'")
    questions = ["SELECT @@session_track_system_variables, @@session_track_state_change", "SHOW VARIABLES LIKE 'session\\_track%'"]
    for q in questions:
        assert ask(c, q) == ask(direct, q)
    then = ["SET time_zone = '+04:00', sql_mode = ''", "SET autocommit = 0"]
    assert answers(c, then) == answers(direct, then)


def test_a_choice_ends_with_a_reset(db, proxy):
    c = proxy.connect(database=db.name, client_flag=SESSION_TRACK)
    ask(c, "SET session_track_system_variables = 'sql_mode'")
    with Wire(c) as w:
        w.send(b"\x1f")  # COM_RESET_CONNECTION
        w.packet()
        w.send(bytes([QUERY]) + b"SET time_zone = '+04:00', sql_mode = ''")
        got = ok(w.packet())
    assert got == answers(db.direct(client_flag=SESSION_TRACK), ["SET time_zone = '+04:00', sql_mode = ''"])[0]


def test_a_choice_that_is_refused_is_none(db, proxy):
    statements = ["SET sql_mode = ''", "SET time_zone = '+04:00'"]
    direct, c = (x.connect(database=db.name, client_flag=SESSION_TRACK) if x is proxy else db.direct(client_flag=SESSION_TRACK) for x in (db, proxy))
    for x in direct, c:
        with pytest.raises(Exception) as e:
            ask(x, "SET session_track_system_variables = 'sql_mode', no_such_variable = 1")
        assert e.value.args[0] == 1193
    assert answers(c, statements) == answers(direct, statements)


def logged_in(server, **more):
    """A client's connection, and the OK of its login."""
    class Keeping(pymysql.connections.Connection):
        def _read_packet(self, *args, **kwargs):
            self.last = super()._read_packet(*args, **kwargs)
            return self.last

        def _request_authentication(self):
            super()._request_authentication()
            self.login = self.last.get_all_data()

    with pytest.MonkeyPatch.context() as m:
        m.setattr(pymysql, "connect", Keeping)
        c = server.connect(user="app", password="app", **more)
    return c, c.login


def user_changed(w, schema):
    """The OK of a COM_CHANGE_USER."""
    w.send(bytes([CHANGE_USER]) + b"app\0\0" + schema.encode() + b"\0\x2d\0none\0\0")
    switch = w.packet()
    plugin, scramble = switch[1:].rstrip(b"\0").split(b"\0", 1)
    proof = _auth.scramble_native_password if plugin == b"mysql_native_password" else _auth.scramble_caching_sha2
    w.send(proof(b"app", scramble), w.seq)
    answer = w.packet()
    return w.packet() if answer == b"\1\3" else answer


@pytest.mark.parametrize("flag", [0, SESSION_TRACK], ids=["untracked", "tracked"])
def test_a_login_reports_the_schema_that_came_with_it(db, proxy, cluster, flag):
    """So does COM_CHANGE_USER; a reset reports nothing."""
    def all_of(server, **more):
        c, login = logged_in(server, client_flag=flag, **more)
        with Wire(c) as w:
            got = [login] + [user_changed(w, schema) for schema in (db.name, "", db.name)]
            w.send(b"\x1f")
            return got + [w.packet()]

    for more in {"database": db.name}, {"database": None}:
        assert all_of(proxy, **more) == all_of(cluster.primary, **more)
