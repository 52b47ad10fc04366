"""The pod template of a request: what it may say, what is refused, and how it is merged under a stage's pod."""

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.core import layout, manifests, names
from controller.core.errors import Invalid
from controller.core.inputs import engine, podtemplate
from controller.core.inputs.podtemplate.forms import CONTAINER, SPEC
from controller.core.manifests import RunContext, folders_of
from controller.core.model import (
    Batch,
    Environment,
    Object,
    Pipeline,
    Policy,
    Resources,
    RunSpec,
    Secret,
    Service,
    Stage,
)
from tests.support.restricted import violations

UID = "0f8f2e2e-7a39-4c07-b6d1-3a2f2a1e9d11"
CLAIM = "coachwork"
POLICY = Policy(namespace="ns", image="python:3.12-slim", claim=CLAIM, tools="t0")
SPEC_OF_RUN = RunSpec(
    repository="https://git.example/iris", commit="c" * 40, path=".", tree="t" * 40, image="python:3.12-slim"
)
TRAIN = Stage("train", "train", "run.py", Batch())
WEB = Stage("web", "web", "run.py", Service(5000))
PIPELINE = Pipeline("iris", (("train",), ("web",)), {"train": TRAIN, "web": WEB})
REQUIRED, PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
BUILD = Environment("environment", "e" * 20, ("train",))


def read(document: Any) -> str:
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    return podtemplate.read({"data": {"pod.yaml": text}}, "gpu", CLAIM)


def problems(document: Any) -> list[str]:
    """Return what is wrong with a template, without the start that all lines have."""
    with pytest.raises(Invalid) as caught:
        read(document)
    assert caught.value.reason == "InvalidPodTemplate"
    return [line.removeprefix("pod-template gpu: pod.yaml: ") for line in caught.value.problems]


def context(document: Any, *, stage: Stage = TRAIN, node: str = "") -> RunContext:
    spec = replace(SPEC_OF_RUN, pod_template=read(document) if document is not None else "")
    pipeline = replace(PIPELINE, stages={**PIPELINE.stages, stage.name: stage})
    return RunContext("iris", UID, 7, spec, pipeline, replace(POLICY, node=node), previous=6)


def pod(document: Any, *, stage: Stage = TRAIN, node: str = "") -> Object:
    """Return the pod template that a stage gets."""
    one = context(document, stage=stage, node=node)
    made = manifests.job(one, stage) if isinstance(stage.work, Batch) else manifests.deployment(one, stage)
    found: Object = made["spec"]["template"]
    return found


def spec_of(spec: Object, **more: Any) -> Object:
    found: Object = pod({"spec": spec}, **more)["spec"]
    return found


def container_of(container: Object, volumes: list[Object] | None = None, **more: Any) -> Object:
    spec = {"containers": [{"name": "stage", **container}], "volumes": volumes or []}
    (found,) = spec_of(spec, **more)["containers"]
    return dict(found)


# --- reading ------------------------------------------------------------------------------------------


def test_a_configmap_that_is_not_there_is_refused_with_the_command_that_makes_it() -> None:
    with pytest.raises(Invalid) as caught:
        podtemplate.read(None, "gpu", CLAIM)
    assert caught.value.reason == "PodTemplateMissing"
    assert "kubectl create configmap gpu --from-file=pod.yaml" in caught.value.problems[0]


@pytest.mark.parametrize("data", [None, {}, {"pod.yml": "spec: {}"}, {"pod.yaml": 3}])
def test_a_configmap_without_pod_yaml_is_refused_with_the_keys_that_it_has(data: Any) -> None:
    with pytest.raises(Invalid) as caught:
        podtemplate.read({"data": data}, "gpu", CLAIM)
    assert "has no key pod.yaml" in caught.value.problems[0]
    assert all(key in caught.value.problems[0] for key in data or {})


def test_the_same_template_written_otherwise_is_the_same() -> None:
    written = "spec:\n  nodeSelector: {b: y, a: 'x'}\n  volumes:\n"
    other = "# a comment\napiVersion: v1\nkind: Pod\nmetadata: {name: any}\nspec: {nodeSelector: {a: x, b: y}}"
    assert read(written) == read(other)
    assert read(written) != read("spec: {nodeSelector: {b: y, a: z}}")


@pytest.mark.parametrize("text", ["", "{}", "spec: {}", "metadata:\nspec:\n", "# nothing"])
def test_a_template_that_says_nothing_changes_nothing(text: str) -> None:
    assert read(text) == ""


def test_octal_modes_are_octal_as_kubectl_reads_them() -> None:
    volume = 'spec: {volumes: [{name: keys, secret: {secretName: keys, defaultMode: 0440}}], nodeSelector: {a: "on"}}'
    assert json.loads(read(volume))["spec"]["volumes"][0]["secret"]["defaultMode"] == 0o440


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "line 2, column 1: not valid YAML"),
        ("- a", "expected a section with keys of its own, got a list"),
        ("spec: {nodeSelector: {a: b, a: c}}", 'the key "a" appears twice'),
        ("spec: &a {x: *a}", "refers to what it is in"),
        ("spec: !!python/object:os.system {}", "the tag"),
        ("spec: {on: 1}", "the key true is not text"),
        ("spec: {schedulerName: 2020-99-99}", "not valid YAML"),
        ("spec: {schedulerName: " + "x" * 40_000 + "}", "characters long"),
        (
            "spec: {containers: [{name: stage, env: [{name: V0, value: &v " + "x" * 4000 + "},"
            + ",".join(f"{{name: V{number}, value: *v}}" for number in range(1, 20))
            + "]}]}",
            "with all aliases",
        ),
    ],
    ids=["broken", "list", "twice", "bomb", "tag", "key", "date", "long", "aliases"],
)  # fmt: skip
def test_text_that_is_not_a_document_is_refused_in_one_line(text: str, words: str) -> None:
    (line,) = problems(text)
    assert words in line


def test_all_problems_come_at_once_with_their_paths() -> None:
    document = {
        "metadata": {"labels": {"coachwork.io/run": "1"}, "annotations": {"note": 7}},
        "spec": {
            "hostNetwork": True,
            "tolerationz": [],
            "nodeSelector": {"gpu": True},
            "containers": [{"name": "stage", "command": ["sh"], "env": [{"name": "PATH", "value": "x"}]}],
        },
    }
    starts = [line.split(": ")[0] for line in problems(document)]
    assert sorted(starts) == [
        "metadata.annotations.note",
        'metadata.labels["coachwork.io/run"]',
        "spec.containers[0].command",
        "spec.containers[0].env[0].name",
        "spec.hostNetwork",
        "spec.nodeSelector.gpu",
        "spec.tolerationz",
    ]


# --- what can't be said -------------------------------------------------------------------------------------

REFUSED_OF_POD = sorted(SPEC.refused)
REFUSED_OF_CONTAINER = sorted(CONTAINER.refused)


def test_every_security_field_of_pods_and_containers_is_among_the_refused() -> None:
    pods = {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "shareProcessNamespace", "securityContext", "nodeName",
            "serviceAccountName", "serviceAccount", "automountServiceAccountToken", "initContainers",
            "ephemeralContainers", "restartPolicy", "activeDeadlineSeconds"}  # fmt: skip
    containers = {"securityContext", "command", "args", "ports", "lifecycle", "image", "envFrom", "workingDir",
                  "livenessProbe", "readinessProbe", "startupProbe", "volumeDevices", "restartPolicy"}  # fmt: skip
    assert pods <= set(REFUSED_OF_POD)
    assert containers <= set(REFUSED_OF_CONTAINER)


@pytest.mark.parametrize("field", REFUSED_OF_POD)
@pytest.mark.parametrize("value", [True, [], {}, "x", 0])
def test_a_refused_field_of_the_pod_is_refused_whatever_it_says(field: str, value: Any) -> None:
    (line,) = problems({"spec": {field: value}})
    assert line.startswith(f"spec.{field}: ")
    assert "unknown" not in line


@pytest.mark.parametrize("field", REFUSED_OF_CONTAINER)
def test_a_refused_field_of_the_container_is_refused(field: str) -> None:
    (line,) = problems({"spec": {"containers": [{"name": "stage", field: {}}]}})
    assert line.startswith(f"spec.containers[0].{field}: ")
    assert "unknown" not in line


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"containers": [{"name": "proxy"}]}, "spec.containers[0].name"),
        ({"containers": [{"name": "stage"}, {"name": "stage"}]}, "spec.containers[1].name"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "spec.volumes[0].hostPath"),
        ({"volumes": [{"name": "x", "nfs": {}}]}, "spec.volumes[0].nfs"),
        ({"volumes": [{"name": "x"}]}, "spec.volumes[0]"),
        ({"volumes": [{"emptyDir": {}}]}, "spec.volumes[0].name"),
        ({"volumes": [{"name": "x", "emptyDir": {}, "configMap": {"name": "y"}}]}, "spec.volumes[0]"),
        ({"volumes": [{"name": "x", "emptyDir": {}}, {"name": "x", "emptyDir": {}}]}, "spec.volumes[1].name"),
        ({"volumes": [{"name": "x", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
         "spec.volumes[0].projected.sources[0].serviceAccountToken"),
        ({"volumes": [{"name": "x", "persistentVolumeClaim": {"claimName": CLAIM}}]},
         "spec.volumes[0].persistentVolumeClaim.claimName"),
        ({"volumes": [{"name": "x", "configMap": {"name": "y", "items": [{"key": "k", "path": "../k"}]}}]},
         "spec.volumes[0].configMap.items[0].path"),
        ({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": []}}}},
         f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms"),
        ({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{}]}}}},
         f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[0]"),
        ({"dnsPolicy": "ClusterFirstWithHostNet"}, "spec.dnsPolicy"),
        ({"tolerations": {"key": "gpu"}}, "spec.tolerations"),
        ({"imagePullSecrets": ["registry"]}, "spec.imagePullSecrets[0]"),
        ({"nodeSelector": {"gpu": True}}, "spec.nodeSelector.gpu"),
    ],
)  # fmt: skip
def test_what_would_loosen_or_could_not_be_applied_is_refused(spec: Object, path: str) -> None:
    (line,) = problems({"spec": spec})
    assert line.startswith(f"{path}: ")


@pytest.mark.parametrize("name", names.VOLUMES)
def test_our_own_volumes_can_be_neither_replaced_nor_mounted_elsewhere(name: str) -> None:
    assert "Coachwork's own" in problems({"spec": {"volumes": [{"name": name, "emptyDir": {}}]}})[0]
    mount = {"name": name, "mountPath": "/all"}
    assert "Coachwork's own" in problems({"spec": {"containers": [{"name": "stage", "volumeMounts": [mount]}]}})[0]


@pytest.mark.parametrize(
    "path",
    ["/coachwork", "/coachwork/checkout", "/coachwork/tools/", "/dev/shm", "/dev", "/dev/shm/x", "/", "//", "/..",  # noqa: S108
     "/data/../coachwork", "//coachwork", "data", "", "/proc/x", "/sys", "/a:b", "/a\n", 7, None],
)  # fmt: skip
def test_our_own_paths_can_not_be_mounted_over(path: Any) -> None:
    volume = {"name": "x", "emptyDir": {}}
    mounts = [{"name": "x", "mountPath": path}]
    (line,) = problems({"spec": {"volumes": [volume], "containers": [{"name": "stage", "volumeMounts": mounts}]}})
    assert line.startswith("spec.containers[0].volumeMounts[0].mountPath: ")


def test_a_mount_of_a_volume_that_is_not_there_is_refused() -> None:
    mounts = [{"name": "y", "mountPath": "/y"}]
    document = {"volumes": [{"name": "x", "emptyDir": {}}], "containers": [{"name": "stage", "volumeMounts": mounts}]}
    (line,) = problems({"spec": document})
    assert line == 'spec.containers[0].volumeMounts[0].name: "y" is not a volume of the template: choose from x'


@pytest.mark.parametrize("name", ["PATH", "COACHWORK_RUN", "HOME", "PORT", "1X", "a-b", ""])
def test_reserved_and_impossible_variables_are_refused(name: str) -> None:
    (line,) = problems({"spec": {"containers": [{"name": "stage", "env": [{"name": name, "value": "x"}]}]}})
    assert line.startswith("spec.containers[0].env[0].name: ")


@pytest.mark.parametrize(
    "label",
    ["coachwork.io/request-uid", "app.kubernetes.io/component", "job-name", "batch.kubernetes.io/job-name",
     "pod-template-hash", "not a label", "x/y/z"],
)  # fmt: skip
def test_labels_by_which_pods_are_found_can_not_be_set(label: str) -> None:
    assert len(problems({"metadata": {"labels": {label: "x"}}})) == 1


@pytest.mark.parametrize(
    "annotation",
    ["coachwork.io/digest", "container.apparmor.security.beta.kubernetes.io/stage",
     "seccomp.security.alpha.kubernetes.io/pod"],
)  # fmt: skip
def test_annotations_that_decide_on_security_can_not_be_set(annotation: str) -> None:
    assert len(problems({"metadata": {"annotations": {annotation: "unconfined"}}})) == 1


# --- merging ------------------------------------------------------------------------------------------------


def test_without_a_template_nothing_changes() -> None:
    assert pod("") == pod(None)
    assert pod(None)["spec"].keys() == {
        "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds",
        "securityContext", "containers", "volumes", "restartPolicy", "activeDeadlineSeconds",
    }  # fmt: skip


PLAIN = {
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "schedulerName": "volcano",
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["10.0.0.10"], "options": [{"name": "ndots", "value": "2"}]},
    "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["git.local"]}],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway",
         "labelSelector": {"matchLabels": {"app": "x"}}},
    ],
    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}},
}  # fmt: skip


@pytest.mark.parametrize("stage", [TRAIN, WEB], ids=["batch", "service"])
@pytest.mark.parametrize("field", PLAIN)
def test_fields_of_which_we_have_none_are_taken_as_they_are(field: str, stage: Stage) -> None:
    assert spec_of({field: PLAIN[field]}, stage=stage)[field] == PLAIN[field]


def test_labels_and_annotations_are_added_to_ours() -> None:
    metadata = {"labels": {"team": "ml"}, "annotations": {"sidecar.istio.io/inject": "false"}}
    plain, found = pod(None, stage=WEB)["metadata"], pod({"metadata": metadata}, stage=WEB)["metadata"]
    assert found["labels"] == {**plain["labels"], "team": "ml"}
    assert found["annotations"].items() >= metadata["annotations"].items()
    assert names.DIGEST in found["annotations"]


def test_volumes_and_mounts_come_behind_ours_and_below_other_paths() -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}]
    mounts = [{"name": "data", "mountPath": "/data", "subPath": "runs/x", "readOnly": True}]
    spec = {"volumes": volumes, "containers": [{"name": "stage", "volumeMounts": mounts}]}
    plain, found = pod(None)["spec"], spec_of(spec)
    assert found["volumes"] == [*plain["volumes"], *volumes]
    assert found["containers"][0]["volumeMounts"] == [*plain["containers"][0]["volumeMounts"], *mounts]


def test_folders_are_made_for_mounts_of_the_shared_volume_only() -> None:
    volumes = [{"name": "data", "emptyDir": {}}]
    mounts = [{"name": "data", "mountPath": "/data", "subPath": "runs/other-0/1/logs"}]
    document = {"spec": {"volumes": volumes, "containers": [{"name": "stage", "volumeMounts": mounts}]}}
    assert folders_of(manifests.job(context(document), TRAIN)) == folders_of(manifests.job(context(None), TRAIN))


def test_variables_come_under_all_others_and_keep_their_references() -> None:
    stage = replace(TRAIN, env=(("MODE", "fast"),), secrets=(Secret("KEY", "aws", "KEY"),))
    given = [
        {"name": "MODE", "value": "slow"},
        {"name": "KEY", "value": "mine"},
        {"name": "DSN", "value": "db://$(KEY)@host"},
        {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
    ]
    plain, found = container_of({}, stage=stage)["env"], container_of({"env": given}, stage=stage)["env"]
    assert found == [*plain, *given[2:]]
    assert {item["name"]: item for item in found}["MODE"]["value"] == "fast"


def test_secrets_of_the_template_are_blanked_in_messages_too() -> None:
    stage = replace(TRAIN, env=(("MODE", "fast"),), secrets=(Secret("KEY", "aws", "KEY"),))
    reference = {"secretKeyRef": {"name": "db", "key": "password"}}
    given = [{"name": name, "valueFrom": reference} for name in ("PASSWORD", "MODE", "KEY")]
    document = {"spec": {"containers": [{"name": "stage", "env": given}]}}
    command = pod(document, stage=stage)["spec"]["containers"][0]["command"]
    assert json.loads(command[-1].replace("$$", "$"))["secrets"] == ["KEY", "PASSWORD"]


@pytest.mark.parametrize(
    ("project", "template", "merged"),
    [
        (Resources(), {"limits": {"nvidia.com/gpu": 1}}, {"limits": {"nvidia.com/gpu": 1}}),
        (Resources(gpu=2), {"limits": {"nvidia.com/gpu": 1}}, {"limits": {"nvidia.com/gpu": "2"}}),
        (
            Resources(memory_request_mb=2048),
            {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi", "cpu": "2"}},
            {"requests": {"cpu": "1", "memory": "2048Mi"}, "limits": {"cpu": "2"}},
        ),
        (Resources(cpu_limit=1), {"requests": {"cpu": "2"}}, {"limits": {"cpu": "1000m"}}),
    ],
    ids=["none", "gpu", "request", "limit"],
)
def test_amounts_count_for_what_the_project_does_not_name(project: Resources, template: Object, merged: Object) -> None:
    assert container_of({"resources": template}, stage=replace(TRAIN, resources=project))["resources"] == merged


NODE = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
ZONES = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]} for zone in ("a", "b")]


def test_terms_of_node_affinity_are_each_bound_to_the_controllers_node() -> None:
    affinity = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": ZONES}}}
    terms = spec_of({"affinity": affinity}, node="n1")["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    assert terms == [{**zone, "matchFields": [NODE]} for zone in ZONES]


def test_other_affinities_are_kept_with_the_controllers_node() -> None:
    preferred = [{"weight": 1, "preference": ZONES[0]}]
    others = {"podAffinity": {REQUIRED: [{"topologyKey": "zone"}]}}
    found = spec_of({"affinity": {"nodeAffinity": {PREFERRED: preferred}, **others}}, node="n1")["affinity"]
    assert found == {
        "nodeAffinity": {PREFERRED: preferred, REQUIRED: {"nodeSelectorTerms": [{"matchFields": [NODE]}]}},
        **others,
    }


def test_a_build_gets_what_places_it_and_what_it_may_pull_but_no_volumes_variables_or_amounts() -> None:
    reference = {"secretKeyRef": {"name": "db", "key": "password"}}
    stage = {
        "name": "stage",
        "env": [{"name": "X", "valueFrom": reference}],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    document = {
        "metadata": {"labels": {"team": "ml"}},
        "spec": {**PLAIN, "volumes": [{"name": "data", "emptyDir": {}}], "containers": [stage]},
    }
    plain = manifests.build(context(None, node="n1"), BUILD)["spec"]["template"]
    found = manifests.build(context(document, node="n1"), BUILD)["spec"]["template"]
    assert found["metadata"]["labels"] == {**plain["metadata"]["labels"], "team": "ml"}
    assert found["spec"]["containers"] == plain["spec"]["containers"]
    assert found["spec"]["volumes"] == plain["spec"]["volumes"]
    assert found["spec"].keys() - plain["spec"].keys() == PLAIN.keys() - {"topologySpreadConstraints", "affinity"}
    assert found["spec"]["affinity"] == {**plain["spec"]["affinity"], **PLAIN["affinity"]}  # type: ignore[dict-item]


def test_a_services_digest_changes_exactly_when_the_template_does() -> None:
    def digest(document: Any) -> str:
        made = manifests.deployment(context(document, stage=WEB), WEB)
        return str(made["metadata"]["annotations"][names.DIGEST])

    assert digest(None) == digest("{}")
    assert digest({"spec": {"nodeSelector": {"a": "x"}}}) == digest("spec:\n  nodeSelector:\n    a: x\n")
    assert len({digest(None), *(digest({"spec": {"nodeSelector": {"a": value}}}) for value in "xy")}) == 3


def test_environments_of_another_processor_are_others() -> None:
    assert podtemplate.architecture(read({"spec": {"nodeSelector": {"kubernetes.io/arch": "arm64"}}})) == "arm64"
    assert (
        podtemplate.architecture(read({"spec": {"nodeSelector": {"pool": "x"}}})) == podtemplate.architecture("") == ""
    )


# --- whatever a template says ---------------------------------------------------------------------------------

WORDS = st.sampled_from(["x", "data", "stage", "shared", "PATH", "A_B", "kubernetes.io/arch", "", "1Gi", "/data", "0"])
SCALARS = st.one_of(WORDS, st.booleans(), st.integers(-1, 3), st.none())
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2), max_leaves=6
)


def pick(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=values)


VOLUME = st.builds(
    lambda name, source: {"name": name, **source},
    st.sampled_from(["data", "cache", "keys", "shared"]),
    st.sampled_from([
        {"emptyDir": {}}, {"configMap": {"name": "c"}}, {"secret": {"secretName": "s"}}, {"hostPath": {"path": "/"}},
        {"persistentVolumeClaim": {"claimName": "other"}}, {"persistentVolumeClaim": {"claimName": CLAIM}},
    ]),
)  # fmt: skip
MOUNT = st.builds(
    lambda name, path: {"name": name, "mountPath": path},
    st.sampled_from(["data", "cache", "keys", "shared"]),
    st.sampled_from(["/data", "/keys", "/tmp", "/coachwork/logs", "/dev/shm", "/coachwork/tools/"]),  # noqa: S108
)
ENV = st.builds(
    lambda name, value: {"name": name, **value},
    st.sampled_from(["A", "B", "MODE", "KEY", "HOME", "COACHWORK_RUN"]),
    st.sampled_from([{"value": "$(KEY)"}, {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
)
STAGE = pick(
    env=st.lists(ENV, max_size=2), volumeMounts=st.lists(MOUNT, max_size=2),
    resources=pick(limits=st.sampled_from([{"nvidia.com/gpu": 1}, {"cpu": "1", "memory": "1Gi"}])),
    securityContext=st.sampled_from([{"privileged": True}, {"runAsUser": 0}]), command=st.just(["sh"]),
).map(lambda found: {"name": "stage", **found})  # fmt: skip
POD_SPEC = pick(
    volumes=st.lists(VOLUME, max_size=3), containers=st.lists(STAGE, max_size=2),
    affinity=st.sampled_from([PLAIN["affinity"], {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": ZONES}}}]),
    nodeSelector=st.dictionaries(WORDS, WORDS, max_size=2),
    hostNetwork=st.booleans(), serviceAccountName=WORDS, initContainers=st.just([]),
    securityContext=st.just({"runAsNonRoot": False}), automountServiceAccountToken=st.booleans(),
)  # fmt: skip
TEMPLATES = pick(
    metadata=pick(labels=st.dictionaries(WORDS | st.just(names.STAGE), WORDS, max_size=2),
                  annotations=st.dictionaries(WORDS, WORDS, max_size=2)),
    spec=POD_SPEC,
)  # fmt: skip
GOOD = st.fixed_dictionaries({"spec": pick(
    **{field: st.just(value) for field, value in PLAIN.items()},
    volumes=st.just([{"name": "data", "emptyDir": {}}, {"name": "keys", "secret": {"secretName": "s"}}]),
)}).flatmap(lambda found: st.builds(
    lambda stage: {"spec": {**found["spec"], "containers": [{"name": "stage", **stage}]}},
    pick(
        env=st.lists(ENV.filter(lambda one: one["name"] in "AB MODE KEY"), unique_by=lambda one: one["name"]),
        resources=st.sampled_from([{"limits": {"nvidia.com/gpu": 1}}, {"requests": {"cpu": "1"}}]),
        **({"volumeMounts": st.just([{"name": "data", "mountPath": "/data"}, {"name": "keys", "mountPath": "/keys"}])}
           if "volumes" in found["spec"] else {}),
    ),
))  # fmt: skip
FIELDS = [*engine.keys(SPEC), *SPEC.refused]
FUZZ = pick(
    spec=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3),
    metadata=ANYTHING,
)
KEPT = replace(TRAIN, env=(("MODE", "x"),), secrets=(Secret("KEY", "s", "KEY"),), resources=Resources(0.5))


def accepted(document: Any) -> str | None:
    """Return the template as it is kept, None where it is refused."""
    try:
        return read(document)
    except Invalid:
        return None


@given(document=GOOD | TEMPLATES | FUZZ, stage=st.sampled_from([KEPT, WEB]), node=st.sampled_from(["", "n1"]))
def test_no_template_loosens_a_pod_or_changes_what_is_ours(document: Any, stage: Stage, node: str) -> None:
    text = accepted(document)
    if text is None:
        return
    plain, found = pod(None, stage=stage, node=node), pod(document, stage=stage, node=node)
    assert violations(found) == violations(plain) == []
    assert_kept(plain, found)
    build = manifests.build(replace(context(document, node=node)), BUILD)["spec"]["template"]
    assert violations(build) == []
    assert json.loads(text or "{}").keys() <= {"metadata", "spec"}


def assert_kept(plain: Object, found: Object) -> None:
    """See that all that a pod has without a template is there with it."""
    assert plain["metadata"]["labels"].items() <= found["metadata"]["labels"].items()
    ours, theirs = plain["spec"], found["spec"]
    for field in ours.keys() - {"containers", "volumes", "affinity"}:
        assert theirs[field] == ours[field]
    assert theirs["volumes"][: len(ours["volumes"])] == ours["volumes"]
    assert len({volume["name"] for volume in theirs["volumes"]}) == len(theirs["volumes"])
    (before,), (after,) = ours["containers"], theirs["containers"]
    for field in before.keys() - {"env", "volumeMounts", "resources", "command"}:
        assert after[field] == before[field]
    assert after["command"][:-1] == before["command"][:-1]
    for field, key in (("env", "name"), ("volumeMounts", "mountPath")):
        assert after[field][: len(before[field])] == before[field]
        assert len({item[key] for item in after[field]}) == len(after[field])
    for mount in after["volumeMounts"][len(before["volumeMounts"]) :]:
        assert mount["name"] not in names.VOLUMES
        assert not mount["mountPath"].startswith((str(layout.ROOT), layout.SHM))
    for part, amounts in before.get("resources", {}).items():
        assert amounts.items() <= after["resources"][part].items()
    for term in (theirs.get("affinity", {}).get("nodeAffinity", {}).get(REQUIRED, {}).get("nodeSelectorTerms", ())
                 if "affinity" in ours else ()):  # fmt: skip
        assert NODE in term["matchFields"]
