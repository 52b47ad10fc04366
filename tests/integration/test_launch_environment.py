"""A stage and its environment, built by the real builder and the real uv from wheels made here: no network."""

import json
import os
import shutil
from pathlib import Path

import pytest

from controller.core.documents.seal import opened
from tests.support.building import KEY, Builder
from tests.support.launching import wheel


def published(builder: Builder) -> Path:
    ended = builder.run("plume==1.0\n")
    assert ended.code == 0, ended.text
    return builder.publish()


def moved_tag(environment: Path) -> None:
    """Have another Python made the environment."""
    path = environment / "python.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "3.7.1"}))


def test_a_stage_finds_its_packages_where_they_were_published(builder: Builder) -> None:
    environment = published(builder)
    ended = builder.stage.run("import os, plume\nprint(plume.VALUE, plume.__file__, os.environ['VIRTUAL_ENV'])")
    assert ended.code == 0, ended.text
    assert f"42 {environment}/lib" in ended.text
    assert f" {environment}\n" in ended.text
    assert "environment" not in {key for key, value in ended.results[1].items() if value == "outdated"}


def test_the_environment_comes_first_on_the_path(builder: Builder) -> None:
    environment = published(builder)
    ended = builder.stage.run("import shutil; print(shutil.which('python'))")
    assert f"{environment}/bin/python\n" in ended.text


def test_a_stage_without_environment_runs_with_the_images_python(builder: Builder) -> None:
    ended = builder.stage.run("import os; print(os.environ.get('VIRTUAL_ENV'))")
    assert ended.code == 0
    assert "None" in ended.text


@pytest.mark.parametrize("complete", [None, "another"])
def test_an_environment_that_is_not_complete_is_refused(builder: Builder, complete: str | None) -> None:
    environment = published(builder)
    if complete:
        (environment / ".complete").write_text(complete)
    else:
        shutil.rmtree(environment)
    ended = builder.stage.run("print('r' + 'an')")
    assert (ended.code, ended.message["reason"]) == (121, "EnvironmentMissing")
    assert KEY in ended.message["message"]
    assert "start a new run" in ended.message["message"]
    assert "ran" not in ended.text


class TestMovedTag:
    """The image's tag names another Python than the one that the environment was made with."""

    @pytest.fixture(autouse=True)
    def environment(self, builder: Builder) -> Path:
        wheel(builder.index, "plume", "2.0", "VALUE = 43")
        ended = builder.run("plume<2\n")
        assert ended.code == 0, ended.text
        environment = builder.publish()
        moved_tag(environment)
        builder.stage.file("train/requirements.txt", "plume\n")
        builder.stage.env = dict(builder.env)
        return environment

    def test_is_said_noted_and_repaired_with_the_same_versions(self, builder: Builder, environment: Path) -> None:
        ended = builder.stage.run("import plume; print(plume.VALUE, plume.__file__)")
        assert ended.code == 0, ended.text
        assert "the environment was made with cpython 3.7.1" in ended.text
        assert f"42 {builder.stage.scratch}/environment" in ended.text
        assert ended.results[1]["environment"] == "outdated"
        noted = json.loads(opened((builder.stage.logs / "environment-outdated.json").read_text()) or "")
        assert (noted["environment"], noted["was"]["version"]) == (KEY, "3.7.1")
        assert noted["is"]["version"] != "3.7.1"
        assert (environment / ".complete").read_text().strip() == KEY

    def test_a_restart_takes_the_repaired_environment(self, builder: Builder) -> None:
        assert builder.stage.run("import plume", attempts=2).code == 0
        (builder.index / "plume-1.0-py3-none-any.whl").unlink()
        assert builder.stage.run("import plume", attempts=2).code == 0

    def test_that_cannot_be_repaired_names_both_and_the_remedy(self, builder: Builder) -> None:
        (builder.index / "plume-1.0-py3-none-any.whl").unlink()
        ended = builder.stage.run("print('r' + 'an')")
        assert (ended.code, ended.message["reason"]) == (121, "EnvironmentOutdated")
        assert "made with cpython 3.7.1" in ended.message["message"]
        assert "start a new run, which builds it again" in ended.message["message"]
        assert "train/requirements.txt:1: " in ended.message["message"]
        assert "ran" not in ended.text

    def test_a_repair_over_its_time_is_ended(self, builder: Builder) -> None:
        builder.replace_uv("#!/bin/sh\nsleep 600\n")
        ended = builder.stage.run("print('ran')", install_limit=0.5)
        assert (ended.code, ended.message["reason"]) == (121, "EnvironmentOutdated")
        assert ended.message["message"].endswith("not within 0.5 s")


def test_another_patch_release_does_not_make_an_environment_outdated(builder: Builder) -> None:
    path = published(builder) / "python.json"
    python = json.loads(path.read_text())
    python["version"] = python["version"].rpartition(".")[0] + ".999"
    path.write_text(json.dumps(python))
    ended = builder.stage.run("import plume")
    assert ended.code == 0, ended.text
    assert not (builder.stage.logs / "environment-outdated.json").exists()


def test_a_read_only_environment_will_do(builder: Builder) -> None:
    environment = published(builder)
    for folder, _, _ in os.walk(environment):
        Path(folder).chmod(0o555)
    try:
        ended = builder.stage.run("import plume; print(plume.__cached__)")
    finally:
        for folder, _, _ in os.walk(environment):
            Path(folder).chmod(0o755)
    assert ended.code == 0, ended.text
    cached = ended.text.split(".pyc")[0].rpartition("\n")[2] + ".pyc"
    assert Path(cached).exists()
