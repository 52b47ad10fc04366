"""Runs one stage in its container: `python3 launch.py '<json>'`, as PID 1, not root, with nothing but Python >= 3.8.

A fresh private copy of the checkout, the environment, the claim of an attempt on the volume, the script, its end.
Exit code: the script's own (128+n for signal n), 124 for a batch stage over its time, 121 where it is pointless to
try again. The cause goes to the termination message and beside the log. It refuses incomplete checkouts, and never
lets a full or hanging volume hold up the script.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, Optional

if TYPE_CHECKING:
    from controller.runtime import (
        stage_advice,
        stage_attempt,
        stage_cause,
        stage_copy,
        stage_environment,
        stage_order,
        stage_output,
        stage_process,
        stage_ready,
    )
else:  # published side by side: the script's folder is where Python looks first
    import stage_attempt
    import stage_cause
    import stage_copy
    import stage_environment
    import stage_order
    import stage_output
    import stage_process

LOOPBACK = "127.0.0.1"  # a pod's address on a laptop
TIMED_OUT = 124  # exit code
ENDED = "ended by itself with code 0: a service must run until it is told to end"
LEFT = ". What it had started was killed: start the server in the foreground, or wait for its process"
ENDED_BY_US = {"TimedOut": TIMED_OUT, "StartupTimeout": stage_order.HOPELESS}


class Launch:
    """One run of one stage's container, from its first step to its exit code."""

    def __init__(self, order: stage_order.Order) -> None:
        """Take over output and signals of the process."""
        self.order, self.places, self.scratch = order, order.places, order.scratch
        self.environment = ""  # the folder of the stage's packages
        self.address = os.environ.get("COACHWORK_POD_IP", "")
        self.folder = os.environ.get("COACHWORK_LOCAL_FOLDER", "")  # on a laptop: of which the commit was made
        self.keeper = stage_process.Keeper(order.grace)
        stage_process.obey_leash(os.environ.get("COACHWORK_LEASH", ""))
        secrets = [os.environ.get(name, "") for name in order.secrets]
        self.attempt = stage_attempt.Attempt(order.paths["logs"], order.limit, secrets)
        self.output, self.outcome = self.attempt.output, self.attempt.outcome
        self.since = 0.0  # when the script began
        self.first: Dict[str, Any] = {}  # of a service: first start in this pod, whether it ever was ready, last cause
        self.ready: Optional[stage_ready.Readiness] = None

    def run(self) -> int:
        """Do it all; give the exit code."""
        self.attempt.go(self._work)
        self._finish()
        return self.outcome.exit_code

    def _work(self) -> None:
        self._prepare()
        self._claim()
        self._script()

    # --- before the script ------------------------------------------------------------------------

    def _prepare(self) -> None:
        order = self.order
        self._recall_first_start()
        self.output.say(f"{order.kind} stage {self.places.script} at commit {order.commit}")
        limit = order.workspace_limit
        copied = stage_copy.copy_checkout(order.paths["checkout"], order.commit, self.places.checkout, limit)
        self.output.say(f"copied the repository: {copied}")
        if not os.path.isfile(os.path.join(self.places.project, self.places.script)):
            raise stage_order.Refused("ScriptMissing", f"{self.places.script}: no such file at commit {order.commit}")
        if order.paths.get("environment"):
            self.environment = stage_environment.have(order, self.output, self.outcome)
        self.keeper.commit()

    def _recall_first_start(self) -> None:
        """Give a service that crashes again and again its start-up time once, and not for each container."""
        if self.order.kind != "service":
            return
        try:
            self.first = json.loads(stage_order.read_text(os.path.join(self.scratch, "first-start")) or "{}")
        except ValueError:
            return
        if self.first:
            self.outcome.first_start = self.first["first_start"]
            if not self.first["ready"] and time.time() >= self.first["at"] + self.order.limit:
                raise stage_order.Refused("StartupTimeout", self._not_ready(self.first["cause"]))

    def _not_ready(self, cause: str) -> str:
        return f"{self.places.script}: not ready within {self.order.limit:g} s (MAX_STARTUP_TIME_SECONDS): {cause}"

    def _claim(self) -> None:
        """Take the next attempt's number by creating its log: what marks, exactly once, that the script ran."""
        order, batch = self.order, self.order.kind == "batch"
        try:
            number = self.attempt.claim(order.log_cap, rotate=not batch)
        except OSError as error:
            if batch:
                raise stage_order.Refused(
                    "LogUnavailable", f"no log can be created on the shared volume: {error}"
                ) from error
            self.output.say(f"no log is kept on the shared volume: {error}")
            return
        if batch and number > order.attempts and not self.outcome.reason:
            raise stage_order.Refused(
                "DisruptedTooOften",
                f"{self.places.script}: disrupted too often: {order.attempts} attempts began and none ended by itself",
            )

    # --- the script -------------------------------------------------------------------------------

    def _script(self) -> None:
        drain = stage_output.Drain(self.output)
        self.output.begin()
        kills, started = stage_cause.oom_kills(), time.monotonic()
        self.outcome.script_started, self.since = stage_order.now(), time.time()
        self._note_first_start()
        python = os.path.join(self.environment, "bin", "python") if self.environment else sys.executable
        command = [python, self._path(self.places.script)]
        self.keeper.start([*command, *self.order.args], self.places.folder, self._variables(), drain.inlet)
        drain.begin(self.keeper.has_ended)
        if self.order.kind == "service":
            self.ready = self._watch()
        status = self.keeper.wait(lambda: self._look(started))
        if self.ready:
            self.ready.stop()
        left = self.attempt.clear_up(self.keeper, drain, "the script")
        out_of_memory = stage_cause.oom_kills() > kills
        if self.order.kind == "batch" and status == 0:
            warnings = importlib.import_module("stage_warnings")
            self._warn(warnings.discarded(self.places, self.since))
            self._warn(warnings.borrowed(self.places, self.since) if self.address in ("", LOOPBACK) else "")
        self._judge(status, out_of_memory, left)

    def _watch(self) -> stage_ready.Readiness:
        """Begin to ask whether the service answers; batch stages are spared the cost of the import."""
        order, ready = self.order, importlib.import_module("stage_ready")
        watch: stage_ready.Readiness = ready.Readiness(self.address, order.port, order.readiness_path, self.keeper.wake)
        return watch

    def _path(self, relative: str) -> str:
        return os.path.join(self.places.project, relative)

    def _variables(self) -> Dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name not in stage_attempt.OWN_VARIABLES}
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([self.places.project] + ([before] if before else []))
        environment["COACHWORK_ATTEMPT"] = str(self.outcome.attempt)
        environment["HOME"] = self._home(environment.get("HOME", ""))
        environment.setdefault("USER", "coachwork")
        environment.setdefault("PYTHONUNBUFFERED", "1")
        if self.environment:
            environment["VIRTUAL_ENV"] = self.environment
            binaries = os.path.join(self.environment, "bin")
            environment["PATH"] = os.pathsep.join([binaries, environment.get("PATH", os.defpath)])
        return environment

    def _home(self, wanted: str) -> str:
        for folder in (wanted, os.path.join(self.scratch, "home")):
            if folder:
                try:
                    os.makedirs(folder, exist_ok=True)
                except OSError:
                    continue
                if os.access(folder, os.W_OK):
                    return folder
        return self.scratch

    def _note_first_start(self) -> None:
        if not self.first:
            self.first = {"first_start": self.outcome.script_started, "at": time.time(), "ready": False, "cause": ""}
        self.outcome.first_start = self.first["first_start"]
        if self.order.kind == "service":  # a batch stage's container starts once in its pod
            self._keep_first_start()

    def _keep_first_start(self) -> None:
        try:
            stage_order.write_atomically(os.path.join(self.scratch, "first-start"), self.first, durable=False)
        except OSError as error:
            self.output.say(f"the pod's first start can't be noted: {error}")

    def _look(self, started: float) -> float:
        """Act on a limit or on readiness; give how long nothing will change by itself (seconds)."""
        if self.keeper.why or (self.first["ready"] and not self.ready):
            return 60.0
        if self.ready and self.ready.ready:
            self._became_ready(time.monotonic() - started)
            return 60.0
        left = self.order.limit - (time.monotonic() - started)
        if self.ready and not self.first["ready"]:
            left = min(left, self.first["at"] + self.order.limit - time.time())
        if left <= 0:
            batch = self.order.kind == "batch"
            self.output.say(f"the limit of {self.order.limit:g} s has passed: the script is told to end")
            if self.ready:
                self.ready.stop()
            self.keeper.end("TimedOut" if batch else "StartupTimeout")
        return max(0.0, left)

    def _became_ready(self, seconds: float) -> None:
        self.output.say(f"the service answers on port {self.order.port} after {seconds:.1f} s")
        self.ready = None
        self.first["ready"] = True
        self._keep_first_start()
        if self.address in ("", LOOPBACK):  # elsewhere it would not be ready
            self._warn(importlib.import_module("stage_ready").only_here(self.order.port))
            self._warn(importlib.import_module("stage_warnings").borrowed(self.places, self.since))

    def _warn(self, text: str) -> None:
        if text:
            text = self.attempt.tidy(text)
            self.outcome.warnings.append(text)
            self.output.say(f"warning: {text}")

    def _judge(self, status: int, out_of_memory: bool, left: int) -> None:
        order, why = self.order, self.keeper.why
        code = status if status >= 0 else 128 - status
        words = stage_cause.last_words(self.output.said, self.places, status)
        advice = self._advice(words) if status > 0 and not why and not out_of_memory else None
        better = (advice.reason, advice.remedy) if advice else ("", "")
        reason, message = stage_cause.explain_exit(status, words, self.places, out_of_memory and status != 0, better)
        if advice and advice.hopeless and status == 1:
            code = stage_order.HOPELESS
        if why == "TimedOut":
            message = f"{self.places.script}: not done within {order.limit:g} s (MAX_COMPLETION_TIME_SECONDS)"
            message += f": {words.text}" if words.text else ""
            reason = why
        elif why == "StartupTimeout":
            reason, message = why, self._not_ready(self._why_not_ready())
        elif why and (code or order.kind == "service"):
            reason, message = why, f"{self.places.script}: told to end, exited with code {code}"
        elif order.kind == "service" and not code:
            reason, message = "ServiceEnded", f"{self.places.script}: {ENDED}{LEFT if left else ''}"
            code = stage_order.HOPELESS if left and self._is_starting() else 1
        self.outcome.set(ENDED_BY_US.get(why, code), reason, message)
        self._remember_cause(self._why_not_ready() if why == "StartupTimeout" else message)

    def _advice(self, words: stage_cause.Words) -> Optional[stage_advice.Advice]:
        """Ask for what the last words do not say; good ends are spared the cost of the import."""
        said, published = self.output.said, self.order.paths["checkout"]
        trace, final = stage_cause.last_trace(said, self.places)
        try:
            advice, text = importlib.import_module("stage_advice"), said.decode("utf-8", "replace")
            scene = advice.Scene(words.text, text, trace, final, self.places, published, self.environment, self.folder)
            found: stage_advice.Advice = advice.advise(scene)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not hide the script's own cause
            self.output.say(f"defect of the launcher: {type(error).__name__}: {error}")
            return None
        return found

    def _why_not_ready(self) -> str:
        """Return how the container before this one ended, which says more than what its port shows; else that."""
        return str(self.first["cause"] or (self.ready.cause if self.ready else ""))

    def _is_starting(self) -> bool:
        return bool(time.time() < self.first["at"] + self.order.limit)

    def _remember_cause(self, message: str) -> None:
        if self.order.kind == "service" and not self.first["ready"]:
            self.first["cause"] = self.attempt.tidy(message)
            self._keep_first_start()

    # --- the end ----------------------------------------------------------------------------------

    def _finish(self) -> None:
        self.keeper.commit()
        outcome = self.outcome
        if not outcome.attempt and outcome.exit_code == stage_order.HOPELESS and outcome.reason != "LogUnavailable":
            self._claim_for_failure()
        self.attempt.tell()

    def _claim_for_failure(self) -> None:
        """Have a log of what failed before the script, too."""
        try:
            self._claim()
        except stage_order.Refused as error:
            self.output.say(str(error))


def main() -> None:
    """Run the stage that the only argument describes."""
    order, problem = stage_order.parse(sys.argv)
    if order is None:
        sys.stderr.write(problem + "\n")
        sys.exit(stage_order.HOPELESS)
    stage_attempt.leave(Launch(order).run)


if __name__ == "__main__":
    main()
