"""Hashes, of all or of none: one makes them required, with one version of each package, as in pip.

What has a marker is left to the installer, which knows for which Python it asks. So are the packages that are needed by
what is named (runtime/install_requirements.py).
"""

import re
from collections.abc import Iterator, Sequence

from controller.core.inputs.requirements.closure import Entry, Project
from controller.core.inputs.requirements.line import NAMED

_PIN = re.compile(r"={2,3}[^,*]+")
_IN_ADDRESS = re.compile(r"[#&](?:md5|sha1|sha224|sha256|sha384|sha512)=")
_WRITE = "`pip-compile --generate-hashes` writes them all"


def problems(found: Sequence[tuple[Entry, str]], project: Project) -> Iterator[str]:
    """Yield a line for each requirement without a hash, or without one version, where one of them has a hash."""
    first = next((entry.place for entry, _ in found if _hashed(entry) or entry.item.before == "--require-hashes"), "")
    covered = {name for entry, _ in found if entry.constraint and _hashed(entry) and (name := _name(entry))}
    for entry, path in found if first else ():
        is_option = entry.item.before.startswith("--")
        if not (is_option or entry.constraint) and (problem := _problem(entry, path, project, covered)):
            yield f"{entry.place}: {problem}, and {first} makes hashes required of all, as in pip: {_WRITE}"


def _problem(entry: Entry, path: str, project: Project, covered: set[str]) -> str:
    item = entry.item
    if item.address:
        return "a Git repository can't have a hash"
    if path and path not in project.files:
        return "a folder can't have a hash"
    named = NAMED.fullmatch(item.before)
    if " ; " in f"{item.before}{item.after}":
        return ""
    is_pinned = not named or _PIN.fullmatch(named["versions"] or "") is not None
    if not (_hashed(entry) or _IN_ADDRESS.search(item.before) or _name(entry) in covered):
        return "has no --hash" if is_pinned else "has no --hash and no pin with =="
    return "" if is_pinned else "is not pinned with =="


def _hashed(entry: Entry) -> bool:
    return " --hash=" in entry.item.after


def _name(entry: Entry) -> str:
    named = NAMED.fullmatch(entry.item.before)
    return named["name"] if named else ""
