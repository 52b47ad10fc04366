"""Whatever others do to our objects is put back or reported, and no run is stuck for it: the table of objects.md."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.core import names
from tests.support.citizens import ACTS, ONLY_OF, PHASES, Town, remedy

STATUS, RELEASE, REQUEST = ("ConfigMap", "iris-status"), ("ConfigMap", "iris-release"), ("ConfigMap", "iris")
JOB, POD, CRONJOB = ("Job", "iris-train-1"), ("Pod", "iris-train-1-p"), ("CronJob", "iris")
DEPLOYMENT, SERVICE, INGRESS = ((kind, "iris--web") for kind in ("Deployment", "Service", "Ingress"))
BUILD = ("Job", "env-052c32652a43eacac8a8")
UNNOTICED = "Running/StepRunning"
GOOD = "Ready/Succeeded"

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
    ("ready", CRONJOB, "delete", GOOD, GOOD),
    ("ready", CRONJOB, "another schedule", GOOD, GOOD),
    ("ready", CRONJOB, "other Jobs of the schedule", GOOD, GOOD),
    ("ready", CRONJOB, "remove the owner", GOOD, GOOD),
    ("ready", CRONJOB, "replace", GOOD, GOOD),
]


def goes_on(town: Town) -> None:
    """The next run is good, and nothing is left that nobody owns."""
    town.ask("again")
    town.due = 0
    kept = town.finish()
    assert (kept.phase, kept.history[0].trigger) == ("Ready", "again"), kept.message
    stored = {key: item for key, item in town.cluster.stored.items() if key[0] not in ("Event", "Pod")}
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


def test_a_job_without_its_labels_that_fails_ends_its_run(memory: Path) -> None:
    town = Town(memory, "running")
    ACTS["remove all labels"](town, *JOB)
    town.cluster.end_job(town.cluster.stored[JOB], 3)
    kept = town.finish()
    assert (kept.phase, kept.reason) == ("Failed", "ExitCode")
    goes_on(town)


def everything(root: Path) -> Iterator[tuple[str, tuple[str, str], str]]:
    """Yield each act on each object in each phase."""
    for phase in PHASES:
        (root / phase).mkdir()
        for key in [key for key in Town(root / phase, phase).cluster.stored if key[0] != "Event"]:
            for act in ACTS:
                gone = key == REQUEST and act in ("delete", "delete, orphaning", "delete, with a finalizer", "replace")
                if key[0] in ONLY_OF.get(act, key) and not gone:
                    yield phase, key, act


@pytest.mark.long
def test_no_act_on_any_object_in_any_phase_stops_a_request_for_good(memory: Path) -> None:
    done = 0
    for done, (phase, key, act) in enumerate(everything(memory), 1):
        (memory / str(done)).mkdir()
        town = Town(memory / str(done), phase)
        ACTS[act](town, *key)
        try:
            town.quiet()
            remedy(town)
            town.finish()
            goes_on(town)
        except AssertionError as error:
            raise AssertionError(f"{phase}: {act}: {key}: {error}") from error
    assert done > 300
