"""`coachwork --help` is quick because of what it does not load; and what it says of commands and options."""

import io
import os
import shlex
import subprocess
import sys
from contextlib import redirect_stdout, suppress

import pytest
from typer.testing import CliRunner

from controller.cli import COMMANDS, app, load

HEAVY = {"git", "kubernetes", "prometheus_client", "pydantic", "rich.live", "structlog", "urllib3", "uv", "yaml"}
CONTROLLERS = {
    "structlog",
    "pydantic",
    "controller.adapters.kube.watch",
    "controller.core.manifests",
    "controller.core.inputs.project",
}
ON_A_CLUSTER = COMMANDS.keys() - {"controller", "init", "run", "validate", "plan", "clean"}


def loaded(program: str) -> set[str]:
    """Return the modules that are loaded once the program has run."""
    lines = f"import sys\n{program}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.splitlines()[-1].split())


HELP = """
from contextlib import suppress
from controller.cli import app
with suppress(SystemExit):
    app(["--help"])
"""


def test_help_loads_no_command_and_nothing_that_only_a_command_needs() -> None:
    modules = loaded(HELP)
    assert "controller.cli" in modules
    assert not modules & HEAVY
    assert not {name for name in modules if name.startswith(("controller.app", "controller.adapters"))}
    assert not {f"controller.cli.{command}" for command in COMMANDS} & modules


def test_a_command_on_a_cluster_loads_nothing_that_only_the_controller_needs() -> None:
    assert not loaded("import controller.cli.status, controller.cli.trigger") & CONTROLLERS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_of_itself_what_the_list_says_of_it(name: str) -> None:
    assert load(name).help.splitlines()[0] == COMMANDS[name][0]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_shows_an_example_that_it_takes(name: str) -> None:
    command, shown = load(name), io.StringIO()
    with suppress(SystemExit), redirect_stdout(shown):
        app(["-n", "ml", name, "-h"] if name in ON_A_CLUSTER else [name, "-h"])
    example = shown.getvalue().split("Example: coachwork ")[1].split("\n\n")[0]
    first, *arguments = shlex.split(example)
    assert first == name
    assert command.make_context(name, arguments).params  # raises what would be wrong with them


def test_every_command_on_a_cluster_says_which_one_in_the_same_way() -> None:
    for name in ON_A_CLUSTER:
        options = {option for item in load(name).params for option in item.opts}
        assert {"--namespace", "-n", "--context", "--kubeconfig", "--output", "-o"} <= options, name


@pytest.mark.parametrize(
    ("words", "completed"), [("coachwork -n ml statu", "status"), ("coachwork status --na", "--namespace")]
)
def test_commands_and_options_are_completed(words: str, completed: str) -> None:
    program = "import sys; sys.argv[:] = ['coachwork']; from controller.__main__ import main; main()"
    variables = {"_COACHWORK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == [completed]


def test_a_refused_choice_is_said_without_words_of_a_library() -> None:
    said = CliRunner().invoke(app, ["validate", "--output", "xml"]).output
    assert said.splitlines()[-1] == "Error: Invalid value for '--output' / '-o': 'xml' is not one of 'text', 'json'."


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_and_argument_is_explained_in_a_sentence_and_names_its_value(name: str) -> None:
    for item in load(name).params:
        assert item.help[:1].isupper(), item.name
        assert item.help.endswith("."), item.name
        assert item.metavar or item.is_flag or item.name == "output", item.name
