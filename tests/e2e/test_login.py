"""P1: who may log in, how, and what the refused are told."""
import concurrent.futures
import contextlib
import itertools
import json
import os
import re
import socket
import struct
import subprocess
import time

import pymysql
from pymysql.constants.CLIENT import FOUND_ROWS, IGNORE_SPACE, LOCAL_FILES, NO_SCHEMA, ODBC, PLUGIN_AUTH, PROTOCOL_41, SECURE_CONNECTION
import pytest

from conftest import KIND, ask, filled, hits, mariadb_only
import servers
import wire


def refused(connect, *words, **more):
    """The (code, text) a login fails with."""
    with pytest.raises(pymysql.MySQLError) as e:
        connect(*words, **more)
    return e.value.args[0], e.value.args[1]


def test_a_configured_account_logs_in(proxy):
    with proxy.connect("app", "app") as c:
        assert ask(c, "SELECT CURRENT_USER()") == (("app@%",),)


def test_an_account_nobody_configured_passes_through(proxy):
    with proxy.connect("guest", "guest") as c:
        assert ask(c, "SELECT CURRENT_USER()") == (("guest@%",),)


def test_a_passed_through_account_logs_in_again_and_again(proxy):
    for _ in range(5):
        proxy.connect("guest", "guest").close()


def threads_of(instance):
    tasks = "/proc/%d/task" % instance.process.child.pid
    names = []
    for task in os.listdir(tasks):
        with contextlib.suppress(FileNotFoundError), open("%s/%s/comm" % (tasks, task)) as f:
            names.append(f.read().strip())
    return names


def asks_for_the_key(instance):
    """A connection by TCP that has sent its login, and then asked for the key under which a password is sent."""
    sock = socket.create_connection((servers.LOOPBACK, instance.mysql_port), timeout=30)
    caps = PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH
    login = struct.pack("<IIB23x", caps, 1 << 24, 45) + b"guest\0" + b"\x20" + bytes(32) + b"caching_sha2_password\0"
    packet(sock)  # the greeting
    sock.sendall(struct.pack("<I", len(login) | 1 << 24) + login)
    assert packet(sock) == b"\x01\x04"  # the full exchange
    sock.sendall(struct.pack("<I", 1 | 3 << 24) + b"\x02")
    return sock


def packet(sock):
    return wire.read_exactly(sock, struct.unpack("<I", wire.read_exactly(sock, 4))[0] & 0xffffff)


def test_the_key_for_passwords_is_made_when_the_first_client_asks(suimon):
    """Others go on while it is made; who goes away meanwhile, or speaks out of turn, harms nobody."""
    s = suimon()
    s.connect("app", "app").close()
    assert "login key" not in threads_of(s)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(asks_for_the_key(s))
        gone, hasty = asks_for_the_key(s), stack.enter_context(asks_for_the_key(s))
        gone.close()
        hasty.sendall(struct.pack("<I", 1 | 5 << 24) + b"\x02")
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            several = [pool.submit(s.connect, "guest", "guest") for _ in range(12)]
            assert ask(s.connect("app", "app"), "SELECT 1") == ((1,),)
            for c in several:
                with c.result(60) as connection:
                    assert ask(connection, "SELECT CURRENT_USER()") == (("guest@%",),)
        assert packet(first).startswith(b"\x01-----BEGIN PUBLIC KEY-----")
    servers.wait_until("its thread to be gone", lambda: "login key" not in threads_of(s), 30)


def test_a_process_ends_in_order_while_the_key_is_made(suimon):
    s = suimon({"drain_timeout": "1s"})
    with asks_for_the_key(s):
        assert s.stop() == 0
        assert "main: stopped" in s.log_text()


def test_with_passthrough_alone_the_schema_is_read_as_who_has_logged_in(suimon):
    s = suimon({"users": "passthrough", "backend": {"monitor": {"user": "", "password": ""}}})
    assert "no account is known yet" in s.http("/api/cache")[1]
    s.connect("guest", "guest").close()
    servers.wait_until("the schema", lambda: '"readable":true' in s.http("/api/cache")[1], 10)


@pytest.mark.parametrize("user,password,using", [
    ("app", "wrong", "YES"), ("app", "", "NO"), ("guest", "wrong", "YES"), ("guest", "", "NO"),
    ("nobody", "x", "YES"), ("nobody", "", "NO")])
def test_a_wrong_password_is_told_as_mysql_tells_it(proxy, user, password, using):
    code, text = refused(proxy.connect, user, password)
    assert code == 1045
    assert re.fullmatch(r"Access denied for user '%s'@'[^']+' \(using password: %s\)" % (user, using), text)


def test_the_log_says_who_was_refused(suimon, cluster):
    s = suimon()
    for user in ("app", "guest", "no body"):
        refused(s.connect, user, "Zq7-wrong", bind_address="127.0.0.3")
    lines = [line for line in s.log_text().splitlines() if "session: a login was refused " in line]
    assert [re.search(r" peer=127\.0\.0\.3 user=\"(.*)\" code=1045$", line).group(1) for line in lines] == ["app", "guest", "no body"]
    assert "Zq7-wrong" not in s.log_text()


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_accounts_name_is_one_value_in_the_log(suimon, cluster, form):
    """Whoever chooses it adds no field to a line, and changes none."""
    name = 'a peer=9.9.9.9 reason=x "y'
    cluster.setup("CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED BY 'x'" % name)
    s = suimon({"log": form, "limits": {"rules": [{"match": {"query": "sleep"}, "max_time": "300ms"}]}})
    with s.connect(name, "x") as c:
        with contextlib.suppress(pymysql.MySQLError):  # MySQL's SLEEP says 1 when it is killed
            ask(c, "SELECT SLEEP(20)")
    c = s.connect(name, "x")
    c._sock.sendall(b"\x01\x00\x00\x05\x03")
    servers.wait_until("the lines", lambda: "malformed packet" in s.log_text() and "it is killed" in s.log_text(), 10)
    lines = [line for line in s.log_text().splitlines() if "9.9.9.9" in line]
    assert len(lines) >= 2
    for line in lines:
        if form == "json":
            fields = json.loads(line)
            assert fields["user"] == name and fields.get("peer", servers.LOOPBACK) == servers.LOOPBACK and fields.get("reason", "malformed packet") == "malformed packet"
        else:
            assert r' user="a peer=9.9.9.9 reason=x \"y" ' in line


@pytest.mark.parametrize("user", ["app", "guest"])
def test_over_a_unix_socket_the_refused_is_at_localhost(suimon, tmp_path, user):
    path = str(tmp_path / "sock")
    s = suimon({"listen": {"mysql": "unix:" + path}})
    code, text = refused(pymysql.connect, unix_socket=path, user=user, password="wrong")
    assert code == 1045
    if user == "app": # the other's is the server's word
        assert text == "Access denied for user 'app'@'localhost' (using password: YES)"
    pymysql.connect(unix_socket=path, user=user, password=user).close()
    assert s.process.alive()


@pytest.mark.parametrize("plugin", ["mysql_native_password", "caching_sha2_password", "client_ed25519", "mysql_clear_password"])
@pytest.mark.parametrize("user", ["app", "guest"])
def test_the_mariadb_client_logs_in_whatever_its_own_plugin(proxy, user, plugin):
    def login(password):
        return subprocess.run(["mariadb", "--no-defaults", "-h", servers.LOOPBACK, "-P", str(proxy.mysql_port), "-u", user, "-p" + password,
                               "--default-auth=" + plugin, "-Ne", "SELECT 7"], capture_output=True, text=True, timeout=60)
    assert login(user).stdout == "7\n"
    assert "ERROR 1045" in login("wrong").stderr


def test_a_wrong_password_after_a_right_one_is_refused(proxy):
    proxy.connect("guest", "guest").close()
    assert refused(proxy.connect, "guest", "wrong")[0] == 1045
    proxy.connect("guest", "guest").close()


def test_unlisted_accounts_are_refused_without_passthrough(suimon):
    s = suimon({"users": [{"name": "app", "password": "app"}]})
    s.connect("app", "app").close()
    code, text = refused(s.connect, "guest", "guest")
    assert code == 1045 and text.startswith("Access denied for user 'guest'@'")


def test_an_account_with_an_empty_password(cluster, suimon):
    cluster.setup("CREATE USER IF NOT EXISTS nopassword@'%' IDENTIFIED BY ''")
    s = suimon({"users": [{"name": "nopassword", "password": ""}, {"passthrough": True}]})
    with s.connect("nopassword", "") as c:
        assert ask(c, "SELECT CURRENT_USER()") == (("nopassword@%",),)
    assert refused(s.connect, "nopassword", "x")[0] == 1045


def test_an_empty_password_passes_through(cluster, proxy):
    cluster.setup("CREATE USER IF NOT EXISTS nopassword@'%' IDENTIFIED BY ''")
    with proxy.connect("nopassword", "") as c:
        assert ask(c, "SELECT 1") == ((1,),)


def test_a_configured_account_whose_password_the_server_refuses(cluster, suimon):
    s = suimon({"users": [{"name": "app", "password": "not-the-servers"}]})
    with pytest.raises(pymysql.MySQLError) as e:
        with s.connect("app", "not-the-servers") as c:
            ask(c, "SELECT 1")
    assert e.value.args[0] == 1045


def test_a_password_changed_on_the_server_works_at_once(cluster, suimon):
    cluster.setup("DROP USER IF EXISTS changing@'%'", "CREATE USER changing@'%' IDENTIFIED BY 'first'")
    s = suimon()
    s.connect("changing", "first").close()
    cluster.setup("ALTER USER changing@'%' IDENTIFIED BY 'second'")
    with s.connect("changing", "second") as c:
        assert ask(c, "SELECT 1") == ((1,),)


def test_what_the_server_no_longer_accepts_ends_here_within_30_seconds(cluster, proxy, db):
    """A changed password, a dropped account, a revoked host: with sessions standing and connections idle in the pool.
    `behind` has its old password on the replica, where each of its sessions opens a connection: the primary's word counts."""
    users = ["altered", "dropped", "locked", "behind"]
    cluster.setup(*["CREATE USER %s@'%%' IDENTIFIED BY 'first'" % u for u in users],
                  "GRANT SELECT ON `%s`.* TO behind@'%%'" % db.name)
    held = [proxy.connect(u, "first") for u in users]
    for c in held:
        ask(c, "SELECT 1")
    cluster.setup("ALTER USER altered@'%' IDENTIFIED BY 'second'", "DROP USER dropped@'%'", "ALTER USER locked@'%' ACCOUNT LOCK")
    cluster.primary.sql("SET sql_log_bin = 0", "ALTER USER behind@'%' IDENTIFIED BY 'second'")
    end = time.monotonic() + 30
    left = set(users)
    kinds = [FOUND_ROWS, NO_SCHEMA, ODBC, IGNORE_SPACE, LOCAL_FILES] # connections of one are no use to another
    kinds = itertools.cycle([sum(some) for n in range(6) for some in itertools.combinations(kinds, n)])
    while left and time.monotonic() < end:
        for u in sorted(left):
            ask(held[users.index(u)], "SELECT 1")  # a session that stands keeps its connection busy, as it would direct
            try:
                if u != "behind":
                    proxy.connect(u, "first").close()
                    continue
                with proxy.connect(u, "first", database=db.name, client_flag=next(kinds)) as c:
                    ask(c, "SELECT * FROM whoami")
            except pymysql.MySQLError as e:
                assert e.args[0] in (1045, 3118, 4151), e  # the account is locked: 4151, of MySQL 3118
                left.discard(u)
        time.sleep(0.5)
    assert not left
    proxy.connect("altered", "second").close()
    for c in held:
        c.close()


def test_an_account_that_a_replica_does_not_know_yet_reads_on_the_primary(cluster, proxy, db):
    cluster.primary.sql("SET sql_log_bin = 0", "CREATE USER early@'%' IDENTIFIED BY 'early'",
                        "GRANT SELECT ON `%s`.* TO early@'%%'" % db.name)
    with proxy.connect("early", "early", database=db.name) as c:
        for _ in range(3):
            assert ask(c, "SELECT name FROM whoami") == (("primary",),)
    cluster.primary.sql("SET sql_log_bin = 0", "DROP USER early@'%'")


def test_the_schema_of_the_login_is_the_sessions(proxy, db):
    with proxy.connect(database=db.name) as c:
        assert ask(c, "SELECT DATABASE()") == ((db.name,),)
    with proxy.connect() as c:
        assert ask(c, "SELECT DATABASE()") == ((None,),)


@pytest.mark.parametrize("user", ["app", "guest"])
@pytest.mark.parametrize("schema", ["e2e_missing", "mysql"])
def test_an_unknown_or_forbidden_schema_at_login_fails_as_on_the_server(cluster, proxy, user, schema):
    want = refused(cluster.primary.connect, user, user, database=schema)
    got = refused(proxy.connect, user, user, database=schema)
    assert want[0] in (1044, 1049)
    assert got == want


def test_the_version_is_the_primarys_own(cluster, proxy):
    with proxy.connect() as c, cluster.primary.connect("app", "app") as direct:
        assert c.get_server_info() == direct.get_server_info()
        assert c.server_language == direct.server_language


def test_the_character_set_of_the_login_is_the_sessions(proxy, db):
    with proxy.connect(charset="latin1", database=db.name) as c:
        assert ask(c, "SELECT @@character_set_client, @@character_set_results") == (("latin1", "latin1"),)
        assert ask(c, "SELECT HEX(_utf8mb4'é'), 'é'")[0][1] == "é"


def test_init_command_and_no_autocommit_at_login(proxy, db):
    with proxy.connect(init_command="SET time_zone = '+03:00'", autocommit=False, database=db.name) as c:
        assert ask(c, "SELECT @@time_zone, @@autocommit") == (("+03:00", 0),)


def test_a_unix_socket_serves_too(cluster, suimon, tmp_path):
    path = str(tmp_path / "suimon.sock")
    port = servers.free_port()
    s = suimon({"listen": {"mysql": ["%s:%d" % (servers.LOOPBACK, port), "unix:" + path]}})
    with pymysql.connect(unix_socket=path, user="app", password="app") as c:
        assert ask(c, "SELECT 1") == ((1,),)
    assert os.path.exists(path)
    with pymysql.connect(host=servers.LOOPBACK, port=port, user="app", password="app") as c:
        assert ask(c, "SELECT 1") == ((1,),)
    assert s.process.alive()


def test_more_clients_than_allowed_are_told_1040(suimon):
    s = suimon({"listen": {"max_connections": 3}})
    held = [s.connect() for _ in range(3)]
    code, _ = refused(s.connect)
    assert code == 1040
    held.pop().close()
    servers.wait_until("a place to be free", lambda: s.connect().close() or True, 5)
    for c in held:
        c.close()


def test_passwords_stand_in_no_log_and_no_answer(suimon):
    s = suimon({"users": [{"name": "app", "password": "Xq7-app-secret"}, {"passthrough": True}],
                "backend": {"monitor": {"password": "monitor"}}, "admin_token": "Xq7-token-secret"})
    refused(s.connect, "guest", "Xq7-guest-secret")
    text = s.log_text() + s.http("/api/config")[1] + s.http("/metrics")[1]
    assert "Xq7" not in text


@pytest.mark.parametrize("flag", [0, 1 << 22], ids=["a plain client", "one that can deal with it"])
def test_whose_password_has_expired_has_nothing_from_the_cache(suimon, db, flag):
    """C3: the server lets it in, to set a new password, and answers 1820 to all else. It expires by time, or past suimon: no statement here says so."""
    if KIND == "mysql" and not flag:
        pytest.skip("MySQL turns such a client away")
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 5)")
    read, late = "SELECT n FROM `%s`.t WHERE id = 1" % db.name, {"user": "late", "password": "late"}
    changed = "SET PASSWORD = PASSWORD('later')" if KIND == "mariadb" else "ALTER USER USER() IDENTIFIED BY 'later'"
    s = suimon({"cache": {"rules": [{"match": {"schema": db.name}, "ttl": "1h"}]}})
    db.primary("DROP USER IF EXISTS late@'%'")
    db.primary("CREATE USER late@'%' IDENTIFIED BY 'late'")
    db.primary("GRANT ALL ON `%s`.* TO late@'%%'" % db.name)
    try:
        with s.connect(client_flag=flag, **late) as c:
            filled(s, c, read)
        db.primary("ALTER USER late@'%' PASSWORD EXPIRE")
        time.sleep(21)  # a login is believed for so long
        for _ in range(2):  # the second is not put to a server
            with s.connect(client_flag=flag, **late) as c:
                before = hits(s)
                for sql in (read, read):
                    with contextlib.suppress(pymysql.MySQLError):
                        ask(c, sql)
                assert hits(s) == before
        with s.connect(client_flag=flag, database=db.name, **late) as c:  # which it cannot choose before it has a new one
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, "SELECT DATABASE()")
            assert e.value.args[0] == 1820
            for sql in ("SELECT @a := 1", "SET @b = 2", "BEGIN", "SET @b = 3"):  # with a connection of its own it may not choose it either
                with contextlib.suppress(pymysql.MySQLError):
                    ask(c, sql)
            ask(c, changed)
            assert ask(c, "SELECT DATABASE()") == ((db.name,),)
            assert [ask(c, read) for _ in range(3)] == [((5,),)] * 3
        late["password"] = "later"
        with s.connect(client_flag=flag, **late) as c:
            filled(s, c, read)
    finally:
        db.primary("DROP USER late@'%'")


@mariadb_only("MySQL turns it away")
def test_whose_password_has_expired_takes_no_server_along(suimon, db):
    """Where the monitor has no account of its own it borrows one: the server is there, though it answers that one nothing."""
    s = suimon({"backend": {"monitor": {"user": "", "password": "", "interval": "100ms"}, "pool": {"min_idle": 0}}})
    late = {"user": "late", "password": "late"}

    def of_late():
        return db.primary("SELECT id FROM information_schema.processlist WHERE user = 'late' AND command = 'Sleep'")
    db.primary("DROP USER IF EXISTS late@'%'")
    db.primary("CREATE USER late@'%' IDENTIFIED BY 'late'")
    try:
        s.connect(**late).close()
        servers.wait_until("the monitor to ask as late", lambda: db.primary("SELECT 1 FROM information_schema.processlist WHERE user = 'late'"), 10)
        db.primary("ALTER USER late@'%' PASSWORD EXPIRE")
        for (thread,) in of_late():
            with contextlib.suppress(pymysql.MySQLError):
                db.primary("KILL %d" % thread)
        servers.wait_until("it to be refused", lambda: "the server refuses the account" in s.log_text(), 30)
        time.sleep(1)
        assert "backend: down" not in s.log_text() and s.http("/readyz")[0] == 200
        s.connect().close()
        servers.wait_until("another account to be taken", lambda: all(not b["problem"] and b["gtid"] for b in s.api("/api/backends")["backends"]), 20)
        with s.connect(**late, client_flag=EXPIRED) as c:  # the last to have logged in
            with pytest.raises(pymysql.MySQLError):
                ask(c, "SELECT 1")
        for (thread,) in db.primary("SELECT id FROM information_schema.processlist WHERE user = 'app'"):
            with contextlib.suppress(pymysql.MySQLError):
                db.primary("KILL %d" % thread)
        time.sleep(1)
        assert "backend: down" not in s.log_text() and all(not b["problem"] for b in s.api("/api/backends")["backends"])
    finally:
        db.primary("DROP USER late@'%'")


EXPIRED = 1 << 22  # CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS


def test_whose_password_has_expired_may_change_it(proxy, db):
    """Where the server turns such accounts away, it lets in a client that says it can deal with it, to set a new one."""
    mariadb = KIND == "mariadb"
    if mariadb:  # MySQL does by itself
        db.primary("SET GLOBAL disconnect_on_expired_password = 1")
    db.primary("CREATE USER expired@'%' IDENTIFIED BY 'first' PASSWORD EXPIRE")
    try:
        assert refused(proxy.connect, "expired", "first")[0] == 1862
        with proxy.connect("expired", "first", client_flag=EXPIRED) as c:
            with pytest.raises(pymysql.MySQLError) as e:
                ask(c, "SELECT 1")
            assert e.value.args[0] == 1820
            ask(c, "SET PASSWORD = PASSWORD('second')" if mariadb else "ALTER USER USER() IDENTIFIED BY 'second'")
            assert ask(c, "SELECT 1") == ((1,),)
        with proxy.connect("expired", "second") as c:
            assert ask(c, "SELECT 1") == ((1,),)
    finally:
        if mariadb:
            db.primary("SET GLOBAL disconnect_on_expired_password = DEFAULT")
        db.primary("DROP USER expired@'%'")
