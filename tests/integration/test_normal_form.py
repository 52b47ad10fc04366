"""One truth: from the normal form uv takes what it would have taken from the user's own files. Real uv, no network."""

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from controller.core.documents import requirements as documents
from controller.core.errors import Invalid
from controller.core.inputs import requirements
from controller.core.model import Batch, Stage
from tests.support.building import files_below, uv
from tests.support.examples import share
from tests.support.launching import RUNTIME, wheel

FILE = "train/requirements.txt"


@dataclass(frozen=True)
class Place:
    """A project whose stage `train` has wheels beside its requirements, and an index of others."""

    root: Path
    uv: str
    hashed: str  # a hash of plume 1.0

    @property
    def project(self) -> Path:
        return self.root / "project"

    def taken(self, folder: Path, *arguments: str) -> list[str] | None:
        """Return what uv would install, None where it refuses."""
        command = [self.uv, "pip", "install", "--dry-run", "--python", str(self.root / "venv/bin/python"), *arguments]
        own = {"UV_FIND_LINKS": str(self.root / "index"), "UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_NO_CONFIG": "1"}
        env = {name: value for name, value in os.environ.items() if not name.startswith("UV_")} | own
        ended = subprocess.run(command, cwd=folder, env=env, check=False, timeout=60, capture_output=True, text=True)
        return None if ended.returncode else sorted(re.findall(r"^ \+ (.*)$", ended.stderr, re.MULTILINE))

    def from_the_files(self) -> list[str] | None:
        """Return what uv takes of the user's own files; one hash makes hashes required of all, as in pip."""
        strict = ["--require-hashes"] if b"--hash=" in (self.project / FILE).read_bytes() else []
        return self.taken(self.project / "train", "-r", str(self.project / FILE), *strict)

    def from_the_normal_form(self) -> list[str] | None:
        """Return what uv takes of what the builder writes."""
        texts = {path.relative_to(self.project).as_posix(): path.read_bytes() for path in files_below(self.project)}
        stage = Stage("train", "train", "train.py", Batch(), requirements_file=FILE)
        wanted = requirements.of_stage(stage, frozenset(texts), texts)
        if wanted is None:
            return []
        assert isinstance(wanted, requirements.Requirements)
        shutil.rmtree(self.root / "scratch", ignore_errors=True)
        (self.root / "scratch").mkdir()
        told = self.root / "requirements.json"
        told.write_text(documents.write(wanted, ""))
        runtime = builder()
        prepared = runtime.prepare(runtime.read(str(told)), str(self.project), {}, str(self.root / "scratch"))
        return self.taken(Path(prepared.folder), *prepared.arguments)


def builder() -> Any:
    """Return the builder's module, which finds the others beside itself."""
    if str(RUNTIME) not in sys.path:
        sys.path.append(str(RUNTIME))
    return importlib.import_module("install_requirements")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("place")
    for version in ("1.0", "1.5", "2.0", "3.0a1"):
        wheel(root / "index", "plume", version, "")
    wheel(root / "index", "quill_pen", "1.0", "")
    for folder in ("wheels", "more wheels"):
        wheel(root / "project/train" / folder, "reed", "1.0", "")
    subprocess.run([uv(), "venv", "-q", "--offline", "--python", sys.executable, root / "venv"], check=True, timeout=60)
    content = (root / "index/plume-1.0-py3-none-any.whl").read_bytes()
    return Place(root, uv(), hashlib.sha256(content).hexdigest())


NAMES = st.sampled_from(["plume", "Plume", "PLUME", "quill_pen", "Quill.Pen", "quill--pen", "quill-pen[none]"])
VERSIONS = st.sampled_from(
    ["", "==1.0", " == 1.0", ">=1,<2", ">= 1 ,\t!=1.5", "~=1.0", "<=2.0", "(<2)", ">=3.0a1", "===1.0"]
)
MARKERS = st.sampled_from(
    ["", ";python_version>'3'", ' ; os_name == "nt"', "; os_name=='posix' and (python_version >= \"3\")"]
)
ENDS = st.sampled_from(["\n", "\r\n", "  # a note\n", " \n\n# a note\n", "\t\n"])
NAMED = st.tuples(NAMES, VERSIONS, MARKERS, ENDS).map("".join)
OTHERS = st.sampled_from([
    "plume \\\n   >=1 \\\n,<2\n",
    "plume==1.0 --hash=sha256:{hash}\n",
    "plume==1.0 \\\n    --hash=sha256:{hash} \\\n    --hash=sha256:{zeros}\n",
    "./wheels/reed-1.0-py3-none-any.whl\n",
    "wheels/reed-1.0-py3-none-any.whl ; os_name == 'posix'\n",
    "Reed @ ./wheels/reed-1.0-py3-none-any.whl\n",
    "./more wheels/reed-1.0-py3-none-any.whl\n",
    "--find-links wheels\nreed\n",
    "-f ./wheels\nreed==1.0\n",
    "--no-binary reed\n",
    "--only-binary=:all:\n",
    "--no-index\n",
    "-r more.txt\n",
    "--requirement=deep/more.txt\n",
    "-c limits.txt\n",
    "# nothing\n\n",
])  # fmt: skip
TEXTS = st.lists(st.one_of(NAMED, OTHERS), max_size=4).map("".join)


@settings(
    deadline=None, max_examples=share(0.25), suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(TEXTS, st.lists(NAMED, max_size=2).map("".join), st.sampled_from(["", "plume<2\n", "Plume!=2.0 # why\n"]))
def test_uv_takes_from_the_normal_form_what_it_takes_from_the_files(
    place: Place, text: str, more: str, limits: str
) -> None:
    train = place.project / "train"
    (train / "deep").mkdir(exist_ok=True)
    text = text.replace("{hash}", place.hashed).replace("{zeros}", "0" * 64)
    (place.project / FILE).write_bytes(text.encode())
    (train / "more.txt").write_bytes(more.encode())
    (train / "deep/more.txt").write_bytes(f"-r ../more.txt\n{more}".encode())
    (train / "limits.txt").write_bytes(limits.encode())
    taken = place.from_the_files()
    assume(taken is not None)
    assert place.from_the_normal_form() == taken


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("plume --pre\n", None),  # no option of a package
        ("--pre\nplume\n", ["plume==3.0a1"]),
        ("plume\n--prefer-binary --use-feature=fast-deps\n--trusted-host h\n", ["plume==2.0"]),
        ("-rmore.txt\n-climits.txt\nplume\n", ["plume==1.5", "quill-pen==1.0"]),
        ("--no-index --find-links='more wheels'\nreed\n", ["reed==1.0"]),
        ("--no-binary reed,oboe\nplume \\\n# a note\n<2\n", None),
        ("--no-binary reed,oboe\nplume\n", ["plume==2.0"]),
        ("--require-hashes\nplume==1.0\n", None),
        ("--require-hashes\nplume==1.0 --hash sha256:{hash}\n", ["plume==1.0"]),
        ("plume\n-c more/options.txt\nreed\n", ["plume==1.0", "reed==1.0"]),
        ("plume;python_version>'3' # ; not this\n", ["plume==2.0"]),
    ],
)
def test_what_only_pip_reads_in_files_means_what_it_means_to_pip(
    place: Place, text: str, taken: list[str] | None
) -> None:
    train = place.project / "train"
    (train / "more").mkdir(exist_ok=True)
    (train / "more.txt").write_text("quill-pen\n")
    (train / "limits.txt").write_text("plume<2\n")
    (train / "more/options.txt").write_text("--find-links ../wheels\nplume==1.0\n")
    (place.project / FILE).write_text(text.replace("{hash}", place.hashed))
    try:
        assert place.from_the_normal_form() == taken
    except Invalid:
        assert taken is None
