"""S2: a share of the statements become spans that continue the application's traces; a collector that is gone costs spans only (F1)."""
import http.server
import json
import socket
import threading

import pytest

from conftest import KIND, ask, merge, settle
from servers import LOOPBACK, sum_metric, wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    def __init__(self, host=LOOPBACK):
        self.spans, self.resources, self.asked, outer = [], [], [], self

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.asked.append((self.headers["Host"], self.path))
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for r in body["resourceSpans"]:
                    outer.resources.append(r["resource"])
                    outer.spans += [s for scope in r["scopeSpans"] for s in scope["spans"]]
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = Server((host, 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.authority = "%s:%d" % ("[%s]" % host if ":" in host else host, self.server.server_address[1])
        self.url = "http://%s/v1/traces" % self.authority

    def of(self, words):
        return [s for s in self.spans if words in attributes(s).get("db.query.text", "")]


def attributes(span):
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}


@pytest.fixture
def collector():
    c = Collector()
    yield c
    c.server.shutdown()
    c.server.server_close()


def test_spans_continue_the_traceparent(suimon, collector, db):
    s = suimon({"stats": {"otlp": {"url": collector.url, "share": 1}}})
    with s.connect(database=db.name) as c:
        ask(c, "SELECT name FROM whoami WHERE name <> 'secret' /*traceparent='00-%s-%s-01'*/" % (TRACE, PARENT))
        ask(c, "SELECT name AS unsampled FROM whoami /*traceparent='00-%s-%s-00'*/" % (TRACE, PARENT))
        ask(c, "SELECT name AS own FROM whoami")
        with pytest.raises(Exception):
            ask(c, "SELECT nothing FROM whoami")
    found = wait_until("the spans", lambda: collector.of("whoami where") and collector.of("own") and collector.of("nothing") and collector.of("whoami where"), 30)
    one = found[0]
    assert (one["traceId"], one["parentSpanId"], one["kind"]) == (TRACE, PARENT, 3)
    assert len(one["spanId"]) == 16 and one["spanId"] != PARENT
    assert int(one["endTimeUnixNano"]) > int(one["startTimeUnixNano"])
    about = attributes(one)
    assert (about["db.system.name"], about["db.namespace"], about["db.collection.name"]) == (KIND, db.name, "whoami")
    assert one["name"] == about["db.query.summary"] == "select whoami" and "db.system" not in about and "db.user" not in about
    servers = {(LOOPBACK, str(x.port)) for x in [db.cluster.primary, db.cluster.replica]}
    assert (about["server.address"], about["server.port"]) in servers
    assert "secret" not in json.dumps(collector.spans)
    assert not collector.of("unsampled"), "whoever began the trace has not kept it"
    own = collector.of("own")[0]
    assert "parentSpanId" not in own and own["traceId"] not in (TRACE, "0" * 32)
    failed = collector.of("nothing")[0]
    assert failed["status"]["code"] == 2 and attributes(failed)["error.type"] == attributes(failed)["db.response.status_code"] == "1054"
    assert "suimon" in json.dumps(collector.resources[0])


def test_a_collector_at_an_ipv6_address(suimon, db):
    """Without a path it is OTLP's own, and Host names the port."""
    try:
        collector = Collector("::1")
    except OSError as e:
        pytest.skip("no IPv6 on loopback here: %s" % e)
    s = suimon({"stats": {"otlp": {"url": "http://%s" % collector.authority, "share": 1}}})
    with s.connect(database=db.name) as c:
        ask(c, "SELECT name AS sixth FROM whoami")
    wait_until("the span", lambda: collector.of("sixth"), 30)
    assert collector.asked[0] == (collector.authority, "/v1/traces")
    collector.server.shutdown()
    collector.server.server_close()


def test_a_share_of_the_traces(suimon, collector, db):
    s = suimon({"stats": {"otlp": {"url": collector.url, "share": 0.25}}})
    with s.connect(database=db.name) as c:
        for n in range(64):
            for _ in range(2):
                ask(c, "SELECT name AS shared FROM whoami /*traceparent='00-%024x%02x000000-%s-01'*/" % (n + 1, n * 4, PARENT))
    wait_until("the spans", lambda: len(collector.of("shared")) >= 32, 30)
    settle(s)
    traces = [span["traceId"] for span in collector.of("shared")]
    assert len(traces) == 32 and len(set(traces)) == 16, "a trace is kept whole or not at all"


def test_a_collector_that_is_gone_costs_spans_only(suimon, collector, db):
    s = suimon({"stats": {"otlp": {"url": "http://127.0.0.1:1/v1/traces", "share": 1}}})
    with s.connect(database=db.name) as c:
        for _ in range(20):
            assert ask(c, "SELECT name FROM whoami")
    wait_until("them to be dropped", lambda: sum_metric(s.metrics(), "suimon_trace_spans_total", 'result="dropped"') >= 20, 30)
    s.write(merge(s.config, {"stats": {"otlp": {"url": collector.url}}}))
    assert s.http("/api/config/reload", data={})[0] == 200
    with s.connect(database=db.name) as c:
        ask(c, "SELECT name AS later FROM whoami")
    wait_until("the span", lambda: collector.of("later"), 30)
