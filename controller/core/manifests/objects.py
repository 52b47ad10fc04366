"""The objects of a stage and of a request's release."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from controller.core import layout, names
from controller.core.documents import release as releases
from controller.core.documents.codec import Absent, Corrupt, Good, RecordTooNew, TooNew
from controller.core.documents.status import owner_reference
from controller.core.errors import Invalid
from controller.core.manifests import pod
from controller.core.manifests.context import RunContext, metadata, selector
from controller.core.manifests.process import repeats
from controller.core.model import Batch, Object, Service, Stage
from controller.core.text import fit

REMEMBERED = 32  # releases
AUTOSCALER = "HorizontalPodAutoscaler"
TRAVEL_SECONDS = 2  # until a ready pod's address has reached the nodes (kube-proxy gathers changes for a second)


def job(context: RunContext, stage: Stage) -> Object:
    """Return the Job of a batch stage."""
    if not isinstance(stage.work, Batch):
        raise TypeError(f"{stage.name} is a service stage: it has no Job")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(context, context.job_name(stage.name), stage),
        "spec": {**_attempts(context, stage.work), "template": pod.template(context, stage)},
    }


def _attempts(context: RunContext, work: Batch) -> Object:
    """Return how often a Job's pods are made, and how many of them.

    An index that fails for good leaves the others alone, but for peers: they wait for each other.
    """
    retries = work.retries - repeats(context.policy, work)
    if not (parallel := work.parallel):
        return {"backoffLimit": retries, "podFailurePolicy": pod.failure_policy()}
    return {
        "completionMode": "Indexed",
        "completions": parallel.count,
        "parallelism": parallel.at_once,
        "backoffLimitPerIndex": retries,
        **({"maxFailedIndexes": 0} if parallel.peers else {}),
        "podFailurePolicy": pod.failure_policy(final="FailIndex"),
    }


def stage_objects(context: RunContext, stage: Stage) -> tuple[Object, ...]:
    """Return all objects of a stage: of a batch stage the Service of its peers, if it has any, and its Job."""
    if isinstance(stage.work, Service):
        return service_objects(context, stage)
    return (*([peers(context, stage)] if stage.has_peers else []), job(context, stage))


def peers(context: RunContext, stage: Stage) -> Object:
    """Return the Service by which the pods of a stage's indexes find each other, from their first moment on."""
    label = pod.peers_label(context, stage)
    made = metadata(context, context.peers_name(stage.name), stage)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**made, "labels": {**made["labels"], **label}},
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": label},
    }


def deployment(context: RunContext, stage: Stage) -> Object:
    """Return the Deployment of a service stage, marked with the digest of all that it depends on."""
    digest = digest_of(_deployment(context.unversioned(stage.name), stage, ""))
    return stamped(_deployment(context, stage, digest), digest)


def _deployment(context: RunContext, stage: Stage, digest: str) -> Object:
    if not isinstance(stage.work, Service):
        raise TypeError(f"{stage.name} is a batch stage: it has no Deployment")
    policy, work = context.policy, stage.work
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(context, context.service_name(stage.name), stage),
        "spec": {
            "replicas": work.replicas,  # of a service that scales: the least
            "selector": {"matchLabels": dict(selector(context, stage))},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "minReadySeconds": TRAVEL_SECONDS,
            "progressDeadlineSeconds": work.max_startup_seconds + policy.install_limit + policy.schedule_grace,
            "revisionHistoryLimit": 1,
            "template": pod.template(context, stage, digest),
        },
    }


def service_objects(context: RunContext, stage: Stage) -> tuple[Object, ...]:
    """Return all objects of a service stage: the Deployment first, its Service, and what else it asks for."""
    if not isinstance(stage.work, Service):
        raise TypeError(f"{stage.name} is a batch stage: it has no Service")
    name = context.service_name(stage.name)
    objects = [deployment(context, stage), _service(context, stage, name, stage.work)]
    if alias := context.alias(stage.name):
        objects.append(_service(context, stage, alias, stage.work))
    if stage.work.ingress:
        objects.append(_ingress(context, stage, name, stage.work))
    if stage.work.scales:
        objects.append(_autoscaler(context, stage, name, stage.work))
    # Pods that can be on one node only have nowhere to go when it is drained: a budget would stop that for good.
    if stage.work.several and not context.policy.node:
        objects.append(_budget(context, stage, name))
    return tuple(objects)


def _service(context: RunContext, stage: Stage, name: str, work: Service) -> Object:
    return stamped({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(context, name, stage, run=False),
        "spec": {
            "type": "ClusterIP",
            "selector": dict(selector(context, stage)),
            # A named target lets old and new pods differ in their port while a rollout lasts.
            "ports": [{"name": pod.PORT_NAME, "port": work.port, "targetPort": pod.PORT_NAME, "protocol": "TCP"}],
        },
    })  # fmt: skip


def _ingress(context: RunContext, stage: Stage, name: str, work: Service) -> Object:
    policy = context.policy.ingress
    backend = {"service": {"name": name, "port": {"number": work.port}}}
    plain = policy.path_type == "Prefix"
    path = context.public_path(stage.name) + ("" if plain else "(/|$)(.*)")
    rule: Object = {"http": {"paths": [{"path": path, "pathType": policy.path_type, "backend": backend}]}}
    spec: Object = {"rules": [{"host": policy.host, **rule} if policy.host else rule]}
    if policy.class_name:
        spec["ingressClassName"] = policy.class_name
    if policy.tls_secret:
        spec["tls"] = [{"secretName": policy.tls_secret, **({"hosts": [policy.host]} if policy.host else {})}]
    rewrite = {} if plain else {"nginx.ingress.kubernetes.io/rewrite-target": "/$2"}
    return stamped({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {**metadata(context, name, stage, run=False), "annotations": rewrite | dict(policy.annotations)},
        "spec": spec,
    })  # fmt: skip


def _autoscaler(context: RunContext, stage: Stage, name: str, work: Service) -> Object:
    # The stage's container alone: of a pod with containers that somebody adds, the load of all could not be measured.
    cpu = {
        "name": "cpu",
        "container": names.STAGE_CONTAINER,
        "target": {"type": "Utilization", "averageUtilization": work.target_cpu_percent},
    }
    return stamped({
        "apiVersion": "autoscaling/v2",
        "kind": AUTOSCALER,
        "metadata": metadata(context, name, stage, run=False),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": work.replicas,
            "maxReplicas": work.max_replicas,
            "metrics": [{"type": "ContainerResource", "containerResource": cpu}],
        },
    })  # fmt: skip


def _budget(context: RunContext, stage: Stage, name: str) -> Object:
    return stamped({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(context, name, stage, run=False),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": dict(selector(context, stage))},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",  # what serves nobody keeps no node from being drained
        },
    })  # fmt: skip


def stamped(manifest: Object, digest: str = "") -> Object:
    """Return a manifest that says what it was made from: this digest, else its own."""
    annotations = {**manifest["metadata"].get("annotations", {}), names.DIGEST: digest or digest_of(manifest)}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def digest_of(manifest: Object) -> str:
    """Return a digest of a manifest: equal for equal content."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def with_uid(manifest: Object, uid: str) -> Object:
    """Return the manifest for an apply to an object that exists: the uid keeps it from moving another's to us."""
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}


def release(context: RunContext, objects: Sequence[Object]) -> Object:
    """Return the NAME-release ConfigMap: the service objects of a good run as they were applied."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.release_of(context.request),
            "namespace": context.policy.namespace,
            "labels": {
                names.ROLE: names.ROLE_RELEASE,
                names.REQUEST: context.request,
                names.RUN: str(context.run),
                names.MANAGED_BY: names.MANAGER,
            },
            "ownerReferences": [owner_reference(context.request, context.uid)],
        },
        "data": releases.write(context.run, context.spec.commit, objects),
    }


def release_objects(configmap: Object) -> tuple[Object, ...]:
    """Return the objects of known kinds that a NAME-release holds.

    Raises Invalid where it was written over by someone, RecordTooNew.
    """
    name = (configmap.get("metadata") or {}).get("name", "")
    match releases.read(configmap.get("data") or {}, name):
        case Good(objects):
            return tuple(item for item in objects if item["kind"] in releases.KINDS)
        case TooNew(_, problem):
            raise RecordTooNew(problem)
        case Absent() | Corrupt():
            remedy = "delete it; the next good run writes it again"
            raise Invalid("ReleaseUnreadable", [f"ConfigMap {name}: not what was written ({remedy})"])


def event(request: Mapping[str, str], name: str, kind: str, reason: str, message: str) -> Object:
    """Return an Event about the request; `request` has name, namespace, uid and now; `kind` is Normal or Warning.

    The name is deterministic: the same news twice is one Event.
    """
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": request["namespace"]},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": request["name"],
            "namespace": request["namespace"],
            "uid": request["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": fit(message),
        "source": {"component": names.MANAGER},
        "firstTimestamp": request["now"],
        "lastTimestamp": request["now"],
        "count": 1,
    }


def folders_of(manifest: Object) -> tuple[PurePosixPath, ...]:
    """Return the folders of the shared volume that must be there before an object's pods.

    The kubelet would make a missing one, and root would own it.
    """
    template = manifest.get("spec", {}).get("template") or {"spec": {"containers": ()}}
    mounts = (mount for item in template["spec"]["containers"] for mount in item["volumeMounts"])
    paths = (PurePosixPath(mount.get("subPath", "")) for mount in mounts if mount["name"] == names.SHARED_VOLUME)
    if environment := names.environment_of(manifest):
        others = (layout.environment(environment), layout.BUILD_CACHE)
        return layout.build_logs(environment), *(path for path in paths if path in others)
    return tuple(path for path in paths if path.is_relative_to(layout.RUNS))
