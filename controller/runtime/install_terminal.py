"""A terminal for uv: only to one does it show how much of a download is there, and how many packages are.

What it draws is taken apart into whole lines, and rows that are drawn several times a second. The lines that it writes
elsewhere and not here, as `Downloading torch (750.0MiB)`, are made of the rows. Written against what uv 0.13 draws: a
row that is not known is passed over, a line never.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import struct
import termios
import tty
from typing import Dict, Iterator, List, NamedTuple, Optional, Set

ROWS, COLUMNS = 100, 200  # uv draws no more than there are rows, each filled up with spaces; it downloads 50 at once
SETTINGS = {"TERM": "xterm", "UV_NO_WRAP": "1"}  # elsewhere it breaks no sentence
LARGE = 1024 * 1024  # bytes of a download that has lines of its own, as elsewhere
PIECE = 64 * 1024
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MOVED = re.compile(r"(?:\r?\x1b\[[0-9;]*[ABCDGJK])+")  # ends all that is drawn at once
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_AMOUNT = r"\d{1,9}(?:\.\d{1,9})?"
_ROW = re.compile(
    rf"(?P<name>\S+) +-{{30}} +(?P<got>{_AMOUNT}) (?P<unit>[KMGT]?)i?B/(?P<size>{_AMOUNT}) (?P<of_unit>[KMGT]?)i?B *$"
    r"| *(?P<build>(?:Building|Built) \S+.*)$"
    r"|(?:[\u2800-\u28ff] \D{0,30}\(|[█░]{20} \[)(?P<done>\d{1,9})/(?P<of>\d{1,9})[)\]]"  # preparing, writing
    r"|[\u2800-\u28ff] (?P<choice>\S*)"
)


class Download(NamedTuple):
    """How much of a package is there, in bytes."""

    got: int
    size: int


class Terminal:
    """Reads what a process writes to a terminal, or to a pipe where there is none."""

    def __init__(self) -> None:
        """Open it; `output` is the process's side."""
        self.downloads: Dict[str, Download] = {}  # by package, of those under way
        self.done = self.of = 0  # packages
        self.choosing = ""  # the package whose versions are looked at
        self._builds: Set[str] = set()
        self._rest: List[str] = []  # pieces of what has no end yet
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            self._own, self.output = os.openpty()
            tty.setraw(self.output)
            fcntl.ioctl(self.output, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        except OSError:
            self._own, self.output = os.pipe()

    def lines(self) -> Iterator[Optional[str]]:
        """Yield each line to the end, and None after each piece; the process has started, and `output` is its own."""
        os.close(self.output)
        while True:
            try:
                piece = os.read(self._own, PIECE)
            except OSError:  # Linux says so where nobody has the other side any more
                piece = b""
            text = self._decoder.decode(piece, not piece)
            self._rest.append(text)
            if not piece or "\n" in text or "\x1b" in text:  # else it would all be read again with each piece of a line
                *drawn, rest = _MOVED.split("".join(self._rest))
                whole, end, rest = rest.rpartition("\n") if piece else (rest, "\n" if rest else "", "")
                self._rest = [rest]
                for part in (*drawn, whole + end):
                    yield from self._taken_apart(part)
            yield None
            if not piece:
                return

    def close(self) -> None:
        """Close our side."""
        os.close(self._own)

    def _taken_apart(self, drawn: str) -> Iterator[str]:
        """Yield the lines of what was drawn at once; what is behind them are rows."""
        *lines, rows = _COLOUR.sub("", drawn).replace("\r", "\n").split("\n")
        for line in lines:
            start = 0  # of what is written behind rows
            while start + COLUMNS < len(line) and _ROW.match(line[start : start + COLUMNS]):
                start += COLUMNS
            yield f"{line[start:]}\n"
        if rows.strip():
            found = (_ROW.match(rows[start : start + COLUMNS]) for start in range(0, len(rows), COLUMNS))
            yield from self._seen([row.groupdict() for row in found if row])

    def _seen(self, rows: List[Dict[str, Optional[str]]]) -> Iterator[str]:
        """Note all rows that are there now; yield the lines that they stand for."""
        before, self.downloads, self.choosing, self.done, self.of = self.downloads, {}, "", 0, 0
        for row in rows:
            if row["name"]:
                got, size = float(row["got"] or 0), float(row["size"] or 0)
                here = Download(int(got * _UNITS[row["unit"] or ""]), int(size * _UNITS[row["of_unit"] or ""]))
                self.downloads[row["name"]] = here
            elif row["build"] and row["build"] not in self._builds:
                self._builds.add(row["build"])
                yield f"{'   ' if row['build'].startswith('Building') else '      '}{row['build'].rstrip()}\n"
            elif row["of"]:
                self.done, self.of = int(row["done"] or 0), int(row["of"])
            elif row["choice"] and "==" in row["choice"]:
                self.choosing = row["choice"]
        for name, (_, size) in self.downloads.items():
            if size > LARGE and name not in before:
                yield f"Downloading {name} ({size / LARGE:.1f}MiB)\n"
        for name, (_, size) in before.items():
            if size > LARGE and name not in self.downloads:
                yield f" Downloaded {name}\n"
