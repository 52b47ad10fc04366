"""POST /wake/NAME: a stage's launcher or a build says that it is done, so that its requests are looked at now.

A call proves nothing and can do no more than an event of the cluster does, so it needs no password; how many count is
bounded, for each address and in all, and so is what is read of it. One that is lost costs the time until the cluster
has noticed. It has a port of its own: callers read nothing there, and no flood of them takes a place from a probe.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from starlette.types import Receive, Scope, Send

from controller.adapters.web.listener import Limits, Listener
from controller.adapters.web.rate import PerSecond
from controller.adapters.web.replies import Reply, Room, Whole

PREFIX: Final = "/wake/"
CALLS: Final = 10  # of one address in a second: a pod calls once, but all of a node may come from its address
LIMIT: Final = 1.0  # seconds for a call to be read: a launcher waits half of one
THREADS: Final = 4  # that look who waits
BYTES: Final = 1024  # of a call; names have 63


class Bell:
    """Passes calls on to `wake`, which returns whether anything waits for a name. Safe to use from many threads.

    `on_call` receives the status of each answer.
    """

    def __init__(
        self, wake: Callable[[str], bool], on_call: Callable[[int], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wake, self._on_call, self._rate = wake, on_call, PerSecond(CALLS, clock)

    def ring(self, address: str, path: str) -> Reply:
        """Wake what waits for the name in the path; return the answer to the call."""
        if not self._rate.admits(address):
            reply = Reply(429, b"too many calls\n")
        elif path.startswith(PREFIX) and self._wake(path.removeprefix(PREFIX)):
            reply = Reply(202, b"ok\n")
        else:
            reply = Reply(404, b"nothing waits for that\n")
        self._on_call(reply.status)
        return reply


class WakeServer(Listener):
    """Serves in threads of its own from `start` until `stop`."""

    def __init__(self, port: int, wake: Callable[[str], bool], on_call: Callable[[int], None]) -> None:
        """Listen on the port (0: any free one); see Bell. Raises OSError."""
        self._bell, self._room = Bell(wake, on_call), Room(THREADS)
        super().__init__("wake", ("", port), self._call, Limits(LIMIT, BYTES))

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call. What it carries is not read."""
        if scope["method"] == "POST":
            reply = await self._room.run(self._bell.ring, scope["client"][0], scope["path"])
        else:
            reply = Reply(405, b"only POST\n", headers={"Allow": "POST"})  # RFC 9110
        await Whole(replace(reply, headers={**reply.headers, "Connection": "close"}))(scope, receive, send)
