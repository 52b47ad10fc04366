"""A project among other files, as the command line finds it on disk."""

import os
import subprocess
from pathlib import Path

from tests.support.cli import CommandLine, write

PROJECT = {
    "bodywork.ini": "[default]\nPROJECT_NAME = iris\n[workflow]\nDAG = train\n",
    "train/config.ini": "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = run.py\n",
    "train/run.py": "import helper\n",
    "train/helper.py": "",
}


def link(folder: Path, name: str, target: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(target)


def test_files_that_a_project_does_not_use_never_make_it_invalid(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = write(tmp_path / "iris", PROJECT | {f"service-{n}/requirements.txt": "six\n" for n in range(1200)})
    link(folder, "notebooks/config.ini", "nowhere.ini")
    link(folder, "old/config.ini", "/etc/passwd")
    link(folder, "loop/config.ini", "config.ini")
    link(folder, "docs/requirements-local.txt", "../../../outside.txt")
    hashes = " ".join(f"--hash=sha256:{number:064x}" for number in range(40))
    freeze = "".join(f"package-{number}==1.0 {hashes}\n" for number in range(200))
    odd = {"docs/requirements-frozen.txt": freeze * 4, "huge/config.ini": "x" * 3_000_000, "broken/old.py": "print 1\n",
           "new\nline/config.ini": "[", "a b/requirements.txt": "@@@", "binary/config.ini": "\0"}  # fmt: skip
    write(folder, odd)
    (folder / os.fsdecode(b"caf\xe9")).mkdir()
    (folder / os.fsdecode(b"caf\xe9/config.ini")).write_text("[")
    ended = coachwork.run("validate", str(folder))
    assert ended.code == 0, ended.err
    assert "notebooks/config.ini: is a symbolic link to nowhere.ini" in ended.err  # a warning, as for all such links
    used = PROJECT | {"train/requirements.txt": freeze, "DAG": ""}
    assert coachwork.run("validate", str(write(tmp_path / "used", used))).code == 0


def test_a_submodule_that_is_not_used_needs_no_address(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = write(tmp_path / "iris", PROJECT)
    for arguments in (["init", "-q"], ["add", "-A"],
                      ["update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/lib"]):  # fmt: skip
        subprocess.run(["git", *arguments], cwd=folder, check=True, timeout=60)
    assert coachwork.run("validate", str(folder)).code == 0


def test_what_can_be_seen_beforehand_is_reported_all_at_once(coachwork: CommandLine, tmp_path: Path) -> None:
    files = PROJECT | {
        "train/config.ini": PROJECT["train/config.ini"] + "GPU = x\n[Batch]\nRETRIES = 1\n",
        "train/helper.py": "def f():\nreturn 1\n",
        "train/random.py": "",
        "train/Requirements.txt": "six\n",
    }
    ended = coachwork.run("validate", str(write(tmp_path / "iris", files)))
    assert ended.code == 2
    assert [line.split(": ")[0] for line in ended.err.splitlines()] == [
        *["warning"] * 3,
        "train/config.ini",
        "train/helper.py:2",
        "2 problems",
    ]
    for part in ("[Batch]", "random.py: hides", "Requirements.txt: not read"):
        assert part.strip("[]") in ended.err
    assert coachwork.run("run", str(tmp_path / "iris")).code == 2


def test_a_misspelled_project_file_is_reported(coachwork: CommandLine, tmp_path: Path) -> None:
    ended = coachwork.run("validate", str(write(tmp_path / "iris", {"Bodywork.yaml": "x: 1\n"})))
    assert (ended.code, "rename Bodywork.yaml to bodywork.yaml" in ended.err) == (2, True)
