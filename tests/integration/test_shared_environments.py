"""One environment that several builds make at once, that a killed one left half, or that somebody damaged."""

import json
import os
import shlex
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.core import layout
from controller.core.documents.seal import opened
from tests.support.building import Builder
from tests.support.cli import CommandLine, write
from tests.support.eventually import eventually
from tests.support.launching import source, wait_for, wheel


def held(builder: Builder) -> Path:
    """Make installations of a build whose HOLD names this file wait until it is there."""
    real = shlex.quote(str((builder.stage.tools / "uv").resolve()))
    wait = 'while [ "$1" = pip ] && [ -n "$HOLD" ] && [ ! -e "$HOLD" ]; do sleep 0.05; done'
    builder.replace_uv(f'#!/bin/sh\n{wait}\nexec {real} "$@"\n')
    return builder.root / "go"


def partials(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.partial-*"))


# --- builds at once ---------------------------------------------------------------------------------


def test_a_build_under_way_keeps_its_folder_while_others_build_the_same(builder: Builder) -> None:
    go = held(builder)
    builder.env["HOLD"] = str(go)
    slow = builder.start("plume\n")
    (own,) = wait_for(lambda: partials(builder.build), "the slow build's folder")
    wait_for((own / "pyvenv.cfg").exists, "its interpreter")
    del builder.env["HOLD"]
    assert builder.run("plume\n").code == 0
    assert partials(builder.build) == [own]
    first = builder.environment.stat().st_ino
    go.touch()
    ended = builder.end(slow)
    assert ended.code == 0, ended.text
    assert builder.environment.stat().st_ino == first
    assert builder.python("import plume; print(plume.VALUE)") == "42\n"
    assert partials(builder.build) == []


def test_a_build_whose_folder_was_taken_away_is_never_marked_complete(builder: Builder) -> None:
    go = held(builder)
    builder.env["HOLD"] = str(go)
    slow = builder.start("plume\n")
    (own,) = wait_for(lambda: partials(builder.build), "the build's folder")
    wait_for((own / "pyvenv.cfg").exists, "its interpreter")
    own.rename(builder.root / "trash")
    (own / "bin").mkdir(parents=True)
    go.touch()
    ended = builder.end(slow)
    assert (ended.code, ended.message["reason"]) == (1, "InstallFailed"), ended.text
    assert not builder.environment.exists()


def test_what_a_killed_build_left_goes_with_the_next_one(builder: Builder) -> None:
    builder.env["HOLD"] = str(held(builder))
    slow = builder.start("plume\n")
    wait_for(lambda: partials(builder.build), "the build's folder")
    for pid in wait_for(lambda: below(slow.pid), "its processes"):
        os.kill(pid, signal.SIGKILL)
    slow.kill()
    builder.end(slow)
    assert partials(builder.build)
    del builder.env["HOLD"]
    assert builder.run("plume\n").code == 0
    assert sorted(path.name for path in builder.build.iterdir()) == ["environment", "logs", "requirements.json"]


def below(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    found = [pid]
    for parent in found:
        tasks = Path(f"/proc/{parent}/task/{parent}/children")
        found += [int(child) for child in tasks.read_text().split()] if tasks.exists() else []
    return found[1:]


def test_a_build_that_is_asked_to_end_leaves_nothing_half(builder: Builder) -> None:
    builder.env["HOLD"] = str(held(builder))
    slow = builder.start("plume\n")
    wait_for(lambda: partials(builder.build), "the build's folder")
    slow.terminate()
    assert builder.end(slow).code == 143
    assert partials(builder.build) == []


def test_a_build_that_fails_leaves_nothing_half(builder: Builder) -> None:
    assert builder.run("nosuch\n").code == 121
    assert partials(builder.build) == []


# --- damage -----------------------------------------------------------------------------------------


def no_interpreter(environment: Path) -> None:
    shutil.rmtree(environment / "bin")


def dangling_interpreter(environment: Path) -> None:
    python = environment / "bin/python"
    python.unlink()
    python.symlink_to("/no/such/python")


def no_packages(environment: Path) -> None:
    shutil.rmtree(environment / "lib")


def half_of_the_packages(environment: Path) -> None:
    for path in environment.glob("lib/*/site-packages/plume*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def no_lock(environment: Path) -> None:
    (environment / "lock.txt").unlink()


DAMAGES = [no_interpreter, dangling_interpreter, no_packages, half_of_the_packages, no_lock]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_of_a_build_is_made_again(builder: Builder, damage: Callable[[Path], None]) -> None:
    assert builder.run("plume\n").code == 0
    damage(builder.environment)
    ended = builder.run("plume\n")
    assert ended.code == 0, ended.text
    assert builder.python("import plume; print(plume.VALUE)") == "42\n"
    assert builder.lock() == ["plume==1.0"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_stage_never_runs_in_a_damaged_environment(builder: Builder, damage: Callable[[Path], None]) -> None:
    assert builder.run("plume\n").code == 0
    published = builder.publish()
    builder.stage.env = dict(builder.env)
    damage(published)
    ended = builder.stage.run("import plume; print(plume.VALUE, plume.__file__)")
    if damage is no_lock:  # then its versions are unknown
        assert (ended.code, ended.message["reason"]) == (121, "EnvironmentMissing")
        assert "is damaged (its lock.txt is gone): start a new run, which builds it again" in ended.message["message"]
    else:
        assert ended.code == 0, ended.text
        assert f"42 {builder.stage.scratch}/environment" in ended.text
    noted = json.loads(opened((builder.stage.logs / "environment-outdated.json").read_text()) or "")
    assert noted["environment"] == published.name


# --- on a laptop ------------------------------------------------------------------------------------


PRINTS = {"a/run.py": "import plume\nprint('plume is', plume.VALUE)\n", "a/requirements.txt": "plume==1.0\n"}
INI = "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = run.py\n"


@pytest.fixture
def coachwork(tmp_path: Path) -> CommandLine:
    wheel(tmp_path / "index", "plume", "1.0", "VALUE = 42\n" + "x = 1\n" * 100_000)  # takes a while to compile
    packages = {"UV_FIND_LINKS": str(tmp_path / "index"), "UV_OFFLINE": "1", "UV_NO_INDEX": "1"}
    return CommandLine(tmp_path / "home", packages)


def project(folder: Path) -> str:
    main = f"[default]\nPROJECT_NAME = {folder.name}\n[workflow]\nDAG = a\n"
    return str(write(folder, {"bodywork.ini": main, "a/config.ini": INI, **PRINTS}))


def environments(coachwork: CommandLine) -> list[Path]:
    return sorted((coachwork.home / layout.ENVIRONMENTS).glob("[0-9a-f]*"))


def test_four_projects_with_equal_requirements_run_at_once_on_one_machine(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    folders = [project(tmp_path / name) for name in ("spring", "summer", "autumn", "winter")]
    ended = [running.end() for running in [coachwork.start("run", folder) for folder in folders]]
    assert [one.code for one in ended] == [0] * 4, [one.out + one.err for one in ended]
    (environment,) = environments(coachwork)
    assert partials(coachwork.home / layout.BUILDS / environment.name) == []
    again = coachwork.run("run", folders[0])
    assert again.code == 0, again.out + again.err


def test_a_build_killed_outright_leaves_no_environment_and_the_next_run_makes_it(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    folder = project(tmp_path / "spring")
    for _ in range(3):
        running = coachwork.start("run", folder)
        eventually(lambda: list((coachwork.home / layout.BUILDS).glob("*/*.partial-*")))
        running.process.kill()
        running.end()
        eventually(lambda: coachwork.processes() == [])
    ended = coachwork.run("run", folder)
    assert ended.code == 0, ended.out + ended.err
    (environment,) = environments(coachwork)
    assert partials(coachwork.home / layout.BUILDS / environment.name) == []


@pytest.mark.parametrize("damage", [no_interpreter, half_of_the_packages])
def test_a_run_makes_a_damaged_environment_again(
    coachwork: CommandLine, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = project(tmp_path / "spring")
    assert coachwork.run("run", folder).code == 0
    (environment,) = environments(coachwork)
    damage(environment)
    ended = coachwork.run("run", folder)
    assert ended.code == 0, ended.out + ended.err
    assert environments(coachwork) == [environment]
    assert "Reused" not in ended.out


SLOW = """
import os, time
while not os.path.exists({go!r}):
    time.sleep(0.05)
"""


def test_a_laptop_says_what_must_be_compiled_while_it_is_compiled(coachwork: CommandLine, tmp_path: Path) -> None:
    whole = wheel(tmp_path / "any", "quill", "1.0", "")
    whole.rename(tmp_path / "index" / "quill-1.0-cp38-none-any.whl")
    named = "Metadata-Version: 2.1\nName: quill\nVersion: 1.0\n"
    slow = source("quill", before=SLOW.format(go=str(tmp_path / "go")))
    write(tmp_path / "quill-1.0", {"PKG-INFO": named, **slow})
    shutil.make_archive(str(tmp_path / "index/quill-1.0"), "gztar", tmp_path, "quill-1.0")
    folder = project(tmp_path / "spring")
    (tmp_path / "spring/a/requirements.txt").write_text("plume==1.0\nquill==1.0\n")
    running = coachwork.start("run", folder)
    line = running.error(lambda line: "no wheel for Python" in line)
    assert line.startswith("warning: stage environment: ")
    assert "`quill==1.0` (a/requirements.txt:2): compiling takes long; everything asked for has wheels" in line
    (tmp_path / "go").touch()
    ended = running.end()
    assert ended.code == 0, ended.out + ended.err
    assert ended.err.count("no wheel for Python") == 1
