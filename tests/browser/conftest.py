"""What the tests of the page share: a browser, and what two runs of a hostile project have left on this machine.

`--screenshots` writes docs/images anew.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Window, browser, command_line, opened, page_of
from tests.support.cli import CommandLine, write
from tests.support.hostile import CANARY, PROJECT

__all__ = ["browser", "opened"]  # fixtures
IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.fixture(scope="module")
def here(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:  # noqa: ARG001 (else it is skipped)
    """Return the command line of somebody who has run the project twice, the second time without success."""
    root = tmp_path_factory.mktemp("here")
    line, folder = command_line(root), write(root / "iris", PROJECT)
    for number, code in ((1, 0), (2, 1)):
        ended = line.run("run", str(folder), "--quiet", "--env", f"NUMBER={number}", CANARY=CANARY)
        assert ended.code == code, ended
    return line


@pytest.fixture(scope="module")
def address(here: CommandLine) -> Iterator[str]:
    """Yield the address that `coachwork ui --local` wants to be opened."""
    running = here.start("ui", "--local")
    yield page_of(running)
    running.interrupt()
    assert running.end().code == 0


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Iterator[object]:
    """Return what keeps a picture of a window for the documentation, if that was asked for."""

    def keep(it: Window, name: str) -> None:
        if request.config.getoption("--screenshots"):
            it.page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")

    yield keep  # noqa: PT022 (an Iterator like the others here)
