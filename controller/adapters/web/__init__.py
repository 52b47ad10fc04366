"""The HTTP port: signs of life for a kubelet and a scraper, and what runs left behind. Only read.

On another port calls wake the controller.
"""

from controller.adapters.web.api import API_ROOM, FOLLOWERS
from controller.adapters.web.listener import CONNECTIONS, READ_TIMEOUT
from controller.adapters.web.server import WebServer
from controller.adapters.web.wake import WakeServer

__all__ = ["API_ROOM", "CONNECTIONS", "FOLLOWERS", "READ_TIMEOUT", "WakeServer", "WebServer"]
