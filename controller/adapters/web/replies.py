"""Answers: a page that is complete, or a stream whose pieces come one after the other."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

JSON, TEXT, BYTES, TAR = (
    "application/json",
    "text/plain; charset=utf-8",
    "application/octet-stream",
    "application/x-tar",
)
_REASONS = {  # metav1.StatusReason, by which kubectl introduces the message
    400: "BadRequest",
    404: "NotFound",
    410: "Expired",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole page."""

    status: int
    body: bytes
    content_type: str = TEXT
    headers: Headers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """A page that is sent as it is read; `size` None: until it ends, and an empty piece: nothing yet."""

    chunks: Iterator[bytes]
    close: Callable[[], None]
    size: int | None
    content_type: str = TEXT
    headers: Headers = field(default_factory=dict)


def as_json(value: object, headers: Headers | None = None) -> Reply:
    """Return `value` as JSON. Names that are not UTF-8 become escapes that Python reads back (surrogateescape)."""
    return Reply(200, json.dumps(value).encode() + b"\n", JSON, headers or {})


def error(status: int, line: str) -> Reply:
    """Return an error as JSON: one line with the remedy, in the API server's form too, so that kubectl shows it."""
    form = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status, "reason": _REASONS[status]}
    return Reply(status, json.dumps({"error": line, "message": line, **form}).encode() + b"\n", JSON)
