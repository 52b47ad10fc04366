"""What a command is about: a folder of this machine as it stands, or a repository; and where local state is kept."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from controller.core.errors import Invalid
from controller.core.model import Environment, Pipeline, ProjectTree, RunSpec

if TYPE_CHECKING:
    from controller.core import images

PROJECT_FILES = ("bodywork.ini", "bodywork.yaml", "bodywork.yml")


@dataclass(frozen=True, slots=True)
class Place:
    """A project at a commit that is published below the state folder. `shown` is the commit as a person reads it."""

    repository: str
    commit: str
    path: str
    shown: str
    tree: ProjectTree
    pipeline: Pipeline


def state_folder() -> Path:
    """Give the one folder of local state: $COACHWORK_HOME, else below $XDG_STATE_HOME or ~/.local/state."""
    home = os.environ.get("COACHWORK_HOME")
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() if home else Path(base).expanduser() / "coachwork"


def find(
    target: str,
    ref: str = "",
    path: str = ".",
    *,
    strict: bool = False,
    tried: bool = False,
    python: "images.Default | None" = None,
) -> Place:
    """Return the project at `target`: a folder, or a repository's address with its ref and path.

    `tried`: a day that is proposed for old pins is tried against the package index first. `python` is what runs the
    stages that ask for none, None for a cluster's default. Raises Invalid with all problems, Transient where a remote
    can't be reached.
    """
    from controller.adapters.git import Git, GitSettings  # noqa: PLC0415 (imported when called: --help stays quick)
    from controller.adapters.index import Trial  # noqa: PLC0415
    from controller.core import images  # noqa: PLC0415
    from controller.core.inputs import project  # noqa: PLC0415
    from controller.core.inputs.project import pins  # noqa: PLC0415
    from controller.reconciler import reading  # noqa: PLC0415

    git = Git(_made(state_folder()), GitSettings(allow_file=True))
    if re.match(r"[a-z][a-z0-9+.-]*://|[^/]+@[^/]+:", target):
        commit = git.resolve(target, ref)
        repository, shown = target, commit[:7]
    else:
        if ref:
            raise Invalid("WrongUse", ["--ref goes with a repository's address; a folder is taken as it stands"])
        snapshot = git.snapshot(_project(target, path))
        repository, commit, path, shown = snapshot.repository, snapshot.commit, snapshot.path, snapshot.shown
    git.publish(repository, commit)
    tree = reading.whole(git, repository, commit, path)
    judge = Trial(partial(git.last_change, repository, commit, path)).judge if tried else pins.unasked
    pipeline = project.load(tree, strict=strict, judge=judge, python=python or images.Default())
    return Place(repository, commit, path, shown, tree, pipeline)


def origin(folder: Path) -> str:
    """Return the address that a folder of this machine was cloned from, "" where there is none that a cluster takes."""
    from controller.adapters.git import Git, GitSettings  # noqa: PLC0415 (imported when called: --help stays quick)
    from controller.core.inputs import repository  # noqa: PLC0415

    address = Git(_made(state_folder()), GitSettings()).origin(folder)
    try:
        return repository.parse(address) if not address.startswith("file:") else ""
    except ValueError:  # none, another folder, or one with a password, which is not to be shown
        return ""


def environments(place: Place, spec: RunSpec, pythons: Mapping[str, str]) -> tuple[Environment, ...]:
    """Return the environments that the project's stages would be given in this run. Raises Invalid, Transient."""
    from controller.adapters.git import Git, GitSettings  # noqa: PLC0415 (imported when called: --help stays quick)
    from controller.adapters.volume import Volume  # noqa: PLC0415
    from controller.core import images  # noqa: PLC0415
    from controller.core.inputs.index import Index  # noqa: PLC0415
    from controller.core.model import Request  # noqa: PLC0415
    from controller.reconciler.environments import Base, Builders, Project  # noqa: PLC0415

    root = state_folder()
    request = Request(place.pipeline.name, "", place.repository, path=place.path)
    builders = Builders(Git(root, GitSettings(allow_file=True)), Volume(root))
    found = Project(request, place.commit, place.tree, place.pipeline)
    bases = {
        stage: Base(f"{images.of_stage(spec, place.pipeline, stage)}\n", pythons[stage])
        for stage in place.pipeline.stages
    }
    return builders.decide(found, tuple(place.pipeline.stages), bases, Index())[0]


def _project(target: str, path: str) -> Path:
    """Give a project's folder; one without a project file is refused before anything of it is copied."""
    folder = Path(target).expanduser() / path
    if folder.is_file():
        raise Invalid("WrongUse", [f"{folder}: is a file: give the folder that holds it"])
    if not folder.is_dir():
        raise Invalid("WrongUse", [f"{folder}: no such folder: give a project's folder, or a repository's address"])
    if not any(entry.name.lower() in PROJECT_FILES for entry in folder.iterdir()):  # a misspelled one is told later
        raise Invalid("NoProject", [f"{folder}: no {' or '.join(PROJECT_FILES)}: give the folder that holds one"])
    return folder


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"{folder}: can't be made ({os.strerror(error.errno or 0)}): set COACHWORK_HOME to a folder of yours"
        raise Invalid("WrongUse", [problem]) from error
    return folder
