"""A kubelet's part, played through the API server: pods of Jobs succeed at once, others are ready at once.

No container runs, so that hundreds of runs cost a test cluster little, and whatever is under test need not be in it.
"""

import threading
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime

from tests.support.faultyapi import Object, Upstream

PAUSE = 0.3  # seconds between two looks


class StandIn:
    """Plays from `start` until `stop`. `jobs` are the uids that each Job's name has had, `pods` those of each uid."""

    def __init__(self, api: Upstream, namespace: str) -> None:
        self.jobs: dict[str, set[str]] = defaultdict(set)
        self.pods: dict[str, set[str]] = defaultdict(set)
        self._api, self._pods = api, f"/api/v1/namespaces/{namespace}/pods"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._thread.join()

    def runs(self, request: str) -> int:
        """Return how many Jobs the request's stages have had."""
        return sum(len(uids) for name, uids in self.jobs.items() if name.startswith(f"{request}-"))

    def _run(self) -> None:
        while not self._stopping.wait(PAUSE):
            with suppress(OSError, AssertionError):  # the server is away, or a pod is: at the next look
                for pod in self._api.call("GET", self._pods)["items"]:
                    self._play(pod)

    def _play(self, pod: Object) -> None:
        owner = pod["metadata"]["ownerReferences"][0]
        if owner["kind"] == "Job":
            self.jobs[owner["name"]].add(owner["uid"])
            self.pods[owner["uid"]].add(pod["metadata"]["uid"])
        if pod["status"]["phase"] != "Pending" or pod["metadata"].get("deletionTimestamp"):
            return
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        ends = owner["kind"] == "Job"
        ended = {"terminated": {"exitCode": 0, "finishedAt": now, "startedAt": now}}
        state = {"ready": not ends, "state": ended if ends else {"running": {"startedAt": now}}, "restartCount": 0}
        containers = [
            {"name": one["name"], "image": one["image"], "imageID": "", **state} for one in pod["spec"]["containers"]
        ]
        ready = {"type": "Ready", "status": "False" if ends else "True", "lastTransitionTime": now}
        status = {
            "phase": "Succeeded" if ends else "Running", "conditions": [ready],
            "startTime": now, "containerStatuses": containers,
        }  # fmt: skip
        path = f"{self._pods}/{pod['metadata']['name']}/status"
        self._api.call("PATCH", path, {"status": status}, "application/merge-patch+json")
