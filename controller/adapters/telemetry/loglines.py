"""JSON log lines: ours, and what libraries log."""

import logging
from collections.abc import Callable
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from controller.adapters.telemetry.redaction import HIDDEN, redact


def configure_logging(
    level: str,
    stream: TextIO,
    on_hidden: Callable[[int], None] = lambda _count: None,
    on_defect: Callable[[], None] = lambda: None,
) -> None:
    """Write one JSON object for each event of at least `level` (as in settings) to `stream`; once for a process.

    Keys come in the order time, level, event, then the rest. What libraries log through `logging` (warnings and
    worse) goes the same way, as the event "library message". `on_hidden` is called with how many secrets a line hides,
    `on_defect` for each line with a traceback.
    """
    threshold = logging.getLevelNamesMapping()[level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    output: list[Processor] = [redact, _counting(on_hidden, on_defect), structlog.processors.JSONRenderer()]
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


def _counting(on_hidden: Callable[[int], None], on_defect: Callable[[], None]) -> Processor:
    def count(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if hidden := str(event).count(HIDDEN):
            on_hidden(hidden)
        if "exception" in event:
            on_defect()
        return event

    return count


def _library_message(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep events constant: a library's sentence becomes a value."""
    record = event.get("_record")
    return {**event, "event": "library message", "library": getattr(record, "name", ""), "message": event["event"]}
