"""Which Python of a laptop runs the stages. The Pythons are scripts that tell a version, found as real ones are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from controller.adapters import pythons
from controller.core.errors import Invalid
from controller.core.model import Batch, Pipeline, Stage

OWN = pythons.OWN.minor
OTHER, THIRD = [version for version in ("3.9", "3.10", "3.12") if version != OWN][:2]


def pipeline(python: str = "", *, stages: dict[str, str] | None = None, **more: str) -> Pipeline:
    found = {name: Stage(name, name, "run.py", Batch(), python=own) for name, own in (stages or {"train": ""}).items()}
    return Pipeline("iris", (tuple(found),), found, python=python, **more)  # type: ignore[arg-type]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Have a machine with no Python but ours, and give what installs one: among pyenv's, or on the path."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    (tmp_path / "bin").mkdir()

    def made(version: str, *, says: str = "", pyenv: bool = True) -> str:
        path = tmp_path / (
            f"pyenv/versions/{version}/bin/python" if pyenv else f"bin/python{version[: version.rindex('.')]}"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {says or version}\n")
        path.chmod(0o755)
        return str(path)

    return made


def test_a_project_that_asks_for_nothing_runs_on_ours(install: Callable[..., str]) -> None:
    install(f"{OTHER}.1")
    (line,) = pythons.choose(pipeline()).lines
    own = pythons.OWN
    assert line == f"Python {own.version} for train, since the project names none and coachwork runs on it ({own.path})"


def test_the_python_that_a_project_asks_for_is_found_and_said(install: Callable[..., str]) -> None:
    install(f"{OTHER}.2")
    path = install(f"{OTHER}.18")
    found = pythons.choose(pipeline(OTHER))
    assert found.default == pythons.Interpreter(path, f"{OTHER}.18")
    assert found.lines == (f"Python {OTHER}.18 for train, since PYTHON of the project is {OTHER} ({path})",)


def test_one_on_the_path_is_found_and_one_that_is_broken_is_passed_over(install: Callable[..., str]) -> None:
    install(f"{OTHER}.18", says="no")
    install(f"{OTHER}.17", says="3.6.1")
    path = install(f"{OTHER}.16", pyenv=False)
    assert pythons.choose(pipeline(OTHER)).default.path == path


def test_stages_of_one_project_may_have_different_pythons(install: Callable[..., str]) -> None:
    first, second = install(f"{OTHER}.1"), install(f"{THIRD}.2")
    found = pythons.choose(pipeline(OTHER, stages={"a": "", "b": THIRD, "c": OWN}))
    assert found.default.path == first
    assert {version: there.path for version, there in found.others.items()} == {
        OTHER: first, THIRD: second, OWN: pythons.OWN.path,
    }  # fmt: skip
    assert [line.partition(", ")[0].split()[-1] for line in found.lines] == ["a", "b", "c"]


@pytest.mark.usefixtures("install")
@pytest.mark.parametrize("root", ["/proc/self/mem", "x" * 300, "a[b", "/nowhere"])
def test_a_folder_of_pythons_that_can_not_be_read_holds_none(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.setenv("PYENV_ROOT", root)  # another user's, left in the shell by sudo
    with pytest.raises(Invalid):
        pythons.choose(pipeline(OTHER))


@pytest.mark.usefixtures("install")
def test_all_missing_pythons_are_named_with_what_installs_them() -> None:
    with pytest.raises(Invalid) as refused:
        pythons.choose(pipeline(OTHER, stages={"a": "", "b": THIRD}))
    assert refused.value.reason == "PythonMissing"
    first, second = refused.value.problems
    assert first.startswith(f"PYTHON of the project is {OTHER}, and Python {OTHER} was not found here: ")
    assert f"`uv python install {THIRD}` installs one" in second
    assert pythons.choose(pipeline(stages={"a": "", "b": THIRD}), only="a").default == pythons.OWN


@pytest.mark.usefixtures("install")
def test_one_that_only_an_image_suggests_is_replaced_by_ours_with_a_warning() -> None:
    for image in ("bodyworkml/bodywork-core:2.1", "bodyworkml/bodywork-core:3.0"):
        found = pythons.choose(pipeline(bodywork_image=image))
        if not found.others:  # else ours is that very one
            assert found.default == pythons.OWN
            (line,) = found.lines
            assert line.startswith(f"warning: DOCKER_IMAGE is {image}, and Python ")
            assert "uv python install 3." in line
    (line,) = pythons.choose(pipeline(image="python:3.6-slim")).lines
    assert "stages need Python 3.8 or later" in line


def test_an_official_image_suggests_its_python(install: Callable[..., str]) -> None:
    path = install(f"{OTHER}.5")
    assert pythons.choose(pipeline(image=f"python:{OTHER}-slim")).default.path == path


def test_what_the_command_line_says_wins_and_what_differs_is_said(install: Callable[..., str]) -> None:
    path = install("3.11.4")
    found = pythons.choose(pipeline("3.9", stages={"a": "", "b": "3.11"}), pythons.named(path))
    assert (found.default, found.others) == (pythons.Interpreter(path, "3.11.4", has_packages=True), {})
    assert found.lines == (
        f"Python 3.11.4 for all stages, since --python names it ({path})",
        "warning: PYTHON of the project is 3.9, which means Python 3.9; --python gives 3.11.4",
    )


def test_the_command_line_may_name_a_version(install: Callable[..., str]) -> None:
    first, last = install(f"{OTHER}.1"), install(f"{OTHER}.12")
    for version, path in ((OTHER, last), (f"{OTHER}.1", first), (f"{OTHER}.12", last)):
        assert pythons.named(version).path == path
    missing = {
        version: f"no Python {version} found here: `uv python install {version}` installs one"
        for version in (f"{OTHER}.2", THIRD)
    }
    useless = {version: f"{version}: {pythons.GOOD}" for version in ("3", "2.7", "3.6.15")}
    for version, fault in (missing | useless).items():
        with pytest.raises(Invalid) as refused:
            pythons.named(version)
        assert refused.value.problems == (f"--python: {fault}",)
