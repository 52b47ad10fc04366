"""Signs of life: JSON log lines, and metrics in a registry of their own.

No secret leaves here: what names itself a password, token or secret, and what stands in a URL before its host, is
replaced before a line is written. No value makes a line endless.
"""

import logging
import re
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import product
from typing import Final, TextIO, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from structlog.typing import EventDict, Processor, WrappedLogger

from controller.core import layout
from controller.core.model import Phase

# --- redaction --------------------------------------------------------------------------------------

HIDDEN: Final = "***"
READ_LIMIT: Final = 64 * 1024  # characters of a value that are read
VALUE_LIMIT: Final = 2 * 1024  # characters of a value that are written
TRACE_LIMIT: Final = 16 * 1024  # of a traceback, whose end says most
ITEM_LIMIT: Final = 50  # of a list or mapping
DEPTH_LIMIT: Final = 4

_SECRET_KEY = re.compile(r"(?i)passw|passphrase|secret|token|credential|authorization|cookie|(api|private|ssh).?key")
_SECRETS_IN_TEXT = (
    (re.compile(r"://[^/\s'\"]*@"), f"://{HIDDEN}@"),  # stricter than text.masked: no reader needs an SSH user
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)((?:passw(?:or)?d|token|secret|api_?key)=)[^&\s'\"]+"), rf"\1{HIDDEN}"),
)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Return the event, time and level first, with secrets hidden and every value bounded (a structlog processor)."""
    ordered = {key: event[key] for key in ("time", "level", "event") if key in event} | dict(event)
    return {key: _clean(key, value, DEPTH_LIMIT) for key, value in ordered.items()}


def _clean(key: str, value: object, depth: int) -> object:
    """Return the value of `key` as it may be written."""
    if _SECRET_KEY.search(key):
        return HIDDEN
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | bytes) or not isinstance(value, Mapping | Sequence | AbstractSet):
        return _text(str(value), TRACE_LIMIT if key == "exception" else VALUE_LIMIT)
    if not depth:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:ITEM_LIMIT]
        return {_text(str(name)): _clean(str(name), item, depth - 1) for name, item in items}
    return [_clean("", item, depth - 1) for item in list(value)[:ITEM_LIMIT]]


def _text(text: str, limit: int = VALUE_LIMIT) -> str:
    """Return `text` without secrets, its middle left out beyond `limit` characters."""
    if len(text) > READ_LIMIT:
        # Whole words only: half a URL would no longer show that what stands before its @ is a secret.
        text = f"{text[: READ_LIMIT // 2].rpartition(' ')[0]} … {text[-READ_LIMIT // 2 :].partition(' ')[2]}"
    for pattern, replacement in _SECRETS_IN_TEXT:
        text = pattern.sub(replacement, text)
    return text if len(text) <= limit else f"{text[: limit // 4]} … {text[-(limit - limit // 4) :]}"


# --- log lines --------------------------------------------------------------------------------------


def configure_logging(level: str, stream: TextIO) -> None:
    """Write one JSON object for each event of at least `level` (as in settings) to `stream`; once for a process.

    Keys come in the order time, level, event, then the rest. What libraries log through `logging` (warnings and
    worse) goes the same way, as the event "library message".
    """
    threshold = logging.getLevelNamesMapping()[level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    output: list[Processor] = [redact, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *output],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _library_message],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *output],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


def _library_message(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep events constant: a library's sentence becomes a value."""
    record = event.get("_record")
    return {**event, "event": "library message", "library": getattr(record, "name", ""), "message": event["event"]}


# --- metrics ----------------------------------------------------------------------------------------

RUN_OUTCOMES: Final = ("Succeeded", "Failed", "Cancelled", "Invalid", "Refused")
RECONCILE_RESULTS: Final = ("done", "not-yet", "transient", "defect")
PHASES: Final = get_args(Phase)
GIT_OPERATIONS: Final = (
    *("cat-file", "checkout-index", "config", "fetch", "init", "log", "ls-remote", "ls-tree", "read-tree", "rev-parse"),
    "other",
)
WAKE_ANSWERS: Final = (202, 404, 429)  # web/wake.py's
GIT_OUTCOMES: Final = ("ok", "error", "timeout", "too-large")
API_CODES: Final = (
    *("200", "201", "400", "401", "403", "404", "409", "410", "422", "429", "500", "502", "503", "504"),
    *("error", "other"),
)
SWEPT_KINDS: Final = (
    *map(str, (layout.BUILDS, layout.CHECKOUTS, layout.ENVIRONMENTS, layout.MIRRORS)),
    *map(str, (layout.RUNS, layout.SCRATCH, layout.TOOLS)),
)


NAMED_REQUESTS: Final = 1000  # that have a series of their own; those that need somebody come first
IN_NEED: Final = ("Failed", "Invalid", "Blocked", "Degraded")


class PrometheusMetrics:
    """The controller's metrics. Each label but `request` has a closed set of values, all there from the first scrape.

    A counter that appears with its first value shows no increase: the first failure would go unnoticed.
    """

    def __init__(self, version: str) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._runs = Counter("coachwork_runs", "Runs that ended", ["outcome"], registry=registry)
        self._reconciles = Counter("coachwork_reconciles", "Passes over a request", ["result"], registry=registry)
        self._duration = Histogram(
            "coachwork_reconcile_duration_seconds",
            "Duration of a pass over a request",
            registry=registry,
            buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600),
        )
        self._calls = Counter(
            "coachwork_api_calls", "Calls of the API server", ["verb", "resource", "code"], registry=registry
        )
        self._limit = Gauge("coachwork_api_limit", "Calls of the API server that may be under way", registry=registry)
        self._waited = Counter("coachwork_api_wait_seconds", "Time that calls waited for their turn", registry=registry)
        self._git = Counter("coachwork_git_calls", "Calls of git", ["operation", "outcome"], registry=registry)
        self._shared = Counter("coachwork_git_shared", "Answers of Git servers that served again", registry=registry)
        self._wakes = Counter("coachwork_wakes", "Calls of pods that are done", ["answer"], registry=registry)
        self._depth = Gauge("coachwork_queue_depth", "Requests that wait for a pass", registry=registry)
        self._size = Gauge("coachwork_volume_size_bytes", "Size of the shared volume", registry=registry)
        self._free = Gauge("coachwork_volume_free_bytes", "What of the shared volume is free", registry=registry)
        self._swept = Counter("coachwork_swept", "Things that a sweep took off the volume", ["kind"], registry=registry)
        self._freed = Counter("coachwork_swept_bytes", "Bytes that sweeps set free", ["kind"], registry=registry)
        build = Gauge("coachwork_build_info", "1, with the version as a label", ["version"], registry=registry)
        build.labels(version).set(1)
        for outcome in RUN_OUTCOMES:
            self._runs.labels(outcome)
        for result in RECONCILE_RESULTS:
            self._reconciles.labels(result)
        for operation, outcome in product(GIT_OPERATIONS, GIT_OUTCOMES):
            self._git.labels(operation, outcome)
        for answer in WAKE_ANSWERS:
            self._wakes.labels(answer)
        for kind in SWEPT_KINDS:
            self._swept.labels(kind)
            self._freed.labels(kind)

    def run_ended(self, outcome: str) -> None:
        """Count a run that ended (one of RUN_OUTCOMES)."""
        self._runs.labels(outcome).inc()

    def show_requests(self, phases: Callable[[], Mapping[str, str]]) -> None:
        """Show, at every scrape, the requests whose phases `phases` returns by name; once for a process."""
        self._registry.register(_Requests(phases))

    def reconciled(self, result: str, seconds: float) -> None:
        """Count a pass (result: one of RECONCILE_RESULTS) and its duration."""
        self._reconciles.labels(result).inc()
        self._duration.observe(seconds)

    def expect_calls(self, calls: Iterable[tuple[str, str]]) -> None:
        """Show counters for these calls of the API server (verb, resource) from the first scrape on."""
        for (verb, resource), code in product(calls, API_CODES):
            self._calls.labels(verb, resource, code)

    def api_call(self, verb: str, resource: str, code: int) -> None:
        """Count a call of the API server: verb and resource as RBAC names them, HTTP status (0: no answer)."""
        status = str(code or "error")
        self._calls.labels(verb, resource, status if status in API_CODES else "other").inc()

    def api_turn(self, limit: int, seconds: float) -> None:
        """Record how many calls of the API server may be under way, and how long one waited for its turn."""
        self._limit.set(limit)
        self._waited.inc(seconds)

    def git_call(self, operation: str, outcome: str) -> None:
        """Count a call of git: its subcommand (one of GIT_OPERATIONS, else other); one of GIT_OUTCOMES."""
        self._git.labels(operation if operation in GIT_OPERATIONS else "other", outcome).inc()

    def git_shared(self) -> None:
        """Count an answer of a Git server that served again, without a call."""
        self._shared.inc()

    def wake_call(self, answer: int) -> None:
        """Count a call of a pod that is done, by the answer that it gets (one of WAKE_ANSWERS)."""
        self._wakes.labels(answer).inc()

    def queue_depth(self, depth: int) -> None:
        """Record how many requests wait for a pass."""
        self._depth.set(depth)

    def room(self, size: int, free: int) -> None:
        """Record the shared volume's size and what of it is free, in bytes."""
        self._size.set(size)
        self._free.set(free)

    def swept(self, things: Mapping[str, int], freed: Mapping[str, int]) -> None:
        """Count what a sweep removed, and the bytes that it freed, by the top folder of the volume."""
        for kind, count in things.items():
            self._swept.labels(kind).inc(count)
        for kind, count in freed.items():
            self._freed.labels(kind).inc(count)

    def exposition(self, accept: str) -> tuple[str, bytes]:
        """Return the content type and the text for a scraper whose Accept header is `accept`."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def value(self, name: str, **labels: str) -> float | None:
        """Return one sample as a scrape would show it, None if there is none yet."""
        return self._registry.get_sample_value(name, dict(labels))


class _Requests(Collector):
    """The requests' phases, read at each scrape: a request that is gone has no series any more."""

    def __init__(self, phases: Callable[[], Mapping[str, str]]) -> None:
        self._phases = phases

    def collect(self) -> Iterator[Metric]:
        """Yield how many requests are in each phase, and the phase of each request."""
        # No other phase than ours: a record is text that somebody may have edited.
        found = {name: phase for name, phase in self._phases().items() if phase in PHASES}
        counts = Counts(found.values())
        family = GaugeMetricFamily("coachwork_requests", "Requests by the phase of their record", labels=["phase"])
        for phase in PHASES:
            family.add_metric([phase], counts[phase])
        yield family
        named = GaugeMetricFamily("coachwork_request_phase", "1, with a request's phase", labels=["request", "phase"])
        for name in sorted(found, key=lambda name: (found[name] not in IN_NEED, name))[:NAMED_REQUESTS]:
            named.add_metric([name, found[name]], 1)
        yield named
