"""The private writable copy of a published checkout: reflinks where the file system can, else plain copies.

Symlinks stay symlinks, everything becomes writable for its owner, sockets and the like are left out. It refuses a
checkout that was not published completely.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from controller.runtime.stage_order import Refused
else:  # published side by side
    from stage_order import Refused

FICLONE = 0x40049409  # linux/fs.h
COMPLETE = ".complete"
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_REFLINK = (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)


def copy_checkout(checkout: str, commit: str, target: str) -> None:
    """Copy the checkout of `commit` to the new folder `target`, replacing what is there. Raises Refused."""
    _check_complete(checkout, commit)
    try:
        _remove(target)
        _Copier().folder(checkout, target, skip=COMPLETE)
    except OSError as error:
        if error.errno in FULL:
            raise Refused(
                "WorkspaceFull",
                f"no room for the private copy of the repository ({os.strerror(error.errno or 0)}): "
                "give the pod more ephemeral storage or make the repository smaller",
            ) from error
        raise Refused("WorkspaceFailed", f"the private copy of the repository failed: {error}") from error


def copy_tree(source: str, target: str) -> None:
    """Copy a folder to the new folder `target`, writable. Raises OSError."""
    _Copier().folder(source, target)


def _check_complete(checkout: str, commit: str) -> None:
    try:
        with open(os.path.join(checkout, COMPLETE), encoding="utf-8", errors="replace") as file:
            found = file.read(200).strip()
    except OSError as error:
        raise Refused(
            "CheckoutMissing",
            f"the checkout of commit {commit} is not there or not complete ({error.strerror}): start a new run",
        ) from error
    if found != commit:
        raise Refused("CheckoutMissing", f"the checkout holds commit {found!r} instead of {commit}: start a new run")


def _remove(folder: str) -> None:
    """Remove the copy of the container before this one, whatever modes its script left."""

    def unlock(function: Callable[..., Any], path: str, _error: object) -> None:
        for locked in (os.path.dirname(path), path):
            if os.path.isdir(locked) and not os.path.islink(locked):
                os.chmod(locked, stat.S_IRWXU)
        if function in (os.unlink, os.rmdir):
            function(path)
        else:
            shutil.rmtree(path)

    if os.path.lexists(folder):
        shutil.rmtree(folder, onerror=unlock)  # onexc is new in 3.12


class _Copier:
    def __init__(self) -> None:
        self.reflinks = True

    def folder(self, source: str, target: str, skip: str = "") -> None:
        os.makedirs(target, exist_ok=True)
        with os.scandir(source) as entries:
            for entry in entries:
                if entry.name != skip:
                    self._entry(entry, os.path.join(target, entry.name))
        os.chmod(target, stat.S_IMODE(os.stat(source).st_mode) | stat.S_IRWXU)

    def _entry(self, entry: os.DirEntry[str], target: str) -> None:
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir():
            self.folder(entry.path, target)
        elif entry.is_file():
            self._file(entry.path, target)
            mode = stat.S_IMODE(entry.stat().st_mode) & 0o777
            os.chmod(target, mode | stat.S_IRUSR | stat.S_IWUSR)

    def _file(self, source: str, target: str) -> None:
        if not (self.reflinks and self._reflink(source, target)):
            shutil.copyfile(source, target, follow_symlinks=False)

    def _reflink(self, source: str, target: str) -> bool:
        """Share the blocks of `source`; False, and never asked again, where the file system has no such thing."""
        import fcntl  # noqa: PLC0415 - absent on systems without reflinks, where only this fails

        try:
            with open(source, "rb") as origin, open(target, "wb") as copy:
                fcntl.ioctl(copy.fileno(), FICLONE, origin.fileno())
        except OSError as error:
            if error.errno not in NO_REFLINK:
                raise
            self.reflinks = False
            return False
        return True
