"""The list of all requests, and one request."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from controller.adapters.web.page import runs
from controller.adapters.web.page.render import Renderer
from controller.adapters.web.page.shared import Shared
from controller.adapters.web.ports import LiveRequest, Site
from controller.core.addresses import addresses
from controller.core.documents.codec import printable
from controller.core.pages import history
from controller.core.pages.history import Bar, bars
from controller.core.pages.listing import Page, Row, page, row
from controller.core.pages.request import facts


class Rows:
    """What the list shows of requests: only what has changed is read again, and a history only where it is shown."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._rows: dict[str, tuple[int, Row]] = {}
        self._bars: dict[str, tuple[int, tuple[Bar, ...]]] = {}

    def page(self, search: str, phase: str, number: int) -> tuple[Page, Mapping[str, Sequence[Bar]]]:
        """Return a page of the list, and the sparklines of its requests. Raises Transient."""
        items = {item.name: item for item in self._site.live.requests()}
        self._rows = {name: self._row(item) for name, item in items.items()}
        found = page((made for _, made in self._rows.values()), search, phase, number)
        drawn = {one.name: self._drawn(items[one.name]) for one in found.shown}
        self._bars = {name: known for name, known in {**self._bars, **drawn}.items() if name in items}
        return found, {name: made for name, (_, made) in drawn.items()}

    def _row(self, item: LiveRequest) -> tuple[int, Row]:
        known = self._rows.get(item.name)
        if known and known[0] == item.version:
            return known
        return item.version, row(item.name, item.config_map.get("data") or {}, item.brief)

    def _drawn(self, item: LiveRequest) -> tuple[int, tuple[Bar, ...]]:
        known = self._bars.get(item.name)
        return known if known and known[0] == item.version else (item.version, bars(item.record.history))


def routes(site: Site, render: Renderer) -> Sequence[BaseRoute]:
    """Return the routes."""
    rows, shared = Rows(site), Shared(site)

    def everything(request: Request) -> Response:
        search, phase = request.query_params.get("q", ""), request.query_params.get("phase", "")
        number = request.query_params.get("page", "")
        found, drawn = rows.page(search, phase, int(number) if re.fullmatch("[0-9]{1,6}", number) else 1)
        return render(request, "list.html", page=found, bars=drawn, search=search, phase=phase, now=datetime.now(UTC))

    def one(request: Request) -> Response:
        item = runs.requested(site, request.path_params["name"])
        record, data = printable(item.record), printable(item.config_map.get("data") or {})
        kept, fault = runs.kept(site, item.name)
        lines = history.lines(record)
        numbers = history.series(lines)
        run = runs.view(site, item.name, item.record, str(record.run)) if record.run and record.spec else None
        return render(
            request,
            "request.html",
            name=item.name,
            record=record,
            row=row(item.name, data, item.brief),
            progress=runs.under_way(site, run) if run else (),
            facts=facts(data, record, addresses(item.release, site.namespace)),
            run=run,
            fault=fault,
            series=numbers,
            history=history.history(lines, kept, numbers),
            now=datetime.now(UTC),
        )

    return [Route("/", shared(everything)), Route("/requests/{name}", shared(one))]
