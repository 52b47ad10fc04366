"""What the stages and environments of a run wait for, as the watch caches show it: nothing is written for it.

That an image is pulled, only an Event says that is not watched: it is read when somebody looks.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from controller.core import names, times
from controller.core.documents.progress import Progress
from controller.core.errors import NotYet, Refused, Transient
from controller.core.facts.starting import on_a_node_since, pending, starting
from controller.core.model import Object, Record
from controller.reconciler import View

START: Final = 2.0  # seconds on a node, after which most pods run, and one that does not pulls its image as a rule
AGAIN: Final = 3.0  # seconds after which a pod is asked about again that pulled nothing
KNOWN: Final = 1000  # pods


class Waiting:
    """Answers readers. Safe in several threads."""

    def __init__(self, view: View, pulling: Callable[[str], str]) -> None:
        """Read from `view`; `pulling` returns since when the image of the pod of this uid is pulled, "" if it is not.

        It may raise Refused, NotYet and Transient.
        """
        self._view, self._pulling = view, pulling
        self._known: dict[str, tuple[str, float]] = {}  # by uid, with when it was asked

    def __call__(self, name: str, record: Record) -> Mapping[str, Progress]:
        """Return what the pods of the active run wait for that do not run yet, by stage or environment."""
        ours = self._view.children(name)
        builds = {item.name: item.folder for item in record.spec.environments} if record.spec else {}
        found = {}
        for stage in (stage for stage, entry in record.stages.items() if entry.state == "Running"):
            there = self._view.build(builds[stage]) if stage in builds else ours
            label = names.label_value(stage)
            of_stage = (pod for pod in there.pods if names.labels_of(pod).get(names.STAGE) == label)
            if pod := pending(there.pods if stage in builds else of_stage):
                found[stage] = starting(pod, there.events, self._since(pod))
        return found

    def _since(self, pod: Object) -> str:
        """Return since when a pod's image is pulled, "" where it is not, or nobody can say."""
        uid, begun = str(pod["metadata"].get("uid")), times.after(on_a_node_since(pod), START)
        since, asked = self._known.get(uid, ("", -AGAIN))
        if since or not begun or datetime.now(UTC) < begun or time.monotonic() - asked < AGAIN:
            return since
        with suppress(Refused, NotYet, Transient):
            since = self._pulling(uid)
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[uid] = (since, time.monotonic())
        return since
