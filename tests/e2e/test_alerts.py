"""Every alert names metrics that exist, rings for what it is for and not before, and stands in docs/operations.md with what to do."""
import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

import servers
from certs import Authority

RULES = os.path.join(servers.TOP, "deploy", "prometheus-rules.yaml")

# The series that an alert must ring for: values a minute, in Prometheus' notation. All of them are of one instance.
RINGS = {
    "SuimonDown": {'up{job="suimon"}': "0x90"},
    "SuimonRestarts": {"suimon_uptime_seconds": "0+60x31 0+60x15 0+60x15 0+60x30"},
    "SuimonNotScraped": {'up{job="suimon"}': "_x90", 'up{job="kubernetes-pods"}': "0x90"},
    "SuimonNotReady": {"suimon_ready": "0x90"},
    "SuimonNoPrimary": {"suimon_writable_servers": "0x90"},
    "SuimonTwoPrimaries": {"suimon_writable_servers": "2x90"},
    "SuimonHoldTimeouts": {"suimon_failover_hold_timeouts_total": "0x86 1x4"},
    "SuimonServerOut": {'suimon_backend_up{addr="r:1"}': "0x90"},
    "SuimonSchemaUnreadable": {"suimon_catalog_wanted": "1x90", "suimon_catalog_stale": "0x90", "suimon_catalog_readable": "1x90", "suimon_catalog_hidden": "1x90", "suimon_client_sessions": "3x90", "suimon_writable_servers": "1x90"},
    "SuimonLag": {'suimon_backend_lag_seconds{addr="r:1"}': "7x90"},
    "SuimonPoolTooSmall": {"suimon_pool_wait_timeouts_total": "0+1x90"},
    "SuimonGroupUnavailable": {"suimon_group_unavailable_total": "0+1x90"},
    "SuimonLimitTimeouts": {"suimon_limit_timeouts_total": "0+1x90"},
    "SuimonLostConnections": {"suimon_upstream_lost_total": "0+10x90"},
    "SuimonClientsRefused": {'suimon_client_connections_closed_total{reason="limit"}': "0x86 1x4"},
    "SuimonCertificateEnds": {"suimon_listen_tls_not_after_timestamp_seconds": "%dx90" % (7 * 86400 + 80 * 60)},
    "SuimonFailedLogins": {"suimon_auth_failures_total": "0+60x90", "suimon_auth_throttled_total": "0x90"},  # all that the throttle lets one address try
    "SuimonCacheOff": {"suimon_cache_redis_configured": "1x90", "suimon_cache_bus_live": "0x90"},
    "SuimonCacheBinlogOff": {"suimon_cache_binlog_configured": "1x90", "suimon_cache_binlog_live": "0x90"},
    "SuimonCacheRests": {"suimon_cache_rests": "1x90"},
    "SuimonOutOfMemory": {"suimon_out_of_memory_total": "0x86 1x4"},
    "SuimonUpgradeFailed": {"suimon_upgrade_failures_total": "0x60 1x30"},
    "SuimonReloadFailed": {'suimon_config_reloads_total{result="error"}': "0x60 1x30"},
    "SuimonSharedConfigRefused": {"suimon_shared_config_refused": "1x90"},
    "SuimonSharedConfigUnreachable": {"suimon_shared_config_configured": "1x90", "suimon_shared_config_up": "0x90"},
    "SuimonMalformedPackets": {'suimon_malformed_packets_total{side="client"}': "0+1x90"},
    "SuimonQueueOld": {"suimon_queue_oldest_age_seconds": "61x90"},
    "SuimonQueueDeadLetters": {"suimon_queue_dead_letters": "1x90"},
    "SuimonQueueHalted": {'suimon_queue_state{state="halted"}': "1x90"},
    "SuimonQueueDiskFailed": {'suimon_queue_state{state="failed"}': "1x90"},
    "SuimonQueuePaused": {'suimon_queue_state{state="paused"}': "1x90"},
    "SuimonQueueNearlyFull": {"suimon_queue_bytes": "90x90", "suimon_queue_limit_bytes": "100x90"},
    "SuimonQueueDeclines": {'suimon_queue_declined_total{reason="full"}': "0+1x90"},
    "SuimonQueueSlowDisk": {"suimon_queue_sync_seconds_total": "0+6x90", "suimon_queue_syncs_total": "0+100x90"},
}
CALM = {
    "suimon_catalog_wanted": "0x90", "suimon_catalog_hidden": "0x90", "suimon_catalog_stale": "1x90", "suimon_catalog_readable": "0x90",  # nothing is cached or queued
    "suimon_client_sessions": "3x90",
    "suimon_uptime_seconds": "0+60x40 0+60x20 0+60x30",  # an upgrade, and another
    'up{job="suimon"}': "1x90", "suimon_ready": "1x90", "suimon_writable_servers": "1x90", 'suimon_backend_up{addr="r:1"}': "1x90",
    'suimon_backend_lag_seconds{addr="r:1"}': "1x90", "suimon_pool_wait_timeouts_total": "3x90", "suimon_cache_redis_configured": "0x90",
    "suimon_cache_bus_live": "0x90", "suimon_cache_binlog_configured": "0x90", "suimon_cache_binlog_live": "0x90",
    "suimon_cache_rests": "0x72 1x16",  # beside a process that an upgrade has left with sessions, up to `upgrade_timeout`
    "suimon_queue_oldest_age_seconds": "3x90", "suimon_queue_limit_bytes": "0x90",
    "suimon_queue_bytes": "0x90", "suimon_queue_syncs_total": "7x90", "suimon_queue_sync_seconds_total": "1x90",
    "suimon_failover_hold_timeouts_total": "2x90", 'suimon_client_connections_closed_total{reason="limit"}': "2x90",
    'suimon_client_connections_closed_total{reason="quit"}': "0+9x90",
    "suimon_auth_failures_total": "0x86 100x4", "suimon_auth_throttled_total": "0x90",  # a deployment's wrong password that was mended
    # 89 minutes after 1970, which is when promtool's time begins
    "suimon_listen_tls_not_after_timestamp_seconds": "%dx90" % (7 * 86400 + 100 * 60),
    # A server that is listed no more.
    'suimon_backend_up{addr="gone:1"}': "0x90", 'suimon_backend_state{addr="gone:1",state="gone"}': "1x90",
    'suimon_queue_state{state="running"}': "1x90", 'suimon_queue_state{state="paused"}': "0x90",
}


def rules():
    with open(RULES) as f:
        return [rule for group in yaml.safe_load(f)["groups"] for rule in group["rules"]]


def expressions():
    return [rule["expr"] for rule in rules()]


def test_alerts_name_metrics_that_exist(suimon, db, tmp_path):
    pair = Authority(tmp_path).issue("suimon")
    s = suimon({"listen": {"tls": {"cert": pair.cert, "key": pair.key}}, "queue": {"rules": [{"match": {"table": db.name + ".log"}, "order": "table"}]}})
    text = s.http("/metrics")[1]
    assert len(expressions()) >= 8
    for e in expressions():
        for name in re.findall(r"suimon_\w+", e):
            assert re.search(r"^%s(\{| )" % name, text, re.M), name
        for name, state in re.findall(r'(suimon_\w+)\{state="(\w+)"', e):
            assert re.search(r'^%s\{(.*,)?state="%s"\}' % (name, state), text, re.M), (name, state)
        for name, reason in re.findall(r'(suimon_\w+)\{reason=~?"([\w|]+)"', e):
            assert all('%s{reason="%s"}' % (name, r) in text for r in reason.split("|"))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian's package prometheus)")
def test_promtool_takes_the_rules():
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def unit_test(series, alerts):
    """One of promtool's: after 90 minutes of the series, which of all alerts ring."""
    return {"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "89m",
                                  "exp_samples": [{"labels": '{alertname="%s"}' % a, "value": 1} for a in alerts]}]}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian's package prometheus)")
def test_each_alert_rings_for_its_own_trouble_and_none_without_any(tmp_path):
    assert {rule["alert"] for rule in rules()} == set(RINGS)
    tests = [unit_test(CALM, [])] + [unit_test({**CALM, **series}, [name]) for name, series in RINGS.items()]
    file = tmp_path / "tests.yaml"
    file.write_text(json.dumps({"rule_files": [RULES], "evaluation_interval": "30s", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_the_manual_says_of_each_alert_what_to_do():
    with open(os.path.join(servers.TOP, "docs", "operations.md")) as f:
        rows = re.findall(r"^\| `(Suimon\w+)` \| `(.+?)`(?: for (\w+))? \| (.+) \|$", f.read(), re.M)
    told = {name: (expression.replace("\\|", "|"), wait or None) for name, expression, wait, _ in rows}
    assert told == {rule["alert"]: (rule["expr"], rule.get("for")) for rule in rules()}
    assert all(rule["annotations"]["summary"] and rule["annotations"]["description"] for rule in rules())


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian's package prometheus)")
def test_the_job_for_kubernetes_is_named_as_the_alerts_want_it(tmp_path):
    with open(os.path.join(servers.TOP, "docs", "operations.md")) as f:
        block = re.search(r"```yaml\n(scrape_configs:.+?)```", f.read(), re.S).group(1)
    # Debian's promtool is built without Kubernetes: the targets are others, the rest is as it stands.
    (tmp_path / "prometheus.yml").write_text(block.replace("kubernetes_sd_configs: [{role: pod}]", 'static_configs: [{targets: ["h:6034"]}]'))
    done = subprocess.run(["promtool", "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    job, = yaml.safe_load(block)["scrape_configs"]
    assert {'job="%s"' % job["job_name"]} == {w for e in expressions() for w in re.findall(r'job="\w+"', e)}
    port, = [r["regex"] for r in job["relabel_configs"] if r.get("action") == "keep"]
    for path in (("kubernetes", "suimon.yaml"), ("helm", "suimon", "templates", "_sidecar.tpl")):
        with open(os.path.join(servers.TOP, "deploy", *path)) as f:
            assert re.search(r"name: %s\b" % port, f.read()), path
