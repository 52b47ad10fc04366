"""What a stage's environment is made of: requirement texts -> normal form, local files, Git addresses, and its key.

Texts that mean the same give the same key: comments, blank lines, continuations, the case of names, and the files that
lines are spread over make no difference. Refuses, with all problems at once, what no installer could read, points
outside the project or holds credentials. The builder gets all of it as data, and parses nothing again.
"""

import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import kinds
from controller.core.inputs.requirements import hashes
from controller.core.inputs.requirements.address import git_address
from controller.core.inputs.requirements.closure import Closure, Files, RequirementLine, settle
from controller.core.inputs.requirements.line import Directive
from controller.core.inputs.requirements.text import LIMIT, decoded, lines, numbered
from controller.core.model import Stage

__all__ = [
    "LIMIT",
    "YAML",
    "Files",
    "Findings",
    "RequirementLine",
    "Requirements",
    "Unknown",
    "decoded",
    "find",
    "git_address",
    "key",
    "lines",
    "numbered",
    "of_stage",
    "remark",
]

KEY_DIGITS = 20
RUNS_NOTEBOOKS = ("nbclient", "ipykernel", "nbconvert")  # of each stage that is one: runtime/notebook_run.py
YAML = "bodywork.yaml"
_BACKPORTS = {  # packages of these names that bring a later Python's module to an earlier one
    *("argparse", "configparser", "contextvars", "dataclasses", "ipaddress", "statistics", "typing", "zoneinfo")
}


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the environment of one stage is made of: requirements, then constraints, each once.

    Their paths are relative to the project, whichever file they were written in.
    """

    file: str  # what a user knows it by: train/requirements.txt
    entries: tuple[RequirementLine, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The requirements in normal form."""
        return tuple(one.text for one in self.entries if not one.constraint)

    @property
    def constraints(self) -> tuple[str, ...]:
        """The constraints in normal form."""
        return tuple(one.text for one in self.entries if one.constraint)

    @property
    def paths(self) -> tuple[str, ...]:
        """Files and folders below the project, sorted; "." is all of it."""
        return tuple(sorted({one.item.path for one in self.entries if one.item.path}))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses of Git repositories, as written."""
        return tuple(dict.fromkeys(one.item.address for one in self.entries if one.item.address))

    def place_of(self, address: str) -> str:
        """Return where a Git address is written."""
        return next((one.place for one in self.entries if one.item.address == address), self.file)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Files of the project whose texts have to be known first."""

    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known before all texts are: problems with their places, and the lines, as in `Requirements`.

    `missing` are the files whose texts are not known yet.
    """

    problems: tuple[str, ...]
    entries: tuple[RequirementLine, ...] = ()
    missing: tuple[str, ...] = ()


def find(
    project: Files, file: str, folder: str, inline: Iterable[tuple[str, str]] = (), *, notebook: str = ""
) -> Findings:
    """Return what requirements come to, and what is wrong with them, as far as the known texts say.

    `file` is the requirement file; "": the `inline` places and lines of bodywork.yaml. `folder` is the stage's.
    Where the stage runs a `notebook`, it also requires what runs that.
    """
    closure = Closure(project)
    if file:
        closure.file(file)
        folder = str(PurePosixPath(file).parent)
    else:
        closure.follow(inline, YAML)
    if not closure.missing:  # else one may be named in what is not known yet
        named = {one.item.name for one in closure.entries if not (one.constraint or one.item.marked)}
        added = (name for name in RUNS_NOTEBOOKS if notebook and name not in named)
        closure.follow(((f"{notebook}, which needs {name}", name) for name in added), notebook)
    settled = settle(closure, (folder, "."))
    if not closure.missing:  # else what has the hashes may be among it
        closure.problems += hashes.problems(settled, project)
    once: dict[tuple[bool, str], RequirementLine] = {}  # each text with the place where it is first
    for entry in settled:
        once.setdefault((entry.constraint, entry.text), entry)
    entries = sorted(once.values(), key=lambda entry: entry.constraint)
    return Findings(tuple(closure.problems), tuple(entries), tuple(closure.missing))


def of_stage(stage: Stage, files: Collection[str], texts: Mapping[str, bytes]) -> Requirements | Unknown | None:
    """Return what a stage's environment is made of, None where it needs no packages.

    `files` are the names of all files of the project, `texts` the contents of some. Raises Invalid("InvalidProject").
    """
    project = Files(files, _folders(files), texts)
    file = stage.requirements_file or f"{YAML}: stages.{stage.name}.requirements"
    if not stage.requirements:
        file = stage.notebook or file
    inline = ((file, line) for line in stage.requirements)
    found = find(project, stage.requirements_file, stage.folder, inline, notebook=stage.notebook)
    if found.problems:
        raise Invalid("InvalidProject", kinds.bounded(found.problems, f"{file}: and more problems"))
    if found.missing:
        return Unknown(tuple(sorted(set(found.missing))))
    own = (one for one in found.entries if not one.constraint)
    if all(one.item.option and one.item.option != "--requirement" for one in own):
        return None
    return Requirements(file, found.entries)


def key(found: Requirements, *, image: str, paths: str, commits: Mapping[str, str], index: str, as_of: str) -> str:
    """Return the environment's key, 20 hexadecimal digits.

    `paths` is the digest of what `found.paths` hold, `commits` the commit of each address, `index` a digest of the
    settings of package indexes, `as_of` the day on which versions are chosen.
    """
    parts = [found.lines, found.constraints, found.paths and paths, sorted(commits.items()), image, index, as_of]
    return names.digest(json.dumps(parts), KEY_DIGITS)


def remark(item: Directive) -> str:
    """Return what is to be said of a requirement for a part of Python, or for what may change; "" for nothing."""
    if item.option in ("--requirement", "--constraint") and item.after:
        changes = f"what {item.after} holds is read when the environment is built, and later changes go unnoticed"
        return f"{changes}: commit the file, and write its path"
    name = item.name if item.versions is not None and not item.marked else ""
    if re.fullmatch(r"python-?[0-9.-]*", name):
        return f"`{name}` is Python itself, not a package: remove the line; PYTHON chooses the version"
    if name.replace("-", "_") in sys.stdlib_module_names and name not in _BACKPORTS:
        return f"`{name}` is a part of Python itself, not a package: remove the line"
    return ""


def _folders(files: Collection[str]) -> frozenset[str]:
    """Return the folders that hold files, at any depth."""
    folders: set[str] = set()
    for file in files:
        parent = file.rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(folders)
