"""What a finding says that its fix saves: applied, it saves that within a factor of two (S3). Both times are of one server, and each the
least of several runs, undisturbed (timed.py): what else the machine does delays statements, and the long ones most."""
import pytest

import conftest
import timed
from conftest import ask, settle
from servers import TooLate, wait_until
from test_scenarios import pasted

pytestmark = conftest.mariadb_only("the tables are made with its sequences")

TABLES = """CREATE TABLE e2e_foretold.author (id INT PRIMARY KEY, name VARCHAR(60)); INSERT INTO e2e_foretold.author SELECT seq, CONCAT('Author ', seq) FROM e2e_foretold.seq_1_to_3000;
    CREATE TABLE e2e_foretold.book (id INT PRIMARY KEY, author INT, isbn VARCHAR(20), published DATETIME, title VARCHAR(40), KEY (author), KEY (isbn), KEY (published));
    INSERT INTO e2e_foretold.book SELECT seq, 1 + seq MOD 3000, CONCAT(9780000000 + seq), '2015-01-01' + INTERVAL seq * 37 MINUTE, CONCAT('Title ', seq) FROM e2e_foretold.seq_1_to_120000;
    CREATE TABLE e2e_foretold.review (id INT PRIMARY KEY, book INT, stars INT, words INT, shelf INT);
    INSERT INTO e2e_foretold.review SELECT seq, 1 + seq * 11 MOD 120000, seq MOD 5, seq * 17 MOD 900, seq MOD 60 FROM e2e_foretold.seq_1_to_80000;
    ANALYZE TABLE e2e_foretold.author, e2e_foretold.book, e2e_foretold.review"""
TIMES = 16


@pytest.fixture(scope="module")
def shop(cluster):
    cluster.primary.sql("CREATE DATABASE e2e_foretold", *TABLES.split(";"))
    cluster.sync()
    yield cluster
    cluster.primary.sql("DROP DATABASE e2e_foretold")
    cluster.sync()


@pytest.fixture(autouse=True)
def undisturbed(shop):
    with timed.undisturbed(shop.primary):
        yield


@pytest.fixture
def counted(suimon, shop, undisturbed):
    return suimon({"replicas": [], "stats": {"slow": "5s"}})


def run(instance, texts):
    with instance.connect(database="e2e_foretold") as c:
        return [ask(c, sql) for sql in texts]


@pytest.fixture
def clocked(suimon, shop, undisturbed, tmp_path):
    """Another one beside, that measures statement by statement; clocked(texts)."""
    s = suimon({"replicas": [], "stats": timed.every_statement(tmp_path / "clocked.log")})
    return lambda texts: timed.run(s, "e2e_foretold", texts)


def spent(instance, *digests):
    """Seconds that these statements have taken so far, as they were measured."""
    settle(instance)
    return sum(q["total_time"] for q in instance.api("/api/queries?limit=1000")["queries"] if q["digest"] in digests)


def found(instance, kind, table):
    def look():
        return [f for f in instance.api("/api/findings")["findings"]
                if f["kind"] == kind and f["predicted"] and ("e2e_foretold." + table in f["title"] or f["evidence"].get("table") == "e2e_foretold." + table)]
    settle(instance)
    try:
        (f,) = wait_until("the finding", look, 60, .2)
    except TooLate as e:
        raise TooLate("%s, but %s" % (e, instance.api("/api/findings")["findings"])) from None
    return f


def about(f, before):
    """What the prediction says it is of, is what was measured."""
    p = f["predicted"]
    assert p["time_saved"] + p["time_left"] == pytest.approx(before, rel=.1), (p, before)


LOOPS = (("SELECT id, author FROM book WHERE published > '2016-01-01' ORDER BY published LIMIT 40", "SELECT name FROM author WHERE id = %d", "author", 1),
         # A child that reads many rows for each key: one statement for all of them reads these all the same.
         ("SELECT id FROM author WHERE id > 100 ORDER BY id LIMIT 40", "SELECT id, title, isbn, published FROM book WHERE author = %d", "book", 0))


@pytest.mark.parametrize("parent, child, table, at", LOOPS)
def test_a_loop_as_one_statement(counted, clocked, parent, child, table, at):
    keys = []
    with counted.connect(database="e2e_foretold") as c:
        for _ in range(TIMES):
            keys.append([row[at] for row in ask(c, parent)])
            for key in keys[-1]:
                ask(c, child % key)
    f = found(counted, "n_plus_one", table)
    about(f, spent(counted, f["digest"]))
    batched = [f["fix_sql"].replace("?, ?, ...", ", ".join(map(str, k))) for k in keys]
    timed.judge(f, timed.cut(lambda: clocked([child % key for k in keys for key in k]), lambda: clocked(batched)))


# Statement, table; what stands for the value. The index is added.
INDEXES = (("SELECT r.id FROM review AS r JOIN book AS b ON b.id = r.book WHERE b.author = {0}", "review", lambda n: n * 7 + 1),
           ("SELECT id, words FROM review WHERE shelf = {0}", "review", lambda n: n), # a sixtieth of all rows, each looked up: a fifth of the time is left
           ("SELECT SUM(words) FROM review WHERE book = {0}", "review", lambda n: n * 13 + 1))


@pytest.mark.parametrize("sql, table, value", INDEXES)
def test_an_index_added(counted, clocked, shop, sql, table, value):
    texts = [sql.format(value(n)) for n in range(TIMES)]
    rows = run(counted, texts)
    f = found(counted, "missing_index", table)
    about(f, spent(counted, f["digest"]))
    before = [clocked(texts) for _ in range(timed.ROUNDS)]
    shop.primary.sql(f["fix_sql"].replace("ADD INDEX", "ADD INDEX foretold"), "ANALYZE TABLE e2e_foretold.review")
    try:
        assert [sorted(r) for r in run(counted, texts)] == [sorted(r) for r in rows]
        timed.judge(f, 1 - timed.least(clocked(texts) for _ in range(timed.ROUNDS)) / timed.least(before))
    finally:
        shop.primary.sql("ALTER TABLE e2e_foretold.review DROP INDEX foretold")


HIDDEN = (("SELECT id, title FROM book WHERE DATE(published) = {0}", lambda n: "'2016-%02d-%02d'" % (n % 12 + 1, n + 1)),
          ("SELECT id, title FROM book WHERE isbn = {0}", lambda n: str(9780000001 + n * 4999)))


@pytest.mark.parametrize("sql, value", HIDDEN)
def test_an_index_that_is_used_again(counted, clocked, sql, value):
    texts = [sql.format(value(n)) for n in range(TIMES)]
    rows = run(counted, texts)
    f = found(counted, "missing_index", "book")
    about(f, spent(counted, f["digest"]))
    mended = [f["fix_sql"].replace("?", value(n)) for n in range(TIMES)]
    assert [sorted(r) for r in run(counted, mended)] == [sorted(r) for r in rows]
    timed.judge(f, timed.cut(lambda: clocked(texts), lambda: clocked(mended)))


CACHED = (("heavy_aggregate", "review", TIMES, "SELECT stars, COUNT(*), AVG(words) FROM review GROUP BY stars"),
          ("cacheable", "book", 400, "SELECT id, title FROM book WHERE author BETWEEN 17 AND 29"))


@pytest.mark.parametrize("kind, table, times, sql", CACHED)
def test_a_rule_pasted(counted, clocked, suimon, tmp_path, kind, table, times, sql):
    rows = run(counted, [sql] * times)
    f = found(counted, kind, table)
    about(f, spent(counted, f["digest"]))
    cached = suimon({"replicas": [], "cache": {"memory": "16MiB", "rules": pasted([l for l in f["fix_config"].splitlines() if l.startswith("    ")])},
                     "stats": timed.every_statement(tmp_path / "cached.log")})

    def from_nothing():
        """The first is a miss each time."""
        assert cached.http("/api/cache/flush", data={})[0] == 200
        return timed.run(cached, "e2e_foretold", [sql] * times)

    timed.judge(f, timed.cut(lambda: clocked([sql] * times), from_nothing))
    assert run(cached, [sql] * times) == rows
    assert cached.api("/api/queries/" + f["digest"])["cache_hits"] == (times - 1) * timed.ROUNDS + times


def test_pages_by_key(counted, clocked):
    texts = ["SELECT id, words FROM review ORDER BY id LIMIT 20 OFFSET %d" % (60000 + k * 1200) for k in range(1, TIMES + 1)]
    pages = run(counted, texts)
    f = found(counted, "heavy_aggregate", "review")
    about(f, spent(counted, f["digest"]))
    mended = ["SELECT id, words FROM review WHERE id > %d ORDER BY id LIMIT 20" % (page[0][0] - 1) for page in pages]
    assert run(counted, mended) == pages
    timed.judge(f, timed.cut(lambda: clocked(texts), lambda: clocked(mended)))
