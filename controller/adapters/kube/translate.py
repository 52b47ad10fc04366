"""The one table from what the API server (or the way to it) says to the errors that the core knows.

Sentences are one line, bounded, and the same for the same cause: they end up in a status that must not flap.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3.exceptions as http

from controller.core.errors import AlreadyExists, Conflict, Expired, NotYet, Refused, Transient
from controller.core.text import clean

SENTENCE = 300  # characters of a server's sentence that are kept
LONGEST_WAIT = 300.0  # seconds: a Retry-After beyond it is not believed
TERMINATING_DELAY = 10.0  # seconds between looks at a namespace that goes away

_TRANSPORT: tuple[tuple[type[Exception], str], ...] = (
    (http.SSLError, "TLS failed: the certificate is not the one expected"),
    (http.NameResolutionError, "its host name does not resolve"),
    (http.NewConnectionError, "connection refused"),
    (http.ConnectTimeoutError, "no connection within the time limit"),
    (http.ReadTimeoutError, "no answer within the time limit"),
    (http.ProxyError, "the proxy on the way to it failed"),
    (http.ProtocolError, "the connection broke"),
)


# A 500 that says nothing about the object: etcd or a webhook is away. The others (a duplicate key met by an apply)
# come back for ever, so that the reconciler gives up on them.
_PASSING = ("etcdserver:", "rpc error:", "context deadline exceeded", "storage is (re)initializing")


class ObjectGone(Conflict):
    """No such object (404): to a read an answer, to a delete success, to other writes a stale view."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to a call that failed: HTTP code, Retry-After, and its Status where it sent one."""

    code: int
    retry_after: float | None
    status: Mapping[str, Any]

    @property
    def own(self) -> bool:
        """Return whether the API server itself said so: what a load balancer in front of it says proves nothing."""
        return self.status.get("kind") == "Status"

    @property
    def reason(self) -> str:
        """Return the Status's reason, such as AlreadyExists."""
        return str(self.status.get("reason", ""))

    @property
    def sentence(self) -> str:
        """Return the server's sentence in one bounded line."""
        return clean(str(self.status.get("message") or f"HTTP {self.code}"), SENTENCE)

    def detail(self, key: str) -> str:
        """Return one entry of the Status's details."""
        return str(_mapping(self.status.get("details")).get(key, ""))

    def caused_by(self, key: str, value: str) -> bool:
        """Return whether one of the Status's causes has this value for this key."""
        causes = _mapping(self.status.get("details")).get("causes")
        return any(_mapping(cause).get(key) == value for cause in causes) if isinstance(causes, list) else False


def answer(code: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Read an answer; a body that is not a Status (a proxy's page) is left out."""
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        status = None
    wish = headers.get("Retry-After") or ""
    retry_after = min(float(wish), LONGEST_WAIT) if wish.isascii() and wish.isdigit() else None
    return Answer(code, retry_after, _mapping(status))


def failure(said: Answer) -> Exception:  # noqa: C901, PLR0911, PLR0912 - it is the table
    """Return the error for an answer of 300 and above."""
    match said.code:
        case 401:
            return Transient("Unauthorized", "the API server does not accept the credentials")
        case 400 | 403 | 404 | 405 | 406 | 409 | 415 | 422 if not said.own:  # "not found" would lose a request's runs
            return Transient("ApiUnavailable", f"API server: HTTP {said.code}, and not from the API server itself")
        case 403 if said.caused_by("reason", "NamespaceTerminating"):
            return NotYet(TERMINATING_DELAY, "the namespace is being deleted")
        case 403:
            return Refused(said.sentence, forbidden=True)
        case 404 if said.detail("kind") == "namespaces":
            return NotYet(TERMINATING_DELAY, "the namespace does not exist")
        case 409 if said.reason == "AlreadyExists":
            return AlreadyExists(said.sentence)
        case 410:
            return Expired(said.sentence)
        case 404:
            return ObjectGone(said.sentence)
        case 409:
            return Conflict(said.sentence)
        case 422 if said.caused_by("field", "metadata.uid"):  # an apply with another object's uid; not 409 [T]
            return Conflict(said.sentence)
        case 429 | 503:
            return Transient("ApiOverloaded", _refusal(said), retry_after=said.retry_after)
        case 500 if said.reason == "InternalError" or said.sentence.startswith(_PASSING):
            return Transient("ApiUnavailable", _refusal(said), retry_after=said.retry_after)
        case code if code in {408, 502, 504} or not (400 <= code < 500 or said.own):  # noqa: PLR2004 - HTTP
            return Transient("ApiUnavailable", _refusal(said), retry_after=said.retry_after)
        case code if 400 <= code < 500:  # noqa: PLR2004 - the range of HTTP
            return Refused(said.sentence, forbidden=False)
        case _:
            return Transient("ServerError", _refusal(said), retry_after=said.retry_after)


def unreachable(error: Exception) -> Transient:
    """Return the error for a call that got no answer."""
    for kind, sentence in _TRANSPORT:
        if isinstance(error, kind):
            return Transient("ApiUnavailable", f"API server: {sentence}")
    return Transient("ApiUnavailable", f"API server: {type(error).__name__}")


def _refusal(said: Answer) -> str:
    """Return the sentence for an answer that is the server's own trouble."""
    return f"API server: HTTP {said.code}: {said.sentence}" if said.status else f"API server: HTTP {said.code}"


def _mapping(value: object) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}
