"""C3, P4: what a client of one form has brought into the cache, and a client of another asks for: with CLIENT_DEPRECATE_EOF and
without, as text and prepared, compressed and not, each gets the packets a server would send it."""
import itertools
import struct

import pytest

from conftest import hits
from servers import wait_until
from test_compression import COMPRESS, ZippedWire
from wire import DEPRECATE_EOF, EXECUTE, PREPARE, QUERY, Wire, error

FORMS = list(itertools.product((False, True), repeat=3))  # new ends of rows, prepared, compressed
NAMES = ["-".join(word for word, on in zip(("new", "prepared", "compressed"), form) if on) or "plain" for form in FORMS]
ROWS = 3


class Client:
    """One of a form. Keeps nothing but what it reads."""

    def __init__(self, connect, form, db):
        self.new, self.prepared, compressed = form
        flags = (DEPRECATE_EOF if self.new else 0) | (COMPRESS if compressed else 0)
        self.wire = (ZippedWire if compressed else Wire)(connect("app", "app", database=db.name, charset="utf8mb4", autocommit=None, client_flag=flags))

    def definitions(self, count):
        got = [self.wire.packet() for _ in range(count)]
        if count and not self.new:
            got.append(self.wire.packet())
            assert got[-1][0] == 0xfe and len(got[-1]) < 9
        return got

    def result(self):
        first = self.wire.packet()
        assert first[0] not in (0x00, 0xff), error(first)
        got = [first] + self.definitions(first[0])
        while True:
            got.append(self.wire.packet())
            if got[-1][0] == 0xfe:
                assert (len(got[-1]) >= 7) == self.new
                return got

    def ask(self, sql):
        """Every packet of the result."""
        if not self.prepared:
            self.wire.send(bytes([QUERY]) + sql.encode())
            return self.result()
        self.wire.send(bytes([PREPARE]) + sql.encode())
        first = self.wire.packet()
        assert first[0] == 0, error(first)
        number, columns, parameters = struct.unpack_from("<xIHH", first)
        self.definitions(parameters)
        self.definitions(columns)
        self.wire.send(bytes([EXECUTE]) + struct.pack("<IBI", number, 0, 1))
        return self.result()


@pytest.fixture
def kept(suimon, db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n BIGINT, v VARCHAR(300), at DATETIME(6), b BLOB)",
             *("INSERT INTO t VALUES (%d, %d, REPEAT('%d', 300), '2026-01-02 03:04:05.678', NULL)" % (i, -i, i) for i in range(ROWS)))
    return suimon({"cache": {"rules": [{"match": {"schema": db.name}, "ttl": "600s"}]}})


@pytest.mark.parametrize("filler", FORMS, ids=NAMES)
def test_each_form_gets_its_own(kept, db, filler):
    direct = {form: Client(db.cluster.primary.connect, form, db) for form in FORMS}
    through = {form: Client(kept.connect, form, db) for form in FORMS}
    for n, form in enumerate(FORMS):
        sql = "SELECT * FROM t WHERE id < 100 + %d ORDER BY id" % n

        def is_hit(client):
            before = hits(kept)
            return through[client].ask(sql) == direct[client].ask(sql) and hits(kept) > before
        wait_until("a hit", lambda: is_hit(filler), 10)
        for _ in range(2):
            assert through[form].ask(sql) == direct[form].ask(sql)
        assert is_hit(form) and is_hit(filler)
        assert len(direct[form].ask(sql)) == 1 + 5 + ROWS + (1 if form[0] else 2)
    for client in itertools.chain(direct.values(), through.values()):
        client.wire.close()
