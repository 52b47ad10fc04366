"""requirements.json: what an environment is made of, as its builder reads it (runtime/install_requirements.py).

It only ever gains keys: during an upgrade and after a downgrade builders of another version read it. Those of version 1
take `lines` and `constraints` apart again; later ones read `items`.
"""

import json

from controller.core.inputs.requirements import RequirementLine, Requirements

VERSION = 2


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
        "items": [_item(entry) for entry in found.entries],
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def _item(entry: RequirementLine) -> dict[str, str | bool]:
    """Return a package or an option, in normal form, and where the user wrote it; without what says nothing."""
    item = entry.item
    located = bool(item.path or item.address)
    words: dict[str, str | bool] = {
        "text": entry.text,
        "place": entry.place,
        "constraint": entry.constraint,
        "option": item.option,  # --find-links
        "name": item.name,  # of the package; "": not known
        "by_version": item.versions is not None,  # from an index, and not by its address or path
        "pinned": item.is_pinned,  # to one version
        "hashed": item.hashed,
        "path": item.path,  # below the project; "." is all of it
        "address": item.address,  # git+URL@REF
        "below": item.below,  # the folder in the repository
        "before": item.before if located else "",  # what stands before the path or address, and after it
        "after": item.after if located else "",
        "value": item.after if item.option and not located else "",  # of the option, where it is no path
    }
    return {key: value for key, value in words.items() if value}
