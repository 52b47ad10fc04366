"""One run."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from controller.adapters.web.page import runs
from controller.adapters.web.page.render import Renderer
from controller.adapters.web.page.shared import Shared
from controller.adapters.web.ports import Site
from controller.core.pages.run import facts


def routes(site: Site, render: Renderer) -> Sequence[BaseRoute]:
    """Return the routes."""

    def one(request: Request) -> Response:
        item = runs.requested(site, request.path_params["name"])
        run = runs.view(site, item.name, item.record, request.path_params["run"])
        others = [other for other in runs.numbers(site, item.name) if other != run.number]
        progress = runs.under_way(site, run)
        return render(request, "run.html", run=run, progress=progress, others=others, facts=facts(run.file))

    return [Route("/requests/{name}/runs/{run}", Shared(site)(one))]
