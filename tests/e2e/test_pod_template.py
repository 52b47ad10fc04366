"""A request's pod template: what it says reaches stages, services and builds; what it must not say is refused."""

import json
import textwrap

import pytest

from tests.support.e2e import Coachwork, kubectl, told
from tests.support.e2e_projects import batch, project, server, service

LOOK = """
import json, os, pathlib
facts = {
    "mode": os.environ["MODE"], "data": os.environ["DATA"],
    "settings": pathlib.Path("/settings/a.txt").read_text(),
    "uid": os.getuid(), "token": os.path.exists("/var/run/secrets/kubernetes.io"),
}
pathlib.Path("/data/scratch.txt").write_text("writable")
pathlib.Path(os.environ["COACHWORK_ARTIFACTS"], "facts.json").write_text(json.dumps(facts))
"""

TEMPLATE = """
apiVersion: v1
kind: Pod
metadata:
  labels: {team: ml}
  annotations: {sidecar.istio.io/inject: "false"}
spec:
  nodeSelector: {kubernetes.io/os: linux}
  tolerations:
    - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
          - matchExpressions: [{key: kubernetes.io/arch, operator: Exists}]
  priorityClassName: PRIORITY
  hostAliases: [{ip: 127.0.0.7, hostnames: [store.local]}]
  volumes:
    - {name: data, emptyDir: {sizeLimit: 8Mi}}
    - {name: settings, configMap: {name: TEMPLATE}}
  containers:
    - name: stage
      env:
        - {name: MODE, value: slow}
        - {name: DATA, value: $(COACHWORK_REQUEST)/data}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: settings, mountPath: /settings, readOnly: true}
      resources:
        requests: {cpu: 15m, memory: 20Mi}
"""


@pytest.fixture
def template(coachwork: Coachwork) -> str:
    """A ConfigMap with the template above, and the PriorityClass that it names; removed with the test's requests."""
    name = coachwork.name("template")
    apply_class(name)
    text = TEMPLATE.replace("PRIORITY", name).replace("TEMPLATE", name)
    keep(coachwork, name, text)
    return name


def apply_class(name: str) -> None:
    item = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 7}
    kubectl("apply", "-f", "-", text=json.dumps(item))


def keep(coachwork: Coachwork, name: str, text: str) -> None:
    data = {"pod.yaml": textwrap.dedent(text), "a.txt": "from the ConfigMap"}
    coachwork.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def test_a_template_reaches_stages_services_and_builds(coachwork: Coachwork, template: str) -> None:
    name = coachwork.name("templated")
    stage = batch("look", LOOK, more="[env]\nMODE = fast", requirements="six==1.17.0\n")
    stage["look/config.ini"] = stage["look/config.ini"].replace("[default]\n", "[default]\nCPU_REQUEST = 0.03\n")
    coachwork.git.push(name, project(name, "look >> web", stage, service("web", server("up"))))
    try:
        coachwork.request(name, pod_template=template)
        record = coachwork.ended(name)
        assert record["phase"] == "Ready", told(record)
        facts = json.loads(coachwork.run_file(name, 1, "artifacts/facts.json"))
        assert facts == {
            "mode": "fast", "data": f"{name}/data", "settings": "from the ConfigMap", "uid": 10001, "token": False,
        }  # fmt: skip
        (deployment,), (job,) = coachwork.objects(name, "deployments"), coachwork.objects(name, "jobs")
        for item in (deployment, job):
            check_pod(item["spec"]["template"], template)
        assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] == {
            "cpu": "30m", "memory": "20Mi",
        }  # fmt: skip
        generation = deployment["metadata"]["generation"]
        assert coachwork.trigger(name, "again")["phase"] == "Ready"
        assert coachwork.get("deployment", f"{name}--web")["metadata"]["generation"] > generation
    finally:
        kubectl("delete", "priorityclass", template, "--ignore-not-found", "--wait=false")


def check_pod(pod: dict[str, dict[str, object]], template: str) -> None:
    """See that a workload's pods have what the template says, and stay bound to the controller's node."""
    spec = pod["spec"]
    assert pod["metadata"]["labels"]["team"] == "ml"  # type: ignore[index]
    assert spec["priorityClassName"] == template
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["hostAliases"] == [{"ip": "127.0.0.7", "hostnames": ["store.local"]}]
    affinity = json.dumps(spec["affinity"])
    assert "metadata.name" in affinity
    assert "kubernetes.io/arch" in affinity
