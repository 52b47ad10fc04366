"""NAME-status: the record of one request as the flat data of a ConfigMap, and its copy on the volume.

Flat keys are for `kubectl` (jsonpath, wait); the keys that hold YAML are for people and for the planner. A record that
somebody wrote over is corrupt: the copy on the volume stands in for it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import islice
from typing import Any, get_args

import yaml

from controller.core import names
from controller.core.documents import codec
from controller.core.documents.codec import Absent, Answer, Corrupt, Good, TooNew
from controller.core.model import Object, Record, StageState
from controller.core.safeyaml import DUMPER, LOADER
from controller.core.text import fit

REASON_LIMIT = 128
HISTORY_LIMIT = 60
HANDLED_LIMIT = 50
PROBLEM_LIMIT = 100
LARGEST_RUN = 10**9
SHORT, REMEMBERED = 1024, 2048  # characters of a text that is remembered as it is written, and how many are
LONG = 4096  # characters of a text that take tens of milliseconds
NODES = 100_000  # of a part: what the largest ConfigMap holds
EMPTY: Sequence[object] = ("", 0, [], {})  # what is not written of a stage, or of an earlier run
NAME = "the record"  # in messages

_RENAMED = {"step": "run-step", "spec": "run-spec", "handled": "handled-triggers", "queued": "queued-trigger"}
_KEYS = {item.name: _RENAMED.get(item.name, item.name.replace("_", "-")) for item in fields(Record)}
_DERIVED = ("run-commit", "handled-trigger", "digest")  # and stage.NAME: for kubectl only
_NUMBERS = ("run", "step", "release_run")
_PARTS = ("spec", "stages", "handled", "history", "failure", "release_numbers", "notices")  # as YAML
_FOLDER = re.compile(r"""\bfolder["']?: *["']?([\w.-]+)""")  # of an environment, in `run-spec`


def read(data: Mapping[str, str], request_uid: str) -> Answer[Record]:
    """Return the record of the request of this uid, as the data of its ConfigMap holds it."""
    if data.get("request-uid") != request_uid:
        return Absent()
    newer, misfits = codec.newer(data, NAME), list[str]()
    values = {name: _value(name, data[key], misfits) for name, key in _KEYS.items() if data.get(key)}
    record, strange = codec.read(Record, values)
    known = {*_KEYS.values(), *_DERIVED}
    unknown = {key: text for key, text in data.items() if key not in known and not key.startswith("stage.")}
    record = replace(record, unknown=unknown)
    states = {stage.state for stage in record.stages.values()} - {*get_args(StageState)}
    if record.active and states:
        misfits.append(f"stages are {', '.join(sorted(states))}")
    if data.get("digest") != _digest(data):
        return Corrupt(record, newer)
    if misfits := [*misfits, *strange]:
        newer = newer or codec.too_new(NAME, "; ".join(misfits))
    return TooNew(record, newer) if newer else Good(record)


@dataclass(frozen=True, slots=True)
class Brief:
    """What a list of many requests says of each record; times are RFC 3339, texts as they are written."""

    phase: str = "Pending"
    message: str = ""
    run: str = ""
    commit: str = ""
    active: bool = False
    changed: str = ""  # when the run began, or ended


def brief(data: Mapping[str, str], request_uid: str) -> Brief | None:
    """Return a record in brief, None where there is none: without parsing its parts, which takes a history long."""
    if data.get("request-uid") != request_uid:
        return None
    return Brief(
        phase=data.get("phase", "Pending"),
        message=data.get("message", ""),
        run=data.get("run", "0").removeprefix("0"),
        commit=data.get("run-commit", ""),
        active="run-spec" in data and "finished" not in data,
        changed=data.get("finished") or data.get("started", ""),
    )


def phase(status: Object | None) -> str:
    """Return the phase that a ConfigMap NAME-status says, "" for none: to count and to show."""
    return str(((status or {}).get("data") or {}).get("phase", ""))


def environments(status: Object) -> frozenset[str]:
    """Return the folders of environments that a ConfigMap NAME-status names: to look it up by, and at once."""
    return frozenset(_FOLDER.findall(str((status.get("data") or {}).get("run-spec", ""))))


def _value(name: str, text: str, misfits: list[str]) -> Any:
    """Return what the text of a key means; one that can't be read is noted, and says nothing."""
    try:
        if name in _NUMBERS:
            return int(text)
        if name in _PARTS:
            return _bounded_yaml(text)
    except codec.NO_YAML as error:
        misfits.append(f"{_KEYS[name]}: {type(error).__name__}")
        return None
    return text.split("\n") if name == "problems" else text


def _bounded_yaml(text: str) -> Any:
    """Return what a text says. Raises ValueError where few aliases stand for more than any text could hold."""
    loaded = yaml.load(text, Loader=LOADER)  # noqa: S506 (a safe loader, the C one)
    if "*" in text and next(islice(_nodes(loaded), NODES, None), None) is not None:
        raise ValueError("too many aliases")
    return loaded


def _nodes(value: Any) -> Iterator[bool]:
    yield True
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(item)


def restored(written: Answer[Record], copy: Answer[Record]) -> Answer[Record]:
    """Return the record that is to be honoured: what is written, unless it is lost and the copy is not.

    Where both are lost, either may have been a newer version's: that is said before anything starts again.
    """
    if isinstance(written, Good | TooNew):
        return written
    if isinstance(copy, Good | TooNew):
        return copy
    lost = [item for item in (written, copy) if isinstance(item, Corrupt)]
    ours = (TooNew(item.view, item.newer) for item in lost if item.newer)
    return next(ours, None) or next(iter(lost), None) or Absent()


def remains(view: Record, last_run: int) -> Record:
    """Return a new record after one that is damaged: numbers go on, and what is said to be handled is not run again.

    The trigger of an active run is not over, and is. `last_run` is what the objects of older runs say.
    """
    active = {view.spec.trigger} if view.active and view.spec else set()
    handled = tuple(trigger for trigger in view.handled if trigger and trigger not in active)
    run = view.run if view.run < LARGEST_RUN else 0
    finished = view.finished_trigger if view.finished_trigger in handled else ""
    return Record(view.request_uid, run=max(run, last_run), handled=handled, finished_trigger=finished)


def write(record: Record) -> dict[str, str]:
    """Return the data of the ConfigMap. Keys without a value are left out, so that a reader sees only what is known."""
    texts = {_KEYS[name]: text for name, text in _texts(record)}
    texts["run-commit"] = record.spec.commit if record.spec else ""
    texts["handled-trigger"] = record.handled[-1] if record.handled else ""
    for name, stage in record.stages.items():
        plain = name if re.fullmatch(r"[-._a-zA-Z0-9]{1,200}", name) else names.kubernetes_name(name)
        texts[f"stage.{plain}"] = stage.state
    return _sealed({**{key: text for key, text in texts.items() if text}, **record.unknown})


def _texts(record: Record) -> Iterable[tuple[str, str]]:
    """Yield each field with its text, within its bounds; "" where there is none."""
    bounded = replace(  # to what a ConfigMap holds: a stage's container could have said anything of itself
        record,
        reason=fit(record.reason, REASON_LIMIT),
        message=fit(record.message),
        problems=tuple(map(fit, record.problems[:PROBLEM_LIMIT])),
        handled=record.handled[-HANDLED_LIMIT:],
        history=record.history[:HISTORY_LIMIT],
        poll_problem=fit(record.poll_problem),
        schedule_problem=fit(record.schedule_problem),
        notify_problem=fit(record.notify_problem),
        stages={
            name: replace(stage, reason=fit(stage.reason, REASON_LIMIT), message=fit(stage.message))
            for name, stage in record.stages.items()
        },
    )
    for name in _KEYS.keys() - {"unknown"}:
        value = getattr(bounded, name)
        match name:
            case "problems":
                yield name, "\n".join(value)
            case "stages":
                yield name, _yaml({stage: codec.sparse(item, EMPTY) for stage, item in value.items()})
            case "history":
                yield name, _yaml([codec.sparse(past, EMPTY) for past in value])
            case "spec" | "handled" | "failure" | "release_numbers" | "notices":
                yield name, _yaml(codec.plain(value))
            case _:
                yield name, str(value) if value or name == "run" else ""


def _yaml(value: Any) -> str:
    if not value:
        return ""
    return str(yaml.dump(value, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=10_000))


def _sealed(data: Mapping[str, str]) -> dict[str, str]:
    return {**data, "digest": _digest(data)}


def _digest(data: Mapping[str, str]) -> str:
    return names.digest(json.dumps({key: value for key, value in data.items() if key != "digest"}, sort_keys=True), 64)


def blocked(data: Mapping[str, str], request_uid: str, problem: str) -> dict[str, str]:
    """Return data that can't be honoured as it is, but for the words that say so."""
    words = {"phase": "Blocked", "reason": "RecordTooNew", "message": fit(problem)}
    changed = {"request-uid": request_uid, **data, **words}
    return _sealed(changed) if data.get("digest") == _digest(data) else changed


def read_copy(text: str, request_uid: str) -> Answer[Record]:
    """Return the record as its copy on the volume holds it."""
    if not text:
        return Absent()
    answer = read(copied(text), request_uid)
    return Corrupt(Record(request_uid)) if isinstance(answer, Absent) else answer


def copied(text: str) -> dict[str, str]:
    """Return the data that a copy holds, none where it can't be read."""
    try:
        loaded = yaml.load(text, Loader=LOADER)  # noqa: S506 (a safe loader, the C one)
    except codec.NO_YAML:
        return {}
    return {str(key): str(value) for key, value in loaded.items()} if isinstance(loaded, dict) else {}


def copy(data: Mapping[str, str]) -> str:
    """Return the text of the copy on the volume."""
    return "".join((_line if len(text) <= SHORT else _emitted)(key, text) for key, text in sorted(data.items()))


def _emitted(key: str, text: str) -> str:
    """Return it as the slow emitter has always folded it; the quick one serves what that loses, and what is long."""
    quick = DUMPER if len(text) > LONG or "\x85" in text else yaml.SafeDumper
    return str(yaml.dump({key: text}, Dumper=quick, allow_unicode=True))


_line = lru_cache(REMEMBERED)(_emitted)  # that emitter is slow, and most of what a record says, others say, too


def manifest(request: str, uid: str, namespace: str, record: Record) -> Object:
    """Return the whole ConfigMap, with its owner and the labels that make columns."""
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
        "data": write(record),
    }


def owner_reference(request: str, uid: str) -> Object:
    """Return the owner reference of everything that a request owns: gone with it, by the cluster's own collector."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": request, "uid": uid, "controller": True}
