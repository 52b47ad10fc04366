"""The logs of a run's stages and environments: listed, as they are now, or followed to their end.

Stages can write into these folders: nothing there is believed.
"""

import re
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import PurePosixPath

from controller.adapters.volume.logtext import Growing, Whole, began
from controller.adapters.volume.runs import Runs, attempts, indexes
from controller.adapters.volume.tree import Tree, size
from controller.core import layout, names
from controller.core.archive import LATEST, SHOWN, Archived, Content, Extract, NoAnswer, over_at
from controller.core.documents import attempt as documents
from controller.core.documents.run import RunFile, StageEntry
from controller.core.documents.status import REASON_LIMIT
from controller.core.facts.pods import LAUNCHER_FAILED
from controller.core.text import fit, nearest, quoted

AFTERWARDS = timedelta(seconds=45)  # in which a stage that was asked to end (30 s of grace) still writes
SILENCE = 30.0  # seconds after which a later attempt means that this one was killed with its launcher
PASSED = ("Unchanged", "Reused", "Skipped", "Stopped")  # states in which a stage need not have run
LISTED, MOST = 2000, 10_000  # attempts of a stage, or of an index of one, and in one answer
NOTES_LIMIT = 20
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class StageLogs:
    """Where a stage's logs of one run are; `state` as that run has it, "" where nothing says."""

    run: int
    stage: str
    folder: PurePosixPath
    state: str
    message: str
    environment_of: tuple[str, ...]  # the stages that use this environment, () of a stage
    started: str  # in RFC 3339, for the order; of what did not start, before or behind them


class Logs:
    """Logs as the volume has them. Methods raise NoAnswer and OSError, and so do the contents' chunks."""

    def __init__(self, tree: Tree, runs: Runs) -> None:
        self._tree, self._runs = tree, runs

    def listed(self, archived: Archived, which: str) -> list[dict[str, object]]:
        """Return all attempts of all stages of a run, in the order in which they ran; the newest LISTED ones of each.

        Fewer of each where these would be more than MOST: a script can leave any number of logs. `which` run: "" for
        the latest, where stages that it passed over have those of the newest run that ran them.
        """
        run = self._runs.choose(archived, which or LATEST)
        found = self._of(archived, run)
        passed = set() if which else {stage for stage, logs in found.items() if self._passed(logs)}
        for older in (number for number in archived.runs if passed and number < run):
            ran = {stage: logs for stage, logs in self._of(archived, older).items() if not self._passed(logs)}
            found |= {stage: ran[stage] for stage in passed & ran.keys()}
            passed -= ran.keys()
        newest = min(LISTED, max(MOST // max(len(found), 1), 1))
        every = (
            self._described(logs, number)
            for logs in sorted(found.values(), key=self._place)
            for number in attempts(self._tree, logs.folder)[-newest:]
        )
        return list(islice(every, MOST))

    def _place(self, logs: StageLogs) -> tuple[str, float, str, int]:
        """Return what orders logs: by their stages' starts, in one second by when the first was last written.

        The indexes of a stage follow each other.
        """
        stage, _, index = logs.stage.partition(names.INDEX_SIGN)
        if index:
            return logs.started, 0.0, stage, int(index)
        first = next(iter(attempts(self._tree, logs.folder)), 0)
        return logs.started, self._tree.modified(logs.folder / f"{first}.log"), stage, 0

    def _passed(self, logs: StageLogs) -> bool:
        """Return whether the run passed the stage over, so that the run before has its log."""
        return logs.state in PASSED and not attempts(self._tree, logs.folder)

    def _described(self, logs: StageLogs, number: int) -> dict[str, object]:
        """Return all that is known of an attempt."""
        end = documents.read(self._tree.read_any(logs.folder / f"{number}.json", documents.LIMIT))
        log, length = logs.folder / f"{number}.log", end.bytes or 0
        if end.bytes is None and (file := self._tree.find(log)):
            with file:
                length = size(file)
        started = fit(end.started, REASON_LIMIT) or began(self._tree, log)
        return {
            "stage": logs.stage,
            "environment_of": list(logs.environment_of),
            "run": logs.run,
            "attempt": number,
            "ended": end.exit_code is not None,
            "bytes": length,
            "sha256": fit(end.sha256, REASON_LIMIT),
            "complete": end.complete,
            "notes": [fit(note) for note in end.notes[:NOTES_LIMIT]],
            "started": started,
            "script": fit(end.script_started, REASON_LIMIT),
            "finished": fit(end.finished, REASON_LIMIT),
            "exit_code": end.exit_code,
            "reason": fit(end.reason, REASON_LIMIT),
            "message": fit(end.message),
        }

    def content(self, archived: Archived, stage: str, which: str, attempt: int, extract: Extract) -> Content:
        """Return one log as it is now; `which` run: "" for the newest that has it; attempt 0: the newest."""
        logs = self._find(archived, stage, which)
        number = self._attempt(logs, attempt)
        if not number:
            state = f": it is {logs.state}" if logs.state else ""
            why = f" ({logs.message})" if logs.message else ""
            remedy = "" if logs.state in PASSED else "; follow its log to wait for it"
            line = f"stage {quoted(logs.stage)} has not started in run {logs.run}{state}{why}{remedy}"
            raise NoAnswer("absent", line)
        log = Whole(self._tree, logs.folder / f"{number}.log", extract)
        return Content(logs.run, log.size, log.chunks(), log.close)

    def followed(self, archived: Archived, stage: str, which: str, attempt: int, extract: Extract) -> Content:
        """Return one log as it is and as it grows, and those of later attempts, unless one is named by number.

        It ends with the attempt, or where no other attempt can come.
        """
        logs = self._find(archived, stage, which)
        first = self._attempt(logs, attempt)
        chunks = _Following(self._tree, self._runs, archived, logs).chunks(first, attempt, extract)
        return Content(logs.run, None, chunks, chunks.close)

    def _attempt(self, logs: StageLogs, named: int) -> int:
        """Return the attempt that is meant, 0 where there is none yet."""
        there = attempts(self._tree, logs.folder)
        if named and named not in there:
            known = ", ".join(map(str, there[-SHOWN:])) or "none"
            line = f"stage {quoted(logs.stage)} of run {logs.run} has no attempt {named}; it has {known}"
            raise NoAnswer("absent", line)
        return named or (there[-1] if there else 0)

    def _find(self, archived: Archived, stage: str, which: str) -> StageLogs:
        """Return where the logs that are meant are; a stage that was passed over has them in an older run."""
        known, newest = set[str](), None
        name = names.kubernetes_name(stage)
        for run in [self._runs.choose(archived, which)] if which else archived.runs:
            found = self._of(archived, run)
            known |= set(found)
            logs = found.get(stage) or next(
                (it for it in found.values() if names.kubernetes_name(it.stage) == name), None
            )
            newest = newest or logs
            if logs and (which or not self._passed(logs)):
                return logs
        if newest:
            return newest
        if many := [log for log in known if names.stage_of(log) == stage]:
            line = f"stage {quoted(stage)} runs as {len(many)} indexes, each with a log of its own"
            raise NoAnswer("wrong", f"{line}: name one, {names.indexed(stage, 0)} or another")
        self._runs.choose(archived, which or LATEST)
        raise NoAnswer("absent", f"{archived.name} has no log of a stage {quoted(stage)}; {nearest(stage, known)}")

    def _of(self, archived: Archived, run: int) -> dict[str, StageLogs]:
        """Return where the logs of a run's stages are: of those that it names, and of those that have a folder."""
        owner = (archived.name, archived.uid, run)
        left = self._runs.left(archived, run) or RunFile()
        entries = {left.on_failure: StageEntry("Skipped" if left.outcome else "Waiting")} if left.on_failure else {}
        entries.update(left.stages)
        folders = {stage: layout.logs(*owner, stage) for stage in entries}
        folders |= {item.name: layout.build_logs(item.folder) for item in left.environments if item.folder}
        built = {item.name: item.stages for item in left.environments}
        folders = self._with_indexes(folders, entries)
        above = layout.run(*owner) / "logs"
        named = {*folders.values(), *(path.parent for path in folders.values())}
        found = {name: above / name for name in self._tree.names(above, _NAME)}
        folders |= self._with_indexes({name: path for name, path in found.items() if path not in named}, {})
        return {
            stage: StageLogs(
                run, stage, folder, fit(entry.state), fit(entry.message), built.get(stage, ()), entry.started or last
            )
            for stage, folder in sorted(folders.items())
            for entry in [entries.get(names.stage_of(stage), StageEntry())]
            for last in ["" if stage in built else "~"]
        }

    def _with_indexes(
        self, folders: Mapping[str, PurePosixPath], entries: Mapping[str, StageEntry]
    ) -> dict[str, PurePosixPath]:
        """Return where logs are: each index of a parallel stage has its own, below the stage's folder.

        A stage that has logs itself is none, whatever folders it makes between them.
        """
        found = dict[str, PurePosixPath]()
        for stage, folder in folders.items():
            count = entries[stage].indexes if stage in entries else 0
            known = range(count) if count or attempts(self._tree, folder) else indexes(self._tree, folder)
            of = {names.indexed(stage, index): folder / str(index) for index in known}
            found |= of or {stage: folder}
        return found


class _Following:
    """One stage's logs in one run, followed."""

    def __init__(self, tree: Tree, runs: Runs, archived: Archived, logs: StageLogs) -> None:
        self._tree, self._runs, self._archived, self._logs = tree, runs, archived, logs
        self._line_open = False

    def chunks(self, number: int, only: int, extract: Extract) -> Generator[bytes]:
        """Yield the log of attempt `number` (0: of the first to come), then, unless `only` is set, of the next ones."""
        while number or (number := (yield from self._next(0))):
            yield from self._one(number, extract)
            following = 0 if only else (yield from self._next(number))
            if not following:
                return
            yield b"\n" * self._line_open + b"coachwork: attempt %d\n" % following
            number, extract = following, replace(extract, lines=None)
        record = self._runs.record(self._archived.name, self._archived.uid)
        entry = record.stages.get(names.stage_of(self._logs.stage)) if record and record.run == self._logs.run else None
        state = fit(f"{entry.state} {entry.message}" if entry else self._logs.state)
        yield f"coachwork: the stage did not start in run {self._logs.run}: {state}\n".encode()

    def _one(self, number: int, extract: Extract) -> Iterator[bytes]:
        """Yield one attempt's log to its end."""
        folder = self._logs.folder
        with closing(Growing(self._tree, folder / f"{number}.log", extract)) as log:
            while True:
                # To be asked before the last read: whether the attempt has ended, or was killed, and another writes.
                last = (
                    self._tree.modified(folder / f"{number}.json") != 0
                    or self._is_over(AFTERWARDS)
                    or (attempts(self._tree, folder)[-1:] > [number] and time.time() - log.modified > SILENCE)
                )
                for chunk in log.fresh():
                    self._line_open = not chunk.endswith(b"\n")
                    yield chunk
                if last:
                    return
                yield b""

    def _next(self, number: int) -> Generator[bytes, None, int]:
        """Wait for the attempt after `number`; return its number, 0 where none can come."""
        while True:
            over = self._is_over() or self._has_result(number)
            if later := [item for item in attempts(self._tree, self._logs.folder) if item > number]:
                return later[0] if number else later[-1]
            if over:
                return 0
            yield b""

    def _has_result(self, number: int) -> bool:
        """Return whether an index of a parallel stage has ended for good, though others run."""
        if not number or names.stage_of(self._logs.stage) == self._logs.stage:
            return False
        end = documents.read(self._tree.read_any(self._logs.folder / f"{number}.json", documents.LIMIT))
        return end.exit_code in {0, LAUNCHER_FAILED}

    def _is_over(self, later: timedelta = timedelta()) -> bool:
        """Return whether the last output could come so long ago."""
        record = self._runs.record(self._archived.name, self._archived.uid)
        over = over_at(record, self._logs.run, self._logs.stage)
        return over is not None and (not later or datetime.now(UTC) - over >= later)
