"""What `coachwork doctor` says: facts in, findings out. Pure; each finding is one line with its remedy.

Refuses to guess: what can't be known from inside one namespace (a registry's answer, the number of nodes) is a note or
is not said at all. No value of a Secret is in a finding.
"""

from controller.core.doctor.asked import git, images, one_request, requests, wanted_secrets
from controller.core.doctor.finding import (
    CHECKS,
    Finding,
    Reached,
    Rights,
    State,
    VolumeFacts,
    from_json,
    healthy,
    to_json,
)
from controller.core.doctor.standing import clock, cronjobs, pod_security, rights, trial_loose, trial_stage, version
from controller.core.doctor.storage import claim, volume

__all__ = [
    "CHECKS",
    "Finding",
    "Reached",
    "Rights",
    "State",
    "VolumeFacts",
    "claim",
    "clock",
    "cronjobs",
    "from_json",
    "git",
    "healthy",
    "images",
    "one_request",
    "pod_security",
    "requests",
    "rights",
    "to_json",
    "trial_loose",
    "trial_stage",
    "version",
    "volume",
    "wanted_secrets",
]
