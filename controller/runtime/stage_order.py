"""What a launch is told to do, and what it tells in the end; small files written so that readers see all or nothing.

No dataclasses here: their import is a fifth of what the launcher costs before the script.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

HAND_OVER = "hand files over to later stages in COACHWORK_ARTIFACTS"
HOPELESS = 121  # the exit code of what another attempt would not mend


class Refused(Exception):
    """It can't be done: reason and message; as a rule another attempt would not help."""

    def __init__(self, reason: str, message: str, code: int = HOPELESS) -> None:
        """Take what the status will show, and the exit code."""
        super().__init__(message)
        self.reason, self.code = reason, code


class Places(NamedTuple):
    """Where a script lives: absolute folders, and its own path relative to the project."""

    checkout: str
    project: str
    folder: str
    script: str  # relative to the project
    requirements: str  # where a missing package would be named


class Order(NamedTuple):
    """What to run. Paths are relative as named; times are seconds."""

    kind: str  # batch, service
    commit: str
    folder: str  # below the project
    script: str  # below the folder
    limit: float
    paths: Dict[str, str]  # checkout, tools, logs, scratch; environment: the stage's packages ("": it needs none)
    project: str = "."  # below the checkout
    args: Sequence[str] = ()
    requirements: str = ""  # where a missing package would be named
    environment: str = ""  # what a complete environment says of itself
    install_limit: float = 900  # for the repair of an environment that another Python made
    workspace_limit: int = 0  # bytes of the project's copy; 0: none
    port: int = 0
    readiness_path: str = ""
    attempts: int = 1
    log_cap: int = 64 * 1024 * 1024
    grace: float = 30
    secrets: Sequence[str] = ()  # variables whose values nothing that is written may show

    @property
    def scratch(self) -> str:
        """Give the pod's private folder, without symlinks: tracebacks name real paths."""
        return os.path.realpath(self.paths["scratch"])

    @property
    def places(self) -> Places:
        """Give where everything lies in the private copy."""
        checkout = os.path.join(self.scratch, "work")
        project = os.path.normpath(os.path.join(checkout, self.project))
        folder = os.path.normpath(os.path.join(project, self.folder))
        script = os.path.relpath(os.path.join(folder, self.script), project)
        return Places(checkout, project, folder, script, self._requirements())

    def _requirements(self) -> str:
        """Return where a package would be named: beside a bodywork.yaml no stage's requirements.txt is read."""
        yaml = os.path.join(self.paths["checkout"], self.project, "bodywork.yaml")
        is_file = os.path.basename(self.requirements) == "requirements.txt"
        return "the stage's `requirements` in bodywork.yaml" if is_file and os.path.isfile(yaml) else self.requirements


class Outcome:
    """How it went; the fields of `<attempt>.json` and of the termination message."""

    def __init__(self) -> None:
        """Begin now, with no verdict."""
        self.exit_code = HOPELESS
        self.reason = self.message = ""
        self.attempt = 0
        self.started = now()
        self.script_started = self.first_start = ""
        self.warnings: List[str] = []
        self.environment = ""  # outdated: another Python made it

    def set(self, exit_code: int, reason: str, message: str) -> None:
        """Take the verdict."""
        self.exit_code, self.reason, self.message = exit_code, reason, message


def now() -> str:
    """Give the time as RFC 3339 in UTC, with milliseconds."""
    at = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"


def read_text(path: str, limit: int = 16384) -> str:
    """Give the first `limit` characters of a file, "" if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(limit)
    except OSError:
        return ""


def files(folder: str, most: int, is_passed_over: Callable[[str], Any]) -> Iterator[str]:
    """Yield the plain files below a folder, some `most` at most, without files and folders of names to pass over."""
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_passed_over(name))
        paths = (os.path.join(top, name) for name in sorted(names)[: max(most, 0)] if not is_passed_over(name))
        yield from filter(os.path.isfile, paths)
        most -= len(folders) + len(names)
        if most < 0:
            return


def write_atomically(path: str, content: Dict[str, Any], durable: bool) -> None:
    """Write JSON so that readers see all of it or nothing; `durable`: the machine may die, too. Raises OSError."""
    fresh = f"{path}.new"
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.rename(fresh, path)


def parse(argv: List[str]) -> Tuple[Optional[Order], str]:
    """Give the order, or what is wrong with it."""
    try:
        order = Order(**json.loads(argv[1]))
        missing = [name for name in ("checkout", "tools", "logs", "scratch") if not order.paths.get(name)]
    except (IndexError, ValueError, TypeError, AttributeError) as error:
        return None, f"usage: launch.py JSON: {error}"
    if missing or order.kind not in ("batch", "service"):
        return None, f"usage: launch.py JSON: kind {order.kind!r}, missing paths: {', '.join(missing) or 'none'}"
    return order, ""
