"""What a launch has to do, and its outcome; small files written so that readers see all or nothing.

Neither dataclasses nor typing here: their imports are a fifth of what the launcher costs before the script.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time

TYPE_CHECKING = False  # typing has one, and is not imported before a script: it costs a start more than all of ours
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple
else:

    class NamedTuple:
        """Sets the annotated fields, by position or by name, as a tuple of typing does."""

        def __init__(self, *values: Any, **named: Any) -> None:
            """Set them. Raises TypeError."""
            fields = type(self).__annotations__
            given = {**dict(zip(fields, values)), **named}  # noqa: B905 - Python 3.8
            problems = [f"missing {name}" for name in fields if not (name in given or hasattr(self, name))]
            problems += [f"unknown {name}" for name in given if name not in fields]
            if problems:
                raise TypeError(", ".join(problems))
            vars(self).update(given)


HAND_OVER = "hand files over to later stages in COACHWORK_ARTIFACTS"
MAY_PASS = 1  # the exit code of what another attempt may mend
HOPELESS = 121  # of what it would not
MOST_SAID = 64 * 1024  # characters of an outcome's file
VOLUME_FULL = "VolumeFull"  # the reason by which the controller knows that it has to make room
ARGUMENT_LIMIT = 120 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT)


class Unable(Exception):
    """It can't be done: reason and message; as a rule another attempt would end in the same way."""

    def __init__(self, reason: str, message: str, code: int = HOPELESS) -> None:
        """Set what the status will show, and the exit code."""
        super().__init__(message)
        self.reason, self.code = reason, code


class ScriptPlaces(NamedTuple):
    """Where a script lives: absolute folders, and its own path relative to the project."""

    checkout: str
    project: str
    folder: str
    script: str  # relative to the project
    requirements: str  # where a missing package would be named


class StageOrder(NamedTuple):
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
    environment: str = ""  # the name that a complete environment has
    install_limit: float = 900  # for the repair of an environment that another Python made
    workspace_limit: int = 0  # bytes of the project's copy; 0: none
    port: int = 0
    readiness_path: str = ""
    attempts: int = 1
    log_cap: int = 64 * 1024 * 1024
    grace: float = 30
    first_retry: Optional[float] = None  # seconds from the first failure to an attempt in the same pod; None: none
    secrets: Sequence[str] = ()  # variables whose values nothing that is written may show
    wake: str = ""  # what to call after a good end, HOST:PORT/PATH; "": nothing
    require: Sequence[Tuple[str, str, Optional[float], str]] = ()  # what its numbers have to hold: see stage_metrics.py
    left_out: Sequence[str] = ()  # with REUSE: what of the project the stage does without; none: it has all
    indexes: int = 0  # of a parallel stage; 0: it runs once
    peers: Sequence[str] = ()  # host names of its indexes, where these find each other
    peers_port: int = 0  # on which the first of them is to listen
    each: Sequence[Tuple[str, Sequence[str]]] = ()  # variables of which each index has one value: see stage_index.py
    parameters: Sequence[str] = ()  # of a notebook: variables that its cell of parameters may be given

    @property
    def scratch(self) -> str:
        """Return the pod's private folder, without symlinks: tracebacks name real paths."""
        return os.path.realpath(self.paths["scratch"])

    @property
    def is_yaml(self) -> bool:
        """Return whether the project is written in bodywork.yaml, whose keys are in lower case."""
        return os.path.isfile(os.path.join(self.paths["checkout"], self.project, "bodywork.yaml"))

    @property
    def places(self) -> ScriptPlaces:
        """Return where everything is in the private copy.

        Next to a bodywork.yaml no stage's requirements.txt is read: packages are named in the former.
        """
        checkout = os.path.join(self.scratch, "work")
        project = os.path.normpath(os.path.join(checkout, self.project))
        folder = os.path.normpath(os.path.join(project, self.folder))
        script = os.path.relpath(os.path.join(folder, self.script), project)
        requirements = self.requirements
        if os.path.basename(requirements) == "requirements.txt" and self.is_yaml:
            requirements = "the stage's `requirements` in bodywork.yaml"
        return ScriptPlaces(checkout, project, folder, script, requirements)


class Outcome:
    """How a launch or a build ended; the fields of `<attempt>.json` and of the termination message."""

    def __init__(self) -> None:
        """Start now, without a verdict."""
        self.exit_code = HOPELESS
        self.reason = self.message = ""
        self.attempt = 0
        self.started = now()
        self.script_started = self.first_start = ""
        self.warnings: List[str] = []
        self.metrics: Dict[str, float] = {}  # the numbers that the script left
        self.environment = ""  # outdated: another Python made it

    def set(self, exit_code: int, reason: str, message: str) -> None:
        """Set the verdict."""
        self.exit_code, self.reason, self.message = exit_code, reason, message


class Ended(NamedTuple):
    """How a process ended."""

    status: int  # its exit code, or -n for signal n
    left: int  # processes that it left running, and that were killed
    out_of_memory: bool  # the kernel killed it, or one of its processes
    seconds: float


def now() -> str:
    """Return the time as RFC 3339 in UTC, with milliseconds."""
    at = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"


def arguments(text: str) -> List[str]:
    """Return ASCII text in parts that each can be an argument of a process: Linux refuses one of 128 KiB and more."""
    return [text[start : start + ARGUMENT_LIMIT] for start in range(0, len(text), ARGUMENT_LIMIT)]


def read_text(path: str, limit: int = 16384) -> str:
    """Return the first `limit` characters of a plain file, "" if it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="replace", opener=open_plain) as file:
            return file.read(limit)
    except OSError:
        return ""


def open_plain(path: str, flags: int) -> int:
    """Open a file; of a pipe that a script left in its place nobody would ever hear."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o664)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return descriptor


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    import hashlib  # noqa: PLC0415 - not before a script: it costs a start

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_json(path: str, limit: int = 16384) -> Dict[str, Any]:
    """Return the JSON object in a file, {} where there is none: a stage or a build may write wherever we do."""
    try:
        found = json.loads(read_text(path, limit))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def files(folder: str, most: int, is_passed_over: Callable[[str], Any]) -> Iterator[str]:
    """Yield the plain files below a folder, about `most` at most, without names that are passed over."""
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_passed_over(name))
        paths = (os.path.join(top, name) for name in sorted(names)[: max(most, 0)] if not is_passed_over(name))
        yield from filter(os.path.isfile, paths)
        most -= len(folders) + len(names)
        if most < 0:
            return


def clear(path: str) -> None:
    """Remove what a script left in the place of a file of ours; a folder moves aside. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError:
        os.rename(path, f"{path}.{time.time_ns()}")


def write_atomically(path: str, content: Dict[str, Any], durable: bool, sealed: bool = True) -> None:
    """Write JSON so that readers see all of it or nothing; `durable`: the machine may die, too. Raises OSError.

    What is durable is sealed as well, as core/documents/seal.py does it: it is acted upon, and disks fail. Unless it is
    for others to read, not `sealed`.
    """
    fresh, text = f"{path}.new", json.dumps(content)
    clear(fresh)
    with open(fresh, "x", encoding="utf-8") as file:
        file.write(f'{text[:-1]},\n "digest": "{digest(text[:-1])}"\n}}\n' if durable and sealed else text)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    if os.path.isdir(path):
        clear(path)
    os.rename(fresh, path)
