"""The Job that builds one environment: install.py in the image of the stage that will use it.

No request owns it, since it serves all whose stages ask for the same packages. Settings of private indexes come
from the request's Secret: UV_* as variables, `netrc` and `ca.crt` as files. Nothing else of the cluster's reaches it.
"""

from pathlib import PurePosixPath
from typing import Any

from controller.core import layout, names
from controller.core.inputs import index, podtemplate
from controller.core.manifests import amounts, pod, process
from controller.core.manifests.context import RunContext
from controller.core.model import Environment, Object

RETRIES = 2  # of what may pass: an index that does not answer, a node that goes away
MEMORY_LEAST = 256  # MiB below which a build is not worth the try
KEPT_SECONDS = 3600  # an ended Job that nobody reads any more goes by itself
SPARE_SECONDS = 60  # for the pod's own start and end


def build(context: RunContext, environment: Environment) -> Object:
    """Return the Job env-KEY."""
    policy, spec = context.policy, context.spec
    command = process.command("install.py", order(context, environment))
    container = pod.container(context, environment.stages[0], command) | {
        "env": _variables(context),
        "volumeMounts": _mounts(context, environment),
        "resources": amounts.of_builds(policy),
    }
    files = [{"key": key, "path": key} for key in spec.index_keys if key in index.FILES]
    volume = {"name": names.INDEX_VOLUME, "secret": {"secretName": spec.index_secret, "items": files}}
    template = pod.spec(policy, container, [volume] if files else []) | {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": policy.install_limit + policy.grace_period + policy.start_grace + SPARE_SECONDS,
    }
    labels = {
        "app.kubernetes.io/name": "environment",
        "app.kubernetes.io/part-of": names.MANAGER,
        names.MANAGED_BY: names.MANAGER,
        names.ENVIRONMENT: environment.folder,
    }
    metadata = {"name": names.build(environment.folder), "namespace": policy.namespace, "labels": labels}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": RETRIES,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "podFailurePolicy": pod.failure_policy(),
            "template": pod.complete(
                podtemplate.under_other(spec.pod_template, {"metadata": {"labels": labels}, "spec": template}), policy
            ),
        },
    }


def _mounts(context: RunContext, environment: Environment) -> list[Object]:
    spec = context.spec
    return [
        pod.mount(layout.checkout(spec.repository, spec.commit), layout.IN_CHECKOUT, read_only=True),
        pod.mount(layout.tools(context.policy.tools), layout.IN_TOOLS, read_only=True),
        pod.mount(layout.build(environment.folder), _own(environment)),
        *([pod.mount(layout.BUILD_CACHE, _cache(context, environment))] if context.policy.platform else []),
        *([pod.mount(layout.environment(environment.folder), layout.IN_ENVIRONMENT)] if context.policy.wake else []),
        *(
            pod.mount(layout.checkout(source.repository, source.commit), _source(number), read_only=True)
            for number, source in enumerate(environment.sources)
        ),
        *(
            [{"name": names.INDEX_VOLUME, "mountPath": str(layout.IN_INDEX), "readOnly": True}]
            if index.FILES.keys() & set(spec.index_keys)
            else []
        ),
        *pod.private_mounts(),
    ]


def _own(environment: Environment) -> PurePosixPath:
    return layout.IN_BUILDS / environment.folder


def _cache(context: RunContext, environment: Environment) -> PurePosixPath:
    """Return where uv's cache is: who can write into it can change what its next user installs.

    So it is the build's own, and on its mount, where uv links. On a laptop nothing keeps processes apart, and all
    builds share one.
    """
    return (layout.IN_BUILDS if context.policy.platform else _own(environment)) / layout.BUILD_CACHE.name


def _source(number: int) -> PurePosixPath:
    return layout.IN_SOURCES / str(number)


def _variables(context: RunContext) -> list[Object]:
    secret, keys = context.spec.index_secret, context.spec.index_keys
    values = {"HOME": str(layout.IN_SCRATCH / "home"), "USER": "stage", "LOGNAME": "stage", "PYTHONUNBUFFERED": "1"}
    values |= {index.FILES[key]: str(layout.IN_INDEX / key) for key in keys if key in index.FILES}
    return [
        *({"name": name, "value": process.escape(value)} for name, value in values.items()),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            for name, key in index.variables(keys).items()
        ),
    ]


def order(context: RunContext, environment: Environment) -> dict[str, Any]:
    """Return install.py's settings (see there).

    Only a builder that can wake us compiles what is published; it has the environment mounted for that, and writes in
    it until its Job has ended. On a laptop, stages write what they compile.
    """
    spec, policy = context.spec, context.policy
    return {
        "kind": "environment",
        "commit": spec.commit,
        "project": spec.path,
        "environment": environment.folder,
        "sources": {source.address: str(_source(number)) for number, source in enumerate(environment.sources)},
        "limit": policy.install_limit,
        "grace": policy.grace_period,
        "log_cap": policy.log_cap,
        "space": policy.install_space,
        "memory": MEMORY_LEAST,
        "secrets": [key for key in spec.index_keys if key not in index.FILES],
        "paths": {
            "checkout": str(layout.IN_CHECKOUT),
            "tools": str(layout.IN_TOOLS),
            "scratch": str(layout.IN_SCRATCH),
            "logs": str(_own(environment) / "logs"),
            "build": str(_own(environment)),
            "cache": str(_cache(context, environment)),
            **({"published": str(layout.IN_ENVIRONMENT)} if policy.wake else {}),
        },
        **({"compiles": False} if policy.platform else {}),
        **process.wake(policy, environment.folder),
    }
