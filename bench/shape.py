"""`python -m bench.shape [FOLDER]`: lines by room, lengths of functions, and private helpers that are named once.

A private helper that is named once (besides its definition) must carry a concept; else it belongs into its caller.
Its name is looked for in its own file: a helper that is handed to another file is not private.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Function:
    """One function: the room of its file, where it stands, its lines, and whether it is a helper that is named once."""

    room: str
    place: str
    lines: int
    once: bool


def functions(root: Path, file: Path) -> Iterator[Function]:
    """Yield the functions of a file, nested ones as well."""
    text = file.read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DEFINITIONS):
            private = node.name.startswith("_") and not node.name.startswith("__") and not node.decorator_list
            once = private and len(re.findall(rf"\b{node.name}\b", text)) == 2  # noqa: PLR2004 (defined, and named)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Function(room_of(root, file), f"{file}:{node.lineno} {node.name}", lines, once)


def room_of(root: Path, file: Path) -> str:
    """Return the folder of a file below `root`."""
    return file.parent.relative_to(root).as_posix()


def row(name: str, lines: int, found: list[Function]) -> str:
    """Return one line of the table."""
    lengths = sorted(item.lines for item in found) or [0]
    long = quantiles(lengths, n=10)[-1] if len(lengths) > 1 else lengths[0]
    once = sum(item.once for item in found)
    share = 100 * once // len(found) if found else 0
    return f"{name:32}{lines:7}{len(found):10}{median(lengths):8.0f}{long:6.0f}{lengths[-1]:6}{once:7}{share:4} %"


def main() -> None:
    """Print the table; with `--once`, each helper that is named once as well."""
    names = [item for item in sys.argv[1:] if item != "--once"]
    root = Path(names[0] if names else "controller")
    files = sorted(root.rglob("*.py"))
    found = [item for file in files for item in functions(root, file)]
    print(f"{'room':32}{'lines':>7}{'functions':>10}{'median':>8}{'p90':>6}{'max':>6}{'once':>7}")
    for room in sorted({room_of(root, file) for file in files}):
        lines = sum(file.read_text().count("\n") for file in files if room_of(root, file) == room)
        print(row(room, lines, [item for item in found if item.room == room]))
    print(row("all", sum(file.read_text().count("\n") for file in files), found))
    if "--once" in sys.argv:
        print(*(f"{item.place} ({item.lines})" for item in found if item.once), sep="\n")


if __name__ == "__main__":
    main()
