"""Runs the builder of environments as a real process, on wheels made here: no network."""

import http.server
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.core import layout, model
from controller.core.documents import requirements as documents
from controller.core.inputs import requirements
from tests.support.cli import write
from tests.support.launching import COMMIT, Ended, Stage, source
from tests.support.serving import serving

KEY = "key-1"
FILE = "train/requirements.txt"
FOLDERS = ("checkout", "tools", "scratch", "logs", "build", "cache")


def uv() -> str:
    """Return this project's uv."""
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert found
    return found


def add_uv(tools: Path) -> None:
    """Put this project's uv among the tools."""
    (tools / "uv").symlink_to(uv())


def package(folder: Path, name: str, version: str = "1.0", value: int = 1, before: str = "") -> None:
    """Make a package from source, which leaves a file where it is built, and does what is `before` that."""
    built = f'{before}open("built-here", "w").close()'
    write(folder, source(name, version, before=built, module=f'"VALUE = {value}"'))


def files_below(folder: Path) -> list[Path]:
    """Return all files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


@dataclass
class Builder:
    """A build of the environment of a stage `train`, next to the stage's own folders."""

    stage: Stage
    env: dict[str, str] = field(default_factory=dict)
    scratch: Path = field(init=False)  # of the newest attempt

    def __post_init__(self) -> None:
        for path in (self.build, self.index, self.root / "cache"):
            path.mkdir(parents=True, exist_ok=True)
        add_uv(self.stage.tools)
        self.env = {"UV_FIND_LINKS": str(self.index), "UV_OFFLINE": "1", "UV_NO_INDEX": "1"}

    @property
    def root(self) -> Path:
        return self.stage.root

    @property
    def index(self) -> Path:
        """The folder of wheels that the builder finds packages in."""
        return self.root / "index"

    @property
    def build(self) -> Path:
        return self.root / "builds" / KEY

    @property
    def environment(self) -> Path:
        return self.build / "environment"

    @property
    def logs(self) -> Path:
        return self.build / "logs"

    def ask(self, file: str = FILE, lines: tuple[str, ...] = (), as_of: str = "", *, by_default: bool = False) -> None:
        """Write what is to be installed, as the controller does: a requirement file, or "" and lines of bodywork.yaml.

        Raises Invalid with the problems.
        """
        checkout = self.stage.checkout
        texts = {path.relative_to(checkout).as_posix(): path.read_bytes() for path in files_below(checkout)}
        stage = model.Stage("train", "train", "train.py", model.Batch(), requirements_file=file, requirements=lines)
        wanted = requirements.of_stage(stage, frozenset(texts), texts)
        assert isinstance(wanted, requirements.Requirements)
        (self.build / layout.REQUIREMENTS).write_text(documents.write(wanted, as_of, by_default=by_default))

    def start(self, text: str | None = None, **order: Any) -> subprocess.Popen[bytes]:
        """Start the builder on `train/requirements.txt` with this text, without one on what was asked last."""
        if text is not None:
            self.stage.file(FILE, text)
            self.ask()
        self.logs.mkdir(exist_ok=True)
        self.scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=self.root))
        stated = {"kind": "environment", "commit": COMMIT, "environment": KEY, "limit": 60, "grace": 5}
        stated |= order | {"paths": self.paths() | order.get("paths", {})}
        return self.stage.spawn("install.py", stated, self.env)

    def end(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for the builder's end."""
        return self.stage.end(process, self.logs)

    def run(self, text: str | None = None, **order: Any) -> Ended:
        """Start it and wait for its end."""
        return self.end(self.start(text, **order))

    def log(self, attempt: int = 1) -> str:
        path = self.logs / f"{attempt}.log"
        return path.read_text() if path.exists() else ""

    def lock(self) -> list[str]:
        return (self.environment / "lock.txt").read_text().splitlines()[1:]  # behind its digest

    @property
    def published(self) -> Path:
        """The folder that stages have mounted; a pod that is there already has what was in its place before."""
        return self.root / "environments" / KEY

    def behind(self, wake: str) -> dict[str, Any]:
        """Return what has a builder compile an environment that stages use already; `wake` is whom it calls first."""
        return {"paths": {"published": str(self.published)}, "wake": wake}

    def paths(self) -> dict[str, str]:
        """Return the folders of an order."""
        own = {"build": str(self.build), "logs": str(self.logs), "scratch": str(self.scratch)}
        return {name: str(self.root / name) for name in FOLDERS} | own

    def publish(self) -> Path:
        """Move the environment as the controller does, and have the stage use it."""
        published = self.published
        published.parent.mkdir(exist_ok=True)
        self.environment.rename(published)
        self.stage.order |= {"environment": KEY, "requirements": FILE}
        self.stage.mounts["environment"] = str(published)
        return published

    def replace_uv(self, script: str) -> None:
        """Put a script in the place of the uv among the tools."""
        uv = self.stage.tools / "uv"
        uv.unlink()
        uv.write_text(script)
        uv.chmod(0o755)

    def python(self, code: str) -> str:
        """Run a line of Python in the environment."""
        command = [str(self.environment / "bin/python"), "-c", code]
        return subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout


@contextmanager
def waking(called: Callable[[], object], answer: int = 202) -> Iterator[str]:
    """Call a function whenever a builder calls the address that this yields, before it gets its answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            called()
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as port:
        yield f"127.0.0.1:{port}/wake/{KEY}"
