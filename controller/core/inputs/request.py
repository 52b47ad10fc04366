"""A request's ConfigMap -> Request, with all its problems at once.

Refuses unknown keys, and everything in a value that git, a shell or a path could take for something else. A
repository's address is never repeated in a problem: it may hold a password.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import annotations, cron, engine, kinds, repository, variables
from controller.core.inputs.engine import Broken, Expected, Form, reading
from controller.core.model import Object, Request
from controller.core.text import QUOTE_LIMIT, clean, quoted

ENV, ENV_NAME = "env.", "env.NAME"
POLL_LEAST = 10  # seconds: each look costs the Git server an answer


def _bounded_in_all(env: Mapping[str, Any]) -> Iterable[Broken]:
    total = sum(len(name) + len(str(value)) for name, value in env.items())
    if total > variables.REQUEST_LIMIT:
        yield (), f"{total} characters in all: {variables.REQUEST_LIMIT} at most"


class _Keys(Form):
    """What `data` may hold, each value as text; what is not set is as `Request` has it."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"))

    repository: Annotated[
        str, reading(repository.address), Expected("the address of a Git repository, https://HOST/PATH")
    ]
    ref: Annotated[str, reading(repository.ref)] = ""
    path: Annotated[str, reading(repository.folder)] = ""
    git_secret: Annotated[str, reading(kinds.object_name)] = ""
    index_secret: Annotated[str, reading(kinds.object_name)] = ""
    schedule: Annotated[str, reading(cron.schedule)] = ""
    time_zone: Annotated[str, reading(cron.time_zone)] = ""
    run_on_create: Annotated[bool, reading(kinds.flag)] = True
    poll: Annotated[int, reading(kinds.duration(POLL_LEAST))] = 0
    on_overlap: Literal["queue", "replace", "skip"] = "queue"
    deadline: Annotated[int, reading(kinds.duration(1))] = 0
    keep_runs: Annotated[int, reading(kinds.whole(1, 30))] = 0
    suspend: Annotated[bool, reading(kinds.flag)] = False
    image: Annotated[str, reading(kinds.image)] = ""
    project_name: Annotated[str, reading(kinds.project_name)] = ""
    pod_template: Annotated[str, reading(kinds.object_name)] = ""
    notify_secret: Annotated[str, reading(kinds.object_name)] = ""
    env: Annotated[
        dict[Annotated[str, reading(variables.name)], Annotated[str, reading(variables.value)]],
        engine.together(_bounded_in_all, dict),
    ] = Field({}, alias="env.NAME")  # ENV_NAME

    @classmethod
    def together(cls, data: Mapping[str, Any]) -> Iterable[Broken]:
        """Yield what is wrong with keys that are right by themselves."""
        if "time-zone" in data and "schedule" not in data:
            yield ("time-zone",), "needs schedule: add one, or remove it"


KEYS = tuple(key for key in engine.keys(_Keys) if key != ENV_NAME)


def parse(configmap: Object) -> Request:
    """Return the request that a ConfigMap states. Raises Invalid("InvalidRequest") with every problem."""
    request = read(configmap)
    if request.wrong:
        raise Invalid("InvalidRequest", request.wrong)
    return request


def read(configmap: Object) -> Request:
    """Return the request as `parse` does, but leave it to its reader what wrong annotations mean: to a run, they do."""
    metadata = _mapping(configmap.get("metadata"))
    name = metadata.get("name")
    name = name if isinstance(name, str) else ""
    problem = names.request_problem(name)
    document, problems = _document(configmap)
    found, faults = engine.check(_Keys, document)
    problems += [f"metadata.name: {problem}"] if problem else []
    for fault in faults:
        key, *inner = map(str, fault.location)
        at = f"{ENV}{inner[0] if inner else '*'}" if key == ENV_NAME else key  # as it stands in `data`
        problems.append(f"{clean(at, QUOTE_LIMIT)}: {fault.sentence}")
    stated, wrong = annotations.read(_mapping(metadata.get("annotations")))
    if problems or not found:
        raise Invalid("InvalidRequest", kinds.bounded(problems + wrong))
    keys = found.model_dump(exclude_unset=True) | {"env": tuple(sorted(found.env.items()))}
    return Request(name=name, uid=str(metadata.get("uid") or ""), **keys, **stated, wrong=kinds.bounded(wrong))


def identity(configmap: Object) -> Request:
    """Return what even an invalid request says of itself: its name, its uid, and the annotations that can be used."""
    metadata = _mapping(configmap.get("metadata"))
    stated, _ = annotations.read(_mapping(metadata.get("annotations")))
    return Request(
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        repository="",
        trigger=stated.get("trigger", ""),
        cancel=stated.get("cancel", ""),
    )


@lru_cache(64)  # a pass asks for it whenever it decides again
def digest(request: Request) -> str:
    """Return the SHA-256 (hexadecimal) of everything in a request that changes what runs.

    How the code is fetched (git-secret), when it runs (schedule, poll, on-overlap) and who is notified change nothing
    of it. A key that is not set adds nothing: a controller that knows more keys than the one before starts no run for
    that.
    """
    what: list[Any] = [request.repository, request.ref, request.path]
    what += [request.image, request.project_name, request.env]
    later = {"index-secret": request.index_secret, "pod-template": request.pod_template}
    what += [[key, value] for key, value in later.items() if value]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _mapping(value: Any) -> dict[str, Any]:
    """Return a mapping, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _document(configmap: Object) -> tuple[dict[str, Any], list[str]]:
    """Return `data` as one document, and what is wrong outside of it. A blank key is as if it were not there."""
    problems = [
        f"{clean(key)}: is in binaryData: write it as text in data" for key in _mapping(configmap.get("binaryData"))
    ]
    data = configmap.get("data")
    if data is not None and not isinstance(data, dict):
        problems.append(f"data: expected {engine.SECTION}, got {quoted(data)}")
    document: dict[str, Any] = {}
    for key, value in sorted((str(key), value) for key, value in _mapping(data).items()):
        if key.startswith(ENV):
            document.setdefault(ENV_NAME, {})[key.removeprefix(ENV)] = value
        elif not (isinstance(value, str) and not value.strip()):
            document[key] = value
    return document, problems
