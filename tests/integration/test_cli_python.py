"""Which packages a stage on a laptop sees: those that it names, and what `--python PROGRAM` has."""

import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

from controller.adapters.pythons import OWN
from tests.support.cli import CommandLine, write

FILES = {
    "bodywork.ini": "[default]\nPROJECT_NAME = iris\n[workflow]\nDAG = a >> b\n",
    **dict.fromkeys(("a/config.ini", "b/config.ini"), "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = run.py\n"),
    **dict.fromkeys(
        ("a/run.py", "b/run.py"),
        "import importlib.util\n"
        "print('sees', *(name for name in ('typer', 'mine', 'six') if importlib.util.find_spec(name)))\n",
    ),
    "b/requirements.txt": "six\n",
}
PACKAGES = f"lib/python{OWN.minor}/site-packages"


def virtual(folder: Path) -> Path:
    """Make a virtual environment with a module `mine` in it."""
    command = [find_uv_bin(), "venv", "-q", "--python", sys.executable, str(folder)]
    subprocess.run(command, check=True, timeout=60)
    write(folder / PACKAGES, {"mine.py": ""})
    return folder


@pytest.mark.parametrize("given", ["", OWN.minor, "a program"])
def test_stages_see_what_they_name_and_what_the_given_program_has(
    coachwork: CommandLine, tmp_path: Path, given: str
) -> None:
    python = str(virtual(tmp_path / "venv") / "bin" / "python") if given == "a program" else given
    options = ["--python", python] if given else []
    ended = coachwork.run("run", str(write(tmp_path / "iris", FILES)), *options)
    assert ended.code == 0, ended.out + ended.err
    logs = [next(coachwork.home.glob(f"runs/iris-*/1/logs/{stage}/1.log")).read_text() for stage in "ab"]
    seen = [line for log in logs for line in log.splitlines() if line.startswith("sees")]
    assert seen == (["sees mine", "sees mine six"] if given == "a program" else ["sees", "sees six"])
    (line,) = [line for line in ended.err.splitlines() if line.startswith(f"Python {OWN.version} for ")]
    assert line.startswith(f"Python {OWN.version} for {'all stages' if given else 'a, b'}, since ")
    assert line.endswith(f" ({python if given == 'a program' else OWN.path})")


def test_a_python_that_has_gone_since_is_made_again(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "iris", FILES | {"bodywork.ini": FILES["bodywork.ini"].replace(" >> b", "")}))
    assert coachwork.run("run", folder).code == 0
    (python,) = coachwork.home.glob("pythons/*/bin/python")
    python.unlink()
    python.symlink_to(tmp_path / "nowhere")  # of an interpreter that was upgraded
    assert coachwork.run("run", folder).code == 0
