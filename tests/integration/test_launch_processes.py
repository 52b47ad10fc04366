"""The processes of a script: signals, limits, and what it leaves running."""

import signal
from pathlib import Path

import pytest

from tests.support.launching import Stage, wait_for


def test_sigterm_reaches_the_script_itself(stage: Stage) -> None:
    script = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("tidied"), sys.exit(9)))
print("up")
time.sleep(600)
"""
    process = stage.start(script)
    wait_for(lambda: b"up" in stage.log(), "the script")
    process.send_signal(signal.SIGTERM)
    ended = stage.end(process)
    assert (ended.code, ended.message["reason"]) == (9, "Terminated")
    assert "tidied" in ended.text


def test_a_script_deaf_to_sigterm_is_killed_after_the_grace(stage: Stage) -> None:
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(600)"
    process = stage.start(script, grace=0.2)
    wait_for(lambda: b"up" in stage.log(), "the script")
    process.send_signal(signal.SIGTERM)
    assert stage.end(process).code == 137


@pytest.mark.parametrize("script", ["import time; time.sleep(600)", "while True: pass"])
def test_a_batch_script_over_its_time_is_ended(stage: Stage, script: str) -> None:
    ended = stage.run("print('began')\n" + script, limit=2)
    assert (ended.code, ended.message["reason"]) == (124, "TimedOut")
    said = "train/train.py: not done within 2 s (MAX_COMPLETION_TIME_SECONDS: raise it if it only needs longer): "
    assert ended.message["message"] == f"{said}it last said: began"


def test_a_script_over_its_time_has_the_grace_to_tidy_up(stage: Stage) -> None:
    script = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), print("tidied"), sys.exit(9)))
time.sleep(600)
"""
    ended = stage.run(script, limit=2, grace=30)
    assert (ended.code, ended.message["reason"]) == (124, "TimedOut")
    assert "tidied" in ended.text


def test_what_a_script_leaves_running_is_killed(stage: Stage) -> None:
    script = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open("pid", "w") as file: file.write(str(os.getpid()))
        os.rename("pid", os.path.join(os.environ["HOME"], "daemon"))
        time.sleep(600)
    os._exit(0)
while not os.path.exists(os.path.join(os.environ["HOME"], "daemon")): time.sleep(0.01)
print("parent ends")
"""
    ended = stage.run(script)
    assert ended.code == 0
    assert "the process that it left running was killed" in ended.text
    pid = int((stage.root / "home/daemon").read_text())
    assert not Path(f"/proc/{pid}").exists()


CHATTER = r"""
import subprocess, sys, time
child = "import itertools, time\nfor n in itertools.count(): print('tick', n, flush=True); time.sleep(0.001)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
time.sleep(0.5)
"""


def test_a_child_that_goes_on_to_print_does_not_hold_up_the_end(stage: Stage) -> None:
    ended = stage.run(CHATTER + "print('all' + ' done', flush=True)")
    assert (ended.code, ended.message["reason"]) == (0, "Completed")
    assert "tick" in ended.text
    assert "all done" in ended.text
    assert len(ended.text.partition("all done")[2].splitlines()) < 1000  # it would print 100,000 before it is given up
    assert ended.results[1]["complete"] is True


def test_an_exception_is_the_cause_whatever_a_child_prints_after_it(stage: Stage) -> None:
    orphan = "import os\nwhile os.getppid() == {}: pass\nwhile True: print('Traceback', 'x' * 1000)"
    script = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", {orphan!r}.format(os.getpid())])
raise ValueError('no data')
"""
    ended = stage.run(script)
    assert (ended.code, ended.message["reason"]) == (1, "ExitCode")
    assert ended.message["message"] == "train/train.py:4: exited with code 1: ValueError: no data"


def test_what_a_script_said_through_a_filter_is_not_lost(stage: Stage) -> None:
    script = """
import os, subprocess, sys
tee = subprocess.Popen(["sh", "-c", "sleep 0.2; exec cat"], stdin=subprocess.PIPE)
os.dup2(tee.stdin.fileno(), 1); os.dup2(tee.stdin.fileno(), 2)
raise ValueError("said to the filter")
"""
    ended = stage.run(script)
    assert ended.message["message"].endswith("train.py:5: exited with code 1: ValueError: said to the filter")
    assert "left running" not in ended.text


def test_a_tracker_of_shared_memory_is_left_the_time_to_tidy_up(stage: Stage) -> None:
    script = """
from multiprocessing import shared_memory
print("name", shared_memory.SharedMemory(create=True, size=10).name)
"""
    ended = stage.run(script)
    name = ended.text.partition("name ")[2].split()[0].strip("/")
    assert not Path("/dev/shm", name).exists()  # noqa: S108 - where it would be
    assert "left running" not in ended.text


def test_the_server_of_a_pool_is_left_the_time_to_end(stage: Stage) -> None:
    script = """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        print(pool.map(abs, [-1]))
"""
    ended = stage.run(script)
    assert ended.code == 0
    assert "left running" not in ended.text
