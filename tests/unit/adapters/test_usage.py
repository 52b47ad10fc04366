"""What is on the volume, by top folder."""

import os
import shutil
from pathlib import Path

from controller.adapters.volume.sweeper import TOPS, Sweeper
from controller.adapters.volume.usage import ENTRIES
from controller.core import layout

BYTES = 1 << 20


def put(folder: Path, name: str = "file", size: int = BYTES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(os.urandom(size))
    return folder / name


def megabytes(found: dict[str, int]) -> dict[str, int]:
    return {kind: round(size / BYTES) for kind, size in found.items() if size >= BYTES // 2}


def test_all_below_a_top_folder_is_counted_and_what_goes_is_counted_no_more(tmp_path: Path) -> None:
    sweeper = Sweeper(tmp_path)
    assert sweeper.used() == dict.fromkeys(map(str, TOPS), 0)
    put(tmp_path / layout.environment("e1") / "lib" / "deep")
    put(tmp_path / layout.run("iris", "u", 1) / "artifacts")
    put(tmp_path / layout.run("iris", "u", 2) / "artifacts")
    put(tmp_path / layout.cache("iris", "u"))
    put(tmp_path / layout.MIRRORS)
    (tmp_path / layout.TOOLS).mkdir()
    (tmp_path / layout.TOOLS / "elsewhere").symlink_to(tmp_path / layout.ENVIRONMENTS)
    assert megabytes(dict(sweeper.used())) == {"environments": 1, "runs": 3, "mirrors": 1}
    shutil.rmtree(tmp_path / layout.run("iris", "u", 1))
    put(tmp_path / layout.cache("iris", "u"), size=2 * BYTES)
    assert megabytes(dict(sweeper.used())) == {"environments": 1, "runs": 3, "mirrors": 1}


def test_files_that_environments_share_with_the_cache_count_once(tmp_path: Path) -> None:
    cached = put(tmp_path / layout.BUILD_CACHE)
    for name in ("e1", "e2", "e3"):
        folder = tmp_path / layout.environment(name)
        folder.mkdir(parents=True)
        (folder / "file").hardlink_to(cached)
    found = Sweeper(tmp_path).used()
    assert round(sum(found.values()) / BYTES, 1) == 1


def test_a_large_volume_is_measured_bit_by_bit_and_again_and_again(tmp_path: Path) -> None:
    large, sweeper = tmp_path / layout.environment("large"), Sweeper(tmp_path)
    put(large)
    for number in range(ENTRIES):
        (large / str(number)).touch()
    put(tmp_path / layout.tools("0"))
    rounds = [megabytes(dict(sweeper.used())) for _ in range(2)]
    assert sorted(map(len, rounds)) == [1, 2]
    put(large, "more")
    put(tmp_path / layout.tools("0"), "more")
    rounds = [megabytes(dict(sweeper.used())) for _ in range(2)]
    assert rounds[-1] == {"environments": 2, "tools": 2}
