"""One stage's log folder: its attempts, and what each says of itself. Stages can write there: nothing is believed."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from controller.adapters.volume.tree import Tree
from controller.core.documents import attempt
from controller.core.documents.status import REASON_LIMIT
from controller.core.model import Attempt
from controller.core.text import fit

NOTES_LIMIT = 20
_LOG = re.compile(r"[1-9][0-9]{0,8}\.log")


@dataclass(frozen=True, slots=True)
class StageLogs:
    """Where a stage's logs of one run are; `state` as it is told of that run, "" where nothing is."""

    stage: str
    folder: PurePosixPath
    state: str = ""
    message: str = ""


def numbers(tree: Tree, folder: PurePosixPath) -> list[int]:
    """Return the numbers of the attempts that have a log, oldest first. Raises OSError."""
    return sorted(int(name.partition(".")[0]) for name in tree.names(folder, _LOG))


def ended(tree: Tree, logs: StageLogs, number: int) -> bool:
    """Tell whether the launcher has said how the attempt ended. Raises OSError."""
    file = tree.find(logs.folder / f"{number}.json")
    if file:
        file.close()
    return file is not None


def read(tree: Tree, folder: PurePosixPath, number: int) -> Attempt:
    """Return an attempt as the launcher has left it. Raises OSError."""
    return attempt.of_log(number, tree.read_any(folder / f"{number}.json", attempt.LIMIT))


def describe(tree: Tree, logs: StageLogs, number: int) -> dict[str, object]:
    """Give all that is known of an attempt. Raises OSError."""
    end = attempt.read(tree.read_any(logs.folder / f"{number}.json", attempt.LIMIT))
    return {
        "stage": logs.stage,
        "attempt": number,
        "ended": end.exit_code is not None,
        "bytes": _size(tree, logs, number) if end.bytes is None else end.bytes,
        "sha256": fit(end.sha256, REASON_LIMIT),
        "complete": end.complete,
        "notes": [fit(note) for note in end.notes[:NOTES_LIMIT]],
        "started": fit(end.started, REASON_LIMIT),
        "finished": fit(end.finished, REASON_LIMIT),
        "exit_code": end.exit_code,
        "reason": fit(end.reason, REASON_LIMIT),
        "message": fit(end.message),
    }


def _size(tree: Tree, logs: StageLogs, number: int) -> int:
    file = tree.find(logs.folder / f"{number}.log")
    if file is None:
        return 0
    with file:
        return file.seek(0, 2)
