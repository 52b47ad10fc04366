"""What the caches hold is found by what it is about, and a look-up costs what it returns."""

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core import names
from controller.core.documents.release import KINDS
from controller.core.model import Object
from controller.core.snapshot import Snapshot
from controller.reconciler.view import View, owner_key

calm = settings(deadline=None)  # a busy machine is no failure


class Counted(Snapshot):
    """A snapshot that counts how often anybody opens one."""

    opens = 0

    def opened(self) -> Object:
        Counted.opens += 1
        return super().opened()


def change(view: View, kind: str, old: Object | None, new: Object | None) -> None:
    """Let a cluster report a change."""
    view.changed(kind, *(Counted.of(kind, item) if item else None for item in (old, new)))


def thing(name: str, version: int = 1, **labels: str) -> Object:
    """Build an object; `labels` are those of coachwork.io."""
    marks = {f"{names.DOMAIN}/{key}": value for key, value in labels.items()}
    return {"metadata": {"name": name, "uid": f"{name}-{version}", "labels": marks}}


def warning(name: str, kind: str, subject: Object) -> Object:
    """Build an Event about an object."""
    involved = {"kind": kind, **{key: subject["metadata"][key] for key in ("name", "uid")}}
    return {"metadata": {"name": name}, "involvedObject": involved, "reason": "FailedMount"}


def record(name: str, phase: str, *folders: str) -> Object:
    """Build the record of a request whose run wants these environments."""
    spec = "\n".join(["environments:", *(f"- name: environment\n  folder: {folder}" for folder in folders)])
    return {**thing(f"{name}-status", role="status", request=name, phase=phase), "data": {"run-spec": spec}}


def fill(view: View, requests: int) -> None:
    """Let so many requests be there, each with a run of three Jobs, their pods, a warning, a service and a build."""
    for request in (f"r{number}" for number in range(requests)):
        change(view, "ConfigMap", None, thing(request, role="request"))
        change(view, "ConfigMap", None, record(request, "Running", f"env-of-{request}"))
        change(view, "ConfigMap", None, thing(f"{request}-release", role="release", request=request))
        for number in range(3):
            job = thing(f"{request}-{number}", request=request)
            change(view, "Job", None, job)
            change(view, "Pod", None, thing(f"{request}-{number}-p", request=request))
            change(view, "Event", None, warning(f"{request}-{number}.7", "Job", job))
        for kind in (*KINDS, "CronJob"):
            change(view, kind, None, thing(request, request=request))
        change(view, "Job", None, thing(f"build-{request}", environment=f"env-of-{request}"))


def opens(requests: int) -> int:
    """Return how many snapshots are opened by all look-ups about one of so many requests, and by its changes."""
    view = View(lambda _key: None)
    fill(view, requests)
    Counted.opens = 0
    assert view.request("r1")
    assert view.status("r1")
    assert view.release("r1")
    children = view.children("r1")
    assert [len(found) for found in (children.jobs, children.pods, children.events)] == [3, 3, 3]
    assert [len(found) for found in (children.deployments, children.services, children.cronjobs)] == [1, 1, 1]
    assert len(view.build("env-of-r1").jobs) == 1
    build = thing("build-r1", 2, environment="env-of-r1")
    change(view, "Job", None, build)
    change(view, "Event", None, warning("build-r1.8", "Job", build))
    change(view, "ConfigMap", None, record("r1", "Ready", "env-of-r1"))
    return Counted.opens


def test_a_look_up_costs_the_same_however_many_requests_there_are() -> None:
    assert opens(500) == opens(2)


def test_everything_about_a_request_is_found_by_name_and_nothing_else() -> None:
    view = View(lambda _key: None)
    fill(view, 12)
    assert [job["metadata"]["name"] for job in view.children("r1").jobs] == ["r1-0", "r1-1", "r1-2"]
    assert [event["metadata"]["name"] for event in view.children("r1").events] == ["r1-0.7", "r1-1.7", "r1-2.7"]
    assert not view.children("r").jobs
    assert view.requests() == sorted(f"r{number}" for number in range(12))
    assert view.request("r1-status") is None


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def view(woken: list[str]) -> View:
    return View(woken.append)


def test_an_object_that_changed_hands_wakes_both_requests(view: View, woken: list[str]) -> None:
    old, new = thing("shared", request="iris"), thing("shared", request="other")
    change(view, "Service", None, old)
    change(view, "Service", old, new)
    assert woken == ["iris", "iris", "other"]
    assert not view.children("iris").services
    assert view.children("other").services == [{**new, "kind": "Service"}]


def test_an_event_wakes_the_request_of_its_job_or_pod(view: View, woken: list[str]) -> None:
    job = thing("iris-a-1", request="iris")
    change(view, "Event", None, warning("early", "Job", job))
    assert woken == []
    change(view, "Job", None, job)
    change(view, "Event", None, warning("late", "Job", job))
    change(view, "Event", None, warning("of-another", "Node", job))
    assert woken == ["iris", "iris"]
    assert [event["metadata"]["name"] for event in view.children("iris").events] == ["early", "late", "of-another"]


def test_a_request_whose_run_is_under_way_goes_first() -> None:
    woken, first = list[str](), list[str]()
    view = View(woken.append, first=first.append)
    change(view, "Job", None, thing("iris-a-1", request="iris"))
    change(view, "ConfigMap", None, record("iris", "Running"))
    change(view, "Job", None, thing("iris-b-1", request="iris"))
    assert view.wake("iris")
    change(view, "ConfigMap", record("iris", "Running"), record("iris", "Ready"))
    assert (woken, first) == (["iris", "iris"], ["iris", "iris", "iris"])
    assert not view.wake("iris")


def test_a_build_wakes_all_whose_run_may_wait_for_it(view: View, woken: list[str]) -> None:
    for item in (
        record("iris", "Running", "e1", "e2"),
        record("other", "Running", "e2"),
        record("third", "Ready", "e2"),
    ):
        change(view, "ConfigMap", None, item)
    change(view, "ConfigMap", None, thing("nobody", role="status", phase="Running"))
    woken.clear()
    build = thing("build", environment="e2")
    change(view, "Job", None, build)
    assert woken == ["iris", "other"]
    change(view, "Event", None, warning("build.1", "Job", build))
    assert woken == ["iris", "other"] * 2
    change(view, "ConfigMap", None, record("iris", "Ready", "e1", "e2"))
    woken.clear()
    change(view, "Job", build, None)
    assert woken == ["other"]


@pytest.mark.parametrize(
    ("called", "who"),
    [
        ("iris", ["iris"]),
        ("e2", ["iris", "other"]),
        ("third", []),  # no run of it is under way
        ("nobody", []),
        ("", []),
    ],
)
def test_a_call_wakes_the_request_whose_run_is_under_way_and_all_that_wait_for_a_build(
    view: View, woken: list[str], called: str, who: list[str]
) -> None:
    for item in (
        record("iris", "Running", "e1", "e2"),
        record("other", "Running", "e2"),
        record("third", "Ready", "e2"),
        thing("nobody-status", phase="Running"),
    ):
        change(view, "ConfigMap", None, item)
    woken.clear()
    assert view.wake(called) is bool(who)
    assert woken == who


@pytest.mark.parametrize(
    "spec",
    ["environments:\n- {name: environment, folder: '0123'}", '{"environments": [{"folder": "0123"}]}', "folder: 0123"],
)
def test_an_environment_is_found_in_any_form_of_a_run_s_spec(view: View, woken: list[str], spec: str) -> None:
    change(view, "ConfigMap", None, {**record("iris", "Running"), "data": {"run-spec": spec}})
    woken.clear()
    change(view, "Job", None, thing("build", environment="0123"))
    assert woken == ["iris"]


def pod(phase: str, name: str = "p", **status: Any) -> Object:
    """Build the pod of the Job `iris-a-1`."""
    owner = {"kind": "Job", "name": "iris-a-1", "uid": "iris-a-1-1", "controller": True}
    item = thing(name, request="iris")
    return {"metadata": {**item["metadata"], "ownerReferences": [owner]}, "status": {"phase": phase, **status}}


FAILED: Object = {"containerStatuses": [{"name": names.STAGE_CONTAINER, "state": {"terminated": {"exitCode": 1}}}]}
BLOCKED: Object = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}
COMPLETE: Object = {"conditions": [{"type": "Complete", "status": "True"}]}


@pytest.mark.parametrize(
    ("kind", "before", "after", "when"),
    [
        ("Pod", None, pod("Pending"), 5.0),
        ("Pod", pod("Pending"), pod("Pending", startTime="t"), None),
        ("Pod", pod("Pending"), pod("Pending", **BLOCKED), 0.0),
        ("Pod", pod("Pending", **BLOCKED), pod("Pending"), 5.0),
        ("Pod", pod("Pending"), pod("Running"), 1.0),
        ("Pod", pod("Running"), pod("Running", **FAILED), 0.0),
        ("Pod", pod("Running"), pod("Succeeded"), 0.0),
        ("Pod", pod("Running"), pod("Failed", **FAILED), 0.0),
        ("Pod", pod("Succeeded"), pod("Succeeded", podIP="10.0.0.1"), None),
        ("Pod", pod("Succeeded"), None, 0.0),
        ("Job", None, thing("iris-a-1", request="iris"), 0.0),
        ("Job", thing("iris-a-1", request="iris"), thing("iris-a-1", 2, request="iris"), 0.0),
        (
            "Job",
            thing("iris-a-1", request="iris"),
            {**thing("iris-a-1", request="iris"), "status": {"active": 1}},
            None,
        ),
        ("Job", thing("iris-a-1", request="iris"), {**thing("iris-a-1", request="iris"), "status": COMPLETE}, 0.0),
    ],
)
def test_what_changes_no_fact_wakes_nobody_and_what_is_on_its_way_can_wait(
    kind: str, before: Object | None, after: Object | None, when: float | None
) -> None:
    woken: list[tuple[str, float]] = []
    view = View(lambda key: woken.append((key, 0.0)), lambda key, seconds: woken.append((key, seconds)))
    if before:
        change(view, kind, None, before)
    woken.clear()
    change(view, kind, before, after)
    assert woken == ([] if when is None else [("iris", when)])


def test_a_job_that_is_complete_says_nothing_after_its_pod_did(view: View, woken: list[str]) -> None:
    job = thing("iris-a-1", request="iris")
    change(view, "Job", None, job)
    change(view, "Pod", None, pod("Succeeded"))
    woken.clear()
    change(view, "Job", job, {**job, "status": COMPLETE})
    assert woken == []


def test_a_pass_is_not_woken_by_records_and_jobs_that_it_writes_and_others_are(view: View, woken: list[str]) -> None:
    change(view, "ConfigMap", None, record("other", "Running", "e1"))
    woken.clear()
    with view.passing("iris"):
        change(view, "ConfigMap", None, record("iris", "Running", "e1"))
        change(view, "Job", None, thing("iris-a-1", request="iris"))
        change(view, "Job", None, thing("build", environment="e1"))
        assert woken == ["other"]
        change(view, "Service", None, thing("iris--web", request="iris"))
        assert woken == ["other", "iris"]
    change(view, "Job", None, thing("iris-b-1", request="iris"))
    assert woken == ["other", "iris", "iris"]


def test_an_event_that_comes_before_the_job_of_a_pass_wakes_it(view: View, woken: list[str]) -> None:
    job = thing("iris-a-1", request="iris")
    with view.passing("iris"):
        change(view, "Event", None, warning("denied", "Job", job))
        assert woken == []
        change(view, "Job", None, job)
        assert woken == ["iris"]


@pytest.mark.parametrize("owner", ["iris", "x"])  # whose name is that of the record of x
def test_a_pass_is_woken_by_builds_that_it_has_asked_for_before_its_record_names_them(
    view: View, woken: list[str], owner: str
) -> None:
    ours, theirs = "x-status", record(owner, "Running", "e1")
    change(view, "ConfigMap", None, theirs)
    build = thing("build", environment="e1")
    change(view, "Job", None, build)
    for asks in (True, False):
        woken.clear()
        with view.passing(ours):
            if asks:
                view.build("e1")
            view.wake("e1")
            change(view, "Pod", None, thing(f"build-{asks}", environment="e1"))
        assert woken == [*([owner, ours] * 2 if asks else [owner] * 2)]
    woken.clear()
    view.wake("e1")
    assert woken == [owner]
    change(view, "ConfigMap", theirs, None)
    assert not view.wake("e1")


changes = st.lists(
    st.tuples(st.sampled_from(["Job", "Pod", "Service"]), st.sampled_from("ab"), st.sampled_from(["iris", "x", ""])),
    max_size=30,
)


@calm
@given(changes)
def test_the_indexes_never_differ_from_what_is_there(steps: list[tuple[str, str, str]]) -> None:
    view = View(lambda _key: None)
    there: dict[tuple[str, str], Object] = {}
    for kind, name, request in steps:
        old, new = there.get((kind, name)), thing(name, request=request) if request else None
        if old is None and new is None:
            continue
        change(view, kind, old, new)
        there.pop((kind, name), None)
        if new is not None:
            there[kind, name] = {**new, "kind": kind}
    for request in ("iris", "x"):
        mine = {key: item for key, item in sorted(there.items()) if owner_key(key[0], item) == request}
        found = view.children(request)
        assert found.jobs == [item for (kind, _), item in mine.items() if kind == "Job"]
        assert found.pods == [item for (kind, _), item in mine.items() if kind == "Pod"]
        assert found.services == [item for (kind, _), item in mine.items() if kind == "Service"]


def config_map(role: str | None, **labels: str) -> Object:
    """Build a ConfigMap named iris of this role."""
    role_label = {names.ROLE: role} if role else {}
    return {"metadata": {"name": "iris", "labels": {**role_label, **labels}}}


@pytest.mark.parametrize(
    ("kind", "manifest", "owner"),
    [
        ("ConfigMap", config_map("request"), "iris"),
        ("ConfigMap", config_map("request", **{names.REQUEST: "other"}), "iris"),
        ("ConfigMap", config_map("status", **{names.REQUEST: "owner"}), "owner"),
        ("ConfigMap", config_map("release", **{names.REQUEST: "owner"}), "owner"),
        ("ConfigMap", config_map("status"), None),
        ("ConfigMap", config_map(None, **{names.REQUEST: "owner"}), None),
        ("Job", config_map(None, **{names.REQUEST: "owner"}), "owner"),
        ("Pod", {"metadata": {"labels": None}}, None),
        ("Pod", {"metadata": None}, None),
        ("Pod", {}, None),
    ],
)
def test_an_object_s_key_is_the_request_that_it_is_about(kind: str, manifest: Object, owner: str | None) -> None:
    assert owner_key(kind, manifest) == owner


def test_nobody_finds_news_before_it_is_known_when_they_came() -> None:
    found, readers = list[Object | None](), list[threading.Thread]()

    def wake(name: str) -> None:
        reader = threading.Thread(target=lambda: found.append(caches.request(name)))
        reader.start()
        reader.join(0.1)
        readers.append(reader)
        assert found == []

    caches = View(wake)
    change(caches, "ConfigMap", None, thing("iris", role="request"))
    readers[0].join(20)
    assert [item is not None for item in found] == [True]
