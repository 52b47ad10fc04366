"""What our containers ask of a node: the installation's defaults where nobody else names an amount.

A namespace with a ResourceQuota of cpu or memory admits no pod that leaves open what the quota counts.
"""

from decimal import Decimal

from controller.core.model import Object, Policy
from controller.core.text import parse_quantity

OF_TRIGGERS: Object = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}


def of_builds(policy: Policy) -> Object:
    """Return the requests of a build of an environment."""
    return {"requests": {"cpu": "250m", "memory": f"{policy.install_memory_mb}Mi"}}


def completed(container: Object, policy: Policy) -> Object:
    """Return a container whose open amounts are the installation's defaults.

    A limit alone stays so, since Kubernetes takes it for the request as well; a default limit is at least the request.
    """
    given = container.get("resources") or {}
    requests: Object = given.get("requests") or {}
    limits: Object = given.get("limits") or {}
    requests = {**{name: amount for name, amount in policy.default_requests if name not in limits}, **requests}
    limits = {**{name: max(amount, requests.get(name, "0"), key=number) for name, amount in policy.default_limits},
              **limits}  # fmt: skip
    resources = {part: amounts for part, amounts in (("requests", requests), ("limits", limits)) if amounts}
    return {**container, "resources": {**given, **resources}} if resources else container


def leaves_open(container: Object, other: Object) -> bool:
    """Return whether a container names no amount of something of which another does, as a request or as a limit."""
    given, wanted = (
        {(part, name) for part in ("requests", "limits") for name in (item.get("resources") or {}).get(part) or ()}
        for item in (container, other)
    )
    return not wanted <= given


def number(amount: str) -> Decimal:
    """Return the number of an amount, 0 of what is none."""
    return parse_quantity(str(amount)) or Decimal(0)
