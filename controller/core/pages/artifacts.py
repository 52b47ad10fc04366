"""What is shown of a run's artifacts: one folder of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from controller.core.archive import FileEntry


@dataclass(frozen=True, slots=True)
class Row:
    """A file, or a folder with all files below it: their number, bytes together, and when the newest was written."""

    path: str
    name: str
    size: int
    modified: str
    files: int = 0  # 0: it is a file


@dataclass(frozen=True, slots=True)
class Folder:
    """What is in a folder ("": the top one): folders first, then files, by name."""

    path: str
    rows: tuple[Row, ...]


def folder(files: Sequence[FileEntry], path: str) -> Folder | None:
    """Return the folder at `path`, None where no file is below it; the top one may be empty."""
    start = f"{path}/" if path else ""
    rows = dict[str, Row]()
    for file in files:
        if not file.path.startswith(start):
            continue
        name, slash, _ = file.path.removeprefix(start).partition("/")
        if slash:
            before = rows.get(name + slash, Row(start + name, name, 0, ""))
            modified = max(before.modified, file.modified)
            rows[name + slash] = Row(start + name, name, before.size + file.size, modified, before.files + 1)
        else:
            rows[name] = Row(file.path, name, file.size, file.modified)
    if path and not rows:
        return None
    return Folder(path, tuple(sorted(rows.values(), key=lambda row: (not row.files, row.name))))
