"""A file system that is really full, and a process that really may not: where this machine lets us have them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

NOBODY = 65534


@contextmanager
def small(root: Path, size: str) -> Iterator[Path]:
    """Yield an empty file system of this size (as mount(8) takes it); skips the test where nobody may mount one."""
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root can mount a small file system")
    folder = root / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, timeout=20, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], timeout=20, check=True)


def enlarge(folder: Path, size: str) -> None:
    """Change the size of a file system of `small`."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], timeout=20, check=True)


def fill(file: Path) -> None:
    """Write to a file until there is no room for one byte more."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(b"x" * (1 << 16))


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Work in a folder, which becomes our own, as somebody whom modes stop: root does not feel them."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, NOBODY, NOBODY)
    for path in folder.rglob("*"):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


__all__ = ["enlarge", "fill", "small", "unprivileged"]
