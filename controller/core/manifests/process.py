"""What a container of ours runs: a script of the runtime with its settings, and its environment variables.

The settings travel as JSON, in one argument unless that is longer than Linux takes. `$` is doubled everywhere: the
kubelet expands `$(NAME)` in arguments and values otherwise.
"""

import json
from pathlib import PurePosixPath
from typing import Any

from controller.core import layout, names, numbers
from controller.core.facts.workloads import FIRST_PAUSE
from controller.core.inputs import podtemplate
from controller.core.manifests.context import RunContext
from controller.core.model import Batch, Object, Policy, Service, Stage

PEERS_PORT = 29500  # that the first of peers is to listen on: PyTorch's own
DISRUPTIONS = 5  # attempts that evictions, drains and preemption may take beyond the user's retries
ARGUMENT_LIMIT = 120 * 1024  # bytes; Linux refuses one of 128 KiB and more (MAX_ARG_STRLEN)


def repeats(policy: Policy, work: Batch) -> bool:
    """Return whether the first retry is the launcher's, in the pod of the first failure, and not the Job's."""
    return work.retries > 0 and policy.first_retry < FIRST_PAUSE


def launch(context: RunContext, stage: Stage) -> dict[str, Any]:
    """Return the launcher's settings (see runtime/launch.py)."""
    work, policy = stage.work, context.policy
    used = context.environment_of(stage.name)
    requirements = stage.requirements_file or "the stage's `requirements` in bodywork.yaml"
    if not stage.requirements_file and not stage.requirements:  # where a package that is missing would be named
        requirements = str(PurePosixPath(stage.folder) / "requirements.txt")
    ours = {item["name"] for item in variables(context, stage)}
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


def variables(context: RunContext, stage: Stage) -> list[Object]:
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
    if stage.parallel:
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
    if stage.parallel:
        values["COACHWORK_COUNT"] = str(stage.parallel.count)
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
