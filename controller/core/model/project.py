"""A project at one commit: its stages, and the files that say what they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, Literal

NOTEBOOK: Final = ".ipynb"
TARGET_CPU_PERCENT: Final = 80
AS_OF_COMMIT: Final = "commit"
"""Packages as of the day on which a stage's requirements last changed."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a stage's container asks for. CPU in cores, memory in MiB; None: not set."""

    cpu_request: float | None = None
    memory_request_mb: int | None = None
    cpu_limit: float | None = None
    memory_limit_mb: int | None = None
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class Secret:
    """The key `key` of the Kubernetes Secret `secret` becomes the environment variable `variable`."""

    variable: str
    secret: str
    key: str
    optional: bool = False  # without it the variable is not set, and nothing waits for it


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one of a stage's numbers has to be for a run to go on: `text` is the limit as it is written.

    It is `number`, or what the last good run had, changed by it as `change` says.
    """

    name: str
    operator: str  # >= > <= < ==
    text: str
    number: float
    change: Literal["", "*", "+", "-"] = ""


@dataclass(frozen=True, slots=True)
class Parallel:
    """A batch stage that runs as `count` indexes, from 0, each with a pod, attempts and logs of its own."""

    count: int
    each: tuple[tuple[str, tuple[str, ...]], ...] = ()  # variables with their values; `count` is all combinations
    at_once: int = 0  # of them, at most
    peers: bool = False  # all at once, and they find each other by name

    def values(self, index: int) -> tuple[tuple[str, str], ...]:
        """Return the variables of one index with their values; the last varies fastest."""
        found = []
        for name, values in reversed(self.each):
            index, at = divmod(index, len(values))
            found.append((name, values[at]))
        return tuple(reversed(found))


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs to its end. `retries` attempts follow a failing one; the limit is the script's own time in seconds."""

    max_completion_seconds: int = 60
    retries: int = 2
    require: tuple[Comparison, ...] = ()  # that its numbers hold, or it fails
    parallel: Parallel | None = None  # None: it runs once


@dataclass(frozen=True, slots=True)
class Service:
    """Runs until replaced and answers on `port`; `max_startup_seconds` until it first does."""

    port: int
    max_startup_seconds: int = 60
    replicas: int = 1
    ingress: bool = False
    readiness_path: str = ""  # "": an open port is enough
    max_replicas: int = 0  # more than `replicas`: an autoscaler has as many pods as the load wants, up to so many
    target_cpu_percent: int = TARGET_CPU_PERCENT  # of the CPU that its pods request

    @property
    def scales(self) -> bool:
        """Return whether an autoscaler owns the number of pods."""
        return self.max_replicas > self.replicas

    @property
    def several(self) -> bool:
        """Return whether it may have two pods or more."""
        return max(self.replicas, self.max_replicas) > 1


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. `folder` is a POSIX path below the project ("." for its root), `script` one below the folder."""

    name: str
    folder: str
    script: str
    work: Batch | Service
    args: tuple[str, ...] = ()
    requirements_file: str = ""  # below the project; "": none
    requirements: tuple[str, ...] = ()  # lines; from the file, or written in bodywork.yaml
    resources: Resources = Resources()
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[Secret, ...] = ()
    python: str = ""  # like 3.9; "": the project's
    python_place: str = field(default="PYTHON", compare=False)  # where that is written, for sentences
    left_out: tuple[str, ...] = ()  # with REUSE: files and folders of the project that it does without

    @property
    def notebook(self) -> str:
        """Return the path of its script below the project if that is a notebook, else ""."""
        return str(PurePosixPath(self.folder, self.script)) if self.script.endswith(NOTEBOOK) else ""

    @property
    def parallel(self) -> Parallel | None:
        """Return how it runs many times at once, None where it runs once or serves."""
        return self.work.parallel if isinstance(self.work, Batch) else None

    @property
    def has_peers(self) -> bool:
        """Return whether its indexes find each other by name."""
        return self.parallel is not None and self.parallel.peers


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A project at one commit: its stages by name, and the order of their steps."""

    name: str
    steps: tuple[tuple[str, ...], ...]
    stages: Mapping[str, Stage]
    image: str = ""  # "": the request's or the controller's
    python: str = ""  # like 3.9; "": that of the image
    python_place: str = field(default="PYTHON of the project", compare=False)  # as for a stage
    bodywork_image: str = ""  # Bodywork's own image, as the project names it; it only decides on the Python
    is_yaml: bool = False  # keys are in lower case; services answer to http://STAGE:PORT too, where the name is free
    resolve_as_of: str = ""  # RFC 3339 day: packages as they were then; AS_OF_COMMIT; "": now
    run_on_failure: str = ""  # the stage that runs when a run has failed; in no step
    reuse: bool = False  # first stages whose inputs have not changed are taken from the last good run
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """What a Python file says of itself before it runs; all empty where nothing is known."""

    fault: str = ""  # why the controller's own Python does not compile it: IndentationError: unexpected indent
    needs: str = ""  # the oldest Python that takes it, 3.10; "": every one that stages may have
    needed_for: str = ""  # what the one before that says
    line: int = 0  # of `fault`, else of `needed_for`
    imports: tuple[str, ...] = ()  # a.b, .b: at its top level, on all ways through it


@dataclass(frozen=True, slots=True)
class ProjectTree:
    """What of a checkout the core reads: names of all files below the project, and the text of those it parses."""

    digest: str  # Git's id of the project's tree
    files: frozenset[str]  # POSIX, below the project
    texts: Mapping[str, bytes]  # of the files that were asked for so far
    faults: Mapping[str, str] = field(default_factory=dict)  # why a file can't be read: leaves the checkout, too large
    warnings: tuple[str, ...] = ()  # links that lead nowhere, Git LFS pointers and other things that are no error yet
    path: str = "."  # of the project in its repository
    modules: Mapping[str, Module] = field(default_factory=dict)  # of the Python files that were asked for so far


@dataclass(frozen=True, slots=True)
class Unread:
    """Files that the core has to know before it can judge a project: their texts, or what they are as modules."""

    texts: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.texts or self.modules)
