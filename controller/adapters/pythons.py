"""Which Python of this machine runs the stages: the one that `--python` names, else those that the project requires.

A Python is searched for where uv finds it (its own, PATH), then among pyenv's. Stages see none of its packages, unless
`--python` names a program. Refuses a project if PYTHON names a missing one; if only an image suggests it, another is
used, and a line says what to install.
"""

import glob
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from uv import find_uv_bin

from controller.adapters import storage
from controller.core import images, layout, names
from controller.core.errors import Invalid
from controller.core.images import Wish
from controller.core.model import Pipeline
from controller.core.text import clean

OLDEST = (3, images.OLDEST_MINOR)
SECONDS = 30
GOOD = "give the path of a Python 3.8 or later, or a version like 3.12"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that runs; its `version` is in full, 3.9.18."""

    path: str
    version: str
    has_packages: bool = False  # stages see what is installed there

    @property
    def minor(self) -> str:
        """The version as projects write it."""
        return ".".join(self.version.split(".")[:2])


OWN = Interpreter(getattr(sys, "_base_executable", "") or sys.executable, platform.python_version())


@dataclass(frozen=True, slots=True)
class Pythons:
    """What runs the stages: `default`, except for stages whose Python is among `others`; and lines for the user."""

    default: Interpreter = OWN
    others: Mapping[str, Interpreter] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # of images, which `lines` repeat: they are not shown twice

    def bare(self, root: Path) -> "Pythons":
        """Return the same with Pythons whose packages stages do not see, made below `root`. Raises Invalid."""
        others = {version: _bare(there, root) for version, there in self.others.items()}
        return replace(self, default=_bare(self.default, root), others=others)


def choose(pipeline: Pipeline, given: Interpreter | None = None, only: str = "") -> Pythons:
    """Return the Pythons of a project's stages, or of its stage `only`. Raises Invalid where one is missing."""
    stages = [stage for name, stage in pipeline.stages.items() if not only or name == only]
    wishes = {stage.name: images.wish(pipeline, stage) for stage in stages}
    required = {item.python: item for item in wishes.values() if item}
    notes = tuple(item.note for item in required.values() if item.note)
    if given:
        lines = [_taken(given, "all stages", "--python names it")]
        lines += [
            f"warning: {item.why}, which means Python {item.python}; --python gives {given.version}"
            for item in wishes.values()
            if item and item.python != given.minor
        ]
        return Pythons(given, {}, tuple(dict.fromkeys(lines)), notes)
    found = {version: there for version in required if (there := find(version))}
    if missing := [item for version, item in required.items() if version not in found and item.firm]:
        raise Invalid("PythonMissing", [_missing(item) for item in missing])
    main = images.wish(pipeline)
    default = found.get(main.python, OWN) if main else OWN
    lines = [f"warning: {_missing(item)}; its stages run on {OWN.version}" for version, item in required.items()
             if version not in found]  # fmt: skip
    lines += [f"warning: {item.note}" for version, item in required.items() if item.note and version in found]
    reasons: dict[tuple[str, str], list[str]] = {}
    for stage, item in wishes.items():
        if item and item.python in found:
            reasons.setdefault((item.python, item.why), []).append(stage)
    for (version, why), of in reasons.items():
        lines.append(_taken(found[version], ", ".join(of), why))
    if others := [stage for stage, item in wishes.items() if not item]:
        lines.append(_taken(OWN, ", ".join(others), "the project names none and coachwork runs on it"))
    return Pythons(default, found, tuple(lines), notes)


def _taken(there: Interpreter, stages: str, why: str) -> str:
    return f"Python {there.version} for {stages}, since {why} ({there.path})"


def named(python: str) -> Interpreter:
    """Return the Python that `--python` names: a program, with its packages, or a version. Raises Invalid."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)*", python):
        if there := find(python):
            return there
        fault = f"no Python {python} found here: `uv python install {python}` installs one"
        raise Invalid("WrongUse", [f"--python: {f'{python}: {GOOD}' if _numbers(python) < OLDEST else fault}"])
    found = shutil.which(python)
    if not found:
        raise Invalid("WrongUse", [f"--python: {python}: no such program: {GOOD}"])
    path = os.path.abspath(found)  # noqa: PTH100 (the stages run elsewhere; links stay, they make a venv's Python)
    version = _version(path)
    if not version:
        raise Invalid("WrongUse", [f"--python: {path}: not a Python that runs: {GOOD}"])
    if _numbers(version) < OLDEST:
        raise Invalid("WrongUse", [f"--python: {path}: is Python {clean(version, 20)}: {GOOD}"])
    return Interpreter(path, version, has_packages=True)


def judging(given: Interpreter | None) -> images.PythonOf:
    """Return the Python by which each stage's script is judged; a `given` one runs all."""
    return (lambda _pipeline, _stage: given.minor) if given else images.by_default(OWN.minor)


def find(version: str) -> Interpreter | None:
    """Return a Python of this version (3.9, 3.9.18) on this machine, None where none runs."""
    if version in (OWN.minor, OWN.version):
        return OWN
    for path in dict.fromkeys(_candidates(version)):
        found = Interpreter(path, _version(path))
        if version in (found.minor, found.version) and _numbers(found.version) >= OLDEST:
            return found
    return None


def _candidates(version: str) -> Iterator[str]:
    """Yield where a Python of this version may be; virtual environments have packages of their own, and stay out."""
    options = ("--no-project", "--system", "--offline", "--no-python-downloads")
    yield from _output([find_uv_bin(), "python", "find", *options, version]).splitlines()[:1]
    if there := shutil.which(f"python{'.'.join(version.split('.')[:2])}"):
        yield there
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    places = glob.glob(f"{version}*/bin/python", root_dir=root / "versions")  # noqa: PTH207 - of a folder that can't be read: none
    newest = sorted(places, key=lambda place: _numbers(place.partition("/")[0]), reverse=True)
    yield from (f"{root}/versions/{place}" for place in newest)


def _bare(there: Interpreter, root: Path) -> Interpreter:
    """Return a virtual environment of a Python, with nothing in it, which is kept."""
    if there.has_packages:
        return there
    folder = root / layout.PYTHONS / f"{there.version}-{names.digest(there.path, 12)}"
    found = replace(there, path=str(folder / "bin" / "python"))
    if _version(found.path) != there.version:
        with storage.partial(folder) as made:
            options = ("--quiet", "--no-project", "--no-config", "--allow-existing")
            _output([find_uv_bin(), "venv", *options, "--python", there.path, str(made)])
            if _version(str(made / "bin" / "python")) != there.version:
                line = f"{there.path}: no virtual environment of it can be made: name another Python with --python"
                raise Invalid("PythonMissing", [line])
            storage.replace(made, folder, folder.parent)
    return found


def _version(python: str) -> str:
    """Return the version that a Python prints, "" where it does not run."""
    said = _output([python, "-c", "import platform; print(platform.python_version())"])
    return said if re.match(r"[0-9]+\.[0-9]+\.", said) else ""


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False,
            errors="replace",
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]{1,9}", version))


def _missing(item: Wish) -> str:
    if _numbers(item.python) < OLDEST:
        return f"{item.why}, and stages need Python 3.{images.OLDEST_MINOR} or later"
    install = f"`uv python install {item.python}` installs one, --python names another"
    return f"{item.why}, and Python {item.python} was not found here: {install}"
