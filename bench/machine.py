"""What a figure was measured on."""

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path


def machine() -> str:
    """Return one line about this machine: processor, cores, load, kernel, Python."""
    cores, load = os.cpu_count() or 0, os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return (
        f"{_processor()}, {cores} cores, load {load:.1f}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def spread(seconds: Sequence[float]) -> str:
    """Return median and range of some times."""
    return f"{statistics.median(seconds):7.2f} s  ({min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} times)"


def milliseconds(seconds: Sequence[float]) -> str:
    """Return median and range of some short times."""
    low, median, high = (value * 1e3 for value in (min(seconds), statistics.median(seconds), max(seconds)))
    return f"{median:7.0f} ms  ({low:.0f} to {high:.0f}, {len(seconds)} times)"


def p95(values: Sequence[float]) -> float:
    """Return the value that 95 % do not exceed (nearest rank)."""
    return sorted(values)[max(-(-len(values) * 95 // 100) - 1, 0)]


def posix(text: str) -> float:
    """Return a moment of RFC 3339 in seconds."""
    return datetime.fromisoformat(text).timestamp()
