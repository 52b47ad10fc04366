"""In each stage's Python on a laptop: a hard-coded port is moved, and a service's cluster name leads to this machine.

Python imports a module of this name at its start (https://docs.python.org/3/library/site.html). The map is in
COACHWORK_LOCAL_MAP: {"bind": {"5000": 45001}, "hosts": {"iris--serve": {"5000": 45001}}}. Standard library, Python
3.8 or later. It reaches what goes through Python's `socket` (Flask, uvicorn, gunicorn, requests, httpx, asyncio); what
binds or looks up in C by itself (uvloop, grpc) has to use PORT and COACHWORK_URL_<STAGE>. A sitecustomize of the
project's own comes first on the path, and is the only one then.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any, Dict

HERE = os.path.dirname(os.path.abspath(__file__))
LOOPBACK = "127.0.0.1"


def install(moves: Dict[str, Any]) -> None:
    """Patch the `socket` module by this map."""
    moved = {int(declared): given for declared, given in moves.get("bind", {}).items()}
    hosts = moves.get("hosts", {})
    bind, look_up = socket.socket.bind, socket.getaddrinfo

    def bind_moved(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and len(address) > 1 and address[1] in moved:
            address = (address[0], moved[address[1]], *address[2:])
            # Else its last connections keep the port from the next run for a minute.
            if self.type == socket.SOCK_STREAM:
                self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bind(self, address)

    def look_up_here(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        ports = hosts.get(name.split(".")[0]) if isinstance(name, str) else None
        if ports is not None:
            host, port = LOOPBACK, ports.get(str(port), port)
        return look_up(host, port, *args, **kwargs)

    socket.socket.bind = bind_moved  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = look_up_here


def hand_on() -> None:
    """Import the sitecustomize that this one hides, if there is another."""
    path = list(sys.path)
    sys.path[:] = [entry for entry in path if os.path.abspath(entry or ".") != HERE]
    mine = sys.modules.pop("sitecustomize", None)
    try:
        __import__("sitecustomize")
    except ImportError:
        if mine is not None:
            sys.modules["sitecustomize"] = mine
    finally:
        sys.path[:] = path


if os.environ.get("COACHWORK_LOCAL_MAP"):
    try:
        install(json.loads(os.environ["COACHWORK_LOCAL_MAP"]))
    except ValueError as error:
        sys.stderr.write("coachwork: COACHWORK_LOCAL_MAP is not JSON: %s\n" % error)
hand_on()
