"""Why a script ended, in one line: its place, its words and the remedy, from its exit, its output's end and cgroups."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from controller.runtime.stage_order import Places

MESSAGE_LIMIT = 1024  # bytes
_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_FILE = re.compile(r'\s*File "(?P<file>.+)", line (?P<line>\d+)')
_MODULE = re.compile(r"ModuleNotFoundError: No module named '(?P<module>[^']+)'")
_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")
_MEMORY = "raise MEMORY_LIMIT_MB (or MEMORY_REQUEST_MB, if no limit is set) or use less memory"


class Words(NamedTuple):
    """The last words of a script, and the place that they speak of ("" where unknown)."""

    text: str
    place: str = ""


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Give one printable line of at most `limit` bytes, without escape sequences, control characters, passwords."""
    plain = "".join(c if c.isprintable() else " " for c in _ANSI.sub("", text))
    plain = _CREDENTIALS.sub(r"\1***@", " ".join(plain.split()))
    encoded = plain.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - 3].decode("utf-8", "ignore") + "…"


def last_words(output: bytes, places: Places, exit_code: int) -> Words:
    """Find what the script said last: its last traceback or syntax error, else its last line that says something."""
    lines = _ANSI.sub("", output.decode("utf-8", "replace")).splitlines()
    spoken = [number for number, line in enumerate(lines) if re.search(r"\w", line)]
    if not spoken:
        return Words("")
    found = _traceback(lines)
    if found and (exit_code == 1 or found[1] == spoken[-1]):
        return Words(lines[found[1]].strip(), _place(lines[found[0] : found[1]], places))
    return Words(lines[spoken[-1]].strip())


def explain_exit(status: int, words: Words, places: Places, out_of_memory: bool) -> Tuple[str, str]:
    """Give reason and message for an exit code (negative: a signal) of a script that we did not end."""
    place = words.place or places.script
    said = f": {words.text}" if words.text else ""
    if out_of_memory:
        what = "was killed" if status < 0 else f"exited with code {status} after one of its processes was killed"
        return "OutOfMemory", f"{place}: {what} because it used more memory than it may: {_MEMORY}{said}"
    if status < 0:
        return "Signal", f"{place}: was killed by {_signal_name(-status)}{said}"
    if status == 0:
        return "Completed", f"{places.script}: completed"
    reason, remedy = _import_error(words.text, places)
    return reason, f"{place}: exited with code {status}{said}{remedy}"


def oom_kills() -> int:
    """Count how often the kernel has killed for memory in this container's cgroup (v2, then v1); 0 if unknown."""
    for path, key in (
        ("/sys/fs/cgroup/memory.events", "oom_kill"),
        ("/sys/fs/cgroup/memory/memory.oom_control", "oom_kill"),
        ("/sys/fs/cgroup/memory/memory.failcnt", ""),  # kernels before 4.13
    ):
        count = _counter(path, key)
        if count is not None:
            return count
    return 0


def _counter(path: str, key: str) -> Optional[int]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            fields = [line.split() for line in file.read(4096).splitlines()]
    except OSError:
        return None
    wanted = [line[-1] for line in fields if line and (line[0] == key if key else len(line) == 1)]
    return int(wanted[0]) if wanted and wanted[0].isdigit() else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _import_error(text: str, places: Places) -> Tuple[str, str]:
    missing = _MODULE.match(text)
    if missing:
        module = missing.group("module").split(".")[0]
        return "ImportError", f" (add the package of `{module}` to {places.requirements})"
    if text.startswith("ImportError:"):
        return "ImportError", f" (name versions that fit each other in {places.requirements})"
    return "ExitCode", ""


def _traceback(lines: List[str]) -> Optional[Tuple[int, int]]:
    """Find the last block of `File` lines: where it begins, and the line of its exception."""
    files = [number for number, line in enumerate(lines) if _FILE.match(line)]
    if not files:
        return None
    words = files[-1]
    while words < len(lines) and (not lines[words].strip() or lines[words].startswith(" ")):
        words += 1
    first = files[-1]
    while first > 0 and lines[first - 1].startswith(" "):
        first -= 1
    return (first, words) if words < len(lines) else None


def _place(block: List[str], places: Places) -> str:
    """Give the deepest file inside the checkout and its line, relative to the project (or else to the checkout)."""
    for line in reversed(block):
        match = _FILE.match(line)
        if match:
            path = os.path.normpath(os.path.join(places.folder, match.group("file")))
            for root in (places.project, places.checkout):
                if path.startswith(root + os.sep):
                    return f"{path[len(root) + 1 :]}:{match.group('line')}"
    return ""
