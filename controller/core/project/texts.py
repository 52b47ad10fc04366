"""The files of a project as text. Refuses what is too large, holds NUL bytes or is not UTF-8, before any parsing."""

from controller.core.project.reading import Reading
from controller.core.requirements.text import decoded


def read(path: str, reading: Reading) -> str | None:
    """Give a file's text without its byte order mark; None, with a problem noted, where there is none to give."""
    content = reading.tree.texts.get(path)
    if content is None:
        if not any(problem.startswith(f"{path}:") for problem in reading.tree.problems):
            reading.problem(path, "could not be read")
        return None
    try:
        return decoded(content)
    except ValueError as error:
        reading.problem(path, str(error))
        return None
