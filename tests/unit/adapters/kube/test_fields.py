"""Our creates count as applies, so that what they set can go away again."""

from typing import Any

from controller.adapters.kube import fields


def entry(operation: str, *names: str, manager: str = "coachwork", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {f"f:{n}": {} for n in names}}, **more}


def test_only_our_own_update_of_the_object_itself_has_to_be_handed_over() -> None:
    others = [entry("Apply", "a"), entry("Update", "b", manager="kubectl"), entry("Update", "c", subresource="status")]
    assert not fields.created({"metadata": {"managedFields": others}})
    assert not fields.created({"metadata": {}})
    assert fields.created({"metadata": {"managedFields": [*others, entry("Update", "d")]}})


def test_what_we_updated_and_applied_becomes_one_apply_and_others_keep_theirs() -> None:
    foreign = entry("Update", "x", manager="kube-controller-manager", subresource="status")
    handed = fields.as_applied([entry("Update", "a", "b"), foreign, entry("Apply", "b", "c")])
    assert handed == [foreign, entry("Apply", "a", "b", "c")]
    assert fields.as_applied([foreign]) == [foreign]
