"""A file of secrets: NAME=VALUE lines by the rules of python-dotenv, without its interpolation.

Refuses what can't be read; nothing of a line is ever repeated.
"""

import io

from dotenv.parser import Binding, parse_stream

_NO_PAIR = "expected NAME=VALUE"
_QUOTES = "expected the same quote at both ends of the value, or none"


def parse(content: bytes) -> tuple[dict[str, str], list[str]]:
    """Return the values by their names, the last of each, and a problem for each line that says nothing else."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return {}, [f"line {line}: not text in UTF-8, which a variable has to be: save the file as UTF-8"]
    values: dict[str, str] = {}
    problems: list[str] = []
    for item in parse_stream(io.StringIO(text, newline=None)):
        if item.error or (item.key is not None and item.value is None):
            problems.append(f"line {_line(item)}: {_QUOTES if '=' in item.original.string else _NO_PAIR}")
        elif "\0" in (item.value or ""):
            problems.append(f"line {_line(item)}: holds a NUL, which no variable can: delete it")
        elif item.key and item.value is not None:
            values[item.key] = item.value
    return values, problems


def _line(item: Binding) -> int:
    """Return the line of an entry, which begins behind the empty lines before it."""
    whole = item.original.string
    return item.original.line + whole[: len(whole) - len(whole.lstrip())].count("\n")
