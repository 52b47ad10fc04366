"""Somebody who may read the controller's pages."""

from typing import Literal

TOKEN = "t0ken-of-a-reader"
SHOWN = {"X-Coachwork-Token": TOKEN}


def may_read(token: str) -> Literal["yes", "unknown"]:
    """Return what the API server says about a token."""
    return "yes" if token == TOKEN else "unknown"
