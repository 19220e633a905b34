"""Every metric that an alert names exists, and promtool, where it is installed, takes the rules."""
import os
import re
import shutil
import subprocess

import pytest

RULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "prometheus-rules.yaml")


def expressions():
    with open(RULES) as f:
        return [line.split("expr:", 1)[1].strip() for line in f if line.strip().startswith("expr:")]


def test_alerts_name_metrics_that_exist(suimon, db):
    s = suimon({"queue": {"rules": [{"match": {"table": db.name + ".log"}, "order": "table"}]}})
    text = s.http("/metrics")[1]
    states = set(re.findall(r'^suimon_queue_state\{state="(\w+)"\}', text, re.M))
    assert len(expressions()) >= 8
    for e in expressions():
        for name in re.findall(r"suimon_\w+", e):
            assert re.search(r"^%s(\{| )" % name, text, re.M), name
        for state in re.findall(r'state="(\w+)"', e):
            assert state in states
        for reason in re.findall(r'reason=~"([\w|]+)"', e):
            assert all('suimon_queue_declined_total{reason="%s"}' % r in text for r in reason.split("|"))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian's package prometheus)")
def test_promtool_takes_the_rules():
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
