"""P1, F2: TLS between clients and suimon: who gets in, what is refused, and that nothing waits for a slow handshake."""
import os
import socket
import ssl
import struct
import subprocess
import time

import pymysql
import pytest

import servers
from certs import Authority
from conftest import ask
from wire import Wire, error, read_exactly

CLIENT_SSL, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH = 0x800, 0x200, 0x8000, 0x80000


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(ca):
    return ca.issue("suimon")


def listen(pair, **more):
    tls = {"cert": pair.cert, "key": pair.key}
    tls.update(more.pop("tls", {}))
    return {"listen": dict(more, tls=tls)}


def connect(s, ca, user="app", password=None, **more):
    context = ssl.create_default_context(cafile=ca.cert)
    more.setdefault("ssl", context)
    return pymysql.connect(host=servers.LOOPBACK, port=s.mysql_port, user=user, password=user if password is None else password,
                           **more)


def not_after(p):
    """When the certificate ends, by the openssl program."""
    done = subprocess.run(["openssl", "x509", "-in", p.cert, "-noout", "-enddate"], capture_output=True, text=True, check=True, timeout=60)
    return ssl.cert_time_to_seconds(done.stdout.strip().partition("=")[2])


def metric(s, name):
    return s.metrics()["suimon_" + name]


def greeting(sock):
    """(capabilities, sequence number) of the server's first packet."""
    head = read_exactly(sock, 4)
    p = read_exactly(sock, int.from_bytes(head[:3], "little"))
    at = p.index(b"\0", 1) + 1 + 4 + 8 + 1
    low, = struct.unpack_from("<H", p, at)
    high, = struct.unpack_from("<H", p, at + 5)
    return low | high << 16, head[3]


def ssl_request(seq=1):
    body = struct.pack("<IIB23x", CLIENT_SSL | PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH, 1 << 24, 45)
    return struct.pack("<I", len(body))[:3] + bytes([seq]) + body


def begin(s):
    """A connection that has asked for TLS and now owes a ClientHello."""
    sock = socket.create_connection((servers.LOOPBACK, s.mysql_port), 10)
    caps, _ = greeting(sock)
    assert caps & CLIENT_SSL
    sock.sendall(ssl_request())
    return sock


def closed_within(sock, seconds):
    """The peer ends the connection; what it said before."""
    sock.settimeout(seconds)
    said = b""
    try:
        while True:
            got = sock.recv(4096)
            if not got:
                return said
            said += got
    except ConnectionResetError:
        return said


# ---- who gets in ----

@pytest.mark.parametrize("user", ["app", "guest"])
def test_a_client_logs_in_over_tls(suimon, ca, pair, user):
    s = suimon(listen(pair))
    with connect(s, ca, user) as c:
        assert ask(c, "SELECT CURRENT_USER()") == ((user + "@%",),)
        assert c._sock.version() in ("TLSv1.2", "TLSv1.3")
    with connect(s, ca, user) as c:  # the verifier of the first login makes the second fast
        assert ask(c, "SELECT 1") == ((1,),)
    assert metric(s, "client_tls_total") == 2


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_rows_both_ways_over_tls(suimon, ca, pair, db, version):
    s = suimon(listen(pair))
    context = ssl.create_default_context(cafile=ca.cert)
    context.minimum_version = context.maximum_version = version
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB)")
    blobs = [os.urandom(n) for n in (1, 16383, 16384, 16385, 65536, 5 << 20, 20 << 20)]
    with connect(s, ca, database=db.name, ssl=context, autocommit=True, max_allowed_packet=64 << 20) as c:
        for i, b in enumerate(blobs):
            ask(c, "INSERT INTO t VALUES (%s, _binary %s)", (i, b))
        assert [r[0] for r in ask(c, "SELECT b FROM t ORDER BY id")] == blobs


def test_a_slow_reader_over_tls_gets_every_byte(suimon, ca, pair):
    s = suimon(listen(pair))
    with connect(s, ca) as c:
        w = Wire(c)
        w.send(b"\x03SELECT REPEAT('x', 1000000) UNION ALL SELECT REPEAT('y', 1000000) UNION ALL SELECT REPEAT('z', 9000000)")
        time.sleep(0.5)
        rows = w.answer()
        assert [len(r) for r in rows if len(r) > 1000] == [1000004, 1000004, 9000004]


def test_many_statements_in_one_write_over_tls(suimon, ca, pair):
    """What TLS has decrypted already is not announced by the socket: it must not be forgotten."""
    s = suimon(listen(pair))
    with connect(s, ca) as c:
        w = Wire(c)
        one = b"\x03SELECT 1 /* " + b"x" * 5000 + b" */"
        packet = struct.pack("<I", len(one)) + one
        w.sock.sendall(packet * 100)
        for _ in range(100):
            w.seq = 1
            assert w.answer()[-2] == b"\x011"


def test_the_mariadb_client_and_mysql2_over_tls(suimon, ca, pair, db):
    s = suimon(listen(pair))
    out = subprocess.run(["mariadb", "--no-defaults", "-h", servers.LOOPBACK, "-P", str(s.mysql_port), "-uguest", "-pguest", "--ssl-ca=" + ca.cert,
                          "--ssl-verify-server-cert", "-Nse", "SELECT 40 + 2", "-e", "\\s"],
                         capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr
    assert "42" in out.stdout and "Cipher in use" in out.stdout
    modules = os.path.join(servers.TOP, "build", "node", "node_modules")
    assert os.path.isdir(modules), "deploy/deps --test installs mysql2"
    out = subprocess.run(["node", os.path.join(os.path.dirname(__file__), "node", "mysql2.js"), servers.LOOPBACK, str(s.mysql_port),
                          "guest", "guest", db.name, ca.cert], env=dict(os.environ, NODE_MODULES=modules, TZ="UTC"),
                         capture_output=True, text=True, timeout=120)
    assert out.returncode == 0 and "\npool [1,2," in out.stdout, out.stdout + out.stderr
    assert metric(s, "client_tls_total") >= 2


def test_without_a_certificate_tls_is_not_offered(proxy):
    with socket.create_connection((servers.LOOPBACK, proxy.mysql_port), 10) as sock:
        caps, _ = greeting(sock)
        assert not caps & CLIENT_SSL
        assert "suimon_listen_tls_not_after_timestamp_seconds" not in proxy.metrics()
        sock.sendall(ssl_request())
        closed_within(sock, 10)


def test_require_refuses_plain_logins_with_a_clear_error(suimon, ca, pair, tmp_path):
    path = str(tmp_path / "s.sock")
    port = servers.free_port()
    s = suimon(listen(pair, mysql=["%s:%d" % (servers.LOOPBACK, port), "unix:" + path], tls={"require": True}))
    for user in ("app", "guest"):
        with pytest.raises(pymysql.MySQLError) as e:
            pymysql.connect(host=servers.LOOPBACK, port=port, user=user, password=user)
        assert e.value.args[0] == 3159 and "listen.tls.require" in e.value.args[1]
    pymysql.connect(unix_socket=path, user="guest", password="guest").close()
    context = ssl.create_default_context(cafile=ca.cert)
    pymysql.connect(host=servers.LOOPBACK, port=port, user="guest", password="guest", ssl=context).close()
    assert s.process.alive()


def test_a_ca_asks_clients_for_their_certificate(suimon, ca, pair, tmp_path):
    s = suimon(listen(pair, tls={"ca": ca.cert}))
    mine, strange = ca.issue("client"), Authority(tmp_path, "strange").issue("stranger")
    context = ssl.create_default_context(cafile=ca.cert)
    context.load_cert_chain(mine.cert, mine.key)
    with connect(s, ca, ssl=context) as c:
        assert ask(c, "SELECT 1") == ((1,),)
    with pytest.raises(Exception):
        connect(s, ca)
    context = ssl.create_default_context(cafile=ca.cert)
    context.load_cert_chain(strange.cert, strange.key)
    with pytest.raises(Exception):
        connect(s, ca, ssl=context)
    servers.wait_until("two refusals", lambda: metric(s, "client_tls_failures_total") == 2, 10)
    assert "not accepted" in s.log_text() or "certificate" in s.log_text()


def test_old_versions_are_refused(suimon, ca, pair):
    s = suimon(listen(pair))
    context = ssl.create_default_context(cafile=ca.cert)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(Exception):
        connect(s, ca, ssl=context)
    with connect(s, ca) as c:
        assert ask(c, "SELECT 1") == ((1,),)


# ---- new certificates ----

def test_a_reload_takes_new_certificates(suimon, ca, pair, tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")

    def put(p):
        for a, b in ((p.cert, cert), (p.key, key)):
            with open(a) as src, open(b, "w") as dst:
                dst.write(src.read())

    def told():
        return metric(s, "listen_tls_not_after_timestamp_seconds")

    put(pair)
    s = suimon({"listen": {"tls": {"cert": cert, "key": key}}})
    assert told() == not_after(pair)
    old = connect(s, ca)
    number = old._sock.getpeercert()["serialNumber"]
    other = ca.issue("renewed", days=90)
    put(other)
    assert not_after(other) != not_after(pair)
    s.http("/api/config/reload", method="POST")

    def renewed():
        with connect(s, ca) as c:
            return c._sock.getpeercert()["serialNumber"] != number
    servers.wait_until("the new certificate", renewed, 10)
    assert told() == not_after(other)
    assert ask(old, "SELECT 1") == ((1,),)
    with open(key, "w") as f:  # a reload that cannot work changes nothing
        f.write(open(pair.key).read())
    status, text = s.http("/api/config/reload", method="POST")
    assert status == 409 and "listen.tls.key" in text and "does not belong to the certificate" in text
    assert told() == not_after(other)
    connect(s, ca).close()
    old.close()


def test_check_finds_a_key_that_does_not_match(ca, pair, tmp_path):
    other = ca.issue("other")
    path = tmp_path / "suimon.yaml"
    path.write_text("primary: 127.0.0.1:3306\nlisten:\n  tls:\n    cert: %s\n    key: %s\n" % (pair.cert, other.key))
    done = subprocess.run([servers.find_suimon(), "check", "-c", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("%s:5: listen.tls.key: %s: does not belong to the certificate, allowed is" % (path, other.key))


# ---- hostile handshakes ----

def test_a_client_that_says_nothing_is_dropped_at_handshake_timeout(suimon, ca, pair):
    s = suimon(listen(pair, handshake_timeout="500ms"))
    with socket.create_connection((servers.LOOPBACK, s.mysql_port), 10) as plain, begin(s) as asked, begin(s) as half:
        greeting(plain)
        half.sendall(b"\x16\x03\x01\x02\x00\x01")
        for sock in (plain, asked, half):
            closed_within(sock, 10)
    with connect(s, ca) as c:
        assert ask(c, "SELECT 1") == ((1,),)


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"A" * 70000, b"\0" * 4096,
                                     b"\x15\x03\x03\x00\x02\x02\x28"])
def test_garbage_instead_of_a_client_hello(suimon, ca, pair, garbage):
    s = suimon(listen(pair))
    with connect(s, ca) as bystander:
        with begin(s) as sock:
            try:
                sock.sendall(garbage)
            except OSError:
                pass
            closed_within(sock, 10)
        assert ask(bystander, "SELECT 1") == ((1,),)
    assert metric(s, "client_tls_failures_total") == 1
    assert "a TLS handshake failed" in s.log_text()


def test_a_handshake_cut_at_every_step(suimon, ca, pair):
    """Flights of a real client, cut after each; and sent in single bytes they still make a handshake."""
    s = suimon(listen(pair))
    context = ssl.create_default_context(cafile=ca.cert)
    for cut in (1, 5, 100, 250):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        with begin(s) as sock:
            sock.sendall(hello[:cut])
    with begin(s) as sock:  # after the server's flight
        sock.sendall(hello)
        assert sock.recv(100)
    servers.wait_until("the failures", lambda: metric(s, "client_tls_failures_total") == 5, 10)
    with begin(s) as sock:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                for b in outgoing.read():
                    sock.sendall(bytes([b]))
                incoming.write(sock.recv(65536))
        assert client.version() == "TLSv1.3"


def test_the_request_and_the_hello_in_one_write(suimon, ca, pair):
    """What follows the request in clear is the handshake, never a statement or a login."""
    s = suimon(listen(pair))
    context = ssl.create_default_context(cafile=ca.cert)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with socket.create_connection((servers.LOOPBACK, s.mysql_port), 10) as sock:
        greeting(sock)
        sock.sendall(ssl_request() + outgoing.read())
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65536))
    with socket.create_connection((servers.LOOPBACK, s.mysql_port), 10) as sock:
        greeting(sock)
        login = struct.pack("<IIB23x", PROTOCOL_41 | SECURE_CONNECTION, 1 << 24, 45) + b"app\0\0"
        sock.sendall(ssl_request() + struct.pack("<I", len(login))[:3] + b"\2" + login)
        assert not closed_within(sock, 10).count(b"Access denied")


def test_a_second_request_for_tls_inside_tls_is_refused(suimon, ca, pair):
    s = suimon(listen(pair))
    context = ssl.create_default_context(cafile=ca.cert)
    with begin(s) as raw, context.wrap_socket(raw, server_hostname="localhost") as sock:
        sock.sendall(ssl_request(2))
        sock.settimeout(10)
        said = sock.recv(4096)
        assert said == b"" or error(said[4:])[0] == 1043


def test_renegotiation_is_refused(suimon, ca, pair):
    s = suimon(listen(pair))
    p = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (servers.LOOPBACK, s.mysql_port), "-starttls", "mysql", "-tls1_2",
                        "-CAfile", ca.cert], input="R\n", capture_output=True, text=True, timeout=30)
    text = p.stdout + p.stderr
    assert "RENEGOTIATING" in text and ("no renegotiation" in text or "handshake failure" in text or "alert" in text), text
    connect(s, ca).close()
