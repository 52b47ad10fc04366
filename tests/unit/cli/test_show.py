"""What a person sees of a run on a terminal."""

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from controller.cli.scene import Scene
from controller.cli.show import JsonLines, LiveTable, PlainLines, last_words
from controller.core import times
from controller.core.documents.progress import Progress
from controller.core.model import Environment, Record, RunSpec, StageRecord, StageState


def now() -> str:
    return times.text(datetime.now(UTC))


def picture(scene: Scene, width: int, height: int = 30) -> str:
    """Return the last picture that is left on a terminal of this size."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)
    table = LiveTable(console)
    table.show(scene)
    table.close()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_long_last_words_leave_room_for_the_other_columns() -> None:
    stages = {"train-model": StageRecord("Running", started=now(), attempts=1)}
    scene = Scene(Record("u", run=1, stages=stages), "abc", (("train-model",),), tails={"train-model": "loss " * 60})
    for width in (40, 60, 100):
        drawn = picture(scene, width)
        assert "train-model" in drawn
        assert "Running" in drawn
        assert "lo" in drawn
        assert "…" in drawn
        assert max(map(len, drawn.replace("\x1b[?25l", "").splitlines())) <= width


def test_a_table_higher_than_the_terminal_shows_the_open_step() -> None:
    steps = tuple((f"stage-{number}",) for number in range(1, 41))
    stages = {"stage-20": StageRecord("Running", started=now())}
    scene = Scene(Record("u", run=1, step=20, stages=stages), "abc", steps)
    drawn = picture(scene, 80, 10)
    assert "stage-20" in drawn
    assert "stage-1 " not in drawn
    over = Scene(Record("u", phase="Ready", run=1, stages=stages), "abc", steps, over=True)
    assert "stage-1 " in picture(over, 80, 10)
    assert "stage-40" in picture(over, 80, 10)


def test_a_run_on_a_cluster_shows_no_steps_and_what_it_waits_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stages = {"train": StageRecord("Running", started=now()), "serve": StageRecord()}
    running = Scene(Record("u", run=1, stages=stages), "abc", (("train", "serve"),), numbered=False)
    ahead = Scene(Record("u"), "", (), numbered=False, note="waits: run 3 is active")
    assert "step" not in picture(running, 80)
    assert "train" in picture(running, 80)
    assert "waits: run 3 is active" in picture(ahead, 80)
    lines = PlainLines()
    for scene in (ahead, ahead, running):
        lines.show(scene)
    assert capsys.readouterr().out.splitlines() == ["waits: run 3 is active", "train: Running"]


COMMAND = "kubectl -n coachwork create secret generic database --from-literal=PASSWORD=... "
MISSING = f"Secret database is missing: create it: {COMMAND * 3}".strip()


def blocked(**more: StageRecord) -> Scene:
    """Return the scene of a run whose two stages wait for the same, at some second."""
    stages = dict.fromkeys(("train", "score"), StageRecord("Running", "Missing", MISSING, waiting_for="start"))
    return Scene(Record("u", run=1, stages={**stages, **more}), "abc", (("train", "score"),), numbered=False)


@pytest.mark.parametrize("width", [30, 120])
def test_what_a_run_waits_for_is_wrapped_and_never_cut(width: int) -> None:
    drawn = picture(blocked(), width)
    assert MISSING.replace(" ", "") in "".join(drawn.split())
    assert drawn.count("is missing") == 1, "one cause, two stages"


def test_a_verdict_stays_in_one_line_that_can_be_copied() -> None:
    record = Record("u", "Failed", message=f"stage train: {MISSING}", run=1, stages={"train": StageRecord("Failed")})
    assert f"Failed: run 1 at abc: stage train: {MISSING}\n" in picture(
        Scene(record, "abc", (("train",),), over=True), 40
    )


def test_the_last_lines_of_a_stage_stand_above_the_table_on_its_terminal() -> None:
    record = Record("u", "Failed", run=1, stages={"train": StageRecord("Failed")})
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    table = LiveTable(console)
    table.show(Scene(record, "abc", (("train",),), over=True))
    last_words(record, lambda _stage: ["epoch 3", "no model"], lambda stage: f"coachwork logs iris {stage}", table.note)
    table.close()
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "the last lines of stage train:\n  epoch 3\n  no model\nall of them: coachwork logs iris train\n" in drawn


def test_lines_say_again_and_again_what_runs_and_what_waits_without_the_cause(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines, scene = PlainLines(), replace(blocked(fit=StageRecord("Running")), tails={"fit": "epoch 3"})
    for second in (0.0, 1.0, 29.0, 31.0, 60.0, 62.0):
        lines.show(replace(scene, elapsed=second))
    waits = "train, score still waiting; fit: epoch 3"
    assert capsys.readouterr().out.splitlines() == [
        f"train: Waiting: {MISSING}",
        f"score: Waiting: {MISSING}",
        "fit: Running",
        f"after 31 s: {waits}",
        f"after 1 min 2 s: {waits}",
    ]


PULLING = 'pulling image "python:3.12" on node n1'
DOWNLOADING = "3 of 19 packages: downloading torch (16.0 of 750.0 MiB)"


def beginning() -> Scene:
    """Return the scene of a run whose environment is built, while a stage's image is pulled."""
    stages = {
        "environment": StageRecord("Running", started=now()),
        "train": StageRecord("Running", "Starting", "starting on node n1", started=now()),
    }
    progress = {
        "environment": Progress("downloading 19 packages", DOWNLOADING, now(), 3, 19),
        "train": Progress(PULLING, PULLING, now()),
    }
    return Scene(Record("u", run=1, stages=stages), "abc", (), numbered=False, progress=progress)


def test_what_is_under_way_before_a_script_runs_is_shown_with_how_far_it_is() -> None:
    drawn = picture(beginning(), 140)
    for words in (DOWNLOADING, PULLING):
        assert re.search(rf"{re.escape(words)}, \d+ s ", drawn)
    assert "starting on node" not in drawn, "less is known of it"


def test_lines_say_each_step_once_and_how_far_it_is_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    lines, scene = PlainLines(), beginning()
    farther = Progress("downloading 19 packages", "4 of 19 packages", "", 4, 19)
    lines.show(scene)
    lines.show(replace(scene, progress={**scene.progress, "environment": farther}, elapsed=31.0))
    *steps, again = capsys.readouterr().out.splitlines()
    assert steps == ["environment: Running", "environment: downloading 19 packages", f"train: {PULLING}"]
    assert again.startswith(f"after 31 s: environment: 4 of 19 packages; train: {PULLING}, ")


def test_who_waits_for_what_may_never_come_reads_for_how_long() -> None:
    stage = StageRecord("Running", "Missing", MISSING, waiting_for="start", waiting_since="2026-01-01T00:00:00Z")
    scene = Scene(Record("u", run=1, stages={"train": stage}), "abc", (), numbered=False)
    (line,) = scene.waits
    assert re.fullmatch(rf"train: {re.escape(MISSING)}; waiting for \d+ d \d+ h", line)


def test_lines_say_once_that_a_stage_starts_and_only_if_it_takes_long(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines()
    for reason, message in [("Starting", ""), ("Starting", "starting on node n1"), ("", "")]:
        stages = {"fit": StageRecord("Running", reason, message)}
        lines.show(Scene(Record("u", run=1, stages=stages), "abc", (("fit",),), numbered=False))
    assert capsys.readouterr().out.splitlines() == ["fit: Starting on node n1", "fit: Running"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (None, ["train: Failed 1 s", "Failed: run 1 at abc: stage train: no rows"]),
        ("Failed", ["train: Failed 1 s: no rows", "Failed: run 1 at abc: stage train"]),
        ("Running", ["train: Running: no rows", "train: Failed 1 s", "Failed: run 1 at abc: stage train: no rows"]),
    ],
)
def test_the_cause_of_a_failure_is_printed_once(
    capsys: pytest.CaptureFixture[str], before: StageState | None, expected: list[str]
) -> None:
    failed = StageRecord("Failed", "ExitCode", "no rows", started=at(1), finished=at(2))
    record, lines = Record("u", "Failed", message="stage train: no rows", run=1, stages={"train": failed}), PlainLines()
    if before:
        finished = failed.finished if before == "Failed" else ""
        stages = {"train": replace(failed, state=before, finished=finished)}
        lines.show(Scene(replace(record, stages=stages), "abc", (("train",),), numbered=False))
    lines.show(Scene(record, "abc", (("train",),), over=True, numbered=False))
    assert capsys.readouterr().out.splitlines() == expected


def test_a_name_is_never_taken_for_a_style() -> None:
    name = "[red]train[/red]"
    scene = Scene(Record("u", run=1, stages={name: StageRecord("Running")}), "abc", ((name,),))
    assert name in picture(scene, 80)


def test_environments_are_shown_before_the_steps_and_the_failure_stage_after_them() -> None:
    spec = RunSpec("r", "c", ".", "t", "i", environments=(Environment("environment", "0a", ("train",)),))
    stages = {name: StageRecord("Done") for name in ("environment", "train", "tell")}
    scene = Scene(Record("u", run=1, step=1, stages=stages, spec=spec), "abc", (("train",),))
    assert scene.groups == ((0, ("environment",)), (1, ("train",)), (0, ("tell",)))
    lines = [line.split()[:2] for line in picture(scene, 80).splitlines()]
    assert [line for line in lines if "Done" in line] == [["environment", "Done"], ["tell", "Done"]]


def at(second: int) -> str:
    return f"2026-11-22T06:00:{second:02}Z"


def said(capsys: pytest.CaptureFixture[str], scene: Scene) -> list[str]:
    """Return what is printed of a scene where nothing was before: `train: Done`."""
    PlainLines().show(scene)
    return [" ".join(line.split()[:2]) for line in capsys.readouterr().out.replace("step ", "").splitlines()]


@pytest.mark.parametrize("numbered", [True, False])
def test_a_step_s_end_is_printed_before_the_next_one_begins(capsys: pytest.CaptureFixture[str], numbered: bool) -> None:
    stages = {
        "train": StageRecord("Done", started=at(1), finished=at(2)),
        "serve": StageRecord("Running", started=at(2)),
    }
    steps = (("train",), ("serve",)) if numbered else (("train", "serve"),)
    scene = Scene(Record("u", run=1, step=2, stages=stages), "abc", steps, numbered=numbered)
    expected = ["1 train:", "2 serve:"] if numbered else ["train: Done", "serve: Running"]
    assert said(capsys, scene) == expected
    JsonLines().show(scene)
    assert [*json.loads(capsys.readouterr().out)["stages"]] == ["train", "serve"]


def test_what_ends_later_is_printed_later(capsys: pytest.CaptureFixture[str]) -> None:
    spec = RunSpec("r", "c", ".", "t", "i", environments=(Environment("environment-2", "0a", ("serve",)),))
    stages = {
        "environment-2": StageRecord("Done", started=at(0), finished=at(9)),
        "slow": StageRecord("Done", started=at(1), finished=at(8), attempts=2),
        "quick": StageRecord("Done", started=at(1), finished=at(2)),
        "late": StageRecord("Running", started=at(1)),
        "early": StageRecord("Reused"),
    }
    PlainLines().show(Scene(Record("u", run=1, stages=stages, spec=spec), "abc", (tuple(stages),), numbered=False))
    assert capsys.readouterr().out.splitlines() == [
        "early: Reused", "late: Running", "quick: Done 1 s", "slow: Done 7 s (attempt 2)", "environment-2: Done 9 s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("users", "names"),
    [
        ([("train",)], ["environment"]),
        ([("train",), ("serve", "score")], ["environment (train)", "environment-2 (serve, score)"]),
        ([("train",), tuple("abcde")], ["environment (train)", "environment-2 (a, b, c, 2 more)"]),
    ],
)
def test_of_several_environments_each_is_shown_with_its_stages(
    capsys: pytest.CaptureFixture[str], users: list[tuple[str, ...]], names: list[str]
) -> None:
    built = [
        Environment(name, "0a", stages) for name, stages in zip(("environment", "environment-2"), users, strict=False)
    ]
    stages = {item.name: StageRecord("Done", started=at(0), finished=at(9)) for item in built}
    spec = RunSpec("r", "c", ".", "t", "i", environments=tuple(built))
    scene = Scene(Record("u", run=1, stages=stages, spec=spec), "abc", (tuple(stages),), numbered=False)
    PlainLines().show(scene)
    assert capsys.readouterr().out == "".join(f"{name}: Done 9 s\n" for name in names)


@pytest.mark.parametrize(("cause", "finished"), [("Failed", at(5)), ("Stopped", "")])
def test_what_a_failure_stops_is_printed_after_it(
    capsys: pytest.CaptureFixture[str], cause: StageState, finished: str
) -> None:
    stages = {
        "other": StageRecord("Stopped", started=at(1)),
        "train": StageRecord("Done", started=at(1), finished=at(4)),
        "check": StageRecord(cause, started=at(1), finished=finished),
        "serve": StageRecord("Skipped"),
        "tell": StageRecord("Running", started=at(5)),
    }
    scene = Scene(Record("u", run=1, stages=stages), "abc", (tuple(stages),), numbered=False)
    middle = ["other: Stopped", "check: Stopped"] if cause == "Stopped" else ["check: Failed", "other: Stopped"]
    assert said(capsys, scene) == ["train: Done", *middle, "serve: Skipped", "tell: Running"]


def test_the_numbers_of_a_stage_that_is_done_are_shown_and_are_in_what_programs_get(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = StageRecord("Done", started=now(), finished=now(), attempts=1, metrics={"accuracy": 0.9375, "rows": 1200})
    scene = Scene(Record("u", run=1, stages={"train": done}), "abc", (("train",),), tails={"train": "bye"})
    PlainLines().show(scene)
    assert capsys.readouterr().out.rstrip().endswith(" s accuracy 0.9375, rows 1200")
    assert "accuracy 0.9375, rows 1200" in picture(scene, 100)
    JsonLines().show(scene)
    assert json.loads(capsys.readouterr().out)["stages"]["train"]["metrics"] == {"accuracy": 0.9375, "rows": 1200}
