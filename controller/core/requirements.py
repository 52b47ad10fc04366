"""Requirement texts: their normal form, and the local files that they name. Refuses nothing: that is the installer's.

The format is pip's: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import re

_FILE_OPTION = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<path>\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(?P<path>\S.*)")
_NAMED = re.compile(r"[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*@\s*(?P<path>\S.*)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tar.bz2")


def lines(text: str) -> tuple[str, ...]:
    """Give the lines that mean something, in order: continuations joined, comments and blank lines gone."""
    joined: list[str] = []
    pending = ""
    for line in text.splitlines():
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            pending += line[:-1]
            continue
        joined.append(f"{pending} {line}" if comment else pending + line)
        pending = ""
    joined.append(pending)
    bare = (re.sub(r"(?:^|(?<=\s))#.*$", "", line).strip() for line in joined)
    return tuple(line for line in bare if line)


def references(requirements: tuple[str, ...]) -> tuple[str, ...]:
    """Give the local files and folders that requirement lines name, as written: -r, -c, -e, ./folder, wheels."""
    return tuple(path for line in requirements if (path := _reference(line)))


def _reference(line: str) -> str:
    """Give the local path that one line names, "" for none."""
    bare = re.split(r"\s;|;\s", line, maxsplit=1)[0].strip()
    if option := _FILE_OPTION.fullmatch(bare):
        return _local(option["path"].strip("\"'"))
    if option := _EDITABLE.fullmatch(bare):
        return _local(re.sub(r"\[[^\]]*\]$", "", option["path"]).strip("\"'"))
    if named := _NAMED.fullmatch(bare):
        return _local(named["path"]) if named["path"].startswith("file:") else ""
    path = re.sub(r"\[[^\]]*\]$", "", bare)
    return _local(path) if path.startswith((".", "/", "file:")) or path.lower().endswith(_ARCHIVES) else ""


def _local(path: str) -> str:
    """Give a path that is on this machine, "" for an address elsewhere; file: addresses lose their scheme."""
    if path.startswith("file:"):
        return path.removeprefix("file:").removeprefix("//")
    return "" if _URL.match(path) else path
