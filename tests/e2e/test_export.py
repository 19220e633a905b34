"""What Prometheus and Grafana get: well-formed, of a bounded number of series, and by the names that the dashboard and the alerts use."""
import json
import os
import re
import shutil
import subprocess
import urllib.request

import pytest

from certs import Authority
from conftest import ask
from servers import LOOPBACK, Process, free_port, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DASHBOARD = os.path.join(TOP, "deploy", "grafana", "suimon.json")
ALERTS = os.path.join(TOP, "deploy", "prometheus-rules.yaml")


def promtool(*args, text=None):
    program = shutil.which("promtool")
    assert program, "promtool is not installed: run deploy/deps --test"
    done = subprocess.run([program, *args], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout


@pytest.fixture
def everything(suimon, tmp_path):
    """An instance with all its parts switched on."""
    pair = Authority(tmp_path).issue("suimon")
    return suimon({"listen": {"tls": {"cert": pair.cert, "key": pair.key}},
                   "cache": {"memory": "8MiB"}, "queue": {"rules": [{"match": {"table": "nowhere", "verb": "insert"}}]}})


def test_promtool_finds_nothing_wrong(everything, db):
    with everything.connect(database=db.name) as c:
        ask(c, "SELECT name FROM whoami")
    assert promtool("check", "metrics", text=everything.http("/metrics")[1]) == (0, "")


def test_prometheus_itself_reads_it_as_openmetrics(everything, db, tmp_path):
    """The server, not only the tool: it asks for OpenMetrics, and a page with one wrong line would count as down."""
    with everything.connect(database=db.name) as c:
        ask(c, "SELECT name FROM whoami")
    page = urllib.request.urlopen(urllib.request.Request(everything.url + "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}))
    text = page.read().decode()
    assert page.headers["Content-Type"].startswith("application/openmetrics-text")
    families = re.findall(r"^# TYPE (\S+) ", text, re.M)
    assert sorted(families) == sorted(set(families)) == sorted(re.findall(r"^# HELP (\S+) ", text, re.M))  # each once, or a strict reader takes none
    assert "# TYPE suimon_client_connections gauge\n" in text and "# TYPE suimon_client_connections_total unknown\n" in text
    assert text.endswith("# EOF\n") and "# TYPE suimon_queries counter\n" in text and "suimon_queries_total{" in text
    port = free_port()
    config = {"scrape_configs": [{"job_name": "suimon", "scrape_interval": "1s", "static_configs": [{"targets": ["%s:%d" % (LOOPBACK, everything.http_port)]}]}]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    server = Process("prometheus", ["prometheus", "--config.file=%s" % (tmp_path / "prometheus.yml"), "--storage.tsdb.path=%s" % (tmp_path / "tsdb"),
                                    "--web.listen-address=%s:%d" % (LOOPBACK, port)], str(tmp_path / "prometheus.log"))
    server.start()

    def value(query):
        with urllib.request.urlopen("http://%s:%d/api/v1/query?query=%s" % (LOOPBACK, port, query), timeout=10) as answer:
            return [float(r["value"][1]) for r in json.load(answer)["data"]["result"]]
    try:
        wait_until("a scrape that succeeds", lambda: value("up") == [1.0], 60, 0.5)
        wait_until("the counters", lambda: sum(value("suimon_queries_total")) >= 1, 60, 0.5)
    finally:
        server.stop(30)


def test_statements_make_no_series(everything, db):
    """All that may differ are the gauges of servers: nothing that a client sends becomes a label."""
    def series():
        return {line.rsplit(" ", 1)[0] for line in everything.http("/metrics")[1].splitlines() if not line.startswith("#")}

    wait_until("both servers' lag", lambda: sum("backend_lag" in s for s in series()) >= 1, 30)
    before = series()
    with everything.connect(database=db.name) as c:
        for n in range(50):
            ask(c, "SELECT %d AS c%d FROM whoami /*route='/r/%d'*/" % (n, n, n))
    assert {s for s in series() - before if "backend_" not in s} == set()


def names_in(text):
    return {re.sub(r"_(bucket|sum|count)$", "", n) for n in re.findall(r"\bsuimon_[a-z0-9_]+", text)}


def test_the_dashboard_and_the_alerts_name_what_is_there(everything, tmp_path):
    with open(DASHBOARD, encoding="utf-8") as f:
        dashboard = f.read()
    with open(ALERTS, encoding="utf-8") as f:
        alerts = f.read()
    wait_until("a lag", lambda: "suimon_backend_lag_seconds{" in everything.http("/metrics")[1], 30)
    there = names_in("\n".join(re.findall(r"# TYPE (suimon_\S+)", everything.http("/metrics")[1])))
    assert names_in(dashboard) | names_in(alerts) <= there, (names_in(dashboard) | names_in(alerts)) - there
    assert len(json.loads(dashboard)["panels"]) >= 10
    queries = [target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel.get("targets", ())]
    assert len(queries) >= 10
    rules = [{"record": "panel:%d" % n, "expr": re.sub(r"\$\w+", "5m", q)} for n, q in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    code, said = promtool("check", "rules", str(tmp_path / "rules.yaml"))
    assert code == 0, said
    code, said = promtool("check", "rules", ALERTS)
    assert code == 0, said
