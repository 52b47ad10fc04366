"""A finding of the doctor, and how the command ends that shows them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from controller.core.exits import Exit

State: TypeAlias = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, its state, the message, and the remedy ("" where nothing has to be done)."""

    check: str
    state: State
    message: str
    remedy: str = ""
    request: str = ""  # at whose request the fault lies; "": the installation


def from_json(items: Iterable[Any]) -> list[Finding]:
    """Return the findings of another process; what is malformed is left out."""
    fields = ("check", "state", "message", "remedy", "request")
    return [
        Finding(*(str(item.get(key, "")) for key in fields))  # type: ignore[arg-type]  # its state is one of ours
        for item in items
        if isinstance(item, dict) and item.get("state") in ("ok", "note", "wrong")
    ]


def healthy(findings: Iterable[Finding]) -> bool:
    """Return whether nothing is wrong."""
    return all(finding.state != "wrong" for finding in findings)


def exit_code(findings: Iterable[Finding]) -> Exit:
    """Return how `coachwork doctor` ends: a fault of the installation counts more than one of a request."""
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if any(not finding.request for finding in wrong):
        return Exit.FAILED
    return Exit.INVALID if wrong else Exit.DONE
