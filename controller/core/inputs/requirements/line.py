"""One line of a requirement file -> what it asks for, in normal form. Refuses what uv would refuse, and says why.

The normal form is one that uv reads: names as PEP 503 has them, extras, versions and hashes sorted, `-e` and
`#egg=` written as plain requirements, one option to a line. Environments are known by it: it never changes.
"""

import posixpath
import re
import shlex
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import unquote

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from controller.core.inputs.requirements import address, malformed
from controller.core.text import nearest, quoted

LIMIT = 64 * 1024  # characters; a package with all its hashes has some 10,000
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz", ".tar.xz")
SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url", "-f": "--find-links"}
INCLUDES = ("--requirement", "--constraint")
PLACES = ("--index-url", "--extra-index-url", "--find-links")  # an address or a local folder
LISTS = ("--no-binary", "--only-binary")  # of names, separated by commas
VALUES = ("--trusted-host", "--use-feature")
FLAGS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")  # keys of what is behind the # of an address
OPTIONS = (*INCLUDES, "--editable", *PLACES, *LISTS, *VALUES, *FLAGS)

_NAME = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<extras>\[[^\[\]]*\])?\s*(?P<rest>.*)")
_FRAGMENT = re.compile(rf"(?:(?:egg|subdirectory|{'|'.join(HASHES)})=[^&]*(?:&|$))+")
_HASH = re.compile(r"[a-z0-9_]+:[0-9A-Za-z]+")
_MARKER = re.compile(r"\"[^\"]*\"|'[^']*'|[()]|===|[~=!<>]=|[<>]|[\w.]+|\S")


@dataclass(frozen=True, slots=True)
class Include:
    """Another file: `-r`, or `-c` with `constraint`. The path is as written, from the file that names it."""

    path: str
    constraint: bool


@dataclass(frozen=True, slots=True)
class Directive:
    """A package or an option: `before`, the path or address that it names, and `after`.

    `path` is one below the project, as written until it is settled; "": none. An option's starts from its file, a
    package's from the working folder.
    """

    before: str
    path: str = ""
    address: str = ""  # git+URL@REF, as written
    fragment: str = ""  # of the address: #subdirectory=X
    below: str = ""  # the folder in the repository, X
    after: str = ""
    option: str = ""  # --find-links; its value is the path, or `after`
    name: str = ""  # of the package, as PEP 503 compares it; "": not known
    versions: SpecifierSet | None = None  # None: not chosen by its version
    marked: bool = False  # only for some Pythons or systems
    hashed: bool = False  # by --hash
    verified: bool = False  # by --hash, or by a hash in its address

    @property
    def text(self) -> str:
        """The normal form."""
        local = f"./{'' if self.path == '.' else self.path}" if self.path else ""
        return f"{self.before}{local}{self.address}{self.fragment}{self.after}".strip()

    @property
    def is_pinned(self) -> bool:
        """Return whether exactly one version fits."""
        one = list(self.versions or ())
        return len(one) == 1 and one[0].operator in ("==", "===") and not one[0].version.endswith("*")


Part: TypeAlias = Include | Directive


def parse(line: str) -> tuple[Part, ...]:
    """Return what a line asks for. Raises ValueError with one sentence."""
    if len(line) > LIMIT:
        raise ValueError(f"the line is {len(line)} characters long: {LIMIT} at most")
    if line.endswith("\\"):  # what reads the normal form would join it with the next
        raise ValueError("ends in a backslash that continues nothing: remove it")
    if editable := re.match(r"(?:-e|--editable)(?:\s*=\s*|\s+)(?=\S)", line):
        text = re.sub(r"^(['\"])(.+)\1$", r"\2", line[editable.end() :])
        named = _NAME.fullmatch(text)
        if named and not (named["rest"].startswith("@") or address.is_git(text) or address.is_url(text)):
            text = text if _is_path(text) else f"./{text}"  # a bare word is a folder here, not a package
        return (_requirement(text),)
    return _options(line) if line.startswith("-") else (_requirement(line),)


# --- options ----------------------------------------------------------------------------------------


def _options(line: str) -> tuple[Part, ...]:
    """Return the options of a line; pip takes several."""
    words = _words(line)
    parts: list[Part] = []
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            name, _, value = word.partition("=")  # no value: it is the next word
            name = "--index-url" if name == "--pypi-url" else name
        else:  # -rvalue, or -r=value
            name, value = SHORT.get(word[:2], word), word[2:].removeprefix("=")
        if name not in OPTIONS or name == "--editable":
            raise ValueError(f"unknown option {quoted(name)}: {nearest(name, OPTIONS)}")
        if name in FLAGS:
            parts.append(Directive(name, option=name))
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


def _option(name: str, value: str) -> tuple[Part, ...]:
    if name in LISTS:
        values = [each.strip() for each in value.split(",") if each.strip()]
        return tuple(_valued(name, each if each.startswith(":") else canonicalize_name(each)) for each in values)
    path = address.local(value) if address.is_url(value) else value
    if name in VALUES or path is None:
        if path is None:
            address.check_web(value)
        return (_valued(name, value),)
    if name in INCLUDES:
        return (Include(path, constraint=name == "--constraint"),)
    return (Directive(f"{name} ", path, option=name),)


def _valued(name: str, value: str) -> Directive:
    """Return an option with its value, which uv reads up to the next space: what follows would be an option too."""
    if re.search(r"\s", value):
        raise ValueError(f"the value of {name} holds a space: {quoted(value)}")
    return Directive(f"{name} ", after=value, option=name)


# --- requirements -----------------------------------------------------------------------------------


def _requirement(text: str) -> Directive:
    """Return a package: by name, by address or by path; its hashes and its marker come last."""
    if malformed.COMMAND.fullmatch(text):
        raise ValueError(malformed.problem(text))
    bare, _, options = text.strip().partition(" --")
    hashes = _hashes(f"--{options}") if options else ""
    bare = bare.strip()
    address.check_short(bare)
    if address.is_git(bare) or address.is_url(bare):
        return _direct("", "", bare, hashes)
    named = _NAME.fullmatch(bare)
    if named and named["rest"].startswith("@"):
        return _direct(named["name"], named["extras"] or "", named["rest"][1:].strip(), hashes)
    return _direct("", "", bare, hashes) if _is_path(bare) else _by_name(bare, named, hashes)


def _hashes(options: str) -> str:
    """Return the hashes of a requirement, sorted."""
    words, hashes = _words(options), set()
    while words:
        name, _, value = words.pop(0).partition("=")
        if name != "--hash":
            raise ValueError(f"option {quoted(name)} after a package is not supported: remove it")
        value = value or (words.pop(0) if words else "")
        if not _HASH.fullmatch(value):
            raise ValueError(f"expected a hash like sha256:9f2c..., got {quoted(value)}")
        hashes.add(value)
    return "".join(f" --hash={each}" for each in sorted(hashes))


def _is_path(bare: str) -> bool:
    """Return whether it is a path, as pip does: a slash, a dot at the start, or an archive's name."""
    path = re.split(r"\s;|;\s", bare, maxsplit=1)[0].split("[")[0].strip()
    return path.startswith(".") or "/" in path.split(";")[0] or path.lower().endswith(ARCHIVES)


def _by_name(bare: str, named: re.Match[str] | None, hashes: str) -> Directive:
    """Return NAME[EXTRAS]VERSIONS ; MARKER."""
    if not named:
        raise ValueError(malformed.problem(bare))
    versions, _, marker = (part.strip() for part in named["rest"].partition(";"))
    name, marked = canonicalize_name(named["name"]), _marker(marker)
    who = f"{name}{_extras(named['extras'] or '')}"
    try:
        specifiers = Requirement(f"{who} {versions}").specifier
    except (ValueError, RecursionError):
        raise ValueError(malformed.problem(bare, named["name"], versions)) from None
    clauses = re.sub(r"\s", "", versions.removeprefix("(").removesuffix(")")).split(",")
    before = f"{who}{','.join(sorted(clauses))}{marked}"
    if re.search(r"!(?!=)|,$", versions):  # an epoch, a comma too many: as written, by which environments know it
        before = " ".join(bare.split())
    has = bool(hashes)
    return Directive(
        before, after=hashes, name=name, versions=specifiers, marked=bool(marked), hashed=has, verified=has
    )


def _extras(text: str) -> str:
    names = sorted({canonicalize_name(name.strip()) for name in text.strip("[]").split(",") if name.strip()})
    return f"[{','.join(names)}]" if names else ""


def _marker(text: str) -> str:
    """Return ` ; MARKER` with one space between its words, and texts in double quotes. Raises ValueError."""
    if not text.strip():
        return ""
    try:
        Marker(text)
    except (ValueError, RecursionError):
        example = 'python_version < "3.9"'
        raise ValueError(f"expected a marker like {example} after the ;, got {quoted(text.strip())}") from None
    words = _MARKER.findall(text)
    return " ; " + " ".join(f'"{word[1:-1]}"' if word[0] == "'" and '"' not in word else word for word in words)


def _cut(target: str) -> tuple[str, str]:
    """Return a target and what is behind its `#`. That of a path is a part of its name, unless it is one of pip's."""
    if address.is_url(target) or address.is_git(target):
        before, _, fragment = target.partition("#")
        return before, fragment
    before, _, fragment = target.rpartition("#")
    return (before, fragment) if _FRAGMENT.fullmatch(fragment) else (target, "")


def _direct(name: str, extras: str, text: str, hashes: str) -> Directive:
    """Return what is named by its address or path: `NAME[EXTRAS] @ TARGET#FRAGMENT ; MARKER`, the name where known."""
    target, *marker = re.split(r"\s;|;\s", text, maxsplit=1)
    target, fragment = _cut(target.strip())
    if inner := re.fullmatch(r"([^\[\]]+)(\[[^\[\]]*\])", target):
        target, extras = inner[1], extras or inner[2]
    fields = [part.partition("=") for part in fragment.split("&") if part]
    egg = _NAME.fullmatch(next((unquote(value) for key, _, value in fields if key == "egg"), ""))
    if egg and not egg["rest"] and not name:
        name, extras = egg["name"], extras or egg["extras"] or ""
    kept = "&".join(sorted(f"{key}={value}" for key, _, value in fields if key != "egg"))
    kept, extras = f"#{kept}" if kept else "", _extras(extras)
    who = f"{canonicalize_name(name)}{extras} @ " if name else ""
    item = Directive(
        who,
        after=f"{_marker(marker[0]) if marker else ''}{hashes}",
        name=canonicalize_name(name),
        marked=bool(marker),
        hashed=bool(hashes),
        verified=bool(hashes) or any(key in HASHES for key, _, _ in fields),
    )
    below = next((unquote(value) for key, _, value in fields if key == "subdirectory"), "")
    if address.is_git(target):
        address.git_address(target)
        return replace(item, address=target, fragment=kept, below=below.strip("/"))
    address.check_short(target)
    path = address.local(target) if address.is_url(target) else target
    if path is None:
        address.check_archive(target)
        return replace(item, before=f"{who}{target}{'' if who else extras}{kept}")
    address.check_here(path, item.name)
    path = posixpath.join(path, below) if below else path
    return replace(item, path=path, after=f"{'' if who else extras}{item.after}", verified=bool(hashes))
