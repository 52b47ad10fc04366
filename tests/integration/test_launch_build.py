"""Environments, built by the real uv from wheels and folders made here: no network."""

import shutil
import zipfile
from pathlib import Path

import pytest

from tests.support.building import FILE, KEY, Builder, package, waking
from tests.support.launching import PYTHON_38, wait_for, wheel


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


# --- compiled while stages use it ------------------------------------------------------------------


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
    assert ended.message["message"].startswith(f"{FILE}: installed; compiled by the next attempt: ")
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
    begun, go_on = builder.root / "begun", builder.root / "go-on"
    waits = f"import pathlib, time\nfirst = not pathlib.Path({str(begun)!r}).exists()\n"
    waits += f"pathlib.Path({str(begun)!r}).touch()\n"
    waits += f"while first and not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.01)\n"
    package(builder.stage.checkout / "train/lib", "mine", before=waits)
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
    assert ended.message["message"].startswith(f"{FILE}:1: `nosuch` was not found")
