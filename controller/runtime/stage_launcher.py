"""A stage's launch, from the fresh private copy of the checkout to the verdict about its script."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    from controller.runtime import (
        stage_attempt,
        stage_cause,
        stage_copy,
        stage_index,
        stage_log,
        stage_order,
        stage_output,
        stage_service,
        stage_text,
    )
else:  # published side by side: the script's folder is where Python looks first
    import stage_attempt
    import stage_copy
    import stage_log
    import stage_order
    import stage_output
    import stage_text

LOOPBACK = "127.0.0.1"  # a pod's address on a laptop
TIMED_OUT = 124  # exit code
ENDED = "ended by itself with code 0: a service must run until it is stopped"
KEYS = ("MAX_STARTUP_TIME_SECONDS", "MAX_COMPLETION_TIME_SECONDS", "MEMORY_LIMIT_MB", "MEMORY_REQUEST_MB")
RAISE, LAST, SILENT = "raise it if it only needs longer", "it last said", "it has said nothing"
MOST_BEFORE = 900  # bytes of a cause that the limit follows
AGAIN = "; not tried again: it would end the same"
LEFT = ". What it had started was killed: start the server in the foreground, or wait for its process"


class StageLauncher(stage_attempt.Launcher):
    """One run of one stage's container.

    What only some launches need is imported by them: each module costs every stage's start.
    """

    def __init__(self, order: stage_order.StageOrder) -> None:
        """Take over output and signals of the process."""
        secrets = [os.environ.get(name, "") for name in order.secrets]
        address = os.environ.get("COACHWORK_POD_IP", "")
        self.local = address in ("", LOOPBACK)
        self.index: Optional[stage_index.Index] = None
        self.own: Dict[str, str] = {}  # variables of this index alone
        if order.indexes:
            self.index = importlib.import_module("stage_index").Index(order, self.local)
        logs = self.index.logs if self.index else order.paths["logs"]
        super().__init__(order.grace, logs, order.limit, secrets, order.wake)
        self.order, self.places = order, order.places
        self.environment = ""  # the folder of the stage's packages
        self.since = 0.0  # when the script began
        self.late = b""  # what a service had said when its time to start was over
        self.gate: Any = importlib.import_module("stage_metrics") if order.require else None
        self.odd = ""  # what is wrong with the numbers that the script left
        self.service: Optional[stage_service.PortWatch] = None
        if order.kind == "service":
            self.service = importlib.import_module("stage_service").PortWatch(order, address, self.output.say)

    def work(self) -> None:
        """Make everything ready, claim the attempt, and run the script. Raises Unable, Stopped."""
        order, service = self.order, self.service
        if service and service.first:
            self.outcome.first_start = service.first.moment
            if service.is_starting and service.left() <= 0:
                raise stage_order.Unable("StartupTimeout", self._not_ready(service))
        elif not service and (done := self._done_before()):
            self.outcome.set(0, "Completed", f"{self.places.script}: completed by attempt {done}, whose pod was lost")
            return
        of = f", {self.index.words}" if self.index else ""
        self.output.say(f"{order.kind} stage {self.places.script} at commit {order.commit}{of}")
        limit = order.workspace_limit
        checkout = order.paths["checkout"]
        left_out = stage_copy.unseen(checkout, order.project, order.left_out) if order.left_out else ()
        copied = stage_copy.copy_checkout(checkout, order.commit, self.places.checkout, limit, left_out)
        self.output.say(f"copied the repository: {copied}")
        if not os.path.isfile(os.path.join(self.places.project, self.places.script)):
            raise stage_order.Unable("ScriptMissing", f"{self.places.script}: no such file at commit {order.commit}")
        if order.paths.get("environment"):
            packages = importlib.import_module("stage_environment")
            self.environment = packages.prepare(order, self.output, self.outcome)
        if self.index:
            self.index.begin()
            self.index.meet(self.output.say)
            self.own = self.index.variables
        self.keeper.commit()
        self._claim()
        self._script()

    def finish(self) -> None:
        """Write a log for what failed before the script, too."""
        outcome = self.outcome
        unlogged = outcome.reason in ("LogUnavailable", "StartupTimeout")  # the attempt that was late has the log
        if not outcome.attempt and outcome.exit_code == stage_order.HOPELESS and not unlogged:
            try:
                self._claim()
            except stage_order.Unable as error:
                self.output.say(str(error))

    def repeat(self) -> None:
        """Begin another attempt here after the first that failed by itself: the Job controller would wait longer.

        The attempts that follow are the Job's. One that the cluster ended is no failure.
        """
        order, outcome = self.order, self.outcome
        if order.first_retry is None or not outcome.attempt or outcome.exit_code in (0, stage_order.HOPELESS):
            return
        for number in range(1, outcome.attempt):
            if self._said(number).get("reason", "Terminated") != "Terminated":  # without a word it was killed
                return
        self.begin_again(order.first_retry)

    def _done_before(self) -> int:
        """Return the number of the last attempt if it ended well, else 0: no batch stage runs again once it is done.

        The Job controller does not count a pod that was lost with its node, whatever its script had done.
        """
        with contextlib.suppress(OSError):
            number = stage_log.newest(self._folder)
            return number if number and self._said(number).get("exit_code") == 0 else 0
        return 0

    def _said(self, number: int) -> Dict[str, Any]:
        """Return what an attempt has left of its end."""
        return stage_order.read_json(os.path.join(self._folder, f"{number}.json"), stage_order.MOST_SAID)

    def tidy(self, message: str) -> str:
        """Return a message as it may be shown, with keys as the project's form writes them."""
        for key in KEYS if self.order.is_yaml else ():
            message = message.replace(key, key.lower())
        return super().tidy(message)

    def _not_ready(self, service: stage_service.PortWatch) -> str:
        """Return the message of a service whose time to start was over, first what more time would not mend."""
        late, before = f"not ready within {self.order.limit:g} s (MAX_STARTUP_TIME_SECONDS", service.ended_before
        if before:  # the script had ended, or the container before was late
            return before if late in before else f"{stage_text.clean(before, MOST_BEFORE)}; {late})"
        if service.is_misplaced:
            return f"{self.places.script}: {service.cause}; {late})"
        said = stage_attempt.late("stage_cause").read(self.late, self.places, 0).words
        return f"{self.places.script}: {late}: {RAISE}): {service.cause}; {f'{LAST}: {said}' if said else SILENT}"

    def _claim(self) -> None:
        """Claim the next attempt's number by creating its log: what marks, exactly once, that the script ran."""
        order, batch = self.order, not self.service
        try:
            if self.index:
                os.makedirs(self._folder, exist_ok=True)
            number = self.claim(order.log_cap, rotate=not batch)
        except OSError as error:
            if batch:
                raise stage_order.Unable(
                    "LogUnavailable", f"no log can be created on the shared volume: {error}"
                ) from error
            self.output.say(f"no log is kept on the shared volume: {error}")
            return
        if batch and number > order.attempts and not self.outcome.reason:
            raise stage_order.Unable(
                "DisruptedTooOften",
                f"{self.places.script}: disrupted too often: {order.attempts} attempts began and none ended by itself",
            )

    def _script(self) -> None:
        """Run the script to its end, and judge it."""
        self.output.begin()
        outcome, self.since = self.outcome, time.time()
        outcome.script_started = outcome.first_start = stage_order.now()
        if self.service:
            outcome.first_start = self.service.start(outcome.script_started, self.keeper.wake)
        ended = self.execute("the script", self._command(), self.places.folder, self._variables(), self._check)
        if self.service:
            self.service.stop()
        else:
            self._take_numbers()
            if ended.status == 0:
                self._warn_of_files()
        try:
            outcome.set(*self._verdict(ended))
        except ImportError as error:
            outcome.set(*self._unexplained(ended.status, error))
        if self.service and self.keeper.why != "StartupTimeout":
            self.service.note_end(self.tidy(outcome.message))
        if self.index and not outcome.exit_code:
            self._leave(self.index)

    def _leave(self, index: stage_index.Index) -> None:
        """Leave an index's result for later stages: without it, they would go on as if it had not been."""
        if problem := stage_output.within(stage_attempt.FLUSH, lambda: index.end(self.outcome.metrics)):
            self.outcome.set(1, "ArtifactsUnwritable", f"{self.places.script}: its result can't be left: {problem}")

    def _command(self) -> List[str]:
        """Return what starts the script; a notebook is run by a script of ours, in the same Python."""
        python = os.path.join(self.environment, "bin", "python") if self.environment else sys.executable
        path = os.path.join(self.places.project, self.places.script)
        if not path.endswith(".ipynb"):
            return [python, path, *self.order.args]
        folder = os.path.join(os.environ.get("COACHWORK_ARTIFACTS", ""), "notebooks")
        kept = os.path.join(self.index.artifacts if self.index else folder, os.environ.get("COACHWORK_STAGE", "stage"))
        order: Dict[str, Any] = {name: list(getattr(self.order, name)) for name in ("args", "secrets", "parameters")}
        order["parameters"].extend(self.own)
        order.update(notebook=path, into="" if self.service else kept)
        runner = os.path.join(self.order.paths["tools"], "notebook_run.py")
        return [python, runner, *stage_order.arguments(json.dumps(order))]

    def _variables(self) -> Dict[str, str]:
        """Return the script's environment: ours without what is the launcher's own, and what its packages need."""
        variables = {name: value for name, value in os.environ.items() if name not in stage_attempt.OWN_VARIABLES}
        before = variables.get("PYTHONPATH")
        variables["PYTHONPATH"] = os.pathsep.join([self.places.project] + ([before] if before else []))
        variables["COACHWORK_ATTEMPT"] = str(self.outcome.attempt)
        variables.update(self.own)
        if not self.service:
            variables["COACHWORK_METRICS"] = self._metrics
        scratch = self.order.scratch
        for home in (variables.get("HOME", ""), os.path.join(scratch, "home"), scratch):  # the first that is writable
            try:
                os.makedirs(home, exist_ok=True)
            except OSError:
                continue
            if os.access(home, os.W_OK):
                break
        variables["HOME"] = home
        variables.setdefault("USER", "coachwork")
        variables.setdefault("PYTHONUNBUFFERED", "1")
        if self.environment:
            variables["VIRTUAL_ENV"] = self.environment
            binaries = os.path.join(self.environment, "bin")
            variables["PATH"] = os.pathsep.join([binaries, variables.get("PATH", os.defpath)])
        return variables

    def _check(self, seconds: float) -> float:
        """Act on a limit or on readiness; return for how long nothing will change by itself (seconds)."""
        service = self.service
        if self.keeper.why or (service and service.answered):
            return 60.0
        if service and service.answers:
            self.output.say(f"the service answers on port {self.order.port} after {seconds:.1f} s")
            service.note_answer()
            if self.local:  # elsewhere it would not be ready
                self._warn(importlib.import_module("stage_service").only_here(self.order.port))
                self._warn_of_files()
            return 60.0
        left = self.order.limit - seconds
        self._warn(service.take_warning() if service else "")
        if service and service.is_starting:
            left = min(left, service.left())
        if left <= 0:
            self.output.say(f"the limit of {self.order.limit:g} s has passed: the script is stopped")
            if service:
                service.stop()
                self.output.seal()
                self.late = self.output.said
            self.keeper.end("StartupTimeout" if service else "TimedOut")
        return max(0.0, left)

    @property
    def _metrics(self) -> str:
        """Return where a batch script may leave numbers: a new file for each attempt, of which a pod may have two."""
        return os.path.join(self.order.scratch, f"metrics-{self.outcome.attempt}.json")

    def _take_numbers(self) -> None:
        """Take over the numbers that the script has left."""
        if not os.path.isfile(self._metrics):
            return
        with contextlib.suppress(ImportError):
            numbers, self.odd = stage_attempt.late("stage_metrics").read(self._metrics, self._redactor.text)
            self._warn(self.odd and f"COACHWORK_METRICS: {self.odd}")
            self.outcome.metrics = numbers
            if numbers:
                self.output.say(f"numbers: {', '.join(f'{name} {value!r}' for name, value in numbers.items())}")

    def _warn(self, text: str) -> None:
        if text:
            text = self.tidy(text)
            self.outcome.warnings.append(text)
            self.output.say(f"warning: {text}")

    def _warn_of_files(self) -> None:
        """Warn of files that are lost, or on this machine only."""
        with contextlib.suppress(ImportError):  # a good end is worth more
            warnings = stage_attempt.late("stage_warnings")
            self._warn("" if self.service else warnings.discarded(self.places, self.since))
            self._warn(warnings.borrowed(self.places, self.since) if self.local else "")

    # --- the verdict ------------------------------------------------------------------------------

    def _verdict(self, ended: stage_order.Ended) -> Tuple[int, str, str]:
        """Return exit code, reason and message for a script's end."""
        status, left = ended.status, ended.left
        code = status if status >= 0 else 128 - status
        why, script, service = self.keeper.why, self.places.script, self.service
        if why == "TimedOut":
            return TIMED_OUT, why, self._not_done(status)
        if service and why == "StartupTimeout":
            message = self._not_ready(service)
            service.note_end(message)
            return stage_order.HOPELESS, why, message
        if why and (code or service):
            return code, why, f"{script}: stopped from outside, exited with code {code}"
        if service and not code:
            code = stage_order.HOPELESS if left and service.left() > 0 else 1
            return code, "ServiceEnded", f"{script}: {ENDED}{LEFT if left else ''}"
        if code:
            return self._explain(status, ended.out_of_memory)
        return self._judged()

    def _judged(self) -> Tuple[int, str, str]:
        """Return exit code, reason and message for a good end of a batch script, whose numbers may have to hold."""
        key = "require" if self.order.is_yaml else "REQUIRE"
        if self.gate and (unmet := self.gate.unmet(self.order.require, self.outcome.metrics, self.odd, key)):
            return stage_order.HOPELESS, "RequirementNotMet", unmet
        return 0, "Completed", f"{self.places.script}: completed"

    def _unexplained(self, status: int, error: ImportError) -> Tuple[int, str, str]:
        """Return exit code, reason and message for an end that can't be explained."""
        codes, why = {"TimedOut": TIMED_OUT, "StartupTimeout": stage_order.HOPELESS}, self.keeper.why
        code = codes.get(why, status if status >= 0 else 128 - status)
        return (
            code,
            why or "ExitCode",
            f"{self.places.script}: exited with code {code}; its cause is not known: {error}",
        )

    def _not_done(self, status: int) -> str:
        """Return the message of a script whose time was over: first what another process or thread of it failed for."""
        cause: Any = stage_attempt.late("stage_cause")
        said = cause.read(self.output.said, self.places, status)
        late = f"not done within {self.order.limit:g} s (MAX_COMPLETION_TIME_SECONDS"
        if said.place and said.final:
            remedy = self._remedy(said)[1]
            words = cause.clean(said.words, cause.WORDS_LIMIT)
            return f"{said.place}: {words}{f' ({remedy})' if remedy else ''}; {late})"
        slow = cause.SLOW.search(said.output)
        advice = (slow and self._remedy(said._replace(text=slow.group()))[1]) or RAISE
        return f"{self.places.script}: {late}: {advice}): {f'{LAST}: {said.words}' if said.text else SILENT}"

    def _explain(self, status: int, out_of_memory: bool) -> Tuple[int, str, str]:
        """Return exit code, reason and message for a script that failed by itself."""
        cause: Any = stage_attempt.late("stage_cause")
        said = cause.read(self.output.said, self.places, status)
        code, reason, remedy, hopeless = status if status >= 0 else 128 - status, "ExitCode", "", False
        if status > 0 and not out_of_memory:
            reason, remedy, hopeless = self._remedy(said)
        reason, message = cause.explain(status, said, self.places, out_of_memory, reason, remedy)
        if hopeless and status == 1:
            return stage_order.HOPELESS, reason, message if self.service else f"{message}{AGAIN}"
        return code, reason, message

    def _remedy(self, said: stage_cause.Said) -> Tuple[str, str, bool]:
        """Return reason, remedy ("": unknown), and whether another attempt would end in the same way."""
        folder = os.environ.get("COACHWORK_LOCAL_FOLDER", "")  # on a laptop: of which the commit was made
        try:
            remedies: Any = stage_attempt.late("stage_remedy")
            published = self.order.paths["checkout"]
            reason, remedy, hopeless = remedies.find(
                remedies.FailedScript(
                    said, self.places, published, self.environment, folder, self.local, self.order.left_out
                )
            )
        except Exception as error:  # noqa: BLE001 - a defect of ours must not hide the script's own cause
            self.output.say(f"defect of the launcher: {type(error).__name__}: {error}")
            return "ExitCode", "", False
        return reason, remedy, hopeless


def main() -> None:
    """Run the stage that the only argument describes."""
    paths = ("checkout", "tools", "logs", "scratch")
    stage_attempt.main(stage_order.StageOrder, ("batch", "service"), paths, StageLauncher)
