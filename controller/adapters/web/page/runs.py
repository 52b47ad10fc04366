"""What is read of runs for several pages."""

from collections.abc import Sequence
from datetime import UTC, datetime

from controller.adapters.web.ports import LiveRequest, Site
from controller.core.archive import LATEST, NoAnswer
from controller.core.documents import codec
from controller.core.documents.run import RunFile, of_active
from controller.core.errors import Transient
from controller.core.model import Record
from controller.core.pages.run import RunView, run_view
from controller.core.pages.starts import Start, starts
from controller.core.pages.timeline import attempts_of
from controller.core.text import nearest, quoted


def requested(site: Site, name: str) -> LiveRequest:
    """Return a request. Raises NoAnswer where it is not there."""
    if found := site.live.request(name):
        return found
    remedy = nearest(name, (item.name for item in site.live.requests()))
    place = "on this machine" if site.place == "laptop" else f"in {site.namespace}"
    raise NoAnswer("absent", f"no request {quoted(name)} {place}: {remedy}")


def kept(site: Site, name: str) -> tuple[list[RunFile], str]:
    """Return what the kept runs of a request left, newest first, and why that can't be read."""
    try:
        return [codec.read(RunFile, entry)[0] for entry in site.archive.runs(name)], ""
    except NoAnswer:
        return [], ""
    except Transient as fault:
        return [], str(fault)


def numbers(site: Site, name: str) -> Sequence[int]:
    """Return the numbers of the kept runs of a request, newest first; none where that can't be read."""
    try:
        return site.archive.numbers(name)
    except (NoAnswer, Transient):
        return ()


def view(site: Site, name: str, record: Record, run: str) -> RunView:
    """Return the view of one run: a number, latest or good. Raises NoAnswer, Transient.

    The request's last run is shown as its record has it, whatever the volume says: that is newer, or all there is.
    """
    now, last = datetime.now(UTC), str(record.run)
    try:
        active = record.active and run in (LATEST, last)
        file = of_active(name, record) if active else codec.read(RunFile, site.archive.run(name, run))[0]
        return run_view(name, file, attempts_of(site.archive.logs(name, str(file.run))), now)
    except (NoAnswer, Transient):
        if not record.run or run not in (LATEST, last):
            raise
        return run_view(name, of_active(name, record), {}, now)


def under_way(site: Site, run: RunView) -> tuple[Start, ...]:
    """Return what a run is at before its scripts run, nothing where that can't be read: it is a courtesy."""
    try:
        return starts(site.archive.progress(run.name), run.file) if run.active else ()
    except (NoAnswer, Transient):
        return ()
