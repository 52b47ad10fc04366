"""What is shown of an artifact: a table, text, a picture, an HTML page, or why nothing is.

The file is a stage's, and hostile: its name alone decides what it is taken for, and what is read of it is bounded.
"""

import csv
import io
import json
from dataclasses import dataclass
from typing import Final

from controller.core.text import format_size, shorten, visible

READ: Final = 512 * 1024  # bytes from the beginning of a file that are shown as text, or as a table
PICTURE: Final = 32 << 20  # bytes of a picture, or of an HTML page
ROWS, COLUMNS, CELL = 500, 50, 200  # of a table; characters
LINES, LINE = 5_000, 2_000  # of a text; characters
PICTURES: Final = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webp": "image/webp",
}
PAGES: Final = {"htm": "text/html; charset=utf-8", "html": "text/html; charset=utf-8"}
SEPARATORS: Final = {"csv": ",;\t|", "tsv": "\t"}
STRUCTURED: Final = ("json", "ipynb", "geojson")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, which the browser draws as nothing but that: an SVG's scripts and links are dead."""


@dataclass(frozen=True, slots=True)
class Page:
    """HTML, in a frame without scripts, forms and network."""


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a table; `numbers` are the columns (from 0) that hold nothing else."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int]
    cut: bool


@dataclass(frozen=True, slots=True)
class Words:
    """The beginning of a text, each character of which is visible."""

    text: str
    cut: bool


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why nothing is shown."""

    why: str


Preview = Picture | Page | Table | Words | Nothing


def ending(path: str) -> str:
    """Return the ending of a file's name, in lower case, without its dot."""
    return path.rpartition("/")[2].rpartition(".")[2].lower() if "." in path.rpartition("/")[2] else ""


def drawn(path: str) -> str:
    """Return the media type of what the browser draws by itself, "" of what it gets as a table or as text."""
    return (PICTURES | PAGES).get(ending(path), "")


def preview(path: str, size: int, head: bytes) -> Preview:
    """Return what is shown of a file of so many bytes, the first READ of which are `head`."""
    kind = ending(path)
    if drawn(path):
        if size > PICTURE:
            return Nothing(f"larger than {format_size(PICTURE)}: download it")
        return Picture() if kind in PICTURES else Page()
    if not size:
        return Nothing("empty")
    if b"\0" in head:
        return Nothing("not text: download it")
    text, cut = head.decode("utf-8-sig", errors="replace"), size > len(head)
    if kind in SEPARATORS and (table := _table(text, SEPARATORS[kind], cut=cut)):
        return table
    return _words(_indented(text) if kind in STRUCTURED and not cut else text, cut=cut)


def _table(text: str, separators: str, *, cut: bool) -> Table | None:
    """Return the table that a text is, None where it is none."""
    separator = max(separators, key=text.partition("\n")[0].count)
    try:
        read = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [_cells(row) for row, _ in zip(read, range(ROWS + 2), strict=False)]
    except csv.Error:
        return None
    if not rows:
        return None
    if cut and len(rows) < ROWS + 2:
        rows.pop()  # the end of what was read is in the middle of it
    wide = max((len(row) for row in rows), default=0)
    header, *body = (row + ("",) * (wide - len(row)) for row in rows) if rows else ((),)
    numbers = frozenset(at for at in range(wide) if body and all(_is_number(row[at]) for row in body))
    return Table(header, tuple(body[:ROWS]), numbers, cut or len(body) > ROWS)


def _cells(row: list[str]) -> tuple[str, ...]:
    more = ("…",) if len(row) > COLUMNS else ()
    return (*(shorten(visible(cell[: CELL + 1]), CELL) for cell in row[:COLUMNS]), *more)


def _is_number(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return False
    return True


def _indented(text: str) -> str:
    """Return JSON one value a line; anything else as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _words(text: str, *, cut: bool) -> Words:
    lines = text.splitlines()
    shown = (shorten(visible(line.expandtabs(4)[: LINE + 1]), LINE) for line in lines[:LINES])
    return Words("\n".join(shown), cut or len(lines) > LINES)
