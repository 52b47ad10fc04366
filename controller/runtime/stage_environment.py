"""A stage's packages: whether it asks for any, and install.py as a process with a time limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, List, Optional

if TYPE_CHECKING:
    from controller.runtime import stage_order, stage_output
else:  # published side by side
    import stage_order
    import stage_output

COMPLETE = ".complete"  # install.py writes it last
DRAIN = 1.0  # seconds


def wanted(order: stage_order.Order) -> bool:
    """Tell whether any requirement is named."""
    lines = order.requirements
    if order.requirements_file:
        text = stage_order.read_text(os.path.join(order.places.project, order.requirements_file), 1 << 20)
        lines = text.splitlines()
    return any(line.strip() and not line.strip().startswith("#") for line in lines)


def install(order: stage_order.Order, output: stage_output.Output) -> None:
    """Build the environment; one that an earlier container of this pod built is taken as it is. Raises Refused."""
    if os.path.exists(os.path.join(order.environment, COMPLETE)):
        return
    tools, failure = order.paths["tools"], os.path.join(order.scratch, "install-failure")
    job = {
        "uv": os.path.join(tools, "uv"),
        "project": order.places.project,
        "folder": order.folder,
        "requirements_file": order.requirements_file,
        "requirements": order.requirements,
        "target": order.environment,
        "scratch": order.scratch,
        "failure": failure,
    }
    started = time.monotonic()
    command = [sys.executable, os.path.join(tools, "install.py"), json.dumps(job)]
    status = _run(command, order.install_limit, output)
    name = order.places.requirements
    if status is None:
        raise stage_order.Refused("InstallFailed", f"{name}: not installed within {order.install_limit:g} s")
    if status:
        cause = stage_order.read_text(failure) or f"{name}: install.py exited with code {status}"
        raise stage_order.Refused("InstallFailed", cause)
    output.say(f"installed {name} in {time.monotonic() - started:.1f} s")


def _run(command: List[str], limit: float, output: stage_output.Output) -> Optional[int]:
    """Give the exit code, None if it took too long. Whatever happens, nothing of it runs on."""
    drain = stage_output.Drain(output.pass_on)
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
        drain.ended(DRAIN)
        drain.abandon()
