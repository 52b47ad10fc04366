"""What can't be built, and the line that says why: with the real uv, without network."""

import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.support.building import FILE, Builder, package, waking
from tests.support.launching import wait_for, wheel


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (
            "# x\n\nnosuch==9\n",
            f"{FILE}:3: ",
            "`nosuch` was not found in the package index: is the name right?",
        ),
        ("plume\nsklearn\n", f"{FILE}:2: ", "`sklearn` was not found in the package index: write scikit-learn"),
        (
            "plume==3.0\n",
            f"{FILE}:1: ",
            "there is no `plume==3.0` in the package index: choose 1.0 (the newest",
        ),
        ("plume==1.0\nplume==2.0\n", f"{FILE}:1: ", f"can't be installed with `plume==2.0` ({FILE}:2)"),
        ("plume\nfoo===bar\n", f"{FILE}:2: ", "Couldn't parse"),  # which pip takes
        ("--index-url http://a/x\nplume\n\n-i http://b/x\n", f"{FILE}:4: ", "Multiple `--index-url` values"),
        ("plume\nx @ git+https://h/x@v1\n", f"{FILE}:2: ", "the checkout of git+https://h/x@v1 is not there"),
        ("plume \\\n  >=2 \\\n ,<3\n", f"{FILE}:1: ", "there is no `plume<3,>=2`"),
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
    told = f"can't be installed with `plume==1.0` ({FILE}:3): all versions of quill depend on plume<1: change one"
    assert ended.message["message"] == f"{FILE}:1: `quill==1.0` {told} of these lines"


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
    places = f"`feather` ({FILE}:3), `quill==1.0` ({FILE}:2)"
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
    assert message.startswith(f"{FILE}:2: ")


def test_a_build_that_fails_is_reported_by_its_last_words(builder: Builder) -> None:
    package(builder.stage.checkout / "train/lib", "mine")
    (builder.stage.checkout / "train/lib/backend.py").write_text("raise RuntimeError('so not')\n")
    ended = builder.run("plume\nmine @ ./lib\n")
    assert ended.code == 121
    assert ended.message["message"].startswith(f"{FILE}:2: `mine @ ./train/lib` can't be built: ")
    assert ended.message["message"].endswith("RuntimeError: so not: correct it there")


def test_a_build_over_its_time_is_ended(builder: Builder) -> None:
    hang(builder)
    ended = builder.run("plume\n", limit=0.5)
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    told = f"{FILE}: not installed within 0.5 s, the time limit of environment builds: raise COACHWORK_INSTALL_"
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
    builder.replace_uv(f"#!/bin/sh\necho $$ > {builder.root}/pid\nexec sleep 600\n")


def pid_of(builder: Builder) -> str:
    path = builder.root / "pid"
    return path.read_text().strip() if path.exists() else ""


def test_a_uv_that_cant_run_here_names_alpine(builder: Builder) -> None:
    builder.replace_uv("#!/no/such/loader\n")
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (121, "InstallFailed")
    assert "(Alpine)" in ended.message["message"]


def test_too_little_room_is_reported_before_anything_is_done(builder: Builder) -> None:
    ended = builder.run("plume\n", space=1 << 60)
    assert (ended.code, ended.message["reason"]) == (1, "VolumeFull")
    assert f"{1 << 40} MiB must be free" in ended.message["message"]
    assert not builder.environment.exists()


def test_a_volume_that_gets_full_may_pass(builder: Builder) -> None:
    builder.replace_uv("#!/bin/sh\necho 'error: Failed to write: No space left on device (os error 28)'\nexit 2\n")
    ended = builder.run("plume\n")
    assert (ended.code, ended.message["reason"]) == (1, "VolumeFull")
