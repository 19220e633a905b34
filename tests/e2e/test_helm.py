"""The Helm chart, rendered by the engine that Helm uses: what comes out holds together, and says what deploy/kubernetes says."""
import json
import os
import re
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


def templates():
    folder = os.path.join(CHART, "templates")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name != "NOTES.txt")


def put_out(renderer, data, *files):
    done = subprocess.run([renderer, *files], input=json.dumps(data), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_kind(said):
    """Services are two where there is a StatefulSet: the one without an address is its Pods."""
    docs = [d for d in yaml.safe_load_all(said) if d]
    found = {"Pods" if d["kind"] == "Service" and d["spec"].get("clusterIP") == "None" else d["kind"]: d for d in docs}
    assert len(found) == len(docs)
    return found


def scope(changed=(), more="", **queue):
    """What Helm hands to the chart's templates."""
    values, chart = load(CHART, "values.yaml"), load(CHART, "Chart.yaml")
    values["suimon"]["config"] += more
    values["queue"].update(queue)
    for path, value in dict(changed).items():
        place, _, name = path.rpartition(".")
        (values[place] if place else values)[name] = value
    return {"Values": values, "Chart": {"Name": chart["name"], "AppVersion": chart["appVersion"]},
            "Release": {"Name": "shop", "Service": "Helm"}}


def rendered(renderer, more="", changed=(), **queue):
    """Documents by kind. more: lines at the end of suimon's configuration; changed: other values, by their path."""
    return by_kind(put_out(renderer, scope(changed, more, **queue), *templates()))


def manifest():
    with open(os.path.join(servers.TOP, "deploy", "kubernetes", "suimon.yaml")) as f:
        return by_kind(f.read())


def sidecar(workload):
    return workload["spec"]["template"]["spec"]["initContainers"][0]


def test_the_sidecar_is_the_manifests(renderer):
    ours, theirs = rendered(renderer)["StatefulSet"], manifest()["StatefulSet"]
    a, b = sidecar(ours), sidecar(theirs)
    for key in ("image", "restartPolicy", "args", "envFrom", "env", "ports", "startupProbe", "livenessProbe", "readinessProbe",
                "securityContext", "resources", "volumeMounts"):
        assert a[key] == b[key], key
    for key in ("terminationGracePeriodSeconds", "securityContext"):
        assert ours["spec"]["template"]["spec"][key] == theirs["spec"]["template"]["spec"][key], key
    assert ours["spec"]["volumeClaimTemplates"] == theirs["spec"]["volumeClaimTemplates"]
    assert ours["spec"]["podManagementPolicy"] == "Parallel"
    for kind in ("Service", "Pods"):
        assert rendered(renderer)[kind]["spec"].keys() - {"type"} == manifest()[kind]["spec"].keys(), kind
        assert rendered(renderer)[kind]["spec"]["ports"] == manifest()[kind]["spec"]["ports"], kind
    containers = [w["spec"]["template"]["spec"]["containers"][0] for w in (ours, theirs)]
    assert containers[0]["securityContext"] == containers[1]["securityContext"]
    assert "runAsUser" not in containers[0]["securityContext"]  # the image's own


def test_names_and_labels_hold_together(renderer):
    docs = rendered(renderer)
    work, service, pods = docs["StatefulSet"], docs["Service"], docs["Pods"]
    pod = work["spec"]["template"]
    assert work["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert pods["spec"]["selector"] == service["spec"]["selector"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert work["spec"]["serviceName"] == pods["metadata"]["name"] != service["metadata"]["name"]
    assert "clusterIP" not in service["spec"]  # which would send all of a client's requests to one pod
    named = {p["name"] for c in (sidecar(work), pod["spec"]["containers"][0]) for p in c["ports"]}
    assert {p["targetPort"] for p in service["spec"]["ports"]} == named
    volumes = {v["name"] for v in pod["spec"]["volumes"]} | {v["metadata"]["name"] for v in work["spec"]["volumeClaimTemplates"]}
    assert {m["name"] for m in sidecar(work)["volumeMounts"]} == volumes
    assert pod["spec"]["volumes"][0]["configMap"]["name"] == docs["ConfigMap"]["metadata"]["name"]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(sidecar(work)["ports"][0]["containerPort"])


def test_without_a_queue_it_is_a_deployment_that_keeps_its_state_as_long_as_the_pod_lives(renderer):
    docs = rendered(renderer, enabled=False)
    assert "StatefulSet" not in docs and "Pods" not in docs and "clusterIP" not in docs["Service"]["spec"]
    work = docs["Deployment"]
    assert not {"serviceName", "podManagementPolicy", "volumeClaimTemplates"} & set(work["spec"])
    mounts = {m["name"]: m["mountPath"] for m in sidecar(work)["volumeMounts"]}
    volumes = {v["name"]: v for v in work["spec"]["template"]["spec"]["volumes"]}
    assert mounts.keys() == volumes.keys() == {"suimon-config", "suimon-state"} and volumes["suimon-state"]["emptyDir"] == {}
    assert sidecar(work)["env"] == [{"name": "STATE_DIRECTORY", "value": mounts["suimon-state"]}]
    assert side(rendered(renderer))["env"] == [{"name": "STATE_DIRECTORY", "value": "/var/lib/suimon/queue"}]


def test_what_needs_no_token_is_not_published(renderer):
    for kind, ports in (("ClusterIP", {"http", "suimon-http"}), ("NodePort", {"http"}), ("LoadBalancer", {"http"})):
        assert {p["name"] for p in rendered(renderer, changed=[("service.type", kind)])["Service"]["spec"]["ports"]} == ports


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

PROBE = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 5}

# Every value of values.yaml: another one, and where it must stand then.
VOLUMES = [{"name": "rds-ca", "configMap": {"name": "rds-ca"}}, {"name": "tls", "secret": {"secretName": "suimon-tls"}}]
MOUNTS = [{"name": "rds-ca", "mountPath": "/etc/suimon-tls/ca", "readOnly": True}, {"name": "tls", "mountPath": "/etc/suimon-tls/own", "readOnly": True}]


def published(docs):
    """suimon's port at the Service; where that has none (service.type), the container's."""
    return next((p["port"] for p in docs["Service"]["spec"]["ports"] if p["name"] == "suimon-http"), side(docs)["ports"][0]["containerPort"])


VALUES = {
    "replicas": (5, lambda d: d["StatefulSet"]["spec"]["replicas"]),
    "podManagementPolicy": ("OrderedReady", lambda d: d["StatefulSet"]["spec"]["podManagementPolicy"]),
    "app.image": ("registry.example/other:2", lambda d: app(d)["image"]),
    "app.port": (9090, lambda d: (app(d)["ports"][0]["containerPort"], d["Service"]["spec"]["ports"][0]["port"],
                                 d["Pods"]["spec"]["ports"][0]["port"])),
    "app.env": (ENV, lambda d: app(d)["env"]),
    "app.enabled": (False, lambda d: "Service" in d),
    "app.command": (["/bin/shop", "--port=8080"], lambda d: app(d).get("command", [])),
    "app.args": (["serve", "yes"], lambda d: app(d).get("args", [])),
    "app.envFrom": ([{"secretRef": {"name": "shop"}}, {"configMapRef": {"name": "shop"}}], lambda d: app(d).get("envFrom", [])),
    "app.startupProbe": ({**PROBE, "failureThreshold": 30}, lambda d: app(d).get("startupProbe", {})),
    "app.livenessProbe": (PROBE, lambda d: app(d).get("livenessProbe", {})),
    "app.readinessProbe": ({"exec": {"command": ["/bin/shop", "ready"]}}, lambda d: app(d).get("readinessProbe", {})),
    "app.lifecycle": ({"preStop": {"exec": {"command": ["sleep", "5"]}}}, lambda d: app(d).get("lifecycle", {})),
    "app.volumes": ([{"name": "cache", "emptyDir": {}}], lambda d: [v for v in spec(d)["volumes"] if v["name"] == "cache"]),
    "app.volumeMounts": ([{"name": "cache", "mountPath": "/var/cache/shop"}], lambda d: app(d).get("volumeMounts", [])),
    "initContainers": ([{"name": "migrate", "image": "registry.example/shop:1", "args": ["migrate"]}], lambda d: spec(d)["initContainers"][1:]),
    "containers": ([{"name": "worker", "image": "registry.example/shop:1"}, {"name": "cron", "image": "registry.example/cron:1"}],
                   lambda d: spec(d)["containers"][1:]),
    "service.type": ("NodePort", lambda d: d["Service"]["spec"]["type"]),
    "service.annotations": ({"example.com/of": "shop"}, lambda d: d["Service"]["metadata"].get("annotations", {})),
    "podSecurityContext": ({"fsGroup": 6033, "runAsNonRoot": True}, lambda d: spec(d)["securityContext"]),
    "app.resources": (RESOURCES, lambda d: app(d)["resources"]),
    "app.securityContext": ({"runAsUser": 7}, lambda d: app(d)["securityContext"]),
    "suimon.image": ("registry.example/suimon:9", lambda d: side(d)["image"]),
    "suimon.httpPort": (7034, lambda d: (side(d)["ports"][0]["containerPort"], published(d),
                                         int(pod(d)["metadata"]["annotations"]["prometheus.io/port"]),
                                         int(side(d)["startupProbe"]["exec"]["command"][-1].rpartition(":")[2]))),
    "suimon.readiness": ("/readyz", lambda d: side(d)["readinessProbe"]["httpGet"]["path"]),
    "suimon.secret": ("another", lambda d: side(d)["envFrom"][0]["secretRef"]["name"]),
    "suimon.volumes": (VOLUMES, lambda d: [v for v in spec(d)["volumes"] if v["name"] not in ("suimon-config", "cache")]),
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
    grouped = ("app", "suimon", "queue", "service")
    assert set(VALUES) == {k for k in values if k not in grouped} | {"%s.%s" % (g, k) for g in grouped for k in values[g]}


@pytest.mark.parametrize("path", VALUES)
def test_a_value_comes_where_it_belongs_and_nothing_else_changes_place(renderer, path):
    value, found = VALUES[path]
    docs, usual = rendered(renderer, changed={path: value}), rendered(renderer)
    got = found(docs)
    assert (set(got) == {value} if isinstance(got, tuple) else got == value), got
    for other, (_, where) in VALUES.items():
        if not path.endswith(".enabled") and other not in (path, "queue.storageClass"):
            assert where(docs) == where(usual), other


def test_what_is_left_out_is_not_there(renderer):
    docs = rendered(renderer, changed={"suimon.secret": ""})
    assert "envFrom" not in side(docs) and "envFrom" in side(rendered(renderer))
    assert "storageClassName" not in claim(docs)  # the cluster's own


@typed.needs("typescript", "kubernetes-types")
def test_kubernetes_knows_every_key_with_all_values_set(renderer, tmp_path):
    everything = {path: value for path, (value, _) in VALUES.items() if not path.endswith(".enabled")}
    sets = {"all": everything, "no_queue": {**everything, "queue.enabled": False}, "no_secret": {"suimon.secret": ""}}
    docs = {name: typed.of_kubernetes(rendered(renderer, changed=changed).values()) for name, changed in sets.items()}
    assert typed.wrong_in(tmp_path, **docs) == dict.fromkeys(sets, "")


def test_without_the_application_there_is_the_configuration_alone(renderer):
    assert set(rendered(renderer, changed={"app.enabled": False})) == {"ConfigMap"}


def readme():
    with open(os.path.join(CHART, "README.md")) as f:
        return f.read()


def shown(name):
    """A file that the README shows."""
    return re.search(r"```yaml\n(# %s.*?\n)```" % re.escape(name), readme(), re.S).group(1)


def laid_over(values, own):
    """As Helm lays a chart's values over those of one that it depends on."""
    return {k: laid_over(v, own[k]) if isinstance(v, dict) and isinstance(own.get(k), dict) else own.get(k, v)
            for k, v in {**dict.fromkeys(own), **values}.items()}


def check_configuration(file, docs, **env):
    file.write_text(docs["ConfigMap"]["data"]["suimon.yaml"])
    done = subprocess.run([servers.find_suimon(), "check", "-c", str(file)], capture_output=True, text=True, timeout=60, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr


@typed.needs("typescript", "kubernetes-types")
def test_a_chart_of_ones_own_takes_the_parts_as_the_readme_shows(renderer, tmp_path):
    dependency, = yaml.safe_load(shown("Chart.yaml"))["dependencies"]
    chart = load(CHART, "Chart.yaml")
    assert (dependency["name"], dependency["version"]) == (chart["name"], chart["version"])
    sub = scope()
    sub["Values"] = laid_over(sub["Values"], yaml.safe_load(shown("values.yaml"))[chart["name"]])
    theirs = by_kind(put_out(renderer, sub, *templates()))
    assert set(theirs) == {"ConfigMap"}
    check_configuration(tmp_path / "suimon.yaml", theirs)
    (tmp_path / "deployment.yaml").write_text(shown("templates/deployment.yaml"))
    helpers = [t for t in templates() if os.path.basename(t).startswith("_")]
    own = by_kind(put_out(renderer, {"Release": sub["Release"], "Subcharts": {chart["name"]: sub}}, *helpers, str(tmp_path / "deployment.yaml")))
    assert typed.wrong_in(tmp_path, own=typed.of_kubernetes(own.values())) == {"own": ""}
    usual, pod_spec = rendered(renderer, enabled=False)["Deployment"]["spec"]["template"], own["Deployment"]["spec"]["template"]["spec"]
    side_by_side = sidecar(own["Deployment"])
    assert "envFrom" not in side_by_side and {**usual["spec"]["initContainers"][0], **side_by_side} == usual["spec"]["initContainers"][0]
    assert pod_spec["volumes"] == usual["spec"]["volumes"] and pod_spec["volumes"][0]["configMap"]["name"] == theirs["ConfigMap"]["metadata"]["name"]
    assert pod_spec["terminationGracePeriodSeconds"] == usual["spec"]["terminationGracePeriodSeconds"]
    assert own["Deployment"]["spec"]["template"]["metadata"]["annotations"].keys() == usual["metadata"]["annotations"].keys()


def test_the_readmes_values_are_the_charts(renderer, tmp_path):
    data, own = scope(), yaml.safe_load(shown("shop.yaml"))
    assert all(isinstance(v, dict) and v.keys() <= data["Values"][k].keys() for k, v in own.items())
    data["Values"] = laid_over(data["Values"], own)
    docs = by_kind(put_out(renderer, data, *templates()))
    container = docs["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert all(container[key] == own["app"][key] for key in own["app"])
    check_configuration(tmp_path / "suimon.yaml", docs, SUIMON_ADMIN_TOKEN="t", MONITOR_PW="p")


def test_the_notes_name_what_there_is(renderer):
    notes = os.path.join(CHART, "templates", "NOTES.txt")

    def said(**changed):
        return put_out(renderer, scope({path.replace("__", "."): value for path, value in changed.items()}), *templates()[:2], notes)
    usual = said()
    assert "instance=shop" in usual and "secret suimon," in usual and "drain first" in usual and "--http 127.0.0.1:6034" in usual
    assert "secret" not in said(suimon__secret="") and "drain first" not in said(queue__enabled=False)
    assert said(app__enabled=False).strip("-\n") == ""
