"""What the page says of stages and environments whose scripts do not run yet: what is under way, and how far."""

from dataclasses import dataclass, replace

from controller.core.documents.progress import Download, Progress, Report
from controller.core.documents.run import RunFile
from controller.core.model import titled


@dataclass(frozen=True, slots=True)
class Start:
    """One stage or environment; `of` packages `done` of the step are ready, 0 where they are not counted."""

    name: str
    title: str
    words: str
    since: str
    done: int
    of: int
    parts: tuple[Download, ...]


def starts(report: Report, run: RunFile) -> tuple[Start, ...]:
    """Return what is under way of a run, in the order of its stages; nothing of a run that is not the latest."""
    if report.run != run.run:
        return ()
    users = {item.name: item.stages for item in run.environments}
    return tuple(
        _start(name, titled(name, users.get(name, ()), len(users)), report.stages[name])
        for name in run.stages
        if name in report.stages
    )


def _start(name: str, title: str, progress: Progress) -> Start:
    parts = tuple(replace(item, got=min(item.got, item.size)) for item in progress.downloads if item.size)
    words = progress.step if parts else progress.doing
    return Start(name, title, words, progress.since, min(progress.done, progress.of), progress.of, parts)
