"""The controller's process, and what keeps it from starting."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from controller.core.exits import Exit

CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "x",
    "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "x", "user": {}}],
}


def test_a_port_that_is_taken_is_said_with_a_remedy(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(json.dumps(CONFIG))
    settings = {"NAMESPACE": "x", "IMAGE": "python:3.12", "VOLUME": str(tmp_path), "KUBECONFIG": str(config)}
    with socket.create_server(("", 0)) as taken:
        settings["PORT"] = str(taken.getsockname()[1])
        variables = os.environ | {f"COACHWORK_{name}": text for name, text in settings.items()}
        command = [sys.executable, "-m", "controller", "controller"]
        ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    last = json.loads(ended.stdout.splitlines()[-1])
    assert (ended.returncode, ended.stderr) == (Exit.UNREACHABLE, "")
    assert "in use" in last["error"]
    assert "COACHWORK_PORT" in last["remedy"]
