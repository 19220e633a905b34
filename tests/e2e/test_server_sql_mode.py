"""P2, C1, Q4: how text reads may be the server's own doing: an sql_mode in its configuration, of which no session says a word."""
import pytest

from conftest import address, ask
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
            before = sum_metric(s.metrics(), "suimon_cache_hits_total")
            assert ask(c, read) == ((10,),)
            return sum_metric(s.metrics(), "suimon_cache_hits_total") > before
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
