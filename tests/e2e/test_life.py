"""Start, reload, drain: a process that is up before its database, changes its mind without a restart, and leaves politely."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pymysql
import pytest

from conftest import KIND, address, ask, drained_in, hits, merge, resolves, who
import servers

LOCK_WAITS = "information_schema.innodb_lock_waits" if KIND == "mariadb" else "performance_schema.data_lock_waits"


def test_a_primary_that_is_down_at_start(suimon, cluster):
    port = servers.free_port()
    s = suimon({"primary": "127.0.0.1:%d" % port, "replicas": [], "backend": {"failover_hold": "1s", "connect_timeout": "500ms"}}, ready=False)
    assert s.http("/healthz")[0] == 200
    status, why = s.http("/readyz")
    assert status == 503 and str(port) in why
    begin = time.monotonic()
    with pytest.raises(pymysql.MySQLError) as e:
        with s.connect() as c:
            ask(c, "SELECT 1")
    assert time.monotonic() - begin < 25 # not the connect timeouts of many attempts
    assert "suimon: " in str(e.value.args[1])


@pytest.mark.skipif(not resolves("localhost"), reason="localhost is no name here (/etc/hosts)")
def test_localhost_is_an_address_as_any_other(suimon, cluster, db, monkeypatch):
    """libmariadb takes that name for a socket, of whatever server has it: the schema and the queue's drain would be another server's."""
    monkeypatch.setenv("MYSQL_UNIX_PORT", cluster.replica.socket)
    db.setup("CREATE TABLE t (n INT PRIMARY KEY)", "CREATE TABLE log (n INT PRIMARY KEY)")
    s = suimon({"primary": "localhost:%d" % cluster.primary.port, "replicas": [], "cache": {"rules": [{"match": {"table": "t"}, "ttl": "60s"}]},
                "queue": {"rules": [{"match": {"table": "log"}}]}})
    with s.connect(database=db.name) as c:
        servers.wait_until("the cache to answer", lambda: ask(c, "SELECT COUNT(*) FROM t") and hits(s) > 0, 30)
        before = s.metrics()["suimon_queue_acknowledged_total"]
        ask(c, "INSERT INTO log VALUES (1)")
        assert s.metrics()["suimon_queue_acknowledged_total"] == before + 1
        servers.wait_until("it to be applied", lambda: db.primary("SELECT n FROM log") == ((1,),), 30)


def test_it_is_ready_when_its_primary_is(suimon, tmp_path):
    late = servers.MariaDB(str(tmp_path), "late", 9)
    late.install()
    s = suimon({"primary": "127.0.0.1:%d" % late.port, "replicas": []}, ready=False)
    assert s.http("/readyz")[0] == 503
    try:
        late.start()
        late.sql(*servers.ACCOUNTS)
        servers.wait_until("readiness", lambda: s.http("/readyz")[0] == 200, 10)
        with s.connect() as c:
            assert ask(c, "SELECT 1") == ((1,),)
    finally:
        late.stop()


def test_sighup_brings_new_rules_into_force(suimon, db):
    s = suimon()
    with s.connect(database=db.name) as c:
        servers.wait_until("the replica to be up", lambda: who(c) == "replica", 10)
        s.write(merge(s.config, {"routing": {"rules": [{"match": {"table": "%s.whoami" % db.name}, "to": "primary"}]}}))
        s.process.signal(signal.SIGHUP)
        servers.wait_until("the reload", lambda: who(c) == "primary", 5)


def test_a_reload_that_fails_changes_nothing_and_says_why(suimon, db):
    s = suimon()
    with s.connect(database=db.name) as c:
        s.write(merge(s.config, {"routing": {"consistency": "perhaps"}}))
        s.process.signal(signal.SIGHUP)
        servers.wait_until("the log to say why", lambda: "routing.consistency" in s.log_text(), 5)
        servers.wait_until("the replica to be up", lambda: who(c) == "replica", 10)
        status, text = s.http("/api/config/reload", data={})
        assert status >= 400 and "routing.consistency" in text
        assert s.process.alive()


def test_a_reload_cannot_change_what_needs_a_restart(suimon, db):
    s = suimon()
    s.write(merge(s.config, {"primary": "127.0.0.1:1", "routing": {"consistency": "strong"}}))
    status, text = s.http("/api/config/reload", data={})
    assert status == 409 and "primary: only a restart can change it" in text
    assert "primary: only a restart can change it" in s.log_text()
    with s.connect(database=db.name) as c:
        assert who(c) == "replica"


def test_reload_over_http(suimon, db):
    s = suimon()
    s.write(merge(s.config, {"routing": {"consistency": "strong"}}))
    assert s.http("/api/config/reload", data={})[0] == 200
    with s.connect(database=db.name) as c:
        assert who(c) == "primary"
    assert "strong" in s.http("/api/config")[1]


def test_a_configuration_that_was_a_pipe_is_read_once(suimon, tmp_path):
    """As in `suimon -c <(...)`, or from who hands secrets over in a pipe: nothing waits for it to be written again."""
    s = suimon(run=False)
    with open(s.file) as f:
        text = f.read()
    os.unlink(s.file)
    os.mkfifo(s.file)

    def write():
        with open(s.file, "w") as f:
            f.write(text)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    s.start()
    writer.join(30)
    try:
        s.process.signal(signal.SIGHUP)
        servers.wait_until("the reload to be refused", lambda: "no regular file: it is read once, at the start" in s.log_text(), 30)
        assert s.http("/api/config/reload", data={})[0] == 409 and s.http("/healthz")[0] == 200
        with s.connect() as c:
            assert ask(c, "SELECT 1") == ((1,),)
    finally:
        with contextlib.suppress(OSError):  # who waits for it is let go
            os.close(os.open(s.file, os.O_WRONLY | os.O_NONBLOCK))


def test_a_reload_keeps_the_debug_log(suimon, db, monkeypatch):
    monkeypatch.setenv("SUIMON_DEBUG", "1")
    s = suimon()
    assert s.http("/api/config/reload", data={})[0] == 200
    after = len(s.log_text())
    with s.connect(database=db.name) as c:
        ask(c, "SELECT 1")
    servers.wait_until("a line of it", lambda: "DEBUG " in s.log_text()[after:], 30)


def test_reloads_are_counted_whoever_asks_for_them(suimon):
    s = suimon()
    s.process.signal(signal.SIGHUP)
    servers.wait_until("a reload", lambda: s.metrics()['suimon_config_reloads_total{result="ok"}'] == 1, 30)
    assert s.http("/api/config/reload", data={})[0] == 200
    s.write(merge(s.config, {"routing": {"consistency": "perhaps"}}))
    s.process.signal(signal.SIGHUP)
    servers.wait_until("a refusal", lambda: s.metrics()['suimon_config_reloads_total{result="error"}'] == 1, 30)
    assert s.metrics()['suimon_config_reloads_total{result="ok"}'] == 2


def test_a_reload_cannot_open_a_queue_or_make_a_cache(suimon, db, tmp_path):
    s = suimon({"cache": {"memory": 0}})
    rule = {"match": {"table": "%s.log" % db.name, "verb": "insert"}}
    s.write(merge(s.config, {"queue": {"dir": str(tmp_path / "later"), "rules": [rule]}, "cache": {"memory": "8MiB"}}))
    status, text = s.http("/api/config/reload", data={})
    assert status == 409 and "queue.rules: only a restart" in text and "cache.memory: only a restart" in text
    with open(os.path.join(servers.TOP, "docs", "configuration.md")) as f:
        rows = {line.split("`")[1]: line for line in f if re.match(r"\| `[a-z0-9_.]+` \|", line)}
    for option in ("queue.rules", "cache.memory"):  # which a reload changes otherwise
        assert "take a restart" in rows[option] or "takes a restart" in rows[option], option


def test_a_new_account_after_reload(suimon, cluster):
    cluster.setup("DROP USER IF EXISTS late@'%'", "CREATE USER late@'%' IDENTIFIED BY 'late'")
    s = suimon({"users": [{"name": "app", "password": "app"}]})
    with pytest.raises(pymysql.MySQLError):
        s.connect("late", "late")
    s.write(merge(s.config, {"users": [{"name": "app", "password": "app"}, {"name": "late", "password": "late"}]}))
    s.process.signal(signal.SIGHUP)
    servers.wait_until("the account", lambda: s.connect("late", "late").close() or True, 5)


def test_an_account_that_changes_or_goes_after_reload(suimon, cluster):
    cluster.setup("DROP USER IF EXISTS late@'%'", "CREATE USER late@'%' IDENTIFIED BY 'late'")
    app, late = {"name": "app", "password": "app"}, {"name": "late", "password": "late"}
    s = suimon({"users": [app, late]})

    def takes(*users):
        s.write(merge(s.config, {"users": list(users)}))
        assert s.http("/api/config/reload", data={})[0] == 200

    def refuses_login(password):
        with pytest.raises(pymysql.MySQLError) as e:
            s.connect("late", password)
        return e.value.args[0] == 1045
    with s.connect("late", "late") as before:
        takes(app, {"name": "late", "password": "new"})
        assert refuses_login("late")
        cluster.setup("ALTER USER late@'%' IDENTIFIED BY 'new'")
        with s.connect("late", "new") as c:
            assert ask(c, "SELECT 1") == ((1,),)
        takes(app)
        assert refuses_login("new")
        assert ask(before, "SELECT 1") == ((1,),)  # who is logged in keeps what they have
    with s.connect() as c:
        assert ask(c, "SELECT 1") == ((1,),)


def test_sigterm_lets_a_transaction_finish(suimon, db):
    db.setup("CREATE TABLE t (n INT)")
    s = suimon({"drain_timeout": "300s"})
    busy, idle = s.connect(database=db.name), s.connect(database=db.name)
    busy.begin()
    ask(busy, "INSERT INTO t VALUES (1)")
    s.process.signal(signal.SIGTERM)
    while not refuses(s):
        time.sleep(0.001)
    status, why = s.http("/readyz")  # it has turned by the time that nobody is let in
    assert status == 503 and "drain" in why and s.http("/healthz")[0] == 200
    ask(busy, "INSERT INTO t VALUES (2)")
    busy.commit()
    assert s.process.child.wait(60) == 0
    drained_in(s, 0, 50)  # not drain_timeout
    assert db.primary("SELECT COUNT(*) FROM t") == ((2,),)
    idle._force_close()
    busy._force_close()


def test_readyz_turns_while_clients_are_served_yet(suimon, db):
    """Who looks at it has a tenth of drain_timeout to send new clients elsewhere, before one is refused."""
    s = suimon({"drain_timeout": "50s"})
    old = s.connect(database=db.name)
    s.process.signal(signal.SIGTERM)
    servers.wait_until("it to turn", lambda: s.http("/readyz")[0] == 503, 30)
    assert s.http("/healthz")[0] == 200 and "drain" in s.http("/readyz")[1]
    with s.connect(database=db.name) as late:
        assert ask(late, "SELECT 1") == ask(old, "SELECT 1") == ((1,),)
    assert not any("session closed" in line and "draining" in line for line in s.log_text().splitlines())
    while not refuses(s):
        try:
            assert s.http("/readyz")[0] == 503
        except OSError:  # it has drained since it was asked, and ended
            break
        time.sleep(0.05)
    servers.wait_until("the idle one to be closed", lambda: is_closed(old), 30)
    assert s.process.child.wait(60) == 0
    old._force_close()


def is_closed(c):
    try:
        ask(c, "SELECT 1")
    except (pymysql.MySQLError, OSError):
        return True
    return False


def refuses(s):
    try:
        socket.create_connection((servers.LOOPBACK, s.mysql_port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_transaction_that_does_not_end_is_cut_after_drain_timeout(suimon, db):
    db.setup("CREATE TABLE t (n INT)")
    s = suimon({"drain_timeout": "1s"})
    c = s.connect(database=db.name)
    c.begin()
    ask(c, "INSERT INTO t VALUES (1)")
    s.process.signal(signal.SIGTERM)
    assert s.process.child.wait(60) == 0
    drained_in(s, 0.99, 1)
    c._force_close()
    assert db.primary("SELECT COUNT(*) FROM t") == ((0,),)


def test_a_queue_whose_database_hangs_has_no_more_than_the_rest_of_drain_timeout(suimon, cluster, db):
    """A transaction that does not end has used all of it up. What the batch has done is read back (Q2)."""
    db.setup("CREATE TABLE t (n INT PRIMARY KEY)", "CREATE TABLE u (n INT)")
    s = suimon({"drain_timeout": "2s", "queue": {"rules": [{"match": {"table": db.name + ".t", "verb": "insert"}}]}})
    with cluster.primary.root(database=db.name, autocommit=False) as holder, \
            s.connect(database=db.name) as c, s.connect(database=db.name) as d:
        ask(d, "INSERT INTO t VALUES (1)")
        servers.wait_until("the first", lambda: db.primary("SELECT n FROM t") == ((1,),), 30)
        ask(holder, "INSERT INTO t VALUES (2)")  # locks it
        ask(d, "INSERT INTO t VALUES (2)")
        c.begin()
        ask(c, "INSERT INTO u VALUES (1)")
        # InnoDB's tables of locks are read anew only when nobody has looked for a tenth of a second.
        servers.wait_until("the drain to wait", lambda: cluster.primary.sql(
            "SELECT COUNT(*) FROM " + LOCK_WAITS) == ((1,),), 30, interval=0.3)
        s.process.signal(signal.SIGTERM)
        assert s.process.child.wait(60) == 0
        allowed, = re.findall(r"the database does not answer in time.* allowed=(\d+)ms", s.log_text())
        assert int(allowed) <= 500
        drained_in(s, 1.99, 2)
        c._force_close()
        d._force_close()
        holder.rollback()
    s.start()
    servers.wait_until("both", lambda: db.primary("SELECT n FROM t ORDER BY n") == ((1,), (2,)), 30)
    assert db.primary("SELECT COUNT(*) FROM u") == ((0,),)


def test_a_second_sigterm_ends_it_at_once(suimon, db):
    s = suimon({"drain_timeout": "300s"})
    s.judged = True
    c = s.connect(database=db.name)
    c.begin()
    ask(c, "SELECT 1 FROM whoami FOR UPDATE")
    s.process.signal(signal.SIGTERM)
    time.sleep(0.3)
    assert s.process.alive()
    s.process.signal(signal.SIGTERM)
    assert s.process.child.wait(60) == 0
    assert "second signal: exiting at once" in s.log_text()
    c._force_close()


def test_a_second_sigterm_does_not_wait_for_the_queue(suimon, cluster, db):
    """Q1, Q2: the drain's batch hangs on a lock, and what was acknowledged is applied by the next one."""
    db.setup("CREATE TABLE t (n INT)")
    s = suimon({"queue": {"rules": [{"match": {"table": db.name + ".t", "verb": "insert"}}]}})
    s.judged = True
    with cluster.primary.root(database=db.name) as holder, holder.cursor() as cur:
        with s.connect(database=db.name) as c:
            ask(c, "INSERT INTO t VALUES (1)")
            servers.wait_until("the first", lambda: db.primary("SELECT n FROM t") == ((1,),), 30)
            cur.execute("LOCK TABLES t WRITE")
            ask(c, "INSERT INTO t VALUES (2)")
        waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'suimon_queue' AND state LIKE 'Waiting for table%'"
        servers.wait_until("the drain to wait", lambda: cluster.primary.sql(waiting) == ((1,),), 30)
        s.process.signal(signal.SIGTERM)
        servers.wait_until("the sessions to be gone", lambda: " drained" in s.log_text(), 30)
        s.process.signal(signal.SIGTERM)
        assert s.process.child.wait(60) == 0
        assert "second signal: exiting at once" in s.log_text()
        assert "main: stopped" not in s.log_text() # or it went the whole way
        cur.execute("UNLOCK TABLES")
    s.judged = False
    s.start()
    servers.wait_until("both", lambda: db.primary("SELECT n FROM t ORDER BY n") == ((1,), (2,)), 30)


def test_a_running_statement_finishes_before_the_end(suimon, db):
    s = suimon({"drain_timeout": "60s"})
    c = s.connect(database=db.name)
    got = []
    thread = threading.Thread(target=lambda: got.append(ask(c, "SELECT SLEEP(3), 'done'")))
    thread.start()
    servers.wait_until("it to run", lambda: any("sleep" in str(x).lower() for x in servers.listing(s.api("/api/clients"))), 30)
    s.process.signal(signal.SIGTERM)
    thread.join(60)
    assert got == [((0, "done"),)]
    assert s.process.child.wait(60) == 0
    c._force_close()


def said(s, what):
    return [line for line in s.log_text().splitlines() if what in line]


def test_a_start_is_one_line_with_what_matters(suimon, cluster, db):
    s = suimon({"users": [{"name": "app", "password": "app"}, {"passthrough": True}], "cache": {"redis": cluster.redis.url},
                "queue": {"rules": [{"match": {"table": db.name + ".log"}}]}})
    line, = said(s, "main: starting ")
    version = re.match(r"suimon (\S+)", subprocess.run([s.binary, "version"], capture_output=True, text=True, timeout=60).stdout).group(1)
    assert line.split("starting ")[1] == (
        'version=%s config="%s" primary=%s replicas=1 discovery=none consistency=session cache=memory+redis queue="%s" users=1+passthrough' % (
            version, s.file, address(cluster.primary), s.config["queue"]["dir"]))
    for what in ("main: listening for clients ", "main: listening for HTTP ", "main: ready "):
        assert len(said(s, what)) == 1, what


def test_a_change_of_state_is_one_line_however_long_it_lasts(suimon, tmp_path):
    own = servers.MariaDB(str(tmp_path), "own", 9)
    own.install()
    own.start()
    try:
        own.sql(*servers.ACCOUNTS)
        s = suimon({"primary": address(own), "replicas": [], "backend": {"failover_hold": "100ms"}})
        begin = len(said(s, "backend: "))
        own.stop()
        servers.wait_until("the loss to be told", lambda: said(s, "backend: down "), 30)
        for _ in range(5):  # and statements that fail of it add none
            with pytest.raises(pymysql.MySQLError):
                with s.connect() as c:
                    ask(c, "SELECT 1")
        time.sleep(2)  # ten looks of the monitor
        assert s.http("/readyz")[0] == 503
        assert len(said(s, "backend: down ")) == 1
        own.start()
        servers.wait_until("its return to be told", lambda: len(said(s, "backend: up ")) > begin, 30)
        assert len(said(s, "backend: ")) == begin + 2
    finally:
        own.stop()


@contextlib.contextmanager
def told_once_each(s, area, lost, back, lasts=4):
    """Within it something is lost, which lasts; on_return() of what it gives brings it back. Each is one line of the area."""
    before = len(said(s, area))

    def lines():
        return said(s, area)[before:]

    class Told:
        def until_lost(self):
            servers.wait_until("the loss to be told", lines, 30)
            time.sleep(lasts)
            assert len(lines()) == 1 and lost in lines()[0], lines()

    yield Told()
    servers.wait_until("its return to be told", lambda: len(lines()) > 1, 60)
    time.sleep(1)
    assert len(lines()) == 2 and back in lines()[1], lines()


def test_the_bus_lost_and_back_are_a_line_each(suimon, db, tmp_path):
    redis = servers.Redis(str(tmp_path), "bus")
    redis.start()
    try:
        s = suimon({"cache": {"redis": redis.url, "rules": [{"match": {"schema": db.name}, "ttl": "60s"}]}})
        servers.wait_until("the bus", lambda: said(s, "cache: Redis and the invalidation bus are up"), 30)
        with s.connect(database=db.name) as c, told_once_each(s, "cache: ", "the invalidation bus is down", "the invalidation bus are up") as told:
            time.sleep(1)  # each worker's own connection
            redis.stop()
            for _ in range(5):
                who(c)
            told.until_lost()
            redis.start()
    finally:
        redis.stop()


def test_a_worker_that_redis_turns_away_is_a_line_and_so_is_its_return(suimon, db, tmp_path):
    """The bus has its connections; for the only worker's own one Redis has no room."""
    redis = servers.Redis(str(tmp_path), "bus")
    redis.start()

    def looks():
        """Reads that ask Redis, for what Redis does not have."""
        who(c)
        return said(s, "cache: a worker ")

    try:
        s = suimon({"threads": 1, "cache": {"redis": redis.url, "rules": [{"match": {"schema": db.name}, "ttl": "1ms"}]}})
        servers.wait_until("the bus", lambda: said(s, "cache: Redis and the invalidation bus are up"), 30)
        with s.connect(database=db.name) as c, contextlib.closing(socket.create_connection((servers.LOOPBACK, redis.port), 30)) as held:
            def command(words):
                held.sendall(words.encode() + b"\r\n")
                return held.recv(65536).decode()

            def asking():
                """How many connections there are, and which of them last looked a result up."""
                lines = [dict(word.partition("=")[::2] for word in line.split()) for line in command("CLIENT LIST").splitlines() if line.startswith("id=")]
                workers = [x["id"] for x in lines if x["cmd"] in ("get", "mget", "pttl")]
                return (len(lines), workers) if workers else None

            n, workers = servers.wait_until("the worker to ask Redis", lambda: (who(c), asking())[1], 30)
            with told_once_each(s, "cache: ", "a worker cannot use Redis", "a worker uses Redis again") as told:
                command("CONFIG SET maxclients %d" % (n - len(workers)))
                for one in workers:
                    command("CLIENT KILL ID " + one)
                servers.wait_until("it to be told", looks, 60)
                told.until_lost()
                command("CONFIG SET maxclients 100")
                servers.wait_until("its return", lambda: len(looks()) == 2, 60)
    finally:
        redis.stop()


def test_a_replica_that_lags_and_catches_up_are_a_line_each(suimon, cluster, db):
    db.setup("CREATE TABLE t (n INT)")
    s = suimon({"backend": {"monitor": {"max_lag": "300ms"}}})
    servers.wait_until("both", lambda: len(said(s, "backend: up ")) == 2, 30)
    with s.connect(database=db.name) as c, told_once_each(s, "backend: ", "backend: lagging ", "backend: up ") as told:
        with cluster.replica_behind():
            ask(c, "INSERT INTO t VALUES (1)")
            told.until_lost()


def test_another_primary_is_one_line_and_so_is_another_that_takes_writes(suimon, cluster, tmp_path):
    """While both take writes, suimon stays with the one, and says so once; when that is gone it goes on at the other."""
    pair = servers.family(str(tmp_path), ("one", "two"), ["shop"])
    try:
        s = suimon({"primary": address(pair[0]), "replicas": [address(pair[1])]})
        servers.wait_until("both", lambda: len(said(s, "backend: up ")) == 2, 30)
        with told_once_each(s, "topology: ", "several servers take writes", "no more than one server takes writes") as told:
            pair[1].sql("SET GLOBAL read_only = OFF")
            told.until_lost()
            pair[1].sql("SET GLOBAL read_only = ON")
        pair[0].sql("SET GLOBAL read_only = ON")
        pair[1].promote()
        servers.wait_until("the other", lambda: said(s, "topology: another server is the primary "), 30)
        time.sleep(4)  # a score of looks
        assert len(said(s, "topology: another server is the primary ")) == 1
    finally:
        for one in pair:
            one.stop()


def test_a_queue_that_waits_and_goes_on_are_a_line_each(suimon, db, tmp_path):
    own = servers.MariaDB(str(tmp_path), "own", 9)
    own.install()
    own.start()
    try:
        own.sql(*servers.ACCOUNTS, "CREATE DATABASE shop", "CREATE TABLE shop.log (n INT)", "GRANT ALL ON shop.* TO app@'%', suimon_queue@'%'")
        s = suimon({"primary": address(own), "replicas": [], "queue": {"rules": [{"match": {"table": "shop.log", "verb": "insert"}}]}})
        with s.connect(database="shop") as c:
            ask(c, "INSERT INTO log VALUES (1)")
            servers.wait_until("it to be applied", lambda: own.sql("SELECT COUNT(*) FROM shop.log") == ((1,),), 30)
            with told_once_each(s, "queue: ", "queue: applying waits", "queue: applying ", 12) as told:
                own.stop()
                for n in range(5):
                    ask(c, "INSERT INTO log VALUES (2)")
                told.until_lost()
                own.start()
            assert len(said(s, "backend: down ")) == 1
    finally:
        own.stop()


def test_a_queue_that_halts_and_goes_on_are_a_line_each(suimon, db):
    db.setup("CREATE TABLE log (n INT PRIMARY KEY)")
    s = suimon({"queue": {"rules": [{"match": {"table": db.name + ".log", "verb": "insert"}, "on_error": "halt"}]}})
    with s.connect(database=db.name) as c:
        ask(c, "INSERT INTO log VALUES (1)")
        servers.wait_until("it to be applied", lambda: db.primary("SELECT COUNT(*) FROM log") == ((1,),), 30)
        with told_once_each(s, "queue: ", "queue: applying has halted", "queue: resumed") as told:
            for _ in range(3):
                ask(c, "INSERT INTO log VALUES (1)")
            told.until_lost()
            db.primary("ALTER TABLE log DROP PRIMARY KEY")
            assert s.http("/api/queue/resume", data={})[0] == 200


@pytest.mark.parametrize("lose", ["connection", "right"])
def test_a_binary_log_that_is_lost_and_back_is_a_line_each(suimon, db, cluster, lose):
    name = "watcher_" + db.name
    grant = "GRANT REPLICATION SLAVE ON *.* TO %s@'%%'" % name
    cluster.setup("CREATE USER %s@'%%' IDENTIFIED BY 'w'" % name, grant,
                  "GRANT %sREPLICATION CLIENT, SELECT, SHOW VIEW, TRIGGER ON *.* TO %s@'%%'"
                  % ("SLAVE MONITOR, " if "MariaDB" in cluster.primary.process.name else "", name))
    s = suimon({"backend": {"monitor": {"user": name, "password": "w"}}, "cache": {"binlog": True, "rules": [{"match": {"schema": db.name}, "ttl": "60s"}]}})
    servers.wait_until("the log to be followed", lambda: s.metrics()["suimon_cache_binlog_live"] == 1, 30)
    try:
        with told_once_each(s, "follow: ", "cannot be followed", "following the primary's binary log") as told:
            if lose == "right":
                cluster.setup("REVOKE REPLICATION SLAVE ON *.* FROM %s@'%%'" % name)
            for row in cluster.primary.sql("SHOW PROCESSLIST"):
                if row[4].startswith("Binlog Dump") and row[1] == name:
                    cluster.primary.sql("KILL %d" % row[0])
            if lose == "right":
                told.until_lost()
                cluster.setup(grant)
            servers.wait_until("it to be followed again", lambda: s.metrics()["suimon_cache_binlog_live"] == 1, 60)
    finally:
        s.stop()
        cluster.setup("DROP USER %s@'%%'" % name)


def test_shared_rules_that_cannot_be_read_and_can_again_are_a_line_each(suimon, tmp_path):
    redis = servers.Redis(str(tmp_path), "shared")
    redis.start()
    try:
        s = suimon({"config": {"source": "redis://%s:%d/0/rules" % (servers.LOOPBACK, redis.port), "copy": str(tmp_path / "copy")}})
        servers.wait_until("it to be read", lambda: s.api("/api/config")["source"]["state"] == "missing", 30)
        with told_once_each(s, "config: ", "Redis does not answer", "Redis answers again") as told:
            redis.stop()
            told.until_lost()
            redis.start()
    finally:
        redis.stop()


def test_logs_are_lines_of_a_known_form(suimon, db):
    s = suimon()
    s.connect(database=db.name).close()
    for line in s.log_text().splitlines():
        assert re.match(r"(DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL) \S+ [a-z0-9_.]+: ", line, re.I), line
    j = suimon({"log": "json"})
    j.connect(database=db.name).close()
    for line in j.log_text().splitlines():
        json.loads(line)


def test_a_session_that_set_its_wait_timeout_ends_as_it_would_on_the_server(suimon, db):
    """P1; the connection that it used is the pool's, and stays."""
    s = suimon()
    c = s.connect(database=db.name)
    ask(c, "SET SESSION wait_timeout = 1")
    assert ask(c, "SELECT 1") == ((1,),)
    other = s.connect(database=db.name)
    servers.wait_until("it to end", lambda: len(servers.listing(s.api("/api/clients"))) == 1, 30)
    with pytest.raises((pymysql.MySQLError, OSError)):
        ask(c, "SELECT 1")
    assert ask(other, "SELECT 2") == ((2,),)
    c._force_close()
    other.close()


def test_sessions_beyond_their_idle_timeout_end(suimon, db):
    s = suimon({"listen": {"idle_timeout": "1s"}})
    c = s.connect(database=db.name)
    servers.wait_until("it to end", lambda: not servers.listing(s.api("/api/clients")), 30)
    with pytest.raises((pymysql.MySQLError, OSError)):
        ask(c, "SELECT 1")
    c._force_close()
