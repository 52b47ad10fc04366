"""What remotes have said of late: an answer serves all who asked before its question began (docs/adr/0030).

Refuses to give an answer to those with other credentials, to put one question twice at a time, and to keep much, or
anything for long.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from weakref import WeakValueDictionary

from controller.adapters.git.remote import Refs, Remote, place
from controller.adapters.locks import Turn
from controller.core.errors import Invalid, Transient

KEPT = 30.0  # seconds: passes that were due at once have come by then
ROOM = 100_000  # refs of all answers that are kept: some 25 MB


@dataclass(slots=True, weakref_slot=True)
class Answer:
    """What a remote said last to those with certain credentials, and when that question began (monotonic)."""

    turn: Turn  # of the one who puts the question
    began: float = -inf
    said: Refs | Invalid | Transient | None = None

    @property
    def size(self) -> int:
        """Return how many refs are in it."""
        return len(self.said.commits) if isinstance(self.said, Refs) else 1


class Answers:
    """All that is remembered. May be used by many threads at once."""

    def __init__(self, wait: float, on_shared: Callable[[], None]) -> None:
        """Wait so many seconds for a question under way; `on_shared` is called for each answer that serves again."""
        self._wait, self._on_shared = wait, on_shared
        self._guard = threading.Lock()
        self._known: WeakValueDictionary[Remote, Answer] = WeakValueDictionary()
        self._kept: dict[Remote, Answer] = {}  # oldest first
        self._timer: threading.Timer | None = None

    def get(self, remote: Remote, since: float, question: Callable[[], Refs]) -> Refs:
        """Return the answer to a question that began at `since` (monotonic) or later; put it where nobody has.

        A remote that can't answer, or does not let these credentials in, says so to all in the same way. Raises
        Invalid, Transient, NotYet.
        """
        with self._guard:
            turn = Turn(self._wait, f"{place(remote.url)}: another pass is asking it")
            answer = self._known.setdefault(remote, Answer(turn))
        shared = answer.began >= since
        if not shared:
            with answer.turn:
                shared = answer.began >= since  # the one that was waited for may have begun late enough
                if not shared:
                    self._put(remote, answer, question)
        if shared:
            self._on_shared()
        if isinstance(answer.said, Refs):
            return answer.said
        raise answer.said.with_traceback(None) if answer.said else AssertionError("began without an answer")

    def _put(self, remote: Remote, answer: Answer, question: Callable[[], Refs]) -> None:
        """Put the question, and remember what came. Raises NotYet, which is nothing that the remote said."""
        began = time.monotonic()
        try:
            answer.said = question()
        except (Invalid, Transient) as error:
            answer.said = error
        answer.began = began
        with self._guard:
            self._kept.pop(remote, None)
            self._kept[remote] = answer
            self._tidy()

    def _tidy(self) -> None:
        """Drop what is old, and the oldest of what is too much; come back for the rest."""
        size, now = sum(answer.size for answer in self._kept.values()), time.monotonic()
        for remote, answer in list(self._kept.items()):
            if size <= ROOM and now - answer.began < KEPT:
                break
            size -= answer.size
            del self._kept[remote]
        if self._kept and self._timer is None:
            self._timer = threading.Timer(KEPT, self._come_back)
            self._timer.daemon = True
            self._timer.start()

    def _come_back(self) -> None:
        with self._guard:
            self._timer = None
            self._tidy()
