"""deploy/quickstart as one types it: what it refuses, what Ctrl-C ends and what not, and a server of one's own."""
import json
import os
import re
import signal
import subprocess
import urllib.request

import pymysql
import pytest

from conftest import address
import servers
from servers import LOOPBACK, wait_until

QUICKSTART = os.path.join(servers.TOP, "deploy", "quickstart")


@pytest.mark.parametrize("words,why", [
    (["-c", "x.yaml"], "-c goes with --primary"), (["--primary", "h:1", "--check"], "--check does not go"),
    (["--primary", "h:1", "--seconds", "3"], "--seconds does not go"), (["--keep", "--primary", "h:1"], "--keep does not go"),
    (["--primary"], "--primary needs"), (["--seconds", "soon"], "--seconds needs"), (["--chek"], "unknown option --chek"), (["x"], "unknown option x")])
def test_what_it_would_ignore_it_refuses(words, why):
    """Before it installs or builds anything."""
    done = subprocess.run([QUICKSTART, *words], capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 1 and why in done.stderr and "--help" in done.stderr and done.stdout == ""


class Quickstart:
    def __init__(self, tmp_path, *words):
        self.log = str(tmp_path / "quickstart.log")
        self.process = servers.Process("quickstart", [QUICKSTART, *words, "--binary", servers.find_suimon()], self.log)
        self.process.start()

    def said(self, pattern):
        def found():
            assert self.process.alive()
            with open(self.log) as f:
                return re.search(pattern, f.read())
        return wait_until(pattern, found, 120)

    def interrupt(self):
        """As Ctrl-C does. The exit code."""
        self.process.signal(signal.SIGINT)
        return self.process.child.wait(120)


def children(pid):
    """What pid has started and is alive."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(name))
    return found


def exists(pid):
    return os.path.exists("/proc/%d" % pid)


def test_ctrl_c_ends_what_it_started_and_only_that(cluster, tmp_path):
    q = Quickstart(tmp_path)
    try:
        port = int(q.said(r"@%s:(\d+)/shop" % re.escape(LOOPBACK)).group(1))
        directory = q.said(r" in (/\S*suimon-quickstart-\S+)").group(1)
        q.said(r"queries/s")
        started = children(q.process.pid)
        assert len(started) == 4  # the primary, its replica, Redis, suimon
        with pymysql.connect(host=LOOPBACK, port=port, user="guest", password="guest", database="shop") as c, c.cursor() as cur:
            cur.execute("SELECT COUNT(*) FROM products")
            assert cur.fetchone()[0] > 0
        assert q.interrupt() == 0
        assert [p for p in started if exists(p)] == []
        assert not os.path.exists(directory)
        assert cluster.primary.process.alive() and cluster.replica.process.alive() and cluster.redis.process.alive()
    finally:
        q.process.stop()


def test_what_the_readme_has_one_type_does_what_it_says(tmp_path):
    with open(os.path.join(servers.TOP, "README.md")) as f:
        readme = f.read()
    read = re.search(r"`(SELECT \* FROM products WHERE id = \d+)` twice", readme).group(1)
    write, look = re.search(r"```sql\n(INSERT .+);\n(SELECT .+);\n```", readme).groups()
    q = Quickstart(tmp_path)
    try:
        port = int(q.said(r"@%s:(\d+)/shop" % re.escape(LOOPBACK)).group(1))
        page = q.said(r"(http://\S+)/\n").group(1)
        q.said(r"queries/s")

        def routed(verb):
            with urllib.request.urlopen(page + "/api/queries?user=guest", timeout=10) as answer:
                return [row["routed"] for row in json.load(answer)["queries"] if row["text"].startswith(verb)]

        with pymysql.connect(host=LOOPBACK, port=port, user="guest", password="guest", database="shop", autocommit=True) as c, c.cursor() as cur:
            wait_until("it to be answered from the cache", lambda: cur.execute(read) and any(r["cache"] for r in routed("select * from products")), 60)
            wait_until("it to be queued", lambda: cur.execute(write) and any(r["queue"] for r in routed("insert into access_log")), 60)
            assert cur.execute(look) > 0
    finally:
        q.process.stop()


def test_before_a_server_of_ones_own(cluster, suimon, tmp_path):
    """--primary names it, over what the file says; the process becomes suimon."""
    s = suimon({"primary": "%s:1" % LOOPBACK, "replicas": []}, run=False)
    q = Quickstart(tmp_path, "--primary", address(cluster.primary), "-c", s.file)
    try:
        wait_until("it to serve", lambda: s.http("/readyz")[0] == 200, 120)
        with s.connect() as c, c.cursor() as cur:
            cur.execute("SELECT 1")
            assert cur.fetchall() == ((1,),)
        assert q.interrupt() == 0
        assert cluster.primary.process.alive()
    finally:
        q.process.stop()
