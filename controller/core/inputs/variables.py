"""Which names and values an environment variable may have, and which names are Coachwork's own: one list for all.

Refuses what is promised to a stage (identity, folders, PORT, PATH and the like). LD_PRELOAD, PYTHONHOME and UV_* stay
the user's: they reach nothing but the user's own container. No sentence repeats a value.
"""

import re

PREFIX = "COACHWORK_"
RESERVED = frozenset({"GIT_COMMIT_HASH", "HOME", "LOGNAME", "PATH", "PORT", "PYTHONPATH", "PYTHONUNBUFFERED", "USER"})
NAME_LIMIT = 253  # as for a key of a Secret, which a variable's name also is
REQUEST_LIMIT = 64 * 1024  # characters of all of a request's variables: they are recorded with each run
VALUE_LIMIT = 32_768  # characters
BYTES_LIMIT = 120 * 1024  # of a value; Linux refuses NAME=VALUE of 128 KiB and more when it starts a process


def is_reserved(name: str) -> bool:
    """Return whether Coachwork sets this variable itself."""
    return name in RESERVED or name.startswith(PREFIX)


def name(text: str) -> str:
    """Check a user's variable name, by POSIX. Raises ValueError with one sentence."""
    if len(text) > NAME_LIMIT or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("can't name a variable: use letters, digits and _, and begin with no digit")
    if is_reserved(text):
        raise ValueError("is set by Coachwork itself: choose another name")
    return text


def value(text: str) -> str:
    """Check a variable's value. Raises ValueError with one sentence."""
    if len(text) > VALUE_LIMIT:
        raise ValueError(f"is {len(text)} characters long: {VALUE_LIMIT} at most")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds a NUL or half a character, which no variable can hold")
    if (size := len(text.encode())) > BYTES_LIMIT:
        raise ValueError(f"is {size} bytes long: {BYTES_LIMIT} at most")
    return text
