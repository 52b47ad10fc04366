"""What a stage costs before its script begins, counted: what the launcher compiles, and what it imports."""

import re
import subprocess
import sys

import pytest

from tests.support.building import Builder
from tests.support.launching import PYTHON_38, Stage

COMPILED = re.compile(r"^# code object from (/.*\.py)$", re.MULTILINE)  # bytecode is in quotes there
PYTHONS = [sys.executable, pytest.param(PYTHON_38, marks=pytest.mark.skipif(not PYTHON_38, reason="no Python 3.8"))]


def bring_bytecode(stage: Stage, place: str = "tools") -> None:
    """Compile what the launcher needs, as the image of the controller brings it along, or an environment."""
    script = str(stage.tools / "bytecode.py")
    subprocess.run([stage.python, script, stage.root / place / "bytecode", stage.tools], check=True, timeout=60)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("place", ["tools", "environment"])
def test_with_its_bytecode_the_launcher_compiles_nothing(stage: Stage, python: str, place: str) -> None:
    stage.python = python
    bring_bytecode(stage, place)
    stage.env["PYTHONVERBOSE"] = "1"
    ended = stage.run("print('hello')")
    assert (ended.code, COMPILED.findall(ended.text)) == (0, [])
    for name in ("stage_launcher", "threading"):  # our own, and of the standard library
        assert re.search(
            rf"^# code object from '{stage.root}/{place}/bytecode/.*/{name}\.\S+\.pyc'$", ended.text, re.MULTILINE
        )


@pytest.mark.parametrize("python", PYTHONS)
def test_with_its_bytecode_a_build_compiles_nothing_of_its_own(builder: Builder, python: str) -> None:
    builder.stage.python = python
    bring_bytecode(builder.stage)
    builder.env["PYTHONVERBOSE"] = "1"
    ended = builder.run("plume\n", compiles=False)
    assert (ended.code, [path for path in COMPILED.findall(ended.text) if "site-packages" not in path]) == (0, [])
    assert re.search(r"/tools/bytecode/.*/install_uv\.\S+\.pyc'$", ended.text, re.MULTILINE)


def test_bytecode_of_other_sources_is_ignored(stage: Stage) -> None:
    bring_bytecode(stage)
    launcher = stage.tools / "stage_launcher.py"
    launcher.write_text(launcher.read_text().replace("copied the repository", "took the repository"))
    assert "coachwork: took the repository" in stage.run("print('hello')").text


LIBRARY = """
__future__ binascii codecs collections contextlib copyreg encodings enum errno fcntl functools importlib itertools
json keyword locale math operator re reprlib select selectors signal subprocess termios threading types warnings
"""
OWN = "stage_attempt stage_copy stage_launcher stage_log stage_order stage_output stage_process stage_redact stage_text"
WATCHED = """
import os, sys
began = set(sys.modules)
def hook(event, _):
    if event == "subprocess.Popen":
        print("imported", *sorted(set(sys.modules) - began), file=sys.stderr, flush=True)
sys.addaudithook(hook)
exec(open(os.path.join(sys.path[0], "whole.py")).read())
"""


def test_before_a_script_of_a_batch_stage_little_is_imported(stage: Stage) -> None:
    launch = stage.tools / "launch.py"
    launch.rename(stage.tools / "whole.py")
    launch.write_text(WATCHED)
    ended = stage.run("print('hello')")
    assert ended.code == 0, ended.text
    (line,) = [line for line in ended.text.splitlines() if line.startswith("imported ")]
    names = {name.partition(".")[0] for name in line.split()[1:] if not name.startswith(("_", "ctypes", "struct"))}
    own = {name for name in names if name.startswith("stage_")}
    assert own == set(OWN.split())
    assert names - own - set(LIBRARY.split()) == set()
