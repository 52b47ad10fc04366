"""Why no versions fit, from uv's derivation: the user's lines, the cause, what exists, what to do.

uv says `Because PREMISE and you require X, we can conclude that CONCLUSION. And because ...`. Only these words are
relied on, and those of a premise that has a remedy of its own; everything else stays as uv says it, conclusion and all.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional, Sequence

if TYPE_CHECKING:
    from controller.runtime import stage_packages
    from controller.runtime.install_requirements import ListedItem
    from controller.runtime.stage_text import canonical
else:  # published side by side
    import stage_packages
    from stage_text import canonical

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
LONGEST = 32 * 1024  # characters of a derivation: the output of a package's own build may look like one
_PREMISES = re.compile(r"(?:And b|B)ecause (.*?),? we can conclude that ")
_REQUIRED = re.compile(r"\byou require ([\w.-]*\w)")
_OTHER_PYTHON = re.compile(r"does not satisfy Python(?P<python>[<>=!~]\S+)")
_NO_WHEEL = re.compile(r"has no (?:usable wheels|wheels with a matching)")
_YANKED = re.compile(r"was yanked \(reason: (?P<why>.*?)\)(?= and |,? we )")
_TAG = re.compile(r"`cp3(\d+)m?`")
_HINT = re.compile(r"^\s*hint: (.*?)(?=^\s*hint: |\Z)", re.MULTILINE | re.DOTALL)
_HINT_SAYS_NOTHING = "Build failures usually indicate"
_IN_OUR_WORDS = (  # options of uv's command line, which nobody has here
    (r"`--prerelease[= ]allow`", "`--pre` in the requirements"),
    (r"use `--index-strategy unsafe-best-match`", "set UV_INDEX_STRATEGY to unsafe-best-match in the `index-secret`"),
)


class Known(NamedTuple):
    """What is known of an installation besides what uv says."""

    asked: str = "the package index"
    newest: Optional[Callable[[str], str]] = None  # version that fits a requirement, for this Python; "": unknown
    remedy: str = ""  # where something had to be compiled
    key: str = "PYTHON"  # that chooses a Python
    day: str = ""  # packages as of it


class Finding(NamedTuple):
    """A sentence about lines of the user's; the place of the first one."""

    place: str
    text: str


def find(said: str, output: str, items: Sequence[ListedItem], known: Known) -> Finding:
    """Return what a derivation means for the user; one without a known remedy in uv's own words."""
    said = said[:LONGEST]
    required = {canonical(name) for name in _REQUIRED.findall(said)}
    lines = [item for item in items if item.name in required]
    day = f" (packages as of {known.day})" if known.day else ""
    place = lines[0].place if lines else ""
    if len(lines) > 1:
        return Finding(place, f"{_together(said, lines)}{day}")
    text = _alone(said, output, lines[0], known) if lines else ""
    return Finding(place, f"{text}{day}" if text else f"{said}{day}{hint(output)}")


def _together(said: str, lines: List[ListedItem]) -> str:
    """Return why lines do not fit each other."""
    others = [f"`{_short(item)}` ({item.place})" for item in lines[1:]]
    premises = [re.split(r"(?:^| and )you require ", premise)[0] for premise in _PREMISES.findall(said)]
    why = re.sub(r"\{[^}]*\}", "", "; ".join(dict.fromkeys(filter(None, premises))))  # {for which Python}
    together = f"`{_short(lines[0])}` can't be installed with {' and '.join(others)}"
    return f"{together}{f': {why}' if why else ''}: change one of these lines"


def _alone(said: str, output: str, line: ListedItem, known: Known) -> str:
    """Return why nothing fits a line whatever the others say, "" if that is not known."""
    name, short = re.escape(line.name), _short(line)
    if re.search(rf"\b{name} was not found in ", said):
        return not_found(line.name, known.asked)
    if " depends on " in said and not _OTHER_PYTHON.search(said):
        return ""
    other, yanked, exists = _OTHER_PYTHON.search(said), _YANKED.search(said), _existing(line, known)
    choice, python = f"choose {exists or 'another version'}", f", or another Python by {known.key}"
    if other and re.search(rf"\b{name}\S* depends on Python", said):
        why = f"`{short}` needs Python {other['python']}, and this is Python {PYTHON}"
    elif _NO_WHEEL.search(said):
        tags = re.search(r" tags?: (.*)", hint(output))
        minors = sorted({int(minor) for minor in _TAG.findall(tags[1])}) if tags else []
        only = f", only for Python {', '.join(f'3.{minor}' for minor in minors)}" if minors else ""
        why = f"`{short}` has no wheel for Python {PYTHON} here{only}"
    elif yanked:
        why, python = f"`{short}` fits only what was taken back ({yanked['why']})", ""
    elif re.search(rf"there is no version of {name}\b|only (the following versions of )?{name}\b.* available", said):
        why, python = f"there is no `{short}` in {known.asked}", ""
    else:
        return ""
    return f"{why}: {choice}{python}"


def not_found(name: str, index: str) -> str:
    """Return what is wrong with the name of a package that no index has; names of strangers' packages are no advice."""
    if re.fullmatch(r"python-?[0-9.-]*", name):
        return f"`{name}` is Python itself, not a package: remove the line; PYTHON chooses the version"
    if stage_packages.is_in_python(name):
        return f"`{name}` is a part of Python itself, not a package: remove the line"
    package = stage_packages.meant(name)
    return f"`{name}` was not found in {index}: {f'write {package}' if package else 'is the name right?'}"


def hint(output: str) -> str:
    """Return what uv adds to an error as its advice, to be put behind a sentence; "" for nothing."""
    found = [" ".join(text.split()) for text in _HINT.findall(output)]
    text = "; ".join(text for text in found if not text.startswith(_HINT_SAYS_NOTHING))
    for theirs, ours in _IN_OUR_WORDS:
        text = re.sub(theirs, ours, text)
    return f" (uv: {text})" if text else ""


def _existing(line: ListedItem, known: Known) -> str:
    """Return the newest version for this Python and, for a pin of an older one, the newest before it; "": unknown."""
    if not known.newest:
        return ""
    newest = known.newest(line.name)
    pin = re.search(r"[=~]=\s*([0-9][\w.]*)", line.text)
    before = known.newest(f"{line.name}<{pin[1]}") if pin and newest else ""
    older = f" or {before} (the newest before {pin[1]})" if pin and before not in ("", newest) else ""
    return f"{newest} (the newest for Python {PYTHON}){older}" if newest else ""


def _short(item: ListedItem) -> str:
    return item.text.split(" ")[0]
