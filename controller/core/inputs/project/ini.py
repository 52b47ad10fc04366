"""The ini format: sections, keys and values, with every syntax problem and its line at once.

As Python's configparser reads it (continuation lines, `=` or `:`, ` ;` and ` #` start a comment), without interpolation
and without a section whose keys leak into the others; a quoted value may hold ` ;` and ` #` too, and so may a key whose
values have a `;` between them hold ` ;`. Keys are upper case, except in sections of names that are the user's own.
Refuses duplicate sections and keys.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.core.inputs import kinds
from controller.core.text import quoted

OWN_NAMES = ("env", "secrets")
SEPARATED = ("FOR_EACH",)  # keys whose values have a `;` between them
_HEADER = re.compile(r"\[([^\]]*)\]\s*(?:[;#].*)?")
_QUOTED = re.compile(r"\"([^\"]*)\"\s*(?:\s[;#].*)?|'([^']*)'\s*(?:\s[;#].*)?", re.DOTALL)
_COMMENT = re.compile(r"(?:^|(?<=\s))[;#].*")
_HASH_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")

Sections = Mapping[str, Mapping[str, str]]


@dataclass
class _Reading:
    """What was read so far, and where the reader stands."""

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    section: dict[str, list[str]] | None = None
    name: str = ""
    key: str = ""
    indent: int = 0

    def close(self) -> None:
        """Keep the section that ends here."""
        if self.section is not None:
            self.sections[self.name] = {
                key: _value(parts, _HASH_COMMENT if key in SEPARATED else _COMMENT)
                for key, parts in self.section.items()
            }


def parse(text: str) -> tuple[Sections, tuple[str, ...]]:
    """Return the sections, and a sentence with its line for each problem."""
    reading = _Reading()
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.strip()
        if len(reading.problems) > kinds.PROBLEM_LIMIT:
            break  # garbage: its next thousand lines say nothing more
        if not bare or bare[0] in ";#":
            continue
        indent = len(line) - len(line.lstrip())
        if reading.section is not None and reading.key and indent > reading.indent:
            reading.section[reading.key].append(bare)
        elif bare.startswith("["):
            reading.close()
            header = _HEADER.fullmatch(bare)
            reading.section, reading.key, reading.name = {}, "", header[1] if header else bare
            if not header:
                reading.problems.append(f"line {number}: expected a section like [default], got {quoted(bare)}")
            elif reading.name in reading.sections:
                reading.problems.append(f"line {number}: section [{reading.name}] appears twice: put its keys together")
        else:
            _assign(reading, bare, indent, number)
    reading.close()
    return reading.sections, tuple(reading.problems)


def _assign(reading: _Reading, bare: str, indent: int, number: int) -> None:
    """Read a line `KEY = value`, which is cut at its first `=` or `:`."""
    before, *rest = re.split(r"\s*[=:]\s*", bare, maxsplit=1)
    reading.key, reading.indent = "", indent
    if not rest or not before:
        reading.problems.append(f"line {number}: expected KEY = value or a [section], got {quoted(bare)}")
        return
    if reading.section is None:
        reading.problems.append(f"line {number}: {quoted(before)} comes before any [section]")
        return
    key = before if reading.name in OWN_NAMES else before.upper()
    if key in reading.section:
        reading.problems.append(f"line {number}: [{reading.name}] {key} appears twice: remove one")
    reading.key = key
    reading.section[key] = rest


def _value(parts: list[str], comment: re.Pattern[str]) -> str:
    """Return a value without quotes and comments, its lines joined by line breaks."""
    if quoted := _QUOTED.fullmatch("\n".join(parts)):
        return quoted[1] if quoted[1] is not None else quoted[2]
    value = "\n".join(stripped for part in parts if (stripped := comment.sub("", part).strip()))
    whole = _QUOTED.fullmatch(value)
    return value if whole is None else next(group for group in whole.groups() if group is not None)
