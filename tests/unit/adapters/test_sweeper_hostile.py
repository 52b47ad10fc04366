"""The sweeper against what stages leave in the folders that they may write to."""

import os
import time
from pathlib import Path, PurePosixPath

import pytest

from controller.adapters.volume import Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.core import layout, sweep
from controller.core.documents.run import write_uses

NAME, UID = "iris", "0a1b2c3d-0000-4000-8000-0123456789ab"
UNUSED = layout.environment("0" * 20)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    """A volume with a request's cache, and an environment that nobody has used for a day."""
    made = Volume(tmp_path)
    made.prepare([UNUSED, layout.cache(NAME, UID)])
    day = time.time() - 24 * 60 * sweep.MINUTE
    os.utime(tmp_path / UNUSED, (day, day))
    return made


@pytest.mark.parametrize("text", ["garbage", "[" * 100_000, write_uses([UNUSED])])
def test_a_file_that_a_stage_leaves_in_its_cache_is_not_a_runs_note(volume: Volume, tmp_path: Path, text: str) -> None:
    volume.keep_text(layout.cache(NAME, UID) / layout.USES, text)
    Sweeper(tmp_path).sweep(_nothing, sweep.CALM, time.time())
    assert not (tmp_path / UNUSED).exists()


@pytest.mark.usefixtures("volume")
def test_a_pipe_that_a_stage_leaves_in_its_cache_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / layout.cache(NAME, UID) / layout.USES)
    Sweeper(tmp_path).sweep(_nothing, sweep.CALM, time.time())
    assert not (tmp_path / UNUSED).exists()


def _nothing() -> frozenset[PurePosixPath]:
    return frozenset()
