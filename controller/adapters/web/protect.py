"""What every answer has in common: it is only read, and says what a browser may do with it."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.adapters.web.replies import Reply, Whole

HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
"""Of every answer that does not state its own."""


class ReadOnly:
    """The ASGI application that lets another one be read only, with the headers that protect its readers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=(raw := list(message["headers"])))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                message = {**message, "headers": raw}
            await send(message)

        if scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, protected)
        else:
            reply = Reply(405, b"only GET and HEAD\n", headers={"Allow": "GET, HEAD"})  # RFC 9110
            await Whole(reply)(scope, receive, protected)
