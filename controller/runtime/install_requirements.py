"""What the controller asks to be installed (requirements.json), as files and options that uv reads.

The controller has taken the user's files apart (core/inputs/requirements); nothing of theirs is parsed here. Line n of
a file for uv is one of their lines, so that uv's complaints can be shown at the user's own file and line. Paths become
absolute; Git addresses become the folders that the controller has checked out; options that uv passes over in files go
to its command line. What leaves the project, by a link, is refused.

A later version of the document only adds fields, which are passed over. Version 1 has texts alone: such documents lie
in builds and environments of controllers up to 0.1.0, and are taken apart at the end of this module.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Sequence

if TYPE_CHECKING:
    from controller.runtime import stage_copy
    from controller.runtime.stage_order import Unable, digest, read_text
else:  # published side by side
    import stage_copy
    from stage_order import Unable, digest, read_text

FILE = "requirements.json"  # the controller writes it for the build; a complete environment keeps a copy
DAMAGED = f"{FILE} of the environment is gone or damaged: start a new run"
LARGEST = 16 * 1024 * 1024  # characters of it
IGNORED = ("--prefer-binary", "--use-feature")  # they mean nothing to uv
NOT_IN_FILES = ("--pre", "--require-hashes", "--trusted-host", *IGNORED)
NO_LIMIT = "9000-01-01"
MOST_PINS = 2000  # on the command line; so many leave nothing for a day to decide


class ListedItem(NamedTuple):
    """A package or an option, in normal form, and where the user wrote it."""

    text: str
    place: str
    constraint: bool = False
    option: str = ""  # --find-links
    value: str = ""  # of the option, where it is not a path
    name: str = ""  # of the package; "": not known
    by_version: bool = False  # from an index, and not by its address or path
    pinned: bool = False  # to one version
    hashed: bool = False
    path: str = ""  # below the project; "." is all of it
    address: str = ""  # git+URL@REF
    below: str = ""  # the folder in the repository
    before: str = ""  # what stands before the path or address, and after it
    after: str = ""


class RequirementsDocument(NamedTuple):
    """The document of requirements.json."""

    file: str  # what a user knows it by
    items: List[ListedItem]
    as_of: str = ""  # a day: packages as they were at its end
    as_of_by_default: bool = False  # only the default: an index without upload times is not an error


class File(NamedTuple):
    """A file for uv: one line for each item."""

    path: str
    texts: List[str]
    items: List[ListedItem]


class Prepared(NamedTuple):
    """What to hand to uv."""

    name: str  # of the requirements, for messages
    folder: str  # to run in
    arguments: List[str]
    files: List[File]
    places: Dict[str, str]  # folder in the container -> what the user calls it
    as_of: str
    newest: Sequence[str] = ()  # arguments to take instead where the index does not know days; (): there is no instead


def read(path: str) -> RequirementsDocument:
    """Return the document of requirements.json. Raises Unable where it can't be read."""
    try:
        text = read_text(path, LARGEST)
        sealed = re.fullmatch(r'(.*),\n "digest": "([0-9a-f]{64})"\n\}\n?', text, re.DOTALL)  # core/documents/seal.py
        is_damaged = sealed and digest(sealed.group(1)) != sealed.group(2)
        loaded = json.loads("" if is_damaged else text)
        found = loaded["items"] if "items" in loaded else _items_of_version_1(loaded)
        known = ListedItem._fields
        items = [ListedItem(**{name: item[name] for name in known if name in item}) for item in found]
        as_of, by_default = str(loaded.get("as_of", "")), bool(loaded.get("as_of_by_default", False))
        document = RequirementsDocument(str(loaded["file"]), items, as_of, by_default)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise Unable("InstallFailed", DAMAGED) from error
    kinds = [type(ListedItem._field_defaults.get(name, "")) for name in known]
    if any(type(value) is not kind for item in items for value, kind in zip(item, kinds)):  # noqa: B905 - Python 3.8
        raise Unable("InstallFailed", DAMAGED)
    return document


def prepare(document: RequirementsDocument, project: str, sources: Dict[str, str], scratch: str) -> Prepared:
    """Write the files, below `scratch`. `sources` are the checkouts of addresses. Raises Unable, OSError."""
    options = [  # from a file of constraints: as from one of requirements
        item._replace(text=re.sub(r"^--requirement ", "--constraint ", item.text))
        for item in document.items
        if item.constraint and item.option
    ]
    required = [item for item in document.items if not item.constraint] + options
    limits = [item for item in document.items if item.constraint and not item.option]
    for item in document.items:
        if item.path:
            _check_inside(os.path.join(project, item.path), project, item.place)
    if any(
        item.path and not item.option and os.path.isdir(os.path.join(project, item.path)) for item in document.items
    ):
        copy = os.path.join(scratch, "project")  # a package is built in its folder, where setuptools writes
        stage_copy.copy_tree(project, copy)
        project = copy
    copies = _copied(document.items, sources, os.path.join(scratch, "sources"))
    places = {project: ".", **{copy: address for address, copy in copies.items()}}
    links = os.path.join(scratch, "links")  # where uv runs: it names our files in full then
    os.makedirs(links)
    targets = _Targets(project, copies, links, places)
    files = [
        targets.write(os.path.join(scratch, name), items)
        for name, items in (("requirements.txt", required), ("constraints.txt", limits))
    ]
    arguments = ["--requirements", files[0].path, *(["--constraints", files[1].path] if limits else [])]
    for item in required:
        arguments += _options(item)
    if any(item.hashed or item.option == "--require-hashes" for item in document.items):
        arguments.append("--require-hashes")  # one hash makes all required, as in pip
    newest = list(arguments) if document.as_of_by_default else []
    if document.as_of:  # exact pins are the stronger word
        arguments += ["--exclude-newer", f"{document.as_of}T23:59:59Z"]
        pins = list(dict.fromkeys(item.name for item in document.items if item.pinned))
        arguments += [f"--exclude-newer-package={name}={NO_LIMIT}" for name in pins[:MOST_PINS]]
    return Prepared(document.file, links, arguments, files, places, document.as_of, newest)


def url(path: str) -> str:
    """Return the address of a path, as uv writes it too."""
    return "file://" + urllib.parse.quote(path)


def _options(item: ListedItem) -> List[str]:
    """Return the options of uv's for one that it passes over in files, none for what it reads there."""
    if item.option == "--pre":
        return ["--prerelease", "allow"]
    if item.option == "--trusted-host":
        return [f"--allow-insecure-host={item.value}"]
    if item.option in IGNORED:
        print(f"coachwork: {item.place}: {item.option} is passed over: uv has nothing like it", flush=True)
    return []


def _check_inside(path: str, folder: str, place: str) -> None:
    real, root = os.path.realpath(path), os.path.realpath(folder)
    if real != root and not real.startswith(root + os.sep):
        shown = os.path.relpath(path, folder)
        raise Unable("InstallFailed", f"{place}: `{shown}` is outside the project: put it into the project's folder")


def _copied(items: Sequence[ListedItem], sources: Dict[str, str], scratch: str) -> Dict[str, str]:
    """Return a writable copy of the checkout of each address that is named. Raises Unable, OSError."""
    copies: Dict[str, str] = {}
    for item in items:
        if not item.address or item.address in copies:
            continue
        if not os.path.isdir(sources.get(item.address, "")):
            missing = f"the checkout of {item.address} is not there: start a new run"
            raise Unable("InstallFailed", f"{item.place}: {missing}")
        copies[item.address] = os.path.join(scratch, str(len(copies)))
        stage_copy.copy_tree(sources[item.address], copies[item.address])
    return copies


class _Targets(NamedTuple):
    """Where what items name lies in the container."""

    project: str
    copies: Dict[str, str]  # of the checkouts of addresses
    links: str
    places: Dict[str, str]  # as in Prepared

    def write(self, path: str, items: List[ListedItem]) -> File:
        """Write a file for uv. Raises Unable, OSError."""
        texts = ["" if item.option in NOT_IN_FILES else self._line(item) for item in items]
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in texts)
        return File(path, texts, items)

    def _line(self, item: ListedItem) -> str:
        """Return an item with a folder in the place of its path or address; extras, names and markers stay."""
        if item.path:
            target = os.path.normpath(os.path.join(self.project, item.path))
        elif item.address:
            copy = self.copies[item.address]
            target = os.path.normpath(os.path.join(copy, item.below))  # uv passes over #subdirectory of a folder
            _check_inside(target, copy, item.place)
        else:
            return item.text
        named = url(target) if item.before or "#" not in target else self._linked(target)
        return item.before + named + item.after

    def _linked(self, path: str) -> str:
        """Return another path for one that has a # and no name before it, which uv can't read."""
        number = str(len(os.listdir(self.links)))
        os.mkdir(os.path.join(self.links, number))
        name = os.path.basename(path) if os.path.isfile(path) else "package"
        link = os.path.join(self.links, number, name)
        os.symlink(path, link)
        beginning = max((place for place in self.places if path.startswith(place)), key=len)
        self.places[link] = self.places[beginning] + path[len(beginning) :]
        return f"./{number}/{name}"


# --- documents of version 1 -------------------------------------------------------------------------

_WHO = r"(?:(?P<name>[a-z0-9][a-z0-9.-]*)(?:\[[^\[\]]*\])? @ )?"
_OPTION = re.compile(r"(?P<option>--[a-z-]+)(?: (?P<value>.*))?", re.DOTALL)
_BY_VERSION = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)(?:\[[^\[\]]*\])?(?P<versions>[=~!<>][^\s;@]*)?(?:\s.*)?")


def _items_of_version_1(loaded: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
    """Yield what the texts of a document without items say."""
    lines, constraints = loaded["lines"], loaded.get("constraints", ())
    names = [f"./{'' if path == '.' else path}" for path in loaded.get("paths", ())] + list(loaded.get("addresses", ()))
    targets = sorted(names, key=len, reverse=True)  # one may begin like another
    for number, text in enumerate([*lines, *constraints]):
        item = {"text": text, "place": loaded["places"][number], "constraint": number >= len(lines)}
        item["hashed"] = " --hash=" in text
        yield {**item, **(_with_target(text, targets) or _without_target(text))}


def _with_target(text: str, targets: Sequence[str]) -> Dict[str, Any]:
    """Return what a line says that names a path of the project or a Git address; nothing for another one."""
    for target in targets:
        who = rf"{_WHO}|(?P<option>--(?:find-links|index-url|extra-index-url)) "
        rest = r"(?:#(?P<fragment>\S*))?(?P<after>(?:\[[^\[\]]*\])?(?:\s.*)?)"
        found = re.fullmatch(rf"(?P<before>{who}){re.escape(target)}{rest}", text, re.DOTALL)
        if found:
            fields = [field.partition("=") for field in (found["fragment"] or "").split("&")]
            below = next((urllib.parse.unquote(value) for name, _, value in fields if name == "subdirectory"), "")
            named = {"path": target[2:] or "."} if target.startswith("./") else {"address": target}
            parts = {name: found[name] or "" for name in ("before", "after", "name", "option")}
            return {**named, **parts, "below": below.strip("/")}
    return {}


def _without_target(text: str) -> Dict[str, Any]:
    option, package = _OPTION.fullmatch(text), _BY_VERSION.fullmatch(text)
    if option:
        return {"option": option["option"], "value": option["value"] or ""}
    if not package or " @ " in text:
        return {"name": package["name"] if package else ""}
    pinned = re.fullmatch(r"={2,3}[^,*]+", package["versions"] or "") is not None
    return {"name": package["name"], "by_version": True, "pinned": pinned}
