"""A stage's packages: what a published environment says of itself, and a private one where it can't be used.

Another Python may have made it (a tag moves, an image is rebuilt), or it may be damaged. A private one has the same
versions, and a note has the next run build the shared one again. An environment that is not complete is refused; none
is ever changed. The controller has its own check (adapters/volume/environments.py), and can't see whether an image has
the Python that a link names.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from controller.runtime import stage_order, stage_output
else:  # published side by side
    import stage_order
    import stage_output

COMPLETE = ".complete"  # install_build.py writes it last: the environment's own name
UNCOMPILED = ".uncompiled"  # as long as not all of its modules are compiled; no reason not to use it
LOCK = "lock.txt"  # every package that was installed, as NAME==VERSION
PYTHON = "python.json"  # which Python made it
REQUIREMENTS = "requirements.json"  # what it was made of
OUTDATED = "environment-outdated.json"  # next to the logs: the controller builds again for the next run
LARGEST = 4 * 1024 * 1024  # characters of a lock
DRAIN = 1.0  # seconds
MOST_DIGITS = 9  # of a part of a version
_EQUAL = ("implementation", "abi", "machine", "base_prefix", "prefix")


# --- what an environment says of itself --------------------------------------------------------------------


def complete(folder: str) -> str:
    """Return which environment a folder says that it is, "" where it is none or half of one."""
    return stage_order.read_text(os.path.join(folder, COMPLETE), 200).strip()


def damage(folder: str) -> str:
    """Return what a complete environment has lost since, "" for nothing."""
    if not os.access(os.path.join(folder, "bin", "python"), os.X_OK):
        return "its Python is gone"
    if not os.path.isfile(os.path.join(folder, LOCK)):
        return f"its {LOCK} is gone"
    pythons = _names(folder, "lib")
    installed = [name for python in pythons for name in _names(folder, "lib", python, "site-packages")]
    lines = stage_order.read_text(os.path.join(folder, LOCK), LARGEST).splitlines()
    return (
        "packages of it are gone"
        if sum(name.endswith("-info") for name in installed) < sum(line[:1] not in ("", "#") for line in lines)
        else ""
    )


def _names(*parts: str) -> List[str]:
    try:
        return os.listdir(os.path.join(*parts))
    except OSError:
        return []


def identity() -> Dict[str, str]:
    """Return what describes the Python that runs us; `libc` as `glibc 2.36`, "" where it is another one."""
    version = sys.version_info
    release = "" if version.releaselevel == "final" else f"{version.releaselevel}{version.serial}"
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        libc = ""
    return {
        "implementation": sys.implementation.name,
        "version": f"{version.major}.{version.minor}.{version.micro}{release}",
        "abi": getattr(sys, "abiflags", ""),
        "machine": os.uname().machine,
        "libc": libc,
        "base_prefix": sys.base_prefix,
        "prefix": sys.prefix,
    }


def fits(was: Dict[str, Any], now: Dict[str, str]) -> bool:
    """Return whether packages for one Python work in the other: same minor version and place, no older C library."""
    before, after = str(was.get("version")), now["version"]
    final = f"{before}{after}".replace(".", "").isdigit()  # before a release the format of compiled files changes
    if before != after and not (final and before.split(".")[:2] == after.split(".")[:2]):
        return False
    (libc, _, older), (libc_now, _, newer) = str(was.get("libc")).partition(" "), now["libc"].partition(" ")
    numbers = [
        [int(part) for part in text.split(".") if part.isdecimal() and len(part) <= MOST_DIGITS]
        for text in (older, newer)
    ]
    return libc == libc_now and numbers[0] <= numbers[1] and all(was.get(key) == now[key] for key in _EQUAL)


def _in_words(python: Dict[str, Any]) -> str:
    if not python:
        return "an unknown Python"
    name = f"{python.get('implementation')} {python.get('version')}{python.get('abi') or ''}"
    return f"{name} in {python.get('prefix')} ({python.get('machine')}, {python.get('libc') or 'unknown C library'})"


# --- the environment of a stage ----------------------------------------------------------------------------


def prepare(order: stage_order.StageOrder, output: stage_output.Output, outcome: stage_order.Outcome) -> str:
    """Return the folder of the stage's packages. Raises Unable."""
    folder = order.paths["environment"]
    if complete(folder) != order.environment:
        raise stage_order.Unable(
            "EnvironmentMissing",
            f"the stage's environment {order.environment} is not there or not complete: start a new run",
        )
    was, now = stage_order.read_json(os.path.join(folder, PYTHON)), identity()
    fit, lost = fits(was, now), damage(folder)
    if fit and not lost:
        return folder
    outcome.environment = "outdated"
    try:
        note = {"environment": order.environment, "was": was, "is": now}
        stage_order.write_atomically(os.path.join(order.paths["logs"], OUTDATED), note, durable=True)
    except OSError as error:
        output.say(f"that can't be noted next to the log: {error}")
    if fit:
        return _private(order, output, f"is damaged ({lost})", reason="EnvironmentMissing")
    pythons = f"was made with {_in_words(was)}, and this image has {_in_words(now)}"
    return _private(order, output, pythons, reason="EnvironmentOutdated")


def _private(order: stage_order.StageOrder, output: stage_output.Output, why: str, reason: str) -> str:
    """Install the same versions for this pod; what a container before this one installed is taken as it is."""
    output.say(f"the environment {why}")
    target = os.path.join(order.scratch, "environment")
    if complete(target) == order.environment:
        return target
    started, failure = time.monotonic(), os.path.join(order.scratch, "failure.json")
    sentence = f"the environment {why}: start a new run, which builds it again"
    lock = os.path.join(order.paths["environment"], LOCK)
    if not os.path.isfile(lock):
        raise stage_order.Unable(reason, sentence)
    job = {
        "uv": os.path.join(order.paths["tools"], "uv"),
        "project": order.places.project,
        "requirements": os.path.join(order.paths["environment"], REQUIREMENTS),
        "environment": order.environment,
        "target": target,
        "scratch": os.path.join(order.scratch, "install"),
        "cache": os.path.join(order.scratch, "uv-cache"),
        "failure": failure,
        "sources": {},  # a stage's pod has no checkouts of Git requirements
        "lock": lock,
        "only_locked": True,
    }
    script = os.path.join(order.paths["tools"], "install_build.py")
    status = _run([sys.executable, script, json.dumps(job)], order.install_limit, output)
    if status == 0:
        output.say(f"installed {order.requirements} for this pod in {time.monotonic() - started:.1f} s")
        return target
    cause = str(stage_order.read_json(failure).get("message") or f"install_build.py exited with code {status}")
    if status is None:
        cause = f"not within {order.install_limit:g} s"
    raise stage_order.Unable(reason, f"{sentence}. An installation of the same versions for this pod failed: {cause}")


def _run(command: List[str], limit: float, output: stage_output.Output) -> Optional[int]:
    """Return the exit code, None if it took too long. Whatever happens, nothing of it runs on."""
    drain = stage_output.Drain(output)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=drain.inlet,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    drain.begin()
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if not drain.ended(DRAIN):
            drain.abandon()
