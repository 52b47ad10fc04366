"""What a launch is told to do, and what it tells in the end; small files written so that readers see all or nothing.

No dataclasses here: their import is a fifth of what the launcher costs before the script.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

if TYPE_CHECKING:
    from controller.runtime import stage_cause
else:  # published side by side: the folder of launch.py is where Python looks first
    import stage_cause

HOPELESS = 121  # the exit code of what another attempt would not mend


class Refused(Exception):
    """The stage can't run, and another attempt would not help: reason and message."""

    def __init__(self, reason: str, message: str) -> None:
        """Take what the status will show."""
        super().__init__(message)
        self.reason = reason


class Order(NamedTuple):
    """What to run. Paths are relative as named; times are seconds."""

    kind: str  # batch, service
    commit: str
    folder: str  # below the project
    script: str  # below the folder
    limit: float
    paths: Dict[str, str]  # checkout, tools, logs, scratch; environments, where they are kept from run to run
    project: str = "."  # below the checkout
    args: Sequence[str] = ()
    requirements_file: str = ""
    requirements: Sequence[str] = ()
    install_limit: float = 900
    port: int = 0
    readiness_path: str = ""
    attempts: int = 1
    log_cap: int = 64 * 1024 * 1024
    grace: float = 30
    secrets: Sequence[str] = ()  # variables whose values no message may show

    @property
    def scratch(self) -> str:
        """Give the pod's private folder, without symlinks: tracebacks name real paths."""
        return os.path.realpath(self.paths["scratch"])

    @property
    def environment(self) -> str:
        """Give the private folder of the stage's packages, for where none are kept."""
        return os.path.join(self.scratch, "environment")

    @property
    def places(self) -> stage_cause.Places:
        """Give where everything lies in the private copy."""
        checkout = os.path.join(self.scratch, "work")
        project = os.path.normpath(os.path.join(checkout, self.project))
        folder = os.path.normpath(os.path.join(project, self.folder))
        script = os.path.relpath(os.path.join(folder, self.script), project)
        missing_here = "the stage's `requirements` in bodywork.yaml"
        if self.requirements_file or not self.requirements:
            missing_here = self.requirements_file or os.path.normpath(os.path.join(self.folder, "requirements.txt"))
        return stage_cause.Places(checkout, project, folder, script, missing_here)


class Outcome:
    """How it went; the fields of `<attempt>.json` and of the termination message."""

    def __init__(self) -> None:
        """Begin now, with no verdict."""
        self.exit_code = HOPELESS
        self.reason = self.message = ""
        self.attempt = 0
        self.started = now()
        self.script_started = self.first_start = ""

    def set(self, exit_code: int, reason: str, message: str) -> None:
        """Take the verdict."""
        self.exit_code, self.reason, self.message = exit_code, reason, message


def now() -> str:
    """Give the time as RFC 3339 in UTC, with milliseconds."""
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_text(path: str, limit: int = 16384) -> str:
    """Give the first `limit` characters of a file, "" if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(limit)
    except OSError:
        return ""


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
