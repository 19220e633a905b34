"""What only MySQL has: its logins, its GTIDs with their tags, what it offers that suimon does not."""
import socket
import struct

import pytest

from conftest import ask, mysql_only, who
from servers import LOOPBACK, wait_until

pytestmark = mysql_only("its logins, GTIDs and capabilities")

# Capabilities that change what the packets look like, and that nobody here would honour.
OPTIONAL_RESULTSET_METADATA, MULTI_FACTOR_AUTHENTICATION = 1 << 25, 1 << 28


def greeting(port):
    """(version, capabilities) of a server's first packet."""
    with socket.create_connection((LOOPBACK, port), 5) as s:
        data = s.recv(4096)[4:]
    end = data.index(b"\0", 1)
    at = end + 1 + 4 + 8 + 1
    low, _, _, high = struct.unpack_from("<HBHH", data, at)
    return data[1:end].decode(), low | high << 16


def test_the_greeting_is_the_primarys_and_offers_no_more_than_is_kept(proxy, cluster):
    version, caps = greeting(proxy.mysql_port)
    real_version, real = greeting(cluster.primary.port)
    assert version == real_version
    assert real & OPTIONAL_RESULTSET_METADATA and real & MULTI_FACTOR_AUTHENTICATION
    assert not caps & (OPTIONAL_RESULTSET_METADATA | MULTI_FACTOR_AUTHENTICATION)


@pytest.mark.parametrize("mode", ["disabled", "required"])
@pytest.mark.parametrize("user", ["app", "guest"])
def test_caching_sha2_with_a_server_that_has_forgotten_the_password(suimon, cluster, mode, user):
    """Full exchange (by the server's RSA key where there is no TLS), then fast."""
    s = suimon({"backend": {"tls": {"mode": mode}, "pool": {"min_idle": 0}}})
    cluster.primary.sql("FLUSH PRIVILEGES")
    for _ in range(3):
        with s.connect(user, user) as c:
            assert ask(c, "SELECT CURRENT_USER()") == ((user + "@%",),)
            cipher = ask(c, "/* suimon: primary */ SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]
            assert bool(cipher) == (mode == "required")


def test_positions_are_gtid_sets(app, proxy, cluster, db):
    """The primary's is its last transaction; the replica's follows."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY)")
    ask(app, "INSERT INTO t VALUES (1)")
    uuid = cluster.primary.sql("SELECT @@server_uuid")[0][0]
    last = int(cluster.primary.position().replace("\n", "").split(uuid + ":1-")[1].split(",")[0].split(":")[0])

    def shown():
        return [b["gtid"] for b in proxy.api("/api/backends")["backends"]]
    wait_until("both positions", lambda: all("%s:1-%d" % (uuid, last) in gtid for gtid in shown()), 10)


def test_a_session_reads_its_own_tagged_write(suimon, cluster, db):
    """R2 with a tag: the transactions of a tag are numbered on their own."""
    cluster.setup("CREATE TABLE `%s`.t (id INT PRIMARY KEY)" % db.name, "CREATE USER IF NOT EXISTS tagger@'%' IDENTIFIED BY 'tagger'",
                  "GRANT TRANSACTION_GTID_TAG, SESSION_VARIABLES_ADMIN, SELECT, INSERT ON *.* TO tagger@'%'")
    s = suimon()
    with s.connect("tagger", "tagger", database=db.name) as writer, s.connect(database=db.name) as reader:
        ask(writer, "SET gtid_next = 'AUTOMATIC:shop'")
        for n in range(1, 11):
            ask(writer, "INSERT INTO t VALUES (%d)" % n)
            assert ask(writer, "SELECT COUNT(*) FROM t") == ((n,),)
        assert who(reader) == "replica"
        wait_until("the tag in the positions", lambda: all(":shop:1-10" in b["gtid"] for b in s.api("/api/backends")["backends"]), 10)


def test_an_update_that_changes_nothing_leaves_reads_on_the_replica(app, db):
    """MySQL gives such a transaction no GTID, and the reply none."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    assert who(app) == "replica"
    ask(app, "UPDATE t SET n = 0 WHERE id = 1")
    with db.cluster.replica_behind():
        assert who(app) == "replica"
        ask(app, "UPDATE t SET n = 1 WHERE id = 1")
        assert who(app) == "primary"
