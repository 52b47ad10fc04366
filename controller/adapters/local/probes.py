"""Readiness probes: tcpSocket and httpGet on this machine, each in a thread of its own."""

import http.client
import socket
import threading
from collections.abc import Callable

from controller.adapters.local.ports import ADDRESS
from controller.core.model import Object

EAGER = 0.2  # seconds between probes until the first success: a person waits; the kubelet takes the period
GOOD = range(200, 400)


class Prober:
    """Probes again and again until stopped, and reports each change of the answer."""

    def __init__(self, probe: Object, port: int, report: Callable[[bool], None]) -> None:
        """`probe` is as in the manifest, `port` the one that it means here; `report` is called from a thread."""
        self._probe, self._port, self._report = probe, port, report
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"local-probe-{port}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop probing; an answer that is on its way is not reported."""
        self._stop.set()

    def join(self) -> None:
        """Wait until an answer that is on its way has come, or its time is over."""
        self._thread.join()

    def _run(self) -> None:
        period, allowed = self._probe.get("periodSeconds", 10), self._probe.get("failureThreshold", 3)
        ready, failures = False, 0
        while not self._stop.wait(period if ready else min(period, EAGER)):
            good = succeeds(self._probe, self._port)
            failures = 0 if good else failures + 1
            changed = good if not ready else failures >= allowed
            if changed and not self._stop.is_set():
                ready = not ready
                self._report(ready)


def succeeds(probe: Object, port: int) -> bool:
    """Return whether one probe succeeds now."""
    seconds = probe.get("timeoutSeconds", 1)
    try:
        if "httpGet" not in probe:
            socket.create_connection((ADDRESS, port), seconds).close()
            return True
        connection = http.client.HTTPConnection(ADDRESS, port, timeout=seconds)
        try:
            connection.request("GET", probe["httpGet"].get("path", "/"))
            return connection.getresponse().status in GOOD
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False
