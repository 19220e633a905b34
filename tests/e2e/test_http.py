"""The HTTP interface: health, metrics, the API's manners, and who may change something."""
import http.client
import json
import re
import signal
import socket
import subprocess
import time

import servers
import pymysql
import pytest

from conftest import ask
from servers import LOOPBACK, listing, parse_metrics, wait_until


def test_health_and_readiness(proxy):
    assert proxy.http("/healthz")[0] == 200
    assert proxy.http("/readyz")[0] == 200


def test_the_dashboard_is_a_page_of_its_own(proxy):
    status, page = proxy.http("/")
    assert status == 200 and "<html" in page.lower()
    # Nothing is loaded from elsewhere.
    assert not re.search(r"(src|href)\s*=\s*[\"'](https?:)?//", page)


def test_metrics_are_prometheus_text(proxy):
    status, text = proxy.http("/metrics")
    assert status == 200
    values = parse_metrics(text)
    assert values and all(name.startswith("suimon_") for name in values)
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    helps = set(re.findall(r"^# HELP (\S+) \S", text, re.M))
    for name in values:
        family = re.sub(r"(_bucket|_sum|_count)$", "", name.split("{")[0])
        if family not in types:
            family = name.split("{")[0]
        assert family in types and family in helps, name
        if types[family] == "counter":
            assert family.endswith("_total"), name
    assert len(re.findall(r"^# TYPE", text, re.M)) == len(types), "a family is written in one piece"


def test_metrics_count(proxy, app):
    before = proxy.metrics()["suimon_client_connections_total"]
    with proxy.connect() as c:
        ask(c, "SELECT 1")
    assert proxy.metrics()["suimon_client_connections_total"] == before + 1


def test_server_connections_are_counted(suimon):
    s = suimon({"backend": {"pool": {"min_idle": 0, "idle_timeout": "200ms"}}})

    def counts():
        m = s.metrics()
        return {n: m["suimon_" + n] for n in ("upstream_connects_total", "upstream_closes_total", "upstream_connections",
                                              "bytes_server_in_total", "bytes_server_out_total")}
    with s.connect() as c:
        ask(c, "SELECT REPEAT('x', 10000)")
        wait_until("the bytes", lambda: counts()["bytes_server_in_total"] > 10000 and counts()["bytes_server_out_total"] > 0, 30)
        ask(c, "SET @x = 1")  # pinned: its connection stays
        wait_until("its connection", lambda: counts()["upstream_connections"] >= 1, 30)
    wait_until("idle ones to go", lambda: counts()["upstream_connections"] == 0, 30)
    assert counts()["upstream_closes_total"] == counts()["upstream_connects_total"] > 0


@pytest.mark.parametrize("path", ["/api/queries", "/api/queries?sort=p99&limit=3", "/api/queries?sort=calls", "/api/queries?sort=rows_examined",
                                  "/api/findings", "/api/cache", "/api/queue", "/api/queue/dead", "/api/backends", "/api/clients", "/api/config"])
def test_the_api_gives_json(proxy, app, path):
    ask(app, "SELECT 1")
    assert proxy.api(path) is not None


def test_backends_tell_role_state_and_lag(proxy, cluster):
    rows = listing(proxy.api("/api/backends"))
    roles = {r["role"]: r for r in rows}
    assert set(roles) == {"primary", "replica"}
    text = json.dumps(rows)
    assert str(cluster.primary.port) in text and str(cluster.replica.port) in text
    assert all("state" in r for r in rows)


def test_clients_are_listed(proxy, db):
    with proxy.connect(database=db.name) as c:
        ask(c, "SELECT 1")
        rows = listing(proxy.api("/api/clients"))
        mine = [r for r in rows if c.thread_id() in r.values()]
        assert len(mine) == 1 and mine[0]["user"] == "app" and "pinned" in mine[0]


@pytest.mark.parametrize("path,status", [("/nothing", 404), ("/api/nothing", 404), ("/api/queries/0xnothing", 404), ("/api/queries?sort=nothing", 400),
                                         ("/api/queries?limit=x", 400), ("/api/queue/dead/99/retry", 405), ("/api/cache/flush", 405), ("/../etc/passwd", 404)])
def test_wrong_calls_are_told_so(proxy, path, status):
    got, text = proxy.http(path)
    assert got == status
    if path.startswith("/api/"):
        assert json.loads(text)["error"]


def test_a_wrong_body_is_told_so(proxy):
    c = http.client.HTTPConnection(LOOPBACK, proxy.http_port, timeout=30)
    c.request("POST", "/api/cache/flush", body="{not json", headers={"Content-Type": "application/json"})
    answer = c.getresponse()
    assert answer.status == 400 and json.loads(answer.read())["error"]


def test_changes_need_the_token_where_one_is_set(suimon):
    s = suimon({"admin_token": "let-me-in"})
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "let-me-in-not"}):
        assert s.http("/api/cache/flush", data={}, headers=headers)[0] in (401, 403)
    assert s.http("/api/cache/flush", data={}, headers={"Authorization": "Bearer let-me-in"})[0] == 200
    assert s.http("/api/queries")[0] == 200


@pytest.mark.parametrize("header", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"])
def test_what_comes_by_a_proxy_of_this_host_is_not_local(proxy, header):
    assert proxy.http("/api/cache/flush", data={})[0] == 200
    assert proxy.http("/api/cache/flush", data={}, headers={header: "192.0.2.7"})[0] == 403


def test_the_effective_config_masks_secrets(suimon):
    s = suimon({"admin_token": "t-hidden", "users": [{"name": "app", "password": "app"}, {"name": "x", "password": "u-hidden"}],
                "queue": {"user": {"name": "q", "password": "q-hidden"}}})
    text = s.http("/api/config")[1]
    assert "hidden" not in text
    assert json.loads(text)


@pytest.mark.parametrize("raw", [b"GET\r\n\r\n", b"\x00" * 100, b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 200000 + b"\r\n\r\n",
                                 b"POST /api/cache/flush HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                                 b"POST /api/cache/flush HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"GET /%00%ff/../ HTTP/1.0\r\n\r\n"])
def test_malformed_http_harms_nobody(proxy, raw):
    with socket.create_connection((LOOPBACK, proxy.http_port), 5) as s:
        s.settimeout(5)
        try:  # it may hang up before it has all
            s.sendall(raw)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass
    assert proxy.http("/healthz")[0] == 200


def test_large_answers_that_nobody_takes_are_bounded_together(suimon, db):
    """Small ones are given all the same, and large ones again when those who did not take theirs are gone."""
    s = suimon()
    path = "/api/queries?limit=100000"
    with s.connect(database=db.name) as c:
        for i in range(1200):
            with pytest.raises(pymysql.MySQLError):
                ask(c, "SELECT " + ",".join("col_%d_%d" % (i, k) for k in range(300)))
    size = len(s.http(path)[1])
    assert size > 2 << 20
    callers = []

    def begun():
        """How answers begin, of callers that take no more of them."""
        h = socket.socket()
        h.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        h.settimeout(60)
        h.connect((LOOPBACK, s.http_port))
        h.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        callers.append(h)
        return h.recv(600)
    refused = None
    for _ in range(50):
        answer = begun()
        if not answer.startswith(b"HTTP/1.1 200"):
            refused = answer
            break
    assert refused and refused.startswith(b"HTTP/1.1 503") and b"\r\nRetry-After: 5\r\n" in refused, (size, refused)
    assert (len(callers) - 1) * size < (64 << 20) + 2 * size
    for small in ("/healthz", "/readyz", "/metrics", "/api/backends"):
        assert s.http(small)[0] == 200, small
    for h in callers:
        h.close()
    wait_until("large answers again", lambda: s.http(path)[0] == 200, 30)
    begun()
    assert s.stop() == 0  # with one that nobody takes


def test_health_and_readiness_on_the_command_line(suimon):
    port = servers.free_port()
    s = suimon({"primary": "127.0.0.1:%d" % port, "replicas": []}, ready=False)

    def run(*words, **more):
        done = subprocess.run([s.binary, *words], capture_output=True, text=True, env={**s.process.env, **more}, timeout=60)
        return done.returncode, done.stdout, done.stderr
    where = ["--http", "127.0.0.1:%d" % s.http_port]
    assert run("health", *where) == (0, "ok\n", "")
    assert run("health", "-c", s.file) == (0, "ok\n", "")
    nobody = "127.0.0.1:%d" % servers.free_port()
    for address, code in ((where[1], 0), ("0.0.0.0:%d" % s.http_port, 0), (nobody, 1), ("nowhere", 1)):
        assert run("health", SUIMON_HTTP=address)[0] == code, address
    assert run("health", *where, SUIMON_HTTP=nobody)[0] == run("health", "-c", s.file, SUIMON_HTTP=nobody)[0] == 0
    code, out, why = run("ready", *where)
    assert code == 1 and out == "" and str(port) in why
    for verb, unreached in (("ready", 2), ("health", 1)):
        code, out, why = run(verb, "--http", "127.0.0.1:%d" % servers.free_port())
        assert code == unreached and out == "" and "refused" in why
    assert run("health", "now")[0] == 1
    s.process.signal(signal.SIGSTOP)  # what runs a health check gives it 3 to 5 s before it kills it
    try:
        for verb, unreached in (("ready", 2), ("health", 1)):
            begin = time.monotonic()
            assert run(verb, *where) == (unreached, "", "suimon %s: suimon at %s: no answer within 2 seconds\n" % (verb, where[1]))
            assert 1.9 < time.monotonic() - begin < 5
    finally:
        s.process.signal(signal.SIGCONT)
    wait_until("an answer", lambda: run("health", *where)[0] == 0, 10)
