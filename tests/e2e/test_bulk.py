"""P1, P4, C1: MariaDB's bulk executions, statements executed as they are prepared, and progress reports, by its own connector."""
import os
import re
import subprocess

import pytest

from conftest import ask, mariadb_only
from servers import LOOPBACK

pytestmark = mariadb_only("COM_STMT_BULK_EXECUTE and progress reports")
HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def bulk(tmp_path_factory):
    """bulk(port, schema, what): what tests/e2e/c/bulk.c prints."""
    program = str(tmp_path_factory.mktemp("c") / "bulk")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libmariadb"], check=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["cc", "-o", program, os.path.join(HERE, "c", "bulk.c")] + flags, check=True)

    def run(port, schema, *what):
        done = subprocess.run([program, str(port), schema, *what], capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().splitlines()
    return run


@pytest.fixture(scope="module", params=["off", "zlib"])
def compress(request):
    return request.param


def test_the_same_as_direct(db, suimon, bulk, compress):
    s = suimon({"threads": 1, "backend": {"compress": compress}})
    want = bulk(db.cluster.primary.port, db.name, "all")
    assert any("insert: ok affected=5" in line for line in want)
    assert bulk(s.mysql_port, db.name, "all") == want
    queries = {q["text"]: q for q in s.api("/api/queries?limit=1000")["queries"]}
    row = next(q for text, q in queries.items() if re.match(r"insert into b \(id, ?t\) values ?\(\?\+?\)$", text))
    assert row["calls"] >= 6 and row["rows_affected"] >= 20, "a bulk execution counts as a call, with all its rows"


def test_sessions_that_share_a_connection_send_their_own_types(db, suimon, bulk):
    """One server connection, the statement of both prepared there once: whoever comes second brings the types along."""
    s = suimon({"threads": 1, "replicas": [], "backend": {"pool": {"max": 1, "min_idle": 0}}})
    db.setup("CREATE TABLE cached (id INT PRIMARY KEY, t VARCHAR(30), n INT)")
    want = bulk(db.cluster.primary.port, db.name, "write")
    db.setup("DELETE FROM cached")
    assert bulk(s.mysql_port, db.name, "write") == want
    db.setup("DELETE FROM cached")
    assert bulk(s.mysql_port, db.name, "write") == want


def test_what_is_written_in_bulk_is_seen_in_the_cache(db, suimon, bulk):
    db.setup("CREATE TABLE cached (id INT PRIMARY KEY, t VARCHAR(30), n INT)", "INSERT INTO cached VALUES (1, 'x', 0)")
    s = suimon({"cache": {"rules": [{"match": {"table": db.name + ".cached"}, "ttl": "1h"}]}})
    with s.connect(database=db.name) as c:
        def read():
            return ask(c, "SELECT COUNT(*), MAX(n) FROM cached"), ask(c, "SELECT * FROM cached WHERE id = 11")
        for _ in range(3):
            assert read() == (((1, 0),), ())
        bulk(s.mysql_port, db.name, "write")
        assert read() == (((5, 11),), ((11, "two", 11),))
    assert s.metrics()['suimon_cache_hits_total{level="memory"}'] >= 2


def test_progress_is_reported_to_who_asks(db, proxy, bulk, tmp_path_factory):
    db.cluster.setup("CREATE USER IF NOT EXISTS loader@'%' IDENTIFIED BY 'loader'", "GRANT FILE ON *.* TO loader@'%'",
                     "GRANT ALL ON `%s`.* TO loader@'%%'" % db.name)
    db.setup("CREATE TABLE slow (id INT, z INT)")
    file = tmp_path_factory.mktemp("load") / "rows"
    file.write_text("".join("%d\n" % n for n in range(20)))
    for folder in (file, *list(file.parents)[:3]):
        folder.chmod(0o755)
    want = bulk(db.cluster.primary.port, db.name, "progress", str(file))
    assert any(line.startswith("progress: ") for line in want), want
    assert bulk(proxy.mysql_port, db.name, "progress", str(file)) == want
    with proxy.connect("loader", "loader", database=db.name) as c:  # who has not asked gets none
        ask(c, "SET progress_report_time = 1")
        ask(c, "LOAD DATA INFILE '%s' INTO TABLE slow (id) SET z = SLEEP(0.1)" % file)
        assert ask(c, "SELECT COUNT(*) FROM slow") == ((60,),)
