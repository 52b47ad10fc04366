"""What a stage finds: user, folders, environment, secrets."""

import json

from tests.support.e2e import NAMESPACE, Coachwork, kubectl, told
from tests.support.e2e_projects import batch, project, server, service

FACTS = """
import ctypes, json, os, pathlib, subprocess, sys, time, urllib.request
import shared

def wake():
    arguments = open("/proc/1/cmdline").read().split("\\0")
    order = json.loads("".join(arguments[arguments.index(next(a for a in arguments if a.endswith("launch.py"))) + 1:]))
    call = urllib.request.Request("http://" + order["wake"], method="POST")
    for _ in range(60):  # another test may be restarting the controller
        try:
            return urllib.request.urlopen(call, timeout=5).status
        except OSError as error:
            last = str(error)
            time.sleep(1)
    return last

ctypes.CDLL("libgomp.so.1")  # the wheels of LightGBM and others load it
facts = {
    "uid": os.getuid(),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
    "cwd": os.getcwd(),
    "head": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
    "status": subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True).stdout,
    "shm": [line.split()[2] for line in open("/proc/mounts") if line.split()[1] == "/dev/shm"],
    "shared": shared.WORD,
    "environment": dict(os.environ),
    "woken": wake(),  # what the launcher calls once it is done, so that no step waits for the kubelet
}
pathlib.Path("scribble.txt").write_text("the copy can be written to")
pathlib.Path(os.environ["HOME"], "x").write_text("so can HOME")
pathlib.Path("/dev/shm/x").write_text("and this")
pathlib.Path(os.environ["COACHWORK_ARTIFACTS"], "facts.json").write_text(json.dumps(facts))
"""


def test_a_stage_finds_its_folder_user_and_commit(coachwork: Coachwork) -> None:
    name = coachwork.name("facts")
    files = {**project(name, "look", batch("look", FACTS)), "shared.py": "WORD = 'from the project root'\n"}
    record = coachwork.start(name, files)
    assert record["phase"] == "Ready", told(record)
    facts = json.loads(coachwork.run_file(name, 1, "artifacts/facts.json"))
    assert facts["uid"] == 10001
    assert not facts["token"]
    assert facts["cwd"].endswith("/look")
    assert facts["head"] == record["run-commit"]
    assert facts["status"] == ""
    assert facts["shm"] == ["tmpfs"]
    assert facts["shared"] == "from the project root"
    assert facts["woken"] == 202
    environment = facts["environment"]
    assert not [key for key in environment if key.endswith("_SERVICE_HOST") and key != "KUBERNETES_SERVICE_HOST"]
    wanted = {
        "COACHWORK_RUN": "1",
        "COACHWORK_REQUEST": name,
        "COACHWORK_PROJECT": name,
        "COACHWORK_STAGE": "look",
        "COACHWORK_COMMIT": record["run-commit"],
        "COACHWORK_ATTEMPT": "1",
        "COACHWORK_TRIGGER": "created",
        "GIT_COMMIT_HASH": record["run-commit"],
        "PYTHONUNBUFFERED": "1",
    }
    assert wanted.items() <= environment.items()
    (job,) = coachwork.objects(name, "jobs")
    assert job["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_the_namespace_admits_only_restricted_pods_and_stages_are_admitted(coachwork: Coachwork) -> None:
    namespace = json.loads(kubectl("get", "namespace", NAMESPACE, "-o", "json"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    name = coachwork.name("admitted")
    files = project(name, "one >> web", batch("one", "print('in')"), service("web", server("in")))
    assert coachwork.start(name, files)["phase"] == "Ready"


def test_artifacts_cache_and_previous_are_what_the_contract_says(coachwork: Coachwork) -> None:
    name = coachwork.name("folders")
    script = """
import os, pathlib
artifacts, previous, cache = (pathlib.Path(os.environ["COACHWORK_" + n]) for n in ("ARTIFACTS", "PREVIOUS", "CACHE"))
read = lambda path: path.read_text() if path.exists() else "none"
print("previous:", read(previous / "model"), "cache:", read(cache / "model"), "mine:", read(artifacts / "model"))
for folder in (artifacts, cache):
    (folder / "model").write_text(os.environ["COACHWORK_RUN"])
try:
    (previous / "model").write_text("no")
    print("previous can be written to")
except OSError:
    pass
if os.environ["COACHWORK_TRIGGER"] == "bad":
    raise SystemExit(1)
"""
    read = "import os\nprint('handed over:', open(os.environ['COACHWORK_ARTIFACTS'] + '/model').read())\n"
    files = project(name, "make >> read", batch("make", script), batch("read", read))
    assert coachwork.start(name, files, keep_runs="5")["phase"] == "Ready"
    assert coachwork.trigger(name, "bad")["phase"] == "Failed"
    assert coachwork.trigger(name, "good")["phase"] == "Ready"
    logs = [coachwork.run_file(name, run, "logs/make/1.log") for run in (1, 2, 3)]
    assert "previous: none cache: none mine: none" in logs[0]
    assert "previous: 1 cache: 1 mine: none" in logs[1]
    assert "previous: 1 cache: 2 mine: none" in logs[2]
    assert "previous can be written to" not in "".join(logs)
    assert "handed over: 3" in coachwork.run_file(name, 3, "logs/read/1.log")


def test_values_are_literal_and_later_kinds_win(coachwork: Coachwork) -> None:
    name = coachwork.name("env")
    script = (
        "import json, os, pathlib\n"
        "pathlib.Path(os.environ['COACHWORK_ARTIFACTS'], 'env.json').write_text(json.dumps(dict(os.environ)))\n"
    )
    stage = batch("look", script, more="[env]\nWHERE = stage\nPRICE = $(HOME) $$ 5\nONLY_HERE = yes")
    coachwork.git.push(name, project(name, "look", stage))
    coachwork.request(name, env={"WHERE": "request", "DOLLARS": "$(HOME) $$(USER) ${PATH} $"})
    assert coachwork.ended(name)["phase"] == "Ready"
    found = json.loads(coachwork.run_file(name, 1, "artifacts/env.json"))
    assert found["WHERE"] == "request"
    assert found["ONLY_HERE"] == "yes"
    assert found["PRICE"] == "$(HOME) $$ 5"
    assert found["DOLLARS"] == "$(HOME) $$(USER) ${PATH} $"
