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


def rendered(renderer, more="", **queue):
    """Documents by kind. more: lines at the end of suimon's configuration."""
    values, chart = load(CHART, "values.yaml"), load(CHART, "Chart.yaml")
    values["suimon"]["config"] += more
    values["queue"].update(queue)
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


def test_without_a_queue_it_is_a_deployment_without_a_volume(renderer):
    docs = rendered(renderer, enabled=False)
    assert "StatefulSet" not in docs
    work = docs["Deployment"]
    assert not {"serviceName", "podManagementPolicy", "volumeClaimTemplates"} & set(work["spec"])
    assert [m["name"] for m in sidecar(work)["volumeMounts"]] == ["suimon-config"]


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
