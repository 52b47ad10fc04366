"""What others do to our objects, in a world that goes on by itself: a pass is made only when something wakes it.

So a run that nothing wakes any more is stuck here, too. The hand that plays the cluster ends Jobs, pods and rollouts.
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

from controller.core import layout, names
from controller.core.documents.release import KINDS
from controller.core.errors import NotYet, Transient
from controller.core.model import Object, Record
from tests.support.world import REPOSITORY, World, project

FILES = project(
    "train >> web",
    services={"web": 5000},
    packages={"train": "flask==3.0.0\n"},
    secrets={"train": "PASSWORD = db"},
)
FILES["web/config.ini"] = f"{FILES['web/config.ini']}INGRESS = True\nMAX_REPLICAS = 3\n".replace(
    "[default]\n", "[default]\nCPU_REQUEST = 1\n"
)
SECRETS: Mapping[str, Mapping[str, str]] = {  # that the request and a stage use
    "git": {"username": "ada", "password": "x"},
    "index": {"UV_INDEX": "https://index.example/simple"},
    "db": {"PASSWORD": "y"},
}
PHASES = ("building", "running", "rollout", "ready", "second")
HOLD = "example.com/hold"
RETRY = 30.0  # seconds: how long the queue waits at most after an error
LOOKS = 2
PATIENCE = 7200.0  # seconds after which a run that only waits is stuck


class Stuck(AssertionError):
    """Nothing happens any more, and the run has not ended."""


class Town:
    """One request, in a phase of its first run, after it, or in its second run."""

    def __init__(self, root: Path, phase: str) -> None:
        self.world = World(root)
        self.cluster, self.waited = self.world.cluster, 0.0
        self.due: float | None = None
        self.world.source.push(FILES)
        self.give_secrets()
        self.ask()
        self.quiet()
        getattr(self, f"_to_{phase}")()

    def ask(self, trigger: str = "") -> None:
        """State the request, with this trigger."""
        secrets = {"git_secret": "git", "index_secret": "index"}
        self.cluster.ask("iris", repository=REPOSITORY, schedule="@daily", trigger=trigger, **secrets)

    def give_secrets(self) -> None:
        """Create the Secrets that are not there."""
        for name, values in SECRETS.items():
            if ("Secret", name) not in self.cluster.stored:
                self.cluster.secret(name, **values)
                if name == "git":
                    self.cluster.edit("Secret", name, lambda item: item.update(type="kubernetes.io/basic-auth"))

    # --- the phases --------------------------------------------------------------------------------

    def _to_building(self) -> None:
        self.cluster.begin_pod(self._job("env-"))
        self.quiet()

    def _to_running(self) -> None:
        while not any(name.startswith("iris-train") for name in self.world.jobs()):
            self._step()
        self._begin("iris-train-1")

    def _to_rollout(self) -> None:
        while ("Deployment", "iris--web") not in self.cluster.stored:
            self._step()

    def _to_ready(self) -> None:
        assert self.finish().phase == "Ready"

    def _to_second(self) -> None:
        self._to_ready()
        self.world.source.push({**FILES, "train/run.py": "print(2)\n", "web/run.py": "print(3)\n"})
        self.ask("second")
        self.quiet()
        self._begin("iris-train-2")

    def _job(self, start: str) -> Object:
        return next(job for name, job in self.world.jobs().items() if name.startswith(start))

    def _begin(self, job: str) -> None:
        self.world.leave(self.world.logs("train", int(job[-1])), "")
        self.cluster.begin_pod(self._job(job))
        self.quiet()

    # --- what goes on --------------------------------------------------------------------------------

    def quiet(self) -> Record:
        """Make passes for as long as something wakes them at once; return the record. Raises Stuck in a hot loop."""
        for _ in range(80):
            self.cluster.sync()
            if not self.world.woken and self.due != 0:
                there = ("ConfigMap", names.status_of("iris")) in self.cluster.stored
                return self.world.record() if there else Record("")  # another's is out of the way, for the next look
            self.world.woken.clear()
            try:
                self.due = self.world.reconciler.reconcile("iris")
            except NotYet as early:
                self.due = early.delay
            except Transient:
                self.due = RETRY
        raise Stuck(f"a hot loop: {self.cluster.writes[-8:]}")

    def finish(self) -> Record:
        """Let everything take its course until the run is over, and nothing is under way; return the record."""
        looks = 0  # at what is not over by itself: a name that another holds
        for _ in range(300):
            record = self.quiet()
            if self._play():
                continue
            looks += not record.active
            if not record.active and (self.due is None or looks > LOOKS):
                return record
            if self.due is None or self.waited > PATIENCE:
                raise Stuck(f"{record.phase}, {record.reason}: {record.message}")
            self.waited += self.due
            self.world.clock.pass_(self.due)
            self.due = 0
        raise Stuck("it never ends")

    def _step(self) -> None:
        self._play()
        self.quiet()

    def _play(self) -> bool:
        """Let the cluster do one thing; return whether there was any."""
        for job in self.cluster.of_kind("Job"):
            if not _is_over(job) and not _rests(job):
                self._end(job)
                return True
        for pod in self.cluster.of_kind("Pod"):  # its Job is gone or going: it ends all the same
            if pod.get("status", {}).get("phase") == "Running":
                self._work(pod)
                self.cluster.end_pod(pod["metadata"]["name"])
                return True
        for item in self.cluster.of_kind("Deployment"):
            if (item.get("status") or {}).get("observedGeneration") != item["metadata"]["generation"] and not _rests(
                item
            ):
                self.cluster.roll_out(item)
                return True
        return False

    def _end(self, job: Object) -> None:
        self._work(job)
        self.cluster.end_job(job)

    def _work(self, item: Object) -> None:
        """Leave what a Job or a pod leaves on the volume."""
        if folder := names.environment_of(item):
            if not self.world.volume.has_environment(folder) and not self.world.volume.made_environment(folder):
                self.world.make_environment(layout.built(folder), folder)
        else:
            number = item["metadata"]["name"].removesuffix("-p").rpartition("-")[2]
            self.world.leave(self.world.logs("train", int(number)))


def _is_over(job: Object) -> bool:
    return bool((job.get("status") or {}).get("conditions"))


def _rests(item: Object) -> bool:
    """Return whether the cluster's own controllers leave an object as it is."""
    spec = item["spec"]
    suspended = spec.get("suspend") or spec.get("paused") or spec.get("parallelism") == 0
    return bool(suspended or "deletionTimestamp" in item["metadata"])


# --- what is done, and what a person does about it -------------------------------------------------

Act = Callable[[Town, str, str], None]


def _edit(change: Callable[[Object], object]) -> Act:
    return lambda town, kind, name: town.cluster.edit(kind, name, change)


def _spec(**values: object) -> Act:
    return _edit(lambda item: item["spec"].update(values) and None)


def _label(label: str, value: str | None) -> Act:
    def change(item: Object) -> None:
        labels = {**names.labels_of(item), label: value}
        item["metadata"]["labels"] = {key: text for key, text in labels.items() if text is not None}

    return _edit(change)


def _remove(town: Town, kind: str, name: str) -> None:
    town.cluster.remove(kind, name)


def _orphan(town: Town, kind: str, name: str) -> None:
    town.cluster.orphan(kind, name)


def _replace(town: Town, kind: str, name: str) -> None:
    """Put another's object of the same name in its place."""
    old = copy.deepcopy(town.cluster.stored[kind, name])
    town.cluster.remove(kind, name)
    rest = {key: value for key, value in old.items() if key not in ("metadata", "status")}
    town.cluster.put({**rest, "metadata": {"name": name}})


def _suspend(town: Town, kind: str, name: str) -> None:
    _spec(suspend=True)(town, kind, name)
    if kind == "Job":
        town.cluster.remove("Pod", f"{name}-p")  # the Job controller's doing


def _write_over(town: Town, _kind: str, name: str) -> None:
    key = {"iris-status": "stages", "iris-release": "objects", "iris": "repository"}[name]
    town.cluster.write_over(name, {key: "]["})


_LABELS = (names.ROLE, names.REQUEST, names.REQUEST_UID, names.RUN, names.STAGE, names.MANAGED_BY)
_DELETING = {"finalizers": [HOLD], "deletionTimestamp": "2026-01-01T00:00:00Z"}
ACTS: Mapping[str, Act] = {
    "delete": _remove,
    "delete, orphaning": _orphan,
    "delete, with a finalizer": _edit(lambda item: item["metadata"].update(_DELETING)),
    "add a finalizer": _edit(lambda item: item["metadata"].update(finalizers=[HOLD])),
    "annotate": _edit(lambda item: item["metadata"].setdefault("annotations", {}).update(mine="yes")),
    "remove all labels": _edit(lambda item: item["metadata"].update(labels={})),
    **{f"remove label {label}": _label(label, None) for label in _LABELS},
    f"set label {names.RUN}": _label(names.RUN, "999"),
    f"set label {names.REQUEST}": _label(names.REQUEST, "other"),
    "remove the owner": _edit(lambda item: item["metadata"].update(ownerReferences=[])),
    "replace": _replace,
    "suspend": _suspend,
    "parallelism 0": _spec(parallelism=0),
    "pause": _spec(paused=True),
    "scale to 0": _spec(replicas=0),
    "another schedule": _spec(schedule="1 1 1 1 1"),
    "other Jobs of the schedule": _spec(jobTemplate={}),
    "write over": _write_over,
}
ONLY_OF = {
    "suspend": ("Job", "CronJob"),
    "parallelism 0": ("Job",),
    "pause": ("Deployment",),
    "scale to 0": ("Deployment",),
    "another schedule": ("CronJob",),
    "other Jobs of the schedule": ("CronJob",),
    "write over": ("ConfigMap",),
}


_OURS = ("ConfigMap", "Job", "CronJob", *KINDS)


def remedy(town: Town) -> None:
    """Do what the documentation says: finish with finalizers, resume, label again, take away what is another's."""
    town.give_secrets()
    for (kind, name), item in [*town.cluster.stored.items()]:
        metadata, spec = item["metadata"], item.get("spec") or {}
        if HOLD in (metadata.get("finalizers") or ()) and "deletionTimestamp" in metadata:
            town.cluster.remove(kind, name)
        elif kind == "Job" and (spec.get("suspend") or spec.get("parallelism") == 0):
            _spec(suspend=False, parallelism=1)(town, kind, name)
        elif (kind, name) == ("ConfigMap", "iris"):
            town.ask()
        else:
            others = kind in _OURS and not metadata.get("ownerReferences") and not metadata.get("labels")
            if others or (name == "iris-release" and item["data"]["objects"] == "]["):
                town.cluster.remove(kind, name)
