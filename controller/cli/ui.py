"""`coachwork ui`: the page in a browser, with the rights of the person who opens it; or of what ran on this machine."""

import os
import signal
import sys
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from controller.adapters.kube.person import Person
from controller.adapters.web.guard import OwnPage
from controller.adapters.web.relay import Relay
from controller.adapters.web.server import Pages
from controller.app.kept import Kept
from controller.app.stopping import stop_on_signals
from controller.cli import text
from controller.cli.connect import connected, say
from controller.cli.options import Name, Output
from controller.cli.requests import Requests
from controller.core.errors import Invalid

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PORT: Final = 8787  # so that links to a page, as those of a dashboard, lead somewhere; another one where it is taken

Port = Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="By default 8787, or a free one.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Do not open a browser; print the address only.")]


@connected(local=True)
def ui(
    requests: Requests, name: Name = "", port: Port = 0, no_browser: NoBrowser = False, output: Output = "text"
) -> None:
    """Show the page of all requests, or of one, in a browser.

    It is served on this machine alone, and asks the cluster with your own rights.
    """
    requests.person.ready()
    stopping = stop_on_signals(signal.SIGHUP)
    match requests.person:
        case Person() as person:
            app: ASGIApp = Relay(person.forward, say)
        case Kept() as kept:
            app = Pages(kept.site())

    def note(address: str) -> None:
        text.write(output, {"page": address}, [f"page: {address}"])

    with opened(app, port, f"requests/{name}" if name else "", note=note, browser=not no_browser):
        say("Ctrl-C ends it")
        stopping.wait()


@contextmanager
def opened(
    app: "ASGIApp", port: int, path: str, *, note: Callable[[str], None], browser: bool = True
) -> Iterator[None]:
    """Serve an application on this machine for the block; note its address, and open that. Raises Invalid."""
    page = _listening(app, port)
    page.start()
    try:
        note(page.opened(path))
        if browser and _has_browser():
            webbrowser.open(page.opened(path, once=True))
        yield
    finally:
        page.stop()


def _listening(app: "ASGIApp", port: int) -> OwnPage:
    try:
        return OwnPage(app, port or PORT)
    except OSError as error:
        if port:
            raise Invalid("WrongUse", [f"--port {port}: {os.strerror(error.errno or 0)}: name another one"]) from None
    return OwnPage(app, 0)


def _has_browser() -> bool:
    """Return whether there is a screen for it: one that runs in a terminal would take that over."""
    return sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
