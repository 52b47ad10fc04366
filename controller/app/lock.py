"""One run of a project at a time on this machine: its lock, and the removal of what no run needs any more."""

import contextlib
import fcntl
import time
from pathlib import Path

import structlog

from controller.adapters.volume.sweeper import Sweeper
from controller.core import layout, sweep
from controller.core.errors import Transient

LOCK = ".lock"  # in a request's folder: held while a run of it is under way

_log = structlog.get_logger()


def lock(folder: Path) -> contextlib.ExitStack | None:
    """Hold a project's lock until what is returned is closed, or the process ends; None where another run holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context((folder / LOCK).open("a"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return stack.pop_all()


def tidy(root: Path, own: Path) -> None:
    """Remove what no run here needs any more, unless a project other than `own` is running: its needs are not known.

    The runs themselves belong to the user, and stay.
    """
    for folder in (path.parent for path in (root / layout.RUNS).glob(f"*/{LOCK}")):
        if folder != own:
            held = lock(folder)
            if held is None:
                return
            held.close()
    try:
        swept = Sweeper(root).sweep(lambda: {layout.RUNS}, sweep.LAPTOP, time.time())
    except Transient as error:
        _log.warning("sweep put off", error=str(error))
    else:
        if swept.things:
            _log.info("swept", things=dict(swept.things), freed_bytes=sum(swept.bytes.values()))
