"""What has no wheel for this Python, said before it is compiled for minutes: which lines, and which Pythons have all.

uv itself is asked, which knows index, proxy, day and cache. It is best effort: what can't be known soon is not said.
Packages that have no wheel for any Python are plain sources as a rule, and no reason for another one.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import TYPE_CHECKING, Dict, FrozenSet, List, NamedTuple, Optional, Set

if TYPE_CHECKING:
    from controller.runtime.install_requirements import Prepared
    from controller.runtime.install_uv import Uv, canonical
else:  # published side by side
    from install_uv import canonical

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


class _WheelSearch(NamedTuple):
    uv: Uv
    command: List[str]  # before what differs
    options: List[str]  # lines
    lines: Dict[str, str]  # what is asked for by name
    file: str
    until: float


def advise(uv: Uv, python: str, prepared: Prepared, scratch: str) -> Advice:
    """Return what is to be known of the requirements that are named without an address."""
    question = _question(uv, python, prepared, scratch)
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    here = _lacking(question, [])
    if not here:
        return Advice()
    there = {other: _lacking(question, ["--python-version", other]) for other in PYTHONS if other != own}
    known = {other: names for other, names in there.items() if names is not None}
    sources = here.intersection(*known.values())
    if sources:
        print(f"coachwork: built from source, as no wheel exists: {', '.join(sorted(sources))}", flush=True)
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


def _question(uv: Uv, python: str, prepared: Prepared, scratch: str) -> _WheelSearch:
    items = prepared.files[0].items
    compiled = {item.value for item in items if item.option == "--no-binary"}
    named = {item.name: item.text for item in items if item.by_version}
    lines = {name: text for name, text in named.items() if name not in compiled and ":all:" not in compiled}
    rest = [argument for argument in prepared.arguments[2:] if argument != "--require-hashes"]
    command = ["pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:", "--python", python, *rest]
    patient = uv._replace(environment={**uv.environment, "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10"})
    texts = prepared.files[0].texts
    options = [texts[number] for number, item in enumerate(items) if item.option in _OPTIONS]
    file = os.path.join(scratch, "wheels.txt")
    return _WheelSearch(patient, command, options, lines, file, time.monotonic() + LIMIT)


def _lacking(question: _WheelSearch, python: List[str]) -> Optional[FrozenSet[str]]:
    """Return the packages without a wheel; None where that can't be found out."""
    lines: Dict[str, str] = dict(question.lines)
    lacking: Set[str] = set()
    while lines and len(lacking) < MOST and time.monotonic() < question.until:
        with open(question.file, "w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in [*question.options, *lines.values()])
        done = question.uv.run(
            [*question.command, *python, "--requirements", question.file], os.path.dirname(question.file), say=False
        )
        if not done.code:
            return frozenset(lacking)
        lacks = _LACKING.search(done.output)
        name = canonical(lacks[1]) if lacks else ""
        if name not in lines:
            return None
        lacking.add(name)
        del lines[name]
    return None if lines else frozenset(lacking)
