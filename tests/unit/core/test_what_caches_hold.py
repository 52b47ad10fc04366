"""What the caches hold of objects: what is read, and little more."""

import json
from pathlib import Path

import pytest

import bench
from controller.core.model import Object
from controller.core.snapshot import EVENTS, Snapshot

REAL: list[Object] = json.loads((Path(bench.__file__).parent / "objects.json").read_text())
"""As an API server gives them: a request whose one stage has run, its record, Job and pod."""

SHARES = {"ConfigMap": 0.75, "Job": 0.1, "Pod": 0.11}


@pytest.mark.parametrize("item", REAL, ids=lambda item: item["metadata"]["name"])
def test_most_of_an_object_is_not_held(item: Object) -> None:
    held = Snapshot.of(item["kind"], item)
    assert held
    assert len(held.text) <= SHARES[item["kind"]] * len(json.dumps(item, separators=(",", ":")))


def test_a_warning_that_nobody_reads_is_not_held() -> None:
    event: Object = {"metadata": {"name": "iris.1"}, "reason": "FailedScheduling"}
    assert Snapshot.of("Event", event) is None
    assert all(Snapshot.of("Event", {**event, "reason": reason}) for reason in EVENTS)


def test_what_is_opened_is_the_caller_s_own() -> None:
    held = Snapshot.of("ConfigMap", {"metadata": {"name": "iris"}, "data": {"ref": "main"}})
    assert held
    held.opened()["data"]["ref"] = "other"
    assert held.opened()["data"] == {"ref": "main"}
