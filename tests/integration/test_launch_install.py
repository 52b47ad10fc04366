"""Requirements, installed by the real uv from wheels made here: no network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.launching import Stage, wheel

REQUIREMENTS = "train/requirements.txt"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert uv
    (stage.tools / "uv").symlink_to(uv)
    index = tmp_path / "index"
    index.mkdir()
    stage.env = {"UV_FIND_LINKS": str(index), "UV_OFFLINE": "1", "UV_NO_INDEX": "1"}
    stage.order = {"requirements_file": REQUIREMENTS}
    return stage


def index(stage: Stage) -> Path:
    return stage.root / "index"


def test_a_requirement_is_installed_and_comes_first(stage: Stage) -> None:
    wheel(index(stage), "plume", "1.0", "VALUE = 42")
    stage.file(REQUIREMENTS, "# what we need\nplume==1.0\n")
    ended = stage.run("import os, shutil, plume\nprint(plume.VALUE, plume.__file__, os.environ['VIRTUAL_ENV'])")
    assert ended.code == 0, ended.text
    assert "42" in ended.text
    assert str(stage.scratch / "environment") in ended.text
    assert b"plume==1.0" in stage.log()


@pytest.mark.parametrize("text", ["", "\n# nothing\n", None])
def test_no_requirements_need_no_environment(stage: Stage, text: str | None) -> None:
    if text is not None:
        stage.file(REQUIREMENTS, text)
    ended = stage.run("import os; print(os.environ.get('VIRTUAL_ENV'))")
    assert ended.code == 0
    assert "None" in ended.text
    assert not (stage.scratch / "environment").exists()


def test_lines_of_bodywork_yaml_are_installed(stage: Stage) -> None:
    wheel(index(stage), "plume", "1.0", "VALUE = 42")
    ended = stage.run("import plume; print(plume.VALUE)", requirements_file="", requirements=["plume>=1"])
    assert ended.code == 0, ended.text


def test_the_module_missing_from_bodywork_yaml_is_named_there(stage: Stage) -> None:
    wheel(index(stage), "plume", "1.0", "VALUE = 42")
    ended = stage.run("import other", requirements_file="", requirements=["plume"])
    assert "add the package of `other` to the stage's `requirements` in bodywork.yaml" in ended.message["message"]


@pytest.mark.parametrize(("line", "folder"), [("./wheels/", "train/wheels"), ("./libs/", "libs")])
def test_wheels_of_the_repository_are_found_below_stage_or_project(stage: Stage, line: str, folder: str) -> None:
    path = wheel(stage.checkout / folder, "plume", "2.0", "VALUE = 2")
    stage.file("more.txt", f"{line}{path.name}\n")
    stage.file(REQUIREMENTS, f"{line}{path.name}\n-r ../more.txt\n")
    ended = stage.run("import plume; print('value', plume.VALUE)")
    assert ended.code == 0, ended.text


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("# x\n\nnosuch==9\n", f"{REQUIREMENTS}:3: ", "nosuch"),
        ("plume==1.0\nplume==2.0\n", f"{REQUIREMENTS}:1: ", "plume"),
        ("plume\nfoo bar baz\n", f"{REQUIREMENTS}:2: ", "Couldn't parse"),
        ("plume\n./gone-1.0-py3-none-any.whl\n", f"{REQUIREMENTS}:2: ", "gone"),
    ],
)
def test_what_cant_be_installed_is_told_with_file_and_line(stage: Stage, text: str, place: str, words: str) -> None:
    wheel(index(stage), "plume", "1.0", "")
    stage.file(REQUIREMENTS, text)
    ended = stage.run("print('r' + 'an')")
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed"), ended.text
    assert ended.message["message"].startswith(place)
    assert words in ended.message["message"]
    assert "ran" not in ended.text
    assert ended.results[1]["reason"] == "InstallFailed"
    assert b"InstallFailed" in stage.log()


def test_an_installation_over_its_time_is_ended(stage: Stage) -> None:
    (stage.tools / "uv").unlink()
    (stage.tools / "uv").write_text("#!/bin/sh\nsleep 600\n")
    (stage.tools / "uv").chmod(0o755)
    stage.file(REQUIREMENTS, "plume\n")
    ended = stage.run("print('ran')", install_limit=0.5)
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    assert ended.message["message"] == f"{REQUIREMENTS}: not installed within 0.5 s"


def test_a_restart_takes_the_environment_as_it_is(stage: Stage) -> None:
    made = wheel(index(stage), "plume", "1.0", "VALUE = 42")
    stage.file(REQUIREMENTS, "plume\n")
    assert stage.run("import plume", attempts=2).code == 0
    made.unlink()
    assert stage.run("import plume", attempts=2).code == 0


class TestImage:
    """An image whose Python has packages of its own."""

    @pytest.fixture(autouse=True)
    def image(self, stage: Stage) -> None:
        folder = stage.root / "image"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
        stage.python = str(folder / "bin/python")
        wheel(index(stage), "plume", "1.0", "VALUE = 'installed 1.0'")
        packages = next(folder.glob("lib/python*/site-packages"))
        shutil.unpack_archive(index(stage) / "plume-1.0-py3-none-any.whl", packages, "zip")
        (packages / "plume.py").write_text("VALUE = 'of the image'")
        wheel(index(stage), "quill", "1.0", "")

    def test_packages_that_fit_are_not_installed_again(self, stage: Stage) -> None:
        stage.file(REQUIREMENTS, "plume>=1\nquill\n")
        ended = stage.run("import plume, quill; print(plume.VALUE)")
        assert ended.code == 0, ended.text
        assert "of the image" in ended.text
        assert "taken from the image: plume 1.0" in ended.text

    def test_packages_that_do_not_fit_are_installed(self, stage: Stage) -> None:
        wheel(index(stage), "plume", "2.0", "VALUE = 'installed 2.0'")
        stage.file(REQUIREMENTS, "plume>=2\n")
        ended = stage.run("import plume; print(plume.VALUE)")
        assert "installed 2.0" in ended.text, ended.text

    def test_packages_that_nobody_requires_stay_visible(self, stage: Stage) -> None:
        stage.file(REQUIREMENTS, "quill\n")
        assert "of the image" in stage.run("import plume, quill; print(plume.VALUE)").text


class TestKeptEnvironments:
    """Where environments are kept from run to run, as on a laptop."""

    @pytest.fixture(autouse=True)
    def kept(self, stage: Stage) -> Path:
        wheel(index(stage), "plume", "1.0", "VALUE = 42")
        wheel(index(stage), "plume", "2.0", "VALUE = 43")
        names = ("checkout", "tools", "logs", "scratch", "environments")
        stage.order["attempts"] = 3
        stage.order["paths"] = {name: str(stage.root / name) for name in names}
        return stage.root / "environments"

    def test_a_second_run_takes_the_first_ones_environment(self, stage: Stage, kept: Path) -> None:
        stage.file(REQUIREMENTS, "plume==1.0\n")
        first = stage.run("import plume; print(plume.VALUE, plume.__file__)")
        shutil.rmtree(stage.scratch)
        stage.scratch.mkdir()
        again = stage.run("import plume; print(plume.VALUE, plume.__file__)")
        (folder,) = kept.iterdir()
        assert (first.code, again.code) == (0, 0), first.text + again.text
        assert "installed" in first.text
        assert "installed" not in again.text
        assert f"42 {folder}" in again.text

    def test_other_requirements_get_another_environment(self, stage: Stage, kept: Path) -> None:
        for version, value in (("1.0", "42"), ("2.0", "43")):
            stage.file(REQUIREMENTS, f"plume=={version}\n")
            assert value in stage.run("import plume; print(plume.VALUE)").text
        assert len(list(kept.iterdir())) == 2

    def test_a_failed_installation_leaves_no_environment(self, stage: Stage, kept: Path) -> None:
        stage.file(REQUIREMENTS, "plume==9.0\n")
        assert stage.run("import plume").message["reason"] == "InstallFailed"
        assert list(kept.iterdir()) == []
