"""The logs of a run's stages and environments: listed, given as they are, or followed to their end."""

import re
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

from controller.adapters.volume import attempts
from controller.adapters.volume.attempts import StageLogs
from controller.adapters.volume.logtext import Growing, Whole
from controller.adapters.volume.runs import Runs
from controller.adapters.volume.tree import Tree
from controller.core import layout, names
from controller.core.documents.run import RunFile, StageEntry
from controller.core.kept import SHOWN, Content, Kept, NoAnswer, over_at
from controller.core.text import fit, nearest, quoted

AFTERWARDS = timedelta(seconds=45)  # in which a stage that was told to end (30 s of grace) still writes
SILENCE = 30.0  # seconds after which a later attempt tells that this one was killed with its launcher
LISTED = 2000  # attempts in one answer
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Logs:
    """Logs as the volume has them. Methods raise NoAnswer and OSError, and so do the contents' chunks."""

    def __init__(self, tree: Tree, runs: Runs) -> None:
        """Take what it stands on."""
        self._tree, self._runs = tree, runs

    def listed(self, kept: Kept, run: int) -> list[dict[str, object]]:
        """Give all attempts of all stages of a run, by stage; the newest LISTED ones of each."""
        return [
            attempts.describe(self._tree, logs, number)
            for logs in self._of(kept, run).values()
            for number in attempts.numbers(self._tree, logs.folder)[-LISTED:]
        ]

    def content(self, kept: Kept, stage: str, which: str, attempt: int, lines: int | None) -> Content:
        """Give one log as it is now; `which` run: "" for the newest that has it; attempt 0: the newest."""
        run, logs = self._find(kept, stage, which)
        number = self._attempt(run, logs, attempt)
        if not number:
            raise NoAnswer("absent", _not_started(run, logs))
        log = Whole(self._tree, logs.folder / f"{number}.log", lines)
        return Content(run, log.size, log.chunks(), log.close)

    def followed(self, kept: Kept, stage: str, which: str, attempt: int, lines: int | None) -> Content:
        """Give one log as it is and as it grows, and those of the attempts that come, if none was asked for by number.

        It ends with the attempt, or where no other attempt can come.
        """
        run, logs = self._find(kept, stage, which)
        first = self._attempt(run, logs, attempt)
        chunks = _Following(self._tree, self._runs, kept, run, logs).chunks(first, attempt, lines)
        return Content(run, None, chunks, chunks.close)

    def _attempt(self, run: int, logs: StageLogs, wanted: int) -> int:
        """Give the attempt that is meant, 0 where there is none yet."""
        there = attempts.numbers(self._tree, logs.folder)
        if wanted and wanted not in there:
            known = f"there is {', '.join(map(str, there[-SHOWN:])) or 'none'}"
            raise NoAnswer("absent", f"stage {quoted(logs.stage)} of run {run} has no attempt {wanted}; {known}")
        return wanted or (there[-1] if there else 0)

    def _find(self, kept: Kept, stage: str, which: str) -> tuple[int, StageLogs]:
        """Give the run that is meant and where its logs are; what was left as it was has them in an older one."""
        known: set[str] = set()
        for run in [self._runs.choose(kept, which)] if which else kept.runs:
            found = self._of(kept, run)
            known |= {logs.stage for logs in found.values()}
            logs = found.get(stage) or next((item for item in found.values() if _is(item, stage)), None)
            if logs and (
                which or logs.state not in ("Unchanged", "Reused") or attempts.numbers(self._tree, logs.folder)
            ):
                return run, logs
        self._runs.choose(kept, which or "latest")
        raise NoAnswer("absent", f"{kept.name} has no log of a stage {quoted(stage)}; {nearest(stage, known)}")

    def _of(self, kept: Kept, run: int) -> dict[str, StageLogs]:
        """Give where the logs of a run's stages are: of those that are told of, and of those that have a folder."""
        told = self._runs.left(kept, run) or RunFile()
        built = {item.name: layout.build_logs(item.folder) for item in told.environments if item.folder}
        known = {stage: layout.logs(kept.name, kept.uid, run, stage) for stage in told.stages} | built
        folders = set(known.values())
        above = layout.run(kept.name, kept.uid, run) / "logs"
        left = {name: above / name for name in self._tree.names(above, _NAME) if above / name not in folders}
        return {
            stage: StageLogs(stage, folder, fit(went.state), fit(went.message))
            for stage, folder in sorted((known | left).items())
            for went in [told.stages.get(stage, StageEntry())]
        }


class _Following:
    """One stage's logs in one run, followed."""

    def __init__(self, tree: Tree, runs: Runs, kept: Kept, run: int, logs: StageLogs) -> None:
        self._tree, self._runs, self._kept, self._run, self._logs = tree, runs, kept, run, logs
        self._line_open = False

    def chunks(self, number: int, only: int, lines: int | None) -> Generator[bytes]:
        """Give the log of attempt `number` (0: of the first to come), then, unless `only` is set, of the next ones."""
        while number or (number := (yield from self._next(0))):
            yield from self._one(number, lines)
            following = 0 if only else (yield from self._next(number))
            if not following:
                return
            yield b"\n" * self._line_open + b"coachwork: attempt %d\n" % following
            number, lines = following, None
        yield f"coachwork: the stage did not start in run {self._run}: {self._state()}\n".encode()

    def _one(self, number: int, lines: int | None) -> Iterator[bytes]:
        """Give one attempt's log to its end."""
        with closing(Growing(self._tree, self._logs.folder / f"{number}.log", lines)) as log:
            while True:
                last = self._ended(number, log)  # before the last look
                for chunk in log.fresh():
                    self._line_open = not chunk.endswith(b"\n")
                    yield chunk
                if last:
                    return
                yield b""

    def _ended(self, number: int, log: Growing) -> bool:
        """Tell whether the attempt writes no more: it says so, its run is over, or a later one took its place."""
        if attempts.ended(self._tree, self._logs, number) or self._over(AFTERWARDS):
            return True
        later = attempts.numbers(self._tree, self._logs.folder)[-1:]
        return later > [number] and time.time() - log.modified > SILENCE

    def _next(self, number: int) -> Generator[bytes, None, int]:
        """Wait for the attempt after `number`; give its number, 0 where none can come."""
        while True:
            over = self._over()
            if later := [item for item in attempts.numbers(self._tree, self._logs.folder) if item > number]:
                return later[0] if number else later[-1]
            if over:
                return 0
            yield b""

    def _over(self, later: timedelta = timedelta()) -> bool:
        """Tell whether, so long ago, no more was to come."""
        over = over_at(self._runs.record(self._kept.name, self._kept.uid), self._run, self._logs.stage)
        return over is not None and (not later or datetime.now(UTC) - over >= later)

    def _state(self) -> str:
        record = self._runs.record(self._kept.name, self._kept.uid)
        told = record.stages.get(self._logs.stage) if record and record.run == self._run else None
        return fit(f"{told.state} {told.message}" if told else self._logs.state)


def _is(logs: StageLogs, stage: str) -> bool:
    return names.kubernetes_name(logs.stage) == names.kubernetes_name(stage)


def _not_started(run: int, logs: StageLogs) -> str:
    state = f": it is {logs.state}" if logs.state else ""
    why = f" ({logs.message})" if logs.message else ""
    return f"stage {quoted(logs.stage)} has not started in run {run}{state}{why}; follow=1 waits for it"
