"""The private writable copy of a published checkout: reflinks where the file system can, else plain copies.

It is measured before it is made. Symlinks stay symlinks, everything becomes writable for its owner, sockets and the
like are left out. It refuses a checkout that was not published completely, and one that has no room.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Any, Callable, Collection, List, Sequence, Set, Tuple

    from controller.runtime.stage_order import FULL, Unable, read_text
    from controller.runtime.stage_text import size
else:  # published side by side
    from stage_order import FULL, Unable, read_text
    from stage_text import size

FICLONE = 0x40049409  # linux/fs.h
COMPLETE = ".complete"
NO_REFLINK = (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)
MOST_FILES = 1_000_000
CHUNK = 1 << 20
REMEDY = "keep data out of Git (in the request's cache or a bucket), or"


def unseen(checkout: str, project: str, left_out: Sequence[str]) -> Set[str]:
    """Return the paths that a stage does without: these of its project, and all that is outside of the project.

    None where a link leads to the project: then all of the repository counts.
    """
    folder, paths = checkout, set()  # type: str, Set[str]
    for part in os.path.normpath(project).split(os.sep) if os.path.normpath(project) != "." else ():
        if os.path.islink(os.path.join(folder, part)):
            return set()
        paths |= {os.path.join(folder, name) for name in os.listdir(folder) if name not in (part, COMPLETE)}
        folder = os.path.join(folder, part)
    return paths | {os.path.join(folder, path) for path in left_out}


def copy_checkout(checkout: str, commit: str, target: str, limit: int, left_out: Collection[str] = ()) -> str:
    """Copy the checkout of `commit` to the new folder `target`, replacing what is there. Raises Unable.

    Returns how much that was, in words. `limit` is the most that the copy may take (bytes; 0: no limit); `left_out` are
    paths that it does not get.
    """
    started = time.monotonic()
    found = read_text(os.path.join(checkout, COMPLETE), 200).strip()
    if found != commit:
        what = (
            f"holds commit {found} instead of {commit}" if found else f"of commit {commit} is not there or not complete"
        )
        raise Unable("CheckoutMissing", f"the checkout {what}: start a new run")
    try:
        _remove(target)
        tree = _Tree()
        tree.measure(checkout, target, limit, {os.path.join(checkout, COMPLETE), *left_out})
        disk = os.statvfs(os.path.dirname(target))
        free = disk.f_bavail * disk.f_frsize
        if tree.size > free:
            raise Unable(
                "WorkspaceFull",
                f"the private copy of the repository needs {size(tree.size)}, and the node has {size(free)} left for "
                f"it: {REMEDY} free the node's disk",
            )
        tree.copy()
    except OSError as error:
        if error.errno in FULL:
            raise Unable(
                "WorkspaceFull",
                f"no room for the private copy of the repository ({os.strerror(error.errno or 0)}): "
                f"{REMEDY} give the pod more ephemeral storage",
            ) from error
        raise Unable("WorkspaceFailed", f"the private copy of the repository failed: {error}") from error
    return f"{len(tree.files)} files, {size(tree.size)} in {time.monotonic() - started:.2f} s"


def copy_tree(source: str, target: str) -> None:
    """Copy a folder to the new folder `target`, writable. Raises OSError, Unable."""
    tree = _Tree()
    tree.measure(source, target, 0)
    tree.copy()


def _remove(folder: str) -> None:
    """Remove the copy of the container before this one, whatever modes its script left. Raises OSError."""

    def unlock(function: Callable[..., Any], path: str, _error: object) -> None:
        for locked in (os.path.dirname(path), path):
            if os.path.isdir(locked) and not os.path.islink(locked):
                os.chmod(locked, stat.S_IRWXU)
        if function in (os.unlink, os.rmdir):
            function(path)
        else:
            shutil.rmtree(path)

    if os.path.lexists(folder):
        import shutil  # noqa: PLC0415 - a start in a fresh container does without it

        shutil.rmtree(folder, onerror=unlock)  # onexc is new in 3.12


class _Tree:
    """A folder that is measured first, and then copied."""

    def __init__(self) -> None:
        self.size = 0  # bytes of its files
        self.files: List[Tuple[str, str, int]] = []  # source, target, mode
        self._folders: List[Tuple[str, int]] = []  # target, mode; a folder after the one that it is in
        self._links: List[Tuple[str, str]] = []  # target, what it points to

    def measure(self, source: str, target: str, limit: int, skip: Collection[str] = ()) -> None:
        """Add what there is to copy. Raises OSError, Unable."""
        self._folders.append((target, stat.S_IMODE(os.stat(source).st_mode) | stat.S_IRWXU))
        with os.scandir(source) as entries:
            for entry in entries:
                if entry.path in skip:
                    continue
                path = os.path.join(target, entry.name)
                if entry.is_symlink():
                    self._links.append((path, os.readlink(entry.path)))
                elif entry.is_dir():
                    self.measure(entry.path, path, limit, skip)
                elif entry.is_file():
                    found = entry.stat()
                    mode = stat.S_IMODE(found.st_mode) & 0o777 | stat.S_IRUSR | stat.S_IWUSR
                    self.size += found.st_size
                    self.files.append((entry.path, path, mode))
        if limit and self.size > limit:
            raise Unable(
                "WorkspaceTooLarge",
                f"the repository has more than {size(limit)}, the limit of a stage's private copy: "
                f"{REMEDY} raise the limit",
            )
        if len(self.files) > MOST_FILES:
            raise Unable("WorkspaceTooLarge", f"the repository has more than {MOST_FILES} files: keep data out of Git")

    def copy(self) -> None:
        """Copy it, one file after the other: on local disks more threads got in each other's way. Raises OSError."""
        for folder, _ in self._folders:
            os.makedirs(folder, exist_ok=True)
        for target, points_to in self._links:
            os.symlink(points_to, target)
        reflinks = True
        for source, target, mode in self.files:
            if reflinks:
                try:
                    with open(source, "rb") as origin, open(target, "wb") as copy:
                        fcntl.ioctl(copy.fileno(), FICLONE, origin.fileno())
                except OSError as error:
                    if error.errno not in NO_REFLINK:
                        raise
                    reflinks = False
            if not reflinks:
                with open(source, "rb") as origin, open(target, "wb") as copy:
                    while chunk := origin.read(CHUNK):
                        copy.write(chunk)
            os.chmod(target, mode)
        for folder, mode in reversed(self._folders):
            os.chmod(folder, mode)
