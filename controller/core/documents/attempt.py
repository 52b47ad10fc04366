"""What the launcher leaves of an attempt: NUMBER.json next to its log, the termination message, what it finds outdated.

`controller/runtime` writes them, which imports nothing of ours: a test holds both to the same keys. A stage can write
there, too, and the launcher may be another version's: nothing is believed but what has the right shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.core import layout, numbers
from controller.core.documents import codec
from controller.core.model import Attempt, Unknown
from controller.core.text import fit

MOST_REDACTED = 10**6  # of one attempt: they are summed up with those of others
WORD_LIMIT = 128  # bytes of a reason, or of a time
LIMIT = 64 * 1024  # bytes of what the launcher writes at an attempt's end


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended. No exit code: nobody has said that it did."""

    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    started: str = ""
    script_started: str = ""
    finished: str = ""
    environment: str = ""  # outdated: another Python made it
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, object] = field(default_factory=dict, hash=False)
    bytes: int | None = None  # of the log, with its SHA-256
    sha256: str = ""
    complete: bool = False
    notes: tuple[str, ...] = ()  # on what is missing of it
    redacted: int = 0
    first_start: str = ""  # in a service's termination message only, with the two below
    attempt: int = 0
    limit: float | int = 0
    unknown: Unknown = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class _Outdated:
    environment: str = ""
    unknown: Unknown = field(default_factory=dict, hash=False)


def read(text: str) -> Ending:
    """Return how an attempt ended, as far as it is said."""
    if not text:  # mostly: pods are read at each of their changes
        return Ending()
    # U+FFFD is no damage here: the launcher writes it where a script's words are not UTF-8
    return codec.view(codec.from_plain(Ending, codec.parsed(text), "what the launcher left")) or Ending()


def of_log(number: int, text: str) -> Attempt:
    """Return the attempt of this number, from what is next to its log."""
    end = read(text)
    if end.exit_code is None:
        return Attempt(number, ended=False)
    return Attempt(
        number,
        ended=True,
        exit_code=end.exit_code,
        reason=fit(end.reason, WORD_LIMIT),
        message=fit(end.message),
        started=fit(end.started, WORD_LIMIT),
        finished=fit(end.finished, WORD_LIMIT),
        script=fit(end.script_started, WORD_LIMIT),
        redacted=min(max(end.redacted, 0), MOST_REDACTED),
        metrics=numbers.taken(end.metrics),
    )


def read_outdated(text: str) -> str:
    """Return the folder of the environment that a launcher has found out of date, "" where it has found none."""
    folder = (codec.view(codec.from_json(_Outdated, text, "what the launcher left")) or _Outdated()).environment
    return folder if layout.is_environment(folder) else ""
