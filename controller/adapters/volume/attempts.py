"""One stage's log folder: its attempts, and what each says of itself. Stages can write there: nothing is believed."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from controller.adapters.volume.tree import Tree
from controller.core.documents.attempt import LIMIT, read
from controller.core.documents.status import REASON_LIMIT, one_line

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
    text = tree.read(logs.folder / f"{number}.json", LIMIT) or b""
    end = read(text.decode(errors="replace"))
    return {
        "stage": logs.stage,
        "attempt": number,
        "ended": end.exit_code is not None,
        "bytes": _size(tree, logs, number) if end.bytes is None else end.bytes,
        "sha256": one_line(end.sha256, REASON_LIMIT),
        "complete": end.complete,
        "notes": [one_line(note) for note in end.notes[:NOTES_LIMIT]],
        "started": one_line(end.started, REASON_LIMIT),
        "finished": one_line(end.finished, REASON_LIMIT),
        "exit_code": end.exit_code,
        "reason": one_line(end.reason, REASON_LIMIT),
        "message": one_line(end.message),
    }


def _size(tree: Tree, logs: StageLogs, number: int) -> int:
    file = tree.look(logs.folder / f"{number}.log")
    if file is None:
        return 0
    with file:
        return file.seek(0, 2)
