"""Why a script ended, in one line: its place, its words and the remedy, from its exit, its output's end and cgroups."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from controller.runtime.stage_order import Places
    from controller.runtime.stage_text import SEQUENCE, clean
else:
    from stage_text import SEQUENCE, clean

WORDS_LIMIT = 500  # bytes of the script's own words where a remedy follows
SHARED_MEMORY, TEMPORARY = "/dev/shm", "/tmp/"  # noqa: S108 - only compared with paths of the script
_FILE = re.compile(r'\s*File "(?P<file>.+)", line (?P<line>\d+)(?:, in (?P<function>.+))?')
_HEADER = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"((\w+\.)*[A-Z]\w*|(\w+\.)+\w+)(:( .*)?|\s*)$")
_CUT = re.compile(r"[A-Z]\w*(Error|Exception|Interrupt|Exit)(: .*|\s*)$")  # behind half a line of another process
_MODULE = re.compile(r"ModuleNotFoundError: No module named '(?P<module>[^']+)'")
_LIBRARY = re.compile(r"(?:ImportError|OSError): (?P<library>\S+\.so\S*): cannot open shared object file")
_FULL = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full")
_NO_MEMORY = re.compile(
    r"(\w+\.)*(MemoryError|_ArrayMemoryError)\b|.*(Cannot allocate memory|Unable to allocate \S+ \w*B)"
)
_PATH = re.compile(r"'(?P<path>/[^']*)'")
_SIGNALS: Dict[int, str] = {
    signal.SIGSEGV: "a crash in a native library; `PYTHONFAULTHANDLER = 1` in `[env]` shows where",
    signal.SIGABRT: "a native library gave up; `PYTHONFAULTHANDLER = 1` in `[env]` shows where",
    signal.SIGILL: "a native library was made for another processor",
    signal.SIGBUS: "a native library, or no room in /dev/shm, which counts as memory",
    signal.SIGKILL: "not for its memory limit: the node may have run out, or somebody did it",
}
_KNOWN = {
    "Read-only file system": "write to the stage's own folder, COACHWORK_ARTIFACTS of a batch stage or COACHWORK_CACHE",
    "Address already in use": "another process of the stage has the port",
}
_MEMORY = "raise MEMORY_LIMIT_MB (or MEMORY_REQUEST_MB, if no limit is set) or use less memory"


class Frame(NamedTuple):
    """One level of a traceback."""

    named: str  # the file as the traceback has it
    path: str  # absolute
    function: str  # "" of a syntax error, which has no call
    code: str  # the line, "" where the file is not there
    place: str  # file and line as the user knows them, "" outside of the checkout


class Words(NamedTuple):
    """The last words of a script, and the place that they speak of ("" where unknown)."""

    text: str
    place: str = ""


def last_words(output: bytes, places: Places, exit_code: int) -> Words:
    """Find what the script said last: its last traceback or syntax error, else its last line that says something."""
    lines = SEQUENCE.sub("", output.decode("utf-8", "replace")).splitlines()
    spoken = [number for number, line in enumerate(lines) if re.search(r"\w", line)]
    if not spoken:
        return Words("")
    found = _traceback(lines)
    if found and (exit_code == 1 or found[1] == spoken[-1]):
        frames = _frames(lines[found[0] : found[1]], places)
        return Words(_exception(lines, found[1]), next((frame.place for frame in reversed(frames) if frame.place), ""))
    return Words(lines[spoken[-1]].strip())


def last_trace(output: bytes, places: Places) -> Tuple[List[Frame], bool]:
    """Return the levels of the last traceback, and whether nothing was said after its exception."""
    lines = SEQUENCE.sub("", output.decode("utf-8", "replace")).splitlines()
    found = _traceback(lines)
    if not found:
        return [], False
    after = [line for line in lines[found[1] + 1 :] if re.search(r"\w", line)]
    goes_on = lines[found[1]].rstrip().endswith(":")  # as the words of numpy's and pandas' ImportErrors do
    return _frames(lines[found[0] : found[1]], places), goes_on or not after


def explain_exit(
    status: int, words: Words, places: Places, out_of_memory: bool, advice: Tuple[str, str] = ("", "")
) -> Tuple[str, str]:
    """Return reason and message for an exit code (negative: a signal) of a script that we did not end.

    `advice` is a reason and a remedy that are better than those that the last words have ("": they are not).
    """
    place = words.place or places.script
    said = f": {words.text}" if words.text else ""
    if out_of_memory:
        what = "was killed" if status < 0 else f"exited with code {status} after one of its processes was killed"
        return "OutOfMemory", f"{place}: {what} because it used more memory than it may: {_MEMORY}{said}"
    if status < 0:
        hint = _SIGNALS.get(-status, "")
        return "Signal", f"{place}: was killed by {_signal_name(-status)}{f' ({hint})' if hint else ''}{said}"
    if status == 0:
        return "Completed", f"{places.script}: completed"
    reason, remedy = map(lambda better, known: better or known, advice, _remedy(words.text, places))
    if remedy:
        said = clean(said, WORDS_LIMIT)
    return reason, f"{place}: exited with code {status}{said}{f' ({remedy})' if remedy else ''}"


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


def _remedy(text: str, places: Places) -> Tuple[str, str]:
    """Give the reason and what to change ("": nobody can tell) for the last words of a script that failed."""
    package = _package(text, places)
    if package:
        return "ImportError", package
    if _NO_MEMORY.match(text):
        return "OutOfMemory", _MEMORY
    if _FULL.search(text):
        return "DiskFull", _room(text, places)
    return "ExitCode", next((remedy for words, remedy in _KNOWN.items() if words in text), "")


def _package(text: str, places: Places) -> str:
    """Give what to change for an import that failed, "" for anything else."""
    missing, library = _MODULE.match(text), _LIBRARY.match(text)
    if missing:
        return f"add the package of `{missing.group('module').split('.')[0]}` to {places.requirements}"
    if library:
        return f"the image has no `{library.group('library')}`: use one that has it, or another package"
    return f"name versions that fit each other in {places.requirements}" if text.startswith("ImportError:") else ""


def _room(text: str, places: Places) -> str:
    """Tell which disk is full, where the path tells it, and what to do."""
    found = _PATH.search(text)
    path = os.path.normpath(os.path.join(places.folder, found.group("path"))) if found else ""
    volume = [os.environ.get(name, "") for name in ("COACHWORK_ARTIFACTS", "COACHWORK_CACHE")]
    if any(folder and f"{path}/".startswith(f"{folder}/") for folder in volume):
        return "the shared volume is full: delete old runs, lower keep-runs, or enlarge it"
    if path.startswith(SHARED_MEMORY):
        return f"{SHARED_MEMORY} is full; it counts as memory: {_MEMORY}"
    if path.startswith((os.path.dirname(places.checkout) + os.sep, TEMPORARY)):
        return "the pod's own disk is full: write less, or to COACHWORK_CACHE"
    return "full is the shared volume, if it was written to COACHWORK_ARTIFACTS or COACHWORK_CACHE, else the pod's disk"


def _traceback(lines: List[str]) -> Optional[Tuple[int, int]]:
    """Find the last block of `File` lines: where it begins, and the line of its exception.

    Lines of other processes may have come in between: an exception is what looks like one, else the first line.
    """
    files = [number for number, line in enumerate(lines) if _FILE.match(line)]
    if not files:
        return None
    after = [
        number for number in range(files[-1], len(lines)) if lines[number].strip() and not lines[number].startswith(" ")
    ]
    if not after:
        return None
    words = next((number for number in after if _EXCEPTION.match(lines[number])), None)
    if words is None:
        words = next((number for number in after if _CUT.search(lines[number])), after[0])
    first = files[-1]
    while first > 0 and lines[first - 1] and not _EXCEPTION.match(lines[first - 1]):
        first -= 1
        if lines[first].endswith(_HEADER):
            break
    return first, words


def _exception(lines: List[str], number: int) -> str:
    """Return the line of an exception, with the next that says something where its words go on there."""
    text = lines[number].strip()
    cut = None if _EXCEPTION.match(text) else _CUT.search(text)
    text = cut.group() if cut else text
    more = (line.strip() for line in lines[number + 1 :] if re.search(r"\w", line))
    return f"{text} {next(more, '')}".strip() if text.endswith(":") else text


def _frames(block: List[str], places: Places) -> List[Frame]:
    found = []
    for number, line in enumerate(block):
        match = _FILE.match(line)
        if match:
            path = os.path.normpath(os.path.join(places.folder, match.group("file")))
            code = block[number + 1].strip() if block[number + 1 : number + 2] and block[number + 1][:1] == " " else ""
            place = _place(path, match.group("line"), places)
            found.append(Frame(match.group("file"), path, match.group("function") or "", code, place))
    return found


def _place(path: str, line: str, places: Places) -> str:
    """Return a file of the checkout relative to the project (or else to the checkout), "" for any other.

    Compiled libraries name files relative to their own sources, which look as if they were in the stage's folder.
    """
    for root in (places.project, places.checkout):
        if path.startswith(root + os.sep) and os.path.isfile(path):
            return f"{path[len(root) + 1 :]}:{line}"
    return ""
