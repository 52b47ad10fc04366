"""Schedules, looks at the branch, overlaps, parameters and repeated runs, as a user sees them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import yaml

from tests.support.e2e import NAMESPACE, Coachwork, eventually, kubectl, told
from tests.support.e2e_projects import batch, project, server, service
from tests.support.kubectl import Object, listed
from tests.support.kustomize import DEPLOY

CONTROLLER = "deployment/coachwork"
SLOT_SECONDS = 150  # until a schedule of every minute has fired, its image has started and its run has ended
# Notes each start in the request's cache, with its trigger; goes on until a file appears there.
NOTED = """
import os, pathlib, time
cache = pathlib.Path(os.environ["COACHWORK_CACHE"])
with open(cache / "starts", "a") as file:
    print(os.environ["COACHWORK_TRIGGER"], os.environ.get("ALPHA", "-"), file=file)
"""
GATE = f"{NOTED}while not (cache / 'open').exists():\n    time.sleep(0.1)\n"


def starts(coachwork: Coachwork, name: str) -> list[str]:
    """Return trigger and ALPHA of all runs that began, oldest first."""
    return coachwork.run_file(name, ".", "cache/starts").splitlines()


def open_gate(coachwork: Coachwork, name: str) -> None:
    coachwork.shell("touch", f"/var/lib/coachwork/runs/{name}-{coachwork.uid(name)}/cache/open")


def slots(name: str) -> dict[str, Object]:
    """Return the Jobs of a request's slots, by name."""
    found = listed(NAMESPACE, "jobs", f"coachwork.io/request={name},app.kubernetes.io/component=trigger")
    return {job["metadata"]["name"]: job for job in found}


def over(name: str, slot: str, kind: str) -> Object:
    """Wait until a slot's Job is Complete or Failed, and return it."""

    def ended() -> Object | None:
        job = slots(name).get(slot, {})
        types = {item["type"] for item in job.get("status", {}).get("conditions", ()) if item["status"] == "True"}
        assert not types & {"Complete", "Failed"} - {kind}, job["status"]
        return job if kind in types else None

    return eventually(ended, f"{kind} Job {slot}") or {}


def slot_pods(slot: str) -> list[str]:
    """Return the names of a slot's pods."""
    return [pod["metadata"]["name"] for pod in listed(NAMESPACE, "pods", f"batch.kubernetes.io/job-name={slot}")]


def scheduled(coachwork: Coachwork, name: str, script: str, schedule: str = "0 0 1 1 *", **keys: Any) -> None:
    """Have a request with one stage that runs at its schedule's times only, and its CronJob."""
    coachwork.git.push(name, project(name, "one", batch("one", script, seconds=300)))
    coachwork.request(name, schedule=schedule, run_on_create="false", **keys)
    eventually(lambda: coachwork.get("cronjob", name), f"CronJob {name}")


def fire(name: str, slot: str) -> None:
    """Let a slot come now."""
    kubectl("-n", NAMESPACE, "create", "job", f"--from=cronjob/{name}", slot)


@contextmanager
def away(coachwork: Coachwork) -> Iterator[None]:
    """Have no controller for a while."""
    pod = coachwork.controller()
    kubectl("-n", NAMESPACE, "scale", CONTROLLER, "--replicas=0")
    kubectl("-n", NAMESPACE, "wait", "--for=delete", f"pod/{pod}", "--timeout=60s")
    try:
        yield
    finally:
        kubectl("-n", NAMESPACE, "scale", CONTROLLER, "--replicas=1")
        coachwork.controller()


# --- schedules -------------------------------------------------------------------------------------


def test_every_slot_is_one_run_and_its_job_shows_the_outcome(coachwork: Coachwork) -> None:
    name = coachwork.name("minutely")
    scheduled(coachwork, name, NOTED, "* * * * *", time_zone="Europe/Paris")
    first = coachwork.ended(name, seconds=SLOT_SECONDS, run="1")
    second = coachwork.ended(name, seconds=SLOT_SECONDS, run="2")
    triggers = [record["finished-trigger"] for record in (first, second)]
    assert starts(coachwork, name)[:2] == [f"{trigger} -" for trigger in triggers]
    for trigger in triggers:
        job = over(name, trigger, "Complete")
        planned = job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
        assert trigger == f"{name}-{datetime.fromisoformat(planned).timestamp() / 60:.0f}"
        assert len(slot_pods(trigger)) == 1


def test_a_slot_whose_pod_is_lost_is_still_one_run(coachwork: Coachwork) -> None:
    name = coachwork.name("lost")
    slot = f"{name}-1"
    scheduled(coachwork, name, GATE)
    fire(name, slot)
    eventually(lambda: starts(coachwork, name), "start of the run")
    (pod,) = slot_pods(slot)
    kubectl("-n", NAMESPACE, "delete", "pod", pod, "--force", "--grace-period=0")
    eventually(lambda: set(slot_pods(slot)) - {pod}, "another pod of the slot")
    open_gate(coachwork, name)
    over(name, slot, "Complete")
    assert starts(coachwork, name) == [f"{slot} -"]
    assert coachwork.status(name)["run"] == "1"


def test_a_run_that_fails_fails_its_job_at_once(coachwork: Coachwork) -> None:
    name = coachwork.name("failing")
    slot = f"{name}-1"
    scheduled(coachwork, name, f"{NOTED}raise SystemExit('no rows')")
    fire(name, slot)
    job = over(name, slot, "Failed")
    assert [item["reason"] for item in job["status"]["conditions"] if item["type"] == "Failed"] == ["PodFailurePolicy"]
    assert len(slot_pods(slot)) == 1
    assert len(starts(coachwork, name)) == 1


def test_a_slot_that_finds_no_controller_runs_when_it_is_back(coachwork: Coachwork) -> None:
    name = coachwork.name("noone")
    slot = f"{name}-1"
    scheduled(coachwork, name, NOTED)
    with away(coachwork):
        fire(name, slot)
        annotations = "jsonpath={.metadata.annotations.coachwork\\.io/trigger}"
        eventually(
            lambda: kubectl("-n", NAMESPACE, "get", "configmap", name, "-o", annotations) == slot, "the slot's trigger"
        )
    over(name, slot, "Complete")
    assert starts(coachwork, name) == [f"{slot} -"]


def test_a_suspended_request_has_a_suspended_schedule_and_without_one_none(coachwork: Coachwork) -> None:
    name = coachwork.name("paused")
    scheduled(coachwork, name, NOTED, suspend="true")
    assert coachwork.get("cronjob", name)["spec"]["suspend"] is True
    fire(name, f"{name}-1")  # somebody insists
    over(name, f"{name}-1", "Complete")
    assert coachwork.status(name)["finished-trigger"] == f"{name}-1"
    coachwork.request(name, run_on_create="false")
    eventually(lambda: not listed(NAMESPACE, "cronjobs", f"coachwork.io/request={name}"), "end of the CronJob")
    assert starts(coachwork, name) == []


def test_a_cronjob_of_somebody_else_is_left_alone_and_reported(coachwork: Coachwork) -> None:
    name = coachwork.name("taken")
    assert coachwork.start(name, project(name, "one", batch("one", "")))["phase"] == "Ready"
    (theirs,) = yaml.safe_load_all((DEPLOY / "samples" / "cronjob.yaml").read_text(encoding="utf-8"))
    theirs["metadata"] = {"name": name, "namespace": NAMESPACE}
    kubectl("create", "-f", "-", text=json.dumps(theirs))
    try:
        coachwork.request(name, schedule="@daily")
        record = coachwork.wait_for(name, lambda data: "schedule-problem" in data, "problem of the schedule")
        assert record["phase"] == "Ready"
        assert f"CronJob {name} belongs to nobody of ours" in record["schedule-problem"]
        assert coachwork.get("cronjob", name)["spec"]["schedule"] == theirs["spec"]["schedule"]
    finally:
        kubectl("-n", NAMESPACE, "delete", "cronjob", name)
    eventually(lambda: coachwork.get("cronjob", name)["spec"]["schedule"] == "@daily", "the request's own CronJob")
    coachwork.wait_for(name, lambda data: "schedule-problem" not in data, "end of the problem")


def test_the_sample_of_a_cronjob_of_ones_own_works(coachwork: Coachwork) -> None:
    name = coachwork.name("own")
    coachwork.git.push(name, project(name, "one", batch("one", NOTED)))
    coachwork.request(name, run_on_create="false")
    image = coachwork.get("deployment", "coachwork")["spec"]["template"]["spec"]["containers"][0]["image"]
    text = (DEPLOY / "samples" / "cronjob.yaml").read_text(encoding="utf-8")
    text = text.replace("train-and-serve", name).replace("coachwork:dev", image)
    sample = yaml.safe_load(text)
    sample["metadata"]["namespace"] = NAMESPACE
    kubectl("create", "-f", "-", text=json.dumps(sample))
    try:
        slot = f"{name}-1"
        fire(sample["metadata"]["name"], slot)
        over(name, slot, "Complete")
        assert starts(coachwork, name) == [f"{slot} -"]
    finally:
        kubectl("-n", NAMESPACE, "delete", "cronjob", sample["metadata"]["name"])


# --- poll ------------------------------------------------------------------------------------------


def test_a_push_is_run_and_a_server_that_is_gone_disturbs_nothing(coachwork: Coachwork) -> None:
    name = coachwork.name("polled")
    first = coachwork.start(name, project(name, "one", batch("one", NOTED)), poll="10s")
    assert first["phase"] == "Ready", told(first)
    coachwork.git.push(name, project(name, "one", batch("one", f"{NOTED}# newer")))
    second = coachwork.ended(name, run="2")
    assert (second["phase"], yaml.safe_load(second["run-spec"])["cause"]) == ("Ready", "Polled"), told(second)
    assert starts(coachwork, name) == ["created -", "polled -"]
    coachwork.request(name, poll="10s", repository="http://nowhere.invalid/x", suspend="true")
    record = coachwork.wait_for(name, lambda data: "poll-problem" in data, "problem of a look")
    assert "GitUnreachable" in record["poll-problem"]
    assert record["phase"] == "Suspended", told(record)


# --- on-overlap ------------------------------------------------------------------------------------


def test_replace_ends_the_active_run_puts_its_service_back_and_runs_the_new_one(coachwork: Coachwork) -> None:
    name = coachwork.name("replace")
    assert coachwork.start(name, project(name, "web", service("web", server("good"))))["phase"] == "Ready"
    waiting = project(name, "web >> two", service("web", server("bad")), batch("two", GATE, seconds=300))
    coachwork.git.push(name, waiting)
    coachwork.request(name, on_overlap="replace", annotations={"coachwork.io/trigger": "old"})
    coachwork.running(name, "two")
    coachwork.git.push(name, {"bodywork.ini": "nonsense"})
    coachwork.annotate(name, trigger="invalid")
    record = coachwork.wait_for(name, lambda data: data.get("finished-trigger") == "invalid", "the verdict")
    assert (record["phase"], coachwork.history(record)[0]["outcome"]) == ("Running", "Invalid"), told(record)
    coachwork.git.push(name, project(name, "two", batch("two", "raise SystemExit('again')")))
    coachwork.annotate(name, trigger="new")
    record = coachwork.ended(name, finished_trigger="new")
    past = [(item["run"], item["outcome"], item["reason"]) for item in coachwork.history(record)[:2]]
    assert past == [(3, "Failed", "ExitCode"), (2, "Cancelled", "Replaced")], told(record)
    coachwork.answer(f"{name}--web", "good")
