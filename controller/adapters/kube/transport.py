"""HTTP to the API server: JSON in, JSON out, with time and size limits. The client does credentials and TLS.

Nothing is tried again here: the client's own retries and redirects are off, since the work queue's back-off decides.
"""

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import urllib3
from urllib3.exceptions import HTTPError

from controller.adapters.kube import translate
from controller.adapters.kube.limit import Limit
from controller.adapters.kube.login import nobody
from controller.core.errors import Transient
from controller.core.model import Object

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

OnCall: TypeAlias = Callable[[str, str, int, float], None]
"""Called for each call: RBAC verb, resource, HTTP code (0: no answer), seconds until the answer began."""

Pair: TypeAlias = tuple[str, str]

Failure: TypeAlias = Callable[[translate.Answer], Exception]
"""Returns the error for an answer of 300 and above."""

ANSWER_LIMIT = 128 * 1024 * 1024  # bytes; a page of a hundred ConfigMaps of 1 MiB each fits
LINE_LIMIT = 16 * 1024 * 1024  # bytes of one watch event; etcd takes objects of 1.5 MiB
CHUNK = 64 * 1024
QUESTIONS = ("selfsubjectaccessreviews",)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds. `silence` ends a watch that says nothing: bookmarks come each minute."""

    connect: float = 5.0
    read: float = 30.0
    silence: float = 100.0


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request; `verb` and `resource` as RBAC and the metrics name them."""

    verb: str
    resource: str
    method: str
    path: str
    query: tuple[Pair, ...] = ()
    body: Object | list[Object] | None = None
    content_type: str = "application/json"
    accept: str = "application/json"
    kinds: tuple[str, ...] = ()  # one of them is what is answered; (): whatever it is
    headers: tuple[Pair, ...] = field(default=(), repr=False)  # they may hold a secret

    @property
    def writes(self) -> bool:
        """Return whether it changes anything: a question that is posted does not, nor does a dry run."""
        return self.method != "GET" and self.resource not in QUESTIONS and ("dryRun", "All") not in self.query


class LineStream:
    """The answer to a watch: its lines as they come. `abort` may be called from another thread."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        """Return each line. Raises Transient where the stream breaks off, falls silent or has no end of line."""
        rest = b""
        try:
            for chunk in self._response.stream(CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line for line in lines if line.strip())
                if len(rest) > LINE_LIMIT:
                    raise Transient("ApiUnavailable", "API server: a watch event beyond 16 MiB")
        except (HTTPError, OSError) as error:
            raise translate.unreachable(error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Drop the connection: a watch can't be used again."""
        self._response.close()

    def abort(self) -> None:
        """End a read that is under way."""
        _abort(self._response)


def _abort(response: urllib3.BaseHTTPResponse) -> None:
    with suppress(ValueError, RuntimeError, OSError):  # it has ended by itself in the meantime
        response.shutdown()


class Body:
    """An answer's bytes as they come: to be iterated over, or read like a file. A `with` block gives it up."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response, self.headers = response, response.headers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Drop the connection: it can't be used again."""
        self._response.close()

    def __iter__(self) -> Iterator[bytes]:
        """Return what has come, as soon as it has. Raises Transient where it breaks off or falls silent."""
        while chunk := self._read(self._response.read1, CHUNK):
            yield chunk

    def read(self, size: int) -> bytes:
        """Return at most so many bytes, none at the end. Raises as iterating."""
        return self._read(self._response.read, size)

    @staticmethod
    def _read(read: Callable[[int], bytes], size: int) -> bytes:
        try:
            return read(size)
        except (HTTPError, OSError) as error:
            raise translate.unreachable(error) from error


class Forwarded(Body):
    """An answer as it is, whatever its status. `abort` may be called from another thread."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        super().__init__(response)
        self.status = response.status

    def abort(self) -> None:
        """End a read that is under way."""
        _abort(self._response)

    def close(self) -> None:
        """Drop the connection: it can't be used again."""
        self._response.close()


class Transport:
    """One API server, with one set of credentials. Safe to use from many threads.

    `fence` raises NotYet where no write may be sent; it is asked last, after what a call waits for.
    """

    def __init__(
        self,
        client: "ApiClient",
        on_call: OnCall,
        timeouts: Timeouts,
        limit: Limit | None = None,
        fence: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._on_call = on_call
        self._timeouts = timeouts
        self._limit = limit or Limit()
        self._fence = fence

    def call(self, call: Call) -> Object:
        """Make one call and return the object answered. Raises what `translate` says."""
        return self.call_for_headers(call)[0]

    def call_for_headers(self, call: Call) -> tuple[Object, urllib3.HTTPHeaderDict]:
        """Make one call and return the object answered with the answer's headers. Raises what `translate` says."""
        with self._limit.turn():
            if call.writes:
                self._fence()
            response = self._send(call, self._timeouts.read)
            body = self._read(response)
        try:
            value: Any = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Transient("ApiUnavailable", "API server: the answer is not JSON") from error
        if not isinstance(value, dict):
            raise Transient("ApiUnavailable", "API server: the answer is not an object")
        if call.kinds and value.get("kind") not in call.kinds:
            raise Transient("ApiUnavailable", f"API server: the answer is not a {call.kinds[0]}")
        return value, response.headers

    def lines(self, call: Call) -> LineStream:
        """Begin a watch. Raises what `translate` says."""
        return LineStream(self._send(call, self._timeouts.silence))

    def body(self, call: Call, failure: Failure, silence: float) -> Body:
        """Make one call whose answer is not an object; `failure` makes the error for an answer of 300 and above.

        `silence`: seconds within which the next bytes come.
        """
        return Body(self._send(call, silence, failure))

    def forwarded(
        self, call: Call, failure: Callable[[translate.Answer], Exception | None], silence: float
    ) -> Forwarded:
        """Make one call and return its answer as it is, unless `failure` has an error for one of 400 and above.

        `silence`: seconds within which the next bytes come.
        """
        response = self._request(call, silence)
        json_like = response.headers.get("Content-Type", "").startswith(("application/json", "text/plain"))
        if response.status >= 400 and json_like:  # noqa: PLR2004 - the range of HTTP
            body = self._read(response)
            if error := failure(translate.answer(response.status, response.headers, body)):
                raise error
            response = urllib3.HTTPResponse(io.BytesIO(body), response.headers, response.status, preload_content=False)
        return Forwarded(response)

    def without_credentials(self, timeouts: Timeouts) -> "Transport":
        """Return a way to the same server as nobody: what a call may do is up to the headers that it brings."""
        return Transport(nobody(self._client), lambda *_: None, timeouts)

    def close(self) -> None:
        """Drop the idle connections."""
        self._client.close()  # type: ignore[no-untyped-call]  # the client is typed in part

    def _send(self, call: Call, read_timeout: float, failure: Failure = translate.failure) -> urllib3.BaseHTTPResponse:
        """Send, and return the answer with its body unread; report it to `on_call`."""
        code, began = 0, time.monotonic()
        try:
            response = self._request(call, read_timeout)
            code = response.status
        finally:
            self._on_call(call.verb, call.resource, code, time.monotonic() - began)
        if 200 <= code < 300:  # noqa: PLR2004 - the range of HTTP
            return response
        body = self._read(response)
        raise failure(translate.answer(code, response.headers, body))

    def _request(self, call: Call, read_timeout: float) -> urllib3.BaseHTTPResponse:
        """Send by the client, whose own errors are translated."""
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - the client costs 320 ms to import
        from kubernetes.config import ConfigException  # noqa: PLC0415

        headers = {"Accept": call.accept, "Content-Type": call.content_type, **dict(call.headers)}
        try:
            method, url, headers, _, _ = self._client.param_serialize(
                call.method, call.path, query_params=list(call.query), header_params=headers,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            timeouts = (self._timeouts.connect, read_timeout)
            answer: urllib3.BaseHTTPResponse = self._client.call_api(
                method, url, headers, call.body, _request_timeout=timeouts
            ).response
        except ConfigException as error:
            raise Transient("Unauthorized", "the credentials for the API server can't be read") from error
        except ApiException as error:  # with status 0 only: the client's wrapper around a failed TLS handshake
            raise translate.unreachable(error.__context__ or error) from error  # type: ignore[arg-type]
        except (HTTPError, OSError) as error:
            raise translate.unreachable(error) from error
        return answer

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Read a whole answer within the limits of size and time."""
        body, size, end = [], 0, time.monotonic() + 2 * self._timeouts.read
        try:
            for chunk in response.stream(CHUNK):
                body.append(chunk)
                size += len(chunk)
                if size > ANSWER_LIMIT or time.monotonic() > end:
                    raise Transient("ApiUnavailable", "API server: an answer too large or too slow")
        except (HTTPError, OSError) as error:
            raise translate.unreachable(error) from error
        finally:
            if not response.closed and response.connection is not None:
                response.close()  # half-read: the connection can't be used again
        return b"".join(body)
