"""The day that `validate` proposes for old pins: tried against an index of this process, and against Git."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import CommandLine, write
from tests.support.datedindex import Releases, serving
from tests.support.gitserver import Repository
from tests.support.world import project

RELEASES: Releases = {
    "flask": {"1.1.2": ("2020-04-03", "itsdangerous>=0.24"), "2.0.0": ("2021-05-11", "itsdangerous>=2")},
    "itsdangerous": {"1.1.0": ("2018-10-27",), "2.1.0": ("2022-02-18",)},
    "plume": {"1.0": ("2021-01-01",), "2.0": ("2023-05-22",)},
    "lead": {"1.0": ("2021-01-01", "plume<1")},
    "stone": {"1.0": ("2021-01-01", "sdist")},
    "undated": {"1.0": ("",)},
    "young": {"1.0": ("2021-01-01", "plume==2.0")},
}
BOUNDS = "pin itsdangerous<2.1, jinja2<3.1, werkzeug<2.1 too"


@pytest.fixture(scope="module")
def index() -> Iterator[str]:
    with serving(RELEASES) as address:
        yield address


@pytest.fixture
def coachwork(tmp_path: Path, index: str) -> CommandLine:
    return CommandLine(tmp_path / "state", {"UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(tmp_path / "cache")})


def remedy(coachwork: CommandLine, folder: Path, **more: str) -> str:
    """Return what the one warning says to do."""
    ended = coachwork.run("validate", str(folder), **more)
    assert ended.code == 0, ended.err
    (line,) = ended.err.splitlines()
    assert "flask==1.1.2 does not work with itsdangerous 2.1 and later" in line
    return line.rpartition("(it removed what flask imports): ")[2]


def files(*pins: str, dag: str = "a") -> dict[str, str]:
    return project(dag, packages=dict(zip(dag.split(" >> "), pins, strict=True)))


def day(text: str, remark: str = "") -> str:
    return f"write RESOLVE_AS_OF = {text} in [default] of bodywork.ini{remark}, or {BOUNDS}"


def test_a_day_on_which_all_can_be_had_is_proposed(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", files("flask==1.1.2\n", "plume==1.0\n", dag="a >> b"))
    assert remedy(coachwork, folder) == day("2022-02-17")


@pytest.mark.parametrize(
    ("pins", "why"),
    [
        ("plume==2.0\n", "on 2022-02-17 plume==2.0 did not exist yet, it is of 2023-05-22"),
        ("young\n", "on 2022-02-17 plume==2.0 did not exist yet, it is of 2023-05-22"),
        ("undated==1.0\n", "the package index does not say when files were uploaded"),
        ("lead==1.0\n", "on 2022-02-17 only plume"),
    ],
)
def test_a_day_on_which_a_pin_of_any_stage_was_not_there_is_not(
    coachwork: CommandLine, tmp_path: Path, pins: str, why: str
) -> None:
    folder = write(tmp_path / "p", files("flask==1.1.2\n", pins, dag="a >> b"))
    told = remedy(coachwork, folder)
    assert told.startswith(f"{BOUNDS} (no day has versions for all pins of this project: {why}")


def test_a_stage_outside_of_the_dag_has_no_say(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", files("flask==1.1.2\n") | {"b/requirements.txt": "plume==2.0\n", "b/config.ini": ""})
    assert remedy(coachwork, folder) == day("2022-02-17")


def test_where_the_requirements_last_changed_earlier_that_day_is_proposed(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    folder = write(tmp_path / "p", files("flask==1.1.2\n"))
    repository = Repository(folder)
    repository.git("init", "--quiet")
    repository.git("add", "--all")
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(folder), "commit", "--quiet", "--message", "x"]
    dated = {**os.environ, **who, "GIT_COMMITTER_DATE": "2021-07-01T12:00:00Z"}
    subprocess.run(command, env=dated, check=True, timeout=60)
    assert remedy(coachwork, folder) == day("2021-07-01")


def test_what_could_not_be_tried_is_said(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", files("flask==1.1.2\nstone==1.0\n"))
    assert remedy(coachwork, folder) == day("2022-02-17", " (not verified: stone has no wheel that fits)")
    fresh = str(tmp_path / "other")
    unreachable = remedy(coachwork, folder, UV_DEFAULT_INDEX="http://127.0.0.1:9/simple", UV_CACHE_DIR=fresh)
    assert unreachable == day("2022-02-17", " (not verified: the package index can't be reached)")
    offline = remedy(coachwork, folder, UV_OFFLINE="1", UV_CACHE_DIR=fresh)
    assert offline == day("2022-02-17", " (not verified: the package index can't be reached)")


def test_indexes_that_are_set_for_pip_count(coachwork: CommandLine, tmp_path: Path, index: str) -> None:
    folder = write(tmp_path / "p", files("flask==1.1.2\nplume==1.0\n"))
    assert remedy(coachwork, folder, UV_DEFAULT_INDEX="", PIP_INDEX_URL=index) == day("2022-02-17")


def test_what_is_the_projects_own_is_not_asked_for(coachwork: CommandLine, tmp_path: Path) -> None:
    own = {"lib/pyproject.toml": "[project]\nname = 'own'\nversion = '1'\n"}
    folder = write(
        tmp_path / "p", files("flask==1.1.2\n../lib\n-c ../limits.txt\n") | own | {"limits.txt": "nosuch==9\n"}
    )
    assert remedy(coachwork, folder) == day("2022-02-17")
