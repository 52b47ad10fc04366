"""The doctor as a command: the controller's own findings, and what only this side knows.

In the controller's pod its page is asked directly: the controller's account has no right to a service proxy.
"""

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Final

from controller.adapters.kube.transport import SERVICE_ACCOUNT
from controller.app.remote import Remote, examination
from controller.core import doctor
from controller.core.doctor import Finding
from controller.core.errors import Transient
from controller.core.inputs import checks

SECONDS: Final = 60.0
LIMIT: Final = 4 << 20  # bytes
NO_CONTROLLER: Final = frozenset(
    {"ControllerMissing", "ControllerDown", "ControllerTooOld", "ControllerBusy", "Forbidden"}
)
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy leads elsewhere


def examine(there: Remote, version: str, port: str) -> list[Finding]:
    """Give all findings, the controller's among them if it answers. `port`: of the controller in this very pod, or "".

    Raises Transient where the cluster is out of reach, NotFound where the namespace is none.
    """
    if port.isascii() and port.isdigit() and Path(SERVICE_ACCOUNT).exists():
        return _read(own(int(port)), version)
    rights = there.rights()
    try:
        there.ready()
        found = there.doctor()
    except Transient as error:
        if error.reason not in NO_CONTROLLER:
            raise
        return [*rights, Finding("controller", "wrong", str(error), "nothing else can be looked at until it answers")]
    return [*rights, *_read(found, version)]


def _read(found: tuple[str, list[Finding]], version: str) -> list[Finding]:
    told, findings = found
    return [Finding("controller", "ok", "answers"), doctor.version(told, version), *findings]


def own(port: int) -> tuple[str, list[Finding]]:
    """Ask the controller of this pod. Raises Transient."""
    try:
        with _DIRECT.open(f"http://127.0.0.1:{port}/api/doctor", timeout=SECONDS) as reply:
            return examination(json.loads(reply.read(LIMIT)))
    except urllib.error.HTTPError as error:
        with error:
            raise Transient("ControllerBusy", f"the controller answers with {error.code}: try again later") from error
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise Transient(
            "ControllerDown", f"the controller of this pod does not answer: {checks.printable(str(error))}"
        ) from error
