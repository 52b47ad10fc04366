"""What the API server gives: objects as facts, answers that are refusals, lines of a watch, anything at all."""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from controller.adapters.kube import translate
from controller.adapters.kube.watch import Watch, WatchCache
from controller.core.errors import AlreadyExists, Conflict, Expired, NotYet, Refused, Transient
from controller.core.facts import read_deployment, read_job, starting
from controller.core.facts.news import news
from controller.core.facts.pods import read_pod
from controller.core.model import Cause, Object
from controller.core.snapshot import Snapshot
from controller.core.text import fit
from tests.fuzz.target import Target


def some_objects(items: Mapping[str, Any]) -> Iterable[str]:
    """A Job, a Deployment, their pods and Events are facts, whole or as the caches hold them."""
    job, deployment, pod, event = (items.get(kind) or {} for kind in ("Job", "Deployment", "Pod", "Event"))
    for kind, item in (("Job", job), ("Deployment", deployment), ("Pod", pod), ("Event", event)):
        item.setdefault("metadata", {}).update({"name": "iris-train-7", "uid": "uid"})
        if held := Snapshot.of(kind, item):
            held.marked("x").opened()
    pods, events = [pod, copy.deepcopy(pod)], [event]
    facts = (read_job(job, pods, events), read_deployment(deployment, pods, events), read_pod(pod, events))
    for kind, item in (("Job", job), ("Pod", pod)):
        news(kind, item, copy.deepcopy(item), pods)
        news(kind, None, item, pods)
    if shown := starting.pending(pods):
        yield starting.starting(shown, events).doing
    for cause in (fact.cause for fact in facts):
        yield fit(cause.message if isinstance(cause, Cause) else "") or "-"  # as it is recorded, and sent as an Event


def an_answer(body: bytes) -> Iterable[str]:
    """A refusal of the API server, or of a proxy before it, is one of our errors."""
    for code in (301, 400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 503, 504, 599):
        error = translate.failure(translate.answer(code, {"Retry-After": body[:12].decode("latin-1")}, body))
        assert isinstance(error, AlreadyExists | Conflict | Expired | NotYet | Refused | Transient)
        yield str(error)


class _Feed:
    """One list, then a watch of these lines."""

    kind = "Pod"

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def page(self, _token: str) -> Object:
        found = json.loads(self._lines[0])
        return found if isinstance(found, dict) else {}

    def lines(self, _version: str, _seconds: int) -> "_Feed":
        return self

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._lines)

    def close(self) -> None: ...
    def abort(self) -> None: ...


def a_watch(data: bytes) -> None:
    """Whatever a watch brings becomes objects of the cache, or ends the round in one of our errors."""
    lines = data.split(b"\n")
    watch = Watch(_Feed(lines), WatchCache("Pod", lambda _kind, _old, _new: None))
    with suppress(Expired, Transient):  # which end a round
        for line in lines:
            watch._take(line)  # noqa: SLF001 (it sleeps between rounds)


TARGETS = (
    Target("objects", some_objects, 10_000, typed=True),
    Target("answers", an_answer, 1_000),
    Target("watches", a_watch, 4_000),
)
