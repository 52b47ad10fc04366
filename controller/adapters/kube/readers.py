"""Who may read the controller's pages: commands get a token for it, and the controller has the API server judge it.

The token is that of a ServiceAccount which may do nothing but get the controller's pages through the API server, for a
few minutes: it is no use to anybody who picks it up, as a person's own credentials would be. Who may create such
tokens may read.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal, TypeVar
from urllib.parse import quote

from controller.adapters.kube.examine import allowed
from controller.adapters.kube.translate import ObjectGone
from controller.adapters.kube.transport import Call, Pair, Timeouts, Transport
from controller.core.errors import NotYet, Refused, Transient

ACCOUNT: Final = "coachwork-reader"
SERVICE: Final = "http:coachwork:http"  # of the controller, as the API server's service proxy names it
HEADER: Final = "X-Coachwork-Token"  # the API server's proxy keeps `Authorization` to itself
SECONDS: Final = 600  # that a token is good for: the shortest that the API server grants
EARLY: Final = 0.8  # of that, after which another one is due
UNKNOWN: Final = "TokenUnknown"  # the reason where the controller does not accept one
TIMEOUTS: Final = Timeouts(connect=3.0, read=5.0)  # of a question about a reader, who waits for it

T = TypeVar("T")


class Token:
    """The token with which a person reads, renewed in time. Safe to use from many threads."""

    def __init__(self, transport: Transport, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/serviceaccounts/{ACCOUNT}/token"
        form = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        body = {**form, "spec": {"expirationSeconds": SECONDS}}
        self._call = Call("create", "serviceaccounts/token", "POST", path, body=body, kinds=("TokenRequest",))
        self._transport, self._clock, self._lock = transport, clock, threading.Lock()
        self._namespace = namespace
        self._headers: tuple[Pair, ...] = ()
        self._until = float("-inf")
        self._refused: Refused | NotYet | ObjectGone | None = None

    def shown(self, call: Call, send: Callable[[Call], T]) -> T:
        """Send a call that shows it; again, with another one, where the controller does not know it. Raises Transient.

        Where none can be made the call goes without: a controller of 0.1.0 wants none.
        """
        try:
            return send(replace(call, headers=self._current()))
        except Transient as error:
            if error.reason != UNKNOWN:
                raise
            with self._lock:
                self._until = float("-inf")
            headers = self._current()
            if self._refused:
                raise Transient("Forbidden", self._why(self._refused)) from error
        return send(replace(call, headers=headers))

    def _current(self) -> tuple[Pair, ...]:
        """Return the header that shows it, none where the API server refuses to make one. Raises Transient."""
        with self._lock:
            asked = self._clock()
            if asked >= self._until:
                self._headers, self._refused = (), None
                try:
                    answer = self._transport.call(self._call)
                except (ObjectGone, Refused, NotYet) as refused:
                    self._refused = refused
                else:
                    seconds = float((answer.get("spec") or {}).get("expirationSeconds") or SECONDS)
                    self._headers = ((HEADER, str((answer.get("status") or {}).get("token") or "")),)
                    self._until = asked + EARLY * seconds
            return self._headers

    def _why(self, refused: Refused | NotYet | ObjectGone) -> str:
        """Return in one line why there is none, and what to do."""
        if isinstance(refused, Refused):
            return (
                f"no right to create serviceaccounts/token of {ACCOUNT} in namespace {self._namespace}: ask its "
                "administrator to bind you to the Role coachwork-user"
            )
        return (
            f"no ServiceAccount {ACCOUNT} in namespace {self._namespace}: apply deploy/ of the controller's release "
            "(kubectl apply -k)"
        )


class Judge:
    """Asks, as the bearer of a token, what that one may do."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        """`transport` leads to the API server without credentials."""
        self._transport, self._namespace = transport, namespace

    def may_read(self, token: str) -> Literal["yes", "no", "unknown"]:
        """Return whether its bearer may get the controller's pages; unknown: whose it is. Raises Transient."""
        bearer = (("Authorization", f"Bearer {token}"),)
        question = ("", "services/proxy"), "get"
        try:
            return "yes" if allowed(self._transport, self._namespace, question, SERVICE, bearer) else "no"
        except (Refused, NotYet):
            return "no"
        except Transient as error:
            if error.reason != "Unauthorized":
                raise
            return "unknown"
