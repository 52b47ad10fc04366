"""What somebody deletes from the volume is made again by the next run."""

from pathlib import Path

import pytest

from controller.adapters import removal
from tests.support.laptop import batch, laptop, project


@pytest.mark.parametrize("folder", ["mirrors", "checkouts", "tools", "runs/*/1", "runs", "builds", "environments"])
def test_a_folder_that_somebody_deletes_is_made_again_by_the_next_run(tmp_path: Path, folder: str) -> None:
    with laptop(tmp_path) as machine:
        machine.repository.commit(project("train", train=batch("print('hello')\n")))
        machine.ask()
        machine.wait("Ready")
        for place in machine.volume.glob(folder):
            removal.remove(place)
        machine.trigger("again")
        machine.wait("Ready", run=2)
