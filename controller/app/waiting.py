"""What the stages and environments of a run wait for, as the watch caches show it: nothing is written for it."""

from collections.abc import Mapping

from controller.core import names
from controller.core.documents.progress import Progress
from controller.core.facts.starting import starting
from controller.core.model import Record
from controller.reconciler import View


def waiting(view: View, name: str, record: Record) -> Mapping[str, Progress]:
    """Return what keeps the scripts of the active run from running that have been begun, by stage or environment."""
    ours = view.children(name)
    builds = {item.name: item.folder for item in record.spec.environments} if record.spec else {}
    found = {}
    for stage in (stage for stage, entry in record.stages.items() if entry.state == "Running"):
        if stage in builds:
            there = view.build(builds[stage])
            found[stage] = starting(there.pods, there.events)
        else:
            label = names.label_value(stage)
            pods = (pod for pod in ours.pods if names.labels_of(pod).get(names.STAGE) == label)
            found[stage] = starting(pods, ours.events)
    return {stage: progress for stage, progress in found.items() if progress}
