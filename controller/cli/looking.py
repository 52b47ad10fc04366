"""`coachwork status` and `coachwork runs`: what the records say. They need no controller that runs."""

import json
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli import text
from controller.cli.connected import Name, connected
from controller.cli.exits import Output, reported

if TYPE_CHECKING:
    from controller.app.remote import Remote, Standing
    from controller.core.model import Record

PLAIN_KEYS = ("ref", "path", "schedule", "time-zone", "poll", "suspend")


@reported
@connected
def status(
    there: "Remote",
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The request; else all.", show_default=False)] = "",
    output: Output = "text",
) -> None:
    """Show all requests, or one with its stages, causes and problems."""
    now = datetime.now(UTC)
    if name:
        standing = there.one(name)
        _write(output, as_json(standing, now), details(standing, now))
        return
    every = there.all()
    if not every:
        there.ready()
    if not every and output == "text":
        typer.echo(f"no requests in namespace {there.namespace}", err=True)
        return
    lines = text.columns(TITLES, (row(standing, now) for standing in every), _width())
    _write(output, [as_json(standing, now) for standing in every], lines)


@reported
@connected
def runs(there: "Remote", name: Name, output: Output = "text") -> None:
    """Show the runs of a request, newest first, and the triggers that came to none."""
    kept = there.one(name).record
    history = past_runs(kept)
    if not history and output == "text":
        typer.echo(f"{name}: no runs yet", err=True)
        return
    titles = ("run", "outcome", "commit", "started", "took", "trigger", "message")
    lines = text.columns(titles, (run_row(past, datetime.now(UTC)) for past in history), _width())
    _write(output, history, lines)


TITLES = ("name", "phase", "run", "commit", "changed", "message")


def row(standing: "Standing", now: datetime) -> tuple[str, ...]:
    """Give a request's line of the table of all."""
    kept = standing.record
    message = kept.message if standing.recorded else "the controller has not seen it yet"
    run, commit = (str(kept.run), kept.spec.commit[:7] if kept.spec else "") if kept.run else ("", "")
    return standing.name, kept.phase, run, commit, text.ago(kept.finished or kept.started, now), message


def details(standing: "Standing", now: datetime) -> list[str]:
    """Give all lines about one request."""
    kept, data = standing.record, standing.data
    message = kept.message if standing.recorded else "the controller has not seen it yet"
    facts = {
        "request": standing.name,
        "repository": data.get("repository", ""),
        **{key: data.get(key, "") for key in PLAIN_KEYS},
        "phase": f"{kept.phase} ({kept.reason})" if kept.reason else kept.phase,
        "message": message,
        "run": _run(kept, now),
        "release": f"run {kept.release_run}, commit {kept.release_commit[:7]}" if kept.release_run else "",
        "queued": f"trigger {kept.queued}" if kept.queued else "",
        "next": next_slot(standing.data, now),
        "poll problem": kept.poll_problem,
        "schedule problem": kept.schedule_problem,
    }
    lines = text.columns(("", ""), ((f"{key}:", value) for key, value in facts.items() if value))[1:]
    if kept.stages:
        lines += ["", *text.columns(("stage", "state", "took", "attempts", "message"), _stage_rows(kept, now))]
    if kept.problems:
        lines += ["", "problems:" if kept.phase == "Invalid" else "warnings:", *(f"  {line}" for line in kept.problems)]
    return lines


def next_slot(data: Mapping[str, str], now: datetime) -> str:
    """Return when a schedule comes next, in its own zone, and how long from now; "" where nothing will come."""
    from controller.core.slots import following  # noqa: PLC0415 (imported when called: --help stays quick)

    slot = following(data["schedule"], data.get("time-zone", ""), now) if data.get("schedule") else None
    if slot is None:
        return ""
    if data.get("suspend") == "true":
        return "suspended"
    return f"{slot:%Y-%m-%d %H:%M %Z} (in {text.lasted((slot - now).total_seconds())})"


def _run(kept: "Record", now: datetime) -> str:
    if not kept.run:
        return ""
    commit = f", commit {kept.spec.commit[:7]}" if kept.spec else ""
    when = f", active since {text.ago(kept.started, now)}" if kept.active else f", ended {text.ago(kept.finished, now)}"
    return f"{kept.run}{commit}{when.replace(' ago', '') if kept.active else when}"


def _stage_rows(kept: "Record", now: datetime) -> list[tuple[str, ...]]:
    return [
        (name, stage.state, text.took(stage.started, stage.finished, now), str(stage.attempts or ""), stage.message)
        for name, stage in kept.stages.items()
    ]


def past_runs(kept: "Record") -> list[dict[str, Any]]:
    """Give the active run and the history as `--output json` tells them."""
    from controller.core.documents.codec import plain  # noqa: PLC0415 (imported when called: --help stays quick)

    active = {
        "run": kept.run,
        "outcome": "",
        "commit": kept.spec.commit if kept.spec else "",
        "trigger": kept.spec.trigger if kept.spec else "",
        "reason": kept.reason,
        "message": kept.message,
        "started": kept.started,
        "finished": "",
    }
    return [*([active] if kept.active else []), *(plain(past) for past in kept.history)]


def run_row(past: dict[str, Any], now: datetime) -> tuple[str, ...]:
    """Give a run's line of the table."""
    return (
        str(past["run"] or "-"),
        past["outcome"] or "Running",
        past["commit"][:7],
        past["started"] or past["finished"],
        text.took(past["started"], past["finished"], now),
        past["trigger"][:24],
        past["message"],
    )


def as_json(standing: "Standing", now: datetime) -> dict[str, Any]:
    """Give a request for programs. The shape is documented in docs/reference/cli.md."""
    from controller.core import slots, times  # noqa: PLC0415 (imported when called: --help stays quick)
    from controller.core.documents.codec import plain  # noqa: PLC0415

    kept, data = standing.record, standing.data
    slot = slots.following(data["schedule"], data.get("time-zone", ""), now) if data.get("schedule") else None
    return {
        "request": standing.name,
        "data": dict(standing.data),
        "recorded": standing.recorded,
        "phase": kept.phase,
        "reason": kept.reason,
        "message": kept.message,
        "problems": list(kept.problems),
        "run": kept.run,
        "commit": kept.spec.commit if kept.spec else "",
        "active": kept.active,
        "started": kept.started,
        "finished": kept.finished,
        "stages": {name: plain(stage) for name, stage in kept.stages.items()},
        "queued": kept.queued,
        "next": times.text(slot) if slot and data.get("suspend") != "true" else "",
        "release": {"run": kept.release_run, "commit": kept.release_commit},
    }


def _write(output: str, told: object, lines: list[str]) -> None:
    typer.echo(json.dumps(told) if output == "json" else "\n".join(lines))


def _width() -> int:
    """Give the width of the terminal, 0 where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
