"""Follow a trigger on a cluster to its end, as `coachwork run` follows a run here; the exit code tells the outcome."""

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import typer

from controller.cli import exits
from controller.cli.show import Scene, Screen, screen
from controller.cli.text import plain
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.fate import Fate, fate_of
from controller.core.model import PastRun, Phase, Record

if TYPE_CHECKING:
    from controller.app.remote import Remote, Standing

OUTCOMES = {
    "Succeeded": exits.DONE,
    "Failed": exits.FAILED,
    "Invalid": exits.INVALID,
    "Refused": exits.INVALID,
    "Cancelled": exits.CANCELLED,
    "Superseded": exits.CANCELLED,
    "Skipped": exits.DONE,
    "": exits.DONE,  # nothing was started for it, or it is so long ago that nobody knows
}
PHASES = {"Succeeded": "Ready", "Superseded": "Cancelled", "Skipped": "Suspended", "Refused": "Invalid"}
PASSING = ("ApiUnavailable", "ApiOverloaded")
PATIENCE = 120.0  # seconds that the API server may be away
LOST = 60.0  # seconds after which a trigger that another has replaced unseen counts as lost: Git may take half of that
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds between two looks
GROWTH = 20  # a look comes after this part of what has been waited for
LAST_LINES = 20


class TimedOut(Exception):
    """The time that was given is over, and the run is not."""


def follow(there: "Remote", standing: "Standing", trigger: str, output: str, timeout: float | None) -> int:
    """Show what becomes of a trigger until it is over, or `timeout` seconds have passed; give the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the end of a CronJob's pod, where nobody else heeds it
    shown = screen(output)
    over: tuple[Record, PastRun] | None = None
    try:
        over = _follow(there, standing, trigger, shown, timeout)
    except TimedOut:
        ended, why = exits.TIMED_OUT, "timed out"
    except KeyboardInterrupt:
        ended, why = exits.INTERRUPTED, "interrupted"
    finally:
        shown.close()
    if over is None:
        typer.echo(f"{why}: the run goes on; coachwork status {standing.name} shows it, cancel ends it", err=True)
        return ended
    if output == "text":
        _last_words(there, standing.name, *over)
    return OUTCOMES.get(over[1].outcome, exits.FAILED)


def _follow(
    there: "Remote", standing: "Standing", trigger: str, shown: Screen, timeout: float | None
) -> tuple[Record, PastRun]:
    """Show scenes until the trigger is over; give the last record of its run, and how it ended."""
    run, alone = Record(request_uid=""), 0.0
    for now, at in _looks(there, standing, timeout):
        kept = at.record
        fate = fate_of(kept, trigger)
        alone = (alone or now) if fate.course == "unseen" and at.trigger != trigger else 0.0
        past = fate.past
        if fate.course == "over" and past is None:
            past = PastRun(message=f"nothing was started for it: {kept.message or 'it was handled before'}")
        if alone and now - alone > LOST:
            past = PastRun(outcome="Superseded", message="another trigger took its place before it was seen")
        if fate.course == "running" or (past and past.run and past.run == kept.run):
            run = kept
        if past:
            run = _ended(kept if not past.run else run, past)
            shown.show(_scene(run, over=True))
            return run, past
        shown.show(_scene(kept) if fate.course == "running" else _ahead(at, fate))
    raise TimedOut


def _looks(there: "Remote", standing: "Standing", timeout: float | None) -> Iterator[tuple[float, "Standing"]]:
    """Give the request as it stands, again and again, with the time of the look; an end when the time is over.

    Raises NotFound where the request is gone, Transient where the cluster is out of reach for too long.
    """
    begun = well = now = time.monotonic()
    uid, pause = standing.configmap["metadata"]["uid"], threading.Event()
    while timeout is None or now - begun <= timeout:
        try:
            at = there.one(standing.name)
        except Transient as error:
            if error.reason not in PASSING or time.monotonic() - well > PATIENCE:
                raise
        else:
            if at.configmap["metadata"]["uid"] != uid:
                raise NotFound(f"request {standing.name} was deleted meanwhile, and made anew")
            well = time.monotonic()
            yield well, at
        left = LONGEST_PAUSE if timeout is None else max(begun + timeout - time.monotonic(), 0.01)
        pause.wait(min(left, LONGEST_PAUSE, max((now - begun) / GROWTH, FIRST_PAUSE)))
        now = time.monotonic()


def _scene(kept: Record, *, over: bool = False) -> Scene:
    commit = kept.spec.commit[:7] if kept.spec else ""
    note = "" if kept.stages else kept.message
    return Scene(kept, commit, (tuple(kept.stages),), over, numbered=False, note=note)


def _ahead(at: "Standing", fate: Fate) -> Scene:
    """Give what there is to see before the run has begun: what it waits for."""
    kept = at.record
    if kept.phase == "Blocked":
        note = f"waits: {kept.message}"
    elif kept.active:
        note = f"waits: run {kept.run} is active"
    elif kept.phase in ("Pending", "Queued") and kept.message:
        note = f"waits: {kept.message}"
    else:
        note = "waits for the controller"
    phase: Phase = "Queued" if fate.course == "waiting" or kept.active else "Pending"
    return Scene(Record(kept.request_uid, phase, kept.reason, note), "", (), numbered=False, note=note)


def _ended(run: Record, past: PastRun) -> Record:
    phase = PHASES.get(past.outcome, past.outcome) or run.phase
    spec = run.spec if past.run else None
    stages = run.stages if past.run else {}
    return replace(
        run,
        phase=cast("Phase", phase),
        reason=past.reason,
        message=past.message,
        run=past.run,
        spec=spec,
        stages=stages,
    )


def _last_words(there: "Remote", name: str, run: Record, past: PastRun) -> None:
    """Show on standard error what helps: all problems or warnings, and the last lines of what failed."""
    if past.outcome == "Invalid" and len(run.problems) > 1:
        typer.echo("\n".join(run.problems), err=True)
    elif past.outcome != "Invalid" and past.run:
        typer.echo("".join(f"warning: {line}\n" for line in run.problems), err=True, nl=False)
    for stage, told in run.stages.items():
        if past.outcome != "Failed" or told.state != "Failed":
            continue
        try:
            with there.log(name, stage, {"run": str(past.run), "tail": str(LAST_LINES)}) as body:
                lines = body.read(64 * 1024).decode(errors="replace").splitlines()[-LAST_LINES:]
        except (Transient, NotFound, Invalid):  # a courtesy: the outcome is told
            continue
        if lines:
            typer.echo(
                "\n".join([f"\nthe last lines of stage {stage}:", *(f"  {plain(line)}" for line in lines)]), err=True
            )
