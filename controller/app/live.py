"""The requests of a running controller as its page shows them: out of the watch caches, with no call of the API."""

from collections.abc import Sequence
from functools import partial

from controller.adapters.web.changes import Changes
from controller.adapters.web.ports import LiveRequest
from controller.core.model import Object
from controller.reconciler import View


class Watched(Changes):
    """What a view holds, and waits for its changes."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        view.subscribe(self.note)

    def requests(self) -> Sequence[LiveRequest]:
        """Return all requests, by name."""
        return [self._made(name) for name in self._view.requests()]

    def request(self, name: str) -> LiveRequest | None:
        """Return one request, None where there is none of that name."""
        return self._made(name) if self._view.request(name) else None

    def _made(self, name: str) -> LiveRequest:
        return LiveRequest(name, self.version(name), partial(self._read, name))

    def _read(self, name: str) -> Sequence[Object]:
        view = self._view
        return [found or {} for found in (view.request(name), view.status(name), view.release(name))]
