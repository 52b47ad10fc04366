"""Secrets while one git process runs: files in a folder that only this user can enter, gone when git has ended.

Files, because ssh takes keys and hosts in no other form, and closes what it inherits; an environment would be handed on
to all that git starts. In memory where the machine has /dev/shm (in a pod: the pod's own), else where temporary files
go: never on the shared volume. What a killed controller left is swept by the next one. Refuses to answer other servers.
"""

import fcntl
import os
import shlex
import shutil
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from controller.adapters.git.remote import Remote
from controller.core.inputs.repository import PORTS
from controller.core.model import GitCredentials

PREFIX = "coachwork-git-"
MEMORY = Path("/dev/shm")  # noqa: S108 - folders in it are made by mkdtemp
ASKPASS = Path(__file__).with_name("askpass.sh")

BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

SSH = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "GlobalKnownHostsFile": os.devnull,
    "UpdateHostKeys": "no",
    "VerifyHostKeyDNS": "no",
    "IdentitiesOnly": "yes",
    "IdentityAgent": "none",
    "PreferredAuthentications": "publickey",
    "ControlPath": "none",
    "ClearAllForwardings": "yes",
    "ConnectTimeout": "15",
    "ServerAliveInterval": "15",  # with CountMax: an ssh that outlives a killed controller ends by itself
    "ServerAliveCountMax": "4",
    "LogLevel": "ERROR",  # all that faults.py looks for, and no banner of the server's
}


@contextmanager
def opened(remote: Remote) -> Iterator[dict[str, str]]:
    """Yield what git's environment needs to open the remote; nothing where there are no credentials."""
    if remote.credentials is None:
        yield {}
        return
    folder, lock = _folder()
    try:
        yield (_ssh if remote.credentials.private_key else _web)(folder, remote.url, remote.credentials)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep() -> None:
    """Remove what killed processes of this user left; what is in use by living ones is locked."""
    for folder in _place().glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = _open(folder)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def _place() -> Path:
    return MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def _open(folder: Path) -> int:
    """Open a folder, and no link to one; git does not inherit it, so that a lock on it ends with this process."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _folder() -> tuple[Path, int]:
    """Return a new folder, and a descriptor of it that holds a lock against `sweep`."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_place()))  # mode 0700
        with suppress(FileNotFoundError):  # a sweep came between: once more
            descriptor = _open(folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _write(file: Path, text: str) -> Path:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    return file


# --- https ------------------------------------------------------------------------------------------


def _web(folder: Path, url: str, credentials: GitCredentials) -> dict[str, str]:
    env: dict[str, str] = {}
    if credentials.password:
        for answer, text in (("username", credentials.username), ("password", credentials.password)):
            _write(folder / answer, f"{text}\n")
        for answer, lines in questions(url, credentials.username).items():
            _write(folder / f"{answer}.questions", "".join(f"{line}\n" for line in lines))
        env |= {"GIT_ASKPASS": str(ASKPASS), "ASKPASS_FOLDER": str(folder)}
    if credentials.authority:
        named = [os.environ.get(name, "") for name in ("GIT_SSL_CAINFO", "SSL_CERT_FILE", "CURL_CA_BUNDLE")]
        files = (Path(name) for name in (*named, ssl.get_default_verify_paths().cafile or "", *BUNDLES) if name)
        trusted = next((file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()), "")
        # Git takes one file only, in place of the system's: what the surroundings trust goes in as well.
        bundle = _write(folder / "authorities", f"{trusted}\n{credentials.authority}")
        env["GIT_SSL_CAINFO"] = str(bundle)
    return env


def questions(url: str, username: str) -> Mapping[str, list[str]]:
    """Return what git asks (credential.c) about the server of `url` before it says who it is, and after.

    After a redirect there, git may write the host in lower case, and the port of the scheme or none. Since the
    releases of January 2025 it writes the user name percent-encoded.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc.rstrip(":")
    port = parts.port or PORTS[parts.scheme]
    ports = [f":{port}", ""] if port == PORTS[parts.scheme] else [f":{port}"]
    servers = [f"{name}{end}" for name in dict.fromkeys((host, host.lower())) for end in ports]
    users = dict.fromkeys((username, quote(username, safe="")))
    return {
        "username": [f"Username for '{parts.scheme}://{server}': " for server in servers],
        "password": [f"Password for '{parts.scheme}://{user}@{server}': " for server in servers for user in users],
    }


# --- ssh --------------------------------------------------------------------------------------------


def _ssh(folder: Path, _url: str, credentials: GitCredentials) -> dict[str, str]:
    key = _write(folder / "key", credentials.private_key)
    hosts = _write(folder / "known_hosts", credentials.known_hosts)
    options = {**SSH, "UserKnownHostsFile": f'"{hosts}"'}  # ssh would split it at a blank
    words = ["ssh", "-F", os.devnull, "-i", str(key)]
    words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return {"GIT_SSH_COMMAND": shlex.join(words), "GIT_SSH_VARIANT": "ssh"}
