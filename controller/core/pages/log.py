"""What is shown of a stage's log: its attempts, which of them is read, how much of it, and whether it is followed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from controller.core import names, times
from controller.core.model import titled
from controller.core.text import clean, format_duration, format_size

TAILS: Final = ("1000", "10000", "100000", "all")  # lines
ALL: Final = "all"
UNDER_WAY: Final = ("", "Waiting", "Running")


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt: how it ended, or that it is under way."""

    number: int
    verdict: str  # Completed, exit code 1, OutOfMemory; "": under way
    failed: bool
    message: str
    started: str
    took: str
    size: str
    notes: tuple[str, ...]  # on what is missing of its log


@dataclass(frozen=True, slots=True)
class LogPage:
    """The log of one stage in one run; `attempt` 0: the newest, and those that follow it."""

    request: str
    run: int
    stage: str
    title: str
    state: str
    message: str
    attempts: tuple[AttemptRow, ...]
    attempt: int
    shown: AttemptRow | None  # the attempt whose log is read, None where there is none
    tail: str
    timestamps: bool
    follows: bool
    indexes: tuple[tuple[str, AttemptRow], ...] = ()  # of a parallel stage: each log's name, with its newest attempt

    @property
    def source(self) -> str:
        """Where the log is read, below the page's root."""
        return self._source(tail=self.tail, timestamps=self.timestamps, follow=self.follows)

    @property
    def whole(self) -> str:
        """Where the whole log is read as plain text, below the page's root."""
        return self._source(tail=ALL, timestamps=self.timestamps, follow=False)

    def _source(self, *, tail: str, timestamps: bool, follow: bool) -> str:
        query = {"run": str(self.run), "attempt": str(self.attempt or ""), "tail": "" if tail == ALL else tail}
        query |= {"timestamps": "1" if timestamps else "", "follow": "1" if follow else ""}
        given = {key: value for key, value in query.items() if value}
        return f"api/logs/{quote(self.request, safe='')}/{quote(self.stage, safe='')}?{urlencode(given)}"


def log_page(
    request: str,
    run: Mapping[str, Any],
    stage: str,
    entries: Sequence[Mapping[str, Any]],
    *,
    attempt: int = 0,
    tail: str = TAILS[0],
    timestamps: bool = False,
) -> LogPage:
    """Return the page of a stage's log; `run` is its run's record, `entries` are all attempts of that run."""
    mine = [entry for entry in entries if entry["stage"] == stage]
    users = [item for entry in mine for item in entry["environment_of"]]
    environments = len({entry["stage"] for entry in entries if entry["environment_of"]})
    entry = run.get("stages", {}).get(names.stage_of(stage), {})
    rows = tuple(_row(item) for item in mine)
    shown = next((row for row in reversed(rows) if attempt in (0, row.number)), None)
    state = str(entry.get("state", ""))
    under_way = not run.get("outcome") and not attempt and state in UNDER_WAY
    return LogPage(
        request=request,
        run=int(run["run"]),
        stage=stage,
        title=titled(stage, list(dict.fromkeys(users)), environments),
        state=state,
        message=clean(str(entry.get("message", ""))),
        attempts=rows,
        attempt=attempt,
        shown=shown,
        tail=tail if tail in TAILS else TAILS[0],
        timestamps=timestamps,
        indexes=tuple({log["stage"]: (log["stage"], _row(log)) for log in entries if _is_index(log, stage)}.values()),
        follows=under_way or (shown is not None and not shown.verdict and state not in ("Failed", "Stopped")),
    )


def _is_index(entry: Mapping[str, Any], stage: str) -> bool:
    log = str(entry["stage"])
    return log != stage == names.stage_of(log)


def _row(entry: Mapping[str, Any]) -> AttemptRow:
    code, reason = entry["exit_code"], str(entry["reason"])
    return AttemptRow(
        number=entry["attempt"],
        verdict=(reason or f"exit code {code}") if entry["ended"] else "",
        failed=bool(code),
        message=clean(str(entry["message"])),
        started=entry["started"],
        took=format_duration(times.seconds(entry["started"], entry["finished"])),
        size=format_size(entry["bytes"]),
        notes=tuple(entry["notes"]),
    )
