"""The image's own configuration and the ECS tasks that set it: every variable does what it is named for, and nothing else (issue 7)."""
import json
import os
import re
import subprocess

import pytest
import yaml

import certs
import servers
from test_deploy import longest_drain

DEPLOY = os.path.join(servers.TOP, "deploy")


def text(*path):
    with open(os.path.join(*path)) as f:
        return f.read()


def image_file():
    return os.path.join(DEPLOY, "container", "suimon.yaml")


def effective(*words, **env):
    done = subprocess.run([servers.find_suimon(), "check", *words], capture_output=True, text=True, timeout=60, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def of_image(**env):
    return effective("-c", image_file(), **{"SUIMON_PRIMARY": "db:3306", **env})


def leaves(value, path=""):
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {k: v for key, below in value.items() for k, v in leaves(below, "%s.%s" % (path, key) if path else key).items()}


def differ(one, other):
    a, b = leaves(one), leaves(other)
    return {k: b.get(k) for k in a.keys() | b.keys() if a.get(k) != b.get(k)}


# Of each variable: a value, the option that takes it, as what it is shown, and what it goes with.
VARIABLES = {
    "SUIMON_PRIMARY": ("other:3306", "primary", "other:3306", {}),
    "SUIMON_MYSQL": ("127.0.0.1:6033", "listen.mysql", "127.0.0.1:6033", {}),
    "SUIMON_HTTP": ("127.0.0.1:7034", "listen.http", "127.0.0.1:7034", {}),
    "SUIMON_TLS_CERT": ("CERT", "listen.tls.cert", "CERT", {"SUIMON_TLS_KEY": "KEY"}),
    "SUIMON_TLS_KEY": ("KEY", "listen.tls.key", "KEY", {"SUIMON_TLS_CERT": "CERT"}),
    "SUIMON_TLS_CA": ("CA", "listen.tls.ca", "CA", {"SUIMON_TLS_CERT": "CERT", "SUIMON_TLS_KEY": "KEY"}),
    "SUIMON_TLS_REQUIRE": ("on", "listen.tls.require", True, {"SUIMON_TLS_CERT": "CERT", "SUIMON_TLS_KEY": "KEY"}),
    "SUIMON_MAX_CONNECTIONS": ("77", "listen.max_connections", 77, {}),
    "SUIMON_THREADS": ("3", "threads", 3, {}),
    "SUIMON_DRAIN_TIMEOUT": ("20s", "drain_timeout", "20s", {}),
    "SUIMON_ADMIN_TOKEN": ("t", "admin_token", "***", {}),
    "SUIMON_DISCOVERY": ("aurora", "discovery", "aurora", {"SUIMON_AURORA_HOST": "?.db.example", "SUIMON_MONITOR_USER": "m"}),
    "SUIMON_AURORA_HOST": ("?.db.example", "backend.aurora_host", "?.db.example", {"SUIMON_DISCOVERY": "aurora", "SUIMON_MONITOR_USER": "m"}),
    "SUIMON_CONSISTENCY": ("strong", "routing.consistency", "strong", {}),
    "SUIMON_BACKEND_TLS": ("required", "backend.tls.mode", "required", {}),
    "SUIMON_BACKEND_CA": ("CA", "backend.tls.ca", "CA", {}),
    "SUIMON_MONITOR_USER": ("m", "backend.monitor.user", "m", {}),
    "SUIMON_MONITOR_PASSWORD": ("p", "backend.monitor.password", "***", {"SUIMON_MONITOR_USER": "m"}),
    "SUIMON_POOL_MAX": ("40", "backend.pool.max", 40, {}),
    "SUIMON_CACHE_MEMORY": ("32MiB", "cache.memory", "32MiB", {}),
    "SUIMON_REDIS": ("redis://r:6379/0", "cache.redis", "redis://r:6379/0", {}),
    "SUIMON_CACHE_BINLOG": ("on", "cache.binlog", True, {"SUIMON_MONITOR_USER": "m"}),
    "SUIMON_QUEUE_ENGINE": ("redis", "queue.engine", "redis", {"SUIMON_QUEUE_URL": "redis://q:6379/0"}),
    "SUIMON_QUEUE_URL": ("redis://q:6379/0", "queue.url", "redis://q:6379/0", {"SUIMON_QUEUE_ENGINE": "redis"}),
    "SUIMON_QUEUE_USER": ("q", "queue.user.name", "q", {}),
    "SUIMON_QUEUE_PASSWORD": ("p", "queue.user.password", "***", {"SUIMON_QUEUE_USER": "q"}),
    "SUIMON_STATS_DIGESTS": ("1000", "stats.digests", 1000, {}),
    "SUIMON_STATS_SAMPLES": ("off", "stats.samples", False, {}),
    "SUIMON_OTLP_URL": ("http://c:4318/v1/traces", "stats.otlp.url", "http://c:4318/v1/traces", {}),
    "SUIMON_EMF_EVERY": ("1m", "stats.emf.every", "1m", {}),
    "SUIMON_EMF_NAMESPACE": ("Shop", "stats.emf.namespace", "Shop", {}),
    "SUIMON_EMF_INSTANCE": ("one", "stats.emf.instance", "one", {}),
    "SUIMON_CONFIG_SOURCE": ("redis://r:6379/suimon:rules", "config.source", "redis://r:6379/suimon:rules", {}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    authority = certs.Authority(tmp_path_factory.mktemp("image"))
    pair = authority.issue("suimon")
    return {"CERT": pair.cert, "KEY": pair.key, "CA": authority.cert}


def test_every_variable_of_the_image_is_among_these():
    assert set(VARIABLES) == set(re.findall(r"\$\{(\w+)", text(image_file())))


def test_the_image_has_the_programs_defaults_but_for_addresses_and_the_log():
    assert differ(effective("--primary", "db:3306"), of_image()) == {"listen.mysql": "0.0.0.0:6033", "listen.http": "0.0.0.0:6034", "log": "json"}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_sets_its_option_alone(name, files):
    value, option, shown, needs = VARIABLES[name]
    needs = {k: files.get(v, v) for k, v in needs.items()}
    wanted = {option: files.get(shown, shown)} | {VARIABLES[k][1]: files.get(VARIABLES[k][2], VARIABLES[k][2]) for k in needs}
    assert differ(of_image(), of_image(**{name: files.get(value, value)}, **needs)) == wanted


def task(name):
    return json.loads(text(DEPLOY, "ecs", name))


TASKS = ("task-definition.json", "task-definition-with-queue.json")


def containers(definition):
    return {c["name"]: c for c in definition["containerDefinitions"]}


def test_the_queue_is_what_the_second_task_has_more_than_the_first():
    plain, queue = (task(name) for name in TASKS)
    assert "volumes" not in plain and "taskRoleArn" not in plain and "mountPoints" not in containers(plain)["suimon"]
    mounts, volumes = containers(queue)["suimon"].pop("mountPoints"), queue.pop("volumes")
    environment = containers(queue)["suimon"]["environment"]
    environment.remove({"name": "STATE_DIRECTORY", "value": mounts[0]["containerPath"]})
    assert queue.pop("taskRoleArn") and queue == plain
    assert [m["sourceVolume"] for m in mounts] == [v["name"] for v in volumes]
    assert mounts[0]["containerPath"] == leaves(of_image())["queue.dir"] and not mounts[0]["readOnly"]


@pytest.mark.parametrize("name", TASKS)
def test_the_task_gives_the_drain_its_time(name):
    held = containers(task(name))
    suimon = held["suimon"]
    assert suimon["stopTimeout"] >= longest_drain() and suimon["readonlyRootFilesystem"] and suimon["user"] == "6033:6033"
    assert {"containerName": "suimon", "condition": "HEALTHY"} in held["app"]["dependsOn"]
    assert all(s["valueFrom"].startswith("arn:aws:ssm:") for s in suimon["secrets"])


@pytest.mark.parametrize("name", TASKS)
def test_the_image_understands_what_the_task_sets_and_clients_come_from_the_task_alone(name, files):
    suimon = containers(task(name))["suimon"]
    variables = {e["name"]: e["value"] for e in suimon["environment"]}
    variables.update({s["name"]: "hidden" for s in suimon["secrets"]}, SUIMON_HTTP="0.0.0.0:7034", SUIMON_BACKEND_CA=files["CA"])
    assert set(variables) - {"STATE_DIRECTORY"} <= set(VARIABLES)
    shown = leaves(of_image(**variables))
    assert shown["listen.mysql"] == "127.0.0.1:6033" and shown["backend.tls.mode"] == "verify_identity" and shown["discovery"] == "aurora"
    assert shown["listen.http"] == "0.0.0.0:7034"  # which is where the health check's command asks
    assert shown["backend.monitor.user"] == "suimon_monitor" and "hidden" not in str(shown)


def test_what_the_manual_says_of_the_image_is_so():
    page = text(servers.TOP, "docs", "operations.md").partition("### On ECS\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"\bSUIMON_[A-Z_]+[A-Z]", page)) <= set(VARIABLES)
    for right in ("ssm:GetParameters", "kms:Decrypt", "elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"):
        assert right in page
    shell = json.loads(re.search(r"```json\n(.+?)```", page, re.S).group(1))
    suimon = containers(task(TASKS[0]))["suimon"]
    assert shell["image"] == suimon["image"] and "readonlyRootFilesystem" not in shell and not shell["essential"]
    assert shell["secrets"][0] in suimon["secrets"]
