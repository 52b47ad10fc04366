"""What the controller wants installed (requirements.json), as files and options that uv reads.

The controller has brought the user's files to a normal form (core/inputs), of which the environment's key is
made; nothing of the user's is parsed here again. Line n of a written file is one line of the normal form, so that
uv's complaints can be told at the user's own file and line. Paths become absolute; Git addresses become the folders
that the controller has checked out; options that uv passes over in files go to its command line. What leaves the
project, by a link, is refused.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Sequence, Tuple

if TYPE_CHECKING:
    from controller.runtime import stage_copy
    from controller.runtime.stage_order import Refused, read_text
else:  # published side by side
    import stage_copy
    from stage_order import Refused, read_text

FILE = "requirements.json"  # the controller writes it for the build; a complete environment keeps a copy
LARGEST = 16 * 1024 * 1024  # characters of it
IGNORED = ("--prefer-binary", "--use-feature")  # they mean nothing to uv
NO_LIMIT = "9000-01-01"
MOST_PINS = 2000  # on the command line; so many leave nothing for a day to decide
_PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)(?:\[[^\]]*\])?==[^\s,;*]+(?:\s|$)")
_WHO = r"(?:[a-z0-9][a-z0-9.-]*(?:\[[^\[\]]*\])? @ )?"
_LOCAL = re.compile(rf"(?P<before>{_WHO}|--(?:find-links|index-url|extra-index-url) )\./(?P<rest>.*)", re.DOTALL)
_AFTER_PATH = re.compile(r"(?:\[[^\[\]]*\])?(?:\s.*)?", re.DOTALL)
_SOURCE = rf"(?P<before>{_WHO})%s(?P<fragment>#\S*)?(?P<after>(?:\s.*)?)"


class Wanted(NamedTuple):
    """The content of requirements.json; the fields are those of core/inputs/requirements."""

    file: str
    lines: Sequence[str]
    constraints: Sequence[str] = ()
    places: Sequence[str] = ()
    paths: Sequence[str] = ()
    addresses: Sequence[str] = ()
    as_of: str = ""  # a day: packages as they were at its end
    as_of_by_default: bool = False  # nobody asked for it: an index that does not tell days is no mistake


class Line(NamedTuple):
    """A line of the normal form, and where the user wrote it."""

    text: str
    place: str


class Written(NamedTuple):
    """A file for uv: its lines, one of the normal form each."""

    path: str
    texts: List[str]
    lines: List[Line]


class Prepared(NamedTuple):
    """What to hand to uv."""

    name: str  # of the requirements, for messages
    folder: str  # to run in
    arguments: List[str]
    files: List[Written]
    places: Dict[str, str]  # folder in the container -> what the user calls it
    as_of: str
    newest: Sequence[str] = ()  # arguments to take instead where the index does not tell days; (): there is no instead


def read(path: str) -> Wanted:
    """Give what is wanted. Raises Refused where that can't be read."""
    try:
        loaded = json.loads(read_text(path, LARGEST))
        return Wanted(**{name: loaded[name] for name in Wanted._fields if name in loaded})
    except (ValueError, TypeError) as error:
        raise Refused("InstallFailed", f"{FILE} of the environment is gone or damaged: start a new run") from error


def prepare(wanted: Wanted, project: str, sources: Dict[str, str], scratch: str) -> Prepared:
    """Write the files, below `scratch`. `sources` are the checkouts of addresses. Raises Refused, OSError."""
    lines = list(map(Line, [*wanted.lines, *wanted.constraints], wanted.places))
    required, limits = lines[: len(wanted.lines)], lines[len(wanted.lines) :]
    required += [Line(_limiting(text), place) for text, place in limits if text.startswith("--")]
    limits = [line for line in limits if not line.text.startswith("--")]
    _check_inside(lines, wanted.paths, project)
    folder = _writable(project, os.path.join(scratch, "project")) if _builds(lines, wanted.paths, project) else project
    copies = _copied(lines, wanted.addresses, sources, os.path.join(scratch, "sources"))
    places = {folder: ".", **{copy: address for address, copy in copies.items()}}
    links = os.path.join(scratch, "links")  # where uv runs: it names our files in full then
    os.makedirs(links)
    files = [
        _written(os.path.join(scratch, name), part, wanted.paths, _Targets(folder, copies, links, places))
        for name, part in (("requirements.txt", required), ("constraints.txt", limits))
    ]
    arguments = ["--requirements", files[0].path, *(["--constraints", files[1].path] if limits else [])]
    for line in required:
        arguments += _options(line)
    if any(" --hash=" in line.text or line.text == "--require-hashes" for line in lines):
        arguments.append("--require-hashes")  # one hash makes all required, as in pip
    newest = list(arguments) if wanted.as_of_by_default else []
    arguments += _limits(wanted.as_of, lines) if wanted.as_of else []
    return Prepared(wanted.file, links, arguments, files, places, wanted.as_of, newest)


def _limits(day: str, lines: Sequence[Line]) -> List[str]:
    """Return the options that take packages as of a day, but for exact pins: they are the stronger word."""
    pins = dict.fromkeys(found["name"] for found in (_PIN.match(line.text) for line in lines) if found)
    exempt = [f"--exclude-newer-package={name}={NO_LIMIT}" for name in list(pins)[:MOST_PINS]]
    return ["--exclude-newer", f"{day}T23:59:59Z", *exempt]


# --- options --------------------------------------------------------------------------------------


def _limiting(text: str) -> str:
    """Give an option from a file of constraints as one from a file of requirements."""
    return re.sub(r"^--requirement ", "--constraint ", text)


def _options(line: Line) -> List[str]:
    """Give the options of uv's for one that it passes over in files, none for what it reads there."""
    name, _, value = line.text.partition(" ")
    if name == "--pre":
        return ["--prerelease", "allow"]
    if name == "--trusted-host":
        return [f"--allow-insecure-host={value}"]
    if name in IGNORED:
        print(f"coachwork: {line.place}: {name} is passed over: uv has nothing like it", flush=True)
    return []


def _in_file(text: str) -> bool:
    return text.partition(" ")[0] not in ("--pre", "--require-hashes", "--trusted-host", *IGNORED)


# --- what lines name --------------------------------------------------------------------------------


def _local(text: str, paths: Sequence[str]) -> Tuple[str, str, str]:
    """Cut a line that names a path of the project into what is before, the path, and what is after; "" for none."""
    found = _LOCAL.fullmatch(text)
    if not found:
        return "", "", ""
    for path in sorted(paths, key=len, reverse=True):
        written = "" if path == "." else path
        after = found["rest"][len(written) :]
        ends = not after if found["before"].startswith("--") else _AFTER_PATH.fullmatch(after)
        if ends and found["rest"].startswith(written):
            return found["before"], path, after
    return "", "", ""


def _address(text: str, addresses: Sequence[str]) -> str:
    """Give the Git address that a line names, "" for none; the longest, since one may begin like another."""
    fitting = [address for address in addresses if re.fullmatch(_SOURCE % re.escape(address), text, re.DOTALL)]
    return max(fitting, key=len, default="")


def _check_inside(lines: Sequence[Line], paths: Sequence[str], project: str) -> None:
    for text, place in lines:
        _, path, _ = _local(text, paths)
        if path:
            _inside(os.path.join(project, path), project, place)


def _inside(path: str, folder: str, place: str) -> None:
    real, root = os.path.realpath(path), os.path.realpath(folder)
    if real != root and not real.startswith(root + os.sep):
        told = os.path.relpath(path, folder)
        raise Refused("InstallFailed", f"{place}: `{told}` is outside of the project: put it into the project's folder")


def _builds(lines: Sequence[Line], paths: Sequence[str], project: str) -> bool:
    """Tell whether a package is built in its folder, where setuptools writes."""
    found = [_local(line.text, paths) for line in lines]
    return any(path and not before.startswith("--") and os.path.isdir(os.path.join(project, path))
               for before, path, _ in found)  # fmt: skip


def _writable(project: str, copy: str) -> str:
    stage_copy.copy_tree(project, copy)
    return copy


def _copied(lines: Sequence[Line], addresses: Sequence[str], sources: Dict[str, str], scratch: str) -> Dict[str, str]:
    """Give a writable copy of the checkout of each address that is named. Raises Refused, OSError."""
    copies: Dict[str, str] = {}
    for text, place in lines:
        address = _address(text, addresses)
        if not address or address in copies:
            continue
        if not os.path.isdir(sources.get(address, "")):
            raise Refused("InstallFailed", f"{place}: the checkout of {address} is not there: start a new run")
        copies[address] = os.path.join(scratch, str(len(copies)))
        stage_copy.copy_tree(sources[address], copies[address])
    return copies


# --- writing --------------------------------------------------------------------------------------


class _Targets(NamedTuple):
    """Where what lines name lies in the container."""

    project: str
    copies: Dict[str, str]  # of the checkouts of addresses
    links: str
    places: Dict[str, str]  # as in Prepared

    def of(self, before: str, path: str) -> str:
        """Return how uv is told of a path: by its address, unless it has a # and no name, which uv can't read."""
        if before or "#" not in path:
            return url(path)
        number = str(len(os.listdir(self.links)))
        os.mkdir(os.path.join(self.links, number))
        name = os.path.basename(path) if os.path.isfile(path) else "package"
        link = os.path.join(self.links, number, name)
        os.symlink(path, link)
        self.places[link] = self.told(path)
        return f"./{number}/{name}"

    def told(self, path: str) -> str:
        """Return what the user calls a path."""
        beginning = max((place for place in self.places if path.startswith(place)), key=len)
        return self.places[beginning] + path[len(beginning) :]


def _written(path: str, lines: List[Line], paths: Sequence[str], targets: _Targets) -> Written:
    texts = [_for_uv(line, paths, targets) if _in_file(line.text) else "" for line in lines]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{text}\n" for text in texts)
    return Written(path, texts, lines)


def _for_uv(line: Line, paths: Sequence[str], targets: _Targets) -> str:
    """Give a line with absolute folders in the place of paths and addresses; extras, names and markers stay."""
    before, path, after = _local(line.text, paths)
    if path:
        return before + targets.of(before, os.path.normpath(os.path.join(targets.project, path))) + after
    address = _address(line.text, list(targets.copies))
    found = re.fullmatch(_SOURCE % re.escape(address), line.text, re.DOTALL) if address else None
    if not found:
        return line.text
    fields = [field.partition("=") for field in (found["fragment"] or "#")[1:].split("&")]
    below = next((urllib.parse.unquote(value) for name, _, value in fields if name == "subdirectory"), "").strip("/")
    copy = targets.copies[address]
    target = os.path.normpath(os.path.join(copy, below))  # in the path: uv passes over #subdirectory of a folder
    _inside(target, copy, line.place)
    return found["before"] + targets.of(found["before"], target) + found["after"]


def url(path: str) -> str:
    """Return the address of a path, as uv writes it too."""
    return "file://" + urllib.parse.quote(path)
