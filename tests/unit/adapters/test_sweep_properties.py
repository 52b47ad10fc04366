"""Random histories: what a living pod, a kept run or the serving release needs is never swept, the rest in an hour."""

import copy
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.adapters.volume import Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.core import layout, manifests, names, sweep
from controller.core.documents import run as documents
from controller.core.documents import status as statuses
from controller.core.manifests import RunContext
from controller.core.model import (
    Batch,
    Environment,
    Object,
    PastRun,
    Pipeline,
    Policy,
    Record,
    RunSpec,
    Service,
    Stage,
)
from tests.support.examples import share

MINUTE = 60.0
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (where fsync takes no time)
REPOSITORIES = ("https://git.example/a", "https://git.example/b")
PIPELINE = Pipeline(
    name="iris",
    steps=(("train",), ("serve",)),
    stages={"train": Stage("train", "t", "t.py", Batch()), "serve": Stage("serve", "s", "s.py", Service(port=5000))},
)
Paths = frozenset[PurePosixPath]


class Killed(BaseException):
    """The controller is gone, in the middle of something."""


@dataclass
class Requested:
    """One request as its owner and its history have it."""

    name: str
    repository: str
    keep: int
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    run: int = 0
    outcomes: dict[int, bool] = field(default_factory=dict)
    uses: dict[int, Paths] = field(default_factory=dict)
    record: Record | None = None

    def kept(self) -> set[int]:
        """Return the runs that `keep-runs` promises: so many good and bad ones each, the last, and what serves."""
        ended = sorted(self.outcomes, reverse=True)
        good = [run for run in ended if self.outcomes[run]]
        bad = [run for run in ended if not self.outcomes[run]]
        return {*good[: self.keep], *bad[: self.keep], *good[:1], self.run}


class History(RuleBasedStateMachine):
    """One namespace with its volume; the controller's passes are cut into steps, so that sweeps come in between."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(dir=MEMORY))
        self.volume, self.sweeper = Volume(self.root), Sweeper(self.root)
        self.now, self.tools, self.count = time.time(), "0" * 16, 0
        self.latest = self.now
        self.noted: dict[PurePosixPath, Paths] = {}
        self.objects: dict[tuple[str, str], Object] = {}
        self.requests: dict[str, Requested] = {}
        self.passes: list[Iterator[None]] = []
        self.make(layout.tools(self.tools))
        for name, repository in zip("ab", REPOSITORIES, strict=True):
            self.requests[name] = Requested(name, repository, keep=2)
            self.write_request(self.requests[name])

    def teardown(self) -> None:
        if hasattr(self, "root"):
            try:
                self.end_quietly()
            finally:
                shutil.rmtree(self.root)

    def end_quietly(self) -> None:
        """Let an hour go by in which nothing happens: then only what is needed is there."""
        self.passes.clear()
        for request in self.requests.values():  # a pass that is left alone records what it knows
            request.record = request.record or Record(request_uid=request.uid)
            self.report(request)
        rounds = 0
        while rounds < 5 or self.now < self.latest + 60 * MINUTE:  # a clock that was set back first catches up
            rounds += 1
            self.now += 15 * MINUTE
            self.make(layout.tools(self.tools))
            self.sweep_now()
        self.all_needed_is_there()
        left = {path for path in self.everything() if not self.is_needed(path)}
        assert not left, f"nothing needs {sorted(map(str, left))}"

    # --- the volume --------------------------------------------------------------------------------

    def make(self, path: PurePosixPath) -> None:
        """Publish something, or use what is published: noted first, looked for then."""
        place = self.root / path
        with suppress(FileNotFoundError):
            os.utime(place, (self.now, self.now))
        if not place.exists():
            place.mkdir(parents=True)
            (place / layout.COMPLETE).write_text("x")
            os.utime(place, (self.now, self.now))

    def everything(self) -> set[PurePosixPath]:
        patterns = ("mirrors/*", "checkouts/*/*", "environments/*", "builds/*", "tools/*", "runs/*", "runs/*/[0-9]*")
        found = {path for pattern in patterns for path in self.root.glob(pattern)}
        return {PurePosixPath(path.relative_to(self.root)) for path in found}

    def needed(self) -> set[PurePosixPath]:
        """Return what has to be there: mounted by the living, used by the kept, served from."""
        needed = {layout.tools(self.tools)}
        for (kind, _), item in self.objects.items():
            if kind == "Pod" and item["status"]["phase"] == "Succeeded":
                continue
            needed |= item.get("needs", set())
        for request in self.requests.values():
            for run in request.kept() & set(request.uses):
                needed |= {*request.uses[run], layout.run(request.name, request.uid, run)}
        return needed

    def is_needed(self, path: PurePosixPath) -> bool:
        living = {layout.request(request.name, request.uid) for request in self.requests.values()}
        living |= {layout.mirror(request.repository) for request in self.requests.values()}
        living |= {
            layout.run(request.name, request.uid, 0) for request in self.requests.values()
        }  # what is before the first
        needed = self.needed()
        for run, uses in self.noted.items():  # a run that somebody still mounts is kept, with all that it uses
            needed |= uses if any(run in need.parents for need in needed) else frozenset()
        return path in living or any(path == need or path in need.parents or need in path.parents for need in needed)

    @invariant()
    def all_needed_is_there(self) -> None:
        if not hasattr(self, "root"):
            return
        for path in self.needed():
            assert (self.root / path).is_dir(), f"{path} is gone"
            if path.parts[0] in ("checkouts", "environments"):
                assert (self.root / path / layout.COMPLETE).exists(), f"{path} is not whole"

    # --- the users ---------------------------------------------------------------------------------

    @rule(name=st.sampled_from("ab"), repository=st.sampled_from(REPOSITORIES), keep=st.integers(1, 3))
    def ask(self, name: str, repository: str, keep: int) -> None:
        if name not in self.requests:
            self.requests[name] = Requested(name, repository, keep)
        else:
            self.requests[name].keep = min(keep, self.requests[name].keep)  # what was removed does not come back
        self.write_request(self.requests[name])

    def write_request(self, request: Requested) -> None:
        metadata = {"name": request.name, "uid": request.uid, "labels": {names.ROLE: names.ROLE_REQUEST}}
        data = {"repository": request.repository, "keep-runs": str(request.keep)}
        self.objects["ConfigMap", request.name] = {"kind": "ConfigMap", "metadata": metadata, "data": data}

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), forgotten=st.booleans())
    def delete(self, data: st.DataObject, *, forgotten: bool) -> None:
        """Delete a request; its pods may live on for a while, and the controller may die before it tidies up."""
        request = self.requests.pop(data.draw(st.sampled_from(sorted(self.requests))))
        self.passes.clear()
        names_of = (request.name, names.status_of(request.name), names.release_of(request.name))
        for key in [key for key, item in self.objects.items() if key[1] in names_of or item.get("of") == request.uid]:
            if key[0] != "Pod":
                del self.objects[key]
        if forgotten and not any(item.get("called") == request.name for item in self.objects.values()):
            self.volume.forget(request.name)

    # --- runs --------------------------------------------------------------------------------------

    @precondition(lambda self: any(not (a.record and a.record.active) for a in self.requests.values()))
    @rule(data=st.data(), commit=st.integers(1, 3), folder=st.sampled_from(("e1", "e2")))
    def start(self, data: st.DataObject, commit: int, folder: str) -> None:
        idle = sorted(name for name, request in self.requests.items() if not (request.record and request.record.active))
        self.passes.append(self.passing(self.requests[data.draw(st.sampled_from(idle))], f"{commit:040x}", folder))

    def passing(self, request: Requested, commit: str, folder: str) -> Iterator[None]:
        """Make the pass that begins a run, as the reconciler does, step by step."""
        run, environment = request.run + 1, Environment("environment", folder, ("train", "serve"))
        uses = frozenset({
            *(layout.mirror(request.repository), layout.checkout(request.repository, commit)),
            *(layout.environment(folder), layout.build(folder)),
        })  # fmt: skip
        for path in sorted(uses):
            self.make(path)
            yield
        self.make(layout.artifacts(request.name, request.uid, run))
        self.volume.keep_text(layout.uses(request.name, request.uid, run), documents.write_uses(uses))
        self.used(layout.run(request.name, request.uid, run))
        self.noted[layout.run(request.name, request.uid, run)] = uses
        yield
        spec = RunSpec(request.repository, commit, ".", "t", "i", environments=(environment,))
        before = request.record or Record(request_uid=request.uid)
        request.record = replace(before, run=run, spec=spec, finished="", phase="Running")
        request.run, request.uses[run] = run, uses
        self.report(request)
        yield
        yield from self.working(request)

    def working(self, request: Requested) -> Iterator[None]:
        """Make the objects of the active run."""
        if not request.record or not request.record.spec:
            return
        context = self.context(request)
        for path in sorted(request.uses[request.run]):
            self.make(path)
        build = f"builds-{request.uid}-{request.record.spec.environments[0].folder}"
        self.living(request, build, {"containers": [_builder()]}, environment=context.spec.environments[0].folder)
        yield
        self.objects.pop(("Pod", build), None)
        for stage in PIPELINE.stages.values():
            item = manifests.job(context, stage) if isinstance(stage.work, Batch) else self.deployment(context, stage)
            self.living(
                request, f"{item['metadata']['name']}-{request.run}-{request.uid}", item["spec"]["template"]["spec"]
            )
            yield

    def deployment(self, context: RunContext, stage: Stage) -> Object:
        item = manifests.deployment(context, stage)
        paths = _mounts(item["spec"]["template"]["spec"])
        self.volume.prepare(path for path in paths if path.is_relative_to(layout.RUNS))
        self.objects["Deployment", item["metadata"]["name"]] = {**item, "needs": paths, "of": context.uid}
        return item

    def living(self, request: Requested, name: str, spec: Object, environment: str = "") -> None:
        labels = {names.ENVIRONMENT: environment} if environment else {}
        needs = {layout.build(environment)} if environment else _mounts(spec)
        for path in needs:
            (self.root / path).mkdir(parents=True, exist_ok=True)
        pod = {"kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec, "needs": needs}
        self.objects["Pod", name] = {**pod, "of": request.uid, "called": request.name, "status": {"phase": "Running"}}

    def context(self, request: Requested) -> RunContext:
        assert request.record
        assert request.record.spec
        policy = Policy(namespace="n", image="i", claim="c", tools=self.tools)
        pipeline = replace(PIPELINE, name=request.name)
        return RunContext(request.name, request.uid, request.run, request.record.spec, pipeline, policy)

    def report(self, request: Requested) -> None:
        assert request.record
        self.objects["ConfigMap", names.status_of(request.name)] = statuses.manifest(
            request.name, request.uid, "n", request.record
        )

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), commit=st.integers(1, 3), folder=st.sampled_from(("e1", "e2")))
    def run_through(self, data: st.DataObject, commit: int, folder: str) -> None:
        """Let a run go by undisturbed, to its end or until all that it makes is there, and some time with it."""
        request = self.requests[data.draw(st.sampled_from(sorted(self.requests)))]
        self.restart(new=data.draw(st.booleans()))
        self.passes.clear()
        if request.record and request.record.active:
            self.finish(request, good=False, tidied=True, lives_on=False)
        for _ in self.passing(request, f"{commit:040x}", folder):
            pass
        outcome = data.draw(st.sampled_from(("good", "bad", "active")))
        tidied, lives_on = data.draw(st.booleans()), data.draw(st.booleans())
        if outcome != "active":
            self.finish(request, good=outcome == "good", tidied=tidied, lives_on=lives_on)
        self.wait(data.draw(st.sampled_from((1, 45))))

    @precondition(lambda self: self.passes)
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.passes))
        if next(one, self) is self:
            self.passes.remove(one)

    @precondition(lambda self: any(a.record and a.record.active for a in self.requests.values()))
    @rule(data=st.data(), good=st.booleans(), tidied=st.booleans(), lives_on=st.booleans())
    def end(self, data: st.DataObject, *, good: bool, tidied: bool, lives_on: bool) -> None:
        """End a run: a good one is released, a bad one rolled back; older pods may be on their way out still."""
        active = [name for name, request in self.requests.items() if request.record and request.record.active]
        self.passes.clear()
        self.finish(self.requests[data.draw(st.sampled_from(active))], good=good, tidied=tidied, lives_on=lives_on)

    def finish(self, request: Requested, *, good: bool, tidied: bool, lives_on: bool) -> None:
        assert request.record
        request.outcomes[request.run] = good
        past = PastRun(run=request.run, outcome="Succeeded" if good else "Failed")
        request.record = replace(request.record, finished="now", history=(past, *request.record.history), phase="Ready")
        name, release = names.service(request.name, "serve"), names.release_of(request.name)
        if good:
            request.record = replace(request.record, release_run=request.run)
            item = self.deployment(self.context(request), PIPELINE.stages["serve"])
            needs = _mounts(item["spec"]["template"]["spec"])
            self.objects["ConfigMap", release] = {**manifests.release(self.context(request), [item]), "needs": needs}
        elif released := self.objects.get(("ConfigMap", release)):
            item = manifests.release_objects(released)[0]
            paths = _mounts(item["spec"]["template"]["spec"])
            self.objects["Deployment", name] = {**copy.deepcopy(item), "needs": paths, "of": request.uid}
        else:
            self.objects.pop(("Deployment", name), None)
        self.report(request)
        if not lives_on:
            self.leave(request.uid)
        if tidied:
            mounted = {layout.run_in(path) for path in self.needed()}
            self.volume.keep_only(
                request.name, request.uid, frozenset(request.kept() | {run for run in mounted if run is not None})
            )

    def leave(self, uid: str) -> None:
        for key in [key for key, item in self.objects.items() if key[0] == "Pod" and item["of"] == uid]:
            del self.objects[key]

    @rule(ended=st.booleans())
    def pods_go(self, *, ended: bool) -> None:
        """Let pods end; those that did may stay visible."""
        for key in [key for key in self.objects if key[0] == "Pod"]:
            if ended:
                self.objects[key]["status"] = {"phase": "Succeeded"}
            else:
                del self.objects[key]

    # --- the controller ----------------------------------------------------------------------------

    @rule(new=st.booleans())
    def killed(self, *, new: bool) -> None:
        self.restart(new=new)

    def restart(self, *, new: bool) -> None:
        """Kill the controller in the middle of its passes; what comes next may be another version, with other tools."""
        self.passes = [
            self.working(request) for request in self.requests.values() if request.record and request.record.active
        ]
        if new:
            self.count += 1
            self.tools = f"{self.count:016x}"
            self.make(layout.tools(self.tools))

    @rule(what=st.sampled_from(("checkouts/a-1", "environments", "runs", "tools", "mirrors")))
    def leave_half(self, what: str) -> None:
        """Let something be killed in the middle of making a folder."""
        half = self.root / what / f".half-{uuid.uuid4().hex}"
        (half / "inner").mkdir(parents=True)
        for place in (half / "inner", half):
            os.utime(place, (self.now, self.now))

    @rule(minutes=st.sampled_from((1, 5, 16, 31, 45, 90)))
    def go_by(self, minutes: int) -> None:
        self.wait(minutes)

    def wait(self, minutes: int) -> None:
        if minutes > 5:  # no pass takes so long
            self.passes.clear()
        self.now += minutes * MINUTE
        self.make(layout.tools(self.tools))

    @rule(hours=st.sampled_from((-3, -1, 1, 24)))
    def set_clock(self, hours: int) -> None:
        self.passes.clear()
        self.latest = max(self.latest, self.now)
        self.now += hours * 60 * MINUTE
        self.make(layout.tools(self.tools))

    def used(self, path: PurePosixPath) -> None:
        os.utime(self.root / path, (self.now, self.now))

    @rule(data=st.data(), full=st.booleans())
    def sweep_amid(self, data: st.DataObject, *, full: bool) -> None:
        """Sweep; passes go on while its needs are listed."""

        def living() -> Paths:
            for _ in range(data.draw(st.integers(0, 4))):
                if self.passes:
                    self.step(data)
            found = sweep.references(list(self.objects.values()))
            for _ in range(data.draw(st.integers(0, 4))):
                if self.passes:
                    self.step(data)
            return found

        self.sweeper.sweep(living, sweep.FULL if full else sweep.CALM, self.now)

    @rule(moves=st.integers(0, 3), after=st.booleans())
    def sweep_killed(self, moves: int, *, after: bool) -> None:
        """Kill the controller at one of the sweep's renames, before or after it."""
        rename, done = Path.rename, list[Path]()

        def counted(self: Path, target: Path) -> Path:
            if len(done) == moves and not after:
                raise Killed
            moved = rename(self, target)
            if len(done) == moves:
                raise Killed
            done.append(target)
            return moved

        with suppress(Killed), patch.object(Path, "rename", counted):
            self.sweep_now()

    def sweep_now(self) -> None:
        self.sweeper.sweep(lambda: sweep.references(list(self.objects.values())), sweep.CALM, self.now)


def _mounts(spec: Object) -> set[PurePosixPath]:
    return {PurePosixPath(m["subPath"]) for c in spec["containers"] for m in c["volumeMounts"] if "subPath" in m}


def _builder() -> Object:
    return {"name": "stage", "volumeMounts": [{"name": "shared", "subPath": "builds", "mountPath": "/x"}]}


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=share(0.8),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a history is read as it is: to shrink one takes minutes
)
