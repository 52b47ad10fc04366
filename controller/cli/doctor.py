"""`coachwork doctor`: what is wrong with an installation, one line each, with its remedy.

In the controller's pod its page is read directly, with the token of the controller's own account.
"""

import json
import os
import urllib.error
import urllib.request
from dataclasses import asdict
from http import HTTPStatus
from http.client import HTTPException
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import typer

from controller.adapters.kube.login import SERVICE_ACCOUNT
from controller.adapters.kube.person import ONLY, USED, Person
from controller.adapters.kube.readers import UNKNOWN
from controller.cli import text
from controller.cli.connect import connected
from controller.cli.options import Output
from controller.cli.requests import Requests
from controller.core.doctor import Finding, exit_code, from_json, healthy, rights, version
from controller.core.errors import NotYet, Refused, Transient
from controller.core.text import clean

PORT: Final = "COACHWORK_PORT"  # set in the controller's own pod, where no service proxy is needed
SECONDS: Final = 60.0
LIMIT: Final = 4 << 20  # bytes
NO_CONTROLLER: Final = (
    "ControllerMissing",
    "ControllerDown",
    "ControllerTooOld",
    "ControllerBusy",
    "Forbidden",
    UNKNOWN,
)
BINDING: Final = (
    "ask the namespace's administrator to bind you to the Role coachwork-user (deploy/components/user-role)"
)
OWN_BINDING: Final = "apply deploy/base/reader.yaml of its release (kubectl apply -k), which lets its own account read"
COLOURS: Final = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW, "wrong": typer.colors.RED}
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy leads elsewhere


@connected()
def doctor(requests: Requests, output: Output = "text") -> None:
    """Find what is wrong with the installation.

    Rights, volume, images, Secrets, Git, clock, Pod Security and CronJobs are checked.
    """
    port = os.environ.get(PORT, "")
    if port.isascii() and port.isdigit() and Path(SERVICE_ACCOUNT).exists():
        found = own(int(port), Path(SERVICE_ACCOUNT, "token").read_text().strip())
    else:
        found = _examine(requests.cluster)
    lines = []
    for finding in found:
        state = typer.style(f"{finding.state:<5}", fg=COLOURS[finding.state])
        lines.append(f"{state} {finding.check}: {text.plain(finding.message)}")
        lines += [f"      {text.plain(finding.remedy)}"] if finding.remedy else []
    findings = [asdict(finding) for finding in found]
    answer = {"namespace": requests.namespace, "healthy": healthy(found), "findings": findings}
    text.write(output, answer, lines)
    raise typer.Exit(exit_code(found))


def _examine(person: Person) -> list[Finding]:
    """Return what the controller finds, if it answers, and what this person may do.

    Raises Transient where the cluster is out of reach, NotFound where the namespace does not exist.
    """
    used = {place: frozenset(map(str, verbs)) for place, verbs in USED.items()}
    try:
        lacking = person.examiner().lacking(used, ONLY)
    except (Refused, NotYet) as error:
        raise Transient("Forbidden", str(error)) from error
    own_rights = rights("your rights", used, lacking, BINDING, "note")
    try:
        person.ready()
        return [*own_rights, *_findings(person.answer("api", "doctor"))]
    except Transient as error:
        if error.reason not in NO_CONTROLLER:
            raise
        remedy = "nothing else can be examined until it answers"
        return [*own_rights, Finding("controller", "wrong", str(error), remedy)]


def own(port: int, token: str) -> list[Finding]:
    """Return what the controller of this pod finds, shown to the bearer of this token. Raises Transient."""
    try:
        address, shown = f"http://127.0.0.1:{port}/api/doctor", {"Authorization": f"Bearer {token}"}
        asked = urllib.request.Request(address, headers=shown)
        with _DIRECT.open(asked, timeout=SECONDS) as reply:
            return _findings(json.loads(reply.read(LIMIT)))
    except urllib.error.HTTPError as error:
        with error:
            remedy = OWN_BINDING if error.code == HTTPStatus.FORBIDDEN else "try again later"
            raise Transient("ControllerBusy", f"the controller answers with {error.code}: {remedy}") from error
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        problem = f"the controller of this pod does not answer: {clean(str(error))}"
        raise Transient("ControllerDown", problem) from error


def _findings(answer: Any) -> list[Finding]:
    """Return the findings that a controller's answer states. Raises Transient where it is something else."""
    if not isinstance(answer, dict):
        raise Transient("ControllerBusy", "the controller's answer is not an examination")
    release = version(str(answer.get("version", "")), metadata.version("coachwork"))
    findings = answer.get("findings")
    return [Finding("controller", "ok", "answers"), release, *from_json(findings if isinstance(findings, list) else ())]
