"""What is found and told: values only."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

State: TypeAlias = Literal["ok", "note", "wrong"]
Rights: TypeAlias = Mapping[tuple[str, str], frozenset[str]]
"""(apiGroup, resource) -> RBAC verbs."""

CHECKS: Final = (
    "controller", "version", "rights", "your rights", "volume", "claim", "images", "requests", "git", "clock",
    "pod security", "cronjobs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do about it ("" where nothing is to be done)."""

    check: str
    state: State
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What was found at the volume's mount point; sizes in bytes, times in seconds."""

    problem: str = ""  # why it can't be written to, in one line
    mounted: bool = True
    free: int = 0
    size: int = 0
    inodes_free: int | None = None  # None: it does not count them
    sync: float = 0.0  # of one small write that reaches the disk
    mode: int = 0o775
    owner: str = ""  # uid:gid


@dataclass(frozen=True, slots=True)
class Reached:
    """How Git went for one request: the commit, else what is wrong."""

    request: str
    commit: str = ""
    problems: tuple[str, ...] = ()


def from_json(items: Iterable[Any]) -> list[Finding]:
    """Give the findings of another process; what is none is left out."""
    fields = ("check", "state", "message", "remedy")
    return [
        Finding(*(str(item.get(key, "")) for key in fields))  # type: ignore[arg-type]  # its state is one of ours
        for item in items
        if isinstance(item, dict) and item.get("state") in ("ok", "note", "wrong")
    ]


def to_json(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Give findings as JSON's own types."""
    return [asdict(finding) for finding in findings]


def healthy(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing is wrong."""
    return all(finding.state != "wrong" for finding in findings)
