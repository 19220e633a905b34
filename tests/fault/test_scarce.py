"""F1, R3, R4: no file descriptors, no names, a clock that jumps, servers killed in the middle of a result."""
import contextlib
import http.client
import os
import re
import resource
import select
import socket
import threading
import time
import uuid

import pymysql
import pytest

from conftest import MAKE, ask, filled, numbers, who, writes_are_queued
import servers
from servers import sum_metric, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


# ---- a log that nobody reads ----

@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_reads_stderr(suimon, db, tmp_path, form):
    """Sessions, logins and HTTP are served, and it ends; what was lost is told when somebody reads again, and every line is whole."""
    fifo = str(tmp_path / "stderr")
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    s = suimon({"log": form}, run=False)
    s.process.argv = ["/bin/sh", "-c", 'exec "$0" "$@" 2>"%s"' % fifo] + s.process.argv
    s.start()
    os.read(pipe, 1 << 20)
    try:
        while True:
            os.write(pipe, b"\n" * 4096)
    except BlockingIOError:
        pass

    def lost():
        return s.metrics()["suimon_log_lines_lost_total"]
    with s.connect(database=db.name) as c:
        for _ in range(5):
            with pytest.raises(pymysql.MySQLError):
                s.connect(password="wrong")
            assert ask(c, "SELECT 7") == ((7,),)
        assert lost() >= 5
    while len(os.read(pipe, 1 << 20)) == 1 << 20:
        pass
    with pytest.raises(pymysql.MySQLError):
        s.connect(password="wrong")
    wait_until("a line", lambda: select.select([pipe], [], [], 0)[0], 10)
    told = os.read(pipe, 1 << 20).decode()
    assert ("lines_lost=%d\n" if form == "text" else '"lines_lost":%d}\n') % lost() in told
    try:
        while True:
            os.write(pipe, b"\n" * 4096)
    except BlockingIOError:
        pass
    assert s.stop() == 0
    os.close(pipe)


# ---- file descriptors ----

def limit_files(s, may_open):
    """The process may open as many files as it likes, or none. Then its standard streams are the limit: below another one a number
    becomes free when the monitor or a caller of HTTP closes its connection."""
    pid = s.process.pid
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard if may_open else 3, hard))


class Late(threading.Thread):
    """A client that comes while there is no descriptor for it."""

    def __init__(self, s, schema):
        super().__init__(daemon=True)
        self.s, self.schema, self.rows = s, schema, None
        self.start()

    def run(self):
        with self.s.connect(database=self.schema, connect_timeout=30) as c:
            self.rows = ask(c, "SELECT 7")


def test_without_descriptors_new_clients_wait_and_old_ones_go_on(suimon, db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    s = suimon()
    with s.connect(database=db.name) as c:
        ask(c, "UPDATE t SET n = 1")
        who(c)
        limit_files(s, False)
        try:
            late = Late(s, db.name)
            wait_until("the log", lambda: "cannot accept" in s.log_text(), 10)
            for n in range(20):
                ask(c, "UPDATE t SET n = %d" % n)
                assert ask(c, "SELECT n FROM t") == ((n,),)
            assert late.rows is None
            time.sleep(1)  # it is tried again ten times
        finally:
            limit_files(s, True)
        late.join(20)
        assert late.rows == ((7,),)
    is_said_once(s, "listener", lambda: s.connect(database=db.name).close())


def is_said_once(s, subsystem, come):
    """That nobody could be accepted, and, when somebody comes and it has been over for a second, that."""
    wait_until("the end to be said", lambda: (come(), "%s: accepts again" % subsystem in s.log_text())[1], 30, 0.2)
    said = s.log_text()
    assert (said.count("%s: cannot accept" % subsystem), said.count("%s: accepts again" % subsystem)) == (1, 1)


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        words = f.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_a_caller_of_http_waits_and_costs_nothing(suimon):
    s = suimon()
    limit_files(s, False)
    try:
        with socket.create_connection((servers.LOOPBACK, s.http_port), 10) as c:
            c.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            wait_until("the log", lambda: "admin: cannot accept" in s.log_text(), 10)
            used, told = cpu_seconds(s.process.pid), len(s.log_text())
            time.sleep(2)
            used, told = cpu_seconds(s.process.pid) - used, s.log_text()[told:]
            limit_files(s, True)
            assert c.recv(12) == b"HTTP/1.0 200"
    finally:
        limit_files(s, True)
    assert used < 1 and "admin: " not in told and "[warn]" not in told, (used, told[-500:])
    is_said_once(s, "admin", lambda: s.http("/healthz"))


def test_without_descriptors_for_server_connections_statements_wait_or_fail_clearly(suimon, db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    s = suimon({"backend": {"failover_hold": "1s"}})
    with s.connect(database=db.name) as c, s.connect(database=db.name) as d:
        c.begin()
        ask(c, "UPDATE t SET n = 1 WHERE id = 1")
        holders = [s.connect(database=db.name) for _ in range(3)]
        for i, h in enumerate(holders): # every idle connection is somebody's
            h.begin()
            ask(h, "SELECT n FROM t")
        limit_files(s, False)
        try:
            with pytest.raises(pymysql.MySQLError) as e:
                d.begin()
                ask(d, "UPDATE t SET n = 2 WHERE id = 2")
            assert e.value.args[0] == 1927 and "cannot connect" in e.value.args[1], e.value
            ask(c, "UPDATE t SET n = 3 WHERE id = 1")
            limit_files(s, True)
            ask(d, "UPDATE t SET n = 4 WHERE id = 2")
            c.commit()
        finally:
            limit_files(s, True)
            for h in holders:  # else the table is locked, and cannot be dropped
                h.close()
    assert db.primary("SELECT n FROM t ORDER BY id") == ((3,), (4,))


def test_without_descriptors_the_queue_waits_and_goes_on(suimon, db):
    """Q1, F1. Neither who writes its log nor who reads it takes that for a fault of the disk's."""
    db.setup("CREATE TABLE log (n INT PRIMARY KEY, v VARCHAR(4000))")
    s = suimon({"queue": {"max_bytes": "8MiB", "on_full": "error", "rules": [{"match": {"table": db.name + ".log", "verb": "insert"}}]}})
    numbers_of = iter(range(100000))
    admin = http.client.HTTPConnection(servers.LOOPBACK, s.http_port, timeout=30)  # there before, so that it needs no descriptor

    def call(what):
        admin.request("POST", "/api/queue/" + what)
        assert admin.getresponse().read()

    def write(c):
        ask(c, "INSERT INTO log VALUES (%d, '%s')" % (next(numbers_of), "x" * 3500))

    def queued(c):
        write(c)
        return s.metrics()["suimon_queue_acknowledged_total"]

    with s.connect(database=db.name) as c, contextlib.closing(admin):
        wait_until("a write to be queued", lambda: queued(c), 60)
        call("pause")
        for _ in range(600):  # segments are of 1 MiB
            write(c)
        limit_files(s, False)
        try:
            call("resume")
            wait_until("it to be told", lambda: re.search("queue: applying .*Too many open files", s.log_text()), 60)
        finally:
            limit_files(s, True)
        wait_until("the queue to drain", lambda: s.api("/api/queue")["depth"] == 0, 60)
        limit_files(s, False)
        try:
            with pytest.raises(pymysql.MySQLError) as e:
                while True:
                    write(c)
        finally:
            limit_files(s, True)
        assert e.value.args[0] == 1114 and "no file descriptor left" in e.value.args[1], e.value
        assert "raise the limit of open files" in s.log_text()
        time.sleep(1)  # so long it is not asked again
        write(c)
        wait_until("the queue to drain", lambda: s.api("/api/queue")["depth"] == 0, 60)
        assert s.api("/api/queue")["state"] == "running"
    assert db.primary("SELECT COUNT(*) FROM log") == ((next(numbers_of) - 1,),)  # but for the one that was refused


# ---- memory ----

def can_be_refused(binary):
    with open(binary, "rb") as f:
        return b"__asan_init" in f.read()


@pytest.mark.skipif(not can_be_refused(servers.find_suimon()), reason="only AddressSanitizer's allocator refuses when it is told to")
def test_memory_that_is_refused_is_done_without_and_counted(suimon, db, monkeypatch):
    """F2. A result that cannot be kept reaches its client all the same, and SuimonOutOfMemory rings."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)", "INSERT INTO t SELECT seq, REPEAT('x', 4000000) FROM %s" % numbers(1, 6),
             "INSERT INTO t VALUES (7, 'short')")
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99:handle_abort=1:allocator_may_return_null=1"
                       ":max_allocation_size_mb=16")
    s = suimon({"cache": {"memory": "64MiB", "max_result": "64MiB", "rules": [{"match": {"table": db.name + ".t"}, "ttl": "60s"}]}})
    with s.connect(database=db.name) as c:
        def refused():
            before = s.metrics()["suimon_out_of_memory_total"]
            assert ask(c, "SELECT v FROM t WHERE id < 7") == (("x" * 4000000,),) * 6
            return s.metrics()["suimon_out_of_memory_total"] > before
        wait_until("memory to be refused", refused, 30)

        filled(s, c, "SELECT v FROM t WHERE id = 7")
    assert s.stop() == 0
    s.judged = True  # its log has the sanitizer's word for what it refused
    assert "ERROR: AddressSanitizer" not in s.log_text() and "LeakSanitizer" not in s.log_text()


# ---- names and the clock ----

def named(cluster):
    base = cluster.config()
    base["primary"] = "db.test:%d" % cluster.primary.port
    base["replicas"] = ["ro.test:%d" % cluster.replica.port]
    return base


HOSTS = "db.test 127.0.0.1\nro.test 127.0.0.1\n"


def test_names_that_stop_resolving_leave_the_last_address(cluster, db, suimon, shimmed):
    shimmed("hosts", HOSTS)
    s = suimon(base=named(cluster))
    with s.connect(database=db.name) as c:
        assert who(c) == "replica"
        shimmed("hosts", "")
        wait_until("the metric", lambda: sum_metric(s.metrics(), "suimon_resolve_failures_total") >= 2, 15)
        assert "cannot be resolved" in s.log_text()
        for _ in range(5):
            with s.connect(database=db.name) as d: # a new session, new connections
                ask(d, "DO 1")
                assert who(d) == "replica"
        assert who(c) == "replica"
    assert s.http("/readyz")[0] == 200


def test_names_that_do_not_resolve_at_the_start_are_waited_for(cluster, db, suimon, shimmed):
    shimmed("hosts", "")
    base = named(cluster)
    base["backend"]["failover_hold"] = "1s"
    s = suimon(base=base, ready=False)
    wait_until("the process", lambda: s.http("/healthz")[0] == 200, 10)
    with pytest.raises(pymysql.MySQLError) as e:
        s.connect(database=db.name)
    assert "db.test" in str(e.value)
    assert s.http("/readyz")[0] == 503
    shimmed("hosts", HOSTS)
    wait_until("the servers", lambda: s.http("/readyz")[0] == 200, 10)
    with s.connect(database=db.name) as c:
        wait_until("the replica", lambda: who(c) == "replica", 5)


@pytest.mark.parametrize("threads", ["", "others"], ids=["main", "others"])
def test_what_cannot_go_on_ends_with_exit_code_3(suimon, shimmed, threads):
    s = suimon()
    shimmed("epoll", threads)
    assert s.process.child.wait(30) == 3
    s.judged = True
    assert "the event loop failed" in s.log_text() and "AddressSanitizer" not in s.log_text()


def jumps(s):
    return sum_metric(s.metrics(), "suimon_clock_jumps_total")


def test_a_clock_that_jumps_harms_nobody(cluster, db, suimon, shimmed):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)",
             "CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    shimmed("clock", "0")
    s = suimon({"cache": {"rules": [{"match": {"table": db.name + ".t"}, "ttl": "2s"}]},
                "listen": {"idle_timeout": "1m"},
                "queue": {"rules": [{"match": {"table": db.name + ".log", "verb": "insert"}, "order": "table"}]}})
    assert jumps(s) == 0
    with s.connect(database=db.name) as c, s.connect(database=db.name) as waiting:
        ask(waiting, "SELECT 1")
        sent = 0
        for i, seconds in enumerate((86400, -86400, 10 ** 9, -10 ** 9, 0)):
            shimmed("clock", str(seconds))
            wait_until("the metric", lambda: jumps(s) == i + 1, 10)
            for n in range(10):
                ask(c, "INSERT INTO log (n) VALUES (%d)" % n)
                sent += 1
                ask(c, "UPDATE t SET n = %d" % n)
                assert ask(c, "SELECT n FROM t") == ((n,),)
                assert ask(c, "SELECT n FROM t") == ((n,),)
            wait_until("the drain", lambda: s.api("/api/queue")["depth"] == 0, 10)
        assert ask(waiting, "SELECT 2") == ((2,),) # not closed as idle for a day
        db.setup("UPDATE t SET n = 1000") # past suimon: seen when the entry's time is over, not a day later
        wait_until("the ttl", lambda: ask(c, "SELECT n FROM t") == ((1000,),), 5)
        assert who(c) == "replica"
    assert db.primary("SELECT COUNT(*) FROM log")[0][0] == sent
    assert "the wall clock has jumped by=+86" in s.log_text() and jumps(s) == 5


@pytest.mark.parametrize("engine", ["file", "redis"])
def test_a_clock_that_jumps_makes_no_queued_write_older_or_younger(cluster, db, suimon, shimmed, engine):
    """While it is paused, and while it is applied slowly: whoever watches its age is told neither of a day nor of nothing."""
    db.setup("CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    shimmed("clock", "0")
    queue = {"rules": [{"match": {"schema": db.name, "verb": "insert"}, "order": "table"}], "drain": {"rate": 5}}
    if engine == "redis":
        queue.update(engine="redis", url="%s?name=%s&lanes=2" % (cluster.redis.url, uuid.uuid4().hex))
    s = suimon({"queue": queue})
    writes_are_queued([s], db)
    wait_until("the queue", lambda: s.api("/api/queue")["depth"] == 0, 20)
    assert s.http("/api/queue/pause", data={})[0] == 200
    wait_until("the pause", lambda: s.api("/api/queue")["state"] == "paused", 10)
    first = time.monotonic()

    with s.connect(database=db.name) as c:
        for i, seconds in enumerate((0, 86400, -86400, 0)):
            shimmed("clock", str(seconds))
            wait_until("the metric", lambda: jumps(s) == i, 10)
            for n in range(10):
                ask(c, "INSERT INTO log (n) VALUES (%d)" % n)
            last = time.monotonic()
            time.sleep(2)
            assert abs(s.api("/api/queue")["oldest_age"] - (time.monotonic() - first)) < 3
            assert abs(s.metrics()["suimon_queue_oldest_age_seconds"] - (time.monotonic() - first)) < 3
    shimmed("clock", "-3600")
    assert s.http("/api/queue/resume", data={})[0] == 200
    seen = 0
    while True:
        before = time.monotonic()
        q = s.api("/api/queue")
        if db.primary("SELECT COUNT(*) FROM log")[0][0] == 40:
            break
        assert before - last - 3 < q["oldest_age"] < time.monotonic() - first + 3
        assert before < last + 60
        seen += 1
        time.sleep(0.1)
    assert seen > 10
    wait_until("the end", lambda: s.api("/api/queue")["depth"] == 0 == s.api("/api/queue")["oldest_age"], 10)


def test_a_day_that_passes_changes_what_hangs_on_it(tmp_path, cluster, suimon, shimmed):
    """A TIME that meets a DATETIME is one of today: nobody writes, and the answer is another one."""
    shimmed("clock", "0")
    (primary,) = servers.family(str(tmp_path), ("one",), ["shop"], make=MAKE)
    try:
        primary.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, opens TIME, since DATETIME)",
                    "INSERT INTO shop.t VALUES (1, '10:00:00', NOW() + INTERVAL 36 HOUR)")
        base = dict(cluster.config(), primary="127.0.0.1:%d" % primary.port, replicas=[])
        s = suimon({"cache": {"rules": [{"match": {"schema": "shop"}, "ttl": "1h"}]}}, base=base)
        plain, meets = "SELECT opens, since FROM shop.t", "SELECT opens < since, CAST(opens AS DATETIME) FROM shop.t"
        with s.connect() as c, primary.connect("app", "app") as direct:
            for days in (0, 3, 6):
                shimmed("clock", str(days * 86400))
                for _ in range(3):
                    assert ask(c, meets) == ask(direct, meets)
                    assert ask(c, plain) == ask(direct, plain)
        metrics = s.metrics()
        assert sum_metric(metrics, "suimon_cache_hits_total") > 3
        assert sum_metric(metrics, "suimon_cache_refused_total", 'reason="today"') == 9
    finally:
        primary.stop()


# ---- servers killed in the middle of a result ----

@pytest.mark.parametrize("role", ["replica", "primary"])
def test_a_server_killed_in_the_middle_of_a_result_ends_that_result_alone(cluster, tmp_path, suimon, role):
    primary, replica = servers.pair(str(tmp_path), ["shop"], make=MAKE)
    try:
        primary.sql("USE shop", "CREATE TABLE big (id INT PRIMARY KEY, pad CHAR(200))",
                    "INSERT INTO big SELECT seq, REPEAT('x', 200) FROM %s" % numbers(1, 100000))
        replica.catch_up(primary)
        base = cluster.config()
        base["primary"] = "127.0.0.1:%d" % primary.port
        base["replicas"] = ["127.0.0.1:%d" % replica.port]
        s = suimon(base=base)
        hint = "/* suimon: %s */ " % role
        with s.connect(database="shop") as other, \
                s.connect(database="shop", cursorclass=pymysql.cursors.SSCursor) as c:
            assert ask(other, "SELECT COUNT(*) FROM big") == ((100000,),)
            cur = c.cursor()
            cur.execute(hint + "SELECT id, pad FROM big ORDER BY id")
            got = [cur.fetchone()[0] for _ in range(10)]
            (replica if role == "replica" else primary).process.kill()
            with pytest.raises((pymysql.MySQLError, OSError)):
                while True:
                    row = cur.fetchone()
                    assert row is not None, "the result ended as if it were whole"
                    got.append(row[0])
            assert got == list(range(1, len(got) + 1)) and len(got) < 100000
            c._force_close()
            for _ in range(20):
                assert ask(other, "SELECT pad FROM big WHERE id = 5") == (("x" * 200,),)
    finally:
        for m in (replica, primary):
            if m.process.alive():
                m.process.kill()
