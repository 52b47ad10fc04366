"""The record of one request as the flat data of its NAME-status ConfigMap, and back.

Flat keys are for `kubectl` (jsonpath, wait); the keys that hold YAML are for people and for the planner. A record that
somebody wrote over is no record, and is not even parsed: the copy on the volume, or nothing, stands in for it. What a
newer version wrote is kept and written back as far as it can be; a record that can't be honoured is told apart.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast, get_args

import yaml

from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import checks
from controller.core.model import (
    Environment,
    Failure,
    GitSource,
    Object,
    PastRun,
    Phase,
    Record,
    RunSpec,
    StageRecord,
    StageState,
)

MESSAGE_LIMIT = 1024
REASON_LIMIT = 128
HISTORY_LIMIT = 60
HANDLED_LIMIT = 50
PROBLEM_LIMIT = 100
PAIRS = ("env", "parameters", "secrets", "images")  # of a run's spec

Form = TypeVar("Form", StageRecord, GitSource, Environment, RunSpec, PastRun, Failure)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class TooNew(Invalid):
    """A newer version wrote it, and it can't be honoured: whoever met it for new would run again what has run."""

    def __init__(self, what: str, why: str) -> None:
        """Take what can't be read, and why."""
        reason = "RecordTooNew"
        remedy = "run that version of Coachwork or a later one again; nothing was changed or started"
        super().__init__(reason, [f"{what} was written by a newer version: {why} ({remedy})"])


def to_data(record: Record) -> dict[str, str]:
    """Give the ConfigMap's data. Keys without a value are left out, so that a reader sees only what is known."""
    data = _values(record) | dict(record.unknown)
    data |= {_stage_key(name): stage.state for name, stage in record.stages.items()}
    return _sealed({key: value for key, value in data.items() if value})


def _values(record: Record) -> dict[str, str]:
    spec = record.spec
    return {
        "phase": record.phase,
        "reason": one_line(record.reason, REASON_LIMIT),
        "message": one_line(record.message),
        "problems": "\n".join(one_line(problem) for problem in record.problems[:PROBLEM_LIMIT]),
        "run": str(record.run),
        "run-commit": spec.commit if spec else "",
        "run-step": str(record.step) if record.step else "",
        "run-spec": _dump(plain(spec)) if spec else "",
        "ref": record.ref,
        "started": record.started,
        "finished": record.finished,
        "handled-trigger": record.handled[-1] if record.handled else "",
        "handled-triggers": _dump(list(record.handled[-HANDLED_LIMIT:])) if record.handled else "",
        "queued-trigger": record.queued,
        "finished-trigger": record.finished_trigger,
        "request-uid": record.request_uid,
        "request-digest": record.request_digest,
        "stages": _dump({name: _known(_bounded(stage)) for name, stage in record.stages.items()})
        if record.stages
        else "",
        "history": _dump([_known(past) for past in record.history[:HISTORY_LIMIT]]) if record.history else "",
        "failure": _dump(plain(record.failure)) if record.failure else "",
        "pending-since": record.pending_since,
        "release-run": str(record.release_run) if record.release_run else "",
        "release-commit": record.release_commit,
        "poll-commit": record.poll_commit,
        "poll-problem": one_line(record.poll_problem),
        "schedule-problem": one_line(record.schedule_problem),
    }


def _sealed(data: Mapping[str, str]) -> dict[str, str]:
    return {**data, "digest": _digest(data)}


def _digest(data: Mapping[str, str]) -> str:
    return names.digest(json.dumps({key: value for key, value in data.items() if key != "digest"}, sort_keys=True), 64)


def from_data(data: Mapping[str, str], request_uid: str) -> Record | None:
    """Return the record that `data` holds for the request of this uid; None where it holds none, or was written over.

    Raises TooNew.
    """
    if data.get("request-uid") != request_uid or data.get("digest") != _digest(data):
        return None
    refuse_newer(data, "the record")
    try:
        return _parse(data)
    except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise TooNew("the record", one_line(f"{type(error).__name__}: {error}", 200)) from error


def readable(data: Mapping[str, str], request_uid: str) -> Record | None:
    """Return the record as `from_data` does; None also where it can't be honoured."""
    try:
        return from_data(data, request_uid)
    except TooNew:
        return None


def refuse_newer(data: Mapping[str, str], what: str) -> None:
    """Raise TooNew where `data` says that it is of a version that is not known here. No version is the first one."""
    version = str(data.get("version") or "1")
    if version != "1":
        raise TooNew(what, f"its version is {checks.shown(version)}, and only 1 is known here")


def blocked(data: Mapping[str, str], problem: str) -> dict[str, str]:
    """Return what can't be honoured as it is, but for the words that say so."""
    told = {**data, "phase": "Blocked", "reason": "RecordTooNew", "message": one_line(problem)}
    return _sealed({**told}) if data.get("digest") == _digest(data) else told


def _parse(data: Mapping[str, str]) -> Record:
    spec, stages = _load(data, "run-spec"), _load(data, "stages") or {}
    record = Record(
        request_uid=data["request-uid"],
        phase=cast("Phase", data["phase"]),
        reason=data.get("reason", ""),
        message=data.get("message", ""),
        problems=tuple(data["problems"].split("\n")) if data.get("problems") else (),
        run=int(data.get("run", "0")),
        step=int(data.get("run-step", "0")),
        spec=_spec(spec) if spec else None,
        ref=data.get("ref", ""),
        started=data.get("started", ""),
        finished=data.get("finished", ""),
        stages={
            str(name): _form(StageRecord, stage, objects=_texts(stage, "objects")) for name, stage in stages.items()
        },
        handled=tuple(str(item) for item in _load(data, "handled-triggers") or ()),
        queued=data.get("queued-trigger", ""),
        finished_trigger=data.get("finished-trigger", ""),
        request_digest=data.get("request-digest", ""),
        pending_since=data.get("pending-since", ""),
        release_run=int(data.get("release-run", "0")),
        release_commit=data.get("release-commit", ""),
        history=tuple(_form(PastRun, past) for past in _load(data, "history") or ()),
        failure=_form(Failure, failure) if (failure := _load(data, "failure")) else None,
        poll_commit=data.get("poll-commit", ""),
        poll_problem=data.get("poll-problem", ""),
        schedule_problem=data.get("schedule-problem", ""),
        unknown={key: value for key, value in data.items() if key not in _KEYS and not key.startswith("stage.")},
    )
    strange = {stage.state for stage in record.stages.values()} - {*get_args(StageState)}
    if record.active and strange:
        raise ValueError(f"stages are {', '.join(sorted(strange))}")
    return record


def spec_from(kept: Mapping[str, Any]) -> RunSpec:
    """Return what a run was started with from its own file, which is `plain` of it. Raises TooNew."""
    refuse_newer(kept, "what the run was started with")
    try:
        return _spec(dict(kept))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TooNew("what the run was started with", one_line(f"{type(error).__name__}: {error}", 200)) from error


def _spec(spec: dict[str, Any]) -> RunSpec:
    pairs = {key: tuple((name, value) for name, value in spec.get(key, ())) for key in PAIRS}
    environments = tuple(map(_environment, spec.get("environments", ())))
    return _form(
        RunSpec,
        spec,
        environments=environments,
        index_keys=_texts(spec, "index_keys"),
        taken=_texts(spec, "taken"),
        part=_texts(spec, "part"),
        **pairs,
    )


def _environment(item: dict[str, Any]) -> Environment:
    sources = tuple(_form(GitSource, source) for source in item.get("sources", ()))
    return _form(Environment, item, stages=_texts(item, "stages"), sources=sources)


def _texts(item: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(map(str, item.get(key, ())))


def _form(kind: type[Form], value: Mapping[str, Any], **read: Any) -> Form:
    """Return the form with these values, those that were `read` already, and what it does not know beside them.

    Raises ValueError, TypeError.
    """
    types: dict[str, Any] = {item.name: item.type for item in fields(kind) if item.name not in {*read, "unknown"}}
    given = {key: item for key, item in value.items() if key in types}
    for key, item in given.items():
        if types[key] in (str, int, int | None) and not isinstance(item, types[key]):
            raise ValueError(f"{key} is {checks.shown(item)}")
    unknown = {key: item for key, item in value.items() if key not in {*types, *read}}
    return kind(**given, **read, unknown=unknown)


def plain(value: Any) -> Any:
    """Return a form as mappings and lists, with what it does not know in its place: YAML and JSON have no others."""
    if is_dataclass(value) and not isinstance(value, type):
        known = {item.name: plain(getattr(value, item.name)) for item in fields(value) if item.name != "unknown"}
        return {**known, **getattr(value, "unknown", {})}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def manifest(request: str, uid: str, namespace: str, record: Record) -> Object:
    """Give the whole NAME-status ConfigMap, with its owner and the labels that make columns."""
    commit = record.spec.commit if record.spec else ""
    labels = {
        names.ROLE: names.ROLE_STATUS,
        names.REQUEST: names.label_value(request),
        names.PHASE: record.phase,
        names.RUN: str(record.run),
        names.COMMIT: commit[:12],
        names.MANAGED_BY: names.MANAGER,
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.status_of(request),
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(request, uid)],
        },
        "data": to_data(record),
    }


def owner_reference(request: str, uid: str) -> Object:
    """Give the owner reference of everything that a request owns: gone with it, by the cluster's own collector."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": request, "uid": uid, "controller": True}


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Give `text` on one line of at most `limit` bytes, without control characters."""
    plain = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+", " ", text).split())
    if len(plain.encode()) <= limit:
        return plain
    return plain.encode()[: limit - 3].decode(errors="ignore") + "…"


def _stage_key(stage: str) -> str:
    return f"stage.{stage if re.fullmatch(r'[-._a-zA-Z0-9]{1,200}', stage) else names.kubernetes_name(stage)}"


def _bounded(stage: StageRecord) -> StageRecord:
    """Give what a stage says for itself within bounds: its container could have written anything."""
    return dataclasses.replace(stage, reason=one_line(stage.reason, REASON_LIMIT), message=one_line(stage.message))


def _known(value: Any) -> dict[str, Any]:
    return {key: item for key, item in plain(value).items() if item not in ("", 0, [])}


def _dump(value: Any) -> str:
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000))


def _load(data: Mapping[str, str], key: str) -> Any:
    return yaml.load(data[key], Loader=_Loader) if data.get(key) else None  # noqa: S506 (a safe loader, the C one)


_KEYS = frozenset({*_values(Record(request_uid="")), "digest"})
