"""C1, C6, F1: what Redis must let suimon do, and what is told where it does not; and what another instance takes from an account."""
import itertools
import os
import re

import pymysql
import pytest

from certs import Authority
from conftest import ask, filled
from servers import sum_metric, wait_until
from test_redis_tls import live, rules
import servers

with open(os.path.join(servers.TOP, "docs", "cache.md")) as document:
    RIGHTS = re.search(r"ACL SETUSER suimon_cache on >… (.*)", document.read()).group(1).split()
COMMANDS = [right for right in RIGHTS if right.startswith("+")]
READ = "SELECT n FROM t WHERE id = 1"
WORDS = "NOPERM", "The user executing the script can't"
BUS = {"+info", "+subscribe", "+publish", "+eval", "+del"}  # without these no instance tells another anything


@pytest.fixture
def redis(cluster, db):
    db.setup("CREATE TABLE t (id INT PRIMARY KEY, n INT)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    r = servers.Redis(cluster.base, db.name)
    r.start()
    yield r
    r.stop()


def account(redis, rights):
    assert redis.command("ACL", "SETUSER", "app", "reset", "on", ">pw", *rights).startswith("+OK")
    return redis.url.replace("://", "://app:pw@")


def refused(redis):
    """Each command that Redis has refused somebody."""
    return set(re.findall(r"object\r\n\$\d+\r\n([^\r]+)\r\n", redis.command("ACL", "LOG")))


def test_the_rights_that_are_asked_for_are_enough(suimon, db, redis):
    """Values, invalidations, announcements, one instance's orderly end, and the next one's start."""
    url = account(redis, RIGHTS)
    one = live(suimon(rules(db, url)))
    with one.connect(database=db.name) as a:
        ask(a, "UPDATE t SET n = 9 WHERE id = 1")
        two = live(suimon(rules(db, url)))
        with two.connect(database=db.name) as b:
            reads = itertools.count(100)

            def from_redis():
                read = READ + " LIMIT %d" % next(reads)
                filled(one, a, read)
                ask(b, read)
                return sum_metric(two.metrics(), "suimon_cache_hits_total", 'level="redis"') > 0
            wait_until("a hit in Redis", from_redis, 60)
            for n in range(1, 4):
                filled(two, b, READ)
                ask(a, "UPDATE t SET n = %d WHERE id = 1" % n)
                wait_until("the write to be seen", lambda: ask(b, READ) == ((n,),), 30)
    assert one.stop() == 0
    assert redis.command("HLEN", "{suimon:2}:writers") == ":0\r\n"
    assert redis.command("ACL", "LOG") == "*0\r\n"
    assert "Redis refuses" not in one.log_text() + two.log_text()


@pytest.mark.parametrize("missing", COMMANDS)
def test_without_one_of_them_nothing_is_answered_wrong_and_it_is_told(suimon, db, redis, missing):
    url = account(redis, [right for right in RIGHTS if right != missing])
    one = suimon(rules(db, url))
    if missing not in BUS:
        live(one)
    with one.connect(database=db.name) as a:
        ask(a, "UPDATE t SET n = 9 WHERE id = 1")
        two = suimon(rules(db, url))
        with two.connect(database=db.name) as b:
            numbers = itertools.count(1)

            def write_and_read():
                n = next(numbers)
                for _ in range(3):
                    ask(b, READ)
                    ask(b, "SELECT SUM(n) + %d FROM t" % n)
                ask(a, "UPDATE t SET n = %d WHERE id = 1" % n)
                assert ask(a, READ) == ((n,),)
                wait_until("the write to be seen", lambda: ask(b, READ) == ((n,),), 30)
                return missing in ("+hdel",) or missing[1:] in refused(redis)
            wait_until("it to be refused", write_and_read, 30)
            if missing in BUS - {"+del"}:
                assert one.metrics()["suimon_cache_bus_live"] == 0 == sum_metric(two.metrics(), "suimon_cache_hits_total")
    assert one.stop() == 0
    assert missing[1:] in refused(redis)
    wait_until("it to be told", lambda: any(words in one.log_text() + two.log_text() for words in WORDS), 30)
    for s in (one, two):
        assert sum(s.log_text().count(words) for words in WORDS) <= 8


@pytest.mark.parametrize("how, words", [("password", "WRONGPASS"), ("authority", "certificate is not accepted"), ("host", "certificate is not accepted")])
def test_why_redis_cannot_be_used_is_told(suimon, db, redis, tmp_path, how, words):
    """F1: one warning, with the reason; the database answers."""
    ca = Authority(tmp_path)
    if how == "password":
        url = account(redis, RIGHTS).replace("pw@", "wrong@")
    else:
        pair = ca.issue("redis", hosts="DNS:else.test" if how == "host" else "IP:127.0.0.1")
        port = servers.free_port()
        redis.stop()
        redis.process = servers.Process("Redis", redis.process.argv + [
            "--tls-port", str(port), "--tls-cert-file", pair.cert, "--tls-key-file", pair.key, "--tls-auth-clients", "no"], redis.process.log)
        redis.start()
        signer = ca if how == "host" else Authority(tmp_path, "other")
        url = "rediss://%s:%d?ca=%s" % (servers.LOOPBACK, port, signer.cert)
    s = suimon(rules(db, url))
    with s.connect(database=db.name) as c:
        wait_until("the reason to be told", lambda: words in s.log_text(), 30)
        for n in range(1, 4):
            ask(c, "UPDATE t SET n = %d WHERE id = 1" % n)
            assert ask(c, READ) == ((n,),)
    assert s.log_text().count("the invalidation bus is down") == 1
    m = s.metrics()
    assert m["suimon_cache_bus_live"] == 0 and m["suimon_cache_redis_errors_total"] > 0 and sum_metric(m, "suimon_cache_fills_total") == 0


def test_what_another_instance_takes_from_an_account_is_not_answered_any_more(suimon, db, redis, cluster):
    """C6: a REVOKE ends what is stored through the others on the same Redis, too."""
    cluster.setup("DROP USER IF EXISTS seer@'%'", "CREATE USER seer@'%' IDENTIFIED BY 'seer'", "GRANT SELECT ON `%s`.t TO seer@'%%'" % db.name,
                  "CREATE USER IF NOT EXISTS chief@'%' IDENTIFIED BY 'chief'", "GRANT ALL ON *.* TO chief@'%' WITH GRANT OPTION")
    one, two = live(suimon(rules(db, redis.url))), live(suimon(rules(db, redis.url)))

    def denied(c):
        try:
            ask(c, READ)
        except pymysql.MySQLError as e:
            return e.args[0] == 1142
        return False
    with one.connect("chief", "chief", database=db.name) as chief, two.connect("seer", "seer", database=db.name) as seer, \
            two.connect(database=db.name) as other:
        for _ in range(2):
            filled(two, seer, READ)
            filled(two, other, READ)
            ask(chief, "REVOKE SELECT ON t FROM seer@'%'")
            wait_until("the right to be gone", lambda: denied(seer), 30)
            assert ask(other, READ) == ((0,),)
            ask(chief, "GRANT SELECT ON t TO seer@'%'")
            assert ask(seer, READ) == ((0,),)


@pytest.mark.parametrize("what", [{}, {"table": "%s.t"}], ids=["all", "a table"])
def test_what_is_flushed_by_hand_is_so_for_all(suimon, db, redis, what):
    """C1: whoever has written past all of them flushes one, and the others do not answer from before either."""
    one, two = live(suimon(rules(db, redis.url))), live(suimon(rules(db, redis.url)))
    with one.connect(database=db.name) as a, two.connect(database=db.name) as b:
        for n in range(1, 4):
            filled(one, a, READ)
            filled(two, b, READ)
            db.setup("UPDATE t SET n = %d" % n)
            assert ask(a, READ) == ask(b, READ) == ((n - 1,),)
            assert one.http("/api/cache/flush", data={k: v % db.name for k, v in what.items()})[0] == 200
            assert ask(a, READ) == ((n,),)
            wait_until("the other to hear of it", lambda: ask(b, READ) == ((n,),), 30)
