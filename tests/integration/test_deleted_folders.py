"""What somebody deletes from the volume costs at most the run that is writing there: the next one makes it again."""

from pathlib import Path

import pytest

from controller.adapters import removal
from controller.core import sweep
from tests.support.eventually import eventually
from tests.support.freeport import free_port
from tests.support.laptop import batch, laptop, project, service
from tests.support.launching import source

PHASES = ("building", "rollout", "running", "ready")
FOLDERS = ("mirrors", "checkouts", "tools", "runs/*/1", "runs", "builds", "environments", "*")
FAILS = {  # with this reason; "": with what it meets first
    ("building", "builds"): "InstallFailed",
    ("building", "*"): "",
    ("rollout", "environments"): "EnvironmentMissing",
    ("rollout", "*"): "",
}
SAMPLE = [("building", "builds"), ("rollout", "tools"), ("running", "runs"), ("ready", "checkouts"), ("ready", "*")]
HELD = """
import pathlib, time
folder = pathlib.Path({folder!r})
(folder / {phase!r}).touch()
while not (folder / "go-{phase}").exists():
    time.sleep(0.02)
"""


def files(folder: Path, port: int) -> dict[str, str]:
    """Return a project of which each phase is held until it may go on."""
    build, start, work = (HELD.format(folder=str(folder), phase=phase) for phase in ("building", "rollout", "running"))
    serve = f"import socket\nserver = socket.create_server(('127.0.0.1', {port}))\nwhile True:\n    server.accept()\n"
    tree = project("web >> train", web=service(start + serve, port), train=batch(f"import lib\n{work}"))
    tree |= {"train/requirements.txt": "./lib\n"}
    tree |= {f"lib/{name}": text for name, text in source("lib", before=build).items()}
    return {f"ml/{name}": text for name, text in tree.items()}


@pytest.mark.parametrize(
    ("phase", "folder"),
    [
        pytest.param(phase, folder, marks=() if (phase, folder) in SAMPLE else pytest.mark.long)
        for phase in PHASES
        for folder in FOLDERS
    ],
)
def test_what_somebody_deletes_is_made_again_by_the_next_run(tmp_path: Path, phase: str, folder: str) -> None:
    with laptop(tmp_path) as machine:
        machine.repository.commit(files(tmp_path, free_port()))
        for earlier in PHASES[: PHASES.index(phase)]:
            (tmp_path / f"go-{earlier}").touch()
        machine.ask(path="ml")
        if phase == "ready":
            machine.wait("Ready")
        else:
            eventually((tmp_path / phase).exists, 30)
        eventually(lambda: phase == "building" or machine.status().get("stage.environment") == "Done", 30)
        for place in machine.volume.glob(folder):
            removal.remove(place)
        for later in PHASES:
            (tmp_path / f"go-{later}").touch()
        ended = machine.wait("Failed" if (phase, folder) in FAILS else "Ready")
        assert FAILS.get((phase, folder), "Succeeded") in ("", ended["reason"])
        machine.repository.commit({"README": "another commit of the same project"})
        machine.trigger("again")
        machine.wait("Ready", run=2)
        served = machine.cluster.get("Deployment", "demo--web")
        assert served
        mounted = sweep.mounted(served)
        assert [path for path in mounted if not (machine.volume / path).is_dir()] == []
