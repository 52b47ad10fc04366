"""The package index, asked by a dry resolution whether a proposed day has what a project's pins need.

Nothing is installed or built, and it takes no longer than a person waits. What could not be verified is said, and a day
is refused only for what is certain: a pin that did not exist yet, or versions that exclude each other.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from controller.core.images import DEFAULT_PYTHON
from controller.core.inputs.project import asof
from controller.core.inputs.project.pins import Judged, Need
from controller.core.text import clean

SECONDS = 40.0  # for all stages
SHOWN = 4_000  # characters at each end of what uv says
UNREACHABLE = " (not verified: the package index can't be reached)"
# What is set for pip is used where nothing is set for uv (https://docs.astral.sh/uv/reference/environment/).
PIP_SETTINGS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_FIND_LINKS": "UV_FIND_LINKS", "PIP_CERT": "SSL_CERT_FILE",
}  # fmt: skip
_PASSED_OVER = {
    *("--require-hashes", "--trusted-host", "--use-feature", "--prefer-binary", "--pre", "--no-binary", "--only-binary")
}
_LATER = re.compile(
    r"`(?P<name>[^`\s]+)` was filtered by `exclude-newer`.*?"
    r"version, v?(?P<version>\S+), was published at (?P<day>\d{4}-\d{2}-\d{2})",
    re.DOTALL,
)
_SOURCE = re.compile(r"Wheels are required for `(?P<name>[^`\s]+)`")
_NOT_TOGETHER = re.compile(r"Because (?P<why>.+?),? we can conclude", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Trial:
    """Judges days. `last_change` returns the day (Git's) since which files of the project mean the same."""

    last_change: Callable[[Sequence[str], Callable[[Mapping[str, bytes]], Hashable]], str]

    def judge(self, day: str, needs: Mapping[str, Need]) -> Judged:
        """Return the day, or an earlier one on which the requirements last changed; the first that is possible."""
        deadline = time.monotonic() + SECONDS
        refused = ""
        changes = [
            self.last_change(tuple(dict.fromkeys(one.file for one in need.entries)), asof.Meaning(stage))
            for stage, need in needs.items()
            if need.entries
        ]
        changed = max(changes, default=day) if all(changes) else day  # some may not be committed
        for candidate in dict.fromkeys((min(day, changed), day)):
            unsure = ""
            for question in dict.fromkeys(map(_question, needs.values())):
                found = _resolved(candidate, question, deadline)
                if not found.day:
                    refused = refused or found.remark
                    break
                unsure = unsure or found.remark
            else:
                return Judged(candidate, unsure)
        return Judged("", f"no day has versions for all pins of this project: {refused}")


@dataclass(frozen=True, slots=True)
class _Question:
    """What one resolution is about; several stages may have the same."""

    lines: Sequence[str]
    limits: Sequence[str]
    python: str
    prereleases: bool


def _question(need: Need) -> _Question:
    """Return what the index can answer about a stage: not what comes from the project itself, or from Git."""
    entries = [
        one for one in need.entries if one.item.option not in _PASSED_OVER and not (one.item.path or one.item.address)
    ]
    own, limits = (tuple(one.text for one in entries if one.constraint == limit) for limit in (False, True))
    prereleases = any(one.item.option == "--pre" for one in need.entries if not one.constraint)
    return _Question(own, limits, need.python, prereleases)


def _resolved(day: str, question: _Question, deadline: float) -> Judged:
    """Resolve as of a day."""
    environment = {"UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "1", **os.environ, "NO_COLOR": "1"}
    for theirs, ours in PIP_SETTINGS.items():
        if not environment.get(ours) and environment.get(theirs):
            environment[ours] = environment[theirs]
    command = [
        find_uv_bin(), "pip", "compile", "--no-header", "--no-annotate", "--only-binary", ":all:",
        "--no-python-downloads", "--python", sys.executable, "--python-version", question.python or DEFAULT_PYTHON,
        *(() if sys.platform == "linux" else ("--python-platform", "linux")), "--exclude-newer", f"{day}T23:59:59Z",
        "requirements.txt", "--constraints", "constraints.txt",
        *(("--prerelease", "allow") if question.prereleases else ()),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in (("requirements.txt", question.lines), ("constraints.txt", question.limits)):
            Path(folder, name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=max(deadline - time.monotonic(), 0.1), check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Judged(day, f" (not verified: the package index took longer than {SECONDS:g} s)")
        except OSError as error:
            return Judged(day, f" (not verified: uv can't run: {error.strerror})")
    return _explained(day, done.stderr) if done.returncode else Judged(day)


def _explained(day: str, output: str) -> Judged:
    """Return what uv's refusal means for a day."""
    beginning, end = output[:SHOWN], output[SHOWN:][-SHOWN:]  # what is refused, and hints: an index has a say in both
    text = re.sub(r"(://)[^/\s]+@", r"\1***@", beginning + end)
    if "missing an upload date" in text:
        return Judged("", "the package index does not say when files were uploaded")
    if later := _LATER.search(text):
        pin = clean(f"{later['name']}=={later['version']}", 200)
        return Judged("", f"on {day} {pin} did not exist yet, it is of {later['day']}")
    if source := _SOURCE.search(text):
        return Judged(day, f" (not verified: {clean(source['name'], 200)} has no wheel that fits)")
    if "not found in the cache" in text:
        return Judged(day, UNREACHABLE)
    if together := _NOT_TOGETHER.search(text):
        return Judged("", f"on {day} {clean(' '.join(together['why'].split()), 200)}")
    return Judged(day, UNREACHABLE)
