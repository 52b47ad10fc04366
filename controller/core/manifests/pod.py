"""The pod of a stage: the launcher in the stage's image, its parts of the volume, where it runs and as whom.

Admitted under Pod Security `restricted`; no API token, no service links.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from controller.core import layout, names
from controller.core.facts.pods import LAUNCHER_FAILED
from controller.core.inputs import podtemplate
from controller.core.manifests import amounts, process
from controller.core.manifests.context import RunContext, labels, selector
from controller.core.model import Batch, Object, Policy, Service, Stage

PORT_NAME = "http"
PEERS_SECONDS = 600  # that the launcher waits for the names of all peers
PRE_STOP_SECONDS = 5  # a leaving pod still answers while the change of endpoints travels
SCRATCH_SPARE = 64 << 20  # bytes for the launcher's own files: it reports a full disk before the node evicts
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
        if process.repeats(policy, stage.work):
            limit += stage.work.max_completion_seconds + policy.first_retry
        pod |= {"restartPolicy": "Never", "activeDeadlineSeconds": limit + SPARE_SECONDS}
        if stage.has_peers:  # with the host name that an index has: INDEX's name is JOB-INDEX.SERVICE
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


def peers_label(context: RunContext, stage: Stage) -> dict[str, str]:
    """Return the label by which the peers of a stage are found, and may be connected to."""
    return {names.PEERS: context.peers_name(stage.name)} if stage.has_peers else {}


def complete(template: Object, policy: Policy) -> Object:
    """Return a pod template whose one container has the installation's default amounts where it names none."""
    (container,) = template["spec"]["containers"]
    return {**template, "spec": {**template["spec"], "containers": [amounts.completed(container, policy)]}}


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
    pod = container(context, stage.name, process.command("launch.py", process.launch(context, stage)))
    pod |= {"env": process.variables(context, stage), "volumeMounts": [*_mounts(context, stage), *private_mounts()]}
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
