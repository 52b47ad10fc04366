"""The HTTP port: signs of life for a kubelet and a scraper, and what runs left behind. Only read."""

from controller.adapters.web.api import API_ROOM, FOLLOWERS
from controller.adapters.web.server import CONNECTIONS, READ_TIMEOUT, WebServer

__all__ = ["API_ROOM", "CONNECTIONS", "FOLLOWERS", "READ_TIMEOUT", "WebServer"]
