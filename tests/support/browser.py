"""A real Chromium, and what no page of ours may do in it: break its policy, fail in a script, or call elsewhere."""

import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

from tests.support.cli import CommandLine, Running

CHROMIUM = shutil.which("chromium") or ""
SECONDS = 30.0  # in which what a page is to show has to come
SERIOUS = ("serious", "critical")
# What the browser says where it holds back a stage's HTML or picture, as it should, and of answers that are errors.
HELD_BACK = re.compile(
    r"Blocked (script execution|form submission) |.*http://elsewhere\.invalid/|Failed to load resource: "
)


expect.set_options(timeout=SECONDS * 1000)


def missing() -> str:
    """Return why no browser can be had here, "" if one can."""
    if not CHROMIUM:
        return "no chromium on PATH (Debian: apt-get install chromium)"
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return "a browser needs more address space than this shell gives (ulimit -v)"
    return ""


@dataclass
class Window:
    """One page, and everything that went wrong in it."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    held_back: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(SECONDS * 1000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("requestfinished", self._ended)
        self.page.on("requestfailed", self._ended)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            (self.held_back if HELD_BACK.match(message.text) else self.wrong).append(message.text)

    def _dialog(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _ended(self, request: Request) -> None:
        """Note a request that left this machine, or would have; what the policy forbids the browser does not send."""
        elsewhere = urlsplit(request.url).hostname not in ("127.0.0.1", None) and request.failure != "csp"
        if elsewhere or request.method != "GET":
            self.wrong.append(f"{request.method} {request.url} {request.failure}")

    def serious(self, *rules: str) -> list[str]:
        """Return what axe-core finds on the page, by these rules or by all, that keeps somebody from using it."""
        options: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": [*rules]} if rules else {})
        found = Axe().run(self.page, options=options).response["violations"]
        return [f"{one['id']}: {_places(one)}" for one in found if one["impact"] in SERIOUS]

    def wide(self) -> list[str]:
        """Return the elements that make the page wider than the window."""
        return list(
            self.page.evaluate(
                """() => document.documentElement.scrollWidth <= innerWidth ? [] :
                [...document.querySelectorAll("*")].filter((one) => one.getBoundingClientRect().right > innerWidth)
                .map((one) => `${one.nodeName} ${one.id} ${one.className}`)"""
            )
        )


def _places(violation: dict[str, Any]) -> str:
    return "; ".join(f"{node['html'][:200]} {node.get('failureSummary', '')[:300]}" for node in violation["nodes"][:3])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield a browser of its own profile; skip the test where none can be had."""
    if reason := missing():
        pytest.skip(reason)
    with sync_playwright() as playwright:
        it = playwright.chromium.launch(executable_path=CHROMIUM)  # without Chromium's own sandbox: root has none
        yield it
        it.close()


@contextmanager
def window(browser: Browser, **options: Any) -> Iterator[Window]:
    """Yield a new window (`options` as of Playwright's contexts); fail where something went wrong in it."""
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"} | options))
    try:
        it = Window(context.new_page())
        yield it
        assert not it.wrong, "\n".join(it.wrong)
    finally:
        context.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Window]:
    """Yield a new window, in which nothing may go wrong."""
    with window(browser) as it:
        yield it


def command_line(root: Path) -> CommandLine:
    """Return the command line of somebody without a cluster, whose terminal can open no window."""
    return CommandLine(root / "state", env={"HOME": str(root), "DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""})


def page_of(running: Running) -> str:
    """Return the address of the page that a command says."""
    pattern = re.compile(r"http://127\.0\.0\.1:\d+/\S*")
    found = pattern.search(running.either(lambda line: pattern.search(line) is not None))
    assert found
    return found[0]
