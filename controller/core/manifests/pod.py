"""The pod of a stage: the launcher in the stage's image, its parts of the volume, its environment.

Admitted under Pod Security `restricted`; no API token, no service links. The launcher's settings travel as JSON,
in one argument unless that is longer than Linux takes. `$` is doubled everywhere: the kubelet expands `$(NAME)` in
arguments and values otherwise.
"""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from controller.core import layout, names, numbers
from controller.core.facts.pods import LAUNCHER_FAILED
from controller.core.facts.workloads import FIRST_PAUSE
from controller.core.inputs import podtemplate
from controller.core.manifests import amounts
from controller.core.manifests.context import RunContext, labels, selector
from controller.core.model import Batch, Object, Policy, Service, Stage

PORT_NAME = "http"
PEERS_SECONDS = 600  # that the launcher waits for the names of all peers
PEERS_PORT = 29500  # that the first of peers is to listen on: PyTorch's own
DISRUPTIONS = 5  # attempts that evictions, drains and preemption may take beyond the user's retries
PRE_STOP_SECONDS = 5  # a leaving pod still answers while the change of endpoints travels
SCRATCH_SPARE = 64 << 20  # bytes for the launcher's own files: it reports a full disk before the node evicts
ARGUMENT_LIMIT = 120 * 1024  # bytes; Linux refuses one of 128 KiB and more (MAX_ARG_STRLEN)
SPARE_SECONDS = 10  # for the launcher's own work after the script's end


def template(context: RunContext, stage: Stage, digest: str = "") -> Object:
    """Return the pod template of a stage; `digest` marks the pods of a service's present template."""
    policy = context.policy
    metadata: Object = {"labels": {**labels(context, stage), **peers_label(context, stage)}}
    if digest:
        metadata["annotations"] = {names.DIGEST: digest}
    pod = spec(policy, _container(context, stage))
    if isinstance(stage.work, Batch):
        # Past all that the launcher watches itself, so that the pod stays, with its cause. The limit of an installation
        # is in it, since an environment that does not fit the image's Python is installed once more for the pod.
        limit = stage.work.max_completion_seconds + policy.install_limit + policy.grace_period + policy.start_grace
        if repeats(policy, stage.work):
            limit += stage.work.max_completion_seconds + policy.first_retry
        pod |= {"restartPolicy": "Never", "activeDeadlineSeconds": limit + SPARE_SECONDS}
        if has_peers(stage):  # with the host name that an index has: INDEX's name is JOB-INDEX.SERVICE
            pod["subdomain"] = context.peers_name(stage.name)
            pod["activeDeadlineSeconds"] += PEERS_SECONDS
    made = complete(podtemplate.under_stage(context.spec.pod_template, {"metadata": metadata, "spec": pod}), policy)
    # Only with a digest, so that services of 0.1.0 roll for another reason first.
    if digest and isinstance(stage.work, Service) and stage.work.several and not policy.node:
        made["spec"].setdefault("topologySpreadConstraints", [_spread(context, stage)])
    return made


def _spread(context: RunContext, stage: Stage) -> Object:
    """Return what puts the pods of one template on different nodes, as far as there are any with room."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(selector(context, stage))},
        "matchLabelKeys": ["pod-template-hash"],
    }


def has_peers(stage: Stage) -> bool:
    """Return whether the indexes of a stage find each other by name."""
    return isinstance(stage.work, Batch) and stage.work.parallel is not None and stage.work.parallel.peers


def peers_label(context: RunContext, stage: Stage) -> dict[str, str]:
    """Return the label by which the peers of a stage are found, and may be connected to."""
    return {names.PEERS: context.peers_name(stage.name)} if has_peers(stage) else {}


def complete(template: Object, policy: Policy) -> Object:
    """Return a pod template whose one container has the installation's default amounts where it names none."""
    (container,) = template["spec"]["containers"]
    return {**template, "spec": {**template["spec"], "containers": [amounts.completed(container, policy)]}}


def repeats(policy: Policy, work: Batch) -> bool:
    """Return whether the first retry is the launcher's, in the pod of the first failure, and not the Job's."""
    return work.retries > 0 and policy.first_retry < FIRST_PAUSE


def spec(policy: Policy, container: Object, volumes: Sequence[Object] = ()) -> Object:
    """Return the part of a pod that all pods on the volume share: who it runs as, where, and its volumes."""
    pod: Object = {
        "serviceAccountName": policy.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": policy.grace_period + PRE_STOP_SECONDS + SPARE_SECONDS,
        "securityContext": security(policy),
        "containers": [container],
        "volumes": [
            {"name": names.SHARED_VOLUME, "persistentVolumeClaim": {"claimName": policy.claim}},
            {"name": names.SCRATCH_VOLUME, "emptyDir": {"sizeLimit": str(policy.scratch_limit + SCRATCH_SPARE)}},
            {"name": names.SHM_VOLUME, "emptyDir": {"medium": "Memory"}},
            *volumes,
        ],
    }
    if policy.node:  # by its name: the label kubernetes.io/hostname need not be equal to it
        fields = [{"key": "metadata.name", "operator": "In", "values": [policy.node]}]
        terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
        pod["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    return pod


def security(policy: Policy) -> Object:
    """Return the securityContext of all pods of ours, as Pod Security `restricted` asks for it."""
    return {
        "runAsNonRoot": True,
        "runAsUser": policy.uid,
        "runAsGroup": policy.uid,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def failure_policy(
    container: str = names.STAGE_CONTAINER, codes: Sequence[int] = (LAUNCHER_FAILED,), final: str = "FailJob"
) -> Object:
    """Return the podFailurePolicy of our Jobs.

    Disruptions don't use up retries, and these exit codes are not tried again (KEP-3329: the first rule that matches
    decides, and a condition's status must be written out).
    """
    hopeless = {"containerName": container, "operator": "In", "values": list(codes)}
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": final, "onExitCodes": hopeless},
        ]
    }


def container(context: RunContext, stage: str, command: list[str]) -> Object:
    """Return the part of a container that all containers of ours share; it has the image of `stage`."""
    return {
        "name": names.STAGE_CONTAINER,
        "image": context.image_of(stage),
        "imagePullPolicy": context.policy.image_pull_policy,
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "File",
    }


def _container(context: RunContext, stage: Stage) -> Object:
    pod = container(context, stage.name, command("launch.py", launch(context, stage)))
    pod |= {"env": environment(context, stage), "volumeMounts": [*_mounts(context, stage), *private_mounts()]}
    named = stage.resources
    requests = _quantities(named.cpu_request, named.memory_request_mb)
    limits = _quantities(named.cpu_limit, named.memory_limit_mb)
    if named.gpu:
        limits["nvidia.com/gpu"] = str(named.gpu)
    if resources := {key: value for key, value in (("requests", requests), ("limits", limits)) if value}:
        pod["resources"] = resources
    if not isinstance(stage.work, Service):
        return pod
    probe: Object = {"tcpSocket": {"port": PORT_NAME}}
    if stage.work.readiness_path:
        probe = {"httpGet": {"path": stage.work.readiness_path, "port": PORT_NAME}}
    return pod | {
        "ports": [{"name": PORT_NAME, "containerPort": stage.work.port}],
        "readinessProbe": {**probe, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 3},
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
    }


def _quantities(cores: float | None, mebibytes: int | None) -> dict[str, str]:
    cpu = {} if cores is None else {"cpu": f"{round(cores * 1000)}m"}
    return cpu if mebibytes is None else {**cpu, "memory": f"{mebibytes}Mi"}


def _mounts(context: RunContext, stage: Stage) -> list[Object]:
    name, uid, run = context.request, context.uid, context.run
    service = isinstance(stage.work, Service)
    used = context.environment_of(stage.name)
    return [
        *([mount(layout.environment(used.folder), layout.IN_ENVIRONMENT, read_only=True)] if used else []),
        mount(layout.checkout(context.spec.repository, context.spec.commit), layout.IN_CHECKOUT, read_only=True),
        mount(layout.tools(context.policy.tools), layout.IN_TOOLS, read_only=True),
        mount(layout.logs(name, uid, run, stage.name), layout.IN_LOGS),
        mount(layout.artifacts(name, uid, run), layout.IN_ARTIFACTS, read_only=service),
        mount(layout.artifacts(name, uid, context.previous), layout.IN_PREVIOUS, read_only=True),
        mount(layout.cache(name, uid), layout.IN_CACHE),
    ]


def mount(folder: PurePosixPath, path: PurePosixPath, *, read_only: bool = False) -> Object:
    """Return the mount of a folder of the shared volume at `path`."""
    return {"name": names.SHARED_VOLUME, "subPath": str(folder), "mountPath": str(path), "readOnly": read_only}


def private_mounts() -> list[Object]:
    """Return the mounts of what is the pod's alone."""
    return [
        {"name": names.SCRATCH_VOLUME, "mountPath": str(layout.IN_SCRATCH)},
        {"name": names.SHM_VOLUME, "mountPath": layout.SHM},
    ]


def launch(context: RunContext, stage: Stage) -> dict[str, Any]:
    """Return the launcher's settings (see runtime/launch.py)."""
    work, policy = stage.work, context.policy
    used = context.environment_of(stage.name)
    requirements = stage.requirements_file or "the stage's `requirements` in bodywork.yaml"
    if not stage.requirements_file and not stage.requirements:  # where a package that is missing would be named
        requirements = str(PurePosixPath(stage.folder) / "requirements.txt")
    ours = {item["name"] for item in environment(context, stage)}
    secrets = [secret.variable for secret in stage.secrets]
    secrets += [name for name in podtemplate.secret_variables(context.spec.pod_template) if name not in ours]
    settings: dict[str, Any] = {
        "kind": "batch" if isinstance(work, Batch) else "service",
        "commit": context.spec.commit,
        "project": context.spec.path,
        "folder": stage.folder,
        "script": stage.script,
        "args": list(stage.args),
        "requirements": requirements,
        "environment": used.folder if used else "",
        "install_limit": policy.install_limit,
        "workspace_limit": policy.scratch_limit,
        "secrets": secrets,  # the names: their values are blanked in messages
        "log_cap": policy.log_cap,
        "grace": policy.grace_period,
        "paths": {
            "checkout": str(layout.IN_CHECKOUT),
            "tools": str(layout.IN_TOOLS),
            "logs": str(layout.IN_LOGS),
            "scratch": str(layout.IN_SCRATCH),
            **({"environment": str(layout.IN_ENVIRONMENT)} if used else {}),
        },
    }
    if stage.notebook:
        own = (name for name, _ in (*stage.env, *context.spec.env, *context.spec.parameters))
        settings["parameters"] = [name for name in dict.fromkeys(own) if name not in secrets]
    if isinstance(work, Batch):
        return settings | _launch_batch(context, stage, work)
    return settings | {"limit": work.max_startup_seconds, "port": work.port, "readiness_path": work.readiness_path}


def _launch_batch(context: RunContext, stage: Stage, work: Batch) -> dict[str, Any]:
    """Return the settings that only the launcher of a batch stage has."""
    policy = context.policy
    settings: dict[str, Any] = {"limit": work.max_completion_seconds, "attempts": work.retries + 1 + DISRUPTIONS}
    if repeats(policy, work):
        settings["first_retry"] = policy.first_retry
    if work.require:
        settings["require"] = numbers.order(work.require, context.numbers.get(stage.name, {}))
    if stage.left_out:
        settings["left_out"] = list(stage.left_out)
    if not work.parallel:
        return settings | wake(policy, context.request)
    # The end of a parallel stage is its Job's: that of one index wakes nobody.
    settings |= {"indexes": work.parallel.count, "each": [[name, list(values)] for name, values in work.parallel.each]}
    if work.parallel.peers:
        job, service = context.job_name(stage.name), context.peers_name(stage.name)
        peers = [f"{job}-{index}.{service}" for index in range(work.parallel.count)]
        settings |= {"peers": peers, "peers_port": PEERS_PORT}
    return settings


def wake(policy: Policy, name: str) -> dict[str, str]:
    """Return the part of an order that says whom to call after a good end; `name` is whom that is about."""
    return {"wake": f"{policy.wake}/wake/{name}"} if policy.wake else {}


def environment(context: RunContext, stage: Stage) -> list[Object]:
    """Return the container's variables, each name once: [env], env.*, parameters, [secrets], ours; later ones win."""
    values: dict[str, Object] = {}
    for name, value in (*stage.env, *context.spec.env, *context.spec.parameters):
        values[name] = {"name": name, "value": escape(value)}
    for secret in stage.secrets:
        reference = {"name": secret.secret, "key": secret.key, **({"optional": True} if secret.optional else {})}
        values[secret.variable] = {"name": secret.variable, "valueFrom": {"secretKeyRef": reference}}
    for name, value in _reserved(context, stage).items():
        values[name] = {"name": name, "value": escape(value)}
    fields = {"COACHWORK_POD_IP": "status.podIP"}
    if isinstance(stage.work, Batch) and stage.work.parallel:
        fields["COACHWORK_INDEX"] = f"metadata.annotations['{names.COMPLETION_INDEX}']"
    for name, path in fields.items():
        values[name] = {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
    return list(values.values())


def _reserved(context: RunContext, stage: Stage) -> dict[str, str]:
    """Return the variables that a project can't set."""
    values = {
        "COACHWORK_REQUEST": context.request,
        "COACHWORK_PROJECT": context.project,
        "COACHWORK_STAGE": stage.name,
        "COACHWORK_RUN": str(context.run),
        "COACHWORK_COMMIT": context.spec.commit,
        "COACHWORK_TRIGGER": context.spec.trigger or context.spec.cause.lower(),
        "COACHWORK_ARTIFACTS": str(layout.IN_ARTIFACTS),
        "COACHWORK_PREVIOUS": str(layout.IN_PREVIOUS),
        "COACHWORK_CACHE": str(layout.IN_CACHE),
        "GIT_COMMIT_HASH": context.spec.commit,
        "HOME": str(layout.IN_SCRATCH / "home"),
        "USER": "stage",
        "LOGNAME": "stage",
        "PYTHONUNBUFFERED": "1",
    }
    if context.failure and stage.name == context.pipeline.run_on_failure:
        values |= {
            "EXCEPTION_MESSAGE": context.failure.message,  # as Bodywork calls it
            "COACHWORK_FAILED_STAGE": context.failure.stage,
            "COACHWORK_FAILED_REASON": context.failure.reason,
        }
    for name, other in sorted(context.pipeline.stages.items()):
        if isinstance(other.work, Service):
            url = f"http://{context.service_name(name)}:{other.work.port}"
            values[f"COACHWORK_URL_{names.variable(name)}"] = url
            if other.work.ingress and (path := context.public_path(name)):
                values[f"COACHWORK_PATH_{names.variable(name)}"] = path
    if isinstance(stage.work, Service):
        values["PORT"] = str(stage.work.port)
    elif stage.work.parallel:
        values["COACHWORK_COUNT"] = str(stage.work.parallel.count)
    return values


def command(script: str, order: Object) -> list[str]:
    """Return what starts a script of the runtime, which puts its arguments together again."""
    return ["python3", str(layout.IN_TOOLS / script), *map(escape, arguments(json.dumps(order)))]


def arguments(text: str) -> list[str]:
    """Return ASCII text in parts that each can be an argument of a process."""
    return [text[start : start + ARGUMENT_LIMIT] for start in range(0, len(text), ARGUMENT_LIMIT)]


def escape(text: str) -> str:
    """Return `text` so that the kubelet hands it on unchanged (it reads `$$` as `$`, and `$(NAME)` as a reference)."""
    return text.replace("$", "$$")
