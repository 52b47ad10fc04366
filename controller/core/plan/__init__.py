"""What should happen next, as a pure function of what is recorded and what is observed.

`decide` is the one way in; all else here are the types of its arguments and of its answers.
"""

from controller.core.plan import needs
from controller.core.plan.decide import decide
from controller.core.plan.decision import (
    Action,
    Apply,
    Create,
    Decision,
    Delete,
    Emit,
    Known,
    Notify,
    Observed,
    Poll,
    Publish,
    Refusal,
    Restore,
    Tidy,
    Write,
)
from controller.core.plan.needs import Needs

__all__ = [
    "Action",
    "Apply",
    "Create",
    "Decision",
    "Delete",
    "Emit",
    "Known",
    "Needs",
    "Notify",
    "Observed",
    "Poll",
    "Publish",
    "Refusal",
    "Restore",
    "Tidy",
    "Write",
    "decide",
    "needs",
]
