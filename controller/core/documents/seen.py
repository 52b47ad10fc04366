"""A record as a command reads it: from another release of the controller as well, so what is unknown is passed over.

The planner's own reading (`core/documents/record.py`) is strict, since it acts on what it reads. Here nothing is
refused, and nothing is believed: texts are shown escaped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar, cast

import yaml

from controller.core.inputs import checks
from controller.core.model import PastRun, Phase, Record, RunSpec, StageRecord

Form = TypeVar("Form", PastRun, RunSpec, StageRecord)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TEXT_LIMIT = 2048  # characters; what the controller writes is half as long
_NO_SPEC = RunSpec(repository="", commit="", path=".", tree="", image="")
_NO_RUN = PastRun()
_NO_STAGE = StageRecord()

Course = Literal["unseen", "waiting", "running", "over"]


def record(data: Mapping[str, str], uid: str) -> Record:
    """Give the record that a NAME-status holds about the request of this uid; an empty one where it holds another's."""
    if data.get("request-uid") != uid:
        return Record(request_uid=uid)
    spec = _loaded(data, "run-spec")
    stages, history = _loaded(data, "stages"), _loaded(data, "history")
    handled = _loaded(data, "handled-triggers")
    run = _number(data.get("run"))
    return Record(
        request_uid=uid,
        phase=cast("Phase", _shown(data.get("phase", "Pending"))),
        reason=_shown(data.get("reason", "")),
        message=_shown(data.get("message", "")),
        problems=tuple(map(_shown, data.get("problems", "").split("\n"))) if data.get("problems") else (),
        run=run,
        step=_number(data.get("run-step")),
        spec=replace(_formed(_NO_SPEC, spec), commit=_shown(data.get("run-commit", ""))) if run and spec else None,
        ref=_shown(data.get("ref", "")),
        started=_shown(data.get("started", "")),
        finished=_shown(data.get("finished", "")),
        stages={_shown(str(name)): _stage(stage) for name, stage in stages.items()} if isinstance(stages, dict) else {},
        handled=tuple(_shown(str(item)) for item in handled) if isinstance(handled, list) else (),
        queued=_shown(data.get("queued-trigger", "")),
        finished_trigger=_shown(data.get("finished-trigger", "")),
        release_run=_number(data.get("release-run")),
        release_commit=_shown(data.get("release-commit", "")),
        poll_problem=_shown(data.get("poll-problem", "")),
        schedule_problem=_shown(data.get("schedule-problem", "")),
        history=tuple(_formed(_NO_RUN, past) for past in history) if isinstance(history, list) else (),
    )


@dataclass(frozen=True, slots=True)
class Fate:
    """What has become of a trigger. `past` is its line of the history, if it is over and the history still has it."""

    course: Course
    past: PastRun | None = None


def fate(kept: Record, trigger: str) -> Fate:
    """Give what the record says of a trigger. Over without a line: nothing was started for it, or it is long ago."""
    if kept.active and kept.spec and kept.spec.trigger == trigger:
        return Fate("running")
    past = next((past for past in kept.history if past.trigger == trigger), None)
    if past:
        return Fate("over", past)
    if kept.queued == trigger:
        return Fate("waiting")
    if trigger == kept.finished_trigger or trigger in kept.handled:
        return Fate("over")
    return Fate("unseen")


def good_run(kept: Record) -> int:
    """Give the number of the newest run that succeeded, 0 if none is known."""
    found = next((past.run for past in kept.history if past.run and past.outcome == "Succeeded"), 0)
    return max(found, kept.release_run)


def _stage(stage: Any) -> StageRecord:
    objects = stage.get("objects") if isinstance(stage, dict) else None
    known = tuple(_shown(str(item)) for item in objects) if isinstance(objects, list) else ()
    return replace(_formed(_NO_STAGE, stage), objects=known)


def _formed(empty: Form, values: Any) -> Form:
    """Give the form with those texts and numbers among `values` that it knows, and that are of its kind."""
    given = values if isinstance(values, dict) else {}
    plain = [item.name for item in fields(empty) if isinstance(getattr(empty, item.name), str | int)]
    fitting = {name: given[name] for name in plain if type(given.get(name)) is type(getattr(empty, name))}
    shown: dict[str, Any] = {name: _shown(item) if isinstance(item, str) else item for name, item in fitting.items()}
    return replace(empty, **shown)


def _shown(text: str) -> str:
    """Give a text of the record as it may stand on a terminal. What the controller writes is printable already."""
    return checks.printable(text, TEXT_LIMIT)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004


def _loaded(data: Mapping[str, str], key: str) -> Any:
    try:
        return yaml.load(data[key], Loader=_Loader) if data.get(key) else None  # noqa: S506 (a safe loader, the C one)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
