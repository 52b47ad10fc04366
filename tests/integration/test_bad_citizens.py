"""Whatever others do to our objects is put back or reported, and no run is stuck for it: the table of objects.md."""

import os
import shutil
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from controller.core import names
from controller.core.documents.release import KINDS
from controller.core.model import Object
from tests.support.citizens import ACTS, ONLY_OF, PHASES, SECRETS, Town, remedy
from tests.support.statuses import event

STATUS, RELEASE, REQUEST = ("ConfigMap", "iris-status"), ("ConfigMap", "iris-release"), ("ConfigMap", "iris")
JOB, POD, CRONJOB = ("Job", "iris-train-1"), ("Pod", "iris-train-1-p"), ("CronJob", "iris")
DEPLOYMENT, SERVICE, INGRESS, AUTOSCALER, BUDGET = ((kind, "iris--web") for kind in KINDS)
BUILD = ("Job", "env-2c41789317ebe3a5a133")
UNNOTICED = "Running/StepRunning"
GOOD = "Ready/Succeeded"
NO_ACCOUNT = 'error looking up service account test/coachwork-stage: serviceaccount "coachwork-stage" not found'
LEAST = 70  # acts in each phase

# phase, object, what is done to it -> what the record says at once, and what it says after the run's end
ROWS = [
    ("running", REQUEST, "remove all labels", UNNOTICED, GOOD),
    ("running", REQUEST, "write over", UNNOTICED, GOOD),
    ("building", STATUS, f"remove label {names.REQUEST}", UNNOTICED, GOOD),
    ("running", STATUS, "delete", UNNOTICED, GOOD),
    ("running", STATUS, "write over", UNNOTICED, GOOD),
    ("running", STATUS, "remove the owner", UNNOTICED, GOOD),
    ("running", STATUS, "delete, with a finalizer", UNNOTICED, GOOD),
    ("ready", RELEASE, "delete", "Degraded/ReleaseMissing", "Degraded/ReleaseMissing"),
    ("ready", RELEASE, "remove all labels", "Degraded/ReleaseMissing", "Degraded/ReleaseMissing"),
    ("ready", RELEASE, "write over", "Pending/ReleaseUnreadable", "Degraded/ReleaseMissing"),
    ("ready", RELEASE, "remove the owner", GOOD, GOOD),
    ("ready", RELEASE, f"remove label {names.REQUEST}", GOOD, GOOD),
    ("second", RELEASE, "remove the owner", UNNOTICED, GOOD),
    ("running", JOB, "delete", "Failed/JobDeleted", "Failed/JobDeleted"),
    ("running", JOB, "delete, orphaning", "Running/JobDeleted", GOOD),
    ("running", JOB, "delete, with a finalizer", UNNOTICED, "Failed/JobDeleted"),
    ("running", JOB, "remove all labels", UNNOTICED, GOOD),
    ("running", JOB, f"remove label {names.RUN}", UNNOTICED, GOOD),
    ("running", JOB, f"set label {names.REQUEST}", UNNOTICED, GOOD),
    ("running", JOB, "remove the owner", UNNOTICED, GOOD),
    ("running", JOB, "replace", "Failed/NameTaken", "Failed/NameTaken"),
    ("running", JOB, "suspend", "Running/JobSuspended", GOOD),
    ("running", JOB, "parallelism 0", "Running/JobSuspended", GOOD),
    ("running", POD, "delete", UNNOTICED, GOOD),
    ("running", POD, "remove all labels", UNNOTICED, GOOD),
    ("building", BUILD, "delete", UNNOTICED, GOOD),
    ("building", BUILD, "delete, orphaning", UNNOTICED, GOOD),
    ("building", BUILD, "suspend", "Running/JobSuspended", GOOD),
    ("rollout", DEPLOYMENT, "pause", UNNOTICED, GOOD),
    ("rollout", DEPLOYMENT, "delete, with a finalizer", "Running/BeingDeleted", GOOD),
    ("rollout", SERVICE, "delete, with a finalizer", "Running/BeingDeleted", GOOD),
    ("rollout", DEPLOYMENT, "remove the owner", UNNOTICED, GOOD),
    ("rollout", SERVICE, "replace", "Failed/NameTaken", "Failed/NameTaken"),
    ("second", DEPLOYMENT, "delete", UNNOTICED, GOOD),
    ("second", DEPLOYMENT, "remove the owner", UNNOTICED, GOOD),
    ("ready", DEPLOYMENT, "pause", "Degraded/ServiceDegraded", GOOD),
    ("ready", DEPLOYMENT, "remove the owner", GOOD, GOOD),
    ("ready", SERVICE, "remove the owner", GOOD, GOOD),
    ("ready", INGRESS, "replace", "Degraded/ServiceDrifted", GOOD),
    ("ready", AUTOSCALER, "delete", GOOD, GOOD),
    ("rollout", AUTOSCALER, "delete, with a finalizer", "Running/BeingDeleted", GOOD),
    ("second", AUTOSCALER, "remove the owner", UNNOTICED, GOOD),
    ("rollout", BUDGET, "replace", "Failed/NameTaken", "Failed/NameTaken"),
    ("ready", CRONJOB, "delete", GOOD, GOOD),
    ("ready", CRONJOB, "another schedule", GOOD, GOOD),
    ("ready", CRONJOB, "other Jobs of the schedule", GOOD, GOOD),
    ("ready", CRONJOB, "remove the owner", GOOD, GOOD),
    ("ready", CRONJOB, "replace", GOOD, GOOD),
    *((phase, ("Secret", name), "delete", UNNOTICED, GOOD) for phase, name in zip(PHASES, SECRETS, strict=False)),
]


def goes_on(town: Town) -> None:
    """The next run is good, and nothing is left that nobody owns."""
    town.ask("again")
    town.due = 0
    kept = town.finish()
    assert (kept.phase, kept.history[0].trigger) == ("Ready", "again"), kept.message
    stored = {key: item for key, item in town.cluster.stored.items() if key[0] not in ("Event", "Pod", "Secret")}
    ours = {key: item for key, item in stored.items() if key[1] != "iris" and not names.environment_of(item)}
    assert [key for key, item in ours.items() if not item["metadata"].get("ownerReferences")] == []


@pytest.mark.parametrize(("phase", "key", "act", "said", "end"), ROWS)
def test_what_others_do_is_put_back_or_reported_and_the_next_run_is_good(
    memory: Path, phase: str, key: tuple[str, str], act: str, said: str, end: str
) -> None:
    town = Town(memory, phase)
    ACTS[act](town, *key)
    kept = town.quiet()
    assert f"{kept.phase}/{kept.reason}" == said, kept.message
    remedy(town)
    kept = town.finish()
    assert f"{kept.phase}/{kept.reason}" == end, kept.message
    goes_on(town)


@pytest.mark.parametrize("act", ["suspend", "parallelism 0", "delete, with a finalizer"])
@pytest.mark.parametrize(("phase", "key"), [("running", JOB), ("building", BUILD), ("rollout", DEPLOYMENT)])
def test_what_nobody_gives_back_fails_the_run_after_its_grace(
    memory: Path, phase: str, key: tuple[str, str], act: str
) -> None:
    if key[0] not in ONLY_OF.get(act, key):
        return
    town = Town(memory, phase)
    if (pod := f"{key[1]}-p") in (name for _, name in town.cluster.stored):
        town.cluster.remove("Pod", pod)
    ACTS[act](town, *key)
    kept = town.finish()
    assert (kept.phase, kept.reason) == ("Failed", "JobSuspended" if act in ONLY_OF else "BeingDeleted")
    assert town.waited >= town.world.policy.schedule_grace
    remedy(town)
    goes_on(town)


@pytest.mark.parametrize(
    ("name", "said"),
    [("git", "Pending/GitSecretMissing"), ("index", "Pending/SecretMissing"), ("db", "Running/SecretMissing")],
)
def test_a_secret_that_somebody_deletes_is_missed_by_the_next_run_which_goes_on_with_it(
    memory: Path, name: str, said: str
) -> None:
    town = Town(memory, "running")
    town.cluster.remove("Secret", name)
    assert town.finish().phase == "Ready"
    town.ask("second")
    kept = town.quiet()
    assert (f"{kept.phase}/{kept.reason}", f" {name}" in kept.message) == (said, True)
    town.give_secrets()
    kept = town.finish()
    assert (kept.phase, kept.run) == ("Ready", 2)
    goes_on(town)


def no_pod(town: Town, job: Object, words: str) -> None:
    denied = event("FailedCreate", words, job["metadata"]["uid"], "Job") | {"metadata": {"name": "denied"}}
    denied["involvedObject"]["name"] = job["metadata"]["name"]
    town.cluster.put(denied)


def no_node(town: Town, job: Object, words: str) -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    town.cluster.begin_pod(job, "Pending", conditions=[unscheduled])


@pytest.mark.parametrize("undone", [True, False])
@pytest.mark.parametrize(
    ("shows", "words", "reason"),
    [
        (no_pod, f'Error creating: pods "x-" is forbidden: {NO_ACCOUNT}', "PodRefused"),
        (no_node, '0/11 nodes are available: persistentvolumeclaim "coachwork" is being deleted. not found',
                  "Unschedulable"),
    ],
    ids=["ServiceAccount", "PersistentVolumeClaim"],
)  # fmt: skip
def test_what_pods_need_and_somebody_deletes_is_named_until_it_is_back(
    memory: Path, shows: Callable[[Town, Object, str], None], words: str, reason: str, *, undone: bool
) -> None:
    town = Town(memory, "ready")
    town.ask("second")
    town.quiet()
    job = town.cluster.stored["Job", "iris-train-2"]
    shows(town, job, words)
    kept = town.quiet()
    assert (kept.phase, kept.reason, '"coachwork' in kept.message) == ("Running", reason, True)
    if undone:
        if shows is no_pod:
            town.cluster.remove("Event", "denied")
        assert town.finish().phase == "Ready"
    else:
        town.world.clock.pass_(town.world.policy.schedule_grace + 1)
        town.due = 0
        kept = town.quiet()
        assert (kept.phase, kept.reason) == ("Failed", reason)
    goes_on(town)


def test_a_job_without_its_labels_that_fails_ends_its_run(memory: Path) -> None:
    town = Town(memory, "running")
    ACTS["remove all labels"](town, *JOB)
    town.cluster.end_job(town.cluster.stored[JOB], 3)
    kept = town.finish()
    assert (kept.phase, kept.reason) == ("Failed", "ExitCode")
    goes_on(town)


def can_be_done(act: str, key: tuple[str, str]) -> bool:
    """Return whether it makes a difference to such an object, and the request is still there."""
    gone = key == REQUEST and act in ("delete", "delete, orphaning", "delete, with a finalizer", "replace")
    return key[0] in ONLY_OF.get(act, key) and not gone and (key[0] != "Secret" or act == "delete")


@pytest.mark.long
@pytest.mark.parametrize("phase", PHASES)
def test_no_act_on_any_object_stops_a_request_for_good(
    memory: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    monkeypatch.chdir(memory)
    town = Town(Path("volume"), phase)  # whose children have a copy each
    acts = [(key, act) for key in town.cluster.stored if key[0] != "Event" for act in ACTS if can_be_done(act, key)]

    def goes_on_after(key: tuple[str, str], act: str) -> None:
        os.chdir("child")
        ACTS[act](town, *key)
        town.quiet()
        remedy(town)
        town.finish()
        goes_on(town)

    for key, act in acts:
        shutil.copytree("volume", "child/volume", symlinks=True)
        assert (key, act, in_child(partial(goes_on_after, key, act))) == (key, act, "")
        shutil.rmtree("child")
    assert len(acts) > LEAST


def in_child(work: Callable[[], object]) -> str:
    """Do something in a child of this process; return what it raises, "" for nothing."""
    said, says = os.pipe()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # other threads take no part
        child = os.fork()
    if child == 0:
        words = b""
        try:
            work()
        except BaseException:  # noqa: BLE001 (it is the parent's to raise)
            words = traceback.format_exc(limit=-4).encode(errors="replace")[:60_000]
        os.write(says, words)
        os._exit(0)
    os.close(says)
    with os.fdopen(said, encoding="utf-8") as pipe:
        words_of_child = pipe.read()
    _, status = os.waitpid(child, 0)
    return words_of_child or (f"status {status}" if status else "")
