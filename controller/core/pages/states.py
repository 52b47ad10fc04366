"""States as people see them, and how each is meant: the page's colours, never without the word."""

from typing import Final, Literal, TypeAlias

from controller.core.documents.run import StageEntry
from controller.core.model import STARTING, StageRecord

Tone: TypeAlias = Literal["good", "bad", "busy", "warn", "idle"]

_TONES: Final[dict[str, Tone]] = {
    **dict.fromkeys(("Ready", "Succeeded", "Done", "Unchanged", "Reused"), "good"),
    **dict.fromkeys(("Failed", "Invalid", "Blocked", "Refused"), "bad"),
    **dict.fromkeys(("Running", STARTING), "busy"),
    **dict.fromkeys(("Degraded", "Cancelled", "Stopped"), "warn"),
}


def tone(state: str) -> Tone:
    """Return how a phase, an outcome or a stage's state is meant; what waits or was passed over is idle."""
    return _TONES.get(state, "idle")


def shown_state(stage: StageRecord | StageEntry) -> str:
    """Return the state as a person sees it: what can't start yet waits, and what can is not yet Running."""
    if stage.state != "Running":
        return stage.state
    return "Waiting" if stage.waiting_for else STARTING if stage.reason == STARTING else stage.state
