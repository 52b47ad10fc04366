"""The launcher as users meet it: a real process on real folders."""

import hashlib
import json
import os
import signal
import socket
import socketserver
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.freeport import free_port
from tests.support.launching import COMMIT, DEADLINE, PYTHON_38, Stage, wait_for


def server(port: int | str, host: str = "0.0.0.0", status: int = 200) -> str:  # noqa: S104 - what a service does
    return f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status}); self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("{host}", {port}), Handler).serve_forever()
"""


# --- the end of a script --------------------------------------------------------------------------


def test_a_good_end_is_reported_everywhere(stage: Stage) -> None:
    ended = stage.run("print('hello')")
    assert ended.code == 0
    assert ended.text.count("hello") == 1
    assert ended.message["reason"] == "Completed"
    assert (ended.message["attempt"], ended.message["exit_code"], ended.message["limit"]) == (1, 0, 60)
    result = ended.results[1]
    assert (result["exit_code"], result["complete"], result["notes"]) == (0, True, [])
    assert result["started"] <= result["script_started"] <= result["finished"]
    assert ended.message["first_start"] == result["script_started"]
    digest = hashlib.sha256(ended.output).hexdigest()
    assert (result["bytes"], result["sha256"], result["redacted"]) == (len(ended.output), digest, 0)
    last = f"coachwork: end of the log: {len(ended.output)} bytes, sha256 {digest}, complete\n"
    assert stage.log() == ended.output + last.encode()


@pytest.mark.parametrize("code", [1, 3, 121, 124, 255])
def test_the_exit_code_is_passed_on_unchanged(stage: Stage, code: int) -> None:
    ended = stage.run(f"import sys; print('bye'); sys.exit({code})")
    assert ended.code == code
    assert ended.message["reason"] == "ExitCode"
    assert ended.message["message"] == f"train/train.py: exited with code {code}: bye"


@pytest.mark.parametrize(
    ("script", "reason", "start", "end"),
    [
        (
            "from shared.rows import read\nread()\n",
            "ExitCode",
            "shared/rows.py:4: exited with code 1: json.decoder.JSONDecodeError: Expecting property name",
            "",
        ),
        ("x = 1\nif x\n    pass\n", "ExitCode", "train/train.py:2: exited with code 1: SyntaxError: ", ""),
        (
            "import nosuchmodule.part",
            "ImportError",
            "train/train.py:1: exited with code 1: ModuleNotFoundError: ",
            "it is a package, look up its name and add that to train/requirements.txt)",
        ),
        ("import os; os.kill(os.getpid(), 9)", "Signal", "train/train.py: was killed by SIGKILL", ""),
    ],
    ids=["traceback", "syntax", "import", "signal"],
)
def test_a_failure_is_explained_with_place_words_and_remedy(
    stage: Stage, script: str, reason: str, start: str, end: str
) -> None:
    stage.file("shared/rows.py", "import json\n\ndef read():\n    json.loads('{')\n")
    ended = stage.run(script)
    assert ended.message["reason"] == reason
    assert ended.message["message"].startswith(start)
    assert end in ended.message["message"]
    assert ended.message["message"].endswith("; not tried again: it would end the same") == (ended.code == 121)
    assert ended.code in ((137,) if reason == "Signal" else (1, 121))


def test_a_missing_module_of_a_stage_in_bodywork_yaml_is_named_where_it_would_be_read(stage: Stage) -> None:
    stage.file("bodywork.yaml", "version: '1.0'\n")
    ended = stage.run("import nosuchmodule")
    line = "look up its name and add that to the stage's `requirements` in bodywork.yaml)"
    assert line in ended.message["message"]


def test_places_are_relative_to_a_project_in_a_subfolder(stage: Stage) -> None:
    stage.file("projects/a/train/train.py", "assert False, 'no'")
    ended = stage.run(project="projects/a")
    assert ended.message["message"] == "train/train.py:1: exited with code 1: AssertionError: no"


def test_a_message_is_short_clean_and_without_secrets(stage: Stage) -> None:
    stage.env = {"TOKEN": "s3cr3t-value"}
    script = (
        "import os; raise ValueError('\\x1b[31m\\x07' + os.environ['TOKEN'] + ' https://u:pw@host/ ' + 'ä\"' * 5000)"
    )
    ended = stage.run(script, secrets=["TOKEN"])
    message = ended.message["message"]
    assert "ValueError: \\x07*** https://***@host/" in message
    assert len(message.encode()) <= 1024
    assert message.isprintable()
    assert (stage.root / "termination").stat().st_size <= 4000


# --- its numbers ----------------------------------------------------------------------------------

WRITE = "import json, os\nopen(os.environ['COACHWORK_METRICS'], 'w').write({})\n"


@pytest.mark.parametrize("code", [0, 3])
def test_the_numbers_that_a_script_writes_are_left_with_its_attempt(stage: Stage, code: int) -> None:
    script = WRITE.format("json.dumps({'accuracy': 0.93, 'rows': 1200, 'huge': 2 ** 80})")
    ended = stage.run(f"{script}raise SystemExit({code})")
    assert ended.code == code
    assert ended.results[1]["metrics"] == {"accuracy": 0.93, "rows": 1200, "huge": 2.0**80}
    assert "coachwork: numbers: accuracy 0.93, rows 1200, huge" in ended.text


@pytest.mark.parametrize(
    ("text", "taken", "warning"),
    [
        ("'{'", {}, 'not recorded: expected a JSON object like {"accuracy": 0.93}: Expecting property name'),
        ("'[1]'", {}, "not recorded: expected a JSON object"),
        ("'[' * 16000", {}, "not recorded: expected a JSON object"),
        ("'{}' + ' ' * 16384", {}, "not recorded: it is larger than 16 KiB"),
        (
            """'{"a": 1, "b": NaN, "c": "2", "d\\\\u001b[31m": 3, "e f": 4, "yes": true}'""",
            {"a": 1},
            "not recorded: 'b', 'c', 'd\\x1b[31m' and 2 more: a name is 1 to 64 letters",
        ),
        ("json.dumps({f'n{i}': i for i in range(60)})", {f"n{i}": i for i in range(50)}, "the first 50 of 60 numbers"),
        ("""'{"is-s3cr3t-value": 1, "s3cr3t-value": 2, "b": 3}'""", {"b": 3}, "not recorded: 'is-***', '***'"),
    ],
    ids=["cut", "list", "deep", "large", "odd", "many", "secret"],
)
def test_what_is_no_number_is_left_out_with_a_warning_and_the_script_ended_well(
    stage: Stage, text: str, taken: dict[str, float], warning: str
) -> None:
    stage.env = {"TOKEN": "s3cr3t-value"}
    ended = stage.run(WRITE.format(text), secrets=["TOKEN"])
    assert ended.code == 0
    assert ended.results[1]["metrics"] == taken
    (found,) = (line for line in ended.text.splitlines() if line.startswith("coachwork: warning: COACHWORK_METRICS: "))
    assert warning in found


def test_each_attempt_has_its_own_numbers(stage: Stage) -> None:
    script = "import os\nif os.environ['COACHWORK_ATTEMPT'] == '1':\n    " + WRITE.format("'{\"a\": 1}'").replace(
        "\n", "\n    "
    )
    ended = stage.run(f"{script}raise SystemExit(1)\n", first_retry=0, attempts=2)
    assert [ended.results[number]["metrics"] for number in (1, 2)] == [{"a": 1}, {}]


@pytest.mark.parametrize("made", ["os.mkdir", "os.mkfifo"])
def test_a_path_of_numbers_that_is_no_file_holds_nobody_up(stage: Stage, made: str) -> None:
    ended = stage.run(f"import os\n{made}(os.environ['COACHWORK_METRICS'])\n")
    assert (ended.code, ended.results[1]["metrics"]) == (0, {})


@pytest.mark.parametrize(
    ("kind", "name", "made"),
    [
        ("service", "1.log.new", "os.mkfifo(path)"),
        ("service", "1.log.new", "os.symlink(outside, path)"),
        ("service", "1.log.new", "os.mkdir(path)"),
        ("batch", "1.json.new", "os.mkfifo(path)"),
        ("batch", "7.json", "os.mkfifo(path)"),
        ("service", "1.log.1", "os.makedirs(path + '/full')"),
        ("service", "1.log.1.times", "os.makedirs(path + '/full')"),
        ("service", "1.log", "os.makedirs(path + '/full')"),
        ("batch", "1.log", "os.makedirs(path + '/full')"),
        ("batch", "1.json", "os.makedirs(path + '/full')"),
        ("batch", "1.json", "os.symlink(os.path.dirname(path), path)"),
        ("batch", "1.json", "os.mkfifo(path)"),
        ("batch", "1.json", "open(path, 'w').truncate(1 << 40)"),
        ("batch", "1.json.new", "os.makedirs(path + '/full')"),
        ("batch", "7.json", "open(path, 'w').truncate(1 << 40)"),
    ],
)
def test_what_a_script_puts_in_the_place_of_its_logs_holds_nobody_up_and_leads_nowhere(
    stage: Stage, kind: str, name: str, made: str
) -> None:
    outside = stage.root / "outside"
    outside.write_text("untouched")
    ended = stage.run(
        f"""
import contextlib, os
outside = {str(outside)!r}
for path in [{str(stage.logs)!r} + "/" + name for name in ({name!r}, "7.log")]:
    with contextlib.suppress(OSError):
        os.unlink(path)
    {made}
for number in range(200):
    print("line", number)
raise SystemExit(1)
""",
        kind=kind,
        log_cap=1500,
        **({"port": 1} if kind == "service" else {}),
    )
    assert (ended.code, ended.message["exit_code"], ended.message["message"].count("\n")) == (1, 1, 0), ended.text
    assert outside.read_text() == "untouched"
    assert not any("missing" in note for note in ended.results[1]["notes"])
    ended = stage.run("print('again')", attempts=9)
    assert (ended.code, ended.results[8]["complete"]) == (0, True), ended.text
    assert b"again" in stage.log(8)
    kept = sum(path.stat().st_size for path in stage.logs.glob("1.log*") if path.is_file() and not path.is_symlink())
    assert kept < 2 * 1500 + 1000


@pytest.mark.parametrize("made", ["os.mkfifo(path)", "os.mkdir(path)", "os.symlink('/dev/full', path)"])
def test_an_end_that_nobody_can_be_informed_of_is_an_end(stage: Stage, made: str) -> None:
    ended = stage.run(f"import os\npath = {str(stage.root / 'termination')!r}\n{made}\n")
    assert (ended.code, "no termination message: " in ended.text) == (0, True), ended.text
    assert ended.results[1]["exit_code"] == 0


@pytest.mark.parametrize(
    ("numbers", "gate", "problem"),
    [
        ('{"accuracy": 0.93}', [["accuracy", ">=", 0.9, ">= 0.9"]], ""),
        ('{"accuracy": 0.9}', [["accuracy", ">=", 0.9, ">= 0.9"], ["accuracy", "==", 0.9, "== 0.9"]], ""),
        ('{"accuracy": 0.87}', [["accuracy", ">=", 0.9, ">= 0.9"]], "accuracy is 0.87, REQUIRE wants >= 0.9"),
        ('{"accuracy": 0.9}', [["accuracy", ">", 0.9, "> 0.9"]], "accuracy is 0.9, REQUIRE wants > 0.9"),
        (
            '{"rows": 5, "rmse": 2.5}',
            [["rows", ">", 5, "> 5"], ["rmse", "<=", 2.1, "<= previous * 1.05, which is 2.1"], ["rows", "<", 6, "< 6"]],
            "rows is 5, REQUIRE wants > 5; rmse is 2.5, REQUIRE wants <= previous * 1.05, which is 2.1",
        ),
        ('{"rmse": 1e9}', [["rmse", "<=", None, "<= previous"]], ""),
        (
            "{}",
            [["rmse", "<=", None, "<= previous"]],
            "rmse was not written to COACHWORK_METRICS, REQUIRE wants <= pre",
        ),
        (
            '{"acuracy": 0.93, "rows": 5}',
            [["accuracy", ">=", 0.9, ">= 0.9"]],
            "accuracy was not written to COACHWORK_METRICS (it has acuracy, rows), REQUIRE wants >= 0.9",
        ),
        (
            '{"rmse": NaN}',
            [["rmse", "<", 2, "< 2"]],
            "rmse was not written to COACHWORK_METRICS (not recorded: 'rmse': a name is 1 to 64 letters",
        ),
    ],
)
def test_a_stage_whose_numbers_do_not_hold_fails_once_and_says_which(
    stage: Stage, numbers: str, gate: list[list[object]], problem: str
) -> None:
    ended = stage.run(WRITE.format(repr(numbers)), require=gate, first_retry=0, attempts=3)
    assert [*ended.results] == [1]
    assert (ended.code, ended.message["reason"]) == ((121, "RequirementNotMet") if problem else (0, "Completed"))
    assert ended.message["message"].startswith(problem)


def test_a_script_that_fails_by_itself_is_not_judged_by_its_numbers(stage: Stage) -> None:
    ended = stage.run(WRITE.format("'{}'") + "raise SystemExit(3)", require=[["rmse", "<", 2, "< 2"]])
    assert (ended.code, ended.message["reason"]) == (3, "ExitCode")


def test_a_gate_in_yaml_is_named_as_it_is_written_there(stage: Stage) -> None:
    stage.file("bodywork.yaml", "version: '1.0'\n")
    ended = stage.run("pass", require=[["rmse", "<", 2, "< 2"]])
    assert ended.message["message"] == "rmse was not written to COACHWORK_METRICS, require wants < 2"


# --- what a script finds --------------------------------------------------------------------------


def test_a_stage_finds_its_world(stage: Stage) -> None:
    script = """
import json, os, sys
print("FOUND" + json.dumps(dict(cwd=os.getcwd(), path=sys.path[:2], args=sys.argv[1:], env=dict(os.environ))))
open(os.path.join(os.environ["HOME"], "x"), "w").close()
open("written-here", "w").close()
"""
    stage.env = {"PYTHONPATH": "/elsewhere", "COACHWORK_POD_IP": "127.0.0.1"}
    ended = stage.run(script, args=["a b", "--c"])
    assert ended.code == 0, ended.text
    found = json.loads(ended.text.split("FOUND")[1].splitlines()[0])
    work = str(stage.scratch / "work")
    assert found["cwd"] == f"{work}/train"
    assert found["path"] == [f"{work}/train", work]
    assert found["args"] == ["a b", "--c"]
    assert found["env"]["PYTHONPATH"] == f"{work}:/elsewhere"
    assert found["env"]["COACHWORK_ATTEMPT"] == "1"
    assert "COACHWORK_POD_IP" not in found["env"]
    assert "COACHWORK_TERMINATION_LOG" not in found["env"]
    assert not (stage.checkout / "train/written-here").exists()


def test_the_copy_is_private_writable_and_faithful(stage: Stage) -> None:
    tool = stage.file("bin/tool", "#!/bin/sh\n")
    tool.chmod(0o555)
    (stage.checkout / "link").symlink_to("bin/tool")
    (stage.checkout / "dangling").symlink_to("nowhere")
    tool.parent.chmod(0o555)
    script = """
import os
assert os.readlink("../link") == "bin/tool" and os.readlink("../dangling") == "nowhere"
assert os.access("../bin/tool", os.X_OK) and not os.path.exists("../.complete")
open("../bin/tool", "a").write("more"); open("../bin/new", "w").close()
"""
    ended = stage.run(script)
    tool.parent.chmod(0o755)
    assert ended.code == 0, ended.text
    assert tool.read_text() == "#!/bin/sh\n"


def test_the_size_of_the_copy_is_in_the_log(stage: Stage) -> None:
    stage.file("data/rows", "x" * 3 * 1024 * 1024)
    ended = stage.run("pass", workspace_limit=4 * 1024 * 1024)
    assert ended.code == 0
    assert "copied the repository: 2 files, 3 MiB in " in ended.text


def test_a_repository_over_the_limit_is_refused_before_it_is_copied(stage: Stage) -> None:
    stage.file("data/rows", "x" * 3 * 1024 * 1024)
    ended = stage.run("print('r' + 'an')", workspace_limit=2 * 1024 * 1024)
    assert (ended.code, ended.message["reason"]) == (121, "WorkspaceTooLarge")
    assert "more than 2 MiB, the limit of a stage's private copy" in ended.message["message"]
    assert not (stage.scratch / "work").exists()


def test_a_repository_without_room_is_refused_before_it_is_copied(stage: Stage) -> None:
    with stage.file("data", "").open("wb") as file:
        file.truncate(1 << 43)
    ended = stage.run("print('r' + 'an')")
    assert (ended.code, ended.message["reason"]) == (121, "WorkspaceFull")
    assert "needs 8 TiB, and the node has " in ended.message["message"]


def test_git_works_in_the_copy(stage: Stage) -> None:
    git = ["git", "-C", str(stage.checkout), "-c", "user.name=t", "-c", "user.email=t@t"]
    stage.file("train/train.py", "import subprocess; subprocess.run(['git', 'rev-parse', 'HEAD'], check=True)")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True, timeout=30)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, timeout=30, capture_output=True, text=True).stdout
    ended = stage.run()
    assert ended.code == 0
    assert head in ended.text


def test_a_restart_gets_a_fresh_copy_whatever_the_script_left(stage: Stage) -> None:
    script = """
import os
assert not os.path.exists("left")
os.mkdir("left"); open("left/x", "w").close(); os.chmod("left", 0); os.chmod(".", 0o500)
"""
    assert stage.run(script, attempts=2).code == 0
    assert stage.run(script, attempts=2).code == 0


@pytest.mark.skipif(PYTHON_38 is None, reason="no Python 3.8 on this machine")
@pytest.mark.parametrize("kind", ["batch", "service"])
def test_python_3_8_will_do(stage: Stage, kind: str) -> None:
    stage.python = str(PYTHON_38)
    ended = stage.run("import sys\nprint(sys.version)\nraise ValueError('so')", kind=kind, port=free_port())
    assert ended.text.splitlines()[2].startswith("3.8")
    assert ended.message["message"] == "train/train.py:3: exited with code 1: ValueError: so"


# --- refusals -------------------------------------------------------------------------------------


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


# --- the controller is woken ----------------------------------------------------------------------


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


# --- output ---------------------------------------------------------------------------------------


def test_output_keeps_its_order_and_its_bytes(stage: Stage) -> None:
    script = """
import os
for n in range(200):
    os.write(1 + n % 2, b"%d\\n" % n)
os.write(1, bytes(range(256)))
"""
    ended = stage.run(script)
    expected = b"".join(b"%d\n" % n for n in range(200)) + bytes(range(256))
    assert expected in ended.output
    assert expected in stage.log()


def test_output_is_live(stage: Stage) -> None:
    process = stage.start("import time; print('alive'); time.sleep(600)")
    wait_for(lambda: b"alive" in stage.log(), "the first line in the log")
    process.send_signal(signal.SIGTERM)
    assert stage.end(process).code == 143


def test_a_flood_is_capped_in_the_log_and_not_in_time(stage: Stage) -> None:
    ended = stage.run("import os\nfor _ in range(800): os.write(1, b'x' * 65536)\nprint('last')", log_cap=10_000)
    assert ended.code == 0
    assert len(ended.output) > 800 * 65536
    assert 10_000 <= len(stage.log()) < 10_200
    assert b"capped at 10000 bytes" in stage.log()
    assert stage.log().endswith(b", not complete\n")
    assert ended.results[1]["complete"] is False
    assert ended.results[1]["notes"] == ["the log was capped"]


def test_a_service_log_turns_and_keeps_the_newest(stage: Stage) -> None:
    script = "import sys\nfor n in range(500): print('line', n)\nsys.exit(5)"
    assert stage.run(script, kind="service", port=free_port(), log_cap=2000).code == 5
    newest, _, last = stage.log().rstrip().rpartition(b"\n")
    assert newest.endswith(b"exited with code 5: line 499")
    assert hashlib.sha256(newest + b"\n").hexdigest().encode() in last
    assert len((stage.logs / "1.log.1").read_bytes()) <= 2100
    assert len(list(stage.logs.glob("*.log"))) == 1


def test_a_full_log_is_noted_and_the_script_goes_on(stage: Stage) -> None:
    stage.limits = ("-f 200",)
    ended = stage.run("for _ in range(300): print('x' * 10000)\nprint('do' + 'ne')", log_cap=10**9)
    assert ended.code == 0
    assert b"done" in ended.output
    assert "missing in the log: File too large" in ended.results[1]["notes"][0]
    assert ended.results[1]["complete"] is False


def test_a_closed_standard_output_stops_no_script(stage: Stage) -> None:
    process = stage.start("for _ in range(100): print('x' * 10000)\nprint('done')")
    assert process.stdout
    process.stdout.close()
    assert process.wait(60) == 0
    assert b"done" in stage.log()


def test_all_that_was_said_before_a_sigkill_is_kept(stage: Stage) -> None:
    script = """
import os
for n in range(3000): os.write(1 + n % 2, b"%06d " % n + b"x" * 1000 + b"\\n")
os.write(1, b"the last")
os.kill(os.getpid(), 9)
"""
    ended = stage.run(script)
    assert ended.code == 137
    expected = b"".join(b"%06d " % n + b"x" * 1000 + b"\n" for n in range(3000)) + b"the last\n"
    assert expected in stage.log()
    assert ended.results[1]["complete"] is True


def test_what_was_read_before_the_launcher_is_killed_is_kept(stage: Stage) -> None:
    process = stage.start("import os, time; os.write(1, b'first'); time.sleep(600)")
    wait_for(lambda: b"first" in stage.log(), "the first words in the log")
    pids = [pid for pid in Path("/proc").glob("[0-9]*") if parent_of(pid) == process.pid]
    process.kill()
    process.wait(60)
    for pid in pids:
        os.kill(int(pid.name), signal.SIGKILL)
    assert process.stdout
    process.stdout.close()
    assert stage.log().endswith(b"first")
    assert stage.results() == {}


def parent_of(pid: Path) -> int:
    try:
        return int(pid.joinpath("stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def test_the_values_of_secrets_are_blanked_in_all_output(stage: Stage) -> None:
    stage.env = {"TOKEN": "s3cr3t-value/1", "PIN": "123"}
    script = """
import base64, os, time, urllib.parse
token = os.environ["TOKEN"]
print("raw", token, "pin", os.environ["PIN"])
print(base64.b64encode(token.encode()).decode(), urllib.parse.quote(token, safe=""))
for letter in token: os.write(1, letter.encode())
os.write(1, b" and\\n")
raise ValueError(token)
"""
    ended = stage.run(script, secrets=["TOKEN", "PIN"])
    for line in (ended.output, stage.log(), json.dumps([ended.message, ended.results]).encode()):
        assert b"s3cr3t" not in line
        assert b"czNjcjN0" not in line
    assert "raw *** pin 123\n*** ***\n*** and\n" in ended.text
    assert ended.message["message"].endswith("ValueError: ***")
    assert ended.results[1]["redacted"] == 5


def test_what_looks_like_the_beginning_of_a_secret_is_shown_when_the_output_pauses(stage: Stage) -> None:
    stage.env = {"TOKEN": "s3cr3t-value"}
    process = stage.start("import os, time; os.write(1, b'here: s3cr3t'); time.sleep(600)", secrets=["TOKEN"])
    wait_for(lambda: stage.log().endswith(b"here: s3cr3t"), "what was held back")
    process.send_signal(signal.SIGTERM)
    assert stage.end(process).code == 143


# --- processes, signals, limits -------------------------------------------------------------------


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


# --- services -------------------------------------------------------------------------------------


def test_a_service_is_announced_when_it_answers(stage: Stage) -> None:
    port = free_port()
    process = stage.start(server(port), kind="service", port=port, readiness_path="/healthz")
    wait_for(lambda: b"the service answers on port" in stage.log(), "readiness")
    process.send_signal(signal.SIGTERM)
    ended = stage.end(process)
    assert (ended.code, ended.message["reason"]) == (143, "Terminated")


def test_a_service_that_ends_by_itself_has_failed(stage: Stage) -> None:
    ended = stage.run("print('done')", kind="service", port=free_port())
    assert (ended.code, ended.message["reason"]) == (1, "ServiceEnded")


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.Popen([sys.executable, '-c', SERVER])",
        "subprocess.Popen([sys.executable, '-c', SERVER], start_new_session=True, stdin=subprocess.PIPE)",
        "os.fork() or (os.setsid(), os.fork() and os._exit(0), exec(SERVER))",
    ],
)
@pytest.mark.parametrize("until", ["pass", "socket.create_connection(('127.0.0.1', PORT)).close(); break"])
def test_a_service_whose_server_is_left_as_a_child_has_ended_and_is_not_tried_again(
    stage: Stage, start: str, until: str
) -> None:
    port = free_port()
    script = f"""
import os, socket, subprocess, sys, time
PORT, SERVER = {port}, {server(port)!r}
{start}
for _ in range(100):
    try:
        {until}
    except OSError:
        time.sleep(0.1)
"""
    ended = stage.run(script, kind="service", port=port)
    assert (ended.code, ended.message["reason"]) == (121, "ServiceEnded")
    assert "start the server in the foreground" in ended.message["message"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("script", "address", "path", "cause"),
    [
        ("import time; time.sleep(600)", "", "", "nothing listens on port @OWN@"),
        (
            server("@OTHER@"),
            "127.0.0.1",
            "",
            "nothing listens on port @OWN@, but on @OTHER@: PORT and the script must name the same port",
        ),
        (server("@OWN@", "127.0.0.1"), "127.0.0.2", "", "the script listens on 127.0.0.1:@OWN@ only: bind to 0.0.0.0"),
        (server("@OWN@", status=500), "", "/health", "GET /health on port @OWN@ answers HTTP 500"),
    ],
    ids=["nothing", "another-port", "loopback", "error"],
)
def test_a_service_that_does_not_get_ready_says_why(
    stage: Stage, script: str, address: str, path: str, cause: str
) -> None:
    port, other = free_port(), free_port()

    def numbered(text: str) -> str:
        return text.replace("@OWN@", str(port)).replace("@OTHER@", str(other))

    stage.env = {"COACHWORK_POD_IP": address}
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        ended = stage.run(numbered(script), kind="service", port=port, limit=2, readiness_path=path)
        assert str(neighbour.getsockname()[1]) not in ended.message["message"]
    assert (ended.code, ended.message["reason"]) == (121, "StartupTimeout")
    late, message = "not ready within 2 s (MAX_STARTUP_TIME_SECONDS", ended.message["message"]
    if "only: " in cause or "must name" in cause:  # more time would not help
        assert message.startswith(f"train/train.py: {numbered(cause)}")
        assert message.endswith(f"; {late})")
    else:
        assert message.startswith(f"train/train.py: {late}: raise it if it only needs longer): {numbered(cause)}; it ")


def test_a_late_service_shows_what_it_said_last_in_the_log_that_is_shown(stage: Stage) -> None:
    port = free_port()
    stage.file("bodywork.yaml", "")  # whose keys are in lower case
    script = """
import signal, sys, time
signal.signal(15, lambda *_: (print("shutting down"), sys.exit(0)))
print("loading weights: 7 of 9")
time.sleep(600)
"""
    late = "not ready within 2 s (max_startup_time_seconds: raise it if it only needs longer): nothing listens on port"
    message = f"train/train.py: {late} {port}; it last said: loading weights: 7 of 9"
    ended = stage.run(script, kind="service", port=port, limit=2)
    assert (ended.code, ended.message["message"]) == (121, message)
    again = stage.run(script, kind="service", port=port, limit=2)  # the kubelet starts the container again
    assert (again.code, again.message["message"]) == (121, message)
    assert [path.name for path in sorted(stage.logs.glob("*.log"))] == ["1.log"]


def test_a_late_service_that_said_nothing_says_so(stage: Stage) -> None:
    ended = stage.run("import time; time.sleep(600)", kind="service", port=free_port(), limit=1)
    assert ended.message["message"].endswith("; it has said nothing")


CRASHED = "train/train.py:1: exited with code 1: ValueError: no model"


def test_a_crash_loop_does_not_extend_the_start_up_time(stage: Stage) -> None:
    port = free_port()
    first = stage.run("raise ValueError('no model')", kind="service", port=port, limit=60)
    assert first.code == 1
    path = stage.scratch / "first-start"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"at": 0}))
    again = stage.run(kind="service", port=port, limit=60)
    assert (again.code, again.message["reason"]) == (121, "StartupTimeout")
    assert again.message["message"] == f"{CRASHED}; not ready within 60 s (MAX_STARTUP_TIME_SECONDS)"
    assert again.message["first_start"] == first.message["first_start"]


def test_the_cause_of_the_crash_is_named_when_the_limit_cuts_a_restart_short(stage: Stage) -> None:
    port = free_port()
    assert stage.run("raise ValueError('no model')", kind="service", port=port, limit=60).code == 1
    again = stage.run("import time; time.sleep(600)", kind="service", port=port, limit=1)
    assert (again.code, again.message["reason"]) == (121, "StartupTimeout")
    assert again.message["message"] == f"{CRASHED}; not ready within 1 s (MAX_STARTUP_TIME_SECONDS)"


def test_a_service_that_was_ready_gets_its_start_up_time_again(stage: Stage) -> None:
    port = free_port()
    assert stage.run("raise ValueError('no model')", kind="service", port=port).code == 1
    path = stage.scratch / "first-start"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"at": 0, "ready": True}))
    process = stage.start(server(port), kind="service", port=port)
    wait_for(lambda: b"the service answers on port" in stage.log(2), "readiness")
    process.send_signal(signal.SIGTERM)
    assert stage.end(process).code == 143
