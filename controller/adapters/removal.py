"""Removing and copying trees that stages have written: no link is followed, and locked folders go as well."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

BLOCK = 512  # bytes: what st_blocks counts (stat(2))


def erase(place: Path) -> int:
    """Remove a file or a folder; give about how many bytes came free. What resists is left for the next time."""
    before = size_of(place)
    _remove(place)
    if _is_folder(place):
        _unlock(place)
        _remove(place)
    return before - (size_of(place) if os.path.lexists(place) else 0)


def size_of(place: Path) -> int:
    """Give the bytes that a file or folder takes and nothing else shares: hard links elsewhere keep what they name."""
    return sum(status.st_blocks * BLOCK for status in _statuses(place) if _is_alone(status))


def newest(place: Path, now: float) -> float:
    """Give the time (POSIX seconds) at which a file or anything in a folder was last written; 0 if it is not there.

    Times after `now` are left out: the clock was set back since.
    """
    times = (status.st_mtime for status in _statuses(place))
    return max((time for time in times if time <= now), default=0.0)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder to a new one: files, folders and links as they are, nothing else. Raises OSError at the first.

    shutil.copytree goes on after an error and tells all as one text, in which a full volume is not known any more.
    """
    target.mkdir()
    with os.scandir(source) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        place = target / entry.name
        if entry.is_symlink():
            place.symlink_to(Path(entry.path).readlink())
        elif entry.is_dir():
            copy_tree(Path(entry.path), place)
        elif entry.is_file():
            shutil.copy2(entry.path, place, follow_symlinks=False)
    shutil.copystat(source, target)


def _is_alone(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) or status.st_nlink == 1


def _is_folder(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()


def _statuses(place: Path) -> Iterator[os.stat_result]:
    """Give the status of a file or folder and of all that is in it; what goes meanwhile is left out."""
    with suppress(OSError):
        yield place.lstat()
    if not _is_folder(place):
        return
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            with suppress(OSError):
                yield Path(folder, name).lstat()


def _remove(place: Path) -> None:
    if _is_folder(place):
        shutil.rmtree(place, ignore_errors=True)
        return
    with suppress(OSError):
        place.unlink()


def _unlock(place: Path) -> None:
    """Make folders that a stage locked, of which the owner is our own uid, ones whose content can be removed."""
    with suppress(OSError):
        place.chmod(0o700)
    for folder, folders, _ in os.walk(place):  # from the top, so that each is unlocked before it is entered
        for entry in (Path(folder, name) for name in folders):
            with suppress(OSError):
                if not entry.is_symlink():
                    entry.chmod(0o700)
