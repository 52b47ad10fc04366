"""The files of a project as text. Refuses what is too large, holds NUL bytes or is not UTF-8, before any parsing."""

from controller.core.model import ProjectTree
from controller.core.project.report import Report

LIMIT = 256 * 1024  # bytes of one file


def read(tree: ProjectTree, path: str, report: Report) -> str | None:
    """Give a file's text without its byte order mark; None, with a problem noted, where there is none to give."""
    content = tree.texts.get(path)
    if content is None:
        if not any(problem.startswith(f"{path}:") for problem in tree.problems):
            report.problem(path, "could not be read")
        return None
    if len(content) > LIMIT:
        report.problem(path, f"is {len(content) / 1024:.0f} KiB large: {LIMIT // 1024} KiB at most")
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        report.problem(path, f"is not text (byte {error.start} is no UTF-8): save it as UTF-8")
        return None
    if "\0" in text:
        report.problem(path, "is not text (it holds NUL bytes)")
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")
