"""A stage's packages: the published environment, or, where another Python made it or it is damaged, a private one.

A private one has the same versions, and a note has the next run build the shared one anew. An environment that is not
complete is refused; none is ever changed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

if TYPE_CHECKING:
    from controller.runtime import stage_order, stage_output, stage_python, stage_whole
else:  # published side by side
    import stage_order
    import stage_output
    import stage_python
    import stage_whole

REQUIREMENTS = "requirements.json"  # in it: what it was made of
OUTDATED = "environment-outdated.json"  # beside the logs: the controller builds anew for the next run
DRAIN = 1.0  # seconds


def have(order: stage_order.Order, output: stage_output.Output, outcome: stage_order.Outcome) -> str:
    """Give the folder of the stage's packages. Raises Refused."""
    folder = order.paths["environment"]
    if stage_whole.complete(folder) != order.environment:
        raise stage_order.Refused(
            "EnvironmentMissing",
            f"the stage's environment {order.environment} is not there or not complete: start a new run",
        )
    was, now = _made_with(folder), stage_python.identity()
    fits, damage = stage_python.fits(was, now), stage_whole.damage(folder)
    if fits and not damage:
        return folder
    outcome.environment = "outdated"
    _note(order, {"environment": order.environment, "was": was, "is": now}, output)
    if fits:
        return _repaired(order, output, f"is damaged ({damage})", reason="EnvironmentMissing")
    pythons = f"was made with {stage_python.told(was)}, and this image has {stage_python.told(now)}"
    return _repaired(order, output, pythons, reason="EnvironmentOutdated")


def _made_with(folder: str) -> Dict[str, Any]:
    try:
        found = json.loads(stage_order.read_text(os.path.join(folder, stage_python.FILE)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _note(order: stage_order.Order, content: Dict[str, Any], output: stage_output.Output) -> None:
    path = os.path.join(order.paths["logs"], OUTDATED)
    try:
        stage_order.write_atomically(path, content, durable=True)
    except OSError as error:
        output.say(f"that can't be noted beside the log: {error}")


def _repaired(order: stage_order.Order, output: stage_output.Output, why: str, reason: str) -> str:
    """Have the same versions in a private environment; one of a container before this one is taken as it is."""
    output.say(f"the environment {why}")
    target = os.path.join(order.scratch, "environment")
    if stage_whole.complete(target) == order.environment:
        return target
    started, failure = time.monotonic(), os.path.join(order.scratch, "failure.json")
    sentence = f"the environment {why}: start a new run, which builds anew"
    if not os.path.isfile(os.path.join(order.paths["environment"], stage_whole.LOCK)):
        raise stage_order.Refused(reason, sentence)
    status = _run(_command(order, target, failure), order.install_limit, output)
    if status == 0:
        output.say(f"installed {order.requirements} for this pod in {time.monotonic() - started:.1f} s")
        return target
    cause = f"not within {order.install_limit:g} s" if status is None else _cause(failure, status)
    raise stage_order.Refused(reason, f"{sentence}. An installation of the same versions for this pod failed: {cause}")


def _command(order: stage_order.Order, target: str, failure: str) -> List[str]:
    tools = order.paths["tools"]
    job = {
        "uv": os.path.join(tools, "uv"),
        "project": order.places.project,
        "requirements": os.path.join(order.paths["environment"], REQUIREMENTS),
        "environment": order.environment,
        "target": target,
        "scratch": os.path.join(order.scratch, "install"),
        "cache": os.path.join(order.scratch, "uv-cache"),
        "failure": failure,
        "sources": {},  # a stage's pod has no checkouts of Git requirements
        "lock": os.path.join(order.paths["environment"], stage_whole.LOCK),
        "only_locked": True,
    }
    return [sys.executable, os.path.join(tools, "install_build.py"), json.dumps(job)]


def _cause(failure: str, status: int) -> str:
    try:
        return str(json.loads(stage_order.read_text(failure))["message"])
    except (ValueError, TypeError, KeyError):
        return f"install_build.py exited with code {status}"


def _run(command: List[str], limit: float, output: stage_output.Output) -> Optional[int]:
    """Give the exit code, None if it took too long. Whatever happens, nothing of it runs on."""
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
