"""How a command ends: the exit codes that scripts, and the CronJob of a schedule, rely on."""

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """An exit code with its meaning, as docs/reference/cli.md states it."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a number that knows what it means."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    DONE = 0, "done; of a trigger: its run succeeded, or nothing had to be started (`skip`, `suspend`)"
    FAILED = 1, "the run failed; `doctor`: something is wrong with the installation"
    INVALID = (
        2,
        (
            "wrong use, an invalid request or project, a refused trigger, or invalid settings; `doctor`: something is"
            " wrong with requests only"
        ),
    )
    NOT_FOUND = 3, "not found: the request, the run (or it is no longer kept), the log, the artifact, the namespace"
    UNREACHABLE = (
        4,
        (
            "Git or the cluster can't be reached or used: no kubeconfig, no rights, expired credentials, no controller;"
            " of the controller: no cluster credentials, or the volume can't be used"
        ),
    )
    CANCELLED = 5, "the run was cancelled, or a newer trigger superseded it; `delete` or `clean` was not confirmed"
    TIMED_OUT = 124, "`--timeout` passed; the run goes on"
    INTERRUPTED = 130, "interrupted; on a cluster the run goes on"
