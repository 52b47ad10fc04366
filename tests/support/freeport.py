"""A port for a server that a test starts later, perhaps in another process."""

import secrets
import socket

BELOW_CONNECTIONS = range(20_000, 32_000)  # Linux gives connections, and servers that name no port, those above


def free_port() -> int:
    """Return a port on which nothing listens; no other test is given it by chance before it is listened on."""
    while True:
        port = secrets.choice(BELOW_CONNECTIONS)  # `random` has the same seed in all that run at once
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
