"""What the cluster holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object exactly as the API gives or takes it."""


@dataclass(frozen=True, slots=True)
class Children:
    """All objects of one request as the watch caches hold them now. `synced` lists only; never half a view."""

    jobs: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    deployments: Sequence[Object] = ()
    services: Sequence[Object] = ()
    ingresses: Sequence[Object] = ()
    autoscalers: Sequence[Object] = ()
    budgets: Sequence[Object] = ()
    events: Sequence[Object] = ()  # Warning events about the jobs and pods above
    cronjobs: Sequence[Object] = ()
