"""C4: what a READ UNCOMMITTED session reads may never be committed; nobody else gets it from the cache."""
import contextlib

import pytest

from conftest import ISOLATION, ask
from servers import sum_metric

READ = "SELECT n FROM t WHERE id = 1"


@pytest.fixture
def table(db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    return db


@contextlib.contextmanager
def globally(server, level):
    before = server.sql("SELECT @@global." + ISOLATION)[0][0].replace("-", " ")
    server.sql("SET GLOBAL TRANSACTION ISOLATION LEVEL " + level)
    try:
        yield
    finally:
        server.sql("SET GLOBAL TRANSACTION ISOLATION LEVEL " + before)


def start(suimon, table):
    return suimon({"replicas": [], "cache": {"rules": [{"match": {"table": "%s.t" % table.name}, "ttl": "60s"}]}})


def stored(s):
    return sum_metric(s.metrics(), "suimon_cache_fills_total")


def check(s, table, dirty):
    """`dirty` reads a row while it is changed but not committed; nobody reads that change once it is rolled back."""
    with table.direct(autocommit=False) as writer, s.connect(database=table.name) as other:
        ask(writer, "UPDATE t SET n = 66 WHERE id = 1")
        assert [ask(dirty, READ) for _ in range(3)] == [((66,),)] * 3
        assert stored(s) == 0
        writer.rollback()
        assert ask(other, READ) == ((0,),)
        assert ask(dirty, READ) == ((0,),)


def test_a_session_that_reads_uncommitted_fills_nothing(suimon, table):
    s = start(suimon, table)
    with s.connect(database=table.name) as c:
        ask(c, "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
        check(s, table, c)


def test_a_server_whose_sessions_begin_with_read_uncommitted_fills_nothing(cluster, suimon, table):
    with globally(cluster.primary, "READ UNCOMMITTED"):
        s = start(suimon, table)
        with s.connect(database=table.name) as c:
            check(s, table, c)
            # A session that says better may fill, on such a server too.
            ask(c, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            for _ in range(2):
                assert ask(c, READ) == ((0,),)
            assert stored(s) == 1


def test_it_is_known_after_a_reset_too(cluster, suimon, table):
    """A connection that is reset begins anew, with what is the server's default then."""
    s = start(suimon, table)
    c = s.connect(database=table.name)
    ask(c, "SET @pinned = 1")
    with globally(cluster.primary, "READ UNCOMMITTED"):
        c.close()
        with s.connect(database=table.name) as next_one:
            check(s, table, next_one)
