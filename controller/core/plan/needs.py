"""The facts that a decision may ask for: each is named by a question, and looked up at most once in a pass.

The answer is a value, or the Invalid, NotYet or Transient that came instead: what follows from an error is decided
here, too. Looking something up may put on the volume what it is about (a checkout, say), and changes nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Generic, TypeAlias, TypeVar

from controller.core.documents.run import RunFile
from controller.core.facts import JobFact
from controller.core.inputs.index import Index
from controller.core.model import Environment, Object, Pipeline, ProjectTree, Record, RunSpec

T_co = TypeVar("T_co", covariant=True)

Key: TypeAlias = tuple[str, str]
"""Kind and name of an object."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T_co]):
    """A question whose answer is a T."""


@dataclass(frozen=True, slots=True)
class Commit(Question[str]):
    """The commit that the request's `ref` is now."""

    since: datetime | None = None  # what it was then, or later, is as good; None: when the latest news came


@dataclass(frozen=True, slots=True)
class Project(Question[tuple[ProjectTree, Pipeline]]):
    """What is in a repository's folder at a commit; its checkout is on the volume then."""

    repository: str
    commit: str
    path: str
    image: str  # the default image, whose Python the project is judged by
    begins: bool = False  # for a new run: nothing that it needs of the repository may be swept, or be missing


@dataclass(frozen=True, slots=True)
class Contents(Question[Mapping[str, str]]):
    """What tells the content of each file of a project from any other, by the file's path below the project."""

    project: Project


@dataclass(frozen=True, slots=True)
class KeptSpec(Question[RunSpec | None]):
    """What a kept run was started with; None: it is not kept."""

    run: int


@dataclass(frozen=True, slots=True)
class KeptRun(Question[RunFile]):
    """What the file of a kept run says; empty where it is not kept."""

    run: int


@dataclass(frozen=True, slots=True)
class Live(Question[Object | None]):
    """An object as the API server has it now, which the caches may not hold, or not whole; None where it is gone."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Base:
    """What a stage runs in: the image and what else its packages depend on, and its Python where it is known."""

    text: str
    python: str = ""


@dataclass(frozen=True, slots=True)
class Environments(Question[tuple[tuple[Environment, ...], tuple[str, ...]]]):
    """The environments that these stages of a new run need, and what is worth knowing about them.

    What builds them is on the volume then; environments of earlier runs that went out of date are not taken.
    """

    project: Project
    bases: tuple[tuple[str, Base], ...]  # by stage
    index: Index
    tree: ProjectTree = field(compare=False, repr=False)
    pipeline: Pipeline = field(compare=False, repr=False)
    record: Record = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Build:
    """An environment as the volume and the cluster have it."""

    ready: bool = False  # published
    uncompiled: bool = False  # and some of its modules are not compiled
    made: bool = False  # complete, but not published yet
    job: JobFact | None = None
    lingering: bool = False  # there is no Job, but a pod of one that has not ended


@dataclass(frozen=True, slots=True)
class BuildOf(Question[Build]):
    """How an environment stands."""

    folder: str


@dataclass(frozen=True, slots=True)
class Sources(Question[None]):
    """Nothing, once the volume has the sources of these environments, and what builds them as they were once built.

    What serves already finds its folders and checkouts as well, unless the repository does not have a commit any more.
    """

    environments: tuple[Environment, ...]
    serving: frozenset[PurePosixPath]  # what it mounts
    record: Record | None = field(compare=False, repr=False)  # whose runs may have met an outdated environment


@dataclass(frozen=True, slots=True)
class Holder(Question[str]):
    """Who else holds the name of an object, "": nobody; NotYet: it is about to become free."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class NewestRun(Question[int]):
    """The newest run that has left logs, `after` if it is not newer: what is there would be taken for a new run's."""

    after: int


@dataclass(frozen=True, slots=True)
class RunFolder(Question[None]):
    """Nothing, once the volume has what a new run begins with: a copy of run `base`'s artifacts, and what it uses."""

    run: int
    base: int
    uses: frozenset[PurePosixPath]
    needed: bool = False  # there are such artifacts, or the answer is Invalid


@dataclass(frozen=True, slots=True)
class Inherited(Question[None]):
    """Nothing, once a run that has begun has the artifacts of run `base`."""

    run: int
    base: int


@dataclass(frozen=True, slots=True)
class Room(Question[str]):
    """How much of the volume is free, in words; "" where nobody knows."""


Need: TypeAlias = (
    Commit
    | Project
    | Contents
    | KeptSpec
    | KeptRun
    | Live
    | Environments
    | BuildOf
    | Sources
    | Holder
    | NewestRun
    | RunFolder
    | Inherited
    | Room
)


@dataclass(frozen=True, slots=True)
class Needs:
    """The questions to be answered before there can be a decision."""

    questions: tuple[Need, ...]
