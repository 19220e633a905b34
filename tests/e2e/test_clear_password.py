"""P1: servers that want the password in clear, as PAM's and Aurora's IAM accounts do: they get it inside TLS, and not without."""
import hashlib
import socket
import ssl
import struct
import threading

import pymysql
import pytest

import servers
from certs import Authority
from conftest import ask, mariadb_only
from liar import Listener, pump

pytestmark = mariadb_only("the server that asks for it logs in by a native password")

TOKEN = "shop.cluster.example:3306/?Action=connect&DBUser=guest&X-Amz-Security-Token=" + "k" * 1500
CLIENT_SSL = 0x800


def packet(payload, seq):
    return len(payload).to_bytes(3, "little") + bytes([seq]) + payload


def read_packet(sock):
    def exactly(n):
        got = b""
        while len(got) < n:
            more = sock.recv(n - len(got))
            if not more:
                raise ConnectionError("the link ended")
            got += more
        return got
    head = exactly(4)
    return exactly(int.from_bytes(head[:3], "little"))


def native(password, scramble):
    once = hashlib.sha1(password).digest()
    mask = hashlib.sha1(scramble + hashlib.sha1(once).digest()).digest()
    return bytes(a ^ b for a, b in zip(once, mask))


class ClearServer(Listener):
    """The real server, but for the logins: it asks for mysql_clear_password, and who has the token is logged in as guest."""

    def __init__(self, port, pair):
        self.target, self.token, self.heard = port, TOKEN, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pair.cert, pair.key)
        super().__init__()

    def serve(self, client):
        try:
            with socket.create_connection((servers.LOOPBACK, self.target), 5) as server:
                server.settimeout(None)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client = self.login(client, server)
                threading.Thread(target=pump, args=(server, client), daemon=True).start()
                pump(client, server)
        except (OSError, ValueError):
            pass
        client.close()

    def login(self, client, server):
        greeting = bytearray(read_packet(server))
        version = greeting.index(b"\0", 1)
        greeting[version + 15] |= CLIENT_SSL >> 8
        client.sendall(packet(greeting, 0))
        login = read_packet(client)
        if len(login) == 32:  # a request for TLS alone
            client = self.context.wrap_socket(client, server_side=True)
            login = read_packet(client)
        seq = 3
        if b"guest\0" in login:
            client.sendall(packet(b"\xfemysql_clear_password\0", seq))
            password = read_packet(client)
            self.heard.append((isinstance(client, ssl.SSLSocket), password))
            seq += 2
            if password != self.token.encode() + b"\0":
                client.sendall(packet(b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied", seq))
                raise ValueError("a wrong token")
            scramble = greeting[version + 5:version + 13] + greeting[version + 32:version + 44]
            at = login.index(b"guest\0") + len("guest\0") + 1
            login = login[:at] + native(b"guest", scramble) + login[at + 20:]
        caps = int.from_bytes(login[:4], "little") & ~CLIENT_SSL
        server.sendall(packet(caps.to_bytes(4, "little") + login[4:], 1))
        client.sendall(packet(read_packet(server), seq))
        return client


@pytest.fixture
def clear(cluster, tmp_path):
    ca = Authority(tmp_path)
    server = ClearServer(cluster.primary.port, ca.issue("server"))
    server.ca, server.client_pair = ca, ca.issue("suimon")
    yield server
    server.listener.close()


def config(clear, mode):
    tls = {"mode": mode, "ca": clear.ca.cert} if mode != "disabled" else {"mode": mode}
    return {"primary": "%s:%d" % (servers.LOOPBACK, clear.port), "replicas": [],
            "listen": {"tls": {"cert": clear.client_pair.cert, "key": clear.client_pair.key}},
            "backend": {"tls": tls}, "users": [{"name": "app", "password": "app"}, {"passthrough": True}]}


def test_a_token_logs_in_and_a_newer_one_too(suimon, clear):
    """As IAM's, which last a quarter of an hour: the client brings its own to each login, and suimon passes it on."""
    s = suimon(config(clear, "verify_identity"))
    for token in (TOKEN, TOKEN[:-1] + "2"):
        clear.token = token
        with s.connect("guest", token, ssl_ca=clear.ca.cert) as c:
            assert ask(c, "SELECT CURRENT_USER()") == (("guest@%",),)
        with pytest.raises(pymysql.MySQLError) as e:
            s.connect("guest", token + "?", ssl_ca=clear.ca.cert)
        assert e.value.args[0] == 1045
    assert clear.heard and all(private for private, _ in clear.heard)


def test_without_tls_it_is_not_given_away(suimon, clear):
    s = suimon(config(clear, "disabled"))
    with pytest.raises(pymysql.MySQLError) as e:
        s.connect("guest", TOKEN, ssl_ca=clear.ca.cert)
    assert "in clear" in str(e.value)
    assert clear.heard == []
