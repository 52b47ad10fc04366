"""What to do about an import that failed: the user's own modules first, then packages that are known, never a guess."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Collection, Dict, List

if TYPE_CHECKING:
    from controller.runtime import stage_files, stage_packages, stage_versions
    from controller.runtime.stage_order import files, read_text
    from controller.runtime.stage_remedy import FailedScript
else:  # published side by side: the script's folder is where Python looks first
    import stage_files
    import stage_packages
    import stage_versions
    from stage_order import files, read_text

MOST_FILES, MOST_BYTES = 5000, 256 * 1024
REMOVED = {
    **dict.fromkeys(("asynchat", "asyncore", "imp", "smtpd"), "3.12"),
    **dict.fromkeys(("cgi", "cgitb", "crypt", "imghdr", "nntplib", "pipes", "sndhdr", "telnetlib", "uu"), "3.13"),
}
_NOT_A_PROJECTS = re.compile(r"\..*|__pycache__|node_modules|site-packages")
_WORD = re.compile(r"\w[\w.-]*\w")


def missing(match: re.Match[str], failed: FailedScript) -> str:
    """Return what to do about a module that was not found."""
    name = match.group("module")
    top, requirements, importer = name.partition(".")[0], failed.places.requirements, _importer(failed)
    own, hidden = _own(failed), _hidden(top, failed)
    if hidden or (top in own and not importer):
        return hidden or _elsewhere(name, own[top], failed)
    if "is not a package" in failed.said.text:
        return f"`{top}` is one module without others in it: another file of that name may hide the package"
    asked = name if stage_packages.package(name) else _asked(top, failed)
    package = stage_packages.package(asked)
    installed, version = ("", "") if package else stage_versions.package(top, failed)
    if installed:
        return f"{installed} {version} is installed and has no `{name}`: check the name, or pin a version that has it"
    if package:
        whose = f"{importer} needs {package}" if importer else f"`{asked}` comes from the package {package}"
        return f"add {package} to {requirements}" if package == top else f"{whose}: add {package} to {requirements}"
    if importer:
        return f"{importer} imports it: pin versions that fit each other in {requirements}"
    return _unknown(top, own, failed)


def _hidden(top: str, failed: FailedScript) -> str:
    """Return why a module of the commit is not in the private copy, "" where there is none."""
    places = failed.places
    for folder in (places.folder, places.project) if failed.left_out else ():
        path = os.path.relpath(os.path.join(folder, top), places.checkout)
        there = [each for each in (f"{path}.py", path) if os.path.lexists(os.path.join(failed.published, each))]
        if there and (said := stage_files.left_out(there[0], failed)):
            return f"{said}, or import it at the top of the script"
    return ""


def _unknown(top: str, own: Dict[str, str], failed: FailedScript) -> str:
    """Return what to do about a name that is neither a file of the project's nor of a known package."""
    places = failed.places
    paths = [os.path.join(folder, path) for folder in (places.folder, places.project) for path in (f"{top}.py", top)]
    ignored = [stage_files.only_in_own_folder(os.path.relpath(path, places.checkout), failed) for path in paths]
    if any(ignored):
        return next(filter(None, ignored))
    if top in REMOVED:
        return f"Python {REMOVED[top]} removed `{top}`: name an older one, as `PYTHON = 3.11`, in bodywork.ini"
    if top.startswith("_"):
        other = "Python (--python)" if failed.local else f"image ({stage_files.RECIPE})"
        return f"{failed.machine}'s Python was built without it: use another {other}"
    if top == "bodywork":
        return f"a stage needs nothing of Bodywork here: remove the import, or add bodywork to {places.requirements}"
    return _misspelt(top, own, failed) or (
        f"if `{top}` is a file of yours, commit it next to the script; "
        f"if it is a package, look up its name and add that to {places.requirements}"
    )


def _misspelt(top: str, own: Dict[str, str], failed: FailedScript) -> str:
    """Return what a name was meant to be, "" where nothing is near: it may be anybody's."""
    if module := stage_packages.module(top):
        return f"the package {stage_packages.package(module)} is imported as `{module}`"
    standard: Collection[str] = getattr(sys, "stdlib_module_names", ())  # from Python 3.10 on
    near = stage_packages.nearest(top, [*own, *stage_packages.OTHERWISE, *stage_packages.ALIKE, *standard])
    if near in own:
        return f"did you mean `{near}`, which is {_shown(own[near], failed)}?"
    package = stage_packages.package(near)
    of = f" It comes from the package {package}, which {failed.places.requirements} has to name" if package else ""
    return f"did you mean `{near}`?{of}" if near else ""


def _elsewhere(name: str, path: str, failed: FailedScript) -> str:
    """Return how to import a module of the project's that is at `path`."""
    places, (top, _, rest) = failed.places, name.partition(".")
    folder, shown = os.path.dirname(path), _shown(path, failed)
    if folder in (places.folder, places.project):
        if path.endswith(".py"):
            return f"{shown} is one module, and hides any package of that name: rename it" if rest else ""
        return f"{shown} has no `{rest.partition('.')[0]}`: correct the name, or commit the file" if rest else ""
    parts = os.path.relpath(folder, places.project).split(os.sep)
    if all(part.isidentifier() for part in parts) and not stage_packages.is_in_python(parts[0]):
        code = failed.said.trace[-1].code if failed.said.trace else ""
        found = re.match(rf"from {re.escape(name)} import ([^(#]*)", code)
        names, whence = (found.group(1).strip() or "...", [*parts, name]) if found else (top, parts)
        return f"it is {shown}: write `from {'.'.join(whence)} import {names}`, or move it next to the script"
    return f"it is {shown}, where no import looks: move it next to the script, or to the project's folder"


def relative(_match: re.Match[str], failed: FailedScript) -> str:
    """Return how to write a relative import of a script."""
    code = failed.said.trace[-1].code if failed.said.trace else ""
    found = re.match(r"from \.+([\w.]*) import (.+)", code)
    start = f"from {found.group(1)} " if found and found.group(1) else ""
    written = f": write `{start}import {found.group(2)}`" if found else ", and must not import from `.`"
    return f"a script is not part of a package{written}"


def unnamed(match: re.Match[str], failed: FailedScript) -> str:
    """Return what to do about a name that a module has not."""
    name, top = match.group("name"), match.group("module").partition(".")[0]
    said = re.search(r"[('](/[^()']+)[)']", failed.said.text[match.end() :])
    roots = (failed.places.folder, failed.places.project)
    folder = next((each for each in (os.path.join(root, top) for root in roots) if os.path.isdir(each)), "")
    path = said.group(1) if said else _own(failed).get(top, folder)
    if not path.startswith(failed.places.checkout + os.sep) or not (path.endswith(".py") or os.path.isdir(path)):
        packages = _importer(failed, besides=top) and stage_versions.package(top, failed)[0]
        return fitting(match, failed) if match.group().startswith("ImportError") or packages else ""
    shown = _shown(path, failed)
    if stage_packages.package(top) or stage_packages.is_in_python(top):
        return f"{shown} hides the package `{top}`: rename it"
    if "partially initialized" in match.group():
        return f"{shown} imports, perhaps through others, what imports it: move what both need into a third file"
    code = read_text(path, MOST_BYTES) if path.endswith(".py") else ""
    defined = re.findall(r"^(?:(?:async )?def |class )?(\w+)\s*[=(:]", code, re.MULTILINE)
    if not code or os.path.basename(path) == "__init__.py":  # of a package: its modules, too
        folder = path if os.path.isdir(path) else os.path.dirname(path)
        paths = files(folder, MOST_FILES, _NOT_A_PROJECTS.fullmatch)
        defined += [
            os.path.basename(each)[:-3] for each in paths if os.path.dirname(each) == folder and each.endswith(".py")
        ]
    near = stage_packages.nearest(name, defined)
    return f"{shown} has no `{name}`" + (f": did you mean `{near}`?" if near else "")


def fitting(match: re.Match[str], failed: FailedScript) -> str:
    """Return that versions do not fit, with those that are installed and asked for."""
    top = (match.groupdict().get("module") or "").partition(".")[0]
    names = [top, _importer(failed, besides=top)]
    if names[0] and not names[1] and stage_packages.is_in_python(names[0]):
        return f"`{match.group('module')}` of this Python has no `{match.group('name')}`: check the name"
    packages = [stage_versions.package(name, failed)[0] for name in names]
    pins = stage_versions.pins(failed, list(dict.fromkeys(filter(None, packages))))
    return f"name versions that fit each other in {failed.places.requirements}{f'; {pins}' if pins else ''}"


def wanted(match: re.Match[str], failed: FailedScript) -> str:
    """Return what to add where a package says that it needs another one; "" where it names none that is missing."""
    importer = _importer(failed)
    for word in _WORD.findall(match.group().partition(": ")[2]):
        package = stage_packages.package(word) or stage_packages.package(stage_packages.module(word))
        if package and word != importer and not stage_versions.package(package, failed)[0]:
            return f"add {package} to {failed.places.requirements}"
    return ""


def _own(failed: FailedScript) -> Dict[str, str]:
    """Return where the project's modules and packages are: those first that an import finds, then the least deep."""
    found: Dict[str, str] = {}
    places = failed.places
    paths: List[str] = []
    for path in files(places.checkout, MOST_FILES, _NOT_A_PROJECTS.fullmatch):
        if path.endswith(".py"):
            paths += [path, os.path.dirname(path)]
    roots = (places.folder, places.project)
    for path in sorted(
        dict.fromkeys(paths), key=lambda each: (os.path.dirname(each) not in roots, each.count(os.sep), each)
    ):
        if path.startswith(places.checkout + os.sep):
            name = os.path.basename(path)
            found.setdefault(name[:-3] if path.endswith(".py") else name, path)
    return found


def _asked(top: str, failed: FailedScript) -> str:
    """Return the whole name of what the failing line imports from `top`: Python may miss the first part already."""
    code = failed.said.trace[-1].code if failed.said.trace else ""
    found = re.match(rf"(?:from ({top}[\w.]*) )?import ([\w.]+)", code)
    return ".".join(filter(None, found.groups())) if found else ""


def _importer(failed: FailedScript, besides: str = "") -> str:
    """Return the installed package, not `besides`, in whose code it failed, "" where it was the project's own."""
    passed = re.compile(rf"<frozen |.*-packages/{besides}\b" if besides else "<frozen ")
    trace = [frame for frame in failed.said.trace if not passed.match(frame.named)]
    found = re.search(r"-packages/(\w+)", trace[-1].named) if trace and not trace[-1].place else None
    return found.group(1) if found else ""


def _shown(path: str, failed: FailedScript) -> str:
    root = failed.places.project if path.startswith(failed.places.project + os.sep) else failed.places.checkout
    return os.path.relpath(path, root) + ("" if path.endswith(".py") else "/")
