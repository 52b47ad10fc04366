"""Each promise of docs/reliability.md names tests that are there, and has a figure."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = dict(
    section.split("\n", maxsplit=1)
    for section in re.split(r"^### ", (ROOT / "docs/reliability.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[
        1:
    ]
)


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_names_tests_that_exist_and_a_figure(promise: str) -> None:
    held = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PROMISES[promise])
    assert held
    for path, name in held:
        assert (ROOT / path).is_file(), path
        assert not name or name in names_in(ROOT / path), f"{path}::{name}"
    assert "*Last run:*" in PROMISES[promise]
