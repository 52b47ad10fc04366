"""How a file that we wrote shows that it is what was written: by a digest of its text. Pure.

A disk can cut it off or flip a bit of it, and what is left may still read well: another commit, other versions. Records
have a digest of their own (status.py). A text without a seal is an older version's, or was written again by one: it is
believed. `controller/runtime` seals in the same way what it writes; a test holds both to that.
"""

import json
import re

from controller.core import names

_OBJECT = re.compile(
    r'(.*),\n "digest": "([0-9a-f]{64})"\n\}\n?', re.DOTALL
)  # at its end: older versions sort their keys
_LINES = re.compile(r"# sha256: ([0-9a-f]{64})\n(.*)", re.DOTALL)  # at their beginning: lines can be missing


def sealed(text: str) -> str:
    """Return the text of a JSON object, which is not empty, with its digest as the last key, once."""
    if _OBJECT.fullmatch(text):
        return text
    start = text.rstrip().removesuffix("}").rstrip()
    return f'{start},\n "digest": "{names.digest(start, 64)}"\n}}\n'


def opened(text: str) -> str | None:
    """Return the text of a JSON object without its seal; None where it is not what was sealed."""
    found = _OBJECT.fullmatch(text)
    if not found:
        return text
    return found[1] + "}" if names.digest(found[1], 64) == found[2] else None


def is_sound(text: str) -> bool:
    """Return whether a text is a JSON object as it was written."""
    try:
        return isinstance(json.loads(opened(text) or ""), dict)
    except (ValueError, RecursionError):
        return False


def is_sound_lock(text: str) -> bool:
    """Return whether a lock is what was written; one without a seal names a package at least."""
    found = _LINES.fullmatch(text)
    return names.digest(found[2], 64) == found[1] if found else "==" in text and not text.startswith("#")
