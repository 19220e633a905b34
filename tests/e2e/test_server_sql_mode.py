"""P2, C1, Q4: how text reads may be the server's own doing: an sql_mode in its configuration, of which no session says a word."""
import pytest

from conftest import address, ask, filled, hits
import servers
from servers import sum_metric, wait_until
from wire import Wire

MODE = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES"


@pytest.fixture
def odd(cluster, suimon, tmp_path):
    """A server that begins sessions so, and a suimon before it; each of its workers has met the server."""
    primary, = servers.family(str(tmp_path), ("primary",), ["shop"])
    primary.sql("SET GLOBAL sql_mode = '%s'" % MODE, "CREATE TABLE shop.t (id INT PRIMARY KEY, n INT)",
                "INSERT INTO shop.t VALUES (1, 10), (2, 20)", "CREATE TABLE shop.log (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(100))")
    base = cluster.config()
    base.update(threads=1, primary=address(primary), replicas=[], cache={"rules": [{"match": {"table": "shop.t"}, "ttl": "600s"}]},
                queue={"rules": [{"match": {"table": "shop.log", "verb": "insert"}, "read": "eventual"}]})
    s = suimon(base=base)
    with s.connect(database="shop") as c:
        assert "NO_BACKSLASH_ESCAPES" in ask(c, "SELECT @@sql_mode")[0][0]
    yield s, primary
    primary.stop()


def test_a_quoted_name_is_a_name(odd):
    """Read as strings, "t" and "id" would be neither a table nor a key."""
    s, _ = odd
    read = 'SELECT "n" FROM "t" WHERE "id" = 1'
    with s.connect(database="shop") as c:
        def hit():
            before = hits(s)
            assert ask(c, read) == ((10,),)
            return hits(s) > before
        wait_until("a hit", hit, 30)
        ask(c, 'UPDATE "t" SET "n" = 11 WHERE "id" = 1')
        assert ask(c, read) == ((11,),)


def test_a_backslash_is_a_backslash(odd):
    """Queued as text, and as a bound value that becomes one; a string that ends with one hides nothing behind it."""
    s, primary = odd
    with s.connect(database="shop") as c:
        ask(c, "INSERT INTO log (v) VALUES ('text \\')")
        assert ask(c, "SELECT '\\', n FROM t WHERE id = 2 -- '") == (("\\", 20),)
    with Wire(s.connect(database="shop")) as w:
        assert w.prepare("INSERT INTO log (v) VALUES (?)").execute(("C:\\tmp\nit's",))[-1][0] == 0
    wait_until("the queue to be applied", lambda: s.api("/api/queue")["depth"] == 0, 60)
    assert sum_metric(s.metrics(), "suimon_queue_applied_total") == 2, s.api("/api/queue")
    assert set(primary.sql("SELECT v FROM shop.log")) == {("text \\",), ("C:\\tmp\nit's",)}


def test_a_session_may_say_otherwise(odd):
    s, primary = odd
    with s.connect(database="shop") as c:
        ask(c, "SET sql_mode = ''")
        ask(c, "INSERT INTO log (v) VALUES (\"plain \\\\\")")
    wait_until("the queue to be applied", lambda: s.api("/api/queue")["depth"] == 0, 60)
    assert primary.sql("SELECT v FROM shop.log") == (("plain \\",),)


# ---- workers and connections that know of it, and others ----

class Refs:
    """A table of names, all of it cached, before a server with this mode. BY_REF names a string or a column."""

    BY_REF, ALL = 'SELECT n FROM t WHERE id = "ref" ORDER BY n', "SELECT n FROM t WHERE n < 100 ORDER BY n"

    def __init__(self, cluster, suimon, directory, mode, **more):
        self.primary, = servers.family(directory, ("primary",), ["shop"])
        self.primary.sql("SET GLOBAL sql_mode = '%s'" % mode, "CREATE TABLE shop.t (id VARCHAR(10) PRIMARY KEY, ref VARCHAR(10), n INT)",
                         "INSERT INTO shop.t VALUES ('a', 'a', 1), ('b', 'x', 2), ('ref', 'y', 3)")
        base = cluster.config()
        base.update(primary=address(self.primary), replicas=[], cache={"rules": [{"match": {"schema": "shop"}, "ttl": "600s"}]}, **more)
        self.suimon = suimon(base=base)

    def connect(self):
        return self.suimon.connect(database="shop")


@pytest.fixture
def refs(cluster, suimon, tmp_path):
    made = []

    def make(mode, **more):
        made.append(Refs(cluster, suimon, str(tmp_path), mode, **more))
        return made[-1]
    yield make
    for r in made:
        r.primary.stop()


def test_a_worker_that_has_met_no_server_yet_reads_as_the_others_do(refs):
    """Its first statement would be taken for a read of the row 'ref', and what was stored of it would outlive a write of row 'b'."""
    r = refs("ANSI_QUOTES,STRICT_TRANS_TABLES", threads=4)
    with r.connect() as first:
        filled(r.suimon, first, r.ALL)  # its tables are known, its account is
        others = [r.connect() for _ in range(7)]
        for c in others:
            assert ask(c, r.BY_REF) == ((1,),)
        filled(r.suimon, others[0], r.BY_REF)
        ask(first, "UPDATE t SET ref = 'b' WHERE id = 'b'")
        assert [ask(c, r.BY_REF) for c in (first, *others)] == [((1,), (2,))] * 8
        for c in others:
            c.close()


def test_a_mode_changed_behind_suimons_back(refs):
    """Connections from before go on in the mode they began with; what is read of them in the other one is not kept, and harms nothing."""
    r = refs("STRICT_TRANS_TABLES", threads=1)
    with r.connect() as c, r.connect() as pinned:
        filled(r.suimon, c, r.BY_REF)
        assert ask(c, r.BY_REF) == ((3,),)
        ask(pinned, "SET @here = 1")  # a connection of its own, from before
        assert ask(pinned, r.BY_REF) == ((3,),)
        r.primary.sql("SET GLOBAL sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES'")
        with r.suimon.connect("guest", "guest", database="shop") as new:  # whose connection is the first with the new mode
            assert ask(new, "SELECT @@sql_mode")[0][0].startswith("ANSI_QUOTES")
        assert ask(c, r.BY_REF) == ((1,),)  # by a new connection: the mode is the servers' own
        filled(r.suimon, c, r.BY_REF)
        assert ask(pinned, 'SELECT "ref", @here') == (("ref", 1),)  # its connection has the old one
        # To its server this is a write of the row 'ref' alone; read as of now it is one of a table without such a column.
        ask(pinned, 'UPDATE t SET ref = id WHERE id = "ref"')
        assert ask(c, r.BY_REF) == ((1,), (3,))
        ask(c, "UPDATE t SET ref = 'b' WHERE id = 'b'")
        assert ask(c, r.BY_REF) == ((1,), (2,), (3,))


def test_a_replica_with_a_mode_of_its_own(cluster, suimon, tmp_path):
    """Text that it would read otherwise is the primary's."""
    primary, replica = servers.pair(str(tmp_path), ["shop"])
    try:
        primary.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, who VARCHAR(10))", "INSERT INTO shop.t VALUES (1, 'primary')")
        replica.catch_up(primary)
        replica.sql("SET sql_log_bin = 0", "UPDATE shop.t SET who = 'replica'", "SET GLOBAL sql_mode = 'ANSI_QUOTES'")
        base = cluster.config()
        base.update(threads=1, primary=address(primary), replicas=[address(replica)])
        with suimon(base=base).connect(database="shop") as c:
            wait_until("a read of the replica", lambda: ask(c, "SELECT who FROM t") == (("replica",),), 30)
            for _ in range(3):
                assert ask(c, 'SELECT who, "id" FROM t') == (("primary", "id"),)
                wait_until("the replica to be read", lambda: ask(c, "SELECT who, 'id' FROM t") == (("replica", "id"),), 30)
    finally:
        replica.stop()
        primary.stop()
