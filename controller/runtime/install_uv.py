"""uv as a process: its settings, its output line by line, what it can't do, and what the image has already.

It never downloads a Python. It does not see packages outside of an environment: so resolve once with the versions of
the image's as constraints, then exclude those that the plan names in just these versions.
"""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Dict, Iterable, List, Mapping, NamedTuple

if TYPE_CHECKING:
    from controller.runtime.install_progress import Progress, say
    from controller.runtime.install_requirements import ListedItem
    from controller.runtime.install_terminal import SETTINGS, Terminal
    from controller.runtime.stage_order import Unable
    from controller.runtime.stage_text import canonical
else:  # published side by side
    from install_progress import say
    from install_terminal import SETTINGS, Terminal
    from stage_order import Unable
    from stage_text import canonical

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
TOOLS = {"pip", "setuptools", "wheel", "uv"}  # what every image has: no reason for a second resolution
_INDEX_OPTIONS = ("--index-url", "--extra-index-url", "--no-index")
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
    progress: Progress

    def run(self, arguments: List[str], folder: str, quiet: bool = False) -> Done:
        """Run uv and pass on, at once, what it says, unless `quiet`. Raises Unable if it can't run at all."""
        terminal = Terminal()
        try:
            process = subprocess.Popen(
                [self.binary, *arguments],
                cwd=folder,
                env={**self.environment, **SETTINGS},
                stdin=subprocess.DEVNULL,
                stdout=terminal.output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            terminal.close()
            hint = ": is the image's C library another one than glibc (Alpine)?" if os.path.exists(self.binary) else ""
            cause = f"{self.name}: uv can't run: {error.strerror}{hint}"
            raise Unable("InstallFailed", f"{cause} Use an image with glibc" if hint else cause) from error
        output = ""
        try:
            for line in terminal.lines():
                if line is None:
                    self.progress.see(terminal)
                    continue
                output = (output + line)[-KEPT:]
                self.progress.hear(line, quiet=quiet)
                if not quiet:
                    print(without_credentials(line), end="", flush=True)
            return Done(process.wait(), output)
        finally:
            process.kill()  # nothing if it has ended; else it would write on while we remove
            terminal.close()


def without_credentials(text: str) -> str:
    """Return the text without user and password of addresses."""
    return re.sub(r"(://)[^/\s]+@", r"\1***@", text)


def settings(environment: Dict[str, str], scratch: str, cache: str) -> Dict[str, str]:
    """Return uv's environment: what the image sets for pip is used where nothing is set for uv itself."""
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


def indexes(environment: Mapping[str, str], items: Iterable[ListedItem]) -> str:
    """Return the indexes that uv asks, for a sentence; without names where settings elsewhere decide."""
    values = {option: [item.value for item in items if item.option == option] for option in _INDEX_OPTIONS}
    more = " ".join(environment.get(name, "") for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL")).split()
    first = [environment[name] for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX") if environment.get(name)]
    if values["--no-index"] or environment.get("UV_NO_INDEX") or (not first and environment.get("UV_CONFIG_FILE")):
        return by_host([])
    default = (values["--index-url"] or first or ["PyPI"])[-1]
    every = (*more, *values["--extra-index-url"], default)
    return by_host(every)


def by_host(indexes: Iterable[str]) -> str:
    """Return indexes for a sentence, by their hosts: the rest of an address may be private."""
    found = list(dict.fromkeys(filter(None, map(_host, indexes))))
    return " ".join(filter(None, [f"the package index{'es' if len(found) > 1 else ''}", " and ".join(found)]))


def _host(index: str) -> str:
    """Return the host of an index's address, what is no address as it is; "" where nobody can say which part it is."""
    start, _, rest = index.rpartition("://")
    host, _, path = rest.partition("/")
    return "" if start and "@" in path else host.rpartition("@")[2] if start else index


def _with_public_authorities(path: str, scratch: str) -> str:
    """Return a file with a private authority and those that the image trusts: for uv the file replaces all others."""
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


# --- the packages of the image ----------------------------------------------------------------------


def system_packages() -> List[str]:
    """Return the option that shows an environment the packages of the base Python, where the image's sees them."""
    return ["--system-site-packages"] if sys.base_prefix in site.PREFIXES else []


def show_image(target: str) -> None:
    """Show an environment the image's packages.

    Where the image's Python is itself a virtual environment, a new one is of the Python below it.
    """
    if sys.prefix == sys.base_prefix:
        return
    with open(os.path.join(packages_folder(target), "image.pth"), "w", encoding="utf-8") as file:
        file.writelines(f"{folder}\n" for folder in site.getsitepackages() if os.path.isdir(folder))


def packages_folder(target: str) -> str:
    """Return the folder of an environment's packages."""
    return os.path.join(target, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


def image_options(uv: Uv, install: List[str], folder: str, scratch: str) -> List[str]:
    """Return the options that leave out what the image has in versions that fit; none if that can't be found out."""
    packages = versions(metadata.distributions())
    if not set(packages) - TOOLS:
        return []
    constraints = os.path.join(scratch, "image-constraints.txt")
    _write_lines(constraints, [f"{name}=={version}" for name, version in packages.items()])
    chosen = ["--constraints", constraints]
    plan = uv.run([*install, *chosen, "--dry-run"], folder, quiet=True)
    planned = dict(re.findall(r"^ \+ (\S+)==(\S+)$", plan.output, re.MULTILINE))
    same = [name for name, version in packages.items() if planned.get(name) == version]
    if plan.code or not same:
        return []
    excludes = os.path.join(scratch, "image-excludes.txt")
    _write_lines(excludes, same)
    say(f"taken from the image: {', '.join(f'{name} {packages[name]}' for name in same)}")
    return [*chosen, "--excludes", excludes]


def versions(distributions: Iterable[metadata.Distribution]) -> Dict[str, str]:
    """Return the version of each package by its normalised name; the first one found, as for imports."""
    packages: Dict[str, str] = {}
    for distribution in distributions:
        name, version = distribution.metadata["Name"], distribution.version
        if name and version:
            packages.setdefault(canonical(name), version)
    return packages


def _write_lines(path: str, lines: List[str]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
