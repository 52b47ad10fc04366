"""What a launcher refuses, which attempts begin, and whom it wakes at the end."""

import signal
import socket
import socketserver
import subprocess
import threading

import pytest

from tests.support.freeport import free_port
from tests.support.launching import COMMIT, DEADLINE, Stage, wait_for


@pytest.mark.parametrize(
    ("script", "order", "problem"),
    [
        ("launch.py", "{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("launch.py", '{"kind": "batch", "commit": "c"', "Expecting ',' delimiter: line 1 column 32 (char 31)"),
        (
            "launch.py",
            '{"kind": "x", "commit": "", "folder": "", "script": "", "limit": 1, "paths": {"tools": "t", "logs": "l"}}',
            "unknown kind 'x', missing paths: checkout, scratch",
        ),
        (
            "install.py",
            '{"kind": "batch", "commit": "", "environment": "", "limit": 1, "paths": {}}',
            "unknown kind 'batch', missing paths: checkout, tools, scratch, logs, build, cache",
        ),
    ],
)
def test_a_malformed_order_is_refused_with_its_usage(stage: Stage, script: str, order: str, problem: str) -> None:
    command = [stage.python, str(stage.tools / script), order]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (121, f"usage: {script} JSON: {problem}\n")


def test_an_order_of_any_length_is_obeyed(stage: Stage) -> None:
    ended = stage.run("import sys\nprint(len(sys.argv), len(sys.argv[-1]))", args=["x" * 100_000] * 3)
    assert ended.code == 0, ended.text
    assert b"4 100000\n" in ended.output


@pytest.mark.parametrize("complete", [None, "another"])
def test_an_incomplete_checkout_is_refused(stage: Stage, complete: str | None) -> None:
    if complete:
        (stage.checkout / ".complete").write_text(complete)
    else:
        (stage.checkout / ".complete").unlink()
    ended = stage.run("print('ran')")
    assert (ended.code, ended.message["reason"]) == (121, "CheckoutMissing")
    assert ended.results[1]["reason"] == "CheckoutMissing"
    assert b"CheckoutMissing" in stage.log()
    assert not ended.results[1]["script_started"]


def test_a_missing_script_is_refused(stage: Stage) -> None:
    ended = stage.run()
    assert (ended.code, ended.message["reason"]) == (121, "ScriptMissing")
    assert ended.message["message"] == f"train/train.py: no such file at commit {COMMIT}"


def test_a_batch_script_never_runs_without_its_log(stage: Stage) -> None:
    stage.logs.rmdir()
    ended = stage.run("print('r' + 'an')")
    assert (ended.code, ended.message["reason"]) == (121, "LogUnavailable")
    assert "ran" not in ended.text


def test_a_service_runs_without_its_log(stage: Stage) -> None:
    stage.logs.rmdir()
    ended = stage.run("import sys; print('r' + 'an'); sys.exit(3)", kind="service", port=free_port())
    assert ended.code == 3
    assert "ran" in ended.text


def test_attempts_are_counted_and_bounded(stage: Stage) -> None:
    script = "import os; print('attempt', os.environ['COACHWORK_ATTEMPT']); raise SystemExit(1)"
    assert "attempt 1" in stage.run(script, attempts=2).text
    assert "attempt 2" in stage.run(script, attempts=2).text
    ended = stage.run(script, attempts=2)
    assert (ended.code, ended.message["reason"]) == (121, "DisruptedTooOften")
    assert b"attempt 3" not in ended.output


@pytest.mark.parametrize(
    ("left", "runs"),
    [
        ('{"exit_code": 0}', False),
        ('{"exit_code": 1}', True),
        ("[0]", True),
        ('{"exit_code": 0', True),  # half of it
        ("", True),
    ],
)
def test_a_batch_stage_that_is_done_does_not_run_again_in_another_pod(stage: Stage, left: str, *, runs: bool) -> None:
    (stage.logs / "1.log").touch()
    (stage.logs / "1.json").write_text(left)
    process = stage.start("print('r' + 'an')", attempts=3)
    output, _ = process.communicate(timeout=DEADLINE)
    assert (process.returncode, b"ran" in output) == (0, runs)
    assert (stage.logs / "2.log").exists() is runs
    assert (stage.logs / "1.json").read_text() == left


def test_only_the_last_attempt_says_that_a_stage_is_done(stage: Stage) -> None:
    (stage.logs / "1.json").write_text('{"exit_code": 0}')
    (stage.logs / "2.log").touch()  # it had been begun all the same: nobody knows how it ended
    assert "ran" in stage.run("print('r' + 'an')", attempts=5).text


def test_a_service_starts_again_however_it_ended(stage: Stage) -> None:
    (stage.logs / "1.log").touch()
    (stage.logs / "1.json").write_text('{"exit_code": 0}')
    assert "ran" in stage.run("print('r' + 'an')", kind="service", port=free_port()).text


# --- the controller is woken -----------------------------------------------------------------------


@pytest.mark.parametrize(("script", "calls"), [("", 1), ("raise SystemExit(1)", 0)])
def test_the_controller_is_woken_once_the_outcome_of_a_good_end_is_on_the_volume(
    stage: Stage, script: str, calls: int
) -> None:
    woken: list[tuple[bytes, list[int]]] = []

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            woken.append((self.rfile.readline(), [*stage.results()]))
            self.wfile.write(b"HTTP/1.0 202 Accepted\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as controller:
        threading.Thread(target=controller.serve_forever, daemon=True).start()
        stage.run(script, wake=f"localhost:{controller.server_address[1]}/wake/iris")
        controller.shutdown()
    assert woken == [(b"POST /wake/iris HTTP/1.0\r\n", [1])] * calls


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_controller_that_does_not_answer_changes_nothing(stage: Stage, host: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ended = stage.run("print('hello')", wake=f"{host}:{silent.getsockname()[1]}/wake/iris")
    assert (ended.code, ended.results[1]["exit_code"], ended.message["reason"]) == (0, 0, "Completed")
    assert "wake" not in ended.text


@pytest.mark.parametrize("gone", ["stage_wake", "stage_warnings", "stage_cause", "stage_remedy"])
@pytest.mark.parametrize(
    ("script", "code"), [("", 0), ("raise SystemExit(7)", 7), ("import time; time.sleep(99)", 124)]
)
def test_the_end_of_a_script_stands_although_the_tools_are_gone_by_then(
    stage: Stage, gone: str, script: str, code: int
) -> None:
    remove = f"import os; os.unlink({str(stage.tools / gone) + '.py'!r})\n"
    ended = stage.run(remove + script, wake="127.0.0.1:1/wake/iris", limit=2)
    assert (ended.code, ended.results[1]["exit_code"]) == (code, code), ended.text
    assert "Traceback" not in ended.text


FLAKY = "import os, sys; n = os.environ['COACHWORK_ATTEMPT']; print('attempt', n); sys.exit(n < '{}')"


def test_the_first_failure_is_repeated_in_the_same_pod_as_an_attempt_of_its_own(stage: Stage) -> None:
    stage.file("train/data", "from the commit")
    script = "open('data', 'a').write('!')\nprint(open('data').read())\n" + FLAKY.format(2)
    ended = stage.run(script, first_retry=0, attempts=3)
    assert (ended.code, ended.message["attempt"]) == (0, 2)
    assert [(result["exit_code"], result["reason"]) for _, result in sorted(ended.results.items())] == [
        (1, "ExitCode"),
        (0, "Completed"),
    ]
    assert b"from the commit!\nattempt 2\n" in stage.log(2)  # a fresh copy
    assert b"attempt 1" not in stage.log(2)


@pytest.mark.parametrize(
    ("script", "order", "attempts"),
    [
        (FLAKY.format(9), {"first_retry": 0}, [1, 1]),  # the Job's own retries follow
        (FLAKY.format(1), {"first_retry": 0}, [0]),
        (FLAKY.format(9), {}, [1]),
        ("import no_such_module", {"first_retry": 0}, [121]),
        ("import time; time.sleep(60)", {"first_retry": 0, "limit": 0.5}, [124, 124]),
        ("import os, signal; os.kill(os.getpid(), 9)", {"first_retry": 0}, [137, 137]),
    ],
)
def test_what_is_repeated_in_the_same_pod(
    stage: Stage, script: str, order: dict[str, float], attempts: list[int]
) -> None:
    ended = stage.run(script, attempts=3, **order)
    assert [result["exit_code"] for _, result in sorted(ended.results.items())] == attempts
    assert ended.code == attempts[-1]
    if attempts == [1, 1]:
        assert len(stage.run(script, attempts=3, **order).results) == 3  # another pod: its failure is not the first


def test_an_attempt_that_was_ended_from_outside_was_no_failure(stage: Stage) -> None:
    process = stage.start("import time; print('up', flush=True); time.sleep(60)", first_retry=0, attempts=4)
    wait_for(lambda: b"up" in stage.log(), "the script")
    process.send_signal(signal.SIGTERM)
    assert stage.end(process).results.keys() == {1}
    assert stage.run(FLAKY.format(3), first_retry=0, attempts=4).code == 0


def test_a_pod_that_is_stopped_in_the_pause_begins_nothing(stage: Stage) -> None:
    process = stage.start(FLAKY.format(9), first_retry=600, attempts=3)
    wait_for(stage.results, "the first attempt's end")
    process.send_signal(signal.SIGTERM)
    ended = stage.end(process)
    assert (ended.code, [*ended.results]) == (1, [1])


def test_racing_replicas_get_different_attempts(stage: Stage) -> None:
    processes = []
    for replica in range(6):
        stage.order["paths"] = {name: str(stage.root / name) for name in ("checkout", "tools", "logs")} | {
            "scratch": str(stage.root / f"scratch-{replica}")
        }
        (stage.root / f"scratch-{replica}").mkdir()
        processes.append(stage.start("import sys; sys.exit(7)", kind="service", port=free_port()))
    for process in processes:
        process.communicate(timeout=DEADLINE)
    assert {process.returncode for process in processes} == {7}
    assert sorted(stage.results()) == [1, 2, 3, 4, 5, 6]
