"""Which first stages of a run are taken from the last good one: batch stages whose inputs are what they were (REUSE).

A stage that was reused because of that ran with what that run had. One that somebody reused by hand ran with what an
earlier run had. What nobody knows any more counts as changed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from controller.core import images
from controller.core.errors import Invalid
from controller.core.model import Batch, Pipeline, Record, RunSpec, StageRecord
from controller.core.plan.decision import Observed
from controller.core.plan.needs import Contents, KeptRun, KeptSpec, Live, Project
from controller.core.text import clean

SHOWN = 200  # characters of an input's name
Input = tuple[str, str]  # of what kind, of which name


@dataclass(frozen=True, slots=True)
class Making:
    """What the stages of a run are made of: its spec, its project, and what the project's files hold."""

    spec: RunSpec
    pipeline: Pipeline
    files: Mapping[str, str]


def taken(
    record: Record, spec: RunSpec, pipeline: Pipeline, files: Mapping[str, str], observed: Observed
) -> tuple[RunSpec, dict[str, StageRecord]]:
    """Return what a run is started with, and the records that it begins with: Waiting, or Reused.

    Up to the first step with a stage that has to run; in that step, what has not changed is reused, too.
    """
    good, stages = record.release_run, {name: StageRecord() for step in pipeline.steps for name in step}
    if not good:
        return spec, stages
    spec = replace(spec, secrets=_versions(pipeline, observed))
    numbers = {name: entry.metrics for name, entry in observed.ask(KeptRun(good)).stages.items()}
    why, before = dict[str, str](), ""
    for step in pipeline.steps:
        batch = [name for name in step if isinstance(pipeline.stages[name].work, Batch)]
        changes = {name: before or _change(Making(spec, pipeline, files), name, good, observed) for name in batch}
        for name, change in changes.items():
            why[name] = f"not reused: {change}" if change else f"no input has changed since run {good}"
            if not change:
                stages[name] = StageRecord(state="Reused", metrics=numbers.get(name, {}))
        running = [name for name in step if stages[name].state == "Waiting"]
        before = before or (f"stage {running[0]} runs before it" if running else "")
    reused = [name for name, stage in stages.items() if stage.state == "Reused"]
    had = {secret.secret for name in reused for secret in pipeline.stages[name].secrets}
    kept = tuple((name, version) for name, version in spec.secrets if name in had)
    return replace(spec, secrets=kept, base=good if reused else 0, reuse=tuple(why.items())), stages


def _versions(pipeline: Pipeline, observed: Observed) -> tuple[tuple[str, str], ...]:
    """Return the versions of the Secrets of batch stages, "" for one that is not there."""
    batch = (stage for stage in pipeline.stages.values() if isinstance(stage.work, Batch))
    secrets = sorted({secret.secret for stage in batch for secret in stage.secrets})
    observed.require(*(Live("Secret", name) for name in secrets))
    there = {name: observed.ask(Live("Secret", name)) for name in secrets}
    return tuple((name, item["metadata"].get("resourceVersion", "")) for name, item in there.items() if item)


def _change(now: Making, name: str, good: int, observed: Observed) -> str:
    """Return what has changed of a stage's inputs since they last went into run `good`, "" for nothing."""
    run = _origin(name, good, observed)
    then = _then(run, now, observed) if run else f"run {good} did not run it, or no longer says with what"
    if isinstance(then, str):
        return then
    old, new = dict(_inputs(then, name)), dict(_inputs(now, name))
    differing = [item for item in dict.fromkeys([*new, *old]) if old.get(item) != new.get(item)]
    if not differing:
        return ""
    first, more = differing[0], len(differing) - 1
    verb = "is new" if first not in old else "is gone" if first not in new else "has changed"
    others = f" (and {more} more)" if more else ""
    return f"{clean(' '.join(filter(None, first)), SHOWN)} {verb} since run {run}{others}"


def _then(run: int, now: Making, observed: Observed) -> Making | str:
    """Return what the stages of a run were made of, or why that can't be compared."""
    try:
        spec = observed.ask(KeptSpec(run))
        if spec is None:
            return f"run {run} is not kept"
        if (spec.repository, spec.path) != (now.spec.repository, now.spec.path):
            return f"the project of run {run} was elsewhere"
        project = Project(spec.repository, spec.commit, spec.path, spec.image)
        _, pipeline = observed.ask(project)
        return Making(spec, pipeline, observed.ask(Contents(project))) if pipeline.reuse else f"run {run} had no REUSE"
    except Invalid:
        return f"the commit of run {run} can't be read any more"


def _origin(name: str, run: int, observed: Observed) -> int:
    """Return the run that says what a stage of this run, which was reused there or ran, ran with; 0: none does."""
    while run:
        file = observed.ask(KeptRun(run))
        state = file.stages[name].state if name in file.stages else ""
        if state == "Done" or (state == "Reused" and name in dict(file.reuse)):
            return run
        run = file.base if state == "Reused" and file.base < run else 0
    return 0


def _inputs(making: Making, name: str) -> Iterator[tuple[Input, str]]:
    """Yield all that goes into what a stage makes: what differs in none of it would be made again as it is."""
    spec, pipeline = making.spec, making.pipeline
    stage = pipeline.stages.get(name)
    if stage is None or not isinstance(stage.work, Batch):
        return
    before = pipeline.steps[: next(at for at, step in enumerate(pipeline.steps) if name in step)]
    environment = next((item.folder for item in spec.environments if name in item.stages), "")
    yield ("", "EXECUTABLE_SCRIPT"), f"{stage.folder}/{stage.script}"
    left_out = tuple(f"{path}/" for path in stage.left_out)
    for path, content in making.files.items():
        if not f"{path}/".startswith(left_out):
            yield ("", path), content
    for variable, value in {**dict(stage.env), **dict(spec.env), **dict(spec.parameters)}.items():
        yield ("variable", variable), value
    yield ("variable", "COACHWORK_PROJECT"), spec.project_name or pipeline.name
    for secret in stage.secrets:
        yield ("secret", secret.variable), f"{secret.secret} {secret.key} {dict(spec.secrets).get(secret.secret, '')}"
    yield ("", "args"), repr(stage.args)
    yield ("the order of", "steps before it"), repr([sorted(step) for step in before])
    yield ("the stage's", "environment"), environment
    yield ("the stage's", "image"), images.of_stage(spec, pipeline, name)
    yield ("", "GPU"), str(stage.resources.gpu)
    yield ("", "REQUIRE"), repr([(item.name, item.operator, item.text) for item in stage.work.require])
    if parallel := stage.parallel:
        yield ("", "PARALLEL"), f"{parallel.count} {parallel.each!r} {parallel.peers}"
    yield ("the pod", "template"), spec.pod_template
