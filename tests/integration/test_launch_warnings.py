"""What a launch warns of although the script did well."""

import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_launch_services import server
from tests.support.freeport import free_port
from tests.support.launching import PYTHON_38, Stage, wait_for


@pytest.fixture
def temporary() -> Iterator[Path]:
    path = Path(f"/tmp/coachwork-test-{uuid.uuid4().hex}.pkl")  # noqa: S108 - what the test is about
    yield path
    path.unlink(missing_ok=True)


def test_files_that_will_be_lost_are_named(stage: Stage) -> None:
    stage.file("train/old.csv", "1")
    stage.file("train/kept.csv", "1")
    ended = stage.run("""
import os
open("model.pkl", "w").close()
os.utime("model.pkl", (0, 0))
open("old.csv", "a").write("2")
os.makedirs("../plots")
for n in range(3): open(f"../plots/{n}.png", "w").close()
""")
    expected = (
        "written files are discarded with the stage's copy of the repository: plots/0.png, plots/1.png, plots/2.png "
        "and 2 more: hand files over to later stages in COACHWORK_ARTIFACTS"
    )
    assert ended.code == 0
    assert ended.results[1]["warnings"] == [expected]
    assert f"coachwork: warning: {expected}\n" in ended.text


def test_what_tools_leave_behind_causes_no_warning(stage: Stage) -> None:
    stage.file("train/lib.py", "x = 1")
    ended = stage.run("""
import os, lib
os.makedirs(".cache/deep"); open(".cache/deep/x", "w").close(); open("run.log", "w").close(); open("x.pyc", "w").close()
open(os.path.join(os.environ["HOME"], "elsewhere"), "w").close()
print(open("lib.py").read())
""")
    assert (ended.code, ended.results[1]["warnings"]) == (0, [])


def test_a_hostile_name_of_a_file_stays_one_printable_line(stage: Stage) -> None:
    ended = stage.run("open('a\\ncoachwork: end\\x1b[2J', 'w').close()")
    (warning,) = ended.results[1]["warnings"]
    assert warning.isprintable()


def test_a_file_in_tmp_that_another_stage_wrote_is_named_on_a_laptop(stage: Stage, temporary: Path) -> None:
    temporary.write_text("model")
    script = f"assert open('{temporary}').read() == 'model'"
    ended = stage.run(script)
    expected = (
        f"train/train.py relies on {temporary}: on a cluster each stage has a /tmp of its own: "
        "hand files over to later stages in COACHWORK_ARTIFACTS"
    )
    assert ended.results[1]["warnings"] == [expected]
    stage.env = {"COACHWORK_POD_IP": "10.0.0.7"}
    shutil.rmtree(stage.logs)  # of another run
    stage.logs.mkdir()
    assert stage.run(script).results[1]["warnings"] == []


def test_a_file_in_tmp_that_a_stage_writes_for_itself_is_its_own(stage: Stage, temporary: Path) -> None:
    temporary.write_text("of an earlier run")
    ended = stage.run(f"open('{temporary}', 'w').write('mine')\nassert open('{temporary}').read() == 'mine'")
    assert (ended.code, ended.results[1]["warnings"]) == (0, [])


@pytest.mark.parametrize("python", [None, PYTHON_38])
@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])  # noqa: S104
def test_a_service_that_only_this_machine_reaches_is_warned_of_on_a_laptop(
    stage: Stage, host: str, warned: bool, python: str | None
) -> None:
    stage.python, port = python or stage.python, free_port()
    stage.env = {"COACHWORK_POD_IP": "127.0.0.1"}
    process = stage.start(server(port, host), kind="service", port=port)
    line = f"warning: the script listens on 127.0.0.1:{port} only, which on a cluster nobody reaches"
    wait_for(lambda: (line if warned else "the service answers").encode() in stage.log(), "readiness")
    process.send_signal(signal.SIGTERM)
    ended = stage.end(process)
    assert (line in ended.text) is warned
    assert ("bind to 0.0.0.0 (host='0.0.0.0')" in ended.text) is warned


def test_a_service_on_the_loopback_of_ipv6_reads_what_to_bind_to(stage: Stage) -> None:
    port = free_port()
    stage.env = {"COACHWORK_POD_IP": "127.0.0.2"}
    script = server(port, "::1").replace("import http.server", "import http.server, socket")
    script = script.replace("http.server.HTTPServer(", "Server(").replace(
        "class Handler", "class Server(http.server.HTTPServer): address_family = socket.AF_INET6\nclass Handler"
    )
    ended = stage.run(script, kind="service", port=port, limit=4)
    assert ended.code == 121
    expected = f"the script listens on [::1]:{port} only: bind to 0.0.0.0 (host='0.0.0.0')"
    assert expected in ended.message["message"]
    assert ended.text.splitlines().count(f"coachwork: warning: {expected}") == 1
