"""Whether a folder is a whole environment: builder and launcher ask before they rely on one.

The controller has its own look (adapters/volume/environments.py), and can't see whether an image has the Python that a
link names.
"""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.runtime.stage_order import read_text
else:  # published side by side
    from stage_order import read_text

COMPLETE = ".complete"  # install_build.py writes it last: the environment's own name
LOCK = "lock.txt"  # every package that was installed, as NAME==VERSION
LARGEST = 4 * 1024 * 1024  # characters of it


def complete(folder: str) -> str:
    """Return which environment a folder says that it is, "" where it is none or half of one."""
    return read_text(os.path.join(folder, COMPLETE), 200).strip()


def damage(folder: str) -> str:
    """Return what a complete environment has lost since, "" for nothing."""
    if not os.access(os.path.join(folder, "bin", "python"), os.X_OK):
        return "its Python is gone"
    if not os.path.isfile(os.path.join(folder, LOCK)):
        return f"its {LOCK} is gone"
    installed = glob.glob(os.path.join(glob.escape(folder), "lib", "*", "site-packages", "*-info"))
    locked = [line for line in read_text(os.path.join(folder, LOCK), LARGEST).splitlines() if line[:1] not in ("", "#")]
    return "packages of it are gone" if len(installed) < len(locked) else ""
