"""A requirement file's text -> the lines that mean something. Refuses what is not text, or too large.

The format is pip's: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import codecs
import re
from collections.abc import Iterator

from controller.core.text import format_size

LIMIT = 1024 * 1024  # bytes of one file; 500 packages with all their hashes have some 700 KiB
_MARKS = (  # those of UTF-32 first: the one of UTF-16 is how the one of UTF-32 begins
    *((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
    *((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
)


def decoded(content: bytes) -> str:
    """Return a requirement file's text as pip decodes it. Raises ValueError with one sentence.

    A byte order mark decides, else an encoding that one of the first two lines names (PEP 263), else UTF-8.
    """
    if len(content) > LIMIT:
        raise ValueError(f"is {format_size(len(content))} large: {format_size(LIMIT)} at most: make it smaller")
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", ""))
    encoding = encoding or _named_encoding(content)
    try:
        text = content[len(mark) :].decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        start = error.start + len(mark)
        if encoding:
            raise ValueError(f"is not text (byte {start} is not {encoding.upper()}): save it as UTF-8") from None
        remedy = "save it as UTF-8, or name its encoding in line 1, like # coding: latin-1"
        raise ValueError(f"is not text (byte {start} is not UTF-8): {remedy}") from None
    return _plain(text)


def utf8(content: bytes) -> str:
    """Return the text of a UTF-8 file without its byte order mark. Raises ValueError with one sentence."""
    try:
        return _plain(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"is not text (byte {error.start} is not UTF-8): save it as UTF-8") from None


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("is not text (it holds NUL bytes)")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _named_encoding(content: bytes) -> str:
    """Return the encoding that a comment in the first two lines names, "" for none. Raises ValueError."""
    comments = (line for line in content.split(b"\n", 2)[:2] if line.startswith(b"#"))
    named = next(filter(None, (re.search(rb"coding[:=]\s*([-\w.]{1,40})", line) for line in comments)), None)
    if not named:
        return ""
    name, ascii_bytes = named[1].decode("ascii", "replace"), bytes(range(128))
    try:
        found = codecs.lookup(name).name
        # as PEP 263 has it, ASCII is itself in an encoding: the others are escapes and ciphers
        fits = "escape" not in found and found != "idna" and ascii_bytes.decode(found) == ascii_bytes.decode("ascii")
    except (LookupError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"names the unknown encoding {name}: save it as UTF-8, and remove that line")
    return found


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that mean something, each with the number at which it begins (from 1): continuations joined."""
    pending: list[str] = []
    start = 1
    for number, line in enumerate((*text.splitlines(), ""), start=1):
        start = start if pending else number
        comment = line.lstrip().startswith("#")
        if comment and not pending:
            continue
        if line.endswith("\\") and not comment:
            pending.append(line[:-1])
            continue
        joined = "".join([*pending, " ", line] if comment else [*pending, line])
        pending.clear()
        if bare := (re.sub(r"(?:^|(?<=\s))#.*$", "", joined) if "#" in joined else joined).strip():
            yield start, bare


def lines(text: str) -> tuple[str, ...]:
    """Return the lines that mean something, in order: continuations joined, comments and blank lines gone."""
    return tuple(line for _, line in numbered(text))
