"""The project that a command is about: a folder of this machine as it stands, or a repository."""

import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from controller.adapters import pythons
from controller.adapters.git import Git, GitSettings, Snapshot
from controller.adapters.index import Trial
from controller.app.lock import share
from controller.app.state import named_folder, state_folder
from controller.core import images, layout
from controller.core.errors import Invalid
from controller.core.inputs import project, repository
from controller.core.inputs.project import pins
from controller.core.inputs.project.from_ini import REQUIREMENTS
from controller.core.model import Pipeline, ProjectTree
from controller.core.text import clean
from controller.reconciler.gather import read_project

# By this one a script is judged where nothing names another: a cluster's default or, where that is older, ours.
JUDGING = images.by_default(min(images.DEFAULT_PYTHON, pythons.OWN.minor, key=lambda version: int(version[2:])))
PROJECT_FILES = ("bodywork.ini", "bodywork.yaml", "bodywork.yml")

Load: TypeAlias = Callable[[Mapping[str, str]], tuple[ProjectTree, Pipeline]]
"""Returns a project; it is called with why files that lie in its folder are not in its snapshot, by name."""


@dataclass(frozen=True, slots=True)
class Place:
    """A project at a commit that is published below the state folder. `shown` is the commit as a person reads it."""

    repository: str
    commit: str
    path: str
    shown: str
    tree: ProjectTree
    pipeline: Pipeline

    @property
    def uid(self) -> str:
        """Return what its runs are kept under, and the copies that its stages work in."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.repository}#{self.path}"))

    @property
    def folder(self) -> Path | None:
        """Return the folder of this machine that the commit was made of, None for a repository elsewhere."""
        parts = urlsplit(self.repository)
        folder = Path(unquote(parts.path))
        return folder if parts.scheme == "file" and folder.is_dir() else None

    def own(self, line: str) -> str:
        """Return a line that a stage printed with the folder's own files, which an editor opens, for its copies."""
        scratch = re.escape(os.path.realpath(state_folder() / layout.SCRATCH / self.uid))
        return (
            re.sub(rf"{scratch}/[^/\s]+/scratch/work(?=/)", lambda _: str(self.folder), line) if self.folder else line
        )


def find(
    target: str,
    ref: str = "",
    path: str = ".",
    *,
    strict: bool = False,
    tried: bool = False,
    python: images.PythonOf | None = None,
) -> Place:
    """Return the project at `target`: a folder, or a repository's address with its ref and path.

    `tried`: a day that is proposed for old pins is tried against the package index first. `python` runs the stages that
    name none; None: see JUDGING. Raises Invalid with all problems, Transient where a remote is out of reach.
    """
    root = state_folder()
    share(root)
    git = Git(root, GitSettings(allow_file=True))
    folder = None if repository.resembles_address(target) else project_folder(target, path)
    if folder and ref:
        raise Invalid("WrongUse", ["--ref goes with a repository's address; a folder is taken as it stands"])
    taken = git.snapshot(folder) if folder else _remote(git, target, ref, path)
    address, commit = taken.repository, taken.commit
    git.publish(address, commit)
    judge = Trial(partial(git.last_change, address, commit, taken.path)).judge if tried else pins.unasked

    def load(left_out: Mapping[str, str]) -> tuple[ProjectTree, Pipeline]:
        tree = read_project(git, address, commit, taken.path, left_out)
        tree = replace(tree, warnings=(*taken.warnings, *tree.warnings))
        return tree, project.load(tree, strict=strict, judge=judge, python=python or JUDGING)

    tree, pipeline = _loaded(load, folder, git) if folder else load({})
    return Place(address, commit, taken.path, taken.shown, tree, pipeline)


def _loaded(load: Load, folder: Path, git: Git) -> tuple[ProjectTree, Pipeline]:
    """Load the project of a folder, and where it misses files, again with why they are left out. Raises Invalid."""
    try:
        tree, pipeline = load({})
    except Invalid:  # what it misses may lie in the folder
        if not (left_out := git.left_out(folder)):
            raise
        for name in left_out.keys() & set(PROJECT_FILES):
            raise Invalid("NoProject", [f"{name}: {left_out[name]}"]) from None
        return load(left_out)
    stages = [stage for stage in pipeline.stages.values() if not stage.requirements]
    if any((folder / stage.folder / REQUIREMENTS).is_file() for stage in stages):
        return load(git.left_out(folder))
    return tree, pipeline


def _remote(git: Git, target: str, ref: str, path: str) -> Snapshot:
    """Return the commit of a repository that can be read without a key."""
    check_address(target)
    if repository.is_ssh(target):
        clone = f"git clone {clean(target)} and give its folder"
        line = f"{clean(target)} is reached over ssh, with a key that only git has: {clone}, or give its https address"
        raise Invalid("GitSecretRequired", [line])
    commit = git.resolve(target, ref)
    return Snapshot(target, commit, path, commit[:7])


def check_address(target: str) -> None:
    """Raise Invalid, with what to type instead, for the address of a page that shows a repository to a browser."""
    try:
        repository.address(target)
    except repository.Page as page:
        raise Invalid("RepositoryRefused", [f"{clean(target)} is a page for browsers: write {page.typed}"]) from None
    except ValueError:  # all else that is wrong is Git's to say
        return


def project_folder(target: str, path: str) -> Path:
    """Return a project's folder; one without a project file is refused before anything of it is copied."""
    folder = named_folder(target) / path
    if folder.is_file():
        raise Invalid("WrongUse", [f"{folder}: it is a file: give the folder that holds it"])
    if not folder.is_dir():
        like = f", like https://{target}" if re.match(r"[\w-]+(\.[\w-]+)+/", target) else ""
        raise Invalid(
            "WrongUse", [f"{folder}: no such folder: give a project's folder, or a repository's address{like}"]
        )
    if not any(entry.name.lower() in PROJECT_FILES for entry in folder.iterdir()):  # a misspelled one is reported later
        raise Invalid("NoProject", [f"{folder}: no bodywork.ini or bodywork.yaml: give the folder that holds one"])
    return folder
