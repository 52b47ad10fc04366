"""What an end-to-end test does: state requests, follow their records, look at pods, volume and HTTP as a user would.

Everything here goes through `kubectl` or HTTP; nothing of the controller's code is imported, on purpose.
"""

import json
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import yaml

from tests.support.incluster_git import InClusterGit
from tests.support.kubectl import Failed, Object, eventually, kubectl, listed, watched

NAMESPACE = "coachwork"
DONE = ("Ready", "Degraded", "Failed", "Invalid", "Cancelled")
RUN_SECONDS = 240  # what a run may take here at most, installation of small packages included
VOLUME = "/var/lib/coachwork"
HTTP_SECONDS = 10

Files = Mapping[str, str | bytes]
Record = dict[str, str]


@dataclass(frozen=True)
class Reply:
    """What a service answered; status 0: it did not answer."""

    status: int
    body: str

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass
class Coachwork:
    """The installation under test, and the requests that one test makes there."""

    git: InClusterGit
    _made: list[str] = field(default_factory=list)

    # --- requests ------------------------------------------------------------------------------------

    def name(self, word: str) -> str:
        """Return a name that no other test uses; a request of it is removed at the test's end."""
        name = f"{word}-{uuid.uuid4().hex[:6]}"
        self._made.append(name)
        return name

    def start(self, name: str, files: Files, **keys: Any) -> Record:
        """Push the files as repository `name`, request a run of it, and return the record of its end."""
        self.git.push(name, files)
        self.request(name, **keys)
        return self.ended(name)

    def request(
        self,
        name: str,
        *,
        repository: str | None = None,
        annotations: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        **keys: str,
    ) -> None:
        """Apply the request: `_` in a key stands for `-`; the repository is the one of this name."""
        if name not in self._made:
            self._made.append(name)
        data = {key.replace("_", "-"): value for key, value in keys.items()}
        data |= {f"env.{key}": value for key, value in (env or {}).items()}
        address = self.git.url(name) if repository is None else repository
        metadata = {"name": name, "namespace": NAMESPACE, "labels": {"coachwork.io/role": "request"}}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {**metadata, "annotations": dict(annotations or {})},
                "data": {"repository": address, **data} if address else data,
            }
        )

    def apply(self, manifest: Object) -> None:
        """Apply one object as `kubectl apply` does on the server's side (no size limit of an annotation)."""
        text = json.dumps(manifest)
        kubectl("-n", NAMESPACE, "apply", "--server-side", "--force-conflicts", "-f", "-", text=text)

    def annotate(self, name: str, **values: str) -> None:
        """Set coachwork.io/KEY annotations of the request."""
        pairs = [f"coachwork.io/{key}={value}" for key, value in values.items()]
        kubectl("-n", NAMESPACE, "annotate", "--overwrite", "configmap", name, *pairs)

    def trigger(self, name: str, identity: str, *, seconds: float = RUN_SECONDS) -> Record:
        """Trigger a run under this id, and return the record of its end."""
        self.annotate(name, trigger=identity)
        return self.ended(name, seconds=seconds, finished_trigger=identity)

    def uid(self, name: str) -> str:
        """Return the uid of the request."""
        return kubectl("-n", NAMESPACE, "get", "configmap", name, "-o", "jsonpath={.metadata.uid}")

    def delete(self, name: str) -> None:
        """Delete the request; what it owns goes by itself."""
        kubectl("-n", NAMESPACE, "delete", "configmap", name, "--ignore-not-found", "--wait=false")

    def clean(self) -> None:
        """Delete all requests of this test."""
        if self._made:
            kubectl("-n", NAMESPACE, "delete", "configmap", *self._made, "--ignore-not-found", "--wait=false")

    # --- records -------------------------------------------------------------------------------------

    def status(self, name: str) -> Record:
        """Return the data of NAME-status now. Raises Failed where there is none."""
        return dict(json.loads(self._get("configmap", f"{name}-status")).get("data") or {})

    def wait_for(
        self, name: str, wanted: Callable[[Record], bool], what: str = "wanted record", *, seconds: float = RUN_SECONDS
    ) -> Record:
        """Follow NAME-status until it is as wanted, and return it."""
        last: Record = {}
        for item in watched(NAMESPACE, "configmap", f"{name}-status", seconds=seconds):
            last = dict((item or {}).get("data") or {})
            if item and wanted(last):
                return last
        raise AssertionError(f"no {what} of {name} within {seconds:g} s: \n{told(last)}\n{self._why(name)}")

    def ended(self, name: str, *, seconds: float = RUN_SECONDS, **wanted: str) -> Record:
        """Follow the record until its run has ended (and its keys are as wanted; `_` for `-`), and return it."""
        keys = {key.replace("_", "-"): value for key, value in wanted.items()}
        return self.wait_for(
            name,
            lambda data: data.get("phase") in DONE and keys.items() <= data.items(),
            f"end of the run {keys or ''}",
            seconds=seconds,
        )

    def running(self, name: str, stage: str) -> Record:
        """Wait until a pod of the stage runs, and return the record then."""
        eventually(
            lambda: [pod for pod in self.pods(name, stage) if pod["status"]["phase"] == "Running"],
            f"running pod of {name} {stage}",
        )
        return self.status(name)

    def stages(self, record: Record) -> dict[str, dict[str, Any]]:
        """Return what the record tells about each stage."""
        return dict(yaml.safe_load(record.get("stages", "{}")))

    def history(self, record: Record) -> list[dict[str, Any]]:
        """Return the past runs, newest first."""
        return list(yaml.safe_load(record.get("history", "[]")))

    def _why(self, name: str) -> str:
        pods = [f"{pod['metadata']['name']}: {json.dumps(pod['status'])[:1500]}" for pod in self.pods(name)]
        return "\n".join([*pods, *(json.dumps(line) for line in self.passes(name)[-8:])])

    # --- objects -------------------------------------------------------------------------------------

    def _get(self, kind: str, name: str, output: str = "json") -> str:
        return kubectl("-n", NAMESPACE, "get", kind, name, "-o", output)

    def get(self, kind: str, name: str) -> Object:
        """Return one object. Raises Failed where there is none."""
        return dict(json.loads(self._get(kind, name)))

    def objects(self, name: str, kinds: str) -> list[Object]:
        """Return the request's objects of these kinds."""
        return listed(NAMESPACE, kinds, f"coachwork.io/request={name}")

    def pods(self, name: str, stage: str = "") -> list[Object]:
        """Return the pods of the request's stages (of one stage) that are not on their way out."""
        found = self.objects(name, "pods")
        return [
            pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
            and (of := pod["metadata"]["labels"].get("coachwork.io/stage"))
            and stage in ("", of)
        ]

    def events(self, name: str) -> list[Object]:
        """Return the Events on the request."""
        selector = f"involvedObject.name={name}"
        found = json.loads(kubectl("-n", NAMESPACE, "get", "events", f"--field-selector={selector}", "-o", "json"))
        return list(found["items"])

    # --- the volume and the controller ------------------------------------------------------------------

    def shell(self, *command: str) -> str:
        """Return what a command prints in the controller's pod; tried again while that pod is being replaced."""
        call = ("-n", NAMESPACE, "exec", "deployment/coachwork", "--", *command)
        return eventually(lambda: (kubectl(*call),), f"answer of {command}", seconds=60)[0]

    def run_file(self, name: str, run: int | str, path: str) -> str:
        """Return a file of the run's folder on the volume, like artifacts/facts.json; "" if there is none."""
        place = f"{VOLUME}/runs/{name}-{self.uid(name)}/{run}/{path}"
        return self.shell("sh", "-c", 'test ! -e "$0" || cat "$0"', place)

    def folders(self, name: str) -> Sequence[str]:
        """Return the folders that requests of this name have on the volume."""
        found = self.shell("ls", f"{VOLUME}/runs").split()
        return [folder for folder in found if folder.startswith(f"{name}-") and len(folder) == len(name) + 37]

    def controller(self) -> str:
        """Return the name of the controller's pod, ready and not on its way out."""

        def ready() -> str:
            pods = listed(NAMESPACE, "pods", "app.kubernetes.io/component=controller")
            good = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and _is_ready(pod)]
            return good[0]["metadata"]["name"] if good else ""

        return eventually(ready, "ready controller")

    def log(self) -> str:
        """Return the controller's log."""
        call = ("-n", NAMESPACE, "logs", "deployment/coachwork", "--tail=-1")
        return eventually(lambda: (kubectl(*call),), "controller's log", seconds=60)[0]

    def waits(self, name: str, stage: str, step: str) -> dict[str, Any]:
        """Wait until a stage or an environment is at this step before its script; return what is said of it."""

        def there() -> dict[str, Any]:
            stages = json.loads(self.page(f"/api/progress/{name}").body).get("stages", {})
            found: dict[str, Any] = stages.get(stage) or {}
            return found if found.get("step", "").startswith(step) else {}

        return eventually(there, f"{step} of {stage} of {name}")

    def passes(self, name: str) -> list[Object]:
        """Return the controller's log lines of its passes over the request."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("request") == name]

    def metrics(self) -> dict[str, float]:
        """Return the controller's samples by name and labels."""

        def page() -> str:
            reply = self.http("coachwork", "/metrics")
            return reply.body if reply.status == HTTPStatus.OK else ""

        lines = eventually(page, "metrics").splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {key: float(value) for key, _, value in samples}

    # --- HTTP ------------------------------------------------------------------------------------------

    def address(self, service: str) -> str:
        """Return the base URL of a Service, by its cluster address: http://IP:PORT."""
        spec = self.get("service", service)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def http(self, service: str, path: str = "/", body: Any = None) -> Reply:
        """Return a Service's answer (POST of JSON where there is a body)."""
        return ask(self.address(service) + path, body)

    def page(self, path: str) -> Reply:
        """Return one of the controller's pages, as those who may read them get it."""
        token = kubectl("-n", NAMESPACE, "create", "token", "coachwork-reader").strip()
        return ask(self.address("coachwork") + path, headers={"Authorization": f"Bearer {token}"})

    def answer(self, service: str, wanted: str, *, seconds: float = 60) -> None:
        """Wait until the Service answers with this text."""
        eventually(lambda: self.http(service).body == wanted, f"answer {wanted!r} of {service}", seconds=seconds)


def told(record: Record) -> str:
    """Return a record as an assertion's message, whole."""
    return "\n".join(f"{key}: {value}" for key, value in record.items())


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def ask(url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
    """Return the answer of one HTTP request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json", **(headers or {})})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as reply:  # noqa: S310 - http
            return Reply(reply.status, reply.read(1 << 20).decode(errors="replace"))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(1 << 16).decode(errors="replace"))
    except OSError as error:
        return Reply(0, str(error))


__all__ = [
    "NAMESPACE",
    "VOLUME",
    "Coachwork",
    "Failed",
    "Files",
    "Record",
    "Reply",
    "ask",
    "eventually",
    "kubectl",
    "told",
]


@contextmanager
def asked_all_the_time(url: str) -> Iterator[list[Reply]]:
    """Ask the URL without pause until the end of the block; the list holds all answers."""
    stop, replies, pause = threading.Event(), list[Reply](), threading.Event()

    def ask_on() -> None:
        while not stop.is_set():
            replies.append(ask(url))
            pause.wait(0.02)

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield replies
    finally:
        stop.set()
        thread.join()
