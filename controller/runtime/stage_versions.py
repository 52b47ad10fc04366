"""Packages whose versions do not fit: each other, or those that wrote a file; and the pins that say so."""

from __future__ import annotations

import glob
import os
import re
import sys
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

if TYPE_CHECKING:
    from controller.runtime.stage_advice import Scene
    from controller.runtime.stage_cause import Frame
    from controller.runtime.stage_order import Places, files, read_text
else:  # published side by side: the script's folder is where Python looks first
    from stage_order import files, read_text

MOST_FILES, MOST_BYTES, MOST_PINS = 2000, 256 * 1024, 4
_NUMPY_1 = "compiled using NumPy 1.x cannot be run in"
ABI = re.compile(
    r"numpy\.\w+ size changed|_ARRAY_API not found|numpy\.(core|_core)\.multiarray failed to import"
    r"|module compiled against A[PB]I version|compiled using NumPy 1\.x cannot be run in"
)
_AFTER_NUMPY_1 = ("ImportError", "AttributeError: _ARRAY_API", "SystemError", "RuntimeError: Numpy is not available")
_ALIAS = re.compile(r"AttributeError: module 'numpy' has no attribute '(bool|int|float|complex|object|str|long)'")
_REMOVED = re.compile(r"AttributeError: .*`np\.\w+` was removed in the NumPy 2\.0 release")
_LOADS = re.compile(r"\b(load|loads|read_pickle)\s*\(")
_ATTRIBUTE = re.compile(r"AttributeError: Can't get attribute '(?P<name>[^']+)' on <module '(?P<module>[\w.]+)'")
_ATTRIBUTE_3_14 = re.compile(r"AttributeError: module '(?P<module>[\w.]+)' has no attribute '(?P<name>[^']+)'")
_MODULE = re.compile(r"ModuleNotFoundError: No module named '(?P<module>[\w.]+)'")
_OTHER_DTYPE = re.compile(r"ValueError: node array from the pickle has an incompatible dtype")
_INCONSISTENT = re.compile(r"Trying to unpickle estimator \w+ from version (\S+) when using version")
_TOOLS = re.compile(r"\..*|node_modules")  # keep things of their own there
_REQUIREMENTS = re.compile(r".*(requirement|constraint).*\.(txt|in)|bodywork\.ya?ml", re.IGNORECASE)


def numpy(scene: Scene) -> str:
    """Return what to do where a package was compiled for another NumPy, "" where that is not the cause."""
    after = _NUMPY_1 in scene.said and scene.text.startswith(_AFTER_NUMPY_1)
    if not (ABI.search(scene.text) or after):
        return ""
    module = next((name for name in map(_module, reversed(scene.trace)) if name not in ("", "numpy")), "")
    packages = [name for name in (_package(module, scene)[0], "numpy") if name]
    what = f"`{module}` was" if module else "a package was"
    newest = _package("numpy", scene)[1].partition(".")[0]
    too_new = after or "_ARRAY_API" in scene.text or (newest.isdigit() and int(newest) > 1)
    remedy = "pin `numpy<2`, or a newer version of it," if too_new else "pin versions that fit"
    return f"{what} compiled for another NumPy: {remedy} in {scene.places.requirements}; {_pins(scene, packages)}"


def alias(scene: Scene) -> str:
    """Return what to do where the script names what NumPy has no more, "" where that is not the cause."""
    if not (_ALIAS.match(scene.text) or _REMOVED.match(scene.text)):
        return ""
    end = "1.24" if _ALIAS.match(scene.text) else "2"
    return f"NumPy {end} removed it: pin `numpy<{end}` in {scene.places.requirements}; {_pins(scene, ['numpy'])}"


def _module(frame: Frame) -> str:
    """Return the top module that a frame is of, or that a line of the user's imports, "" where neither is known."""
    if frame.place:
        found = re.match(r"(?:import|from) (\w+)", frame.code)
    else:  # Cython names a file relative to its sources, or alone
        found = re.match(r"init (\w+)", frame.function) or re.search(r"(?:^|-packages/)(\w+)/", frame.named)
    return found.group(1) if found else ""


def pickled(scene: Scene) -> str:
    """Return what to do about an object that other versions wrote."""
    if not any("pickle" in frame.named or _LOADS.search(frame.code) for frame in scene.trace):
        return ""
    attribute, missing = _not_found(scene), _MODULE.match(scene.text)
    if attribute and attribute.group("module") in ("__main__", "__mp_main__"):
        return (
            f"the script that wrote it defined `{attribute.group('name')}` itself: "
            "move it into a module that both import, and write the file anew"
        )
    module = "sklearn" if _OTHER_DTYPE.match(scene.text) else ""
    for found in filter(None, (attribute, missing)):
        module = found.group("module").split(".")[0]
    package, version = _package(module, scene) if module else ("", "")
    if not package:
        return ""
    written = _INCONSISTENT.search(scene.said)
    other = f"{package} {written.group(1)}" if written else f"another version of {package}"
    return (
        f"it was written with {other}, and here is {version}: "
        f"pin one version for the stage that writes it and for this one; {_pins(scene, [package])}"
    )


def _not_found(scene: Scene) -> Optional["re.Match[str]"]:
    """Return what pickle could not find. From Python 3.14 on its words are those of a mistake in the script, too."""
    later = _ATTRIBUTE_3_14.match(scene.text)
    if later and any(f".{later.group('name')}" in frame.code for frame in scene.trace):
        return None
    return later or _ATTRIBUTE.match(scene.text)


def _package(module: str, scene: Scene) -> Tuple[str, str]:
    """Return name and version of the package that a module is of, "" where none is installed."""
    for info in _installed(scene.environment):
        name, _, version = os.path.basename(info)[: -len(".dist-info")].partition("-")
        if module and (_plain(name) == _plain(module) or module in _modules(info)):
            return _plain(name), version
    return "", ""


def _installed(environment: str) -> List[str]:
    folders = (
        glob.glob(os.path.join(glob.escape(environment), "lib", "python*", "site-packages")) if environment else []
    )
    folders += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return [info for folder in folders for info in sorted(glob.glob(os.path.join(glob.escape(folder), "*.dist-info")))]


def _modules(info: str) -> List[str]:
    return read_text(os.path.join(info, "top_level.txt"), MOST_BYTES).split() or re.findall(
        r"^(\w+)(?:/__init__)?\.py,", read_text(os.path.join(info, "RECORD"), MOST_BYTES), re.MULTILINE
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins(scene: Scene, packages: Sequence[str]) -> str:
    """Say which versions of these packages are installed, and which the project's files ask for, and where."""
    versions = [f"{name} {version}" for name, version in (_package(each, scene) for each in packages) if name]
    pins = {package: _asked(package, scene.places) for package in packages}
    asked = [pin for found in pins.values() for pin in found]
    silent = [package for package, found in pins.items() if not found]
    parts = [
        f"installed: {', '.join(versions)}" if versions else "",
        f"asked for: {', '.join(asked[:MOST_PINS])}" if asked else "",
        f"no file names a version of {' or '.join(silent)}" if silent else "",
    ]
    return "; ".join(filter(None, parts))


def _asked(package: str, places: Places) -> List[str]:
    name = "[-_.]+".join(map(re.escape, package.split("-")))
    version = r"(?:[=~!<>]=?=?)\s*[\w.*+!]+"
    pin = re.compile(rf"(?<![\w.-]){name}(?:\[[^\]]*\])?\s*{version}(?:\s*,\s*{version})*", re.IGNORECASE)
    found = []
    for path in files(places.project, MOST_FILES, _TOOLS.fullmatch):
        if not _REQUIREMENTS.fullmatch(os.path.basename(path)):
            continue
        for number, line in enumerate(read_text(path, MOST_BYTES).splitlines(), 1):
            match = pin.search(line.split("#")[0])
            if match:
                found.append(f"`{match.group()}` ({os.path.relpath(path, places.project)}:{number})")
    return found
