"""What has no wheel for this Python, said before it is compiled for minutes: which lines, and which Pythons have all.

uv itself is asked, which knows index, proxy, day and cache. It is best effort: what can't be told soon is not told.
Packages that have no wheel for any Python are plain sources as a rule, and no reason for another one.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import TYPE_CHECKING, Dict, FrozenSet, List, NamedTuple, Optional, Set

if TYPE_CHECKING:
    from controller.runtime.install_image import canonical
    from controller.runtime.install_requirements import Prepared
    from controller.runtime.install_uv import Uv
else:  # published side by side
    from install_image import canonical

PYTHONS = tuple(f"3.{minor}" for minor in range(8, 15))
LIMIT = 20.0  # seconds for all questions
MOST = 20  # packages that are found to have no wheel
SHOWN = 5
_NAMED = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)(?:\[[^\[\]]*\])?(?:[=~!<>][^;@]*)?(?: ;.*)?(?: --hash=\S+)*")
_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", "--only-binary")
_WANTED = re.compile(r"Wheels are required for `([^`]+)`")


class Advice(NamedTuple):
    """What to say before the installation, and once it has failed; "" for nothing."""

    warning: str = ""
    remedy: str = ""


class _Asked(NamedTuple):
    uv: Uv
    command: List[str]  # before what differs
    options: List[str]  # lines
    lines: Dict[str, str]  # what is asked for by name
    file: str
    until: float


def look(uv: Uv, python: str, prepared: Prepared, scratch: str) -> Advice:
    """Return what is to be known of the requirements that are named without an address."""
    asked = _asked(uv, python, prepared, scratch)
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    here = _lacking(asked, [])
    if not here:
        return Advice()
    there = {other: _lacking(asked, ["--python-version", other]) for other in PYTHONS if other != own}
    known = {other: names for other, names in there.items() if names is not None}
    sources = here.intersection(*known.values())
    if sources:
        print(f"coachwork: made from source, as there is no wheel: {', '.join(sorted(sources))}", flush=True)
    if here == sources:
        return Advice()
    places = {canonical(line.text.partition("=")[0]): line.place for line in prepared.files[0].lines}
    told = [
        f"`{asked.lines[name].split(' ')[0]}` ({places.get(name, prepared.name)})" for name in sorted(here - sources)
    ]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    fit = [other for other, names in known.items() if names <= sources]
    remedy = _remedy(fit, prepared.name)
    return Advice(f"no wheel for Python {own}: {', '.join(told[:SHOWN])}{more}: compiling takes long; {remedy}", remedy)


def _remedy(fit: List[str], name: str) -> str:
    if not fit:
        return "no Python has wheels for everything asked for: choose other versions"
    key = f'python: "{fit[-1]}"' if name.startswith("bodywork.yaml") else f"PYTHON = {fit[-1]}"
    return f"everything asked for has wheels for Python {', '.join(fit)}: write {key}"


def _asked(uv: Uv, python: str, prepared: Prepared, scratch: str) -> _Asked:
    texts = prepared.files[0].texts
    named = [(found["name"], text) for text in texts for found in [_NAMED.fullmatch(text)] if found]
    compiled = {text.partition(" ")[2] for text in texts if text.startswith("--no-binary ")}
    lines = {name: text for name, text in named if name not in compiled and ":all:" not in compiled}
    rest = [argument for argument in prepared.arguments[2:] if argument != "--require-hashes"]
    command = ["pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:", "--python", python, *rest]
    patient = uv._replace(environment={**uv.environment, "UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10"})
    options = [text for text in texts if text.partition(" ")[0] in _OPTIONS]
    file = os.path.join(scratch, "wheels.txt")
    return _Asked(patient, command, options, lines, file, time.monotonic() + LIMIT)


def _lacking(asked: _Asked, python: List[str]) -> Optional[FrozenSet[str]]:
    """Return the packages without a wheel; None where it can't be had or told."""
    lines: Dict[str, str] = dict(asked.lines)
    lacking: Set[str] = set()
    while lines and len(lacking) < MOST and time.monotonic() < asked.until:
        with open(asked.file, "w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in [*asked.options, *lines.values()])
        done = asked.uv.run(
            [*asked.command, *python, "--requirements", asked.file], os.path.dirname(asked.file), say=False
        )
        if not done.code:
            return frozenset(lacking)
        wanted = _WANTED.search(done.output)
        name = canonical(wanted[1]) if wanted else ""
        if name not in lines:
            return None
        lacking.add(name)
        del lines[name]
    return None if lines else frozenset(lacking)
