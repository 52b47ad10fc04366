"""Packages whose versions do not fit: each other, or those that wrote a file; and the pins that say so."""

from __future__ import annotations

import glob
import os
import re
import sys
from typing import TYPE_CHECKING, List, Sequence, Tuple

if TYPE_CHECKING:
    from controller.runtime.stage_order import files, read_text
    from controller.runtime.stage_remedy import FailedScript
    from controller.runtime.stage_text import canonical
else:  # published side by side: the script's folder is where Python looks first
    from stage_order import files, read_text
    from stage_text import canonical

MOST_FILES, MOST_BYTES, MOST_PINS = 2000, 256 * 1024, 4
ABI = (
    r"numpy\.\w+ size changed|_ARRAY_API not found|numpy\.(core|_core)\.multiarray failed to import"
    r"|module compiled against A[PB]I version|compiled using NumPy 1\.x cannot be run in"
)
AFTER_1 = r"^(ImportError|AttributeError: _ARRAY_API|SystemError|RuntimeError: Numpy is not available)"
_FOR_1 = "compiled using NumPy 1.x cannot be run in"  # said before an exception that need not name NumPy
_TOOLS = re.compile(r"\..*|node_modules")  # keep things of their own there
_REQUIREMENTS = re.compile(r".*(requirement|constraint).*\.(txt|in)|bodywork\.ya?ml", re.IGNORECASE)


def compiled(_match: "re.Match[str]", failed: FailedScript) -> str:
    """Return what to do where a package was compiled for another NumPy."""
    text, module = failed.said.text, ""
    for_1 = _FOR_1 in failed.said.output and bool(re.search(AFTER_1, text))
    if not for_1 and not re.search(ABI, text):
        return ""
    for frame in reversed(failed.said.trace):
        if frame.place:
            found = re.match(r"(?:import|from) (\w+)", frame.code)
        else:  # Cython names a file relative to its sources, or alone
            found = re.match(r"init (\w+)", frame.function) or re.search(r"(?:^|-packages/)(\w+)/", frame.named)
        if found and found.group(1) != "numpy":
            module = found.group(1)
            break
    packages = [name for name in (package(module, failed)[0], "numpy") if name]
    what = f"`{module}` was" if module else "a package was"
    newest = package("numpy", failed)[1].partition(".")[0]
    too_new = for_1 or "_ARRAY_API" in text or (newest.isdigit() and int(newest) > 1)
    remedy = "pin `numpy<2`, or a newer version of it," if too_new else "pin versions that fit"
    return f"{what} compiled for another NumPy: {remedy} in {failed.places.requirements}; {pins(failed, packages)}"


def removed(match: "re.Match[str]", failed: FailedScript) -> str:
    """Return what to do where the script names what NumPy has no more."""
    end = "2" if match.group().endswith("release") else "1.24"
    return f"NumPy {end} removed it: pin `numpy<{end}` in {failed.places.requirements}; {pins(failed, ['numpy'])}"


def pickled(match: "re.Match[str]", failed: FailedScript) -> str:
    """Return what to do about an object that other versions wrote; "" where nothing was being loaded."""
    trace, names = failed.said.trace, match.groupdict()
    if not any("pickle" in frame.named or re.search(r"\b(load|loads|read_pickle)\s*\(", frame.code) for frame in trace):
        return ""
    if match.group().startswith("AttributeError: module") and any(f".{names['name']}" in each.code for each in trace):
        return ""
    if "name" in names and names["module"] in ("__main__", "__mp_main__"):
        return (
            f"the script that wrote it defined `{names['name']}` itself: "
            "move it into a module that both import, and write the file again"
        )
    name, version = package(names.get("module", "sklearn").split(".")[0], failed)
    if not name:
        return ""
    said = re.search(r"Trying to unpickle estimator \w+ from version (\S+) when using version", failed.said.output)
    other = f"{name} {said.group(1)}" if said else f"another version of {name}"
    return (
        f"it was written with {other}, and here is {version}: "
        f"pin one version for the stage that writes it and for this one; {pins(failed, [name])}"
    )


def package(module: str, failed: FailedScript) -> Tuple[str, str]:
    """Return name and version of the package that a module is of, "" where none is installed."""
    if not module:
        return "", ""
    pattern = os.path.join(glob.escape(failed.environment), "lib", "python*", "site-packages")
    folders = glob.glob(pattern) if failed.environment else []
    folders += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    for folder in folders:
        for info in sorted(glob.glob(os.path.join(glob.escape(folder), "*.dist-info"))):
            name, _, version = os.path.basename(info)[: -len(".dist-info")].partition("-")
            modules = read_text(os.path.join(info, "top_level.txt"), MOST_BYTES).split()
            if not modules:
                record = read_text(os.path.join(info, "RECORD"), MOST_BYTES)
                modules = re.findall(r"^(\w+)(?:/__init__)?\.py,", record, re.MULTILINE)
            if canonical(name) == canonical(module) or module in modules:
                return canonical(name), version
    return "", ""


def pins(failed: FailedScript, packages: Sequence[str]) -> str:
    """Return which versions of these packages are installed, and which the project's files ask for, and where."""
    versions = [f"{name} {version}" for name, version in (package(each, failed) for each in packages) if name]
    pins = {package: _pinned(package, failed.places.project) for package in packages}
    written = [pin for found in pins.values() for pin in found]
    silent = [package for package, found in pins.items() if not found]
    parts = [
        f"installed: {', '.join(versions)}" if versions else "",
        f"asked for: {', '.join(written[:MOST_PINS])}" if written else "",
        f"no file names a version of {' or '.join(silent)}" if silent else "",
    ]
    return "; ".join(filter(None, parts))


def _pinned(package: str, project: str) -> List[str]:
    """Return the pins of a package in a project's files, each with its place."""
    name = "[-_.]+".join(map(re.escape, package.split("-")))
    version = r"(?:[=~!<>]=?=?)\s*[\w.*+!]+"
    pin = re.compile(rf"(?<![\w.-]){name}(?:\[[^\]]*\])?\s*{version}(?:\s*,\s*{version})*", re.IGNORECASE)
    found = []
    for path in files(project, MOST_FILES, _TOOLS.fullmatch):
        if _REQUIREMENTS.fullmatch(os.path.basename(path)):
            for number, line in enumerate(read_text(path, MOST_BYTES).splitlines(), 1):
                match = pin.search(line.split("#")[0])
                if match:
                    found.append(f"`{match.group()}` ({os.path.relpath(path, project)}:{number})")
    return found
