"""The HTTP port: signs of life for a kubelet and a scraper, what runs left behind, and the page. Only read.

On another port calls wake the controller.
"""

from controller.adapters.web.api import API_ROOM, FOLLOWERS
from controller.adapters.web.listener import CONNECTIONS, READ_TIMEOUT
from controller.adapters.web.ports import Live, LiveRequest, Site
from controller.adapters.web.server import WebServer
from controller.adapters.web.wake import WakeServer

__all__ = [
    "API_ROOM", "CONNECTIONS", "FOLLOWERS", "READ_TIMEOUT", "Live", "LiveRequest", "Site", "WakeServer", "WebServer",
]  # fmt: skip
