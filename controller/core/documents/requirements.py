"""requirements.json: what an environment is made of, as its builder reads it (runtime/install_requirements.py).

It only ever gains keys: during an upgrade and after a downgrade builders of another version read it. Those of version 1
take `lines` and `constraints` apart again; later ones read `items`.
"""

import json
from dataclasses import dataclass

from controller.core.documents import codec
from controller.core.inputs.requirements import RequirementLine, Requirements

VERSION = 2


@dataclass(frozen=True, slots=True)
class Line:
    """A package or an option, in normal form, and where the user wrote it."""

    text: str
    place: str
    constraint: bool
    option: str  # --find-links
    name: str  # of the package; "": not known
    by_version: bool  # from an index, and not by its address or path
    pinned: bool  # to one version
    hashed: bool
    path: str  # below the project; "." is all of it
    address: str  # git+URL@REF
    below: str  # the folder in the repository
    before: str = ""  # what stands before the path or address, and after it
    after: str = ""
    value: str = ""  # of the option, where it is no path


def write(found: Requirements, as_of: str, *, by_default: bool = False) -> str:
    """Return the text; `as_of` is the day as of which packages are taken, `by_default` where nobody asked for one."""
    content = {
        "file": found.file,
        "lines": found.lines,
        "constraints": found.constraints,
        "places": [entry.place for entry in found.entries],
        "paths": found.paths,
        "addresses": found.addresses,
        "as_of": as_of,
        **({"as_of_by_default": True} if by_default else {}),
        "version": VERSION,
        "items": [codec.sparse(_line(entry), ("", False)) for entry in found.entries],
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def _line(entry: RequirementLine) -> Line:
    item = entry.item
    located = bool(item.path or item.address)
    return Line(
        text=entry.text,
        place=entry.place,
        constraint=entry.constraint,
        option=item.option,
        name=item.name,
        by_version=item.versions is not None,
        pinned=item.is_pinned,
        hashed=item.hashed,
        path=item.path,
        address=item.address,
        below=item.below,
        before=item.before if located else "",
        after=item.after if located else "",
        value=item.after if item.option and not located else "",
    )
