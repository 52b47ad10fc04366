"""What a decision is made from, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar, assert_never

from controller.core.documents import status as statuses
from controller.core.documents.codec import Absent, Answer, Corrupt, Good, TooNew
from controller.core.errors import NotYet, Transient
from controller.core.facts import DeploymentFact, Drift, JobFact
from controller.core.inputs import request as requests
from controller.core.model import Cause, Object, Record, Request
from controller.core.notices import Letter
from controller.core.plan.needs import Key, Need, Needs, Question

NO_STAGE = ""  # an action's or refusal's stage where it is the release that is written

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Poll:
    """The last poll of `ref`: its commit ("": none yet), why it failed, and when the next one is due."""

    about: tuple[str, str]  # what the answer depends on: with another value, polling starts over
    commit: str = ""
    problem: str = ""
    due: datetime | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """A request and what is recorded of it."""

    request: Request  # its identity alone where it is invalid
    found: Answer[Record]  # as the record, or its copy, was found
    problems: tuple[str, ...] = ()  # why the request is invalid
    last_run: int = 0  # the newest that has left an object
    poll: Poll | None = None  # what this process remembers; nothing depends on it but when to poll next

    @property
    def record(self) -> Record:
        """The record; a new one where it is lost, counting on from what older runs left."""
        match self.found:
            case Good(record):
                return record
            case Corrupt(view):
                return statuses.remains(view, self.last_run)
            case Absent() | TooNew():
                return Record(self.request.uid, run=self.last_run)
            case _:
                assert_never(self.found)

    @property
    def digest(self) -> str:
        """The digest of what the request runs, "" where it is invalid."""
        return "" if self.problems else requests.digest(self.request)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server refused an action of this very pass."""

    stage: str | None  # None: a deletion, which no stage waits for
    cause: Cause
    final: bool  # a 403 (quota, rights) can change and gets the grace of what can't be scheduled; the rest can't
    about: Key | None = None  # the object that could not be written; None: a deletion


class Unanswered(Exception):
    """A decision depends on what nobody has looked up yet: no error, it carries the questions up to `decide`."""

    def __init__(self, *questions: Need) -> None:
        self.needs = Needs(questions)
        super().__init__(repr(questions))


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything of one request's objects, from lists that have all synced. Facts go by the object's name."""

    jobs: Mapping[str, JobFact] = field(default_factory=dict)
    deployments: Mapping[str, DeploymentFact] = field(default_factory=dict)
    serving: Mapping[Key, Object] = field(default_factory=dict)
    """All objects of services."""
    release: Object | None = None
    cronjob: Object | None = None  # with the request's name, no matter who owns it
    ended: Mapping[str, Cause | None] = field(default_factory=dict)
    """Stages of the open step whose Job is really gone, by what their log folder says: None: ended well; a cause: ran
    and did not end well, or nobody knows. A stage that is not here and has no Job never started."""
    numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What the last attempt of a stage of the open step has left, where it may have ended."""
    letters: Mapping[str, str | None] = field(default_factory=dict)
    """What came of letters that this process sends, or has sent, by key; None: nothing yet; "": it arrived."""
    refusals: tuple[Refusal, ...] = ()
    failed: NotYet | Transient | None = None  # what kept this pass from observing or recording
    answers: Mapping[Question[Any], Any] = field(default_factory=dict)  # a value, or the error that came instead
    drift: Mapping[Key, Drift] = field(default_factory=dict)  # filled in by the planner, from the answers

    def __or__(self, answers: Mapping[Any, Any]) -> "Observed":
        """Return all this, and what else has been looked up."""
        return replace(self, answers={**self.answers, **answers})

    def require(self, *questions: Need) -> None:
        """Return if all of these have been looked up, whatever came. Raises Unanswered."""
        if open_ := [question for question in questions if question not in self.answers]:
            raise Unanswered(*open_)

    def ask(self, question: Question[T]) -> T:
        """Return what has been looked up. Raises the error that came instead; Unanswered."""
        if question not in self.answers:
            raise Unanswered(question)  # type: ignore[arg-type]
        answer: T = self.answers[question]
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass(frozen=True, slots=True)
class Write:
    """Write `manifest` for `stage`."""

    manifest: Object
    stage: str


@dataclass(frozen=True, slots=True)
class Create(Write):
    """Create the object."""


@dataclass(frozen=True, slots=True)
class Apply(Write):
    """Apply the object on the server's side; its uid is in the manifest."""


@dataclass(frozen=True, slots=True)
class Restore(Write):
    """Put back what somebody has changed of an object that was applied like this."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one object by kind, name and uid."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Move a finished environment from its build's folder to where stages find it; one that is there stays."""

    folder: str


@dataclass(frozen=True, slots=True)
class Emit:
    """An Event on the request. `key` makes its name: the same key is the same news."""

    key: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Tidy:
    """Remove the folders of all the request's runs but these."""

    runs: frozenset[int]


@dataclass(frozen=True, slots=True)
class Notify:
    """Begin to send a letter, and wait for nothing: what came of it is observed later."""

    letter: Letter


Action: TypeAlias = Create | Apply | Restore | Delete | Publish | Emit | Tidy | Notify


@dataclass(frozen=True, slots=True)
class Decision:
    """The record first, then the actions in their order.

    Then `error` ends the pass if there is one, else the next pass comes after so many seconds (None: with an event).
    """

    record: Record
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None
    outcome: str = ""  # set in the pass that ends a run
    not_begun: tuple[str, ...] = ()  # outcomes of what came to no run in this pass
    error: NotYet | Transient | None = None
    poll: Poll | None = None  # to be remembered
    late_images: Mapping[str, str] = field(default_factory=dict)  # by stage of the run that is over, for its file

    def within(self, seconds: float) -> "Decision":
        """Return the decision with the next pass after so many seconds, if not before."""
        due = seconds if self.requeue_after is None else min(self.requeue_after, seconds)
        return replace(self, requeue_after=due)
