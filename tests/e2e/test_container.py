"""As deploy/container runs it: process 1 of its own namespace, no root, no capabilities, a root file system that cannot be written (R4)."""
import contextlib
import os
import re
import signal
import subprocess

import pytest

from conftest import ask, merge
import servers

# Where the image keeps them, a folder of memory holds the program, its configuration and the queue: all that it may write is the queue.
START = """
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
cp "$1" /mnt/program
cp "$2" /mnt/suimon.yaml
install -d -o 6033 -g 6033 -m 0750 /mnt/queue
mount -o bind /mnt/queue /mnt/queue
mount -o remount,bind,ro /mnt
mount -o remount,bind,ro /
exec setpriv --reuid=6033 --regid=6033 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs /mnt/program -c /mnt/suimon.yaml
"""


def may_unshare():
    return os.geteuid() == 0 and subprocess.run(["unshare", "--pid", "--mount", "--fork", "--mount-proc", "true"], capture_output=True,
                                                timeout=60).returncode == 0


@pytest.fixture
def contained(suimon, tmp_path):
    """Gives the instance and, seen from here, its process."""
    if not may_unshare():
        pytest.skip("namespaces of its own take root")
    made = []

    def make(changes):
        s = suimon(merge({"queue": {"dir": "/mnt/queue", "user": {"name": "suimon_queue", "password": "suimon_queue"}}}, changes), run=False)
        s.process.env["ASAN_OPTIONS"] = "detect_leaks=0:exitcode=99"  # the search for leaks traces, which takes rights
        s.process.argv = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "/bin/bash", "-c", START, "-", s.binary, s.file]
        s.start()
        with open("/proc/%d/task/%d/children" % (s.process.pid, s.process.pid)) as f:
            made.append(int(f.read().split()[0]))
        return s, made[-1]
    yield make
    for pid in made:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)  # unshare does not pass it on


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def test_process_1_drains_on_sigterm_and_needs_no_rights(contained, db):
    db.setup("CREATE TABLE log (n INT)")
    s, pid = contained({"queue": {"rules": [{"match": {"table": db.name + ".log"}}]}, "drain_timeout": "60s"})
    status = status_of(pid)
    assert status["NSpid"].split()[-1] == "1" and set(status["Uid"].split()) == {"6033"}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0 and status["NoNewPrivs"] == "1"
    with pytest.raises(OSError):
        open("/proc/%d/root/etc/written" % pid, "w")
    assert subprocess.run([s.binary, "health", "--http", "%s:%d" % (servers.LOOPBACK, s.http_port)], timeout=60).returncode == 0
    with s.connect(database=db.name) as c:
        servers.wait_until("a write in the queue", lambda: ask(c, "INSERT INTO log VALUES (1)") == () and
                           s.metrics()["suimon_queue_enqueued_total"] > 0, 60, 0.2)
        os.kill(pid, signal.SIGUSR2)  # with process 1 the container would end
        servers.wait_until("the upgrade to be refused", lambda: "no upgrade: with process 1 its container ends" in s.log_text(), 30)
        c.begin()
        ask(c, "INSERT INTO log VALUES (-1)")
        os.kill(pid, signal.SIGTERM)
        servers.wait_until("it to drain", lambda: "main: draining " in s.log_text(), 30)
        c.commit()
    assert s.process.child.wait(60) == 0 and "main: stopped" in s.log_text()
    assert db.primary("SELECT COUNT(*) > 1, MIN(n) FROM log") == ((1, -1),)


def test_a_shell_inside_reloads_process_1_as_the_manual_says(contained):
    """`kubectl exec` enters the container's namespaces as its user; process 1 hears only signals that it asks for."""
    with open(os.path.join(servers.TOP, "docs", "operations.md")) as f:
        told = re.search(r"^kubectl exec POD -c suimon -- (sh -c '(.+)')$", f.read(), re.M).group(2)
    with open(os.path.join(servers.TOP, "deploy", "kubernetes", "suimon.yaml")) as f:
        assert "-- sh -c '%s'" % told in f.read()
    s, pid = contained({})
    enter = ["nsenter", "--target", str(pid), "--pid", "--mount", "setpriv", "--reuid=6033", "--regid=6033", "--clear-groups", "--no-new-privs"]
    subprocess.run([*enter, "sh", "-c", told], check=True, timeout=60)
    servers.wait_until("a reload", lambda: s.metrics()['suimon_config_reloads_total{result="ok"}'] == 1, 30)


def test_threads_auto_is_one_for_each_processor_it_may_use(suimon):
    """Limits of control groups are tests/unit/cpus_test.c's."""
    may = sorted(os.sched_getaffinity(0))
    for cpus in {1, len(may)}:
        s = suimon({"threads": "auto"}, run=False)
        s.process.argv = ["taskset", "-c", ",".join(map(str, may[:cpus])), *s.process.argv]
        s.start()
        assert 1 <= s.metrics()["suimon_workers"] <= cpus
        s.stop()
