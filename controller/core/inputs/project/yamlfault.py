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
        return _unprintable(error, text)
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return f"not valid YAML: {error.problem or error.context or 'it cannot be read'}"
    return _sharper(error, mark, lines) or f"{_at(mark.line, mark.column)}: not valid YAML: {_words(error)}"


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
    return _unclosed(error, lines) or _unquoted(error, mark, line)


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


def _unclosed(error: yaml.MarkedYAMLError, lines: list[str]) -> str:
    """Return the sentence for a bracket or quote that is never closed, at the place where it opens."""
    start = error.context_mark
    if start is None or start.line >= len(lines) or "escape" in str(error.problem):
        return ""
    opening = lines[start.line][start.column : start.column + 1]
    inside = "flow" in str(error.context) or "quoted" in str(error.context)
    if not inside or opening not in _OPENING:
        return ""
    return (
        f"{_at(start.line, start.column)}: {opening} is opened and never closed: write {_OPENING[opening]} at its end"
    )


def _unquoted(error: yaml.MarkedYAMLError, mark: Any, line: str) -> str:
    """Return the sentence for a value that begins with a character that only quotes make one."""
    character = line[mark.column : mark.column + 1]
    if "cannot start any token" not in str(error.problem) or not character.isprintable() or not character:
        return ""
    return f"{_at(mark.line, mark.column)}: no value starts with {character}: put the value into quotes"


def _words(error: yaml.MarkedYAMLError) -> str:
    words = str(error.problem or error.context or "it cannot be read")
    indented = "did not find expected" in words and "flow" not in str(error.context)
    return f"{words}: check the indentation" if indented else words


def _unprintable(error: yaml.YAMLError, text: str) -> str:
    """Return the sentence for a character that YAML does not take at all."""
    found = Reader.NON_PRINTABLE.search(text)
    if not found:
        return f"not valid YAML: {getattr(error, 'reason', 'it cannot be read')}"
    before = text[: found.start()]
    at = _at(before.count("\n"), len(before) - before.rfind("\n") - 1)
    return f"{at}: the control character U+{ord(found[0]):04X}: remove it"


def _at(line: int, column: int) -> str:
    """Return a place as an editor shows it; parsers count from 0."""
    return f"line {line + 1}, column {column + 1}"
