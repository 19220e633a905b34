"""P, F2, F3: a server that lies harms the sessions that hear it and nobody else. The server's bytes are as hostile as the client's."""
import contextlib
import os
import random
import struct
import threading
import time

import pymysql
import pytest

from conftest import address, ask, ended_well, merge
import servers
from liar import Liar, packet, shut
from servers import sum_metric, wait_until

OK = b"\x00\x00\x00\x02\x00\x00\x00"
EOF = b"\xfe\x00\x00\x02\x00"
COLUMN = b"\x03def\x00\x00\x00\x01a\x00\x0c\x2d\x00\x04\x00\x00\x00\xfd\x00\x00\x00\x00\x00"
HEAD = packet(b"\x01", 1) + packet(COLUMN, 2) + packet(EOF, 3)
HUGE = b"\xfe" + b"\xff" * 7 + b"\x7f"

# What is answered to a query, and the link is closed behind it.
LIES = {
    "empty_packet": packet(b""),
    "length_beyond_the_bytes": packet(b"\x00\x00", 1, 100000),
    "largest_length": packet(b"\x00", 1, 0xffffff),
    "truncated_ok": packet(b"\x00"),
    "truncated_ok_number": packet(b"\x00\xfc"),
    "ok_with_null_numbers": packet(b"\x00\xfb\xfb\x02\x00\x00\x00"),
    "truncated_error": packet(b"\xff"),
    "error_without_text": packet(b"\xff\x15"),
    "wrong_sequence": packet(OK, 77),
    "wrong_sequence_in_a_result": packet(b"\x01", 1) + packet(COLUMN, 9) + packet(EOF, 3),
    "endless_columns": packet(HUGE, 1) + packet(COLUMN, 2) * 50,
    "no_columns": packet(b"\xfc\x00\x00", 1),
    "cut_column_count": packet(b"\xfd\x01", 1),
    "column_that_is_none": packet(b"\x01", 1) + packet(b"\x03", 2) + packet(EOF, 3) + packet(EOF, 4),
    "fewer_columns": packet(b"\x03", 1) + packet(COLUMN, 2) + packet(EOF, 3) + packet(EOF, 4),
    "error_between_columns": packet(b"\x02", 1) + packet(COLUMN, 2) + packet(b"\xff\x15\x04#28000no", 3),
    "error_between_rows": HEAD + packet(b"\x011", 4) + packet(b"\xff\x15\x04#28000no", 5),
    "row_longer_than_its_packet": HEAD + packet(b"\xfc\xff\xff1", 4) + packet(EOF, 5),
    "empty_row": HEAD + packet(b"", 4) + packet(EOF, 5),
    "long_eof": HEAD + packet(EOF + b"x" * 20, 4),
    "cut_in_a_row": HEAD + packet(b"\x011", 4, 50),
    "unasked_local_infile": packet(b"\xfb/etc/passwd"),
    "more_results_that_never_come": packet(b"\x00\x00\x00\x0a\x00\x00\x00"),
    "session_state_beyond_its_packet": packet(b"\x00\x00\x00\x02\x40\x00\x00\x00\xfc\xff\xff\x00\x01"),
    "session_state_of_no_kind": packet(b"\x00\x00\x00\x02\x40\x00\x00\x00\x04\x63\x02\x01x"),
    "bytes_after_the_end": packet(OK) + packet(OK, 2) + b"and more of no sense at all",
    "a_greeting": packet(b"\x0a5.5.5-10.11\x00" + b"x" * 60, 0),
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "noise": random.Random(3).randbytes(5000),
}
PREPARE_LIES = {
    "truncated_prepare": packet(b"\x00\x01\x00"),
    "prepare_of_absurd_counts": packet(b"\x00\x01\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00") + packet(COLUMN, 2) * 100,
    "prepare_without_its_columns": packet(b"\x00\x01\x00\x00\x00\x02\x00\x02\x00\x00\x00\x00") + packet(EOF, 2),
    "prepare_that_is_a_result": HEAD + packet(b"\x011", 4) + packet(EOF, 5),
    "prepare_noise": random.Random(4).randbytes(3000),
}
GREETINGS = {
    "nothing": b"",
    "an_empty_packet": packet(b"", 0),
    "an_old_protocol": packet(b"\x09old\x00" + b"\x00" * 40, 0),
    "a_name_without_end": packet(b"\x0a" + b"x" * 200, 0),
    "cut_short": packet(b"\x0a5.5.5-10.11.6-MariaDB\x00\x01\x00", 0),
    "a_huge_one": packet(b"\x0a" + b"x" * 70000, 0, 0xffffff),
    "noise": random.Random(5).randbytes(300),
}
LOGINS = {
    "unknown_plugin": packet(b"\xfenobody_knows_it\x00" + b"x" * 20 + b"\x00", 2),
    "a_scramble_too_long": packet(b"\xfemysql_native_password\x00" + b"x" * 500, 2),
    "more_and_more": b"".join(packet(b"\x01\x04", n) for n in range(2, 200)),
    "a_truncated_ok": packet(b"\x00", 2),
    "a_public_key_that_is_none": packet(b"\x01-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 2),
    "noise": random.Random(6).randbytes(300),
}


def sent_and_closed(data):
    def lie(s):
        s.sendall(data)
        time.sleep(0.1)
        shut(s)
    return lie


@pytest.fixture(scope="module")
def world(cluster, tmp_path_factory):
    """(suimon, the liar it takes for its primary); the same ones for all lies, so that what one leaves behind is seen."""
    liar = Liar(cluster.primary.port)
    config = merge(cluster.config(), {"primary": address(liar), "replicas": [], "threads": 1,
                                      "backend": {"tls": {"mode": "disabled"}, "failover_hold": "1s"}})
    instance = servers.Suimon(str(tmp_path_factory.mktemp("hostile")), config).start()
    yield instance, liar
    ended_well(instance)
    liar.close()


def hears(s, sql, prepared=False):
    """What a client hears: rows, or an error's number. It always hears something."""
    c = s.connect(read_timeout=20)
    try:
        if prepared:
            c._execute_command(0x16, sql.encode())
            return c._read_packet().get_all_data()
        return ask(c, sql)
    except (pymysql.MySQLError, IndexError, struct.error, UnicodeDecodeError, AssertionError) as e:
        assert "timed out" not in str(e), e
        return e.args[0] if e.args else None
    finally:
        c._force_close()


def others_go_on(s, other):
    assert ask(other, "SELECT 1") == ((1,),)
    assert hears(s, "SELECT 2") == ((2,),)
    assert s.process.alive()


@pytest.mark.parametrize("closes", (True, False), ids=("and_closes", "and_waits"))
@pytest.mark.parametrize("name", LIES)
def test_a_lie_in_answer_to_a_query(world, name, closes):
    """Where the link stays open, the client may have to wait for what was promised: it does not wait here, but goes."""
    s, liar = world
    liar.lies[name] = sent_and_closed(LIES[name]) if closes else LIES[name]
    with s.connect() as other:
        ask(other, "SET @mine = 1")  # a connection of its own
        if closes:
            hears(s, "SELECT 'lie %s'" % name)
            time.sleep(0.3)  # what looked like an answer is followed by the end of its connection
        else:
            c = s.connect()
            c._read_timeout = 0.5
            try:
                ask(c, "SELECT 'lie %s'" % name)
            except (pymysql.MySQLError, IndexError, struct.error, AssertionError):
                pass
            c._force_close()
        assert ask(other, "SELECT @mine") == ((1,),)
        others_go_on(s, other)


@pytest.mark.parametrize("name", PREPARE_LIES)
def test_a_lie_in_answer_to_prepare(world, name):
    s, liar = world
    liar.lies[name] = sent_and_closed(PREPARE_LIES[name])
    with s.connect() as other:
        hears(s, "SELECT 'lie %s', ?" % name, prepared=True)
        time.sleep(0.3)
        others_go_on(s, other)


def test_behind_a_statement_that_was_too_long_nobody_gets_its_connection(world):
    """The server hangs up behind its error, and that is seen when the next statement is under way already."""
    s, liar = world

    def too_long(link):
        link.sendall(packet(b"\xff\x81\x04#08S01Got a packet bigger than 'max_allowed_packet' bytes"))
        link.recv(1)
        shut(link)

    liar.lies["too_long"] = too_long
    with s.connect() as c:
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "SELECT 'lie too_long'")
        assert e.value.args[0] == 1153
        assert ask(c, "DO 5") == ()


def test_lies_are_counted_and_logged(world):
    s, liar = world
    liar.lies["counted"] = sent_and_closed(LIES["truncated_ok"])
    before = sum_metric(s.metrics(), "suimon_malformed_packets_total", 'side="server"')
    heard = hears(s, "SELECT 'lie counted'")
    assert isinstance(heard, int), heard
    assert sum_metric(s.metrics(), "suimon_malformed_packets_total", 'side="server"') > before


@pytest.mark.parametrize("data", (packet(OK), packet(b"\xff\x15\x04#08S01bye", 0), HEAD, b"\x00", os.urandom(100)),
                         ids=("ok", "error", "result", "byte", "noise"))
def test_packets_on_an_idle_connection(world, data):
    """Nobody asked: the connection is given up, and no later statement takes them for its answer."""
    s, liar = world
    heard, said = threading.Event(), threading.Event()

    def later(sock):
        sock.sendall(packet(OK))
        heard.wait(60)
        time.sleep(0.1)
        sock.sendall(data)
        with contextlib.suppress(ConnectionError):
            while sock.recv(1000):  # until it is given up
                pass
        said.set()
    liar.lies["later"] = later
    with s.connect() as other:
        assert hears(s, "DO 'lie later'") == ()
        heard.set()
        assert said.wait(60)  # it comes before the next statement
        for n in range(10):
            assert hears(s, "SELECT %d" % n) == ((n,),)
        others_go_on(s, other)


def test_a_result_without_end(world):
    """It streams to its client as long as that one reads; memory does not grow with it, and others are served."""
    s, liar = world
    row = packet(b"\xfd" + (60000).to_bytes(3, "little") + b"x" * 60000, 4)

    def endless(sock):
        sock.sendall(HEAD)
        for n in range(4, 1 << 20):
            sock.sendall(row[:3] + bytes([n & 0xff]) + row[4:])
    liar.lies["endless"] = endless
    with s.connect() as other:
        c = s.connect(cursorclass=pymysql.cursors.SSCursor)
        cur = c.cursor()
        cur.execute("SELECT 'lie endless'")
        for _ in range(100):
            assert len(cur.fetchone()[0]) == 60000
        before = s.resident()
        for _ in range(1000):
            cur.fetchone()
        time.sleep(0.5)  # and nothing is read
        assert s.resident() - before < (8 << 20)
        others_go_on(s, other)
        c._force_close()
        others_go_on(s, other)


@pytest.mark.parametrize("kind,name", [("greeting", n) for n in GREETINGS] + [("after_login", n) for n in LOGINS])
def test_a_lie_at_login(world, kind, name):
    """New connections fail, with an error in the time given; when the server has come to its senses, all is well."""
    s, liar = world
    setattr(liar, kind, (GREETINGS if kind == "greeting" else LOGINS)[name])
    try:
        liar.cut()
        try:
            c = s.connect(read_timeout=20)
        except pymysql.MySQLError as e:
            assert "timed out" not in str(e), e
        else:
            with c, pytest.raises(pymysql.MySQLError) as e:
                ask(c, "SELECT 1")
            assert "timed out" not in str(e.value)
        assert s.process.alive()
    finally:
        setattr(liar, kind, None)
    wait_until("a good answer", lambda: hears(s, "SELECT 3") == ((3,),), 15)


def test_a_server_that_says_no_word(cluster, suimon):
    """Whoever waited for a connection to it hears what was slow, and is not sent to look at the pool."""
    liar = Liar(cluster.primary.port)
    s = suimon({"primary": address(liar), "replicas": [], "threads": 1,
                "backend": {"tls": {"mode": "disabled"}, "pool": {"min_idle": 0, "idle_timeout": "10ms"},
                            "failover_hold": "1s", "connect_timeout": "60s"}})

    def told():
        with s.connect() as c:
            try:
                ask(c, "SELECT 1")
            except pymysql.MySQLError as e:
                return e.args

    with s.connect() as c:
        ask(c, "SELECT 1")
    liar.silent = True
    code, text = wait_until("nothing to be left idle", told, 20)
    assert code == 1927 and "was being opened" in text and "pool" not in text
    liar.silent = False
    liar.cut()
    wait_until("a good answer", lambda: hears(s, "SELECT 3") == ((3,),), 15)
    liar.close()
