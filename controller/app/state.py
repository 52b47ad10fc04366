"""Where commands keep local state: mirrors, runs, logs and artifacts, laid out like the shared volume."""

import os
from pathlib import Path

from controller.core.errors import Invalid
from controller.core.text import clean


def named_folder(name: str) -> Path:
    """Return the folder that a person names. Raises Invalid where no folder can have the name."""
    try:
        folder = Path(name).expanduser()
        folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, an unknown user, a NUL
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Invalid("WrongUse", [f"{clean(name)}: no folder: {why}"]) from None
    return folder


def state_folder() -> Path:
    """Return the state folder, made if need be: $COACHWORK_HOME, else one in $XDG_STATE_HOME or ~/.local/state.

    Raises Invalid.
    """
    home = os.environ.get("COACHWORK_HOME")
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    folder = named_folder(home) if home else named_folder(base) / "coachwork"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"{folder}: can't be made ({os.strerror(error.errno or 0)}): set COACHWORK_HOME to a folder of yours"
        raise Invalid("WrongUse", [problem]) from error
    return folder
