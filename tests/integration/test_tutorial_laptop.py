"""The tutorial's first part: every command of it, on a machine without a cluster."""

import shlex
from pathlib import Path

import pytest

from tests.support.tutorial import Reader, sections

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)  # packages of the command and of the stages come from PyPI
def test_every_command_for_the_laptop_works(tmp_path: Path) -> None:
    variables = {"COACHWORK_HOME": str(tmp_path / "state"), "PIP_NO_COMPILE": "1"}
    instead = {"https://github.com/you/coachwork": f"{shlex.quote(str(ROOT))} coachwork"}
    reader = Reader(tmp_path, variables, instead)
    laptop = [section for section in sections() if section.title[:2] in {"1.", "2.", "3."}]
    assert [len(section.blocks) for section in laptop] == [1, 0, 3]
    for section in laptop:
        reader.follow(section)
