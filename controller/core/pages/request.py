"""What a page says of one request in addition to its runs."""

from collections.abc import Mapping
from typing import Final

from controller.core.addresses import Address
from controller.core.model import Record
from controller.core.text import clean

KEYS: Final = ("repository", "ref", "path", "schedule", "time-zone", "poll", "suspend")


def facts(data: Mapping[str, str], record: Record, services: Mapping[str, Address]) -> tuple[tuple[str, str], ...]:
    """Return what there is to say, as titles and values."""
    release = f"run {record.release_run}, commit {record.release_commit[:7]}" if record.release_run else ""
    pairs = {
        **{key: clean(data.get(key, "")) for key in KEYS},  # an address with a password is refused, but there
        "reason": record.reason,
        "release": release,
        **{f"service {stage}": f"{at.url}{at.ingress and ', '}{at.ingress}" for stage, at in services.items()},
        "pending since": record.pending_since,
        "queued": f"trigger {record.queued}" if record.queued else "",
        "poll problem": record.poll_problem,
        "schedule problem": record.schedule_problem,
        "notify problem": record.notify_problem,
    }
    return tuple((title, value) for title, value in pairs.items() if value)
