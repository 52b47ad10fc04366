"""A stage's log: the page around it. The log itself is read by static/log.js, from /api/logs/."""

import re
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from controller.adapters.web.page.render import Renderer
from controller.adapters.web.ports import Site
from controller.core.pages.log import TAILS, log_page


def routes(site: Site, render: Renderer) -> Sequence[BaseRoute]:
    """Return the routes."""

    def log(request: Request) -> Response:
        name, stage = request.path_params["name"], request.path_params["stage"]
        run = site.archive.run(name, request.path_params["run"])
        entries = site.archive.logs(name, str(run["run"]))
        asked = request.query_params
        page = log_page(
            name,
            run,
            stage,
            entries,
            attempt=int(asked["attempt"]) if re.fullmatch("[0-9]{1,9}", asked.get("attempt", "")) else 0,
            tail=asked.get("tail", ""),
            timestamps=asked.get("timestamps") == "1",
        )
        return render(request, "log.html", page=page, tails=TAILS)

    return [Route("/requests/{name}/runs/{run}/stages/{stage}", log)]
