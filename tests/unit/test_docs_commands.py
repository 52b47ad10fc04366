"""What the pages show of commands and addresses exists: a reader can type it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from controller.adapters.web.api import PREFIX, ROUTES
from controller.cli import app, exits

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group
ANYWHERE = {"--help", "--version", "--install-completion", "--show-completion"}


def typed() -> Iterator[tuple[str, str]]:
    """Give each `coachwork ...` that a page shows, in a block of commands or within a sentence, with its page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        lines += [code.replace("\n", " ") for code in re.findall(r"`(coachwork [^`]+)`", text)]
        yield from ((str(page.relative_to(ROOT)), line) for line in lines if line.startswith("coachwork "))


def arguments(line: str) -> list[str]:
    """Give what stands after `coachwork`, up to a pipe; an ellipsis stands for whatever the reader has."""
    words = shlex.split(line, comments=True)[1:]
    end = words.index("|") if "|" in words else len(words)
    return [word for word in words[:end] if word not in {"...", "…"}]


def missing(line: str) -> list[str]:
    """Give the command, or its options, that do not exist."""
    words = arguments(line)
    if not words or words[0] in {*ANYWHERE, "COMMAND"}:
        return []
    command = COMMANDS.get(words[0])
    if command is None:
        return words[:1]
    known = {option for item in command.params for option in item.opts} | ANYWHERE
    asked = [word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)]
    return [option for option in asked if option not in known]


def test_every_command_that_a_page_shows_exists_with_its_options() -> None:
    shown = list(typed())
    assert len(shown) > 30
    assert not [f"{page}: {line}: {wrong}" for page, line in shown if (wrong := missing(line))]


@pytest.mark.parametrize("line", ["coachwork dploy x", "coachwork status iris --wide"])
def test_a_command_or_an_option_that_does_not_exist_would_be_found(line: str) -> None:
    assert missing(line)


def first_cells(page: str, heading: str) -> set[str]:
    below = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    return set(re.findall(r"^\| `([^`]+)` \|", below.partition("\n## ")[0], re.MULTILINE))


def test_every_exit_code_of_the_commands_is_explained_and_none_is_invented() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert first_cells("cli.md", "Exit codes") == {str(code) for code in codes}


def test_every_address_of_the_port_is_explained_and_none_is_invented() -> None:
    text = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(/api/[^`]*)` \|", text, re.MULTILINE)) == {f"{PREFIX}{route}" for route in ROUTES}
