"""Environments, built by the real uv from wheels and folders made here: no network."""

import hashlib
import http.server
import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.building import KEY, Builder, waking
from tests.support.cli import write
from tests.support.datedindex import serving
from tests.support.launching import PYTHON_38, Stage, source, wait_for, wheel
from tests.support.slowindex import half

REQUIREMENTS = "train/requirements.txt"


def package(folder: Path, name: str, version: str = "1.0", value: int = 1) -> None:
    """Make a package from source, which leaves a file where it was built."""
    built = 'open("built-here", "w").close()'
    write(folder, source(name, version, before=built, module=f'"VALUE = {value}"'))


# --- a good build ---------------------------------------------------------------------------------


def test_a_build_leaves_a_complete_environment(builder: Builder) -> None:
    ended = builder.run("# what we need\nplume==1.0\n")
    assert ended.code == 0, ended.text
    assert (ended.message["reason"], ended.message["attempt"]) == ("Completed", 1)
    assert builder.lock() == ["plume==1.0"]
    assert (builder.environment / ".complete").read_text().strip() == KEY
    assert builder.python("import plume; print(plume.VALUE)") == "42\n"
    assert list(builder.environment.glob("lib/python*/site-packages/__pycache__/plume*.pyc"))
    assert "plume==1.0" in builder.log()
    assert builder.log().splitlines()[-1].endswith("complete")
    assert ended.results[1]["reason"] == "Completed"


def test_a_builds_own_cache_serves_its_next_attempt_and_goes_with_the_environment(builder: Builder) -> None:
    own = {"paths": {"cache": str(builder.build / "cache")}}
    assert builder.run("plume\nnosuch\n", **own).code == 121
    assert (builder.build / "cache").is_dir()
    assert builder.run("plume\n", **own).code == 0
    assert not (builder.build / "cache").exists()
    assert builder.python("import plume; print(plume.VALUE)") == "42\n"
    shared = builder.root / "cache"
    shutil.rmtree(builder.environment)
    assert builder.run("plume\n").code == 0
    assert shared.is_dir()


# --- compiled while stages use it -------------------------------------------------------------------


READS = "import sys; sys.dont_write_bytecode = True; import plume"  # as from a volume that is mounted read-only


def compiled(folder: Path) -> list[str]:
    """Return the modules of an environment that are compiled."""
    return [path.name.partition(".")[0] for path in folder.glob("lib/python*/site-packages/__pycache__/*.pyc")]


def test_an_environment_can_be_used_before_it_is_compiled(builder: Builder) -> None:
    builder.published.mkdir(parents=True)  # as the controller makes it for the mount
    then = list[object]()

    def woken() -> None:
        builder.published.rmdir()
        published = builder.publish()
        builder.stage.env = dict(builder.env)
        then.extend([builder.stage.run(READS).code, compiled(published)])
        then.append((published / ".uncompiled").exists())

    with waking(woken) as address:
        ended = builder.run("plume\n", **builder.behind(address))
    assert ended.code == 0, ended.text
    assert then == [0, [], True]
    assert compiled(builder.published) == ["plume"]
    assert list(builder.published.glob("bytecode/**/stage_launcher.*.pyc"))  # what the launcher imports, too
    assert not (builder.published / ".uncompiled").exists()
    (code,) = builder.published.glob("lib/python*/site-packages/__pycache__/*.pyc")
    assert str(builder.published / "lib").encode() in code.read_bytes()  # tracebacks name where stages find it


def test_a_build_that_can_not_wake_the_controller_ends_at_once_and_the_next_attempt_compiles(builder: Builder) -> None:
    ended = builder.run("plume\n", **builder.behind("127.0.0.1:1/wake/it"))
    assert (ended.code, ended.message["reason"]) == (1, "NotCompiled"), ended.text
    assert ended.message["message"].startswith(f"{REQUIREMENTS}: installed; compiled by the next attempt: ")
    published = builder.publish()
    shutil.rmtree(builder.build)  # nothing of it is needed any more
    builder.build.mkdir()
    assert builder.run(**builder.behind("127.0.0.1:1/wake/it")).code == 0
    assert "choosing versions" not in builder.log(1)
    assert compiled(published) == ["plume"]


@pytest.mark.parametrize(
    ("answer", "published_by", "code"),
    [(429, 2, 0), (202, 3, 1), (404, 3, 0)],  # busy; never published; nobody waits
)
def test_a_build_compiles_once_it_is_published_whatever_its_calls_are_answered(
    builder: Builder, answer: int, published_by: int, code: int
) -> None:
    calls = iter(range(1, published_by))
    with waking(lambda: next(calls, 0) or builder.publish(), answer) as address:
        ended = builder.run("plume\n", **builder.behind(address))
    assert ended.code == code, ended.text
    assert ended.message["reason"] == ("NotCompiled" if code else "Completed")
    assert next(calls, 0) == 0
    made = builder.published if builder.published.exists() else builder.environment
    assert compiled(made) == ([] if code else ["plume"])


def test_what_was_compiled_before_a_build_was_killed_is_not_compiled_again(builder: Builder) -> None:
    wheel(builder.index, "quill", "1.0", "x = 1\n" * 100_000)  # takes a while to compile
    with waking(builder.publish) as address:
        process = builder.start("plume\nquill\n", **builder.behind(address))
        wait_for(lambda: compiled(builder.published), "the first module")
        before = builder.published / "lib"
        (first,) = before.glob("python*/site-packages/__pycache__/plume.*.pyc")
        made = first.stat().st_mtime_ns
        process.terminate()
        assert builder.end(process).code
    assert (builder.published / ".uncompiled").exists()
    assert builder.run(**builder.behind("nobody:1/")).code == 0
    assert sorted(compiled(builder.published)) == ["plume", "quill"]
    assert first.stat().st_mtime_ns == made
    assert not list(before.glob("python*/site-packages/__pycache__/*.pyc.*"))


@pytest.mark.parametrize("behind", [False, True])
def test_a_module_that_can_not_be_compiled_keeps_no_other_from_it(builder: Builder, behind: bool) -> None:
    with zipfile.ZipFile(wheel(builder.index, "odd", "1.0", "print 'of another Python'\n"), "a") as archive:
        archive.writestr("a" * 245 + ".py", "")  # no file system has names as long as what it is compiled to
    with waking(builder.publish) as address:
        ended = builder.run("plume\nodd\n", **(builder.behind(address) if behind else {}))
    assert ended.code == 0, ended.text
    made = builder.published if behind else builder.environment
    assert compiled(made) == ["plume"]
    assert not (made / ".uncompiled").exists()


def test_the_checkout_is_not_written_to_and_not_copied(builder: Builder) -> None:
    builder.stage.file("data", "x")
    before = sorted(builder.stage.checkout.rglob("*"))
    assert builder.run("plume\n").code == 0
    assert [path for path in sorted(builder.stage.checkout.rglob("*")) if path.name != "requirements.txt"] == before
    assert not (builder.scratch / "install/project").exists()


def test_half_an_environment_in_the_place_of_one_makes_room(builder: Builder) -> None:
    site = builder.environment / "lib/python3/site-packages"
    site.mkdir(parents=True)
    (site / "half.py").write_text("")
    (builder.environment / ".complete").write_text(KEY)
    assert builder.run("plume\n").code == 0
    assert not (site / "half.py").exists()
    assert sorted(path.name for path in builder.build.iterdir()) == ["environment", "logs", "requirements.json"]


def test_a_second_attempt_has_a_log_of_its_own(builder: Builder) -> None:
    assert builder.run("nosuch\n").code == 121
    ended = builder.run("plume\n")
    assert ended.message["attempt"] == 2
    assert "nosuch" in builder.log(1)
    assert "nosuch" not in builder.log(2)


def test_attempts_at_once_never_mix(builder: Builder) -> None:
    """A lost node's pod may live on while its Job has another."""
    first, second = builder.start("plume\n"), builder.start()
    codes = {builder.end(process).code for process in (first, second)}
    assert 0 in codes
    assert builder.lock() == ["plume==1.0"]
    assert builder.python("import plume; print(plume.VALUE)") == "42\n"


@pytest.mark.parametrize("published", [False, True])
def test_a_build_whose_cache_another_has_removed_uses_what_that_one_made(builder: Builder, published: bool) -> None:
    """A lost node's pod may live on while its Job has another, which is done first."""
    package(lib := builder.stage.checkout / "train/lib", "mine")
    begun, go_on, backend = builder.root / "begun", builder.root / "go-on", lib / "backend.py"
    waits = f"    import pathlib, time\n    first = not pathlib.Path({str(begun)!r}).exists()\n"
    waits += f"    pathlib.Path({str(begun)!r}).touch()\n"
    waits += f"    while first and not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.01)\n"
    backend.write_text(backend.read_text().replace("    open(", f"{waits}    open(", 1))
    own = {"paths": {"cache": str(builder.build / "cache")}}
    slow = builder.start("plume\n./lib\n", **own)
    wait_for(begun.exists, "the first build to begin")
    assert builder.run(None, **own).code == 0
    if published:  # where the first one, whose mounts are older, does not see it
        builder.environment.rename(builder.root / "published")
    go_on.touch()
    ended = builder.end(slow)
    assert ended.code == int(published), ended.text
    assert published or builder.python("import mine; print(mine.VALUE)") == "1\n"


def test_lines_of_bodywork_yaml_are_installed(builder: Builder) -> None:
    builder.stage.file("train/more.txt", "plume\n")
    builder.ask("", lines=("-r train/more.txt",))
    ended = builder.run()
    assert ended.code == 0, ended.text
    assert builder.lock() == ["plume==1.0"]


def test_versions_are_those_of_the_earlier_build(builder: Builder) -> None:
    wheel(builder.index, "plume", "2.0", "")
    (builder.build / "lock.txt").write_text("# a note\nplume==1.0\nunrelated==7\n")
    assert builder.run("plume\n").code == 0
    assert builder.lock() == ["plume==1.0"]


def test_versions_that_are_gone_are_resolved_again_and_that_is_said(builder: Builder) -> None:
    (builder.build / "lock.txt").write_text("plume==0.9\n")
    ended = builder.run("plume\n")
    assert ended.code == 0, ended.text
    assert builder.lock() == ["plume==1.0"]
    assert "the versions of the earlier build are not available any more" in builder.log()
    assert "plume==0.9" in builder.log()


@pytest.mark.skipif(PYTHON_38 is None, reason="no Python 3.8 on this machine")
def test_python_3_8_will_do(builder: Builder) -> None:
    builder.stage.python = str(PYTHON_38)
    package(builder.stage.checkout / "train/lib", "mine")
    assert builder.run("plume\nmine @ ./lib\n").code == 0
    assert builder.lock() == ["mine==1.0", "plume==1.0", "# mine is from ./train/lib"]
    ended = builder.run("nosuch\n", secrets=["UV_FIND_LINKS"])
    assert ended.message["message"].startswith(f"{REQUIREMENTS}:1: `nosuch` was not found")


# --- what requirements may say ---------------------------------------------------------------------


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


@pytest.mark.parametrize(("line", "file"), [(".", "requirements.txt"), ("-e .", REQUIREMENTS)])
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
    assert ended.message["message"].startswith(f"{REQUIREMENTS}:2: `mine @ ./train/lib#1` ")


def test_hashes_are_checked(builder: Builder) -> None:
    hashes = subprocess.run(["sha256sum", *builder.index.iterdir()], check=True, timeout=30, capture_output=True)
    good = hashes.stdout.decode().split()[0]
    assert builder.run(f"--require-hashes\nplume==1.0 \\\n    --hash=sha256:{good}\n").code == 0
    ended = builder.run(f"plume==1.0 --hash=sha256:{'0' * 64}\n")
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    assert ended.message["message"].startswith(f"{REQUIREMENTS}:1: ")
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
    uv, called = builder.stage.tools / "uv", builder.root / "called"
    real, noted = shlex.quote(str(uv.resolve())), shlex.quote(str(called))
    uv.unlink()
    uv.write_text(f'#!/bin/sh\n[ "$2" = venv ] && exec {real} "$@"\necho "$@" > {noted}\nexit 1\n')
    uv.chmod(0o755)
    builder.stage.file(
        REQUIREMENTS, "plume\nsix[x]==1.16 ; os_name == 'posix'\na==1.*\n--pre --trusted-host=h\n--prefer-binary\n"
    )
    builder.ask(as_of="2021-03-05")
    assert builder.run().code == 121
    asked = called.read_text()
    assert "--prerelease allow --allow-insecure-host=h --exclude-newer 2021-03-05T23:59:59Z" in asked
    assert asked.count("--exclude-newer-package") == asked.count("--exclude-newer-package=six=9") == 1
    assert f"{REQUIREMENTS}:5: --prefer-binary is passed over" in builder.log()


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
    dated.stage.file(REQUIREMENTS, f"{marked}\n")
    dated.ask(as_of="2022-03-05")
    ended = dated.run()
    assert (ended.code, dated.lock()) == (0, [f"plume=={version}"]), ended.text


def test_an_index_without_days_of_upload_does_for_a_day_that_nobody_asked_for(dated: Builder) -> None:
    dated.stage.file(REQUIREMENTS, "undated\n")
    dated.ask(as_of="2022-03-05", by_default=True)
    ended = dated.run()
    assert (ended.code, dated.lock()) == (0, ["undated==2.0"]), ended.text
    assert "the index does not say when files were uploaded: the newest packages are taken" in dated.log()


def test_an_index_without_days_of_upload_refuses_a_day_that_was_asked_for(dated: Builder) -> None:
    dated.stage.file(REQUIREMENTS, "undated\n")
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
    told = f"{REQUIREMENTS}:2: `train/{path.name}` is outside the project: put it into the project's folder"
    assert ended.message["message"] == told


def test_a_subdirectory_that_leaves_its_repository_is_refused(builder: Builder) -> None:
    (builder.root / "sources/0").mkdir(parents=True)
    ended = builder.run(
        "git+https://h/r#subdirectory=../..\n", sources={"git+https://h/r": f"{builder.root}/sources/0"}
    )
    assert ended.message["message"].startswith(f"{REQUIREMENTS}:1: ")
    assert "is outside the project" in ended.message["message"]


# --- what can't be built ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (
            "# x\n\nnosuch==9\n",
            f"{REQUIREMENTS}:3: ",
            "`nosuch` was not found in the package index: is the name right?",
        ),
        ("plume\nsklearn\n", f"{REQUIREMENTS}:2: ", "`sklearn` was not found in the package index: write scikit-learn"),
        (
            "plume==3.0\n",
            f"{REQUIREMENTS}:1: ",
            "there is no `plume==3.0` in the package index: choose 1.0 (the newest",
        ),
        ("plume==1.0\nplume==2.0\n", f"{REQUIREMENTS}:1: ", f"can't be installed with `plume==2.0` ({REQUIREMENTS}:2)"),
        ("plume\nfoo===bar\n", f"{REQUIREMENTS}:2: ", "Couldn't parse"),  # which pip takes
        ("--index-url http://a/x\nplume\n\n-i http://b/x\n", f"{REQUIREMENTS}:4: ", "Multiple `--index-url` values"),
        ("plume\nx @ git+https://h/x@v1\n", f"{REQUIREMENTS}:2: ", "the checkout of git+https://h/x@v1 is not there"),
        ("plume \\\n  >=2 \\\n ,<3\n", f"{REQUIREMENTS}:1: ", "there is no `plume<3,>=2`"),
    ],
)
def test_what_cant_be_installed_is_reported_with_file_and_line(
    builder: Builder, text: str, place: str, words: str
) -> None:
    ended = builder.run(text)
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed"), ended.text
    assert ended.message["message"].startswith(place)
    assert words in ended.message["message"]
    assert "InstallFailed" in builder.log()
    assert not (builder.environment / ".complete").exists()


def test_a_line_of_an_included_file_is_named_there(builder: Builder) -> None:
    builder.stage.file("shared/base.txt", "plume\nnosuch\n")
    ended = builder.run("-r ../shared/base.txt\n")
    assert ended.message["message"].startswith("shared/base.txt:2: ")


def test_a_wheel_for_another_python_comes_with_the_remedy(builder: Builder) -> None:
    (builder.index / "quill-1.0-cp27-cp27m-manylinux1_x86_64.whl").write_bytes(
        wheel(builder.root / "x", "quill", "1.0", "").read_bytes()
    )
    ended = builder.run("quill\n")
    assert ended.code == 121
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    remedy = "choose another version, or another Python by PYTHON"
    assert f"`quill` has no wheel for Python {python} here: {remedy}" in ended.message["message"]


def test_lines_that_contradict_each_other_are_named_with_the_reason(builder: Builder) -> None:
    wheel(builder.index, "quill", "1.0", "", needs="plume<1")
    ended = builder.run("quill==1.0\n\nplume==1.0\n")
    told = (
        f"can't be installed with `plume==1.0` ({REQUIREMENTS}:3): all versions of quill depend on plume<1: change one"
    )
    assert ended.message["message"] == f"{REQUIREMENTS}:1: `quill==1.0` {told} of these lines"


def test_a_package_that_needs_a_compiler_says_which_and_the_remedy(builder: Builder) -> None:
    package(builder.stage.checkout / "train/lib", "mine")
    (builder.stage.checkout / "train/lib/backend.py").write_text(
        "import sys\ndef build_wheel(*args, **kwargs):\n"
        "    print(\"error: command 'gcc' failed: No such file or directory\", file=sys.stderr)\n    sys.exit(1)\n"
    )
    ended = builder.run("mine @ ./lib\n")
    assert ended.code == 121
    assert "must be compiled, and the image has no `gcc`" in ended.message["message"]
    assert ended.message["message"].endswith(": use an image with a compiler")


def source_only(builder: Builder, name: str, *, broken: bool = False) -> None:
    """Put a package into the index that has only its source."""
    folder = builder.root / "sdist" / f"{name}-1.0"
    package(folder, name)
    (folder / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    if broken:
        (folder / "backend.py").write_text("raise RuntimeError('so not')\n")
    shutil.make_archive(str(builder.index / folder.name), "gztar", folder.parent, folder.name)


def only_for(builder: Builder, name: str, *tags: str) -> None:
    """Put a package into the index that has wheels for these Pythons, and its source for others."""
    source_only(builder, name)
    for tag in tags:
        whole = wheel(builder.root / "any", name, "1.0", "")
        whole.rename(builder.index / f"{name}-1.0-{tag}-none-any.whl")


def test_what_must_be_compiled_is_said_before_with_the_pythons_that_have_wheels(builder: Builder) -> None:
    only_for(builder, "quill", "cp38", "cp39")
    only_for(builder, "feather", "cp39")
    ended = builder.run("plume\nquill==1.0\nfeather\n")
    assert ended.code == 0, ended.text
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    places = f"`feather` ({REQUIREMENTS}:3), `quill==1.0` ({REQUIREMENTS}:2)"
    remedy = "everything asked for has wheels for Python 3.9: write PYTHON = 3.9"
    warning = f"coachwork: warning: no wheel for Python {own}: {places}: compiling takes long; {remedy}\n"
    assert warning in ended.text
    assert ended.text.index(warning) < ended.text.index("Building")


def test_what_could_not_be_compiled_is_reported_with_the_pythons_that_have_wheels(builder: Builder) -> None:
    only_for(builder, "quill", "cp38", "cp39")
    source_only(builder, "quill", broken=True)
    builder.ask("", lines=("quill==1.0",))
    message = builder.run().message["message"]
    assert message.startswith("bodywork.yaml: stages.train.requirements: `quill==1.0` has no wheel for Python")
    assert message.endswith('; everything asked for has wheels for Python 3.8, 3.9: write python: "3.9"')


def test_no_python_is_named_where_none_has_wheels_of_all(builder: Builder) -> None:
    only_for(builder, "quill", "cp38")
    only_for(builder, "feather", "cp39")
    ended = builder.run("quill\nfeather\n")
    assert "no Python has wheels for everything asked for: choose other versions\n" in ended.text


@pytest.mark.parametrize("line", ["feather", "quill\n--no-binary quill", "quill\n--no-binary :all:"])
def test_what_is_always_built_from_source_causes_no_warning(builder: Builder, line: str) -> None:
    source_only(builder, "feather")
    only_for(builder, "quill", "cp38")
    ended = builder.run(f"{line}\n")
    assert ended.code == 0, ended.text
    assert "warning" not in ended.text


@pytest.mark.parametrize("name", ["Sqlite3", "concurrent-futures", "python"])
def test_a_part_of_python_is_named_as_such(builder: Builder, name: str) -> None:
    message = builder.run(f"plume\n{name}==1.0\n").message["message"]
    assert ("itself, not a package: remove the line" in message) == (name != "concurrent-futures")
    assert message.startswith(f"{REQUIREMENTS}:2: ")


def test_a_build_that_fails_is_reported_by_its_last_words(builder: Builder) -> None:
    package(builder.stage.checkout / "train/lib", "mine")
    (builder.stage.checkout / "train/lib/backend.py").write_text("raise RuntimeError('so not')\n")
    ended = builder.run("plume\nmine @ ./lib\n")
    assert ended.code == 121
    assert ended.message["message"].startswith(f"{REQUIREMENTS}:2: `mine @ ./train/lib` can't be built: ")
    assert ended.message["message"].endswith("RuntimeError: so not: correct it there")


def test_a_build_over_its_time_is_ended(builder: Builder) -> None:
    hang(builder)
    ended = builder.run("plume\n", limit=0.5)
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    told = f"{REQUIREMENTS}: not installed within 0.5 s, the time limit of environment builds: raise COACHWORK_INSTALL_"
    assert ended.message["message"].startswith(told)


def test_a_build_whose_compilation_takes_too_long_fails_nothing(builder: Builder) -> None:
    (builder.stage.tools / "bytecode.py").write_text("import time\ntime.sleep(600)\n")
    with waking(builder.publish) as address:
        ended = builder.run("plume\n", limit=15, **builder.behind(address))
    assert (ended.code, ended.message["reason"]) == (1, "NotCompiled"), ended.text
    assert (builder.published / ".uncompiled").exists()


def test_a_build_that_has_to_end_ends_with_all_that_it_started(builder: Builder) -> None:
    hang(builder)
    process = builder.start("plume\n")
    pid = int(wait_for(lambda: pid_of(builder), "uv"))
    process.send_signal(signal.SIGTERM)
    ended = builder.end(process)
    assert (ended.code, ended.message["reason"]) == (143, "Terminated")
    assert not Path(f"/proc/{pid}").exists()
    assert ended.results[1]["reason"] == "Terminated"


def hang(builder: Builder) -> None:
    uv = builder.stage.tools / "uv"
    uv.unlink()
    uv.write_text(f"#!/bin/sh\necho $$ > {builder.root}/pid\nexec sleep 600\n")
    uv.chmod(0o755)


def pid_of(builder: Builder) -> str:
    path = builder.root / "pid"
    return path.read_text().strip() if path.exists() else ""


def test_a_uv_that_cant_run_here_names_alpine(builder: Builder) -> None:
    uv = builder.stage.tools / "uv"
    uv.unlink()
    uv.write_text("#!/no/such/loader\n")
    uv.chmod(0o755)
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    assert "(Alpine)" in ended.message["message"]


def test_too_little_room_is_reported_before_anything_is_done(builder: Builder) -> None:
    ended = builder.run("plume\n", space=1 << 60)
    assert (ended.code, ended.message["reason"]) == (1, "VolumeFull")
    assert f"{1 << 40} MiB must be free" in ended.message["message"]
    assert not builder.environment.exists()


def test_a_volume_that_gets_full_may_pass(builder: Builder) -> None:
    uv = builder.stage.tools / "uv"
    uv.unlink()
    uv.write_text("#!/bin/sh\necho 'error: Failed to write: No space left on device (os error 28)'\nexit 2\n")
    uv.chmod(0o755)
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (1, "VolumeFull")


# --- indexes --------------------------------------------------------------------------------------


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index that wants a password, or always answers with one code."""

    def do_GET(self) -> None:
        code = self.path.split("/")[1]
        if code.isdigit():
            self.send_error(int(code))
        elif self.headers.get("Authorization") != "Basic bWU6cHctYiZkLXNlY3JldA==":
            self.send_error(401)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(builder: Builder) -> Iterator[str]:
    simple = builder.root / "web/simple/plume"
    simple.mkdir(parents=True)
    made = wheel(simple, "plume", "5.0", "VALUE = 5")
    (simple / "index.html").write_text(f'<a href="{made.name}">{made.name}</a>')
    handler = lambda *args: Index(*args, directory=str(builder.root / "web"))  # noqa: E731
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_private_index_is_used_and_its_password_never_shown(builder: Builder, server: str) -> None:
    builder.env = {"UV_DEFAULT_INDEX": f"http://me:pw-b&d-secret@{server}/simple/"}
    ended = builder.run("plume\n", secrets=["UV_DEFAULT_INDEX"])
    assert ended.code == 0, ended.text
    assert builder.lock() == ["plume==5.0"]
    assert builder.run("plume\nnosuch\n", secrets=["UV_DEFAULT_INDEX"]).code == 121
    shown = b"".join(path.read_bytes() for path in builder.build.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert b"pw-b" not in shown + ended.output


def test_credentials_of_a_netrc_are_used(builder: Builder, server: str) -> None:
    netrc = builder.root / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw-b&d-secret\n")
    builder.env = {"UV_DEFAULT_INDEX": f"http://{server}/simple/", "NETRC": str(netrc)}
    ended = builder.run("plume\n")
    assert ended.code == 0, ended.text


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("simple", 121, "answers 401 Unauthorized: check the credentials in the request's `index-secret`"),
        ("403", 121, "answers 403 Forbidden: check"),
        ("503", 1, "answers 503 Service Unavailable"),
        ("429", 1, "answers 429 Too Many Requests"),
    ],
)
def test_an_index_that_refuses_is_reported(builder: Builder, server: str, path: str, code: int, words: str) -> None:
    builder.env = {"UV_DEFAULT_INDEX": f"http://{server}/{path}", "UV_HTTP_RETRIES": "0"}
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (code, "InstallFailed"), ended.text
    assert f"the package index {server} " in ended.message["message"]
    assert words in ended.message["message"]


def test_an_index_that_cant_be_reached_may_pass(builder: Builder) -> None:
    builder.env = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (1, "InstallFailed")
    assert "can't be reached: Connection refused" in ended.message["message"]


@pytest.fixture
def slow_index() -> Iterator[str]:
    """An index that accepts connections and sends a space now and then, but never an answer."""
    over = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not over.wait(0.2):
                self.wfile.write(b" ")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        over.set()
        server.shutdown()
        thread.join()


def test_what_a_build_is_doing_can_be_read_meanwhile(builder: Builder) -> None:
    with half(builder.root / "half") as (index, go):
        builder.env = {"UV_DEFAULT_INDEX": f"http://me:pw-b&d-secret@{index}"}
        build, file = builder.start("plume\n", secrets=["UV_DEFAULT_INDEX"]), builder.build / "progress.json"
        text = wait_for(lambda: file.exists() and '"got": 10' in (text := file.read_text()) and text, "a download")
        said = json.loads(text)
        assert (said["step"], said["done"], said["of"]) == ("downloading 1 package", 0, 1)
        assert said["doing"] == "0 of 1 packages: downloading plume (1.0 of 3.0 MiB)"
        assert [item["name"] for item in said["downloads"]] == ["plume"]
        assert "pw-b" not in text
        go.set()
        ended = builder.end(build)
    assert ended.code == 0, ended.text
    assert not file.exists()
    assert "Downloading plume (3.0MiB)\n Downloaded plume\n" in builder.log()


def test_an_index_that_dribbles_is_named_when_the_time_is_over(builder: Builder, slow_index: str) -> None:
    builder.env = {"UV_DEFAULT_INDEX": slow_index.replace("//", "//me:pw-b&d-secret@")}
    ended = builder.run("plume\n", limit=2, secrets=["UV_DEFAULT_INDEX"])
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    at_end = f"at its end: choosing versions from the package index {slow_index.split('/')[2]}, "
    assert at_end in ended.message["message"]
    assert "pw-b" not in ended.text


def test_an_index_that_never_answers_may_pass(builder: Builder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # the kernel accepts, nobody answers
        index = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        builder.env = {"UV_DEFAULT_INDEX": index, "UV_HTTP_TIMEOUT": "1", "UV_HTTP_RETRIES": "0"}
        ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (1, "InstallFailed"), ended.text
    assert f"the package index {index.split('/')[2]} does not answer: check its address" in ended.message["message"]


@pytest.mark.parametrize("index", ["", "corp=", "me:hunter@"])
def test_of_an_index_only_the_host_is_shown(builder: Builder, index: str) -> None:
    name, user = (index, "") if "=" in index else ("", index)
    address = f"{name}http://{user}127.0.0.1:9/aToKeNofOurS/simple"
    builder.env = {"UV_INDEX": address, "UV_HTTP_RETRIES": "0"}
    ended = builder.run("plume\n", secrets=["UV_INDEX"])
    assert "the package index 127.0.0.1:9 can't be reached" in ended.message["message"]
    assert "aToKeNofOurS" not in ended.text + ended.message["message"]
    assert "hunter" not in ended.text


class Proxy(Index):
    """The only way to http://packages.example; it wants a password of its own."""

    def do_GET(self) -> None:
        if self.headers.get("Proxy-Authorization") != "Basic bWU6cHdAcC1zZWNyZXQ=":
            self.send_error(407)
        else:
            self.path = self.path.removeprefix("http://packages.example")
            http.server.SimpleHTTPRequestHandler.do_GET(self)

    def do_CONNECT(self) -> None:
        self.send_error(407)


@pytest.fixture
def proxy(builder: Builder, server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Turn the server into a proxy."""
    monkeypatch.setattr(Index, "do_GET", Proxy.do_GET)
    monkeypatch.setattr(Index, "do_CONNECT", Proxy.do_CONNECT, raising=False)
    builder.env = {"UV_DEFAULT_INDEX": "http://packages.example/simple/", "UV_HTTP_RETRIES": "0"}
    return server


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("HTTP_PROXY", "http://"), ("http_proxy", ""), ("ALL_PROXY", ""), ("all_proxy", "http://")],
)
def test_packages_come_through_a_proxy_whose_password_is_never_shown(
    builder: Builder, proxy: str, name: str, scheme: str
) -> None:
    builder.env[name] = f"{scheme}me:pw%40p-secret@{proxy}"
    ended = builder.run("plume\n", secrets=[name])
    assert ended.code == 0, ended.text
    assert builder.lock() == ["plume==5.0"]
    uv = builder.stage.tools / "uv"
    uv.unlink()
    uv.write_text(
        '#!/bin/sh\necho "error: $HTTP_PROXY$http_proxy$ALL_PROXY$all_proxy pw@p-secret pw%40p-secret"\nexit 1\n'
    )
    uv.chmod(0o755)
    ended = builder.run("plume\n", secrets=[name])
    shown = ended.output + builder.log(2).encode() + repr(ended.message).encode()
    assert b"p-secret" not in shown


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY"])
def test_a_proxy_that_refuses_is_reported(builder: Builder, proxy: str, variable: str) -> None:
    scheme = variable.partition("_")[0].lower()
    builder.env |= {"UV_DEFAULT_INDEX": f"{scheme}://packages.example/simple/", variable: f"http://me:wrong1@{proxy}"}
    ended = builder.run("plume\n", secrets=[variable])
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed"), ended.text
    told = "the proxy on the way to the package index packages.example refuses its user"
    assert told in ended.message["message"]
    assert "wrong1" not in ended.text


def test_a_proxy_that_cant_be_reached_may_pass(builder: Builder) -> None:
    builder.env = {"UV_DEFAULT_INDEX": "https://packages.example/simple/", "HTTPS_PROXY": "http://127.0.0.1:9"}
    builder.env["UV_HTTP_RETRIES"] = "0"
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (1, "InstallFailed"), ended.text
    assert "the proxy on the way to the package index" in ended.message["message"]


class TestImage:
    """An image whose Python has packages of its own."""

    @pytest.fixture(autouse=True)
    def image(self, builder: Builder) -> None:
        folder = builder.root / "image"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
        builder.stage.python = str(folder / "bin/python")
        packages = next(folder.glob("lib/python*/site-packages"))
        shutil.unpack_archive(builder.index / "plume-1.0-py3-none-any.whl", packages, "zip")
        (packages / "plume.py").write_text("VALUE = 'of the image'")
        wheel(builder.index, "quill", "1.0", "")

    def test_packages_that_fit_are_not_installed_again(self, builder: Builder) -> None:
        ended = builder.run("plume>=1\nquill\n")
        assert "taken from the image: plume 1.0" in ended.text
        assert builder.python("import plume; print(plume.VALUE)") == "of the image\n"
        assert builder.lock() == ["quill==1.0"]

    def test_packages_that_do_not_fit_are_installed(self, builder: Builder) -> None:
        wheel(builder.index, "plume", "2.0", "VALUE = 'installed 2.0'")
        assert builder.run("plume>=2\n").code == 0
        assert builder.python("import plume; print(plume.VALUE)") == "installed 2.0\n"

    def test_packages_that_nobody_requires_stay_visible(self, builder: Builder) -> None:
        assert builder.run("quill\n").code == 0
        assert builder.python("import plume; print(plume.VALUE)") == "of the image\n"
