"""What changed between two runs, from their run.json: the answer to "it was good on Monday, what is different?".

Reads what other releases wrote as well: a part that a run does not tell is compared as nothing, never refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.core import times

PLAIN = ("repository", "ref", "path", "commit", "image", "controller")


@dataclass(frozen=True, slots=True)
class Change:
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

    changes: tuple[Change, ...]
    stages: Mapping[str, tuple[StageRun | None, StageRun | None]]


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Give what differs between two runs' run.json."""
    earlier, later = _stages(before), _stages(after)
    both = [name for name in earlier if name in later]
    changes = [
        *_texts("", {key: _plain(before, key) for key in PLAIN}, {key: _plain(after, key) for key in PLAIN}),
        *_texts("image of stage", _pairs(before, "images"), _pairs(after, "images")),
        *_texts("parameter", _pairs(before, "parameters"), _pairs(after, "parameters")),
        *_texts("variable", _pairs(before, "env"), _pairs(after, "env")),
        *_texts("secret", _secrets(before), _secrets(after)),
        *_gathered("image digest", _told_of(both, before, after), _digests(before), _digests(after)),
        *_gathered("package", both, _packages(before), _packages(after)),
    ]
    stages = {name: (earlier.get(name), later.get(name)) for name in {**earlier, **later}}
    return Difference(tuple(changes), stages)


def _texts(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[Change]:
    """Give a change for each name whose text differs; without a kind, the name is the kind."""
    for name in {**before, **after}:
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            yield Change(kind or name, name if kind else "", old, new)


def _gathered(
    kind: str, both: Iterable[str], before: Mapping[str, dict[str, str]], after: Mapping[str, dict[str, str]]
) -> Iterable[Change]:
    """Give each change once, with all those of the stages of both runs that it is about."""
    stages: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for stage in both:
        for change in _texts(kind, before.get(stage, {}), after.get(stage, {})):
            stages[change.name, change.before, change.after].append(stage)
    for (name, old, new), about in sorted(stages.items()):
        yield Change(kind, name, old, new, tuple(about))


def _plain(run: Mapping[str, Any], key: str) -> str:
    value = run.get(key)
    return str(value) if isinstance(value, str | int | float) else ""


def _pairs(run: Mapping[str, Any], key: str) -> dict[str, str]:
    """Give pairs that are written as a mapping, or as a list of two each."""
    value = run.get(key)
    if isinstance(value, list):
        value = {str(item[0]): item[1] for item in value if isinstance(item, list) and len(item) == 2}  # noqa: PLR2004
    return {str(name): str(text) for name, text in _mapping(value).items()}


def _secrets(run: Mapping[str, Any]) -> dict[str, str]:
    """Give the version of each Secret: never its value, which no run tells."""
    return {
        str(item["name"]): f"version {item.get('resource_version', '?')}"
        for item in _list(run.get("secrets"))
        if isinstance(item, dict) and "name" in item
    }


def _digests(run: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Give the image that each stage's node reported."""
    return {stage: {"": digest} for stage, digest in _pairs(run, "image_digests").items() if digest}


def _told_of(both: Iterable[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Give the stages whose image is known of both runs: one that was left alone tells none."""
    known = _digests(before).keys() & _digests(after).keys()
    return [stage for stage in both if stage in known]


def _packages(run: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Give the packages of each stage: environments are numbered anew in each run, stages keep their names."""
    found: dict[str, dict[str, str]] = {}
    for item in _list(run.get("environments")):
        environment = _mapping(item)
        packages = {str(name): str(version) for name, version in _mapping(environment.get("packages")).items()}
        stages = _list(environment.get("stages")) or [environment.get("name", "")]
        found |= {str(stage): packages for stage in stages}
    return found


def _stages(run: Mapping[str, Any]) -> dict[str, StageRun]:
    """Give the stages in the order in which they began; those that did not are last."""
    told = {str(name): _mapping(stage) for name, stage in _mapping(run.get("stages")).items()}
    order = sorted(told, key=lambda name: str(told[name].get("started") or "~"))
    return {name: _stage(told[name]) for name in order}


def _stage(stage: Mapping[str, Any]) -> StageRun:
    attempts = stage.get("attempts")
    return StageRun(
        state=str(stage.get("state", "")),
        reason=str(stage.get("reason", "")),
        message=str(stage.get("message", "")),
        attempts=len(attempts) if isinstance(attempts, list) else attempts if isinstance(attempts, int) else 0,
        seconds=seconds(str(stage.get("started", "")), str(stage.get("finished", ""))),
    )


def seconds(started: str, finished: str) -> float | None:
    """Give the time between two points in time (RFC 3339), None where one is missing or none."""
    start, end = times.moment(started), times.moment(finished)
    return max((end - start).total_seconds(), 0.0) if start and end else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
