"""Decisions alone: one request `iris`, objects and answers in dictionaries, no controller, cluster or volume.

What a decision asks for is answered at once; what it decides is recorded and carried out in the dictionaries. The facts
are read from the objects by the core, as the reconciler does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from controller.core import names
from controller.core.documents import run as runs
from controller.core.documents.codec import Answer, Good
from controller.core.documents.release import KINDS
from controller.core.errors import Invalid
from controller.core.facts import read_deployment, read_job
from controller.core.facts.owners import owner_uid
from controller.core.inputs import project as projects
from controller.core.inputs import request as requests
from controller.core.model import Cause, Environment, Object, Pipeline, ProjectTree, Record, RunSpec
from controller.core.plan import (
    Action,
    Create,
    Decision,
    Delete,
    Emit,
    Known,
    Needs,
    Notify,
    Observed,
    Poll,
    Publish,
    Refusal,
    Tidy,
    Write,
    decide,
    needs,
)
from controller.core.plan.needs import Build, Key, Need
from controller.reconciler.gather import read_project
from controller.reconciler.view import WRITTEN
from tests.support.byhand import request_of
from tests.support.world import POLICY, REPOSITORY, Clock, Projects

UID = "11111111-1111-1111-1111-111111111111"


@dataclass
class Desk:
    """One request and all that is known of it. `faults` are the answers to questions of these kinds."""

    source: Projects = field(default_factory=Projects)
    faults: dict[type, Exception] = field(default_factory=dict)
    holders: dict[Key, str] = field(default_factory=dict)
    live: dict[Key, Object] = field(default_factory=dict)  # Secrets and ConfigMaps
    refuse: dict[str, Refusal] = field(default_factory=dict)  # by the name of the object that is written
    clock: Clock = field(default_factory=Clock)
    record: Record = field(default_factory=lambda: Record(UID))
    found: Answer[Record] | None = None  # None: the record, whole
    objects: dict[Key, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)  # by the uid of their owner
    ended: dict[str, Cause | None] = field(default_factory=dict)
    environments: set[str] = field(default_factory=set)  # folders that are published
    specs: dict[int, RunSpec] = field(default_factory=dict)
    files: dict[int, runs.RunFile] = field(default_factory=dict)
    loaded: dict[str, tuple[ProjectTree, Pipeline]] = field(default_factory=dict)  # by commit
    letters: dict[str, str | None] = field(default_factory=dict)
    answers: list[str | None] = field(default_factory=list)  # to the next letters; ""
    poll: Poll | None = None
    questions: list[Need] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    configmap: Object = field(default_factory=dict)

    # --- people --------------------------------------------------------------------------------------

    def ask(self, **asked: str) -> None:
        """Create or update the request as `ByHand.ask` does."""
        self.configmap = request_of("iris", **{"repository": REPOSITORY, **asked})
        self.configmap["metadata"]["uid"] = UID

    def push(self, files: dict[str, str]) -> None:
        self.source.commits.append(files)

    # --- the cluster ---------------------------------------------------------------------------------

    def jobs(self) -> dict[str, Object]:
        return {name: item for (kind, name), item in self.objects.items() if kind == "Job"}

    def of_kind(self, kind: str) -> list[Object]:
        return [item for (other, _), item in self.objects.items() if other == kind]

    def end_job(self, name: str, exit_code: int = 0, message: str = "ended") -> None:
        """Let a Job end: a pod with its exit code and termination message, and the Job's condition."""
        good, job = exit_code == 0, self.objects["Job", name]
        said = json.dumps({"reason": "Completed" if good else "ExitCode", "message": message})
        state = {"terminated": {"exitCode": exit_code, "message": said}}
        self.pod(job, "Succeeded" if good else "Failed", state)
        kind = "Complete" if good else "Failed"
        self.objects["Job", name] = {**job, "status": {"conditions": [{"type": kind, "status": "True"}]}}
        if good and (folder := names.environment_of(job)):
            self.environments.add(folder)

    def roll_out(self, name: str = "iris--web") -> None:
        """Let a Deployment come up at its present generation."""
        live = self.objects["Deployment", name]
        self.pods.pop(live["metadata"]["uid"], None)
        counts = dict.fromkeys(("updatedReplicas", "replicas", "availableReplicas", "readyReplicas"), 1)
        self.objects["Deployment", name] = {**live, "status": {"observedGeneration": 10**6, **counts}}

    def break_down(self, name: str, message: str) -> None:
        """Let a Deployment's new pod end with the launcher's own exit code."""
        live = self.objects["Deployment", name]
        said = json.dumps({"reason": "StartupTimeout", "message": message})
        self.pod(live, "Running", {"terminated": {"exitCode": 121, "message": said}})
        self.objects["Deployment", name] = {**live, "status": {"observedGeneration": 10**6, "updatedReplicas": 1}}

    def pod(self, owner: Object, phase: str, state: Object) -> None:
        """Let the only pod of an object be in this phase, its container in this state."""
        metadata = {**owner["spec"]["template"]["metadata"], "name": "pod"}
        metadata["ownerReferences"] = [{"uid": owner["metadata"]["uid"], "controller": True}]
        status = {"phase": phase, "containerStatuses": [{"name": names.STAGE_CONTAINER, "state": state}]}
        self.pods[owner["metadata"]["uid"]] = {"metadata": metadata, "status": status}

    # --- a pass --------------------------------------------------------------------------------------

    def known(self) -> Known:
        try:
            return Known(requests.read(self.configmap), self.found or Good(self.record), poll=self.poll)
        except Invalid as invalid:
            found = self.found or Good(self.record)
            return Known(requests.identity(self.configmap), found, invalid.problems, poll=self.poll)

    def observed(self, refusals: tuple[Refusal, ...] = ()) -> Observed:
        pods = [*self.pods.values()]
        jobs = {name: read_job(job, pods) for name, job in self.jobs().items() if not names.environment_of(job)}
        mine = {key: item for key, item in self.objects.items() if owner_uid(item) == UID}
        return Observed(
            jobs=jobs,
            deployments={item["metadata"]["name"]: read_deployment(item, pods) for item in self.of_kind("Deployment")},
            serving={key: item for key, item in mine.items() if key[0] in KINDS},
            release=mine.get(("ConfigMap", "iris-release")),
            cronjob=mine.get(("CronJob", "iris")),
            ended={
                stage: cause for stage, cause in self.ended.items() if f"iris-{stage}-{self.record.run}" not in jobs
            },
            refusals=refusals,
            letters=self.letters,
        )

    def decide(self, observed: Observed) -> Decision:
        """Answer what is asked until there is a decision."""
        known, now = self.known(), self.clock()
        while isinstance(answer := decide(known, observed, POLICY, now), Needs):
            assert answer.questions
            assert observed.answers.keys().isdisjoint(answer.questions), "it asks for what it was answered"
            self.questions += answer.questions
            observed |= {question: self._answer(question) for question in answer.questions}
        again = decide(known, observed, POLICY, now)
        assert isinstance(again, Decision)
        assert (replace(again, error=None), repr(again.error)) == (replace(answer, error=None), repr(answer.error))
        return answer

    def pass_(self) -> Decision:
        """Decide, record and carry out, and once more with what was refused."""
        decision = self.decide(self.observed())
        if refusals := self._carry_out(decision):
            decision = self.decide(self.observed(refusals))
            self._carry_out(decision)
        elif decision.requeue_after != 0 and not decision.error and not self._wakes(decision):
            self._check_final(decision)
        return decision

    def _wakes(self, decision: Decision) -> bool:
        return any(isinstance(item, Notify) for item in decision.actions)  # once the letter is over

    def _check_final(self, decision: Decision) -> None:
        """Fail where another pass would go on, though records and Jobs are all that was written: that wakes nobody."""
        written = {item.manifest["kind"] for item in decision.actions if isinstance(item, Write)}
        if written <= {*WRITTEN}:
            questions = [*self.questions]
            again = self.decide(self.observed())
            acts = [item for item in again.actions if not isinstance(item, Emit)]  # the same news is sent once
            assert (again.record, acts) == (decision.record, [])
            self.questions = questions

    def settle(self) -> Record:
        """Make passes until one changes nothing; return the record."""
        for _ in range(60):
            before, record = dict(self.objects), self.record
            decision = self.pass_()
            if (
                not self._wakes(decision)
                and decision.requeue_after != 0
                and (before, record) == (self.objects, self.record)
            ):
                return self.record
        raise AssertionError(f"never settles: {self.actions[-10:]}")

    def passes(self, count: int, seconds: float = 0.0) -> Record:
        """Make so many passes, each after so many seconds, and settle."""
        for _ in range(count):
            self.clock.pass_(seconds)
            self.pass_()
        return self.settle()

    def finish_all(self) -> Record:
        """Let every Job succeed and every Deployment come up until the run is over."""
        for _ in range(60):
            if not self.settle().active:
                return self.record
            for name, job in self.jobs().items():
                if "status" not in job:
                    self.end_job(name)
            for deployment in self.of_kind("Deployment"):
                self.roll_out(deployment["metadata"]["name"])
        raise AssertionError("the run never ends")

    def news(self, reason: str) -> list[str]:
        """Return the messages of the Events of this reason, each once."""
        events = {item.key: item for item in self.actions if isinstance(item, Emit) and item.reason == reason}
        return [item.message for item in events.values()]

    def _carry_out(self, decision: Decision) -> tuple[Refusal, ...]:
        self.record, self.poll, self.found = decision.record, decision.poll, None
        if decision.outcome and decision.record.spec:
            self.specs[decision.record.run] = decision.record.spec
            self.files[decision.record.run] = runs.of_record("iris", decision.record, {}, {}, "")
        self.outcomes += filter(None, (decision.outcome, *decision.not_begun))
        self.actions += decision.actions
        return tuple(refusal for refusal in map(self._act, decision.actions) if refusal)

    def _act(self, action: Action) -> Refusal | None:
        match action:
            case Write(manifest, stage):
                key = manifest["kind"], manifest["metadata"]["name"]
                if refusal := self.refuse.get(key[1]):
                    return replace(refusal, stage=stage, about=key)
                before = self.objects.get(key, {}) if not isinstance(action, Create) else {}
                uid = before.get("metadata", {}).get("uid") or f"uid-{len(self.actions)}-{key[1]}"
                self.objects[key] = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}
            case Delete(kind, name, _):
                self.objects.pop((kind, name), None)
            case Tidy(kept):
                self.specs = {run: spec for run, spec in self.specs.items() if run in kept}
                self.files = {run: file for run, file in self.files.items() if run in kept}
            case Publish(folder):
                self.environments.add(folder)
            case Notify(letter):
                self.letters[letter.key] = self.answers.pop(0) if self.answers else ""
            case Emit():
                pass
            case _:
                assert_never(action)
        return None

    # --- answers -------------------------------------------------------------------------------------

    def _answer(self, question: Need) -> Any:
        try:
            return self.faults.get(type(question)) or self._looked_up(question)
        except Exception as error:  # noqa: BLE001 (of the source: any is an answer)
            return error

    def _looked_up(self, question: Need) -> Any:  # noqa: C901, PLR0911, PLR0912 (a case each)
        match question:
            case needs.Commit():
                return self.source.resolve(REPOSITORY, "")
            case needs.Project(repository, commit, path):
                if not self.source.published(repository, commit):
                    self.source.publish(repository, commit)
                if commit not in self.loaded:
                    tree = read_project(self.source, repository, commit, path)
                    self.loaded[commit] = tree, projects.load(tree)
                return self.loaded[commit]
            case needs.Contents(project=place):
                return self.source.contents(place.repository, place.commit, place.path)
            case needs.KeptSpec(run):
                return self.specs.get(run)
            case needs.KeptRun(run):
                return self.files.get(run, runs.RunFile())
            case needs.Live(kind, name):
                return self.objects.get((kind, name)) or self.live.get((kind, name))
            case needs.Environments():
                return self._environments(question), ()
            case needs.BuildOf(folder):
                job = self.objects.get(("Job", names.build(folder)))
                fact = read_job(job, [*self.pods.values()]) if job else None
                return Build(ready=folder in self.environments, job=fact)
            case needs.Holder(kind, name):
                return self.holders.get((kind, name), "")
            case needs.NewestRun(after):
                return after
            case needs.Sources() | needs.RunFolder() | needs.Inherited():
                return None
            case needs.Room():
                return "1 MiB of 1 GiB is free"
            case _:
                assert_never(question)

    def _environments(self, question: needs.Environments) -> tuple[Environment, ...]:
        found: dict[str, list[str]] = {}
        for stage, _ in question.bases:
            if lines := question.pipeline.stages[stage].requirements:
                found.setdefault(names.digest(repr(lines), 20), []).append(stage)
        labels = ("environment", "environment-2", "environment-3")
        return tuple(Environment(label, *item) for label, item in zip(labels, _pairs(found), strict=False))


def _pairs(found: Mapping[str, list[str]]) -> list[tuple[str, tuple[str, ...]]]:
    return [(folder, tuple(stages)) for folder, stages in found.items()]
