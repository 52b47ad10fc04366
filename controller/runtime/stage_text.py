"""Text that others wrote, sizes, and packages' names. The core's text.py cleans alike; one table holds both."""

from __future__ import annotations

import re

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Dict

MESSAGE_LIMIT = 1024  # bytes
READ_LIMIT = 64 * 1024  # characters that are read of a text
SEQUENCE = r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])"  # ECMA-48: colours
# Up to the last @, since a password may hold one. An SSH user without a password, as git@, is part of the address.
_CREDENTIALS = r"(://)(?!(?<=ssh://)[\w.-]*@)[^/\s'\"]*@"


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return `text` as one printable line of at most `limit` bytes, without colours and credentials in addresses."""
    text = text if len(text) <= READ_LIMIT else text[:READ_LIMIT] + "@"  # half an address would show its password
    line = re.sub(r"\s+", lambda run: " " if run[0].strip(" ") else run[0], re.sub(SEQUENCE, "", text)).strip()
    line = re.sub(_CREDENTIALS, r"\1***@", line)[: limit + 1]
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return line if len(line.encode()) <= limit else line.encode()[: limit - 3].decode(errors="ignore") + "…"


def size(count: float) -> str:
    """Return a number of bytes as a person reads it: `12 B`, `1.5 MiB`."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while count >= 1024 and len(units) > 1:  # noqa: PLR2004 - the step of the units
        count, units = count / 1024, units[1:]
    return f"{count:.1f}".replace(".0", "") + f" {units[0]}"


def canonical(name: str) -> str:
    """Return the normalised name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pairs(table: str) -> Dict[str, str]:
    """Return a table that is written as words, `key=value` or a key that is its own value."""
    return {word.partition("=")[0]: word.rpartition("=")[2] for word in table.split()}
