"""A Git server inside the cluster, for end-to-end tests: smart HTTP from a pod, pushed to through `kubectl exec`.

It needs no registry (the image is the controller's own, which has Python and git), no volume and no rights, and is
admitted under Pod Security `restricted`. Nothing on the host has to reach a pod's or Service's address.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

NAME = "git"
ROOT = "/srv/git"
PORT = 8080
TIMEOUT = 120  # seconds of one command

Ports = Mapping[int, int]  # of the Service, and of the pod
WEB = MappingProxyType({80: PORT})

# git http-backend is a CGI program (git-http-backend(1)); http.server's own CGI support is gone since Python 3.13.
BACKEND = f"""
import http.server, os, subprocess, zlib

def serve(handler):
    path, _, query = handler.path.partition("?")
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    if handler.headers.get("Content-Encoding") == "gzip":
        body = zlib.decompress(body, 31)
    environ = dict(
        os.environ, GIT_PROJECT_ROOT="{ROOT}", GIT_HTTP_EXPORT_ALL="1", REQUEST_METHOD=handler.command, PATH_INFO=path,
        QUERY_STRING=query, CONTENT_TYPE=handler.headers.get("Content-Type", ""), CONTENT_LENGTH=str(len(body)),
        GIT_PROTOCOL=handler.headers.get("Git-Protocol", ""), REMOTE_ADDR=handler.client_address[0],
    )
    done = subprocess.run(["git", "http-backend"], input=body, env=environ, stdout=subprocess.PIPE, timeout=60)
    head, _, content = done.stdout.partition(b"\\r\\n\\r\\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
    handler.send_response(int(headers.pop("Status", "200 OK").split()[0]))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)
"""
SERVER = f"""{BACKEND}
class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 60
    do_GET = do_POST = serve

http.server.ThreadingHTTPServer(("", {PORT}), Handler).serve_forever()
"""


def manifests(
    namespace: str, image: str, *, name: str = NAME, files: Mapping[str, str] | None = None, ports: Ports = WEB
) -> list[dict[str, Any]]:
    """Return the server's Secret with its files (server.py among them), its Deployment and its Service."""
    meta = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": dict(files or {"server.py": SERVER})},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "minReadySeconds": 2,  # kube-proxy learns of a ready pod about a second later
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": _pod(name, image, max(ports.values()))},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {
                "selector": {"app": name},
                "ports": [{"name": f"p{port}", "port": port, "targetPort": target} for port, target in ports.items()],
            },
        },
    ]


def _pod(name: str, image: str, ready: int) -> dict[str, Any]:
    """Return the pod's spec; it is ready when the port `ready` is open."""
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/server/server.py"],
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - in the pod
        "readinessProbe": {"tcpSocket": {"port": ready}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "server", "mountPath": "/server"}, {"name": "repositories", "mountPath": ROOT}],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "server", "secret": {"secretName": name}}, {"name": "repositories", "emptyDir": {}}],
    }


class InClusterGit:
    """The server in one namespace, and the repositories that tests push into it. Goes when the namespace goes."""

    name = NAME  # of its objects

    def __init__(self, namespace: str, work: Path, *, image: str = "coachwork:dev") -> None:
        """Take a namespace that exists, and an empty folder for this side's clones. KUBECONFIG names the cluster."""
        self.namespace, self._work, self._image = namespace, work, image

    def start(self) -> None:
        """Apply the manifests and wait until the server answers."""
        items = {"apiVersion": "v1", "kind": "List", "items": self.manifests()}
        self._kubectl("apply", "-f", "-", text=json.dumps(items))
        self._kubectl("rollout", "status", f"deployment/{self.name}", f"--timeout={TIMEOUT}s")

    def manifests(self) -> list[dict[str, Any]]:
        """Return what `start` applies."""
        return manifests(self.namespace, self._image)

    def shell(self, *command: str) -> str:
        """Return what a command prints in the server's pod."""
        return self._kubectl("exec", f"deployment/{self.name}", "--", *command)

    def url(self, repository: str) -> str:
        """Return the address that pods clone from."""
        return f"http://{NAME}.{self.namespace}.svc.cluster.local/{repository}.git"

    def push(
        self,
        repository: str,
        content: Path | Mapping[str, str | bytes],
        *,
        branch: str = "main",
        tag: str = "",
        submodules: Mapping[str, tuple[str, str]] | None = None,
        ids: str = "sha1",
    ) -> str:
        """Commit `content` (a folder, or texts by path) as the branch's whole tree, push it, and return the commit.

        The repository is made when it is first pushed to; each push adds one commit to the branch. Submodules are
        given by path, with address and commit. `ids` is the kind of a new repository's ids.
        """
        clone = self._clone(repository, ids)
        self._git(clone, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        _fill(clone, content)
        self._link(clone, submodules or {})
        self._git(clone, "commit", "--quiet", "--allow-empty", "--message", f"Version of {branch}")
        refs = [f"refs/heads/{branch}"]
        if tag:
            self._git(clone, "tag", tag)
            refs.append(f"refs/tags/{tag}")
        self._git(clone, "push", "--quiet", "origin", *refs)
        return self._git(clone, "rev-parse", "HEAD")

    def create(self, repository: str, ids: str = "sha1") -> None:
        """Make the repository, empty, if it is not there."""
        path = f"{ROOT}/{repository}.git"
        self.shell("git", "init", "--quiet", "--bare", f"--object-format={ids}", "-b", "main", path)

    def move(self, repository: str, branch: str, *, to: str) -> None:
        """Move a branch to where another one is, as `git push origin OTHER:BRANCH` does."""
        self.shell("git", "-C", f"{ROOT}/{repository}.git", "update-ref", f"refs/heads/{branch}", f"refs/heads/{to}")

    def remove(self, repository: str) -> None:
        """Remove the repository from the server, as if it had never been there."""
        self.shell("rm", "-rf", f"{ROOT}/{repository}.git")
        shutil.rmtree(self._work / repository, ignore_errors=True)

    def _clone(self, repository: str, ids: str) -> Path:
        """Return this side's clone, made with its counterpart when first asked for."""
        clone = self._work / repository
        if not clone.exists():
            self.create(repository, ids)
            clone.mkdir(parents=True)
            self._git(clone, "init", "--quiet", f"--object-format={ids}", "-b", "main")
            # ext:: runs a command as the connection (git-remote-ext(1)); %S is git-receive-pack.
            command = f"kubectl --namespace {self.namespace} exec --stdin deployment/{self.name} --"
            self._git(clone, "remote", "add", "origin", f"ext::{command} %S {ROOT}/{repository}.git")
        return clone

    def _link(self, clone: Path, submodules: Mapping[str, tuple[str, str]]) -> None:
        """Stage everything, and the submodules without asking git whether their addresses are sound."""
        lines = [f'[submodule "{at}"]\n\tpath = {at}\n\turl = {url}\n' for at, (url, _) in submodules.items()]
        if lines:
            (clone / ".gitmodules").write_text("".join(lines), encoding="utf-8")
        self._git(clone, "add", "--all", "--force")
        for at, (_, commit) in submodules.items():
            self._git(clone, "update-index", "--add", "--cacheinfo", f"160000,{commit},{at}")

    def _kubectl(self, *arguments: str, text: str = "") -> str:
        return _run(["kubectl", "--namespace", self.namespace, *arguments], text=text)

    def _git(self, clone: Path, *arguments: str) -> str:
        return _run(["git", "-C", str(clone), *arguments])


def _fill(clone: Path, content: Path | Mapping[str, str | bytes]) -> None:
    """Make `content` all that the working tree holds."""
    for old in clone.iterdir():
        if old.name != ".git":
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    if isinstance(content, Path):
        shutil.copytree(content, clone, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
        return
    for name, text in content.items():
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)


def _run(command: list[str], *, text: str = "") -> str:
    """Run and give what it printed, stripped; AssertionError with all that it said if it fails."""
    environ = os.environ | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "ext",
        **{f"GIT_{who}_{what}": f"test{at}" for who in ("AUTHOR", "COMMITTER") for what, at in _IDENTITY},
    }
    done = subprocess.run(
        command, input=text, env=environ, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, f"{command} exited {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


_IDENTITY = (("NAME", ""), ("EMAIL", "@example.com"))
