"""Which Python an environment was made with, and whether another one can use it: a tag moves, an image is rebuilt."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List

FILE = "python.json"
EQUAL = ("implementation", "abi", "machine", "base_prefix", "prefix")


def identity() -> Dict[str, str]:
    """Describe the Python that runs us."""
    version = sys.version_info
    release = "" if version.releaselevel == "final" else f"{version.releaselevel}{version.serial}"
    return {
        "implementation": sys.implementation.name,
        "version": f"{version.major}.{version.minor}.{version.micro}{release}",
        "abi": getattr(sys, "abiflags", ""),
        "machine": os.uname().machine,
        "libc": _libc(),
        "base_prefix": sys.base_prefix,
        "prefix": sys.prefix,
    }


def fits(was: Dict[str, Any], now: Dict[str, str]) -> bool:
    """Tell whether packages for one Python work in the other: same minor version and place, no older C library."""
    if any(was.get(key) != now[key] for key in EQUAL):
        return False
    return _version_fits(str(was.get("version")), now["version"]) and _libc_fits(str(was.get("libc")), now["libc"])


def told(python: Dict[str, Any]) -> str:
    """Give it in words."""
    if not python:
        return "an unknown Python"
    name = f"{python.get('implementation')} {python.get('version')}{python.get('abi') or ''}"
    return f"{name} in {python.get('prefix')} ({python.get('machine')}, {python.get('libc') or 'unknown C library'})"


def _libc() -> str:
    """Give name and version as `glibc 2.36`, "" where it is another one (confstr(3))."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return ""


def _version_fits(was: str, now: str) -> bool:
    if not (was.replace(".", "").isdigit() and now.replace(".", "").isdigit()):
        return was == now  # before a release the format of compiled files still changes
    return was.split(".")[:2] == now.split(".")[:2]


def _libc_fits(was: str, now: str) -> bool:
    if was.partition(" ")[0] != now.partition(" ")[0]:
        return False
    return _numbers(was) <= _numbers(now)


def _numbers(libc: str) -> List[int]:
    return [int(part) for part in libc.partition(" ")[2].split(".") if part.isdigit()]
