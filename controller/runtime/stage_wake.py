"""The call that wakes the controller once an attempt has ended well: it says nothing, and its answer proves nothing.

The controller then looks for the outcome on the volume. Without the call it looks when the kubelet and the Job
controller have noticed the end, some seconds later.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Any


def call(address: str, limit: float) -> bytes:
    """POST to `address`, HOST:PORT/PATH, each step in at most `limit` seconds; return how the answer begins.

    Raises OSError.
    """
    place, _, path = address.partition("/")
    host, _, port = place.rpartition(":")
    name: Any = host.strip("[]").encode()  # for a name that is text Python loads its tables of Unicode
    with socket.create_connection((name, int(port)), limit) as connection:
        connection.sendall(f"POST /{path} HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
        return connection.recv(100)  # it has arrived
