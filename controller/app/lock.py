"""One run of a project at a time on this machine, none while all is cleaned; and what no run needs any more goes.

A project's lock is in its folder. That of the state folder is shared by all that use it, for as long as they live.
"""

import contextlib
import fcntl
import time
from pathlib import Path

import structlog

from controller.adapters.volume.sweeper import Sweeper
from controller.core import layout, sweep
from controller.core.errors import Invalid, Transient

LOCK = ".lock"  # in a request's folder: held while a run of it is under way

_log = structlog.get_logger()


_sharing = contextlib.ExitStack()  # until the process ends


def lock(folder: Path) -> contextlib.ExitStack | None:
    """Hold a project's lock until what is returned is closed, or the process ends; None where another run holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    return _flock(folder / LOCK, fcntl.LOCK_EX)


def alone(root: Path) -> contextlib.ExitStack | None:
    """Hold the state folder for oneself until what is returned is closed; None where others use it."""
    return _flock(root / LOCK, fcntl.LOCK_EX)


def share(root: Path) -> None:
    """Use the state folder together with others until the process ends. Raises Invalid while it is cleaned."""
    if (held := _flock(root / LOCK, fcntl.LOCK_SH)) is None:
        raise Invalid("AlreadyRunning", [f"{root}: `coachwork clean` is under way there: try again when it has ended"])
    _sharing.enter_context(held)


def _flock(path: Path, how: int) -> contextlib.ExitStack | None:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("a"))
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
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
