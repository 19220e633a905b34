"""P1, F3: results and statements larger than any buffer stream through, in bounded memory."""
import hashlib
import threading
import time

import pymysql
import pytest

from conftest import ask, numbers
from wire import Wire

MIB = 1024 * 1024


@pytest.fixture
def big(db):
    db.setup("CREATE TABLE big (id INT PRIMARY KEY, d LONGTEXT)",
             "INSERT INTO big SELECT seq, REPEAT(CHAR(64 + seq % 50), 1048576) FROM " + numbers(1, 64))
    return db


def test_a_64_mib_result_streams_in_bounded_memory(big, proxy):
    ask_one(big, proxy, "SELECT 1")
    before = proxy.resident()
    peak = [before]
    done = threading.Event()

    def watch():
        while not done.is_set():
            peak[0] = max(peak[0], proxy.resident())
            time.sleep(0.01)
    thread = threading.Thread(target=watch)
    thread.start()
    total = digest_of(proxy.connect(database=big.name, cursorclass=pymysql.cursors.SSCursor), 0.005)
    done.set()
    thread.join()
    assert total == digest_of(big.direct(cursorclass=pymysql.cursors.SSCursor), 0)
    assert peak[0] - before < 4 * MIB


def ask_one(db, proxy, sql):
    with proxy.connect(database=db.name) as c:
        return ask(c, sql)


def digest_of(connection, pause):
    h = hashlib.sha256()
    with connection as c, c.cursor() as cur:
        cur.execute("SELECT id, d FROM big ORDER BY id")
        for number, text in cur:
            h.update(b"%d" % number + text.encode())
            time.sleep(pause)
    return h.hexdigest()


def test_a_client_that_stops_reading_is_held_back(big, suimon):
    s = suimon()
    with Wire(s.connect(database=big.name)) as w:
        before = s.resident()
        w.send(b"\x03SELECT * FROM big a")
        time.sleep(1)
        assert s.resident() - before < 4 * MIB
        with s.connect(database=big.name) as other:
            assert ask(other, "SELECT 1") == ((1,),)
        assert sum(len(p) for p in w.answer()) > 64 * MIB


@pytest.mark.parametrize("size", [0xffffff - 1000, 0xffffff - 17, 0xffffff - 16, 0xffffff, 20 * MIB, 33 * MIB])
def test_big_statements_and_rows(db, proxy, size):
    """Below, at and above the sizes where a payload takes one more packet."""
    with Wire(proxy.connect(database=db.name)) as w, Wire(db.direct()) as direct:
        sql = b"SELECT LENGTH('" + b"x" * (size - 18) + b"')"
        assert w.query(sql) == direct.query(sql)
        sql = "SELECT REPEAT('y', %d)" % (size - 4)
        assert w.query(sql) == direct.query(sql)
        assert w.query("SELECT 1") == direct.query("SELECT 1")


def test_a_20_mib_insert(db, proxy):
    db.setup("CREATE TABLE b (id INT PRIMARY KEY, d LONGBLOB)")
    data = bytes(range(256)) * (20 * MIB // 256)
    with proxy.connect(database=db.name, max_allowed_packet=64 * MIB) as c:
        ask(c, "INSERT INTO b VALUES (1, _binary %s)", (data,))
        assert ask(c, "SELECT SHA2(d, 256), LENGTH(d) FROM b") == ((hashlib.sha256(data).hexdigest(), len(data)),)
        assert ask(c, "SELECT d FROM b")[0][0] == data


def test_a_prepared_20_mib_value(db, proxy):
    db.setup("CREATE TABLE b (id INT PRIMARY KEY, d LONGBLOB)")
    data = b"\x00\\'" * (7 * MIB)
    with Wire(proxy.connect(database=db.name)) as w:
        s = w.prepare("INSERT INTO b VALUES (?, ?)")
        assert s.execute((1, data))[0][0] == 0
        s.long_data(1, data[:8 * MIB])
        s.long_data(1, data[8 * MIB:])
        assert s.execute((2, b""), long_data=(1,))[0][0] == 0
    assert [r[0] for r in db.primary("SELECT SHA2(d, 256) FROM b")] == [hashlib.sha256(data).hexdigest()] * 2


def test_more_than_the_server_takes_fails_as_on_the_server(db, proxy):
    with proxy.connect(database=db.name, max_allowed_packet=128 * MIB) as c:
        with pytest.raises(pymysql.MySQLError) as e:
            ask(c, "SELECT LENGTH('" + "x" * (65 * MIB) + "')")
        assert e.value.args[0] in (1153, 1927, 2006, 2013)  # the server hangs up in the middle: its word may be lost
    with proxy.connect(database=db.name) as c:
        assert ask(c, "SELECT 1") == ((1,),)


def test_many_small_rows(db, proxy):
    sql = "SELECT seq, seq * 2, CONCAT('row ', seq) FROM " + numbers(1, 200000)
    with Wire(proxy.connect(database=db.name)) as w, Wire(db.direct()) as direct:
        assert w.query(sql) == direct.query(sql)


def test_a_client_that_leaves_in_the_middle_of_a_result(big, proxy):
    for _ in range(3):
        w = Wire(proxy.connect(database=big.name))
        w.send(b"\x03SELECT * FROM big")
        w.packet()
        w.close()
    assert ask_one(big, proxy, "SELECT COUNT(*) FROM big") == ((64,),)
