"""The volume as the doctor finds it."""

import os
from pathlib import Path

import pytest

from controller.adapters.volume.probe import probe


def test_a_folder_that_can_be_written_to_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    facts = probe(tmp_path)
    assert (facts.problem, facts.mounted) == ("", False)
    assert 0 < facts.free <= facts.size
    assert facts.sync > 0
    assert facts.owner == f"{os.getuid()}:{os.getgid()}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["nosuch", "file"])
def test_what_can_not_be_written_to_is_reported_in_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    facts = probe(tmp_path / place)
    assert facts.problem in {"No such file or directory", "Not a directory"}
