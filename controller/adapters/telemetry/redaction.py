"""Secrets are hidden in what is logged, and no value makes a line endless.

What names itself a password, token or secret is hidden, and what stands in a URL before its host.
"""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from structlog.typing import EventDict, WrappedLogger

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
