"""Requirement files as uv can take them: read through `-r` and `-c`, checked, and rewritten in a copy where need be.

Relative paths mean what they mean to pip: `-r` and `-c` start from the file, packages (`./wheels/x.whl`) from the
working folder, which is the requirement file's folder, or the project's root where all of them exist only there.
`-e ./x` becomes `./x`: an editable installation leaves a path that is gone later. Git addresses become the folders that
the controller has checked out. What leaves the project is refused. Lines keep their numbers.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Sequence, Tuple

if TYPE_CHECKING:
    from controller.runtime import stage_copy
    from controller.runtime.stage_order import Refused
else:  # published side by side
    import stage_copy
    from stage_order import Refused

MOST_FILES = 100
LARGEST = 1 << 20  # characters of one file
_FILE = re.compile(r"^(?P<option>\s*(?:-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?<=-[rc])))(?P<path>[^\s#].*)$")
_LINKS = re.compile(r"^\s*(?:-f|--find-links)(?:\s*=\s*|\s+)(?P<path>\S+)")
_EDITABLE = re.compile(r"^(?P<indent>\s*)(?:-e|--editable)(?:\s*=\s*|\s+)(?P<rest>\S.*)$")
_NAMED = re.compile(r"^\s*[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*@\s*(?P<path>\S+)")
_SOURCE = (
    r"^(?P<indent>\s*)(?:(?P<name>[A-Za-z0-9][\w.-]*)\s*(?P<extras>\[[^\]]*\])?\s*@\s*)?"
    r"%s(?P<fragment>#[^\s;]*)?(?P<rest>(?:[\s;].*)?)$"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ARCHIVE = re.compile(r"\.(whl|zip|tgz|tar|tar\.\w+)$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


class Wanted(NamedTuple):
    """What is required, and of which project. Absolute folders."""

    project: str
    folder: str  # of the stage, below the project
    requirements_file: str  # below the project; "": the lines
    requirements: Sequence[str]
    sources: Dict[str, str]  # address in a requirement -> folder of its checkout
    scratch: str

    @property
    def name(self) -> str:
        """Give what a user knows the requirements by."""
        return self.requirements_file or "bodywork.yaml: requirements"

    @property
    def base(self) -> str:
        """Give the folder that relative paths start from."""
        below = os.path.dirname(self.requirements_file) if self.requirements_file else self.folder
        return os.path.normpath(os.path.join(self.project, below))


class Text(NamedTuple):
    """One requirement file."""

    name: str  # as a user knows it
    path: str
    lines: List[str]


class Prepared(NamedTuple):
    """What to hand to uv."""

    path: str  # of the requirement file
    folder: str  # to run in
    texts: List[Text]  # the file and all that it includes, as the user wrote them
    places: Dict[str, str]  # folder in the container -> what the user calls it


def prepare(wanted: Wanted) -> Prepared:
    """Read, check and, where need be, copy and rewrite. Raises Refused, OSError."""
    texts = _texts(wanted)
    folder = _working_folder(wanted, texts)
    _check_inside(wanted, texts, folder)
    os.makedirs(wanted.scratch, exist_ok=True)
    project, places = wanted.project, {}
    if _writes(wanted, texts, folder):
        project = os.path.join(wanted.scratch, "project")
        stage_copy.copy_tree(wanted.project, project)
    places[project] = "."
    sources = _copied_sources(wanted)
    places.update({copy: address for address, copy in sources.items()})
    path = _write(wanted, texts, project, sources)
    return Prepared(path, _moved(folder, wanted.project, project), texts, places)


# --- reading --------------------------------------------------------------------------------------


def _texts(wanted: Wanted) -> List[Text]:
    if not wanted.requirements_file:
        first = Text(wanted.name, os.path.join(wanted.base, ""), list(wanted.requirements))
    else:
        path = os.path.join(wanted.project, wanted.requirements_file)
        _inside(path, wanted.project, wanted.name)
        first = Text(wanted.requirements_file, path, _read(path, wanted.requirements_file))
    texts = [first]
    for text in texts:
        for number, line in enumerate(text.lines, 1):
            included = _included(line)
            path = os.path.normpath(os.path.join(os.path.dirname(text.path), included))
            if included and path not in [other.path for other in texts]:
                place = f"{text.name}:{number}"
                _inside(path, wanted.project, place)
                texts.append(Text(os.path.relpath(path, wanted.project), path, _read(path, place)))
        if len(texts) > MOST_FILES:
            raise Refused("InstallFailed", f"{first.name}: more than {MOST_FILES} files are included")
    return texts


def _read(path: str, place: str) -> List[str]:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return file.read(LARGEST).split("\n")
    except OSError as error:
        raise Refused("InstallFailed", f"{place}: {os.path.basename(path)} can't be read: {error.strerror}") from error


def _bare(line: str) -> str:
    """Give the line without its comment and without the backslash of a continuation."""
    return re.sub(r"(?:^|\s)#.*$", "", line).rstrip("\\ \t\r")


def _included(line: str) -> str:
    found = _FILE.match(_bare(line))
    path = _expanded(found["path"].strip("\"'")) if found else ""
    return "" if _URL.match(path) else path


def _local(line: str) -> str:
    """Give the path of the package, file or folder of packages that a line names, "" for none."""
    bare = _bare(line)
    links, editable = _LINKS.match(bare), _EDITABLE.match(bare)
    if links:
        return _path(links["path"])
    if editable:
        bare = editable["rest"]
    named = _NAMED.match(bare)
    target = named["path"] if named else re.split(r"\s*;|\s+--", bare.strip())[0]
    target = re.sub(r"\[[^\]]*\]$", "", target.strip("\"'"))
    looks_local = target.startswith((".", "/", "file:", "~")) or "/" in target or _ARCHIVE.search(target)
    return _path(target) if editable or named or looks_local else ""


def _path(target: str) -> str:
    text = _expanded(target.partition("#")[0])
    if text.startswith("file:"):
        return urllib.parse.unquote(re.sub(r"^file:(//(localhost(?=/))?)?", "", text))
    return "" if _URL.match(text) or text.startswith("-") else text


def _expanded(text: str) -> str:
    """Expand ${NAME} as pip and uv do."""
    return _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), text)


def _working_folder(wanted: Wanted, texts: List[Text]) -> str:
    local = [path for text in texts for path in map(_local, text.lines) if path and "${" not in path]
    for folder in (wanted.base, wanted.project):
        if all(_installable(os.path.join(folder, path)) for path in local):
            return folder
    return wanted.base


def _installable(path: str) -> bool:
    """Tell whether it is there: a file, a package's folder, or a folder of packages."""
    if not os.path.isdir(path):
        return os.path.exists(path)
    names = os.listdir(path)
    return any(name in ("pyproject.toml", "setup.py") or _ARCHIVE.search(name) for name in names)


# --- checks ---------------------------------------------------------------------------------------


def _check_inside(wanted: Wanted, texts: List[Text], folder: str) -> None:
    for text in texts:
        for number, line in enumerate(text.lines, 1):
            path = _local(line).replace("${PROJECT_ROOT}", folder)
            if path:
                _inside(os.path.join(folder, path), wanted.project, f"{text.name}:{number}")


def _inside(path: str, project: str, place: str) -> None:
    real, root = os.path.realpath(path), os.path.realpath(project)
    if real != root and not real.startswith(root + os.sep):
        told = os.path.relpath(path, project)
        raise Refused("InstallFailed", f"{place}: `{told}` is outside of the project: put it into the project's folder")


def _writes(wanted: Wanted, texts: List[Text], folder: str) -> bool:
    """Tell whether files have to be rewritten, or a package is built in its folder, where setuptools writes."""
    lines = [line for text in texts for line in text.lines]
    if any(_EDITABLE.match(_bare(line)) or _of_source(line, wanted.sources) for line in lines):
        return True
    return any(os.path.isdir(os.path.join(folder, path)) for path in map(_local, lines) if path)


# --- rewriting ------------------------------------------------------------------------------------


def _copied_sources(wanted: Wanted) -> Dict[str, str]:
    """Give a writable copy for each checkout of a Git requirement."""
    copies: Dict[str, str] = {}
    for address, folder in wanted.sources.items():
        bare = address.partition("#")[0]
        if bare not in copies:
            if not os.path.isdir(folder):
                gone = f"{wanted.name}: the checkout of {bare} is not there: start a new run"
                raise Refused("InstallFailed", gone)
            copies[bare] = os.path.join(wanted.scratch, "sources", str(len(copies)))
            stage_copy.copy_tree(folder, copies[bare])
    return copies


def _write(wanted: Wanted, texts: List[Text], project: str, sources: Dict[str, str]) -> str:
    """Write what differs; give the path of the first file."""
    for text in texts[0 if wanted.requirements_file else 1 :]:
        lines = [_rewritten(line, sources) for line in text.lines]
        if lines != text.lines:
            _save(_moved(text.path, wanted.project, project), lines)
    if wanted.requirements_file:
        return _moved(texts[0].path, wanted.project, project)
    path, base = os.path.join(wanted.scratch, "requirements.txt"), _moved(wanted.base, wanted.project, project)
    _save(path, [_based(_rewritten(line, sources), base) for line in texts[0].lines])
    return path


def _save(path: str, lines: List[str]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def _moved(path: str, before: str, after: str) -> str:
    return os.path.normpath(os.path.join(after, os.path.relpath(path, before)))


def _based(line: str, base: str) -> str:
    """Have an include of lines that are in no file start from the stage's folder."""
    found, path = _FILE.match(_bare(line)), _included(line)
    return f"{found['option']}{os.path.join(base, path)}" if found and path else line


def _rewritten(line: str, sources: Dict[str, str]) -> str:
    editable = _EDITABLE.match(line)
    if editable:
        rest = editable["rest"]
        plain = rest.startswith((".", "/", "'", '"')) or _URL.match(rest) or _NAMED.match(rest)
        line = editable["indent"] + (rest if plain else f"./{rest}")
    address = _of_source(line, sources)
    return _as_folder(line, address, sources[address]) if address else line


def _of_source(line: str, sources: Dict[str, str]) -> str:
    """Give the address that a line names, "" for none; the longest, since one may begin like another."""
    editable = _EDITABLE.match(line)
    line = editable["rest"] if editable else line
    for address in sorted(sources, key=len, reverse=True):
        bare = address.partition("#")[0]
        if re.match(_SOURCE % re.escape(bare), line):
            return bare if bare in sources else address
    return ""


def _as_folder(line: str, address: str, folder: str) -> str:
    """Give the requirement with a folder in the place of an address: name, extras, marker and subdirectory stay."""
    found = re.match(_SOURCE % re.escape(address), line)
    if not found:
        return line
    name, extras, below = _fragment(found["fragment"] or "", found["name"] or "", found["extras"] or "")
    target = os.path.join(folder, below)
    _inside(target, folder, address)
    url = "file://" + urllib.parse.quote(os.path.normpath(target))
    return found["indent"] + (f"{name}{extras} @ {url}" if name else url) + found["rest"]


def _fragment(fragment: str, name: str, extras: str) -> Tuple[str, str, str]:
    """Give name, extras and subdirectory, with what `#egg=name[extras]&subdirectory=path` adds."""
    parts = dict(part.partition("=")[::2] for part in fragment.lstrip("#").split("&") if "=" in part)
    egg = re.match(r"([A-Za-z0-9][\w.-]*)(\[[^\]]*\])?$", urllib.parse.unquote(parts.get("egg", "")))
    if egg and not name:
        name, extras = egg[1], egg[2] or ""
    return name, extras, urllib.parse.unquote(parts.get("subdirectory", "")).strip("/")
