"""The CronJob of a request's schedule: for each slot a Job whose one pod triggers the request and waits for the run.

The slot's id is the Job's name: the CronJob controller names it REQUEST-MINUTES after the scheduled time (minutes since
1970), so it is the same however often the Job's pod is made again. The pod reads it from its own labels.
"""

from controller.core import names
from controller.core.documents.status import owner_reference
from controller.core.exits import Exit
from controller.core.inputs import podtemplate
from controller.core.manifests import amounts
from controller.core.manifests.objects import stamped
from controller.core.manifests.pod import complete, failure_policy, security
from controller.core.model import Object, Policy, Request

CONTAINER = "trigger"
SLOT = "COACHWORK_SLOT"
JOB_NAME = "batch.kubernetes.io/job-name"  # label that the Job controller puts on its pods (Kubernetes 1.27)
STARTING_DEADLINE = 600  # seconds: a slot that could not begin by then is missed
HISTORY = 3  # Jobs that stay, of the good and of the failed each
POD_RETRIES = 6  # for the pod's own troubles: the run itself is never started twice
FINAL = (Exit.FAILED, Exit.INVALID, Exit.NOT_FOUND, Exit.CANCELLED)  # that another pod would only repeat


def cronjob(request: Request, policy: Policy, template: str = "") -> Object:
    """Return the CronJob that triggers `request` at its schedule's times; its pods go where the template says."""
    pod: Object = {  # admitted under Pod Security `restricted`, with a token and without the volume
        "restartPolicy": "Never",
        "serviceAccountName": policy.trigger_account,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": security(policy),
        "containers": [_container(request, policy)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}],
    }
    job = {
        "backoffLimit": POD_RETRIES,
        "podFailurePolicy": failure_policy(CONTAINER, [int(code) for code in FINAL]),
        "template": complete(
            podtemplate.under_other(template, {"metadata": {"labels": _labels(request)}, "spec": pod}), policy
        ),
    }
    spec: Object = {
        "schedule": request.schedule,
        "timeZone": request.time_zone or "Etc/UTC",
        "suspend": request.suspend,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": STARTING_DEADLINE,
        "successfulJobsHistoryLimit": HISTORY,
        "failedJobsHistoryLimit": HISTORY,
        "jobTemplate": {"metadata": {"labels": _labels(request)}, "spec": job},
    }
    return stamped({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": request.name,
            "namespace": policy.namespace,
            "labels": {**_labels(request), names.REQUEST_UID: request.uid, names.MANAGED_BY: names.MANAGER},
            "ownerReferences": [owner_reference(request.name, request.uid)],
        },
        "spec": spec,
    })  # fmt: skip


def _labels(request: Request) -> dict[str, str]:
    """Return the labels of the CronJob and all below it. Only itself is watched: its Jobs are Kubernetes' business."""
    return {
        "app.kubernetes.io/name": request.name,
        "app.kubernetes.io/component": CONTAINER,
        names.REQUEST: request.name,
    }


def _container(request: Request, policy: Policy) -> Object:
    slot = {"fieldRef": {"fieldPath": f"metadata.labels['{JOB_NAME}']"}}
    return {
        "name": CONTAINER,
        "image": policy.trigger_image or policy.image,
        "imagePullPolicy": policy.image_pull_policy,
        "command": ["coachwork", "trigger", request.name, "--id", f"$({SLOT})", "--wait"],
        "env": [{"name": SLOT, "valueFrom": slot}],
        "resources": amounts.OF_TRIGGERS,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 (the pod's own)
    }
