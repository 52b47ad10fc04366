"""`coachwork status`: what the records say. It needs no running controller."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, get_args

import typer

from controller.cli import complete, text
from controller.cli.addresses import addresses
from controller.cli.connect import connected
from controller.cli.options import Output
from controller.cli.requests import Requests, Standing
from controller.core import numbers, slots, times
from controller.core.addresses import Address
from controller.core.documents.codec import plain
from controller.core.errors import Invalid, Transient
from controller.core.model import IN_NEED, Phase, Record
from controller.core.pages.listing import UNRECORDED
from controller.core.text import format_duration, nearest, quoted

TITLES = ("name", "phase", "run", "commit", "changed", "next", "message")
PHASES: Final[tuple[str, ...]] = get_args(Phase)
PLAIN_KEYS = ("ref", "path", "schedule", "time-zone", "poll", "suspend")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The request; by default all.", show_default=False, autocompletion=complete.requests
    ),
]
Phases = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PHASE",
        help="Show only requests in this phase; may be repeated.",
        autocompletion=lambda incomplete: [item for item in PHASES if item.startswith(incomplete)],
    ),
]


@connected(local=True)
def status(
    requests: Requests,
    name: Name = "",
    phase: Phases = None,
    output: Output = "text",
) -> None:
    """Show all requests, or one with its stages and problems.

    Those that need somebody come first: failed, invalid, blocked and degraded ones.
    """
    if unknown := [item for item in phase or () if item not in PHASES]:
        raise Invalid("WrongUse", [f"--phase: unknown phase {quoted(unknown[0])}: {nearest(unknown[0], PHASES)}"])
    now = datetime.now(UTC)
    if name:
        standing = requests.one(name)
        _warn(requests, [standing])
        found = addresses(requests, name)
        document = as_json(standing, now) | {"services": {stage: address.url for stage, address in found.items()}}
        text.write(output, document, details(standing, found, now))
        return
    every = requests.all()
    _warn(requests, every)
    every.sort(key=lambda standing: (standing.record.phase not in IN_NEED, standing.name))
    every = [standing for standing in every if not phase or standing.record.phase in phase]
    if not every and output == "text":
        chosen = f" in phase {' or '.join(phase)}" if phase else ""
        typer.echo(f"no {requests.person.what}s{chosen} {requests.person.place}", err=True)
        return
    rows = (_row(standing, now) for standing in every)
    text.write(output, [as_json(standing, now) for standing in every], text.columns(TITLES, rows, text.width()))


def _row(standing: Standing, now: datetime) -> tuple[str, ...]:
    record = standing.record
    return (
        standing.name,
        record.phase,
        str(record.run or ""),
        record.spec.commit[:7] if record.run and record.spec else "",
        text.ago(record.finished or record.started, now),
        shown_slot(standing.data, now, short=True),
        record.message if standing.recorded else UNRECORDED,
    )


def _warn(requests: Requests, shown: list[Standing]) -> None:
    """Say before anything is shown that no controller keeps it up to date. Raises Transient where nothing is."""
    try:
        requests.person.ready(patience=0)
    except Transient as error:
        if not shown:
            raise
        written = max(standing.written for standing in shown)
        age = f", last written {text.ago(written, datetime.now(UTC))}" if written else ""
        typer.echo(f"warning: {error}; what follows is the record{age}", err=True)


def details(standing: Standing, found: Mapping[str, Address], now: datetime) -> list[str]:
    """Return all lines about one request."""
    record, data = standing.record, standing.data
    commit = f", commit {record.spec.commit[:7]}" if record.spec else ""
    active = f"active for {text.took(record.started, '', now)}"
    state = active if record.active else f"ended {text.ago(record.finished, now)}"
    facts = {
        "request": standing.name,
        "repository": data.get("repository", ""),
        **{key: data.get(key, "") for key in PLAIN_KEYS},
        "phase": f"{record.phase} ({record.reason})" if record.reason else record.phase,
        "message": record.message if standing.recorded else UNRECORDED,
        "run": f"{record.run}{commit}, {state}" if record.run else "",
        "release": f"run {record.release_run}, commit {record.release_commit[:7]}" if record.release_run else "",
        **{f"service {stage}": f"{at.url}{at.ingress and ', '}{at.ingress}" for stage, at in found.items()},
        "queued": f"trigger {record.queued}" if record.queued else "",
        "next": shown_slot(data, now),
        "poll problem": record.poll_problem,
        "schedule problem": record.schedule_problem,
        "notify problem": record.notify_problem,
    }
    rows = ((f"{key}:", value) for key, value in facts.items() if value)
    lines = [*text.columns(("", ""), rows, text.width())[1:], *_stages(record, now), *_numbers(record)]
    if record.problems:
        heading = "problems:" if record.phase == "Invalid" else "warnings:"
        lines += ["", heading, *(f"  {line}" for line in record.problems)]
    return lines


def _stages(record: Record, now: datetime) -> list[str]:
    """Return how the stages of the run stand."""
    rows = [
        (
            record.title(name),
            stage.state,
            text.took(stage.started, stage.finished or record.finished, now),  # none is recorded of stopped ones
            str(stage.attempts or ""),
            "" if said and f"stage {record.title(name)}: {said}" in record.message else said,  # above
        )
        for name, stage in record.stages.items()
        for said in [stage.message or record.why(name)]
    ]
    titles = ("stage", "state", "took", "attempts", "message")
    return ["", *text.columns(titles, rows, text.width())] if rows else []


def _numbers(record: Record) -> list[str]:
    """Return the numbers of the run, next to those of the last good one where that is another."""
    before = {} if record.run == record.release_run else record.release_numbers
    rows = [
        (record.title(stage), name, numbers.shown(value), numbers.shown(good[name]) if name in good else "")
        for stage, item in record.stages.items()
        for good in [before.get(stage, {})]
        for name, value in item.metrics.items()
    ]
    titles = ("stage", "number", "value", *(["last good run"] if any(row[-1] for row in rows) else []))
    return ["", *text.columns(titles, (row[: len(titles)] for row in rows))] if rows else []


def shown_slot(data: Mapping[str, str], now: datetime, *, short: bool = False) -> str:
    """Return when a request's schedule comes next, and how long from now (alone, if short); "" where never."""
    if data.get("schedule") and slots.is_suspended(data):
        return "suspended"
    slot = slots.of_request(data, now)
    wait = f"in {format_duration((slot - now).total_seconds())}" if slot else ""
    return f"{slot:%Y-%m-%d %H:%M %Z} ({wait})" if slot and not short else wait


def as_json(standing: Standing, now: datetime) -> dict[str, Any]:
    """Return a request for programs. The shape is documented in docs/reference/cli.md."""
    record = standing.record
    slot = slots.of_request(standing.data, now)
    return {
        "request": standing.name,
        "data": dict(standing.data),
        "recorded": standing.recorded,
        **{key: getattr(record, key) for key in ("phase", "reason", "message")},
        "problems": list(record.problems),
        "run": record.run,
        "commit": record.spec.commit if record.spec else "",
        **{key: getattr(record, key) for key in ("active", "started", "finished")},
        "stages": {name: plain(stage) for name, stage in record.stages.items()},
        **({"reuse": dict(record.spec.reuse)} if record.spec and record.spec.reuse else {}),
        "queued": record.queued,
        "next": times.text(slot) if slot else "",
        "release": {
            "run": record.release_run,
            "commit": record.release_commit,
            "numbers": plain(record.release_numbers),
        },
    }
