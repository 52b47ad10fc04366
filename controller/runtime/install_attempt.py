"""One attempt to build an environment, which install.py begins.

It behaves as the launcher does: an attempt's log on the volume, the cause in the termination message and next to
the log, SIGTERM obeyed, nothing left running. Exit code 0: `environment/` below the build's folder is complete, and the
controller publishes it. 121: another attempt would not help. 1: it may pass (network, a full volume). It refuses to
begin without the room and the memory that its order names. The work itself is install_build.py's, in a process
that may be killed.
"""

from __future__ import annotations

import contextlib
import json
import netrc
import os
import re
import shutil
import sys
import urllib.parse
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

if TYPE_CHECKING:
    from controller.runtime import (
        install_requirements,
        stage_attempt,
        stage_order,
    )
else:  # published side by side: the script's folder is where Python looks first
    import install_requirements
    import stage_attempt
    import stage_order

NEEDED = ("checkout", "tools", "scratch", "logs", "build", "cache")
MIB = 1024 * 1024
MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # cgroup v2, v1
_CHOICE = re.compile(r"(true|false|[0-9]{1,6}|[a-z]+(-[a-z]+)*)$")
_PRIVATE = re.compile(r"_(USERNAME|PASSWORD|TOKEN)$")
_USER = re.compile(r"(?:://|^)([^/\s]+)@")  # a proxy's address may begin with it


class BuildOrder(NamedTuple):
    """What to build. Paths are relative as named; times are seconds."""

    kind: str  # environment
    commit: str
    environment: str  # what the complete environment says of itself
    limit: float  # for all of it
    paths: Dict[str, str]  # those of NEEDED; published: where stages find it, for who compiles what they use already
    project: str = "."  # below the checkout
    grace: float = 10
    log_cap: int = 64 * 1024 * 1024
    sources: Dict[str, str] = {}  # noqa: RUF012 - never changed; address in a requirement -> folder of its checkout
    space: int = 0  # bytes that must be free where it is built
    memory: int = 0  # MiB that the container must be allowed
    secrets: Sequence[str] = ()  # variables whose values nothing that is written may show
    compiles: bool = True  # the modules; else stages can write what they compile
    wake: str = ""  # what to call once the environment can be used, HOST:PORT/PATH; "": nothing


class BuildLauncher(stage_attempt.Launcher):
    """One attempt to build the environment."""

    def __init__(self, order: BuildOrder) -> None:
        """Take over output and signals of the process."""
        secrets = secret_values(os.environ, order.secrets)
        super().__init__(order.grace, order.paths["logs"], order.limit, secrets, wake="")
        self.order, self.name = order, "requirements"  # by which a user knows them, once they are read
        self.published = order.paths.get("published", "")
        places = [os.path.join(place, install_requirements.FILE) for place in (order.paths["build"], self.published)]
        self.requirements = next(filter(os.path.exists, places), places[0])
        self.failure = os.path.join(order.paths["scratch"], "failure.json")

    def work(self) -> None:
        """Claim the attempt, check what there is, and build. Raises Unable, Stopped."""
        order = self.order
        try:
            self.claim(order.log_cap, rotate=False)
        except OSError as error:
            self.output.say(f"no log is kept on the shared volume: {error}")
        self.name = install_requirements.read(self.requirements).file
        self.output.say(f"environment {order.environment} of {self.name} at commit {order.commit}")
        self._check_room_and_memory()
        self.keeper.commit()
        self._build()

    def _check_room_and_memory(self) -> None:
        """Refuse to begin where the volume has too little room, which may pass, or with too little memory."""
        build, needed, limit = self.order.paths["build"], self.order.memory, memory_limit()
        try:
            os.makedirs(build, exist_ok=True)
            free = shutil.disk_usage(build).free
        except OSError as error:
            raise stage_order.Unable(
                stage_order.VOLUME_FULL, f"{build} can't be used: {error.strerror}", stage_order.MAY_PASS
            ) from error
        if free < self.order.space:
            needs = f"{self.order.space // MIB} MiB must be free on the shared volume to build an environment"
            remedy = "delete old runs or enlarge the volume"
            message = f"{needs}, and {free // MIB} are: {remedy}"
            raise stage_order.Unable(stage_order.VOLUME_FULL, message, stage_order.MAY_PASS)
        if needed and limit is not None and limit < needed * MIB:
            raise stage_order.Unable(
                "OutOfMemory",
                f"{self.name}: environment builds need {needed} MiB of memory, and the container may use "
                f"{limit // MIB}: raise its limit (a LimitRange of the namespace may set it)",
            )

    def _build(self) -> None:
        self.outcome.script_started = self.outcome.first_start = stage_order.now()
        not_passed_on = (*stage_attempt.OWN_VARIABLES, "PYTHONPATH")
        variables = {name: value for name, value in os.environ.items() if name not in not_passed_on}
        order, paths = self.order, self.order.paths
        lock = os.path.join(paths["build"], "lock.txt")
        job = {
            "uv": os.path.join(paths["tools"], "uv"),
            "project": os.path.normpath(os.path.join(paths["checkout"], order.project)),
            "requirements": self.requirements,
            "environment": order.environment,
            "target": os.path.join(paths["build"], "environment"),
            "scratch": os.path.join(os.path.realpath(paths["scratch"]), "install"),
            "cache": paths["cache"],
            "failure": self.failure,
            "sources": order.sources,
            "lock": lock if os.path.exists(lock) else "",
            "published": self.published,
            "compiles": order.compiles,
            "wake": order.wake,
        }
        # An option, since a variable would be uv's, too.
        bytecode = ["-X", f"pycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else []
        command = [sys.executable, *bytecode, os.path.join(paths["tools"], "install_build.py")]
        command += stage_order.arguments(json.dumps(job))
        self._judge(self.execute("the installation", command, paths["build"], variables, self._time_left))

    def _time_left(self, seconds: float) -> float:
        """Act on the limit; return for how long nothing will change by itself (seconds)."""
        left = self.order.limit - seconds
        if left <= 0 and not self.keeper.why:
            self.output.say(f"the limit of {self.order.limit:g} s has passed: the installation has to end")
            self.keeper.end("TimedOut")
        return 60.0 if self.keeper.why else left

    def _judge(self, ended: stage_order.Ended) -> None:
        name, status, set_verdict = self.name, ended.status, self.outcome.set
        if self.keeper.why == "TimedOut" and self._left().get("made"):
            message = f"{name}: installed; compiled by the next attempt: not done within {self.order.limit:g} s"
            set_verdict(stage_order.MAY_PASS, "NotCompiled", message)
        elif self.keeper.why == "TimedOut":
            limit = f"{self.order.limit:g} s, the time limit of environment builds"
            at_end = f"; at its end: {doing}" if (doing := self._left().get("doing")) else ""
            remedy = "raise COACHWORK_INSTALL_LIMIT of the controller if it only needs longer"
            set_verdict(
                stage_order.HOPELESS, "InstallFailed", f"{name}: not installed within {limit}{at_end}: {remedy}"
            )
        elif self.keeper.why and status:
            set_verdict(128 - status if status < 0 else status, self.keeper.why, f"{name}: the installation had to end")
        elif ended.out_of_memory:
            message = f"{name}: the installation used more memory than it may: give environment builds more"
            set_verdict(stage_order.HOPELESS, "OutOfMemory", message)
        elif status:
            left, how = self._left(), f"was killed by signal {-status}" if status < 0 else f"exited with code {status}"
            code = stage_order.MAY_PASS if left.get("code") == stage_order.MAY_PASS else stage_order.HOPELESS
            reason, message = (
                left.get("reason", "InstallFailed"),
                left.get("message", f"{name}: the installation {how}"),
            )
            set_verdict(code, str(reason), str(message))
        else:
            set_verdict(0, "Completed", f"{name}: installed in {ended.seconds:.1f} s")

    def _left(self) -> Dict[str, Any]:
        """Return what the installation left behind: why it failed, or what it was doing when it had to end."""
        return stage_order.read_json(self.failure)


def memory_limit() -> Optional[int]:
    """Return what the container may use (bytes), None if nothing is known."""
    for path in MEMORY_LIMITS:
        text = stage_order.read_text(path, 100).strip()
        if text.isdigit():
            return int(text)
    return None


def secret_values(environment: Mapping[str, str], names: Sequence[str]) -> List[str]:
    """Return the values of these variables and every password that they or the .netrc of NETRC hold."""
    found = []
    for name in names:
        value = environment.get(name, "")
        if name.upper() == "NO_PROXY" or (not _PRIVATE.search(name) and _CHOICE.match(value)):
            continue  # a setting such as `true`, `3` or `first-index`: to blank it would garble the log
        # uv shows an index of several by itself, and without its name and user
        found += [value, *(re.sub(r"^[\w-]+=|(?<=://)[^/\s]+@", "", each) for each in value.split() if "://" in each)]
        for user in _USER.findall(value):  # user:password, or a token that stands alone
            alone, colon, password = user.partition(":")
            secret = password if colon else alone
            found += [secret, urllib.parse.unquote(secret)]
    with contextlib.suppress(OSError, ValueError, netrc.NetrcParseError):  # uv will say what is wrong with it
        hosts = netrc.netrc(environment.get("NETRC", "")).hosts  # "" means none
        found += [password for _, _, password in hosts.values() if password]
    return found


def main() -> None:
    """Build the environment that the only argument describes."""
    stage_attempt.main(BuildOrder, ("environment",), NEEDED, BuildLauncher)
