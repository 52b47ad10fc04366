"""One answer for all who look at the same page at the same time: it is the same for everybody who may see it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from controller.adapters.web.ports import Site

SECONDS: Final = 1.0  # for which a page is good, unless its request changes: what lies on the volume has no version
Handler = Callable[[Request], Response]


class Shared:
    """Remembers pages for a moment, so that a second reader costs the controller next to nothing."""

    def __init__(self, site: Site) -> None:
        self._site, self._lock = site, threading.Lock()
        self._known: dict[tuple[bytes, str, int], tuple[float, Future[Response]]] = {}

    def __call__(self, handler: Handler) -> Handler:
        """Return a handler that makes each page once, for those who wait for it, too."""

        def answer(request: Request) -> Response:
            version = self._site.live.version(request.path_params.get("name", ""))
            sent = request.scope["raw_path"]  # what is decoded may be another path, with other links
            key, now = (sent, request.url.query, version), time.monotonic()
            with self._lock:
                self._known = {key: known for key, known in self._known.items() if now - known[0] < SECONDS}
                first = key not in self._known
                _, made = self._known.setdefault(key, (now, Future()))
            if first:
                try:
                    made.set_result(handler(request))
                except Exception as error:  # noqa: BLE001 (those who wait for the page get it, too)
                    made.set_exception(error)
            return made.result()

        return answer
