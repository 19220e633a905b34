"""P1: a password that a client has proven is not to be found in what a core dump of the process would hold."""
import re
import ssl

import pymysql
import pytest

import servers
from certs import Authority
from conftest import ask

PASSWORD = "kT9-unlikely-Pw7"


def dumped(pid):
    """(range, bytes) of the memory a core dump would hold: private and writable, not marked to be left out."""
    keep = []
    with open("/proc/%d/smaps" % pid) as f:
        span, flags = None, ""
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
            if head:
                span = (int(head.group(1), 16), int(head.group(2), 16), head.group(3))
            elif line.startswith("Rss:"):
                resident = int(line.split()[1])
            elif line.startswith("VmFlags:"):
                flags = line.split()[1:]
                if span[2].startswith("rw") and "dd" not in flags and resident:
                    keep.append(span[:2])
    with open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for begin, end in keep:
            at = begin
            while at < end:  # pages never touched cannot be read in some mappings
                size = min(1 << 20, end - at)
                try:
                    mem.seek(at)
                    yield at, mem.read(size)
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
    cluster.setup("CREATE OR REPLACE USER secretive@'%%' IDENTIFIED BY '%s'" % PASSWORD)
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
