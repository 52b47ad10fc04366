"""uv as a process: its settings, its output line by line, and what it can't do. It never downloads a Python."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Dict, List, NamedTuple

if TYPE_CHECKING:
    from controller.runtime.stage_order import Refused
else:  # published side by side
    from stage_order import Refused

KEPT = 1 << 20  # characters of the output
# What an image may set for pip, and how uv calls it (https://docs.astral.sh/uv/reference/environment/).
PIP_SETTINGS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CONSTRAINT": "UV_CONSTRAINT",
    "PIP_CERT": "SSL_CERT_FILE",
}
SYSTEM_SETTINGS = "/etc/uv/uv.toml"
# Where images keep the authorities that they trust: Debian and Alpine, Red Hat, SUSE.
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")


class Done(NamedTuple):
    """How a call of uv ended."""

    code: int
    output: str


class Uv(NamedTuple):
    """How to call uv."""

    binary: str
    name: str  # of the requirements, for messages
    environment: Dict[str, str]

    def run(self, arguments: List[str], folder: str, say: bool = True) -> Done:
        """Run uv and pass on, at once, what it says. Raises Refused if it can't run at all."""
        try:
            process = subprocess.Popen(
                [self.binary, *arguments],
                cwd=folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            hint = ": is the image's C library another one than glibc (Alpine)?" if os.path.exists(self.binary) else ""
            cause = f"{self.name}: uv can't run: {error.strerror}{hint}"
            raise Refused("InstallFailed", f"{cause} Use an image with glibc" if hint else cause) from error
        output = ""
        try:
            for line in process.stdout or ():
                output = (output + line)[-KEPT:]
                if say:
                    print(without_credentials(line), end="", flush=True)
            return Done(process.wait(), output)
        finally:
            process.kill()  # nothing if it has ended; else it would write on while we remove


def without_credentials(text: str) -> str:
    """Give the text without user and password of addresses."""
    return re.sub(r"(://)[^/\s]+@", r"\1***@", text)


def settings(environment: Dict[str, str], scratch: str, cache: str) -> Dict[str, str]:
    """Give uv's environment: what the image set for pip counts where nothing is set for uv itself."""
    result = dict(environment)
    for theirs, ours in PIP_SETTINGS.items():
        if environment.get(theirs):
            result.setdefault(ours, environment[theirs])
    result.setdefault("HOME", scratch)
    result.update(UV_PYTHON_DOWNLOADS="never", NO_COLOR="1", UV_CACHE_DIR=cache, TMPDIR=scratch)
    if "UV_CONFIG_FILE" not in result:  # pip's users don't expect a pyproject.toml to change where packages come from
        system = {"UV_CONFIG_FILE": SYSTEM_SETTINGS} if os.path.exists(SYSTEM_SETTINGS) else {"UV_NO_CONFIG": "1"}
        result.update(system)
    if result.get("SSL_CERT_FILE"):
        result["SSL_CERT_FILE"] = _with_public_authorities(result["SSL_CERT_FILE"], scratch)
    return result


def _with_public_authorities(path: str, scratch: str) -> str:
    """Have a private authority beside those that the image trusts: for uv the file replaces all others."""
    public = next((known for known in AUTHORITIES if os.path.exists(known)), "")
    if not public or os.path.realpath(public) == os.path.realpath(path):
        return path
    both = os.path.join(scratch, "authorities.pem")
    try:
        with open(public, "rb") as first, open(path, "rb") as second, open(both, "wb") as target:
            target.write(first.read() + b"\n" + second.read())
    except OSError:
        return path
    return both
