"""The lines of code that run in a block."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def traced(is_of: Callable[[str], bool], at_line: Callable[[FrameType], object]) -> Iterator[None]:
    """Call `at_line` before each line that runs in the block, in functions that begin in it and whose file `is_of`."""

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "call" and not is_of(frame.f_code.co_filename):
            return None
        if event == "line":
            at_line(frame)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
