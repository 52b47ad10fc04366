"""What a stage and a build have in common: an attempt's log, the clearing up after a process, the report of its end.

The termination message goes to the kubelet, `<attempt>.json` next to the log; neither may hold up the exit for long.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, TypeVar

    from controller.runtime import stage_log, stage_order, stage_output, stage_process, stage_redact, stage_text

    T = TypeVar("T")
else:  # published side by side: the script's folder is where Python looks first
    import stage_log
    import stage_order
    import stage_output
    import stage_process
    import stage_redact
    import stage_text

DRAIN = 1.0  # seconds for output that is still in the pipe
FLUSH = 10.0  # seconds for each destination of the output at the end
WAKE = 0.5  # seconds for waking the controller
OWN_VARIABLES = ("COACHWORK_LEASH", "COACHWORK_LOCAL_FOLDER", "COACHWORK_POD_IP", "COACHWORK_TERMINATION_LOG")
_NOT_IN_FILE = ("attempt", "first_start")  # in the termination message only


def late(name: str) -> Any:
    """Import a module after the script, from a volume that may be gone by now. Raises ImportError."""
    if problem := stage_output.within(FLUSH, lambda: importlib.import_module(name)):
        raise ImportError(f"{name}: {problem}")
    return sys.modules[name]


class Launcher:
    """One attempt at a stage or a build, from its first step to its exit code: its process, its log, its verdict."""

    def __init__(self, grace: float, folder: str, limit: float, secrets: Iterable[str], wake: str) -> None:
        """Take over output and signals; `folder` is where logs are, `secrets` are values that nothing may show.

        `wake` is what to call after a good end (see stage_wake.py), "": nothing.
        """
        self.outcome = stage_order.Outcome()
        self.keeper = stage_process.Keeper(grace)
        stage_process.obey_leash(os.environ.get("COACHWORK_LEASH", ""))
        self._folder, self._limit, self._wake = folder, limit, wake
        self._redactor = stage_redact.Redactor(secrets)
        self.output = stage_output.Output(1, self._redactor)
        self._claimed: Optional[Tuple[str, int, int, bool]] = None  # path, descriptor, cap, rotate
        self._termination_log = os.environ.get("COACHWORK_TERMINATION_LOG", "/dev/termination-log")

    def claim(self, cap: int, rotate: bool) -> int:
        """Return the next number, taken by creating its log. Raises OSError."""
        number, descriptor = stage_log.claim(self._folder)
        self.outcome.attempt = number
        self._claimed = os.path.join(self._folder, f"{number}.log"), descriptor, cap, rotate
        return number

    def work(self) -> None:
        """Do it, and set the verdict. Raises Unable, Stopped."""
        raise NotImplementedError

    def finish(self) -> None:
        """Do what is left before the report; signals no longer interrupt it."""

    def run(self) -> int:
        """Do the work, report a verdict whatever happens, and return the exit code."""
        try:
            self.work()
        except stage_order.Unable as error:
            self.outcome.set(error.code, error.reason, str(error))
        except stage_process.Stopped:
            self.outcome.set(128 + signal.SIGTERM, "Terminated", "stopped before anything was done")
        except Exception as error:  # noqa: BLE001 - a defect of ours must reach the status, not end in a bare traceback
            defect = f"defect of the launcher: {type(error).__name__}: {error}"
            self.outcome.set(stage_order.HOPELESS, "LauncherFailed", defect)
        self.keeper.commit()
        self.finish()
        self._report()
        if self._wake and not self.outcome.exit_code:
            stage_output.within(WAKE, lambda: importlib.import_module("stage_wake").call(self._wake, WAKE))
        return self.outcome.exit_code

    def repeat(self) -> None:
        """Begin another attempt in this container, where one is to follow here; else return."""

    def begin_again(self, pause: float) -> None:
        """Begin as a new process after so many seconds; return if we are stopped meanwhile."""
        if not self.keeper.rest(pause):
            return
        with contextlib.suppress(OSError):  # what comes may be killed without a word: this one's are not its own
            os.truncate(self._termination_log, 0)
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - what we are, with our own argument

    def execute(
        self, name: str, command: List[str], folder: str, variables: Dict[str, str], check: Callable[[float], float]
    ) -> stage_order.Ended:
        """Run a process to its end, kill at once what it left running, and read the rest of what it said.

        `check` gets the seconds since its start; it may end it, and returns for how long nothing will change by itself.
        """
        drain, keeper = stage_output.Drain(self.output), self.keeper
        kills, started = stage_process.oom_kills(), time.monotonic()
        keeper.start(command, folder, variables, drain.inlet)
        self._open_log()  # it reads and hashes what the script does not wait for
        drain.begin(keeper.has_ended)
        status = keeper.wait(lambda: check(time.monotonic() - started))
        seconds = time.monotonic() - started
        drain.mark()
        left, heirs = keeper.sweep()
        if heirs:
            drain.mark(again=True)
        if not drain.ended(DRAIN):
            drain.abandon()
        if left:
            what = f"{left} processes that it left running were" if left > 1 else "the process that it left running was"
            self.output.say(f"{name} ended; {what} killed")
        return stage_order.Ended(status, left, status != 0 and stage_process.oom_kills() > kills, seconds)

    def _open_log(self) -> None:
        """Begin to write the log that was claimed."""
        if self._claimed:
            self.output.open_log(stage_log.LogFile(*self._claimed))
            self._claimed = None

    def tidy(self, message: str) -> str:
        """Return a message as it may be shown."""
        return stage_text.clean(self._redactor.text(message))

    def _report(self) -> None:
        """Write the verdict into the log, to the kubelet and next to the log; close everything."""
        outcome = self.outcome
        self._open_log()
        outcome.message = self.tidy(outcome.message)
        self.output.say(f"{outcome.reason}: {outcome.message}")
        message = {key: getattr(outcome, key) for key in ("reason", "message", "exit_code", "attempt", "first_start")}
        try:
            with open(self._termination_log, "w", encoding="utf-8", opener=stage_order.open_plain) as file:
                file.write(json.dumps({**message, "limit": self._limit}, ensure_ascii=False))
        except OSError as error:
            self.output.say(f"no termination message: {error}")
        size, digest, notes = self.output.close(FLUSH)
        if outcome.attempt:
            path = os.path.join(self._folder, f"{outcome.attempt}.json")
            result = {key: value for key, value in vars(outcome).items() if key not in _NOT_IN_FILE}
            result.update(finished=stage_order.now(), bytes=size, sha256=digest, complete=not notes, notes=notes)
            result["redacted"] = self._redactor.count
            stage_output.within(FLUSH, lambda: stage_order.write_atomically(path, result, durable=True))


def misfits(order: object, forms: Dict[str, Any]) -> List[str]:
    """Return a line for each field of an order that is not of the type that its form says."""
    kinds: Dict[str, Tuple[type, ...]] = {"float": (int, float), "Dict": (dict,), "Sequence": (list, tuple)}
    kinds.update({"str": (str,), "int": (int,), "bool": (bool,), "Optional": (int, float, type(None))})
    odd = []
    for name, form in forms.items():
        text = getattr(form, "__forward_arg__", form)  # of typing's own
        value, kind = getattr(order, name), text.partition("[")[0]
        inner = value.values() if isinstance(value, dict) else value if text == "Sequence[str]" else ()
        fits = isinstance(value, kinds[kind]) and isinstance(value, bool) == (kind == "bool")
        if not fits or not all(isinstance(item, str) for item in inner):
            odd.append(f"{name}: expected {text}")
    return odd


def main(form: Callable[..., T], kinds: Iterable[str], needed: Iterable[str], prepare: Callable[[T], Launcher]) -> None:
    """Do what the arguments order, JSON in one or more parts, and leave with the exit code.

    No thread that hangs on a volume may delay that.
    `form` is the order's, which has one of these kinds and these paths.
    """
    usage = f"usage: {os.path.basename(sys.argv[0])} JSON"
    try:
        order: Any = form(**json.loads("".join(sys.argv[1:])))
        problems = misfits(order, form.__annotations__)
        missing = [name for name in needed if not order.paths.get(name)]
        problems += [] if order.kind in kinds else [f"unknown kind {order.kind!r}"]
        problems += [f"missing paths: {', '.join(missing)}"] if missing else []
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        problems = [str(error)]
    if problems:
        sys.stderr.write(f"{stage_text.clean(f'{usage}: ' + ', '.join(problems))}\n")
        sys.exit(stage_order.HOPELESS)
    try:
        launcher = prepare(order)
        code = launcher.run()
        launcher.repeat()
    except stage_process.Stopped:  # in the instant when a failure was about to be reported
        code = 128 + signal.SIGTERM
    os._exit(code)
