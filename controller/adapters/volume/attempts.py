"""One stage's log folder: its attempts, and what each says of itself. Stages can write there: nothing is believed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from controller.adapters.volume.tree import Tree
from controller.core.documents.status import REASON_LIMIT, one_line

END_LIMIT = 64 * 1024  # bytes of what the launcher writes at an attempt's end
NOTES_LIMIT = 20
_LOG = re.compile(r"[1-9][0-9]{0,8}\.log")


@dataclass(frozen=True, slots=True)
class StageLogs:
    """Where a stage's logs of one run are; `state` as it is told of that run, "" where nothing is."""

    stage: str
    folder: PurePosixPath
    state: str = ""
    message: str = ""


def numbers(tree: Tree, logs: StageLogs) -> list[int]:
    """Give the numbers of the attempts that have a log, oldest first. Raises OSError."""
    return sorted(int(name.partition(".")[0]) for name in tree.names(logs.folder, _LOG))


def ended(tree: Tree, logs: StageLogs, number: int) -> bool:
    """Tell whether the launcher has said how the attempt ended. Raises OSError."""
    file = tree.look(logs.folder / f"{number}.json")
    if file:
        file.close()
    return file is not None


def describe(tree: Tree, logs: StageLogs, number: int) -> dict[str, object]:
    """Give all that is known of an attempt. Raises OSError."""
    told = _told(tree.read(logs.folder / f"{number}.json", END_LIMIT))
    code, size = told.get("exit_code"), told.get("bytes")
    return {
        "stage": logs.stage,
        "attempt": number,
        "ended": bool(told),
        "bytes": size if isinstance(size, int) else _size(tree, logs, number),
        "sha256": one_line(str(told.get("sha256", "")), REASON_LIMIT),
        "complete": told.get("complete") is True,
        "notes": _notes(told.get("notes")),
        "started": one_line(str(told.get("started", "")), REASON_LIMIT),
        "finished": one_line(str(told.get("finished", "")), REASON_LIMIT),
        "exit_code": code if isinstance(code, int) else None,
        "reason": one_line(str(told.get("reason", "")), REASON_LIMIT),
        "message": one_line(str(told.get("message", ""))),
    }


def _told(text: bytes | None) -> Mapping[str, Any]:
    try:
        loaded = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _notes(told: object) -> list[str]:
    return [one_line(str(note)) for note in told[:NOTES_LIMIT]] if isinstance(told, list) else []


def _size(tree: Tree, logs: StageLogs, number: int) -> int:
    file = tree.look(logs.folder / f"{number}.log")
    if file is None:
        return 0
    with file:
        return file.seek(0, 2)
