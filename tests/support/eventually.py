"""Waits for a condition with a deadline; the only way in which tests wait."""

import threading
import time
from collections.abc import Callable
from typing import Literal, TypeVar

Value = TypeVar("Value")


def eventually(
    look: Callable[[], Value | Literal[False] | None], deadline: float = 20.0, *, every: float = 0.02
) -> Value:
    """Return the first true value of `look`; AssertionError when the deadline (seconds) passes before."""
    end = time.monotonic() + deadline
    while not (value := look()):
        assert time.monotonic() < end, f"did not happen within {deadline:g} s; last seen: {value!r}"
        threading.Event().wait(every)
    return value
