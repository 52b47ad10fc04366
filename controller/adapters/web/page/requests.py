"""The list of all requests, and one request."""

from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from controller.adapters.web.page import runs
from controller.adapters.web.page.render import Renderer
from controller.adapters.web.ports import LiveRequest, Site
from controller.core.documents.codec import printable
from controller.core.pages import history
from controller.core.pages.listing import Row, page, row
from controller.core.pages.request import facts


class Rows:
    """The rows of all requests: only what has changed is read again."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known: dict[str, tuple[int, Row]] = {}

    def all(self) -> list[Row]:
        """Return the rows, by name. Raises Transient."""
        self._known = {item.name: self._made(item) for item in self._site.live.requests()}
        return [made for _, made in self._known.values()]

    def _made(self, item: LiveRequest) -> tuple[int, Row]:
        known = self._known.get(item.name)
        if known and known[0] == item.version:
            return known
        return item.version, row(item.name, item.config_map.get("data") or {}, item.record)


def routes(site: Site, render: Renderer) -> Sequence[BaseRoute]:
    """Return the routes."""
    rows = Rows(site)

    def everything(request: Request) -> Response:
        search, phase = request.query_params.get("q", ""), request.query_params.get("phase", "")
        number = request.query_params.get("page", "")
        found = page(rows.all(), search, phase, int(number) if number.isascii() and number[:9].isdigit() else 1)
        return render(request, "list.html", page=found, search=search, phase=phase, now=datetime.now(UTC))

    def one(request: Request) -> Response:
        item = runs.requested(site, request.path_params["name"])
        record, data = printable(item.record), printable(item.config_map.get("data") or {})
        files, fault = runs.kept(site, item.name)
        kept = printable(tuple(files))
        lines = history.lines(record)
        numbers = history.series(lines)
        run = runs.view(site, item.name, item.record, str(record.run)) if record.run and record.spec else None
        return render(
            request,
            "request.html",
            name=item.name,
            record=record,
            row=row(item.name, data, record),
            facts=facts(data, record),
            run=run,
            fault=fault,
            series=numbers,
            history=history.history(lines, kept, numbers),
            now=datetime.now(UTC),
        )

    return [Route("/", everything), Route("/requests/{name}", one)]
