"""The command line, the config file's faults, and the exit codes."""
import json
import os
import re
import socket
import subprocess

import pytest

import servers
from servers import LOOPBACK


def suimon_command(*words, env=None, stdin=None):
    return subprocess.run([servers.find_suimon(), *words], capture_output=True, text=True, timeout=30,
                          env=dict(servers.Suimon._env(), **(env or {})), input=stdin)


def written(tmp_path, text):
    path = tmp_path / "suimon.yaml"
    path.write_text(text)
    return str(path)


def test_check_prints_the_effective_config_with_secrets_masked(tmp_path):
    path = written(tmp_path, "primary: db.example:3307\nadmin_token: hidden-token\nusers:\n  - {name: app, password: hidden-password}\n")
    done = suimon_command("check", "-c", path)
    assert done.returncode == 0, done.stderr
    assert "db.example:3307" in done.stdout and "hidden" not in done.stdout
    for key in ("listen", "drain_timeout", "failover_hold", "max_result", "batch_rows", "nplus1", "consistency"):
        assert key in done.stdout
    again = suimon_command("check", "-c", written(tmp_path, done.stdout))
    assert again.returncode == 0, "what check prints is a config: " + again.stdout + again.stderr


NEVER = {
    "[{match: {table: shop.t}, ttl: 1s}, {match: {table: shop.t, user: app}, ttl: 5s}]": ["cache.rules[1]", "cache.rules[0] takes all"],
    "[{match: {schema: shop}, ttl: 1s}, {match: {table: Shop.t}, ttl: 5s}]": ["cache.rules[1]", "cache.rules[0] takes all"],
    "[{match: {table: t}, ttl: 1s}, {match: {table: shop.T, verb: select}, ttl: 5s}]": ["cache.rules[1]", "cache.rules[0] takes all"],
    "[{match: {table: shop.t, verb: select}, ttl: 1s}, {match: {schema: SHOP, table: shop.T, verb: SELECT}, ttl: 5s}]": ["cache.rules[1]", "cache.rules[0] takes all"],
    "[{match: {table: shop.t}, ttl: 1s}, {match: {table: t}, ttl: 5s}, {match: {schema: shop}, ttl: 5s}, {match: {table: shopping.t}, ttl: 5s, }]": ["cache.rules[3]", "cache.rules[1] takes all"],
    "[{match: {schema: shop}, ttl: 1s}, {match: {table: shopping.t}, ttl: 5s}, {match: {table: t}, ttl: 5s}, {match: {table: t_2}, ttl: 1s}]": [],
    "[{match: {table: shop.t, schema: other}, ttl: 1s}]": ["cache.rules[0]", "shop.t", "other"],
    "[{match: {schema: information_schema}, ttl: 1s}]": ["cache.rules[0]", "the server says of itself"],
    "[{match: {table: MySQL.user}, ttl: 1s}]": ["cache.rules[0]", "the server says of itself"],
    "[{match: {user: nobody}, ttl: 1s}]": ["cache.rules[0]", "nobody is not among users"],
    "[{match: {table: shop.t, user: app}, ttl: 5s}, {match: {table: shop.t}, ttl: 1s}, {match: {query: x, tag: {a: b}}, ttl: 1s}, "
    "{match: {query: x, tag: {a: c}}, ttl: 1s}, {match: {table: shop.u, schema: SHOP}, ttl: 1s}]": [],
}


@pytest.mark.parametrize("rules", NEVER)
def test_check_warns_of_cache_rules_that_can_never_match(tmp_path, rules):
    text = "primary: 127.0.0.1:3306\nusers: [{name: app, password: x}]\ncache:\n  rules: %s\n" % rules
    done = suimon_command("check", "-c", written(tmp_path, text))
    assert done.returncode == 0 and "primary" in done.stdout
    assert done.stderr.count("warning: ") == (1 if NEVER[rules] else 0), done.stderr
    for part in NEVER[rules]:
        assert part in done.stderr
    off = suimon_command("check", "-c", written(tmp_path, text + "  memory: 0\n"))
    assert off.returncode == 0 and "warning: cache.rules: can never match" in off.stderr


FAULTS = """primary: 127.0.0.1:3306
nonsense: 1
listen:
  mysql: 127.0.0.1:99999
  max_connections: many
drain_timeout: 5 parsecs
log: loud
cache:
  memory: 64 MB or so
  rules:
    - match: {table: shop.products, colour: red}
      ttl: 60s
    - match: {query: "("}
      ttl: 5s
routing:
  consistency: perhaps
"""


def test_check_names_every_fault_with_its_line(tmp_path):
    path = written(tmp_path, FAULTS)
    done = suimon_command("check", "-c", path)
    assert done.returncode == 1
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(path + ":")]
    got = {}
    for line in lines:
        m = re.match(r"%s:(\d+): ([^ :]+): .+" % re.escape(path), line)
        assert m, line
        got[int(m.group(1))] = m.group(2)
    want = {2: "nonsense", 4: "listen.mysql", 5: "listen.max_connections", 6: "drain_timeout", 7: "log", 9: "cache.memory",
            11: "cache.rules", 13: "cache.rules", 16: "routing.consistency"}
    assert set(want) <= set(got), lines
    for number, key in want.items():
        assert got[number].startswith(key), lines
    assert any("text" in line and "json" in line for line in lines), "what is allowed is said"


def test_a_running_suimon_refuses_the_same_faults(tmp_path):
    done = suimon_command("-c", written(tmp_path, FAULTS))
    assert done.returncode == 1
    assert "nonsense" in done.stdout + done.stderr


@pytest.mark.parametrize("text", ["primary: [", "\tprimary: x", "- a\n- b\n", "primary: {a: b}\n", "primary: \"\"\n", "", "primary: 127.0.0.1:3306\nprimary: 127.0.0.1:3307\n",
                                  "primary: 127.0.0.1:3306\nqueue: {drain: {workers: -1}}\n", "\x00\x01", "primary: &a [*a]\n"])
def test_files_that_are_no_config(tmp_path, text):
    done = suimon_command("check", "-c", written(tmp_path, text))
    assert done.returncode == 1 and done.stdout + done.stderr


def test_a_missing_file(tmp_path):
    done = suimon_command("check", "-c", str(tmp_path / "missing.yaml"))
    assert done.returncode == 1 and "missing.yaml" in done.stdout + done.stderr


def test_the_environment_in_strings(tmp_path):
    path = written(tmp_path, "primary: ${SUIMON_TEST_HOST}:3306\nlog: ${SUIMON_TEST_LOG:-json}\n")
    done = suimon_command("check", "-c", path, env={"SUIMON_TEST_HOST": "db.example"})
    assert done.returncode == 0 and "db.example:3306" in done.stdout and "json" in done.stdout
    done = suimon_command("check", "-c", path)
    assert done.returncode == 1 and "SUIMON_TEST_HOST" in done.stdout + done.stderr


@pytest.mark.parametrize("words", [["nonsense"], ["--nonsense"], ["check"], ["queue"], ["queue", "nonsense"], ["-c"]])
def test_wrong_usage_exits_1(words):
    done = suimon_command(*words)
    assert done.returncode == 1 and done.stderr


def test_version_and_help():
    done = suimon_command("version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout)
    for library in ("libevent", "libmariadb", "libcurl", "hiredis", "OpenSSL", "pcre2", "jansson", "libyaml", "libsodium", "xxhash", "zlib", "zstd",
                    "librdkafka"):
        assert re.search(r"^%s \d+" % library, done.stdout, re.M), library
    done = suimon_command("--help")
    assert done.returncode == 0 and "check" in done.stdout + done.stderr


def minimal(tmp_path, **more):
    config = {"primary": "127.0.0.1:1", "listen": {"mysql": "127.0.0.1:%d" % servers.free_port(), "http": "127.0.0.1:%d" % servers.free_port()}}
    config.update(more)
    return written(tmp_path, servers.yaml(config))


def test_a_port_that_is_taken_exits_2(tmp_path):
    with socket.socket() as s:
        s.bind((LOOPBACK, 0))
        s.listen()
        taken = "%s:%d" % (LOOPBACK, s.getsockname()[1])
        for which in ("mysql", "http"):
            listen = {"mysql": "127.0.0.1:%d" % servers.free_port(), "http": "127.0.0.1:%d" % servers.free_port()}
            listen[which] = taken
            done = suimon_command("-c", minimal(tmp_path, listen=listen))
            assert done.returncode == 2, done.stderr
            assert taken in done.stderr


def test_an_unusable_queue_directory_exits_2(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    queue = {"dir": str(blocked / "queue"), "user": {"name": "q", "password": "q"}, "rules": [{"match": {"table": "a.b", "verb": "insert"}}]}
    done = suimon_command("-c", minimal(tmp_path, queue=queue))
    assert done.returncode == 2
    assert str(blocked) in done.stderr


def test_a_queue_directory_in_use_exits_2(suimon, db, tmp_path):
    s = suimon({"queue": {"rules": [{"match": {"table": "%s.x" % db.name, "verb": "insert"}}]}})
    queue = dict(s.config["queue"])
    done = suimon_command("-c", minimal(tmp_path, queue=queue))
    assert done.returncode == 2 and queue["dir"] in done.stderr


DIGESTS = [
    ("SELECT a FROM shop.t WHERE id = 5", "select", ["t"], []),
    ("INSERT INTO t (a) VALUES (1), (2)", "insert", [], ["t"]),
    ("UPDATE a JOIN b USING (id) SET a.x = b.x", "update", ["b"], ["a"]),
    ("DELETE FROM t WHERE id = 3", "delete", [], ["t"]),
]


@pytest.mark.parametrize("sql,kind,read,written_tables", DIGESTS, ids=[d[0] for d in DIGESTS])
def test_digest_tells_the_facts(sql, kind, read, written_tables):
    done = suimon_command("digest", sql)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    text = json.dumps(facts).lower()
    assert kind in text
    for name in read + written_tables:
        assert name in text
    assert any("digest" in k for k in facts)
    assert suimon_command("digest", "-", stdin=sql + "\n").stdout == done.stdout


def test_digest_of_many_lines():
    lines = ["SELECT %d FROM t WHERE x = 'a%d'" % (n, n) for n in range(50)] + ["SELEKT )(", ""]
    done = suimon_command("digest", "-", stdin="\n".join(lines))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) >= 51
    key = next(k for k in rows[0] if "digest" in k)
    assert len({r[key] for r in rows[:50]}) == 1


def test_runs_without_a_config_file(cluster, tmp_path):
    """`suimon --primary HOST:PORT` on its default addresses, where these are free here."""
    for port in (6033, 6034):
        if servers.free_port(port) != port:
            pytest.skip("port %d is taken on this machine" % port)
    p = servers.Process("suimon", [servers.find_suimon(), "--primary", "%s:%d" % (LOOPBACK, cluster.primary.port)], str(tmp_path / "log"),
                        servers.Suimon._env())
    p.start()
    try:
        import pymysql
        p.wait_ready(lambda: pymysql.connect(host=LOOPBACK, port=6033, user="guest", password="guest").close() or True, 20)
    finally:
        assert p.stop() == 0, servers.tail(str(tmp_path / "log"))
    assert os.path.exists(str(tmp_path / "log"))
