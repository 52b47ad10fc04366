"""The launcher as users meet it, a real process on real folders: what a script finds, how its end is reported."""

import hashlib
import json
import subprocess

import pytest

from tests.support.freeport import free_port
from tests.support.launching import PYTHON_38, Stage


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


# --- what a script finds ---------------------------------------------------------------------------


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
