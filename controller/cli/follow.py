"""Follow a trigger, or a run, on a cluster to its end; the exit code is its outcome."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final, cast

import typer

from controller.cli import text
from controller.cli.addresses import addresses
from controller.cli.requests import Requests, Standing
from controller.cli.scene import Scene
from controller.cli.show import LAST_LINES, Screen, last_words, screen
from controller.core.documents import codec
from controller.core.documents.progress import Progress, Report
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.exits import Exit
from controller.core.fate import Fate, fate_of, fate_of_run
from controller.core.model import STARTING, PastRun, Phase, Record
from controller.core.slots import is_suspended

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
AWAY: Final = ("ControllerDown", "ControllerMissing")
PASSING: Final = ("ApiUnavailable", "ApiOverloaded")
PATIENCE: Final = 120.0  # seconds that the API server may be away
SLOW: Final = 15.0  # seconds after which a controller that has not seen a request may be ill
LOST: Final = 60.0  # seconds after which a trigger that another replaced unnoticed is lost: Git may take half of that
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds between two reads
GROWTH: Final = 20  # a pause is this part of what has been waited for
TAILS: Final = 4  # stages at once whose last lines are read


class WaitedTooLong(Exception):
    """The time limit has passed, and the run goes on."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is followed: a trigger, or a run; `before`: the newest line of the history that it comes after."""

    trigger: str = ""
    run: int = 0
    before: tuple[PastRun, ...] = ()

    def fate(self, record: Record) -> Fate:
        """Return what the record says of it. A run may come to nothing: its project is invalid."""
        if self.trigger:
            return fate_of(record, self.trigger)
        newest = record.history[:1]
        if record.run < self.run and newest != self.before and newest[0].outcome == "Invalid":
            return Fate("over", newest[0])
        return fate_of_run(record, self.run)


def go_on(requests: Requests, standing: Standing, trigger: str, output: str, timeout: str | None, done: str) -> None:
    """Follow the trigger for at most `timeout` ("": without limit); None: only say what was done, and what follows."""
    if timeout is not None:
        raise typer.Exit(follow(requests, standing, Goal(trigger), output, text.seconds("--timeout", timeout)))
    name, record = standing.name, standing.record
    notes = [*record.problems] if record.phase != "Invalid" else []
    notes = [f"run {record.run}: {line}" for line in notes]
    if is_suspended(standing.data):
        patch = """-p '{"data":{"suspend":null}}'"""
        remedy = f"{requests.kubectl()} patch configmap {name} --type merge {patch} ends that"
        notes.append(f"request {name} is suspended, and nothing new starts: {remedy}")
    try:
        requests.person.ready(patience=0)
    except Transient as error:
        notes.append(f"{error}; nothing starts before it runs")
    if output == "text":
        typer.echo("".join(f"warning: {line}\n" for line in notes), err=True, nl=False)
    following = f"follow it: {requests.command('watch', name)}"
    starting = f"start a run: {requests.command('trigger', name, '--wait')}"
    text.write(
        output,
        {"request": name, "namespace": requests.namespace, "trigger": trigger},
        [done, following if trigger else starting],
    )


def follow(requests: Requests, standing: Standing, goal: Goal, output: str, timeout: float | None) -> Exit:
    """Show what becomes of the goal until it is over, or `timeout` seconds have passed; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the end of a CronJob's pod
    name, shown = standing.name, screen(output)
    following = _Following(requests, standing, goal, output, shown)
    try:
        with closing(shown):
            record, past = following.to_the_end(timeout)
    except (WaitedTooLong, KeyboardInterrupt) as end:
        timed_out = isinstance(end, WaitedTooLong)
        typer.echo(f"{'timed out' if timed_out else 'interrupted'}: the run goes on", err=True)
        again = ("trigger", name, "--id", goal.trigger, "--wait") if following.queued else ("watch", name)
        typer.echo(f"follow it again: {requests.command(*again)}", err=True)
        typer.echo(f"end it: {requests.command('cancel', name)}", err=True)
        return Exit.TIMED_OUT if timed_out else Exit.INTERRUPTED
    if output == "text":
        last_words(
            record,
            lambda stage: _tail(requests, name, stage, past.run, LAST_LINES),
            lambda stage: requests.command("logs", name, stage, "--run", str(past.run)),
        )
        for line in _next_steps(requests, name, record, past):
            typer.echo(line, err=True)
    return OUTCOMES.get(past.outcome, Exit.FAILED)


def _next_steps(requests: Requests, name: str, record: Record, past: PastRun) -> Iterator[str]:
    """Yield where services answer after a run, and the command that a person most likely needs next."""
    if past.outcome == "Succeeded":
        found = addresses(requests, name)
        for stage, address in found.items():
            public = f", and at {address.ingress}" if address.ingress else ""
            yield f"service {stage}: {address.url} in the cluster{public}"
            forward = f"port-forward service/{address.service} {address.port}"
            yield f"  from this machine: {requests.kubectl()} {forward}"
        if not found:
            yield f"what it saved: {requests.command('artifacts', name)}"
        yield f"what it printed: {requests.command('logs', name)}"
    elif past.outcome == "Failed" and record.release_run:
        yield f"what has changed since run {record.release_run}, which still serves: {requests.command('diff', name)}"


@dataclass
class _Following:
    """Following one goal: what has been shown so far."""

    requests: Requests
    standing: Standing
    goal: Goal
    output: str
    screen: Screen
    warned: set[str] = field(default_factory=set)
    blind: bool = False  # this person, or the pod of a schedule, may not read logs
    queued: bool = False  # the trigger that is followed waits behind another run

    def to_the_end(self, timeout: float | None) -> tuple[Record, PastRun]:
        """Show scenes until the goal is over; return the last record of its run, and how it ended."""
        run, replaced, last = Record(request_uid=""), 0.0, Scene(Record(request_uid=""), "", (), numbered=False)
        for now, at in self._readings(timeout):
            if isinstance(at, Transient):
                self.screen.show(replace(last, note=f"waiting for the API server: {at}", elapsed=now))
                continue
            record = at.record
            fate = self.goal.fate(record)
            past = fate.past
            if fate.course == "over" and past is None:
                past = PastRun(message=f"nothing was started for it: {record.message or 'it was handled before'}")
            unnoticed = fate.course == "unseen" and self.goal.trigger not in ("", at.trigger)
            replaced = (replaced or now) if unnoticed else 0.0
            if unnoticed and now - replaced > LOST:
                past = PastRun(outcome="Superseded", message="another trigger took its place before it was noticed")
            if fate.course == "running" or (past and past.run and past.run == record.run):
                run = record
                self._warn(run)
            if past:
                run = _ended(run, record, past)
                self.screen.show(self._scene(run, now, over=True))
                return run, past
            self.queued = fate.course in ("unseen", "waiting") and bool(self.goal.trigger) and record.active
            cancel = self.requests.command("cancel", self.standing.name)
            waiting = _waiting(record, fate, self._unseen(now), cancel)
            last = self._scene(record, now) if fate.course == "running" else replace(waiting, elapsed=now)
            self.screen.show(last)
        raise WaitedTooLong

    def _readings(self, timeout: float | None) -> Iterator[tuple[float, Standing | Transient]]:
        """Yield the request as it stands, again and again, after so many seconds; end when the time is over.

        An API server that is away for a moment is yielded as the error. Raises NotFound where the request is gone,
        Transient where the cluster is out of reach for too long.
        """
        started = time.monotonic()
        reached = now = 0.0
        pause = threading.Event()
        while timeout is None or now <= timeout:
            try:
                at = self.requests.one(self.standing.name)
            except Transient as error:
                now = time.monotonic() - started
                if error.reason not in PASSING or now - reached > PATIENCE:
                    raise
                yield now, error
            else:
                if at.uid != self.standing.uid:
                    raise NotFound(f"request {self.standing.name} was deleted meanwhile, and created again")
                reached = now = time.monotonic() - started
                yield now, at
            left = LONGEST_PAUSE if timeout is None else max(timeout - now, 0.01)
            pause.wait(min(left, LONGEST_PAUSE, max(now / GROWTH, FIRST_PAUSE)))
            now = time.monotonic() - started

    def _warn(self, record: Record) -> None:
        """Show the run's warnings, each once, as they come; an invalid project's are among its problems."""
        for line in record.problems if self.output == "text" and record.phase != "Invalid" else ():
            if line not in self.warned:
                self.warned.add(line)
                typer.echo(f"warning: {line}", err=True)

    def _scene(self, record: Record, elapsed: float, *, over: bool = False) -> Scene:
        name, commit = self.standing.name, record.spec.commit[:7] if record.spec else ""
        tails, found, note = {}, {}, "" if record.stages else record.message
        progress: Mapping[str, Progress] = {}
        if over and self.output == "json":
            found = {stage: address.url for stage, address in addresses(self.requests, name).items()}
        elif not over and self.output == "text" and not self.blind:
            running = [stage for stage, item in record.stages.items() if item.state == "Running" and not item.message]
            try:
                progress = self._progress(record)
                running = [stage for stage in running if stage not in progress][:TAILS]
                tails = {stage: _read_tail(self.requests, name, stage, record.run, 1) for stage in running}
            except Transient as error:  # the run goes on for now, but nobody looks after it
                note = str(error) if error.reason in AWAY else note
                self.blind = error.reason == "Forbidden"
        lasts = {stage: text.plain(lines[-1]) for stage, lines in tails.items() if lines}
        steps = (tuple(record.stages),)
        return Scene(
            record, commit, steps, over, lasts, found, numbered=False, note=note, elapsed=elapsed, progress=progress
        )

    def _progress(self, record: Record) -> Mapping[str, Progress]:
        """Return what the run is at before scripts run; nothing of a controller that can't say so. Raises Transient."""
        builds = {item.name for item in record.spec.environments} if record.spec else set()
        stages = record.stages.items()
        if not any(it.state == "Running" and (it.reason == STARTING or name in builds) for name, it in stages):
            return {}
        try:
            answer = self.requests.person.answer("api", "progress", self.standing.name, patience=0)
        except (NotFound, Invalid):
            return {}
        report = codec.printable(codec.view(codec.from_plain(Report, answer, "what the run is at")) or Report())
        return report.stages if report.run == record.run else {}

    def _unseen(self, elapsed: float) -> str:
        remedy = f"; {self.requests.command('doctor')} finds out what keeps it" if elapsed > SLOW else ""
        return f"waiting for the controller to see the request{remedy}"


def _ended(run: Record, record: Record, past: PastRun) -> Record:
    """Return the last record of a run as it ended."""
    if not past.run:  # it came to no run: nothing of an earlier one belongs to it
        run = replace(record, spec=None, stages={}, problems=record.problems if past.outcome == "Invalid" else ())
    phase = cast("Phase", PHASES.get(past.outcome, past.outcome) or run.phase)
    return replace(run, phase=phase, reason=past.reason, message=past.message, run=past.run)


def _waiting(record: Record, fate: Fate, unseen: str, cancel: str) -> Scene:
    """Return the scene before the run has begun: what it waits for; `cancel` ends the run before it."""
    if record.active and record.phase != "Blocked":
        note = f"queued behind run {record.run}: {record.message} ({cancel} ends that run)"
    elif record.phase in ("Blocked", "Pending", "Queued") and record.reason != "WaitingForTrigger" and record.message:
        note = f"waiting: {record.message}"
    else:
        note = unseen
    phase: Phase = "Queued" if fate.course == "waiting" or record.active else "Pending"
    return Scene(Record(record.request_uid, phase, record.reason, note), "", (), numbered=False, note=note)


def _tail(requests: Requests, name: str, stage: str, run: int, lines: int) -> list[str]:
    """Return the last lines of a stage's log, none where it can't be read: they are a courtesy."""
    try:
        return _read_tail(requests, name, stage, run, lines)
    except Transient:
        return []


def _read_tail(requests: Requests, name: str, stage: str, run: int, lines: int) -> list[str]:
    """Return the last lines of a stage's log, none where there is none yet. Raises Transient."""
    try:
        query = {"run": str(run), "tail": str(lines)}
        with requests.person.page("api", "logs", name, stage, query=query, patience=0) as body:
            return body.read(64 * 1024).decode(errors="replace").splitlines()[-lines:]
    except (NotFound, Invalid):
        return []
