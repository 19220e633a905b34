"""P1, R4: TLS, plugins and sockets between suimon and its servers: what each mode insists on, and what it refuses."""
import socket
import struct
import threading
import time

import pymysql
import pytest
from pymysql.constants import COMMAND

import servers
from certs import Authority
from conftest import ask

PASSWORDS = ["x", "secret", "a password of 32 bytes, no more.", "p" * 33, "q" * 200]  # an empty one MariaDB's plugin refuses
MONITOR = {"user": "monitor", "password": "monitor", "interval": "200ms"}


class World:
    """Servers with a certificate for their address, without one, and with another host's; and who logs in there."""

    def __init__(self, base, ca):
        good, wrong = ca.issue("good"), ca.issue("wrong", "DNS:elsewhere.example")
        self.tls = servers.MariaDB(base, "tls", 11, ["--ssl-cert=" + good.cert, "--ssl-key=" + good.key])
        self.plain = servers.MariaDB(base, "plain", 12)
        self.wrong = servers.MariaDB(base, "wrong", 13, ["--ssl-cert=" + wrong.cert, "--ssl-key=" + wrong.key])
        self.all = (self.tls, self.plain, self.wrong)

    def start(self):
        self.tls.install()
        for s in self.all[1:]:
            s.install(self.tls)
        for s in self.all:
            s.start()
            s.sql(*servers.ACCOUNTS)
        self.tls.sql("INSTALL SONAME 'auth_ed25519'")
        for password in PASSWORDS:
            self.tls.sql("CREATE USER ed%d@'%%' IDENTIFIED VIA ed25519 USING PASSWORD('%s')" % (len(password), password))

    def stop(self):
        for s in self.all:
            s.stop()


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def world(tmp_path_factory, ca):
    base = tmp_path_factory.mktemp("world")
    w = World(str(base), ca)
    try:
        w.start()
        yield w
    finally:
        w.stop()


def config(server, mode=None, ca=None, **more):
    tls = {} if mode is None else {"mode": mode}
    if ca is not None:
        tls["ca"] = ca.cert
    base = {"primary": server if isinstance(server, str) else "%s:%d" % (servers.LOOPBACK, server.port), "threads": 1,
            "backend": {"monitor": MONITOR, "tls": tls, "failover_hold": "1s", "connect_timeout": "2s"},
            "users": [{"name": "app", "password": "app"}, {"passthrough": True}], "drain_timeout": "5s"}
    base.update(more)
    return base


def cipher(c):
    return ask(c, "SHOW STATUS LIKE 'Ssl_cipher'")[0][1]


@pytest.mark.parametrize("mode", [None, "preferred", "required", "verify_ca", "verify_identity"])
def test_with_a_good_certificate_every_mode_encrypts(suimon, world, ca, mode):
    s = suimon(base=config(world.tls, mode, ca if mode and mode.startswith("verify") else None))
    for user in ("app", "guest"):
        with s.connect(user, user) as c:
            assert cipher(c) != ""
    assert s.metrics()["suimon_upstream_tls_total"] >= 2


def test_a_statement_whose_client_is_gone_ends_on_the_server(suimon, world):
    """P1: a server that waits for a lock looks whether its client is still there: it must not take TLS's farewell for a sign of life."""
    s = suimon(base=config(world.tls))
    waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT GET_LOCK(%'"
    with s.connect("guest", "guest") as holder:
        ask(holder, "SELECT GET_LOCK('gone', 1)")
        gone = s.connect("guest", "guest")
        gone._execute_command(COMMAND.COM_QUERY, "SELECT GET_LOCK('gone', 600)")
        servers.wait_until("it to wait", lambda: world.tls.sql(waits)[0][0] == 1, 30)
        gone._force_close()
        servers.wait_until("it to end", lambda: world.tls.sql(waits)[0][0] == 0, 60)


def test_every_background_connection_is_encrypted_too(suimon, world, ca):
    """Monitor, catalog and drain: an account that the server lets in by TLS alone serves them."""
    world.tls.sql("CREATE OR REPLACE USER sslonly@'%' IDENTIFIED BY 's' REQUIRE SSL",
                  "GRANT ALL ON *.* TO sslonly@'%'", "CREATE DATABASE IF NOT EXISTS bg",
                  "CREATE OR REPLACE TABLE bg.log (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT)")
    base = config(world.tls, "verify_identity", ca)
    base["backend"]["monitor"] = {"user": "sslonly", "password": "s", "interval": "200ms"}
    s = suimon({"queue": {"user": {"name": "sslonly", "password": "s"},
                          "rules": [{"match": {"table": "bg.log", "verb": "insert"}}]}}, base=base)
    with s.connect("sslonly", "s") as c:
        ask(c, "INSERT INTO bg.log (t) VALUES ('queued')")
    servers.wait_until("the drain", lambda: world.tls.sql("SELECT COUNT(*) FROM bg.log")[0][0] == 1, 20)
    assert s.api("/api/backends")["backends"][0]["state"] == "up"


def test_disabled_and_servers_without_tls_go_in_clear(suimon, world):
    for server, mode in ((world.tls, "disabled"), (world.plain, None), (world.plain, "preferred")):
        s = suimon(base=config(server, mode), name="clear_%s_%s" % (server.server_id, mode))
        with s.connect("guest", "guest") as c:
            assert cipher(c) == ""


def refusal(suimon, world_server, mode, ca, **more):
    s = suimon(base=config(world_server, mode, ca, **more), ready=False)
    with pytest.raises(pymysql.MySQLError) as e:
        with s.connect() as c:
            ask(c, "SELECT 1")
    assert e.value.args[1].startswith("suimon: ")
    return s, e.value.args


@pytest.mark.parametrize("mode", ["required", "verify_ca", "verify_identity"])
def test_a_server_without_tls_is_refused_where_it_is_insisted_on(suimon, world, ca, mode):
    s, (code, text) = refusal(suimon, world.plain, mode, ca)
    assert "TLS" in text
    assert world.plain.sql("SELECT COUNT(*) FROM information_schema.processlist WHERE user IN ('monitor', 'app')") == ((0,),)


def test_a_certificate_of_another_authority_is_refused(suimon, world, tmp_path):
    other = Authority(tmp_path, "other")
    for mode in ("verify_ca", "verify_identity"):
        s, (code, text) = refusal(suimon, world.tls, mode, other)
        assert "certificate" in text and "authority" in text or "self-signed" in text or "issuer" in text, text
    with suimon(base=config(world.tls, "required", other)).connect() as c:
        assert cipher(c) != ""


def test_a_certificate_of_another_host_passes_only_where_names_are_not_compared(suimon, world, ca):
    with suimon(base=config(world.wrong, "verify_ca", ca)).connect() as c:
        assert cipher(c) != ""
    s, (code, text) = refusal(suimon, world.wrong, "verify_identity", ca)
    assert "mismatch" in text or "Validation of SSL server certificate failed" in text, text


@pytest.mark.parametrize("password", PASSWORDS, ids=len)
@pytest.mark.parametrize("how", ["passthrough", "configured"])
def test_ed25519_accounts_log_in(suimon, world, password, how):
    user = "ed%d" % len(password)
    more = {"users": [{"name": user, "password": password}]} if how == "configured" else {}
    s = suimon(base=config(world.tls, **more))
    for _ in range(2):
        with s.connect(user, password) as c:
            assert ask(c, "SELECT CURRENT_USER()") == ((user + "@%",),)
    with pytest.raises(pymysql.MySQLError) as e:
        s.connect(user, password + "?")
    assert e.value.args[0] == 1045


def test_a_server_behind_a_unix_socket(suimon, world):
    for mode in (None, "verify_identity"):
        s = suimon(base=config("unix:" + world.tls.socket, mode), name="socket_%s" % mode)
        with s.connect("guest", "guest") as c:
            assert cipher(c) == ""
            assert ask(c, "SELECT 1") == ((1,),)
        assert s.api("/api/backends")["backends"][0]["state"] == "up"


class WithoutTls:
    """Greets whoever connects as a MariaDB without TLS does, and keeps what it is sent."""

    def __init__(self):
        self.listener = socket.create_server((servers.LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.greeted, self.heard = 0, []
        threading.Thread(target=self.accept, daemon=True).start()

    @staticmethod
    def greeting():
        caps = 0xffffffff & ~(1 << 11) & ~1
        p = b"\x0a5.5.5-10.11.6-MariaDB\0" + struct.pack("<I", 7) + b"abcdefgh\0" + struct.pack("<HBHH", caps & 0xffff, 45, 2, caps >> 16)
        p += bytes([21]) + bytes(10) + b"ijklmnopqrst\0mysql_native_password\0"
        return struct.pack("<I", len(p)) + p

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            self.greeted += 1
            greeting = self.greeting()
            for at in range(0, len(greeting), 30):
                client.sendall(greeting[at:at + 30])
                time.sleep(0.01)
            client.settimeout(20)
            heard = client.recv(1000)
            if heard:
                self.heard.append(heard)
        except OSError:
            pass
        client.close()


@pytest.mark.parametrize("mode", ["required", "verify_ca"])
def test_nothing_of_a_login_reaches_a_server_without_tls(suimon, world, ca, tmp_path, mode):
    """Monitor, catalog, drain and workers: the greeting says that there is no TLS, and not a byte follows it."""
    fake = WithoutTls()
    try:
        s = suimon({"queue": {"user": {"name": "app", "password": "app"}, "rules": [{"match": {"table": "x.y", "verb": "insert"}}]}},
                   base=config("%s:%d" % (servers.LOOPBACK, fake.port), mode, ca), ready=False)
        with pytest.raises(pymysql.MySQLError) as e:
            with s.connect() as c:
                ask(c, "SELECT 1")
        assert "TLS" in e.value.args[1]
        servers.wait_until("more attempts", lambda: fake.greeted >= 12, 40)
        assert fake.heard == []
        assert "which backend.tls.mode insists on" in s.log_text()
    finally:
        fake.listener.close()


# ---- caching_sha2_password with a server that has it: another suimon, whose pass-through asks for nothing else ----

@pytest.mark.parametrize("how", ["tls", "rsa", "unix"])
def test_the_full_exchange_with_a_server(suimon, world, ca, tmp_path, how):
    pair = ca.issue("inner")
    path, port = str(tmp_path / "inner.sock"), servers.free_port()
    listen = {"mysql": ["%s:%d" % (servers.LOOPBACK, port), "unix:" + path]}
    if how == "tls":
        listen["tls"] = {"cert": pair.cert, "key": pair.key, "require": True}
    inner = suimon(base=config(world.tls, users="passthrough", listen=listen), name="inner", ready=False)
    servers.wait_until("the inner", lambda: pymysql.connect(unix_socket=path, user="monitor", password="monitor").close() or True, 20)
    where = "unix:" + path if how == "unix" else "%s:%d" % (servers.LOOPBACK, port)
    mode = {"tls": "verify_identity", "rsa": "disabled", "unix": None}[how]
    slowly = {"backend": {"failover_hold": "60s", "connect_timeout": "60s"}}  # the inner makes its RSA key first
    outer = suimon(slowly, base=config(where, mode, ca if how == "tls" else None), name="outer")
    for _ in range(2):
        with outer.connect("guest", "guest") as c:
            assert ask(c, "SELECT CURRENT_USER()") == (("guest@%",),)
    with pytest.raises(pymysql.MySQLError) as e:
        outer.connect("guest", "wrong")
    assert e.value.args[0] == 1045
    assert (inner.metrics()["suimon_client_tls_total"] > 0) == (how == "tls")
