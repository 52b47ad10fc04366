"""What the page says of what is under way before scripts run."""

from controller.core.documents.progress import Download, Progress, Report
from controller.core.documents.run import Installed, RunFile, StageEntry
from controller.core.pages.starts import Start, starts

RUN = RunFile(
    run=3,
    stages={name: StageEntry(state="Running") for name in ("environment", "environment-2", "train")},
    environments=(
        Installed(name="environment", folder="a", stages=("train",)),
        Installed(name="environment-2", folder="b", stages=("serve",)),
    ),
)
BUILD = Progress("downloading 5 packages", "3 of 5: torch", "T", 3, 5, (Download("torch", 17 << 20, 750 << 20),))
NODE = Progress("waiting for a node", "waiting for a node: none has room", "T")


def test_what_is_under_way_is_shown_in_the_order_of_the_stages() -> None:
    assert starts(Report(3, {"train": NODE, "environment": BUILD, "unknown": NODE}), RUN) == (
        Start("environment", "environment (train)", BUILD.step, "T", 3, 5, (Download("torch", 17 << 20, 750 << 20),)),
        Start("train", "train", "waiting for a node: none has room", "T", 0, 0, ()),
    )


def test_how_much_of_a_package_is_there_is_said_in_words() -> None:
    assert Download("torch", 17 << 20, 750 << 20).words == "17 MiB of 750 MiB"


def test_another_run_has_nothing_of_it() -> None:
    assert starts(Report(4, {"train": NODE}), RUN) == ()


def test_more_than_there_is_can_not_be_done() -> None:
    (start,) = starts(Report(3, {"train": Progress(done=9, of=5, downloads=(Download("a", 9, 5), Download("b")))}), RUN)
    assert (start.done, start.of, start.parts) == (5, 5, (Download("a", 5, 5),))
