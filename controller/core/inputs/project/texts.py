"""The files of a project as text. Refuses what is too large, holds NUL bytes or is not UTF-8, before any parsing."""

from collections.abc import Callable

from controller.core.inputs.project.reading import Reading
from controller.core.inputs.requirements.text import utf8
from controller.core.text import format_size

LIMIT = 256 * 1024  # bytes of a project's file


def read(path: str, reading: Reading, limit: int = LIMIT, decode: Callable[[bytes], str] = utf8) -> str | None:
    """Return a file's text without its byte order mark; None, with a problem or a wish noted, where there is none."""
    content = reading.text(path)
    if content is None:
        return None
    if len(content) > limit:
        reading.problem(path, f"is {format_size(len(content))} large: {format_size(limit)} at most: make it smaller")
        return None
    try:
        return decode(content)
    except ValueError as error:
        reading.problem(path, str(error))
        return None
