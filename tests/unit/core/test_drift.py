"""What counts as a change of an object that was applied, and what an update makes of it."""

import copy
from typing import Any

import pytest

from controller.core.facts import drift
from controller.core.model import Object

WANTED: Object = {
    "kind": "Deployment",
    "metadata": {"name": "iris--web", "labels": {"a": "b"}, "ownerReferences": [{"uid": "u", "controller": True}]},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "stage",
                        "image": "python:3.12-slim",
                        "command": ["python3", "x"],
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
                        "resources": {"requests": {"cpu": "1000m"}, "limits": {"memory": "1024Mi"}},
                        "volumeMounts": [{"name": "shared", "mountPath": "/x", "readOnly": False}],
                    }
                ],
                "volumes": [{"name": "shared", "emptyDir": {}}],
            }
        },
    },
}


def fields_of(value: Any, key: str = "") -> Any:
    """Return the fieldsV1 of an object of which all was set by one write."""
    if isinstance(value, dict) and key != "selector":
        return {f"f:{name}": fields_of(item, name) for name, item in value.items()}
    if isinstance(value, list) and key == "ports":
        return {f'k:{{"port":{item["port"]},"protocol":"TCP"}}': fields_of(item) for item in value}
    by = {"ownerReferences": "uid", "volumeMounts": "mountPath"}.get(key, "name")
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {f'k:{{"{by}":"{item[by]}"}}': fields_of(item) for item in value}
    return {}


def entry(manager: str, fields: Object, **more: str) -> Object:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


def applied(wanted: Object = WANTED) -> Object:
    """Return the live object right after our write."""
    item = copy.deepcopy(wanted)
    ours = fields_of({"metadata": {k: v for k, v in wanted["metadata"].items() if k != "name"}, "spec": wanted["spec"]})
    item["metadata"] |= {"managedFields": [entry("coachwork", ours)], "resourceVersion": "7"}
    return item


def stage(item: Object) -> Object:
    return dict(item["spec"]["template"]["spec"]["containers"][0])


def test_what_the_server_writes_in_other_words_or_leaves_out_is_not_a_difference() -> None:
    live = applied()
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    container["env"][1] = {"name": "B"}
    del container["volumeMounts"][0]["readOnly"]
    container["terminationMessagePath"] = "/dev/termination-log"
    live["spec"]["progressDeadlineSeconds"] = 600
    assert not drift.differs(WANTED, live)


@pytest.mark.parametrize(("cpu", "differs"), [("1", False), ("1.0", False), ("2", True), ("1m", True), (None, True)])
def test_amounts_are_compared_as_amounts(cpu: str | None, differs: bool) -> None:
    live = applied()
    live["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] = {"cpu": cpu} if cpu else {}
    assert drift.differs(WANTED, live) is differs


def test_text_that_looks_like_an_amount_is_text() -> None:
    wanted, live = copy.deepcopy(WANTED), applied()
    wanted["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "1000"
    live["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "1k"
    assert drift.differs(wanted, live)


def test_what_a_webhook_changes_of_our_own_write_is_ours_as_before() -> None:
    live = applied()
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror.example/python:3.12-slim"
    assert drift.differs(WANTED, live)
    assert drift.read(WANTED, live) is None


def test_what_somebody_else_set_is_a_change_with_its_place_and_author() -> None:
    live = applied()
    live["spec"]["replicas"] = 0
    del live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:replicas"]
    scaled = entry("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale")
    live["metadata"]["managedFields"].append(scaled)
    assert drift.read(WANTED, live) == drift.Drift("spec.replicas", "kubectl")


def test_what_an_autoscaler_sets_is_left_to_it_whatever_else_is_put_back() -> None:
    live = applied()
    fields = live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
    del fields["f:replicas"]
    live["spec"]["replicas"] = 5
    scaler = entry("kube-controller-manager", {"f:spec": {"f:replicas": {}}}, subresource="scale")
    live["metadata"]["managedFields"].append(scaler)
    assert drift.read(WANTED, live) is None
    live["metadata"]["labels"] = {}
    mended = drift.mended(WANTED, live)
    assert (mended["spec"]["replicas"], mended["metadata"]["labels"]) == (5, {"a": "b"})
    assert drift.unheld(WANTED, live)["spec"] == {key: it for key, it in WANTED["spec"].items() if key != "replicas"}


def test_a_field_that_is_gone_is_a_change_though_nobody_holds_it() -> None:
    live = applied()
    container = live["spec"]["template"]["spec"]["containers"][0]
    del container["env"][0]
    ours = live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    del ours['k:{"name":"stage"}']["f:env"]['k:{"name":"A"}']
    found = drift.read(WANTED, live)
    assert found is not None
    assert found.fields.startswith("spec.template.spec.containers[stage].env[A]")


SERVICE: Object = {
    "kind": "Service",
    "metadata": {"name": "iris--web"},
    "spec": {"selector": {"stage": "web"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
}


def test_one_label_more_in_a_selector_is_a_change() -> None:
    live = applied(SERVICE)
    live["spec"]["selector"]["track"] = "canary"
    del live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:selector"]
    found = drift.read(SERVICE, live)
    assert found
    assert found.fields == "spec.selector"
    assert drift.mended(SERVICE, live)["spec"]["selector"] == {"stage": "web"}


def test_a_port_of_another_number_makes_way_for_the_right_one() -> None:
    live = applied(SERVICE)
    live["spec"]["ports"] = [{"name": "http", "port": 81, "protocol": "TCP"}]
    assert drift.mended(SERVICE, live)["spec"]["ports"] == SERVICE["spec"]["ports"]


def test_what_others_added_stays_in_its_order_when_something_is_put_back() -> None:
    live = applied()
    pod = live["spec"]["template"]["spec"]
    pod["containers"] = [{"name": "proxy", "image": "mesh"}, *pod["containers"]]
    pod["containers"][1]["env"].insert(0, {"name": "ADDED", "value": "x"})
    live["spec"]["template"]["metadata"] = {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026"}}
    live["spec"]["replicas"] = 0
    mended = drift.mended(WANTED, live)
    assert mended["spec"] == {**live["spec"], "replicas": 2}
    assert mended["metadata"]["resourceVersion"] == "7"


def test_a_value_that_became_a_reference_is_a_value_again_and_not_both() -> None:
    live = applied()
    container = live["spec"]["template"]["spec"]["containers"][0]
    container["env"][0] = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    assert stage(drift.mended(WANTED, live))["env"][0] == {"name": "A", "value": "1"}


def test_many_changes_are_reported_in_short() -> None:
    live = applied()
    live["metadata"] |= {"managedFields": [], "labels": {}, "ownerReferences": []}
    live["spec"] = {}
    found = drift.read(WANTED, live)
    assert found is not None
    assert found.fields.endswith("more")
    assert len(found.fields) < 200
