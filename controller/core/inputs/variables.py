"""Which names an environment variable may have, and which of them are Coachwork's own: one list for all who ask.

Refuses what DESIGN 1.3 promises to a stage (identity, folders, PORT, PATH and the like). LD_PRELOAD, PYTHONHOME and
UV_* stay the user's: they reach nothing but the user's own container.
"""

import re

PREFIX = "COACHWORK_"
RESERVED = frozenset({"GIT_COMMIT_HASH", "HOME", "LOGNAME", "PATH", "PORT", "PYTHONPATH", "PYTHONUNBUFFERED", "USER"})
NAME_LIMIT = 253  # as for a key of a Secret, which a variable's name also is
REQUEST_LIMIT = 64 * 1024  # characters of all of a request's variables: they are recorded with each run
VALUE_LIMIT = 32_768  # characters; Linux refuses one of 128 KiB and more when it starts a process


def is_reserved(name: str) -> bool:
    """Tell whether Coachwork sets this variable itself."""
    return name in RESERVED or name.startswith(PREFIX)


def is_variable(name: str) -> bool:
    """Tell whether every shell and Kubernetes take this as a variable's name (POSIX: letters, digits, underscore)."""
    return len(name) <= NAME_LIMIT and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None


def name_problem(name: str) -> str:
    """Give what is wrong with a user's variable name, in one sentence; "" if nothing is."""
    if not is_variable(name):
        return "is no name for a variable: letters, digits and _, not starting with a digit"
    if is_reserved(name):
        return "is set by Coachwork itself: choose another name"
    return ""


def value_problem(value: str) -> str:
    """Give what is wrong with a variable's value, without repeating it; "" if nothing is."""
    if len(value) > VALUE_LIMIT:
        return f"is {len(value)} characters long: {VALUE_LIMIT} at most"
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        return "holds a NUL or half a character: a variable can't"
    return ""
