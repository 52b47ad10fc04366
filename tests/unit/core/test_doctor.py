"""What the doctor finds in facts: every check by a table of its states."""

import base64
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from controller.core import doctor, manifests, names
from controller.core.doctor import CHECKS, Finding, Reached, VolumeFacts, healthy
from controller.core.model import Object, Policy, Request
from tests.support.restricted import violations

GIB = 1 << 30
POLICY = Policy(namespace="ns", image="coachwork:0.1.0", claim="coachwork", tools="t")
GOOD = VolumeFacts(free=50 * GIB, size=100 * GIB, inodes_free=1000, sync=0.004, owner="0:10001")
WANTED = {("", "configmaps"): frozenset({"get", "list"}), ("batch", "jobs"): frozenset({"create"})}


def states(findings: Any) -> list[str]:
    found = [findings] if isinstance(findings, Finding) else list(findings)
    assert all(finding.check in CHECKS for finding in found)
    assert all(finding.remedy for finding in found if finding.state == "wrong" and finding.check != "git")
    return [finding.state for finding in found]


def test_missing_rights_are_found_by_resource_with_what_grants_them() -> None:
    (fine,) = doctor.rights("rights", WANTED, {}, "apply the Role")
    assert fine == Finding("rights", "ok", "all 3 verbs on 2 resources are allowed")
    (bad,) = doctor.rights("rights", WANTED, {("batch", "jobs"): frozenset({"create"})}, "apply the Role")
    assert bad == Finding("rights", "wrong", "may not create jobs.batch", "apply the Role")


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (GOOD, "ok", "50 GiB of 100 GiB free"),
        (VolumeFacts(problem="Read-only file system"), "wrong", "Read-only file system"),
        (replace(GOOD, mounted=False), "wrong", "no volume is mounted"),
        (replace(GOOD, free=GIB), "note", "1 GiB of 100 GiB"),
        (replace(GOOD, free=GIB // 8), "wrong", "128 MiB of 100 GiB"),
        (replace(GOOD, free=4 * GIB // 10, size=GIB), "ok", "409.6 MiB of 1 GiB free"),
        (replace(GOOD, inodes_free=0), "wrong", "inodes"),
        (replace(GOOD, inodes_free=None), "ok", "writable"),
        (replace(GOOD, sync=0.3), "note", "0.30 s"),
        (replace(GOOD, sync=2.0), "wrong", "2.00 s"),
    ],
)
def test_a_volume_is_judged_by_what_was_measured(facts: VolumeFacts, state: str, words: str) -> None:
    (found,) = doctor.volume(facts, "/var/lib/coachwork")
    assert states(found) == [state]
    assert words in found.message


@pytest.mark.parametrize(
    ("phase", "modes", "node", "state"),
    [
        ("Bound", ["ReadWriteMany"], "", "ok"),
        ("Bound", ["ReadWriteMany"], "n1", "note"),
        ("Bound", ["ReadWriteOnce"], "n1", "ok"),
        ("Bound", ["ReadWriteOnce"], "", "wrong"),
        ("Bound", ["ReadWriteOncePod"], "n1", "wrong"),
        ("Bound", ["ReadOnlyMany"], "", "wrong"),
        ("Pending", ["ReadWriteMany"], "", "wrong"),
    ],
)
def test_a_claim_is_judged_by_its_mode_and_where_stages_are_placed(
    phase: str, modes: list[str], node: str, state: str
) -> None:
    assert states(doctor.claim({"status": {"phase": phase, "accessModes": modes}}, "coachwork", node)) == [state]


def test_a_missing_claim_is_wrong() -> None:
    assert states(doctor.claim(None, "coachwork", "")) == ["wrong"]


def pod(image: str, reason: str, message: str = "") -> Object:
    waiting = {"reason": reason, "message": message}
    status = {"containerStatuses": [{"image": image, "state": {"waiting": waiting}}]}
    return {"metadata": {"labels": {names.REQUEST: "iris"}}, "status": status}


@pytest.mark.parametrize(
    ("image", "pull", "state"),
    [
        ("coachwork:0.1.0", "IfNotPresent", "ok"),
        ("host:5000/coachwork", "IfNotPresent", "note"),
        ("coachwork:latest", "Never", "note"),
        ("coachwork:latest", "Always", "ok"),
        (f"coachwork@sha256:{'0' * 64}", "IfNotPresent", "ok"),
    ],
)
def test_a_default_image_that_can_change_under_its_name_is_noted(image: str, pull: str, state: str) -> None:
    assert states(doctor.images(replace(POLICY, image=image, image_pull_policy=pull), [])) == [state]


def test_an_image_that_nodes_can_not_pull_is_found_once() -> None:
    pods = [pod("nosuch:1", "ImagePullBackOff", "not found"), pod("nosuch:1", "ErrImagePull")]
    pods += [pod("fine:1", "ContainerCreating"), {"metadata": {}, "status": {}}]
    (found,) = doctor.images(POLICY, pods)
    assert (found.state, "nosuch:1" in found.message) == ("wrong", True)


def configmap_of(**data: str) -> Object:
    plain = {key.replace("_", "-"): value for key, value in data.items()}
    metadata = {"name": "iris", "uid": "u", "labels": {names.ROLE: names.ROLE_REQUEST}}
    return {"metadata": metadata, "data": {"repository": "https://git.example/iris", **plain}}


def secret(kind: str, **data: str) -> Object:
    return {"type": kind, "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


BASIC = secret("kubernetes.io/basic-auth", username="me", password="pw-b&d-secret")


@pytest.mark.parametrize(
    ("configmap", "there", "template", "words"),
    [
        (configmap_of(), {}, None, ""),
        (configmap_of(keep_runs="none"), {}, None, "keep-runs"),
        (configmap_of(git_secret="g"), {"g": BASIC}, None, ""),
        (configmap_of(git_secret="g"), {"g": None}, None, "git-secret g"),
        (configmap_of(git_secret="g"), {"g": secret("Opaque", password="pw-b&d-secret")}, None, "of type"),
        (configmap_of(index_secret="i"), {"i": None}, None, "index-secret i: not found"),
        (configmap_of(notify_secret="n"), {"n": None}, None, "notify-secret n: not found"),
        (configmap_of(notify_secret="n"), {"n": secret("Opaque", url="pw-b&d-secret")}, None, "key url: expected an"),
        (configmap_of(index_secret="i"), {"i": secret("Opaque", UV_INDX="x", UV="y")}, None, "key UV: unknown key"),
        (configmap_of(pod_template="p"), {}, None, "not found in the controller's namespace"),
        (configmap_of(pod_template="p"), {}, {"data": {"pod.yaml": "spec: {hostNetwork: true}"}}, "spec.hostNetwork"),
        (configmap_of(pod_template="p"), {}, {"data": {"pod.yaml": "spec: {schedulerName: x}"}}, ""),
    ],
)
def test_a_request_is_judged_as_its_next_run_would_judge_it(
    configmap: Object, there: dict[str, Object | None], template: Object | None, words: str
) -> None:
    found = doctor.one_request(configmap, there, template, "coachwork")
    assert states(found) == (["wrong"] if words else [])
    assert all(words in finding.message and finding.message.startswith("iris: ") for finding in found)
    assert "pw-b&d-secret" not in repr(found)
    assert states(doctor.requests(1, found)) == (["wrong"] if words else ["ok"])


def test_everything_wrong_with_a_request_is_found_at_once() -> None:
    data = {"repository": "https://git.example/iris", "git-secret": "g", "index-secret": "i", "notify-secret": "n"}
    data["pod-template"] = "t"
    configmap: Object = {"metadata": {"name": "iris", "uid": "u"}, "data": data}
    found = doctor.one_request(configmap, {}, None, "coachwork")
    assert [finding.message.split()[1] for finding in found] == [
        *("git-secret", "index-secret", "notify-secret", "pod-template")
    ]


def test_git_is_judged_by_request() -> None:
    good, bad, slow = Reached("a", "c" * 40), Reached("b", problems=("refused",)), Reached("c")
    assert states(doctor.git([good])) == ["ok"]
    assert [(found.state, found.message) for found in doctor.git([good, bad, slow])] == [
        ("wrong", "b: refused"),
        ("note", "no answer in time: c"),
    ]


@pytest.mark.parametrize(
    ("release", "state"),
    [("v1.34.1", "ok"), ("v1.30.0-gke.1", "ok"), ("v2.0.0", "ok"), ("v1.29.9", "wrong"), ("None", "note")],
)
def test_a_cluster_that_is_too_old_is_named(release: str, state: str) -> None:
    assert states(doctor.kubernetes(release)) == [state]


@pytest.mark.parametrize(("skew", "state"), [(0.4, "ok"), (-3, "ok"), (20, "note"), (-20, "note"), (90, "wrong")])
def test_clocks_may_differ_by_a_few_seconds(skew: float, state: str) -> None:
    found = doctor.clock(skew)
    assert states(found) == [state]
    assert ("behind" in found.message) == (state != "ok" and skew < 0)


@pytest.mark.parametrize(
    ("stage", "loose", "state"),
    [
        ([], ['would violate PodSecurity "restricted:latest": privileged'], "ok"),
        (["deprecated"], ['would violate PodSecurity "restricted:v1.30": privileged'], "ok"),
        ([], ['would violate PodSecurity "baseline:latest": privileged'], "note"),
        ([], [], "note"),
        (['would violate PodSecurity "restricted:latest": seccompProfile'], [], "wrong"),
    ],
)
def test_the_namespace_is_judged_by_the_warnings_at_two_trials(stage: list[str], loose: list[str], state: str) -> None:
    assert states(doctor.pod_security("ns", stage, loose)) == [state]


def test_the_trials_are_a_stage_that_passes_and_one_that_does_not() -> None:
    stage, loose = doctor.trial_stage(POLICY), doctor.trial_loose(POLICY)
    assert violations({"metadata": {}, **stage["spec"]["template"]}) == []
    assert {"hostNetwork", "privileged"} <= set(violations({"metadata": {}, **loose["spec"]["template"]}))
    assert stage["spec"]["suspend"] is loose["spec"]["suspend"] is True


def cronjob(name: str, *command: str, owned: bool = False) -> Object:
    labels = {names.MANAGED_BY: names.MANAGER} if owned else {}
    spec = {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"command": list(command)}]}}}}}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def test_cronjobs_whose_request_is_gone_or_has_no_schedule_are_found() -> None:
    ours = manifests.cronjob(Request("iris", "u", "x", schedule="@daily"), POLICY)
    by_hand = cronjob("nightly", "coachwork", "trigger", "iris")
    others = [cronjob("backup", "sh", "-c", "x"), cronjob("empty")]
    assert states(doctor.cronjobs([ours, by_hand, *others], {"iris": True})) == ["ok"]
    found = doctor.cronjobs([ours, by_hand], {"iris": False})
    assert [finding.message for finding in found] == ["iris belongs to request iris, which no longer has a schedule"]
    found = doctor.cronjobs([ours, by_hand], {})
    assert states(found) == ["wrong", "wrong"]
    assert all("which does not exist" in finding.message for finding in found)


def test_autoscalers_that_do_not_know_the_load_are_noted() -> None:
    def scaler(name: str, *status: str) -> Object:
        conditions = [{"type": "AbleToScale", "status": "True"}]
        conditions += [{"type": "ScalingActive", "status": each, "message": "no metrics API\nhere"} for each in status]
        labels = {names.MANAGED_BY: names.MANAGER} if name != "others" else {}
        return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": conditions}}

    new, sound, blind, others = scaler("a"), scaler("b", "True"), scaler("web", "False"), scaler("others", "False")
    assert states(doctor.autoscalers([])) == states(doctor.autoscalers([new, sound, others])) == ["ok"]
    (found,) = doctor.autoscalers([{**new, "status": None}, sound, blind, others])
    assert (found.state, found.message) == ("note", "web does not scale: no metrics API here")


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([], 0),
        ([doctor.clock(20)], 0),
        ([doctor.clock(90)], 1),
        (doctor.one_request(configmap_of(keep_runs="none"), {}, None, "c"), 2),
        (doctor.git([Reached("iris", problems=("refused",))]), 2),
        (doctor.cronjobs([cronjob("nightly", "coachwork", "trigger", "iris")], {}), 2),
        (doctor.images(POLICY, [pod("of-a-project:1", "ErrImagePull")]), 2),
        (doctor.images(POLICY, [pod(POLICY.image, "ErrImagePull")]), 1),
        ([*doctor.git([Reached("iris", problems=("refused",))]), doctor.clock(90)], 1),
    ],
)
def test_the_exit_code_tells_a_broken_installation_from_a_broken_request(found: list[Finding], code: int) -> None:
    assert doctor.exit_code(found) == code
    assert doctor.exit_code(doctor.from_json(map(asdict, found))) == code


def test_versions_that_differ_are_noted() -> None:
    assert states(doctor.version("1", "1")) == ["ok"]
    assert states(doctor.version("1", "2")) == states(doctor.version("", "2")) == ["note"]


def test_findings_come_through_json_and_what_is_malformed_is_left_out() -> None:
    found = [Finding("volume", "wrong", "full", "empty it"), Finding("git", "ok", "fine", request="iris")]
    assert doctor.from_json([*map(asdict, found), None, {"state": "evil"}, 7]) == found
    assert not healthy(found)
    assert healthy(found[1:])


def test_every_check_is_explained_and_none_is_invented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "doctor.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z ]+)` \|", text, re.MULTILINE)) == set(CHECKS)
