"""What to change, where the last line of a traceback does not say it: from its frames and from what lies around.

It is imported only once a script has failed, and looks only at files: packages, requirements, sources, the user's
folder on a laptop. It never raises; where nobody can tell, there is no advice.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import subprocess
from typing import TYPE_CHECKING, Dict, Iterator, Mapping, NamedTuple, Sequence, Tuple

if TYPE_CHECKING:
    from controller.runtime import stage_versions
    from controller.runtime.stage_cause import Frame
    from controller.runtime.stage_order import HAND_OVER, Places, read_text
else:  # published side by side: the script's folder is where Python looks first
    import stage_versions
    from stage_order import HAND_OVER, read_text

MOST_BYTES, MOST_SHOWN = 256 * 1024, 4
LIMIT = 10.0  # seconds for git
URL = "COACHWORK_URL_"
_IMPORT = ("ImportError:", "ModuleNotFoundError:")
_SYNTAX = ("SyntaxError:", "IndentationError:", "TabError:")
_UNRESOLVED = re.compile(
    r"Name or service not known|Name does not resolve|Temporary failure in name resolution|Failed to resolve"
    r"|nodename nor servname|No address associated with hostname|getaddrinfo failed"
)
_HOST = re.compile(r"host='([\w.-]+)'|Failed to resolve '([\w.-]+)'|host ([\w.-]+):\d|host name \"([\w.-]+)\"")
_ADDRESS = re.compile(r"https?://(?:[^/@\s\"']*@)?([\w.-]+)")
_LITERAL = re.compile(r"[\"']([\w.-]+)[\"']")
_NO_FILE = re.compile(r"""No such file or directory: (?P<path>'(?:[^'\\]|\\.)+'|"(?:[^"\\]|\\.)+")""")


class Advice(NamedTuple):
    """What to change ("": nobody can tell), and whether another attempt would end in the same way."""

    remedy: str = ""
    reason: str = ""  # "": what the last words say
    hopeless: bool = False


class Scene(NamedTuple):
    """What is known of a script that failed."""

    text: str  # its exception, or its last line
    said: str  # the end of its output
    trace: Sequence[Frame]
    final: bool  # nothing was said after the exception
    places: Places
    published: str  # the checkout that the copy was made of
    environment: str = ""  # the folder of its packages
    folder: str = ""  # on a laptop: the user's own folder of which the commit was made


def advise(scene: Scene) -> Advice:
    """Return the advice for a script that ended by an exception."""
    hopeless = scene.final and (_is_own_import(scene) or bool(stage_versions.ABI.search(scene.text)))
    numpy = stage_versions.numpy(scene)
    if numpy:
        return Advice(numpy, "ImportError", hopeless)
    return Advice(
        stage_versions.alias(scene) or stage_versions.pickled(scene) or _host(scene) or _file(scene), "", hopeless
    )


def _is_own_import(scene: Scene) -> bool:
    """Return whether an import or the compiler failed, and no `raise` of the script's own, or code that is its data."""
    if not scene.trace:
        return False
    deepest = scene.trace[-1]
    if scene.text.startswith(_IMPORT):
        return not (deepest.place and deepest.code.startswith("raise"))
    return scene.text.startswith(_SYNTAX) and not deepest.function and os.path.isfile(deepest.path)


# --- hosts -------------------------------------------------------------------------------------------------


def _host(scene: Scene) -> str:
    """Return the address of the service stage that a host name that nobody knows is meant for."""
    if not _UNRESOLVED.search(scene.text):
        return ""
    services = {name[len(URL) :]: url for name, url in os.environ.items() if name.startswith(URL)}
    named = [host for groups in _HOST.findall(scene.text) for host in groups if host]
    for host, exactly in [(name, False) for name in named] or _hosts_around(scene):
        service = _meant(host, services, exactly)
        if service:
            return f"`{host}` is not a name here: the service is at {URL}{service}, here {services[service]}"
    if services and named and "." not in named[0]:
        known = ", ".join(f"{URL}{name} = {url}" for name, url in sorted(services.items())[:MOST_SHOWN])
        return f"`{named[0]}` is not a name here; the project's services are at {known}"
    return ""


def _hosts_around(scene: Scene) -> Iterator[Tuple[str, bool]]:
    """Yield the hosts that the frames' files and the stage's variables may name: the exception names none.

    A word that is in no address must be a service's name exactly.
    """
    sources = [read_text(frame.path, MOST_BYTES) for frame in reversed(scene.trace) if frame.place]
    values = [value for name, value in os.environ.items() if not name.startswith("COACHWORK_")]
    for text in (*sources, *values):
        yield from ((host, False) for host in _ADDRESS.findall(text))
    for text in sources:
        yield from ((word, True) for word in _LITERAL.findall(text))


def _meant(host: str, services: Mapping[str, str], exactly: bool) -> str:
    """Return the service that a host name means: STAGE, PROJECT--STAGE, either with a namespace, or nearly so."""
    label, _, domain = host.partition(".")
    if domain and "--" not in label and "svc" not in domain.split("."):
        return ""
    stages: Dict[str, str] = {name.lower().replace("_", "-"): name for name in services}
    wanted = label.rpartition("--")[2].lower().replace("_", "-")
    near = [wanted] if wanted in stages else [] if exactly else difflib.get_close_matches(wanted, stages, 1, 0.75)
    return stages[near[0]] if near else ""


# --- files -------------------------------------------------------------------------------------------------


def _file(scene: Scene) -> str:
    """Return why a file is not there although it may be there elsewhere."""
    found = _NO_FILE.search(scene.text)
    if not found:
        return ""
    places = scene.places
    path = os.path.normpath(os.path.join(places.folder, ast.literal_eval(found.group("path"))))
    if path.startswith(places.checkout + os.sep):
        return _not_committed(os.path.relpath(path, places.checkout), scene)
    ours = [os.environ.get(f"COACHWORK_{name}", "") for name in ("ARTIFACTS", "PREVIOUS", "CACHE")]
    if any(folder and f"{path}/".startswith(f"{folder}/") for folder in ours):
        return ""
    if path.startswith("/tmp/"):  # noqa: S108 - only compared with paths of the script
        return f"on a cluster each stage has a /tmp of its own: {HAND_OVER}"
    if path.startswith(("/home/", "/Users/", "/root/")):
        return "this path exists on one machine only: commit the file and name it from the script's own folder"
    return ""


def _not_committed(path: str, scene: Scene) -> str:
    if os.path.lexists(os.path.join(scene.published, path)):
        return ""  # the script itself removed it
    if scene.folder and os.path.lexists(os.path.join(scene.folder, path)):
        if _is_ignored(path, scene.folder):
            how = f"`git add -f {path}` takes it in, or keep data in COACHWORK_CACHE or a bucket"
            return f"{path} is in your folder, but git ignores it, so that it is not part of the run: {how}"
        return f"{path} is in your folder, but not in the run's commit: it came later, or is of another repository"
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(os.path.join(scene.published, folder)):
        return (
            f"the commit has no folder {folder}, and Git keeps no empty one: commit what is to be read, "
            f"make the folder with os.makedirs before writing, and {HAND_OVER}"
        )
    return f"the commit has no {path}: commit what is to be read, and {HAND_OVER}"


def _is_ignored(path: str, folder: str) -> bool:
    command = ["git", "-C", folder, "check-ignore", "--quiet", "--", path]
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0
