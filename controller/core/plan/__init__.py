"""What should happen next, as a pure function of what is recorded and what is observed.

`pending` says what asks for a run, `start` records it, `decline` refuses its trigger, `overlap` says what of it waits
for the active run, `advance` carries that on, `fail` ends it for a cause outside its stages, `settle` keeps what was
released, `keep_schedule` the CronJob. Each gives a Decision: the record to write first, then the actions.
Deciding twice on the same observation gives the same decision; a decision whose actions were all carried out leads to
one without actions.
"""

from controller.core.plan.build import OVER
from controller.core.plan.decision import (
    Action,
    Apply,
    Build,
    Create,
    Decision,
    Delete,
    Emit,
    Missing,
    Observed,
    Publish,
    Refusal,
    Restore,
)
from controller.core.plan.hold import held, released
from controller.core.plan.overlap import overlap, replacement
from controller.core.plan.run import advance, fail
from controller.core.plan.schedule import keep_schedule
from controller.core.plan.select import chosen, going_on_from, repeated, to_run
from controller.core.plan.settle import REFUSED, kept_runs, settle
from controller.core.plan.stage import stopped
from controller.core.plan.trigger import (
    Pending,
    announce,
    asked,
    decline,
    is_news,
    is_refusal,
    may_come,
    pending,
    refuse,
    refuse_request,
    skip,
    start,
    stumble,
    told,
)

__all__ = [
    "OVER",
    "REFUSED",
    "Action",
    "Apply",
    "Build",
    "Create",
    "Decision",
    "Delete",
    "Emit",
    "Missing",
    "Observed",
    "Pending",
    "Publish",
    "Refusal",
    "Restore",
    "advance",
    "announce",
    "asked",
    "chosen",
    "decline",
    "fail",
    "going_on_from",
    "held",
    "is_news",
    "is_refusal",
    "keep_schedule",
    "kept_runs",
    "may_come",
    "overlap",
    "pending",
    "refuse",
    "refuse_request",
    "released",
    "repeated",
    "replacement",
    "settle",
    "skip",
    "start",
    "stopped",
    "stumble",
    "to_run",
    "told",
]
