"""What a stage costs before its script begins, counted: what the launcher compiles, and what it imports."""

import re
import subprocess
import sys

import pytest

from tests.support.launching import PYTHON_38, Stage

COMPILED = re.compile(r"^# code object from (/.*\.py)$", re.MULTILINE)  # bytecode is in quotes there
PYTHONS = [sys.executable, pytest.param(PYTHON_38, marks=pytest.mark.skipif(not PYTHON_38, reason="no Python 3.8"))]


def bring_bytecode(stage: Stage) -> None:
    """Compile what the launcher needs, as the image of the controller brings it along."""
    script = str(stage.tools / "bytecode.py")
    subprocess.run([stage.python, script, stage.tools / "bytecode", stage.tools], check=True, timeout=60)


@pytest.mark.parametrize("python", PYTHONS)
def test_with_its_bytecode_the_launcher_compiles_nothing(stage: Stage, python: str) -> None:
    stage.python = python
    bring_bytecode(stage)
    stage.env["PYTHONVERBOSE"] = "1"
    ended = stage.run("print('hello')")
    assert (ended.code, COMPILED.findall(ended.text)) == (0, [])
    for name in ("stage_launcher", "threading"):  # our own, and of the standard library
        assert re.search(
            rf"^# code object from '{stage.tools}/bytecode/.*/{name}\.\S+\.pyc'$", ended.text, re.MULTILINE
        )


def test_bytecode_of_other_sources_is_ignored(stage: Stage) -> None:
    bring_bytecode(stage)
    launcher = stage.tools / "stage_launcher.py"
    launcher.write_text(launcher.read_text().replace("copied the repository", "took the repository"))
    assert "coachwork: took the repository" in stage.run("print('hello')").text
