"""What a person sees of a run on a terminal."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from controller.cli.show import Lines, LiveTable, Scene
from controller.core import times
from controller.core.model import Environment, Record, RunSpec, StageRecord


def now() -> str:
    return times.text(datetime.now(UTC))


def picture(scene: Scene, width: int, height: int = 30) -> str:
    """Give the last picture that is left on a terminal of this size."""
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
    lines = Lines()
    for scene in (ahead, ahead, running):
        lines.show(scene)
    assert capsys.readouterr().out.splitlines() == ["waits: run 3 is active", "train: Running"]


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
