"""The shared volume: makes, writes, reads and removes what core/layout.py names, and nothing else.

Every file is written beside its place and renamed into it. Foreign errors become Transient: a volume can come back.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import yaml

from controller.adapters import removal
from controller.core import checks, layout, sweep
from controller.core.errors import Invalid, Transient
from controller.core.model import Attempt

FOLDER_MODE = 0o2775  # group-writable, and the group stays: controller and stages share it
READ_LIMIT = 4 * 1024 * 1024
ATTEMPT_LIMIT = 64 * 1024  # bytes of what the launcher writes at an attempt's end
UID_LENGTH = 36
MIB = 1 << 20
_NUMBER = re.compile(r"[0-9]{1,9}")  # of an attempt, as the launcher counts


class Volume:
    """The shared volume, mounted at `root`."""

    def __init__(self, root: Path) -> None:
        """Take the mount point; it exists."""
        self._root = root

    def prepare(self, folders: Iterable[PurePosixPath]) -> None:
        """Make these folders, group-writable. Raises Transient."""
        with _translated("make folders"):
            for folder in folders:
                self._make(self._root / folder)

    def keep_record(self, path: PurePosixPath, data: Mapping[str, str]) -> None:
        """Write the record's copy, atomically. Raises Transient."""
        self._write(path, yaml.safe_dump(dict(data), sort_keys=True, allow_unicode=True))

    def recall_record(self, path: PurePosixPath) -> Mapping[str, str] | None:
        """Give the record's copy; None if there is none, or none that can be read. Raises Transient."""
        with _translated("read a record"):
            try:
                loaded = yaml.safe_load(_read(self._root / path))
            except (FileNotFoundError, yaml.YAMLError, UnicodeDecodeError):
                return None
        return {str(key): str(value) for key, value in loaded.items()} if isinstance(loaded, dict) else None

    def keep_run(self, path: PurePosixPath, run: Mapping[str, object]) -> None:
        """Write run.json, atomically. Raises Transient."""
        self._write(path, json.dumps(run, indent=1, sort_keys=True) + "\n")

    def note_uses(self, path: PurePosixPath, paths: Iterable[PurePosixPath]) -> None:
        """Write what a run needs of the volume beyond its own folder, atomically: no sweep takes it. Raises Transient.

        It has to be there before the run's first object is.
        """
        self._write(path, sweep.uses_text(paths))

    def room(self) -> str:
        """Give how much of the volume is free, for a person; "" where it does not tell."""
        try:
            found = os.statvfs(self._root)
        except OSError:
            return ""
        if found.f_files and not found.f_favail:
            return f"none of its {found.f_files} inodes are free"
        free, size = (blocks * found.f_frsize / MIB for blocks in (found.f_bavail, found.f_blocks))
        unit, factor = ("GiB", 1024) if size >= 1024 else ("MiB", 1)  # noqa: PLR2004 (the step of the units)
        return f"{free / factor:.1f} of {size / factor:.1f} {unit} are free" if size else ""

    def inherit(self, source: PurePosixPath, target: PurePosixPath) -> None:
        """Have `target` begin as a copy of `source`, whole or not at all, if it is not there yet.

        Raises Invalid where a stage has left what can't be read, Transient.
        """
        place = self._root / target
        with _translated("copy artifacts"):
            if place.exists() or not (self._root / source).is_dir():
                return
            self._make(place.parent)
            partial = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
            try:
                removal.copy_tree(self._root / source, partial)
                _publish(partial, place)
            except PermissionError as error:
                if invalid := _unreadable(source, self._root / source, error):
                    raise invalid from error
                raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def attempts(self, folder: PurePosixPath) -> Sequence[Attempt]:
        """Give the attempts that left something in a stage's log folder, oldest first. Raises Transient."""
        with _translated("read attempts"):
            place = self._root / folder
            numbers = {int(path.stem) for path in place.glob("*.log") if _NUMBER.fullmatch(path.stem)}
            return [_attempt(number, place / f"{number}.json") for number in sorted(numbers)]

    def requests(self) -> Sequence[str]:
        """Give the names of the requests that have a folder here, whether they still live or not."""
        with _translated("list runs"):
            folders = self._root / layout.RUNS
            return sorted({name for name, _ in _owners(folders)})

    def keep_only(self, name: str, uid: str, runs: frozenset[int]) -> None:
        """Remove the runs of a request other than `runs`.

        What earlier requests of this name left is the sweep's: their pods may be on their way out still.
        """
        with _translated("remove old runs"):
            for folder in _listed(self._root / layout.request(name, uid)):
                if folder.name.isdigit() and int(folder.name) not in runs:
                    self._remove(folder)

    def forget(self, name: str, *, living: str = "") -> None:
        """Remove the folders of all requests of this name but the one whose uid is `living`."""
        with _translated("remove runs"):
            for found, uid in list(_owners(self._root / layout.RUNS)):
                if found == name and uid != living:
                    self._remove(self._root / layout.request(name, uid))

    def publish_tools(self, files: Sequence[Path]) -> str:
        """Have `files` in a folder of their own, complete; give that folder's digest. Raises Transient."""
        digest = _digest(files)
        target = self._root / layout.tools(digest)
        with _translated("publish the tools"):
            with suppress(OSError):
                os.utime(target)  # before the look: a sweep that comes between sees one of both (docs/adr/0012)
            if (target / layout.COMPLETE).exists():
                return digest
            self._make(target.parent)
            partial = target.with_name(f".{digest}-{uuid.uuid4().hex[:8]}")
            try:
                _fill(partial, files, digest)
                _publish(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return digest

    def _write(self, path: PurePosixPath, text: str) -> None:
        target = self._root / path
        with _translated(f"write {path.name}"):
            self._make(target.parent)
            partial = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
            try:
                with partial.open("w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it: `mkdir` alone would leave their modes to the umask."""
        missing = [folder, *folder.parents]
        for path in reversed(missing[: missing.index(self._root)]):
            try:
                path.mkdir()
            except FileExistsError:
                continue
            path.chmod(FOLDER_MODE)

    def _remove(self, folder: Path) -> None:
        """Remove a folder at once for all who look, then bit by bit. What resists is left for the next time."""
        trash = self._root / layout.RUNS / f".trash-{uuid.uuid4().hex[:12]}"
        try:
            folder.rename(trash)
        except FileNotFoundError:
            return
        for rest in self._root.joinpath(layout.RUNS).glob(".trash-*"):
            shutil.rmtree(rest, ignore_errors=True)
            if rest.exists():
                _unlock(rest)
                shutil.rmtree(rest, ignore_errors=True)


def _owners(folder: Path) -> Iterator[tuple[str, str]]:
    for entry in _listed(folder):
        name, uid = entry.name[: -UID_LENGTH - 1], entry.name[-UID_LENGTH:]
        if name and not entry.name.startswith("."):
            yield name, uid


def _unlock(folder: Path) -> None:
    """Make folders that a stage locked, of which the owner is our own uid, ones whose content can be removed."""
    with suppress(OSError):
        folder.chmod(0o700)
    for place, folders, _ in os.walk(folder):  # from the top, so that each is unlocked before it is entered
        for entry in (Path(place, name) for name in folders):
            with suppress(OSError):
                if not entry.is_symlink():
                    entry.chmod(0o700)


def _listed(folder: Path) -> Sequence[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return ()


def _read(path: Path) -> str:
    """Read a plain file. A stage may have put a link or a pipe in its place: neither followed nor waited for."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
        return file.read(READ_LIMIT).decode()


def _read_hostile(path: Path) -> str:
    """Read a small file of a folder that a stage can write to: no link is followed, no pipe is waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("no plain file")
        return file.read(ATTEMPT_LIMIT).decode()


def _attempt(number: int, path: Path) -> Attempt:
    """Read what the launcher wrote at an attempt's end; the stage could write there too, so nothing is believed."""
    try:
        loaded = json.loads(_read_hostile(path))
        code = loaded["exit_code"]
        reason, message = str(loaded.get("reason", "")), str(loaded.get("message", ""))
        return Attempt(number, ended=True, exit_code=int(code), reason=reason, message=message)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return Attempt(number, ended=False)


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:16]


def _fill(folder: Path, files: Iterable[Path], digest: str) -> None:
    folder.mkdir(mode=0o755)
    for file in files:
        shutil.copyfile(file, folder / file.name)
        (folder / file.name).chmod(0o755)
    (folder / layout.COMPLETE).write_text(digest)


def _publish(partial: Path, target: Path) -> None:
    """Rename a finished folder into its place; another who was first is just as good."""
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _unreadable(source: PurePosixPath, folder: Path, error: PermissionError) -> Invalid | None:
    """Give the error for a file of the artifacts that can't be read; None where it is about another place."""
    place = Path(error.filename or "")
    if not place.is_relative_to(folder):
        return None
    name = checks.shown(place.relative_to(folder).as_posix())
    remedy = "the stage that wrote it took the right away: let its group read it, or start a run of all stages"
    line = f"artifacts of run {layout.run_in(source)}: {name} can't be read by the controller ({remedy})"
    return Invalid("ArtifactsUnreadable", [line])


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        line = f"the shared volume: could not {doing}: {os.strerror(error.errno or 0)}"
        raise Transient("VolumeFull" if full else "VolumeUnavailable", line) from error
