"""Runs, their stages, and the attempts of these."""

from functools import partial
from typing import Final, get_args

from prometheus_client import CollectorRegistry

from controller.adapters.telemetry.families import counter, seconds
from controller.core import reasons
from controller.core.changes import StageKind
from controller.core.model import ENDED

RUN_OUTCOMES: Final = ("Succeeded", "Failed", "Cancelled", "Invalid", "Refused")
RAN: Final = RUN_OUTCOMES[:3]
STAGES: Final[tuple[StageKind, ...]] = get_args(StageKind)
SCRIPTS: Final[tuple[StageKind, ...]] = ("batch", "environment")
ATTEMPT_OUTCOMES: Final = ("succeeded", "failed", "stopped")
ENVIRONMENT_ANSWERS: Final = {"Done": "built", "Reused": "reused", "Failed": "failed"}
REDACTED_IN: Final = ("log", "stage")
LONG: Final = (1, 2, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
SHORT: Final = (0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300, 1800)


class RunMetrics:
    """Counts what became of runs. Implements the reconciler's port."""

    def __init__(self, registry: CollectorRegistry) -> None:
        count, time = partial(counter, registry), partial(seconds, registry)
        self._runs = count("runs", "Runs that ended", outcome=RUN_OUTCOMES)
        self._durations = time("run_duration", "Duration of runs", LONG, outcome=RAN)
        self._waited = time("run_queue", "Time from the request for a run to its start", SHORT)
        self._failures = count("failures", "Runs that failed, or that did not come about", reason=reasons.OF_RUNS)
        self._stages = count("stages", "Stages and environments by how they ended", kind=STAGES, state=ENDED)
        self._stage_durations = time("stage_duration", "Duration of stages with all attempts", LONG, kind=STAGES)
        self._starts = time("stage_start", "Time from a step's opening to a script's start", SHORT, kind=SCRIPTS)
        self._environments = count(
            "environments", "Environments that runs asked for", answer=ENVIRONMENT_ANSWERS.values()
        )
        self._builds = time("environment_build", "Time that runs waited for environments to be built", LONG)
        self._attempts = count("attempts", "Attempts that ended", kind=SCRIPTS, outcome=ATTEMPT_OUTCOMES)
        self._retries = count("retries", "Attempts that another one followed", reason=reasons.OF_ATTEMPTS)
        self._redactions = count("redactions", "Values of secrets that were hidden", place=REDACTED_IN)

    def run_began(self, waited: float) -> None:
        """Note how many seconds a run that has begun was waited for."""
        self._waited.observe(waited)

    def run_ended(self, outcome: str, lasted: float | None) -> None:
        """Count a run that ended (one of RUN_OUTCOMES), and its duration if it had begun."""
        self._runs.labels(outcome).inc()
        if outcome in RAN and lasted is not None:
            self._durations.labels(outcome).observe(lasted)

    def failed(self, reason: str) -> None:
        """Count a run that failed, or that did not come about, by the reason."""
        self._failures.labels(reasons.closed(reason, reasons.OF_RUNS)).inc()

    def stage_ended(self, kind: StageKind, state: str, lasted: float | None) -> None:
        """Count a stage or environment by the state that it ended in, and its duration if it ran to its end."""
        self._stages.labels(kind, state).inc()
        if lasted is not None and state in ("Done", "Failed"):
            self._stage_durations.labels(kind).observe(lasted)
        if kind == "environment" and state in ENVIRONMENT_ANSWERS:
            self._environments.labels(ENVIRONMENT_ANSWERS[state]).inc()
            if lasted is not None and state == "Done":
                self._builds.observe(lasted)

    def script_began(self, kind: StageKind, waited: float | None) -> None:
        """Note how long it took from the opening of a stage's step to the first moment of its script."""
        if kind in SCRIPTS and waited is not None:
            self._starts.labels(kind).observe(waited)

    def attempt_ended(self, kind: StageKind, outcome: str) -> None:
        """Count an attempt (one of ATTEMPT_OUTCOMES)."""
        if kind in SCRIPTS:
            self._attempts.labels(kind, outcome).inc()

    def retried(self, reason: str) -> None:
        """Count an attempt that another one followed, by the reason that it failed for."""
        self._retries.labels(reasons.closed(reason, reasons.OF_ATTEMPTS)).inc()

    def redacted(self, count: int) -> None:
        """Count values of secrets that launchers have blanked in what stages wrote."""
        self._redactions.labels("stage").inc(count)

    def hid(self, count: int) -> None:
        """Count secrets that were hidden in a line of the controller's log."""
        self._redactions.labels("log").inc(count)
