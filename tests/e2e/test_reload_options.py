"""Every option of which the reference says that a reload changes it is taken by one; and a bad file changes nothing."""
import json
import os
import re

import pymysql
import pytest

from certs import Authority
from conftest import ask, merge, who
import servers

REFERENCE = os.path.join(servers.TOP, "docs", "configuration.md")


def reloadable():
    with open(REFERENCE) as f:
        rows = [line.split(" | ") for line in f if re.match(r"\| `[a-z0-9_.]+` \|", line)]
    return {row[0].strip("| `") for row in rows if row[-2] in ("yes", "shared")}


def taken(values, name):
    """What /api/config has."""
    for key in name.split("."):
        values = values[key]
    return values


def changed(name, value):
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


def in_force(s, name, headers=None):
    return taken(s.api("/api/config", headers=headers)["config"], name)


def reload(s, name, value, **more):
    s.write(merge(s.config, changed(name, value)))
    return s.http("/api/config/reload", data={}, **more)


# Option: a value that it has not by itself, and how /api/config shows it.
VALUES = {
    "drain_timeout": ("7s", 7), "upgrade_timeout": ("8m", 480), "log": ("json", "json"),
    "users": ([{"name": "app", "password": "app"}, {"name": "guest", "password": "guest"}], [{"name": "app", "password": "***"}, {"name": "guest", "password": "***"}]),
    "listen.proxy_protocol": (["192.0.2.0/24"], ["192.0.2.0/24"]), "listen.max_connections": (77, 77), "listen.handshake_timeout": ("9s", 9),
    "listen.idle_timeout": ("2h", 7200),
    "backend.connect_timeout": ("3s", 3), "backend.pool.max": (123, 123), "backend.pool.min_idle": (3, 3), "backend.pool.idle_timeout": ("61s", 61),
    "backend.pool.max_age": ("2h", 7200), "backend.monitor.interval": ("300ms", 0.3), "backend.monitor.max_lag": ("6s", 6),
    "backend.failover_hold": ("4s", 4),
    "routing.consistency": ("strong", "strong"), "routing.rules": ([{"match": {"table": "x.y"}, "to": "deny"}], [{"match": {"table": "x.y"}, "to": "deny"}]),
    "cache.memory": ("9MiB", 9 << 20), "cache.max_result": ("2MiB", 2 << 20), "cache.stale_if_error": ("1s", 1),
    "cache.keys": ({"x.y": ["a", "b"]}, {"x.y": ["a", "b"]}),
    "cache.rules": ([{"match": {"table": "x.y"}, "ttl": "1s"}], [{"match": {"table": "x.y"}, "ttl": 1, "refresh": 0}]),
    "queue.sync": ("10ms", 0.01), "queue.max_bytes": ("3GiB", 3 << 30), "queue.on_full": ("error", "error"), "queue.user.name": ("app", "app"),
    "queue.user.password": ("app", "***"), "queue.drain.batch_rows": (99, 99), "queue.drain.batch_wait": ("5ms", 0.005), "queue.drain.rate": (1000, 1000),
    "queue.rules": ([{"match": {"table": "x.z"}}], [{"match": {"table": "x.z"}, "order": "table", "read": "session", "on_error": "dead_letter"}]),
    "limits.rules": ([{"match": {"user": "z"}, "rate": 5}],
                     [{"match": {"user": "z"}, "concurrency": 0, "rate": 5, "per": "rule", "wait": 5, "max_time": 0}]),
    "stats.slow": ("0s", 0), "stats.samples": (False, False), "stats.nplus1.repeats": (9, 9),
    "stats.nplus1.window": ("2s", 2), "stats.explain": (False, False), "stats.cost_per_hour": (2.5, 2.5),
    "stats.otlp.url": ("http://127.0.0.1:9/v1/traces", "http://127.0.0.1:9/v1/traces"), "stats.otlp.share": (0.5, 0.5),
    "stats.emf.every": ("1m", 60), "stats.emf.namespace": ("Other", "Other"), "stats.emf.instance": ("one", "one"),
}
FILES = {"listen.tls.cert", "listen.tls.key", "listen.tls.ca", "listen.tls.require", "stats.slow_log", "admin_token"}  # below


def test_every_option_that_can_be_reloaded_is_taken(suimon, db, tmp_path):
    assert reloadable() == set(VALUES) | FILES
    db.setup("CREATE TABLE log (n INT)")
    s = suimon({"queue": {"rules": [{"match": {"table": db.name + ".log"}}]}})
    for name, (value, shown) in VALUES.items():
        assert in_force(s, name) != shown or shown == "***", name
        assert shown == "***" or in_force(s, name) != shown, name
        status, text = reload(s, name, value)
        assert status == 200, (name, text)
        assert in_force(s, name) == shown, name
    metrics = s.metrics()
    assert metrics["suimon_backend_connections_limit"] == 123 and metrics["suimon_cache_limit_bytes"] == 9 << 20
    assert metrics["suimon_queue_limit_bytes"] == 3 << 30 and metrics['suimon_config_reloads_total{result="ok"}'] == len(VALUES)
    lines = [json.loads(line) for line in s.log_text().splitlines() if line.startswith("{")]
    assert any("text" in line for line in lines)  # the last may be of stats.emf
    with s.connect(database=db.name) as c:
        assert who(c) == "primary"
        servers.wait_until("it to be counted", lambda: s.metrics()["suimon_slow_queries_total"] > 0, 10)
    assert reload(s, "listen.max_connections", 1)[0] == 200
    with s.connect() as c:
        with pytest.raises(pymysql.MySQLError) as e:
            s.connect()
        assert e.value.args[0] == 1040
        assert ask(c, "SELECT 1") == ((1,),)


def test_files_and_the_token_are_taken(suimon, db, tmp_path):
    (tmp_path / "pki").mkdir()
    ca = Authority(tmp_path / "pki")
    pair = ca.issue("server")
    s = suimon()
    log = tmp_path / "slow.log"
    s.write(merge(s.config, {"stats": {"slow": "0s", "slow_log": str(log)}}))
    assert s.http("/api/config/reload", data={})[0] == 200
    with s.connect(database=db.name) as c:
        ask(c, "SELECT 4711")
    servers.wait_until("the slow log", lambda: log.exists() and "4711" in log.read_text(), 30)
    s.write(merge(s.config, {"listen": {"tls": {"cert": pair.cert, "key": pair.key}}}))
    assert s.http("/api/config/reload", data={})[0] == 200
    with s.connect(ssl={"ca": ca.cert, "check_hostname": False}) as c:
        assert ask(c, "SELECT 1") == ((1,),)
    assert reload(s, "listen.tls.require", True)[0] == 200
    with pytest.raises(pymysql.MySQLError):
        s.connect(ssl_disabled=True)
    assert reload(s, "listen.tls.ca", ca.cert)[0] == 200
    with pytest.raises((pymysql.MySQLError, OSError)):
        with s.connect(ssl={"ca": ca.cert, "check_hostname": False}) as c:  # it shows no certificate
            ask(c, "SELECT 1")
    assert reload(s, "admin_token", "secret-token")[0] == 200
    assert s.http("/api/config/reload", data={})[0] == 401
    bearer = {"Authorization": "Bearer secret-token"}
    assert reload(s, "admin_token", "", headers=bearer)[0] == 200
    assert s.http("/api/config/reload", data={})[0] == 200


def test_a_file_with_one_fault_changes_nothing_of_all_the_rest(suimon, db, tmp_path):
    """Whether it is the file's own, a restart's, or that a part cannot have what the file says."""
    log = tmp_path / "slow.log"
    s = suimon({"stats": {"slow": "0s", "slow_log": str(log)}, "queue": {"rules": [{"match": {"table": db.name + ".log"}}]}})

    def shown():
        """What is said to be in force, and what parts say of themselves."""
        metrics = s.metrics()
        return s.api("/api/config")["config"], [metrics[m] for m in (
            "suimon_backend_connections_limit", "suimon_cache_limit_bytes", "suimon_queue_limit_bytes")]

    before = shown()
    config = s.config
    for name, (value, _) in VALUES.items():
        config = merge(config, changed(name, value))
    s.write(merge(config, {"stats": {"digests": 77}}))  # which only a restart can change
    status, text = s.http("/api/config/reload", data={})
    assert status == 409 and "stats.digests" in text
    s.write(merge(config, {"routing": {"consistency": "perhaps"}}))
    assert s.http("/api/config/reload", data={})[0] == 409
    s.write(merge(config, {"stats": {"slow_log": str(tmp_path / "missing" / "slow.log")}}))
    status, text = s.http("/api/config/reload", data={})
    assert status == 409 and "stats.slow_log: cannot open" in text
    assert shown() == before
    with s.connect(database=db.name) as c:
        assert who(c) == "replica"
        ask(c, "SELECT 4711")
    servers.wait_until("the slow log that was there", lambda: "4711" in log.read_text(), 30)
