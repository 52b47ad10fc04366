"""Text that others wrote, as one line of a message. The core's `text.fit` does the same, and one table holds both."""

import re

MESSAGE_LIMIT = 1024  # bytes
READ_LIMIT = 64 * 1024  # characters that are read of a text
SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")  # ECMA-48: colours
# Up to the last @, since a password may hold one. An SSH user without a password, as git@, is part of the address.
_CREDENTIALS = re.compile(r"(://)(?!(?<=ssh://)[\w.-]*@)[^/\s'\"]*@")


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return `text` as one printable line of at most `limit` bytes, without colours and credentials in addresses."""
    text = text if len(text) <= READ_LIMIT else text[:READ_LIMIT] + "@"  # half an address would show its password
    line = re.sub(r"\s+", lambda run: " " if run[0].strip(" ") else run[0], SEQUENCE.sub("", text)).strip()
    line = _CREDENTIALS.sub(r"\1***@", line)[: limit + 1]
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return line if len(line.encode()) <= limit else line.encode()[: limit - 3].decode(errors="ignore") + "…"
