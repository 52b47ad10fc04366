"""Who may read: a reader shows a token, and the API server says what its bearer may do.

The controller asks with that token, so that it needs no right of its own to judge others'. Every page is behind this;
a few signs of life are not. An answer is kept for a while by the token's hash: the API server is asked once a minute
for a reader, and those who read go on for that long while it is away.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from controller.adapters.web.rate import PerSecond
from controller.adapters.web.replies import Full, Reply, Room, Whole, error
from controller.core.errors import Transient

HEADER: Final = "x-coachwork-token"  # the API server's proxies keep `Authorization` to themselves
TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,8192}")  # RFC 6750
GOOD_SECONDS: Final = 60.0
BAD_SECONDS: Final = 10.0  # a right that was just given is seen soon
AWAY_SECONDS: Final = 2.0  # between two questions while the API server does not answer
KEPT: Final = 1000  # answers of each kind
QUESTIONS: Final = 50  # of one address in a second: all readers may come from the API server's
ASKING: Final = 7  # at once: a browser opens six connections
Answer: TypeAlias = Literal["yes", "no", "unknown"]
MayRead: TypeAlias = Callable[[str], Answer]
"""Returns whether the bearer of a token may read; unknown: whose it is. Raises Transient."""

WITHOUT: Final = (
    "no token: the commands of the controller's release bring one; others send what "
    "`kubectl create token coachwork-reader` prints as X-Coachwork-Token"
)
REFUSALS: Final[Mapping[Answer, tuple[int, str]]] = MappingProxyType({
    "unknown": (401, "the API server does not accept this token: get another one, it may have expired"),
    "no": (403, "whose token this is has no right to get services/proxy http:coachwork:http in this namespace"),
})  # fmt: skip


class Kept:
    """So many answers, by key, for so many seconds since the question."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._all: dict[bytes, tuple[float, Answer]] = {}  # oldest first

    def put(self, key: bytes, asked: float, answer: Answer) -> None:
        """Keep the answer to what was asked then, in place of the oldest where there are too many."""
        self._all.pop(key, None)
        while len(self._all) >= KEPT:
            del self._all[next(iter(self._all))]
        self._all[key] = asked, answer

    def get(self, key: bytes, now: float) -> Answer | None:
        """Return the answer, None where there is none any more."""
        asked, answer = self._all.get(key, (float("-inf"), None))
        return answer if now - asked < self._seconds else None


class Readers:
    """The ASGI application that shows another one to those who may read it; the `public` paths to everybody.

    `on_refusal` receives the status of each refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        public: Collection[str],
        may_read: MayRead,
        on_refusal: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._public, self._may_read, self._on_refusal = app, public, may_read, on_refusal
        self._clock, self._room, self._rate = clock, Room(ASKING), PerSecond(QUESTIONS, clock)
        self._lock = threading.Lock()
        self._good, self._bad = Kept(GOOD_SECONDS), Kept(BAD_SECONDS)  # apart: refusals push no reader out
        self._away: tuple[float, Transient] | None = None  # since when the API server does not answer, and why

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        refusal = None if scope["path"] in self._public else await self._refusal(scope)
        if refusal:
            self._on_refusal(refusal.status)
            await Whole(refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Reply | None:
        """Return what is said to a reader who may not read."""
        token = shown(Headers(scope=scope))
        if not TOKEN.fullmatch(token):
            return _refused(401, WITHOUT)
        key = hashlib.sha256(token.encode()).digest()
        answer = self._known(key)
        if answer is None and not self._rate.admits(scope["client"][0] if scope["client"] else ""):
            return error(429, f"more than {QUESTIONS} unknown tokens within a second: try again later")
        try:
            answer = answer or await self._asked(key, token)
        except Full:
            return error(429, f"{ASKING} tokens are being looked at already: try again later")
        except Transient as failed:
            return error(503, f"who may read can't be found out: {failed}; try again later")
        return None if answer == "yes" else _refused(*REFUSALS[answer])

    async def _asked(self, key: bytes, token: str) -> Answer:
        with self._room.place():
            return await self._room.run(self._ask, key, token)

    def _known(self, key: bytes) -> Answer | None:
        now = self._clock()
        with self._lock:
            return self._good.get(key, now) or self._bad.get(key, now)

    def _ask(self, key: bytes, token: str) -> Answer:
        """Return the API server's answer, which is kept. Raises Transient."""
        asked = self._clock()
        with self._lock:
            if self._away and asked - self._away[0] < AWAY_SECONDS:
                raise Transient(self._away[1].reason, str(self._away[1]))
        try:
            answer = self._may_read(token)
        except Transient as failed:
            with self._lock:
                self._away = self._clock(), failed
            raise
        with self._lock:
            self._away = None
            (self._good if answer == "yes" else self._bad).put(key, asked, answer)
        return answer


def _refused(status: int, line: str) -> Reply:
    return replace(error(status, line), headers={"WWW-Authenticate": "Bearer"})  # RFC 9110, RFC 6750


def shown(headers: Headers) -> str:
    """Return the token that a request shows, "" for none."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return headers.get(HEADER, "") or (bearer.strip() if scheme.lower() == "bearer" else "")
