"""The pod of a stage: the launcher in the stage's image, its parts of the volume, its environment.

Admitted under Pod Security `restricted`; no API token, no service links. The launcher's settings travel as one JSON
argument. `$` is doubled everywhere: the kubelet expands `$(NAME)` in arguments and values otherwise.
"""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from controller.core import layout, names
from controller.core.facts.pods import LAUNCHER_FAILED
from controller.core.inputs import podtemplate
from controller.core.manifests.context import RunContext, labels
from controller.core.model import Batch, Object, Policy, Service, Stage

PORT_NAME = "http"
DISRUPTIONS = 5  # attempts that evictions, drains and preemption may take beyond the user's retries
PRE_STOP_SECONDS = 5  # a leaving pod still answers while the change of endpoints travels (DESIGN 2.3.6)
SCRATCH_SPARE = 64 << 20  # bytes for the launcher's own files: it tells of a full disk before the node evicts
SPARE_SECONDS = 10  # for the launcher's own work after the script's end


def template(context: RunContext, stage: Stage, digest: str = "") -> Object:
    """Give the pod template of a stage; `digest` marks the pods of a service's present template."""
    metadata: Object = {"labels": labels(context, stage)}
    if digest:
        metadata["annotations"] = {names.DIGEST: digest}
    return podtemplate.under_stage(context.spec.pod_template, {"metadata": metadata, "spec": _spec(context, stage)})


def _spec(context: RunContext, stage: Stage) -> Object:
    pod = spec(context.policy, _container(context, stage))
    if isinstance(stage.work, Batch):
        return pod | {"restartPolicy": "Never", "activeDeadlineSeconds": _backstop(context, stage.work)}
    return pod


def spec(policy: Policy, container: Object, volumes: Sequence[Object] = ()) -> Object:
    """Give the part of a pod that all pods of ours share: who it runs as, where, and its volumes."""
    user = policy.uid
    pod: Object = {
        "serviceAccountName": policy.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": policy.grace_period + PRE_STOP_SECONDS + SPARE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": names.SHARED_VOLUME, "persistentVolumeClaim": {"claimName": policy.claim}},
            {"name": names.SCRATCH_VOLUME, "emptyDir": {"sizeLimit": str(policy.scratch_limit + SCRATCH_SPARE)}},
            {"name": names.SHM_VOLUME, "emptyDir": {"medium": "Memory"}},
            *volumes,
        ],
    }
    if policy.node:
        pod["affinity"] = _on_node(policy.node)
    return pod


def failure_policy() -> Object:
    """Give the podFailurePolicy of our Jobs.

    Disruptions don't use up retries, and the launcher's own failures (exit code 121) are not tried again
    (KEP-3329: the first rule that matches decides, and a condition's status must be written out).
    """
    own_failure = {"containerName": names.STAGE_CONTAINER, "operator": "In", "values": [LAUNCHER_FAILED]}
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": own_failure},
        ]
    }


def _on_node(name: str) -> Object:
    """Give the affinity to one node by its name; the label kubernetes.io/hostname need not be equal to it."""
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]}]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _backstop(context: RunContext, work: Batch) -> int:
    """Give the pod's own limit in seconds: past all that the launcher watches itself. The pod stays, with its cause.

    The limit of an installation is in it, since an environment that does not fit the image's Python is built anew.
    """
    policy = context.policy
    return work.max_completion_seconds + policy.install_limit + policy.grace_period + policy.start_grace + SPARE_SECONDS


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
    command = ["python3", str(layout.IN_TOOLS / "launch.py"), escape(json.dumps(launch(context, stage)))]
    made = container(context, stage.name, command)
    made |= {"env": environment(context, stage), "volumeMounts": [*_mounts(context, stage), *private_mounts()]}
    if resources := _resources(stage):
        made["resources"] = resources
    return made | _serving(stage.work) if isinstance(stage.work, Service) else made


def _serving(work: Service) -> Object:
    """Give what a service's container has beyond a batch stage's: its port, when it is ready, how it leaves."""
    probe: Object = {"tcpSocket": {"port": PORT_NAME}}
    if work.readiness_path:
        probe = {"httpGet": {"path": work.readiness_path, "port": PORT_NAME}}
    return {
        "ports": [{"name": PORT_NAME, "containerPort": work.port}],
        "readinessProbe": {**probe, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 3},
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
    }


def _resources(stage: Stage) -> Object:
    wanted = stage.resources
    requests = _quantities(wanted.cpu_request, wanted.memory_request_mb)
    limits = _quantities(wanted.cpu_limit, wanted.memory_limit_mb)
    if wanted.gpu:
        limits["nvidia.com/gpu"] = str(wanted.gpu)
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def _quantities(cores: float | None, mebibytes: int | None) -> dict[str, str]:
    quantities = {}
    if cores is not None:
        quantities["cpu"] = f"{round(cores * 1000)}m"
    if mebibytes is not None:
        quantities["memory"] = f"{mebibytes}Mi"
    return quantities


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
    """Give the mount of a folder of the shared volume at `path`."""
    return {"name": names.SHARED_VOLUME, "subPath": str(folder), "mountPath": str(path), "readOnly": read_only}


def private_mounts() -> list[Object]:
    """Give the mounts of what is the pod's alone."""
    return [
        {"name": names.SCRATCH_VOLUME, "mountPath": str(layout.IN_SCRATCH)},
        {"name": names.SHM_VOLUME, "mountPath": layout.SHM},
    ]


def launch(context: RunContext, stage: Stage) -> dict[str, Any]:
    """Give the launcher's settings (see runtime/launch.py)."""
    work, policy = stage.work, context.policy
    used = context.environment_of(stage.name)
    settings: dict[str, Any] = {
        "kind": "batch" if isinstance(work, Batch) else "service",
        "commit": context.spec.commit,
        "project": context.spec.path,
        "folder": stage.folder,
        "script": stage.script,
        "args": list(stage.args),
        "requirements": _requirements(stage),
        "environment": used.folder if used else "",
        "install_limit": policy.install_limit,
        "workspace_limit": policy.scratch_limit,
        "secrets": _secret_variables(context, stage),  # the names: their values are blanked in messages
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
    if isinstance(work, Batch):
        return settings | {"limit": work.max_completion_seconds, "attempts": work.retries + 1 + DISRUPTIONS}
    return settings | {"limit": work.max_startup_seconds, "port": work.port, "readiness_path": work.readiness_path}


def _secret_variables(context: RunContext, stage: Stage) -> list[str]:
    own = [secret.variable for secret in stage.secrets]
    set_here = {item["name"] for item in environment(context, stage)}
    return own + [name for name in podtemplate.secret_variables(context.spec.pod_template) if name not in set_here]


def _requirements(stage: Stage) -> str:
    """Give where a package that is missing would be named."""
    if stage.requirements_file or not stage.requirements:
        return stage.requirements_file or str(PurePosixPath(stage.folder) / "requirements.txt")
    return "the stage's `requirements` in bodywork.yaml"


def environment(context: RunContext, stage: Stage) -> list[Object]:
    """Give the container's variables, each name once; later kinds win.

    These are [env], the request's env.*, the run's parameters, [secrets], and what is ours.
    """
    values: dict[str, Object] = {}
    for name, value in (*stage.env, *context.spec.env, *context.spec.parameters):
        values[name] = {"name": name, "value": escape(value)}
    for secret in stage.secrets:
        reference = {"name": secret.secret, "key": secret.key, **({"optional": True} if secret.optional else {})}
        values[secret.variable] = {"name": secret.variable, "valueFrom": {"secretKeyRef": reference}}
    for name, value in _reserved(context, stage).items():
        values[name] = {"name": name, "value": escape(value)}
    values["COACHWORK_POD_IP"] = {
        "name": "COACHWORK_POD_IP",
        "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
    }
    return list(values.values())


def _reserved(context: RunContext, stage: Stage) -> dict[str, str]:
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
    return values


def escape(text: str) -> str:
    """Give `text` so that the kubelet hands it on unchanged (it reads `$$` as `$`, and `$(NAME)` as a reference)."""
    return text.replace("$", "$$")
