"""What the pages show of commands and addresses exists: a reader can type it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.adapters.web.api import PREFIX, ROUTES
from controller.cli import COMMANDS, load
from controller.core.exits import Exit

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
OTHERS = sorted([*(ROOT / "controller").rglob("*.html"), *(ROOT / "controller" / "scaffold").rglob("*.ini")])
ANYWHERE = {"--help", "--version", "--install-completion", "--show-completion"}


def typed() -> Iterator[tuple[str, str]]:
    """Yield each `coachwork ...` that a page shows, in a block of commands or within a sentence, with its page.

    So it is with the page in a browser, and with the comments of what `coachwork init` writes.
    """
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        lines += [code.replace("\n", " ") for code in re.findall(r"`(coachwork [^`]+)`", text)]
        lines += re.findall(r"^    (coachwork .*)$", text.replace("\\\n", " "), re.MULTILINE)
        yield from ((str(page.relative_to(ROOT)), line) for line in lines if line.startswith("coachwork "))
    for page in OTHERS:
        lines = re.findall(r"(?:<code>|: )(coachwork [^<{\n]+)", page.read_text(encoding="utf-8"))
        yield from ((str(page.relative_to(ROOT)), line) for line in lines)


def arguments(line: str) -> list[str]:
    """Return what stands after `coachwork`, up to a pipe; an ellipsis stands for whatever the reader has."""
    words = shlex.split(line, comments=True)[1:]
    end = words.index("|") if "|" in words else len(words)
    return [word for word in words[:end] if word not in {"...", "…"}]


def missing(line: str) -> list[str]:
    """Return the command, or its options, that do not exist."""
    words = arguments(line)
    while words[:1] == ["-n"]:  # before the command
        words = words[2:]
    if not words or words[0] in {*ANYWHERE, "COMMAND"}:
        return []
    if words[0] not in COMMANDS:
        return words[:1]
    known = {option for item in load(words[0]).params for option in (*item.opts, *item.secondary_opts)} | ANYWHERE
    asked = [word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)]
    return [option for option in asked if option not in known]


def test_every_command_that_a_page_shows_exists_with_its_options() -> None:
    shown = list(typed())
    assert len(shown) > 30
    assert {".md", ".html", ".ini"} == {Path(page).suffix for page, _ in shown}
    assert not [f"{page}: {line}: {wrong}" for page, line in shown if (wrong := missing(line))]


@pytest.mark.parametrize("line", ["coachwork dploy x", "coachwork status iris --wide"])
def test_a_command_or_an_option_that_does_not_exist_would_be_found(line: str) -> None:
    assert missing(line)


def table(heading: str) -> list[tuple[str, str]]:
    """Return the rows of the table below a heading of the reference of the command line, links as their words."""
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    below = f"\n{text}".partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", below)
    return re.findall(r"^\| `([^`]+)` \| (.+) \|$", plain, re.MULTILINE)


def test_every_exit_code_is_explained_as_the_code_explains_it() -> None:
    assert table("## Exit codes") == [(str(int(code)), code.meaning) for code in Exit]


def test_every_command_is_explained_as_its_help_explains_it() -> None:
    assert table("# The command line") == [(name, line) for name, (line, _) in COMMANDS.items()]


def test_every_address_of_the_port_is_explained_and_none_is_invented() -> None:
    text = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(/api/[^`]*)` \|", text, re.MULTILINE)) == {f"{PREFIX}{route}" for route in ROUTES}
