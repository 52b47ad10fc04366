"""Service stages: rollouts, what is left alone, roll-back, and that nobody notices."""

import json
from functools import partial

import pytest

from controller.core import names
from tests.support.e2e import NAMESPACE, Coachwork, Record, asked_all_the_time, eventually, told
from tests.support.e2e_projects import batch, project, server, service
from tests.support.kubectl import kubectl

BROKEN = "raise RuntimeError('the model does not fit the code')\n"


def pods(coachwork: Coachwork, name: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in coachwork.pods(name, "web")}


def environment_of(coachwork: Coachwork, name: str) -> set[str]:
    """Return the names of the variables that the service's pods get."""
    (container,) = coachwork.get("deployment", f"{name}--web")["spec"]["template"]["spec"]["containers"]
    return {variable["name"] for variable in container["env"]}


def served(coachwork: Coachwork, name: str, says: str) -> Record:
    """Have a service that says so, released by run 1."""
    record = coachwork.start(name, project(name, "web", service("web", server(says))))
    assert record["phase"] == "Ready", told(record)
    assert coachwork.http(f"{name}--web").body == says
    return record


def test_a_new_ref_brings_the_new_code(coachwork: Coachwork) -> None:
    name = coachwork.name("ref")
    first = served(coachwork, name, "one")
    commit = coachwork.git.push(name, project(name, "web", service("web", server("two"))), branch="next")
    coachwork.request(name, ref="next")
    record = coachwork.ended(name, run="2")
    assert (record["phase"], record["run-commit"], record["ref"]) == ("Ready", commit, "next"), told(record)
    assert record["release-commit"] == commit != first["release-commit"]
    coachwork.answer(f"{name}--web", "two")  # the old pod may answer until its address is gone from the nodes


def test_a_second_identical_run_leaves_a_services_pods_alone(coachwork: Coachwork) -> None:
    name = coachwork.name("same")
    served(coachwork, name, "same")
    before = pods(coachwork, name)
    record = coachwork.trigger(name, "again")
    assert (record["phase"], record["run"], record["stage.web"]) == ("Ready", "2", "Unchanged"), told(record)
    assert pods(coachwork, name) == before


def test_a_commit_that_changes_another_folder_only_leaves_a_services_pods_alone(coachwork: Coachwork) -> None:
    name = coachwork.name("elsewhere")
    inside = {f"here/{path}": text for path, text in project(name, "web", service("web", server("ok"))).items()}
    record = coachwork.start(name, inside, path="here")
    assert record["phase"] == "Ready", told(record)
    before = pods(coachwork, name)
    commit = coachwork.git.push(name, {**inside, "README.md": "new"})
    record = coachwork.trigger(name, "again")
    assert (record["stage.web"], record["run-commit"]) == ("Unchanged", commit), told(record)
    assert pods(coachwork, name) == before


def test_a_batch_stage_before_it_rolls_a_service_over_in_each_run(coachwork: Coachwork) -> None:
    name = coachwork.name("retrain")
    train = "import os\nopen(os.environ['COACHWORK_ARTIFACTS'] + '/model', 'w').write(os.environ['COACHWORK_RUN'])\n"
    serve = "import os\nSAYS = open(os.environ['COACHWORK_ARTIFACTS'] + '/model').read()\n"
    files = project(
        name,
        "train >> web",
        batch("train", train),
        service("web", serve + server("").partition("\n")[2]),
    )
    assert coachwork.start(name, files)["phase"] == "Ready"
    assert coachwork.http(f"{name}--web").body == "1"
    record = coachwork.trigger(name, "again")
    assert (record["phase"], record["stage.web"]) == ("Ready", "Done"), told(record)
    coachwork.answer(f"{name}--web", "2")


@pytest.mark.parametrize("port", [5000, 6000])
def test_a_broken_version_is_rolled_back_and_no_request_fails(coachwork: Coachwork, port: int) -> None:
    name = coachwork.name("broken")
    first = served(coachwork, name, "good")
    with asked_all_the_time(coachwork.address(f"{name}--web")) as replies:
        coachwork.git.push(
            name, project(name, "web", service("web", BROKEN, port=port, more="[env]\nNEW = 1", seconds=5))
        )
        record = coachwork.trigger(name, "bad")
        assert record["phase"] == "Failed", told(record)
        assert "the model does not fit the code" in record["message"]
        assert "web/main.py:1" in record["message"]
        assert (record["release-run"], record["release-commit"]) == ("1", first["run-commit"])
        eventually(lambda: len(coachwork.pods(name)) == 1, "single pod after the roll-back")
        asked = len(replies)
        eventually(lambda: len(replies) > asked + 20, "answers after the roll-back")
    assert {(reply.status, reply.body) for reply in replies} == {(200, "good")}
    assert environment_of(coachwork, name).isdisjoint({"NEW"})


def test_a_good_version_takes_over_and_no_request_fails(coachwork: Coachwork) -> None:
    name = coachwork.name("rollout")
    served(coachwork, name, "old")
    with asked_all_the_time(coachwork.address(f"{name}--web")) as replies:
        coachwork.git.push(name, project(name, "web", service("web", server("new"))))
        assert coachwork.trigger(name, "new")["phase"] == "Ready"
        eventually(lambda: len(coachwork.objects(name, "pods")) == 1, "single pod after the rollout")
    assert {reply.status for reply in replies} == {200}, [reply for reply in replies if reply.status != 200]
    assert replies[-1].body == "new"


def test_a_failing_batch_stage_after_a_rollout_puts_the_service_back(coachwork: Coachwork) -> None:
    name = coachwork.name("undo")
    served(coachwork, name, "good")
    before = pods(coachwork, name)
    files = project(name, "web >> check", service("web", server("bad")), batch("check", "raise SystemExit('no good')"))
    coachwork.git.push(name, files)
    record = coachwork.trigger(name, "bad")
    assert record["phase"] == "Failed", told(record)
    assert "no good" in record["message"]
    coachwork.answer(f"{name}--web", "good")
    eventually(lambda: len(coachwork.objects(name, "pods")) == 2, "end of the pods of the bad version")
    assert pods(coachwork, name).isdisjoint(before)


def test_a_service_below_its_replicas_is_degraded_until_it_is_back(coachwork: Coachwork) -> None:
    name = coachwork.name("degraded")
    script = server("up").replace("body = SAYS", "self.path == '/die' and os._exit(3)\n        body = SAYS")
    assert coachwork.start(name, project(name, "web", service("web", script)))["phase"] == "Ready"
    coachwork.http(f"{name}--web", "/die")
    record = coachwork.wait_for(name, lambda data: data["phase"] == "Degraded", "degraded service")
    assert (record["reason"], record["run"]) == ("ServiceDegraded", "1")
    assert "web" in record["message"]
    coachwork.wait_for(name, lambda data: data["phase"] == "Ready", "Ready again")
    coachwork.answer(f"{name}--web", "up")


def test_an_ingress_is_made_where_it_is_asked_for_and_goes_where_not(coachwork: Coachwork) -> None:
    name = coachwork.name("ingress")
    stage = service("web", server("in"))
    with_ingress = {path: text.replace("INGRESS = False", "INGRESS = True") for path, text in stage.items()}
    assert coachwork.start(name, project(name, "web", with_ingress))["phase"] == "Ready"
    (rule,) = coachwork.get("ingress", f"{name}--web")["spec"]["rules"]
    assert rule["http"]["paths"][0]["path"].startswith(f"/{NAMESPACE}/{name}--web")
    coachwork.git.push(name, project(name, "web", stage))
    assert coachwork.trigger(name, "without")["phase"] == "Ready"
    eventually(lambda: not coachwork.objects(name, "ingresses"), "end of the Ingress")


def test_a_new_port_is_served_in_the_end(coachwork: Coachwork) -> None:
    name = coachwork.name("port")
    served(coachwork, name, "old")
    coachwork.git.push(name, project(name, "web", service("web", server("new"), port=6000)))
    record = coachwork.trigger(name, "port")
    assert record["phase"] == "Ready", told(record)
    assert coachwork.address(f"{name}--web").endswith(":6000")
    coachwork.answer(f"{name}--web", "new")


def test_a_stage_that_is_gone_is_removed_after_a_good_run(coachwork: Coachwork) -> None:
    name = coachwork.name("gone")
    both = project(name, "web, old", service("web", server("web")), service("old", server("old")))
    assert coachwork.start(name, both)["phase"] == "Ready"
    coachwork.git.push(name, project(name, "web", service("web", server("web"))))
    assert coachwork.trigger(name, "without")["phase"] == "Ready"
    eventually(lambda: not coachwork.pods(name, "old"), "end of the old stage's pods")
    left = {item["metadata"]["name"] for item in coachwork.objects(name, "deployments,services")}
    assert left == {f"{name}--web"}


def test_the_number_of_pods_is_the_autoscaler_s_in_whatever_runs_do(coachwork: Coachwork) -> None:
    name = coachwork.name("scales")
    web = f"{name}--web"

    def run(script: str, trigger: str, *, replicas: int = 2, more: str = "MAX_REPLICAS = 4\n") -> Record:
        made = service("web", script, replicas=replicas, more=more, seconds=30)
        config = made["web/config.ini"].replace("[default]\n", "[default]\nCPU_REQUEST = 0.01\n")
        coachwork.git.push(name, project(name, "web", {**made, "web/config.ini": config}))
        if not trigger:
            coachwork.request(name)
        return coachwork.trigger(name, trigger) if trigger else coachwork.ended(name)

    def wanted() -> int:
        return int(coachwork.get("deployment", web)["spec"]["replicas"])

    record = run(server("one"), "")
    assert (record["phase"], wanted()) == ("Ready", 2), told(record)
    spec = coachwork.get("horizontalpodautoscaler", web)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
    kubectl("-n", NAMESPACE, "scale", f"deployment/{web}", "--replicas=3")  # by the subresource that it uses, too
    eventually(lambda: len(coachwork.pods(name)) == 3, "third pod")
    for script, trigger, outcome in (
        (server("one"), "same", ("Ready", "Unchanged")),
        (server("two"), "new", ("Ready", "Done")),
        (BROKEN, "bad", ("Failed", "Failed")),
    ):
        record = run(script, trigger)
        assert (record["phase"], record["stage.web"], wanted()) == (*outcome, 3), told(record)
    coachwork.answer(web, "two")
    assert drifts(name) == ""
    kubectl("-n", NAMESPACE, "scale", f"deployment/{web}", "--replicas=0")
    eventually(lambda: wanted() == 2, "the least again")
    kubectl("-n", NAMESPACE, "delete", "horizontalpodautoscaler", web)
    eventually(lambda: coachwork.objects(name, "horizontalpodautoscalers"), "autoscaler again")
    record = run(server("three"), "fixed", replicas=1, more="")
    assert (record["phase"], wanted()) == ("Ready", 1), told(record)
    assert not coachwork.objects(name, "horizontalpodautoscalers,poddisruptionbudgets")


CHANGES = [
    ("spec.replicas", ["scale", "deployment/{}", "--replicas=0"]),
    ("env[COACHWORK_PROJECT]", ["set", "env", "deployment/{}", "COACHWORK_PROJECT=another"]),
    ("image", ["set", "image", "deployment/{}", "stage=no-such-image.invalid/x:1"]),
    (
        "spec.ports",
        ["patch", "service/{}", "--type=json", '-p=[{{"op":"replace","path":"/spec/ports/0/port","value":81}}]'],
    ),
    ("spec.selector", ["patch", "service/{}", '-p={{"spec":{{"selector":{{"track":"canary"}}}}}}']),
    ("Service {} was deleted", ["delete", "service/{}"]),
    ("Deployment {} was deleted", ["delete", "deployment/{}"]),
]


def drifts(name: str) -> str:
    query = f"involvedObject.name={name},reason=ServiceDrifted"
    return kubectl("-n", NAMESPACE, "get", "events", "--field-selector", query, "-o", "jsonpath={.items[*].message}")


def test_what_somebody_does_to_a_service_is_reported_and_put_back(coachwork: Coachwork) -> None:
    name = coachwork.name("held")
    served(coachwork, name, "ok")
    for said, command in CHANGES:
        kubectl("-n", NAMESPACE, *[part.format(f"{name}--web") for part in command])
        eventually(partial(_is_reported, name, said.format(f"{name}--web")), said, seconds=20)
        coachwork.wait_for(name, lambda data: data["phase"] == "Ready", f"repair of {said}")
        coachwork.answer(f"{name}--web", "ok")
    before = pods(coachwork, name)
    kubectl("-n", NAMESPACE, "delete", "replicasets", "-l", f"{names.REQUEST}={name}")  # its Deployment makes another
    eventually(lambda: not before & pods(coachwork, name), "pods of before to be gone")
    coachwork.answer(f"{name}--web", "ok")
    assert coachwork.wait_for(name, lambda data: data["phase"] == "Ready", "Ready without it")["run"] == "1"


def _is_reported(name: str, said: str) -> bool:
    return said in drifts(name)


def test_a_restart_by_hand_rolls_the_pods_and_is_left_alone(coachwork: Coachwork) -> None:
    name = coachwork.name("restart")
    served(coachwork, name, "ok")
    before = pods(coachwork, name)
    kubectl("-n", NAMESPACE, "rollout", "restart", f"deployment/{name}--web")
    coachwork.wait_for(name, lambda data: data["phase"] == "Degraded", "restart", seconds=10)
    assert coachwork.wait_for(name, lambda data: data["phase"] == "Ready")["run"] == "1"
    eventually(lambda: not before & pods(coachwork, name), "pods of before the restart to be gone")
    template = coachwork.get("deployment", f"{name}--web")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]


def _is_gone(thing: str) -> bool:
    return not kubectl("-n", NAMESPACE, "get", thing, "-o", "name", "--ignore-not-found")


def shared(name: str, version: str, section: str, says: str) -> dict[str, str]:
    """Return a project whose one service has the name that other projects' services have too."""
    stage = {
        "executable_module_path": "serve.py",
        "service": {"port": 5000, "ingress": True},
        "secrets": {"API_KEY": {"name": "no-such-secret", "optional": True}},
    }
    head = {"version": version, section: {"name": name, "DAG": "shared-service"}}
    script = server("").replace("SAYS.encode()", "(SAYS + os.environ.get('API_KEY', ', no key')).encode()")
    script = script.replace("SAYS = ''", f"SAYS = {says!r} + os.environ['COACHWORK_PATH_SHARED_SERVICE']")
    return {
        "bodywork.yaml": json.dumps({**head, "stages": {"shared-service": stage}}),
        "serve.py": f"import os\n{script}",
    }


def test_two_projects_that_want_one_short_name_both_run_and_an_optional_secret_may_be_missing(
    coachwork: Coachwork,
) -> None:
    first, second = coachwork.name("first"), coachwork.name("second")
    record = coachwork.start(first, shared(first, "1.0", "project", "first "))
    assert record["phase"] == "Ready", told(record)
    assert coachwork.http("shared-service").body == f"first /{NAMESPACE}/{first}--shared-service, no key"
    record = coachwork.start(second, shared(second, "1.1", "pipeline", "second "))
    assert record["phase"] == "Ready", told(record)
    assert f"Service shared-service belongs to ConfigMap {first}" in record["problems"]
    assert coachwork.http("shared-service").body.startswith("first ")
    assert coachwork.http(f"{second}--shared-service").body.startswith("second ")
    ingress = coachwork.get("ingress", f"{second}--shared-service")
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["path"].startswith(f"/{NAMESPACE}/{second}--shared-service(")
    coachwork.delete(first)
    eventually(partial(_is_gone, "service/shared-service"), "end of the first one's Service")
    assert coachwork.trigger(second, "again").get("problems", "") == ""
    coachwork.answer("shared-service", f"second /{NAMESPACE}/{second}--shared-service, no key")
