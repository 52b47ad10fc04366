"""Warnings for a script that ended well: it loses a file, or would fail on a cluster."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import List

    from controller.runtime.stage_order import HAND_OVER, ScriptPlaces, files, read_text
else:  # published side by side: the script's folder is where Python looks first
    from stage_order import HAND_OVER, files, read_text

MOST_FILES, MOST_BYTES, MOST_SHOWN = 20_000, 256 * 1024, 3
_BY_THE_WAY = re.compile(r"__pycache__|node_modules|catboost_info|\..*|.*\.(pyc|log|lock|tmp)|.*\.egg-info")
_TEMPORARY = re.compile(r"""["'](/tmp/[^"'\s{}*?]+)["']""")


def discarded(places: ScriptPlaces, since: float) -> str:
    """Return a warning about files that the script has written into its copy of the project since then, "" for none."""
    written = [path for path in files(places.project, MOST_FILES, _BY_THE_WAY.fullmatch) if _is_newer(path, since)]
    if not written:
        return ""
    names = _listed([os.path.relpath(path, places.project) for path in written])
    return f"written files are discarded with the stage's copy of the repository: {names}: {HAND_OVER}"


def borrowed(places: ScriptPlaces, since: float) -> str:
    """Return a warning about files in /tmp that the script names and has not written since then, "" for none.

    On a laptop they are there: another stage, or somebody else, has put them there.
    """
    sources = [path for path in files(places.folder, MOST_FILES, _BY_THE_WAY.fullmatch) if path.endswith(".py")]
    named = sorted({path for source in sources for path in _TEMPORARY.findall(read_text(source, MOST_BYTES))})
    found = [path for path in named if os.path.isfile(path) and not _is_newer(path, since)]
    if not found:
        return ""
    return f"{places.script} relies on {_listed(found)}: on a cluster each stage has a /tmp of its own: {HAND_OVER}"


def _is_newer(path: str, since: float) -> bool:
    """Return whether a file was made or changed since then, whatever time it has been given."""
    try:
        return os.lstat(path).st_ctime >= since
    except OSError:
        return False


def _listed(names: List[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more
