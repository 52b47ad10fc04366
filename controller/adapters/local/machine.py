"""What containers are here: a process group of this machine, with folders for mounts.

Computes argv, environment and folders of a pod's container from its manifest; starts nothing. Mount paths in argv and
in values become the folders behind them, `$$` becomes `$` as the kubelet has it; an image is the Python that stands in
for it.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controller.adapters.local.ports import ADDRESS
from controller.core import names
from controller.core.manifests.process import PEERS_PORT, arguments
from controller.core.model import Object

TERMINATION_LOG = "COACHWORK_TERMINATION_LOG"
LEASH = "COACHWORK_LEASH"  # names a pipe that ends with us, however we end: the launcher ends with it
MARK = "COACHWORK_LOCAL_POD"  # in the environment of all processes of a pod: how they are found again
FOLDER = "COACHWORK_LOCAL_FOLDER"  # the user's folder that the run's commit was made of
URL = "COACHWORK_URL_"
HOOK = Path(__file__).parent / "hook"
_BASE = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
         "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")  # fmt: skip
_AFTER = r"(?![A-Za-z0-9_.-])"  # a path ends here, or one below it goes on


class ConfigurationMissing(Exception):
    """A Secret that the container needs is not there; the text is the kubelet's."""


def base_environment() -> Mapping[str, str]:
    """Return the variables of every container: how to find programs, and the way to the network."""
    passed = (*_BASE, *(name.lower() for name in _BASE if name.endswith("PROXY")))
    return {name: os.environ[name] for name in passed if name in os.environ}


@dataclass(frozen=True, slots=True)
class Machine:
    """How this machine plays a node. Times are seconds."""

    volume: Path  # root of the shared volume: what the claim is in a cluster
    scratch: Path  # private folders of pods are made below it, and removed
    folder: Path | None = None  # the user's own, of which the run's commit was made
    python: str = sys.executable  # runs what asks for `python3`
    pythons: Mapping[str, str] = field(default_factory=dict)  # image -> what runs it instead
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # Secret -> key -> value
    environment: Mapping[str, str] = field(default_factory=base_environment)  # base of every container's
    packages: Mapping[str, str] = field(default_factory=dict)  # of builds of environments: UV_*, PIP_*
    back_off: float = 10.0  # until the first retry of a Job, and the second restart of a container; doubles
    steady: float = 2.0  # that a pod of a service must have been ready for, at most, whatever minReadySeconds says
    stop_grace: float = 10.0  # between SIGTERM and SIGKILL when the cluster is stopped


@dataclass(frozen=True, slots=True)
class Container:
    """One pod's container on this machine."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    port: int  # that it listens on; 0: it serves nothing


def folders(pod: Object, machine: Machine, private: Path) -> dict[str, Path]:
    """Return the folder behind each mount path. `private` is the pod's own folder, for its emptyDirs."""
    shared = {item["name"] for item in pod["spec"].get("volumes") or () if "persistentVolumeClaim" in item}
    mounts = container_of(pod).get("volumeMounts") or ()
    return {
        mount["mountPath"]: machine.volume / mount.get("subPath", "")
        if mount["name"] in shared
        else private / mount["name"]
        for mount in mounts
    }


def container_of(pod: Object) -> Object:
    """Return the manifest of a pod's only container."""
    return dict(pod["spec"]["containers"][0])


def port_of(pod: Object) -> int:
    """Return the port that the manifest says the container listens on, 0 if none."""
    return next((int(port["containerPort"]) for port in container_of(pod).get("ports") or ()), 0)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where services are: `of(service, port)`, and `aliases(service)`, the other names that lead there."""

    of: Callable[[str, int], str]
    aliases: Callable[[str], Iterable[str]]


def resolve(pod: Object, machine: Machine, mounts: Mapping[str, Path], port: int, addresses: Addresses) -> Container:
    """Return what to run. `port` stands in for the manifest's. Raises ConfigurationMissing."""
    container, declared = container_of(pod), port_of(pod)
    move = _mover({path: str(folder) for path, folder in mounts.items()})
    environment = {
        **machine.environment,
        **({FOLDER: str(machine.folder)} if machine.folder else {}),
        **(machine.packages if names.environment_of(pod) else {}),
        **_hook(container, {declared: port} if declared else {}, addresses),
    }
    for variable in container.get("env") or ():
        name = str(variable["name"])
        if "valueFrom" in variable:
            found = _value_from(variable["valueFrom"], machine, pod)
            environment |= {} if found is None else {name: found}
        elif name.startswith(URL):
            url = urlsplit(variable["value"])
            environment[name] = addresses.of(url.hostname or "", url.port or 80) + url.path
        elif name == "PORT" and variable["value"] == str(declared):
            environment[name] = str(port)
        else:
            environment[name] = move(_unescaped(variable.get("value", "")))
    extra = {"port": port} if declared else {}
    if peers := pod["spec"].get("subdomain"):
        extra["peers_port"] = urlsplit(addresses.of(peers, PEERS_PORT)).port or PEERS_PORT
    argv = _arguments([*map(_unescaped, container["command"])], move, extra)
    if argv[0] == "python3":
        argv[0] = machine.pythons.get(str(container.get("image")), machine.python)
    return Container(tuple(argv), environment, port)


def _value_from(source: Object, machine: Machine, pod: Object) -> str | None:
    if source.get("fieldRef") == {"fieldPath": "status.podIP"}:
        return ADDRESS
    if "fieldRef" in source:  # the one other that is modelled
        return str(pod["metadata"]["annotations"][names.COMPLETION_INDEX])
    name, key = source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]
    if source["secretKeyRef"].get("optional") and key not in machine.secrets.get(name, {}):
        return None
    if name not in machine.secrets:
        raise ConfigurationMissing(f'secret "{name}" not found')
    if key not in machine.secrets[name]:
        raise ConfigurationMissing(f"couldn't find key {key} in Secret {pod['metadata']['namespace']}/{name}")
    return machine.secrets[name][key]


def _hook(container: Object, bind: Mapping[int, int], addresses: Addresses) -> Mapping[str, str]:
    """Return what makes hard-coded ports and the cluster's names of services work here (see hook/sitecustomize.py)."""
    hosts: dict[str, dict[str, int]] = {}
    for variable in container.get("env") or ():
        if str(variable["name"]).startswith(URL):
            url = urlsplit(variable["value"])
            name, port = url.hostname or "", url.port or 80
            there = urlsplit(addresses.of(name, port)).port or port
            for host in (name, *addresses.aliases(name)):
                hosts.setdefault(host, {})[str(port)] = there
    moves = {"bind": {str(declared): port for declared, port in bind.items()}, "hosts": hosts}
    return {"PYTHONPATH": str(HOOK), "COACHWORK_LOCAL_MAP": json.dumps(moves)}


def _unescaped(text: str) -> str:
    return text.replace("$$", "$")


def _mover(mounts: Mapping[str, str]) -> Callable[[str], str]:
    """Return what replaces mount paths, the longest first, where they stand as whole components of a path."""
    if not mounts:
        return lambda text: text
    paths = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9_./-])(?:{paths}){_AFTER}")
    return lambda text: pattern.sub(lambda found: mounts[found[0]], text)


def _arguments(words: list[str], move: Callable[[str], str], extra: Mapping[str, int]) -> list[str]:
    """Return a command as it is on this machine; the launcher's JSON is changed as JSON, and gets `extra` too."""
    plain = list(takewhile(lambda word: not word.startswith("{"), words))
    try:
        order = json.loads("".join(words[len(plain) :]))
    except ValueError:
        return [*map(move, words)]
    return [*map(move, plain), *arguments(json.dumps({**_moved(order, move), **extra}))]


def _moved(value: Any, move: Callable[[str], str]) -> Any:
    match value:
        case str():
            return move(value)
        case list():
            return [_moved(item, move) for item in value]
        case dict():
            return {key: _moved(item, move) for key, item in value.items()}
        case _:
            return value
