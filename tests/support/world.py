"""A whole controller in miniature: the real reconciler and volume, API server and projects in memory."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath

from prometheus_client import CollectorRegistry

from controller.adapters.telemetry.runs import RunMetrics
from controller.adapters.volume import Volume
from controller.core import layout, names
from controller.core.documents import codec
from controller.core.documents import status as statuses
from controller.core.errors import Invalid, NotYet, Transient
from controller.core.images import OFFICIAL
from controller.core.model import GitCredentials, Module, Object, Policy, ProjectTree, Record, Unread
from controller.core.notices import Letter
from controller.reconciler import Reconciler, View
from tests.support.byhand import ByHand

REPOSITORY = "https://git.example/iris"
POLICY = Policy(images=OFFICIAL, namespace="test", image="python:3.12-slim", claim="coachwork", tools="t0")


def project(  # noqa: PLR0913 (what a project may have)
    dag: str,
    *,
    services: Mapping[str, int] | None = None,
    retries: int = 0,
    name: str = "iris",
    packages: Mapping[str, str] | None = None,
    on_failure: str = "",
    secrets: Mapping[str, str] | None = None,
    reuse: bool = False,
) -> dict[str, str]:
    """Return the files of a project: all stages of `dag` are batch stages but `services` (name to port).

    `packages` are requirements by stage, `secrets` lines of [secrets] by stage.
    """
    failing = f"RUN_ON_FAILURE = {on_failure}\n" if on_failure else ""
    failing += "REUSE = True\n" if reuse else ""
    files = {"bodywork.ini": f"[default]\nPROJECT_NAME = {name}\n[workflow]\nDAG = {dag}\n{failing}"}
    for stage in filter(None, [*dag.replace(">>", ",").split(","), on_failure]):
        stage = stage.strip()  # noqa: PLW2901
        port = (services or {}).get(stage)
        kind, rest = ("service", f"[service]\nPORT = {port}") if port else ("batch", f"[batch]\nRETRIES = {retries}")
        files[f"{stage}/config.ini"] = f"[default]\nSTAGE_TYPE = {kind}\nEXECUTABLE_SCRIPT = run.py\n{rest}\n"
        files[f"{stage}/run.py"] = "print('hello')\n"
        if stage in (packages or {}):
            files[f"{stage}/requirements.txt"] = (packages or {})[stage]
        if stage in (secrets or {}):
            files[f"{stage}/config.ini"] += f"[secrets]\n{(secrets or {})[stage]}\n"
    return files


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Projects:
    """The Source port over dictionaries: commits are numbered, `fault` is raised by the next call.

    `faults` are raised when the commit of another repository is resolved.
    """

    commits: list[dict[str, str]] = field(default_factory=list)
    fault: Exception | None = None
    calls: list[str] = field(default_factory=list)
    faults: dict[str, Exception] = field(default_factory=dict)
    head: int = 0  # where somebody has pushed the branch back to; 0: the newest commit

    def push(self, files: dict[str, str]) -> str:
        self.commits.append(files)
        return self.resolve(REPOSITORY, "")

    def resolve(
        self, repository: str, _ref: str, _credentials: GitCredentials | None = None, _since: float | None = None
    ) -> str:
        self.calls.append("resolve")
        self._fail()
        if repository in self.faults:
            raise self.faults[repository]
        return f"{self.head or len(self.commits):040x}"

    def published(self, _repository: str, _commit: str) -> bool:
        return self.fault is None

    def publish(self, _repository: str, _commit: str, _credentials: GitCredentials | None = None) -> None:
        self._fail()

    def read(self, _repository: str, commit: str, _path: str) -> ProjectTree:
        files = self.commits[int(commit, 16) - 1]
        return ProjectTree(names.digest(repr(sorted(files.items())), 40), frozenset(files), {})

    def extend(self, _repository: str, commit: str, tree: ProjectTree, unread: Unread) -> ProjectTree:
        there = self.commits[int(commit, 16) - 1]
        texts = {name: there[name].encode() for name in unread.texts}
        known = dict.fromkeys(unread.modules, Module())
        return replace(tree, texts={**tree.texts, **texts}, modules={**tree.modules, **known})

    def contents(self, _repository: str, commit: str, _path: str) -> Mapping[str, str]:
        return self.commits[int(commit, 16) - 1]

    def fingerprint(self, _repository: str, commit: str, _path: str, paths: Iterable[str]) -> str:
        there = self.commits[int(commit, 16) - 1]
        below = [(name, text) for name, text in sorted(there.items()) for path in paths if name.startswith(path)]
        return names.digest(repr(below), 40)

    def last_change(
        self,
        _repository: str,
        commit: str,
        _path: str,
        files: Iterable[str],
        meaning: Callable[[Mapping[str, bytes]], Hashable],
    ) -> str:
        """Return the day: the first commit is of 2021-01-01, each further one of a day later."""
        last = int(commit, 16)
        every = [{name: there[name].encode() for name in files if name in there} for there in self.commits[:last]]
        meanings = [meaning(texts) for texts in every]
        while last > 1 and meanings[last - 2] == meanings[-1]:
            last -= 1
        return (date(2020, 12, 31) + timedelta(days=last)).isoformat()

    def _fail(self) -> None:
        if self.fault:
            raise self.fault


class Counter(RunMetrics):
    """The Metrics port, with all outcomes in their order."""

    def __init__(self) -> None:
        self.registry, self.outcomes = CollectorRegistry(), list[str]()
        super().__init__(self.registry)

    def run_ended(self, outcome: str, lasted: float | None) -> None:
        super().run_ended(outcome, lasted)
        self.outcomes.append(outcome)


class Post:
    """The Messenger port: all letters arrive at once, but while there is a `problem`. What arrived is `sent`."""

    def __init__(self, sent: list[Letter], problem: str = "") -> None:
        self.sent, self.problem = sent, problem
        self._known: dict[str, str | None] = {}

    def send(self, letter: Letter) -> None:
        self._known[letter.key] = self.problem
        self.sent += [] if self.problem else [letter]

    def letters(self, _uid: str) -> Mapping[str, str | None]:
        return self._known


class World:
    """One request `iris`, and everything around it."""

    def __init__(
        self,
        root: Path,
        *,
        lagging: bool = False,
        hook: Callable[[str, str], None] = lambda _verb, _moment: None,
        policy: Policy = POLICY,
    ) -> None:
        self.policy = policy
        self.cluster = ByHand(lagging=lagging, hook=hook)
        self.woken: list[str] = []
        self.post = Post([])
        self.source, self.metrics, self.clock, self.root = Projects(), Counter(), Clock(), root
        self.volume, self.view = Volume(root), View(self.woken.append)
        self.cluster.start(self.view.changed)
        self.restart()

    def restart(self) -> None:
        """Let a new controller take over: nothing but the cluster and the volume is left of the old."""
        self.post = Post(self.post.sent, self.post.problem)
        self.reconciler = Reconciler(
            self.view, self.cluster, self.source, self.volume, self.metrics, self.clock, self.policy, self.post
        )

    def pass_(self, name: str = "iris") -> float | None:
        """Make one pass, however it ends; return the delay that it asks for."""
        try:
            return self.reconciler.reconcile(name)
        except NotYet as error:
            return error.delay
        except Transient:
            return None

    def settle(self, name: str = "iris") -> Record:
        """Make passes until one changes nothing; return the record."""
        for _ in range(60):
            before = len(self.cluster.writes)
            self.cluster.sync()
            if self.pass_(name) != 0 and len(self.cluster.writes) == before:
                return self.record(name)
        raise AssertionError(f"never settles: {self.cluster.writes[-10:]}")

    def record(self, name: str = "iris") -> Record:
        """Return the record as a user would find it."""
        status = self.cluster.stored["ConfigMap", names.status_of(name)]
        uid = self.cluster.stored["ConfigMap", name]["metadata"]["uid"]
        parsed = codec.honoured(statuses.read(status["data"], uid))
        assert parsed is not None
        return parsed

    def data(self, name: str = "iris") -> dict[str, str]:
        """Return the flat data of the record."""
        return dict(self.cluster.stored["ConfigMap", names.status_of(name)]["data"])

    def passes(self, count: int, seconds: float = 0.0) -> Record:
        """Make so many passes, each after so many seconds; return the record."""
        for _ in range(count):
            self.clock.pass_(seconds)
            self.cluster.sync()
            self.pass_()
        return self.settle()

    def logs(self, stage: str, run: int = 1) -> Path:
        """Return where a stage's launchers leave their logs and outcomes."""
        uid = self.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
        return self.root / layout.logs("iris", uid, run, stage)

    def leave(self, folder: Path, outcome: str = '{"exit_code": 0}', attempt: int = 1) -> None:
        """Leave an attempt's log, and its outcome unless that is ""."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{attempt}.log").touch()
        if outcome:
            (folder / f"{attempt}.json").write_text(outcome)

    def jobs(self) -> dict[str, Object]:
        """Return the Jobs by name."""
        return {item["metadata"]["name"]: item for item in self.cluster.of_kind("Job")}

    def build(self, job: Object, lock: str = "flask==3.0.0\n", *, ends: bool = True) -> None:
        """Let a build make its environment. One that has not ended compiles it."""
        folder = names.environment_of(job)
        self.make_environment(layout.built(folder), folder, lock)
        if ends:
            self.cluster.end_job(job)
        else:
            (self.root / layout.built(folder) / layout.UNCOMPILED).touch()

    def compile(self, job: Object) -> None:
        """Let a build compile what it has made, and end."""
        (self.root / layout.environment(names.environment_of(job)) / layout.UNCOMPILED).unlink()
        self.cluster.end_job(job)

    def make_environment(self, path: PurePosixPath, folder: str, lock: str = "flask==3.0.0\n") -> None:
        """Put a whole environment on the volume."""
        made = self.root / path
        (made / "bin").mkdir(parents=True)
        (made / "bin/python").symlink_to("/usr/bin/python3")
        for line in lock.splitlines():
            (made / "lib/python3/site-packages" / f"{line.replace('==', '-')}.dist-info").mkdir(parents=True)
        (made / layout.LOCK).write_text(lock)
        (made / layout.COMPLETE).write_text(folder)

    def finish_all(self, name: str = "iris") -> Record:
        """Let every Job succeed and every Deployment come up until the run is over."""
        for _ in range(60):
            last = self.settle(name)
            if not last.active:
                return last
            for job in self.cluster.of_kind("Job"):
                if "status" not in job:
                    (self.build if names.environment_of(job) else self.cluster.end_job)(job)
            for deployment in self.cluster.of_kind("Deployment"):
                self.cluster.roll_out(deployment)
        raise AssertionError("the run never ends")


__all__ = ["POLICY", "REPOSITORY", "Invalid", "World", "project"]
