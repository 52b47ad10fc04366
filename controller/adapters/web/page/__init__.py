"""The page: what people look at, below the root of the HTTP port. Read only; a module for each kind of page.

Each handler is a plain function, called in a thread. All links are relative, since the page is below another path where
the API server passes it on: `{{ root }}` in a template leads to the page's root.
"""

from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from controller.adapters.web.api import STATUS
from controller.adapters.web.page import artifacts, compare, logs, requests, run
from controller.adapters.web.page.render import Renderer
from controller.adapters.web.ports import Site
from controller.core.archive import NoAnswer
from controller.core.errors import Transient

HERE: Final = Path(__file__).parent
STATIC: Final = "/static"


def routes(site: Site, render: Renderer) -> list[BaseRoute]:
    """Return the routes of all pages of a place."""
    return [
        *requests.routes(site, render),
        *run.routes(site, render),
        *compare.routes(site, render),
        *logs.routes(site, render),
        *artifacts.routes(site, render),
        Mount(STATIC, StaticFiles(directory=HERE / "static")),
    ]


def application(site: Site, others: str) -> ASGIApp:
    """Return the ASGI application of the page; `others` says what there is in addition to it."""
    render = Renderer(site)

    def problem(request: Request, status: int, line: str) -> Response:
        return render(request, "problem.html", status, line=line)

    def absent(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return problem(request, status, f"not found; {others}")

    def no_answer(request: Request, error: Exception) -> Response:
        return problem(request, STATUS[error.kind] if isinstance(error, NoAnswer) else 500, str(error))

    def failed(request: Request, error: Exception) -> Response:
        return problem(request, 503, f"{error}; try again later")

    def defect(request: Request, _error: Exception) -> Response:  # it is raised again, and logged
        return problem(request, 500, "this page failed; the controller's log says why")

    return Starlette(
        routes=routes(site, render),
        exception_handlers={HTTPException: absent, NoAnswer: no_answer, Transient: failed, Exception: defect},
    )
