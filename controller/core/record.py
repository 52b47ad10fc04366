"""The record of one request as the flat data of its NAME-status ConfigMap, and back.

Flat keys are for `kubectl` (jsonpath, wait); the keys that hold YAML are for people and for the planner. A record that
somebody wrote over is no record, and is not even parsed: the copy on the volume, or nothing, stands in for it.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, cast

import yaml

from controller.core import names
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
)

MESSAGE_LIMIT = 1024
REASON_LIMIT = 128
HISTORY_LIMIT = 60
HANDLED_LIMIT = 50
PROBLEM_LIMIT = 100
PAIRS = ("env", "parameters", "secrets", "images")  # of a run's spec

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def to_data(record: Record) -> dict[str, str]:
    """Give the ConfigMap's data. Keys without a value are left out, so that a reader sees only what is known."""
    spec = record.spec
    data = {
        "phase": record.phase,
        "reason": one_line(record.reason, REASON_LIMIT),
        "message": one_line(record.message),
        "problems": "\n".join(one_line(problem) for problem in record.problems[:PROBLEM_LIMIT]),
        "run": str(record.run),
        "run-commit": spec.commit if spec else "",
        "run-step": str(record.step) if record.step else "",
        "run-spec": _dump(dataclasses.asdict(spec)) if spec else "",
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
        "failure": _dump(dataclasses.asdict(record.failure)) if record.failure else "",
        "pending-since": record.pending_since,
        "release-run": str(record.release_run) if record.release_run else "",
        "release-commit": record.release_commit,
        "poll-commit": record.poll_commit,
        "poll-problem": one_line(record.poll_problem),
        "schedule-problem": one_line(record.schedule_problem),
    }
    data |= {_stage_key(name): stage.state for name, stage in record.stages.items()}
    written = {key: value for key, value in data.items() if value}
    return written | {"digest": _digest(written)}


def _digest(data: Mapping[str, str]) -> str:
    return names.digest(json.dumps(dict(data), sort_keys=True), 64)


def from_data(data: Mapping[str, str], request_uid: str) -> Record | None:
    """Give the record that `data` holds for the request of this uid; None where it holds none, or was written over."""
    if data.get("request-uid") != request_uid:
        return None
    if data.get("digest") != _digest({key: value for key, value in data.items() if key != "digest"}):
        return None
    try:
        return _parse(data)
    except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
        return None


def _parse(data: Mapping[str, str]) -> Record:
    spec = _load(data, "run-spec")
    return Record(
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
            str(name): StageRecord(**stage | {"objects": tuple(stage.get("objects", ()))})
            for name, stage in (_load(data, "stages") or {}).items()
        },
        handled=tuple(str(item) for item in _load(data, "handled-triggers") or ()),
        queued=data.get("queued-trigger", ""),
        finished_trigger=data.get("finished-trigger", ""),
        request_digest=data.get("request-digest", ""),
        pending_since=data.get("pending-since", ""),
        release_run=int(data.get("release-run", "0")),
        release_commit=data.get("release-commit", ""),
        history=tuple(PastRun(**past) for past in _load(data, "history") or ()),
        failure=Failure(**failure) if (failure := _load(data, "failure")) else None,
        poll_commit=data.get("poll-commit", ""),
        poll_problem=data.get("poll-problem", ""),
        schedule_problem=data.get("schedule-problem", ""),
    )


def spec_from(kept: Mapping[str, Any]) -> RunSpec | None:
    """Give what a run was started with from its own file; None where that was written by another, or another version.

    The file's other side is `dataclasses.asdict`.
    """
    try:
        return _spec(dict(kept))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _spec(spec: dict[str, Any]) -> RunSpec:
    pairs = {key: tuple((name, value) for name, value in spec.get(key, ())) for key in PAIRS}
    typed = {
        "environments": tuple(map(_environment, spec.get("environments", ()))),
        "index_keys": tuple(spec.get("index_keys", ())),
    }
    return RunSpec(**spec | pairs | typed)


def _environment(item: dict[str, Any]) -> Environment:
    sources = tuple(GitSource(**source) for source in item.get("sources", ()))
    return Environment(**item | {"stages": tuple(item["stages"]), "sources": sources})


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
    plain = {key: list(item) if isinstance(item, tuple) else item for key, item in dataclasses.asdict(value).items()}
    return {key: item for key, item in plain.items() if item not in ("", 0, [])}


def _dump(value: Any) -> str:
    return str(yaml.dump(_plain(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000))


def _plain(value: Any) -> Any:
    """Give tuples as lists, all the way down: YAML has no tuples."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _load(data: Mapping[str, str], key: str) -> Any:
    return yaml.load(data[key], Loader=_Loader) if data.get(key) else None  # noqa: S506 (a safe loader, the C one)
