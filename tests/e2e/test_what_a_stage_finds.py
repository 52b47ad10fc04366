"""What a stage finds: user, folders, environment, secrets."""

import base64
import json

from tests.support.e2e import NAMESPACE, Coachwork, kubectl, told
from tests.support.e2e_projects import batch, project, server, service

FACTS = """
import json, os, pathlib, subprocess, sys
import shared
facts = {
    "uid": os.getuid(),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
    "cwd": os.getcwd(),
    "head": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
    "status": subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True).stdout,
    "shm": [line.split()[2] for line in open("/proc/mounts") if line.split()[1] == "/dev/shm"],
    "shared": shared.WORD,
    "environment": dict(os.environ),
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


def test_packages_of_requirements_are_there(coachwork: Coachwork) -> None:
    name = coachwork.name("packages")
    script = "import six, subprocess\nprint(six.__version__)\n"
    record = coachwork.start(name, project(name, "look", batch("look", script, requirements="six==1.17.0\n")))
    assert record["phase"] == "Ready", told(record)
    assert "1.17.0" in coachwork.run_file(name, 1, "logs/look/1.log")


def test_a_requirement_that_does_not_exist_is_told_with_its_file(coachwork: Coachwork) -> None:
    name = coachwork.name("no-package")
    stage = batch("look", "print()", requirements="six==99.99.99\n")
    record = coachwork.start(name, project(name, "look", stage))
    assert record["phase"] == "Failed", told(record)
    assert "look/requirements.txt" in record["message"]
    assert "six==99.99.99" in record["message"]


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


def test_secrets_reach_the_stage_and_nothing_else(coachwork: Coachwork) -> None:
    name, value = coachwork.name("secrets"), "Tr0ub4dor-and-3"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"DB_PASSWORD": value}}
    coachwork.apply(secret)
    try:
        script = (
            "import os, hashlib\n"
            "print(hashlib.sha256(os.environ['DB_PASSWORD'].encode()).hexdigest()[:8])\n"
            "raise RuntimeError('login failed: ' + os.environ['DB_PASSWORD'])\n"
        )
        stage = batch("login", script, more=f"[secrets]\nDB_PASSWORD = {name}")
        record = coachwork.start(name, project(name, "login", stage))
        assert "login failed" in record["message"]
        told = [
            json.dumps(coachwork.get("configmap", f"{name}-status")),
            json.dumps(coachwork.objects(name, "jobs,pods,configmaps")),
            json.dumps(coachwork.events(name)),
            coachwork.log(),
            coachwork.run_file(name, 1, "run.json"),
            coachwork.run_file(name, 1, "logs/login/1.json"),
        ]
        for hidden in (value, base64.b64encode(value.encode()).decode()):
            assert not [text for text in told if hidden in text]
    finally:
        kubectl("-n", NAMESPACE, "delete", "secret", name, "--ignore-not-found")


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


def test_reserved_variables_are_refused_with_their_names(coachwork: Coachwork) -> None:
    name = coachwork.name("reserved")
    coachwork.git.push(
        name, project(name, "look", batch("look", "", more="[env]\nPYTHONPATH = /tmp\nCOACHWORK_RUN = 7"))
    )
    coachwork.request(name)
    record = coachwork.ended(name)
    assert (record["phase"], record["reason"]) == ("Invalid", "InvalidProject"), told(record)
    problems = record["problems"].splitlines()
    assert any("look/config.ini" in line and "PYTHONPATH" in line for line in problems)
    assert any("look/config.ini" in line and "COACHWORK_RUN" in line for line in problems)
    coachwork.request(name, env={"HOME": "/root"})
    record = coachwork.ended(name, reason="InvalidRequest")
    assert "env.HOME" in record["message"]
