"""The stages of a project in their steps: all of them, from a run's first second."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from controller.core import times
from controller.core.documents.run import Installed, RunFile, StageEntry
from controller.core.model import Environment, serves, titled
from controller.core.pages.states import Tone, shown_state, tone

ON_FAILURE = "runs only after a failure"


@dataclass(frozen=True, slots=True)
class Node:
    """One stage or environment; `seconds` None while it runs, or where it never did."""

    name: str
    title: str
    kind: str  # batch, service, environment
    state: str
    tone: Tone
    started: str = ""
    seconds: float | None = None
    attempts: int = 0
    reason: str = ""
    message: str = ""
    stages: tuple[str, ...] = ()  # of an environment: those that use it


@dataclass(frozen=True, slots=True)
class Step:
    """What runs at the same time; `title` is empty where no step is known."""

    title: str
    nodes: tuple[Node, ...]


def groups(
    steps: Sequence[Sequence[str]], stages: Collection[str], builds: Collection[str]
) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Return the stages with the number of their step; 0 for those in none: environments, and the failure stage."""
    placed = {name for step in steps for name in step}
    others = [name for name in stages if name not in placed]
    first = tuple(name for name in others if name in builds)
    last = tuple(name for name in others if name not in builds)
    numbered = ((number, tuple(step)) for number, step in enumerate(steps, start=1))
    return tuple((number, names) for number, names in ((0, first), *numbered, (0, last)) if names)


def graph(run: RunFile) -> tuple[Step, ...]:
    """Return the steps of a run, environments before them and the failure stage behind; of 0.1.0's runs, what is there.

    What is not recorded has not begun: it waits, or, once the run is over, was never reached.
    """
    names = [*run.stages, *([run.on_failure] if run.on_failure and run.on_failure not in run.stages else [])]
    environments = {item.name: item for item in run.environments}
    found = []
    for number, step in groups(run.steps, names, environments):
        first = step[0]
        title = f"Step {number}" if number else "Environments" if first in environments else ""
        title = "On failure" if first == run.on_failure else title
        found.append(Step(title, tuple(node(run, name, environments.get(name)) for name in step)))
    return tuple(found)


def node(run: RunFile, name: str, environment: Installed | Environment | None = None) -> Node:
    """Return one stage as it is in the run."""
    stage = run.stages.get(name)
    if stage is None:
        spare = StageEntry(state="Skipped", message=ON_FAILURE)
        stage = spare if name == run.on_failure else StageEntry(state="Skipped" if run.finished else "Waiting")
    users = environment.stages if environment else ()
    service = name in run.services or serves(stage.objects)
    state = shown_state(stage)
    return Node(
        name=name,
        title=titled(name, users, len(run.environments)),
        kind="environment" if environment else "service" if service else "batch",
        state=state,
        tone=tone(state),
        started=stage.started,
        seconds=times.seconds(stage.started, stage.finished or run.finished),
        attempts=stage.tries,
        reason=stage.reason,
        message=stage.message or dict(run.reuse).get(name, ""),
        stages=users,
    )
