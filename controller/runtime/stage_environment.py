"""A stage's packages: whether it asks for any, and install.py as a process with a time limit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
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
    return any(line.strip() and not line.strip().startswith("#") for line in _text(order).splitlines())


def install(order: stage_order.Order, output: stage_output.Output) -> str:
    """Have the environment; give its folder. One that is complete is taken as it is. Raises Refused."""
    kept = order.paths.get("environments")
    target = os.path.join(kept, _key(order)) if kept else order.environment
    if os.path.exists(os.path.join(target, COMPLETE)):
        return target
    if not kept:
        _build(order, target, output)
        return target
    partial = os.path.join(kept, ".%s-%d" % (os.path.basename(target), os.getpid()))
    os.makedirs(kept, exist_ok=True)
    try:
        _build(order, partial, output)
        os.rename(partial, target)
    except OSError:  # another was first: its environment is as good
        if not os.path.exists(os.path.join(target, COMPLETE)):
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _key(order: stage_order.Order) -> str:
    """Give a name for all that an environment depends on: equal names mean equal environments.

    Requirements that name files (`-r`, `./wheel.whl`) or addresses stand for this commit's only.
    """
    text = _text(order)
    parts = [text, sys.executable, sys.version, *os.uname()]
    parts += sorted("%s=%s" % item for item in os.environ.items() if item[0].startswith(("UV_", "PIP_")))
    if re.search(r"^\s*-|[/@]", text, re.MULTILINE):
        parts += [order.commit, order.project, order.requirements_file or order.folder]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _text(order: stage_order.Order) -> str:
    if order.requirements_file:
        return stage_order.read_text(os.path.join(order.places.project, order.requirements_file), 1 << 20)
    return "\n".join(order.requirements)


def _build(order: stage_order.Order, target: str, output: stage_output.Output) -> None:
    tools, failure = order.paths["tools"], os.path.join(order.scratch, "install-failure")
    job = {
        "uv": os.path.join(tools, "uv"),
        "project": order.places.project,
        "folder": order.folder,
        "requirements_file": order.requirements_file,
        "requirements": order.requirements,
        "target": target,
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
