"""Whatever happens, in whatever order: the promises of a run hold.

Two requests live in one world with lagging caches. Users ask, change, repeat, cancel, suspend and delete, with all
three ways of overlapping; branches move and are pushed back; Jobs end, services come up or break; Git fails; the
controller is killed at any write and starts again.
"""

import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from controller.core import layout, manifests, names
from controller.core.documents import codec
from controller.core.documents import status as statuses
from controller.core.errors import Invalid, NotYet, Transient
from controller.core.facts.owners import owner_uid
from controller.core.facts.workloads import run_of
from controller.core.model import SUCCEEDED, Object, Record
from tests.support.byhand import KINDS
from tests.support.examples import share
from tests.support.world import REPOSITORY, World, project

REQUESTS = ("iris", "other")
FAULTS = (
    Transient("GitUnreachable", "git.example: no answer"),
    NotYet(5.0, "git is busy"),
    Invalid("RefNotFound", ["ref: no branch main"]),
)
DONE = ("Done", "Unchanged", "Reused", "Skipped")  # states of a stage that lets the next step open
KEYS = ("env", "suspend", "keep_runs", "deadline", "run_on_create", "poll", "schedule")
OVERLAPS = ("queue", "replace", "skip")
STEPS = st.lists(st.integers(1, 2), min_size=1, max_size=4)
REQUEST = st.sampled_from(REQUESTS)
ANY = st.integers(0, 1000)


def _scale(item: Object) -> None:
    if item["kind"] == "Deployment":
        item["spec"]["replicas"] = 0


def _break(item: Object) -> None:
    if item["kind"] == "Deployment":
        item["spec"]["template"]["spec"]["containers"][0].update(image="busybox", env=[])
    else:
        item["spec"].update(selector={"track": "canary"}, ports=[])


def _bare(item: Object) -> None:
    item["metadata"].update(annotations={}, labels={names.REQUEST: item["metadata"]["labels"][names.REQUEST]})


EDITS = (_scale, _break, _bare)


class Killed(BaseException):
    """The process is gone: no handler of ours may see it."""


class Story(RuleBasedStateMachine):
    """One world and all that can happen in it."""

    def __init__(self) -> None:
        super().__init__()
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (no disk has to be waited for)
        self.root = Path(tempfile.mkdtemp(prefix="coachwork-", dir=memory))
        self.fuse = 0  # so many more moments until the process dies; 0: never
        self.world = World(self.root, lagging=True, hook=self._burn)
        self.asked: dict[str, dict[str, str]] = {name: {} for name in REQUESTS}
        self.triggers = 0
        self.created: set[tuple[str, str]] = set()  # (uid of the request, Job)
        self.numbers: dict[str, int] = defaultdict(int)
        self.states: dict[tuple[str, int], dict[str, str]] = {}  # of the stages, by request and run
        self.unreleased: set[str] = set()  # requests whose release somebody has deleted

    def _burn(self, _verb: str, _moment: str) -> None:
        self.fuse -= 1
        if self.fuse == 0:
            raise Killed

    # --- users -------------------------------------------------------------------------------------

    @initialize(steps=STEPS, services=ANY)
    def begin(self, steps: list[int], services: int) -> None:
        self.push(steps, services)
        for name in REQUESTS:
            self._ask(name)

    @rule(steps=STEPS, services=ANY)
    def push(self, steps: list[int], services: int) -> None:
        """Push a project of so many stages in each step; the bits of `services` say which stages are services."""
        stages = iter("abcdefgh")
        dag = [[next(stages) for _ in range(count)] for count in steps]
        ports = {stage: 5000 + services % 3 for at, stage in enumerate("abcdefgh") if services >> at & 1}
        self.world.source.commits.append(project(" >> ".join(",".join(step) for step in dag), services=ports))

    def _ask(self, name: str, **annotations: str) -> None:
        asked = {"repository": REPOSITORY, "project_name": name, **self.asked[name]}
        self.world.cluster.ask(name, **asked, **annotations)

    @rule(name=REQUEST)
    def trigger(self, name: str) -> None:
        self.triggers += 1
        self._ask(name, trigger=f"t{self.triggers}")

    @rule(name=REQUEST, key=st.sampled_from(KEYS), value=ANY)
    def change(self, name: str, key: str, value: int) -> None:
        choices = {
            "env": "12",
            "suspend": ["true", "false"],
            "keep_runs": "1x",
            "deadline": ["1h", "9m"],
            "poll": ["30s", "10m"],
            "schedule": ["@daily", "nonsense"],
        }
        self.asked[name] = {**self.asked[name], key: choices.get(key, ["true", "false"])[value % 2]}
        self._ask(name)

    @rule(name=REQUEST, run=st.integers(1, 4))
    def repeat(self, name: str, run: int) -> None:
        self.triggers += 1
        self._ask(name, trigger=f"t{self.triggers}", at_rerun=f"t{self.triggers} {run}")

    @rule(name=REQUEST, wish=st.sampled_from(["from", "only"]), stage=st.sampled_from("abcdz"), run=st.integers(0, 4))
    def part(self, name: str, wish: str, stage: str, run: int) -> None:
        """Ask for a part, of a kept run or of the last; neither that run nor that stage need be there."""
        self.triggers += 1
        trigger = f"t{self.triggers}"
        self._ask(
            name, trigger=trigger, **{f"at_{wish}": f"{trigger} {stage}"}, at_rerun=f"{trigger} {run}" * bool(run)
        )

    @rule(name=REQUEST, how=st.sampled_from(OVERLAPS))
    def overlap(self, name: str, how: str) -> None:
        self.asked[name] = {**self.asked[name], "on_overlap": how}
        self._ask(name)

    @rule(name=REQUEST)
    def cancel(self, name: str) -> None:
        self._ask(name, cancel=str(self.numbers[self._uid(name)]))

    @rule(name=REQUEST, kind=st.sampled_from(["Job", "Deployment", "Service"]), which=ANY)
    def delete(self, name: str, kind: str, which: int) -> None:
        if found := self._owned(name, kind):
            self.world.cluster.remove(kind, found[which % len(found)]["metadata"]["name"])

    @rule(name=REQUEST, kind=st.sampled_from(["Deployment", "Service"]), which=ANY, change=st.sampled_from(EDITS))
    def edit(self, name: str, kind: str, which: int, change: Callable[[Object], None]) -> None:
        if found := self._owned(name, kind):
            self.world.cluster.edit(kind, found[which % len(found)]["metadata"]["name"], change)

    @rule(name=REQUEST, which=ANY, ends=st.sampled_from([None, 0, 3]))
    def delete_at_work(self, name: str, which: int, ends: int | None) -> None:
        """Let a Job that the controller has just made begin, or even end, and delete it."""
        self.pass_(name, fresh=True, fuse=0)
        running = [job for job in self._owned(name, "Job") if "status" not in job]
        if running:
            job = running[which % len(running)]
            self._begin(job, ends)
            self.world.cluster.remove("Job", job["metadata"]["name"])

    @rule(name=REQUEST)
    def delete_the_record(self, name: str) -> None:
        self.world.cluster.remove("ConfigMap", names.status_of(name))

    @rule(name=REQUEST)
    def delete_the_release(self, name: str) -> None:
        self.world.cluster.remove("ConfigMap", names.release_of(name))
        self.unreleased.add(name)

    @rule(name=REQUEST)
    def delete_and_make_again(self, name: str) -> None:
        self.world.cluster.remove("ConfigMap", name)
        self._ask(name)

    # --- the cluster ---------------------------------------------------------------------------------

    def _owned(self, name: str, kind: str) -> list[Object]:
        return [item for item in self.world.cluster.of_kind(kind) if owner_uid(item) == self._uid(name)]

    def _uid(self, name: str) -> str:
        return str(self.world.cluster.stored["ConfigMap", name]["metadata"]["uid"])

    @rule(name=REQUEST, which=ANY, ends=st.sampled_from([None, 0, 0, 3]))
    def work(self, name: str, which: int, ends: int | None) -> None:
        """Let a Job's script begin (its log is there), and end with this exit code."""
        running = [job for job in self._owned(name, "Job") if "status" not in job]
        if not running:
            return
        job = running[which % len(running)]
        self._begin(job, ends)
        if ends is not None:
            self.world.cluster.end_job(job, ends)

    def _begin(self, job: Object, ends: int | None) -> None:
        logs = self._logs(job)
        (logs / "1.log").write_text("hello")
        if ends is not None:
            (logs / "1.json").write_text(f'{{"exit_code": {ends}, "message": "ended"}}')

    def _logs(self, job: Object) -> Path:
        mounts = job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        return self.root / str(next(item["subPath"] for item in mounts if item["mountPath"] == str(layout.IN_LOGS)))

    @rule(name=REQUEST, which=ANY, good=st.booleans())
    def roll_out(self, name: str, which: int, good: bool) -> None:
        if found := self._owned(name, "Deployment"):
            one = found[which % len(found)]
            if good:
                self.world.cluster.roll_out(one)
            else:
                self.world.cluster.break_down(one, "nothing listens")

    @rule(kinds=st.sets(st.sampled_from(KINDS)))
    def hear(self, kinds: set[str]) -> None:
        self.world.cluster.sync(*kinds)

    @rule(head=ANY)
    def push_back(self, head: int) -> None:
        self.world.source.head = head % (len(self.world.source.commits) + 1)

    @rule(fault=st.sampled_from([None, *FAULTS]))
    def git(self, fault: Exception | None) -> None:
        self.world.source.fault = fault

    @rule(seconds=st.sampled_from([1, 60, 600, 4000]))
    def wait(self, seconds: int) -> None:
        self.world.clock.pass_(seconds)

    # --- the controller ------------------------------------------------------------------------------

    @rule(name=REQUEST, fresh=st.booleans(), fuse=st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 6]))
    def pass_(self, name: str, fresh: bool, fuse: int) -> None:
        if fresh:
            self.world.cluster.sync()
        before = len(self.world.cluster.writes)
        self.fuse = fuse
        try:
            self.world.pass_(name)
        except Killed:
            self.world.restart()
        finally:
            self.fuse = 0
        for verb, kind, written in self.world.cluster.writes[before:]:
            self._judge(name, verb, kind, written)

    @precondition(lambda self: self.world.source.commits)
    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule(name=REQUEST, passes=st.integers(1, 4))
    def go_on(self, name: str, passes: int) -> None:
        """Let everything go well for a while, so that stories get somewhere."""
        for _ in range(passes):
            self.pass_(name, fresh=True, fuse=0)
            for which in range(len(self._owned(name, "Job"))):
                self.work(name, which, 0)
            for which in range(len(self._owned(name, "Deployment"))):
                self.roll_out(name, which, good=True)

    # --- the promises --------------------------------------------------------------------------------

    def _judge(self, name: str, verb: str, kind: str, written: str) -> None:
        assert re.match(rf"{name}(-|\.|$)", written), f"a pass over {name} wrote {kind} {written}"
        kept = self._record(name)
        if kept is None:
            return
        assert kept.run >= self.numbers[kept.request_uid], "run numbers go up"
        self.numbers[kept.request_uid] = kept.run
        self._judge_reuse(kept)
        if verb == "create" and kind == "Job":
            self._judge_job(kept, self.world.cluster.stored.get(("Job", written)), written)
        live = self.world.cluster.stored.get((kind, written))
        if verb in {"create", "apply"} and kind == "Deployment" and kept.active and live and run_of(live) == kept.run:
            self._judge_order(kept, written.removeprefix(f"{name}--"))

    def _judge_reuse(self, kept: Record) -> None:
        assert kept.spec or not kept.stages
        before = self.states.get((kept.request_uid, kept.spec.base), {}) if kept.spec else {}
        builds = {item.name for item in kept.spec.environments} if kept.spec else {}
        for stage, told in kept.stages.items():
            if told.state == "Reused" and stage not in builds:
                assert before.get(stage) in SUCCEEDED, f"{stage} of run {kept.run} was {before.get(stage)}"
        self.states[kept.request_uid, kept.run] = {stage: told.state for stage, told in kept.stages.items()}

    def _judge_job(self, kept: Record, job: Object | None, name: str) -> None:
        stage, _, run = name.partition("-")[2].rpartition("-")
        assert int(run) == kept.run, f"{name} is not of run {kept.run}"
        assert kept.active, f"{name} was created though run {run} is over"
        self._judge_order(kept, stage)
        if (kept.request_uid, name) in self.created:
            assert job
            assert not list(self._logs(job).glob("*.log")), f"{name} ran and was created again"
        self.created.add((kept.request_uid, name))

    def _judge_order(self, kept: Record, stage: str) -> None:
        assert kept.spec
        text = self.world.source.commits[int(kept.spec.commit, 16) - 1]["bodywork.ini"]
        steps = [step.replace(" ", "").split(",") for step in text.rpartition("=")[2].strip().split(">>")]
        at = next(number for number, step in enumerate(steps) if stage in step)
        early = [other for step in steps[:at] for other in step if kept.stages[other].state not in DONE]
        assert not early, f"{stage} was opened before {early} were done"

    def _record(self, name: str) -> Record | None:
        uid = self._uid(name)
        status = self.world.cluster.stored.get(("ConfigMap", names.status_of(name)))
        if status and owner_uid(status) == uid:
            return codec.honoured(statuses.read(status["data"], uid))
        return codec.honoured(statuses.read_copy(self.world.volume.read_document(layout.record(name, uid)), uid))

    # --- the end ---------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if self.world.source.commits:
                self._end()
        finally:
            shutil.rmtree(self.root)

    def _end(self) -> None:
        """Once the world cooperates every run ends, and what serves is what was released."""
        self.world.source.fault = None
        self.world.cluster.collect()  # a stale pass may have made objects of a request that was gone by then
        self.world.restart()
        for name in REQUESTS:
            kept = self._finish(name)
            assert not kept.active
            assert not kept.queued
            self._judge_rest(name, kept)
            self._judge_request(name, kept)

    def _finish(self, name: str) -> Record:
        for _ in range(60):
            writes = len(self.world.cluster.writes)
            kept = self.world.settle(name)
            for job in self._owned(name, "Job"):
                if "status" not in job:
                    self.world.cluster.end_job(job)
            for deployment in self._owned(name, "Deployment"):
                self.world.cluster.roll_out(deployment)
            if not kept.active and len(self.world.cluster.writes) == writes:
                return kept
        raise AssertionError(f"never comes to rest: {kept}")

    def _judge_request(self, name: str, kept: Record) -> None:
        """What was asked for last is handled, and the CronJob is as a valid request says."""
        configmap = self.world.cluster.stored["ConfigMap", name]
        trigger = configmap["metadata"]["annotations"].get(names.TRIGGER)
        assert trigger is None or trigger in kept.handled
        if kept.reason != "InvalidRequest":
            assert [item["spec"]["schedule"] for item in self._owned(name, "CronJob")] == [
                value for key, value in configmap["data"].items() if key == "schedule"
            ]

    def _judge_rest(self, name: str, kept: Record) -> None:
        """Of a release that somebody deleted nobody knows any more as of which run an unchanged service was applied."""
        essence = _digest if name in self.unreleased else _essence
        live = {
            (kind, item["metadata"]["name"]): essence(item)
            for kind in ("Deployment", "Service")
            for item in self._owned(name, kind)
        }
        release = self.world.cluster.stored.get(("ConfigMap", names.release_of(name)))
        if release:
            released = manifests.release_objects(release)
            assert not released or run_of(release) == kept.release_run, (run_of(release), kept)
            assert live == {(item["kind"], item["metadata"]["name"]): essence(item) for item in released}
        for job in self._owned(name, "Job"):
            assert run_of(job) == kept.run
            assert "status" in job


def _digest(item: Object) -> Any:
    return item["metadata"]["annotations"].get(names.DIGEST)


def _essence(item: Object) -> Any:
    metadata = item["metadata"]
    return item["spec"], metadata["labels"], _digest(item)  # somebody may have taken it off


TestStory = Story.TestCase
TestStory.settings = settings(deadline=None, max_examples=share(0.25), stateful_step_count=40)
