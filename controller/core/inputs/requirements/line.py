"""One line of a requirement file -> what it asks for, in normal form. Refuses options that uv would refuse.

The normal form is one that uv reads: names as PEP 503 has them, extras, versions and hashes sorted, `-e` and
`#egg=` written as plain requirements, one option to a line. What is not understood stays as it is: the installer says
what is wrong with it, with its own words.
"""

import posixpath
import re
import shlex
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from controller.core.inputs import checks
from controller.core.inputs.requirements import address

LIMIT = 64 * 1024  # characters; a package with all its hashes has some 10,000
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz", ".tar.xz")
SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url", "-f": "--find-links"}
INCLUDES = ("--requirement", "--constraint")
PLACES = ("--index-url", "--extra-index-url", "--find-links")  # an address or a local folder
LISTS = ("--no-binary", "--only-binary")  # of names, separated by commas
VALUES = ("--trusted-host", "--use-feature")
FLAGS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
NAMED = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)(?:\[[^\[\]]*\])?(?P<versions>[=~!<>][^\s;@]*)?(?P<marker> ;.*)?")
"""A package by its name, in normal form; its hashes come behind."""
OPTIONS = (*INCLUDES, "--editable", *PLACES, *LISTS, *VALUES, *FLAGS)

_NAME = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<extras>\[[^\[\]]*\])?\s*(?P<rest>.*)")
_VERSION = re.compile(r"(===|[~=!<>]=|[<>])\s*([^\s<>=!~,;()]+)")
_FRAGMENT = re.compile(r"(?:(?:egg|subdirectory|md5|sha1|sha224|sha256|sha384|sha512)=[^&]*(?:&|$))+")
_MARKER = re.compile(r"\"[^\"]*\"|'[^']*'|[()]|===|[~=!<>]=|[<>]|[\w.]+|\S")


@dataclass(frozen=True, slots=True)
class Include:
    """Another file: `-r`, or `-c` with `constraint`. The path is as written, from the file that names it."""

    path: str
    constraint: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A package or an option: `before` + `path` + `after`.

    `path` is one below the project, as written; "": none. It starts from the working folder, or `from_file`.
    """

    before: str
    path: str = ""
    after: str = ""
    address: str = ""  # git+URL@REF as written; it is in `before`
    from_file: bool = False


Part: TypeAlias = Include | Item


def parse(line: str) -> tuple[Part, ...]:
    """Give what a line asks for. Raises ValueError with one sentence."""
    if len(line) > LIMIT:
        raise ValueError(f"the line is {len(line)} characters long: {LIMIT} at most")
    if line.endswith("\\"):  # what reads the normal form would join it with the next
        raise ValueError("ends in a backslash that continues nothing: remove it")
    if editable := re.match(r"(?:-e|--editable)(?:\s*=\s*|\s+)(?=\S)", line):
        return (_requirement(_editable(re.sub(r"^(['\"])(.+)\1$", r"\2", line[editable.end() :]))),)
    return _options(line) if line.startswith("-") else (_requirement(line),)


def canonical(name: str) -> str:
    """Give a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- options ----------------------------------------------------------------------------------------


def _options(line: str) -> tuple[Part, ...]:
    """Give the options of a line; pip takes several."""
    words = _words(line)
    parts: list[Part] = []
    while words:
        name, value = _named(words.pop(0))
        if name not in OPTIONS or name == "--editable":
            raise ValueError(f"unknown option {checks.shown(name)}: {checks.nearest(name, OPTIONS)}")
        if name in FLAGS:
            parts.append(Item(name))
            continue
        if not value and not words:
            raise ValueError(f"{name} has no value: write one after it")
        parts.extend(_option(name, value or words.pop(0)))
    return tuple(parts)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise ValueError("has a quote that is not closed: close it, or remove it") from None


def _named(word: str) -> tuple[str, str]:
    """Cut `--name=value`, `-rvalue` and `-r=value` into the long name and the value ("": in the next word)."""
    if word.startswith("--"):
        name, _, value = word.partition("=")
        return ("--index-url" if name == "--pypi-url" else name), value
    return SHORT.get(word[:2], word), word[2:].removeprefix("=")


def _option(name: str, value: str) -> tuple[Part, ...]:
    if name in LISTS:
        return tuple(Item(f"{name} {_listed(each)}") for each in value.split(",") if each.strip())
    if name in VALUES:
        return (Item(f"{name} {value}"),)
    path = address.local(value) if address.is_url(value) else value
    if path is None:
        address.check_web(value)
        return (Item(f"{name} {value}"),)
    if name in INCLUDES:
        return (Include(path, constraint=name == "--constraint"),)
    return (Item(f"{name} ", path, from_file=True),)


def _listed(name: str) -> str:
    return name.strip() if name.strip().startswith(":") else canonical(name.strip())


# --- requirements -----------------------------------------------------------------------------------


def _requirement(text: str) -> Item:
    """Give a package: by name, by address or by path; its hashes and its marker behind it."""
    bare, _, options = text.strip().partition(" --")
    after = _hashes(f"--{options}") if options else ""
    bare = bare.strip()
    if address.is_git(bare) or address.is_url(bare):
        return _direct("", "", bare, after)
    named = _NAME.fullmatch(bare)
    if named and named["rest"].startswith("@"):
        return _direct(named["name"], named["extras"] or "", named["rest"][1:].strip(), after)
    if _is_path(bare):
        return _direct("", "", bare, after)
    return Item((_by_name(named) if named else "") or " ".join(bare.split()), after=after)


def _editable(text: str) -> str:
    """Give what follows `-e` as a requirement that stands alone: a bare word is a folder there, and no package."""
    named = _NAME.fullmatch(text)
    if named and not named["rest"].startswith("@") and not address.is_git(text) and not address.is_url(text):
        return text if _is_path(text) else f"./{text}"
    return text


def _hashes(options: str) -> str:
    """Give the hashes of a requirement, sorted."""
    words, hashes = _words(options), set()
    while words:
        name, _, value = words.pop(0).partition("=")
        if name != "--hash":
            raise ValueError(f"option {checks.shown(name)} after a package is not supported: remove it")
        hashes.add(value or (words.pop(0) if words else ""))
    return "".join(f" --hash={each}" for each in sorted(hashes))


def _is_path(bare: str) -> bool:
    """Tell whether it is a path, as pip does: a slash, a dot at the start, or an archive's name."""
    path = re.split(r"\s;|;\s", bare, maxsplit=1)[0].split("[")[0].strip()
    return path.startswith(".") or "/" in path.split(";")[0] or path.lower().endswith(ARCHIVES)


def _by_name(named: re.Match[str]) -> str:
    """Give NAME[EXTRAS]VERSIONS ; MARKER, "" where it is none of that kind."""
    versions, semicolon, marker = named["rest"].partition(";")
    versions = versions.strip()
    if versions.startswith("(") and versions.endswith(")"):
        versions = versions[1:-1].strip()
    parts = [_VERSION.fullmatch(part.strip()) for part in versions.split(",")] if versions else []
    if not all(parts):
        return ""
    clauses = ",".join(sorted(f"{part[1]}{part[2]}" for part in parts if part))
    return f"{canonical(named['name'])}{_extras(named['extras'] or '')}{clauses}{_marker(marker) if semicolon else ''}"


def _extras(text: str) -> str:
    names = sorted({canonical(name.strip()) for name in text.strip("[]").split(",") if name.strip()})
    return f"[{','.join(names)}]" if names else ""


def _marker(text: str) -> str:
    """Give ` ; MARKER` with one space between its words, and texts in double quotes. Raises ValueError."""
    words = _MARKER.findall(text)
    if any(len(word) == 1 and word not in "()<>" and not re.fullmatch(r"[\w.]", word) for word in words):
        raise ValueError(f'after the ; is no marker like python_version < "3.9": {checks.shown(text.strip())}')
    marker = " ".join(f'"{word[1:-1]}"' if word[0] == "'" and '"' not in word else word for word in words)
    return f" ; {marker}" if marker else ""


def _cut(target: str) -> tuple[str, str]:
    """Cut a target from what is behind its `#`. That of a path is a part of its name, unless it is one of pip's."""
    if address.is_url(target) or address.is_git(target):
        before, _, fragment = target.partition("#")
        return before, fragment
    before, _, fragment = target.rpartition("#")
    return (before, fragment) if _FRAGMENT.fullmatch(fragment) else (target, "")


def _direct(name: str, extras: str, text: str, hashes: str) -> Item:
    """Give what is named by its address or path: `NAME[EXTRAS] @ TARGET#FRAGMENT ; MARKER`, the name where known."""
    target, *marker = re.split(r"\s;|;\s", text, maxsplit=1)
    target, fragment = _cut(target.strip())
    if inner := re.fullmatch(r"([^\[\]]+)(\[[^\[\]]*\])", target):
        target, extras = inner[1], extras or inner[2]
    fields = [part.partition("=") for part in fragment.split("&") if part]
    egg = _NAME.fullmatch(next((unquote(value) for key, _, value in fields if key == "egg"), ""))
    if egg and not egg["rest"] and not name:
        name, extras = egg["name"], extras or egg["extras"] or ""
    kept = "&".join(sorted(f"{key}={value}" for key, _, value in fields if key != "egg"))
    after = f"{_marker(marker[0]) if marker else ''}{hashes}"
    who = f"{canonical(name)}{_extras(extras)} @ " if name else ""
    path = address.local(target) if address.is_url(target) else target
    if address.is_git(target):
        address.git_address(target)
        return Item(f"{who}{target}{f'#{kept}' if kept else ''}", after=after, address=target)
    if path is None:
        address.check_archive(target)
        return Item(f"{who}{target}{_extras('' if who else extras)}{f'#{kept}' if kept else ''}", after=after)
    address.check_here(path, canonical(name) if name else "")
    below = next((unquote(value) for key, _, value in fields if key == "subdirectory"), "")
    return Item(who, posixpath.join(path, below) if below else path, _extras("" if who else extras) + after)
