"""Our creates count as applies, so that what they set can go away again."""

from typing import Any

from controller.adapters.kube import fields

WHOLE = {"kind": "Deployment", "spec": {"replicas": 2}}
LEFT: dict[str, Any] = {"kind": "Deployment", "spec": {}}


def entry(operation: str, *names: str, manager: str = "coachwork", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {f"f:{n}": {} for n in names}}, **more}


def test_only_our_own_update_of_the_object_itself_has_to_be_handed_over() -> None:
    others = [entry("Apply", "a"), entry("Update", "b", manager="kubectl"), entry("Update", "c", subresource="status")]
    assert not fields.created({"metadata": {"managedFields": others}})
    assert not fields.created({"metadata": {}})
    assert fields.created({"metadata": {"managedFields": [*others, entry("Update", "d")]}})


def test_what_we_updated_and_applied_becomes_one_apply_and_others_keep_theirs() -> None:
    foreign = entry("Update", "x", manager="kube-controller-manager", subresource="status")
    live = {"metadata": {"managedFields": [entry("Update", "a", "b"), foreign, entry("Apply", "b", "c")]}}
    assert fields.handed_over(live, WHOLE) == [foreign, entry("Apply", "a", "b", "c")]
    assert fields.handed_over({"metadata": {"managedFields": [foreign]}}, WHOLE) == [foreign]


def test_a_number_of_pods_that_is_left_to_others_is_nobody_s_before_it_is_left_out() -> None:
    scaler = entry("Update", "replicas", manager="kube-controller-manager", subresource="scale")
    live: dict[str, Any] = {"metadata": {"managedFields": [entry("Apply", "a", "replicas"), scaler]}}
    assert not fields.is_to_hand_over(live, WHOLE)
    assert fields.is_to_hand_over(live, LEFT)
    live["metadata"]["managedFields"] = fields.handed_over(live, LEFT)
    assert live["metadata"]["managedFields"] == [scaler, entry("Apply", "a")]
    assert not fields.is_to_hand_over(live, LEFT)
