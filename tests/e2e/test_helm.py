"""The Helm chart, rendered by the engine that Helm uses: what comes out holds together, and says what deploy/kubernetes says."""
import json
import os
import shutil
import subprocess

import pytest
import yaml

import servers
import typed

CHART = os.path.join(servers.TOP, "deploy", "helm", "suimon")
pytestmark = pytest.mark.skipif(not shutil.which("go"), reason="Go, whose templates a chart is made of, is not installed")


@pytest.fixture(scope="module")
def renderer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("helm")
    program = str(folder / "render")
    subprocess.run(["go", "build", "-o", program, os.path.join(os.path.dirname(__file__), "helm_render.go")], check=True, timeout=600,
                   env={**os.environ, "GOCACHE": str(folder / "cache"), "GO111MODULE": "off", "GOFLAGS": ""})
    return program


def load(*path):
    with open(os.path.join(*path)) as f:
        return yaml.safe_load(f)


def rendered(renderer, more="", changed=(), **queue):
    """Documents by kind. more: lines at the end of suimon's configuration; changed: other values, by their path."""
    values, chart = load(CHART, "values.yaml"), load(CHART, "Chart.yaml")
    values["suimon"]["config"] += more
    values["queue"].update(queue)
    for path, value in dict(changed).items():
        place, _, name = path.rpartition(".")
        (values[place] if place else values)[name] = value
    templates = sorted(os.path.join(CHART, "templates", name) for name in os.listdir(os.path.join(CHART, "templates")))
    data = {"Values": values, "Chart": {"Name": chart["name"], "AppVersion": chart["appVersion"]},
            "Release": {"Name": "shop", "Service": "Helm"}}
    done = subprocess.run([renderer, *templates], input=json.dumps(data), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {d["kind"]: d for d in yaml.safe_load_all(done.stdout) if d}


def manifest():
    with open(os.path.join(servers.TOP, "deploy", "kubernetes", "suimon.yaml")) as f:
        return {d["kind"]: d for d in yaml.safe_load_all(f)}


def sidecar(workload):
    return workload["spec"]["template"]["spec"]["initContainers"][0]


def test_the_sidecar_is_the_manifests(renderer):
    ours, theirs = rendered(renderer)["StatefulSet"], manifest()["StatefulSet"]
    a, b = sidecar(ours), sidecar(theirs)
    for key in ("image", "restartPolicy", "args", "envFrom", "ports", "startupProbe", "livenessProbe", "readinessProbe",
                "securityContext", "resources", "volumeMounts"):
        assert a[key] == b[key], key
    for key in ("terminationGracePeriodSeconds", "securityContext"):
        assert ours["spec"]["template"]["spec"][key] == theirs["spec"]["template"]["spec"][key], key
    assert ours["spec"]["volumeClaimTemplates"] == theirs["spec"]["volumeClaimTemplates"]
    assert ours["spec"]["podManagementPolicy"] == "Parallel"


def test_names_and_labels_hold_together(renderer):
    docs = rendered(renderer)
    work, service = docs["StatefulSet"], docs["Service"]
    pod = work["spec"]["template"]
    assert work["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert work["spec"]["serviceName"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    volumes = {v["name"] for v in pod["spec"]["volumes"]} | {v["metadata"]["name"] for v in work["spec"]["volumeClaimTemplates"]}
    assert {m["name"] for m in sidecar(work)["volumeMounts"]} == volumes
    assert pod["spec"]["volumes"][0]["configMap"]["name"] == docs["ConfigMap"]["metadata"]["name"]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(sidecar(work)["ports"][0]["containerPort"])


def test_without_a_queue_it_is_a_deployment_that_keeps_its_state_as_long_as_the_pod_lives(renderer):
    docs = rendered(renderer, enabled=False)
    assert "StatefulSet" not in docs
    work = docs["Deployment"]
    assert not {"serviceName", "podManagementPolicy", "volumeClaimTemplates"} & set(work["spec"])
    mounts = {m["name"]: m["mountPath"] for m in sidecar(work)["volumeMounts"]}
    volumes = {v["name"]: v for v in work["spec"]["template"]["spec"]["volumes"]}
    assert mounts.keys() == volumes.keys() == {"suimon-config", "suimon-state"} and volumes["suimon-state"]["emptyDir"] == {}
    assert sidecar(work)["env"] == [{"name": "STATE_DIRECTORY", "value": mounts["suimon-state"]}]
    assert "env" not in side(rendered(renderer))  # the queue's volume has it


@typed.needs("typescript", "kubernetes-types")
def test_kubernetes_knows_every_key(renderer, tmp_path):
    queue, none = (typed.of_kubernetes(rendered(renderer, enabled=enabled).values()) for enabled in (True, False))
    assert typed.wrong_in(tmp_path, queue=queue, none=none) == {"queue": "", "none": ""}


def test_its_configuration_has_no_faults(renderer, tmp_path):
    file = tmp_path / "suimon.yaml"
    file.write_text(rendered(renderer)["ConfigMap"]["data"]["suimon.yaml"])
    done = subprocess.run([servers.find_suimon(), "check", "-c", str(file)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "SUIMON_ADMIN_TOKEN": "t", "MONITOR_PW": "p"})
    assert done.returncode == 0, done.stderr


def test_another_configuration_is_another_pod(renderer):
    def checksum(more=""):
        return rendered(renderer, more)["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
    assert len(checksum()) == 64 and checksum() == checksum()
    assert checksum("drain_timeout: 31s\n") not in (checksum(), checksum("drain_timeout: 32s\n"))


def pod(docs):
    return docs["StatefulSet"]["spec"]["template"]


def spec(docs):
    return pod(docs)["spec"]


def app(docs):
    return spec(docs)["containers"][0]


def claim(docs):
    return docs["StatefulSet"]["spec"]["volumeClaimTemplates"][0]["spec"]


def side(docs):
    return sidecar(docs["StatefulSet"])


RESOURCES = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
ENV = [{"name": "A", "value": "yes"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}]
TOLERATIONS = [{"key": "dedicated", "operator": "Equal", "value": "db", "effect": "NoSchedule"}, {"operator": "Exists", "tolerationSeconds": 60}]
AFFINITY = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
    "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]}}}
CONFIG = "listen: {mysql: 127.0.0.1:6033, http: 0.0.0.0:6034}\nprimary: \"elsewhere:3306\"\n"

# Every value of values.yaml: another one, and where it must stand then.
VOLUMES = [{"name": "rds-ca", "configMap": {"name": "rds-ca"}}, {"name": "tls", "secret": {"secretName": "suimon-tls"}}]
MOUNTS = [{"name": "rds-ca", "mountPath": "/etc/suimon-tls/ca", "readOnly": True}, {"name": "tls", "mountPath": "/etc/suimon-tls/own", "readOnly": True}]
VALUES = {
    "replicas": (5, lambda d: d["StatefulSet"]["spec"]["replicas"]),
    "podManagementPolicy": ("OrderedReady", lambda d: d["StatefulSet"]["spec"]["podManagementPolicy"]),
    "app.image": ("registry.example/other:2", lambda d: app(d)["image"]),
    "app.port": (9090, lambda d: (app(d)["ports"][0]["containerPort"], d["Service"]["spec"]["ports"][0]["port"])),
    "app.env": (ENV, lambda d: app(d)["env"]),
    "app.resources": (RESOURCES, lambda d: app(d)["resources"]),
    "app.securityContext": ({"runAsUser": 7}, lambda d: app(d)["securityContext"]),
    "suimon.image": ("registry.example/suimon:9", lambda d: side(d)["image"]),
    "suimon.httpPort": (7034, lambda d: (side(d)["ports"][0]["containerPort"], d["Service"]["spec"]["ports"][1]["port"],
                                         int(pod(d)["metadata"]["annotations"]["prometheus.io/port"]),
                                         int(side(d)["startupProbe"]["exec"]["command"][-1].rpartition(":")[2]))),
    "suimon.readiness": ("/readyz", lambda d: side(d)["readinessProbe"]["httpGet"]["path"]),
    "suimon.secret": ("another", lambda d: side(d)["envFrom"][0]["secretRef"]["name"]),
    "suimon.volumes": (VOLUMES, lambda d: [v for v in spec(d)["volumes"] if v["name"] != "suimon-config"]),
    "suimon.volumeMounts": (MOUNTS, lambda d: [m for m in side(d)["volumeMounts"] if m["name"] not in ("suimon-config", "suimon-queue", "suimon-state")]),
    "imagePullSecrets": ([{"name": "registry"}], lambda d: spec(d).get("imagePullSecrets", [])),
    "serviceAccountName": ("shop", lambda d: spec(d).get("serviceAccountName", "")),
    "suimon.resources": (RESOURCES, lambda d: side(d)["resources"]),
    "suimon.config": (CONFIG, lambda d: d["ConfigMap"]["data"]["suimon.yaml"]),
    "queue.enabled": (False, lambda d: "StatefulSet" in d),
    "queue.size": ("99Gi", lambda d: claim(d)["resources"]["requests"]["storage"]),
    "queue.storageClass": ("fast", lambda d: claim(d)["storageClassName"]),
    "terminationGracePeriodSeconds": (321, lambda d: spec(d)["terminationGracePeriodSeconds"]),
    "podAnnotations": ({"one": "1", "two": "true"}, lambda d: {k: v for k, v in pod(d)["metadata"]["annotations"].items()
                                                               if not k.startswith(("prometheus.io/", "checksum/"))}),
    "nodeSelector": ({"disk": "ssd", "arch": "arm64"}, lambda d: spec(d)["nodeSelector"]),
    "tolerations": (TOLERATIONS, lambda d: spec(d)["tolerations"]),
    "affinity": (AFFINITY, lambda d: spec(d)["affinity"]),
}


def test_every_value_is_among_these():
    values = load(CHART, "values.yaml")
    grouped = ("app", "suimon", "queue")
    assert set(VALUES) == {k for k in values if k not in grouped} | {"%s.%s" % (g, k) for g in grouped for k in values[g]}


@pytest.mark.parametrize("path", VALUES)
def test_a_value_comes_where_it_belongs_and_nothing_else_changes_place(renderer, path):
    value, found = VALUES[path]
    docs, usual = rendered(renderer, changed={path: value}), rendered(renderer)
    got = found(docs)
    assert (set(got) == {value} if isinstance(got, tuple) else got == value), got
    for other, (_, where) in VALUES.items():
        if path != "queue.enabled" and other not in (path, "queue.storageClass"):
            assert where(docs) == where(usual), other


def test_what_is_left_out_is_not_there(renderer):
    docs = rendered(renderer, changed={"suimon.secret": ""})
    assert "envFrom" not in side(docs) and "envFrom" in side(rendered(renderer))
    assert "storageClassName" not in claim(docs)  # the cluster's own


@typed.needs("typescript", "kubernetes-types")
def test_kubernetes_knows_every_key_with_all_values_set(renderer, tmp_path):
    everything = {path: value for path, (value, _) in VALUES.items() if path != "queue.enabled"}
    sets = {"all": everything, "no_queue": {**everything, "queue.enabled": False}, "no_secret": {"suimon.secret": ""}}
    docs = {name: typed.of_kubernetes(rendered(renderer, changed=changed).values()) for name, changed in sets.items()}
    assert typed.wrong_in(tmp_path, **docs) == dict.fromkeys(sets, "")
