"""What is wrong with a text that is not YAML: the line and column where a person has to look, and what to write there.

A parser says where it gave up, which is often a line after the mistake, and in its own words. The commonest mistakes
are found by looking at the lines themselves; for all others the parser's words stay. No value is shown: it may be a
secret.
"""

import re
from typing import Any

import yaml
from yaml.reader import Reader

_UNSPACED = re.compile(r"\s*(?:-\s+)*(?P<key>[A-Za-z_][\w.-]{0,60}):(?=[^\s:/])")
_OPENING = {"[": "]", "{": "}", '"': '"', "'": "'"}


def describe(error: yaml.YAMLError, text: str) -> str:
    """Return one sentence with line and column for what the parser met in `text`."""
    lines = text.split("\n")
    marked = [number for number, line in enumerate(lines) if line.startswith(("<<<<<<< ", ">>>>>>> "))]
    if len(marked) > 1:
        return f"{_at(marked[0], 0)}: a conflict marker of Git: resolve the conflict"
    if not isinstance(error, yaml.MarkedYAMLError):
        found = Reader.NON_PRINTABLE.search(text)  # a character that YAML does not take at all
        if not found:
            return f"not valid YAML: {getattr(error, 'reason', 'it cannot be read')}"
        before = text[: found.start()]
        at = _at(before.count("\n"), len(before) - before.rfind("\n") - 1)
        return f"{at}: the control character U+{ord(found[0]):04X}: remove it"
    mark = error.problem_mark or error.context_mark
    words = str(error.problem or error.context or "it cannot be read")
    if mark is None:
        return f"not valid YAML: {words}"
    if "did not find expected" in words and "flow" not in str(error.context):
        words += ": check the indentation"
    return _sharper(error, mark, lines) or f"{_at(mark.line, mark.column)}: not valid YAML: {words}"


def unspaced(text: str) -> str:
    """Return the key of what looks like `KEY:value`, a mapping whose colon has no space after it; "" for none."""
    found = _UNSPACED.match(text)
    return found["key"] if found else ""


def _sharper(error: yaml.MarkedYAMLError, mark: Any, lines: list[str]) -> str:
    """Return a sentence for a mistake that the lines themselves show, "" where they show none."""
    line = lines[mark.line] if mark.line < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent or line[mark.column : mark.column + 1] == "\t":
        column = indent.index("\t") if "\t" in indent else mark.column
        return f"{_at(mark.line, column)}: a tab: YAML takes only spaces there"
    problem = str(error.problem)
    if any(words in problem for words in ("mapping values", "expected ':'", "expected key")):
        began = error.context_mark if "expected ':'" in problem else None
        if found := _unspaced_above(lines, (began or mark).line):
            return found
        if "mapping values" in problem and re.search(r":\s.*:(?:\s|$)", line):
            return f"{_at(mark.line, mark.column)}: a second colon: put a value that holds one into quotes"
    start, context = error.context_mark, str(error.context)
    opening = lines[start.line][start.column : start.column + 1] if start and start.line < len(lines) else ""
    if start and opening in _OPENING and ("flow" in context or "quoted" in context) and "escape" not in problem:
        at, closing = _at(start.line, start.column), _OPENING[opening]
        return f"{at}: {opening} is opened and never closed: write {closing} at its end"
    character = line[mark.column : mark.column + 1]
    if "cannot start any token" in problem and character and character.isprintable():
        return f"{_at(mark.line, mark.column)}: no value starts with {character}: put the value into quotes"
    return ""


def _unspaced_above(lines: list[str], at: int) -> str:
    """Return the sentence for the first of the `KEY:value` lines that end at, or just above, this line."""
    blank = re.compile(r"\s*(?:#.*)?")
    above = [number for number in range(min(at, len(lines) - 1), -1, -1) if not blank.fullmatch(lines[number])]
    start = next((place for place, number in enumerate(above[:2]) if unspaced(lines[number])), None)
    if start is None:
        return ""
    number = above[start]
    for number_above in above[start:]:
        if not unspaced(lines[number_above]):
            break
        number = number_above
    found = _UNSPACED.match(lines[number])
    column = found.end() if found else 0
    return f"{_at(number, column)}: no space after the colon: write {unspaced(lines[number])}: and then the value"


def _at(line: int, column: int) -> str:
    """Return a place as an editor shows it; parsers count from 0."""
    return f"line {line + 1}, column {column + 1}"
