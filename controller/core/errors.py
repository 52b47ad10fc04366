"""The three kinds of error that a pass can end with, and what a single write can meet. Anything else is a defect.

Each adapter translates foreign errors into these once, in one table (after fluxcd/source-controller's
`internal/error`); only the worker boundary logs and counts them.
"""

from collections.abc import Callable, Iterable

WARNING = "warning: "  # before a warning among problems
TRIED_AGAIN = "; it is tried again"  # what Git's errors say; taken away where it is tried for a while only, or once
VOLUME_FULL = "VolumeFull"  # the reason of errors that room on the shared volume mends


class Invalid(Exception):
    """Only the user can mend it: recorded with all its problems, not tried again until something changes.

    The reason is CamelCase; each problem is a line with the place, the cause and the remedy.
    """

    def __init__(self, reason: str, problems: Iterable[str], warnings: Iterable[str] = ()) -> None:
        self.reason = reason
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__("; ".join(self.problems))

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, a line each: warnings after the problems, since a near miss is often what explains one."""
        return (*self.problems, *(f"{WARNING}{line}" for line in self.warnings))


class NotYet(Exception):
    """Nothing is wrong, but the world is not there yet: come back after `delay` seconds."""

    def __init__(self, delay: float, message: str) -> None:
        self.delay = delay
        super().__init__(message)


class Busy(NotYet):
    """Another pass is at what this one needs: come back when that is over, which takes no worker until then.

    `then` calls a function once it is over; the delay is for those who can't be called.
    """

    def __init__(self, delay: float, message: str, then: Callable[[Callable[[], object]], object]) -> None:
        self.then = then
        super().__init__(delay, message)


class Transient(Exception):
    """May pass by itself: tried again with exponential back-off, or after the delay that the server asks for.

    The CamelCase reason and the message, one line, show in the status.
    """

    def __init__(self, reason: str, message: str, *, retry_after: float | None = None) -> None:
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(message)


class Conflict(Exception):
    """A write's precondition (resourceVersion or uid) no longer holds: the view was stale, look again."""


class AlreadyExists(Conflict):
    """A create met a living object of that name (409 AlreadyExists)."""


class Expired(Transient):
    """The API server no longer knows the version from which a list or a watch goes on (410 Gone): list again."""

    def __init__(self, message: str) -> None:
        super().__init__("ApiUnavailable", message)


class Refused(Exception):
    """The API server refused this very object (a 4xx other than a conflict): a fact about the stage that needs it.

    `forbidden`: it was a 403, a quota or a right, which can change.
    """

    def __init__(self, message: str, *, forbidden: bool) -> None:
        self.forbidden = forbidden
        super().__init__(message)


class NotFound(Exception):
    """What a person named is not there: a request, a run, a log, a file. Of commands; the controller raises none."""
