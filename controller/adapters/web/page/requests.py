"""The list of all requests, and one request."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from controller.adapters.web.page.render import Renderer
from controller.adapters.web.ports import Site


def routes(site: Site, render: Renderer) -> Sequence[BaseRoute]:
    """Return the routes."""

    def everything(request: Request) -> Response:
        return render(request, "list.html", requests=site.live.requests())

    return [Route("/", everything)]
