"""Follow a trigger on a cluster to its end, as `coachwork run` follows a run here; the exit code is its outcome."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final, cast

import typer

from controller.cli import text
from controller.cli.requests import Requests, Standing
from controller.cli.show import LAST_LINES, Scene, Screen, last_words, screen
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.exits import Exit
from controller.core.fate import fate_of
from controller.core.model import PastRun, Phase, Record

OUTCOMES: Final = {
    "Succeeded": Exit.DONE,
    "Failed": Exit.FAILED,
    "Invalid": Exit.INVALID,
    "Refused": Exit.INVALID,
    "Cancelled": Exit.CANCELLED,
    "Superseded": Exit.CANCELLED,
    "Skipped": Exit.DONE,
    "": Exit.DONE,  # nothing was started for it, or it is so long ago that no record of it is left
}
PHASES: Final = {"Succeeded": "Ready", "Superseded": "Cancelled", "Skipped": "Suspended", "Refused": "Invalid"}
PASSING: Final = ("ApiUnavailable", "ApiOverloaded")
PATIENCE: Final = 120.0  # seconds that the API server may be away
LOST: Final = 60.0  # seconds after which a trigger that another replaced unnoticed is lost: Git may take half of that
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds between two reads
GROWTH: Final = 20  # a pause is this part of what has been waited for


class WaitedTooLong(Exception):
    """The time limit has passed, and the run goes on."""


def go_on(requests: Requests, standing: Standing, trigger: str, output: str, timeout: str | None, done: str) -> None:
    """Follow the trigger for at most `timeout` ("": without limit); None: only say what was done."""
    if timeout is not None:
        raise typer.Exit(follow(requests, standing, trigger, output, text.seconds("--timeout", timeout)))
    name = standing.name
    line = f"{name}: {done}{f', trigger {trigger}' if trigger else ''}; coachwork status {name} shows it"
    text.write(output, {"request": name, "namespace": requests.namespace, "trigger": trigger}, [line])


def follow(requests: Requests, standing: Standing, trigger: str, output: str, timeout: float | None) -> Exit:
    """Show what becomes of a trigger until it is over, or `timeout` seconds have passed; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the end of a CronJob's pod
    try:
        with closing(screen(output)) as shown:
            record, past = _follow(requests, standing, trigger, shown, timeout)
    except (WaitedTooLong, KeyboardInterrupt) as end:
        timed_out = isinstance(end, WaitedTooLong)
        why = "timed out" if timed_out else "interrupted"
        typer.echo(f"{why}: the run goes on; coachwork status {standing.name} shows it, cancel ends it", err=True)
        return Exit.TIMED_OUT if timed_out else Exit.INTERRUPTED
    if output == "text":
        if past.outcome != "Invalid":
            typer.echo("".join(f"warning: {line}\n" for line in record.problems), err=True, nl=False)
        last_words(record, lambda stage: _tail(requests, standing.name, stage, past.run))
    return OUTCOMES.get(past.outcome, Exit.FAILED)


def _follow(
    requests: Requests, standing: Standing, trigger: str, shown: Screen, timeout: float | None
) -> tuple[Record, PastRun]:
    """Show scenes until the trigger is over; return the last record of its run, and how it ended."""
    run, replaced = Record(request_uid=""), 0.0
    for now, at in _readings(requests, standing, timeout):
        record = at.record
        fate = fate_of(record, trigger)
        past = fate.past
        if fate.course == "over" and past is None:
            past = PastRun(message=f"nothing was started for it: {record.message or 'it was handled before'}")
        replaced = (replaced or now) if fate.course == "unseen" and at.trigger != trigger else 0.0
        if replaced and now - replaced > LOST:
            past = PastRun(outcome="Superseded", message="another trigger took its place before it was noticed")
        if fate.course == "running" or (past and past.run and past.run == record.run):
            run = record
        if past:
            if not past.run:  # it came to no run: nothing of an earlier one belongs to it
                problems = record.problems if past.outcome == "Invalid" else ()
                run = replace(record, spec=None, stages={}, problems=problems)
            phase = cast("Phase", PHASES.get(past.outcome, past.outcome) or run.phase)
            run = replace(run, phase=phase, reason=past.reason, message=past.message, run=past.run)
            shown.show(_scene(run, over=True))
            return run, past
        shown.show(_scene(record) if fate.course == "running" else _waiting(record, queued=fate.course == "waiting"))
    raise WaitedTooLong


def _readings(requests: Requests, standing: Standing, timeout: float | None) -> Iterator[tuple[float, Standing]]:
    """Yield the request as it stands, again and again, with the time of the reading; end when the time is over.

    Raises NotFound where the request is gone, Transient where the cluster is out of reach for too long.
    """
    started = reached = now = time.monotonic()
    pause = threading.Event()
    while timeout is None or now - started <= timeout:
        try:
            at = requests.one(standing.name)
        except Transient as error:
            if error.reason not in PASSING or time.monotonic() - reached > PATIENCE:
                raise
        else:
            if at.uid != standing.uid:
                raise NotFound(f"request {standing.name} was deleted meanwhile, and created again")
            reached = time.monotonic()
            yield reached, at
        left = LONGEST_PAUSE if timeout is None else max(started + timeout - time.monotonic(), 0.01)
        pause.wait(min(left, LONGEST_PAUSE, max((now - started) / GROWTH, FIRST_PAUSE)))
        now = time.monotonic()


def _scene(record: Record, *, over: bool = False) -> Scene:
    commit = record.spec.commit[:7] if record.spec else ""
    note = "" if record.stages else record.message
    return Scene(record, commit, (tuple(record.stages),), over, numbered=False, note=note)


def _waiting(record: Record, *, queued: bool) -> Scene:
    """Return the scene before the run has begun: what it waits for."""
    if record.active and record.phase != "Blocked":
        note = f"waits: run {record.run} is active"
    elif record.phase in ("Blocked", "Pending", "Queued") and record.message:
        note = f"waits: {record.message}"
    else:
        note = "waits for the controller"
    phase: Phase = "Queued" if queued or record.active else "Pending"
    return Scene(Record(record.request_uid, phase, record.reason, note), "", (), numbered=False, note=note)


def _tail(requests: Requests, name: str, stage: str, run: int) -> list[str]:
    """Return the last lines of a stage's log, none where it can't be read: they are a courtesy."""
    try:
        query = {"run": str(run), "tail": str(LAST_LINES)}
        with requests.person.page("api", "logs", name, stage, query=query) as body:
            return body.read(64 * 1024).decode(errors="replace").splitlines()[-LAST_LINES:]
    except (Transient, NotFound, Invalid):
        return []
