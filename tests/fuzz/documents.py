"""What Coachwork writes and reads again: records, runs, attempts, progress; and the pages that show what was read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from controller.core import addresses, names, numbers, signs
from controller.core.diff import compare
from controller.core.documents import attempt, codec, progress, release, run, status
from controller.core.documents.codec import Corrupt, Good, TooNew
from controller.core.documents.run import RunFile
from controller.core.model import Attempt, Record
from controller.core.pages import comparison, graph, history, listing, preview, request, starts
from controller.core.pages.run import facts, run_view
from controller.core.text import fit
from tests.fuzz.target import Target

NOW = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)


LARGE = 200_000  # characters of YAML; a ConfigMap of 1 MiB takes seconds, and only who forges its digest gets that far


def _strings(data: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value)[:LARGE] for key, value in data.items()}


def a_record(data: Mapping[str, Any]) -> Iterable[str]:
    """Of a record that is whole nothing is lost when it is written again; any other can be shown, and started after."""
    for item in (_strings(data), status._sealed(_strings(data))):  # noqa: SLF001 (else all would be damaged)
        answer = status.read(item, "uid")
        if isinstance(answer, Good):
            again = status.read(status.write(answer.value), "uid")
            assert isinstance(again, Good)
            assert status.write(again.value) == status.write(answer.value)
        if isinstance(answer, Good | TooNew | Corrupt):
            view = answer.value if isinstance(answer, Good) else answer.view
            assert isinstance(status.read(status.write(status.remains(view, 3)), "uid"), Good)
            _is_shown(view, item)
        status.restored(answer, status.read_copy(status.copy(item), "uid"))
        if isinstance(answer, TooNew):
            yield answer.problem
            status.blocked(item, "uid", answer.problem)
    assert status.copied(status.copy(_strings(data))) == _strings(data)


def _is_shown(view: Record, data: Mapping[str, str]) -> None:
    asked = {"repository": "https://git.example/iris", "schedule": "@daily"}
    signs.of_request({"metadata": {"name": "iris", "uid": "uid"}, "data": asked}, view)
    known = codec.printable(view)
    request.facts(data, known, {})
    history.series(history.lines(known))
    history.bars(known.history)
    listing.page([listing.row("iris", data, status.brief(data, "uid"))], "a b", "", 1)
    _run_is_shown(run.of_active("iris", view), {})
    json.dumps(run.page(run.of_record("iris", view, {}, {}, "1")))


def a_copy(text: str) -> None:
    """A copy of a record is one, or is damaged."""
    status.read_copy(text[:LARGE], "uid")
    status.environments({"data": {"run-spec": text}})


def a_run(text: str) -> Iterable[str]:
    """What a run left can be shown, compared, and run again; what is whole is written as it was."""
    for answer in (run.read(text), run.read_spec(text), run.read_uses(text)):
        if isinstance(answer, TooNew):
            yield answer.problem
        if isinstance(answer, Good) and isinstance(answer.value, RunFile):
            assert run.read(run.write(answer.value)) == answer
    if view := codec.view(run.read(text)):
        _run_is_shown(view, {})
        compare(view, view)
        comparison.comparison(codec.printable(view), RunFile())
    if spec := codec.good(run.read_spec(text)):
        assert run.read_spec(run.write_spec(spec)) == Good(spec)
    run.packages(text)


def _run_is_shown(view: RunFile, attempts: Mapping[str, Sequence[Attempt]]) -> None:
    shown = run_view("iris", view, attempts, NOW)
    for title, value in facts(shown.file):
        assert f"{title}{value}".isprintable()
    graph.graph(view)
    starts.starts(progress.Report(view.run, dict.fromkeys(view.stages, progress.Progress("s", "d", "x"))), view)
    history.history((), (view,), ())


def an_attempt(text: str) -> Iterable[str]:
    """What a launcher left is an attempt that can be recorded."""
    end, found = attempt.read(text), attempt.of_log(3, text)
    json.dumps(found.metrics, allow_nan=False)
    taken = numbers.taken(end.metrics)
    assert numbers.taken(taken) == taken
    _run_is_shown(RunFile(started="2026-03-29T00:00:00Z", steps=(("train",),)), {"train": (found,)})
    attempt.read_outdated(text)
    now = progress.read(text, NOW)
    if now:
        assert fit(now.doing) == now.doing
    yield numbers.listed(taken) or "-"


def a_release(data: Mapping[str, Any]) -> Iterable[str]:
    """A release is objects, or cannot be honoured."""
    text = str(data.get("objects", ""))[:LARGE]
    for item in (_strings(data), {**_strings(data), "digest": names.digest(text, 64)}):
        answer = release.read(item, "iris-release")
        if isinstance(answer, TooNew):
            yield answer.problem
        if isinstance(answer, Good):
            addresses.addresses(answer.value, "ns")


def a_preview(data: bytes) -> None:
    """The beginning of any file is shown as what its name says, or as text."""
    for name in ("a.csv", "a.tsv", "a.json", "a.log", "a.png"):
        preview.preview(name, len(data), data)
        preview.preview(name, len(data) + 1, data)


TARGETS = (
    Target("records", a_record, 1_500, typed=True),
    Target("copies", a_copy, 4_000),
    Target("runs", a_run, 7_000),
    Target("attempts", an_attempt, 8_000),
    Target("releases", a_release, 3_000, typed=True),
    Target("previews", a_preview, 1_000),
)
