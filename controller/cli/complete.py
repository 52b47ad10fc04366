"""What the shell completes from a cluster: names of requests, stages and runs.

A completion never waits for long and never says a word: where no cluster answers in time, nothing is completed.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from controller.core.text import visible

PATIENCE: Final = 2.0  # seconds
RUNS: Final = ("latest", "good")


def requests(ctx: Any, incomplete: str) -> list[str]:
    """Return the names of requests that begin so."""
    return _soon(ctx, incomplete, lambda there: [standing.name for standing in there.all()])


def stages(ctx: Any, incomplete: str) -> list[str]:
    """Return the names of the stages of the request's newest run that begin so."""
    return _soon(ctx, incomplete, lambda there: _record(ctx, there).stages)


def runs(ctx: Any, incomplete: str) -> list[str]:
    """Return what names a run of the request and begins so, the newest first."""
    return _soon(ctx, incomplete, lambda there: (*RUNS, *_numbers(_record(ctx, there))))


def _record(ctx: Any, there: Any) -> Any:
    """Return the record of the request that is named before; behind an option without its value, it lies unparsed."""
    return there.one(ctx.params.get("name") or next(iter(ctx.args), "")).record


def _numbers(record: Any) -> Iterable[str]:
    return (str(run) for run in dict.fromkeys((record.run, *(past.run for past in record.history))) if run)


def _soon(ctx: Any, incomplete: str, read: Callable[[Any], Iterable[str]]) -> list[str]:
    """Return what is read from the cluster that the words before lead to, in time; nothing where anything fails."""
    found: list[str] = []
    where: dict[str, Any] = {option: ctx.params.get(option) or "" for option in ("namespace", "context", "kubeconfig")}

    def look() -> None:
        from controller.cli.connect import opened  # noqa: PLC0415 (what no help needs)

        with suppress(Exception), opened(**where, notice=lambda _line: None) as there:
            found.extend(read(there))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(PATIENCE)
    return [word for word in tuple(found) if word.startswith(incomplete) and word == visible(word)]
