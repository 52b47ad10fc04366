"""Which ResourceQuotas and LimitRanges would refuse pods: the doctor says so before anything runs."""

from dataclasses import replace
from typing import Any

import pytest

from controller.core import doctor
from controller.core.model import Object, Policy

POLICY = Policy(namespace="ns", image="coachwork:0.1.0", claim="coachwork", tools="t")
REQUESTS, LIMITS = (("cpu", "100m"), ("memory", "128Mi")), (("cpu", "1"), ("memory", "1Gi"))
EVERYTHING = {"requests.cpu": "4", "requests.memory": "8Gi", "limits.cpu": "8", "limits.memory": "16Gi"}
DEFAULTS = {"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "10m"}}


def quota(hard: Object, **spec: Any) -> Object:
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}}


def limits(*items: Object) -> list[Object]:
    return [{"metadata": {"name": "sizes"}, "spec": {"limits": list(items)}}]


@pytest.mark.parametrize(
    ("policy", "hard", "ranges", "words"),
    [
        (POLICY, {"pods": "10", "requests.storage": "1Gi", "requests.ephemeral-storage": "1Gi"}, [], []),
        (POLICY, {"cpu": "4"}, [], ["without requests.cpu: stages that name none"]),
        (POLICY, {"limits.memory": "8Gi"}, [], ["limits.memory: stages that name none, builds of environments"]),
        (POLICY, {"limits.cpu": "8"}, [], ["limits.cpu: stages that name none, builds of environments, schedules"]),
        (replace(POLICY, default_limits=LIMITS), EVERYTHING, [], []),
        (replace(POLICY, default_requests=REQUESTS), EVERYTHING, [], ["without limits.cpu, limits.memory: "]),
        (replace(POLICY, default_requests=REQUESTS, default_limits=LIMITS), EVERYTHING, [], []),
        (POLICY, EVERYTHING, limits(DEFAULTS), []),
        (POLICY, {}, limits({"type": "Container", "default": {"memory": "256Mi"}}),
         ["requests.memory of builds of environments is 512Mi, their default limit allows at most 256Mi"]),
        (replace(POLICY, default_limits=LIMITS), {}, limits({"type": "Pod", "max": {"memory": "512Mi"}}),
         ["limits.memory of stages that name none is 1Gi, sizes allows at most 512Mi",
          "limits.memory of builds of environments is 1Gi"]),
        (POLICY, {}, limits({"type": "Container", "min": {"cpu": "50m"}, "defaultRequest": {"cpu": "50m"}}),
         ["requests.cpu of schedules is 10m, sizes allows at least 50m"]),
        (POLICY, {}, limits({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}), []),
    ],
)  # fmt: skip
def test_what_would_refuse_pods_is_found_with_the_pods(
    policy: Policy, hard: Object, ranges: list[Object], words: list[str]
) -> None:
    found = doctor.quota(policy, [quota(hard)], ranges)
    assert [finding.state for finding in found] == (["wrong"] * len(words) or ["ok"])
    assert all(word in finding.message for word, finding in zip(words, found, strict=False))
    assert all("COACHWORK_DEFAULT_" in finding.remedy for finding in found if words)


@pytest.mark.parametrize(
    ("scopes", "whose"),
    [
        (["Terminating"], "stages that name none, builds of environments"),
        (["NotTerminating"], "stages that name none, schedules"),
        (["NotBestEffort"], "builds of environments, schedules"),
        (["PriorityClass"], ""),
    ],
)
def test_a_quota_of_some_pods_demands_nothing_of_others(scopes: list[str], whose: str) -> None:
    selector = {"matchExpressions": [{"scopeName": scope, "operator": "Exists"} for scope in scopes]}
    for item in (quota({"limits.cpu": "1"}, scopes=scopes), quota({"limits.cpu": "1"}, scopeSelector=selector)):
        (found,) = doctor.quota(POLICY, [item], [])
        assert found.message.endswith(f"limits.cpu: {whose}" if whose else "none refuses our pods")
