"""What each second of a run was: waiting, an environment, a start, a script, or the pause before another attempt."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, Final, Literal, TypeAlias, get_args

from controller.core import names, times
from controller.core.documents.codec import read
from controller.core.documents.run import RunFile, StageEntry
from controller.core.model import STARTING, Attempt
from controller.core.pages.graph import Node, graph

Kind: TypeAlias = Literal["script", "environment", "start", "pause", "end", "waiting"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""Of what goes on at once, a run's second is counted as the first of these."""
MEANING: Final[Mapping[Kind, str]] = {
    "script": "the stage's own script",
    "environment": "packages are installed",
    "start": "from the step's begin to the script's first moment: pod, image, copy of the project",
    "pause": "between a failed attempt and the next one",
    "end": "from the script's end until it counts",
    "waiting": "for an earlier step, or for what keeps the pod from starting",
}
PASSED: Final = ("Reused", "Unchanged", "Skipped")  # states of a stage that did nothing in this run
_LISTED: Final = frozenset({"ended", "exit_code", "reason", "message", "started", "script", "finished"})


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of time of one kind, in seconds since the run's start."""

    kind: Kind
    begin: float
    end: float
    attempt: int = 0
    failed: bool = False

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Lane:
    """The time of one stage or environment, without gaps as far as it is known."""

    node: Node
    segments: tuple[Segment, ...]

    @property
    def busy(self) -> float:
        """How much of it was the stage's own, and neither for others nor for its environment."""
        others = ("waiting",) if self.node.kind == "environment" else ("waiting", "environment")
        return sum(piece.seconds for piece in self.segments if piece.kind not in others)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run of so many seconds: its lanes, the whole of it as one lane, and how much of it was of each kind."""

    seconds: float
    lanes: tuple[Lane, ...]
    whole: tuple[Segment, ...]
    totals: tuple[tuple[Kind, float], ...]

    @property
    def failed(self) -> int:
        """How many attempts failed."""
        return sum(piece.failed for lane in self.lanes for piece in lane.segments)


@dataclass(frozen=True, slots=True)
class _Clock:
    """Points in time as seconds since a run's start; `now` is its end, or the present.

    `floor` is when the last step ended: a record, whose seconds are whole ones, says that the next began before.
    """

    zero: datetime
    now: float
    floor: float = 0.0

    def at(self, written: str) -> float | None:
        moment = times.moment(written)
        return max((moment - self.zero).total_seconds(), 0.0) if moment else None

    def opened(self, written: str) -> float | None:
        at = self.at(written)
        return self.floor if at is not None and at <= self.floor < at + 1 else at


def attempts_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Attempt, ...]]:
    """Return the attempts of each stage, from what is listed of a run's logs; those of an index are its stage's."""
    found: dict[str, tuple[Attempt, ...]] = {}
    for entry in entries:
        listed = {key: value for key, value in entry.items() if key in _LISTED}
        stage, _, index = entry["stage"].partition(names.INDEX_SIGN)
        attempt, _ = read(Attempt, {"number": entry["attempt"], **({"index": int(index)} if index else {}), **listed})
        found[stage] = (*found.get(stage, ()), attempt)
    return found


def timeline(run: RunFile, attempts: Mapping[str, Sequence[Attempt]], now: datetime) -> Timeline | None:
    """Return the timeline of a run, None of one that has no start. `attempts` are those that are known by now."""
    if (zero := times.moment(run.started)) is None:
        return None
    clock = _Clock(zero, max(((times.moment(run.finished) or now) - zero).total_seconds(), 0.0))
    builds: dict[str, tuple[Segment, ...]] = {}
    lanes, floor = list[Lane](), 0.0
    for step in graph(run):
        for node in step.nodes:
            stage, tried = run.stages.get(node.name, StageEntry(state=node.state)), attempts.get(node.name, ())
            pieces = _pieces(_marks(node, stage, tried, builds.get(node.name, ()), replace(clock, floor=floor)))
            builds |= dict.fromkeys(node.stages, pieces)
            lanes.append(Lane(node, pieces))
        floor = max([floor, *(lane.segments[-1].end for lane in lanes if lane.segments)])
    end = max([clock.now, *(piece.end for lane in lanes for piece in lane.segments)])
    whole = _whole([piece for lane in lanes for piece in lane.segments], end)
    totals = ((kind, sum(piece.seconds for piece in whole if piece.kind == kind)) for kind in KINDS)
    return Timeline(end, tuple(lanes), whole, tuple(pair for pair in totals if pair[1]))


def _marks(
    node: Node, stage: StageEntry, tried: Sequence[Attempt], build: Sequence[Segment], clock: _Clock
) -> Iterator[Segment]:
    """Yield what a stage's time was, in order; where one ends counts, and where the one before did."""
    if node.state in PASSED:
        return
    opened = clock.opened(stage.started)
    for piece in build:  # its packages come before its step opens
        yield Segment("waiting" if piece.kind == "waiting" else "environment", piece.begin, piece.end)
    yield Segment("waiting", 0, clock.now if opened is None else opened)
    if opened is None:
        return
    work: Kind = "environment" if node.kind == "environment" else "script"
    ended = clock.at(stage.finished)
    limit = clock.now if ended is None else ended
    begins = [(attempt, clock.at(attempt.started)) for attempt in tried]
    known = [(attempt, begun) for attempt, begun in begins if begun is not None and begun <= limit + 1]
    known.sort(key=itemgetter(1))  # indexes of a parallel stage run at once
    if node.kind == "environment":  # earlier runs may have tried to install it, and later ones
        known = [(attempt, begun) for attempt, begun in known if begun]
    for attempt, begun in known:
        yield Segment("start" if attempt is known[0][0] else "pause", 0, min(begun, limit))
        yield Segment("start", 0, clock.at(attempt.script) or begun)
        over = clock.at(attempt.finished) if attempt.ended else None
        if over is None or over >= limit + 1:  # a service goes on, and a build compiles behind what is published
            yield Segment(work, 0, limit, attempt.number)
        else:
            yield Segment(work, 0, over, attempt.number, failed=attempt.exit_code != 0 and stage.state != "Stopped")
    if not known:
        yield Segment("waiting" if stage.waiting_for else "start" if stage.reason == STARTING else work, 0, limit)
    yield Segment("pause" if stage.state == "Running" else "end", 0, limit)


def _pieces(marks: Iterable[Segment]) -> tuple[Segment, ...]:
    """Return the segments that have a length, each from where the one before it ended; what is alike is one."""
    found, at = list[Segment](), 0.0
    for mark in marks:
        if mark.end > at:
            same = found[-1:] and (found[-1].kind, found[-1].attempt) == (mark.kind, mark.attempt)
            begin = found.pop().begin if same else at
            found.append(Segment(mark.kind, begin, mark.end, mark.attempt, mark.failed))
            at = mark.end
    return tuple(found)


def _whole(pieces: Sequence[Segment], end: float) -> tuple[Segment, ...]:
    """Return the time of all pieces as one lane, up to `end`."""
    edges = sorted({0.0, end, *(edge for piece in pieces for edge in (piece.begin, piece.end))})
    changes: dict[float, list[tuple[Kind, int]]] = {edge: [] for edge in edges}
    for piece in pieces:
        changes[piece.begin].append((piece.kind, 1))
        changes[piece.end].append((piece.kind, -1))
    going, found = dict.fromkeys(KINDS, 0), []
    for begin, until in pairwise(edges):
        for kind, more in changes[begin]:
            going[kind] += more
        kind = next((kind for kind in KINDS if going[kind]), "waiting")
        found.append(Segment(kind, begin, until))
    runs = [[*same] for _, same in groupby(found, key=lambda piece: piece.kind)]
    return tuple(Segment(same[0].kind, same[0].begin, same[-1].end) for same in runs)
