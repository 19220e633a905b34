"""P1: between suimon and its servers packets may be compressed (backend.compress); clients see what they see without."""
import socket
import threading

import pymysql
import pytest

from conftest import KIND, ask, numbers, schema_is_known, who
from liar import Liar, Listener, pump
from servers import LOOPBACK, wait_until
from wire import MULTI_STATEMENTS, Wire

COMPRESS, ZSTD = 1 << 5, 1 << 26
KINDS = ["zlib", "zstd"]


class Ear(Listener):
    """A relay that keeps the capabilities of every login that passes."""

    def __init__(self, port):
        self.target, self.logins = port, []
        super().__init__()

    def serve(self, client):
        try:
            server = socket.create_connection((LOOPBACK, self.target), 5)
            server.settimeout(None)
            threading.Thread(target=pump, args=(server, client), daemon=True).start()
            login = client.recv(65536)
            if login: # some only look at the greeting
                self.logins.append(int.from_bytes(login[4:8], "little"))
            server.sendall(login)
            pump(client, server)
        except OSError:
            client.close()

    def close(self):
        self.listener.close()


@pytest.fixture(params=KINDS)
def packed(request, suimon):
    return suimon({"backend": {"compress": request.param}})


def compression(c):
    return ask(c, "/* suimon: primary */ SHOW STATUS LIKE 'Compression'")[0][1]


def both(db, packed, talk, **more):
    got = []
    for connection in (db.direct(**more), packed.connect(database=db.name, **more)):
        with Wire(connection) as w:
            got.append(talk(w))
    return got


def test_it_is_compressed_and_counted(packed, proxy, db):
    before = proxy.metrics()["suimon_upstream_compressed_total"]
    with packed.connect(database=db.name) as c, proxy.connect(database=db.name) as other:
        assert (compression(c), compression(other)) == ("ON", "OFF")
        wait_until("a read on the replica", lambda: who(c) == "replica", 30)
    assert packed.metrics()["suimon_upstream_compressed_total"] >= 2
    assert proxy.metrics()["suimon_upstream_compressed_total"] == before


def test_same_packets_with_the_same_numbers(packed, db):
    """A server numbers the packets that it packs as it likes: the client's must be 1, 2, 3 (wire.py looks)."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)", "INSERT INTO t SELECT seq, REPEAT('v', seq) FROM " + numbers(1, 2000),
             "CREATE PROCEDURE three() BEGIN SELECT 1; SELECT * FROM t; SELECT 3; END")

    def talk(w):
        answers = [w.query(q) for q in ("SELECT 1", "SELECT * FROM t ORDER BY id", "SELEKT", "SELECT REPEAT('x', 3000000)", "DO 1", "CALL three()",
                                        "SELECT 1; SELECT REPEAT('y', 100); SELECT * FROM t; SELECT 2", "SELECT '%s'" % ("long " * 400000))]
        s = w.prepare("SELECT ?, LENGTH(?)")
        answers += [s.execute(("a" * 100, "b" * 2000000)), s.execute((1, None))]
        s.long_data(1, b"c" * 100000)
        answers.append(s.execute(("z", b""), long_data=(1,)))
        s = w.prepare("SELECT * FROM t WHERE id < ? ORDER BY id")
        answers += [s.execute((100,), cursor=1), s.fetch(3), s.fetch(1000)]
        if KIND == "mariadb":  # MySQL 9.7 executes none without a cursor that had one (docs/servers.md)
            answers.append(s.execute((5,)))
        s.close()
        return answers + [w.query("SELECT 5")]
    want, got = both(db, packed, talk, client_flag=MULTI_STATEMENTS)
    for w, g in zip(want, got):
        assert g == w


@pytest.mark.parametrize("lie", [b"\x05\x00\x00\x01\x40\x00\x00 lies", b"\x05\x00\x00\x00\xff\xff\xff lies"])
def test_what_cannot_be_unpacked_is_counted_as_malformed(suimon, cluster, db, lie):
    """F2: by the server's side of the count; the session hears of a lost connection, and no other does."""
    liar = Liar(cluster.primary.port)
    liar.lies["packed"] = lie
    s = suimon({"primary": "127.0.0.1:%d" % liar.port, "replicas": [], "backend": {"compress": "zlib", "tls": {"mode": "disabled"}}})
    counted = 'suimon_malformed_packets_total{side="server"}'
    try:
        with s.connect(database=db.name) as other:
            assert compression(other) == "ON" and s.metrics()[counted] == 0
            with pytest.raises(pymysql.MySQLError):
                ask(s.connect(database=db.name), "DO 'lie packed'")
            wait_until("it to be counted", lambda: s.metrics()[counted] == 1, 30)
            assert ask(other, "SELECT 5") == ((5,),)
    finally:
        liar.close()


def test_packets_of_more_than_16_mb(packed, db):
    def talk(w):
        return [[len(p) for p in w.query("SELECT LENGTH('%s')" % ("m" * (17 << 20)))], [len(p) for p in w.query("SELECT REPEAT('n', 17 << 20)")],
                w.query("SELECT 5")]
    want, got = both(db, packed, talk)
    assert got == want


def test_a_local_file(packed, db, cluster, tmp_path):
    """The numbers go on through the server's request, the file and the answer."""
    if KIND == "mysql":
        cluster.primary.sql("SET GLOBAL local_infile = ON")
    db.setup("CREATE TABLE f (id INT PRIMARY KEY, v VARCHAR(100))")
    (tmp_path / "f").write_text("".join("%d\t%s\n" % (n, "v" * 90) for n in range(20000)))
    with packed.connect(database=db.name, local_infile=True) as c, c.cursor() as cur:
        assert cur.execute("LOAD DATA LOCAL INFILE '%s' INTO TABLE f" % (tmp_path / "f")) == 20000
        c.commit()
        assert ask(c, "SELECT COUNT(*), MAX(v) FROM f") == ((20000, "v" * 90),)


def test_background_connections_are_compressed_too(suimon, cluster, db):
    """Monitor, catalog, drain: every login that comes asks for it. Theirs is libmariadb's, which has zlib alone."""
    db.setup("CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT)")
    ear = Ear(cluster.primary.port)
    try:
        s = suimon({"primary": "%s:%d" % (LOOPBACK, ear.port), "backend": {"compress": "zlib", "tls": {"mode": "disabled"}},
                    "queue": {"rules": [{"match": {"table": db.name + ".log", "verb": "insert"}}]}})
        schema_is_known(s)
        with s.connect(database=db.name) as c:
            ask(c, "INSERT INTO log (t) VALUES ('%s')" % ("q" * 5000))
        wait_until("the drain", lambda: db.primary("SELECT COUNT(*) FROM log")[0][0] == 1, 30)
        assert len(ear.logins) >= 4, "monitor, catalog, drain and a worker"
        assert all(caps & COMPRESS for caps in ear.logins)
    finally:
        ear.close()


def test_a_server_that_lacks_zstd_gets_zlib(suimon, cluster, db):
    ear = Ear(cluster.primary.port)
    try:
        s = suimon({"primary": "%s:%d" % (LOOPBACK, ear.port), "backend": {"compress": "zstd", "tls": {"mode": "disabled"}}})
        with s.connect(database=db.name) as c:
            assert compression(c) == "ON"
        asked = {caps & (COMPRESS | ZSTD) for caps in ear.logins}
        assert asked == ({COMPRESS} if KIND == "mariadb" else {COMPRESS, ZSTD})
    finally:
        ear.close()
