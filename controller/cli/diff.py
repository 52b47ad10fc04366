"""`coachwork diff`: what is different between two runs."""

import re
from dataclasses import asdict
from typing import Annotated, Any

import typer

from controller.cli import complete, text
from controller.cli.connect import connected
from controller.cli.options import Name, Output
from controller.cli.requests import Requests, number, run_file
from controller.core import times
from controller.core.diff import Difference, StageRun, compare
from controller.core.documents.run import RunFile
from controller.core.text import clean, format_duration

HEAD = ("outcome", "reason", "message", "started", "finished")


def _run(text: str) -> Any:
    return typer.Argument(metavar="RUN", help=text, show_default=False, autocompletion=complete.runs)


Before = Annotated[str, _run("The earlier run: a number, latest or good; by default good.")]
After = Annotated[str, _run("The later run; by default latest.")]


@connected(local=True)
def diff(
    requests: Requests,
    name: Name,
    before: Before = "good",
    after: After = "latest",
    output: Output = "text",
) -> None:
    """Show what changed between two runs.

    Without RUN: since the last good one.
    """
    standing = requests.one(name)
    numbers = [number(standing, run) for run in (before, after)]
    records = [run_file(requests.person, name, run) for run in numbers]
    found = compare(*records)
    stages = {
        stage: {"from": asdict(was) if was else None, "to": asdict(now) if now else None}
        for stage, (was, now) in found.stages.items()
    }
    heads = [
        {"run": run, **{key: getattr(record, key) for key in HEAD}}
        for run, record in zip(numbers, records, strict=True)
    ]
    document = {"from": heads[0], "to": heads[1], "changes": [asdict(item) for item in found.changes], "stages": stages}
    text.write(output, document, _lines(numbers, records, found))


def _lines(numbers: list[int], records: list[RunFile], found: Difference) -> list[str]:
    titles = [f"run {run}" for run in numbers]
    lines = []
    for title, record in zip(titles, records, strict=True):
        took = format_duration(times.seconds(record.started, record.finished))
        message = record.message if record.outcome != "Succeeded" else ""
        parts = filter(None, (record.outcome, record.finished or record.started, took and f"took {took}", message))
        lines.append(clean(f"{title}: {', '.join(parts)}".rstrip(": ")))
    changes = [
        (f"{item.kind} {item.name}".rstrip(), _short(item.before), _short(item.after), ", ".join(item.stages))
        for item in found.changes
    ]
    lines += ["", *text.columns(("what", *titles, "stages"), changes)] if changes else ["", "both ran the same"]
    rows = [(name, *_stage(was), *_stage(now)) for name, (was, now) in found.stages.items()]
    lines += ["", *text.columns(("stage", titles[0], "took", titles[1], "took"), rows)] if rows else []
    return lines


def _short(value: str) -> str:
    """Return a value with the digest of an image cut as commits are, "-" for none."""
    return re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1", value) or "-"


def _stage(stage: StageRun | None) -> tuple[str, str]:
    """Return how a stage ended, and how long it took."""
    if stage is None:
        return "-", ""
    attempts = f" ({stage.attempts} attempts)" if stage.attempts > 1 else ""
    why = f" {stage.reason}" if stage.state == "Failed" else ""
    return f"{stage.state}{why}{attempts}", format_duration(stage.seconds)
