"""What only MySQL has: its logins, its GTIDs with their tags, query attributes, and what it offers that suimon does not."""
import socket
import struct

import pymysql
import pytest

from conftest import ask, mysql_only, who
from servers import LOOPBACK, sum_metric, wait_until
from wire import EXECUTE, QUERY, Wire, error, lenenc_text

pytestmark = mysql_only("its logins, GTIDs and capabilities")

OPTIONAL_RESULTSET_METADATA, QUERY_ATTRIBUTES = 1 << 25, 1 << 27
MULTI_FACTOR_AUTHENTICATION = 1 << 28  # nobody here would honour it


def greeting(port):
    """(version, capabilities) of a server's first packet."""
    with socket.create_connection((LOOPBACK, port), 5) as s:
        data = s.recv(4096)[4:]
    end = data.index(b"\0", 1)
    at = end + 1 + 4 + 8 + 1
    low, _, _, high = struct.unpack_from("<HBHH", data, at)
    return data[1:end].decode(), low | high << 16


def test_the_greeting_is_the_primarys_and_offers_no_more_than_is_kept(proxy, cluster):
    version, caps = greeting(proxy.mysql_port)
    real_version, real = greeting(cluster.primary.port)
    assert version == real_version
    assert real & MULTI_FACTOR_AUTHENTICATION and not caps & MULTI_FACTOR_AUTHENTICATION
    forms = OPTIONAL_RESULTSET_METADATA | QUERY_ATTRIBUTES
    assert real & forms == caps & forms == forms


@pytest.mark.parametrize("mode", ["disabled", "required"])
@pytest.mark.parametrize("user", ["app", "guest"])
def test_caching_sha2_with_a_server_that_has_forgotten_the_password(suimon, cluster, mode, user):
    """Full exchange (by the server's RSA key where there is no TLS), then fast."""
    s = suimon({"backend": {"tls": {"mode": mode}, "pool": {"min_idle": 0}}})
    cluster.primary.sql("FLUSH PRIVILEGES")
    for _ in range(3):
        with s.connect(user, user) as c:
            assert ask(c, "SELECT CURRENT_USER()") == ((user + "@%",),)
            cipher = ask(c, "/* suimon: primary */ SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]
            assert bool(cipher) == (mode == "required")


@pytest.mark.parametrize("mode", ["disabled", "required"])
def test_sha256_password(suimon, cluster, mode):
    """MySQL pretends some of the names that it does not have to be such accounts: they hear what any other hears."""
    s = suimon({"backend": {"tls": {"mode": mode}, "pool": {"min_idle": 0}}})
    cluster.setup("CREATE USER older@'%' IDENTIFIED WITH sha256_password BY 'older'", "CREATE USER bare@'%' IDENTIFIED WITH sha256_password BY ''")
    try:
        for user, password in (("older", "older"), ("bare", ""), ("older", "older")):
            with s.connect(user, password) as c:
                assert ask(c, "SELECT CURRENT_USER()") == ((user + "@%",),)
        for user in ("older", "bare", *["nobody%d" % n for n in range(12)]):
            for password in ("wrong", ""):
                if (user, password) != ("bare", ""):
                    with pytest.raises(pymysql.MySQLError) as e:
                        s.connect(user, password)
                    assert e.value.args[0] == 1045 and e.value.args[1].startswith("Access denied for user '%s'@" % user), e.value
    finally:
        cluster.setup("DROP USER older@'%', bare@'%'")


def test_positions_are_gtid_sets(app, proxy, cluster, db):
    """The primary's is its last transaction; the replica's follows."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY)")
    ask(app, "INSERT INTO t VALUES (1)")
    uuid = cluster.primary.sql("SELECT @@server_uuid")[0][0]
    last = int(cluster.primary.position().replace("\n", "").split(uuid + ":1-")[1].split(",")[0].split(":")[0])

    def shown():
        return [b["gtid"] for b in proxy.api("/api/backends")["backends"]]
    wait_until("both positions", lambda: all("%s:1-%d" % (uuid, last) in gtid for gtid in shown()), 10)


def test_a_session_reads_its_own_tagged_write(suimon, cluster, db):
    """R2 with a tag: the transactions of a tag are numbered on their own."""
    cluster.setup("CREATE TABLE `%s`.t (id INT PRIMARY KEY)" % db.name, "CREATE USER IF NOT EXISTS tagger@'%' IDENTIFIED BY 'tagger'",
                  "GRANT TRANSACTION_GTID_TAG, SESSION_VARIABLES_ADMIN, SELECT, INSERT ON *.* TO tagger@'%'")
    s = suimon()
    with s.connect("tagger", "tagger", database=db.name) as writer, s.connect(database=db.name) as reader:
        ask(writer, "SET gtid_next = 'AUTOMATIC:shop'")
        for n in range(1, 11):
            ask(writer, "INSERT INTO t VALUES (%d)" % n)
            assert ask(writer, "SELECT COUNT(*) FROM t") == ((n,),)
        assert who(reader) == "replica"
        wait_until("the tag in the positions", lambda: all(":shop:1-10" in b["gtid"] for b in s.api("/api/backends")["backends"]), 10)


def test_an_update_that_changes_nothing_leaves_reads_on_the_replica(app, db):
    """MySQL gives such a transaction no GTID, and the reply none."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    assert who(app) == "replica"
    ask(app, "UPDATE t SET n = 0 WHERE id = 1")
    with db.cluster.replica_behind():
        assert who(app) == "replica"
        ask(app, "UPDATE t SET n = 1 WHERE id = 1")
        assert who(app) == "primary"


# ---- query attributes ----

def attributes(named, before=b""):
    """What stands behind the count: NULL bits, types with names, values; all strings, or None. before: the parameters' names and values."""
    nulls = bytearray((len(named) + 7) // 8)
    for i, (_, value) in enumerate(named):
        if value is None:
            nulls[i // 8] |= 1 << i % 8
    types = b"".join(b"\xfe\0" + lenenc_text(name) for name, _ in named)
    return bytes(nulls) + b"\x01" + types + b"".join(lenenc_text(value) for _, value in named if value is not None)


class Attributed(Wire):
    """Every query bears attributes, or says that it has none."""

    def query(self, sql, *named):
        self.send(bytes([QUERY, len(named), 1]) + (attributes(named) if named else b"") + sql.encode())
        return self.answer()

    def run(self, statement, values, *named):
        everything = [(b"", v) for v in values] + list(named)
        head = bytes([EXECUTE]) + struct.pack("<IBI", statement.id, 8, 1) + bytes([len(everything)])
        self.send(head + (attributes(everything) if everything else b""))
        return self.answer()


def attributed(connect):
    return Attributed(connect(client_flag=QUERY_ATTRIBUTES, autocommit=True))


@pytest.fixture
def component(cluster):
    try:
        for server in (cluster.primary, cluster.replica):
            server.sql("INSTALL COMPONENT 'file://component_query_attributes'")
    except Exception as e:  # not every build brings it
        pytest.skip(str(e))
    yield "mysql_query_attribute_string('%s')"
    for server in (cluster.primary, cluster.replica):
        server.sql("UNINSTALL COMPONENT 'file://component_query_attributes'")


ASKED = [("SELECT 1", []), ("SELECT id, n FROM t", [(b"who", b"me"), (b"none", None)]), ("SELECT * FROM missing", [(b"a", b"b" * 300)]),
         ("UPDATE t SET n = n + 1 WHERE id = 1", [(b"x", b"")]), ("SELECT n FROM t WHERE id = 1", [(b"", b"nameless")]),
         ("SET @a = 5", [(b"a", b"b")]), ("SELECT @a", []), ("SELECT n FROM t", [(b"n%d" % i, b"v" * i) for i in range(40)])]


def test_query_attributes_pass(proxy, db):
    """P1, P4. Text and prepared, with suimon's own statements in between, which have none."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")

    def converse(connect):
        db.setup("UPDATE t SET n = 0")
        with attributed(connect) as w:
            answers = [w.query(sql, *named) for sql, named in ASKED]
            both = w.prepare("SELECT CAST(? AS CHAR) AS a, CAST(? AS CHAR) AS b"), w.prepare("SELECT n FROM t")
            for _ in range(2):
                answers += [w.run(both[0], [b"p", None], (b"x", b"1")), w.run(both[1], []), w.run(both[1], [], (b"y", b"2")), w.run(both[0], [b"q", b"r"])]
                w.query("SET time_zone = '+01:00'")
            return answers
    want = converse(lambda **more: db.direct(**more))
    got = converse(lambda **more: proxy.connect(database=db.name, **more))
    assert got == want
    with attributed(lambda **more: proxy.connect(database=db.name, **more)) as w:
        assert b"replica" in b"".join(w.query("SELECT name FROM whoami", (b"a", b"b")))


def test_a_function_sees_the_attributes(proxy, db, component):
    with attributed(lambda **more: proxy.connect(database=db.name, **more)) as w:
        ask_for = "SELECT CONCAT('<', %s, '>')" % component % "who"
        assert b"<me>" in b"".join(w.query(ask_for, (b"other", b"x"), (b"who", b"me")))
        assert b"<me>" not in b"".join(w.query(ask_for))
        s = w.prepare(ask_for)
        assert b"<you>" in b"".join(w.run(s, [], (b"who", b"you")))
        assert b"<you>" not in b"".join(w.run(s, []))


def test_what_bears_attributes_is_neither_cached_nor_queued(suimon, db):
    """C3, Q4. A function may ask for them."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, n INT)", "INSERT INTO t (n) VALUES (1)")
    s = suimon({"cache": {"rules": [{"match": {"table": db.name + ".t"}, "ttl": "1h"}]},
                "queue": {"rules": [{"match": {"table": db.name + ".t", "verb": "insert"}}]}})

    def hits():
        return sum_metric(s.metrics(), "suimon_queries_total", 'route="cache"')

    def queued():
        return sum_metric(s.metrics(), "suimon_queries_total", 'route="queue"')
    with attributed(lambda **more: s.connect(database=db.name, **more)) as w:
        for _ in range(3):
            w.query("SELECT n FROM t", (b"a", b"b"))
        w.query("INSERT INTO t (n) VALUES (2)", (b"a", b"b"))
        assert (hits(), queued()) == (0, 0)
        for _ in range(3):
            w.query("SELECT n FROM t")
        w.query("INSERT INTO t (n) VALUES (3)")
        assert hits() > 0 and queued() == 1
        assert b"\x013" in b"".join(w.query("SELECT n FROM t"))


def test_malformed_attributes_are_the_servers_to_refuse(proxy, db):
    """F2."""
    for garbage in (b"\x01\x01", b"\x01\x01\x00\x00\xfe\x00\x01aSELECT 1", b"\x00\x02SELECT 1", b"\xfd\xff\xff\xff\x01", b""):
        answers = []
        for connect in (lambda **more: db.direct(**more), lambda **more: proxy.connect(database=db.name, **more)):
            with attributed(connect) as w:
                w.send(bytes([QUERY]) + garbage)
                answers.append(error(w.packet()))
        assert answers[0] == answers[1]


def test_results_without_metadata(proxy, db):
    """P1. SET resultset_metadata = NONE, for a client that has asked for it."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0), (2, 5)")

    def converse(connect):
        with Wire(connect(client_flag=OPTIONAL_RESULTSET_METADATA, autocommit=True)) as w:
            got = []
            for mode in ("FULL", "NONE", "FULL"):
                w.query("SET resultset_metadata = " + mode)
                for sql in ("SELECT id, n FROM t", "SELECT n FROM t WHERE id > 5"):
                    w.send(bytes([QUERY]) + sql.encode())
                    first = w.packet()
                    got.append(first)
                    for _ in range(3 if mode == "FULL" and "id, n" in sql else 2 if mode == "FULL" else 1):
                        got.append(w.packet())
                    got += w.until_eof()
            return got
    assert converse(lambda **more: proxy.connect(database=db.name, **more)) == converse(lambda **more: db.direct(**more))
