"""Stages that take, print and leave more than anybody expects. Each of them is bounded here, too."""

import fcntl
from pathlib import Path

import pytest

from controller.adapters.volume.runs import ATTEMPTS
from controller.app.output import Output
from controller.core import layout
from controller.core.manifests.process import DISRUPTIONS
from controller.core.model import Record, StageRecord
from tests.support.cli import CommandLine, write
from tests.support.eventually import eventually
from tests.support.launching import Stage
from tests.support.world import project

CAP = 4 << 20  # bytes of a log
MOST = 80 << 10  # KiB of the launcher: what an idle one takes, and the room of two destinations
FLOODS = {
    "one endless line": "for _ in range(200): os.write(1, b'x' * (1 << 20))",
    "a million lines": "for n in range(0, 1_000_000, 1000): os.write(1, b'line of a flood\\n' * 1000)",
    "byte by byte": "for n in range(100_000): os.write(1, b'x')",
    "noise": "for _ in range(200): os.write(1, os.urandom(1 << 16) + bytes(range(256)) * 40)",
    "NUL": "for _ in range(20): os.write(1, b'\\0' * (1 << 20))",
    "colours and half characters": "for _ in range(20): os.write(1, b'\\x1b[31m\\r\\xf0\\x9f' * (1 << 17) + b'\\x1b]')",
    "tracebacks": "for n in range(20_000): os.write(1, b'Traceback (most recent call last):\\n  File \"x\"\\n')",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_costs_the_launcher_no_memory_and_nobody_the_cause(stage: Stage, flood: str) -> None:
    stage.limits = ("-v 1500000", "-f 300000")
    script = f"""
import os
{FLOODS[flood]}
launcher = open(f"/proc/{{os.getppid()}}/status").read()
open(os.environ["HOME"] + "/launcher", "w").write(launcher)
raise ValueError("no rows")
"""
    process = stage.start(script, log_cap=CAP)
    assert process.stdout
    while process.stdout.read(1 << 20):
        pass
    ended = stage.end(process)
    assert ended.message["message"] == "train/train.py:6: exited with code 1: ValueError: no rows"
    assert len(stage.log()) < CAP + 1000
    assert (len(stage.log()) > CAP) == ("the log was capped" in ended.results[1]["notes"])
    (peak,) = (line for line in (stage.root / "home/launcher").read_text().splitlines() if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) < MOST


# 150 processes that nothing in common holds together, and four that are never the same for long: each generation forks
# the next one and ends. All are deaf, all hold the lock, and none lives longer than a minute.
BOMB = """
import fcntl, os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
lock, begun, end = os.open({lock!r}, os.O_RDWR), os.pipe(), time.monotonic() + 60
fcntl.flock(lock, fcntl.LOCK_EX)
os.set_inheritable(lock, True)
for number in range(150):
    if os.fork():
        os.wait()
        continue
    os.setsid()
    if os.fork() == 0:
        os.write(begun[1], b"x")
        os.execve("/bin/sleep", ["sleep", "60"], {{}} if number % 2 else os.environ)
    os._exit(0)
for number in range(4):
    if os.fork():
        continue
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1), os.dup2(1, 2)
    os.write(begun[1], b"x")
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        os.setsid()
    os._exit(0)
for number in range(154):
    os.read(begun[0], 1)
signal.signal(signal.SIGTERM, {at_end})
print("all" + " are there", flush=True)
{then}
"""
WAITS = "time.sleep(60)"


def is_free(lock: Path) -> bool:
    """Return whether no process holds the lock, or has inherited it."""
    with lock.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.mark.parametrize(
    ("then", "at_end", "press"),
    [
        pytest.param("", "signal.SIG_DFL", False, id="ends"),
        pytest.param(WAITS, "signal.SIG_DFL", True, id="interrupted"),
        pytest.param(WAITS, "signal.SIG_IGN", True, id="interrupted and deaf", marks=pytest.mark.long),
        pytest.param("os.kill(os.getpid(), 9)", "signal.SIG_DFL", False, id="killed"),
    ],
)
def test_processes_that_hide_end_with_their_stage(
    coachwork: CommandLine, tmp_path: Path, then: str, at_end: str, *, press: bool
) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    script = BOMB.format(lock=str(lock), then=then, at_end=at_end)
    running = coachwork.start("run", str(write(tmp_path / "iris", project("train") | {"train/run.py": script})))
    running.line(lambda line: "all are there" in line)
    if press:
        assert not is_free(lock)
        running.interrupt()
    running.end()
    eventually(lambda: is_free(lock))  # what is killed may die late on a busy machine
    assert coachwork.processes() == []


def test_a_stage_that_is_tried_again_in_its_pod_finds_nothing_of_the_attempt_before(stage: Stage) -> None:
    lock = stage.root / "lock"
    lock.touch()
    first = BOMB.format(lock=str(lock), then="", at_end="signal.SIG_DFL").replace("\n", "\n    ")
    again = f"import fcntl, signal\n    signal.alarm(20)\n    fcntl.flock(open({str(lock)!r}), fcntl.LOCK_EX)"
    script = f"import os\nif os.environ['COACHWORK_ATTEMPT'] == '1':{first}raise SystemExit(1)\nelse:\n    {again}\n"
    ended = stage.run(script, first_retry=0, attempts=2)
    assert (ended.code, [*ended.results]) == (0, [1, 2]), ended.text


def test_who_shows_what_a_stage_prints_opens_few_of_the_logs_that_it_leaves(tmp_path: Path) -> None:
    folder = tmp_path / str(layout.logs("iris", "u", 1, "train"))
    folder.mkdir(parents=True)
    last = 1 + 100 + DISRUPTIONS  # with as many RETRIES as there can be
    for number in range(1, 1_001):
        (folder / f"{number}.log").write_bytes(b"x" if number in {1, last} else b"")
    output, held = Output(tmp_path, "iris", "u"), len([*Path("/proc/self/fd").iterdir()])
    record = Record("u", run=1, stages={"train": StageRecord("Running")})
    assert [(printed.attempt, printed.piece) for printed in output.fresh(record)] == [(1, b"x"), (last, b"x")]
    assert len([*Path("/proc/self/fd").iterdir()]) - held <= ATTEMPTS
    output.close()


MANY = """
import os, pathlib
folder = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"])
for name in ("a", "b"):
    (folder / name).mkdir()
    for number in range(10_000):
        (folder / name / str(number)).touch()
for number in range(2, 100):
    (folder.parent / "logs" / "train" / f"{number}.log").touch()
"""


@pytest.mark.long
def test_20_000_files_are_listed_as_far_as_said_and_each_can_be_fetched(coachwork: CommandLine, tmp_path: Path) -> None:
    write(tmp_path / "iris", project("train") | {"train/run.py": MANY})
    ended = coachwork.run("run", str(tmp_path / "iris"))
    assert ended.code == 0, ended.err
    listed = coachwork.run("artifacts", "iris")
    assert (listed.code, len(listed.out.splitlines()), "there are more files" in listed.err) == (0, 10_001, True)
    whole = coachwork.run("artifacts", "iris", "--to", str(tmp_path / "all"))
    assert (whole.code, "fetch smaller folders" in whole.err) == (2, True), whole.err
    for path, count in (("a", 10_000), ("b", 10_000), ("a/9999", 1), ("b/9999", 1)):
        target = tmp_path / "to" / path.replace("/", "-")
        ended = coachwork.run("artifacts", "iris", path, "--to", str(target))
        assert (ended.code, len(ended.out.splitlines())) == (0, count), (path, ended.err)
        assert sum(1 for found in target.rglob("*") if found.is_file()) == count
    missing = coachwork.run("artifacts", "iris", "c")
    assert (missing.code, 'no artifact "c"' in missing.err) == (3, True), missing.err
    assert coachwork.run("clean", "iris", "--yes").code == 0
