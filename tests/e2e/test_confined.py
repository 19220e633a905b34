"""Within what suimon.service leaves a process: no call that its filters refuse is missed."""
import ctypes.util
import os
import shutil
import subprocess
import sys

import pytest

from conftest import ask, hits, resolves
from test_supervisor import supervisor  # noqa: F401 (a fixture)
from test_upgrade import Line
import servers

UNIT = os.path.join(os.path.dirname(servers.find_suimon()), "suimon.service")
CONFINED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "confined.py")

pytestmark = [pytest.mark.skipif(not shutil.which("systemd-analyze") or not ctypes.util.find_library("seccomp"),
                                 reason="systemd is not installed: deploy/deps --test"),
              pytest.mark.skipif(not os.path.exists(UNIT), reason="suimon.service is not built: this binary stands alone")]


def confined(*words):
    return [sys.executable, CONFINED, UNIT, *words]


CLONE = {"aarch64": 220}.get(os.uname().machine, 56)
BEFORE = """import ctypes, mmap, os, socket
libc = ctypes.CDLL(None)
def did(result):
    if result < 0:
        raise PermissionError()
"""


@pytest.mark.parametrize("call", ["os.setpriority(0, 0, 5)", "os.sched_setaffinity(0, {0})", "os.chroot('/')", "mmap.mmap(-1, 4096, prot=7)",
                                  "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "did(libc.unshare(0x4000000))",
                                  "child = libc.syscall(%d, 0x4000011, 0, 0, 0, 0); child or os._exit(0); did(child)" % CLONE])
def test_the_filters_refuse(call):
    for words, refused in ([sys.executable], False), (confined(sys.executable), True):
        done = subprocess.run([*words, "-c", BEFORE + call], capture_output=True, text=True, timeout=60)
        if done.returncode and not refused:
            pytest.skip("nobody may do that here: %s" % done.stderr.splitlines()[-1])
        assert ("PermissionError" in done.stderr) == refused, done.stderr


def test_it_starts_serves_reloads_is_upgraded_and_ends(suimon, supervisor, cluster, db, tmp_path):  # noqa: F811
    """With a name to resolve, a pattern to compile, a log and a queue on disk."""
    db.setup("CREATE TABLE t (n INT)", "CREATE TABLE log (n INT)")
    host = "localhost" if resolves("localhost") else servers.LOOPBACK
    s = suimon({"primary": "%s:%d" % (host, cluster.primary.port), "cache": {"rules": [{"match": {"query": "^select .* from t$"}, "ttl": "60s"}]},
                "queue": {"rules": [{"match": {"table": "log"}}]}, "stats": {"slow": "0s", "slow_log": str(tmp_path / "slow.log")}}, run=False)
    s.process.env["ASAN_OPTIONS"] += ":detect_leaks=0"  # which takes ptrace
    s.process.env["NOTIFY_SOCKET"] = supervisor.path
    s.process.argv = confined(os.path.abspath(s.binary), "-c", s.file)
    s.start()
    it = Line(s)
    try:
        for again in (False, True):
            if again:
                it.upgrade()
                assert it.ended(it.pids[0]) == 0
            with s.connect(database=db.name) as c:
                servers.wait_until("the cache to answer", lambda c=c: ask(c, "SELECT COUNT(*) FROM t") and hits(s) > 0, 30)
                ask(c, "INSERT INTO log VALUES (1)")
                assert ask(c, "SELECT COUNT(*) FROM log") == ((1 + again,),)
            assert s.http("/api/config/reload", data={})[0] == 200
            supervisor.wait("READY=1")
    finally:
        it.end()
    assert os.path.getsize(tmp_path / "slow.log")
