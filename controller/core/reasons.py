"""The reasons that a run, a stage or an attempt can fail for, as a closed set: labels of metrics. All others are OTHER.

A stage's container can give any word as its reason, and so can a kubelet.
"""

from typing import Final

OTHER: Final = "Other"
OF_GIT: Final = frozenset({
    *("GitAuthorityMalformed", "GitCertificate", "GitFailed", "GitHostKeyChanged", "GitHostKeyUnknown"),
    *("GitInterrupted", "GitKeyUnusable", "GitKnownHostsMalformed", "GitNegotiation", "GitProxy", "GitRefused"),
    *("GitSecretMalformed", "GitSecretRequired", "GitSecretUnfit", "GitServerError", "GitTimeout", "GitUnreachable"),
    *("NotPublished", "PathNotFound", "RefAmbiguous", "RefNotFound", "RepositoryEmpty", "RepositoryNotFound"),
    *("RepositoryRefused", "RepositoryTooLarge", "VolumeFailed", "VolumeFull", "VolumeUnavailable", OTHER),
})  # fmt: skip
"""Of questions to Git."""

OF_ATTEMPTS: Final = frozenset({
    *("ArtifactsUnwritable", "DiskFull", "Evicted", "ExitCode", "ImportError", "InstallFailed", "NotCompiled"),
    *("OutOfMemory", "PeerMissing", "PodLost", "Signal", "Terminated", "TimedOut", "Unknown", "VolumeFull", OTHER),
})  # fmt: skip
"""Of attempts that another one follows."""

OF_RUNS: Final = frozenset({
    *(OF_GIT | OF_ATTEMPTS) - {"NotCompiled", "VolumeFailed", "VolumeUnavailable", "NotPublished"},
    *("ArtifactsUnreadable", "BeingDeleted", "CheckoutMissing", "ContainerFailed", "DeadlineExceeded"),
    *("DisruptedTooOften",),
    *("EnvironmentMissing", "EnvironmentOutdated", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume"),
    *("FailedMount", "GitRequirementUnreachable", "GitSecretKeyMissing", "GitSecretMissing", "GitSecretType"),
    *("ImageUnavailable", "InvalidImageName", "InvalidPodTemplate", "InvalidProject", "InvalidRequest"),
    *("InvalidTrigger", "JobDeleted", "JobSuspended", "LauncherFailed", "LogUnavailable", "MissingConfiguration"),
    *("NameTaken", "NoProject", "NotReady", "NothingToReuse", "PodRefused", "PodTemplateMissing", "QuotaExceeded"),
    *("RecordTooNew", "RejectedByCluster", "ReleaseUnreadable", "RequirementNotMet", "RunNotKept", "ScriptMissing"),
    *("SecretMissing", "SecretUnusable", "ServerError", "ServiceEnded", "StartupTimeout", "UnknownStage"),
    *("Unschedulable", "WorkspaceFailed", "WorkspaceFull", "WorkspaceTooLarge"),
})  # fmt: skip
"""Of runs that failed, and of what no run came of."""


def closed(reason: str, known: frozenset[str]) -> str:
    """Return the reason if it is one of those that are known, else OTHER."""
    return reason if reason in known else OTHER
