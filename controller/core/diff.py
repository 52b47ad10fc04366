"""What changed between two runs: the answer to "it was good on Monday, what is different?".

A part that a run of another release does not have is compared as nothing, never refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.core import numbers, times
from controller.core.documents.run import RunFile

DIGITS = 12  # of a number
PLAIN = ("repository", "ref", "path", "commit", "image", "controller")


@dataclass(frozen=True, slots=True)
class ChangedValue:
    """One difference: of what kind, of which name ("" for the run's own), from what to what ("": absent)."""

    kind: str
    name: str
    before: str
    after: str
    stages: tuple[str, ...] = ()  # that it is about, where it is not about the whole run


@dataclass(frozen=True, slots=True)
class StageRun:
    """How a stage went in one run. `seconds` None where it never started or never ended."""

    state: str
    reason: str = ""
    message: str = ""
    attempts: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between two runs, and how each stage went in either (None: it was not there)."""

    changes: tuple[ChangedValue, ...]
    stages: Mapping[str, tuple[StageRun | None, StageRun | None]]


def compare(before: RunFile, after: RunFile) -> Difference:
    """Return what differs between two runs."""
    earlier, later = _stages(before), _stages(after)
    both = [name for name in earlier if name in later]
    digests = [{name: {"": digest} for name, digest in run.image_digests.items() if digest} for run in (before, after)]
    known = [name for name in both if all(name in found for found in digests)]  # one that was left alone has none
    changes = [
        *_texts("", *({key: getattr(run, key) for key in PLAIN} for run in (before, after))),
        *_texts("image of stage", before.images, after.images),
        *_texts("parameter", dict(before.parameters), dict(after.parameters)),
        *_texts("variable", before.env, after.env),
        *_texts("secret", _secrets(before), _secrets(after)),
        *_gathered("image digest", known, *digests),
        *_gathered("package", both, _packages(before), _packages(after)),
        *_gathered("number", both, _numbers(before), _numbers(after)),
    ]
    stages = {name: (earlier.get(name), later.get(name)) for name in {**earlier, **later}}
    return Difference(tuple(changes), stages)


def _texts(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[ChangedValue]:
    """Yield a change for each name whose text differs; without a kind, the name is the kind."""
    for name in {**before, **after}:
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            yield ChangedValue(kind or name, name if kind else "", old, new)


def _gathered(
    kind: str, both: Iterable[str], before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> Iterable[ChangedValue]:
    """Yield each change once, with all those of the stages of both runs that it is about."""
    stages: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for stage in both:
        for change in _texts(kind, before.get(stage, {}), after.get(stage, {})):
            stages[change.name, change.before, change.after].append(stage)
    for (name, old, new), about in sorted(stages.items()):
        yield ChangedValue(kind, name, old, new, tuple(about))


def _secrets(run: RunFile) -> dict[str, str]:
    """Return the version of each Secret: never its value, which no run holds."""
    return {secret.name: f"version {secret.resource_version}" for secret in run.secrets}


def _packages(run: RunFile) -> dict[str, Mapping[str, str]]:
    """Return the packages of each stage: environments are numbered in each run, stages keep their names."""
    return {stage: item.packages for item in run.environments for stage in item.stages or [item.name]}


def _numbers(run: RunFile) -> dict[str, Mapping[str, str]]:
    """Return the numbers of each stage, with as many digits as tell two of them apart."""
    return {
        stage: {name: numbers.shown(value, DIGITS) for name, value in entry.metrics.items()}
        for stage, entry in run.stages.items()
    }


def _stages(run: RunFile) -> dict[str, StageRun]:
    """Return the stages in the order in which they began; those that did not are last."""
    found = {}
    for name, stage in sorted(run.stages.items(), key=lambda item: item[1].started or "~"):
        took = times.seconds(stage.started, stage.finished)
        found[name] = StageRun(stage.state, stage.reason, stage.message, stage.tries, took)
    return found
