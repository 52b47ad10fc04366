"""What has no wheel for this Python, said before it is compiled for minutes: which lines, and which Pythons have all.

uv itself is asked, which knows index, proxy, day and cache. It is best effort: what can't be known soon is not said.
Packages that have no wheel for any Python are plain sources as a rule, and no reason for another one.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import TYPE_CHECKING, FrozenSet, Iterable, List, NamedTuple, Optional, Sequence, Set

if TYPE_CHECKING:
    from controller.runtime.install_progress import say
    from controller.runtime.install_requirements import Prepared
    from controller.runtime.install_uv import Done, Uv
    from controller.runtime.stage_text import canonical
else:  # published side by side
    from install_progress import say
    from stage_text import canonical

PYTHONS = tuple(f"3.{minor}" for minor in range(8, 15))
LIMIT = 20.0  # seconds for all questions
MOST = 20  # packages that are found to have no wheel
SHOWN = 5
_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", "--only-binary")
_LACKING = re.compile(r"Wheels are required for `([^`]+)`")


class Advice(NamedTuple):
    """What to say before the installation, and once it has failed; "" for nothing."""

    warning: str = ""
    remedy: str = ""


def advise(search: Search, prepared: Prepared) -> Advice:
    """Return what is to be known of the requirements that are named without an address."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    here = search.lacking()
    if not here:
        return Advice()
    there = {other: search.lacking(["--python-version", other]) for other in PYTHONS if other != own}
    known = {other: names for other, names in there.items() if names is not None}
    sources = here.intersection(*known.values())
    if sources:
        say(f"built from source, as no wheel exists: {', '.join(sorted(sources))}")
    if here == sources:
        return Advice()
    items = {item.name: item for item in prepared.files[0].items if item.by_version}
    lacking = [f"`{items[name].text.split(' ')[0]}` ({items[name].place})" for name in sorted(here - sources)]
    more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    fit = [other for other, names in known.items() if names <= sources]
    remedy = "no Python has wheels for everything asked for: choose other versions"
    if fit:
        key = f'python: "{fit[-1]}"' if prepared.name.startswith("bodywork.yaml") else f"PYTHON = {fit[-1]}"
        remedy = f"everything asked for has wheels for Python {', '.join(fit)}: write {key}"
    return Advice(
        f"no wheel for Python {own}: {', '.join(lacking[:SHOWN])}{more}: compiling takes long; {remedy}", remedy
    )


class Search:
    """Asks uv what there is: which packages named without an address have no wheel, for `LIMIT` seconds in all."""

    def __init__(self, uv: Uv, python: str, prepared: Prepared, scratch: str) -> None:
        items, texts = prepared.files[0].items, prepared.files[0].texts
        compiled = {item.value for item in items if item.option == "--no-binary"}
        named = {item.name: item.text for item in items if item.by_version}
        rest = [argument for argument in prepared.arguments[2:] if argument != "--require-hashes"]
        self._lines = {name: text for name, text in named.items() if name not in compiled and ":all:" not in compiled}
        self._options = [texts[number] for number, item in enumerate(items) if item.option in _OPTIONS]
        self._command = ["pip", "install", "--dry-run", "--no-deps", "--python", python, *rest]
        self._uv = uv._replace(environment={**uv.environment, "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10"})
        self._folder, self._file = scratch, os.path.join(scratch, "wheels.txt")
        self._until = time.monotonic() + LIMIT

    def newest(self, requirement: str) -> str:
        """Return the newest version that fits one requirement, whatever constraints say; "" where none is known."""
        at = self._command.index("--constraints") if "--constraints" in self._command else len(self._command)
        done = self._ask([*self._command[:at], *self._command[at + 2 :]], [requirement])
        found = re.search(r"^ \+ \S+==(\S+)$", done.output, re.MULTILINE)
        return found[1] if found and not done.code else ""

    def lacking(self, python: Sequence[str] = ()) -> Optional[FrozenSet[str]]:
        """Return the packages without a wheel; None where that can't be found out."""
        lines = dict(self._lines)
        lacking: Set[str] = set()
        while lines and len(lacking) < MOST and time.monotonic() < self._until:
            done = self._ask([*self._command, "--only-binary", ":all:", *python], lines.values())
            if not done.code:
                return frozenset(lacking)
            lacks = _LACKING.search(done.output)
            name = canonical(lacks[1]) if lacks else ""
            if name not in lines:
                return None
            lacking.add(name)
            del lines[name]
        return None if lines else frozenset(lacking)

    def _ask(self, command: List[str], lines: Iterable[str]) -> Done:
        with open(self._file, "w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in [*self._options, *lines])
        return self._uv.run([*command, "--requirements", self._file], self._folder, quiet=True)
