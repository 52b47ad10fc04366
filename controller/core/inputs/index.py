"""The settings of package indexes that a request's `index-secret` holds: which keys mean something, and what they say.

UV_* keys are variables of uv (https://docs.astral.sh/uv/reference/environment/), `netrc` and `ca.crt` are files, and
HTTP_PROXY and its like, in upper or lower case, are what most programs know them for. Refuses every other key, so that
a misspelt one is found. No value ever leaves this module, except in a digest.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import kinds, secretkeys
from controller.core.model import Object

FILES: Mapping[str, str] = {"netrc": "NETRC", "ca.crt": "SSL_CERT_FILE"}
"""Keys that become files, and the variable that names each to uv."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_VARIABLE = re.compile(r"UV_[A-Z0-9_]{1,100}|(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy")
_SECRET = re.compile(r"_(USERNAME|PASSWORD|TOKEN)$")
_KNOWN = "write UV_* variables, HTTPS_PROXY and its like, netrc and ca.crt"


@dataclass(frozen=True, slots=True)
class Index:
    """The keys, and a digest of what decides on the packages: addresses, not passwords."""

    keys: tuple[str, ...] = ()
    digest: str = ""


def settings(secret: Object | None, name: str) -> Index:
    """Return what the Secret `name` says. Raises Invalid with all its problems."""
    place = f"index-secret {name}"
    made = f"{name} --from-literal=UV_INDEX=VALUE"
    values, problems = secretkeys.read(
        secret, place, made, lambda key: key in FILES or _VARIABLE.fullmatch(key), _KNOWN
    )
    if problems or not values:
        raise Invalid("SecretUnusable", kinds.bounded(problems or [f"{place}: is empty: {_KNOWN}"]))
    # An address without its name and password: another password is the same index.
    public = {key: re.sub(r"(://)[^/@\s]*@", r"\1", value) for key, value in values.items() if key not in FILES}
    lines = [f"{key}={value}" for key, value in public.items() if not _SECRET.search(key)]
    return Index(tuple(sorted(values)), names.digest("\n".join(lines), 20))


def variables(keys: Iterable[str]) -> Mapping[str, str]:
    """Return the variables of a build by name, with the key that each comes from.

    Some programs know proxies in upper case, some in lower: without both an image's own would serve one half.
    """
    own = {key: key for key in keys if key not in FILES}
    other = {key.swapcase(): key for key in own if key.upper() in PROXIES}
    return {**other, **own}
