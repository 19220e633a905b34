"""C1, F1: cache.redis by TLS in a cluster: whose certificate is good, and that the reason is told where none is."""
import pytest

from certs import Authority
from conftest import ask, filled
from servers import wait_until
import servers

READ = "SELECT n FROM t WHERE id = 1"


def rules(db, url):
    return {"cache": {"redis": url, "rules": [{"match": {"schema": db.name}, "ttl": "1h"}]}, "replicas": []}


def live(s):
    wait_until("the bus", lambda: s.metrics()["suimon_cache_bus_live"] == 1, 60)
    return s


class Node(servers.Redis):
    def __init__(self, base, name, ca, hosts, announced):
        super().__init__(base, name)
        self.name, self.tls_port, self.bus_port = name, servers.free_port(), servers.free_port()
        pair = ca.issue(name, hosts=hosts)
        self.process.argv += ["--cluster-enabled", "yes", "--cluster-port", str(self.bus_port), "--tls-port", str(self.tls_port),
                              "--tls-cluster", "yes", "--tls-ca-cert-file", ca.cert, "--tls-cert-file", pair.cert, "--tls-key-file", pair.key,
                              "--tls-auth-clients", "no"]
        self.process.argv += {"name": ["--cluster-announce-hostname", name + ".test", "--cluster-preferred-endpoint-type", "hostname"],
                              "nothing": ["--cluster-preferred-endpoint-type", "unknown-endpoint"], "address": []}[announced]


@pytest.fixture
def nodes(tmp_path):
    """nodes(hosts of one's certificate, hosts of two's, what they say they are at): two has the slot of our keys. All names are 127.0.0.1."""
    started = []
    ca = Authority(tmp_path)

    def start(one, two, announced):
        for name, hosts in (("one", one), ("two", two)):
            started.append(Node(str(tmp_path), name, ca, hosts, announced))
            started[-1].start()
        slot = int(started[0].command("CLUSTER", "KEYSLOT", "{suimon:2}:t:all")[1:])
        assert started[1].command("CLUSTER", "ADDSLOTS", str(slot)).startswith("+OK")
        for low, high in ((0, slot - 1), (slot + 1, 16383)):
            assert started[0].command("CLUSTER", "ADDSLOTSRANGE", str(low), str(high)).startswith("+OK")
        assert started[0].command("CLUSTER", "MEET", servers.LOOPBACK, str(started[1].tls_port), str(started[1].bus_port)).startswith("+OK")
        for n in started:
            wait_until("the cluster to be whole", lambda: "cluster_state:ok" in n.command("CLUSTER", "INFO"), 60)
        if announced == "name":
            wait_until("the names", lambda: all(x in started[0].command("CLUSTER", "SLOTS") for x in ("one.test", "two.test")), 60)
        return "rediss+cluster://%%s:%d?ca=%s" % (started[0].tls_port, ca.cert)

    yield start
    for n in started:
        n.stop()


@pytest.mark.parametrize("one, two, announced, good", [
    ("DNS:one.test", "DNS:two.test", "name", True), ("DNS:one.test", "DNS:one.test", "address", True), ("DNS:one.test", "IP:127.0.0.1", "address", True),
    ("DNS:one.test", "DNS:one.test", "nothing", True), ("DNS:one.test", "DNS:else.test", "name", False), ("DNS:one.test", "DNS:else.test", "address", False),
    ("DNS:else.test", "DNS:two.test", "name", False),
], ids=["each its own name", "one name for all", "its own address", "the same place", "another name", "another name, by address", "another first node"])
def test_whose_certificate_is_good_in_a_cluster(suimon, db, shimmed, nodes, one, two, announced, good):
    """A node that the cluster names is to be that one, or to bear the URL's name."""
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0)")
    shimmed("hosts", "one.test 127.0.0.1\ntwo.test 127.0.0.1\n")
    s = suimon(rules(db, nodes(one, two, announced) % "one.test"))
    if good:
        live(s)
        assert "is down" not in s.log_text() and s.metrics()["suimon_cache_redis_errors_total"] == 0
        with s.connect(database=db.name) as c:
            filled(s, c, READ)
            ask(c, "UPDATE t SET n = 1 WHERE id = 1")
            assert ask(c, READ) == ((1,),)
        return
    wait_until("the reason to be told", lambda: "certificate is not accepted" in s.log_text(), 30)
    assert s.metrics()["suimon_cache_bus_live"] == 0
