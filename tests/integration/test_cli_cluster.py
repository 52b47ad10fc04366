"""The commands that talk to a cluster: the real controller on this machine's cluster, reached over HTTP."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from controller.core import names, times
from tests.support.cli import CommandLine, Ended, Running
from tests.support.eventually import eventually
from tests.support.front import Front, config, front, status
from tests.support.gitserver import Repository, serving
from tests.support.laptop import batch, laptop, project, service
from tests.support.slowindex import half

SAVE = """
import os, pathlib
folder = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"], "models")
folder.mkdir(exist_ok=True)
(folder / "iris.txt").write_text("trained with " + os.environ.get("ALPHA", "nothing"))
print("trained")
"""
WAIT = """
import os, pathlib, time
while not pathlib.Path(os.environ["COACHWORK_CACHE"], "go-on").exists():
    time.sleep(0.02)
print("waited")
"""
SERVE = """
import http.server, os
http.server.HTTPServer(("", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
EVIL = """
print("\\x1b]0;owned\\x07\\x1b[31mred")
raise ValueError("\\x1b[2Jno rows")
"""


class Person:
    """A person with a kubeconfig, a shell, and a repository."""

    def __init__(self, there: Front, home: Path) -> None:
        self.there, self.machine = there, there.machine
        self.shell = CommandLine(home)

    def start(self, command: str, *arguments: str) -> Running:
        return self.shell.start(command, *arguments, "--kubeconfig", str(self.there.kubeconfig))

    def run(self, command: str, *arguments: str) -> Ended:
        return self.start(command, *arguments).end()

    def deploy(self, *arguments: str) -> Ended:
        return self.run("deploy", f"file://{self.machine.repository.folder}", "--name", "demo", *arguments)

    def complete(self, words: str, **variables: str) -> list[str]:
        """Return how bash would complete the last of the words."""
        count = str(len(words.split(" ")))
        asked = {"_COACHWORK_COMPLETE": "complete_bash", "COMP_WORDS": f"coachwork {words}", "COMP_CWORD": count}
        ended = self.shell.run(**{"KUBECONFIG": str(self.there.kubeconfig), **asked, **variables})
        assert (ended.code, ended.err) == (0, ""), ended
        return ended.out.split()

    def json(self, command: str, *arguments: str) -> Any:
        ended = self.run(command, *arguments, "--output", "json")
        assert ended.code == 0, ended
        return json.loads(ended.out)

    def go_on(self) -> None:
        """Let WAIT come to its end."""
        (cache,) = eventually(lambda: list(self.machine.volume.glob("runs/demo-*/cache")))
        (cache / "go-on").touch()


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with laptop(tmp_path) as machine, front(machine, tmp_path) as there:
        yield Person(there, tmp_path / "home")


def test_a_deploy_makes_the_request_and_follows_its_run_to_the_end(person: Person) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    ended = person.deploy("--env", "ALPHA=0.1", "--keep-runs", "3")
    assert ended.code == 0, ended
    assert "save: Done" in ended.out
    assert re.fullmatch(r"Ready: run 1 at [0-9a-f]{7}", ended.out.splitlines()[-1])
    assert person.machine.artifact("models/iris.txt") == "trained with 0.1"
    request = person.machine.cluster.get("ConfigMap", "demo")
    assert request
    assert (request["data"]["keep-runs"], request["data"]["env.ALPHA"]) == ("3", "0.1")
    commit = person.machine.repository.commit(project("save", save=batch(SAVE + "print('again')")))
    ended = person.deploy()  # the same again runs the newest commit
    assert ended.out.splitlines()[-1] == f"Ready: run 2 at {commit[:7]}"


def test_who_follows_a_run_sees_how_far_its_packages_are(person: Person, tmp_path: Path) -> None:
    with half(tmp_path / "half") as (index, go):
        needs = f"--index-url http://{index}\nplume\n"
        stage = batch("import plume") | {"requirements.txt": needs}
        person.machine.repository.commit(project("train", train=stage))
        following = person.start("deploy", f"file://{person.machine.repository.folder}", "--name", "demo")
        following.line(lambda line: line == "environment: downloading 1 package")
        go.set()
        assert following.end().code == 0


def test_a_failed_run_is_shown_with_its_last_words_which_can_do_no_harm(person: Person) -> None:
    person.machine.repository.commit(project("train", train=batch(EVIL)))
    ended = person.deploy()
    assert ended.code == 1
    assert "train/run.py:3: exited with code 1: ValueError:" in ended.out
    assert "the last lines of stage train:" in ended.err
    for shown in (ended, person.run("status", "demo"), person.run("runs", "demo")):
        assert "\x1b" not in shown.out + shown.err
    assert "\x1b[31mred" in person.run("logs", "demo", "train").out, "no terminal: the very bytes"


def test_all_problems_of_a_request_are_shown_before_anything_is_written(person: Person) -> None:
    ended = person.run("deploy", "ftp://example.com/x", "--name", "demo", "--keep-runs", "many", "--schedule", "now")
    assert ended.code == 2
    assert [line.split(":")[0] for line in ended.err.splitlines()] == [
        "repository",
        "schedule",
        "keep-runs",
        "3 problems",
    ]
    assert person.there.calls == []


def test_an_invalid_project_ends_with_2_and_all_its_problems(person: Person) -> None:
    person.machine.repository.commit(
        project("a,b", a=batch("", more="RETRIES = x\n"), b=batch("", more="X = 1\nRETRIES = y\n"))
    )
    ended = person.deploy()
    assert ended.code == 2
    assert "a/config.ini" in ended.err
    assert "b/config.ini" in ended.err


def test_a_configmap_that_is_not_a_request_is_never_touched(person: Person) -> None:
    metadata = {"name": "demo", "labels": {}}
    person.machine.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}})
    ended = person.deploy("--no-wait")
    assert (ended.code, "is not a request" in ended.err) == (2, True)
    assert person.run("delete", "demo", "--yes").code == 3
    kept = person.machine.cluster.get("ConfigMap", "demo")
    assert kept
    assert kept["data"] == {"a": "b"}


def test_a_trigger_runs_once_however_often_its_id_is_given(person: Person) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    for _ in range(2):
        ended = person.run("trigger", "demo", "--id", "slot-7", "--wait")
        assert (ended.code, ended.out.splitlines()[-1][:12]) == (0, "Ready: run 2")
    assert person.run("trigger", "demo", "--id", "slot-7").out.startswith("trigger slot-7 of demo was given before")
    assert person.machine.status()["run"] == "2"


def test_a_trigger_ends_with_the_outcome_of_its_own_run_and_not_of_the_last(person: Person) -> None:
    person.machine.repository.commit(project("train", train=batch("raise SystemExit(3)")))
    assert person.run("deploy", f"file://{person.machine.repository.folder}", "--name", "demo").code == 1
    person.machine.repository.commit(project("train", train=batch("")))
    assert person.run("trigger", "demo", "--id", "good", "--wait").code == 0
    person.machine.repository.commit(project("train", train=batch("raise SystemExit(3)")))
    assert person.run("trigger", "demo", "--id", "bad", "--wait").code == 1
    assert person.run("trigger", "demo", "--id", "good", "--wait").code == 0


def test_parameters_of_a_trigger_reach_the_stages_of_its_run_alone(person: Person) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    assert person.run("trigger", "demo", "--set", "ALPHA=0.5", "--set", "NAME=ü x", "--wait").code == 0
    assert person.machine.artifact("models/iris.txt") == "trained with 0.5"
    assert person.run("trigger", "demo", "--wait").code == 0
    assert person.machine.artifact("models/iris.txt") == "trained with nothing"


def test_a_trigger_may_ask_for_all_stages_of_a_project_that_reuses_some(person: Person) -> None:
    files = project("save", save=batch(SAVE))
    files["bodywork.ini"] += "REUSE = True\n"
    person.machine.repository.commit(files)
    assert person.deploy().code == 0
    for arguments, state in ((), "Reused"), (("--all",), "Done"):
        assert person.run("trigger", "demo", "--wait", *arguments).code == 0
        (row,) = (line.split()[:2] for line in person.run("status", "demo").out.splitlines() if line[:5] == "save ")
        assert row == ["save", state]


def test_a_wait_that_times_out_says_so_and_the_run_goes_on_until_it_is_cancelled(person: Person) -> None:
    person.machine.repository.commit(project("wait", wait=batch(WAIT)))
    ended = person.deploy("--timeout", "1s")
    assert (ended.code, "timed out" in ended.err) == (124, True)
    following = person.start("trigger", "demo", "--id", "next", "--wait")
    queued = following.line(lambda line: line.startswith("queued behind run 1: run 1, step 1: wait"))
    assert re.search(r"\(coachwork cancel demo .* ends that run\)$", queued)
    following.interrupt()
    stopped = following.end()
    where = f"--kubeconfig {person.there.kubeconfig}"
    assert (stopped.code, stopped.err.splitlines()) == (
        130,
        [
            "interrupted: the run goes on",
            f"follow it again: coachwork trigger demo --id next --wait {where}",
            f"end it: coachwork cancel demo {where}",
        ],
    )
    assert person.run("cancel", "demo", "--run", "7").code == 3
    cancelled = person.run("cancel", "demo")
    assert (cancelled.code, cancelled.out.splitlines()) == (
        0,
        [
            "run 1 of demo is being cancelled; services go back to the last good release",
            "trigger next, which is queued behind it, runs next",
            f"see it end: coachwork watch demo {where}",
        ],
    )
    eventually(lambda: person.machine.status()["run"] == "2", 30)
    assert person.run("cancel", "demo").code == 0
    assert person.run("trigger", "demo", "--id", "next", "--wait").code == 5
    assert person.run("cancel", "demo").code == 3, "nothing runs"


def test_a_run_is_watched_to_its_end_whoever_started_it(person: Person) -> None:
    metadata = {"name": "demo", "labels": {names.ROLE: names.ROLE_REQUEST}}
    keys = {"repository": f"file://{person.machine.repository.folder}", "run-on-create": "false"}
    person.machine.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": keys})
    eventually(lambda: person.machine.status().get("reason") == "WaitingForTrigger")
    nothing = person.run("watch", "demo")
    assert (nothing.code, "trigger demo --kubeconfig" in nothing.err.replace(" --wait", "")) == (3, True)
    person.machine.repository.commit(project("wait", wait=batch(WAIT)))
    coming = person.start("watch", "demo", "--next")
    person.machine.trigger("somebody")
    coming.line(lambda line: line == "wait: Running")
    active = person.start("watch", "demo", "--output", "json")
    active.line(lambda line: '"Running"' in line)
    assert person.run("watch", "demo", "--timeout", "1s").code == 124
    person.go_on()
    ended = coming.end()
    assert (ended.code, ended.out.splitlines()[-1][:12]) == (0, "Ready: run 1")
    assert [scene["run"] for scene in active.end().scenes() if scene["over"]] == [1]
    person.machine.repository.commit(project("wait", wait=batch("raise ValueError('no rows')")))
    person.machine.trigger("again")
    for _ in range(2):  # while it runs, or when it is over
        ended = person.run("watch", "demo")
        assert (ended.code, (ended.out + ended.err).count("exited with code 1: ValueError: no rows")) == (1, 1)
    person.machine.repository.commit({"bodywork.ini": "[default]\n"})
    person.machine.trigger("wrong")
    assert person.run("watch", "demo").code == 2
    assert person.run("watch", "demo").code == 2


def test_a_run_that_serves_ends_with_its_addresses_and_the_next_command(person: Person) -> None:
    person.machine.repository.commit(project("web", web=service(SERVE, 5000)))
    ended = person.deploy()
    where = f"--kubeconfig {person.there.kubeconfig}"
    assert ended.out.splitlines()[-2:][0].startswith("web: Done")
    assert ended.err.splitlines() == [
        "service web: http://demo--web.laptop:5000 in the cluster",
        f"  from this machine: kubectl -n laptop {where} port-forward service/demo--web 5000",
        f"what it printed: coachwork logs demo {where}",
    ]
    assert person.run("watch", "demo", "--output", "json").scenes()[-1]["services"] == {
        "web": "http://demo--web.laptop:5000"
    }
    person.machine.repository.commit(project("web", web=batch("raise ValueError")))
    failed = person.run("trigger", "demo", "--wait")
    assert failed.err.splitlines()[-2:] == [
        f"all of them: coachwork logs demo web --run 2 {where}",
        f"what has changed since run 1, which still serves: coachwork diff demo {where}",
    ]


def test_deploy_in_a_clone_runs_what_is_pushed_and_says_what_is_not(person: Person, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as server:
        remote = server.repository("iris")
        pushed = remote.commit(project("save", save=batch(SAVE)))
        clone = Repository(tmp_path / "clone")
        remote.git("clone", "--quiet", str(remote.folder), str(clone.folder))
        clone.git("remote", "set-url", "origin", server.url("iris").replace("://", "://ada:t0ken@"))
        clone.commit({"save/run.py": "raise SystemExit(3)"})
        (clone.folder / "more.txt").touch()
        ended = person.run("deploy", str(clone.folder))
        assert (ended.code, ended.out.splitlines()[-1]) == (0, f"Ready: run 1 at {pushed[:7]}")
        said = ended.err.splitlines()
        assert said[0] == f"deploying {server.url('iris')}, main, as request iris"
        assert [line.split(":")[0] for line in said[1:4]] == ["warning"] * 3
        assert "t0ken" not in ended.err
        request = person.machine.cluster.get("ConfigMap", "iris")
        assert request
        assert (request["data"]["repository"], request["data"]["ref"]) == (server.url("iris"), "main")
        other = person.run("deploy", server.url("models/iris"), "--no-wait")
        assert (other.code, "request iris deploys" in other.err, "--name iris" in other.err) == (2, True, True)


def test_a_rerun_runs_what_that_run_ran(person: Person) -> None:
    old = person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    person.machine.repository.commit(project("save", save=batch("raise SystemExit(1)")))
    assert person.run("trigger", "demo", "--wait").code == 1
    ended = person.run("rerun", "demo", "--run", "good", "--wait")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, f"Ready: run 3 at {old[:7]}")
    assert person.run("rerun", "demo", "--run", "9").code == 3
    assert person.run("rerun", "demo", "--run", "0").code == 3
    assert person.run("rerun", "demo", "--run", "worst").code == 2


def test_what_can_not_be_repeated_is_refused_before_anything_changes(person: Person) -> None:
    person.machine.repository.commit(project("save >> more", save=batch(SAVE), more=batch("")))
    assert person.deploy("--keep-runs", "1").code == 0
    assert person.deploy("--keep-runs", "1").code == 0
    before = person.machine.cluster.get("ConfigMap", "demo")
    gone = person.run("rerun", "demo", "--run", "1")
    assert (gone.code, gone.out) == (3, "")
    assert "run 1 of demo is no longer kept (keep-runs); kept are 2" in gone.err
    for stage in ("mor", "save more", "environment"):
        unknown = person.run("rerun", "demo", "--from", stage)
        assert (unknown.code, unknown.out) == (2, "")
        assert f'--from: run 2 has no stage "{stage}"' in unknown.err
    wrong = person.run("trigger", "demo", "--set", "PATH=/", "--set", "1A=x")
    assert (wrong.code, len(wrong.err.splitlines())) == (2, 3)
    assert person.machine.cluster.get("ConfigMap", "demo") == before


def test_waiting_for_a_trigger_that_is_refused_says_why_and_nothing_else_has_changed(person: Person) -> None:
    person.machine.repository.commit(project("save >> more", save=batch("raise ValueError"), more=batch("")))
    assert person.deploy().code == 1
    person.machine.repository.commit(project("save >> more", save=batch(SAVE), more=batch("")))
    assert person.deploy().code == 0
    refused = person.run("rerun", "demo", "--run", "1", "--from", "more", "--wait")
    assert refused.code == 2
    assert refused.out.splitlines()[-1].startswith("Invalid: stage save of run 1 is Failed")
    shown = person.json("status", "demo")
    assert (shown["phase"], shown["run"], shown["release"]["run"]) == ("Ready", 2, 2)
    assert "was refused: stage save of run 1 is Failed" in shown["message"]
    assert person.json("runs", "demo")[0]["outcome"] == "Refused"


def test_status_and_runs_show_what_is_and_what_was(person: Person) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    failed = person.run("deploy", "file:///nowhere", "--name", "next", "--schedule", "@daily", "--no-run")
    assert failed.code == 0
    eventually(lambda: person.machine.status("next").get("phase") == "Pending")
    lines = [line.split() for line in person.run("status").out.splitlines()[1:]]
    assert [line[:2] for line in lines] == [["demo", "Ready"], ["next", "Pending"]]
    assert lines[1][2] == "in"  # so long until the next slot
    assert [one["request"] for one in person.json("status", "--phase", "Pending", "--phase", "Failed")] == ["next"]
    wrong = person.run("status", "--phase", "Faild")
    assert (wrong.code, wrong.err) == (2, '--phase: unknown phase "Faild": did you mean Failed?')
    output = person.run("status", "demo").out
    assert "phase:" in output
    assert re.search(r"save +Done", output)
    shown = person.json("status", "demo")
    assert (shown["request"], shown["phase"], shown["stages"]["save"]["state"]) == ("demo", "Ready", "Done")
    (run,) = person.json("runs", "demo")
    assert (run["run"], run["outcome"]) == (1, "Succeeded")


def test_logs_are_followed_while_they_grow_and_read_when_all_is_over(person: Person) -> None:
    person.machine.repository.commit(project("save >> wait", save=batch(SAVE), wait=batch(WAIT)))
    assert person.deploy("--no-wait").code == 0
    eventually(lambda: person.machine.status().get("stage.wait") == "Running", 30)
    following = person.start("logs", "demo", "--follow")
    following.line(lambda line: line == "save: trained")
    person.go_on()
    ended = following.end()
    assert (ended.code, "wait: waited" in ended.out) == (0, True)
    assert "trained" in person.run("logs", "demo", "save").out.splitlines()
    both = [line for line in person.run("logs", "demo").out.splitlines() if not line.startswith("coachwork: ")]
    assert both == ["==> save, attempt 1 <==", "trained", "", "==> wait, attempt 1 <==", "waited"]
    (entry,) = person.json("logs", "demo", "wait", "--tail", "1")
    assert (entry["stage"], entry["attempt"], entry["text"].splitlines()[0]) == ("wait", 1, "waited")
    lines = person.run("logs", "demo", "--follow", "--output", "json").scenes()
    assert {"stage": "save", "line": "trained"} in lines
    assert {"stage": "wait", "line": "waited"} in lines
    ended = person.run("logs", "demo", "sav")
    assert (ended.code, "save" in ended.err) == (3, True)


def test_the_log_of_a_stage_that_the_newest_run_passed_over_is_that_of_the_run_that_ran_it(person: Person) -> None:
    person.machine.repository.commit(project("save >> more", save=batch(SAVE), more=batch("print('more')")))
    assert person.deploy().code == 0
    assert person.run("rerun", "demo", "--from", "more", "--wait").code == 0
    ended = person.run("logs", "demo", "save", "--tail", "1")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "trained")
    assert ended.err == "note: save did not run in run 2 (Reused): this is its log of run 1"
    every = person.run("logs", "demo")
    assert [line for line in every.out.splitlines() if line.startswith("==>")] == [
        "==> save, attempt 1 <==", "==> more, attempt 1 <==",
    ]  # fmt: skip
    assert "of run 1" in every.err
    missing = person.run("logs", "demo", "save", "--run", "2")
    assert missing.code == 3
    assert missing.err.startswith('stage "save" has not started in run 2: it is Reused')


MANY = "import os\nindex = os.environ['COACHWORK_INDEX']\nprint('part', index)\nassert index != '7'\n"


def test_of_many_indexes_those_that_failed_are_shown_and_all_of_them_by_their_stage(person: Person) -> None:
    person.machine.repository.commit(project("many", many=batch(MANY, more="PARALLEL = 12\n")))
    failed = person.deploy()
    assert (failed.code, "stage many: index 7: many/run.py:4: " in failed.out) == (1, True), failed.out
    few = person.run("logs", "demo")
    assert [line for line in few.out.splitlines() if line.startswith("==>")] == ["==> many:7, attempt 1 <=="]
    assert few.err == "note: 11 of 12 indexes of many are left out: name the stage"
    every = person.run("logs", "demo", "many", "--tail", "1").out.splitlines()
    titles = [f"==> many:{index}, attempt 1 <==" for index in range(12)]
    assert [line for line in every if line.startswith("==>")] == titles
    followed = person.run("logs", "demo", "many", "--follow")  # more than the controller has room for at once
    assert followed.err == ""
    assert {f"many:{index}: part {index}" for index in range(12)} <= {*followed.out.splitlines()}
    (entry,) = person.json("logs", "demo", "many:7")
    assert (entry["stage"], entry["exit_code"]) == ("many:7", 1)


def test_artifacts_are_listed_and_fetched_one_or_all(person: Person, tmp_path: Path) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    assert "models/iris.txt" in person.run("artifacts", "demo").out
    target = tmp_path / "fetched"
    assert person.run("artifacts", "demo", "--to", str(target)).code == 0
    assert (target / "models" / "iris.txt").read_text() == "trained with nothing"
    assert person.run("artifacts", "demo", "models/iris.txt", "--to", str(target / "one")).code == 0
    assert (target / "one" / "iris.txt").read_text() == "trained with nothing"
    assert person.run("artifacts", "demo", "models", "--to", str(target / "folder")).code == 0
    assert (target / "folder" / "iris.txt").exists()
    ended = person.run("artifacts", "demo", "models/iris.tx")
    assert (ended.code, "models/iris.txt" in ended.err) == (3, True)


def test_a_diff_shows_what_changed_since_the_model_was_good(person: Person) -> None:
    old = person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy("--env", "ALPHA=0.1").code == 0
    new = person.machine.repository.commit(project("save", save=batch("raise SystemExit(4)")))
    assert person.deploy("--env", "ALPHA=0.2").code == 1
    output = person.run("diff", "demo").out
    assert re.search(rf"^commit +{old} +{new}", output, re.MULTILINE)
    assert re.search(r"^variable ALPHA +0.1 +0.2", output, re.MULTILINE)
    assert re.search(r"^save +Done .*Failed ExitCode", output, re.MULTILINE)
    found = person.json("diff", "demo", "1", "2")
    assert (found["from"]["outcome"], found["to"]["outcome"]) == ("Succeeded", "Failed")
    assert {"kind": "commit", "name": "", "before": old, "after": new, "stages": []} in found["changes"]


def test_the_numbers_of_a_run_are_shown_next_to_those_of_the_last_good_one(person: Person) -> None:
    write = (
        "import json, os\nopen(os.environ['COACHWORK_METRICS'], 'w').write(json.dumps({'accuracy': %s, 'rows': 1200}))"
    )
    gated = "REQUIRE = accuracy >= previous\n"
    person.machine.repository.commit(project("train", train=batch(write % 0.9375, more=gated)))
    ended = person.deploy()
    assert re.search(r"^train: Done \S+ s accuracy 0.9375, rows 1200$", ended.out, re.MULTILINE), ended
    output = person.run("status", "demo").out
    assert re.search(r"^stage +number +value\ntrain +accuracy +0.9375\ntrain +rows +1200", output, re.MULTILINE)
    person.machine.repository.commit(project("train", train=batch(write % 0.87, more=gated)))
    ended = person.deploy()
    assert ended.code == 1
    assert "train: accuracy is 0.87, REQUIRE wants >= previous, which is 0.9375" in ended.out
    output = person.run("status", "demo").out
    assert re.search(r"^stage +number +value +last good run\ntrain +accuracy +0.87 +0.9375", output, re.MULTILINE)
    shown = person.json("status", "demo")
    assert shown["stages"]["train"]["metrics"] == {"accuracy": 0.87, "rows": 1200}
    assert shown["release"]["numbers"] == {"train": {"accuracy": 0.9375, "rows": 1200}}
    lines = person.run("runs", "demo").out.splitlines()
    found = [re.search(r"accuracy (\S+), rows 1200", line) for line in lines[1:]]
    assert [it and it[1] for it in found] == ["0.87", "0.9375"], lines
    assert [run["metrics"]["train"]["accuracy"] for run in person.json("runs", "demo")] == [0.87, 0.9375]
    assert re.search(r"^number accuracy +0.9375 +0.87 +train$", person.run("diff", "demo").out, re.MULTILINE)
    assert "number rows" not in person.run("diff", "demo").out


def test_a_schedule_is_set_shown_and_taken_away(person: Person) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    said = person.run("schedule", "demo", "0 6 * * 1-5", "--time-zone", "Europe/Paris")
    assert said.code == 0
    assert re.search(r"^demo runs at .*, next \d{4}-\d\d-\d\d 06:00 CES?T \(in ", said.out)
    assert re.search(r"^next: +\d{4}-\d\d-\d\d 06:00 CES?T \(in ", person.run("status", "demo").out, re.MULTILINE)
    wrong = person.run("schedule", "demo", "0 25 * * *", "--time-zone", "Europe/Pari")
    assert wrong.code == 2
    assert [line.split(":")[0] for line in wrong.err.splitlines()[:2]] == ["schedule", "time-zone"]
    assert person.run("schedule", "demo", " ").code == 2
    assert person.run("unschedule", "demo").code == 0
    request = person.machine.cluster.get("ConfigMap", "demo")
    assert request
    assert not {"schedule", "time-zone"} & request["data"].keys()


def test_a_delete_says_what_goes_and_takes_no_silence_for_a_yes(person: Person) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    ended = person.run("delete", "demo")
    assert (ended.code, "--yes" in ended.err) == (2, True)
    assert "the history of 1 run, with logs, artifacts and cache" in ended.err
    assert person.run("delete", "demo", "--yes").code == 0
    assert person.machine.cluster.get("ConfigMap", "demo") is None
    assert person.run("status", "demo").code == 3


def test_a_delete_names_what_serves_though_the_last_run_has_no_such_stage_and_takes_several_names(
    person: Person,
) -> None:
    person.machine.repository.commit(project("serve", serve=service(SERVE, 5000)))
    assert person.deploy().code == 0
    assert re.search(r"^service serve: +http://demo--serve.laptop:", person.run("status", "demo").out, re.MULTILINE)
    assert person.json("status", "demo")["services"]["serve"].startswith("http://demo--serve.laptop:")
    person.machine.repository.commit(project("save", save=batch("raise SystemExit(1)")))
    assert person.run("trigger", "demo", "--wait").code == 1
    assert person.run("deploy", "file:///nowhere", "--name", "next", "--no-run").code == 0
    missing = person.run("delete", "demo", "nxt", "--yes")
    assert (missing.code, missing.err) == (3, 'no request "nxt" in namespace laptop: did you mean next?')
    assert "NAME: " in person.run("delete", "demo", "No_Name", "--yes").err
    ended = person.run("delete", "demo", "next", "--yes")
    lines = ended.out.splitlines()
    assert {"  Deployment/demo--serve, which may be in use", "  Service/demo--serve, which may be in use"} <= {*lines}
    assert lines[-2:] == ["demo: deleted", "next: deleted"]


COMMANDS = ("status", "runs", "logs", "artifacts", "diff", "trigger", "rerun", "cancel", "unschedule", "delete")


def test_a_mistyped_name_is_answered_with_the_nearest(person: Person) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    words = 'no request "demmo" in namespace laptop: did you mean demo?'
    for command in COMMANDS:
        ended = person.run(command, "demmo")
        assert (ended.code, ended.err) == (3, words), command
    ended = person.run("status", "demmo", "--output", "json")
    answer = json.loads(ended.out)
    assert (ended.code, answer["reason"], answer["problems"]) == (3, "NotFound", [words])


def test_options_that_say_where_come_before_or_after_the_command_and_the_later_one_counts(person: Person) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    where = ["--kubeconfig", str(person.there.kubeconfig)]
    for arguments in (
        [*where, "-n", "laptop", "status", "demo"],
        ["-n", "elsewhere", "status", "demo", "-n", "laptop", *where],
    ):
        ended = person.shell.run(*arguments)
        assert (ended.code, ended.out.split()[:2]) == (0, ["request:", "demo"]), ended
    assert "No such option: --namespace" in person.shell.run("-n", "laptop", "validate", ".").err


def test_the_shell_completes_names_of_requests_stages_and_runs(person: Person) -> None:
    person.machine.repository.commit(project("save >> more", save=batch(SAVE), more=batch("")))
    assert person.deploy().code == 0
    for words, completed in (
        ("status d", ["demo"]),
        ("logs demo ", ["more", "save"]),
        ("logs demo sa", ["save"]),
        ("rerun demo --from m", ["more"]),
        ("artifacts demo --run ", ["1", "good", "latest"]),
        ("diff demo latest g", ["good"]),
        ("-n laptop delete de", ["demo"]),
        ("-n laptop status x", []),
    ):
        assert sorted(person.complete(words)) == completed, words


def test_a_completion_says_nothing_where_no_cluster_answers(person: Person) -> None:
    person.there.refusing = forbidden()
    assert person.complete("status d") == []
    assert person.complete("status d", KUBECONFIG="/nowhere") == []


def test_the_versions_of_the_command_and_of_the_controller_are_shown_where_it_answers(person: Person) -> None:
    ours = metadata.version("coachwork")
    assert person.json("version") == {"command": ours, "controller": ours}
    person.there.installed = False
    ended = person.run("version")
    assert (ended.code, ended.out.split()) == (0, ["command", ours, "controller", "unknown"])
    assert "no controller in namespace laptop" in ended.err


def forbidden(user: str = "alice") -> tuple[int, dict[str, object]]:
    return 403, status(403, "Forbidden", f'configmaps is forbidden: User "{user}" cannot list resource')


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (forbidden(), 4, "no right to get configmaps in namespace laptop"),
        (forbidden("\x1b[2J"), 4, "coachwork-user"),
        ((401, {}), 4, "may have expired"),
        ((404, status(404, "NotFound", "x", kind="namespaces")), 3, "the namespace does not exist"),
        ((503, {}), 4, "HTTP 503"),
        ((500, status(500, "InternalError", "\x1b[2J")), 4, "HTTP 500"),
    ],
)
def test_what_the_cluster_refuses_is_one_line_with_the_remedy(
    person: Person, answer: tuple[int, dict[str, object]], code: int, words: str
) -> None:
    person.there.refusing = answer
    ended = person.run("status", "demo")
    assert ended.code == code, ended
    assert words in ended.err
    assert len(ended.err.splitlines()) == 1
    assert "\x1b" not in ended.err


def test_where_no_controller_is_installed_it_is_said(person: Person) -> None:
    person.there.installed = False
    for command in (["status"], ["status", "demo"], ["logs", "demo"], ["trigger", "demo", "--wait"]):
        ended = person.run(*command)
        assert (ended.code, "no controller in namespace laptop" in ended.err) == (4, True), command
    assert person.deploy().code == 4
    assert person.machine.cluster.get("ConfigMap", "demo") is None, "nobody would run it"
    ended = person.run("doctor")
    assert (ended.code, "wrong controller: no controller in namespace" in ended.out) == (1, True)


def deployment(replicas: int, ready: int, since: str) -> dict[str, Any]:
    condition = {"type": "Available", "status": "False", "lastTransitionTime": since}
    return {"spec": {"replicas": replicas}, "status": {"readyReplicas": ready, "conditions": [condition]}}


LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("stands", "words"),
    [
        (
            deployment(0, 0, LONG_AGO),
            "has 0 of 0 pods ready): kubectl -n laptop scale deployment/coachwork --replicas=1",
        ),
        (deployment(1, 0, LONG_AGO), "has 0 of 1 pods ready): kubectl -n laptop describe pods -l app.kubernetes.io"),
    ],
)
def test_a_controller_that_does_not_run_is_said_at_once(person: Person, stands: dict[str, Any], words: str) -> None:
    data = {"repository": "https://example.com/x"}
    metadata = {"name": "demo", "labels": {names.ROLE: names.ROLE_REQUEST}}
    person.machine.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    person.there.deployment = stands
    for command in (["logs", "demo"], ["diff", "demo", "1", "1"], ["trigger", "demo", "--wait"], ["artifacts", "demo"]):
        ended = person.run(*command)
        assert (ended.code in {3, 4}, "waiting" in ended.err) == (True, False), ended
    ended = person.run("logs", "demo")
    assert (ended.code, words in ended.err, len(ended.err.splitlines())) == (4, True, 1), ended
    follows = "; what follows is the record, last written "
    nothing = "; nothing starts before it runs"
    for command, end in ((["status"], follows), (["status", "demo"], follows), (["trigger", "demo"], nothing)):
        shown = person.run(*command)
        assert (shown.code, "demo" in shown.out) == (0, True)
        assert shown.err.startswith("warning: the controller in namespace laptop is not running (Deployment coachwork ")
        assert end in shown.err


def test_a_controller_that_is_being_replaced_is_waited_for_in_plain_words(person: Person) -> None:
    person.machine.repository.commit(project("save", save=batch(SAVE)))
    assert person.deploy().code == 0
    person.there.deployment = deployment(1, 0, times.text(datetime.now(UTC)))
    reading = person.start("logs", "demo", "save")
    reading.error(lambda line: line.endswith("; waiting for it, 20 s at most"))
    person.there.deployment = {}
    assert "trained" in reading.end().out.splitlines()


def test_a_cluster_that_swallows_calls_is_named_while_it_is_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (tmp_path / "silent").write_text(json.dumps(config(address)))
        asking = CommandLine(tmp_path / "home").start("status", "--kubeconfig", str(tmp_path / "silent"))
        asking.error(lambda line: line == f"waiting for an answer from {address}, 30 s at most")
    ended = asking.end()
    assert (ended.code, len(ended.err.splitlines())) == (4, 2), ended
    assert f"{address}: API server: " in ended.err.splitlines()[1]


def test_a_cluster_that_can_t_be_found_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    shell = CommandLine(tmp_path / "home")
    (tmp_path / "gone").write_text(json.dumps(config("http://127.0.0.1:1")))
    (tmp_path / "broken").write_text("a: [")
    for arguments, words in (
        (["--kubeconfig", str(tmp_path / "none")], "no such kubeconfig"),
        (["--kubeconfig", str(tmp_path / "broken")], "name a working kubeconfig"),
        (["--kubeconfig", str(tmp_path / "gone"), "--context", "is"], "choose from it"),
        (["--kubeconfig", str(tmp_path / "gone")], "http://127.0.0.1:1: API server: connection refused"),
    ):
        ended = shell.run("status", *arguments, KUBECONFIG="")
        assert ended.code == 4, ended
        assert words in ended.err
        assert len(ended.err.splitlines()) == 1


def test_an_output_that_nobody_reads_to_its_end_is_not_an_error(person: Person) -> None:
    for number in range(3):
        data = {"repository": "https://example.com/x", "run-on-create": "false"}
        metadata = {"name": f"r{number}", "labels": {names.ROLE: names.ROLE_REQUEST}}
        person.machine.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    command = [sys.executable, "-m", "controller", "status", "--kubeconfig", str(person.there.kubeconfig)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


# --- doctor -----------------------------------------------------------------------------------------

WELL = {"check": "volume", "state": "ok", "message": "fine", "remedy": ""}
ILL = {"check": "rights", "state": "wrong", "message": "may not \x1b[31mcreate jobs", "remedy": "apply the Role"}


def test_the_doctor_shows_what_the_controller_found_and_what_the_person_may_do(person: Person) -> None:
    person.there.examination = {"version": metadata.version("coachwork"), "findings": [WELL]}
    ended = person.run("doctor")
    assert ended.code == 0, ended
    assert [line.split()[:2] for line in ended.out.splitlines()] == [
        ["ok", "your"], ["ok", "controller:"], ["ok", "version:"], ["ok", "volume:"],
    ]  # fmt: skip


def test_the_doctor_ends_with_1_for_the_installation_and_2_where_only_a_request_is_wrong(person: Person) -> None:
    person.there.examination = {"version": "0.0.1", "findings": [WELL, ILL]}
    person.there.forbidden = frozenset({"delete"})
    ended = person.run("doctor")
    assert ended.code == 1
    assert "wrong rights: may not create jobs\n      apply the Role" in ended.out
    assert "note  your rights: may not delete configmaps" in ended.out
    assert "note  version: the controller is 0.0.1" in ended.out
    output = json.loads(person.run("doctor", "--output", "json").out)
    assert (output["healthy"], len(output["findings"])) == (False, 5)
    only_a_request = {"check": "git", "state": "wrong", "message": "iris: refused", "remedy": "", "request": "iris"}
    person.there.examination = {"version": "0.0.1", "findings": [WELL, only_a_request]}
    assert person.run("doctor").code == 2


def test_the_doctor_can_not_help_without_a_cluster(person: Person) -> None:
    person.there.refusing = (401, status(401, "Unauthorized", "Unauthorized"))
    assert person.run("doctor").code == 4
