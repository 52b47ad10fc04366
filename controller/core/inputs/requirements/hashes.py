"""Hashes, of all or of none: one makes them required, with one version of each package, as in pip.

What has a marker is left to the installer, which knows for which Python it asks. So are the packages that are needed by
what is named (runtime/install_requirements.py).
"""

from collections.abc import Iterator, Sequence

from controller.core.inputs.requirements.closure import Files, RequirementLine
from controller.core.inputs.requirements.line import Directive

_WRITE = "`pip-compile --generate-hashes` writes them all"


def problems(found: Sequence[RequirementLine], project: Files) -> Iterator[str]:
    """Yield a line for each requirement without a hash, or without one version, where one of them has a hash."""
    first = next((one.place for one in found if one.item.hashed or one.item.option == "--require-hashes"), "")
    covered = {one.item.name for one in found if one.constraint and one.item.hashed and one.item.name}
    for entry in found if first else ():
        if not (entry.item.option or entry.constraint) and (problem := _problem(entry.item, project, covered)):
            yield f"{entry.place}: {problem}, and {first} makes hashes required of all, as in pip: {_WRITE}"


def _problem(item: Directive, project: Files, covered: set[str]) -> str:
    if item.address:
        return "a Git repository can't have a hash"
    if item.path and item.path not in project.files:
        return "a folder can't have a hash"
    if item.marked:
        return ""
    is_pinned = item.versions is None or item.is_pinned
    if not (item.verified or (item.versions is not None and item.name in covered)):
        return "has no --hash" if is_pinned else "has no --hash and no pin with =="
    return "" if is_pinned else "is not pinned with =="
