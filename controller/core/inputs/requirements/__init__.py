"""What a stage's environment is made of: requirement texts -> normal form, local files, Git addresses, and its key.

Texts that mean the same give the same key: comments, blank lines, continuations, the case of names, and the files that
lines are spread over make no difference. Refuses, with all problems at once, what points outside the project or holds
credentials; a requirement that is merely wrong is left to the installer, which explains it best.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import checks
from controller.core.inputs.requirements import hashes
from controller.core.inputs.requirements.address import git_address
from controller.core.inputs.requirements.closure import Closure, Entry, Project, settle
from controller.core.inputs.requirements.standard import remark
from controller.core.inputs.requirements.text import LIMIT, decoded, lines
from controller.core.model import Stage

__all__ = [
    "LIMIT",
    "Look",
    "Missing",
    "Project",
    "Wanted",
    "decoded",
    "git_address",
    "key",
    "lines",
    "look",
    "place_of",
    "remark",
    "told",
    "wanted",
]

KEY_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the environment of one stage is made of.

    `lines` and `constraints` are requirement files that uv reads; paths in them start with `./` and are relative to
    the project, whichever file they were written in. A Git requirement is `[NAME[EXTRAS] @ ]ADDRESS[#subdirectory=X]`
    with one of `addresses`, up to white space, `#` or the end.
    """

    file: str  # what a user knows it by: train/requirements.txt
    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    places: tuple[str, ...] = ()  # of each line, then of each constraint: common.txt:3
    paths: tuple[str, ...] = ()  # files and folders below the project, sorted; "." is all of it
    addresses: tuple[str, ...] = ()  # git+URL@REF, as written


@dataclass(frozen=True, slots=True)
class Missing:
    """Files of the project whose texts have to be known first."""

    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What is known before all texts are: problems with their places, and each line in normal form with its place.

    `missing` are the files whose texts are not known yet.
    """

    problems: tuple[str, ...]
    lines: Mapping[str, str]
    limits: tuple[str, ...] = ()  # those of `lines` that are constraints
    missing: tuple[str, ...] = ()


def wanted(stage: Stage, files: Collection[str], texts: Mapping[str, bytes]) -> Wanted | Missing | None:
    """Give what a stage's environment is made of, None where it needs no packages.

    `files` are the names of all files of the project, `texts` the contents of some. Raises Invalid("InvalidProject").
    """
    project = Project(files, _folders(files), texts)
    file = stage.requirements_file or f"bodywork.yaml: stages.{stage.name}.requirements"
    closure, found = _closed(
        project, stage.requirements_file, stage.folder, [(file, line) for line in stage.requirements]
    )
    if closure.problems:
        raise Invalid("InvalidProject", checks.bounded(closure.problems, f"{file}: and more problems"))
    if closure.missing:
        return Missing(tuple(sorted(set(closure.missing))))
    own = _texts(found, constraint=False)
    if all(text.startswith("--") and not text.startswith("--requirement") for text in own):
        return None
    limits = _texts(found, constraint=True)
    return Wanted(
        file=file,
        lines=tuple(own),
        constraints=tuple(limits),
        places=(*own.values(), *limits.values()),
        paths=tuple(sorted({path for _, path in found if path})),
        addresses=tuple(dict.fromkeys(entry.item.address for entry, _ in found if entry.item.address)),
    )


def look(project: Project, file: str, folder: str, inline: tuple[str, tuple[str, ...]] = ("", ())) -> Look:
    """Give what is wrong with requirements, and what they come to, as far as the known texts tell.

    `file` is the requirement file; "": the lines of `inline` (place, lines). `folder` is the stage's.
    """
    place, written = inline
    closure, found = _closed(project, file, folder, [(place, line) for line in written])
    own, limits = _texts(found, constraint=False), _texts(found, constraint=True)
    return Look(tuple(closure.problems), {**limits, **own}, tuple(limits), tuple(closure.missing))


def key(wanted: Wanted, *, image: str, paths: str, commits: Mapping[str, str], index: str, as_of: str) -> str:
    """Give the environment's key, 20 hexadecimal digits.

    `paths` is the digest of what `wanted.paths` hold, `commits` the commit of each address, `index` a digest of the
    settings of package indexes, `as_of` the day on which versions are chosen.
    """
    parts = [wanted.lines, wanted.constraints, wanted.paths and paths, sorted(commits.items()), image, index, as_of]
    return names.digest(json.dumps(parts), KEY_DIGITS)


def told(wanted: Wanted, as_of: str, *, by_default: bool = False) -> str:
    """Give requirements.json: all that the builder is told (see runtime/install_requirements.py)."""
    asked = {"as_of_by_default": True} if by_default else {}
    return json.dumps({**asdict(wanted), "as_of": as_of, **asked}, ensure_ascii=False) + "\n"


def place_of(wanted: Wanted, address: str) -> str:
    """Return where a Git address is written."""
    named = re.compile(rf"{re.escape(address)}(?=[#\s]|$)")
    places = zip((*wanted.lines, *wanted.constraints), wanted.places, strict=False)
    return next((place for line, place in places if named.search(line)), wanted.file)


def _closed(
    project: Project, file: str, folder: str, inline: list[tuple[str, str]]
) -> tuple[Closure, tuple[tuple[Entry, str], ...]]:
    """Follow a requirement file, or the lines in bodywork.yaml, which stand at the project's root."""
    closure = Closure(project)
    if file:
        closure.file(file)
        folder = str(PurePosixPath(file).parent)
    else:
        closure.follow(inline, "")
    found = settle(closure, (folder, "."))
    if not closure.missing:  # else what has the hashes may be among it
        closure.problems += hashes.problems(found, project)
    return closure, found


def _texts(found: tuple[tuple[Entry, str], ...], *, constraint: bool) -> dict[str, str]:
    """Give the lines in normal form, each once, with the place where it is first."""
    result: dict[str, str] = {}
    for entry, path in found:
        if entry.constraint == constraint:
            local = f"./{path}" if path and path != "." else "./" * bool(path)
            result.setdefault(f"{entry.item.before}{local}{entry.item.after}".strip(), entry.place)
    return result


def _folders(files: Collection[str]) -> frozenset[str]:
    """Give the folders that hold files, at any depth."""
    folders: set[str] = set()
    for file in files:
        parent = file.rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(folders)
