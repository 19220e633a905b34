"""P1: a password that a client has proven, and whatever the configuration hides, is not to be found in what a core dump of the process
would hold."""
import os
import re
import signal
import ssl

import pymysql
import pytest

import servers
from certs import Authority
from conftest import ask
from test_upgrade import line  # noqa: F401 (a fixture)

PASSWORD = "kT9-unlikely-Pw7"
# What a configuration may hide, each told from the others by its end; the names are accounts of Redis, too.
HIDDEN_ALL = "kT9-unlikely-"
HIDDEN = {name: HIDDEN_ALL + "longer-Pw7-of-" + name for name in ("token", "cache", "source", "queue", "user")}


def dumped(pid):
    """(address, bytes) of the memory a core dump would hold: private and writable, not marked to be left out. But for the copy that a
    sanitizer's runtime makes of the environment."""
    keep = []
    with open("/proc/%d/smaps" % pid) as f:
        span, flags = None, ""
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
            if head:
                span = (int(head.group(1), 16), int(head.group(2), 16), head.group(3), "[stack]" in line)
            elif line.startswith("Rss:"):
                resident = int(line.split()[1])
            elif line.startswith("VmFlags:"):
                flags = line.split()[1:]
                if span[2].startswith("rw") and "dd" not in flags and resident:
                    keep.append((span[0], span[1], span[3]))
    with open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for begin, end, is_stack in keep:
            at = begin
            while at < end:  # pages never touched cannot be read in some mappings
                size = min(1 << 20, end - at)
                try:
                    mem.seek(at)
                    data = mem.read(size)
                    if is_stack or b"\0ASAN_OPTIONS=" not in data:
                        yield at, data
                except (OSError, ValueError):
                    pass
                at += size


def found(pid, text):
    places = []
    for at, data in dumped(pid):
        places += [hex(at + m.start()) for m in re.finditer(re.escape(text), data)]
    return places


@pytest.fixture
def secretive(cluster):
    cluster.setup("CREATE USER secretive@'%%' IDENTIFIED BY '%s'" % PASSWORD)
    yield
    cluster.setup("DROP USER IF EXISTS secretive@'%'")


@pytest.mark.parametrize("how", ["tls", "rsa", "unix"])
def test_a_proven_password_is_in_no_core_dump(suimon, secretive, tmp_path, how):
    ca = Authority(tmp_path)
    pair = ca.issue("suimon")
    path, port = str(tmp_path / "s.sock"), servers.free_port()
    s = suimon({"listen": {"mysql": ["%s:%d" % (servers.LOOPBACK, port), "unix:" + path],
                           "tls": {"cert": pair.cert, "key": pair.key}}})
    more = {"tls": {"host": servers.LOOPBACK, "port": port, "ssl": ssl.create_default_context(cafile=ca.cert)},
            "rsa": {"host": servers.LOOPBACK, "port": port}, "unix": {"unix_socket": path}}[how]
    for _ in range(3):
        with pymysql.connect(user="secretive", password=PASSWORD, **more) as c:
            assert ask(c, "SELECT CURRENT_USER()") == (("secretive@%",),)
    with pytest.raises(pymysql.MySQLError):
        pymysql.connect(user="secretive", password=PASSWORD + "wrong", **more)
    assert found(s.process.pid, b"secretive")  # the search finds what is there
    assert found(s.process.pid, PASSWORD.encode()) == []
    assert PASSWORD not in s.log_text()


def test_no_configured_password_reaches_a_core_dump(suimon):
    s = suimon({"users": [{"name": "app", "password": "app"}, {"name": "other", "password": PASSWORD}]})
    s.connect().close()
    assert found(s.process.pid, PASSWORD.encode()) == []


@pytest.mark.parametrize("how", ["tls", "unix"])
def test_neither_does_one_sent_on_to_a_server(cluster, suimon, secretive, tmp_path, how):
    """The server is another suimon, whose pass-through asks for the password itself."""
    ca = Authority(tmp_path)
    pair = ca.issue("inner")
    path, port = str(tmp_path / "inner.sock"), servers.free_port()
    only = {"primary": "%s:%d" % (servers.LOOPBACK, cluster.primary.port), "threads": 1, "users": "passthrough"}
    suimon(base=dict(only, listen={"mysql": ["%s:%d" % (servers.LOOPBACK, port), "unix:" + path],
                                   "tls": {"cert": pair.cert, "key": pair.key}}), name="inner")
    where = "unix:" + path if how == "unix" else "%s:%d" % (servers.LOOPBACK, port)
    outer = suimon(base=dict(only, primary=where, backend={"tls": {"mode": "preferred" if how == "unix" else "required"}}),
                   name="outer")
    for _ in range(2):
        with outer.connect("secretive", PASSWORD) as c:
            assert ask(c, "SELECT CURRENT_USER()") == (("secretive@%",),)
    servers.wait_until("the monitor to have logged in", lambda: outer.api("/api/backends")["backends"][0]["state"] == "up", 20)
    # libmariadb, with which the background logs in, keeps it while a login lasts, and on a busy machine one may last.
    servers.wait_until("no password in memory", lambda: found(outer.process.pid, PASSWORD.encode()) == [], 20, interval=0.5)


@pytest.fixture
def guarded(tmp_path):
    """A Redis that nobody uses without a login."""
    redis = servers.Redis(str(tmp_path), "guarded")
    redis.start()
    for name in ("cache", "source", "queue"):
        assert redis.command("ACL", "SETUSER", name, "on", ">" + HIDDEN[name], "~*", "&*", "+@all").startswith("+OK")
    assert redis.command("ACL", "SETUSER", "default", "off").startswith("+OK")
    yield redis
    redis.stop()


def nothing_hidden_is_in(pid):
    """Nor a piece of it."""
    begin, there = re.compile(re.escape(HIDDEN_ALL).encode() + rb"[\w-]*"), []
    for at, data in dumped(pid):
        there += [(hex(at + m.start()), data[max(0, m.start() - 16):m.end()]) for m in begin.finditer(data)]
    assert there == []


@pytest.mark.parametrize("how", ["written", "named"])
def test_nothing_of_the_configuration_that_is_hidden_reaches_a_core_dump(line, db, guarded, cluster, monkeypatch, how):
    """Neither of what the file says itself, nor of what ${NAME} brings from the environment, which reloads and upgrades ask again."""
    db.setup("CREATE TABLE log (n INT PRIMARY KEY)")
    said = HIDDEN if how == "written" else {name: "${HIDDEN_%s}" % name for name in HIDDEN}
    for name, secret in HIDDEN.items() if how == "named" else ():
        monkeypatch.setenv("HIDDEN_" + name, secret)
    at = {name: "redis://%s:%s@%s:%d/0" % (name, said[name], servers.LOOPBACK, guarded.port) for name in ("cache", "source", "queue")}
    config = {"admin_token": said["token"], "cache": {"memory": "8MiB", "redis": at["cache"]},
              "config": {"source": at["source"] + "/secretive", "copy": "off"},
              "queue": {"engine": "redis", "url": at["queue"] + "?name=secretive&lanes=2", "rules": [{"match": {"table": db.name + ".log"}}]},
              "users": [{"name": "app", "password": "app"}, {"name": "other", "password": said["user"]}]}
    it = line(config)
    s = it.instance

    def in_use():
        up = s.metrics()
        return up["suimon_cache_redis_up"] and up["suimon_shared_config_up"]

    def use(n):
        servers.wait_until("its Redis", in_use, 30)
        with s.connect(database=db.name) as c:
            ask(c, "INSERT INTO log VALUES (%d)" % n)
        servers.wait_until("the row", lambda: db.primary("SELECT n FROM log WHERE n = %d" % n), 30)

    use(1)
    assert found(it.pids[0], b"secretive")  # the search finds what is there
    nothing_hidden_is_in(it.pids[0])
    os.kill(it.pids[0], signal.SIGHUP)
    servers.wait_until("a reload", lambda: s.metrics()['suimon_config_reloads_total{result="ok"}'] == 1, 30)
    use(2)
    nothing_hidden_is_in(it.pids[0])
    it.upgrade()
    use(3)
    nothing_hidden_is_in(it.pids[-1])
    os.kill(it.pids[-1], signal.SIGHUP)
    servers.wait_until("a reload", lambda: s.metrics()['suimon_config_reloads_total{result="ok"}'] == 1, 30)
    nothing_hidden_is_in(it.pids[-1])
    told = s.log_text() + s.http("/api/config")[1]
    assert s.http("/api/config/reload", data={}, headers={"Authorization": "Bearer " + HIDDEN["token"]})[0] == 200
    assert not [name for name, secret in HIDDEN.items() if secret in told]
    with open("/proc/%d/environ" % it.pids[-1], "rb") as f:
        shown = f.read()
    assert not [name for name, secret in HIDDEN.items() if secret.encode() in shown]
