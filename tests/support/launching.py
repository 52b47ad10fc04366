"""Runs the launcher as a real process on a stage made in a temporary folder."""

import glob
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.core.documents.attempt import LIMIT
from controller.core.documents.seal import opened
from controller.core.manifests.process import arguments

RUNTIME = Path(__file__).parents[2] / "controller" / "runtime"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DEADLINE = 60.0
# Where pyenv keeps what it installs, if that can be read, or on PATH.
_PYENV = glob.glob(f"{os.environ['PYENV_ROOT']}/versions/3.8.*/bin/python3")  # noqa: PTH207 - Path raises
PYTHON_38 = next(iter(_PYENV), shutil.which("python3.8"))


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Wait until `condition` gives something true, and return it."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"still waiting for: {what}")


@dataclass
class Ended:
    """What a launch left."""

    code: int
    output: bytes
    message: dict[str, Any]  # termination message
    results: dict[int, dict[str, Any]]  # by attempt

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")


@dataclass
class Stage:
    """A stage `train` in a published checkout, and the folders of its pod."""

    root: Path
    order: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable
    mounts: dict[str, str] = field(default_factory=dict)  # paths of the order beyond the four
    limits: tuple[str, ...] = ()  # what `ulimit` gets: a test of what takes a lot bounds it

    def __post_init__(self) -> None:
        for name in ("checkout/train", "tools", "logs", "scratch"):
            (self.root / name).mkdir(parents=True)
        for path in RUNTIME.glob("*.py"):
            if path.name != "__init__.py":
                shutil.copy(path, self.tools)
        (self.checkout / ".complete").write_text(COMMIT)

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def tools(self) -> Path:
        return self.root / "tools"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def file(self, path: str, text: str) -> Path:
        """Write a file of the repository."""
        target = self.checkout / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def start(self, script: str | None = None, **order: Any) -> subprocess.Popen[bytes]:
        """Start the launcher on `train/train.py` with this text."""
        if script is not None:
            self.file("train/train.py", script)
        paths = {name: str(self.root / name) for name in ("checkout", "tools", "logs", "scratch")} | self.mounts
        stated = {
            "kind": "batch",
            "commit": COMMIT,
            "folder": "train",
            "script": "train.py",
            "limit": 60,
            "paths": paths,
        }
        stated |= {"grace": 5, "requirements": "train/requirements.txt"} | self.order | order
        return self.spawn("launch.py", stated, self.env)

    def spawn(self, script: str, order: dict[str, Any], own: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a script of the runtime; `own` are variables in addition to those of the machine."""
        foreign = ("PYTHON", "COV_", "VIRTUAL_ENV", "UV_", "PIP_")
        env = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        env |= {"COACHWORK_TERMINATION_LOG": str(self.root / "termination"), "HOME": str(self.root / "home")} | own
        bounded = ["/bin/sh", "-c", "".join(f"ulimit {limit} && " for limit in self.limits) + 'exec "$@"', "sh"]
        return subprocess.Popen(
            [*bounded, self.python, str(self.tools / script), *arguments(json.dumps(order))],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def end(self, process: subprocess.Popen[bytes], logs: Path | None = None) -> Ended:
        """Wait for the end of a process; return what it left, also in its folder of logs."""
        try:
            output, _ = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
        path = self.root / "termination"
        message = json.loads(path.read_text()) if path.is_file() else {}
        return Ended(process.returncode, output, message, self.results(logs))

    def run(self, script: str | None = None, **order: Any) -> Ended:
        """Start it and wait for its end."""
        return self.end(self.start(script, **order))

    def results(self, logs: Path | None = None) -> dict[int, dict[str, Any]]:
        paths = (logs or self.logs).glob("[0-9]*.json")
        files = (path for path in paths if path.is_file() and path.stat().st_size <= LIMIT)  # scripts leave sparse ones
        return {int(path.stem): json.loads(opened(path.read_text()) or "") for path in files}

    def log(self, attempt: int = 1) -> bytes:
        path = self.logs / f"{attempt}.log"
        return path.read_bytes() if path.exists() else b""


def wheel(folder: Path, name: str, version: str, content: str, *, needs: str = "") -> Path:
    """Make the wheel of a package with one module, by hand; `needs` is a package that it requires."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + f"Requires-Dist: {needs}\n" * bool(needs),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return path


def source(name: str, version: str = "1.0", *, before: str = "", module: str = '""') -> dict[str, str]:
    """Return the files of a package that needs only its own folder to be built: no setuptools to fetch.

    Its backend does what is `before` first; `module` is an expression of the text of its one module.
    """
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    backend = f"""
import zipfile
{before}
def build_wheel(target, *args, **kwargs):
    file, info = "{name}-{version}-py3-none-any.whl", "{name}-{version}.dist-info"
    with zipfile.ZipFile(target + "/" + file, "w") as archive:
        archive.writestr("{name}.py", {module})
        archive.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        archive.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(info + "/RECORD", "")
    return file
"""
    project += f'[project]\nname = "{name}"\nversion = "{version}"\n'
    return {"pyproject.toml": project, "backend.py": backend}
