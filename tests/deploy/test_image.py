"""What the image leaves out, nothing of ours imports; and what it says of itself."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PACKAGES = re.findall(r"--prune (\S+)", DOCKERFILE)
FOLDERS = re.findall(r"rm -r (\S+) (\S+) && find (\S+)", DOCKERFILE)[0]

# Imports all that the image runs, and logs in as the controller does, without what the image lacks.
WITHOUT = """
import importlib, os, pkgutil, sys

lacking = sys.argv[1].split()

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(each + ".") for each in lacking) and name != "kubernetes.client.models":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Lacking())
import controller
for module in pkgutil.walk_packages(controller.__path__, "controller."):
    if ".hook" not in module.name and ".runtime." not in module.name:
        importlib.import_module(module.name)
from controller.adapters.kube.login import login
import kubernetes.client.exceptions
client, namespace = login(sys.argv[2], "")
print(client.configuration.host, namespace, "kubernetes.client" in sys.modules)
"""
KUBECONFIG = """
clusters: [{name: c, cluster: {server: "https://192.0.2.1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: here}}]
current-context: x
"""


def test_what_the_image_leaves_out_nothing_imports(tmp_path: Path) -> None:
    assert "aiohttp" in PACKAGES
    assert FOLDERS == ("aio", "client/api", "client/models")
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(KUBECONFIG)
    lacking = [name.replace("-", "_") for name in PACKAGES] + [
        f"kubernetes.{path.replace('/', '.')}" for path in FOLDERS
    ]
    command = [sys.executable, "-c", WITHOUT, " ".join(lacking), str(kubeconfig)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "https://192.0.2.1 here True\n", done.stderr


def test_the_image_is_built_on_a_digest_and_its_bill_of_materials_is_of_what_it_installs() -> None:
    assert re.search(r"^BASE \?= python:3\.12-slim@sha256:[0-9a-f]{64}$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = subprocess.run(["make", "--dry-run", "image"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"docker build --build-arg BASE=python:\S+@sha256:\S+ --tag coachwork:dev \.", asked)
    both = re.findall(r"uv \$used (?:--no-emit-project|--format cyclonedx1.5) --output-file (\S+)", DOCKERFILE)
    assert both == ["requirements.txt", "/opt/coachwork/coachwork.cdx.json"]
