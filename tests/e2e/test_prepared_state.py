"""P4, C3, C5, Q4: a prepared statement means what it meant where it was prepared, whatever its session has become since."""
import pytest

from conftest import ask
from servers import wait_until
from wire import Wire


@pytest.fixture
def twins(db, cluster):
    """Two schemas with the same table, different rows."""
    other = db.name + "_b"
    cluster.setup("CREATE DATABASE `%s`" % other)
    for schema, n in ((db.name, 1), (other, 2)):
        cluster.setup("CREATE TABLE `%s`.t (id INT PRIMARY KEY, n INT)" % schema, "INSERT INTO `%s`.t VALUES (1, %d)" % (schema, n),
                      "CREATE TABLE `%s`.log (k INT)" % schema)
    yield db.name, other
    cluster.setup("DROP DATABASE `%s`" % other)


def value(packets):
    """Of the last row."""
    return [p for p in packets if p[0] == 0 and len(p) > 2][-1][2:]


READ = "SELECT n FROM t WHERE id = 1"
LITERAL = 'SELECT "n" FROM t WHERE id = 1'


def config(*schemas):
    return {"cache": {"rules": [{"match": {"schema": s}, "ttl": "600s"} for s in schemas]},
            "queue": {"rules": [{"match": {"table": "%s.log" % s, "verb": "insert"}, "order": "table"} for s in schemas]}}


def test_a_cached_answer_belongs_to_the_schema_it_was_prepared_in(suimon, twins):
    first, second = twins
    s = suimon(config(first, second))
    with Wire(s.connect(database=first)) as w, Wire(s.connect(database=second)) as x:
        mine = w.prepare(READ)
        w.query("USE `%s`" % second)
        theirs = x.prepare(READ)
        for _ in range(3):
            assert value(mine.execute()) == b"\x01\0\0\0"
            assert value(theirs.execute()) == b"\x02\0\0\0"


def test_a_write_from_another_schema_invalidates_where_it_was_prepared(suimon, twins, cluster):
    first, second = twins
    s = suimon(config(first, second))
    with Wire(s.connect(database=first)) as w, Wire(s.connect(database=first)) as x:
        write = w.prepare("UPDATE t SET n = n + 10 WHERE id = 1")
        read = x.prepare(READ)
        w.query("USE `%s`" % second)
        for n in range(1, 4):
            for _ in range(3):
                assert value(read.execute()) == bytes([10 * n - 9, 0, 0, 0])
            write.execute()


def test_a_cached_answer_belongs_to_the_mode_it_was_prepared_in(suimon, twins):
    first, _ = twins
    s = suimon(config(first))
    with Wire(s.connect(database=first)) as w, Wire(s.connect(database=first)) as x:
        w.query("SET sql_mode = 'ANSI_QUOTES'")
        column = w.prepare(LITERAL)
        w.query("SET sql_mode = ''")
        x.query("SET sql_mode = ''")
        literal = x.prepare(LITERAL)
        for _ in range(3):
            assert value(column.execute()) == b"\x01\0\0\0"
            assert value(literal.execute()) == b"\x01n"


def test_a_queued_write_goes_where_it_was_prepared(suimon, twins, cluster):
    first, second = twins
    s = suimon(config(first, second))
    with Wire(s.connect(database=first)) as w:
        write = w.prepare("INSERT INTO log (k) VALUES (7)")
        write.execute()
        w.query("USE `%s`" % second)
        for _ in range(4):
            assert write.execute()[-1][0] == 0
    wait_until("the rows", lambda: cluster.primary.sql("SELECT (SELECT COUNT(*) FROM `%s`.log) + (SELECT COUNT(*) FROM `%s`.log)"
                                                       % (first, second)) == ((5,),), 30)
    assert cluster.primary.sql("SELECT COUNT(*) FROM `%s`.log" % first) == ((5,),)
