"""What is shown of a run's artifacts: one folder of them, or the files below it that somebody looks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from controller.core.archive import FileEntry
from controller.core.text import visible


@dataclass(frozen=True, slots=True)
class Row:
    """A file, or a folder with all files below it: their number, bytes together, and when the newest was written."""

    path: str
    name: str
    size: int
    modified: str
    files: int = 0  # 0: it is a file

    @property
    def title(self) -> str:
        """The name with each of its characters visible."""
        return visible(self.name)

    @property
    def href(self) -> str:
        """The path as a part of an address; not all names are UTF-8."""
        return quoted_path(self.path)


@dataclass(frozen=True, slots=True)
class Folder:
    """What is in a folder ("": the top one): folders first, then files, by name."""

    path: str
    rows: tuple[Row, ...]


def crumbs(path: str) -> tuple[tuple[str, str], ...]:
    """Return title and address of each folder on the way to a path, the path itself included."""
    parts = path.split("/") if path else []
    return tuple((visible(part), quoted_path("/".join(parts[: at + 1]))) for at, part in enumerate(parts))


def quoted_path(path: str) -> str:
    """Return a path as a part of an address."""
    return quote(path, errors="surrogateescape")


def folder(files: Sequence[FileEntry], path: str, words: str = "") -> Folder | None:
    """Return the folder at `path`, None where no file is below it; the top one may be empty.

    With `words` it has each file below it, whatever folder that is in, whose path holds them all.
    """
    start, rows = f"{path}/" if path else "", dict[str, Row]()
    below = [file for file in files if file.path.startswith(start)]
    if path and not below:
        return None
    if looked_for := words.lower().split():
        found = [file for file in below if all(word in file.path.lower() for word in looked_for)]
        return Folder(path, tuple(Row(it.path, it.path.removeprefix(start), it.size, it.modified) for it in found))
    for file in below:
        name, slash, _ = file.path.removeprefix(start).partition("/")
        if slash:
            before = rows.get(name + slash, Row(start + name, name, 0, ""))
            modified = max(before.modified, file.modified)
            rows[name + slash] = Row(start + name, name, before.size + file.size, modified, before.files + 1)
        else:
            rows[name] = Row(file.path, name, file.size, file.modified)
    return Folder(path, tuple(sorted(rows.values(), key=lambda row: (not row.files, row.name))))
