"""A builder killed before any of its processes and changes of files: the next attempt makes the environment, whole."""

import shutil

import pytest

from tests.support.building import Builder

FUTURE = "from __future__ import annotations\n"
DIES = """
import os, signal, sys
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.chmod", "os.link", "os.symlink"}
def writes(event, arguments):
    return event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
def count(event, arguments):
    global left
    if event in CHANGES or event == "subprocess.Popen" or writes(event, arguments):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
"""


NOTES = """
import os
def fsync(file, really=os.fsync):
    os.write(notes, os.readlink(f"/proc/self/fd/{file}").encode() + b"\\n")
    really(file)
notes, os.fsync = os.open(os.path.dirname(__file__) + "/notes", os.O_WRONLY | os.O_CREAT), fsync
"""


def killed(builder: Builder, script: str, last: int) -> bool:
    """Let a builder be killed before its `last` process or change of a file; return whether it came so far."""
    tool = builder.stage.tools / script
    whole = tool.read_text()
    assert FUTURE in whole
    longer = "#" * last  # bytecode is found again by the size of its script
    tool.write_text(whole.replace(FUTURE, f"{FUTURE}left = {last}{longer}{DIES}", 1))
    try:
        return builder.run("plume\n").code != 0
    finally:
        tool.write_text(whole)


@pytest.mark.parametrize("script", ["install_attempt.py", "install_build.py"])
@pytest.mark.parametrize("apart", [pytest.param(7, marks=pytest.mark.long), 61])
def test_a_builder_killed_anywhere_leaves_the_next_all_that_it_needs(builder: Builder, script: str, apart: int) -> None:
    for last in range(2, 400, apart):
        came_so_far = killed(builder, script, last)
        ended = builder.run("plume\n")
        assert ended.code == 0, f"after {last}: {ended.text}"
        assert builder.lock() == ["plume==1.0"]
        assert builder.python("import plume; print(plume.VALUE)").strip() == "42"
        assert not list(builder.build.glob("environment.partial-*")), f"after {last}"
        if not came_so_far:
            assert last > apart
            return
        shutil.rmtree(builder.environment)
    raise AssertionError("a build takes more steps than this test expects")


def test_packages_are_on_the_disk_before_an_environment_is_complete(builder: Builder) -> None:
    tool = builder.stage.tools / "install_build.py"
    tool.write_text(tool.read_text().replace(FUTURE, FUTURE + NOTES, 1))
    assert builder.run("plume\n").code == 0
    notes = (builder.stage.tools / "notes").read_text().splitlines()
    assert notes[-1].endswith("/.complete")
    written = {path.rpartition("/environment.partial-")[2].partition("/")[2] for path in notes}
    installed = {str(path.relative_to(builder.environment)) for path in builder.environment.rglob("plume*")}
    assert set() < installed <= written
