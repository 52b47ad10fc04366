"""What stands before a page on a person's own machine: nobody but the browser that she opened gets past it.

A listening port is open to every program and, by way of a browser, to every web page: one that has its own name lead to
127.0.0.1 (DNS rebinding) sends that name as Host, and is refused; all others lack the token, which is random, and in
the address that is opened; a cookie that no script can read takes its place.
"""

import hmac
import secrets
import time
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from controller.adapters.web.listener import Listener
from controller.adapters.web.protect import ReadOnly
from controller.adapters.web.replies import Reply, Whole

LOOPBACK: Final = "127.0.0.1"
PARAMETER: Final = "token"
SOON: Final = 60.0  # seconds


class OwnPage(Listener):
    """An application on this machine alone, until `stop`."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        """Listen on the port of 127.0.0.1 (0: any free one). Raises OSError."""
        self._app, self._token = app, secrets.token_urlsafe(24)
        self._once: dict[str, float] = {}  # tokens that serve once, with when they expire
        super().__init__("page", (LOOPBACK, port), ReadOnly(self._guarded), dated=False)

    @property
    def address(self) -> str:
        """The page's root, as others may know it."""
        return f"http://{LOOPBACK}:{self.port}/"

    def opened(self, path: str = "", *, once: bool = False) -> str:
        """Return the address that lets a browser in. `once`: one that serves once, and soon.

        All users of a machine may read what programs are started with.
        """
        token = self._token
        if once:
            self._once[token := secrets.token_urlsafe(24)] = time.monotonic() + SOON
        return f"{self.address}{path}?{urlencode({PARAMETER: token})}"

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        cookie = f"coachwork-{self.port}"  # cookies do not tell ports apart
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if request.headers.get("host") not in {f"{name}:{self.port}" for name in (LOOPBACK, "localhost")}:
            app: ASGIApp = Whole(Reply(403, b"unknown host: open the address that coachwork printed\n"))
        elif self._lets_in(dict(pairs).get(PARAMETER, "")):
            rest = urlencode([(name, value) for name, value in pairs if name != PARAMETER])
            path = f"/{scope['raw_path'].decode('latin-1').lstrip('/')}"  # two slashes would lead to another host
            app = Response(status_code=303, headers={"Location": f"{path}?{rest}" if rest else path})
            app.set_cookie(cookie, self._token, httponly=True, samesite="lax")
        elif self._is_token(request.cookies.get(cookie, "")):
            app = self._app
        else:
            app = Whole(Reply(403, b"not for this browser: open the address that coachwork printed\n"))
        await app(scope, receive, send)

    def _lets_in(self, text: str) -> bool:
        return self._is_token(text) or self._once.pop(text, 0.0) > time.monotonic()

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())
