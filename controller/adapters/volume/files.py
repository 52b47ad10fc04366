"""Files of the shared volume, read where others can write."""

import errno
import os
import stat
from pathlib import Path

READ_LIMIT = 4 * 1024 * 1024
# What opening fails with because of what is there: nothing, a link, a pipe, a socket, a folder, a locked file.
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.EISDIR, errno.EACCES)


def read(path: Path, limit: int = READ_LIMIT, *, errors: str = "strict") -> str:
    """Read a plain file. A stage may have put a link or a pipe in its place: neither followed nor waited for."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
        return file.read(limit).decode(errors=errors)


def read_any(path: Path, limit: int = READ_LIMIT) -> str:
    """Read a plain file where others can write, "" where there is none or none of text. Raises OSError."""
    try:
        return read(path, limit)
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        if error.errno in NO_FILE:
            return ""
        raise
