"""What every input ends in: a value, or one of our errors in words that fit a line, soon, and in little memory."""

import re
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from controller.core.errors import Invalid, NotYet, Refused, Transient
from controller.core.inputs.kinds import PROBLEM_LIMIT

SECONDS = 3.0  # of computing, for one input, which targets read up to three times: a second for each
HANGS = 20.0  # seconds of computing after which an input is given up
MEGABYTES = 128  # that one input may take more than all before it
LINE = 1024  # characters of a line: what a record holds of a message


class Defect(Exception):
    """An input that has shown a defect, and which."""

    def __init__(self, value: Any, why: str) -> None:
        super().__init__(why)
        self.value, self.why = value, why

    @property
    def place(self) -> str:
        """Where the code gave up, "" where it did not."""
        frames = traceback.extract_tb(self.__cause__.__traceback__) if self.__cause__ else ()
        return "\n  ".join(f"{frame.filename}:{frame.lineno}: {frame.line}" for frame in frames[-3:]) or self.why[:20]


def judged(work: Callable[[Any], Iterable[str] | None], value: Any) -> None:
    """Do the work on an input. Raises Defect."""
    before, began = _peak(), time.process_time()
    try:
        with _given_up_after(HANGS):
            said = list(work(value) or ())
    except Invalid as refused:
        said = [*refused.lines]
        if not (said and len(said) <= 2 * PROBLEM_LIMIT + 2 and re.fullmatch(r"[A-Z][A-Za-z]+", refused.reason)):
            raise Defect(value, f"{refused.reason} with {len(said)} lines") from refused
    except (NotYet, Refused, Transient) as refused:
        said = [str(refused)]
    except (Exception, SystemExit) as error:
        raise Defect(value, f"{type(error).__name__}: {str(error)[:500]}") from error
    spent, more = time.process_time() - began, _peak() - before
    wrong = [line for line in said if not line.strip() or len(line) > LINE or not line.isprintable()]
    if wrong:
        raise Defect(value, f"this is said: {wrong[0]!r:.500}")
    if spent > SECONDS or more > MEGABYTES:
        raise Defect(value, f"took {spent:.1f} s of computing, and {more} MB more than anything before")


def forget_peak() -> None:
    """Let the peak of memory begin at what is used now, where Linux lets us."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@contextmanager
def _given_up_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in what computes for so long."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"computes for {seconds:g} s and more")

    usual = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, usual)
