"""Who may connect to which pod, by the NetworkPolicies of an overlay, as networking.k8s.io/v1 says how they add up."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.kustomize import composed, objects
from tests.support.recorded import listed, recorded

Object = dict[str, Any]
ELSEWHERE = ("team-b", {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/managed-by": "coachwork"})


@cache
def pods() -> Mapping[str, tuple[Object, set[str]]]:
    """Return a pod of each kind that we make: its labels, with those that its controller adds, and its named ports."""
    found: dict[str, tuple[Object, set[str]]] = {}
    for file in (file for file in listed() if file.startswith("manifests/")):
        items = json.loads(recorded(file))
        for item in (item for item in _all(items) if item.get("kind") in ("Job", "Deployment") and "spec" in item):
            template = item["spec"]["template"]
            labels = template["metadata"]["labels"]
            kind = "service" if item["kind"] == "Deployment" else "batch" if "coachwork.io/stage" in labels else "build"
            added = {"pod-template-hash": "x"} if kind == "service" else {"job-name": "x", "controller-uid": "x"}
            ports = {port["name"] for one in template["spec"]["containers"] for port in one.get("ports", ())}
            found[kind] = labels | added, ports
    (controller,) = (item for item in objects("production") if item["kind"] == "Deployment")
    template = controller["spec"]["template"]
    labels = template["metadata"]["labels"] | {"pod-template-hash": "x"}
    return found | {"controller": (labels, {port["name"] for port in template["spec"]["containers"][0]["ports"]})}


def _all(value: Any) -> Iterable[Object]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _all(item)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector selects these; of its expressions, we use one."""
    expressions = selector.get("matchExpressions", ())
    assert all(item["operator"] == "Exists" for item in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        one["key"] in labels for one in expressions
    )


def open_ports(policies: Iterable[Object], pod: tuple[Object, set[str]], peer: tuple[str, Object]) -> set[str]:
    """Return the named ports of a pod, and "any" for those without a name, to which a peer may connect."""
    labels, ports = pod
    applying = [item["spec"] for item in policies if selects(item["spec"]["podSelector"], labels)]
    if not applying:
        return ports | {"any"}
    rules = [rule for spec in applying for rule in spec.get("ingress", ())]
    admitted = [rule for rule in rules if "from" not in rule or any(_is(one, peer) for one in rule["from"])]
    if any("ports" not in rule for rule in admitted):
        return ports | {"any"}
    return {port["port"] for rule in admitted for port in rule["ports"]} & ports


def _is(admitted: Object, peer: tuple[str, Object]) -> bool:
    namespace, labels = peer
    space = admitted.get("namespaceSelector")
    there = selects(space, {"kubernetes.io/metadata.name": namespace}) if space else namespace == "coachwork"
    return "ipBlock" not in admitted and there and selects(admitted.get("podSelector", {}), labels)


def test_the_pods_of_each_kind_are_known() -> None:
    assert {kind: ports for kind, (_, ports) in pods().items()} == {
        "batch": set(), "build": set(), "service": {"http"}, "controller": {"http", "wake"},
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["batch", "build", "service", "controller"])
def test_production_admits_to_each_pod_whom_it_has_to(kind: str) -> None:
    policies = [item for item in objects("production") if item["kind"] == "NetworkPolicy"]
    assert {(*item["spec"]["policyTypes"], item["spec"].get("egress")) for item in policies} == {("Ingress", None)}
    pod, stage = pods()[kind], ("coachwork", pods()["batch"][0])
    expected = {
        "batch": (set(), set()),
        "build": (set(), set()),
        "service": ({"http"}, {"http"}),
        "controller": ({"http"}, {"http", "wake"}),
    }[kind]
    assert (open_ports(policies, pod, ELSEWHERE), open_ports(policies, pod, stage)) == expected
    assert open_ports([], pod, ELSEWHERE) == pod[1] | {"any"}


def test_peers_are_open_to_each_other_and_to_nobody_else() -> None:
    policies = [item for item in objects("production") if item["kind"] == "NetworkPolicy"]
    batch, ports = pods()["batch"]
    peer: Object = {**batch, "coachwork.io/peers": "iris-ring-7"}
    assert open_ports(policies, (peer, ports), ("coachwork", peer)) == {"any"}
    assert open_ports(policies, (peer, ports), ("coachwork", batch)) == set()
    assert open_ports(policies, (peer, ports), ("team-b", peer)) == set()
    assert open_ports(policies, (batch, ports), ("coachwork", peer)) == set()


@pytest.mark.parametrize("overlay", ["dev", "production"])
def test_the_controllers_port_can_be_closed_to_all_but_prometheus(overlay: str, tmp_path: Path) -> None:
    found = composed(tmp_path, overlay, "network-policy", namespace="coachwork")
    policies = [item for item in found if item["kind"] == "NetworkPolicy"]
    controller, prometheus = pods()["controller"], ("monitoring", ELSEWHERE[1])
    assert open_ports(policies, controller, ELSEWHERE) == set()
    assert open_ports(policies, controller, prometheus) == {"http"}
    assert open_ports(policies, controller, ("coachwork", pods()["build"][0])) == {"wake"}
