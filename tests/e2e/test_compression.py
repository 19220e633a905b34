"""P1, F2: a client that compresses sees what one that does not sees; what lies about its length ends its own session only."""
import os
import struct
import subprocess
import zlib

import pytest

from conftest import ask, numbers
from servers import LOOPBACK
from wire import MAX_PAYLOAD, MULTI_STATEMENTS, SET_OPTION, Wire, read_exactly

COMPRESS = 32


class Zipped:
    """A socket whose bytes pass in compressed packets. Their numbers are checked."""

    def __init__(self, sock):
        self.sock, self.seq, self.plain, self.packed = sock, 0, b"", 0

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def close(self):
        self.sock.close()

    def packet(self, part, seq):
        body = zlib.compress(part) if len(part) >= 50 else part
        size = len(part) if len(part) >= 50 else 0
        return struct.pack("<I", len(body))[:3] + bytes([seq & 0xff]) + struct.pack("<I", size)[:3] + body

    def sendall(self, data, piece=1 << 20):
        self.seq = 0
        for at in range(0, len(data), piece):
            self.sock.sendall(self.packet(data[at:at + piece], self.seq))
            self.seq += 1

    def recv(self, count):
        while not self.plain:
            head = read_exactly(self.sock, 7)
            assert head[3] == self.seq & 0xff, "compressed packet %d, expected %d" % (head[3], self.seq)
            self.seq += 1
            body = read_exactly(self.sock, int.from_bytes(head[:3], "little"))
            size = int.from_bytes(head[4:], "little")
            self.plain = zlib.decompress(body) if size else body
            assert size in (0, len(self.plain))
            self.packed += bool(size)
        data, self.plain = self.plain[:count], self.plain[count:]
        return data


class ZippedWire(Wire):
    """Inside compressed packets the numbers of the packets mean nothing: a server counts there as it likes."""

    def __init__(self, connection):
        super().__init__(connection)
        self.sock = Zipped(connection._sock)

    def packet(self):
        whole = bytearray()
        while True:
            size = int.from_bytes(read_exactly(self.sock, 4)[:3], "little")
            whole += read_exactly(self.sock, size)
            if size < MAX_PAYLOAD:
                return bytes(whole)


def connect(where, db, **more):
    more.setdefault("client_flag", COMPRESS)
    return ZippedWire(where(database=db.name, autocommit=None, **more))


@pytest.fixture
def sides(db, proxy):
    def direct(**more):
        return db.cluster.primary.connect("app", "app", charset="utf8mb4", **more)
    return direct, proxy.connect


def both(db, sides, talk, **more):
    got = []
    for where in sides:
        with connect(where, db, **more) as w:
            got.append(talk(w))
    return got


def test_same_packets(db, proxy, sides):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)", "INSERT INTO t SELECT seq, REPEAT('v', seq) FROM " + numbers(1, 2000))

    def talk(w):
        answers = [w.query(q) for q in ("SELECT 1", "SELECT * FROM t ORDER BY id", "SELEKT", "SELECT REPEAT('x', 3000000)", "DO 1",
                                        "SELECT 1; SELECT REPEAT('y', 100); SELECT 2", "SELECT '%s'" % ("long " * 400000))]
        s = w.prepare("SELECT ?, LENGTH(?)")
        answers += [s.execute(("a" * 100, "b" * 2000000)), s.execute((1, None))]
        s.long_data(1, b"c" * 100000)
        answers.append(s.execute(("z", b""), long_data=(1,)))
        assert w.sock.packed, "nothing came compressed"
        return answers
    before = proxy.metrics()["suimon_client_compressed_total"]
    want, got = both(db, sides, talk, client_flag=COMPRESS | MULTI_STATEMENTS)
    for w, g in zip(want, got):
        assert g == w
    assert proxy.metrics()["suimon_client_compressed_total"] == before + 1


def test_packets_of_more_than_16_mb(db, sides):
    def talk(w):
        return [[len(p) for p in w.query("SELECT LENGTH('%s')" % ("m" * (17 << 20)))], [len(p) for p in w.query("SELECT REPEAT('n', 17 << 20)")],
                w.query("SELECT 5")]
    want, got = both(db, sides, talk)
    assert got == want


def test_the_numbers_inside_mean_nothing(db, sides):
    """As to a server: some drivers count on from one command to the next."""
    def talk(w):
        answers = []
        for n, sql in enumerate(("SELECT 1", "SELECT '%s'" % ("x" * 100000), "SELECT LENGTH('%s')" % ("m" * (17 << 20)), "SELECT 2")):
            w.send(b"\x03" + sql.encode(), seq=5 * n + 3)
            answers.append([len(p) for p in w.answer()])
        return answers
    want, got = both(db, sides, talk)
    assert got == want


def test_bytes_that_come_one_by_one(db, proxy):
    with connect(proxy.connect, db) as w:
        out = w.sock.packet(struct.pack("<I", 60)[:3] + b"\0\x03" + b"SELECT 5".ljust(59), 0)
        for byte in out:
            w.sock.sock.sendall(bytes([byte]))
        w.sock.seq = 1
        assert w.answer()[-2] == b"\x015"


@pytest.mark.parametrize("junk", [
    b"\x04\0\0\0\x40\0\0junk", b"\0\0\0\0\0\0\0", struct.pack("<I", 30)[:3] + b"\0\x05\0\0" + zlib.compress(b"x" * 5000),
    struct.pack("<I", len(zlib.compress(bytes(1 << 20))))[:3] + b"\0\xff\xff\xff" + zlib.compress(bytes(1 << 20)) + b"\x01\0\0\1\0\0\0x"])
def test_what_lies_ends_its_own_session_only(db, proxy, junk):
    with connect(proxy.connect, db) as w, proxy.connect(database=db.name) as other:
        w.sock.sock.sendall(junk)
        w.sock.sock.settimeout(10)
        try:
            while w.sock.sock.recv(1000):
                pass
        except ConnectionError:
            pass
        assert ask(other, "SELECT 5") == ((5,),)


def test_a_client_that_sets_an_option_has_servers_that_compress_yet(suimon, db):
    """`backend.compress: client`: its connections compress as it does, also those that it gets after COM_SET_OPTION."""
    s = suimon({"replicas": [], "backend": {"compress": "client"}})
    with connect(s.connect, db) as w:
        for option in (None, 0, 1, 0):
            if option is not None:
                w.send(bytes([SET_OPTION, option, 0]))
                w.packet()
            assert w.query("SHOW STATUS LIKE 'Compression'")[-2] == b"\x0bCompression\x02ON"


def test_the_mariadb_client_compresses(db, proxy):
    script = "SELECT 1; CREATE TABLE c (x LONGTEXT); INSERT INTO c VALUES (REPEAT('q', 100000)); SELECT SHA2(x, 256), LENGTH(x) FROM c; SELECT x FROM c;" \
             "DROP TABLE c; SHOW TABLES; SHOW STATUS LIKE 'Compression';"

    def run(port):
        done = subprocess.run(["mariadb", "--no-defaults", "--compress", "-h", LOOPBACK, "-P", str(port), "-uapp", "-papp", db.name], input=script,
                              capture_output=True, text=True, timeout=60, env=dict(os.environ, LANG="C.UTF-8"))
        assert done.returncode == 0, done.stderr
        return done.stdout
    got = run(proxy.mysql_port)
    assert got == run(db.cluster.primary.port) and "Compression\tON" in got  # towards the server, too


def test_switched_off_towards_servers(suimon, db):
    """backend.compress: off. With the default a client that does not compress has plain connections, whoever else does."""
    status = "SHOW STATUS LIKE 'Compression'"
    off = suimon({"backend": {"compress": "off"}}, name="off")
    with connect(off.connect, db) as w:
        assert any(b"OFF" in p for p in w.query(status))
    default = suimon(name="default")
    with connect(default.connect, db) as w, default.connect(database=db.name) as plain:
        assert any(b"ON" in p for p in w.query(status))
        assert ask(plain, status)[0][1] == "OFF"
