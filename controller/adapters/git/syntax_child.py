"""Compiles Python texts in a process of its own and reports on them: a hostile text may end it, and nothing else.

Reads one JSON object from standard input, {NAME: text as Latin-1}, and writes a JSON line for each file as it goes.
"""

import ast
import contextlib
import json
import re
import resource
import sys
import warnings
from collections.abc import Iterator
from typing import Any

MEMORY = 1 << 30  # bytes of address space
SECONDS = 20  # of CPU
OLDEST_MINOR = 8
MAGIC = re.compile(r"^([ \t]*)[%!].*", re.MULTILINE)  # a line that only IPython takes
SHOWN = 200  # characters of the compiler's words


def looked_at(name: str, text: bytes) -> dict[str, Any]:
    """Return why a file does not compile, which Python it needs at least, and what it imports before all else."""
    if name.endswith(".ipynb"):
        return looked_into(text)
    try:
        compile(text, name, "exec", dont_inherit=True)
        body = ast.parse(text).body
    except (SyntaxError, ValueError) as error:  # ValueError: NUL bytes, until Python 3.12
        return {"fault": words(error), "line": getattr(error, "lineno", 0) or 1}
    return {"imports": sorted(set(imports(body))), **needs(text)}


def looked_into(text: bytes) -> dict[str, Any]:
    """Return why a notebook can't be run, and what its cells import; a cell may hold what only IPython compiles."""
    try:
        document = json.loads(text)
    except ValueError as error:
        return {"fault": f"not a notebook: {error}"[:SHOWN], "line": getattr(error, "lineno", 1)}
    if not isinstance(document, dict) or "nbformat" not in document:
        return {"fault": "not a notebook: expected what Jupyter saves", "line": 1}
    found: set[str] = set()
    with contextlib.suppress(AttributeError, KeyError, TypeError):  # an older form, or a broken one: Jupyter judges
        language = document.get("metadata", {}).get("kernelspec", {}).get("language") or "python"
        if language.lower() != "python":
            return {"fault": f"a notebook in {language}, and only those in Python run"[:SHOWN], "line": 1}
        for cell in document["cells"]:
            if cell["cell_type"] == "code":
                with contextlib.suppress(SyntaxError, ValueError):
                    found.update(imports(ast.parse(MAGIC.sub(r"\1pass", "".join(cell["source"]))).body))
    return {"imports": sorted(found)}


def needs(text: bytes) -> dict[str, Any]:
    """Return the oldest Python whose grammar takes this text, and what the one before it says; {} where all do."""
    for minor in range(sys.version_info[1] - 1, OLDEST_MINOR - 1, -1):
        try:
            ast.parse(text, feature_version=(3, minor))
        except SyntaxError as error:
            return {"needs": f"3.{minor + 1}", "needed_for": words(error), "line": error.lineno or 1}
    return {}


def imports(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the modules that are imported whenever the file is run: not those in try, if, or a function."""
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            start = "." * statement.level + (statement.module or "")
            yield start
            yield from (f"{start.rstrip('.')}.{alias.name}" if statement.module else f"{start}{alias.name}"
                        for alias in statement.names)  # fmt: skip


def words(error: Exception) -> str:
    """Return the compiler's own words, without the file's name."""
    return f"{type(error).__name__}: {getattr(error, 'msg', None) or error}"[:SHOWN]


def main() -> None:
    """Look at all files."""
    for limit, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a lower one is in force; macOS has none of memory
            resource.setrlimit(limit, (most, most))
    warnings.simplefilter("ignore")  # of escape sequences and the like: those are the stage's own to show
    for name, text in json.load(sys.stdin).items():
        try:
            found = looked_at(name, text.encode("latin-1"))
        except (MemoryError, RecursionError):  # beyond what a compiler takes here; the stage's may have more
            found = {}
        sys.stdout.write(json.dumps([name, found]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
