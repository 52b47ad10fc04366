"""Calls of the API server."""

from collections.abc import Callable, Collection, Iterable
from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry

from controller.adapters.telemetry.families import counter, gauge, seconds

API_CODES: Final = (
    *("200", "201", "400", "401", "403", "404", "409", "410", "422", "429", "500", "502", "503", "504"),
    *("error", "other"),
)
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)


class ApiMetrics:
    """Counts the calls, and shows how old the watches are and which rights are missing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._limit = gauge(registry, "api_limit", "Calls of the API server that may be under way")
        self._waited = counter(registry, "api_wait_seconds", "Time that calls waited for their turn")
        self._ages = gauge(registry, "watch_age_seconds", "Time since a watch last heard anything", resource=())
        self._rights: tuple[tuple[str, str], ...] = ()
        self._missing = gauge(
            registry, "rights_missing", "1 for a right that the controller lacks", verb=(), resource=()
        )
        self._calls = counter(registry, "api_calls", "Calls of the API server", verb=(), resource=(), code=())
        self._seconds = seconds(registry, "api", "Time until the API server began to answer", SECONDS, verb=())

    def expect(self, calls: Iterable[tuple[str, str]], rights: Iterable[tuple[str, str]]) -> None:
        """Show these calls (verb, resource) and rights from the first scrape on."""
        for (verb, resource), code in product(calls, API_CODES):
            self._calls.labels(verb, resource, code)
            self._seconds.labels(verb)
        self._rights = tuple(rights)
        for right in self._rights:
            self._missing.labels(*right)

    def called(self, verb: str, resource: str, code: int, waited: float) -> None:
        """Count a call: verb and resource as RBAC names them, HTTP status (0: no answer), time until it came."""
        status = str(code or "error")
        self._calls.labels(verb, resource, status if status in API_CODES else "other").inc()
        self._seconds.labels(verb).observe(waited)

    def turn(self, limit: int, seconds: float) -> None:
        """Record how many calls may be under way, and how long one waited for its turn."""
        self._limit.set(limit)
        self._waited.inc(seconds)

    def show_watch(self, resource: str, age: Callable[[], float]) -> None:
        """Show, at every scrape, how long ago the watch of a resource heard anything."""
        self._ages.labels(resource).set_function(age)

    def lacks(self, missing: Collection[tuple[str, str]]) -> None:
        """Record which of the expected rights (verb, resource) are missing."""
        for right in self._rights:
            self._missing.labels(*right).set(right in missing)
