"""What the objects of a namespace need of the volume, and when a sweep is due."""

from dataclasses import replace

import pytest

from controller.core import layout, manifests, names, sweep
from controller.core.documents import status as statuses
from controller.core.manifests import RunContext
from controller.core.model import (
    Batch,
    Environment,
    GitSource,
    Object,
    PastRun,
    Pipeline,
    Policy,
    Record,
    RunSpec,
    Service,
    Stage,
)

UID = "1b2c3d4e-0000-4000-8000-000000000001"
URL, SOURCE = "https://git.example/iris", "https://git.example/tool"
SPEC = RunSpec(
    repository=URL,
    commit="c" * 40,
    path=".",
    tree="t",
    image="i",
    environments=(Environment("environment", "e1", ("train",), (GitSource("git+x", SOURCE, "d" * 40),)),),
)
CONTEXT = RunContext(
    request="iris",
    uid=UID,
    run=7,
    spec=SPEC,
    pipeline=Pipeline(
        name="iris",
        steps=(("train",), ("serve",)),
        stages={"train": Stage("train", "t", "t.py", Batch()), "serve": Stage("serve", "s", "s.py", Service(port=1))},
    ),
    policy=Policy(namespace="n", image="i", claim="c", tools="0" * 16),
    previous=5,
)
JOB, (DEPLOYMENT, *_) = (
    manifests.job(CONTEXT, CONTEXT.pipeline.stages["train"]),
    manifests.service_objects(CONTEXT, CONTEXT.pipeline.stages["serve"]),
)
MOUNTED = {
    *(layout.checkout(URL, SPEC.commit), layout.tools("0" * 16), layout.cache("iris", UID)),
    *(layout.artifacts("iris", UID, 7), layout.artifacts("iris", UID, 5)),
}
RUN = {
    *(layout.mirror(URL), layout.checkout(URL, SPEC.commit), layout.environment("e1"), layout.build("e1")),
    *(layout.mirror(SOURCE), layout.checkout(SOURCE, "d" * 40)),
}
LEFT = Record(
    request_uid=UID,
    run=9,
    spec=SPEC,
    finished="2026-01-01T00:00:00Z",
    release_run=3,
    history=tuple(PastRun(run=run, outcome="Succeeded" if run == 3 else "Failed") for run in (9, 8, 7, 6, 5, 4, 3)),
)


def pod(phase: str, template: Object = JOB["spec"]["template"]) -> Object:
    return {"kind": "Pod", "metadata": template["metadata"], "spec": template["spec"], "status": {"phase": phase}}


def request(keep: str = "2", **data: str) -> Object:
    metadata = {"name": "iris", "uid": UID, "labels": {names.ROLE: names.ROLE_REQUEST}}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"repository": URL, "keep-runs": keep, **data}}


def status(kept: Record) -> Object:
    return statuses.manifest("iris", UID, "n", kept)


@pytest.mark.parametrize(
    "item", [JOB, DEPLOYMENT, pod("Running"), pod("Pending"), pod("Unknown"), manifests.release(CONTEXT, [DEPLOYMENT])]
)
def test_what_lives_or_is_released_needs_what_it_mounts(item: Object) -> None:
    assert sweep.references([item]) >= MOUNTED


def test_what_has_ended_needs_nothing() -> None:
    ended = {**JOB, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    assert sweep.references([ended, pod("Succeeded"), pod("Failed")]) == set()
    suspended = {**JOB, "status": {"conditions": [{"type": "Failed", "status": "False"}]}}
    assert sweep.references([suspended])


def test_a_build_needs_its_own_folder_and_the_cache_and_another_s_pod_all_that_it_mounts() -> None:
    mounts = [{"name": "shared", "subPath": "builds", "mountPath": "/b"}, {"name": "scratch", "mountPath": "/s"}]
    template = {"metadata": {"labels": {names.ENVIRONMENT: "e1"}}, "spec": {"containers": [{"volumeMounts": mounts}]}}
    assert sweep.references([pod("Running", template)]) == {layout.build("e1"), layout.BUILD_CACHE}
    foreign = {**template, "metadata": {}}
    assert sweep.references([pod("Running", foreign)]) == {layout.BUILDS}


def test_a_request_needs_its_mirror_and_the_runs_that_it_keeps() -> None:
    needs = sweep.references([request(), status(LEFT)])
    assert needs == {
        *(layout.mirror(URL), layout.cache("iris", UID), layout.record("iris", UID)),
        *(layout.run("iris", UID, run) for run in (0, 3, 8, 9)),
    }


def test_an_active_run_needs_what_it_was_recorded_with_and_the_run_that_it_goes_on_from() -> None:
    active = replace(LEFT, finished="", spec=replace(SPEC, base=4))
    assert sweep.references([request(), status(active)]) >= {*RUN, layout.run("iris", UID, 4)}


@pytest.mark.parametrize(
    "items", [[request()], [request(keep="many"), status(LEFT)], [status(LEFT)], [request(colour="red"), status(LEFT)]]
)
def test_all_that_a_request_has_is_needed_where_what_it_keeps_is_unknown(items: list[Object]) -> None:
    assert layout.request("iris", UID) in sweep.references(items)


def test_a_record_and_a_release_that_were_written_over_take_nothing_away() -> None:
    record, release = status(LEFT), manifests.release(CONTEXT, [DEPLOYMENT])
    record["data"]["run"] = "99"
    release["data"]["objects"] = ""
    assert layout.request("iris", UID) in sweep.references([request(), record, release])


@pytest.mark.parametrize(
    ("since", "urged", "free", "graces"),
    [
        (0, False, 0.5, None),
        (sweep.INTERVAL - 1, False, 0.5, None),
        (sweep.INTERVAL, False, 0.5, sweep.CALM),
        (sweep.INTERVAL, False, 0.01, sweep.FULL),
        (sweep.PRESSED, False, 0.01, sweep.FULL),
        (sweep.PRESSED - 1, False, 0.01, None),
        (sweep.URGED, True, 0.5, sweep.FULL),
        (sweep.URGED - 1, True, 0.0, None),
    ],
)
def test_a_sweep_comes_at_times_and_sooner_on_a_full_volume(
    since: float, urged: bool, free: float, graces: sweep.Graces | None
) -> None:
    assert sweep.due(since, urged=urged, free=free) == graces


def test_grace_and_interval_leave_room_for_a_slow_sweep_within_the_hour() -> None:
    assert sweep.CALM.kept + sweep.INTERVAL <= 45 * sweep.MINUTE
    assert sweep.FULL.kept == sweep.CALM.kept
