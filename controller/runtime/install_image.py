"""The packages that the image brings along: visible in the environment, and not downloaded again where they fit.

uv does not see packages outside of an environment: so resolve once with their versions as constraints, then exclude
those that the plan names in just these versions.
"""

from __future__ import annotations

import os
import re
import site
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Dict, Iterable, List

if TYPE_CHECKING:
    from controller.runtime.install_uv import Uv

TOOLS = {"pip", "setuptools", "wheel", "uv"}  # what every image has: no reason for a second resolution


def see(target: str) -> None:
    """Where the image's Python is itself a virtual environment, `--system-site-packages` means the one below it."""
    if sys.prefix == sys.base_prefix:
        return
    with open(os.path.join(packages_folder(target), "image.pth"), "w", encoding="utf-8") as file:
        file.writelines(f"{folder}\n" for folder in site.getsitepackages() if os.path.isdir(folder))


def packages_folder(target: str) -> str:
    """Give the folder of an environment's packages."""
    return os.path.join(target, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


def options(uv: Uv, install: List[str], folder: str, scratch: str) -> List[str]:
    """Give the options that leave out what the image has in versions that fit; none if that can't be had."""
    packages = versions(metadata.distributions())
    if not set(packages) - TOOLS:
        return []
    constraints = os.path.join(scratch, "image-constraints.txt")
    _write_lines(constraints, [f"{name}=={version}" for name, version in packages.items()])
    chosen = ["--constraints", constraints]
    plan = uv.run([*install, *chosen, "--dry-run"], folder, say=False)
    planned = dict(re.findall(r"^ \+ (\S+)==(\S+)$", plan.output, re.MULTILINE))
    same = [name for name, version in packages.items() if planned.get(name) == version]
    if plan.code or not same:
        return []
    excludes = os.path.join(scratch, "image-excludes.txt")
    _write_lines(excludes, same)
    print(f"coachwork: taken from the image: {', '.join(f'{name} {packages[name]}' for name in same)}", flush=True)
    return [*chosen, "--excludes", excludes]


def versions(distributions: Iterable[metadata.Distribution]) -> Dict[str, str]:
    """Give the version of each package by its normalised name; the first found counts, as for imports."""
    packages: Dict[str, str] = {}
    for distribution in distributions:
        name, version = distribution.metadata["Name"], distribution.version
        if name and version:
            packages.setdefault(canonical(name), version)
    return packages


def canonical(name: str) -> str:
    """Give the normalised name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _write_lines(path: str, lines: List[str]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
