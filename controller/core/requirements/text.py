"""A requirement file's text -> the lines that mean something. Refuses what is no text, or too large.

The format is pip's: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import re

LIMIT = 1024 * 1024  # bytes of one file; 500 packages with all their hashes have some 700 KiB


def decoded(content: bytes) -> str:
    """Give a file's text, without its byte order mark. Raises ValueError with one sentence."""
    if len(content) > LIMIT:
        raise ValueError(f"is {len(content) / 1024:.0f} KiB large: {LIMIT // 1024} KiB at most")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not text (byte {error.start} is no UTF-8): save it as UTF-8") from None
    if "\0" in text:
        raise ValueError("is not text (it holds NUL bytes)")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def numbered(text: str) -> tuple[tuple[int, str], ...]:
    """Give the lines that mean something, each with the number at which it begins (from 1): continuations joined."""
    joined: list[tuple[int, str]] = []
    pending: list[str] = []
    start = 1
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if pending else number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            pending.append(line[:-1])
            continue
        joined.append((start, "".join([*pending, " ", line] if comment else [*pending, line])))
        pending = []
    joined.append((start, "".join(pending)))
    bare = ((number, re.sub(r"(?:^|(?<=\s))#.*$", "", line).strip()) for number, line in joined)
    return tuple((number, line) for number, line in bare if line)


def lines(text: str) -> tuple[str, ...]:
    """Give the lines that mean something, in order: continuations joined, comments and blank lines gone."""
    return tuple(line for _, line in numbered(text))
