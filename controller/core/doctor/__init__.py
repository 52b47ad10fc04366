"""What `coachwork doctor` finds: facts in, findings out. Each finding is one line with its remedy.

It does not guess: what can't be known from inside one namespace (a registry's answer, the number of nodes) is a note or
is not mentioned at all. No value of a Secret is in a finding.
"""

from typing import Final

from controller.core.doctor.cluster import (
    autoscalers,
    clock,
    cronjobs,
    kubernetes,
    pod_security,
    rights,
    trial_loose,
    trial_stage,
    version,
)
from controller.core.doctor.finding import Finding, exit_code, from_json, healthy
from controller.core.doctor.quota import quota
from controller.core.doctor.requests import Reached, git, images, one_request, requests
from controller.core.doctor.volume import VolumeFacts, claim, volume

CHECKS: Final = (
    "controller", "version", "rights", "your rights", "volume", "claim", "images", "requests", "git",
    "kubernetes", "clock", "pod security", "quota", "cronjobs", "autoscalers",
)  # fmt: skip

__all__ = [
    "CHECKS", "Finding", "Reached", "VolumeFacts", "autoscalers", "claim", "clock", "cronjobs", "exit_code",
    "from_json", "git", "healthy", "images", "kubernetes", "one_request", "pod_security", "quota", "requests", "rights",
    "trial_loose", "trial_stage", "version", "volume",
]  # fmt: skip
