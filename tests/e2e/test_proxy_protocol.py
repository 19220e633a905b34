"""P1, F2: clients behind a proxy: whose address counts, what is refused, and who guesses passwords is stopped by address."""
import concurrent.futures
import contextlib
import re
import shutil
import socket
import struct
import threading
import time

import pymysql
import pytest

import servers
from conftest import ask
from test_tls import closed_within, greeting
from wire import error

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source):
    return b"PROXY TCP4 %s 127.0.0.1 40000 3306\r\n" % source.encode()


def v2(source, tlv=b""):
    body = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 40000, 3306) + tlv
    return SIGNATURE + b"\x21\x11" + struct.pack(">H", len(body)) + body


LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


def raw(s):
    return socket.create_connection((servers.LOOPBACK, s.mysql_port), 10)


def login(s, header, user="guest", password=None):
    """A PyMySQL connection that begins with these bytes."""
    sock = raw(s)
    sock.sendall(header)
    c = pymysql.connect(host=servers.LOOPBACK, user=user, password=user if password is None else password, defer_connect=True)
    try:
        c.connect(sock)
    except BaseException:
        sock.close()
        raise
    return c


def addresses(s, user):
    return [c["address"] for c in s.api("/api/clients")["clients"] if c["user"] == user]


@pytest.fixture
def proxied(suimon):
    return suimon({"listen": {"proxy_protocol": ["127.0.0.0/8", "10.0.0.0/8"], "handshake_timeout": "1s"}})


@pytest.mark.parametrize("header,address", [
    (v1("192.0.2.7"), "192.0.2.7"), (v2("192.0.2.8"), "192.0.2.8"), (v2("192.0.2.9", b"\x04\x00\x02xy"), "192.0.2.9"),
    (b"PROXY TCP6 2001:DB8::0:1 ::1 1 2\r\n", "2001:db8::1"), (LOCAL, "127.0.0.1"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")])
def test_the_headers_address_is_the_clients(proxied, header, address):
    with login(proxied, header) as c:
        assert ask(c, "SELECT CURRENT_USER()") == (("guest@%",),)
        assert addresses(proxied, "guest") == [address]
    with pytest.raises(pymysql.MySQLError) as e:
        login(proxied, header, "app", "wrong")
    host = "localhost" if address == "127.0.0.1" else address # as a server names it
    assert e.value.args[0] == 1045 and "'app'@'%s'" % host in e.value.args[1]


def test_a_header_may_come_in_pieces(proxied):
    with raw(proxied) as sock:
        for b in v2("192.0.2.7"):
            sock.sendall(bytes([b]))
        greeting(sock)


@pytest.mark.parametrize("header,why", [
    (b"GET / HTTP/1.0\r\n\r\n", "something else than the PROXY header"),
    (b"PROXY TCP4 192.0.2 127.0.0.1 1 2\r\n", "wrong address"),
    (b"PROXY TCP4 " + b"1" * 200, "without an end"),
    (SIGNATURE + b"\x21\x11\x00\x04abcd", "too short"),
    (SIGNATURE + b"\x21\x11\xff\xff", "too long"),
    (SIGNATURE + b"\x51\x11\x00\x0c" + b"x" * 12, "unknown version")])
def test_a_malformed_header_is_refused_clearly(proxied, header, why):
    with raw(proxied) as sock:
        sock.sendall(header)
        code, state, text = error(closed_within(sock, 10)[4:])
        assert (code, state) == (1043, "08S01") and text.startswith("suimon: ") and why in text
    assert why in proxied.log_text()


def test_without_a_header_the_client_is_told_after_handshake_timeout(proxied):
    with raw(proxied) as sock:
        said = closed_within(sock, 15)
        assert "proxy_protocol" in error(said[4:])[2]


def test_nobody_else_may_send_one(suimon):
    """From an address that is not listed a header is no login: it cannot make up an address."""
    s = suimon({"listen": {"proxy_protocol": ["10.0.0.0/8"]}})
    s.connect().close()
    with raw(s) as sock:
        greeting(sock)
        sock.sendall(v1("192.0.2.7"))
        closed_within(sock, 15)
    assert "192.0.2.7" not in s.log_text()


@contextlib.contextmanager
def haproxy(tmp_path, target, option):
    port = servers.free_port()
    path = tmp_path / "haproxy.cfg"
    path.write_text("defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
                    "listen sql\n bind 127.0.0.1:%d\n server s 127.0.0.1:%d %s\n" % (port, target, option))
    binary = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    p = servers.Process("haproxy", [binary, "-db", "-f", str(path)], str(tmp_path / "haproxy.log"))
    p.start()
    try:
        p.wait_ready(lambda: socket.create_connection((servers.LOOPBACK, port), 1).close() or True, 20)
        yield port
    finally:
        p.stop()


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front(proxied, tmp_path, option):
    with haproxy(tmp_path, proxied.mysql_port, option) as port:
        with socket.socket() as sock:
            sock.bind(("127.0.0.77", 0))
            sock.connect((servers.LOOPBACK, port))
            c = pymysql.connect(host=servers.LOOPBACK, user="guest", password="guest", defer_connect=True)
            c.connect(sock)
            assert ask(c, "SELECT 1") == ((1,),)
            assert addresses(proxied, "guest") == ["127.0.0.77"]
            c.close()


# ---- who guesses ----

def guess(s, source):
    with pytest.raises(pymysql.MySQLError) as e:
        login(s, v1(source), "app", "wrong")
    return e.value.args


def test_an_address_that_guesses_is_stopped_and_no_other(proxied):
    codes = [guess(proxied, "192.0.2.66") for _ in range(130)]
    assert [c for c, _ in codes[:100]] == [1045] * 100
    blocked = [text for c, text in codes if c == 1129]
    assert blocked and all(t.startswith("suimon: host '192.0.2.66' is blocked") for t in blocked)
    login(proxied, v1("192.0.2.67"), "app").close()
    assert proxied.metrics()["suimon_auth_throttled_total"] == len(blocked)

    def again():
        login(proxied, v1("192.0.2.66"), "app").close()
        return True
    servers.wait_until("a try to be given back", again, 20, 0.2)
    assert guess(proxied, "192.0.2.66")[0] == 1045  # the login that succeeded has cleared the address


def late(s):
    return s.metrics()["suimon_auth_throttled_total"]


def fails(s):
    with pytest.raises(pymysql.MySQLError) as e:
        s.connect("app", "wrong")
    assert e.value.args[0] == 1045
    return True


def spend(s):
    """All failures of the loopback address; a second gives one back, so several at a time."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        while not late(s):
            assert all(pool.map(lambda _: fails(s), range(4)))


def test_who_guesses_on_loopback_waits_and_keeps_nobody_out(suimon):
    """All applications of a host or pod have that address: one with an old password is told so late, the others log in as ever."""
    s = suimon()
    assert all(fails(s) for _ in range(50)) and not late(s)
    spend(s)
    before, took = late(s), []

    def guess_once(begin):
        fails(s)
        took.append(time.monotonic() - begin)
    guesses = [threading.Thread(target=guess_once, args=(time.monotonic(),)) for _ in range(10)]  # more than were given back since
    for g in guesses:
        g.start()
    servers.wait_until("a guess to be late", lambda: late(s) > before, 30)
    c = s.connect("app", "app")  # past those that wait
    for g in guesses:
        g.join(60)
    assert len(took) == 10 and max(took) >= 0.9
    with pytest.raises(pymysql.MySQLError) as e:
        ask(c, "SELECT nothing_of_the_kind")
    assert e.value.args[0] == 1054
    c.close()
    before = late(s)
    assert any(fails(s) and late(s) > before for _ in range(30))  # the login has given nothing back: it was somebody else's


def test_one_that_waits_for_its_refusal_may_hang_up(suimon):
    s = suimon()
    spend(s)

    def hangs_up():
        with pytest.raises(pymysql.MySQLError) as e:
            pymysql.connect(host=servers.LOOPBACK, port=s.mysql_port, user="app", password="wrong", read_timeout=0.2)
        return e.value.args[0] == 2013
    servers.wait_until("one to be late", hangs_up, 60)
    servers.wait_until("it to be forgotten", lambda: s.metrics()["suimon_client_connections"] == 0, 30)
    s.connect("app", "app").close()
