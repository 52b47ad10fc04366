"""Compiles launcher and installer and what they import of the standard library: `python3 bytecode.py FOLDER TOOLS`.

What it writes into FOLDER is found with `sys.pycache_prefix = FOLDER` by a Python of the same version whose standard
library is in the same place, for a launcher in TOOLS. It is used only where a source has the hash that it had here, so
that of another patch release is ignored.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import py_compile
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.runtime import launch
else:
    import launch

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.dirname(os.__file__)
_INVALIDATION = py_compile.PycInvalidationMode.CHECKED_HASH


def write(folder: str, tools: str) -> None:
    """Write the bytecode of all that a launch or a build may import."""
    for name in sorted(os.listdir(HERE)):
        if name.startswith(("stage_", "install_")) and name.endswith(".py"):
            importlib.import_module(name[: -len(".py")])
    # What they import once they need it, and what Python 3.13 does.
    for name in (
        "concurrent.futures.thread",
        "ctypes",
        "email.message",
        "email.parser",
        "hashlib",
        "importlib.metadata._adapters",
        "shutil",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.pycache_prefix = folder  # as it is: the folder of a build moves while it works there
    sources = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
    sources.add(os.path.join(LIBRARY, "collections", "abc.py"))  # in Python 3.13 it puts another in its place
    for source in sorted(sources):
        own = os.path.dirname(source) == HERE
        if source.endswith(".py") and (own or source.startswith(LIBRARY + os.sep)):
            place = os.path.join(tools, os.path.basename(source)) if own else source
            compiled = importlib.util.cache_from_source(place)
            py_compile.compile(source, compiled, place, doraise=True, invalidation_mode=_INVALIDATION)
    # launch.py looks for that of `threading`: a launcher has imported it, and in this order it comes late


if __name__ == "__main__" and not launch.bytecode():
    write(*sys.argv[1:])
