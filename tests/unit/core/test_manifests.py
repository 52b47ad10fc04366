"""What is applied for a run: valid, bounded, restricted, and the same whenever nothing has changed."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import layout, manifests, names
from controller.core.addresses import addresses
from controller.core.errors import Invalid
from controller.core.inputs.project import dag
from controller.core.manifests import RunContext, folders_of
from controller.core.manifests.process import escape, launch
from controller.core.model import (
    Batch,
    Environment,
    IngressPolicy,
    Object,
    Pipeline,
    Policy,
    Request,
    Resources,
    RunSpec,
    Secret,
    Service,
    Stage,
)

UID = "0f8f2e2e-7a39-4c07-b6d1-3a2f2a1e9d11"
POLICY = Policy(namespace="ns", image="python:3.12-slim", claim="coachwork", tools="t0")
SPEC = RunSpec(
    repository="https://git.example/iris", commit="c" * 40, path=".", tree="t" * 40, image="python:3.12-slim"
)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def batch(name: str, **more: Any) -> Stage:
    return Stage(name, name, "run.py", more.pop("work", Batch()), **more)


def service(name: str, port: int = 5000, **more: Any) -> Stage:
    work = {key: more.pop(key) for key in ("replicas", "ingress", "readiness_path") if key in more}
    return Stage(name, name, "run.py", Service(port, **work), **more)


def context(*steps: list[Stage], request: str = "iris", project: str = "iris", **more: Any) -> RunContext:
    stages = {stage.name: stage for step in steps for stage in step}
    aliases = more.pop("aliases", False)
    order = tuple(tuple(stage.name for stage in step) for step in steps)
    pipeline = Pipeline(project, order, stages, is_yaml=aliases)
    values: dict[str, Any] = {"run": 7, "spec": SPEC, "policy": POLICY, "previous": 6} | more
    return RunContext(request, UID, pipeline=pipeline, **values)


def everything(one: RunContext) -> list[Object]:
    found: list[Object] = []
    for stage in one.pipeline.stages.values():
        if isinstance(stage.work, Batch):
            found.append(manifests.job(one, stage))
        else:
            found += manifests.service_objects(one, stage)
    return found


TRAIN, WEB = batch("train"), service("web", ingress=True)
BOTH = context([TRAIN], [WEB])


def pod_of(item: Object) -> Object:
    spec: Object = item["spec"]["template"]["spec"]
    return spec


# --- names, labels, selectors ------------------------------------------------------------------------


def test_objects_are_named_as_users_find_them() -> None:
    assert [(item["kind"], item["metadata"]["name"]) for item in everything(BOTH)] == [
        ("Job", "iris-train-7"),
        ("Deployment", "iris--web"),
        ("Service", "iris--web"),
        ("Ingress", "iris--web"),
    ]


def test_all_objects_belong_to_the_request_and_say_so() -> None:
    for item in everything(BOTH):
        labels = item["metadata"]["labels"]
        assert item["metadata"]["namespace"] == "ns"
        assert [owner["uid"] for owner in item["metadata"]["ownerReferences"]] == [UID]
        assert labels[names.REQUEST] == "iris"
        assert labels["app.kubernetes.io/part-of"] == "iris"
        assert labels["app.kubernetes.io/name"] == labels[names.STAGE]
        assert labels[names.MANAGED_BY] == "coachwork"


def test_only_what_belongs_to_one_run_names_it() -> None:
    runs = {item["kind"]: item["metadata"]["labels"].get(names.RUN) for item in everything(BOTH)}
    assert runs == {"Job": "7", "Deployment": "7", "Service": None, "Ingress": None}


def test_selectors_hold_the_requests_uid_and_the_stage_only() -> None:
    job, deployment, svc, _ = everything(BOTH)
    expected = {names.REQUEST_UID: UID, names.STAGE: "web"}
    assert deployment["spec"]["selector"]["matchLabels"] == svc["spec"]["selector"] == expected
    assert expected.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert "selector" not in job["spec"]


# --- pods ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", everything(BOTH)[:2], ids=["batch", "service"])
def test_pods_are_admitted_as_restricted_without_token_or_links(item: Object) -> None:
    spec = pod_of(item)
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == POLICY.uid
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert {key for volume in spec["volumes"] for key in volume} == {"name", "persistentVolumeClaim", "emptyDir"}


@pytest.mark.parametrize(("item", "writable"), [(everything(BOTH)[0], True), (everything(BOTH)[1], False)])
def test_the_volume_is_mounted_by_parts_and_writable_only_where_promised(item: Object, writable: bool) -> None:
    mounts = [mount for mount in pod_of(item)["containers"][0]["volumeMounts"] if mount["name"] == "shared"]
    assert all(mount["subPath"] and not mount["subPath"].startswith(("/", "..")) for mount in mounts)
    assert {mount["mountPath"]: not mount["readOnly"] for mount in mounts} == {
        str(layout.IN_CHECKOUT): False,
        str(layout.IN_TOOLS): False,
        str(layout.IN_PREVIOUS): False,
        str(layout.IN_ARTIFACTS): writable,
        str(layout.IN_LOGS): True,
        str(layout.IN_CACHE): True,
    }
    paths = {mount["mountPath"]: mount["subPath"] for mount in mounts}
    assert paths[str(layout.IN_PREVIOUS)] == str(layout.artifacts("iris", UID, 6))


def test_the_folders_that_must_be_there_are_the_mounted_ones_of_the_request() -> None:
    root = layout.request("iris", UID)
    assert {str(path.relative_to(root)) for path in folders_of(manifests.job(BOTH, TRAIN))} == {
        "7/logs/train",
        "7/artifacts",
        "6/artifacts",
        "cache",
    }


def test_disruptions_cost_no_retry_and_the_launchers_own_failure_ends_a_job() -> None:
    spec = manifests.job(BOTH, batch("train", work=Batch(retries=4)))["spec"]
    assert (spec["backoffLimit"], pod_of({"spec": spec})["restartPolicy"]) == (4, "Never")
    first, second = spec["podFailurePolicy"]["rules"]
    assert first == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert second["action"] == "FailJob"
    assert second["onExitCodes"] == {"containerName": "stage", "operator": "In", "values": [121]}


def test_the_pods_own_deadline_is_behind_all_that_the_launcher_watches() -> None:
    spec = pod_of(manifests.job(BOTH, batch("train", work=Batch(max_completion_seconds=50))))
    assert spec["activeDeadlineSeconds"] > 50 + POLICY.install_limit + POLICY.grace_period
    assert "activeDeadlineSeconds" not in pod_of(everything(BOTH)[1])


def test_batch_stages_and_builds_know_whom_to_call_and_services_do_not() -> None:
    spec = replace(SPEC, environments=(Environment("environment", "e" * 20, ("train",)),))
    quiet, called = (context([TRAIN], [WEB], spec=spec, policy=replace(POLICY, wake=at)) for at in ("", "coachwork:81"))
    builds, jobs = (
        [json.loads(pod_of(item)["containers"][0]["command"][2]) for item in items]
        for items in (
            [manifests.build(each, spec.environments[0]) for each in (quiet, called)],
            [manifests.job(each, TRAIN) for each in (quiet, called)],
        )
    )
    paths = {**builds[0]["paths"], "published": "/coachwork/environment"}  # compiled there once all know of it
    assert builds[1] == builds[0] | {"wake": f"coachwork:81/wake/{'e' * 20}", "paths": paths}
    assert jobs[1] == jobs[0] | {"wake": "coachwork:81/wake/iris"}
    assert manifests.service_objects(called, WEB) == manifests.service_objects(quiet, WEB)


@pytest.mark.parametrize("laptop", [False, True])
def test_a_build_can_write_only_to_its_own_folders_and_on_a_laptop_to_the_cache_of_all(laptop: bool) -> None:
    spec = replace(SPEC, environments=(Environment("environment", "e" * 20, ("train",)),))
    policy = replace(POLICY, wake="coachwork:81", platform="Linux" if laptop else "")
    item = manifests.build(context([TRAIN], spec=spec, policy=policy), spec.environments[0])
    (container,) = pod_of(item)["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"] if mount["name"] == "shared"}
    written = {path: mount["subPath"] for path, mount in mounts.items() if not mount["readOnly"]}
    own = str(layout.IN_BUILDS / ("e" * 20))
    shared = {str(layout.IN_BUILDS / "cache"): str(layout.BUILD_CACHE)} if laptop else {}
    published = {str(layout.IN_ENVIRONMENT): str(layout.environment("e" * 20))}
    assert written == {own: str(layout.build("e" * 20)), **published, **shared}
    paths = json.loads(container["command"][2])["paths"]
    assert paths["cache"] == next(iter(shared), f"{own}/cache")  # on the mount that uv links in
    assert set(map(str, folders_of(item))) >= {*published.values(), *shared.values()}


def test_a_first_retry_in_the_same_pod_takes_one_from_the_job_and_changes_nothing_where_there_is_none() -> None:
    policy = replace(POLICY, first_retry=2)
    for retries, repeated in ((2, True), (0, False)):
        stage = batch("train", work=Batch(max_completion_seconds=50, retries=retries))
        usual, short = (manifests.job(context([stage], policy=each), stage) for each in (POLICY, policy))
        assert short["spec"]["backoffLimit"] == retries - repeated
        first, second = (json.loads(pod_of(each)["containers"][0]["command"][2]) for each in (usual, short))
        assert second == first | ({"first_retry": 2} if repeated else {})
        assert pod_of(short)["activeDeadlineSeconds"] - pod_of(usual)["activeDeadlineSeconds"] == 52 * repeated


def test_a_service_rolls_over_without_a_gap() -> None:
    deployment, svc, _ = manifests.service_objects(BOTH, service("web", 5000, replicas=3, readiness_path="/up"))
    (container,) = pod_of(deployment)["containers"]
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert container["readinessProbe"]["httpGet"] == {"path": "/up", "port": "http"}
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] > 0
    assert [(port["port"], port["targetPort"]) for port in svc["spec"]["ports"]] == [(5000, "http")]
    assert container["ports"] == [{"name": "http", "containerPort": 5000}]


def test_resources_are_written_as_quantities() -> None:
    amounts = Resources(cpu_request=0.5, memory_request_mb=250, cpu_limit=2, memory_limit_mb=0, gpu=1)
    (container,) = pod_of(manifests.job(BOTH, batch("train", resources=amounts)))["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "250Mi"},
        "limits": {"cpu": "2000m", "memory": "0Mi", "nvidia.com/gpu": "1"},
    }


# --- environment -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "requests", "limits"),
    [
        (Resources(), {"cpu": "100m", "memory": "1Gi"}, {"cpu": "1", "memory": "2Gi"}),
        (Resources(cpu_request=2), {"cpu": "2000m", "memory": "1Gi"}, {"cpu": "2000m", "memory": "2Gi"}),
        (Resources(cpu_limit=0.05), {"memory": "1Gi"}, {"cpu": "50m", "memory": "2Gi"}),
        (Resources(memory_request_mb=1, memory_limit_mb=2, gpu=1), {"cpu": "100m", "memory": "1Mi"},
         {"cpu": "1", "memory": "2Mi", "nvidia.com/gpu": "1"}),
    ],
)  # fmt: skip
def test_what_a_stage_leaves_open_is_the_installations_default(
    named: Resources, requests: Object, limits: Object
) -> None:
    policy = replace(POLICY, default_requests=(("cpu", "100m"), ("memory", "1Gi")))
    one = replace(BOTH, policy=replace(policy, default_limits=(("cpu", "1"), ("memory", "2Gi"))))
    (container,) = pod_of(manifests.job(one, batch("train", resources=named)))["containers"]
    assert container["resources"] == {"requests": requests, "limits": limits}
    assert digest(replace(ALONE, policy=one.policy)) != digest(ALONE), "services get them at their next run"


def test_all_pods_say_what_a_quota_of_cpu_and_memory_counts_where_defaults_are_set() -> None:
    least = (("cpu", "1m"), ("memory", "1"))
    policy = replace(POLICY, default_requests=least, default_limits=least)
    one = replace(BOTH, policy=policy, spec=replace(SPEC, pod_template='{"spec": {"priorityClassName": "low"}}'))
    build = manifests.build(one, Environment("environment", "e", ("train",)))
    cronjob = manifests.cronjob(Request("iris", UID, "x", schedule="@daily"), policy)["spec"]["jobTemplate"]
    pods = [item for item in (*everything(one), build, cronjob) if "template" in item["spec"]]
    found = [pod_of(item)["containers"][0]["resources"] for item in pods]
    assert found == [
        {"requests": dict(least), "limits": dict(least)},
        {"requests": dict(least), "limits": dict(least)},
        {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "250m", "memory": "512Mi"}},
        {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "10m", "memory": "256Mi"}},
    ]


def variables(one: RunContext, stage: Stage) -> dict[str, Object]:
    found = pod_of(manifests.job(one, stage))["containers"][0]["env"]
    assert len({item["name"] for item in found}) == len(found)
    return {item["name"]: item for item in found}


def test_later_kinds_of_variables_win() -> None:
    stage = batch("train", env=(("A", "1"), ("B", "1"), ("C", "1")), secrets=(Secret("C", "aws", "C"),))
    env = variables(context([stage], spec=replace(SPEC, env=(("B", "2"), ("C", "2")))), stage)
    assert (env["A"]["value"], env["B"]["value"]) == ("1", "2")
    assert env["C"] == {"name": "C", "valueFrom": {"secretKeyRef": {"name": "aws", "key": "C"}}}


def test_only_a_secret_that_may_be_absent_says_so_to_the_kubelet() -> None:
    stage = batch("a", secrets=(Secret("A", "s", "A"), Secret("B", "s", "B", optional=True)))
    variables = pod_of(manifests.job(context([stage]), stage))["containers"][0]["env"]
    found = {item["name"]: item["valueFrom"].get("secretKeyRef") for item in variables if item["name"] in ("A", "B")}
    assert found == {"A": {"name": "s", "key": "A"}, "B": {"name": "s", "key": "B", "optional": True}}


def test_reserved_variables_can_not_be_taken_by_anyone() -> None:
    plain = variables(BOTH, TRAIN)
    stage = batch(
        "train",
        env=tuple((name, "mine") for name in plain),
        secrets=tuple(Secret(name, "aws", name) for name in plain),
    )
    assert variables(context([stage], [WEB]), stage) == plain


def test_a_stage_finds_who_it_is_and_where_services_answer() -> None:
    env = {name: item.get("value") for name, item in variables(BOTH, TRAIN).items()}
    assert env["COACHWORK_URL_WEB"] == "http://iris--web:5000"
    assert (env["COACHWORK_RUN"], env["COACHWORK_STAGE"], env["GIT_COMMIT_HASH"]) == ("7", "train", SPEC.commit)
    assert "PORT" not in env


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_the_kubelet_hands_every_text_on_as_it_was(text: str) -> None:
    """By the rule of k8s.io/kubernetes/third_party/forked/golang/expansion: $$ is $, $(NAME) a reference."""
    assert re.sub(r"\$(\$|\([^)]*\))", lambda found: "$" if found[1] == "$" else "expanded", escape(text)) == text


def test_dollars_are_escaped_in_variables_and_in_the_launchers_order() -> None:
    stage = batch("train", env=(("A", "$(HOME)"),), args=("$(HOME)",))
    (container,) = pod_of(manifests.job(context([stage]), stage))["containers"]
    assert {"name": "A", "value": "$$(HOME)"} in container["env"]
    assert json.loads(container["command"][2].replace("$$", "$"))["args"] == ["$(HOME)"]


def test_a_notebooks_parameters_may_be_what_anybody_sets_but_secrets() -> None:
    secrets = (Secret("KEY", "store", "KEY"),)
    stage = Stage("train", "train", "train.ipynb", Batch(), env=(("A", "1"), ("KEY", "x")), secrets=secrets)
    one = context([stage])
    one = replace(one, spec=replace(one.spec, env=(("B", "2"),), parameters=(("A", "3"), ("C", "4"))))
    assert launch(one, stage)["parameters"] == ["A", "B", "C"]
    assert "parameters" not in launch(one, replace(stage, script="train.py"))


def test_an_order_of_any_length_travels_in_arguments_that_linux_takes() -> None:
    words = tuple("$(HOME) ü 🚀" * 2000 for _ in range(10))
    stage = batch("train", args=words)
    (container,) = pod_of(manifests.job(context([stage]), stage))["containers"]
    handed_on = [word.replace("$$", "$") for word in container["command"]]
    assert max(len(word.encode()) for word in handed_on) < 128 * 1024
    assert json.loads("".join(handed_on[2:]))["args"] == [*words]


# --- digests: when a service is rolled over ----------------------------------------------------------------

ALONE = context([WEB], [TRAIN])


def digest(one: RunContext, stage: Stage = WEB) -> str:
    return str(manifests.deployment(one, stage)["metadata"]["annotations"][names.DIGEST])


def spec_with(**changes: Any) -> RunContext:
    return replace(ALONE, spec=replace(SPEC, **changes))


@pytest.mark.parametrize(
    "same",
    [
        replace(ALONE, run=8),
        replace(ALONE, previous=7),
        spec_with(commit="d" * 40),
        spec_with(trigger="t1", cause="Triggered"),
        spec_with(deadline=60),
        replace(ALONE, policy=replace(POLICY, tools="t1")),
        replace(ALONE, policy=replace(POLICY, node="n1")),
    ],
    ids=["run", "previous", "commit", "trigger", "deadline", "tools", "node"],
)
def test_a_service_that_depends_on_nothing_that_changed_has_the_same_digest(same: RunContext) -> None:
    assert digest(same) == digest(ALONE)
    old, new = (manifests.service_objects(one, WEB)[1:] for one in (ALONE, same))
    assert old == new


@pytest.mark.parametrize(
    "other",
    [
        spec_with(tree="u" * 40),
        spec_with(env=(("A", "1"),)),
        spec_with(image="python:3.13-slim"),
        spec_with(repository="https://git.example/other"),
        spec_with(path="models"),
        replace(ALONE, policy=replace(POLICY, claim="other")),
        context([service("web", 5001, ingress=True)], [TRAIN]),
        context([service("web", ingress=True, replicas=2)], [TRAIN]),
        spec_with(environments=(Environment("environment", "a" * 20, ("web",)),)),
        context([WEB], [TRAIN, service("other")]),
    ],
    ids=["tree", "env", "image", "repository", "path", "claim", "port", "replicas", "environment", "other service"],
)
def test_a_service_whose_code_environment_or_settings_changed_has_another_digest(other: RunContext) -> None:
    assert digest(other, other.pipeline.stages["web"]) != digest(ALONE)


def test_a_service_behind_a_batch_stage_has_another_digest_in_each_run() -> None:
    assert digest(replace(BOTH, run=8)) != digest(BOTH)
    beside = context([WEB, TRAIN])
    assert digest(replace(beside, run=8)) == digest(beside)


def test_the_pods_of_a_service_carry_its_digest_and_the_values_of_the_run_that_made_it() -> None:
    template = manifests.deployment(ALONE, WEB)["spec"]["template"]
    assert template["metadata"]["annotations"] == {names.DIGEST: digest(ALONE)}
    assert template["metadata"]["labels"][names.RUN] == "7"
    assert {"name": "COACHWORK_COMMIT", "value": SPEC.commit} in template["spec"]["containers"][0]["env"]


# --- Ingress and aliases -------------------------------------------------------------------------------------


def test_an_ingress_leads_to_the_service_by_namespace_and_name() -> None:
    policy = replace(POLICY, ingress=IngressPolicy("nginx", "ml.example", "tls", (("a/b", "c"),)))
    item = manifests.service_objects(replace(BOTH, policy=policy), WEB)[2]
    (rule,) = item["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], item["spec"]["ingressClassName"]) == ("ml.example", "nginx")
    assert item["spec"]["tls"] == [{"hosts": ["ml.example"], "secretName": "tls"}]
    assert path["path"] == "/ns/iris--web(/|$)(.*)"
    assert path["backend"]["service"] == {"name": "iris--web", "port": {"number": 5000}}
    assert item["metadata"]["annotations"]["nginx.ingress.kubernetes.io/rewrite-target"] == "/$2"
    assert item["metadata"]["annotations"]["a/b"] == "c"


def test_an_ingress_for_other_controllers_than_ingress_nginx_has_the_path_as_it_is() -> None:
    policy = replace(POLICY, ingress=IngressPolicy(path_type="Prefix", annotations=(("a/b", "c"),)))
    item = manifests.service_objects(replace(BOTH, policy=policy), WEB)[2]
    (path,) = item["spec"]["rules"][0]["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/ns/iris--web", "Prefix")
    assert item["metadata"]["annotations"].keys() == {"a/b", names.DIGEST}
    assert digest(replace(BOTH, policy=policy), WEB) == digest(BOTH, WEB)  # it rolls no service


@pytest.mark.parametrize("path_type", ["ImplementationSpecific", "Prefix"])
def test_the_address_that_is_shown_of_an_ingress_is_one_below_which_a_page_finds_its_own_files(path_type: str) -> None:
    policy = replace(POLICY, ingress=IngressPolicy(host="ml.example", tls_secret="tls", path_type=path_type))
    objects = manifests.service_objects(replace(BOTH, policy=policy), WEB)
    assert addresses(objects, "ns")["web"].ingress == "https://ml.example/ns/iris--web/"
    objects = manifests.service_objects(replace(BOTH, policy=replace(POLICY, ingress=IngressPolicy())), WEB)
    assert addresses(objects, "ns")["web"].ingress == "/ns/iris--web/ at the address of the ingress controller"


def test_stages_find_the_public_path_of_a_service_that_has_one() -> None:
    one = context([TRAIN], [WEB, service("inner")])
    variables = {item["name"]: item.get("value") for item in pod_of(manifests.job(one, TRAIN))["containers"][0]["env"]}
    assert variables["COACHWORK_PATH_WEB"] == "/ns/iris--web"
    assert "COACHWORK_PATH_INNER" not in variables
    own = {item["name"] for item in pod_of(manifests.deployment(one, WEB))["containers"][0]["env"]}
    assert "COACHWORK_PATH_WEB" in own


def test_an_ingress_and_the_stages_variables_follow_the_path_that_is_set() -> None:
    policy = replace(POLICY, ingress=IngressPolicy(path="/{project}/{stage}"))
    web = service("scoring_service", ingress=True)
    one = context([TRAIN], [web], project="iris.v2", policy=policy)
    (item,) = (item for item in everything(one) if item["kind"] == "Ingress")
    (path,) = item["spec"]["rules"][0]["http"]["paths"]
    assert path["path"] == "/iris-v2/scoring-service(/|$)(.*)"  # as in Bodywork 3, and in the code written for it
    variables = {item["name"]: item.get("value") for item in pod_of(manifests.job(one, TRAIN))["containers"][0]["env"]}
    assert variables["COACHWORK_PATH_SCORING_SERVICE"] == "/iris-v2/scoring-service"
    assert digest(one, web) != digest(replace(one, policy=POLICY), web)


def test_services_of_a_1_1_project_answer_to_their_stages_name_too() -> None:
    one = context([service("Web_app")], aliases=True)
    assert [item["metadata"]["name"] for item in everything(one) if item["kind"] == "Service"] == [
        "iris--web-app",
        "web-app",
    ]


def test_a_short_name_that_another_holds_is_left_out_and_changes_nothing_else() -> None:
    one = context([service("web"), service("api")], aliases=True)
    left, warning = one.without("web", "ConfigMap other")
    found = [item["metadata"]["name"] for item in everything(left) if item["kind"] == "Service"]
    assert found == ["iris--web", "iris--api", "api"]
    assert "belongs to ConfigMap other" in warning
    assert "call iris--web, or use COACHWORK_URL_WEB" in warning
    assert digest(left, one.pipeline.stages["web"]) == digest(one, one.pipeline.stages["web"])


def test_an_alias_that_is_another_stages_own_name_or_no_services_name_is_left_out() -> None:
    one = context([service("web"), service("iris--web"), service("1st")], aliases=True)
    found = [item["metadata"]["name"] for item in everything(one) if item["kind"] == "Service"]
    assert sorted(found) == ["iris--1st", "iris--iris--web", "iris--web", "web"]


# --- any name that the parsers accept --------------------------------------------------------------------------

REQUESTS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", fullmatch=True).filter(
    lambda name: not name.endswith(names.RESERVED_SUFFIXES)
)
PROJECTS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True)
STAGES = st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", fullmatch=True), min_size=1, max_size=4)


@given(REQUESTS, PROJECTS, STAGES, st.integers(1, 10**9), st.booleans(), st.booleans())
def test_every_accepted_name_gives_valid_names_and_distinct_ones(
    request: str, project: str, stages: list[str], run: int, aliases: bool, batches: bool
) -> None:
    if dag.parse(", ".join(stages))[1]:
        return  # refused: twice, or two that become one
    made = [batch(name) if batches else service(name, ingress=True) for name in stages]
    items = everything(context(made, request=request, project=project, run=run, aliases=aliases))
    for item in items:
        rule = SERVICE_NAME if item["kind"] == "Service" else LABEL
        assert rule.fullmatch(item["metadata"]["name"]), item["metadata"]["name"]
        labels = [item["metadata"]["labels"]]
        labels += [item["spec"]["template"]["metadata"]["labels"]] if "template" in item["spec"] else []
        assert all(LABEL_VALUE.fullmatch(value) for found in labels for value in found.values())
    assert len({(item["kind"], item["metadata"]["name"]) for item in items}) == len(items)


# --- applies and releases ----------------------------------------------------------------------------------------


def test_an_apply_to_what_exists_carries_its_uid_and_changes_nothing_else() -> None:
    item = manifests.deployment(BOTH, WEB)
    with_uid = manifests.with_uid(item, "u1")
    assert with_uid["metadata"].pop("uid") == "u1"
    assert with_uid == item
    assert "uid" not in item["metadata"]


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: "\0" not in text)


@given(st.lists(st.tuples(st.sampled_from(["A", "yes", "NULL", "_1"]), VALUES), max_size=4), VALUES)
def test_a_release_returns_the_objects_as_they_were_applied(env: list[tuple[str, str]], argument: str) -> None:
    stage = service("web", env=tuple(env), args=(argument,), ingress=True)
    objects = manifests.service_objects(context([stage]), stage)
    assert manifests.release_objects(manifests.release(BOTH, objects)) == objects


def test_a_release_of_nothing_holds_nothing() -> None:
    assert manifests.release_objects(manifests.release(BOTH, [])) == ()


@pytest.mark.parametrize(
    "objects",
    ["][", "- a", "kind: Deployment", "5", "&a [*a]", "!!python/object/apply:os.system [id]", "\x00", "",
     "kind: Deployment\nmetadata: {name: x, ownerReferences: [], labels: {}}"],
)  # fmt: skip
def test_a_release_that_someone_wrote_over_is_refused_as_a_whole(objects: str) -> None:
    written = manifests.release(BOTH, manifests.service_objects(BOTH, WEB))
    for damaged in (written["data"] | {"objects": objects}, {"objects": objects}, None):
        with pytest.raises(Invalid) as told:
            manifests.release_objects({**written, "data": damaged})
        assert told.value.reason == "ReleaseUnreadable"
        assert "iris-release" in told.value.problems[0]
