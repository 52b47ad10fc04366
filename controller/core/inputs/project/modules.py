"""What can be seen of a project's Python files before a stage runs: what does not compile, what hides other modules.

A script, and each of the project's modules that it imports on all ways through it, is compiled by our own Python. A
fault is the project's where the stage's Python is no later than ours; a later one may know more than ours does, and an
image whose Python can't be seen may have one: then it is a warning, but for what no Python takes, such as wrong
indentation, or a missing colon. Modules that nothing imports may be as they like.
"""

import posixpath
import re
import sys
from collections.abc import Iterator

from controller.core import images
from controller.core.inputs.project.reading import Reading
from controller.core.model import Pipeline
from controller.core.text import clean

LIMIT = 300  # modules that are looked at
OURS = sys.version_info[:2]
HARMLESS = {"antigravity", "idlelib", "test", "this", "turtledemo"}  # modules of Python that nothing else imports
CERTAIN = re.compile(  # no later Python takes it: what 3.12 to 3.14 added says another thing in 3.11
    r"not a notebook:|a notebook in |"
    r"IndentationError|TabError|SyntaxError: (?:Missing parentheses|unknown encoding|expected ':'$|cannot assign to"
    r"|invalid (?:decimal|syntax\. (?:Maybe|Perhaps))|'(?:return|await|yield)' outside)"
)
STANDARD = sys.stdlib_module_names - set(sys.builtin_module_names) - HARMLESS

Version = tuple[int, int]


def check(reading: Reading, pipeline: Pipeline | None, python: images.PythonOf) -> None:
    """Note what is wrong with the modules of all stages; `python` knows the Python of a stage."""
    judged: set[tuple[str, Version | None]] = set()
    for stage, script in reading.scripts:
        text = python(pipeline, pipeline.stages.get(stage) if pipeline else None)
        version = _numbers(text) if text else None  # it can't be seen
        for path in reached(script, reading):
            if (path, version) not in judged:
                judged.add((path, version))
                _judge(path, script, reading, version)
    # A folder without `__init__.py` hides nothing: Python takes it only where nothing else has that name.
    for folder in dict.fromkeys(["", *(posixpath.dirname(script) for _, script in reading.scripts)]):
        for name in sorted(STANDARD):
            if file := _file(posixpath.join(folder, name), reading):
                who = f"scripts in {folder}" if folder else "all stages"
                reading.warning(clean(file, 200), f"hides Python's own module {name} from {who}: rename it")


def _judge(path: str, script: str, reading: Reading, version: Version | None) -> None:
    """Note what keeps a module from being compiled."""
    module, shown = reading.module(path), clean(path, 200)
    place = f"{shown}:{module.line}"
    who = "the script can't start" if path == script else f"{clean(script, 200)} imports it"
    ours = ".".join(map(str, OURS))
    if CERTAIN.match(module.fault):
        reading.problem(place, f"{module.fault}: {who}")
    elif module.fault and version and version <= OURS:
        reading.problem(place, f"{module.fault}, says Python {ours}: {who}")
    elif module.fault:
        whose = (
            f"the stage's Python {'.'.join(map(str, version))}" if version else "the image's Python, if it is later,"
        )
        reading.warning(place, f"{module.fault}, says Python {ours}, which checks it here: {whose} may take it")
    elif module.needs and version and version < _numbers(module.needs):
        has = ".".join(map(str, version))
        reading.problem(place, f"needs Python {module.needs}, and the stage has {has} ({module.needed_for}): {who}")


def _numbers(version: str) -> Version:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def reached(script: str, reading: Reading) -> list[str]:
    """Return the script and all modules of the project that running it imports for sure, as far as they are known."""
    found: dict[str, None] = {}
    waiting = [script]
    while waiting and len(found) < LIMIT:
        path = waiting.pop()
        if path not in found:
            found[path] = None
            for name in reading.module(path).imports:
                waiting += _files(name, path, posixpath.dirname(script), reading)
    return list(found)


def _files(name: str, path: str, base: str, reading: Reading) -> Iterator[str]:
    """Yield the files that importing `name` in the file `path` runs: packages on the way, then the module."""
    dots = len(name) - len(name.lstrip("."))
    parts = [part for part in name.lstrip(".").split(".") if part]
    if dots:
        roots = [posixpath.normpath(posixpath.join(posixpath.dirname(path), *[".."] * (dots - 1)))]
    elif parts[0] in sys.stdlib_module_names:
        return
    else:
        roots = [base, ""]  # the script's folder, then the project's: the launcher puts it on PYTHONPATH
    for root in roots:
        files = [
            file for size in range(1, len(parts) + 1) if (file := _file(posixpath.join(root, *parts[:size]), reading))
        ]
        if files:
            yield from files
            return


def _file(path: str, reading: Reading) -> str:
    """Return the file of a module or package, "" where the project has none."""
    path = path.removeprefix("./")
    return next((file for file in (f"{path}/__init__.py", f"{path}.py") if file in reading.tree.files), "")
