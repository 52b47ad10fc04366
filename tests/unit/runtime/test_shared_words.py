"""Words that pass between the controller and the containers: neither side imports the other's."""

import pytest

from controller.core import errors, layout, numbers
from controller.core.facts.pods import LAUNCHER_FAILED
from controller.runtime import (
    install_progress,
    install_requirements,
    stage_copy,
    stage_environment,
    stage_metrics,
    stage_order,
)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (errors.VOLUME_FULL, stage_order.VOLUME_FULL),
        (LAUNCHER_FAILED, stage_order.HOPELESS),
        (layout.COMPLETE, stage_copy.COMPLETE),
        (layout.COMPLETE, stage_environment.COMPLETE),
        (layout.LOCK, stage_environment.LOCK),
        (layout.PYTHON, stage_environment.PYTHON),
        (layout.REQUIREMENTS, stage_environment.REQUIREMENTS),
        (layout.REQUIREMENTS, install_requirements.FILE),
        (layout.PROGRESS, install_progress.FILE),
        (numbers.NAME.pattern, stage_metrics.NAME.pattern),
        (numbers.MOST, stage_metrics.MOST),
        (layout.outdated("iris", "u", 1, "train").name, stage_environment.OUTDATED),
    ],
)
def test_controller_and_containers_use_the_same_words(ours: str | int, theirs: str | int) -> None:
    assert ours == theirs
