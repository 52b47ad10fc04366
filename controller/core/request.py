"""A request's ConfigMap -> Request, with all its problems at once (DESIGN 1.1).

Refuses unknown keys, keys of the contract that are not built yet, and everything in a value that git, a shell or a
path could take for something else. A repository's address is never repeated in a problem: it may hold a password.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from controller.core import checks, environment, names, repository
from controller.core.errors import Invalid
from controller.core.model import Object, Request

ENV = "env."
ANNOTATION_LIMIT = 256
REF_LIMIT = 255
PATH_LIMIT = 1024
KEEP_RUNS_LIMIT = 30
DEADLINE_LIMIT = 366 * 24 * 3600

KEYS = (
    "repository",
    "ref",
    "path",
    "on-overlap",
    "run-on-create",
    "deadline",
    "keep-runs",
    "suspend",
    "image",
    "project-name",
)
NOT_YET: Mapping[str, str] = {
    "poll": f"set the annotation {names.TRIGGER} to a new value when the code has changed",
    "schedule": f"let a CronJob of your own set the annotation {names.TRIGGER}",
    "time-zone": "it goes with schedule: remove it",
    "git-secret": "use a repository that can be read without credentials",
    "index-secret": "use packages of public indexes",
    "pod-template": "remove it; stages set CPU, memory and GPU in the project itself",
}


@dataclass
class _Reader:
    """The values of one ConfigMap, and the problems met while reading them."""

    data: dict[str, str]
    problems: list[str] = field(default_factory=list)

    def read(self, key: str, parse: Callable[[str], Any], default: Any) -> Any:
        """Give the parsed value of a key, the default where it is absent or bad (then with a problem)."""
        if key not in self.data:
            return default
        try:
            return parse(self.data[key])
        except ValueError as error:
            self.problems.append(f"{key}: {error}")
            return default


def parse(configmap: Object) -> Request:
    """Give the request that a ConfigMap states. Raises Invalid("InvalidRequest") with every problem."""
    metadata = _mapping(configmap.get("metadata"))
    annotations = _mapping(metadata.get("annotations"))
    reader = _Reader(*_texts(configmap))
    request = Request(
        name=_name(metadata.get("name"), reader.problems),
        uid=str(metadata.get("uid") or ""),
        repository=_repository(reader),
        ref=reader.read("ref", _ref, ""),
        path=reader.read("path", _path, "."),
        run_on_create=reader.read("run-on-create", _boolean, default=True),
        deadline=reader.read("deadline", _duration, None),
        keep_runs=reader.read("keep-runs", _keep_runs, 5),
        suspend=reader.read("suspend", _boolean, default=False),
        image=reader.read("image", _image, ""),
        project_name=reader.read("project-name", _project_name, ""),
        env=_env(reader),
        trigger=_annotation(annotations, names.TRIGGER, reader.problems),
        cancel=_annotation(annotations, names.CANCEL, reader.problems),
        resume=_part(annotations, names.FROM, reader.problems),
        only=_part(annotations, names.ONLY, reader.problems),
    )
    reader.read("on-overlap", _overlap, None)
    _refuse_others(reader)
    if reader.problems:
        raise Invalid("InvalidRequest", checks.bounded(reader.problems, "and more problems: mend these first"))
    return request


def identity(configmap: Object) -> Request:
    """Give what even an invalid request says of itself: its name, its uid, and the annotations that can be used."""
    metadata = _mapping(configmap.get("metadata"))
    annotations = _mapping(metadata.get("annotations"))
    return Request(
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        repository="",
        trigger=_annotation(annotations, names.TRIGGER, []),
        cancel=_annotation(annotations, names.CANCEL, []),
    )


def digest(request: Request) -> str:
    """Give the SHA-256 (hexadecimal) of everything in a request that changes what runs."""
    what = [request.repository, request.ref, request.path, request.image, request.project_name, request.env]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _mapping(value: Any) -> dict[str, Any]:
    """Give a mapping, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _texts(configmap: Object) -> tuple[dict[str, str], list[str]]:
    """Give the texts of `data`, and a problem for all that is no text."""
    problems = []
    data = configmap.get("data")
    if data is not None and not isinstance(data, dict):
        problems.append(f"data: expected a mapping of keys to text, got {checks.shown(data)}")
    texts = {}
    for key, value in _mapping(data).items():
        if isinstance(value, str):
            texts[str(key)] = value
        else:
            problems.append(f"{key}: expected text: put the value in quotes")
    problems += [f"{key}: is in binaryData: write it as text in data" for key in _mapping(configmap.get("binaryData"))]
    return texts, problems


def _name(name: Any, problems: list[str]) -> str:
    """Give the request's name, with a problem if it can't be one."""
    text = name if isinstance(name, str) else ""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text) or len(text) > names.REQUEST_LIMIT:
        problems.append(
            f"metadata.name: expected at most {names.REQUEST_LIMIT} lower-case letters, digits and -,"
            f" with a letter or digit at both ends, got {checks.shown(name)}"
        )
    if text.endswith(names.RESERVED_SUFFIXES):
        problems.append(f"metadata.name: must not end in {' or '.join(names.RESERVED_SUFFIXES)}: rename the request")
    return text


def _part(annotations: Mapping[str, Any], key: str, problems: list[str]) -> str:
    """Give the stage that an annotation `TRIGGER STAGE` names, "" unless it goes with the present trigger.

    So it counts for one run: one that is left behind means nothing to the next trigger.
    """
    trigger, _, stage = _annotation(annotations, key, problems).rpartition(" ")
    return stage if trigger and trigger == annotations.get(names.TRIGGER) else ""


def _annotation(annotations: Mapping[str, Any], key: str, problems: list[str]) -> str:
    """Give an annotation's value, "" if there is none, with a problem if it can't be shown and recorded."""
    value = annotations.get(key) or ""
    if not isinstance(value, str) or len(value) > ANNOTATION_LIMIT or not value.isprintable():
        problems.append(f"annotation {key}: expected at most {ANNOTATION_LIMIT} printable characters")
        return ""
    return value


def _repository(reader: _Reader) -> str:
    """Give the repository, with a problem where it is missing or refused."""
    if not reader.data.get("repository"):
        reader.problems.append("repository: missing: write the address of a Git repository, https://HOST/PATH")
        return ""
    return str(reader.read("repository", repository.parse, ""))


def _refuse_others(reader: _Reader) -> None:
    """Note every key that means nothing here, or nothing yet."""
    for key in sorted(reader.data):
        if key in NOT_YET:
            reader.problems.append(f"{key}: not supported yet: {NOT_YET[key]}")
        elif key not in KEYS and not key.startswith(ENV) and len(reader.problems) <= checks.PROBLEM_LIMIT:
            known = (*KEYS, f"{ENV}NAME")
            reader.problems.append(
                f"{checks.printable(key, checks.SHOWN_LIMIT)}: unknown key: {checks.nearest(key, known)}"
            )


def _env(reader: _Reader) -> tuple[tuple[str, str], ...]:
    """Give the variables of env.NAME keys, sorted by name."""
    pairs = sorted((key.removeprefix(ENV), value) for key, value in reader.data.items() if key.startswith(ENV))
    for name, value in pairs:
        if problem := environment.name_problem(name) or environment.value_problem(value):
            reader.problems.append(f"{ENV}{name}: {problem}")
    total = sum(len(name) + len(value) for name, value in pairs)
    if total > environment.REQUEST_LIMIT:
        reader.problems.append(f"{ENV}*: {total} characters in all: {environment.REQUEST_LIMIT} at most")
    return tuple(pairs)


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f'expected "true" or "false", got {checks.shown(text)}')
    return text == "true"


def _keep_runs(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= KEEP_RUNS_LIMIT:
        raise ValueError(f"expected a whole number from 1 to {KEEP_RUNS_LIMIT}, got {checks.shown(text)}")
    return int(text)


def _duration(text: str) -> int:
    """Give the seconds of 30s, 5m, 2h or 1h30m."""
    parts = re.fullmatch(r"(?:([0-9]{1,8})h)?(?:([0-9]{1,8})m)?(?:([0-9]{1,8})s)?", text)
    hours, minutes, seconds = (int(part or 0) for part in parts.groups()) if parts else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if not 1 <= total <= DEADLINE_LIMIT:
        raise ValueError(f"expected a duration like 30s, 5m, 2h or 1h30m, a year at most, got {checks.shown(text)}")
    return total


def _overlap(text: str) -> None:
    if text in {"replace", "skip"}:
        raise ValueError(f"{text} is not supported yet: write queue, or remove the key")
    if text != "queue":
        raise ValueError(f"expected queue, got {checks.shown(text)}")


def _image(text: str) -> str:
    if text and not checks.is_image(text):
        raise ValueError(f"expected an image like python:3.12-slim, got {checks.shown(text)}")
    return text


def _project_name(text: str) -> str:
    if text and not checks.is_name(text):
        raise ValueError(f"expected {checks.NAME_RULE}, got {checks.shown(text)}")
    return text


def _ref(text: str) -> str:
    """Check a branch, tag or commit by the rules of git-check-ref-format(1)."""
    bad = (
        len(text) > REF_LIMIT
        or text == "@"
        or re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.$|^[-/]|/$|(?:^|/)\.|\.lock(?:/|$)", text) is not None
        or not text.isprintable()
    )
    if bad:
        raise ValueError(f"expected a branch, a tag or a commit, got {checks.shown(text)}")
    return text


def _path(text: str) -> str:
    """Give a folder of the repository, normalised; never one outside it or in its .git."""
    path = PurePosixPath(text)
    outside = path.is_absolute() or ".." in path.parts or "\\" in text
    if outside or len(text) > PATH_LIMIT or not text.isprintable():
        raise ValueError(f"expected a folder inside the repository, like models/iris, got {checks.shown(text)}")
    if any(part.lower() == ".git" for part in path.parts):
        raise ValueError("is inside .git: name a folder of the project")
    return str(path)
