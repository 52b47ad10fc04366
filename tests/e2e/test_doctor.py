"""`coachwork doctor` on a real cluster: a sound installation, and what is wrong with the requests of a test."""

import json
import subprocess
import sys
from typing import Any

from tests.support.e2e import NAMESPACE, Coachwork, eventually, kubectl
from tests.support.e2e_projects import batch, project

# What no other test of the same installation can disturb.
SOUND = (
    "kubernetes",
    "controller",
    "version",
    "your rights",
    "rights",
    "volume",
    "claim",
    "clock",
    "pod security",
    "quota",
)
EVERY = (*SOUND, "images", "requests", "git", "cronjobs", "autoscalers")


def doctor() -> tuple[int, dict[str, Any]]:
    """Return the exit code and what `coachwork doctor` finds."""
    command = [sys.executable, "-m", "controller", "doctor", "-n", NAMESPACE, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode in (0, 1, 2), done.stderr
    return done.returncode, json.loads(done.stdout)


def lines(found: dict[str, Any], check: str, word: str = "") -> list[str]:
    """Return what is wrong by a check, about a word."""
    return [
        item["message"]
        for item in found["findings"]
        if item["check"] == check and item["state"] == "wrong" and word in item["message"]
    ]


def test_nothing_is_found_wrong_with_a_sound_installation(coachwork: Coachwork) -> None:
    assert coachwork.controller()
    _, found = doctor()
    assert {item["check"] for item in found["findings"]} == set(EVERY)
    assert [item for item in found["findings"] if item["check"] in SOUND and item["state"] != "ok"] == []


def test_the_doctor_answers_in_the_pod_itself(coachwork: Coachwork) -> None:
    assert coachwork.controller()
    output = eventually(
        lambda: coachwork.shell("sh", "-c", "coachwork doctor || true"), "answer of the doctor", seconds=60
    )
    assert "rights: all" in output
    assert "restricted" in output


def test_what_would_stop_the_next_run_is_found_before_it(coachwork: Coachwork) -> None:
    name, away, gone = coachwork.name("sick"), coachwork.name("away"), coachwork.name("gone")
    coachwork.git.push(name, project(name, "one", batch("one", "print()")))
    coachwork.request(name, git_secret="no-such-secret", run_on_create="false")
    coachwork.request(away, repository="https://nosuch.invalid/x", run_on_create="false")
    job = kubectl("-n", NAMESPACE, "create", "cronjob", gone, "--image=x", "--schedule=0 0 1 1 *", "--dry-run=client",
                  "-o", "json", "--", "coachwork", "trigger", gone)  # fmt: skip
    restricted = json.loads(job)
    restricted["spec"]["suspend"] = True
    coachwork.apply(restricted)
    try:
        code, found = eventually(findings_about(name, away, gone), "findings about all three", seconds=90)
    finally:
        kubectl("-n", NAMESPACE, "delete", "cronjob", gone, "--wait=false")
    assert (code, found["healthy"]) == (2, False), "only requests are wrong"
    assert "no-such-secret: not found" in lines(found, "requests", name)[0]
    assert lines(found, "cronjobs", gone) == [f'{gone} triggers request "{gone}", which does not exist']


def findings_about(name: str, away: str, gone: str) -> Any:
    """Return a call that is true once the doctor finds something about each."""

    def find() -> tuple[int, dict[str, Any]] | None:
        code, found = doctor()
        complete = lines(found, "requests", name) and lines(found, "git", away) and lines(found, "cronjobs", gone)
        return (code, found) if complete else None

    return find
