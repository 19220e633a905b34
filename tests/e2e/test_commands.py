"""P1, P4: the commands beside COM_QUERY: the same packets as direct, or a clear refusal; statements that share and lose servers."""
import struct

import pymysql
import pytest

import servers
from conftest import KIND, mariadb_only, numbers
from wire import FIELD_LIST, MULTI_STATEMENTS, SET_OPTION, STATISTICS, Wire, error

CREATE_DB, DROP_DB, REFRESH, SHUTDOWN, PROCESS_INFO, DEBUG = 0x05, 0x06, 0x07, 0x08, 0x0a, 0x0d
BINLOG_DUMP, TABLE_DUMP, REGISTER_SLAVE, BINLOG_DUMP_GTID = 0x12, 0x13, 0x15, 0x1e


def both(db, proxy, talk, **more):
    with Wire(db.direct(**more)) as w:
        want = talk(w)
    with Wire(proxy.connect(database=db.name, **more)) as w:
        return want, talk(w)


def one(*payload):
    def talk(w):
        w.send(b"".join(p if isinstance(p, bytes) else bytes([p]) for p in payload))
        return w.packet(), w.query("SELECT 5")
    return talk


@pytest.mark.parametrize("payload", [
    (DEBUG,), (REFRESH, 0x01), (SHUTDOWN,), (SHUTDOWN, 0), (CREATE_DB, b"e2e_x"), (DROP_DB, b"e2e_x"), (0x02, b"missing_schema"), (0x0e,), (0x1f,),
    (SET_OPTION, b"\x00\x00"), (SET_OPTION, b"\x01\x00"), (SET_OPTION, b"\x07\x00"),
    pytest.param((SET_OPTION,), marks=mariadb_only("it takes what is too short for a zero"))], ids=str)
def test_one_packet_answers(db, proxy, payload):
    """What an ordinary account may not do it is refused in the server's words."""
    want, got = both(db, proxy, one(*payload))
    assert got == want


def test_field_list_statistics_and_processes(db, proxy):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY DEFAULT 7, v VARCHAR(20))")

    def fields(w):
        w.send(bytes([FIELD_LIST]) + b"t\0")
        first = w.until_eof()
        w.send(bytes([FIELD_LIST]) + b"t\0v%")
        second = w.until_eof()
        w.send(bytes([FIELD_LIST]) + b"none\0")
        return first, second, w.packet(), w.query("SELECT 5")
    want, got = both(db, proxy, fields)
    assert got == want

    def processes(w):
        w.send(bytes([STATISTICS]))
        text = w.packet()
        w.send(bytes([PROCESS_INFO]))
        return text[:6], w.answer()[:5], w.query("SELECT 5")
    want, got = both(db, proxy, processes)
    assert got == want


@pytest.mark.parametrize("command", [BINLOG_DUMP, TABLE_DUMP, REGISTER_SLAVE, BINLOG_DUMP_GTID])
def test_replication_is_refused_in_words(db, proxy, command):
    with Wire(proxy.connect(database=db.name)) as w:
        w.send(bytes([command]) + bytes(10))
        code, state, text = error(w.packet())
        assert (code, state) == (1235, "42000") and text.startswith("suimon: ")
        assert w.query("SELECT 5")[-2] == b"\x015"


def test_an_unknown_command_is_refused(db, proxy):
    with Wire(proxy.connect(database=db.name)) as w:
        w.send(b"\xe0")
        assert error(w.packet())[0] == 1047
        assert w.query("SELECT 5")[-2] == b"\x015"


def test_multi_statements_are_switched_on_and_off(db, proxy):
    def switched(packet):
        # MySQL repeats the warnings of the statement before (docs/servers.md).
        return packet if KIND == "mariadb" else packet[:1] + packet[3:]

    def talk(w):
        answers = [w.query("SELECT 1; SELECT 2")[-1][:3]]
        for option in (0, 1, 0):
            w.send(bytes([SET_OPTION, option, 0]))
            answers += [switched(w.packet()), w.query("SELECT 1; SELECT 2")[-1][:3]]
        w.query("BEGIN")
        w.send(bytes([SET_OPTION, 1, 0]))
        answers += [switched(w.packet()), w.query("SELECT 1; SELECT 2")[-1][:3], w.query("COMMIT"), w.query("SELECT 1; SELECT 2")[-1][:3]]
        return answers
    for flags in (0, MULTI_STATEMENTS):
        want, got = both(db, proxy, talk, client_flag=flags)
        assert got == want


def test_equal_statements_keep_their_own_cursors_and_data(db, proxy):
    """They share a statement of the server until one of them holds a cursor or data there."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t SELECT seq FROM " + numbers(1, 20))

    def talk(w):
        sql = "SELECT id FROM t WHERE id > ? ORDER BY id"
        a, b = w.prepare(sql), w.prepare(sql)
        got = [a.execute((0,), cursor=1), a.fetch(3), b.execute((10,), cursor=1), b.fetch(2), a.fetch(3)]
        c = w.prepare(sql)
        got += [c.execute((18,)), a.fetch(2), b.fetch(2)]
        b.close()
        got += [a.fetch(2), a.reset(), c.execute((19,))]
        if KIND == "mariadb":  # MySQL sends no rows: it goes on with the cursor
            got.append(a.execute((17,)))
        one, two = w.prepare("SELECT CONCAT(?, ?)"), w.prepare("SELECT CONCAT(?, ?)")
        one.long_data(0, b"first")
        two.long_data(0, b"second")
        two.long_data(1, b"-2")
        one.long_data(1, b"-1")
        got += [one.execute((b"", b""), long_data=(0, 1)), two.execute((b"", b""), long_data=(0, 1)), one.execute((b"x", b"y"))]
        return got
    want, got = both(db, proxy, talk)
    assert got == want


def test_columns_that_ddl_changes(db, proxy):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 2)")

    def talk(w):
        w.query("DROP TABLE IF EXISTS d")
        w.query("CREATE TABLE d AS SELECT * FROM t")
        s = w.prepare("SELECT * FROM d")
        got = [s.execute(())]
        for ddl in ("ALTER TABLE d ADD x VARCHAR(9) DEFAULT 'new'", "ALTER TABLE d DROP v", "ALTER TABLE d MODIFY id BIGINT", "DROP TABLE d"):
            w.query(ddl)
            got.append(s.execute(()))
        w.query("CREATE TABLE d (other DATE)")
        return got + [s.execute(())]
    want, got = both(db, proxy, talk)
    assert unflagged(got) == unflagged(want)


def unflagged(answers):
    """Without SERVER_STATUS_METADATA_CHANGED, by which a server says that it itself prepared a statement anew: another
    connection, where suimon did that, knows of no change. The definitions, which follow it, are compared."""
    def plain(packet):
        if packet[:1] == b"\xfe" and len(packet) == 5:
            return packet[:4] + bytes([packet[4] & ~0x04])
        return packet
    return [[plain(p) for p in a] if isinstance(a, list) else a for a in answers]


def prepared_count(cluster):
    return int(cluster.primary.status("Prepared_stmt_count"))


def test_statements_on_a_server_are_bounded(db, suimon, cluster):
    """Eight sessions prepare 200 statements each and close none: one server connection holds 256 at most."""
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    before = prepared_count(cluster)
    wires = [Wire(s.connect(database=db.name)) for _ in range(4)]
    try:
        kept = [[w.prepare("SELECT %d, %d" % (n, i)) for i in range(200)] for n, w in enumerate(wires)]
        assert prepared_count(cluster) - before <= 256
        for n in (0, 3):
            for i in (0, 199):
                assert kept[n][i].execute(())[-2][2:] == struct.pack("<ii" if KIND == "mariadb" else "<qq", n, i)
        assert prepared_count(cluster) - before <= 256
    finally:
        for w in wires:
            w.close()


def test_a_server_without_room_for_statements(db, suimon, cluster):
    """max_prepared_stmt_count is reached by what suimon keeps for others: it closes that, and the client sees nothing of it."""
    s = suimon({"threads": 1, "replicas": []})
    hoarder = Wire(s.connect(database=db.name))
    before = prepared_count(cluster)
    with cluster.primary.root() as root, root.cursor() as cur:
        cur.execute("SELECT @@max_prepared_stmt_count")
        usual = cur.fetchone()[0]
        try:
            for i in range(30):
                hoarder.prepare("SELECT 'kept', %d" % i)
            cur.execute("SET GLOBAL max_prepared_stmt_count = %d" % prepared_count(cluster))
            with Wire(s.connect(database=db.name)) as w:
                w.query("BEGIN")  # on a connection of its own
                assert w.prepare("SELECT 'new', ?").execute((1,))[0] == b"\x02"
            old = hoarder.prepare("SELECT 'kept', 3")
            assert old.execute(())[0] == b"\x02"
            assert s.metrics()["suimon_prepared_no_room_total"] >= 1
            cur.execute("SET GLOBAL max_prepared_stmt_count = 0")
            with pytest.raises(pymysql.MySQLError) as e:
                hoarder.prepare("SELECT 'too many'")
            assert e.value.args[0] == 1461
        finally:
            cur.execute("SET GLOBAL max_prepared_stmt_count = %d" % usual)
    hoarder.close()
    servers.wait_until("its statements to go", lambda: prepared_count(cluster) <= before + 40, 10)
