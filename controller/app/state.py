"""Where commands keep local state: mirrors, runs, logs and artifacts, laid out like the shared volume."""

import os
from pathlib import Path

from controller.core.errors import Invalid


def state_folder() -> Path:
    """Return the state folder, made if need be: $COACHWORK_HOME, else one in $XDG_STATE_HOME or ~/.local/state.

    Raises Invalid.
    """
    home = os.environ.get("COACHWORK_HOME")
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    folder = Path(home).expanduser() if home else Path(base).expanduser() / "coachwork"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"{folder}: can't be made ({os.strerror(error.errno or 0)}): set COACHWORK_HOME to a folder of yours"
        raise Invalid("WrongUse", [problem]) from error
    return folder
