"""Requests: what starts a run, what ends it, what stays and what goes."""

import json
from functools import partial
from typing import Any

from tests.support.e2e import NAMESPACE, Coachwork, eventually, kubectl, told
from tests.support.e2e_projects import batch, project, server, service

# Runs until a file appears in the request's cache, so that a test decides when it ends.
GATE = """
import os, pathlib, time
cache = pathlib.Path(os.environ["COACHWORK_CACHE"])
with open(cache / "starts", "a") as file:
    print(os.environ["COACHWORK_TRIGGER"], file=file)
while not (cache / "open").exists():
    time.sleep(0.1)
"""


def gated(coachwork: Coachwork, name: str) -> None:
    """Have a run that goes on until `open_gate`."""
    coachwork.git.push(name, project(name, "wait", batch("wait", GATE, seconds=300)))
    coachwork.request(name)
    coachwork.running(name, "wait")


def open_gate(coachwork: Coachwork, name: str) -> None:
    coachwork.shell("touch", f"/var/lib/coachwork/runs/{name}-{coachwork.uid(name)}/cache/open")


def test_a_repository_with_sha256_ids_runs(coachwork: Coachwork) -> None:
    name = coachwork.name("sha256")
    script = "import os\nassert len(os.environ['COACHWORK_COMMIT']) == 64\n"
    commit = coachwork.git.push(name, project(name, "one", batch("one", script)), ids="sha256")
    coachwork.request(name, ref=commit[:12])
    record = coachwork.ended(name)
    assert (record["phase"], record["run-commit"], len(commit)) == ("Ready", commit, 64), told(record)


def test_an_invalid_request_shows_all_its_problems_and_is_mended_by_an_edit(coachwork: Coachwork) -> None:
    name = coachwork.name("wrong")
    coachwork.git.push(name, project(name, "one", batch("one", "")))
    coachwork.request(name, reff="main", deadline="soon", suspend="yes", poll="5")
    record = coachwork.ended(name)
    assert (record["phase"], record["reason"]) == ("Invalid", "InvalidRequest"), told(record)
    problems = record["problems"]
    for part in ("reff: unknown key: did you mean ref?", "deadline", '"soon"', "suspend", "poll: expected"):
        assert part in problems
    coachwork.request(name)
    assert coachwork.ended(name, run="1")["phase"] == "Ready"


def test_records_are_shown_in_columns(coachwork: Coachwork) -> None:
    name = coachwork.name("columns")
    record = coachwork.start(name, project(name, "one", batch("one", "")))
    columns = ",".join(f"coachwork.io/{label}" for label in ("request", "phase", "run", "commit"))
    table = kubectl("-n", NAMESPACE, "get", "cm", "-l", "coachwork.io/role=status", "-L", columns, "--no-headers")
    (line,) = (line.split() for line in table.splitlines() if line.startswith(f"{name}-status"))
    assert line[-4:] == [name, "Ready", "1", record["run-commit"][:12]]


def test_deleting_a_request_removes_everything(coachwork: Coachwork) -> None:
    name = coachwork.name("deleted")
    files = project(name, "one >> web", batch("one", "print('x')"), service("web", server("x"), replicas=2))
    assert coachwork.start(name, files)["phase"] == "Ready"
    kinds = "jobs,deployments,replicasets,services,pods,configmaps,endpointslices"
    assert {item["kind"] for item in coachwork.objects(name, kinds)} >= {
        "Job",
        "Deployment",
        "Service",
        "Pod",
        "ConfigMap",
    }
    assert coachwork.folders(name)
    coachwork.delete(name)
    eventually(lambda: not coachwork.objects(name, kinds), "end of all objects")
    eventually(lambda: not coachwork.folders(name), "end of the folder on the volume")


def test_deleting_a_request_while_it_runs_removes_everything(coachwork: Coachwork) -> None:
    name = coachwork.name("dropped")
    gated(coachwork, name)
    coachwork.delete(name)
    eventually(lambda: not coachwork.objects(name, "jobs,pods,configmaps"), "end of all objects")
    eventually(lambda: not coachwork.folders(name), "end of the folder on the volume")


def test_a_request_made_again_under_its_name_starts_from_run_one(coachwork: Coachwork) -> None:
    name = coachwork.name("reborn")
    files = project(name, "one >> web", batch("one", COUNT_STARTS), service("web", server("x")))
    assert coachwork.start(name, files)["phase"] == "Ready"
    first = coachwork.uid(name)
    coachwork.delete(name)
    coachwork.request(name)
    second = coachwork.uid(name)
    record = coachwork.wait_for(
        name, lambda data: data.get("request-uid") == second and data.get("phase") == "Ready", "second life"
    )
    assert (first != second, record["run"]) == (True, "1")
    assert coachwork.run_file(name, ".", "cache/starts").split() == ["one"]


COUNT_STARTS = "import os\nprint('one', file=open(os.environ['COACHWORK_CACHE'] + '/starts', 'a'))\n"


def test_a_run_beyond_its_deadline_fails(coachwork: Coachwork) -> None:
    name = coachwork.name("deadline")
    coachwork.git.push(name, project(name, "wait", batch("wait", GATE, seconds=300)))
    coachwork.request(name, deadline="8s")
    record = coachwork.ended(name)
    assert (record["phase"], record["reason"]) == ("Failed", "DeadlineExceeded"), told(record)
    assert "8 s" in record["message"]
    eventually(lambda: not coachwork.objects(name, "jobs,pods"), "end of the stage")


def test_of_two_triggers_during_a_run_the_newest_waits_and_the_other_is_superseded(coachwork: Coachwork) -> None:
    name = coachwork.name("queue")
    gated(coachwork, name)
    coachwork.annotate(name, trigger="first")
    coachwork.wait_for(name, lambda data: data.get("queued-trigger") == "first", "queued trigger")
    coachwork.annotate(name, trigger="second")
    coachwork.wait_for(name, lambda data: data.get("queued-trigger") == "second", "newer queued trigger")
    open_gate(coachwork, name)
    record = coachwork.ended(name, finished_trigger="second")
    assert (record["phase"], record["run"]) == ("Ready", "2"), told(record)
    past = [(item.get("run", 0), item["outcome"], item.get("trigger", "")) for item in coachwork.history(record)]
    assert past == [(2, "Succeeded", "second"), (1, "Succeeded", ""), (0, "Superseded", "first")]
    assert coachwork.run_file(name, ".", "cache/starts").split() == ["created", "second"]


def test_only_as_many_runs_as_asked_for_stay_on_the_volume(coachwork: Coachwork) -> None:
    name = coachwork.name("keep")
    script = "import os\nraise SystemExit(os.environ['COACHWORK_TRIGGER'] in ('bad-1', 'bad-2'))\n"
    coachwork.git.push(name, project(name, "one", batch("one", script)))
    coachwork.request(name, keep_runs="1")
    assert coachwork.ended(name)["phase"] == "Ready"
    phases = [coachwork.trigger(name, trigger)["phase"] for trigger in ("bad-1", "good", "bad-2")]
    assert phases == ["Failed", "Ready", "Failed"]
    folder = f"/var/lib/coachwork/runs/{name}-{coachwork.uid(name)}"

    def runs() -> set[str]:
        return {entry for entry in coachwork.shell("ls", folder).split() if entry.isdigit() and entry != "0"}

    eventually(lambda: runs() == {"3", "4"}, "only the last good and the last failed run")
    assert json.loads(coachwork.run_file(name, 3, "run.json"))["outcome"] == "Succeeded"


def environment(name: str) -> list[dict[str, Any]]:
    """Return the Secret of an environment, and the pod template that makes it a variable, as environments.md does."""
    reference = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": name, "key": "TOKEN"}}}
    template = {"spec": {"containers": [{"name": "stage", "env": [reference]}]}}
    head = {"apiVersion": "v1", "metadata": {"name": name, "namespace": NAMESPACE}}
    return [
        {**head, "kind": "Secret", "stringData": {"TOKEN": f"secret-of-{name}"}},
        {**head, "kind": "ConfigMap", "data": {"pod.yaml": json.dumps(template)}},
    ]


def test_environments_of_one_repository_have_a_branch_variables_and_secrets_each(coachwork: Coachwork) -> None:
    dev, prod = coachwork.name("dev"), coachwork.name("prod")
    say = "import os\nprint(os.environ['STORE'], len(os.environ['TOKEN']), os.environ['TOKEN'])"
    old, new = (
        project(prod, "train >> web", batch("train", say), service("web", server(word))) for word in ("old", "new")
    )
    first = coachwork.git.push(prod, old)
    tried = coachwork.git.push(prod, new, branch="dev")
    request = partial(coachwork.request, repository=coachwork.git.url(prod))
    for item in (*environment(f"{dev}-s"), *environment(f"{prod}-s")):
        coachwork.apply(item)
    request(prod, pod_template=f"{prod}-s", env={"STORE": "models"})
    assert coachwork.ended(prod)["phase"] == "Ready"

    for_dev: dict[str, Any] = {"ref": "dev", "pod_template": f"{dev}-s", "env": {"STORE": "models-dev"}}
    request(dev, **for_dev)
    record = coachwork.ended(dev)
    assert (record["phase"], record["reason"]) == ("Invalid", "NameTaken"), told(record)
    assert f"ConfigMap {prod}" in record["message"]
    request(dev, project_name=dev, **for_dev)
    record = coachwork.ended(dev, run="1")
    assert (record["phase"], record["run-commit"]) == ("Ready", tried), told(record)
    for name, store, word in ((dev, "models-dev", "new"), (prod, "models", "old")):
        assert f"{store} {len(f'secret-of-{name}-s')} ***" in coachwork.run_file(name, 1, "logs/train/1.log")
        coachwork.answer(f"{name}--web", word)

    coachwork.git.move(prod, "main", to="dev")
    record = coachwork.trigger(prod, "what-was-tried")
    assert (record["phase"], record["run-commit"]) == ("Ready", tried), told(record)
    coachwork.answer(f"{prod}--web", "new")
    request(prod, ref=first[:12], pod_template=f"{prod}-s", env={"STORE": "models"})
    record = coachwork.ended(prod, run="3")
    assert (record["phase"], record["run-commit"]) == ("Ready", first), told(record)
    coachwork.answer(f"{prod}--web", "old")
    assert coachwork.status(dev)["run"] == "1"
    kubectl("-n", NAMESPACE, "delete", "secret,configmap", f"{dev}-s", f"{prod}-s")


def test_the_longest_names_run(coachwork: Coachwork) -> None:
    name = coachwork.name("n" * 45)
    assert len(name) == 52
    stage, web = "s" * 63, "w" * 63
    files = project("p" * 56 + name[-7:], f"{stage} >> {web}", batch(stage, ""), service(web, server("long")))
    record = coachwork.start(name, files)
    assert record["phase"] == "Ready", told(record)
    (found,) = coachwork.objects(name, "services")
    coachwork.answer(found["metadata"]["name"], "long")
