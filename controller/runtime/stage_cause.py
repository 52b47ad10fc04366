"""Why a script ended, in one line: its place, its words and the remedy, from its exit and from its output's end.

Imported only once a script has not ended well.
"""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Sequence, Tuple

if TYPE_CHECKING:
    from controller.runtime.stage_order import ScriptPlaces
    from controller.runtime.stage_text import SEQUENCE, clean
else:  # published side by side: the script's folder is where Python looks first
    from stage_text import SEQUENCE, clean

CELL = ", cell "  # behind the path of a notebook: notebook_kernel.py names its cells so
LINE = 2048  # characters of a line: patterns may take the square of it
CHAIN = 20  # exceptions that were each raised for another one
MORE = 2  # lines behind the first of an exception that is not whole
WORDS_LIMIT = 500  # bytes of the script's own words where a remedy follows
MEMORY = "raise MEMORY_LIMIT_MB (or MEMORY_REQUEST_MB, if no limit is set) or use less memory"
_FILE = re.compile(r'\s*File "(?P<file>.+)", line (?P<line>\d+)(?:, in (?P<function>.+))?')
_END = re.compile(r"\r\n|\r|\n")  # and no others, as of U+2028: they are part of what was said
_HEADER = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"((\w+\.)*[A-Z]\w*|(\w+\.)+\w+)(:( .*)?|\s*)$")
_GROUP = "Exception Group Traceback (most recent call last):"
_BAR = re.compile(r"\s*\+(?P<deeper>-\+)?-{5,}( (\d+|\.\.\.) -+)?$")  # around each exception of a group
_DIRECTLY = "The above exception was the direct cause of the following exception:"
_MEANWHILE = "During handling of the above exception, another exception occurred:"
_GOES_ON = re.compile(r"[:({\[]\s*$|\d+ validation errors? for \S+$")  # as the words of numpy, pandas and pydantic do
SLOW = re.compile(r"g\+\+ not (?:detected|available)")  # PyTensor goes on without, far slower
_UNGUARDED = re.compile(  # said by the new process, and not by that of the script
    "An attempt has been made to start a new process before the|^RuntimeError: context has already been set"
)
_CUT = re.compile(r"[A-Z]\w*(Error|Exception|Interrupt|Exit)(: .*|\s*)$")  # behind half a line of another process
_SIGNALS: Dict[int, str] = {
    signal.SIGSEGV: "a crash in a native library; `PYTHONFAULTHANDLER = 1` in `[env]` shows where",
    signal.SIGABRT: "a native library gave up; `PYTHONFAULTHANDLER = 1` in `[env]` shows where",
    signal.SIGILL: "a native library was made for another processor",
    signal.SIGBUS: "a native library, or no room in /dev/shm, which is memory",
    signal.SIGKILL: "not for its memory limit: the node may have run out, or somebody did it",
}


class Frame(NamedTuple):
    """One level of a traceback."""

    named: str  # the file as the traceback has it
    path: str  # absolute
    function: str  # "" of a syntax error, which has no call
    code: str  # the line, "" where the file is not there
    place: str  # file and line as the user knows them, "" outside of the checkout

    @property
    def is_own_raise(self) -> bool:
        """Return whether the line is a `raise` of the user's own."""
        return bool(self.place and re.search(r"(^|:\s*)raise\b", self.code))


class Said(NamedTuple):
    """What the output of a script ends with."""

    text: str = ""  # its exception, else its last line with a word in it
    place: str = ""  # of the exception in the user's files, "" where unknown
    trace: Sequence[Frame] = ()
    final: bool = False  # nothing was said after the exception
    output: str = ""
    cause: Optional[Said] = None  # the exception that it was raised for

    @property
    def words(self) -> str:
        """Return the exception, and the one that it was raised for with its place, without words that it repeats."""
        cause = self.cause
        if not cause or cause.text == self.text:
            return self.text
        kind, _, said = cause.text.partition(": ")
        repeated = (said or kind) in self.text
        where = f" ({cause.place})" if cause.place not in ("", self.place) else ""
        return (
            f"{self.text}, caused by {kind if repeated else cause.text}{where}" if where or not repeated else self.text
        )


def read(output: bytes, places: ScriptPlaces, status: int) -> Said:
    """Return what a script said last: its last traceback or syntax error, else its last line with a word in it."""
    text = re.sub(SEQUENCE, "", output.decode("utf-8", "replace"))
    lines = [line if len(line) <= LINE else line[: LINE // 2] + line[-LINE // 2 :] for line in _END.split(text)]
    return _read(lines, places, status, CHAIN)._replace(output=text)


def _read(lines: List[str], places: ScriptPlaces, status: int, chain: int) -> Said:
    unguarded = [number for number, line in enumerate(lines) if _UNGUARDED.search(line)]
    if unguarded:
        lines, status = lines[: unguarded[-1] + 2], 1
    lines, group = _first_of_group(lines)
    spoken = [number for number, line in enumerate(lines) if re.search(r"\w", line)]
    if not spoken:
        return Said()
    found = _traceback(lines)
    if not found:
        return Said(lines[spoken[-1]].strip())
    first, last = found
    trace = _frames(lines[first:last], places)
    goes_on = bool(_GOES_ON.search(lines[last]))
    final = goes_on or last >= spoken[-1] or bool(unguarded)
    if status != 1 and last != spoken[-1]:
        return Said(lines[spoken[-1]].strip(), "", trace, final)
    exception = lines[last].strip()
    cut = None if _EXCEPTION.match(exception) else _CUT.search(exception)
    exception = cut.group() if cut else exception
    if goes_on:
        more = [line.strip() for line in lines[last + 1 :] if re.search(r"\w", line)]
        exception = " ".join([exception, *more[:MORE]])
    cause = _cause(lines[:first], trace, places, chain) if chain else None
    place = next((frame.place for frame in reversed(trace) if frame.place), "")
    if cause and (cause.text == exception or not place):  # of another process: this one only raised it again
        place = cause.place or place
    return Said(f"{exception}{group}", place, trace, final, cause=cause)


def _cause(before: List[str], trace: Sequence[Frame], places: ScriptPlaces, chain: int) -> Optional[Said]:
    """Return the exception that the last one was raised for: by `raise ... from`, or by a `raise` of the user's own."""
    said = next((number for number in range(len(before) - 1, -1, -1) if before[number].strip()), -1)
    link = before[said] if said >= 0 else ""
    if link != _DIRECTLY and not (link == _MEANWHILE and trace and trace[-1].is_own_raise):
        return None
    inner = _read(before[:said], places, 1, chain - 1)
    return inner.cause or inner


def _first_of_group(lines: List[str]) -> Tuple[List[str], str]:
    """Return the lines with the first exception of the last group in its place, and what to add of the others."""
    starts = [number for number, line in enumerate(lines) if line.endswith(_GROUP)]
    bars = [number for number in range(starts[-1] if starts else len(lines), len(lines)) if _BAR.match(lines[number])]
    for bar, following in zip(bars, bars[1:]):  # noqa: B905, RUF007 - Python 3.8
        match = _BAR.match(lines[following])
        if match and not match.group("deeper"):
            plain = [re.sub(r"^\s*[|+] ?", "", line) for line in lines]
            raised = [] if any(map(_FILE.match, plain[bar:following])) else plain[starts[-1] : bars[0] - 1]
            leaf = [*raised, *plain[bar + 1 : following]]
            return [
                *lines[: starts[-1]],
                *leaf,
                *lines[bars[-1] + 1 :],
            ], f" (the first of {plain[bars[0] - 1].strip()})"
    return lines, ""


def explain(
    status: int, said: Said, places: ScriptPlaces, out_of_memory: bool, reason: str = "ExitCode", remedy: str = ""
) -> Tuple[str, str]:
    """Return reason and message for an exit code (negative: a signal) of a script that we did not end."""
    place = said.place or places.script
    words = f": {said.words}" if said.words else ""
    if out_of_memory:
        what = "was killed" if status < 0 else f"exited with code {status} after one of its processes was killed"
        return "OutOfMemory", f"{place}: {what} because it used more memory than it may: {MEMORY}{words}"
    if status < 0:
        known = {number.value: number.name for number in signal.Signals}
        hint = f" ({_SIGNALS[-status]})" if -status in _SIGNALS else ""
        return "Signal", f"{place}: was killed by {known.get(-status, f'signal {-status}')}{hint}{words}"
    if remedy:
        words = clean(words, WORDS_LIMIT)
    ended = "" if CELL in place and status == 1 else f": exited with code {status}"  # a cell is no process
    return reason, f"{place}{ended}{words}{f' ({remedy})' if remedy else ''}"


def _traceback(lines: List[str]) -> Optional[Tuple[int, int]]:
    """Return where the last block of `File` lines begins, and the line of its exception; None without one.

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


def _frames(block: List[str], places: ScriptPlaces) -> List[Frame]:
    """Return the levels of a traceback; a file of the checkout gets its place in the project, or else in the checkout.

    Compiled libraries name files relative to their own sources, which look as if they were in the stage's folder.
    """
    frames = []
    for number, line in enumerate(block):
        match = _FILE.match(line)
        if not match:
            continue
        named = os.path.normpath(os.path.join(places.folder, match.group("file")))
        path, is_cell, cell = named.partition(CELL)
        roots = [root for root in (places.project, places.checkout) if path.startswith(root + os.sep)]
        line_of = f"{is_cell}{cell}, line " if is_cell else ":"
        place = f"{path[len(roots[0]) + 1 :]}{line_of}{match.group('line')}" if roots and os.path.isfile(path) else ""
        code = block[number + 1].strip() if block[number + 1 : number + 2] and block[number + 1][:1] == " " else ""
        frames.append(Frame(match.group("file"), path, match.group("function") or "", code, place))
    return frames
