"""Builds a stage's environment with uv: `python3 install.py '<json>'`, by the Python that will run the stage.

The image's own packages stay visible and are not downloaded again where their versions fit. Relative paths in a
requirement file mean what they mean to pip: `-r` and `-c` start from the file, packages (`./wheels/x.whl`) from the
working folder, which is the requirement file's folder, or the project's root where all of them exist only there.
What goes wrong is left in one line in the file `failure`; uv's own output is printed. It never downloads a Python.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import Dict, List, Optional

COMPLETE = ".complete"
LIMIT = 24 * 3600  # seconds; the launcher's own limit is the one that counts
CAUSE_LIMIT = 600  # characters
TOOLS = {"pip", "setuptools", "wheel", "uv"}  # what every image has: no reason for a second resolution
# What an image may set for pip, and how uv calls it (https://docs.astral.sh/uv/reference/environment/).
PIP_SETTINGS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CONSTRAINT": "UV_CONSTRAINT",
    "PIP_CERT": "SSL_CERT_FILE",
}
SYSTEM_SETTINGS = "/etc/uv/uv.toml"


class InstallFailed(Exception):
    """The environment can't be built; the text is the cause in one line."""


@dataclass(frozen=True)
class Job:
    """What to build. Absolute paths, except the requirement file and the stage's folder (below the project)."""

    uv: str
    project: str
    folder: str
    requirements_file: str  # "": the lines
    requirements: List[str]
    target: str
    scratch: str
    failure: str

    @property
    def name(self) -> str:
        """Give what a user knows the requirements by."""
        return self.requirements_file or "bodywork.yaml: requirements"


def build(job: Job) -> None:
    """Build the environment. Raises InstallFailed."""
    shutil.rmtree(job.target, ignore_errors=True)
    venv = ["venv", "--relocatable", "--system-site-packages", "--no-project", "--python", sys.executable, job.target]
    _check(job, _uv(job, ["--quiet", *venv], job.project))
    _see_own_packages(job.target)
    path = _requirements_path(job)
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read(1 << 20).splitlines()
    folder = _working_folder(job, lines)
    install = ["pip", "install", "--no-progress", "--python", os.path.join(job.target, "bin", "python"), "-r", path]
    known = _options_for_known(job, install, folder)
    if not known or _uv(job, install + known, folder).returncode:
        _check(job, _uv(job, install, folder), path, lines)
    with open(os.path.join(job.target, COMPLETE), "w", encoding="utf-8") as file:
        file.write("complete\n")


def _requirements_path(job: Job) -> str:
    if job.requirements_file:
        return os.path.join(job.project, job.requirements_file)
    path = os.path.join(job.scratch, "requirements.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in job.requirements)
    return path


def _working_folder(job: Job, lines: List[str]) -> str:
    stage = os.path.join(job.project, os.path.dirname(job.requirements_file) or job.folder)
    local = [
        match.group(2) for match in (re.match(r"\s*(-e\s+)?(\.{1,2}/[^\s;#\[]+)", line) for line in lines) if match
    ]
    for folder in (stage, job.project):
        if all(os.path.exists(os.path.join(folder, path)) for path in local):
            return folder
    return stage


def _see_own_packages(target: str) -> None:
    """Where the image's Python is itself a virtual environment, `--system-site-packages` means the one below it."""
    if sys.prefix == sys.base_prefix:
        return
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    path = os.path.join(target, "lib", version, "site-packages", "image.pth")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{folder}\n" for folder in site.getsitepackages() if os.path.isdir(folder))


# --- the image's own packages ---------------------------------------------------------------------


def _options_for_known(job: Job, install: List[str], folder: str) -> List[str]:
    """Give the options that leave out what the image has in versions that fit; none if that can't be had.

    uv does not see packages outside of the environment: so resolve once with their versions as constraints, then
    exclude those that the plan names in just these versions.
    """
    packages = _image_packages()
    if not set(packages) - TOOLS:
        return []
    constraints = os.path.join(job.scratch, "image-constraints.txt")
    _write_lines(constraints, [f"{name}=={version}" for name, version in packages.items()])
    options = ["--constraints", constraints]
    plan = _run(job, [*install, *options, "--dry-run"], folder)
    planned = dict(re.findall(r"^ \+ (\S+)==(\S+)$", plan.stdout, re.MULTILINE))
    same = [name for name, version in packages.items() if planned.get(name) == version]
    if plan.returncode or not same:
        return []
    excludes = os.path.join(job.scratch, "image-excludes.txt")
    _write_lines(excludes, same)
    print(f"coachwork: taken from the image: {', '.join(f'{name} {packages[name]}' for name in same)}", flush=True)
    return [*options, "--excludes", excludes]


def _image_packages() -> Dict[str, str]:
    packages: Dict[str, str] = {}
    for distribution in metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.version
        if name and version:
            packages.setdefault(_canonical(name), version)
    return packages


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()  # PEP 503


def _write_lines(path: str, lines: List[str]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


# --- uv -------------------------------------------------------------------------------------------


def settings(environment: Dict[str, str], scratch: str) -> Dict[str, str]:
    """Give uv's environment: what the image set for pip counts where nothing is set for uv itself."""
    result = dict(environment)
    for theirs, ours in PIP_SETTINGS.items():
        if environment.get(theirs):
            result.setdefault(ours, environment[theirs])
    result.setdefault("UV_CACHE_DIR", os.path.join(scratch, "uv-cache"))
    result.setdefault("HOME", scratch)
    result.update(UV_PYTHON_DOWNLOADS="never", NO_COLOR="1")
    if (
        "UV_CONFIG_FILE" not in result
    ):  # pip users don't expect a pyproject.toml above to change where packages come from
        system = {"UV_CONFIG_FILE": SYSTEM_SETTINGS} if os.path.exists(SYSTEM_SETTINGS) else {"UV_NO_CONFIG": "1"}
        result.update(system)
    return result


def _run(job: Job, arguments: List[str], folder: str) -> subprocess.CompletedProcess[str]:
    """Run uv, both its outputs in one text. Raises InstallFailed if it can't run at all."""
    try:
        return subprocess.run(
            [job.uv, *arguments],
            cwd=folder,
            env=settings(dict(os.environ), job.scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=LIMIT,
            check=False,
        )
    except OSError as error:
        hint = ": is the image's C library another one than glibc (Alpine)?" if os.path.exists(job.uv) else ""
        raise InstallFailed(f"{job.name}: uv can't run: {error.strerror}{hint}") from error


def _uv(job: Job, arguments: List[str], folder: str) -> subprocess.CompletedProcess[str]:
    """Run uv and print what it says."""
    done = _run(job, arguments, folder)
    sys.stdout.write(re.sub(r"(://)[^/@\s]+@", r"\1***@", done.stdout))
    sys.stdout.flush()
    return done


def _check(job: Job, done: subprocess.CompletedProcess[str], path: str = "", lines: Optional[List[str]] = None) -> None:
    if done.returncode:
        number = line_of(done.stdout, lines or [], path)
        place = f"{job.name}:{number}" if number else job.name
        raise InstallFailed(f"{place}: {cause_of(done.stdout, done.returncode)}")


def cause_of(output: str, code: int) -> str:
    """Give uv's explanation in one line: from its `error:` on, without frames and hints."""
    lines = [re.sub(r"^[^\w`\[(]+", "", line) for line in output.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith(("error:", "No solution", "Failed to"))]
    told = lines[starts[-1] if starts else 0 :]
    ends = [number for number, line in enumerate(told) if line.startswith("hint:")]
    text = " ".join(" ".join(told[: ends[0] if ends else None]).split()).replace("error: ", "", 1)
    text = re.sub(r",? we can conclude that your requirements are unsatisfiable\.?", "", text)
    text = text.replace("No solution found when resolving dependencies: ", "").replace(
        "No solution found when resolving dependencies cause: ", ""
    )
    text = text.replace(" cause: ", ": ")
    return text[:CAUSE_LIMIT] or f"uv exited with code {code}"


def line_of(output: str, lines: List[str], path: str) -> int:
    """Give the line (from 1) of the requirement that uv speaks of, 0 if that can't be told."""
    position = re.search(re.escape(os.path.basename(path)) + r"` at position (\d+)", output) if path else None
    if position:
        return "\n".join(lines).encode()[: int(position.group(1))].count(b"\n") + 1
    direct = re.search(re.escape(os.path.basename(path)) + r"`?:(\d+):\d+", output) if path else None
    if direct:
        return int(direct.group(1))
    said = _canonical(output)
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].strip()
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", words)
        local = re.match(r"\S*/(\S+)", words)
        wanted = _canonical(name.group()) if name else _canonical(local.group(1)) if local else ""
        if wanted and re.search(rf"(?<![a-z0-9-]){re.escape(wanted)}(?![a-z0-9-])", said):
            return number
    return 0


def main() -> None:
    """Build; on failure leave the cause and exit with 1."""
    job = Job(**json.loads(sys.argv[1]))
    try:
        build(job)
    except (InstallFailed, OSError) as error:
        text = str(error) if isinstance(error, InstallFailed) else f"{job.name}: {error}"
        with open(job.failure, "w", encoding="utf-8") as file:
            file.write(text)
        sys.exit(1)


if __name__ == "__main__":
    main()
