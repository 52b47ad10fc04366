"""`coachwork run` as a user has it: real projects, real processes, no cluster and no network."""

import fcntl
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from controller.core.names import digest
from tests.support.cli import CommandLine, write
from tests.support.eventually import eventually
from tests.support.freeport import free_port
from tests.support.slowindex import half
from tests.support.world import project

SERVER = """\
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write({words}.encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("0.0.0.0", {port}), Handler).serve_forever()
"""


def ask(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 (an address of ours)
        text: str = answer.read().decode()
    return text


def test_stages_run_in_their_order_and_hand_artifacts_on(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("first >> second")
    files["first/run.py"] = "import os, pathlib\npathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'x').write_text('42')"
    files["second/run.py"] = (
        "import os, pathlib\nassert pathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'x').read_text() == '42'"
    )
    ended = coachwork.run("run", str(write(tmp_path / "iris", files)))
    assert ended.code == 0, ended.err + ended.out
    done = [line.split()[:4] for line in ended.out.splitlines() if ": Done" in line]  # too short to be seen running
    assert done == [["step", "1", "first:", "Done"], ["step", "2", "second:", "Done"]]
    assert ended.out.splitlines()[-1] == "Ready: run 1 at uncommitted"


def test_a_failing_stage_is_shown_with_its_place_and_its_error_and_each_line_once(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    files = project("train") | {"train/run.py": "print('reading')\nraise ValueError('no rows')\n"}
    folder = str(write(tmp_path / "iris", files))
    for quiet in ((), ("--quiet",)):
        ended = coachwork.run("run", folder, *quiet)
        assert ended.code == 1
        lines = [*ended.out.splitlines(), *ended.err.splitlines()]
        cause = "stage train: train/run.py:2: exited with code 1: ValueError: no rows"
        assert [line for line in lines if "no rows" in line and "code 1" in line] == [
            f"Failed: run {2 if quiet else 1} at uncommitted: {cause}"
        ]
        assert f'  File "{folder}/train/run.py", line 2, in <module>' in "".join(lines), "where an editor finds it"
        printed = "  reading" if quiet else "train | reading"
        assert [line for line in lines if "reading" in line] == [printed]
        assert not [line for line in lines if "coachwork: " in line], "what the launcher says is for the log"
        assert ("the last lines of stage train:" in ended.err) == bool(quiet)


CHATTY = """\
import os
attempt = os.environ['COACHWORK_ATTEMPT']
os.write(1, b'\\x1b[31mred\\x1b[0m \\x1b[2J\\x07 \\xff\\n')
for share in (50, 100):
    os.write(1, b'\\r%d%%' % share)
os.write(2, b'\\nopen')
if attempt == '1':
    raise ValueError('not yet')
os.write(1, b'-ended' + b'x' * 40000)
"""


def test_what_stages_print_is_shown_as_it_comes_and_can_not_act_on_the_terminal(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    files = project("train >> score", retries=1) | {"train/run.py": CHATTY}
    files["score/run.py"] = (
        "import os, time\nprint('waits', flush=True)\nwhile not os.path.exists(os.environ['GO']): time.sleep(0.05)"
    )
    go = tmp_path / "go"
    running = coachwork.start("run", str(write(tmp_path / "iris", files)), "--env", f"GO={go}")
    running.line(lambda line: line.split() == ["score", "|", "waits"])  # while it runs
    go.touch()
    ended = running.end()
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    first = [line for line in lines if line.startswith("train | ")]
    assert first[:2] == ["train | red \\x07 \ufffd", "train | 100%"]
    assert "train | openTraceback (most recent call last):" in lines
    cause = "train/run.py:8: exited with code 1: ValueError: not yet"
    assert [cause in line for line in lines].count(True) == 1  # by the record, or where it knows of none, by the log
    again = [line for line in lines if line.startswith("train/2 | ")]
    assert again[:2] == ["train/2 | red \\x07 \ufffd", "train/2 | 100%"]
    assert "".join(line.removeprefix("train/2 | ") for line in again[2:]) == "open-ended" + "x" * 40000
    assert not [line for line in lines if "coachwork: " in line]
    assert lines[-1] == "Ready: run 1 at uncommitted"
    (kept,) = coachwork.home.glob("runs/iris-*/1")
    assert ended.err.splitlines()[1:] == ["logs: coachwork logs iris --local", f"kept in {kept}"]


def test_programs_get_objects_alone_and_quiet_ones_the_states(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "iris", project("train") | {"train/run.py": "print('hello')"}))
    ended = coachwork.run("run", folder, "--output", "json")
    assert ended.scenes()[-1]["over"]
    assert "hello" not in ended.out + ended.err
    assert "hello" not in coachwork.run("run", folder, "-q").out


def test_how_far_packages_are_is_shown_to_who_does_not_read_the_output(coachwork: CommandLine, tmp_path: Path) -> None:
    with half(tmp_path / "half") as (index, go):
        files = project("train", packages={"train": f"--index-url http://{index}\nplume\n"})
        running = coachwork.start("run", str(write(tmp_path / "iris", files)), "--quiet")
        running.line(lambda line: line == "environment: downloading 1 package")
        go.set()
        ended = running.end()
    assert ended.code == 0, ended.err


def test_all_problems_of_a_project_are_shown_before_anything_runs(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("train") | {"train/config.ini": "[default]\nSTAGE_TYPE = batch\n[batch]\nRETRIES = two\n"}
    for command in ("run", "validate"):
        ended = coachwork.run(command, str(write(tmp_path / "iris", files)))
        assert ended.code == 2
        assert "train/config.ini: [batch] RETRIES" in ended.err
        assert "EXECUTABLE_SCRIPT" in ended.err
        assert ended.out == ""


def test_a_git_requirement_that_cannot_be_reached_ends_the_run_with_its_file_and_stage(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    files = project("a", packages={"a": "six\nlib @ git+http://127.0.0.1:9/me/lib@v1\n"})
    ended = coachwork.run("run", str(write(tmp_path / "iris", files)))
    assert ended.code == 2, ended.out + ended.err
    assert "a/requirements.txt:2 (stage a): repository http://127.0.0.1:9/me/lib: the server can't be" in ended.out
    assert ended.err.splitlines()[1].startswith("waiting: a/requirements.txt:2 (stage a)")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("", "no bodywork.ini or bodywork.yaml: give the folder that holds one"),
        ("nowhere", "nowhere: no such folder"),
        ("iris/bodywork.ini", "bodywork.ini: it is a file: give the folder that holds it"),
    ],
)
def test_a_place_that_is_not_a_project_is_refused(
    coachwork: CommandLine, tmp_path: Path, place: str, words: str
) -> None:
    write(tmp_path / "iris", project("a"))
    ended = coachwork.run("run", str(tmp_path / place))
    assert (ended.code, words in ended.err) == (2, True)


def test_uncommitted_changes_run_and_are_shown_and_ignored_files_stay_out(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    files = project("train") | {".gitignore": "secret.txt\n", "train/run.py": "raise SystemExit(1)\n"}
    folder = write(tmp_path / "iris", files)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
    words = "import os; assert not os.path.exists('../secret.txt'); open('out', 'w'); print(os.listdir('..'))"
    write(folder, {"train/run.py": words, "secret.txt": "x", "train/new.txt": "x"})
    ended = coachwork.run("run", str(folder))
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1].endswith("+changes")
    assert not (folder / "train" / "out").exists()
    status = subprocess.run(["git", "status", "--short"], cwd=folder, check=True, capture_output=True, text=True)
    assert status.stdout.split() == ["M", "train/run.py", "??", "train/new.txt"]


def test_missing_secrets_are_all_listed_before_step_1(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("a,b")
    for stage, names in (("a", "TOKEN = aws"), ("b", "TOKEN = aws\nPASSWORD = db")):
        files[f"{stage}/config.ini"] += f"[secrets]\n{names}\n"
    ended = coachwork.run("run", str(write(tmp_path / "iris", files)))
    assert (ended.code, ended.out) == (2, "")
    assert [line.split(":")[0] for line in ended.err.splitlines()[:2]] == [
        "secret PASSWORD (stage b)",
        "secret TOKEN (stage a, b)",
    ]
    latin = coachwork.run("run", str(tmp_path / "iris"), TOKEN=os.fsdecode(b"\xe9t\xe9"), PASSWORD="sesame-sesame")
    assert (latin.code, latin.err) == (
        2,
        "secret TOKEN (stage a, b): its value is not text in UTF-8: export it as such",
    )


def test_a_part_of_a_project_needs_the_secrets_of_its_stages_alone(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("a >> b", secrets={"a": "TOKEN = aws", "b": "PASSWORD = db"})
    folder = str(write(tmp_path / "iris", files))
    first = coachwork.run("run", folder, "--only", "a", TOKEN="sesame-sesame")
    assert first.code == 0, first.err
    assert coachwork.run("run", folder, "--from", "b", PASSWORD="sesame-sesame").code == 0
    missing = coachwork.run("run", folder, "--only", "b")
    assert (missing.code, missing.err.split(":")[0]) == (2, "secret PASSWORD (stage b)")
    unknown = coachwork.run("run", folder, "--only", "c")
    assert (unknown.code, unknown.out) == (2, 'Invalid: no stage "c": choose from a, b')


def test_an_optional_secret_that_nobody_gives_sets_no_variable(coachwork: CommandLine, tmp_path: Path) -> None:
    words = "import os\nassert os.environ.get('TOKEN') == os.environ.get('WANTED'), os.environ.get('TOKEN')"
    files = project("a") | {"a/run.py": words}
    files["a/config.ini"] += "[secrets]\nTOKEN = aws?\n"
    folder = str(write(tmp_path / "iris", files))
    assert coachwork.run("run", folder).code == 0
    given = coachwork.run("run", folder, "--env", "WANTED=sesame-sesame", TOKEN="sesame-sesame")
    assert given.code == 0, given.err


def test_secrets_come_from_the_shell_or_a_file_and_are_never_shown(coachwork: CommandLine, tmp_path: Path) -> None:
    words = "import os\nprint(len(os.environ['TOKEN']), len(os.environ['PASSWORD']))\nraise SystemExit(1)"
    files = project("a") | {"a/run.py": words}
    files["a/config.ini"] += "[secrets]\nTOKEN = aws\nPASSWORD = db\n"
    given = write(tmp_path, {"secrets": "# mine\nPASSWORD = 'hunter2hunter2'\n"}) / "secrets"
    folder = write(tmp_path / "iris", files)
    ended = coachwork.run("run", str(folder), "--secrets", str(given), "--output", "json", TOKEN="sesame-sesame")
    assert ended.code == 1
    assert "13 14" in "".join(path.read_text() for path in coachwork.home.rglob("*.log"))
    for text in ("hunter2hunter2", "sesame-sesame"):
        assert text not in ended.out + ended.err
        assert not [path for path in coachwork.home.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_variables_reach_the_stages_and_wrong_ones_are_refused(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("a") | {"a/run.py": "import os; assert os.environ['ALPHA'] == 'a=$(HOME) $b', os.environ['ALPHA']"}
    folder = str(write(tmp_path / "iris", files))
    assert coachwork.run("run", folder, "--env", "ALPHA=a=$(HOME) $b").code == 0
    ended = coachwork.run("run", folder, "--env", "ALPHA", "--env", "PORT=3", "--env", "a b=1")
    assert (ended.code, ended.out) == (2, "")
    assert all(name in ended.err for name in ("ALPHA", "PORT", "a b"))


def test_services_on_one_port_both_run_until_ctrl_c(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("one,two", services={"one": 5000, "two": 5000})
    files["one/run.py"] = SERVER.format(words="'one'", port="int(os.environ['PORT'])")
    files["two/run.py"] = SERVER.format(words="os.environ['COACHWORK_URL_ONE']", port=5000)
    running = coachwork.start("run", str(write(tmp_path / "iris", files)), "--output", "json")
    scene = json.loads(running.line(lambda line: json.loads(line)["over"]))
    assert scene["phase"] == "Ready"
    addresses = scene["services"]
    assert addresses["one"] != addresses["two"]
    assert ask(addresses["one"]) == "one"
    assert ask(ask(addresses["two"])) == "one"
    running.interrupt()
    ended = running.end()
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "stopping one, two; what does not end is killed after 10 s")
    assert coachwork.processes() == []
    assert list((coachwork.home / "scratch").iterdir()) == []


CLOSES_FIRST = """\
import os, socket
server = socket.socket()  # without SO_REUSEADDR
server.bind(('0.0.0.0', int(os.environ['PORT'])))
server.listen()
while True:
    client, _ = server.accept()
    client.recv(1000)
    client.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nhi')
    client.close()
"""


def test_a_service_gets_its_port_again_right_after_the_run_before(coachwork: CommandLine, tmp_path: Path) -> None:
    port = free_port()
    files = project("web", services={"web": port}) | {"web/run.py": CLOSES_FIRST}
    folder = str(write(tmp_path / "iris", files))
    for _ in range(2):
        running = coachwork.start("run", folder)
        running.line(lambda line: line == f"service web: http://127.0.0.1:{port}")
        assert ask(f"http://127.0.0.1:{port}") == "hi"  # whoever closes first keeps the port busy for a while
        running.interrupt()
        running.end()


def test_a_later_stage_calls_a_service_by_its_cluster_name_and_by_its_short_one(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    stages = {
        "scoring-service": {"executable_module_path": "serve.py", "service": {"port": 5000}},
        "check": {"executable_module_path": "check.py", "batch": {}},
    }
    pipeline = {"name": "iris", "DAG": "scoring-service >> check"}
    files = {
        "bodywork.yaml": json.dumps({"version": "1.1", "pipeline": pipeline, "stages": stages}),
        "serve.py": SERVER.format(words="'hello'", port=5000),
        "check.py": "import urllib.request\nfor host in ('scoring-service', 'iris--scoring-service'):\n"
        "    assert urllib.request.urlopen(f'http://{host}:5000/').read() == b'hello'\n",
    }
    ended = coachwork.run("run", str(write(tmp_path / "iris", files)), "--exit-when-ready")
    assert ended.code == 0, ended.out + ended.err


def test_a_warning_about_what_only_works_here_or_is_lost_is_shown_once(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("train >> serve", services={"serve": 5000})
    files["train/run.py"] = "open('model.pkl', 'w').close()"
    files["serve/run.py"] = SERVER.format(words="'hello'", port=5000).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    ended = coachwork.run("run", str(write(tmp_path / "iris", files)), "--exit-when-ready")
    assert ended.code == 0, ended.out + ended.err
    lost, local = [line for line in ended.err.splitlines() if line.startswith("warning: ")]
    assert lost.startswith("warning: stage train: written files are discarded")
    assert "train/model.pkl: hand files over to later stages in COACHWORK_ARTIFACTS" in lost
    start, _, rest = local.partition(" only, ")
    assert start.startswith("warning: stage serve: the script listens on 127.0.0.1:")  # 5000, unless that is taken
    assert rest == "which on a cluster nobody reaches: bind to 0.0.0.0 (host='0.0.0.0')"


def test_a_file_that_git_ignores_is_named_with_the_remedy(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("train") | {"train/run.py": "open('rows.csv')", ".gitignore": "*.csv\n", "train/rows.csv": "1"}
    folder = write(tmp_path / "iris", files)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    ended = coachwork.run("run", str(folder))
    assert ended.code == 1
    words = (
        "train/rows.csv is in your folder, but git ignores it (*.csv in line 1 of .gitignore), so that it is not part"
    )
    assert words in ended.out
    subprocess.run(["git", "add", "-f", "train/rows.csv"], cwd=folder, check=True)
    assert coachwork.run("run", str(folder)).code == 0


def test_a_second_run_has_the_next_number_and_finds_the_last_good_artifacts(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    files = project("a")
    files["a/run.py"] = (
        "import os, pathlib\n"
        "before = pathlib.Path(os.environ['COACHWORK_PREVIOUS'], 'n')\n"
        "n = int(before.read_text()) + 1 if before.exists() else 1\n"
        "pathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'n').write_text(str(n))\n"
        "assert n == int(os.environ['COACHWORK_RUN'])\n"
    )
    folder = str(write(tmp_path / "iris", files))
    for number in (1, 2, 3):
        ended = coachwork.run("run", folder)
        assert ended.out.splitlines()[-1].startswith(f"Ready: run {number}"), ended.out + ended.err


def test_parts_of_a_project_run_on_the_artifacts_of_the_last_run(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("a >> b >> c")
    for stage in "abc":
        files[f"{stage}/run.py"] = (
            "import os, pathlib\n"
            "trace = pathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'trace')\n"
            f"with trace.open('a') as file: file.write('{stage}')\n"
        )
    folder = str(write(tmp_path / "iris", files))
    for arguments, trace in (([], "abc"), (["--from", "b"], "abcbc"), (["--only", "a"], "abcbca")):
        ended = coachwork.run("run", folder, *arguments)
        assert ended.code == 0, ended.out + ended.err
        newest = max(coachwork.home.glob("runs/iris-*/*/artifacts/trace"), key=lambda path: int(path.parts[-3]))
        assert newest.read_text() == trace
    assert coachwork.run("run", folder, "--from", "nope").code == 2


def test_first_stages_are_reused_until_something_that_goes_into_them_changes(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    files = project("a >> b", reuse=True, secrets={"a": "TOKEN = aws"}) | {"README.md": "old", "params.json": "1"}
    for stage in "ab":
        files[f"{stage}/run.py"] = (
            "import os, pathlib\n"
            "trace = pathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'trace')\n"
            f"with trace.open('a') as file: file.write('{stage}')\n"
        )
    folder, same, why = write(tmp_path / "iris", files), "no input has changed since run", "not reused:"
    for edit, trace, said, *arguments in (
        ({}, "ab", ""),
        ({"README.md": "new"}, "ab", f"step 1  a: Reused: {same} 1"),
        ({"b/run.py": files["b/run.py"] + "# new"}, "abb", f"step 1  a: Reused: {same} 2"),
        ({"params.json": "2"}, "ab", f"{why} params.json has changed since run 3"),
        ({}, "ab", "", "--all"),
        ({}, "ab", f"{why} secret TOKEN has changed since run 5"),
    ):
        token = "sesame-open" if said.endswith("run 5") else "sesame-sesame"
        planned = coachwork.run("plan", str(write(folder, edit)), TOKEN=token).err
        ended = coachwork.run("run", str(folder), *arguments, TOKEN=token)
        assert ended.code == 0, ended.out + ended.err
        assert said.partition("Reused: ")[-1] in planned
        assert not said.startswith(why) or f"a run here now: stage a: {said}" in planned
        assert not why.startswith(said) or "Reused" not in ended.out
        newest = max(coachwork.home.glob("runs/iris-*/*/artifacts/trace"), key=lambda path: int(path.parts[-3]))
        shown = coachwork.run("status", "--local", "iris").out
        assert (newest.read_text(), said in ended.out + shown) == (trace, True), ended.out + shown
    assert coachwork.run("run", str(folder), "--all", "--from", "b").code == 2


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("open('../b/data.csv')", "b/data.csv is in b, which is no input of this stage"),
        ("def read():\n    import b.run\nread()", "b is in b, which is no input of this stage"),
        ("open('../../other.csv')", "other.csv is outside of the project"),
    ],
)
def test_a_stage_sees_its_inputs_alone_where_it_may_be_reused(
    coachwork: CommandLine, tmp_path: Path, script: str, said: str
) -> None:
    files = project("a >> b", reuse=True) | {"a/run.py": f"import os\n{script}\n", "b/data.csv": "1"}
    repository = write(tmp_path / "all", {f"iris/{name}": text for name, text in files.items()} | {"other.csv": "1"})
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    ended = coachwork.run("run", str(repository / "iris"))
    assert ended.code == 1
    assert said in ended.out, ended.out
    assert "with `REUSE = True` a stage sees its inputs alone" in ended.out


def test_a_run_of_a_batch_stage_ends_with_it_although_the_project_has_a_service(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    files = project("a >> web", services={"web": 8000}) | {"a/run.py": "print('done')\n"}
    files["web/run.py"] = SERVER.format(words="'hello'", port=8000)
    folder = str(write(tmp_path / "iris", files))
    assert coachwork.run("run", folder, "--exit-when-ready").code == 0
    ended = coachwork.run("run", folder, "--only", "a")
    assert ended.code == 0, ended.out + ended.err
    assert "web: Skipped" in ended.out
    assert "service web:" not in ended.out


def test_a_part_that_can_not_run_is_refused_before_anything_changes(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = write(tmp_path / "iris", project("a >> b") | {"a/run.py": "raise ValueError", "b/run.py": ""})
    assert coachwork.run("run", str(folder)).code == 1
    (record,) = coachwork.home.glob("runs/iris-*/record.yaml")
    before = record.read_bytes()
    (folder / "a" / "run.py").write_text("print('a')\n")  # what changed would be run in whole
    for wrong, said in ((("--from", "b"), "stage a of run 1 is Failed"), (("--only", "c"), 'no stage "c": choose')):
        ended = coachwork.run("run", str(folder), *wrong)
        assert ended.code == 2
        (line,) = ended.out.splitlines()  # and none of the run before
        assert line.startswith(f"Invalid: {said}")
        assert record.read_bytes() == before


def test_a_first_stage_runs_alone_without_an_earlier_run(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "iris", project("a >> b") | {"a/run.py": "print('a')\n", "b/run.py": ""}))
    ended = coachwork.run("run", folder, "--only", "b")
    assert (ended.code, ended.out) == (
        2,
        "Invalid: stage b needs what the stages before it made, and no earlier run made it: run all first",
    )
    assert coachwork.run("run", folder, "--only", "a").code == 0
    assert coachwork.run("run", folder, "--only", "b").code == 0


def test_a_python_that_can_not_run_stages_is_refused_before_anything_runs(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    folder = str(write(tmp_path / "iris", project("a") | {"a/run.py": "print('done')\n"}))
    old = write(tmp_path, {"old": "#!/bin/sh\necho 3.6.15\n"}) / "old"
    old.chmod(0o755)
    for wrong, words in (("true", "not a Python"), ("false", "not a Python"), (str(old), "is Python 3.6.15")):
        ended = coachwork.run("run", folder, "--python", wrong)
        assert (ended.code, ended.out) == (2, "")
        assert words in ended.err
        assert "Python 3.8 or later" in ended.err


def test_scripts_are_judged_by_the_python_that_was_given_for_them(coachwork: CommandLine, tmp_path: Path) -> None:
    later = {"a/run.py": "match 1:\n    case 1: print('done')\n"}  # from Python 3.10 on
    asking = {"a/config.ini": project("a")["a/config.ini"].replace("[default]", "[default]\nPYTHON = 3.8", 1)}
    folder = str(write(tmp_path / "iris", project("a") | later | asking))
    assert "3.8" in coachwork.run("validate", folder).err
    ended = coachwork.run("run", folder, "--python", sys.executable)
    assert ended.code == 0, ended.err


def test_control_characters_of_a_stage_do_not_reach_the_terminal(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("a") | {"a/run.py": "print('\\x1b[2J\\x07gone')\nraise SystemExit(3)\n"}
    ended = coachwork.run("run", str(write(tmp_path / "iris", files)))
    assert (ended.code, "\x07" in ended.out) == (1, False)
    assert "a | \\x07gone" in ended.out


def test_ctrl_c_while_the_command_still_loads_prints_no_traceback(coachwork: CommandLine, tmp_path: Path) -> None:
    coachwork.fresh = True
    write(tmp_path / "late", {"typer.py": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"})
    ended = coachwork.run("validate", str(tmp_path), PYTHONPATH=str(tmp_path / "late"))
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted")


def test_a_wait_before_the_run_is_announced_and_ctrl_c_ends_it_with_a_word(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    folder = write(tmp_path / "iris", project("a"))
    slow = write(tmp_path / "bin", {"git": "#!/bin/sh\nexec sleep 60\n"}) / "git"
    slow.chmod(0o755)
    running = coachwork.start("run", str(folder), PATH=f"{slow.parent}:{os.environ['PATH']}")
    running.error(lambda line: line == f"reading the project from {folder} ...")
    running.interrupt()
    ended = running.end()
    assert (ended.code, ended.err.splitlines()[1:]) == (130, ["interrupted"])


@pytest.mark.parametrize(
    ("given", "stuck", "onward"), [([], "b", "--from b"), (["--from=b"], "c", "--from c"), ([], "a", ""),
                                   (["--only", "b"], "b", ""), (["--all"], "b", "--from b")],
)  # fmt: skip
def test_ctrl_c_shows_the_command_that_goes_on_where_something_is_done(
    coachwork: CommandLine, tmp_path: Path, given: list[str], stuck: str, onward: str
) -> None:
    folder = str(write(tmp_path / "my iris", project("a >> b >> c")))
    if given:
        assert coachwork.run("run", folder).code == 0
    (tmp_path / "my iris" / stuck / "run.py").write_text("import time; time.sleep(60)")
    running = coachwork.start("run", folder, *given, "--env", "X=1 2")
    running.line(lambda line: f"{stuck}: Running" in line)
    running.interrupt()
    said = running.end().err.splitlines()
    shown = [line for line in said if line.startswith("go on: ")]
    assert shown == ([f"go on: coachwork run '{folder}' --env 'X=1 2' {onward}"] if onward else [])
    if onward:
        (tmp_path / "my iris" / stuck / "run.py").write_text("")
        assert coachwork.run(*shlex.split(shown[0])[3:]).code == 0


def test_a_second_run_of_one_project_at_the_same_time_is_refused(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("a") | {"a/run.py": "import time; time.sleep(60)"}
    folder = str(write(tmp_path / "iris", files))
    first = coachwork.start("run", folder)
    first.line(lambda line: "Running" in line)
    second = coachwork.run("run", folder)
    assert (second.code, "is under way" in second.err) == (2, True)
    first.interrupt()
    assert first.end().code == 130


def test_what_a_newer_version_left_here_is_reported_and_left_alone(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = str(write(tmp_path / "iris", project("a")))
    assert coachwork.run("run", folder).code == 0
    (kept,) = coachwork.home.glob("runs/*/record.yaml")
    data = {**yaml.safe_load(kept.read_text()), "version": "2"}
    del data["digest"]
    data["digest"] = digest(json.dumps(data, sort_keys=True), 64)
    kept.write_text(yaml.safe_dump(data))
    ended = coachwork.run("run", folder)
    assert ended.code == 2
    assert "newer version" in ended.err
    assert yaml.safe_load(kept.read_text()) == data


def test_interrupted_at_random_moments_it_leaves_no_process_and_nothing_half_written(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    files = project("a >> b,web", services={"web": 5000})
    files["a/run.py"] = files["b/run.py"] = "import time; time.sleep(0.3)"
    files["web/run.py"] = SERVER.format(words="'web'", port="int(os.environ['PORT'])")
    folder = str(write(tmp_path / "iris", files))
    coachwork.fresh = True  # while it loads, too
    chance = random.Random(7)  # noqa: S311 (the same moments in every run)
    for _ in range(5):
        running = coachwork.start("run", folder)
        try:
            running.process.wait(chance.uniform(0.3, 4))
        except subprocess.TimeoutExpired:
            running.process.send_signal(chance.choice((signal.SIGINT, signal.SIGTERM)))
        running.end()
        assert coachwork.processes() == []
        assert [path for path in coachwork.home.rglob(".*-*") if path.name.startswith(".") and path.is_dir()] == []
        assert not (coachwork.home / "scratch").exists() or list((coachwork.home / "scratch").iterdir()) == []
    assert coachwork.run("run", folder, "--exit-when-ready").code == 0


def test_killed_outright_it_leaves_no_process_and_the_next_run_nothing_at_all(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    files = project("serve >> wait", services={"serve": 5000})
    files["serve/run.py"] = SERVER.format(words="'here'", port=5000)
    files["wait/run.py"] = "import subprocess\nsubprocess.run(['sleep', '600'], start_new_session=True)\n"
    folder = write(tmp_path / "iris", files)
    running = coachwork.start("run", str(folder))
    running.line(lambda line: "wait: Running" in line)
    eventually(lambda: any("wait/run.py" in process for process in coachwork.processes()))
    running.process.kill()
    running.end()
    eventually(lambda: coachwork.processes() == [])
    write(folder, {"wait/run.py": "print('done')\n"})
    ended = coachwork.run("run", str(folder), "--exit-when-ready")
    assert ended.code == 0, ended.err + ended.out
    assert list((coachwork.home / "scratch").iterdir()) == []


def test_a_terminal_that_closes_ends_the_run_as_ctrl_c_does(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("a") | {"a/run.py": "import time; time.sleep(600)\n"}
    running = coachwork.start("run", str(write(tmp_path / "iris", files)))
    running.line(lambda line: "Running" in line)
    running.process.send_signal(signal.SIGHUP)
    assert running.end().code == 130
    assert coachwork.processes() == []
    assert list((coachwork.home / "scratch").iterdir()) == []


def test_plan_shows_the_objects_of_a_cluster(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("a >> web", services={"web": 5000})
    files["a/config.ini"] += "REQUIRE = rmse <= previous * 1.05\n"
    ended = coachwork.run("plan", str(write(tmp_path / "iris", files)), "--output", "json", "--name", "prod")
    objects = json.loads(ended.out)
    kinds = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert kinds == [("Job", "prod-a-1"), ("Deployment", "iris--web"), ("Service", "iris--web")]
    (container,) = objects[0]["spec"]["template"]["spec"]["containers"]
    assert json.loads(container["command"][-1])["require"] == [["rmse", "<=", None, "<= previous * 1.05"]]


def test_validate_says_what_is_there_and_strict_makes_warnings_errors(coachwork: CommandLine, tmp_path: Path) -> None:
    files = project("a >> b") | {"a/config.ini": project("a")["a/config.ini"] + "NICE = 1\n"}
    folder = str(write(tmp_path / "iris", files))
    ended = coachwork.run("validate", folder)
    assert (ended.code, ended.out) == (0, "iris at uncommitted: valid, 2 stages in 2 steps")
    assert "NICE" in ended.err
    assert coachwork.run("validate", folder, "--strict").code == 2
    assert json.loads(coachwork.run("validate", folder, "--output", "json").out)["valid"] is True


# --- what older runs left ---------------------------------------------------------------------------


def old_environment(home: Path) -> Path:
    folder = home / "environments" / "0123456789abcdef0123"
    folder.mkdir(parents=True)
    os.utime(folder, (1_000_000_000, 1_000_000_000))
    return folder


def test_what_no_run_has_used_for_a_week_goes_with_the_next_run_and_what_runs_have_left_stays(
    coachwork: CommandLine, tmp_path: Path
) -> None:
    folder = old_environment(coachwork.home)
    files = project("train") | {
        "train/run.py": "import os, pathlib\npathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'model').write_text('1')"
    }
    assert coachwork.run("run", str(write(tmp_path / "iris", files))).code == 0
    assert not folder.exists()
    for place in (coachwork.home / "runs").rglob("*"):
        os.utime(place, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    other = project("train", name="other") | {"train/run.py": ""}
    assert coachwork.run("run", str(write(tmp_path / "other", other))).code == 0
    assert len(list(coachwork.home.glob("runs/iris-*/1/artifacts/model"))) == 1


def test_nothing_goes_while_another_project_runs(coachwork: CommandLine, tmp_path: Path) -> None:
    folder = old_environment(coachwork.home)
    lock = coachwork.home / "runs" / "other-00000000-0000-4000-8000-000000000000" / ".lock"
    lock.parent.mkdir(parents=True)
    files = project("train") | {"train/run.py": ""}
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert coachwork.run("run", str(write(tmp_path / "iris", files))).code == 0
    assert folder.exists()
