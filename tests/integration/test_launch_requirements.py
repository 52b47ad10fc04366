"""What requirements may say, as the real uv installs them from wheels and folders made here: no network."""

import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.building import FILE, Builder, package
from tests.support.datedindex import serving
from tests.support.launching import Stage, wheel


@pytest.mark.parametrize(("line", "folder"), [("./wheels/", "train/wheels"), ("./libs/", "libs"), ("libs/", "libs")])
def test_wheels_of_the_repository_are_found_below_stage_or_project(builder: Builder, line: str, folder: str) -> None:
    path = wheel(builder.stage.checkout / folder, "quill", "2.0", "")
    builder.stage.file("more.txt", f"{line}{path.name}\n")
    ended = builder.run(f"{line}{path.name}\n-r ../more.txt\n")
    assert ended.code == 0, ended.text
    assert builder.lock()[0] == "quill==2.0"
    assert builder.lock()[1].startswith("# quill is from ./")


@pytest.mark.parametrize("line", ["-e ./lib", "mine @ file:lib", "./lib ; python_version > '3'"])
def test_packages_of_the_project_are_installed_as_plain_ones(builder: Builder, line: str) -> None:
    package(builder.stage.checkout / "train/lib", "mine", value=7)
    ended = builder.run(f"plume\n{line}\n")
    assert ended.code == 0, ended.text
    assert builder.lock() == ["mine==1.0", "plume==1.0", "# mine is from ./train/lib"]
    shutil.rmtree(builder.scratch)
    assert builder.python("import mine; print(mine.VALUE)") == "7\n"
    assert not (builder.stage.checkout / "train/lib/built-here").exists()


@pytest.mark.parametrize(("line", "file"), [(".", "requirements.txt"), ("-e .", FILE)])
def test_the_project_itself_is_installed_as_a_plain_package(builder: Builder, line: str, file: str) -> None:
    package(builder.stage.checkout, "mine", value=7)
    builder.stage.file(file, f"{line}\n")
    builder.ask(file)
    ended = builder.run()
    assert ended.code == 0, ended.text
    assert builder.lock() == ["mine==1.0", "# mine is from ."]


@pytest.mark.parametrize(
    "line",
    [
        "git+https://host/repo@v1#egg=mine&subdirectory=python",
        "mine @ git+https://host/repo@v1#subdirectory=python ; python_version > '3'",
    ],
)
def test_git_requirements_are_taken_from_their_folders(builder: Builder, line: str) -> None:
    source = builder.root / "sources/0"
    package(source / "python", "mine", value=7)
    package(builder.root / "sources/1", "other")
    builder.stage.file("train/nested.txt", f"{line}\n")
    sources = {"git+https://host/repo@v1": str(source), "git+https://host/repo": str(builder.root / "sources/1")}
    ended = builder.run("-r nested.txt\n", sources=sources)
    assert ended.code == 0, ended.text
    assert builder.lock() == ["mine==1.0", "# mine is from git+https://host/repo@v1/python"]
    assert not (source / "python/built-here").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("./lib#1", "./train/lib#1"),
        ("-e ./lib", "./train/lib"),
        ("./mine-1.0-py3-none-any.whl", "./train/mine-1.0-py3-none-any.whl"),
        ("git+https://host/repo@v1", "git+https://host/repo@v1"),
    ],
)
def test_a_number_sign_in_a_path_is_a_part_of_it(tmp_path: Path, line: str, told: str) -> None:
    builder = Builder(Stage(tmp_path / "home #1"))
    del builder.env["UV_FIND_LINKS"]  # which uv cuts at spaces
    for folder in (builder.stage.checkout / "train/lib", builder.stage.checkout / "train/lib#1", builder.root / "git"):
        package(folder, "mine", value=7)
    wheel(builder.stage.checkout / "train", "mine", "1.0", "VALUE = 7")
    sources = {"git+https://host/repo@v1": str(builder.root / "git")}
    ended = builder.run(f"{line}\n--find-links .\n", sources=sources)
    assert ended.code == 0, ended.text
    assert builder.lock() == ["mine==1.0", f"# mine is from {told}"]
    assert builder.python("import mine; print(mine.VALUE)") == "7\n"


def test_a_failure_in_a_path_with_a_number_sign_is_reported_in_the_users_words(tmp_path: Path) -> None:
    builder = Builder(Stage(tmp_path / "home #1"))
    del builder.env["UV_FIND_LINKS"]  # which uv cuts at spaces
    package(builder.stage.checkout / "train/lib#1", "mine")
    (builder.stage.checkout / "train/lib#1/backend.py").write_text("raise RuntimeError('so not')\n")
    ended = builder.run("\n./lib#1\n")
    assert ended.message["message"].startswith(f"{FILE}:2: `mine @ ./train/lib#1` ")


def test_hashes_are_checked(builder: Builder) -> None:
    hashes = subprocess.run(["sha256sum", *builder.index.iterdir()], check=True, timeout=30, capture_output=True)
    good = hashes.stdout.decode().split()[0]
    assert builder.run(f"--require-hashes\nplume==1.0 \\\n    --hash=sha256:{good}\n").code == 0
    ended = builder.run(f"plume==1.0 --hash=sha256:{'0' * 64}\n")
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    assert ended.message["message"].startswith(f"{FILE}:1: ")
    assert "Hash mismatch for `plume==1.0`" in ended.message["message"]


def test_what_a_hashed_package_needs_must_have_a_hash_too(builder: Builder) -> None:
    path = wheel(builder.index, "quill", "1.0", "", needs="plume")
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    ended = builder.run(f"quill==1.0 --hash=sha256:{good}\n")
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed"), ended.text
    assert "`plume` is needed by what is asked for, and no line has its hash" in ended.message["message"]
    other = hashlib.sha256((builder.index / "plume-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    builder.stage.file("train/limits.txt", f"plume==1.0 --hash=sha256:{other}\n")
    assert builder.run(f"-c limits.txt\nquill==1.0 --hash=sha256:{good}\n").code == 0


def test_a_lock_of_any_length_is_installed(builder: Builder) -> None:
    hashes = "".join(f" \\\n    --hash=sha256:{number:064x}" for number in range(40))
    (good,) = (hashlib.sha256(path.read_bytes()).hexdigest() for path in builder.index.iterdir())
    others = "".join(f"other-{number}==1.0 ; python_version < '3'{hashes}\n" for number in range(60))
    text = f"{others}--require-hashes\nplume==1.0{hashes} \\\n    --hash=sha256:{good}\n"
    assert len(text) > 128 * 1024
    ended = builder.run(text)
    assert ended.code == 0, ended.text
    assert builder.lock() == ["plume==1.0"]


def test_a_build_keeps_what_it_was_made_of(builder: Builder) -> None:
    assert builder.run("plume\n").code == 0
    assert (builder.environment / "requirements.json").read_text() == (builder.build / "requirements.json").read_text()


def test_a_build_without_requirements_json_says_so(builder: Builder) -> None:
    ended = builder.run()
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    assert ended.message["message"] == "requirements.json of the environment is gone or damaged: start a new run"


def test_options_that_uv_passes_over_in_files_are_on_its_command_line(builder: Builder) -> None:
    called = builder.root / "called"
    real, noted = shlex.quote(str((builder.stage.tools / "uv").resolve())), shlex.quote(str(called))
    builder.replace_uv(f'#!/bin/sh\n[ "$2" = venv ] && exec {real} "$@"\necho "$@" > {noted}\nexit 1\n')
    builder.stage.file(
        FILE, "plume\nsix[x]==1.16 ; os_name == 'posix'\na==1.*\n--pre --trusted-host=h\n--prefer-binary\n"
    )
    builder.ask(as_of="2021-03-05")
    assert builder.run().code == 121
    asked = called.read_text()
    assert "--prerelease allow --allow-insecure-host=h --exclude-newer 2021-03-05T23:59:59Z" in asked
    assert asked.count("--exclude-newer-package") == asked.count("--exclude-newer-package=six=9") == 1
    assert f"{FILE}:5: --prefer-binary is passed over" in builder.log()


@pytest.fixture
def dated(builder: Builder) -> Iterator[Builder]:
    """A builder whose index tells days of upload, but for one package."""
    releases = {
        "plume": {"1.0": ("2021-01-01",), "2.0": ("2023-01-01",), "3.0": ("2024-01-01",)},
        "undated": {"1.0": ("",), "2.0": ("",)},
    }
    with serving(releases) as address:
        builder.env = {"UV_DEFAULT_INDEX": address}
        yield builder


@pytest.mark.parametrize(
    ("line", "version"), [("plume", "1.0"), ("plume==2.0", "2.0"), ("plume[x]==2.0 ; os_name", "2.0")]
)
def test_a_day_decides_where_no_exact_pin_does(dated: Builder, line: str, version: str) -> None:
    marked = line.replace("os_name", "os_name == 'posix'")
    dated.stage.file(FILE, f"{marked}\n")
    dated.ask(as_of="2022-03-05")
    ended = dated.run()
    assert (ended.code, dated.lock()) == (0, [f"plume=={version}"]), ended.text


def test_an_index_without_days_of_upload_does_for_a_day_that_nobody_asked_for(dated: Builder) -> None:
    dated.stage.file(FILE, "undated\n")
    dated.ask(as_of="2022-03-05", by_default=True)
    ended = dated.run()
    assert (ended.code, dated.lock()) == (0, ["undated==2.0"]), ended.text
    assert "the index does not say when files were uploaded: the newest packages are taken" in dated.log()


def test_an_index_without_days_of_upload_refuses_a_day_that_was_asked_for(dated: Builder) -> None:
    dated.stage.file(FILE, "undated\n")
    dated.ask(as_of="2022-03-05")
    ended = dated.run()
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    assert ended.message["message"].endswith("say when files were uploaded: write RESOLVE_AS_OF = now")


def test_constraints_and_markers_count(builder: Builder) -> None:
    wheel(builder.index, "plume", "2.0", "")
    builder.stage.file("train/pins.txt", "plume<2\n")
    assert builder.run("-c pins.txt\nplume\nnosuch ; python_version < '3'\n").code == 0
    assert builder.lock() == ["plume==1.0"]


def test_a_link_that_leaves_the_project_is_refused(builder: Builder) -> None:
    path = wheel(builder.root, "quill", "2.0", "")
    (builder.stage.checkout / "train" / path.name).symlink_to(path)
    ended = builder.run(f"plume\n./{path.name}\n")
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    told = f"{FILE}:2: `train/{path.name}` is outside the project: put it into the project's folder"
    assert ended.message["message"] == told


def test_a_subdirectory_that_leaves_its_repository_is_refused(builder: Builder) -> None:
    (builder.root / "sources/0").mkdir(parents=True)
    ended = builder.run(
        "git+https://h/r#subdirectory=../..\n", sources={"git+https://h/r": f"{builder.root}/sources/0"}
    )
    assert ended.message["message"].startswith(f"{FILE}:1: ")
    assert "is outside the project" in ended.message["message"]
