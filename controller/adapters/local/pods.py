"""One pod on this machine, as a kubelet would have it: its container's states, restarts, readiness, deadline, end.

Every method runs in the scheduler's thread. It refuses nothing: admission has checked the pod.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from controller.adapters import removal
from controller.adapters.local.machine import (
    MARK,
    TERMINATION_LOG,
    Addresses,
    ConfigurationMissing,
    Container,
    Machine,
    container_of,
    folders,
    port_of,
    resolve,
)
from controller.adapters.local.ports import ADDRESS, Ports
from controller.adapters.local.probes import Prober
from controller.adapters.local.processes import Process, plain
from controller.adapters.local.schedule import Scheduler, Timer
from controller.adapters.local.store import LOCAL_ADDRESS, Store, annotated, annotations, now
from controller.core.model import Object

MESSAGE_LIMIT = 4096  # bytes of a termination message
LAST = 30  # back-offs: the longest is so many times the first (5 min of 10 s)
LEAST_GRACE = 2.0  # seconds that a process gets after its preStop hook, whatever is left
NOT_STARTED = 128  # exit code of a container whose command can't be run
_TOO_LATE = {
    "reason": "DeadlineExceeded",
    "message": "Pod was active on the node longer than the specified deadline",
}


class Pod:
    """The life of one pod."""

    def __init__(self, store: Store, scheduler: Scheduler, machine: Machine, ports: Ports, pod: Object) -> None:
        self._store, self._scheduler, self._machine, self._ports, self._pod = store, scheduler, machine, ports, pod
        self.private = machine.scratch / f"{pod['metadata']['name'][:40]}-{pod['metadata']['uid'][:8]}"
        self.process: Process | None = None
        self._probers: list[Prober] = []  # the last is the present one
        self._container: Container | None = None
        self._timers: list[Timer] = []
        self._started = self._reason = ""
        self._restarts, self._leaving, self._over = 0, False, False
        self._last: Object = {}

    @property
    def _uid(self) -> str:
        return str(self._pod["metadata"]["uid"])

    # --- beginning ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the pod's folders and start its container."""
        if seconds := self._pod["spec"].get("activeDeadlineSeconds"):
            self._after(seconds, self._too_late)
        mounts = folders(self._pod, self._machine, self.private)
        try:
            self.private.mkdir(mode=0o700, parents=True)
            for folder in mounts.values():
                folder.mkdir(parents=True, exist_ok=True)
            self._container = resolve(
                self._pod, self._machine, mounts, self._take_port(), Addresses(self._address, self._aliases)
            )
        except ConfigurationMissing as missing:
            self._wait("CreateContainerConfigError", str(missing))
        except OSError as error:
            self._wait("CreateContainerError", str(error))
        else:
            self._run()

    def _wait(self, reason: str, message: str) -> None:
        """Show why the container can't be made; what it lacks does not appear later on this machine."""
        self._show("Pending", {"waiting": {"reason": reason, "message": message}})

    def _take_port(self) -> int:
        """Return the port of the pod's own, where its Service finds it."""
        if not (declared := port_of(self._pod)):
            return 0
        owner = next((item["name"] for item in self._pod["metadata"].get("ownerReferences") or ()), self._uid)
        port = self._ports.take(self._uid, owner, declared)
        address = f"http://{ADDRESS}:{port}"
        self._store.edit(self._pod, lambda live: annotated(live, LOCAL_ADDRESS, address))
        return port

    def _address(self, service: str, port: int) -> str:
        """Return where a service is: where its Service says, else where its first pod will be."""
        known = self._store.get("Service", service)
        address = annotations(known).get(LOCAL_ADDRESS) if known else None
        return address or f"http://{ADDRESS}:{self._ports.promise(service, port)}"

    def _aliases(self, service: str) -> list[str]:
        """Return the other Services of the same pods."""
        known = self._store.get("Service", service)
        selector = known["spec"].get("selector") if known else None
        others = (
            item for item in self._store.of_kind("Service") if selector and item["spec"].get("selector") == selector
        )
        return [item["metadata"]["name"] for item in others if item["metadata"]["name"] != service]

    def _run(self) -> None:
        """Start the container, for the first time or again."""
        if self._container is None or self._leaving or self._over:
            return
        self._started, message = now(), self.private / "termination-log"
        removal.remove(message)  # a container before this one may have left anything there
        own = {TERMINATION_LOG: str(message), MARK: self._uid}
        try:
            environment = {**self._container.environment, **own}
            self.process = Process(self._container.argv, environment, self.private, self._soon(self._ended))
        except (OSError, ValueError) as error:
            self._end(NOT_STARTED, "StartError", f"exec: {self._container.argv[0]!r}: {error}")
            return
        probe = container_of(self._pod).get("readinessProbe")
        self._show("Running", {"running": {"startedAt": self._started}}, ready=probe is None)
        if probe:
            named = (probe.get("httpGet") or probe["tcpSocket"])["port"]
            port = self._container.port or (named if isinstance(named, int) else 0)
            prober = Prober(probe, port, self._soon(partial(self._is_ready, self.process)))
            self._probers = [*self._probers[-1:], prober]

    def _is_ready(self, process: Process, ready: bool) -> None:
        if process is self.process and not self._over:
            self._show("Running", {"running": {"startedAt": self._started}}, ready=ready)

    # --- the container's end -------------------------------------------------------------------------

    def _ended(self, code: int) -> None:
        self.process = None
        for prober in self._probers:
            prober.stop()
        message = b""
        with suppress(OSError), open(self.private / "termination-log", "rb", buffering=0, opener=plain) as file:
            message = file.read(MESSAGE_LIMIT) or b""
        self._end(code, "Error" if code else "Completed", message.decode("utf-8", "replace"))

    def _end(self, code: int, reason: str, message: str) -> None:
        """Show how the container ended; then start it again, or end the pod with it."""
        state: Object = {"exitCode": code, "reason": reason, "startedAt": self._started, "finishedAt": now()}
        if message:
            state["message"] = message
        terminated = {"terminated": state}
        again = self._pod["spec"].get("restartPolicy", "Always") == "Always"
        if self._leaving or self._reason or not again:
            self._finish("Failed" if code or self._reason else "Succeeded", terminated)
            return
        self._show("Running", terminated)
        self._last = terminated
        pause = min(2.0 ** (self._restarts - 1), LAST) * self._machine.back_off if self._restarts else 0.0
        self._restarts += 1
        if pause:
            sentence = f"back-off {pause:g}s restarting failed container"
            self._show("Running", {"waiting": {"reason": "CrashLoopBackOff", "message": sentence}})
        self._after(pause, self._run)

    def _too_late(self) -> None:
        """End a pod that took longer than activeDeadlineSeconds: it stays, with its cause."""
        self._reason = _TOO_LATE["reason"]
        if self.process:
            self._terminate(self._grace)
        else:
            self._finish("Failed", {"waiting": {"reason": "ContainerCreating"}})

    def _finish(self, phase: str, state: Object) -> None:
        self._over = True
        for timer in self._timers:
            timer.cancel()
        self._show(phase, state)
        self._ports.release(self._uid)
        if self._leaving:
            self._store.remove(self._pod)

    # --- the pod's end -----------------------------------------------------------------------------

    def leave(self) -> None:
        """Let a pod that is being deleted end: preStop, SIGTERM, SIGKILL; then it is gone."""
        if self._leaving:
            return
        self._leaving = True
        if self._over:
            self._store.remove(self._pod)
        elif self.process is None:
            self._finish("Failed", {"waiting": {"reason": "ContainerCreating"}})
        else:
            hook = container_of(self._pod).get("lifecycle", {}).get("preStop", {}).get("sleep", {})
            pause = min(float(hook.get("seconds", 0)), self._grace)
            self._after(pause, partial(self._terminate, max(self._grace - pause, LEAST_GRACE)))

    @property
    def _grace(self) -> float:
        return float(self._pod["spec"].get("terminationGracePeriodSeconds", 30))

    def _terminate(self, grace: float) -> None:
        if self.process:
            self.process.terminate()
            self._after(grace, self.process.kill)

    def tidy(self) -> None:
        """Probe no more, and remove the pod's private folders: from another thread, since they can be large."""
        for prober in self._probers:
            prober.stop()
            prober.join()
        removal.remove(self.private)

    # --- what is shown -----------------------------------------------------------------------------

    def _show(self, phase: str, state: Object, *, ready: bool = False) -> None:
        ready = ready and not self._over
        live = self._store.get("Pod", self._pod["metadata"]["name"], self._uid) or {}
        conditions = live.get("status", {}).get("conditions") or ()
        disruption = [item for item in conditions if item["type"] == "DisruptionTarget"]
        reason = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "" if ready else "ContainersNotReady")
        readiness = {"status": str(ready), **({"reason": reason} if reason else {})}
        container = {
            "name": container_of(self._pod)["name"],
            "image": container_of(self._pod).get("image", ""),
            "state": state,
            "lastState": self._last,
            "ready": ready,
            "started": "running" in state,
            "restartCount": self._restarts,
        }
        status = {
            "phase": phase,
            **(_TOO_LATE if self._reason and phase == "Failed" else {}),
            "conditions": [
                *disruption,
                {"type": "Ready", **readiness},
                {"type": "ContainersReady", **readiness},
                {"type": "PodScheduled", "status": "True"},
            ],
            "podIP": ADDRESS,
            "startTime": self._pod["metadata"]["creationTimestamp"],
            "containerStatuses": [container],
        }
        self._store.note(self._pod, status)

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append(self._scheduler.after(seconds, call))

    def _soon(self, call: Callable[..., None]) -> Callable[..., None]:
        """Return a function for other threads that makes `call` in the scheduler's."""
        return lambda *arguments: self._scheduler.soon(partial(call, *arguments))
