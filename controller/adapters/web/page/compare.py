"""Two runs side by side."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from controller.adapters.web.page import runs
from controller.adapters.web.page.render import Renderer
from controller.adapters.web.page.shared import Shared
from controller.adapters.web.ports import Site
from controller.core.archive import GOOD, LATEST
from controller.core.pages.comparison import comparison


def routes(site: Site, render: Renderer) -> Sequence[BaseRoute]:
    """Return the routes."""

    def two(request: Request) -> Response:
        item = runs.requested(site, request.path_params["name"])
        before, _, after = request.query_params.get("runs", "").partition(",")
        chosen = (before or GOOD, after or LATEST)
        left, right = (runs.view(site, item.name, item.record, run).file for run in chosen)
        kept = runs.numbers(site, item.name)
        return render(request, "compare.html", name=item.name, found=comparison(left, right), kept=kept)

    return [Route("/requests/{name}/compare", Shared(site)(two))]
