"""CloudWatch's Embedded Metric Format on stdout: well-formed by its specification, true sums, and nothing waits for who reads it."""
import json
import os
import re

import pytest

from conftest import ask, merge, settle
from test_upgrade import line  # noqa: F401 (a fixture)
from servers import wait_until

UNITS = {"Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Percent", "Count", "Count/Second", "None"}


def documents(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"_aws"')]


def check(d):
    """The rules of Amazon's "Specification: Embedded metric format" and of its JSON schema."""
    aws = d["_aws"]
    assert set(aws) == {"Timestamp", "CloudWatchMetrics"} and isinstance(aws["Timestamp"], int) and aws["Timestamp"] > 1.6e12
    for directive in aws["CloudWatchMetrics"]:
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert re.fullmatch(r"[-\w./#:]{1,255}", directive["Namespace"])
        assert directive["Dimensions"] and all(len(s) <= 30 for s in directive["Dimensions"])
        for name in (n for s in directive["Dimensions"] for n in s):
            assert isinstance(d[name], str) and 1 <= len(d[name]) <= 1024
        names = [m["Name"] for m in directive["Metrics"]]
        assert 1 <= len(names) <= 100 and len(set(names)) == len(names)
        for m in directive["Metrics"]:
            assert set(m) == {"Name", "Unit"} and m["Unit"] in UNITS and 1 <= len(m["Name"]) <= 1024
            assert type(d[m["Name"]]) in (int, float) and d[m["Name"]] >= 0, m
    return d


def sums(docs, name):
    return sum(d[name] for d in docs)


def test_what_cloudwatch_reads(suimon, db):
    """S1: the sums of all lines are what the instance has counted, whatever the statements hold."""
    s = suimon({"stats": {"emf": {"every": "300ms"}}, "cache": {"memory": "8MiB", "rules": [{"match": {"table": "whoami"}, "ttl": "60s"}]}})
    with s.connect(database=db.name) as c:
        for n in range(40):
            ask(c, "SELECT name FROM whoami /*route='/r/%d'*/" % n)
        with pytest.raises(Exception):
            ask(c, "SELECT nothing FROM whoami")
    settle(s)
    total = sum(v for k, v in s.metrics().items() if k.startswith("suimon_queries_total"))
    wait_until("the lines", lambda: sums(documents(s.log_text()), "Queries") >= total, 30)
    assert s.stop() == 0
    docs = [check(d) for d in documents(s.log_text())]
    assert sums(docs, "Queries") == total and sums(docs, "Errors") == 1
    assert sums(docs, "QueriesCache") >= 39 and sums(docs, "CacheHits") == sums(docs, "QueriesCache")
    busy = [d for d in docs if d["Queries"]]
    assert all(0 < d["LatencyP50"] <= d["LatencyP95"] <= d["LatencyP99"] for d in busy)
    assert all("LatencyP50" not in d for d in docs if not d["Queries"])
    assert {len(d["_aws"]["CloudWatchMetrics"]) for d in docs} == {1} and docs[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [[]]


def test_switched_on_by_a_reload_with_a_dimension(suimon, db):
    s = suimon()
    with s.connect(database=db.name) as c:
        ask(c, "SELECT name FROM whoami")
        settled = s.log_text()
        assert not documents(settled)
        longest = "i" * 255
        s.write(merge(s.config, {"stats": {"emf": {"every": "300ms", "namespace": "N" * 255, "instance": longest}}}))
        assert s.http("/api/config/reload", data={})[0] == 200
        ask(c, "SELECT name FROM whoami")
        docs = wait_until("lines", lambda: [d for d in documents(s.log_text()) if d["Queries"]], 30)
        assert check(docs[0])["Instance"] == longest and docs[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Instance"]]
        s.write(merge(s.config, {"stats": {"emf": {"every": "0s"}}}))
        assert s.http("/api/config/reload", data={})[0] == 200
        s.write(merge(s.config, {"stats": {"emf": {"every": "1m", "namespace": "AWS/RDS"}}}))
        status, why = s.http("/api/config/reload", data={})
        assert status >= 400 and "stats.emf.namespace" in why
    settle(s)
    assert sums(documents(s.log_text()), "QueriesPrimary") + sums(documents(s.log_text()), "QueriesReplica") < 10


def test_gauges_are_those_of_one_process(line, db):  # noqa: F811
    """Of two that overlap in an upgrade both tell what was counted there, and only the new one how things stand."""
    it = line({"stats": {"emf": {"every": "300ms"}}})
    with it.instance.connect(database=db.name) as c:
        ask(c, "SELECT name FROM whoami")
        it.upgrade()
        with it.instance.connect(database=db.name), it.instance.connect(database=db.name):
            wait_until("the new one's", lambda: any(d.get("ClientSessions") == 2 for d in documents(it.instance.log_text())), 30)
            settled = len(documents(it.instance.log_text())) + 2  # what was being told meanwhile

            def both():
                ask(c, "SELECT name FROM whoami")
                docs = documents(it.instance.log_text())[settled:]
                return docs if any(d["Queries"] and "ClientSessions" not in d for d in docs) else None
            docs = wait_until("the old one's", both, 30)
            wait_until("the new one's again", lambda: len(documents(it.instance.log_text())) > settled + len(docs) + 4, 30)
            assert {d["ClientSessions"] for d in documents(it.instance.log_text())[settled:] if "ClientSessions" in d} == {2}


def test_nobody_reads_stdout(suimon, db, tmp_path):
    """F3: clients and HTTP are served; what was dropped is told when somebody reads again."""
    fifo = str(tmp_path / "stdout")
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            os.write(pipe, b"\n" * 4096)
    except BlockingIOError:
        pass
    s = suimon({"stats": {"emf": {"every": "100ms"}}}, run=False)
    s.process.argv = ["/bin/sh", "-c", 'exec "$0" "$@" >"%s"' % fifo] + s.process.argv
    s.start()
    with s.connect(database=db.name) as c:
        for _ in range(20):
            ask(c, "SELECT name FROM whoami")
        wait_until("lines dropped", lambda: s.metrics()['suimon_emf_lines_total{result="dropped"}'] >= 3, 30)
        ask(c, "SELECT name FROM whoami")
    settle(s)
    total = sum(v for k, v in s.metrics().items() if k.startswith("suimon_queries_total"))
    text = b""

    def all_told():
        nonlocal text
        try:
            text += os.read(pipe, 1 << 20)
        except BlockingIOError:
            pass
        whole = text[:text.rfind(b"\n") + 1].decode()
        return sums([check(d) for d in documents(whole)], "Queries") == total
    wait_until("all to be told", all_told, 30)
    os.close(pipe)
