"""`coachwork --help` is quick because of what it does not load; and what it says of commands and options."""

import os
import subprocess
import sys

import pytest
import typer

from controller.cli import app

HEAVY = {"git", "kubernetes", "prometheus_client", "pydantic", "rich.live", "structlog", "urllib3", "uv", "yaml"}
OURS = {"controller.core.model", "controller.app.remote", "controller.app.laptop", "controller.settings"}
CONTROLLERS = {
    "structlog",
    "pydantic",
    "controller.adapters.kube.watch",
    "controller.core.manifests",
    "controller.core.inputs.project",
}


def loaded(module: str) -> set[str]:
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_help_loads_nothing_that_only_a_command_needs() -> None:
    assert not loaded("controller.cli") & (HEAVY | OURS)


def test_a_command_that_asks_a_cluster_loads_nothing_that_only_the_controller_needs() -> None:
    assert not loaded("controller.app.remote") & CONTROLLERS


def test_every_command_that_talks_to_a_cluster_says_where_in_the_same_way() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group
    for name in commands.keys() - {"controller", "run", "validate", "plan"}:
        options = {option for item in commands[name].params for option in item.opts}
        assert {"--namespace", "-n", "--context", "--kubeconfig", "--output", "-o"} <= options, name


@pytest.mark.parametrize(("words", "completed"), [("coachwork st", "status"), ("coachwork status --na", "--namespace")])
def test_commands_and_options_are_completed(words: str, completed: str) -> None:
    program = "import sys; sys.argv[:] = ['coachwork']; from controller.__main__ import main; main()"
    asked = {"_COACHWORK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == [completed]
