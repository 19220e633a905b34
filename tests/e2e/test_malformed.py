"""F2: packets nobody should send end their own session, with a reason, and touch no other."""
import os
import random
import socket
import struct

import pytest

from conftest import ask
from servers import LOOPBACK, sum_metric, wait_until
from wire import Wire, error, read_exactly


def packet(payload, seq=0, claimed=None):
    return struct.pack("<I", len(payload) if claimed is None else claimed)[:3] + bytes([seq & 0xff]) + payload


def greeted(proxy):
    """A socket that has read suimon's greeting."""
    s = socket.create_connection((LOOPBACK, proxy.mysql_port), 5)
    s.settimeout(5)
    head = read_exactly(s, 4)
    read_exactly(s, int.from_bytes(head[:3], "little"))
    return s


def say(s, data):
    """Sends it and says no more; the other side may have hung up in the middle."""
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def closed(s):
    """Reads until the other side closes."""
    try:
        while s.recv(65536):
            pass
        return True
    except socket.timeout:
        return False
    except OSError:
        return True
    finally:
        s.close()


CAPS = 0x0002 | 0x0008 | 0x0200 | 0x8000 | 0x80000  # found rows, schema, 4.1, secure connection, plugin auth
HELLO = struct.pack("<IIB23x", CAPS, 1 << 24, 45)
LOGINS = {
    "empty": packet(b"", 1),
    "one byte": packet(b"\x00", 1),
    "cut in the flags": packet(HELLO[:20], 1),
    "no end of the name": packet(HELLO + b"appappapp", 1),
    "answer longer than the packet": packet(HELLO + b"app\x00" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff" + b"x", 1),
    "answer length 255": packet(HELLO + b"app\x00\xff" + b"x" * 20, 1),
    "schema without end": packet(HELLO + b"app\x00\x00" + b"s" * 300, 1),
    "wrong sequence": packet(HELLO + b"app\x00\x00\x00mysql_native_password\x00", 7),
    "old protocol": packet(struct.pack("<HI", 0x0001, 0)[:5] + b"app\x00", 1),
    "huge claim": packet(b"x" * 10, 1, 0xffffff),
    "attributes longer than the packet": packet(struct.pack("<IIB23x", CAPS | 0x100000, 1 << 24, 45) + b"app\x00\x00s\x00p\x00\xfc\xff\xff", 1),
    "TLS that is no TLS": packet(struct.pack("<IIB23x", CAPS | 0x0800, 1 << 24, 45), 1) + b"\x16\x03\x01" + b"\xff" * 50,
    "name of a megabyte": packet(HELLO + b"a" * 1000000 + b"\x00\x00", 1),
    "binary": packet(bytes(range(256)) * 4, 1),
}


# "binary" happens to be one that can be read. The megabyte is refused before all of it is sent, and then the reset may overtake the answer.
@pytest.mark.parametrize("login", [n for n in LOGINS if n not in ("binary", "name of a megabyte")])
def test_a_malformed_login_is_answered_as_servers_answer_it(proxy, login):
    s = greeted(proxy)
    s.sendall(LOGINS[login])
    head = read_exactly(s, 4)
    code, sqlstate, _ = error(read_exactly(s, int.from_bytes(head[:3], "little")))
    assert (code, sqlstate) == (1043, "08S01")
    assert closed(s)


@pytest.mark.parametrize("login", LOGINS)
def test_a_malformed_login(proxy, db, login):
    with proxy.connect(database=db.name) as other:
        s = greeted(proxy)
        say(s, LOGINS[login])
        assert closed(s)
        assert ask(other, "SELECT 1") == ((1,),)


COMMANDS = {
    "empty command": packet(b""),
    "unknown command": packet(b"\x7f"),
    "execute without a number": packet(b"\x17\x01"),
    "execute of nothing": packet(b"\x17" + b"\xff" * 9),
    "long data without an index": packet(b"\x18\x01\x00"),
    "fetch of nothing": packet(b"\x1c" + b"\xff" * 8),
    "wrong sequence": packet(b"\x03SELECT 1", 9),
    "change user cut short": packet(b"\x11app"),
    "set option cut short": packet(b"\x1b"),
    "cut in the middle": packet(b"\x03SELECT", 0, 100),
    "a server's command": packet(b"\x12" + b"\x00" * 20),
    "register replica": packet(b"\x15" + b"\x00" * 20),
    "nul in a query": packet(b"\x03SELECT '\x00\x00"),
    "init db of a megabyte": packet(b"\x02" + b"x" * 1000000),
    "close of nothing": packet(b"\x19\x99\x99\x99\x99"),
    "close cut short": packet(b"\x19\x99"),
    "field list": packet(b"\x04nothing\x00"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_malformed_command(proxy, db, command):
    """The session gets an error or ends; another goes on; the process lives."""
    with proxy.connect(database=db.name) as other:
        w = Wire(proxy.connect(database=db.name))
        say(w.sock, COMMANDS[command])
        w.sock.settimeout(5)
        assert closed(w.sock)
        assert ask(other, "SELECT 1") == ((1,),)


def test_a_prepared_execute_with_malformed_values(proxy, db):
    good = struct.pack("<IBI", 1, 0, 1)
    rng = random.Random(5)
    values = [b"", b"\x00", b"\x00\x01", b"\x00\x01\xfd", b"\x00\x01\xfd\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff", b"\x00\x01\xff\xff\x01", b"\xff\x00",
              b"\x00\x01\x0c\x00\xff", b"\x00\x01\x0b\x00\x0d" + b"x" * 13, b"\x00\x01\xfd\x00\xfb", b"\x00\x01\xfd\x00\xff"]
    values += [bytes(rng.randrange(256) for _ in range(rng.randrange(30))) for _ in range(60)]
    for value in values:
        w = Wire(proxy.connect(database=db.name))
        s = w.prepare("SELECT ?")
        say(w.sock, packet(b"\x17" + struct.pack("<I", s.id) + good[4:] + value))
        assert closed(w.sock), value
    with proxy.connect(database=db.name) as other:
        assert ask(other, "SELECT 1") == ((1,),)


@pytest.mark.parametrize("sent", [0, 1, 7, 8, 16])
def test_an_execution_with_too_few_parameters_is_refused_as_the_server_does(proxy, db, sent):
    """And the session goes on. (Connector/C's test_mdev19838)"""
    db.setup("CREATE TABLE t (%s)" % ", ".join("f%d CHAR(36)" % i for i in range(17)))
    insert = "INSERT INTO t VALUES (%s)" % ", ".join(["?"] * 17)
    said = []
    for connection in (db.direct(), proxy.connect(database=db.name)):
        with Wire(connection) as w:
            s = w.prepare(insert)
            w.send(b"\x17" + struct.pack("<IBI", s.id, 0, 1) + b"\0" * ((sent + 7) // 8) + (b"\x01" + b"\xfe\0" * sent + b"\3abc" * sent if sent else b""))
            said.append(error(w.packet())[:2])
            assert w.query("SELECT COUNT(*) FROM t")[3] == b"\x010"
    assert said[0] == said[1]


def test_noise(proxy, db):
    rng = random.Random(11)
    for n in range(60):
        s = greeted(proxy) if n % 2 else socket.create_connection((LOOPBACK, proxy.mysql_port), 5)
        s.settimeout(5)
        say(s, os.urandom(rng.randrange(1, 3000)))
        assert closed(s)
    with proxy.connect(database=db.name) as other:
        assert ask(other, "SELECT 1") == ((1,),)


def test_it_is_counted_and_logged(suimon):
    s = suimon()
    raw = greeted(s)
    say(raw, LOGINS["answer longer than the packet"])
    assert closed(raw)
    wait_until("the counter", lambda: sum_metric(s.metrics(), "suimon_malformed_packets_total", 'side="client"') >= 1, 5)
    assert "malformed" in s.log_text().lower()


def test_a_client_that_changes_its_user_and_says_no_more_is_let_go(suimon, db):
    s = suimon({"listen": {"handshake_timeout": "1s"}})
    with Wire(s.connect(database=db.name)) as w:
        # A user that must be asked for its password: the answer to the question never comes.
        w.send(b"\x11guest\x00\x14" + b"x" * 20 + db.name.encode() + b"\x00\x2d\x00mysql_native_password\x00")
        w.sock.settimeout(10)
        assert closed(w.sock)
    wait_until("the reason", lambda: sum_metric(s.metrics(), "suimon_client_connections_closed_total", 'reason="timeout"') >= 1, 5)


def test_a_client_that_says_nothing_is_let_go(suimon):
    s = suimon({"listen": {"handshake_timeout": "500ms"}})
    raw = greeted(s)
    assert closed(raw)
