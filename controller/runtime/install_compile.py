"""Compiles the modules of an environment that stages may use already: files are only added, each by a rename.

It works in the folder by a descriptor of it, so the controller may publish it meanwhile. A stage's Python compares each
compiled file with its module, and never sees half of one. `.uncompiled` in the environment goes last: as long as it is
there, the next attempt or the next run goes on where this one ended (docs/adr/0031).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import py_compile
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.runtime import install_uv, stage_environment, stage_order
    from controller.runtime.install_progress import Progress, say
else:  # published side by side
    import install_uv
    import stage_environment
    import stage_order
    from install_progress import say

TESTS = re.compile(r"tests?$|__pycache__$")  # folders of packages; tests are often most of their files
MOST = 1_000_000  # modules
LIMIT = 60  # seconds for the launcher's


def compile_modules(folder: int, path: str, progress: Progress) -> None:
    """Compile all modules of the environment in an open folder, which stages find at `path`. Raises OSError."""
    os.fchdir(folder)  # whose path a pod can't see once it is published: nothing here may ask where we are
    if not os.path.exists(stage_environment.UNCOMPILED):
        return
    sys.pycache_prefix = None  # what we run with is elsewhere
    started = time.monotonic()
    tools = os.path.dirname(os.path.abspath(__file__))
    command = [sys.executable, os.path.join(tools, "bytecode.py"), "bytecode", tools]  # the launcher's (docs/adr/0029)
    with progress.step("compiling the packages' modules"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdin=subprocess.DEVNULL, timeout=LIMIT, check=False)
        packages = install_uv.packages_folder("")
        for module in stage_order.files(packages, MOST, TESTS.match):
            progress.at(module[len(packages) + 1 :].split(os.sep)[0])
            if module.endswith(".py") and not os.path.exists(importlib.util.cache_from_source(module)):
                _compile(module, os.path.join(path, module))
    os.unlink(stage_environment.UNCOMPILED)
    say(f"compiled in {time.monotonic() - started:.1f} s")


def _compile(module: str, shown: str) -> None:
    """Compile one module, if it can be: it keeps no other from it. Raises OSError where the volume is full."""
    try:
        py_compile.compile(module, dfile=shown, doraise=True)
    except py_compile.PyCompileError:  # for another Python, or a template
        pass
    except OSError as error:  # a name that is too long for what is written, a link in its place
        if error.errno in stage_order.FULL:
            raise
