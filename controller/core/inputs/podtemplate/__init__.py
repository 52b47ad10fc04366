"""The `pod.yaml` that a request's `pod-template` names: read once at a run's start, merged under each of its pods.

Ours always win, and nothing that keeps a stage in its bounds can be loosened: what may be said is listed, field by
field, in `forms.py`, and everything else is refused with its path. A run keeps the template that it began with as
canonical JSON, so that all its manifests, and the digests of its services, follow from its record.
"""

from controller.core.inputs.podtemplate.merging import architecture, secret_variables, under_other, under_stage
from controller.core.inputs.podtemplate.reading import MISSING, UNUSABLE, read

__all__ = ["MISSING", "UNUSABLE", "architecture", "read", "secret_variables", "under_other", "under_stage"]
