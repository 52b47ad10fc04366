"""A request's ConfigMap -> Request, with all its problems at once (DESIGN 1.1).

Refuses unknown keys, and everything in a value that git, a shell or a
path could take for something else. A repository's address is never repeated in a problem: it may hold a password.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal, cast

from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import annotations as asked
from controller.core.inputs import checks, cron, repository
from controller.core.inputs import variables as environment
from controller.core.model import Object, Request
from controller.core.text import QUOTE_LIMIT, clean, invisible, nearest, parse_duration, quoted

ENV = "env."
REF_LIMIT = 255
PATH_LIMIT = 1024
KEEP_RUNS_LIMIT = 30
DURATION_LIMIT = 366 * 24 * 3600
POLL_LEAST = 10  # seconds: each look costs the Git server an answer

KEYS = (
    "repository",
    "ref",
    "path",
    "git-secret",
    "index-secret",
    "schedule",
    "time-zone",
    "run-on-create",
    "poll",
    "on-overlap",
    "deadline",
    "keep-runs",
    "suspend",
    "image",
    "project-name",
    "pod-template",
)


@dataclass
class _Reader:
    """The values of one ConfigMap, and the problems met while reading them."""

    data: dict[str, str]
    problems: list[str] = field(default_factory=list)

    def has(self, key: str) -> bool:
        """Return whether a key says anything: a blank one is as if it were not there."""
        return bool(self.data.get(key, "").strip())

    def read(self, key: str, parse: Callable[[str], Any], default: Any) -> Any:
        """Return the parsed value of a key, the default where it is absent, blank or bad (then with a problem)."""
        if not self.has(key):
            return default
        try:
            return parse(self.data[key])
        except ValueError as error:
            self.problems.append(f"{key}: {error}")
            return default


def parse(configmap: Object) -> Request:
    """Return the request that a ConfigMap states. Raises Invalid("InvalidRequest") with every problem."""
    request = read(configmap)
    if request.wrong:
        raise Invalid("InvalidRequest", request.wrong)
    return request


def read(configmap: Object) -> Request:
    """Return the request as `parse` does, but leave it to its reader what wrong annotations mean: to a run, they do."""
    metadata = _mapping(configmap.get("metadata"))
    annotations = _mapping(metadata.get("annotations"))
    reader, wrong = _Reader(*_texts(configmap)), list[str]()
    request = Request(
        name=_name(metadata.get("name"), reader.problems),
        uid=str(metadata.get("uid") or ""),
        repository=_repository(reader),
        ref=reader.read("ref", _ref, ""),
        path=reader.read("path", _path, "."),
        git_secret=reader.read("git-secret", _object_name, ""),
        index_secret=reader.read("index-secret", _object_name, ""),
        schedule=reader.read("schedule", cron.schedule, ""),
        time_zone=reader.read("time-zone", cron.time_zone, ""),
        poll=reader.read("poll", _poll, None),
        on_overlap=reader.read("on-overlap", _overlap, "queue"),
        run_on_create=reader.read("run-on-create", _boolean, default=True),
        deadline=reader.read("deadline", _duration, None),
        keep_runs=reader.read("keep-runs", _keep_runs, 5),
        suspend=reader.read("suspend", _boolean, default=False),
        image=reader.read("image", _image, ""),
        project_name=reader.read("project-name", _project_name, ""),
        pod_template=reader.read("pod-template", _object_name, ""),
        env=_env(reader),
        trigger=asked.text(annotations, names.TRIGGER, wrong),
        cancel=asked.text(annotations, names.CANCEL, wrong),
        resume=asked.part(annotations, names.FROM, wrong),
        only=asked.part(annotations, names.ONLY, wrong),
        parameters=asked.parameters(annotations, wrong),
        rerun=asked.rerun(annotations, wrong),
    )
    if reader.has("time-zone") and not reader.has("schedule"):
        reader.problems.append("time-zone: goes with schedule: add one, or remove it")
    if request.only and request.resume:
        wrong.append(f"annotations {names.ONLY} and {names.FROM}: give one of them")
    _refuse_others(reader)
    if reader.problems:
        raise Invalid("InvalidRequest", _bounded(reader.problems + wrong))
    return replace(request, wrong=_bounded(wrong))


def _bounded(problems: list[str]) -> tuple[str, ...]:
    return checks.bounded(problems, "and more problems: mend these first")


def identity(configmap: Object) -> Request:
    """Give what even an invalid request says of itself: its name, its uid, and the annotations that can be used."""
    metadata = _mapping(configmap.get("metadata"))
    annotations = _mapping(metadata.get("annotations"))
    return Request(
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        repository="",
        trigger=asked.text(annotations, names.TRIGGER, []),
        cancel=asked.text(annotations, names.CANCEL, []),
    )


def digest(request: Request) -> str:
    """Give the SHA-256 (hexadecimal) of everything in a request that changes what runs.

    How the code is fetched (git-secret) and when it runs (schedule, poll, on-overlap) change nothing of it. A key that
    is not set adds nothing: a controller that knows more keys than the one before starts no run for that.
    """
    what: list[Any] = [request.repository, request.ref, request.path]
    what += [request.image, request.project_name, request.env]
    later = {"index-secret": request.index_secret, "pod-template": request.pod_template}
    what += [[key, value] for key, value in later.items() if value]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _mapping(value: Any) -> dict[str, Any]:
    """Give a mapping, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _texts(configmap: Object) -> tuple[dict[str, str], list[str]]:
    """Give the texts of `data`, and a problem for all that is no text."""
    problems = []
    data = configmap.get("data")
    if data is not None and not isinstance(data, dict):
        problems.append(f"data: expected a mapping of keys to text, got {quoted(data)}")
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
    if problem := names.request_problem(text):
        problems.append(f"metadata.name: {problem}")
    return text


def _repository(reader: _Reader) -> str:
    """Give the repository, with a problem where it is missing or refused."""
    if not reader.has("repository"):
        reader.problems.append("repository: missing: write the address of a Git repository, https://HOST/PATH")
        return ""
    return str(reader.read("repository", repository.parse, ""))


def _refuse_others(reader: _Reader) -> None:
    """Note every key that means nothing here."""
    for key in sorted(reader.data):
        if key not in KEYS and not key.startswith(ENV) and len(reader.problems) <= checks.PROBLEM_LIMIT:
            known = (*KEYS, f"{ENV}NAME")
            reader.problems.append(f"{clean(key, QUOTE_LIMIT)}: unknown key: {nearest(key, known)}")


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
        raise ValueError(f'expected "true" or "false", got {quoted(text)}')
    return text == "true"


def _keep_runs(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= KEEP_RUNS_LIMIT:
        raise ValueError(f"expected a whole number from 1 to {KEEP_RUNS_LIMIT}, got {quoted(text)}")
    return int(text)


def _duration(text: str) -> int:
    """Return the seconds of 30s, 5m, 2h or 1h30m."""
    total = parse_duration(text)
    if total is None or not 1 <= total <= DURATION_LIMIT:
        raise ValueError(f"expected a duration like 30s, 5m, 2h or 1h30m, a year at most, got {quoted(text)}")
    return total


def _poll(text: str) -> int:
    pause = _duration(text)
    if pause < POLL_LEAST:
        raise ValueError(f"expected {POLL_LEAST}s or more, got {quoted(text)}")
    return pause


def _overlap(text: str) -> Literal["queue", "replace", "skip"]:
    if text not in {"queue", "replace", "skip"}:
        raise ValueError(f"expected queue, replace or skip, got {quoted(text)}")
    return cast("Literal['queue', 'replace', 'skip']", text)


def _object_name(text: str) -> str:
    """Check the name of a Secret or ConfigMap; "" is none."""
    if text and not checks.is_dns_name(text):
        raise ValueError(f"expected an object's name: lower-case letters, digits, - and ., got {quoted(text)}")
    return text


def _image(text: str) -> str:
    if text and (problem := checks.image_problem(text)):
        raise ValueError(problem)
    return text


def _project_name(text: str) -> str:
    if text and not checks.is_name(text):
        raise ValueError(f"expected {checks.NAME_RULE}, got {quoted(text)}")
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
        hidden = invisible(text)
        raise ValueError(hidden or f"expected a branch, a tag or a commit, got {quoted(text)}")
    return text


def _path(text: str) -> str:
    """Give a folder of the repository, normalised; never one outside it or in its .git."""
    path = PurePosixPath(text)
    outside = path.is_absolute() or ".." in path.parts or "\\" in text
    if hidden := invisible(text):
        raise ValueError(hidden)
    if outside or len(text) > PATH_LIMIT or not text.isprintable():
        raise ValueError(f"expected a folder inside the repository, like models/iris, got {quoted(text)}")
    if any(part.lower() == ".git" for part in path.parts):
        raise ValueError("is inside .git: name a folder of the project")
    return str(path)
