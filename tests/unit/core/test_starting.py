"""What a pod waits for before its container runs, and since when."""

from typing import Any

import pytest

from controller.core.documents.progress import Progress
from controller.core.facts.starting import on_a_node_since, pending, starting
from controller.core.model import Object
from tests.support.statuses import STARTED, condition, event, pod, waiting

SPEC = {"containers": [{"name": "stage", "image": "python:3.12"}]}
ON_A_NODE = SPEC | {"nodeName": "node-3"}
SCHEDULED = condition("PodScheduled", lastTransitionTime="T1")
SANDBOX = condition("PodReadyToStartContainers", lastTransitionTime="T2")
NO_NODE = condition("PodScheduled", "Unschedulable", "False", "0/3 nodes are free.", lastTransitionTime="T1")
PULLING = 'pulling image "python:3.12" on node node-3'


def of(spec: Object = ON_A_NODE, state: Object | None = None, **more: Any) -> Object:
    return {**pod(state, **more), "spec": spec}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (of(SPEC), Progress("waiting for a node", "waiting for a node", STARTED)),
        (
            of(SPEC, conditions=[NO_NODE]),
            Progress("waiting for a node", "waiting for a node: no node has room: 0/3 nodes are free", "T1"),
        ),
        (of(conditions=[SCHEDULED]), Progress("starting on node node-3", "starting on node node-3", "T1")),
        (of(conditions=[SCHEDULED, SANDBOX]), Progress(PULLING, PULLING, "T2")),
        (
            of(state=waiting("ImagePullBackOff", "no such host"), conditions=[SCHEDULED, SANDBOX]),
            Progress(
                PULLING,
                f'{PULLING}: image "registry.invalid/nope:1" can\'t be pulled: no way to its registry',
                "T2",
            ),
        ),
    ],
)
def test_a_pod_says_what_it_waits_for_and_since_when(item: Object, expected: Progress) -> None:
    assert starting(item) == expected


def test_while_an_image_is_pulled_only_an_event_says_so() -> None:
    assert starting(of(conditions=[SCHEDULED]), (), "T3") == Progress(PULLING, PULLING, "T3")


def test_a_volume_that_can_not_be_mounted_is_named() -> None:
    failed = event("FailedMount", "no such claim", "p-uid")
    assert starting(of(conditions=[SCHEDULED]), [failed]).doing == "starting on node node-3: no such claim"


def test_only_the_newest_pod_counts_and_only_before_it_runs() -> None:
    old = of(phase="Failed", name="a", created="2026-01-01T00:00:00Z")
    new = of(SPEC, name="b", created="2026-01-01T00:00:09Z")
    assert pending([new, old]) == new
    assert pending([new, of(phase="Running", created="2026-01-01T00:00:10Z")]) is None
    assert pending([of(deleting=True)]) is None
    assert pending([]) is None


def test_a_pod_is_on_a_node_from_when_it_was_scheduled() -> None:
    assert on_a_node_since(of(conditions=[SCHEDULED])) == "T1"
    assert on_a_node_since(of(SPEC, conditions=[NO_NODE])) == ""
